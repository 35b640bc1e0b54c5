"""Compares all systems on FLIC after the same processor time of training: one table, one chart.

    taskset -c 0 python -m tools.compare --minutes 10   # train and score each system not yet in --out
    python -m tools.compare --table                     # Markdown table and chart of the results so far

Every system is trained by main.py on the same people, with the same augmentation, batch size,
optimizer and learning-rate schedule, at reduced width and with its own options for short trainings
(SHORT_TRAINING).  The number of epochs is the one that comes closest to --minutes of processor time
of the training: a trial of two short epochs estimates it, the log measures it.  After each epoch
the system is evaluated on people of the validation split (--validation), and once, at the end, on
the test people, a single view of each.  Evaluations do not count as training time.  Run it on one
core: on several, threads that wait for each other use processor time, too.

The chart has the name of --out, with .png.  --out holds one JSON line per system:

    system, minutes   the system and the processor time asked for
    arguments         options of main.py
    updates           iterations trained
    epochs            [[processor seconds so far, rate on the validation split], ...]
    people            test people
    rates             {row of evaluate.py: detection rate at radius 10}
    pck               {row: PCK@0.2, normalised by the torso box}
    code              version of the code that trained
"""

import argparse
import os
import shutil

import numpy as np

from jointpose import systems
from jointpose.datasets import arrays
from jointpose.evaluation import detection_rates, predictions
from jointpose.metrics import key_points
from jointpose.utils.cli import Parser, positive_float, run_script
from jointpose.utils.errors import InputError
from jointpose.utils.files import atomic_write
from jointpose.utils.tables import markdown
from jointpose.vision import palette
from tools import experiments
from tools.plot_log import read_lines

COMMON = (
    '--dataset',
    'flic',
    '--data_augm',
    '--rotation',
    15,
    '--zoom',
    0.75,
    1.35,
    '--batch_size',
    8,
    '--optimizer',
    'adam',
    '--lr',
    0.001,
    '--schedule',
    'cosine',
    '--tb_folder',
    '',
)
# Options of every evaluation, in training and at the end.  After so short a training few people have
# a score of spm's default threshold.  All systems see a single view.
EVALUATION_OPTIONS = {'spm': ('--threshold', 0.05), 'hrnet': ('--no_flip_average',)}
# PCK@0.2 of elbow and wrist in %, observer-centric, of fully trained networks.  CPM: Wei et al.
# 2016, normalised by lsho-rhip.  DeepPose: from a table of Newell et al. 2016, by the torso.
PUBLISHED = {'deeppose': (92.3, 82.0), 'cpm': (97.6, 95.0)}
ROWS = ('wrist', 'elbow', 'shoulder', 'hip', 'nose', 'mean of 9')
# What the log of a system has in place of the detection rate at radius 10.
OTHER_VALIDATION_RATE = {'cpm': 'held-out people within 25 pixels of the crop'}
CONSTANT = 'constant pose'  # the baseline of tools/constant_pose.py, which ignores the picture
TRIAL_EXAMPLES = 80  # people of the trial that estimates the processor time of a sample
HEADER = (
    'system',
    'width',
    'iterations',
    'minutes',
    'samples per second',
    *ROWS,
    'PCK@0.2 elbow, wrist',
    'published',
)


# ---------------------------------------------------------------- running


def run_all(args) -> None:
    """Trains and scores the systems that --out does not have yet; appends a line for each."""
    with experiments.open_results(args.out) as file:
        done = {row['system'] for row in results_of(args)}
        for name in args.systems:
            if name in done:
                continue
            row = measure(name, args)
            experiments.append(file, row)
            mean = row['rates']['mean of 9']
            print(f'{name}: {row["updates"]} iterations, mean of 9 {mean:.1f} %', flush=True)


