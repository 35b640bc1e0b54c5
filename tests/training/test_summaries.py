"""Event files read back with TensorBoard's own reader, from the real graph with layers of 16
channels, two people a split."""

import os
import resource
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from jointpose import main, run_options
from jointpose.datasets import arrays, flic
from jointpose.datasets.flic import JOINTS, MAPS
from jointpose.nn.tf1 import tf
from jointpose.systems import tompson
from jointpose.training import batches, summaries, summary_values

BANKS = ('full', 'half', 'quarter')
LAYERS = [f'conv{i}_{bank}' for bank in BANKS for i in (1, 2, 3, 4)] + ['conv5']  # with batch norm
NORM = ('scale', 'offset', 'moving_mean', 'moving_variance')
MEANS = {
    split: {
        f'{what}_{model}': value
        for model in ('pd', 'sm')
        for what, value in (
            ('loss', 4.5 + len(split + model)),
            ('rate', 40.0),
            ('joints', {joint: float(i) for i, joint in enumerate(JOINTS)}),
        )
    }
    for split in ('train', 'test')
}
FIGURES = {'loss_pd': 8.0, 'loss_sm': 7.5, 'gradient_norm': 3.25, 'lr': 0.001, 'img_per_s': 2.5}


@pytest.fixture(autouse=True, scope='module')
def narrow():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('jointpose.model.CHANNELS', (1, 1, 1, 1, 1))
        yield


def people_of(images, joints_xy):
    """An arrays.Split of nameless people."""
    n = len(images)
    return arrays.Split(
        images,
        joints_xy,
        flic.Flic().complete_people(np.zeros(n, flic.PERSON_DTYPE), joints_xy),
        np.arange(n),
        'train',
    )


def build(extra):
    """(graph, splits, options) in the default graph."""
    rng = np.random.default_rng(0)
    splits = {}
    for split, n in (('train', 4), ('test', 2)):
        joints_xy = rng.uniform(100, 400, (n, 10, 2)).astype(np.float32)
        splits[split] = people_of(rng.integers(0, 256, (n, 480, 720, 3), np.uint8), joints_xy)
    options, *_ = run_options.resolve_options(
        ['--train', '--debug', '--batch_size', '2', '--n_epochs', '1', *extra]
    )
    return main.build_graph(tompson.Tompson(options), splits, options, ['/cpu:0']), splits, options


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    """(session, graph, folder) after one epoch's summaries at step 2, with the streams never started."""
    folder = str(tmp_path_factory.mktemp('tb') / 'run')
    with tf.Graph().as_default(), tf.Session() as session:
        graph, splits, options = build(['--use_sm', '--tb_details'])
        session.run(tf.global_variables_initializer())
        session.run(graph.spectra[0])
        writer = summaries.Writer(folder, tompson.Tompson(options), JOINTS, graph, splits, options)
        tf.get_default_graph().finalize()
        session.run(*graph.start_training(0, 2))
        before, rows = session.run(tf.global_variables()), [session.run(graph.batch.rows)]
        writer.epoch(session, 2, MEANS)
        after, rows = session.run(tf.global_variables()), rows + [session.run(graph.batch.rows)]
        writer.step(3, FIGURES)
        writer.close()
        options.tb_details = False
        plain = summaries.Writer(
            folder + '_plain', tompson.Tompson(options), JOINTS, graph, splits, options
        )
        plain.epoch(session, 2, MEANS)
        plain.step(3, FIGURES)
        yield {
            'plain': {
                kind: read(os.path.join(folder + '_plain', kind))
                for kind in (*arrays.SPLITS, 'train_iter')
            },
            'session': session,
            'graph': graph,
            'writer': writer,
            'before': before,
            'after': after,
            'rows': rows,
            **{kind: read(os.path.join(folder, kind)) for kind in ('train', 'test', 'train_iter')},
        }


