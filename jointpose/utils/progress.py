"""How far a long step has come: a bar in a terminal; elsewhere, as in a job's log, a line now and then."""

import contextlib
import sys
import time

from tqdm import tqdm

EVERY = 30  # seconds between two lines of a log


def bar(total, what, unit, initial=0, leave=True):
    """A context with update(n), set_postfix(...) and n, the count so far, as tqdm's bars have them.

    total: how many there are in all, None if that is not known.  leave: whether a finished bar stays on the screen.
    """
    if sys.stderr.isatty():
        return tqdm(
            total=total, desc=what, unit=unit, initial=initial, leave=leave, dynamic_ncols=True
        )
    return LogLines(total, what, unit, initial)


def track(items, total, what, unit, leave=True):
    """Yields the items, and shows how many have been taken."""
    with bar(total, what, unit, leave=leave) as shown:
        for item in items:
            yield item
            shown.update()


class LogLines:
    """What stands for a bar where nobody watches: a line on stderr at most every EVERY seconds."""

    def __init__(self, total, what, unit, initial=0):
        self.total, self.what, self.unit = total, what, unit
        self.n = self.initial = initial
        self.began = self.printed = time.monotonic()

    def update(self, n=1):
        self.n += n
        now = time.monotonic()
        if now - self.printed >= EVERY and self.n != self.total:
            self.printed = now
            with contextlib.suppress(OSError):  # a full disk or a closed pipe costs the line alone
                print(self.line(now - self.began), file=sys.stderr, flush=True)

    def line(self, seconds):
        """'epoch 3: 120 of 285 step, 42 %, 02:31 left' after so many seconds."""
        if not self.total:
            return f'{self.what}: {self.n} {self.unit}'
        left = seconds * (self.total - self.n) / max(1, self.n - self.initial)
        return (
            f'{self.what}: {self.n} of {self.total} {self.unit}, {100 * self.n // self.total} %, '
            f'{tqdm.format_interval(left)} left'
        )

    def set_postfix(self, **_):
        """Bars alone show further figures."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None
