"""Single-stage multi-person pose machine, Nie, Feng, Zhang and Yan, ICCV 2019: all people at once.

    picture, letterboxed to 384x384 -> HRNet's trunk (hrnet.py) -> 3x3, 1x1 of 256 channels
        -> 3x3 of 256, 1x1, sigmoid: the root's confidence [96, 96]
        -> 3x3 of 256, 1x1: two displacement maps a joint [96, 96, 2k]

A person's root is the mean of shoulders and hips, or the middle of the labelled joints' box if one
of these has no label or is not among the joints.  The target confidence is the maximum of Gaussians
around the roots, as wide as the people are large.  A joint's displacement is relative to its
parent: from the root to nose, shoulders and hips, from there to eyes, elbows and knees, from these
to ears, wrists and ankles (the hierarchical representation); joints by other names are relative to
the root.  Where the parent has no label, it is relative to the nearest ancestor with one, at last
the root.  Its target covers the cells within TAU of that joint, from the cell to the joint, in
units of Z cells, and is the mean where the neighbourhoods of several people overlap.  The loss is
the squared difference of the confidence plus BETA times the absolute difference of the
displacements, both summed over the cells.  Within the boxes of groups and of people without key
points the confidence has no target: it counts there only as far as somebody else's root is near.

A person is detected at each peak of the confidence of at least --threshold; the joints follow along
the hierarchy, each displacement read in the cell nearest to the parent as it was found.
systems/base.py describes the interface.
"""

import numpy as np
import scipy.ndimage

from jointpose.evaluation.pose import Pose
from jointpose.nn import layers
from jointpose.nn.tf1 import tf
from jointpose.options.scopes import add, group
from jointpose.systems import hrnet
from jointpose.systems.base import Network, System
from jointpose.training import optimiser
from jointpose.utils.cli import fraction
from jointpose.vision import affine, crops, heatmaps, map_images

SIDE = 384  # of the picture, pixels
STRIDE = 4  # of a cell, pixels
CELLS = SIDE // STRIDE
# Cells: the unit of displacements.  Adam moves an output by as much in any unit: in the paper's, the
# diagonal of the map, that is several cells a step.
Z = 8
# Radius of a displacement's neighbourhood, cells.  With 7 those of small people overlap, and the
# means are the displacements of neither.
TAU = 7**0.5
# Standard deviation of a root's Gaussian, in square roots of the area of the person's box.  With half
# of it the confidence stays at 0 everywhere for far longer.
ROOT_DEVIATION = 0.1
MIN_ROOT_DEVIATION = 1  # cells
BETA = 0.01  # weight of the displacements in the loss
CORNERS = 4  # of a person's box, which follow the joints in a sample
NMS_DISTANCE = 2  # cells along each axis from a root within which there is no other
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
DEGREES = 30  # +- rotation in training
ZOOM = (0.75, 1.25)  # range of scales in training
SHIFT = 40  # +- pixels along each axis in training
HEAD = 8  # channels of the heads, in widths
MAPS_DEVIATION = 0.01  # of the last layers' initial weights
PRIOR = 0.01  # initial confidence of every cell: most have no root


