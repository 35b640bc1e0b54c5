"""Training steps of other programs, each in an environment of its own, for benchmark.py to alternate with ours.

    PYTHON tools/sides.py tf1 WIDTH BATCH              # side_tf1.py: TensorFlow 1.15 under Python 3.7
    PYTHON tools/sides.py torch WIDTH BATCH DTYPE      # side_torch.py: PyTorch; float32 or bfloat16

WIDTH: channels of the first layers.  Prints a line when it is ready, then for each line on standard input makes one
step and prints its seconds by wall clock and by processor.  Runs under Python 3.7.
"""

import importlib
import resource
import sys
import time


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def serve(step, say=print):
    """step() whenever a line comes in."""
    say('ready', flush=True)
    for _ in sys.stdin:
        began, cpu = time.perf_counter(), cpu_seconds()
        step()
        say(time.perf_counter() - began, cpu_seconds() - cpu, flush=True)


if __name__ == '__main__':
    name, width, batch_size, *more = sys.argv[1:]
    serve(importlib.import_module('side_' + name).training_step(int(width), int(batch_size), *more))
