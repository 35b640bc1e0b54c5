"""The spatial model against independent float64 oracles: sums written out, finite differences, SciPy."""

import os

os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '1')
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

import numpy as np
import pytest
import scipy.signal

from jointpose import spatial_model
from jointpose.datasets.flic import PAIRS
from jointpose.nn import spectrum_cache
from jointpose.nn.tf1 import tf
from jointpose.spatial_model import PAIRS_TO_JOINTS
from jointpose.training.devices import session_config

METHODS = ('fft', 'stacked', 'direct', 'matmul')


def softplus64(x):
    return np.logaddexp(0, 5 * np.asarray(x, np.float64)) / 5


def messages64(priors, maps):
    """Sum over q of prior[p - q + (h, w)] * map[q], written out.  [81, 2h, 2w], [n, h, w, 10] -> [n, h, w, 81]."""
    n, h, w, _ = maps.shape
    out = np.zeros((n, h, w, len(priors)))
    for pair, (_, condjoint) in enumerate(PAIRS_TO_JOINTS):
        for row in range(h):
            for col in range(w):
                window = priors[
                    pair, h + row - np.arange(h)[:, None], w + col - np.arange(w)
                ]  # [h, w]: over q
                out[:, row, col, pair] = (window * maps[..., condjoint]).sum(axis=(1, 2))
    return out


def message_gradients64(priors, maps, d_out):
    """The same sums' derivatives: by priors [81, 2h, 2w] and by maps [n, h, w, 10]."""
    _, h, w, _ = maps.shape
    d_priors, d_maps = np.zeros_like(priors), np.zeros_like(maps)
    for pair, (_, condjoint) in enumerate(PAIRS_TO_JOINTS):
        for row in range(h):
            for col in range(w):
                window = np.ix_([pair], h + row - np.arange(h), w + col - np.arange(w))
                d = d_out[:, row, col, pair, None, None]  # [n, 1, 1]
                d_priors[window] += (d * maps[..., condjoint]).sum(axis=0)
                d_maps[..., condjoint] += d * priors[window]
    return d_priors, d_maps


def logits64(heat_maps, energies, biases, positive=softplus64):
    """The formula of the module's docstring, one joint and one condjoint at a time."""
    maps = positive(heat_maps)
    received = messages64(softplus64(energies), maps)
    out = np.log(maps[..., :9] + 1e-6)
    for pair, (joint, _) in enumerate(PAIRS_TO_JOINTS):
        out[..., joint] += np.log(received[..., pair] + softplus64(biases[pair]) + 1e-6)
    return out


def relative_error(actual, expected):
    return np.abs(actual - expected).max() / np.abs(expected).max()


def run_messages(priors, maps, method, d_out=None):
    """Messages, channels last; with `d_out` also their gradients by priors and maps."""
    with tf.Graph().as_default(), tf.Session() as session:
        priors, maps = tf.constant(priors, tf.float32), tf.constant(maps, tf.float32)
        out = tf.stack(
            spatial_model.messages(priors, tf.transpose(maps, [3, 0, 1, 2]), method), axis=-1
        )
        if d_out is None:
            return session.run(out)
        return session.run(
            [out, *tf.gradients(out, [priors, maps], tf.constant(d_out, tf.float32))]
        )


def run_model(heat_maps, energies, biases, d_logits=None, method='fft', unary='softplus'):
    """The logits, the batch size unknown to the graph; with `d_logits` also the gradients by all three inputs."""
    with tf.Graph().as_default(), tf.Session() as session:
        given = tf.placeholder(tf.float32, [None, *heat_maps.shape[1:]])
        model = spatial_model.build(given, method, unary=unary)
        model.energies.initializer.run()
        model.energies.load(energies, session)
        model.biases.load(biases, session)
        wanted = model.logits
        if d_logits is not None:
            by = [given, model.energies, model.biases]
            wanted = [
                model.logits,
                *tf.gradients(model.logits, by, tf.constant(d_logits, tf.float32)),
            ]
        return session.run(wanted, {given: heat_maps})


