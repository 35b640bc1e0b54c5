"""Measures of predicted joints: seconds, no TensorFlow.

    python evaluate.py predictions.mat                                    what main.py wrote
    python evaluate.py --predictions NewellARXIV16.mat --normaliser torsobox          another system's file

Of LSP, MPII and COCO, where --data holds their arrays, it prints the tables of metrics/tables.py.  Of FLIC, which
all that follows is about, it prints one Markdown table and writes `curves.png` and `curves.csv` (see --out).  The truth
is read from the arrays of data.py (--data): exact pixel coordinates, never heat maps.

Detection rate of joint i at radius r, in %: the share of people with 100 * ||p_i - g_i|| / ||normaliser|| <= r, where p
is the prediction, g the truth, and the normaliser of each person is one of
    lhip-rsho   g_lhip - g_rsho, the measure of the paper (Tompson et al. 2014)
    lsho-rhip   g_lsho - g_rhip, what the public implementation of the paper divides by
    torsobox    the diagonal of the annotated torso box, published as PCK@0.2 at radius 20
AUC is the exact area under that rate over the radii 0..20 in % of the full area: 100 * mean(max(0, 1 - error / 20)).
`shoulder`, `elbow`, `wrist` and `hip` are the means of left and right; the last row is the mean over the joints scored.
`--intervals` adds a table of bootstrap 95 % intervals (metrics/intervals.py), over people and over the films that they
are from: a file's name without its last number.

Sides.  The arrays hold the sides of people seen from behind swapped: "left" is always the joint on the picture's right.
`--sides swapped` scores against that and is the default for predictions.mat; `annotated` scores against the annotation
as it is, as farrajota/human-pose-benchmark does, and is the default for --predictions.  The papers of CPM and stacked
hourglasses swap the sides, too.  The normaliser's joints are of the same truth.  No default is fair to all: some
systems' left is the person's own, others' the observer's.  For another system's file one line says which it looks like.

predictions.mat holds `flic_pred_pd` (part detector) and, if trained with it, `flic_pred_sm` (spatial model), both
2 x 9 x n: x then y in pixels, joints in the order of flic.JOINTS; whose they are, and more, is said in evaluation/predictions.py.
"""

if __name__ == '__main__':
    import jointpose.utils.startup  # noqa: F401

import argparse
import collections
import csv
import itertools
import os
import sys

import numpy as np

from jointpose import datasets
from jointpose.annotations import coco_json
from jointpose.datasets import flic, flic_plus, records
from jointpose.datasets.arrays import (
    default_folder,
    file_name,
    load_array,
    load_split,
    read_manifest,
)
from jointpose.datasets.flic import JOINTS, N_JOINTS, check_joints, swap_sides
from jointpose.evaluation import predictions
from jointpose.metrics import intervals
from jointpose.metrics.key_points import (
    MAX_RADIUS,
    area_under_curve,
    detection_rate,
    normalised_errors,
)
from jointpose.utils import outputs
from jointpose.utils.cli import Parser, closest_name, run_script
from jointpose.utils.errors import InputError
from jointpose.utils.files import atomic_write, load_json
from jointpose.utils.tables import markdown
from jointpose.utils.terminal import printable
from jointpose.vision import joints, palette
from jointpose.vision.joints import side_of

KINDS = {
    'shoulder': ('lsho', 'rsho'),
    'elbow': ('lelb', 'relb'),
    'wrist': ('lwri', 'rwri'),
    'hip': ('lhip', 'rhip'),
    'nose': ('nose',),
}
FLIC_FILE_JOINTS = 'lsho,lelb,lwri,rsho,relb,rwri,lhip,rhip,leye,reye,nose'
NORMALISERS = ('lhip-rsho', 'lsho-rhip', 'torsobox')
SIDES = ('swapped', 'annotated')
LINES = (
    '-',
    '--',
    ':',
    '-.',
    (0, (1, 3)),
    (0, (6, 1, 1, 1, 1, 1)),
)  # of models, from the last to the first
FLICS_OWN = (
    'out',
    'normaliser',
    'sides',
    'intervals',
    'predictions',
    'joints',
    'key',
)  # go with FLIC alone

