"""Sums in a fixed order: by themselves, and after TensorFlow's graph optimiser (of all systems: test_graphs.py)."""

import numpy as np
import pytest
from conftest import unordered_sums

from jointpose import run_options
from jointpose.nn import sums
from jointpose.nn.tf1 import tf
from jointpose.systems import tompson
from jointpose.training import batches, towers
from jointpose.training.devices import session_config


def test_an_ordered_sum_does_not_depend_on_who_else_holds_its_terms(tf_graph):
    """tf.add_n's does: that is what this module is for."""
    held = [tf.placeholder(tf.float32, [None]) for _ in range(4)]
    values = np.random.default_rng(0).normal(size=(4, 1000)).astype(np.float32)
    feed = dict(zip(held, values))
    for n in (2, 3, 4):
        for add, same in ((sums.ordered_sum, True), (tf.add_n, n == 2)):
            terms = [tf.sin(x) for x in held[:n]]
            total = add(terms)
            with tf_graph() as session:
                results = [session.run([total, *terms[:kept]], feed)[0] for kept in range(n + 1)]
            assert all(np.array_equal(results[0], other) for other in results) == same, (n, add)
    with tf_graph() as session:
        expected = ((np.sin(values[0]) + np.sin(values[1])) + np.sin(values[2])) + np.sin(values[3])
        found = session.run(sums.ordered_sum([tf.sin(x) for x in held]), feed)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_an_unordered_sum_is_found(tf_graph):
    x = tf.placeholder(tf.float32, [3])
    with tf.name_scope('good'):
        good = sums.ordered_sum([tf.sin(x), tf.cos(x), tf.exp(x)])
        tf.gradients(good, [x], aggregation_method=sums.TWO_BY_TWO)
    assert unordered_sums(tf.get_default_graph()) == []
    tf.map_fn(lambda row: tf.add_n([row, 2 * row, 3 * row], name='in_a_loop'), x)
    tf.gradients(good, [x], name='plain')
    names = unordered_sums(tf.get_default_graph())
    assert len(names) == 2 and any('in_a_loop' in name for name in names)
    assert any(name.startswith('plain') for name in names)


def tompson_step(arguments, devices, seed=0):
    """(Training of the three-bank network, a random batch of three frames fed to it)."""
    options, *_ = run_options.resolve_options(['--train', '--use_sm', '--width', '4', *arguments])
    tf.set_random_seed(seed)
    tf.train.get_or_create_global_step()
    batch = batches.placeholders(tompson.Tompson(options))
    training = towers.build_training(tompson.Tompson(options), batch, devices, 100)
    rng = np.random.default_rng(seed)
    values = [
        rng.uniform(0, 1 if part.dtype.is_floating else 200, (3, *part.shape.as_list()[1:]))
        for part in tf.nest.flatten(batch)
    ]
    feed = {
        part: value.astype(part.dtype.as_numpy_dtype)
        for part, value in zip(tf.nest.flatten(batch), values)
    }
    return training, feed


def run_partitions(session, fetches, feed):
    """The graphs that TensorFlow really runs, after its optimiser."""
    facts = tf.RunMetadata()
    session.run(
        fetches, feed, options=tf.RunOptions(output_partition_graphs=True), run_metadata=facts
    )
    return facts.partition_graphs


def test_the_graph_optimiser_leaves_ordered_sums_alone():
    """By default it makes one AddN of many."""
    with tf.Graph().as_default():
        training, feed = tompson_step([], ['/cpu:0'])
        largest = []
        for config in (session_config([0]), tf.ConfigProto()):
            with tf.Session(config=config) as session:
                session.run(tf.global_variables_initializer())
                graphs = run_partitions(session, [training.step], feed)
            largest.append(
                max(
                    node.attr['N'].i for graph in graphs for node in graph.node if node.op == 'AddN'
                )
            )
    assert largest[0] == 2 and largest[1] > 2


@pytest.mark.long
@pytest.mark.parametrize('arguments', [[], ['--no_batch_norm']])
def test_gradients_on_two_towers_are_equal_to_the_bit_a_hundred_and_forty_times(arguments):
    """Of the three-bank network and the spatial model, on four threads, whatever the towers' order in time."""
    with tf.Graph().as_default():
        training, feed = tompson_step(arguments, ['/cpu:0', '/cpu:0'])
        config = session_config([0])
        config.inter_op_parallelism_threads = 4
        fetches = [training.losses, training.norm, [gradient for gradient, _ in training.gradients]]
        with tf.Session(config=config) as session:
            session.run(tf.global_variables_initializer())
            first = session.run(fetches, feed)
            for _ in range(139):
                again = session.run(fetches, feed)
                for one, other in zip(tf.nest.flatten(first), tf.nest.flatten(again)):
                    np.testing.assert_array_equal(one, other)
