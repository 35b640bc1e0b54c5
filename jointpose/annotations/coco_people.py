"""Reads the people of a file in COCO's form, with joints in a data set's order.

annotations/coco_json.py reads the file itself.

Key points are found by their names in the file's categories, whatever their order;
joints.joint_from_name says which spellings are understood.  A category is of people if shoulders
and hips are among its key points, or more than half of the joints asked for.  If several are, those
named person count, if any is.  Joints that a category lacks are unlabelled.

A file without any names is taken to have COCO's seventeen key points in COCO's order, if everybody
has seventeen; that is printed.
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
from jointpose.utils.counts import counted
from jointpose.utils.errors import InputError
from jointpose.vision import joints
from jointpose.vision.joints import TORSO_JOINTS, coco_name, joint_from_name

FAR = 1e5  # pixels: no key point lies further out

CategoryId = int | str | None  # None of annotations that do not say
Columns = list[int | None]  # of each wanted joint, its place among the key points, or None
Places = dict[int | str, int]  # {id of a picture, or its name: place among the file's images}


class Person(NamedTuple):
    """One of the people in a file, with the k joints asked for."""

    annotation: Annotation
    picture: int  # place among the file's images
    label: str  # what names them in remarks
    points: np.ndarray  # float64 [k, 3]: x, y (pixels) and visibility 0, 1 or 2


class NoPeople(InputError):
    """The file has key points, but not those of people."""


class Reading(NamedTuple):
    """The people in a file, and what is to be printed about it."""

    people: list[Person]
    left_out: Remarks  # who is not among them
    remarks: Remarks  # on people
    notes: list[str]  # on the file


def read(file: CocoFile, wanted: tuple[str, ...]) -> Reading:
    """Everybody in a file, also without key points or box.

    wanted: names of k joints, in the order of `points`.  NoPeople if no category has them.
    """
    check_annotations(file)
    columns, notes = columns_of(file, wanted)
    return collect(file, columns, notes, 'people')


def check_annotations(file: CocoFile) -> None:
    """InputError unless a file has annotations of pictures."""
    if file.results:
        raise InputError('a list of results, not annotations with `images` and `categories`')
    if not file.images:
        raise InputError('lists no `images`')


def collect(
    file: CocoFile, columns: dict[CategoryId, Columns], notes: list[str], what: str
) -> Reading:
    """Everybody of the categories that `columns` has.

    notes: on the file.  what: what these categories are of, in words.
    """
    place = places_of(file)
    names = {category.id: category.name for category in file.categories}
    sizes = {category.id: len(category.points) for category in file.categories}

    reading = Reading([], Remarks(), Remarks('person'), notes)
    seen = set()  # fingerprints
    for one in file.annotations:
        label = label_of(one, file, place)
        category = category_of(one, columns)
        same = fingerprint(one)
        if category not in columns:
            name = names.get(one.category, one.category)
            reading.left_out.add(f'of another category than {what}, {name!r}', label)
            continue
        if one.image not in place:
            reading.left_out.add('of a picture that the file does not list', label)
            continue
        if same is not None and same in seen:
            reading.left_out.add(
                'with key points and box as somebody before them in the same picture', label
            )
            continue
        seen.add(same)
        try:
            points = points_of(one, columns[category], sizes.get(category), label, reading.remarks)
        except InputError as error:
            raise InputError(f'{label}: {error}') from None
        if is_off_box(one):
            reading.remarks.add(
                'with most of their key points outside of their box: look at these labels',
                label,
            )
        reading.people.append(Person(one, place[one.image], label, points))
    check_units(reading.people)
    return reading


def say(path: str, reading: Reading, renamed: Remarks) -> None:
    """Prints the remarks on a file.  renamed: those on its pictures."""
    lines = [*reading.notes, str(reading.remarks), str(renamed)]
    if reading.left_out.names:
        lines.insert(0, f'left out: {reading.left_out}')
    for line in lines:
        if line:
            print(f'{path}: {line}')


def places_of(file: CocoFile) -> Places:
    """The places of a file's pictures by their ids, and by names that only one of them has."""
    by_name = {}
    for i, image in enumerate(file.images):
        for name in {image.file, plain(image.file)}:
            by_name[name] = None if name in by_name else i
    places = {name: i for name, i in by_name.items() if i is not None}
    for i, image in enumerate(file.images):
        places[image.id] = i
    return places