def random_model(n, h, w, seed):
    """Heat maps, energies and biases of either sign, float32."""
    rng = np.random.default_rng(seed)
    shapes = (n, h, w, 10), (81, 2 * h, 2 * w), (81, h, w)
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


@pytest.mark.parametrize(
    'method', ['fft', 'stacked', pytest.param('direct', marks=pytest.mark.long), 'matmul']
)
def test_kept_spectra_change_no_bit(method):
    """Energies transformed once give what they give anew in every call, also after they have
    changed; two towers share the spectra, which are in no checkpoint."""
    heat_maps, energies, biases = random_model(3, 4, 5, seed=12)
    with tf.Graph().as_default(), tf.Session(config=session_config([0])) as session:
        given = tf.placeholder(tf.float32, [None, 4, 5, 10])
        models = []
        for keep in (False, True, True):
            with tf.variable_scope('spatial_model', reuse=tf.AUTO_REUSE):
                models.append(spatial_model.build(given, method, keep_spectra=keep))
        operations = spectrum_cache.operations_of_graph()
        session.run(tf.global_variables_initializer())
        models[0].biases.load(biases, session)
        for values in (energies, energies[::-1]):
            models[0].energies.load(values, session)
            with spectrum_cache.filled(session, operations):
                each_call, *kept = [
                    session.run(model.logits, {given: heat_maps}) for model in models
                ]
            assert kept[0].tobytes() == kept[1].tobytes() == each_call.tobytes()
            assert relative_error(each_call, logits64(heat_maps, values, biases)) < 1e-6
        assert [v.op.name for v in tf.global_variables()] == [
            'spatial_model/energies',
            'spatial_model/biases',
        ]
        assert len(tf.get_collection(spectrum_cache.SPECTRA)) == (method in ('fft', 'stacked'))


@pytest.mark.parametrize('method', ['fft', 'stacked'])
def test_inference_transforms_no_prior(method):
    """The logits depend on the energies by the kept spectra alone."""
    with tf.Graph().as_default():
        model = spatial_model.build(tf.zeros([1, 4, 5, 10]), method, keep_spectra=True)
        seen, waiting = set(), [model.logits.op]
        while waiting:
            op = waiting.pop()
            if op not in seen:
                seen.add(op)
                waiting += [x.op for x in op.inputs]
        assert model.biases.op in seen and model.energies.op not in seen
        assert [op.type for op in seen].count('RFFT2D') == 1


def test_there_is_a_message_for_every_pair_but_those_to_the_torso():
    assert PAIRS[:81] == PAIRS_TO_JOINTS
    assert [joint for joint, _ in PAIRS_TO_JOINTS] == list(np.repeat(range(9), 9))
    assert all(joint != condjoint for joint, condjoint in PAIRS_TO_JOINTS)


def test_parameters_and_their_sharing():
    with tf.Graph().as_default():
        for reuse in (False, True):
            with tf.variable_scope('spatial_model', reuse=reuse):
                logits = spatial_model.build(tf.zeros([3, 60, 90, 10])).logits
        assert logits.shape == [3, 60, 90, 9]
        shapes = {v.op.name: v.shape.as_list() for v in tf.global_variables()}
        assert shapes == {
            'spatial_model/energies': [81, 120, 180],
            'spatial_model/biases': [81, 60, 90],
        }
        assert sum(np.prod(shape) for shape in shapes.values()) == 2_187_000
        assert (
            len(tf.get_default_graph().as_graph_def().SerializeToString()) < 5e6
        )  # no priors baked in


