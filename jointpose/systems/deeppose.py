"""DeepPose, stage 1, Toshev and Szegedy, CVPR 2014: AlexNet regresses the joints in a person's box.

    crop 227x227, contrast normalised
    conv1 11x11/4 96, pool      27x27       conv3 3x3 384                               13x13
    conv2 5x5 256, pool         13x13       conv4 3x3 384, conv5 3x3 256, pool          6x6
    fc6 4096, fc7 4096, fc_regression 2k

Each layer has a bias and, except for the last, a ReLU.  conv1 and conv2 are followed by local
response normalisation; conv2, conv4 and conv5 have two groups; poolings are maxima of 3x3 cells
with stride 2.  In training, fc6 and fc7 each drop 60 % of their outputs.  There are 56,982,940
weights and biases with LSP's 14 joints: AlexNet's 60,965,224 without its fc8.  `--width` is a third
of conv1's channels; all layers except the last are in proportion to it.

The crop is the person's box times an extension, stretched to a square; for tests, the largest
extension or that of `--extension`.  LSP's box is that of the labelled joints, for tests too, as in
the publication; MPII's is computed from centre and scale instead.  In training, each axis has an
extension of its own, the box is shifted, and every other crop is mirrored.  Each colour channel of
a crop is normalised to mean 0 and deviation 1.  A joint is given in sides of the crop, 0 in its
middle; the loss is the mean of the squared distance over the labelled joints.  Adagrad's
accumulators start at 1e-4; the convolutions may have another learning rate (`--conv_lr`) and be
frozen at first (`--fix_conv_iter`), which makes sense with `--init alexnet.npz`, ImageNet's weights
(nn/import_weights.py).  systems/base.py describes the interface.
"""

import numpy as np

from jointpose.evaluation.pose import pose
from jointpose.nn import layers
from jointpose.nn.tf1 import tf
from jointpose.options.scopes import add, group
from jointpose.systems.base import Network, System
from jointpose.utils.cli import nonnegative_int, positive_float
from jointpose.vision import crops, map_images

SIDE = 227  # of the crop, pixels
LARGER = {'lsp': 1.2}  # sides of the arrays' box in those of the publication's
# Range of the crop's sides, in sides of the publication's box.  LSP's and COCO's boxes touch the
# person; those of MPII and FLIC have a margin, FLIC's for 95 % of the joints on each side.
EXTENSIONS = {'mpii': (1.0, 1.2), 'flic': (1.0, 1.2)}
EXTENSION = (1.2, 2.0)  # of other data sets
SHIFT = 0.1  # max shift in training, in sides of the box, but no joint leaves the crop
# Deviation of the regression's weights at the start: all joints begin in the crop's middle.  With
# 0.01, behind activations of full size, the first loss is 100 times as high, and since Adagrad
# remembers its first gradients, it was still ten times as high after 16 steps (report/short_runs.md).
START = 1e-4
KEEP = 0.4  # fraction of the outputs of fc6 and fc7 that training does not drop

# Channels in widths, size, groups of the convolutions.
CONVOLUTIONS = {
    'conv1': (3, 11, 1),
    'conv2': (8, 5, 2),
    'conv3': (12, 3, 1),
    'conv4': (12, 3, 2),
    'conv5': (8, 3, 2),
}
NORMALISED = ('conv1', 'conv2')
POOLED = ('conv1', 'conv2', 'conv5')
CONNECTED = {'fc6': 128, 'fc7': 128}  # outputs of the fully connected layers, in widths