def measure(name: str, args) -> dict:
    """Trains and scores one system; returns its line of --out."""
    run = os.path.join(args.model_path, f'{name}_{args.minutes:g}')
    for folder in (run, f'{run}_trial'):
        shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(args.model_path, exist_ok=True)
    system_options = ('--system', name, *EVALUATION_OPTIONS.get(name, ()))
    folder_options = ('--data', args.data, '--model_path', args.model_path)
    arguments = (*system_options, *COMMON, *settings_of(name))

    seconds = seconds_of_epoch(f'{run}_trial', (*arguments, *folder_options), args.train_examples)
    n_epochs = max(1, round(60 * args.minutes / seconds))
    arguments += ('--train_examples', args.train_examples, '--n_epochs', n_epochs)
    train(run, (*arguments, *folder_options), args.test_examples)
    path = f'{run}.mat'
    run_main('--restore', run, *system_options, *folder_options, '--predictions', path)
    return {
        'system': name,
        'minutes': args.minutes,
        'arguments': [str(word) for word in arguments],
        **experiments.facts_of(run),
        'epochs': validation_curve(read_log(run)),
        **rates(path, args.data),
    }


def seconds_of_epoch(run: str, arguments: tuple, n_examples: int) -> float:
    """The processor seconds of an epoch of `n_examples` people.

    Estimated from the second epoch of a trial, whose folder is deleted.
    """
    run_main(
        '--train',
        *arguments,
        '--validation',
        '--train_examples',
        TRIAL_EXAMPLES,
        '--test_examples',
        8,
        '--n_epochs',
        2,
        '--run',
        os.path.basename(run),
        '--predictions',
        f'{run}.mat',
    )
    seconds = read_log(run)[-1]['cpu_seconds'] * n_examples / TRIAL_EXAMPLES
    shutil.rmtree(run)
    return seconds


def train(run: str, arguments: tuple, n_validation: int) -> None:
    """Trains a system, evaluated after each epoch on `n_validation` people."""
    run_main(
        '--train',
        *arguments,
        '--validation',
        '--test_examples',
        n_validation,
        '--run',
        os.path.basename(run),
        '--keep',
        1,
        '--predictions',
        f'{run}_held_out.mat',
    )


def read_log(run: str) -> list[dict]:
    """The records of a run's log, one per epoch."""
    return read_lines(os.path.join(run, 'log.jsonl'))


def validation_curve(epochs: list[dict]) -> list[list[float]]:
    """[[processor seconds so far, rate of the last output head], ...], a pair for each epoch."""
    rate_name = [key for key in epochs[0]['test'] if key.startswith('rate_')][-1]
    times = np.cumsum([record['cpu_seconds'] for record in epochs])
    curve = []
    for time, record in zip(times, epochs):
        curve.append([round(time, 1), round(record['test'][rate_name], 3)])
    return curve


def settings_of(name: str) -> tuple:
    """A system's options for a short training; --debug if it has none.

    Raises InputError if the system is not trained on FLIC.
    """
    system = systems.load(name)
    if 'flic' not in system.DATASETS:
        known = ', '.join(system.DATASETS)
        raise InputError(f'--systems {name}: is not trained on FLIC (data sets: {known})')
    return system.SHORT_TRAINING or ('--debug',)


def run_main(*arguments) -> None:
    """Runs main.py; raises InputError if it fails or if its loss becomes non-finite."""
    if not experiments.call_main(arguments):
        words = ' '.join(repr(str(word)) for word in arguments)
        raise InputError(f'the loss did not stay finite: main.py {words}')


def rates(path: str, data: str) -> dict:
    """The fields people, rates and pck of a line of --out, from a file of predictions."""
    manifest = arrays.read_manifest(data)
    predicted = predictions.read(path, manifest)
    return rates_of(predicted, detection_rates.read_truth(data, manifest, predicted.split))


def rates_of(predicted: predictions.Predictions, truth: detection_rates.Truth) -> dict:
    """The fields people, rates and pck of predictions, of their last output head."""
    result = {'people': len(predicted.rows)}
    for key, normaliser, radius in (('rates', 'lhip-rsho', 10), ('pck', 'torsobox', 20)):
        errors = list(detection_rates.score(predicted, truth, normaliser).values())[-1]
        joint_rates = key_points.detection_rate(errors, radius)
        result[key] = {
            row: round(float(joint_rates[columns].mean()), 2)
            for row, columns in detection_rates.row_groups(predicted.joints)
        }
    return result


# ---------------------------------------------------------------- results


def read_results(path: str) -> list[dict]:
    """The lines of --out; [] if the file does not exist or is empty."""
    if not os.path.exists(path) or not os.path.getsize(path):
        return []
    return read_lines(path, 'updates')


def results_of(args) -> list[dict]:
    """The lines of --out that were trained for --minutes."""
    return [row for row in read_results(args.out) if row.get('minutes') == args.minutes]


