"""Batches are a function of (seed, step), visit each sample once an epoch, and arrive in order."""
import numpy as np
import pytest

import arrays
import augmentation
import batches
import joints
from tf1 import tf


@pytest.fixture(scope='module')
def split(arrays_folder):
    return arrays.load_split(arrays_folder, 'train', arrays.read_manifest(arrays_folder))


@pytest.mark.parametrize(('n', 'size'), [(16, 5), (16, 16), (3, 14), (15, 1)])
def test_each_sample_once_an_epoch(n, size):
    steps = batches.steps_per_epoch(n, size)
    orders = []
    for epoch in range(3):
        rows = [batches.training_rows(0, epoch * steps + s, n, size) for s in range(steps)]
        assert max(map(len, rows)) <= size and sum(map(len, rows)) == n
        orders.append(np.concatenate(rows).tolist())
        assert sorted(orders[-1]) == list(range(n))
    if steps > 1:
        assert orders[0] != orders[1]


def test_same_seed_and_step_same_batch(split):
    one, same, other_seed = (batches.training_batch(split, seed, 7, 16, 4, True) for seed in (5, 5, 6))
    for a, b in zip(one, same):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(one.images, other_seed.images)
    later = batches.training_batch(split, 5, 11, 16, 4, True)
    shared = np.intersect1d(one.rows, later.rows)
    for row in shared:                                                   # the same person, augmented anew
        assert not np.array_equal(one.images[one.rows == row], later.images[later.rows == row])


def test_targets_are_where_the_joints_are(split):
    batch = batches.training_batch(split, 0, 0, 16, 6, True)
    np.testing.assert_array_equal(batch.targets, joints.render_targets(batch.joints_xy))
    plain = batches.plain_batch(split, np.arange(3))
    np.testing.assert_array_equal(plain.images, split.images[:3])
    matrix = augmentation.centre_crop()
    zoomed = batches.plain_batch(split, np.arange(3), matrix)
    back = (zoomed.joints_xy - 0.5 * np.array([720, 480])) * 0.95 + 0.5 * np.array([720, 480])
    np.testing.assert_allclose(back, joints.clamp_to_frame(split.joints[:3]), atol=1e-3)


def test_pipeline_delivers_every_step_in_order_and_restarts_anywhere(split, tf_graph):
    tensors, (start, start_other) = batches.pipeline(
        lambda step: batches.training_batch(split, 3, step, 16, 5, True),
        lambda step: batches.plain_batch(split, np.array([step])))
    with tf_graph() as session:
        for first in (0, 2):
            session.run(*start(first, 6))
            for step in range(first, 6):
                expected = batches.training_batch(split, 3, step, 16, 5, True)
                for got, want in zip(session.run(tensors), expected):
                    np.testing.assert_array_equal(got, want)
            with pytest.raises(tf.errors.OutOfRangeError):
                session.run(tensors)
        session.run(*start_other(4, 5))
        assert session.run(tensors.rows).tolist() == [4]
