"""Convolution with large filters by tiled Fourier transforms: a tenth of tf.nn.conv2d's operations.

    y = conv2d(x, filters)                       # SAME, stride 1; x [n,h,w,c], filters [k,k,c,f]
    y = conv2d(x, filters, 'direct')             # tf.nn.conv2d;  'fft': this;  'auto': the cheaper
    spectrum = filter_spectrum(filters, (h, w))  # for inference: transform the weights once
    y = conv2d(x, filters, 'fft', spectrum)      # (spectrum_cache.py)

Method: overlap-save in two dimensions.  A tile of P x Q inputs, P = m1 + k - 1, gives m1 x m2
outputs.  The transforms are matrix products with the DFT basis, rows first, and put the frequency
first: what remains at each frequency is the product of a [tiles, c] and a [c, f] matrix.  A complex
product takes three real ones (Karatsuba): a spectrum holds (re, im, re + im), which costs nothing,
because the sums are rows of the basis.  So the whole is, for real constant matrices A, B, C,

    y = C [(A x) (B w)],   dx = A' [(C' dy) (B w)'],   dw = B' [(A x)' (C' dy)],

where ' is the transpose.  Only the row transforms are kept whole, those of the inputs also for the
way back.  Columns are cut into overlapping tiles, transformed, multiplied, transformed back and
overlap-added one row frequency at a time, and the backward pass repeats the filters' transforms:
memory stays near that of tf.nn.conv2d.

Letters in the margins: P' = P // 2 + 1 row frequencies (the others are their conjugates), Q column
frequencies, th x tw tiles of a map, T = tw n th all tiles, W = tw m2 + k - 1 padded width, tw+
blocks of m2 that cover it.

Sources: overlap-save, Oppenheim and Schafer, Discrete-time signal processing, 8.7; for networks,
Mathieu, Henaff and LeCun, Fast training of convolutional networks through FFTs, 2014.
"""

from collections.abc import Sequence

import numpy as np

from jointpose.nn import spectrum_cache
from jointpose.nn.sums import ordered_sum
from jointpose.nn.tf1 import tf
from jointpose.nn.tiling import (
    INFERENCE,
    TYPICAL_BATCH,
    Costs,
    Tiling,
    choose,
    choose_tiling,
    training_costs,
)

METHODS = ('auto', 'direct', 'fft')


def conv2d(
    x: tf.Tensor,
    filters: tf.Tensor,
    method: str = 'auto',
    spectrum: tf.Tensor | None = None,
    n: int | None = None,
) -> tf.Tensor:
    """tf.nn.conv2d(x, filters, strides=1, padding='SAME') in value and gradients.

    Args:
        x: float32 or bfloat16 [n, h, w, c], in whose type all is computed; n may be unknown.
        filters: [k, k, c, f], k odd.
        method: one of METHODS; 'auto': see tiling.choose.
        spectrum: `filter_spectrum(filters, (h, w))`, if it is known already.  Then the filters'
            values are not used, they get no gradient, and 'auto' means 'fft'.
        n: the expected batch size, for the choice of method and tiles, if x's shape does not say.

    Returns:
        [n, h, w, f] of x's type.
    """
    x = tf.convert_to_tensor(x)
    filters = tf.convert_to_tensor(filters)
    batch, h, w, _ = x.shape.as_list()
    filters_shape = filters.shape.as_list()
    if spectrum is not None:
        tiling = choose_tiling((h, w), filters_shape, TYPICAL_BATCH, INFERENCE)
        return _forward(_input_rows(x, tiling), lambda p: spectrum[p], filters_shape[3], tiling)
    costs = training_costs(x.dtype)
    if choose_method(method, x, filters, n, costs) == 'direct':
        return tf.nn.conv2d(x, tf.cast(filters, x.dtype), strides=1, padding='SAME')
    n = batch or n or TYPICAL_BATCH
    return tiled_conv2d(x, filters, choose_tiling((h, w), filters_shape, n, costs))


def choose_method(
    method: str,
    x: tf.Tensor,
    filters: tf.Tensor,
    n: int | None = None,
    costs: Costs = INFERENCE,
) -> str:
    """'direct' or 'fft': what `method` comes to for these tensors.  n: see `conv2d`."""
    if method not in METHODS:
        raise ValueError(f'method must be one of {METHODS}, got {method!r}')
    if method != 'auto':
        return method
    batch, *rest = x.shape.as_list()
    shape = [n if batch is None else batch, *rest]
    return choose(shape, filters.shape.as_list(), on_gpu(x), costs)


def on_gpu(x: tf.Tensor) -> bool:
    """Whether a tensor is computed on a GPU.

    Its tower's device says so; without one, TensorFlow takes a GPU if there is any.
    """
    if x.device:
        return 'GPU' in x.device.upper()
    return bool(tf.config.list_physical_devices('GPU'))


