"""Training that can be trusted: every fault is injected for real, most of them into the loop around a toy network.

The toy is a main.RunGraph with four weights; the loop, the optimiser's update, checkpoints, logs
and signals are the project's own.  A few faults go through the command line with the network of
narrow_main.py.
"""

import argparse
import contextlib
import itertools
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time

import forked
import numpy as np
import pytest
from conftest import ROOT, unordered_reads
from tqdm import tqdm

from jointpose import main, pairwise_distr
from jointpose.checkpoints import checkpoint, checkpoint_variables, runs
from jointpose.datasets import arrays, flic
from jointpose.evaluation import detection_rates
from jointpose.evaluation.meter import Meter
from jointpose.nn.tf1 import tf
from jointpose.systems import tompson
from jointpose.training import batches, optimiser, stopping, towers, trainer
from jointpose.utils.errors import InputError
from tools import publish

STEPS, TOTAL, BATCH = 3, 12, 5  # of the toy: steps an epoch, steps in all, samples


# ---------------------------------------------------------------- the toy


class Hooks:
    """Takes the place of the summaries: after step s, and at the end of epoch 'epoch s', calls what `at` holds."""

    def __init__(self, at):
        self.at = at

    def step(self, step, _):
        self.at.get(step, int)()

    def epoch(self, _, step, means):
        self.at.get(f'epoch {step}', int)()


def toy_source(make):
    """A stream of (rows [5], x [5, 4]) = make(step), as batches.pipeline makes it; returns (tensors, start)."""
    first, last = (tf.placeholder(tf.int64, []) for _ in range(2))
    data = (
        tf.data.Dataset.range(first, last)
        .map(
            lambda step: tf.numpy_function(make, [step], (tf.int32, tf.float32)),
            num_parallel_calls=2,
        )
        .prefetch(2)
    )
    iterator = tf.data.make_initializable_iterator(data)
    rows, x = iterator.get_next()
    rows.set_shape([BATCH])
    x.set_shape([BATCH, 4])
    return rows, x, lambda start, stop: (iterator.initializer, {first: start, last: stop})


def toy_outputs(x, weights):
    """Losses and maps that depend on samples and weights, which are read once: two reads need not agree."""
    weights = tf.identity(weights)
    loss = tf.reduce_mean(tf.square(x - weights), axis=1)  # [b]
    base = tf.constant(np.random.default_rng(0).normal(size=(60, 90, 9)), tf.float32)
    maps = base * (x[:, :1] - weights[0])[:, None, None]  # [b, 60, 90, 9]
    return {'pd': loss, 'sm': 2 * loss}, {'pd': maps, 'sm': maps * maps}


def toy_graph(faults, total=TOTAL):
    """main.RunGraph of the toy.  faults: {step: function x -> x} of training batches; {'test': the same}."""

    def make(kind, step):
        rng = np.random.default_rng([kind == 'test', step])
        x = rng.normal(size=(BATCH, 4)).astype(np.float32)
        return rng.integers(0, 20, BATCH).astype(np.int32), faults.get(
            step if kind == 'train' else kind, np.array
        )(x)

    rows, x, start = toy_source(lambda step: make('train', int(step)))
    test_rows, test_x, start_test = toy_source(lambda step: make('test', int(step)))
    weights = tf.get_variable('weights', [4])
    average = tf.get_variable('average', [4], trainable=False)
    tf.train.get_or_create_global_step()
    losses, outputs = toy_outputs(x, weights)
    losses = {name: tf.reduce_mean(loss) for name, loss in losses.items()}
    gradients = tf.gradients(losses['pd'] + losses['sm'], [weights])
    rate = optimiser.learning_rate(0.1, total)
    step, finite, norm = optimiser.update(
        gradients,
        [weights],
        [(average, tf.reduce_mean(x, axis=0))],
        rate,
        'adam',
        list(losses.values()),
    )
    update = towers.Training(step, finite, losses, norm, rate, outputs, None, None)
    truth = np.random.default_rng(1).uniform(0, 480, (BATCH, flic.N_MAPS, 2)).astype(np.float32)
    truth[:, flic.JOINTS.index('rsho')] += 2000  # a long torso: some joints are found by chance
    unit = np.linalg.norm(flic.normaliser(truth), axis=-1)
    batch = batches.Batch(
        rows,
        None,
        tf.constant(truth),
        tf.ones([BATCH, flic.N_MAPS], tf.uint8),
        tf.eye(2, 3, [BATCH]),
        tf.constant(unit),
        None,
    )
    losses, outputs = toy_outputs(test_x, weights)
    evaluation = towers.Evaluation(
        batch._replace(rows=test_rows), towers.Inference(outputs, losses, None), None, None
    )
    return main.RunGraph(
        **{
            **dict.fromkeys(main.RunGraph._fields),
            'batch': batch,
            'training': update,
            'start_training': start,
            'evaluation': evaluation,
            'start_test': start_test,
            'spectra': (tf.no_op(), tf.no_op()),
            'saver': tf.train.Saver(max_to_keep=None),
            'steps_per_epoch': STEPS,
            'total_steps': total,
            'n_train': 20,
            'n_test': BATCH,
        }
    )


def toy_people():
    people = np.zeros(20, flic.PERSON_DTYPE)
    people['file'] = [f'person-{i}.jpg' for i in range(20)]
    return people


@contextlib.contextmanager
def toy_trainer(run, faults=None, at=None, total=TOTAL, **options):
    """A Trainer of the toy that goes on from the newest checkpoint of the folder `run`, if there is one."""
    run = str(run)
    os.makedirs(run, exist_ok=True)
    settings = argparse.Namespace(
        **{
            'dataset': 'flic',
            'keep': 3,
            'validation': True,
            'save_minutes': 1e9,
            'batch_size': BATCH,
            'decode': 'argmax',
            'model_path': os.path.dirname(run),
            'data': 'arrays',
            'tb_folder': 'tb',
            'predictions': 'predictions.mat',
            'workers': None,
            'chief': None,
            'min_workers': None,
            **options,
        }
    )
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(0)
        graph = toy_graph(faults or {}, total)
        session.run(tf.global_variables_initializer())
        state = {}
        if checkpoint.list_checkpoints(run):
            found = checkpoint.find(settings.model_path, run)
            checkpoint.remove_leftovers(run)
            checkpoint_variables.restore(session, graph.saver, found)
            state = {name: found.state[name] for name in trainer.initial_state()}
        yield trainer.Trainer(
            session,
            graph,
            toy_people(),
            lambda sums=None: tompson.Tompson(settings).meter(('pd', 'sm'), sums),
            settings,
            run,
            {**state, 'settings': {}, 'code': ''},
            Hooks(at or {}),
        )


