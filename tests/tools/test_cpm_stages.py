"""cpm_stages.py: costs by hand, the choice of hard joints, and the whole command on drawn people."""

import cv2
import forked
import numpy as np
import pytest

from jointpose.datasets import lsp
from tools import cpm_stages


def test_costs_by_hand():
    costs = cpm_stages.stage_costs(14)
    assert costs[-1, 0] == 29_852_058  # the published layers
    second = [7 * 7 * (15 + 128 + 1) * 128, *[7 * 7 * 128 * 128] * 4, 128 * 128, 128 * 15]
    assert costs[1, 0] - costs[0, 0] == sum(second) + 6 * 128 + 15
    np.testing.assert_array_equal(np.diff(costs[:, 1]), [46 * 46 * sum(second)] * 5)


def test_hard_joints_are_those_that_move_most():
    errors = np.full((3, 5, len(lsp.JOINTS)), 0.5)
    wrist, ankle, knee = map(lsp.JOINTS.index, ('lwri', 'rank', 'rkne'))
    for person, joint, last in ((0, wrist, 0.1), (1, ankle, 0.2), (2, wrist, 0.3), (4, ankle, 2)):
        errors[-1, person, joint] = last
    errors[-1, 0, ankle] = 0.15  # the same person's second
    errors[-1, 3, knee] = 0  # not one of the joints
    errors[:, 3, ankle] = np.nan
    cases = cpm_stages.choose_cases(errors)
    assert [(case.row, case.joint) for case in cases] == [
        (0, wrist),
        (1, ankle),
        (2, wrist),
        (4, ankle),
    ]
    assert cases[3].errors.tolist() == [0.5, 0.5, 2]


@pytest.mark.long
def test_table_and_figure(tmp_path):
    folder = tmp_path / 'arrays'
    forked.run(['data.py', '--dataset', 'lsp', '--synthetic', 12, '--out', folder], check=True)
    places = ['--data', folder, '--model_path', tmp_path, '--predictions', tmp_path / 'p.mat']
    network = ['--system', 'cpm', '--dataset', 'lsp', '--width', 1, '--stages', 3]
    training = ['--train', *network, '--n_epochs', 1, '--batch_size', 4, '--scales', 'single']
    forked.run(['main.py', *training, *places, '--run', 'cpm'], check=True)
    made = ['--run', tmp_path / 'cpm', '--predictions', tmp_path / 'p.mat', '--data', folder]
    done = forked.run(
        ['-m', 'tools.cpm_stages', *made, '--out', tmp_path / 'stages.png'], check=True
    )
    assert '| 3      | ' in done.stdout and '62 |' in done.stdout
    assert cv2.imread(str(tmp_path / 'stages.png')) is not None
