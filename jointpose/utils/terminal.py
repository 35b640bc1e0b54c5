"""Output to a terminal: escape sequences made visible, standard error silenced, a closed terminal left."""

import contextlib
import os
import stat
import threading


def printable(text):
    """Text as it may go to a terminal: what a file or its name holds cannot move the cursor or hide a line."""
    return ''.join(c if c.isprintable() or c == '\n' else ascii(c)[1:-1] for c in str(text))


class PrintableStream:
    """A text stream that makes printable what is written to it, and passes it on to another."""

    def __init__(self, stream):
        self.stream = stream

    def write(self, text):
        self.stream.write(printable(text))
        return len(text)

    def writelines(self, lines):
        for line in lines:
            self.write(line)

    def __getattr__(self, name):
        return getattr(self.stream, name)


class Quiet:
    """Whoever is within quiet_stderr, threads counted: the first hides standard error, the last brings it back."""

    lock, inside, kept = threading.Lock(), 0, None


@contextlib.contextmanager
def quiet_stderr():
    """What libraries written in other languages print there is lost; Python's errors are still raised."""
    with Quiet.lock:
        if Quiet.inside == 0:
            Quiet.kept = os.dup(2)
            with open(os.devnull, 'w') as nowhere:
                os.dup2(nowhere.fileno(), 2)
        Quiet.inside += 1
    try:
        yield
    finally:
        with Quiet.lock:
            Quiet.inside -= 1
            if Quiet.inside == 0:
                os.dup2(Quiet.kept, 2)
                os.close(Quiet.kept)


def silence_terminal():
    """A terminal that has been closed fails all that is written to it: what is said from here on goes nowhere.
    Files and pipes stay as they are."""
    with open(os.devnull, 'w') as nowhere:
        for stream in (1, 2):
            with contextlib.suppress(OSError):  # closed
                if stat.S_ISCHR(os.fstat(stream).st_mode):
                    os.dup2(nowhere.fileno(), stream)
