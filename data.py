r"""A data set's annotations and pictures -> the arrays that training reads (their layout: datasets/arrays.py).

    python data.py --meta FLIC/examples.mat --images FLIC/images            # -> arrays; the defaults
    python data.py --synthetic 400 --out arrays_drawn                        # no FLIC at hand: draws 400 people
    python data.py --dataset lsp --meta lsp/joints.mat lspet/joints.mat --images lsp/images lspet/images   # arrays_lsp
    python data.py --dataset parse --meta parse/labels.mat --images parse        # -> arrays_parse
    python data.py --dataset mpii --meta train.json valid.json --images mpii/images      # -> arrays_mpii
    python data.py --dataset coco --meta person_keypoints_{train,val}2017.json --images {train,val}2017
    python data.py --coco annotations.json --images DIR               # your own -> arrays_own
    python data.py --meta FLIC-full/examples.mat --rows tr_plus_indices.mat --test FLIC/examples.mat \
        --images FLIC-full/images FLIC/images                               # FLIC-plus -> arrays_plus

FLIC's frames have one size and become one array, 5 GB, that is read frame by frame.  People seen from behind
(shoulders and hips both crossed) have left and right exchanged, so that "left" is the side on the picture's right; they
are counted and named.  For a heat map, a joint outside the frame moves to the nearest cell.  Pictures of the other sets
stay where they are, and must stay there: each is decoded once to see that it is whole, and again whenever it is trained
on.  Joints are written as annotated, in pixels.  Nothing appears under a final name before every array is complete.
Arrays of the same source are replaced, which is said; of another, and another program's manifest.json, never.

What is read of each set, and who is a test person, its module says: datasets/{flic,lsp,mpii,coco,own}.py.
"""

if __name__ == '__main__':
    import jointpose.utils.startup  # noqa: F401

import binascii
import concurrent.futures
import contextlib
import datetime
import functools
import glob
import json
import os
import re
import shutil

import numpy as np

from jointpose import datasets
from jointpose.annotations import overlap
from jointpose.datasets import arrays, custom, flic, flic_plus, records
from jointpose.media.images import read_image, size_mismatch
from jointpose.utils import cli, files, folders, numpy_files, progress, signals
from jointpose.utils.errors import InputError
from jointpose.vision.joints import coco_name

ROWS_A_JOB = 16  # bounds a worker's resident memory: 16 frames are 17 MB
NAMED = 5  # pictures that are named where there are many
MOST_NAMED = 20  # pictures in both splits that are named
NEARLY_ALL = 0.8  # of the people from behind: a fault of the labels, probably


def our_files():
    """A regular expression of the names of all files that data.py writes."""
    names = [arrays.MANIFEST]
    for dataset in datasets.names():
        for kind in datasets.load(dataset).layout:
            names += [arrays.file_name(kind, split, dataset) for split in arrays.SPLITS]
    return '|'.join(map(re.escape, names))


def decode(path):
    """One frame, uint8 [480, 720, 3] RGB.  A truncated or corrupt picture is an error, never half a picture."""
    return read_image(path, (flic.WIDTH, flic.HEIGHT))


def error_or_none(frame):
    """None if frame() gives one, else what is wrong with its picture."""
    try:
        frame()
    except InputError as error:
        return str(error)
    return None


def write_rows(job):
    """Worker: decodes one job's frames into rows of x.  Returns their number."""
    x_path, first, frames = job
    # Mapped for these rows only: a map kept open would count every row written as resident memory.
    x = np.lib.format.open_memmap(x_path, mode='r+')
    for i, frame in enumerate(frames):
        x[first + i] = frame()
    return len(frames)


@contextlib.contextmanager
def pool_of(workers):
    """A pool of processes that end with this one, and at an error after the job in hand."""
    with concurrent.futures.ProcessPoolExecutor(
        workers, initializer=signals.end_with_parent, initargs=(os.getpid(),)
    ) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def in_parallel(function, jobs, workers):
    """The function's results, in order, of processes, with a progress bar."""
    with pool_of(workers) as pool:
        return list(
            progress.track(pool.map(function, jobs, chunksize=16), len(jobs), 'check', 'img')
        )


