"""nn/hrnet_weights.py against outputs of the authors' own network.

hrnet_official.npz holds a 64x64 image and the 16 maps that pose_hrnet.py of
deep-high-resolution-net.pytorch (MPII's configuration of w32, PyTorch 2.13, float64) gives for it
with the weights that `numbers` draws for each name.
"""

import os
import zlib

import numpy as np
import pytest

from jointpose.nn import hrnet_weights, layers
from jointpose.nn.tf1 import tf
from jointpose.systems import hrnet

STORED = os.path.join(os.path.dirname(__file__), 'hrnet_official.npz')


def numbers(name, shape):
    """The array of one name in the stored network, in PyTorch's layout."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith('running_var'):
        return np.exp(rng.uniform(np.log(0.02), np.log(2), shape))
    if name.endswith('.weight') and len(shape) == 1:
        return rng.uniform(0.1, 0.5, shape)
    if len(shape) == 4:
        return rng.normal(size=shape) * (1 / np.prod(shape[1:])) ** 0.5
    return rng.normal(size=shape) * 0.1


class Official(dict):
    """The stored network's state dict, drawn when it is asked for."""

    def __init__(self, shapes):
        super().__init__()
        self.shapes = shapes

    def __contains__(self, name):
        return name in self.shapes

    def __missing__(self, name):
        return numbers(name, self.shapes[name]).astype(np.float32)


def official_shapes(shapes):
    """{their name: their shape} for variables of ours."""
    found = {}
    for variable, shape in shapes.items():
        layer, kind = variable.rsplit('/', 1)
        names = ('final_layer',) * 2 if layer == 'maps' else hrnet_weights.official_names(layer)
        if kind == 'weights':
            found[f'{names[0]}.weight'] = (shape[3], shape[2], shape[0], shape[1])
        elif kind == 'bias':
            found[f'{names[0]}.bias'] = shape
        else:
            theirs = {'scale': 'weight', 'offset': 'bias', 'moving_mean': 'running_mean'}
            found[f'{names[1]}.{theirs.get(kind, "running_var")}'] = shape
    return found


def test_names_by_hand():
    names = hrnet_weights.official_names
    assert names('stem/conv2') == ('conv2', 'bn2')
    assert names('stage1/block1/shortcut') == ('layer1.0.downsample.0', 'layer1.0.downsample.1')
    assert names('stage2/transition1') == ('transition1.0.0', 'transition1.0.1')
    assert names('stage2/transition2') == ('transition1.1.0.0', 'transition1.1.0.1')
    assert names('stage4/transition4') == ('transition3.3.0.0', 'transition3.3.0.1')
    assert names('stage3/module4/branch2/block1/conv2') == (
        'stage3.3.branches.1.0.conv2',
        'stage3.3.branches.1.0.bn2',
    )
    assert names('stage3/module1/fuse3_1')[0] == 'stage3.0.fuse_layers.0.2.0'
    assert names('stage3/module1/fuse1_3/conv2')[1] == 'stage3.0.fuse_layers.2.0.1.1'
    with pytest.raises(KeyError):
        names('stage5/conv')


def test_another_number_of_joints_leaves_the_head():
    shapes = {'stem/conv1/weights': (3, 3, 3, 64), 'maps/weights': (1, 1, 32, 9)}
    state = {
        'conv1.weight': np.zeros((64, 3, 3, 3)),
        'final_layer.weight': np.zeros((16, 32, 1, 1)),
    }
    assert list(hrnet_weights.convert(state, shapes)) == ['stem/conv1/weights']


def test_another_width_is_an_error():
    state = {'conv1.weight': np.zeros((64, 3, 3, 3))}
    with pytest.raises(ValueError, match=r'conv1\.weight has shape .* stem/conv1/weights has'):
        hrnet_weights.convert(state, {'stem/conv1/weights': (3, 3, 3, 32)})
    with pytest.raises(ValueError, match=r'it has no bn1\.weight'):
        hrnet_weights.convert(state, {'stem/conv1/scale': (64,)})


@pytest.mark.long
def test_maps_equal_the_authors_network():
    with np.load(STORED) as stored:
        image, expected = stored['image'], stored['maps'].transpose(1, 2, 0)
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.uint8, [1, 64, 64, 3])
        x, _ = hrnet.trunk(images, 32, hrnet.Layers(training=False))
        with tf.variable_scope('maps'):
            maps = layers.conv_bias(x, 1, 16)
        variables = {variable.op.name: variable for variable in tf.global_variables()}
        shapes = {name: tuple(one.shape.as_list()) for name, one in variables.items()}
        assert len({name.rsplit('/', 1)[0] for name in shapes}) == 293
        values = hrnet_weights.convert(Official(official_shapes(shapes)), shapes)
        assert values.keys() == variables.keys()
        initializers = [variable.initializer for variable in variables.values()]
        feed = {one.initializer.inputs[1]: values[name] for name, one in variables.items()}
        session.run(initializers, feed)
        found = session.run(maps, {images: image[None]})[0]
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
