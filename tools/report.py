"""Makes the report's figures and tables from a run's logs, its newest checkpoint and the predictions made with it.

    python -m tools.report --run models_ex/RUN --predictions predictions.mat --data arrays --out report
    python -m tools.report --run models_ex/RUN --only curves priors        # these alone

Writes into OUT (figures.py draws):
    curves.png              detection rates over the radius, beside the published figures
    heat_maps_success.png   both models' heat maps for the people whom the spatial model helped most
    heat_maps_failure.png   the same for those whom it hurt most, and for the joint model's largest errors
    poses_synthetic.jpg     joints found on drawn people (synthetic.py), which no FLIC run was trained on
    priors.png              some pairs' priors before and after training, and the learned biases
    loss.png                losses and rates over the updates
    results.md              tables: rates, published figures, whom the spatial model helps, times

No frame of FLIC is shown.  Errors and rates are those of evaluate.py: distances in % of ||g_lhip - g_rsho||, left and
right swapped for people seen from behind.  People are chosen by predictions.mat, which usually is the mean of eight
zooms; the maps shown, and what their captions say, are of one zoom, or of as many with --scales multi.
"""
import argparse
import collections
import contextlib
import functools
import json
import os
import shlex

import numpy as np

import evaluate
import pairwise_distr
from datasets import arrays, flic
from engine import files, heatmaps
from engine.files import InputError
from evaluate import MAX_RADIUS, detection_rate
from tools import figures, plot_log
from tools.figures import JOINT_MODEL, PART_DETECTOR, MappedPerson, Published

NORMALISER, RADIUS = 'lhip-rsho', 10
PUBLISHED_RADII = (10, 20)
# (system, model, {joint: detection rates in % at PUBLISHED_RADII}), FLIC, left joints.  paper: Tompson et al. 2014;
# reference: joint-cnn-mrf (Andriushchenko & Yue, 2018).  The side of the paper's first two rows is not known.
PUBLISHED = (
    ('paper', PART_DETECTOR, {'lwri': (66, 74)}),
    ('paper', 'with spatial model, not joint', {'lwri': (75, 85)}),
    ('paper', JOINT_MODEL, {'lwri': (79.5, 88), 'lelb': (78, 91.5), 'lsho': (94, 98.5), 'nose': (93, 98)}),
    ('reference', PART_DETECTOR, {'lwri': (72,), 'lelb': (75.5,), 'lsho': (85.5,), 'nose': (88,), 'lhip': (50.5,)}),
    ('reference', JOINT_MODEL, {'lwri': (79, 87), 'lelb': (81, 94), 'lsho': (93.5, 98), 'nose': (95.5, 98),
                                'lhip': (57.5, 85.5)}),
)
PAIRS_SHOWN = (('lsho', 'torso'), ('nose', 'lsho'), ('lelb', 'lsho'), ('lwri', 'lelb'), ('lhip', 'rhip'),
               ('lwri', 'rwri'))
N_SHOWN = 4                                     # people in each picture of heat maps
DRAWN_SEED, N_DRAWN = 2014, 6                   # of synthetic.py: another seed than that of `data.py --synthetic`

Network = collections.namedtuple('Network', 'maps subcell')             # see `restored`; subcell: as heatmaps.decode's


def published_points():
    """PUBLISHED as a list of figures.Published."""
    return [Published(system, model, joint, radius, rate) for system, model, rates in PUBLISHED
            for joint, pair in rates.items() for radius, rate in zip(PUBLISHED_RADII, pair)]


# ---------------------------------------------------------------- who is shown

def gains(errors_pd, errors_sm):
    """How much nearer the joint model is, in % of the normaliser, mean over joints: [n, 9] twice -> [n].

    Errors count up to MAX_RADIUS: beyond it a joint is missed, no matter by how much.
    """
    return (np.minimum(errors_pd, MAX_RADIUS) - np.minimum(errors_sm, MAX_RADIUS)).mean(axis=1)


def one_a_film(order, films, n, taken=()):
    """The first n of `order` (indices), no two of one film, none of the films `taken`: neighbours look alike."""
    chosen, films_seen = [], set(taken)
    for i in order:
        if len(chosen) < n and films[i] not in films_seen:
            chosen.append(int(i))
            films_seen.add(films[i])
    return chosen


def most_helped(errors_pd, errors_sm, films, n=N_SHOWN):
    """Indices of those with the largest gain, one a film: [n people, 9] twice."""
    gain = gains(errors_pd, errors_sm)
    return [i for i in one_a_film(np.argsort(-gain, kind='stable'), films, n) if gain[i] > 0]


