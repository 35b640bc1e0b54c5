"""Other programs' detections of people: --boxes FILE, in COCO's form (coco_json.py).

FILE is a list of detections, {image_id, category_id, bbox [x, y, width, height] pixels, score}, or a whole document,
whose annotations are taken (with their scores, if they have any).  Which picture a box is of says the document's
`images`; in a list the detection's `file_name` or, where it has none, its image_id: a number is that in the picture's
name, as COCO's pictures have it (000000000139.jpg, COCO_val2014_000000000139.jpg), text the name without its ending, as
Ultralytics writes it.  A name that two pictures
have, in two folders, says nothing.

People only, one by one (no `iscrowd`), and LEAST is the lowest score.  Person is the document's category of that name
or with shoulders and hips, or the only one; in a list category 1, as COCO counts, or 0 where there is no 1, or `person`
in words.  What is
left out is counted.
"""

import collections
import os
import re
from typing import NamedTuple

from jointpose.annotations import coco_json
from jointpose.annotations.coco_json import Annotation, CocoFile, Remarks, plain
from jointpose.utils.errors import InputError

LEAST = 0.5
COCOS_PERSON = 1  # person's category_id in COCO's own numbering
NUMBERED = re.compile(
    r'(?:COCO_(?:train|val|test)\d{4}_)?(\d{1,19})'
)  # names of COCO's pictures, without ending

Box = tuple[float, float, float, float]  # x, y, width, height, pixels


class Boxes(NamedTuple):
    path: str
    ids: dict[str, int | str]  # {plain name of a picture, perhaps without its ending: image_id}
    boxes: dict[int | str, list[Box]]  # {image_id: its boxes, best first}
    complete: bool  # a picture that `ids` lacks is unknown; else it goes by the number in its name
    said: list[str]  # what there is to say of the file, a line each


def read(path: str) -> Boxes:
    """InputError says what is wrong with the file."""
    try:
        file = coco_json.read(path)
        person, said = person_in(file)
    except InputError as error:
        raise InputError(f'--boxes {error}') from error
    boxes, left_out = collections.defaultdict(list), Remarks()
    for one in sorted(file.annotations, key=lambda one: -one.score):
        why = reason_against(one, person)
        if why:
            left_out.add(why, f'[{one.row}]')
        else:
            boxes[one.image].append(one.box)
    if left_out.names:
        n = sum(map(len, boxes.values()))
        said = [*said, f'{n} box{"es" * (n != 1)} of people; left out: {left_out}']
    return Boxes(path, ids_of(file), dict(boxes), bool(file.images), said)


def ids_of(file: CocoFile) -> dict[str, int | str]:
    """{plain name: image_id} of a document's images, of a list's detections; but for names that two images have."""
    ids = collections.defaultdict(set)
    if file.images:
        for image in file.images:
            ids[plain(image.file)].add(image.id)
    else:
        for one in file.annotations:
            if one.file or isinstance(one.image, str):
                ids[plain(one.file or one.image)].add(one.image)
    return {name: its.pop() for name, its in ids.items() if len(its) == 1}


def person_in(file: CocoFile) -> tuple[set, list[str]]:
    """The ids of the category that is person, and what is to be said of it."""
    found = collections.Counter(one.category for one in file.annotations)
    counts = ', '.join(
        f'{id_} ({n})' for id_, n in sorted(found.items(), key=lambda item: -item[1])
    )
    named = {category.id for category in file.categories if coco_json.is_person(category)}
    if named:
        return {*named, None}, [] if named & {*found, None} or not found else [
            f'no box is of the category person, {", ".join(map(str, named))}; found: {counts}'
        ]
    if len(file.categories) == 1:
        only = file.categories[0]
        return {only.id, None}, [f'the only category, {only.name!r}, is taken for person']
    if file.categories:
        raise InputError(
            f'{file.path}: no category is named person; found: '
            f'{", ".join(repr(category.name) for category in file.categories)}'
        )
    if words := {id_ for id_ in found if str(id_).strip().lower() in coco_json.PERSON_NAMES}:
        return {*words, None}, []
    if 0 in found and COCOS_PERSON in found:
        raise InputError(
            f'{file.path}: category_id is 0 and 1: person is 1 as COCO counts, 0 where classes are '
            'counted from 0; leave the boxes of people alone, or add `images` and `categories`'
        )
    if 0 in found:
        return {0, None}, [
            "no box is of category 1, COCO's person: 0 is taken for person, as of a detector that "
            'counts its classes from 0'
        ]
    if found and not set(found) & {COCOS_PERSON, None}:
        return {COCOS_PERSON}, [f"no box is of category 1, COCO's person; found: {counts}"]
    return {COCOS_PERSON, None}, []


def reason_against(one: Annotation, person: set) -> str | None:
    """Why a detection is not taken, in words; None if it is."""
    if one.category not in person:
        return f'of category {one.category}'
    if one.crowd:
        return 'of groups (iscrowd)'
    if one.box is None:
        return 'without a box of positive size in pixels'
    if one.score < LEAST:
        return f'with a score below {LEAST:g}'
    return None


def number(boxes: Boxes, file: str) -> int | str | None:
    """The image_id of the picture of that name, None if it has none."""
    stem = os.path.splitext(file)[0]
    named = boxes.ids.get(file, boxes.ids.get(stem))
    if named is not None or boxes.complete:
        return named
    match = NUMBERED.fullmatch(stem)
    return int(match[1]) if match else None


def of(boxes: Boxes, file: str) -> list[Box]:
    """[(x, y, width, height), ...] of the picture of that name."""
    return boxes.boxes.get(number(boxes, file), [])


def names(boxes: Boxes) -> str:
    """Its first pictures, those with boxes if there are any."""
    with_boxes = [name for name, id_ in boxes.ids.items() if id_ in boxes.boxes]
    return coco_json.listed(with_boxes or list(boxes.ids) or list(map(str, boxes.boxes))) or 'none'


def numbers(boxes: Boxes, files: list[str]) -> dict[str, int]:
    """{name of a picture: its image_id}, {} where these are not all different numbers.

    InputError if it is not known which picture one of them is.  In a list of names it need not be there: nobody was
    found in it.
    """
    found = {file: number(boxes, file) for file in files}
    unknown = [file for file, id_ in found.items() if id_ is None]
    if unknown and (boxes.complete or not boxes.ids or len(unknown) == len(files)):
        raise InputError(
            f'--boxes {boxes.path}: does not say which of its images {unknown[0]} is; it has '
            f'{names(boxes)}'
        )
    if len(set(found.values())) < len(files) or not all(
        isinstance(id_, int) for id_ in found.values()
    ):
        return {}
    return found
