"""MPII Human Pose (Andriluka et al. 2014): everyday activities, sixteen joints.

There are often several people in a picture.

Two forms are read:
    the official .mat     RELEASE: the training people (img_train) that have joints; every tenth
                          picture is a test one, as the official test people have no public joints
    HRNet's .json         lists of people: image, joints, joints_vis, center, scale; two files,
                          train.json and valid.json, or one, of which every tenth picture is a test
                          one; who has a center of -1, -1 or no positive scale is left out and
                          counted

`unit` is the head's size, 0.6 of the head box's diagonal, by which PCKh is normalised.  HRNet's
form has no head boxes, and needs none: top of the head and upper neck lie 0.4 of the diagonal on
either side of the box's middle, so the size is 0.75 of their distance.  (Of five people looked at,
the squared diagonals that follow are whole numbers, as a box of whole pixels has them.)  The box is
the square of 200 * scale pixels around the centre.
"""

import functools
from typing import NamedTuple

import numpy as np

from jointpose.annotations import picture_names
from jointpose.annotations.coco_json import is_nowhere
from jointpose.datasets import records
from jointpose.datasets.base import PictureDataSet
from jointpose.metrics.tables import pck_table
from jointpose.utils.counts import counted
from jointpose.utils.errors import InputError
from jointpose.utils.files import load_json
from jointpose.utils.mat_files import load_mat
from jointpose.vision.crops import HIDDEN, UNLABELLED, VISIBLE

JOINTS = (
    'rank',
    'rkne',
    'rhip',
    'lhip',
    'lkne',
    'lank',
    'pelvis',
    'thorax',
    'neck',
    'head',
    'rwri',
    'relb',
    'rsho',
    'lsho',
    'lelb',
    'lwri',
)
LIMBS = (
    ('rank', 'rkne'),
    ('rkne', 'rhip'),
    ('rhip', 'pelvis'),
    ('pelvis', 'lhip'),
    ('lhip', 'lkne'),
    ('lkne', 'lank'),
    ('pelvis', 'thorax'),
    ('thorax', 'neck'),
    ('neck', 'head'),
    ('rwri', 'relb'),
    ('relb', 'rsho'),
    ('rsho', 'thorax'),
    ('thorax', 'lsho'),
    ('lsho', 'lelb'),
    ('lelb', 'lwri'),
)
FIELDS = ('image', 'joints', 'joints_vis', 'center', 'scale')  # of HRNet's form
# The shapes that these may have, the usual one first.
SHAPES = {
    'joints': [(16, 2), (16, 3)],
    'joints_vis': [(16,), (16, 2), (16, 3)],
    'center': [(2,)],
    'scale': [()],
}
# The annotation counts pixels from 1, at their centres: its 1 is the middle of the first, 0.5.
FIRST_PIXEL = 0.5
HEAD = ('head', 'neck')
HEAD_SIZE = 0.6  # of the head box's diagonal
HEAD_LINE = 0.8  # the distance between HEAD's joints, of the same


class Mpii(PictureDataSet):
    """MPII Human Pose."""

    name = 'mpii'
    joints = JOINTS
    limbs = LIMBS
    normaliser = HEAD
    anchor_sources = ('box', 'joints', 'none')
    rate_name = 'PCKh@0.5'
    hit_radius = 0.5
    torso_to_box = (-1.7, -1.7, 1.7, 1.7)  # the square of centre and scale, median of five people
    uncounted_joints = ('pelvis', 'thorax')

    def read(self, metas, folders):
        """See PictureDataSet.  A .json is in HRNet's form, any other file is the official one."""
        root, inner = records.common_root(folders)
        parts = []
        for path, folder, prefix in zip(metas, folders, inner):
            is_json = path.lower().endswith('.json')
            parts.append(read_json(path, folder, prefix) if is_json else read_mat(path, prefix))
        return root, records.as_splits(parts)

    def tables(self, found, joints_xy, people):
        return [pck_table(self, 'PCKh', people['unit'], found, joints_xy, people['visible'])]

    def write_synthetic(self, folder, n, seed):
        """Writes train.json and valid.json, lists of people as HRNet's."""
        from jointpose.datasets.synthetic import whole_bodies

        images = whole_bodies.make_image_folder(folder)
        parts = {'train.json': [], 'valid.json': []}
        for drawn in whole_bodies.draw_pictures(images, n, seed, '{:09d}.jpg', people=2):
            part = parts['valid.json' if drawn.index % 5 == 1 else 'train.json']
            part += [drawn_person(drawn.file, body) for body in drawn.bodies]
        return whole_bodies.write_json_files(folder, parts), [images, images]


