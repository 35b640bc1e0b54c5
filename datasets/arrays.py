"""FLIC's arrays on disk: their layout, opened and checked against their manifest; which people of them are used.

`data.py` writes for each split in {train, test}
    x_{split}_flic.npy        uint8   [n, 480, 720, 3]   RGB frames
    joints_{split}_flic.npy   float32 [n, 10, 2]         (x, y) pixels, backward-facing people's sides swapped
    people_{split}_flic.npy   PERSON  [n]                file, torsobox (x1 y1 x2 y2), backward, row in examples.mat
and `manifest.json`: counts, settings, shapes, CRC-32 sums and the id of the run of data.py that wrote them.
The manifest is written last: a folder without it holds no finished arrays.
"""
import collections
import json
import os

import numpy as np

from datasets.flic import HEIGHT, N_MAPS, WIDTH, check_joints
from engine.files import InputError, checksum, open_npy, spot_checksum

MANIFEST = 'manifest.json'
SPLITS = ('train', 'test')
PERSON = np.dtype([('file', 'U80'), ('torsobox', '<f4', 4), ('backward', '?'), ('row', '<i4')])
LAYOUT = {                                       # kind -> (dtype, shape of one sample)
    'x': (np.dtype(np.uint8), (HEIGHT, WIDTH, 3)),
    'joints': (np.dtype(np.float32), (N_MAPS, 2)),
    'people': (PERSON, ()),
}

# Memory maps of n samples each; rows: where they are in the arrays of `split` ('train' or 'test').
Split = collections.namedtuple('Split', 'images joints people rows split', defaults=(None, None))


def file_name(kind, split):
    return f'{kind}_{split}_flic.npy'


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
