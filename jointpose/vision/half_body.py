"""Half-body crops for training: the upper or the lower body of a person instead of the whole.

They prepare a network for people who are cut off by the picture or hidden behind something
(HRNet's code for COCO, lib/dataset/JointsDataset.py).
"""

import numpy as np

from jointpose.vision.crops import UNLABELLED, Person

LABELLED_JOINTS = 9  # a person with fewer stays whole
LEAST_JOINTS = 3  # of the half that is shown
UPPER_CHANCE = 0.69  # of the upper body: the authors compare a normal number with 0.5
ENLARGED = 1.5  # sides of what is shown, in those of the joints' bounding box


def half_body(person: Person, is_upper: np.ndarray, margin: float, rng) -> Person:
    """Returns the Person with the centre and box of one half of the body.

    Args:
        is_upper: bool [k], the joints of the upper body.
        margin: by which the caller enlarges a box.

    A person with few labelled joints is returned as they are.
    """
    labelled = person.visible != UNLABELLED
    upper = labelled & is_upper
    lower = labelled & ~is_upper
    if labelled.sum() < LABELLED_JOINTS:
        return person
    wants_upper = rng.random() < UPPER_CHANCE
    if upper.sum() < LEAST_JOINTS or (not wants_upper and lower.sum() >= LEAST_JOINTS):
        shown = lower
    else:
        shown = upper
    joints_xy = person.joints_xy[shown]
    centre = joints_xy.mean(axis=0)
    half = np.ptp(joints_xy, axis=0) * ENLARGED / margin / 2
    box = np.concatenate([centre - half, centre + half])
    return person._replace(centre=centre, box=box.astype(np.float32))
