"""Imported by each script before anything else, for its side effects.

    if __name__ == '__main__':
        import jointpose.utils.startup                   # noqa: F401

The import tells nn/tf1.py that this process is the project's own, so TensorFlow may be configured
for the whole process. It also replaces the traceback of a missing package by one line, and opens the
standard streams that were closed (`2>&-`), so that no other file gets their numbers. A program
that says `import jointpose` does not import this module and keeps its own configuration.
"""

import os
import sys

from jointpose.utils.packages import report_missing_package

sys.excepthook = report_missing_package

for descriptor in range(3):
    try:
        os.fstat(descriptor)
    except OSError:
        os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
