"""DeepPose: AlexNet's tables, loss and joints against NumPy, another program's weights, the parts' learning rates."""

import itertools
import json
import os
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from people import eight_people, somebody
from scipy.io import loadmat
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from jointpose import data, datasets, main, run_options, systems
from jointpose.datasets import lsp
from jointpose.inference import inputs
from jointpose.nn import import_weights
from jointpose.nn.tf1 import tf
from jointpose.systems import deeppose
from jointpose.training import batches, towers
from jointpose.utils.errors import InputError
from jointpose.vision.affine import transform_points

SIDE, K = 227, 14
# AlexNet's filters as Krizhevsky et al. 2012 describe them; the classifier is not here.
ALEXNET = {
    'conv1': (11, 11, 3, 96),
    'conv2': (5, 5, 48, 256),
    'conv3': (3, 3, 256, 384),
    'conv4': (3, 3, 192, 384),
    'conv5': (3, 3, 192, 256),
    'fc6': (9216, 4096),
    'fc7': (4096, 4096),
}


def settings(*arguments, **changes):
    options, *_ = run_options.resolve_options(['--train', '--system', 'deeppose', *arguments])
    vars(options).update(changes)
    return options


# --- the network --------------------------------------------------------------------------------------------------


def test_layers_and_parameters_are_alexnet_s(tf_graph):
    network = deeppose.DeepPose(settings()).build(
        tf.placeholder(tf.uint8, [None, SIDE, SIDE, 3]), None, training=False
    )
    shapes = {v.op.name: tuple(v.shape.as_list()) for v in tf.trainable_variables()}
    expected = {**ALEXNET, 'fc_regression': (4096, 2 * K)}
    assert shapes == {
        f'{name}/{part}': shape if part == 'weights' else shape[-1:]
        for name, shape in expected.items()
        for part in ('weights', 'bias')
    }
    published_without_classifier = 60_965_224 - 4096 * 1000 - 1000
    assert (
        sum(map(np.prod, shapes.values()))
        == published_without_classifier + 4096 * 2 * K + 2 * K
        == 56_982_940
    )
    assert {name: x.shape.as_list()[1:] for name, x in network.layers.items()} == {
        'conv1': [27, 27, 96],
        'conv2': [13, 13, 256],
        'conv3': [13, 13, 384],
        'conv4': [13, 13, 384],
        'conv5': [6, 6, 256],
        'fc6': [4096],
        'fc7': [4096],
        'fc_regression': [2 * K],
    }
    assert network.outputs['deeppose'].shape.as_list() == [None, K, 2]


def test_all_joints_start_in_the_middle(tf_graph):
    """So the first loss is that of a constant, whatever the size of the activations."""
    images = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
    network = deeppose.DeepPose(settings('--width', '8')).build(
        tf.constant(images), None, training=False
    )
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        joints, features = session.run([network.outputs['deeppose'], network.layers['fc7']])
    assert features.std() > 0.3
    assert np.abs(joints).max() < 0.05


def test_first_layers_against_numpy(tf_graph):
    """Normalised contrast, conv1, ReLU, local response normalisation, pooling; and the groups of conv2."""
    options = settings('--width', '2')
    images = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3), np.uint8)
    network = deeppose.DeepPose(options).build(tf.constant(images), None, training=False)
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        for variable in tf.trainable_variables():
            variable.load(np.random.default_rng(1).normal(0, 0.1, variable.shape), session)
        values = {
            v.op.name: value
            for v, value in zip(tf.trainable_variables(), session.run(tf.trainable_variables()))
        }
        got = session.run({name: network.layers[name] for name in ('conv1', 'conv2')})
    x = images[0].astype(float)
    x = (x - x.mean((0, 1))) / x.std((0, 1))
    w = values['conv1/weights'].astype(float)
    y = np.array(
        [
            [
                np.einsum('rcd,rcdf->f', x[4 * i : 4 * i + 11, 4 * j : 4 * j + 11], w)
                for j in range(6, 17)
            ]
            for i in range(3)
        ]
    )  # [3, 11, 6] from column 6
    y = normalise_responses(np.maximum(y + values['conv1/bias'], 0))
    expected = [y[:3, 2 * j : 2 * j + 3].max((0, 1)) for j in range(5)]  # pooled, from column 3
    np.testing.assert_allclose(got['conv1'][0, 0, 3:8], expected, rtol=1e-3, atol=1e-4)
    pooled, w = got['conv1'][0].astype(float), values['conv2/weights'].astype(float)
    y = [
        np.concatenate(
            [
                np.einsum(
                    'rcd,rcdf->f',
                    pooled[i : i + 5, j : j + 5, 3 * g : 3 * g + 3],
                    w[..., 8 * g : 8 * g + 8],
                )
                for g in (0, 1)
            ]
        )
        for i in (8, 9, 10)
        for j in (8, 9, 10)
    ]
    y = normalise_responses(np.maximum(np.array(y) + values['conv2/bias'], 0)).max(0)
    np.testing.assert_allclose(got['conv2'][0, 5, 5], y, rtol=1e-3, atol=1e-4)


