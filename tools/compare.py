"""All systems on FLIC for the same processor time: one table, one chart.

    taskset -c 0 python -m tools.compare --minutes 10              train and score each system that --out does not have
    python -m tools.compare --table                                Markdown table and chart of the results so far

Each system is trained by main.py on the same people with the same flips, turns and zooms, batch, optimiser and kind of
schedule, narrowed and with its own options for short trainings (SHORT_TRAINING), for as many epochs as come nearest
to --minutes of its own processor time, which a first trial of two short epochs estimates and the log measures.  After
each epoch it is evaluated on people of the held-out tenth (--validation); at the end, once, on the test people, a
single view each.  Evaluations do not count as training time.
On one core processor time is time; on several, threads that wait for each other count, too.

--out holds a JSON line a system: system, minutes (asked for), arguments (main.py's), updates, epochs ([[processor
seconds so far, rate of held-out people], ...]), people, rates ({row of evaluate.py: rate at radius 10}), pck ({row:
PCK@0.2 of the torso box}), code.
"""

import os
import shutil

import numpy as np

from jointpose import systems
from jointpose.datasets import arrays
from jointpose.evaluation import detection_rates, predictions
from jointpose.metrics import key_points
from jointpose.utils.cli import Parser, positive_float, positive_int, run_script
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
# In training and at the end: after so few updates of spm hardly anybody's confidence is at the default.
EVALUATED = {'spm': ('--threshold', 0.05)}
# Elbow and wrist in %, PCK@0.2, observer-centric, trained to the end: Wei et al. 2016 (CPM), of lsho-rhip; table of
# Newell et al. 2016 (DeepPose), of the torso.
PUBLISHED = {'deeppose': (92.3, 82.0), 'cpm': (97.6, 95.0)}
ROWS = ('wrist', 'elbow', 'shoulder', 'hip', 'nose', 'mean of 9')
ANOTHER_RATE = {
    'cpm': 'held-out people within 25 pixels of the crop'
}  # what its log has instead of radius 10
CONSTANT = 'constant pose'  # the row of tools/constant_pose.py: the floor of all systems
TRIAL = 80  # people of the trial that estimates the time of a sample


# ---------------------------------------------------------------- running


def run_all(args):
    with experiments.open_results(args.out) as file:
        done = {row['system'] for row in results_of(args)}
        for name in args.systems:
            if name in done:
                continue
            row = measure(name, args)
            experiments.append(file, row)
            print(
                f'{name}: {row["updates"]} updates, mean of 9 {row["rates"]["mean of 9"]:.1f} %',
                flush=True,
            )


def measure(name, args):
    """Trains and scores one system: its line of --out."""
    run = os.path.join(args.model_path, f'{name}_{args.minutes:g}')
    for folder in (run, f'{run}_trial'):
        shutil.rmtree(folder, ignore_errors=True)
    evaluated = ('--system', name, *EVALUATED.get(name, ()))
    arguments = (*evaluated, *COMMON, *settings_of(name))
    places = ('--data', args.data, '--model_path', args.model_path)
    os.makedirs(args.model_path, exist_ok=True)
    run_main(
        '--train',
        *arguments,
        *places,
        '--validation',
        '--train_examples',
        TRIAL,
        '--test_examples',
        8,
        '--n_epochs',
        2,
        '--run',
        os.path.basename(f'{run}_trial'),
        '--predictions',
        f'{run}_trial.mat',
    )
    cpu_seconds = (
        read_lines(os.path.join(f'{run}_trial', 'log.jsonl'))[-1]['cpu_seconds']
        * args.train_examples
        / TRIAL
    )
    shutil.rmtree(f'{run}_trial')
    arguments += (
        '--train_examples',
        args.train_examples,
        '--n_epochs',
        max(1, round(60 * args.minutes / cpu_seconds)),
    )
    run_main(
        '--train',
        *arguments,
        *places,
        '--validation',
        '--test_examples',
        args.test_examples,
        '--run',
        os.path.basename(run),
        '--keep',
        1,
        '--predictions',
        f'{run}_held_out.mat',
    )
    path = f'{run}.mat'
    run_main('--restore', run, *evaluated, *places, '--predictions', path)
    epochs = read_lines(os.path.join(run, 'log.jsonl'))
    answer = [key for key in epochs[0]['test'] if key.startswith('rate_')][-1]
    times = np.cumsum([record['cpu_seconds'] for record in epochs])
    return {
        'system': name,
        'minutes': args.minutes,
        'arguments': [str(word) for word in arguments],
        **experiments.facts_of(run),
        'epochs': [
            [round(time, 1), round(record['test'][answer], 3)]
            for time, record in zip(times, epochs)
        ],
        **rates(path, args.data),
    }


def settings_of(name):
    """A system's options for a short training, or else --debug.  InputError if it has no FLIC."""
    system = systems.load(name)
    if 'flic' not in system.DATASETS:
        raise InputError(
            f'--systems {name}: is not trained on FLIC (data sets: {", ".join(system.DATASETS)})'
        )
    return system.SHORT_TRAINING or ('--debug',)


def run_main(*arguments):
    """Runs main.py; raises InputError where that does not end well."""
    if not experiments.call_main(arguments):
        raise InputError(
            f'its numbers did not stay finite: main.py {" ".join(map(repr, map(str, arguments)))}'
        )


