"""What may reach the terminal, and what must not."""

import contextlib
import os
import stat
import threading
from collections.abc import Iterable, Iterator
from typing import TextIO


def printable(text: object) -> str:
    """Returns text with every unprintable character escaped, except line breaks.

    Text from a file, or a file's name, can then neither move the cursor nor hide a line.
    """
    return ''.join(map(_escape, str(text)))


def _escape(character: str) -> str:
    if character.isprintable() or character == '\n':
        return character
    return ascii(character)[1:-1]  # without the quotes


class PrintableStream:
    """Wraps a text stream and makes everything printable that is written to it."""

    def __init__(self, stream: TextIO):
        self.stream = stream

    def write(self, text: str) -> int:
        self.stream.write(printable(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str):
        return getattr(self.stream, name)


class _Silenced:
    """State of `quiet_stderr`, shared by all threads."""

    lock = threading.Lock()
    blocks = 0  # `with` blocks that are active now
    stderr = None  # the saved file descriptor of standard error


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Discards what C and C++ libraries print to standard error inside the block.

    Python exceptions are raised as usual. Blocks may overlap in several threads: the first one
    redirects standard error, the last one restores it.
    """
    with _Silenced.lock:
        if _Silenced.blocks == 0:
            _Silenced.stderr = os.dup(2)
            _redirect_to_null(2)
        _Silenced.blocks += 1
    try:
        yield
    finally:
        with _Silenced.lock:
            _Silenced.blocks -= 1
            if _Silenced.blocks == 0:
                os.dup2(_Silenced.stderr, 2)
                os.close(_Silenced.stderr)


def silence_terminal() -> None:
    """Discards what this process prints from now on, if it prints to a terminal.

    Every write to a terminal that has been closed fails. Output to files and pipes continues.
    """
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):  # the stream is closed
            if stat.S_ISCHR(os.fstat(descriptor).st_mode):
                _redirect_to_null(descriptor)


def _redirect_to_null(descriptor: int) -> None:
    with open(os.devnull, 'w') as null:
        os.dup2(null.fileno(), descriptor)
