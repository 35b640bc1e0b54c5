"""Pictures that are in both splits: whoever they show is trained on and tested on, so rates come out too high."""

import collections
import hashlib
import os
from collections.abc import Iterable

CHUNK = 1 << 20  # bytes read at a time


def pictures_in_both(train: Iterable[str], test: Iterable[str]) -> list[tuple[str, str]]:
    """[(training path, test path)]: the test pictures that are training pictures, too, by the order of their paths.

    Two paths are the same picture if they lead to the same file, or to files of equal content.  Pictures of equal names
    in different folders are not.  Of pictures that cannot be read, only the paths are compared.
    """
    by_file, by_size = {}, collections.defaultdict(list)
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


def identity(path):
    """(what is equal for all paths to a file, its size in bytes): links and spellings lead to one file."""
    try:
        found = os.stat(path)
    except OSError:  # reported by whoever reads it
        return os.path.abspath(path), None
    return (found.st_dev, found.st_ino), found.st_size


def equal_file(path, others, digests):
    """The first of the files `others`, which are as long as this one, that has its content, or None.

    digests: {path: digest} of files read before; those read here are added.
    """
    for one in (path, *others) if others else ():
        if one not in digests:
            digests[one] = digest(one)
    matching = (
        other for other in others if digests[path] is not None and digests[other] == digests[path]
    )
    return next(matching, None)


def digest(path):
    """Of a file's content; None if it cannot be read."""
    content = hashlib.blake2b(digest_size=16)
    try:
        with open(path, 'rb') as file:
            while chunk := file.read(CHUNK):
                content.update(chunk)
    except OSError:
        return None
    return content.digest()


def report(pairs: list[tuple[str, str]], most: int) -> str:
    """What data.py says of them: their number and the first `most` paths."""
    names = [test if train == test else f'{test} = {train}' for train, test in pairs]
    listed = ', '.join(names[:most]) + ', ...' * (len(names) > most)
    return f'frames in both splits: {len(pairs)}' + f': {listed}' * bool(pairs)


def warning(pairs: list[tuple[str, str]]) -> list[str]:
    """[a line], or [] where no picture is in both."""
    if not pairs:
        return []
    number = '1 picture is' if len(pairs) == 1 else f'{len(pairs)} pictures are'
    return [
        f'warning: {number} in both splits, so people are trained on and tested on, and test rates come out too '
        'high: leave them out of one split'
    ]
