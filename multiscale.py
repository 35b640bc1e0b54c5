"""Multi-scale inference (Tompson's ICLR 2014 evaluation): eight zooms of a frame, maps brought back and averaged.

Pads 1.1 1.2 1.3 1.4 put the frame into a larger black one, crops 0.7 0.8 0.9 1.0 cut its middle; each is a zoom about
the centre.  The maps come back by the exact inverse, as two small interpolation matrices; each is scaled to sum 1
and the mean is decoded.  Without the scaling a pad's map weighs up to 2 and a crop's, which loses what it enlarges,
down to 1/2.  Measured on every eighth of FLIC's test people after one epoch at a quarter of the width, detection rate
at radius 10 of the joint model: 59.6 % scaled, 57.8 % not, 55.2 % at scale 1 alone.  Zooming all scales by the 1.053
that augmented training frames have changes nothing (59.1 %), so frames are not.
"""
import numpy as np

import batches
from augmentation import transform, warp, zoom
from joints import MAP_HEIGHT, MAP_WIDTH, clamp_to_frame, render_targets
from tf1 import tf

PADS, CROPS = (1.1, 1.2, 1.3, 1.4), (0.7, 0.8, 0.9, 1.0)
SCALES = tuple(1 / pad for pad in PADS) + tuple(1 / crop for crop in CROPS)


def scales_of(options):
    """The zooms that --scales stands for."""
    return SCALES if options.scales == 'multi' else (1.0,)


def scaled_batch(split, rows, scales=SCALES):
    """All scales of the given rows, a row's scales together: a Batch of len(rows) * len(scales)."""
    images = np.concatenate([scaled_images(split.images[row], scales) for row in rows])
    joints_xy = scaled_points(clamp_to_frame(split.joints[rows]), scales)
    return batches.finish(np.repeat(rows, len(scales)), images, joints_xy)


def scaled_images(image, scales=SCALES):
    """One frame at S scales: uint8 [480, 720, 3] -> [S, 480, 720, 3]."""
    return np.stack([image if scale == 1 else warp(image, zoom(scale)) for scale in scales])


def scaled_points(xy, scales=SCALES):
    """Where points of n frames are at each scale: [n, k, 2] pixels -> float32 [n * S, k, 2], a frame's together."""
    return np.stack([transform(zoom(scale), xy) for scale in scales], axis=1).reshape(-1, *xy.shape[1:])


def torso_maps(torso_xy, scales=SCALES):
    """The spatial model's map of the torso at each scale: [n, 2] pixels -> float32 [n * S, 60, 90, 1]."""
    return render_targets(scaled_points(clamp_to_frame(torso_xy)[:, None], scales))


def back_matrix(scale, length):
    """[length, length]: linear interpolation of a zoomed axis of cells at the original cells, 0 outside.

    Cell i of the original has its centre i + 1/2; the zoom put it at (i + 1/2 - length/2) * scale + length/2.
    """
    at = (np.arange(length) + 0.5 - length / 2) * scale + length / 2 - 0.5           # in zoomed cells
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(length))).astype(np.float32)


def combine(maps, scales=SCALES):
    """Maps of a scaled_batch, [n * S, 60, 90, k] -> mean over the scales in the original frame, [n, 60, 90, k]."""
    down = np.stack([back_matrix(scale, MAP_HEIGHT) for scale in scales])            # [S, 60, 60]
    right = np.stack([back_matrix(scale, MAP_WIDTH) for scale in scales])            # [S, 90, 90]
    k = maps.shape[-1]
    maps = tf.reshape(maps, [-1, len(scales), MAP_HEIGHT, MAP_WIDTH, k])             # [n, S, 60, 90, k]
    maps = tf.einsum('nsrck,sRr->nsRck', maps, down)
    maps = tf.einsum('nsrck,sCc->nsrCk', maps, right)
    mass = tf.reduce_sum(maps, axis=[2, 3], keepdims=True)
    return tf.reduce_mean(maps / tf.maximum(mass, 1e-12), axis=1)