def filter_spectrum(filters: tf.Tensor, map_shape: Sequence[int]) -> tf.Tensor:
    """Filters [k, k, c, f] -> their transform [P', 3 Q, c, f] for maps (h, w) and any batch."""
    c, f = filters.shape.as_list()[2:]
    tiling = choose_tiling(map_shape, filters.shape.as_list(), TYPICAL_BATCH, INFERENCE)
    _, basis, _ = _column_bases(tiling)
    spectrum = _product(basis, _filter_rows(filters, tiling))  # [P', 3 Q, c f]
    return tf.reshape(spectrum, [tiling.rows, 3 * tiling.inputs[1], c, f])


def cached_filter_spectrum(weights: tf.Tensor, map_shape: Sequence[int]) -> tf.Variable:
    """`filter_spectrum`, computed once (spectrum_cache.py)."""
    return spectrum_cache.cached(filter_spectrum(weights, map_shape))


def tiled_conv2d(x: tf.Tensor, filters: tf.Tensor, tiling: Tiling) -> tf.Tensor:
    """`conv2d` by these tiles, with both gradients."""

    @tf.custom_gradient
    def convolve(x, filters):
        f = filters.shape.as_list()[3]
        x_rows = _input_rows(x, tiling)  # kept in place of x, one and a half to two times its size

        def gradient(dy):
            w = tf.cast(_after(dy, filters), x.dtype)
            dx, dw = _backward(dy, _after(dy, x_rows), w, tiling)
            return dx, tf.cast(dw, filters.dtype)

        w = tf.cast(_after(x, filters), x.dtype)
        y = _forward(x_rows, lambda p: _filter_spectrum(w, p, tiling), f, tiling)
        return y, gradient

    return convolve(x, filters)


def _forward(x_rows, filter_spectrum_at, f, tiling):
    """_input_rows(x) of x [n, h, w, c] -> y [n, h, w, f].

    filter_spectrum_at(p): the filters' [3 Q, c, f] at row frequency p.
    """
    c = x_rows.shape.as_list()[-1]
    inputs, _, outputs = _column_bases(tiling)

    def at_row(p):
        tiles = _column_tiles(x_rows[p], tiling)  # [2 Q, T c]
        x = _spectrum(inputs, tiles, c)  # [3 Q, T, c]
        y = tf.matmul(x, filter_spectrum_at(p))  # [3 Q, T, f]
        return _from_spectrum(outputs, y)  # [2 m2, T f]

    return _output_maps(_each_row(at_row, x_rows.dtype, tiling), f, tiling)


def _backward(dy, x_rows, filters, tiling):
    """dy [n, h, w, f], _input_rows(x) -> gradients of x and filters, [n, h, w, c], [k, k, c, f]."""
    c, f = filters.shape.as_list()[2:]
    inputs, weights, outputs = _column_bases(tiling)
    y_rows = _output_maps_transpose(dy, tiling)  # [P', 2 m2, T f]

    def at_row(p):
        y = _spectrum(outputs.T, y_rows[p], f)  # [3 Q, T, f]
        w = _filter_spectrum(filters, p, tiling)  # [3 Q, c, f]
        dx = _from_spectrum(inputs.T, tf.matmul(y, w, transpose_b=True))  # [2 Q, T c]
        dx = _column_tiles_transpose(dx, tiling)  # [2 m2, tw+ n th c]
        tiles = _column_tiles(_after(dx, x_rows[p]), tiling)  # [2 Q, T c]
        x = _spectrum(inputs, tiles, c)  # [3 Q, T, c]
        dw = _from_spectrum(weights.T, tf.matmul(x, y, transpose_a=True))  # [2 k, c f]
        return dx, dw

    dx, dw = _each_row(at_row, (dy.dtype, dy.dtype), tiling)
    return _input_rows_transpose(dx, c, tiling), _filter_rows_transpose(dw, c, f, tiling)


def _each_row(function, signature, tiling):
    """function(p) of all row frequencies p, stacked; one after the other, to save memory."""
    function = tf.autograph.experimental.do_not_convert(function)  # nothing in it to convert
    rows = tf.range(tiling.rows, dtype=tf.int64)  # a GPU has no kernel for lists of int32
    return tf.map_fn(function, rows, fn_output_signature=signature, parallel_iterations=1)


def _after(before, x):
    """x, which is not read until `before` is known.

    This also keeps TensorFlow from merging equal computations on x, whose results it would hold
    from the forward to the backward pass.
    """
    with tf.control_dependencies([before]):
        return tf.identity(x)


def _spectrum(basis, x, channels):
    """Along the columns, [3 Q, s] x [s, T c] -> [3 Q, T, c]."""
    return tf.reshape(_product(basis, x), [basis.shape[0], -1, channels])


