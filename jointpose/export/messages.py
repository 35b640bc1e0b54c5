"""Inference of the joint model, step by step: detector's maps, messages, joint maps.

    with messages.opened('pretrained/flic') as study:
        found = study(frames, torsos_xy)              # {name: array}

`export.py --messages` writes the same graph as an ONNX model.

Inputs, for any number n of frames:
    image                 uint8   [n, 480, 720, 3]    RGB
    torso_xy              float32 [n, 2]              (x, y) pixels: the target person's torso

Outputs, at one scale; joints are (x, y) pixels in the order of flic.JOINTS:
    part_detector_maps    float32 [n, 60, 90, 9]
    part_detector_joints  float32 [n, 9, 2]
    messages              float32 [n, 9, 10, 60, 90]  by joint and sender, in the order of flic.MAPS;
                                                      at the joint itself, its own positive map
    heat_maps             float32 [n, 60, 90, 9]      the joint maps
    joints                float32 [n, 9, 2]

A joint map is the product of the joint's ten `messages`, normalised to sum 1.
"""

import contextlib
from collections.abc import Callable, Iterator

import numpy as np

from jointpose import spatial_model
from jointpose.checkpoints import checkpoint
from jointpose.datasets import flic
from jointpose.export import network
from jointpose.nn import peaks
from jointpose.nn.tf1 import tf
from jointpose.training import towers
from jointpose.utils.errors import InputError
from jointpose.vision import heatmaps

Study = Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]]


@contextlib.contextmanager
def opened(run: str) -> Iterator[Study]:
    """Yields a function (frames, torsos_xy) -> the outputs above, of a run's newest checkpoint.

    Args:
        run: folder of a run or checkpoint that was trained with the spatial model.

    Raises:
        InputError: no usable checkpoint, or one without a spatial model.
    """
    found = checkpoint.find('', run, 'messages.opened')
    system, options = network.settings_of(found)
    require_spatial_model(found, system, options)
    with network.live_network(found, system, options, build) as run:
        yield lambda frames, torsos_xy: run(
            {'image': frames, 'torso_xy': np.asarray(torsos_xy, np.float32)}
        )


def require_spatial_model(found, system, options):
    """Raises InputError if a run's network has no messages."""
    if 'torso_map' not in system.EXTRA_INPUTS or not system.takes_prompts:
        raise InputError(f'{found.path}: has no spatial model, so there are no messages')


def build(system, options, portable):
    """The graph.

    Args:
        portable: made of operations that ONNX has.

    Returns:
        ({name: placeholder}, {name: tensor}, the maps that `joints` are decoded from).
    """
    inputs = {
        'image': tf.placeholder(tf.uint8, [None, flic.HEIGHT, flic.WIDTH, 3], 'image'),
        'torso_xy': tf.placeholder(tf.float32, [None, 2], 'torso_xy'),
    }
    given = {'image': inputs['image'], 'torso_map': torso_map(inputs['torso_xy'])}
    built = towers.build_network(system, inputs['image'], given, training=False, portable=portable)
    detector_maps, joint_maps = built.outputs['pd'], built.outputs['sm']
    outputs = {
        'part_detector_maps': detector_maps,
        'part_detector_joints': peaks.decode(detector_maps),
        'messages': by_joint_and_sender(built.parts[1]),
        'heat_maps': joint_maps,
        'joints': peaks.decode(joint_maps),
    }
    return inputs, outputs, joint_maps


def torso_map(torso_xy):
    """The torso's map as heatmaps.render_targets draws it: float32 [n, 2] -> [n, 60, 90, 1].

    A torso outside the frame is moved to its border.
    """
    last = tf.constant([flic.WIDTH - 1, flic.HEIGHT - 1], tf.float32)
    cell = tf.floor(tf.clip_by_value(torso_xy, 0.0, last) / heatmaps.STRIDE)
    right = _bump(cell[:, 0], flic.MAP_WIDTH)
    down = _bump(cell[:, 1], flic.MAP_HEIGHT)
    product = down[:, :, None] * right[:, None, :]  # [n, 60, 90]
    return tf.expand_dims(product, axis=-1)


def _bump(centre, length):
    """[n] whole cells -> [n, length]: 1/4 1/2 1/4 around each."""
    distance = tf.abs(tf.range(length, dtype=tf.float32) - centre[:, None])
    return tf.nn.relu(2 - distance) / 4


def by_joint_and_sender(spatial):
    """The factors of all joint maps: spatial_model.SpatialModel -> float32 [n, 9, 10, 60, 90]."""
    factors = dict(zip(spatial_model.PAIRS_TO_JOINTS, spatial.messages))
    factors.update(zip(spatial_model.SELF_PAIRS, spatial.own))
    joints = [
        tf.stack([factors[joint, sender] for sender in range(flic.N_MAPS)], axis=1)
        for joint in range(flic.N_JOINTS)
    ]
    return tf.stack(joints, axis=1)


def inputs_of(samples: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """This graph's inputs from those of the network: the torso is where its map peaks."""
    peaks = heatmaps.decode(samples['torso_map'], subcell=False)
    return {'image': samples['image'], 'torso_xy': peaks[:, 0]}
