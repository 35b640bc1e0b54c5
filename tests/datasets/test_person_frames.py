"""The frames of the joint model, by skeletons of 9, 14, 16, 17 and 5 joints."""

import numpy as np
import pytest

from jointpose import datasets
from jointpose.datasets import arrays, flic
from jointpose.datasets.base import PictureDataSet
from jointpose.datasets.person_frames import CROP, MARGIN, PersonFrame
from jointpose.vision import crops


class Dog(PictureDataSet):
    """Nothing human about it."""

    name = 'dog'
    joints = ('lear', 'rear', 'nose', 'tail', 'lpaw', 'rpaw')
    limbs = (('lear', 'nose'), ('tail', 'lpaw'))
    normaliser = ('nose', 'tail')
    rate_name = 'PCK@0.2'
    hit_radius = 0.2

    def read(self, metas, folders):
        raise NotImplementedError

    def write_synthetic(self, folder, n, seed):
        raise NotImplementedError


SKELETONS = [datasets.load(name) for name in ('lsp', 'mpii', 'coco')] + [Dog()]
WITH_TORSO = SKELETONS[:3]


def person_of(data_set, seed=0):
    rng = np.random.default_rng(seed)
    k = len(data_set.joints)
    return crops.Person(
        joints_xy=rng.uniform((300, 200), (500, 450), (k, 2)).astype(np.float32),
        visible=np.full(k, crops.VISIBLE, np.uint8),
        box=np.array([290, 190, 510, 460], np.float32),
        centre=np.array([400, 325], np.float32),
        scale=np.float32(270 / 200),
        norm_length=np.float32(50),
        file='',
    )


@pytest.mark.parametrize('data_set', SKELETONS, ids=lambda data_set: data_set.name)
def test_the_box_fills_the_square(data_set):
    """Each point is where one multiplication puts it, and the picture's pixels go along."""
    person = person_of(data_set)
    image = np.zeros((600, 800, 3), np.uint8)
    x, y = person.joints_xy[1]
    image[int(y) - 3 : int(y) + 4, int(x) - 3 : int(x) + 4] = 255
    person.joints_xy[1] = np.floor((x, y)) + 0.5  # the middle of the white square
    frame, points_xy, matrix = PersonFrame(data_set).cut(image, person)
    assert frame.shape == (*CROP, 3)
    zoom = 480 / (MARGIN * 270)
    expected = (person.joints_xy - person.centre) * zoom + 240
    np.testing.assert_allclose(points_xy[:-1], expected, atol=1e-3)
    np.testing.assert_allclose(points_xy[-1], [240, 240], atol=1e-3)
    np.testing.assert_allclose(matrix[:, :2], np.eye(2) * zoom, atol=1e-6)
    weight = frame.sum(axis=2).astype(float)
    row, column = np.mgrid[:480, :480] + 0.5
    centre = [(weight * column).sum() / weight.sum(), (weight * row).sum() / weight.sum()]
    np.testing.assert_allclose(points_xy[1], centre, atol=0.1)


@pytest.mark.parametrize('data_set', SKELETONS, ids=lambda data_set: data_set.name)
def test_maps_and_sides_follow_from_the_skeleton(data_set):
    frame = PersonFrame(data_set)
    k = len(data_set.joints)
    assert frame.map_names == (*data_set.joints, 'box')
    assert frame.map_size == (60, 60)
    assert PersonFrame(data_set, 'none').map_names == tuple(data_set.joints)
    for one in (frame, PersonFrame(data_set, 'none')):
        flip = one.flip
        assert len(flip) == len(one.map_names)
        assert [flip[i] for i in flip] == list(range(len(flip)))
        for i in range(k):
            name = one.map_names[i]
            other = one.map_names[flip[i]]
            has_side = name[0] in 'lr' and {'l': 'r', 'r': 'l'}[name[0]] + name[1:] in one.map_names
            assert (other != name) == has_side and other[1:] == name[1:]
    assert frame.flip[k] == k


