"""HRNet against its publication and a NumPy network in float64; targets, loss, decoding by loops."""

import argparse

import cv2
import numpy as np
import pytest

from jointpose import systems
from jointpose.checkpoints import checkpoint_variables
from jointpose.datasets import mpii
from jointpose.nn.tf1 import tf
from jointpose.options import options as command_line
from jointpose.systems import Network, hrnet
from jointpose.vision import affine, crops
from jointpose.vision.half_body import half_body


def settings(**changes):
    parser = argparse.ArgumentParser()
    hrnet.HRNet.add_options(parser)
    parser.set_defaults(**{'dataset': 'mpii', 'lmbd': 0.0, **changes})
    return parser.parse_args([])


@pytest.fixture
def shallow(monkeypatch):
    """A module a stage and a block a branch: a graph that is built in a second."""
    monkeypatch.setattr(hrnet, 'MODULES', (1, 1, 1))
    monkeypatch.setattr(hrnet, 'BLOCKS', 1)


# --- the network --------------------------------------------------------------------------------------------------


@pytest.mark.long  # every variable, by name and shape: tests/nn/test_hrnet_weights.py
def test_topology_is_the_published_one(tf_graph):
    """28.5 million parameters, and the resolutions and widths of the paper's table."""
    network = hrnet.HRNet(settings()).build(
        tf.zeros([1, 256, 256, 3], tf.uint8), None, training=False
    )
    assert (
        sum(np.prod(v.shape.as_list()) for v in tf.trainable_variables())
        == published_count(joints=16)
        == 28_536_080
    )
    assert published_count(joints=17) == 28_536_113
    shapes = {name: tuple(layer.shape.as_list()[1:]) for name, layer in network.layers.items()}
    assert shapes == {
        'stem/conv1': (128, 128, 64),
        'stem/conv2': (64, 64, 64),
        'stage1': (64, 64, 256),
        'stage2/branch1': (64, 64, 32),
        'stage2/branch2': (32, 32, 64),
        'stage3/branch1': (64, 64, 32),
        'stage3/branch2': (32, 32, 64),
        'stage3/branch3': (16, 16, 128),
        'stage4/branch1': (64, 64, 32),
        'maps': (64, 64, 16),
    }


def published_count(joints):
    """Weights, scales and offsets counted from the paper's description alone."""

    def conv(inputs, outputs, size):
        return inputs * outputs * size**2 + 2 * outputs

    def bottleneck(inputs):
        return conv(inputs, 64, 1) + conv(64, 64, 3) + conv(64, 256, 1)

    width = 32, 64, 128, 256
    count = (
        conv(3, 64, 3) + conv(64, 64, 3) + bottleneck(64) + conv(64, 256, 1) + 3 * bottleneck(256)
    )
    count += (
        conv(256, 32, 3) + conv(256, 64, 3) + conv(64, 128, 3) + conv(128, 256, 3)
    )  # new branches
    for branches, outputs in [(2, 2)] + 4 * [(3, 3)] + 2 * [(4, 4)] + [(4, 1)]:
        count += sum(8 * conv(width[i], width[i], 3) for i in range(branches))
        for target in range(outputs):
            for source in range(branches):
                if source > target:
                    count += conv(width[source], width[target], 1)
                if source < target:
                    count += (target - source - 1) * conv(width[source], width[source], 3)
                    count += conv(width[source], width[target], 3)
    return count + 32 * joints + joints


