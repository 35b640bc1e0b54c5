"""Labels in a picture: text on dark boxes that do not cover each other.

Sizes are OpenCV's font scale: capitals are 21 pixels high at scale 1.
"""

from typing import NamedTuple

import cv2
import numpy as np

FONT = cv2.FONT_HERSHEY_SIMPLEX
PADDING = np.array([9, 18])  # pixels added to the width and height of text of scale 1
LEFT, ABOVE, RIGHT = -1, 0, 1  # where a label lies, seen from its point
RIM = (
    (-1, 0),
    (1, 0),
    (0, -1),
    (0, 1),
    (-1, -1),
    (1, -1),
    (-1, 1),
    (1, 1),
)  # where letters are dark behind text


class Label(NamedTuple):
    text: str
    scale: float  # OpenCV's
    colour: tuple  # RGB
    left: int  # pixels of the picture, like all that follow
    bottom: int
    width: int
    height: int


class Labels:
    """The labels of a picture [height, width, ...], to be drawn when all are placed."""

    def __init__(self, image):
        self.high, self.wide = image.shape[:2]
        self.placed = []

    def add(self, text, xy, scale, colour, side=RIGHT):
        """Places a label beside a point (x, y), pixels: within the picture, moved up or down until it covers no other
        one, if there is room."""
        size, _ = cv2.getTextSize(text, FONT, scale, 1)
        width, height = np.rint(size + PADDING * scale).astype(int).tolist()
        x, y = np.asarray(xy, float)
        left = x - width / 2 if side == ABOVE else x if side == RIGHT else x - width
        left = round(float(np.clip(left, 0, max(self.wide - width, 0))))
        bottom = self.free_bottom(left, width, height, y if side == ABOVE else y + height / 2)
        self.placed.append(Label(text, scale, colour, left, bottom, width, height))

    def free_bottom(self, left, width, height, wanted):
        """The row nearest to the one wanted at which a label of this width and height may end."""
        bottoms = np.arange(height, max(self.high, height) + 1)
        free = np.ones(len(bottoms), bool)
        for other in self.placed:
            if left < other.left + other.width and other.left < left + width:
                free &= (bottoms <= other.bottom - other.height) | (
                    bottoms - height >= other.bottom
                )
        options = bottoms[free] if free.any() else bottoms
        return int(options[np.abs(options - wanted).argmin()])

    def draw(self, image):
        """Draws them into an RGB picture itself."""
        for one in self.placed:
            box = image[
                max(one.bottom - one.height, 0) : one.bottom, one.left : one.left + one.width
            ]
            box //= 3  # dark below the letters
            margin = np.rint(PADDING * one.scale / 2).astype(int)
            corner = one.left + int(margin[0]), one.bottom - int(margin[1])
            write_text(image, one.text, corner, one.scale, one.colour)


def write_text(image, text, corner, scale, colour):
    """Text with a dark rim into the image itself; corner: its lower left."""
    width = max(1, round(1.5 * scale))
    x, y = corner
    for dx, dy in RIM:  # of OpenCV 5, letters of another thickness lie elsewhere
        cv2.putText(
            image,
            text,
            (x + dx * width, y + dy * width),
            FONT,
            scale,
            (0, 0, 0),
            width,
            cv2.LINE_AA,
        )
    cv2.putText(image, text, corner, FONT, scale, colour, width, cv2.LINE_AA)
