"""The detection rates of report/rates.md, recomputed from the stored joints of FLIC's test people.

    make tables                                                 runs  python -m tools.rate_tables: prints both tables
    python -m tools.rate_tables --store predictions.mat NAME    keeps what main.py found, for the rows of that NAME

report/predictions/NAME.npz has the joints of all 1016 test people by every output, float32 pixels, as evaluation/predictions.py
reads them: `python evaluate.py report/predictions/NAME.npz` prints every joint and radius of one.  FLIC's annotation is
not stored here: the truth is that of --data.  A row without its file is left out, and one line says how to make it.
"""

import os
from typing import NamedTuple

import numpy as np

from jointpose.datasets import flic
from jointpose.datasets.arrays import read_manifest
from jointpose.evaluation import detection_rates, predictions
from jointpose.evaluation.predictions import TITLES
from jointpose.metrics import intervals
from jointpose.metrics.key_points import detection_rate
from jointpose.utils import files
from jointpose.utils.cli import Parser, run_script
from jointpose.utils.errors import InputError
from jointpose.utils.tables import markdown

FOLDER = os.path.join('report', 'predictions')
NORMALISER = 'lhip-rsho'
RADIUS = 10
COLUMNS = ('wrist', 'elbow', 'shoulder', 'hip', 'nose', 'mean of 9')
QUARTER = 'pretrained/flic_quarter'
EIGHTH = 'pretrained/flic'


class Row(NamedTuple):
    """A row of report/rates.md that is our own."""

    weights: str
    label: str  # the row's first cell
    options: str  # main.py's, by which the joints were found
    name: str  # of the stored file
    output: str  # 'sm': joint model, 'pd': part detector


ROWS = (
    Row(QUARTER, '**joint model**, a quarter of the width', '--flip_average', 'quarter_flip', 'sm'),
    Row(QUARTER, 'no flip test', '', 'quarter', 'sm'),
    Row(QUARTER, 'one scale, no flip test', '--scales single', 'quarter_single', 'sm'),
    Row(
        QUARTER,
        "one scale, torso from FLIC's box, no flip test",
        '--scales single --torso_from torsobox',
        'quarter_single_torsobox',
        'sm',
    ),
    Row(QUARTER, 'torso inferred, no flip test', '--infer_torso', 'quarter_inferred', 'sm'),
    Row(QUARTER, 'part detector alone', '--flip_average', 'quarter_flip', 'pd'),
    Row(EIGHTH, '**joint model**, an eighth of the width', '--flip_average', 'eighth_flip', 'sm'),
    Row(EIGHTH, 'no flip test', '', 'eighth', 'sm'),
    Row(EIGHTH, 'one scale, no flip test', '--scales single', 'eighth_single', 'sm'),
    Row(EIGHTH, 'torso inferred, no flip test', '--infer_torso', 'eighth_inferred', 'sm'),
    Row(EIGHTH, 'part detector alone', '', 'eighth', 'pd'),
)


# ---------------------------------------------------------------- storing


def store(path, name, folder, manifest):
    """Keeps the joints of a predictions.mat of all test people as FOLDER/NAME.npz; returns its path."""
    found = predictions.read(path, manifest)
    expected = {row.options for row in ROWS if row.name == name}
    if not expected:
        raise InputError(f"--store: {name} is no row's file: one of {', '.join(names())}")
    if found.split != 'test' or not np.array_equal(
        found.rows, np.arange(manifest['counts']['test'])
    ):
        raise InputError(f'{path}: not of all {manifest["counts"]["test"]} test people in order')
    check_options(path, found.how, expected.pop())

    variables = predictions.load_variables(path)
    kept = {
        key: value
        for key, value in variables.items()
        if key in ('split', 'data_id', 'found_with', 'run') or '_title_' in key
    }
    kept |= {key: value.astype(np.float32) for key, value in variables.items() if '_pred_' in key}
    os.makedirs(folder, exist_ok=True)
    out = stored_path(folder, name)
    with files.atomic_write(out) as partial, open(partial, 'wb') as file:
        np.savez_compressed(file, **kept)
    return out