class Oracle:
    """The same network in NumPy: variables by name, batch norm by the moving averages."""

    def __init__(self, values, normalise, activate):
        self.values, self.normalise, self.activate = values, normalise, activate

    def conv(self, x, name, stride=1, relu=True):
        weights = self.values[f'{name}/weights'].astype(np.float64)
        pad = weights.shape[0] // 2
        x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(x, weights.shape[:2], (1, 2))[
            :, ::stride, ::stride
        ]
        y = np.einsum('nrcikl,klio->nrco', windows, weights)
        if not self.normalise:
            y = y + self.values[f'{name}/bias']
        elif f'{name}/scale' in self.values:
            mean, variance, scale, offset = (
                self.values[f'{name}/{part}']
                for part in ('moving_mean', 'moving_variance', 'scale', 'offset')
            )
            y = (y - mean) / np.sqrt(variance + 1e-3) * scale + offset
        return self.relu(y) if relu else y

    def relu(self, x):
        return np.maximum(x, 0) if self.activate else x

    def __call__(self, images):
        x = (images / 255.0 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
        x = self.conv(self.conv(x, 'stem/conv1', 2), 'stem/conv2', 2)
        y = self.conv(self.conv(x, 'stage1/block1/conv1'), 'stage1/block1/conv2')
        x = self.relu(
            self.conv(x, 'stage1/block1/shortcut', relu=False)
            + self.conv(y, 'stage1/block1/conv3', relu=False)
        )
        branches = [self.conv(x, 'stage2/transition1'), self.conv(x, 'stage2/transition2', 2)]
        branches = self.module(branches, 'stage2/module1', 2)
        branches = self.module(
            [*branches, self.conv(branches[-1], 'stage3/transition3', 2)], 'stage3/module1', 3
        )
        branches = self.module(
            [*branches, self.conv(branches[-1], 'stage4/transition4', 2)], 'stage4/module1', 1
        )
        maps = branches[0] @ self.values['maps/weights'][0, 0].astype(np.float64)
        return maps + self.values['maps/bias']

    def module(self, branches, name, outputs):
        for i, x in enumerate(branches):
            block = f'{name}/branch{i + 1}/block1'
            y = self.conv(self.conv(x, f'{block}/conv1'), f'{block}/conv2', relu=False)
            branches[i] = self.relu(x + y)
        result = []
        for i in range(outputs):
            total = branches[i]
            for j, x in enumerate(branches):
                fuse = f'{name}/fuse{j + 1}_{i + 1}'
                if j > i:
                    total = total + np.kron(
                        self.conv(x, fuse, relu=False), np.ones((1, 2 ** (j - i), 2 ** (j - i), 1))
                    )
                for step in range(i - j):
                    x = self.conv(x, f'{fuse}/conv{step + 1}', 2, relu=step < i - j - 1)
                total = total + x if j < i else total
            result.append(self.relu(total))
        return result


@pytest.mark.parametrize(
    'ablation',
    [
        {},
        pytest.param({'no_batch_norm': True}, marks=pytest.mark.long),
        {'no_batch_norm': True, 'identity': True},
    ],
)
def test_forward_is_that_of_numpy(tf_graph, shallow, ablation):
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(2, 64, 96, 3), dtype=np.uint8)
    options = settings(width=4, **ablation)
    network = hrnet.HRNet(options).build(tf.constant(images), None, training=False)
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        checkpoint_variables.assign(
            session,
            [  # no scale of 1, no mean of 0 hides anything
                (
                    variable,
                    rng.uniform(0.5, 1.5, variable.shape)
                    if 'variance' in variable.name
                    else rng.normal(0, 0.3, variable.shape),
                )
                for variable in tf.global_variables()
            ],
        )
        got, values = session.run(
            [network.outputs['hrnet'], {v.op.name: v for v in tf.global_variables()}]
        )
    expected = Oracle(values, not options.no_batch_norm, not options.identity)(images)
    assert got.shape == (2, 16, 24, 16)
    np.testing.assert_allclose(got, expected, atol=1e-4 * np.abs(expected).max())


def test_starts_near_the_empty_map(tf_graph, shallow):
    assert_nearly_empty(tf_graph, {})


@pytest.mark.long
@pytest.mark.parametrize(
    'ablation', [{}, {'no_batch_norm': True}, {'no_batch_norm': True, 'identity': True}]
)
def test_at_full_depth_it_starts_near_the_empty_map_too(tf_graph, ablation):
    assert_nearly_empty(tf_graph, ablation)


