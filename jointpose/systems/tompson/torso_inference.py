"""Which person is meant, when nobody says: the torso, inferred from the part detector's maps.

The spatial model is given the torso of its person.  Here the same field is asked the other way round, in one more
message pass with the priors that it has learned: with sp its softplus and h_j the detector's map of joint j,

    score(t) = sum over shoulders and hips j of  log( sum over cells q of sp(e_{j|torso})(q - t) * h_j(q) + EPSILON )

The cell t with the highest score says who is meant; that person's shoulders and hips are the peaks of
sp(e_{j|torso})(q - t) * (h_j(q) + UNSEEN), and the torso is their mean.  Each prior is scaled to a largest value of 1.
EPSILON keeps a joint that is not seen from having a veto, UNSEEN one that is seen only on a neighbour from pulling.

Measured with a run of an eighth of the width (`--width 8 --use_sm --data_augm`) after 9 epochs, on 120 of FLIC's
training people, evenly spread: distance from the annotated torso, also in % of ||lhip - rsho||.

    way                                                     median    within 10 %    within 20 %    within 50 %
    this one                                                6.6 px        88             95             97
    the best cell alone                                     9.8 px        79             95             96
    mean of the detector's peaks of shoulders and hips      6.6 px        80             87             94

The mean is as near where all four peaks are on one person; where one is not, it lies between two people.  Of nine
joints, five or four in the score, four were best (after one epoch: 88, 89 and 90 % within 20 %).

A model of --torso_from torsobox, which saw the centre of FLIC's torsobox in training, is given this mean, too: over
FLIC's training people that centre lies on average 1.7 pixels right of the mean of shoulders and hips and 0.7 above it
(standard deviations 9 and 22).

What the annotated torso is worth: after 12 epochs, on the 1016 test people, the joint model's detection rate at
radius 10 is 79.1 % with it and 69.7 % with the inferred one (at radius 20: 91.2 and 82.3 %); the part detector, which
sees neither, has 68.8 % (80.4 %).
"""

import collections

import numpy as np

from jointpose import spatial_model
from jointpose.datasets import flic
from jointpose.nn import test_time_augmentation
from jointpose.vision import heatmaps

EPSILON, UNSEEN = 1e-2, 2e-3
SHAPE = np.array([flic.MAP_HEIGHT, flic.MAP_WIDTH])
WITNESSES = flic.TORSO_CORNERS  # shoulders and hips, whose mean is the torso

# score: float, of the best cell.  cell int [2]: (row, column), where it is.  torso_xy float32 [2]: pixels (x, y) of the
# frame.  peaks int [4, 2]: cells of the WITNESSES.
Person = collections.namedtuple('Person', 'score cell torso_xy peaks')
# values float64 [4, 120, 180], each with a largest value of 1; spectra: their transforms, conjugate.
Priors = collections.namedtuple('Priors', 'values spectra')


def priors(energies):
    """The model's Priors of shoulders and hips given the torso.

    energies: [81 or more, 120, 180], the spatial model's variable, zero displacement at [60, 90].
    """
    pairs = [spatial_model.PAIRS_TO_JOINTS.index((joint, flic.N_JOINTS)) for joint in WITNESSES]
    values = spatial_model.numpy_softplus(energies[pairs].astype(np.float64))
    values /= values.max(axis=(1, 2), keepdims=True)
    return Priors(values, np.conj(np.fft.rfft2(values)))


def scores(maps, given_torso):
    """score(t) of every cell: float [n, 60, 90, 9], Priors -> float64 [n, 60, 90]."""
    maps = np.moveaxis(np.asarray(maps, np.float64)[..., list(WITNESSES)], -1, 1)  # [n, 4, 60, 90]
    size = given_torso.values.shape[1:]
    spectra = np.fft.rfft2(maps, size) * given_torso.spectra  # a correlation
    # Its entry [s] belongs to the torso at s + (60, 90); displacements q - t within a frame never wrap.
    messages = np.roll(np.fft.irfft2(spectra, size), SHAPE, axis=(2, 3))[
        :, :, : SHAPE[0], : SHAPE[1]
    ]
    return np.log(np.maximum(messages, 0) + EPSILON).sum(axis=1)


def infer(maps, given_torso):
    """Part detector's maps, each of sum 1, float [n, 60, 90, 9] -> float32 [n, 2], (x, y) pixels of the frame.

    given_torso: of `priors`.
    """
    return np.stack([best(one, given_torso).torso_xy for one in maps])


def best(maps, given_torso, allowed=None):
    """The Person with the highest score among the cells `allowed`, bool [60, 90]: maps [60, 90, 9]."""
    field = scores(maps[None], given_torso)[0]
    field = field if allowed is None else np.where(allowed, field, -np.inf)
    cell = np.array(np.unravel_index(field.argmax(), field.shape))
    own = (maps[..., list(WITNESSES)] + UNSEEN) * seen_from(cell, given_torso)  # [60, 90, 4]
    return Person(
        field[tuple(cell)],
        cell,
        heatmaps.decode(own[None])[0].mean(axis=0),
        np.stack([index[0] for index in heatmaps.peaks(own[None])], axis=-1),
    )


def seen_from(cell, given_torso):
    """The Priors' values around a torso in one cell (row, column): [60, 90, 4]."""
    row, column = SHAPE - cell
    return np.moveaxis(
        given_torso.values[:, row : row + SHAPE[0], column : column + SHAPE[1]], 0, -1
    )


def torso_maps(torso_xy, scales):
    """The spatial model's map of the torso at each scale: [n, 2] pixels -> float32 [n * S, 60, 90, 1], a frame's
    together."""
    torso_xy = flic.clamp_to_frame(torso_xy)[:, None]
    points = test_time_augmentation.scaled_points(
        torso_xy, (flic.WIDTH, flic.HEIGHT), scales
    )  # [S, n, 1, 2]
    return heatmaps.render_targets(np.moveaxis(points, 0, 1).reshape(-1, 1, 2), SHAPE)
