"""Metrics of predicted joints: detection rate, area under its curve, PCK, PCKh and PCP.

n people, k joints, s sticks; coordinates are (x, y) in pixels.  A joint is not counted for a person
without a label of it, nor for a person whose normalising length is zero or NaN.
"""

from collections.abc import Sequence

import numpy as np

MAX_RADIUS = 20  # of curves, in % of the normaliser

Stick = tuple[Sequence[int], Sequence[int]]  # its two ends, each the mean of these joints


def normalised_errors(pred_xy, truth_xy, normaliser) -> np.ndarray:
    """Returns each joint's distance from the truth in % of the person's normaliser: float64 [n, k].

    Args:
        pred_xy: [n, k, 2].
        truth_xy: [n, k, 2]; NaN where a joint is unlabelled, and so is the error there.
        normaliser: [n, 2], vectors of non-zero length.
    """
    offset = np.asarray(pred_xy, np.float64) - truth_xy  # [n, k, 2]
    # A prediction at 1e200 is infinitely wrong: a miss, and no warning.
    with np.errstate(over='ignore'):
        squared = np.square(offset).sum(axis=-1)  # [n, k]
    squared_length = np.square(np.asarray(normaliser, np.float64)).sum(axis=-1)  # [n]
    # One root of the ratio, not a ratio of two roots: an error exactly on the radius stays there.
    return np.sqrt(100**2 * squared / squared_length[:, None])


def detection_rate(errors, radius: float) -> np.ndarray:
    """Returns the share of errors <= radius in %, over the first axis: [n, ...] -> [...]."""
    return 100 * _mean_of_labelled(np.asarray(errors) <= radius, errors)


def area_under_curve(errors, max_radius: float = MAX_RADIUS) -> np.ndarray:
    """Returns the exact area under the detection rate over radii 0..max_radius, in % of the full area.

    A person with error e counts for the radii e..max_radius, the share max(0, 1 - e / max_radius)
    of all radii.  The mean is over the first axis: [n, ...] -> [...].
    """
    shares = np.maximum(0, 1 - np.asarray(errors) / max_radius)
    return 100 * _mean_of_labelled(shares, errors)


def _mean_of_labelled(values, errors):
    """Mean over the first axis of values [n, ...] where errors [n, ...] are numbers; NaN if none is."""
    labelled = ~np.isnan(errors)
    with np.errstate(invalid='ignore'):
        return np.sum(values, axis=0, where=labelled, dtype=np.float64) / labelled.sum(axis=0)


def pck(pred_xy, truth_xy, visible, unit, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Computes PCK, or PCKh if unit is the head size: the share of errors <= radius * unit.

    Args:
        pred_xy, truth_xy: [n, k, 2].
        visible: [n, k], 0 where unlabelled.
        unit: [n], pixels.

    Returns:
        Rates [k] in %, 0 where nobody is counted; and counts [k] of the people counted.
    """
    hits, counted = within_radius(pred_xy, truth_xy, visible, unit, radius)
    counts = counted.sum(axis=0)
    return 100 * hits.sum(axis=0) / np.maximum(counts, 1), counts


def within_radius(pred_xy, truth_xy, visible, unit, radius: float):
    """Returns which errors are <= radius * unit, and which are counted: two bool arrays.

    The arguments broadcast to [..., k, 2], [..., k, 2], [..., k] and [...].  What is not counted
    is no hit.
    """
    unit = np.asarray(unit, np.float64)
    # NaN compares false.
    counted = (np.asarray(visible) > 0) & (unit > 0)[..., None]
    with np.errstate(over='ignore'):
        squared = np.square(np.asarray(pred_xy, np.float64) - truth_xy).sum(axis=-1)
        hits = counted & (squared <= np.square(radius * unit)[..., None])
    return hits, counted


def errors_in_units(pred_xy, truth_xy, visible, unit) -> np.ndarray:
    """Returns each joint's distance from the truth in units of the person: float64 [n, k].

    It is NaN where `pck`, which has the same arguments, counts nothing.
    """
    unit = np.asarray(unit, np.float64)
    counted = (np.asarray(visible) > 0) & (unit > 0)[:, None]
    with np.errstate(over='ignore', divide='ignore', invalid='ignore'):
        squared = np.square(np.asarray(pred_xy, np.float64) - truth_xy).sum(axis=-1)
        errors = np.sqrt(squared / np.square(unit)[:, None])
    return np.where(counted, errors, np.nan)


def match_people(pred_xy, truth_xy, visible, unit, radius: float) -> np.ndarray:
    """Assigns detected people of one picture to annotated people: [m, k, 2] -> [p, k, 2].

    Each detected person is assigned to at most one annotated person, so that the number of joints
    within radius * unit is largest.  Annotated people without a detection get NaN.

    Args:
        pred_xy: [m, k, 2], the detected people.
        truth_xy: [p, k, 2], the annotated people.
        visible: [p, k], 0 where unlabelled.
        unit: [p], pixels.
    """
    from scipy.optimize import linear_sum_assignment  # evaluate.py starts without it

    hits, _ = within_radius(  # [p, m, k]
        pred_xy[None], truth_xy[:, None], visible[:, None], unit[:, None], radius
    )
    annotated, detected = linear_sum_assignment(-hits.sum(axis=-1))
    result = np.full(truth_xy.shape, np.nan)
    result[annotated] = pred_xy[detected]
    return result


def pcp(pred_xy, truth_xy, visible, sticks: Sequence[Stick], fraction: float = 0.5):
    """Computes PCP, the percentage of correct parts, by two definitions.

    Strict: both ends of a stick are within `fraction` of its true length of their true positions.
    Relaxed: the mean of both ends' distances is, as some evaluation codes have it.

    Args:
        pred_xy, truth_xy: [n, k, 2].
        visible: [n, k], 0 where unlabelled.

    Returns:
        Strict PCP [s] in %, relaxed PCP [s] in %, and counts [s] of people with the stick labelled.
    """
    pred = _stick_ends(np.asarray(pred_xy, np.float64), sticks)
    truth = _stick_ends(np.asarray(truth_xy, np.float64), sticks)
    errors = np.linalg.norm(pred - truth, axis=-1)  # [n, s, 2]
    lengths = np.linalg.norm(truth[:, :, 0] - truth[:, :, 1], axis=-1)  # [n, s]
    allowed = fraction * lengths
    counted = _stick_labelled(np.asarray(visible) > 0, sticks)
    counts = counted.sum(axis=0)
    strict = counted & (errors <= allowed[..., None]).all(axis=2)
    relaxed = counted & (errors.mean(axis=2) <= allowed)
    strict_rate = 100 * strict.sum(axis=0) / np.maximum(counts, 1)
    relaxed_rate = 100 * relaxed.sum(axis=0) / np.maximum(counts, 1)
    return strict_rate, relaxed_rate, counts


def _stick_labelled(is_labelled, sticks):
    """Returns whether all joints of each stick are labelled: bool [n, k] -> [n, s]."""
    columns = []
    for end, other in sticks:
        joints = [*end, *other]
        columns.append(is_labelled[:, joints].all(axis=1))
    return np.stack(columns, axis=1)


def _stick_ends(xy, sticks):
    """Returns both ends of each stick: [n, k, 2] -> [n, s, 2, 2]."""
    result = np.empty((len(xy), len(sticks), 2, 2))
    for i, stick in enumerate(sticks):
        for j, end in enumerate(stick):
            result[:, i, j] = xy[:, list(end)].mean(axis=1)
    return result
