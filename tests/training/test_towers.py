"""Two towers equal one; the update against NumPy; batches that do not divide."""

import numpy as np
import pytest
from conftest import unordered_reads

from jointpose import model, run_options
from jointpose.checkpoints import checkpoint_variables
from jointpose.nn import fft_conv, layers
from jointpose.nn.tf1 import tf
from jointpose.systems import tompson
from jointpose.training import batches, optimiser, towers
from jointpose.training.devices import device_names
from jointpose.vision import crops


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    monkeypatch.setattr(model, 'CHANNELS', (1, 1, 1, 2, 2))


def settings(**changes):
    options, *_ = run_options.resolve_options(
        ['--train', '--use_sm', '--width', '4', '--banks', '1', '--conv', 'direct', '--lr', '0.01']
    )
    vars(options).update(changes)
    return options


def make_batch(n, seed=0, **changes):
    rng = np.random.default_rng(seed)
    xy = rng.uniform((0, 0), (720, 480), (n, 10, 2)).astype(np.float32)
    images = rng.integers(0, 255, (n, 480, 720, 3), np.uint8)
    visible, back = (
        np.full((n, 10), crops.VISIBLE, np.uint8),
        np.repeat(np.eye(3)[None, :2], n, axis=0),
    )
    return batches.collate(
        tompson.Tompson(settings(**changes)),
        np.arange(n),
        np.ones(n),
        list(zip(images, xy, visible, back)),
    )


def placeholders(**changes):
    return batches.placeholders(tompson.Tompson(settings(**changes)))


def numbers(variables, seed=0):
    """The same values, not zero, for every variable, whatever graph it is in."""
    rng = np.random.default_rng(seed)
    return {
        v.op.name: rng.normal(float(v.op.name.endswith('scale')), 0.1, v.shape) for v in variables
    }


@pytest.mark.parametrize(
    ('n', 'devices', 'use_sm'),
    [(3, (1, 2), False)]
    + [
        pytest.param(*case, marks=pytest.mark.long)
        for case in ((4, (0, 1), True), (3, (1, 2), True), (1, (0, 1), True))
    ],
)
def test_two_towers_equal_one(n, devices, use_sm, monkeypatch):
    """Same averaged gradients and losses on one batch, batch norm in inference mode, on two CPU devices."""
    build_towers = towers.build_towers
    monkeypatch.setattr(
        towers, 'build_towers', lambda *a, training: build_towers(*a, training=False)
    )
    results = []
    for names in (['/cpu:0'], [f'/cpu:{device}' for device in devices]):
        with tf.Graph().as_default():
            tf.train.get_or_create_global_step()
            batch = placeholders()
            training = towers.build_training(
                tompson.Tompson(settings(use_sm=use_sm)), batch, names, 100
            )
            if len(names) == 2:
                used = {op.device for op in tf.get_default_graph().get_operations()}
                assert {f'/device:CPU:{device}' for device in devices} <= used
            with tf.Session(config=tf.ConfigProto(device_count={'CPU': 3})) as session:
                session.run(tf.global_variables_initializer())
                values = numbers(tf.trainable_variables())
                checkpoint_variables.assign(
                    session, [(v, values[v.op.name]) for v in tf.trainable_variables()]
                )
                results.append(
                    session.run(
                        [
                            *training.losses.values(),
                            *training.outputs.values(),
                            [gradient for gradient, _ in training.gradients],
                        ],
                        batches.feed(batch, make_batch(n)),
                    )
                )
    for one, two in zip(results[0][:-1], results[1][:-1]):
        np.testing.assert_allclose(one, two, rtol=2e-4, atol=1e-7)
    for one, two in zip(results[0][-1], results[1][-1]):
        # The last bias has a zero gradient (softmax ignores it): rounding is all there is.
        np.testing.assert_allclose(one, two, rtol=1e-2, atol=2e-4 * np.abs(one).max() + 1e-6)


