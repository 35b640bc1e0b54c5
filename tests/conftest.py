"""Makes the project's modules importable, and finds the shared real data."""
import os
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

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


@pytest.fixture(scope='session')
def arrays_folder(tmp_path_factory):
    """Arrays and priors of 20 synthetic people (16 train, 4 test), made by the scripts themselves."""
    out = tmp_path_factory.mktemp('made') / 'arrays'
    for script in (['data.py', '--synthetic', '20', '--out', str(out)], ['pairwise_distr.py', '--data', str(out)]):
        subprocess.run([sys.executable, os.path.join(ROOT, script[0]), *script[1:]], check=True, capture_output=True)
    return str(out)


@pytest.fixture
def tf_graph():
    """A fresh graph for each test; yields a function that opens a session on `n` logical CPU devices."""
    from engine.tf1 import tf
    with tf.Graph().as_default():
        yield lambda n=1: tf.Session(config=tf.ConfigProto(device_count={'CPU': n}))


def unordered_reads(fetched, untrained=()):
    """Names of the reads of trainable variables behind `fetched` (tensors or operations, an update among them) that are
    ordered neither before nor after the updates of their variable: what they return is a matter of chance.

    untrained: beginnings of the names of variables that have no update."""
    from engine.tf1 import tf

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
        updates = [op for op in run if op.type.startswith(('ResourceApply', 'Assign')) and _touches(op, variable)]
        assert bool(updates) != variable.name.startswith(tuple(untrained)), variable.name
        before = set().union(*(upstream([op]) for op in updates))
        bad += [op.name for op in reads if updates and op not in before and not upstream([op]) & set(updates)]
    return bad


def _touches(op, variable):
    """Whether an operation takes the variable, through the switches of a tf.cond too."""
    handles = list(op.inputs)
    while any(x.op.type in ('Switch', 'Identity') for x in handles):
        handles = [y for x in handles for y in (x.op.inputs if x.op.type in ('Switch', 'Identity') else [x])]
    return any(x is variable.handle for x in handles)


@pytest.fixture(autouse=True, scope='session')
def tensorflow_as_the_scripts_have_it():
    """A test module that sets TensorFlow up by itself would change it for all the others."""
    yield
    if 'engine.tf1' in sys.modules:
        assert sys.modules['engine.tf1'].tf.resource_variables_enabled()
