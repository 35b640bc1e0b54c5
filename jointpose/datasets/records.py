"""What the readers of data sets with pictures of any size have in common: the people they return, and checks of them.

n people, m pictures, k joints.  Coordinates are (x, y) in pixels of the picture, as annotated.
"""

import functools
import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from jointpose.annotations.coco_json import listed
from jointpose.datasets import arrays
from jointpose.utils.counts import counted
from jointpose.utils.errors import InputError
from jointpose.vision.crops import centre_and_scale

MAX_NAME = 255  # bytes of each part of a picture's path
BEYOND = 0.1  # of a picture's side: a label further outside is doubtful
BEYOND_BOX = 0.2  # likewise a box: one derived from key points reaches a tenth beyond them


class Annotated(NamedTuple):
    """The people of one split as the arrays hold them."""

    pictures: np.ndarray  # arrays.picture_dtype [m]; width and height are 0 where not annotated
    joints: np.ndarray  # float32 [n, k, 2]; 0 where unlabelled
    people: np.ndarray  # arrays.person_dtype(k) [n]


def make_annotated(
    files: Sequence[str], places, joints_xy, visible, ids=0, heights=0, widths=0, **fields
) -> Annotated:
    """Returns an Annotated, once names and sizes are checked.

    Args:
        files: m names of pictures, relative to the folder of all pictures.
        places: [n], the picture of each person.
        joints_xy: [n, k, 2].
        visible: [n, k].
        ids, heights, widths: [m], of the pictures.
        fields: other fields of arrays.person_dtype, each [n, ...].  `box` is needed; `centre` and
            `scale` are the box's by default.
    """
    check_names(files)
    visible = np.asarray(visible, np.uint8)
    joints_xy = np.asarray(joints_xy, np.float32)
    width = max([arrays.FILE_WIDTH, *map(len, files)])

    pictures = np.zeros(len(files), arrays.picture_dtype(width))
    pictures['file'] = files
    pictures['id'] = ids
    pictures['height'] = heights
    pictures['width'] = widths

    people = np.zeros(len(places), arrays.person_dtype(visible.shape[1], width))
    centre, scale = centre_and_scale(np.asarray(fields['box'], np.float32))
    people['centre'] = centre
    people['scale'] = scale
    people['visible'] = visible
    people['picture'] = places
    for name, values in fields.items():
        people[name] = values
    people['file'] = pictures['file'][people['picture']]
    check_sizes(people)
    return Annotated(pictures, np.where(visible[..., None] > 0, joints_xy, 0), people)


# --- Checks.


def check_joints(joints_xy: np.ndarray, path: str) -> None:
    """Raises InputError for joints that are NaN or absurd, since crops of them would be, too."""
    bad = ~(np.abs(joints_xy) < 1e5).all(axis=(1, 2))  # NaN compares false
    if bad.any():
        raise InputError(
            f'{path}: sample {np.argmax(bad)}: a joint is NaN or far outside the picture'
        )


def check_sizes(people: np.ndarray) -> None:
    """Raises InputError for people with joints whose crops would be NaN, as they have no size."""
    is_finite = np.isfinite(people['scale']) & np.isfinite(people['centre']).all(axis=1)
    has_size = is_finite & (people['scale'] > 0)
    bad = ~has_size & people['visible'].any(axis=1)
    if bad.any():
        row = np.argmax(bad)
        raise InputError(
            f'person {row}, in {people["file"][row]}: has joints, but a box or scale of no size'
        )


def check_names(files: Sequence[str]) -> None:
    """Raises InputError for a picture's name that leads out of its folder or that no file system takes."""
    for file in files:
        if not isinstance(file, str) or not _is_name(file):
            raise InputError(
                f'picture {file!r:.300}: not a name within --images of at most {MAX_NAME} bytes'
            )


def _is_name(file):
    parts = file.split('/')
    if parts[0] == '' or '..' in parts or '\0' in file:
        return False
    return max(map(_length_in_bytes, parts)) <= MAX_NAME


def _length_in_bytes(name):
    """The length of a part of a path; a name that no file system can spell is too long."""
    try:
        return len(os.fsencode(name))
    except UnicodeEncodeError:
        return MAX_NAME + 1


def label_warnings(part: Annotated) -> list[str]:
    """Returns a line for each kind of label that contradicts the picture, of known size, or another label.

    Labels of a picture of another size, of the picture before its EXIF orientation rotated it, or
    in other units look like that.
    """
    people = part.people
    of_person = part.pictures[people['picture']]
    size = np.stack([of_person['width'], of_person['height']], axis=-1)  # [n, 2]
    is_labelled = people['visible'] > 0
    corners = people['box'].reshape(-1, 2, 2)
    box_area = np.prod(corners[:, 1] - corners[:, 0], axis=1)
    off_picture = far_outside(part.joints, size) & is_labelled
    found = {
        'joints of {} are far outside their pictures': off_picture.any(axis=1),
        'boxes of {} reach far beyond their pictures; expected is [x, y, width, height]': (
            far_outside(corners, size, BEYOND_BOX).any(axis=1)
        ),
        'areas of {} are less than a hundredth of their boxes': (
            is_labelled.any(axis=1) & (100 * people['area'] < box_area)
        ),
    }
    lines = []
    for what, rows in found.items():
        if n := rows.sum():
            names = listed(people['file'][rows].tolist())
            lines.append(f'look at the labels: {what.format(counted(n, "person"))} ({names})')
    return lines


