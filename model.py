"""The part detector: a multi-resolution convolutional network, one heat map per joint (paper, section 3.1).

Three banks with weights of their own see the frame at full, half and quarter resolution.  Each is
    conv5x5/2 F1, pool, conv5x5 F2, pool, conv5x5 F3, conv9x9 F4
and every convolution is SAME, + bias, ReLU, then batch norm.  The banks' maps are brought to 60x90 and averaged,
then conv9x9 F5 (ReLU, batch norm) and conv9x9 to the 9 joints' logits.  At full width F = 64 128 256 512 512:
56,543,808 convolution weights; `--width` scales every F, `--debug` is a quarter of it.
"""
import binascii
import collections
import contextlib

import convolution
from joints import MAP_HEIGHT, MAP_WIDTH, N_JOINTS
from tf1 import tf

CHANNELS = (1, 2, 4, 8, 8)              # of the layers, times `width`
DECAY, EPSILON = 0.9, 1e-3              # of the batch norms' moving averages; added to the variance
SPECTRA, TRANSFORMS = 'spectra', 'transforms'       # graph collections: kept variables; (variable, op that fills it)

# logits, heat_maps (their spatial softmax): float32 [n, 60, 90, 9].
# layers: {name: activation after batch norm}.  statistics: {moving average: this batch's value}, empty unless training.
PartDetector = collections.namedtuple('PartDetector', 'logits heat_maps layers statistics')


def build(images, width=64, training=False, conv='auto', normalise=True):
    """images: uint8 [n, 480, 720, 3] RGB.  Returns a PartDetector; variables come from the current variable scope.

    width: channels of the first layers, the others in proportion.
    training: normalise by the batch's statistics (True) or by the moving averages (False).
    conv: 'auto' | 'direct' | 'fft', how the convolutions without stride are computed (convolution.py).  Without
    `training`, the filters' transforms are kept: run it within `spectra`.
    normalise: False leaves the batch norms out (an ablation).
    """
    f1, f2, f3, f4, f5 = (width * factor for factor in CHANNELS)
    layers, statistics = {}, {}

    def layer(x, name, size, channels, stride=1):
        with tf.variable_scope(name):
            x = tf.nn.relu(conv_bias(x, size, channels, stride, conv, training))
            layers[name], moments = batch_norm(x, training) if normalise else (x, {})
            statistics.update(moments)
        return layers[name]

    image = tf.cast(images, tf.float32) / 255                           # [n, 480, 720, 3]
    banks = []
    for bank in ('full', 'half', 'quarter'):
        x = layer(image, f'conv1_{bank}', 5, f1, stride=2)              # [n, 240, 360, f1] in the full bank
        x = layer(max_pool(x), f'conv2_{bank}', 5, f2)                  # [n, 120, 180, f2]
        x = layer(max_pool(x), f'conv3_{bank}', 5, f3)                  # [n, 60, 90, f3]
        x = layer(x, f'conv4_{bank}', 9, f4)                            # [n, 60, 90, f4]
        banks.append(enlarge(x))                                        # [n, 60, 90, f4] in every bank
        image = tf.nn.avg_pool2d(image, 2, 2, 'VALID')                  # halving by bilinear interpolation is this
    x = layer(tf.add_n(banks) / len(banks), 'conv5', 9, f5)             # [n, 60, 90, f5]
    with tf.variable_scope('conv6'):
        logits = conv_bias(x, 9, N_JOINTS, 1, conv, training)           # [n, 60, 90, 9]
    return PartDetector(logits, spatial_softmax(logits), layers, statistics)