def drawn_person(file, body):
    """Returns a whole_bodies.Body on a picture in HRNet's form."""
    from jointpose.datasets.synthetic import whole_bodies

    xy, visible = whole_bodies.joints_of(body, JOINTS)
    first = xy.min(axis=0)
    last = xy.max(axis=0)
    return {
        'image': file,
        'joints': np.where(visible[:, None] > 0, xy + FIRST_PIXEL, -1).round(4).tolist(),
        'joints_vis': (visible > 0).astype(int).tolist(),
        'center': ((first + last) / 2 + FIRST_PIXEL).round(1).tolist(),
        'scale': round(1.15 * float((last - first).max()) / 200, 6),
    }


@records.reports_path
def read_json(path: str, folder: str, prefix: str) -> records.Annotated:
    """The people of one of HRNet's files; prints who is left out.

    Args:
        folder: where the pictures are.
        prefix: the folder, from the root of all pictures on.
    """
    people = load_json(path)
    if not isinstance(people, list) or not people:
        raise InputError(
            f"not HRNet's form of MPII, a list of people, each with {', '.join(FIELDS)}"
        )
    for row, person in enumerate(people):
        check_fields(row, person)

    n = len(people)
    xy = column(people, 'joints')[..., :2]  # [n, 16, 2]
    visible = column(people, 'joints_vis').reshape(n, len(JOINTS), -1)[..., 0] > 0
    unset = visible & is_nowhere(xy.reshape(-1, 2)).reshape(visible.shape)
    if unset.any():
        print(
            f'{path}: taken for unlabelled: {counted(unset.sum(), "joint")} at (0, 0) or (-1, -1)'
        )

    centres = column(people, 'center')
    scales = column(people, 'scale')
    kept = (centres != -1).any(axis=1) & (scales > 0)
    if not kept.all():
        print(
            f'{path}: left out: {counted((~kept).sum(), "person")} without center or positive scale'
        )
    if not kept.any():
        raise InputError('nobody has a center and a positive scale')

    images = [people[row]['image'] for row in np.flatnonzero(kept)]
    names, renamed = picture_names.resolve(images, folder)
    if renamed.names:
        print(f'{path}: {renamed}')
    labels = np.where(visible & ~unset, VISIBLE, UNLABELLED)
    return build(
        [prefix + name for name in names],
        xy[kept],
        labels[kept],
        centres[kept],
        scales[kept],
    )


def check_fields(row: int, person) -> None:
    """InputError names the fields that one of HRNet's people lacks."""
    absent = [key for key in FIELDS if not isinstance(person, dict) or person.get(key) is None]
    if absent:
        is_test_person = 'joints' in absent and 'image' not in absent
        hint = ' (a file of test people?)' if is_test_person else ''
        raise InputError(
            f"person {row} has no {', '.join(absent)}{hint}; HRNet's form of MPII has "
            f'{", ".join(FIELDS)}'
        )
    if not isinstance(person['image'], str):
        raise InputError(f'person {row}: image {person["image"]!r:.40} is no name')


def column(people: list[dict], key: str) -> np.ndarray:
    """A field of everybody, float64 [n, ...]."""
    rows = []
    for row, person in enumerate(people):
        try:
            values = np.array(person[key], float)
        except (TypeError, ValueError):
            raise InputError(
                f'person {row}: {key} {person[key]!r:.60} are no numbers, or not equally many'
            ) from None
        rows.append(values)
        if values.shape not in SHAPES[key] or values.shape != rows[0].shape:
            raise InputError(
                f'person {row}: {key} is of shape {values.shape}, expected {SHAPES[key][0]}'
            )
    return np.stack(rows)


class MatPerson(NamedTuple):
    """A training person of the official file."""

    file: str
    xy: np.ndarray  # float64 [16, 2], 0 where unlabelled
    visible: np.ndarray  # int [16]: UNLABELLED, HIDDEN or VISIBLE
    centre: list[float]  # x, y
    scale: float
    head_size: float  # NaN without a head box