def test_every_sample_counts_once_whatever_the_split(tf_graph):
    batch = placeholders()
    for n, count in ((5, 2), (2, 3), (1, 4), (14, 4)):
        parts = towers.split_batch(batch, count)
        with tf_graph() as session:
            got = session.run(parts, batches.feed(batch, make_batch(n)))
        assert sum(size for *_, size in got) == n
        assert np.isclose(sum(weight for _, weight, _ in got), 1)
        assert [row for part, _, size in got for row in part.rows[:size]] == list(range(n))
        assert all(len(x) == len(part.rows) >= 1 for part, *_ in got for x in tf.nest.flatten(part))
        assert all(np.isclose(weight, size / n) for _, weight, size in got)
        dealt = towers.feed_towers(range(count), np.arange(n))
        assert [dealt[t].tolist() for t in range(count)] == [part.rows.tolist() for part, *_ in got]


def test_training_with_more_towers_than_samples(tf_graph):
    tf.train.get_or_create_global_step()
    batch = placeholders()
    training = towers.build_training(
        tompson.Tompson(settings(use_sm=False)), batch, ['/cpu:0'] * 3, 100
    )
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        finite, _, loss, maps = session.run(
            [training.finite, training.step, training.losses['pd'], training.outputs['pd']],
            batches.feed(batch, make_batch(2)),
        )
        assert finite and np.isfinite(loss) and len(maps) == 2
        assert all(np.isfinite(value).all() for value in session.run(tf.global_variables()))


FETCHED = ('step', 'finite', 'losses', 'norm', 'rate', 'outputs')  # at each update


AVERAGED = {'average_weights': 0.9, 'spatial_dropout': 0.2}
GRAPHS = [(2, AVERAGED), pytest.param(1, AVERAGED, marks=pytest.mark.long)] + [
    pytest.param(2, changes, marks=pytest.mark.long)
    for changes in (
        {},
        {'banks': 3},
        {'use_sm': False},
        {'loss': 'squared'},
        {'no_batch_norm': True},
        {**AVERAGED, 'conv': 'fft'},
        {'self_connections': True, 'optimizer': 'momentum'},
        {'train_only': 'detector'},
        {'train_only': 'spatial', 'average_weights': 0.9},
    )
]


@pytest.mark.parametrize(('n_towers', 'changes'), GRAPHS)
def test_no_variable_is_read_in_no_order_with_its_update(tf_graph, n_towers, changes):
    tf.train.get_or_create_global_step()
    options = settings(**changes)
    training = towers.build_training(
        tompson.Tompson(options), placeholders(**changes), ['/cpu:0'] * n_towers, 100
    )
    assert (
        training.losses.keys()
        == training.outputs.keys()
        == ({'pd', 'sm'} if options.use_sm else {'pd'})
    )
    untrained = {'detector': ['spatial_model/'], 'spatial': ['part_detector/']}.get(
        options.train_only, []
    )
    assert (
        unordered_reads(tf.nest.flatten([getattr(training, name) for name in FETCHED]), untrained)
        == []
    )


@pytest.mark.parametrize(('n_towers', 'each'), [(1, 7), (2, 4), (3, 3)])
def test_convolutions_are_chosen_for_a_towers_share(tf_graph, monkeypatch, n_towers, each):
    """In training, where the batch is not in the shapes; inference is prepared for any batch."""
    expected, conv2d = [], fft_conv.conv2d

    def watch(*args, n=None):
        expected.append(n)
        return conv2d(*args, n=n)

    monkeypatch.setattr(fft_conv, 'conv2d', watch)
    options = settings(batch_size=7, use_sm=False)
    towers.build_training(tompson.Tompson(options), placeholders(), ['/cpu:0'] * n_towers, 100)
    assert set(expected) == {each}
    expected.clear()
    towers.build_inference(tompson.Tompson(options), placeholders(), ['/cpu:0'])
    assert set(expected) == {None}


def test_a_read_in_no_order_is_found(tf_graph):
    weights = tf.get_variable('weights', [2])
    tf.train.get_or_create_global_step()
    first, second = tf.square(weights), tf.negative(weights)
    step, finite, norm = optimiser.update(
        tf.gradients(first, weights), [weights], [], tf.constant(0.1), 'adam', []
    )
    assert unordered_reads([step, finite, norm, first]) == []
    assert len(unordered_reads([step, second])) == 1