def train_toy(run, faults=None, at=None, **options):
    """Trains, or goes on, to the end or to a Stop.  Returns its code, None at the end."""
    with toy_trainer(run, faults, at, **options) as trainer:
        try:
            trainer.train()
        except stopping.Stop as stop:
            return stop.code


def weights_of(path):
    """{name: array} of a checkpoint's folder."""
    reader = tf.train.NewCheckpointReader(os.path.join(str(path), 'model'))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def log_of(run, kind):
    """Lines of a run's log.jsonl or steps.jsonl, as dictionaries without the times."""
    with open(os.path.join(str(run), f'{kind}.jsonl')) as file:
        return [
            {
                name: value
                for name, value in json.loads(line).items()
                if name != 'img_per_s' and 'seconds' not in name
            }
            for line in file
        ]


def names(run):
    """Step numbers of a run's checkpoints."""
    return [checkpoint.step_of(path) for path in checkpoint.list_checkpoints(str(run))]


def assert_equal_runs(run, whole, logs=('steps', 'log')):
    """The same logs, and bit for bit the same variables in the newest checkpoint."""
    for kind in logs:
        assert log_of(run, kind) == log_of(whole, kind)
    found, expected = (
        weights_of(checkpoint.list_checkpoints(str(path))[-1]) for path in (run, whole)
    )
    assert found.keys() == expected.keys() and len(expected) >= 7
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """An uninterrupted run of the toy."""
    run = tmp_path_factory.mktemp('toys') / 'whole'
    assert train_toy(run) is None
    assert len(log_of(run, 'steps')) == TOTAL and len(log_of(run, 'log')) == TOTAL // STEPS
    return run


def test_the_toy_reads_its_weights_in_order(tf_graph):
    graph = toy_graph({})
    assert (
        unordered_reads(
            [graph.batch.rows, *(x for x in tf.nest.flatten(graph.training) if x is not None)]
        )
        == []
    )


# ---------------------------------------------------------------- exact resume


def signal_self(number):
    return lambda: os.kill(os.getpid(), number)


@pytest.mark.parametrize('step', [6, 11])
def test_stopped_after_a_step_and_resumed_equals_uninterrupted(whole, tmp_path, capsys, step):
    run = tmp_path / 'run'
    assert train_toy(run, at={step: signal_self(signal.SIGTERM)}) == 143
    assert names(run)[-1] == step
    assert (
        f'stopped at step {step}, saved in {run}/step-{step:08d}; resume with'
        in capsys.readouterr().err
    )
    assert train_toy(run) is None
    assert_equal_runs(run, whole)


def test_a_resumed_epoch_goes_on_counting_its_time(tmp_path):
    spent = []
    for step in (STEPS + 1, STEPS + 2):
        assert train_toy(tmp_path / 'run', at={step: signal_self(signal.SIGTERM)}) == 143
        found = checkpoint.find(str(tmp_path), str(tmp_path / 'run'))
        spent.append(found.state['spent'])
    assert [parts['samples'] for parts in spent] == [BATCH, 2 * BATCH]
    assert 0 < spent[0]['cpu_seconds'] < spent[1]['cpu_seconds']


@pytest.mark.long
def test_stopped_after_every_step_equals_uninterrupted(whole, tmp_path):
    for _ in range(TOTAL - 1):
        step = names(tmp_path / 'run')[-1:] or [0]
        assert train_toy(tmp_path / 'run', at={step[0] + 1: signal_self(signal.SIGINT)}) == 130
    assert train_toy(tmp_path / 'run') is None
    assert_equal_runs(tmp_path / 'run', whole)


@pytest.mark.parametrize('when', ['in the evaluation', 'after the evaluation', 'at the very end'])
def test_stopped_at_the_end_of_an_epoch_equals_uninterrupted(whole, tmp_path, capsys, when):
    run, step = tmp_path / 'run', TOTAL if when == 'at the very end' else 6
    if when == 'in the evaluation':
        calls = itertools.count(1)

        def signal_in_second(x):
            if next(calls) == 2:
                os.kill(os.getpid(), signal.SIGINT)
            return x

        assert train_toy(run, faults={'test': signal_in_second}) == 130
        assert len(log_of(run, 'log')) == 1  # the epoch's line is of the resumed run
    else:
        assert train_toy(run, at={f'epoch {step}': signal_self(signal.SIGINT)}) == 130
    assert names(run)[-1] == step and capsys.readouterr().err.count('stopped at step') == 1
    assert train_toy(run) is None
    assert_equal_runs(run, whole)


def test_a_signal_during_a_save_waits_for_it(whole, tmp_path, monkeypatch):
    rename = os.rename
    monkeypatch.setattr(
        os, 'rename', lambda *paths: (signal_self(signal.SIGTERM)(), rename(*paths))
    )
    assert train_toy(tmp_path / 'run') == 143
    monkeypatch.undo()
    assert train_toy(tmp_path / 'run') is None
    assert_equal_runs(tmp_path / 'run', whole)


# ---------------------------------------------------------------- killed


class Death(BaseException):
    """Stands for kill -9: no handler of the program sees it through, nothing is cleaned up."""


def die_at(monkeypatch, n):
    """The n-th change of the file system from now on, and all later ones, do not happen any more."""
    count = itertools.count()

    def mortal(original):
        def call(*arguments, **keywords):
            if next(count) >= n:
                raise Death
            return original(*arguments, **keywords)

        return call

    for name in ('mkdir', 'rename', 'replace', 'unlink', 'rmdir', 'fsync'):
        monkeypatch.setattr(os, name, mortal(getattr(os, name)))


