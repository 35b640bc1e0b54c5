"""Files of predicted joints of test people, which main.py writes and the evaluations read.

FLIC, LSP, MPII and key points of one's own: a .mat with these variables for each output of the system (NAME is the data
set's):
    NAME_pred_OUTPUT    2 x k x n, (x, y) pixels of the pictures, joints in the data set's order
    NAME_score_OUTPUT   k x n
    NAME_title_OUTPUT   the output's title in tables
and, of all of them:
    split, index        the n people: rows of the split's arrays, counted from 0 (no index: all rows in order)
    data_id             the id of the arrays
    found_with, run     the options of main.py by which they were found, and the run

COCO: a .json of the last output, as its evaluation server takes it: people with image_id, keypoints
[x1, y1, s1, ...] and score.
"""

import json
import os
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jointpose import datasets
from jointpose.datasets import arrays
from jointpose.evaluation import detected_people
from jointpose.evaluation.pose import Pose
from jointpose.metrics.average_precision import coco_result
from jointpose.metrics.tables import as_text
from jointpose.utils import files, mat_files, outputs
from jointpose.utils.counts import counted
from jointpose.utils.errors import InputError
from jointpose.utils.numpy_files import read_npz

MAX_TEXT = 500  # characters of a text in a .mat
MARK = b'found by main.py'  # in the first person of a .json
TITLES = {'pd': 'part detector', 'sm': 'joint model'}  # of early files, which hold none

PosesOfRows = list[list[Pose]]  # the people of each row of a Split


class Predictions(NamedTuple):
    """Predicted joints of n people."""

    models: dict[str, np.ndarray]  # {title: [n, k, 2], (x, y) pixels}
    joints: Sequence[str]  # k names
    rows: np.ndarray  # int [n], of the arrays of `split`
    split: str
    how: str  # the options by which they were found; '' where the file does not say


# --- Writing.


def path_of(options) -> str:
    """Returns the path of the file that will be written."""
    if datasets.of_options(options).multi_person:
        return os.path.splitext(options.predictions)[0] + '.json'
    return options.predictions


def check_output(options) -> str:
    """Checks before the training that the file can be written; returns what it will replace, or ''."""
    return outputs.check_destination(path_of(options), '--predictions', described)


def described(path: str) -> str | None:
    """Returns what an earlier file of predictions holds, in words; None for any other file."""
    if path.endswith('.json'):
        return 'of nobody' if _is_empty_list(path) else outputs.describe_by_date(MARK)(path)
    try:
        variables = mat_files.load_mat(path)
    except InputError:
        return None
    found = [name for name in variables if '_pred_' in name]
    if not found or not {'data_id', 'split'} <= set(variables):
        return None
    people = counted(variables[found[0]].shape[-1], 'person')
    run = ''.join(variables.get('run', ()))
    return f'of run {run}, {people}' if run else f'of {people}'


def _is_empty_list(path):
    """Whether a .json has no people, and so no place for MARK."""
    with open(path, 'rb') as file:
        return file.read(3) == b'[]'


def write(
    options,
    manifest: dict,
    split: arrays.Split,
    found: dict[str, PosesOfRows],
    titles: dict[str, str],
    run: str = '',
) -> tuple[str, list[str]]:
    """Writes the predictions of a split.

    Args:
        split: the people that were evaluated.
        found: {output: people of each row of the split}, in pixels of the pictures.
        titles: {output: its title in tables}.
        run: name of the run that found them.

    Returns:
        The file's path, and Markdown tables to print; none of FLIC, whose table is evaluate.py's.
    """
    check_output(options)  # a file may have appeared there meanwhile
    data_set = datasets.of_options(options)
    if data_set.multi_person:
        return _write_results(options, manifest, split, list(found.values())[-1])
    if split.people['visible'].ndim == 2:
        rows = split.rows
        poses = {name: [people[0] for people in of_rows] for name, of_rows in found.items()}
    else:
        rows, poses = _poses_of_annotated(split, found, len(data_set.joints))
    _write_mat(options, manifest, split.split, rows, poses, titles, run)
    if data_set.has_rate_curves:
        return options.predictions, []

    everybody = arrays.load_split(options.data, split.split, manifest)
    by_title = {}
    for name, of_output in poses.items():
        by_title[titles[name]] = np.stack([pose.joints_xy for pose in of_output])
    tables = data_set.tables(by_title, everybody.joints[rows], everybody.people[rows])
    return options.predictions, list(map(as_text, tables))


