"""Affine maps of images and points."""

import cv2
import numpy as np


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


def invert(matrix):
    """The 2x3 matrix that undoes one."""
    return cv2.invertAffineTransform(np.asarray(matrix, np.float64))


def transform_points(matrix, xy):
    """[..., 2] points through a 2x3 matrix."""
    return (xy @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def warp_image(image, matrix, size=None):
    """uint8 [h, w, 3] through a 2x3 matrix to a size (width, height), by default the same, bilinear; what was outside
    the frame is black."""
    half = np.array([0.5, 0.5])  # OpenCV's pixel i is the point i, ours its centre i + 0.5
    shifted = np.column_stack([matrix[:, :2], matrix[:, :2] @ half + matrix[:, 2] - half])
    return cv2.warpAffine(image, shifted, size or image.shape[1::-1], flags=cv2.INTER_LINEAR)
