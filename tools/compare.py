"""Compares the five systems on FLIC: one table of the published weights, one chart of how they learnt.

    python -m tools.compare                      # prints the table, draws report/comparison.png
    taskset -c 0 python -m tools.compare --speed # first measures how long each system trains for a person

Rates come from the joints stored in report/predictions, numbers of people and the chart from the
logs of pretrained/.  The weights were trained on different machines, whose processor times cannot
be compared.  So time here is people trained on, times the processor seconds that one of them takes
on the machine of --speed, which writes them to report/comparison.jsonl:

    weights           folder of the published weights
    seconds           processor seconds of training, a person
    code              version of the code that was measured
"""

import json
import os
import shutil
import tempfile
from typing import NamedTuple

import numpy as np

from jointpose.datasets import arrays
from jointpose.evaluation import detection_rates, predictions
from jointpose.metrics import key_points
from jointpose.utils.cli import Parser, run_script
from jointpose.utils.errors import InputError
from jointpose.utils.files import atomic_write
from jointpose.utils.tables import markdown
from jointpose.vision import palette
from tools import constant_pose, experiments, rate_tables
from tools.plot_log import read_lines

TRIAL_PEOPLE = 160  # of an epoch whose time is measured; the first of two is not counted
ROWS = ('wrist', 'elbow', 'shoulder', 'hip', 'nose', 'mean of 9')
HEADER = (
    'system',
    'width',
    'CPU hours',
    'epochs',
    *ROWS,
    'PCK@0.2 elbow, wrist',
    'published',
)
EARLIER = (
    'first_stage'  # folder in one of weights: log and settings of the training they began with
)


class Compared(NamedTuple):
    """A system's row."""

    system: str
    weights: str  # folder of the published weights
    stored: str  # name of the test people's joints in report/predictions
    published: tuple[float, ...] = ()  # PCK@0.2 of elbow and wrist, of a fully trained network


# Published rates are observer-centric.  CPM: Wei et al. 2016, normalised by lsho-rhip.  DeepPose: from
# a table of Newell et al. 2016, by the torso.
COMPARED = (
    Compared('tompson', 'pretrained/flic', 'eighth_torsobox'),
    Compared('hrnet', 'pretrained/hrnet_flic', 'hrnet'),
    Compared('cpm', 'pretrained/cpm_flic', 'cpm', (97.6, 95.0)),
    Compared('deeppose', 'pretrained/deeppose_flic', 'deeppose', (92.3, 82.0)),
)


# ---------------------------------------------------------------- logs


class Stage(NamedTuple):
    """One training of published weights, of which there may be two."""

    settings: dict
    samples: np.ndarray  # [n] people trained on so far, at each record (of spm: frames)
    rates: np.ndarray  # [n] rate in % of the logged test people, last output
    total: int  # samples in all, a last epoch cut short included
    epochs: float  # those they make


def read_stages(weights: str) -> list[Stage]:
    """The trainings of a folder of weights, the first one first."""
    folders = [os.path.join(weights, EARLIER), weights]
    return [read_stage(folder) for folder in folders if os.path.isdir(folder)]


def read_stage(folder: str) -> Stage:
    """The training whose settings and logs a folder holds."""
    with open(os.path.join(folder, 'settings.json'), encoding='utf-8') as file:
        settings = json.load(file)
    records = read_lines(os.path.join(folder, 'log.jsonl'))
    rate = [key for key in records[0]['test'] if key.startswith('rate_')][-1]
    rates = np.array([record['test'][rate] for record in records])
    steps = np.array([record['step'] for record in records])
    last_step = read_lines(os.path.join(folder, 'steps.jsonl'))[-1]['step']
    steps_an_epoch = records[0]['step'] / records[0]['epoch']
    batch_size = settings['batch_size']
    epochs = last_step / steps_an_epoch
    return Stage(settings, batch_size * steps, rates, batch_size * last_step, epochs)


def learning_curve(stages: list[Stage]) -> tuple[np.ndarray, np.ndarray]:
    """Samples trained on so far, over all stages, and the rates then: [n], [n]."""
    before = 0
    samples = []
    for stage in stages:
        samples.append(before + stage.samples)
        before += stage.total
    return np.concatenate(samples), np.concatenate([stage.rates for stage in stages])


# ---------------------------------------------------------------- speed


def measure_all(out: str, data: str) -> None:
    """Measures each system's training; writes the file anew."""
    lines = []
    for row in COMPARED:
        lines.append(measure(row, data))
        print(f'{row.system}: {lines[-1]["seconds"]:.3f} s', flush=True)
    with atomic_write(out) as partial, open(partial, 'w', encoding='utf-8') as file:
        file.writelines(json.dumps(line) + '\n' for line in lines)


def measure(row: Compared, data: str) -> dict:
    """The line of one system: its second of two epochs, trained as the weights were."""
    folder = tempfile.mkdtemp()
    try:
        finite = experiments.call_main(trial_options(row, folder, data))
        if not finite:
            raise InputError(f'{row.weights}: the loss did not stay finite')
        run = os.path.join(folder, 'trial')
        seconds = read_lines(os.path.join(run, 'log.jsonl'))[-1]['cpu_seconds']
        code = experiments.facts_of(run)['code']
    finally:
        shutil.rmtree(folder)
    return {'weights': row.weights, 'seconds': round(seconds / TRIAL_PEOPLE, 4), 'code': code}


