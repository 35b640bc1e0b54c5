"""One person's predicted joints, as every system returns them."""

from typing import NamedTuple

import numpy as np


class Pose(NamedTuple):
    """The joints of one person in one sample."""

    joints_xy: np.ndarray  # float32 [k, 2], pixels of the sample
    scores: np.ndarray  # [k], 0..1, one a joint
    score: float  # the person's, 0..1


def pose(joints_xy, scores):
    """A Pose whose score is the mean of its joints' scores."""
    return Pose(joints_xy, scores, float(np.mean(scores)))
