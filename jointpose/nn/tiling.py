"""Which convolutions are computed by tiled transforms (fft_conv.py), and by tiles of which size.

    choose((n, h, w, c), (k, k, c, f), on_gpu, costs)     -> 'direct' or 'fft', the cheaper
    choose_tiling((h, w), (k, k, c, f), n, costs)         -> the cheapest Tiling

Costs differ between processors: `python -m tools.calibrate_convolution` fits them to timings in
some minutes and keeps them in a file (`calibration_file`), which training reads.  Without it,
training uses the defaults below.  Inference has fixed costs: a checkpoint's predictions do not
depend on a calibration.
"""

import functools
import itertools
import json
import math
import os
from collections.abc import Sequence
from typing import NamedTuple

from jointpose.nn.tf1 import tf

# If n is not known; in inference, since transformed filters are kept for any n.
TYPICAL_BATCH = 8
MARGIN = 1.1  # tf.nn.conv2d must be so many times as expensive to be replaced


class Tiling(NamedTuple):
    """How a map is cut into tiles; pairs are (rows, columns)."""

    k: int  # the filters' size
    maps: tuple[int, int]  # (h, w)
    outputs: tuple[int, int]  # (m1, m2) of a tile
    inputs: tuple[int, int]  # (P, Q) of a tile, outputs + k - 1
    tiles: tuple[int, int]  # (th, tw) of a map
    rows: int  # P' = P // 2 + 1 row frequencies


class Costs(NamedTuple):
    """Of a layer's forward and backward pass; the unit is a multiply-add at each frequency."""

    filter: float  # of one element of the filters' spectra
    sample: float  # of one element of the inputs' or outputs' spectra,
    column: float  # and in addition for each column of a tile
    direct: float  # of one multiply-add of tf.nn.conv2d
    largest: int  # maximum of a tile's outputs along a side


INFERENCE = Costs(filter=75, sample=75, column=0, direct=MARGIN / 1.2, largest=16)
# Measured on a Xeon with AMX, which makes bfloat16's products fast; for float32 within 3 % of the
# best on one without.
DEFAULT_COSTS = {
    'float32': INFERENCE,
    'bfloat16': Costs(filter=300, sample=300, column=0, direct=MARGIN / 1.2, largest=12),
}
# Fitted to 342 timings on a Zen 4: for processors with bfloat16's instructions (avx512_bf16), but
# without AMX.
WITHOUT_AMX = {
    'float32': Costs(filter=56, sample=18, column=3.6, direct=1.05, largest=30),
    'bfloat16': Costs(filter=175, sample=89, column=6.7, direct=1.85, largest=30),
}


def choose(
    x_shape: Sequence, filters_shape: Sequence[int], on_gpu: bool, costs: Costs = INFERENCE
) -> str:
    """'direct' or 'fft', whichever costs less for [n or None, h, w, c] and [k, k, c, f].

    On a GPU always 'direct'.
    """
    n, h, w, _ = x_shape
    height, width, c, f = filters_shape
    if on_gpu or height != width or height % 2 == 0:
        return 'direct'
    n = TYPICAL_BATCH if n is None else n
    transforms = cost(choose_tiling((h, w), filters_shape, n, costs), n, c, f, costs)
    direct = costs.direct * n * h * w * height * width * c * f
    return 'fft' if MARGIN * transforms < direct else 'direct'


def choose_tiling(
    map_shape: Sequence[int],
    filters_shape: Sequence[int],
    n: int = TYPICAL_BATCH,
    costs: Costs = INFERENCE,
) -> Tiling:
    """The cheapest tiles for n maps (h, w) and filters [k, k, c, f]."""
    k, width, c, f = filters_shape
    if k != width or k % 2 == 0:
        raise ValueError(f'filters must be odd and square for the tiled transform, got {k}x{width}')
    return _cheapest(tuple(map_shape), k, c, f, n, costs)


