"""Single-stage multi-person pose machine of Nie, Feng, Zhang and Yan (ICCV 2019): everybody in a picture at once.

    picture, letterboxed to 384x384 -> HRNet's trunk (hrnet.py) -> 3x3, 1x1 of 256 channels
        -> 3x3 of 256, 1x1, sigmoid: the root's confidence [96, 96]
        -> 3x3 of 256, 1x1: two displacement maps a joint [96, 96, 2k]

A person's root is the mean of shoulders and hips, or the middle of the labelled joints' box where one of these has no
label.  The confidence is the highest of Gaussians around the roots, as wide as the people are large.  A joint's
displacement is that from its parent: from the root to nose, shoulders and hips, from there to eyes, elbows and knees,
from these to ears, wrists and ankles (the hierarchical representation).  It is wanted in the cells within TAU of the
parent, from the cell to the joint, in units of Z cells, as a mean where neighbourhoods of several people overlap; where
parent or joint have no label, nothing is wanted.  Loss: squared difference of the confidence, and BETA times the
absolute difference of the displacements where they are wanted; both summed over the cells.

A person is found at each peak of the confidence from --threshold on: from there along the hierarchy, each displacement
read in the cell nearest to where its parent was found.  The interface is described in systems/__init__.py.
"""

import numpy as np
import scipy.ndimage

from jointpose import datasets, systems
from jointpose.evaluation.meter import of_people
from jointpose.evaluation.pose import Pose
from jointpose.nn import layers
from jointpose.nn.tf1 import tf
from jointpose.systems import Network, flip_of, hrnet, joints_of
from jointpose.training import optimiser, towers
from jointpose.utils.cli import fraction
from jointpose.vision import affine, crops, heatmaps, map_images

DATASETS, MOST_PEOPLE = ('coco', 'flic'), 30
OUTPUTS = {'spm': 'SPM'}
SCORE = "confidence of the person's root, one for all joints"
GIVEN = ()
SIDE, STRIDE = 384, 4  # of the picture, of a cell: pixels
CELLS = SIDE // STRIDE
Z = 8  # cells: the unit of displacements.  Adam moves an output as far in whatever
# unit: of the paper's, the map's diagonal, it is several cells an update
TAU = 7**0.5  # radius of a displacement's neighbourhood, cells; with 7 those of small
# people overlap, and their means are nobody's displacements
WIDTH_OF_ROOT = 0.1  # deviation of a root's Gaussian, of the root of the box's area: of half of
# it the confidence stays at 0 everywhere for far longer
NARROWEST = 1  # cells: it is at least that
BETA = 0.01  # weight of the displacements in the loss
APART = 2  # cells from a root along each axis within which there is no other
TORSO = ('lsho', 'rsho', 'lhip', 'rhip')
PARENTS = {
    'leye': 'nose',
    'reye': 'nose',
    'lear': 'leye',
    'rear': 'reye',
    'lelb': 'lsho',
    'relb': 'rsho',
    'lwri': 'lelb',
    'rwri': 'relb',
    'lkne': 'lhip',
    'rkne': 'rhip',
    'lank': 'lkne',
    'rank': 'rkne',
}
DEGREES, ZOOM, SHIFT = 30, (0.75, 1.25), 40  # of the augmentation: +- degrees, scales, +- pixels
FULL_WIDTH, DEBUG_WIDTH = (
    32,
    8,
)  # of the trunk's first branch; the heads have HEAD times as many channels
HEAD, FLAT = 8, 0.01  # FLAT: deviation of the last layers' weights at the start
PRIOR = 0.01  # confidence of every cell at the start: most hold no root

DEFAULTS, SCHEDULE = {'n_epochs': 250, 'batch_size': 32, 'lmbd': 0.0}, optimiser.SCHEDULE
FIXED = ('width',)
FIXED_IN_TRAINING = ('data_augm', 'rotation', 'zoom', 'threshold')
INPUTS = ()
CALL, WITHOUT_PREDICT, TRAINING_ONLY = ('flip_average',), (), ('threshold',)

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
    systems.add_width(network, FULL_WIDTH, DEBUG_WIDTH, 'channels of the first branch of the trunk')
    systems.add_augmentation(parser, 'scale, rotation, shift, flip')
    network.add_argument(
        '--flip_average', action='store_true', help='flip test: average with the mirrored picture'
    )
    network.add_argument(
        '--threshold', type=fraction, default=0.2, metavar='C', help='min confidence of a person'
    )


def input_size(options):
    return SIDE, SIDE


def parents_of(joints):
    """Index of each joint's parent; -1: the root."""
    return [
        joints.index(PARENTS[joint]) if PARENTS.get(joint) in joints else -1 for joint in joints
    ]


def order(parents):
    """The joints' indices, parents first."""

    def depth(joint):
        return 0 if joint < 0 else 1 + depth(parents[joint])

    return sorted(range(len(parents)), key=depth)


