"""Convolutional Pose Machines: the network against the published tables, targets, loss and joints against NumPy."""

from types import SimpleNamespace

import numpy as np
import pytest
from people import eight_people, somebody

from jointpose import main, run_options
from jointpose.datasets import arrays, flic, lsp
from jointpose.nn.tf1 import tf
from jointpose.options import options as command_line
from jointpose.systems import cpm
from jointpose.training import batches, towers
from jointpose.vision import crops
from jointpose.vision.affine import transform_points

SIDE, CELLS, K = 368, 46, 14
# The release's deploy file: 3x3 convolutions of the trunk, in order; 0 is a pooling.
TRUNK = (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 256, 256, 256, 256, 128)


def settings(*arguments, **changes):
    options, *_ = run_options.resolve_options(['--train', '--system', 'cpm', *arguments])
    vars(options).update(changes)
    return options


# --- the network --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(('dataset', 'parameters'), [('lsp', 29_852_058), ('mpii', 29_917_094)])
def test_layers_and_parameters_are_the_published_ones(tf_graph, dataset, parameters):
    options = settings('--dataset', dataset)
    images = tf.placeholder(tf.uint8, [None, SIDE, SIDE, 3])
    network = cpm.CPM(options).build(images, None, training=True)
    k = len(cpm.CPM(options).joints)
    weights = {
        v.op.name.removesuffix('/weights'): v.shape.as_list()
        for v in tf.trainable_variables()
        if v.op.name.endswith('weights')
    }
    shapes, channels = [], 3
    for width in TRUNK:
        if width:
            shapes.append([3, 3, channels, width])
            channels = width
    assert list(weights.values())[: len(shapes)] == shapes
    assert [weights[f'stage1/{name}'] for name in ('conv1', 'maps')] == [
        [1, 1, 128, 512],
        [1, 1, 512, k + 1],
    ]
    for stage in range(2, 7):
        own = [shape for name, shape in weights.items() if name.startswith(f'stage{stage}/')]
        assert own == [
            [7, 7, k + 1 + 128 + 1, 128],
            *[[7, 7, 128, 128]] * 4,
            [1, 1, 128, 128],
            [1, 1, 128, k + 1],
        ]
    assert sum(np.prod(v.shape.as_list()) for v in tf.trainable_variables()) == parameters
    assert list(network.outputs) == [f'stage{i}' for i in range(1, 7)]
    assert all(maps.shape.as_list() == [None, CELLS, CELLS, k] for maps in network.outputs.values())


def test_every_stage_sees_the_former_one_the_trunk_and_the_centre(tf_graph):
    options = settings('--width', '2', '--stages', '3')
    images = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3), np.uint8)
    network = cpm.CPM(options).build(tf.constant(images), None, training=True)
    variables = {v.op.name: v for v in tf.trainable_variables()}
    last = tf.reduce_sum(network.outputs['stage3'] ** 2)
    gradients = tf.gradients(last, list(variables.values()))
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        reached = dict(zip(variables, session.run(gradients)))
        maps = session.run(network.parts)
    assert all(np.abs(gradient).max() > 0 for gradient in reached.values()), reached.keys()
    concatenated = reached['stage3/conv1/weights'].reshape(49, K + 1 + 4 + 1, 4)
    assert (np.abs(concatenated).max(axis=(0, 2)) > 0)[
        [0, K, -1]
    ].all()  # joint, background, centre
    assert all(
        np.abs(each[..., K] - 1).mean() < 0.5 for each in maps.values()
    )  # nobody: background everywhere


def test_centre_map_is_the_pooled_one(monkeypatch):
    """The release: a Gaussian of 21 pixels around pixel 184, counted from 1; Caffe's mean of 9x9 windows."""
    at = np.arange(1, SIDE + 1) - SIDE // 2
    whole = np.exp(-(at[:, None] ** 2 + at**2) / (2 * 21**2))
    expected = np.array(
        [[whole[r : r + 9, c : c + 9].mean() for c in range(0, SIDE, 8)] for r in range(0, SIDE, 8)]
    )
    released, plain = (cpm.centre_map(released)[0, ..., 0] for released in (True, False))
    assert released.shape == plain.shape == (CELLS, CELLS)
    np.testing.assert_allclose(released, expected, atol=1e-6)
    assert 0.03 < np.abs(plain - expected).max() < 0.05
    assert plain[22, 22] == plain[23, 23] == plain.max()


