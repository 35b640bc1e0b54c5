"""Tompson, Jain, LeCun and Bregler (NIPS 2014): part detector and spatial model, trained jointly.

    frame -> part detector (model.py) -> nine heat maps `pd`
    + map of the person's torso, batch norm -> spatial model (spatial_model.py) -> nine heat maps `sm`

Each map is a distribution over the 60x90 cells; the loss is the cross-entropy with targets of 3x3 cells, of both
models, the detector's as an auxiliary one.  In evaluation a frame is seen at eight zooms, whose maps are brought back
and averaged (nn/test_time_augmentation.py); a joint is where its mean map peaks.  Whose joints is said by the torso: annotated,
clicked at, or inferred (systems/tompson/torso_inference.py).  The interface is described in systems/__init__.py.
"""

import argparse
import functools
import os

import numpy as np

from jointpose import model, pairwise_distr, spatial_model, systems
from jointpose.datasets import flic
from jointpose.datasets.flic import (
    HEIGHT,
    JOINTS,
    MAP_HEIGHT,
    MAP_WIDTH,
    N_JOINTS,
    N_MAPS,
    WIDTH,
    clamp_to_frame,
)
from jointpose.evaluation.meter import Meter
from jointpose.evaluation.pose import pose
from jointpose.metrics.key_points import detection_rate, normalised_errors
from jointpose.nn import layers, test_time_augmentation
from jointpose.nn.tf1 import tf
from jointpose.systems import Network, Sought
from jointpose.systems.tompson import people_search, torso_inference
from jointpose.training import batches, optimiser, towers
from jointpose.training.devices import computes_bfloat16
from jointpose.training.options import group
from jointpose.utils.cli import (
    finite_float,
    fraction,
    nonnegative_float,
    nonnegative_int,
    positive_float,
)
from jointpose.utils.log import log
from jointpose.vision import affine, augmentation, heatmaps, map_images
from jointpose.vision.affine import invert
from jointpose.vision.crops import Sample, fit_to_frame

DATASETS = ('flic',)
MOST_PEOPLE = None
OUTPUTS = {'pd': 'part detector', 'sm': 'joint model'}
SCORE = f'share of the heat map within {heatmaps.CONFIDENCE_RADIUS} cells of its peak'
GIVEN = ('torso_map',)
FULL_WIDTH, DEBUG_WIDTH = 64, 16  # channels of the first layers
LINEAR_SCALE = (
    0.003  # of the linear maps: He's start alone gives a gradient norm of 42,805 at step 1
)
AT_ONCE = 8  # views that are looked at together
RADIUS = 10  # of the rates in log and TensorBoard, % of ||lhip - rsho||

DEFAULTS, SCHEDULE = {}, optimiser.SCHEDULE
FIXED = ('width', 'use_sm', 'banks', 'no_batch_norm', 'loss', 'self_connections', 'unary')
FIXED_IN_TRAINING = (
    'data_augm',
    'decode',
    'priors',
    'no_auxiliary_loss',
    'rotation',
    'zoom',
    'shift',
    'colour',
    'dropout_boxes',
    'precision',
    'targets',
    'spatial_dropout',
    'energy_decay',
    'train_only',
    'torso_from',
)
INPUTS = ('torso_from',)
CALL, WITHOUT_PREDICT = (
    ('infer_torso', 'flip_average', 'threshold', 'zooms'),
    ('infer_torso', 'torso_from'),
)
TRAINING_ONLY = ('decode',)


# --- settings -----------------------------------------------------------------------------------------------------


def add_options(parser):
    add_network(parser)
    add_training(parser)
    add_augmentation(parser)
    add_evaluation(parser)
    add_ablations(parser)


