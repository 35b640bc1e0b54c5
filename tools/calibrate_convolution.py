"""Calibrates the cost model by which training chooses a convolution method (nn/tiling.py).

    python -m tools.calibrate_convolution             # takes some minutes
    python -m tools.calibrate_convolution --forget    # restores the defaults

Layers are timed forward and backward, with tiles of several sizes and with tf.nn.conv2d, in CPU
seconds, which other programs disturb less than wall-clock seconds.  The fit minimises relative
errors; no cost is negative, and all are held near those of a Zen 4 (PRIOR), since few timings do
not separate the cost of products from that of transforms.

The costs are stored in the user's cache, for this processor, number of cores and version of
TensorFlow; a damaged file is ignored.  A training that is resumed with other costs than it began
with prints a warning: the last digits of its results differ.
"""

import json
import os
import resource
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.optimize

from jointpose.nn import fft_conv, tiling
from jointpose.nn.tf1 import tf
from jointpose.training.devices import session_config
from jointpose.utils import cli, files
from jointpose.utils.errors import InputError

ROUNDS = 3  # timed runs of a layer after a warm-up; their median counts
OUTPUTS = (8, 12, 15, 20, 30)  # outputs of a tile along a side
PRIOR = tiling.WITHOUT_AMX  # {type: tiling.Costs}
PRIOR_WEIGHT = 0.3  # a cost twice that of the prior counts as much as 0.3 timings off by 100 %


class Layer(NamedTuple):
    """A convolution of [n, h, w, c] with filters [k, k, c, f]."""

    n: int  # samples
    h: int  # rows
    w: int  # columns
    k: int  # side of the filters
    c: int  # input channels
    f: int  # output channels


class Timing(NamedTuple):
    """CPU seconds of a layer's forward and backward pass."""

    layer: Layer
    outputs: int | None  # outputs of a tile along a side; None: tf.nn.conv2d
    seconds: float


# Layers of the part detector at an eighth and a quarter of the full width.
LAYERS = (
    Layer(4, 120, 180, 5, 16, 32),
    Layer(4, 60, 90, 5, 32, 64),
    Layer(4, 60, 90, 9, 32, 64),
    Layer(4, 60, 90, 9, 128, 128),
    Layer(4, 60, 90, 9, 128, 9),
    Layer(4, 30, 45, 9, 64, 128),
    Layer(7, 15, 23, 9, 64, 128),
)


def main():
    """Calibrates this machine and stores the costs, or removes them with --forget."""
    args = parse_options()
    path = tiling.calibration_file()
    stored = read(path)
    if args.forget:
        stored.pop(tiling.machine_name(), None)
    else:
        stored[tiling.machine_name()] = calibrate_machine()
    write(path, stored)
    plural = '' if len(stored) == 1 else 's'
    print(f'{path}: {len(stored)} machine{plural}')


def calibrate_machine() -> dict[str, dict]:
    """{type: {cost: number}} of the types that the processor computes in."""
    types = [tf.float32]
    if not {'avx512_bf16', 'amx_bf16'}.isdisjoint(tiling.processor_flags()):
        types.append(tf.bfloat16)
    return {dtype.name: calibrate(dtype)._asdict() for dtype in types}


def parse_options():
    """The command line's options."""
    parser = cli.Parser(description=__doc__)
    parser.add_argument(
        '--forget',
        action='store_true',
        help="remove this machine's costs: the defaults apply again",
    )
    return parser.parse_args()


def read(path: str) -> dict:
    """{machine: {type: {cost: number}}}; {} if the file does not exist or is damaged."""
    try:
        with open(path, encoding='utf-8') as file:
            stored = json.load(file)
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}


