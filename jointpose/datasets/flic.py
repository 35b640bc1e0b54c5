"""FLIC (Sapp and Taskar 2013): upper bodies of people in films, nine joints; and the reader of its examples.mat.

HEIGHT and WIDTH are a frame's, in pixels.  What FLIC does not say is derived from the torsobox, which it gives for test
people too: the box of the upper body, its middle and its scale.

Coordinates.  Image coordinates are (x right, y down) in pixels of the 720x480 frame; arrays that hold them end in `xy`.
A heat map has 60 rows and 90 columns of 8x8 pixels (vision/heatmaps.py).  FLIC's people have all joints; of people of
one's own (own.py) those that are not labelled are not a number, never shoulders and hips.
"""

import collections
import os

import numpy as np

from jointpose.datasets.arrays import with_fields
from jointpose.datasets.base import DataSet
from jointpose.utils.errors import InputError
from jointpose.utils.mat_files import load_mat
from jointpose.vision.crops import UNLABELLED, VISIBLE, centre_and_scale
from jointpose.vision.heatmaps import STRIDE

HEIGHT, WIDTH = 480, 720
MAP_HEIGHT, MAP_WIDTH = HEIGHT // STRIDE, WIDTH // STRIDE

JOINTS = ('lsho', 'lelb', 'lwri', 'rsho', 'relb', 'rwri', 'lhip', 'rhip', 'nose')
MAPS = JOINTS + (
    'torso',
)  # the tenth map says which of several people is meant; given, not predicted
N_JOINTS, N_MAPS = len(JOINTS), len(MAPS)
TORSO_CORNERS = (0, 3, 6, 7)  # lsho rsho lhip rhip: torso = their mean
NORMALISER = ('lhip', 'rsho')  # rates are in % of the distance between these two
PAIRS = tuple(
    (j, v) for j in range(N_MAPS) for v in range(N_MAPS) if v != j
)  # 90 x (joint, condjoint)
COLUMNS = (0, 1, 2, 3, 4, 5, 6, 9, 16)  # those of FLIC's 29 coordinates that are JOINTS, in order
# The upper body's x1 y1 x2 y2 in heights of the torsobox from its middle: 95 % of the training people's joints are
# within -0.96, -1.03, 0.93 and 1.22 (each side's own 95 %).
UPPER_BODY = np.array([-1, -1.05, 1, 1.25], np.float32)
MAX_NAME = 80  # characters of a picture's name
PERSON_DTYPE = np.dtype(
    [('file', f'U{MAX_NAME}'), ('torsobox', '<f4', 4), ('backward', '?'), ('row', '<i4')]
)
# n people: file [n] str, joints_xy [n, 10, 2] float32 pixels (sides swapped where backward), torsobox [n, 4],
# backward [n] bool, split [n] 'train' | 'test' | '', row [n] in examples.mat, picture [n] str: path of the file that
# shows them (of what `read_annotations` returns, the name alone).
Annotations = collections.namedtuple(
    'Annotations', 'file joints_xy torsobox backward split row picture'
)


class Flic(DataSet):
    """FLIC, FLIC-plus and custom people cut out as FLIC's are: frames of one size, stored in the arrays."""

    name = 'flic'
    joints = JOINTS
    anchor = 'torso'
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
    side_convention = "left is the person's own left if seen from the front: people seen from behind come out exchanged"
    frame_size = (HEIGHT, WIDTH)
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
        from jointpose.datasets import synthetic

        synthetic.write_flic(folder, n, seed)
        return [os.path.join(folder, 'examples.mat')], [os.path.join(folder, 'images')]


FLIP = Flic().flip
LIMBS = Flic().limb_indices
LAYOUT = Flic().layout


def pair_name(joint, condjoint, names=MAPS):
    """'lsho_lelb': the distribution of lsho - lelb, i.e. of lsho given lelb."""
    return f'{names[joint]}_{names[condjoint]}'


def add_torso(joints_xy):
    """[..., 9, 2] -> [..., 10, 2]: appends the torso, the mean of both shoulders and both hips."""
    torso_xy = joints_xy[..., TORSO_CORNERS, :].mean(axis=-2, keepdims=True)
    return np.concatenate([joints_xy, torso_xy], axis=-2)


def torso_from_box(joints_xy, torsobox):
    """[n, 10, 2], x1 y1 x2 y2 [n, 4] -> float32 [n, 10, 2]: the torso is the centre of FLIC's torsobox.

    That box is a detection: no annotated joint enters it.
    """
    centre_xy = (torsobox[:, :2] + torsobox[:, 2:]) / 2
    return np.concatenate([joints_xy[:, :N_JOINTS], centre_xy[:, None]], axis=1, dtype=np.float32)


def swap_sides(joints_xy):
    """[..., 9 or 10, 2] -> the same shape: left and right exchanged, positions unchanged."""
    return joints_xy[..., list(FLIP[: joints_xy.shape[-2]]), :]


