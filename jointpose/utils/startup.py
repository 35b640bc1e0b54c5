"""Imported by scripts before anything else: the process is this project's alone.  nn/tf1.py sets TensorFlow up for
all of it, and a package that is missing is said in one line.

    if __name__ == '__main__':
        import jointpose.utils.startup                   # noqa: F401

Without it, e.g. where somebody's program says `import poses`, TensorFlow and the process stay as that program has them.
"""

import sys

from jointpose.utils.packages import report_missing_package

sys.excepthook = report_missing_package
