"""Published weights: nothing of the optimiser's, the same predictions bit for bit, and no training from them."""

import json
import os
import shutil

import forked
import numpy as np
import pytest
import scipy.io
from conftest import PLAIN

MAIN, PUBLISH = ['tests/narrow_main.py'], ['-m', 'tools.publish']


def call(program, folder, *arguments):
    return forked.run(
        [*program, *arguments], cwd=folder, env={**os.environ, 'PYTHONPATH': forked.ROOT}
    )


@pytest.fixture(scope='module', params=['averages', pytest.param('plain', marks=pytest.mark.long)])
def folder(request, tmp_path_factory, whole, arrays_folder):
    """A folder with a run of eight updates, its predictions in run.mat, and its published weights."""
    folder = tmp_path_factory.mktemp('published')
    if request.param == 'averages':
        shutil.copytree(whole.folder / 'models' / 'whole', folder / 'models_ex' / 'run')
        shutil.copy(whole.folder / 'whole.mat', folder / 'run.mat')
    else:
        trained = call(
            MAIN,
            folder,
            '--train',
            *PLAIN,
            '--use_sm',
            '--n_epochs',
            2,
            '--run',
            'run',
            '--data',
            arrays_folder,
            '--predictions',
            'run.mat',
        )
        assert trained.returncode == 0, trained.stderr
    published = call(
        PUBLISH, folder, 'models_ex/run', '--out', 'weights/small', '--certainty', -4, 2.5
    )
    assert published.returncode == 0, published.stderr
    return folder


def variables(path):
    from jointpose.nn.tf1 import tf

    reader = tf.train.NewCheckpointReader(str(path / 'model'))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def test_nothing_but_the_optimiser_is_gone(folder):
    whole, part = (
        variables(folder / run / 'step-00000008') for run in ('models_ex/run', 'weights/small')
    )
    gone = set(whole) - set(part)
    averaged = {name.removesuffix('/average') for name in whole if name.endswith('/average')}
    assert (
        gone
        == {name for name in whole if 'Adam' in name or 'power' in name or name == 'skipped'}
        | averaged
    )
    trained = [
        name
        for name in whole
        if name.endswith(('weights', 'bias', 'scale', 'offset', 'energies', 'biases'))
    ]
    assert sum('Adam' in name for name in gone) == 2 * len(trained) and averaged in (
        set(),
        set(trained),
    )
    assert all(np.array_equal(part[name], whole[name]) for name in part)
    state = json.loads((folder / 'weights/small/step-00000008/state.json').read_text())
    assert state['settings']['certainty'] == [-4, 2.5] and state['best'] is None
    for log in ('log.jsonl', 'steps.jsonl'):
        assert (folder / 'weights/small' / log).read_bytes() == (
            folder / 'models_ex/run' / log
        ).read_bytes()
    before, after = (
        json.loads((folder / run / 'settings.json').read_text())
        for run in ('models_ex/run', 'weights/small')
    )
    del before['data']  # this machine's folder is nobody else's business
    assert after == {**before, 'certainty': [-4, 2.5]} != before


def test_same_predictions(folder, arrays_folder):
    again = call(
        MAIN,
        folder,
        '--restore',
        'weights/small',
        '--data',
        arrays_folder,
        '--predictions',
        'again.mat',
        '--tb_folder',
        '',
        '--batch_size',
        3,
    )
    assert again.returncode == 0, again.stderr
    first, second = (scipy.io.loadmat(folder / name) for name in ('run.mat', 'again.mat'))
    names = [name for name in first if name.startswith('flic_pred')]
    for name in names:
        np.testing.assert_array_equal(first[name], second[name])
    assert names


def test_half_precision(tmp_path):
    """The same numbers rounded to half precision; what the graph has stays single, integers stay;
    what does not fit is refused."""
    from jointpose.checkpoints import checkpoint, checkpoint_variables
    from jointpose.nn.tf1 import tf
    from jointpose.utils.errors import InputError
    from tools import publish

    value = np.random.default_rng(0).normal(0, 1, (5, 7)).astype(np.float32)
    state = {'step': 3, 'best': None, 'code': 'x', 'settings': {}}
    with tf.Graph().as_default(), tf.Session() as session:
        weights = tf.get_variable('a/weights', initializer=value)
        step = tf.get_variable('global_step', initializer=np.int64(2**40 + 3))
        session.run(tf.global_variables_initializer())
        path = checkpoint.save(session, tf.train.Saver(), str(tmp_path / 'run'), state, 1)
        half = checkpoint.load(
            publish.publish(checkpoint.load(path), str(tmp_path / 'half'), half=True)
        )
        session.run([weights.assign(0 * weights), step.assign(0)])
        checkpoint_variables.restore(session, tf.train.Saver(), half)
        expected = value.astype(np.float16).astype(np.float32)
        np.testing.assert_array_equal(session.run(weights), expected)
        assert session.run(step) == 2**40 + 3
        taken = checkpoint_variables.read_weights(half.path)['a/weights']
        np.testing.assert_array_equal(taken, expected)
        assert taken.dtype == np.float32
        weights.load(1e5 * value, session)
        path = checkpoint.save(session, tf.train.Saver(), str(tmp_path / 'large'), state, 1)
    with pytest.raises(InputError, match='a/weights holds'):
        publish.publish(checkpoint.load(path), str(tmp_path / 'other'), half=True)


def test_no_training_from_them(folder, arrays_folder):
    result = call(MAIN, folder, '--train', '--restore', 'weights/small', '--data', arrays_folder)
    assert result.returncode == 2
    assert 'error: --restore' in result.stderr and 'weights only' in result.stderr
    assert result.stderr.count('\n') == 1


@pytest.mark.parametrize('there', ['settings.json', 'log.jsonl', 'steps.jsonl'])
def test_nothing_is_overwritten(folder, there):
    out = folder / 'weights' / there.split('.')[0]
    out.mkdir()
    (out / there).write_text('mine')
    result = call(PUBLISH, folder, 'models_ex/run', '--out', out)
    assert result.returncode == 2 and f'holds a {there} already' in result.stderr
    assert os.listdir(out) == [there] and (out / there).read_text() == 'mine'


def test_a_full_disk_leaves_nothing(folder):
    (folder / 'weights' / 'some').mkdir()
    (folder / 'weights' / 'some' / 'README.md').write_text('mine')
    for out in ('some', 'none'):
        result = forked.run(
            [*PUBLISH, 'small', '--model_path', 'weights', '--out', f'weights/{out}'],
            cwd=folder,
            file_size=20_000,
            env={**os.environ, 'PYTHONPATH': forked.ROOT},
        )
        assert result.returncode == 2 and f'--out weights/{out}: cannot be written' in result.stderr
    assert (
        os.listdir(folder / 'weights' / 'some') == ['README.md']
        and not (folder / 'weights' / 'none').exists()
    )


def test_never_over_another(folder):
    result = call(PUBLISH, folder, 'models_ex/run', '--out', 'weights/small')
    assert (
        result.returncode == 2
        and '--out weights/small: holds a checkpoint already' in result.stderr
    )
    absent = call(PUBLISH, folder, 'models_ex/nothing', '--out', 'weights/other')
    assert absent.returncode == 2 and "error: run: no run 'models_ex/nothing' in " in absent.stderr
