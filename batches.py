"""Batches as a function of (seed, step): tf.data over the memory maps, augmented on prefetch threads.

A batch is a namedtuple of rows int32 [b], images uint8 [b, 480, 720, 3], joints_xy float32 [b, 10, 2] and
targets float32 [b, 60, 90, 10].  Step s is batch s % steps of epoch s // steps; an epoch visits each sample once,
its last batch may be smaller.  Whoever asks for step s gets the same batch, so a resumed run sees what it would have.
"""
import collections
import os

import numpy as np

import augmentation
import joints
from tf1 import tf

ORDER, SAMPLE = 0, 1          # keep the streams of random numbers apart

Batch = collections.namedtuple('Batch', 'rows images joints_xy targets')
DTYPES = (tf.int32, tf.uint8, tf.float32, tf.float32)
SHAPES = ([None], [None, joints.HEIGHT, joints.WIDTH, 3], [None, joints.N_MAPS, 2],
          [None, joints.MAP_HEIGHT, joints.MAP_WIDTH, joints.N_MAPS])


def steps_per_epoch(n, batch_size):
    return -(-n // batch_size)


def training_rows(seed, step, n, batch_size):
    """Rows of the step's batch: a slice of its epoch's permutation, sorted for the sake of the disk."""
    epoch, position = divmod(step, steps_per_epoch(n, batch_size))
    order = np.random.default_rng([seed, ORDER, epoch]).permutation(n)
    return np.sort(order[position * batch_size:(position + 1) * batch_size])


def training_batch(split, seed, step, n, batch_size, augmented):
    """The step's batch.  Without augmentation: the frames as they are, joints clamped to the frame."""
    rows = training_rows(seed, step, n, batch_size)
    if not augmented:
        return plain_batch(split, rows)
    samples = [augmentation.augment(split.images[row], split.joints[row],
                                    np.random.default_rng([seed, SAMPLE, step, row])) for row in rows]
    images, joints_xy = map(np.stack, zip(*samples))
    return finish(rows, images, joints_xy)


def plain_batch(split, rows, matrix=None):
    """Rows as they are, or all through one 2x3 matrix (augmentation.py), not augmented."""
    images, joints_xy = split.images[rows], joints.clamp_to_frame(split.joints[rows])
    if matrix is not None:
        images = np.stack([augmentation.warp(image, matrix) for image in images])
        joints_xy = augmentation.transform(matrix, joints_xy)
    return finish(rows, images, joints_xy)


def finish(rows, images, joints_xy):
    return Batch(rows.astype(np.int32), images, joints_xy, joints.render_targets(joints_xy))


def pipeline(*makes, ahead=2):
    """One stream of batches with several sources; each is a function step -> Batch.

    Prepared `ahead` on threads, always in order.  Returns (Batch of tensors, starts): session.run(*starts[i](first,
    last)) makes source i deliver the steps first .. last - 1, then OutOfRangeError.
    """
    iterator = tf.data.Iterator.from_structure(DTYPES, tuple(map(tf.TensorShape, SHAPES)))
    return Batch(*iterator.get_next()), [_source(iterator, make, ahead) for make in makes]


def _source(iterator, make, ahead):
    threads = min(len(os.sched_getaffinity(0)), 8)
    first, last = tf.placeholder(tf.int64, []), tf.placeholder(tf.int64, [])

    def load(step):
        arrays = tf.numpy_function(lambda s: tuple(make(int(s))), [step], DTYPES)
        for array, shape in zip(arrays, SHAPES):
            array.set_shape(shape)
        return tuple(arrays)

    data = tf.data.Dataset.range(first, last).map(load, num_parallel_calls=threads, deterministic=True).prefetch(ahead)
    initializer = iterator.make_initializer(data)
    return lambda start, stop: (initializer, {first: start, last: stop})
