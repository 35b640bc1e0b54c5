"""main.py: starting from trained weights; what the layers may import; the machine's GPUs."""

import ast
import glob
import os
import re
from types import SimpleNamespace

import forked
import numpy as np
import pytest
from conftest import ROOT

from jointpose import datasets, main, model, run_options, systems
from jointpose.checkpoints import checkpoint, checkpoint_variables
from jointpose.datasets import arrays
from jointpose.inference import pose_estimator
from jointpose.nn import fft_conv
from jointpose.nn.tf1 import tf
from jointpose.options import options as command_line
from jointpose.training.devices import device_names, session_config
from jointpose.utils import outputs
from jointpose.utils.errors import InputError


def run(folder, arrays_folder, *arguments):
    places = [
        '--data',
        arrays_folder,
        '--model_path',
        folder / 'models',
        '--tb_folder',
        '',
        '--predictions',
        folder / 'predictions.mat',
    ]
    return forked.run(['tests/narrow_main.py', *arguments, *places])


# ---------------------------------------------------------------- which arrays


def test_each_data_set_has_a_folder_of_its_own():
    assert run_options.resolve_options(['--train'])[0].data == 'arrays'
    assert (
        run_options.resolve_options(['--train', '--system', 'hrnet', '--dataset', 'lsp'])[0].data
        == 'arrays_lsp'
    )
    assert (
        run_options.resolve_options(['--train', '--system', 'spm', '--data', 'mine'])[0].data
        == 'mine'
    )


def test_a_restored_run_remembers_its_arrays(untrained, arrays_folder, monkeypatch, capsys):
    """As long as they are there; --data goes first."""
    restore = ['--restore', str(untrained / 'models_ex' / 'pd')]
    assert (
        run_options.resolve_options(restore)[0].data
        == run_options.resolve_options(['--train', *restore])[0].data
        == arrays_folder
    )
    assert run_options.resolve_options([*restore, '--data', 'others'])[0].data == 'others'
    exists = os.path.exists
    monkeypatch.setattr(
        os.path, 'exists', lambda path: exists(path) and not str(path).endswith(arrays.MANIFEST)
    )
    assert run_options.resolve_options(restore)[0].data == 'arrays'
    assert (
        f'note: the arrays of that run, {arrays_folder}, are gone: arrays is used'
        in capsys.readouterr().out
    )


# ---------------------------------------------------------------- which system


def test_another_system_s_checkpoint_is_refused_by_name():
    with pytest.raises(
        InputError,
        match=r'--system hrnet: \S+pretrained/flic/\S+ is a checkpoint of tompson: omit',
    ):
        run_options.resolve_options(
            ['--system', 'hrnet', '--restore', os.path.join('pretrained', 'flic')]
        )


@pytest.mark.parametrize(
    'name, meant',
    [('flick', "'pretrained/flic'"), ('pretrained/flik', "'pretrained/flic'"), ('smm', "'sm'")],
)
def test_a_run_s_name_may_be_misspelt(untrained, name, meant):
    with pytest.raises(InputError, match=f'no run .*did you mean {meant}'):
        checkpoint.find(str(untrained / 'models_ex'), name)


def test_without_a_run_it_is_said_what_to_do(tmp_path):
    with pytest.raises(InputError, match=r'no checkpoint there; train first .*--restore RUN'):
        checkpoint.find(str(tmp_path), None)
    with pytest.raises(InputError, match=r"no run 'pretrained/none' in .*, and no such folder"):
        checkpoint.find(str(tmp_path), 'pretrained/none')


def test_the_restored_run_s_system_has_the_say(tmp_path):
    """Its own options are understood without --system; --system goes first; a damaged checkpoint says nothing."""
    for step, system in ((1, 'spm'), (2, 'hrnet'), (3, 'cpm')):
        with tf.Graph().as_default(), tf.Session() as session:
            variable = tf.get_variable('a', initializer=np.zeros(2, np.float32))
            session.run(variable.initializer)
            run = tmp_path / f'{system}_run'
            checkpoint.save(
                session,
                tf.train.Saver(),
                str(run),
                {'step': step, 'best': None, 'code': 'x', 'settings': {'system': system}},
                1,
            )
    names, place = systems.names(), ['--model_path', str(tmp_path)]
    (tmp_path / 'cpm_run' / 'step-00000003' / 'state.json').write_text('{')
    for arguments, expected in (
        (['--restore', 'spm_run', '--threshold', '0.3', *place], 'spm'),
        (['--train', '--init', str(tmp_path / 'spm_run'), '--threshold', '0.3'], 'spm'),
        (['--restore', *place], 'hrnet'),
        (['--train', *place], 'tompson'),
        (['--restore', 'spm_run', '--system', 'hrnet', *place], 'hrnet'),
        (['--restore', 'nowhere', *place], 'tompson'),
    ):
        assert run_options.resolve_system(names, arguments) == expected, arguments
    assert command_line.parse(systems.load('hrnet'), names, ['--train'])[0].system == 'hrnet'


