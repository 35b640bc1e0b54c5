"""Whose joints are right, and who is whose: by loops and by trying everything."""

import itertools

import numpy as np
import pytest

from jointpose.metrics import key_points


def people(rng, n, k=5):
    return rng.uniform(0, 30, (n, k, 2)), rng.integers(0, 3, (n, k)), rng.uniform(5, 10, n)


def test_pck_by_loops():
    rng = np.random.default_rng(0)
    truth, visible, unit = people(rng, 40)
    unit[:3] = 0, np.nan, 8
    pred = truth + rng.normal(0, 3, truth.shape)
    pred[2, 0] = truth[2, 0] + (4, 0)  # exactly on the radius
    pred[3] = np.nan
    rates, counts = key_points.pck(pred, truth, visible, unit, 0.5)
    for j in range(5):
        counted = [i for i in range(40) if visible[i, j] and unit[i] > 0]
        hits = [i for i in counted if np.hypot(*(pred[i, j] - truth[i, j])) <= 0.5 * unit[i]]
        assert counts[j] == len(counted) and rates[j] == pytest.approx(
            100 * len(hits) / len(counted)
        )


@pytest.mark.parametrize(('found', 'true'), [(0, 3), (2, 4), (4, 4), (5, 3)])
def test_partners_are_the_best_of_all_pairings(found, true):
    rng = np.random.default_rng(found)
    truth, visible, unit = people(rng, true)
    visible[-1] = 0  # a padded one
    pred = np.concatenate([truth, truth[::-1]])[:found] + rng.normal(0, 5, (found, 5, 2))

    def hits(person, one):
        return sum(
            np.hypot(*(pred[one, j] - truth[person, j])) <= 0.5 * unit[person]
            for j in range(5)
            if visible[person, j]
        )

    most = max(
        sum(hits(i, one) for i, one in enumerate(pairing) if one is not None)
        for pairing in itertools.permutations([*range(found), *[None] * true], true)
    )
    got = key_points.match_people(pred, truth, visible, unit, 0.5)
    whose = [[one for one in range(found) if (pred[one] == person).all()] for person in got]
    assert all(len(ones) == (not np.isnan(person).any()) for ones, person in zip(whose, got))
    assert len({ones[0] for ones in whose if ones}) == sum(map(bool, whose)) == min(found, true)
    assert sum(hits(i, ones[0]) for i, ones in enumerate(whose) if ones) == most
