"""Output folders: one process at a time writes there, what killed ones left is swept, new content is staged."""

import contextlib
import errno
import fcntl
import os
import re
import shutil
import socket
import sys
import time

from jointpose.utils import files
from jointpose.utils.errors import InputError
from jointpose.utils.terminal import printable

LOCK_NAME = 'lock'  # the file's name; it says who holds the lock
HOLDER = 'process '  # how its content begins, so that a user's own file `lock` is left alone
NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
DAY = 24 * 3600  # seconds
warned = set()  # folders whose file system has no locks


# --- locks --------------------------------------------------------------------------------------------------------


class Lock:
    """A folder's lock, held until `release` or until this process ends, however it ends.  Readers need none.

    It is an flock on FOLDER/lock.  The kernel frees it with the process, so a file that a killed process has left
    there means nothing.  InputError: another process holds it, or the folder cannot be written to.

    option: what an error names beside the folder.
    """

    def __init__(self, folder, option):
        self.folder, self.option = folder, option
        self.path = os.path.join(folder, LOCK_NAME)
        self.file = None
        try:
            self.take()
        except OSError as error:
            raise InputError(
                f'{option} {folder}: cannot be written to: {error.strerror}'
            ) from error

    def take(self):
        """Takes the lock, anew if its file is gone.  Raises OSError, or InputError if another process holds it."""
        files.check_is_file(self.path)
        former = self.file
        while not self._try():
            pass
        if former is not None:
            os.close(former)

    def _try(self):
        """Whether the file that was locked is still the one at its path: its holder removes it in the end."""
        file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            self._lock(file)
            if not self._is_at_path(file):
                os.close(file)
                return False
            if _is_ours(file):
                os.ftruncate(file, 0)
                os.pwrite(
                    file,
                    f'{HOLDER}{os.getpid()} on {socket.gethostname()} ({program()})\n'.encode(),
                    0,
                )
        except BaseException:
            os.close(file)
            raise
        self.file = file
        return True

    def _lock(self, file):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(file) or 'another process'
            raise InputError(
                f'{self.option} {self.folder}: {holder} writes there: wait until it has ended, or name '
                'another folder'
            ) from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            if self.folder not in warned:
                warned.add(self.folder)
                print(
                    printable(
                        f'warning: {self.folder}: its file system has no locks ({error.strerror}): take '
                        'care that no other process writes there'
                    ),
                    file=sys.stderr,
                )

    def is_there(self):
        """Whether the lock's file is there still: somebody may have deleted it, and another process made its own."""
        return self._is_at_path(self.file)

    def _is_at_path(self, file):
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(file))
        except FileNotFoundError:
            return False

    def release(self):
        with contextlib.suppress(OSError):
            if _is_ours(self.file) and self.is_there():
                os.unlink(self.path)
        with contextlib.suppress(OSError):
            fcntl.flock(self.file, fcntl.LOCK_UN)  # of processes forked meanwhile, too
        os.close(self.file)


def _holder(file):
    """Who holds a lock, by its file's content; '' where that does not say."""
    content = os.pread(file, 300, 0).decode(errors='replace').strip()
    return content if content.startswith(HOLDER) else ''


def _is_ours(file):
    return os.fstat(file).st_size == 0 or _holder(file) != ''


def program():
    return os.path.basename(sys.argv[0])


@contextlib.contextmanager
def locked(folder, option):
    """Within it this process alone writes in the folder, which is made if need be, and goes if it stays empty."""
    new = not os.path.isdir(folder)
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise InputError(f'{option} {folder}: cannot be written: {error.strerror}') from error
    lock = Lock(folder, option)
    try:
        yield
    finally:
        lock.release()
        if new:
            with contextlib.suppress(OSError):  # stays if it holds anything
                os.rmdir(folder)


# --- leftovers ----------------------------------------------------------------------------------------------------


def stale_partials(folder, names):
    """Paths in `folder` of files or folders, whose names match `names`, that killed processes left half-written.

    Other programs' files are left alone, whatever their endings; .mp4 is what videos.writer adds.
    """
    ours = re.compile(rf'({names})\.(?P<pid>\d+)(-(?P<host>[0-9a-f]{{8}}))?\.partial(\.mp4)?')
    found = [(os.path.join(folder, name), ours.fullmatch(name)) for name in os.listdir(folder)]
    return [
        path
        for path, match in found
        if match and is_abandoned(path, int(match['pid']), match['host'])
    ]


def is_abandoned(path, pid, host):
    """Whether nobody writes the file any more.

    The lock of the folder says so, too, but not every file system has locks, and the one who wrote the file may have
    had none.  So its process must be gone; of another host's nothing is known, and numbers of processes come again:
    then nothing may have been written for a day.  host: None in names of earlier versions: taken for this one.
    """
    if host in (None, files.HOST_ID) and not is_running(pid):
        return True
    with contextlib.suppress(FileNotFoundError):
        return time.time() - os.stat(path).st_mtime > DAY
    return False


def is_running(pid):
    """Whether another process of this number runs here.  Of this one's own number are only its predecessors' files:
    it has written nothing yet."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return pid != os.getpid()


# --- new content --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def staging(out, replaced=()):
    """Yields a folder within the folder `out`; what it holds moves up when the block ends without an error, and takes
    the place of what is there by the names `replaced`.  Else `out` is as it was."""
    with locked(out, '--out'):
        partial = files.temporary_path(os.path.join(out, 'staging'))
        try:
            for path in stale_partials(out, 'staging'):
                shutil.rmtree(path)
            os.mkdir(partial)
            yield partial
            written = os.listdir(partial)
            for name in sorted({*replaced, *written}):
                if os.path.lexists(os.path.join(out, name)):
                    os.rename(os.path.join(out, name), os.path.join(partial, f'{name}.old'))
                if name in written:
                    os.rename(os.path.join(partial, name), os.path.join(out, name))
        except OSError as error:
            raise InputError(
                f'--out {out}: cannot be written: {error.strerror or error}'
            ) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
