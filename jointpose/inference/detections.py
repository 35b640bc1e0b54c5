"""Other programs' detections of people: --boxes FILE, in COCO's form (coco_json.py).

FILE is a list of detections, {image_id, category_id, bbox [x, y, width, height] pixels, score}, or
a whole document, whose annotations are taken (with their scores, if they have any).

The picture of a box is named by the document's `images`.  In a list it is the detection's
`file_name` or, without that, its image_id.  An image_id that is a number is the one in the
picture's name, as COCO has it (000000000139.jpg, COCO_val2014_000000000139.jpg); one that is text
is the name without its ending, as Ultralytics writes it.  A name that two pictures share, in two
folders, is ignored.

Only single people are taken (no `iscrowd`), with a score of at least MIN_SCORE.  `person` is the
document's category of that name or with shoulders and hips, or its only category; for a network of
other things than people it is the category on which that was trained.  In a list it is category 1,
as COCO counts, or 0 where there is no 1, or the word `person`.  Boxes left out are counted.
"""

import collections
import os
import re
from typing import NamedTuple

from jointpose.annotations import coco_json
from jointpose.annotations.coco_json import Annotation, CocoFile, Remarks, plain
from jointpose.utils.counts import counted
from jointpose.utils.errors import InputError

MIN_SCORE = 0.5
PERSON = 'person'
COCO_PERSON = 1  # person's category_id in COCO's own numbering
ZERO_BASED_PERSON = 0  # that of detectors that number their classes from 0
# Names of COCO's pictures, without ending.
COCO_NAME = re.compile(r'(?:COCO_(?:train|val|test)\d{4}_)?(\d{1,19})')

Box = tuple[float, float, float, float]  # x, y, width, height, pixels
Id = int | str


class Boxes(NamedTuple):
    """Boxes of people in the pictures that a file names."""

    path: str
    ids: dict[str, Id]  # {plain name of a picture, perhaps without its ending: image_id}
    by_image: dict[Id, list[Box]]  # {image_id: its boxes, the highest score first}
    lists_images: bool  # a picture that `ids` lacks is unknown; else the number in its name counts
    messages: list[str]  # about the file, a line each


class PersonCategories(NamedTuple):
    """Which categories of a file are person."""

    categories: set[Id | None]  # None: of a detection without category
    messages: list[str]


def read(path: str, category: str = PERSON) -> Boxes:
    """The boxes of people in a file, or of another category; InputError says what is wrong with it."""
    try:
        file = coco_json.read(path)
        person = person_categories(file, category)
    except InputError as error:
        raise InputError(f'--boxes {error}') from error
    by_image = collections.defaultdict(list)
    left_out = Remarks()
    for detection in sorted(file.annotations, key=lambda detection: -detection.score):
        reason = reason_against(detection, person.categories)
        if reason:
            left_out.add(reason, f'[{detection.row}]')
        else:
            by_image[detection.image].append(detection.box)
    messages = person.messages
    if left_out.names:
        n = sum(map(len, by_image.values()))
        messages = [*messages, f'{counted(n, "box")} of people; left out: {left_out}']
    return Boxes(path, ids_of(file), dict(by_image), bool(file.images), messages)


def ids_of(file: CocoFile) -> dict[str, Id]:
    """{plain name: image_id} of a document's images or a list's detections.

    Names that two images share are left out.
    """
    ids = collections.defaultdict(set)
    for image in file.images:
        ids[plain(image.file)].add(image.id)
    if not file.images:
        for detection in file.annotations:
            if detection.file or isinstance(detection.image, str):
                ids[plain(detection.file or detection.image)].add(detection.image)
    return {name: its_ids.pop() for name, its_ids in ids.items() if len(its_ids) == 1}


# --- which category is person ---------------------------------------------------------------------


def person_categories(file: CocoFile, category: str = PERSON) -> PersonCategories:
    """The categories that are person, or the category of this name."""
    counts = collections.Counter(detection.category for detection in file.annotations)
    if file.categories:
        return person_of_document(file, counts, category)
    return person_of_list(file, counts)