def table(results: list[dict], baselines: list[dict]) -> str:
    """The results as a Markdown table, the highest mean rate first.

    Args:
        results: lines of --out.
        baselines: lines of tools/constant_pose.py, sorted in among the systems.
    """
    lines = []
    for row in results:
        lines.append((row['rates']['mean of 9'], system_cells(row)))
    for row in baselines:
        lines.append((row['rates']['mean of 9'], (CONSTANT, *4 * '-', *rate_cells(row), '-')))
    lines.sort(key=lambda line: -line[0])
    return markdown(HEADER, [cells for _, cells in lines])


def system_cells(row: dict) -> tuple[str, ...]:
    """The cells of a system, one for each of HEADER."""
    seconds = row['epochs'][-1][0]
    samples = int(option_value(row['arguments'], '--train_examples')) * len(row['epochs'])
    published = '-'
    if row['system'] in PUBLISHED:
        elbow, wrist = PUBLISHED[row['system']]
        published = f'{elbow:.1f}, {wrist:.1f}'
    return (
        row['system'],
        option_value(row['arguments'], '--width', 'full'),
        str(row['updates']),
        f'{seconds / 60:.1f}',
        f'{samples / seconds:.1f}',
        *rate_cells(row),
        published,
    )


def rate_cells(row: dict) -> list[str]:
    """The cells of a line's detection rates and PCK."""
    pck = row['pck']
    cells = [f'{row["rates"][name]:.1f}' for name in ROWS]
    return [*cells, f'{pck["elbow"]:.1f}, {pck["wrist"]:.1f}']


def option_value(arguments: list[str], option: str, default: str | None = None) -> str | None:
    """The value of an option on a command line; `default` if it is not there."""
    return arguments[arguments.index(option) + 1] if option in arguments else default


def chart(results: list[dict], path: str) -> None:
    """Draws the rate on the validation split over processor time, a line for each system."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout='constrained')
    axis = figure.subplots()
    for row, colour in zip(results, palette.MODEL_COLOURS):
        draw_system(axis, row, colour)
    axis.set(
        xlabel='processor time of training, minutes',
        ylabel='joints within radius 10, %',
        ylim=(0, 100),
        title='Held-out people after each epoch; stars: the test people, at the end',
    )
    axis.grid(alpha=0.3)
    figure.legend(loc='outside lower center', ncols=3)
    with atomic_write(path) as partial:
        figure.savefig(partial, format='png', dpi=100)


def draw_system(axis, row: dict, colour: str) -> None:
    """Draws a system's validation rates as a line, its test rate as a star."""
    seconds, values = np.transpose(row['epochs'])
    label = row['system']
    if label in OTHER_VALIDATION_RATE:
        label += f', {OTHER_VALIDATION_RATE[label]}'
    axis.plot(seconds / 60, values, palette.TEST_LINE, color=colour, markersize=4, label=label)
    axis.plot(seconds[-1] / 60, row['rates']['mean of 9'], '*', color=colour, markersize=12)


# ---------------------------------------------------------------- command line


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The options of a command line; None: of this process's own."""
    parser = Parser(description=__doc__)
    parser.add_argument(
        '--table',
        action='store_true',
        help='make the table and the chart of the results so far, train nothing',
    )
    parser.add_argument(
        '--systems',
        nargs='+',
        choices=systems.names(),
        default=systems.names(),
        metavar='NAME',
        help='systems to train (default: %(default)s)',
    )
    parser.add_argument(
        '--minutes',
        type=positive_float,
        default=10,
        help='processor time of training, for each system (default: %(default)s)',
    )
    experiments.add_people(parser, train_examples=1000, test_examples=200)
    experiments.add_places(parser, runs='compare', results='comparison.jsonl')
    return parser.parse_args(arguments)


def main(arguments=None):
    """Trains what is missing, unless --table; prints the table and draws the chart."""
    args = parse(arguments)
    if not args.table:
        experiments.heed_sigterm()
        run_all(args)
    results = results_of(args)
    if not results:
        raise InputError(f'--out {args.out}: no results of --minutes {args.minutes:g}')
    baselines = [row for row in read_results(args.out) if row['system'] == CONSTANT]
    print(table(results, baselines))
    chart(results, f'{os.path.splitext(args.out)[0]}.png')


if __name__ == '__main__':
    run_script(main)
