"""Files: written atomically, opened with checks; an error is one line that names file or option."""

import binascii
import contextlib
import json
import os
import socket

from jointpose.utils.errors import InputError

HOST_ID = f'{binascii.crc32(socket.gethostname().encode()):08x}'
MAX_NAME_BYTES = 255  # bytes, of every usual file system


def temporary_path(path):
    """The temporary name of a file or folder: it says which process, on which host, is writing it.

    Of a name that would get too long the beginning is left out; folders.leftovers goes by how names end.
    """
    folder, name = os.path.split(path)
    ending = f'.{os.getpid()}-{HOST_ID}.partial'
    if (
        len(os.fsencode(name)) <= MAX_NAME_BYTES
    ):  # else the final name is too long: the error says so
        name = os.fsdecode(os.fsencode(name)[-(MAX_NAME_BYTES - len(ending) - len('.mp4')) :])
    return os.path.join(folder, name + ending)


@contextlib.contextmanager
def atomic_write(path):
    """Yields a temporary path beside `path`; it takes the final name only when the block ends without an error."""
    temporary = temporary_path(path)
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f'{path}: cannot be written: {error.strerror or error}') from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def check_is_file(path):
    """Refuses what is there but no file: a pipe would be waited for, for ever."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise InputError(f'{path}: not a file')


def read_error(path, kind, error):
    """The InputError of a file that cannot be read: in the system's words where it is the disk, not the content."""
    if isinstance(error, OSError) and error.errno:
        return InputError(f'{path}: cannot be read: {error.strerror}')
    return InputError(f'{path}: not a readable {kind} file: {type(error).__name__}: {error}')


def load_json(path):
    """What a JSON file holds, in UTF-8, with a byte order mark or not, UTF-16 or UTF-32; InputError if it is none."""
    check_is_file(path)
    try:
        with open(path, 'rb') as file:
            return json.loads(file.read())
    except FileNotFoundError:
        raise InputError(f'{path}: no such file') from None
    except (OSError, ValueError, RecursionError) as error:
        raise read_error(path, '.json', error) from error


def checksum(path):
    """CRC-32 of the whole file, eight hexadecimal digits."""
    check_is_file(path)
    crc = 0
    with open(path, 'rb') as file:
        while block := file.read(1 << 22):
            crc = binascii.crc32(block, crc)
    return f'{crc:08x}'


def sampled_checksum(path, spots=16, length=1 << 17):
    """CRC-32 of the size and of `spots` stretches spread over the file: cheap, so that every start can compare it.
    The small arrays are covered whole."""
    size = os.path.getsize(path)
    crc = binascii.crc32(str(size).encode())
    with open(path, 'rb') as file:
        for i in range(spots):
            file.seek(i * max(size - length, 0) // (spots - 1))
            crc = binascii.crc32(file.read(length), crc)
    return f'{crc:08x}'
