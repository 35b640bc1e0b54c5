"""People through a video: who is the same from frame to frame, and joints that do not tremble.

Each person found is the one of the frames before whose middle was nearest, all pairs by the least sum of distances
(Kuhn 1955), if within REACH of their size; somebody lost for up to PATIENCE frames is waited for.  Joints are smoothed
by the One Euro filter (Casiez, Roussel and Vogel, CHI 2012): a low pass whose cutoff rises with the speed,

    cutoff = MIN_CUTOFF + BETA * |smoothed speed|,      alpha = 1 / (1 + rate / (2 pi cutoff)),

speeds in sizes (`size_of`) a second, so that people near and far are treated alike: what rests is calmed, what is fast
does not lag.
"""
import numpy as np

REACH, PATIENCE = 1.0, 12
MIN_CUTOFF, BETA, SPEED_CUTOFF = 1.0, 1.5, 1.0          # hertz, hertz per size a second, hertz


class Track:
    """One person.  id: from 1.  filter: OneEuro.  middle [2]: of the pose last seen; unseen: frames since."""

    def __init__(self, id_, rate):
        self.id, self.filter, self.middle, self.unseen = id_, OneEuro(rate), None, 0


class Tracks:
    """The people of one video.  rate: frames a second."""

    def __init__(self, rate):
        self.rate, self.tracks, self.known = rate, [], 0

    def follow(self, poses_xy):
        """Joints of the next frame's people, list of [k, 2] -> [(track's number, smoothed joints [k, 2]), ...]."""
        sizes = [size_of(xy) for xy in poses_xy]
        owners = self.assign([middle_of(xy) for xy in poses_xy], sizes)
        for track in self.tracks:
            track.unseen += 1
        found = []
        for xy, size, track in zip(poses_xy, sizes, owners):
            if track is None:
                self.known += 1
                track = Track(self.known, self.rate)
                self.tracks.append(track)
            elif track.unseen > 1:
                track.filter = OneEuro(self.rate)
            track.middle, track.unseen = middle_of(xy), 0
            found.append((track.id, track.filter(xy, size)))
        self.tracks = [track for track in self.tracks if track.unseen <= PATIENCE]
        return found

    def assign(self, middles, sizes):
        """The Track of each person, None of a new one."""
        from scipy.optimize import linear_sum_assignment  # pictures start without it
        owners = [None] * len(middles)
        if self.tracks and middles:
            far = np.linalg.norm(np.array(middles)[:, None] - [track.middle for track in self.tracks], axis=-1)
            far /= np.array(sizes)[:, None]
            for person, track in zip(*linear_sum_assignment(np.minimum(far, 2 * REACH))):
                if far[person, track] <= REACH:
                    owners[person] = self.tracks[track]
        return owners


class OneEuro:
    """Smooths a sequence of arrays sampled at `rate` a second."""

    def __init__(self, rate):
        self.rate, self.value, self.speed = rate, None, 0.0

    def __call__(self, value, size):
        """The next value [..., 2] -> smoothed.  size: the length by which speeds are measured."""
        value = np.asarray(value, np.float64)
        if self.value is None:
            self.value = value
            return value
        speed = (value - self.value) * self.rate
        self.speed = self.speed + self.alpha(SPEED_CUTOFF) * (speed - self.speed)
        fast = np.linalg.norm(self.speed, axis=-1, keepdims=True) / size
        self.value = self.value + self.alpha(MIN_CUTOFF + BETA * fast) * (value - self.value)
        return self.value

    def alpha(self, cutoff):
        return 1 / (1 + self.rate / (2 * np.pi * cutoff))


def middle_of(xy):
    """The median joint: one astray does not move it."""
    return np.median(xy, axis=0)


def size_of(xy):
    """A length that goes with the person's size, at least 1 pixel: the median distance of the joints from their middle,
    about half of a torso's length."""
    return max(1.0, 2 * float(np.median(np.linalg.norm(xy - middle_of(xy), axis=-1))))
