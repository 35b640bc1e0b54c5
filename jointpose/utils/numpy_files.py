"""NumPy's .npy and .npz files, safe to read whoever has written them.

Pickles are never read: a pickle can run any code, and even a restricted one can crash NumPy. Each
array's header is checked before its data is read, and an archive's size before it is unpacked.
"""

import math
import os
import zipfile
from typing import BinaryIO, NamedTuple

import numpy as np

from jointpose.utils.errors import InputError
from jointpose.utils.files import check_is_file, read_error

MAX_NPZ = 1 << 28  # bytes when unpacked: twenty times the size of the priors
MAX_ENTRIES = 10_000  # arrays in an archive; ResNet-152 has 800
PLAIN_KINDS = 'biufcU'  # kinds of np.dtype: numbers and text
MAX_CODE_POINT = 0x10FFFF  # of a Unicode character
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # those that NumPy writes
BLOCK = 1 << 20  # bytes


class Header(NamedTuple):
    """The header of a .npy file."""

    shape: tuple[int, ...]
    order: str  # 'C' or 'F'
    dtype: np.dtype
    n_bytes: int  # size of the data behind the header


def read_header(file: BinaryIO) -> Header:
    """Reads and checks a .npy header; the file is then at the beginning of the data.

    Raises ValueError, or nearly anything else if the header is damaged.
    """
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, fortran_order, dtype = np.lib.format.read_array_header_2_0(file)
    else:
        raise ValueError(f'.npy version {version[0]}.{version[1]} is unknown')
    if dtype.hasobject:
        raise ValueError('pickled objects, which are never read: save plain arrays of numbers')
    if any(side < 0 for side in shape):
        raise ValueError(f'impossible shape {shape}')
    order = 'F' if fortran_order else 'C'
    return Header(shape, order, dtype, math.prod(shape) * dtype.itemsize)


# --- .npy ---------------------------------------------------------------------------------------


def open_npy(path: str, dtype=None, shape: tuple[int | None, ...] | None = None) -> np.ndarray:
    """Returns a read-only memory map of a .npy file; raises InputError.

    Args:
        dtype: the expected one, structured ones included. The length of text is not compared.
            None accepts any numbers or text.
        shape: the expected one; None accepts any size, for one axis or for the whole shape.
    """
    check_is_file(path)
    try:
        with open(path, 'rb') as file:
            header = read_header(file)
            start = file.tell()
        check_dtype(header.dtype, dtype)
        array = np.memmap(path, header.dtype, 'r', start, header.shape, header.order)
    except FileNotFoundError:
        raise InputError(f'{path}: no such file') from None
    except InputError as error:
        raise InputError(f'{path}: {error}') from None
    except Exception as error:  # a damaged header raises SyntaxError, struct.error, ...
        raise read_error(path, '.npy', error) from error
    if shape is not None and not _has_shape(array, shape):
        raise InputError(f'{path}: has shape {array.shape}, expected {shape}')
    return array


def _has_shape(array: np.ndarray, expected: tuple[int | None, ...]) -> bool:
    if array.ndim != len(expected):
        return False
    return all(side in (None, found) for side, found in zip(expected, array.shape))


def create_npy(path: str, dtype, shape: tuple[int, ...]) -> None:
    """Creates a .npy file of zeros, with all its blocks reserved on disk.

    A full disk raises OSError here, instead of a bus error when the memory map is written to.
    """
    array = np.lib.format.open_memmap(path, mode='w+', dtype=dtype, shape=shape)
    del array  # closes the file
    n_bytes = os.path.getsize(path)
    with open(path, 'r+b') as file:
        os.posix_fallocate(file.fileno(), 0, n_bytes)


def check_dtype(found: np.dtype, expected) -> None:
    """Raises InputError if a dtype is not as expected; None accepts any numbers or text."""
    if expected is None and found.kind not in PLAIN_KINDS:
        raise InputError(f'holds {found}, expected numbers')
    if expected is not None and without_text_lengths(found) != without_text_lengths(expected):
        raise InputError(f'holds {found}, expected {expected}')


def without_text_lengths(dtype):
    """Returns a value that is equal for dtypes that differ only in the length of their text."""
    dtype = np.dtype(dtype)
    if dtype.names:
        return [(name, without_text_lengths(dtype[name])) for name in dtype.names]
    return 'text' if dtype.kind == 'U' else dtype


# --- .npz ---------------------------------------------------------------------------------------


def read_npz(path: str, limit: int = MAX_NPZ) -> dict[str, np.ndarray]:
    """Returns the arrays of a .npz file, numbers and text, read-only.

    limit: maximum size in bytes when unpacked.
    Raises OSError, or ValueError if the content is damaged or refused.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError('not a file')
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if entry.filename.endswith('.npy')]
            check_entries(entries, limit)
            return {
                entry.filename.removesuffix('.npy'): read_entry(archive, entry) for entry in entries
            }
    except (OSError, ValueError):
        raise
    except Exception as error:  # a damaged archive raises nearly anything
        read_through(path)  # a disk error looks like a damaged archive to zipfile
        raise ValueError(f'damaged: {type(error).__name__}: {error}') from error


def read_through(path: str) -> None:
    """Reads a file to its end; raises OSError if the disk cannot be read."""
    with open(path, 'rb') as file:
        while file.read(BLOCK):
            pass


def check_entries(entries: list[zipfile.ZipInfo], limit: int) -> None:
    """Raises ValueError if the arrays of an archive could fill the memory."""
    size = sum(entry.file_size for entry in entries)
    if size > limit:
        raise ValueError(f'unpacks to {size / 1e9:.1f} GB, more than {limit / 1e9:.1f} GB')
    if len(entries) > MAX_ENTRIES:
        raise ValueError(f'holds {len(entries)} arrays, more than {MAX_ENTRIES}')
    for entry in entries:
        # Other compressions may ask for gigabytes for their dictionary.
        if entry.compress_type not in COMPRESSIONS:
            raise ValueError(f"{entry.filename}: compressed by another method than NumPy's")


def read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    """Returns one array of a .npz file; raises ValueError."""
    with archive.open(entry) as file:
        try:
            header = read_header(file)
        except Exception as error:  # a damaged header raises nearly anything
            raise ValueError(f'{entry.filename}: {error}') from error
        if header.dtype.kind not in PLAIN_KINDS:
            raise ValueError(f'{entry.filename}: holds {header.dtype}, expected numbers')
        n_bytes = entry.file_size - file.tell()
        if n_bytes != header.n_bytes:
            raise ValueError(
                f'{entry.filename}: holds {n_bytes} bytes of data, its header says {header.n_bytes}'
            )
        data = file.read(header.n_bytes)  # zipfile compares the CRC at the end
    if header.dtype.kind == 'U':
        check_text(data, header.dtype, entry.filename)
    return np.ndarray(header.shape, header.dtype, data, order=header.order)


def check_text(data: bytes, dtype: np.dtype, name: str) -> None:
    """Raises ValueError if text holds a number that is no character, which str cannot hold."""
    codes = np.frombuffer(data, np.dtype(np.uint32).newbyteorder(dtype.byteorder))
    if codes.size and codes.max() > MAX_CODE_POINT:
        raise ValueError(f'{name}: not a text')
