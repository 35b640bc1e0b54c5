"""Gaussian targets and peaks against loops in float64.

The binomial targets are tested in tests/datasets/test_flic.py.
"""

import numpy as np
import pytest

from jointpose.vision import heatmaps


@pytest.mark.parametrize('reach', [np.inf, 6])
def test_gaussians_by_hand(reach):
    col_row = np.array(
        [[[5, 3], [5.25, 2.5], [-4, 20]], [[0, 0], [17, 11], [300, 5]]]
    )  # some outside
    got = heatmaps.render_gaussians(col_row, (12, 18), 2, reach)
    assert got.shape == (2, 12, 18, 3) and got.dtype == np.float32
    for n, k, r, c in np.ndindex(2, 3, 12, 18):
        x, y = col_row[n, k]
        expected = (
            np.exp(-((c - x) ** 2 + (r - y) ** 2) / 8)
            if max(abs(c - x), abs(r - y)) <= reach
            else 0
        )
        assert abs(got[n, r, c, k] - expected) < 1e-6
    assert got[0, 3, 5, 0] == 1


def test_quarter_cell_by_loops():
    maps = np.random.default_rng(0).random((3, 7, 9, 4))
    maps[0, 0, 0, 0] = maps[1, 6, 8, 1] = maps[2, 3, 0, 2] = 2  # peaks at a corner, at an edge
    maps[0, 4, 4, 3] = 2
    maps[0, 3:6:2, 4, 3] = 0.5  # equal neighbours
    got = heatmaps.decode_quarter_cell(maps)
    for n, k in np.ndindex(3, 4):
        one = maps[n, :, :, k]
        r, c = np.unravel_index(one.argmax(), one.shape)
        x = float(c)
        y = float(r)
        if 0 < c < 8:
            x += 0.25 * np.sign(one[r, c + 1] - one[r, c - 1])
        if 0 < r < 6:
            y += 0.25 * np.sign(one[r + 1, c] - one[r - 1, c])
        assert got[n, k].tolist() == [x, y]
    assert got[0, 3, 1] == 4


def test_quarter_cell_finds_rendered_gaussians():
    """Within a quarter of a cell along each axis, wherever the joint lies in the map."""
    col_row = np.random.default_rng(0).uniform(0, (63, 47), (20, 5, 2))
    found = heatmaps.decode_quarter_cell(heatmaps.render_gaussians(col_row, (48, 64), 2))
    inside = (np.rint(col_row) > 0).all(-1) & (np.rint(col_row) < (63, 47)).all(-1)
    assert inside.mean() > 0.8 and np.abs(found - col_row)[inside].max() <= 0.25 + 1e-6
    assert np.abs(found - col_row).max() <= 0.5