@pytest.fixture
def writer():
    """A Writer without network, its folder still to be set."""
    somebody = people_of(np.zeros((1, 480, 720, 3), np.uint8), np.zeros((1, 10, 2), np.float32))
    inference = SimpleNamespace(outputs={'pd': None, 'sm': None})
    options = SimpleNamespace(
        data_augm=False,
        batch_size=1,
        targets='cell',
        loss='cross_entropy',
        tb_details=False,
        dataset='flic',
        torso_from='joints',
    )
    graph = SimpleNamespace(evaluation=SimpleNamespace(inference=inference))
    splits = {'train': somebody, 'test': somebody}
    return summaries.Writer('', tompson.Tompson(options), JOINTS, graph, splits, options)


def read(folder):
    return EventAccumulator(folder, {'images': 0, 'histograms': 0, 'scalars': 0}).Reload()


def scalars(events):
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()['scalars']
    }


def expected_tags(split):
    """(histograms, images) of a split's folder, written out independently of the graph."""
    activations = {f'more/{layer}/activation' for layer in [*LAYERS, 'conv6', 'spatial_model']}
    images = {f'person_{k}/{model}' for k in (0, 1) for model in ('target', 'pd', 'sm')}
    images |= {
        f'more/person_{k}/{name}_{model}'
        for k in (0, 1)
        for name in JOINTS
        for model in ('target', 'pd', 'sm')
    }
    if split == 'test':
        return activations, images
    variables = {f'more/{layer}/{name}' for layer in LAYERS for name in ('weights', 'bias', *NORM)}
    variables |= {'more/conv6/weights', 'more/conv6/bias'}
    variables |= {f'more/spatial_model/{name}' for name in (*NORM, 'energies', 'biases')}
    gradients = {f'{name}/gradient' for name in variables if name.endswith(('weights', 'energies'))}
    pairs = {
        f'{kind}/{joint}_given_{other}'
        for kind in ('priors', 'more/biases')
        for joint in JOINTS
        for other in MAPS
        if other != joint
    }
    return activations | variables | gradients, images | pairs | {
        f'network/conv1_{bank}_filters' for bank in BANKS
    }


@pytest.mark.parametrize('split', arrays.SPLITS)
def test_tags_are_those_of_the_table(written, split):
    histograms, images = expected_tags(split)
    tags = written[split].Tags()
    assert set(tags['histograms']) == histograms
    assert set(tags['images']) == images
    figures = {
        f'{tag}/{name}' for tag in histograms for name in ('max', 'mean', 'min', 'std', 'positive')
    }
    norms = {f'{tag}/norm' for tag in histograms if tag.endswith('gradient')}
    rates = {f'rate_{model}/{joint}' for model in ('pd', 'sm') for joint in JOINTS}
    main_tags = {f'main/{name}_{model}' for name in ('loss', 'det_rate') for model in ('pd', 'sm')}
    assert set(tags['scalars']) == figures | norms | rates | main_tags


@pytest.mark.parametrize('split', arrays.SPLITS)
def test_without_details_what_matters_is_there_and_comes_first(written, split):
    _, images = expected_tags(split)
    tags, detailed = written['plain'][split].Tags(), written[split].Tags()
    assert tags['histograms'] == [] and set(tags['images']) == {
        tag for tag in images if not tag.startswith('more/')
    }
    assert set(tags['scalars']) == {
        tag for tag in detailed['scalars'] if not tag.startswith('more/')
    }
    for some in (
        tags,
        detailed,
        written['plain']['train_iter'].Tags(),
    ):  # TensorBoard sorts by the first part
        assert min(tag.split('/')[0] for tag in some['scalars'] + some['images']) == 'main'
    assert (
        scalars(written['plain'][split])['main/loss_pd'] == scalars(written[split])['main/loss_pd']
    )


@pytest.mark.parametrize('split', arrays.SPLITS)
def test_main_figures_are_those_given(written, split):
    found = scalars(written[split])
    for model in ('pd', 'sm'):
        assert found[f'main/loss_{model}'] == [(2, MEANS[split][f'loss_{model}'])]
        assert found[f'main/det_rate_{model}'] == [(2, 40.0)]
        assert [found[f'rate_{model}/{joint}'] for joint in JOINTS] == [
            [(2, float(i))] for i in range(9)
        ]