def assert_nearly_empty(tf_graph, ablation):
    """In training, the first loss is about that of saying nothing."""
    rng = np.random.default_rng(0)
    network = hrnet.HRNet(settings(width=4, **ablation)).build(
        tf.constant(rng.integers(256, size=(2, 64, 64, 3), dtype=np.uint8)), None, training=True
    )
    assert bool(network.statistics) == (not ablation)
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        maps = session.run(network.outputs['hrnet'])
    assert 0 < np.abs(maps).max() < 0.2


# --- samples ------------------------------------------------------------------------------------------------------


def someone(centre=(400, 300), scale=1.5):
    joints_xy = (
        np.random.default_rng(0)
        .uniform((300, 150), (500, 450), (len(mpii.JOINTS), 2))
        .astype(np.float32)
    )
    return crops.Person(
        joints_xy,
        np.full(len(mpii.JOINTS), crops.VISIBLE, np.uint8),
        np.zeros(4, np.float32),
        np.float32(centre),
        np.float32(scale),
        np.float32(60),
        'x.jpg',
    )


@pytest.mark.parametrize('dataset', ['mpii', 'flic'])
def test_crop_by_hand(dataset):
    """200 * 1.25 * scale pixels of the picture are 256; MPII's middle is 15 * scale lower than annotated."""
    matrix = hrnet.HRNet(settings(dataset=dataset)).crop_matrix(someone())
    half, below = 200 * 1.25 * 1.5 / 2, 15 * 1.5 if dataset == 'mpii' else 0
    for x, y, crop_x, crop_y in (
        (400, 300 + below, 128, 128),
        (400 - half, 300 + below - half, 0, 0),
        (400 + half, 300 + below + half, 256, 256),
    ):
        np.testing.assert_allclose(matrix @ [x, y, 1], [crop_x + 0.5, crop_y + 0.5], atol=1e-4)


def authors_matrix(centre, scale):
    """The authors' matrix from an image's pixel numbers (from 0) to a 256x256 crop's, by three points.

    centre: as MPII has it, counted from 1; scale likewise.  After lib/dataset/mpii.py and
    lib/utils/transforms.py of deep-high-resolution-net.pytorch.
    """
    middle = np.array(centre) + [0, 15 * scale] - 1
    side = 200 * 1.25 * scale
    source = np.float32([middle, middle - [0, side / 2], middle - [side / 2, side / 2]])
    target = np.float32([[128, 128], [128, 0], [0, 0]])
    return cv2.getAffineTransform(source, target)


def test_mpii_s_crop_joints_and_decoding_are_the_authors_own():
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (40, 60, 3), np.uint8)
    image = cv2.resize(image, (600, 400))
    annotated_xy = rng.uniform((150, 100), (450, 300), (len(mpii.JOINTS), 2))
    centre = np.array([301.0, 188.0])
    scale = 1.3
    matrix = authors_matrix(centre, scale)
    part = mpii.build(
        ['a.jpg'], annotated_xy[None], np.full((1, len(mpii.JOINTS)), 2), [centre], [scale]
    )
    record = part.people[0]
    person = crops.Person(
        part.joints[0],
        record['visible'],
        record['box'],
        record['centre'],
        record['scale'],
        record['unit'],
        'a.jpg',
    )
    system = hrnet.HRNet(settings())
    sample = system.test_sample(image, person)

    expected = cv2.warpAffine(image, matrix, (256, 256), flags=cv2.INTER_LINEAR)
    difference = np.abs(sample.image.astype(int) - expected)
    assert difference.max() <= 2 and difference.mean() < 0.05

    numbers = np.column_stack([annotated_xy - 1, np.ones(len(annotated_xy))]) @ matrix.T
    cell = np.floor(numbers / 4 + 0.5).astype(int)
    maps = system.encode(sample.joints_xy[None], np.ones((1, len(mpii.JOINTS))))['heat_maps'][0]
    for joint, (column, row) in enumerate(cell):
        assert maps[row, column, joint] == 1

    ((found,),) = system.decode(maps[None])
    in_image = found.joints_xy @ sample.to_image[:, :2].T + sample.to_image[:, 2]
    inverse = cv2.invertAffineTransform(matrix)
    for joint, (column, row) in enumerate(cell):
        theirs = inverse @ [4 * column, 4 * row, 1] + 1  # counted from 1, before the quarter cell
        ours = in_image[joint] + 0.5
        assert np.abs(ours - theirs).max() < 1.01 * scale * 250 / 256 + 1e-3