def to_observer_sides(joints_xy):
    """Person-centric joints [n, 9, 2] -> (observer-centric joints [n, 9, 2], backward bool [n]): left and right of
    people seen from behind are exchanged."""
    backward = Flic().faces_backward(joints_xy)
    return np.where(backward[:, None, None], swap_sides(joints_xy), joints_xy), backward


def clamp_to_frame(joints_xy):
    """Nearest position whose cell lies within the frame, so that every annotated joint has a cell."""
    return np.clip(joints_xy, 0, np.array([WIDTH - 1, HEIGHT - 1], np.float32))


def normaliser(joints_xy, joints=NORMALISER):
    """[..., k, 2] -> [..., 2]: the first of two joints minus the second, whose distance rates are in % of."""
    end, beginning = (joints_xy[..., JOINTS.index(joint), :] for joint in joints)
    return end - beginning


def visibility(joints_xy):
    """[..., k, 2] -> uint8 [..., k], crops.VISIBLE where a joint is labelled."""
    return np.where(np.isnan(joints_xy).any(axis=-1), UNLABELLED, VISIBLE).astype(np.uint8)


def near_frame(joints_xy):
    """[n, k, 2] -> bool [n]: whether all joints are at most one frame outside the frame; NaN is not."""
    return _near_frame(joints_xy).all(axis=1)


def _near_frame(joints_xy):
    frame = np.array([WIDTH, HEIGHT])
    return ((joints_xy > -frame) & (joints_xy < 2 * frame)).all(axis=2)  # NaN compares false


def check_joints(joints_xy, path):
    """Refuses joints further than one frame outside the frame, and shoulders, hips and torsos that are NaN."""
    fine = _near_frame(joints_xy)
    fine[:, :N_JOINTS] |= np.isnan(joints_xy[:, :N_JOINTS]).all(axis=2) & ~np.isin(
        range(N_JOINTS), TORSO_CORNERS
    )
    bad = ~fine.all(axis=1)
    if bad.any():
        raise InputError(
            f'{path}: sample {np.argmax(bad)}: a joint is NaN or far outside the frame'
        )


def read_annotations(path):
    """Reads FLIC's examples.mat; returns Annotations of everybody in it, in its order."""
    examples = load_mat(path)
    try:
        examples = examples['examples'].ravel()
        fields = examples.dtype.names
        if 'isbad' in fields and 'istrain' not in fields:
            raise InputError(
                f'{path}: this is FLIC-full, which does not say who trains and who is tested: name the '
                'rows to train on and FLIC for its test people: --rows tr_plus_indices.mat --test '
                'FLIC/examples.mat (docs/datasets.md)'
            )
        coords = np.stack([person['coords'] for person in examples]).astype(
            np.float32
        )  # [n, 2, 29]
        joints_xy = np.moveaxis(coords[:, :, COLUMNS], 1, 2)  # [n, 9, 2]
        file = np.array([person['filepath'].item() for person in examples])
        torsobox = np.stack([person['torsobox'].ravel() for person in examples]).astype(np.float32)
        is_train, is_test = (
            np.array([bool(person[key].item()) for person in examples])
            for key in ('istrain', 'istest')
        )
    except InputError:
        raise
    except Exception as error:  # a foreign .mat can hold anything
        raise InputError(
            f"{path}: not FLIC's examples.mat: {type(error).__name__}: {error}"
        ) from error
    _check_annotations(path, file, joints_xy, torsobox, is_train & is_test)
    joints_xy, backward = to_observer_sides(joints_xy)
    split = np.where(is_train, 'train', np.where(is_test, 'test', ''))
    return Annotations(
        file, add_torso(joints_xy), torsobox, backward, split, np.arange(len(file)), file
    )


def _check_annotations(path, file, joints_xy, torsobox, in_both):
    if file.dtype.kind != 'U' or torsobox.shape[1:] != (4,) or not np.isfinite(torsobox).all():
        raise InputError(f"{path}: filepath or torsobox are not FLIC's")
    bad = ~(torsobox[:, 2:] > torsobox[:, :2]).all(axis=1)
    if bad.any():
        raise InputError(
            f'{path}: person {np.argmax(bad)} ({file[np.argmax(bad)]}): torsobox '
            f'{torsobox[np.argmax(bad)].tolist()} is not x1, y1, x2, y2 of positive size'
        )
    bad = ~np.isfinite(joints_xy).all(axis=(1, 2))
    if bad.any():
        raise InputError(
            f'{path}: person {np.argmax(bad)} ({file[np.argmax(bad)]}): a joint has no coordinates'
        )
    if in_both.any():
        raise InputError(f'{path}: person {np.argmax(in_both)} is marked both train and test')
    check_names(path, file.tolist())
    check_joints(joints_xy, path)


def check_names(path, names):
    """Refuses names of pictures that lead out of their folder, or that the arrays have no room for."""
    for name in names:
        if (
            os.path.basename(name) != name
            or name in ('', '.', '..')
            or '\0' in name
            or len(name) > MAX_NAME
        ):
            raise InputError(
                f'{path}: picture {name!r:.300}: not a plain file name of at most {MAX_NAME} characters'
            )
