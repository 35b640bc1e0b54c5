"""The progress of long steps: a bar in a terminal, a line now and then in a log file."""

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator

from tqdm import tqdm

LOG_SECONDS = 30  # minimum time between two lines


def bar(total: int | None, title: str, unit: str, initial: int = 0, leave: bool = True):
    """Returns a context manager with tqdm's update(n), set_postfix(...) and n, the count so far.

    Args:
        total: None if it is unknown.
        title: what is being done, e.g. 'epoch 3'.
        unit: what is counted, e.g. 'step'.
        initial: the count to start from.
        leave: whether a finished bar stays on the screen.
    """
    if sys.stderr.isatty():
        return tqdm(
            total=total,
            desc=title,
            unit=unit,
            initial=initial,
            leave=leave,
            dynamic_ncols=True,
        )
    return LogLines(total, title, unit, initial)


def track(
    items: Iterable, total: int | None, title: str, unit: str, leave: bool = True
) -> Iterator:
    """Yields the items and shows how many have been taken."""
    with bar(total, title, unit, leave=leave) as shown:
        for item in items:
            yield item
            shown.update()


class LogLines:
    """Replaces a bar where standard error is no terminal: a line every LOG_SECONDS at most."""

    def __init__(self, total: int | None, title: str, unit: str, initial: int = 0):
        self.total = total
        self.title = title
        self.unit = unit
        self.initial = initial
        self.n = initial
        self.started = time.monotonic()
        self.printed = self.started

    def update(self, n: int = 1) -> None:
        self.n += n
        now = time.monotonic()
        if now - self.printed < LOG_SECONDS or self.n == self.total:
            return
        self.printed = now
        with contextlib.suppress(OSError):  # a full disk or a closed pipe costs only the line
            print(self.line(now - self.started), file=sys.stderr, flush=True)

    def line(self, seconds: float) -> str:
        """Returns the line after so many seconds: 'epoch 3: 120 of 285 step, 42 %, 02:31 left'."""
        if not self.total:
            return f'{self.title}: {self.n} {self.unit}'
        percent = 100 * self.n // self.total
        done = max(1, self.n - self.initial)
        left = tqdm.format_interval(seconds * (self.total - self.n) / done)
        return f'{self.title}: {self.n} of {self.total} {self.unit}, {percent} %, {left} left'

    def set_postfix(self, **_) -> None:
        """Does nothing: only bars show further values."""

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        return None
