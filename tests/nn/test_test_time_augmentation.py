"""A peak put through a zoom comes back to its own pixel; the interpolation against SciPy's."""

from argparse import Namespace

import numpy as np
import pytest
import scipy.ndimage

from jointpose import run_options
from jointpose.datasets import arrays, flic
from jointpose.nn import test_time_augmentation
from jointpose.systems import tompson
from jointpose.systems.tompson import torso_inference
from jointpose.training import batches
from jointpose.vision import heatmaps
from jointpose.vision.affine import transform_points, zoom

SIZE = flic.WIDTH, flic.HEIGHT


@pytest.mark.parametrize('scale', test_time_augmentation.SCALES)
def test_back_matrix_is_linear_interpolation(scale):
    line = np.random.default_rng(0).random(90)
    at = (np.arange(90) + 0.5 - 45) * scale + 45 - 0.5
    expected = scipy.ndimage.map_coordinates(np.pad(line, 1), [at + 1], order=1, mode='constant')
    np.testing.assert_allclose(
        test_time_augmentation.resampling_matrix(scale, 90) @ line, expected, atol=1e-5
    )


def test_peaks_come_back_to_their_pixel(tf_graph):
    """Ideal maps (narrow Gaussians at the zoomed joints) must decode to the joint, at each scale and on average."""
    from jointpose.nn.tf1 import tf

    xy = np.random.default_rng(1).uniform((170, 120), (550, 360), (3, 9, 2)).astype(np.float32)
    grid = heatmaps.cell_centre(np.stack(np.mgrid[:60, :90], axis=-1))[
        :, :, None
    ]  # [60, 90, 1, 2] x, y
    maps = np.stack(
        [
            np.exp(
                -((grid - transform_points(zoom(scale, SIZE), person)) ** 2).sum(-1) / (2 * 16**2)
            )
            for person in xy
            for scale in test_time_augmentation.SCALES
        ]
    )
    mean = test_time_augmentation.merge_views(tf.constant(maps, tf.float32))
    with tf_graph() as session:
        found = heatmaps.decode(session.run(mean))
    assert np.abs(found - xy).max() < 0.5  # pixels; a cell is 8
    for i, scale in enumerate(test_time_augmentation.SCALES):
        down, right = (test_time_augmentation.resampling_matrix(scale, n) for n in (60, 90))
        one = np.einsum(
            'Rr,nrck,Cc->nRCk',
            down,
            maps[i :: len(test_time_augmentation.SCALES)],
            right,
            optimize=True,
        )
        assert np.abs(heatmaps.decode(one) - xy).max() < 1.5, scale


def test_scales_weigh_the_same(tf_graph):
    from jointpose.nn.tf1 import tf

    maps = (
        np.random.default_rng(2).random((8, 60, 90, 2)).astype(np.float32)
        * np.arange(1, 9)[:, None, None, None]
    )
    mean = test_time_augmentation.merge_views(tf.constant(maps))
    again = test_time_augmentation.merge_views(
        tf.constant(maps / maps.sum(axis=(1, 2), keepdims=True))
    )
    with tf_graph() as session:
        one, other = session.run([mean, again])
    np.testing.assert_allclose(one, other, rtol=1e-4)
    np.testing.assert_allclose(one.sum(axis=(1, 2)), 1, rtol=1e-5)


def test_views_are_the_frame_at_all_scales(arrays_folder):
    split = arrays.load_split(arrays_folder, 'test', arrays.read_manifest(arrays_folder))
    _, system, *_ = run_options.resolve_options(['--train'])
    batch = batches.views_batch(system, split, np.array([2, 0]))
    assert batch.images.shape == (16, 480, 720, 3) and list(batch.rows) == [2] * 8 + [0] * 8
    np.testing.assert_array_equal(batch.images[7], split.images[2])  # crop 1.0
    pad_14 = batch.images[3]
    assert (
        not pad_14[:60].any() and not pad_14[:, :90].any() and pad_14[240, 360].any()
    )  # 1.4: a seventh of black
    crop = batch.images[4].astype(int)  # 0.7 enlarges the middle
    middle = scipy.ndimage.zoom(
        split.images[2][72:-72, 108:-108].astype(float),
        (480 / 336, 720 / 504, 1),
        order=1,
        grid_mode=True,
        mode='nearest',
    )
    assert np.abs(crop - middle)[5:-5, 5:-5].mean() < 1


MIRRORED = (1.0, 1 / 1.2, -1.0, -1 / 0.8)


