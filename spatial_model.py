"""The spatial model: one round of message passing in a Markov random field over the joints.

Tompson, Jain, LeCun, Bregler (NIPS 2014), section 3.2.  The detector's map of a joint v, convolved
with a prior over the displacement of joint j from v, says where j is as far as v knows: a message.
The marginal of j is the product of its messages (equation 1),

    p_j  ~  product over v of  ( p_{j|v} * p_v  +  b_{v->j} )

`*` is a convolution; the bias b keeps v from a veto where v is not seen.  Equation 2 is its
logarithm, of positive functions of free parameters: energies e_{j|v} for the priors, and b.  With
sp(x) = log(1 + exp(5 x)) / 5 and d = 1e-6, the logits of joint j are

    log( sp(h_j) + d )
        +  sum over the nine others v of  log( sp(e_{j|v}) * sp(h_v)  +  sp(b_{v->j})  +  d )

where h are the detector's nine heat maps and the map of the torso, which marks the target person.

    model = build(heat_maps)                  # [n, 60, 90, 10] -> model.logits [n, 60, 90, 9]
    values = initial_energies(histograms)     # of pairwise_distr.py
    model.energies.load(values, session)      # once

The public reference (joint-cnn-mrf, 2018) has the same formula, but resizes a 61x91 convolution to
60x90; here it is cut.

Arrays: n samples of h x w = 60 x 90 cells; 10 maps, of which 9 are joints; 81 pairs (j, v), the 9
of one joint j after the other; 2h x 2w displacements (row, column), zero displacement at [h, w].
These are FLIC's numbers.  Nothing here knows a skeleton: k joints and one map that is given have
k * k pairs.
"""

import functools
import operator
from typing import NamedTuple

import numpy as np

from jointpose.datasets.flic import N_JOINTS, N_MAPS
from jointpose.nn import pairwise_conv, spectrum_cache
from jointpose.nn.sums import ordered_sum
from jointpose.nn.tf1 import tf

Pairs = tuple[tuple[int, int], ...]

BETA = 5.0  # of the softplus: the larger, the closer to max(x, 0)
DELTA = 1e-6  # keeps the logarithms finite
RELU_FLOOR = 0.01  # of a map's ReLU, which keeps its gradient: the largest that the paper allows
PRIOR_FLOOR = 1e-3  # smallest cell of an 'exact' prior, whose largest is 1


def pairs_to(n_joints: int, n_maps: int) -> Pairs:
    """The pairs (j, v) of a joint and another map, all of joint 0, then all of joint 1 ..."""
    return tuple((j, v) for j in range(n_joints) for v in range(n_maps) if v != j)


def self_pairs(n_joints: int) -> Pairs:
    """The pairs (j, j), of an ablation."""
    return tuple((j, j) for j in range(n_joints))


PAIRS_TO_JOINTS = pairs_to(N_JOINTS, N_MAPS)  # FLIC's: the torso is given, so no pair leads to it
PAIRS_OF_ONE = N_MAPS - 1  # FLIC's pairs of one joint
SELF_PAIRS = self_pairs(N_JOINTS)


class SpatialModel(NamedTuple):
    """The model's tensors and its two variables."""

    logits: tf.Tensor  # [n, h, w, 9]: unnormalised log marginals of flic.JOINTS
    energies: tf.Variable  # [81, 2h, 2w]: e_{j|v}
    biases: tf.Variable  # [81, h, w]: b_{v->j}
    own: list[tf.Tensor]  # 9 x [n, h, w]: sp(h_j) + d
    messages: list[tf.Tensor]  # 81 x [n, h, w]: the other factors, with bias and d


