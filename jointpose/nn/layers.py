"""Layers: convolution with bias, batch norm, pooling, and the softmax over a map's cells."""

import binascii

import numpy as np

from jointpose.nn import fft_conv
from jointpose.nn.tf1 import tf
from jointpose.vision.heatmaps import STRIDE

EPSILON = 1e-3  # added to the batch norms' variance
AVERAGE_SUFFIX = '/average'  # NAME/average is the moving average of the weights NAME


def averaged_weights():
    """A variable scope within which NAME/average stands for each trainable variable NAME."""

    def average(getter, name, *args, trainable=True, **kwargs):
        if trainable is False:  # batch norm's moving averages, kept transforms
            return getter(name, *args, trainable=False, **kwargs)
        return getter(name + AVERAGE_SUFFIX, *args, trainable=False, **kwargs)

    return tf.variable_scope(tf.get_variable_scope(), custom_getter=average)


def new_weights(shape, deviation):
    """The variable `weights` [..., outputs], from a truncated normal, He's if `deviation` is None."""
    if deviation is None:
        deviation = (2 / np.prod(shape[:-1])) ** 0.5
    # TensorFlow would draw by the number of operations built so far: any change of the graph would change the start.
    seed = binascii.crc32(tf.get_variable_scope().name.encode())
    return tf.get_variable(
        'weights', shape, initializer=tf.truncated_normal_initializer(stddev=deviation, seed=seed)
    )


