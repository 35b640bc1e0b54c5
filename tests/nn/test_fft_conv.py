"""fft_conv.py against SciPy in float64: values, both gradients, any tiling, any batch, cached spectra."""

import numpy as np
import pytest
from scipy import signal

from jointpose.nn import fft_conv, tiling
from jointpose.nn.tf1 import tf

TOLERANCE = (
    5e-6  # of the largest element; measured 2e-7 to 5e-7, conv2d itself on one thread 2.6e-6
)


def oracle(x, filters, dy):
    """SAME correlation and its gradients (y, dx, dw) in float64, one SciPy convolution per pair of channels."""
    r = filters.shape[0] // 2
    padded = np.pad(x, [(0, 0), (r, r), (r, r), (0, 0)])
    channels = [(c, f) for c in range(filters.shape[2]) for f in range(filters.shape[3])]
    y, dx, dw = np.zeros_like(dy), np.zeros_like(x), np.zeros_like(filters)
    for c, f in channels:
        for n in range(len(x)):
            y[n, ..., f] += signal.correlate(padded[n, ..., c], filters[..., c, f], 'valid')
            dx[n, ..., c] += signal.convolve(np.pad(dy[n, ..., f], r), filters[..., c, f], 'valid')
            dw[..., c, f] += signal.correlate(padded[n, ..., c], dy[n, ..., f], 'valid')
    return y, dx, dw


def draw(n, h, w, k, c, f, seed=0):
    """Random x, filters, dy in float64."""
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(n, h, w, c)),
        rng.normal(size=(k, k, c, f)),
        rng.normal(size=(n, h, w, f)),
    )


def run(x, filters, dy, method='fft'):
    """(y, dx, dw) of conv2d, built for an unknown batch."""
    with tf.Graph().as_default(), tf.Session() as session:
        places = [
            tf.placeholder(tf.float32, shape)
            for shape in ([None, *x.shape[1:]], filters.shape, [None, *dy.shape[1:]])
        ]
        y = fft_conv.conv2d(*places[:2], method)
        assert y.shape.as_list() == [None, *dy.shape[1:]]
        return session.run(
            [y, *tf.gradients(y, places[:2], places[2])], dict(zip(places, (x, filters, dy)))
        )


def assert_near(actual, expected):
    for a, e in zip(actual, expected):
        assert a.shape == e.shape
        assert np.abs(a - e).max() <= TOLERANCE * np.abs(e).max()


@pytest.mark.parametrize(
    'size',
    [
        (2, 60, 90, 9, 3, 4),
        (1, 30, 45, 9, 5, 2),
        (3, 15, 23, 9, 2, 3),
        (2, 13, 11, 5, 3, 3),
        (1, 7, 5, 9, 2, 2),
        (1, 1, 1, 5, 2, 1),
        (1, 20, 33, 21, 1, 2),
    ],
)
@pytest.mark.parametrize('method', ['fft', pytest.param('auto', marks=pytest.mark.long), 'direct'])
def test_value_and_gradients(size, method):
    arrays = draw(*size)
    assert_near(run(*arrays, method), oracle(*arrays))


@pytest.mark.parametrize('outputs', [(1, 1), (3, 4), (4, 3), (8, 9), (15, 2), (16, 16), (17, 23)])
def test_any_tiling(outputs, monkeypatch):
    monkeypatch.setattr(
        fft_conv,
        'choose_tiling',
        lambda maps, shape, n, costs: tiling.make_tiling(shape[0], maps, outputs),
    )
    arrays = draw(2, 17, 23, 9, 2, 3)
    assert_near(run(*arrays), oracle(*arrays))


@pytest.mark.usefixtures('bfloat16')
@pytest.mark.parametrize('method', ['fft', 'direct'])
@pytest.mark.parametrize('size', [(2, 60, 90, 9, 16, 8), (3, 15, 23, 5, 8, 32)])
def test_bfloat16(size, method):
    """Its 8 bits are a relative error of 0.2 % a rounding: measured 0.7 % by transforms, 0.2 % by
    `direct`, but 2.1 % of the latter's gradients, presumably since oneDNN rounds sums on their
    way."""
    x, filters, dy = draw(*size)
    with tf.Graph().as_default(), tf.Session() as session:
        places = [tf.constant(array, tf.bfloat16) for array in (x, dy)]
        w = tf.constant(filters, tf.float32)
        y = fft_conv.conv2d(places[0], w, method)
        found = [y, *tf.gradients(y, [places[0], w], places[1])]
        assert [tensor.dtype for tensor in found] == [tf.bfloat16, tf.bfloat16, tf.float32]
        rounded = session.run([tf.cast(place, tf.float64) for place in places])
        actual = session.run([tf.cast(tensor, tf.float64) for tensor in found])
    for a, e in zip(actual, oracle(rounded[0], filters, rounded[1])):
        error = np.sqrt(np.mean((a - e) ** 2) / np.mean(e**2))
        assert 1e-4 < error < (0.01 if method == 'fft' else 0.03)  # not float32 in disguise


def test_many_channels_do_not_add_error():
    """256 channels, as in the network; the oracle sums the 81 taps."""
    x, filters, _ = draw(1, 30, 45, 9, 256, 64)
    padded = np.pad(x, [(0, 0), (4, 4), (4, 4), (0, 0)])
    expected = sum(
        padded[:, i : i + 30, j : j + 45] @ filters[i, j] for i in range(9) for j in range(9)
    )
    with tf.Graph().as_default(), tf.Session() as session:
        y = session.run(
            fft_conv.conv2d(tf.constant(x, tf.float32), tf.constant(filters, tf.float32), 'fft')
        )
    assert_near([y], [expected])


