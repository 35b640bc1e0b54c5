"""Data sets: names and geometry of the joints, and the readers, one module each (flic.py); their arrays on disk.

Every data set has a module, found by its name (`--dataset flic`), with
    JOINTS      names of the joints that are predicted; a side's begin with l or r, no other does
    POINTS      names of the points that the arrays hold, JOINTS first
    FLIP        in a mirrored picture point i is where point FLIP[i] was
    LIMBS       pairs of joints to draw a line between
    SIDES       which side is left, in words
    LAYOUT      {kind: (dtype, shape of one)} of the arrays that data.py writes (arrays.py)
    MEASURE     name of the rate in logs and TensorBoard
    RADIUS      errors up to RADIUS * unit count as hits there; arrays.py says what a person's unit is
    UNCOUNTED   joints that the mean over the joints leaves out
    people(stored, joints_xy)     the stored people with all the fields that a crops.Person has
    check_joints(joints_xy, path)                           InputError where joints cannot be
"""
import importlib

NAMES = ('flic', 'lsp', 'mpii', 'coco')
PARTS = {'sho': 'shoulder', 'elb': 'elbow', 'wri': 'wrist', 'hip': 'hip', 'kne': 'knee', 'ank': 'ankle', 'eye': 'eye',
         'ear': 'ear'}


def load(name):
    """The data set's module."""
    return importlib.import_module(f'datasets.{name}')


def standard_name(joint):
    """'lsho' -> 'left_shoulder', as COCO spells it; what has no side stays as it is."""
    side, part = {'l': 'left_', 'r': 'right_'}.get(joint[0]), PARTS.get(joint[1:])
    return side + part if side and part else joint
