"""Random augmentation of an image and its joints together.

Flip (which exchanges left and right joints), rotation, crop, zoom and shift are composed into one
2x3 matrix (vision/affine.py), through which image and joints go once. Heat maps are rendered from
the transformed joints, so no heat map is ever warped. Brightness, contrast and colour are one
look-up table. The result depends only on the random generator: equal seeds, equal images.
"""

from typing import NamedTuple

import cv2
import numpy as np

from jointpose.vision.affine import (
    Size,
    compose,
    mirror,
    rotate,
    transform_points,
    translate,
    warp_image,
    zoom,
)

FLIP_PROBABILITY = 0.5
BRIGHTNESS = 32  # maximum change, grey levels of 255
CONTRAST = (0.8, 1.2)  # factor about each channel's mean, as in tf.image.adjust_contrast
CROP_FRACTION = 0.95  # of the image's sides; the place is random
DROPOUT_BOX_SIDES = (16, 80)  # minimum and maximum, pixels


class Ranges(NamedTuple):
    """The ranges that main.py's options set."""

    rotation: float = 10  # maximum, degrees; the reference's code has 20, its text 10
    zoom: tuple[float, float] = (1, 1)  # minimum and maximum
    shift: float = 0  # maximum along each axis, pixels
    colour: float = 0  # maximum change of each channel's factor from 1
    dropout_boxes: int = 0  # how many


DEFAULT_RANGES = Ranges()


class Parameters(NamedTuple):
    """The random choices for one sample."""

    mirrored: bool
    matrix: np.ndarray  # [2, 3], from the image to the augmented one
    brightness: float  # added, grey levels of 255
    contrast: float  # factor about each channel's mean
    gains: np.ndarray  # [3], factor of each channel


def ranges_from_options(options) -> Ranges:
    """Returns the Ranges that main.py's options set."""
    values = {name: getattr(options, name) for name in Ranges._fields}
    values['zoom'] = tuple(values['zoom'])
    return Ranges(**values)


def augment(
    image: np.ndarray,
    joints_xy: np.ndarray,
    flip,
    rng: np.random.Generator,
    ranges: Ranges = DEFAULT_RANGES,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Augments one training sample.

    Args:
        image: uint8 [h, w, 3].
        joints_xy: float32 [k, 2], pixels.
        flip: [k]; joint i of a mirrored image was joint flip[i].
    Returns:
        The image and the joints of the same shapes, and the 2x3 matrix that was applied. A joint
        that leaves the image keeps its position outside, and its heat map will be empty.
    """
    parameters = draw_parameters(rng, image.shape[1::-1], ranges)
    joints_xy = transform_points(parameters.matrix, joints_xy)
    if parameters.mirrored:
        joints_xy = joints_xy[list(flip)]
    image = adjust_colours(image, parameters.brightness, parameters.contrast, parameters.gains)
    image = warp_image(image, parameters.matrix)
    image = drop_boxes(image, ranges.dropout_boxes, rng)
    return image, joints_xy, parameters.matrix


def draw_parameters(
    rng: np.random.Generator, size: Size, ranges: Ranges = DEFAULT_RANGES
) -> Parameters:
    """Draws the random choices for one image of that size."""
    # The order of the draws is part of what a seed means.
    mirrored = rng.random() < FLIP_PROBABILITY
    brightness = rng.uniform(-BRIGHTNESS, BRIGHTNESS)
    contrast = rng.uniform(*CONTRAST)
    rotation = rotate(rng.uniform(-ranges.rotation, ranges.rotation), size)
    crop = crop_to_frame(*rng.random(2), size)
    log_zoom = rng.uniform(*np.log(ranges.zoom))
    zooming = zoom(np.exp(log_zoom), size)  # about the centre, as in the evaluation
    shift = translate(*rng.uniform(-ranges.shift, ranges.shift, 2))
    gains = rng.uniform(1 - ranges.colour, 1 + ranges.colour, 3)
    matrix = compose(rotation, crop, zooming, shift)
    if mirrored:
        matrix = compose(mirror(size), rotation, crop, zooming, shift)
    return Parameters(mirrored, matrix, brightness, contrast, gains)


def crop_to_frame(left: float, top: float, size: Size) -> np.ndarray:
    """Returns the matrix that crops CROP_FRACTION of each side and enlarges it to the full size.

    left, top: the crop's place, 0 to 1 from the leftmost or topmost to the last possible one.
    """
    room = (1 - CROP_FRACTION) * np.array(size)
    shift = -np.array([left, top]) * room / CROP_FRACTION
    return np.array([[1 / CROP_FRACTION, 0, shift[0]], [0, 1 / CROP_FRACTION, shift[1]]])


def adjust_colours(image: np.ndarray, brightness: float, contrast: float, gains=1) -> np.ndarray:
    """Changes brightness, contrast and the factors of the channels: uint8 [h, w, 3] -> the same.

    Each channel becomes ((v + brightness - mean) * contrast + mean) * gain, clipped, where mean is
    the channel's mean after the change of brightness.
    """
    red, green, blue, _ = cv2.mean(image)
    mean = np.array([red, green, blue]) + brightness  # [3]
    levels = np.arange(256)[:, None] + brightness  # [256, 1]
    contrasted = (levels - mean) * contrast + mean  # [256, 3]
    clipped = np.clip(contrasted * gains, 0, 255)
    table = np.rint(clipped).astype(np.uint8)
    return cv2.LUT(image, table[None])


def drop_boxes(image: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Coarse dropout: fills n random rectangles of a uint8 image with noise, in place."""
    for _ in range(n):
        height, width = rng.integers(*DROPOUT_BOX_SIDES, 2, endpoint=True)
        top = rng.integers(image.shape[0] - height, endpoint=True)
        left = rng.integers(image.shape[1] - width, endpoint=True)
        noise = rng.integers(256, size=(height, width, 3), dtype=np.uint8)
        image[top : top + height, left : left + width] = noise
    return image
