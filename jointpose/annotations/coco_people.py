"""The people of a file in COCO's form (annotations/coco_json.py), with their joints in a data set's order.

Key points are found by their names in the file's categories, whatever their order; joints.joint_from_name says which spellings
are understood.  A category is of people if shoulders and hips are among its key points, or more than half of the joints
asked for; of several those named person, if any is.  Joints that it lacks are unlabelled.  A file without any names
is taken to have COCO's seventeen key points in COCO's order, if everybody has seventeen; that is said.
"""

from typing import NamedTuple

import numpy as np

from jointpose.annotations.coco_json import (
    Annotation,
    Category,
    CocoFile,
    Remarks,
    is_named_person,
    is_nowhere,
    plain,
)
from jointpose.utils.errors import InputError
from jointpose.vision import joints
from jointpose.vision.joints import TORSO_JOINTS, coco_name, joint_from_name

FAR = 1e5  # pixels: no key point lies further out


class Person(NamedTuple):
    annotation: Annotation
    picture: int  # place among the file's images
    label: str  # what names them in remarks
    points: (
        np.ndarray
    )  # float64 [k, 3]: x, y (pixels) and visibility 0, 1 or 2 of the joints asked for


class Reading(NamedTuple):
    people: list[Person]
    left_out: Remarks  # who is not among them
    remarks: Remarks  # what else is to be said of people
    notes: list[str]  # and of the file


def read(file: CocoFile, wanted: tuple[str, ...]) -> Reading:
    """Everybody in a file, also without key points or box.

    wanted: names of k joints, in the order of `points`.  InputError if no category has them.
    """
    if file.results:
        raise InputError('a list of results, not annotations with `images` and `categories`')
    if not file.images:
        raise InputError('lists no `images`')
    columns, notes = columns_of(file, wanted)
    place = places_of(file)
    names = {category.id: category.name for category in file.categories}
    sizes = {category.id: len(category.points) for category in file.categories}
    people, left_out, remarks = [], Remarks(), Remarks()
    seen = set()
    for one in file.annotations:
        label, category = label_of(one, file, place), category_of(one, columns)
        if category is None:
            left_out.add(
                f'of another category than people, {names.get(one.category, one.category)!r}', label
            )
        elif one.image not in place:
            left_out.add('of a picture that the file does not list', label)
        elif (same := fingerprint(one)) in seen:
            left_out.add(
                'with key points and box as somebody before them in the same picture', label
            )
        else:
            seen |= {same} - {None}
            try:
                points = points_of(one, columns[category], sizes.get(category), label, remarks)
            except InputError as error:
                raise InputError(f'{label}: {error}') from None
            if is_off_box(one):
                remarks.add(
                    'people with most of their key points outside of their box: look at these labels',
                    label,
                )
            people.append(Person(one, place[one.image], label, points))
    check_units(people)
    return Reading(people, left_out, remarks, notes)


def say(path: str, reading: Reading, renamed: Remarks) -> None:
    """Prints what there is to say of a file; renamed: of its pictures."""
    left_out = f'left out: {reading.left_out}' * bool(reading.left_out.names)
    for line in [left_out, *reading.notes, str(reading.remarks), str(renamed)]:
        if line:
            print(f'{path}: {line}')


def places_of(file: CocoFile) -> dict:
    """{id of an image, or its name where no other has that: its place among the images}."""
    found = {}
    for i, image in enumerate(file.images):
        for name in {image.file, plain(image.file)}:
            found[name] = i if name not in found else None
    by_name = {name: i for name, i in found.items() if i is not None}
    return by_name | {image.id: i for i, image in enumerate(file.images)}


def fingerprint(one: Annotation):
    """Of somebody with key points: equal ones are one person, in a file that was put together of others."""
    if one.points is None or not (one.points[:, 2] > 0).any():
        return None
    return one.image, one.category, one.points.tobytes(), one.box, one.crowd


def label_of(one: Annotation, file: CocoFile, place: dict) -> str:
    """An annotation's name in what is said of it."""
    picture = f' of {file.images[place[one.image]].file}' if one.image in place else ''
    return f'annotations[{one.row}]{picture}'


def category_of(one: Annotation, columns: dict):
    """The id of an annotation's category, if that is of people; the only one, if the annotation does not say."""
    if one.category is None and len(columns) == 1:
        return next(iter(columns))
    return one.category if one.category in columns else None


