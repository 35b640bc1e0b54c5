"""Heat maps, priors and filters as images: RGB uint8 [h, w, 3]."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from jointpose.vision.joints import side_of
from jointpose.vision.palette import joint_colours, rgb
from jointpose.vision.text_labels import write_text

SIZE = (360, 240)  # width and height of TensorBoard's images, pixels
FONT_SCALE = 0.45  # OpenCV's, of captions
TILE_FONT_SCALE = 0.5
OPACITY = 0.8  # of a map's peak over the image
EPSILON = 1e-12  # keeps maps of zeros from dividing by zero


# --- maps over their image ----------------------------------------------------------------------


def overlay_maps(
    image: np.ndarray,
    maps: np.ndarray,
    joints: Sequence[str],
    shown: Sequence[int],
    side: Callable[[str], str] = side_of,
) -> np.ndarray:
    """Paints heat maps over their grey image, each in its joint's colour.

    Each map is scaled by its own peak, so a flat map covers everything.

    Args:
        image: uint8 [h, w, 3].
        maps: float [rows, columns, k].
        joints: the k names.
        shown: indices of the joints to paint.
        side: the side of a joint, 'l', 'r' or ''.
    Returns:
        uint8 [240, 360, 3], with the names in the upper left.
    """
    palette = joint_colours(joints, side)
    colours = np.array([rgb(palette[joints[i]]) for i in shown], np.float32)  # [m, 3]
    maps = np.maximum(np.nan_to_num(maps[..., list(shown)]), 0)  # [rows, columns, m]
    maps = maps / np.maximum(maps.max(axis=(0, 1)), EPSILON)
    width, height = SIZE
    maps = cv2.resize(maps.astype(np.float32), SIZE).reshape(height, width, -1)
    total = np.maximum(maps.sum(axis=-1, keepdims=True), EPSILON)
    tint = maps @ colours / total  # [height, width, 3]
    strength = maps.max(axis=-1, keepdims=True)
    result = tinted(cv2.resize(image, SIZE, interpolation=cv2.INTER_AREA), strength, tint)
    for line, joint in enumerate(shown):
        corner = (6, 16 + 15 * line)
        write_text(result, joints[joint], corner, FONT_SCALE, colours[line].tolist())
    return result


def heat_map_tile(image: np.ndarray, heat_map: np.ndarray, caption: str, colour) -> np.ndarray:
    """Paints one heat map [h, w] over its grey image [h, w, 3], scaled by its own peak."""
    peak = max(heat_map.max(), EPSILON)
    strength = np.clip(heat_map / peak, 0, 1)
    tile = tinted(image, strength[..., None], np.array(colour))
    write_text(tile, caption, (6, 18), TILE_FONT_SCALE, colour)
    return tile


def tinted(image: np.ndarray, strength: np.ndarray, tint: np.ndarray) -> np.ndarray:
    """Covers an image in grey by a colour.

    Args:
        image: uint8 [h, w, 3].
        strength: [h, w, 1], 0 to 1.
        tint: RGB, [3] or [h, w, 3].
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
    opacity = OPACITY * strength
    return np.rint((1 - opacity) * grey + opacity * tint).astype(np.uint8)


def map_titles(maps: np.ndarray, joints: Sequence[str]) -> Sequence[str]:
    """Returns the names of maps [..., m]: the joints', or numbers if m is another number."""
    n = maps.shape[-1]
    return joints if n == len(joints) else tuple(map(str, range(n)))


# --- images of numbers --------------------------------------------------------------------------


def map_image(values: np.ndarray, caption: str) -> np.ndarray:
    """Shows an array [rows, columns] from dark (minimum) to bright (maximum), uint8 [240, 360, 3].

    Both values are appended to the caption.
    """
    low = values.min()
    high = values.max()
    span = max(high - low, EPSILON)
    levels = np.rint(255 * (values - low) / span).astype(np.uint8)
    levels = cv2.resize(levels, SIZE, interpolation=cv2.INTER_NEAREST)
    image = cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS)
    text = f'{caption}  {low:.3g} .. {high:.3g}'
    write_text(image, text, (6, 16), FONT_SCALE, (255, 255, 255))
    return image[..., ::-1]


def filter_grid(weights: np.ndarray) -> np.ndarray:
    """Shows the filters [size, size, 3, F] of a layer side by side; grey is 0.

    Returns a square image, enlarged by a whole number to about 240 pixels.
    """
    size, _, _, n = weights.shape
    side = int(np.ceil(n**0.5))  # filters in a row
    cell = size + 1  # pixels: a filter and a line between filters
    largest = max(np.abs(weights).max(), EPSILON)
    tiles = np.zeros((side * side, cell, cell, 3))  # from -1 to 1
    tiles[:n, :size, :size] = weights.transpose(3, 0, 1, 2) / largest
    grid = tiles.reshape(side, side, cell, cell, 3)
    grid = grid.swapaxes(1, 2).reshape(side * cell, side * cell, 3)
    levels = np.rint(127.5 * (1 + grid)).astype(np.uint8)
    _, height = SIZE
    factor = max(1, height // len(grid))
    return levels.repeat(factor, axis=0).repeat(factor, axis=1)


def tile_grid(tiles: list[np.ndarray], columns: int) -> np.ndarray:
    """Joins images of equal size in rows; the last row is filled with black."""
    black = np.zeros_like(tiles[0])
    n_missing = -len(tiles) % columns
    tiles = tiles + [black] * n_missing
    rows = []
    for first in range(0, len(tiles), columns):
        row = tiles[first : first + columns]
        rows.append(np.hstack(row))
    return np.vstack(rows)
