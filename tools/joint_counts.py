"""Time and memory of the spatial model by the number of joints, as a Markdown table.

    python -m tools.joint_counts                        9, 14, 17 and 21 joints, minutes
    python -m tools.joint_counts --joints 9 --batch_size 1

k joints and a given map have k * k pairs, each with a prior of 120x180 and a bias of 60x90.  Each
number of joints is measured in a process of its own: CPU seconds of all threads, the median of
`--repeats`, and the highest resident memory of the process less that before the graph is built.
"""

import concurrent.futures
import multiprocessing
import resource
import statistics
import time
from typing import NamedTuple

import numpy as np

from jointpose.utils.cli import Parser, positive_int, run_script
from jointpose.utils.tables import markdown

HEIGHT = 60
WIDTH = 90
HEADER = ['joints', 'pairs', 'variables, MB', 'forward, CPU s', 'with gradient, CPU s', 'peak, MB']


class Cost(NamedTuple):
    """What the spatial model of some joints takes for a batch."""

    joints: int
    variables: int  # bytes
    forward: float  # CPU seconds
    with_gradient: float  # CPU seconds
    peak: int  # bytes


def measure(joints: int, batch_size: int, repeats: int) -> Cost:
    """The Cost of one batch of random maps."""
    from jointpose import spatial_model
    from jointpose.nn.tf1 import tf

    before = peak_memory()
    maps = np.random.default_rng(0).normal(size=(batch_size, HEIGHT, WIDTH, joints + 1))
    with tf.Graph().as_default(), tf.Session() as session:
        heat_maps = tf.placeholder(tf.float32, maps.shape)
        model = spatial_model.build(heat_maps)
        loss = tf.reduce_sum(tf.square(model.logits))
        gradients = tf.gradients(loss, [heat_maps, model.energies, model.biases])
        session.run(tf.global_variables_initializer())
        feed = {heat_maps: maps}
        forward = cpu_seconds(lambda: session.run(loss, feed), repeats)
        step = [tf.reduce_sum(gradient) for gradient in gradients]
        with_gradient = cpu_seconds(lambda: session.run(step, feed), repeats)
        sizes = [4 * np.prod(one.shape.as_list()) for one in (model.energies, model.biases)]
    return Cost(joints, int(sum(sizes)), forward, with_gradient, peak_memory() - before)


def peak_memory() -> int:
    """The highest resident memory of this process so far, bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def cpu_seconds(call, repeats: int) -> float:
    """The median over repeats, after one that is not counted."""
    call()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return statistics.median(times)


def row_of(cost: Cost) -> list[str]:
    return [
        str(cost.joints),
        str(cost.joints**2),
        f'{cost.variables / 1e6:.0f}',
        f'{cost.forward:.2f}',
        f'{cost.with_gradient:.2f}',
        f'{cost.peak / 1e6:.0f}',
    ]


def main():
    parser = Parser(description=__doc__)
    parser.add_argument(
        '--joints', type=positive_int, nargs='+', default=[9, 14, 17, 21], metavar='K'
    )
    parser.add_argument('--batch_size', type=positive_int, default=4, metavar='N')
    parser.add_argument('--repeats', type=positive_int, default=5, metavar='N')
    options = parser.parse_args()
    rows = []
    for joints in options.joints:
        spawn = multiprocessing.get_context('spawn')
        with concurrent.futures.ProcessPoolExecutor(1, spawn) as pool:
            call = pool.submit(measure, joints, options.batch_size, options.repeats)
            rows.append(row_of(call.result()))
    print(markdown(HEADER, rows))


if __name__ == '__main__':
    run_script(main)
