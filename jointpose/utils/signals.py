"""Ctrl-C, SIGTERM and SIGHUP are heard at once, and a pool's processes end with the one that started them."""

import contextlib
import ctypes
import os
import signal
import sys
import threading

PR_SET_PDEATHSIG = 1  # of prctl(2)
NAMES = {signal.SIGINT: 'Ctrl-C', signal.SIGTERM: 'SIGTERM', signal.SIGHUP: 'SIGHUP'}


@contextlib.contextmanager
def announced():
    """While entered, the first signal that somebody handles is announced on stderr at once.

    Python's own handlers wait until the main thread comes back from TensorFlow, which may take as long as a step does.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_announce, args=(reader,), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before, warn_on_full_buffer=False)
        os.close(writer)


def _announce(reader):
    """Reads the numbers of signals, a byte each, until nobody writes any more."""
    said = False
    while number := os.read(reader, 1):
        if number[0] in NAMES and not said:
            said, name = True, NAMES[number[0]]
            with contextlib.suppress(OSError):
                os.write(
                    2,
                    f'\n{os.path.basename(sys.argv[0])}: {name} heard, ending as soon as it is safe\n'.encode(),
                )
    os.close(reader)


def end_with_parent(parent):
    """Initializer of a pool's processes: they are killed when `parent`, its process number, ends, however it does; and
    leave Ctrl-C, which the terminal sends to all, to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it had ended before
        os._exit(1)