def _from_spectrum(basis, x):
    """Along the columns, [s, 3 Q] x [3 Q, T, c] -> [s, T c]."""
    return _product(basis, tf.reshape(x, [basis.shape[1], -1]))


def _product(matrix, x):
    """Constant [a, b] x [..., b, d] -> [..., a, d]."""
    return tf.matmul(tf.convert_to_tensor(matrix, x.dtype), x)


# --- the bases ------------------------------------------------------------------------------------
# A pair (re, im) is one axis of length 2 s: in the order re 0, re 1, ..., im 0, im 1, ... along
# columns, and re 0, im 0, re 1, ... along row frequencies.


def _fourier(frequencies, samples, period, sign):
    """[2, frequencies, samples]: re and im of exp(sign 2 pi i frequency sample / period)."""
    angle = sign * 2 * np.pi / period * np.outer(np.arange(frequencies), np.arange(samples))
    return np.stack([np.cos(angle), np.sin(angle)])


def _row_bases(tiling):
    """Real matrices of the rows: inputs [2 P', P], filters [2 P', k], outputs [m1, 2 P'].

    The filters' basis is the conjugate one, as tf.nn.conv2d correlates.
    """
    p = tiling.inputs[0]
    m1 = tiling.outputs[0]
    rows = tiling.rows

    def forward(samples, sign):
        re_im = _fourier(rows, samples, p, sign)  # [2, P', samples]
        return re_im.transpose(1, 0, 2).reshape(2 * rows, samples)

    alone = np.arange(rows) * 2 % p == 0  # frequencies that are their own conjugates
    re, im = _fourier(m1, rows, p, +1) * np.where(alone, 1, 2) / p  # [m1, P']
    outputs = np.stack([re, -im], axis=2).reshape(m1, 2 * rows)
    return forward(p, -1), forward(tiling.k, +1), outputs


def _column_bases(tiling):
    """Real matrices of the columns: inputs [3 Q, 2 Q], filters [3 Q, 2 k], outputs [2 m2, 3 Q].

    Karatsuba: with spectra (re, im, re + im) and their products (1, 2, 3), re = 1 - 2 and
    im = 3 - 1 - 2.
    """
    q = tiling.inputs[1]
    m2 = tiling.outputs[1]

    def forward(samples, sign):
        cos, sin = _fourier(q, samples, q, sign)  # [Q, samples]
        re = np.hstack([cos, -sin])  # [Q, 2 samples]
        im = np.hstack([sin, cos])
        return np.vstack([re, im, re + im])

    cos, sin = _fourier(m2, q, q, +1) / q  # [m2, Q]
    re = np.vstack([cos, sin])  # [2 m2, Q]
    im = np.vstack([-sin, cos])
    return forward(q, -1), forward(tiling.k, +1), np.hstack([re - im, -re - im, im])


# --- between maps and the rows' transforms --------------------------------------------------------
# Each `_transpose` undoes the steps of the function above it.


