"""The spatial model: a fully connected Markov random field over the joints, one round of message passing, unrolled.

    model = spatial_model.build(heat_maps)              # heat_maps [n, 60, 90, 10] -> model.logits [n, 60, 90, 9]
    start = spatial_model.initial_energies(histograms)  # fed once:  model.energies.load(start, session)

Tompson, Jain, LeCun, Bregler (NIPS 2014), equation 2.  With sp(x) = log(1 + exp(5 x)) / 5 and d = 1e-6, joint j's logits are

    log(sp(h_j) + d)  +  sum over the nine others v of  log(sp(e_{j|v}) * sp(h_v) + sp(b_{v->j}) + d)

where `*` convolves a prior over displacements (row, col) of j - v with the map of v.
"""
import collections
import math

import numpy as np
import tensorflow.compat.v1 as tf

from joints import N_JOINTS, PAIRS

PAIRS_TO_JOINTS = tuple((j, v) for j, v in PAIRS if j < N_JOINTS)      # 81: the torso receives no message
BETA = 5.0          # of the softplus: the larger, the closer to max(x, 0)
DELTA = 1e-6        # keeps the logarithms finite
FLOOR = 1e-3        # least prior after initial_energies(..., 'exact'), the pair's largest being 1
METHODS = ('fft', 'direct')

SpatialModel = collections.namedtuple('SpatialModel', 'logits energies biases')


def build(heat_maps, method='fft'):
    """One round of message passing; the variables belong to the caller's variable scope, so towers can share them.

    heat_maps: float32 [n, h, w, 10] of any sign, maps in the order of joints.MAPS; h = 60 and w = 90 in the paper.
    method: 'fft', or 'direct', the same sums by tf.nn.conv2d: over a hundred times slower to train, for comparison.

    Returns SpatialModel:
        logits    [n, h, w, 9]    unnormalised log marginals of joints.JOINTS; softmax over space gives the maps
        energies  [81, 2h, 2w]    variable e_{j|v}, pairs in joints.PAIRS' order, zero displacement at [h, w]
        biases    [81, h, w]      variable b_{v->j}
    Both variables start at zero: sp = log(2) / 5 = 0.14 everywhere.  For the biases that is what is wanted: with
    batch-normalised maps and 'exact' priors the messages lie between 1 and 100, so the bias neither drowns them nor
    lets a message fall to the logarithm of almost nothing.
    """
    h, w = heat_maps.shape.as_list()[1:3]
    n_pairs = len(PAIRS_TO_JOINTS)
    energies = tf.get_variable('energies', [n_pairs, 2 * h, 2 * w], initializer=tf.zeros_initializer())
    biases = tf.get_variable('biases', [n_pairs, h, w], initializer=tf.zeros_initializer())
    with tf.name_scope('spatial_model'):
        maps = softplus(tf.transpose(heat_maps, [3, 0, 1, 2]))                          # [10, n, h, w]
        floors = tf.unstack(softplus(biases) + DELTA)                                   # 81 x [h, w]
        received = messages(softplus(energies), maps, method)                           # 81 x [n, h, w]
        logs = [tf.log(message + floor) for message, floor in zip(received, floors)]
        logits = [tf.add_n([tf.log(maps[joint] + DELTA)] + [logs[i] for i, (to, _) in enumerate(PAIRS_TO_JOINTS) if to == joint])
                  for joint in range(N_JOINTS)]                                         # 9 x [n, h, w]
        return SpatialModel(tf.stack(logits, axis=-1), energies, biases)


def softplus(x):
    """log(1 + exp(BETA x)) / BETA: positive, near max(x, 0); does not overflow."""
    return tf.nn.softplus(BETA * x) / BETA


def messages(priors, maps, method='fft'):
    """What each condjoint's map says of each joint: the priors convolved with the maps, cut to the frame.

    priors: [81, 2h, 2w] positive, pairs in joints.PAIRS' order, indexed by displacement + (h, w).
    maps: [10, n, h, w] positive.
    Returns 81 x [n, h, w]:  message[p] = sum over cells q of  priors[pair][p - q + (h, w)] * maps[condjoint][q].
    """
    return {'fft': _messages_by_fft, 'direct': _messages_by_conv2d}[method](priors, maps)


