"""nn/torch_file.py: both layouts of .pth files, written here byte by byte, and hostile ones."""

import collections
import io
import os
import pickle
import struct
import sys
import types
import zipfile

import numpy as np
import pytest

from jointpose.nn import torch_file
from jointpose.utils.errors import InputError

WEIGHTS = np.arange(24, dtype='<f4').reshape(2, 3, 4)
COUNT = np.array(7, '<i8')


class Stored:
    """Stands for a tensor when a file is written."""

    def __init__(self, key, array, offset=0, shape=None, strides=None):
        self.key = key
        self.array = array
        self.offset = offset
        self.shape = array.shape if shape is None else shape
        self.strides = strides or tuple(step // array.itemsize for step in array.strides)


class Storage:
    def __init__(self, stored):
        self.stored = stored


@pytest.fixture
def fake_torch(monkeypatch):
    """Modules by whose names a pickle refers to PyTorch's functions and types."""
    torch = types.ModuleType('torch')
    utils = types.ModuleType('torch._utils')
    for name in torch_file.DTYPES:
        setattr(torch, name, type(name, (), {'__module__': 'torch'}))

    def _rebuild_tensor_v2(*arguments):
        raise AssertionError('a reader must not call this')

    _rebuild_tensor_v2.__module__ = 'torch._utils'
    _rebuild_tensor_v2.__qualname__ = '_rebuild_tensor_v2'
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    monkeypatch.setitem(sys.modules, 'torch', torch)
    monkeypatch.setitem(sys.modules, 'torch._utils', utils)
    return types.SimpleNamespace(torch=torch, rebuild=_rebuild_tensor_v2)


def pickled(content, fake, legacy):
    """Bytes of a pickle that refers to its storages as PyTorch's do."""

    class Pickler(pickle.Pickler):
        def reducer_override(self, value):
            if not isinstance(value, Stored):
                return NotImplemented
            state = (Storage(value), value.offset, value.shape, value.strides, False, {})
            return fake.rebuild, state

        def persistent_id(self, value):
            if not isinstance(value, Storage):
                return None
            array = value.stored.array
            kind = {'<f4': 'FloatStorage', '<i8': 'LongStorage'}[array.dtype.str]
            found = ('storage', getattr(fake.torch, kind), value.stored.key, 'cpu', array.size)
            return (*found, None) if legacy else found

    file = io.BytesIO()
    Pickler(file, protocol=2).dump(content)
    return file.getvalue()


def tensors_of(content):
    return [value for value in content.values() if isinstance(value, Stored)]


def write_zip(path, content, fake):
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('net/data.pkl', pickled(content, fake, legacy=False))
        archive.writestr('net/byteorder', 'little')
        for stored in tensors_of(content):
            archive.writestr(f'net/data/{stored.key}', stored.array.tobytes())


def write_legacy(path, content, fake):
    with open(path, 'wb') as file:
        for value in (torch_file.MAGIC, 1001, {'little_endian': True, 'protocol_version': 1001}):
            pickle.dump(value, file, protocol=2)
        file.write(pickled(content, fake, legacy=True))
        stored = tensors_of(content)
        pickle.dump([one.key for one in stored], file, protocol=2)
        for one in stored:
            file.write(struct.pack('<q', one.array.size) + one.array.tobytes())


def state_dict():
    return collections.OrderedDict(
        weight=Stored('0', WEIGHTS),
        turned=Stored('1', WEIGHTS, 1, shape=(4, 2), strides=(1, 12)),
        count=Stored('2', COUNT),
    )


@pytest.mark.parametrize('write', [write_zip, write_legacy])
def test_both_layouts(tmp_path, fake_torch, write):
    path = str(tmp_path / 'net.pth')
    write(path, state_dict(), fake_torch)
    found = torch_file.read_state_dict(path)
    assert list(found) == ['weight', 'turned', 'count']
    np.testing.assert_array_equal(found['weight'], WEIGHTS)
    np.testing.assert_array_equal(found['turned'], [[1, 13], [2, 14], [3, 15], [4, 16]])
    assert found['count'] == 7 and found['count'].dtype == np.int64


def test_a_checkpoint_holds_the_state_dict_of_a_parallel_network(tmp_path, fake_torch):
    path = str(tmp_path / 'net.pth')
    content = {'epoch': 3, 'state_dict': {'module.weight': Stored('0', WEIGHTS)}}
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('net/data.pkl', pickled(content, fake_torch, legacy=False))
        archive.writestr('net/data/0', WEIGHTS.tobytes())
    np.testing.assert_array_equal(torch_file.read_state_dict(path)['weight'], WEIGHTS)


@pytest.mark.parametrize(
    'tensor',
    [
        Stored('0', WEIGHTS, offset=1),
        Stored('0', WEIGHTS, shape=(2, 3, 5)),
        Stored('0', WEIGHTS, offset=-1, shape=(2,), strides=(1,)),
        Stored('0', WEIGHTS, offset=4, shape=(2,), strides=(-1,)),
        Stored('0', WEIGHTS, shape=(1 << 40,), strides=(1,)),
    ],
)
def test_a_view_beyond_its_storage_is_refused(tmp_path, fake_torch, tensor):
    path = str(tmp_path / 'net.pth')
    write_zip(path, {'weight': tensor}, fake_torch)
    with pytest.raises(InputError, match=r'net\.pth: not a PyTorch state dict: weight: its s'):
        torch_file.read_state_dict(path)


class Hostile:
    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize('legacy', [False, True])
def test_no_function_of_the_file_is_called(tmp_path, legacy):
    target = str(tmp_path / 'made')
    path = tmp_path / 'net.pth'
    content = pickle.dumps({'weight': Hostile(target)}, protocol=2)
    if legacy:
        path.write_bytes(content)
    else:
        with zipfile.ZipFile(path, 'w') as archive:
            archive.writestr('net/data.pkl', content)
    with pytest.raises(InputError, match='mkdir, which no state dict needs'):
        torch_file.read_state_dict(str(path))
    assert not os.path.exists(target)


def test_every_cut_is_an_error(tmp_path, fake_torch):
    path = tmp_path / 'net.pth'
    for write in (write_zip, write_legacy):
        write(str(path), state_dict(), fake_torch)
        whole = path.read_bytes()
        for size in range(0, len(whole) - 1, 7):
            path.write_bytes(whole[:size])
            with pytest.raises(InputError, match=r'net\.pth: '):
                torch_file.read_state_dict(str(path))


def test_an_absent_file_is_one_line(tmp_path):
    with pytest.raises(InputError, match='No such file'):
        torch_file.read_state_dict(str(tmp_path / 'absent.pth'))
