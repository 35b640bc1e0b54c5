"""People to be found in tests of systems: one in a picture of noise, and real ones."""

import os

import cv2
import numpy as np
import pytest
from conftest import SHARED

from jointpose.datasets import arrays, lsp, records
from jointpose.vision import crops

SIZE = 300, 200  # width and height of the noise


def somebody(k=14):
    """A picture of noise, uint8, and a Person in its middle with k joints, all labelled, the box as LSP's."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*SIZE[::-1], 3), np.uint8)
    xy = rng.uniform(0.3 * np.array(SIZE), 0.7 * np.array(SIZE), (k, 2)).astype(np.float32)
    visible = np.full(k, crops.VISIBLE, np.uint8)
    box = records.box_of(xy[None], visible[None])[0]
    return image, crops.Person(xy, visible, box, *crops.centre_and_scale(box), np.float32(50), '')


def eight_people():
    """[(image, Person)] of LSP extended, or a skip that says why."""
    folder = os.path.join(SHARED, 'lspet')
    if not os.path.exists(os.path.join(folder, 'joints.mat')):
        pytest.skip(f'real LSP extended is not at {folder} (set POSE_SHARED)')
    root, splits = lsp.Lsp().read(
        [os.path.join(folder, 'joints.mat')], [os.path.join(folder, 'images')]
    )
    everybody = splits['train']
    split = arrays.Split(None, everybody.joints, everybody.people, None, 'train')
    people = [crops.person_from_row(split, row) for row in range(8)]
    return [
        (cv2.imread(os.path.join(root, str(person.file)), cv2.IMREAD_COLOR_RGB), person)
        for person in people
    ]
