"""What the worker processes of a pool do on signals."""

import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1  # option of prctl(2)


def end_with_parent(parent: int) -> None:
    """Initializer of a process pool: the worker is killed when its parent ends, for any reason.

    The worker ignores Ctrl-C, which the terminal sends to every process: the parent handles it.

    parent: the parent's process ID.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent ended before prctl was called
        os._exit(1)
