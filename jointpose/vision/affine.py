"""Affine maps of points and images, as 2x3 matrices.

A matrix maps source to destination: [x', y'] = matrix @ [x, y, 1]. Coordinates are (x right,
y down) and continuous: pixel i covers [i, i + 1). A size is (width, height).
"""

import cv2
import numpy as np

Size = tuple[int, int]


# --- matrices -----------------------------------------------------------------------------------


def compose(*matrices: np.ndarray) -> np.ndarray:
    """Returns the matrix that applies the given ones from left to right."""
    result = np.eye(3)
    for matrix in matrices:
        result = np.vstack([matrix, [0, 0, 1]]) @ result
    return result[:2]


def invert(matrix: np.ndarray) -> np.ndarray:
    """Returns the matrix of the inverse map."""
    return cv2.invertAffineTransform(np.asarray(matrix, np.float64))


def translate(x: float, y: float) -> np.ndarray:
    return np.array([[1, 0, x], [0, 1, y]])


def zoom(scale: float, size: Size) -> np.ndarray:
    """Scales about the centre of an image of that size; a scale above 1 enlarges."""
    width, height = size
    left = width / 2 * (1 - scale)
    top = height / 2 * (1 - scale)
    return np.array([[scale, 0, left], [0, scale, top]])


def rotate(degrees: float, size: Size) -> np.ndarray:
    """Rotates about the centre of an image of that size, clockwise as seen (y points down)."""
    rotation = rotation_matrix(degrees)
    centre = np.array(size) / 2
    return np.column_stack([rotation, centre - rotation @ centre])


def rotation_matrix(degrees: float) -> np.ndarray:
    """Returns the 2x2 matrix of a rotation, clockwise as seen (y points down)."""
    cos = np.cos(np.radians(degrees))
    sin = np.sin(np.radians(degrees))
    return np.array([[cos, -sin], [sin, cos]])


def mirror(size: Size) -> np.ndarray:
    """Exchanges left and right of an image of that size."""
    width, _ = size
    return np.array([[-1.0, 0, width], [0, 1, 0]])


# --- what they are applied to -------------------------------------------------------------------


def transform_points(matrix: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Maps points: [..., 2] -> float32 [..., 2]."""
    return (xy @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def warp_image(
    image: np.ndarray, matrix: np.ndarray, size: Size | None = None, grey: int = 0
) -> np.ndarray:
    """Maps an image, uint8 [h, w, 3], by bilinear interpolation.

    Args:
        size: of the result, by default the image's own.
        grey: value of the area around the image, by default black.
    """
    # OpenCV puts the centre of pixel i at i, this project at i + 0.5.
    half = np.array([0.5, 0.5])
    linear = matrix[:, :2]
    shift = linear @ half + matrix[:, 2] - half
    opencv_matrix = np.column_stack([linear, shift])
    return cv2.warpAffine(
        image,
        opencv_matrix,
        size or image.shape[1::-1],
        flags=cv2.INTER_LINEAR,
        borderValue=(grey, grey, grey),
    )
