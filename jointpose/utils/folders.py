"""Output folders: locked by one process, cleared of partial files, replaced as a whole."""

import contextlib
import errno
import fcntl
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Iterable, Iterator

from jointpose.utils.errors import InputError
from jointpose.utils.files import HOST_ID, check_is_file, temporary_path
from jointpose.utils.terminal import printable

LOCK_NAME = 'lock'  # the lock file, which names its holder
HOLDER_PREFIX = 'process '  # how its content begins, to tell it from a user's file of that name
MAX_HOLDER = 300  # bytes that are read of it
NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
DAY = 24 * 3600  # seconds

warned = set()  # folders whose file system has been reported to have no locks


# --- locks --------------------------------------------------------------------------------------


class Lock:
    """A lock on a folder, held until `release` or the end of this process.

    It is an flock on FOLDER/lock. The kernel releases it with the process, so a file that a killed
    process has left behind does not count. Reading the folder needs no lock.
    """

    def __init__(self, folder: str, option: str):
        """Takes the lock, or raises InputError if another process holds it.

        option: the option that an error names along with the folder.
        """
        self.folder = folder
        self.option = option
        self.path = os.path.join(folder, LOCK_NAME)
        try:
            check_is_file(self.path)
            self.file = self._take()
        except OSError as error:
            raise InputError(
                f'{option} {folder}: cannot be written to: {error.strerror}'
            ) from error

    def _take(self) -> int:
        """Returns the descriptor of the locked file."""
        while True:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                self._flock(file)
                # A holder deletes the file when it ends, perhaps after it was opened here.
                if self._is_at_path(file):
                    _write_holder(file)
                    return file
            except BaseException:
                os.close(file)
                raise
            os.close(file)

    def _flock(self, file: int) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(file) or 'another process'
            raise InputError(
                f'{self.option} {self.folder}: {holder} is writing there: wait until it has '
                'ended, or name another folder'
            ) from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            self._warn_of_no_locks(error)

    def _warn_of_no_locks(self, error: OSError) -> None:
        if self.folder in warned:
            return
        warned.add(self.folder)
        message = (
            f'warning: {self.folder}: its file system has no locks ({error.strerror}): make sure '
            'that no other process writes there'
        )
        print(printable(message), file=sys.stderr)

    def _is_at_path(self, file: int) -> bool:
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(file))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        with contextlib.suppress(OSError):
            if _is_lock_file(self.file) and self._is_at_path(self.file):
                os.unlink(self.path)
        with contextlib.suppress(OSError):
            fcntl.flock(self.file, fcntl.LOCK_UN)  # closing is not enough if a fork has it open
        os.close(self.file)


def _write_holder(file: int) -> None:
    """Names this process in the lock file; a user's own file of that name is not changed."""
    if not _is_lock_file(file):
        return
    script = os.path.basename(sys.argv[0])
    holder = f'{HOLDER_PREFIX}{os.getpid()} on {socket.gethostname()} ({script})\n'
    os.ftruncate(file, 0)
    os.pwrite(file, holder.encode(), 0)


def _holder(file: int) -> str:
    """The process that a lock file names, or '' if it names none."""
    content = os.pread(file, MAX_HOLDER, 0).decode(errors='replace').strip()
    return content if content.startswith(HOLDER_PREFIX) else ''


def _is_lock_file(file: int) -> bool:
    return os.fstat(file).st_size == 0 or _holder(file) != ''


@contextlib.contextmanager
def locked(folder: str, option: str) -> Iterator[None]:
    """Holds the lock of a folder inside the block; raises InputError if another process has it.

    The folder is created if necessary, and then deleted again if the block leaves it empty.
    """
    is_new = not os.path.isdir(folder)
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise InputError(f'{option} {folder}: cannot be written: {error.strerror}') from error
    lock = Lock(folder, option)
    try:
        yield
    finally:
        lock.release()
        if is_new:
            with contextlib.suppress(OSError):  # not empty
                os.rmdir(folder)


# --- partial files ------------------------------------------------------------------------------


def stale_partials(folder: str, names: str) -> list[str]:
    """Returns the paths of partial files and folders whose writers have been killed.

    names: a regular expression of the final names. Files of other programs do not match, whatever
        they end in.
    """
    # '.mp4' is appended by media/videos.py.
    partial = re.compile(rf'({names})\.(?P<pid>\d+)(-(?P<host>[0-9a-f]{{8}}))?\.partial(\.mp4)?')
    found = []
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        match = partial.fullmatch(name)
        if match and is_abandoned(path, int(match['pid']), match['host']):
            found.append(path)
    return found


def is_abandoned(path: str, pid: int, host: str | None) -> bool:
    """Returns whether no process writes this partial file any more.

    The folder's lock is no proof: some file systems have no locks. So the process must have ended.
    That is unknown for a process on another host, and process IDs are reused: otherwise a file
    counts as abandoned when nothing has been written to it for a day.

    host: HOST_ID of the writer; None in names of earlier versions, which stands for this host.
    """
    if host in (None, HOST_ID) and not is_running(pid):
        return True
    with contextlib.suppress(FileNotFoundError):
        return time.time() - os.stat(path).st_mtime > DAY
    return False


def is_running(pid: int) -> bool:
    """Returns whether another process with this ID runs on this host.

    This process's own ID does not count: it has written nothing yet, so its predecessor has.
    """
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return pid != os.getpid()


# --- new content --------------------------------------------------------------------------------


@contextlib.contextmanager
def staging(out: str, replaced: Iterable[str] = ()) -> Iterator[str]:
    """Yields a temporary folder whose content is moved to the folder `out` at the end.

    If the block raises an error, `out` stays as it was.

    replaced: names in `out` that are deleted at the end, whether or not the block has written
        something of that name.
    """
    with locked(out, '--out'):
        staged = temporary_path(os.path.join(out, 'staging'))
        try:
            for path in stale_partials(out, 'staging'):
                shutil.rmtree(path)
            os.mkdir(staged)
            yield staged
            _move_up(staged, out, replaced)
        except OSError as error:
            raise InputError(
                f'--out {out}: cannot be written: {error.strerror or error}'
            ) from error
        finally:
            shutil.rmtree(staged, ignore_errors=True)


def _move_up(staged: str, out: str, replaced: Iterable[str]) -> None:
    """Moves former content from `out` to `staged`, and new content from `staged` to `out`."""
    written = os.listdir(staged)
    for name in sorted({*replaced, *written}):
        final = os.path.join(out, name)
        if os.path.lexists(final):
            os.rename(final, os.path.join(staged, f'{name}.old'))
        if name in written:
            os.rename(os.path.join(staged, name), final)
