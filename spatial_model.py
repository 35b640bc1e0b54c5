"""The spatial model: a fully connected Markov random field over the joints, one round of message passing, unrolled.

    model = spatial_model.build(heat_maps)              # heat_maps [n, 60, 90, 10] -> model.logits [n, 60, 90, 9]
    first = spatial_model.initial_energies(histograms)  # assigned once:  model.energies.load(first, session)

Tompson, Jain, LeCun, Bregler (NIPS 2014), section 3.2.  With sp(x) = log(1 + exp(5 x)) / 5 and d = 1e-6,
joint j's logits are

    log(sp(h_j) + d)  +  sum over the nine others v of  log(sp(e_{j|v}) * sp(h_v) + sp(b_{v->j}) + d)

where `*` convolves a prior over the displacements (row, col) of j from v with the map of v.  The public reference
(joint-cnn-mrf, 2018) has the same formula but resizes a 61x91 convolution to 60x90; here it is cut.
"""

import collections

import numpy as np

from jointpose.datasets.flic import N_JOINTS, N_MAPS, PAIRS
from jointpose.nn import fft_conv
from jointpose.nn.sums import ordered_sum
from jointpose.nn.tf1 import tf

PAIRS_TO_JOINTS = tuple(
    (j, v) for j, v in PAIRS if j < N_JOINTS
)  # 81: the torso is given, it hears no one
PAIRS_OF_ONE = N_MAPS - 1  # 9 a joint, one joint after the other
SELF_PAIRS = tuple((j, j) for j in range(N_JOINTS))  # the ablation's: a joint's prior on itself
BETA = 5.0  # of the softplus: the larger, the closer to max(x, 0)
DELTA = 1e-6  # keeps the logarithms finite
RELU_FLOOR = 0.01  # of a map's ReLU: the paper's eps, at most 0.01, keeps a gradient
FLOOR = 1e-3  # least prior after initial_energies(..., 'exact'), each pair's largest being 1

SpatialModel = collections.namedtuple('SpatialModel', 'logits energies biases own messages')


def build(heat_maps, method='fft', self_connections=False, unary='softplus', keep_spectra=False):
    """One round of message passing; the variables go into the caller's variable scope, so that towers can share them.

    heat_maps: float32 [n, h, w, 10] of any sign, in flic.MAPS' order; h = 60, w = 90 in the paper; n may be None.
    method: how `messages` convolves.
    self_connections: a joint's own map enters through a prior e_{j|j} and a bias too, as in the paper's formula, in
        place of log(sp(h_j) + d); SELF_PAIRS follow the 81 in both variables, which then hold 90.
    unary: what makes a map positive: 'softplus' as in the reference, or 'relu', max(h, RELU_FLOOR), as in the paper.
    keep_spectra: transform the priors once and keep the result, for inference within convolution.spectra; by 'fft' and
        'stacked', without a gradient by the energies.

    Returns SpatialModel:
        logits    [n, h, w, 9]    unnormalised log marginals of flic.JOINTS; their softmax over space is the heat map
        energies  [81, 2h, 2w]    variable e_{j|v}, in the order of PAIRS_TO_JOINTS, zero displacement at [h, w]
        biases    [81, h, w]      variable b_{v->j}
        own       9 x [n, h, w]   what each joint's own map contributes: sp(h_j) + d
        messages  81 x [n, h, w]  the other factors of the marginals, bias and d included
    Both variables start at zero, where sp = log(2) / 5 = 0.14.  The biases are meant to stay there: with FLIC's 'exact'
    priors and batch-normalised maps, messages lie between 0.8 and 55 (median 10), so a bias neither drowns them nor
    lets a logarithm run away.
    """
    h, w = heat_maps.shape.as_list()[1:3]
    pairs, zeros = PAIRS_TO_JOINTS + SELF_PAIRS * self_connections, tf.zeros_initializer()
    energies = tf.get_variable('energies', [len(pairs), 2 * h, 2 * w], tf.float32, zeros)
    biases = tf.get_variable('biases', [len(pairs), h, w], tf.float32, zeros)
    with tf.name_scope('messages'):
        positive = {'softplus': softplus, 'relu': lambda x: tf.maximum(x, RELU_FLOOR)}[unary]
        maps = positive(tf.transpose(heat_maps, [3, 0, 1, 2]))  # [10, n, h, w]
        received = messages(softplus(energies), maps, method, pairs, keep_spectra)  # 81 x [n, h, w]
        terms = [
            m + b for m, b in zip(received, tf.unstack(softplus(biases) + DELTA))
        ]  # 81 x [n, h, w]
    with tf.name_scope('marginals'):
        own = terms[len(PAIRS_TO_JOINTS) :] or tf.unstack(maps[:N_JOINTS] + DELTA)
        others = [
            _sum_of_logs(*terms[i : i + PAIRS_OF_ONE])
            for i in range(0, len(PAIRS_TO_JOINTS), PAIRS_OF_ONE)
        ]
        logits = tf.stack([tf.log(a) + b for a, b in zip(own, others)], axis=-1)  # [n, h, w, 9]
    return SpatialModel(logits, energies, biases, own, terms[: len(PAIRS_TO_JOINTS)])