def n_views(options):
    return 2 if options.flip_average else 1


def about(options):
    return {'flip_average': options.flip_average, 'threshold': options.threshold}


# --- samples ------------------------------------------------------------------------------------------------------


def cut(image, people, options, *moves, mirrored=False):
    """The Sample of a whole picture, moved within the frame by 2x3 matrices."""
    frame, _ = crops.letterbox(*image.shape[1::-1], (SIDE, SIDE))
    flip = datasets.load(options.dataset).FLIP if mirrored else None
    moves = ([affine.mirror((SIDE, SIDE))] if mirrored else []) + list(moves)
    return crops.crop_person(image, people, affine.compose(frame, *moves), (SIDE, SIDE), flip)


def training_sample(image, people, options, rng):
    """With --data_augm mirrored, turned, enlarged and moved at random; else as the test pictures are."""
    if not options.data_augm:
        return test_sample(image, people, options)
    size = SIDE, SIDE
    turn, zoom = systems.turn_and_zoom(
        rng, options, rng.uniform(-DEGREES, DEGREES), rng.uniform(*ZOOM)
    )
    return cut(
        image,
        people,
        options,
        affine.rotate(turn, size),
        affine.zoom(zoom, size),
        affine.translate(*rng.uniform(-SHIFT, SHIFT, 2)),
        mirrored=rng.random() < 0.5,
    )


def test_sample(image, people, options):
    return cut(image, people, options)


def views(image, people, options):
    """The picture, and with --flip_average its mirror image."""
    return [
        cut(image, people, options, mirrored=mirrored)
        for mirrored in (False, True)[: n_views(options)]
    ]


def encode(joints_xy, visible, options):
    """Joints [n, P, k, 2] pixels, visible [n, P, k] -> confidence [n, 96, 96, 1], displacements [n, 96, 96, 2k] of each
    joint in x and y, and where these are wanted [n, 96, 96, k]."""
    joints = joints_of(options)
    parents, k = parents_of(joints), len(joints)
    maps = [
        np.zeros((len(joints_xy), CELLS, CELLS, channels), np.float32) for channels in (1, 2 * k, k)
    ]
    for sample, (people_xy, people_visible) in enumerate(
        zip(joints_xy[:, :, :k], visible[:, :, :k])
    ):
        for xy, labelled in zip(people_xy / STRIDE - 0.5, people_visible > 0):
            if labelled.any():
                add_person(*(one[sample] for one in maps), xy, labelled, joints, parents)
    confidence, displacements, counts = maps
    displacements /= np.repeat(np.maximum(counts, 1), 2, axis=-1)
    return {
        'confidence': confidence,
        'displacements': displacements,
        'wanted': (counts > 0).astype(np.float32),
    }


def add_person(confidence, displacements, counts, xy, labelled, joints, parents):
    """Adds one person to a picture's maps; displacements are sums over `counts` people.  xy: [k, 2] cells."""
    root, extent = root_of(xy, labelled, joints)
    sigma = max(WIDTH_OF_ROOT * extent, NARROWEST)
    gaussian = heatmaps.render_gaussians(root[None, None], (CELLS, CELLS), sigma)[0, :, :, 0]
    np.maximum(confidence[..., 0], gaussian, out=confidence[..., 0])
    for joint, parent in enumerate(parents):
        if not labelled[joint] or (parent >= 0 and not labelled[parent]):
            continue
        at = root if parent < 0 else xy[parent]
        left, top = np.maximum(np.ceil(at - TAU), 0).astype(int)
        right, bottom = np.minimum(np.floor(at + TAU), CELLS - 1).astype(int)
        columns, rows = np.meshgrid(
            np.arange(left, right + 1), np.arange(top, bottom + 1)
        )  # empty outside the map
        near = (columns - at[0]) ** 2 + (rows - at[1]) ** 2 <= TAU**2
        rows, columns = rows[near], columns[near]
        displacements[rows, columns, 2 * joint] += (xy[joint, 0] - columns) / Z
        displacements[rows, columns, 2 * joint + 1] += (xy[joint, 1] - rows) / Z
        counts[rows, columns, joint] += 1


def root_of(xy, labelled, joints):
    """(root [2], the root of the box's area) of one person, in the units of xy [k, 2]."""
    first, last = xy[labelled].min(axis=0), xy[labelled].max(axis=0)
    torso = [joints.index(joint) for joint in TORSO]
    root = xy[torso].mean(axis=0) if labelled[torso].all() else (first + last) / 2
    return root, np.sqrt(np.prod(last - first))


def targets(options):
    k = len(joints_of(options))
    return {
        'confidence': (CELLS, CELLS, 1),
        'displacements': (CELLS, CELLS, 2 * k),
        'wanted': (CELLS, CELLS, k),
    }


# --- graph --------------------------------------------------------------------------------------------------------


