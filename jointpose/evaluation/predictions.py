"""Predicted joints of test people: the files that main.py writes and the evaluations read, and the tables of both.

FLIC, LSP and MPII: a .mat with, for each of the system's outputs, NAME_pred_OUTPUT, 2 x k x n (x, y) pixels of the
pictures, joints in the order of the data set's JOINTS, NAME_score_OUTPUT, k x n, and NAME_title_OUTPUT, its title in
tables (NAME: the data set's); whom they are of: `split`, `index`, n rows of its arrays counted from 0 (absent: all rows
in order), and `data_id`, the arrays' id; and `found_with`, options of main.py, and `run`.  COCO: a .json as its server
takes it, of the last output alone: people with image_id, keypoints [x1, y1, s1, ...] and score.
"""

import collections
import json
import os

import numpy as np

from jointpose import datasets
from jointpose.datasets import arrays
from jointpose.evaluation.pose import Pose
from jointpose.metrics.average_precision import coco_result
from jointpose.utils import files, mat_files, outputs
from jointpose.utils.errors import InputError
from jointpose.utils.numpy_files import read_npz
from jointpose.utils.tables import markdown

MAX_TEXT = 500  # characters of a text in a .mat
MARK = b'found by main.py'  # in the first person of a .json
TITLES = {'pd': 'part detector', 'sm': 'joint model'}  # of files from before they held their own

# models: {title: [n, k, 2] xy}.  joints: k names.  rows: [n], of the arrays of `split`.  how: the options by which they
# were found, '' where the file does not say.
Predictions = collections.namedtuple('Predictions', 'models joints rows split how')


# --- writing ------------------------------------------------------------------------------------------------------


def path_of(options):
    """Where they go."""
    if datasets.load(options.dataset).multi_person:
        return os.path.splitext(options.predictions)[0] + '.json'
    return options.predictions


def check_output(options):
    """Whether they can be written, found out before a training; returns what is replaced then, '' for nothing."""
    return outputs.check_destination(path_of(options), '--predictions', described)


def described(path):
    """What an earlier file of these holds, in words; None of any other file."""
    if path.endswith('.json'):
        return 'of nobody' if is_empty_list(path) else outputs.describe_by_date(MARK)(path)
    try:
        variables = mat_files.load_mat(path)
    except InputError:
        return None
    found = [name for name in variables if '_pred_' in name]
    if not found or not {'data_id', 'split'} <= set(variables):
        return None
    run = ''.join(variables.get('run', ()))
    return (f'of run {run}, ' if run else 'of ') + f'{variables[found[0]].shape[-1]} people'


def is_empty_list(path):
    """Whether a .json is what is written where nobody was found: it has no place for MARK."""
    with open(path, 'rb') as file:
        return file.read(3) == b'[]'


def write(options, manifest, split, found, titles, run=''):
    """Writes them; returns (the file's path, Markdown tables to print: none of FLIC, whose table is evaluate.py's).

    split: the arrays.Split evaluated; found: {output: [people of each of its rows]}, lists of Poses in pixels of the
    pictures; titles: {output: its title}; run: name of the run that found them.
    """
    check_output(options)  # somebody may have put a file there meanwhile
    from scipy.io import savemat  # evaluate.py starts without it

    data_set = datasets.load(options.dataset)
    if data_set.multi_person:
        return write_results(options, manifest, split, list(found.values())[-1])
    if split.people['visible'].ndim == 2:
        rows, own = (
            split.rows,
            {name: [people[0] for people in of_rows] for name, of_rows in found.items()},
        )
    else:
        rows, own = of_annotated(split, found, len(data_set.joints))
    joints_xy = {name: np.stack([pose.joints_xy for pose in poses]) for name, poses in own.items()}
    variables = {
        'index': rows,
        'split': split.split,
        'data_id': manifest['id'],
        'found_with': how(options),
        'run': run,
    }
    for name, poses in own.items():
        variables |= {
            f'{options.dataset}_pred_{name}': joints_xy[name].transpose(2, 1, 0),
            f'{options.dataset}_score_{name}': np.stack([pose.scores for pose in poses]).T,
            f'{options.dataset}_title_{name}': titles[name],
        }
    with files.atomic_write(options.predictions) as partial, open(partial, 'wb') as file:
        savemat(file, variables)
    if data_set.has_rate_curves:  # their table is evaluate.py's
        return options.predictions, []
    everybody = arrays.load_split(options.data, split.split, manifest)
    made = data_set.tables(
        {titles[name]: xy for name, xy in joints_xy.items()},
        everybody.joints[rows],
        everybody.people[rows],
    )
    return options.predictions, [markdown(header, rows) for _, header, rows in made]


def how(options):
    """The options by which the joints of the test people were found, as main.py takes them."""
    valued = [
        f'--{name} {getattr(options, name)}'
        for name in ('scales', 'decode')
        if hasattr(options, name)
    ]
    if getattr(options, 'torso_from', 'joints') != 'joints' and not options.infer_torso:
        valued.append(f'--torso_from {options.torso_from}')
    return ' '.join(
        [
            *valued,
            *(
                f'--{name}'
                for name in ('flip_average', 'infer_torso')
                if getattr(options, name, False)
            ),
        ]
    )


def of_annotated(split, found, k):
    """Of people found in whole pictures, those meant by the annotated ones.

    Returns (the annotated ones' rows in the arrays, {output: [Pose of k joints]}).
    """
    people = split.people
    of_picture, place = np.nonzero(people['visible'].any(axis=2))
    centres = people['centre'][of_picture, place]
    return people['rows'][of_picture, place], {
        name: [nearest(of_rows[i], centre, k) for i, centre in zip(of_picture, centres)]
        for name, of_rows in found.items()
    }