def test_vgg_s_filters_see_what_they_saw_in_caffe():
    """There: blue, green, red as 0..255 less the mean of ImageNet's pictures."""
    rng = np.random.default_rng(0)
    layers = {
        name: (rng.normal(size=(3, 3, 3, 4)), rng.normal(size=4))
        for name in ('conv1_1', 'conv4_2', 'conv5_1')
    }
    taken = cpm.CPM(settings()).convert_weights(layers)
    assert taken.keys() == {
        f'{name}/{part}' for name in ('conv1_1', 'conv4_2') for part in ('weights', 'bias')
    }
    patch = rng.integers(0, 256, (3, 3, 3))  # RGB
    here = np.einsum('rcd,rcdf->f', patch / 256 - 0.5, taken['conv1_1/weights'])
    there = patch[..., ::-1] - (103.939, 116.779, 123.68)
    np.testing.assert_allclose(
        here + taken['conv1_1/bias'],
        np.einsum('rcd,rcdf->f', there, layers['conv1_1'][0]) + layers['conv1_1'][1],
    )
    np.testing.assert_array_equal(taken['conv4_2/weights'], layers['conv4_2'][0])


# --- the released model -------------------------------------------------------------------------------------------

# config.m of the release; the background follows.
RELEASED = (
    *('head', 'neck', 'rsho', 'relb', 'rwri', 'lsho', 'lelb', 'lwri'),
    *('rhip', 'rkne', 'rank', 'lhip', 'lkne', 'lank'),
)


def released_model(rng):
    """{Caffe's layer: [filters [rows, columns, inputs, outputs], bias]} as in pose_deploy_resize.prototxt."""
    layers = {}

    def layer(name, size, inputs, outputs):
        deviation = (2 / (size * size * inputs)) ** 0.5
        filters = rng.normal(0, deviation, (size, size, inputs, outputs))
        layers[name] = [filters.astype(np.float32), rng.normal(0, 0.1, outputs).astype(np.float32)]

    names = 'conv1_1 conv1_2 0 conv2_1 conv2_2 0 conv3_1 conv3_2 conv3_3 conv3_4 0 conv4_1 conv4_2'
    names = [*names.split(), *(f'conv4_{i}_CPM' for i in range(3, 8))]
    channels = 3
    for name, width in zip(names, TRUNK):
        if width:
            layer(name, 3, channels, width)
            channels = width
    layer('conv5_1_CPM', 1, 128, 512)
    layer('conv5_2_CPM', 1, 512, 15)
    for stage in range(2, 7):
        for i, inputs in enumerate((15 + 128 + 1, 128, 128, 128, 128), 1):
            layer(f'Mconv{i}_stage{stage}', 7, inputs, 128)
        layer(f'Mconv6_stage{stage}', 1, 128, 128)
        layer(f'Mconv7_stage{stage}', 1, 128, 15)
    assert sum(x.size for pair in layers.values() for x in pair) == 29_852_058
    return layers


def convolved(x, filters, bias, is_last=False):
    """Caffe's convolution with padding to the same size, and a ReLU: [h, w, c] -> float64 [h, w, d]."""
    size = len(filters)
    pad = size // 2
    x = np.pad(x, ((pad, pad), (pad, pad), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), (0, 1))  # [h, w, c, r, s]
    x = np.einsum('hwcrs,rscd->hwd', windows, filters.astype(float), optimize=True) + bias
    return x if is_last else np.maximum(x, 0)