def _write_mat(options, manifest, split, rows, poses, titles, run):
    """Writes the .mat; poses: {output: [Pose, ...]}, one of each row."""
    from scipy.io import savemat  # evaluate.py starts without it

    variables = {
        'index': rows,
        'split': split,
        'data_id': manifest['id'],
        'found_with': inference_options(options),
        'run': run,
    }
    dataset = options.dataset
    for name, of_output in poses.items():
        joints_xy = np.stack([pose.joints_xy for pose in of_output])
        variables[f'{dataset}_pred_{name}'] = joints_xy.transpose(2, 1, 0)
        variables[f'{dataset}_score_{name}'] = np.stack([pose.scores for pose in of_output]).T
        variables[f'{dataset}_title_{name}'] = titles[name]
    with files.atomic_write(options.predictions) as partial, open(partial, 'wb') as file:
        savemat(file, variables)


def inference_options(options) -> str:
    """Returns the options of main.py by which the test people's joints were found."""
    words = []
    for name in ('scales', 'decode'):
        if hasattr(options, name):
            words.append(f'--{name} {getattr(options, name)}')
    if getattr(options, 'extension', None):
        words.append(f'--extension {options.extension:g}')
    if getattr(options, 'torso_from', 'joints') != 'joints' and not options.infer_torso:
        words.append(f'--torso_from {options.torso_from}')
    for name in ('flip_average', 'infer_torso'):
        if getattr(options, name, False):
            words.append(f'--{name}')
    return ' '.join(words)


def _poses_of_annotated(split, found, k):
    """Of people found in whole pictures, those that are the annotated ones.

    Returns the annotated people's rows in the arrays, and {output: [Pose of k joints, ...]}.
    """
    people = split.people
    pictures, places = np.nonzero(people['visible'].any(axis=2))
    centres = people['centre'][pictures, places]
    poses = {}
    for name, of_rows in found.items():
        poses[name] = [nearest(of_rows[i], centre, k) for i, centre in zip(pictures, centres)]
    return people['rows'][pictures, places], poses


def nearest(poses: Sequence[Pose], centre: np.ndarray, k: int) -> Pose:
    """Returns the Pose whose mean joint is nearest to the centre of an annotated box.

    That is how the target person is chosen, as FLIC's torso does.  If nobody is found, all k joints
    are in the centre.
    """
    if not poses:
        return Pose(np.tile(centre, (k, 1)), np.zeros(k), 0.0)
    return min(poses, key=lambda pose: np.linalg.norm(pose.joints_xy.mean(axis=0) - centre))


def _write_results(options, manifest, split, found):
    """`write` for a data set that is multi_person: a picture may have several people, or none."""
    path = path_of(options)
    table = arrays.load_array(options.data, 'pictures', split.split, manifest)
    evaluated = split.people['picture']
    if 'score' in split.people.dtype.names:
        found = detected_people.rescored(split.people, found)
        evaluated = evaluated if options.test_examples else None  # also where nobody was detected
    results = []
    for picture, people in zip(split.people['picture'], found):
        results += [coco_result(table['id'][picture], *pose) for pose in people]
    if results:
        results[0] = {'description': MARK.decode(), **results[0]}
    with files.atomic_write(path) as partial, open(partial, 'w', encoding='utf-8') as file:
        json.dump(results, file)

    everybody = arrays.load_split(options.data, split.split, manifest)
    data_set = datasets.of_options(options)
    tables = data_set.result_tables(table, everybody, results, evaluated)
    return path, list(map(as_text, tables))


# --- Reading.


def read(path: str, manifest: dict) -> Predictions:
    """Reads a .mat that `write` wrote about people of the manifest's arrays.

    Raises:
        InputError: the file is something else, or about other arrays.
    """
    variables = load_variables(path)
    dataset = manifest['dataset']
    joints = datasets.of_manifest(manifest).joints
    split = _read_split_name(variables, manifest, path)
    rows = _read_rows(variables, manifest['counts'][split], path)

    prefix = f'{dataset}_pred_'
    keys = [key for key in variables if key.startswith(prefix)]
    models = {}
    for key in keys or [f'{prefix}pd']:
        name = key.removeprefix(prefix)
        pred = variables.get(key)
        _check_shape(pred, (2, len(joints), len(rows)), f'{path}: `{key}`')
        title = read_text(variables, f'{dataset}_title_{name}', path, TITLES.get(name, name))
        models[title] = pred.transpose(2, 1, 0)  # [n, k, 2]
        check_finite(models[title], joints, f'{path}: `{key}`')
    how = read_text(variables, 'found_with', path, '')
    return Predictions(models, joints, rows, split, how)