def conv(
    x,
    size,
    width,
    stride=1,
    method='direct',
    training=False,
    padding='SAME',
    deviation=None,
    groups=1,
    n=None,
):
    """size x size convolution without bias, in x's type.  Weights are float32; they start from a truncated normal, He's
    if no `deviation` is given.

    padding: 'SAME', 'VALID', or 'CENTRED', the same on every side, which with a stride samples x at 0, stride,
    2 stride, ... where SAME pads the end first.
    groups: of channels; each group of outputs sees its own of x.
    method, training, n: see convolution.conv2d; for 'SAME' without stride and groups.
    """
    weights = new_weights([size, size, x.shape.as_list()[-1] // groups, width], deviation)
    if stride > 1 or groups > 1 or padding == 'VALID':
        sides = [size // 2] * 2
        padding = [[0, 0], sides, sides, [0, 0]] if padding == 'CENTRED' else padding
        parts = zip(
            tf.split(x, groups, axis=-1), tf.split(tf.cast(weights, x.dtype), groups, axis=-1)
        )
        return tf.concat(
            [tf.nn.conv2d(part, filters, stride, padding) for part, filters in parts], axis=-1
        )
    if training:
        return fft_conv.conv2d(x, weights, method, n=n)
    if fft_conv.choose_method(method, x, weights) == 'direct':
        return fft_conv.conv2d(x, weights, 'direct')
    return fft_conv.conv2d(
        x, weights, 'fft', fft_conv.cached_filter_spectrum(weights, x.shape[1:3].as_list())
    )


def conv_bias(x, size, width, *args, **kwargs):
    """The same plus bias, which starts at 0.

    Not by tf.nn.bias_add, whose gradient on a CPU is summed in x's type: in bfloat16 it is 11 to 84 % off.  In float32
    it would save half a per cent of a training step.
    """
    y = conv(x, size, width, *args, **kwargs)
    return y + tf.cast(
        tf.get_variable('bias', [width], initializer=tf.zeros_initializer()), y.dtype
    )


def dense_bias(x, width, deviation=None):
    """[b, c] -> [b, width]: all numbers with all, plus bias; weights and bias start as those of `conv_bias`."""
    y = tf.matmul(x, new_weights([x.shape.as_list()[-1], width], deviation))
    return y + tf.get_variable('bias', [width], initializer=tf.zeros_initializer())


def batch_norm(x, training):
    """Batch norm over all but the channels.  Returns (normalised x, {moving average: this batch's value}).

    x may be bfloat16; scale, offset and all statistics are float32.  The caller updates the moving averages, once a
    step for all towers together.
    """
    shape = [x.shape.as_list()[-1]]
    scale = tf.get_variable('scale', shape, initializer=tf.ones_initializer())
    offset = tf.get_variable('offset', shape, initializer=tf.zeros_initializer())
    mean = tf.get_variable(
        'moving_mean', shape, initializer=tf.zeros_initializer(), trainable=False
    )
    variance = tf.get_variable(
        'moving_variance', shape, initializer=tf.ones_initializer(), trainable=False
    )
    if not training:
        factor = scale * tf.rsqrt(variance + EPSILON)  # folded to one product and one sum
        return x * tf.cast(factor, x.dtype) + tf.cast(offset - mean * factor, x.dtype), {}
    # With 8 channels bfloat16's is slow: a step at --width 8 took 0.37 s with it, 0.24 without; with 16 it is not.
    fast = x if shape[0] % 16 == 0 else tf.cast(x, tf.float32)
    y, batch_mean, batch_variance = tf.nn.fused_batch_norm(
        fast, scale, offset, epsilon=EPSILON, is_training=True
    )
    return tf.cast(y, x.dtype), {mean: batch_mean, variance: batch_variance}


def dropout(x, rate, seed):
    """Each number of [b, c] is zero with probability `rate`, the others are scaled to make up for it.  Of [b, h, w, c]
    whole feature maps are zero (Tompson et al. 2015): neighbouring cells are too alike for dropout of cells.
    seed: int [2], equal ones drop the same.
    """
    among = [1] * (x.shape.ndims - 2)
    uniform = tf.random.stateless_uniform([tf.shape(x)[0], *among, x.shape.as_list()[-1]], seed)
    return x * tf.cast(uniform >= rate, tf.float32) / (1 - rate)


def max_pool(x):
    return tf.nn.max_pool2d(x, 2, 2, 'SAME')


def spatial_softmax(logits):
    """[n, h, w, k] -> the same shape, each map a distribution over its h x w cells."""
    flat = tf.reshape(logits, [-1, logits.shape[1] * logits.shape[2], logits.shape[3]])
    return tf.reshape(tf.nn.softmax(flat, axis=1), tf.shape(logits))


def enlarge_nearest(x, factor):
    """[n, h, w, c] -> [n, factor h, factor w, c]: each cell repeated."""
    if factor == 1:
        return x
    height, width, channels = x.shape.as_list()[1:]
    x = tf.reshape(x, [-1, height, 1, width, 1, channels])
    x = tf.tile(x, [1, 1, factor, 1, factor, 1])
    return tf.reshape(x, [-1, factor * height, factor * width, channels])


def squared_distance(maps, targets, weights=None):
    """Sum over cells, mean over joints, of the squared difference: float32 [b, h, w, k] twice -> [b].

    weights: [b, k], what each joint counts, e.g. 0 where it is not labelled; the mean is over all k joints still.
    """
    each = tf.reduce_sum(tf.square(maps - targets), axis=[1, 2])  # [b, k]
    return tf.reduce_mean(each if weights is None else weights * each, axis=1)


def peak_positions(maps, move):
    """Where each map peaks: float32 [n, h, w, k] -> float64 [n, k, 2] (x, y), in cells.

    move(before, at, after) -> how far the peak lies from its cell's centre along an axis, of the values of the cell and
    of its neighbours there, float64 [n * k]; at the map's border it is not asked.  In float64, since of nearly equal
    cells float32 leaves few digits; it is three numbers a map and axis only.
    """
    height, width, k = maps.shape.as_list()[1:]
    maps = tf.reshape(tf.transpose(maps, [0, 3, 1, 2]), [-1, height * width])  # [n k, h w]
    cells, first = tf.reshape(maps, [-1]), tf.range(tf.shape(maps)[0]) * (height * width)
    peak = tf.argmax(maps, axis=1, output_type=tf.int32)  # [n k]

    def along(index, length, stride):
        steps = [tf.clip_by_value(index + i, 0, length - 1) - index for i in (-1, 0, 1)]
        moved = move(
            *(tf.cast(tf.gather(cells, first + peak + step * stride), tf.float64) for step in steps)
        )
        inside = tf.logical_and(index > 0, index < length - 1)
        return tf.cast(index, tf.float64) + moved * tf.cast(inside, tf.float64)

    x_y = tf.stack([along(peak % width, width, 1), along(peak // width, height, width)], axis=-1)
    return tf.reshape(x_y, [-1, k, 2])


def quarter_offset(before, at, after):
    """The move of heatmaps.decode_quarter_cell."""
    return 0.25 * tf.sign(after - before)


def parabola_offset(before, at, after):
    """The move of heatmaps.decode: the vertex of the parabola through the logarithms."""
    before, at, after = (tf.log(tf.maximum(x, 1e-12 * at + 1e-300)) for x in (before, at, after))
    return tf.clip_by_value(
        (before - after) / (2 * tf.minimum(before - 2 * at + after, -1e-12)), -0.5, 0.5
    )


def decode(maps):
    """heatmaps.decode in the graph: float32 [n, h, w, k] -> float32 [n, k, 2] (x, y) pixels."""
    return tf.cast(peak_positions(maps, parabola_offset) * STRIDE + STRIDE / 2, tf.float32)
