"""Growth: seconds and memory by batch size, by width, by pictures and by test people."""

import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tools.benchmark.sizes import Sizes
from tools.benchmark.spatial import spatial_step
from tools.benchmark.steps import training_step
from tools.benchmark.table import Growth
from tools.benchmark.timing import Process, measure, peak_memory, script


class Case(NamedTuple):
    """A step of one size."""

    piece: str
    size: str
    units: int  # samples
    make: Callable  # of the step
    arguments: tuple[Any, ...]  # of `make`


def bench_growth(sizes: Sizes, folder: str) -> Iterator[Growth]:
    """Yields the rows of the second table."""
    by_batch = [*spatial_cases(sizes), *step_cases(sizes, folder)]
    for cases in (by_batch, width_cases(sizes, folder)):
        if cases:
            yield from grow_in_process(cases, sizes.repeats)
    for n in (sizes.frames // 4, sizes.frames):
        yield grow_data(folder, n)
    if sizes.tests:
        script('pairwise_distr.py', '--data', folder)
    for n in sizes.tests:
        yield grow_evaluation(folder, n)


def spatial_cases(sizes: Sizes) -> list[Case]:
    """The spatial model's, by batch size."""
    piece = 'spatial model, forward + backward'
    return [Case(piece, f'batch {b}', b, spatial_step, (b, True)) for b in sizes.batches]


def step_cases(sizes: Sizes, folder: str) -> list[Case]:
    """The whole step's, by batch size."""
    piece = 'whole step, width 0.25'
    return [Case(piece, f'batch {b}', b, training_step, (folder, 1 / 4, b)) for b in sizes.batches]


def width_cases(sizes: Sizes, folder: str) -> list[Case]:
    """The whole step's, by width."""
    piece = 'whole step, batch 2'
    return [Case(piece, f'width {w:g}', 2, training_step, (folder, w, 2)) for w in sizes.widths]


def grow_in_process(cases: list[Case], repeats: int) -> Iterator[Growth]:
    """The rows of Cases in ascending order: the peak memory so far is that of the last one."""
    with Process(onednn=True) as process:
        for case in cases:
            step = process.function(case.make, *case.arguments)
            (seconds,), _ = measure(repeats, step)
            peak = process.call(peak_memory)
            yield Growth(case.piece, case.size, case.units, seconds.wall, peak)


def grow_data(folder: str, n: int) -> Growth:
    """data.py on n drawn pictures."""
    made = os.path.join(folder, f'first_{n}')
    synthetic = os.path.join(made, 'synthetic_FLIC')
    script('data.py', '--synthetic', str(n), '--out', made)
    words = ['data.py', '--meta', os.path.join(synthetic, 'examples.mat')]
    words += ['--images', os.path.join(synthetic, 'images')]
    words += ['--out', os.path.join(made, 'again')]
    seconds, peak = script(*words)
    return Growth('data.py', f'{n} pictures', n, seconds, peak)


def grow_evaluation(folder: str, n: int) -> Growth:
    """main.py's evaluation of n test people by an untrained network."""
    words = ['main.py', '--train', '--n_epochs', '0', '--debug', '--use_sm', '--data', folder]
    words += ['--test_examples', str(n), '--run', f'first_{n}', '--tb_folder', '']
    words += ['--model_path', os.path.join(folder, 'models')]
    words += ['--predictions', os.path.join(folder, 'predictions.mat')]
    seconds, peak = script(*words)
    piece = 'main.py: start and multi-scale evaluation, width 0.25'
    return Growth(piece, f'{n} test people', n, seconds, peak)