@pytest.mark.parametrize('data_set', WITH_TORSO, ids=lambda data_set: data_set.name)
def test_a_torso_is_the_mean_of_its_four_joints(data_set):
    person = person_of(data_set)
    frame = PersonFrame(data_set, 'joints')
    corners = [data_set.joints.index(joint) for joint in ('lsho', 'rsho', 'lhip', 'rhip')]
    assert frame.map_names[-1] == 'torso' and frame.has_torso
    np.testing.assert_allclose(
        frame.points(person)[-1], person.joints_xy[corners].mean(axis=0), atol=1e-3
    )
    person.visible[corners[2]] = crops.UNLABELLED
    points_xy = frame.points(person)
    assert np.isnan(points_xy[-1]).all() and np.isnan(points_xy[corners[2]]).all()
    assert np.isnan(points_xy).any(axis=1).sum() == 2


def test_unlabelled_joints_have_no_place_whatever_is_stored():
    person = person_of(SKELETONS[0])
    person.visible[3] = crops.UNLABELLED
    person.joints_xy[3] = 0
    points_xy = PersonFrame(SKELETONS[0]).points(person)
    assert np.flatnonzero(np.isnan(points_xy).any(axis=1)).tolist() == [3]


def split_of(data_set, n):
    """A Split of n people of different sizes, the first joint of the second far outside."""
    people = np.zeros(n, arrays.person_dtype(len(data_set.joints)))
    joints = []
    for i in range(n):
        person = person_of(data_set, i)
        joints.append(person.joints_xy)
        people['visible'][i] = crops.VISIBLE
        people['box'][i] = person.box
        people['centre'][i] = person.centre + 7 * i
        people['scale'][i] = person.scale * (1 + i / 10)
    joints = np.stack(joints)
    joints[1, 0] = (-900, 20)
    return arrays.Split(None, joints, people, np.arange(n), 'train')


@pytest.mark.parametrize('data_set', SKELETONS, ids=lambda data_set: data_set.name)
def test_points_of_all_people_are_those_of_each(data_set):
    frame = PersonFrame(data_set)
    split = split_of(data_set, 4)
    found = frame.points_of_split(split)
    image = np.zeros((600, 800, 3), np.uint8)
    for row in range(4):
        _, points_xy, _ = frame.cut(image, crops.person_from_row(split, row))
        is_outside = np.isnan(found[row]).any(axis=1)
        np.testing.assert_allclose(found[row][~is_outside], points_xy[~is_outside], atol=1e-3)
        beyond = ((points_xy < 0) | (points_xy >= 480)).any(axis=1)
        assert (is_outside == beyond).all()
    assert np.isnan(found[1, 0]).all()


def test_flics_frames_are_its_pictures(arrays_folder):
    manifest = arrays.read_manifest(arrays_folder)
    split = arrays.load_split(arrays_folder, 'test', manifest)
    for source in ('joints', 'torsobox'):
        frame = PersonFrame(flic.Flic(), source)
        assert frame.size == (480, 720) and len(frame.map_names) == 10 and frame.has_torso
        image, points_xy, matrix = frame.cut(split.images[2], crops.person_from_row(split, 2))
        np.testing.assert_array_equal(image, split.images[2])
        np.testing.assert_array_equal(matrix, np.eye(3)[:2])
        expected = np.clip(split.joints[2], 0, (719, 479))
        np.testing.assert_array_equal(points_xy, expected)
    without = PersonFrame(flic.Flic(), 'none')
    assert without.map_names == flic.JOINTS and not without.has_torso
    assert without.points_of_split(split).shape == (len(split.people), 9, 2)


@pytest.mark.parametrize(
    ('data_set', 'source', 'there'),
    [
        (flic.Flic(), 'box', 'flic has joints, torsobox, none'),
        (Dog(), 'joints', 'dog has box, none'),
        (datasets.load('lsp'), 'torsobox', 'lsp has box, joints, none'),
    ],
)
def test_an_anchor_that_is_not_there_is_refused(data_set, source, there):
    with pytest.raises(ValueError, match=f'--torso_from {source}: {there}'):
        PersonFrame(data_set, source)
