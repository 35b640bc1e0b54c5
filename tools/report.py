"""Makes the report's figures and tables from a run's logs, its newest checkpoint and the predictions made with it.

    python -m tools.report --run models_ex/RUN --predictions predictions.mat --data arrays --out report
    python -m tools.report --run models_ex/RUN --only curves priors        # these alone

Writes into OUT (figures.py draws):
    curves.png              detection rates over the radius, beside the published figures
    heat_maps_success.png   both models' heat maps for the people whom the spatial model helped most; first.png: of two
    heat_maps_failure.png   the same for those whom it hurt most, and for the joint model's largest errors
    poses_synthetic.jpg     joints found on drawn people (synthetic.py), which no FLIC run was trained on
    priors.png              some pairs' priors before and after training, and the learned biases
    priors_torso.png        the same for nose, right shoulder and right elbow given the torso, as the reference shows
    errors.png              rates film by film, and of raised and hanging wrists
    evolution.png           heat maps of the person helped most, at checkpoints of the run: train it with --keep 100
    loss.png                losses and rates over the updates
    results.md              tables: rates, published figures, whom the spatial model helps, times

No frame of FLIC is shown.  Errors and rates are those of evaluate.py: distances in % of ||g_lhip - g_rsho||, left and
right swapped for people seen from behind.  People are chosen by predictions.mat, which usually is the mean of eight
zooms; the maps shown, and what their captions say, are of one zoom, or of as many with --scales multi.
"""

import contextlib
import functools
import json
import os
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jointpose import pairwise_distr, run_options
from jointpose.datasets import arrays, flic
from jointpose.evaluation import detection_rates, other_systems, predictions, rate_curves
from jointpose.metrics import key_points
from jointpose.metrics.key_points import MAX_RADIUS
from jointpose.training.devices import session_config
from jointpose.utils import cli, files
from jointpose.utils.errors import InputError
from jointpose.vision import heatmaps
from tools import analysis, figures, plot_log, tables
from tools.figures import JOINT_MODEL, PART_DETECTOR, MappedPerson
from tools.tables import NORMALISER, RADIUS

PAIRS_SHOWN = (
    ('lsho', 'torso'),
    ('nose', 'lsho'),
    ('lelb', 'lsho'),
    ('lwri', 'lelb'),
    ('lhip', 'rhip'),
    ('lwri', 'rwri'),
)
TORSO_PAIRS = (('nose', 'torso'), ('rsho', 'torso'), ('relb', 'torso'))
N_STAGES = 6  # checkpoints of which the evolution is shown
DRAWN_SEED = 2014  # of synthetic.py: another seed than that of `data.py --synthetic`
N_DRAWN = 6


class Network(NamedTuple):
    """A restored network, see `restored`."""

    maps: Callable  # of a row of the split
    subcell: bool  # as heatmaps.decode has it


# ---------------------------------------------------------------- what the figures are made from


class Material:
    """Everything the figures need, read when first asked for."""

    def __init__(self, options):
        self.options = options

    @functools.cached_property
    def manifest(self):
        return arrays.read_manifest(self.options.data)

    @functools.cached_property
    def found(self):
        """predictions.Predictions."""
        return predictions.read(self.options.predictions, self.manifest)

    @functools.cached_property
    def truth(self):
        """detection_rates.Truth of all people of that split."""
        return detection_rates.read_truth(self.options.data, self.manifest, self.found.split)

    @functools.cached_property
    def errors(self):
        """{model: [n, 9]} in % of the normaliser."""
        return self.errors_by(NORMALISER)

    def errors_by(self, normaliser):
        return detection_rates.score(self.found, self.truth, normaliser)

    def films(self):
        """The film of each person predicted."""
        people = arrays.load_array(self.options.data, 'people', self.found.split, self.manifest)
        return [analysis.film(file) for file in people['file'][self.found.rows]]

    def errors_of_both(self):
        """([n, 9], [n, 9]), part detector and joint model."""
        if JOINT_MODEL not in self.errors:
            raise InputError(
                f'{self.options.predictions}: no `flic_pred_sm`: made without the spatial model'
            )
        return self.errors[PART_DETECTOR], self.errors[JOINT_MODEL]

    def log(self, kind):
        """Records of the run's log.jsonl (epochs) or steps.jsonl (updates)."""
        return plot_log.read_lines(os.path.join(self.options.run, f'{kind}.jsonl'))

    @functools.cached_property
    def settings(self):
        path = os.path.join(self.options.run, 'settings.json')
        try:
            with open(path, encoding='utf-8') as file:
                settings = json.load(file)
            return {**settings, 'width': int(settings['width'])}
        except OSError as error:
            raise InputError(f'{path}: {error.strerror}') from error
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f'{path}: no settings of main.py: {error!r}') from error

    def out(self, name):
        return os.path.join(self.options.out, name)