@pytest.mark.parametrize(
    ('keep', 'step'),
    [(1, 7), (1, 6), (2, 5)] + [pytest.param(2, step, marks=pytest.mark.long) for step in (6, 7)],
)
def test_killed_at_any_change_of_the_file_system_in_a_save(tmp_path, monkeypatch, keep, step):
    """Checkpoints of steps 3 to 6 (the newest `keep` of them), then a save of `step`: the next one,
    the same again, or an earlier one, of a run that went on from there."""
    with toy_trainer(tmp_path / 'made') as trainer:
        for saved in range(3, 7):
            checkpoint.save(
                trainer.session,
                trainer.graph.saver,
                trainer.run,
                {**trainer.state, 'step': saved},
                keep,
            )
        for n in itertools.count():
            run = shutil.copytree(tmp_path / 'made', tmp_path / f'killed_{n}')
            state = {**trainer.state, 'step': step, 'bad_steps': n}
            with monkeypatch.context() as patch:
                die_at(patch, n)
                try:
                    checkpoint.save(trainer.session, trainer.graph.saver, str(run), state, keep)
                except Death:
                    pass
                else:
                    break
            found = checkpoint.find(str(tmp_path), str(run))
            assert found.state['step'] in (6, step)
            checkpoint_variables.restore(trainer.session, trainer.graph.saver, found)
            checkpoint.remove_leftovers(str(run))
            checkpoint.save(trainer.session, trainer.graph.saver, str(run), state, keep)
            made = [saved for saved in range(7 - keep, 7) if saved <= step]
            assert names(run) == sorted({*made, step})[-keep:]
            assert len(os.listdir(run)) == len(names(run))
    assert n > 10


MOMENTS = ('batch', 'update', 'file')