def normalise_responses(y):
    """b_i = a_i / (1 + 1e-4 / 5 * sum of the squares of the five channels around i) ^ 0.75."""
    n = y.shape[-1]
    sums = np.stack([(y[..., max(i - 2, 0) : i + 3] ** 2).sum(-1) for i in range(n)], axis=-1)
    return y / (1 + 2e-5 * sums) ** 0.75


def test_training_drops_by_seed_step_and_tower_alone_and_inference_nothing(tf_graph):
    step = tf.train.get_or_create_global_step()
    options = settings('--width', '2')
    images = tf.constant(np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3), np.uint8))
    one, other, plain = (
        list(
            deeppose.DeepPose(options).build(images, None, training, tower=tower).outputs.values()
        )[0]
        for training, tower in ((True, 0), (True, 1), (False, 0))
        for _ in [tf.get_variable_scope().reuse_variables() if tower or not training else None]
    )
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        first, tower, inference = session.run([one, other, plain])
        again, same = session.run([one, plain])
        step.load(1, session)
        later = session.run(one)
    np.testing.assert_allclose(first, again, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(inference, same, rtol=1e-4, atol=1e-5)
    assert all(np.abs(first - x).max() > 1e-3 for x in (tower, later, inference))


# --- targets, loss, joints ----------------------------------------------------------------------------------------


def test_joints_of_tests_are_the_mean_of_what_training_draws(tf_graph, monkeypatch):
    """Otherwise most of them are nearer to the middle of the crop, by up to a third.

    Weights are large, so that they differ by more than chance.
    """
    monkeypatch.setattr(deeppose, 'START', 0.1)
    options = settings('--width', '8')
    images = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
    build = deeppose.DeepPose(options).build
    drawn = build(np.repeat(images, 50, axis=0), None, training=True).outputs['deeppose']
    tf.get_variable_scope().reuse_variables()
    in_tests = build(images, None, training=False).outputs['deeppose']
    step = tf.train.get_or_create_global_step()
    later = step.assign_add(1)
    draws = []
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(20):
            draws.append(session.run(drawn).reshape(2, 50, K, 2))
            session.run(later)
        found = session.run(in_tests)
    expected = np.concatenate(draws, axis=1).mean(axis=1)  # [2, k, 2]
    deviation = np.concatenate(draws, axis=1).std(axis=1)
    np.testing.assert_allclose(found, expected, atol=4 * deviation.max() / 1000**0.5)


def test_loss_and_gradient_against_numpy(tf_graph):
    rng = np.random.default_rng(0)
    found, wanted = rng.normal(0, 0.3, (2, 3, K, 2))
    counts = (rng.random((3, K)) < 0.7).astype(float)
    counts[2] = 0  # of nobody
    x = tf.constant(found, tf.float32)
    network = SimpleNamespace(outputs={'deeppose': x})
    targets = {'joints': tf.constant(wanted, tf.float32), 'counts': tf.constant(counts, tf.float32)}
    loss = deeppose.DeepPose(settings()).losses(network, targets)['deeppose']
    with tf_graph() as session:
        got, gradient = session.run([loss, tf.gradients(loss, x)[0]])
    expected = [
        np.mean([((found[i, j] - wanted[i, j]) ** 2).sum() for j in range(K) if counts[i, j]])
        for i in (0, 1)
    ]
    np.testing.assert_allclose(got, [*expected, 0], rtol=1e-5)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    np.testing.assert_allclose(gradient, 2 * share[..., None] * (found - wanted), atol=1e-6)


def test_joints_come_back_from_their_targets():
    """Within 1e-4 pixels; what is found outside the crop is brought to its edge."""
    xy = np.random.default_rng(0).uniform(0, SIDE, (5, K, 2)).astype(np.float32)
    targets = deeppose.DeepPose(settings()).encode(xy, np.ones((5, K), np.uint8))
    assert np.abs(targets['joints']).max() <= 0.5
    got = np.stack(
        [people[0].joints_xy for people in deeppose.DeepPose(settings()).decode(targets['joints'])]
    )
    np.testing.assert_allclose(got, xy, atol=1e-4)
    ((pose,),) = deeppose.DeepPose(settings()).decode(np.full((1, K, 2), (-3.0, 7.0)))
    np.testing.assert_array_equal(pose.joints_xy, [(0, SIDE)] * K)


def test_what_is_not_labelled_does_not_matter():
    xy, visible = np.full((1, K, 2), 50, np.float32), np.ones((1, K), np.uint8)
    xy[0, 3], visible[0, 3] = np.inf, 0
    targets = deeppose.DeepPose(settings()).encode(xy, visible)
    assert (
        np.isfinite(targets['joints']).all()
        and targets['counts'].sum() == K - 1
        and not targets['counts'][0, 3]
    )


@pytest.mark.parametrize(('dataset', 'least', 'most'), [('lsp', 1.2, 2.0), ('mpii', 1.0, 1.2)])
def test_crops_have_the_published_extensions(dataset, least, most):
    """Each axis of its own, stretched to a square; no joint leaves the crop; the shift stays within a tenth."""
    options, ratios, shifts = settings('--data_augm', '--dataset', dataset), [], []
    flip = np.array(datasets.load(dataset).flip)
    image, person = somebody(len(flip))
    there = person.joints_xy  # all labelled
    sides, middle = there.max(0) - there.min(0), (there.max(0) + there.min(0)) / 2
    if dataset == 'mpii':
        person = person._replace(box=np.concatenate([there.min(0), there.max(0)]))
    mirrored = 0
    for seed in range(100):
        sample = deeppose.DeepPose(options).training_sample(
            image, person, np.random.default_rng(seed)
        )
        assert sample.joints_xy.min() > -1e-3 and sample.joints_xy.max() < SIDE + 1e-3
        ratios.append(np.abs(np.diag(sample.to_image)) * SIDE / sides)
        shifts.append(
            (transform_points(sample.to_image, np.array([[SIDE / 2, SIDE / 2]]))[0] - middle)
            / sides
        )
        order = flip if sample.to_image[0, 0] < 0 else range(len(flip))
        mirrored += sample.to_image[0, 0] < 0
        np.testing.assert_allclose(
            transform_points(sample.to_image, sample.joints_xy)[order], person.joints_xy, atol=1e-3
        )
    ratios, shifts = np.array(ratios), np.array(shifts)
    width = most - least
    assert (
        least - 1e-5 < ratios.min() < least + 0.1 * width
        and most - 0.1 * width < ratios.max() < most + 1e-5
    )
    assert (
        np.corrcoef(ratios.T)[0, 1] < 0.5
        and 0.05 < np.abs(shifts).max() < 0.1 + 1e-5
        and 30 < mirrored < 70
    )
    plain = deeppose.DeepPose(settings('--dataset', dataset)).training_sample(
        image, person, np.random.default_rng(0)
    )
    np.testing.assert_allclose(np.diag(plain.to_image) * SIDE / sides, most, rtol=1e-5)


@pytest.mark.parametrize('extension', [1.0, 1.6])
def test_test_crops_have_the_extension_asked_for(extension):
    """Of either axis; without augmentation, training keeps its own."""
    image, person = somebody()
    system = deeppose.DeepPose(settings('--extension', str(extension)))
    sides = np.ptp(person.joints_xy, axis=0)  # all labelled
    for sample, expected in (
        (system.test_sample(image, person), extension),
        (system.training_sample(image, person, np.random.default_rng(0)), 2.0),
    ):
        ratio = np.diag(sample.to_image) * SIDE / sides
        np.testing.assert_allclose(ratio, expected, rtol=1e-5)


def test_flip_test_is_the_mean_with_the_joints_of_the_mirror_image(tf_graph):
    """By loops; and perfect outputs of both views are the person's joints."""
    system = deeppose.DeepPose(settings('--flip_average'))
    found = np.random.default_rng(0).normal(0, 0.3, (6, K, 2)).astype(np.float32)
    names = lsp.JOINTS
    expected = np.empty((3, K, 2))
    for i, joint in np.ndindex(3, K):
        name = names[joint]
        other = names.index({'l': 'r', 'r': 'l'}.get(name[0], name[0]) + name[1:])
        x, y = found[2 * i + 1, other]
        expected[i, joint] = (found[2 * i, joint] + (-x, y)) / 2
    image, person = somebody()
    views = system.views(image, person)
    assert len(views) == system.n_views == 2
    perfect = batches.collate(system, [0, 0], [1, 1], views).targets['joints']
    with tf_graph() as session:
        got, merged = session.run([system.merge_views(tf.constant(x)) for x in (found, perfect)])
    np.testing.assert_allclose(got, expected, atol=1e-6)
    ((pose,),) = system.decode(merged)
    in_picture = transform_points(views[0].to_image, pose.joints_xy)
    np.testing.assert_allclose(in_picture, person.joints_xy, atol=1e-3)


def test_overlay_is_refused_before_anything_is_written(tmp_path):
    """A regression has no heat maps; the other systems have."""
    cv2.imwrite(str(tmp_path / 'someone.png'), somebody()[0])
    options = SimpleNamespace(
        overlay=True, predict=[str(tmp_path / 'someone.png')], out=str(tmp_path / 'out'), torso=None
    )
    with pytest.raises(InputError, match='--overlay: deeppose has no heat maps'):
        inputs.find_sources(options, deeppose.DeepPose(settings()))
    assert not os.path.exists(options.out)
    for name in set(systems.names()) - {'deeppose'}:
        assert len(inputs.find_sources(options, systems.load(name)(None))) == 1
    options.overlay = False
    assert len(inputs.find_sources(options, deeppose.DeepPose(settings()))) == 1


def test_lsp_s_parts_in_log_and_tensorboard(tmp_path, monkeypatch, capsys):
    """The logged PCP is that of the final table; skeletons are shown; other crops give other joints."""
    monkeypatch.chdir(tmp_path)
    run(data, '--dataset', 'lsp', '--synthetic', '12')
    train = '--train --system deeppose --width 2 --batch_size 3 --n_epochs 1 --run small'
    run(main, *train.split(), '--optimizer', 'adam', '--lr', '0.01')
    printed = capsys.readouterr().out
    with open('models_ex/small/log.jsonl', encoding='utf-8') as file:
        test = json.loads(file.readline())['test']
    (total,) = (line for line in printed.splitlines() if line.startswith('| total'))
    assert float(total.split('|')[2]) == pytest.approx(test['pcp_deeppose'], abs=0.051)
    assert (
        f'test_pcp {test["pcp_deeppose"]:6.2f}  test_pckh {test["pckh_deeppose"]:6.2f}' in printed
    )
    assert len(test['pcp_each_deeppose']) == 10 and len(test['pckh_each_deeppose']) == K

    events = EventAccumulator('tb/small/test').Reload()
    assert events.Scalars('main/pcp_deeppose')[0].value == pytest.approx(test['pcp_deeppose'])
    assert {'main/pckh_deeppose', 'pcp_deeppose/torso'} <= set(events.Tags()['scalars'])
    assert {'person_0/target', 'person_0/deeppose'} <= set(events.Tags()['images'])
    shown = [events.Images(f'person_0/{name}')[0] for name in ('target', 'deeppose')]
    assert shown[0].height == SIDE and shown[0] != shown[1]

    found = {}
    for words in ('', '--extension 1.2', '--flip_average'):
        run(main, '--restore', *words.split())
        stored = loadmat('predictions.mat')
        found[words] = stored['lsp_pred_deeppose']
        assert stored['found_with'].tolist() == ([words] if words else [])
    for other in ('--extension 1.2', '--flip_average'):
        assert np.abs(found[other] - found['']).max() > 0.1


def run(script, *arguments):
    """A script's main with these arguments, in a graph of its own."""
    with pytest.MonkeyPatch.context() as patch, tf.Graph().as_default():
        patch.setattr(sys, 'argv', [script.__name__, *arguments])
        assert not script.main()


# --- learning rates, another program's weights --------------------------------------------------------------------


def test_convolutions_stay_at_first_and_have_a_rate_of_their_own():
    rates = deeppose.DeepPose(
        settings('--lr', '0.01', '--conv_lr', '0.001', '--fix_conv_iter', '7')
    ).lr_multipliers()
    assert list(rates) == ['conv'] and np.allclose(rates['conv'], (0.1, 7))


def test_the_first_updates_leave_the_convolutions_and_their_slots(tf_graph):
    tf.train.get_or_create_global_step()
    options = settings(
        '--width', '2', '--fix_conv_iter', '2', '--conv_lr', '0.01', '--batch_size', '1'
    )
    batch = batches.placeholders(deeppose.DeepPose(options))
    training = towers.build_training(deeppose.DeepPose(options), batch, ['/cpu:0'], 100)
    image, person = somebody()
    fed = batches.collate(
        deeppose.DeepPose(options),
        [0],
        [1],
        [deeppose.DeepPose(options).test_sample(image, person)],
    )
    kept = [v for v in tf.global_variables() if v.op.name not in ('global_step', 'skipped')]
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        values = [session.run(kept)]
        for _ in range(3):
            session.run(training.step, batches.feed(batch, fed))
            values.append(session.run(kept))
    moved = [
        {v.op.name for v, a, b in zip(kept, before, after) if not np.array_equal(a, b)}
        for before, after in itertools.pairwise(values)
    ]
    everything, convolutions = (
        {v.op.name for v in kept},
        {v.op.name for v in kept if v.op.name.startswith('conv')},
    )
    assert (
        len(convolutions) == 2 * 2 * 5
        and sum(name.endswith('/Adagrad') for name in everything) == 2 * 8
    )
    assert moved[0] == moved[1] == everything - convolutions and moved[2] >= convolutions


def random_alexnet(seed=0):
    """bvlc_alexnet's dict {layer: [weights, biases]} with random numbers, an eighth of each layer's outputs."""
    rng = np.random.default_rng(seed)
    shapes = {
        'conv1': (11, 11, 3, 12),
        'conv2': (5, 5, 6, 32),
        'conv3': (3, 3, 32, 48),
        'conv4': (3, 3, 24, 48),
        'conv5': (3, 3, 24, 32),
        'fc6': (1152, 512),
        'fc7': (512, 512),
        'fc8': (512, 1000),
    }
    return {
        name: [
            rng.normal(size=shape).astype(np.float32),
            rng.normal(size=shape[-1]).astype(np.float32),
        ]
        for name, shape in shapes.items()
    }


def test_init_takes_alexnet_s_layers_but_the_classifier(tf_graph, tmp_path):
    layers, path = random_alexnet(), str(tmp_path / 'alexnet.npz')
    np.savez(
        path,
        **{
            f'{name}/{part}': pair[i]
            for name, pair in layers.items()
            for i, part in enumerate('Wb')
        },
    )
    options = settings('--width', '4', '--init', path)
    deeppose.DeepPose(options).build(
        tf.placeholder(tf.uint8, [None, SIDE, SIDE, 3]), None, training=False
    )
    with tf_graph() as session:
        main.initialise(
            session,
            None,
            {},
            None,
            options,
            main.initial_weights(deeppose.DeepPose(options), options, None, {}),
        )
        values = dict(
            zip(
                [v.op.name for v in tf.trainable_variables()], session.run(tf.trainable_variables())
            )
        )
    for name in ('conv2', 'conv5', 'fc6', 'fc7'):
        np.testing.assert_array_equal(values[f'{name}/weights'], layers[name][0])
        np.testing.assert_array_equal(values[f'{name}/bias'], layers[name][1])
    np.testing.assert_array_equal(
        values['conv1/weights'], layers['conv1'][0][:, :, ::-1]
    )  # of BGR pictures
    assert (
        0 < values['fc_regression/weights'].std() < 0.012 and not values['fc_regression/bias'].any()
    )
    assert values.keys() - deeppose.DeepPose(options).convert_weights(
        import_weights.load(path)
    ) == {
        'fc_regression/weights',
        'fc_regression/bias',
    }


# --- it learns ----------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_eight_people_are_learnt_by_heart(tf_graph):
    """Over 90 % of the joints within 0.2 torsos, by Adam, as its rate falls to 0."""
    options, steps = (
        settings('--debug', '--optimizer', 'adam', '--batch_size', '8', '--schedule', 'cosine'),
        900,
    )
    people = eight_people()
    samples = [deeppose.DeepPose(options).test_sample(image, person) for image, person in people]
    tf.set_random_seed(0)
    tf.train.get_or_create_global_step()
    batch = batches.placeholders(deeppose.DeepPose(options))
    training = towers.build_training(deeppose.DeepPose(options), batch, ['/cpu:0'], steps)
    inference = towers.build_inference(deeppose.DeepPose(options), batch, ['/cpu:0'])
    fed = batches.collate(
        deeppose.DeepPose(options), range(8), [person.norm_length for _, person in people], samples
    )
    meter = deeppose.DeepPose(options).meter(list(inference.outputs))
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(steps):
            session.run(training.step, batches.feed(batch, fed))
        losses, outputs = session.run(
            [inference.losses, inference.outputs], batches.feed(batch, fed)
        )
    meter.add(
        {name: loss.mean() for name, loss in losses.items()}, outputs, batches.without_images(fed)
    )
    assert meter.means()['rate_deeppose'] > 90, meter.means()
