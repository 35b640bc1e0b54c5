"""The constant pose against people whose poses are known."""

import forked
import numpy as np
import pytest

from jointpose.datasets import arrays, flic
from tools.constant_pose import constant_pose


def split_of(poses, boxes):
    """A Split of people with poses [n, 9, 2], in heights of their boxes [n, 4] (x1 y1 x2 y2) from the centre."""
    boxes = np.array(boxes, np.float32)
    people = np.zeros(len(boxes), flic.PERSON_DTYPE)
    people['torsobox'] = boxes
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    height = boxes[:, 3] - boxes[:, 1]
    joints = centre[:, None] + height[:, None, None] * np.array(poses)
    joints = np.concatenate(
        [joints, np.zeros((len(boxes), 1, 2))], axis=1
    )  # a torso that is not asked for
    return arrays.Split(None, joints, people, np.arange(len(boxes)), 'train')


@pytest.fixture
def pose():
    return np.random.default_rng(0).normal(size=(9, 2))


def test_equal_people_are_found_exactly_wherever_their_box_is(pose):
    train = split_of([pose] * 3, [[0, 0, 40, 80], [100, 50, 160, 250], [300, 300, 310, 320]])
    test = split_of([pose] * 2, [[10, 20, 30, 60], [400, 100, 500, 400]])
    np.testing.assert_allclose(constant_pose(train, test, 9), test.joints[:, :9], atol=1e-4)


def test_one_odd_person_among_three_does_not_move_it(pose):
    train = split_of([pose, pose, pose + 50], [[0, 0, 40, 80]] * 3)
    test = split_of([pose], [[0, 0, 100, 200]])
    np.testing.assert_allclose(constant_pose(train, test, 9), test.joints[:, :9], atol=1e-3)


def test_unlabelled_joints_do_not_count(pose):
    lacking = pose.copy()
    lacking[2] = np.nan
    train = split_of([lacking, pose], [[0, 0, 40, 80]] * 2)
    test = split_of([pose], [[0, 0, 100, 200]])
    np.testing.assert_allclose(constant_pose(train, test, 9), test.joints[:, :9], atol=1e-3)


def test_boxes_of_other_data_sets_stretch_it():
    """People who fill their boxes alike, of any proportions."""
    pose = np.random.default_rng(1).uniform(-0.5, 0.5, (14, 2))
    splits = []
    for boxes in ([[0, 0, 10, 40], [5, 5, 205, 55]], [[100, 0, 180, 20]]):
        boxes = np.array(boxes, float)
        people = np.zeros(len(boxes), [('box', float, 4), ('visible', int, 14)])
        people['box'] = boxes
        people['visible'] = 1
        size = (boxes[:, 2:] - boxes[:, :2])[:, None]
        joints = (boxes[:, 2:] + boxes[:, :2])[:, None] / 2 + size * pose
        splits.append(arrays.Split(None, joints, people, np.arange(len(boxes)), 'train'))
    splits[0].people['visible'][1, 3] = 0
    splits[0].joints[1, 3] = 1e6
    np.testing.assert_allclose(constant_pose(*splits, 14), splits[1].joints)


def test_tables_of_lsp(tmp_path):
    folder = tmp_path / 'arrays'
    forked.run(['data.py', '--dataset', 'lsp', '--synthetic', 20, '--out', folder], check=True)
    path = tmp_path / 'constant.npz'
    done = forked.run(['-m', 'tools.constant_pose', '--data', folder, '--out', path], check=True)
    assert 'constant pose PCK@0.2' in done.stdout and '| forearm' in done.stdout
    again = forked.run(['evaluate.py', path, '--data', folder], check=True)
    assert again.stdout.endswith(done.stdout)  # below the number of people
    more = forked.run(['evaluate.py', path, '--data', folder, '--intervals'], check=True).stdout
    assert more.startswith(again.stdout) and 'PCK with intervals' in more
    assert '| mean of 14 | constant pose |' in more


def test_tables_of_flic_are_those_of_evaluate(arrays_folder, tmp_path):
    """By both normalisers, from the joints that --out stores."""
    path = tmp_path / 'constant.npz'
    words = ['-m', 'tools.constant_pose', '--data', arrays_folder, '--out', path]
    printed = forked.run(words, check=True).stdout
    for normaliser in ('lhip-rsho', 'torsobox'):
        words = ['evaluate.py', path, '--data', arrays_folder, '--normaliser', normaliser]
        again = forked.run([*words, '--out', tmp_path], check=True).stdout
        (rates,) = (line for line in again.splitlines() if line.startswith('| mean of 9'))
        assert rates in printed
