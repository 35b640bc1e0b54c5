"""Tracks people through a video and smooths their joints.

People of a frame are assigned to tracks by the least sum of distances between their middles (Kuhn
1955), if within REACH of their size.  A track is kept for PATIENCE frames without its person.

Joints are smoothed by the One Euro filter (Casiez, Roussel and Vogel, CHI 2012), a low pass whose
cutoff rises with the speed:

    cutoff = MIN_CUTOFF + BETA * |smoothed speed|,      alpha = 1 / (1 + 1 / (2 pi cutoff elapsed))

`elapsed` is the time since the frame before, so the frame rate does not matter.  Speeds are in
sizes (`size_of`) a second, so distance from the camera does not matter.  Joints at rest are calmed,
and fast ones do not lag.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

REACH = 1.0  # of a person's size
PATIENCE = 12  # frames
MIN_CUTOFF = 1.0  # hertz
BETA = 1.5  # hertz per size a second
SPEED_CUTOFF = 1.0  # hertz
MIN_ELAPSED = 0.001  # seconds between frames: a speed is divided by them


class Tracked(NamedTuple):
    """One person of a frame."""

    track: int  # number of the track, from 1
    joints_xy: np.ndarray  # [k, 2] smoothed


class Track:
    """One person of a video."""

    def __init__(self, number: int):
        self.number = number
        self.filter = OneEuro()
        self.middle: np.ndarray | None = None  # [2], of the last pose
        self.unseen = 0  # frames since


class Tracker:
    """The tracks of one video."""

    def __init__(self):
        self.tracks: list[Track] = []
        self.count = 0  # of tracks so far

    def update(self, poses_xy: Sequence[np.ndarray], time: float) -> list[Tracked]:
        """Assigns the next frame's people to tracks and smooths them.

        Args:
            poses_xy: joints [k, 2] of each person.
            time: when the frame is shown, seconds.
        """
        sizes = [size_of(xy) for xy in poses_xy]
        tracks = self.assign([middle_of(xy) for xy in poses_xy], sizes)
        for track in self.tracks:
            track.unseen += 1
        tracked = []
        for xy, size, track in zip(poses_xy, sizes, tracks):
            if track is None:
                track = self.new_track()
            elif track.unseen > 1:
                track.filter = OneEuro()
            track.middle = middle_of(xy)
            track.unseen = 0
            tracked.append(Tracked(track.number, track.filter(xy, size, time)))
        self.tracks = [track for track in self.tracks if track.unseen <= PATIENCE]
        return tracked

    def new_track(self) -> Track:
        """Starts a track."""
        self.count += 1
        track = Track(self.count)
        self.tracks.append(track)
        return track

    def assign(self, middles: list[np.ndarray], sizes: list[float]) -> list[Track | None]:
        """The Track of each person; None: they are new."""
        from scipy.optimize import linear_sum_assignment  # pictures start without it

        assigned: list[Track | None] = [None] * len(middles)
        if not self.tracks or not middles:
            return assigned
        last_middles = [track.middle for track in self.tracks]
        distances = np.linalg.norm(np.array(middles)[:, None] - last_middles, axis=-1)
        distances /= np.array(sizes)[:, None]
        costs = np.minimum(distances, 2 * REACH)
        for person, track in zip(*linear_sum_assignment(costs)):
            if distances[person, track] <= REACH:
                assigned[person] = self.tracks[track]
        return assigned


class OneEuro:
    """Smooths a sequence of arrays."""

    def __init__(self):
        self.value: np.ndarray | None = None
        self.speed: float | np.ndarray = 0.0
        self.time = 0.0

    def __call__(self, value: np.ndarray, size: float, time: float) -> np.ndarray:
        """The next value [..., 2], smoothed.

        Args:
            size: the length by which speeds are measured, in the values' units.
            time: seconds.
        """
        value = np.asarray(value, np.float64)
        if self.value is None:
            self.value = value
            self.time = time
            return value
        elapsed = max(time - self.time, MIN_ELAPSED)
        speed = (value - self.value) / elapsed
        self.speed = self.speed + alpha(SPEED_CUTOFF, elapsed) * (speed - self.speed)
        magnitude = np.linalg.norm(self.speed, axis=-1, keepdims=True) / size
        weight = alpha(MIN_CUTOFF + BETA * magnitude, elapsed)
        self.value = self.value + weight * (value - self.value)
        self.time = time
        return self.value


def alpha(cutoff: float | np.ndarray, elapsed: float) -> float | np.ndarray:
    """The weight of a new value in a low pass of that cutoff, hertz, after `elapsed` seconds."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff * elapsed))


def middle_of(xy: np.ndarray) -> np.ndarray:
    """The median of the joints, which one stray joint does not move."""
    return np.median(xy, axis=0)


def size_of(xy: np.ndarray) -> float:
    """Twice the median distance of the joints from their middle, at least 1 pixel.

    This is about half of a torso's length.
    """
    distances = np.linalg.norm(xy - middle_of(xy), axis=-1)
    return max(1.0, 2 * float(np.median(distances)))
