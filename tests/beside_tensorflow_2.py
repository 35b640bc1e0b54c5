"""Somebody else's program, which uses both TensorFlow 2 and this package, for the tests:

    python beside_tensorflow_2.py FIRST PICTURE OUT

FIRST, 'tensorflow' or 'jointpose', is imported first.  Fails where the interface changed anything
for the program; OUT.npy gets the joints of PICTURE's first person, found three times: at once, by a
thread beside TensorFlow 2, and once more after it.
"""

import concurrent.futures
import gc
import importlib
import os
import signal
import sys
import tempfile
import warnings

import cv2
import numpy as np

first, picture, out = sys.argv[1:]
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def process_state():
    """What a program may have set up for itself."""
    signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    return {
        'environment': dict(os.environ),
        'signals': signals,
        'warnings': list(warnings.filters),
        'frozen': gc.get_freeze_count(),
        'garbage': gc.isenabled(),
        'threads of OpenCV': cv2.getNumThreads(),
        'stdout': sys.stdout,
        'stderr': os.fstat(2).st_ino,
        'errors of NumPy': np.geterr(),
    }


def tensorflow_state(tf):
    """What tf.compat.v1.disable_v2_behavior and the like would change."""
    from tensorflow.python import tf2

    v1 = tf.compat.v1
    return {
        'eager': tf.executing_eagerly(),
        'tf2': tf2.enabled(),
        'variables': v1.resource_variables_enabled(),
        'control flow': v1.control_flow_v2_enabled(),
        'shapes': type(tf.TensorShape([3])[0]),
        'equality': bool(tf.reduce_all(tf.ones(2) == tf.ones(2))),
        'log': tf.get_logger().level,
        'data': tf.data.Dataset is tf.compat.v2.data.Dataset,
    }


def use_tensorflow_2(tf, folder):
    """A traced function, gradients, tf.data, and a Keras model that is trained, saved and read again."""
    variable = tf.Variable([1.0, 2.0])

    @tf.function
    def squares(x):
        total = tf.constant(0.0)
        for one in x:  # autograph makes a tf.while_loop of it
            total += one**2
        return total

    with tf.GradientTape() as tape:
        loss = squares(variable)
    np.testing.assert_array_equal(tape.gradient(loss, variable), [2, 4])
    data = tf.data.Dataset.range(8).map(lambda i: (tf.cast([i, 1], tf.float32), [0.0])).batch(4)
    keras = tf.keras.Sequential([tf.keras.layers.Dense(1)])
    keras.compile('sgd', 'mse', run_eagerly=False)
    keras.fit(data, verbose=0)
    keras.save(os.path.join(folder, 'model.keras'))
    again = tf.keras.models.load_model(os.path.join(folder, 'model.keras'))
    np.testing.assert_array_equal(again(tf.ones([1, 2])), keras(tf.ones([1, 2])))


def state(tf):
    return {**tensorflow_state(tf), **process_state()}


def import_interface_first():
    """What `import tensorflow` would not have done, the interface has not done."""
    before = process_state()
    importlib.import_module('jointpose').load  # noqa: B018
    after = process_state()
    for ours in ('TF_ENABLE_ONEDNN_OPTS', 'TF_USE_LEGACY_KERAS', 'TF_CPP_MIN_LOG_LEVEL'):
        assert after['environment'].get(ours) == before['environment'].get(ours), ours
    for others in ('environment', 'warnings'):  # TensorFlow's import changes these, too
        before[others] = after[others]
    assert after == before, (after, before)


if first == 'jointpose':
    import_interface_first()
import tensorflow as tf  # noqa: E402

expected = state(tf)
assert {
    name: expected[name]
    for name in ('eager', 'tf2', 'variables', 'control flow', 'equality', 'data')
} == (dict.fromkeys(('eager', 'tf2', 'variables', 'control flow', 'equality', 'data'), True)), (
    expected
)
assert expected['shapes'] is not tf.compat.v1.Dimension
jointpose = importlib.import_module('jointpose')
image = jointpose.read(picture)
with (
    jointpose.load('pretrained/flic', '--scales', 'single', '--zooms', '1') as find,
    concurrent.futures.ThreadPoolExecutor(1) as pool,
    tempfile.TemporaryDirectory() as folder,
):
    found = [find(image)]
    beside = pool.submit(find, image)
    use_tensorflow_2(tf, folder)
    found.append(beside.result())
    # From a function that is being traced, where the graph is TensorFlow's.
    tf.function(lambda: found.append(find(image)) or tf.constant(0))()
try:
    jointpose.load('pretrained/flic', '--no_such_option')
except ValueError as error:
    assert 'no_such_option' in str(error)
assert state(tf) == expected, (state(tf), expected)
np.save(out, np.stack([people[0].joints_xy for people in found]))