def size_or_error(path):
    """(width, height) of a whole picture as it is shown, or what is wrong with it."""
    try:
        return read_image(path).shape[1::-1]
    except InputError as error:
        return str(error)


def check_pictures(part, root, workers, skip, what):
    """Decodes every picture once, writes down its size, and leaves out those that are absent, damaged or not of the
    annotated size, if `skip`; else they are an error.  Returns the Annotated of the others."""
    found = in_parallel(
        size_or_error, [os.path.join(root, file) for file in part.pictures['file']], workers
    )
    reasons = [
        size if isinstance(size, str) else mismatch(os.path.join(root, entry['file']), entry, size)
        for entry, size in zip(part.pictures, found)
    ]
    for entry, size, reason in zip(part.pictures, found, reasons):
        if not reason:
            entry['width'], entry['height'] = size
    bad = [reason for reason in reasons if reason]
    if bad and not skip:
        raise InputError(
            f'{len(bad)} of {len(reasons)} {what} pictures cannot be used: {"; ".join(bad[:NAMED])}'
            f'{"; ..." * (len(bad) > NAMED)} (--skip_missing leaves them out)'
        )
    good = records.keep_pictures(part, np.array([not reason for reason in reasons], bool))
    if bad:
        print(
            f'{what}: left out: {len(part.people) - len(good.people)} people on {len(bad)} pictures',
            *bad[:NAMED],
            *['...'] * (len(bad) > NAMED),
            sep='\n  ',
        )
    return good


def mismatch(path, entry, size):
    """What is wrong with a picture's size, or None."""
    if not entry['width']:
        return None
    reason = size_mismatch(size, (entry['width'], entry['height']), 'annotated as')
    return reason and f'{path}: {reason}'


def write_split(folder, split, people, frames, workers):
    """Writes the three arrays of one split under their temporary names; returns {temporary path: final path}.

    frames: a function of each person, without arguments, that returns their frame.
    """
    n = len(people.file)
    final = {
        kind: os.path.join(folder, arrays.file_name(kind, split))
        for kind in datasets.load('flic').layout
    }
    partial = {kind: files.temporary_path(path) for kind, path in final.items()}
    for kind, (dtype, shape) in datasets.load('flic').layout.items():
        numpy_files.create_npy(partial[kind], dtype, (n,) + shape)
    np.lib.format.open_memmap(partial['joints'], mode='r+')[:] = people.joints_xy
    np.lib.format.open_memmap(partial['people'], mode='r+')[:] = np.rec.fromarrays(
        [people.file, people.torsobox, people.backward, people.row], dtype=flic.PERSON_DTYPE
    )
    jobs = [(partial['x'], i, frames[i : i + ROWS_A_JOB]) for i in range(0, n, ROWS_A_JOB)]
    with pool_of(workers) as pool, progress.bar(n, split, 'img') as bar:
        for done in concurrent.futures.as_completed([pool.submit(write_rows, job) for job in jobs]):
            bar.update(done.result())
    return {partial[kind]: final[kind] for kind in final}


def write_annotated(folder, split, part, dataset):
    """Writes the arrays of one split of a set whose pictures stay where they are; returns {temporary: final path}."""
    written = {}
    for kind, array in zip(('pictures', 'joints', 'people'), part):
        final = os.path.join(folder, arrays.file_name(kind, split, dataset))
        written[files.temporary_path(final)] = final
        with open(files.temporary_path(final), 'wb') as file:
            np.save(file, array)
    return written


