"""TensorFlow 1.x style on today's TensorFlow: every module says `from jointpose.nn.tf1 import tf`.

Graphs and sessions of our own work beside eager execution: a program that imports this keeps its
TensorFlow 2.  In a process of our own (utils/startup.py) TensorFlow is imported faster, and has 1.x
behaviour throughout.
"""

import contextlib
import gc
import os
import re
import sys
from collections.abc import Iterator

from jointpose.utils.terminal import quiet_stderr

# Read when TensorFlow is imported.  '1' is twice as fast, and not the default on every CPU.
ONEDNN = 'TF_ENABLE_ONEDNN_OPTS'


def import_beside_others():
    """TensorFlow as it is, the environment unchanged.

    If this is the first import and the environment does not say otherwise, oneDNN is on.
    """
    given = ONEDNN in os.environ
    os.environ.setdefault(ONEDNN, '1')
    try:
        import tensorflow.compat.v1 as tf
    finally:
        if not given:
            del os.environ[ONEDNN]
    return tf


def import_for_ourselves():
    """TensorFlow with 1.x behaviour, imported in half the time."""
    os.environ.setdefault(ONEDNN, '1')
    # Otherwise a fifth of the import's time goes to Keras 3.
    os.environ.setdefault('TF_USE_LEGACY_KERAS', '1')
    # Hides the C++ side's notes, once it has read this variable; a few come before that.
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
    gc.disable()  # a tenth of the import's time; what the import makes is no garbage
    with quiet_stderr(), withheld('scipy.sparse', 'h5py'):
        import tensorflow.compat.v1 as tf
    gc.freeze()  # otherwise each full collection, also one at the end, visits all of it: 0.2 s
    gc.enable()
    tf.logging.set_verbosity(tf.logging.ERROR)
    tf.disable_v2_behavior()
    tf.enable_resource_variables()  # reads and updates within a step are ordered
    return tf


@contextlib.contextmanager
def withheld(*names: str) -> Iterator[None]:
    """Within it these modules cannot be imported, unless they have been already.

    TensorFlow takes them, if it finds them, for the Keras that is not used here.
    """
    names = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(names))  # None: the import system takes it for absent
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


def short_message(error: Exception) -> str:
    """A TensorFlow error's message in one line, without stack traces and names of nodes."""
    text = re.split(r'Traceback \(most recent|\[\[', str(error))[0]
    noise = r"Graph execution error:|Node: '.*'|transformation with iterator: \S+:"
    return ' '.join(re.split(noise, text)[-1].split())


tf = import_for_ourselves() if 'jointpose.utils.startup' in sys.modules else import_beside_others()
