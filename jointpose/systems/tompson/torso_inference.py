"""Infers the target person's torso from the part detector's maps, where none is given.

The spatial model is given the torso of its person.  Here the same priors are used the other way
round, in one more message pass: with sp their softplus and h_j the detector's map of joint j,

    score(t) = sum over shoulders and hips j of  log( sum over cells q of sp(e_{j|torso})(q - t) * h_j(q) + EPSILON )

The cell t with the highest score is the target person's; their shoulders and hips are the peaks of
sp(e_{j|torso})(q - t) * (h_j(q) + UNSEEN), and the torso is the mean of these.  Each prior is
scaled to a maximum of 1.  EPSILON keeps a joint that is not seen from vetoing a cell, UNSEEN keeps
one that is seen only on a neighbour from pulling the torso there.

Measured with a run of an eighth of the width (`--width 8 --use_sm --data_augm`) after 9 epochs, on
120 of FLIC's training people, evenly spaced: distance from the annotated torso, also in % of
||lhip - rsho||.

    method                                                  median    within 10 %    within 20 %    within 50 %
    this one                                                6.6 px        88             95             97
    the best cell alone                                     9.8 px        79             95             96
    mean of the detector's peaks of shoulders and hips      6.6 px        80             87             94

The mean of the peaks is as near where all four are on one person; where one is not, it lies between
two people.  Of nine joints, five or four in the score, four were best (after one epoch: 88, 89 and
90 % within 20 %).

A model of --torso_from torsobox, which was trained with the centre of FLIC's torsobox, is given
this mean, too: over FLIC's training people that centre lies on average 1.7 pixels right of the mean
of shoulders and hips and 0.7 above it (standard deviations 9 and 22).

The value of the ground-truth torso: after 12 epochs, on the 1016 test people, the joint model's
detection rate at radius 10 is 79.1 % with it and 69.7 % with the inferred one (at radius 20: 91.2
and 82.3 %); the part detector, which is given neither, has 68.8 % (80.4 %).
"""

from typing import NamedTuple

import numpy as np

from jointpose import spatial_model
from jointpose.datasets.base import DataSet
from jointpose.datasets.person_frames import PersonFrame
from jointpose.nn import test_time_augmentation
from jointpose.vision import heatmaps

EPSILON = 1e-2
UNSEEN = 2e-3


class Torso(NamedTuple):
    """A person's torso in a frame."""

    score: float  # of the best cell
    cell: np.ndarray  # int [2]: (row, column) of that cell
    torso_xy: np.ndarray  # float32 [2]: (x, y), pixels of the frame
    peaks: np.ndarray  # int [4, 2]: cells (row, column) of the torso joints


class Priors(NamedTuple):
    """Priors of the four torso joints given the torso.  A frame's maps have h x w cells."""

    joints: list[int]  # shoulders and hips, whose mean is the torso: their maps
    values: np.ndarray  # float64 [4, 2h, 2w], each with a maximum of 1
    spectra: np.ndarray  # their Fourier transforms, conjugate

    @property
    def map_size(self) -> tuple[int, int]:
        """(h, w)."""
        rows, columns = self.values.shape[1:]
        return rows // 2, columns // 2


def priors(energies: np.ndarray, data_set: DataSet) -> Priors:
    """The Priors of a spatial model.

    energies: [k * k or more, 2h, 2w], its variable; no displacement is at [h, w].
    data_set: whose joints they are of.
    """
    k = len(data_set.joints)
    joints = [data_set.joints.index(joint) for joint in data_set.torso_joints]
    all_pairs = spatial_model.pairs_to(k, k + 1)
    pairs = [all_pairs.index((joint, k)) for joint in joints]
    values = spatial_model.numpy_softplus(energies[pairs].astype(np.float64))
    values /= values.max(axis=(1, 2), keepdims=True)
    return Priors(joints, values, np.conj(np.fft.rfft2(values)))


def scores(maps: np.ndarray, given_torso: Priors) -> np.ndarray:
    """score(t) of every cell: maps [n, h, w, k] -> float64 [n, h, w]."""
    maps = np.asarray(maps, np.float64)[..., given_torso.joints]
    maps = np.moveaxis(maps, -1, 1)  # [n, 4, h, w]
    height, width = given_torso.map_size
    size = given_torso.values.shape[1:]
    spectra = np.fft.rfft2(maps, size) * given_torso.spectra  # a correlation
    # Its entry [s] belongs to the torso at s + (h, w); displacements q - t within a frame never wrap.
    messages = np.roll(np.fft.irfft2(spectra, size), (height, width), axis=(2, 3))
    messages = messages[:, :, :height, :width]
    return np.log(np.maximum(messages, 0) + EPSILON).sum(axis=1)


def infer(maps: np.ndarray, given_torso: Priors) -> np.ndarray:
    """The part detector's maps, each of sum 1, [n, h, w, k] -> float32 [n, 2] (x, y) pixels."""
    return np.stack([locate(one, given_torso).torso_xy for one in maps])


def locate(maps: np.ndarray, given_torso: Priors, allowed: np.ndarray | None = None) -> Torso:
    """The Torso with the highest score among the cells `allowed`, bool [h, w].

    maps: [h, w, k].
    """
    score_map = scores(maps[None], given_torso)[0]
    if allowed is not None:
        score_map = np.where(allowed, score_map, -np.inf)
    cell = np.array(np.unravel_index(score_map.argmax(), score_map.shape))
    seen = maps[..., given_torso.joints] + UNSEEN
    own = (seen * priors_around(cell, given_torso))[None]  # [1, h, w, 4]
    joints_xy = heatmaps.decode(own)[0]
    peaks = np.stack([index[0] for index in heatmaps.peaks(own)], axis=-1)
    return Torso(score_map[tuple(cell)], cell, joints_xy.mean(axis=0), peaks)


def priors_around(cell: np.ndarray, given_torso: Priors) -> np.ndarray:
    """The Priors' values around a torso in one cell (row, column): [h, w, 4]."""
    height, width = given_torso.map_size
    row, column = np.array([height, width]) - cell
    values = given_torso.values[:, row : row + height, column : column + width]
    return np.moveaxis(values, 0, -1)


def torso_maps(torso_xy: np.ndarray, scales, frame: PersonFrame) -> np.ndarray:
    """The spatial model's maps of torsos at each scale.

    [n, 2] pixels of the frame -> float32 [n * S, h, w, 1], the S scales of a frame together.
    """
    torso_xy = frame.clamp(torso_xy)[:, None]
    size = frame.size[::-1]
    points = test_time_augmentation.scaled_points(torso_xy, size, scales)  # [S, n, 1, 2]
    return heatmaps.render_targets(np.moveaxis(points, 0, 1).reshape(-1, 1, 2), frame.map_size)