@pytest.mark.parametrize('method', METHODS)
def test_a_delta_prior_shifts_the_map(method):
    maps = np.random.default_rng(1).random((2, 6, 9, 10)).astype(np.float32)
    priors = np.zeros((81, 12, 18), np.float32)
    priors[:, 6, 9] = 1  # no displacement: the message is the map
    priors[5, 6, 9], priors[5, 8, 6] = 0, 1  # the joint lies 2 rows below, 3 columns left
    expected = maps[..., [condjoint for _, condjoint in PAIRS_TO_JOINTS]].copy()
    shifted = expected[:, :-2, 3:, 5].copy()
    expected[..., 5] = 0
    expected[:, 2:, :-3, 5] = shifted
    np.testing.assert_allclose(run_messages(priors, maps, method), expected, atol=1e-6)


@pytest.mark.parametrize('n, h, w', [(1, 6, 9), (3, 5, 4), (2, 1, 7)])
def test_stacked_messages_equal_the_sums(n, h, w):
    rng = np.random.default_rng(2)
    priors, maps = rng.random((81, 2 * h, 2 * w)), rng.random((n, h, w, 10))
    assert relative_error(run_messages(priors, maps, 'stacked'), messages64(priors, maps)) < 1e-6


@pytest.mark.parametrize('method', ['fft', 'direct', 'matmul'])
@pytest.mark.parametrize('n, h, w', [(1, 6, 9), (3, 5, 4), (2, 1, 7)])
def test_messages_and_gradients_equal_the_sums(method, n, h, w):
    rng = np.random.default_rng(2)
    priors, maps, d_out = (
        rng.random((81, 2 * h, 2 * w)),
        rng.random((n, h, w, 10)),
        rng.normal(size=(n, h, w, 81)),
    )
    out, d_priors, d_maps = run_messages(priors, maps, method, d_out)
    expected_priors, expected_maps = message_gradients64(priors, maps, d_out)
    assert relative_error(out, messages64(priors, maps)) < 1e-6
    assert relative_error(d_priors, expected_priors) < 1e-6
    assert relative_error(d_maps, expected_maps) < 1e-6


@pytest.mark.parametrize('method', ['fft', pytest.param('matmul', marks=pytest.mark.long)])
def test_full_size_messages_and_gradients_equal_scipy(method):
    """60 x 90 cells: SciPy's float64 linear convolution and correlation, cut by hand."""
    rng = np.random.default_rng(3)
    priors, maps, d_out = (
        rng.random((81, 120, 180)),
        rng.random((2, 60, 90, 10)),
        rng.normal(size=(2, 60, 90, 81)),
    )
    out, d_priors, d_maps = run_messages(priors, maps, method, d_out)
    expected_torso = np.zeros((2, 60, 90))
    for pair, (_, condjoint) in enumerate(PAIRS_TO_JOINTS):
        for sample in range(2):
            whole = scipy.signal.fftconvolve(
                priors[pair], maps[sample, ..., condjoint]
            )  # [179, 269]
            assert relative_error(out[sample, ..., pair], whole[60:120, 90:180]) < 1e-5
            if condjoint == 9:
                turned = priors[pair, ::-1, ::-1]
                whole = scipy.signal.fftconvolve(turned, d_out[sample, ..., pair])  # [179, 269]
                expected_torso[sample] += whole[59:119, 89:179]
        by_sample = [
            scipy.signal.fftconvolve(d_out[s, ..., pair], maps[s, ::-1, ::-1, condjoint])
            for s in range(2)
        ]
        assert relative_error(d_priors[pair, 1:, 1:], sum(by_sample)) < 1e-5  # [119, 179]
    assert relative_error(d_maps[..., 9], expected_torso) < 1e-5


@pytest.mark.long
def test_full_size_fft_and_conv2d_agree():
    rng = np.random.default_rng(4)
    priors, maps = rng.random((81, 120, 180)), rng.random((2, 60, 90, 10))
    assert (
        relative_error(run_messages(priors, maps, 'fft'), run_messages(priors, maps, 'direct'))
        < 1e-5
    )