def build(
    heat_maps: tf.Tensor,
    method: str = 'fft',
    self_connections: bool = False,
    unary: str = 'softplus',
    keep_spectra: bool = False,
    n_joints: int | None = None,
) -> SpatialModel:
    """One round of message passing; the variables come from the current variable scope.

    Both start at zero, where sp = log(2) / 5 = 0.14, and the biases are meant to stay near that:
    with FLIC's 'exact' priors and batch-normalised maps, messages lie between 0.8 and 55 (median
    10), so a bias neither drowns them nor lets a logarithm diverge.

    Args:
        heat_maps: float32 [n, h, w, 10] of any sign, the joints' first (FLIC: in the order of
            flic.MAPS); n may be unknown.
        method: how messages are computed, see `messages`.
        self_connections: a joint's own map enters through a prior e_{j|j} and a bias, too, as in
            the paper's formula, in place of log(sp(h_j) + d).  Then both variables hold 90 pairs,
            the `self_pairs` last.
        unary: what makes the maps positive: 'softplus', as in the reference, or 'relu',
            max(h, 0.01), as in the paper.
        keep_spectra: cache the priors' transforms, for inference within spectrum_cache.filled.
            Then the energies get no gradient.
        n_joints: number of joints; the maps after theirs are given.  By default the last map is
            given, the torso's.  n_joints = all maps: nothing is given.
    """
    h, w, n_maps = heat_maps.shape.as_list()[1:]
    n_joints = n_maps - 1 if n_joints is None else n_joints
    others = pairs_to(n_joints, n_maps)
    pairs = others + (self_pairs(n_joints) if self_connections else ())
    zeros = tf.zeros_initializer()
    energies = tf.get_variable('energies', [len(pairs), 2 * h, 2 * w], tf.float32, zeros)
    biases = tf.get_variable('biases', [len(pairs), h, w], tf.float32, zeros)
    with tf.name_scope('messages'):
        maps = positive(tf.transpose(heat_maps, [3, 0, 1, 2]), unary)  # [10, n, h, w]
        received = messages(softplus(energies), maps, method, pairs, keep_spectra)  # 81 x [n, h, w]
        offsets = tf.unstack(softplus(biases) + DELTA)  # 81 x [h, w]
        factors = [message + offset for message, offset in zip(received, offsets)]
    with tf.name_scope('marginals'):
        from_others = factors[: len(others)]  # 81 x [n, h, w]
        own = factors[len(others) :]  # 9 x [n, h, w] with self_connections
        if not self_connections:
            own = tf.unstack(maps[:n_joints] + DELTA)  # 9 x [n, h, w]
        logits = tf.stack(log_marginals(own, from_others), axis=-1)  # [n, h, w, 9]
    return SpatialModel(logits, energies, biases, own, from_others)


def positive(maps: tf.Tensor, unary: str) -> tf.Tensor:
    """The maps by `build`'s function `unary`."""
    return softplus(maps) if unary == 'softplus' else tf.maximum(maps, RELU_FLOOR)


def softplus(x: tf.Tensor) -> tf.Tensor:
    """log(1 + exp(BETA x)) / BETA: positive, close to max(x, 0), without overflow."""
    return tf.nn.softplus(BETA * x) / BETA


def log_marginals(own: list[tf.Tensor], others: list[tf.Tensor]) -> list[tf.Tensor]:
    """Each joint's sum of the logarithms of its own map and of its 9 messages.

    9 and 81 x [n, h, w] -> 9 x [n, h, w].
    """
    size = len(others) // len(own)  # messages of one joint
    sums = [_sum_of_logs(*others[first : first + size]) for first in range(0, len(others), size)]
    return [tf.log(unary) + logs for unary, logs in zip(own, sums)]


@tf.custom_gradient
def _sum_of_logs(*factors):
    """The sum of 9 logarithms, as 3 logarithms of products of three: a third of the work.

    Such a product stays within float32: each factor is at least DELTA, and would have to reach
    1e12.
    """
    logs = []
    for first in range(0, len(factors), 3):
        logs.append(tf.log(functools.reduce(operator.mul, factors[first : first + 3])))

    def gradient(d_sum):
        return [d_sum / factor for factor in factors]

    return ordered_sum(logs), gradient


# --- messages: each prior * its map ---------------------------------------------------------------


def messages(
    priors: tf.Tensor,
    maps: tf.Tensor,
    method: str = 'fft',
    pairs: Pairs = PAIRS_TO_JOINTS,
    keep_spectra: bool = False,
) -> list[tf.Tensor]:
    """What each map v says about each joint j, by the convolution theorem.

        message[j, v][p]  =  sum over cells q of  priors[j, v][p - q + (h, w)]  maps[v][q]

    A circular transform of the priors' size is exact: for cells p and q of the frame,
    p - q + (h, w) never wraps.  Each prior and each map is transformed once, and so are their
    gradients.

    Args:
        priors: float32 [81, 2h, 2w], positive, in the order of `pairs`.
        maps: float32 [10, n, h, w], positive.
        method: 'fft', or another implementation of the same function, see nn/pairwise_conv.py.
        keep_spectra: see `build`.

    Returns:
        81 x [n, h, w].
    """
    senders = [v for _, v in pairs]
    if method != 'fft':
        return pairwise_conv.METHODS[method](priors, maps, senders, keep_spectra)
    if keep_spectra:
        spectra = spectrum_cache.cached(tf.signal.rfft2d(priors))  # [81, 2h, w+1]
        return _multiply(tf.unstack(spectra), _spectra_of_maps(maps), senders)

    @tf.custom_gradient
    def convolve(priors, maps):
        e = tf.unstack(tf.signal.rfft2d(priors))  # 81 x [2h, w+1]
        m = _spectra_of_maps(maps)  # 10 x [n, 2h, w+1]

        def gradient(*d_messages):
            return _gradients(e, m, d_messages, senders)

        return _multiply(e, m, senders), gradient

    return convolve(priors, maps)