def add_network(parser):
    network = group(parser, 'network')
    systems.add_width(network, FULL_WIDTH, DEBUG_WIDTH, 'channels of the first layers')
    network.add_argument(
        '--use_sm', action='store_true', help='add the spatial model and train both jointly'
    )
    network.add_argument(
        '--priors',
        choices=('exact', 'reference', 'uniform'),
        default='exact',
        help='how the priors of the spatial model are initialised from the histograms',
    )
    network.add_argument(
        '--torso_from',
        choices=('joints', 'torsobox'),
        default='joints',
        help='ground-truth torso that the spatial model is given, in training and evaluation: the '
        "mean of the annotated shoulders and hips, or the centre of FLIC's torsobox, a "
        "detection; an evaluation may override the run's",
    )
    network.add_argument(
        '--conv',
        choices=('auto', 'direct', 'fft'),
        default='auto',
        help='how convolutions are computed: affects the speed only',
    )


def add_training(parser):
    training = group(parser, 'training')
    training.add_argument(
        '--train_only',
        choices=('detector', 'spatial'),
        help="train this part and freeze the other at the weights of --init: the paper's stages "
        'before joint training',
    )
    training.add_argument(
        '--targets',
        choices=('cell', 'subcell'),
        default='cell',
        help='centre the target heat maps on the cell of the joint, or on the joint itself',
    )
    training.add_argument(
        '--spatial_dropout',
        type=fraction,
        default=0.0,
        metavar='P',
        help='fraction of the feature maps dropped before conv5',
    )
    training.add_argument(
        '--energy_decay',
        type=nonnegative_float,
        default=0.0,
        metavar='LMBD',
        help='weight decay of the energies and biases of the spatial model, towards uniform priors',
    )
    training.add_argument(
        '--precision',
        choices=('float32', 'bfloat16'),
        default='float32',
        help='compute type of the part detector in training; bfloat16 is faster on processors that '
        'support it; weights and evaluation are always float32',
    )


def add_evaluation(parser):
    """Of test people and of one's own pictures."""
    evaluation = group(parser, 'evaluation')
    evaluation.add_argument(
        '--scales',
        choices=('multi', 'single'),
        default='multi',
        help='test scales whose maps are averaged: eight, or one',
    )
    evaluation.add_argument(
        '--flip_average', action='store_true', help='flip test: average with the mirrored frame'
    )
    evaluation.add_argument(
        '--decode',
        choices=('subcell', 'argmax'),
        default='subcell',
        help='interpolate the peak of the heat map, or take the centre of the highest cell',
    )
    evaluation.add_argument(
        '--infer_torso',
        action='store_true',
        help='use the inferred instead of the ground-truth torso',
    )
    pictures = group(parser, 'pictures of your own')
    pictures.add_argument(
        '--threshold',
        type=fraction,
        default=0.5,
        metavar='P',
        help='min score of a person; those of --torso and --boxes are marked below it',
    )
    pictures.add_argument(
        '--zooms',
        nargs='+',
        type=zoom_to_look_at,
        default=list(people_search.ZOOMS),
        metavar='Z',
        help='image pyramid for the people search: scales relative to the picture fitted to '
        '720x480; larger levels are tiled',
    )
    pictures.add_argument(
        '--certainty',
        nargs=2,
        type=finite_float,
        metavar=('EVEN', 'STEEPNESS'),
        help='score calibration: midpoint and slope of the logistic curve that maps the torso '
        'score to 0..1, as fitted by python -m tools.certainty (default: that of '
        'pretrained/flic)',
    )


def zoom_to_look_at(text):
    """argparse type: a number > 0, up to crowd.LARGEST."""
    value = positive_float(text)
    if value > people_search.LARGEST:
        raise argparse.ArgumentTypeError(f'must be <= {people_search.LARGEST}, got {text}')
    return value


