"""Layers: convolution, batch norm, dropout, pooling, and the softmax over a map's cells."""

import binascii
from collections.abc import Sequence

import numpy as np

from jointpose.nn import fft_conv
from jointpose.nn.tf1 import tf

EPSILON = 1e-3  # added to the batch norms' variance
AVERAGE_SUFFIX = '/average'  # NAME/average is the moving average of the weights NAME


def averaged_weights():
    """A variable scope in which NAME/average stands for each trainable variable NAME."""

    def average(getter, name, *args, trainable=True, **kwargs):
        if trainable is False:  # batch norm's moving averages, cached transforms
            return getter(name, *args, trainable=False, **kwargs)
        return getter(name + AVERAGE_SUFFIX, *args, trainable=False, **kwargs)

    return tf.variable_scope(tf.get_variable_scope(), custom_getter=average)


def new_weights(shape: Sequence[int], deviation: float | None) -> tf.Variable:
    """The variable `weights` [..., outputs], initialised from a truncated normal distribution.

    deviation: its standard deviation; None: He's.
    """
    if deviation is None:
        deviation = (2 / np.prod(shape[:-1])) ** 0.5
    # By default TensorFlow draws by the number of operations built so far: any change of the graph
    # would change the first values.
    seed = binascii.crc32(tf.get_variable_scope().name.encode())
    initializer = tf.truncated_normal_initializer(stddev=deviation, seed=seed)
    return tf.get_variable('weights', shape, initializer=initializer)


