"""Files: written atomically, opened with checks; an error is one line that names file or option."""

import binascii
import contextlib
import json
import os
import resource
import socket
import threading
import warnings

import numpy as np

HOST = f'{binascii.crc32(socket.gethostname().encode()):08x}'
MAX_NAME = 255  # bytes, of every usual file system
MAX_MAT = 3 << 30  # bytes of memory that reading a .mat file may take: MPII's takes 1.3 GB


class InputError(Exception):
    """Bad input or option: the message names file or option and the reason, in one line."""


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


def partial(path):
    """The temporary name of a file or folder: it says which process, on which host, is writing it.

    Of a name that would get too long the beginning is left out; folders.leftovers goes by how names end.
    """
    folder, name = os.path.split(path)
    ending = f'.{os.getpid()}-{HOST}.partial'
    if len(os.fsencode(name)) <= MAX_NAME:  # else the final name is too long: the error says so
        name = os.fsdecode(os.fsencode(name)[-(MAX_NAME - len(ending) - len('.mp4')) :])
    return os.path.join(folder, name + ending)


@contextlib.contextmanager
def atomic(path):
    """Yields a temporary path beside `path`; it takes the final name only when the block ends without an error."""
    temporary = partial(path)
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f'{path}: cannot be written: {error.strerror or error}') from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def check_regular(path):
    """Refuses what is there but no file: a pipe would be waited for, for ever."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise InputError(f'{path}: not a file')


def create_npy(path, dtype, shape):
    """Makes a .npy file of that layout with all its blocks on disk: a full disk is an error here,
    not a bus error when the memory map is written to."""
    array = np.lib.format.open_memmap(path, mode='w+', dtype=dtype, shape=shape)
    del array
    with open(path, 'r+b') as file:
        os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)


def unreadable(path, kind, error):
    """The InputError of a file that cannot be read: in the system's words where it is the disk, not the content."""
    if isinstance(error, OSError) and error.errno:
        return InputError(f'{path}: cannot be read: {error.strerror}')
    return InputError(f'{path}: not a readable {kind} file: {type(error).__name__}: {error}')


def load_json(path):
    """What a JSON file holds, in UTF-8, with a byte order mark or not, UTF-16 or UTF-32; InputError if it is none."""
    check_regular(path)
    try:
        with open(path, 'rb') as file:
            return json.loads(file.read())
    except FileNotFoundError:
        raise InputError(f'{path}: no such file') from None
    except (OSError, ValueError, RecursionError) as error:
        raise unreadable(path, '.json', error) from error


def load_mat(path, take=None):
    """{name: array} of a .mat file up to version 7, or what take({name: array}) makes of it.

    take: a module's function, or a partial of one.  It is called where the file is read: to hand over structs of many
    thousand small arrays takes several times as long as to read them.  Its InputErrors come through as they are.
    """
    check_regular(path)
    import concurrent.futures
    import multiprocessing

    try:
        # In a process of its own (10 ms): SciPy 1.17 dies of a segmentation fault on some damaged files.
        with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context('fork')) as pool:
            return pool.submit(_load_mat, path, take).result()
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f'{path}: no such file') from None
    except MemoryError:
        raise InputError(
            f'{path}: not read: it needs more memory than there is, or than the {MAX_MAT / 1e9:.1f} GB '
            'that a .mat file may take'
        ) from None
    except ImportError:  # SciPy is not installed
        raise
    except NotImplementedError:  # SciPy's word on HDF5
        raise InputError(
            f'{path}: a .mat file of version 7.3 (HDF5), which is not read: save it as version 7 '
            '(in MATLAB: save with -v7)'
        ) from None
    except Exception as error:  # a damaged file raises nearly anything
        raise unreadable(path, '.mat', error) from error


def _load_mat(path, take):
    limit_memory(MAX_MAT)
    warnings.simplefilter('ignore')  # SciPy's repeat what the file says, as it is
    from scipy.io import loadmat

    variables = loadmat(path, appendmat=False)
    return take(variables) if take else variables


def limit_memory(more):
    """From now on this process may take so many bytes more; beyond that its allocations fail with MemoryError."""
    with contextlib.suppress(OSError):  # no /proc: not Linux
        with open('/proc/self/statm') as file:
            taken = int(file.read().split()[5]) * resource.getpagesize()
        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limits = [limit for limit in (soft, hard, taken + more) if limit != resource.RLIM_INFINITY]
        resource.setrlimit(resource.RLIMIT_DATA, (min(limits), hard))


def checksum(path):
    """CRC-32 of the whole file, eight hexadecimal digits."""
    check_regular(path)
    crc = 0
    with open(path, 'rb') as file:
        while block := file.read(1 << 22):
            crc = binascii.crc32(block, crc)
    return f'{crc:08x}'


def spot_checksum(path, spots=16, length=1 << 17):
    """CRC-32 of the size and of `spots` stretches spread over the file: cheap, so that every start can compare it.
    The small arrays are covered whole."""
    size = os.path.getsize(path)
    crc = binascii.crc32(str(size).encode())
    with open(path, 'rb') as file:
        for i in range(spots):
            file.seek(i * max(size - length, 0) // (spots - 1))
            crc = binascii.crc32(file.read(length), crc)
    return f'{crc:08x}'
