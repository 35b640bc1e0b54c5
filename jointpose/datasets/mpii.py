"""MPII Human Pose (Andriluka et al. 2014): everyday activities, sixteen joints, often several people a picture.

Two forms are read:
    the official .mat     RELEASE: the training people (img_train) that have joints; every tenth picture is a test one,
                          as the official test people have no public joints
    HRNet's .json         lists of people: image, joints, joints_vis, center, scale; two files, train.json and
                          valid.json, or one, of which every tenth picture is a test one; who has a center of -1, -1
                          or no positive scale is left out and counted

unit is the head's size, 0.6 of the head box's diagonal, by which PCKh is normalised.  HRNet's form has no head boxes,
and needs none: top of the head and upper neck lie 0.4 of the diagonal on either side of the box's middle (of five
people looked at, the squared diagonals that follow are whole numbers, as a box of whole pixels has them), so the size
is 0.75 of their distance.  The box is the square of 200 * scale pixels around the centre.
"""

import functools

import numpy as np

from jointpose.annotations import picture_names
from jointpose.annotations.coco_json import is_nowhere
from jointpose.datasets import records
from jointpose.datasets.base import PictureDataSet
from jointpose.metrics.tables import pck_table
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
    rate_name = 'PCKh@0.5'
    hit_radius = 0.5
    uncounted_joints = ('pelvis', 'thorax')

    def read(self, metas, folders):
        """See PictureDataSet; a .json is taken for HRNet's form, any other file for the official one."""
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
        from jointpose.datasets import synthetic_sets

        images = synthetic_sets.make_image_folder(folder)
        parts = {'train.json': [], 'valid.json': []}
        for drawn in synthetic_sets.draw_pictures(images, n, seed, '{:09d}.jpg', people=2):
            part = parts['valid.json' if drawn.index % 5 == 1 else 'train.json']
            part += [drawn_person(drawn.file, body) for body in drawn.bodies]
        return synthetic_sets.write_json_files(folder, parts), [images, images]


def drawn_person(file, body):
    """Returns a synthetic_sets.Body on a picture in HRNet's form."""
    from jointpose.datasets import synthetic_sets

    xy, visible = synthetic_sets.joints_of(body, JOINTS)
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
def read_json(path, folder, prefix):
    """One of HRNet's files -> Annotated; says on stdout who is left out.  prefix: the folder, from the root."""
    people = load_json(path)
    if not isinstance(people, list) or not people:
        raise InputError(
            f"not HRNet's form of MPII, a list of people, each with {', '.join(FIELDS)}"
        )
    for row, person in enumerate(people):
        check_fields(row, person)
    xy, visible = (
        column(people, 'joints')[..., :2],
        column(people, 'joints_vis').reshape(len(people), len(JOINTS), -1),
    )
    seen = visible[..., 0] > 0
    unset = seen & is_nowhere(xy.reshape(-1, 2)).reshape(seen.shape)
    if unset.any():
        print(f'{path}: {unset.sum()} joints at (0, 0) or (-1, -1) are taken for unlabelled')
    centres, scales = column(people, 'center'), column(people, 'scale')
    kept = (centres != -1).any(axis=1) & (scales > 0)
    if not kept.all():
        print(f'{path}: left out: {(~kept).sum()} people without center or positive scale')
    if not kept.any():
        raise InputError('nobody has a center and a positive scale')
    names, renamed = picture_names.resolve(
        [person['image'] for person, keep in zip(people, kept) if keep], folder
    )
    if renamed.names:
        print(f'{path}: {renamed}')
    return build(
        [prefix + name for name in names],
        xy[kept],
        np.where(seen & ~unset, VISIBLE, UNLABELLED)[kept],
        centres[kept],
        scales[kept],
    )


def check_fields(row, person):
    """InputError names a field that somebody of HRNet's form lacks."""
    absent = [key for key in FIELDS if not isinstance(person, dict) or person.get(key) is None]
    if absent:
        test = 'joints' in absent and 'image' not in absent
        raise InputError(
            f"person {row} has no {', '.join(absent)}{' (a file of test people?)' * test}; HRNet's form "
            f'of MPII has {", ".join(FIELDS)}'
        )
    if not isinstance(person['image'], str):
        raise InputError(f'person {row}: image {person["image"]!r:.40} is no name')


def column(people, key):
    """float64 [n, ...]: a field of everybody."""
    shapes = {
        'joints': [(16, 2), (16, 3)],
        'joints_vis': [(16,), (16, 2), (16, 3)],
        'center': [(2,)],
        'scale': [()],
    }
    rows = []
    for row, person in enumerate(people):
        try:
            rows.append(np.array(person[key], float))
        except (TypeError, ValueError):
            raise InputError(
                f'person {row}: {key} {person[key]!r:.60} are no numbers, or not equally many'
            ) from None
        if rows[-1].shape not in shapes[key] or rows[-1].shape != rows[0].shape:
            raise InputError(
                f'person {row}: {key} is of shape {rows[-1].shape}, expected {shapes[key][0]}'
            )
    return np.stack(rows)


@records.reports_path
def read_mat(path, folder):
    """The official file -> Annotated of the training people with joints."""
    return build(*load_mat(path, functools.partial(people_in, path, folder)))


@records.reports_path
def people_in(path, folder, variables):
    """The variables of the official file -> the arguments of `build`."""
    release = variables['RELEASE'][0, 0]
    files, xy, visible, centres, scales, heads = [], [], [], [], [], []
    for picture, is_train in zip(release['annolist'].ravel(), release['img_train'].ravel()):
        for person in picture['annorect'].ravel() if is_train else ():
            points, scale, position = (
                field(person, name) for name in ('annopoints', 'scale', 'objpos')
            )
            if (
                points is None
                or scale is None
                or position is None
                or field(points, 'point') is None
            ):
                continue
            one_xy, one_visible = np.zeros((len(JOINTS), 2)), np.full(len(JOINTS), UNLABELLED)
            for point in points['point'].ravel():
                joint, seen = int(point['id'].item()), field(point, 'is_visible')
                one_xy[joint] = point['x'].item(), point['y'].item()
                one_visible[joint] = HIDDEN if seen is not None and not float(seen) else VISIBLE
            files.append(folder + str(field(field(picture, 'image'), 'name')))
            xy.append(one_xy)
            visible.append(one_visible)
            centres.append([position[axis].item() for axis in 'xy'])
            scales.append(float(scale))
            heads.append(head_size(person))
    if not files:
        raise InputError('holds no training people with joints')
    return files, np.stack(xy), np.stack(visible), centres, scales, heads


def field(struct, name):
    """What a MATLAB struct [1, 1] holds under a name, None where that is absent or empty."""
    value = struct[name] if name in (struct.dtype.names or ()) else np.empty(0)
    if not value.size:
        return None
    return value.ravel()[0]


def head_size(person):
    """Of a person's head box; not a number where there is none: such people train, but are not measured."""
    corners = [field(person, name) for name in ('x1', 'x2', 'y1', 'y2')]
    if None in corners:
        return np.nan
    x1, x2, y1, y2 = map(float, corners)
    return HEAD_SIZE * np.hypot(x2 - x1, y2 - y1)


def build(files, joints_xy, visible, centres, scales, heads=None):
    """People in the order of their pictures' first appearance -> Annotated; heads: their sizes, if known."""
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
