"""Result files: an earlier one of this project's is replaced, with a word on what it was; another's file never is."""

import contextlib
import datetime
import os

from jointpose.utils import files
from jointpose.utils.errors import InputError

NEAR = 4096  # bytes from either end of a file within which its mark is


def check_destination(path, option, describe):
    """Whether a result can go to `path`, found out before the work begins; InputError names the option if not.

    describe: path -> what an earlier result there was, None of a file that is none of this project's.
    Returns that description, '' if there is nothing to be replaced.
    """
    folder = os.path.dirname(path) or '.'
    if os.path.isdir(path):
        raise InputError(f'{option} {path}: is a folder')
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise InputError(
            f'{option} {path}: cannot be written: {folder} is not a folder that can be written to'
        )
    former = ''
    if os.path.lexists(path):
        if not os.path.isfile(path):
            raise InputError(f'{option} {path}: not a file')
        former = describe(path) if os.path.getsize(path) else ''
        if former is None:
            raise InputError(
                f'{option} {path}: is there, and is no such result of an earlier call: it is left as it '
                'is; name another file'
            )
    try_to_write(path, option)
    return former


def try_to_write(path, option):
    """InputError if no file can be made there: a name too long, a file system mounted read-only, no space."""
    temporary = files.temporary_path(path)
    try:
        open(temporary, 'xb').close()
    except OSError as error:
        raise InputError(f'{option} {path}: cannot be written: {error.strerror}') from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def replacement_note(path, former):
    """What to say of a result that takes an earlier one's place; '' where there was none."""
    return f'{path}: replaces that {former}' if former else ''


def describe_by_date(mark):
    """`describe` of files that hold these bytes near one of their ends."""

    def describe(path):
        if not has_mark(path, mark):
            return None
        return f'of {datetime.datetime.fromtimestamp(os.path.getmtime(path)):%Y-%m-%d %H:%M}'

    return describe


def has_mark(path, mark):
    """Whether the bytes `mark` are near one of a file's ends.  A pipe is not waited for.  Raises OSError."""
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), 'rb') as file:
        start = file.read(NEAR)
        file.seek(max(0, os.fstat(file.fileno()).st_size - NEAR))
        return mark in start or mark in file.read(NEAR)