def released_maps(layers, image):
    """Maps [h/8, w/8, 15] of the six stages, as Caffe computes them from an RGB picture [h, w, 3]."""
    side = len(image)
    x = image[..., ::-1] / 256 - 0.5  # BGR
    names = iter(layers)
    for width in TRUNK:
        if width:
            x = convolved(x, *layers[next(names)])
        else:
            h, w, c = x.shape
            x = x.reshape(h // 2, 2, w // 2, 2, c).max(axis=(1, 3))
    at = np.arange(1, side + 1) - side / 2
    whole = np.exp(-(at[:, None] ** 2 + at**2) / (2 * 21**2))
    starts = range(0, side, 8)
    centre = np.array([[whole[r : r + 9, c : c + 9].mean() for c in starts] for r in starts])
    maps = convolved(convolved(x, *layers['conv5_1_CPM']), *layers['conv5_2_CPM'], is_last=True)
    stages = [maps]
    for stage in range(2, 7):
        y = np.concatenate([maps, x, centre[..., None]], axis=-1)
        for i in range(1, 8):
            y = convolved(y, *layers[f'Mconv{i}_stage{stage}'], is_last=i == 7)
        maps = y
        stages.append(maps)
    return stages


def saved(layers, path):
    parts = {f'{name}/{kind}': x for name, pair in layers.items() for kind, x in zip('Wb', pair)}
    np.savez(path, **parts)
    return str(path)


def test_a_released_model_gives_its_own_maps(tf_graph, tmp_path, monkeypatch):
    """All six stages, at random weights, of a picture of 64x64, by NumPy in float64."""
    rng = np.random.default_rng(0)
    layers = released_model(rng)
    image = rng.integers(0, 256, (64, 64, 3), np.uint8)
    monkeypatch.setattr(cpm, 'SIDE', 64)
    monkeypatch.setattr(cpm, 'CELLS', 8)
    options = settings('--init', saved(layers, tmp_path / 'released.npz'))
    system = cpm.CPM(options)
    network = system.build(tf.constant(image[None]), None, training=False)
    with tf_graph() as session:
        imported = main.initial_weights(system, options, None, {})
        assert {name: value.shape for name, value in imported.items()} == {
            v.op.name: tuple(v.shape.as_list()) for v in tf.trainable_variables()
        }
        main.initialise(session, None, {}, None, options, imported)
        got = session.run(network.parts)
    order = [*(RELEASED.index(joint) for joint in lsp.JOINTS), 14]
    for stage, maps in enumerate(released_maps(layers, image), 1):
        difference = np.abs(got[f'stage{stage}'][0] - maps[..., order]).max()
        assert difference < 2e-4 * maps.std(), (stage, difference)


@pytest.mark.parametrize(
    ('change', 'words', 'message'),
    [
        (lambda layers: layers.pop('Mconv3_stage4'), '', 'without Mconv3_stage4'),
        (lambda layers: layers.update(conv9=layers['conv4_2']), '', 'no layers .*: conv9'),
        (
            lambda layers: layers.update(conv4_1=layers['conv4_2']),
            '',
            r'conv4_1 is of shape \(3, 3, 512, 512\)',
        ),
        (lambda layers: None, '--dataset mpii', '--dataset lsp'),
        (lambda layers: None, '--stages 3', 'omit --stages, --width'),
        (lambda layers: None, '--width 32', 'omit --stages, --width'),
    ],
)
def test_half_a_released_model_is_refused(change, words, message):
    layers = {}
    for name, shape in zip(cpm.released_names(), cpm.released_shapes(K)):
        layers[name] = (np.broadcast_to(np.float32(0), shape), np.zeros(shape[-1], np.float32))
    change(layers)
    with pytest.raises(ValueError, match=message):
        cpm.CPM(settings(*words.split())).convert_weights(layers)


# --- targets and losses -------------------------------------------------------------------------------------------


def test_targets_by_brute_force():
    xy = np.random.default_rng(0).uniform(-20, SIDE + 20, (2, K, 2)).astype(np.float32)
    visible = np.full((2, K), 1, np.uint8)
    visible[1, 3] = 0
    xy[1, 3] = 1e6
    got = cpm.CPM(settings()).encode(xy, visible)
    for i, j, r, c in ((0, 0, 5, 9), (0, 13, 45, 0), (1, 7, 20, 40), (1, 2, 0, 0)):
        distance = np.hypot(8 * c + 4 - xy[i, j, 0], 8 * r + 4 - xy[i, j, 1])
        assert np.isclose(
            got['heat_maps'][i, r, c, j], np.exp(-(distance**2) / (2 * 32**2)), atol=1e-6
        )
    np.testing.assert_array_equal(
        got['heat_maps'][0, ..., K], 1 - got['heat_maps'][0, ..., :K].max(-1)
    )
    np.testing.assert_array_equal(got['counts'], [[1] * (K + 1), [1, 1, 1, 0, *[1] * (K - 4), 0]])
    assert {name: (2, *shape) for name, shape in cpm.CPM(settings()).target_shapes().items()} == {
        name: x.shape for name, x in got.items()
    }


def test_losses_and_their_gradient_against_numpy(tf_graph):
    rng = np.random.default_rng(0)
    maps, wanted = rng.normal(0, 1, (2, 3, CELLS, CELLS, K + 1))  # two stages; one set of targets
    wanted, counts = wanted.astype(np.float32), np.ones((3, K + 1), np.float32)
    counts[1, [4, K]] = 0
    beliefs = {f'stage{i}': tf.constant(x, tf.float32) for i, x in enumerate((maps, 2 * maps), 1)}
    network = SimpleNamespace(parts=beliefs)
    losses = cpm.CPM(settings()).losses(
        network, {'heat_maps': tf.constant(wanted), 'counts': tf.constant(counts)}
    )
    total = cpm.CPM(settings()).total_loss(
        {name: tf.reduce_mean(loss) for name, loss in losses.items()}
    )
    with tf_graph() as session:
        got, got_total, got_gradient = session.run(
            [losses, total, tf.gradients(total, beliefs['stage2'])[0]]
        )
    expected = {}
    for name, x in (('stage1', maps), ('stage2', 2 * maps)):
        expected[name] = [
            sum(
                counts[i, j] * ((x[i, ..., j] - wanted[i, ..., j].astype(float)) ** 2).sum()
                for j in range(K + 1)
            )
            / (K + 1)
            for i in range(3)
        ]
        np.testing.assert_allclose(got[name], expected[name], rtol=1e-5)
    np.testing.assert_allclose(
        got_total, np.mean(expected['stage1']) + np.mean(expected['stage2']), rtol=1e-5
    )
    np.testing.assert_allclose(
        got_gradient, 2 * counts[:, None, None] * (2 * maps - wanted) / (3 * (K + 1)), atol=1e-5
    )


# --- samples and joints -------------------------------------------------------------------------------------------


@pytest.mark.parametrize('sigma', [7.0, 32.0])
def test_joints_come_back_from_their_targets(sigma):
    """Within 0.02 pixels, and within half a cell in the outermost cells, where a peak has one neighbour only."""
    rng = np.random.default_rng(0)
    inner, edge = rng.uniform(9, SIDE - 9, (20, K, 2)), rng.uniform(0, 8, (5, K, 2))
    options, visible = settings(sigma=sigma), np.ones((25, K), np.uint8)
    maps = cpm.CPM(options).encode(np.concatenate([inner, edge]), visible)['heat_maps'][..., :K]
    poses = [people[0] for people in cpm.CPM(options).decode(maps)]
    got = np.stack([pose.joints_xy for pose in poses])
    np.testing.assert_allclose(got[:20], inner, atol=0.02)
    assert np.abs(got[20:] - edge).max() <= 4.01
    assert all(0.6 < pose.scores.min() <= pose.scores.max() <= 1 for pose in poses)


def test_maps_that_say_nothing_have_joints_that_are_numbers():
    maps = np.stack([np.zeros((CELLS, CELLS, K)), np.full((CELLS, CELLS, K), -1)]).astype(
        np.float32
    )
    for people in cpm.CPM(settings()).decode(maps):
        assert (
            np.isfinite(people[0].joints_xy).all()
            and not people[0].scores.any()
            and people[0].score == 0
        )


@pytest.mark.parametrize(
    ('crop', 'height', 'grey'), [('released', 200 * 41 / 35, 128), ('plain', 200, 0)]
)
def test_a_person_s_height_in_the_crop_and_what_lies_outside_the_picture(crop, height, grey):
    image, person = somebody()
    sample = cpm.CPM(settings('--crop', crop)).test_sample(np.full_like(image, 255), person)
    assert sample.image.shape == (SIDE, SIDE, 3)
    first, last = transform_points(
        np.linalg.inv([*sample.to_image, [0, 0, 1]])[:2], person.box.reshape(2, 2)
    )
    assert np.isclose((last - first).max(), height, atol=0.01)
    np.testing.assert_allclose((first + last) / 2, SIDE / 2, atol=0.01)
    corner = transform_points(sample.to_image, np.array([[0.5, 0.5]]))[0]
    assert (corner < 0).any()
    assert (sample.image[0, 0] == grey).all() and (sample.image[SIDE // 2, SIDE // 2] == 255).all()


def test_flic_s_torso_is_where_the_release_has_it():
    """genJSON.m: 0.011 of its height is the scale, 0.7 and 0.3 of its ends the centre."""
    stored = np.zeros(1, flic.PERSON_DTYPE)
    stored['torsobox'] = [300, 120, 380, 270]
    joints_xy = np.random.default_rng(0).uniform(100, 400, (1, 10, 2)).astype(np.float32)
    people = flic.Flic().complete_people(stored, joints_xy)
    person = crops.person_from_row(arrays.Split(None, joints_xy, people, None, 'train'), 0)
    sample = cpm.CPM(settings('--dataset', 'flic')).test_sample(
        np.zeros((480, 720, 3), np.uint8), person
    )
    from_picture = np.linalg.inv([*sample.to_image, [0, 0, 1]])[:2]
    ends = transform_points(from_picture, np.array([[340, 120], [340, 270]]))
    assert ends[1, 1] - ends[0, 1] == pytest.approx(41 / 35 / 0.011, rel=1e-4)
    np.testing.assert_allclose(
        transform_points(from_picture, np.array([[340, 0.7 * 120 + 0.3 * 270]])),
        [[SIDE / 2, SIDE / 2]],
        atol=0.01,
    )


@pytest.mark.parametrize(
    ('settings_of_run', 'crop'), [({}, 'plain'), ({'crop': 'released'}, 'released')]
)
def test_runs_keep_the_crop_that_they_were_trained_with(settings_of_run, crop):
    """Those from before --crop existed have the plain one, restored or taken by --init."""
    for merge, words in (
        (command_line.merge_restored, ['--restore', 'x']),
        (command_line.merge_initial, ['--train', '--init', 'x']),
    ):
        options, explicit = command_line.parse(cpm.CPM, ('cpm',), words)
        merge(options, explicit, settings_of_run, 'x', cpm.CPM, ('cpm',))
        assert options.crop == crop
        assert not command_line.changed_inputs(options, settings_of_run, cpm.CPM, ('cpm',))
    options, explicit = command_line.parse(
        cpm.CPM, ('cpm',), ['--restore', 'x', '--crop', 'released']
    )
    command_line.merge_restored(options, explicit, settings_of_run, 'x', cpm.CPM, ('cpm',))
    changed = command_line.changed_inputs(options, settings_of_run, cpm.CPM, ('cpm',))
    assert changed == ({'crop': 'plain'} if crop == 'plain' else {})


def test_training_samples_stay_within_the_published_ranges():
    image, person = somebody()
    options, zooms, angles, mirrored = settings('--data_augm'), [], [], 0
    for seed in range(60):
        sample = cpm.CPM(options).training_sample(image, person, np.random.default_rng(seed))
        linear = np.linalg.inv(sample.to_image[:, :2])
        mirrored += np.linalg.det(linear) < 0
        zooms.append(np.sqrt(abs(np.linalg.det(linear))) * float(person.scale) * 35 / 41)
        angles.append(np.degrees(np.arctan2(linear[1, 0], linear[1, 1])))
        flip = lsp.Lsp().flip if np.linalg.det(linear) < 0 else range(K)
        np.testing.assert_allclose(
            transform_points(sample.to_image, sample.joints_xy)[list(flip)],
            person.joints_xy,
            atol=1e-3,
        )
    assert 0.7 <= min(zooms) < 0.8 and 1.2 < max(zooms) <= 1.3
    assert np.abs(angles).max() <= 40.001 and min(angles) < -30 and max(angles) > 30
    assert 15 < mirrored < 45
    plain = cpm.CPM(settings()).training_sample(image, person, np.random.default_rng(0))
    np.testing.assert_array_equal(plain.image, cpm.CPM(options).test_sample(image, person).image)


@pytest.mark.parametrize(
    ('flags', 'n'),
    [
        ('', 7),
        ('--flip_average', 14),
        ('--scales single', 1),
        ('--scales single --flip_average', 2),
    ],
)
def test_the_views_maps_come_back_to_the_first_view(tf_graph, flags, n):
    """Perfect maps of all views, averaged, give the person's joints in the picture, within a pixel and a half."""
    image, person = somebody()
    options = settings(*flags.split())
    views = cpm.CPM(options).views(image, person)
    assert len(views) == cpm.CPM(options).n_views == n
    batch = batches.collate(cpm.CPM(options), [0] * len(views), [1] * len(views), views)
    maps = batch.targets['heat_maps'][..., :K]
    with tf_graph() as session:
        combined = session.run(cpm.CPM(options).merge_views(tf.constant(maps)))
    assert combined.shape == (1, CELLS, CELLS, K)
    ((pose,),) = cpm.CPM(options).decode(combined)
    np.testing.assert_allclose(
        transform_points(views[0].to_image, pose.joints_xy), person.joints_xy, atol=1.5
    )


def test_the_logged_rate_is_the_data_set_s():
    """PCK@0.2 in the picture, here three times the size of the crop, by loops over labelled joints."""
    rng = np.random.default_rng(0)
    options, n = settings('--stages', '2'), 6
    truth = rng.uniform(60, 300, (n, K, 2)).astype(np.float32)
    error = rng.uniform(-30, 30, (2, n, K, 2))
    error[1] /= 2
    visible = (rng.random((n, K)) < 0.8).astype(np.uint8)
    outputs = {
        f'stage{i}': cpm.CPM(options).encode(truth + e, np.ones((n, K)))['heat_maps'][..., :K]
        for i, e in enumerate(error, 1)
    }
    meter = cpm.CPM(options).meter(list(outputs))
    unit = rng.uniform(200, 500, n)
    facts = SimpleNamespace(
        rows=np.arange(n),
        joints_xy=truth,
        visible=visible,
        unit=unit,
        back=np.tile(3 * np.eye(2, 3), (n, 1, 1)),
    )
    meter.add(dict.fromkeys(outputs, 1.0), outputs, facts)
    means = meter.means()
    for name, e in zip(outputs, error):
        hits = [
            [
                100 * np.mean(3 * np.hypot(*e[i, j]) <= 0.2 * unit[i])
                for i in range(n)
                if visible[i, j]
            ]
            for j in range(K)
        ]
        np.testing.assert_allclose(
            list(means[f'joints_{name}'].values()), [np.mean(h) for h in hits]
        )
    assert means['rate_stage2'] > means['rate_stage1'] and list(outputs)[-1] == 'stage2'


# --- it learns ----------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_eight_people_are_learnt_by_heart(tf_graph):
    """PCK@0.2 over 70 %; the second stage knows more than the first."""
    options = settings(
        '--width',
        '8',
        '--stages',
        '2',
        '--sigma',
        '16',
        '--optimizer',
        'adam',
        '--clip_norm',
        '0',
        '--batch_size',
        '2',
        '--lr_steps',
        '1:1',
    )
    people = eight_people()
    samples = [cpm.CPM(options).test_sample(image, person) for image, person in people]
    units = [person.norm_length for _, person in people]
    steps = 480
    tf.set_random_seed(0)
    tf.train.get_or_create_global_step()
    batch = batches.placeholders(cpm.CPM(options))
    training = towers.build_training(cpm.CPM(options), batch, ['/cpu:0'], steps)
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        for step in range(steps):
            rows = [(2 * step + i) % 8 for i in (0, 1)]
            if step % 4 == 0:
                meter = cpm.CPM(options).meter(list(training.outputs))
            fed = batches.collate(
                cpm.CPM(options),
                rows,
                [units[row] for row in rows],
                [samples[row] for row in rows],
            )
            _, losses, outputs = session.run(
                [training.step, training.losses, training.outputs], batches.feed(batch, fed)
            )
            meter.add(losses, outputs, batches.without_images(fed))
    means = meter.means()  # of the last four steps: all eight
    assert means['rate_stage2'] > 70 and means['rate_stage2'] > means['rate_stage1'], means