def _spectra_of_maps(maps):
    """[10, n, h, w], zero beyond -> 10 x [n, 2h, w+1]."""
    h, w = maps.shape.as_list()[2:]
    return tf.unstack(tf.signal.rfft2d(maps, [2 * h, 2 * w]))


def _multiply(e, m, senders):
    """Spectra of priors, 81 x [2h, w+1], and maps, 10 x [n, 2h, w+1] -> 81 messages [n, h, w]."""
    h, w = _map_size(m)
    size = tf.constant([2 * h, 2 * w])  # constants once, not for each pair: graphs are built sooner
    first, extent = tf.constant([0, h, w]), tf.constant([-1, h, w])
    received = []
    for prior, sender in zip(e, senders):
        circular = tf.signal.irfft2d(prior * m[sender], size)  # [n, 2h, 2w]
        received.append(tf.nn.relu(tf.slice(circular, first, extent)))  # rounding may go below 0
    return received


def _gradients(e, m, d_messages, senders):
    """The adjoint of `_multiply` and its transforms: correlations in place of convolutions.

    Without the ReLU: messages are positive, and rounding is no reason to cut a gradient.

    Returns:
        The gradients by the priors, [81, 2h, 2w], and by the maps, [10, n, h, w].
    """
    h, w = _map_size(m)
    size, first_axis = tf.constant([2 * h, 2 * w]), tf.constant(0)
    e = [tf.conj(spectrum) for spectrum in e]
    m = [tf.conj(spectrum) for spectrum in m]
    window = tf.constant([[0, 0], [h, 0], [w, 0]])  # a message is the last h rows and w columns
    g = [tf.signal.rfft2d(tf.pad(d, window), size) for d in d_messages]  # 81 x [n, 2h, w+1]
    d_priors = [tf.reduce_sum(m[v] * g[pair], axis=first_axis) for pair, v in enumerate(senders)]
    d_maps = []
    for sender in range(len(m)):
        heard = [e[pair] * g[pair] for pair, v in enumerate(senders) if v == sender]
        d_maps.append(ordered_sum(heard))  # [n, 2h, w+1]
    d_priors = tf.signal.irfft2d(tf.stack(d_priors), size)  # [81, 2h, 2w]
    d_maps = tf.signal.irfft2d(tf.stack(d_maps), size)  # [10, n, 2h, 2w]
    return d_priors, d_maps[..., :h, :w]


def _map_size(m):
    """(h, w) of spectra [n, 2h, w+1]."""
    rows, columns = m[0].shape.as_list()[1:]
    return rows // 2, columns - 1


# --- first values of the energies -----------------------------------------------------------------


def initial_energies(histograms: np.ndarray, mode: str = 'exact') -> np.ndarray:
    """The energies' first values, float32 [81, 2h, 2w], to be assigned once (and not baked into the
    graph).

    Args:
        histograms: [81, 2h, 2w], non-negative, of the pairs' displacements; any number of pairs.
        mode: 'exact': sp(e) is the histogram divided by its largest cell, at least PRIOR_FLOOR.
            Scaling a message only shifts the logits; this scale puts messages well above the
            biases.  The floor keeps displacements that were never seen possible and trainable:
            there sp'(e) = 1 - exp(-BETA sp(e)) = 0.005.
            'reference': e is the histogram, so that sp(e) varies by a few per cent only.
            'uniform': e is 0.
    """
    histograms = np.asarray(histograms, np.float64)
    if mode == 'uniform':
        energies = np.zeros_like(histograms)
    elif mode == 'reference':
        energies = histograms
    else:
        largest = histograms.max(axis=(1, 2), keepdims=True)  # [81, 1, 1]
        largest = np.maximum(largest, np.finfo(np.float64).tiny)  # of a pair never seen
        energies = inverse_softplus(np.maximum(histograms / largest, PRIOR_FLOOR))
    return energies.astype(np.float32)


def numpy_softplus(x: np.ndarray) -> np.ndarray:
    """`softplus` in NumPy, in the precision of x."""
    return np.logaddexp(0, BETA * x) / BETA


def inverse_softplus(y: np.ndarray) -> np.ndarray:
    """The x with softplus(x) = y > 0, by a formula that neither overflows nor cancels."""
    return y + np.log(-np.expm1(-BETA * y)) / BETA
