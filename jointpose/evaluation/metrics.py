"""Measures of predicted joints, in NumPy.  Errors are distances in units of a length of each person.

Whoever has no length (not a number, or zero) or no label of a joint is not counted there.
"""

import numpy as np

MAX_RADIUS = 20  # %, of curves


def normalised_errors(pred_xy, truth_xy, normaliser):
    """Distances in % of each person's normaliser, float64 [n, k].

    pred_xy, truth_xy: [n, k, 2] pixels, not a number where not labelled, as is the error then.  normaliser: [n, 2],
    vectors of non-zero length, pixels.
    """
    offset = np.asarray(pred_xy, np.float64) - truth_xy  # [n, k, 2]
    with np.errstate(
        over='ignore'
    ):  # a prediction at 1e200 is infinitely wrong: a miss, no warning
        squared = np.square(offset).sum(axis=-1)  # [n, k]
    length = np.square(np.asarray(normaliser, np.float64)).sum(axis=-1)  # [n], squared too
    # One root of the ratio, not a ratio of two roots: an error exactly on the radius stays exactly there.
    return np.sqrt(100**2 * squared / length[:, None])


def detection_rate(errors, radius):
    """Share of errors <= radius in %, over the first axis: [n, ...] -> [...]."""
    return 100 * mean_of_labelled(np.asarray(errors) <= radius, errors)


def area_under_curve(errors, max_radius=MAX_RADIUS):
    """Exact area under the detection rate over radii 0..max_radius, in % of the full area: [n, ...] -> [...].

    A person with error e counts for radii e..max_radius, i.e. for the share max(0, 1 - e / max_radius) of them.
    """
    return 100 * mean_of_labelled(np.maximum(0, 1 - np.asarray(errors) / max_radius), errors)


def mean_of_labelled(values, errors):
    """Mean over the first axis of values [n, ...] where the errors [n, ...] are numbers; NaN where none of them is."""
    labelled = ~np.isnan(errors)
    with np.errstate(invalid='ignore'):
        return np.sum(values, axis=0, where=labelled, dtype=np.float64) / labelled.sum(axis=0)


def pck(pred_xy, truth_xy, visible, unit, radius):
    """PCK, and PCKh if unit is the head's size: share of each joint's errors <= radius * unit.

    pred_xy, truth_xy: [n, k, 2] pixels.  visible: [n, k], 0 where not labelled.  unit: [n] pixels.
    Returns (rates [k] in %, 0 where there is nobody, counts [k]: how many people each is a share of).
    """
    hits, counted = within_radius(pred_xy, truth_xy, visible, unit, radius)
    counts = counted.sum(axis=0)
    return 100 * hits.sum(axis=0) / np.maximum(counts, 1), counts


def within_radius(pred_xy, truth_xy, visible, unit, radius):
    """Which errors are <= radius * unit where that is counted: (hits, counted), bool, of arrays that broadcast to
    [..., k, 2], [..., k, 2], [..., k] and [...]."""
    unit = np.asarray(unit, np.float64)
    counted = (np.asarray(visible) > 0) & (unit > 0)[..., None]  # NaN compares false
    with np.errstate(over='ignore'):
        squared = np.square(np.asarray(pred_xy, np.float64) - truth_xy).sum(axis=-1)
        return counted & (squared <= np.square(radius * unit)[..., None]), counted


def match_people(found_xy, truth_xy, visible, unit, radius):
    """People found in a picture [m, k, 2] -> of each of its p people the one found that is theirs, [p, k, 2]; not a
    number where there is none.

    Each one found is of one person at most, so that most joints are right altogether: errors <= radius * unit.
    truth_xy: [p, k, 2]; visible: [p, k]; unit: [p], as in `pck`.
    """
    from scipy.optimize import linear_sum_assignment  # evaluate.py starts without it

    hits, _ = within_radius(
        found_xy[None], truth_xy[:, None], visible[:, None], unit[:, None], radius
    )  # [p, m, k]
    result = np.full(truth_xy.shape, np.nan)
    person, one = linear_sum_assignment(-hits.sum(axis=-1))
    result[person] = found_xy[one]
    return result


def stick_ends(xy, sticks):
    """[n, k, 2] -> [n, s, 2, 2]: both ends of each stick, each end the mean of some joints' positions."""
    return np.stack(
        [np.stack([xy[:, list(end)].mean(axis=1) for end in stick], axis=1) for stick in sticks],
        axis=1,
    )


def pcp(pred_xy, truth_xy, visible, sticks, share=0.5):
    """PCP: of each stick, the share of people who have it right, by two measures.

    strict: each end is within `share` of the stick's true length of where it should be.  relaxed: the mean of both
    ends' distances is, as some evaluation codes have it.
    pred_xy, truth_xy: [n, k, 2].  visible: [n, k], 0 where not labelled.  sticks: pairs of ends, tuples of joints.
    Returns (strict [s] in %, relaxed [s] in %, counts [s]: people with the stick's joints labelled).
    """
    pred, truth = (stick_ends(np.asarray(xy, np.float64), sticks) for xy in (pred_xy, truth_xy))
    errors = np.linalg.norm(pred - truth, axis=-1)  # [n, s, 2]
    within = share * np.linalg.norm(truth[:, :, 0] - truth[:, :, 1], axis=-1)  # [n, s]
    counted = np.stack(
        [(np.asarray(visible)[:, [*a, *b]] > 0).all(axis=1) for a, b in sticks], axis=1
    )
    counts = counted.sum(axis=0)
    strict, relaxed = (
        100 * (counted & right).sum(axis=0) / np.maximum(counts, 1)
        for right in ((errors <= within[..., None]).all(axis=2), errors.mean(axis=2) <= within)
    )
    return strict, relaxed, counts
