"""The arrays of a data set on disk: their layout, their manifest, reading them, and choosing people from them.

`data.py` writes these files for each split, train and test.  For FLIC, whose frames have one size:
    x_{split}_flic.npy            uint8   [n, 480, 720, 3]   RGB frames
    joints_{split}_flic.npy       float32 [n, 10, 2]         (x, y) pixels, backward-facing people's sides swapped
    people_{split}_flic.npy       PERSON_DTYPE [n]       file, torsobox (x1 y1 x2 y2), backward, row in examples.mat
For a data set with pictures of any size:
    pictures_{split}_NAME.npy     picture_dtype() [m]              file, height, width, the set's own id
    joints_{split}_NAME.npy       float32 [n, k, 2]          (x, y) pixels of the picture; 0 where not labelled
    people_{split}_NAME.npy       person_dtype(k) [n]    all else of a person, and the row of the picture in `pictures`
Beside them is `manifest.json`: the name of the data set, counts, settings, checksums, an id of the
content, where the pictures are not in the arrays their folder, and where the key points are data
('own') their skeleton (skeleton.py).  It is written last: a folder
without it has no finished arrays.
"""

import json
import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jointpose import datasets
from jointpose.media.images import read_image
from jointpose.utils.errors import InputError
from jointpose.utils.files import check_is_file, checksum, sampled_checksum
from jointpose.utils.numpy_files import open_npy

MANIFEST = 'manifest.json'
SPLITS = ('train', 'test')
FILE_WIDTH = 80  # characters of a picture's name; more where a set has longer ones


class Split(NamedTuple):
    """The n people of one split, or some of them; after `by_picture` a row is a picture and its people."""

    images: Sequence  # images[row]: uint8 [h, w, 3], RGB
    joints: np.ndarray  # float32 [n, k, 2], pixels of these
    people: np.ndarray  # structured [n]: the other fields of crops.Person, and more
    rows: np.ndarray  # int [n]: where they are in the arrays of the split
    split: str  # 'train' or 'test'


def picture_dtype(width: int = FILE_WIDTH) -> np.dtype:
    """Returns the dtype of a picture whose name has at most `width` characters."""
    return np.dtype([('file', f'U{width}'), ('height', '<i4'), ('width', '<i4'), ('id', '<i8')])


def person_dtype(k: int, width: int = FILE_WIDTH) -> np.dtype:
    """Returns the dtype of a person with k joints; the joints themselves are an array of their own.

    width: see `picture_dtype`.
    """
    return np.dtype(
        [
            # See crops.Person.
            ('file', f'U{width}'),
            ('visible', 'u1', k),
            ('box', '<f4', 4),
            ('centre', '<f4', 2),
            ('scale', '<f4'),
            ('unit', '<f4'),
            # Of the person's segment, in pixels.
            ('area', '<f4'),
            # Not one person, but a group.
            ('crowd', '?'),
            # The picture's row in the array of pictures.
            ('picture', '<i4'),
            # The data set's own.
            ('id', '<i8'),
        ]
    )


def picture_layout(k: int) -> dict[str, tuple]:
    """Returns the layout of a data set with k joints and pictures of any size: {kind: (dtype, shape of a row)}."""
    return {
        'pictures': (picture_dtype(), ()),
        'joints': (np.dtype(np.float32), (k, 2)),
        'people': (person_dtype(k), ()),
    }


def file_name(kind: str, split: str, dataset: str = 'flic') -> str:
    """Returns the name of an array's file; kind: 'joints', 'people', 'x' or 'pictures'."""
    return f'{kind}_{split}_{dataset}.npy'


def default_folder(source: str) -> str:
    """Returns the default of data.py --out and of the other scripts' --data; source: a data set's name."""
    return 'arrays' if source == 'flic' else f'arrays_{source}'


def read_manifest(folder: str) -> dict:
    """Reads the manifest; the InputError for an absent one says how to make it."""
    path = os.path.join(folder, MANIFEST)
    check_is_file(path)
    try:
        with open(path, encoding='utf-8') as file:
            manifest = json.load(file)
        manifest.setdefault('dataset', 'flic')  # early manifests do not say
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


