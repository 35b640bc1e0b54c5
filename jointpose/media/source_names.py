"""Names for what is written about each image and video, all different and short enough."""

import collections
import os
import re
from collections.abc import Iterable

from jointpose.utils.files import MAX_NAME_BYTES

LONGEST_SUFFIX = '_99999_000000000_maps.jpg'  # of the files that are written about a source
MAX_BYTES = MAX_NAME_BYTES - len(LONGEST_SUFFIX)


def unique_names(paths: list[str], videos: Iterable[str] = ()) -> list[str]:
    """Returns a name for each file.

    It is the file's name without its ending. Where names would be equal, or one would be equal to
    that of a video's frame, endings are kept or folders are put before them.

    videos: those of the paths that are videos.
    """
    levels = [0] * len(paths)
    while True:
        names = [_name_at_level(path, level) for path, level in zip(paths, levels)]
        clashes = _clashes(paths, names, videos)
        rising = [i for i in clashes if _should_rise(i, clashes, paths, names, levels)]
        if not rising:
            return _numbered(names)
        for i in rising:
            levels[i] += 1


def _name_at_level(path: str, level: int) -> str:
    """0: name without ending; 1: with it; 2 and 3: the same behind the folder's name; and so on."""
    n_folders = level // 2
    parts = os.path.abspath(path).split(os.sep)[1:]
    parts = parts[-(1 + n_folders) :]
    if level % 2 == 0:
        parts[-1] = os.path.splitext(parts[-1])[0]
    return '_'.join(parts)


def _clashes(paths: list[str], names: list[str], videos: Iterable[str]) -> list[int]:
    """The indices of names that are used twice or look like the name of a video's frame."""
    uses = collections.Counter(names)
    video_names = {name for path, name in zip(paths, names) if path in videos}
    return [i for i, name in enumerate(names) if uses[name] > 1 or _is_frame_of(name, video_names)]


def _should_rise(
    i: int, clashes: list[int], paths: list[str], names: list[str], levels: list[int]
) -> bool:
    """Whether a clashing name goes to the next level: if that helps, and the lowest go first."""
    level = levels[i]
    if _name_at_level(paths[i], level + 2) == names[i]:
        return False
    levels_of_same = [levels[j] for j in clashes if names[j] == names[i]]
    return level == min(levels_of_same)


def _is_frame_of(name: str, videos: Iterable[str]) -> bool:
    """Whether a name is that of a frame of one of the videos."""
    match = re.fullmatch(r'(?s:(.+))_\d{6,}', name)
    return match is not None and match[1] in videos


def _numbered(names: list[str]) -> list[str]:
    """Shortens names, and appends numbers to those that are equal, as a_b/c and a/b_c may be."""
    result = []
    for name in map(_shortened, names):
        new = name
        number = 2
        while new in result:
            new = f'{name}_{number}'
            number += 1
        result.append(new)
    return result


def _shortened(name: str) -> str:
    while len(os.fsencode(name)) > MAX_BYTES:
        name = name[:-1]
    return name