@functools.cache
def _cheapest(maps, k, c, f, n, costs):
    rows, columns = (range(1, min(size, costs.largest) + 1) for size in maps)
    tilings = [make_tiling(k, maps, outputs) for outputs in itertools.product(rows, columns)]
    return min(tilings, key=lambda tiling: cost(tiling, n, c, f, costs))


def make_tiling(k: int, maps: Sequence[int], outputs: Sequence[int]) -> Tiling:
    """The Tiling of maps (h, w) by tiles of (m1, m2) outputs."""
    inputs = tuple(m + k - 1 for m in outputs)
    tiles = tuple(-(-size // m) for size, m in zip(maps, outputs))
    return Tiling(k, tuple(maps), tuple(outputs), inputs, tiles, inputs[0] // 2 + 1)


def cost(tiling: Tiling, n: int, c: int, f: int, costs: Costs) -> float:
    """The cost of the products and of the transforms, in multiply-adds of the products."""
    products, filters, samples, columns = operation_counts(tiling, n, c, f)
    return products + costs.filter * filters + costs.sample * samples + costs.column * columns


def operation_counts(tiling: Tiling, n: int, c: int, f: int) -> tuple[int, int, int, int]:
    """The number of operations for each cost.

    Multiply-adds of the products; elements of the filters' spectra; elements of the inputs' and
    outputs' spectra; and these times the columns of a tile.
    """
    tiles = n * math.prod(tiling.tiles)
    columns = tiling.inputs[1]
    frequencies = 3 * tiling.rows * columns
    products = frequencies * tiles * c * f
    filters = frequencies * c * f
    samples = frequencies * tiles * (c + f)
    return products, filters, samples, samples * columns


# --- costs of this machine ------------------------------------------------------------------------


def training_costs(dtype: tf.DType) -> Costs:
    """The Costs for training in this type on this machine."""
    return _training_costs()[dtype.name]


def recorded_costs() -> dict:
    """{type: {cost: number}} of `training_costs`, for checkpoints.

    With other costs, last digits differ.
    """
    return {dtype: costs._asdict() for dtype, costs in _training_costs().items()}


@functools.cache
def _training_costs():
    return {**default_costs(processor_flags()), **read_calibration()}


def default_costs(flags: Sequence[str]) -> dict[str, Costs]:
    """{type: Costs} of a processor with these flags in /proc/cpuinfo."""
    return WITHOUT_AMX if 'avx512_bf16' in flags and 'amx_bf16' not in flags else DEFAULT_COSTS


def calibration_file() -> str:
    """The file of calibrations in the user's cache, for all machines that share a home."""
    cache = os.environ.get('XDG_CACHE_HOME') or os.path.join(os.path.expanduser('~'), '.cache')
    return os.path.join(cache, 'joint-pose', 'convolution.json')


def machine_name() -> str:
    """What a calibration is valid for."""
    name = _processor().get('model name', 'unknown processor')
    return f'{name}, {len(os.sched_getaffinity(0))} cores, TensorFlow {tf.__version__}'


def read_calibration() -> dict[str, Costs]:
    """{type: Costs} of the calibration file for this machine; {} if absent or damaged."""
    try:
        with open(calibration_file(), encoding='utf-8') as file:
            stored = json.load(file)[machine_name()]
        return {
            dtype: _checked(Costs(**stored[dtype])) for dtype in DEFAULT_COSTS if dtype in stored
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _checked(costs):
    """The Costs; ValueError or TypeError if they are not possible."""
    numbers = all(math.isfinite(number) and number >= 0 for number in costs)
    whole = costs.largest >= 1 and costs.largest == int(costs.largest)
    if not numbers or not whole or costs.direct == 0:
        raise ValueError(f'not possible: {costs}')
    return costs


def processor_flags() -> list[str]:
    """Instruction sets, by their names in /proc/cpuinfo."""
    return _processor().get('flags', '').split()


@functools.cache
def _processor():
    """{name: value} of the first processor in /proc/cpuinfo; {} where that is not there."""
    try:
        with open('/proc/cpuinfo', encoding='utf-8', errors='replace') as file:
            first = file.read().split('\n\n')[0]
    except OSError:
        return {}
    pairs = (line.partition(':') for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
