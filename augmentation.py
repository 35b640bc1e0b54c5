"""Augmentation of frame and joints together: one affine matrix, one warp of the uint8 picture, one look-up table.

Random flip (left and right joints swapped), brightness, contrast, rotation and crop, composed into a single 2x3
matrix; the joints go through the same matrix and the targets are rendered from them, so that no heat map is ever
warped.  Everything is a function of the Generator given: equal seeds, equal pictures.

Coordinates are (x right, y down), continuous: pixel i covers [i, i+1).  A matrix maps source to destination:
[x', y'] = matrix @ [x, y, 1].
"""
import cv2
import numpy as np

from joints import FLIP, HEIGHT, WIDTH, clamp_to_frame

FLIP_PROBABILITY = 0.5
BRIGHTNESS = 32                     # added, +- grey levels of 255
CONTRAST = (0.8, 1.2)               # factor around each channel's mean, as tf.image.adjust_contrast
ROTATION = 10                       # +- degrees (the reference's code has 20, its text 10)
CROP = 0.95                         # share of the frame's sides that is kept, at a random place

CENTRE = (WIDTH / 2, HEIGHT / 2)
cv2.setNumThreads(1)                # the input pipeline runs several pictures at once instead


def compose(*matrices):
    """The 2x3 matrix that applies the given ones from left to right."""
    result = np.eye(3)
    for matrix in matrices:
        result = np.vstack([matrix, [0, 0, 1]]) @ result
    return result[:2]


def zoom(scale, centre=CENTRE):
    """Enlarges by `scale` around a point."""
    return np.array([[scale, 0, centre[0] * (1 - scale)], [0, scale, centre[1] * (1 - scale)]])


def rotate(degrees):
    """Rotates around the frame's centre, clockwise as seen (y points down)."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([turn, np.array(CENTRE) - turn @ CENTRE])


def mirror():
    return np.array([[-1.0, 0, WIDTH], [0, 1, 0]])


def crop(left, top):
    """Cuts CROP of each side at (left, top), shares of the room there is, and enlarges it to the frame."""
    room = (1 - CROP) * np.array([WIDTH, HEIGHT])
    shift = -np.array([left, top]) * room / CROP
    return np.array([[1 / CROP, 0, shift[0]], [0, 1 / CROP, shift[1]]])


def centre_crop():
    """The zoom that training pictures get on average: what test pictures go through beside augmented training."""
    return crop(0.5, 0.5)


def transform(matrix, xy):
    """[..., 2] points through a 2x3 matrix."""
    return (xy @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def warp(image, matrix):
    """uint8 [480, 720, 3] through a 2x3 matrix, bilinear; what was outside the frame is black."""
    half = np.array([0.5, 0.5])                      # OpenCV's pixel i is the point i, ours its centre i + 0.5
    shifted = np.column_stack([matrix[:, :2], matrix[:, :2] @ half + matrix[:, 2] - half])
    return cv2.warpAffine(image, shifted, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)


def relight(image, brightness, contrast):
    """uint8 -> uint8 [480, 720, 3]: (v + brightness - mean) * contrast + mean per channel, clipped, as one table."""
    mean = np.array(cv2.mean(image)[:3]) + brightness                        # [3]
    levels = np.arange(256)[:, None] + brightness                            # [256, 1]
    table = np.clip((levels - mean) * contrast + mean, 0, 255)               # [256, 3]
    return cv2.LUT(image, np.rint(table).astype(np.uint8)[None])


def draw(rng):
    """Draws one sample's parameters: (mirrored, 2x3 matrix, brightness in grey levels, contrast factor)."""
    mirrored = rng.random() < FLIP_PROBABILITY
    brightness, contrast = rng.uniform(-BRIGHTNESS, BRIGHTNESS), rng.uniform(*CONTRAST)
    turn, cut = rotate(rng.uniform(-ROTATION, ROTATION)), crop(*rng.random(2))
    return mirrored, compose(*([mirror()] if mirrored else []), turn, cut), brightness, contrast


def augment(image, joints_xy, rng):
    """One training sample.  image uint8 [480, 720, 3], joints_xy float32 [10, 2] pixels -> the same, augmented.

    A joint that leaves the frame keeps its position outside; its target map will be empty.
    """
    mirrored, matrix, brightness, contrast = draw(rng)
    joints_xy = transform(matrix, clamp_to_frame(joints_xy))
    if mirrored:
        joints_xy = joints_xy[list(FLIP)]
    return warp(relight(image, brightness, contrast), matrix), joints_xy