def _messages_by_fft(priors, maps):
    """Convolution theorem.  Displacements within the frame never reach 2h or 2w, so a circular transform of the
    priors' size is exact, without padding.  Every prior and every map is transformed once, forward and backward."""
    h, w = maps.shape.as_list()[2:]
    size = [2 * h, 2 * w]

    @tf.custom_gradient
    def convolve(priors, maps):
        from_centre = _alternating_signs(h, w)                                  # [2h, w+1]: moves [h, w] to [0, 0]
        p = tf.unstack(tf.signal.rfft2d(priors) * from_centre)                  # 81 x [2h, w+1]
        m = tf.unstack(tf.signal.rfft2d(maps, size))                            # 10 x [n, 2h, w+1]
        # Exact messages are positive; rounding may leave a tiny negative, on whose account the gradient is not cut.
        out = [tf.maximum(tf.signal.irfft2d(p[i] * m[v], size)[:, :h, :w], 0) for i, (_, v) in enumerate(PAIRS_TO_JOINTS)]

        def gradient(*d_out):
            p_conj, m_conj = [tf.conj(x) for x in p], [tf.conj(x) for x in m]
            g = [tf.signal.rfft2d(d, size) for d in d_out]                      # 81 x [n, 2h, w+1]
            d_p = [tf.reduce_sum(m_conj[v] * g[i], axis=0) for i, (_, v) in enumerate(PAIRS_TO_JOINTS)]
            d_m = [tf.add_n([p_conj[i] * g[i] for i, (_, cond) in enumerate(PAIRS_TO_JOINTS) if cond == v])
                   for v in range(len(m))]
            d_priors = tf.signal.irfft2d(tf.stack(d_p) * from_centre, size)     # [81, 2h, 2w]
            d_maps = tf.signal.irfft2d(tf.stack(d_m), size)[..., :h, :w]        # [10, n, h, w]
            return d_priors, d_maps
        return out, gradient

    return convolve(priors, maps)


def _alternating_signs(h, w):
    """complex64 [2h, w+1]: the spectrum of a circular shift by (h, w), +1 and -1 like a chessboard."""
    return tf.constant((-1.0) ** np.add.outer(np.arange(2 * h), np.arange(w + 1)), tf.complex64)


def _messages_by_conv2d(priors, maps):
    """The prior as the image, the maps as its filters: what one would write first, and the tests' other opinion."""
    n_first = tf.reverse(maps, [2, 3])                                          # [10, n, h, w]: convolve, not correlate
    filters = tf.unstack(tf.transpose(n_first, [0, 2, 3, 1])[..., None, :])     # 10 x [h, w, 1, n]
    h, w = maps.shape.as_list()[2:]
    out = [tf.nn.conv2d(prior[None, ..., None], filters[v], strides=1, padding='VALID')[0, 1:, 1:]
           for prior, (_, v) in zip(tf.unstack(priors), PAIRS_TO_JOINTS)]       # 81 x [h, w, n]
    return [tf.transpose(x, [2, 0, 1]) for x in out]


def initial_energies(histograms, mode='exact'):
    """float32 [81, 2h, 2w]: first values of the energies, to be assigned once (never baked into the graph).

    histograms: [81, 2h, 2w], of displacements, non-negative, one for each of PAIRS_TO_JOINTS.
    mode:
        'exact'      sp(e) = the histogram / its largest cell, at least FLOOR.  A message's scale only shifts the logits;
                     a largest cell of 1 puts messages well above the biases.  The floor, 1/1000 of the best
                     displacement, keeps cells never seen possible, and trainable: sp'(e) = 1 - exp(-5 sp(e)) = 0.005.
        'reference'  e = the histogram itself, so that sp(e) varies by a few per cent only.
        'uniform'    zero: nothing is known beforehand.
    """
    histograms = np.asarray(histograms, np.float64)
    if mode == 'exact':
        largest = histograms.max(axis=(1, 2), keepdims=True)                    # [81, 1, 1]
        return inverse_softplus(np.maximum(histograms / largest, FLOOR)).astype(np.float32)
    return {'reference': histograms, 'uniform': np.zeros_like(histograms)}[mode].astype(np.float32)


def inverse_softplus(y):
    """x with softplus(x) = y > 0: y + log(1 - exp(-BETA y)) / BETA, which neither overflows nor cancels."""
    return y + np.log(-np.expm1(-BETA * y)) / BETA
