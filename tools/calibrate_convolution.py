"""Fits the costs by which training chooses how to convolve (nn/tiling.py) to this machine's processor.

    python -m tools.calibrate_convolution           # some minutes; --forget takes it back

Layers are timed forward and backward, by tiles of several sizes and by tf.nn.conv2d, in CPU seconds, which other
programs on the machine disturb less than wall clock.  The costs are those of the least relative errors, none negative,
and held near those of a Zen 4 (PRIOR): few timings do not tell the costs of products and transforms apart.
They are kept in the user's cache, for this processor, number of cores and version of TensorFlow; a file that is
damaged is not read.  A training that is resumed with other costs than it began with says so: its last digits differ.
"""

import json
import os
import resource
from typing import NamedTuple

import numpy as np
import scipy.optimize

from jointpose.nn import fft_conv, tiling
from jointpose.nn.tf1 import tf
from jointpose.training.devices import session_config
from jointpose.utils import cli, files
from jointpose.utils.errors import InputError

ROUNDS = 3  # timed runs of a layer, after one more; their median counts
OUTPUTS = (8, 12, 15, 20, 30)  # of a tile along a side
PRIOR = tiling.WITHOUT_AMX
WEIGHT = 0.3  # a cost twice that of the prior counts as much as 0.3 timings off by 100 %


class Layer(NamedTuple):
    """A convolution: n maps [h, w], filters [k, k, c, f]."""

    n: int
    h: int
    w: int
    k: int
    c: int
    f: int


class Timing(NamedTuple):
    """CPU seconds of a layer's forward and backward pass."""

    layer: Layer
    outputs: int | None  # a side of the tiles; None: by tf.nn.conv2d
    seconds: float


# From the part detector at an eighth and a quarter of its width.
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
    args = parse_options()
    path = tiling.calibration_file()
    stored = read(path)
    if args.forget:
        stored.pop(tiling.machine_name(), None)
    else:
        has_bfloat16 = not {'avx512_bf16', 'amx_bf16'}.isdisjoint(tiling.processor_flags())
        types = [tf.float32] + [tf.bfloat16] * has_bfloat16
        stored[tiling.machine_name()] = {dtype.name: calibrate(dtype)._asdict() for dtype in types}
    write(path, stored)
    print(f'{path}: {len(stored)} machine{"s" * (len(stored) != 1)}')


def parse_options():
    parser = cli.Parser(description=__doc__)
    parser.add_argument(
        '--forget',
        action='store_true',
        help="removes this machine's costs: the defaults hold again",
    )
    return parser.parse_args()


def read(path):
    """{machine: {type: {cost: number}}}; {} if there is no file, or it is damaged."""
    try:
        with open(path, encoding='utf-8') as file:
            stored = json.load(file)
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}


def write(path, stored):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with files.atomic_write(path) as partial, open(partial, 'w', encoding='utf-8') as file:
        json.dump(stored, file, indent=1)


def calibrate(dtype):
    """Times all layers in a type and prints what comes of it; returns tiling.Costs."""
    timings = []
    for layer in LAYERS:
        for outputs in (None, *OUTPUTS):
            if outputs is None or outputs <= layer.h:
                timings.append(Timing(layer, outputs, seconds_of(layer, outputs, dtype)))
    costs, error = fit(timings, PRIOR[dtype.name])
    numbers = ', '.join(f'{name} {value:.3g}' for name, value in costs._asdict().items())
    print(f'{dtype.name}: {numbers}; {len(timings)} timings, median error {error:.0%}', flush=True)
    return costs


def seconds_of(layer, outputs, dtype):
    """CPU seconds of a forward and backward pass, of x and filters."""
    n, h, w, k, c, f = layer
    rng = np.random.default_rng(0)
    shapes = (n, h, w, c), (k, k, c, f), (n, h, w, f)
    with tf.Graph().as_default(), tf.Session(config=session_config([])) as session:
        arrays = [tf.Variable(rng.normal(size=shape).astype(np.float32)) for shape in shapes]
        x, dy = (tf.cast(array, dtype) for array in arrays[::2])
        if outputs is None:
            y = fft_conv.conv2d(x, arrays[1], 'direct')
        else:
            tiles = tiling.make_tiling(k, (h, w), (outputs, min(outputs, w)))
            y = fft_conv.tiled_conv2d(x, arrays[1], tiles)
        results = [y, *tf.gradients(y, [x, arrays[1]], dy)]
        corners = [result[:1, :1, :1, :1] for result in results]  # not to copy the rest out
        session.run(tf.global_variables_initializer())
        return cpu_seconds(lambda: session.run(corners))


def cpu_seconds(run):
    """The median of ROUNDS runs after one more, over all threads."""
    run()
    seconds = []
    for _ in range(ROUNDS):
        begun = cpu_clock()
        run()
        seconds.append(cpu_clock() - begun)
    return float(np.median(seconds))


def cpu_clock():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def fit(timings, prior, weight=WEIGHT):
    """(tiling.Costs, median relative error of the timings of tiles).  prior: Costs; weight: how much they count."""
    tiled = [timing for timing in timings if timing.outputs]
    direct = [timing for timing in timings if not timing.outputs]
    seconds = np.array([timing.seconds for timing in tiled])
    costs = np.array([1, prior.filter, prior.sample, prior.column])  # a product costs 1
    parts = np.array([amounts_of(timing) for timing in tiled]) * costs  # [timings, 4]
    unit = np.median(seconds / parts.sum(axis=1))  # seconds of a product, by the prior
    relative = parts * unit / seconds[:, None]  # rows sum to 1 where it fits
    rows = np.vstack([relative, np.sqrt(weight) * np.eye(4)])
    wanted = np.concatenate([np.ones(len(tiled)), np.full(4, np.sqrt(weight))])
    factors, _ = scipy.optimize.nnls(rows, wanted)  # of the prior's costs
    if factors[0] == 0:
        raise InputError(
            'the timings make no sense: products cost nothing; try again on an idle machine'
        )
    product, *others = factors * costs
    one_direct = np.median([timing.seconds / products_of(timing.layer) for timing in direct]) / unit
    found = [float(cost / product) for cost in (*others, one_direct)]
    return tiling.Costs(*found, max(OUTPUTS)), float(np.median(np.abs(relative @ factors - 1)))


def amounts_of(timing):
    """tiling.operation_counts of a layer by tiles."""
    n, h, w, k, c, f = timing.layer
    return tiling.operation_counts(
        tiling.make_tiling(k, (h, w), (timing.outputs, min(timing.outputs, w))), n, c, f
    )


def products_of(layer):
    """Multiply-adds of tf.nn.conv2d."""
    n, h, w, k, c, f = layer
    return n * h * w * k * k * c * f


if __name__ == '__main__':
    cli.run_script(main)
