"""Positions of the peaks of heat maps, in the graph."""

from collections.abc import Callable

from jointpose.nn.tf1 import tf
from jointpose.vision.heatmaps import STRIDE

Offset = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]


def peak_positions(maps: tf.Tensor, offset: Offset) -> tf.Tensor:
    """Where each map peaks: float32 [n, h, w, k] -> float64 [n, k, 2] (x, y), in cells.

    offset(before, at, after): how far the peak lies from its cell's centre along an axis, by the
    values of the cell and of its two neighbours there, float64 [n * k].  It is 0 at a map's border.
    Float64, since float32 leaves few digits of nearly equal cells; it is three numbers a map and
    axis only.
    """
    height, width, k = maps.shape.as_list()[1:]
    maps = tf.reshape(tf.transpose(maps, [0, 3, 1, 2]), [-1, height * width])  # [n k, h w]
    cells = tf.reshape(maps, [-1])
    first = tf.range(tf.shape(maps)[0]) * (height * width)  # [n k]: of each map, in `cells`
    peak = tf.argmax(maps, axis=1, output_type=tf.int32)  # [n k]

    def along(index, length, stride):
        values = []
        for step in (-1, 0, 1):
            moved = tf.clip_by_value(index + step, 0, length - 1) - index
            value = tf.gather(cells, first + peak + moved * stride)
            values.append(tf.cast(value, tf.float64))
        inside = tf.logical_and(index > 0, index < length - 1)
        return tf.cast(index, tf.float64) + offset(*values) * tf.cast(inside, tf.float64)

    x = along(peak % width, width, 1)
    y = along(peak // width, height, width)
    return tf.reshape(tf.stack([x, y], axis=-1), [-1, k, 2])


def quarter_offset(before: tf.Tensor, at: tf.Tensor, after: tf.Tensor) -> tf.Tensor:
    """The offset of heatmaps.decode_quarter_cell."""
    return 0.25 * tf.sign(after - before)


def parabola_offset(before: tf.Tensor, at: tf.Tensor, after: tf.Tensor) -> tf.Tensor:
    """The offset of heatmaps.decode: the vertex of the parabola through the logarithms."""
    before, at, after = (tf.log(tf.maximum(x, 1e-12 * at + 1e-300)) for x in (before, at, after))
    curvature = tf.minimum(before - 2 * at + after, -1e-12)
    return tf.clip_by_value((before - after) / (2 * curvature), -0.5, 0.5)


def decode(maps: tf.Tensor) -> tf.Tensor:
    """heatmaps.decode in the graph: float32 [n, h, w, k] -> float32 [n, k, 2] (x, y) pixels."""
    return tf.cast(peak_positions(maps, parabola_offset) * STRIDE + STRIDE / 2, tf.float32)
