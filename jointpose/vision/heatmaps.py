"""Heat maps: rendered from joints for training, decoded to joints afterwards.

A cell of a heat map is STRIDE pixels wide: cell (row r, column c) covers x in [8c, 8c + 8) and y
in [8r, 8r + 8), and its centre is (8c + 4, 8r + 4). Image coordinates are (x right, y down) in
pixels. Names say `row_col` or `col_row` where an array holds cells in that order. Shapes: n
samples, k joints, maps of h rows and w columns.
"""

import numpy as np

STRIDE = 8  # pixels
CONFIDENCE_RADIUS = 2  # cells
OUTSIDE = -1e6  # pixels: where a joint that is NaN is put

# The binomial 1/4 1/2 1/4 around its centre, with the zeros that end it.
_BINOMIAL_CELLS = np.arange(-2, 3)
_BINOMIAL = np.array([0, 1, 2, 1, 0]) / 4


# --- pixels and cells ---------------------------------------------------------------------------


def cell_index(joints_xy) -> np.ndarray:
    """Returns the cell of each joint: [..., 2] pixels -> int [..., 2] (row, column).

    A joint outside the image gets a cell outside the map.
    """
    row_col = np.asarray(joints_xy)[..., ::-1]
    return np.floor_divide(row_col, STRIDE).astype(np.int64)


def cell_centre(row_col) -> np.ndarray:
    """Returns the centres of cells: [..., 2] (row, column) -> [..., 2] (x, y) pixels.

    Fractions are allowed.
    """
    return np.asarray(row_col)[..., ::-1] * STRIDE + STRIDE / 2


def to_cells(joints_xy) -> np.ndarray:
    """Converts [..., 2] pixels to [..., 2] (column, row) with fractions.

    The centre of cell (0, 0) is (0, 0), as in `render_gaussians`.
    """
    return np.asarray(joints_xy) / STRIDE - 0.5


# --- joints to maps -----------------------------------------------------------------------------


def render_targets(joints_xy, shape: tuple[int, int], subcell: bool = False) -> np.ndarray:
    """Renders the 3x3 binomial [1 2 1] x [1 2 1] / 16 around each joint's cell.

    Args:
        joints_xy: [n, k, 2] pixels. A joint outside the image, or NaN, leaves its map zero.
        shape: (h, w).
        subcell: centres the binomial on the joint instead of on its cell. Each of its values is
            then split bilinearly between the cells that it lies on, so the map's mean is the joint.
    Returns:
        float32 [n, h, w, k], cut off at the border.
    """
    height, width = shape
    joints_xy = np.nan_to_num(joints_xy, nan=OUTSIDE)
    row, column = np.moveaxis(cell_index(joints_xy)[..., None], -2, 0)  # each [n, k, 1]
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    if subcell:
        column, row = np.moveaxis(to_cells(joints_xy)[..., None], -2, 0)
    vertical = _binomial(row, height) * inside  # [n, k, h]
    horizontal = _binomial(column, width)  # [n, k, w]
    return np.einsum('nkr,nkc->nrck', vertical, horizontal)


def _binomial(centre: np.ndarray, length: int) -> np.ndarray:
    """The binomial along one axis, linear between cells: [..., 1] -> float32 [..., length]."""
    distance = np.arange(length) - centre
    return np.interp(distance, _BINOMIAL_CELLS, _BINOMIAL).astype(np.float32)


def render_gaussians(
    col_row, shape: tuple[int, int], sigma: float, reach: float = np.inf
) -> np.ndarray:
    """Renders exp(-d^2 / 2 sigma^2), where d is a cell's distance from the joint.

    Args:
        col_row: [n, k, 2] cells; the centre of cell (0, 0) is (0, 0). Fractions and places outside
            the map are allowed.
        shape: (h, w).
        sigma: cells.
        reach: distance along each axis beyond which a map is 0, cells.
    Returns:
        float32 [n, h, w, k].
    """
    height, width = shape
    column, row = np.moveaxis(np.asarray(col_row, np.float64), -1, 0)  # each [n, k]
    horizontal = _gaussian(column, width, sigma, reach)  # [n, k, w]
    vertical = _gaussian(row, height, sigma, reach)  # [n, k, h]
    return np.einsum('nkr,nkc->nrck', vertical, horizontal).astype(np.float32)


def _gaussian(centre: np.ndarray, length: int, sigma: float, reach: float) -> np.ndarray:
    """The Gaussian along one axis: [n, k] cells -> [n, k, length]."""
    distance = np.arange(length) - centre[..., None]
    return np.exp(-(distance**2) / (2 * sigma**2)) * (np.abs(distance) <= reach)


