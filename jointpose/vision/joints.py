"""Names of joints.

Data sets write 'lsho', 'rank', 'nose': a side and the first letters of a part, or a part without a
side. COCO writes 'left_shoulder', and labelling tools write many other forms.
"""

import collections
import itertools
import re
from collections.abc import Iterator, Sequence

# {short name of a part: COCO's}
PARTS = {
    'sho': 'shoulder',
    'elb': 'elbow',
    'wri': 'wrist',
    'hip': 'hip',
    'kne': 'knee',
    'ank': 'ankle',
    'eye': 'eye',
    'ear': 'ear',
}

# COCO's key points, in the order of its files.
COCO_JOINTS = (
    'nose',
    'leye',
    'reye',
    'lear',
    'rear',
    'lsho',
    'rsho',
    'lelb',
    'relb',
    'lwri',
    'rwri',
    'lhip',
    'rhip',
    'lkne',
    'rkne',
    'lank',
    'rank',
)

TORSO_JOINTS = ('lsho', 'rsho', 'lhip', 'rhip')


def side_of(*joints: str) -> str:
    """Returns 'l' or 'r' if all these joints are on that side, else ''."""
    sides = {joint[0] for joint in joints}
    return sides.pop() if sides in ({'l'}, {'r'}) else ''


def coco_name(joint: str) -> str:
    """Returns a joint's name in COCO's form: 'lsho' -> 'left_shoulder', 'nose' -> 'nose'."""
    side = {'l': 'left', 'r': 'right'}.get(joint[0])
    part = PARTS.get(joint[1:])
    return f'{side}_{part}' if side and part else joint


def joint_from_name(name: str) -> str | None:
    """Returns the joint that a name stands for, however it is written.

    'Left Shoulder', 'leftShoulder', 'l-shoulder', 'shoulder_left' and 'LSHO' all give 'lsho'; a
    joint that COCO lacks, such as 'neck', gives None.
    """
    return _SPELLINGS.get(re.sub(r'[\W_]', '', str(name).lower()))


def mirror_pairs(names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Returns the pairs (left, right) among any names, in the order of the left ones.

    Two names are a pair if they differ in the word for the side only: 'left_paw' and 'right_paw',
    'Paw.L' and 'Paw.R', 'front_l_paw' and 'front_r_paw', 'leftPaw' and 'rightPaw'; capitals and
    separators do not count.  A name that could be of several pairs is in none.
    """
    lefts, rights = (_names_of_side(names, side) for side in ('left', 'right'))
    found = {}  # keys are the pairs: a pair may differ in several ways of reading the names
    for part, left in lefts.items():
        right = rights.get(part, ())
        if len(left) == len(right) == 1:
            found[left[0], right[0]] = None
    named = collections.Counter(name for pair in found for name in pair)
    return tuple(pair for pair in found if named[pair[0]] == named[pair[1]] == 1)


def has_side(name: str) -> bool:
    """Whether a word of a name says left or right."""
    return any(_parts_without(name, side) for side in ('left', 'right'))


def _names_of_side(names, side):
    """{name without the word for the side: names}, of those names that have such a word."""
    found = collections.defaultdict(list)
    for name in names:
        for part in _parts_without(name, side):
            found[part].append(name)
    return found


def _parts_without(name, side):
    """The words of a name, once for each word that says `side`, which is replaced by ''."""
    parts = set()
    words = _words(name)
    for i, word in enumerate(words):
        if word in (side, side[0]):
            parts.add((*words[:i], '', *words[i + 1 :]))
    joined = ''.join(words)
    if joined.startswith(side) and joined != side:  # 'leftpaw'
        parts.add(('', joined.removeprefix(side)))
    if joined.endswith(side) and joined != side:  # 'pawleft'
        parts.add((joined.removesuffix(side), ''))
    joint = joint_from_name(name)
    if joint and joint[0] == side[0] and joint[1:] in PARTS:  # 'lsho'
        parts.add(('', joint[1:]))
    return parts


def _words(name):
    """The words of a name in small letters; a capital begins one, 'LPaw' is two, 'PAW' one."""
    spaced = re.sub(r'(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])', ' ', name)
    return re.split(r'[\W_]+', spaced.lower().strip(' _-.'))


def _spellings() -> Iterator[tuple[str, str]]:
    """Pairs of a spelling, in lower case and without separators, and its joint."""
    yield 'nose', 'nose'
    for side, (short, part) in itertools.product(('left', 'right'), PARTS.items()):
        joint = side[0] + short
        for written_side, written_part in itertools.product((side, side[0]), (short, part)):
            yield written_side + written_part, joint
            yield written_part + written_side, joint


_SPELLINGS = dict(_spellings())