def check_types(manifest: dict) -> None:
    """Raises ValueError or KeyError for a manifest that data.py cannot have written."""
    counts = []
    for kind in ('counts', 'pictures'):
        if kind in manifest:
            counts += [manifest[kind][split] for split in SPLITS]
    sums = [*manifest['checksums'].items(), *manifest['spots'].items()]
    known = manifest['dataset'] in datasets.names()
    data_set = datasets.of_manifest(manifest) if known else None
    has_frames = data_set is not None and data_set.frame_size is not None
    is_sound = {
        'id': isinstance(manifest['id'], str),
        'settings': isinstance(manifest['settings'], dict),
        'counts': 'counts' in manifest
        and all(type(count) is int and count >= 0 for count in counts),
        'checksums': all(isinstance(crc, str) for _, crc in sums),
        'dataset': known,
        'skeleton': data_set is None or bool(manifest.get('skeleton')) == data_set.skeleton_is_data,
        'images': not known
        or has_frames
        or (isinstance(manifest['images'], str) and manifest['images']),
    }
    for name, good in is_sound.items():
        if not good:
            raise ValueError(f'{name} is {manifest.get(name)!r:.80}')


def load_split(folder: str, split: str, manifest: dict, verify: bool = False) -> Split:
    """Opens one split's arrays, each checked against the manifest.

    Frames stay on disk, and pictures of any size are decoded when they are indexed.

    Args:
        verify: compare the checksums of whole files, not of samples of them.

    Raises:
        InputError: an array is absent or not the manifest's, or a joint is NaN or far outside.
    """
    name = manifest['dataset']
    data_set = datasets.of_manifest(manifest)
    stored = {}
    for kind in data_set.layout:
        array = load_array(folder, kind, split, manifest, verify)
        stored[kind] = Frames(array) if kind == 'x' else np.array(array)
    data_set.check_joints(stored['joints'], os.path.join(folder, file_name('joints', split, name)))
    people = data_set.complete_people(stored['people'], stored['joints'])
    if 'x' in stored:
        images = stored['x']
    else:
        images = Pictures(manifest['images'], stored['pictures'], people['picture'])
    return Split(images, stored['joints'], people, np.arange(len(people)), split)


class Frames:
    """The rows of a .npy file, read when they are indexed.

    The file is not mapped into memory: if a mapped file were cut short meanwhile, the process would
    end with a bus error and no message; here that is an InputError.  The file stays open, so rows
    are those of the array that was checked, even if data.py replaces the file.
    """

    def __init__(self, array):
        """array: a memory map of the whole file, checked."""
        self.path = array.filename
        self.offset = array.offset
        self.dtype = array.dtype
        self.shape = array.shape
        self.file = open(self.path, 'rb', buffering=0)  # noqa: SIM115 (stays open)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, index):
        rows = np.arange(self.shape[0])[index]
        if np.ndim(rows) == 0:
            return self._row(rows)
        return np.stack([self._row(row) for row in rows])

    def _row(self, row):
        values = np.empty(self.shape[1:], self.dtype)
        content = memoryview(values).cast('B')
        start = self.offset + int(row) * values.nbytes
        done = 0
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
    """Pictures of any format and size, a sequence of uint8 [h, w, 3] RGB, decoded when they are indexed."""

    def __init__(self, folder: str, table: np.ndarray, places: np.ndarray):
        """table: the folder's pictures, picture_dtype() [m].  places: [n], the row of each picture there."""
        self.folder = folder
        self.table = table
        self.places = places

    def __len__(self):
        return len(self.places)

    def __getitem__(self, index):
        entry = self.table[self.places[index]]
        path = os.path.join(self.folder, str(entry['file']))
        return read_image(path, (entry['width'], entry['height']))


class Subset:
    """Some rows of a sequence, read when they are indexed."""

    def __init__(self, array, rows):
        self.array = array
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.array[self.rows[index]]


def select(split: Split, rows) -> Split:
    """Returns the Split of these rows only."""
    return Split(
        Subset(split.images, rows),
        split.joints[rows],
        split.people[rows],
        split.rows[rows],
        split.split,
    )


def system_samples(split: Split, max_people: int | None) -> Split:
    """Returns the Split whose rows are a system's samples.

    They are pictures of up to `max_people` people or, if that is None, the labelled people.
    """
    return by_picture(split, max_people) if max_people else labelled_people(split)


def labelled_people(split: Split) -> Split:
    """Returns the people with at least one labelled joint."""
    is_labelled = split.people['visible'].any(axis=1)
    return split if is_labelled.all() else select(split, np.flatnonzero(is_labelled))