def add_augmentation(parser):
    augmented = group(parser, 'augmentation')
    augmented.add_argument(
        '--data_augm',
        action='store_true',
        help='augment the training data: flip, light, rotation, crop, and what follows',
    )
    augmented.add_argument(
        '--rotation',
        type=nonnegative_float,
        default=10.0,
        metavar='DEGREES',
        help='by up to +- this',
    )
    augmented.add_argument(
        '--zoom',
        nargs=2,
        type=positive_float,
        default=[1.0, 1.0],
        metavar=('LOW', 'HIGH'),
        help='enlarged around the centre by a factor between these, its logarithm uniform',
    )
    augmented.add_argument(
        '--shift',
        type=nonnegative_float,
        default=0.0,
        metavar='PIXELS',
        help='moved by up to +- this along each axis',
    )
    augmented.add_argument(
        '--colour',
        type=fraction,
        default=0.0,
        metavar='G',
        help='each colour channel times a factor of its own within 1 +- G',
    )
    augmented.add_argument(
        '--dropout_boxes',
        type=nonnegative_int,
        default=0,
        metavar='N',
        help='coarse dropout: noise in N random rectangles',
    )


def add_ablations(parser):
    ablations = group(parser, 'ablations', 'what the method is without one of its parts')
    ablations.add_argument(
        '--no_batch_norm', action='store_true', help="leave the part detector's batch norms out"
    )
    ablations.add_argument(
        '--loss',
        choices=('cross_entropy', 'squared'),
        default='cross_entropy',
        help='squared: distance to the target maps, as in the paper',
    )
    ablations.add_argument(
        '--no_auxiliary_loss', action='store_true', help="train on the spatial model's loss alone"
    )
    ablations.add_argument(
        '--self_connections', action='store_true', help='priors of joints on themselves, too'
    )
    ablations.add_argument(
        '--banks',
        type=int,
        choices=range(1, len(model.BANKS) + 1),
        default=len(model.BANKS),
        help='resolutions at which the detector sees the frame, the finest first',
    )
    ablations.add_argument(
        '--unary',
        choices=('softplus', 'relu'),
        default='softplus',
        help='what makes the maps positive that enter the spatial model: as in the reference, or as '
        "in the paper's formula",
    )


def check_options(options):
    for name in (
        'no_auxiliary_loss',
        'self_connections',
        'infer_torso',
        'energy_decay',
        'train_only',
    ):
        if getattr(options, name) and not options.use_sm:
            raise ValueError(f'--{name} goes with --use_sm: there is no spatial model')
    if options.torso_from != 'joints' and not options.use_sm:
        raise ValueError(
            f'--torso_from {options.torso_from} goes with --use_sm: without a spatial model no torso is '
            'given'
        )
    if options.train_only == 'spatial' and options.init is None:
        raise ValueError(
            '--train_only spatial goes with --init: it needs a detector that finds something'
        )
    if options.train_only and options.no_auxiliary_loss:
        raise ValueError('--no_auxiliary_loss: goes without --train_only, which has one loss')
    if options.train and options.precision == 'bfloat16' and not computes_bfloat16(options.gpus):
        raise ValueError(
            '--precision bfloat16: this processor has no instructions for it (avx512_bf16, amx_bf16)'
        )
    ranges = augmentation.ranges_from_options(options)._asdict().items()
    changed = [
        f'--{name}' for name, value in ranges if value != getattr(augmentation.DEFAULT_RANGES, name)
    ]
    if changed and not options.data_augm:
        raise ValueError(f'{", ".join(changed)}: without --data_augm nothing is augmented')
    if options.certainty and options.certainty[1] <= 0:
        raise ValueError('--certainty: STEEPNESS must be > 0')
    systems.check_zoom(options)


def input_size(options):
    return HEIGHT, WIDTH


def n_points(options):
    return N_MAPS


def takes_anchor(options):
    """Whether a point may say who is meant: the torso, which the spatial model alone is given."""
    return options.use_sm


def scales_of(options):
    """The zooms that --scales and --flip_average stand for, negative ones of the mirrored frame."""
    scales = (
        test_time_augmentation.SCALES if options.scales == 'multi' else (single_scale(options),)
    )
    return scales + tuple(-scale for scale in scales) if options.flip_average else scales


def single_scale(options):
    """The zoom of the log's test figures and of --scales single: what training frames have on average."""
    return 1 / augmentation.CROP_FRACTION if options.data_augm else 1.0