def fingerprint(one: Annotation) -> tuple | None:
    """A value by which somebody who is in the file twice is found; None without key points.

    A file that was put together of others may have somebody twice.
    """
    if one.points is None or not (one.points[:, 2] > 0).any():
        return None
    return one.image, one.category, one.points.tobytes(), one.box, one.crowd


def label_of(one: Annotation, file: CocoFile, place: Places) -> str:
    """An annotation's name in remarks."""
    label = f'annotations[{one.row}]'
    if one.image not in place:
        return label
    return f'{label} of {file.images[place[one.image]].file}'


# --- categories and their key points --------------------------------------------------------------


def category_of(one: Annotation, columns: dict[CategoryId, Columns]) -> CategoryId:
    """The id of an annotation's category; one that does not say is of the only one."""
    if one.category is None and len(columns) == 1:
        return next(iter(columns))
    return one.category


def columns_of(
    file: CocoFile, wanted: tuple[str, ...]
) -> tuple[dict[CategoryId, Columns], list[str]]:
    """The Columns of each category of people, {id: Columns}, and notes on them."""
    with_points = [category for category in file.categories if category.points]
    if not with_points:
        return columns_without_names(file, wanted)
    columns = {category.id: columns_in(category, wanted) for category in with_points}
    usable = [category for category in with_points if is_of_people(columns[category.id], wanted)]
    if not usable:
        raise NoPeople(_no_people(with_points, wanted))
    usable = [category for category in usable if is_named_person(category)] or usable

    notes = []
    for category in usable:
        note = _absent_joints(category, columns[category.id], wanted)
        if note:
            notes.append(note)
    if len(usable) > 1:
        names = ', '.join(repr(category.name) for category in usable)
        notes.append(f'people are in several categories: {names}')
    return {category.id: columns[category.id] for category in usable}, notes


def _no_people(categories: list[Category], wanted: tuple[str, ...]) -> str:
    """The error message of a file without a category of people."""
    expected = ', '.join(map(coco_name, wanted))
    found = '; '.join(
        f'{category.name!r} has {", ".join(category.points)}' for category in categories
    )
    return (
        f'no category has the key points of people: expected {expected}, at least shoulders and '
        f'hips; {found}'
    )


def _absent_joints(category: Category, columns: Columns, wanted: tuple[str, ...]) -> str:
    """A note on the joints that a category lacks; '' if it has all."""
    absent = [coco_name(joint) for joint, column in zip(wanted, columns) if column is None]
    if not absent:
        return ''
    note = f'category {category.name!r} has no key point {", ".join(absent)}: unlabelled'
    others = [name for name in category.points if joint_from_name(name) is None]
    if others:
        note += f' (not understood: {", ".join(others)})'
    return note


def columns_in(category: Category, wanted: tuple[str, ...]) -> Columns:
    """Where each wanted joint is among a category's key points, None where it is not."""
    known = [joint_from_name(name) for name in category.points]
    for joint in wanted:
        if known.count(joint) > 1:
            names = [name for name, other in zip(category.points, known) if other == joint]
            raise InputError(
                f'category {category.name!r}: key points {" and ".join(names)} are one joint, '
                f'{coco_name(joint)}'
            )
    return [known.index(joint) if joint in known else None for joint in wanted]


def is_of_people(columns: Columns, wanted: tuple[str, ...]) -> bool:
    """Whether a category has shoulders and hips, or more than half of the wanted joints."""
    there = {joint for joint, column in zip(wanted, columns) if column is not None}
    return there.issuperset(TORSO_JOINTS) or 2 * len(there) > len(wanted)


