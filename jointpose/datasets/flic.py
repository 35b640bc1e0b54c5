"""FLIC (Sapp and Taskar 2013): upper bodies of people in films, nine joints; and the reader of its examples.mat.

HEIGHT and WIDTH are a frame's, in pixels.  FLIC has no boxes of whole people: the upper body's box,
its centre and scale are derived from the torsobox, which test people have, too.

Coordinates are (x right, y down) in pixels of the 720x480 frame; arrays that hold them end in `xy`.
A heat map has 60 rows and 90 columns of 8x8 pixels (vision/heatmaps.py).  FLIC's people have all
joints; unlabelled joints of custom people (custom.py) are NaN, never shoulders and hips.
"""

import itertools
import os
from typing import NamedTuple

import numpy as np

from jointpose.datasets.arrays import with_fields
from jointpose.datasets.base import DataSet
from jointpose.utils.errors import InputError
from jointpose.utils.mat_files import load_mat
from jointpose.vision.crops import centre_and_scale, visibility
from jointpose.vision.heatmaps import STRIDE

HEIGHT, WIDTH = 480, 720
MAP_HEIGHT, MAP_WIDTH = HEIGHT // STRIDE, WIDTH // STRIDE
MAP_SIZE = (MAP_HEIGHT, MAP_WIDTH)

JOINTS = ('lsho', 'lelb', 'lwri', 'rsho', 'relb', 'rwri', 'lhip', 'rhip', 'nose')
MAPS = (*JOINTS, 'torso')  # the torso's map says which person is meant; it is given, not predicted
N_JOINTS = len(JOINTS)
N_MAPS = len(MAPS)
TORSO_CORNERS = (0, 3, 6, 7)  # lsho rsho lhip rhip: the torso is their mean
NORMALISER = ('lhip', 'rsho')  # rates are in % of the distance between these two
PAIRS = tuple(itertools.permutations(range(N_MAPS), 2))  # 90 pairs (joint, condjoint)
COLUMNS = (0, 1, 2, 3, 4, 5, 6, 9, 16)  # those of FLIC's 29 coordinates that are JOINTS, in order
# The upper body's x1 y1 x2 y2 in heights of the torsobox from its middle: 95 % of the training people's joints are
# within -0.96, -1.03, 0.93 and 1.22 (each side's own 95 %).
UPPER_BODY = np.array([-1, -1.05, 1, 1.25], np.float32)
# Median of the torsobox's height in torso lengths (DataSet.box_around_torso) over the 3987 training
# people; its quartiles are 0.83 and 1.08.  The torsobox's middle is that of the torso.
TORSOBOX_HEIGHT = 0.954
MAX_NAME = 80  # characters of a picture's name
PERSON_DTYPE = np.dtype(
    [('file', f'U{MAX_NAME}'), ('torsobox', '<f4', 4), ('backward', '?'), ('row', '<i4')]
)


class Annotations(NamedTuple):
    """n people of FLIC, or of other pictures brought into its form."""

    file: np.ndarray  # str [n], name of the frame
    joints_xy: np.ndarray  # float32 [n, 10, 2] pixels, sides swapped where backward
    torsobox: np.ndarray  # float32 [n, 4], x1 y1 x2 y2
    backward: np.ndarray  # bool [n], seen from behind
    split: np.ndarray  # str [n], 'train', 'test' or ''
    row: np.ndarray  # int [n], in the annotation file
    picture: np.ndarray  # str [n], path of the picture; `read_annotations` has its name only

    def select(self, which: np.ndarray) -> 'Annotations':
        """Returns those of these rows; which: indices, or bool [n]."""
        return Annotations(*(field[which] for field in self))