def write(path: str, stored: dict) -> None:
    """Writes the costs of all machines, atomically."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with files.atomic_write(path) as partial, open(partial, 'w', encoding='utf-8') as file:
        json.dump(stored, file, indent=1)


def calibrate(dtype) -> tiling.Costs:
    """Times all layers in a type, fits the costs and prints them."""
    timings = []
    for layer in LAYERS:
        for outputs in (None, *OUTPUTS):
            if outputs is None or outputs <= layer.h:
                seconds = seconds_of(layer, outputs, dtype)
                timings.append(Timing(layer, outputs, seconds))
    costs, error = fit(timings, PRIOR[dtype.name])
    numbers = ', '.join(f'{name} {value:.3g}' for name, value in costs._asdict().items())
    print(f'{dtype.name}: {numbers}; {len(timings)} timings, median error {error:.0%}', flush=True)
    return costs


def seconds_of(layer: Layer, outputs: int | None, dtype) -> float:
    """CPU seconds of a forward and backward pass, with the gradients of input and filters."""
    n, h, w, k, c, f = layer
    rng = np.random.default_rng(0)

    def variable(*shape):
        return tf.Variable(rng.normal(size=shape).astype(np.float32))

    with tf.Graph().as_default(), tf.Session(config=session_config([])) as session:
        x = tf.cast(variable(n, h, w, c), dtype)
        filters = variable(k, k, c, f)
        dy = tf.cast(variable(n, h, w, f), dtype)
        if outputs is None:
            y = fft_conv.conv2d(x, filters, 'direct')
        else:
            y = fft_conv.tiled_conv2d(x, filters, layer_tiling(layer, outputs))
        results = [y, *tf.gradients(y, [x, filters], dy)]
        # One number of each: copying whole arrays out of the session takes time, too.
        corners = [result[:1, :1, :1, :1] for result in results]
        session.run(tf.global_variables_initializer())
        return cpu_seconds(lambda: session.run(corners))


def layer_tiling(layer: Layer, outputs: int) -> tiling.Tiling:
    """The tiling of a layer with square tiles, cut to the width of its maps."""
    return tiling.make_tiling(layer.k, (layer.h, layer.w), (outputs, min(outputs, layer.w)))


def cpu_seconds(run: Callable) -> float:
    """CPU seconds of a call over all threads: the median of ROUNDS calls after a warm-up."""
    run()
    seconds = []
    for _ in range(ROUNDS):
        began = cpu_clock()
        run()
        seconds.append(cpu_clock() - began)
    return float(np.median(seconds))


def cpu_clock() -> float:
    """CPU seconds of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def fit(
    timings: list[Timing], prior: tiling.Costs, weight: float = PRIOR_WEIGHT
) -> tuple[tiling.Costs, float]:
    """Fits the costs to timings by non-negative least squares of relative errors.

    Args:
        timings: of layers with tiles and with tf.nn.conv2d.
        prior: the costs that the fitted ones are held near.
        weight: how strongly, see PRIOR_WEIGHT.

    Returns:
        the costs, relative to that of a product, and the median relative error of timings of tiles.
    """
    tiled = [timing for timing in timings if timing.outputs]
    direct = [timing for timing in timings if not timing.outputs]
    seconds = np.array([timing.seconds for timing in tiled])
    costs = np.array([1, prior.filter, prior.sample, prior.column])  # a product costs 1
    parts = np.array([operation_counts(timing) for timing in tiled]) * costs  # [timings, 4]
    product_seconds = np.median(seconds / parts.sum(axis=1))  # of a product, by the prior
    relative = parts * product_seconds / seconds[:, None]  # rows sum to 1 if the prior is right

    rows = np.vstack([relative, np.sqrt(weight) * np.eye(4)])
    targets = np.concatenate([np.ones(len(tiled)), np.full(4, np.sqrt(weight))])
    factors, _ = scipy.optimize.nnls(rows, targets)  # of the prior's costs
    if factors[0] == 0:
        raise InputError(
            'the timings are inconsistent: products cost nothing; try again on an idle machine'
        )
    product, *others = factors * costs
    direct_seconds = [timing.seconds / direct_products(timing.layer) for timing in direct]
    direct_cost = np.median(direct_seconds) / product_seconds
    fitted = [float(cost / product) for cost in (*others, direct_cost)]
    error = float(np.median(np.abs(relative @ factors - 1)))
    return tiling.Costs(*fitted, max(OUTPUTS)), error


def operation_counts(timing: Timing):
    """tiling.operation_counts of a layer with tiles: numbers of operations of each of four kinds."""
    layer = timing.layer
    tiles = layer_tiling(layer, timing.outputs)
    return tiling.operation_counts(tiles, layer.n, layer.c, layer.f)


def direct_products(layer: Layer) -> int:
    """The number of multiply-adds of tf.nn.conv2d."""
    n, h, w, k, c, f = layer
    return n * h * w * k * k * c * f


if __name__ == '__main__':
    cli.run_script(main)