def softplus(x):
    """log(1 + exp(BETA x)) / BETA: positive, close to max(x, 0), without overflow."""
    return tf.nn.softplus(BETA * x) / BETA


@tf.custom_gradient
def _sum_of_logs(*terms):
    """Sum of the logarithms of 9 positive tensors, as logarithms of products: a third of the work.

    Three factors cannot leave float32: each is at least DELTA, and would have to reach 1e12.
    """
    products = [terms[i] * terms[i + 1] * terms[i + 2] for i in range(0, len(terms), 3)]
    return ordered_sum([tf.log(product) for product in products]), lambda d: [
        d / term for term in terms
    ]


def messages(priors, maps, method='fft', pairs=PAIRS_TO_JOINTS, keep_spectra=False):
    """What each condjoint's map says about each joint: prior * map, cut to the frame.

    priors: float32 [81, 2h, 2w], positive, in the order of `pairs`, indexed by displacement + (h, w).
    maps: float32 [10, n, h, w], positive.
    method: 'fft', or three that say the same: 'stacked', of 28 operations in place of 824, built in 0.02 s of CPU time
        in place of 0.5, but a fifth slower and without a gradient, for graphs that are run a few times;
        'matmul', which export.py takes, as it has no operation but products and sums of matrices; 'direct', by
        tf.nn.conv2d, which is there to be compared with (5 to 7 times slower forward at batch 14, 35 at batch 1, and
        about 100 with its gradient).
    keep_spectra: see `build`.
    Returns 81 x [n, h, w]:  message[p] = sum over cells q of  priors[pair][p - q + (h, w)] * maps[condjoint][q].
    """
    by = {
        'fft': _messages_by_fft,
        'stacked': _messages_stacked,
        'direct': _messages_by_conv2d,
        'matmul': _messages_by_matmul,
    }
    if keep_spectra and method in ('fft', 'stacked'):
        return by[method](
            priors, maps, pairs, fft_conv.cached(tf.signal.rfft2d(priors))
        )  # [81, 2h, w+1]
    return by[method](priors, maps, pairs)


def _messages_by_fft(priors, maps, pairs, spectra=None):
    """Convolution theorem.  A circular transform of the priors' size is exact: for cells p and q of the frame
    p - q + (h, w) never wraps.  Each prior, map and message is transformed once, and its gradient once.
    spectra: the priors', where they are known; then there is no gradient by the priors.
    """
    h, w = maps.shape.as_list()[2:]

    def multiply(spectra, maps):
        e = tf.unstack(spectra)  # 81 x [2h, w+1]
        m = tf.unstack(tf.signal.rfft2d(maps, [2 * h, 2 * w]))  # 10 x [n, 2h, w+1]
        out = [
            tf.signal.irfft2d(e[i] * m[v], [2 * h, 2 * w])[:, h:, w:]
            for i, (_, v) in enumerate(pairs)
        ]
        return e, m, [tf.nn.relu(message) for message in out]  # rounding may go below 0

    @tf.custom_gradient
    def convolve(priors, maps):
        e, m, out = multiply(tf.signal.rfft2d(priors), maps)

        def gradient(*d_out):
            # As without ReLU: messages are positive, and rounding is no reason to cut a gradient.
            return _gradient_by_fft(e, m, d_out, pairs, h, w)

        return out, gradient

    return convolve(priors, maps) if spectra is None else multiply(spectra, maps)[-1]


