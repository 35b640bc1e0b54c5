"""COCO's person key points (Lin et al. 2014): several people a picture, seventeen joints.

unit is the root of the area of the person's segment, by which OKS is normalised.
"""
from datasets import annotations, arrays

JOINTS = ('nose', 'leye', 'reye', 'lear', 'rear', 'lsho', 'rsho', 'lelb', 'relb', 'lwri', 'rwri', 'lhip', 'rhip',
          'lkne', 'rkne', 'lank', 'rank')
POINTS = JOINTS
FLIP = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)
LIMBS = ((15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9), (8, 10),
         (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6))
LAYOUT = arrays.annotations(len(JOINTS))
SIDES = 'left is the person\'s own left'
MEASURE, RADIUS, UNCOUNTED = 'PCK@0.1', 0.1, ()
people, check_joints = annotations.people, annotations.check_joints
