"""What the report says about people: who is shown, rates film by film, raised wrists and hanging ones.

Pure functions of errors in % of the normaliser, [n people, 9 joints], and of true joints [n, 9, 2] pixels, (x right,
y down).
"""

import numpy as np

from jointpose.datasets.flic import JOINTS
from jointpose.evaluate import MAX_RADIUS, detection_rate

N_SHOWN = 4  # people in each picture of heat maps
ARMS = tuple(tuple(JOINTS.index(side + joint) for joint in ('sho', 'elb', 'wri')) for side in 'lr')


def gains(errors_pd, errors_sm):
    """How much nearer the joint model is, in % of the normaliser, mean over joints: [n, 9] twice -> [n].

    Errors count up to MAX_RADIUS: beyond it a joint is missed, no matter by how much.
    """
    return (np.minimum(errors_pd, MAX_RADIUS) - np.minimum(errors_sm, MAX_RADIUS)).mean(axis=1)


def one_a_film(order, films, n, taken=()):
    """The first n of `order` (indices), no two of one film, none of the films `taken`: neighbours look alike."""
    chosen, films_seen = [], set(taken)
    for i in order:
        if len(chosen) < n and films[i] not in films_seen:
            chosen.append(int(i))
            films_seen.add(films[i])
    return chosen


def most_helped(errors_pd, errors_sm, films, n=N_SHOWN):
    """Indices of those with the largest gain, one a film: [n people, 9] twice."""
    gain = gains(errors_pd, errors_sm)
    return [i for i in one_a_film(np.argsort(-gain, kind='stable'), films, n) if gain[i] > 0]


def failures(errors_pd, errors_sm, films, n=N_SHOWN):
    """Indices of those with the largest loss (a gain below 0), at most half of n, then of those with the joint model's
    largest mean error; one a film, [n people, 9] twice.  Returns (the former, the latter)."""
    gain = gains(errors_pd, errors_sm)
    hurt = [i for i in one_a_film(np.argsort(gain, kind='stable'), films, n // 2) if gain[i] < 0]
    order = np.argsort(-errors_sm.mean(axis=1), kind='stable')
    return hurt, one_a_film(order, films, n - len(hurt), {films[i] for i in hurt})


def film(file):
    """'along-came-polly-00119461.jpg' -> 'along-came-polly'."""
    return str(file).rsplit('-', 1)[0]


def by_film(errors, films, radius):
    """[(film, people, {model: mean rate of all joints in %})] from the worst by the last model to the best.

    errors: {model: [n, 9]}; films: n names.
    """
    films = np.asarray(films)
    rows = [
        (
            name,
            int((films == name).sum()),
            {
                model: detection_rate(error[films == name], radius).mean()
                for model, error in errors.items()
            },
        )
        for name in np.unique(films)
    ]
    return sorted(rows, key=lambda row: list(row[2].values())[-1])


def by_height(errors, true_xy, radius):
    """[(where the wrist is, wrists, {model: rate in %})], both sides together; errors {model: [n, 9]}."""
    shoulder, elbow, wrist = (
        true_xy[:, list(joints), 1] for joints in zip(*ARMS)
    )  # heights, [n, 2]
    error = {model: of_model[:, [arm[2] for arm in ARMS]] for model, of_model in errors.items()}
    places = {
        'above the shoulder': wrist < shoulder,
        'between shoulder and elbow': (wrist >= shoulder) & (wrist < elbow),
        'below the elbow': (wrist >= shoulder) & (wrist >= elbow),
    }
    return [
        (
            name,
            int(there.sum()),
            {model: 100 * np.mean(of_model[there] <= radius) for model, of_model in error.items()},
        )
        for name, there in places.items()
        if there.any()
    ]