def authors_coco_map(box, points_xy):
    """Where points fall in the authors' 256x192 crop of a COCO box x y w h, in float64.

    From _xywh2cs of lib/dataset/coco.py and get_affine_transform of lib/utils/transforms.py: the box
    is brought to the ratio 192 : 256 by its smaller side, enlarged by 1.25, and its middle becomes
    the point (96, 128) of the crop; coordinates are those of pixels counted from 0.
    """
    x, y, w, h = box
    if w > 0.75 * h:
        h = w / 0.75
    elif w < 0.75 * h:
        w = 0.75 * h
    centre = np.array([x + box[2] / 2, y + box[3] / 2])
    corners = np.array([[1, *centre], [1, *(centre - [0, 1.25 * w / 2])], [1, *(centre - [1, 0])]])
    targets = np.array([[96, 128], [96, 128 - 96], [96 - 192 / (1.25 * w), 128]], float)
    coefficients = np.linalg.solve(corners, targets)
    return np.column_stack([np.ones(len(points_xy)), points_xy]) @ coefficients


BOXES = [(10, 20, 300, 100), (400, 50, 60, 333), (0, 0, 75, 100), (123.5, 67.25, 20.5, 21.5)]


@pytest.mark.parametrize('box', BOXES)
def test_coco_s_crop_and_targets_are_the_authors_own(box):
    system = hrnet.HRNet(settings(dataset='coco'))
    assert system.input_size == (256, 192)
    x, y, w, h = box
    person = crops.person_from_box((x, y, x + w, y + h), 17)
    points_xy = np.random.default_rng(0).uniform((x, y), (x + w, y + h), (17, 2))
    points_xy[0] = x - w, y - h  # the crop reaches about a tenth of its side beyond the box
    expected = authors_coco_map(box, points_xy)
    matrix = system.crop_matrix(person)
    found = points_xy @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(found - 0.5, expected, atol=1e-3)

    maps = system.encode(found[None], np.ones((1, 17)))['heat_maps'][0]
    assert maps.shape == (64, 48, 17) == system.target_shapes()['heat_maps']
    for joint, (column, row) in enumerate(np.floor(expected / 4 + 0.5).astype(int)):
        if 0 <= column < 48 and 0 <= row < 64:
            assert np.unravel_index(maps[..., joint].argmax(), (64, 48)) == (row, column)
            assert maps[row, column, joint] == 1
            assert maps[row, (column + 2) % 48, joint] <= np.float32(np.exp(-4 / 8))
    ((decoded,),) = system.decode(maps[None])
    inside = maps.max(axis=(0, 1)) == 1
    assert inside.sum() > 10
    assert np.abs(decoded.joints_xy - found)[inside].max() <= 3  # three quarters of a cell

    sample, mirrored = system.views(np.zeros((400, 600, 3), np.uint8), person)
    assert sample.image.shape == mirrored.image.shape == (256, 192, 3)
    np.testing.assert_allclose(
        affine.transform_points(mirrored.to_image, np.array([[192.0, 0]])),
        affine.transform_points(sample.to_image, np.array([[0.0, 0]])),
        atol=1e-3,
    )


