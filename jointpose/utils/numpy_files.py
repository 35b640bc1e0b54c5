"""NumPy's files, .npy and .npz, by whomever they were written.

Pickles are never read: a pickle can run anything, and even one that may only make arrays can crash NumPy.  The header
of each array is judged before any of its data is read, and a .npz says how large it is before it is unpacked.
"""

import math
import os
import zipfile
from typing import BinaryIO, NamedTuple

import numpy as np

from jointpose.utils.errors import InputError
from jointpose.utils.files import check_is_file, read_error

MAX_NPZ = 1 << 28  # bytes, unpacked: twenty times what the priors take
MAX_ENTRIES = 10_000  # arrays in a .npz: ResNet-152 has 800
KINDS = 'biufcU'  # of np.dtype: numbers and text
LAST_CODE_POINT = 0x10FFFF


class Header(NamedTuple):
    """What a .npy file says about its array."""

    shape: tuple[int, ...]
    order: str  # 'C' or 'F'
    dtype: np.dtype
    n_bytes: int  # of the data, which follows the header


def read_header(file: BinaryIO) -> Header:
    """Reads and checks the header at the beginning of a .npy file; the file is then where its data begins.

    Raises ValueError, or nearly anything where the header is damaged.
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
    return Header(shape, 'F' if fortran_order else 'C', dtype, math.prod(shape) * dtype.itemsize)


# --- .npy ---------------------------------------------------------------------------------------------------------


def open_npy(path, dtype=None, shape=None):
    """Read-only memory map of a .npy file; dtype and shape (None: any) are checked, not how many characters text may
    have.  Structured arrays are taken where `dtype` is of that structure."""
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
    except (
        Exception
    ) as error:  # a damaged header raises nearly anything: SyntaxError, struct.error, ...
        raise read_error(path, '.npy', error) from error
    if shape is not None and (
        len(shape) != array.ndim
        or any(want not in (None, have) for want, have in zip(shape, array.shape))
    ):
        raise InputError(f'{path}: has shape {array.shape}, expected {shape}')
    return array


def create_npy(path, dtype, shape):
    """Makes a .npy file of that layout with all its blocks on disk: a full disk is an error here,
    not a bus error when the memory map is written to."""
    array = np.lib.format.open_memmap(path, mode='w+', dtype=dtype, shape=shape)
    del array
    with open(path, 'r+b') as file:
        os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)


def check_dtype(found: np.dtype, expected) -> None:
    """InputError if a dtype is not the expected one; None stands for all plain ones."""
    if expected is None and found.kind not in KINDS:
        raise InputError(f'holds {found}, expected numbers')
    if expected is not None and any_width(found) != any_width(expected):
        raise InputError(f'holds {found}, expected {expected}')


def any_width(dtype):
    """A dtype, or what stands for it, without the number of characters that its text may have."""
    dtype = np.dtype(dtype)
    if dtype.names:
        return [(name, any_width(dtype[name])) for name in dtype.names]
    return 'text' if dtype.kind == 'U' else dtype


# --- .npz ---------------------------------------------------------------------------------------------------------


def read_npz(path, limit: int = MAX_NPZ) -> dict[str, np.ndarray]:
    """The arrays of a .npz file, read-only: numbers and text.

    limit: bytes that it may have when it is unpacked.
    Raises OSError, or ValueError of whatever is wrong with the file.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError('not a file')
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if entry.filename.endswith('.npy')]
            check_sizes(entries, limit)
            return {
                entry.filename.removesuffix('.npy'): read_entry(archive, entry) for entry in entries
            }
    except (OSError, ValueError):
        raise
    except Exception as error:  # a damaged archive raises nearly anything
        read_through(path)  # for zipfile, a disk that cannot be read is no archive either
        raise ValueError(f'damaged: {type(error).__name__}: {error}') from error


def read_through(path) -> None:
    """Raises the OSError of a file that cannot be read."""
    with open(path, 'rb') as file:
        while file.read(1 << 20):
            pass


def check_sizes(entries: list[zipfile.ZipInfo], limit: int) -> None:
    """ValueError if a .npz would fill the memory."""
    size = sum(entry.file_size for entry in entries)
    if size > limit:
        raise ValueError(f'unpacks to {size / 1e9:.1f} GB, more than {limit / 1e9:.1f} GB')
    if len(entries) > MAX_ENTRIES:
        raise ValueError(f'holds {len(entries)} arrays, more than {MAX_ENTRIES}')
    for (
        entry
    ) in entries:  # others, which NumPy does not write, may claim gigabytes for a dictionary
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{entry.filename}: compressed by another method than NumPy's")


def read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    """One array of a .npz file."""
    with archive.open(entry) as file:
        try:
            header = read_header(file)
        except Exception as error:  # a damaged header raises nearly anything
            raise ValueError(f'{entry.filename}: {error}') from error
        if header.dtype.kind not in KINDS:
            raise ValueError(f'{entry.filename}: holds {header.dtype}, expected numbers')
        left = entry.file_size - file.tell()
        if header.n_bytes != left:
            raise ValueError(
                f'{entry.filename}: holds {left} bytes of data, its header says {header.n_bytes}'
            )
        data = file.read(header.n_bytes)  # its end is where zipfile compares the CRC
    if header.dtype.kind == 'U':
        check_text(data, header.dtype, entry.filename)
    return np.ndarray(header.shape, header.dtype, data, order=header.order)


def check_text(data: bytes, dtype: np.dtype, name: str) -> None:
    """ValueError if there is a number in a text that stands for no character: Python's str could not hold it."""
    codes = np.frombuffer(data, np.dtype(np.uint32).newbyteorder(dtype.byteorder))
    if codes.size and codes.max() > LAST_CODE_POINT:
        raise ValueError(f'{name}: not a text')
