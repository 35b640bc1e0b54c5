"""The Markdown tables of results.md, each followed by the command that gives its numbers."""

import argparse
import os
import shlex
from typing import NamedTuple

import numpy as np

from jointpose import run_options
from jointpose.datasets import flic
from jointpose.evaluation import detection_rates
from jointpose.metrics import key_points
from jointpose.metrics.key_points import MAX_RADIUS, detection_rate
from jointpose.utils.tables import markdown
from tools.analysis import gains
from tools.figures import JOINT_MODEL, PART_DETECTOR, Published
from tools.report_material import NORMALISER, RADIUS, Material

PUBLISHED_RADII = (10, 20)
JOINT_NAMES = {'lwri': 'wrist', 'lelb': 'elbow', 'lsho': 'shoulder', 'nose': 'nose', 'lhip': 'hip'}


class PublishedRates(NamedTuple):
    """Detection rates of a system, or ours beside them."""

    system: str
    model: str
    rates: dict[str, tuple[float, ...]]  # {joint: rates in % at the first of PUBLISHED_RADII}


# Rates of left joints on FLIC.  paper: Tompson et al. 2014; reference: joint-cnn-mrf (Andriushchenko
# & Yue, 2018).  Both publish curves: these numbers are read off plots, to about a point.  The side of
# the first two rows of the paper is not known.
PUBLISHED = (
    PublishedRates('paper', PART_DETECTOR, {'lwri': (66, 74)}),
    PublishedRates('paper', 'with spatial model, not joint', {'lwri': (75, 85)}),
    PublishedRates(
        'paper',
        JOINT_MODEL,
        {
            'lwri': (79.5, 88),
            'lelb': (78, 91.5),
            'lsho': (94, 98.5),
            'nose': (93, 98),
        },
    ),
    PublishedRates(
        'reference',
        PART_DETECTOR,
        {
            'lwri': (72,),
            'lelb': (75.5,),
            'lsho': (85.5,),
            'nose': (88,),
            'lhip': (50.5,),
        },
    ),
    PublishedRates(
        'reference',
        JOINT_MODEL,
        {
            'lwri': (79, 87),
            'lelb': (81, 94),
            'lsho': (93.5, 98),
            'nose': (95.5, 98),
            'lhip': (57.5, 85.5),
        },
    ),
)


def published_points() -> list[Published]:
    """PUBLISHED as points of the figure of curves, one for each joint and radius."""
    points = []
    for system, model, joint_rates in PUBLISHED:
        for joint, rates in joint_rates.items():
            for radius, rate in zip(PUBLISHED_RADII, rates):
                points.append(Published(system, model, joint, radius, rate))
    return points


# ---------------------------------------------------------------- the file


def results(material: Material) -> str:
    """The text of results.md."""
    parts = [
        f'Detection rates of `{material.options.run}`, joint by joint.\n\n'
        'Written by `python -m tools.report`. '
        'Below each table is the command that gives its numbers.\n',
        rates_section(material),
        published_section(material),
    ]
    if JOINT_MODEL in material.errors:
        parts.append(helped_section(material))
    parts.append(training_section(material))
    return '\n'.join(parts)


def section(heading: str, body: str, command: str, note: str) -> str:
    """A heading, a table, a note and a command."""
    return f'### {heading}\n\n{body}\n\n{note}\n\nCommand: `{command}`\n'


# ---------------------------------------------------------------- detection rates


def rates_section(material: Material) -> str:
    """The table of evaluate.py, without radius 15."""
    header = ['joint']
    columns = []
    for model, errors in material.errors.items():
        header += [f'{model} @5', '@10', '@20', 'AUC']
        columns += [detection_rate(errors, radius) for radius in (5, 10, 20)]
        columns.append(key_points.area_under_curve(errors))
    rows = grouped_rows(np.stack(columns))  # [4 * models, 9]
    means = []
    for model, errors in material.errors_by('lsho-rhip').items():
        means.append(f'{model} {mean_rate(errors):.1f}')
    found = material.found
    note = (
        f'{len(found.rows)} people of the {found.split} split. A rate is the % of joints within '
        f'the radius, which is in % of ‖{NORMALISER}‖; AUC is over radii 0 to {MAX_RADIUS}. '
        f'With the normaliser of the reference, ‖lsho-rhip‖, the mean at radius {RADIUS} is: '
        f'{", ".join(means)}.{how(material)}'
    )
    table = markdown(header, rows)
    return section('Detection rates', table, evaluation_command(material.options), note)


def grouped_rows(values: np.ndarray) -> list[list[str]]:
    """Rows of text, one for each row of evaluate.py: the label, then the mean over its joints.

    Args:
        values: [columns, 9], of each joint.
    """
    rows = []
    for label, group in detection_rates.row_groups(flic.JOINTS):
        means = values[:, group].mean(axis=1)
        rows.append([label, *(f'{mean:.1f}' for mean in means)])
    return rows


def mean_rate(errors: np.ndarray, radius: float = RADIUS) -> float:
    """The detection rate in % of errors [n, 9], averaged over the joints."""
    return detection_rate(errors, radius).mean()


def evaluation_command(options: argparse.Namespace) -> str:
    """The command that prints the rates of the predictions."""
    return shlex.join(['python', 'evaluate.py', options.predictions, '--data', options.data])


def how(material: Material) -> str:
    """' Predicted with `OPTIONS`.'; '' if the predictions do not state their options."""
    return f' Predicted with `{material.found.how}`.' if material.found.how else ''