def far_outside(points_xy, size, beyond: float = BEYOND) -> np.ndarray:
    """Returns which points are far outside their pictures: [n, k, 2] -> bool [n, k].

    size: [n, 2], width and height of each person's picture; 0 where unknown: no point is outside.
    """
    from_middle = np.abs(points_xy / np.maximum(size, 1)[:, None] - 0.5)
    is_known = (size > 0).all(axis=1, keepdims=True)
    return (from_middle > 0.5 + beyond).any(axis=2) & is_known


# --- Measures of people.


def box_of(joints_xy, visible, enlargement: float = 1.2) -> np.ndarray:
    """Returns boxes around the labelled joints, enlarged about their centres: [n, k, 2] -> [n, 4].

    The box of a person without labels is 0.
    """
    is_labelled = np.asarray(visible)[..., None] > 0
    low = np.where(is_labelled, joints_xy, np.inf).min(axis=1)
    high = np.where(is_labelled, joints_xy, -np.inf).max(axis=1)
    has_labels = is_labelled.any(axis=(1, 2))
    low[~has_labels] = 0
    high[~has_labels] = 0
    centre = (low + high) / 2
    half = enlargement * (high - low) / 2
    return np.concatenate([centre - half, centre + half], axis=1)


def distance(joints_xy, visible, a: int, b: int) -> np.ndarray:
    """Returns the distance from joint a to joint b: float64 [n], NaN where either is unlabelled."""
    offset = np.subtract(joints_xy[:, a], joints_xy[:, b], dtype=np.float64)
    both = (np.asarray(visible)[:, [a, b]] > 0).all(axis=1)
    return np.where(both, np.linalg.norm(offset, axis=-1), np.nan)


# --- Parts and splits.


def concatenated(parts: Sequence[Annotated]) -> Annotated:
    """Returns several Annotated as one."""
    first = 0
    of_parts = []
    for part in parts:
        people = part.people.copy()
        people['picture'] += first
        of_parts.append(people)
        first += len(part.pictures)
    return Annotated(
        np.concatenate([part.pictures for part in parts]),
        np.concatenate([part.joints for part in parts]),
        np.concatenate(of_parts),
    )


def keep_pictures(part: Annotated, chosen: np.ndarray) -> Annotated:
    """Returns the Annotated of some of the pictures; chosen: bool [m]."""
    new_place = np.cumsum(chosen) - 1
    kept = chosen[part.people['picture']]
    people = part.people[kept]
    people['picture'] = new_place[people['picture']]
    return Annotated(part.pictures[chosen], part.joints[kept], people)


def split_by_tenths(part: Annotated) -> dict[str, Annotated]:
    """Returns {'train', 'test'}: every tenth picture is a test one, as the data set does not say which are.

    A picture that is there twice is in the same split both times.
    """
    _, first, picture = np.unique(part.pictures['file'], return_index=True, return_inverse=True)
    is_test = first[picture] % 10 == 1
    return {'train': keep_pictures(part, ~is_test), 'test': keep_pictures(part, is_test)}


def as_splits(parts: Sequence[Annotated]) -> dict[str, Annotated]:
    """Returns {'train', 'test'} of one Annotated per file: two are these splits, one is split by tenths."""
    if len(parts) == 2:
        return dict(zip(arrays.SPLITS, parts))
    return split_by_tenths(concatenated(parts))


# --- Files.


def common_root(folders: Sequence[str]) -> tuple[str, list[str]]:
    """Returns the folder that all folders are in, and each one's path from there: '' or ending in '/'."""
    absolute = [os.path.abspath(folder) for folder in folders]
    root = os.path.commonpath(absolute)
    inner = []
    for folder in absolute:
        path = os.path.relpath(folder, root)
        inner.append('' if path == '.' else path + '/')
    return root, inner


def reports_path(read: Callable) -> Callable:
    """Decorates a reader (path, ...): errors in a foreign file become an InputError that names it."""

    @functools.wraps(read)  # worker processes find it by its name
    def reader(path, *more):
        try:
            return read(path, *more)
        except InputError as error:
            if str(error).startswith(str(path)):
                raise
            raise InputError(f'{path}: {error}') from None
        except ImportError:  # a package that is not installed
            raise
        except Exception as error:  # a foreign file can hold anything
            raise InputError(
                f'{path}: not as this data set has it: {type(error).__name__}: {error}'
            ) from error

    return reader