class Flic(DataSet):
    """FLIC, FLIC-plus and custom people cut out as FLIC's are: frames of one size, stored in the arrays."""

    name = 'flic'
    joints = JOINTS
    anchor = 'torso'
    anchor_sources = ('joints', 'torsobox', 'none')
    limbs = (
        ('lsho', 'lelb'),
        ('lelb', 'lwri'),
        ('rsho', 'relb'),
        ('relb', 'rwri'),
        ('lsho', 'rsho'),
        ('lsho', 'lhip'),
        ('rsho', 'rhip'),
        ('lhip', 'rhip'),
        ('nose', 'lsho'),
        ('nose', 'rsho'),
    )
    normaliser = NORMALISER
    side_convention = (
        "left is the person's own left if seen from the front; left and right of people seen from "
        'behind are swapped (observer-centric)'
    )
    frame_size = (HEIGHT, WIDTH)
    torso_to_box = TORSOBOX_HEIGHT * UPPER_BODY
    rate_name = 'detection rate at radius 10'
    hit_radius = 0.1
    has_rate_curves = True
    max_annotation_files = 1
    tenth_is_test = False

    @property
    def layout(self):
        return {
            'x': (np.dtype(np.uint8), (HEIGHT, WIDTH, 3)),
            'joints': (np.dtype(np.float32), (N_MAPS, 2)),
            'people': (PERSON_DTYPE, ()),
        }

    def complete_people(self, stored, joints_xy):
        """Derives the upper body's box from the torsobox, and the unit, the normaliser's length."""
        first = stored['torsobox'][:, :2]
        last = stored['torsobox'][:, 2:]
        middle = np.tile((first + last) / 2, 2)
        height = (last - first)[:, 1:]
        box = middle + height * UPPER_BODY
        centre, scale = centre_and_scale(box)
        return with_fields(
            stored,
            visible=visibility(joints_xy),
            box=box,
            unit=np.linalg.norm(normaliser(joints_xy), axis=-1),
            centre=centre,
            scale=scale,
            area=np.prod(box[:, 2:] - box[:, :2], axis=-1),
            crowd=np.zeros(len(stored), bool),
            picture=np.unique(stored['file'], return_inverse=True)[1],
        )

    def check_joints(self, joints_xy, path):
        check_joints(joints_xy, path)

    def write_synthetic(self, folder, n, seed):
        """Writes examples.mat and images/, as FLIC's."""
        from jointpose.datasets.synthetic import flic_set

        flic_set.write(folder, n, seed)
        return [os.path.join(folder, 'examples.mat')], [os.path.join(folder, 'images')]


FLIP = Flic().flip


def add_torso(joints_xy: np.ndarray) -> np.ndarray:
    """Appends the torso, the mean of both shoulders and both hips: [..., 9, 2] -> [..., 10, 2]."""
    torso_xy = joints_xy[..., TORSO_CORNERS, :].mean(axis=-2, keepdims=True)
    return np.concatenate([joints_xy, torso_xy], axis=-2)


def torso_from_box(joints_xy: np.ndarray, torsobox: np.ndarray) -> np.ndarray:
    """Replaces the torso by the centre of FLIC's torsobox: [n, 10, 2], [n, 4] -> float32 [n, 10, 2].

    The box, x1 y1 x2 y2, is a detection: it depends on no annotated joint.
    """
    centre_xy = (torsobox[:, :2] + torsobox[:, 2:]) / 2
    return np.concatenate([joints_xy[:, :N_JOINTS], centre_xy[:, None]], axis=1, dtype=np.float32)


def swap_sides(joints_xy: np.ndarray) -> np.ndarray:
    """Swaps left and right; positions stay: [..., 9 or 10, 2] -> the same shape."""
    return joints_xy[..., list(FLIP[: joints_xy.shape[-2]]), :]


