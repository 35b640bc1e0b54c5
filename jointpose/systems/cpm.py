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

The crop shows the person as the authors' code does: 234 pixels high, grey outside of the picture;
with `--crop plain` 200 pixels high and black.  The target of a joint is a Gaussian around it, that
of the background is 1 minus the maximum of the joints'.  The loss is the squared distance of the
maps of labelled joints to their targets, summed over the stages.  A joint is the peak of the last
stage's map, interpolated by a parabola through the logarithms.  The evaluation averages the maps of
seven scales.  systems/base.py describes the interface.
"""

import numpy as np

from jointpose.datasets.flic import UPPER_BODY
from jointpose.evaluation.pose import pose
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
CENTRE_WINDOW = 9  # pixels that a cell of the released centre map is the mean of, along each axis
# The authors' crop: sides of MPII's scale are enlarged to this many; FLIC's scale and centre come
# from the torsobox, in heights of it; and what lies outside of the picture has this grey.
TARGET_SCALE = 41 / 35
FLIC_SCALE = 0.011  # a pixel
FLIC_CENTRE = -0.2  # below the torsobox's middle
GREY = 128
SCALES = (1.0, 0.7, 0.8, 0.9, 1.1, 1.2, 1.3)  # of the evaluation; maps are merged at the first
ZOOM = (0.7, 1.3)  # range of scales in training
DEGREES = 40  # +- rotation in training

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
VGG_MEAN = (103.939, 116.779, 123.68)  # of blue, green and red, which VGG's inputs are less
MAPS_DEVIATION = 0.01  # of a stage's last weights: maps start near those of an empty crop


RELEASED_JOINTS = (
    'head',
    'neck',
    'rsho',
    'relb',
    'rwri',
    'lsho',
    'lelb',
    'lwri',
    'rhip',
    'rkne',
    'rank',
    'lhip',
    'lkne',
    'lank',
)


class CPM(System):
    """Belief maps of a person's crop, refined stage by stage."""

    DATASETS = ('lsp', 'mpii', 'flic', 'coco', 'own')
    OUTPUTS = {f'stage{i}': f'CPM, stage {i}' for i in range(1, MAX_STAGES + 1)}
    SCORE = "height of the belief map's peak; 1 is the target's"
    DEFAULTS = {'n_epochs': 300, 'batch_size': 5, 'optimizer': 'momentum', 'lmbd': 1e-6}
    SCHEDULE = ((10 / 300, 0.1), (60 / 300, 0.01), (120 / 300, 0.001))
    FORMER = {'crop': 'plain'}
    FULL_WIDTH = 64
    DEBUG_WIDTH = 16
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
            '--crop',
            choices=('released', 'plain'),
            default='released',
            scope='input',
            help="released: as the authors' code crops, a person 234 pixels high, grey beyond the "
            'picture; plain: 200 pixels, black, as earlier versions did',
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

    @property
    def is_released(self) -> bool:
        """Whether --crop asks for the crop and the centre map of the authors' code."""
        return self.options.crop == 'released'

    def centre_and_scale(self, person):
        """The point [2] in the middle of a person's crop; their height in 200 pixels of the crop.

        FLIC's people are given by the box of their upper body, which has the torsobox's proportions.
        """
        if not self.is_released:
            return person.centre, person.scale
        if self.options.dataset != 'flic':
            return person.centre, person.scale / TARGET_SCALE
        left, top, right, bottom = person.box
        _, above, _, below = UPPER_BODY
        torso = (bottom - top) / (below - above)  # height of the torsobox
        centre = np.array([(left + right) / 2, top + (FLIC_CENTRE - above) * torso])
        return centre, FLIC_SCALE * torso / TARGET_SCALE

    def crop(self, image, person, scale=1.0, degrees=0.0):
        """The Sample that shows a person 200 * |scale| pixels high; mirrored if scale < 0.

        With the authors' crop, 234 * |scale| pixels.
        """
        centre, person_scale = self.centre_and_scale(person)
        extent = SIDE * person_scale / abs(scale)
        matrix = crops.crop_matrix(centre, (extent, extent), (SIDE, SIDE), degrees, scale < 0)
        flip = self.dataset.flip if scale < 0 else None
        grey = GREY if self.is_released else 0
        return crops.crop_person(image, person, matrix, (SIDE, SIDE), flip, grey)

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
        centre = tf.tile(tf.constant(centre_map(self.is_released)), [tf.shape(images)[0], 1, 1, 1])
        beliefs = {}
        for stage in range(1, self.options.stages + 1):
            name = f'stage{stage}'
            if stage == 1:
                x = layer(features, f'{name}/conv1', 1, 8 * width)
            else:
                before = beliefs[f'stage{stage - 1}']
                x = tf.concat([before, features, centre], axis=-1)
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

    def convert_weights(self, weights):
        """A whole released model, or VGG's first ten layers, both from Caffe.

        Their first filters take blue, green, red; VGG's in 0..255 less a mean, the released ones in
        256ths of 0..255 less a half, as ours.
        """
        if any(name.startswith('Mconv') or name.endswith('_CPM') for name in weights):
            return self.convert_released(weights)
        result = {}
        for name in VGG:
            if name not in weights:
                continue
            filters, bias = weights[name]
            if name == VGG[0]:
                # Within the picture: 0 is grey here, and VGG's mean there.
                bias = bias + np.einsum('rcdf,d->f', filters, 128 - np.array(VGG_MEAN))
                filters = filters[:, :, ::-1] * 256
            result[f'{name}/weights'] = filters
            result[f'{name}/bias'] = bias
        return result

    def convert_released(self, weights):
        """A released model, of six stages with VGG's first layers: all of its layers, or ValueError."""
        options = self.options
        if sorted(self.joints) != sorted(RELEASED_JOINTS):
            raise ValueError("a released model has LSP's 14 joints: --dataset lsp")
        if options.stages != MAX_STAGES or options.width != self.FULL_WIDTH:
            raise ValueError(
                'a released model has six stages at full width: omit --stages, --width'
            )
        names = released_names()
        if missing := sorted(names.keys() - weights.keys()):
            raise ValueError(f'a released model, but without {", ".join(missing)}')
        if unknown := sorted(weights.keys() - names.keys()):
            raise ValueError(f'no layers of the released model: {", ".join(unknown)}')
        k = len(self.joints)
        order = [*(RELEASED_JOINTS.index(joint) for joint in self.joints), k]
        result = {}
        for (theirs, ours), shape in zip(names.items(), released_shapes(k)):
            filters, bias = weights[theirs]
            if filters.shape != shape or bias.shape != shape[-1:]:
                raise ValueError(
                    f'{theirs} is of shape {filters.shape} and {bias.shape}, expected {shape} '
                    f'and {shape[-1:]}: [rows, columns, inputs, outputs]'
                )
            if ours == VGG[0]:
                filters = filters[:, :, ::-1]
            if theirs.startswith('Mconv1'):  # its first inputs are the maps of the stage before
                filters = np.concatenate([filters[:, :, order], filters[:, :, k + 1 :]], axis=2)
            if ours.endswith('maps'):
                filters = filters[..., order]
                bias = bias[order] - np.eye(k + 1, dtype=np.float32)[k]  # ours start as background
            result[f'{ours}/weights'] = filters
            result[f'{ours}/bias'] = bias
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


