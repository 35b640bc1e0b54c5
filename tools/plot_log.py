"""Draws the loss and the rates of a run's log, or of several runs on one chart.

    python -m tools.plot_log models_ex/RUN --out loss.png
    python -m tools.plot_log models_ex/hrnet models_ex/hrnet_no_batch_norm --out ablations.png

One run has the loss of every step.  Of several, the loss and rate of the test people (with
--validation, of the validation split) are drawn by epoch, a line a run, named as its folder is.
"""

import contextlib
import itertools
import json
import os

import numpy as np

from jointpose.evaluation.predictions import TITLES
from jointpose.utils.cli import Parser, run_script
from jointpose.utils.errors import InputError
from jointpose.utils.files import atomic_write
from jointpose.vision import palette

SMOOTH = 20  # steps in the running mean that is drawn over the thin line of each


def read_lines(path: str, key: str = 'step') -> list[dict]:
    """The records of a .jsonl file that have this key.

    Lines that a killed run left torn are passed over.
    """
    records = []
    try:
        with open(path, encoding='utf-8', errors='replace') as file:
            for line in file:
                with contextlib.suppress(ValueError):
                    record = json.loads(line)
                    if isinstance(record, dict) and key in record:
                        records.append(record)
    except OSError as error:
        raise InputError(f'{path}: {error.strerror}') from error
    if not records:
        raise InputError(f'{path}: not a log of main.py')
    return records


def running_mean(values: np.ndarray) -> np.ndarray:
    """Mean over the last SMOOTH values (fewer at the start), and so without delay at a plateau only."""
    sums = np.cumsum(np.concatenate([[0], values]))
    last = np.arange(1, len(values) + 1)
    first = np.maximum(last - SMOOTH, 0)
    return (sums[last] - sums[first]) / (last - first)


def draw(axis_loss, axis_rate, steps: list[dict], epochs: list[dict]) -> None:
    """Draws a run.  steps, epochs: records of steps.jsonl and log.jsonl."""
    outputs = [name.removeprefix('loss_') for name in steps[0] if name.startswith('loss_')]
    for output, colour in zip(outputs, palette.MODEL_COLOURS):
        name = TITLES.get(output, output)
        draw_losses(axis_loss, steps, epochs, output, name, colour)
        draw_rates(axis_rate, epochs, output, name, colour)
    axis_loss.set(xlabel='update', ylabel='loss per joint', title='Loss')
    axis_rate.set(
        xlabel='update',
        ylabel='detection rate at radius 10, %',
        title='Detection rate',
        ylim=(0, 100),
        xlim=axis_loss.get_xlim(),
    )


def draw_losses(axis, steps: list[dict], epochs: list[dict], output: str, name: str, colour):
    """Draws an output's loss of each step, their running mean, and the test people's."""
    at = [record['step'] for record in steps]
    losses = np.array([record[f'loss_{output}'] for record in steps])
    axis.plot(at, losses, color=colour, alpha=0.25, linewidth=0.7)
    axis.plot(at, running_mean(losses), color=colour, label=f'{name}, training')
    at = [record['step'] for record in epochs]
    losses = [record['test'][f'loss_{output}'] for record in epochs]
    axis.plot(at, losses, palette.TEST_LINE, color=colour, label=f'{name}, test')


def draw_rates(axis, epochs: list[dict], output: str, name: str, colour) -> None:
    """Draws an output's rates of both splits."""
    at = [record['step'] for record in epochs]
    for split, style in (('train', palette.TRAIN_LINE), ('test', palette.TEST_LINE)):
        rates = [record[split][f'rate_{output}'] for record in epochs]
        axis.plot(at, rates, style, color=colour, label=f'{name}, {split}')


def draw_run(axis_loss, axis_rate, run: str) -> str:
    """Draws one run's steps and epochs; returns their numbers, in words."""
    steps = read_lines(os.path.join(run, 'steps.jsonl'))
    log = os.path.join(run, 'log.jsonl')
    epochs = read_lines(log) if os.path.exists(log) else []
    draw(axis_loss, axis_rate, steps, epochs)
    return f'{len(steps)} updates, {len(epochs)} epochs'


def draw_runs(axis_loss, axis_rate, *runs: str) -> str:
    """Draws test loss and rate of each run's prediction, its last output.

    Returns the numbers of epochs, in words.
    """
    found = []
    for run, colour in zip(runs, itertools.cycle(palette.MODEL_COLOURS)):
        name = os.path.basename(os.path.normpath(run))
        records = read_lines(os.path.join(run, 'log.jsonl'))
        losses = [key for key in records[0]['test'] if key.startswith('loss_')]
        output = losses[-1].removeprefix('loss_')
        epochs = [record['epoch'] for record in records]
        for axis, kind in ((axis_loss, 'loss'), (axis_rate, 'rate')):
            values = [record['test'][f'{kind}_{output}'] for record in records]
            axis.plot(epochs, values, palette.TEST_LINE, color=colour, label=name)
        found.append(f'{name} {len(records)} epochs')
    axis_loss.set(xlabel='epoch', ylabel='loss', yscale='log', title='Loss, people evaluated')
    axis_rate.set(xlabel='epoch', ylabel='rate, %', title='Rate, people evaluated', ylim=(0, 100))
    return ', '.join(found)


def main():
    parser = Parser(description=__doc__)
    parser.add_argument(
        'runs', nargs='+', metavar='run', help="a run's folder, with steps.jsonl and log.jsonl"
    )
    parser.add_argument('--out', default='loss.png', help='picture to write (default: %(default)s)')
    options = parser.parse_args()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout='constrained')
    axes = figure.subplots(1, 2)
    draw_all = draw_run if len(options.runs) == 1 else draw_runs
    found = draw_all(*axes, *options.runs)
    for axis in axes:
        axis.grid(alpha=0.3)
        axis.legend()
    with atomic_write(options.out) as partial:
        figure.savefig(partial, format='png', dpi=100)
    print(f'{options.out}: {found}')


if __name__ == '__main__':
    run_script(main)
