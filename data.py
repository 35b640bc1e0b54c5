r"""Makes the arrays that training reads from a data set's annotations and pictures.

    python data.py --meta FLIC/examples.mat --images FLIC/images            # -> arrays; the defaults
    python data.py --synthetic 400 --out arrays_drawn                        # no FLIC at hand: draws 400 people
    python data.py --dataset lsp --meta lsp/joints.mat lspet/joints.mat --images lsp/images lspet/images   # arrays_lsp
    python data.py --dataset parse --meta parse/labels.mat --images parse        # -> arrays_parse
    python data.py --dataset mpii --meta train.json valid.json --images mpii/images      # -> arrays_mpii
    python data.py --dataset coco --meta person_keypoints_{train,val}2017.json --images {train,val}2017
    python data.py --coco annotations.json --images DIR               # custom data -> arrays_own
    python data.py --coco annotations.json --images DIR --skeleton    # the file's own key points -> arrays_own
    python data.py --meta FLIC-full/examples.mat --rows tr_plus_indices.mat --test FLIC/examples.mat \
        --images FLIC-full/images FLIC/images                               # FLIC-plus -> arrays_plus

FLIC and custom data: the frames have one size and become one array (FLIC: 5 GB), which is read
frame by frame.  Left and right of people seen from behind (shoulders and hips both crossed) are
swapped, so "left" is always on the picture's right: labels are observer-centric.  These people are
counted and named.  In heat maps, a joint outside the frame moves to the nearest cell.

Other data sets: the pictures stay where they are, and must stay there.  Each is decoded once to
check it, and again for each use.

Joints are written in pixels.  Arrays appear under their final names when all are complete.  Arrays
of the same source are replaced, with a note; those of another source, and another program's
manifest.json, never.

datasets/{flic,lsp,mpii,coco,custom,own}.py describe what is read of each data set and who the test
people are; datasets/arrays.py describes the arrays.
"""

if __name__ == '__main__':
    import jointpose.utils.startup  # noqa: F401

import argparse
import functools
import os

import numpy as np

from jointpose import datasets
from jointpose.annotations import overlap
from jointpose.datasets import array_writer, arrays, custom, flic, flic_plus, own, records
from jointpose.media.images import read_image, size_mismatch
from jointpose.utils import cli, folders, progress
from jointpose.utils.counts import counted
from jointpose.utils.errors import InputError
from jointpose.vision import crops
from jointpose.vision.joints import coco_name

MAX_NAMED = 5  # pictures that are listed where there are many
MAX_NAMED_OVERLAP = 20  # pictures in both splits that are listed
NEARLY_ALL = 0.8  # if more people are seen from behind, the labels are probably wrong


def parse_options():
    parser = cli.Parser(description=__doc__)
    add_source(parser)
    add_key_points(parser)
    add_flic_plus(parser)
    add_drawing(parser)
    add_output(parser)
    options = parser.parse_args()
    check_options(parser, options)
    return options


def add_source(parser):
    group = parser.add_argument_group('annotations and pictures')
    group.add_argument(
        '--dataset',
        choices=datasets.readers(),
        default='flic',
        help='data set; PARSE has the form of LSP: main.py --dataset lsp --data arrays_parse '
        '(default: %(default)s)',
    )
    group.add_argument(
        '--meta',
        nargs='+',
        metavar='FILE',
        help='annotation files; MPII and COCO: training and test; '
        'LSP: several are joined (default: FLIC/examples.mat)',
    )
    group.add_argument(
        '--coco',
        nargs='+',
        metavar='FILE',
        help='custom data in place of --meta: COCO key points, '
        'cropped like FLIC; one file, or training and test',
    )
    group.add_argument(
        '--images',
        nargs='+',
        metavar='FOLDER',
        help='image folder, one per FILE or one for all (default: FLIC/images)',
    )


def add_key_points(parser):
    group = parser.add_argument_group('own key points')
    group.add_argument(
        '--skeleton',
        action='store_true',
        help="with --coco or --synthetic: the file's own key points, of animals, hands, tools ..., "
        'not those of FLIC',
    )
    group.add_argument(
        '--category',
        metavar='NAME',
        help="with --skeleton: the file's category to read (default: the only one with key points)",
    )
    group.add_argument(
        '--flip_pairs',
        nargs='*',
        type=flip_pair,
        metavar='LEFT:RIGHT',
        help='with --skeleton: key points that change places in a mirrored picture; no value: none '
        '(default: by names, such as left_paw and right_paw, Paw.L and Paw.R)',
    )
    group.add_argument(
        '--normaliser',
        nargs=2,
        metavar=('A', 'B'),
        help='with --skeleton: errors are in units of the distance from key point A to B (default: '
        "of the root of the box's area)",
    )