def test_batches_do_not_mix():
    x, filters, dy = draw(4, 15, 23, 9, 3, 2)
    y, dx, dw = run(x, filters, dy)
    single = [run(x[i : i + 1], filters, dy[i : i + 1]) for i in range(4)]
    assert_near(
        [y, dx, dw],
        [
            np.concatenate([s[0] for s in single]),
            np.concatenate([s[1] for s in single]),
            np.sum([s[2] for s in single], axis=0),
        ],
    )


def test_empty_batch():
    x, filters, dy = draw(0, 15, 23, 9, 3, 2)
    y, dx, dw = run(x, filters, dy)
    assert y.shape == dy.shape and dx.shape == x.shape
    np.testing.assert_array_equal(dw, np.zeros_like(filters))


@pytest.mark.parametrize('method', ['auto', 'fft'])
def test_kept_spectrum_replaces_the_filters(method):
    x, filters, dy = draw(2, 15, 23, 9, 3, 2)
    with tf.Graph().as_default(), tf.Session() as session:
        kept = tf.get_variable(
            'spectrum',
            trainable=False,
            initializer=fft_conv.filter_spectrum(tf.constant(filters, tf.float32), (15, 23)),
        )
        places = [
            tf.placeholder(tf.float32, [None, 15, 23, 3]),
            tf.placeholder(tf.float32, filters.shape),
        ]
        y = fft_conv.conv2d(*places, method, spectrum=kept)
        (dx,) = tf.gradients(y, places[:1], tf.constant(dy, tf.float32))
        session.run(kept.initializer)
        actual = session.run([y, dx], {places[0]: x, places[1]: np.full_like(filters, np.nan)})
    assert_near(actual, oracle(x, filters, dy)[:2])


def test_two_towers_share_variables():
    """Each tower's gradient is its own share's; reference variables, as tf.get_variable makes them."""
    x, filters, dy = draw(4, 15, 23, 9, 2, 3)
    with tf.Graph().as_default(), tf.Session() as session:
        w = tf.get_variable('w', initializer=tf.constant(filters, tf.float32), use_resource=False)
        total = 0
        for tower in range(2):
            with tf.device('/cpu:0'), tf.name_scope(f'tower{tower}'):
                share = slice(2 * tower, 2 * tower + 2)
                y = fft_conv.conv2d(tf.constant(x[share], tf.float32), w, 'fft')
                total += tf.gradients(y, w, tf.constant(dy[share], tf.float32))[0]
        session.run(tf.global_variables_initializer())
        assert_near([session.run(total)], oracle(x, filters, dy)[2:])


def test_inside_a_while_loop():
    """Three applications in a loop equal three in a row, gradients included."""
    x, filters, dy = draw(1, 9, 9, 5, 2, 2)
    with tf.Graph().as_default(), tf.Session() as session:
        start, w = tf.constant(x, tf.float32), tf.constant(filters / 10, tf.float32)
        _, looped = tf.while_loop(
            lambda i, _: i < 3, lambda i, v: (i + 1, fft_conv.conv2d(v, w, 'fft')), [0, start]
        )
        row = start
        for _ in range(3):
            row = fft_conv.conv2d(row, w, 'direct')
        dy = tf.constant(dy, tf.float32)
        actual, expected = session.run(
            [(y, *tf.gradients(y, [start, w], dy)) for y in (looped, row)]
        )
    assert_near(actual, expected)


def test_refuses_even_filters_and_unknown_methods():
    x = tf.zeros([1, 9, 9, 1])
    with pytest.raises(ValueError, match='odd and square'):
        fft_conv.conv2d(x, tf.zeros([4, 4, 1, 1]), 'fft')
    with pytest.raises(ValueError, match='winograd'):
        fft_conv.conv2d(x, tf.zeros([3, 3, 1, 1]), 'winograd')


def peak_of_a_step(channels=48, depth=4):
    """Bytes that TensorFlow's tensors take at most in one forward and backward pass of several convolutions.

    On one thread, where it is the same each time; summed from TensorFlow's own records of what it
    allocates.
    """
    one_thread = tf.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    with tf.Graph().as_default(), tf.Session(config=one_thread) as session:
        x = first = tf.placeholder(tf.float32, [1, 60, 90, channels])
        filters = [
            tf.get_variable(f'filters_{i}', [9, 9, channels, channels]) for i in range(depth)
        ]
        for one in filters:
            x = fft_conv.conv2d(x, one, 'fft')
        step = [gradient.op for gradient in tf.gradients(tf.reduce_sum(x * x), [first, *filters])]
        session.run(tf.global_variables_initializer())
        metadata = tf.RunMetadata()
        session.run(
            step,
            {first: np.ones(first.shape.as_list())},
            tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE),
            metadata,
        )
    nodes = [node for device in metadata.step_stats.dev_stats for node in device.node_stats]
    records = [
        record for node in nodes for memory in node.memory for record in memory.allocation_records
    ]
    changes = sorted(
        (record.alloc_micros, record.alloc_bytes) for record in records
    )  # negative where freed
    return np.cumsum([n for _, n in changes]).max()


def test_transforms_are_not_held_from_the_forward_to_the_backward_pass(monkeypatch):
    """What `_after` is for: without it TensorFlow computes equal transforms once, and keeps them all that time."""
    peak = peak_of_a_step()
    monkeypatch.setattr(fft_conv, '_after', lambda before, x: x)
    assert peak < 0.92 * peak_of_a_step()