def check_options(path, how, options):
    """Refuses joints that were found with other options than a row's."""
    defaults = '' if '--scales' in options else '--scales multi '
    if sorted(how.split()) != sorted(f'{defaults}--decode subcell {options}'.split()):
        raise InputError(
            f'{path}: found with {how!r}, but the row has {options or "default settings"}'
        )


def stored_path(folder, name):
    return os.path.join(folder, f'{name}.npz')


def names():
    """Of all files that the rows need."""
    return list(dict.fromkeys(row.name for row in ROWS))


# ---------------------------------------------------------------- tables


def stored_errors(folder, data) -> dict:
    """{Row: errors [1016, 9] in % of the normaliser} of the rows whose file is stored."""
    manifest = read_manifest(data)
    truth = detection_rates.read_truth(data, manifest, 'test')
    result = {}
    for row in ROWS:
        path = stored_path(folder, row.name)
        if os.path.exists(path):
            found = predictions.read(path, manifest)
            check_options(path, found.how, row.options)
            result[row] = detection_rates.score(found, truth, NORMALISER)[TITLES[row.output]]
    return result


def groups():
    """Columns of joints of each of COLUMNS."""
    by_label = dict(detection_rates.row_groups(flic.JOINTS))
    return [by_label[label] for label in COLUMNS]


def cells(errors):
    """The cells of a row, without bold print: ['80.9', ...]."""
    rates = detection_rate(errors, RADIUS)
    return [f'{rates[group].mean():.1f}' for group in groups()]


def rate_table(errors):
    """Markdown of {Row: errors}."""
    rows = [(row.label, row.weights, row.options, *cells(error)) for row, error in errors.items()]
    return markdown(('', 'weights', 'options', *COLUMNS), rows, left=3)


def interval_cells(errors, clusters):
    """['78.9 to 82.8', ...], one of each of COLUMNS."""
    return [
        detection_rates.interval_text(pair)
        for pair in intervals.rate_intervals(errors, RADIUS, groups(), clusters)
    ]


def interval_table(errors, films):
    """Markdown of the 95 % intervals of {Row: errors}, over people and over films."""
    rows = [
        (row.label, row.weights, over, *interval_cells(error, clusters))
        for row, error in errors.items()
        for over, clusters in (('people', None), ('films', films))
    ]
    return markdown(('', 'weights', '95 % interval over', *COLUMNS), rows, left=3)


def missing(errors) -> list[str]:
    """What is not stored: 'NAME (main.py --restore WEIGHTS OPTIONS)'."""
    lines = {
        row.name: f'{row.name} (main.py --restore {row.weights} {row.options}'.rstrip() + ')'
        for row in ROWS
        if row not in errors
    }
    return list(lines.values())


# ---------------------------------------------------------------- command line


def parse_arguments():
    parser = Parser(description=__doc__)
    parser.add_argument(
        '--data', default='arrays', metavar='FOLDER', help="FLIC's arrays (default: %(default)s)"
    )
    parser.add_argument(
        '--folder', default=FOLDER, help='of the stored joints (default: %(default)s)'
    )
    parser.add_argument(
        '--store',
        nargs=2,
        metavar=('FILE', 'NAME'),
        help='keep a predictions.mat as FOLDER/NAME.npz',
    )
    return parser.parse_args()


def main():
    args = parse_arguments()
    if args.store:
        print(store(*args.store, args.folder, read_manifest(args.data)))
        return
    errors = stored_errors(args.folder, args.data)
    if errors:
        films = detection_rates.read_truth(args.data, read_manifest(args.data), 'test').films
        print(f'{rate_table(errors)}\n\n{interval_table(errors, films)}\n')
    print(f'Detection rates in % at radius {RADIUS} of ‖{NORMALISER}‖, sides swapped.')
    if absent := missing(errors):
        print(f'not stored in {args.folder}: {", ".join(absent)}')


if __name__ == '__main__':
    run_script(main)
