"""The arrays of a data set on disk: their layout, opened and checked against their manifest; which people are used.

`data.py` writes for each split in {train, test}, of FLIC, whose frames have one size,
    x_{split}_flic.npy            uint8   [n, 480, 720, 3]   RGB frames
    joints_{split}_flic.npy       float32 [n, 10, 2]         (x, y) pixels, backward-facing people's sides swapped
    people_{split}_flic.npy       PERSON_DTYPE [n]                file, torsobox (x1 y1 x2 y2), backward, row in examples.mat
and of a data set whose pictures have any size
    pictures_{split}_NAME.npy     picture_dtype() [m]              file, height, width, the set's own id
    joints_{split}_NAME.npy       float32 [n, k, 2]          (x, y) pixels of the picture; 0 where not labelled
    people_{split}_NAME.npy       person_dtype(k) [n]              all else of a person, and the picture's place in `pictures`
and `manifest.json`: the data set's name, counts, settings, checksums and the id of the run of data.py that wrote them;
where the pictures are, if they are not in the arrays.  The manifest is written last: a folder without it holds no
finished arrays.
"""

import collections
import json
import os

import numpy as np

from jointpose import datasets
from jointpose.media.images import read_image
from jointpose.utils.errors import InputError
from jointpose.utils.files import check_is_file, checksum, sampled_checksum
from jointpose.utils.numpy_files import open_npy

MANIFEST = 'manifest.json'
SPLITS = ('train', 'test')
FILE_WIDTH = 80  # characters of a picture's name; more where a set has longer ones

# People to train or to be tested on, n of them.  images[row]: uint8 [h, w, 3] RGB.  joints: float32 [n, k, 2] pixels of
# these.  people: structured array [n] of what else a crops.Person has, and more.  rows: where they are in the arrays of
# `split` ('train' or 'test').  After `by_picture` a row is a picture and all its people.
Split = collections.namedtuple('Split', 'images joints people rows split')


def picture_dtype(width=FILE_WIDTH):
    """The dtype of a picture whose name has at most `width` characters."""
    return np.dtype([('file', f'U{width}'), ('height', '<i4'), ('width', '<i4'), ('id', '<i8')])


def person_dtype(k, width=FILE_WIDTH):
    """The dtype of a person with k joints, but for the joints themselves: what crops.Person says; area: that of the
    person's segment, pixels; crowd: not one person, but a group; id: the set's own; width: as of `picture_dtype`."""
    return np.dtype(
        [
            ('file', f'U{width}'),
            ('visible', 'u1', k),
            ('box', '<f4', 4),
            ('centre', '<f4', 2),
            ('scale', '<f4'),
            ('unit', '<f4'),
            ('area', '<f4'),
            ('crowd', '?'),
            ('picture', '<i4'),
            ('id', '<i8'),
        ]
    )


def picture_layout(k):
    """The layout of the arrays of a data set of pictures of any size."""
    return {
        'pictures': (picture_dtype(), ()),
        'joints': (np.dtype(np.float32), (k, 2)),
        'people': (person_dtype(k), ()),
    }


def file_name(kind, split, dataset='flic'):
    return f'{kind}_{split}_{dataset}.npy'


def default_folder(source):
    """Where data.py puts the arrays of a data set, and the other scripts look for them, unless told otherwise."""
    return 'arrays' if source == 'flic' else f'arrays_{source}'


def read_manifest(folder):
    """The manifest as a dictionary; says how to make it where it is absent."""
    path = os.path.join(folder, MANIFEST)
    check_is_file(path)
    try:
        with open(path, encoding='utf-8') as file:
            manifest = json.load(file)
        manifest.setdefault('dataset', 'flic')  # that of arrays from before there were others
        check_types(manifest)
    except FileNotFoundError:
        raise InputError(
            f'{path}: no such file: run data.py first, or name another folder with --data'
        ) from None
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise InputError(f'{path}: not a manifest of data.py: {error!r}') from error
    return manifest


def check_types(manifest):
    """ValueError or KeyError for what data.py does not write, whatever wrote it."""
    counts = [
        manifest[kind][split]
        for split in SPLITS
        for kind in ('counts', 'pictures')
        if kind in manifest
    ]
    sums = [*manifest['checksums'].items(), *manifest['spots'].items()]
    known = manifest['dataset'] in datasets.names()
    sound = {
        'id': isinstance(manifest['id'], str),
        'settings': isinstance(manifest['settings'], dict),
        'counts': 'counts' in manifest
        and all(type(count) is int and count >= 0 for count in counts),
        'checksums': all(isinstance(crc, str) for _, crc in sums),
        'dataset': known,
        'images': not known
        or datasets.load(manifest['dataset']).frame_size is not None
        or (isinstance(manifest['images'], str) and manifest['images']),
    }
    for name, good in sound.items():
        if not good:
            raise ValueError(f'{name} is {manifest.get(name)!r:.80}')


def load_split(folder, split, manifest, verify=False):
    """Opens one split's arrays, each checked against the manifest; `verify` also compares the checksums.

    Joints are refused if NaN or far outside their picture.  Returns a Split; frames stay on disk, and pictures of any
    size are decoded when they are asked for.
    """
    name = manifest['dataset']
    data_set = datasets.load(name)
    stored = {kind: load_array(folder, kind, split, manifest, verify) for kind in data_set.layout}
    stored = {
        kind: Frames(array) if kind == 'x' else np.array(array) for kind, array in stored.items()
    }
    data_set.check_joints(stored['joints'], os.path.join(folder, file_name('joints', split, name)))
    people = data_set.complete_people(stored['people'], stored['joints'])
    images = (
        stored['x']
        if 'x' in stored
        else Pictures(manifest['images'], stored['pictures'], people['picture'])
    )
    return Split(images, stored['joints'], people, np.arange(len(people)), split)