def test_coco_s_augmentation_is_wider():
    """Scales within 0.65 to 1.35 and rotations with a deviation of 45 degrees, 60 % of the crops."""
    system = hrnet.HRNet(settings(dataset='coco', data_augm=True))
    person = crops.person_from_box((300, 100, 400, 300), 17)
    image = np.zeros((40, 60, 3), np.uint8)
    plain = np.linalg.norm(system.crop_matrix(person)[:, 0])
    extents = []
    angles = []
    for seed in range(300):
        sample = system.training_sample(image, person, np.random.default_rng(seed))
        matrix = affine.invert(sample.to_image)[:, :2]
        extents.append(plain / np.linalg.norm(matrix[:, 0]))
        angles.append(np.degrees(np.arctan2(-matrix[0, 1], matrix[1, 1])))
    assert 0.65 - 1e-6 <= min(extents) < 0.66
    assert 1.34 < max(extents) <= 1.35 + 1e-6
    turned = np.abs(angles) > 1e-6
    assert 0.5 < turned.mean() < 0.7
    assert 75 < np.abs(angles).max() <= 90 + 1e-6


def labelled_person(labelled):
    """A COCO person with random joints; `labelled` are the indices of the labelled ones."""
    rng = np.random.default_rng(1)
    person = crops.person_from_box((300, 100, 400, 300), 17)
    visible = np.zeros(17, np.uint8)
    visible[list(labelled)] = crops.VISIBLE
    joints_xy = rng.uniform((300, 100), (400, 300), (17, 2)).astype(np.float32)
    joints_xy[visible == 0] = np.nan
    return person._replace(joints_xy=joints_xy, visible=visible)


@pytest.mark.parametrize(
    'labelled, upper, lower',
    [
        (range(17), range(11), range(11, 17)),
        (range(9), range(9), range(9)),  # no leg at all
        ([0, 1, *range(10, 17)], [0, 1, 10], range(11, 17)),
        ([0, *range(10, 17)], range(0), range(0)),  # eight joints are too few
    ],
)
def test_half_a_coco_body_is_the_authors_own(labelled, upper, lower):
    """The middle and 1.5 times the spread of the joints of COCO's first eleven or last six."""
    system = hrnet.HRNet(settings(dataset='coco', data_augm=True))
    person = labelled_person(labelled)
    is_upper = np.arange(17) < 11
    whole = 0
    for seed in range(20):
        found = half_body(person, is_upper, hrnet.MARGIN, np.random.default_rng(seed))
        if found is person:
            whole += 1
            continue
        halves = [person.joints_xy[list(joints)].astype(float) for joints in (upper, lower)]
        distances = [np.abs(found.centre - half.mean(axis=0)).max() for half in halves]
        half = halves[int(np.argmin(distances))]
        assert min(distances) < 1e-3
        width, height = 1.5 * (half.max(axis=0) - half.min(axis=0))
        width, height = max(width, 0.75 * height), max(height, width / 0.75)
        np.testing.assert_allclose(system.extent(found), (width, height), rtol=1e-5)
    assert whole == (20 if len(upper) == 0 else 0)


def test_three_in_ten_coco_crops_show_half_a_body():
    """Seven in ten of these the upper one; the centre of the crop tells."""
    system = hrnet.HRNet(settings(dataset='coco', data_augm=True))
    person = labelled_person(range(17))
    halves = [person.joints_xy[:11].mean(axis=0), person.joints_xy[11:].mean(axis=0)]
    places = [*halves, person.centre]
    image = np.zeros((40, 60, 3), np.uint8)
    nearest = []
    for seed in range(600):
        sample = system.training_sample(image, person, np.random.default_rng(seed))
        middle = affine.transform_points(sample.to_image, np.array([[96.5, 128.5]]))[0]
        nearest.append(int(np.argmin([np.linalg.norm(middle - place) for place in places])))
    upper, lower, whole = np.bincount(nearest, minlength=3) / 600
    assert 0.65 < whole < 0.75 and 0.6 < upper / (upper + lower) < 0.78


