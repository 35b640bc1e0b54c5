"""One person found in a picture: a single record, from the detection to the result files."""

from typing import NamedTuple

import numpy as np

from jointpose.vision.crops import View


class FoundPerson(NamedTuple):
    """One person found in a picture.

    A system that searches pictures for people fills torso_xy, view and torso_score first, and the
    rest once the joints are estimated.  Systems that estimate the joints in a box or in the whole
    picture leave these three at None.
    """

    joints_xy: np.ndarray = np.empty((0, 2))  # [k, 2] (x, y), pixels of the picture
    scores: np.ndarray = np.empty(0)  # [k], 0..1, one a joint
    score: float = 0.0  # the person's, 0..1
    torso_xy: np.ndarray | None = None  # [2], pixels of the picture
    maps: np.ndarray | None = None  # [h, w, k] score maps
    matrix: np.ndarray | None = None  # [2, 3], from cells of the maps to the picture
    view: View | None = None  # that shows the person in the size that the network knows
    low_score: bool = False  # a prompt's person scores below --threshold: probably nobody is there
    torso_score: float | None = None  # of the torso's score map; uncalibrated