@contextlib.contextmanager
def restored(run, scales):
    """The newest checkpoint's network, as a Network, whose maps(split, row) are ([60, 90, 9], [60, 90, 9]).

    split: an arrays.Split; scales: 'single' or 'multi', zooms of the frame whose maps are averaged, as main.py's.
    """
    from jointpose.checkpoints import checkpoint, checkpoint_variables
    from jointpose.inference import pose_estimator
    from jointpose.nn import spectrum_cache
    from jointpose.nn.tf1 import tf
    from jointpose.training import batches

    found = checkpoint.find('', run, '--run')
    options, system, *_ = run_options.resolve_options(['--restore', found.path, '--scales', scales])
    if not options.use_sm:
        raise InputError(f'--run {run}: trained without the spatial model')
    with tf.Graph().as_default():
        tf.train.get_or_create_global_step()  # restored too
        graph = pose_estimator.build_graph(system, options)
        evaluation = graph.evaluation

        def maps_of(split, row):
            values = batches.views_batch(system, system.prepare_split(split), np.array([row]))
            combined = session.run(evaluation.combined, batches.feed(evaluation.batch, values))
            return [combined[name][0] for name in ('pd', 'sm')]

        with tf.Session(config=session_config(options.gpus)) as session:
            checkpoint_variables.restore(session, graph.saver, found)
            with spectrum_cache.filled(session, graph.spectra):
                yield Network(maps_of, options.decode == 'subcell')


def read_pairs(material):
    """(start, trained, biases) of all 81 pairs, each through the softplus: [81, 120, 180] twice and [81, 60, 90]."""
    from jointpose import spatial_model
    from jointpose.checkpoints import checkpoint, checkpoint_variables
    from jointpose.nn.layers import AVERAGE_SUFFIX

    run = material.options.run
    found = checkpoint.find('', run, '--run')
    settings = found.state['settings']
    if not settings['use_sm']:
        raise InputError(f'--run {run}: trained without the spatial model')
    n = len(spatial_model.PAIRS_TO_JOINTS)
    path = os.path.join(material.options.data, pairwise_distr.FILE)
    histograms = pairwise_distr.load(
        path, found.state['data_id'], settings.get('torso_from', 'joints')
    )[:n]
    weights = {
        name.removesuffix(AVERAGE_SUFFIX): value
        for name, value in checkpoint_variables.read_weights(found.path).items()
    }
    energies, biases = (weights[f'spatial_model/{name}'][:n] for name in ('energies', 'biases'))
    first = spatial_model.initial_energies(histograms, settings['priors'])
    return [spatial_model.numpy_softplus(x) for x in (first, energies, biases)]


# ---------------------------------------------------------------- the figures


def make_curves(material):
    found, rates = material.found, rate_curves.rate_curves(material.errors, flic.JOINTS)
    figures.curves(
        material.out('curves.png'),
        rates,
        tables.published_points(),
        f'{len(found.rows)} people of the {found.split} split; marks beside radii 10 and 20: published '
        'figures of left joints,\nread off plots (paper: Tompson et al. 2014; reference: joint-cnn-mrf)',
        f'‖{NORMALISER}‖',
        other_curves(material),
    )


def other_curves(material):
    """Rates of the systems of --others on all test people, as rate_curves.rate_curves gives them, the mean's left out: not all
    predict all joints.  Their left is what each file takes it for, the person's or the observer's."""
    truths = {
        side: detection_rates.read_truth(material.options.data, material.manifest, 'test', side)
        for side in detection_rates.SIDES
    }
    rates = {}
    for path in material.options.others:
        found = other_systems.read(
            path,
            None,
            other_systems.joint_names(other_systems.FLIC_FILE_JOINTS),
            material.manifest['counts']['test'],
        )
        own, other = other_systems.count_side_conventions(found, truths)
        errors = detection_rates.score(
            found, truths['annotated' if own > other else 'swapped'], NORMALISER
        )
        rates.update(rate_curves.rate_curves(errors, found.joints))
    return {
        (model, label): rate
        for (model, label), rate in rates.items()
        if not label.startswith('mean of')
    }