def train_until_killed(run, kind, n):
    """Trains until the process kills itself: in the n-th batch that is made (on a thread, while an
    update runs), after the n-th update, or at the n-th change of the file system (within a
    save)."""
    tqdm.set_lock(threading.RLock())  # the default one is a semaphore that the killed leave behind
    count = itertools.count(1)

    def count_down(x=None, *_):
        if next(count) >= int(n):
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    def counted(original):
        return lambda *arguments, **keywords: (count_down(), original(*arguments, **keywords))[1]

    if kind == 'file':
        for name in ('mkdir', 'rename', 'replace', 'unlink', 'rmdir', 'fsync'):
            setattr(os, name, counted(getattr(os, name)))
    steps = range(20 * STEPS + 1)
    with (
        open(os.devnull, 'w') as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        sys.exit(
            train_toy(
                run,
                faults=dict.fromkeys(steps, count_down) if kind == 'batch' else None,
                at=dict.fromkeys(steps, count_down) if kind == 'update' else None,
                total=20 * STEPS,
                save_minutes=0,
                keep=2,
            )
        )


@pytest.mark.parametrize('rounds', [3, pytest.param(10, marks=pytest.mark.long)])
def test_killed_at_random_moments_of_one_run_equals_uninterrupted(tmp_path, rounds):
    rng, run = random.Random(0), tmp_path / 'run'
    code = 'import sys, test_reliability; test_reliability.train_until_killed(*sys.argv[1:])'
    path = os.pathsep.join([ROOT, os.path.join(ROOT, 'tests'), os.path.dirname(__file__)])
    for round_ in range(rounds):
        kind = MOMENTS[round_ % 3]
        n = rng.randrange(
            1, 120 if kind == 'file' else 12
        )  # a save changes the file system a dozen times
        killed = forked.run(['-c', code, run, kind, n], env={**os.environ, 'PYTHONPATH': path})
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert 0 < names(run)[-1] < 20 * STEPS
    assert train_toy(run, total=20 * STEPS, save_minutes=0, keep=2) is None
    assert not [name for name in os.listdir(run) if name.endswith('.partial')]
    assert train_toy(tmp_path / 'whole', total=20 * STEPS) is None
    assert_equal_runs(run, tmp_path / 'whole')


def wait_for_two_steps(log, alive):
    """Until steps.jsonl has two more lines, so that the first of them has its checkpoint, or the process has ended."""

    def last():
        with contextlib.suppress(OSError, ValueError, IndexError), open(log) as file:
            return json.loads(file.readlines()[-1])['step']
        return 0

    before = last()
    while last() < before + 2 and alive():
        time.sleep(0.01)


# ---------------------------------------------------------------- damaged checkpoints

DATA = 'model.data-00000-of-00001'


def edit(change):
    """Damage that rewrites a file's bytes."""

    def damage(path):
        with open(path, 'rb') as file:
            content = file.read()
        with open(path, 'wb') as file:
            file.write(change(content))

    return damage


def flip(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


DAMAGES = {
    'unlinked': os.unlink,
    'torn': edit(lambda content: content[: len(content) // 2]),
    'flipped': edit(flip),
    'empty': edit(lambda content: b''),
    'longer': edit(lambda content: content + b'\0'),
    'zeroed': edit(lambda content: bytes(len(content))),
}


@pytest.mark.parametrize('file', ['model.index', DATA, checkpoint.STATE])
@pytest.mark.parametrize('damage', DAMAGES)
def test_a_damaged_newest_checkpoint_is_passed_over(whole, tmp_path, capsys, file, damage):
    run = shutil.copytree(whole, tmp_path / 'run')
    DAMAGES[damage](run / f'step-{TOTAL:08d}' / file)
    if file == checkpoint.STATE and damage == 'longer':
        edit(lambda content: content[:-1] + b'}')(run / f'step-{TOTAL:08d}' / file)
    for name in (None, 'run', str(run)):
        assert checkpoint.find(str(tmp_path), name).path.endswith(f'step-{TOTAL - STEPS:08d}')
        warning = capsys.readouterr().err
        assert f'step-{TOTAL:08d}: {file}' in warning and warning.count('\n') == 1
    with pytest.raises(InputError, match='no usable'):  # asked for by name: no other will do
        checkpoint.find(str(tmp_path), f'run/step-{TOTAL:08d}')
    if damage == 'flipped':
        assert train_toy(run) is None
        assert_equal_runs(run, whole)


def test_every_byte_of_the_state_counts(whole, tmp_path):
    run = shutil.copytree(whole, tmp_path / 'run')
    path = checkpoint.list_checkpoints(str(run))[-1]
    state = checkpoint.load(path).state
    with open(os.path.join(path, checkpoint.STATE), 'rb') as file:
        content = file.read()
    for i, byte in enumerate(content):
        with open(os.path.join(path, checkpoint.STATE), 'wb') as file:
            file.write(content[:i] + bytes([byte ^ (1 << i % 7)]) + content[i + 1 :])
        with contextlib.suppress(InputError):
            assert checkpoint.load(path).state == state, i  # white space


def test_nothing_usable_is_an_error_and_never_a_fresh_start(whole, tmp_path, capsys):
    run = shutil.copytree(whole, tmp_path / 'models' / 'run')
    for path in checkpoint.list_checkpoints(str(run)):
        DAMAGES['flipped'](os.path.join(path, DATA))
    for name in (None, 'run', str(run), 'run/step-00000012'):
        with pytest.raises(InputError, match='no usable checkpoint'):
            checkpoint.find(str(tmp_path / 'models'), name)
    assert capsys.readouterr().err.count('is damaged') == 3 * len(names(run)) + 1
    for place, name in (
        (tmp_path / 'nowhere', None),
        (tmp_path, None),
        (tmp_path / 'models', 'none'),
        (tmp_path / 'models', 'run/step-00000099'),
        (tmp_path / 'models', '/'),
        (whole, 'log.jsonl'),
    ):
        with pytest.raises(InputError, match=r'no checkpoint there|no run '):
            checkpoint.find(str(place), name)


def test_the_newest_run_is_found_however_folders_are_copied(whole, tmp_path):
    for name in ('b', 'a', 'c'):
        train_toy(tmp_path / 'made' / name, at={4: signal_self(signal.SIGTERM)})
    for date, name in enumerate('cab'):  # of the copies: c's is the oldest
        shutil.copytree(tmp_path / 'made' / name, tmp_path / 'copied' / name)
        for path in checkpoint.list_checkpoints(str(tmp_path / 'copied' / name)):
            os.utime(path, (date, date))
    (tmp_path / 'copied' / 'a file').touch()
    assert checkpoint.find(str(tmp_path / 'copied')).path == str(
        tmp_path / 'copied' / 'c' / 'step-00000004'
    )


def test_a_moved_run_restores_by_path_and_by_name(whole, tmp_path, monkeypatch):
    run = shutil.copytree(whole, tmp_path / 'new place' / 'moved')
    monkeypatch.chdir(run)
    newest = str(run / f'step-{TOTAL:08d}')
    for name in (None, 'moved', 'moved/', str(run), '.', newest, newest + '/', f'step-{TOTAL:08d}'):
        found = checkpoint.find('..', name)
        assert os.path.samefile(found.path, newest)
        assert os.path.samefile(
            os.path.dirname(os.path.normpath(found.path)), run
        )  # as runs.open_run finds it
    with toy_trainer(run) as trainer:
        assert trainer.state['step'] == TOTAL


@pytest.mark.parametrize(
    ('name', 'shape', 'word'),
    [
        ('weights', [5], 'weights is [4], expected [5]'),
        ('bias', [4], 'bias is absent, expected [4]'),
    ],
)
def test_a_checkpoint_of_another_graph_is_refused(whole, name, shape, word):
    found = checkpoint.find(str(whole.parent), 'whole')
    with tf.Graph().as_default(), tf.Session() as session:
        tf.get_variable(name, shape)
        with pytest.raises(InputError, match=re.escape(word)):
            checkpoint_variables.restore(session, tf.train.Saver(), found)
    with (
        tf.Graph().as_default(),
        checkpoint_variables.constant_vectors(found),
        pytest.raises(InputError, match=re.escape(word)),
    ):
        tf.get_variable(name, shape)


def test_a_checkpoint_whose_vectors_are_constants(whole):
    """In place of variables, one for all towers; of other shapes there are variables still."""
    found = checkpoint.find(str(whole.parent), 'whole')
    with tf.Graph().as_default(), tf.Session() as session:
        with (
            checkpoint_variables.constant_vectors(found),
            tf.variable_scope('', reuse=tf.AUTO_REUSE),
        ):
            first, second = (tf.get_variable('weights', [4]) for _ in range(2))
            matrix = tf.get_variable('matrix', [2, 3])
        assert first is second and tf.global_variables() == [matrix]
        np.testing.assert_array_equal(
            session.run(first), checkpoint_variables.read_weights(found.path)['weights']
        )


@pytest.mark.parametrize(
    'name',
    [
        pytest.param('lr[0.001]', marks=pytest.mark.long),
        'a*b?',
        pytest.param('back\\slash', marks=pytest.mark.long),
        '[1',
    ],
)
def test_a_run_in_a_path_that_is_a_pattern_goes_on_like_any_other(whole, tmp_path, name):
    """TensorFlow's readers take a path for a pattern."""
    run = tmp_path / name / name
    assert train_toy(run, at={5: signal_self(signal.SIGTERM)}) == 143
    assert train_toy(run) is None
    assert_equal_runs(
        shutil.copytree(run, tmp_path / 'plain'), whole
    )  # where TensorFlow reads it by itself
    found, plain = (
        checkpoint.find(str(tmp_path / name), name),
        checkpoint.find(str(whole.parent), 'whole'),
    )
    np.testing.assert_array_equal(
        checkpoint_variables.read_weights(found.path)['weights'],
        checkpoint_variables.read_weights(plain.path)['weights'],
    )
    with (
        tf.Graph().as_default(),
        tf.Session() as session,
        checkpoint_variables.constant_vectors(found),
    ):
        np.testing.assert_array_equal(
            session.run(tf.get_variable('weights', [4])),
            checkpoint_variables.read_weights(plain.path)['weights'],
        )
    published = publish.publish(found, str(tmp_path / f'{name} published'))
    assert (
        checkpoint_variables.read_weights(published).keys()
        == checkpoint_variables.read_weights(plain.path).keys()
    )


# ---------------------------------------------------------------- which checkpoints stay


def save_steps(trainer, steps, best, keep):
    for step in steps:
        state = {**trainer.state, 'step': step, 'best': best and {'step': best, 'rate': 1.0}}
        checkpoint.save(trainer.session, trainer.graph.saver, trainer.run, state, keep)


def test_newest_k_and_best_stay_across_restarts(tmp_path):
    run = tmp_path / 'run'
    for steps in (range(1, 6), range(6, 9)):
        with toy_trainer(run) as trainer:
            save_steps(trainer, steps, best=2, keep=3)
    assert names(run) == [2, 6, 7, 8]
    with toy_trainer(run) as trainer:
        save_steps(trainer, [9], best=9, keep=2)
    assert names(run) == [8, 9]


def test_a_damaged_checkpoint_does_not_take_the_place_of_a_sound_one(tmp_path):
    run = tmp_path / 'run'
    with toy_trainer(run) as trainer:
        save_steps(trainer, (3, 4, 9), best=None, keep=3)
    DAMAGES['torn'](run / 'step-00000009' / DATA)
    with toy_trainer(run) as trainer:
        assert trainer.state['step'] == 4
        save_steps(trainer, [5], best=None, keep=1)
    assert names(run) == [5]
    assert checkpoint.find(str(tmp_path)).state['step'] == 5


def test_the_best_is_one_that_is_on_disk(tmp_path, capsys, monkeypatch):
    """Each epoch is the best so far, but the second one's checkpoint cannot be written: the first one's stays."""
    rising, means, run = itertools.count(), Meter.means, tmp_path / 'run'
    monkeypatch.setattr(Meter, 'means', lambda meter: {**means(meter), 'rate_sm': next(rising)})
    monkeypatch.setattr(trainer, 'RETRY_SECONDS', 0)
    begin, end = limit_file_size(run)
    assert (
        train_toy(
            run, at={6: begin, 7: end, 8: signal_self(signal.SIGTERM)}, save_minutes=0, keep=1
        )
        == 143
    )
    assert names(run) == [3, 8] and checkpoint.find(str(tmp_path)).state['best']['step'] == 3
    assert train_toy(run, keep=1) is None
    assert names(run) == [TOTAL]


def test_leftovers_are_swept(whole, tmp_path):
    run = shutil.copytree(whole, tmp_path / 'run')
    before = sorted(os.listdir(run))
    shutil.copytree(run / 'step-00000012', run / f'step-00000013.{os.getpid()}.partial')
    (run / 'settings.json.99999999.partial').touch()
    (run / 'step-00000012.backup').mkdir()  # somebody's own: not ours to touch
    with toy_trainer(run) as trainer:
        save_steps(trainer, [TOTAL + 1], best=None, keep=9)
    assert sorted(os.listdir(run)) == sorted([*before, 'step-00000012.backup', 'step-00000013'])


# ---------------------------------------------------------------- clocks


def test_saves_go_on_when_the_clock_goes_back(tmp_path, monkeypatch):
    """A second passes at each look at the monotonic clock; the other one goes back an hour each time."""
    later, earlier = itertools.count(), itertools.count(10**9, -3600)
    monkeypatch.setattr(time, 'monotonic', lambda: next(later))
    monkeypatch.setattr(time, 'time', lambda: next(earlier))
    assert train_toy(tmp_path / 'run', save_minutes=1e-3, keep=99) is None
    assert names(tmp_path / 'run') == list(range(TOTAL + 1))


# ---------------------------------------------------------------- numbers


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf, 1e30])  # 1e30 squared overflows
def test_an_update_that_is_not_finite_is_skipped_and_counted(tmp_path, capsys, value):
    run = tmp_path / 'run'

    def spoil(x):
        x[2, 1] = value
        return x

    assert train_toy(run, faults={4: spoil, 5: spoil}, save_minutes=0, keep=9) is None
    before, after, later = (weights_of(run / f'step-{step:08d}') for step in (4, 6, 7))
    assert after.pop('skipped') - before.pop('skipped') == 2 and after.pop('global_step') == 6
    for name, number in after.items():
        np.testing.assert_array_equal(number, before[name])
    assert (later['weights'] != after['weights']).all()
    warnings = capsys.readouterr().err
    assert warnings.count('not finite, update skipped: step') == 2 and 'samples person-' in warnings
    assert all(np.isfinite(epoch['train']['loss_pd']) for epoch in log_of(run, 'log'))


@pytest.mark.parametrize(
    ('gradient', 'loss'),
    [(np.nan, 1), (np.inf, 1), (-np.inf, 1), (1e30, 1), (1, np.nan), (1, np.inf)],
)
def test_neither_gradient_nor_loss_may_be_other_than_finite(tf_graph, gradient, loss):
    weights = tf.get_variable('weights', [2], initializer=tf.zeros_initializer())
    fed = tf.placeholder(tf.float32, [2]), tf.placeholder(tf.float32, [])
    step, finite, _ = optimiser.update(
        [fed[0]], [weights], [], tf.constant(0.1), 'momentum', [fed[1]]
    )
    with tf_graph() as session:
        session.run(tf.global_variables_initializer())
        assert not session.run([finite, step], dict(zip(fed, ([1, gradient], loss))))[0]
        assert (session.run(weights) == 0).all()
        assert session.run([finite, step], dict(zip(fed, ([1, 1], 1))))[0]
        assert np.isfinite(session.run(weights)).all() and (session.run(weights) != 0).all()
        assert session.run(tf.train.get_global_step()) == 2


def test_ten_in_a_row_stop_the_run_and_nine_do_not(tmp_path, capsys):
    run, spoil = (
        tmp_path / 'run',
        dict.fromkeys((0, *range(2, TOTAL)), lambda x: x * np.float32(np.inf)),
    )
    assert train_toy(run, faults=spoil, total=24) == 3  # steps 3 to 12; step 2 was good
    lines = capsys.readouterr().err.strip().splitlines()
    assert (
        'step 12: loss_pd nan, loss_sm nan' in lines[-1]
        or 'step 12: loss_pd inf, loss_sm inf' in lines[-1]
    )
    rng = np.random.default_rng([0, 11])  # of the twelfth step, as toy_graph draws
    rng.normal(size=(BATCH, 4))
    rows = rng.integers(0, 20, BATCH)
    assert lines[-1].endswith('samples ' + ', '.join(f'person-{row}.jpg' for row in rows))
    assert names(run)[-1] == 9  # the last epoch's end; nothing since was good
    assert np.isfinite(weights_of(run / 'step-00000009')['weights']).all()
    nine = dict.fromkeys(range(2, 11), spoil[2])
    assert train_toy(tmp_path / 'nine', faults=nine, total=24) is None
    assert weights_of(tmp_path / 'nine' / 'step-00000024')['skipped'] == 9


# ---------------------------------------------------------------- disk


@pytest.fixture
def disk(tmp_path):
    """A file system of 400 kB of its own."""
    path = tmp_path / 'disk'
    path.mkdir()
    mounted = subprocess.run(
        ['mount', '-t', 'tmpfs', '-o', 'size=400k', 'tmpfs', path], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f'cannot mount a small file system: {mounted.stderr.strip()}')
    yield path
    subprocess.run(['umount', '-l', path], check=True)


LIMIT = resource.getrlimit(resource.RLIMIT_FSIZE)


@pytest.fixture(autouse=True)
def no_limit_remains():
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, LIMIT)


def limit_file_size(_):
    """Tests that use it need capsys: else pytest's own files of the output are limited too."""
    return (
        lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, LIMIT[1])),
        lambda: resource.setrlimit(resource.RLIMIT_FSIZE, LIMIT),
    )