class SPM(System):
    """The people of a whole picture, each from a root and displacements."""

    DATASETS = ('coco', 'flic', 'own')
    OUTPUTS = {'spm': 'SPM'}
    SCORE = "confidence of the person's root, one for all joints"
    MAX_PEOPLE = 30
    DEFAULTS = {'n_epochs': 250, 'batch_size': 32, 'lmbd': 0.0}
    SCHEDULE = optimiser.SCHEDULE
    FULL_WIDTH = 32
    DEBUG_WIDTH = 8
    TEST_OPTIONS = ('--width', '2', '--threshold', '0')

    # --- options --------------------------------------------------------------------------------

    @classmethod
    def add_options(cls, parser):
        cls.add_width(parser, 'channels of the first branch of the trunk')
        cls.add_augmentation(parser, 'scale, rotation, shift, flip')
        cls.add_flip_test(parser)
        add(
            group(parser, 'network'),
            '--threshold',
            type=fraction,
            default=0.2,
            metavar='C',
            scope='training_only',
            help='min confidence of a person',
        )

    @property
    def input_size(self):
        return SIDE, SIDE

    @property
    def n_sample_points(self):
        return self.n_points + CORNERS

    @property
    def n_views(self):
        return 2 if self.options.flip_average else 1

    def describe(self):
        return {'flip_average': self.options.flip_average, 'threshold': self.options.threshold}

    # --- samples --------------------------------------------------------------------------------

    def frame(self, image, people, *moves, mirrored=False):
        """The Sample of a whole picture, moved within the frame by matrices [2, 3].

        The people's last points are the corners of their boxes, labelled if the person is to be
        ignored: a group, or without key points.
        """
        matrix, _ = crops.letterbox(*image.shape[1::-1], (SIDE, SIDE))
        if mirrored:
            moves = (affine.mirror((SIDE, SIDE)), *moves)
        matrix = affine.compose(matrix, *moves)
        flip = self.dataset.flip if mirrored else None
        sample = crops.crop_person(image, people, matrix, (SIDE, SIDE), flip)
        corners_xy = affine.transform_points(matrix, corners_of(people.box))
        has_box = np.all(people.box[:, 2:] > people.box[:, :2], axis=1)
        ignored = has_box & ~people.visible.any(axis=1)
        return sample._replace(
            joints_xy=np.concatenate([sample.joints_xy, corners_xy], axis=1),
            visible=np.concatenate([sample.visible, np.repeat(ignored[:, None], CORNERS, 1)], 1),
        )

    def training_sample(self, image, person, rng):
        """With --data_augm mirrored, rotated, scaled and shifted at random."""
        if not self.options.data_augm:
            return self.test_sample(image, person)
        degrees = rng.uniform(-DEGREES, DEGREES)
        degrees, zoom = self.rotation_and_zoom(rng, degrees, rng.uniform(*ZOOM))
        moves = (
            affine.rotate(degrees, (SIDE, SIDE)),
            affine.zoom(zoom, (SIDE, SIDE)),
            affine.translate(*rng.uniform(-SHIFT, SHIFT, 2)),
        )
        return self.frame(image, person, *moves, mirrored=rng.random() < 0.5)

    def test_sample(self, image, person):
        return self.frame(image, person)

    def views(self, image, person):
        """The picture, and with --flip_average its mirror image."""
        sides = (False, True)[: self.n_views]
        return [self.frame(image, person, mirrored=mirrored) for mirrored in sides]

    def encode(self, joints_xy, visible):
        """Points [n, P, n_sample_points, 2], visibility [n, P, n_sample_points] -> maps.

        confidence [n, 96, 96, 1], displacements [n, 96, 96, 2k] of each joint in x and y, a mask of
        the cells that have these, `wanted` [n, 96, 96, k], and the `weights` [n, 96, 96, 1] of the
        confidence in the loss.
        """
        k = len(self.joints)
        samples = [
            self.encode_sample(*people) for people in zip(joints_xy[:, :, :k], visible[:, :, :k])
        ]
        confidence, displacements, counts = (np.stack(maps) for maps in zip(*samples))
        displacements /= np.repeat(np.maximum(counts, 1), 2, axis=-1)
        corners = slice(self.n_points, None)
        is_ignored = np.stack(
            [
                ignored_cells(*people)
                for people in zip(joints_xy[:, :, corners], visible[:, :, corners])
            ]
        )
        return {
            'confidence': confidence,
            'displacements': displacements,
            'wanted': (counts > 0).astype(np.float32),
            'weights': np.where(is_ignored[..., None], confidence, np.float32(1)),
        }

    def encode_sample(self, joints_xy, visible):
        """The maps of one picture's people; displacements are sums over the people in `counts`."""
        k = len(self.joints)
        maps = [np.zeros((CELLS, CELLS, channels), np.float32) for channels in (1, 2 * k, k)]
        for xy, labelled in zip(to_cells(joints_xy), visible > 0):
            if labelled.any():
                add_person(*maps, xy, labelled, self.joints)
        return maps

    def target_shapes(self):
        k = len(self.joints)
        return {
            'confidence': (CELLS, CELLS, 1),
            'displacements': (CELLS, CELLS, 2 * k),
            'wanted': (CELLS, CELLS, k),
            'weights': (CELLS, CELLS, 1),
        }

    # --- graph ----------------------------------------------------------------------------------

    def build(self, images, targets, training, portable=False, tower=0, n=None):
        """Pictures uint8 [b, 384, 384, 3] -> float32 [b, 96, 96, 1 + 2k]: confidence, displacements."""
        make = hrnet.Layers(training)
        channels = HEAD * self.options.width
        x, shown = hrnet.trunk(images, self.options.width, make)
        x = make.conv(x, 'head/conv1', 3, channels)
        with tf.variable_scope('head/conv2'):
            x = shown['head'] = layers.conv_bias(x, 1, channels)  # [b, 96, 96, 256]
        root = branch(x, 'root', 1, channels, PRIOR)
        displacements = branch(x, 'displacements', 2 * len(self.joints), channels)
        shown.update(root=root, displacements=displacements)
        output = tf.concat([tf.sigmoid(root), displacements], axis=-1)
        return Network({'spm': output}, shown, make.statistics)

    def losses(self, network, targets):
        """Squared difference of the confidence + BETA * absolute difference of the displacements.

        spm_root and spm_displacements are these two summands.
        """
        output = network.outputs['spm']
        squared = tf.square(output[..., :1] - targets['confidence']) * targets['weights']
        absolute = tf.abs(output[..., 1:] - targets['displacements'])
        absolute *= tf.repeat(targets['wanted'], 2, axis=-1)
        root = tf.reduce_sum(squared, axis=[1, 2, 3])
        displacements = BETA * tf.reduce_sum(absolute, axis=[1, 2, 3])
        return {
            'spm_root': root,
            'spm_displacements': displacements,
            'spm': root + displacements,
        }

    def merge_views(self, output):
        """Maps of pictures, each followed by its mirror image's with --flip_average -> their means."""
        if not self.options.flip_average:
            return output
        channels = [0]
        for joint in self.flip:
            channels += [1 + 2 * joint, 2 + 2 * joint]
        signs = np.array([1] + [-1, 1] * len(self.flip), np.float32)  # x changes its sign
        mirrored = tf.gather(output[1::2, :, ::-1], channels, axis=-1)
        return (output[::2] + signs * mirrored) / 2

    # --- results --------------------------------------------------------------------------------

    def decode(self, output):
        """[n, 96, 96, 1 + 2k] -> the Poses of each picture, in pixels of its frame, best first."""
        return [self.decode_sample(maps) for maps in output]

    def decode_sample(self, maps):
        """The Poses of one picture: maps [96, 96, 1 + 2k]."""
        parents = parents_of(self.joints)
        people = []
        for *root, score in find_roots(maps[..., 0], self.options.threshold):
            people.append(
                Pose(joints_from(maps, root, parents), np.full(len(parents), score), score)
            )
        return people

    def export_outputs(self, network):
        return {'maps': network.outputs['spm']}

    # --- TensorBoard ----------------------------------------------------------------------------

    def score_maps(self, targets, outputs):
        target = {'target': targets['confidence']} if targets else {}
        return {**target, **{name: output[..., :1] for name, output in outputs.items()}}

    def image_summaries(self, variables):
        yield 'stem/filters', map_images.filter_grid(variables['stem/conv1/weights'])