@pytest.mark.parametrize('method', METHODS)
def test_logits_follow_the_formula(method):
    inputs = random_model(3, 4, 5, seed=5)
    assert relative_error(run_model(*inputs, method=method), logits64(*inputs)) < 1e-6


def test_logits_with_the_papers_unary():
    """max(h, eps) of maps in place of their softplus; 0.01 is the largest eps that the paper allows."""
    inputs = random_model(3, 4, 5, seed=5)
    expected = logits64(*inputs, positive=lambda x: np.maximum(np.asarray(x, np.float64), 0.01))
    assert relative_error(run_model(*inputs, unary='relu'), expected) < 1e-6


def test_gradients_equal_finite_differences():
    """Of a random sum of logits, at 30 random places in each of heat maps, energies and biases."""
    rng = np.random.default_rng(6)
    inputs = random_model(2, 3, 4, seed=7)
    d_logits = rng.normal(size=(2, 3, 4, 9))
    _, *gradients = run_model(*inputs, d_logits)
    wide = [x.astype(np.float64) for x in inputs]
    for x, gradient in zip(wide, gradients):
        for place in rng.choice(x.size, 30, replace=False):
            ends = []
            for step in (1e-5, -1e-5):
                x.flat[place] += step
                ends.append((d_logits * logits64(*wide)).sum())
                x.flat[place] -= step
            assert (
                abs(gradient.flat[place] - (ends[0] - ends[1]) / 2e-5)
                < 1e-5 * np.abs(gradient).max()
            )


@pytest.mark.parametrize('method', ['fft', 'matmul'])
def test_rounding_below_zero_stays_finite(method):
    """One great cell in every prior and map, nothing elsewhere: the transforms round 0 to less than -DELTA."""
    heat_maps, energies, biases = (np.full_like(x, -1e4) for x in random_model(1, 5, 7, seed=8))
    heat_maps[:, 1, 3] = energies[:, 6, 4] = 1e3
    results = run_model(heat_maps, energies, biases, np.ones((1, 5, 7, 9)), method)
    assert all(np.isfinite(x).all() for x in results)


@pytest.mark.parametrize('method', ['fft', 'matmul'])
def test_samples_do_not_see_each_other(method):
    heat_maps, energies, biases = random_model(3, 4, 5, seed=9)
    together = run_model(heat_maps, energies, biases, method=method)
    alone = run_model(heat_maps[1:2], energies, biases, method=method)
    np.testing.assert_allclose(together[1:2], alone, atol=1e-4)


def test_initial_energies_exact():
    """softplus gives the histogram back, each pair's largest cell being 1, over a floor."""
    histograms = np.random.default_rng(10).exponential(size=(81, 12, 18)) ** 4
    histograms[:, :3] = 0
    histograms[7] = 0  # a pair never seen: nothing is preferred
    energies = spatial_model.initial_energies(histograms)
    assert energies.dtype == np.float32 and energies.shape == histograms.shape
    largest = histograms.max(axis=(1, 2), keepdims=True)
    expected = np.maximum(histograms / np.where(largest > 0, largest, 1), 1e-3)
    np.testing.assert_allclose(softplus64(energies), expected, rtol=1e-5)
    assert np.ptp(energies[7]) == 0


def test_initial_energies_reference_and_uniform():
    histograms = np.random.default_rng(11).random((81, 4, 6))
    np.testing.assert_array_equal(
        spatial_model.initial_energies(histograms, 'reference'), histograms.astype('f4')
    )
    assert not spatial_model.initial_energies(histograms, 'uniform').any()


def test_inverse_softplus():
    y = np.logspace(-12, 4, 50)
    np.testing.assert_allclose(softplus64(spatial_model.inverse_softplus(y)), y, rtol=1e-9)


