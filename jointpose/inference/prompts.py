"""What a user is told about point prompts (--torso) and boxes (--boxes): nobody was found there, or a person twice."""

from typing import NamedTuple

import numpy as np

from jointpose.vision.drawing import median_limb

SAME = 0.3  # of a person's size: median distance of the joints of one person


class Prompt(NamedTuple):
    """What a user calls a person by."""

    kind: str  # 'torso' or 'box', as poses.json calls it
    words: str  # '--torso 20,20'


def of_call(points_xy, boxes_xy):
    """The Prompts of a call, [(x, y), ...] or [(x, y, width, height), ...], either may be None; or None: there are
    none, all people are meant."""
    if points_xy is None and boxes_xy is None:
        return None
    kind, option, values = (
        ('box', '--boxes', boxes_xy) if points_xy is None else ('torso', '--torso', points_xy)
    )
    return [
        Prompt(kind, option + ' ' + ','.join(f'{number:g}' for number in one)) for one in values
    ]


def duplicates(people, body):
    """[n] of each person's index, or of an earlier one's who is the same; people of low score are only themselves."""
    first = []
    for i, person in enumerate(people):
        same = [j for j in range(i) if first[j] == j and is_same(people[j], person, body)]
        first.append(same[0] if same else i)
    return first


def is_same(one, other, body):
    """Whether two Results are one person."""
    if one.low_score or other.low_score:
        return False
    distances = np.linalg.norm(np.subtract(one.joints_xy, other.joints_xy), axis=1)
    return bool(
        np.median(distances) <= SAME * min(median_limb(one, body), median_limb(other, body))
    )


def remarks(prompts, people, first, threshold):
    """{index of a prompt: a line about its person}: those without a person, and those that mean an earlier one's.

    people: one Result a prompt; first: of `duplicates`.
    """
    said = {}
    for i, (prompt, person) in enumerate(zip(prompts, people)):
        if person.low_score:
            where = 'there' if prompt.kind == 'torso' else 'in it'
            said[i] = (
                f'{prompt.words}: no person found {where} (score {person.score:.2f}, threshold {threshold:g})'
            )
        elif first[i] != i:
            said[i] = f'{prompts[first[i]].words} and {prompt.words.split()[1]}: the same person'
    return said


def shortened(lines, most=3):
    """The first of many lines, and how many there are more."""
    return lines[:most] + (
        [f'{len(lines) - most} more like these: see poses.json'] if len(lines) > most else []
    )