def fill(run):
    def begin():
        with contextlib.suppress(OSError), open(run.parent / 'ballast', 'wb', buffering=0) as file:
            while True:
                file.write(bytes(4096))

    return begin, lambda: os.unlink(run.parent / 'ballast')


def write_protect(run):
    def remount(mode):
        return lambda: subprocess.run(['mount', '-o', f'remount,{mode}', run.parent], check=True)

    return remount('ro'), remount('rw')


def replace_by_a_file(run):
    away = run.parent / 'away'

    def end():
        os.unlink(run)
        os.rename(away, run)

    return lambda: (os.rename(run, away), run.touch()), end


OBSTACLES = [limit_file_size, fill, write_protect, replace_by_a_file]


@pytest.mark.parametrize('obstacle', OBSTACLES)
def test_training_outlasts_what_keeps_it_from_saving(whole, disk, capsys, monkeypatch, obstacle):
    monkeypatch.setattr(trainer, 'RETRY_SECONDS', 0)
    run = disk / 'run'
    begin, end = obstacle(run)
    assert train_toy(run, at={4: begin, 7: end}, save_minutes=0) is None
    errors = capsys.readouterr().err
    assert errors.count('warning: checkpoint not written') == 3 and 'Traceback' not in errors
    assert errors.count('lines are lost') <= 2
    assert names(run)[-1] == TOTAL and not [
        name for name in os.listdir(run) if name.endswith('.partial')
    ]
    assert_equal_runs(run, whole, logs=())


