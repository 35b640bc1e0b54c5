"""Makes the project's modules importable, and finds the shared real data."""
import os
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

SHARED = os.environ.get('POSE_SHARED', os.path.join(ROOT, '..', 'shared'))


@pytest.fixture(scope='session')
def flic():
    """Folder of the real FLIC (examples.mat, images/), or a skip that says why."""
    folder = os.path.join(SHARED, 'flic')
    if not os.path.exists(os.path.join(folder, 'examples.mat')):
        pytest.skip(f'real FLIC is not at {folder} (set POSE_SHARED)')
    return folder


@pytest.fixture(scope='session')
def flic_predictions():
    """Folder of other systems' FLIC predictions, or a skip that says why."""
    folder = os.path.join(SHARED, 'flic_predictions')
    if not os.path.isdir(folder):
        pytest.skip(f'published predictions are not at {folder} (set POSE_SHARED)')
    return folder
