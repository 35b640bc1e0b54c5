"""Names of joints: those of the data sets ('lsho', 'rank', 'nose'), and how COCO spells them."""
PARTS = {'sho': 'shoulder', 'elb': 'elbow', 'wri': 'wrist', 'hip': 'hip', 'kne': 'knee', 'ank': 'ankle', 'eye': 'eye',
         'ear': 'ear'}


def side_of(*joints):
    """'l', 'r' or '': the side that all these joints' names begin with."""
    first = {joint[0] for joint in joints}
    return first.pop() if first in ({'l'}, {'r'}) else ''


def standard_name(joint):
    """'lsho' -> 'left_shoulder', as COCO spells it; what has no side stays as it is."""
    side, part = {'l': 'left_', 'r': 'right_'}.get(joint[0]), PARTS.get(joint[1:])
    return side + part if side and part else joint
