"""Files in COCO's form: the official ones, label tools' (CVAT, Label Studio, Roboflow, COCO Annotator, labelme2coco,
X-AnyLabeling, FiftyOne ...) and detectors' results.

`read` is their one reader: for data.py --coco, data.py --dataset coco and main.py --predict --boxes.  It makes typed
records of what is in a file and derives what may be absent:
    ids         '7' and 7.0 are 7; other text stays text
    iscrowd     0
    bbox        absent, of no size, not finite, or within the first pixel, as fractions of the picture are: around the
                segment, else around labelled key points, larger by a fifth
    area        absent, 0, negative or not finite: the segment's (of polygons), else the box's
    keypoints   absent, null or []: nobody's joints
Which category is a person, and which key point is which joint, says annotations/coco_people.py.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from jointpose.utils.errors import InputError
from jointpose.utils.files import load_json
from jointpose.vision.joints import TORSO_JOINTS, joint_from_name

PERSON_NAMES = ('person', 'persons', 'people', 'human', 'humans', 'pedestrian', 'pedestrians')
NAMED = 3  # so many of those left out are named
FAR = 1e6  # pixels: no box reaches further
AROUND_POINTS = 1.2  # a box around key points, in their extent


class Image(NamedTuple):
    id: int | str
    file: str  # as the file names it, perhaps with a folder
    width: int  # pixels; 0 if the file does not say
    height: int


class Category(NamedTuple):
    id: int | str
    name: str
    points: tuple[str, ...]  # names of its key points; () if it has none


class Annotation(NamedTuple):
    row: int  # place among the file's annotations
    id: int  # the file's, else the row
    image: int | str  # its picture's id; of a result that only names a file, that name
    file: str  # of its picture, '' if the annotation does not say
    category: int | str | None  # the category's id, None if the file does not say
    points: np.ndarray | None  # float64 [k, 3]: x, y (pixels) and visibility, or score of a result
    box: tuple[float, float, float, float] | None  # x, y, width, height (both positive), pixels
    area: float | None  # square pixels, positive; None where box is
    crowd: bool  # a group, not one person
    score: float  # 1 if the file does not say
    derived: str  # which are not the file's: '', 'box', 'area' or 'box and area'


class CocoFile(NamedTuple):
    path: str
    images: list[Image]
    categories: list[Category]
    annotations: list[Annotation]
    results: bool  # a bare list of annotations, without images and categories


class Remarks:
    """What is to be said of a file: how many of what, and the first of them by name."""

    def __init__(self):
        self.names: dict[str, list[str]] = {}

    def add(self, what: str, name: str) -> None:
        self.names.setdefault(what, []).append(name)

    def __str__(self):
        parts = []
        for what, names in sorted(self.names.items(), key=lambda item: -len(item[1])):
            parts.append(f'{len(names)} {what} ({listed(names)})')
        return '; '.join(parts)


def listed(names: list[str]) -> str:
    """The first of them."""
    return ', '.join(names[:NAMED]) + (', ...' if len(names) > NAMED else '')


def read(path: str) -> CocoFile:
    """A file of annotations, or a bare list of results.  InputError names the file and what is wrong first."""
    content = load_json(path)
    try:
        results = isinstance(content, list)
        document = {'annotations': content} if results else content
        if not isinstance(document, dict) or not isinstance(document.get('annotations'), list):
            raise InputError('neither a list of results nor an object with `annotations`')
        images = list(
            dict.fromkeys(records(document, 'images', image_of))
        )  # files that were put together
        if len({image.id for image in images}) < len(images):
            raise InputError('two pictures have one id')
        categories = list(dict.fromkeys(records(document, 'categories', category_of)))
        if len({category.id for category in categories}) < len(categories):
            raise InputError('two categories have one id')
        annotations = records(document, 'annotations', annotation_of)
    except InputError as error:
        raise InputError(f'{path}: {error}') from None
    except Exception as error:  # a foreign file can hold anything
        raise InputError(f"{path}: not in COCO's form: {type(error).__name__}: {error}") from error
    return CocoFile(path, images, categories, annotations, results)


def records(document: dict, kind: str, record_of: Callable[[int, dict], NamedTuple]) -> list:
    """Of the objects of one of a document's lists; [] if it has none."""
    found, made = document.get(kind) or [], []
    if not isinstance(found, list):
        raise InputError(f'`{kind}` is no list')
    for row, one in enumerate(found):
        try:
            if not isinstance(one, dict):
                raise InputError(f'{one!r:.40} is not an object')
            made.append(record_of(row, one))
        except InputError as error:
            raise InputError(f'{kind}[{row}]: {error}') from None
    return made


def plain(path: str) -> str:
    """A file's name without folders, of Windows too."""
    return path.replace('\\', '/').rpartition('/')[2]


def is_named_person(category: Category) -> bool:
    return category.name.strip().lower() in PERSON_NAMES


def is_person(category: Category) -> bool:
    """By its name, or by key points at shoulders and hips."""
    return is_named_person(category) or set(map(joint_from_name, category.points)).issuperset(
        TORSO_JOINTS
    )


# --- records ------------------------------------------------------------------------------------------------------


def image_of(_: int, one: dict) -> Image:
    names = (one.get(key) for key in ('file_name', 'path', 'coco_url'))
    file = next((name for name in names if name), None)
    if not isinstance(file, str):
        raise InputError('no `file_name`')
    width, height = (side_of_picture(one.get(key)) for key in ('width', 'height'))
    return Image(identity(one.get('id')), file, width, height)


