"""method_figures.py: what docs/method.md says of its example is so, and the figures are small."""

import os
import sys

import numpy as np
import pytest
from conftest import ROOT

from jointpose import spatial_model
from jointpose.vision import heatmaps
from tools import drawn_people, method_figures
from tools.report import errors_of

MAX_BYTES = 300_000


@pytest.fixture(scope='module')
def example():
    """The scene and the maps of docs/method.md; `run` has compared the formula with the graph."""
    scene = drawn_people.scene(*method_figures.EXAMPLE)
    return scene, drawn_people.run(os.path.join(ROOT, 'pretrained', 'flic'), scene)


def test_the_joint_model_removes_the_false_hip(example):
    scene, maps = example
    true_xy = scene.joints_xy[:9]
    found = heatmaps.decode(np.stack([maps.detector, maps.joint_model]))
    before, after = (errors_of(found_xy, true_xy, true_xy) for found_xy in found)
    assert before[method_figures.JOINT] > 200 and after[method_figures.JOINT] < 10
    assert ((before < 10).sum(), (after < 10).sum()) == (5, 8)


def test_the_torso_has_the_largest_vote(example):
    names, votes = method_figures._votes(*example)
    *votes, total = votes
    assert names[np.argmax(votes)] == 'message of torso' and max(votes) < total
    assert votes[0] < 0 and votes[names.index('message of lsho')] < 0


def test_a_message_is_the_sum_over_displacements(example):
    _, maps = example
    pair = spatial_model.PAIRS_TO_JOINTS.index((6, 9))
    message = drawn_people._messages(maps.priors, maps.unary)[pair]
    row, column = np.indices((60, 90))
    prior = maps.priors[pair][30 - row + 60, 40 - column + 90]
    assert np.isclose(message[30, 40], (prior * maps.unary[:, :, 9]).sum())


def test_every_figure_is_written_and_small(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, 'argv', ['method_figures', '--out', str(tmp_path)])
    method_figures.main()
    stored = sorted(os.listdir(os.path.join('docs', 'figures')))
    assert sorted(os.listdir(tmp_path)) == stored
    assert all(os.path.getsize(tmp_path / name) < MAX_BYTES for name in stored)
