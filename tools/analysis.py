"""Statistics of the report: people to show, rates by film, raised and hanging wrists.

Pure functions of errors in % of the normaliser, [n people, 9 joints], and of true joints
[n, 9, 2] pixels, (x right, y down).
"""

from collections.abc import Iterable, Sequence

import numpy as np

from jointpose.datasets.flic import JOINTS
from jointpose.metrics.key_points import MAX_RADIUS, detection_rate

N_SHOWN = 4  # people in each picture of heat maps
SHOULDERS = (JOINTS.index('lsho'), JOINTS.index('rsho'))
ELBOWS = (JOINTS.index('lelb'), JOINTS.index('relb'))
WRISTS = (JOINTS.index('lwri'), JOINTS.index('rwri'))

Errors = dict[str, np.ndarray]  # {model: [n, 9]}


def gains(errors_pd: np.ndarray, errors_sm: np.ndarray) -> np.ndarray:
    """How much nearer the joint model is than the part detector: [n, 9] twice -> [n].

    In % of the normaliser, mean over joints.  Errors count up to MAX_RADIUS: beyond it a joint is
    missed, no matter by how much.
    """
    clipped_pd = np.minimum(errors_pd, MAX_RADIUS)
    clipped_sm = np.minimum(errors_sm, MAX_RADIUS)
    return (clipped_pd - clipped_sm).mean(axis=1)


def one_a_film(
    order: Iterable[int], films: Sequence[str], n: int, taken: Iterable[str] = ()
) -> list[int]:
    """The first n indices of `order` with no two of one film, none of the films `taken`.

    Neighbouring frames look alike.
    """
    chosen = []
    films_seen = set(taken)
    for i in order:
        if len(chosen) < n and films[i] not in films_seen:
            chosen.append(int(i))
            films_seen.add(films[i])
    return chosen


def most_helped(
    errors_pd: np.ndarray, errors_sm: np.ndarray, films: Sequence[str], n: int = N_SHOWN
) -> list[int]:
    """Indices of the people with the largest gain, one a film."""
    gain = gains(errors_pd, errors_sm)
    order = np.argsort(-gain, kind='stable')
    return [i for i in one_a_film(order, films, n) if gain[i] > 0]


def failures(
    errors_pd: np.ndarray, errors_sm: np.ndarray, films: Sequence[str], n: int = N_SHOWN
) -> tuple[list[int], list[int]]:
    """Indices of n people whom the joint model fails, one a film.

    Returns:
        (those with the largest loss, a negative gain: at most half of n, then those with the joint
        model's largest mean error)
    """
    gain = gains(errors_pd, errors_sm)
    order = np.argsort(gain, kind='stable')
    hurt = [i for i in one_a_film(order, films, n // 2) if gain[i] < 0]
    order = np.argsort(-errors_sm.mean(axis=1), kind='stable')
    taken = {films[i] for i in hurt}
    return hurt, one_a_film(order, films, n - len(hurt), taken)


def film(file: str) -> str:
    """'along-came-polly-00119461.jpg' -> 'along-came-polly'."""
    return str(file).rsplit('-', 1)[0]


def by_film(errors: Errors, films: Sequence[str], radius: float) -> list[tuple[str, int, dict]]:
    """[(film, people, {model: mean rate of all joints in %})] from the worst by the last model up.

    films: n names.
    """
    films = np.asarray(films)
    rows = []
    for name in np.unique(films):
        chosen = films == name
        rates = {}
        for model, error in errors.items():
            rates[model] = detection_rate(error[chosen], radius).mean()
        rows.append((name, int(chosen.sum()), rates))
    return sorted(rows, key=lambda row: list(row[2].values())[-1])


def by_height(errors: Errors, true_xy: np.ndarray, radius: float) -> list[tuple[str, int, dict]]:
    """[(where the wrist is, wrists, {model: rate in %})], both sides together."""
    shoulder = true_xy[:, SHOULDERS, 1]  # heights, [n, 2]
    elbow = true_xy[:, ELBOWS, 1]
    wrist = true_xy[:, WRISTS, 1]
    places = {
        'above the shoulder': wrist < shoulder,
        'between shoulder and elbow': (wrist >= shoulder) & (wrist < elbow),
        'below the elbow': (wrist >= shoulder) & (wrist >= elbow),
    }
    rows = []
    for name, there in places.items():
        if not there.any():
            continue
        rates = {}
        for model, error in errors.items():
            rates[model] = 100 * np.mean(error[:, WRISTS][there] <= radius)
        rows.append((name, int(there.sum()), rates))
    return rows
