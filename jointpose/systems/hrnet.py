"""HRNet-w32, Sun, Xiao, Liu and Wang, CVPR 2019: a person's crop at four resolutions throughout.

    crop 256x256 -> stem: two 3x3/2, 64 channels                                           64x64
    stage 1: four bottlenecks of 64, 256 channels out
    stage 2: 1 module of branches    32 (64x64), 64 (32x32)
    stage 3: 4 modules of            32, 64, 128 (16x16)
    stage 4: 3 modules of            32, 64, 128, 256 (8x8); the last one has only its first output
    1x1 convolution -> a heat map for each joint, 64x64

In a module each branch consists of four basic blocks; then every branch gets the sum of all
branches, resampled to its size by a 1x1 convolution and nearest-neighbour upsampling, or by strided
3x3 convolutions.  A convolution has no bias and is followed by batch norm, and by a ReLU except
before a sum.  There are 28,536,113 weights, biases, scales and offsets with COCO's 17 joints,
28,536,080 with MPII's 16 (published: 28.5 M).  `--width` is the first branch's; all else is in
proportion to it.

A target is a Gaussian of 2 cells around the cell nearest to the joint, where cell (r, c) stands for
the centre of pixel (4r, 4c); the loss is half the mean squared difference over labelled joints.  A
joint is a quarter of a cell from the peak of its map, towards the higher neighbour.  The crop of a
COCO person is 256 pixels high and 192 wide: their box, widened to that ratio.  The authors'
code counts pixels: the person's centre is the centre of the crop's pixel (128, 128).  Maps of
mirrored crops come back almost a cell too far left (pixel i is pixel 255 - i), and are shifted by
one before averaging.  systems/base.py describes the interface.
"""

from typing import NamedTuple

import numpy as np

from jointpose.evaluation.pose import pose
from jointpose.nn import hrnet_weights, layers, peaks
from jointpose.nn.sums import ordered_sum
from jointpose.nn.tf1 import tf
from jointpose.options.scopes import add, group
from jointpose.systems.base import Network, System
from jointpose.vision import affine, crops, heatmaps, map_images
from jointpose.vision.half_body import half_body

STRIDE = 4  # of a cell, pixels
PIXEL_CENTRE = 0.5  # the authors' coordinate i of a pixel is i + 0.5 of ours
SIGMA = 2  # of a target, cells
REACH = 6  # of a target, cells
MARGIN = 1.25  # sides of the crop, in those of the person
ROTATED = 0.6  # fraction of the crops that are rotated in training

MODULES = (1, 4, 3)  # in stages 2 to 4
BLOCKS = 4  # in stage 1, and in each branch of a module
EXPANSION = 4  # of a bottleneck: output channels / inner channels
MEAN = (0.485, 0.456, 0.406)  # of ImageNet's RGB in 0..1
DEVIATION = (0.229, 0.224, 0.225)
SUMMAND_SCALE = 0.1  # of He's deviation, for summands without batch norm, which would bound the sum
MAPS_DEVIATION = 0.001  # of the last layer's weights: maps start near 0, like the targets


class Recipe(NamedTuple):
    """What the authors' configurations and readers have for a data set."""

    size: tuple[int, int] = (256, 256)  # (height, width) of the crop, pixels
    scale: float = 0.25  # standard deviation of the scale in training
    degrees: float = 30  # standard deviation of the rotation in training
    below: float = 0  # pixels at scale 1 from the annotated centre down to the crop's
    half_bodies: float = 0  # fraction of the crops that show half a body in training


RECIPES = {
    'mpii': Recipe(below=15),
    'coco': Recipe((256, 192), scale=0.35, degrees=45, half_bodies=0.3),
}
UPPER_BODY = ('nose', 'eye', 'ear', 'sho', 'elb', 'wri')  # ends of joints' names