def test_update_figures_are_those_given(written):
    assert scalars(written['train_iter']) == {
        f'main/{name}': [(3, pytest.approx(value))] for name, value in FIGURES.items()
    }


def test_nothing_is_changed_and_no_batch_is_taken(written):
    for before, after in zip(written['before'], written['after']):
        np.testing.assert_array_equal(before, after)
    assert [rows.tolist() for rows in written['rows']] == [
        batches.training_rows(0, s, 4, 2).tolist() for s in (0, 1)
    ]


def test_figures_of_a_variable_are_numpys(written):
    with written['graph'].batch.rows.graph.as_default():
        (variable,) = (
            v for v in tf.trainable_variables() if v.op.name == 'part_detector/conv4_half/weights'
        )
    value = written['session'].run(variable).astype(np.float64)
    found = scalars(written['train'])
    for name, figure in (
        ('max', value.max()),
        ('mean', value.mean()),
        ('min', value.min()),
        ('std', value.std()),
        ('positive', np.mean(value > 0)),
    ):
        assert found[f'more/conv4_half/weights/{name}'] == [(2, pytest.approx(figure, rel=1e-5))]
    histogram = written['train'].Histograms('more/conv4_half/weights')[0].histogram_value
    assert histogram.num == value.size == sum(histogram.bucket)
    assert histogram.sum_squares == pytest.approx((value**2).sum(), rel=1e-5)
    below = np.interp(0, histogram.bucket_limit, np.cumsum(histogram.bucket)) / value.size
    assert below == pytest.approx(np.mean(value < 0), abs=0.02)


def test_gradient_norms_predict_the_loss(written):
    """A step against conv6's gradient lowers the loss by rate x norm^2: the decay is part of both."""
    graph, session = written['graph'], written['session']
    feed = batches.feed(graph.batch, written['writer'].people['train'])
    with graph.batch.rows.graph.as_default():
        (variable,) = (
            v for v in tf.trainable_variables() if v.op.name == 'part_detector/conv6/weights'
        )
    start, rate = session.run(variable), 1e-4
    gradient = next(gradient for gradient, v in graph.training.gradients if v is variable)
    direction = session.run(gradient, feed)

    def loss(weights):
        variable.load(weights, session)
        return sum(session.run(graph.training.losses, feed).values()) + 5e-4 * (weights**2).sum()

    drop = loss(start - rate / 2 * direction) - loss(start + rate / 2 * direction)
    variable.load(start, session)
    norm = scalars(written['train'])['more/conv6/weights/gradient/norm'][0][1]
    assert norm == pytest.approx(np.linalg.norm(direction), rel=1e-4)
    assert -drop == pytest.approx(rate * norm**2, rel=0.05)


