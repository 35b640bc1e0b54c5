"""What surrounds drawn figures: boxes, panels, leaves and rods."""

import cv2
import numpy as np
from numpy.random import Generator

from jointpose.datasets.flic import HEIGHT, WIDTH
from jointpose.datasets.synthetic.canvas import Colour, any_colour, ellipse, fill, pick
from jointpose.datasets.synthetic.people import SKINS
from jointpose.datasets.synthetic.poses import rotation


def background(rng: Generator) -> np.ndarray:
    """Draws a room or a street out of focus, in five matching colours: RGB uint8 [480, 720, 3].

    It is drawn at half size.
    """
    wall = np.array(any_colour(rng, (0.02, 0.32), (0.3, 0.85)))
    palette = [wall * brightness + rng.normal(0, 10, 3) for brightness in (0.5, 0.75, 1.15)]
    palette.append(any_colour(rng, (0.2, 0.65), (0.25, 0.85)))
    palette.append(pick(rng, SKINS))

    brightness = rng.normal(0, 18, (4, 5, 1))
    tint = rng.normal(0, 5, (4, 5, 3))
    patches = wall + brightness + tint
    image = cv2.resize(patches, (WIDTH // 2, HEIGHT // 2))
    image = image.clip(0, 255).astype(np.uint8)

    kinds = [_draw_boxes, _draw_panels, _draw_leaves, _draw_rods]
    for _ in range(rng.integers(2, 6)):
        draw = rng.choice(kinds)
        draw(rng, image, palette)
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 2))
    return cv2.resize(image, (WIDTH, HEIGHT))


def _draw_boxes(rng: Generator, image: np.ndarray, palette: list[Colour]) -> None:
    """Draws windows, pictures, furniture: framed rectangles."""
    unit_square = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    n = rng.integers(2, 7)
    for corner in rng.uniform(-40, (340, 220), (n, 2)):
        size = rng.uniform(20, (130, 150))
        frame = rng.uniform(1, 8)
        outer = corner + unit_square * size
        inner = corner + frame + unit_square * (size - 2 * frame)
        fill(image, outer, pick(rng, palette))
        fill(image, inner, pick(rng, palette))


def _draw_panels(rng: Generator, image: np.ndarray, palette: list[Colour]) -> None:
    """Draws curtains, planks, shelves: a row of stripes, upright or lying."""
    low, high = np.sort(rng.uniform(-40, 380, 2))
    first, width, gap = rng.uniform((0, 4, 1), (200, 22, 12))
    upright = rng.random() < 0.6
    colours = [pick(rng, palette) for _ in range(2)]
    last = first + rng.uniform(60, 300)
    for k, start in enumerate(np.arange(first, last, width + gap)):
        end = start + width
        panel = np.array([(start, low), (end, low), (end, high), (start, high)])
        if not upright:
            panel = panel[:, ::-1]
        fill(image, panel, colours[k % 2])


def _draw_leaves(rng: Generator, image: np.ndarray, palette: list[Colour]) -> None:
    """Draws foliage, a crowd, lights: a cloud of ellipses of about one colour."""
    middle = rng.uniform(0, (360, 240))
    colour = pick(rng, palette)
    largest = rng.uniform(4, 16)
    n = rng.integers(20, 60)
    for position in rng.normal(middle, (60, 45), (n, 2)):
        directions = rotation(rng.uniform(0, 180))
        axis_x, axis_y = directions * rng.uniform(2, largest, 2)
        fill(image, ellipse(position, axis_x, axis_y), pick(rng, [colour]))


def _draw_rods(rng: Generator, image: np.ndarray, palette: list[Colour]) -> None:
    """Draws poles, rails, branches: some as thick and coloured as arms.

    Most are upright, nearly level or at 45 degrees.
    """
    n = rng.integers(1, 6)
    for start in rng.uniform(0, (360, 240), (n, 2)):
        angle = rng.choice([0, 90, 45]) + rng.normal(0, 15)
        length = rng.uniform(40, 250)
        end = start + rotation(angle) @ (0, length)
        start_pixel, end_pixel = np.int32([start, end]).tolist()
        colour = pick(rng, palette)
        thickness = int(rng.integers(1, 9))
        cv2.line(image, start_pixel, end_pixel, colour, thickness, cv2.LINE_AA)