def write_arrays(folder, write, facts):
    """Writes both splits, each by write(split) -> {temporary path: final path}, and the manifest, all or nothing.

    facts: what the manifest says beside checksums and id.  Returns the manifest.
    """
    written = {}
    try:
        os.makedirs(folder, exist_ok=True)
        for stale in folders.stale_partials(folder, our_files()):
            os.unlink(stale)
        for split in arrays.SPLITS:
            written.update(write(split))
        manifest = make_manifest(written, facts)
        with contextlib.suppress(
            FileNotFoundError
        ):  # from here until the new one: no finished arrays
            os.unlink(os.path.join(folder, arrays.MANIFEST))
        for partial, path in written.items():
            os.replace(partial, path)
        with (
            files.atomic_write(os.path.join(folder, arrays.MANIFEST)) as path,
            open(path, 'w', encoding='utf-8') as file,
        ):
            json.dump(manifest, file, indent=1)
    except OSError as error:
        raise InputError(
            f'{error.filename or folder}: cannot be written: {error.strerror}'
        ) from error
    finally:
        for partial in glob.glob(files.temporary_path(os.path.join(glob.escape(folder), '*'))):
            os.unlink(partial)
    return manifest


def former_arrays(folder, source):
    """The manifest of the arrays that new ones of `source` take the place of, None where there are none.

    InputError: they are of another source, or somebody else's manifest.json is there; these would be lost.
    source: the data set's name (--dataset), 'own' or 'flic_plus'.
    """
    path = os.path.join(folder, arrays.MANIFEST)
    if not os.path.lexists(path):
        return None
    try:
        manifest = arrays.read_manifest(folder)
    except InputError as error:
        raise InputError(
            f"--out {folder}: {arrays.MANIFEST} would be lost, which is none of data.py's: name another "
            f'folder, or remove it ({error})'
        ) from error
    there = manifest['settings'].get('source', manifest['dataset'])
    if there != source:
        raise InputError(
            f'--out {folder}: holds the arrays of {there}, which would be lost: name another folder'
        )
    return manifest


def replaces(former, manifest):
    """What to say of the arrays that new ones took the place of; '' where there were none, or equal ones."""
    if not former or former['id'] == manifest['id']:
        return ''
    train, test = (former['counts'][split] for split in arrays.SPLITS)
    return f'; they replace {former["id"]} of {train} train and {test} test people'


def make_manifest(written, facts):
    """Facts and checksums; `id` names this content: equal arrays have equal ids."""
    checksums = {
        os.path.basename(path): files.checksum(partial) for partial, path in written.items()
    }
    id_ = f'{binascii.crc32(json.dumps(checksums, sort_keys=True).encode()):08x}'
    return {
        'id': id_,
        'created': datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds'),
        **facts,
        'checksums': checksums,
        'spots': {
            os.path.basename(path): files.sampled_checksum(partial)
            for partial, path in written.items()
        },
    }


def select(people, which):
    return type(people)(*(field[which] for field in people))


def report(people, custom=False):
    """The counts that a reader can check against FLIC's; custom: the people are not FLIC's, which has two frames in
    both splits."""
    joints_xy = people.joints_xy[:, : flic.N_JOINTS]
    labelled = flic.visibility(joints_xy) > 0
    outside = labelled & (flic.clamp_to_frame(joints_xy) != joints_xy).any(axis=2)
    lines = []
    for split in arrays.SPLITS:
        one = select(people, people.split == split)
        lines.append(
            f'{split:<6}{len(one.file):6d} people on {len(set(one.file))} frames, '
            f'{one.backward.sum()} backward-facing (sides swapped)' + named(one.file[one.backward])
        )
    lines.append(
        f'joints outside the frame, clamped in the heat maps: {outside.sum()} '
        f'({outside.any(axis=1).sum()} people)'
    )
    if not labelled.all():
        lines.append(
            'joints without label: '
            + ', '.join(
                f'{n} {coco_name(joint)}'
                for joint, n in zip(flic.JOINTS, (~labelled).sum(axis=0))
                if n
            )
        )
    pairs = overlap.pictures_in_both(
        *(people.picture[people.split == split] for split in arrays.SPLITS)
    )
    lines.append(overlap.report(pairs, MOST_NAMED))
    lines += overlap.warning(pairs) if custom else []
    lines += doubtful_sides(
        {split: people.backward[people.split == split] for split in arrays.SPLITS}
    )
    return '\n'.join(lines)