def rates(path, data):
    """people, rates and pck of a line of --out, of a file's last model."""
    manifest = arrays.read_manifest(data)
    found = predictions.read(path, manifest)
    return rates_of(found, detection_rates.read_truth(data, manifest, found.split))


def rates_of(found, truth):
    """The same of Predictions and detection_rates.read_truth's truth."""
    result = {'people': len(found.rows)}
    for key, normaliser, radius in (('rates', 'lhip-rsho', 10), ('pck', 'torsobox', 20)):
        errors = list(detection_rates.score(found, truth, normaliser).values())[-1]
        each = key_points.detection_rate(errors, radius)
        result[key] = {
            row: round(float(each[columns].mean()), 2)
            for row, columns in detection_rates.row_groups(found.joints)
        }
    return result


# ---------------------------------------------------------------- results


def read_results(path):
    """The lines of --out; none where there is no such file, or nothing in it yet."""
    return read_lines(path, 'updates') if os.path.exists(path) and os.path.getsize(path) else []


def results_of(args):
    """The lines of --out that --minutes is about."""
    return [row for row in read_results(args.out) if row.get('minutes') == args.minutes]


def table(results, floors=()):
    """Markdown; floors: lines of tools/constant_pose.py, which take their place among the systems."""
    header = (
        'system',
        'width',
        'iterations',
        'minutes',
        'samples per second',
        *ROWS,
        'PCK@0.2 elbow, wrist',
        'published',
    )
    body = []
    for row in sorted([*results, *floors], key=lambda row: -row['rates']['mean of 9']):
        if row in floors:
            body.append((CONSTANT, *4 * '-', *found_in(row), '-'))
            continue
        seconds, width = row['epochs'][-1][0], value_of(row['arguments'], '--width', 'full')
        samples = int(value_of(row['arguments'], '--train_examples')) * len(row['epochs'])
        body.append(
            (
                row['system'],
                width,
                str(row['updates']),
                f'{seconds / 60:.1f}',
                f'{samples / seconds:.1f}',
                *found_in(row),
                '{:.1f}, {:.1f}'.format(*PUBLISHED[row['system']])
                if row['system'] in PUBLISHED
                else '-',
            )
        )
    return markdown(header, body)


def found_in(row):
    """The cells of a line's rates and PCK."""
    return [
        *(f'{row["rates"][name]:.1f}' for name in ROWS),
        f'{row["pck"]["elbow"]:.1f}, {row["pck"]["wrist"]:.1f}',
    ]


def value_of(arguments, option, otherwise=None):
    """What a command line says of an option, else `otherwise`."""
    return arguments[arguments.index(option) + 1] if option in arguments else otherwise


def chart(results, path):
    """Rate of held-out people over processor time, a line a system."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout='constrained')
    axis = figure.subplots()
    for row, colour in zip(results, palette.MODEL_COLOURS):
        seconds, values = np.transpose(row['epochs'])
        held_out = f', {ANOTHER_RATE[row["system"]]}' if row['system'] in ANOTHER_RATE else ''
        axis.plot(
            seconds / 60,
            values,
            palette.TEST_LINE,
            color=colour,
            markersize=4,
            label=row['system'] + held_out,
        )
        axis.plot(seconds[-1] / 60, row['rates']['mean of 9'], '*', color=colour, markersize=12)
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


# ---------------------------------------------------------------- command line


def parse(arguments=None):
    parser = Parser(description=__doc__)
    parser.add_argument(
        '--table', action='store_true', help='table and chart of the results so far, run nothing'
    )
    parser.add_argument(
        '--systems',
        nargs='+',
        choices=systems.names(),
        default=systems.names(),
        metavar='NAME',
        help='(default: %(default)s)',
    )
    parser.add_argument(
        '--minutes',
        type=positive_float,
        default=10,
        help='processor time of each (default: %(default)s)',
    )
    parser.add_argument(
        '--train_examples',
        type=positive_int,
        default=1000,
        metavar='N',
        help='people to train on (default: %(default)s)',
    )
    parser.add_argument(
        '--test_examples',
        type=positive_int,
        default=200,
        metavar='N',
        help='held-out people after each epoch (default: %(default)s)',
    )
    parser.add_argument(
        '--data',
        default='arrays',
        metavar='FOLDER',
        help='folder of data.py and pairwise_distr.py (default: %(default)s)',
    )
    parser.add_argument(
        '--model_path',
        default=os.path.join('models_ex', 'compare'),
        metavar='FOLDER',
        help='folder of the runs (default: %(default)s)',
    )
    parser.add_argument(
        '--out',
        default=os.path.join('report', 'comparison.jsonl'),
        metavar='FILE',
        help='results; the chart is beside, as .png (default: %(default)s)',
    )
    return parser.parse_args(arguments)


def main(arguments=None):
    args = parse(arguments)
    if not args.table:
        experiments.heed_sigterm()
        run_all(args)
    results = results_of(args)
    if not results:
        raise InputError(f'--out {args.out}: no results of --minutes {args.minutes:g}')
    print(table(results, [row for row in read_results(args.out) if row['system'] == CONSTANT]))
    chart(results, f'{os.path.splitext(args.out)[0]}.png')


if __name__ == '__main__':
    run_script(main)
