"""Recomputes the detection rates of report/rates.md from stored predictions on FLIC's test set.

    make tables                              # runs `python -m tools.rate_tables`: prints both tables
    python -m tools.rate_tables --store predictions.mat NAME      # stores the predictions of main.py

report/predictions/NAME.npz holds the predicted joints of all 1016 test people, from each output
head, in float32 pixels.  `python evaluate.py report/predictions/NAME.npz` prints the rates of every
joint at every radius.  The annotations of FLIC are not stored with them: the ground truth is read
from --data.  A row without a file is left out of the tables, and a line says how to make that file.
"""

import os
from typing import NamedTuple

import numpy as np

from jointpose.datasets import flic
from jointpose.datasets.arrays import read_manifest
from jointpose.evaluation import detection_rates, predictions
from jointpose.metrics import intervals
from jointpose.metrics.interval_tables import interval_text
from jointpose.metrics.key_points import detection_rate
from jointpose.utils import files
from jointpose.utils.cli import Parser, run_script
from jointpose.utils.errors import InputError
from jointpose.utils.tables import markdown

FOLDER = os.path.join('report', 'predictions')
NORMALISER = 'lhip-rsho'
RADIUS = 10  # in % of the normaliser
ORIGIN_VARIABLES = ('split', 'data_id', 'found_with', 'run')  # what predictions were made from
COLUMNS = ('wrist', 'elbow', 'shoulder', 'hip', 'nose', 'mean of 9')
QUARTER = 'pretrained/flic_quarter'
EIGHTH = 'pretrained/flic'
HRNET = 'pretrained/hrnet_flic'
CPM = 'pretrained/cpm_flic'
DEEPPOSE = 'pretrained/deeppose_flic'
TRAINED_WITH_BOX = 'models_ex/torsobox'  # not published; report.md has the command
TITLES = {  # of outputs
    'sm': 'joint model',
    'pd': 'part detector',
    'hrnet': 'HRNet',
    'stage3': 'CPM, stage 3',
    'deeppose': 'DeepPose, stage 1',
}
# Options that predictions.mat states although main.py's command does not have them.
STATED = {
    HRNET: {'--flip_average': ()},
    CPM: {'--scales': ('multi',)},
    DEEPPOSE: {'--extension': ('1.1',)},
}
STATED_BY_JOINT_MODEL = {'--decode': ('subcell',), '--scales': ('multi',)}


class Row(NamedTuple):
    """A row of report/rates.md with results of this project."""

    weights: str  # the checkpoint's folder
    label: str  # first cell of the row
    options: str  # options of main.py that gave the predictions
    name: str  # name of the stored file
    output: str  # one of TITLES


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
    Row(
        TRAINED_WITH_BOX,
        'the same, spatial model trained with the box',
        '--scales single --torso_from torsobox',
        'quarter_trained_with_box',
        'sm',
    ),
    Row(QUARTER, 'torso inferred, no flip test', '--infer_torso', 'quarter_inferred', 'sm'),
    Row(QUARTER, 'part detector alone', '--flip_average', 'quarter_flip', 'pd'),
    Row(EIGHTH, '**joint model**, an eighth of the width', '--flip_average', 'eighth_flip', 'sm'),
    Row(EIGHTH, 'no flip test', '', 'eighth', 'sm'),
    Row(EIGHTH, 'one scale, no flip test', '--scales single', 'eighth_single', 'sm'),
    Row(
        EIGHTH,
        "torso from FLIC's box, no flip test",
        '--torso_from torsobox',
        'eighth_torsobox',
        'sm',
    ),
    Row(EIGHTH, 'torso inferred, no flip test', '--infer_torso', 'eighth_inferred', 'sm'),
    Row(EIGHTH, 'part detector alone', '', 'eighth', 'pd'),
    Row(HRNET, '**HRNet**, half the width, crop', '', 'hrnet', 'hrnet'),
    Row(CPM, '**CPM**, a quarter of the width, crop', '', 'cpm', 'stage3'),
    Row(DEEPPOSE, '**DeepPose**, a third of the width, crop', '', 'deeppose', 'deeppose'),
)


# ---------------------------------------------------------------- storing


def store(path: str, name: str, folder: str, manifest: dict) -> str:
    """Stores the predictions of a predictions.mat as FOLDER/NAME.npz; returns the new path.

    Raises InputError if NAME is not the file of a row, if the predictions are not of the whole test
    set, or if they were made with other options than those of the row.
    """
    rows = [row for row in ROWS if row.name == name]
    if not rows:
        allowed = ', '.join(file_names())
        raise InputError(f'--store: no row uses the file {name}; expected one of {allowed}')
    predicted = predictions.read(path, manifest)
    check_complete(path, predicted, manifest['counts']['test'])
    check_options(path, predicted.how, rows[0])

    os.makedirs(folder, exist_ok=True)
    out = stored_path(folder, name)
    with files.atomic_write(out) as partial, open(partial, 'wb') as file:
        np.savez_compressed(file, **variables_to_store(path))
    return out


def variables_to_store(path: str) -> dict:
    """The variables of a predictions.mat that are stored: joints as float32, origin and titles."""
    stored = {}
    for key, value in predictions.load_variables(path).items():
        if '_pred_' in key:
            stored[key] = value.astype(np.float32)
        elif key in ORIGIN_VARIABLES or '_title_' in key:
            stored[key] = value
    return stored


