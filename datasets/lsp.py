"""Leeds Sports Pose (Johnson and Everingham 2010, 2011): whole bodies in sports, fourteen joints.  PARSE (Ramanan 2006)
has the same joints.

LSP has no boxes: a person's is that of the labelled joints, enlarged; so the test people's crops know of the truth, as
those of published results that crop by it do.  unit is the distance between left shoulder and right hip, the torso's.
"""
from datasets import annotations, arrays

JOINTS = ('rank', 'rkne', 'rhip', 'lhip', 'lkne', 'lank', 'rwri', 'relb', 'rsho', 'lsho', 'lelb', 'lwri', 'neck',
          'head')
POINTS = JOINTS
FLIP = (5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6, 12, 13)
LIMBS = ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (6, 7), (7, 8), (8, 9), (9, 10), (10, 11), (8, 12), (9, 12), (12, 13),
         (2, 8), (3, 9))
LAYOUT = arrays.annotations(len(JOINTS))
SIDES = 'left is the person\'s own left'
MEASURE, RADIUS, UNCOUNTED = 'PCK@0.2', 0.2, ()
people, check_joints = annotations.people, annotations.check_joints
