"""Convolutional Pose Machines of Wei, Ramakrishna, Kanade and Sheikh (CVPR 2016): belief maps, refined stage by stage.

    crop 368x368 -> trunk: 3x3 convolutions 64 64 P 128 128 P 256 256 256 256 P 512 512 256 256 256 256 128      46x46
    stage 1: 1x1 convolutions 512, k + 1 of the trunk: a belief map of each of k joints, and one of the background
    stages 2 to 6: 7x7 convolutions 128 five times, 1x1 ones 128, k + 1, of
                   [the former stage's maps, the trunk, the centre map]

P halves by maxima; each convolution is + bias and, but for a stage's last, ReLU.  29,852,058 weights and biases with
LSP's 14 joints, 29,917,094 with MPII's 16.  The centre map is a Gaussian in the middle of the crop, where the person
is who is meant.  `--width` is the channels of the first layers; everything but the maps is in proportion to it.

The crop shows a person 200 pixels high, what lies outside the picture is black.  A target is a Gaussian around the
joint itself, of the background 1 minus the highest of the joints'.  The loss is the squared distance of each stage's
maps to the targets, of labelled joints, and all stages' are summed.  A joint is where the last stage's map peaks, by
the parabola through the logarithms there.  The evaluation sees the crop at seven scales, whose maps are brought back
and averaged.  The interface is described in systems/__init__.py.
"""

import numpy as np

from jointpose import datasets, systems
from jointpose.evaluation.meter import Meter
from jointpose.evaluation.pose import pose
from jointpose.metrics.key_points import pck
from jointpose.nn import layers, test_time_augmentation
from jointpose.nn.sums import ordered_sum
from jointpose.nn.tf1 import tf
from jointpose.systems import Network
from jointpose.training import towers
from jointpose.utils.cli import positive_float
from jointpose.vision import crops, heatmaps, map_images

DATASETS = ('lsp', 'mpii', 'flic', 'coco')
MOST_PEOPLE = None
MOST_STAGES = 6
OUTPUTS = {f'stage{stage + 1}': f'CPM, stage {stage + 1}' for stage in range(MOST_STAGES)}
SCORE = "height of the belief map's peak; 1 is the target's"
GIVEN = ()
SIDE, CELLS = 368, 368 // heatmaps.STRIDE  # of the crop, pixels; of a map
CENTRE_SIGMA = 21  # of the centre map, pixels
SCALES = (
    1.0,
    0.7,
    0.8,
    0.9,
    1.1,
    1.2,
    1.3,
)  # of the evaluation; the first is that to which maps are brought back
ZOOM, DEGREES = (0.7, 1.3), 40  # in training: least and largest scale, +- rotation
RADIUS = 25  # of the rate in logs, pixels of the crop

FULL_WIDTH, DEBUG_WIDTH = 64, 16
TRUNK = (
    (1, 1),
    (2, 2),
    (4, 4, 4, 4),
    (8, 8, 4, 4, 4, 4, 2),
)  # times `width`; a pooling between the groups
VGG = (
    'conv1_1',
    'conv1_2',
    'conv2_1',
    'conv2_2',
    'conv3_1',
    'conv3_2',
    'conv3_3',
    'conv3_4',
    'conv4_1',
    'conv4_2',
)
FLAT = 0.01  # deviation of a stage's last weights: maps start near targets of nobody

DEFAULTS = {'n_epochs': 300, 'batch_size': 5, 'optimizer': 'momentum', 'lmbd': 1e-6}
SCHEDULE = (
    (10 / 300, 0.1),
    (60 / 300, 0.01),
    (120 / 300, 0.001),
)  # (from this share of all updates on, factor)
FIXED = ('width', 'stages')
FIXED_IN_TRAINING = ('data_augm', 'rotation', 'zoom', 'sigma')
INPUTS = ()
CALL, WITHOUT_PREDICT, TRAINING_ONLY = ('flip_average',), (), ()

joints_of, n_points, takes_anchor, check_options = (
    systems.joints_of,
    systems.n_points,
    systems.takes_anchor,
    systems.check_options,
)
start, trained, decays, learning_rates = (
    systems.start,
    systems.trained,
    systems.decays,
    systems.learning_rates,
)
given, prepare, predictor = systems.given, systems.prepare, towers.predictor


# --- settings -----------------------------------------------------------------------------------------------------