def check_complete(path: str, predicted: predictions.Predictions, count: int) -> None:
    """Raises InputError unless these are predictions of all `count` test people, in order."""
    if predicted.split != 'test' or not np.array_equal(predicted.rows, np.arange(count)):
        raise InputError(f'{path}: expected predictions of all {count} test people, in order')


def check_options(path: str, how: str, row: Row) -> None:
    """Raises InputError if predictions were made with other options than those of a row.

    Args:
        path: file of the predictions.
        how: the options that the file states.
    """
    expected = row.options.split()
    for option, values in STATED.get(row.weights, STATED_BY_JOINT_MODEL).items():
        if option not in expected:
            expected += [option, *values]
    if sorted(how.split()) != sorted(expected):
        stated = row.options or 'default settings'
        raise InputError(f'{path}: predicted with {how!r}, but the row has {stated}')


def stored_path(folder: str, name: str) -> str:
    """The path of a stored file."""
    return os.path.join(folder, f'{name}.npz')


def file_names() -> list[str]:
    """The names of all files that the rows need, each once."""
    return list(dict.fromkeys(row.name for row in ROWS))


# ---------------------------------------------------------------- tables


def stored_errors(folder: str, data: str) -> dict[Row, np.ndarray]:
    """{Row: errors [1016, 9] in % of the normaliser}, of the rows that have a stored file."""
    manifest = read_manifest(data)
    truth = detection_rates.read_truth(data, manifest, 'test')
    result = {}
    for row in ROWS:
        path = stored_path(folder, row.name)
        if os.path.exists(path):
            predicted = predictions.read(path, manifest)
            check_options(path, predicted.how, row)
            scored = detection_rates.score(predicted, truth, NORMALISER)
            result[row] = scored[TITLES[row.output]]
    return result


def column_groups() -> list:
    """The indices of the joints that each of COLUMNS averages."""
    by_label = dict(detection_rates.row_groups(flic.JOINTS))
    return [by_label[label] for label in COLUMNS]


def rate_cells(errors: np.ndarray) -> list[str]:
    """The rates of errors [n, 9], a cell for each of COLUMNS: ['80.9', ...]."""
    rates = detection_rate(errors, RADIUS)
    return [f'{rates[group].mean():.1f}' for group in column_groups()]


def rate_table(errors: dict[Row, np.ndarray]) -> str:
    """The rates as a Markdown table, a line for each Row of `errors`."""
    rows = []
    for row, row_errors in errors.items():
        rows.append((row.label, row.weights, row.options, *rate_cells(row_errors)))
    return markdown(('', 'weights', 'options', *COLUMNS), rows, left=3)


def interval_cells(errors: np.ndarray, clusters) -> list[str]:
    """The 95 % intervals of the rates, a cell for each of COLUMNS: ['78.9 to 82.8', ...].

    Args:
        errors: [n, 9], in % of the normaliser.
        clusters: the film of each person, if films are resampled; None: people are resampled.
    """
    pairs = intervals.rate_intervals(errors, RADIUS, column_groups(), clusters)
    return [interval_text(pair) for pair in pairs]


def interval_table(errors: dict[Row, np.ndarray], films) -> str:
    """The 95 % intervals as a Markdown table: two lines for each Row, over people and over films."""
    rows = []
    for row, row_errors in errors.items():
        for resampled, clusters in (('people', None), ('films', films)):
            cells = interval_cells(row_errors, clusters)
            rows.append((row.label, row.weights, resampled, *cells))
    return markdown(('', 'weights', '95 % interval over', *COLUMNS), rows, left=3)


def missing_files(errors: dict[Row, np.ndarray]) -> list[str]:
    """The files that are not stored, each as 'NAME (main.py --restore WEIGHTS OPTIONS)'."""
    lines = {}
    for row in ROWS:
        if row not in errors:
            command = f'main.py --restore {row.weights} {row.options}'.rstrip()
            lines[row.name] = f'{row.name} ({command})'
    return list(lines.values())


# ---------------------------------------------------------------- command line


def parse_arguments():
    """The command line's options."""
    parser = Parser(description=__doc__)
    parser.add_argument(
        '--data', default='arrays', metavar='FOLDER', help="FLIC's arrays (default: %(default)s)"
    )
    parser.add_argument(
        '--folder', default=FOLDER, help='folder of the stored predictions (default: %(default)s)'
    )
    parser.add_argument(
        '--store',
        nargs=2,
        metavar=('FILE', 'NAME'),
        help='store the predictions of FILE, a predictions.mat, as FOLDER/NAME.npz',
    )
    return parser.parse_args()


def main():
    """Stores a file of predictions, or prints both tables."""
    args = parse_arguments()
    if args.store:
        print(store(*args.store, args.folder, read_manifest(args.data)))
        return
    errors = stored_errors(args.folder, args.data)
    if errors:
        films = detection_rates.read_truth(args.data, read_manifest(args.data), 'test').films
        print(f'{rate_table(errors)}\n\n{interval_table(errors, films)}\n')
    print(f'Detection rates in % at radius {RADIUS} of ‖{NORMALISER}‖, sides swapped.')
    if absent := missing_files(errors):
        print(f'not stored in {args.folder}: {", ".join(absent)}')


if __name__ == '__main__':
    run_script(main)
