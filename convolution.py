"""Convolution with large filters by tiled Fourier transforms: `tf.nn.conv2d`'s result with 6 to 12 times fewer operations.

    y = conv2d(x, filters)                      # SAME, stride 1, x [n,h,w,c], filters [k,k,c,f], k odd
    y = conv2d(x, filters, 'direct')            # always tf.nn.conv2d;  'fft': always this; 'auto': by size
    spectrum = filter_spectrum(filters, (h, w)) # inference: transform the weights once, keep the result,
    y = conv2d(x, filters, 'fft', spectrum)     # and hand it in

Method: overlap-save in two dimensions.  A tile of P x Q inputs, P = m1 + k - 1, gives m1 x m2 outputs.  Both transforms
are matrix products with the DFT basis, separable, and put the frequency first; so what remains at each frequency is
one product of a [tiles, c] with a [c, f] matrix.  A complex product takes three real ones (Karatsuba): the spectra hold
(re, im, re + im) of each frequency, which costs nothing as the sums are rows of the basis.  So the whole is
    y = C [(A x) (B w)],   dx = A' [(C' dy) (B w)'],   dw = B' [(A x)' (C' dy)]
with real constant matrices A, B, C; `'` is the transpose.  The backward pass transforms x and w again: it is cheap, and
the spectra, five times larger than x, need not be kept.

Source: Mathieu, Henaff, LeCun, Fast training of convolutional networks through FFTs, 2014; overlap-save: Oppenheim,
Schafer, Discrete-time signal processing.
"""
import collections

import numpy as np

from tf1 import tf

Plan = collections.namedtuple('Plan', 'k maps tiles outputs inputs')   # each but k a (rows, columns) pair


def conv2d(x, filters, method='auto', spectrum=None):
    """tf.nn.conv2d(x, filters, strides=1, padding='SAME') and its gradients, for odd square filters.

    x: [n, h, w, c] float32, n may be unknown; filters: [k, k, c, f]; method: 'auto' (see `choose`), 'direct' or 'fft'.
    spectrum: `filter_spectrum(filters, (h, w))`, if it is known already; then the filters get no gradient.
    Returns [n, h, w, f].
    """
    if method == 'auto':
        method = choose(x.shape.as_list(), filters.shape.as_list(), on_gpu=bool(tf.config.list_physical_devices('GPU')))
    if method == 'direct':
        return tf.nn.conv2d(x, filters, strides=1, padding='SAME')
    plan = _plan(filters.shape.as_list(), x.shape.as_list()[1:3])
    if spectrum is not None:
        f = filters.shape.as_list()[3]
        rows = _row_analysis(x, plan)
        return _row_synthesis(_each_row(lambda p: _forward(rows[p], spectrum[p], plan), plan), plan, f)
    return _differentiable(plan)(x, filters)


