"""Convolutions, repeated cells and squared distance against NumPy in float64."""

import numpy as np
import pytest

from jointpose.nn import layers
from jointpose.nn.tf1 import tf


@pytest.mark.parametrize(('size', 'stride'), [(3, 1), (3, 2), (1, 1), (1, 2), (7, 2)])
def test_centred_convolution_samples_every_stride(tf_graph, size, stride):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 8, 10, 3))
    y = layers.conv_bias(tf.constant(x, tf.float32), size, 4, stride, padding='CENTRED')
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        got, weights = session.run([y, tf.trainable_variables()[0]])
    padded = np.pad(x, ((0, 0), (size // 2, size // 2), (size // 2, size // 2), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), (1, 2))[
        :, ::stride, ::stride
    ]
    np.testing.assert_allclose(
        got, np.einsum('nrcikl,klio->nrco', windows, weights.astype(np.float64)), atol=1e-5
    )


def test_weights_start_as_asked(tf_graph):
    x = tf.zeros([1, 8, 8, 64])
    for name in ('he', 'own'):
        with tf.variable_scope(name):
            layers.conv(x, 3, 64, deviation=None if name == 'he' else 1e-3)
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        he, own = session.run(tf.trainable_variables())  # truncated at two: 0.88 of it is left
    assert he.std() == pytest.approx(0.88 * (2 / (9 * 64)) ** 0.5, rel=0.02)
    assert own.std() == pytest.approx(0.88e-3, rel=0.02)


def test_enlarge_nearest(tf_graph):
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 4)).astype(np.float32)
    with tf_graph() as session:
        for factor in (1, 2, 4):
            got = session.run(layers.enlarge_nearest(tf.constant(x), factor))
            np.testing.assert_array_equal(got, x.repeat(factor, axis=1).repeat(factor, axis=2))


def test_squared_distance(tf_graph):
    rng = np.random.default_rng(0)
    maps, targets, weights = rng.normal(size=(2, 3, 5, 6, 4)).tolist() + [
        [[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 0.5, 1]]
    ]
    maps, targets, weights = map(np.array, (maps, targets, weights))
    each = [
        [((maps[b, ..., k] - targets[b, ..., k]) ** 2).sum() for k in range(4)] for b in range(3)
    ]
    with tf_graph() as session:
        got, weighted = session.run(
            [
                layers.squared_distance(maps, targets),
                layers.squared_distance(maps, targets, weights),
            ]
        )
    np.testing.assert_allclose(got, np.mean(each, axis=1))
    np.testing.assert_allclose(weighted, np.mean(np.multiply(weights, each), axis=1))
    assert weighted[1] == 0


@pytest.mark.parametrize('dtype', [tf.float32, tf.bfloat16])
def test_gradient_of_the_bias_is_not_summed_in_bfloat16(tf_graph, dtype):
    """2 x 120 x 180 positive numbers: bfloat16, of 8 bits, stops counting at 256 times one of them,
    and so does the gradient of tf.nn.bias_add on a CPU."""
    channels = 8
    dy = np.random.default_rng(0).uniform(0.5, 1.5, (2, 120, 180, channels))
    y = layers.conv_bias(tf.zeros([2, 120, 180, 1], dtype), 1, channels)
    (bias,) = (v for v in tf.trainable_variables() if v.op.name == 'bias')
    given = tf.constant(dy, dtype)
    (gradient,) = tf.gradients(y, bias, given)
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        actual, rounded = session.run([gradient, tf.cast(given, tf.float64)])
    np.testing.assert_allclose(actual, rounded.sum((0, 1, 2)), rtol=0.005)


@pytest.mark.parametrize('rate', [0.6, 0.1])
def test_mean_of_a_relu_under_dropout(tf_graph, rate):
    """The mean over 20,000 draws, by NumPy; without it sums that are negative on average give 0."""
    rng = np.random.default_rng(0)
    x = rng.exponential(size=(3, 200)).astype(np.float32)
    with tf.variable_scope('layer'):
        got = layers.mean_relu_under_dropout(tf.constant(x), 7, rate)
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        got, weights = session.run([got, tf.trainable_variables()[0]])
    kept = rng.random((20_000, 1, 200)) >= rate
    sums = (x * kept / (1 - rate)) @ weights.astype(np.float64)  # [20000, 3, 7]
    expected = np.maximum(sums, 0).mean(0)
    np.testing.assert_allclose(got, expected, atol=0.03 * sums.std(0).max())
    plain = np.maximum(x @ weights, 0)
    assert (got > plain).all() and (got - plain).max() > 0.1 * sums.std(0).max()
