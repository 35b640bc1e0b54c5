"""NumPy files that must not be trusted: their headers are checked before their data is read."""

import errno
import io
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest

from jointpose import pairwise_distr
from jointpose.evaluation import predictions
from jointpose.nn import import_weights
from jointpose.utils import numpy_files
from jointpose.utils.errors import InputError
from jointpose.utils.files import load_json


def npy(descr='<f4', shape='(2,)', data=bytes(8), version=(1, 0)):
    """The bytes of a .npy file with any header, sensible or not."""
    if not descr.startswith('['):
        descr = repr(descr)
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}"
    header = header.ljust(117) + '\n'
    length = struct.pack('<H' if version == (1, 0) else '<I', len(header))
    return b'\x93NUMPY' + bytes(version) + length + header.encode() + data


def npz(path, method=zipfile.ZIP_STORED, **entries):
    with zipfile.ZipFile(path, 'w', method) as archive:
        for name, content in entries.items():
            archive.writestr(f'{name}.npy', content)
    return str(path)


@pytest.mark.parametrize(
    'array',
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.array('a name'),
        np.zeros((0, 3), '>f8'),
        np.array(7, np.uint8),
        np.array([True, False]),
        np.array(['ü', 'four'], '>U4'),
    ],
    ids=str,
)
def test_what_numpy_writes_is_read(tmp_path, array):
    path = str(tmp_path / 'a.npz')
    for save in (np.savez, np.savez_compressed):
        save(path, one=array, other=np.zeros(1))
        read = numpy_files.read_npz(path)
        assert list(read) == ['one', 'other'] and read['one'].dtype == array.dtype
        np.testing.assert_array_equal(read['one'], array)
    np.save(tmp_path / 'a.npy', array)
    mapped = numpy_files.open_npy(str(tmp_path / 'a.npy'), array.dtype, array.shape)
    np.testing.assert_array_equal(mapped, array)


class Pointer:
    """A dtype that holds an object and claims to hold none."""

    def __reduce__(self):
        return np.dtype, ('V8',), (3, '|', None, ('a',), {'a': (np.dtype('O'), 0)}, 8, 1, 0)


class Pointers:
    """Two objects whose memory addresses the pickle gives."""

    def __reduce__(self):
        state = (1, (2,), Pointer(), False, b'\1' * 16)
        return np.zeros(0).__reduce__()[0], (np.ndarray, (0,), b'b'), state


def crashing():
    """Data of a .npy file that crashes an unpickler."""
    return npy('|O', data=pickle.dumps(Pointers(), 2))


HEADERS = [
    (crashing(), 'pickled objects, which are never read'),
    (npy("[('a', '<f4'), ('b', '|O')]"), 'pickled objects'),
    (npy("[('a', '<f4'), ('b', '<f4')]"), 'expected numbers'),
    (npy('|V4'), 'expected numbers'),
    (npy('<M8[s]'), 'expected numbers'),
    (npy(shape='(-2,)'), 'impossible shape'),
    (npy(shape='(-1, -2)'), 'impossible shape'),
    (npy(version=(9, 0)), ''),
    (npy(shape='(' * 300 + ')' * 300), ''),
    (npy(shape='(3,'), ''),
    (b'\x93NUMPY', ''),
    (pickle.dumps(np.zeros(2)), ''),
]


@pytest.mark.parametrize(('content', 'words'), HEADERS)
def test_headers_of_anything_but_plain_arrays_are_refused(tmp_path, content, words):
    path = npz(tmp_path / 'a.npz', pred=content, data_id=content)
    (tmp_path / 'a.npy').write_bytes(content)
    for read in (predictions.load_variables, pairwise_distr.load, import_weights.load):
        with pytest.raises(InputError, match=rf'a\.npz: .*{words}'):
            read(path)
    with pytest.raises(InputError, match=rf'a\.npy: .*{words}'):
        numpy_files.open_npy(str(tmp_path / 'a.npy'))


@pytest.mark.parametrize(
    'shape', ['(3,)', '(1,)', '(1000000000000000,)', '(2 ** 62, 8)', '(4611686018427387904, 4)']
)
def test_data_that_its_header_does_not_describe_is_refused(tmp_path, shape):
    path = npz(tmp_path / 'a.npz', pred=npy(shape=shape))
    with pytest.raises(ValueError, match=r'pred\.npy: '):
        numpy_files.read_npz(path)


def test_text_of_no_characters_is_refused(tmp_path):
    path = npz(tmp_path / 'a.npz', title=npy('<U2', '()', struct.pack('<2I', 65, 0x110000)))
    with pytest.raises(ValueError, match=r'title\.npy: not a text'):
        numpy_files.read_npz(path)


