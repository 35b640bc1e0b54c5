"""A person in an image, the crop of the image that a system sees, and the way back.

Coordinates are (x right, y down) and continuous: pixel i covers [i, i + 1). Matrices are those of
vision/affine.py. Shapes: k joints.

Some systems take a whole image with all its people as one sample (systems/__init__.py). There,
every array of a Person and a Sample except `image` and `to_image` has a first axis for people,
padded with people without a visible joint.
"""

from typing import NamedTuple

import cv2
import numpy as np

from jointpose.vision.affine import (
    Size,
    compose,
    invert,
    rotation_matrix,
    transform_points,
    translate,
    warp_image,
)

# Values of `visible`.
UNLABELLED = 0
HIDDEN = 1
VISIBLE = 2

SCALE_PIXELS = 200  # MPII's `scale` is a length in units of so many pixels


class Person(NamedTuple):
    """An annotated person, in pixels of the image."""

    joints_xy: np.ndarray  # float32 [k, 2]; any value, even NaN, where a joint is unlabelled
    visible: np.ndarray  # uint8 [k]: UNLABELLED, HIDDEN or VISIBLE
    box: np.ndarray  # float32 [4]: x1, y1, x2, y2
    centre: np.ndarray  # float32 [2], MPII's
    scale: np.ndarray  # float32 [], MPII's: the person is about 200 * scale pixels high
    norm_length: np.ndarray  # float32 [], by which errors are divided; see the data set's module
    file: str  # name of the image


class Sample(NamedTuple):
    """What a system sees of a person."""

    image: np.ndarray  # uint8 [h, w, 3]
    joints_xy: np.ndarray  # float32 [k, 2], pixels of `image`; left and right as it shows them
    visible: np.ndarray  # uint8 [k]
    to_image: np.ndarray  # [2, 3], from the pixels of the system's `decode` to the whole image's


class View(NamedTuple):
    """A frame that shows a part of an image."""

    image: np.ndarray  # RGB uint8 [h, w, 3]
    matrix: np.ndarray  # [2, 3], from pixels of the whole image to those of the frame


# --- people -------------------------------------------------------------------------------------


def person_from_row(split, row: int) -> Person:
    """Returns the Person in one row of an arrays.Split."""
    record = split.people[row]
    return Person(
        joints_xy=split.joints[row],
        visible=record['visible'],
        box=record['box'],
        centre=record['centre'],
        scale=record['scale'],
        norm_length=record['unit'],
        file=record['file'],
    )


def person_from_box(box, n_points: int, points_xy=(0, 0)) -> Person:
    """Returns a Person of whom only the box is known, for images without annotations.

    Args:
        box: x1, y1, x2, y2, pixels.
        points_xy: the position of all joints, pixels.
    """
    box = np.asarray(box, np.float32)
    centre, scale = centre_and_scale(box)
    return Person(
        joints_xy=np.broadcast_to(np.asarray(points_xy, np.float32), (n_points, 2)),
        visible=np.zeros(n_points, np.uint8),
        box=box,
        centre=centre,
        scale=scale,
        norm_length=np.float32(1),
        file='',
    )


def centre_and_scale(box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns MPII's measures of boxes [..., 4]: centres [..., 2] and scales [...]."""
    first = box[..., :2]
    last = box[..., 2:]
    return (first + last) / 2, (last - first).max(axis=-1) / SCALE_PIXELS


def visibility(joints_xy: np.ndarray) -> np.ndarray:
    """Returns VISIBLE where a joint has coordinates, UNLABELLED where it is NaN: [..., 2] -> uint8 [...]."""
    is_unlabelled = np.isnan(joints_xy).any(axis=-1)
    return np.where(is_unlabelled, UNLABELLED, VISIBLE).astype(np.uint8)


# --- crops --------------------------------------------------------------------------------------


def crop_matrix(
    centre, extent, size: Size, degrees: float = 0, mirrored: bool = False
) -> np.ndarray:
    """Returns the 2x3 matrix from an image to a crop of it.

    Args:
        centre: the point of the image that becomes the crop's centre, pixels.
        extent: (width, height) of the area that is cropped, pixels of the image.
        size: (width, height) of the crop. It is stretched if the proportions differ.
        degrees: how far the image is rotated about the centre, clockwise as seen.
        mirrored: whether left and right are exchanged, before the rotation.
    """
    x, y = centre
    flip = np.diag([-1.0 if mirrored else 1.0, 1.0])
    zoom = np.diag(np.asarray(size, float) / extent)
    return compose(
        translate(-x, -y),
        _linear(flip),
        _linear(rotation_matrix(degrees)),
        _linear(zoom),
        translate(size[0] / 2, size[1] / 2),
    )


def _linear(matrix: np.ndarray) -> np.ndarray:
    """A 2x2 matrix as a 2x3 one without a shift."""
    return np.column_stack([matrix, [0, 0]])


def crop_person(
    image: np.ndarray, person: Person, matrix: np.ndarray, size: Size, flip=None, grey: int = 0
) -> Sample:
    """Returns the Sample that a matrix makes of an image and a Person in it.

    Args:
        image: uint8 [h, w, 3].
        size: (width, height) of the crop.
        flip: [k], if the matrix mirrors: joint i of the crop was joint flip[i].
        grey: value in the crop of what lies outside of the image, by default black.
    """
    joints_xy = transform_points(matrix, person.joints_xy)
    visible = person.visible
    if flip is not None:
        joints_xy = joints_xy[..., list(flip), :]
        visible = visible[..., list(flip)]
    return Sample(warp_image(image, matrix, size, grey), joints_xy, visible, invert(matrix))


# --- whole images -------------------------------------------------------------------------------


def letterbox(width: int, height: int, frame: tuple[int, int]) -> tuple[np.ndarray, Size]:
    """Fits an image of that size into the centre of a frame (height, width), undistorted.

    Returns the 2x3 matrix from image to frame, and the image's (width, height) there, which is
    rounded to whole pixels.
    """
    frame_height, frame_width = frame
    scale = min(frame_width / width, frame_height / height)
    new_width = max(1, round(scale * width))
    new_height = max(1, round(scale * height))
    left = (frame_width - new_width) // 2
    top = (frame_height - new_height) // 2
    matrix = np.array([[new_width / width, 0, left], [0, new_height / height, top]])
    return matrix, (new_width, new_height)


def fit_to_frame(image: np.ndarray, frame: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Resizes an image to a frame (height, width) and fills what remains with black.

    uint8 [h, w, 3] -> uint8 [*frame, 3], and the 2x3 matrix from image to frame.
    """
    matrix, (width, height) = letterbox(*image.shape[1::-1], frame)
    if image.shape[:2] == tuple(frame):
        return image, matrix
    if image.shape[:2] != (height, width):
        # Both interpolations map the edges of pixels to edges of pixels.
        interpolation = cv2.INTER_AREA if width < image.shape[1] else cv2.INTER_LINEAR
        image = cv2.resize(image, (width, height), interpolation=interpolation)
    left, top = matrix[:, 2].astype(int)
    framed = np.zeros((*frame, 3), np.uint8)
    framed[top : top + height, left : left + width] = image
    return framed, matrix
