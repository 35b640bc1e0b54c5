"""What the data sets share whose pictures have any size: the form of what their readers return.

Each of them has `read(metas, folders)`: metas, paths of annotations; folders, one of pictures for each.  It returns
(root, {'train': Annotated, 'test': Annotated}); file names are relative to the folder `root`.  Sizes of pictures that
the annotations do not say are 0 until the pictures are seen (data.py).  Coordinates are as annotated.
"""

import collections
import functools
import os

import numpy as np

from jointpose.annotations.coco_json import listed
from jointpose.datasets import arrays
from jointpose.datasets.arrays import FILE_WIDTH, person_dtype, picture_dtype
from jointpose.utils.errors import InputError
from jointpose.vision.crops import centre_and_scale

MAX_NAME = 255  # bytes
BEYOND = 0.1  # of a picture's side: a label further outside is doubtful
BEYOND_BOX = 0.2  # likewise a box; those derived from key points reach a tenth beyond them

# The arrays of one split (arrays.py): pictures [m] (arrays.picture_dtype), joints float32 [n, k, 2], people person_dtype(k) [n].
Annotated = collections.namedtuple('Annotated', 'pictures joints people')


def check_joints(joints_xy, path):
    """Refuses joints that are NaN or absurd: crops of them would be, too."""
    bad = ~(np.abs(joints_xy) < 1e5).all(axis=(1, 2))  # NaN compares false
    if bad.any():
        raise InputError(
            f'{path}: sample {np.argmax(bad)}: a joint is NaN or far outside the picture'
        )


def label_warnings(part):
    """Lines about people of an Annotated whose labels contradict each other or the picture, which is of known size:
    labels of another size, of the picture before its EXIF orientation turned it, or in other units look like that."""
    people = part.people
    size = np.stack(
        [part.pictures[side][people['picture']] for side in ('width', 'height')], axis=-1
    )
    labelled, corners = people['visible'] > 0, people['box'].reshape(-1, 2, 2)
    off_picture = far_outside(part.joints, size) & labelled
    area = np.prod(corners[:, 1] - corners[:, 0], axis=1)
    found = {
        'joints of {} are far outside their pictures': off_picture.any(axis=1),
        'boxes of {} reach far beyond their pictures; expected is [x, y, width, height]': far_outside(
            corners, size, BEYOND_BOX
        ).any(axis=1),
        'areas of {} are less than a hundredth of their boxes': labelled.any(axis=1)
        & (100 * people['area'] < area),
    }
    return [
        f'look at the labels: {what.format(f"{n} people")} ({listed(people["file"][rows].tolist())})'
        for what, rows in found.items()
        if (n := rows.sum())
    ]


def far_outside(points_xy, size, beyond=BEYOND):
    """[n, k, 2], of pictures [n, 2] (width, height; 0 where not known) -> bool [n, k]."""
    from_middle = np.abs(points_xy / np.maximum(size, 1)[:, None] - 0.5)
    return (from_middle > 0.5 + beyond).any(axis=2) & (size > 0).all(axis=1, keepdims=True)


def make_annotated(files, places, joints_xy, visible, **fields):
    """An Annotated.

    files: m names of pictures.  places: [n], which of them each person is in.  joints_xy [n, k, 2]; visible [n, k].
    fields: others of person_dtype(k), [n, ...]; box must be among them; centre and scale are its, if they are not; `ids`,
    `heights`, `widths`: of the pictures.
    """
    visible, joints_xy = np.asarray(visible, np.uint8), np.asarray(joints_xy, np.float32)
    width = max([FILE_WIDTH, *map(len, check_names(files))])
    pictures, records = (
        np.zeros(len(files), picture_dtype(width)),
        np.zeros(len(places), person_dtype(visible.shape[1], width)),
    )
    pictures['file'] = files
    for name, key in (('id', 'ids'), ('height', 'heights'), ('width', 'widths')):
        pictures[name] = fields.pop(key, 0)
    box = np.asarray(fields['box'], np.float32)
    fields = {
        **dict(zip(('centre', 'scale'), centre_and_scale(box))),
        'visible': visible,
        'picture': places,
        **fields,
    }
    for name, values in fields.items():
        records[name] = values
    records['file'] = pictures['file'][records['picture']]
    check_sizes(records)
    return Annotated(pictures, np.where(visible[..., None] > 0, joints_xy, 0), records)


