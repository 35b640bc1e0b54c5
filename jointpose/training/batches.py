"""Batches as a function of (seed, step): tf.data over the pictures, prepared on prefetch threads.

Step s is batch s % steps of epoch s // steps; an epoch visits each sample once, and its last batch
may be smaller.  Whoever asks for step s gets the same batch: a resumed run sees what it would have
seen.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jointpose.nn.tf1 import tf
from jointpose.vision.crops import Sample, person_from_row

ORDER = 0  # keep the streams of random numbers apart: the order of samples,
SAMPLE = 1  # and each sample's augmentation
THREADS = min(len(os.sched_getaffinity(0)), 8)  # on which a pipeline makes batches


class Batch(NamedTuple):
    """b samples, as tensors or arrays.

    Of a system whose sample is a picture of up to P people, joints_xy is [b, P, k, 2], visible
    [b, P, k] and unit [b, P].
    """

    rows: Any  # int32 [b]: of the samples, in the split
    images: Any  # uint8 [b, h, w, 3]
    joints_xy: Any  # float32 [b, k, 2], pixels of these images
    visible: Any  # uint8 [b, k]
    back: Any  # float32 [b, 2, 3]: from pixels of these images to those of the picture
    unit: Any  # float32 [b]: the length that errors are measured by
    # {name: float32 [b, ...]}: the system's `encode` of the joints.  Of views, from which nothing
    # is learnt, targets that are no input of the network are [0, ...].
    targets: Any


def specification(system) -> Batch:
    """A Batch of tf.TensorSpecs."""

    def spec(dtype, *shape):
        return tf.TensorSpec([None, *shape], dtype)

    targets = {name: spec(tf.float32, *shape) for name, shape in system.target_shapes().items()}
    people = () if system.MAX_PEOPLE is None else (system.MAX_PEOPLE,)
    points = (*people, system.n_sample_points)
    return Batch(
        rows=spec(tf.int32),
        images=spec(tf.uint8, *system.input_size, 3),
        joints_xy=spec(tf.float32, *points, 2),
        visible=spec(tf.uint8, *points),
        back=spec(tf.float32, 2, 3),
        unit=spec(tf.float32, *people),
        targets=targets,
    )


def placeholders(system) -> Batch:
    """A Batch to be fed."""

    def placeholder(spec):
        return tf.placeholder(spec.dtype, spec.shape)

    return tf.nest.map_structure(placeholder, specification(system))


def feed(batch: Batch, values: Batch) -> dict[tf.Tensor, np.ndarray]:
    """The feed_dict that puts a Batch of arrays in the place of a Batch of tensors."""
    return dict(zip(tf.nest.flatten(batch), tf.nest.flatten(values)))


def without_images(batch: Batch) -> Batch:
    """The Batch without images and targets: what figures are computed from."""
    return batch._replace(images=(), targets=())


# --- which samples --------------------------------------------------------------------------------


def steps_per_epoch(n: int, batch_size: int) -> int:
    """Number of batches of n samples."""
    return -(-n // batch_size)


def training_rows(seed: int, step: int, n: int, batch_size: int) -> np.ndarray:
    """Rows of the step's batch: a slice of its epoch's permutation, sorted for fast reading."""
    epoch, position = divmod(step, steps_per_epoch(n, batch_size))
    order = np.random.default_rng([seed, ORDER, epoch]).permutation(n)
    return np.sort(order[position * batch_size : (position + 1) * batch_size])


# --- batches as arrays ----------------------------------------------------------------------------


def training_batch(system, split, step: int) -> Batch:
    """The step's batch; each sample is augmented by random numbers of its own."""
    seed = system.options.seed
    rows = training_rows(seed, step, len(split.images), system.options.batch_size)
    samples = []
    for row in rows:
        rng = np.random.default_rng([seed, SAMPLE, step, row])
        person = person_from_row(split, row)
        samples.append(system.training_sample(split.images[row], person, rng))
    return collate(system, rows, split.people['unit'][rows], samples)


def plain_batch(system, split, rows: Sequence[int]) -> Batch:
    """People as in a test: nothing is random."""
    samples = [system.test_sample(split.images[row], person_from_row(split, row)) for row in rows]
    return collate(system, rows, split.people['unit'][rows], samples)


def views_batch(system, split, rows: Sequence[int]) -> Batch:
    """All views of people that the evaluation averages, a person's together."""
    views = []
    for row in rows:
        views += system.views(split.images[row], person_from_row(split, row))
    rows = np.repeat(rows, system.n_views)
    return collate(system, rows, split.people['unit'][rows], views, learnt=False)


def collate(
    system, rows: Sequence[int], unit, samples: Sequence[Sample], learnt: bool = True
) -> Batch:
    """A Batch of Samples.

    learnt: with all targets, else only with those that are inputs of the network.
    """
    images, joints_xy, visible, back = map(np.stack, zip(*samples))
    if learnt:
        targets = system.encode(joints_xy, visible)
    else:
        shapes = system.target_shapes()
        targets = {name: np.zeros((0, *shape), np.float32) for name, shape in shapes.items()}
        targets.update(system.extra_inputs(joints_xy))
    return Batch(
        rows=np.asarray(rows, np.int32),
        images=images,
        joints_xy=joints_xy,
        visible=visible,
        back=back.astype(np.float32),
        unit=np.asarray(unit, np.float32),
        targets=targets,
    )


# --- batches as tensors ---------------------------------------------------------------------------


def pipeline(
    spec: Batch, *sources: Callable[[int], Batch], ahead: int = 2
) -> tuple[Batch, list[Callable]]:
    """One stream of batches with several sources.

    Args:
        spec: of the batches.
        sources: step -> Batch of arrays.  They are called on threads.
        ahead: how many batches are prepared before they are needed; always in order.

    Returns:
        (Batch of tensors, starts): session.run(*starts[i](first, last)) makes source i deliver the
        steps first .. last - 1, then OutOfRangeError.
    """
    iterator = tf.data.Iterator.from_structure(
        tf.nest.map_structure(lambda x: x.dtype, spec),
        tf.nest.map_structure(lambda x: x.shape, spec),
    )
    batch = iterator.get_next()
    return batch, [_start(iterator, source, spec, ahead) for source in sources]


def _start(iterator, source, spec, ahead):
    """(first, last) -> arguments of session.run that make the source deliver these steps."""
    first = tf.placeholder(tf.int64, [])
    last = tf.placeholder(tf.int64, [])
    specs = tf.nest.flatten(spec)

    def make(step):
        return tuple(tf.nest.flatten(source(int(step))))

    def load(step):
        arrays = tf.numpy_function(make, [step], [x.dtype for x in specs])
        for array, x in zip(arrays, specs):
            array.set_shape(x.shape)
        return tf.nest.pack_sequence_as(spec, arrays)

    steps = tf.data.Dataset.range(first, last)
    data = steps.map(load, num_parallel_calls=THREADS, deterministic=True).prefetch(ahead)
    data = data.with_options(_without_autotuning())
    initializer = iterator.make_initializer(data)
    return lambda start, stop: (initializer, {first: start, last: stop})


def _without_autotuning() -> tf.data.Options:
    """Both numbers of the pipeline are given, so there is nothing to tune.

    The thread that would tune sleeps most of the time.  When the source changed or the session was
    closed, TensorFlow 2.21 sometimes waited until it woke: up to 40 seconds were seen.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options
