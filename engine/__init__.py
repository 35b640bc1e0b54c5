"""The machinery that serves every system: it imports neither systems nor data sets."""
import os
import sys

__version__ = '1.0'                     # pyproject.toml reads it here; CITATION.cff says the same


def _open_standard_streams():
    """A program started without stdin, stdout or stderr (`2>&-`) would give their numbers to the next files it opens,
    and write its errors into these: /dev/null takes their places."""
    for number, name, mode in ((0, 'stdin', 'r'), (1, 'stdout', 'w'), (2, 'stderr', 'w')):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)                              # takes the lowest number that is free
            setattr(sys, name, open(number, mode, closefd=False))       # noqa: SIM115 (stays open)


_open_standard_streams()
