"""Where the pictures are that a file in COCO's form names: below the folder --images, whatever the name says.

Tools write names with backslashes, absolute paths of another machine, paths from a folder of their own, names as in a
URL.  Tried are, one after the other: the name itself; with slashes for backslashes; its ends, the longest first
(C:\\data\\train\\1.jpg: data/train/1.jpg, train/1.jpg); the plain name anywhere below the folder, if only one file
there has it (1.jpg or 1.JPG; folders whose names begin with a dot do not count); all with %20 and the like replaced.
Of Label Studio's /data/local-files/?d=1.jpg the path begins behind the d=.
A name with `..` in it is tried by its plain name alone.  No result leads out of the folder.
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

    Of what is not there the plain name is returned: whoever opens it says so.  InputError if two names would be one
    picture, or one name two.
    """
    finder, remarks, first = Finder(folder), Remarks(), {}
    paths = [finder.find(name) for name in names]
    for name, path in zip(names, paths):
        if path != name and finder.is_there(path):
            remarks.add(
                f'of the pictures found in {folder} under another name', f'{name} as {path}'
            )
        if first.setdefault(path, name) != name:
            raise InputError(
                f'pictures {first[path]!r} and {name!r} would both be {path} in {folder}'
            )
    return paths, remarks


class Finder:
    def __init__(self, folder: str):
        self.folder = folder

    def find(self, name: str) -> str:
        """A picture's path relative to the folder."""
        if is_inside(name) and self.is_there(name):
            return name
        path = name.rpartition(LOCAL_FILE)[2]
        path = urllib.parse.urlsplit(path).path if '://' in path else slashed(path)
        spellings = dict.fromkeys([path, urllib.parse.unquote(path)])
        for path in (
            path for spelling in spellings for path in ends(spelling) if self.is_there(path)
        ):
            return path
        for plain in map(os.path.basename, spellings):
            found = self.index.get(composed(plain).casefold(), ())
            found = [
                path for path in found if composed(os.path.basename(path)) == composed(plain)
            ] or found
            if len(found) > 1:
                raise InputError(
                    f'picture {name!r}: which of {found[0]}, {found[1]} in {self.folder} is not known'
                )
            if found:
                return found[0]
        return name if is_inside(name) else os.path.basename(slashed(name))

    def is_there(self, path: str) -> bool:
        return os.path.isfile(os.path.join(self.folder, path))

    @functools.cached_property
    def index(self) -> dict[str, list[str]]:
        """{plain name in small letters: paths relative to the folder} of all files below it."""
        found = {}
        for there, folders, files in os.walk(self.folder):
            folders[:] = sorted(
                name for name in folders if not name.startswith('.')
            )  # thumbnails are copies
            for file in files:
                path = os.path.relpath(os.path.join(there, file), self.folder)
                found.setdefault(composed(file).casefold(), []).append(path)
        return found


def composed(name: str) -> str:
    """A name as one sequence of letters: macOS writes an accent as a letter of its own."""
    return unicodedata.normalize('NFC', name)


def slashed(name: str) -> str:
    return name.replace('\\', '/')


def is_inside(path: str) -> bool:
    """Whether a path cannot lead out of the folder that it is relative to."""
    return bool(path) and not path.startswith('/') and '..' not in path.split('/')


def ends(path: str) -> list[str]:
    """The path's ends of at least two parts, the longest first, without drive and root; none if `..` is in it."""
    parts = [part for part in re.sub('^[A-Za-z]:', '', path).split('/') if part not in ('', '.')]
    if '..' in parts:
        return []
    return ['/'.join(parts[i:]) for i in range(len(parts) - 1)]
