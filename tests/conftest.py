"""Makes the project's modules importable, and finds the shared real data."""

import json
import os
import signal
import sys

import forked
import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

import jointpose.utils.startup  # noqa: E402, F401

signal.signal(
    signal.SIGINT, signal.default_int_handler
)  # a shell's background jobs would ignore Ctrl-C

forked.collect_garbage_rarely()

SHARED = os.environ.get('POSE_SHARED', os.path.join(ROOT, '..', 'shared'))


@pytest.fixture(scope='session')
def flic():
    """Folder of the real FLIC (examples.mat, images/), or a skip that says why."""
    folder = os.path.join(SHARED, 'flic')
    if not os.path.exists(os.path.join(folder, 'examples.mat')):
        pytest.skip(f'real FLIC is not at {folder} (set POSE_SHARED)')
    return folder


@pytest.fixture(scope='session')
def flic_predictions():
    """Folder of other systems' FLIC predictions, or a skip that says why."""
    folder = os.path.join(SHARED, 'flic_predictions')
    if not os.path.isdir(folder):
        pytest.skip(f'published predictions are not at {folder} (set POSE_SHARED)')
    return folder


def make_arrays(out, people, *options):
    """Arrays and priors of so many synthetic people, made by the scripts themselves; returns their folder."""
    forked.run(['data.py', '--synthetic', people, '--out', out, *options], check=True)
    forked.run(['pairwise_distr.py', '--data', out], check=True)
    return str(out)


@pytest.fixture(scope='session')
def arrays_folder(tmp_path_factory):
    """20 people: 16 train, 4 test."""
    return make_arrays(tmp_path_factory.mktemp('made') / 'arrays', 20)


@pytest.fixture(scope='session')
def arrays_of_26(tmp_path_factory):
    """26 people, 21 of them for training: --validation holds two of these out."""
    return make_arrays(tmp_path_factory.mktemp('made') / 'arrays', 26)


class Runs:
    """A folder for runs on the small arrays."""

    def __init__(self, folder, arrays_folder):
        self.folder, self.arrays_folder = folder, arrays_folder

    def places(self):
        return [
            '--data',
            self.arrays_folder,
            '--model_path',
            str(self.folder / 'models'),
            '--predictions',
            str(self.folder / 'predictions.mat'),
        ]

    def run(self, *arguments, stdout=None, **environment):
        return forked.run(
            ['tests/narrow_main.py', *self.places(), *arguments],
            stdout=stdout,
            env={**os.environ, **environment},
        )

    def steps(self, run):
        """[(step, losses, gradient norm, rate)] of a run's steps.jsonl: everything but the time."""
        with open(self.folder / 'models' / run / 'steps.jsonl') as file:
            return [{k: v for k, v in json.loads(line).items() if k != 'seconds'} for line in file]

    def epochs(self, run):
        with open(self.folder / 'models' / run / 'log.jsonl') as file:
            return [
                {
                    k: v
                    for k, v in json.loads(line).items()
                    if k != 'img_per_s' and 'seconds' not in k
                }
                for line in file
            ]

    def weights(self, run):
        """{name: array} of the newest checkpoint."""
        from jointpose.nn.tf1 import tf

        newest = sorted(self.checkpoints(run))[-1]
        reader = tf.train.NewCheckpointReader(str(self.folder / 'models' / run / newest / 'model'))
        return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}

    def checkpoints(self, run):
        return [
            name for name in os.listdir(self.folder / 'models' / run) if name.startswith('step-')
        ]


PLAIN = [
    '--width',
    '4',
    '--banks',
    '1',
    '--batch_size',
    '3',
    '--train_examples',
    '10',
    '--tb_folder',
    '',
]
# With all three banks, moving averages, dropout, a schedule and drawn augmentation: all in the checkpoint, or following
# from the step.
SETTINGS = [
    *PLAIN,
    '--banks',
    3,
    '--data_augm',
    '--average_weights',
    0.9,
    '--spatial_dropout',
    0.3,
    '--schedule',
    'cosine',
    '--warm_up',
    3,
    '--zoom',
    0.7,
    1.4,
    '--shift',
    20,
    '--colour',
    0.2,
    '--dropout_boxes',
    2,
    '--targets',
    'subcell',
    '--norm_decay',
    0.8,
    '--n_epochs',
    2,
    '--keep',
    2,
]


