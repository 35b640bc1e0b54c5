"""MPII Human Pose (Andriluka et al. 2014): everyday activities, sixteen joints.

unit is the head's size, 0.6 of the head box's diagonal, by which PCKh is normalised.
"""
from datasets import annotations, arrays

JOINTS = ('rank', 'rkne', 'rhip', 'lhip', 'lkne', 'lank', 'pelvis', 'thorax', 'neck', 'head', 'rwri', 'relb', 'rsho',
          'lsho', 'lelb', 'lwri')
POINTS = JOINTS
FLIP = (5, 4, 3, 2, 1, 0, 6, 7, 8, 9, 15, 14, 13, 12, 11, 10)
LIMBS = ((0, 1), (1, 2), (2, 6), (6, 3), (3, 4), (4, 5), (6, 7), (7, 8), (8, 9), (10, 11), (11, 12), (12, 7), (7, 13),
         (13, 14), (14, 15))
LAYOUT = arrays.annotations(len(JOINTS))
SIDES = 'left is the person\'s own left'
MEASURE, RADIUS, UNCOUNTED = 'PCKh@0.5', 0.5, ('pelvis', 'thorax')
people, check_joints = annotations.people, annotations.check_joints
