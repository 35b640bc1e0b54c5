"""Files in COCO's form.

These are the official ones, those of label tools (CVAT, Label Studio, Roboflow, COCO Annotator,
labelme2coco, X-AnyLabeling, FiftyOne ...), and detectors' results.

`read` reads them all: for data.py --coco, data.py --dataset coco and main.py --predict --boxes.  It
makes typed records of what is in a file and derives what may be absent:

    ids         '7' and 7.0 are 7; other text stays text
    iscrowd     0
    bbox        absent, of no size, not finite, or within the first pixel, as fractions of the
                picture are: around the segment, else around the labelled key points, larger by a
                fifth
    area        absent, 0, negative or not finite: the segment's (of polygons), else the box's
    keypoints   absent, null or []: nobody's joints

Which category is a person, and which key point is which joint, is found by
annotations/coco_people.py.
"""

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jointpose.utils.counts import counted
from jointpose.utils.errors import InputError
from jointpose.utils.files import load_json
from jointpose.vision.joints import TORSO_JOINTS, joint_from_name

# Names of the category of people.
PERSON_NAMES = (
    'person',
    'persons',
    'people',
    'human',
    'humans',
    'pedestrian',
    'pedestrians',
)
NAMED = 3  # a remark names so many examples
FAR = 1e6  # pixels: no box reaches further
MAX_SIDE = 1e6  # pixels: no picture is larger
AROUND_POINTS = 1.2  # sides of a box around key points, in those of their extent

Box = tuple[float, ...]  # x, y, width, height; pixels


class Image(NamedTuple):
    """A picture that the file lists."""

    id: int | str
    file: str  # as the file names it, perhaps with a folder
    width: int  # pixels; 0 if the file does not say
    height: int


class Category(NamedTuple):
    """A kind of object."""

    id: int | str
    name: str
    points: tuple[str, ...]  # names of its key points; () if it has none
    # Limbs: pairs of places among the key points, as the file counts them; None: not to be read.
    skeleton: tuple[tuple[int, int], ...] | None = ()


class Annotation(NamedTuple):
    """An annotated object, or a detected one."""

    row: int  # place among the file's annotations
    id: int  # the file's, else the row
    image: int | str  # its picture's id; of a result that only names a file, that name
    file: str  # of its picture, '' if the annotation does not say
    category: int | str | None  # the category's id, None if the file does not say
    points: np.ndarray | None  # float64 [k, 3]: x, y (pixels) and visibility, or score of a result
    box: Box | None  # width and height are positive
    area: float | None  # square pixels, positive; None where box is
    crowd: bool  # a group, not one person
    score: float  # 1 if the file does not say
    derived: str  # which are not the file's: '', 'box', 'area' or 'box and area'


class CocoFile(NamedTuple):
    """What is in a file."""

    path: str
    images: list[Image]
    categories: list[Category]
    annotations: list[Annotation]
    results: bool  # a bare list of annotations, without images and categories


class Remarks:
    """Remarks on a file: how many objects each concerns, and the names of the first of them.

    noun: what the objects are called, in the singular.
    """

    def __init__(self, noun: str = ''):
        self.noun = noun
        self.names: dict[str, list[str]] = {}  # {remark: names}

    def add(self, what: str, name: str) -> None:
        """Adds an object to those that a remark concerns."""
        self.names.setdefault(what, []).append(name)

    def __str__(self):
        parts = []
        for what, names in sorted(self.names.items(), key=lambda item: -len(item[1])):
            n = counted(len(names), self.noun) if self.noun else len(names)
            parts.append(f'{n} {what} ({listed(names)})')
        return '; '.join(parts)


def listed(names: Sequence[str]) -> str:
    """The first names, with an ellipsis for the others."""
    text = ', '.join(names[:NAMED])
    return text + ', ...' if len(names) > NAMED else text


def read(path: str) -> CocoFile:
    """A file of annotations, or a bare list of results.

    InputError names the file and the first thing that is wrong with it.
    """
    content = load_json(path)
    try:
        return _file_of(path, content)
    except InputError as error:
        raise InputError(f'{path}: {error}') from None
    except Exception as error:  # a foreign file can hold anything
        raise InputError(f"{path}: not in COCO's form: {type(error).__name__}: {error}") from error


