"""Bootstrap confidence intervals of detection rates: how far they might be others with other people of the same kind.

People are drawn with replacement, as many as there are, many times over; an interval holds the
middle 95 % of the rates of these draws (percentile bootstrap; Efron and Tibshirani, An Introduction
to the Bootstrap, 1993, chapter 13).  People of one film look alike, and a few films hold most of
them: drawn film by film, the interval says what other films might give, and is wider.  Neither has
in it what another seed of the training would change.
"""

import numpy as np

DRAWS = 4000
SEED = 0
LEVEL = 95  # % of the draws within an interval


def rate_intervals(errors, radius, groups, clusters=None, draws=DRAWS, seed=SEED) -> np.ndarray:
    """Intervals of the detection rates at a radius, of each group of joints, in %.

    Args:
        errors: float [n, k], of n people and k joints, in the radius's unit; not a number where there is no label.
        groups: g lists of columns of `errors`; a group's rate is the mean of its joints' rates.
        clusters: [n] labels; people of equal labels are drawn together.  None: each person alone.

    Returns:
        float64 [g, 2]: lower and upper end; not a number if there are fewer than two clusters.
    """
    return _interval(_drawn_rates(errors, radius, groups, clusters, draws, seed))


def difference_intervals(
    errors, others, radius, groups, clusters=None, draws=DRAWS, seed=SEED
) -> np.ndarray:
    """Intervals of how much higher the rates of `errors` are than those of `others`, in points.

    errors, others: [n, k], of two models on the same people: each draw has the same people for
    both, so that what makes a person hard for both cancels out.  Otherwise as `rate_intervals`.
    """
    first = _drawn_rates(errors, radius, groups, clusters, draws, seed)
    second = _drawn_rates(others, radius, groups, clusters, draws, seed)
    return _interval(first - second)


def _drawn_rates(errors, radius, groups, clusters, draws, seed):
    """The rates of the groups in each draw: [g, draws]; not a number with fewer than two clusters."""
    errors = np.asarray(errors, np.float64)
    names = np.arange(len(errors)) if clusters is None else clusters
    _, cluster = np.unique(names, return_inverse=True)  # [n], from 0
    n_clusters = int(cluster.max()) + 1
    if n_clusters < 2:
        return np.full((len(groups), draws), np.nan)

    hits = _sums(errors <= radius, cluster, n_clusters)  # [c, k]
    labelled = _sums(~np.isnan(errors), cluster, n_clusters)
    times = np.random.default_rng(seed).multinomial(
        n_clusters, np.full(n_clusters, 1 / n_clusters), size=draws
    )
    with np.errstate(invalid='ignore'):  # of a draw in which nobody has the joint's label
        rates = 100 * (times @ hits) / (times @ labelled)  # [draws, k]
    return np.stack([rates[:, list(group)].mean(axis=1) for group in groups])


def _interval(of_draws):
    """The middle LEVEL % of [g, draws]: float64 [g, 2]."""
    if np.isnan(of_draws).all():
        return np.full((len(of_draws), 2), np.nan)
    outside = (100 - LEVEL) / 2
    return np.nanpercentile(of_draws, (outside, 100 - outside), axis=1).T


def _sums(values, cluster, n_clusters):
    """Sums of bool [n, k] over each cluster: float64 [c, k]."""
    result = np.zeros((n_clusters, values.shape[1]))
    np.add.at(result, cluster, values)
    return result
