"""The report's tables: results.md, each table with the command whose figures it holds."""

import os
import shlex

import numpy as np

from jointpose import run_options
from jointpose.datasets import flic
from jointpose.evaluation import detection_rates
from jointpose.metrics import key_points
from jointpose.metrics.key_points import MAX_RADIUS, detection_rate
from jointpose.utils.tables import markdown
from tools.analysis import gains
from tools.figures import JOINT_MODEL, PART_DETECTOR, Published

NORMALISER = 'lhip-rsho'
RADIUS = 10
PUBLISHED_RADII = (10, 20)
# (system, model, {joint: detection rates in % at PUBLISHED_RADII}), FLIC, left joints.  paper: Tompson et al. 2014;
# reference: joint-cnn-mrf (Andriushchenko & Yue, 2018).  Both publish curves: these are read off plots, to about a
# point.  The side of the paper's first two rows is not known.
PUBLISHED = (
    ('paper', PART_DETECTOR, {'lwri': (66, 74)}),
    ('paper', 'with spatial model, not joint', {'lwri': (75, 85)}),
    (
        'paper',
        JOINT_MODEL,
        {'lwri': (79.5, 88), 'lelb': (78, 91.5), 'lsho': (94, 98.5), 'nose': (93, 98)},
    ),
    (
        'reference',
        PART_DETECTOR,
        {'lwri': (72,), 'lelb': (75.5,), 'lsho': (85.5,), 'nose': (88,), 'lhip': (50.5,)},
    ),
    (
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


def published_points():
    """PUBLISHED as a list of figures.Published."""
    return [
        Published(system, model, joint, radius, rate)
        for system, model, rates in PUBLISHED
        for joint, pair in rates.items()
        for radius, rate in zip(PUBLISHED_RADII, pair)
    ]


def results(material):
    """The whole file's text, of a report.Material."""
    parts = [
        f'Detection rates of `{material.options.run}`, joint by joint.\n\nWritten by `python -m tools.report`. '
        'Below each table is the command that gives its numbers.\n',
        rates_fragment(material),
        published_fragment(material),
    ]
    if JOINT_MODEL in material.errors:
        parts.append(helped_fragment(material))
    return '\n'.join(
        [
            *parts,
            times_fragment(
                material.log('steps'), material.log('log'), material.settings, material.options
            ),
        ]
    )


def fragment(heading, body, command, note):
    """A section that can be cut out and put elsewhere."""
    return f'### {heading}\n\n{body}\n\n{note}\n\nCommand: `{command}`\n'


def rates_fragment(material):
    """What evaluate.py prints, without radius 15."""
    found, header, columns = material.found, ['joint'], []
    for model, errors in material.errors.items():
        header += [f'{model} @5', '@10', '@20', 'AUC']
        columns += [
            *(detection_rate(errors, radius) for radius in (5, 10, 20)),
            key_points.area_under_curve(errors),
        ]
    values = np.stack(columns)  # [4 * models, 9]
    rows = [
        [label, *(f'{value:.1f}' for value in values[:, group].mean(axis=1))]
        for label, group in detection_rates.row_groups(flic.JOINTS)
    ]
    lines = ', '.join(
        f'{model} {mean_rate(errors):.1f}'
        for model, errors in material.errors_by('lsho-rhip').items()
    )
    note = (
        f'{len(found.rows)} people of the {found.split} split. A rate is the % of joints within the radius, which is '
        f'in % of ‖{NORMALISER}‖; AUC is over radii 0 to {MAX_RADIUS}. With the normaliser of the reference, '
        f'‖lsho-rhip‖, the mean at radius {RADIUS} is: {lines}.{how(material)}'
    )
    return fragment(
        'Detection rates', markdown(header, rows), evaluation_command(material.options), note
    )


def mean_rate(errors, radius=RADIUS):
    return detection_rate(errors, radius).mean()


def evaluation_command(options):
    return shlex.join(['python', 'evaluate.py', options.predictions, '--data', options.data])


def how(material):
    """The sentence that says by which options the predictions were made, where they say so."""
    return f' Predicted with `{material.found.how}`.' if material.found.how else ''


def published_fragment(material):
    """Left joints of every system; a cell holds the rate at radius 10, and at 20 in brackets where known."""
    names = {'lwri': 'wrist', 'lelb': 'elbow', 'lsho': 'shoulder', 'nose': 'nose', 'lhip': 'hip'}
    ours = [
        (
            'ours',
            model,
            {
                joint: [
                    detection_rate(errors[:, flic.JOINTS.index(joint)], radius)
                    for radius in PUBLISHED_RADII
                ]
                for joint in names
            },
        )
        for model, errors in material.errors.items()
    ]
    rows = [
        [f'{system}, {model}', *(cell(rates.get(joint)) for joint in names)]
        for system, model, rates in (*PUBLISHED, *ours)
    ]
    note = (
        'Left joints, rate in % at radius 10 (20). Published numbers are read off plots, to about a point. '
        'Paper: Tompson et al. 2014; the side of its first two rows is unknown. Reference: joint-cnn-mrf, 2018; '
        f'it scores against joints rounded to 8 px and divides by ‖lsho-rhip‖.{how(material)}'
    )
    return fragment(
        'Comparison with published results',
        markdown(['system', *names.values()], rows),
        evaluation_command(material.options),
        note,
    )


def cell(rates):
    """(79.5, 88) -> '79.5 (88.0)', (72,) -> '72.0', None -> ''."""
    first, *second = (f'{rate:.1f}' for rate in rates) if rates else ('',)
    return first + ''.join(f' ({rate})' for rate in second)


def helped_fragment(material):
    """Joints of all people by whether either model finds them."""
    found_pd, found_sm = (errors <= RADIUS for errors in material.errors_of_both())
    gain = gains(*material.errors_of_both())
    header = ['joint', 'both', 'joint model only', 'part detector only', 'neither']
    cells = np.stack(
        [found_pd & found_sm, found_sm & ~found_pd, found_pd & ~found_sm, ~found_pd & ~found_sm]
    )
    shares = 100 * cells.mean(axis=1)  # [4, 9]
    rows = [
        [label, *(f'{share:.1f}' for share in shares[:, group].mean(axis=1))]
        for label, group in detection_rates.row_groups(flic.JOINTS)
    ]
    note = (
        f'% of joints at radius {RADIUS}. The mean error over the joints (each clipped at {MAX_RADIUS} %) falls '
        f'for {100 * (gain > 0).mean():.1f} % of the people and rises for {100 * (gain < 0).mean():.1f} %.'
    )
    return fragment(
        'Joints found by both models, one or none',
        markdown(header, rows),
        report_command(material.options, 'results'),
        note,
    )


def report_command(options, name):
    return shlex.join(
        [
            'python',
            '-m',
            'tools.report',
            '--run',
            options.run,
            '--predictions',
            options.predictions,
            '--data',
            options.data,
            '--out',
            options.out,
            '--only',
            name,
        ]
    )


def times_fragment(steps, epochs, settings, options):
    """Times by the logs; steps, epochs: records of steps.jsonl and log.jsonl."""
    seconds = np.array([record['seconds'] for record in steps])
    answer = [name for name in epochs[0]['test'] if name.startswith('rate_')][-1]
    best = max(epochs, key=lambda record: record['test'][answer])
    low, middle, high = np.percentile(seconds, (5, 50, 95))
    rows = [
        ['iterations', len(seconds)],
        ['seconds per iteration, median (5 % to 95 %)', f'{middle:.2f} ({low:.2f} to {high:.2f})'],
        ['samples per second, median iteration', f'{settings["batch_size"] / middle:.1f}'],
        ['hours of all iterations', f'{seconds.sum() / 3600:.2f}'],
        ['epochs', len(epochs)],
        [
            'minutes per epoch without evaluation, median',
            f'{np.median([record["seconds"] for record in epochs]) / 60:.1f}',
        ],
        ['best epoch by test rate', f'{best["epoch"]}: {best["test"][answer]:.1f} %'],
        ['last epoch', f'{epochs[-1]["epoch"]}: {epochs[-1]["test"][answer]:.1f} %'],
    ]
    n = settings.get('test_examples')
    model = JOINT_MODEL if answer == 'rate_sm' else PART_DETECTOR
    note = f'Rates at radius {RADIUS}, {model}, one scale, {f"{n} test people" if n else "all test people"}.'
    return fragment(
        'Training',
        markdown(['', settings_line(settings)], rows),
        training_command(settings, options),
        note,
    )


def settings_line(settings):
    return f'width {settings["width"]}, batch {settings["batch_size"]}'


def training_command(settings, options):
    """The command line that gives these settings: what differs from main.py's defaults."""

    defaults = vars(run_options.resolve_options(['--train'])[0])
    words = ['python', 'main.py', '--train']
    for name, value in settings.items():
        if name in defaults and value != defaults[name] and name not in ('run', 'certainty'):
            values = value if isinstance(value, list) else [value]
            words += [f'--{name}', *(str(v) for v in values if v is not True)]
    words += ['--data', options.data, '--run', os.path.basename(os.path.normpath(options.run))]
    return shlex.join(words)
