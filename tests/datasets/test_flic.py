"""Grid, targets and decoding against hand-made cases and brute force."""

import itertools

import numpy as np
import pytest

from jointpose import pairwise_distr
from jointpose.datasets import flic, lsp
from jointpose.vision import heatmaps
from jointpose.vision.joints import TORSO_JOINTS


def test_names_fit_together():
    assert flic.MAPS[flic.N_JOINTS] == 'torso'
    for i, name in enumerate(flic.MAPS):
        mirrored = flic.MAPS[flic.FLIP[i]]
        assert mirrored == (
            {'l': 'r', 'r': 'l'}[name[0]] + name[1:] if name[:2] not in ('no', 'to') else name
        )
    assert len(set(flic.PAIRS)) == 90
    assert pairwise_distr.pair_name(flic.MAPS, 0, 9) == 'lsho_torso'


def test_targets_by_brute_force():
    rng = np.random.default_rng(0)
    xy = rng.uniform((-20, -20), (740, 500), (5, 10, 2))
    xy[0, :4] = (0, 0), (719.99, 479.99), (720, 100), (-0.01, 100)  # corners, just outside
    expected = np.zeros((5, 60, 90, 10))
    for n in range(5):
        for k in range(10):
            x, y = xy[n, k]
            if not (0 <= x < 720 and 0 <= y < 480):
                continue
            row, col = int(y // 8), int(x // 8)
            for i, a in ((-1, 1), (0, 2), (1, 1)):
                for j, b in ((-1, 1), (0, 2), (1, 1)):
                    if 0 <= row + i < 60 and 0 <= col + j < 90:
                        expected[n, row + i, col + j, k] = a * b / 16
    np.testing.assert_array_equal(heatmaps.render_targets(xy, (60, 90)), expected)
    assert np.isclose(expected[0, ..., 0].sum(), 9 / 16)


def test_subcell_targets_by_brute_force():
    """Each of the nine masses is split between four cells; the mean of a whole map is the joint."""
    xy = np.random.default_rng(3).uniform((-20, -20), (740, 500), (4, 9, 2))
    xy[0, :3] = (0, 0), (719.99, 479.99), (-0.01, 100)
    xy[1] = np.random.default_rng(4).uniform((16, 16), (704, 464), (9, 2))
    expected = np.zeros((4, 64, 94, 9))  # two cells more on each side
    for n, k in np.ndindex(4, 9):
        x, y = xy[n, k]
        if 0 <= x < 720 and 0 <= y < 480:
            for (i, a), (j, b) in itertools.product(zip((-1, 0, 1), (1, 2, 1)), repeat=2):
                row, col = y / 8 - 0.5 + i, x / 8 - 0.5 + j
                top, left = int(np.floor(row)), int(np.floor(col))
                for r, c in itertools.product((0, 1), repeat=2):
                    share = abs(1 - r - (row - top)) * abs(1 - c - (col - left))
                    expected[n, top + r + 2, left + c + 2, k] += share * a * b / 16
    got = heatmaps.render_targets(xy, (60, 90), subcell=True)
    np.testing.assert_allclose(got, expected[:, 2:-2, 2:-2], atol=1e-6)
    np.testing.assert_allclose(got[1].sum((0, 1)), 1, rtol=1e-6)
    mean = np.einsum('rck,rci->ki', got[1], np.stack(np.mgrid[:60, :90], axis=-1))
    np.testing.assert_allclose(heatmaps.cell_centre(mean), xy[1], atol=1e-3)


def test_peak_decodes_to_its_cell_centre():
    maps = np.zeros((1, 60, 90, 3))
    maps[0, 7, 11, 0] = maps[0, 0, 89, 1] = maps[0, 59, 0, 2] = 1
    expected = [[[92, 60], [716, 4], [4, 476]]]
    np.testing.assert_array_equal(heatmaps.decode(maps, subcell=False), expected)
    np.testing.assert_array_equal(heatmaps.decode(maps, subcell=True), expected)


def test_subcell_is_exact_for_a_gaussian():
    rng = np.random.default_rng(1)
    row_col = rng.uniform((5, 5), (54, 84), (1, 9, 2))
    grid = np.stack(np.mgrid[:60, :90], axis=-1)[None, :, :, None]  # [1, 60, 90, 1, 2]
    maps = np.exp(-((grid - row_col[:, None, None]) ** 2).sum(-1) / 3)
    np.testing.assert_allclose(heatmaps.decode(maps), heatmaps.cell_centre(row_col), atol=1e-3)
    assert (
        np.abs(heatmaps.decode(maps, subcell=False) - heatmaps.cell_centre(row_col)).max()
        <= 4 + 1e-6
    )


def test_decode_finds_the_joint_of_a_target():
    xy = np.random.default_rng(2).uniform((0, 0), (720, 480), (50, 9, 2))
    found = heatmaps.decode(heatmaps.render_targets(xy, (60, 90)))
    assert np.abs(found - xy).max() <= 4.001  # half a cell: what a cell can tell


@pytest.mark.parametrize(
    ('crossed', 'backward'),
    [
        ((), False),
        (('sho',), False),
        (('hip',), False),
        (('elb', 'wri'), False),
        (('sho', 'hip'), True),
    ],
)
def test_who_is_seen_from_behind(crossed, backward):
    """Shoulders or hips alone also cross of people who twist or stand in profile."""
    x = {name: 400 - 50 * (name[0] == 'r') for name in flic.JOINTS}
    for part in crossed:
        x['l' + part], x['r' + part] = x['r' + part], x['l' + part]
    joints_xy = np.array([[(x[name], 100 + i) for i, name in enumerate(flic.JOINTS)]], np.float32)
    got, seen_from_behind = flic.to_observer_sides(joints_xy)
    assert seen_from_behind.tolist() == [backward]
    expected = joints_xy[0, [3, 4, 5, 0, 1, 2, 7, 6, 8]] if backward else joints_xy[0]
    np.testing.assert_array_equal(got[0], expected)
    columns = [flic.JOINTS.index(name) for name in TORSO_JOINTS]
    whole_xy = np.zeros((1, 14, 2))  # by their names, in any order
    whole_xy[:, [lsp.JOINTS.index(name) for name in TORSO_JOINTS]] = joints_xy[:, columns]
    assert lsp.Lsp().faces_backward(whole_xy).tolist() == [backward]


def test_unlabelled_joints_do_not_cross():
    joints_xy = np.zeros((1, 9, 2))
    joints_xy[:, [3, 4, 5, 7]] = 9  # right is right of left
    assert flic.Flic().faces_backward(joints_xy).tolist() == [True]
    joints_xy[:, 6] = np.nan
    assert flic.Flic().faces_backward(joints_xy).tolist() == [False]


def test_torso_and_sides():
    xy = np.arange(18, dtype=np.float32).reshape(1, 9, 2)
    with_torso = flic.add_torso(xy)
    np.testing.assert_allclose(with_torso[0, 9], xy[0, [0, 3, 6, 7]].mean(0))
    swapped = flic.swap_sides(with_torso)
    np.testing.assert_array_equal(swapped[0, 0], xy[0, 3])
    np.testing.assert_array_equal(flic.swap_sides(swapped), with_torso)
