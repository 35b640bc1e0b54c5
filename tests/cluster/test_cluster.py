"""Several machines, on one: processes on loopback that are refused, killed and compared with two
towers in one process; what crosses the wire; who listens where."""

import collections
import contextlib
import json
import os
import random
import shlex
import shutil
import signal
import socket
import statistics
import subprocess
import threading
import time
import types

import forked
import numpy as np
import pytest
from conftest import ROOT, SETTINGS

from jointpose import model, run_options
from jointpose.cluster import cluster, cluster_roles
from jointpose.nn import layers, spectrum_cache
from jointpose.nn.tf1 import tf
from jointpose.options import options as command_line
from jointpose.systems import tompson
from jointpose.training import batches, stopping, towers
from jointpose.training.devices import device_function
from jointpose.utils.errors import InputError

THERE = '/job:worker/task:0'
FACTS = {'code': 'aaaa', 'TensorFlow': tf.__version__, 'arrays': 'bbbb'}


def free_address():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return f'127.0.0.1:{probe.getsockname()[1]}'


# ---------------------------------------------------------------- roles

CHIEF_AND_TWO = {'cluster': {'chief': ['a:1'], 'worker': ['b:2', 'c:3']}}
WORKERS_ONLY = {'cluster': {'worker': ['a:1', 'b:2', 'c:3']}}


