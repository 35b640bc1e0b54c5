"""Arrays on disk that change, cannot be read, or have a damaged manifest."""

import errno
import json
import os
import shutil

import numpy as np
import pytest

from jointpose.datasets import arrays
from jointpose.utils.errors import InputError


def test_an_array_cut_short_meanwhile_is_an_error_that_names_it(arrays_folder, tmp_path):
    for name in os.listdir(arrays_folder):
        if name != 'synthetic_FLIC':
            with (
                open(os.path.join(arrays_folder, name), 'rb') as source,
                open(tmp_path / name, 'wb') as file,
            ):
                file.write(source.read())
    split = arrays.load_split(str(tmp_path), 'train', arrays.read_manifest(str(tmp_path)))
    whole = np.load(tmp_path / 'x_train_flic.npy')
    np.testing.assert_array_equal(split.images[[3, 1]], whole[[3, 1]])
    np.testing.assert_array_equal(split.images[-1], whole[-1])
    np.testing.assert_array_equal(split.images[2:4], whole[2:4])
    assert len(split.images) == len(whole) and split.images.shape == whole.shape
    for name in os.listdir(tmp_path):
        os.truncate(tmp_path / name, os.path.getsize(tmp_path / name) // 2)
    np.testing.assert_array_equal(split.images[1], whole[1])
    with pytest.raises(InputError, match=r'x_train_flic.npy: has been cut short: row 15'):
        split.images[15]
    assert np.isfinite(split.joints).all() and split.people['file'][-1]  # small: in memory


@pytest.mark.parametrize('number', [errno.EIO, errno.ESTALE])
def test_a_disk_that_cannot_be_read_is_reported_in_the_systems_words(
    arrays_folder, monkeypatch, number
):
    images = arrays.load_split(arrays_folder, 'train', arrays.read_manifest(arrays_folder)).images

    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, 'preadv', fail)
    with pytest.raises(
        InputError, match=f'x_train_flic.npy: row 3 cannot be read: {os.strerror(number)}'
    ):
        images[3]


def test_rows_stay_those_of_the_array_that_was_opened(arrays_folder, tmp_path, monkeypatch):
    """Though data.py puts another one in its place; and a read that gives less than was asked for is gone on with."""
    folder = shutil.copytree(arrays_folder, tmp_path / 'arrays')
    images = arrays.load_split(str(folder), 'train', arrays.read_manifest(str(folder))).images
    before = np.load(folder / 'x_train_flic.npy')
    np.save(tmp_path / 'x.npy', 255 - before)
    os.replace(tmp_path / 'x.npy', folder / 'x_train_flic.npy')
    preadv = os.preadv
    monkeypatch.setattr(
        os, 'preadv', lambda file, buffers, start: preadv(file, [buffers[0][:100_000]], start)
    )
    np.testing.assert_array_equal(images[[0, 5]], before[[0, 5]])


@pytest.mark.parametrize(
    'changes',
    [
        {'id': ['a']},
        {'id': 7},
        {'counts': {'train': '16', 'test': 4}},
        {'counts': {'train': -1, 'test': 4}},
        {'counts': {'train': True, 'test': 4}},
        {'counts': [16, 4]},
        {'counts': None},
        {'checksums': []},
        {'spots': {'x_test_flic.npy': 7}},
        {'settings': 3},
        {'dataset': 'nobody'},
        {'dataset': ['flic']},
        {'dataset': 'mpii'},
        {'dataset': 'mpii', 'images': 7},
    ],
    ids=str,
)
def test_a_manifest_of_wrong_types_is_none(arrays_folder, tmp_path, changes):
    with open(os.path.join(arrays_folder, arrays.MANIFEST)) as file:
        (tmp_path / arrays.MANIFEST).write_text(json.dumps({**json.load(file), **changes}))
    with pytest.raises(InputError, match='not a manifest'):
        arrays.read_manifest(str(tmp_path))