CSV_HEADER = ['model', 'joint', 'radius', 'rate', 'people', 'normaliser', 'sides']
FIGURE_MARK = b'curves of evaluate.py'

TABLE_RADII = (5, 10, 15, 20)
INTERVAL_RADII = (10, 20)
CURVE_RADII = np.arange(0, MAX_RADIUS + 0.5, 0.5)

# joints_xy [n, 9, 2]; torsobox [n, 4] x1 y1 x2 y2; films [n] str; path of the file of joints.
Truth = collections.namedtuple('Truth', 'joints_xy torsobox films path')


# ---------------------------------------------------------------- the measure


def normaliser_vectors(truth_xy, torsobox, name):
    """[n, 9, 2] pixels, [n, 4] x1 y1 x2 y2, one of NORMALISERS -> float64 [n, 2]."""
    if name == 'torsobox':
        return np.subtract(torsobox[:, 2:], torsobox[:, :2], dtype=np.float64)
    return flic.normaliser(np.asarray(truth_xy, np.float64), name.split('-'))


# ---------------------------------------------------------------- table, numbers, curves


def row_groups(joints):
    """[(label, columns averaged)]: each joint, the kinds whose two sides are there, the mean over all."""
    single = [(joint, [column]) for column, joint in enumerate(joints)]
    kinds = [
        (kind, [joints.index(side) for side in sides])
        for kind, sides in KINDS.items()
        if len(sides) == 2 and set(sides) <= set(joints)
    ]
    return [*single, *kinds, (f'mean of {len(joints)}', list(range(len(joints))))]


def table(errors, joints, normaliser, sides):
    """Markdown table, a row for each of `row_groups`.

    errors: {model name: [n, k]} as of `normalised_errors`; joints: k names.  Each row ends with its recipe.
    """
    header, columns = ['joint'], []
    for model, error in errors.items():
        first, *others = (f'@{radius}' for radius in TABLE_RADII)
        header += [f'{model} {first}', *others, 'AUC']
        columns += [
            *(detection_rate(error, radius) for radius in TABLE_RADII),
            area_under_curve(error),
        ]
    values = np.stack(columns)  # [5 * models, k]
    recipe = [str(len(error)), normaliser, sides]
    body = [
        [label, *(f'{value:.1f}' for value in values[:, group].mean(axis=1)), *recipe]
        for label, group in row_groups(joints)
    ]
    return markdown([*header, 'people', 'normaliser', 'sides'], body)


def headline_groups(joints):
    """Those of `row_groups` that pages quote: the kinds of joints and the mean."""
    *groups, mean = row_groups(joints)
    by_label = dict(groups)
    return [*((kind, by_label[kind]) for kind in KINDS if kind in by_label), mean]


def interval_table(errors, joints, films):
    """Markdown table: headline rates at INTERVAL_RADII with their 95 % intervals over people and over films.

    errors: {model name: [n, k]}; joints: k names; films: [n].
    """
    labels, groups = zip(*headline_groups(joints))
    header, columns = ['joint', 'model'], []
    for radius in INTERVAL_RADII:
        header += [f'@{radius}', 'over people', 'over films']
    for model, error in errors.items():
        cells = [labels, [model] * len(labels)]
        for radius in INTERVAL_RADII:
            rates = detection_rate(error, radius)
            cells.append([f'{rates[group].mean():.1f}' for group in groups])
            for clusters in (None, films):
                cells.append(
                    map(interval_text, intervals.rate_intervals(error, radius, groups, clusters))
                )
        columns += zip(*cells)
    return markdown(header, columns, left=2)


def interval_text(interval):
    """(77.61, 83.98) -> '77.6 to 84.0'; '-' where there is none."""
    low, high = interval
    return '-' if np.isnan(low) else f'{low:.1f} to {high:.1f}'


def curves(errors, joints):
    """{(model, label of row_groups): rates [41] in % at CURVE_RADII}."""
    result = {}
    for model, error in errors.items():
        rates = np.stack([detection_rate(error, radius) for radius in CURVE_RADII])  # [41, k]
        result.update(
            {(model, label): rates[:, group].mean(axis=1) for label, group in row_groups(joints)}
        )
    return result