def test_augmentation_is_of_the_published_ranges():
    image, person, options = np.zeros((500, 800, 3), np.uint8), someone(), settings(data_augm=True)
    plain = hrnet.HRNet(options).crop_matrix(person)
    zooms, turns, mirrors = [], [], []
    for i in range(400):
        sample = hrnet.HRNet(options).training_sample(image, person, np.random.default_rng(i))
        forward = affine.invert(sample.to_image)
        scale, mirror = (
            np.sqrt(abs(np.linalg.det(forward[:, :2]))),
            np.linalg.det(forward[:, :2]) < 0,
        )
        zooms.append(np.linalg.norm(plain[:, 0]) / scale)
        turns.append(
            np.degrees(np.arctan2(forward[1, 1], -forward[0, 1] if mirror else forward[0, 0]))
            if not mirror
            else np.degrees(np.arctan2(-forward[1, 0], -forward[0, 0]))
        )
        mirrors.append(mirror)
        joints_xy = person.joints_xy[list(mpii.Mpii().flip)] if mirror else person.joints_xy
        np.testing.assert_allclose(
            sample.joints_xy, joints_xy @ forward[:, :2].T + forward[:, 2], atol=1e-2
        )
    zooms, mirrors = np.array(zooms), np.array(mirrors)
    assert 0.75 - 1e-6 <= zooms.min() < 0.76 and 1.24 < zooms.max() <= 1.25 + 1e-6
    assert (
        0.25 < np.mean((zooms < 0.751) | (zooms > 1.249)) < 0.39
    )  # a normal's tails beyond 1: 0.32
    assert 0.42 < mirrors.mean() < 0.58


def test_targets_by_loops():
    options, k = settings(), len(mpii.JOINTS)
    rng = np.random.default_rng(0)
    joints_xy = rng.uniform(-60, 316, (3, len(mpii.JOINTS), 2)).astype(np.float32)
    visible = rng.integers(3, size=joints_xy.shape[:2]).astype(np.uint8)
    joints_xy[visible == 0] = np.nan
    got = hrnet.HRNet(options).encode(joints_xy, visible)
    assert {name: array.shape[1:] for name, array in got.items()} == hrnet.HRNet(
        options
    ).target_shapes()
    for n, j in np.ndindex(3, k):
        expected, counts = np.zeros((64, 64)), 0
        if visible[n, j]:
            column, row = (int(np.floor((v - 0.5) / 4 + 0.5)) for v in joints_xy[n, j])
            counts = int(-6 <= column < 70 and -6 <= row < 70)
            for r in range(max(row - 6, 0), min(row + 7, 64)):
                for c in range(max(column - 6, 0), min(column + 7, 64)):
                    expected[r, c] = np.exp(-((r - row) ** 2 + (c - column) ** 2) / 8)
        assert got['counts'][n, j] == counts
        np.testing.assert_allclose(got['heat_maps'][n, :, :, j], expected * counts, atol=1e-6)
    assert 0 < got['counts'].mean() < 1


def test_decoding_brings_the_joints_back():
    """To three quarters of a cell along each axis, 3 of the crop's 256 pixels: a target is on the nearest cell."""
    joints_xy = (
        np.random.default_rng(0).uniform(0, 250, (10, len(mpii.JOINTS), 2)).astype(np.float32)
    )
    maps = hrnet.HRNet(settings()).encode(joints_xy, np.ones(joints_xy.shape[:2], np.uint8))[
        'heat_maps'
    ]
    for people, truth in zip(hrnet.HRNet(settings()).decode(maps), joints_xy):
        assert len(people) == 1 and np.abs(people[0].joints_xy - truth[:16]).max() <= 3
        assert (people[0].scores == 1).all()


