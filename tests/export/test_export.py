"""Exported files against the network they came from, run as a stranger would: TensorFlow 2 alone, onnxruntime alone."""

import os
import re
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
from conftest import ROOT

from jointpose import model, run_options, spatial_model
from jointpose.checkpoints import checkpoint, checkpoint_variables
from jointpose.datasets import arrays, flic
from jointpose.export import comparison, formats, network
from jointpose.inference import export
from jointpose.nn import peaks, spectrum_cache
from jointpose.nn.tf1 import tf
from jointpose.options import options as command_line
from jointpose.utils.errors import InputError
from jointpose.vision import heatmaps

PLAIN_TENSORFLOW_2 = """
import sys
import numpy as np
import tensorflow as tf
network = tf.saved_model.load(sys.argv[1]).signatures['serving_default']
for n in (1, 3):
    inputs = {name: tf.constant(x[:n]) for name, x in np.load(sys.argv[2]).items()}
    np.savez(f'{sys.argv[3]}_{n}.npz', **{name: y.numpy() for name, y in network(**inputs).items()})
"""


def random_value(name, shape, rng):
    """Nothing zero or one, and maps with clear peaks: what a converter drops or misplaces must show."""
    layer, kind = name.split('/')[-2:]
    if kind == 'weights':
        return rng.normal(
            0, (6 if layer == 'conv6' else 1) * (2 / np.prod(shape[:3])) ** 0.5, shape
        )
    if kind == 'energies':  # each pair's displacement is a blurred point
        pairs, height, width = shape
        row, col = (rng.uniform(0.4, 0.6, (pairs, 1, 1)) * size for size in (height, width))
        distance = (np.arange(height)[:, None] - row) ** 2 + (np.arange(width) - col) ** 2
        return spatial_model.initial_energies(np.exp(-distance / 50)) + rng.normal(0, 0.02, shape)
    if layer == 'spatial_model' and kind == 'moving_variance':  # of maps that sum to 1
        return rng.uniform(1, 2, shape) * 1e-6
    mean, deviation = {'scale': (1, 0.2), 'moving_variance': (1, 0.2), 'biases': (-1, 0.3)}.get(
        kind, (0, 0.2)
    )
    if layer == 'spatial_model' and kind in ('moving_mean', 'offset'):
        mean, deviation = {'moving_mean': (2e-4, 1e-5), 'offset': (-1, 0.1)}[kind]
    return np.maximum(
        rng.normal(mean, deviation, shape), 0.1 if kind == 'moving_variance' else -np.inf
    )


def make_run(folder, *arguments):
    """A run with one checkpoint of random values: its folder, and a function inputs -> outputs of its network."""
    options, system, *_ = run_options.resolve_options(
        ['--train', '--width', '4', '--conv', 'fft', *arguments]
    )
    rng = np.random.default_rng(0)
    graph = tf.Graph()
    with graph.as_default():
        images, torso = (
            tf.placeholder(tf.uint8, [None, 480, 720, 3]),
            tf.placeholder(tf.float32, [None, 60, 90, 1]),
        )
        outputs = system.build(images, {'torso_map': torso}, False).outputs
        spectra, saved = (
            spectrum_cache.operations_of_graph(),
            {v.op.name: v for v in tf.global_variables()},
        )
        session = tf.Session()
        checkpoint_variables.assign(
            session,
            [
                (variable, random_value(variable.op.name, variable.shape.as_list(), rng))
                for variable in tf.global_variables()
            ],
        )
        if options.average_weights:  # these are the averages; the last weights are something else
            for variable in tf.trainable_variables():
                saved[variable.op.name + '/average'] = variable
                saved[variable.op.name] = tf.get_variable(
                    'last/' + variable.op.name,
                    trainable=False,
                    initializer=np.full(variable.shape, 0.1, np.float32),
                )
            session.run(
                [saved[variable.op.name].initializer for variable in tf.trainable_variables()]
            )
        checkpoint.save(
            session,
            tf.train.Saver(saved),
            folder,
            {
                'step': 7,
                'best': None,
                'code': 'x',
                'settings': command_line.settings_of(options, system),
            },
            1,
        )

    def run(inputs):
        with spectrum_cache.filled(session, spectra):
            found = session.run(outputs, {images: inputs['image'], torso: inputs['torso_map']})
        maps_pd, maps = found['pd'], found['sm' if options.use_sm else 'pd']
        return {'joints': heatmaps.decode(maps), 'heat_maps': maps, 'part_detector_maps': maps_pd}

    return folder, run