def write_csv(path, rates, n_people, normaliser, sides):
    """One line per model, row of the table and radius."""
    with atomic_write(path) as partial, open(partial, 'w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(CSV_HEADER)
        for (model, label), curve in rates.items():
            writer.writerows(
                [model, label, radius, f'{rate:.4f}', n_people, normaliser, sides]
                for radius, rate in zip(CURVE_RADII, curve)
            )


def plot(path, rates, title, normaliser):
    """One panel per kind of joint, one for the mean; left and right by colour, models by line style, the last solid."""
    # Imported here: heavy, and who wants only detection_rate needs none of it.
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    models, labels = (list(dict.fromkeys(names)) for names in zip(*rates))
    style = dict(zip(reversed(models), itertools.cycle(LINES)))
    panels = {kind: [side for side in sides if side in labels] for kind, sides in KINDS.items()}
    panels = {kind: sides for kind, sides in [*panels.items(), (labels[-1], labels[-1:])] if sides}
    n_rows = 1 if len(panels) <= 3 else 2
    n_columns = -(-len(panels) // n_rows)
    figure = Figure(
        figsize=(1 + 3.4 * n_columns, 1.4 + 2.9 * n_rows), dpi=120, layout='constrained'
    )
    axes = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axis, (kind, sides) in zip(axes, panels.items()):
        for side, model in itertools.product(sides, models):
            axis.plot(
                CURVE_RADII,
                rates[model, side],
                linestyle=style[model],
                color=_colour(side),
                linewidth=1.8,
            )
        axis.set(
            title=kind,
            xlim=(0, MAX_RADIUS),
            ylim=(0, 101),
            xticks=(0, *TABLE_RADII),
            xlabel=f'radius in % of {normaliser}',
        )
        axis.grid(alpha=0.3)
        axis.tick_params(labelbottom=True)
    for axis in axes[len(panels) :]:
        axis.remove()
    figure.suptitle(title)
    figure.supylabel('detection rate in %')
    drawn = {_colour(side) for sides in panels.values() for side in sides}
    keys = [
        Line2D([], [], color=colour, label=name, linewidth=1.8)
        for name, colour in (
            ('left', palette.SIDE_COLOURS['l']),
            ('right', palette.SIDE_COLOURS['r']),
        )
        if colour in drawn
    ]
    keys += [
        Line2D([], [], color='black', linestyle=style[model], label=written(model), linewidth=1.8)
        for model in models
    ]
    figure.legend(handles=keys, loc='outside lower center', ncols=len(keys), frameon=False)
    with atomic_write(path) as partial:
        figure.savefig(partial, format='png', metadata={'Comment': FIGURE_MARK.decode()})


def written(text):
    """A text as Matplotlib shows it letter by letter: dollars would begin a formula."""
    return printable(text).replace('$', r'\$')


def _colour(label):
    side = side_of(label) if label in JOINTS else ''
    return palette.SIDE_COLOURS[side] if side else 'black'


# ---------------------------------------------------------------- files


def read_truth(folder, manifest, split, sides=SIDES[0]):
    """The true joints of one split, sides as asked, from joints_ and people_{split}_flic.npy."""
    path = os.path.join(folder, file_name('joints', split))
    joints_xy, people = (load_array(folder, kind, split, manifest) for kind in ('joints', 'people'))
    check_joints(joints_xy, path)
    joints_xy = joints_xy[:, :N_JOINTS]  # [n, 9, 2] without the torso
    if sides == 'annotated':
        joints_xy = np.where(people['backward'][:, None, None], swap_sides(joints_xy), joints_xy)
    films = np.array([flic_plus.film_and_frame(file)[0] for file in people['file']])
    return Truth(joints_xy, people['torsobox'], films, path)


def third_party_predictions(path, key, names, n_people):
    """Another system's file as Predictions of all test people, with those of our joints that it predicts.

    names: the file's joints in order, names that are not ours are ignored; a joint at zero throughout is not predicted.
    """
    variables = predictions.load_variables(path)
    pred_xy = orient(variables[find_key(variables, key, path)], len(names), n_people, path)
    joints = tuple(
        joint for joint in JOINTS if joint in names and pred_xy[:, names.index(joint)].any()
    )
    if not joints:
        raise InputError(f'{path}: predicts none of {", ".join(JOINTS)}')
    pred_xy = pred_xy[:, [names.index(joint) for joint in joints]]  # [n, k, 2]
    predictions.check_finite(pred_xy, joints, path)
    model = os.path.splitext(os.path.basename(path))[0]
    return predictions.Predictions({model: pred_xy}, joints, np.arange(n_people), 'test', '')


def find_key(variables, key, path):
    """Which variable holds the predictions: the one asked for, else `pred`, else the only numeric one of 3 axes."""
    numeric = [name for name, value in variables.items() if predictions.is_numeric(value, 3)]
    if key is None:
        key = numeric[0] if len(numeric) == 1 else 'pred'
    if key not in numeric:
        raise InputError(
            f'{path}: `{key}` is no numeric array of 3 axes; it holds {", ".join(numeric) or "none"}'
            ' (choose with --key)'
        )
    return key


def orient(pred, n_joints, n_people, path):
    """Axes of sizes 2, n_joints, n_people in any order -> [n_people, n_joints, 2]."""
    wanted = (n_people, n_joints, 2)
    orders = [
        order
        for order in itertools.permutations(range(3))
        if tuple(pred.shape[i] for i in order) == wanted
    ]
    if len(orders) != 1:
        reason = 'is ambiguous for' if orders else 'does not fit (see --joints)'
        raise InputError(
            f'{path}: shape {pred.shape} {reason} 2 coordinates, {n_joints} joints, {n_people} people'
        )
    return pred.transpose(orders[0])


# ---------------------------------------------------------------- command line


def joint_names(text):
    """argparse type: 'lsho,lelb' -> ('lsho', 'lelb').  Joints that are not ours are allowed, misspelt ones are not."""
    names = tuple(name.strip() for name in text.split(','))
    if '' in names or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f'must be different names, got {text!r}')
    if not set(names) & set(JOINTS):
        raise argparse.ArgumentTypeError(f'must name some of {",".join(JOINTS)}, got {text!r}')
    for name in set(names) - set(JOINTS):
        near = closest_name(name, JOINTS)
        if near and near not in names:
            raise argparse.ArgumentTypeError(
                f'must have the names {",".join(JOINTS)}, got {name!r}; did you mean {near}?'
            )
    return names


def parse_arguments():
    parser = Parser(description=__doc__)
    parser.add_argument(
        'predictions_mat', nargs='?', metavar='predictions.mat', help='what main.py wrote'
    )
    parser.add_argument(
        '--data',
        metavar='FOLDER',
        help='arrays of data.py (default: arrays for FLIC, arrays_lsp, arrays_mpii or arrays_coco)',
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
        help='the length that distances are in %% of (default: %(default)s)',
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
        help='also print 95 %% intervals of the rates at radius '
        '10 and 20: bootstrap over people, and over films',
    )
    third = parser.add_argument_group(
        "another system's predictions of the test people, in the order of examples.mat"
    )
    third.add_argument(
        '--predictions',
        metavar='FILE',
        help='.mat or .npz; axes (x y, joints, people) in any order',
    )
    third.add_argument(
        '--joints',
        type=joint_names,
        help="the file's joints in order, comma-separated; "
        f'names that are not ours are ignored (default: {FLIC_FILE_JOINTS})',
    )
    third.add_argument(
        '--key', help='its variable (default: `pred`, or the only numeric one with 3 axes)'
    )
    args = parser.parse_args()
    if (args.predictions_mat is None) == (args.predictions is None):
        parser.error('give either predictions.mat or --predictions FILE')
    if args.predictions is None and (args.joints or args.key is not None):
        parser.error('--joints and --key go with --predictions')
    args.flics_own = [name for name in FLICS_OWN if getattr(args, name) != parser.get_default(name)]
    args.joints = args.joints or joint_names(FLIC_FILE_JOINTS)
    args.sides = args.sides or SIDES[args.predictions is not None]
    return args


def score(found, truth, normaliser):
    """{model: errors [n, k]} of Predictions; refuses people whose normaliser has no length."""
    truth_xy = truth.joints_xy[found.rows]  # [n, 9, 2]
    vectors = normaliser_vectors(truth_xy, truth.torsobox[found.rows], normaliser)  # [n, 2]
    if not len(vectors):
        raise InputError(f'{truth.path}: nobody to score')
    bad = ~(np.isfinite(vectors).all(axis=1) & vectors.any(axis=1))
    if bad.any():
        row = found.rows[np.argmax(bad)]
        raise InputError(
            f'{truth.path}: sample {row}: its normaliser {normaliser} is zero or not finite'
        )
    truth_xy = truth_xy[:, [JOINTS.index(joint) for joint in found.joints]]  # [n, k, 2]
    return {
        model: normalised_errors(pred_xy, truth_xy, vectors)
        for model, pred_xy in found.models.items()
    }


def unlabelled(errors, joints):
    """'3 lwri, 1 nose': how many people have no label of a joint; '' if all have."""
    missing = np.isnan(next(iter(errors.values()))).sum(axis=0)
    return ', '.join(f'{n} {joint}' for joint, n in zip(joints, missing) if n)


def sides_found(found, truths):
    """How many of those seen from behind a file has as annotated, and how many the other way, by the distance of all
    joints together.  truths: {side: Truth} of SIDES."""
    joints = [JOINTS.index(joint) for joint in found.joints]
    swapped, annotated = (truths[side].joints_xy[found.rows][:, joints] for side in SIDES)
    behind = ((swapped != annotated) & ~np.isnan(swapped)).any(axis=(1, 2))
    (found_xy,) = found.models.values()
    far = [
        np.nansum(np.linalg.norm(found_xy - xy, axis=-1), axis=1)[behind]
        for xy in (annotated, swapped)
    ]
    return int((far[0] < far[1]).sum()), int((far[0] >= far[1]).sum())


def main():
    args = parse_arguments()
    third_party = args.predictions is not None
    path = args.predictions if third_party else args.predictions_mat
    args.data = args.data or default_folder('flic' if third_party else predictions.dataset_of(path))
    manifest = read_manifest(args.data)
    if not datasets.load(manifest['dataset']).has_rate_curves:
        return print_tables(args, manifest, path)
    found = (
        third_party_predictions(path, args.key, args.joints, manifest['counts']['test'])
        if third_party
        else predictions.read(path, manifest)
    )
    former = [
        outputs.check_destination(f'{args.out}{ending}', '--out', outputs.describe_by_date(mark))
        for ending, mark in (('.csv', ','.join(CSV_HEADER).encode()), ('.png', FIGURE_MARK))
    ]
    truth = read_truth(args.data, manifest, found.split, args.sides)
    errors = score(found, truth, args.normaliser)
    n_people = len(found.rows)

    print(table(errors, found.joints, args.normaliser, args.sides))
    print(
        f'\n{found.split} split; @r: detection rate in % at radius r; AUC: exact area under it, '
        f'radii 0..{MAX_RADIUS}, %'
    )
    if args.intervals:
        films = truth.films[found.rows]
        print(
            f'\n{interval_table(errors, found.joints, films)}\n\n{intervals.LEVEL} % intervals: bootstrap over '
            f'{n_people} people and over {len(set(films))} films, {intervals.DRAWS} draws each; another seed of the '
            'training is not in them'
        )
    if found.how:
        print(f'found with {found.how}')
    if without := unlabelled(errors, found.joints):
        print(f'without label, not counted: {without}')
    if left_out := [joint for joint in JOINTS if joint not in found.joints]:
        print(f'not predicted, left out: {", ".join(left_out)}')
    if third_party:
        own, other = sides_found(
            found, {side: read_truth(args.data, manifest, 'test', side) for side in SIDES}
        )
        print(
            f"of {own + other} people seen from behind, {own} have left and right as annotated (the person's own), "
            f"{other} the other way (the observer's); scored with --sides {args.sides}"
        )
    rates = curves(errors, found.joints)
    write_csv(f'{args.out}.csv', rates, n_people, args.normaliser, args.sides)
    plot(
        f'{args.out}.png',
        rates,
        f'{found.split} split, {n_people} people, sides {args.sides}',
        args.normaliser,
    )
    print(f'curves: {args.out}.png, {args.out}.csv')
    if any(former):
        print(
            printable(f'note: they replace those {max(former)}; --out names others'),
            file=sys.stderr,
        )
    return None


@records.reports_path
def read_results(path, pictures):
    """People as COCO's result files have them, their image_ids those of the pictures (arrays.picture_dtype).

    Pictures go by file_name, where a result has it, else by image_id: the picture's id or, as Ultralytics writes it,
    its name without ending.  The only category is taken for person, whatever its id; of several it is 1.
    """
    results, k, ids = load_json(path), len(joints.COCO_JOINTS), ids_of(pictures)
    if not isinstance(results, list):
        raise InputError('not a list of results')
    for row, result in enumerate(results):
        keys = result if isinstance(result, dict) else ()
        absent = [key for key in ('image_id', 'keypoints', 'score') if key not in keys]
        if absent:
            raise InputError(f'[{row}] has no {", ".join(absent)}')
        points = np.ravel(np.array(result['keypoints'], float))
        if points.shape != (3 * k,) or not np.isfinite([*points, float(result['score'])]).all():
            raise InputError(
                f'who is in picture {result["image_id"]} has other than 17 finite joints and a score'
            )
        result.update(keypoints=points.tolist(), score=float(result['score']))
    check_units(results)
    categories = collections.Counter(
        coco_json.identity(result.get('category_id', 1)) for result in results
    )
    person = next(iter(categories)) if len(categories) == 1 else 1
    others = len(results) - categories[person]
    if others or person != 1:
        print(
            f'{path}: category {person} is taken for person; {others} results of other categories are left out'
        )
    return [
        {**result, 'image_id': picture_of(result, ids), 'category_id': 1}
        for result in results
        if coco_json.identity(result.get('category_id', 1)) == person
    ]


def check_units(results):
    """InputError if all joints are in a corner, as fractions of the picture are: nobody would be found."""
    xy = [np.reshape(result['keypoints'], (-1, 3))[:, :2] for result in results]
    if xy and np.any(xy) and np.max(np.abs(xy)) <= 2:
        raise InputError(
            'all joints lie between -2 and 2: fractions of the picture, and pixels are expected'
        )


def ids_of(pictures):
    """{id, plain name of a file, that without its ending: id}, but for names that two pictures have."""
    plain = [os.path.basename(file) for file in pictures['file'].tolist()]
    ids = pictures['id'].tolist()
    found = {}
    for names in (plain, [os.path.splitext(name)[0] for name in plain]):
        often = collections.Counter(names)
        found.update({name: id_ for name, id_ in zip(names, ids) if often[name] == 1})
    return found | {id_: id_ for id_ in ids}


def picture_of(result, ids):
    """The id of a result's picture."""
    file, id_ = (
        coco_json.plain(str(result.get('file_name') or '')),
        coco_json.identity(result['image_id']),
    )
    found = ids.get(file, ids.get(id_))
    if found is None:
        raise InputError(f"picture {file or id_} is none of the test split's")
    return found


def print_tables(args, manifest, path):
    """Of a data set that is measured otherwise (metrics/tables.py)."""
    dataset = manifest['dataset']
    if args.flics_own:
        raise InputError(f'--{args.flics_own[0]} goes with FLIC, but {args.data} holds {dataset}')
    data_set = datasets.load(dataset)
    if data_set.multi_person:
        pictures, everybody = (
            load_array(args.data, 'pictures', 'test', manifest),
            load_split(args.data, 'test', manifest),
        )
        results = read_results(path, pictures)
        with_results = {result['image_id'] for result in results}
        made = data_set.result_tables(pictures, everybody, results)
        print(
            f'test split, {len(pictures)} pictures, {len(pictures) - len(with_results)} of them without results\n'
        )
    else:
        found = predictions.read(path, manifest)
        people = load_split(args.data, found.split, manifest)
        made = data_set.tables(found.models, people.joints[found.rows], people.people[found.rows])
        print(f'{found.split} split, {len(found.rows)} people\n')
    print('\n\n'.join(markdown(header, rows) for _, header, rows in made))


if __name__ == '__main__':
    run_script(main)
