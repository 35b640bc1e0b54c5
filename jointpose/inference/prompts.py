"""Point prompts (--torso) and box prompts (--boxes): checks, and messages about what they find.

A prompt returns one person.  The messages name prompts without a person, and those that find the
same person as an earlier one.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jointpose.utils.errors import InputError
from jointpose.vision.drawing import median_limb
from jointpose.vision.found_person import FoundPerson

SAME_PERSON = 0.3  # median distance of one person's joints, in median limbs
MAX_BEYOND = 10  # widths or heights of a picture that a box may reach beyond it
MAX_MESSAGES = 3  # about one picture


class Prompt(NamedTuple):
    """What a user names a person by."""

    kind: str  # 'torso' or 'box', as in poses.json
    option: str  # '--torso'
    numbers: str  # '20,20'

    def __str__(self) -> str:
        return f'{self.option} {self.numbers}'


def from_call(points_xy: Sequence | None, boxes_xy: Sequence | None) -> list[Prompt] | None:
    """The Prompts of a call; None: there are none, all people are to be found.

    Args:
        points_xy: [(x, y), ...], pixels, or None.
        boxes_xy: [(x, y, width, height), ...], pixels, or None.
    """
    if points_xy is not None:
        return [Prompt('torso', '--torso', joined(point)) for point in points_xy]
    if boxes_xy is not None:
        return [Prompt('box', '--boxes', joined(box)) for box in boxes_xy]
    return None


def joined(numbers: Sequence[float]) -> str:
    """Numbers as the command line has them: '20,20.5'."""
    return ','.join(f'{number:g}' for number in numbers)


def check_inside(
    image: np.ndarray,
    points_xy: Sequence | None,
    boxes_xy: Sequence | None,
    name: str,
    options: tuple[str, str] = ('--torso', '--boxes'),
) -> None:
    """Raises InputError for a prompt outside the picture `name`.

    A point must lie within it.  A box must contain a pixel of it, and reach at most MAX_BEYOND of
    its sides beyond it.

    options: what the errors call points and boxes.
    """
    of_points, of_boxes = options
    size = np.array(image.shape[1::-1])
    outside = f'outside {name}, which is {size[0]}x{size[1]}'
    for xy in points_xy or ():
        if not point_is_inside(xy, size):
            raise InputError(f'{of_points} {joined(xy)}: {outside}')
    for box in boxes_xy or ():
        if not box_is_inside(box, size):
            raise InputError(f'{of_boxes}: {joined(box)} is {outside}')


def point_is_inside(xy: Sequence[float], size: np.ndarray) -> bool:
    """Whether (x, y) lies within a picture of `size`, (width, height); NaN does not."""
    point = np.asarray(xy, float)
    return bool(((point >= 0) & (point < size)).all())


def box_is_inside(box: Sequence[float], size: np.ndarray) -> bool:
    """Whether (x, y, width, height) overlaps a picture and is not far larger; NaN does not."""
    first = np.array(box[:2])
    last = np.add(box[:2], box[2:])
    overlap = np.minimum(last, size) - np.maximum(first, 0)
    starts_near = first >= -MAX_BEYOND * size
    ends_near = last <= (1 + MAX_BEYOND) * size
    return bool(((overlap >= 1) & starts_near & ends_near).all())


def first_of_same(people: Sequence[FoundPerson], body) -> list[int]:
    """For each person, the index of the first one of the same person, often its own."""
    first = []
    for i, person in enumerate(people):
        earlier = (j for j in range(i) if first[j] == j and is_same(people[j], person, body))
        first.append(next(earlier, i))
    return first


def is_same(one: FoundPerson, other: FoundPerson, body) -> bool:
    """Whether two records are of one person; those of low score are not."""
    if one.low_score or other.low_score:
        return False
    distances = np.linalg.norm(np.subtract(one.joints_xy, other.joints_xy), axis=1)
    size = min(median_limb(one, body), median_limb(other, body))
    return bool(np.median(distances) <= SAME_PERSON * size)


def messages(
    prompts: list[Prompt], people: Sequence[FoundPerson], first: Sequence[int], threshold: float
) -> dict[int, str]:
    """{index of a prompt: a line about its person}.

    Args:
        people: one a prompt.
        first: by first_of_same.
        threshold: --threshold.
    """
    lines = {}
    for i, (prompt, person) in enumerate(zip(prompts, people)):
        if person.low_score:
            where = 'there' if prompt.kind == 'torso' else 'in it'
            scores = f'(score {person.score:.2f}, threshold {threshold:g})'
            lines[i] = f'{prompt}: no person found {where} {scores}'
        elif first[i] != i:
            lines[i] = f'{prompts[first[i]]} and {prompt.numbers}: the same person'
    return lines


def shortened(lines: list[str]) -> list[str]:
    """The first MAX_MESSAGES lines, and one that counts the others."""
    n_more = len(lines) - MAX_MESSAGES
    if n_more <= 0:
        return lines
    return [*lines[:MAX_MESSAGES], f'{n_more} more like these: see poses.json']
