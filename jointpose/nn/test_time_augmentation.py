"""Multi-scale inference (Tompson's ICLR 2014 evaluation): eight zooms of a frame, maps averaged.

Pads 1.1 1.2 1.3 1.4 put the frame into a larger black one, crops 0.7 0.8 0.9 1.0 cut its middle;
each is a zoom about the centre.  The maps are brought back by the exact inverse, as two small
interpolation matrices.  Each is scaled to sum 1, and the mean is decoded.  Without the scaling, a
pad's map weighs up to 2, and a crop's, which loses what it enlarges, down to 1/2.

Measured on 199 held-out training people of FLIC, by a network of an eighth of the width that had
seen 300 others 16 times; detection rate at radius 10 of the joint model: 57.0 % scaled, 55.7 % not
scaled (1.2 +- 0.7 less), 54.0 % at the one scale of the training frames, 52.5 % at scale 1.  (The
choice was made by an earlier measurement on every eighth of FLIC's test people.)

A negative scale stands for the zoom of the mirrored frame.  Its maps are mirrored back by the same
two matrices, left and right exchanged.
"""

from collections.abc import Callable, Sequence

import numpy as np

from jointpose.nn.tf1 import tf
from jointpose.vision.affine import compose, mirror, transform_points, warp_image, zoom

PADS = (1.1, 1.2, 1.3, 1.4)
CROPS = (0.7, 0.8, 0.9, 1.0)
SCALES = tuple(1 / pad for pad in PADS) + tuple(1 / crop for crop in CROPS)


def view_matrix(scale: float, size: Sequence[int]) -> np.ndarray:
    """The 2x3 matrix of a zoom of a frame (width, height); negative: of the mirrored frame."""
    if scale > 0:
        return zoom(scale, size)
    return compose(mirror(size), zoom(-scale, size))


def scaled_images(image: np.ndarray, scales: Sequence[float] = SCALES) -> np.ndarray:
    """One frame at S scales: uint8 [h, w, 3] -> [S, h, w, 3]."""
    size = image.shape[1::-1]
    return np.stack(
        [image if scale == 1 else warp_image(image, view_matrix(scale, size)) for scale in scales]
    )


def scaled_points(
    xy: np.ndarray,
    size: Sequence[int],
    scales: Sequence[float] = SCALES,
    flip: Sequence[int] = (0,),
) -> np.ndarray:
    """Where points of a frame are at each scale: [..., k, 2] pixels -> float32 [S, ..., k, 2].

    Args:
        size: (width, height) of the frame.
        flip: in a mirrored picture point i is where point flip[i] was.
    """
    mirrored_xy = xy[..., list(flip), :]
    return np.stack(
        [
            transform_points(view_matrix(scale, size), xy if scale > 0 else mirrored_xy)
            for scale in scales
        ]
    )


def resampling_matrix(scale: float, length: int) -> np.ndarray:
    """[length, length]: linear interpolation of a zoomed axis at the original cells, 0 outside.

    Cell i of the original has its centre at i + 1/2; the zoom put it at
    (i + 1/2 - length/2) * scale + length/2, which mirrors the axis if the scale is negative.
    """
    at = (np.arange(length) + 0.5 - length / 2) * scale + length / 2 - 0.5  # in zoomed cells
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(length))).astype(np.float32)


def merge_views(
    maps: tf.Tensor,
    scales: Sequence[float] = SCALES,
    flip: Sequence[int] | None = None,
    scaled: bool = True,
) -> tf.Tensor:
    """The mean in the frame of maps at S scales: [n * S, h, w, k] -> [n, h, w, k].

    Args:
        maps: of n frames, a frame's views one after the other.
        flip: as in `scaled_points`, of the k maps; needed if a scale is negative.
        scaled: each map to sum 1 first.
    """
    height, width, k = maps.shape.as_list()[1:]
    down = np.stack([resampling_matrix(abs(scale), height) for scale in scales])  # [S, h, h]
    right = np.stack([resampling_matrix(scale, width) for scale in scales])  # [S, w, w]
    maps = tf.reshape(maps, [-1, len(scales), height, width, k])  # [n, S, h, w, k]
    maps = tf.einsum('nsrck,sRr->nsRck', maps, down)
    maps = tf.einsum('nsrck,sCc->nsrCk', maps, right)
    if min(scales) < 0:
        maps = exchange_sides(maps, scales, flip)
    if not scaled:
        return tf.reduce_mean(maps, axis=1)
    mass = tf.reduce_sum(maps, axis=[2, 3], keepdims=True)
    return tf.reduce_mean(maps / tf.maximum(mass, 1e-12), axis=1)


def exchange_sides(maps: tf.Tensor, scales: Sequence[float], flip: Sequence[int]) -> tf.Tensor:
    """Maps [n, S, h, w, k] with left and right exchanged at negative scales."""
    views = []
    for view, scale in zip(tf.unstack(maps, axis=1), scales):
        if scale < 0:
            view = tf.gather(view, flip, axis=-1)
        views.append(view)
    return tf.stack(views, axis=1)


def cached_by_frame(look: Callable[[np.ndarray], np.ndarray], n: int) -> Callable:
    """The function `look`, which does not look at a frame twice in succession.

    Args:
        look: images [m * n, ...] -> maps [m * n, ...], a frame's n views one after the other.

    Returns:
        The same function.  Maps of this call's and the previous call's frames are reused: people of
        one frame follow each other.
    """
    known = {}

    def seen(images):
        nonlocal known
        frames = images.reshape(-1, n, *images.shape[1:])
        keys = [frame.tobytes() for frame in frames]
        new = {key: frame for key, frame in zip(keys, frames) if key not in known}
        if new:
            maps = look(np.concatenate(list(new.values())))
            known.update(zip(new, maps.reshape(-1, n, *maps.shape[1:])))
        known = {key: known[key] for key in keys}
        return np.concatenate([known[key] for key in keys])

    return seen
