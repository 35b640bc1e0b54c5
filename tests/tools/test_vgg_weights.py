"""VGG-19's weights from Keras: CPM's first ten layers see what Keras's do, layer by layer."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT

from jointpose.nn.import_weights import load
from jointpose.nn.tf1 import tf
from jointpose.systems import cpm
from tools import vgg_weights

# With random weights, which Keras needs no network for: writes vgg19.npz as the tool does, a picture and
# what Keras's layers make of it.
KERAS = """
import keras
import numpy as np
from tools import vgg_weights

rng = np.random.default_rng(0)
vgg19 = keras.applications.VGG19(weights=None, include_top=False, input_shape=(128, 128, 3))
for layer in vgg19.layers:
    if weights := layer.get_weights():
        layer.set_weights([weights[0], rng.normal(0, 1, weights[1].shape)])
rgb = rng.integers(0, 256, (1, 128, 128, 3), np.uint8)
inputs = keras.applications.vgg19.preprocess_input(rgb.astype(np.float32))
layers = [layer for layer in vgg19.layers if '_conv' in layer.name][:10]
outputs = keras.Model(vgg19.input, [layer.output for layer in layers])(inputs)
np.savez('outputs.npz', rgb, *outputs)
keras.applications.VGG19 = lambda **_: vgg19
vgg_weights.main(['--out', 'vgg19.npz'])
"""


def test_the_first_ten_layers_are_taken(tmp_path, monkeypatch):
    blocks = {'block1': 2, 'block2': 2, 'block3': 4, 'block4': 4, 'block5': 4}
    names = [f'{block}_conv{i}' for block, n in blocks.items() for i in range(1, n + 1)]
    weights = {name: [np.full((3, 3, 1, 1), i), np.full(1, i)] for i, name in enumerate(names)}

    def get_layer(name):
        return SimpleNamespace(get_weights=lambda: weights[name])

    np.savez(tmp_path / 'x.npz', **vgg_weights.arrays_of(SimpleNamespace(get_layer=get_layer)))
    layers = load(str(tmp_path / 'x.npz'))
    assert sorted(layers) == sorted(cpm.VGG)
    for i, name in enumerate(cpm.VGG):
        assert (layers[name][0] == i).all() and (layers[name][1] == i).all()


@pytest.mark.long
def test_each_layer_is_keras_s(tmp_path):
    """In the middle of the picture, since beyond it Keras has the mean, and CPM grey."""
    command = [sys.executable, '-c', KERAS]
    done = subprocess.run(
        command, cwd=tmp_path, env={'PYTHONPATH': ROOT}, capture_output=True, check=False, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith('vgg19.npz: 10 layers\n')
    with np.load(tmp_path / 'outputs.npz') as stored:
        rgb, *expected = stored.values()
    values = cpm.CPM(None).convert_weights(load(str(tmp_path / 'vgg19.npz')))
    shown = {}

    def layer(x, name, size, channels):
        if name not in cpm.VGG:
            return x
        filters = tf.constant(values[f'{name}/weights'], tf.float32)
        assert filters.shape.as_list()[::3] == [size, channels]
        x = tf.nn.conv2d(x, filters, 1, 'SAME') + tf.constant(values[f'{name}/bias'], tf.float32)
        shown[name] = tf.nn.relu(x)
        return shown[name]

    with tf.Graph().as_default(), tf.Session() as session:
        cpm.trunk(tf.constant(rgb), 64, layer)
        got = session.run(shown)
    assert list(got) == list(cpm.VGG) and len(expected) == 10
    for name, maps in zip(cpm.VGG, expected):
        cells = slice(3 * maps.shape[1] // 8, 5 * maps.shape[1] // 8)
        here = got[name][0, cells, cells]
        there = maps[0, cells, cells]
        assert there.std() > 0.1
        assert np.abs(here - there).max() < 1e-4 * there.std(), name
