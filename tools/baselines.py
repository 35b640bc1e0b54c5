"""Training steps of other programs, each in an environment of its own, timed by tools.benchmark.

    PYTHON tools/baselines.py tf1 WIDTH BATCH           # baseline_tf1.py: TensorFlow 1.15, Python 3.7
    PYTHON tools/baselines.py torch WIDTH BATCH DTYPE   # baseline_torch.py: PyTorch

Prints `ready`.  Then, for each line on standard input, it makes one step and prints the step's
seconds: wall clock, then processor.  Rounds of the benchmark alternate between programs in this
way.  Runs under Python 3.7, so it imports nothing of the project.
"""

import argparse
import importlib
import resource
import sys
import time


def cpu_seconds():
    """Processor seconds of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def serve(step, say=print):
    """Calls step() for each line on standard input and prints how long it took."""
    say('ready', flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        cpu_began = cpu_seconds()
        step()
        wall = time.perf_counter() - began
        say(wall, cpu_seconds() - cpu_began, flush=True)


def parse_arguments():
    """The command line's arguments; plain argparse, since cli.Parser is not for Python 3.7."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('baseline', metavar='BASELINE', help='tf1 or torch')
    parser.add_argument('width', metavar='WIDTH', type=int, help='channels of the first layers')
    parser.add_argument('batch_size', metavar='BATCH', type=int, help='frames in a step')
    parser.add_argument('more', metavar='DTYPE', nargs='*', help='torch only: float32 or bfloat16')
    return parser.parse_args()


if __name__ == '__main__':
    arguments = parse_arguments()
    module = importlib.import_module('baseline_' + arguments.baseline)
    serve(module.training_step(arguments.width, arguments.batch_size, *arguments.more))
