"""DeepPose of Toshev and Szegedy (CVPR 2014), stage 1: AlexNet looks at a person's box and says where the joints are.

    crop 227x227, contrast normalised
    conv1 11x11/4 96, pool      27x27       conv3 3x3 384               13x13
    conv2 5x5 256, pool         13x13       conv4 3x3 384, conv5 3x3 256, pool      6x6
    fc6 4096, fc7 4096, fc_regression 2k

Each layer is + bias and, but for the last, ReLU; conv1 and conv2 are followed by local response normalisation; conv2,
conv4 and conv5 are in two groups; poolings are maxima of 3x3 cells, every second one.  In training, fc6 and fc7 each
drop 60 % of their outputs.  56,982,940 weights and biases with LSP's 14 joints: AlexNet's 60,965,224 without its fc8.
`--width` is a third of conv1's channels; all layers but the last are in proportion to it.

The crop is the person's box times an extension, stretched to a square; of test people, the largest extension.  LSP's
box is that of the labelled joints, of test people, too, as the publication has it; MPII's is made of centre and scale
instead.  In training, each axis has an extension of its own, the box moves, and every other crop is mirrored.  Each
colour channel of a crop has mean 0 and deviation 1.  A joint is given in lengths of the crop, 0 in its middle; the loss
is the squared distance, mean over the labelled joints.  Adagrad starts from 1e-4 and may have another rate for the
convolutions (`--conv_lr`), which may stay as they are at first (`--fix_conv_iter`): the point of `--init alexnet.npz`,
ImageNet's weights (nn/import_weights.py).  The interface is described in systems/__init__.py.
"""

import numpy as np

from jointpose import datasets, systems
from jointpose.evaluation.meter import of_joints
from jointpose.evaluation.pose import pose
from jointpose.nn import layers
from jointpose.nn.tf1 import tf
from jointpose.systems import Network
from jointpose.training import towers
from jointpose.utils.cli import nonnegative_int, positive_float
from jointpose.vision import crops, map_images

DATASETS = ('lsp', 'mpii', 'flic', 'coco')
MOST_PEOPLE = None
OUTPUTS = {'deeppose': 'DeepPose, stage 1'}
SCORE = 'always 1: a regression has none'
GIVEN = ()
SIDE = 227  # of the crop, pixels
LARGER = {'lsp': 1.2}  # how much larger than the publication's the arrays' box is
EXTENSIONS = {'mpii': (1.0, 1.2)}  # least and largest, of the publication's box's sides
EXTENSION = (1.2, 2.0)  # of other data sets
SHIFT = 0.1  # share of these sides, but no joint leaves the crop
KEEP = 0.4  # share of the outputs of fc6 and fc7 that training does not drop

FULL_WIDTH, DEBUG_WIDTH = 32, 8
# Channels in widths, size, groups of the convolutions; outputs of the others, in widths.
CONVOLUTIONS = {
    'conv1': (3, 11, 1),
    'conv2': (8, 5, 2),
    'conv3': (12, 3, 1),
    'conv4': (12, 3, 2),
    'conv5': (8, 3, 2),
}
NORMALISED, POOLED = ('conv1', 'conv2'), ('conv1', 'conv2', 'conv5')
CONNECTED = {'fc6': 128, 'fc7': 128}

DEFAULTS = {
    'n_epochs': 300,
    'batch_size': 128,
    'optimizer': 'adagrad',
    'lr': 5e-4,
    'lmbd': 0.0,
    'clip_norm': 0.0,
}
SCHEDULE = ()  # the rate stays
FIXED = ('width',)
FIXED_IN_TRAINING = ('data_augm', 'rotation', 'zoom', 'conv_lr', 'fix_conv_iter')
INPUTS = ()
CALL, WITHOUT_PREDICT, TRAINING_ONLY = (), (), ()

