"""Batches as a function of (seed, step): tf.data over the pictures, prepared on prefetch threads.

A Batch holds rows int32 [b], and of each sample (crops.Sample) image uint8 [b, h, w, 3], joints_xy float32 [b, k, 2]
pixels of these images, visible uint8 [b, k], back float32 [b, 2, 3] from there to the picture's pixels; unit float32
[b], what errors in these are measured by; and targets, {name: float32 [b, ...]}, what the system's `encode` makes of
the joints.  Where a sample is a picture of up to P people, the three are [b, P, k, 2], [b, P, k] and [b, P].  Nothing
is learnt from views: targets are [0, ...], except those that the network is given.  Step s is batch s % steps of epoch
s // steps; an epoch visits each sample once, its last batch may be smaller.  Whoever asks for step s gets the same
batch, so a resumed run sees what it would have.
"""

import collections
import os

import numpy as np

from jointpose.nn.tf1 import tf
from jointpose.vision.crops import person_from_row

ORDER, SAMPLE = 0, 1  # keep the streams of random numbers apart
THREADS = min(len(os.sched_getaffinity(0)), 8)  # that a pipeline makes batches on

Batch = collections.namedtuple('Batch', 'rows images joints_xy visible back unit targets')


def specification(system):
    """A Batch of tf.TensorSpecs."""

    def spec(dtype, *shape):
        return tf.TensorSpec([None, *shape], dtype)

    targets = {name: spec(tf.float32, *shape) for name, shape in system.target_shapes().items()}
    people = () if system.MAX_PEOPLE is None else (system.MAX_PEOPLE,)
    points = (*people, system.n_points)
    return Batch(
        spec(tf.int32),
        spec(tf.uint8, *system.input_size, 3),
        spec(tf.float32, *points, 2),
        spec(tf.uint8, *points),
        spec(tf.float32, 2, 3),
        spec(tf.float32, *people),
        targets,
    )


def placeholders(system):
    """A Batch to be fed."""
    return tf.nest.map_structure(
        lambda spec: tf.placeholder(spec.dtype, spec.shape), specification(system)
    )


def feed(batch, values):
    """The feed_dict that puts a Batch of arrays in the place of a Batch of tensors."""
    return dict(zip(tf.nest.flatten(batch), tf.nest.flatten(values)))


def steps_per_epoch(n, batch_size):
    return -(-n // batch_size)


def training_rows(seed, step, n, batch_size):
    """Rows of the step's batch: a slice of its epoch's permutation, sorted for the sake of the disk."""
    epoch, position = divmod(step, steps_per_epoch(n, batch_size))
    order = np.random.default_rng([seed, ORDER, epoch]).permutation(n)
    return np.sort(order[position * batch_size : (position + 1) * batch_size])


def training_batch(system, split, step):
    """The step's batch, each sample with random numbers of its own."""
    seed = system.options.seed
    rows = training_rows(seed, step, len(split.images), system.options.batch_size)
    return collate(
        system,
        rows,
        split.people['unit'][rows],
        [
            system.training_sample(
                split.images[row],
                person_from_row(split, row),
                np.random.default_rng([seed, SAMPLE, step, row]),
            )
            for row in rows
        ],
    )


def plain_batch(system, split, rows):
    """People as they are while testing: nothing is random."""
    return collate(
        system,
        rows,
        split.people['unit'][rows],
        [system.test_sample(split.images[row], person_from_row(split, row)) for row in rows],
    )


def views_batch(system, split, rows):
    """All views of people that the evaluation averages, a person's together."""
    n = system.n_views
    return collate(
        system,
        np.repeat(rows, n),
        np.repeat(split.people['unit'][rows], n, axis=0),
        [
            view
            for row in rows
            for view in system.views(split.images[row], person_from_row(split, row))
        ],
        False,
    )


def collate(system, rows, unit, samples, learnt=True):
    """A Batch of crops.Samples; learnt: with all targets, else with those alone that the network is given."""
    images, joints_xy, visible, back = map(np.stack, zip(*samples))
    if learnt:
        targets = system.encode(joints_xy, visible)
    else:
        empty = {
            name: np.zeros((0, *shape), np.float32)
            for name, shape in system.target_shapes().items()
        }
        targets = {**empty, **system.extra_inputs(joints_xy)}
    return Batch(
        np.asarray(rows, np.int32),
        images,
        joints_xy,
        visible,
        back.astype(np.float32),
        np.asarray(unit, np.float32),
        targets,
    )


def without_images(batch):
    """The Batch without images and targets: what figures are computed from."""
    return batch._replace(images=(), targets=())


def pipeline(spec, *makes, ahead=2):
    """One stream of batches with several sources; each is a function step -> Batch like `spec`.

    Prepared `ahead` on threads, always in order.  Returns (Batch of tensors, starts): session.run(*starts[i](first,
    last)) makes source i deliver the steps first .. last - 1, then OutOfRangeError.
    """
    iterator = tf.data.Iterator.from_structure(
        tf.nest.map_structure(lambda x: x.dtype, spec),
        tf.nest.map_structure(lambda x: x.shape, spec),
    )
    return iterator.get_next(), [_source(iterator, make, spec, ahead) for make in makes]


def _source(iterator, make, spec, ahead):
    first, last = tf.placeholder(tf.int64, []), tf.placeholder(tf.int64, [])
    specs = tf.nest.flatten(spec)

    def load(step):
        arrays = tf.numpy_function(
            lambda s: tuple(tf.nest.flatten(make(int(s)))), [step], [x.dtype for x in specs]
        )
        for array, x in zip(arrays, specs):
            array.set_shape(x.shape)
        return tf.nest.pack_sequence_as(spec, arrays)

    data = (
        tf.data.Dataset.range(first, last)
        .map(load, num_parallel_calls=THREADS, deterministic=True)
        .prefetch(ahead)
    )
    initializer = iterator.make_initializer(data)
    return lambda start, stop: (initializer, {first: start, last: stop})