def columns_of(file: CocoFile, wanted: tuple[str, ...]) -> tuple[dict, list[str]]:
    """{id of a category of people: [column of each wanted joint, or None]}, and what is to be said of it."""
    if not any(category.points for category in file.categories):
        return columns_without_names(file, wanted)
    columns = {
        category.id: columns_in(category, wanted) for category in file.categories if category.points
    }
    usable = [
        category for category in file.categories if is_of_people(columns.get(category.id), wanted)
    ]
    if not usable:
        found = '; '.join(
            f'{category.name!r} has {", ".join(category.points)}'
            for category in file.categories
            if category.points
        )
        raise InputError(
            f'no category has the key points of people: expected {", ".join(map(coco_name, wanted))}, '
            f'at least shoulders and hips; {found}'
        )
    usable = [category for category in usable if is_named_person(category)] or usable
    notes = []
    for category in usable:
        absent = [coco_name(joint) for joint, at in zip(wanted, columns[category.id]) if at is None]
        if absent:
            others = [name for name in category.points if joint_from_name(name) is None]
            notes.append(
                f'category {category.name!r} has no key point {", ".join(absent)}: unlabelled'
                + f' (not understood: {", ".join(others)})' * bool(others)
            )
    if len(usable) > 1:
        notes.append(
            f'people are in several categories: {", ".join(repr(category.name) for category in usable)}'
        )
    return {category.id: columns[category.id] for category in usable}, notes


def columns_in(category: Category, wanted: tuple[str, ...]) -> list:
    """Where each wanted joint is among a category's key points, None where it is not."""
    known = [joint_from_name(name) for name in category.points]
    for joint in wanted:
        if known.count(joint) > 1:
            both = [name for name, its in zip(category.points, known) if its == joint]
            raise InputError(
                f'category {category.name!r}: key points {" and ".join(both)} are one joint, '
                f'{coco_name(joint)}'
            )
    return [known.index(joint) if joint in known else None for joint in wanted]


def is_of_people(columns, wanted: tuple[str, ...]) -> bool:
    if columns is None:
        return False
    there = {joint for joint, at in zip(wanted, columns) if at is not None}
    return there.issuperset(TORSO_JOINTS) or 2 * len(there) > len(wanted)


def columns_without_names(file: CocoFile, wanted: tuple[str, ...]) -> tuple[dict, list[str]]:
    """As `columns_of`, of a file whose categories name no key points."""
    n = {len(one.points) for one in file.annotations if one.points is not None}
    if n != {len(joints.COCO_JOINTS)}:
        raise InputError(
            'no category names its `keypoints`'
            + (
                f', and people have {", ".join(map(str, sorted(n)))} of them: which are which is not known'
                if n
                else ''
            )
        )
    ids = {one.category for one in file.annotations if one.points is not None}
    return (
        {id_: [joints.COCO_JOINTS.index(joint) for joint in wanted] for id_ in ids},
        ["no category names its `keypoints`: taken for COCO's seventeen in COCO's order"],
    )


def points_of(
    one: Annotation, columns: list, n: int | None, label: str, remarks: Remarks
) -> np.ndarray:
    """float64 [k, 3] of the wanted joints of somebody; n: how many key points the category names, 0 or None: none.
    Without a label are those whose visibility is null or negative."""
    points = np.zeros((len(columns), 3))
    if one.points is None:
        return points
    if n and len(one.points) != n:
        raise InputError(f'{len(one.points)} key points, and the category names {n}')
    there = [row for row, column in enumerate(columns) if column is not None]
    points[there] = one.points[[columns[row] for row in there]]
    visible = points[:, 2]
    visible[~(visible >= 0)] = 0  # NaN compares false
    bad = ~np.isin(visible, (0, 1, 2))
    if bad.any():
        raise InputError(
            f"a joint's visibility is {visible[bad][0]:g}: expected 0 (unlabelled), 1 (hidden) or 2 "
            '(visible)'
        )
    nowhere = is_nowhere(points) & (visible > 0)
    if nowhere.any():
        points[nowhere] = 0
        remarks.add(
            'people with key points at (0, 0) or (-1, -1), which are taken for unlabelled', label
        )
    elif not visible.any() and (np.isfinite(points).all(axis=1) & ~is_nowhere(points)).any():
        remarks.add(
            'people without labels, as v is 0 at all their key points, which have coordinates (v is 1 where '
            'hidden, 2 where visible)',
            label,
        )
    if not (np.abs(points[visible > 0, :2]) < FAR).all():  # NaN compares false
        raise InputError('a joint is not a number, or far outside its picture')
    return points


def is_off_box(one: Annotation) -> bool:
    """Whether most of somebody's labelled key points are outside of the file's own box: labels in % or of a picture of
    another size look like that."""
    if one.points is None or one.box is None or 'box' in one.derived:
        return False
    xy = one.points[(one.points[:, 2] > 0) & ~is_nowhere(one.points), :2]
    first, size = np.split(np.array(one.box), 2)
    inside = ((xy >= first) & (xy <= first + size)).all(axis=1)
    return 2 * inside.sum() < len(xy)


def check_units(found: list[Person]) -> None:
    """Key points as fractions of the picture, as YOLO has them, would all lie in its first pixel."""
    xy = [person.points[person.points[:, 2] > 0, :2] for person in found]
    xy = np.concatenate(xy) if xy else np.zeros((0, 2))
    if len(xy) > 1 and (xy <= 1).all() and (xy >= 0).all():
        raise InputError(
            'all key points lie between 0 and 1: fractions of the picture, and pixels are expected'
        )
