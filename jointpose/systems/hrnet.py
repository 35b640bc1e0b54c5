"""HRNet-w32 of Sun, Xiao, Liu and Wang (CVPR 2019): a person's crop seen at four resolutions at once, from end to end.

    crop 256x256 -> stem: two 3x3/2, 64 channels                                           64x64
    stage 1: four bottlenecks of 64, 256 channels out
    stage 2: 1 module of branches    32 (64x64), 64 (32x32)
    stage 3: 4 modules of            32, 64, 128 (16x16)
    stage 4: 3 modules of            32, 64, 128, 256 (8x8), the last one's output is its first branch alone
    1x1 convolution -> a heat map of each joint, 64x64

In a module each branch is four basic blocks; then every branch gets the sum of all, brought to its size by a 1x1
convolution and repeated cells (up) or by strided 3x3 ones (down).  A convolution has no bias and is followed by batch
norm, and by ReLU but before a sum.  28,536,113 weights, biases, scales and offsets with COCO's 17 joints, 28,536,080
with MPII's 16 (published: 28.5 M).  `--width` is the first branch's; everything is in proportion to it.

A target is a Gaussian of 2 cells around the cell nearest to the joint, cell (r, c) standing for the point (4c, 4r); the
loss is half the mean squared difference, of labelled joints.  A joint is a quarter of a cell beside its map's peak,
towards the higher neighbour.  Mirrored maps come back one cell too far left, and are moved there before averaging: a
mirrored crop's point 4c is the crop's 256 - 4c, cell 64 - c.  The interface is described in systems/__init__.py.
"""

import numpy as np

from jointpose import datasets, systems
from jointpose.evaluation.meter import of_joints
from jointpose.evaluation.pose import pose
from jointpose.nn import layers
from jointpose.nn.sums import ordered_sum
from jointpose.nn.tf1 import tf
from jointpose.systems import Network, flip_of, joints_of
from jointpose.training import towers
from jointpose.vision import crops, heatmaps, map_images

DATASETS, MOST_PEOPLE = ('mpii', 'coco', 'lsp', 'flic'), None
OUTPUTS = {'hrnet': 'HRNet'}
SCORE = "height of the heat map's peak; 1 is the target's"
GIVEN = ()
SIDE, STRIDE = 256, 4  # of the crop, of a cell: pixels
CELLS = SIDE // STRIDE
SIGMA, REACH = 2, 6  # of a target, cells
MARGIN = 1.25  # the crop's side in heights of the person
BELOW = {'mpii': 15}  # pixels at scale 1 from the annotated centre to the crop's
SCALES, DEGREES, TURNED = (
    0.25,
    30,
    0.6,
)  # in training: deviations of scale and rotation, share of crops turned

FULL_WIDTH, DEBUG_WIDTH = (
    32,
    16,
)  # of the first branch; fewer than joints cannot make maps of them all
MODULES, BLOCKS = (
    (1, 4, 3),
    4,
)  # modules of stages 2 to 4, blocks of stage 1 and of a module's branch
EXPANSION = 4  # of a bottleneck: channels out over channels within
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's RGB, as 0..1
QUIET = 0.1  # of He's deviation: what enters a sum, where no batch norm bounds it
FLAT = 0.001  # deviation of the last layer's weights: maps start near 0, as targets are

DEFAULTS = {'n_epochs': 210, 'batch_size': 32, 'lmbd': 0.0}
SCHEDULE = ((170 / 210, 0.1), (200 / 210, 0.01))  # (from this share of all updates on, rate factor)
FIXED = ('width', 'no_batch_norm', 'identity')
FIXED_IN_TRAINING = ('data_augm', 'rotation', 'zoom')
INPUTS = ()
CALL, WITHOUT_PREDICT, TRAINING_ONLY = ('flip_average',), (), ()

n_points, takes_anchor, check_options = (
    systems.n_points,
    systems.takes_anchor,
    systems.check_options,
)
start, foreign, trained = systems.start, systems.foreign, systems.trained
given, prepare = systems.given, systems.prepare
decays, learning_rates, predictor = systems.decays, systems.learning_rates, towers.predictor


# --- settings -----------------------------------------------------------------------------------------------------


def add_options(parser):
    network = parser.add_argument_group('network')
    systems.add_width(network, FULL_WIDTH, DEBUG_WIDTH, 'channels of the first branch')
    network.add_argument(
        '--flip_average', action='store_true', help='flip test: average with the mirrored crop'
    )
    systems.add_augmentation(parser, 'scale, rotation, flip')
    ablations = parser.add_argument_group('ablations', 'the method without one of its parts')
    ablations.add_argument(
        '--no_batch_norm', action='store_true', help='biases instead of batch norm'
    )
    ablations.add_argument('--identity', action='store_true', help='no ReLUs')


def input_size(options):
    return SIDE, SIDE


def n_views(options):
    return 2 if options.flip_average else 1


def about(options):
    return {'flip_average': options.flip_average}


# --- samples ------------------------------------------------------------------------------------------------------