def n_views(options):
    return len(scales_of(options))


def about(options):
    return {'scales': list(scales_of(options)), 'decode': options.decode}


# --- samples ------------------------------------------------------------------------------------------------------


def prepare(split, options):
    """The split whose tenth points, the torsos, are those of --torso_from: from here on each is a point like the
    joints, which views and augmentation take along."""
    if options.torso_from == 'joints':
        return split
    return split._replace(joints=flic.torso_from_box(split.joints, split.people['torsobox']))


def in_frame(image, person):
    """A picture of any size in a frame; returns (image uint8 [480, 720, 3], joints_xy [10, 2] within it, the matrix
    from picture to frame)."""
    image, matrix = fit_to_frame(image, (HEIGHT, WIDTH))
    return image, clamp_to_frame(affine.transform_points(matrix, person.joints_xy)), matrix


def training_sample(image, person, options, rng):
    """Augmented with --data_augm, else as the test people are."""
    if not options.data_augm:
        return test_sample(image, person, options)
    image, joints_xy, matrix = in_frame(image, person)
    image, joints_xy, warped = augmentation.augment(
        image, joints_xy, flic.FLIP, rng, augmentation.ranges_from_options(options)
    )
    return Sample(
        image, joints_xy, flic.visibility(joints_xy), invert(affine.compose(matrix, warped))
    )


def test_sample(image, person, options):
    """A test frame at one scale; rates are ratios of lengths and bear it.  It costs the few joints (0.2 % on FLIC) that
    leave the frame; the multi-scale evaluation sees whole frames."""
    scale = single_scale(options)
    (zoomed,) = zooms(image, person, (scale,))
    return zoomed._replace(
        to_image=affine.compose(
            invert(test_time_augmentation.view_matrix(scale, (WIDTH, HEIGHT))), zoomed.to_image
        )
    )


def views(image, person, options):
    """A Sample each of the scales: image uint8 [480, 720, 3], joints (x, y) pixels of that view."""
    return zooms(image, person, scales_of(options))


def zooms(image, person, scales):
    """Views of the frame, to which `combine` brings them back."""
    image, joints_xy, matrix = in_frame(image, person)
    return [
        Sample(one, xy, flic.visibility(xy), invert(matrix))
        for one, xy in zip(
            test_time_augmentation.scaled_images(image, scales),
            test_time_augmentation.scaled_points(joints_xy, (WIDTH, HEIGHT), scales, flic.FLIP),
        )
    ]


def encode(joints_xy, visible, options):
    """Joints [n, 10, 2] -> the nine heat maps to be found, empty where there is no label; the torso's, which is given;
    and for the squared loss, to which an empty map is one to be learnt, what each joint counts [n, 9]."""
    shape, subcell = (MAP_HEIGHT, MAP_WIDTH), options.targets == 'subcell'
    made = {
        'heat_maps': heatmaps.render_targets(joints_xy[:, :N_JOINTS], shape, subcell),
        'torso_map': heatmaps.render_targets(joints_xy[:, N_JOINTS:], shape),
    }
    if options.loss == 'squared':
        made['counts'] = (visible[:, :N_JOINTS] > 0).astype(np.float32)
    return made


def given(joints_xy, options):
    """The torso's map, to the spatial model."""
    if not options.use_sm:
        return {}
    return {'torso_map': heatmaps.render_targets(joints_xy[:, N_JOINTS:], (MAP_HEIGHT, MAP_WIDTH))}


def targets(options):
    shapes = {
        'heat_maps': (MAP_HEIGHT, MAP_WIDTH, N_JOINTS),
        'torso_map': (MAP_HEIGHT, MAP_WIDTH, 1),
    }
    return {**shapes, 'counts': (N_JOINTS,)} if options.loss == 'squared' else shapes


# --- graph --------------------------------------------------------------------------------------------------------