def add_flic_plus(parser):
    group = parser.add_argument_group('FLIC-plus')
    group.add_argument(
        '--rows',
        metavar='FILE',
        help='FLIC-plus: tr_plus_indices.mat, the rows of --meta (FLIC-full) '
        'to train on, counted from 1',
    )
    group.add_argument(
        '--test',
        metavar='FILE',
        help='FLIC-plus: examples.mat of FLIC for the test split; --images: the folders of '
        'FLIC-full and of FLIC',
    )


def add_drawing(parser):
    group = parser.add_argument_group('drawn data')
    group.add_argument(
        '--synthetic',
        type=cli.positive_int,
        metavar='N',
        help='draw N people in the format of the data set into OUT/synthetic_SET and use them; '
        'with --skeleton beasts with 12 key points',
    )
    group.add_argument(
        '--seed',
        type=cli.nonnegative_int,
        default=0,
        help='seed of --synthetic (default: %(default)s)',
    )


def add_output(parser):
    group = parser.add_argument_group('output')
    group.add_argument(
        '--out',
        metavar='FOLDER',
        help='output folder (default: arrays for FLIC; arrays_lsp, '
        'arrays_parse, arrays_mpii, arrays_coco; arrays_own with --coco or --skeleton, arrays_plus '
        'with --rows)',
    )
    group.add_argument(
        '--skip_missing',
        action='store_true',
        help='leave out people on missing or damaged pictures, and list them',
    )
    group.add_argument(
        '--workers',
        type=cli.positive_int,
        default=len(os.sched_getaffinity(0)),
        help='number of processes that decode pictures (default: all cores, here %(default)s)',
    )


def flip_pair(text):
    """argparse type: LEFT:RIGHT, two names of key points."""
    left, _, right = text.partition(':')
    if not left or not right:
        raise argparse.ArgumentTypeError(
            f'must be LEFT:RIGHT, two key points with a colon between them, got {text!r}'
        )
    return left, right


def check_options(parser, options):
    """Fills in defaults that depend on other options; an error for options that contradict each other."""
    check_source(parser, options)
    if options.skeleton:
        options.dataset = 'own'
        options.meta = options.coco
    data_set = datasets.load(datasets.readers()[options.dataset])
    source = options.dataset
    if options.coco:
        source = 'own'
    elif options.rows:
        source = 'plus'
    options.out = options.out or arrays.default_folder(source)
    if options.dataset == 'flic':
        options.meta = options.coco or options.meta or ['FLIC/examples.mat']
        options.images = options.images or ['FLIC/images']
    if not options.synthetic and not (options.meta and options.images):
        parser.error(
            f'--dataset {options.dataset}: give --meta FILE and --images FOLDER, or --synthetic N'
        )
    if options.rows:
        options.meta = [*options.meta, options.test]

    n_files = len(options.meta or ())
    n_folders = len(options.images or ())
    max_files = data_set.max_annotation_files or n_files
    if options.coco or options.rows:
        max_files = 2
    if n_files > max_files or n_folders not in (0, 1, n_files):
        parser.error(
            f'--meta takes up to {max_files} FILE, --images one FOLDER per FILE or one for all; got '
            f'{n_files} and {n_folders}'
        )


def check_source(parser, options):
    """An error for options that name several sources, or half of one."""
    is_flic = options.dataset == 'flic'
    options.skeleton = options.skeleton or options.dataset == 'own'
    for name in ('category', 'flip_pairs', 'normaliser'):
        if getattr(options, name) is not None and not options.skeleton:
            parser.error(f'--{name} goes with --skeleton')
    if options.skeleton and not (options.coco or options.synthetic):
        parser.error('--skeleton goes with --coco FILE --images FOLDER, or with --synthetic N')
    if options.skeleton and options.dataset not in ('flic', 'own'):
        parser.error(f'--skeleton goes without --dataset {options.dataset}')
    excludes_coco = options.meta or options.synthetic or not options.images
    excludes_coco = excludes_coco or options.dataset not in ('flic', 'own')
    if options.coco and excludes_coco:
        parser.error(
            '--coco goes with --images, and without --meta, --synthetic and another --dataset'
        )
    if options.synthetic and (options.meta or options.images):
        parser.error('--synthetic draws --meta and --images itself')
    if bool(options.rows) != bool(options.test):
        parser.error(
            '--rows and --test go together: --rows tr_plus_indices.mat --test FLIC/examples.mat'
        )
    excludes_rows = options.coco or options.synthetic or not is_flic or not options.meta
    if options.rows and excludes_rows:
        parser.error(
            '--rows and --test go with --meta FLIC-full/examples.mat, and without --coco, '
            '--synthetic and another --dataset'
        )


