"""Makes the figures and tables of the report from a run and the predictions made with it.

    python -m tools.report --run models_ex/RUN --predictions predictions.mat --data arrays --out report
    python -m tools.report --run models_ex/RUN --only curves priors        # only these

It reads the logs and the newest checkpoint of RUN, and writes into OUT:

    curves.png              detection rates over the radius, with published results
    heat_maps_success.png   heat maps of both models, for the people helped most by the spatial model
    first.png               the same for two people
    heat_maps_failure.png   for the people hurt most, and for the largest errors of the joint model
    poses_synthetic.jpg     predictions on drawn people (datasets/synthetic), on which no FLIC run trains
    priors.png              some pairs' priors before and after training, and the learned biases
    priors_torso.png        the same for nose, right shoulder and right elbow given the torso
    errors.png              detection rates by film, and of raised and hanging wrists
    evolution.png           heat maps of one person at checkpoints of a run trained with --keep 100
    loss.png                losses and rates over the iterations
    results.md              tables: rates, published results, effect of the spatial model, times

No frame of FLIC is shown.  Errors and rates are those of evaluate.py: distances in % of
||g_lhip - g_rsho||, left and right swapped for people seen from behind.  The people shown are
selected by the errors in predictions.mat, usually of eight scales; the heat maps and the numbers in
their captions are of one scale, or of several with --scales multi.
"""

import os

import numpy as np

from jointpose.datasets import flic
from jointpose.evaluation import detection_rates, other_systems, rate_curves
from jointpose.metrics import key_points
from jointpose.metrics.key_points import MAX_RADIUS
from jointpose.utils import cli, files
from jointpose.utils.errors import InputError
from jointpose.vision import heatmaps
from tools import analysis, figures, tables
from tools.figures import JOINT_MODEL, PART_DETECTOR, MappedPerson
from tools.report_material import (
    N_DRAWN,
    NORMALISER,
    RADIUS,
    Material,
    drawn_people,
    read_pairs,
    restored,
)

PAIRS_SHOWN = (
    ('lsho', 'torso'),
    ('nose', 'lsho'),
    ('lelb', 'lsho'),
    ('lwri', 'lelb'),
    ('lhip', 'rhip'),
    ('lwri', 'rwri'),
)
TORSO_PAIRS = (('nose', 'torso'), ('rsho', 'torso'), ('relb', 'torso'))
N_STAGES = 6  # checkpoints in evolution.png


# ---------------------------------------------------------------- curves, errors and losses


def make_curves(material: Material) -> None:
    """Draws curves.png."""
    found = material.found
    figures.curves(
        material.out('curves.png'),
        rate_curves.rate_curves(material.errors, flic.JOINTS),
        tables.published_points(),
        f'{len(found.rows)} people of the {found.split} split; marks beside radii 10 and 20: '
        'published figures of left joints,\n'
        'read off plots (paper: Tompson et al. 2014; reference: joint-cnn-mrf)',
        f'‖{NORMALISER}‖',
        other_curves(material),
    )


def other_curves(material: Material) -> dict[tuple[str, str], np.ndarray]:
    """{(system, joint): [41] rates in %} of the files of --others, on all test people.

    Means over joints are left out, since not all systems predict all joints.  Left is what each
    file takes for left: that of the person or that of the observer.
    """
    truths = {}
    for side in detection_rates.SIDES:
        truths[side] = detection_rates.read_truth(
            material.options.data, material.manifest, 'test', side
        )
    joints = other_systems.joint_names(other_systems.FLIC_FILE_JOINTS)
    rates = {}
    for path in material.options.others:
        found = other_systems.read(path, None, joints, material.manifest['counts']['test'])
        own, other = other_systems.count_side_conventions(found, truths)
        truth = truths['annotated' if own > other else 'swapped']
        errors = detection_rates.score(found, truth, NORMALISER)
        rates.update(rate_curves.rate_curves(errors, found.joints))
    return {key: rate for key, rate in rates.items() if not key[1].startswith('mean of')}


def make_errors(material: Material) -> None:
    """Draws errors.png: rates at RADIUS by film, and of wrists by their height."""
    rows = material.found.rows
    figures.errors(
        material.out('errors.png'),
        analysis.by_film(material.errors, material.films(), RADIUS),
        analysis.by_height(material.errors, material.truth.joints_xy[rows], RADIUS),
        f'Detection rate at radius {RADIUS} % of ‖{NORMALISER}‖, {len(rows)} people',
    )


def make_loss(material: Material) -> None:
    """Draws loss.png."""
    settings = material.settings
    count = settings.get('test_examples') or 'all'
    figures.losses(
        material.out('loss.png'),
        material.log('steps'),
        material.log('log'),
        f'width {settings["width"]}, batches of {settings["batch_size"]}; '
        f'test: {count} people, one scale',
    )


# ---------------------------------------------------------------- heat maps


