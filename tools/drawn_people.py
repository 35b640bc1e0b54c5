"""Runs the joint model on a drawn picture and keeps what passes between its two networks, for method_figures.py.

    maps = drawn_people.run('pretrained/flic', drawn_people.scene(116, 1))

The spatial model is computed twice: by the TensorFlow graph, and term by term in NumPy from the
formula in spatial_model.py.  Both must agree, so that the figures show what the network does.
"""

from typing import NamedTuple

import numpy as np
from scipy.signal import fftconvolve

from jointpose import spatial_model
from jointpose.datasets import flic
from jointpose.datasets.synthetic import flic_set
from jointpose.datasets.synthetic.poses import COLUMNS
from jointpose.vision import heatmaps

SEED = 2014  # of the pictures: not that of `data.py --synthetic`
TOLERANCE = 1e-2  # of the logits: float32 by Fourier transforms in the graph, float64 here


class Scene(NamedTuple):
    """A drawn picture and its target person."""

    image: np.ndarray  # uint8 [480, 720, 3] RGB
    joints_xy: (
        np.ndarray
    )  # float32 [10, 2] pixels, in the order of flic.MAPS; the last is the torso


class Maps(NamedTuple):
    """What the two networks compute for one picture; heat maps sum to 1 over the cells."""

    detector: np.ndarray  # [60, 90, 9] heat maps of the part detector
    joint_model: np.ndarray  # [60, 90, 9] heat maps of the joint model
    unary: np.ndarray  # [60, 90, 10] softplus of the normalised maps, torso included
    priors: np.ndarray  # [81, 120, 180] softplus of the energies, in the order of PAIRS_TO_JOINTS
    terms: np.ndarray  # [81, 60, 90] message + bias of each pair


def scene(index: int, person: int) -> Scene:
    """Returns picture `index` of the drawn set, with the given one of its people as the target."""
    picture = flic_set.render(SEED, index)
    columns = [COLUMNS[joint] for joint in flic.JOINTS]
    own_sides = picture.people[person][:, columns].T.astype(np.float32)
    joints_xy, _ = flic.to_observer_sides(own_sides[None])
    return Scene(picture.image, flic.add_torso(joints_xy)[0])


def run(weights: str, drawn: Scene) -> Maps:
    """Runs a checkpoint of `tompson` on a scene, at one scale."""
    values = load_weights(weights)
    torso_xy = drawn.joints_xy[None, flic.N_JOINTS :]
    torso_map = heatmaps.render_targets(torso_xy, (flic.MAP_HEIGHT, flic.MAP_WIDTH))
    detector, normalised, logits = _run_graph(values, drawn.image[None], torso_map)

    unary = _softplus(normalised[0].astype(np.float64))
    priors = _softplus(values['spatial_model/energies'].astype(np.float64))
    biases = _softplus(values['spatial_model/biases'].astype(np.float64))
    terms = _messages(priors, unary) + biases
    _check(unary, terms, logits[0])
    return Maps(detector[0], _softmax(logits[0]), unary, priors, terms)


def load_weights(weights):
    """{name of a variable: its value}; averages of the weights take the place of the weights."""
    from jointpose.checkpoints import checkpoint, checkpoint_variables
    from jointpose.nn.layers import AVERAGE_SUFFIX

    found = checkpoint.find('', weights, '--restore')
    values = checkpoint_variables.read_weights(found.path)
    return {name.removesuffix(AVERAGE_SUFFIX): value for name, value in values.items()}


def _run_graph(values, image, torso_map):
    """Detector's maps [1, 60, 90, 9], the spatial model's input [1, 60, 90, 10] and logits [1, 60, 90, 9]."""
    from jointpose import model
    from jointpose.nn import layers
    from jointpose.nn.tf1 import tf

    width = values['part_detector/conv1_full/bias'].size
    with tf.Graph().as_default(), tf.Session() as session:
        with tf.variable_scope('part_detector'):
            detector = model.build(tf.constant(image), width, conv='direct')
        with tf.variable_scope('spatial_model'):
            maps = tf.concat([detector.heat_maps, torso_map], axis=-1)
            normalised, _ = layers.batch_norm(maps, training=False)
            joint_model = spatial_model.build(normalised)
        for variable in tf.global_variables():
            variable.load(values[variable.op.name], session)
        return session.run([detector.heat_maps, normalised, joint_model.logits])


def _softplus(x):
    return np.logaddexp(0, spatial_model.BETA * x) / spatial_model.BETA


def _messages(priors, unary):
    """[81, 60, 90]: message[p] = sum over cells q of prior[p - q + (60, 90)] * map[q], of each pair."""
    height, width = unary.shape[:2]
    received = []
    for prior, (_, condjoint) in zip(priors, spatial_model.PAIRS_TO_JOINTS):
        full = fftconvolve(prior, unary[:, :, condjoint])
        received.append(full[height : 2 * height, width : 2 * width])
    return np.stack(received)


def own_term(unary: np.ndarray, joint: int) -> np.ndarray:
    """[60, 90]: the logarithm of a joint's own map, the first term of its logits."""
    return np.log(unary[:, :, joint] + spatial_model.DELTA)


def logits_of(unary: np.ndarray, terms: np.ndarray, joint: int) -> np.ndarray:
    """[60, 90]: a joint's own term plus the logarithms of its nine messages."""
    rows = spatial_model.PAIRS_OF_ONE * joint + np.arange(spatial_model.PAIRS_OF_ONE)
    return own_term(unary, joint) + np.log(terms[rows] + spatial_model.DELTA).sum(axis=0)


def _check(unary, terms, logits):
    """Raises ValueError where the formula and the graph disagree."""
    for joint in range(flic.N_JOINTS):
        difference = np.abs(logits_of(unary, terms, joint) - logits[:, :, joint]).max()
        if difference > TOLERANCE:
            raise ValueError(f'{flic.JOINTS[joint]}: formula and graph differ by {difference}')


def _softmax(logits):
    """Softmax over the cells of [60, 90, k]."""
    exponentials = np.exp(logits - logits.max(axis=(0, 1)))
    return exponentials / exponentials.sum(axis=(0, 1))