def crop_of(person, options, zoom=1, degrees=0, mirrored=False):
    """The matrix from a picture to a person's crop."""
    below = BELOW.get(options.dataset, 0) * person.scale
    extent = MARGIN * 200 * person.scale / zoom
    return crops.crop_matrix(
        person.centre + np.array([0, below]), (extent, extent), (SIDE, SIDE), degrees, mirrored
    )


def cut(image, person, matrix, mirrored, options):
    return crops.crop_person(
        image,
        person,
        matrix,
        (SIDE, SIDE),
        datasets.load(options.dataset).FLIP if mirrored else None,
    )


def training_sample(image, person, options, rng):
    """With --data_augm at another scale, turned, mirrored; else as the test people are."""
    if not options.data_augm:
        return test_sample(image, person, options)
    extent = 1 + np.clip(SCALES * rng.normal(), -SCALES, SCALES)
    degrees = (
        np.clip(DEGREES * rng.normal(), -2 * DEGREES, 2 * DEGREES) if rng.random() < TURNED else 0
    )
    mirrored = rng.random() < 0.5
    degrees, zoom = systems.turn_and_zoom(rng, options, degrees, 1 / extent)
    return cut(image, person, crop_of(person, options, zoom, degrees, mirrored), mirrored, options)


def test_sample(image, person, options):
    return cut(image, person, crop_of(person, options), False, options)


def views(image, person, options):
    """The crop, and with --flip_average its mirror image."""
    return [
        cut(image, person, crop_of(person, options, mirrored=mirrored), mirrored, options)
        for mirrored in (False, True)[: n_views(options)]
    ]


def encode(joints_xy, visible, options):
    """Joints [n, k, 2], visible [n, k] -> maps [n, 64, 64, k], and what each counts [n, k]: 1 where the joint is
    labelled and its Gaussian reaches into the crop."""
    k = len(joints_of(options))
    cell = np.floor(joints_xy[:, :k] / STRIDE + 0.5)
    near = ((cell >= -REACH) & (cell < CELLS + REACH)).all(axis=-1)
    counts = (near & (visible[:, :k] > 0)).astype(np.float32)
    cell = np.where(counts[..., None] > 0, cell, -2 * REACH)  # far enough for an empty map
    return {
        'heat_maps': heatmaps.render_gaussians(cell, (CELLS, CELLS), SIGMA, REACH),
        'counts': counts,
    }


def targets(options):
    k = len(joints_of(options))
    return {'heat_maps': (CELLS, CELLS, k), 'counts': (k,)}


# --- graph --------------------------------------------------------------------------------------------------------


def build(images, targets, options, training, portable=False, tower=0, n=None):
    """Crops uint8 [b, 256, 256, 3] -> Network of maps float32 [b, 64, 64, k], linear."""
    make = Layers(training, not options.no_batch_norm, not options.identity)
    x, shown = trunk(images, options.width, make)
    with tf.variable_scope('maps'):
        maps = layers.conv_bias(x, 1, len(joints_of(options)), deviation=FLAT)  # [b, 64, 64, k]
    return Network({'hrnet': maps}, {**shown, 'maps': maps}, make.statistics, None)


def losses(network, targets, options):
    """Half the squared difference, mean over cells and joints; joints that do not count have none."""
    distance = layers.squared_distance(
        network.outputs['hrnet'], targets['heat_maps'], targets['counts']
    )
    return {'hrnet': distance / (2 * CELLS**2)}


def objective(losses, options):
    return losses['hrnet']


def combine(maps, options):
    """Maps of crops, each followed by its mirror image's with --flip_average -> their means."""
    if not options.flip_average:
        return maps
    back = tf.gather(maps[1::2, :, ::-1], flip_of(options), axis=-1)
    return (maps[::2] + tf.concat([back[:, :, :1], back[:, :, :-1]], axis=2)) / 2


# --- trunk --------------------------------------------------------------------------------------------------------


class Layers:
    """Makes convolutions, each with what follows it; collects what the batch norms' moving averages are to learn.

    normalise: with batch norm; without, with a bias.  activate: ReLU, or identity (both: the ablations).
    """

    def __init__(self, training, normalise=True, activate=True):
        self.training, self.normalise, self.activate = training, normalise, activate
        self.statistics = {}

    def conv(self, x, name, size, channels, stride=1):
        """Convolution, batch norm, ReLU."""
        return self.relu(self.summand(x, name, size, channels, stride, quiet=False))

    def summand(self, x, name, size, channels, stride=1, quiet=True):
        """Convolution and batch norm: what is added to something before its ReLU.

        quiet: without batch norm the sums of 16 modules and blocks would grow without bound: they start small.
        """
        with tf.variable_scope(name):
            he = (2 / (size * size * x.shape.as_list()[-1])) ** 0.5
            deviation = QUIET * he if quiet and not self.normalise else he
            conv = layers.conv if self.normalise else layers.conv_bias
            x = conv(x, size, channels, stride, padding='CENTRED', deviation=deviation)
            if self.normalise:
                x, moments = layers.batch_norm(x, self.training)
                self.statistics.update(moments)
        return x

    def relu(self, x):
        return tf.nn.relu(x) if self.activate else x


