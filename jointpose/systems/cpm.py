"""Convolutional Pose Machines, Wei, Ramakrishna, Kanade and Sheikh, CVPR 2016.

    crop 368x368 -> trunk: 3x3 convolutions 64 64 P 128 128 P 256 256 256 256 P
                           512 512 256 256 256 256 128                                46x46
    stage 1: 1x1 convolutions 512, k + 1 of the trunk: a belief map for each of the k joints,
             and one for the background
    stages 2 to 6: 7x7 convolutions 128 five times, 1x1 convolutions 128, k + 1, of
                   [the maps of the stage before, the trunk, the centre map]

P is a max pooling that halves the size.  Each convolution has a bias and, except for the last of a
stage, a ReLU.  There are 29,852,058 weights and biases with LSP's 14 joints, 29,917,094 with MPII's
16.  The centre map is a Gaussian in the middle of the crop, where the target person is.  `--width`
is the number of channels of the first layers; all others except the maps are in proportion to it.

The crop shows the person 200 pixels high; it is black outside of the picture.  The target of a
joint is a Gaussian around it, that of the background is 1 minus the maximum of the joints'.  The
loss is the squared distance of the maps of labelled joints to their targets, summed over the
stages.  A joint is the peak of the last stage's map, interpolated by a parabola through the
logarithms.  The evaluation averages the maps of seven scales.  systems/base.py describes the
interface.
"""

import numpy as np

from jointpose.evaluation.meter import RATE, Meter
from jointpose.evaluation.pose import pose
from jointpose.metrics.key_points import pck
from jointpose.nn import layers, peaks, test_time_augmentation
from jointpose.nn.tf1 import tf
from jointpose.options.scopes import add, group
from jointpose.systems.base import Network, System
from jointpose.utils.cli import positive_float
from jointpose.vision import crops, heatmaps, map_images

MAX_STAGES = 6
SIDE = 368  # of the crop, pixels
CELLS = SIDE // heatmaps.STRIDE  # of a map
CENTRE_SIGMA = 21  # of the centre map, pixels
SCALES = (1.0, 0.7, 0.8, 0.9, 1.1, 1.2, 1.3)  # of the evaluation; maps are merged at the first
ZOOM = (0.7, 1.3)  # range of scales in training
DEGREES = 40  # +- rotation in training
RADIUS = 25  # of the rate in logs, pixels of the crop

# Channels of the trunk, times `width`; between two groups there is a pooling.
TRUNK = (
    (1, 1),
    (2, 2),
    (4, 4, 4, 4),
    (8, 8, 4, 4, 4, 4, 2),
)
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
MAPS_DEVIATION = 0.01  # of a stage's last weights: maps start near those of an empty crop