def side_of_picture(value: Any) -> int:
    """Pixels; 0 of what says nothing."""
    found = number(value)
    return int(found) if 0 < found < 1e6 else 0


def category_of(_: int, one: dict) -> Category:
    points = one.get('keypoints') or ()
    if not isinstance(points, list | tuple):
        raise InputError('`keypoints` is no list of names')
    return Category(identity(one.get('id')), str(one.get('name', '')), tuple(map(str, points)))


def annotation_of(row: int, one: dict) -> Annotation:
    id_, category = one.get('id'), one.get('category_id')
    points, box, area = (
        points_of(one.get('keypoints')),
        box_of(one.get('bbox')),
        number(one.get('area')),
    )
    fraction = box is None and area <= 1  # of the picture
    derived = ['box'] * (box is None) + ['area'] * (fraction or not 0 < area < math.inf)
    if derived:
        outline = polygons(one.get('segmentation'))
        box = box or box_around(np.concatenate(outline) if outline else ()) or box_of_points(points)
    if 'area' in derived:
        area = polygons_area(outline) or (box[2] * box[3] if box else None)
    file = str(one.get('file_name') or '')
    if one.get('image_id') is None and not file:
        raise InputError('no `image_id`')
    image = identity(one['image_id'] if one.get('image_id') is not None else file)
    score = number(one.get('score'))
    return Annotation(
        row=row,
        id=id_ if type(id_) is int and abs(id_) < 1 << 62 else row,
        image=image,
        file=file,
        category=None if category is None else identity(category),
        points=points,
        box=box,
        area=area if box else None,
        crowd=number(one.get('iscrowd')) > 0 or str(one.get('iscrowd')).lower() == 'true',
        score=1.0 if math.isnan(score) else score,
        derived=' and '.join(derived),
    )


def identity(value: Any) -> int | str:
    """An id: a whole number, also one that is written as text or with a point; other text as it is."""
    if isinstance(value, str) and value:
        return int(value) if value.removeprefix('-').isdecimal() and len(value) < 20 else value
    if isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1:
        return int(value)
    raise InputError(f'id {value!r:.40} is neither a whole number nor text')


def number(value: Any) -> float:
    """Not a number if it is none."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def points_of(values: Any) -> np.ndarray | None:
    """float64 [k, 3]; a visibility `true` is 2, `false` 0; a coordinate null is not a number."""
    if not values:
        return None
    try:
        points = np.array(values, np.float64).reshape(-1, 3)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f'`keypoints` is not [x1, y1, v1, x2, ...]: {error}') from error
    for i, value in enumerate(values[2::3]):
        if value is True:
            points[i, 2] = 2
    return points


def box_of(values: Any) -> tuple | None:
    """(x, y, width, height), pixels, of positive size; None if it has none, is absent, or in fractions of a picture."""
    if not values:
        return None
    if not isinstance(values, list) or len(values) != 4:
        raise InputError(f'bbox {values!r:.60} is not [x, y, width, height]')
    try:
        box = tuple(math.nan if value is None else float(value) for value in values)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f'bbox {values!r:.60} is not [x, y, width, height]') from error
    sound = all(abs(value) < FAR for value in box) and box[2] > 0 and box[3] > 0
    return box if sound and not is_in_first_pixel(box) else None


def is_in_first_pixel(box: tuple) -> bool:
    """Fractions of the picture, where pixels are expected, look like that."""
    x, y, width, height = box
    return min(x, y) >= 0 and max(x + width, y + height) <= 1


def box_around(points_xy: Iterable, larger: float = 1) -> tuple | None:
    """The box of points [n, 2], enlarged about its middle; None if they do not span an area."""
    if not len(points_xy):
        return None
    first, last = np.min(points_xy, axis=0), np.max(points_xy, axis=0)
    middle, size = (first + last) / 2, larger * (last - first)
    return box_of([*(middle - size / 2).tolist(), *size.tolist()])


def box_of_points(points: np.ndarray | None) -> tuple | None:
    """The box around what is labelled."""
    if points is None:
        return None
    labelled = (points[:, 2] > 0) & ~is_nowhere(points) & np.isfinite(points).all(axis=1)
    return box_around(points[labelled, :2], AROUND_POINTS)


def is_nowhere(points: np.ndarray) -> np.ndarray:
    """[k, 3] -> bool [k]: at (0, 0) or (-1, -1), where tools put absent key points, whatever their visibility."""
    return (points[:, :2] == 0).all(axis=1) | (points[:, :2] == -1).all(axis=1)


def polygons(segmentation: Any) -> list[np.ndarray]:
    """Each [n, 2] of a segment's polygons, also of one that is no list of lists; [] of a mask."""
    if not isinstance(segmentation, list) or not segmentation:
        return []
    parts = segmentation if isinstance(segmentation[0], list) else [segmentation]
    try:
        made = [np.array(part, np.float64).reshape(-1, 2) for part in parts]
    except (TypeError, ValueError, OverflowError):
        return []
    return [part for part in made if len(part) > 2 and np.isfinite(part).all()]


def polygons_area(outline: list[np.ndarray]) -> float:
    """Square pixels of polygons that do not overlap; 0 of none."""
    area = 0.0
    for xy in outline:
        after = np.roll(xy, -1, axis=0)
        area += abs(np.sum(xy[:, 0] * after[:, 1] - after[:, 0] * xy[:, 1])) / 2
    return float(area)