@pytest.mark.parametrize(
    ('part', 'other'),
    [
        pytest.param('detector', 'spatial_model/', marks=pytest.mark.long),
        ('spatial', 'part_detector/'),
    ],
)
def test_train_only_changes_one_part(tf_graph, part, other):
    """One update of each: the other part's variables stay, its batch norms' averages too where maps
    are fixed, and the trained part's all move, their averages after them; fixed maps are what
    evaluation shows."""
    tf.train.get_or_create_global_step()
    batch, options = placeholders(), settings(train_only=part, average_weights=0.5)
    training = towers.build_training(tompson.Tompson(options), batch, ['/cpu:0'], 100)
    inference = towers.build_inference(tompson.Tompson(options), batch, ['/cpu:0'])
    assert {v.op.name.split('/')[0] + '/' for _, v in training.gradients}.isdisjoint({other})
    fed = batches.feed(batch, make_batch(3))
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        before, names = (
            session.run(tf.global_variables()),
            [v.op.name for v in tf.global_variables()],
        )
        maps = session.run([training.outputs['pd'], inference.outputs['pd']], fed)
        session.run(training.step, fed)
        changed = {
            name
            for name, a, b in zip(names, before, session.run(tf.global_variables()))
            if not np.array_equal(a, b)
        }
    trained = {v.op.name for _, v in training.gradients}
    assert {v.op.name for v in tf.trainable_variables()} & changed <= trained
    assert (
        len(trained & changed) > len(trained) - 2
    )  # conv6's bias has no gradient: softmax ignores it
    assert {name + layers.AVERAGE_SUFFIX for name in trained & changed} <= changed
    if part == 'spatial':
        assert not [name for name in changed if name.startswith(other)]
        np.testing.assert_allclose(*maps, atol=1e-6)


def test_towers_drop_other_maps_each_step_and_inference_none(tf_graph):
    step = tf.train.get_or_create_global_step()
    batch, options, devices = (
        placeholders(),
        settings(spatial_dropout=0.5, use_sm=False),
        ['/cpu:0'] * 2,
    )
    training = towers.build_training(tompson.Tompson(options), batch, devices, 100)
    inference = towers.build_inference(tompson.Tompson(options), batch, devices)
    fed = batches.feed(
        batch, tf.nest.map_structure(lambda x: np.concatenate([x, x]), make_batch(1))
    )  # the same twice
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        first, again = (session.run(training.outputs['pd'], fed) for _ in range(2))
        same(first, again)
        assert differ(first[0], first[1])
        step.load(1, session)
        assert differ(session.run(training.outputs['pd'], fed), first)
        same(*session.run(inference.outputs['pd'], fed))


def same(one, other):
    """But for rounding: how threads share the work of several towers is not the same each time."""
    np.testing.assert_allclose(one, other, rtol=1e-4)


def differ(one, other):
    return np.abs(one / other - 1).max() > 1e-2


