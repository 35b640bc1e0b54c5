"""Names of joints: those of the data sets ('lsho', 'rank', 'nose'), and how COCO and label tools spell them."""

import re

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
# COCO's seventeen key points, in the order of its files.
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


def side_of(*joints):
    """'l', 'r' or '': the side that all these joints' names begin with."""
    first = {joint[0] for joint in joints}
    return first.pop() if first in ({'l'}, {'r'}) else ''


def coco_name(joint):
    """'lsho' -> 'left_shoulder', as COCO spells it; what has no side stays as it is."""
    side, part = {'l': 'left_', 'r': 'right_'}.get(joint[0]), PARTS.get(joint[1:])
    return side + part if side and part else joint


def spellings():
    """{spelling in small letters, without anything between them: COCO's joint}."""
    found = {'nose': 'nose'}
    for side in ('left', 'right'):
        for short, part in PARTS.items():
            for a_side in (side, side[0]):
                for a_part in (short, part):
                    found[a_side + a_part] = found[a_part + a_side] = side[0] + short
    return found


SPELLINGS = spellings()


def joint_from_name(name: str) -> str | None:
    """'Left Shoulder', 'leftShoulder', 'l-shoulder', 'shoulder_left' or 'LSHO' -> 'lsho'; None if it is no joint of
    COCO's, as 'neck' is none."""
    return SPELLINGS.get(re.sub(r'[\W_]', '', str(name).lower()))