def to_observer_sides(joints_xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Swaps left and right of people seen from behind.

    Returns:
        Observer-centric joints [n, 9, 2], and who is seen from behind, bool [n].
    """
    backward = Flic().faces_backward(joints_xy)
    return np.where(backward[:, None, None], swap_sides(joints_xy), joints_xy), backward


def clamp_to_frame(joints_xy: np.ndarray) -> np.ndarray:
    """Returns the nearest position in the frame, so that every annotated joint has a cell in its map."""
    return np.clip(joints_xy, 0, np.array([WIDTH - 1, HEIGHT - 1], np.float32))


def normaliser(joints_xy: np.ndarray, joints=NORMALISER) -> np.ndarray:
    """Returns the first of two joints minus the second: [..., k, 2] -> [..., 2]."""
    end, start = joints
    return joints_xy[..., JOINTS.index(end), :] - joints_xy[..., JOINTS.index(start), :]


def near_frame(joints_xy: np.ndarray) -> np.ndarray:
    """Returns whose joints are all at most one frame outside the frame: [n, k, 2] -> bool [n]; NaN is not."""
    return _is_near_frame(joints_xy).all(axis=1)


def _is_near_frame(joints_xy):
    """[n, k, 2] -> bool [n, k]."""
    frame = np.array([WIDTH, HEIGHT])
    return ((joints_xy > -frame) & (joints_xy < 2 * frame)).all(axis=2)  # NaN compares false


def check_joints(joints_xy: np.ndarray, path: str) -> None:
    """Raises InputError for joints more than one frame outside the frame, and for unlabelled torso joints."""
    may_be_unlabelled = ~np.isin(range(N_JOINTS), TORSO_CORNERS)
    is_unlabelled = np.isnan(joints_xy[:, :N_JOINTS]).all(axis=2)
    is_fine = _is_near_frame(joints_xy)
    is_fine[:, :N_JOINTS] |= is_unlabelled & may_be_unlabelled
    bad = ~is_fine.all(axis=1)
    if bad.any():
        raise InputError(
            f'{path}: sample {np.argmax(bad)}: a joint is NaN or far outside the frame'
        )


# --- FLIC's file.


def read_annotations(path: str) -> Annotations:
    """Reads all people of FLIC's examples.mat, in its order."""
    variables = load_mat(path)
    try:
        examples = variables['examples'].ravel()
        names = examples.dtype.names
        if 'isbad' in names and 'istrain' not in names:
            raise InputError(
                f'{path}: this is FLIC-full, which does not tell training from test people: name the '
                'rows to train on, and FLIC for its test people: --rows tr_plus_indices.mat --test '
                'FLIC/examples.mat (docs/datasets.md)'
            )
        coords = np.stack([person['coords'] for person in examples])  # [n, 2, 29]
        joints_xy = np.moveaxis(coords.astype(np.float32)[:, :, COLUMNS], 1, 2)  # [n, 9, 2]
        file = np.array([person['filepath'].item() for person in examples])
        torsobox = np.stack([person['torsobox'].ravel() for person in examples]).astype(np.float32)
        is_train = np.array([bool(person['istrain'].item()) for person in examples])
        is_test = np.array([bool(person['istest'].item()) for person in examples])
    except InputError:
        raise
    except Exception as error:  # a foreign .mat can hold anything
        raise InputError(
            f"{path}: not FLIC's examples.mat: {type(error).__name__}: {error}"
        ) from error
    _check_boxes(path, file, torsobox)
    _check_people(path, file, joints_xy, is_train & is_test)

    joints_xy, backward = to_observer_sides(joints_xy)
    split = np.full(len(file), '', 'U5')
    split[is_test] = 'test'
    split[is_train] = 'train'
    rows = np.arange(len(file))
    return Annotations(file, add_torso(joints_xy), torsobox, backward, split, rows, file)


def _check_boxes(path, file, torsobox):
    if file.dtype.kind != 'U' or torsobox.shape[1:] != (4,) or not np.isfinite(torsobox).all():
        raise InputError(f"{path}: filepath or torsobox are not FLIC's")
    bad = ~(torsobox[:, 2:] > torsobox[:, :2]).all(axis=1)
    if bad.any():
        row = np.argmax(bad)
        raise InputError(
            f'{path}: person {row} ({file[row]}): torsobox {torsobox[row].tolist()} is not '
            'x1, y1, x2, y2 of positive size'
        )


def _check_people(path, file, joints_xy, in_both_splits):
    bad = ~np.isfinite(joints_xy).all(axis=(1, 2))
    if bad.any():
        row = np.argmax(bad)
        raise InputError(f'{path}: person {row} ({file[row]}): a joint has no coordinates')
    if in_both_splits.any():
        row = np.argmax(in_both_splits)
        raise InputError(f'{path}: person {row} is marked both train and test')
    check_names(path, file.tolist())
    check_joints(joints_xy, path)


def check_names(path: str, names) -> None:
    """Raises InputError for names of pictures that lead out of their folder or are too long for the arrays."""
    for name in names:
        is_plain = os.path.basename(name) == name and name not in ('', '.', '..')
        if not is_plain or '\0' in name or len(name) > MAX_NAME:
            raise InputError(
                f'{path}: picture {name!r:.300}: not a plain file name of at most {MAX_NAME} '
                'characters'
            )