def named(files_):
    """': a.jpg, b.jpg, ...': the first few; '' of none."""
    return ': ' * bool(len(files_)) + ', '.join(files_[:NAMED]) + ', ...' * (len(files_) > NAMED)


def doubtful_sides(backward):
    """{split: bool [n], who is seen from behind} -> [a line, if nearly all of a split are], else [].

    A file that calls the picture's left left looks like that.
    """
    doubtful = [
        f'{seen_from_behind.sum()} of {len(seen_from_behind)} {split}'
        for split, seen_from_behind in backward.items()
        if len(seen_from_behind) >= NAMED and seen_from_behind.mean() > NEARLY_ALL
    ]
    if not doubtful:
        return []
    return [
        f'look at the labels: {" and ".join(doubtful)} people seem to be seen from behind. If they are not, their '
        'labels call the picture\'s left "left"; it must be the person\'s own (exchange the names of the joints)'
    ]


def report_annotated(splits, data_set, root):
    """The counts that a reader can check against the set's; root: the pictures' folder."""
    lines = []
    for split, part in splits.items():
        visible, crowd = part.people['visible'], part.people['crowd']
        lines.append(
            f'{split:<6}{len(part.people):7d} people ({visible.any(axis=1).sum()} with joints) on '
            f'{len(part.pictures)} pictures; joints: {(visible == 2).sum()} visible, {(visible == 1).sum()} '
            f'hidden, {(visible[~crowd] == 0).sum()} without label'
        )
    paths = [
        [os.path.join(root, file) for file in splits[split].pictures['file']]
        for split in arrays.SPLITS
    ]
    pairs = overlap.pictures_in_both(*paths)
    lines += [overlap.report(pairs, MOST_NAMED), *overlap.warning(pairs)]
    backward = {}
    for split, part in splits.items():
        labelled = data_set.torso_labelled(part.people['visible'])
        backward[split] = data_set.faces_backward(part.joints[labelled])
    return '\n'.join(lines + doubtful_sides(backward))


def parse_options():
    parser = cli.Parser(description=__doc__)
    parser.add_argument(
        '--dataset',
        choices=datasets.readers(),
        default='flic',
        help='data set; PARSE has the form of LSP: '
        'main.py --dataset lsp --data arrays_parse (default: %(default)s)',
    )
    parser.add_argument(
        '--meta',
        nargs='+',
        metavar='FILE',
        help='annotation files; MPII and COCO: training and test; '
        'LSP: several are joined (default: FLIC/examples.mat)',
    )
    parser.add_argument(
        '--coco',
        nargs='+',
        metavar='FILE',
        help='custom data in place of --meta: COCO key points, '
        'cropped like FLIC; one file, or training and test',
    )
    parser.add_argument(
        '--rows',
        metavar='FILE',
        help='FLIC-plus: tr_plus_indices.mat, the rows of --meta (FLIC-full) '
        'to train on, counted from 1',
    )
    parser.add_argument(
        '--test',
        metavar='FILE',
        help='FLIC-plus: examples.mat of FLIC for the test split; --images: '
        'the folders of FLIC-full and of FLIC',
    )
    parser.add_argument(
        '--images',
        nargs='+',
        metavar='FOLDER',
        help='image folder, one per FILE or one for all (default: FLIC/images)',
    )
    parser.add_argument(
        '--out',
        metavar='FOLDER',
        help='output folder (default: arrays for FLIC; arrays_lsp, '
        'arrays_parse, arrays_mpii, arrays_coco; arrays_own with --coco, arrays_plus with --rows)',
    )
    parser.add_argument(
        '--synthetic',
        type=cli.positive_int,
        metavar='N',
        help='draw N people in the format of the data set into OUT/synthetic_SET and use them',
    )
    parser.add_argument(
        '--seed',
        type=cli.nonnegative_int,
        default=0,
        help='seed of --synthetic (default: %(default)s)',
    )
    parser.add_argument(
        '--skip_missing',
        action='store_true',
        help='leave out people on missing or damaged pictures, and list them',
    )
    parser.add_argument(
        '--workers',
        type=cli.positive_int,
        default=len(os.sched_getaffinity(0)),
        help='number of processes that decode pictures (default: all cores, here %(default)s)',
    )
    options = parser.parse_args()
    data_set = datasets.load(datasets.readers()[options.dataset])
    kind = 'own' if options.coco else 'plus' if options.rows else options.dataset
    options.out = options.out or arrays.default_folder(kind)
    if options.coco and (
        options.meta or options.synthetic or options.dataset != 'flic' or not options.images
    ):
        parser.error(
            '--coco goes with --images, and without --meta, --synthetic and another --dataset'
        )
    if options.synthetic and (options.meta or options.images):
        parser.error('--synthetic draws --meta and --images itself')
    check_rows(parser, options)
    if options.dataset == 'flic':
        options.meta = options.coco or options.meta or ['FLIC/examples.mat']
        options.images = options.images or ['FLIC/images']
    if not options.synthetic and not (options.meta and options.images):
        parser.error(
            f'--dataset {options.dataset}: give --meta FILE and --images FOLDER, or --synthetic N'
        )
    if options.rows:
        options.meta = [*options.meta, options.test]
    n = len(options.meta or ())
    most = 2 if options.coco or options.rows else data_set.max_annotation_files or n
    if n > most or len(options.images or ()) not in (0, 1, n):
        parser.error(
            f'--meta takes up to {most} FILE, --images one FOLDER per FILE or one for all; got {n} and '
            f'{len(options.images)}'
        )
    return options