def trunk(images, width, make):
    """RGB uint8 [b, h, w, 3] -> ([b, h/4, w/4, width], {name: activation}); h and w are multiples of 32.

    make: Layers.  Variables come from the current variable scope.
    """
    x = (tf.cast(images, tf.float32) / 255 - MEAN) / DEVIATION
    shown = {}
    for i in (1, 2):
        x = shown[f'stem/conv{i}'] = make.conv(
            x, f'stem/conv{i}', 3, 2 * width, stride=2
        )  # [b, h/4, w/4, 64]
    for i in range(BLOCKS):
        x = bottleneck(x, f'stage1/block{i + 1}', 2 * width, make)  # [b, h/4, w/4, 256]
    shown['stage1'] = x
    branches = [x]
    for stage, modules in enumerate(MODULES, 2):
        branches = transition(branches, f'stage{stage}', [width << i for i in range(stage)], make)
        for i in range(modules):
            last = stage == len(MODULES) + 1 and i == modules - 1
            branches = module(branches, f'stage{stage}/module{i + 1}', 1 if last else stage, make)
        shown.update({f'stage{stage}/branch{i + 1}': branch for i, branch in enumerate(branches)})
    return branches[0], shown


def bottleneck(x, name, channels, make):
    """x + 1x1, 3x3, 1x1 of it, EXPANSION * channels out; x through a 1x1 where it has another number of them."""
    with tf.variable_scope(name):
        y = make.conv(x, 'conv1', 1, channels)
        y = make.conv(y, 'conv2', 3, channels)
        y = make.summand(y, 'conv3', 1, EXPANSION * channels)
        if x.shape.as_list()[-1] != EXPANSION * channels:
            x = make.summand(x, 'shortcut', 1, EXPANSION * channels, quiet=False)
        return make.relu(x + y)


def basic_block(x, name, make):
    """x + 3x3, 3x3 of it."""
    with tf.variable_scope(name):
        channels = x.shape.as_list()[-1]
        return make.relu(x + make.summand(make.conv(x, 'conv1', 3, channels), 'conv2', 3, channels))


def transition(branches, name, widths, make):
    """Branches of the given widths: those there are, through a 3x3 where the width is another, and a new one from the
    last by a strided 3x3."""
    last, old = branches[-1], len(branches)
    branches = [
        x if x.shape.as_list()[-1] == width else make.conv(x, f'{name}/transition{i + 1}', 3, width)
        for i, (x, width) in enumerate(zip(branches, widths))
    ]
    return branches + [make.conv(last, f'{name}/transition{old + 1}', 3, widths[old], stride=2)]


def module(branches, name, outputs, make):
    """BLOCKS basic blocks on each branch, then the first `outputs` branches as sums of all."""
    with tf.variable_scope(name):
        for block in range(BLOCKS):
            branches = [
                basic_block(x, f'branch{i + 1}/block{block + 1}', make)
                for i, x in enumerate(branches)
            ]
        return [
            make.relu(
                ordered_sum([brought(x, j, i, branches, make) for j, x in enumerate(branches)])
            )
            for i in range(outputs)
        ]


def brought(x, source, target, branches, make):
    """Branch `source`, x, at the resolution and with the channels of branch `target`."""
    name, channels = f'fuse{source + 1}_{target + 1}', branches[target].shape.as_list()[-1]
    if source > target:
        return layers.enlarge_nearest(make.summand(x, name, 1, channels), 2 ** (source - target))
    for step in range(target - source - 1):
        x = make.conv(x, f'{name}/conv{step + 1}', 3, x.shape.as_list()[-1], stride=2)
    return (
        make.summand(x, f'{name}/conv{target - source}', 3, channels, stride=2)
        if source < target
        else x
    )


# --- results ------------------------------------------------------------------------------------------------------


def meter(options, names, sums=None):
    """Losses, and the data set's rate."""
    return of_joints(
        datasets.load(options.dataset), names, lambda maps: decode(maps, options), sums
    )


def decode(maps, options):
    """[n, 64, 64, k] -> one Pose a crop, in its pixels."""
    joints_xy = STRIDE * heatmaps.decode_quarter_cell(maps)
    return [[pose(*person)] for person in zip(joints_xy, np.clip(maps.max(axis=(1, 2)), 0, 1))]


def portable(network):
    maps = network.outputs['hrnet']
    return {
        'joints': tf.cast(STRIDE * layers.peak_positions(maps, layers.quarter_offset), tf.float32),
        'heat_maps': maps,
    }


# --- TensorBoard --------------------------------------------------------------------------------------------------


def maps(targets, outputs):
    return {**({'target': targets['heat_maps']} if targets else {}), **outputs}


def pictures(variables):
    yield 'network/stem_filters', map_images.filter_grid(variables['stem/conv1/weights'])
