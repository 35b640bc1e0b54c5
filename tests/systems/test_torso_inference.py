"""systems/tompson/torso_inference.py: whose joints, against sums over cells one by one and people drawn as peaks."""

import numpy as np
import pytest
from bodies import OFFSETS, energies_of
from bodies import person as add_person

from jointpose import spatial_model, systems
from jointpose.datasets import arrays, flic
from jointpose.datasets.person_frames import PersonFrame
from jointpose.nn import test_time_augmentation
from jointpose.nn.tf1 import tf
from jointpose.options import options as command_line
from jointpose.systems import tompson
from jointpose.systems.tompson import torso_inference
from jointpose.training import batches
from jointpose.vision import heatmaps

CORNERS = [0, 3, 6, 7]  # lsho rsho lhip rhip


def test_scores_against_the_sum_over_cells():
    rng = np.random.default_rng(0)
    maps, priors = rng.random((2, 60, 90, 9)).astype(np.float32), rng.random((4, 120, 180))
    found = torso_inference.scores(
        maps, torso_inference.Priors(CORNERS, priors, np.conj(np.fft.rfft2(priors)))
    )
    for n, row, column in [(0, 0, 0), (0, 59, 89), (1, 59, 0), (1, 23, 61)]:
        window = priors[
            :, 60 - row : 120 - row, 90 - column : 180 - column
        ]  # by q - t, q all cells
        message = (window * np.moveaxis(maps[n][..., CORNERS].astype(float), -1, 0)).sum(
            axis=(1, 2)
        )
        np.testing.assert_allclose(
            found[n, row, column], np.log(message + torso_inference.EPSILON).sum(), rtol=1e-9
        )


def test_priors_are_the_models_own_softplus(tf_graph):
    energies = np.random.default_rng(0).normal(0, 2, (81, 120, 180)).astype(np.float32)
    positive = spatial_model.softplus(tf.constant(energies))
    with tf_graph() as session:
        expected = session.run(positive)
    pairs = [spatial_model.PAIRS_TO_JOINTS.index((joint, 9)) for joint in (0, 3, 6, 7)]
    expected = expected[pairs] / expected[pairs].max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(
        torso_inference.priors(energies, flic.Flic()).values, expected, rtol=1e-4, atol=1e-7
    )


@pytest.mark.parametrize('first', [0.65, 0.35])
def test_of_two_people_the_clearer_one_is_meant(first):
    maps = np.zeros((1, 60, 90, 9), np.float32)
    add_person(maps, 22, 30, first)
    add_person(maps, 66, 27, 1 - first)
    found = torso_inference.infer(maps, torso_inference.priors(energies_of(OFFSETS), flic.Flic()))
    expected = [22 * 8 + 4, 30 * 8 + 4] if first > 0.5 else [66 * 8 + 4, 27 * 8 + 4]
    np.testing.assert_allclose(found, [expected], atol=0.01)


def test_the_torso_is_the_mean_of_its_persons_joints():
    """Shoulders and hips that are not where the priors have their peaks."""
    offsets = {'lsho': (6, -6), 'rsho': (-4, -6), 'lhip': (6, 6), 'rhip': (-2, 7)}
    maps = np.zeros((1, 60, 90, 9), np.float32)
    add_person(maps, 22, 30, 1, offsets)
    found = torso_inference.infer(maps, torso_inference.priors(energies_of(OFFSETS), flic.Flic()))
    np.testing.assert_allclose(found, [[22 * 8 + 4 + 8 * 6 / 4, 30 * 8 + 4 + 8 * 1 / 4]], atol=2)


def test_priors_seen_from_a_torso():
    priors = np.random.default_rng(0).random((4, 120, 180))
    given = torso_inference.Priors(CORNERS, priors, None)
    for row, column in [(0, 0), (59, 89), (13, 70)]:
        seen = torso_inference.priors_around(np.array([row, column]), given)
        assert seen.shape == (60, 90, 4)
        for q in [(0, 0), (59, 89), (31, 7)]:
            np.testing.assert_array_equal(seen[q], priors[:, 60 + q[0] - row, 90 + q[1] - column])


def test_one_joint_on_a_neighbour_does_not_pull_the_torso():
    """Where the mean of the decoded joints lands between two people, the vote stays with one."""
    maps = np.zeros((1, 60, 90, 9), np.float32)
    add_person(
        maps, 22, 30, 1, {name: offset for name, offset in OFFSETS.items() if name != 'lhip'}
    )
    maps[0, 33, 70, flic.JOINTS.index('lhip')] = 1
    found = torso_inference.infer(maps, torso_inference.priors(energies_of(OFFSETS), flic.Flic()))
    np.testing.assert_allclose(found, [[22 * 8 + 4, 30 * 8 + 4]], atol=0.01)
    mean = heatmaps.decode(maps)[:, list(flic.TORSO_CORNERS)].mean(axis=1)
    assert np.abs(mean - found).max() > 60


def test_torso_maps_are_those_of_the_evaluation(arrays_folder):
    options, _ = command_line.parse(
        tompson.Tompson, systems.names(), ['--restore', 'x', '--use_sm']
    )
    people = arrays.load_split(arrays_folder, 'test', arrays.read_manifest(arrays_folder))
    batch = batches.views_batch(tompson.Tompson(options), people, np.array([1, 3]))
    maps = torso_inference.torso_maps(
        people.joints[[1, 3], flic.N_JOINTS],
        test_time_augmentation.SCALES,
        PersonFrame(flic.Flic()),
    )
    np.testing.assert_array_equal(maps, batch.targets['torso_map'])