def columns_without_names(
    file: CocoFile, wanted: tuple[str, ...]
) -> tuple[dict[CategoryId, Columns], list[str]]:
    """As `columns_of`, of a file whose categories name no key points."""
    with_points = [one for one in file.annotations if one.points is not None]
    numbers = {len(one.points) for one in with_points}
    if numbers != {len(joints.COCO_JOINTS)}:
        message = 'no category names its `keypoints`'
        if numbers:
            listed = ', '.join(map(str, sorted(numbers)))
            message += f', and people have {listed} of them: which are which is not known'
        raise InputError(message)
    columns = [joints.COCO_JOINTS.index(joint) for joint in wanted]
    by_category = {one.category: columns for one in with_points}
    note = "no category names its `keypoints`: taken for COCO's seventeen in COCO's order"
    return by_category, [note]


# --- key points of a person -----------------------------------------------------------------------


def points_of(
    one: Annotation, columns: Columns, n: int | None, label: str, remarks: Remarks
) -> np.ndarray:
    """The wanted joints of a person, float64 [k, 3].

    Joints whose visibility is null or negative are unlabelled.

    Args:
        n: number of key points that the category names; 0 or None if it names none.
        label: the person's name in remarks.
        remarks: gets what is odd about the labels.
    """
    points = np.zeros((len(columns), 3))
    if one.points is None:
        return points
    if n and len(one.points) != n:
        raise InputError(f'{counted(len(one.points), "key point")}, and the category names {n}')
    for row, column in enumerate(columns):
        if column is not None:
            points[row] = one.points[column]

    visible = points[:, 2]  # a view: what is written to it is in `points`
    visible[~(visible >= 0)] = 0  # NaN compares false
    bad = ~np.isin(visible, (0, 1, 2))
    if bad.any():
        raise InputError(
            f"a joint's visibility is {visible[bad][0]:g}: expected 0 (unlabelled), 1 (hidden) or "
            '2 (visible)'
        )
    has_position = np.isfinite(points).all(axis=1) & ~is_nowhere(points)
    nowhere = is_nowhere(points) & (visible > 0)
    if nowhere.any():
        points[nowhere] = 0
        remarks.add('with key points at (0, 0) or (-1, -1), which are taken for unlabelled', label)
    elif not visible.any() and has_position.any():
        remarks.add(
            'without labels, as v is 0 at all their key points, which have coordinates (v '
            'is 1 where hidden, 2 where visible)',
            label,
        )
    is_near = np.abs(points[visible > 0, :2]) < FAR  # NaN compares false
    if not is_near.all():
        raise InputError('a joint is not a number, or far outside its picture')
    return points


def is_off_box(one: Annotation) -> bool:
    """Whether most of a person's labelled key points are outside of the file's own box.

    Labels in % or of a picture of another size look like that.
    """
    if one.points is None or one.box is None or 'box' in one.derived:
        return False
    is_labelled = (one.points[:, 2] > 0) & ~is_nowhere(one.points)
    xy = one.points[is_labelled, :2]
    first = np.array(one.box[:2])
    last = first + np.array(one.box[2:])
    inside = ((xy >= first) & (xy <= last)).all(axis=1)
    return 2 * inside.sum() < len(xy)


def check_units(people: list[Person]) -> None:
    """InputError if all key points lie in the first pixel of their picture.

    Key points as fractions of the picture, as YOLO has them, do.
    """
    labelled = [person.points[person.points[:, 2] > 0, :2] for person in people]
    xy = np.concatenate([np.zeros((0, 2)), *labelled])
    if len(xy) > 1 and (xy <= 1).all() and (xy >= 0).all():
        raise InputError(
            'all key points lie between 0 and 1: fractions of the picture, and pixels are expected'
        )