def make_success(material, n=analysis.N_SHOWN, name='heat_maps_success.png'):
    """Each row: the mean error that both models have in predictions.mat."""
    errors = material.errors_of_both()
    chosen = analysis.most_helped(*errors, material.films(), n)
    make_heat_maps(
        material,
        [(i, f'helped: {change(errors, i)}') for i in chosen],
        name,
        'Whom the spatial model helps most: mean error over the joints, each up to '
        f'{MAX_RADIUS} %,\npart detector → joint model, in predictions.mat',
    )


def make_first(material):
    make_success(material, 2, 'first.png')


def make_failure(material):
    errors = material.errors_of_both()
    hurt, wrong = analysis.failures(*errors, material.films())
    chosen = [(i, f'hurt: {change(errors, i)}') for i in hurt]
    chosen += [(i, f'far off: {errors[1][i].mean():.0f} %') for i in wrong]
    make_heat_maps(
        material,
        chosen,
        'heat_maps_failure.png',
        f'Whom the spatial model hurts most: mean error over the joints, each up to {MAX_RADIUS} %, part '
        "detector → joint model,\nand the joint model's largest mean errors, in predictions.mat",
    )


def change(errors, i):
    """'14.1 → 5.2 %', the mean errors of person i as `gains` counts them; errors: two of [n, 9]."""
    before, after = (np.minimum(of_model[i], MAX_RADIUS).mean() for of_model in errors)
    return f'{before:.1f} → {after:.1f} %'


def make_heat_maps(material, chosen, name, title):
    """Maps of some people; chosen: [(index into the predictions, why)]."""
    if not chosen:
        raise InputError(f'{material.options.predictions}: nobody to show in {name}')
    found = material.found
    split = arrays.load_split(material.options.data, found.split, material.manifest)
    people, same = [], []
    with restored(material.options.run, material.options.scales) as network:
        for i, label in chosen:
            row = found.rows[i]
            true_xy = split.joints[row, : flic.N_JOINTS]
            people.append(mapped_person(*network.maps(split, row), true_xy, label, network.subcell))
            same.append(
                errors_of(people[-1].found_sm, found.models[JOINT_MODEL][i], true_xy) <= RADIUS
            )
    figures.heat_maps(material.out(name), people, title)
    print(
        f'{name}: {np.sum(same)} of {np.size(same)} joints of the joint model lie within {RADIUS} % of where '
        'predictions.mat has them (other scales or another checkpoint: fewer)'
    )


def mapped_person(maps_pd, maps_sm, true_xy, label, subcell=True):
    """MappedPerson of maps [60, 90, 9] and the true joints [9, 2]; never of the frame."""
    found_pd, found_sm = heatmaps.decode(np.stack([maps_pd, maps_sm]), subcell)
    captions = [
        f'{model}: {hits(found_xy, true_xy)}'
        for model, found_xy in ((PART_DETECTOR, found_pd), (JOINT_MODEL, found_sm))
    ]
    return MappedPerson(maps_pd, maps_sm, found_pd, found_sm, true_xy, *captions, label)


def errors_of(found_xy, other_xy, true_xy):
    """[9]: distances between two sets of one person's joints [9, 2], in % of the normaliser of the true ones."""
    normaliser = detection_rates.normaliser_vectors(true_xy[None], None, NORMALISER)
    return key_points.normalised_errors(found_xy[None], other_xy[None], normaliser)[0]


def hits(found_xy, true_xy):
    """'7 of 9 joints within 10 %': [9, 2] twice."""
    found = errors_of(found_xy, true_xy, true_xy) <= RADIUS
    return f'{found.sum()} of {found.size} joints within {RADIUS} %'


def make_poses(material):
    """The first drawn pictures with one person in it, not selected."""
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


def drawn_people(n=N_DRAWN, seed=DRAWN_SEED):
    """The first n pictures of synthetic.py with one annotated person, as an arrays.Split."""
    from jointpose.datasets import synthetic

    columns = [synthetic.COLUMNS[joint] for joint in flic.JOINTS]
    images, true, stored = [], [], np.zeros(n, flic.PERSON_DTYPE)
    for index in range(20 * n):
        picture = synthetic.render(seed, index)
        if len(picture.people) == 1 and len(images) < n:
            joints_xy = picture.people[0][:, columns].T.astype(np.float32)
            stored['torsobox'][len(images)] = picture.torsoboxes[0]
            images.append(picture.image)
            true.append(joints_xy)
        if len(images) == n:
            break
    joints_xy, _ = flic.to_observer_sides(np.stack(true))  # as data.py does
    joints_xy = flic.add_torso(joints_xy)
    return arrays.Split(
        np.stack(images),
        joints_xy,
        flic.Flic().complete_people(stored, joints_xy),
        np.arange(n),
        'test',
    )