# ---------------------------------------------------------------- --init


@pytest.fixture
def narrow(monkeypatch):
    monkeypatch.setattr(model, 'CHANNELS', (1, 1, 1, 1, 1))


def started(arguments, graph):
    """{name: value} of a graph's variables where a training with these arguments begins."""
    options, system, found, origin = run_options.resolve_options(arguments)
    people = arrays.load_split(
        options.data, 'train', manifest := arrays.read_manifest(options.data)
    )
    tf.set_random_seed(options.seed)
    graph = graph(system, options)
    initial_values = system.initial_values(people, manifest)
    imported = main.initial_weights(system, options, origin, initial_values)
    with tf.Session() as session:
        main.initialise(session, graph, initial_values, found, options, imported)
        variables = tf.global_variables()
        return options, {v.op.name: value for v, value in zip(variables, session.run(variables))}


def test_training_starts_from_weights_that_fit(narrow, untrained, arrays_folder, capsys):
    """A detector's weights go into a joint model, which takes its width over; the rest is as the seed makes it."""
    joint = ['--train', '--use_sm', '--seed', '7', '--data', arrays_folder]
    origin = checkpoint_variables.read_weights(
        checkpoint.find(str(untrained / 'models_ex'), 'pd').path
    )
    results = []
    for more in (['--init', str(untrained / 'models_ex' / 'pd')], ['--width', '4', '--banks', '1']):
        with tf.Graph().as_default():
            options, values = started([*joint, *more], pose_estimator.build_graph)
            assert options.width == 4
            results.append(values)
    (found, plain), said = results, capsys.readouterr().out
    assert found.keys() == plain.keys() and found.keys() > origin.keys() - {'global_step'}
    for name in found:
        np.testing.assert_array_equal(found[name], origin.get(name, plain[name]), err_msg=name)
    assert any((found[name] != plain[name]).any() for name in origin.keys() & plain.keys())
    left = sorted(found.keys() - origin.keys())
    assert f'{len(origin) - 1} variables start from' in said and f'{len(left)} do not' in said
    assert [line.strip() for line in said.splitlines() if line.startswith('  ')] == left
    assert any(name.startswith('spatial_model/energies') for name in left)


def test_the_published_weights_are_a_start(tf_graph, arrays_folder, capsys):
    published = checkpoint_variables.read_weights(
        checkpoint.find('', os.path.join(ROOT, 'pretrained', 'flic')).path
    )
    options, values = started(
        ['--train', '--init', os.path.join(ROOT, 'pretrained', 'flic'), '--data', arrays_folder],
        pose_estimator.build_graph,
    )
    assert ' 0 do not' in capsys.readouterr().out
    assert (options.width, options.use_sm) == (8, True)
    assert values.keys() == published.keys() - {'global_step'}
    for name, value in values.items():
        np.testing.assert_array_equal(value, published[name], err_msg=name)


