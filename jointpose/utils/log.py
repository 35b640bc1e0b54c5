"""Log lines that do not break progress bars."""

import contextlib
import sys
from typing import TextIO

from tqdm import tqdm

from jointpose.utils.terminal import printable


def log(message: object, file: TextIO | None = None) -> None:
    """Prints a line above the progress bars, to standard output or to `file`.

    If the disk is full or the pipe closed, the line is lost and the run continues.
    """
    stream = file or sys.stdout
    with contextlib.suppress(OSError):
        tqdm.write(printable(message), file=stream)
        stream.flush()


def warn(message: object) -> None:
    """Prints `warning: MESSAGE` to standard error, as `log` does."""
    log(f'warning: {message}', sys.stderr)