def build(images, targets, options, training, portable=False, tower=0, n=None):
    """The whole network on one device: images uint8 [b, 480, 720, 3] -> Network of maps float32 [b, 60, 90, 9].

    parts: (logits {name: [b, 60, 90, 9]}, spatial_model.SpatialModel or None).
    portable: plain convolutions and products of matrices only, the same function.
    tower: its number; in training, each drops other maps, by the seed and the step alone.
    n: samples that it gets in training, for the choice of how to convolve.
    """
    drop, frozen = None, options.train_only == 'spatial'
    if training and options.spatial_dropout and not frozen:
        seed = [options.seed + (tower << 32), tf.train.get_or_create_global_step()]
        drop = functools.partial(layers.dropout, rate=options.spatial_dropout, seed=seed)
    conv, method = (
        ('direct', 'matmul')
        if portable
        else (options.conv, 'stacked' if options.predict else 'fft')
    )
    with tf.variable_scope('part_detector'):
        detector = model.build(
            images,
            options.width,
            training,
            conv,
            not options.no_batch_norm,
            drop,
            options.banks,
            frozen,
            tf.as_dtype(options.precision) if training else tf.float32,
            n,
        )
    maps, logits = {'pd': detector.heat_maps}, {'pd': detector.logits}
    if options.loss == 'squared':  # linear maps, as in the paper; what is negative is no joint
        logits['pd'] = LINEAR_SCALE * detector.logits
        maps['pd'] = tf.nn.relu(logits['pd'])
    shown = {**detector.layers, 'conv6': detector.logits}
    if not options.use_sm:
        return Network(maps, shown, detector.statistics, (logits, None))
    with tf.variable_scope('spatial_model'):
        unary = tf.concat([maps['pd'], targets['torso_map']], axis=-1)  # [b, 60, 90, 10]
        unary, statistics = layers.batch_norm(unary, training)
        spatial = spatial_model.build(
            unary,
            method,
            options.self_connections,
            options.unary,
            keep_spectra=not training and conv != 'direct',
        )
    maps['sm'], logits['sm'] = layers.spatial_softmax(spatial.logits), spatial.logits
    return Network(
        maps,
        {**shown, 'spatial_model': spatial.logits},
        {**detector.statistics, **statistics},
        (logits, spatial),
    )


def losses(network, targets, options):
    """Each sample's loss of part detector and spatial model, mean over the joints.

    'squared' (the paper's): the detector's maps are its linear outputs, the spatial model's its normalised marginals.
    """
    logits, wanted = network.parts[0], targets['heat_maps']
    if options.loss == 'cross_entropy':
        return {name: cross_entropy(x, wanted) for name, x in logits.items()}
    return {
        name: layers.squared_distance(x, wanted, targets['counts'])
        for name, x in {**network.outputs, 'pd': logits['pd']}.items()
    }


def cross_entropy(logits, targets):
    """Spatial cross-entropy, mean over joints: [b, 60, 90, 9] twice -> [b].

    - sum(target * log softmax(logits)) for any mass of the target, whose map may be cut at the border or empty.
    """
    height, width, k = logits.shape[1:]
    logits, targets = (tf.reshape(x, [-1, height * width, k]) for x in (logits, targets))
    mass = tf.reduce_sum(targets, axis=1)  # [b, 9]
    return tf.reduce_mean(
        mass * tf.reduce_logsumexp(logits, axis=1) - tf.reduce_sum(targets * logits, axis=1), axis=1
    )


def objective(losses, options):
    """The detector's loss is an auxiliary one where there is a spatial model."""
    if options.train_only == 'detector':
        return losses['pd']
    if options.use_sm and (options.no_auxiliary_loss or options.train_only):
        return losses['sm']
    return sum(list(losses.values())[1:], losses['pd'])


def trained(name, options):
    """Whether training changes the variable of this name."""
    part = {'detector': 'part_detector/', 'spatial': 'spatial_model/'}.get(options.train_only, '')
    return name.startswith(part)