def _messages_stacked(priors, maps, pairs, spectra=None):
    """_messages_by_fft with all pairs in one tensor."""
    h, w = maps.shape.as_list()[2:]
    size = [2 * h, 2 * w]
    spectra = tf.signal.rfft2d(priors) if spectra is None else spectra  # [81, 2h, w+1]
    maps = tf.gather(tf.signal.rfft2d(maps, size), [v for _, v in pairs])  # [81, n, 2h, w+1]
    out = tf.signal.irfft2d(spectra[:, None] * maps, size)[:, :, h:, w:]  # [81, n, h, w]
    return tf.unstack(tf.nn.relu(out))


def _gradient_by_fft(e, m, d_out, pairs, h, w):
    """The adjoint: correlations.  Spectra e 81 x [2h, w+1], m 10 x [n, 2h, w+1], and 81 x [n, h, w]
    -> by priors [81, 2h, 2w], by maps [10, n, h, w]."""
    size, window = [2 * h, 2 * w], [[0, 0], [h, 0], [w, 0]]
    e, m = [tf.conj(x) for x in e], [tf.conj(x) for x in m]
    g = [tf.signal.rfft2d(tf.pad(d, window)) for d in d_out]  # 81 x [n, 2h, w+1]
    d_e = [tf.reduce_sum(m[v] * g[i], axis=0) for i, (_, v) in enumerate(pairs)]
    d_m = [
        ordered_sum([e[i] * g[i] for i, pair in enumerate(pairs) if pair[1] == v])
        for v in range(N_MAPS)
    ]
    return tf.signal.irfft2d(tf.stack(d_e), size), tf.signal.irfft2d(tf.stack(d_m), size)[
        ..., :h, :w
    ]


def _messages_by_conv2d(priors, maps, pairs):
    """The prior is the image and the maps, turned by 180 degrees, its filters; row 0 and column 0 of the valid part
    belong to displacements by h and w, which the frame does not hold."""
    filters = tf.transpose(tf.reverse(maps, [2, 3]), [0, 2, 3, 1])  # [10, h, w, n]
    filters = tf.unstack(filters[:, :, :, None])  # 10 x [h, w, 1, n]
    images = tf.unstack(priors[:, None, ..., None])  # 81 x [1, 2h, 2w, 1]
    out = [
        tf.nn.conv2d(image, filters[v], strides=1, padding='VALID')  # 81 x [1, h+1, w+1, n]
        for image, (_, v) in zip(images, pairs)
    ]
    return [tf.transpose(x[0, 1:, 1:], [2, 0, 1]) for x in out]


def _messages_by_matmul(priors, maps, pairs):
    """The circular transform of _messages_by_fft as products with its real bases: only a map's h rows and w columns
    enter it, only the frame's leave it.  A spectrum's real part lies above its imaginary part: [..., 2 * 2h, w+1].

    The priors' spectra are made in float64, once where the graph is frozen (export.py); otherwise in every call.
    Batches are flattened: oneDNN's [10, 1, h, w] by [w, w+1] in TensorFlow 2.21 writes where it should not.
    """
    h, w = maps.shape.as_list()[2:]
    basis = _dft_bases(h, w)
    e = tf.cast(
        _spectra(tf.cast(priors, tf.float64), basis.all_rows, basis.all_columns), tf.float32
    )  # [81, 4h, w+1]
    m = _spectra(tf.reshape(maps, [-1, h, w]), basis.rows, basis.columns)  # [10 n, 4h, w+1]
    m = tf.gather(
        tf.reshape(m, [N_MAPS, -1, 4 * h, w + 1]), [v for _, v in pairs]
    )  # [81, n, 4h, w+1]
    e_re, e_im = tf.split(e[:, None], 2, axis=2)  # [81, 1, 2h, w+1]
    m_re, m_im = tf.split(m, 2, axis=2)
    product = tf.concat(
        [e_re * m_re - e_im * m_im, e_re * m_im + e_im * m_re], axis=2
    )  # [81, n, 4h, w+1]
    product = tf.reshape(product, [-1, 4 * h, w + 1])
    rows = tf.matmul(tf.constant(basis.rows_back, tf.float32), product)  # [81 n, 2h, w+1]
    rows = tf.concat(tf.split(rows, 2, axis=1), axis=2)  # [81 n, h, 2(w+1)]
    out = tf.reshape(_times(rows, basis.columns_back), [len(pairs), -1, h, w])
    return tf.unstack(tf.nn.relu(out))  # 81 x [n, h, w]