def main():
    options = parse_options()
    with folders.locked(options.out, '--out'):
        make_arrays(options)


def make_arrays(options):
    """Reads or draws the data set, checks it, prints counts, and writes its arrays."""
    source = options.dataset
    if options.skeleton:
        source = 'own_skeleton'
    elif options.coco:
        source = 'own'
    elif options.rows:
        source = 'flic_plus'
    former = array_writer.former_arrays(options.out, source)
    data_set = datasets.load(datasets.readers()[options.dataset])
    metas, images = annotation_files(options, data_set)
    if options.skeleton:
        data_set = with_skeleton(metas, options)
    settings = settings_of(options, source, metas)
    if data_set.frame_size is None:
        manifest = make_annotated(metas, images, data_set, options, settings)
    else:
        manifest = make_frames(metas, images, options, settings)
    size = sum(os.path.getsize(os.path.join(options.out, file)) for file in manifest['checksums'])
    note = array_writer.replacement_note(former, manifest)
    print(f'{options.out}: arrays {manifest["id"]}, {size / 1e9:.2f} GB{note}')


def with_skeleton(metas, options):
    """Returns the data set of the key points in the first annotation file; prints what they are."""
    normaliser = options.normaliser and tuple(options.normaliser)
    skeleton = own.read_skeleton(metas[0], options.category, options.flip_pairs, normaliser)
    print(own.describe(skeleton))
    return datasets.load('own', skeleton)


