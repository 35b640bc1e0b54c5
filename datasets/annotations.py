"""What the data sets share whose pictures have any size: one form for their readers' results."""
import numpy as np

from engine.files import InputError


def people(stored, joints_xy):
    """They are stored with all that a crops.Person has."""
    return stored


def check_joints(joints_xy, path):
    """Refuses joints that are NaN or absurd: training crops would be, too."""
    bad = ~(np.abs(joints_xy) < 1e5).all(axis=(1, 2))                                   # NaN compares false
    if bad.any():
        raise InputError(f'{path}: sample {np.argmax(bad)}: a joint is NaN or far outside the picture')