def failures(errors_pd, errors_sm, films, n=N_SHOWN):
    """Indices of those with the largest loss (a gain below 0), at most half of n, then of those with the joint model's
    largest mean error; one a film, [n people, 9] twice.  Returns (the former, the latter)."""
    gain = gains(errors_pd, errors_sm)
    hurt = [i for i in one_a_film(np.argsort(gain, kind='stable'), films, n // 2) if gain[i] < 0]
    order = np.argsort(-errors_sm.mean(axis=1), kind='stable')
    return hurt, one_a_film(order, films, n - len(hurt), {films[i] for i in hurt})


def film(file):
    """'along-came-polly-00119461.jpg' -> 'along-came-polly'."""
    return str(file).rsplit('-', 1)[0]


# ---------------------------------------------------------------- what the figures are made from

class Material:
    """Everything the figures need, read when first asked for."""

    def __init__(self, options):
        self.options = options

    @functools.cached_property
    def manifest(self):
        return arrays.read_manifest(self.options.data)

    @functools.cached_property
    def predicted(self):
        """(split, evaluate.Predictions, evaluate.Truth) of predictions.mat."""
        path = self.options.predictions
        variables = evaluate.load_variables(path)
        split = evaluate.read_split_name(variables, self.manifest, path)
        truth = evaluate.read_truth(self.options.data, self.manifest, split, 'swapped')
        return split, evaluate.own_predictions(variables, len(truth.joints_xy), path), truth

    @functools.cached_property
    def errors(self):
        """{model: [n, 9]} in % of the normaliser."""
        return self.errors_by(NORMALISER)

    def errors_by(self, normaliser):
        _, predictions, truth = self.predicted
        return evaluate.score(predictions, truth, normaliser)

    def films(self):
        """The film of each person predicted."""
        split, predictions, _ = self.predicted
        return [film(file) for file in arrays.load_array(self.options.data, 'people', split,
                                                         self.manifest)['file'][predictions.rows]]

    def errors_of_both(self):
        """([n, 9], [n, 9]), part detector and joint model."""
        if JOINT_MODEL not in self.errors:
            raise InputError(f'{self.options.predictions}: no `flic_pred_sm`: made without the spatial model')
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
    import main as main_script
    from engine import batches, checkpoint, convolution, pictures, towers
    from engine.tf1 import tf
    options, system, found, _ = main_script.understand(['--restore', os.path.abspath(run), '--scales', scales])
    if not options.use_sm:
        raise InputError(f'--run {run}: trained without the spatial model')
    with tf.Graph().as_default():
        tf.train.get_or_create_global_step()                    # restored too
        graph = pictures.build_graph(system, options)
        evaluation = graph.evaluation

        def maps_of(split, row):
            values = batches.views_batch(system, split, np.array([row]), options)
            combined = session.run(evaluation.combined, batches.feed(evaluation.batch, values))
            return [combined[name][0] for name in ('pd', 'sm')]

        with tf.Session(config=towers.session_config(options.gpus)) as session:
            checkpoint.restore(session, graph.saver, found)
            with convolution.spectra(session, graph.spectra):
                yield Network(maps_of, options.decode == 'subcell')


def read_pairs(material):
    """(start, trained, biases) of all 81 pairs, each through the softplus: [81, 120, 180] twice and [81, 60, 90]."""
    import spatial_model
    from engine import checkpoint
    from engine.layers import AVERAGE
    from engine.tf1 import tf
    run = material.options.run
    found = checkpoint.find(os.path.dirname(os.path.abspath(run)), run)
    settings = found.state['settings']
    if not settings['use_sm']:
        raise InputError(f'--run {run}: trained without the spatial model')
    n = len(spatial_model.PAIRS_TO_JOINTS)
    path = os.path.join(material.options.data, pairwise_distr.FILE)
    histograms = pairwise_distr.load(path, found.state['data_id'])[:n]
    reader = tf.train.NewCheckpointReader(os.path.join(found.path, 'model'))
    average = AVERAGE if settings.get('average_weights') else ''
    energies, biases = (reader.get_tensor(f'spatial_model/{name}{average}')[:n] for name in ('energies', 'biases'))
    first = spatial_model.initial_energies(histograms, settings['priors'])
    return [np.logaddexp(0, spatial_model.BETA * x) / spatial_model.BETA for x in (first, energies, biases)]


# ---------------------------------------------------------------- the figures

def make_curves(material):
    split, predictions, _ = material.predicted
    rates = evaluate.curves(material.errors, flic.JOINTS)
    figures.curves(material.out('curves.png'), rates, published_points(),
                   f'{len(predictions.rows)} people of the {split} split; marks beside radii 10 and 20: published '
                   'figures of left joints\n(paper: Tompson et al. 2014; reference: joint-cnn-mrf, 2018)',
                   f'‖{NORMALISER}‖')


def make_success(material):
    """Each row: the mean error that both models have in predictions.mat."""
    errors = material.errors_of_both()
    chosen = most_helped(*errors, material.films())
    make_heat_maps(material, [(i, f'helped: {change(errors, i)}') for i in chosen], 'heat_maps_success.png',
                   'Whom the spatial model helps most: mean error over the joints, each up to '
                   f'{MAX_RADIUS} %,\npart detector → joint model, in predictions.mat')


def make_failure(material):
    errors = material.errors_of_both()
    hurt, wrong = failures(*errors, material.films())
    chosen = [(i, f'hurt: {change(errors, i)}') for i in hurt]
    chosen += [(i, f'far off: {errors[1][i].mean():.0f} %') for i in wrong]
    make_heat_maps(material, chosen, 'heat_maps_failure.png',
                   f'Whom the spatial model hurts most: mean error over the joints, each up to {MAX_RADIUS} %, part '
                   'detector → joint model,\nand the joint model\'s largest mean errors, in predictions.mat')


def change(errors, i):
    """'14.1 → 5.2 %', the mean errors of person i as `gains` counts them; errors: two of [n, 9]."""
    before, after = (np.minimum(of_model[i], MAX_RADIUS).mean() for of_model in errors)
    return f'{before:.1f} → {after:.1f} %'


def make_heat_maps(material, chosen, name, title):
    """Maps of some people; chosen: [(index into the predictions, why)]."""
    if not chosen:
        raise InputError(f'{material.options.predictions}: nobody to show in {name}')
    split_name, predictions, _ = material.predicted
    split = arrays.load_split(material.options.data, split_name, material.manifest)
    people, same = [], []
    with restored(material.options.run, material.options.scales) as network:
        for i, label in chosen:
            row = predictions.rows[i]
            true_xy = split.joints[row, :flic.N_JOINTS]
            people.append(mapped_person(*network.maps(split, row), true_xy, label, network.subcell))
            same.append(errors_of(people[-1].found_sm, predictions.models[JOINT_MODEL][i], true_xy) <= RADIUS)
    figures.heat_maps(material.out(name), people, title)
    print(f'{name}: {np.sum(same)} of {np.size(same)} joints of the joint model lie within {RADIUS} % of where '
          'predictions.mat has them (other scales or another checkpoint: fewer)')


def mapped_person(maps_pd, maps_sm, true_xy, label, subcell=True):
    """MappedPerson of maps [60, 90, 9] and the true joints [9, 2]; never of the frame."""
    found_pd, found_sm = heatmaps.decode(np.stack([maps_pd, maps_sm]), subcell)
    captions = [f'{model}: {hits(found_xy, true_xy)}'
                for model, found_xy in ((PART_DETECTOR, found_pd), (JOINT_MODEL, found_sm))]
    return MappedPerson(maps_pd, maps_sm, found_pd, found_sm, true_xy, *captions, label)


def errors_of(found_xy, other_xy, true_xy):
    """[9]: distances between two sets of one person's joints [9, 2], in % of the normaliser of the true ones."""
    normaliser = evaluate.normaliser_vectors(true_xy[None], None, NORMALISER)
    return evaluate.normalised_errors(found_xy[None], other_xy[None], normaliser)[0]


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
    true = split.joints[:, :flic.N_JOINTS]
    figures.poses(material.out('poses_synthetic.jpg'), split.images, found, true, list(map(hits, found, true)),
                  'Joint model on drawn people, the first of the set, not selected')


def drawn_people(n=N_DRAWN, seed=DRAWN_SEED):
    """The first n pictures of synthetic.py with one annotated person, as an arrays.Split."""
    from datasets import synthetic
    columns = [synthetic.COLUMNS[joint] for joint in flic.JOINTS]
    images, true = [], []
    for index in range(20 * n):
        picture = synthetic.render(seed, index)
        if len(picture.people) == 1 and len(images) < n:
            joints_xy = picture.people[0][:, columns].T.astype(np.float32)
            lhip_x, rhip_x = (joints_xy[flic.JOINTS.index(hip), 0] for hip in ('lhip', 'rhip'))
            images.append(picture.image)
            true.append(flic.swap_sides(joints_xy) if lhip_x < rhip_x else joints_xy)      # as data.py does
        if len(images) == n:
            break
    return arrays.Split(np.stack(images), flic.add_torso(np.stack(true)), None)


def make_priors(material):
    start, trained, biases = read_pairs(material)
    # Not before read_pairs, whose tf1 keeps TensorFlow quiet.
    import spatial_model
    rows = [spatial_model.PAIRS_TO_JOINTS.index(tuple(map(flic.MAPS.index, pair))) for pair in PAIRS_SHOWN]
    figures.priors(material.out('priors.png'), PAIRS_SHOWN, start[rows], trained[rows], biases[rows],
                   'Priors of joint | condjoint over their displacement, and biases over the frame, in pixels; '
                   f'at the start every bias is {np.log(2) / spatial_model.BETA:.3f}')


def make_loss(material):
    settings = material.settings
    n = settings.get('test_examples')
    figures.losses(material.out('loss.png'), material.log('steps'), material.log('log'),
                   f'width {settings["width"]}, batches of {settings["batch_size"]}; test: '
                   f'{f"{n} people" if n else "all people"}, one scale')


# ---------------------------------------------------------------- tables

def make_results(material):
    options = material.options
    parts = ['Made by `python -m tools.report`; each table names the command whose figures it holds.\n',
             rates_fragment(material), published_fragment(material)]
    if JOINT_MODEL in material.errors:
        parts.append(helped_fragment(material))
    parts.append(times_fragment(material.log('steps'), material.log('log'), material.settings, options))
    with files.atomic(material.out('results.md')) as partial, open(partial, 'w', encoding='utf-8') as file:
        file.write('\n'.join(parts))


def fragment(heading, body, command, note=''):
    """A section that can be cut out and put elsewhere."""
    return f'### {heading}\n\n{body}\n\n{note}{chr(10) * 2 if note else ""}Command: `{command}`\n'


def markdown(header, rows):
    """A table, all columns but the first to the right."""
    lines = [header, ['---', *['---:'] * (len(header) - 1)], *rows]
    return '\n'.join(f'| {" | ".join(map(str, line))} |' for line in lines)


def rates_fragment(material):
    """What evaluate.py prints, without radius 15."""
    options, (split, predictions, _) = material.options, material.predicted
    header, columns = ['joint'], []
    for model, errors in material.errors.items():
        header += [f'{model} @5', '@10', '@20', 'AUC']
        columns += [*(detection_rate(errors, radius) for radius in (5, 10, 20)), evaluate.area_under_curve(errors)]
    values = np.stack(columns)                                                      # [4 * models, 9]
    rows = [[label, *(f'{value:.1f}' for value in values[:, group].mean(axis=1))]
            for label, group in evaluate.row_groups(flic.JOINTS)]
    lines = ', '.join(f'{model} {mean_rate(errors):.1f}'
                      for model, errors in material.errors_by('lsho-rhip').items())
    note = (f'{len(predictions.rows)} people of the {split} split; % of joints within the radius, itself in % of '
            f'‖{NORMALISER}‖; AUC over radii 0 to {MAX_RADIUS}. By ‖lsho-rhip‖, which the reference divides by, the '
            f'mean at radius {RADIUS} is: {lines}.')
    return fragment('Detection rates', markdown(header, rows), evaluation_command(options), note)


def mean_rate(errors, radius=RADIUS):
    return detection_rate(errors, radius).mean()


def evaluation_command(options):
    return shlex.join(['python', 'evaluate.py', options.predictions, '--data', options.data])


def published_fragment(material):
    """Left joints of every system; a cell holds the rate at radius 10, and at 20 in brackets where known."""
    names = {'lwri': 'wrist', 'lelb': 'elbow', 'lsho': 'shoulder', 'nose': 'nose', 'lhip': 'hip'}
    ours = [('ours', model, {joint: [detection_rate(errors[:, flic.JOINTS.index(joint)], radius)
                                     for radius in PUBLISHED_RADII] for joint in names})
            for model, errors in material.errors.items()]
    rows = [[f'{system}, {model}', *(cell(rates.get(joint)) for joint in names)]
            for system, model, rates in (*PUBLISHED, *ours)]
    note = ('Left joints, rate at radius 10 (20) in %. Paper: Tompson et al. 2014, of whose first two rows the side is '
            'not known; reference: joint-cnn-mrf, 2018, which scores against truth rounded to 8 px and divides by '
            '‖lsho-rhip‖.')
    return fragment('Beside published figures', markdown(['system', *names.values()], rows),
                    evaluation_command(material.options), note)


def cell(rates):
    """(79.5, 88) -> '79.5 (88.0)', (72,) -> '72.0', None -> ''."""
    first, *second = (f'{rate:.1f}' for rate in rates or ('',)) if rates else ('',)
    return first + ''.join(f' ({rate})' for rate in second)


def helped_fragment(material):
    """Joints of all people by whether either model finds them."""
    found_pd, found_sm = (errors <= RADIUS for errors in material.errors_of_both())
    gain = gains(*material.errors_of_both())
    header = ['joint', 'both find it', 'only the joint model', 'only the part detector', 'neither']
    cells = np.stack([found_pd & found_sm, found_sm & ~found_pd, found_pd & ~found_sm, ~found_pd & ~found_sm])
    shares = 100 * cells.mean(axis=1)                                               # [4, 9]
    rows = [[label, *(f'{share:.1f}' for share in shares[:, group].mean(axis=1))]
            for label, group in evaluate.row_groups(flic.JOINTS)]
    note = (f'% of joints at radius {RADIUS}. The mean error over the joints (each counted up to {MAX_RADIUS} %) falls '
            f'for {100 * (gain > 0).mean():.1f} % of the people and rises for {100 * (gain < 0).mean():.1f} %.')
    return fragment('Whom the spatial model helps', markdown(header, rows), report_command(material.options, 'results'),
                    note)


def report_command(options, name):
    return shlex.join(['python', '-m', 'tools.report', '--run', options.run, '--predictions', options.predictions,
                       '--data', options.data, '--out', options.out, '--only', name])


def times_fragment(steps, epochs, settings, options):
    """Times by the logs; steps, epochs: records of steps.jsonl and log.jsonl."""
    seconds = np.array([record['seconds'] for record in steps])
    best = max(epochs, key=lambda record: record['test']['rate_sm'])
    low, middle, high = np.percentile(seconds, (5, 50, 95))
    rows = [['updates', len(seconds)],
            ['seconds an update: median (5 % to 95 %)', f'{middle:.2f} ({low:.2f} to {high:.2f})'],
            ['samples a second, median update', f'{settings["batch_size"] / middle:.1f}'],
            ['hours in updates, all together', f'{seconds.sum() / 3600:.2f}'],
            ['epochs', len(epochs)],
            ['minutes an epoch, without its evaluation: median',
             f'{np.median([record["seconds"] for record in epochs]) / 60:.1f}'],
            ['best epoch by the test rate', f'{best["epoch"]}: {best["test"]["rate_sm"]:.1f} %'],
            ['last epoch', f'{epochs[-1]["epoch"]}: {epochs[-1]["test"]["rate_sm"]:.1f} %']]
    n = settings.get('test_examples')
    note = f'Rates at radius {RADIUS}, joint model, one scale, {f"{n} test people" if n else "all test people"}.'
    return fragment('Training', markdown(['', settings_line(settings)], rows), training_command(settings, options),
                    note)


def settings_line(settings):
    return f'width {settings["width"]}, batch {settings["batch_size"]}'


def training_command(settings, options):
    """The command line that gives these settings: what differs from main.py's defaults."""
    import main as main_script
    defaults = vars(main_script.understand(['--train'])[0])
    words = ['python', 'main.py', '--train']
    for name, value in settings.items():
        if name in defaults and value != defaults[name] and name != 'run':
            values = value if isinstance(value, list) else [value]
            words += [f'--{name}', *(str(v) for v in values if v is not True)]
    words += ['--data', options.data, '--run', os.path.basename(os.path.normpath(options.run))]
    return shlex.join(words)


FIGURES = {'curves': make_curves, 'heat_maps_success': make_success, 'heat_maps_failure': make_failure,
           'poses_synthetic': make_poses, 'priors': make_priors, 'loss': make_loss, 'results': make_results}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--run', required=True, help='a run\'s folder, with its logs and checkpoints')
    parser.add_argument('--predictions', default='predictions.mat', help='what main.py wrote (default: %(default)s)')
    parser.add_argument('--data', default='arrays', help='folder of data.py (default: %(default)s)')
    parser.add_argument('--out', default='report', help='folder to write into (default: %(default)s)')
    parser.add_argument('--only', nargs='+', choices=FIGURES, default=list(FIGURES), metavar='NAME',
                        help=f'make these alone: {", ".join(FIGURES)}')
    parser.add_argument('--scales', choices=('single', 'multi'), default='single',
                        help='zooms whose heat maps are averaged: one, or eight (default: %(default)s)')
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
    files.run_script(main)
