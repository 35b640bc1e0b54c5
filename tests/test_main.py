"""main.py: starting from trained weights; what the rooms may import; the machine's GPUs."""
import ast
import importlib
import os
import pkgutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

import main
import systems
from engine import checkpoint, convolution, towers
from engine.files import InputError
from engine.tf1 import tf


def run(folder, arrays_folder, *arguments):
    places = ['--data', arrays_folder, '--model_path', folder / 'models', '--tb_folder', '',
              '--predictions', folder / 'predictions.mat']
    return subprocess.run([sys.executable, os.path.join(ROOT, 'tests', 'narrow_main.py'),
                           *map(str, [*arguments, *places])], capture_output=True, text=True)


# ---------------------------------------------------------------- --init

def test_training_starts_from_weights_that_fit(arrays_folder, tmp_path):
    """A detector's weights go into a joint model, which takes its width over; the rest is as the seed makes it."""
    detector = ['--train', '--width', '4', '--n_epochs', '1', '--batch_size', '8', '--seed', '5', '--run', 'detector']
    assert run(tmp_path, arrays_folder, *detector).returncode == 0
    joint = ['--train', '--use_sm', '--n_epochs', '0', '--seed', '7']
    done = run(tmp_path, arrays_folder, *joint, '--init', 'detector', '--run', 'joint')
    assert done.returncode == 0, done.stderr
    assert run(tmp_path, arrays_folder, *joint, '--width', '4', '--run', 'plain').returncode == 0
    origin, started, plain = (checkpoint.weights(checkpoint.find(str(tmp_path / 'models'), name).path)
                              for name in ('detector', 'joint', 'plain'))
    assert started.keys() == plain.keys() and started.keys() > origin.keys() and started['global_step'] == 0
    for name in started.keys() - {'global_step'}:
        np.testing.assert_array_equal(started[name], origin.get(name, plain[name]), err_msg=name)
    left = sorted(started.keys() - origin.keys())
    assert f'{len(origin) - 1} variables start from' in done.stdout and f'{len(left)} do not' in done.stdout
    assert [line.strip() for line in done.stdout.splitlines() if line.startswith('  ')] == left
    assert any(name.startswith('spatial_model/energies') for name in left)


