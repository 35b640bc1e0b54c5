"""The part detector: a multi-resolution convolutional network, one heat map per joint.

                full resolution   conv1 conv2 conv3 conv4
    frame       half              conv1 conv2 conv3 conv4   mean   conv5 conv6   logits
    480 x 720   quarter           conv1 conv2 conv3 conv4                        60 x 90 x 9

Tompson, Jain, LeCun, Bregler (NIPS 2014), section 3.1.  Each resolution has a bank of four layers
with weights of its own: the coarser the picture, the more context a filter sees.  With F = `width`
times 1, 2, 4, 8, 8:

    layer    filters     stride   cells of the full bank
    conv1    5x5, F1     2        240 x 360   then 2x2 max pooling
    conv2    5x5, F2     1        120 x 180   then 2x2 max pooling
    conv3    5x5, F3     1         60 x  90
    conv4    9x9, F4     1         60 x  90
    conv5    9x9, F5     1         60 x  90   of the banks' mean
    conv6    9x9, 9      1         60 x  90   the logits: without ReLU and batch norm

A layer is a SAME convolution, bias, ReLU, then batch norm.  At full width, 64, there are 56,543,808
convolution weights.

Arrays: n frames.  A heat map has 60 rows and 90 columns of 8x8 pixels (vision/heatmaps.py).  These
are FLIC's numbers: frames may have any size in multiples of 32 pixels, and any number of joints.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from jointpose.datasets.flic import N_JOINTS
from jointpose.nn.layers import batch_norm, conv_bias, max_pool, spatial_softmax
from jointpose.nn.sums import ordered_sum
from jointpose.nn.tf1 import tf
from jointpose.vision.heatmaps import STRIDE

BANKS = ('full', 'half', 'quarter')  # of the frame's resolution
CHANNELS = (1, 2, 4, 8, 8)  # of conv1 to conv5, times `width`


class PartDetector(NamedTuple):
    """The network's tensors."""

    logits: tf.Tensor  # float32 [n, 60, 90, 9]
    heat_maps: tf.Tensor  # float32 [n, 60, 90, 9]: each a distribution over its cells
    layers: dict[str, tf.Tensor]  # the activations of conv1 to conv5, after batch norm
    statistics: dict[tf.Variable, tf.Tensor]  # moving average -> the batch's value, in training


def build(
    images: tf.Tensor,
    width: int = 64,
    training: bool = False,
    conv: str = 'auto',
    normalise: bool = True,
    drop: Callable[[tf.Tensor], tf.Tensor] | None = None,
    banks: int = 3,
    frozen: bool = False,
    dtype: tf.DType = tf.float32,
    n: int | None = None,
    n_joints: int = N_JOINTS,
) -> PartDetector:
    """Builds the network; its variables come from the current variable scope.

    Args:
        images: uint8 [n, 480, 720, 3] RGB; height and width are multiples of 32.
        width: channels of conv1; the other layers have them in proportion.
        training: normalise by the batch's statistics, else by the moving averages.
        conv: how convolutions of stride 1 are computed: 'direct', 'fft', or 'auto', the cheaper.
            Unless `training`, the filters' transforms are cached: run the graph within
            spectrum_cache.filled.
        normalise: False leaves batch norm out (ablation).
        drop: applied to the input of conv5, if given (layers.dropout).
        banks: the number of banks, the finest first.
        frozen: normalise by the moving averages in training, too, and do not update them.
        dtype: of the layers' arithmetic, tf.float32 or tf.bfloat16.  Weights, batch statistics, the
            mean of the banks and the logits are always float32.
        n: the expected batch size in training, by which 'auto' chooses.
        n_joints: number of heat maps, one a joint.
    """
    activations = {}
    statistics = {}

    def layer(x, name, size, channels, stride=1):
        with tf.variable_scope(name):
            x = tf.cast(x, dtype)
            x = conv_bias(x, size, channels, stride, conv, training, n=n)
            x = tf.nn.relu(x)
            if normalise:
                x, moments = batch_norm(x, training and not frozen)
                statistics.update(moments)
        activations[name] = x
        return x

    f1, f2, f3, f4, f5 = (width * factor for factor in CHANNELS)
    image = tf.cast(images, dtype) / 255  # [n, 480, 720, 3], 0 to 1
    map_size = [side // STRIDE for side in images.shape.as_list()[1:3]]  # 60, 90
    maps = []
    for bank in BANKS[:banks]:
        x = layer(image, f'conv1_{bank}', 5, f1, stride=2)  # [n, 240, 360, f1] in the full bank
        x = layer(max_pool(x), f'conv2_{bank}', 5, f2)  # [n, 120, 180, f2]
        x = layer(max_pool(x), f'conv3_{bank}', 5, f3)  # [n, 60, 90, f3]
        x = layer(x, f'conv4_{bank}', 9, f4)  # [n, 60, 90, f4]
        maps.append(enlarge(x, map_size))  # [n, 60, 90, f4] in every bank
        image = tf.nn.avg_pool2d(image, 2, 2, 'VALID')  # bilinear interpolation to half the size
    x = ordered_sum(maps) / len(maps)  # [n, 60, 90, f4]
    if drop:
        x = drop(x)
    x = layer(x, 'conv5', 9, f5)  # [n, 60, 90, f5]
    with tf.variable_scope('conv6'):
        x = conv_bias(x, 9, n_joints, 1, conv, training, n=n)  # [n, 60, 90, 9]
        logits = tf.cast(x, tf.float32)
    return PartDetector(logits, spatial_softmax(logits), activations, statistics)


def enlarge(x: tf.Tensor, map_size: Sequence[int]) -> tf.Tensor:
    """A bank's maps [n, h, w, c] -> float32 [n, *map_size, c], by bilinear interpolation.

    The quarter bank has 15 x 23 cells: they become 60 x 92, and two columns are cut.  Stretching 23
    columns to 90 would shift the right edge by two cells."""
    height, width = x.shape.as_list()[1:3]
    rows, columns = map_size
    if (height, width) == (rows, columns):
        return tf.cast(x, tf.float32)  # the type that `resize` returns
    factor = -(-rows // height)
    x = tf.compat.v2.image.resize(x, [factor * height, factor * width])  # half-pixel centres
    # x[:, :rows, :columns], whose gradient would be slower.
    return tf.slice(x, [0, 0, 0, 0], [-1, rows, columns, -1])
