"""Files: written atomically, read with checks, compared by checksums."""

import binascii
import contextlib
import json
import os
import socket
from collections.abc import Iterator

from jointpose.utils.errors import InputError

HOST_ID = f'{binascii.crc32(socket.gethostname().encode()):08x}'
MAX_NAME_BYTES = 255  # of a file's name, on every usual file system
VIDEO_ENDING = '.mp4'  # media/videos.py appends it to a temporary name
BLOCK = 1 << 22  # bytes that `checksum` reads at once


# --- writing ------------------------------------------------------------------------------------


def temporary_path(path: str) -> str:
    """Returns the name under which this process writes a file or folder until it is complete.

    It holds process and host, so that `folders.stale_partials` can tell whether the writer is
    still alive. A name that would be too long loses its beginning.
    """
    folder, name = os.path.split(path)
    ending = f'.{os.getpid()}-{HOST_ID}.partial'
    name_bytes = os.fsencode(name)
    # If the final name is too long itself, it stays: renaming the file will raise the error.
    if len(name_bytes) <= MAX_NAME_BYTES:
        room = MAX_NAME_BYTES - len(ending) - len(VIDEO_ENDING)
        name = os.fsdecode(name_bytes[-room:])
    return os.path.join(folder, name + ending)


@contextlib.contextmanager
def atomic_write(path: str) -> Iterator[str]:
    """Yields a temporary path, which is renamed to `path` if the block ends without an error.

    Raises InputError if the file cannot be written.
    """
    temporary = temporary_path(path)
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f'{path}: cannot be written: {error.strerror or error}') from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


# --- reading ------------------------------------------------------------------------------------


def check_is_file(path: str) -> None:
    """Raises InputError if something else than a file is there: reading a pipe could block."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise InputError(f'{path}: not a file')


def read_error(path: str, kind: str, error: Exception) -> InputError:
    """Returns the InputError for an exception that was raised while a file was read.

    kind: the format that was expected, e.g. '.json'.
    """
    if isinstance(error, OSError) and error.errno:  # the disk's fault, not the content's
        return InputError(f'{path}: cannot be read: {error.strerror}')
    return InputError(f'{path}: not a readable {kind} file: {type(error).__name__}: {error}')


def load_json(path: str):
    """Returns the content of a JSON file in UTF-8, -16 or -32; raises InputError."""
    check_is_file(path)
    try:
        with open(path, 'rb') as file:
            return json.loads(file.read())
    except FileNotFoundError:
        raise InputError(f'{path}: no such file') from None
    except (OSError, ValueError, RecursionError) as error:
        raise read_error(path, '.json', error) from error


# --- checksums ----------------------------------------------------------------------------------


def checksum(path: str) -> str:
    """Returns the CRC-32 of a whole file, eight hexadecimal digits."""
    check_is_file(path)
    crc = 0
    with open(path, 'rb') as file:
        while block := file.read(BLOCK):
            crc = binascii.crc32(block, crc)
    return f'{crc:08x}'


def sampled_checksum(path: str, samples: int = 16, length: int = 1 << 17) -> str:
    """Returns the CRC-32 of a file's size and of a few stretches of it, eight hexadecimal digits.

    It is fast enough to be compared at each start. Small files are covered completely.

    Args:
        samples: number of stretches, spread evenly over the file.
        length: of a stretch, in bytes.
    """
    size = os.path.getsize(path)
    last_start = max(size - length, 0)
    crc = binascii.crc32(str(size).encode())
    with open(path, 'rb') as file:
        for i in range(samples):
            file.seek(i * last_start // (samples - 1))
            crc = binascii.crc32(file.read(length), crc)
    return f'{crc:08x}'
