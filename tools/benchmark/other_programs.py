"""Training steps beside those of other programs (tools/baselines.py)."""

from collections.abc import Iterator

from tools.benchmark.sizes import Sizes
from tools.benchmark.steps import precisions, training_step
from tools.benchmark.table import Row
from tools.benchmark.timing import Baseline, measure

TORCH_TARGETS = {(1 / 8, 'bfloat16'): 1.6}  # {(width, precision): target of the ratio}


def bench_tf1(sizes: Sizes, folder: str, python: str) -> Iterator[Row]:
    """The whole step.  python: that of an environment with TensorFlow 1.15."""
    for width, batch_size in sizes.step:
        ours = [
            training_step(folder, width, batch_size, precision=precision)
            for precision in precisions()
        ]
        with Baseline(python, 'tf1', int(64 * width), batch_size) as other:
            (*times, plain), runs = measure(sizes.repeats, *ours, other)
        for precision, own in zip(precisions(), times):
            yield Row(
                f'whole step, {precision}, beside TensorFlow 1.15',
                f'width {width:g}, batch {batch_size}',
                own,
                plain,
                runs,
            )


def bench_torch(sizes: Sizes, folder: str, python: str) -> Iterator[Row]:
    """The part detector's step.  python: that of an environment with PyTorch."""
    for width, batch_size in sizes.torch:
        for precision in precisions():
            ours = training_step(
                folder, width, batch_size, use_sm=False, augmented=False, precision=precision
            )
            with Baseline(python, 'torch', int(64 * width), batch_size, precision) as other:
                times, runs = measure(sizes.repeats, ours, other)
            yield Row(
                f'part detector, training step, beside PyTorch, both in {precision}',
                f'width {width:g}, batch {batch_size}',
                *times,
                runs,
                TORCH_TARGETS.get((width, precision)),
            )
