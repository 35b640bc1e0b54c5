"""Evaluates predicted joints; takes seconds and needs no TensorFlow.

    python evaluate.py predictions.mat                                          what main.py wrote
    python evaluate.py cpm.mat hrnet.mat                                        several, side by side
    python evaluate.py --predictions NewellARXIV16.mat --normaliser torsobox    another system's file

The truth is read from the arrays of data.py (--data): pixel coordinates, not heat maps.  For LSP,
MPII and COCO the tables of their publications are printed (jointpose/metrics/), for key points of
your own PCK by key point.  For FLIC a Markdown table is printed, and `curves.png` and `curves.csv`
are written (see --out).  The rest of this text is about FLIC.

The detection rate of a joint at radius r is the share of people, in %, with 100 * |p - g| /
|normaliser| <= r, where p is the prediction and g the truth.  The normaliser is a vector of each
person:
    lhip-rsho   from right shoulder to left hip, as in the paper (Tompson et al. 2014)
    lsho-rhip   from right hip to left shoulder, as in the public implementation of the paper
    torsobox    the diagonal of the annotated torso box; published as PCK@0.2 at radius 20
AUC is the exact area under this rate over the radii 0..20, in % of the full area: 100 * mean(max(0,
1 - error / 20)). `shoulder`, `elbow`, `wrist` and `hip` are the means of left and right; the last
row is the mean over all joints. `--intervals` adds a table of bootstrap 95 % intervals, over people
and over films (the file name without its last number); with several models another one, of how much
higher the last one's rates are.  Both models have the same people in each draw.

Sides.  In the arrays, left and right of people seen from behind are swapped: "left" is always the
joint on the right of the picture.  `--sides swapped` evaluates against that, and is the default for
predictions.mat; `annotated` evaluates against the annotation, as farrajota/human-pose-benchmark
does, and is the default for --predictions.  The papers of CPM and stacked hourglasses swap the
sides, too.  The normaliser is computed from the same sides.  Neither default suits all systems:
some predict the person's own left, others the observer's.  For another system's file, a line says
how many people it has one way and the other.

predictions.mat holds `flic_pred_pd` (part detector) and, if trained with it, `flic_pred_sm` (joint
model), both 2 x 9 x n: x then y in pixels, joints in the order of flic.JOINTS.
evaluation/predictions.py describes its other variables.
"""

if __name__ == '__main__':
    import jointpose.utils.startup  # noqa: F401

import sys

from jointpose import datasets
from jointpose.datasets.arrays import default_folder, load_array, load_split, read_manifest
from jointpose.datasets.flic import JOINTS
from jointpose.evaluation import coco_results, other_systems, predictions, rate_curves
from jointpose.evaluation.detection_rates import (
    NORMALISERS,
    SIDES,
    headline_groups,
    rate_table,
    read_truth,
    score,
    unlabelled,
)
from jointpose.metrics import intervals
from jointpose.metrics.interval_tables import difference_table, interval_table
from jointpose.metrics.key_points import MAX_RADIUS, errors_in_units
from jointpose.metrics.tables import as_text, kind_groups
from jointpose.utils import outputs
from jointpose.utils.cli import Parser, run_script
from jointpose.utils.counts import counted
from jointpose.utils.errors import InputError
from jointpose.utils.terminal import printable

RATE_OPTIONS = (  # for data sets with rate curves only
    'out',
    'normaliser',
    'sides',
    'predictions',
    'joints',
    'key',
)
INTERVAL_RADII = (10, 20)  # of FLIC