def _input_rows(x, tiling):
    """[n, h, w, c] -> [P', 2, W, n th, c]: overlapping rows of tiles, transformed along rows."""
    p = tiling.inputs[0]
    m1 = tiling.outputs[0]
    th = tiling.tiles[0]
    width = _padded_width(tiling)
    c = x.shape.as_list()[3]
    x = _pad(x, tiling.k // 2, th * m1 + tiling.k - 1, width)
    x = tf.gather(x, _overlapping(p, th, m1), axis=1)  # [n, P th, W, c]
    x = tf.reshape(x, [-1, p, th, width, c])
    x = tf.transpose(x, [1, 3, 0, 2, 4])  # [P, W, n, th, c]
    basis, _, _ = _row_bases(tiling)
    x = _product(basis, tf.reshape(x, [p, -1]))  # [P' 2, W n th c]
    return tf.reshape(x, [tiling.rows, 2, width, -1, c])


def _input_rows_transpose(x, c, tiling):
    """[P', 2 m2, tw+ n th c], columns overlap-added already -> [n, h, w, c]."""
    p = tiling.inputs[0]
    m1, m2 = tiling.outputs
    th = tiling.tiles[0]
    h, w = tiling.maps
    before = tiling.k // 2
    columns = -(-_padded_width(tiling) // m2)  # tw+
    basis, _, _ = _row_bases(tiling)
    x = _product(basis.T, tf.reshape(x, [2 * tiling.rows, -1]))  # [P, m2 tw+ n th c]
    x = tf.reshape(x, [p, m2, columns, -1, th, c])
    x = tf.transpose(x, [3, 0, 4, 2, 1, 5])  # [n, P, th, tw+, m2, c]
    x = tf.reshape(x, [-1, p, th, columns * m2 * c])
    x = _overlap_add(x, m1)  # [n, m1, th+, tw+ m2 c]
    blocks = x.shape.as_list()[2]  # th+
    x = tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [-1, blocks * m1, columns * m2, c])
    return x[:, before : before + h, before : before + w]


def _column_tiles(x, tiling):
    """At one row frequency, [2, W, n th, c] -> [2 Q, T c]: overlapping tiles of columns."""
    q = tiling.inputs[1]
    tw = tiling.tiles[1]
    m2 = tiling.outputs[1]
    return tf.reshape(tf.gather(x, _overlapping(q, tw, m2), axis=1), [2 * q, -1])


def _column_tiles_transpose(x, tiling):
    """At one row frequency, [2 Q, T c] -> [2 m2, tw+ n th c]."""
    q = tiling.inputs[1]
    tw = tiling.tiles[1]
    m2 = tiling.outputs[1]
    return tf.reshape(_overlap_add(tf.reshape(x, [2, q, tw, -1]), m2), [2 * m2, -1])


def _padded_width(tiling):
    """W, the columns that the tiles cover."""
    return tiling.tiles[1] * tiling.outputs[1] + tiling.k - 1


def _output_maps(y, f, tiling):
    """[P', 2 m2, T f] -> [n, h, w, f]: inverse transform along the rows, tiles side by side."""
    m1, m2 = tiling.outputs
    th, tw = tiling.tiles
    h, w = tiling.maps
    _, _, basis = _row_bases(tiling)
    y = _product(basis, tf.reshape(y, [2 * tiling.rows, -1]))  # [m1, m2 tw n th f]
    y = tf.reshape(y, [m1, m2, tw, -1, th, f])
    y = tf.transpose(y, [3, 4, 0, 2, 1, 5])  # [n, th, m1, tw, m2, f]
    return tf.reshape(y, [-1, th * m1, tw * m2, f])[:, :h, :w]


def _output_maps_transpose(y, tiling):
    """[n, h, w, f] -> [P', 2 m2, T f]."""
    m1, m2 = tiling.outputs
    th, tw = tiling.tiles
    f = y.shape.as_list()[3]
    _, _, basis = _row_bases(tiling)
    y = _pad(y, 0, th * m1, tw * m2)
    y = tf.reshape(y, [-1, th, m1, tw, m2, f])
    y = tf.transpose(y, [2, 4, 3, 0, 1, 5])  # [m1, m2, tw, n, th, f]
    y = _product(basis.T, tf.reshape(y, [m1, -1]))  # [2 P', m2 tw n th f]
    return tf.reshape(y, [tiling.rows, 2 * m2, -1])


def _filter_rows(filters, tiling, p=None):
    """[k, k, c, f] -> [P', 2 k, c f], which is larger; or of row frequency p, [1, 2 k, c f]."""
    _, basis, _ = _row_bases(tiling)  # [P' 2, k]
    if p is not None:
        basis = tf.constant(basis.reshape(tiling.rows, 2, tiling.k), filters.dtype)[p]
    w = _product(basis, tf.reshape(filters, [tiling.k, -1]))  # [P' 2, k c f]
    c, f = filters.shape.as_list()[2:]
    return tf.reshape(w, [-1, 2 * tiling.k, c * f])


def _filter_spectrum(filters, p, tiling):
    """[k, k, c, f] -> [3 Q, c, f] at row frequency p."""
    _, basis, _ = _column_bases(tiling)
    rows = _filter_rows(filters, tiling, p)[0]  # [2 k, c f]
    return _spectrum(basis, rows, filters.shape.as_list()[3])


def _filter_rows_transpose(w, c, f, tiling):
    """[P', 2 k, c f] -> [k, k, c, f]."""
    _, basis, _ = _row_bases(tiling)
    w = _product(basis.T, tf.reshape(w, [2 * tiling.rows, -1]))  # [k, k c f]
    return tf.reshape(w, [tiling.k, tiling.k, c, f])


def _pad(x, before, height, width):
    """[n, h, w, c] -> [n, height, width, c]: `before` zeros above and left, the others opposite."""
    _, h, w, _ = x.shape.as_list()
    return tf.pad(x, [[0, 0], [before, height - before - h], [before, width - before - w], [0, 0]])


def _overlapping(samples, tiles, step):
    """int [samples * tiles]: sample s of tile t is at s + step t; s major."""
    return (np.arange(samples)[:, None] + step * np.arange(tiles)).ravel()


def _overlap_add(x, step):
    """[a, samples, tiles, b] -> [a, step, tiles+, b].

    Sample s of tile t is added to sample s % step of block t + s // step.
    """
    samples = x.shape.as_list()[1]
    starts = range(0, samples, step)
    pieces = []
    for shift, start in enumerate(starts):
        lacking = max(0, start + step - samples)
        padding = [[0, 0], [0, lacking], [shift, len(starts) - 1 - shift], [0, 0]]
        pieces.append(tf.pad(x[:, start : start + step], padding))
    return ordered_sum(pieces)
