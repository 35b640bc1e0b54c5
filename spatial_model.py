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
import tensorflow.compat.v1 as tf

from joints import N_JOINTS, N_MAPS, PAIRS

PAIRS_TO_JOINTS = tuple((j, v) for j, v in PAIRS if j < N_JOINTS)      # 81: the torso is given, it hears no one
PAIRS_OF_ONE = N_MAPS - 1                                              # 9 a joint, one joint after the other
SELF_PAIRS = tuple((j, j) for j in range(N_JOINTS))                    # the ablation's: a joint's prior on itself
BETA = 5.0          # of the softplus: the larger, the closer to max(x, 0)
DELTA = 1e-6        # keeps the logarithms finite
FLOOR = 1e-3        # least prior after initial_energies(..., 'exact'), each pair's largest being 1

SpatialModel = collections.namedtuple('SpatialModel', 'logits energies biases')


def build(heat_maps, method='fft', self_connections=False):
    """One round of message passing; the variables go into the caller's variable scope, so that towers can share them.

    heat_maps: float32 [n, h, w, 10] of any sign, in joints.MAPS' order; h = 60, w = 90 in the paper; n may be None.
    method: how `messages` convolves.
    self_connections: a joint's own map enters through a prior e_{j|j} and a bias too, as in the paper's formula, in
        place of log(sp(h_j) + d); SELF_PAIRS follow the 81 in both variables, which then hold 90.

    Returns SpatialModel:
        logits    [n, h, w, 9]    unnormalised log marginals of joints.JOINTS; their softmax over space is the heat map
        energies  [81, 2h, 2w]    variable e_{j|v}, in the order of PAIRS_TO_JOINTS, zero displacement at [h, w]
        biases    [81, h, w]      variable b_{v->j}
    Both variables start at zero, where sp = log(2) / 5 = 0.14.  The biases are meant to stay there: with FLIC's 'exact'
    priors and batch-normalised maps, messages lie between 0.8 and 55 (median 10), so a bias neither drowns them nor
    lets a logarithm run away.
    """
    h, w = heat_maps.shape.as_list()[1:3]
    pairs, zeros = PAIRS_TO_JOINTS + SELF_PAIRS * self_connections, tf.zeros_initializer()
    energies = tf.get_variable('energies', [len(pairs), 2 * h, 2 * w], tf.float32, zeros)
    biases = tf.get_variable('biases', [len(pairs), h, w], tf.float32, zeros)
    with tf.name_scope('messages'):
        maps = softplus(tf.transpose(heat_maps, [3, 0, 1, 2]))                              # [10, n, h, w]
        received = messages(softplus(energies), maps, method, pairs)                        # 81 x [n, h, w]
        terms = [m + b for m, b in zip(received, tf.unstack(softplus(biases) + DELTA))]     # 81 x [n, h, w]
    with tf.name_scope('marginals'):
        own = [tf.log(x) for x in terms[len(PAIRS_TO_JOINTS):] or tf.unstack(maps[:N_JOINTS] + DELTA)]
        others = [_sum_of_logs(*terms[i:i + PAIRS_OF_ONE]) for i in range(0, len(PAIRS_TO_JOINTS), PAIRS_OF_ONE)]
        logits = tf.stack([a + b for a, b in zip(own, others)], axis=-1)                    # [n, h, w, 9]
    return SpatialModel(logits, energies, biases)


def softplus(x):
    """log(1 + exp(BETA x)) / BETA: positive, close to max(x, 0), without overflow."""
    return tf.nn.softplus(BETA * x) / BETA


@tf.custom_gradient
def _sum_of_logs(*terms):
    """Sum of the logarithms of 9 positive tensors, as logarithms of products: a third of the work.

    Three factors cannot leave float32: each is at least DELTA, and would have to reach 1e12.
    """
    products = [terms[i] * terms[i + 1] * terms[i + 2] for i in range(0, len(terms), 3)]
    return tf.add_n([tf.log(product) for product in products]), lambda d: [d / term for term in terms]


