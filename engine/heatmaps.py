"""Heat maps: joints -> targets, maps -> joints.

A heat map's cells are STRIDE pixels wide: cell (row r, column c) covers x in [8c, 8c+8), y in [8r, 8r+8) and its centre
is (8c+4, 8r+4).  Image coordinates are (x right, y down) in pixels; names say `row_col` where that order holds.
"""
import numpy as np

STRIDE = 8                          # pixels
CONFIDENCE_RADIUS = 2               # cells around the peak

_BINOMIAL = np.array([0, 1, 2, 1, 0]) / 4               # at -2 .. 2 cells from its centre


def cell_of(joints_xy):
    """[..., 2] pixels -> [..., 2] int (row, col) of the cell that holds each; outside the frame: outside the map."""
    return np.floor_divide(np.asarray(joints_xy)[..., ::-1], STRIDE).astype(np.int64)


def centre_of(row_col):
    """[..., 2] (row, col), fractions allowed -> [..., 2] (x, y) pixels of the cell's centre."""
    return np.asarray(row_col)[..., ::-1] * STRIDE + STRIDE / 2


def render_targets(joints_xy, shape, subcell=False):
    """Target heat maps: the 3x3 binomial [1 2 1] x [1 2 1] / 16 around each joint's cell, cut at the border.

    joints_xy: [n, k, 2] pixels.  shape: rows and columns of a map.  Returns float32 [n, rows, columns, k].  A joint
    outside the frame leaves its map zero.
    subcell: the binomial's centre is the joint itself, not its cell's: each of its values is split bilinearly between
    the cells it lies on, so that the map's mean is the joint.
    """
    height, width = shape
    row, col = np.moveaxis(cell_of(joints_xy)[..., None], -2, 0)            # each [n, k, 1]
    inside = (row >= 0) & (row < height) & (col >= 0) & (col < width)
    if subcell:
        col, row = np.moveaxis(np.asarray(joints_xy)[..., None] / STRIDE - 0.5, -2, 0)
    down = _bump(row, height) * inside                                  # [n, k, rows]
    right = _bump(col, width)                                           # [n, k, columns]
    return np.einsum('nkr,nkc->nrck', down, right)


def _bump(centre, length):
    """[..., 1] cells -> float32 [..., length]: 1/4 1/2 1/4 around the centre, linear in between."""
    return np.interp(np.arange(length) - centre, np.arange(-2, 3), _BINOMIAL).astype(np.float32)


def decode(heat_maps, subcell=True):
    """Peak of each map in pixels: float [n, 60, 90, k] -> float32 [n, k, 2] (x, y).

    subcell: moves the peak from its cell's centre to the vertex of the parabola through the logarithms of the
    cell and its two neighbours along each axis (exact for a Gaussian), by at most half a cell.
    """
    maps = np.moveaxis(np.asarray(heat_maps, np.float64), -1, 1)                     # [n, k, 60, 90]
    n, k, height, width = maps.shape
    row, col = np.divmod(maps.reshape(n, k, -1).argmax(axis=-1), width)              # each [n, k]
    peak = np.stack([row, col], axis=-1).astype(np.float64)
    if subcell:
        sample, joint = np.ogrid[:n, :k]
        for axis, (index, length) in enumerate(((row, height), (col, width))):
            at = [np.clip(index + i, 0, length - 1) for i in (-1, 0, 1)]
            three = np.stack([maps[(sample, joint, i, col) if axis == 0 else (sample, joint, row, i)] for i in at])
            log = np.log(np.maximum(three, 1e-12 * three[1] + 1e-300))               # [3, n, k]
            peak[..., axis] += _vertex(*log) * ((index > 0) & (index < length - 1))
    return centre_of(peak).astype(np.float32)


def _vertex(before, at, after):
    """Where the parabola through (-1, before), (0, at), (1, after) peaks, for a peak at 0: within +-0.5."""
    bend = np.minimum(before - 2 * at + after, -1e-12)
    return np.clip((before - after) / (2 * bend), -0.5, 0.5)


def confidence(maps):
    """Share of each map's mass within CONFIDENCE_RADIUS cells of its peak: [60, 90, k] -> [k], in 0..1."""
    radius, k = CONFIDENCE_RADIUS, maps.shape[-1]
    rows, columns = np.divmod(maps.reshape(-1, k).argmax(axis=0), maps.shape[1])
    near = [maps[max(row - radius, 0):row + radius + 1, max(column - radius, 0):column + radius + 1, j].sum()
            for j, (row, column) in enumerate(zip(rows, columns))]
    return np.minimum(near / np.maximum(maps.sum(axis=(0, 1)), 1e-12), 1)