@pytest.mark.parametrize(
    ('obstacle', 'how'),
    [(obstacle, None) for obstacle in OBSTACLES]
    + [
        pytest.param(obstacle, signal.SIGTERM, marks=[pytest.mark.long] * (obstacle is not fill))
        for obstacle in OBSTACLES
    ],
)
def test_a_last_save_that_fails_is_exit_code_1(whole, disk, capsys, obstacle, how):
    run = disk / 'run'
    begin, end = obstacle(run)
    stop = signal_self(how) if how else int
    assert train_toy(run, at={10: lambda: (begin(), stop())}, save_minutes=0) == 1
    end()
    assert 'checkpoint not written' in capsys.readouterr().err
    assert names(run)[-1] == 9
    assert train_toy(run, save_minutes=0) is None
    assert_equal_runs(run, whole)


def test_a_run_in_a_read_only_place_is_refused_for_training_and_good_for_evaluation(whole, disk):
    run = shutil.copytree(whole, disk / 'run')
    protect, end = write_protect(run)
    protect()
    try:
        found = checkpoint.find(str(disk))
        settings = argparse.Namespace(train=False, model_path=str(disk), run='another')
        assert runs.open_run(settings, found) == str(run)
        settings.train = True
        for restored in (found, None):
            with pytest.raises(InputError, match='Read-only file system'):
                runs.open_run(settings, restored)
    finally:
        end()


def test_no_size_limit_leaves_half_a_checkpoint(tmp_path):
    """The disk gets full at any byte of any file: an error each time, the former checkpoint stays, nothing else."""
    with toy_trainer(tmp_path / 'run') as trainer:
        save_steps(trainer, [1], best=None, keep=3)
        sizes = [os.path.getsize(entry) for entry in os.scandir(tmp_path / 'run' / 'step-00000001')]
        for limit in range(max(sizes)):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, LIMIT[1]))
            with pytest.raises(OSError):
                save_steps(trainer, [2], best=None, keep=3)
            assert os.listdir(tmp_path / 'run') == ['step-00000001'], limit
        resource.setrlimit(resource.RLIMIT_FSIZE, LIMIT)
        save_steps(trainer, [2], best=None, keep=3)
    assert names(tmp_path / 'run') == [1, 2]


# ---------------------------------------------------------------- input