def build(images, targets, options, training, portable=False, tower=0, n=None):
    """Pictures uint8 [b, 384, 384, 3] -> Network of float32 [b, 96, 96, 1 + 2k]: confidence, displacements."""
    make, channels = hrnet.Layers(training), HEAD * options.width
    x, shown = hrnet.trunk(images, options.width, make)
    x = make.conv(x, 'head/conv1', 3, channels)
    with tf.variable_scope('head/conv2'):
        x = shown['head'] = layers.conv_bias(x, 1, channels)  # [b, 96, 96, 256]
    root = branch(x, 'root', 1, channels, PRIOR)
    displacements = branch(x, 'displacements', 2 * len(joints_of(options)), channels)
    return Network(
        {'spm': tf.concat([tf.sigmoid(root), displacements], axis=-1)},
        {**shown, 'root': root, 'displacements': displacements},
        make.statistics,
        None,
    )


def branch(x, name, outputs, channels, prior=0.5):
    """3x3 with ReLU and 1x1, without batch norm; prior: what a sigmoid makes of it at the start."""
    with tf.variable_scope(f'{name}/conv1'):
        x = tf.nn.relu(layers.conv_bias(x, 3, channels))
    with tf.variable_scope(f'{name}/conv2'):
        return layers.conv_bias(x, 1, outputs, deviation=FLAT) + float(np.log(prior / (1 - prior)))


def losses(network, targets, options):
    """Sum over cells of the confidence's squared and BETA times the displacements' absolute difference: [b]."""
    found = network.outputs['spm']
    squared = tf.square(found[..., :1] - targets['confidence'])
    absolute = tf.abs(found[..., 1:] - targets['displacements']) * tf.repeat(
        targets['wanted'], 2, axis=-1
    )
    return {
        'spm': tf.reduce_sum(squared, axis=[1, 2, 3])
        + BETA * tf.reduce_sum(absolute, axis=[1, 2, 3])
    }


def objective(losses, options):
    return losses['spm']


def combine(maps, options):
    """Maps of pictures, each followed by its mirror image's with --flip_average -> their means."""
    if not options.flip_average:
        return maps
    flip = flip_of(options)
    channels = [0] + [1 + 2 * joint + axis for joint in flip for axis in (0, 1)]
    signs = np.array([1] + [-1, 1] * len(flip), np.float32)  # to the right is to the left
    return (maps[::2] + signs * tf.gather(maps[1::2, :, ::-1], channels, axis=-1)) / 2


# --- results ------------------------------------------------------------------------------------------------------


def meter(options, names, sums=None):
    """Losses, and the data set's rate of people, each beside the one found who has most of the joints."""
    return of_people(
        datasets.load(options.dataset), names, lambda maps: decode(maps, options), sums
    )


def decode(maps, options):
    """[n, 96, 96, 1 + 2k] -> the Poses of each picture, in its frame's pixels, best first; none where none is found."""
    parents = parents_of(joints_of(options))
    return [
        [
            Pose(joints_at(one, root, parents), np.full(len(parents), score), score)
            for *root, score in peaks(one[..., 0], options.threshold)
        ]
        for one in maps
    ]


def peaks(confidence, threshold):
    """[(row, column, confidence)]: up to MOST_PEOPLE local maxima from `threshold` on, the highest first."""
    highest = scipy.ndimage.maximum_filter(confidence, 2 * APART + 1, mode='constant')
    rows, columns = np.nonzero((confidence == highest) & (confidence >= threshold))
    kept = []
    for i in np.argsort(-confidence[rows, columns], kind='stable'):  # of equal neighbours, one
        if all(
            max(abs(rows[i] - row), abs(columns[i] - column)) > APART for row, column, _ in kept
        ):
            kept.append((int(rows[i]), int(columns[i]), float(confidence[rows[i], columns[i]])))
    return kept[:MOST_PEOPLE]


def joints_at(maps, root, parents):
    """Joints float32 [k, 2], pixels of the frame, of the person whose root is in the cell (row, column)."""
    displacements = Z * maps[..., 1:].astype(np.float64)
    xy = np.zeros((len(parents), 2))
    for joint in order(parents):
        at = root[::-1] if parents[joint] < 0 else xy[parents[joint]]
        column, row = np.clip(np.rint(at), 0, CELLS - 1).astype(int)
        xy[joint] = (column, row) + displacements[row, column, 2 * joint : 2 * joint + 2]
    return (STRIDE * (xy + 0.5)).astype(np.float32)


def portable(network):
    return {'maps': network.outputs['spm']}


# --- TensorBoard --------------------------------------------------------------------------------------------------


def maps(targets, outputs):
    shown = {name: output[..., :1] for name, output in outputs.items()}
    return {**({'target': targets['confidence']} if targets else {}), **shown}


def pictures(variables):
    yield 'stem/filters', map_images.filter_grid(variables['stem/conv1/weights'])