def make_success(
    material: Material, n: int = analysis.N_SHOWN, name: str = 'heat_maps_success.png'
) -> None:
    """Draws the heat maps of the n people whose errors the spatial model reduces most."""
    errors = material.errors_of_both()
    chosen = analysis.most_helped(*errors, material.films(), n)
    make_heat_maps(
        material,
        [(i, f'helped: {error_change(errors, i)}') for i in chosen],
        name,
        'Whom the spatial model helps most: mean error over the joints, each up to '
        f'{MAX_RADIUS} %,\npart detector → joint model, in predictions.mat',
    )


def make_first(material: Material) -> None:
    """Draws first.png: heat maps of the two people helped most."""
    make_success(material, 2, 'first.png')


def make_failure(material: Material) -> None:
    """Draws the heat maps of those hurt by the spatial model, and of the largest errors."""
    errors = material.errors_of_both()
    hurt, wrong = analysis.failures(*errors, material.films())
    chosen = [(i, f'hurt: {error_change(errors, i)}') for i in hurt]
    chosen += [(i, f'far off: {errors[1][i].mean():.0f} %') for i in wrong]
    make_heat_maps(
        material,
        chosen,
        'heat_maps_failure.png',
        'Whom the spatial model hurts most: mean error over the joints, each up to '
        f'{MAX_RADIUS} %, part detector → joint model,\n'
        "and the joint model's largest mean errors, in predictions.mat",
    )


def error_change(errors: tuple[np.ndarray, np.ndarray], i: int) -> str:
    """'14.1 → 5.2 %': mean errors of person i, clipped as in analysis.gains.

    Args:
        errors: [n, 9] of the part detector and of the joint model.
        i: index into both.
    """
    before, after = (np.minimum(of_model[i], MAX_RADIUS).mean() for of_model in errors)
    return f'{before:.1f} → {after:.1f} %'


def make_heat_maps(
    material: Material, chosen: list[tuple[int, str]], name: str, title: str
) -> None:
    """Draws the heat maps of some people.

    Args:
        material: what the report is made from.
        chosen: (index into the predictions, label) of each person.
        name: of the file.
        title: above the figure.
    """
    if not chosen:
        raise InputError(f'{material.options.predictions}: nobody to show in {name}')
    found = material.found
    split = material.load_split()
    people = []
    same = []  # of each joint: whether the joint model predicts what predictions.mat has
    with restored(material.options.run, material.options.scales) as network:
        for i, label in chosen:
            row = found.rows[i]
            true_xy = split.joints[row, : flic.N_JOINTS]
            person = mapped_person(*network.maps(split, row), true_xy, label, network.subcell)
            stored_xy = found.models[JOINT_MODEL][i]
            same.append(errors_of(person.found_sm, stored_xy, true_xy) <= RADIUS)
            people.append(person)
    figures.heat_maps(material.out(name), people, title)
    print(
        f'{name}: {np.sum(same)} of {np.size(same)} joints of the joint model lie within '
        f'{RADIUS} % of where predictions.mat has them '
        '(other scales or another checkpoint: fewer)'
    )


def mapped_person(
    maps_pd: np.ndarray,
    maps_sm: np.ndarray,
    true_xy: np.ndarray,
    label: str,
    subcell: bool = True,
) -> MappedPerson:
    """A person to show, from maps [60, 90, 9] and true joints [9, 2], never from the frame."""
    found_pd, found_sm = heatmaps.decode(np.stack([maps_pd, maps_sm]), subcell)
    return MappedPerson(
        maps_pd,
        maps_sm,
        found_pd,
        found_sm,
        true_xy,
        f'{PART_DETECTOR}: {hits(found_pd, true_xy)}',
        f'{JOINT_MODEL}: {hits(found_sm, true_xy)}',
        label,
    )


def errors_of(found_xy: np.ndarray, other_xy: np.ndarray, true_xy: np.ndarray) -> np.ndarray:
    """[9]: distances between two poses [9, 2], in % of the normaliser of the true pose [9, 2]."""
    normaliser = detection_rates.normaliser_vectors(true_xy[None], None, NORMALISER)
    return key_points.normalised_errors(found_xy[None], other_xy[None], normaliser)[0]


def hits(found_xy: np.ndarray, true_xy: np.ndarray) -> str:
    """'7 of 9 joints within 10 %', of joints [9, 2]."""
    found = errors_of(found_xy, true_xy, true_xy) <= RADIUS
    return f'{found.sum()} of {found.size} joints within {RADIUS} %'


