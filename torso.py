"""Which person is meant, when nobody says: the torso, inferred from the part detector's maps.

The spatial model is given the torso of its person.  Here the same field is asked the other way round, in one more
message pass with the priors that it has learned: with sp its softplus and h_j the detector's map of joint j,

    score(t) = sum over shoulders and hips j of  log( sum over cells q of sp(e_{j|torso})(q - t) * h_j(q) + EPSILON )

and the cell with the highest score is the torso.  Each prior is scaled to a largest value of 1; EPSILON keeps one joint
that is not seen, or is seen on someone else, from having a veto.

Measured on 120 of FLIC's training people, evenly spread, by a run of an eighth of the width (`--width 8 --use_sm
--data_augm`) after its first epoch; distance from the annotated torso in % of ||lhip - rsho||:

    way                                          median    within 10 %    within 20 %    within 50 %
    this one, shoulders and hips                 11.9 px      66             90             93
    this one, shoulders, hips and nose           12.3 px      68             89             93
    this one, all nine joints                    12.8 px      60             88             93
    mean of the detector's shoulders and hips    18.1 px      51             64             81

The joint that the mean takes from a neighbour pulls the torso between two people; a vote of the messages does not.
"""
import numpy as np

import joints
import multiscale
import spatial_model

EPSILON = 1e-2
SHAPE = (joints.MAP_HEIGHT, joints.MAP_WIDTH)
WITNESSES = joints.TORSO_CORNERS                    # shoulders and hips, whose mean is the torso


def priors(energies):
    """The model's priors of shoulders and hips given the torso, float64 [4, 120, 180], each with a largest value of 1.

    energies: [81 or more, 120, 180], the spatial model's variable, zero displacement at [60, 90].
    """
    pairs = [spatial_model.PAIRS_TO_JOINTS.index((joint, joints.N_JOINTS)) for joint in WITNESSES]
    values = np.logaddexp(0, spatial_model.BETA * energies[pairs].astype(np.float64))       # softplus, but for a factor
    return values / values.max(axis=(1, 2), keepdims=True)


def scores(maps, given_torso):
    """score(t) of every cell: float [n, 60, 90, 9], float64 [4, 120, 180] of `priors` -> float64 [n, 60, 90]."""
    maps = np.moveaxis(np.asarray(maps, np.float64)[..., list(WITNESSES)], -1, 1)           # [n, 4, 60, 90]
    size = given_torso.shape[1:]
    spectra = np.fft.rfft2(maps, size) * np.conj(np.fft.rfft2(given_torso))                 # a correlation
    # Its entry [s] belongs to the torso at s + (60, 90); displacements q - t within a frame never wrap.
    messages = np.roll(np.fft.irfft2(spectra, size), SHAPE, axis=(2, 3))[:, :, :SHAPE[0], :SHAPE[1]]
    return np.log(np.maximum(messages, 0) + EPSILON).sum(axis=1)


def infer(maps, given_torso):
    """Part detector's maps, each of sum 1, float [n, 60, 90, 9] -> float32 [n, 2], (x, y) pixels of the frame, the
    centre of the best cell; the torso's map is drawn by cells and knows nothing finer."""
    best = scores(maps, given_torso).reshape(len(maps), -1).argmax(axis=1)
    return joints.centre_of(np.stack(np.divmod(best, SHAPE[1]), axis=-1)).astype(np.float32)


def infer_and_feed(session, batch, inference, combined, scales, given_torso, feed=None):
    """Runs the part detector alone on one batch of all scales and infers the torsos from it.

    batch: the Batch that `inference`, a towers.Inference, was built on; combined: multiscale.combine of its maps_pd.
    Returns (torso_xy [n, 2], the detector's combined maps [n, 60, 90, 9], feed): session.run(..., feed) goes on from
    there with the spatial model; neither is the detector run again nor the next batch taken.
    """
    detectors = [tower.detector.heat_maps for tower in inference.replicas]
    images, targets, found, maps = session.run([batch.images, batch.targets, detectors, combined], feed)
    torso_xy = infer(maps, given_torso)
    targets = np.concatenate([targets[..., :joints.N_JOINTS], multiscale.torso_maps(torso_xy, scales)], axis=-1)
    return torso_xy, maps, {batch.images: images, batch.targets: targets, **dict(zip(detectors, found))}