def test_inference_in_batches_equals_one_by_one(tf_graph):
    batch = placeholders()
    inference = towers.build_inference(tompson.Tompson(settings()), batch, ['/cpu:0', '/cpu:0'])
    samples = make_batch(5)
    outputs = [x[name] for x in (inference.outputs, inference.losses) for name in ('pd', 'sm')]

    def run(rows):
        return session.run(
            outputs, batches.feed(batch, tf.nest.map_structure(lambda x: x[rows], samples))
        )

    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        whole, single, partial = (
            run(slice(5)),
            [run(slice(i, i + 1)) for i in range(5)],
            run(slice(3, 5)),
        )
    for k, one in enumerate(whole):
        np.testing.assert_allclose(
            one, np.concatenate([s[k] for s in single]), rtol=1e-3, atol=1e-7
        )
        np.testing.assert_allclose(one[3:], partial[k], rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize('norm_decay', [0.9, 0.99])
def test_one_update_by_hand(tf_graph, norm_decay):
    """Momentum: w -= lr * clipped gradient; clipping by global norm 4; decay on weights only; batch norm averages."""
    tf.train.get_or_create_global_step()
    weights = tf.get_variable('layer/weights', initializer=np.array([3.0, -4.0], np.float32))
    bias = tf.get_variable('layer/bias', initializer=np.array([1.0], np.float32))
    average = tf.get_variable(
        'moving_mean', initializer=np.array([2.0], np.float32), trainable=False
    )
    raw = [tf.constant([6.0, 8.0]), tf.constant([0.0])]
    gradients = optimiser.add_weight_decay(raw, [weights, bias], {'weights': 0.1})
    step, finite, norm = optimiser.update(
        gradients,
        [weights, bias],
        [(average, tf.constant([7.0]))],
        tf.constant(0.5),
        'momentum',
        [tf.constant(1.0)],
        norm_decay,
        clip_norm=4,
    )
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        got_norm, got_finite, _ = session.run([norm, finite, step])
        decayed = np.array([6.3, 7.6])
        length = np.linalg.norm(decayed)
        np.testing.assert_allclose(got_norm, length, rtol=1e-6)
        np.testing.assert_allclose(
            session.run(weights), [3, -4] - 0.5 * decayed * 4 / length, rtol=1e-6
        )
        np.testing.assert_allclose(
            session.run(average), norm_decay * 2 + (1 - norm_decay) * 7, rtol=1e-6
        )
        assert got_finite and session.run(bias) == 1


@pytest.mark.parametrize('optimizer', ['adagrad', 'momentum', 'adam'])
def test_learning_rates_of_parts_by_hand(tf_graph, optimizer):
    """The first layer stays for two updates, its slots too, and then learns at a tenth of the rate."""
    step = tf.train.get_or_create_global_step()
    variables = [
        tf.get_variable(f'{name}/weights', initializer=np.array([3.0, -4.0], np.float32))
        for name in ('conv1', 'fc6')
    ]
    fed = [tf.placeholder(tf.float32, [2]) for _ in variables]
    gradients, factors = optimiser.per_variable_rates(fed, variables, {'conv': (0.1, 2)})
    op, *_ = optimiser.update(
        gradients, variables, [], tf.constant(0.5), optimizer, [], factors=factors
    )
    expected, slots, moments = (
        np.array([v, v], np.float64) for v in ([3, -4], [1e-4, 1e-4], [0, 0])
    )
    rng = np.random.default_rng(0)
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        for t in range(5):
            got = rng.normal(size=(2, 2))
            session.run(op, dict(zip(fed, got)))
            got[0] *= t >= 2
            rate = np.array([[0.05], [0.5]])
            if optimizer == 'adagrad':
                slots += got**2
                expected -= rate * got / np.sqrt(slots)
            elif optimizer == 'momentum':
                moments = 0.9 * moments + got
                expected -= rate * moments
            else:
                slots = 0.999 * (slots if t else 0) + 0.001 * got**2
                moments = 0.9 * moments + 0.1 * got
                unbiased = np.sqrt(1 - 0.999 ** (t + 1)) / (1 - 0.9 ** (t + 1))
                expected -= rate * unbiased * moments / (np.sqrt(slots) + 1e-8)
            np.testing.assert_allclose(session.run(variables), expected, rtol=1e-5)
        assert session.run(step) == 5


def test_gradients_are_not_clipped_by_default(tf_graph):
    tf.train.get_or_create_global_step()
    weights = tf.get_variable('weights', initializer=np.zeros(2, np.float32))
    op, _, norm = optimiser.update(
        [tf.constant([30.0, 40.0])], [weights], [], tf.constant(1.0), 'momentum', []
    )
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        assert session.run([norm, op])[0] == 50
        np.testing.assert_allclose(session.run(weights), [-30, -40], rtol=1e-6)


def test_average_weights_by_hand(tf_graph):
    """average -= (1 - d) (average - the updated weights), d = min(D, (1 + t) / (10 + t)) at update t = 0, 1, ..."""
    step = tf.train.get_or_create_global_step()
    weights = tf.get_variable('layer/weights', initializer=np.array([3.0, -4.0], np.float32))
    gradient = tf.placeholder(tf.float32, [2])
    op, *_ = optimiser.update(
        [gradient], [weights], [], tf.constant(0.5), 'adam', [tf.constant(1.0)], average_decay=0.3
    )
    with tf.variable_scope('', reuse=True), layers.averaged_weights():
        average = tf.get_variable('layer/weights')
    assert average.op.name == 'layer/weights/average'
    expected = np.array([3.0, -4.0])
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        for t in range(5):
            np.testing.assert_allclose(session.run(average), expected, rtol=1e-5)
            assert session.run(step) == t
            session.run(op, {gradient: [1, -t]})
            decay = min(0.3, (1 + t) / (10 + t))
            expected = decay * expected + (1 - decay) * session.run(weights)
        session.run(op, {gradient: [np.nan, 0]})
        np.testing.assert_allclose(session.run(average), expected, rtol=1e-5)


def test_inference_reads_the_averages_and_training_the_weights(tf_graph):
    """They start as equals; then weights of zero leave inference as it was, and averages of zero make it uniform."""
    tf.train.get_or_create_global_step()
    tf.set_random_seed(0)
    batch, options = placeholders(), settings(average_weights=0.9, use_sm=False)
    training = towers.build_training(tompson.Tompson(options), batch, ['/cpu:0'], 100)
    inference = towers.build_inference(tompson.Tompson(options), batch, ['/cpu:0', '/cpu:0'])
    trainable = tf.trainable_variables()
    averages = [v for v in tf.global_variables() if v.op.name.endswith(layers.AVERAGE_SUFFIX)]
    assert [v.op.name for v in averages] == [v.op.name + layers.AVERAGE_SUFFIX for v in trainable]
    fed = batches.feed(batch, make_batch(2))
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        for one, other in zip(*session.run([trainable, averages])):
            np.testing.assert_array_equal(one, other)
        first = session.run(inference.outputs['pd'], fed)
        checkpoint_variables.assign(
            session, [(variable, np.zeros(variable.shape)) for variable in trainable]
        )
        same(session.run(inference.outputs['pd'], fed), first)
        uniform = session.run(training.outputs['pd'], fed)
        np.testing.assert_allclose(uniform, 1 / 5400, rtol=1e-4)
        checkpoint_variables.assign(
            session, [(variable, np.zeros(variable.shape)) for variable in averages]
        )
        np.testing.assert_allclose(session.run(inference.outputs['pd'], fed), 1 / 5400, rtol=1e-4)


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_an_update_that_is_not_finite_changes_nothing(tf_graph, bad):
    tf.train.get_or_create_global_step()
    weights = tf.get_variable('w/weights', initializer=np.ones(3, np.float32))
    poison = tf.placeholder(tf.float32, [])
    step, finite, _ = optimiser.update(
        [weights * poison], [weights], [], tf.constant(0.1), 'adam', [tf.constant(1.0)]
    )
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        before = session.run(tf.global_variables())
        assert not session.run([finite, step], {poison: bad})[0]
        changed = {
            v.op.name
            for v, a, b in zip(tf.global_variables(), before, session.run(tf.global_variables()))
            if not np.array_equal(a, b)
        }
        assert changed == {'skipped', 'global_step'}
        assert session.run([finite, step], {poison: 1.0})[0]
        assert session.run(weights)[0] < 1


def test_schedule(tf_graph):
    step = tf.train.get_or_create_global_step()
    rate = optimiser.learning_rate(1.0, 200)
    with tf_graph() as session:
        got = []
        for s in (0, 139, 140, 159, 160, 179, 180, 199):
            step.load(s, session)
            got.append(float(session.run(rate)))
    np.testing.assert_allclose(got, [1, 1, 0.5, 0.5, 0.2, 0.2, 0.1, 0.1], rtol=1e-6)


def test_steps_of_one_s_own(tf_graph):
    """--lr_steps counts epochs, here of ten updates each, in any order."""
    options = settings(use_sm=False, lr=2.0, n_epochs=20, lr_steps=[[12.5, 0.0], [3, 0.5]])
    step = tf.train.get_or_create_global_step()
    rate = towers.build_training(tompson.Tompson(options), placeholders(), ['/cpu:0'], 200).rate
    with tf_graph() as session:
        for s, expected in ((0, 2), (29, 2), (30, 1), (124, 1), (125, 0), (199, 0)):
            step.load(s, session)
            assert session.run(rate) == expected


@pytest.mark.parametrize(
    ('schedule', 'steps', 'expected'),
    [
        (
            'cosine',
            (0, 50, 100, 150, 199),
            0.5 + 0.5 * np.cos(np.pi * np.array([0, 50, 100, 150, 199]) / 200),
        ),
        ('steps', (0, 4, 9, 10, 139, 140), [0.1, 0.5, 1, 1, 1, 0.5]),
    ],
)
def test_cosine_and_warm_up(tf_graph, schedule, steps, expected):
    step = tf.train.get_or_create_global_step()
    rate = optimiser.learning_rate(2.0, 200, schedule, warm_up=10 if schedule == 'steps' else 0)
    with tf_graph() as session:
        got = []
        for s in steps:
            step.load(s, session)
            got.append(float(session.run(rate)))
    np.testing.assert_allclose(got, 2 * np.array(expected), rtol=1e-5, atol=1e-6)


def test_absent_gpus_become_the_cpu_and_one_line_says_so():
    present = len(tf.config.experimental.list_physical_devices('GPU'))
    lines = []
    assert device_names([present, present + 1], lines.append) == ['/cpu:0', '/cpu:0']
    assert len(lines) == 1 and '2 of 2 towers on the CPU' in lines[0]


@pytest.mark.long
def test_without_the_auxiliary_loss_the_spatial_model_s_trains_the_detector(tf_graph):
    """Gradients are those of the spatial model's loss alone, and reach every filter of the detector through it."""
    tf.train.get_or_create_global_step()
    batch = placeholders()
    options = settings(banks=3, no_auxiliary_loss=True, lmbd=0.0)
    training = towers.build_training(tompson.Tompson(options), batch, ['/cpu:0'], 100)
    variables = tf.trainable_variables()
    of_sm = tf.gradients(training.losses['sm'], variables)
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        values = numbers(variables)
        checkpoint_variables.assign(session, [(v, values[v.op.name]) for v in variables])
        got, expected = session.run(
            [[gradient for gradient, _ in training.gradients], of_sm],
            batches.feed(batch, make_batch(1)),
        )
    for variable, one, other in zip(variables, got, expected):
        np.testing.assert_allclose(
            one, other, rtol=1e-3, atol=1e-3 * np.abs(other).max(), err_msg=variable.op.name
        )
    reached = [
        np.abs(gradient).max()
        for variable, gradient in zip(variables, got)
        if variable.op.name.startswith('part_detector') and variable.op.name.endswith('weights')
    ]
    assert len(reached) == 14 and min(reached) > 0


ABLATIONS = [
    pytest.param({'loss': 'squared'}, marks=pytest.mark.long),
    pytest.param({'self_connections': True}, marks=pytest.mark.long),
    {'no_batch_norm': True, 'use_sm': False},
]


@pytest.mark.parametrize('changes', ABLATIONS, ids=' '.join)
def test_ablated_networks_train(tf_graph, changes):
    """Updates are finite, move every kind of variable, and lower what is minimised on one batch."""
    tf.set_random_seed(0)
    tf.train.get_or_create_global_step()
    batch = placeholders(**changes)
    training = towers.build_training(tompson.Tompson(settings(**changes)), batch, ['/cpu:0'], 100)
    normalised = {
        v.op.name.split('/')[0] for v in tf.global_variables() if v.op.name.endswith('/moving_mean')
    }
    assert normalised == (
        set() if 'no_batch_norm' in changes else {'part_detector', 'spatial_model'}
    )
    fed, total = (
        batches.feed(batch, make_batch(1, **changes)),
        tf.add_n(list(training.losses.values())),
    )
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        before = session.run(tf.trainable_variables())
        losses = [session.run([total, training.finite, training.step], fed)[:2] for _ in range(4)]
        after = session.run(tf.trainable_variables())
    assert (
        all(finite and np.isfinite(loss) for loss, finite in losses)
        and losses[-1][0] < losses[0][0]
    ), losses
    still = {
        v.op.name
        for v, a, b in zip(tf.trainable_variables(), before, after)
        if np.array_equal(a, b)
    }
    assert not still