def make_priors(material, pairs=PAIRS_SHOWN, name='priors.png'):
    start, trained, biases = read_pairs(material)
    # Not before read_pairs, whose tf1 keeps TensorFlow quiet.
    from jointpose import spatial_model

    rows = [
        spatial_model.PAIRS_TO_JOINTS.index(tuple(map(flic.MAPS.index, pair))) for pair in pairs
    ]
    figures.priors(
        material.out(name),
        pairs,
        start[rows],
        trained[rows],
        biases[rows],
        'Priors of joint | condjoint over their displacement, and biases over the frame, in pixels; '
        f'at the start every bias is {np.log(2) / spatial_model.BETA:.3f}',
    )


def make_loss(material):
    settings = material.settings
    n = settings.get('test_examples')
    figures.losses(
        material.out('loss.png'),
        material.log('steps'),
        material.log('log'),
        f'width {settings["width"]}, batches of {settings["batch_size"]}; test: '
        f'{f"{n} people" if n else "all people"}, one scale',
    )


def make_priors_torso(material):
    make_priors(material, TORSO_PAIRS, 'priors_torso.png')


def make_errors(material):
    """Rates at RADIUS by film, and of wrists by their height."""
    rows = material.found.rows
    figures.errors(
        material.out('errors.png'),
        analysis.by_film(material.errors, material.films(), RADIUS),
        analysis.by_height(material.errors, material.truth.joints_xy[rows], RADIUS),
        f'Detection rate at radius {RADIUS} % of ‖{NORMALISER}‖, {len(rows)} people',
    )


def make_evolution(material):
    """The person whom the spatial model helped most, seen by checkpoints of the run."""
    from jointpose.checkpoints import checkpoint

    paths = checkpoint.list_checkpoints(material.options.run)
    if len(paths) < 2:
        raise InputError(
            f'--run {material.options.run}: one checkpoint shows no evolution; train with --keep 100'
        )
    paths = [
        paths[i] for i in np.unique(np.linspace(0, len(paths) - 1, N_STAGES).round().astype(int))
    ]
    split = arrays.load_split(material.options.data, material.found.split, material.manifest)
    row = material.found.rows[
        analysis.most_helped(*material.errors_of_both(), material.films(), 1)[0]
    ]
    true_xy, stages = split.joints[row, : flic.N_JOINTS], []
    for path in paths:
        with restored(path, material.options.scales) as network:
            stages.append(
                mapped_person(
                    *network.maps(split, row),
                    true_xy,
                    f'update {checkpoint.step_of(path)}',
                    network.subcell,
                )
            )
    figures.heat_maps(
        material.out('evolution.png'), stages, 'One test person in the course of training'
    )


def make_results(material):
    with (
        files.atomic_write(material.out('results.md')) as partial,
        open(partial, 'w', encoding='utf-8') as file,
    ):
        file.write(tables.results(material))


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
USUAL = [name for name in FIGURES if name != 'evolution']  # which needs a run of many checkpoints


def parse_arguments():
    parser = cli.Parser(description=__doc__)
    parser.add_argument(
        '--run', required=True, help="a run's folder, with its logs and checkpoints"
    )
    parser.add_argument(
        '--predictions', default='predictions.mat', help='what main.py wrote (default: %(default)s)'
    )
    parser.add_argument('--data', default='arrays', help='folder of data.py (default: %(default)s)')
    parser.add_argument(
        '--out', default='report', help='folder to write into (default: %(default)s)'
    )
    parser.add_argument(
        '--only',
        nargs='+',
        choices=FIGURES,
        default=USUAL,
        metavar='NAME',
        help=f'make these alone: {", ".join(FIGURES)} (default: all but the last)',
    )
    parser.add_argument(
        '--others',
        nargs='+',
        default=[],
        metavar='FILE',
        help="other systems' predictions, as evaluate.py reads them: their curves beside ours",
    )
    parser.add_argument(
        '--scales',
        choices=('single', 'multi'),
        default='single',
        help='zooms whose heat maps are averaged: one, or eight (default: %(default)s)',
    )
    return parser.parse_args()


def main():
    options = parse_arguments()
    try:
        os.makedirs(options.out, exist_ok=True)
    except OSError as error:
        raise InputError(f'--out {options.out}: cannot be made: {error.strerror}') from error
    material = Material(options)
    for name in options.only:
        FIGURES[name](material)
        print(f'{name}: done', flush=True)


if __name__ == '__main__':
    cli.run_script(main)
