"""The network's size, batch norm and grid against hand counts and NumPy float64."""

import numpy as np
import pytest

from jointpose import model, run_options, spatial_model
from jointpose.datasets import flic
from jointpose.nn import layers, spectrum_cache
from jointpose.nn.tf1 import tf
from jointpose.vision.heatmaps import render_targets

# sum over the layers of size^2 * inputs * outputs, at F = 64 128 256 512 512, by hand
BANK = 25 * 3 * 64 + 25 * 64 * 128 + 25 * 128 * 256 + 81 * 256 * 512
FULL = 3 * BANK + 81 * 512 * 512 + 81 * 512 * 9
QUARTER = (
    3 * (25 * 3 * 16 + 25 * 16 * 32 + 25 * 32 * 64 + 81 * 64 * 128) + 81 * 128 * 128 + 81 * 128 * 9
)
EIGHTH = 3 * (25 * 3 * 8 + 25 * 8 * 16 + 25 * 16 * 32 + 81 * 32 * 64) + 81 * 64 * 64 + 81 * 64 * 9


def size(variables):
    return sum(int(np.prod(variable.shape)) for variable in variables)


@pytest.mark.parametrize(
    ('width', 'weights'),
    [(64, FULL), pytest.param(16, QUARTER, marks=pytest.mark.long), (8, EIGHTH)],
)
def test_parameter_counts(tf_graph, width, weights):
    _, system, *_ = run_options.resolve_options(
        ['--train', '--use_sm', '--width', str(width), '--conv', 'direct']
    )
    system.build(
        tf.placeholder(tf.uint8, [None, 480, 720, 3]),
        {'torso_map': tf.placeholder(tf.float32, [None, 60, 90, 1])},
        True,
    )
    trainable = tf.trainable_variables()
    assert size(v for v in trainable if v.op.name.endswith('weights')) == weights
    assert FULL == 56_543_808
    energies_and_biases = [
        v for v in trainable if v.op.name in ('spatial_model/energies', 'spatial_model/biases')
    ]
    assert size(energies_and_biases) == 81 * (120 * 180 + 60 * 90) == 2_187_000


def test_batch_norm_in_training_and_after(tf_graph):
    x = np.random.default_rng(0).normal(3, 2, (4, 6, 5, 3)).astype(np.float32)
    with tf.variable_scope('a'):
        y, moments = layers.batch_norm(tf.constant(x), training=True)
    with tf.variable_scope('a', reuse=True):
        z, none = layers.batch_norm(tf.constant(x), training=False)
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        got, values = session.run([y, list(moments.values())])
        mean, variance = x.astype(np.float64).mean((0, 1, 2)), x.astype(np.float64).var((0, 1, 2))
        np.testing.assert_allclose(got, (x - mean) / np.sqrt(variance + 1e-3), atol=1e-4)
        np.testing.assert_allclose(values[0], mean, rtol=1e-5)
        np.testing.assert_allclose(values[1], variance * 120 / 119, rtol=1e-4)  # unbiased
        for variable, value in zip(moments, values):
            variable.load(value, session)
        np.testing.assert_allclose(
            session.run(z), (x - mean) / np.sqrt(variance * 120 / 119 + 1e-3), atol=1e-4
        )
    assert none == {}


def test_enlarged_columns_stay_above_their_cells(tf_graph):
    """A ramp over the quarter bank's 23 columns must be the same ramp on the 90: no stretch of 92 to 90."""
    centre = (np.arange(23) + 0.5) * 32  # pixels of the frame
    ramp = np.broadcast_to(centre[None, None, :, None], (1, 15, 23, 1)).astype(np.float32)
    with tf_graph() as session:
        large = session.run(model.enlarge(tf.constant(ramp), (60, 90)))
    assert large.shape == (1, 60, 90, 1)
    np.testing.assert_allclose(large[0, 0, 2:-2, 0], (np.arange(90) * 8 + 4)[2:-2], rtol=1e-5)


def test_spatial_softmax(tf_graph):
    logits = np.random.default_rng(0).normal(0, 30, (2, 6, 9, 4))
    expected = np.exp(logits - logits.max((1, 2), keepdims=True))
    expected /= expected.sum((1, 2), keepdims=True)
    with tf_graph() as session:
        got = session.run(layers.spatial_softmax(tf.constant(logits, tf.float32)))
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-7)