# --- the hierarchy of joints ----------------------------------------------------------------------


def parents_of(joints):
    """Index of each joint's parent; -1: the root."""
    return [
        joints.index(PARENTS[joint]) if PARENTS.get(joint) in joints else -1 for joint in joints
    ]


def nearest_labelled(parents, joint, labelled):
    """Index of the nearest labelled joint among a joint and its ancestors; -1: the root."""
    while joint >= 0 and not labelled[joint]:
        joint = parents[joint]
    return joint


def parents_first(parents):
    """The joints' indices, parents before their children."""

    def depth(joint):
        return 0 if joint < 0 else 1 + depth(parents[joint])

    return sorted(range(len(parents)), key=depth)


# --- targets --------------------------------------------------------------------------------------


def to_cells(xy):
    """Points in pixels of the frame -> in cells of its maps, whose centres are whole numbers."""
    return xy / STRIDE - 0.5


def corners_of(boxes):
    """Boxes x1, y1, x2, y2 [n, 4] -> their corners, in their order around the box, [n, 4, 2]."""
    return boxes[:, [[0, 1], [2, 1], [2, 3], [0, 3]]]


def ignored_cells(corners_xy, visible):
    """Which cells of a picture lie in boxes to be ignored: bool [96, 96].

    corners_xy: [P, 4, 2], pixels of the frame, where the boxes may be rotated; visible: [P, 4], 0
    of people that are not to be ignored.
    """
    columns, rows = np.meshgrid(np.arange(CELLS), np.arange(CELLS))
    is_ignored = np.zeros((CELLS, CELLS), bool)
    for corners in to_cells(corners_xy)[visible.any(axis=1)]:
        sides = []  # of each edge's line, where the cells are: all the same within
        for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0)):
            sides.append((x2 - x1) * (rows - y1) - (y2 - y1) * (columns - x1) > 0)
        is_ignored |= np.all(sides, axis=0) | ~np.any(sides, axis=0)
    return is_ignored


