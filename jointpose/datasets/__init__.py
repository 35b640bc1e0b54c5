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


def load(name):
    """The data set's module."""
    return importlib.import_module(f'jointpose.datasets.{name}')
