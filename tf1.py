"""TensorFlow 1.x style on today's TensorFlow, set up once: every module says `from tf1 import tf`."""
import os

os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '1')       # off by default on some CPUs, and twice as fast
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')        # start-up chatter of the C++ side

import tensorflow.compat.v1 as tf  # noqa: E402

tf.logging.set_verbosity(tf.logging.ERROR)
tf.disable_v2_behavior()
