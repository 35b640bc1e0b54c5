"""TensorFlow 1.x style on today's TensorFlow, set up once: every module says `from engine.tf1 import tf`."""
import contextlib
import os

os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '1')       # off by default on some CPUs, and twice as fast
os.environ.setdefault('TF_USE_LEGACY_KERAS', '1')         # or the import spends a fifth of its time on Keras 3
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')        # the C++ side's notes, once it reads this variable
os.environ.setdefault('TF_USE_LEGACY_KERAS', '1')         # spares the import Keras, which nothing here uses


@contextlib.contextmanager
def quiet_stderr():
    """The C++ side also prints a few notes before it reads its log level; errors of the import are still raised."""
    kept = os.dup(2)
    with open(os.devnull, 'w') as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


with quiet_stderr():
    import tensorflow.compat.v1 as tf

tf.logging.set_verbosity(tf.logging.ERROR)
tf.disable_v2_behavior()
tf.enable_resource_variables()            # reads and updates within a step are ordered