def parse_options():
    parser = Parser(description=__doc__)
    parser.add_argument(
        'predictions_mat',
        nargs='*',
        metavar='predictions.mat',
        help='what main.py wrote; several files about the same people give one table',
    )
    parser.add_argument(
        '--data',
        metavar='FOLDER',
        help='arrays of data.py (default: arrays for FLIC, arrays_lsp, arrays_mpii, '
        'arrays_coco or arrays_own)',
    )
    parser.add_argument(
        '--out',
        default='curves',
        metavar='STEM',
        help='writes STEM.png and STEM.csv (default: %(default)s)',
    )
    parser.add_argument(
        '--normaliser',
        choices=NORMALISERS,
        default=NORMALISERS[0],
        help='the length that errors are in %% of (default: %(default)s)',
    )
    parser.add_argument(
        '--sides',
        choices=SIDES,
        help='left and right of people seen from behind '
        '(default: swapped for predictions.mat, annotated for --predictions)',
    )
    parser.add_argument(
        '--intervals',
        action='store_true',
        help='also print 95 %% intervals of the rates, and of the differences between models: '
        'bootstrap over people, for FLIC also over films',
    )
    add_third_party(parser)
    options = parser.parse_args()
    if bool(options.predictions_mat) == (options.predictions is not None):
        parser.error('give either predictions.mat or --predictions FILE')
    if options.predictions is None and (options.joints or options.key is not None):
        parser.error('--joints and --key go with --predictions')
    options.given_rate_options = [
        name for name in RATE_OPTIONS if getattr(options, name) != parser.get_default(name)
    ]
    default_joints = other_systems.joint_names(other_systems.FLIC_FILE_JOINTS)
    options.joints = options.joints or default_joints
    options.sides = options.sides or SIDES[options.predictions is not None]
    return options


def add_third_party(parser):
    """Options on another system's file."""
    third_party = parser.add_argument_group(
        "another system's predictions of the test people, in the order of examples.mat"
    )
    third_party.add_argument(
        '--predictions',
        metavar='FILE',
        help='.mat or .npz; axes (x y, joints, people) in any order',
    )
    third_party.add_argument(
        '--joints',
        type=other_systems.joint_names,
        help="the file's joints in order, comma-separated; names other than FLIC's joints "
        f'are ignored (default: {other_systems.FLIC_FILE_JOINTS})',
    )
    third_party.add_argument(
        '--key', help='its variable (default: `pred`, or the only numeric one with 3 axes)'
    )


def main():
    options = parse_options()
    paths = options.predictions_mat
    dataset = 'flic' if options.predictions else predictions.dataset_of(paths[0])
    options.data = options.data or default_folder(dataset)
    manifest = read_manifest(options.data)
    data_set = datasets.of_manifest(manifest)
    if data_set.has_rate_curves:
        evaluate_rates(options, manifest)
        return
    if options.given_rate_options:
        raise InputError(
            f'--{options.given_rate_options[0]} goes with FLIC, but {options.data} holds {data_set.name}'
        )
    if data_set.multi_person:
        evaluate_pictures(options, manifest, data_set)
    else:
        evaluate_people(options, manifest, data_set)


def evaluate_people(options, manifest, data_set):
    """Prints the tables of joints of annotated people: PCK, PCKh, PCP."""
    found = predictions.read_all(options.predictions_mat, manifest)
    split = load_split(options.data, found.split, manifest)
    people = split.people[found.rows]
    truth_xy = split.joints[found.rows]
    tables = data_set.tables(found.models, truth_xy, people)
    print(f'{found.split} split, {data_set.counted(len(found.rows))}\n')
    print_tables(tables)
    if options.intervals:
        errors = {}
        for model, pred_xy in found.models.items():
            errors[model] = errors_in_units(pred_xy, truth_xy, people['visible'], people['unit'])
        radii = [data_set.hit_radius]
        print(f'\n{data_set.rate_name.partition("@")[0]} with intervals:')
        print_intervals(errors, radii, kind_groups(data_set), {'over people': None})
        print(about_intervals(data_set.counted(len(found.rows))))


def evaluate_pictures(options, manifest, data_set):
    """Prints the tables of all people found in the test pictures: average precision."""
    path, *others = options.predictions_mat
    if others:
        raise InputError(f'{others[0]}: of {data_set.name}, one file at a time is evaluated')
    if options.intervals:
        raise InputError(f'--intervals is for rates of joints, and {data_set.name} has none')
    pictures = load_array(options.data, 'pictures', 'test', manifest)
    split = load_split(options.data, 'test', manifest)
    results = coco_results.read(path, pictures, len(data_set.joints))
    n_without = len(pictures) - len({result['image_id'] for result in results})
    tables = data_set.result_tables(pictures, split, results)
    print(f'test split, {counted(len(pictures), "picture")}, {n_without} of them without results\n')
    print_tables(tables)


