"""Timing: functions in turns, in this process, in others and in other environments."""

import concurrent.futures
import multiprocessing
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jointpose.utils.errors import InputError

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SLOW = 50  # seconds: a longer round is repeated half as often, and the first one counts


class Time(NamedTuple):
    """Seconds of a call."""

    wall: float
    cpu: float  # of all threads and ended children


class Step(NamedTuple):
    """A function that fetches from a session."""

    session: Any  # a tf.Session
    fetch: list

    def __call__(self):
        self.session.run(self.fetch)


def cpu_seconds() -> float:
    """Processor seconds of this process and of ended children."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def timed(function: Callable) -> Time:
    """Time of one call; a function that works elsewhere returns its own."""
    began = time.perf_counter()
    cpu_began = cpu_seconds()
    result = function()
    if isinstance(result, Time):
        return result
    return Time(time.perf_counter() - began, cpu_seconds() - cpu_began)


def measure(repeats: int, *functions: Callable) -> tuple[list[Time], int]:
    """Calls the functions in turns; returns (their median Times, number of rounds)."""
    rounds = [[timed(function) for function in functions]]
    slow = sum(one.wall for one in rounds[0]) > SLOW and repeats > 1
    for _ in range(repeats // 2 if slow else repeats):
        rounds.append([timed(function) for function in functions])
    rounds = rounds if slow else rounds[1:]
    return [Time(*np.median(times, axis=0)) for times in zip(*rounds)], len(rounds)


class Process:
    """Another process, since oneDNN is on or off for a whole process and peak memory is too."""

    def __init__(self, onednn):
        ours = os.environ['TF_ENABLE_ONEDNN_OPTS']
        os.environ['TF_ENABLE_ONEDNN_OPTS'] = str(int(onednn))
        self.pool = concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context('spawn'))
        self.call(os.getpid)  # it has started with that
        os.environ['TF_ENABLE_ONEDNN_OPTS'] = ours

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.pool.shutdown()

    def call(self, function, *arguments):
        """function(*arguments), called there."""
        return self.pool.submit(function, *arguments).result()

    def function(self, make, *arguments):
        """make(*arguments), made there; calling it returns the Time of one call there."""
        key = self.call(keep, make, arguments)
        return lambda: self.call(timed_kept, key)


KEPT = []  # functions of a Process, there


def keep(make, arguments) -> int:
    """Keeps make(*arguments) in this process; returns its key."""
    KEPT.append(make(*arguments))
    return len(KEPT) - 1


def timed_kept(key) -> Time:
    """The Time of one call of what `keep` kept."""
    return timed(KEPT[key])


class Baseline:
    """The training step of another program (tools/baselines.py), a call a step."""

    def __init__(self, python, *arguments):
        self.python = python
        self.errors = tempfile.TemporaryFile('w+')  # noqa: SIM115
        # Without the variables that this project sets for TensorFlow.
        own = {name: value for name, value in os.environ.items() if not name.startswith('TF')}
        try:
            self.process = subprocess.Popen(
                [python, os.path.join(ROOT, 'tools', 'baselines.py'), *map(str, arguments)],
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.errors,
                env=own,
            )
        except OSError as error:
            raise InputError(f'{python}: {error.strerror}') from error
        self.answer()  # it is ready

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.communicate()
        self.errors.close()

    def __call__(self):
        self.process.stdin.write('\n')
        self.process.stdin.flush()
        return Time(*map(float, self.answer().split()))

    def answer(self):
        """The next line of the process; InputError if it has ended."""
        if line := self.process.stdout.readline():
            return line
        self.process.wait()
        self.errors.seek(0)
        lines = self.errors.read().strip().splitlines()
        raise InputError(f'{self.python}: {lines[-1] if lines else "ended"}')


def peak_memory() -> float:
    """Largest resident memory of this process so far, GB."""
    with open('/proc/self/status', encoding='ascii') as file:
        return int(re.search(r'VmHWM:\s+(\d+)', file.read())[1]) / 2**20


# A child's ru_maxrss starts at its parent's memory, so that a small process starts the scripts.
STARTER = """
import resource, subprocess, sys
quiet = subprocess.DEVNULL
code = subprocess.call(sys.argv[1:], stdout=quiet, stderr=quiet)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def script(*arguments: str) -> tuple[float, float]:
    """Runs one of the project's scripts to its end.

    Returns:
        (seconds, peak memory of its largest process in GB)
    """
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, '-c', STARTER, sys.executable, *arguments],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
    )
    return time.perf_counter() - began, int(done.stdout) / 2**20