def add_options(parser):
    network = parser.add_argument_group('network')
    systems.add_width(network, FULL_WIDTH, DEBUG_WIDTH, 'channels of the first layers')
    network.add_argument(
        '--stages',
        type=int,
        choices=range(1, MOST_STAGES + 1),
        default=MOST_STAGES,
        metavar='T',
        help=f'number of stages, 1 to {MOST_STAGES}',
    )
    network.add_argument(
        '--sigma',
        type=positive_float,
        default=32.0,
        metavar='PIXELS',
        help='standard deviation of the target Gaussians, in pixels of the crop',
    )
    network.add_argument(
        '--scales',
        choices=('multi', 'single'),
        default='multi',
        help='test scales whose maps are averaged: seven, or one',
    )
    network.add_argument(
        '--flip_average', action='store_true', help='flip test: average with the mirrored crops'
    )
    systems.add_augmentation(parser, 'scale, rotation, flip')


def input_size(options):
    return SIDE, SIDE


def scales_of(options):
    """The scales that --scales and --flip_average stand for, negative ones of the mirrored crop."""
    scales = SCALES if options.scales == 'multi' else SCALES[:1]
    return scales + tuple(-scale for scale in scales) if options.flip_average else scales


def n_views(options):
    return len(scales_of(options))


def about(options):
    return {'scales': list(scales_of(options))}


# --- samples ------------------------------------------------------------------------------------------------------


def cut(image, person, options, scale=1.0, degrees=0.0):
    """The crop of a person as high as 200 * |scale| pixels; of a negative scale, mirrored."""
    extent = SIDE * person.scale / abs(scale)
    matrix = crops.crop_matrix(person.centre, (extent, extent), (SIDE, SIDE), degrees, scale < 0)
    return crops.crop_person(
        image,
        person,
        matrix,
        (SIDE, SIDE),
        datasets.load(options.dataset).FLIP if scale < 0 else None,
    )


def training_sample(image, person, options, rng):
    """With --data_augm at another scale, turned, mirrored; else as the test people are."""
    if not options.data_augm:
        return test_sample(image, person, options)
    side = 1 if rng.random() < 0.5 else -1
    zoom = rng.uniform(*ZOOM)
    degrees, zoom = systems.turn_and_zoom(rng, options, rng.uniform(-DEGREES, DEGREES), zoom)
    return cut(image, person, options, side * zoom, degrees)


def test_sample(image, person, options):
    return cut(image, person, options)


def views(image, person, options):
    return [cut(image, person, options, scale) for scale in scales_of(options)]


def encode(joints_xy, visible, options):
    """Joints [n, k, 2], visible [n, k] -> maps [n, 46, 46, k + 1], the background's last, and what each counts
    [n, k + 1]: 1 where the joint is labelled; for the background, where all are."""
    k = len(joints_of(options))
    labelled = visible[:, :k] > 0
    cells = np.where(labelled[..., None], heatmaps.to_cells(joints_xy[:, :k]), 0)
    maps = heatmaps.render_gaussians(cells, (CELLS, CELLS), options.sigma / heatmaps.STRIDE)
    background = 1 - maps.max(axis=-1, keepdims=True)
    counts = np.concatenate([labelled, labelled.all(axis=1, keepdims=True)], axis=1)
    return {
        'heat_maps': np.concatenate([maps, background], axis=-1),
        'counts': counts.astype(np.float32),
    }


def targets(options):
    k = len(joints_of(options))
    return {'heat_maps': (CELLS, CELLS, k + 1), 'counts': (k + 1,)}


# --- graph --------------------------------------------------------------------------------------------------------