def _file_of(path: str, content: Any) -> CocoFile:
    """The records of a file's content."""
    results = isinstance(content, list)
    document = {'annotations': content} if results else content
    if not isinstance(document, dict) or not isinstance(document.get('annotations'), list):
        raise InputError('neither a list of results nor an object with `annotations`')
    # Files that were put together of others may list a picture or a category several times.
    images = _without_repetitions(records(document, 'images', image_of))
    if _share_an_id(images):
        raise InputError('two pictures have one id')
    categories = _without_repetitions(records(document, 'categories', category_of), fields=3)
    if _share_an_id(categories):
        raise InputError('two categories have one id')
    annotations = records(document, 'annotations', annotation_of)
    return CocoFile(path, images, categories, annotations, results)


def _without_repetitions(found: list, fields: int | None = None) -> list:
    """The records without those that have equal first fields; None: all fields count."""
    kept = {}
    for one in found:
        kept.setdefault(one[:fields], one)
    return list(kept.values())


def _share_an_id(found: list) -> bool:
    return len({one.id for one in found}) < len(found)


def records(document: dict, kind: str, record_of: Callable[[int, dict], NamedTuple]) -> list:
    """The records of the objects in one of a document's lists; [] if it has no such list.

    record_of: makes a record of (row, object).
    """
    found = document.get(kind) or []
    if not isinstance(found, list):
        raise InputError(f'`{kind}` is no list')
    made = []
    for row, one in enumerate(found):
        try:
            if not isinstance(one, dict):
                raise InputError(f'{one!r:.40} is not an object')
            made.append(record_of(row, one))
        except InputError as error:
            raise InputError(f'{kind}[{row}]: {error}') from None
    return made


def plain(path: str) -> str:
    """A file's name without folders; the path may be one of Windows."""
    return path.replace('\\', '/').rpartition('/')[2]


def is_named_person(category: Category) -> bool:
    """Whether a category is of people by its name."""
    return category.name.strip().lower() in PERSON_NAMES


def is_person(category: Category) -> bool:
    """Whether a category is of people by its name, or by key points at shoulders and hips."""
    if is_named_person(category):
        return True
    joints = {joint_from_name(name) for name in category.points}
    return joints.issuperset(TORSO_JOINTS)


# --- records --------------------------------------------------------------------------------------


def image_of(_: int, one: dict) -> Image:
    """The record of one of `images`."""
    file = one.get('file_name') or one.get('path') or one.get('coco_url')
    if not file or not isinstance(file, str):
        raise InputError('no `file_name`')
    width = side_of_picture(one.get('width'))
    height = side_of_picture(one.get('height'))
    return Image(identity(one.get('id')), file, width, height)


def side_of_picture(value: Any) -> int:
    """A picture's width or height, pixels; 0 of a value that is none."""
    side = number(value)
    return int(side) if 0 < side < MAX_SIDE else 0


def category_of(_: int, one: dict) -> Category:
    """The record of one of `categories`."""
    points = one.get('keypoints') or ()
    if not isinstance(points, list | tuple):
        raise InputError('`keypoints` is no list of names')
    names = tuple(str(point) for point in points)
    limbs = skeleton_of(one.get('skeleton'))
    return Category(identity(one.get('id')), str(one.get('name', '')), names, limbs)


def skeleton_of(values: Any) -> tuple[tuple[int, int], ...] | None:
    """The limbs of a category, () if it has none; None if they are no pairs of whole numbers."""
    try:
        return tuple((operator.index(a), operator.index(b)) for a, b in values or ())
    except (TypeError, ValueError):
        return None


def annotation_of(row: int, one: dict) -> Annotation:
    """The record of one of `annotations`, with box and area derived where they are absent."""
    points = points_of(one.get('keypoints'))
    box, area, derived = _box_and_area(one, points)

    file = str(one.get('file_name') or '')
    image = one.get('image_id')
    if image is None and not file:
        raise InputError('no `image_id`')
    image = identity(file if image is None else image)
    category = one.get('category_id')
    category = None if category is None else identity(category)

    id_ = one.get('id')
    has_id = type(id_) is int and abs(id_) < 1 << 62  # a bool is no id
    crowd = one.get('iscrowd')
    score = number(one.get('score'))
    return Annotation(
        row=row,
        id=id_ if has_id else row,
        image=image,
        file=file,
        category=category,
        points=points,
        box=box,
        area=area,
        crowd=number(crowd) > 0 or str(crowd).lower() == 'true',
        score=1.0 if math.isnan(score) else score,
        derived=derived,
    )


