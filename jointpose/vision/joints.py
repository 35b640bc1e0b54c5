"""Names of joints.

Data sets write 'lsho', 'rank', 'nose': a side and the first letters of a part, or a part without a
side. COCO writes 'left_shoulder', and labelling tools write many other forms.
"""

import itertools
import re
from collections.abc import Iterator

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


def _spellings() -> Iterator[tuple[str, str]]:
    """Pairs of a spelling, in lower case and without separators, and its joint."""
    yield 'nose', 'nose'
    for side, (short, part) in itertools.product(('left', 'right'), PARTS.items()):
        joint = side[0] + short
        for written_side, written_part in itertools.product((side, side[0]), (short, part)):
            yield written_side + written_part, joint
            yield written_part + written_side, joint


_SPELLINGS = dict(_spellings())
