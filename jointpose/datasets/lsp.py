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
from jointpose.datasets.base import PictureDataSet
from jointpose.media.media_kinds import IMAGE_ENDINGS
from jointpose.metrics.tables import pck_table, pcp_table
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
HEAD_SEGMENT = (
    'neck',
    'head',
)  # there are no head boxes: its length is the unit of PCKh, as deeppose_tf's


class Lsp(PictureDataSet):
    """LSP, LSP-extended and PARSE."""

    name = 'lsp'
    same_form = ('parse',)
    joints = JOINTS
    limbs = LIMBS
    normaliser = NORMALISER
    rate_name = 'PCK@0.2'
    hit_radius = 0.2
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

    def tables(self, found, joints_xy, people):
        visible = people['visible']
        neck, head = map(JOINTS.index, HEAD_SEGMENT)
        head_length = records.distance(joints_xy, visible, neck, head)
        return [
            pck_table(self, 'PCK', people['unit'], found, joints_xy, visible),
            pck_table(self, 'PCKh', head_length, found, joints_xy, visible),
            pcp_table(self, found, joints_xy, visible),
        ]

    def write_synthetic(self, folder, n, seed):
        """Writes joints.mat, 3 x 14 x n: x, y, 1 where hidden."""
        from jointpose.datasets import synthetic, synthetic_sets

        images = synthetic_sets.make_image_folder(folder)
        people = []
        for drawn in synthetic_sets.draw_pictures(images, n, seed, 'im{:04d}.jpg', length=150):
            xy, visible = synthetic_sets.joints_of(drawn.bodies[0], JOINTS)
            people.append(np.column_stack([xy, visible == HIDDEN]))
        path = os.path.join(folder, 'joints.mat')
        synthetic.save_mat(path, {'joints': np.stack(people).transpose(2, 1, 0)})
        return [path], [images]


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
        unit=records.distance(xy, visible, *map(JOINTS.index, NORMALISER)),
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