joints_of, n_points, takes_anchor = systems.joints_of, systems.n_points, systems.takes_anchor
start, trained, decays, predictor = systems.start, systems.trained, systems.decays, towers.predictor
given, prepare = systems.given, systems.prepare


# --- settings -----------------------------------------------------------------------------------------------------


def add_options(parser):
    network = parser.add_argument_group('network')
    systems.add_width(
        network, FULL_WIDTH, DEBUG_WIDTH, 'a third of the channels of the first layer'
    )
    systems.add_augmentation(parser, 'extension, shift, flip')
    network.add_argument(
        '--conv_lr',
        type=positive_float,
        default=5e-4,
        metavar='LR',
        help='learning rate of the convolutions; --lr is for the other layers',
    )
    network.add_argument(
        '--fix_conv_iter',
        type=nonnegative_int,
        default=0,
        metavar='N',
        help='freeze the convolutions for the first N steps',
    )


def check_options(options):
    systems.check_options(options)
    if options.width % 2:
        raise ValueError(f'--width must be even, for grouped convolutions, got {options.width}')


def input_size(options):
    return SIDE, SIDE


def n_views(options):
    return 1


def about(options):
    return {}


# --- samples ------------------------------------------------------------------------------------------------------


def extension_of(options):
    return EXTENSIONS.get(options.dataset, EXTENSION)


def cut(image, person, options, extension, shift=(0, 0), mirrored=False, degrees=0.0):
    """The crop of the box times an extension, moved by a shift in sides of the box; each has an entry an axis."""
    sides = (person.box[2:] - person.box[:2]) / LARGER.get(options.dataset, 1)
    middle = (person.box[:2] + person.box[2:]) / 2 + shift * sides
    matrix = crops.crop_matrix(middle, extension * sides, (SIDE, SIDE), degrees, mirrored)
    return crops.crop_person(
        image,
        person,
        matrix,
        (SIDE, SIDE),
        datasets.load(options.dataset).FLIP if mirrored else None,
    )


def training_sample(image, person, options, rng):
    """With --data_augm extended at random, moved, mirrored; else as the test people are."""
    if not options.data_augm:
        return test_sample(image, person, options)
    extension = rng.uniform(*extension_of(options), 2)
    degrees, zoom = systems.turn_and_zoom(rng, options, 0, None)
    if zoom is not None:
        extension = np.full(2, np.mean(extension_of(options)) / zoom)
    shift = np.clip((extension - 1) / 2, 0, SHIFT) * rng.uniform(-1, 1, 2)
    return cut(image, person, options, extension, shift, rng.random() < 0.5, degrees)


def test_sample(image, person, options):
    return cut(image, person, options, np.full(2, extension_of(options)[1]), np.zeros(2))


def views(image, person, options):
    return [test_sample(image, person, options)]


def encode(joints_xy, visible, options):
    """Joints [n, k, 2], visible [n, k] -> where they are in lengths of the crop, 0 in its middle; what each counts."""
    k = len(joints_of(options))
    counts = (visible[:, :k] > 0).astype(np.float32)
    joints = np.where(counts[..., None] > 0, joints_xy[:, :k] / SIDE - 0.5, 0)
    return {'joints': joints.astype(np.float32), 'counts': counts}


def targets(options):
    k = len(joints_of(options))
    return {'joints': (k, 2), 'counts': (k,)}


# --- graph --------------------------------------------------------------------------------------------------------