def trial_options(row: Compared, folder: str, data: str) -> list:
    """The options of main.py for two short epochs, as the last training of the weights had them."""
    *_, stage = read_stages(row.weights)
    return [
        '--train',
        *('--init', row.weights, '--system', row.system, '--dataset', 'flic'),
        *('--batch_size', stage.settings['batch_size'], '--data_augm'),
        *('--n_epochs', 2, '--train_examples', TRIAL_PEOPLE, '--validation', '--test_examples', 8),
        *('--data', data, '--model_path', folder, '--run', 'trial', '--tb_folder', ''),
        *('--predictions', os.path.join(folder, 'trial.mat')),
    ]


def read_speeds(path: str) -> dict[str, float]:
    """{weights: processor seconds of training, a person}."""
    return {line['weights']: line['seconds'] for line in read_lines(path, 'seconds')}


# ---------------------------------------------------------------- table


def rates_of(found: predictions.Predictions, truth: detection_rates.Truth) -> tuple[dict, dict]:
    """The rates at radius 10 and PCK@0.2 of the last model: {row: %} each."""
    result = []
    for normaliser, radius in (('lhip-rsho', 10), ('torsobox', 20)):
        errors = list(detection_rates.score(found, truth, normaliser).values())[-1]
        joint_rates = key_points.detection_rate(errors, radius)
        groups = detection_rates.row_groups(found.joints)
        result.append({row: float(joint_rates[columns].mean()) for row, columns in groups})
    return tuple(result)


def rate_cells(rates: dict, pck: dict) -> list[str]:
    """The cells of ROWS, and that of PCK@0.2."""
    cells = [f'{rates[name]:.1f}' for name in ROWS]
    return [*cells, f'{pck["elbow"]:.1f}, {pck["wrist"]:.1f}']


def table(data: str, folder: str, speeds: dict[str, float]) -> str:
    """All systems and the constant pose as a Markdown table, the highest mean rate first.

    folder: of the stored joints.
    """
    manifest = arrays.read_manifest(data)
    truth = detection_rates.read_truth(data, manifest, 'test')
    lines = []
    for row in COMPARED:
        path = rate_tables.stored_path(folder, row.stored)
        found = rates_of(predictions.read(path, manifest), truth)
        stages = read_stages(row.weights)
        samples = sum(stage.total for stage in stages)
        cells = (
            row.system,
            str(stages[-1].settings['width']),
            f'{samples * speeds[row.weights] / 3600:.1f}',
            f'{sum(stage.epochs for stage in stages):.1f}',
            *rate_cells(*found),
            ', '.join(f'{rate:.1f}' for rate in row.published) or '-',
        )
        lines.append((found[0]['mean of 9'], cells))
    found = rates_of(constant_pose.of_flic(data, manifest), truth)
    lines.append((found[0]['mean of 9'], (constant_pose.TITLE, *3 * '-', *rate_cells(*found), '-')))
    lines.sort(key=lambda line: -line[0])
    return markdown(HEADER, [cells for _, cells in lines])


# ---------------------------------------------------------------- chart


def chart(path: str, speeds: dict[str, float], floor: float) -> None:
    """Draws the rate of the logged test people over processor time, a line for each system.

    floor: the constant pose's rate in %.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout='constrained')
    axis = figure.subplots()
    for row, colour in zip(COMPARED, palette.MODEL_COLOURS):
        samples, rates = learning_curve(read_stages(row.weights))
        hours = samples * speeds[row.weights] / 3600
        axis.plot(hours, rates, palette.TEST_LINE, color=colour, markersize=4, label=row.system)
    axis.axhline(floor, color='grey', linestyle='--', label=constant_pose.TITLE)
    axis.set(
        xlabel='processor time of training, hours',
        ylabel='joints within radius 10, %',
        xlim=(0, None),
        ylim=(0, 100),
        title='200 test people after each epoch, a single view of each',
    )
    axis.grid(alpha=0.3)
    figure.legend(loc='outside lower center', ncols=3)
    with atomic_write(path) as partial:
        figure.savefig(partial, format='png', dpi=100)


# ---------------------------------------------------------------- command line


def main():
    """Measures if asked to, then prints the table and draws the chart."""
    parser = Parser(description=__doc__)
    parser.add_argument(
        '--data', default='arrays', metavar='FOLDER', help="FLIC's arrays (default: %(default)s)"
    )
    parser.add_argument(
        '--speed', action='store_true', help='measure the speed of training first: 6 minutes'
    )
    parser.add_argument(
        '--folder',
        default=rate_tables.FOLDER,
        help='folder of the stored joints (default: %(default)s)',
    )
    parser.add_argument(
        '--out',
        default=os.path.join('report', 'comparison.jsonl'),
        metavar='FILE',
        help='speeds, a JSON line each; the chart has the same name, with .png (default: %(default)s)',
    )
    args = parser.parse_args()
    experiments.heed_sigterm()
    if args.speed:
        measure_all(args.out, args.data)
    speeds = read_speeds(args.out)
    if absent := [row.weights for row in COMPARED if row.weights not in speeds]:
        raise InputError(f'--out {args.out}: has no speed of {absent[0]}; measure with --speed')
    print(table(args.data, args.folder, speeds))
    manifest = arrays.read_manifest(args.data)
    truth = detection_rates.read_truth(args.data, manifest, 'test')
    floor, _ = rates_of(constant_pose.of_flic(args.data, manifest), truth)
    path = f'{os.path.splitext(args.out)[0]}.png'
    chart(path, speeds, floor['mean of 9'])
    print(path)


if __name__ == '__main__':
    run_script(main)