class DeepPose(System):
    """Joint coordinates regressed from a person's crop."""

    DATASETS = ('lsp', 'mpii', 'flic', 'coco', 'own')
    OUTPUTS = {'deeppose': 'DeepPose, stage 1'}
    SCORE = 'always 1: a regression has none'
    DEFAULTS = {
        'n_epochs': 300,
        'batch_size': 128,
        'optimizer': 'adagrad',
        'lr': 5e-4,
        'lmbd': 0.0,
        'clip_norm': 0.0,
    }
    FULL_WIDTH = 32
    DEBUG_WIDTH = 8
    TEST_OPTIONS = ('--width', '2')

    # --- options --------------------------------------------------------------------------------

    @classmethod
    def add_options(cls, parser):
        cls.add_width(parser, 'a third of the channels of the first layer')
        cls.add_augmentation(parser, 'extension, shift, flip')
        cls.add_flip_test(parser)
        add(
            group(parser, 'evaluation'),
            '--extension',
            type=positive_float,
            metavar='E',
            help="side of the test crop, in sides of the person's box (default: the largest of "
            'training)',
        )
        network = group(parser, 'network')
        add(
            network,
            '--conv_lr',
            type=positive_float,
            default=5e-4,
            metavar='LR',
            scope='training',
            help='learning rate of the convolutions; --lr is for the other layers',
        )
        add(
            network,
            '--fix_conv_iter',
            type=nonnegative_int,
            default=0,
            metavar='N',
            scope='training',
            help='freeze the convolutions for the first N steps',
        )

    def check_options(self):
        super().check_options()
        width = self.options.width
        if width % 2:
            raise ValueError(f'--width must be even, for grouped convolutions, got {width}')

    @property
    def input_size(self):
        return SIDE, SIDE

    @property
    def n_views(self):
        return 2 if self.options.flip_average else 1

    def describe(self):
        return {'flip_average': self.options.flip_average, 'extension': self.test_extension}

    # --- samples --------------------------------------------------------------------------------

    @property
    def extension(self) -> tuple[float, float]:
        """Range of the crop's sides, in sides of the publication's box."""
        return EXTENSIONS.get(self.options.dataset, EXTENSION)

    @property
    def test_extension(self) -> float:
        """That of test crops, by --extension."""
        return self.options.extension or self.extension[1]

    def crop(self, image, person, extension, shift, mirrored=False, degrees=0.0):
        """The Sample of a person's box times an extension, moved by a shift in sides of the box.

        extension, shift: [2], one for each axis (x, y).
        """
        top_left = person.box[:2]
        bottom_right = person.box[2:]
        sides = bottom_right - top_left  # of the data set's box
        sides = sides / LARGER.get(self.options.dataset, 1)  # of the publication's box
        middle = (top_left + bottom_right) / 2 + shift * sides
        size = (SIDE, SIDE)
        matrix = crops.crop_matrix(middle, extension * sides, size, degrees, mirrored)
        flip = self.dataset.flip if mirrored else None
        return crops.crop_person(image, person, matrix, size, flip)

    def training_sample(self, image, person, rng):
        """With --data_augm extended, shifted and mirrored at random."""
        if not self.options.data_augm:
            return self.crop(image, person, np.full(2, self.extension[1]), np.zeros(2))
        extension = rng.uniform(*self.extension, 2)
        degrees, zoom = self.rotation_and_zoom(rng, 0, None)
        if zoom is not None:
            extension = np.full(2, np.mean(self.extension) / zoom)
        shift = np.clip((extension - 1) / 2, 0, SHIFT) * rng.uniform(-1, 1, 2)
        return self.crop(image, person, extension, shift, rng.random() < 0.5, degrees)

    def test_crop(self, image, person, mirrored=False):
        extension = np.full(2, self.test_extension)
        return self.crop(image, person, extension, np.zeros(2), mirrored)

    def test_sample(self, image, person):
        return self.test_crop(image, person)

    def views(self, image, person):
        """The crop, and with --flip_average its mirror image."""
        sides = (False, True)[: self.n_views]
        return [self.test_crop(image, person, mirrored) for mirrored in sides]

    def encode(self, joints_xy, visible):
        """Joints [n, k, 2] in sides of the crop, 0 in its middle; a mask of those labelled [n, k]."""
        k = len(self.joints)
        counts = (visible[:, :k] > 0).astype(np.float32)
        joints = np.where(counts[..., None] > 0, joints_xy[:, :k] / SIDE - 0.5, 0)
        return {'joints': joints.astype(np.float32), 'counts': counts}

    def target_shapes(self):
        k = len(self.joints)
        return {'joints': (k, 2), 'counts': (k,)}

    # --- graph ----------------------------------------------------------------------------------

    def build(self, images, targets, training, portable=False, tower=0, n=None):
        """Crops uint8 [b, 227, 227, 3] -> joints float32 [b, k, 2], in sides of the crop from its middle.

        In training each tower drops other outputs, by its number, the seed and the step alone.
        """
        width = self.options.width
        shown = {}
        x = normalised(tf.cast(images, tf.float32))  # [b, 227, 227, 3]
        for name, (factor, size, groups) in CONVOLUTIONS.items():
            x = shown[name] = convolution(x, name, size, factor * width, groups)
        x = tf.reshape(x, [-1, np.prod(x.shape.as_list()[1:])])  # [b, 6 * 6 * 256]
        for i, (name, factor) in enumerate(CONNECTED.items()):
            with tf.variable_scope(name):
                if training or i == 0:  # in tests fc7 gets the mean over what training drops of fc6
                    x = tf.nn.relu(layers.dense_bias(x, factor * width))
                else:
                    x = layers.mean_relu_under_dropout(x, factor * width, 1 - KEEP)
            shown[name] = x
            if training:
                step = tf.train.get_or_create_global_step()
                seed = [self.options.seed + (tower << 32), 2 * step + i]
                x = layers.dropout(x, 1 - KEEP, seed)
        k = len(self.joints)
        with tf.variable_scope('fc_regression'):
            x = shown['fc_regression'] = layers.dense_bias(x, 2 * k, deviation=START)
        return Network({'deeppose': tf.reshape(x, [-1, k, 2])}, shown, {})

    def losses(self, network, targets):
        """Mean squared distance of the labelled joints, in sides of the crop; 0 if there are none."""
        difference = network.outputs['deeppose'] - targets['joints']
        distance = tf.reduce_sum(tf.square(difference), axis=-1)  # [b, k]
        labelled = tf.reduce_sum(targets['counts'], axis=1)
        total = tf.reduce_sum(targets['counts'] * distance, axis=1)
        return {'deeppose': total / tf.maximum(labelled, 1)}

    def lr_multipliers(self):
        return {'conv': (self.options.conv_lr / self.options.lr, self.options.fix_conv_iter)}

    def convert_weights(self, weights):
        """The layers of bvlc_alexnet, except the classifier.

        Its first filters take blue, green, red.
        """
        result = {}
        for name in (*CONVOLUTIONS, *CONNECTED):
            if name in weights:
                result[f'{name}/weights'], result[f'{name}/bias'] = weights[name]
        if 'conv1/weights' in result:
            result['conv1/weights'] = result['conv1/weights'][:, :, ::-1]
        return result

    def merge_views(self, output):
        """Joints of crops, each followed by its mirror image's with --flip_average -> their means."""
        if not self.options.flip_average:
            return output
        mirrored = tf.gather(output[1::2], self.flip, axis=1)
        return (output[::2] + mirrored * np.array([-1, 1], np.float32)) / 2

    # --- results --------------------------------------------------------------------------------

    def decode(self, output):
        """[n, k, 2] -> one Pose a crop, within it."""
        joints_xy = (SIDE * (np.clip(output, -0.5, 0.5) + 0.5)).astype(np.float32)
        return [[pose(xy, np.ones(len(xy)))] for xy in joints_xy]

    def export_outputs(self, network):
        """The joints in pixels of the crop, and as the network outputs them, perhaps outside."""
        prediction = network.outputs['deeppose']
        joints = SIDE * (tf.clip_by_value(prediction, -0.5, 0.5) + 0.5)
        return {'joints': joints, 'normalised_joints': prediction}

    # --- TensorBoard ----------------------------------------------------------------------------

    def image_summaries(self, variables):
        yield 'network/conv1_filters', map_images.filter_grid(variables['conv1/weights'])


# --- parts of the network -------------------------------------------------------------------------


def convolution(x, name, size, channels, groups):
    """A convolution, its ReLU, and the normalisation and pooling that follow it."""
    stride, padding = (4, 'VALID') if name == 'conv1' else (1, 'SAME')
    with tf.variable_scope(name):
        x = layers.conv_bias(x, size, channels, stride, padding=padding, groups=groups)
        x = tf.nn.relu(x)
    if name in NORMALISED:
        x = tf.nn.lrn(x, depth_radius=2, bias=1, alpha=2e-5, beta=0.75)
    if name in POOLED:
        x = tf.nn.max_pool2d(x, 3, 2, 'VALID')
    return x


def normalised(images):
    """Global contrast normalisation: each channel of each picture to mean 0 and deviation 1.

    Rows are averaged first: a plain sum of 51,529 numbers, as ONNX's runtime computes it, loses
    digits in float32.
    """

    def mean(x):
        return tf.reduce_mean(tf.reduce_mean(x, axis=2, keepdims=True), axis=1, keepdims=True)

    centred = images - mean(images)
    return centred / (tf.sqrt(mean(tf.square(centred))) + 1e-5)