def _box_and_area(one: dict, points: np.ndarray | None) -> tuple[Box | None, float | None, str]:
    """An annotation's box, its area, and which of them are derived, in words; see Annotation."""
    box = box_of(one.get('bbox'))
    area = number(one.get('area'))
    derive_box = box is None
    is_fraction = derive_box and area <= 1  # of the picture
    derive_area = is_fraction or not 0 < area < math.inf
    derived = []
    if derive_box:
        derived.append('box')
    if derive_area:
        derived.append('area')

    outline = polygons(one.get('segmentation')) if derived else []
    if derive_box:
        box = box_of_polygons(outline) or box_of_points(points)
    if box is None:
        area = None
    elif derive_area:
        area = polygons_area(outline) or box[2] * box[3]
    return box, area, ' and '.join(derived)


def identity(value: Any) -> int | str:
    """An id: a whole number or text.

    A whole number may be written as text or with a point.
    """
    if isinstance(value, str) and value:
        is_whole = value.removeprefix('-').isdecimal() and len(value) < 20
        return int(value) if is_whole else value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and value == value // 1:
        return int(value)
    raise InputError(f'id {value!r:.40} is neither a whole number nor text')


def number(value: Any) -> float:
    """The value as a number; NaN if it is none."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def points_of(values: Any) -> np.ndarray | None:
    """Key points [x1, y1, v1, x2, ...] as float64 [k, 3]; None if there are none.

    A visibility `true` is 2, `false` 0; a coordinate null is NaN.
    """
    if not values:
        return None
    try:
        points = np.array(values, np.float64).reshape(-1, 3)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f'`keypoints` is not [x1, y1, v1, x2, ...]: {error}') from error
    for i, visibility in enumerate(values[2::3]):
        if visibility is True:
            points[i, 2] = 2
    return points


# --- boxes and outlines ---------------------------------------------------------------------------


def box_of(values: Any) -> Box | None:
    """The box [x, y, width, height] in pixels.

    None if it is absent, has no size, is not finite, or is in fractions of a picture.
    """
    if not values:
        return None
    if not isinstance(values, list) or len(values) != 4:
        raise InputError(f'bbox {values!r:.60} is not [x, y, width, height]')
    try:
        box = tuple(math.nan if value is None else float(value) for value in values)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f'bbox {values!r:.60} is not [x, y, width, height]') from error
    is_finite = all(abs(value) < FAR for value in box)  # NaN compares false
    has_size = box[2] > 0 and box[3] > 0
    if not is_finite or not has_size or is_in_first_pixel(box):
        return None
    return box


def is_in_first_pixel(box: Box) -> bool:
    """Whether a box is within the first pixel, as one in fractions of the picture is."""
    x, y, width, height = box
    return min(x, y) >= 0 and max(x + width, y + height) <= 1


def box_around(points_xy: np.ndarray, enlargement: float = 1) -> Box | None:
    """The box of points [n, 2], enlarged about its middle; None if they do not span an area."""
    if not len(points_xy):
        return None
    first = np.min(points_xy, axis=0)
    last = np.max(points_xy, axis=0)
    middle = (first + last) / 2
    size = enlargement * (last - first)
    corner = middle - size / 2
    return box_of([*corner.tolist(), *size.tolist()])


def box_of_points(points: np.ndarray | None) -> Box | None:
    """The box around labelled key points [k, 3]; None if there are none."""
    if points is None:
        return None
    is_finite = np.isfinite(points).all(axis=1)
    is_labelled = (points[:, 2] > 0) & ~is_nowhere(points) & is_finite
    return box_around(points[is_labelled, :2], AROUND_POINTS)


def box_of_polygons(outline: list[np.ndarray]) -> Box | None:
    """The box around polygons [n, 2]; None if there are none."""
    if not outline:
        return None
    return box_around(np.concatenate(outline))


def is_nowhere(points: np.ndarray) -> np.ndarray:
    """Which key points are at (0, 0) or (-1, -1): [k, 2 or more] -> bool [k].

    Tools put absent key points there, whatever their visibility.
    """
    at_zero = (points[:, :2] == 0).all(axis=1)
    at_minus_one = (points[:, :2] == -1).all(axis=1)
    return at_zero | at_minus_one


def polygons(segmentation: Any) -> list[np.ndarray]:
    """The polygons of a segment, [n, 2] each; [] of a mask.

    One polygon may be without a list around it.
    """
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
        x, y = xy.T
        next_x, next_y = np.roll(xy, -1, axis=0).T
        area += abs(np.sum(x * next_y - next_x * y)) / 2
    return float(area)
