"""Tompson's losses and their gradients against NumPy, and what of them is minimised."""

import numpy as np
import pytest

from jointpose import model, run_options
from jointpose.datasets import flic
from jointpose.datasets.person_frames import PersonFrame
from jointpose.datasets.synthetic import flic_set
from jointpose.inference import pose_estimator
from jointpose.nn.tf1 import tf
from jointpose.options import options as command_line
from jointpose.systems import Network, tompson
from jointpose.systems.tompson import options as tompson_options
from jointpose.systems.tompson import system as tompson_system
from jointpose.systems.tompson import torso_inference
from jointpose.training import batches, optimiser
from jointpose.utils.errors import InputError
from jointpose.vision import crops, heatmaps

SHAPE = flic.MAP_HEIGHT, flic.MAP_WIDTH


def settings(**changes):
    options, *_ = run_options.resolve_options(['--train', '--use_sm'])
    vars(options).update(changes)
    return options


def test_cross_entropy_and_its_gradient_for_any_mass(tf_graph):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (2, 60, 90, 9))
    xy = rng.uniform((0, 0), (720, 480), (2, 9, 2))
    xy[0, 0], xy[1, 1] = (0, 0), (-50, 5)  # a cut target, an empty one
    target = heatmaps.render_targets(xy, SHAPE).astype(np.float64)
    p = np.exp(logits) / np.exp(logits).sum((1, 2), keepdims=True)
    expected = -(target * np.log(p)).sum((1, 2)).mean(-1)
    gradient = (target.sum((1, 2), keepdims=True) * p - target) / 9
    x = tf.constant(logits, tf.float32)
    loss = tompson_system.cross_entropy(x, tf.constant(target, tf.float32))
    with tf_graph() as session:
        got, got_gradient = session.run([loss, tf.gradients(loss, x)[0]])
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    np.testing.assert_allclose(got_gradient, gradient, atol=1e-6)


def test_squared_loss(tf_graph):
    """Of the detector's linear maps and of the spatial model's distributions, sum over cells, mean over joints."""
    rng = np.random.default_rng(0)
    linear, probable = (
        rng.normal(0, 1, (3, 60, 90, 9)),
        rng.dirichlet(np.ones(5400), (3, 9)).transpose(0, 2, 1),
    )
    probable = probable.reshape(3, 60, 90, 9)
    xy = rng.uniform((0, 0), (720, 480), (3, 10, 2))
    xy[0, 0] = (-50, 5)  # an empty target
    made = tompson.Tompson(settings(loss='squared')).encode(xy, np.full((3, 10), 2, np.uint8))
    targets = {name: tf.constant(maps) for name, maps in made.items()}
    target = heatmaps.render_targets(xy, SHAPE).astype(np.float64)
    logits = tf.constant(linear, tf.float32)
    maps_pd, maps_sm = (
        tf.nn.relu(logits),
        tf.constant(probable, tf.float32),
    )  # as Tompson.build makes them
    network = Network(
        {'pd': maps_pd, 'sm': maps_sm}, None, None, ({'pd': logits, 'sm': None}, 'there')
    )
    both = tompson.Tompson(settings(loss='squared')).losses(network, targets)
    network = Network({'pd': maps_pd}, None, None, ({'pd': logits}, None))
    alone = tompson.Tompson(settings(loss='squared', use_sm=False)).losses(network, targets)
    with tf_graph() as session:
        got, got_alone = session.run([both, alone])
    assert list(got) == ['pd', 'sm'] and list(got_alone) == ['pd']
    for loss, maps in zip(got.values(), (linear, probable)):
        expected = [
            sum(((maps[i, :, :, j] - target[i, :, :, j]) ** 2).sum() for j in range(9)) / 9
            for i in range(3)
        ]
        np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_allclose(got_alone['pd'], got['pd'], rtol=1e-6)