def messages(priors, maps, method='fft', pairs=PAIRS_TO_JOINTS):
    """What each condjoint's map says about each joint: prior * map, cut to the frame.

    priors: float32 [81, 2h, 2w], positive, in the order of `pairs`, indexed by displacement + (h, w).
    maps: float32 [10, n, h, w], positive.
    method: 'fft', or 'direct', which says the same by tf.nn.conv2d and is there to be compared with (about 7 times
        slower forward at batch 14, 35 at batch 1, and hundreds of times with its gradient).
    Returns 81 x [n, h, w]:  message[p] = sum over cells q of  priors[pair][p - q + (h, w)] * maps[condjoint][q].
    """
    return {'fft': _messages_by_fft, 'direct': _messages_by_conv2d}[method](priors, maps, pairs)


def _messages_by_fft(priors, maps, pairs):
    """Convolution theorem.  A circular transform of the priors' size is exact: for cells p and q of the frame
    p - q + (h, w) never wraps.  Each prior, map and message is transformed once, and its gradient once.
    """
    h, w = maps.shape.as_list()[2:]
    size = [2 * h, 2 * w]

    @tf.custom_gradient
    def convolve(priors, maps):
        e = tf.unstack(tf.signal.rfft2d(priors))                                # 81 x [2h, w+1]
        m = tf.unstack(tf.signal.rfft2d(maps, size))                            # 10 x [n, 2h, w+1]
        out = [tf.signal.irfft2d(e[i] * m[v], size)[:, h:, w:] for i, (_, v) in enumerate(pairs)]

        def gradient(*d_out):
            return _gradient_by_fft(e, m, d_out, pairs, h, w)
        # Messages are positive; rounding may make one a tiny negative, which is no reason to cut its gradient.
        return [tf.nn.relu(message) for message in out], gradient

    return convolve(priors, maps)


def _gradient_by_fft(e, m, d_out, pairs, h, w):
    """The adjoint: correlations.  Spectra e 81 x [2h, w+1], m 10 x [n, 2h, w+1], and 81 x [n, h, w]
    -> by priors [81, 2h, 2w], by maps [10, n, h, w]."""
    size, window = [2 * h, 2 * w], [[0, 0], [h, 0], [w, 0]]
    e, m = [tf.conj(x) for x in e], [tf.conj(x) for x in m]
    g = [tf.signal.rfft2d(tf.pad(d, window)) for d in d_out]                    # 81 x [n, 2h, w+1]
    d_e = [tf.reduce_sum(m[v] * g[i], axis=0) for i, (_, v) in enumerate(pairs)]
    d_m = [tf.add_n([e[i] * g[i] for i, pair in enumerate(pairs) if pair[1] == v]) for v in range(N_MAPS)]
    return tf.signal.irfft2d(tf.stack(d_e), size), tf.signal.irfft2d(tf.stack(d_m), size)[..., :h, :w]


def _messages_by_conv2d(priors, maps, pairs):
    """The prior is the image and the maps, turned by 180 degrees, its filters; row 0 and column 0 of the valid part
    belong to displacements by h and w, which the frame does not hold."""
    filters = tf.transpose(tf.reverse(maps, [2, 3]), [0, 2, 3, 1])              # [10, h, w, n]
    filters = tf.unstack(filters[:, :, :, None])                                # 10 x [h, w, 1, n]
    images = tf.unstack(priors[:, None, ..., None])                             # 81 x [1, 2h, 2w, 1]
    out = [tf.nn.conv2d(image, filters[v], strides=1, padding='VALID')          # 81 x [1, h+1, w+1, n]
           for image, (_, v) in zip(images, pairs)]
    return [tf.transpose(x[0, 1:, 1:], [2, 0, 1]) for x in out]


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
        largest = histograms.max(axis=(1, 2), keepdims=True)                    # [81, 1, 1]
        relative = histograms / np.maximum(largest, np.finfo(np.float64).tiny)  # a pair never seen: all FLOOR
        energies = inverse_softplus(np.maximum(relative, FLOOR))
    else:
        energies = {'reference': histograms, 'uniform': np.zeros_like(histograms)}[mode]
    return energies.astype(np.float32)


def inverse_softplus(y):
    """The x with softplus(x) = y > 0, for arrays: y + log(1 - exp(-BETA y)) / BETA neither overflows nor cancels."""
    return y + np.log(-np.expm1(-BETA * y)) / BETA