def conv(
    x: tf.Tensor,
    size: int,
    width: int,
    stride: int = 1,
    method: str = 'direct',
    training: bool = False,
    padding: str = 'SAME',
    deviation: float | None = None,
    groups: int = 1,
    n: int | None = None,
) -> tf.Tensor:
    """size x size convolution without bias, in x's type; the weights are float32.

    Args:
        x: [n, h, w, c].
        width: channels of the result.
        method: see fft_conv.conv2d; for 'SAME', without stride and groups.
        training: without it, the filters' transforms are cached (spectrum_cache.py).
        padding: 'SAME', 'VALID', or 'CENTRED', the same on every side, which with a stride samples
            x at 0, stride, 2 stride, ... where SAME pads the end first.
        deviation: see `new_weights`.
        groups: of channels; each group of outputs sees its own group of x.
        n: the expected batch size, see fft_conv.conv2d.
    """
    channels = x.shape.as_list()[-1]
    weights = new_weights([size, size, channels // groups, width], deviation)
    if stride > 1 or groups > 1 or padding == 'VALID':
        return grouped_conv(x, weights, stride, padding, groups)
    if training:
        return fft_conv.conv2d(x, weights, method, n=n)
    if fft_conv.choose_method(method, x, weights) == 'direct':
        return fft_conv.conv2d(x, weights, 'direct')
    spectrum = fft_conv.cached_filter_spectrum(weights, x.shape[1:3].as_list())
    return fft_conv.conv2d(x, weights, 'fft', spectrum)


def grouped_conv(
    x: tf.Tensor, weights: tf.Tensor, stride: int, padding: str, groups: int
) -> tf.Tensor:
    """tf.nn.conv2d of each group of channels; see `conv`."""
    if padding == 'CENTRED':
        margin = weights.shape.as_list()[0] // 2
        sides = [margin, margin]
        padding = [[0, 0], sides, sides, [0, 0]]
    inputs = tf.split(x, groups, axis=-1)
    filters = tf.split(tf.cast(weights, x.dtype), groups, axis=-1)
    outputs = [tf.nn.conv2d(part, w, stride, padding) for part, w in zip(inputs, filters)]
    return tf.concat(outputs, axis=-1)


def conv_bias(x: tf.Tensor, size: int, width: int, *args, **kwargs) -> tf.Tensor:
    """`conv` plus bias, which starts at 0.

    Not by tf.nn.bias_add, whose gradient on a CPU is summed in x's type: in bfloat16 it is 11 to
    84 % off.  In float32 it would save half a per cent of a training step.
    """
    y = conv(x, size, width, *args, **kwargs)
    return y + tf.cast(new_bias(width), y.dtype)


def new_bias(width: int) -> tf.Variable:
    """The variable `bias` [width], zero at first."""
    return tf.get_variable('bias', [width], initializer=tf.zeros_initializer())


def dense_bias(x: tf.Tensor, width: int, deviation: float | None = None) -> tf.Tensor:
    """A fully connected layer with bias: [b, c] -> [b, width].  deviation: see `new_weights`."""
    weights = new_weights([x.shape.as_list()[-1], width], deviation)
    return tf.matmul(x, weights) + new_bias(width)


def mean_relu_under_dropout(x: tf.Tensor, width: int, rate: float) -> tf.Tensor:
    """relu(dense_bias(dropout(x))), averaged over all that may be dropped: [b, c] -> [b, width].

    By the mean and the variance of the layer's sums, which are nearly normal, since many numbers are
    added ("fast dropout", Wang and Manning 2013).  The ReLU of the mean alone is too small.
    """
    weights = new_weights([x.shape.as_list()[-1], width], None)
    mean = tf.matmul(x, weights) + new_bias(width)
    variance = rate / (1 - rate) * tf.matmul(tf.square(x), tf.square(weights))
    deviation = tf.sqrt(tf.maximum(variance, 1e-12))
    z = mean / deviation
    positive = (1 + tf.math.erf(z / 2**0.5)) / 2  # probability of a positive sum
    density = tf.exp(-tf.square(z) / 2) / (2 * np.pi) ** 0.5
    return mean * positive + deviation * density


def batch_norm(x: tf.Tensor, training: bool) -> tuple[tf.Tensor, dict[tf.Variable, tf.Tensor]]:
    """Batch norm over all axes but the channels.

    x may be bfloat16; scale, offset and all statistics are float32.  The caller updates the moving
    averages, once a step for all towers together.

    Returns:
        (normalised x, {moving average: this batch's value}); {} unless training.
    """
    shape = [x.shape.as_list()[-1]]
    zeros = tf.zeros_initializer()
    ones = tf.ones_initializer()
    scale = tf.get_variable('scale', shape, initializer=ones)
    offset = tf.get_variable('offset', shape, initializer=zeros)
    mean = tf.get_variable('moving_mean', shape, initializer=zeros, trainable=False)
    variance = tf.get_variable('moving_variance', shape, initializer=ones, trainable=False)
    if not training:
        # Folded to one product and one sum.
        factor = scale * tf.rsqrt(variance + EPSILON)
        constant = offset - mean * factor
        return x * tf.cast(factor, x.dtype) + tf.cast(constant, x.dtype), {}
    # With 8 channels bfloat16's is slow: a step at --width 8 took 0.37 s with it, 0.24 s without;
    # with 16 it is not.
    fast = x if shape[0] % 16 == 0 else tf.cast(x, tf.float32)
    y, batch_mean, batch_variance = tf.nn.fused_batch_norm(
        fast, scale, offset, epsilon=EPSILON, is_training=True
    )
    return tf.cast(y, x.dtype), {mean: batch_mean, variance: batch_variance}


def dropout(x: tf.Tensor, rate: float, seed) -> tf.Tensor:
    """Each number of [b, c] is zero with probability `rate`; the others are scaled accordingly.

    Of [b, h, w, c], whole feature maps are zero (Tompson et al. 2015): neighbouring cells are too
    alike for dropout of cells.  seed: int [2]; equal seeds drop the same.
    """
    batch = tf.shape(x)[0]
    channels = x.shape.as_list()[-1]
    cells = [1] * (x.shape.ndims - 2)  # [] of [b, c], [1, 1] of [b, h, w, c]
    uniform = tf.random.stateless_uniform([batch, *cells, channels], seed)
    kept = tf.cast(uniform >= rate, tf.float32)
    return x * kept / (1 - rate)


def max_pool(x: tf.Tensor) -> tf.Tensor:
    """2x2 max pooling, stride 2, SAME."""
    return tf.nn.max_pool2d(x, 2, 2, 'SAME')


def spatial_softmax(logits: tf.Tensor) -> tf.Tensor:
    """[n, h, w, k] -> the same shape, each map a distribution over its h x w cells."""
    _, height, width, joints = logits.shape
    flat = tf.reshape(logits, [-1, height * width, joints])
    probabilities = tf.nn.softmax(flat, axis=1)
    return tf.reshape(probabilities, tf.shape(logits))


def enlarge_nearest(x: tf.Tensor, factor: int) -> tf.Tensor:
    """[n, h, w, c] -> [n, factor h, factor w, c]: each cell repeated."""
    if factor == 1:
        return x
    height, width, channels = x.shape.as_list()[1:]
    x = tf.reshape(x, [-1, height, 1, width, 1, channels])
    x = tf.tile(x, [1, 1, factor, 1, factor, 1])
    return tf.reshape(x, [-1, factor * height, factor * width, channels])


def squared_distance(
    maps: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor | None = None
) -> tf.Tensor:
    """Squared difference, sum over cells, mean over joints: float32 [b, h, w, k] twice -> [b].

    weights: [b, k], of each joint, e.g. 0 if it is not labelled; the mean is over all k joints.
    """
    each = tf.reduce_sum(tf.square(maps - targets), axis=[1, 2])  # [b, k]
    return tf.reduce_mean(each if weights is None else weights * each, axis=1)