@pytest.mark.parametrize('loss', ['cross_entropy', 'squared'])
def test_a_joint_without_label_teaches_nothing(tf_graph, loss):
    """Its maps have no gradient, whatever they are; the others' gradients are as if it were labelled."""
    rng, options = np.random.default_rng(0), settings(loss=loss)
    xy = rng.uniform((100, 100), (600, 400), (2, 10, 2)).astype(np.float32)
    without = xy.copy()
    without[1, 4] = np.nan
    maps = tf.constant(rng.normal(0, 1, (2, 60, 90, 9)), tf.float32)
    network = Network(
        {'pd': tf.nn.relu(maps), 'sm': maps}, None, None, ({'pd': maps, 'sm': maps}, 'there')
    )
    gradients = []
    for joints_xy in (xy, without):
        made = tompson.Tompson(options).encode(joints_xy, crops.visibility(joints_xy))
        assert {name: map_.shape[1:] for name, map_ in made.items()} == tompson.Tompson(
            options
        ).target_shapes()
        losses = tompson.Tompson(options).losses(
            network, {name: tf.constant(map_) for name, map_ in made.items()}
        )
        gradients.append(tf.gradients(list(losses.values()), maps)[0])
    with tf_graph() as session:
        whole, lacking = session.run(gradients)
    assert np.abs(whole[1, :, :, 4]).max() > 0 and not lacking[1, :, :, 4].any()
    whole[1, :, :, 4] = 0
    np.testing.assert_allclose(lacking, whole, atol=1e-7)


def test_a_mirrored_person_lacks_the_other_side_s_label():
    """In training and in the mirrored views; rates know only the labelled."""
    options = settings(data_augm=True, flip_average=True)
    image, xy = (
        np.zeros((480, 720, 3), np.uint8),
        np.tile(np.float32([[100], [200]]), (1, 10)).T.copy(),
    )
    xy[:, 0] += 60 * np.arange(10)
    xy[1] = np.nan  # lelb
    person = crops.Person(xy, crops.visibility(xy), np.zeros(4), np.zeros(2), 1.0, 1.0, '')
    samples = [
        tompson.Tompson(options).training_sample(image, person, np.random.default_rng(seed))
        for seed in range(20)
    ]
    mirrored = [np.linalg.det(sample.to_image[:, :2]) < 0 for sample in samples]
    samples += tompson.Tompson(options).views(image, person)
    mirrored += [scale < 0 for scale in tompson.Tompson(options).scales]
    assert {True, False} == set(mirrored)
    for sample, flipped in zip(samples, mirrored):
        assert np.flatnonzero(sample.visible == 0).tolist() == [4 if flipped else 1]
        np.testing.assert_array_equal(np.isnan(sample.joints_xy).all(axis=1), sample.visible == 0)
    truth = np.stack([xy, np.nan_to_num(xy, nan=250)])
    unit = np.linalg.norm(flic.normaliser(truth[:, :9]), axis=-1)
    back = np.tile(np.eye(3)[:2], (2, 1, 1))
    facts = batches.Batch(np.arange(2), None, truth, crops.visibility(truth), back, unit, None)
    maps = heatmaps.render_targets(truth[:, :9], SHAPE)
    maps[1, :, :, 1] = maps[1, :, :, 8]  # lelb's is found elsewhere
    meter = tompson.Tompson(options).meter(('pd',))
    meter.add({'pd': 0.0}, {'pd': maps}, facts)
    assert meter.means()['joints_pd'] == {
        joint: 0 if joint == 'lelb' else 100 for joint in flic.JOINTS
    }
    assert meter.state()['counts'] == [2, 1, *[2] * 7]


@pytest.mark.parametrize(
    ('changes', 'expected'),
    [
        ({}, 5),
        ({'no_auxiliary_loss': True}, 3),
        ({'use_sm': False}, 2),
        ({'train_only': 'detector'}, 2),
        ({'train_only': 'spatial'}, 3),
    ],
)
def test_objective(changes, expected):
    options = settings(**changes)
    assert (
        tompson.Tompson(options).total_loss({'pd': 2, 'sm': 3} if options.use_sm else {'pd': 2})
        == expected
    )


@pytest.mark.parametrize(
    ('arguments', 'expected'),
    [
        (['--train_only', 'detector'], '--train_only goes with --use_sm'),
        (['--use_sm', '--train_only', 'spatial'], '--train_only spatial goes with --init'),
    ],
)
def test_train_only_needs_something_to_stand_on(arguments, expected, capsys):
    with pytest.raises(SystemExit):
        run_options.resolve_options(['--train', *arguments])
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize('there', [True, False])
def test_bfloat16_where_the_processor_computes_in_it(monkeypatch, there, capsys):
    """Also when a run that had it goes on; an evaluation, which is in float32, needs no such processor."""
    monkeypatch.setattr(tompson_options, 'computes_bfloat16', lambda gpus: there)
    stored = command_line.settings_of(settings(precision='bfloat16'), tompson.Tompson)
    options, explicit = command_line.parse(tompson.Tompson, ['tompson'], ['--restore', 'run'])
    command_line.merge_restored(options, explicit, stored, 'run', tompson.Tompson, ['tompson'])
    if there:
        assert (
            run_options.resolve_options(['--train', '--precision', 'bfloat16'])[0].precision
            == 'bfloat16'
        )
        return
    with pytest.raises(SystemExit):
        run_options.resolve_options(['--train', '--precision', 'bfloat16'])
    assert '--precision bfloat16: this processor' in capsys.readouterr().err
    options, explicit = command_line.parse(
        tompson.Tompson, ['tompson'], ['--train', '--restore', 'run']
    )
    with pytest.raises(InputError, match='--precision bfloat16: this processor'):
        command_line.merge_restored(options, explicit, stored, 'run', tompson.Tompson, ['tompson'])