@pytest.mark.long
def test_a_training_that_starts_from_the_published_weights(arrays_folder, tmp_path):
    done = forked.run(
        [
            'main.py',
            '--train',
            '--init',
            'pretrained/flic',
            '--n_epochs',
            0,
            '--run',
            'tuned',
            '--data',
            arrays_folder,
            '--model_path',
            tmp_path,
            '--tb_folder',
            '',
            '--scales',
            'single',
            '--predictions',
            tmp_path / 'predictions.mat',
        ],
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    found = checkpoint.find(str(tmp_path), 'tuned')
    assert (
        found.state['settings']['width'],
        found.state['settings']['use_sm'],
        found.state['step'],
    ) == (8, True, 0)
    published = checkpoint_variables.read_weights(
        checkpoint.find('', os.path.join(ROOT, 'pretrained', 'flic')).path
    )
    for name, value in checkpoint_variables.read_weights(found.path).items():
        if name != 'global_step':
            np.testing.assert_array_equal(value, published[name], err_msg=name)


def test_going_on_from_weights_only_names_the_way(arrays_folder, tmp_path):
    done = run(
        tmp_path, arrays_folder, '--train', '--restore', os.path.join(ROOT, 'pretrained', 'flic')
    )
    assert done.returncode == 2 and '--init' in done.stderr.splitlines()[-1]


def test_weights_that_fit_nowhere_are_refused(untrained, arrays_folder, tmp_path, tf_graph):
    """A network in which the layer has another width."""
    found = checkpoint.find(str(untrained / 'models_ex'), 'pd')
    tf.get_variable('part_detector/conv1_full/weights', [5, 5, 3, 5])
    with tf_graph() as session:
        weights = checkpoint_variables.read_weights(found.path)
        taken, left = checkpoint_variables.assign_matching(session, weights)
        assert taken == [] and left == ['part_detector/conv1_full/weights']
        with pytest.raises(InputError, match='no weights fit'):
            main.initialise(session, None, {}, None, SimpleNamespace(init='pd'), weights)
    done = run(tmp_path, arrays_folder, '--train', '--init', 'nowhere', '--run', 'c')
    assert done.returncode == 2 and "--init: no run 'nowhere' in " in done.stderr


def test_a_variable_and_its_average_start_alike(tf_graph, tmp_path):
    """From a start of the weights, from a whole checkpoint and from a published one, which has the averages only."""
    last, averaged = np.array([1, 2], np.float32), np.array([3, 4], np.float32)
    path = str(tmp_path / 'model')
    for kept in (
        {'l/weights': last},
        {'l/weights': last, 'l/weights/average': averaged, 'l/weights/Adam': last},
        {'l/weights/average': averaged},
    ):
        with tf.Graph().as_default(), tf.Session() as session:
            variables = [tf.get_variable(name, initializer=value) for name, value in kept.items()]
            session.run(tf.global_variables_initializer())
            tf.train.Saver(variables).save(session, path)
        weights = checkpoint_variables.read_weights(str(tmp_path))
        assert weights.keys() == {'l/weights/average' if len(kept) == 3 else next(iter(kept))}
        with tf.Graph().as_default(), tf.Session() as session:
            names = ['l/bias/average', 'l/weights', 'l/weights/Adam', 'l/weights/average']
            variables = [
                tf.get_variable(name, initializer=np.zeros(2, np.float32)) for name in names
            ]
            session.run(tf.global_variables_initializer())
            assert checkpoint_variables.assign_matching(session, weights) == (
                ['l/weights', 'l/weights/average'],
                ['l/bias/average'],
            )
            start = averaged if 'l/weights/average' in kept else last
            np.testing.assert_array_equal(session.run(variables), [[0, 0], start, [0, 0], start])


@pytest.mark.parametrize(
    'arguments', [['--restore', '--init', 'a'], ['--train', '--restore', '--init', 'a']]
)
def test_init_starts_a_training(arguments, capsys):
    with pytest.raises(SystemExit):
        run_options.resolve_options(arguments)
    assert '--init starts a training' in capsys.readouterr().err


# ---------------------------------------------------------------- layers

# Layer: the layers, and modules beside them, that it imports.  The Python interface and export.py may import all.
LAYERS = {
    'utils': set(),
    'vision': {'utils'},
    'media': {'utils'},
    'nn': {'utils', 'vision'},
    'annotations': {'utils', 'vision', 'media'},
    'metrics': {'utils'},
    'datasets': {'utils', 'vision', 'media', 'annotations', 'metrics'},
    'evaluation': {'utils', 'vision', 'annotations', 'metrics', 'datasets'},
    'options': {'utils', 'nn'},
    'checkpoints': {'utils', 'nn'},
    'training': {'utils', 'vision', 'nn', 'options', 'checkpoints'},
    'cluster': {'utils', 'nn', 'options', 'training'},
    'systems': {
        'utils',
        'vision',
        'nn',
        'metrics',
        'datasets',
        'evaluation',
        'options',
        'training',
        'model',
        'spatial_model',
        'pairwise_distr',
    },
    'inference': {'utils', 'vision', 'media', 'nn', 'annotations', 'checkpoints', 'training'},
    'export': {
        'utils',
        'vision',
        'nn',
        'datasets',
        'checkpoints',
        'options',
        'training',
        'systems',
        'inference',
        'spatial_model',
    },
}
MAY_IMPORT_ALL = {'inference/api.py', 'inference/export.py'}


def layers_imported(path):
    """Names of the layers of jointpose that a file imports from, wherever in it."""
    with open(path, encoding='utf-8') as file:
        nodes = list(ast.walk(ast.parse(file.read())))
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == 'jointpose':
            found |= {f'jointpose.{alias.name}' for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
    layers = {name.split('.')[1] for name in found if name.startswith('jointpose.')}
    return layers - {'__version__'}


@pytest.mark.parametrize('layer', LAYERS)
def test_a_layer_imports_only_from_the_layers_below(layer):
    folder = os.path.join(ROOT, 'jointpose', layer)
    for name in glob.glob('**/*.py', root_dir=folder, recursive=True):
        if f'{layer}/{name}' not in MAY_IMPORT_ALL:
            assert layers_imported(os.path.join(folder, name)) <= LAYERS[layer] | {layer}, name


def test_every_layer_is_listed():
    found = {entry.name for entry in os.scandir(os.path.join(ROOT, 'jointpose')) if entry.is_dir()}
    assert found - {'pretrained', '__pycache__'} == set(LAYERS)


def test_modules_at_the_top_are_imported_by_one_name():
    """`import model` beside `from jointpose import model` would be two modules."""
    top = {name[:-3] for name in os.listdir(ROOT) if name.endswith('.py')} - {'poses'}
    assert {'model', 'main'} < top
    for path in glob.glob(os.path.join(ROOT, '**', '*.py'), recursive=True):
        with open(path, encoding='utf-8') as file:
            found = re.findall(r'^(?:import|from) (\w+)', file.read(), re.MULTILINE)
        assert not set(found) & top, path


@pytest.mark.parametrize('name', systems.names())
def test_a_systems_data_sets_have_its_points(name):
    for dataset in systems.load(name).DATASETS:
        data_set = datasets.load(dataset)
        if data_set.skeleton_is_data:
            continue  # tests/systems/test_own_skeleton.py
        _, system, *_ = run_options.resolve_options(
            ['--train', '--system', name, '--dataset', dataset]
        )
        assert len(data_set.flip) == len(data_set.points) == system.n_points
        assert data_set.points[: len(data_set.joints)] == data_set.joints
        assert [data_set.flip[i] for i in data_set.flip] == list(range(len(data_set.flip)))
        assert all(
            a < len(data_set.joints) and b < len(data_set.joints) for a, b in data_set.limb_indices
        )


def test_an_unknown_system_is_refused(capsys):
    with pytest.raises(SystemExit) as stopped:
        run_options.resolve_options(['--train', '--system', 'nobody'])
    assert stopped.value.code == 2 and '--system' in capsys.readouterr().err


# ---------------------------------------------------------------- devices


def test_gpus_named_are_the_only_ones_seen(monkeypatch):
    monkeypatch.setattr(tf.config.experimental, 'list_physical_devices', lambda kind: ['gpu'] * 4)
    said = []
    assert device_names([2, 3], said.append) == ['/gpu:0', '/gpu:1'] and said == []
    assert device_names([3, 9, 1], said.append) == ['/gpu:0', '/cpu:0', '/gpu:1']
    assert said == ['GPU 9 not found: 1 of 3 towers on the CPU']
    assert session_config([2, 3]).gpu_options.visible_device_list == '2,3'
    config = session_config([9])
    assert config.device_count['GPU'] == 0 and config.gpu_options.allow_growth


def test_convolution_goes_by_its_towers_device(monkeypatch):
    """A tower on the CPU takes the transforms although the machine has a GPU, and the other way round."""
    filters = tf.zeros([9, 9, 64, 64])
    for there in (['gpu'], []):
        monkeypatch.setattr(tf.config, 'list_physical_devices', lambda kind, there=there: there)
        for device, method in (
            ('/cpu:0', 'fft'),
            ('/gpu:0', 'direct'),
            (None, 'direct' if there else 'fft'),
        ):
            with tf.Graph().as_default(), tf.device(device):
                x = tf.placeholder(tf.float32, [None, 60, 90, 64])
                assert fft_conv.choose_method('auto', x, filters) == method


def test_restored_settings_need_no_system(tmp_path):
    """Checkpoints from before there were several systems do not name theirs."""
    found = checkpoint.find('', os.path.join(ROOT, 'pretrained', 'flic'))
    assert found.path
    options, system, restored, origin = run_options.resolve_options(
        ['--restore', os.path.join(ROOT, 'pretrained', 'flic')]
    )
    assert type(system) is systems.load('tompson') and options.width == 8 and origin is None
    assert restored.path == found.path
    with pytest.raises(InputError, match='--width 9'):
        run_options.resolve_options(
            ['--restore', os.path.join(ROOT, 'pretrained', 'flic'), '--width', '9']
        )


def test_a_restored_run_needs_its_system_s_parser_once(monkeypatch):
    """And an option that is given as its default is is given all the same."""
    command_line.build_parser.cache_clear()
    built, add_options = [], systems.load('tompson').add_options

    def counted(parser):
        built.append(add_options(parser))

    monkeypatch.setattr(systems.load('tompson'), 'add_options', counted)
    options, *_ = run_options.resolve_options(
        ['--restore', os.path.join(ROOT, 'pretrained', 'flic')]
    )
    assert len(built) == 1 and options.data_augm
    _, explicit = command_line.parse(
        systems.load('tompson'), systems.names(), ['--train', '--lr', '0.001', '--debug']
    )
    assert explicit == {'train', 'lr', 'width'}


def test_predictions_may_not_be_a_folder(tmp_path):
    """Which is said before the training."""
    with pytest.raises(InputError, match=r'--predictions .*is a folder'):
        outputs.check_destination(str(tmp_path), '--predictions', str)
    outputs.check_destination(str(tmp_path / 'predictions.mat'), '--predictions', str)