@records.reports_path
def read_mat(path: str, folder: str) -> records.Annotated:
    """The training people of the official file that have joints.

    folder: that of the pictures, from the root of all pictures on.
    """
    people = load_mat(path, functools.partial(people_in, path, folder))
    return build(
        [person.file for person in people],
        np.stack([person.xy for person in people]),
        np.stack([person.visible for person in people]),
        [person.centre for person in people],
        [person.scale for person in people],
        [person.head_size for person in people],
    )


@records.reports_path
def people_in(path: str, folder: str, variables: dict) -> list[MatPerson]:
    """The training people with joints, of the official file's variables."""
    release = variables['RELEASE'][0, 0]
    people = []
    for picture, is_train in zip(release['annolist'].ravel(), release['img_train'].ravel()):
        if not is_train:
            continue
        for rectangle in picture['annorect'].ravel():
            if has_joints(rectangle):
                file = folder + str(field(field(picture, 'image'), 'name'))
                people.append(person_of(file, rectangle))
    if not people:
        raise InputError('holds no training people with joints')
    return people


def has_joints(rectangle: np.void) -> bool:
    """Whether an element of the struct array `annorect` has joints, a scale and a position."""
    points = field(rectangle, 'annopoints')
    if points is None or field(points, 'point') is None:
        return False
    return field(rectangle, 'scale') is not None and field(rectangle, 'objpos') is not None


def person_of(file: str, rectangle: np.void) -> MatPerson:
    """The person of an element of `annorect` that has joints."""
    xy = np.zeros((len(JOINTS), 2))
    visible = np.full(len(JOINTS), UNLABELLED)
    for point in field(rectangle, 'annopoints')['point'].ravel():
        joint = int(point['id'].item())
        xy[joint] = point['x'].item(), point['y'].item()
        is_visible = field(point, 'is_visible')
        is_hidden = is_visible is not None and not float(is_visible)
        visible[joint] = HIDDEN if is_hidden else VISIBLE
    position = field(rectangle, 'objpos')
    centre = [position['x'].item(), position['y'].item()]
    scale = float(field(rectangle, 'scale'))
    return MatPerson(file, xy, visible, centre, scale, head_size(rectangle))


def field(struct: np.void | np.ndarray, name: str):
    """What a MATLAB struct [1, 1] holds under a name; None where that is absent or empty."""
    if name not in (struct.dtype.names or ()):
        return None
    value = struct[name]
    return value.ravel()[0] if value.size else None


def head_size(rectangle: np.void) -> float:
    """The size of a person's head box.

    It is NaN where there is none: such people are trained on, but not measured.
    """
    corners = [field(rectangle, name) for name in ('x1', 'x2', 'y1', 'y2')]
    if None in corners:
        return np.nan
    x1, x2, y1, y2 = map(float, corners)
    return HEAD_SIZE * np.hypot(x2 - x1, y2 - y1)


def build(files, joints_xy, visible, centres, scales, heads=None):
    """Returns the Annotated of n people, with pictures in the order of their first appearance.

    Args:
        files: [n], names of the pictures.
        joints_xy: [n, 16, 2], pixels as the annotation counts them.
        visible: [n, 16].
        centres: [n, 2], likewise.
        scales: [n].
        heads: [n], the heads' sizes, pixels; None if they are not known.
    """
    names = list(dict.fromkeys(files))
    place = {name: i for i, name in enumerate(names)}
    joints_xy = joints_xy - FIRST_PIXEL
    centres = np.asarray(centres, np.float32) - np.float32(FIRST_PIXEL)
    scales = np.asarray(scales, np.float32)
    half = 100 * scales[:, None]
    line = records.distance(joints_xy, visible, *map(JOINTS.index, HEAD))
    return records.make_annotated(
        names,
        [place[file] for file in files],
        joints_xy,
        visible,
        centre=centres,
        scale=scales,
        box=np.concatenate([centres - half, centres + half], axis=1),
        area=4 * half[:, 0] ** 2,
        unit=HEAD_SIZE / HEAD_LINE * line if heads is None else heads,
    )