def check_sizes(records):
    """Crops of somebody of no size would be NaN."""
    sound = (records['scale'] > 0) & np.isfinite(
        np.column_stack([records['scale'], records['centre']])
    ).all(axis=1)
    bad = ~sound & records['visible'].any(axis=1)
    if bad.any():
        row = np.argmax(bad)
        raise InputError(
            f'person {row}, in {records["file"][row]}: has joints, but a box or scale of no size'
        )


def check_names(files):
    """The names of pictures: paths within their folder, of parts that a file system takes."""
    for file in files:
        if not isinstance(file, str) or not is_name(file):
            raise InputError(
                f'picture {file!r:.300}: not a name within --images of at most {MAX_NAME} bytes'
            )
    return files


def is_name(file):
    parts = file.split('/')
    return (
        parts[0] != ''
        and '..' not in parts
        and '\0' not in file
        and max(map(len_in_bytes, parts)) <= MAX_NAME
    )


def len_in_bytes(name):
    """What no file system can spell is longer than any."""
    try:
        return len(os.fsencode(name))
    except UnicodeEncodeError:
        return MAX_NAME + 1


def box_of(joints_xy, visible, larger=1.2):
    """Boxes [n, 4] around the labelled of joints [n, k, 2], enlarged about their middles."""
    labelled = np.asarray(visible)[..., None] > 0
    low = np.where(labelled, joints_xy, np.inf).min(axis=1)
    high = np.where(labelled, joints_xy, -np.inf).max(axis=1)
    box = np.concatenate([low, high], axis=1)
    box[~np.isfinite(box).all(axis=1)] = 0  # nobody's
    middle, half = (box[:, :2] + box[:, 2:]) / 2, larger * (box[:, 2:] - box[:, :2]) / 2
    return np.concatenate([middle - half, middle + half], axis=1)


def distance(joints_xy, visible, a, b):
    """[n]: from joint a to joint b, not a number where one is not labelled."""
    length = np.linalg.norm(
        np.subtract(joints_xy[:, a], joints_xy[:, b], dtype=np.float64), axis=-1
    )
    return np.where((np.asarray(visible)[:, [a, b]] > 0).all(axis=1), length, np.nan)


def concatenated(parts):
    """Several Annotateds as one."""
    first = np.cumsum([0] + [len(part.pictures) for part in parts])
    pictures, joints, records = (np.concatenate(arrays) for arrays in zip(*parts))
    records['picture'] += np.repeat(first[:-1], [len(part.people) for part in parts]).astype(
        np.int32
    )
    return Annotated(pictures, joints, records)


def keep_pictures(part, chosen):
    """The Annotated of some of the pictures; chosen: [m] bool."""
    place = np.cumsum(chosen) - 1
    kept = chosen[part.people['picture']]
    records = part.people[kept]
    records['picture'] = place[records['picture']]
    return Annotated(part.pictures[chosen], part.joints[kept], records)


def split_by_tenths(part):
    """{'train', 'test'}: every tenth picture is a test one, where the set does not say which are.

    A picture that is there twice is on one side both times.
    """
    _, first, picture = np.unique(part.pictures['file'], return_index=True, return_inverse=True)
    test = first[picture] % 10 == 1
    return {'train': keep_pictures(part, ~test), 'test': keep_pictures(part, test)}


def as_splits(parts):
    """{'train', 'test'} of one Annotated of each annotation file: two are these, one is split by tenths."""
    if len(parts) == 2:
        return dict(zip(arrays.SPLITS, parts))
    return split_by_tenths(concatenated(parts))


def common_root(folders):
    """(the folder that all lie in, each one's path from there, '' or ending in '/')."""
    root = os.path.commonpath([os.path.abspath(folder) for folder in folders])
    inner = [os.path.relpath(os.path.abspath(folder), root) for folder in folders]
    return root, ['' if path == '.' else path + '/' for path in inner]


def reports_path(read):
    """Decorates a reader (path, ...): whatever goes wrong in a foreign file names it."""

    @functools.wraps(read)  # another process finds it by its name
    def reader(path, *more):
        try:
            return read(path, *more)
        except InputError as error:
            raise (
                error if str(error).startswith(str(path)) else InputError(f'{path}: {error}')
            ) from None
        except ImportError:  # a package that is not installed
            raise
        except Exception as error:  # a foreign file can hold anything
            raise InputError(
                f'{path}: not as this data set has it: {type(error).__name__}: {error}'
            ) from error

    return reader