def test_exact_priors_point_at_the_joint():
    """Joints that always lie (2, -1) from the condjoint: the messages alone move the peak there."""
    h, w = 6, 9
    histograms = np.zeros((81, 2 * h, 2 * w))
    histograms[:, h + 2, w - 1] = 1
    heat_maps = np.zeros((1, h, w, 10), np.float32)
    heat_maps[0, 2, 5, 1:] = 5  # all but the left shoulder are seen at (2, 5)
    logits = run_model(heat_maps, spatial_model.initial_energies(histograms), np.zeros((81, h, w)))
    assert divmod(logits[0, ..., 0].argmax(), w) == (4, 4)


# --- skeletons of other sizes: (joints, maps), the last map given, or none ---------------------------

SKELETONS = (
    (2, 3),
    *(pytest.param(*size, marks=pytest.mark.long) for size in ((4, 5), (14, 15), (17, 18))),
    (9, 10),
    (5, 5),
    (4, 6),
)


def pairs_by_hand(n_joints, n_maps):
    found = []
    for joint in range(n_joints):
        for sender in range(n_maps):
            if joint != sender:
                found.append((joint, sender))
    return found


@pytest.mark.parametrize(('n_joints', 'n_maps'), SKELETONS)
def test_any_number_of_joints_follows_the_formula(n_joints, n_maps):
    """Logits against the formula written out in float64, and their gradient by finite differences."""
    n, h, w = 2, 4, 5
    rng = np.random.default_rng(n_maps)
    pairs = pairs_by_hand(n_joints, n_maps)
    heat_maps = rng.normal(size=(n, h, w, n_maps))
    energies = rng.normal(size=(len(pairs), 2 * h, 2 * w))
    biases = rng.normal(size=(len(pairs), h, w))
    weights = rng.normal(size=(n, h, w, n_joints))

    def logits_by_hand(energies):
        maps = softplus64(heat_maps)
        expected = np.log(maps[..., :n_joints] + 1e-6)
        for pair, (joint, sender) in enumerate(pairs):
            prior = softplus64(energies[pair])
            message = np.zeros((n, h, w))
            for row, column in np.ndindex(h, w):
                window = prior[row - np.arange(h)[:, None] + h, column - np.arange(w) + w]
                message[:, row, column] = (window * maps[..., sender]).sum(axis=(1, 2))
            expected[..., joint] += np.log(message + softplus64(biases[pair]) + 1e-6)
        return expected

    with tf.Graph().as_default(), tf.Session() as session:
        given = None if n_maps == n_joints + 1 else n_joints
        model = spatial_model.build(tf.constant(heat_maps, tf.float32), n_joints=given)
        assert model.energies.shape.as_list() == [len(pairs), 2 * h, 2 * w]
        (slope,) = tf.gradients(tf.reduce_sum(model.logits * weights), model.energies)
        model.energies.load(energies, session)
        model.biases.load(biases, session)
        logits, slopes = session.run([model.logits, slope])
    np.testing.assert_allclose(logits, logits_by_hand(energies), rtol=1e-4, atol=1e-4)

    place = tuple(rng.integers(size) for size in energies.shape)
    step = np.zeros_like(energies)
    step[place] = 1e-4
    change = logits_by_hand(energies + step) - logits_by_hand(energies - step)
    expected_slope = (weights * change).sum() / 2e-4
    assert slopes[place] == pytest.approx(expected_slope, rel=2e-3, abs=2e-3)


def test_pairs_of_flic_are_those_of_its_histograms():
    assert list(spatial_model.PAIRS_TO_JOINTS) == [pair for pair in PAIRS if pair[0] < 9]
    assert list(spatial_model.PAIRS_TO_JOINTS) == pairs_by_hand(9, 10)


def test_a_pair_that_never_occurs_has_a_flat_prior():
    histograms = np.zeros((2, 4, 6))
    histograms[0, 2, 3] = 1
    priors = spatial_model.numpy_softplus(spatial_model.initial_energies(histograms))
    np.testing.assert_allclose(priors[1], 1e-3, rtol=1e-4)
    assert priors[0, 2, 3] == pytest.approx(1)