def add_person(confidence, displacements, counts, xy, labelled, joints):
    """Adds one person to a picture's maps.  xy: [k, 2] cells; labelled: bool [k]."""
    root, extent = root_of(xy, labelled, joints)
    sigma = max(ROOT_DEVIATION * extent, MIN_ROOT_DEVIATION)
    gaussian = heatmaps.render_gaussians(root[None, None], (CELLS, CELLS), sigma)[0, :, :, 0]
    np.maximum(confidence[..., 0], gaussian, out=confidence[..., 0])
    parents = parents_of(joints)
    for joint in np.flatnonzero(labelled):
        ancestor = nearest_labelled(parents, parents[joint], labelled)
        rows, columns = cells_within(TAU, root if ancestor < 0 else xy[ancestor])
        displacements[rows, columns, 2 * joint] += (xy[joint, 0] - columns) / Z
        displacements[rows, columns, 2 * joint + 1] += (xy[joint, 1] - rows) / Z
        counts[rows, columns, joint] += 1


def cells_within(radius, xy):
    """The map's cells within a radius of a point: (rows [n], columns [n]).

    radius, xy: in cells; the point may lie outside of the map.
    """
    x, y = xy
    # The square around the circle, cut off at the map's edges.
    left, top = np.maximum(np.ceil(xy - radius), 0).astype(int)
    right, bottom = np.minimum(np.floor(xy + radius), CELLS - 1).astype(int)
    columns, rows = np.meshgrid(
        np.arange(left, right + 1),
        np.arange(top, bottom + 1),
    )
    squared_distance = (columns - x) ** 2 + (rows - y) ** 2
    near = squared_distance <= radius**2
    return rows[near], columns[near]


def root_of(xy, labelled, joints):
    """(root [2], square root of the area of the box) of one person, in the units of xy [k, 2]."""
    first = xy[labelled].min(axis=0)
    last = xy[labelled].max(axis=0)
    torso = [joints.index(joint) for joint in TORSO if joint in joints]
    has_torso = len(torso) == len(TORSO) and labelled[torso].all()
    root = xy[torso].mean(axis=0) if has_torso else (first + last) / 2
    return root, np.sqrt(np.prod(last - first))


# --- parts of the network -------------------------------------------------------------------------


def branch(x, name, outputs, channels, prior=0.5):
    """3x3 with ReLU and 1x1, without batch norm; prior: the initial value of a sigmoid of it."""
    with tf.variable_scope(f'{name}/conv1'):
        x = tf.nn.relu(layers.conv_bias(x, 3, channels))
    with tf.variable_scope(f'{name}/conv2'):
        x = layers.conv_bias(x, 1, outputs, deviation=MAPS_DEVIATION)
        return x + float(np.log(prior / (1 - prior)))


# --- decoding -------------------------------------------------------------------------------------


def find_roots(confidence, threshold):
    """[(row, column, confidence)]: local maxima of at least `threshold`, the highest first.

    There are up to MAX_PEOPLE; of equal neighbours one is kept.
    """
    size = 2 * NMS_DISTANCE + 1
    highest = scipy.ndimage.maximum_filter(confidence, size, mode='constant')
    rows, columns = np.nonzero((confidence == highest) & (confidence >= threshold))
    kept = []
    for i in np.argsort(-confidence[rows, columns], kind='stable'):
        row, column = int(rows[i]), int(columns[i])
        distances = [
            max(abs(row - kept_row), abs(column - kept_column)) for kept_row, kept_column, _ in kept
        ]
        if min(distances, default=CELLS) > NMS_DISTANCE:
            kept.append((row, column, float(confidence[row, column])))
    return kept[: SPM.MAX_PEOPLE]


def joints_from(maps, root, parents):
    """Joints float32 [k, 2], pixels of the frame, of the person with a root cell (row, column)."""
    displacements = Z * maps[..., 1:].astype(np.float64)  # [h, w, 2k], cells
    root_xy = root[::-1]
    xy = np.zeros((len(parents), 2))  # cells
    for joint in parents_first(parents):
        parent = parents[joint]
        parent_xy = root_xy if parent < 0 else xy[parent]
        column, row = np.clip(np.rint(parent_xy), 0, CELLS - 1).astype(int)
        displacement = displacements[row, column, 2 * joint : 2 * joint + 2]
        xy[joint] = (column, row) + displacement
    return (STRIDE * (xy + 0.5)).astype(np.float32)
