"""FLIC's examples.mat and pictures -> the arrays that training reads (their layout: datasets/arrays.py).

    python data.py --meta FLIC/examples.mat --images FLIC/images --out arrays      # as FLIC.zip unpacks
    python data.py --synthetic 400 --out arrays       # no FLIC at hand: render 400 people in its format first

People who face backwards (left hip left of the right hip) have left and right exchanged, so that "left" is
always the side on the picture's right.  Joints are written as annotated, in pixels; for a heat map, one outside
the frame moves to the nearest cell.  Nothing appears under a final name before every array is complete.
"""
import binascii
import concurrent.futures
import contextlib
import datetime
import glob
import json
import os
import re

import numpy as np
from tqdm import tqdm

from datasets import arrays, flic
from engine import files, interrupts, jpeg
from engine.files import InputError

ROWS_A_JOB = 16                                     # bounds a worker's resident memory: 16 frames are 17 MB
OURS = '|'.join(map(re.escape, [arrays.MANIFEST, *(arrays.file_name(kind, split) for kind in flic.LAYOUT
                                                   for split in arrays.SPLITS)]))


def decode(path):
    """One frame, uint8 [480, 720, 3] RGB.  Strict: a truncated or corrupt JPEG is an error, never half a picture."""
    return jpeg.read(path, (flic.WIDTH, flic.HEIGHT))


def problem(path):
    """None if the picture is sound, else what is wrong with it."""
    try:
        decode(path)
    except InputError as error:
        return str(error)
    return None


def write_rows(job):
    """Worker: decodes one job's frames into rows of x.  Returns their number."""
    x_path, first, paths = job
    # Mapped for these rows only: a map kept open would count every row written as resident memory.
    x = np.lib.format.open_memmap(x_path, mode='r+')
    for i, path in enumerate(paths):
        x[first + i] = decode(path)
    return len(paths)


@contextlib.contextmanager
def pool_of(workers):
    """A pool of processes that end with this one, and at an error after the job in hand."""
    with concurrent.futures.ProcessPoolExecutor(workers, initializer=interrupts.end_with_parent,
                                                initargs=(os.getpid(),)) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def find_bad(people, images, workers):
    """Decodes every frame once; returns {file: reason} of those that cannot be used."""
    files = sorted(set(people.file))
    paths = [os.path.join(images, file) for file in files]
    with pool_of(workers) as pool:
        reasons = list(tqdm(pool.map(problem, paths, chunksize=16), total=len(paths), desc='check', unit='img'))
    return {file: reason for file, reason in zip(files, reasons) if reason}


def write_split(folder, split, people, images, workers):
    """Writes the three arrays of one split under their temporary names; returns {temporary path: final path}."""
    n = len(people.file)
    final = {kind: os.path.join(folder, arrays.file_name(kind, split)) for kind in flic.LAYOUT}
    partial = {kind: f'{path}.{os.getpid()}.partial' for kind, path in final.items()}
    for kind, (dtype, shape) in flic.LAYOUT.items():
        files.create_npy(partial[kind], dtype, (n,) + shape)
    np.lib.format.open_memmap(partial['joints'], mode='r+')[:] = people.joints_xy
    np.lib.format.open_memmap(partial['people'], mode='r+')[:] = np.rec.fromarrays(
        [people.file, people.torsobox, people.backward, people.row], dtype=flic.PERSON)
    jobs = [(partial['x'], i, [os.path.join(images, file) for file in people.file[i:i + ROWS_A_JOB]])
            for i in range(0, n, ROWS_A_JOB)]
    with pool_of(workers) as pool, tqdm(total=n, desc=split, unit='img') as bar:
        for done in concurrent.futures.as_completed([pool.submit(write_rows, job) for job in jobs]):
            bar.update(done.result())
    return {partial[kind]: final[kind] for kind in final}


def write_arrays(folder, people, images, workers, settings):
    """Writes both splits and the manifest, all or nothing; returns the manifest."""
    written = {}
    try:
        os.makedirs(folder, exist_ok=True)
        for stale in files.leftovers(folder, OURS):
            os.unlink(stale)
        for split in arrays.SPLITS:
            written.update(write_split(folder, split, select(people, people.split == split), images, workers))
        manifest = make_manifest(written, people, settings)
        with contextlib.suppress(FileNotFoundError):            # from here until the new one: no finished arrays
            os.unlink(os.path.join(folder, arrays.MANIFEST))
        for partial, path in written.items():
            os.replace(partial, path)
        with files.atomic(os.path.join(folder, arrays.MANIFEST)) as path, open(path, 'w', encoding='utf-8') as file:
            json.dump(manifest, file, indent=1)
    except OSError as error:
        raise InputError(f'{error.filename or folder}: cannot be written: {error.strerror}') from error
    finally:
        for partial in glob.glob(os.path.join(glob.escape(folder), f'*.{os.getpid()}.partial')):
            os.unlink(partial)
    return manifest


