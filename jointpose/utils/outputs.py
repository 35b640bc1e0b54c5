"""Output files: an earlier result is replaced and named, a file of anything else never is."""

import contextlib
import datetime
import os
from collections.abc import Callable

from jointpose.utils.errors import InputError
from jointpose.utils.files import temporary_path

MARK_RANGE = 4096  # bytes from each end of a file in which its mark is looked for

# path -> a description of the earlier result there, or None if the file is something else
Describe = Callable[[str], str | None]


def check_destination(path: str, option: str, describe: Describe) -> str:
    """Checks before the work begins that a result can be written; raises InputError.

    Returns the description of the result that will be replaced, or '' if there is none.

    option: the option that an error names.
    """
    folder = os.path.dirname(path) or '.'
    if os.path.isdir(path):
        raise InputError(f'{option} {path}: is a folder')
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise InputError(
            f'{option} {path}: cannot be written: {folder} is not a folder that can be written to'
        )
    former = _existing_result(path, option, describe)
    _try_to_write(path, option)
    return former


def _existing_result(path: str, option: str, describe: Describe) -> str:
    if not os.path.lexists(path):
        return ''
    if not os.path.isfile(path):
        raise InputError(f'{option} {path}: not a file')
    if os.path.getsize(path) == 0:
        return ''
    former = describe(path)
    if former is None:
        raise InputError(
            f'{option} {path}: exists and is not an earlier result: it is not replaced; name '
            'another file'
        )
    return former


def _try_to_write(path: str, option: str) -> None:
    """Creates and deletes a temporary file; raises InputError if that fails.

    The name may be too long, the disk full, or the file system read-only.
    """
    temporary = temporary_path(path)
    try:
        open(temporary, 'xb').close()
    except OSError as error:
        raise InputError(f'{option} {path}: cannot be written: {error.strerror}') from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def replacement_note(path: str, former: str) -> str:
    """Returns the line about a result that is replaced, or '' if there was none."""
    return f'{path}: replaces that {former}' if former else ''


def describe_by_date(mark: bytes) -> Describe:
    """Returns a `describe` that recognises results by their mark and names their date."""

    def describe(path: str) -> str | None:
        if not has_mark(path, mark):
            return None
        modified = datetime.datetime.fromtimestamp(os.path.getmtime(path))
        return f'of {modified:%Y-%m-%d %H:%M}'

    return describe


def has_mark(path: str, mark: bytes) -> bool:
    """Returns whether a file holds the bytes `mark` near its start or end; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # opening a pipe must not block
    with open(descriptor, 'rb') as file:
        if mark in file.read(MARK_RANGE):
            return True
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - MARK_RANGE))
        return mark in file.read(MARK_RANGE)
