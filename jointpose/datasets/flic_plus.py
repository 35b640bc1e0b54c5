"""FLIC-plus (Tompson et al. 2014): 17,380 of FLIC-full's 20,928 people to train on, and FLIC's own 1016 test people.

    python data.py --meta FLIC-full/examples.mat --rows tr_plus_indices.mat --test FLIC/examples.mat \
        --images FLIC-full/images FLIC/images --out arrays_plus

FLIC-full's examples.mat has FLIC's fields but istrain and istest, and isbad (occluded, not from the front, or labelled
wrongly) and isunchecked; of some people joints have no coordinates.  tr_plus_indices.mat names rows of it, counted from
1.  What data.py writes are FLIC's arrays; a training person's `row` is FLIC-full's, a test person's FLIC's, from 0.

FLIC-full shows scenes of FLIC's test people; FLIC-plus was made to leave these out.  That is checked: no frame is
trained on that is NEAR or nearer to a test frame of the same film.  Films and frames are found by the files' names,
film-00006361.jpg.
"""

import functools
import re
from typing import NamedTuple

import numpy as np

from jointpose.datasets import flic
from jointpose.utils.errors import InputError
from jointpose.utils.mat_files import load_mat

NEAR = 24  # frames, a second of film
SCENE = 240  # frames in which a film often shows the same scene: counted, not left out
FRAME = re.compile(r'(.+)-(\d+)\.\w+')  # a file's name: film, number of the frame


class Full(NamedTuple):
    """FLIC-full's n people, in its order."""

    file: np.ndarray  # str [n]
    joints_xy: (
        np.ndarray
    )  # float32 [n, 9, 2] pixels, the person's own sides; NaN where not labelled
    torsobox: np.ndarray  # float32 [n, 4], x1 y1 x2 y2; NaN where there is none
    bad: np.ndarray  # bool [n]
    unchecked: np.ndarray  # bool [n]


def read(meta: str, rows_path: str, test_meta: str) -> flic.Annotations:
    """The training people that rows_path names in FLIC-full's examples.mat, and FLIC's test people.

    Prints who was left out, and how far the training frames are from the test frames.
    """
    people = load_mat(meta, functools.partial(read_full, meta))
    rows = read_rows(rows_path, len(people.file))
    test = flic.read_annotations(test_meta)
    test = flic.Annotations(*(field[test.split == 'test'] for field in test))

    chosen = Full(*(field[rows] for field in people))
    distance = frames_apart(chosen.file, test.file)
    flic.check_names(meta, chosen.file.tolist())
    left_out = reasons(chosen, distance)
    kept = left_out == ''
    print(f'{meta}: {len(rows)} of {len(people.file)} people are named by {rows_path}')
    for reason, n in zip(*np.unique(left_out[~kept], return_counts=True)):
        print(f'  left out: {n} {reason}')
    print(f'  kept: {kept.sum()} ({chosen.unchecked[kept].sum()} marked unchecked)')
    print(
        f'  {(distance[kept] <= SCENE).sum()} of these on frames {NEAR + 1} to {SCENE} frames from a test frame of '
        'the same film'
    )

    joints_xy, backward = flic.to_observer_sides(chosen.joints_xy[kept])
    split = np.full(kept.sum(), 'train')
    train = flic.Annotations(
        chosen.file[kept],
        flic.add_torso(joints_xy),
        chosen.torsobox[kept],
        backward,
        split,
        rows[kept],
        chosen.file[kept],
    )
    return flic.Annotations(*(np.concatenate(fields) for fields in zip(train, test)))


def read_full(path, variables):
    """The variables of FLIC-full's examples.mat -> Full."""
    try:
        examples = variables['examples'].ravel()
        fields = examples.dtype.names
        if 'isbad' not in fields:
            raise InputError(
                f"{path}: has no field isbad, so it is not FLIC-full's examples.mat, whose rows --rows "
                'names'
            )
        coords = np.stack([person['coords'] for person in examples]).astype(np.float32)
        boxes = [person['torsobox'].ravel() for person in examples]
        return Full(
            np.array([str(person['filepath'].item()) for person in examples]),
            np.moveaxis(coords[:, :, flic.COLUMNS], 1, 2),
            np.array([box if box.size == 4 else np.full(4, np.nan) for box in boxes], np.float32),
            *(flags(examples, name) for name in ('isbad', 'isunchecked')),
        )
    except InputError:
        raise
    except Exception as error:  # a foreign .mat can hold anything
        raise InputError(
            f"{path}: not FLIC-full's examples.mat: {type(error).__name__}: {error}"
        ) from error


def flags(examples, name):
    """bool [n]; an empty or absent flag is False."""
    if name not in examples.dtype.names:
        return np.zeros(len(examples), bool)
    return np.array([bool(np.any(person[name])) for person in examples])


def read_rows(path: str, n: int) -> np.ndarray:
    """The rows, counted from 0, that tr_plus_indices.mat names of n people."""
    variables = {name: value for name, value in load_mat(path).items() if not name.startswith('__')}
    name = 'tr_plus_indices' if 'tr_plus_indices' in variables else next(iter(variables), None)
    rows = np.ravel(variables.get(name, ()))
    if not rows.size or rows.dtype.kind not in 'iuf':
        raise InputError(
            f"--rows {path}: holds no numbers; FLIC-plus's tr_plus_indices is expected"
        )
    if (rows != np.floor(rows)).any() or rows.min() < 1 or rows.max() > n:
        raise InputError(
            f'--rows {path}: {name} is from {rows.min():g} to {rows.max():g}; expected are whole numbers '
            f'from 1 to {n}, rows of --meta counted from 1'
        )
    if len(np.unique(rows)) < len(rows):
        raise InputError(
            f'--rows {path}: {name} names {len(rows) - len(np.unique(rows))} people twice'
        )
    return rows.astype(np.int64) - 1


def reasons(people, distance):
    """Why each of the people is left out, in words: str [n], '' for those who are kept."""
    has_joints = np.isfinite(people.joints_xy).all(axis=(1, 2))
    return np.select(
        [
            people.bad,
            ~has_joints,
            ~(people.torsobox[:, 2:] > people.torsobox[:, :2]).all(axis=1),
            ~flic.near_frame(people.joints_xy),
            distance <= NEAR,
        ],
        [
            'marked bad',
            'without one of the nine joints',
            'without a torsobox',
            'with a joint far outside the frame',
            f'on frames of the test set or at most {NEAR} frames from one',
        ],
        '',
    )


def frames_apart(files, test_files) -> np.ndarray:
    """[n]: how many frames each file is from the nearest test file of its film; infinity where it has none."""
    test_numbers = {}
    for film, number in map(film_and_frame, test_files):
        test_numbers.setdefault(film, set()).add(number)
    test_numbers = {film: np.array(sorted(numbers)) for film, numbers in test_numbers.items()}

    distance = np.full(len(files), np.inf)
    for i, (film, number) in enumerate(map(film_and_frame, files)):
        if film in test_numbers:
            distance[i] = np.abs(test_numbers[film] - number).min()
    return distance


def film_and_frame(file):
    """'film-00006361.jpg' -> ('film', 6361); other names are a film's only frame."""
    found = FRAME.fullmatch(str(file))
    return (found[1], int(found[2])) if found else (str(file), 0)