def test_the_published_weights_are_a_start(arrays_folder, tmp_path):
    done = subprocess.run(
        [sys.executable, 'main.py', '--train', '--init', 'pretrained/flic', '--n_epochs', '0', '--run', 'tuned',
         '--data', arrays_folder, '--model_path', tmp_path, '--tb_folder', '', '--scales', 'single',
         '--predictions', tmp_path / 'predictions.mat'], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert ' 0 do not' in done.stdout
    found = checkpoint.find(str(tmp_path), 'tuned')
    assert (found.state['settings']['width'], found.state['settings']['use_sm'], found.state['step']) == (8, True, 0)
    published = checkpoint.weights(checkpoint.find('', os.path.join(ROOT, 'pretrained', 'flic')).path)
    for name, value in checkpoint.weights(found.path).items():
        if name != 'global_step':
            np.testing.assert_array_equal(value, published[name], err_msg=name)


def test_going_on_from_weights_only_names_the_way(arrays_folder, tmp_path):
    done = run(tmp_path, arrays_folder, '--train', '--restore', os.path.join(ROOT, 'pretrained', 'flic'))
    assert done.returncode == 2 and '--init' in done.stderr.splitlines()[-1]


def test_weights_that_fit_nowhere_are_refused(arrays_folder, tmp_path):
    """A network in which every layer has another width, and a name that nothing has."""
    done = run(tmp_path, arrays_folder, '--train', '--width', '4', '--n_epochs', '0', '--no_batch_norm', '--run', 'a')
    assert done.returncode == 0, done.stderr
    with tf.Graph().as_default(), tf.Session() as session:
        tf.get_variable('part_detector/conv1_full/weights', [5, 5, 3, 5])
        taken, left = checkpoint.fill(session, checkpoint.weights(checkpoint.find(str(tmp_path / 'models'), 'a').path))
    assert taken == [] and left == ['part_detector/conv1_full/weights']
    done = run(tmp_path, arrays_folder, '--train', '--init', 'nowhere', '--run', 'c')
    assert done.returncode == 2 and '--init: nowhere: no checkpoint there' in done.stderr


def test_a_variable_and_its_average_start_alike(tf_graph, tmp_path):
    """From a start of the weights, from a whole checkpoint and from a published one, which has the averages only."""
    last, averaged = np.array([1, 2], np.float32), np.array([3, 4], np.float32)
    path = str(tmp_path / 'model')
    for kept in ({'l/weights': last}, {'l/weights': last, 'l/weights/average': averaged, 'l/weights/Adam': last},
                 {'l/weights/average': averaged}):
        with tf.Graph().as_default(), tf.Session() as session:
            variables = [tf.get_variable(name, initializer=value) for name, value in kept.items()]
            session.run(tf.global_variables_initializer())
            tf.train.Saver(variables).save(session, path)
        weights = checkpoint.weights(str(tmp_path))
        assert weights.keys() == {'l/weights/average' if len(kept) == 3 else next(iter(kept))}
        with tf.Graph().as_default(), tf.Session() as session:
            names = ['l/bias/average', 'l/weights', 'l/weights/Adam', 'l/weights/average']
            variables = [tf.get_variable(name, initializer=np.zeros(2, np.float32)) for name in names]
            session.run(tf.global_variables_initializer())
            assert checkpoint.fill(session, weights) == (['l/weights', 'l/weights/average'], ['l/bias/average'])
            start = averaged if 'l/weights/average' in kept else last
            np.testing.assert_array_equal(session.run(variables), [[0, 0], start, [0, 0], start])


@pytest.mark.parametrize('arguments', [['--restore', '--init', 'a'], ['--train', '--restore', '--init', 'a']])
def test_init_starts_a_training(arguments, capsys):
    with pytest.raises(SystemExit):
        main.understand(arguments)
    assert '--init starts a training' in capsys.readouterr().err


# ---------------------------------------------------------------- rooms

def imports(path):
    """First parts of the modules that a file imports, wherever in it."""
    with open(path, encoding='utf-8') as file:
        nodes = list(ast.walk(ast.parse(file.read())))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return {name.split('.')[0] for name in names + [node.module for node in nodes if isinstance(node, ast.ImportFrom)]}


def modules(room):
    return sorted(entry.path for entry in os.scandir(os.path.join(ROOT, room)) if entry.name.endswith('.py'))


def test_the_machinery_knows_neither_systems_nor_data_sets():
    own = {name.removesuffix('.py') for name in os.listdir(ROOT)} & {
        module.name for module in pkgutil.iter_modules([ROOT])} - {'engine'}
    assert {'systems', 'datasets', 'model', 'main'} <= own
    assert {path: imports(path) & own for path in modules('engine') if imports(path) & own} == {}


def test_data_sets_know_no_network():
    for path in modules('datasets'):
        assert not imports(path) & {'systems', 'model', 'spatial_model', 'main', 'tensorflow'}, path


PARTS = """DATASETS MOST_PEOPLE OUTPUTS SCORE GIVEN FIXED FIXED_IN_TRAINING TRAINING_ONLY CALL WITHOUT_PREDICT
add_options check_options input_size n_points takes_anchor about training_sample test_sample views n_views
encode targets build losses objective decays start combine predictor decode meter portable maps pictures"""


@pytest.mark.parametrize('name', systems.names())
def test_a_system_provides_the_interface(name):
    """Every name that systems/__init__.py lists is there."""
    system = systems.load(name)
    for part in PARTS.split():
        assert hasattr(system, part), part
        assert part in systems.__doc__, part
    for dataset in system.DATASETS:
        body = importlib.import_module(f'datasets.{dataset}')
        options, *_ = main.understand(['--train', '--system', name, '--dataset', dataset])
        assert len(body.FLIP) == len(body.POINTS) == system.n_points(options)
        assert body.POINTS[:len(body.JOINTS)] == body.JOINTS
        assert [body.FLIP[i] for i in body.FLIP] == list(range(len(body.FLIP)))
        assert all(a < len(body.JOINTS) and b < len(body.JOINTS) for a, b in body.LIMBS)


def test_an_unknown_system_is_refused(capsys):
    with pytest.raises(SystemExit) as stopped:
        main.understand(['--train', '--system', 'nobody'])
    assert stopped.value.code == 2 and '--system' in capsys.readouterr().err


# ---------------------------------------------------------------- devices

def test_gpus_named_are_the_only_ones_seen(monkeypatch):
    monkeypatch.setattr(tf.config.experimental, 'list_physical_devices', lambda kind: ['gpu'] * 4)
    said = []
    assert towers.device_names([2, 3], said.append) == ['/gpu:0', '/gpu:1'] and said == []
    assert towers.device_names([3, 9, 1], said.append) == ['/gpu:0', '/cpu:0', '/gpu:1']
    assert said == ['GPU 9 not found: 1 of 3 towers on the CPU']
    assert towers.session_config([2, 3]).gpu_options.visible_device_list == '2,3'
    config = towers.session_config([9])
    assert config.device_count['GPU'] == 0 and config.gpu_options.allow_growth


def test_convolution_goes_by_its_towers_device(monkeypatch):
    """A tower on the CPU takes the transforms although the machine has a GPU, and the other way round."""
    filters = tf.zeros([9, 9, 64, 64])
    for there in (['gpu'], []):
        monkeypatch.setattr(tf.config, 'list_physical_devices', lambda kind, there=there: there)
        for device, method in (('/cpu:0', 'fft'), ('/gpu:0', 'direct'), (None, 'direct' if there else 'fft')):
            with tf.Graph().as_default(), tf.device(device):
                x = tf.placeholder(tf.float32, [None, 60, 90, 64])
                assert convolution.resolve('auto', x, filters) == method


def test_restored_settings_need_no_system(tmp_path):
    """Checkpoints from before there were several systems do not name theirs."""
    found = checkpoint.find('', os.path.join(ROOT, 'pretrained', 'flic'))
    assert found.path
    options, system, restored, origin = main.understand(['--restore', os.path.join(ROOT, 'pretrained', 'flic')])
    assert system is systems.load('tompson') and options.width == 8 and origin is None
    assert restored.path == found.path
    with pytest.raises(InputError, match='--width 9'):
        main.understand(['--restore', os.path.join(ROOT, 'pretrained', 'flic'), '--width', '9'])