def build(images, targets, options, training, portable=False, tower=0, n=None):
    """Crops uint8 [b, 227, 227, 3] -> Network of joints float32 [b, k, 2], in lengths of the crop, 0 in its middle.

    tower: its number; in training, each drops other outputs, by the seed and the step alone.
    """
    shown, x = {}, normalised(tf.cast(images, tf.float32))  # [b, 227, 227, 3]
    for name, (factor, size, groups) in CONVOLUTIONS.items():
        with tf.variable_scope(name):
            stride, padding = (4, 'VALID') if name == 'conv1' else (1, 'SAME')
            x = tf.nn.relu(
                layers.conv_bias(
                    x, size, factor * options.width, stride, padding=padding, groups=groups
                )
            )
        if name in NORMALISED:
            x = tf.nn.lrn(x, depth_radius=2, bias=1, alpha=2e-5, beta=0.75)
        if name in POOLED:
            x = tf.nn.max_pool2d(x, 3, 2, 'VALID')
        shown[name] = x
    x = tf.reshape(x, [-1, np.prod(x.shape.as_list()[1:])])  # [b, 6 * 6 * 256]
    for i, (name, factor) in enumerate(CONNECTED.items()):
        with tf.variable_scope(name):
            x = shown[name] = tf.nn.relu(layers.dense_bias(x, factor * options.width))
        if training:
            seed = [options.seed + (tower << 32), 2 * tf.train.get_or_create_global_step() + i]
            x = layers.dropout(x, 1 - KEEP, seed)
    with tf.variable_scope('fc_regression'):
        x = shown['fc_regression'] = layers.dense_bias(
            x, 2 * len(joints_of(options)), deviation=0.01
        )
    return Network({'deeppose': tf.reshape(x, [-1, len(joints_of(options)), 2])}, shown, {}, None)


def normalised(images):
    """Each channel of each picture to mean 0 and deviation 1: global contrast normalisation.

    Means of rows first: a plain sum of 51,529 numbers, as ONNX's runtime has it, loses digits in float32.
    """

    def mean(x):
        return tf.reduce_mean(tf.reduce_mean(x, axis=2, keepdims=True), axis=1, keepdims=True)

    centred = images - mean(images)
    return centred / (tf.sqrt(mean(tf.square(centred))) + 1e-5)


def losses(network, targets, options):
    """The squared distance in lengths of the crop, mean over the labelled joints; nothing where there are none."""
    distance = tf.reduce_sum(
        tf.square(network.outputs['deeppose'] - targets['joints']), axis=-1
    )  # [b, k]
    labelled = tf.reduce_sum(targets['counts'], axis=1)
    return {
        'deeppose': tf.reduce_sum(targets['counts'] * distance, axis=1) / tf.maximum(labelled, 1)
    }


def objective(losses, options):
    return losses['deeppose']


def learning_rates(options):
    return {'conv': (options.conv_lr / options.lr, options.fix_conv_iter)}


def foreign(weights):
    """AlexNet's layers of bvlc_alexnet, but the classifier: {name: (weights, bias)} -> {variable: array}.

    Its first filters see blue, green, red.
    """
    result = {}
    for name in (*CONVOLUTIONS, *CONNECTED):
        if name in weights:
            result[f'{name}/weights'], result[f'{name}/bias'] = weights[name]
    if 'conv1/weights' in result:
        result['conv1/weights'] = result['conv1/weights'][:, :, ::-1]
    return result


def combine(joints, options):
    return joints


# --- results ------------------------------------------------------------------------------------------------------


def decode(joints, options):
    """[n, k, 2] -> one Pose a crop, in its pixels and within it."""
    joints_xy = (SIDE * (np.clip(joints, -0.5, 0.5) + 0.5)).astype(np.float32)
    return [[pose(xy, np.ones(len(xy)))] for xy in joints_xy]


def meter(options, names, sums=None):
    """Losses, and the data set's rate."""
    return of_joints(
        datasets.load(options.dataset), names, lambda joints: decode(joints, options), sums
    )


def portable(network):
    """The joints in pixels of the crop, and as the network says them, which may be outside."""
    answer = network.outputs['deeppose']
    return {
        'joints': SIDE * (tf.clip_by_value(answer, -0.5, 0.5) + 0.5),
        'normalised_joints': answer,
    }


# --- TensorBoard --------------------------------------------------------------------------------------------------


def maps(targets, outputs):
    """There are none."""
    return {}


def pictures(variables):
    yield 'network/conv1_filters', map_images.filter_grid(variables['conv1/weights'])