class Frames:
    """The rows of a .npy file, read when they are asked for.

    Not mapped: of a file that is cut short meanwhile, mapped rows end the process by a bus error without a word; here
    they are an InputError that names it.  The file stays open: rows are those of the array that was checked, though
    data.py should write another one in its place.
    """

    def __init__(self, array):
        """array: a memory map of the whole file, checked."""
        self.path, self.offset, self.dtype, self.shape = (
            array.filename,
            array.offset,
            array.dtype,
            array.shape,
        )
        self.file = open(self.path, 'rb', buffering=0)  # noqa: SIM115 (stays open)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, index):
        rows = np.arange(self.shape[0])[index]
        return self._row(rows) if np.ndim(rows) == 0 else np.stack([self._row(row) for row in rows])

    def _row(self, row):
        values = np.empty(self.shape[1:], self.dtype)
        content = memoryview(values).cast('B')
        start, done = self.offset + int(row) * values.nbytes, 0
        while done < values.nbytes:
            try:
                n = os.preadv(self.file.fileno(), [content[done:]], start + done)
            except OSError as error:
                raise InputError(
                    f'{self.path}: row {row} cannot be read: {error.strerror}'
                ) from error
            if n == 0:
                raise InputError(
                    f'{self.path}: has been cut short: row {row} is not there any more'
                )
            done += n
        return values


class Pictures:
    """Pictures of any format and size as a sequence of uint8 [h, w, 3] RGB, decoded when they are asked for.

    folder: where they are; table: picture_dtype() [m]; places [n]: where in the table each is.
    """

    def __init__(self, folder, table, places):
        self.folder, self.table, self.places = folder, table, places

    def __len__(self):
        return len(self.places)

    def __getitem__(self, index):
        entry = self.table[self.places[index]]
        path = os.path.join(self.folder, str(entry['file']))
        return read_image(path, (entry['width'], entry['height']))


class Subset:
    """Some rows of a sequence, read when they are asked for."""

    def __init__(self, array, rows):
        self.array, self.rows = array, rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.array[self.rows[index]]


def select(split, rows):
    """The Split of these rows only."""
    return Split(
        Subset(split.images, rows),
        split.joints[rows],
        split.people[rows],
        split.rows[rows],
        split.split,
    )


def system_samples(split, most):
    """The Split whose rows are a system's samples: pictures of up to `most` people; if it is None, labelled people."""
    return by_picture(split, most) if most else labelled_people(split)


def labelled_people(split):
    """Those of whom at least one joint is labelled."""
    some = split.people['visible'].any(axis=1)
    return split if some.all() else select(split, np.flatnonzero(some))


def by_picture(split, most):
    """The Split whose rows are pictures: all fields of their people begin with an axis of `most` people, padded with
    people of whom nothing is visible; `rows` is their rows in the arrays.  Of more people in a picture the smallest are
    left out; groups always.

    Pictures without anybody stay in the test split alone: there is nobody to be found in them.
    """
    (images, files), people, k = whole_pictures(split), split.people, split.joints.shape[1]
    members = [[] for _ in files]
    for row in np.lexsort(
        (-people['area'], ~people['visible'].any(axis=1))
    ):  # the labelled, large ones first
        if not people['crowd'][row] and len(members[people['picture'][row]]) < most:
            members[people['picture'][row]].append(row)
    chosen = np.array([i for i, rows in enumerate(members) if rows or split.split == 'test'], int)
    fields = [
        (name, base, (most, *shape))
        for name, (base, shape) in (
            (name, people.dtype[name].subdtype or (people.dtype[name], ()))
            for name in people.dtype.names
        )
        if name not in ('file', 'picture')
    ]
    joints = np.zeros((len(chosen), most, k, 2), np.float32)
    records = np.zeros(
        len(chosen), [('file', files.dtype), ('picture', '<i4'), ('rows', '<i4', most), *fields]
    )
    records['file'], records['picture'] = files[chosen], chosen
    for i, picture in enumerate(chosen):
        rows = members[picture]
        joints[i, : len(rows)], records['rows'][i, : len(rows)] = (
            split.joints[rows],
            split.rows[rows],
        )
        for name, *_ in fields:
            records[name][i, : len(rows)] = people[name][rows]
    return Split(Subset(images, chosen), joints, records, chosen, split.split)


def whole_pictures(split):
    """(images, their files) of a split's people's pictures, in the order that `picture` of a person counts in."""
    if isinstance(split.images, Pictures):
        table = split.images.table
        return Pictures(split.images.folder, table, np.arange(len(table))), table['file']
    files, first = np.unique(split.people['file'], return_index=True)  # FLIC: a frame a person
    return Subset(split.images, first), files


def evenly_spaced(split, n):
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
    name = file_name(kind, split, manifest['dataset'])
    path = os.path.join(folder, name)
    dtype, shape = datasets.load(manifest['dataset']).layout[kind]
    count = manifest['pictures' if kind == 'pictures' else 'counts'][split]
    array = open_npy(path, dtype, (count,) + shape)
    sums, sum_of = (
        (manifest['checksums'], checksum) if verify else (manifest['spots'], sampled_checksum)
    )
    if sum_of(path) != sums.get(name):
        raise InputError(
            f"{path}: its checksum is not the manifest's: damaged, or of another run of data.py"
        )
    return array


def with_fields(records, **fields):
    """A structured array [n] with further fields, each an array [n, ...]."""
    parts = {**{name: records[name] for name in records.dtype.names}, **fields}
    result = np.zeros(
        len(records), [(name, part.dtype, part.shape[1:]) for name, part in parts.items()]
    )
    for name, part in parts.items():
        result[name] = part
    return result