def decays(options):
    """Of convolution weights and, towards uniform priors, of the spatial model; not of biases or batch norm."""
    return {
        'weights': options.lmbd,
        'energies': options.energy_decay,
        'biases': options.energy_decay,
    }


def learning_rates(options):
    """All variables learn alike."""
    return {}


def start(options, people, manifest):
    """The priors of pairwise_distr.py are where the spatial model's energies [81, 120, 180] start."""
    if not options.use_sm:
        return {}
    path = os.path.join(options.data, pairwise_distr.FILE)
    histograms = pairwise_distr.load(path, manifest['id'], options.torso_from)
    if options.validation or options.train_examples:  # the file knows those left out, too
        histograms = pairwise_distr.pairwise_histograms(people.joints)
    histograms = histograms[: len(spatial_model.PAIRS_TO_JOINTS)]
    if options.self_connections:
        nowhere_else = pairwise_distr.smoothed_point()  # a joint is where it is
        histograms = np.concatenate([histograms, np.repeat(nowhere_else[None], N_JOINTS, axis=0)])
    return {'spatial_model/energies': spatial_model.initial_energies(histograms, options.priors)}


def foreign(weights):
    """Nobody else's layers are like these."""
    return {}


def combine(maps, options):
    """Maps [n * S, 60, 90, 9] of S zooms a frame -> their mean in the frame, [n, 60, 90, 9]."""
    return test_time_augmentation.merge_views(maps, scales_of(options), flic.FLIP[:N_JOINTS])


# --- results ------------------------------------------------------------------------------------------------------


def predictor(session, evaluation, options):
    """run(feed=None, given=True) -> ({name: maps [n, 60, 90, 9]}, torso_xy [n, 2] or None, back [n, 2, 3]) of the next
    batch, or of the one fed; given: its torso maps say who is meant, else, as with --infer_torso, it is inferred from
    the detector's.  The detector sees a frame once, however many people are asked for in it."""
    batch, inference = evaluation.batch, evaluation.inference
    detectors, spatial = (
        [network.outputs['pd'] for network in inference.networks],
        inference.networks[0].parts[1],
    )
    priors = spatial and torso_inference.priors(session.run(spatial.energies))
    look = test_time_augmentation.cached_by_frame(
        lambda images: session.run(inference.outputs['pd'], {batch.images: images}),
        n_views(options),
    )

    def run(feed=None, given=True):
        values, torso_xy = session.run(batch, feed), None
        seen = {**batches.feed(batch, values), **towers.feed_towers(detectors, look(values.images))}
        if spatial and (options.infer_torso or not given):
            torso_xy = torso_inference.infer(session.run(evaluation.combined['pd'], seen), priors)
            seen[batch.targets['torso_map']] = torso_inference.torso_maps(
                torso_xy, scales_of(options)
            )
        outputs, back = session.run([evaluation.combined, evaluation.back], seen)
        return outputs, torso_xy, back

    return run


