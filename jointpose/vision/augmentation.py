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

FLIP_PROBABILITY = 0.5
BRIGHTNESS = 32  # added, +- grey levels of 255
CONTRAST = (0.8, 1.2)  # factor around each channel's mean, as tf.image.adjust_contrast
CROP = 0.95  # share of the frame's sides that is kept, at a random place
BOX = (16, 80)  # sides of a dropout box, pixels

# What main.py can set.  rotation: +- degrees (the reference's code has 20, its text 10).  zoom: least and largest.
# shift: +- pixels.  colour: each channel's factor is 1 +- this.  dropout_boxes: how many.
Ranges = collections.namedtuple(
    'Ranges', 'rotation zoom shift colour dropout_boxes', defaults=(10, (1, 1), 0, 0, 0)
)
USUAL = Ranges()


def ranges_of(options):
    """The Ranges that main.py's options stand for."""
    values = {name: getattr(options, name) for name in Ranges._fields}
    return Ranges(**{**values, 'zoom': tuple(values['zoom'])})


def compose(*matrices):
    """The 2x3 matrix that applies the given ones from left to right."""
    result = np.eye(3)
    for matrix in matrices:
        result = np.vstack([matrix, [0, 0, 1]]) @ result
    return result[:2]


def zoom(scale, size):
    """Enlarges by `scale` around the frame's centre."""
    width, height = size
    return np.array([[scale, 0, width / 2 * (1 - scale)], [0, scale, height / 2 * (1 - scale)]])


def translate(x, y):
    return np.array([[1, 0, x], [0, 1, y]])


def rotate(degrees, size):
    """Rotates around the frame's centre, clockwise as seen (y points down)."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn, centre = np.array([[cos, -sin], [sin, cos]]), np.array(size) / 2
    return np.column_stack([turn, centre - turn @ centre])


def mirror(size):
    return np.array([[-1.0, 0, size[0]], [0, 1, 0]])


def crop(left, top, size):
    """Cuts CROP of each side at (left, top), shares of the room there is, and enlarges it to the frame."""
    room = (1 - CROP) * np.array(size)
    shift = -np.array([left, top]) * room / CROP
    return np.array([[1 / CROP, 0, shift[0]], [0, 1 / CROP, shift[1]]])


def transform(matrix, xy):
    """[..., 2] points through a 2x3 matrix."""
    return (xy @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def warp(image, matrix, size=None):
    """uint8 [h, w, 3] through a 2x3 matrix to a size (width, height), by default the same, bilinear; what was outside
    the frame is black."""
    half = np.array([0.5, 0.5])  # OpenCV's pixel i is the point i, ours its centre i + 0.5
    shifted = np.column_stack([matrix[:, :2], matrix[:, :2] @ half + matrix[:, 2] - half])
    return cv2.warpAffine(image, shifted, size or image.shape[1::-1], flags=cv2.INTER_LINEAR)


def relight(image, brightness, contrast, gains=1):
    """uint8 -> uint8 [h, w, 3]: ((v + brightness - mean) * contrast + mean) * gains per channel, clipped."""
    mean = np.array(cv2.mean(image)[:3]) + brightness  # [3]
    levels = np.arange(256)[:, None] + brightness  # [256, 1]
    table = np.clip(((levels - mean) * contrast + mean) * gains, 0, 255)  # [256, 3]
    return cv2.LUT(image, np.rint(table).astype(np.uint8)[None])


def draw(rng, size, ranges=USUAL):
    """Draws one sample's parameters: (mirrored, 2x3 matrix, brightness in grey levels, contrast factor, gains [3])."""
    mirrored = rng.random() < FLIP_PROBABILITY
    brightness, contrast = rng.uniform(-BRIGHTNESS, BRIGHTNESS), rng.uniform(*CONTRAST)
    turn, cut = (
        rotate(rng.uniform(-ranges.rotation, ranges.rotation), size),
        crop(*rng.random(2), size),
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
        height, width = rng.integers(*BOX, 2, endpoint=True)
        top, left = (
            rng.integers(room, endpoint=True)
            for room in np.subtract(image.shape[:2], (height, width))
        )
        image[top : top + height, left : left + width] = rng.integers(
            256, size=(height, width, 3), dtype=np.uint8
        )
    return image


def augment(image, joints_xy, flip, rng, ranges=USUAL):
    """One training sample.  image uint8 [h, w, 3], joints_xy float32 [k, 2] pixels -> the same, augmented, and the 2x3
    matrix that they went through.

    flip: in a mirrored picture point i is where point flip[i] was.  A joint that leaves the frame keeps its position
    outside; its target map will be empty.
    """
    mirrored, matrix, *light = draw(rng, image.shape[1::-1], ranges)
    joints_xy = transform(matrix, joints_xy)
    if mirrored:
        joints_xy = joints_xy[list(flip)]
    return (
        drop_boxes(warp(relight(image, *light), matrix), ranges.dropout_boxes, rng),
        joints_xy,
        matrix,
    )
