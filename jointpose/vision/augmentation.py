"""Augmentation of frame and joints together: one affine matrix, one warp of the uint8 picture, one look-up table.

Random flip (left and right joints swapped), brightness, contrast, rotation and crop, composed into a single 2x3
matrix; the joints go through the same matrix and the targets are rendered from them, so that no heat map is ever
warped.  Everything is a function of the Generator given: equal seeds, equal pictures.

Coordinates are (x right, y down), continuous: pixel i covers [i, i+1).  A matrix maps source to destination:
[x', y'] = matrix @ [x, y, 1].  A frame's size is (width, height).
"""

import collections

import cv2
import numpy as np

from jointpose.vision.affine import (
    compose,
    mirror,
    rotate,
    transform_points,
    translate,
    warp_image,
    zoom,
)

FLIP_PROBABILITY = 0.5
BRIGHTNESS = 32  # added, +- grey levels of 255
CONTRAST = (0.8, 1.2)  # factor around each channel's mean, as tf.image.adjust_contrast
CROP_FRACTION = 0.95  # share of the frame's sides that is kept, at a random place
DROPOUT_BOX_SIDES = (16, 80)  # sides of a dropout box, pixels

# What main.py can set.  rotation: +- degrees (the reference's code has 20, its text 10).  zoom: least and largest.
# shift: +- pixels.  colour: each channel's factor is 1 +- this.  dropout_boxes: how many.
Ranges = collections.namedtuple(
    'Ranges', 'rotation zoom shift colour dropout_boxes', defaults=(10, (1, 1), 0, 0, 0)
)
DEFAULT_RANGES = Ranges()


def ranges_from_options(options):
    """The Ranges that main.py's options stand for."""
    values = {name: getattr(options, name) for name in Ranges._fields}
    return Ranges(**{**values, 'zoom': tuple(values['zoom'])})


def crop_to_frame(left, top, size):
    """Cuts CROP of each side at (left, top), shares of the room there is, and enlarges it to the frame."""
    room = (1 - CROP_FRACTION) * np.array(size)
    shift = -np.array([left, top]) * room / CROP_FRACTION
    return np.array([[1 / CROP_FRACTION, 0, shift[0]], [0, 1 / CROP_FRACTION, shift[1]]])


def adjust_colours(image, brightness, contrast, gains=1):
    """uint8 -> uint8 [h, w, 3]: ((v + brightness - mean) * contrast + mean) * gains per channel, clipped."""
    mean = np.array(cv2.mean(image)[:3]) + brightness  # [3]
    levels = np.arange(256)[:, None] + brightness  # [256, 1]
    table = np.clip(((levels - mean) * contrast + mean) * gains, 0, 255)  # [256, 3]
    return cv2.LUT(image, np.rint(table).astype(np.uint8)[None])


def draw_parameters(rng, size, ranges=DEFAULT_RANGES):
    """Draws one sample's parameters: (mirrored, 2x3 matrix, brightness in grey levels, contrast factor, gains [3])."""
    mirrored = rng.random() < FLIP_PROBABILITY
    brightness, contrast = rng.uniform(-BRIGHTNESS, BRIGHTNESS), rng.uniform(*CONTRAST)
    turn, cut = (
        rotate(rng.uniform(-ranges.rotation, ranges.rotation), size),
        crop_to_frame(*rng.random(2), size),
    )
    scale = zoom(
        np.exp(rng.uniform(*np.log(ranges.zoom))), size
    )  # around the centre, as at evaluation
    move = translate(*rng.uniform(-ranges.shift, ranges.shift, 2))
    gains = rng.uniform(1 - ranges.colour, 1 + ranges.colour, 3)
    matrix = compose(*([mirror(size)] if mirrored else []), turn, cut, scale, move)
    return mirrored, matrix, brightness, contrast, gains


def drop_boxes(image, n, rng):
    """Coarse dropout: fills n random rectangles of a uint8 picture, whatever they hide, with noise; returns it."""
    for _ in range(n):
        height, width = rng.integers(*DROPOUT_BOX_SIDES, 2, endpoint=True)
        top, left = (
            rng.integers(room, endpoint=True)
            for room in np.subtract(image.shape[:2], (height, width))
        )
        image[top : top + height, left : left + width] = rng.integers(
            256, size=(height, width, 3), dtype=np.uint8
        )
    return image


def augment(image, joints_xy, flip, rng, ranges=DEFAULT_RANGES):
    """One training sample.  image uint8 [h, w, 3], joints_xy float32 [k, 2] pixels -> the same, augmented, and the 2x3
    matrix that they went through.

    flip: in a mirrored picture point i is where point flip[i] was.  A joint that leaves the frame keeps its position
    outside; its target map will be empty.
    """
    mirrored, matrix, *light = draw_parameters(rng, image.shape[1::-1], ranges)
    joints_xy = transform_points(matrix, joints_xy)
    if mirrored:
        joints_xy = joints_xy[list(flip)]
    return (
        drop_boxes(warp_image(adjust_colours(image, *light), matrix), ranges.dropout_boxes, rng),
        joints_xy,
        matrix,
    )
