"""People through a video: who is the same from frame to frame, and joints that do not tremble.

Each person found is the one of the frames before whose middle was nearest, all pairs by the least sum of distances
(Kuhn 1955), if within REACH of their size; somebody lost for up to PATIENCE frames is waited for.  Joints are smoothed
by the One Euro filter (Casiez, Roussel and Vogel, CHI 2012): a low pass whose cutoff rises with the speed,

    cutoff = MIN_CUTOFF + BETA * |smoothed speed|,      alpha = 1 / (1 + 1 / (2 pi cutoff elapsed)),

where `elapsed` is the time since the frame before, so that a video of variable frame rate is smoothed alike;
speeds in sizes (`size_of`) a second, so that people near and far are treated alike: what rests is calmed, what is fast
does not lag.
"""

import numpy as np

REACH, PATIENCE = 1.0, 12
MIN_CUTOFF, BETA, SPEED_CUTOFF = 1.0, 1.5, 1.0  # hertz, hertz per size a second, hertz
SHORTEST = 0.001  # seconds between frames: a speed is divided by them


class Track:
    """One person.  id: from 1.  filter: OneEuro.  middle [2]: of the pose last seen; unseen: frames since."""

    def __init__(self, id_):
        self.id, self.filter, self.middle, self.unseen = id_, OneEuro(), None, 0


class Tracks:
    """The people of one video."""

    def __init__(self):
        self.tracks, self.known = [], 0

    def follow(self, poses_xy, time):
        """Joints of the next frame's people, list of [k, 2] -> [(track's number, smoothed joints [k, 2]), ...].

        time: when the frame is shown, seconds.
        """
        sizes = [size_of(xy) for xy in poses_xy]
        owners = self.assign([middle_of(xy) for xy in poses_xy], sizes)
        for track in self.tracks:
            track.unseen += 1
        found = []
        for xy, size, track in zip(poses_xy, sizes, owners):
            if track is None:
                self.known += 1
                track = Track(self.known)
                self.tracks.append(track)
            elif track.unseen > 1:
                track.filter = OneEuro()
            track.middle, track.unseen = middle_of(xy), 0
            found.append((track.id, track.filter(xy, size, time)))
        self.tracks = [track for track in self.tracks if track.unseen <= PATIENCE]
        return found

    def assign(self, middles, sizes):
        """The Track of each person, None of a new one."""
        from scipy.optimize import linear_sum_assignment  # pictures start without it

        owners = [None] * len(middles)
        if self.tracks and middles:
            far = np.linalg.norm(
                np.array(middles)[:, None] - [track.middle for track in self.tracks], axis=-1
            )
            far /= np.array(sizes)[:, None]
            for person, track in zip(*linear_sum_assignment(np.minimum(far, 2 * REACH))):
                if far[person, track] <= REACH:
                    owners[person] = self.tracks[track]
        return owners


class OneEuro:
    """Smooths a sequence of arrays, each of its own time."""

    def __init__(self):
        self.value, self.speed, self.time = None, 0.0, None

    def __call__(self, value, size, time):
        """The next value [..., 2] -> smoothed.  size: the length by which speeds are measured; time: seconds."""
        value = np.asarray(value, np.float64)
        if self.value is None:
            self.value, self.time = value, time
            return value
        elapsed = max(time - self.time, SHORTEST)
        speed = (value - self.value) / elapsed
        self.speed = self.speed + alpha(SPEED_CUTOFF, elapsed) * (speed - self.speed)
        fast = np.linalg.norm(self.speed, axis=-1, keepdims=True) / size
        self.value = self.value + alpha(MIN_CUTOFF + BETA * fast, elapsed) * (value - self.value)
        self.time = time
        return self.value


def alpha(cutoff, elapsed):
    """The weight of a new value in a low pass of that cutoff, hertz, so many seconds after the last."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff * elapsed))


def middle_of(xy):
    """The median joint: one astray does not move it."""
    return np.median(xy, axis=0)


def size_of(xy):
    """A length that goes with the person's size, at least 1 pixel: the median distance of the joints from their middle,
    about half of a torso's length."""
    return max(1.0, 2 * float(np.median(np.linalg.norm(xy - middle_of(xy), axis=-1))))