def print_tables(tables):
    print('\n\n'.join(map(as_text, tables)))


def evaluate_rates(options, manifest):
    """Prints FLIC's table of detection rates and writes their curves."""
    is_third_party = options.predictions is not None
    if is_third_party:
        n_people = manifest['counts']['test']
        found = other_systems.read(options.predictions, options.key, options.joints, n_people)
    else:
        found = predictions.read_all(options.predictions_mat, manifest)
    replaced = check_outputs(options)  # before anything is printed
    truth = read_truth(options.data, manifest, found.split, options.sides)
    errors = score(found, truth, options.normaliser)

    print(rate_table(errors, found.joints, options.normaliser, options.sides))
    print(
        f'\n{found.split} split; @r: detection rate in % at radius r; AUC: exact area under it, '
        f'radii 0..{MAX_RADIUS}, %'
    )
    if options.intervals:
        films = truth.films[found.rows]
        clusters = {'over people': None, 'over films': films}
        print_intervals(errors, INTERVAL_RADII, headline_groups(found.joints), clusters)
        drawn = f'{counted(len(films), "person")} and over {counted(len(set(films)), "film")}'
        print(about_intervals(drawn))
    print_remarks(found, errors)
    if is_third_party:
        print_sides(options, manifest, found)

    curves = rate_curves.rate_curves(errors, found.joints)
    n_people = len(found.rows)
    title = f'{found.split} split, {counted(n_people, "person")}, sides {options.sides}'
    rate_curves.write_csv(f'{options.out}.csv', curves, n_people, options.normaliser, options.sides)
    rate_curves.plot(f'{options.out}.png', curves, title, options.normaliser)
    print(f'curves: {options.out}.png, {options.out}.csv')
    if replaced:
        note = f'note: they replace those {replaced}; choose other names with --out'
        print(printable(note), file=sys.stderr)


def check_outputs(options):
    """Raises InputError if a file of --out would be lost that evaluate.py did not write.

    Returns what the files that will be replaced are, in words; '' if there are none.
    """
    csv_mark = ','.join(rate_curves.CSV_HEADER).encode()
    replaced = []
    for ending, mark in (('.csv', csv_mark), ('.png', rate_curves.FIGURE_MARK)):
        replaced.append(
            outputs.check_destination(
                f'{options.out}{ending}', '--out', outputs.describe_by_date(mark)
            )
        )
    return max(replaced)


def print_intervals(errors, radii, groups, clusters):
    """Prints the rates with intervals and, of several models, the differences at the first radius."""
    print(f'\n{interval_table(errors, radii, groups, clusters)}\n')
    if len(errors) > 1:
        print(f'{difference_table(errors, radii[0], groups, clusters)}\n')


def about_intervals(drawn: str) -> str:
    """What the intervals are, over so many people or films."""
    return (
        f'{intervals.LEVEL} % intervals: bootstrap over {drawn}, {intervals.DRAWS} draws each; '
        'they do not include the variation between training seeds'
    )


def print_remarks(found, errors):
    """Prints how the joints were found, and which are not counted."""
    if found.how:
        print(f'found with {found.how}')
    if without := unlabelled(errors, found.joints):
        print(f'without label, not counted: {without}')
    if absent := [joint for joint in JOINTS if joint not in found.joints]:
        print(f'not predicted, left out: {", ".join(absent)}')


def print_sides(options, manifest, found):
    """Prints how many people seen from behind have the sides of the annotation."""
    truths = {side: read_truth(options.data, manifest, 'test', side) for side in SIDES}
    own, other = other_systems.count_side_conventions(found, truths)
    print(
        f'of {counted(own + other, "person")} seen from behind, {own} have left and right as annotated '
        f"(the person's own), {other} the other way (the observer's); scored with --sides "
        f'{options.sides}'
    )


if __name__ == '__main__':
    run_script(main)
