"""Leeds Sports Pose (Johnson and Everingham 2010, 2011): whole bodies in sports, fourteen joints.

PARSE (Ramanan 2006) has the same joints, and is read as LSP.

Three files are read, told apart by their axes:
    LSP             joints.mat, 3 x 14 x 2000: x, y, 1 where hidden; images/im0001.jpg ...; the
                    first half trains
    LSP-extended    joints.mat, 14 x 3 x 10000: x, y, 0 where not labelled, whose x, y are not in
                    the picture; images/im00001.jpg ..., or .png as in its HR-LSPET edition; all
                    train
    PARSE           labels.mat, ptsAll 14 x 2 x 305; im0001.jpg ...; the first 100 train

Pictures' endings are those of the files that are there, in small or capital letters.  The data sets
have no boxes: a person's box is that of the labelled joints, enlarged by a fifth.  So the test
people's crops depend on the truth, as do those of published results that crop by it.  `unit` is the
distance between left shoulder and right hip.
"""

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jointpose.datasets import arrays, records
from jointpose.datasets.base import PictureDataSet
from jointpose.media.media_kinds import IMAGE_ENDINGS
from jointpose.metrics.key_points import pck, pcp
from jointpose.metrics.tables import pck_table, pcp_table, sticks_of
from jointpose.utils.errors import InputError
from jointpose.utils.mat_files import load_mat
from jointpose.vision.crops import HIDDEN, UNLABELLED, VISIBLE

JOINTS = (
    'rank',
    'rkne',
    'rhip',
    'lhip',
    'lkne',
    'lank',
    'rwri',
    'relb',
    'rsho',
    'lsho',
    'lelb',
    'lwri',
    'neck',
    'head',
)
LIMBS = (
    ('rank', 'rkne'),
    ('rkne', 'rhip'),
    ('rhip', 'lhip'),
    ('lhip', 'lkne'),
    ('lkne', 'lank'),
    ('rwri', 'relb'),
    ('relb', 'rsho'),
    ('rsho', 'lsho'),
    ('lsho', 'lelb'),
    ('lelb', 'lwri'),
    ('rsho', 'neck'),
    ('lsho', 'neck'),
    ('neck', 'head'),
    ('rhip', 'rsho'),
    ('lhip', 'lsho'),
)
NORMALISER = ('lsho', 'rhip')
# There are no head boxes: the length of this segment is the unit of PCKh, as it is deeppose_tf's.
HEAD_SEGMENT = ('neck', 'head')
STICKS = sticks_of(JOINTS)  # of PCP
PARSE_TRAINING_PEOPLE = 100


class Lsp(PictureDataSet):
    """LSP, LSP-extended and PARSE."""

    name = 'lsp'
    same_form = ('parse',)
    joints = JOINTS
    limbs = LIMBS
    normaliser = NORMALISER
    anchor_sources = ('box', 'joints', 'none')
    rate_name = 'PCK@0.2'
    hit_radius = 0.2
    more_rates: Mapping[str, Sequence[str]] = {'pcp': tuple(STICKS), 'pckh': JOINTS}
    max_annotation_files = None
    tenth_is_test = False

    def read(self, metas, folders):
        """See PictureDataSet; several files are joined."""
        root, inner = records.common_root(folders)
        parts = [read_one(meta, root, folder) for meta, folder in zip(metas, inner)]
        splits = {}
        for split in arrays.SPLITS:
            splits[split] = records.concatenated([part[split] for part in parts])
        return root, splits

    def measure_more(self, pred_xy, truth_xy, visible):
        """Strict PCP@0.5 of the ten sticks and PCKh@0.5."""
        strict, _, counts = pcp(pred_xy, truth_xy, visible, list(STICKS.values()))
        head = head_length(truth_xy, visible)
        return {'pcp': (strict, counts), 'pckh': pck(pred_xy, truth_xy, visible, head, 0.5)}

    def tables(self, found, joints_xy, people):
        visible = people['visible']
        head = head_length(joints_xy, visible)
        return [
            pck_table(self, 'PCK', people['unit'], found, joints_xy, visible),
            pck_table(self, 'PCKh', head, found, joints_xy, visible),
            pcp_table(self, found, joints_xy, visible),
        ]

    def write_synthetic(self, folder, n, seed):
        """Writes joints.mat, 3 x 14 x n: x, y, 1 where hidden."""
        from jointpose.datasets.synthetic import flic_set, whole_bodies

        images = whole_bodies.make_image_folder(folder)
        people = []
        for drawn in whole_bodies.draw_pictures(images, n, seed, 'im{:04d}.jpg', length=150):
            xy, visible = whole_bodies.joints_of(drawn.bodies[0], JOINTS)
            people.append(np.column_stack([xy, visible == HIDDEN]))
        path = os.path.join(folder, 'joints.mat')
        flic_set.save_mat(path, {'joints': np.stack(people).transpose(2, 1, 0)})
        return [path], [images]


