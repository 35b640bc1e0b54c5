"""PyTorch's .pth files, read without PyTorch and without running any code of the file.

A .pth file is a pickle, which may call any function when it is loaded.  This reader allows the few
names that a state dict needs (`ALLOWED`, and the storage types) and refuses every other.  Both
layouts are read: the zip archive that PyTorch 1.6 introduced, and the sequence of pickles that
earlier versions wrote, as the published weights of 2019 are.
"""

import collections
import io
import pickle
import struct
import zipfile
from typing import Any, NamedTuple

import numpy as np

from jointpose.utils.counts import counted
from jointpose.utils.errors import InputError

MAX_SIZE = 2 << 30  # bytes of a file; HRNet-w48 has 0.26 GB
MAGIC = 0x1950A86A20F9469CFC6C  # first object of the older layout
DTYPES = {
    'FloatStorage': '<f4',
    'DoubleStorage': '<f8',
    'HalfStorage': '<f2',
    'LongStorage': '<i8',
    'IntStorage': '<i4',
    'ShortStorage': '<i2',
    'CharStorage': 'i1',
    'ByteStorage': 'u1',
    'BoolStorage': '?',
}
PREFIX = 'module.'  # of names that torch.nn.DataParallel saved


class Storage(NamedTuple):
    """A tensor's numbers, which lie elsewhere in the file."""

    key: str
    dtype: str
    size: int  # elements


class Tensor(NamedTuple):
    """A view of a storage; all counted in elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class StorageType(NamedTuple):
    dtype: str


def rebuild_tensor(storage, offset, shape, strides, *_):
    """Stands in for torch._utils._rebuild_tensor_v2, whose further arguments are gradients'."""
    return Tensor(storage, offset, tuple(shape), tuple(strides))


def rebuild_parameter(tensor, *_):
    """Stands in for torch._utils._rebuild_parameter."""
    return tensor


ALLOWED = {
    ('collections', 'OrderedDict'): collections.OrderedDict,
    ('torch._utils', '_rebuild_tensor'): rebuild_tensor,
    ('torch._utils', '_rebuild_tensor_v2'): rebuild_tensor,
    ('torch._utils', '_rebuild_parameter'): rebuild_parameter,
}


class Unpickler(pickle.Unpickler):
    """Builds dictionaries of Tensors; any name beside the allowed ones is an error."""

    def find_class(self, module: str, name: str) -> Any:
        if module == 'torch' and name in DTYPES:
            return StorageType(DTYPES[name])
        if (module, name) in ALLOWED:
            return ALLOWED[module, name]
        raise pickle.UnpicklingError(f'it asks for {module}.{name}, which no state dict needs')

    def persistent_load(self, pid: Any) -> Storage:
        kind, storage_type, key, _, size, *view = pid
        if kind != 'storage' or not isinstance(storage_type, StorageType) or any(view):
            raise pickle.UnpicklingError('its storages are of an unknown kind')
        return Storage(str(key), storage_type.dtype, int(size))


def read_state_dict(path: str) -> dict[str, np.ndarray]:
    """{name: array} of a .pth file: a state dict, or a checkpoint that holds one.

    Raises InputError if the file is no such file, is damaged, or asks for anything else.
    """
    try:
        with open(path, 'rb') as file:
            if file.seek(0, io.SEEK_END) > MAX_SIZE:
                raise InputError(f'{path}: larger than {MAX_SIZE >> 30} GB: no state dict')
            file.seek(0)
            content, buffers = _read_zip(file) if zipfile.is_zipfile(file) else _read_legacy(file)
        return _arrays(content, buffers)
    except OSError as error:
        raise InputError(f'{path}: {error.strerror or error}') from error
    except InputError:
        raise
    except Exception as error:  # a damaged pickle raises whatever it likes
        raise InputError(f'{path}: not a PyTorch state dict: {error}') from error


def _read_zip(file):
    """(unpickled content, {key: bytes}) of the newer layout."""
    with zipfile.ZipFile(file) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        if sum(sizes.values()) > MAX_SIZE:
            raise ValueError('unpacked it is too large')
        (pickled,) = [name for name in sizes if name.endswith('/data.pkl')]
        folder = pickled.removesuffix('data.pkl')
        if f'{folder}byteorder' in sizes and archive.read(f'{folder}byteorder') != b'little':
            raise ValueError('its numbers are big-endian')
        content = Unpickler(archive.open(pickled)).load()
        data = f'{folder}data/'
        keys = [name.removeprefix(data) for name in sizes if name.startswith(data)]
        return content, {key: archive.read(data + key) for key in keys}


def _read_legacy(file):
    """(unpickled content, {key: bytes}) of the older layout."""
    file.seek(0)
    if Unpickler(file).load() != MAGIC:
        raise ValueError("its first object is not a .pth file's")
    Unpickler(file).load()  # the layout's version
    system = Unpickler(file).load()
    if not system['little_endian']:
        raise ValueError('its numbers are big-endian')
    recorder = Recorder(file)
    content = recorder.load()
    buffers = {}
    for key in Unpickler(file).load():
        (size,) = struct.unpack('<q', file.read(8))
        storage = recorder.storages[key]
        if size != storage.size:
            raise ValueError(
                f'storage {key} has {counted(size, "element")}, expected {storage.size}'
            )
        buffers[key] = file.read(size * np.dtype(storage.dtype).itemsize)
    return content, buffers


class Recorder(Unpickler):
    """Keeps the storages, whose types tell how many bytes follow the pickle."""

    def __init__(self, file):
        super().__init__(file)
        self.storages = {}

    def persistent_load(self, pid):
        storage = super().persistent_load(pid)
        self.storages[storage.key] = storage
        return storage


def _arrays(content, buffers):
    """{name: array} of the Tensors in a state dict."""
    if isinstance(content, dict) and isinstance(content.get('state_dict'), dict):
        content = content['state_dict']
    if not isinstance(content, dict):
        raise ValueError(f'it holds a {type(content).__name__}')
    found = {}
    for name, tensor in content.items():
        if isinstance(name, str) and isinstance(tensor, Tensor):
            found[name.removeprefix(PREFIX)] = _array(name, tensor, buffers)
    if not found:
        raise ValueError('it holds no tensors')
    return found


def _array(name, tensor, buffers):
    """A Tensor's numbers, checked to lie within its storage."""
    storage, offset, shape, strides = tensor
    numbers = np.frombuffer(buffers[storage.key], storage.dtype)
    if len(shape) != len(strides) or min((offset, *shape, *strides)) < 0:
        raise ValueError(f'{name}: its shape is {shape}, its strides are {strides}')
    if 0 in shape:
        return np.zeros(shape, storage.dtype)
    last = offset
    for size, stride in zip(shape, strides):
        last += (size - 1) * stride
    if last >= len(numbers):
        raise ValueError(f'{name}: its storage is cut short')
    in_bytes = [stride * numbers.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(numbers[offset:], shape, in_bytes).copy()
