"""The arrays on disk: opened, checked against their manifest, written atomically; errors in one line.

`data.py` writes for each split in {train, test}
    x_{split}_flic.npy        uint8   [n, 480, 720, 3]   RGB frames
    y_{split}_flic.npy        float16 [n, 60, 90, 10]    target heat maps (sixteenths, exact in float16)
    joints_{split}_flic.npy   float32 [n, 10, 2]         (x, y) pixels, backward-facing people's sides swapped
    people_{split}_flic.npy   PERSON  [n]                file, torsobox (x1 y1 x2 y2), backward, row in examples.mat
and `manifest.json`: counts, settings, shapes, CRC-32 sums and the id of the run of data.py that wrote them.
The manifest is written last: a folder without it holds no finished arrays.
"""
import argparse
import binascii
import collections
import contextlib
import json
import os
import sys

import numpy as np

from joints import HEIGHT, MAP_HEIGHT, MAP_WIDTH, N_MAPS, WIDTH

MANIFEST = 'manifest.json'
SPLITS = ('train', 'test')
PERSON = np.dtype([('file', 'U80'), ('torsobox', '<f4', 4), ('backward', '?'), ('row', '<i4')])
LAYOUT = {                                       # kind -> (dtype, shape of one sample)
    'x': (np.dtype(np.uint8), (HEIGHT, WIDTH, 3)),
    'y': (np.dtype(np.float16), (MAP_HEIGHT, MAP_WIDTH, N_MAPS)),
    'joints': (np.dtype(np.float32), (N_MAPS, 2)),
    'people': (PERSON, ()),
}

# Memory maps of n samples each; rows: where they are in the arrays of `split` ('train' or 'test').
Split = collections.namedtuple('Split', 'images joints people rows split', defaults=(None, None))


class InputError(Exception):
    """Bad input or option: the message names file or option and the reason, in one line."""


def run_script(main):
    """Runs `main()`; an InputError becomes one line on stderr and exit code 2, Ctrl-C exit code 130."""
    try:
        sys.exit(main())
    except InputError as error:
        sys.exit(_complain(error, 2))
    except KeyboardInterrupt:
        sys.exit(_complain('interrupted', 130))


def _complain(message, code):
    program = os.path.basename(sys.argv[0])
    print(f'{program}: error: {" ".join(str(message).split())}', file=sys.stderr)
    return code


def positive_int(text):
    """argparse type: a whole number from 1."""
    return _bounded(int, text, 1)


def natural_int(text):
    """argparse type: a whole number from 0."""
    return _bounded(int, text, 0)


def positive_float(text):
    """argparse type: a finite number above 0."""
    return _bounded(float, text, sys.float_info.min)


def natural_float(text):
    """argparse type: a finite number from 0."""
    return _bounded(float, text, 0)


def _bounded(kind, text, least):
    try:
        value = kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r} is not a number') from None
    if not least <= value < 2 ** 31:                # NaN and infinity too; products of two fit 64 bits
        raise argparse.ArgumentTypeError(f'{text} is out of range')
    return value


def file_name(kind, split):
    return f'{kind}_{split}_flic.npy'


@contextlib.contextmanager
def atomic(path):
    """Yields a temporary path beside `path`; it takes the final name only when the block ends without an error."""
    partial = f'{path}.{os.getpid()}.partial'
    try:
        yield partial
        os.replace(partial, path)
    except OSError as error:
        raise InputError(f'{path}: cannot be written: {error.strerror or error}') from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(partial)


def create_npy(path, dtype, shape):
    """Makes a .npy file of that layout with all its blocks on disk: a full disk is an error here,
    not a bus error when the memory map is written to."""
    array = np.lib.format.open_memmap(path, mode='w+', dtype=dtype, shape=shape)
    del array
    with open(path, 'r+b') as file:
        os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)


def open_npy(path, dtype=None, shape=None):
    """Read-only memory map of a .npy file (never a pickle); dtype and shape (None: any) are checked."""
    try:
        array = np.load(path, mmap_mode='r', allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f'{path}: no such file') from None
    except Exception as error:            # a damaged header raises nearly anything: SyntaxError, struct.error, ...
        raise InputError(f'{path}: not a readable .npy file: {error}') from error
    if not isinstance(array, np.ndarray):
        raise InputError(f'{path}: not a .npy file')
    if dtype is not None and array.dtype != dtype:
        raise InputError(f'{path}: holds {array.dtype}, expected {dtype}')
    if shape is not None and (len(shape) != array.ndim
                              or any(want not in (None, have) for want, have in zip(shape, array.shape))):
        raise InputError(f'{path}: has shape {array.shape}, expected {shape}')
    return array


