"""Input: augmentation, and the scales of the evaluation."""

import concurrent.futures
from collections.abc import Callable, Iterator

import numpy as np

from jointpose import run_options
from jointpose.datasets import arrays
from jointpose.datasets.flic import MAP_HEIGHT, MAP_WIDTH, N_JOINTS, clamp_to_frame
from jointpose.nn import test_time_augmentation
from jointpose.nn.tf1 import tf
from jointpose.training import batches
from jointpose.vision.heatmaps import render_targets
from tools import baseline_tf1
from tools.benchmark.plain import plain_combined, plain_scaled
from tools.benchmark.sizes import Sizes
from tools.benchmark.table import Row
from tools.benchmark.timing import measure

BATCH = 14  # frames augmented at a time
AUGMENTATION_TARGET = 4  # of the ratio
MULTISCALE_TARGET = 40


def open_split(folder: str) -> arrays.Split:
    """The training people of a folder of arrays."""
    return arrays.load_split(folder, 'train', arrays.read_manifest(folder))


def plain_augmentation_step(folder: str, batch_size: int) -> Callable:
    """A function that augments a batch by tf.map_fn.

    Pictures and maps are floats in memory, and fed.
    """
    split = open_split(folder)
    images = split.images[:batch_size].astype(np.float32) / 255
    maps = render_targets(clamp_to_frame(split.joints[:batch_size]), (MAP_HEIGHT, MAP_WIDTH))
    with tf.Graph().as_default():
        image_place = tf.placeholder(tf.float32, images.shape)
        map_place = tf.placeholder(tf.float32, maps.shape)
        augmented = tf.map_fn(
            lambda sample: baseline_tf1.augment(*sample), (image_place, map_place)
        )
        operations = [tensor.op for tensor in augmented]
        session = tf.Session()
    return lambda: session.run(operations, {image_place: images, map_place: maps})


def bench_augmentation(sizes: Sizes, folder: str) -> Iterator[Row]:
    """As in training: as many batches at a time as the pipeline has threads.

    Plain makes them one after the other.
    """
    split = open_split(folder)
    pool = concurrent.futures.ThreadPoolExecutor(batches.THREADS)
    plain_batch = plain_augmentation_step(folder, BATCH)
    words = ['--train', '--data_augm', '--batch_size', str(BATCH)]
    _, system, *_ = run_options.resolve_options(words)

    def make_batch(step):
        batches.training_batch(system, split, step)

    def ours():
        list(pool.map(make_batch, range(batches.THREADS)))

    def plain():
        for _ in range(batches.THREADS):
            plain_batch()

    times, runs = measure(sizes.repeats, ours, plain)
    size = f'{batches.THREADS} batches of {BATCH}'
    yield Row('augmentation', size, *times, runs, AUGMENTATION_TARGET)


def bench_multiscale(sizes: Sizes, folder: str) -> Iterator[Row]:
    """Ours as in main.py: pictures on the pipeline's threads, one a call; maps in the graph."""
    split = open_split(folder)
    n = sizes.pictures
    n_scales = len(test_time_augmentation.SCALES)
    shape = (MAP_HEIGHT, MAP_WIDTH, N_JOINTS)
    maps = np.random.default_rng(0).random([n, n_scales, *shape], np.float32)
    pool = concurrent.futures.ThreadPoolExecutor(batches.THREADS)
    _, system, *_ = run_options.resolve_options(['--train'])
    with tf.Graph().as_default():
        place = tf.placeholder(tf.float32, [None, *shape])
        combined = test_time_augmentation.merge_views(place)
        session = tf.Session()

    def make_views(row):
        batches.views_batch(system, split, np.array([row]))

    def ours():
        list(pool.map(make_views, range(n)))
        for one in maps:
            session.run(combined, {place: one})

    def plain():
        for image, one in zip(split.images[:n], maps):
            plain_scaled(image)
            plain_combined(one)

    times, runs = measure(sizes.repeats, ours, plain)
    piece = 'multi-scale, before and after the network'
    yield Row(piece, f'{n} pictures, {n_scales} scales', *times, runs, MULTISCALE_TARGET)