def filter_spectrum(filters, map_shape):
    """The filters' transform [P', 3Q, c, f] for maps of `map_shape` = (h, w): what inference keeps in a variable."""
    plan = _plan(filters.shape.as_list(), map_shape)
    rows = _filter_row_analysis(filters, plan)
    return tf.reshape(_product(_column_basis(plan, plan.k, +1), rows),
                      [plan.inputs[0] // 2 + 1, 3 * plan.inputs[1]] + filters.shape.as_list()[2:])


def _forward(rows, ws, plan):
    q = plan.inputs[1]
    xs = tf.reshape(_product(_column_basis(plan, q, -1), rows), [3 * q, -1, ws.shape.as_list()[1]])
    return _product(_column_inverse(plan), tf.reshape(tf.matmul(xs, ws), [3 * q, -1]))


def choose(x_shape, filters_shape, on_gpu):
    """The faster method for these shapes, 'direct' or 'fft': measured on a CPU; on a GPU always 'direct'."""
    k, _, c, f = filters_shape
    return 'fft' if not on_gpu and k >= 5 and c * f >= 128 * 128 else 'direct'


def _differentiable(plan):
    @tf.custom_gradient
    def convolve(x, filters):
        c, f = filters.shape.as_list()[2:]
        rows, filter_rows = _row_analysis(x, plan), _filter_row_analysis(filters, plan)
        B = _column_basis(plan, plan.k, +1)
        A = _column_basis(plan, plan.inputs[1], -1)
        C = _column_inverse(plan)
        q = plan.inputs[1]

        def forward(p):
            ws = tf.reshape(_product(B, filter_rows[p]), [3 * q, c, f])
            return _forward(rows[p], ws, plan)
        y = _row_synthesis(_each_row(forward, plan), plan, f)

        def gradient(dy):
            with tf.control_dependencies([dy]):       # else the forward pass's spectra would be kept and used here
                x_again, filters_again = tf.identity(x), tf.identity(filters)
            rows, filter_rows = _row_analysis(x_again, plan), _filter_row_analysis(filters_again, plan)
            dy = _row_synthesis_transpose(dy, plan)

            def backward(p):
                ys = tf.reshape(_product(C, dy[p], transpose=True), [3 * q, -1, f])
                ws = tf.reshape(_product(B, filter_rows[p]), [3 * q, c, f])
                dx = tf.reshape(tf.matmul(ys, ws, transpose_b=True), [3 * q, -1])
                dx = _product(A, dx, transpose=True)
                with tf.control_dependencies([dx]):
                    xs = tf.reshape(_product(A, rows[p]), [3 * q, -1, c])
                dw = tf.reshape(tf.matmul(xs, ys, transpose_a=True), [3 * q, -1])
                return dx, _product(B, dw, transpose=True)
            dx, dw = _each_row(backward, plan, 2)
            return _row_analysis_transpose(dx, plan, c), _filter_row_analysis_transpose(dw, plan, c, f)
        return y, gradient
    return convolve


def _each_row(function, plan, results=1):
    dtype = tf.float32 if results == 1 else (tf.float32,) * results
    return tf.map_fn(function, tf.range(plan.inputs[0] // 2 + 1), dtype, parallel_iterations=1)


def _plan(filters_shape, map_shape):
    k = filters_shape[0]
    outputs = OUT
    tiles = tuple(-(-size // m) for size, m in zip(map_shape, outputs))
    return Plan(k, tuple(map_shape), tiles, outputs, tuple(m + k - 1 for m in outputs))

OUT = (15, 10)

def _basis(frequencies, samples, period, sign):
    """cos and sin: [2, frequencies, samples] of exp(sign 2 pi i f s / period) as (re, im)."""
    angle = sign * 2 * np.pi / period * np.outer(np.arange(frequencies), np.arange(samples))
    return np.stack([np.cos(angle), np.sin(angle)])


def _row_basis(plan, samples, sign):
    """[2 P', samples]: real rows -> (re, im) of the P' = P // 2 + 1 frequencies that symmetry leaves."""
    basis = _basis(plan.inputs[0] // 2 + 1, samples, plan.inputs[0], sign)
    return basis.transpose(1, 0, 2).reshape(-1, samples)


def _column_basis(plan, samples, sign):
    """[3 Q, 2 samples]: complex columns (re, im) -> (re, im, re + im) of the Q frequencies."""
    re, im = _basis(plan.inputs[1], samples, plan.inputs[1], sign)            # [Q, samples]
    re, im = np.hstack([re, -im]), np.hstack([im, re])                        # [Q, 2 samples]
    return np.vstack([re, im, re + im])


def _column_inverse(plan):
    """[2 m2, 3 Q]: the three products -> (re, im) of the valid columns."""
    p, q = plan.inputs
    re, im = _basis(plan.outputs[1], q, q, +1) / q                            # [m2, Q]
    re, im = np.vstack([re, im]), np.vstack([-im, re])                        # [2 m2, Q], of a real and an imaginary part
    return np.hstack([re - im, -re - im, im])                                 # re = 1st - 2nd, im = 3rd - 1st - 2nd


def _row_inverse(plan):
    """[m1, 2 P']: half of the frequencies -> the valid rows, real."""
    p = plan.inputs[0]
    frequencies = np.arange(p // 2 + 1)
    weight = np.where((frequencies == 0) | (2 * frequencies == p), 1, 2) / p
    re, im = _basis(plan.outputs[0], p // 2 + 1, p, +1) * weight              # [m1, P']
    return np.stack([re, -im], axis=2).reshape(plan.outputs[0], -1)


def _product(matrix, x, transpose=False):
    """[a, b] x [..., b, any] -> [..., a, any]."""
    return tf.matmul(tf.constant(matrix.T if transpose else matrix, tf.float32), x)


def _overlapping(tiles, outputs, inputs):
    """int [inputs * tiles]: position of sample s of tile t in the padded map, s major."""
    return (np.arange(inputs)[:, None] + outputs * np.arange(tiles)).ravel()


def _row_analysis(x, plan):
    """maps [n, h, w, c] -> [P', 2 Q, tiles c]."""
    (p, q), (th, tw), c = plan.inputs, plan.tiles, x.shape.as_list()[3]
    before = plan.k // 2
    height, width = (t * m + plan.k - 1 for t, m in zip(plan.tiles, plan.outputs))
    x = tf.pad(x, [[0, 0], [before, height - before - plan.maps[0]], [before, width - before - plan.maps[1]], [0, 0]])
    x = tf.gather(x, _overlapping(th, plan.outputs[0], p), axis=1)             # [n, P th, W, c]
    x = tf.transpose(tf.reshape(x, [-1, p, th, width, c]), [1, 3, 0, 2, 4])    # [P, W, n, th, c]
    x = _product(_row_basis(plan, p, -1), tf.reshape(x, [p, -1]))              # [P' 2, W n th c]
    rows = p // 2 + 1
    x = tf.gather(tf.reshape(x, [2 * rows, width, -1]), _overlapping(tw, plan.outputs[1], q), axis=1)
    return tf.reshape(x, [rows, 2 * q, -1])


def _row_analysis_transpose(x, plan, c):
    (p, q), (th, tw) = plan.inputs, plan.tiles
    rows = p // 2 + 1
    x = _overlap_add(tf.reshape(x, [2 * rows, q, tw, -1]), plan.outputs[1])    # [P' 2, m2, tw', n th c]
    blocks = x.shape.as_list()[2]
    x = _product(_row_basis(plan, p, -1), tf.reshape(x, [2 * rows, -1]), transpose=True)   # [P, m2 tw' n th c]
    m1, m2 = plan.outputs
    x = tf.transpose(tf.reshape(x, [p, m2, blocks, -1, th, c]), [3, 0, 4, 2, 1, 5])        # [n, P, th, tw', m2, c]
    x = tf.reshape(x, [-1, p, th, blocks * m2 * c])
    x = tf.transpose(_overlap_add(x, m1), [0, 2, 1, 3])                        # [n, th', m1, tw' m2 c]
    x = tf.reshape(x, [-1, x.shape.as_list()[1] * m1, blocks * m2, c])
    before, (h, w) = plan.k // 2, plan.maps
    return x[:, before:before + h, before:before + w]


def _overlap_add(x, outputs):
    """[a, inputs, tiles, b] -> [a, outputs, tiles', b]: transpose of cutting overlapping tiles out of blocks."""
    inputs = x.shape.as_list()[1]
    starts = range(0, inputs, outputs)
    return tf.add_n([tf.pad(x[:, s:s + outputs],
                            [[0, 0], [0, max(0, s + outputs - inputs)], [i, len(starts) - 1 - i], [0, 0]])
                     for i, s in enumerate(starts)])


def _filter_row_analysis(filters, plan):
    """B: filters [k, k, c, f] -> [P', 2k, c f]; conjugate basis, as tf.nn.conv2d correlates."""
    k, rows = plan.k, plan.inputs[0] // 2 + 1
    w = _product(_row_basis(plan, k, +1), tf.reshape(filters, [k, -1]))        # [P' 2, k c f]
    return tf.reshape(w, [rows, 2 * k, -1])


def _filter_row_analysis_transpose(w, plan, c, f):
    k, rows = plan.k, plan.inputs[0] // 2 + 1
    w = _product(_row_basis(plan, k, +1), tf.reshape(w, [2 * rows, -1]), transpose=True)
    return tf.reshape(w, [k, k, c, f])


def _row_synthesis(y, plan, f):
    """[P', 2 m2, tiles f] -> maps [n, h, w, f]."""
    (p, q), (m1, m2), (th, tw) = plan.inputs, plan.outputs, plan.tiles
    rows = p // 2 + 1
    y = _product(_row_inverse(plan), tf.reshape(y, [2 * rows, -1]))            # [m1, m2 tw n th f]
    y = tf.transpose(tf.reshape(y, [m1, m2, tw, -1, th, f]), [3, 4, 0, 2, 1, 5])
    y = tf.reshape(y, [-1, th * m1, tw * m2, f])
    return y[:, :plan.maps[0], :plan.maps[1]]


def _row_synthesis_transpose(y, plan):
    (p, q), (m1, m2), (th, tw), f = plan.inputs, plan.outputs, plan.tiles, y.shape.as_list()[3]
    rows = p // 2 + 1
    y = tf.pad(y, [[0, 0], [0, th * m1 - plan.maps[0]], [0, tw * m2 - plan.maps[1]], [0, 0]])
    y = tf.transpose(tf.reshape(y, [-1, th, m1, tw, m2, f]), [2, 4, 3, 0, 1, 5])   # [m1, m2, tw, n, th, f]
    y = _product(_row_inverse(plan), tf.reshape(y, [m1, -1]), transpose=True)  # [P' 2, m2 tw n th f]
    return tf.reshape(y, [rows, 2 * m2, -1])