# --- maps to joints -----------------------------------------------------------------------------


def peaks(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns (rows, columns), each int [n, k], of the highest values of maps [n, h, w, k]."""
    n, _, width, k = maps.shape
    flat = np.moveaxis(maps, -1, 1).reshape(n, k, -1)
    return np.divmod(flat.argmax(axis=-1), width)


def decode(maps, subcell: bool = True) -> np.ndarray:
    """Returns the position of each map's peak: [n, h, w, k] -> float32 [n, k, 2] (x, y) pixels.

    subcell: moves the peak to the vertex of the parabola through the logarithms of its cell and of
        the two neighbours along each axis, by at most half a cell. That is exact for a Gaussian. A
        peak at the border stays at its cell's centre.
    """
    maps = np.asarray(maps, np.float64)
    row, column = peaks(maps)  # each [n, k]
    row_col = np.stack([row, column], axis=-1).astype(np.float64)
    if subcell:
        _, height, width, _ = maps.shape
        in_row, in_column = _around_peaks(maps, row, column)
        row_col[..., 0] += _subcell_offset(*in_column) * _is_inside(row, height)
        row_col[..., 1] += _subcell_offset(*in_row) * _is_inside(column, width)
    return cell_centre(row_col).astype(np.float32)


def _around_peaks(maps: np.ndarray, row: np.ndarray, column: np.ndarray) -> tuple[list, list]:
    """The values before, at and after the peaks, in the peak's row and in its column.

    Twice three arrays [n, k].
    """
    n, height, width, k = maps.shape
    sample, joint = np.ogrid[:n, :k]
    in_row = []
    for neighbour in _neighbours(column, width):
        in_row.append(maps[sample, row, neighbour, joint])
    in_column = []
    for neighbour in _neighbours(row, height):
        in_column.append(maps[sample, neighbour, column, joint])
    return in_row, in_column


def _neighbours(index: np.ndarray, length: int) -> list[np.ndarray]:
    """The indices before, at and after an index along an axis, cut off at the border."""
    return [np.clip(index + step, 0, length - 1) for step in (-1, 0, 1)]


def _is_inside(index: np.ndarray, length: int) -> np.ndarray:
    """Whether an index has both neighbours."""
    return (index > 0) & (index < length - 1)


def _subcell_offset(before: np.ndarray, at: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Where the parabola through three logarithms has its vertex, from -0.5 to 0.5 cells."""
    floor = 1e-12 * at + 1e-300
    log_before = np.log(np.maximum(before, floor))
    log_at = np.log(np.maximum(at, floor))
    log_after = np.log(np.maximum(after, floor))
    slope = log_before - log_after
    curvature = np.minimum(log_before - 2 * log_at + log_after, -1e-12)
    return np.clip(slope / (2 * curvature), -0.5, 0.5)


def decode_quarter_cell(maps: np.ndarray) -> np.ndarray:
    """Returns each map's peak, moved towards the higher neighbour along each axis.

    It is moved by a quarter of a cell (Newell et al. 2016), and not at the border.
    [n, h, w, k] -> float32 [n, k, 2] (column, row), in cells as in `render_gaussians`.
    """
    _, height, width, _ = maps.shape
    row, column = peaks(maps)  # each [n, k]
    (left, _, right), (above, _, below) = _around_peaks(maps, row, column)
    x_step = np.sign(right - left) * _is_inside(column, width)
    y_step = np.sign(below - above) * _is_inside(row, height)
    x = column + 0.25 * x_step
    y = row + 0.25 * y_step
    return np.stack([x, y], axis=-1).astype(np.float32)


def peak_confidence(maps: np.ndarray) -> np.ndarray:
    """Returns the fraction of each map's sum that lies near its peak: [h, w, k] -> [k], 0 to 1.

    Near means within CONFIDENCE_RADIUS cells along each axis.
    """
    rows, columns = peaks(maps[None])
    near = [
        _window(maps[..., joint], row, column).sum()
        for joint, (row, column) in enumerate(zip(rows[0], columns[0]))
    ]
    return np.minimum(near / np.maximum(maps.sum(axis=(0, 1)), 1e-12), 1)


def _window(one_map: np.ndarray, row: int, column: int) -> np.ndarray:
    """The cells within CONFIDENCE_RADIUS of a cell."""
    top = max(row - CONFIDENCE_RADIUS, 0)
    left = max(column - CONFIDENCE_RADIUS, 0)
    return one_map[top : row + CONFIDENCE_RADIUS + 1, left : column + CONFIDENCE_RADIUS + 1]
