"""Finds pictures that are in both splits.

Whoever they show is trained on and tested on, so rates come out too high.
"""

import collections
import hashlib
import os
from collections.abc import Hashable, Iterable, Sequence

CHUNK = 1 << 20  # bytes read at a time


def pictures_in_both(train: Iterable[str], test: Iterable[str]) -> list[tuple[str, str]]:
    """The test pictures that are training pictures, too: [(training path, test path)].

    They are in the order of their paths.  Two paths are the same picture if they lead to the same
    file, or to files of equal content.  Pictures of equal names in different folders are not.  Of
    pictures that cannot be read, only the paths are compared.
    """
    by_file = {}  # {identity of a file: training path}
    by_size = collections.defaultdict(list)  # {bytes: training paths}
    for path in sorted(set(train)):
        file, size = identity(path)
        by_file.setdefault(file, path)
        by_size[size].append(path)

    digests = {}
    pairs = []
    for path in sorted(set(test)):
        file, size = identity(path)
        same = by_file.get(file) or equal_file(path, by_size.get(size, ()), digests)
        if same:
            pairs.append((same, path))
    return pairs


def identity(path: str) -> tuple[Hashable, int | None]:
    """A value that all paths to one file share, links too, and the file's size in bytes.

    The size of a file that cannot be read is None.
    """
    try:
        found = os.stat(path)
    except OSError:  # reported by whoever reads it
        return os.path.abspath(path), None
    return (found.st_dev, found.st_ino), found.st_size


def equal_file(path: str, others: Sequence[str], digests: dict[str, bytes | None]) -> str | None:
    """The first of the files `others` that has this one's content; None if none has.

    Args:
        others: files of the same size as this one.
        digests: {path: digest} of files read before; those read here are added.
    """
    if not others:
        return None
    for one in (path, *others):
        if one not in digests:
            digests[one] = digest(one)
    if digests[path] is None:
        return None
    for other in others:
        if digests[other] == digests[path]:
            return other
    return None


def digest(path: str) -> bytes | None:
    """A hash of a file's content; None if the file cannot be read."""
    content = hashlib.blake2b(digest_size=16)
    try:
        with open(path, 'rb') as file:
            while chunk := file.read(CHUNK):
                content.update(chunk)
    except OSError:
        return None
    return content.digest()


def report(pairs: list[tuple[str, str]], most: int) -> str:
    """The line of data.py on such pairs: their number and the first `most` paths."""
    line = f'frames in both splits: {len(pairs)}'
    if not pairs:
        return line
    names = [test if train == test else f'{test} = {train}' for train, test in pairs]
    if len(names) > most:
        names = [*names[:most], '...']
    return f'{line}: {", ".join(names)}'


def warning(pairs: list[tuple[str, str]]) -> list[str]:
    """The warning of data.py, [a line]; [] where no picture is in both splits."""
    if not pairs:
        return []
    number = '1 picture is' if len(pairs) == 1 else f'{len(pairs)} pictures are'
    return [
        f'warning: {number} in both splits, so people are trained on and tested on, and test rates '
        'come out too high: leave them out of one split'
    ]
