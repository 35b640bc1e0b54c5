"""Draws a run's log: loss of every update and of the test people, and the rates; or several runs on one chart.

    python -m tools.plot_log models_ex/RUN --out loss.png
    python -m tools.plot_log models_ex/hrnet models_ex/hrnet_no_batch_norm models_ex/hrnet_identity --out ablations.png

Of several, loss and rate of the test people (with --validation, of those held out) by epoch, a line a run, named as its
folder is.
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

SMOOTH = 20  # updates in the running mean that is drawn over the thin line of each


def read_lines(path, key='step'):
    """The records of a .jsonl file, which all have this key; a line torn by a killed run is passed over."""
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


def running_mean(values):
    """Mean over the last SMOOTH values (fewer at the start), and so without delay at a plateau only."""
    sums = np.cumsum(np.concatenate([[0], values]))
    last = np.arange(1, len(values) + 1)
    first = np.maximum(last - SMOOTH, 0)
    return (sums[last] - sums[first]) / (last - first)


def draw(axis_loss, axis_rate, steps, epochs):
    step, at = ([record['step'] for record in records] for records in (steps, epochs))
    outputs = [name.removeprefix('loss_') for name in steps[0] if name.startswith('loss_')]
    for output, colour in zip(outputs, palette.MODEL_COLOURS):
        name = TITLES.get(output, output)
        losses = np.array([record[f'loss_{output}'] for record in steps])
        axis_loss.plot(step, losses, color=colour, alpha=0.25, linewidth=0.7)
        axis_loss.plot(step, running_mean(losses), color=colour, label=f'{name}, training')
        axis_loss.plot(
            at,
            [record['test'][f'loss_{output}'] for record in epochs],
            palette.TEST_LINE,
            color=colour,
            label=f'{name}, test',
        )
        for split, style in (('train', palette.TRAIN_LINE), ('test', palette.TEST_LINE)):
            axis_rate.plot(
                at,
                [record[split][f'rate_{output}'] for record in epochs],
                style,
                color=colour,
                label=f'{name}, {split}',
            )
    axis_loss.set(xlabel='update', ylabel='loss per joint', title='Loss')
    axis_rate.set(
        xlabel='update',
        ylabel='detection rate at radius 10, %',
        title='Detection rate',
        ylim=(0, 100),
        xlim=axis_loss.get_xlim(),
    )


def draw_run(axis_loss, axis_rate, run):
    """One run's updates and epochs; returns what there was."""
    steps, log = read_lines(os.path.join(run, 'steps.jsonl')), os.path.join(run, 'log.jsonl')
    epochs = read_lines(log) if os.path.exists(log) else []
    draw(axis_loss, axis_rate, steps, epochs)
    return f'{len(steps)} updates, {len(epochs)} epochs'


def draw_runs(axis_loss, axis_rate, *runs):
    """Test loss and rate of each run's answer, its last output; returns what there was."""
    found = []
    for run, colour in zip(runs, itertools.cycle(palette.MODEL_COLOURS)):
        name, epochs = (
            os.path.basename(os.path.normpath(run)),
            read_lines(os.path.join(run, 'log.jsonl')),
        )
        answer = [key for key in epochs[0]['test'] if key.startswith('loss_')][-1].removeprefix(
            'loss_'
        )
        for axis, kind in ((axis_loss, 'loss'), (axis_rate, 'rate')):
            axis.plot(
                [record['epoch'] for record in epochs],
                [record['test'][f'{kind}_{answer}'] for record in epochs],
                palette.TEST_LINE,
                color=colour,
                label=name,
            )
        found.append(f'{name} {len(epochs)} epochs')
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
    found = (draw_run if len(options.runs) == 1 else draw_runs)(*axes, *options.runs)
    for axis in axes:
        axis.grid(alpha=0.3)
        axis.legend()
    with atomic_write(options.out) as partial:
        figure.savefig(partial, format='png', dpi=100)
    print(f'{options.out}: {found}')


if __name__ == '__main__':
    run_script(main)