def conv_bias(x, size, width, stride, method, training):
    """size x size convolution, SAME, plus bias.  Weights start as He's truncated normal, biases at 0."""
    shape = [size, size, x.shape[-1].value, width]
    deviation = (2 / (size * size * shape[2])) ** 0.5
    # TensorFlow would draw by the number of operations built so far: any change of the graph would change the start.
    seed = binascii.crc32(tf.get_variable_scope().name.encode())
    weights = tf.get_variable('weights', shape,
                              initializer=tf.truncated_normal_initializer(stddev=deviation, seed=seed))
    bias = tf.get_variable('bias', [width], initializer=tf.zeros_initializer())
    if stride > 1:
        return tf.nn.conv2d(x, weights, stride, 'SAME') + bias
    if training or convolution.resolve(method, x, weights) == 'direct':
        return convolution.conv2d(x, weights, method) + bias
    return convolution.conv2d(x, weights, 'fft', kept_spectrum(weights, x.shape[1:3].as_list())) + bias


def kept_spectrum(weights, map_shape):
    """A variable for the weights' transform: no part of the model, hence of no checkpoint, and empty at first."""
    spectrum = convolution.filter_spectrum(weights, map_shape)
    kept = tf.get_variable('spectrum', spectrum.shape, initializer=tf.zeros_initializer(), trainable=False,
                           collections=[SPECTRA], use_resource=True)
    if not any(kept is other for other, _ in tf.get_collection(TRANSFORMS)):       # shared by the towers
        tf.add_to_collection(TRANSFORMS, (kept, kept.assign(spectrum)))
    return kept


def spectra_operations():
    """(transform, forget), the two operations that `spectra` runs; make them before the graph is finalized."""
    transforms = tf.get_collection(TRANSFORMS)
    return (tf.group(*(assign for _, assign in transforms)),
            tf.group(*(tf.raw_ops.DestroyResourceOp(resource=kept.handle) for kept, _ in transforms)))


@contextlib.contextmanager
def spectra(session, operations):
    """Inference runs within this: it transforms the present weights once, and gives the memory back at the end."""
    transform, forget = operations
    session.run(transform)
    try:
        yield
    finally:
        session.run(forget)


def batch_norm(x, training):
    """Batch norm over all but the channels.  Returns (normalised x, {moving average: this batch's value}).

    The caller updates the moving averages, once a step for all towers together.
    """
    shape = [x.shape[-1].value]
    scale = tf.get_variable('scale', shape, initializer=tf.ones_initializer())
    offset = tf.get_variable('offset', shape, initializer=tf.zeros_initializer())
    mean = tf.get_variable('moving_mean', shape, initializer=tf.zeros_initializer(), trainable=False)
    variance = tf.get_variable('moving_variance', shape, initializer=tf.ones_initializer(), trainable=False)
    if not training:
        factor = scale * tf.rsqrt(variance + EPSILON)                   # folded to one product and one sum
        return x * factor + (offset - mean * factor), {}
    y, batch_mean, batch_variance = tf.nn.fused_batch_norm(x, scale, offset, epsilon=EPSILON, is_training=True)
    return y, {mean: batch_mean, variance: batch_variance}


def max_pool(x):
    return tf.nn.max_pool2d(x, 2, 2, 'SAME')


def enlarge(x):
    """Bilinear to the 60x90 grid.  The quarter bank has 23 columns of 4 cells, so 92 are made and 2 cut:
    stretching 23 to 90 would shift the right edge by two cells."""
    height, width = x.shape[1].value, x.shape[2].value
    if (height, width) == (MAP_HEIGHT, MAP_WIDTH):
        return x
    factor = -(-MAP_HEIGHT // height)
    x = tf.compat.v2.image.resize(x, [factor * height, factor * width])          # half-pixel centres
    return x[:, :MAP_HEIGHT, :MAP_WIDTH]


def spatial_softmax(logits):
    """[n, h, w, k] -> the same shape, each map a distribution over its h x w cells."""
    flat = tf.reshape(logits, [-1, logits.shape[1] * logits.shape[2], logits.shape[3]])
    return tf.reshape(tf.nn.softmax(flat, axis=1), tf.shape(logits))
