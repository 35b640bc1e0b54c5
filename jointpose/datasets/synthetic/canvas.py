"""What drawn figures are made of: shaded shapes on a canvas, and the photograph of it.

Colours are RGB, 0 to 255; points are (x, y) in pixels.
"""

import colorsys
from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator

Colour = tuple[float, ...]  # RGB, 0 to 255
Outline = Callable[[float], np.ndarray]  # scale in (0, 1] -> polygon [n, 2], pixels


class Canvas(NamedTuple):
    """What is drawn on; both images are drawn into in place."""

    image: np.ndarray  # uint8 [h, w, 3]: flat colours, RGB
    shade: np.ndarray  # uint8 [h, w]: their brightness, 128 = 1
    light: np.ndarray  # [2], direction towards the light


def fill(image: np.ndarray, points, colour) -> None:
    """Fills a polygon, points [n, 2] with fractions of a pixel, with smooth edges.

    colour: RGB, or one number for an image of one channel.
    """
    fraction_bits = 4  # OpenCV's coordinates are whole sixteenths of a pixel
    sixteenths = np.round(np.asarray(points) * 16).astype(np.int32)
    cv2.fillPoly(image, [sixteenths], colour, cv2.LINE_AA, fraction_bits)


def solid(canvas: Canvas, outline: Outline, colour: Colour, relief: float, steps: int = 5) -> None:
    """Fills a shape, and lights it as if it were round.

    The light is made of ever smaller, brighter copies, moved towards the light.

    Args:
        outline: returns the polygon [n, 2] at a scale in (0, 1].
        relief: distance from the middle to the brightest line, pixels.
        steps: number of copies.
    """
    whole = outline(1)
    fill(canvas.image, whole, colour)
    shadow = whole + 0.6 * relief * canvas.light  # on what is behind
    fill(canvas.shade, shadow, 98)
    for t in np.arange(steps) / steps:
        copy = outline(1 - 0.8 * t) - t * relief * canvas.light
        fill(canvas.shade, copy, 112 + 32 * t)


def limb(
    canvas: Canvas,
    start: np.ndarray,
    end: np.ndarray,
    start_radius: float,
    end_radius: float,
    colour: Colour,
) -> None:
    """Draws a limb with round ends between two pixels [2]; the radii are in pixels."""
    across, down = end - start
    angle = np.arctan2(down, across) + np.linspace(np.pi / 2, 3 * np.pi / 2, 9)
    arc = np.stack([np.cos(angle), np.sin(angle)], axis=1)  # [9, 2], the half circle around `start`

    def outline(scale):
        return np.concatenate([start + scale * start_radius * arc, end - scale * end_radius * arc])

    solid(canvas, outline, colour, relief=0.25 * end_radius)


def ball(
    canvas: Canvas, centre: np.ndarray, axis_x: np.ndarray, axis_y: np.ndarray, colour: Colour
) -> None:
    """Draws an ellipse that is lit as a ball.  axis_x, axis_y: its half axes as vectors."""

    def outline(scale):
        return ellipse(centre, scale * axis_x, scale * axis_y)

    solid(canvas, outline, colour, relief=0.25 * np.hypot(*axis_x))


def ellipse(centre: np.ndarray, axis_x: np.ndarray, axis_y: np.ndarray) -> np.ndarray:
    """Returns the polygon [24, 2] of an ellipse.  axis_x, axis_y: its half axes as vectors."""
    angle = np.arange(24)[:, None] * (2 * np.pi / 24)
    return centre + np.cos(angle) * axis_x + np.sin(angle) * axis_y


def pick(rng: Generator, colours: Sequence[Colour]) -> Colour:
    """One of the colours, slightly varied."""
    colour = np.array(colours[rng.integers(len(colours))])
    return tuple(colour * rng.uniform(0.94, 1.05, 3))


def any_colour(
    rng: Generator, saturations: tuple[float, float], values: tuple[float, float]
) -> Colour:
    """RGB of any hue, saturation and value uniform within the two intervals."""
    hue = rng.random()
    saturation = rng.uniform(*saturations)
    value = rng.uniform(*values)
    return tuple(255 * part for part in colorsys.hsv_to_rgb(hue, saturation, value))


def lerp(a, b, t):
    """Linear interpolation: a where t is 0, b where it is 1."""
    return a + t * (b - a)


def darker(colour: Colour, factor: float = 0.72) -> Colour:
    """The colour at a fraction of its brightness."""
    return tuple(factor * part for part in colour)


def develop(rng: Generator, canvas: Canvas) -> np.ndarray:
    """Makes the photograph of a canvas, RGB uint8 [h, w, 3]: tinted light, a soft lens, grain."""
    shade = cv2.GaussianBlur(canvas.shade, (0, 0), 1.6)
    tint = rng.normal(1, 0.025, 3)
    tint = tint * rng.uniform(0.85, 1.1)
    light = cv2.merge([cv2.convertScaleAbs(shade, alpha=factor) for factor in tint])
    image = cv2.multiply(canvas.image, light, scale=1 / 128)
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.1))
    grain = rng.integers(0, 256, image.shape, np.uint8)
    strength = rng.uniform(0.02, 0.12)
    return cv2.addWeighted(image, 1, grain, strength, -127.5 * strength)