def load_mat(path):
    """{name: array} of a .mat file up to version 7."""
    import concurrent.futures
    import multiprocessing

    from scipy.io import loadmat
    try:
        # In a process of its own (10 ms): SciPy 1.17 dies of a segmentation fault on some damaged files.
        with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context('fork')) as pool:
            return pool.submit(loadmat, path, appendmat=False).result()
    except FileNotFoundError:
        raise InputError(f'{path}: no such file') from None
    except Exception as error:              # a damaged file raises nearly anything
        raise InputError(f'{path}: not a readable .mat file: {type(error).__name__}: {error}') from error


def checksum(path):
    """CRC-32 of the whole file, eight hexadecimal digits."""
    crc = 0
    with open(path, 'rb') as file:
        while block := file.read(1 << 22):
            crc = binascii.crc32(block, crc)
    return f'{crc:08x}'


def spot_checksum(path, spots=16, length=1 << 17):
    """CRC-32 of the size and of `spots` stretches spread over the file: cheap, so that every start can compare it.
    The small arrays are covered whole."""
    size = os.path.getsize(path)
    crc = binascii.crc32(str(size).encode())
    with open(path, 'rb') as file:
        for i in range(spots):
            file.seek(i * max(size - length, 0) // (spots - 1))
            crc = binascii.crc32(file.read(length), crc)
    return f'{crc:08x}'


def read_manifest(folder):
    """The manifest as a dictionary; says how to make it where it is absent."""
    path = os.path.join(folder, MANIFEST)
    try:
        with open(path, encoding='utf-8') as file:
            manifest = json.load(file)
        for key in ('id', 'counts', 'checksums', 'spots', 'settings'):
            manifest[key]
        counts = [int(manifest['counts'][split]) for split in SPLITS]
        if min(counts) < 0 or not isinstance(manifest['checksums'], dict) or not isinstance(manifest['spots'], dict):
            raise ValueError('counts or checksums')
    except FileNotFoundError:
        raise InputError(f'{path}: no such file (run data.py first, or name the arrays\' folder with --data)') from None
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise InputError(f'{path}: not a manifest of data.py: {error!r}') from error
    return manifest


def load_split(folder, split, manifest, verify=False):
    """Opens one split's arrays, each checked against the manifest; `verify` also compares the checksums.

    Joints are refused if NaN or further than a whole frame away.  Returns a Split of read-only memory maps.
    """
    images, joints_xy, people = (load_array(folder, kind, split, manifest, verify)
                                 for kind in ('x', 'joints', 'people'))
    check_joints(joints_xy, os.path.join(folder, file_name('joints', split)))
    return Split(images, joints_xy, people, np.arange(len(images)), split)


class Rows:
    """Some rows of a memory map, read when they are asked for."""

    def __init__(self, array, rows):
        self.array, self.rows = array, rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.array[self.rows[index]]


def select(split, rows):
    """The Split of these rows only."""
    return Split(Rows(split.images, rows), split.joints[rows], split.people[rows], split.rows[rows], split.split)


def spread(split, n):
    """n people evenly spread over the split (FLIC's order is by film); all of them if n is None or too large."""
    have = len(split.images)
    return split if n is None or n >= have else select(split, np.arange(n) * have // n)


def hold_out(split):
    """(the rest, a tenth) of a split: of a hundred stretches (fewer where there are fewer people) every tenth is held
    out, so that frames of one shot stay together."""
    n = len(split.images)
    if n < 10:
        raise InputError(f'--validation: {n} people are too few to hold some out')
    held = np.arange(n) * min(100, n - n % 10) // n % 10 == 9
    return select(split, np.flatnonzero(~held)), select(split, np.flatnonzero(held))


def load_array(folder, kind, split, manifest, verify=False):
    """Opens one array: a read-only memory map, checked as `load_split` says."""
    path = os.path.join(folder, file_name(kind, split))
    dtype, shape = LAYOUT[kind]
    array = open_npy(path, dtype, (manifest['counts'][split],) + shape)
    sums, sum_of = (manifest['checksums'], checksum) if verify else (manifest['spots'], spot_checksum)
    if sum_of(path) != sums.get(file_name(kind, split)):
        raise InputError(f'{path}: its checksum is not the manifest\'s: damaged, or of another run of data.py')
    return array


def check_joints(joints_xy, path):
    """Refuses joints that are NaN or further than one frame outside the frame."""
    frame = np.array([WIDTH, HEIGHT])
    bad = ~((joints_xy > -frame) & (joints_xy < 2 * frame)).all(axis=(1, 2))      # NaN compares false
    if bad.any():
        raise InputError(f'{path}: sample {np.argmax(bad)}: a joint is NaN or far outside the frame')
