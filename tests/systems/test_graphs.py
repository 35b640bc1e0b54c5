"""Every system's graph as main.py builds it for one and for two GPUs: training and evaluation.

Nothing is run.  Sums have a fixed order (nn/sums.py), and each operation that lies on a GPU has a
kernel for it.
"""

import types

import gpu_placement
import pytest
from conftest import unordered_sums

from jointpose import main, run_options
from jointpose.nn.tf1 import tf
from jointpose.systems import hrnet

SYSTEMS = [
    ('tompson', '--use_sm --self_connections --conv direct'),
    ('cpm', '--stages 2'),
    ('deeppose', ''),
    ('hrnet', ''),
    ('spm', ''),
]
MORE = [
    ('tompson', '--use_sm --conv fft'),
    ('tompson', '--use_sm --precision bfloat16 --spatial_dropout 0.2'),
    ('tompson', '--use_sm --optimizer momentum --schedule cosine --warm_up 10 --flip_average'),
    ('cpm', ''),
]
SHORT = [('deeppose', '', 2)]
LONG = [(*case, n) for case in SYSTEMS + MORE for n in (1, 2) if (*case, n) not in SHORT]


@pytest.fixture
def gpus(monkeypatch):
    """TensorFlow's word that there are two; the processor counts as one that computes in bfloat16."""
    there = [
        types.SimpleNamespace(name=f'/physical_device:GPU:{i}', device_type='GPU') for i in range(2)
    ]
    monkeypatch.setattr(tf.config.experimental, 'list_physical_devices', lambda kind=None: there)
    monkeypatch.setattr(tf.config, 'list_physical_devices', lambda kind=None: there)


def build_graph(name, arguments, devices):
    options, system, *_ = run_options.resolve_options(
        [
            '--train',
            '--system',
            name,
            '--width',
            '4',
            '--average_weights',
            '0.9',
            '--gpus',
            '0',
            '1',
            *arguments.split(),
        ]
    )
    people = types.SimpleNamespace(images=range(30), people={'unit': None}, joints=None)
    with tf.Graph().as_default() as graph:
        main.build_graph(system, {'train': people, 'test': people}, options, devices)
        tf.global_variables_initializer()
    return graph


@pytest.mark.parametrize(
    ('name', 'arguments', 'n'),
    [*SHORT, *(pytest.param(*case, marks=pytest.mark.long) for case in LONG)],
)
def test_a_systems_graph(name, arguments, n, gpus, monkeypatch):
    monkeypatch.setattr(hrnet, 'MODULES', (1, 1, 1))
    monkeypatch.setattr(hrnet, 'BLOCKS', 1)
    graph = build_graph(name, arguments, ['/gpu:0', '/gpu:1'][:n])
    assert sum('GPU' in op.device.upper() for op in graph.get_operations()) > 100
    assert unordered_sums(graph) == []
    assert gpu_placement.without_kernel(graph) == []


def test_an_operation_without_a_kernel_is_found(tf_graph):
    with tf.device('/gpu:0'):
        x = tf.zeros([3, 2])
        tf.matmul(x, x, transpose_b=True)  # has one
        tf.strings.as_string(x, name='text')  # has none
        variable = tf.get_variable('v', [3], tf.float32, tf.zeros_initializer(), use_resource=True)
    with tf.device('/cpu:0'):
        variable.assign_add([1.0, 2.0, 3.0])  # lies with its variable, whatever is said
        tf.strings.as_string(x, name='elsewhere')
    found = gpu_placement.without_kernel(tf.get_default_graph())
    assert [line.partition(':')[0] for line in found] == ['text']
