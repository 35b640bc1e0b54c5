"""A marked pixel lands where its joint lands; each random part against cases by hand."""

import numpy as np
import pytest

from jointpose.datasets import flic
from jointpose.vision import affine, augmentation, heatmaps

SIZE = flic.WIDTH, flic.HEIGHT


def centroid(image):
    weight = image.astype(float).sum(axis=-1)
    rows, cols = np.indices(weight.shape)
    return np.array([(weight * (cols + 0.5)).sum(), (weight * (rows + 0.5)).sum()]) / weight.sum()


@pytest.mark.parametrize('seed', range(12))
def test_marked_pixels_land_on_their_joints(seed):
    rng = np.random.default_rng([7, seed])
    xy = np.tile(rng.integers((150, 120), (570, 360)), (10, 1)).astype(np.float32)
    image = np.zeros((480, 720, 3), np.uint8)
    x, y = xy[0].astype(int)
    image[y - 1 : y + 1, x - 1 : x + 1] = 255  # a 2x2 mark: its centre is the corner (x, y)
    _, matrix, *_ = augmentation.draw_parameters(np.random.default_rng(seed), SIZE)
    moved, joints_xy, _ = augmentation.augment(image, xy, flic.FLIP, np.random.default_rng(seed))
    background = np.median(moved, axis=(0, 1))
    np.testing.assert_allclose(
        centroid(np.where(moved > background + 40, moved, 0)), joints_xy[0], atol=0.15
    )
    np.testing.assert_allclose(joints_xy[0], matrix @ [x, y, 1], atol=1e-3)


def test_flip_swaps_sides_and_positions():
    flipped = next(
        seed
        for seed in range(50)
        if augmentation.draw_parameters(np.random.default_rng(seed), SIZE)[0]
    )
    xy = np.random.default_rng(0).uniform(100, 400, (10, 2)).astype(np.float32)
    _, matrix, *_ = augmentation.draw_parameters(np.random.default_rng(flipped), SIZE)
    _, moved, _ = augmentation.augment(
        np.zeros((480, 720, 3), np.uint8), xy, flic.FLIP, np.random.default_rng(flipped)
    )
    assert np.linalg.det(matrix[:, :2]) < 0
    for i, j in enumerate(flic.FLIP):
        np.testing.assert_allclose(moved[i], matrix @ [*xy[j], 1], rtol=1e-5)


def test_mirror_maps_cells_to_cells():
    image = np.random.default_rng(0).integers(0, 255, (480, 720, 3), np.uint8)
    np.testing.assert_array_equal(affine.warp_image(image, affine.mirror(SIZE)), image[:, ::-1])
    cell = heatmaps.cell_index(np.array([[16.0, 9], [23.9, 15.9]]))
    flipped = heatmaps.cell_index(
        affine.transform_points(affine.mirror(SIZE), np.array([[16.1, 9], [23.9, 15.9]]))
    )
    np.testing.assert_array_equal(flipped[:, 1], 89 - cell[:, 1])


def test_crop_keeps_95_percent_within_the_frame():
    for left, top in ((0, 0), (1, 1), (0.3, 0.8)):
        corners = np.array([[0, 0], [720, 480.0]])
        inverse = np.linalg.inv(
            np.vstack([augmentation.crop_to_frame(left, top, SIZE), [0, 0, 1]])
        )[:2]
        kept = affine.transform_points(inverse, corners)
        np.testing.assert_allclose(kept[1] - kept[0], [0.95 * 720, 0.95 * 480], atol=1e-3)
        assert (kept > -1e-3).all() and (kept < np.array([720, 480]) + 1e-3).all()


def test_rotation_by_hand():
    point = affine.transform_points(affine.rotate(90, SIZE), np.array([460.0, 240]))
    np.testing.assert_allclose(
        point, [360, 340], atol=1e-4
    )  # right of the centre moves below it: clockwise


def test_adjust_colours_equals_float64():
    image = np.random.default_rng(0).integers(0, 256, (480, 720, 3), np.uint8)
    brightness = 20.5
    contrast = 1.17
    gains = np.array([0.8, 1, 1.1])
    bright = image.astype(np.float64) + brightness
    mean = bright.mean(axis=(0, 1))
    expected = (bright - mean) * contrast + mean
    for args, factor in (((), 1), ((gains,), gains)):
        got = augmentation.adjust_colours(image, brightness, contrast, *args)
        assert np.abs(got - np.clip(expected * factor, 0, 255)).max() <= 0.5 + 1e-6