def test_a_flipped_bit_is_noticed(tmp_path):
    path = npz(tmp_path / 'a.npz', pred=npy(data=b'\x01\x02\x03\x04\x05\x06\x07\x08'))
    with open(path, 'rb') as file:
        content = file.read()
    with open(path, 'wb') as file:
        file.write(content.replace(b'\x03\x04\x05', b'\x03\x04\x07'))
    with pytest.raises(ValueError, match='CRC'):
        numpy_files.read_npz(path)


def test_a_bomb_takes_no_memory(tmp_path):
    zeros = io.BytesIO()
    np.save(zeros, np.zeros(300 << 20, np.uint8))
    path = npz(tmp_path / 'bomb.npz', zipfile.ZIP_DEFLATED, pred=zeros.getvalue())
    del zeros
    assert os.path.getsize(path) < 1 << 20 and numpy_files.MAX_NPZ < 300 << 20
    for read in (predictions.load_variables, pairwise_distr.load):
        with pytest.raises(InputError, match=r'bomb\.npz: .*unpacks to 0\.3 GB, more than 0\.3 GB'):
            read(path)


def test_a_bomb_among_weights_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(import_weights, 'MAX_SIZE', 1 << 20)
    path = npz(
        tmp_path / 'bomb.npz',
        zipfile.ZIP_DEFLATED,
        a=npy(data=bytes(1 << 20)),
        b=npy(data=bytes(1 << 20)),
    )
    with pytest.raises(
        InputError, match=r'--init \S+bomb\.npz: not the weights of layers: unpacks to'
    ):
        import_weights.load(path)


def test_an_archive_that_lies_about_its_size_is_refused(tmp_path):
    """Its directory says 136 bytes, its data is a megabyte: only 136 bytes are unpacked."""
    path = npz(tmp_path / 'a.npz', zipfile.ZIP_DEFLATED, pred=npy(data=bytes(1 << 20)))
    with open(path, 'rb') as file:
        content = file.read()
    size = struct.pack('<I', len(npy(data=bytes(1 << 20))))
    assert content.count(size) == 2
    with open(path, 'wb') as file:
        file.write(content.replace(size, struct.pack('<I', len(npy()))))
    with pytest.raises(ValueError):
        numpy_files.read_npz(path)


@pytest.mark.parametrize('method', [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compression_is_refused(tmp_path, method):
    path = npz(tmp_path / 'a.npz', method, pred=npy())
    with pytest.raises(ValueError, match='another method'):
        numpy_files.read_npz(path)


def test_many_arrays_of_nothing_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(numpy_files, 'MAX_ENTRIES', 3)
    path = npz(tmp_path / 'a.npz', **{f'a{i}': npy(shape='(0,)', data=b'') for i in range(4)})
    with pytest.raises(ValueError, match='4 arrays, more than 3'):
        numpy_files.read_npz(path)


class Broken(io.FileIO):
    """A file on a disk that cannot be read."""

    def readinto(self, buffer):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def readall(self):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_disk_that_cannot_be_read_is_no_damaged_file(tmp_path, monkeypatch):
    (tmp_path / 'a.npy').write_bytes(npy())
    (tmp_path / 'a.json').write_text('{}')
    npz(tmp_path / 'a.npz', pred=npy())
    monkeypatch.setattr('builtins.open', lambda path, *more: io.BufferedReader(Broken(path)))
    monkeypatch.setattr(io, 'open', lambda path, *more: io.BufferedReader(Broken(path)))
    for read, name in (
        (numpy_files.open_npy, 'a.npy'),
        (predictions.load_variables, 'a.npz'),
        (load_json, 'a.json'),
        (pairwise_distr.load, 'a.npz'),
    ):
        with pytest.raises(InputError, match=rf'{name}: cannot be read: Input/output error'):
            read(str(tmp_path / name))
    with pytest.raises(InputError, match=r'--init \S+a\.npz: Input/output error'):
        import_weights.load(str(tmp_path / 'a.npz'))


def test_structures_are_read_where_they_are_expected(tmp_path):
    people = np.zeros(3, [('file', 'U8'), ('box', np.float32, 4)])
    np.save(tmp_path / 'people.npy', people)
    path = str(tmp_path / 'people.npy')
    layout = np.dtype([('file', 'U16'), ('box', np.float32, 4)])
    assert numpy_files.open_npy(path, layout, (None,)).dtype == people.dtype
    with pytest.raises(InputError, match='expected numbers'):
        numpy_files.open_npy(path)
    with pytest.raises(InputError, match=r'people\.npy: holds .*, expected'):
        numpy_files.open_npy(path, np.float32)
