"""Text on images: single lines, and labels on dark boxes that do not overlap.

Sizes of text are OpenCV's font scale; capitals are 21 pixels high at scale 1.
"""

from typing import NamedTuple

import cv2
import numpy as np

FONT = cv2.FONT_HERSHEY_SIMPLEX
PADDING = np.array([9, 18])  # added to width and height of text of scale 1, pixels
DARKENING = 3  # a label's box keeps a third of the image's brightness

# Where a label lies, seen from its point.
LEFT = -1
ABOVE = 0
RIGHT = 1

# The directions in which text is repeated in black, as its outline.  (Text drawn with a thicker
# line would lie elsewhere in OpenCV 5.)
OUTLINE = ((-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (1, -1), (-1, 1), (1, 1))


class Label(NamedTuple):
    """A label whose place is fixed."""

    text: str
    scale: float
    colour: tuple[int, int, int]  # RGB
    left: int  # pixels of the image, like the rest
    bottom: int
    width: int
    height: int


class Labels:
    """Collects the labels of an image, so that each finds a free place, and then draws them."""

    def __init__(self, image: np.ndarray):
        self.image_height, self.image_width = image.shape[:2]
        self.placed: list[Label] = []

    def add(self, text: str, xy, scale: float, colour, side: int = RIGHT) -> None:
        """Places a label next to a point (x, y), pixels, within the image.

        It is moved up or down until it overlaps no other label, if there is room.

        side: LEFT, ABOVE or RIGHT.
        """
        text_size, _ = cv2.getTextSize(text, FONT, scale, 1)
        padded = text_size + PADDING * scale
        width, height = np.rint(padded).astype(int).tolist()
        x = float(xy[0])
        y = float(xy[1])
        left = self._left(x, width, side)
        bottom = y if side == ABOVE else y + height / 2
        bottom = self._nearest_free_bottom(left, width, height, bottom)
        self.placed.append(Label(text, scale, colour, left, bottom, width, height))

    def _left(self, x: float, width: int, side: int) -> int:
        """The left edge of a label at a point, within the image."""
        wanted = {LEFT: x - width, ABOVE: x - width / 2, RIGHT: x}[side]
        return round(float(np.clip(wanted, 0, max(self.image_width - width, 0))))

    def _nearest_free_bottom(self, left: int, width: int, height: int, wanted: float) -> int:
        """The row closest to the one wanted at which a label of this size may end."""
        bottoms = np.arange(height, max(self.image_height, height) + 1)
        free = np.ones(len(bottoms), bool)
        for other in self.placed:
            is_beside = left >= other.left + other.width or other.left >= left + width
            if not is_beside:
                is_above = bottoms <= other.bottom - other.height
                is_below = bottoms - height >= other.bottom
                free &= is_above | is_below
        candidates = bottoms[free] if free.any() else bottoms
        return int(candidates[np.abs(candidates - wanted).argmin()])

    def draw(self, image: np.ndarray) -> None:
        """Draws the labels into an RGB image, in place."""
        for label in self.placed:
            rows = slice(max(label.bottom - label.height, 0), label.bottom)
            columns = slice(label.left, label.left + label.width)
            image[rows, columns] //= DARKENING
            margin_x, margin_y = np.rint(PADDING * label.scale / 2).astype(int).tolist()
            corner = (label.left + margin_x, label.bottom - margin_y)
            write_text(image, label.text, corner, label.scale, label.colour)


def write_text(image: np.ndarray, text: str, corner, scale: float, colour) -> None:
    """Writes text with a dark outline into an image, in place; corner: its lower left (x, y)."""
    thickness = max(1, round(1.5 * scale))
    x, y = corner
    for dx, dy in OUTLINE:
        shifted = (x + dx * thickness, y + dy * thickness)
        _put_text(image, text, shifted, scale, (0, 0, 0), thickness)
    _put_text(image, text, corner, scale, colour, thickness)


def _put_text(image: np.ndarray, text: str, corner, scale: float, colour, thickness: int) -> None:
    cv2.putText(image, text, corner, FONT, scale, colour, thickness, cv2.LINE_AA)