class HRNet(System):
    """Heat maps of a person's crop."""

    DATASETS = ('mpii', 'coco', 'lsp', 'flic', 'own')
    OUTPUTS = {'hrnet': 'HRNet'}
    SCORE = "height of the heat map's peak; 1 is the target's"
    DEFAULTS = {'n_epochs': 210, 'batch_size': 32, 'lmbd': 0.0}
    SCHEDULE = ((170 / 210, 0.1), (200 / 210, 0.01))
    FULL_WIDTH = 32
    DEBUG_WIDTH = 16  # fewer channels than joints could not make a map for each
    TEST_OPTIONS = ('--width', '4')

    # --- options --------------------------------------------------------------------------------

    @classmethod
    def add_options(cls, parser):
        cls.add_width(parser, 'channels of the first branch')
        cls.add_flip_test(parser, default=True)
        cls.add_augmentation(parser, 'scale, rotation, flip')
        ablations = group(parser, 'ablations', 'the method without one of its parts')
        add(
            ablations,
            '--no_batch_norm',
            action='store_true',
            scope='network',
            help='biases instead of batch norm',
        )
        add(ablations, '--identity', action='store_true', scope='network', help='no ReLUs')

    @property
    def recipe(self) -> Recipe:
        return RECIPES.get(self.options.dataset, Recipe())

    @property
    def input_size(self):
        return self.recipe.size

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the crop, pixels."""
        return self.input_size[::-1]

    @property
    def map_size(self) -> tuple[int, int]:
        """(rows, columns) of a heat map."""
        height, width = self.input_size
        return height // STRIDE, width // STRIDE

    @property
    def n_views(self):
        return 2 if self.options.flip_average else 1

    def describe(self):
        return {'flip_average': self.options.flip_average}

    # --- samples --------------------------------------------------------------------------------

    def extent(self, person):
        """(width, height) of what the crop shows, pixels of the picture: [2].

        A square of the person's scale, or their box, widened or heightened to the crop's ratio.
        """
        crop_width, crop_height = self.size
        if crop_width == crop_height:
            return MARGIN * 200 * np.repeat(person.scale, 2)
        width, height = person.box[2:] - person.box[:2]
        height = max(height, width * crop_height / crop_width)
        return MARGIN * height * np.array([crop_width / crop_height, 1])

    def crop_matrix(self, person, zoom=1, degrees=0, mirrored=False):
        """The matrix [2, 3] from a picture to a person's crop."""
        below = self.recipe.below * person.scale
        centre = person.centre + np.array([0, below])
        extent = self.extent(person) / zoom
        matrix = crops.crop_matrix(centre, extent, self.size, degrees, mirrored)
        return affine.compose(matrix, affine.translate(PIXEL_CENTRE, PIXEL_CENTRE))

    def crop(self, image, person, matrix, mirrored=False):
        """The Sample of a person's crop."""
        flip = self.dataset.flip if mirrored else None
        return crops.crop_person(image, person, matrix, self.size, flip)

    def training_sample(self, image, person, rng):
        """With --data_augm scaled, rotated and mirrored at random; of COCO also half bodies."""
        if not self.options.data_augm:
            return self.test_sample(image, person)
        if self.recipe.half_bodies and rng.random() < self.recipe.half_bodies:
            is_upper = np.array([joint.endswith(UPPER_BODY) for joint in self.joints])
            person = half_body(person, is_upper, MARGIN, rng)
        scale = self.recipe.scale
        extent = 1 + np.clip(scale * rng.normal(), -scale, scale)
        degrees = 0
        if rng.random() < ROTATED:
            deviation = self.recipe.degrees
            degrees = np.clip(deviation * rng.normal(), -2 * deviation, 2 * deviation)
        mirrored = rng.random() < 0.5
        degrees, zoom = self.rotation_and_zoom(rng, degrees, 1 / extent)
        return self.crop(image, person, self.crop_matrix(person, zoom, degrees, mirrored), mirrored)

    def test_sample(self, image, person):
        return self.crop(image, person, self.crop_matrix(person))

    def views(self, image, person):
        """The crop, and for the flip test its mirror image."""
        views = [self.test_sample(image, person)]
        if self.options.flip_average:
            mirrored = affine.compose(self.crop_matrix(person), affine.mirror(self.size))
            views.append(self.crop(image, person, mirrored, mirrored=True))
        return views

    def encode(self, joints_xy, visible):
        """Maps [n, rows, columns, k], and a mask of those that count [n, k].

        A joint counts if it is labelled and its Gaussian reaches into the crop.
        """
        k = len(self.joints)
        cell = np.floor((joints_xy[:, :k] - PIXEL_CENTRE) / STRIDE + 0.5)
        columns_rows = np.array(self.map_size[::-1])
        near = ((cell >= -REACH) & (cell < columns_rows + REACH)).all(axis=-1)
        counts = (near & (visible[:, :k] > 0)).astype(np.float32)
        cell = np.where(counts[..., None] > 0, cell, -2 * REACH)  # far enough for an empty map
        maps = heatmaps.render_gaussians(cell, self.map_size, SIGMA, REACH)
        return {'heat_maps': maps, 'counts': counts}

    def target_shapes(self):
        k = len(self.joints)
        return {'heat_maps': (*self.map_size, k), 'counts': (k,)}

    # --- graph ----------------------------------------------------------------------------------

    def build(self, images, targets, training, portable=False, tower=0, n=None):
        """Crops uint8 [b, h, w, 3] -> maps float32 [b, h / 4, w / 4, k], without a nonlinearity."""
        make = Layers(training, not self.options.no_batch_norm, not self.options.identity)
        x, shown = trunk(images, self.options.width, make)
        with tf.variable_scope('maps'):
            maps = layers.conv_bias(x, 1, len(self.joints), deviation=MAPS_DEVIATION)
        return Network({'hrnet': maps}, {**shown, 'maps': maps}, make.statistics)

    def losses(self, network, targets):
        """Half the mean squared difference over cells and joints; joints that do not count have 0."""
        maps = network.outputs['hrnet']
        distance = layers.squared_distance(maps, targets['heat_maps'], targets['counts'])
        rows, columns = self.map_size
        return {'hrnet': distance / (2 * rows * columns)}

    @classmethod
    def convert_state_dict(cls, state):
        """The published weights of HRNet-w32."""
        return hrnet_weights.convert(state)

    def merge_views(self, output):
        """Maps of crops, each followed by its mirror image's for the flip test -> their means."""
        if not self.options.flip_average:
            return output
        mirrored = tf.gather(output[1::2, :, ::-1], self.flip, axis=-1)
        shifted = tf.concat([mirrored[:, :, :1], mirrored[:, :, :-1]], axis=2)
        return (output[::2] + shifted) / 2

    # --- results --------------------------------------------------------------------------------

    def decode(self, output):
        """[n, rows, columns, k] -> one Pose a crop."""
        joints_xy = STRIDE * heatmaps.decode_quarter_cell(output) + PIXEL_CENTRE
        scores = np.clip(output.max(axis=(1, 2)), 0, 1)
        return [[pose(*person)] for person in zip(joints_xy, scores)]

    def export_outputs(self, network):
        maps = network.outputs['hrnet']
        cells = tf.cast(peaks.peak_positions(maps, peaks.quarter_offset), tf.float32)
        return {'joints': STRIDE * cells + PIXEL_CENTRE, 'heat_maps': maps}

    # --- TensorBoard ----------------------------------------------------------------------------

    def score_maps(self, targets, outputs):
        target = {'target': targets['heat_maps']} if targets else {}
        return {**target, **outputs}

    def image_summaries(self, variables):
        yield 'network/stem_filters', map_images.filter_grid(variables['stem/conv1/weights'])