def check_rows(parser, options):
    """--rows and --test name two parts of one data set."""
    if bool(options.rows) != bool(options.test):
        parser.error(
            '--rows and --test go together: --rows tr_plus_indices.mat --test FLIC/examples.mat'
        )
    if options.rows and (
        options.coco or options.synthetic or options.dataset != 'flic' or not options.meta
    ):
        parser.error(
            '--rows and --test go with --meta FLIC-full/examples.mat, and without --coco, --synthetic and '
            'another --dataset'
        )


def sources(options):
    """(paths of annotations, folders of pictures, one for each): those given, or drawn ones."""
    if not options.synthetic:
        return options.meta, options.images * (len(options.meta) // len(options.images))
    name = datasets.readers()[options.dataset]
    folder = os.path.join(options.out, f'synthetic_{name.upper()}')
    return datasets.load(name).write_synthetic(folder, options.synthetic, options.seed)


def main():
    options = parse_options()
    with folders.locked(options.out, '--out'):
        make_arrays(options)


def make_arrays(options):
    source = 'own' if options.coco else 'flic_plus' if options.rows else options.dataset
    former = former_arrays(options.out, source)
    metas, images = sources(options)
    settings = {
        'meta': ' '.join(map(os.path.basename, metas)),
        'synthetic': options.synthetic,
        'seed': options.seed,
        'skip_missing': options.skip_missing,
        **({'source': source} if source != 'flic' else {}),
        **({'rows': os.path.basename(options.rows)} if options.rows else {}),
    }
    data_set = datasets.load(datasets.readers()[options.dataset])
    make = make_annotated if data_set.frame_size is None else make_frames
    manifest = make(metas, images, options, settings)
    size = sum(os.path.getsize(os.path.join(options.out, file)) for file in manifest['checksums'])
    print(
        f'{options.out}: arrays {manifest["id"]}, {size / 1e9:.2f} GB{replaces(former, manifest)}'
    )


def make_frames(metas, images, options, settings):
    """FLIC's arrays, of FLIC or of people of one's own; returns their manifest."""
    if options.coco:
        people, frames = custom.read(metas, images)
    else:
        people = read_flic(options, metas, images)
        frames = [functools.partial(decode, path) for path in people.picture.tolist()]
    if options.skip_missing:
        reasons = in_parallel(error_or_none, frames, options.workers)
        bad = sorted(set(filter(None, reasons)))
        print(
            f'left out: {sum(map(bool, reasons))} people on {len(bad)} pictures', *bad, sep='\n  '
        )
        people = select(people, np.array([not reason for reason in reasons], bool))
        frames = [frame for frame, reason in zip(frames, reasons) if not reason]
    check_both(
        {split: (people.split == split).sum() for split in arrays.SPLITS},
        metas,
        tenths=bool(options.coco),
    )
    print(report(people, custom=bool(options.coco)))
    check_space(options.out, len(people.file))
    facts = {
        'dataset': 'flic',
        'settings': settings,
        'counts': {split: int((people.split == split).sum()) for split in arrays.SPLITS},
    }
    return write_arrays(
        options.out,
        lambda split: write_split(
            options.out,
            split,
            select(people, people.split == split),
            [frame for frame, its in zip(frames, people.split) if its == split],
            options.workers,
        ),
        facts,
    )


def read_flic(options, metas, images):
    """flic.Annotations of FLIC, or of FLIC-plus and FLIC's test people; pictures with their paths."""
    if options.rows:
        people = flic_plus.read(metas[0], options.rows, metas[1])
    else:
        people = flic.read_annotations(metas[0])
        people = select(people, people.split != '')
    folders = {'train': images[0], 'test': images[-1]}
    paths = [os.path.join(folders[split], file) for split, file in zip(people.split, people.file)]
    return people._replace(picture=np.array(paths))


def check_space(folder, n):
    """Says how large the arrays of n people in FLIC's frames become; refuses what the disk has no room for."""
    bytes_each = sum(
        dtype.itemsize * int(np.prod(shape))
        for dtype, shape in datasets.load('flic').layout.values()
    )
    existing = os.path.abspath(folder)
    while not os.path.isdir(existing):
        existing = os.path.dirname(existing)
    need, free = n * bytes_each, shutil.disk_usage(existing).free
    print(
        f'{folder}: {need / 1e9:.2f} GB will be written; {free / 1e9:.1f} GB are free', flush=True
    )
    if need > free:
        raise InputError(
            f'--out {folder}: {need / 1e9:.1f} GB are needed, but {free / 1e9:.1f} GB are free: name a '
            'folder on another disk'
        )


def make_annotated(metas, images, options, settings):
    """The arrays of a set whose pictures stay where they are; returns their manifest."""
    name = datasets.readers()[options.dataset]
    data_set = datasets.load(name)
    root, splits = data_set.read(metas, images)
    splits = {
        split: check_pictures(part, root, options.workers, options.skip_missing, split)
        for split, part in splits.items()
    }
    check_both(
        {split: part.people['visible'].any(axis=1).sum() for split, part in splits.items()},
        metas,
        tenths=data_set.tenth_is_test,
    )
    for part in splits.values():
        data_set.check_joints(part.joints, metas[0])
    print(report_annotated(splits, data_set, root))
    for part in splits.values():
        for line in data_set.label_warnings(part):
            print(line)
    facts = {
        'dataset': name,
        'settings': settings,
        'images': root,
        'counts': {split: len(part.people) for split, part in splits.items()},
        'pictures': {split: len(part.pictures) for split, part in splits.items()},
    }
    return write_arrays(
        options.out, lambda split: write_annotated(options.out, split, splits[split], name), facts
    )


def check_both(counts, metas, tenths):
    """counts: {split: people with joints}; tenths: whether of one file every tenth picture is a test one."""
    if not counts['train']:
        raise InputError(f'{metas[0]}: no train people')
    if not counts['test']:
        hint = ': of one file every tenth picture is for testing, from the second on: give two files, training and test'
        raise InputError(f'{metas[-1]}: no test people' + hint * (tenths and len(metas) == 1))


if __name__ == '__main__':
    cli.run_script(main)
