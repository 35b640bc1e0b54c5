"""raised_wrists.py: its joint model is that of the graph, and rates, shots and priors are as by hand."""

import os

import numpy as np
import pytest
from conftest import ROOT

from jointpose.datasets import arrays, flic
from jointpose.vision import heatmaps
from tools import drawn_people, raised_wrists, raised_wrists_runs
from tools.raised_wrists import Change

RUN = os.path.join(ROOT, 'pretrained', 'flic')
LWRI = flic.JOINTS.index('lwri')


@pytest.fixture(scope='module')
def scene_terms():
    """The graph's maps of a drawn person, and the terms computed from the same weights."""
    scene = drawn_people.scene(100, 1)
    maps = drawn_people.run(RUN, scene)
    torso = heatmaps.render_targets(scene.joints_xy[None, 9:], flic.MAP_SIZE)[0]
    return maps, raised_wrists.SpatialModel(RUN).terms(maps.detector, torso)


def test_the_joint_model_is_that_of_the_graph(scene_terms):
    maps, terms = scene_terms
    found = raised_wrists.joint_maps(Change(), terms).transpose(1, 2, 0)
    assert np.abs(found - maps.joint_model).max() < 1e-3 * maps.joint_model.max()


def test_changes_by_the_formula(scene_terms):
    maps, terms = scene_terms
    own = drawn_people.own_term(maps.unary, LWRI)
    logs = np.log(
        maps.terms[9 * LWRI : 9 * LWRI + 9] + 1e-6
    )  # to the left wrist, in the order of flic.MAPS
    expected = {
        Change(without='own elbow'): own + logs.sum(axis=0) - logs[1],
        Change(without='torso', left=0.5): own + logs.sum(axis=0) - logs[8] / 2,
        Change(messages=0.5, own=2): 2 * own + 0.5 * logs.sum(axis=0),
        Change(detector=1): own + logs.sum(axis=0) + np.log(maps.detector[:, :, LWRI]),
        Change(mixed=1): np.log(maps.detector[:, :, LWRI]),
    }
    for change, logits in expected.items():
        found = raised_wrists.joint_maps(change, terms)[LWRI]
        assert np.allclose(found, np.exp(logits) / np.exp(logits).sum(), atol=1e-3 * found.max())


def test_biases_and_floor_are_added_to_messages(scene_terms):
    _, terms = scene_terms
    by_hand = np.log(terms.own[LWRI])
    for message, bias in zip(terms.messages[LWRI], terms.biases[LWRI]):
        by_hand = by_hand + np.log(message + 5 * bias + 0.05 * message.max())
    found = np.log(raised_wrists.joint_maps(Change(bias=5, floor=0.05), terms)[LWRI])
    assert np.allclose(found - found.max(), by_hand - by_hand.max(), atol=1e-2)


def test_senders_of_a_wrist():
    assert raised_wrists.senders_to(LWRI) == [
        'own shoulder',
        'own elbow',
        'other shoulder',
        'other elbow',
        'other wrist',
        'own hip',
        'other hip',
        'nose',
        'torso',
    ]


def test_rates_by_hand():
    joints_xy = np.zeros((4, 9, 2))
    joints_xy[:, LWRI, 1] = -1  # raised
    joints_xy[:, flic.JOINTS.index('rwri'), 1] = 5  # between shoulder and elbow
    joints_xy[:, flic.JOINTS.index('relb'), 1] = 9
    people = raised_wrists.People(
        None, None, None, joints_xy, np.array([0, 0, 0, 1]), np.array([1, 1, 1, 5.0])
    )
    errors = np.full((4, 9), 99.0)
    errors[:2, LWRI] = 3
    baseline = np.full((4, 9), 99.0)
    baseline[0, LWRI] = 3
    raised = raised_wrists.rates(errors, baseline, people)['raised']
    assert (raised['joints'], raised['rate'], raised['gain']) == (4, 25.0, 12.5)
    # Two shots are drawn: both the first (one of 3 gained), both the second (0), or one of each (1/8).
    draws = 100 * np.array([1 / 3, 1 / 8, 1 / 8, 0])
    assert abs(raised['gain_error'] - draws.std()) < 1


def test_shots_by_hand():
    names = [
        'b-00000500.jpg',
        'a-00000010.jpg',
        'a-00000060.jpg',
        'a-00000900.jpg',
        'b-00000520.jpg',
    ]
    assert raised_wrists.shots_of(names).tolist() == [2, 0, 0, 1, 2]


def test_halves_are_stretches_without_overlap():
    people = np.zeros(100, flic.PERSON_DTYPE)
    split = arrays.Split(
        np.zeros((100, 1)), np.zeros((100, 10, 2)), people, np.arange(100), 'train'
    )
    trained, held = raised_wrists_runs.halves(split)
    assert trained.rows.tolist() == [row for row in range(100) if row // 2 % 2 == 0]
    assert sorted([*trained.rows, *held.rows]) == list(range(100))


def test_raised_arms_are_mirrored_at_the_shoulder():
    points_xy = np.full((1, 10, 2), 200, np.float32)
    points_xy[0, LWRI] = (210, 290)
    both = raised_wrists_runs.arms_raised(points_xy)
    assert both[1, LWRI].tolist() == [210, 110] and both[1, 0].tolist() == [200, 200]
    assert raised_wrists_runs.raised(both)[:, 0].tolist() == [False, True]