def make_evolution(material: Material) -> None:
    """Draws evolution.png: the person helped most, at N_STAGES checkpoints of the run."""
    from jointpose.checkpoints import checkpoint

    paths = checkpoint.list_checkpoints(material.options.run)
    if len(paths) < 2:
        raise InputError(
            f'--run {material.options.run}: one checkpoint shows no evolution; '
            'train with --keep 100'
        )
    shown = np.unique(np.linspace(0, len(paths) - 1, N_STAGES).round().astype(int))
    split = material.load_split()
    (helped,) = analysis.most_helped(*material.errors_of_both(), material.films(), 1)
    row = material.found.rows[helped]
    true_xy = split.joints[row, : flic.N_JOINTS]
    stages = []
    for path in [paths[i] for i in shown]:
        label = f'update {checkpoint.step_of(path)}'
        with restored(path, material.options.scales) as network:
            maps = network.maps(split, row)
            stages.append(mapped_person(*maps, true_xy, label, network.subcell))
    title = 'One test person in the course of training'
    figures.heat_maps(material.out('evolution.png'), stages, title)


# ---------------------------------------------------------------- drawn people, priors, tables


def make_poses(material: Material) -> None:
    """Draws poses_synthetic.jpg: the first drawn pictures of one person, not selected."""
    split = drawn_people()
    with restored(material.options.run, material.options.scales) as network:
        maps = [network.maps(split, row)[1] for row in range(N_DRAWN)]
    found = heatmaps.decode(np.stack(maps), network.subcell)
    true = split.joints[:, : flic.N_JOINTS]
    figures.poses(
        material.out('poses_synthetic.jpg'),
        split.images,
        found,
        true,
        list(map(hits, found, true)),
        'Joint model on drawn people, the first of the set, not selected',
    )


def make_priors(
    material: Material,
    pairs: tuple[tuple[str, str], ...] = PAIRS_SHOWN,
    name: str = 'priors.png',
) -> None:
    """Draws the priors and biases of some pairs (joint, condjoint)."""
    weights = read_pairs(material)
    # Not before read_pairs, whose tf1 keeps TensorFlow quiet.
    from jointpose import spatial_model

    rows = []
    for joint, condjoint in pairs:
        pair = flic.MAPS.index(joint), flic.MAPS.index(condjoint)
        rows.append(spatial_model.PAIRS_TO_JOINTS.index(pair))
    figures.priors(
        material.out(name),
        pairs,
        weights.start[rows],
        weights.trained[rows],
        weights.biases[rows],
        'Priors of joint | condjoint over their displacement, and biases over the frame, in '
        f'pixels; at the start every bias is {np.log(2) / spatial_model.BETA:.3f}',
    )


def make_priors_torso(material: Material) -> None:
    """Draws priors_torso.png."""
    make_priors(material, TORSO_PAIRS, 'priors_torso.png')


def make_results(material: Material) -> None:
    """Writes results.md."""
    text = tables.results(material)
    path = material.out('results.md')
    with files.atomic_write(path) as partial, open(partial, 'w', encoding='utf-8') as file:
        file.write(text)


# ---------------------------------------------------------------- command line

FIGURES = {
    'first': make_first,
    'curves': make_curves,
    'heat_maps_success': make_success,
    'heat_maps_failure': make_failure,
    'poses_synthetic': make_poses,
    'priors': make_priors,
    'priors_torso': make_priors_torso,
    'errors': make_errors,
    'loss': make_loss,
    'results': make_results,
    'evolution': make_evolution,
}
# evolution needs a run that kept many checkpoints
DEFAULT_FIGURES = [name for name in FIGURES if name != 'evolution']


def parse_arguments():
    """The command line's options."""
    parser = cli.Parser(description=__doc__)
    parser.add_argument('--run', required=True, help='folder of a run, with logs and checkpoints')
    parser.add_argument(
        '--predictions',
        default='predictions.mat',
        help='predictions written by main.py (default: %(default)s)',
    )
    parser.add_argument(
        '--data', default='arrays', help='arrays written by data.py (default: %(default)s)'
    )
    parser.add_argument(
        '--out', default='report', help='folder to write into (default: %(default)s)'
    )
    parser.add_argument(
        '--only',
        nargs='+',
        choices=FIGURES,
        default=DEFAULT_FIGURES,
        metavar='NAME',
        help=f'make only these: {", ".join(FIGURES)} (default: all but the last)',
    )
    parser.add_argument(
        '--others',
        nargs='+',
        default=[],
        metavar='FILE',
        help='predictions of other systems, in a format of evaluate.py, drawn into curves.png',
    )
    parser.add_argument(
        '--scales',
        choices=('single', 'multi'),
        default='single',
        help='average heat maps over one scale, or over eight (default: %(default)s)',
    )
    return parser.parse_args()


def main():
    """Makes the figures and tables of --only, or all."""
    options = parse_arguments()
    try:
        os.makedirs(options.out, exist_ok=True)
    except OSError as error:
        raise InputError(f'--out {options.out}: cannot be created: {error.strerror}') from error
    material = Material(options)
    for name in options.only:
        FIGURES[name](material)
        print(f'{name}: done', flush=True)


if __name__ == '__main__':
    cli.run_script(main)
