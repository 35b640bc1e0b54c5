"""Crops and their inverse against float64 arithmetic, and bright spots in images."""

import numpy as np
import pytest

from jointpose.datasets import mpii
from jointpose.vision import affine, crops

SIZE = (96, 128)  # width, height of a crop


def by_hand(xy, centre, extent, size, degrees, mirrored):
    """Maps a point of the image to the crop, step by step."""
    x, y = np.subtract(xy, centre)
    x = -x if mirrored else x
    turn = np.radians(degrees)
    x, y = np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y
    return np.array([x * size[0] / extent[0] + size[0] / 2, y * size[1] / extent[1] + size[1] / 2])


def draw(rng):
    return (
        rng.uniform(50, 300, 2),
        rng.uniform(40, 200, 2),
        SIZE,
        rng.uniform(-180, 180),
        bool(rng.integers(2)),
    )


@pytest.mark.parametrize('seed', range(6))
def test_matrix_and_its_inverse(seed):
    rng = np.random.default_rng(seed)
    how = draw(rng)
    points = rng.uniform(-100, 500, (7, 2))
    matrix = crops.crop_matrix(*how)
    found = points @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(found, [by_hand(xy, *how) for xy in points], atol=1e-9)
    back = affine.invert(matrix)
    np.testing.assert_allclose(found @ back[:, :2].T + back[:, 2], points, atol=1e-9)


@pytest.mark.parametrize('mirrored', [False, True])
def test_joints_stay_on_their_pixels(mirrored):
    """Each joint is a bright spot of its own colour before and after; sides are the crop's."""
    rng = np.random.default_rng(1)
    names = ('rank', 'lank', 'neck')
    joints_xy = np.zeros((16, 2), np.float32)
    spots = np.array([(60.5, 150.5), (110.5, 152.5), (84.5, 70.5)])
    joints_xy[[mpii.JOINTS.index(name) for name in names]] = spots
    y, x = np.mgrid[:200, :180] + 0.5
    image = np.stack(
        [255 * np.exp(-((x - sx) ** 2 + (y - sy) ** 2) / 18) for sx, sy in spots], axis=-1
    )
    visible = rng.integers(0, 3, 16).astype(np.uint8)
    person = crops.Person(joints_xy, visible, None, None, None, None, '')
    matrix = crops.crop_matrix((85, 112), (150, 200), SIZE, 17, mirrored)
    sample = crops.crop_person(
        np.rint(image).astype(np.uint8),
        person,
        matrix,
        SIZE,
        mpii.Mpii().flip if mirrored else None,
    )
    assert sample.image.shape == (128, 96, 3) and sample.joints_xy.dtype == np.float32
    y, x = np.mgrid[:128, :96] + 0.5
    shown = {'rank': 'lank', 'lank': 'rank'} if mirrored else {}
    for channel, name in enumerate(names):
        mass = sample.image[..., channel].astype(float)
        centre = np.array([(x * mass).sum(), (y * mass).sum()]) / mass.sum()
        joint = mpii.JOINTS.index(shown.get(name, name))
        np.testing.assert_allclose(sample.joints_xy[joint], centre, atol=0.1)
        assert sample.visible[joint] == visible[mpii.JOINTS.index(name)]
        in_picture = sample.to_image @ [*sample.joints_xy[joint], 1]
        np.testing.assert_allclose(in_picture, spots[channel], atol=1e-3)


def test_people_of_a_picture_are_cut_together():
    rng = np.random.default_rng(2)
    joints_xy = rng.uniform(0, 100, (3, 16, 2)).astype(np.float32)
    visible = rng.integers(0, 3, (3, 16), np.uint8)
    together = crops.Person(joints_xy, visible, None, None, None, None, '')
    matrix = crops.crop_matrix((50, 50), (90, 90), SIZE, 5, True)
    image = np.zeros((100, 100, 3), np.uint8)
    sample = crops.crop_person(image, together, matrix, SIZE, mpii.Mpii().flip)
    for i in range(3):
        alone = crops.crop_person(
            image,
            crops.Person(joints_xy[i], visible[i], *[None] * 4, ''),
            matrix,
            SIZE,
            mpii.Mpii().flip,
        )
        np.testing.assert_array_equal(sample.joints_xy[i], alone.joints_xy)
        np.testing.assert_array_equal(sample.visible[i], alone.visible)


def test_centre_and_scale_of_a_box():
    centre, scale = crops.centre_and_scale(np.array([[10, 20, 110, 420.0], [0, 0, 50, 10]]))
    assert centre.tolist() == [[60, 220], [25, 5]] and scale.tolist() == [2, 0.25]
    person = crops.person_from_box((0, 0, 300, 200), 9, (7, 8))
    assert (
        person.joints_xy.tolist() == [[7, 8]] * 9
        and not person.visible.any()
        and person.scale == 1.5
    )