def seeker(session, evaluation, options):
    """seek(image, points_xy=None, boxes=None) -> [Sought, ...]: the people of a picture (systems/tompson/people_search.py), one pass of the
    detector over the zooms for all whom one view shows in their right size."""
    if options.certainty is None:
        log(
            "note: people's scores go by the curve of pretrained/flic; python -m tools.certainty fits one to this run"
        )
    priors = torso_inference.priors(session.run(evaluation.inference.networks[0].parts[1].energies))
    detectors = [network.outputs['pd'] for network in evaluation.inference.networks]
    scales, images, torso_map = (
        scales_of(options),
        evaluation.batch.images,
        evaluation.batch.targets['torso_map'],
    )

    def look(views):
        parts = [
            np.stack([view.image for view in views[i : i + AT_ONCE]])
            for i in range(0, len(views), AT_ONCE)
        ]
        return np.concatenate(
            [session.run(evaluation.inference.outputs['pd'], {images: part}) for part in parts]
        )

    def seek(image, points_xy=None, boxes=None, before=None):
        if before is not None:
            seen = people_search.still_there(image, [one.seen for one in before])
        elif points_xy is not None:
            seen = [
                people_search.at_point(look, priors, image, xy, options.zooms) for xy in points_xy
            ]
        elif boxes is not None:
            seen = [people_search.in_box(look, priors, image, box) for box in boxes]
        else:
            seen = people_search.everybody(look, priors, image, options.zooms)
        answers = {
            id(one): answer
            for group in people_search.by_view(seen)
            for one, answer in zip(group, together(group))
        }
        found = [answers[id(one)] for one in seen]
        if points_xy is not None or boxes is not None:
            return found
        found = [one for one in found if one.score >= options.threshold]
        return [found[i] for i in people_search.without_legs([trunk_of(one) for one in found])]

    def trunk_of(one):
        (pose,) = decode(one.output, options)[0]
        return people_search.trunk(affine.transform_points(one.back, pose.joints_xy), one.score)

    def together(seen):
        view = seen[0].view
        feed = {images: test_time_augmentation.scaled_images(view.image, scales)}
        maps, found = session.run([evaluation.combined['pd'], detectors], feed)
        feed.update(zip(detectors, found))
        for person in people_search.again(maps[0], priors, seen):
            answer = session.run(
                evaluation.combined['sm'],
                {**feed, torso_map: torso_inference.torso_maps(person.torso_xy[None], scales)},
            )
            there = people_search.Seen(
                view, people_search.to_picture(view, person.torso_xy), person.score
            )
            score = people_search.certainty(person.score, options.certainty or people_search.CURVE)
            yield Sought(answer, person.torso_xy, invert(view.matrix), score, there)

    return seek


def decode(maps, options):
    """[n, 60, 90, 9] -> one Pose a frame, in its pixels."""
    joints_xy = heatmaps.decode(maps, options.decode == 'subcell')
    return [[pose(xy, heatmaps.peak_confidence(one))] for xy, one in zip(joints_xy, maps)]


def meter(options, names, sums=None):
    """Losses, and detection rates at RADIUS."""

    def measure(maps, facts):
        return rates(maps, facts.joints_xy, options), (facts.visible[:, :N_JOINTS] > 0).sum(axis=0)

    return Meter(JOINTS, names, measure, sums)


def rates(maps, joints_xy, options):
    """{name: maps [b, 60, 90, 9]}, truth [b, 10, 2] -> {name: rate of each joint at RADIUS, float64 [9], %}."""
    truth = joints_xy[:, :N_JOINTS].astype(np.float64)
    return {
        name: detection_rate(
            normalised_errors(
                heatmaps.decode(one, options.decode == 'subcell'), truth, flic.normaliser(truth)
            ),
            RADIUS,
        )
        for name, one in maps.items()
    }


def portable(network):
    answer = list(network.outputs.values())[-1]
    return {
        'joints': layers.decode(answer),
        'heat_maps': answer,
        'part_detector_maps': network.outputs['pd'],
    }


# --- TensorBoard --------------------------------------------------------------------------------------------------


def maps(targets, outputs):
    """What is shown: the outputs are maps."""
    return {**({'target': targets['heat_maps']} if targets else {}), **outputs}


def pictures(variables):
    """The first filters, and priors and biases as the spatial model uses them: through softplus."""
    for bank in model.BANKS:
        if f'conv1_{bank}/weights' in variables:
            yield (
                f'network/conv1_{bank}_filters',
                map_images.filter_grid(variables[f'conv1_{bank}/weights']),
            )
    for kind, name in (
        ('priors', 'spatial_model/energies'),
        ('more/biases', 'spatial_model/biases'),
    ):
        for (joint, condjoint), values in zip(
            spatial_model.PAIRS_TO_JOINTS, variables.get(name, ())
        ):
            label = f'{flic.MAPS[joint]} given {flic.MAPS[condjoint]}'
            values = spatial_model.numpy_softplus(values)
            yield f'{kind}/{label.replace(" ", "_")}', map_images.map_image(values, label)
