"""TensorFlow 1.x style on today's TensorFlow, set up once: every module says `from engine.tf1 import tf`."""
import gc
import os

from engine.files import quiet_stderr

os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '1')       # off by default on some CPUs, and twice as fast
os.environ.setdefault('TF_USE_LEGACY_KERAS', '1')         # or the import spends a fifth of its time on Keras 3
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')        # the C++ side's notes, once it reads this variable

gc.disable()                               # a tenth of the import's time; what it makes is no garbage
with quiet_stderr():                       # the C++ side also prints a few notes before it reads its log level
    import tensorflow.compat.v1 as tf
gc.enable()

tf.logging.set_verbosity(tf.logging.ERROR)
tf.disable_v2_behavior()
tf.enable_resource_variables()            # reads and updates within a step are ordered