def test_a_joint_moves_its_map_by_its_cells(tf_graph, monkeypatch):
    """Shifting the frame by four quarter-bank cells shifts every map by 16 cells: the banks are aligned."""
    monkeypatch.setattr(model, 'CHANNELS', (1, 1, 1, 1, 1))
    frame = np.zeros((1, 480, 720, 3), np.uint8)
    frame[:, 200:260, 300:350] = np.random.default_rng(0).integers(0, 255, (60, 50, 3))
    images = tf.placeholder(tf.uint8, [None, 480, 720, 3])
    with tf.variable_scope('x'):
        logits = model.build(images, 4, conv='direct').logits
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        at, moved = (session.run(logits, {images: x}) for x in (frame, np.roll(frame, 128, axis=2)))
    np.testing.assert_allclose(moved[:, 10:50, 36:70], at[:, 10:50, 20:54], atol=1e-4)
    assert spatial_model.N_JOINTS == flic.N_JOINTS == logits.shape[-1]


def test_kept_spectra_follow_the_weights(tf_graph, monkeypatch):
    """Inference with kept transforms equals direct convolution, also after the weights have changed."""
    monkeypatch.setattr(model, 'CHANNELS', (1, 2, 2, 2, 2))
    images = tf.placeholder(tf.uint8, [None, 480, 720, 3])
    frames = np.random.default_rng(0).integers(0, 255, (2, 480, 720, 3), np.uint8)
    logits = []
    for method in ('fft', 'direct'):
        with tf.variable_scope('x', reuse=tf.AUTO_REUSE):
            logits.append(model.build(images, 4, conv=method).logits)
    operations = spectrum_cache.operations_of_graph()
    assert not [v for v in tf.global_variables() if 'spectrum' in v.op.name]  # of no checkpoint
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(2):
            with spectrum_cache.filled(session, operations):
                fft, direct = session.run(logits, {images: frames})
            np.testing.assert_allclose(fft, direct, atol=1e-5 * np.abs(direct).max())
            for variable in tf.trainable_variables():
                variable.load(session.run(variable) * 0.9 + 0.01, session)
        with pytest.raises(tf.errors.FailedPreconditionError):
            session.run(logits[0], {images: frames})  # forgotten


@pytest.mark.parametrize('banks', [1, pytest.param(2, marks=pytest.mark.long), 3])
def test_banks(tf_graph, banks):
    """So many banks, the finest first; what follows sees the mean of their maps."""
    images = tf.placeholder(tf.uint8, [None, 480, 720, 3])
    with tf.variable_scope('x'):
        detector = model.build(images, 1, conv='direct', banks=banks)
    names = {v.op.name.split('/')[1] for v in tf.trainable_variables()}
    assert {name for name in names if name.startswith('conv1')} == {
        f'conv1_{bank}' for bank in model.BANKS[:banks]
    }
    assert len(names) == 4 * banks + 2
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        maps = [detector.layers[f'conv4_{bank}'] for bank in model.BANKS[:banks]]
        different, mean = (
            {x: np.full([1, *x.shape[1:].as_list()], value) for x, value in zip(maps, values)}
            for values in ((0, 3, 9), [np.mean((0, 3, 9)[:banks])] * 3)
        )
        first, second = session.run(detector.logits, different), session.run(detector.logits, mean)
    np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures('bfloat16')
