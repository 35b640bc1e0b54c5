"""The profile of a step: what its time is spent on."""

import collections
import re
import time

from jointpose.nn.tf1 import tf
from tools.benchmark.table import note
from tools.benchmark.timing import Step

INPUT = 'IteratorGetNext'  # the operation that waits for the next batch
SHOWN = 7  # kinds of operations


def print_profile(step: Step, name: str, steps: int) -> None:
    """Prints the time of each kind of operation by TensorFlow's trace, and that of input waits."""
    seconds = collections.Counter()
    total = 0.0
    options = tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE)
    for _ in range(steps):
        trace = tf.RunMetadata()
        began = time.perf_counter()
        step.session.run(step.fetch, options=options, run_metadata=trace)
        total += time.perf_counter() - began
        for device in trace.step_stats.dev_stats:
            add_kinds(seconds, device)
    waited = seconds.pop(INPUT, 0)
    busy = sum(seconds.values())
    shares = [f'{kind} {100 * spent / busy:.0f} %' for kind, spent in seconds.most_common(SHOWN)]
    note(
        f'Profile of {name}: waiting for the next batch {100 * waited / total:.2f} % of '
        f'{total / steps:.2f} s a step; time in kernels: {", ".join(shares)}'
    )


def add_kinds(seconds: collections.Counter, device) -> None:
    """Adds the seconds of each kind of operation in a device's part of a trace."""
    for node in device.node_stats:
        kind = re.search(r' = (\w+)\(', node.timeline_label)
        if kind:
            seconds[kind[1]] += node.all_end_rel_micros / 1e6
