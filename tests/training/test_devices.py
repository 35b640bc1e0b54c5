"""Which device does what: GPUs that are there, absent or hidden; where variables lie; TF32."""

import pytest

from jointpose.nn.tf1 import tf
from jointpose.training import devices


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine with so many GPUs that TensorFlow sees, and NVIDIA's driver or not."""

    def make(gpus, driver=False):
        monkeypatch.setattr(
            tf.config.experimental, 'list_physical_devices', lambda kind: ['gpu'] * gpus
        )
        monkeypatch.setattr(devices, 'DRIVER', str(tmp_path if driver else tmp_path / 'absent'))

    return make


def test_gpus_that_are_absent_become_the_cpu(machine):
    machine(2)
    said = []
    assert devices.device_names([0, 1], said.append) == ['/gpu:0', '/gpu:1'] and said == []
    assert devices.device_names([1, 5], said.append) == ['/gpu:0', '/cpu:0']
    assert said == ['GPU 5 not found: 1 of 2 towers on the CPU']


def test_gpus_that_nobody_listed_are_not_missed(machine):
    machine(0)
    said = []
    assert devices.device_names([0], said.append, named=False) == ['/cpu:0'] and said == []


@pytest.mark.parametrize('named', [True, False])
def test_a_driver_without_gpus_is_said(machine, monkeypatch, named):
    """TensorFlow without CUDA's libraries says so only at a log level that is off."""
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    machine(0, driver=True)
    said = []
    devices.device_names([0], said.append, named)
    assert len(said) == 1 and 'requirements-gpu.txt' in said[0]
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    devices.device_names([0], said.append, named)
    assert 'CUDA_VISIBLE_DEVICES' in said[1] and 'requirements' not in said[1]


@pytest.mark.parametrize(
    ('names', 'where', 'expected'),
    [
        (['/gpu:0'], 'auto', '/gpu:0'),
        (['/cpu:0'], 'auto', '/cpu:0'),
        (['/gpu:0', '/gpu:1'], 'auto', '/gpu:0'),
        (['/gpu:1', '/gpu:0'], 'gpu', '/gpu:1'),
        (['/gpu:0', '/gpu:1'], 'cpu', '/cpu:0'),
        (['/gpu:0'], 'cpu', '/cpu:0'),
        (['/gpu:0', '/cpu:0'], 'auto', '/cpu:0'),
        (['/cpu:0', '/cpu:0'], 'auto', '/cpu:0'),
        (['/gpu:0', '/job:worker/task:0/gpu:0'], 'auto', '/cpu:0'),
    ],
)
def test_where_variables_lie(names, where, expected):
    assert devices.device_of_variables(names, where) == expected


def test_variables_may_say_where_they_lie():
    with tf.Graph().as_default(), tf.device(devices.device_function('/cpu:2', '/cpu:1')):
        shared = tf.get_variable('shared', [2], use_resource=True)
        with tf.device('/cpu:3'):
            own = tf.get_variable('own', [2], use_resource=True)
        product = 2 * shared
    assert [x.device.replace('device:CPU', 'cpu') for x in (shared, own, product)] == [
        '/cpu:1',
        '/cpu:3',
        '/cpu:2',
    ]


def test_tf32_is_a_choice():
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    try:
        devices.use_tf32(False)
        assert not tf.config.experimental.tensor_float_32_execution_enabled()
    finally:
        devices.use_tf32(before)
