"""The spatial model against independent float64 oracles: sums written out, finite differences, SciPy."""
import os

os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '1')
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

import numpy as np
import pytest
import scipy.signal
import tensorflow.compat.v1 as tf

import spatial_model
from joints import MAPS, PAIRS
from spatial_model import PAIRS_TO_JOINTS

tf.disable_v2_behavior()

H, W = 6, 9                       # a grid small enough to write the sums out
METHODS = ('fft', 'direct')


def softplus64(x):
    return np.logaddexp(0, 5 * np.asarray(x, np.float64)) / 5


def messages64(priors, maps):
    """Sum over q of prior[p - q + (h, w)] * map[q], written out.  [81, 2h, 2w], [n, h, w, 10] -> [n, h, w, 81]."""
    n, h, w, _ = maps.shape
    out = np.zeros((n, h, w, len(priors)))
    for pair, (_, condjoint) in enumerate(PAIRS_TO_JOINTS):
        for row in range(h):
            for col in range(w):
                window = priors[pair, h + row - np.arange(h)[:, None], w + col - np.arange(w)]      # [h, w]: over q
                out[:, row, col, pair] = (window * maps[..., condjoint]).sum(axis=(1, 2))
    return out


def logits64(heat_maps, energies, biases):
    """The formula of the module's docstring, one joint and one condjoint at a time."""
    maps = softplus64(heat_maps)
    received = messages64(softplus64(energies), maps)
    out = np.log(maps[..., :9] + 1e-6)
    for pair, (joint, _) in enumerate(PAIRS_TO_JOINTS):
        out[..., joint] += np.log(received[..., pair] + softplus64(biases[pair]) + 1e-6)
    return out


def relative_error(actual, expected):
    return np.abs(actual - expected).max() / np.abs(expected).max()


def run(tensors):
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        return session.run(tensors)


def run_messages(priors, maps, method, d_messages=None):
    """Maps and messages with their channels last; with `d_messages` also the gradients by priors and maps."""
    with tf.Graph().as_default():
        priors = tf.constant(priors, tf.float32)
        maps = tf.constant(maps, tf.float32)
        out = tf.stack(spatial_model.messages(priors, tf.transpose(maps, [3, 0, 1, 2]), method), axis=-1)
        if d_messages is None:
            return run(out)
        return run([out, *tf.gradients(out, [priors, maps], tf.constant(d_messages, tf.float32))])


def random_case(n, h, w, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, h, w, 10)).astype(np.float32),
            rng.normal(size=(81, 2 * h, 2 * w)).astype(np.float32),
            rng.normal(size=(81, h, w)).astype(np.float32))


def test_pairs_are_the_first_81():
    assert PAIRS_TO_JOINTS == PAIRS[:81]
    assert all(joint < 9 and joint != condjoint for joint, condjoint in PAIRS_TO_JOINTS)
    assert sum(MAPS[condjoint] == 'torso' for _, condjoint in PAIRS_TO_JOINTS) == 9


def test_parameter_count():
    with tf.Graph().as_default():
        spatial_model.build(tf.zeros([1, 60, 90, 10]))
        assert {v.op.name: v.shape.as_list() for v in tf.trainable_variables()} == {
            'energies': [81, 120, 180], 'biases': [81, 60, 90]}
        assert sum(np.prod(v.shape.as_list()) for v in tf.trainable_variables()) == 2_187_000


@pytest.mark.parametrize('method', METHODS)
def test_delta_prior_shifts_the_map(method):
    """Zero displacement returns the map; the prior says where the joint is, seen from the condjoint."""
    maps = np.random.default_rng(1).random((2, H, W, 10)).astype(np.float32)
    priors = np.zeros((81, 2 * H, 2 * W), np.float32)
    priors[:, H, W] = 1
    priors[5, H, W], priors[5, H + 2, W - 3] = 0, 1            # the joint lies 2 rows below, 3 columns left
    out = run_messages(priors, maps, method)
    for pair, (_, condjoint) in enumerate(PAIRS_TO_JOINTS):
        expected = maps[..., condjoint]
        if pair == 5:
            expected = np.zeros_like(expected)
            expected[:, 2:, :-3] = maps[:, :-2, 3:, condjoint]
        np.testing.assert_allclose(out[..., pair], expected, atol=1e-6)


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('n, h, w', [(1, 6, 9), (3, 5, 4), (2, 1, 7)])
def test_messages_and_their_gradients_match_written_out_sums(method, n, h, w):
    rng = np.random.default_rng(2)
    priors, maps = rng.random((81, 2 * h, 2 * w)), rng.random((n, h, w, 10))
    d_out = rng.normal(size=(n, h, w, 81))
    out, d_priors, d_maps = run_messages(priors, maps, method, d_out)
    assert relative_error(out, messages64(priors, maps)) < 1e-6
    expected_priors, expected_maps = np.zeros_like(priors), np.zeros_like(maps)
    for pair, (_, condjoint) in enumerate(PAIRS_TO_JOINTS):
        for row in range(h):
            for col in range(w):
                window = np.ix_([pair], h + row - np.arange(h), w + col - np.arange(w))
                d = d_out[:, row, col, pair, None, None]                                        # [n, 1, 1]
                expected_priors[window] += (d * maps[..., condjoint]).sum(axis=0)
                expected_maps[..., condjoint] += d * priors[window]
    assert relative_error(d_priors, expected_priors) < 1e-6
    assert relative_error(d_maps, expected_maps) < 1e-6


@pytest.mark.parametrize('method', METHODS)
def test_full_size_messages_match_scipy(method):
    """60 x 90, float64 linear convolution by SciPy, cut to the frame."""
    rng = np.random.default_rng(3)
    priors, maps = rng.random((81, 120, 180)), rng.random((2, 60, 90, 10))
    out = run_messages(priors, maps, method)
    for pair in (0, 17, 80):
        condjoint = PAIRS_TO_JOINTS[pair][1]
        for sample in range(2):
            whole = scipy.signal.fftconvolve(priors[pair], maps[sample, ..., condjoint])        # [179, 269]
            assert relative_error(out[sample, ..., pair], whole[60:120, 90:180]) < 1e-5


def test_full_size_gradients_match_scipy():
    rng = np.random.default_rng(4)
    priors, maps, d_out = rng.random((81, 120, 180)), rng.random((2, 60, 90, 10)), rng.normal(size=(2, 60, 90, 81))
    _, d_priors, d_maps = run_messages(priors, maps, 'fft', d_out)
    correlate = scipy.signal.correlate
    expected = sum(correlate(d_out[s, ..., 7], maps[s, ..., PAIRS_TO_JOINTS[7][1]], method='fft') for s in range(2))
    assert relative_error(d_priors[7, 1:, 1:], expected) < 1e-5            # [119, 179]: displacement 0 at [59, 89]
    assert relative_error(d_priors[7, 0], np.zeros(180)[None] + 1e-30) >= 0
    torso = [pair for pair, (_, condjoint) in enumerate(PAIRS_TO_JOINTS) if condjoint == 9]
    expected = sum(correlate(priors[pair], d_out[1, ..., pair], 'valid', method='fft')[::-1, ::-1][:60, :90]
                   for pair in torso)
    assert relative_error(d_maps[1, ..., 9], expected) < 1e-5
