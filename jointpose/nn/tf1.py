"""TensorFlow 1.x style on today's TensorFlow: every module says `from jointpose.nn.tf1 import tf`.

Graphs and sessions of our own work beside eager execution, so a program that imports this keeps its TensorFlow 2.  In a
process of our own (own_process.py) TensorFlow is imported faster, and has 1.x behaviour throughout.
"""

import contextlib
import gc
import os
import sys

from jointpose.utils.terminal import quiet_stderr

ONEDNN = 'TF_ENABLE_ONEDNN_OPTS'  # read by TensorFlow's import: '1' is twice as fast, and not every CPU's default


def import_beside_others():
    """TensorFlow as it is.  Where nobody has imported it yet and the environment does not say otherwise, oneDNN is on;
    the environment is left as it was."""
    said = ONEDNN in os.environ
    os.environ.setdefault(ONEDNN, '1')
    try:
        import tensorflow.compat.v1 as tf
    finally:
        if not said:
            del os.environ[ONEDNN]
    return tf


def import_for_ourselves():
    """TensorFlow with 1.x behaviour, imported in half the time."""
    os.environ.setdefault(ONEDNN, '1')
    os.environ.setdefault(
        'TF_USE_LEGACY_KERAS', '1'
    )  # or the import spends a fifth of its time on Keras 3
    os.environ.setdefault(
        'TF_CPP_MIN_LOG_LEVEL', '3'
    )  # the C++ side's notes, once it reads this variable
    gc.disable()  # a tenth of the import's time; what it makes is no garbage
    # quiet: the C++ side also prints a few notes before it reads its log level.
    with quiet_stderr(), withheld('scipy.sparse', 'h5py'):
        import tensorflow.compat.v1 as tf
    gc.freeze()  # or each full collection, one at the end too, looks at all of it: 0.2 s
    gc.enable()
    tf.logging.set_verbosity(tf.logging.ERROR)
    tf.disable_v2_behavior()
    tf.enable_resource_variables()  # reads and updates within a step are ordered
    return tf


@contextlib.contextmanager
def withheld(*names):
    """Within it these modules cannot be imported, unless they are there already: to TensorFlow they are optional, for
    the Keras that is not used here."""
    names = [name for name in names if name not in sys.modules]
    sys.modules.update(
        dict.fromkeys(names)
    )  # None: the import system's way to say that there is none
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


tf = import_for_ourselves() if 'jointpose.utils.startup' in sys.modules else import_beside_others()