def published_section(material: Material) -> str:
    """Left joints of every system; a cell has the rate at radius 10, and at 20 where known."""
    systems = [*PUBLISHED]
    for model, errors in material.errors.items():
        systems.append(PublishedRates('ours', model, left_rates(errors)))
    rows = []
    for system, model, rates in systems:
        rows.append([f'{system}, {model}', *(cell(rates.get(joint)) for joint in JOINT_NAMES)])
    note = (
        'Left joints, rate in % at radius 10 (20). Published numbers are read off plots, to about '
        'a point. Paper: Tompson et al. 2014; the side of its first two rows is unknown. '
        'Reference: joint-cnn-mrf, 2018; it scores against joints rounded to 8 px and divides by '
        f'‖lsho-rhip‖.{how(material)}'
    )
    return section(
        'Comparison with published results',
        markdown(['system', *JOINT_NAMES.values()], rows),
        evaluation_command(material.options),
        note,
    )


def left_rates(errors: np.ndarray) -> dict[str, tuple[float, ...]]:
    """{joint: rates in % at PUBLISHED_RADII} of the joints of JOINT_NAMES; errors: [n, 9]."""
    result = {}
    for joint in JOINT_NAMES:
        joint_errors = errors[:, flic.JOINTS.index(joint)]
        result[joint] = tuple(detection_rate(joint_errors, radius) for radius in PUBLISHED_RADII)
    return result


def cell(rates: tuple[float, ...] | None) -> str:
    """(79.5, 88) -> '79.5 (88.0)', (72,) -> '72.0', None -> ''."""
    if not rates:
        return ''
    first, *others = (f'{rate:.1f}' for rate in rates)
    return ' '.join([first, *(f'({rate})' for rate in others)])


def helped_section(material: Material) -> str:
    """The shares of joints found by both models, by either or by none."""
    errors_pd, errors_sm = material.errors_of_both()
    found_pd = errors_pd <= RADIUS
    found_sm = errors_sm <= RADIUS
    outcomes = {
        'both': found_pd & found_sm,
        'joint model only': found_sm & ~found_pd,
        'part detector only': found_pd & ~found_sm,
        'neither': ~found_pd & ~found_sm,
    }
    percentages = 100 * np.stack(list(outcomes.values())).mean(axis=1)  # [4, 9]
    gain = gains(errors_pd, errors_sm)
    note = (
        f'% of joints at radius {RADIUS}. The mean error over the joints (each clipped at '
        f'{MAX_RADIUS} %) falls for {100 * (gain > 0).mean():.1f} % of the people and rises for '
        f'{100 * (gain < 0).mean():.1f} %.'
    )
    return section(
        'Joints found by both models, one or none',
        markdown(['joint', *outcomes], grouped_rows(percentages)),
        report_command(material.options, 'results'),
        note,
    )


def report_command(options: argparse.Namespace, name: str) -> str:
    """The command that makes one part of the report."""
    words = ['python', '-m', 'tools.report']
    for option in ('run', 'predictions', 'data', 'out'):
        words += [f'--{option}', getattr(options, option)]
    return shlex.join([*words, '--only', name])


# ---------------------------------------------------------------- training


def training_section(material: Material) -> str:
    """Iterations, times and test rates of the training, from the run's logs."""
    epochs = material.log('log')
    settings = material.settings
    rate_name = [name for name in epochs[0]['test'] if name.startswith('rate_')][-1]
    rows = [
        *iteration_rows(material.log('steps'), settings['batch_size']),
        *epoch_rows(epochs, rate_name),
    ]
    count = settings.get('test_examples') or 'all'
    model = JOINT_MODEL if rate_name == 'rate_sm' else PART_DETECTOR
    note = f'Rates at radius {RADIUS}, {model}, one scale, {count} test people.'
    return section(
        'Training',
        markdown(['', settings_line(settings)], rows),
        training_command(settings, material.options),
        note,
    )


def iteration_rows(steps: list[dict], batch_size: int) -> list[list]:
    """Rows on the iterations; steps: records of steps.jsonl."""
    seconds = np.array([record['seconds'] for record in steps])
    low, median, high = np.percentile(seconds, (5, 50, 95))
    return [
        ['iterations', len(seconds)],
        ['seconds per iteration, median (5 % to 95 %)', f'{median:.2f} ({low:.2f} to {high:.2f})'],
        ['samples per second, median iteration', f'{batch_size / median:.1f}'],
        ['hours of all iterations', f'{seconds.sum() / 3600:.2f}'],
    ]


def epoch_rows(epochs: list[dict], rate_name: str) -> list[list]:
    """Rows on the epochs; epochs: records of log.jsonl; rate_name: the test rate that counts."""
    best = max(epochs, key=lambda record: record['test'][rate_name])
    last = epochs[-1]
    minutes = np.median([record['seconds'] for record in epochs]) / 60
    return [
        ['epochs', len(epochs)],
        ['minutes per epoch without evaluation, median', f'{minutes:.1f}'],
        ['best epoch by test rate', f'{best["epoch"]}: {best["test"][rate_name]:.1f} %'],
        ['last epoch', f'{last["epoch"]}: {last["test"][rate_name]:.1f} %'],
    ]


def settings_line(settings: dict) -> str:
    """Width and batch size of a run."""
    return f'width {settings["width"]}, batch {settings["batch_size"]}'


def training_command(settings: dict, options: argparse.Namespace) -> str:
    """The command that trains with these settings: the options that differ from the defaults."""
    defaults = vars(run_options.resolve_options(['--train'])[0])
    words = ['python', 'main.py', '--train']
    for name, value in settings.items():
        if name not in defaults or value == defaults[name] or name in ('run', 'certainty'):
            continue
        values = value if isinstance(value, list) else [value]
        words.append(f'--{name}')
        words += [str(v) for v in values if v is not True]
    words += ['--data', options.data, '--run', os.path.basename(os.path.normpath(options.run))]
    return shlex.join(words)