def test_training_alone_is_in_bfloat16(tf_graph):
    images, torso_map = tf.zeros([1, 480, 720, 3], tf.uint8), tf.zeros([1, 60, 90, 1])
    for training, expected in ((True, tf.bfloat16), (False, tf.float32)):
        options = settings(precision='bfloat16', width=4, banks=1, conv='direct')
        with tf.variable_scope('x', reuse=tf.AUTO_REUSE):
            network = tompson.Tompson(options).build(images, {'torso_map': torso_map}, training)
        assert network.layers['conv1_full'].dtype == network.layers['conv5'].dtype == expected
        assert {output.dtype for output in network.outputs.values()} == {tf.float32}


def test_energy_decay(tf_graph):
    names = (
        'conv5/weights',
        'conv5/bias',
        'conv5/scale',
        'spatial_model/energies',
        'spatial_model/biases',
    )
    variables = [tf.get_variable(name, initializer=np.float32([2, -1])) for name in names]
    decays = tompson.Tompson(settings(lmbd=0.1, energy_decay=0.01)).weight_decays()
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        got = session.run(
            optimiser.add_weight_decay([tf.constant([1.0, 1])] * 5, variables, decays)
        )
    np.testing.assert_allclose(
        got, [[1.2, 0.9], [1, 1], [1, 1], [1.02, 0.99], [1.02, 0.99]], rtol=1e-6
    )


def test_a_frame_of_several_people_is_seen_once(tf_graph, monkeypatch):
    """Against the whole network for each person alone; what the call before has seen is known, too."""
    seen, build = [], model.build

    def counted(images, *arguments):
        shape = images.shape
        images = tf.numpy_function(lambda x: seen.append(len(x)) or x, [images], tf.uint8)
        images.set_shape(shape)
        return build(images, *arguments)

    monkeypatch.setattr(model, 'build', counted)
    monkeypatch.setattr(model, 'CHANNELS', (1, 1, 1, 1, 1))
    options = settings(width=4, gpus_named=False, scales='single', conv='direct')
    evaluation = pose_estimator.build_graph(tompson.Tompson(options), options).evaluation
    rng = np.random.default_rng(0)
    one, other, third = (flic_set.render(0, index).image for index in range(3))

    def fed(*frames):
        people = [
            crops.person_from_box((0, 0, 720, 480), 10, rng.uniform((100, 100), (600, 400)))
            for _ in frames
        ]
        views = [
            view for each in zip(frames, people) for view in tompson.Tompson(options).views(*each)
        ]
        return batches.collate(tompson.Tompson(options), [0] * len(views), [1] * len(views), views)

    calls = [(fed(one, other, one), True), (fed(one, third), True), (fed(third), False)]
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        run = tompson.Tompson(options).predictor(session, evaluation)
        got = [run(batches.feed(evaluation.batch, batch), given) for batch, given in calls]
        assert sum(seen) == 3
        energies = session.run(evaluation.inference.networks[0].parts[1].energies)
        priors = torso_inference.priors(energies, flic.Flic())
        for (outputs, torso_xy, _), (batch, given) in zip(got, calls):
            for i in range(len(batch.images)):
                one = tf.nest.map_structure(lambda x, i=i: x[[i]], batch)
                feed = batches.feed(evaluation.batch, one)
                if not given:
                    expected_xy = torso_inference.infer(
                        session.run(evaluation.combined['pd'], feed), priors
                    )
                    np.testing.assert_allclose(torso_xy[[i]], expected_xy, atol=0.01)
                    feed[evaluation.batch.targets['torso_map']] = torso_inference.torso_maps(
                        expected_xy, (1.0,), PersonFrame(flic.Flic())
                    )
                for name, expected in session.run(evaluation.combined, feed).items():
                    np.testing.assert_allclose(outputs[name][[i]], expected, rtol=1e-4, atol=1e-8)
