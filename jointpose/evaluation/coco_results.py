"""Result files in COCO's form, of main.py or of another program: people in pictures, with a score each."""

import collections
import os

import numpy as np

from jointpose.annotations import coco_json
from jointpose.datasets import records
from jointpose.utils.counts import counted
from jointpose.utils.errors import InputError
from jointpose.utils.files import load_json

REQUIRED = ('image_id', 'keypoints', 'score')


@records.reports_path
def read(path: str, pictures: np.ndarray, n_joints: int) -> list[dict]:
    """Reads results; their image_ids become those of the pictures, their category_id 1.

    Pictures are identified by file_name, where a result has it, else by image_id: the picture's id
    or, as Ultralytics writes it, its name without the ending.  The only category of a file is taken
    for person, whatever its id; of several, category 1 is.

    Args:
        pictures: the test pictures, arrays.picture_dtype.
        n_joints: how many key points a person must have.
    """
    results = load_json(path)
    if not isinstance(results, list):
        raise InputError('not a list of results')
    for row, result in enumerate(results):
        _check_result(row, result, n_joints)
    _check_units(results)

    categories = collections.Counter(map(_category, results))
    person = next(iter(categories)) if len(categories) == 1 else 1
    n_others = len(results) - categories[person]
    if n_others or person != 1:
        print(
            f'{path}: category {person} is taken for person; left out: {counted(n_others, "result")} of '
            'other categories'
        )
    ids = ids_by_name(pictures)
    people = []
    for result in results:
        if _category(result) == person:
            people.append({**result, 'image_id': _picture_of(result, ids), 'category_id': 1})
    return people


def _check_result(row, result, n_joints):
    """Raises InputError for a result that is not COCO's; makes its key points a flat list of numbers."""
    keys = result if isinstance(result, dict) else ()
    absent = [key for key in REQUIRED if key not in keys]
    if absent:
        raise InputError(f'[{row}] has no {", ".join(absent)}')
    points = np.ravel(np.array(result['keypoints'], float))
    score = float(result['score'])
    if points.shape != (3 * n_joints,) or not np.isfinite([*points, score]).all():
        raise InputError(
            f'[{row}], a person in picture {result["image_id"]}: expected {n_joints} finite '
            'joints and a finite score'
        )
    result.update(keypoints=points.tolist(), score=score)


def _check_units(results):
    """Raises InputError if all joints lie in a corner, as fractions of the picture do."""
    xy = [np.reshape(result['keypoints'], (-1, 3))[:, :2] for result in results]
    if xy and np.any(xy) and np.max(np.abs(xy)) <= 2:
        raise InputError(
            'all joints lie between -2 and 2: these look like fractions of the picture; expected '
            'are pixels'
        )


def _category(result):
    """A result's category, 1 where it has none."""
    return coco_json.identity(result.get('category_id', 1))


def ids_by_name(pictures: np.ndarray) -> dict:
    """Returns {id, plain name of a file, or that without its ending: id}.

    Names that two pictures have are left out.
    """
    ids = pictures['id'].tolist()
    plain = [os.path.basename(file) for file in pictures['file'].tolist()]
    stems = [os.path.splitext(name)[0] for name in plain]
    found = {}
    for names in (plain, stems):
        count = collections.Counter(names)
        found.update({name: id_ for name, id_ in zip(names, ids) if count[name] == 1})
    return found | {id_: id_ for id_ in ids}


def _picture_of(result, ids):
    """The id of the picture that a result is about."""
    file = coco_json.plain(str(result.get('file_name') or ''))
    id_ = coco_json.identity(result['image_id'])
    found = ids.get(file, ids.get(id_))
    if found is None:
        raise InputError(f'picture {file or id_} is not in the test split')
    return found