# --- options ------------------------------------------------------------------------------------------------------


def parsed(system, *arguments):
    return command_line.parse(systems.load(system), systems.names(), arguments)


def test_the_flip_test_is_the_default():
    assert parsed('hrnet', '--train')[0].flip_average
    assert parsed('hrnet', '--train', '--flip_average')[0].flip_average
    options, explicit = parsed('hrnet', '--train', '--no_flip_average')
    assert not options.flip_average and 'flip_average' in explicit
    assert not parsed('tompson', '--train')[0].flip_average
    assert not parsed('cpm', '--train')[0].flip_average
    with pytest.raises(SystemExit):
        parsed('cpm', '--train', '--no_flip_average')


def test_a_run_from_before_the_default_is_evaluated_with_the_flip_test():
    """The option belongs to the call: no run stores it, and a stored one would not count."""
    options, explicit = parsed('hrnet', '--restore', 'x')
    assert 'flip_average' not in command_line.settings_of(options, hrnet.HRNet)
    stored = {'width': 16, 'dataset': 'flic', 'data_augm': True, 'flip_average': False}
    command_line.merge_restored(options, explicit, stored, 'x', hrnet.HRNet, systems.names())
    assert options.flip_average and options.width == 16
    assert hrnet.HRNet(options).n_views == 2


# --- loss and views -----------------------------------------------------------------------------------------------


def test_loss_is_numpy_s(tf_graph):
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(3, 64, 64, 16)).astype(np.float32)
    joints_xy = rng.uniform(-60, 316, (3, len(mpii.JOINTS), 2))
    system = hrnet.HRNet(settings())
    targets = system.encode(joints_xy, rng.integers(3, size=joints_xy.shape[:2]))
    loss = system.losses(
        Network({'hrnet': tf.constant(maps)}, None, None, None),
        {name: tf.constant(array) for name, array in targets.items()},
    )
    with tf_graph() as session:
        got = session.run(loss)
    assert list(got) == ['hrnet']
    for n in range(3):
        of_joints = [
            0.5
            * targets['counts'][n, j]
            * np.mean((maps[n, :, :, j].astype(np.float64) - targets['heat_maps'][n, :, :, j]) ** 2)
            for j in range(16)
        ]
        assert got['hrnet'][n] == pytest.approx(np.mean(of_joints), rel=1e-5)


def test_mirrored_maps_come_back_one_cell_on(tf_graph):
    rng = np.random.default_rng(0)
    maps = rng.random((4, 64, 64, 16)).astype(np.float32)
    combined = hrnet.HRNet(settings()).merge_views(tf.constant(maps))
    with tf_graph() as session:
        got = session.run(combined)
    assert got.shape == (2, 64, 64, 16)
    for n, c, j in np.ndindex(2, 64, 16):
        other = maps[2 * n + 1, :, min(64 - c, 63), mpii.Mpii().flip[j]]
        np.testing.assert_allclose(got[n, :, c, j], (maps[2 * n, :, c, j] + other) / 2, rtol=1e-6)


def test_views_agree_where_the_network_is_right(tf_graph):
    """Targets of a crop and of its mirror image, averaged, peak where those of the crop do."""
    options, person = settings(), someone()
    image = np.zeros((500, 800, 3), np.uint8)
    both = hrnet.HRNet(options).views(image, person)
    joints_xy, visible = (
        np.stack([getattr(view, name) for view in both]) for name in ('joints_xy', 'visible')
    )
    maps = hrnet.HRNet(options).encode(joints_xy, visible)['heat_maps']
    with tf_graph() as session:
        averaged = session.run(hrnet.HRNet(options).merge_views(tf.constant(maps)))
    inside = maps[0].max(axis=(0, 1)) == 1
    found = hrnet.HRNet(options).decode(averaged)[0][0].joints_xy
    assert inside.sum() > 8 and np.abs(found - joints_xy[0, :16])[inside].max() <= 3