def annotation_files(options, data_set):
    """Returns the annotation files and a folder of pictures for each: those given, or drawn ones."""
    if options.synthetic:
        folder = os.path.join(options.out, f'synthetic_{data_set.name.upper()}')
        return data_set.write_synthetic(folder, options.synthetic, options.seed)
    for path in options.meta:
        if not os.path.exists(path):
            option = '--coco' if options.coco else '--meta'
            raise InputError(
                f'{path}: no such file: name the annotation file with {option}, or draw people with '
                '--synthetic N'
            )
    return options.meta, options.images * (len(options.meta) // len(options.images))


def settings_of(options, source, metas):
    """Returns the settings that the manifest holds."""
    settings = {
        'meta': ' '.join(map(os.path.basename, metas)),
        'synthetic': options.synthetic,
        'seed': options.seed,
        'skip_missing': options.skip_missing,
    }
    if source != 'flic':
        settings['source'] = source
    if options.rows:
        settings['rows'] = os.path.basename(options.rows)
    return settings


# --- FLIC, and custom people in its form: frames of one size.


def make_frames(metas, images, options, settings):
    """Makes the arrays of frames of one size; returns their manifest."""
    if options.coco:
        people, frames = custom.read(metas, images)
    else:
        people = read_flic(options, metas, images)
        frames = [functools.partial(decode, path) for path in people.picture.tolist()]
    if options.skip_missing:
        people, frames = skip_unreadable(people, frames, options.workers)
    else:
        check_present(sorted(set(people.picture.tolist())))
    counts = {split: int((people.split == split).sum()) for split in arrays.SPLITS}
    check_counts(counts, metas, tenths=bool(options.coco))
    print(report(people, custom=bool(options.coco)))
    array_writer.check_space(options.out, len(people.file))

    def write(split):
        rows = np.flatnonzero(people.split == split)
        of_split = [frames[row] for row in rows]
        return array_writer.write_frames(
            options.out, split, people.select(rows), of_split, options.workers
        )

    facts = {'dataset': 'flic', 'settings': settings, 'counts': counts}
    return array_writer.write_arrays(options.out, write, facts)


def read_flic(options, metas, images):
    """Reads FLIC, or FLIC-plus and FLIC's test people, as flic.Annotations with the paths of pictures."""
    if options.rows:
        people = flic_plus.read(metas[0], options.rows, metas[1])
    else:
        people = flic.read_annotations(metas[0])
        people = people.select(people.split != '')
    folders = {'train': images[0], 'test': images[-1]}
    paths = [os.path.join(folders[split], file) for split, file in zip(people.split, people.file)]
    return people._replace(picture=np.array(paths))


def decode(path):
    """Decodes one frame: uint8 [480, 720, 3], RGB.  A truncated or corrupt picture is an error."""
    return read_image(path, (flic.WIDTH, flic.HEIGHT))


def skip_unreadable(people, frames, n_workers):
    """Leaves out, and prints, people whose frames cannot be decoded; returns the other people and frames."""
    errors = in_parallel(error_or_none, frames, n_workers)
    bad = sorted(set(filter(None, errors)))
    n_left_out = sum(map(bool, errors))
    print(
        f'left out: {counted(n_left_out, "person")} on {counted(len(bad), "picture")}',
        *bad,
        sep='\n  ',
    )
    kept = [row for row, error in enumerate(errors) if not error]
    return people.select(np.array(kept, int)), [frames[row] for row in kept]


def check_present(paths):
    """InputError if pictures are absent: their number and the first of them, before any is decoded."""
    absent = [path for path in paths if not os.path.isfile(path)]
    if absent:
        raise unusable([f'{path}: No such file' for path in absent], counted(len(paths), 'picture'))


def unusable(bad, pictures):
    """Returns the InputError on bad pictures, a line each, of so many."""
    return InputError(
        f'cannot be used: {len(bad)} of {pictures}: {listed(bad, separator="; ")} '
        '(--skip_missing leaves them out)'
    )


def error_or_none(frame):
    """Returns what is wrong with a picture that `frame` decodes, or None."""
    try:
        frame()
    except InputError as error:
        return str(error)
    return None


def in_parallel(function, jobs, n_workers):
    """Returns a function's results, in the order of the jobs; runs in processes, with a progress bar."""
    with array_writer.worker_pool(n_workers) as pool:
        results = pool.map(function, jobs, chunksize=array_writer.ROWS_A_JOB)
        return list(progress.track(results, len(jobs), 'check', 'img'))


# --- Data sets with pictures of any size.


def make_annotated(metas, images, data_set, options, settings):
    """Makes the arrays of a data set with pictures of any size; returns their manifest."""
    root, splits = data_set.read(metas, images)
    for split, part in splits.items():
        splits[split] = check_pictures(part, root, options.workers, options.skip_missing, split)
    n_labelled = {}
    for split, part in splits.items():
        n_labelled[split] = part.people['visible'].any(axis=1).sum()
    check_counts(n_labelled, metas, tenths=data_set.tenth_is_test)
    for part in splits.values():
        data_set.check_joints(part.joints, metas[0])
    print(report_annotated(splits, data_set, root))
    for part in splits.values():
        for line in data_set.label_warnings(part):
            print(line)

    def write(split):
        return array_writer.write_annotated(options.out, split, splits[split], data_set.name)

    facts = {
        'dataset': data_set.name,
        'settings': settings,
        'images': root,
        'counts': {split: len(part.people) for split, part in splits.items()},
        'pictures': {split: len(part.pictures) for split, part in splits.items()},
    }
    if data_set.skeleton:
        facts['skeleton'] = data_set.skeleton.as_json()
    return array_writer.write_arrays(options.out, write, facts)


def check_pictures(part, root, n_workers, skip, split):
    """Decodes every picture once and stores its size; returns the records.Annotated of the good ones.

    Pictures that are absent, damaged or not of the annotated size are left out and listed if
    `skip`, else they are an error.
    """
    paths = [os.path.join(root, file) for file in part.pictures['file']]
    found = in_parallel(size_or_error, paths, n_workers)
    errors = []
    for path, entry, size in zip(paths, part.pictures, found):
        error = size if isinstance(size, str) else mismatch(path, entry, size)
        errors.append(error)
        if not error:
            entry['width'], entry['height'] = size
    is_good = np.array([not error for error in errors], bool)
    bad = [error for error in errors if error]
    if bad and not skip:
        raise unusable(bad, counted(len(errors), f'{split} picture'))
    good = records.keep_pictures(part, is_good)
    if bad:
        n_left_out = len(part.people) - len(good.people)
        print(
            f'{split}: left out: {counted(n_left_out, "person")} on {counted(len(bad), "picture")}'
        )
        print('  ' + listed(bad, separator='\n  '))
    return good


def size_or_error(path):
    """Returns (width, height) of a picture as it is shown, or what is wrong with it."""
    try:
        return read_image(path).shape[1::-1]
    except InputError as error:
        return str(error)


def mismatch(path, entry, size):
    """Returns how a picture's size differs from the annotated one, or None."""
    if not entry['width']:
        return None
    reason = size_mismatch(size, (entry['width'], entry['height']), 'annotated as')
    return reason and f'{path}: {reason}'


# --- Counts and warnings.


def check_counts(counts, metas, tenths):
    """Raises InputError if a split has no people.

    counts: {split: number of labelled people}.  tenths: of a single file, every tenth picture is a
    test one.
    """
    if not counts['train']:
        raise InputError(f'{metas[0]}: no train people')
    if not counts['test']:
        hint = ''
        if tenths and len(metas) == 1:
            hint = (
                ': of one file every tenth picture is for testing, from the second on: give two '
                'files, training and test'
            )
        raise InputError(f'{metas[-1]}: no test people{hint}')


def listed(items, separator=', '):
    """Returns the first MAX_NAMED items in one text, and '...' if there are more."""
    shown = list(items[:MAX_NAMED])
    if len(items) > MAX_NAMED:
        shown.append('...')
    return separator.join(shown)


def report(people, custom=False):
    """Returns the counts of FLIC's people that a reader can check against the README's, and warnings.

    custom: the people are not FLIC's, which itself has two frames in both splits.
    """
    lines = []
    by_split = {split: people.select(people.split == split) for split in arrays.SPLITS}
    for split, part in by_split.items():
        names = part.file[part.backward]
        line = (
            f'{split:<6}{counted(len(part.file), "person"):>13} on {counted(len(set(part.file)), "frame")}, '
            f'{part.backward.sum()} backward-facing (sides swapped)'
        )
        lines.append(f'{line}: {listed(names)}' if len(names) else line)
    lines += report_joints(people.joints_xy[:, : flic.N_JOINTS])
    pairs = overlap.pictures_in_both(*(part.picture for part in by_split.values()))
    lines.append(overlap.report(pairs, MAX_NAMED_OVERLAP))
    if custom:
        lines += overlap.warning(pairs)
    lines += doubtful_sides({split: part.backward for split, part in by_split.items()})
    return '\n'.join(lines)


def report_joints(joints_xy):
    """Returns lines on joints [n, 9, 2] that are outside the frame or unlabelled."""
    is_labelled = crops.visibility(joints_xy) > 0
    is_outside = is_labelled & (flic.clamp_to_frame(joints_xy) != joints_xy).any(axis=2)
    lines = [
        f'joints outside the frame, clamped in the heat maps: {is_outside.sum()} '
        f'({counted(is_outside.any(axis=1).sum(), "person")})'
    ]
    unlabelled = []
    for joint, n in zip(flic.JOINTS, (~is_labelled).sum(axis=0)):
        if n:
            unlabelled.append(f'{n} {coco_name(joint)}')
    if unlabelled:
        lines.append(f'joints without label: {", ".join(unlabelled)}')
    return lines


def report_annotated(splits, data_set, root):
    """Returns the counts of people that a reader can check against the data set's, and warnings.

    splits: {split: records.Annotated}.  root: the folder of the pictures.
    """
    lines = []
    paths = {}
    backward = {}
    for split, part in splits.items():
        visible = part.people['visible']
        of_people = visible[~part.people['crowd']]
        lines.append(
            f'{split:<6}{data_set.counted(len(part.people)):>14} '
            f'({visible.any(axis=1).sum()} with joints) on '
            f'{counted(len(part.pictures), "picture")}; joints: {(visible == 2).sum()} visible, '
            f'{(visible == 1).sum()} hidden, {(of_people == 0).sum()} without label'
        )
        paths[split] = [os.path.join(root, file) for file in part.pictures['file']]
        is_labelled = data_set.torso_labelled(visible)
        backward[split] = data_set.faces_backward(part.joints[is_labelled])
    pairs = overlap.pictures_in_both(paths['train'], paths['test'])
    lines += [overlap.report(pairs, MAX_NAMED_OVERLAP), *overlap.warning(pairs)]
    return '\n'.join(lines + doubtful_sides(backward))


def doubtful_sides(backward):
    """Returns [a line] if nearly all people of a split are seen from behind, else [].

    A file with observer-centric labels looks like that.  backward: {split: bool [n]}.
    """
    doubtful = []
    for split, is_backward in backward.items():
        n = len(is_backward)
        if n >= MAX_NAMED and is_backward.mean() > NEARLY_ALL:
            doubtful.append(f'{is_backward.sum()} of {n} {split}')
    if not doubtful:
        return []
    return [
        f'look at the labels: {" and ".join(doubtful)} people seem to be seen from behind. If they '
        'are not, their labels call the picture\'s left "left"; it must be the person\'s own '
        '(swap the names of the joints)'
    ]


if __name__ == '__main__':
    cli.run_script(main)
