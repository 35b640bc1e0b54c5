"""The part detector: a multi-resolution convolutional network, one heat map per joint (paper, section 3.1).

Three banks with weights of their own see the frame at full, half and quarter resolution.  Each is
    conv5x5/2 F1, pool, conv5x5 F2, pool, conv5x5 F3, conv9x9 F4
and every convolution is SAME, + bias, ReLU, then batch norm.  The banks' maps are brought to 60x90 and averaged,
then conv9x9 F5 (ReLU, batch norm) and conv9x9 to the 9 joints' logits.  At full width F = 64 128 256 512 512:
56,543,808 convolution weights; `--width` scales every F, `--debug` is a quarter of it.
"""

import collections

from jointpose.datasets.flic import MAP_HEIGHT, MAP_WIDTH, N_JOINTS
from jointpose.nn.layers import batch_norm, conv_bias, max_pool, spatial_softmax
from jointpose.nn.sums import ordered_sum
from jointpose.nn.tf1 import tf

BANKS = ('full', 'half', 'quarter')  # of the frame's resolution
CHANNELS = (1, 2, 4, 8, 8)  # of the layers, times `width`

# logits, heat_maps (their spatial softmax): float32 [n, 60, 90, 9].
# layers: {name: activation after batch norm}.  statistics: {moving average: this batch's value}, empty unless training.
PartDetector = collections.namedtuple('PartDetector', 'logits heat_maps layers statistics')


def build(
    images,
    width=64,
    training=False,
    conv='auto',
    normalise=True,
    drop=None,
    banks=3,
    frozen=False,
    dtype=tf.float32,
    n=None,
):
    """images: uint8 [n, 480, 720, 3] RGB.  Returns a PartDetector; variables come from the current variable scope.

    width: channels of the first layers, the others in proportion.
    training: normalise by the batch's statistics (True) or by the moving averages (False).
    conv: 'auto' | 'direct' | 'fft', how the convolutions without stride are computed (convolution.py).  Without
    `training`, the filters' transforms are kept: run it within convolution.spectra.
    normalise: False leaves the batch norms out (an ablation).
    drop: what becomes of the maps before conv5, if anything: layers.dropout.
    banks: so many of BANKS, the finest first.
    frozen: normalise by the moving averages in training, too, and leave them as they are.
    dtype: what the layers are computed in, tf.float32 or tf.bfloat16.  Weights, batch norm's statistics, the mean of
    the banks and the logits are float32 in any case.
    n: the batch to be expected in training, for the choice of how to convolve.
    """
    f1, f2, f3, f4, f5 = (width * factor for factor in CHANNELS)
    layers, statistics = {}, {}

    def layer(x, name, size, channels, stride=1):
        with tf.variable_scope(name):
            x = tf.nn.relu(
                conv_bias(tf.cast(x, dtype), size, channels, stride, conv, training, n=n)
            )
            layers[name], moments = batch_norm(x, training and not frozen) if normalise else (x, {})
            statistics.update(moments)
        return layers[name]

    image = tf.cast(images, dtype) / 255  # [n, 480, 720, 3]
    maps = []
    for bank in BANKS[:banks]:
        x = layer(image, f'conv1_{bank}', 5, f1, stride=2)  # [n, 240, 360, f1] in the full bank
        x = layer(max_pool(x), f'conv2_{bank}', 5, f2)  # [n, 120, 180, f2]
        x = layer(max_pool(x), f'conv3_{bank}', 5, f3)  # [n, 60, 90, f3]
        x = layer(x, f'conv4_{bank}', 9, f4)  # [n, 60, 90, f4]
        maps.append(enlarge(x))  # [n, 60, 90, f4] in every bank
        image = tf.nn.avg_pool2d(image, 2, 2, 'VALID')  # halving by bilinear interpolation is this
    x = ordered_sum(maps) / len(maps)  # [n, 60, 90, f4]
    x = layer(drop(x) if drop else x, 'conv5', 9, f5)  # [n, 60, 90, f5]
    with tf.variable_scope('conv6'):
        logits = tf.cast(
            conv_bias(x, 9, N_JOINTS, 1, conv, training, n=n), tf.float32
        )  # [n, 60, 90, 9]
    return PartDetector(logits, spatial_softmax(logits), layers, statistics)


def enlarge(x):
    """Bilinear to the 60x90 grid.  The quarter bank has 23 columns of 4 cells, so 92 are made and 2 cut:
    stretching 23 to 90 would shift the right edge by two cells."""
    height, width = x.shape.as_list()[1:3]
    if (height, width) == (MAP_HEIGHT, MAP_WIDTH):
        return tf.cast(x, tf.float32)  # as `resize` makes it
    factor = -(-MAP_HEIGHT // height)
    x = tf.compat.v2.image.resize(x, [factor * height, factor * width])  # half-pixel centres
    return tf.slice(
        x, [0, 0, 0, 0], [-1, MAP_HEIGHT, MAP_WIDTH, -1]
    )  # a plain index costs more backwards