def nearest(poses, centre, k):
    """The Pose whose joints' mean is nearest to the middle of an annotated box: so FLIC's torso says who is meant.
    Where nobody is found, all k joints are in that middle."""
    if not poses:
        return Pose(np.tile(centre, (k, 1)), np.zeros(k), 0.0)
    return min(poses, key=lambda pose: np.linalg.norm(pose.joints_xy.mean(axis=0) - centre))


def write_results(options, manifest, split, found):
    """`write` of a data set that is multi_person: a picture may have several people, or none."""
    path = path_of(options)
    table = arrays.load_array(options.data, 'pictures', split.split, manifest)
    results = [
        coco_result(table['id'][picture], *pose)
        for picture, people in zip(split.people['picture'], found)
        for pose in people
    ]
    if results:
        results[0] = {'description': MARK.decode(), **results[0]}
    with files.atomic_write(path) as partial, open(partial, 'w', encoding='utf-8') as file:
        json.dump(results, file)
    everybody = arrays.load_split(options.data, split.split, manifest)
    made = datasets.load(options.dataset).result_tables(
        table, everybody, results, split.people['picture']
    )
    return path, [markdown(header, rows) for _, header, rows in made]


# --- reading ------------------------------------------------------------------------------------------------------


def read(path, manifest):
    """What `write` wrote about people of the manifest's arrays, as Predictions; InputError says what is there else."""
    variables, dataset = load_variables(path), manifest['dataset']
    split = read_split_name(variables, manifest, path)
    rows = person_rows(variables, manifest['counts'][split], path)
    models, joints, mark = {}, datasets.load(dataset).joints, f'{dataset}_pred_'
    for key in [key for key in variables if key.startswith(mark)] or [f'{mark}pd']:
        pred, wanted, name = variables.get(key), (2, len(joints), len(rows)), key.removeprefix(mark)
        if not is_numeric(pred, 3) or pred.shape != wanted:
            found = (
                f'is {pred.dtype} {pred.shape}'
                if isinstance(pred, np.ndarray)
                else 'is absent or no array'
            )
            raise InputError(f'{path}: `{key}` {found}, expected numbers {wanted}')
        title = read_text(variables, f'{dataset}_title_{name}', path, TITLES.get(name, name))
        models[title] = pred.transpose(2, 1, 0)  # [n, k, 2]
        check_finite(models[title], joints, f'{path}: `{key}`')
    return Predictions(models, joints, rows, split, read_text(variables, 'found_with', path, ''))


def dataset_of(path):
    """The data set whose people a file of `write` is about; 'flic' where the file does not say."""
    if path.lower().endswith('.json'):
        return next(name for name in datasets.names() if datasets.load(name).multi_person)
    marked = [key.partition('_pred_')[0] for key in load_variables(path) if '_pred_' in key]
    return next((name for name in marked if name in datasets.names()), 'flic')


def load_variables(path):
    """{name: array} of a .npz file (numpy_files.py) or a .mat file up to version 7."""
    if not path.lower().endswith('.npz'):
        return mat_files.load_mat(path)
    try:
        return read_npz(path)
    except FileNotFoundError:
        raise InputError(f'{path}: no such file') from None
    except (OSError, ValueError) as error:
        raise files.read_error(path, '.npz', error) from error


def read_text(variables, name, path, otherwise=None):
    """A text variable; where it is absent or empty, `otherwise`, if that is given."""
    value = np.ravel(variables.get(name, ()))
    if otherwise is not None and not value.size:
        return otherwise
    if value.dtype.kind != 'U' or value.size != 1 or len(str(value[0])) > MAX_TEXT:
        raise InputError(
            f'{path}: holds no text `{name}` of at most {MAX_TEXT} characters: not a predictions.mat of '
            'main.py'
        )
    return str(value[0])


def read_split_name(variables, manifest, path):
    """The split that the file is about, once its arrays are known to be those of the manifest."""
    data_id, split = (read_text(variables, name, path) for name in ('data_id', 'split'))
    if split not in arrays.SPLITS:
        raise InputError(
            f'{path}: `split` is {split!r}, expected one of {", ".join(arrays.SPLITS)}'
        )
    if data_id != manifest['id']:
        raise InputError(
            f'{path}: made from the arrays {data_id!r}, but --data holds {manifest["id"]!r}: name the '
            'folder of the former'
        )
    return split


def person_rows(variables, n_people, path):
    """The rows of the split's arrays that were predicted: whole numbers in 0..n_people - 1, none of them twice."""
    rows = np.ravel(variables.get('index', np.arange(n_people)))
    if rows.dtype.kind not in 'iuf' or not np.isin(rows, np.arange(n_people)).all():
        raise InputError(
            f'{path}: `index` holds something else than rows 0..{n_people - 1} of the arrays'
        )
    if len(np.unique(rows)) < len(rows):
        raise InputError(f'{path}: `index` names a row twice')
    return rows.astype(int)


def is_numeric(value, n_dims):
    """Whether it is an array of real numbers with so many axes; structs, cells, text and sparse matrices are not."""
    return isinstance(value, np.ndarray) and value.dtype.kind in 'iuf' and value.ndim == n_dims


def check_finite(pred_xy, joints, name):
    """Refuses NaN and infinite predictions; pred_xy: [n, k, 2], joints: k names."""
    bad = ~np.isfinite(pred_xy).all(axis=-1)  # [n, k]
    if bad.any():
        person, joint = np.argwhere(bad)[0]
        raise InputError(f'{name}: person {person}: {joints[joint]} is NaN or infinite')