@pytest.fixture(scope='session')
def whole(tmp_path_factory, arrays_folder):
    """Runs, with an uninterrupted one of 2 epochs of 4 steps, the last step of each one sample, and its whole.mat."""
    runs = Runs(tmp_path_factory.mktemp('runs'), arrays_folder)
    runs.result = runs.run(
        '--train', *SETTINGS, '--run', 'whole', '--predictions', runs.folder / 'whole.mat'
    )
    assert runs.result.returncode == 0, runs.result.stderr
    return runs


@pytest.fixture(scope='session')
def untrained(tmp_path_factory, arrays_folder):
    """A folder as main.py leaves it: models_ex with the runs `pd` and `sm` of the narrow network,
    which have seen no batch, and the latter's predictions.mat."""
    folder = tmp_path_factory.mktemp('untrained')
    for run in ('pd', 'sm'):
        forked.run(
            [
                'tests/narrow_main.py',
                '--train',
                '--width',
                4,
                '--banks',
                1,
                '--n_epochs',
                0,
                '--run',
                run,
                '--data',
                arrays_folder,
                '--tb_folder',
                '',
                *(['--use_sm'] if run == 'sm' else ['--test_examples', 1]),
            ],
            cwd=folder,
            check=True,
        )
    return folder


@pytest.fixture
def tf_graph():
    """A fresh graph for each test; yields a function that opens a session on `n` logical CPU devices."""
    from jointpose.nn.tf1 import tf

    with tf.Graph().as_default():
        yield lambda n=1: tf.Session(config=tf.ConfigProto(device_count={'CPU': n}))


@pytest.fixture(scope='session')
def bfloat16():
    """Skips the test where bfloat16 is emulated, which is slow and rounds more."""
    from jointpose.training.devices import computes_bfloat16

    if not computes_bfloat16([0]):
        pytest.skip('this processor does not compute in bfloat16')


def unordered_reads(fetched, untrained=()):
    """Names of the reads of trainable variables behind `fetched` (tensors or operations, an update
    among them) that are ordered neither before nor after the updates of their variable: what they
    return is a matter of chance.

    untrained: beginnings of the names of variables that have no update."""
    from jointpose.nn.tf1 import tf

    def upstream(start):
        seen, stack = set(), list(start)
        while stack:
            op = stack.pop()
            if op not in seen:
                seen.add(op)
                stack += [x.op for x in op.inputs] + list(op.control_inputs)
        return seen

    run, bad = upstream(x if isinstance(x, tf.Operation) else x.op for x in fetched), []
    for variable in tf.trainable_variables():
        users = [op for op in run if any(x is variable.handle for x in op.inputs)]
        reads = [op for op in users if op.type == 'ReadVariableOp' or 'Gather' in op.type]
        updates = [
            op
            for op in run
            if op.type.startswith(('ResourceApply', 'Assign')) and _touches(op, variable)
        ]
        assert bool(updates) != variable.name.startswith(tuple(untrained)), variable.name
        before = set().union(*(upstream([op]) for op in updates))
        bad += [
            op.name
            for op in reads
            if updates and op not in before and not upstream([op]) & set(updates)
        ]
    return bad


def unordered_sums(graph):
    """Names of the operations of a graph, or of its functions, that add three or more tensors in no fixed order."""
    definition = graph.as_graph_def()
    nodes = [*definition.node]
    for function in definition.library.function:
        nodes += function.node_def
    return [
        node.name for node in nodes if node.op in ('AddN', 'AccumulateNV2') and node.attr['N'].i > 2
    ]


def _touches(op, variable):
    """Whether an operation takes the variable, through the switches of a tf.cond too."""
    handles = list(op.inputs)
    while any(x.op.type in ('Switch', 'Identity') for x in handles):
        handles = [
            y
            for x in handles
            for y in (x.op.inputs if x.op.type in ('Switch', 'Identity') else [x])
        ]
    return any(x is variable.handle for x in handles)


@pytest.fixture(autouse=True, scope='session')
def tensorflow_as_the_scripts_have_it():
    """A test module that sets TensorFlow up by itself would change it for all the others."""
    yield
    if 'jointpose.nn.tf1' in sys.modules:
        assert sys.modules['jointpose.nn.tf1'].tf.resource_variables_enabled()
