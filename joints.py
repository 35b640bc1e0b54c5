"""The body: joint names, their mirror images, limbs, and the grid of the heat maps.

Coordinates.  Image coordinates are (x right, y down) in pixels of the 720x480 frame; arrays that hold
them end in `xy`.  A heat map has 60 rows and 90 columns, stride 8: cell (row r, column c) covers
x in [8c, 8c+8), y in [8r, 8r+8) and its centre is (8c+4, 8r+4).  Names say `row_col` where that order holds.
"""
import numpy as np

HEIGHT, WIDTH, STRIDE = 480, 720, 8                     # FLIC's frame and the stride of the heat maps, pixels
MAP_HEIGHT, MAP_WIDTH = HEIGHT // STRIDE, WIDTH // STRIDE

JOINTS = ('lsho', 'lelb', 'lwri', 'rsho', 'relb', 'rwri', 'lhip', 'rhip', 'nose')
MAPS = JOINTS + ('torso',)          # the tenth map says which of several people is meant; it is given, not predicted
N_JOINTS, N_MAPS = len(JOINTS), len(MAPS)
TORSO_CORNERS = (0, 3, 6, 7)        # lsho rsho lhip rhip: torso = their mean
FLIP = (3, 4, 5, 0, 1, 2, 7, 6, 8, 9)   # in a mirrored picture joint i is where joint FLIP[i] was
LIMBS = ((0, 1), (1, 2), (3, 4), (4, 5), (0, 3), (0, 6), (3, 7), (6, 7), (8, 0), (8, 3))
PAIRS = tuple((j, v) for j in range(N_MAPS) for v in range(N_MAPS) if v != j)      # 90 x (joint, condjoint)

_BINOMIAL = np.array([1, 2, 1], np.float32) / 4


def pair_name(joint, condjoint):
    """'lsho_lelb': the distribution of lsho - lelb, i.e. of lsho given lelb."""
    return f'{MAPS[joint]}_{MAPS[condjoint]}'


def add_torso(joints_xy):
    """[..., 9, 2] -> [..., 10, 2]: appends the torso, the mean of both shoulders and both hips."""
    torso_xy = joints_xy[..., TORSO_CORNERS, :].mean(axis=-2, keepdims=True)
    return np.concatenate([joints_xy, torso_xy], axis=-2)


def swap_sides(joints_xy):
    """[..., 9 or 10, 2] -> the same shape: left and right exchanged, positions unchanged."""
    return joints_xy[..., list(FLIP[:joints_xy.shape[-2]]), :]


def clamp_to_frame(joints_xy):
    """Nearest position whose cell lies within the frame, so that every annotated joint has a cell."""
    return np.clip(joints_xy, 0, np.array([WIDTH - 1, HEIGHT - 1], np.float32))


def cell_of(joints_xy):
    """[..., 2] pixels -> [..., 2] int (row, col) of the cell that holds each; outside the frame: outside the map."""
    return np.floor_divide(np.asarray(joints_xy)[..., ::-1], STRIDE).astype(np.int64)


def centre_of(row_col):
    """[..., 2] (row, col), fractions allowed -> [..., 2] (x, y) pixels of the cell's centre."""
    return np.asarray(row_col)[..., ::-1] * STRIDE + STRIDE / 2


def render_targets(joints_xy):
    """Target heat maps: the 3x3 binomial [1 2 1] x [1 2 1] / 16 around each joint's cell, cut at the border.

    joints_xy: [n, k, 2] pixels.  Returns float32 [n, 60, 90, k].  A joint outside the frame leaves its map zero.
    """
    row, col = np.moveaxis(cell_of(joints_xy)[..., None], -2, 0)            # each [n, k, 1]
    inside = (row >= 0) & (row < MAP_HEIGHT) & (col >= 0) & (col < MAP_WIDTH)
    down = _bump(row, MAP_HEIGHT) * inside                                  # [n, k, 60]
    right = _bump(col, MAP_WIDTH)                                           # [n, k, 90]
    return np.einsum('nkr,nkc->nrck', down, right)


def _bump(centre, length):
    """[..., 1] int -> float32 [..., length]: 1/4 1/2 1/4 around the centre."""
    offset = np.arange(length) - centre
    return np.where(np.abs(offset) <= 1, _BINOMIAL[np.clip(offset + 1, 0, 2)], 0).astype(np.float32)


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
