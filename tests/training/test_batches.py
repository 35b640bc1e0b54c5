"""Batches are a function of (seed, step), visit each sample once an epoch, and arrive in order."""

import numpy as np
import pytest

from jointpose import run_options, systems
from jointpose.datasets import arrays, flic
from jointpose.nn.tf1 import tf
from jointpose.systems import tompson
from jointpose.training import batches
from jointpose.vision import heatmaps
from jointpose.vision.crops import person_from_row


@pytest.fixture(scope='module')
def split(arrays_folder):
    return arrays.load_split(arrays_folder, 'train', arrays.read_manifest(arrays_folder))


def settings(seed, batch_size, *more):
    options, *_ = run_options.resolve_options(
        ['--train', '--seed', str(seed), '--batch_size', str(batch_size), *more]
    )
    return options


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
    one, same, other_seed = (
        batches.training_batch(tompson.Tompson(settings(seed, 4, '--data_augm')), split, 7)
        for seed in (5, 5, 6)
    )
    for a, b in zip(tf.nest.flatten(one), tf.nest.flatten(same)):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(one.images, other_seed.images)
    later = batches.training_batch(tompson.Tompson(settings(5, 4, '--data_augm')), split, 11)
    shared = np.intersect1d(one.rows, later.rows)
    for row in shared:  # the same person, augmented anew
        assert not np.array_equal(one.images[one.rows == row], later.images[later.rows == row])


def test_targets_are_where_the_joints_are(split):
    augmented = settings(0, 6, '--data_augm')
    batch = batches.training_batch(tompson.Tompson(augmented), split, 0)
    assert batch.targets['heat_maps'].shape == (6, 60, 90, 9)
    np.testing.assert_array_equal(
        np.concatenate([batch.targets['heat_maps'], batch.targets['torso_map']], axis=-1),
        heatmaps.render_targets(batch.joints_xy, (60, 90)),
    )
    subcell = batches.training_batch(
        tompson.Tompson(settings(0, 6, '--data_augm', '--targets', 'subcell')), split, 0
    )
    np.testing.assert_array_equal(subcell.images, batch.images)
    np.testing.assert_array_equal(
        subcell.targets['heat_maps'],
        heatmaps.render_targets(batch.joints_xy, (60, 90), True)[..., :9],
    )
    np.testing.assert_array_equal(
        subcell.targets['torso_map'], batch.targets['torso_map']
    )  # which is given
    plain = batches.plain_batch(tompson.Tompson(settings(0, 6)), split, np.arange(3))
    np.testing.assert_array_equal(plain.images, split.images[:3])
    np.testing.assert_array_equal(plain.joints_xy, flic.clamp_to_frame(split.joints[:3]))
    zoomed = batches.plain_batch(tompson.Tompson(augmented), split, np.arange(3))
    back = (zoomed.joints_xy - 0.5 * np.array([720, 480])) * 0.95 + 0.5 * np.array([720, 480])
    np.testing.assert_allclose(back, flic.clamp_to_frame(split.joints[:3]), atol=1e-3)


def test_pipeline_delivers_every_step_in_order_and_restarts_anywhere(split, tf_graph):
    options = settings(3, 5, '--data_augm')
    tensors, (start, start_other) = batches.pipeline(
        batches.specification(tompson.Tompson(options)),
        lambda step: batches.training_batch(tompson.Tompson(options), split, step),
        lambda step: batches.plain_batch(tompson.Tompson(options), split, np.array([step])),
    )
    with tf_graph() as session:
        for first in (0, 2):
            session.run(*start(first, 6))
            for step in range(first, 6):
                got, expected = (
                    session.run(tensors),
                    batches.training_batch(tompson.Tompson(options), split, step),
                )
                assert got.targets.keys() == expected.targets.keys()
                for one, want in zip(tf.nest.flatten(got), tf.nest.flatten(expected)):
                    np.testing.assert_array_equal(one, want)
            with pytest.raises(tf.errors.OutOfRangeError):
                session.run(tensors)
        session.run(*start_other(4, 5))
        assert session.run(tensors.rows).tolist() == [4]


def test_no_thread_tunes_a_pipeline(tf_graph):
    """TensorFlow sometimes waits for it when the source changes."""
    from tensorflow.core.framework import dataset_options_pb2

    spec = {'x': tf.TensorSpec([], tf.float32)}
    batches.pipeline(spec, lambda step: {'x': step}, lambda step: {'x': -step})
    graph = tf.get_default_graph()
    sources = [op for op in graph.get_operations() if op.type == 'MakeIterator']
    assert len(sources) == 2
    for op in sources:
        last = op.inputs[0].op
        options = dataset_options_pb2.Options.FromString(last.get_attr('serialized_options'))
        assert options.autotune_options.HasField('enabled')
        assert not options.autotune_options.enabled


@pytest.mark.parametrize('name', systems.names())
def test_views_carry_no_targets_that_nothing_reads(name, arrays_folder, monkeypatch):
    """None are made; but the spatial model is given the torso's map."""
    words = [
        '--train',
        '--system',
        name,
        '--dataset',
        'flic',
        *(['--use_sm'] if name == 'tompson' else []),
    ]
    _, system, *_ = run_options.resolve_options(words)
    split = arrays.load_split(arrays_folder, 'test', arrays.read_manifest(arrays_folder))
    split, rows = arrays.system_samples(split, system.MAX_PEOPLE), np.arange(2)
    views = [
        view
        for row in rows
        for view in system.views(split.images[row], person_from_row(split, row))
    ]
    wanted = system.encode(
        np.stack([view.joints_xy for view in views]), np.stack([view.visible for view in views])
    )
    monkeypatch.setattr(system, 'encode', lambda *_: pytest.fail('targets were made'))
    batch = batches.views_batch(system, split, rows)
    assert len(batch.images) == len(views) and batch.targets.keys() == wanted.keys()
    for target, values in batch.targets.items():
        assert values.dtype == np.float32 and values.shape[1:] == wanted[target].shape[1:]
        np.testing.assert_array_equal(values, wanted[target][: len(values)])
        assert len(values) == (len(views) if target in system.EXTRA_INPUTS else 0)
