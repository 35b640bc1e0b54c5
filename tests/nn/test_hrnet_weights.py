"""nn/hrnet_weights.py against outputs of the authors' own network.

hrnet_official.npz holds a 64x64 image and the 16 maps that pose_hrnet.py of
deep-high-resolution-net.pytorch (MPII's configuration of w32, PyTorch 2.13, float64) gives for it
with the weights that `numbers` draws for each name.
"""

import os
import zlib

import numpy as np
import pytest

from jointpose import run_options
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


def official_shapes(joints=16):
    """{name: shape} of the authors' HRNet-w32 by their own construction: MPII's 16 joints."""
    shapes = {}

    def layer(convolution, norm, size, inputs, outputs):
        shapes[f'{convolution}.weight'] = (outputs, inputs, size, size)
        for kind in ('weight', 'bias', 'running_mean', 'running_var'):
            shapes[f'{norm}.{kind}'] = (outputs,)

    layer('conv1', 'bn1', 3, 3, 64)
    layer('conv2', 'bn2', 3, 64, 64)
    for block in range(4):
        name = f'layer1.{block}'
        layer(f'{name}.conv1', f'{name}.bn1', 1, 64 if block == 0 else 256, 64)
        layer(f'{name}.conv2', f'{name}.bn2', 3, 64, 64)
        layer(f'{name}.conv3', f'{name}.bn3', 1, 64, 256)
    layer('layer1.0.downsample.0', 'layer1.0.downsample.1', 1, 64, 256)
    layer('transition1.0.0', 'transition1.0.1', 3, 256, 32)
    layer('transition1.1.0.0', 'transition1.1.0.1', 3, 256, 64)
    layer('transition2.2.0.0', 'transition2.2.0.1', 3, 64, 128)
    layer('transition3.3.0.0', 'transition3.3.0.1', 3, 128, 256)
    for stage, modules in ((2, 1), (3, 4), (4, 3)):
        for module in range(modules):
            last = stage == 4 and module == modules - 1
            add_module(layer, f'stage{stage}.{module}', stage, outputs=1 if last else stage)
    shapes['final_layer.weight'] = (joints, 32, 1, 1)
    shapes['final_layer.bias'] = (joints,)
    return shapes


def add_module(layer, name, branches, outputs):
    for branch in range(branches):
        for block in range(4):
            for i in (1, 2):
                place = f'{name}.branches.{branch}.{block}'
                layer(f'{place}.conv{i}', f'{place}.bn{i}', 3, 32 << branch, 32 << branch)
    for target in range(outputs):
        for source in range(branches):
            place = f'{name}.fuse_layers.{target}.{source}'
            if source > target:
                layer(f'{place}.0', f'{place}.1', 1, 32 << source, 32 << target)
            for step in range(target - source):
                width = 32 << (target if step == target - source - 1 else source)
                layer(f'{place}.{step}.0', f'{place}.{step}.1', 3, 32 << source, width)


def test_names_by_hand():
    name = hrnet_weights.our_name
    assert name('conv2') == name('bn2') == 'stem/conv2'
    assert name('layer1.0.downsample.0') == 'stage1/block1/shortcut'
    assert name('transition1.0.0') == name('transition1.0.1') == 'stage2/transition1'
    assert name('transition1.1.0.0') == 'stage2/transition2'
    assert name('transition3.3.0.1') == 'stage4/transition4'
    assert name('stage3.3.branches.1.0.bn2') == 'stage3/module4/branch2/block1/conv2'
    assert name('stage3.0.fuse_layers.0.2.0') == 'stage3/module1/fuse3_1'
    assert name('stage3.0.fuse_layers.2.0.1.1') == 'stage3/module1/fuse1_3/conv2'
    assert name('stage5.conv') is None


def test_a_name_of_another_network_is_an_error():
    with pytest.raises(ValueError, match=r'deconv_layers\.0\.weight is no array of HRNet'):
        hrnet_weights.convert({'deconv_layers.0.weight': np.zeros((1, 1, 4, 4))})


def test_values_by_hand():
    state = {
        'conv1.weight': np.arange(54.0).reshape(2, 3, 3, 3),
        'bn1.weight': np.array([2.0]),
        'bn1.running_var': np.array([0.25]),
        'bn1.num_batches_tracked': np.array(7),
        'final_layer.bias': np.array([3.0]),
    }
    found = hrnet_weights.convert(state)
    assert found.keys() == {
        'stem/conv1/weights',
        'stem/conv1/scale',
        'stem/conv1/moving_variance',
        'maps/bias',
    }
    assert found['stem/conv1/weights'][2, 1, 0, 1] == state['conv1.weight'][1, 0, 2, 1]
    variance = found['stem/conv1/moving_variance'][0]
    assert variance + layers.EPSILON == pytest.approx(0.25 + 1e-5, rel=1e-6)


def test_coco_s_weights_fill_the_network(tf_graph):
    """Of pose_hrnet_w32_256x192, 17 joints: every variable by name and shape, by --init's way."""
    options, system, *_ = run_options.resolve_options(
        ['--train', '--system', 'hrnet', '--dataset', 'coco', '--init', 'x.pth']
    )
    assert options.width == 32
    images = tf.placeholder(tf.uint8, [None, *system.input_size, 3])
    maps = system.build(images, None, training=False).outputs['hrnet']
    assert maps.shape.as_list() == [None, 64, 48, 17]
    state = {}
    for name, shape in official_shapes(joints=17).items():
        state[name] = numbers(name, shape).astype(np.float32)
    values = system.convert_state_dict(state)
    found = {name: value.shape for name, value in values.items()}
    expected = {v.op.name: tuple(v.shape.as_list()) for v in tf.global_variables()}
    assert found == expected
    assert len(found) == 1462


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
        state = {}
        for name, shape in official_shapes().items():
            state[name] = numbers(name, shape).astype(np.float32)
        values = hrnet_weights.convert(state)
        assert values.keys() == variables.keys()
        assert len({name.rsplit('/', 1)[0] for name in values}) == 293
        initializers = [variable.initializer for variable in variables.values()]
        feed = {one.initializer.inputs[1]: values[name] for name, one in variables.items()}
        session.run(initializers, feed)
        found = session.run(maps, {images: image[None]})[0]
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