# --- trunk ----------------------------------------------------------------------------------------


class Layers:
    """Adds convolutions with what follows each; collects the statistics of the batch norms.

    normalise: batch norm, or else a bias.  activate: ReLU, or else the identity.  Both are
    ablations.
    """

    def __init__(self, training: bool, normalise: bool = True, activate: bool = True):
        self.training = training
        self.normalise = normalise
        self.activate = activate
        self.statistics = {}

    def conv(self, x, name, size, channels, stride=1):
        """Convolution, batch norm, ReLU."""
        return self.relu(self.summand(x, name, size, channels, stride, small=False))

    def summand(self, x, name, size, channels, stride=1, small=True):
        """Convolution and batch norm, to be added to something before a ReLU.

        small: without batch norm it starts small, or the sums of 16 modules and blocks would grow
        without bound.
        """
        with tf.variable_scope(name):
            deviation = (2 / (size * size * x.shape.as_list()[-1])) ** 0.5
            if small and not self.normalise:
                deviation *= SUMMAND_SCALE
            conv = layers.conv if self.normalise else layers.conv_bias
            x = conv(x, size, channels, stride, padding='CENTRED', deviation=deviation)
            if self.normalise:
                x, moments = layers.batch_norm(x, self.training)
                self.statistics.update(moments)
        return x

    def relu(self, x):
        return tf.nn.relu(x) if self.activate else x