def make_manifest(written, people, settings):
    """Counts, settings and checksums; `id` names this content: equal arrays have equal ids."""
    checksums = {os.path.basename(path): files.checksum(partial) for partial, path in written.items()}
    id_ = f'{binascii.crc32(json.dumps(checksums, sort_keys=True).encode()):08x}'
    return {'id': id_, 'created': datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds'),
            'counts': {split: int((people.split == split).sum()) for split in arrays.SPLITS},
            'settings': settings, 'checksums': checksums,
            'spots': {os.path.basename(path): files.spot_checksum(partial) for partial, path in written.items()}}


def select(people, which):
    return type(people)(*(field[which] for field in people))


def report(people):
    """The counts that a reader can check against FLIC's."""
    outside = (flic.clamp_to_frame(people.joints_xy) != people.joints_xy).any(axis=2)[:, :flic.N_JOINTS]
    shared = set(people.file[people.split == 'train']) & set(people.file[people.split == 'test'])
    lines = []
    for split in arrays.SPLITS:
        one = select(people, people.split == split)
        lines.append(f'{split:<6}{len(one.file):6d} people on {len(set(one.file))} frames, '
                     f'{one.backward.sum()} backward-facing (sides swapped)')
    lines.append(f'joints outside the frame, clamped in the heat maps: {outside.sum()} '
                 f'({outside.any(axis=1).sum()} people)')
    lines.append(f'frames in both splits: {len(shared)}' + ''.join(f'\n  {file}' for file in sorted(shared)))
    return '\n'.join(lines)


def parse_options():
    parser = files.Parser(description=__doc__)
    parser.add_argument('--meta', default='FLIC/examples.mat', help='FLIC\'s examples.mat (default: %(default)s)')
    parser.add_argument('--images', default='FLIC/images', help='folder of its pictures (default: %(default)s)')
    parser.add_argument('--out', default='arrays', help='folder for the arrays (default: %(default)s)')
    parser.add_argument('--synthetic', type=files.positive_int, metavar='N',
                        help='render N people in FLIC\'s format into OUT/synthetic_FLIC and use these')
    parser.add_argument('--seed', type=files.natural_int, default=0,
                        help='seed of --synthetic (default: %(default)s)')
    parser.add_argument('--skip_bad', action='store_true',
                        help='leave people on missing or damaged pictures out, and list them')
    parser.add_argument('--workers', type=files.positive_int, default=len(os.sched_getaffinity(0)),
                        help='processes (default: all cores, here %(default)s)')
    return parser.parse_args()


def main():
    options = parse_options()
    meta, images = options.meta, options.images
    if options.synthetic:
        from datasets import synthetic
        folder = os.path.join(options.out, 'synthetic_FLIC')
        synthetic.write_flic(folder, options.synthetic, options.seed)
        meta, images = os.path.join(folder, 'examples.mat'), os.path.join(folder, 'images')
    people = flic.read_annotations(meta)
    people = select(people, people.split != '')
    if options.skip_bad:
        bad = find_bad(people, images, options.workers)
        left_out = np.isin(people.file, list(bad))
        print(f'left out: {left_out.sum()} people on {len(bad)} pictures',
              *map(files.printable, bad.values()), sep='\n  ')
        people = select(people, ~left_out)
    for split in arrays.SPLITS:
        if not (people.split == split).any():
            raise InputError(f'{meta}: no {split} people')
    print(files.printable(report(people)))
    settings = {'meta': os.path.basename(meta), 'synthetic': options.synthetic, 'seed': options.seed,
                'skip_bad': options.skip_bad}
    manifest = write_arrays(options.out, people, images, options.workers, settings)
    size = sum(os.path.getsize(os.path.join(options.out, file)) for file in manifest['checksums'])
    print(f'{options.out}: arrays {manifest["id"]}, {size / 1e9:.2f} GB')


if __name__ == '__main__':
    files.run_script(main)