def head_length(joints_xy, visible) -> np.ndarray:
    """Lengths of the head segments of people [n, 14, 2]: float64 [n], NaN where unlabelled."""
    neck, head = map(JOINTS.index, HEAD_SEGMENT)
    return records.distance(joints_xy, visible, neck, head)


class Points(NamedTuple):
    """The labels of a file with n people."""

    xy: np.ndarray  # [n, 14, 2], pixels
    visible: np.ndarray  # [n, 14]: UNLABELLED, HIDDEN or VISIBLE
    n_train: int  # the first people, who are the training people
    name: str  # of the pictures, without ending; a format of the number from 1


def points_of(variables: dict) -> Points:
    """The labels of one of the three files, told apart by their axes."""
    values = variables.get('joints', variables.get('ptsAll'))
    axes = np.shape(values)[:2]
    if axes == (3, 14):
        points = values.transpose(2, 1, 0)
        visible = np.where(points[..., 2] == 1, HIDDEN, VISIBLE)
        return Points(points[..., :2], visible, len(points) // 2, 'im{:04d}')
    if axes == (14, 3):
        points = values.transpose(2, 0, 1)
        visible = np.where(points[..., 2] == 0, UNLABELLED, VISIBLE)
        return Points(points[..., :2], visible, len(points), 'im{:05d}')
    if axes == (14, 2):
        points = values.transpose(2, 0, 1)
        visible = np.full(points.shape[:2], VISIBLE)
        return Points(points, visible, PARSE_TRAINING_PEOPLE, 'im{:04d}')
    raise InputError('holds no `joints` (3 x 14 x n or 14 x 3 x n) and no `ptsAll` (14 x 2 x n)')


@records.reports_path
def read_one(path: str, root: str, folder: str) -> dict[str, records.Annotated]:
    """One of the three files -> {'train', 'test'}.

    Args:
        root: the folder of all pictures.
        folder: the folder of this file's pictures, as their names begin with it; from `root` on.
    """
    points = points_of(load_mat(path))
    n = len(points.xy)
    stems = [points.name.format(i + 1) for i in range(n)]
    left_shoulder, right_hip = map(JOINTS.index, NORMALISER)
    whole = records.make_annotated(
        with_endings(root, folder, stems),
        np.arange(n),
        points.xy,
        points.visible,
        box=records.box_of(points.xy, points.visible),
        unit=records.distance(points.xy, points.visible, left_shoulder, right_hip),
    )
    is_train = np.arange(n) < points.n_train
    return {
        'train': records.keep_pictures(whole, is_train),
        'test': records.keep_pictures(whole, ~is_train),
    }


def with_endings(root: str, folder: str, stems: list[str]) -> list[str]:
    """Names of pictures, from `root` on, with the endings that their files have.

    A picture that is absent gets .jpg.
    """
    there = {}  # {name in small letters: name}
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(os.path.join(root, folder))):
            there[name.lower()] = name
    return [folder + _with_ending(stem, there) for stem in stems]


def _with_ending(stem: str, there: dict[str, str]) -> str:
    """A picture's name; .jpg is preferred."""
    for ending in ('.jpg', *IMAGE_ENDINGS):
        if stem + ending in there:
            return there[stem + ending]
    return f'{stem}.jpg'
