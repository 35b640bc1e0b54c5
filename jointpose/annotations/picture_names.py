"""Finds the pictures that a file in COCO's form names below the folder --images.

Tools write names with backslashes, absolute paths of another machine, paths from a folder of their
own, names as in a URL.  These are tried, one after the other:

    the name itself
    the name with slashes for backslashes, and its ends, the longest first
        (C:\\data\\train\\1.jpg: data/train/1.jpg, train/1.jpg)
    these with %20 and the like replaced
    the plain name anywhere below the folder, if only one file there has it (1.jpg or 1.JPG);
        folders whose names begin with a dot do not count

Of Label Studio's /data/local-files/?d=1.jpg the path begins behind the d=.
Of a name with `..` in it only the plain name is tried.  No result leads out of the folder.
"""

import functools
import os
import re
import unicodedata
import urllib.parse

from jointpose.annotations.coco_json import Remarks
from jointpose.utils.errors import InputError

LOCAL_FILE = '/local-files/?d='  # in names of Label Studio


def resolve(names: list[str], folder: str) -> tuple[list[str], Remarks]:
    """Paths relative to the folder, in the names' order, and which were found under another name.

    Of a picture that is not there the plain name is returned; whoever opens it reports it.
    InputError if two names would be one picture, or one name two.
    """
    finder = Finder(folder)
    remarks = Remarks()
    paths = [finder.find(name) for name in names]
    name_of = {}  # {path: the first name that led to it}
    for name, path in zip(names, paths):
        if path != name and finder.is_there(path):
            remarks.add(
                f'of the pictures found in {folder} under another name', f'{name} as {path}'
            )
        first = name_of.setdefault(path, name)
        if first != name:
            raise InputError(f'pictures {first!r} and {name!r} would both be {path} in {folder}')
    return paths, remarks


class Finder:
    """Finds pictures below a folder."""

    def __init__(self, folder: str):
        self.folder = folder

    def find(self, name: str) -> str:
        """A picture's path relative to the folder."""
        if is_inside(name) and self.is_there(name):
            return name
        path = path_in_name(name)
        spellings = dict.fromkeys([path, urllib.parse.unquote(path)])
        for spelling in spellings:
            for end in ends(spelling):
                if self.is_there(end):
                    return end
        for spelling in spellings:
            found = self.find_anywhere(os.path.basename(spelling))
            if len(found) > 1:
                raise InputError(
                    f'picture {name!r}: which of {found[0]}, {found[1]} in {self.folder} is not '
                    'known'
                )
            if found:
                return found[0]
        return name if is_inside(name) else os.path.basename(slashed(name))

    def find_anywhere(self, plain_name: str) -> list[str]:
        """Paths, relative to the folder, of all files of a name.

        Files that differ from it in capital letters count if no other is there.
        """
        plain_name = composed(plain_name)
        similar = self.index.get(plain_name.casefold(), [])
        equal = [path for path in similar if composed(os.path.basename(path)) == plain_name]
        return equal or similar

    def is_there(self, path: str) -> bool:
        """Whether a path, relative to the folder, is a file."""
        return os.path.isfile(os.path.join(self.folder, path))

    @functools.cached_property
    def index(self) -> dict[str, list[str]]:
        """All files below the folder: {plain name in small letters: paths relative to it}."""
        found = {}
        for there, folders, files in os.walk(self.folder):
            # Folders with a dot hold thumbnails, which are copies.
            folders[:] = sorted(name for name in folders if not name.startswith('.'))
            for file in files:
                path = os.path.relpath(os.path.join(there, file), self.folder)
                found.setdefault(composed(file).casefold(), []).append(path)
        return found


def path_in_name(name: str) -> str:
    """The path in a URL, in a name of Label Studio, or in a name with backslashes."""
    path = name.rpartition(LOCAL_FILE)[2]
    if '://' in path:
        return urllib.parse.urlsplit(path).path
    return slashed(path)


def composed(name: str) -> str:
    """A name with each accent in its letter: macOS writes an accent as a letter of its own."""
    return unicodedata.normalize('NFC', name)


def slashed(name: str) -> str:
    """A name with slashes for backslashes."""
    return name.replace('\\', '/')


def is_inside(path: str) -> bool:
    """Whether a path cannot lead out of the folder that it is relative to."""
    return bool(path) and not path.startswith('/') and '..' not in path.split('/')


def ends(path: str) -> list[str]:
    """The ends of a path of at least two parts, the longest first, without drive and root.

    There are none if `..` is in it.
    """
    without_drive = re.sub('^[A-Za-z]:', '', path)
    parts = [part for part in without_drive.split('/') if part not in ('', '.')]
    if '..' in parts:
        return []
    return ['/'.join(parts[i:]) for i in range(len(parts) - 1)]
