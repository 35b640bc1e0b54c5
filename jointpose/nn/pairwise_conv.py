"""Three more implementations of spatial_model.messages: each prior * the map of its sender.

    stacked   as in spatial_model.py, but all pairs in one tensor: 28 operations in place of 502,
              built in 0.02 s of CPU time in place of 0.2; it runs a fifth slower and has no
              gradient.  For graphs that run a few times.
    matmul    matrix products and sums only: for export to other formats
    direct    tf.nn.conv2d, to compare with: forward 5 to 7 times slower at batch 14, 35 times at
              batch 1, and about 100 times with its gradient

All have the same arguments and results:

    priors   float32 [k, 2h, 2w], one for each of k pairs, indexed by displacement + (h, w)
    maps     float32 [s, n, h, w]
    senders  for each pair, the index of its map
    keep_spectra   cache the priors' transforms (spectrum_cache.filled); only `stacked` does
    returns  k x [n, h, w]:  sum over cells q of  priors[pair][p - q + (h, w)]  maps[sender][q]
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jointpose.nn import spectrum_cache
from jointpose.nn.tf1 import tf


def stacked(
    priors: tf.Tensor, maps: tf.Tensor, senders: Sequence[int], keep_spectra: bool = False
) -> list[tf.Tensor]:
    """By Fourier transforms, all pairs at once."""
    h, w = maps.shape.as_list()[2:]
    size = [2 * h, 2 * w]
    prior_spectra = tf.signal.rfft2d(priors)  # [k, 2h, w+1]
    if keep_spectra:
        prior_spectra = spectrum_cache.cached(prior_spectra)
    map_spectra = tf.signal.rfft2d(maps, size)  # [s, n, 2h, w+1]
    map_spectra = tf.gather(map_spectra, senders)  # [k, n, 2h, w+1]
    products = prior_spectra[:, None] * map_spectra  # [k, n, 2h, w+1]
    sums = tf.signal.irfft2d(products, size)  # [k, n, 2h, 2w]
    messages = tf.nn.relu(sums[:, :, h:, w:])  # rounding may go below 0
    return tf.unstack(messages)


def direct(
    priors: tf.Tensor, maps: tf.Tensor, senders: Sequence[int], keep_spectra: bool = False
) -> list[tf.Tensor]:
    """By tf.nn.conv2d: a prior is the image, and the maps, rotated by 180 degrees, are its filters.

    Row 0 and column 0 of the valid part belong to displacements by h and w, which no two cells of a
    map have.
    """
    filters = tf.transpose(tf.reverse(maps, [2, 3]), [0, 2, 3, 1])  # [s, h, w, n]
    filters = tf.unstack(filters[:, :, :, None])  # s x [h, w, 1, n]
    images = tf.unstack(priors[:, None, ..., None])  # k x [1, 2h, 2w, 1]
    out = []
    for image, sender in zip(images, senders):
        valid = tf.nn.conv2d(image, filters[sender], strides=1, padding='VALID')  # [1, h+1, w+1, n]
        out.append(tf.transpose(valid[0, 1:, 1:], [2, 0, 1]))
    return out


def matmul(
    priors: tf.Tensor, maps: tf.Tensor, senders: Sequence[int], keep_spectra: bool = False
) -> list[tf.Tensor]:
    """By products with the bases of the circular transform, real and imaginary parts apart.

    Only a map's h rows and w columns enter the transform, and only as many leave it.  A spectrum's
    real part lies above its imaginary part: [..., 2 * 2h, w+1].

    The priors' spectra are made in float64; in a frozen graph (export.py) they are constants.
    Batches are flattened: oneDNN's product of [10, 1, h, w] and [w, w+1] in TensorFlow 2.21 writes
    outside of its result.
    """
    h, w = maps.shape.as_list()[2:]
    s = maps.shape.as_list()[0]
    k = len(senders)
    bases = _dft_bases(h, w)

    # Forward.
    exact_priors = tf.cast(priors, tf.float64)
    prior_spectra = _spectra(exact_priors, bases.all_rows, bases.all_columns)
    prior_spectra = tf.cast(prior_spectra, tf.float32)  # [k, 4h, w+1]
    flat_maps = tf.reshape(maps, [-1, h, w])  # [s n, h, w]
    map_spectra = _spectra(flat_maps, bases.rows, bases.columns)  # [s n, 4h, w+1]
    map_spectra = tf.reshape(map_spectra, [s, -1, 4 * h, w + 1])
    map_spectra = tf.gather(map_spectra, senders)  # [k, n, 4h, w+1]

    products = _complex_product(prior_spectra[:, None], map_spectra)
    products = tf.reshape(products, [-1, 4 * h, w + 1])  # [k n, 4h, w+1]

    # Back.
    rows_back = tf.constant(bases.rows_back, tf.float32)
    rows = tf.matmul(rows_back, products)  # [k n, 2h, w+1]
    real, imaginary = tf.split(rows, 2, axis=1)
    rows = tf.concat([real, imaginary], axis=2)  # [k n, h, 2(w+1)]
    sums = _times(rows, bases.columns_back)  # [k n, h, w]
    sums = tf.reshape(sums, [k, -1, h, w])
    return tf.unstack(tf.nn.relu(sums))


METHODS = {'stacked': stacked, 'direct': direct, 'matmul': matmul}


def _complex_product(a, b):
    """The product of spectra [k, n, 4h, w+1], the real part above the imaginary part."""
    a_re, a_im = tf.split(a, 2, axis=2)
    b_re, b_im = tf.split(b, 2, axis=2)
    real = a_re * b_re - a_im * b_im
    imaginary = a_re * b_im + a_im * b_re
    return tf.concat([real, imaginary], axis=2)


def _spectra(x, rows, columns):
    """x [k, a, b] by the forward bases rows [4h, 2a] and columns [2, b, w+1] -> [k, 4h, w+1]."""
    real = _times(x, columns[0])  # [k, a, w+1]
    imaginary = _times(x, columns[1])
    parts = tf.concat([real, imaginary], axis=1)  # [k, 2a, w+1]
    return tf.matmul(tf.constant(rows, x.dtype), parts)


def _times(x, matrix):
    """[k, a, b] by [b, c] -> [k, a, c]."""
    flat = tf.reshape(x, [-1, matrix.shape[0]])
    flat = tf.matmul(flat, tf.constant(matrix, x.dtype))
    return tf.reshape(flat, [-1, x.shape[1], matrix.shape[1]])


class Bases(NamedTuple):
    """The transform of size 2h x 2w, real to half complex, as float64 matrices.

    A complex matrix is the real one [[re, -im], [im, re]].
    """

    # Forward, of whole priors.
    all_rows: np.ndarray  # [4h, 4h]
    all_columns: np.ndarray  # [2, 2w, w+1], real and imaginary part
    # Forward, of maps, which are zero beyond h and w.
    rows: np.ndarray  # [4h, 2h]
    columns: np.ndarray  # [2, w, w+1], real and imaginary part
    # Inverse, to the last h rows and the last w columns only.
    rows_back: np.ndarray  # [2h, 4h]
    columns_back: np.ndarray  # [2(w+1), w], each frequency with its conjugate's


def _dft_bases(h, w):
    """The Bases for maps of h x w cells."""
    down = _fourier(2 * h)  # [frequency, row]
    right = _fourier(2 * w)[:, : w + 1]  # [column, frequency]
    columns = np.stack([right.real, right.imag])
    alone = np.arange(w + 1) % w == 0  # frequencies 0 and w are their own conjugates
    weight = np.where(alone, 1, 2)[:, None] / (2 * w)
    back = right[w:].T.conj() * weight  # [w+1, w]
    return Bases(
        all_rows=_real_matrix(down),
        all_columns=columns,
        rows=_real_matrix(down[:, :h]),
        columns=columns[:, :w],
        rows_back=_real_matrix(down[:, h:].conj().T / (2 * h)),
        columns_back=np.concatenate([back.real, -back.imag]),
    )


def _fourier(size):
    """The complex matrix [size, size] of the discrete Fourier transform."""
    turns = np.outer(np.arange(size), np.arange(size)) % size / size
    return np.exp(-2j * np.pi * turns)


def _real_matrix(z):
    """A complex matrix as a real one of twice its size."""
    return np.block([[z.real, -z.imag], [z.imag, z.real]])
