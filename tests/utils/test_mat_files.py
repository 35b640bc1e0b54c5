""".mat files that are too large, or of a version that cannot be read."""

import os

import forked
import numpy as np
import pytest
import scipy.io

from jointpose.evaluation import predictions
from jointpose.utils import mat_files
from jointpose.utils.errors import InputError


def test_a_mat_file_that_would_fill_the_memory_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(mat_files, 'MAX_MAT', 64 << 20)
    path = str(tmp_path / 'bomb.mat')
    scipy.io.savemat(path, {'pred': np.zeros(100 << 20, np.uint8)}, do_compression=True)
    assert os.path.getsize(path) < 1 << 20
    with pytest.raises(
        InputError, match=r'bomb\.mat: not read: it needs more memory than .* 0\.1 GB'
    ):
        predictions.load_variables(path)
    scipy.io.savemat(path, {'pred': np.ones(4)})
    assert list(predictions.load_variables(path)['pred'][0]) == [1, 1, 1, 1]
    np.ones(200 << 20, np.uint8)  # this process has no such limit


def test_names_in_a_mat_file_do_not_reach_the_terminal_by_a_warning(tmp_path):
    """SciPy warns of a variable that occurs twice, and prints its name unescaped."""
    path = tmp_path / 'twice.mat'
    with open(path, 'wb') as file:
        scipy.io.savemat(file, {'a1b2': np.ones(1)})
        scipy.io.savemat(file, {'a1b2': np.ones(1)})
    path.write_bytes(path.read_bytes().replace(b'a1b2', b'\x1b[2K'))
    code = (
        'import sys; from jointpose.utils import mat_files; '
        'print(ascii(sorted(mat_files.load_mat(sys.argv[1]))))'
    )
    loaded = forked.run(['-c', code, path], env={**os.environ, 'PYTHONPATH': forked.ROOT})
    assert '\\x1b[2K' in loaded.stdout and '\x1b' not in loaded.stdout and loaded.stderr == ''


def test_a_mat_file_of_version_7_3_is_refused_by_name(tmp_path):
    """The error says how to save the file, instead of naming another library."""
    header = b'MATLAB 7.3 MAT-file'.ljust(124) + b'\x00\x02IM'
    (tmp_path / 'new.mat').write_bytes(
        header.ljust(512, b'\0') + b'\x89HDF\r\n\x1a\n'.ljust(64, b'\0')
    )
    with pytest.raises(
        InputError, match=r'new\.mat: a \.mat file of version 7\.3 .* save it as version 7'
    ):
        mat_files.load_mat(str(tmp_path / 'new.mat'))
