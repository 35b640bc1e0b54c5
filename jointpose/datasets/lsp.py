"""Leeds Sports Pose (Johnson and Everingham 2010, 2011): whole bodies in sports, fourteen joints.  PARSE (Ramanan 2006)
has the same joints, and is read as LSP.

Three files are read, told apart by their axes:
    LSP             joints.mat, 3 x 14 x 2000: x, y, 1 where hidden; images/im0001.jpg ...; the first half trains
    LSP-extended    joints.mat, 14 x 3 x 10000: x, y, 0 where not labelled, whose x, y are not in the picture;
                    images/im00001.jpg ..., or .png as in its HR-LSPET edition; all train
    PARSE           labels.mat, ptsAll 14 x 2 x 305; im0001.jpg ...; the first 100 train

Endings are those of the files that are there, in small or capital letters.  They have no boxes: a person's is that of
the labelled joints, enlarged by a fifth; so the test people's crops know of the truth, as those of published results
that crop by it do.  unit is the distance between left shoulder and right hip.
"""

import contextlib
import os

import numpy as np

from jointpose.datasets import arrays, records
from jointpose.media.sources import IMAGE_ENDINGS
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
POINTS = JOINTS
FLIP = (5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6, 12, 13)
LIMBS = (
    (0, 1),
    (1, 2),
    (2, 3),
    (3, 4),
    (4, 5),
    (6, 7),
    (7, 8),
    (8, 9),
    (9, 10),
    (10, 11),
    (8, 12),
    (9, 12),
    (12, 13),
    (2, 8),
    (3, 9),
)
LAYOUT = arrays.picture_layout(len(JOINTS))
SIDES = "left is the person's own left"
TORSO = ('lsho', 'rhip')
MEASURE, RADIUS, UNCOUNTED = 'PCK@0.2', 0.2, ()
people, check_joints = records.people, records.check_joints


def read(metas, folders):
    """See annotations.py; several files are joined."""
    root, inner = records.common_root(folders)
    parts = [read_one(meta, root, folder) for meta, folder in zip(metas, inner)]
    return root, {
        split: records.concatenated([part[split] for part in parts]) for split in arrays.SPLITS
    }


@records.reports_path
def read_one(path, root, folder):
    """One of the three files -> {'train', 'test'}; folder: what its pictures' names begin with, from `root` on."""
    variables = load_mat(path)
    points = variables.get('joints', variables.get('ptsAll'))
    shape = np.shape(points)[:2]
    if shape == (3, 14):
        points, n_train, name = points.transpose(2, 1, 0), points.shape[2] // 2, 'im{:04d}'
        visible = np.where(points[..., 2] == 1, HIDDEN, VISIBLE)
    elif shape == (14, 3):
        points, n_train, name = points.transpose(2, 0, 1), points.shape[2], 'im{:05d}'
        visible = np.where(points[..., 2] == 0, UNLABELLED, VISIBLE)
    elif shape == (14, 2):
        points, n_train, name = points.transpose(2, 0, 1), 100, 'im{:04d}'
        visible = np.full(points.shape[:2], VISIBLE)
    else:
        raise InputError(
            'holds no `joints` (3 x 14 x n or 14 x 3 x n) and no `ptsAll` (14 x 2 x n)'
        )
    xy = points[..., :2]
    whole = records.make_annotated(
        with_endings(root, folder, [name.format(i + 1) for i in range(len(xy))]),
        np.arange(len(xy)),
        xy,
        visible,
        box=records.box_of(xy, visible),
        unit=records.distance(xy, visible, *map(JOINTS.index, TORSO)),
    )
    train = np.arange(len(xy)) < n_train
    return {
        'train': records.keep_pictures(whole, train),
        'test': records.keep_pictures(whole, ~train),
    }


def with_endings(root: str, folder: str, stems: list[str]) -> list[str]:
    """Names of pictures from `root` on, with the endings that they have there; .jpg of those that are absent."""
    with contextlib.suppress(OSError):
        there = {name.lower(): name for name in sorted(os.listdir(os.path.join(root, folder)))}
        endings = ('.jpg', *(ending for ending in IMAGE_ENDINGS if ending != '.jpg'))
        names = [
            next(
                (there[stem + ending] for ending in endings if stem + ending in there),
                f'{stem}.jpg',
            )
            for stem in stems
        ]
        return [folder + name for name in names]
    return [f'{folder}{stem}.jpg' for stem in stems]