def read_all(paths: Sequence[str], manifest: dict) -> Predictions:
    """Reads files about the same people: `read` of each, with the models of all side by side.

    A title that several files have gets the file's name in front.

    Raises:
        InputError: as `read`, or two files are about different people, or one is named twice.
    """
    if len(paths) == 1:
        return read(paths[0], manifest)
    of_files = {}
    n_files_with: Counter[str] = Counter()
    for path in paths:
        if path in of_files:
            raise InputError(f'{path}: is named twice')
        of_files[path] = read(path, manifest)
        n_files_with.update(list(of_files[path].models))

    first = of_files[paths[0]]
    models = {}
    how = []
    for path, found in of_files.items():
        if found.split != first.split or not np.array_equal(found.rows, first.rows):
            raise InputError(f'{path}: is about other people than {paths[0]}')
        for title, pred_xy in found.models.items():
            models[title if n_files_with[title] == 1 else f'{path}: {title}'] = pred_xy
        if found.how:
            how.append(f'{found.how} ({path})')
    return first._replace(models=models, how=', '.join(how))


def _check_shape(pred, shape, name):
    if not is_numeric(pred, 3) or pred.shape != shape:
        found = 'is absent or no array'
        if isinstance(pred, np.ndarray):
            found = f'is {pred.dtype} {pred.shape}'
        raise InputError(f'{name} {found}, expected numbers {shape}')


def dataset_of(path: str) -> str:
    """Returns the name of the data set that a file is about; 'flic' where the file does not say.

    Raises InputError if there is no such file.
    """
    if not os.path.exists(path):
        raise InputError(
            f'{path}: no such file: main.py --restore RUN --predictions {path} writes it'
        )
    if path.lower().endswith('.json'):
        return next(name for name in datasets.names() if datasets.load(name).multi_person)
    for key in load_variables(path):
        name, mark, _ = key.partition('_pred_')
        if mark and name in datasets.names():
            return name
    return 'flic'


def load_variables(path: str) -> dict[str, np.ndarray]:
    """Reads a .npz file, or a .mat file up to version 7: {name: array}."""
    if not path.lower().endswith('.npz'):
        return mat_files.load_mat(path)
    try:
        return read_npz(path)
    except FileNotFoundError:
        raise InputError(f'{path}: no such file') from None
    except (OSError, ValueError) as error:
        raise files.read_error(path, '.npz', error) from error


def read_text(variables: dict, name: str, path: str, default: str | None = None) -> str:
    """Returns a text variable; where it is absent or empty, the default, if there is one."""
    value = np.ravel(variables.get(name, ()))
    if default is not None and not value.size:
        return default
    if value.dtype.kind != 'U' or value.size != 1 or len(str(value[0])) > MAX_TEXT:
        raise InputError(
            f'{path}: holds no text `{name}` of at most {MAX_TEXT} characters: not a '
            'predictions.mat of main.py'
        )
    return str(value[0])


def _read_split_name(variables, manifest, path):
    """Returns the split that the file is about, once its arrays are known to be the manifest's."""
    data_id = read_text(variables, 'data_id', path)
    split = read_text(variables, 'split', path)
    if split not in arrays.SPLITS:
        raise InputError(
            f'{path}: `split` is {split!r}, expected one of {", ".join(arrays.SPLITS)}'
        )
    if data_id != manifest['id']:
        raise InputError(
            f'{path}: made from the arrays {data_id!r}, but --data holds {manifest["id"]!r}: name '
            'the folder of the former'
        )
    return split


def _read_rows(variables, n_people, path):
    """Returns the rows of the split's arrays that were predicted: 0..n_people - 1, none of them twice."""
    rows = np.ravel(variables.get('index', np.arange(n_people)))
    if rows.dtype.kind not in 'iuf' or not np.isin(rows, np.arange(n_people)).all():
        raise InputError(
            f'{path}: `index` holds something else than rows 0..{n_people - 1} of the arrays'
        )
    if len(np.unique(rows)) < len(rows):
        raise InputError(f'{path}: `index` names a row twice')
    return rows.astype(int)


def is_numeric(value, n_dims: int) -> bool:
    """Returns whether a variable is an array of real numbers with so many axes.

    Structs, cells, text and sparse matrices are not.
    """
    return isinstance(value, np.ndarray) and value.dtype.kind in 'iuf' and value.ndim == n_dims


def check_finite(pred_xy: np.ndarray, joints: Sequence[str], name: str) -> None:
    """Raises InputError for NaN and infinite predictions [n, k, 2]; name: what an error calls the array."""
    bad = ~np.isfinite(pred_xy).all(axis=-1)  # [n, k]
    if bad.any():
        person, joint = np.argwhere(bad)[0]
        raise InputError(f'{name}: person {person}: {joints[joint]} is NaN or infinite')
