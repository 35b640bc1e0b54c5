"""People followed and joints smoothed, beside a plain filter and made-up walks."""

import numpy as np

from jointpose.inference import tracking

POSE = np.array(
    [(30, -40), (45, 0), (50, 40), (-30, -40), (-45, 0), (-50, 40), (20, 50), (-20, 50), (0, -70)],
    float,
)


def test_one_euro_against_its_equations():
    rng, rate, size = np.random.default_rng(0), 30.0, 57.0
    values, smooth = rng.normal(0, 20, (12, 2)).cumsum(axis=0), tracking.OneEuro()

    def alpha(cutoff):
        return 1 / (1 + 1 / (2 * np.pi * cutoff) / (1 / rate))

    x, v = values[0].copy(), np.zeros(2)
    np.testing.assert_array_equal(smooth(values[0], size, 0), x)
    for i, value in enumerate(values[1:], 1):
        a = alpha(tracking.SPEED_CUTOFF)
        v = a * ((value - x) * rate) + (1 - a) * v
        a = alpha(tracking.MIN_CUTOFF + tracking.BETA * np.hypot(*v) / size)
        x = a * value + (1 - a) * x
        np.testing.assert_allclose(smooth(value, size, i / rate), x, rtol=1e-11)


def test_what_rests_is_calmed_and_what_moves_does_not_lag():
    rng, tracks = np.random.default_rng(1), tracking.Tracker()
    noisy = [POSE + rng.normal(0, 2, POSE.shape) for _ in range(60)]
    calm = [tracks.update([pose], i / 25)[0][1] for i, pose in enumerate(noisy)]
    assert np.std(calm[20:], axis=0).mean() < 0.6 * np.std(noisy[20:], axis=0).mean()
    tracks, shift = tracking.Tracker(), np.array([12.0, 0])  # 300 pixels a second
    found = [tracks.update([POSE + i * shift], i / 25)[0][1] for i in range(40)]
    assert np.abs(found[-1] - (POSE + 39 * shift)).max() < 12


def test_people_keep_their_numbers():
    """Two that pass each other at a distance and are listed in changing order; one is away for a
    while, a third comes."""
    tracks, seen = tracking.Tracker(), []
    for i in range(30):
        people = {'a': POSE + (5 * i, 0), 'b': POSE + (400 - 5 * i, 300)}
        if 10 <= i < 15:
            del people['a']
        if i > 20:
            people['c'] = POSE + (900, 0)
        names = sorted(people, reverse=i % 2 == 0)
        found = tracks.update([people[name] for name in names], i / 25)
        seen.append({name: number for name, (number, _) in zip(names, found)})
    for name in 'abc':
        assert len({one[name] for one in seen if name in one}) == 1
    assert len(set(seen[-1].values())) == 3


def test_somebody_long_gone_is_somebody_new():
    tracks = tracking.Tracker()
    ((first, _),) = tracks.update([POSE], 0)
    for i in range(tracking.PATIENCE + 1):
        assert tracks.update([], 1 + i) == []
    ((second, _),) = tracks.update([POSE], 20)
    assert first != second


def test_smoothing_goes_by_the_time_that_passed():
    """The filter's step over a gap of any length is that of a filter whose rate has just this gap."""
    values, gaps, size = (
        np.array([[0, 0], [3, 1], [9, 2], [8, 8]], float),
        [0.04, 0.36, 1 / 240],
        20.0,
    )
    smooth, time = tracking.OneEuro(), 0.5
    x, v = smooth(values[0], size, time), np.zeros(2)
    for value, gap in zip(values[1:], gaps):
        time += gap
        tau = 1 / (2 * np.pi * tracking.SPEED_CUTOFF)
        a = gap / (gap + tau)
        v = a * (value - x) / gap + (1 - a) * v
        tau = 1 / (2 * np.pi * (tracking.MIN_CUTOFF + tracking.BETA * np.hypot(*v) / size))
        x = x + gap / (gap + tau) * (value - x)
        np.testing.assert_allclose(smooth(value, size, time), x, rtol=1e-9)


def test_frames_at_one_time_are_no_division_by_zero():
    smooth = tracking.OneEuro()
    smooth(np.zeros(2), 10, 1.0)
    assert (
        np.isfinite(smooth(np.ones(2), 10, 1.0)).all()
        and np.isfinite(smooth(np.ones(2), 10, 0.5)).all()
    )