def test_draws_stay_within_their_ranges_and_repeat():
    draws = [augmentation.draw_parameters(np.random.default_rng([1, i]), SIZE) for i in range(400)]
    mirrored, matrices, brightness, contrast, gains = zip(*draws)
    assert 0.4 < np.mean(mirrored) < 0.6
    assert (
        30 < np.abs(brightness).max() <= 32
        and 0.8 <= min(contrast) < 0.82
        and 1.18 < max(contrast) <= 1.2
    )
    assert (np.array(gains) == 1).all()
    angles = [
        np.degrees(np.arctan2(m[1, 0] * (-1 if f else 1), m[1, 1]))
        for m, f in zip(matrices, mirrored)
    ]
    assert 9 < np.abs(angles).max() <= 10.001
    wide = [
        augmentation.draw_parameters(
            np.random.default_rng([1, i]), SIZE, augmentation.Ranges(rotation=20)
        )[1]
        for i in range(400)
    ]
    assert 18 < max(abs(np.degrees(np.arcsin(m[1, 0] * 0.95))) for m in wide) <= 20.001
    again = augmentation.draw_parameters(np.random.default_rng([1, 3]), SIZE)
    np.testing.assert_array_equal(again[1], matrices[3])


def scale_of(matrix):
    return np.sqrt(abs(np.linalg.det(matrix[:, :2])))


def test_zoom_is_log_uniform_around_the_centre_and_leaves_the_other_draws():
    drawn = [
        [augmentation.draw_parameters(np.random.default_rng(i), SIZE, ranges) for i in range(600)]
        for ranges in (augmentation.DEFAULT_RANGES, augmentation.Ranges(zoom=(0.5, 2)))
    ]
    scales = []
    for plain, zoomed in zip(*drawn):
        assert (plain[0], *plain[2:4]) == (zoomed[0], *zoomed[2:4])
        scales.append(scale_of(zoomed[1]) / scale_of(plain[1]))
        where = plain[1] @ [300, 200, 1]
        np.testing.assert_allclose(
            zoomed[1] @ [300, 200, 1], (where - [360, 240]) * scales[-1] + [360, 240]
        )
    assert 0.5 <= min(scales) < 0.51 and 1.96 < max(scales) <= 2
    assert abs(np.mean(np.log2(scales))) < 0.08 and abs(np.mean(np.array(scales) < 1) - 0.5) < 0.07


def test_shift_moves_the_usual_frame():
    moves = np.array(
        [
            augmentation.draw_parameters(
                np.random.default_rng(i), SIZE, augmentation.Ranges(shift=30)
            )[1]
            - augmentation.draw_parameters(np.random.default_rng(i), SIZE)[1]
            for i in range(400)
        ]
    )
    np.testing.assert_array_equal(moves[:, :, :2], 0)
    assert 29 < np.abs(moves[:, 0, 2]).max() <= 30 and 29 < np.abs(moves[:, 1, 2]).max() <= 30
    assert abs(np.corrcoef(moves[:, 0, 2], moves[:, 1, 2])[0, 1]) < 0.15


def test_colour_gains_are_of_each_channel():
    gains = np.array(
        [
            augmentation.draw_parameters(
                np.random.default_rng(i), SIZE, augmentation.Ranges(colour=0.2)
            )[4]
            for i in range(400)
        ]
    )
    assert 0.8 <= gains.min() < 0.805 and 1.195 < gains.max() <= 1.2
    assert (np.abs(np.corrcoef(gains.T) - np.eye(3)) < 0.15).all()


def test_dropout_boxes_are_noise_in_rectangles_and_leave_the_rest():
    image = np.full((480, 720, 3), 77, np.uint8)
    xy = np.full((10, 2), 300, np.float32)
    seen = np.zeros((480, 720))
    for seed in range(300):
        boxed = augmentation.drop_boxes(image.copy(), 1, np.random.default_rng(seed))
        changed = (boxed != 77).any(axis=-1)
        (top, bottom), (left, right) = (
            (where[0], where[-1] + 1)
            for where in (np.flatnonzero(changed.any(axis=axis)) for axis in (1, 0))
        )
        assert 16 <= bottom - top <= 80 and 16 <= right - left <= 80
        inside = boxed[top:bottom, left:right]
        assert (
            changed[top:bottom, left:right].mean() > 0.99
            and 110 < inside.mean() < 145
            and inside.std() > 65
        )
        seen[top:bottom, left:right] += 1
    assert seen[:80].any() and seen[-16:].any() and seen[:, :16].any() and seen[:, -16:].any()
    plain, boxed = (
        augmentation.augment(
            image, xy, flic.FLIP, np.random.default_rng(1), augmentation.Ranges(dropout_boxes=n)
        )
        for n in (0, 3)
    )
    np.testing.assert_array_equal(plain[1], boxed[1])
    assert 0 < (plain[0] != boxed[0]).any(axis=-1).sum() <= 3 * 80 * 80