@pytest.fixture(scope='module')
def two_runs_of_data(tmp_path_factory):
    """Arrays of two runs of data.py with equal counts."""
    folders = [str(tmp_path_factory.mktemp('arrays') / f'seed_{seed}') for seed in (1, 2)]
    for seed, folder in enumerate(folders, 1):
        forked.run(['data.py', '--synthetic', 6, '--seed', seed, '--out', folder], check=True)
    assert arrays.read_manifest(folders[0])['counts'] == arrays.read_manifest(folders[1])['counts']
    return folders


def change(array, index, value):
    array[index] = value
    return array


ARRAY_FAULTS = [
    ('x', lambda x: x[:-1], 'has shape'),
    ('x', lambda x: x[:, :, :-1], 'has shape'),
    ('x', lambda x: x.astype(np.float16), 'holds float16'),
    ('joints', lambda xy: xy.astype(np.float64), 'holds float64'),
    ('joints', lambda xy: xy.astype(object), 'not a readable .npy'),  # pickled
    ('joints', lambda xy: change(xy, (1, 3, 0), np.nan), 'checksum'),
    ('joints', lambda xy: xy[..., ::-1], 'checksum'),
    ('people', lambda people: people[::-1], 'checksum'),
]


@pytest.mark.parametrize(('kind', 'fault', 'word'), ARRAY_FAULTS)
def test_an_array_that_does_not_fit_its_manifest_is_refused(
    two_runs_of_data, tmp_path, kind, fault, word
):
    folder = shutil.copytree(two_runs_of_data[0], tmp_path / 'arrays')
    path = folder / arrays.file_name(kind, 'train')
    np.save(path, fault(np.load(path)), allow_pickle=True)
    with pytest.raises(InputError, match=f'{path.name}: .*{word}'):
        arrays.load_split(str(folder), 'train', arrays.read_manifest(str(folder)))


@pytest.mark.parametrize('kind', ['x', 'joints', 'people'])
def test_arrays_of_two_runs_of_data_are_not_mixed(two_runs_of_data, tmp_path, kind):
    folder = shutil.copytree(two_runs_of_data[0], tmp_path / 'arrays')
    shutil.copy(os.path.join(two_runs_of_data[1], arrays.file_name(kind, 'test')), folder)
    manifest = arrays.read_manifest(str(folder))
    with pytest.raises(InputError, match=r'of another run of data\.py'):
        arrays.load_split(str(folder), 'test', manifest)
    if kind != 'x':
        with pytest.raises(InputError, match=r'of another run of data\.py'):
            detection_rates.read_truth(str(folder), manifest, 'test', 'swapped')


def test_verify_sees_each_pixel(two_runs_of_data, tmp_path):
    folder = shutil.copytree(two_runs_of_data[0], tmp_path / 'arrays')
    manifest = arrays.read_manifest(str(folder))
    x = np.load(folder / 'x_train_flic.npy', mmap_mode='r+')
    x.reshape(-1)[1_000_000 + x[0].size :][:1] ^= 1
    x.flush()
    with pytest.raises(InputError, match='damaged, or of another run'):
        arrays.load_split(str(folder), 'train', manifest, verify=True)


@pytest.mark.parametrize(
    ('value', 'index'),
    [(np.nan, (0, 2, 1)), (np.inf, (1, 0, 0)), (-721, (0, 4, 0)), (961, (2, 5, 1))],
)
def test_joints_far_outside_the_frame_are_refused(value, index):
    good = np.full((3, 10, 2), 100, np.float32)
    flic.check_joints(good, 'joints.npy')
    with pytest.raises(
        InputError, match=f'joints.npy: sample {index[0]}: a joint is NaN or far outside'
    ):
        flic.check_joints(change(good, index, value), 'joints.npy')


HISTOGRAM_FAULTS = [
    (lambda h: h[:-1], 'expected float32'),
    (lambda h: h.astype(np.float64), 'expected float32'),
    (np.zeros_like, 'not a distribution'),
    (lambda h: -h, 'not a distribution'),
    (lambda h: 2 * h, 'not a distribution'),
    (lambda h: change(h, (0, 0), np.nan), 'not a distribution'),
    (lambda h: h.astype(object), 'or damaged'),
]  # pickled


@pytest.mark.parametrize(('fault', 'word'), HISTOGRAM_FAULTS)
def test_a_histogram_that_is_none_is_refused(tmp_path, fault, word):
    histograms = np.full((len(flic.PAIRS), 120, 180), 1 / (120 * 180), np.float32)
    names = pairwise_distr.pair_names(flic.MAPS)
    named = dict(zip(names, histograms))
    path, name = str(tmp_path / 'priors.npz'), names[44]
    np.savez(path, data_id='0123', **named)
    assert pairwise_distr.load(path, '0123').shape == histograms.shape
    with pytest.raises(InputError, match='made from arrays 0123, not these'):
        pairwise_distr.load(path, '4567')
    np.savez(path, data_id='0123', **{**named, name: fault(named[name].copy())})
    with pytest.raises(InputError, match=f'priors.npz: .*{word}'):
        pairwise_distr.load(path)


# ---------------------------------------------------------------- through the command line

BROKEN = """
import os
import sys
import narrow_main

def views_batch(*_):
    raise ValueError('the picture of row 3\\ncannot be read')

def save(session, saver, run, state, keep, original=narrow_main.main.checkpoint.save):
    path = original(session, saver, run, state, keep)
    if state['step'] == 3:
        os.truncate(sys.argv[sys.argv.index('--data') + 1] + '/x_train_flic.npy', 100000)
    return path

if sys.argv.pop(1) == 'cut':
    narrow_main.main.checkpoint.save = save
else:
    narrow_main.batches.views_batch = views_batch
narrow_main.cli.run_script(narrow_main.main.run_main)
"""


