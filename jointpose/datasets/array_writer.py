"""Writes the arrays of data.py, all or nothing: first under temporary names, then their manifest.

Arrays of the same source are replaced; those of another, and another program's manifest.json, never
are.
"""

import binascii
import concurrent.futures
import contextlib
import datetime
import glob
import json
import os
import re
import shutil
from collections.abc import Callable, Sequence

import numpy as np

from jointpose import datasets
from jointpose.datasets import arrays, flic
from jointpose.datasets.records import Annotated
from jointpose.utils import files, folders, numpy_files, progress, signals
from jointpose.utils.errors import InputError

ROWS_A_JOB = 16  # bounds a worker's resident memory: 16 frames are 17 MB

Written = dict[str, str]  # {temporary path: final path}


@contextlib.contextmanager
def worker_pool(n_workers: int):
    """A pool of processes that end with this one and, after an error, with the job in hand."""
    with concurrent.futures.ProcessPoolExecutor(
        n_workers, initializer=signals.end_with_parent, initargs=(os.getpid(),)
    ) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def write_frames(
    folder: str, split: str, people: flic.Annotations, frames: Sequence[Callable], n_workers: int
) -> Written:
    """Writes the arrays of one split of FLIC under temporary names.

    frames: for each person a function without arguments that returns the frame.
    """
    n = len(people.file)
    final = {}
    partial = {}
    for kind, (dtype, shape) in datasets.load('flic').layout.items():
        final[kind] = os.path.join(folder, arrays.file_name(kind, split))
        partial[kind] = files.temporary_path(final[kind])
        numpy_files.create_npy(partial[kind], dtype, (n, *shape))
    np.lib.format.open_memmap(partial['joints'], mode='r+')[:] = people.joints_xy
    np.lib.format.open_memmap(partial['people'], mode='r+')[:] = np.rec.fromarrays(
        [people.file, people.torsobox, people.backward, people.row], dtype=flic.PERSON_DTYPE
    )
    with worker_pool(n_workers) as pool, progress.bar(n, split, 'img') as bar:
        jobs = []
        for first in range(0, n, ROWS_A_JOB):
            of_job = frames[first : first + ROWS_A_JOB]
            jobs.append(pool.submit(write_rows, partial['x'], first, of_job))
        for job in concurrent.futures.as_completed(jobs):
            bar.update(job.result())
    return {partial[kind]: final[kind] for kind in final}


def write_rows(path: str, first: int, frames: Sequence[Callable]) -> int:
    """In a worker: decodes frames into the rows of an array from `first` on; returns their number."""
    # Mapped for these rows only: a map kept open would count every row written as resident memory.
    x = np.lib.format.open_memmap(path, mode='r+')
    for i, frame in enumerate(frames):
        x[first + i] = frame()
    return len(frames)


def write_annotated(folder: str, split: str, part: Annotated, dataset: str) -> Written:
    """Writes the arrays of one split of a data set with pictures of any size under temporary names."""
    written = {}
    for kind, array in part._asdict().items():
        final = os.path.join(folder, arrays.file_name(kind, split, dataset))
        partial = files.temporary_path(final)
        written[partial] = final
        with open(partial, 'wb') as file:
            np.save(file, array)
    return written


def write_arrays(folder: str, write: Callable[[str], Written], facts: dict) -> dict:
    """Writes both splits and the manifest, all or nothing; returns the manifest.

    Args:
        write: writes the arrays of a split under temporary names.
        facts: what the manifest holds beside checksums and id.
    """
    written = {}
    try:
        os.makedirs(folder, exist_ok=True)
        for stale in folders.stale_partials(folder, _our_files()):
            os.unlink(stale)
        for split in arrays.SPLITS:
            written.update(write(split))
        manifest = make_manifest(written, facts)
        path = os.path.join(folder, arrays.MANIFEST)
        # From here until the new manifest is written, the folder has no finished arrays.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        for partial, final in written.items():
            os.replace(partial, final)
        with files.atomic_write(path) as partial, open(partial, 'w', encoding='utf-8') as file:
            json.dump(manifest, file, indent=1)
    except OSError as error:
        raise InputError(
            f'{error.filename or folder}: cannot be written: {error.strerror}'
        ) from error
    finally:
        for partial in glob.glob(files.temporary_path(os.path.join(glob.escape(folder), '*'))):
            os.unlink(partial)
    return manifest


def _our_files():
    """A regular expression of the names of all files that data.py writes."""
    names = [arrays.MANIFEST]
    for dataset in datasets.names():
        for kind in datasets.load(dataset).layout:
            names += [arrays.file_name(kind, split, dataset) for split in arrays.SPLITS]
    return '|'.join(map(re.escape, names))


def make_manifest(written: Written, facts: dict) -> dict:
    """Returns the facts with checksums; `id` names the content: equal arrays have equal ids."""
    checksums = {}
    sampled_checksums = {}
    for partial, final in written.items():
        checksums[os.path.basename(final)] = files.checksum(partial)
        sampled_checksums[os.path.basename(final)] = files.sampled_checksum(partial)
    content = json.dumps(checksums, sort_keys=True)
    if 'skeleton' in facts:
        content += json.dumps(facts['skeleton'], sort_keys=True)
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        'id': f'{binascii.crc32(content.encode()):08x}',
        'created': now.isoformat(timespec='seconds'),
        **facts,
        'checksums': checksums,
        'spots': sampled_checksums,
    }


def former_arrays(folder: str, source: str) -> dict | None:
    """Returns the manifest of the arrays that new ones will replace, None where there are none.

    source: the name of the data set (data.py --dataset), 'own', 'own_skeleton' or 'flic_plus'.

    Raises:
        InputError: the arrays are of another source, or manifest.json is another program's.
    """
    path = os.path.join(folder, arrays.MANIFEST)
    if not os.path.lexists(path):
        return None
    try:
        manifest = arrays.read_manifest(folder)
    except InputError as error:
        raise InputError(
            f'--out {folder}: {arrays.MANIFEST} would be lost, which data.py did not write: choose '
            f'another folder, or remove it ({error})'
        ) from error
    former_source = manifest['settings'].get('source', manifest['dataset'])
    if former_source != source:
        raise InputError(
            f'--out {folder}: holds the arrays of {former_source}, which would be lost: choose '
            'another folder'
        )
    return manifest


def replacement_note(former: dict | None, manifest: dict) -> str:
    """Returns what was replaced, in words; '' if that is nothing, or equal arrays."""
    if not former or former['id'] == manifest['id']:
        return ''
    n_train = former['counts']['train']
    n_test = former['counts']['test']
    return f'; they replace {former["id"]} of {n_train} train and {n_test} test people'


def check_space(folder: str, n: int) -> None:
    """Prints the size of the arrays of n people in FLIC's frames; raises InputError if the disk is too small."""
    bytes_each = 0
    for dtype, shape in datasets.load('flic').layout.values():
        bytes_each += dtype.itemsize * int(np.prod(shape))
    existing = os.path.abspath(folder)
    while not os.path.isdir(existing):
        existing = os.path.dirname(existing)
    need = n * bytes_each
    free = shutil.disk_usage(existing).free
    print(
        f'{folder}: {need / 1e9:.2f} GB will be written; {free / 1e9:.1f} GB are free', flush=True
    )
    if need > free:
        raise InputError(
            f'--out {folder}: {need / 1e9:.1f} GB are needed, but {free / 1e9:.1f} GB are free: '
            'choose a folder on another disk'
        )
