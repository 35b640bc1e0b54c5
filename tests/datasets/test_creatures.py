"""Drawn beasts: what they look like follows from seed and index, and labels are where the beasts are."""

import sys

import cv2
import numpy as np
import pytest

from jointpose import data, datasets
from jointpose.datasets import arrays
from jointpose.datasets.synthetic import creatures
from jointpose.vision.crops import HIDDEN, VISIBLE

PICTURES = range(12)


@pytest.fixture(scope='module')
def drawn():
    """[(image, bodies)] of PICTURES."""
    return [creatures.render(3, index) for index in PICTURES]


def test_a_picture_follows_from_seed_and_index(drawn):
    image, (body, *_) = drawn[5]
    again, (other, *_) = creatures.render(3, 5)
    np.testing.assert_array_equal(image, again)
    np.testing.assert_array_equal(body.mask, other.mask)
    assert all((body.xy[name] == other.xy[name]).all() for name in creatures.JOINTS)
    assert image.shape != creatures.render(4, 5)[0].shape


def test_pictures_differ(drawn):
    """In size, number of beasts, and in what is hidden."""
    assert len({image.shape for image, _ in drawn}) == len(drawn)
    assert {len(bodies) for _, bodies in drawn} >= {1, 2}
    values = {value for _, bodies in drawn for body in bodies for value in body.visible.values()}
    assert values == {HIDDEN, VISIBLE}
    assert len(drawn[0][1]) == len(drawn[1][1]) == 1


def test_visible_key_points_are_on_their_beast(drawn):
    """Within 2 pixels of where it is seen; hidden ones are where something else is drawn."""
    for image, bodies in drawn:
        height, width = image.shape[:2]
        for body in bodies:
            near = cv2.dilate(body.mask.astype(np.uint8), np.ones((5, 5)))
            for name in creatures.JOINTS:
                x, y = body.xy[name]
                assert 0 <= x < width and 0 <= y < height
                if body.visible[name] == VISIBLE:
                    assert near[int(y), int(x)], name


def turn(a, b):
    """Positive if b is clockwise of a as seen, y down."""
    return a[0] * b[1] - a[1] * b[0]


def test_left_is_the_beasts_own_left(drawn):
    """Seen along the beast's own axis, from rump to neck and from neck to nose."""
    for _, bodies in drawn:
        for body in bodies:
            xy = body.xy
            head = xy['nose'] - xy['neck']
            trunk = xy['neck'] - xy['rump']
            assert turn(head, xy['left_eye'] - xy['neck']) < 0
            assert turn(head, xy['right_eye'] - xy['neck']) > 0
            for pair in creatures.PAIRS:
                across = xy[f'right_{pair}_foot'] - xy[f'left_{pair}_foot']
                assert turn(trunk, across) > 0, pair


def test_drawn_beasts_are_read_back(tmp_path, monkeypatch, capsys):
    """data.py --synthetic N --skeleton: COCO's form, 12 key points with their names and limbs."""
    words = ['--synthetic', '9', '--skeleton', '--seed', '3', '--out', str(tmp_path)]
    monkeypatch.setattr(sys, 'argv', ['data.py', *words, '--workers', '1'])
    data.main()
    assert 'beast: 12 key points, 11 limbs' in capsys.readouterr().out
    manifest = arrays.read_manifest(str(tmp_path))
    data_set = datasets.of_manifest(manifest)
    assert data_set.joints == creatures.JOINTS and data_set.limbs == creatures.LIMBS
    assert len(data_set.mirror_pairs) == 4 and data_set.category == 'beast'
    assert manifest['counts']['train'] + manifest['counts']['test'] == 9
    train = arrays.load_split(str(tmp_path), 'train', manifest, verify=True)
    _, (first, *_) = creatures.render(3, 0)
    expected_xy = np.stack([first.xy[name] for name in creatures.JOINTS])
    np.testing.assert_allclose(train.joints[0], expected_xy, atol=0.006)
    assert train.people['visible'][0].tolist() == list(first.visible.values())
    left, top, right, bottom = train.people['box'][0]
    rows, columns = np.nonzero(first.mask)
    assert (left, top) == (columns.min(), rows.min())
    assert (right, bottom) == (columns.max() + 1, rows.max() + 1)