def by_picture(split: Split, max_people: int) -> Split:
    """Returns the Split whose rows are pictures with their people.

    All fields of people begin with an axis of `max_people` people, padded with people without
    visible joints; the field `rows` is their rows in the arrays.  If a picture has more people, the
    smallest are left out, groups and people without joints first.

    Pictures without people, or with groups only, are kept in the test split only: there is nothing to learn from them.
    """
    images, files = whole_pictures(split)
    members = _members(split.people, len(files), max_people)
    is_test = split.split == 'test'
    is_person = ~split.people['crowd']
    chosen = np.array(
        [i for i, rows in enumerate(members) if is_person[rows].any() or is_test], int
    )

    k = split.joints.shape[1]
    joints = np.zeros((len(chosen), max_people, k, 2), np.float32)
    people = np.zeros(len(chosen), _picture_people_dtype(split.people.dtype, files, max_people))
    people['file'] = files[chosen]
    people['picture'] = chosen
    own_fields = [name for name in split.people.dtype.names if name not in ('file', 'picture')]
    for i, picture in enumerate(chosen):
        rows = members[picture]
        n = len(rows)
        joints[i, :n] = split.joints[rows]
        people['rows'][i, :n] = split.rows[rows]
        for name in own_fields:
            people[name][i, :n] = split.people[name][rows]
    return Split(Subset(images, chosen), joints, people, chosen, split.split)


def _members(people, n_pictures, max_people):
    """The rows of up to max_people people of each picture, the labelled and large ones first.

    Groups come last.
    """
    members = [[] for _ in range(n_pictures)]
    is_labelled = people['visible'].any(axis=1)
    for row in np.lexsort((-people['area'], ~is_labelled, people['crowd'])):
        of_picture = members[people['picture'][row]]
        if len(of_picture) < max_people:
            of_picture.append(row)
    return members


def _picture_people_dtype(person, files, max_people):
    """The dtype of a picture's people; person: that of one of them."""
    fields = [('file', files.dtype), ('picture', '<i4'), ('rows', '<i4', max_people)]
    for name in person.names:
        if name not in ('file', 'picture'):
            base, shape = person[name].subdtype or (person[name], ())
            fields.append((name, base, (max_people, *shape)))
    return np.dtype(fields)


def whole_pictures(split: Split):
    """Returns the images of a split's pictures and their files, in the order that a person's `picture` counts in."""
    if isinstance(split.images, Pictures):
        table = split.images.table
        return Pictures(split.images.folder, table, np.arange(len(table))), table['file']
    files, first = np.unique(split.people['file'], return_index=True)  # FLIC: a frame a person
    return Subset(split.images, first), files


def evenly_spaced(split: Split, n: int | None) -> Split:
    """Returns n people evenly spaced over the split, which FLIC orders by film.

    All of them if n is None or not smaller than their number.
    """
    n_people = len(split.images)
    if n is None or n >= n_people:
        return split
    return select(split, np.arange(n) * n_people // n)


def hold_out(split: Split) -> tuple[Split, Split]:
    """Returns the rest of a split, and a tenth of it for validation.

    Of 100 stretches of people (fewer if there are few people) every tenth is held out, so that the
    frames of a shot stay together.
    """
    n = len(split.images)
    if n < 10:
        raise InputError(f'--validation: too few people to hold some out: {n}')
    n_stretches = min(100, n - n % 10)
    is_held = np.arange(n) * n_stretches // n % 10 == 9
    return select(split, np.flatnonzero(~is_held)), select(split, np.flatnonzero(is_held))


def load_array(
    folder: str, kind: str, split: str, manifest: dict, verify: bool = False
) -> np.memmap:
    """Opens one array as a read-only memory map, checked as `load_split` describes."""
    name = file_name(kind, split, manifest['dataset'])
    path = os.path.join(folder, name)
    dtype, shape = datasets.of_manifest(manifest).layout[kind]
    count = manifest['pictures' if kind == 'pictures' else 'counts'][split]
    array = open_npy(path, dtype, (count, *shape))
    if verify:
        same = checksum(path) == manifest['checksums'].get(name)
    else:
        same = sampled_checksum(path) == manifest['spots'].get(name)
    if not same:
        raise InputError(
            f"{path}: its checksum is not the manifest's: damaged, or of another run of data.py"
        )
    return array


def with_fields(records: np.ndarray, **fields) -> np.ndarray:
    """Returns a structured array [n] with further fields, each an array [n, ...]."""
    parts = {name: records[name] for name in records.dtype.names} | fields
    dtype = [(name, part.dtype, part.shape[1:]) for name, part in parts.items()]
    result = np.zeros(len(records), dtype)
    for name, part in parts.items():
        result[name] = part
    return result