def role(monkeypatch, arguments=('--train',), **environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return cluster_roles.role(run_options.resolve_options(list(arguments))[0])


@pytest.mark.parametrize(
    'config, kind, index, serves, own',
    [
        (CHIEF_AND_TWO, 'chief', 0, False, 'a:1'),
        (CHIEF_AND_TWO, 'worker', 1, True, 'c:3'),
        (WORKERS_ONLY, 'worker', 0, False, 'a:1'),
        (WORKERS_ONLY, 'worker', 2, True, 'c:3'),
    ],
)
def test_roles_by_tf_config(monkeypatch, config, kind, index, serves, own):
    found = role(
        monkeypatch, TF_CONFIG=json.dumps({**config, 'task': {'type': kind, 'index': index}})
    )
    assert found == (serves, own, ('b:2', 'c:3'), False)


@pytest.mark.parametrize('rank, serves, own', [(0, False, 'n08:2222'), (2, True, 'n10:2222')])
def test_roles_by_slurm(monkeypatch, rank, serves, own):
    found = role(
        monkeypatch,
        SLURM_PROCID=str(rank),
        SLURM_STEP_NUM_TASKS='3',
        SLURM_STEP_NODELIST='n[08-10]',
        SLURM_STEP_TASKS_PER_NODE='1(x3)',
    )
    assert found == (serves, own, ('n09:2222', 'n10:2222'), False)


@pytest.mark.parametrize(
    'config',
    [
        '{',
        '[]',
        '{"cluster": "local"}',
        '{"cluster": {"worker": ["a:1", "b"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}',
        '{"cluster": {"chief": ["a:1"], "worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1", "b:1"]}}',
    ],
)
def test_a_tf_config_that_describes_no_cluster_is_one_line(monkeypatch, config):
    with pytest.raises(InputError, match='TF_CONFIG: describes no cluster'):
        role(monkeypatch, TF_CONFIG=config)


@pytest.mark.parametrize(
    'config, reason',
    [
        (
            {'cluster': {'worker': ['a:1', 'b:1']}, 'task': {'type': 'worker', 'index': 2}},
            'worker 2, which is not',
        ),
        (
            {'cluster': {'worker': ['a:1', 'b:1']}, 'task': {'type': 'worker', 'index': -1}},
            'is not in "cluster"',
        ),
        (
            {'cluster': {'worker': ['a:1', 'b:1']}, 'task': {'type': 'chief', 'index': 0}},
            'is not in "cluster"',
        ),
        (
            {'cluster': {'worker': ['a:1', 'b:1']}, 'task': {'type': 'evaluator', 'index': 0}},
            'evaluator 0, which is not',
        ),
        ({'cluster': {'worker': ['a:1', 'b:1']}, 'task': None}, 'must say which of them'),
        (
            {'cluster': {'worker': ['a:1'], 'ps': ['b:1']}, 'task': {'type': 'worker', 'index': 0}},
            'not "ps"',
        ),
        ({'cluster': {'worker': 'a:1'}}, "must be a list of addresses, got 'a:1'"),
    ],
)
def test_a_cluster_described_wrongly_is_said_in_words(monkeypatch, config, reason):
    with pytest.raises(InputError) as refused:
        role(monkeypatch, TF_CONFIG=json.dumps(config))
    assert reason in str(refused.value) and 'unset it' in str(refused.value)


@pytest.mark.parametrize(
    'config',
    [
        '',
        ' ',
        '{}',
        'null',
        '{"cluster": null}',
        '{"cluster": {}, "task": {"type": "worker", "index": 0}}',
        '{"task": {"type": "worker", "index": 3}}',
        '{"environment": "cloud"}',
        '{"cluster": {"master": ["127.0.0.1:2222"]}, "task": {"type": "master", "index": 0}, "environment": "cloud"}',
        '{"cluster": {"chief": ["a"], "worker": []}, "task": {"type": "chief", "index": 0}}',
        '{"cluster": {"ps": ["a:1"]}}',
        '{"cluster": {"worker": {"0": "a:1"}}}',
        '{"cluster": {"chief": ["a:1"], "evaluator": ["b:1"]}, "task": {"type": "evaluator", "index": 0}}',
    ],
)
def test_a_tf_config_left_over_is_one_machine(monkeypatch, config):
    assert role(monkeypatch, TF_CONFIG=config) is None


def test_other_forms_of_tf_config(monkeypatch):
    config = {
        'cluster': {
            'master': ['a:1'],
            'worker': {'1': 'c:3', '0': 'b:2'},
            'evaluator': ['d:4'],
            'ps': [],
        }
    }
    for kind, index, expected in (('master', 0, (False, 'a:1')), ('worker', '1', (True, 'c:3'))):
        found = role(
            monkeypatch, TF_CONFIG=json.dumps({**config, 'task': {'type': kind, 'index': index}})
        )
        assert found == (*expected, ('b:2', 'c:3'), False)


@pytest.mark.parametrize(
    'variables',
    [
        {
            'SLURM_NTASKS': '4',
            'SLURM_PROCID': '0',
            'SLURM_JOB_NODELIST': 'n[1-4]',
        },  # a shell of salloc
        {
            'SLURM_STEP_NUM_TASKS': '1',
            'SLURM_PROCID': '0',
            'SLURM_STEP_NODELIST': 'n1',
            'SLURM_STEP_TASKS_PER_NODE': '1',
        },
        {'SLURM_STEP_NUM_TASKS': '', 'SLURM_PROCID': '0'},
        {'SLURM_STEP_NUM_TASKS': '4'},
    ],
)
def test_slurms_variables_left_over_are_one_machine(monkeypatch, variables):
    assert role(monkeypatch, **variables) is None
    assert role(monkeypatch, TF_CONFIG='{}', **variables) is None


def test_roles_by_options(monkeypatch):
    assert role(monkeypatch) is None
    alone = json.dumps({'cluster': {'worker': ['a:1']}, 'task': {'type': 'worker', 'index': 0}})
    assert role(monkeypatch, TF_CONFIG=alone) is None
    monkeypatch.delenv('TF_CONFIG')
    assert role(monkeypatch, ['--serve']) == (True, '127.0.0.1:2222', (), True)
    assert role(monkeypatch, ['--train', '--workers', 'a:1', 'b:2']) == (
        False,
        None,
        ('a:1', 'b:2'),
        False,
    )


@pytest.mark.parametrize(
    'arguments, word',
    [
        (['--serve', '--train'], '--serve'),
        (['--serve', 'a'], 'HOST:PORT'),
        (['--serve', 'a:70000'], 'HOST:PORT'),
        (['--serve', 'a..b:1'], 'label empty'),
        (['--train', '--chief', 'a:1'], '--chief'),
        (['--train', '--workers', 'a:1', 'a:1'], 'listed twice'),
        (['--train', '--workers', 'a:1', '--chief', 'a:1'], 'listed twice'),
        (['--train', '--workers', 'a:1', '--min_workers', '2'], '--min_workers'),
        (['--restore', '--predict', 'x', '--workers', 'a:1'], '--workers'),
    ],
)
def test_contradictions_are_refused(arguments, word, capsys):
    with pytest.raises(SystemExit) as stopped:
        run_options.resolve_options(arguments)
    assert stopped.value.code == 2 and word in capsys.readouterr().err


# ---------------------------------------------------------------- servers


def connects(host, port):
    with socket.socket() as one:
        one.settimeout(1)
        return one.connect_ex((host, port)) == 0


def test_a_server_answers_at_the_address_named_alone():
    """TensorFlow's own listens at all addresses of the machine, whichever is named."""
    server, where = cluster.start_server('127.0.0.1:0', [9], '--serve')
    port = int(where.rpartition(':')[2])
    assert connects('127.0.0.1', port) and not connects('127.0.0.2', port)
    with tf.Session(f'grpc://{where}') as session, tf.device('/job:local/task:0/cpu:0'):
        assert session.run(tf.constant(3)) == 3
    _, everywhere = cluster.start_server('0.0.0.0:0', [9], '--serve')
    assert connects('127.0.0.2', int(everywhere.rpartition(':')[2])) and server


def test_an_open_port_is_warned_of(capsys):
    cluster.warn_of_open_port('127.0.0.1:2222')
    assert capsys.readouterr().err == ''
    cluster.warn_of_open_port('0.0.0.0:2222')
    assert 'warning: 0.0.0.0:2222 is open without password' in capsys.readouterr().err


def test_an_address_that_cannot_be_had_is_one_line():
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        with pytest.raises(InputError, match=r'--serve 127.*: Address already in use'):
            cluster.start_server(f'127.0.0.1:{taken.getsockname()[1]}', [9], '--serve')
    with pytest.raises(InputError, match=r'--serve nowhere\.invalid:1: '):
        cluster.start_server('nowhere.invalid:1', [9], '--serve')


# ---------------------------------------------------------------- who is refused


@pytest.fixture
def lent(monkeypatch):
    """A function that makes a worker in this process; returns (Worker, its address)."""
    graphs = []

    def lend(**facts):
        server, where = cluster.start_server('127.0.0.1:0', [9], '--serve')
        worker = cluster.Worker({**FACTS, 'towers': ['/cpu:0'], **facts})
        with tf.Graph().as_default() as graph:
            op = tf.numpy_function(worker.answer, [''], tf.string).op
        graphs.append((graph, server))
        monkeypatch.setattr(cluster, 'TOKEN', op.get_attr('token'))
        return worker, where

    monkeypatch.setattr(cluster, 'PAUSE', 0)
    return lend


def chief_of(*workers, least=None, address='127.0.0.1:0'):
    own = cluster_roles.Role(False, address, workers, False)
    return cluster.Chief(
        own, types.SimpleNamespace(gpus=[9], gpus_named=True, min_workers=least), FACTS
    )


@pytest.mark.parametrize('name', ['code', 'TensorFlow', 'arrays'])
def test_a_worker_that_holds_another_is_refused_by_name(lent, name):
    _, where = lent(**{name: 'other'})
    with pytest.raises(
        InputError, match=f"worker {where}: its {name} other, the chief's {FACTS[name]}"
    ):
        chief_of(where).gather()


def test_a_worker_without_arrays_is_as_good(lent):
    _, where = lent(arrays=None)
    assert chief_of(where).gather() == ['/cpu:0', '/job:worker/task:0/cpu:0']


def test_a_byte_of_code_counts(tmp_path):
    package = tmp_path / 'jointpose'
    shutil.copytree(
        cluster.PACKAGE, package, ignore=shutil.ignore_patterns('pretrained', '__pycache__')
    )
    assert cluster.code_checksum(str(package)) == cluster.code_checksum()
    for name in ('model.py', 'systems/hrnet.py'):
        before = cluster.code_checksum(str(package))
        with open(package / name, 'a') as file:
            file.write('\n')
        assert cluster.code_checksum(str(package)) != before


def test_one_chief_at_a_time(lent):
    """A second one is refused while the first is there; one that follows a killed one finds the worker anew."""
    worker, where = lent()
    first = chief_of(where)
    first.gather()
    assert worker.chief[0] == first.address and not worker.over
    with pytest.raises(InputError, match=f'worker {where}: works for the chief at {first.address}'):
        chief_of(where).gather()
    worker.chief = free_address(), 'killed'
    assert chief_of(where).ask(where) is None and worker.over == 'gone'
    worker, where = lent()
    chief = chief_of(where)
    worker.chief = chief.address, 'the one before, at the same address'
    assert chief.ask(where) is None and worker.over == 'gone'


def test_a_chief_that_its_worker_cannot_reach_is_told_so(lent):
    _, where = lent()
    chief = chief_of(where)
    answer = json.loads(
        cluster.Worker(FACTS).answer(json.dumps({'chief': free_address(), 'instance': ''}))
    )
    with pytest.raises(InputError, match=f'worker {where}: cannot reach the chief at .*--chief'):
        chief.check(where, answer)


GOOD = {**FACTS, 'instance': 'c', 'towers': ['/cpu:0']}
BYTES = [
    b'',
    b'{',
    b'\xff\xfe',
    b'null',
    b'7',
    b'[]',
    b'"text"',
    b'{}',
    b'1' * 5000,
    b'[' * 9000,
    b'{"a":' * 9000,
    b' ' * (1 << 17),
]
CHANGES = [
    {'code': None},
    {'code': 7},
    {'code': 'c' * 999},
    {'TensorFlow': {}},
    {'arrays': 1},
    {'instance': []},
    {'towers': []},
    {'towers': 3},
    {'towers': 'cpu'},
    {'towers': [0]},
    {'towers': ['/cpu:0\n']},
    {'towers': ['/job:chief/task:0/cpu:0']},
    {'refusal': None},
    {'refusal': ['no']},
    {'refusal': 'n' * 999},
]
LACKING = [{name: value for name, value in GOOD.items() if name != missing} for missing in GOOD]
CHANGED = [{**GOOD, **change} for change in CHANGES]
NONSENSE = [*BYTES, *(json.dumps(answer).encode() for answer in CHANGED + LACKING)]


@pytest.mark.parametrize('answer', NONSENSE, ids=range(len(NONSENSE)))
def test_an_answer_that_makes_no_sense_is_refused(answer):
    assert cluster.parse_answer(json.dumps(GOOD).encode()) == GOOD
    with pytest.raises(ValueError):
        cluster.parse_answer(answer)


@pytest.mark.parametrize(
    'answer', [b'{"refusal": 1}', b'[' * 9000, np.array([b'{}'] * 2, object)], ids=range(3)
)
def test_a_worker_that_answers_nonsense_ends_its_chief_in_one_line(lent, monkeypatch, answer):
    """Before it is taken; later it counts as gone, and a chief that takes its leave does not mind."""
    worker, where = lent()
    chief = chief_of(where)
    chief.gather()
    worker.answer = None
    _server, hostile = cluster.start_server('127.0.0.1:0', [9], '--serve')
    with tf.Graph().as_default():
        op = tf.numpy_function(lambda message: answer, [''], tf.string).op
    monkeypatch.setattr(cluster, 'TOKEN', op.get_attr('token'))
    monkeypatch.setattr(cluster.time, 'sleep', lambda _: pytest.fail('waits'))
    with pytest.raises(InputError, match=f'worker {hostile}: not an answer of this program: '):
        chief_of(hostile).gather()
    with pytest.raises(stopping.WorkerLost, match=f'worker {where} is gone'):
        chief.raise_if_lost(tf.errors.InternalError(None, None, 'x'))
    chief.dismiss()


def test_fewer_workers_if_that_is_enough(lent, monkeypatch, capsys):
    _, where = lent()
    absent = free_address()
    monkeypatch.setattr(cluster, 'GRACE', -1)
    assert chief_of(absent, where, least=1).gather() == ['/cpu:0', '/job:worker/task:0/cpu:0']
    assert f'continuing without {absent}' in capsys.readouterr().err

    def give_up(_):
        raise TimeoutError

    monkeypatch.setattr(cluster.time, 'sleep', give_up)
    with pytest.raises(TimeoutError):
        chief_of(absent, where).gather()
    assert f'waiting for {absent}\n' in capsys.readouterr().out


def test_what_fails_by_itself_is_no_loss(lent):
    """An operation that fails is the step's own fault; unless the worker is another one by now."""
    worker, where = lent()
    chief = chief_of(where)
    chief.gather()
    with tf.Graph().as_default(), tf.device('/job:worker/task:0/cpu:0'):
        wrong = tf.debugging.Assert(tf.constant(False), ['wrong'])
        with chief.session() as session:
            with pytest.raises(tf.errors.InvalidArgumentError):
                session.run(wrong)
            worker.facts['instance'] = 'restarted'
            with pytest.raises(cluster.WorkerLost, match=f'worker {where} is gone'):
                session.run(wrong)
    chief.dismiss()
    assert worker.over == 'done'


def test_a_call_that_hangs_is_a_loss(lent, monkeypatch):
    """Soon, once it is known how long calls take; the longest so far is no reason to give up."""
    _, where = lent()
    chief, over, limits, run_options = chief_of(where), threading.Event(), [], tf.RunOptions
    chief.gather()
    monkeypatch.setattr(cluster, 'SETTLED', 3)
    monkeypatch.setattr(cluster, 'PATIENCE', 0.2)
    monkeypatch.setattr(
        cluster.tf,
        'RunOptions',
        lambda timeout_in_ms: (
            limits.append(timeout_in_ms) or run_options(timeout_in_ms=timeout_in_ms)
        ),
    )
    with tf.Graph().as_default(), tf.device('/job:worker/task:0/cpu:0'):
        seconds = tf.placeholder_with_default(60.0, [])
        waits = tf.numpy_function(lambda limit: over.wait(float(limit)), [seconds], tf.bool)
        with chief.session() as session:
            for _ in range(3):
                assert not session.run(waits, {seconds: 0.1})
            with pytest.raises(cluster.WorkerLost, match='connection failed: '):
                session.run(waits)
            over.set()
    assert session.calls == 3 and session.longest >= 0.1
    assert limits == [1000 * cluster.CALL_SECONDS] * 3 + [round(200 + 3000 * session.longest)]
    chief.dismiss()


def test_a_worker_that_does_not_answer_ends_the_call(lent, monkeypatch):
    """As long as it answers, a slow call is waited for; afterwards the session is of no more use."""
    _, where = lent()
    chief, begun, over, looks = chief_of(where), threading.Event(), threading.Event(), []
    chief.gather()

    def hang():
        begun.set()
        return over.wait(60)

    def present(worker, tries):
        looks.append((worker, tries))
        return len(looks) < 9 or not begun.wait(60)

    monkeypatch.setattr(cluster, 'is_alive', present)
    monkeypatch.setattr(cluster, 'WATCH', 0.01)
    with tf.Graph().as_default(), tf.device('/job:worker/task:0/cpu:0'):
        hangs = tf.numpy_function(hang, [], tf.bool)
        with chief.session() as session:
            for _ in range(2):
                with pytest.raises(cluster.WorkerLost, match=f'worker {where} is gone'):
                    session.run(hangs)
    assert looks == [(where, 3)] * 9
    over.set()


def test_a_signal_outlives_the_step_that_a_worker_failed():
    """It is heard by whoever goes on, rather than being forgotten with the loop that was to obey it."""
    with pytest.raises(KeyboardInterrupt) as heard, stopping.Signals() as signals:
        signal.raise_signal(signal.SIGINT)
        assert signals.code == 130
        raise cluster.WorkerLost('worker')
    assert isinstance(heard.value.__context__, cluster.WorkerLost)
    with pytest.raises(stopping.Stop), stopping.Signals():
        signal.raise_signal(signal.SIGINT)
        raise stopping.Stop(130)


def test_the_line_to_go_on_with_names_the_machines():
    options, *_ = run_options.resolve_options(
        ['--train', '--workers', 'a:1', 'b:2', '--min_workers', '1']
    )
    words = shlex.split(command_line.resume_command('models_ex/run', options))[2:]
    assert words == [
        '--train',
        '--restore',
        'models_ex/run',
        '--workers',
        'a:1',
        'b:2',
        '--min_workers',
        '1',
    ]


# ---------------------------------------------------------------- Slurm

# python is killed twice, the first time before it has a checkpoint, and writes down what it is called with.
STAND_INS = {
    'srun': 'shift; exec "$@"',
    'sleep': '',
    'python': """
printf '%s\\0' "$@" >> called; echo >> called
case $(wc -l < called) in
    1) mkdir -p "$FOLDER/step-00000000.99999999.partial"; exit 137 ;;
    2) mkdir "$FOLDER/step-00000000"; exit 137 ;;
esac""",
}


def slurm(folder, run_folder, *arguments):
    """The words of each call of main.py by slurm.sh, on two GPUs."""
    (folder / 'bin').mkdir()
    for name, lines in STAND_INS.items():
        (folder / 'bin' / name).write_text(f'#!/bin/bash\n{lines}\n')
        (folder / 'bin' / name).chmod(0o755)
    subprocess.run(
        ['bash', os.path.join(ROOT, 'slurm.sh'), *map(str, arguments)],
        cwd=folder,
        check=True,
        env={
            **os.environ,
            'PATH': f'{folder / "bin"}:{os.environ["PATH"]}',
            'FOLDER': str(run_folder),
            'SLURM_GPUS_ON_NODE': '2',
            'INIT': 'of somebody else',
        },
    )
    calls = [line.split('\0')[:-1] for line in (folder / 'called').read_text().splitlines()]
    assert all(call[:5] == ['main.py', '--train', '--gpus', '0', '1'] for call in calls)
    return [call[5:] for call in calls]


@pytest.mark.parametrize('init', [['--init', 'of/others'], ['--init=of/others']])
@pytest.mark.parametrize('place', [[], ['--model_path', 'my models'], ['--model_path=my models']])
def test_slurm_starts_again_with_the_same_options(tmp_path, init, place):
    options = ['--use_sm', '--data', '/my arrays', '--tb_folder', '', *place, '--tb_details']
    models = 'my models' if place else 'models_ex'
    first, second, third = slurm(
        tmp_path, tmp_path / models / 'R', 'R', *options[:3], *init, *options[3:]
    )
    assert first == second == ['--run', 'R', '--init', 'of/others', *options]
    assert third == ['--restore', f'{models}/R', *options]


def test_a_restored_run_accepts_the_options_that_it_was_started_with(tmp_path, whole):
    """All of them, and those of the call are those of this call."""
    said = [
        *map(str, SETTINGS),
        '--data',
        '/my arrays',
        '--tb_details',
        '--model_path',
        str(whole.folder / 'models'),
    ]
    (words,) = slurm(tmp_path, tmp_path, 'whole', *said)[-1:]
    options, _, found, _ = run_options.resolve_options(['--train', *words])
    assert os.path.dirname(found.path) == str(whole.folder / 'models' / 'whole')
    assert options.data == '/my arrays' and options.tb_details and options.tb_folder == ''


# ---------------------------------------------------------------- the graph


def test_a_machine_is_sent_each_variable_once_and_sends_each_gradient_once(monkeypatch):
    """Counted in the graph, for a worker with three towers: what leaves a device of one machine for another."""
    monkeypatch.setattr(model, 'CHANNELS', (1, 1, 1, 1, 1))
    options, *_ = run_options.resolve_options(['--train', '--width', '4', '--conv', 'direct'])
    with tf.Graph().as_default() as graph, tf.device(cluster.HOME):
        batch = batches.placeholders(tompson.Tompson(options))
        towers.build_training(
            tompson.Tompson(options), batch, ['/cpu:0', *(f'{THERE}/gpu:{i}' for i in range(3))], 10
        )
        variables = tf.trainable_variables()
        sent, received = crossings(graph, THERE)
        weights = [name for op, name in sent if op.type == 'ReadVariableOp']
        assert collections.Counter(weights) == collections.Counter(
            variable.op.name for variable in variables
        )
        shapes = collections.Counter(
            tuple(x.shape.as_list()) for op in received for x in op.outputs
        )
        for shape, n in collections.Counter(
            tuple(variable.shape.as_list()) for variable in variables
        ).items():
            assert shapes[shape] >= n if len(shape) < 2 else shapes[shape] == n, shape


def test_transforms_are_kept_where_they_are_used():
    with tf.Graph().as_default() as graph, tf.device(cluster.HOME):
        x, copies = tf.zeros([2, 6, 9, 4]), {}
        for device in ('/cpu:0', *(f'{THERE}/gpu:{i}' for i in range(2))):
            machine = towers.machine_of(device)
            with (
                tf.device(device_function(device, '/cpu:0')),
                tf.variable_scope('conv', reuse=tf.AUTO_REUSE),
                towers.read_once(machine, copies, False) if machine else contextlib.nullcontext(),
            ):
                layers.conv(x, 3, 5, method='fft')
        places = {op.name: op.device for op in graph.get_operations() if op.type == 'VarHandleOp'}
        assert places == {
            'conv/weights': f'{cluster.HOME}/device:CPU:0',
            'conv/spectrum': f'{cluster.HOME}/device:CPU:0',
            'conv/spectrum/job_worker/task_0': f'{THERE}/device:CPU:0',
        }
        assert (
            list(copies) == ['conv/weights']
            and len(tf.get_collection(spectrum_cache.TRANSFORMS)) == 2
        )


def crossings(graph, there):
    """([(operation, name of the variable that it reads or '')] whose outputs go to a machine, once
    for each of its devices, and the operations there whose outputs come from it)."""

    def handle(op):
        return op.inputs[0].op if op.type == 'ReadVariableOp' else None

    def device(op):
        return (handle(op) or op).device

    sent, received = set(), set()
    for op in graph.get_operations():
        for x in () if handle(op) else op.inputs:
            if x.dtype == tf.resource or (there in device(op)) == (there in device(x.op)):
                continue
            if there in device(op):
                sent.add((x.op, handle(x.op).name if handle(x.op) else '', device(op)))
            else:
                received.add(x.op)
    return [(op, name) for op, name, _ in sent], received


# ---------------------------------------------------------------- processes

SMALL = (
    '--width',
    '2',
    '--banks',
    '1',
    '--data_augm',
    '--batch_size',
    '4',
    '--conv',
    'direct',
    '--scales',
    'single',
)
PATIENCE = 1800  # seconds, of a machine that has much else to do
WHOLE = (
    '--width',
    '4',
    '--data_augm',
    '--batch_size',
    '4',
    '--conv',
    'fft',
    '--scales',
    'single',
    '--use_sm',
)


class Processes:
    """A chief and a worker on loopback, and their runs.  Operations have one thread each: with
    another number, which is that of the cores they find, sums are rounded otherwise, and after a
    hundred updates losses differ by 4 %."""

    def __init__(self, folder, arrays_folder):
        self.folder, self.arrays_folder, self.where = folder, arrays_folder, free_address()
        self.running, self.started, self.settings = {}, collections.defaultdict(list), ()
        (folder / 'gate').touch()

    def start(self, name, *arguments):
        gate = {'GATE': str(self.folder / 'gate')} if name == 'chief' else {}
        process = forked.start(
            ['tests/narrow_main.py', *arguments, '--data', self.arrays_folder],
            env={**os.environ, 'TF_NUM_INTRAOP_THREADS': '1', **gate},
        )
        self.started[name].append(process)
        self.running[name] = process
        return process

    def train(self, name, *arguments):
        return self.start(
            name,
            '--train',
            *arguments,
            '--model_path',
            self.folder,
            '--tb_folder',
            '',
            '--predictions',
            self.folder / f'{name}.mat',
        )

    def serve(self):
        return self.start('worker', '--serve', self.where)

    def lead(self):
        how = ('--restore', 'run') if self.steps('run') else (*self.settings, '--run', 'run')
        return self.train('chief', *how, '--save_minutes', '0.0001', '--workers', self.where)

    def let(self, steps):
        """The chief waits after so many updates, so that it is still there however late it is killed."""
        os.truncate(self.folder / 'gate', steps)

    def kill(self, name):
        self.running[name].kill()
        self.running.pop(name).wait()

    def text(self, name):
        """All that processes of this name have written so far."""
        return ''.join(
            os.pread(file.fileno(), 1 << 20, 0).decode()
            for process in self.started[name]
            for file in (process.output, process.errors)
        )

    def steps(self, run):
        try:
            with open(self.folder / run / 'steps.jsonl') as file:
                return [json.loads(line) for line in file if line.endswith('\n')]
        except FileNotFoundError:
            return []


@pytest.fixture
def processes(tmp_path, arrays_folder):
    made = Processes(tmp_path, arrays_folder)
    yield made
    for name in list(made.running):
        made.kill(name)


def killed(processes, victims, epochs, settings):
    """Kills those processes one after the other while a run goes on, at drawn moments; the run
    equals one in a single process of two towers."""
    processes.settings = *settings, '--n_epochs', epochs
    single = processes.train('single', *processes.settings, '--gpus', 0, 1, '--run', 'single')
    assert single.wait(PATIENCE) == 0, processes.text('single')
    rng, a_step = (
        random.Random(3),
        statistics.median(line['seconds'] for line in processes.steps('single')),
    )
    processes.serve()
    chief = processes.lead()
    for victim in victims:
        before = processes.steps('run')
        processes.let(len(before) + 3)
        wait_for(lambda: processes.steps('run')[-1:] not in ([], before[-1:]), processes)  # noqa: B023
        time.sleep(rng.random() * a_step)  # any moment of the next
        assert chief.poll() is None, processes.text('chief')
        processes.kill(victim)
        if victim == 'worker':
            processes.serve()
        else:
            chief = processes.lead()
    processes.let(4 * epochs)
    assert chief.wait(PATIENCE) == 0, processes.text('chief')
    assert processes.text('chief').count(
        'is gone; resuming from the last checkpoint'
    ) == victims.count('worker')
    assert 'Traceback' not in processes.text('chief') + processes.text('worker')
    single, several = processes.steps('single'), processes.steps('run')
    assert (
        [line['step'] for line in several]
        == [line['step'] for line in single]
        == list(range(1, 4 * epochs + 1))
    )
    for name in single[0].keys() - {'step', 'seconds'}:
        np.testing.assert_allclose(
            [line[name] for line in several], [line[name] for line in single], rtol=0.02
        )
        np.testing.assert_allclose(
            *([line[name] for line in lines[:8]] for lines in (several, single)), rtol=1e-4
        )
    assert os.path.exists(processes.folder / 'chief.mat')


@pytest.mark.parametrize(
    'victims', [['worker'], pytest.param(['worker', 'chief'], marks=pytest.mark.long)], ids=' '.join
)
def test_killed_once_equals_one_process(processes, victims):
    killed(processes, victims, 4, SMALL)


@pytest.mark.long
def test_killed_10_times_equals_one_process(processes):
    killed(processes, random.Random(5).choices(['worker', 'chief'], k=10), 30, WHOLE)


@pytest.mark.long
def test_a_worker_that_hangs_is_noticed_and_taken_in_again(processes):
    processes.settings = *SMALL, '--n_epochs', 30
    processes.serve()
    chief, worker = processes.lead(), processes.running['worker']
    processes.let(cluster.SETTLED + 3)
    wait_for(lambda: len(processes.steps('run')) > cluster.SETTLED, processes)
    os.kill(worker.pid, signal.SIGSTOP)
    processes.let(120)
    wait_for(
        lambda: 'is gone; resuming from the last checkpoint' in processes.text('chief'), processes
    )
    os.kill(worker.pid, signal.SIGCONT)
    assert chief.wait(PATIENCE) == 0, processes.text('chief')
    assert [line['step'] for line in processes.steps('run')] == list(range(1, 121))


def wait_for(condition, processes):
    """Until it is true, as long as the chief runs."""
    began = time.time()
    while not condition():
        assert processes.running['chief'].poll() is None and time.time() - began < PATIENCE, (
            processes.text('chief')
        )
        time.sleep(0.05)
