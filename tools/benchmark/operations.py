"""Operations: how many a piece needs, and how many a second the machine does at best.

A multiplication and an addition are two operations.  Both counts are (ours, plain).
"""

import math
import os

from jointpose import pairwise_distr, spatial_model
from jointpose.datasets.flic import MAP_HEIGHT, MAP_SIZE, MAP_WIDTH, N_JOINTS, N_MAPS
from jointpose.nn import tiling
from jointpose.nn.tf1 import tf
from tools.benchmark.timing import timed

# Height and width of the maps of a bank's last layers; the first layers' are twice as large.
BANKS = ((60, 90), (30, 45), (15, 23))
INPUTS = ((240, 360), (120, 180), (60, 90))  # of the banks' first layers' outputs
PASSES = 3  # forward, and the gradients by the input and by the filters


def matmul_peak(n: int, repeats: int) -> float:
    """Operations a second of a float32 product of two n x n matrices on all cores: the best.

    By CPU seconds, so that other work on the machine does not lower it.
    """
    with tf.Graph().as_default():
        a = tf.get_variable('a', [n, n])
        product = tf.matmul(a, a)
        session = tf.Session()
        session.run(a.initializer)
    times = [timed(lambda: session.run(product.op)) for _ in range(4 * repeats)]
    return 2 * n**3 / min(one.cpu for one in times) * len(os.sched_getaffinity(0))


def detector_flop(width: float, batch_size: int) -> tuple[float, float]:
    """Those of the convolutions of one training step of the part detector.

    Ours are those of the products alone, without the transforms.
    """
    f1, f2, f3, f4, f5 = (int(channels * width) for channels in (64, 128, 256, 512, 512))
    layers = [  # side of the filters, height, width, channels in and out
        (9, 60, 90, f4, f5),
        (9, 60, 90, f5, N_JOINTS),
    ]
    for h, w in BANKS:
        layers.append((5, 2 * h, 2 * w, f1, f2))
        layers.append((5, h, w, f2, f3))
        layers.append((9, h, w, f3, f4))
    cells = sum(h * w for h, w in INPUTS)
    first = PASSES * 2 * 25 * 3 * f1 * batch_size * cells * 2 // 3  # no gradient by its input
    ours = first
    plain = first
    costs = tiling.training_costs(tf.float32)
    for k, h, w, c, f in layers:
        direct = PASSES * 2 * batch_size * h * w * k * k * c * f
        plain += direct
        if tiling.choose((batch_size, h, w, c), (k, k, c, f), False, costs) == 'fft':
            tiles = tiling.choose_tiling((h, w), (k, k, c, f), batch_size, costs)
            ours += PASSES * 2 * tiling.operation_counts(tiles, batch_size, c, f)[0]
        else:
            ours += direct
    return ours, plain


def spatial_flop(n: int, gradient: bool) -> tuple[float, float]:
    """Those of all 81 messages for n samples, with or without their gradients.

    Ours: the products, and 2.5 N log2 N a real transform of N cells.
    """
    pairs = len(spatial_model.PAIRS_TO_JOINTS)
    cells = math.prod(pairwise_distr.prior_size(MAP_SIZE))
    transforms = pairs + N_MAPS * n + pairs * n
    transform = 2.5 * cells * math.log2(cells)
    product = 6 * n * pairs * cells / 2
    plain = 2 * n * pairs * (MAP_HEIGHT + 1) * (MAP_WIDTH + 1) * MAP_HEIGHT * MAP_WIDTH
    if not gradient:
        return transforms * transform + product, plain
    return 2 * transforms * transform + PASSES * product, PASSES * plain