def person_of_document(
    file: CocoFile, counts: collections.Counter, name: str = PERSON
) -> PersonCategories:
    """The categories of this name, or the only one; see `read`."""
    if name == PERSON:
        named = {category.id for category in file.categories if coco_json.is_person(category)}
    else:
        named = {category.id for category in file.categories if category.name == name}
    if named:
        messages = []
        if counts and not named & {*counts, None}:
            ids = ', '.join(map(str, named))
            messages = [f'no box is of the category {name}, {ids}; found: {listed(counts)}']
        return PersonCategories({*named, None}, messages)
    if len(file.categories) == 1:
        only = file.categories[0]
        return PersonCategories(
            {only.id, None}, [f'the only category, {only.name!r}, is taken for {name}']
        )
    names = ', '.join(repr(category.name) for category in file.categories)
    raise InputError(f'{file.path}: no category is named {name}; found: {names}')


def person_of_list(file: CocoFile, counts: collections.Counter) -> PersonCategories:
    """COCO's person, the word `person`, or class 0."""
    words = {id_ for id_ in counts if str(id_).strip().lower() in coco_json.PERSON_NAMES}
    if words:
        return PersonCategories({*words, None}, [])
    if ZERO_BASED_PERSON in counts and COCO_PERSON in counts:
        raise InputError(
            f'{file.path}: category_id is 0 and 1: person is 1 as COCO counts, 0 where classes '
            'are counted from 0; keep only the boxes of people, or add `images` and `categories`'
        )
    if ZERO_BASED_PERSON in counts:
        message = (
            "no box is of category 1, COCO's person: 0 is taken for person, as detectors that "
            'number their classes from 0 have it'
        )
        return PersonCategories({ZERO_BASED_PERSON, None}, [message])
    if counts and not set(counts) & {COCO_PERSON, None}:
        message = f"no box is of category 1, COCO's person; found: {listed(counts)}"
        return PersonCategories({COCO_PERSON}, [message])
    return PersonCategories({COCO_PERSON, None}, [])


def listed(counts: collections.Counter) -> str:
    """'18 (2), 3 (1)': the categories and their boxes, the most frequent first."""
    return ', '.join(f'{id_} ({n})' for id_, n in counts.most_common())


def reason_against(detection: Annotation, person: set[Id | None]) -> str | None:
    """Why a detection is left out, in words; None if it is not."""
    if detection.category not in person:
        return f'of category {detection.category}'
    if detection.crowd:
        return 'of groups (iscrowd)'
    if detection.box is None:
        return 'without a box of positive size in pixels'
    if detection.score < MIN_SCORE:
        return f'with a score below {MIN_SCORE:g}'
    return None


# --- pictures -------------------------------------------------------------------------------------


def image_id(boxes: Boxes, file: str) -> Id | None:
    """The image_id of the picture of that name; None if the file does not say."""
    stem = os.path.splitext(file)[0]
    named = boxes.ids.get(file, boxes.ids.get(stem))
    if named is not None or boxes.lists_images:
        return named
    match = COCO_NAME.fullmatch(stem)
    return int(match[1]) if match else None


def boxes_in(boxes: Boxes, file: str) -> list[Box]:
    """The boxes in the picture of that name."""
    return boxes.by_image.get(image_id(boxes, file), [])


def known_images(boxes: Boxes) -> str:
    """Names of the file's first pictures; with boxes, if any picture has them."""
    with_boxes = [name for name, id_ in boxes.ids.items() if id_ in boxes.by_image]
    names = with_boxes or list(boxes.ids) or list(map(str, boxes.by_image))
    return coco_json.listed(names) or 'none'


def image_ids(boxes: Boxes, files: list[str]) -> dict[str, int]:
    """{name of a picture: its image_id}; {} where these are not all different numbers.

    Raises InputError if the file does not say which picture one of them is.  A list names only the
    pictures in which somebody was detected, so some may be missing there.
    """
    ids = {file: image_id(boxes, file) for file in files}
    unknown = [file for file, id_ in ids.items() if id_ is None]
    names_all = boxes.lists_images or not boxes.ids
    if unknown and (names_all or len(unknown) == len(files)):
        raise InputError(
            f'--boxes {boxes.path}: does not say which of its images {unknown[0]} is; '
            f'it has {known_images(boxes)}'
        )
    are_numbers = all(isinstance(id_, int) for id_ in ids.values())
    if not are_numbers or len(set(ids.values())) < len(files):
        return {}
    return ids