@pytest.mark.parametrize('conv', ['direct', pytest.param('fft', marks=pytest.mark.long)])
def test_bfloat16(tf_graph, monkeypatch, conv):
    """In training the detector says nearly what it says in float32, in the same variables, which stay float32."""
    monkeypatch.setattr(model, 'CHANNELS', (1, 2, 2, 2, 2))
    frames = np.random.default_rng(0).integers(0, 255, (3, 480, 720, 3), np.uint8)
    targets = render_targets(
        np.random.default_rng(1).uniform((0, 0), (720, 480), (3, 9, 2)), (60, 90)
    )
    values = {}
    for dtype in (tf.float32, tf.bfloat16):
        with tf.variable_scope('x', reuse=tf.AUTO_REUSE):
            detector = model.build(
                tf.constant(frames), 8, True, conv, drop=lambda x: 2 * x, dtype=dtype
            )
        variables = tf.trainable_variables()
        gradients = tf.gradients(-tf.reduce_sum(targets * tf.log(detector.heat_maps)), variables)
        values[dtype] = [detector.logits, *detector.statistics.values(), *gradients]
        assert detector.layers['conv5'].dtype == dtype
        assert (
            {x.dtype for x in values[dtype]}
            == {tf.float32}
            == {v.dtype.base_dtype for v in tf.global_variables()}
        )
    assert len(variables) == 13 * 4 + 2
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        values = session.run(values)
    alike = [np.corrcoef(one.ravel(), other.ravel())[0, 1] for one, other in zip(*values.values())]
    assert variables[-1].op.name == 'x/conv6/bias'  # whose gradient is 0 but for rounding
    logits, statistics, gradients = alike[0], alike[1:27], alike[27:-1]
    assert 0.998 < logits < 1 - 1e-9 and min(statistics) > 0.999
    assert np.median(gradients) > 0.95 and min(gradients) > 0.8


def test_spatial_dropout(tf_graph):
    """Whole maps, each sample's own; by the seed alone; right on average."""
    x = np.random.default_rng(0).uniform(1, 2, (5, 6, 7, 400)).astype(np.float32)
    seed = tf.placeholder(tf.int64, [2])
    dropped = layers.dropout(tf.constant(x), 0.3, seed)
    with tf_graph() as session:
        got, again, other = (session.run(dropped, {seed: s}) for s in ((1, 2), (1, 2), (1, 3)))
    np.testing.assert_array_equal(got, again)
    kept = got[:, 0, 0] > 0  # [5, 400]
    np.testing.assert_allclose(got, x * kept[:, None, None] / 0.7, rtol=1e-6)
    assert abs(kept.mean() - 0.7) < 0.04
    for one, two in ((kept[0], kept[1]), (kept.ravel(), (other[:, 0, 0] > 0).ravel())):
        assert abs((one == two).mean() - 0.58) < 0.12  # 0.7^2 + 0.3^2: independent


def test_debug_is_a_quarter_of_the_width():
    assert [
        run_options.resolve_options(['--train', *words])[0].width for words in ([], ['--debug'])
    ] == [
        64,
        16,
    ]


@pytest.mark.parametrize('normalise', [True, False])
def test_without_batch_norm_the_detector_has_weights_and_biases_only(tf_graph, normalise):
    """14 layers, the last of them never normalised; without batch norm, an activation is what ReLU leaves."""
    images = tf.placeholder(tf.uint8, [None, 480, 720, 3])
    with tf.variable_scope('x'):
        detector = model.build(images, 1, training=True, conv='direct', normalise=normalise)
    names = [v.op.name.split('/')[-1] for v in tf.global_variables()]
    n_layers = 3 * 4 + 2
    assert {name: names.count(name) for name in set(names)} == {
        'weights': n_layers,
        'bias': n_layers,
        **dict.fromkeys(
            ('scale', 'offset', 'moving_mean', 'moving_variance') if normalise else (), n_layers - 1
        ),
    }
    assert len(detector.statistics) == 2 * (n_layers - 1) * normalise
    frames = np.random.default_rng(0).integers(0, 255, (2, 480, 720, 3), np.uint8)
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        activations = session.run(list(detector.layers.values()), {images: frames})
    for activation in activations:
        if normalise:
            np.testing.assert_allclose(activation.mean(axis=(0, 1, 2)), 0, atol=1e-3)
        else:
            assert activation.min() == 0


@pytest.mark.parametrize('n_joints', [1, 14, 17])
def test_there_is_a_map_for_each_joint(n_joints):
    images = np.zeros((1, 480, 720, 3), np.uint8)
    with tf.Graph().as_default():
        detector = model.build(tf.constant(images), 1, conv='direct', banks=1, n_joints=n_joints)
        assert detector.heat_maps.shape.as_list() == [1, 60, 90, n_joints]