def centre_map(released: bool) -> np.ndarray:
    """The Gaussian in the middle of the crop: float32 [1, 46, 46, 1].

    released: the mean of windows, around the middle that the authors' code has, which counts pixels
    from 1; else the value in the middle of each cell.
    """
    if not released:
        middle = heatmaps.to_cells(np.full((1, 1, 2), SIDE / 2))
        return heatmaps.render_gaussians(middle, (CELLS, CELLS), CENTRE_SIGMA / heatmaps.STRIDE)
    pixels = np.arange(SIDE) + 1
    profile = np.exp(-((pixels - SIDE / 2) ** 2) / (2 * CENTRE_SIGMA**2))
    # The last window is cut off at the crop's edge.
    starts = heatmaps.STRIDE * np.arange(CELLS)
    means = np.array([profile[start : start + CENTRE_WINDOW].mean() for start in starts])
    return np.outer(means, means)[None, :, :, None].astype(np.float32)


# --- the released model ---------------------------------------------------------------------------


def released_names() -> dict[str, str]:
    """{name of a layer in Caffe: our name}, in the network's order."""
    names = {name: name for name in VGG}
    for i in range(3, 8):
        names[f'conv4_{i}_CPM'] = f'conv4_{i}'
    names['conv5_1_CPM'] = 'stage1/conv1'
    names['conv5_2_CPM'] = 'stage1/maps'
    for stage in range(2, MAX_STAGES + 1):
        for i in range(1, 7):
            names[f'Mconv{i}_stage{stage}'] = f'stage{stage}/conv{i}'
        names[f'Mconv7_stage{stage}'] = f'stage{stage}/maps'
    return names


def released_shapes(k: int) -> list[tuple[int, int, int, int]]:
    """Shapes of the layers' filters, [rows, columns, inputs, outputs], in the order of the names."""
    width = CPM.FULL_WIDTH
    shapes = []
    channels = 3
    for factors in TRUNK:
        for factor in factors:
            shapes.append((3, 3, channels, factor * width))
            channels = factor * width
    shapes += [(1, 1, channels, 8 * width), (1, 1, 8 * width, k + 1)]
    inner = 2 * width
    later = [(7, 7, k + 1 + channels + 1, inner), *[(7, 7, inner, inner)] * 4]
    later += [(1, 1, inner, inner), (1, 1, inner, k + 1)]
    return shapes + later * (MAX_STAGES - 1)