def test_mirrored_frames_bring_the_same_joints_back(tf_graph, monkeypatch):
    """A perfect detector's maps of every view, left and right as that view shows them, decode to the frame's joints."""
    from jointpose.nn.tf1 import tf

    xy = np.random.default_rng(4).uniform((170, 120), (550, 360), (2, 9, 2)).astype(np.float32)
    grid = heatmaps.cell_centre(np.stack(np.mgrid[:60, :90], axis=-1))[
        :, :, None
    ]  # [60, 90, 1, 2] x, y
    views = []
    for person in xy:
        for scale in MIRRORED:
            seen = person.copy()
            if scale < 0:
                seen[:, 0] = 720 - seen[:, 0]
                seen[[0, 1, 2, 3, 4, 5, 6, 7]] = seen[[3, 4, 5, 0, 1, 2, 7, 6]]
            views.append((seen - [360, 240]) * abs(scale) + [360, 240])
    points = test_time_augmentation.scaled_points(xy, SIZE, MIRRORED, flic.FLIP[:9])  # [S, n, 9, 2]
    np.testing.assert_allclose(np.concatenate(np.moveaxis(points, 0, 1)), views, atol=1e-3)
    maps = np.exp(-((grid - np.array(views)[:, None, None]) ** 2).sum(-1) / (2 * 16**2))
    maps = tf.constant(maps, tf.float32)
    monkeypatch.setattr(tompson.Tompson, 'scales', MIRRORED)
    with tf_graph() as session:
        got, by_system = session.run(
            [
                test_time_augmentation.merge_views(maps, MIRRORED, flic.FLIP[:9]),
                tompson.Tompson(Namespace(dataset='flic')).merge_views(maps),
            ]
        )
    assert np.abs(heatmaps.decode(got) - xy).max() < 0.5
    np.testing.assert_array_equal(by_system, got)


def test_mirrored_views(arrays_folder, monkeypatch):
    split = arrays.load_split(arrays_folder, 'test', arrays.read_manifest(arrays_folder))
    _, system, *_ = run_options.resolve_options(
        ['--train', '--use_sm', '--scales', 'single', '--flip_average']
    )
    assert system.scales == (1.0, -1.0) and system.n_views == 2
    monkeypatch.setattr(type(system), 'scales', MIRRORED)
    batch = batches.views_batch(system, split, np.array([1]))
    np.testing.assert_array_equal(batch.images[2], split.images[1][:, ::-1])
    torso_maps = torso_inference.torso_maps(split.joints[[1], 9], MIRRORED, system.frame)
    np.testing.assert_array_equal(batch.targets['torso_map'], torso_maps)
    assert (torso_maps[0] != torso_maps[2][:, ::-1]).sum() <= 18  # of a joint on a border of cells


def test_a_single_scale_is_the_log_s(arrays_folder):
    """--scales single and the log's test figures see the same picture, 1 / 0.95 as large beside augmented training."""
    split = arrays.load_split(arrays_folder, 'test', arrays.read_manifest(arrays_folder))
    _, system, *_ = run_options.resolve_options(['--train', '--data_augm', '--scales', 'single'])
    logged = batches.plain_batch(system, split, np.array([3, 1]))
    evaluated = batches.views_batch(system, split, np.array([3, 1]))
    np.testing.assert_array_equal(logged.images, evaluated.images)
    np.testing.assert_array_equal(logged.joints_xy, evaluated.joints_xy)
    expected = (flic.clamp_to_frame(split.joints[[3, 1]]) - [360, 240]) / 0.95 + [360, 240]
    np.testing.assert_allclose(logged.joints_xy, expected, atol=1e-3)


def test_a_single_scale_is_the_frame_itself(arrays_folder, tf_graph):
    """Without augmentation frames are as they are, and maps but for their sum, also where a map is far from a peak."""
    from jointpose.nn.tf1 import tf

    split = arrays.load_split(arrays_folder, 'test', arrays.read_manifest(arrays_folder))
    _, system, *_ = run_options.resolve_options(['--train', '--scales', 'single'])
    batch = batches.views_batch(system, split, np.array([3, 1]))
    np.testing.assert_array_equal(batch.images, split.images[[3, 1]])
    np.testing.assert_array_equal(batch.joints_xy, flic.clamp_to_frame(split.joints[[3, 1]]))
    assert list(batch.rows) == [3, 1]
    maps = np.random.default_rng(3).random((3, 60, 90, 9)).astype(np.float32)
    with tf_graph() as session:
        got = session.run(test_time_augmentation.merge_views(tf.constant(maps), (1.0,)))
    np.testing.assert_allclose(
        got, maps / maps.sum(axis=(1, 2), keepdims=True, dtype=np.float64), rtol=1e-5
    )
    np.testing.assert_array_equal(
        heatmaps.decode(got, subcell=False), heatmaps.decode(maps, subcell=False)
    )
