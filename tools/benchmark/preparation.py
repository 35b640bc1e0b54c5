"""Preparation: the displacement histograms, and data.py."""

import functools
import os
from collections.abc import Iterator

import numpy as np

from jointpose import data, pairwise_distr
from jointpose.datasets import array_writer, flic
from jointpose.datasets.flic import HEIGHT, N_MAPS, WIDTH
from tools.benchmark.plain import plain_arrays, plain_histograms
from tools.benchmark.sizes import Sizes
from tools.benchmark.table import Row
from tools.benchmark.timing import measure, script

TRAIN = 3987  # people of FLIC's training set
HISTOGRAM_TARGET = 15  # of the ratio
DECODING_TARGET = 0.8


def bench_histograms(sizes: Sizes, folder: str) -> Iterator[Row]:
    people = np.random.default_rng(0).random([TRAIN, N_MAPS, 2], np.float32) * (WIDTH, HEIGHT)
    times, runs = measure(
        sizes.repeats,
        lambda: pairwise_distr.pairwise_histograms(people, flic.MAP_SIZE),
        lambda: plain_histograms(people),
    )
    yield Row('displacement histograms', f'{TRAIN} people', *times, runs, HISTOGRAM_TARGET)


def bench_preprocessing(sizes: Sizes, folder: str) -> Iterator[Row]:
    """data.py, its start included, beside decoding alone by as many processes, and beside plain."""
    made = os.path.join(folder, 'synthetic_FLIC')
    meta = os.path.join(made, 'examples.mat')
    images = os.path.join(made, 'images')
    out = os.path.join(folder, 'again')
    people = flic.read_annotations(meta)
    paths = [os.path.join(images, file) for file in people.file]
    frames = [functools.partial(data.decode, path) for path in paths]

    def decoding():
        with array_writer.worker_pool(len(os.sched_getaffinity(0))) as pool:
            errors = pool.map(data.error_or_none, frames, chunksize=array_writer.ROWS_A_JOB)
            assert not any(errors)

    (ours, alone, plain), runs = measure(
        sizes.repeats,
        lambda: script('data.py', '--meta', meta, '--images', images, '--out', out),
        decoding,
        lambda: plain_arrays(folder, paths, people.joints_xy),
    )
    size = f'{len(paths)} pictures'
    piece = 'preprocessing beside JPEG decoding alone'
    yield Row(piece, size, ours, alone, runs, DECODING_TARGET)
    yield Row('preprocessing', size, ours, plain, runs)
