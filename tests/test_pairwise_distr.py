"""Displacement histograms against a brute-force count, and the file against damage."""

import numpy as np
import pytest
from scipy.special import binom

from jointpose import pairwise_distr
from jointpose.datasets import flic
from jointpose.datasets.person_frames import PersonFrame
from jointpose.utils.errors import InputError

FLIC = PersonFrame(flic.Flic())


def named(histograms):
    return dict(zip(pairwise_distr.pair_names(flic.MAPS), histograms))


def brute_force(points_xy, joint, condjoint, size=(480, 720)):
    """The histogram of a pair, one person after the other; size: (height, width) of the frame."""
    height, width = size
    rows = 2 * height // 8
    columns = 2 * width // 8
    bump = np.outer(binom(8, range(9)), binom(8, range(9))) / 2**16
    counts = np.zeros((rows + 8, columns + 8))
    for person in points_xy:
        x = np.clip(np.nan_to_num(person[:, 0]), 0, width - 1)
        y = np.clip(np.nan_to_num(person[:, 1]), 0, height - 1)
        cells = np.stack([y // 8, x // 8], axis=1).astype(int)
        row, col = cells[joint] - cells[condjoint] + (rows // 2, columns // 2)
        counts[row : row + 9, col : col + 9] += bump
    counts = counts[4:-4, 4:-4]
    return counts / counts.sum()


def test_histograms_by_brute_force():
    people = (
        np.random.default_rng(0).uniform((-30, -30), (750, 510), (40, 10, 2)).astype(np.float32)
    )
    people[0, 0], people[0, 1] = (0, 0), (719, 479)  # the largest displacement there is
    histograms = pairwise_distr.pairwise_histograms(FLIC.clamp(people), FLIC.map_size)
    assert histograms.shape == (90, 120, 180) and histograms.dtype == np.float32
    for index in (0, 9, 44, 80, 89):
        np.testing.assert_allclose(
            histograms[index], brute_force(people, *flic.PAIRS[index]), atol=1e-8
        )
    np.testing.assert_allclose(histograms.sum(axis=(1, 2)), 1, atol=1e-5)


def test_who_has_not_both_joints_is_not_counted():
    people = np.random.default_rng(0).uniform((0, 0), (720, 480), (40, 10, 2)).astype(np.float32)
    people[::3, 1], people[1::4, 8] = np.nan, np.nan
    histograms = pairwise_distr.pairwise_histograms(FLIC.clamp(people), FLIC.map_size)
    for index, pair in enumerate(flic.PAIRS):
        if index % 11 == 0 or pair == (1, 8):
            both = people[np.isfinite(people[:, pair]).all(axis=(1, 2))]
            np.testing.assert_allclose(
                histograms[index], brute_force(np.nan_to_num(both), *pair), atol=1e-8
            )


def test_pairs_that_never_occur_are_uniform():
    people = np.random.default_rng(0).uniform((0, 0), (720, 480), (40, 10, 2)).astype(np.float32)
    people[::2, 1] = np.nan
    people[1::2, 8] = np.nan
    histograms = pairwise_distr.pairwise_histograms(people, FLIC.map_size)
    for pair, histogram in zip(flic.PAIRS, histograms):
        is_uniform = np.ptp(histogram) == 0
        assert is_uniform == (set(pair) == {1, 8})
        assert histogram.sum() == pytest.approx(1, abs=1e-5)
    assert pairwise_distr.unseen_pairs(people, flic.MAPS) == ['lelb_nose', 'nose_lelb']


def test_zero_displacement_is_the_centre():
    people = np.full((3, 10, 2), 100, np.float32)
    for histogram in pairwise_distr.pairwise_histograms(FLIC.clamp(people), FLIC.map_size):
        assert np.unravel_index(histogram.argmax(), histogram.shape) == (60, 90)


def test_round_trip_and_other_arrays_refused(tmp_path):
    path = str(tmp_path / 'p.npz')
    people = np.random.default_rng(0).uniform(0, 400, (5, 10, 2))
    histograms = pairwise_distr.pairwise_histograms(people, FLIC.map_size)
    pairwise_distr.save(path, named(histograms), 'abc')
    np.testing.assert_array_equal(pairwise_distr.load(path, 'abc'), histograms)
    with pytest.raises(InputError, match='made from arrays abc'):
        pairwise_distr.load(path, 'other')


def damaged(path, **changes):
    with np.load(path) as file:
        values = dict(file)
    np.savez(path, **{**values, **changes})


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (np.zeros((120, 180), np.float32), 'sum 1'),
        (np.full((120, 180), np.nan, np.float32), 'sum 1'),
        (np.ones((60, 90), np.float32) / 5400, 'expected float32'),
        (np.array([None]), 'damaged'),  # saved as a pickle
    ],
)
def test_bad_histograms_are_refused(tmp_path, change, message):
    path = str(tmp_path / 'p.npz')
    histograms = pairwise_distr.pairwise_histograms(np.full((2, 10, 2), 50.0), FLIC.map_size)
    pairwise_distr.save(path, named(histograms), 'abc')
    damaged(path, lwri_nose=change)
    with pytest.raises(InputError, match=message):
        pairwise_distr.load(path, 'abc')