class CommandLine:
    """Runs main.py's narrow variant, the part detector on two towers by default, in a folder of its own."""

    SETTINGS = (
        '--train',
        '--width',
        '4',
        '--banks',
        '1',
        '--data_augm',
        '--gpus',
        '0',
        '1',
        '--batch_size',
        '5',
        '--train_examples',
        '13',
    )

    def __init__(self, folder, arrays_folder):
        self.models = folder / 'models'
        self.places = [
            '--data',
            arrays_folder,
            '--model_path',
            str(self.models),
            '--tb_folder',
            '',
            '--predictions',
            str(folder / 'predictions.mat'),
        ]

    def start(self, *arguments, code=None, environment=(), **keywords):
        script = ['-c', code] if code else ['tests/narrow_main.py']
        return forked.start(
            [*script, *arguments, *self.places],
            **keywords,
            env={
                **os.environ,
                'PYTHONPATH': os.path.join(forked.ROOT, 'tests'),
                **dict(environment),
            },
        )

    def run(self, *arguments, **keywords):
        """Returns (exit code, lines of stderr that are no progress bars)."""
        process = self.start(*arguments, **keywords)
        errors = process.communicate(timeout=300)[1]
        assert 'Traceback' not in errors, errors
        return process.returncode, [
            line
            for line in errors.splitlines()
            if line
            and 'it/s' not in line
            and 'img/s' not in line
            and 'step/s' not in line
            and '?' not in line
        ]


@pytest.fixture
def command_line(tmp_path, arrays_folder):
    return CommandLine(tmp_path, arrays_folder)


def kill_rounds(command_line, rounds, settings, a_step):
    """Kills one run `rounds` times at random moments, of three updates at most, and restarts it
    each time; at the end its newest checkpoint is damaged too.  Returns (its folder, last lines of
    stderr).

    a_step: seconds that one takes."""
    rng, run, gate = random.Random(1), command_line.models / 'killed', command_line.models / 'gate'
    gate.touch()
    for round_ in range(rounds):
        os.truncate(gate, (names(run) or [0])[-1] + 3)
        process = command_line.start(*go_on(run, settings), environment={'GATE': str(gate)})
        if round_ % 2 == 0:  # while it trains, else at any moment
            wait_for_two_steps(run / 'steps.jsonl', lambda: process.poll() is None)  # noqa: B023
        time.sleep(rng.uniform(0, 2 * a_step if round_ % 2 == 0 else 6))
        process.kill()
        errors = process.communicate()[1]
        assert process.returncode == -signal.SIGKILL, errors
    assert names(run)[-1] > 0
    DAMAGES['flipped'](run / f'step-{names(run)[-1]:08d}' / DATA)
    code, lines = command_line.run(*go_on(run, settings))
    assert code == 0
    return run, lines


def go_on(run, settings):
    """--restore, or a first start if the run was killed before it had any checkpoint."""
    if names(run):
        return '--train', '--restore', run.name
    return *settings, '--run', run.name, '--save_minutes', '0.0001'


def killed_equals_uninterrupted(command_line, rounds, settings):
    assert command_line.run(*settings, '--run', 'whole') == (0, [])
    with open(command_line.models / 'whole' / 'steps.jsonl') as file:
        seconds = [json.loads(line)['seconds'] for line in file]
    assert len(seconds) > 3 * rounds
    run, lines = kill_rounds(command_line, rounds, settings, np.median(seconds))
    assert len(lines) == 1 and 'skipped' in lines[0] and DATA in lines[0]
    assert_equal_runs(run, command_line.models / 'whole')
    assert not [name for name in os.listdir(run) if name.endswith('.partial')]


@pytest.mark.long
def test_killed_10_times_equals_uninterrupted(command_line):
    killed_equals_uninterrupted(
        command_line, 10, [*command_line.SETTINGS, '--use_sm', '--n_epochs', 12]
    )


def test_a_full_disk_warns_and_ends_in_exit_code_1(command_line):
    code, lines = command_line.run(
        *command_line.SETTINGS, '--n_epochs', 1, '--run', 'full', file_size=30_000
    )
    assert code == 1 and not names(command_line.models / 'full')
    assert len(lines) == 3 and all(
        line.startswith('warning: checkpoint not written') for line in lines
    )
    assert len(log_of(command_line.models / 'full', 'steps')) == 3  # trained on all the same


def test_a_source_of_batches_that_raises_is_one_line(command_line):
    code, lines = command_line.run(
        'raises',
        *command_line.SETTINGS,
        '--gpus',
        0,
        '--n_epochs',
        0,
        '--run',
        'broken',
        code=BROKEN,
    )
    assert code == 1 and len(lines) == 1 and 'the picture of row 3' in lines[0], lines
    assert names(command_line.models / 'broken') == [0]


def test_an_array_cut_short_under_a_training_is_one_line_and_the_checkpoint_stays(
    tmp_path, arrays_folder
):
    data = tmp_path / 'arrays'
    shutil.copytree(arrays_folder, data, ignore=shutil.ignore_patterns('synthetic_FLIC'))
    command_line = CommandLine(tmp_path, str(data))
    code, lines = command_line.run(
        'cut', *command_line.SETTINGS, '--gpus', 0, '--n_epochs', 9, '--run', 'cut', code=BROKEN
    )
    assert code == 1 and len(lines) == 1 and 'x_train_flic.npy: has been cut short' in lines[0], (
        lines
    )
    assert 'the last checkpoint is kept' in lines[0] and names(command_line.models / 'cut')[-1] >= 3


def test_data_killed_while_it_writes_leaves_no_arrays_and_the_next_run_sweeps(tmp_path):
    command = ['data.py', '--synthetic', '30', '--out', tmp_path]
    process = forked.start(['tests/held_data.py', *command[1:]])
    while process.poll() is None and not list(tmp_path.glob('*.partial')):
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL and list(tmp_path.glob('*.partial'))
    for mine in ('film.partial', 'film.mkv.12.partial', 'x_train_flic.npy.partial'):
        (tmp_path / mine).touch()
    with pytest.raises(InputError, match=r'run data.py first'):
        arrays.read_manifest(str(tmp_path))
    forked.run(command, check=True)
    manifest = arrays.read_manifest(str(tmp_path))
    assert sorted(path.name for path in tmp_path.glob('*.partial')) == [
        'film.mkv.12.partial',
        'film.partial',
        'x_train_flic.npy.partial',
    ]
    for split in arrays.SPLITS:
        arrays.load_split(str(tmp_path), split, manifest, verify=True)
