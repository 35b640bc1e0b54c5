"""stored_joints.py: what is stored is evaluated like the file it comes from."""

import sys

import numpy as np
import pytest
import scipy.io

from jointpose.datasets import arrays
from jointpose.evaluation import predictions
from jointpose.utils.errors import InputError
from tools import stored_joints


def test_a_file_of_main_and_what_is_stored_of_it(arrays_folder, tmp_path, monkeypatch, capsys):
    manifest = arrays.read_manifest(arrays_folder)
    found = np.random.default_rng(0).uniform(0, 480, (2, 9, 4))
    variables = {'split': 'test', 'data_id': manifest['id'], 'found_with': '--scales single'}
    for number, title in enumerate(('CPM, stage 1', 'CPM, stage 2')):
        variables[f'flic_pred_stage{number}'] = found + number
        variables[f'flic_title_stage{number}'] = title
    scipy.io.savemat(tmp_path / 'p.mat', variables)

    def store(*models):
        words = [tmp_path / 'p.mat', '--data', arrays_folder, '--out', tmp_path / 'p.npz']
        if models:
            words += ['--models', *models]
        monkeypatch.setattr(sys, 'argv', ['stored_joints', *map(str, words)])
        stored_joints.main()
        return predictions.read(str(tmp_path / 'p.npz'), manifest)

    both = store()
    assert list(both.models) == ['CPM, stage 1', 'CPM, stage 2'] and both.how == '--scales single'
    last = store('CPM, stage 2')
    assert list(last.models) == ['CPM, stage 2'] and last.rows.tolist() == [0, 1, 2, 3]
    expected = (found + 1).transpose(2, 1, 0).astype(np.float32)
    np.testing.assert_array_equal(last.models['CPM, stage 2'], expected)
    with pytest.raises(InputError, match=r"p.mat: has no 'CPM, stage 3', but 'CPM, stage 1', 'CPM"):
        store('CPM, stage 3')