def _spectra(x, rows, columns):
    """x [k, a, b] by the forward bases rows [4h, 2a] and columns [2, b, w+1] -> [k, 4h, w+1]."""
    parts = tf.concat([_times(x, columns[0]), _times(x, columns[1])], axis=1)  # [k, 2a, w+1]
    return tf.matmul(tf.constant(rows, x.dtype), parts)


def _times(x, matrix):
    """[k, a, b] by [b, c] -> [k, a, c]."""
    flat = tf.matmul(tf.reshape(x, [-1, matrix.shape[0]]), tf.constant(matrix, x.dtype))
    return tf.reshape(flat, [-1, x.shape[1], matrix.shape[1]])


Bases = collections.namedtuple('Bases', 'all_rows all_columns rows columns rows_back columns_back')


def _dft_bases(h, w):
    """The transform of size 2h x 2w, real to half complex, as float64 matrices; a complex one is [[re, -im], [im, re]].

    Forward, of whole priors: all_rows [4h, 4h], all_columns [2, 2w, w+1] (real and imaginary part); of maps, zero
    beyond h and w: rows [4h, 2h], columns [2, w, w+1].  Back, to the last h rows and w columns only: rows_back
    [2h, 4h], columns_back [2(w+1), w], which counts each column's frequency with its conjugate's.
    """

    def complex_matrix(z):
        return np.block([[z.real, -z.imag], [z.imag, z.real]])

    turns = [
        np.outer(np.arange(2 * size), np.arange(2 * size)) % (2 * size) / (2 * size)
        for size in (h, w)
    ]
    down, right = (
        np.exp(-2j * np.pi * turn) for turn in turns
    )  # [frequency, row], [column, frequency]
    right = right[:, : w + 1]
    weight = np.where(np.arange(w + 1) % w == 0, 1, 2)[:, None] / (
        2 * w
    )  # 0 and w have no conjugate of their own
    back = right[w:].T.conj() * weight  # [w+1, w]
    columns = np.stack([right.real, right.imag])
    return Bases(
        complex_matrix(down),
        columns,
        complex_matrix(down[:, :h]),
        columns[:, :w],
        complex_matrix(down[:, h:].conj().T / (2 * h)),
        np.concatenate([back.real, -back.imag]),
    )


def initial_energies(histograms, mode='exact'):
    """float32 [81, 2h, 2w]: the energies' first values, to be assigned once (and not baked into the graph).

    histograms: [81, 2h, 2w], non-negative, of the displacements of PAIRS_TO_JOINTS; any number of pairs.
    mode:
        'exact'      sp(e) = histogram / its largest cell, at least FLOOR.  A message's scale only shifts the logits;
                     this one puts messages well above the biases.  The floor keeps displacements never seen possible
                     and trainable: there sp'(e) = 1 - exp(-BETA sp(e)) = 0.005.
        'reference'  e = the histogram, so that sp(e) varies by a few per cent only.
        'uniform'    0: nothing is known beforehand.
    """
    histograms = np.asarray(histograms, np.float64)
    if mode == 'exact':
        largest = histograms.max(axis=(1, 2), keepdims=True)  # [81, 1, 1]
        relative = histograms / np.maximum(
            largest, np.finfo(np.float64).tiny
        )  # a pair never seen: all FLOOR
        energies = inverse_softplus(np.maximum(relative, FLOOR))
    else:
        energies = {'reference': histograms, 'uniform': np.zeros_like(histograms)}[mode]
    return energies.astype(np.float32)


def numpy_softplus(x):
    """softplus(x) in NumPy, in the precision of x."""
    return np.logaddexp(0, BETA * x) / BETA


def inverse_softplus(y):
    """The x with softplus(x) = y > 0, for arrays: y + log(1 - exp(-BETA y)) / BETA neither overflows nor cancels."""
    return y + np.log(-np.expm1(-BETA * y)) / BETA