class CPM(System):
    """Belief maps of a person's crop, refined stage by stage."""

    DATASETS = ('lsp', 'mpii', 'flic', 'coco', 'own')
    OUTPUTS = {f'stage{i}': f'CPM, stage {i}' for i in range(1, MAX_STAGES + 1)}
    SCORE = "height of the belief map's peak; 1 is the target's"
    DEFAULTS = {'n_epochs': 300, 'batch_size': 5, 'optimizer': 'momentum', 'lmbd': 1e-6}
    SCHEDULE = ((10 / 300, 0.1), (60 / 300, 0.01), (120 / 300, 0.001))
    FULL_WIDTH = 64
    DEBUG_WIDTH = 16
    SHORT_TRAINING = (
        '--width',
        '8',
        '--stages',
        '3',
        '--sigma',
        '16',
        '--scales',
        'single',
        '--clip_norm',
        '0',
    )
    TEST_OPTIONS = ('--width', '1', '--stages', '2', '--scales', 'single')

    # --- options --------------------------------------------------------------------------------

    @classmethod
    def add_options(cls, parser):
        cls.add_width(parser, 'channels of the first layers')
        network = group(parser, 'network')
        add(
            network,
            '--stages',
            type=int,
            choices=range(1, MAX_STAGES + 1),
            default=MAX_STAGES,
            metavar='T',
            scope='network',
            help=f'number of stages, 1 to {MAX_STAGES}',
        )
        add(
            network,
            '--sigma',
            type=positive_float,
            default=32.0,
            metavar='PIXELS',
            scope='training',
            help='standard deviation of the target Gaussians, in pixels of the crop',
        )
        add(
            network,
            '--scales',
            choices=('multi', 'single'),
            default='multi',
            help='test scales whose maps are averaged: seven, or one',
        )
        cls.add_flip_test(parser)
        cls.add_augmentation(parser, 'scale, rotation, flip')

    @property
    def input_size(self):
        return SIDE, SIDE

    @property
    def scales(self) -> tuple[float, ...]:
        """Scales of the evaluation, by --scales and --flip_average; negative: mirrored crops."""
        scales = SCALES if self.options.scales == 'multi' else SCALES[:1]
        if not self.options.flip_average:
            return scales
        return scales + tuple(-scale for scale in scales)

    @property
    def n_views(self):
        return len(self.scales)

    def describe(self):
        return {'scales': list(self.scales)}

    # --- samples --------------------------------------------------------------------------------

    def crop(self, image, person, scale=1.0, degrees=0.0):
        """The Sample that shows a person 200 * |scale| pixels high; mirrored if scale < 0."""
        extent = SIDE * person.scale / abs(scale)
        matrix = crops.crop_matrix(
            person.centre, (extent, extent), (SIDE, SIDE), degrees, scale < 0
        )
        flip = self.dataset.flip if scale < 0 else None
        return crops.crop_person(image, person, matrix, (SIDE, SIDE), flip)

    def training_sample(self, image, person, rng):
        """With --data_augm scaled, rotated and mirrored at random."""
        if not self.options.data_augm:
            return self.test_sample(image, person)
        side = 1 if rng.random() < 0.5 else -1
        zoom = rng.uniform(*ZOOM)
        degrees, zoom = self.rotation_and_zoom(rng, rng.uniform(-DEGREES, DEGREES), zoom)
        return self.crop(image, person, side * zoom, degrees)

    def test_sample(self, image, person):
        return self.crop(image, person)

    def views(self, image, person):
        return [self.crop(image, person, scale) for scale in self.scales]

    def encode(self, joints_xy, visible):
        """Maps [n, 46, 46, k + 1], the background's last, and a mask of those that count [n, k + 1].

        A joint's map counts if the joint is labelled, the background's if all joints are.
        """
        k = len(self.joints)
        labelled = visible[:, :k] > 0
        cells = np.where(labelled[..., None], heatmaps.to_cells(joints_xy[:, :k]), 0)
        maps = heatmaps.render_gaussians(
            cells, (CELLS, CELLS), self.options.sigma / heatmaps.STRIDE
        )
        background = 1 - maps.max(axis=-1, keepdims=True)
        counts = np.concatenate([labelled, labelled.all(axis=1, keepdims=True)], axis=1)
        return {
            'heat_maps': np.concatenate([maps, background], axis=-1),
            'counts': counts.astype(np.float32),
        }

    def target_shapes(self):
        k = len(self.joints)
        return {'heat_maps': (CELLS, CELLS, k + 1), 'counts': (k + 1,)}

    # --- graph ----------------------------------------------------------------------------------

    def build(self, images, targets, training, portable=False, tower=0, n=None):
        """Crops uint8 [b, 368, 368, 3] -> maps of the joints, float32 [b, 46, 46, k], of each stage.

        parts: {stage: maps [b, 46, 46, k + 1]}, the background's last.
        """
        k = len(self.joints)
        shown = {}
        empty = np.eye(k + 1, dtype=np.float32)[k]  # maps start as background everywhere

        def layer(x, name, size, channels, deviation=None):
            with tf.variable_scope(name):
                x = layers.conv_bias(x, size, channels, deviation=deviation)
            shown[name] = x if deviation else tf.nn.relu(x)
            return shown[name]

        width = self.options.width
        features = trunk(images, width, layer)  # [b, 46, 46, 128]
        beliefs = {}
        for stage in range(1, self.options.stages + 1):
            name = f'stage{stage}'
            if stage == 1:
                x = layer(features, f'{name}/conv1', 1, 8 * width)
            else:
                before = beliefs[f'stage{stage - 1}']
                x = tf.concat([before, features, centre_map(images)], axis=-1)
                for i in range(1, 6):
                    x = layer(x, f'{name}/conv{i}', 7, 2 * width)
                x = layer(x, f'{name}/conv6', 1, 2 * width)
            beliefs[name] = layer(x, f'{name}/maps', 1, k + 1, MAPS_DEVIATION) + empty
        outputs = {name: maps[..., :k] for name, maps in beliefs.items()}
        return Network(outputs, shown, {}, beliefs)

    def losses(self, network, targets):
        """Each stage's squared distance: sum over cells, mean over the k + 1 maps that count."""
        return {
            name: layers.squared_distance(maps, targets['heat_maps'], targets['counts'])
            for name, maps in network.parts.items()
        }

    @classmethod
    def convert_weights(cls, weights):
        """VGG's first ten layers, from Caffe.

        Its first filters take blue, green, red in 0..255, ours red, green, blue in 256ths of that.
        """
        result = {}
        for name in VGG:
            if name in weights:
                filters, result[f'{name}/bias'] = weights[name]
                result[f'{name}/weights'] = filters[:, :, ::-1] * 256 if name == VGG[0] else filters
        return result

    def merge_views(self, output):
        """Maps of a crop's scales -> their mean at the first of these."""
        return test_time_augmentation.merge_views(output, self.scales, self.flip, scaled=False)

    # --- results --------------------------------------------------------------------------------

    def decode(self, output):
        """[n, 46, 46, k] -> one Pose a crop."""
        maps = np.maximum(output, 0)
        joints_xy = heatmaps.decode(maps)
        scores = np.minimum(maps.max(axis=(1, 2)), 1)
        return [[pose(*person)] for person in zip(joints_xy, scores)]

    def meter(self, names, sums=None):
        """Losses, and the rate of labelled joints within RADIUS pixels of the truth, in the crop."""
        k = len(self.joints)

        def measure(outputs, facts):
            truth = facts.joints_xy[:, :k]
            visible = facts.visible[:, :k]
            rates = {}
            for name, maps in outputs.items():
                joints_xy = np.stack([poses[0].joints_xy for poses in self.decode(maps)])
                units = np.ones(len(joints_xy))
                rates[name], counts = pck(joints_xy, truth, visible, units, RADIUS)
            return {RATE: (rates, counts)}

        return Meter(self.joints, names, measure, sums)

    def export_outputs(self, network):
        prediction = list(network.outputs.values())[-1]
        return {'joints': peaks.decode(tf.nn.relu(prediction)), 'heat_maps': prediction}

    # --- TensorBoard ----------------------------------------------------------------------------

    def score_maps(self, targets, outputs):
        target = {'target': targets['heat_maps'][..., :-1]} if targets else {}
        return {**target, **outputs}

    def image_summaries(self, variables):
        yield 'network/conv1_1_filters', map_images.filter_grid(variables['conv1_1/weights'])


# --- parts of the network -------------------------------------------------------------------------


def trunk(images, width, layer):
    """RGB uint8 [b, 368, 368, 3] -> [b, 46, 46, 2 * width].

    layer(x, name, size, channels) adds a convolution with its ReLU.
    """
    x = tf.cast(images, tf.float32) / 256 - 0.5
    for number, factors in enumerate(TRUNK, 1):
        x = layers.max_pool(x) if number > 1 else x
        for i, factor in enumerate(factors, 1):
            x = layer(x, f'conv{number}_{i}', 3, factor * width)
    return x


def centre_map(images):
    """The Gaussian in the middle of the crop, for each of the images: float32 [b, 46, 46, 1]."""
    middle = heatmaps.to_cells(np.full((1, 1, 2), SIDE / 2))
    gaussian = heatmaps.render_gaussians(middle, (CELLS, CELLS), CENTRE_SIGMA / heatmaps.STRIDE)
    return tf.tile(tf.constant(gaussian), [tf.shape(images)[0], 1, 1, 1])
