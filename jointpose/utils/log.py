"""Log lines, printed between progress bars."""

import contextlib
import sys

from tqdm import tqdm

from jointpose.utils.terminal import printable


def log(message, file=None):
    """Prints a line beside the progress bars, on standard output unless another `file` is given.

    A full disk or a closed pipe costs the line, not the run.
    """
    stream = file or sys.stdout
    with contextlib.suppress(OSError):
        tqdm.write(printable(message), file=stream)
        stream.flush()


def warn(message):
    """Prints a warning on standard error."""
    log(f'warning: {message}', sys.stderr)
