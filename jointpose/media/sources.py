"""The images and videos that --predict names.

A PATH is an image, a folder, a pattern ('shots/*.jpg'; '**' stands for folders within folders), a
video, a camera's number (0 is the first webcam; it runs until Ctrl-C), or `-` for one image on
standard input. Several files, folders and patterns may be given. A file's content says what it is,
not its ending. What is passed over in a folder is reported.

media/frames.py reads them.
"""

import collections
import glob
import os
from collections.abc import Iterator
from typing import NamedTuple

from jointpose.media.images import STDIN
from jointpose.media.media_kinds import IMAGE_ENDINGS, KINDS, VIDEO, kind_of, page_note
from jointpose.media.source_names import unique_names
from jointpose.utils.errors import InputError

MAX_LISTED = 3  # names of passed-over files in one line
MAX_CAMERA_DIGITS = 9  # OpenCV takes no larger number


class Source(NamedTuple):
    """An image, video or camera in which poses are to be found."""

    path: str | int  # a file's, or a camera's number
    name: str  # of the results about it
    is_video: bool  # a video, animation or camera
    listed_as: str = ''  # file_name in poses.json, where the path's last part would be ambiguous

    @property
    def file(self) -> str:
        """The file_name in poses.json."""
        return self.listed_as or os.path.basename(str(self.path))


class Files(NamedTuple):
    """The files that a PATH stands for."""

    kinds: dict[str, str]  # {path: IMAGE or VIDEO}, in order
    notes: list[str]  # lines about what is passed over


# --- paths to sources ---------------------------------------------------------------------------


def find(paths: list[str], out: str) -> tuple[list[Source], list[str]]:
    """Returns the Sources of --predict in order, and lines about what is passed over.

    Raises InputError.

    out: the folder of the results.
    """
    for path in paths:
        if path == STDIN or is_camera(path):
            return [_single_source(path, paths)], []
    kinds = {}
    notes = []
    known = set()  # a file that is named twice is used once
    for path in paths:
        files = _expand(path, out)
        notes += files.notes
        for file, kind in files.kinds.items():
            if os.path.normpath(file) not in known:
                kinds[file] = kind
        known.update(map(os.path.normpath, files.kinds))
    return _named_sources(kinds), notes


def _single_source(path: str, paths: list[str]) -> Source:
    """Standard input or a camera; raises InputError if there are other paths."""
    if len(paths) > 1:
        what = 'standard input' if path == STDIN else 'a camera'
        raise InputError(f'--predict {path}: {what} cannot be combined with other images')
    if path == STDIN:
        return Source(STDIN, 'stdin', False)
    return Source(int(path), f'camera{int(path)}', True)


def is_camera(path: str) -> bool:
    """Returns whether a path is a camera's number, and no file of that name."""
    is_number = path.isdecimal() and len(path) <= MAX_CAMERA_DIGITS
    return is_number and not os.path.exists(path)


def _named_sources(kinds: dict[str, str]) -> list[Source]:
    uses = collections.Counter(map(os.path.basename, kinds))
    videos = [file for file, kind in kinds.items() if kind == VIDEO]
    names = unique_names(list(kinds), videos)
    sources = []
    for (file, kind), name in zip(kinds.items(), names):
        is_ambiguous = uses[os.path.basename(file)] > 1
        sources.append(Source(file, name, kind == VIDEO, file if is_ambiguous else ''))
    return sources


# --- paths to files -----------------------------------------------------------------------------


def _expand(path: str, out: str) -> Files:
    """The Files that a file's path, a folder or a pattern stands for; raises InputError."""
    if os.path.isdir(path):
        if os.path.realpath(path) == os.path.realpath(out):
            raise InputError(f'--out {out}: is the folder of the images themselves')
        files = [entry.path for entry in os.scandir(path) if entry.name[0] != '.']
        return _select(path, sorted(files))
    if os.path.lexists(path):
        return Files({path: kind_of(path, is_named=True)}, _page_notes([path]))
    if not glob.has_magic(path):
        raise InputError(f'--predict {path}: no such file or folder')
    files = [file for file in matching_files(path) if not _is_in_folder(file, out)]
    if '**' in path:
        files = [file for file in files if not os.path.isdir(file)]
    if not files:
        raise InputError(f'--predict {path}: no file matches')
    return _select(path, sorted(files))


def _is_in_folder(file: str, folder: str) -> bool:
    """Whether a file lies in the folder of the results: it is one of an earlier call."""
    return os.path.realpath(os.path.dirname(file)) == os.path.realpath(folder)


def _select(path: str, files: list[str]) -> Files:
    """The images and videos among a folder's or pattern's files; InputError if there are none."""
    kinds = {file: kind_of(file) for file in files}
    selected = {file: kind for file, kind in kinds.items() if kind in KINDS}
    passed_over = collections.defaultdict(list)  # {reason: [name, ...]}
    for file, kind in kinds.items():
        if kind not in KINDS:
            passed_over[kind].append(os.path.basename(file))
    reasons = [f'{_abbreviated(names)}: {kind}' for kind, names in sorted(passed_over.items())]
    if not selected:
        found = '; '.join(reasons) or ' '.join(IMAGE_ENDINGS)
        raise InputError(f'--predict {path}: no images there ({found})')
    notes = [f'{path}: passed over: {reason}' for reason in reasons]
    return Files(selected, notes + _page_notes(selected))


def _page_notes(files) -> list[str]:
    return [note for note in map(page_note, files) if note is not None]


def _abbreviated(names: list[str]) -> str:
    """'a, b, c and 2 more'."""
    listed = ', '.join(sorted(names)[:MAX_LISTED])
    more = len(names) - MAX_LISTED
    return f'{listed} and {more} more' if more > 0 else listed


# --- patterns -----------------------------------------------------------------------------------


def matching_files(pattern: str) -> list[str]:
    """Returns what a pattern matches.

    `**` stands for any folders within folders whose names do not begin with a dot. Unlike glob, no
    folder is entered twice, so links to a folder above do not lead in circles.
    """
    parts = pattern.split(os.sep)
    if '**' not in parts:
        return glob.glob(pattern)
    at = parts.index('**')
    root = os.curdir if at == 0 else os.sep.join(parts[:at]) or os.sep
    rest = parts[at + 1 :] or ['*']
    found = []
    entered = set()
    for top in sorted(glob.glob(root)):
        for folder in _folders_within(top, entered):
            found += matching_files(os.path.join(glob.escape(folder), *rest))
    if at == 0:
        return [os.path.relpath(file) for file in found]
    return found


def _folders_within(top: str, entered: set[str]) -> Iterator[str]:
    """A folder and all folders within it, each once.

    entered: the real paths of the folders that have been entered; it grows.
    """
    for folder, names, _ in os.walk(top, followlinks=True):
        real = os.path.realpath(folder)
        if real in entered:
            names.clear()  # os.walk goes no deeper
            continue
        entered.add(real)
        # Folders come before links, which may lead to them.
        visible = [name for name in names if name[0] != '.']
        links = [name for name in visible if os.path.islink(os.path.join(folder, name))]
        names[:] = sorted(set(visible) - set(links)) + sorted(links)
        yield folder