def trunk(images, width: int, make: Layers):
    """RGB uint8 [b, h, w, 3] -> ([b, h/4, w/4, width], {name: activation}).

    h and w are multiples of 32.  Variables come from the current variable scope.
    """
    x = (tf.cast(images, tf.float32) / 255 - MEAN) / DEVIATION
    shown = {}
    for i in (1, 2):
        name = f'stem/conv{i}'
        x = shown[name] = make.conv(x, name, 3, 2 * width, stride=2)  # [b, h/4, w/4, 64] in the end
    for i in range(BLOCKS):
        x = bottleneck(x, f'stage1/block{i + 1}', 2 * width, make)  # [b, h/4, w/4, 256]
    shown['stage1'] = x
    branches = [x]
    for stage, modules in enumerate(MODULES, 2):
        widths = [width << i for i in range(stage)]
        branches = transition(branches, f'stage{stage}', widths, make)
        for i in range(modules):
            last = stage == len(MODULES) + 1 and i == modules - 1
            branches = module(branches, f'stage{stage}/module{i + 1}', 1 if last else stage, make)
        for i, branch in enumerate(branches):
            shown[f'stage{stage}/branch{i + 1}'] = branch
    return branches[0], shown


def bottleneck(x, name, channels, make):
    """x plus 1x1, 3x3, 1x1 convolutions of it, with EXPANSION * channels outputs.

    If x has another number of channels, it goes through a 1x1 convolution.
    """
    with tf.variable_scope(name):
        y = make.conv(x, 'conv1', 1, channels)
        y = make.conv(y, 'conv2', 3, channels)
        y = make.summand(y, 'conv3', 1, EXPANSION * channels)
        if x.shape.as_list()[-1] != EXPANSION * channels:
            x = make.summand(x, 'shortcut', 1, EXPANSION * channels, small=False)
        return make.relu(x + y)


def basic_block(x, name, make):
    """x plus two 3x3 convolutions of it."""
    with tf.variable_scope(name):
        channels = x.shape.as_list()[-1]
        y = make.conv(x, 'conv1', 3, channels)
        return make.relu(x + make.summand(y, 'conv2', 3, channels))


def transition(branches, name, widths, make):
    """Branches of the given widths, one more than before.

    Those before go through a 3x3 convolution if their width differs; the new one is a strided 3x3
    convolution of the last.
    """
    result = []
    for i, (x, width) in enumerate(zip(branches, widths), 1):
        if x.shape.as_list()[-1] != width:
            x = make.conv(x, f'{name}/transition{i}', 3, width)
        result.append(x)
    added = f'{name}/transition{len(widths)}'
    return result + [make.conv(branches[-1], added, 3, widths[-1], stride=2)]


def module(branches, name, outputs, make):
    """BLOCKS basic blocks on each branch; then the first `outputs` branches are sums of all."""
    with tf.variable_scope(name):
        for block in range(1, BLOCKS + 1):
            branches = [
                basic_block(x, f'branch{i}/block{block}', make) for i, x in enumerate(branches, 1)
            ]
        return [make.relu(fuse(branches, target, make)) for target in range(outputs)]


def fuse(branches, target, make):
    """The sum of all branches, resampled to branch `target`."""
    sources = range(len(branches))
    return ordered_sum([resample(branches, source, target, make) for source in sources])


def resample(branches, source, target, make):
    """Branch `source` at the resolution and with the channels of branch `target`."""
    name = f'fuse{source + 1}_{target + 1}'
    channels = branches[target].shape.as_list()[-1]
    x = branches[source]
    if source == target:
        return x
    if source > target:
        return layers.enlarge_nearest(make.summand(x, name, 1, channels), 2 ** (source - target))
    last = target - source
    for step in range(1, last):
        x = make.conv(x, f'{name}/conv{step}', 3, x.shape.as_list()[-1], stride=2)
    return make.summand(x, f'{name}/conv{last}', 3, channels, stride=2)