def build(images, targets, options, training, portable=False, tower=0, n=None):
    """Crops uint8 [b, 368, 368, 3] -> Network of the joints' maps float32 [b, 46, 46, k] of each stage.

    parts: {stage: maps [b, 46, 46, k + 1]}, the background's last.
    """
    k, shown = len(joints_of(options)), {}
    nobody = np.eye(k + 1, dtype=np.float32)[k]  # where the maps start: background everywhere

    def layer(x, name, size, channels, deviation=None):
        with tf.variable_scope(name):
            x = layers.conv_bias(x, size, channels, deviation=deviation)
        shown[name] = x if deviation else tf.nn.relu(x)
        return shown[name]

    x = features = trunk(images, options.width, layer)  # [b, 46, 46, 128]
    beliefs = {}
    for stage in range(1, options.stages + 1):
        name, hidden = f'stage{stage}', 2 * options.width
        if stage == 1:
            x = layer(x, f'{name}/conv1', 1, 8 * options.width)
        else:
            x = tf.concat([beliefs[f'stage{stage - 1}'], features, centre_map(images)], axis=-1)
            for i in range(1, 6):
                x = layer(x, f'{name}/conv{i}', 7, hidden)
            x = layer(x, f'{name}/conv6', 1, hidden)
        beliefs[name] = layer(x, f'{name}/maps', 1, k + 1, FLAT) + nobody
    return Network({name: maps[..., :k] for name, maps in beliefs.items()}, shown, {}, beliefs)


def trunk(images, width, layer):
    """RGB uint8 [b, 368, 368, 3] -> [b, 46, 46, 2 * width]; layer(x, name, size, channels) makes one."""
    x = tf.cast(images, tf.float32) / 256 - 0.5
    for group, factors in enumerate(TRUNK, 1):
        x = layers.max_pool(x) if group > 1 else x
        for i, factor in enumerate(factors, 1):
            x = layer(x, f'conv{group}_{i}', 3, factor * width)
    return x


def centre_map(images):
    """The Gaussian in the crop's middle, for each of the images: float32 [b, 46, 46, 1]."""
    middle = heatmaps.to_cells(np.full((1, 1, 2), SIDE / 2))
    gaussian = heatmaps.render_gaussians(middle, (CELLS, CELLS), CENTRE_SIGMA / heatmaps.STRIDE)
    return tf.tile(tf.constant(gaussian), [tf.shape(images)[0], 1, 1, 1])


def losses(network, targets, options):
    """Each stage's squared distance: sum over cells, mean over k + 1 maps; maps that do not count have none."""
    return {
        name: layers.squared_distance(maps, targets['heat_maps'], targets['counts'])
        for name, maps in network.parts.items()
    }


def objective(losses, options):
    """Intermediate supervision: all stages count alike."""
    return ordered_sum(list(losses.values()))


def foreign(weights):
    """VGG's first ten layers: {name: (weights, bias)} -> {variable: array}.  Its first filters see blue, green, red
    (Caffe's) in 256ths of what ours do."""
    result = {}
    for name in VGG:
        if name in weights:
            filters, result[f'{name}/bias'] = weights[name]
            result[f'{name}/weights'] = filters[:, :, ::-1] * 256 if name == VGG[0] else filters
    return result


def combine(maps, options):
    """Maps of a crop's scales -> their mean at the first of them."""
    return test_time_augmentation.merge_views(
        maps, scales_of(options), systems.flip_of(options), scaled=False
    )


# --- results ------------------------------------------------------------------------------------------------------


def decode(maps, options):
    """[n, 46, 46, k] -> one Pose a crop, in its pixels."""
    maps = np.maximum(maps, 0)
    joints_xy, scores = heatmaps.decode(maps), np.minimum(maps.max(axis=(1, 2)), 1)
    return [[pose(*person)] for person in zip(joints_xy, scores)]


def meter(options, names, sums=None):
    """Losses, and the share of labelled joints within RADIUS pixels of the truth, in the crop."""
    joints = joints_of(options)

    def measure(outputs, facts):
        truth, visible = facts.joints_xy[:, : len(joints)], facts.visible[:, : len(joints)]
        found = {
            name: np.stack([poses[0].joints_xy for poses in decode(maps, options)])
            for name, maps in outputs.items()
        }
        rates = {
            name: pck(xy, truth, visible, np.ones(len(xy)), RADIUS) for name, xy in found.items()
        }
        return {name: rate for name, (rate, _) in rates.items()}, rates[names[-1]][1]

    return Meter(joints, names, measure, sums)


def portable(network):
    answer = list(network.outputs.values())[-1]
    return {'joints': layers.decode(tf.nn.relu(answer)), 'heat_maps': answer}


# --- TensorBoard --------------------------------------------------------------------------------------------------


def maps(targets, outputs):
    """What is shown: the outputs are maps."""
    return {**({'target': targets['heat_maps'][..., :-1]} if targets else {}), **outputs}


def pictures(variables):
    yield 'network/conv1_1_filters', map_images.filter_grid(variables['conv1_1/weights'])