@pytest.mark.parametrize(
    'tag, shape',
    [
        ('person_1/sm', (240, 360, 3)),
        ('more/person_0/lwri_target', (240, 360, 3)),
        ('priors/lsho_given_torso', (240, 360, 3)),
        ('more/biases/nose_given_rhip', (240, 360, 3)),
        ('network/conv1_half_filters', (240, 240, 3)),
    ],
)
def test_images_decode_to_the_size_stated(written, tag, shape):
    (event,) = written['train'].Images(tag)
    image = cv2.imdecode(np.frombuffer(event.encoded_image_string, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == shape and (event.height, event.width) == shape[:2] and event.step == 2


@pytest.mark.long
@pytest.mark.parametrize('gpus', [['0'], ['0', '1']])
def test_without_spatial_model_nothing_of_it(tmp_path, gpus):
    with tf.Graph().as_default(), tf.Session() as session:
        graph, splits, options = build(['--data_augm', '--tb_details', '--gpus', *gpus])
        session.run(tf.global_variables_initializer())
        session.run(graph.spectra[0])
        writer = summaries.Writer(
            str(tmp_path), tompson.Tompson(options), JOINTS, graph, splits, options
        )
        tf.get_default_graph().finalize()
        assert list(graph.training.losses) == ['pd']  # what the figures of a step are made of
        writer.step(1, {name: figure for name, figure in FIGURES.items() if name != 'loss_sm'})
        writer.epoch(session, 2, MEANS)
    for kind in ('train', 'test', 'train_iter'):
        found = read(str(tmp_path / kind)).Tags()
        tags = [*found['scalars'], *found['histograms'], *found['images']]
        assert 'main/loss_pd' in tags
        assert not [tag for tag in tags if '_sm' in tag or 'spatial' in tag or 'given' in tag]


def test_a_resumed_run_shows_each_step_once(writer, tmp_path):
    writer.events.folder = str(tmp_path)
    for step in (1, 2, 3, 4, 5):
        writer.step(step, {'lr': step})
    assert (
        len(scalars(read(str(tmp_path / 'train_iter')))['main/lr']) == 5
    )  # seen while the run goes on
    writer.close()
    for step in (4, 5, 6):  # restored at step 3
        writer.step(step, {'lr': 10 * step})
    writer.close()
    assert len(os.listdir(tmp_path / 'train_iter')) == 2
    assert scalars(read(str(tmp_path / 'train_iter')))['main/lr'] == [
        (1, 1),
        (2, 2),
        (3, 3),
        (4, 40),
        (5, 50),
        (6, 60),
    ]


def test_a_folder_that_cannot_be_made_costs_one_warning(writer, tmp_path, capsys):
    (tmp_path / 'tb').write_text('a file, not a folder')
    writer.events.folder = str(tmp_path / 'tb' / 'run')
    writer.step(1, FIGURES)
    writer.epoch(None, 1, MEANS)  # the network is not even run
    writer.step(2, FIGURES)
    writer.close()
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith('warning: ') and str(tmp_path / 'tb') in warning
    (tmp_path / 'tb').unlink()
    writer.step(3, FIGURES)  # as soon as there is a way, on it goes
    assert [
        step for step, _ in scalars(read(str(tmp_path / 'tb' / 'run' / 'train_iter')))['main/lr']
    ] == [3]


def test_a_full_disk_costs_one_warning_and_the_figures_of_that_time(writer, tmp_path, capfd):
    writer.events.folder = str(tmp_path)
    for step in (1, 2, 3):
        writer.step(step, {'lr': step})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        for step in range(4, 20):
            writer.step(step, {'lr': step})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    for step in (20, 21):
        writer.step(step, {'lr': step})
    assert len(capfd.readouterr().err.splitlines()) == 1
    assert [step for step, _ in scalars(read(str(tmp_path / 'train_iter')))['main/lr']] == [
        1,
        2,
        3,
        20,
        21,
    ]
    assert len(os.listdir(tmp_path / 'train_iter')) == 2  # no empty ones between


@pytest.mark.parametrize(
    'values',
    [
        np.zeros(3),
        np.full((2, 2), 0.7),
        np.float32([1, 1 + 1.2e-7]),
        np.float32([1e-40, 3e-40]),
        np.float32([-3e38, 3e38]),
    ],
)
def test_histograms_of_awkward_arrays(values):
    histogram, *_ = summary_values.describe('x', values)
    assert (
        sum(histogram.histo.bucket) == values.size
        and len(histogram.histo.bucket) == summary_values.N_BINS
    )


def test_numbers_that_are_not_finite_are_left_out():
    histogram, *figures = summary_values.describe('x', np.float32([1, np.nan, 3, np.inf]))
    assert {value.tag: value.simple_value for value in figures} == {
        'x/max': 3,
        'x/mean': 2,
        'x/min': 1,
        'x/std': 1,
        'x/positive': 1,
    }
    assert histogram.histo.num == 2
    assert list(summary_values.describe('x', np.float32([np.nan]))) == []


def test_pictures_are_rgb():
    image = np.zeros((4, 5, 3), np.uint8)
    image[..., 0] = 200
    code = summary_values.picture('x', image).image.encoded_image_string
    assert (
        cv2.imdecode(np.frombuffer(code, np.uint8), cv2.IMREAD_COLOR) == [0, 0, 200]
    ).all()  # OpenCV's BGR
