"""Bootstrap intervals beside all draws there are, binomial quantiles, and a case where films matter."""

import itertools

import numpy as np
import pytest

from jointpose.metrics import intervals
from jointpose.metrics.intervals import difference_intervals, rate_intervals

BOTH = [[0], [1], [0, 1]]


def all_draws(errors, radius, groups, clusters):
    """Rates [g, c ** c] of every draw of c clusters, each as likely as any other, one by one."""
    people = {
        name: [i for i, of_person in enumerate(clusters) if of_person == name]
        for name in sorted(set(clusters))
    }
    result = []
    for draw in itertools.product(people.values(), repeat=len(people)):
        drawn = [errors[i] for i in itertools.chain.from_iterable(draw)]
        rates = []
        for joint in zip(*drawn):
            labelled = [error for error in joint if error == error]
            rates.append(100 * sum(error <= radius for error in labelled) / len(labelled))
        result.append([sum(rates[i] for i in group) / len(group) for group in groups])
    return np.array(result).T


@pytest.mark.parametrize('clusters', [[0, 1, 2, 3, 4], list('aabbc'), list('aaaab')])
def test_every_draw_there_is(clusters):
    alone = len(set(clusters)) == 5
    missing = 30 if alone else np.nan  # else a draw may have nobody labelled
    errors = np.array([[3, 12], [10, missing], [25, 10.5], [9, 1], [11, 4]])
    draws = all_draws(errors.tolist(), 10, BOTH, clusters)
    found = rate_intervals(errors, 10, BOTH, None if alone else clusters, draws=200_000)
    for (low, high), rates in zip(found, draws):
        # An end lies on the draws' quantile, up to the chance of 200,000 draws: 0.2 % of them at most.
        assert np.mean(rates < low) <= 0.025 + 0.002 and np.mean(rates <= low) >= 0.025 - 0.002
        assert np.mean(rates > high) <= 0.025 + 0.002 and np.mean(rates >= high) >= 0.025 - 0.002


def test_people_of_one_film_count_as_one():
    """Ten films of ten people: in five all are found, in five nobody.  Binomial(100, 1/2) and Binomial(10, 1/2)."""
    errors = np.repeat([[5.0], [15.0]] * 5, 10, axis=0)
    films = np.repeat([f'film-{i}' for i in range(10)], 10)
    ((low, high),) = rate_intervals(errors, 10, [[0]])
    assert abs(low - 40) <= 1 and abs(high - 60) <= 1
    assert rate_intervals(errors, 10, [[0]], films).tolist() == [[20, 80]]


def test_unlabelled_people_are_not_counted():
    """A joint of one person alone is found in every draw that has it; others' rates do not change."""
    errors = np.array([[5.0, 5.0], [np.nan, 15.0], [np.nan, 5.0], [np.nan, 15.0]])
    one, other = rate_intervals(errors, 10, [[0], [1]])
    assert one.tolist() == [100, 100]
    assert other.tolist() == rate_intervals(errors[:, 1:], 10, [[0]])[0].tolist() == [0, 100]


def test_a_difference_is_paired():
    """Of 100 people one model finds 60, the other these and ten more: binomial(100, 1/10) more."""
    first = np.repeat([5.0, 15.0, 15.0], [60, 10, 30])[:, None]
    second = np.repeat([5.0, 5.0, 15.0], [60, 10, 30])[:, None]
    ((low, high),) = difference_intervals(second, first, 10, [[0]])
    assert low == pytest.approx(5, abs=1) and high == pytest.approx(16, abs=1)
    ((minus_high, minus_low),) = difference_intervals(first, second, 10, [[0]])
    assert (-minus_low, -minus_high) == (low, high)
    assert difference_intervals(first, first, 10, [[0]]).tolist() == [[0, 0]]
    assert np.isnan(difference_intervals(first, second, 10, [[0]], ['film'] * 100)).all()


def test_a_difference_over_every_draw_there_is():
    errors = np.array([[3, 12], [10, 30], [25, 10.5], [9, 1], [11, 4]])
    others = np.array([[30, 12], [1, 3], [2, 14], [90, 1], [1, 4]])
    people = range(5)
    draws = all_draws(errors.tolist(), 10, BOTH, people) - all_draws(
        others.tolist(), 10, BOTH, people
    )
    found = difference_intervals(errors, others, 10, BOTH, draws=200_000)
    for (low, high), differences in zip(found, draws):
        assert np.mean(differences < low) <= 0.025 + 0.002 <= np.mean(differences <= low) + 0.004
        assert np.mean(differences > high) <= 0.025 + 0.002 <= np.mean(differences >= high) + 0.004


def test_equal_seeds_equal_intervals_and_another_seed_another():
    errors = np.random.default_rng(3).uniform(0, 20, (301, 1))
    first = rate_intervals(errors, 10, [[0]])
    assert np.array_equal(first, rate_intervals(errors, 10, [[0]]))
    assert not np.array_equal(first, rate_intervals(errors, 10, [[0]], seed=1))
    rate = 100 * np.mean(errors <= 10)
    half = 1.96 * np.sqrt(rate * (100 - rate) / 301)  # normal approximation
    assert np.allclose(first, [[rate - half, rate + half]], atol=0.5)


def test_a_single_film_has_no_interval_over_films():
    errors = np.full((3, 2), 4.0)
    assert np.isnan(rate_intervals(errors, 10, BOTH, ['film'] * 3)).all()
    assert rate_intervals(errors, 10, BOTH).tolist() == [[100, 100]] * 3
    assert intervals.LEVEL == 95
