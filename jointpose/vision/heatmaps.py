"""Heat maps: joints -> targets, maps -> joints.

A heat map's cells are STRIDE pixels wide: cell (row r, column c) covers x in [8c, 8c+8), y in [8r, 8r+8) and its centre
is (8c+4, 8r+4).  Image coordinates are (x right, y down) in pixels; names say `row_col` where that order holds.
"""

import numpy as np

STRIDE = 8  # pixels
CONFIDENCE_RADIUS = 2  # cells around the peak

_BINOMIAL = np.array([0, 1, 2, 1, 0]) / 4  # at -2 .. 2 cells from its centre


def cell_index(joints_xy):
    """[..., 2] pixels -> [..., 2] int (row, col) of the cell that holds each; outside the frame: outside the map."""
    return np.floor_divide(np.asarray(joints_xy)[..., ::-1], STRIDE).astype(np.int64)


def cell_centre(row_col):
    """[..., 2] (row, col), fractions allowed -> [..., 2] (x, y) pixels of the cell's centre."""
    return np.asarray(row_col)[..., ::-1] * STRIDE + STRIDE / 2


def to_cells(joints_xy):
    """[..., 2] pixels -> [..., 2] (column, row), in cells with fractions, as `gaussians` has them."""
    return np.asarray(joints_xy) / STRIDE - 0.5


def render_targets(joints_xy, shape, subcell=False):
    """Target heat maps: the 3x3 binomial [1 2 1] x [1 2 1] / 16 around each joint's cell, cut at the border.

    joints_xy: [n, k, 2] pixels.  shape: rows and columns of a map.  Returns float32 [n, rows, columns, k].  A joint
    outside the frame, or not a number, leaves its map zero.
    subcell: the binomial's centre is the joint itself, not its cell's: each of its values is split bilinearly between
    the cells it lies on, so that the map's mean is the joint.
    """
    height, width = shape
    joints_xy = np.nan_to_num(joints_xy, nan=-1e6)
    row, col = np.moveaxis(cell_index(joints_xy)[..., None], -2, 0)  # each [n, k, 1]
    inside = (row >= 0) & (row < height) & (col >= 0) & (col < width)
    if subcell:
        col, row = np.moveaxis(to_cells(joints_xy)[..., None], -2, 0)
    down = _bump(row, height) * inside  # [n, k, rows]
    right = _bump(col, width)  # [n, k, columns]
    return np.einsum('nkr,nkc->nrck', down, right)


def _bump(centre, length):
    """[..., 1] cells -> float32 [..., length]: 1/4 1/2 1/4 around the centre, linear in between."""
    return np.interp(np.arange(length) - centre, np.arange(-2, 3), _BINOMIAL).astype(np.float32)


def render_gaussians(col_row, shape, sigma, reach=np.inf):
    """Target heat maps exp(-d^2 / 2 sigma^2), d a cell's distance from the joint, so that a peak on a cell is 1.

    col_row: [n, k, 2] in cells, cell (0, 0)'s centre being (0, 0); fractions and places outside the map are allowed.
    shape: rows and columns of a map.  sigma: cells.  reach: cells along each axis beyond which a map is 0.
    Returns float32 [n, rows, columns, k].
    """

    def bump(centre, length):
        distance = np.arange(length) - centre[..., None]  # [n, k, length]
        return np.exp(-(distance**2) / (2 * sigma**2)) * (np.abs(distance) <= reach)

    right, down = (
        bump(centre, length)
        for centre, length in zip(np.moveaxis(np.asarray(col_row, np.float64), -1, 0), shape[::-1])
    )
    return np.einsum('nkr,nkc->nrck', down, right).astype(np.float32)


def peaks(maps):
    """Cell of each map's highest value: [n, h, w, k] -> (rows, columns), each int [n, k]."""
    n, _, width, k = maps.shape
    return np.divmod(np.moveaxis(maps, -1, 1).reshape(n, k, -1).argmax(axis=-1), width)


def decode_quarter_cell(maps):
    """Peak of each map, moved by a quarter of a cell along each axis towards the higher neighbour (Newell et al. 2016):
    [n, h, w, k] -> float32 [n, k, 2] (column, row), in cells as of `gaussians`.  At the border it is not moved."""
    n, height, width, k = maps.shape
    row, col = peaks(maps)
    sample, joint = np.ogrid[:n, :k]

    def move(index, length, along):
        after, before = (along(np.clip(index + i, 0, length - 1)) for i in (1, -1))
        return 0.25 * np.sign(after - before) * ((index > 0) & (index < length - 1))

    right = move(col, width, lambda at: maps[sample, row, at, joint])
    down = move(row, height, lambda at: maps[sample, at, col, joint])
    return np.stack([col + right, row + down], axis=-1).astype(np.float32)


def decode(heat_maps, subcell=True):
    """Peak of each map in pixels: float [n, 60, 90, k] -> float32 [n, k, 2] (x, y).

    subcell: moves the peak from its cell's centre to the vertex of the parabola through the logarithms of the
    cell and its two neighbours along each axis (exact for a Gaussian), by at most half a cell.
    """
    heat_maps = np.asarray(heat_maps, np.float64)
    maps = np.moveaxis(heat_maps, -1, 1)  # [n, k, 60, 90]
    n, k, height, width = maps.shape
    row, col = peaks(heat_maps)  # each [n, k]
    peak = np.stack([row, col], axis=-1).astype(np.float64)
    if subcell:
        sample, joint = np.ogrid[:n, :k]
        for axis, (index, length) in enumerate(((row, height), (col, width))):
            at = [np.clip(index + i, 0, length - 1) for i in (-1, 0, 1)]
            three = np.stack(
                [
                    maps[(sample, joint, i, col) if axis == 0 else (sample, joint, row, i)]
                    for i in at
                ]
            )
            log = np.log(np.maximum(three, 1e-12 * three[1] + 1e-300))  # [3, n, k]
            peak[..., axis] += _vertex(*log) * ((index > 0) & (index < length - 1))
    return cell_centre(peak).astype(np.float32)


def _vertex(before, at, after):
    """Where the parabola through (-1, before), (0, at), (1, after) peaks, for a peak at 0: within +-0.5."""
    bend = np.minimum(before - 2 * at + after, -1e-12)
    return np.clip((before - after) / (2 * bend), -0.5, 0.5)


def peak_confidence(maps):
    """Share of each map's mass within CONFIDENCE_RADIUS cells of its peak: [60, 90, k] -> [k], in 0..1."""
    radius, (rows, columns) = CONFIDENCE_RADIUS, peaks(maps[None])
    near = [
        maps[
            max(row - radius, 0) : row + radius + 1,
            max(column - radius, 0) : column + radius + 1,
            j,
        ].sum()
        for j, (row, column) in enumerate(zip(rows[0], columns[0]))
    ]
    return np.minimum(near / np.maximum(maps.sum(axis=(0, 1)), 1e-12), 1)