def export_main(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', ['export.py', *map(str, arguments)])
    return export.main()


@pytest.fixture(autouse=True, scope='module')
def small():
    """Four channels a layer; two frames for export's own comparison."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, 'CHANNELS', (1, 1, 1, 1, 1))
        patch.setattr(export, 'FRAMES', 2)
        patch.setattr(formats, 'LARGE', 1000)  # some of the filters, as in large networks
        yield


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    return make_run(
        str(tmp_path_factory.mktemp('models') / 'small'),
        '--use_sm',
        '--average_weights',
        '0.9',
        '--banks',
        '2',
    )


@pytest.fixture(scope='module')
def exported(run, tmp_path_factory):
    """The folder that export.py writes, by drawn people, for there are no arrays."""
    pytest.importorskip(
        'onnxruntime', reason='onnxruntime is not installed (requirements-export.txt)'
    )
    pytest.importorskip('tf2onnx', reason='tf2onnx is not installed (requirements-export.txt)')
    out = tmp_path_factory.mktemp('out')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(out)
        export_main(patch, '--restore', run[0], '--out', out / 'exported')
    assert sorted(os.listdir(out / 'exported')) == ['model.onnx', 'saved_model']
    return out / 'exported'


@pytest.fixture(scope='module')
def inputs():
    """Frames of noise and blocks, torso maps with the torso in the middle, at the border and in a corner."""
    rng = np.random.default_rng(1)
    blocks = rng.integers(0, 256, (3, 24, 36, 3), np.uint8).repeat(20, axis=1).repeat(20, axis=2)
    noise = rng.integers(0, 40, (3, 480, 720, 3), np.uint8)
    torso_xy = np.array([[[300, 250]], [[719, 200]], [[1, 1]]], np.float32)
    return {
        'image': np.minimum(blocks, 215) + noise,
        'torso_map': heatmaps.render_targets(torso_xy, (60, 90)),
    }


def assert_same(got, expected):
    assert sorted(got) == sorted(expected)
    for name, want in expected.items():
        assert got[name].shape == want.shape and got[name].dtype == np.float32, name
        np.testing.assert_allclose(
            got[name], want, atol=0.01 if name == 'joints' else 1e-4 * want.max(), err_msg=name
        )


def first(inputs, n):
    return {name: x[:n] for name, x in inputs.items()}


def test_the_example_runs_without_this_project(exported, run, tmp_path):
    """The lines of docs/export.md, in a folder that holds nothing but the model and the picture:
    the joints that the network itself finds there."""
    with open(os.path.join(ROOT, 'docs', 'export.md'), encoding='utf-8') as file:
        (example,) = re.findall('```python\n(.*?)```', file.read(), re.DOTALL)
    assert len(example.splitlines()) <= 10
    (tmp_path / 'docs').mkdir()
    shutil.copy(os.path.join(ROOT, 'docs', 'person.jpg'), tmp_path / 'docs')
    (tmp_path / 'exported').symlink_to(exported)
    done = subprocess.run(
        [sys.executable, '-I', '-c', example], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = [line.split() for line in done.stdout.splitlines()]
    image = cv2.imread(os.path.join(ROOT, 'docs', 'person.jpg'))[None, ..., ::-1]
    torso_map = heatmaps.render_targets(np.array([[[263, 321]]]), (60, 90))
    expected = run[1]({'image': image, 'torso_map': torso_map})['joints'][0]
    assert tuple(name for name, *_ in found) == flic.JOINTS
    np.testing.assert_allclose(np.array([xy for _, *xy in found], float), expected, atol=0.06)


def test_the_test_would_see_a_difference(run, inputs):
    """Clear peaks, different in every frame, moved by the spatial model and by the torso."""
    outputs = run[1](inputs)
    moved = run[1]({**inputs, 'torso_map': inputs['torso_map'][::-1]})
    for name in ('heat_maps', 'part_detector_maps'):
        assert (outputs[name].max(axis=(1, 2)) > 4 / 5400).all(), name
        assert np.abs(outputs[name][0] - outputs[name][1]).max() > 0.1 * outputs[name].max(), name
    assert (
        np.abs(outputs['heat_maps'] - outputs['part_detector_maps']).max()
        > 0.1 * outputs['heat_maps'].max()
    )
    assert (
        np.abs(outputs['heat_maps'] - moved['heat_maps'])[[0, 2]].max()
        > 0.01 * outputs['heat_maps'].max()
    )


def test_onnx_equals_the_network(exported, run, inputs):
    import onnxruntime

    session = onnxruntime.InferenceSession(
        exported / 'model.onnx', providers=['CPUExecutionProvider']
    )
    assert {x.name: (x.type, x.shape) for x in session.get_inputs()} == {
        'image': ('tensor(uint8)', ['n', 480, 720, 3]),
        'torso_map': ('tensor(float)', ['n', 60, 90, 1]),
    }
    names = [output.name for output in session.get_outputs()]
    for n in (1, 3):
        assert_same(dict(zip(names, session.run(None, first(inputs, n)))), run[1](first(inputs, n)))
    metadata = session.get_modelmeta().custom_metadata_map
    assert (
        metadata['joints'].split() == list(flic.JOINTS)
        and metadata['checkpoint'] == 'small/step-00000007'
    )


@pytest.mark.long
def test_saved_model_equals_the_network(exported, run, inputs, tmp_path):
    np.savez(tmp_path / 'inputs.npz', **inputs)
    subprocess.run(
        [
            sys.executable,
            '-c',
            PLAIN_TENSORFLOW_2,
            exported / 'saved_model',
            tmp_path / 'inputs.npz',
            tmp_path / 'out',
        ],
        check=True,
        capture_output=True,
        cwd=tmp_path,
    )
    for n in (1, 3):
        assert_same(dict(np.load(tmp_path / f'out_{n}.npz')), run[1](first(inputs, n)))


@pytest.mark.long
@pytest.mark.parametrize(
    'arguments',
    [
        [],
        ['--use_sm', '--self_connections', '--no_batch_norm', '--loss', 'squared'],
        ['--average_weights', '0.9'],
        ['--use_sm'],
    ],
    ids=' '.join,
)
def test_other_networks(arguments, inputs, tmp_path, monkeypatch):
    """Without a spatial model there is no torso to say; an earlier export is replaced whole."""
    folder, live = make_run(str(tmp_path / 'run'), *arguments)
    out = tmp_path / 'out'
    (out / 'saved_model').mkdir(parents=True)
    (out / 'saved_model' / 'old').touch()
    (out / 'model.onnx').touch()
    (out / 'notes.txt').touch()
    monkeypatch.chdir(tmp_path)
    export_main(monkeypatch, '--restore', folder, '--out', out, '--saved_model_only')
    assert sorted(os.listdir(out)) == ['notes.txt', 'saved_model']
    assert sorted(os.listdir(out / 'saved_model')) == ['saved_model.pb', 'variables']
    needed = {name: x for name, x in inputs.items() if name == 'image' or '--use_sm' in arguments}
    with formats.saved_model(str(out / 'saved_model')) as exported:
        assert_same(exported(needed), live(inputs))
        if '--use_sm' in arguments:
            with pytest.raises(Exception, match='torso_map'):
                exported({'image': inputs['image']})


@pytest.mark.parametrize('factor', [1.001, pytest.param(np.nan, marks=pytest.mark.long)])
def test_a_file_that_differs_is_not_exported(factor, run, tmp_path, monkeypatch):
    build = network.network
    out = tmp_path / 'out'

    def differing(system, inputs, portable):
        made = build(system, inputs, portable)
        changed = {name: maps * np.float32(factor) for name, maps in made.outputs.items()}
        return made._replace(outputs=changed) if portable else made

    monkeypatch.setattr(network, 'network', differing)
    monkeypatch.chdir(tmp_path)
    out.mkdir()
    (out / 'model.onnx').write_bytes(b'earlier' + formats.ONNX_MARK)
    with pytest.raises(SystemExit) as stop:
        export_main(monkeypatch, '--restore', run[0], '--out', out, '--saved_model_only')
    assert 'maps differ' in stop.value.code  # a text: printed, exit code 1
    assert os.listdir(out) == ['model.onnx'] and (out / 'model.onnx').read_bytes().startswith(
        b'earlier'
    )


def test_bad_input(run, tmp_path, monkeypatch):
    damaged = shutil.copytree(os.path.join(run[0], 'step-00000007'), tmp_path / 'step-00000007')
    data = damaged / 'model.data-00000-of-00001'
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
    (tmp_path / 'file').touch()
    for arguments, message in (
        (['--restore', damaged], 'no usable checkpoint'),
        (['--restore', tmp_path / 'absent'], 'no run '),
        (['--restore', run[0], '--data', tmp_path], 'manifest.json: no such file'),
        (['--restore', run[0], '--out', tmp_path / 'file'], 'file: cannot be written'),
    ):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(InputError, match=message):
            export_main(monkeypatch, '--saved_model_only', *arguments)
    assert sorted(os.listdir(tmp_path)) == ['file', 'step-00000007']


def test_a_missing_converter_is_named(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnx', None)
    with pytest.raises(InputError, match=r'onnx.*pip install -r requirements-export.txt'):
        export_main(monkeypatch, '--restore', run[0], '--out', tmp_path / 'out')


def test_frames_of_the_arrays(arrays_folder):
    options, system, *_ = run_options.resolve_options(['--train', '--use_sm', '--data_augm'])
    frames, source = comparison.inputs_to_check(system, options, arrays_folder, 3)
    people = arrays.load_split(arrays_folder, 'test', arrays.read_manifest(arrays_folder))
    assert source == f'3 test people of {arrays_folder}' and len(frames['image']) == 3
    np.testing.assert_array_equal(frames['image'][0], people.images[0])
    row, col = np.divmod(frames['torso_map'].reshape(3, -1).argmax(axis=1), 90)
    cells = heatmaps.cell_index(people.joints[np.arange(3) * len(people.images) // 3, 9])
    np.testing.assert_array_equal(np.stack([row, col], axis=1), cells)


def test_decode_equals_heatmaps_decode(tf_graph):
    """Random maps; peaks in corners and at borders; neighbours nearly equal, tiny or zero; an empty map."""
    rng = np.random.default_rng(2)
    maps = rng.random((30, 60, 90, 9)).astype(np.float32)
    for i, (row, col) in enumerate(
        [(0, 0), (0, 89), (59, 0), (59, 89), (0, 40), (59, 40), (30, 0), (30, 89)]
    ):
        maps[i, row, col] = 1 + rng.random(9)
    maps[10] = rng.random((60, 90, 9)) ** 20 * 1e-20
    maps[11] = 1 + rng.random((60, 90, 9)) * 1e-6
    maps[12] = 0
    maps[13] = 0
    maps[13, 20, 30], maps[13, 21, 30] = 0.5, 0.25
    maps[14, 20, 30:32] = 2  # a plateau of two
    with tf_graph() as session:
        given = tf.placeholder(tf.float32, [None, 60, 90, 9])
        decoded = peaks.decode(given)
        assert decoded.shape.as_list() == [None, 9, 2]
        for n in (1, 30):
            np.testing.assert_allclose(
                session.run(decoded, {given: maps[:n]}), heatmaps.decode(maps[:n]), atol=1e-3
            )
