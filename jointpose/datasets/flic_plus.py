"""FLIC-plus (Tompson et al. 2014).

It trains on 17,380 of FLIC-full's 20,928 people, and tests on FLIC's own 1016 test people.

    python data.py --meta FLIC-full/examples.mat --rows tr_plus_indices.mat \
        --test FLIC/examples.mat --images FLIC-full/images FLIC/images --out arrays_plus

FLIC-full's examples.mat has FLIC's fields but istrain and istest.  It has isbad (occluded, not from
the front, or labelled wrongly) and isunchecked, too.  Joints of some people have no coordinates.
tr_plus_indices.mat names rows of it, counted from 1.  data.py writes FLIC's arrays; a training
person's `row` is FLIC-full's, a test person's FLIC's, from 0.

FLIC-full shows scenes of FLIC's test people; FLIC-plus was made to leave these out.  That is
checked: no frame is trained on that is NEAR or nearer to a test frame of the same film.  Films and
frames are found by the files' names, film-00006361.jpg.
"""

import functools
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from jointpose.datasets import flic
from jointpose.utils.counts import counted
from jointpose.utils.errors import InputError
from jointpose.utils.mat_files import load_mat

NEAR = 24  # frames, a second of film
SCENE = 240  # frames in which a film often shows the same scene: counted, not left out
FRAME = re.compile(r'(.+)-(\d+)\.\w+')  # a file's name: film, number of the frame


class Full(NamedTuple):
    """FLIC-full's n people, in its order."""

    file: np.ndarray  # str [n]
    # float32 [n, 9, 2], pixels; left and right are the person's own; NaN where not labelled
    joints_xy: np.ndarray
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
    test = flic.Annotations(*_chosen(test, test.split == 'test'))

    named = Full(*_chosen(people, rows))
    flic.check_names(meta, named.file.tolist())
    distance = frames_apart(named.file, test.file)
    left_out = reasons(named, distance)
    kept = left_out == ''
    print(f'{meta}: {rows_path} names {len(rows)} of {counted(len(people.file), "person")}')
    for reason, n in zip(*np.unique(left_out[~kept], return_counts=True)):
        print(f'  left out: {n} {reason}')
    print(f'  kept: {kept.sum()} ({named.unchecked[kept].sum()} marked unchecked)')
    n_near = (distance[kept] <= SCENE).sum()
    print(
        f'  {n_near} of these on frames {NEAR + 1} to {SCENE} frames from a test frame of the same '
        'film'
    )

    joints_xy, backward = flic.to_observer_sides(named.joints_xy[kept])
    split = np.full(kept.sum(), 'train')
    train = flic.Annotations(
        named.file[kept],
        flic.add_torso(joints_xy),
        named.torsobox[kept],
        backward,
        split,
        rows[kept],
        named.file[kept],
    )
    return flic.Annotations(*(np.concatenate(fields) for fields in zip(train, test)))


def _chosen(people: tuple[np.ndarray, ...], rows: np.ndarray) -> list[np.ndarray]:
    """Each field of some of the people; rows: int, or bool [n]."""
    return [values[rows] for values in people]


def read_full(path: str, variables: dict) -> Full:
    """The people of FLIC-full's examples.mat, given its variables."""
    try:
        return _full_people(path, variables['examples'].ravel())
    except InputError:
        raise
    except Exception as error:  # a foreign .mat can hold anything
        raise InputError(
            f"{path}: not FLIC-full's examples.mat: {type(error).__name__}: {error}"
        ) from error


def _full_people(path: str, examples: np.ndarray) -> Full:
    """The people of the struct array `examples` [n]."""
    if 'isbad' not in examples.dtype.names:
        raise InputError(
            f"{path}: has no field isbad, so it is not FLIC-full's examples.mat, whose rows --rows "
            'names'
        )
    files = [str(person['filepath'].item()) for person in examples]
    coords = np.stack([person['coords'] for person in examples]).astype(np.float32)  # [n, 2, 29]
    boxes = np.full((len(examples), 4), np.nan, np.float32)
    for row, person in enumerate(examples):
        if person['torsobox'].size == 4:
            boxes[row] = person['torsobox'].ravel()
    return Full(
        file=np.array(files),
        joints_xy=np.moveaxis(coords[:, :, flic.COLUMNS], 1, 2),
        torsobox=boxes,
        bad=flags(examples, 'isbad'),
        unchecked=flags(examples, 'isunchecked'),
    )


def flags(examples: np.ndarray, name: str) -> np.ndarray:
    """A flag of each of the examples, bool [n]; False where it is empty or absent."""
    if name not in examples.dtype.names:
        return np.zeros(len(examples), bool)
    return np.array([bool(np.any(person[name])) for person in examples])


def read_rows(path: str, n: int) -> np.ndarray:
    """The rows, int64, counted from 0, that tr_plus_indices.mat names of n people."""
    variables = {name: value for name, value in load_mat(path).items() if not name.startswith('__')}
    name = 'tr_plus_indices'
    if name not in variables:
        name = next(iter(variables), None)
    rows = np.ravel(variables.get(name, ()))
    if not rows.size or rows.dtype.kind not in 'iuf':
        raise InputError(
            f"--rows {path}: holds no numbers; FLIC-plus's tr_plus_indices is expected"
        )
    if (rows != np.floor(rows)).any() or rows.min() < 1 or rows.max() > n:
        raise InputError(
            f'--rows {path}: {name} is from {rows.min():g} to {rows.max():g}; expected are whole '
            f'numbers from 1 to {n}, rows of --meta counted from 1'
        )
    n_repeated = len(rows) - len(np.unique(rows))
    if n_repeated:
        raise InputError(f'--rows {path}: {name} names {counted(n_repeated, "person")} twice')
    return rows.astype(np.int64) - 1


def reasons(people: Full, distance: np.ndarray) -> np.ndarray:
    """Why each of the people is left out, in words: str [n], '' for those who are kept.

    distance: [n], from `frames_apart`.  Of several reasons, the first counts.
    """
    has_joints = np.isfinite(people.joints_xy).all(axis=(1, 2))
    has_torsobox = (people.torsobox[:, 2:] > people.torsobox[:, :2]).all(axis=1)
    of_test_frames = f'on frames of the test set or at most {NEAR} frames from one'
    is_so = {
        'marked bad': people.bad,
        'without one of the nine joints': ~has_joints,
        'without a torsobox': ~has_torsobox,
        'with a joint far outside the frame': ~flic.near_frame(people.joints_xy),
        of_test_frames: distance <= NEAR,
    }
    return np.select(list(is_so.values()), list(is_so), '')


def frames_apart(files: Sequence[str], test_files: Iterable[str]) -> np.ndarray:
    """How many frames each file is from the nearest test file of its film: float64 [n].

    It is infinity where the film has no test file.
    """
    numbers = {}  # {film: numbers of its test frames}
    for film, number in map(film_and_frame, test_files):
        numbers.setdefault(film, set()).add(number)
    test_frames = {film: np.array(sorted(frames)) for film, frames in numbers.items()}

    distance = np.full(len(files), np.inf)
    for i, (film, number) in enumerate(map(film_and_frame, files)):
        if film in test_frames:
            distance[i] = np.abs(test_frames[film] - number).min()
    return distance


def film_and_frame(file: str) -> tuple[str, int]:
    """'film-00006361.jpg' -> ('film', 6361); a file of another name is a film's only frame, 0."""
    found = FRAME.fullmatch(str(file))
    if not found:
        return str(file), 0
    return found[1], int(found[2])
