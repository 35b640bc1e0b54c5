"""Files that are not what they seem."""

import os

import pytest

from jointpose import pairwise_distr
from jointpose.checkpoints import runs
from jointpose.datasets import arrays
from jointpose.evaluation import predictions
from jointpose.nn import import_weights
from jointpose.utils import files, mat_files, numpy_files
from jointpose.utils.errors import InputError


def test_a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for(tmp_path, arrays_folder):
    pipe = str(tmp_path / 'pipe.npz')
    os.mkfifo(pipe)
    for load in (
        numpy_files.open_npy,
        mat_files.load_mat,
        files.checksum,
        predictions.load_variables,
        pairwise_distr.load,
        import_weights.load,
    ):
        with pytest.raises(InputError, match=r'pipe.npz: .*not a file'):
            load(pipe)
    for name in (arrays.MANIFEST, 'x_test_flic.npy', 'people_test_flic.npy'):
        folder = tmp_path / name.split('.')[0]
        folder.mkdir()
        for other in os.listdir(arrays_folder):
            if other != name and other != 'synthetic_FLIC':
                os.link(os.path.join(arrays_folder, other), folder / other)
        os.mkfifo(folder / name)
        with pytest.raises(InputError, match=f'{name}: not a file'):
            arrays.load_split(str(folder), 'test', arrays.read_manifest(str(folder)))
    os.mkfifo(tmp_path / 'lock')
    with pytest.raises(InputError, match='lock: not a file'):
        runs.lock(str(tmp_path))
