"""A user's own pictures and videos: which ones --predict means.

PATH is a picture, a folder, a pattern ('shots/*.jpg', '**' for folders within folders), a video, a camera's number (0:
the first webcam; runs until Ctrl-C) or `-`, one picture on standard input; of files, folders and patterns there may be
several.  What a file is, its content says, not its ending.  What a folder holds beside pictures and videos is named
when it is passed over.

How they are read: media/frames.py, media/images.py.
"""

import collections
import contextlib
import glob
import os
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from jointpose.media import containers, images
from jointpose.media.images import STDIN
from jointpose.utils.errors import InputError
from jointpose.utils.files import MAX_NAME_BYTES

JPEGS = ('.jpg', '.jpeg', '.jpe', '.jfif')
IMAGE_ENDINGS = (
    *JPEGS,
    '.apng',
    '.avif',
    '.bmp',
    '.dds',
    '.dib',
    '.gif',
    '.ico',
    '.j2c',
    '.j2k',
    '.jp2',
    '.jpc',
    '.jpf',
    '.jpx',
    '.mpo',
    '.pbm',
    '.pcx',
    '.pfm',
    '.pgm',
    '.png',
    '.pnm',
    '.ppm',
    '.psd',
    '.qoi',
    '.ras',
    '.sgi',
    '.tga',
    '.tif',
    '.tiff',
    '.webp',
)
VIDEO_ENDINGS = (
    '.3g2',
    '.3gp',
    '.asf',
    '.avi',
    '.divx',
    '.f4v',
    '.flv',
    '.m2ts',
    '.m4v',
    '.mjpeg',
    '.mjpg',
    '.mkv',
    '.mov',
    '.mp4',
    '.mpe',
    '.mpeg',
    '.mpg',
    '.mts',
    '.mxf',
    '.ogm',
    '.ogv',
    '.vob',
    '.webm',
    '.wmv',
    '.y4m',
)
SOUND = ('.aac', '.flac', '.m4a', '.mka', '.mp3', '.oga', '.ogg', '.opus', '.wav', '.wma')
HEIC = ('.heic', '.heif', '.hif')
FIRST_JPEG = 1 << 26  # bytes within which a stream's second JPEG begins
NAMED = 3  # of what is passed over, so many by name
LONGEST = MAX_NAME_BYTES - len(
    '_99999_000000000_maps.jpg'
)  # bytes of a name of what is written, without endings


class Source(NamedTuple):
    """What poses are to be found in."""

    path: str | int  # a file's, or a camera's number
    name: str  # of what is written about it
    is_video: bool  # or animation, or camera
    listed_as: str = ''  # poses.json's file_name, where the path's last part would not be clear

    @property
    def file(self) -> str:
        """What poses.json calls it."""
        return self.listed_as or os.path.basename(str(self.path))


# --- which --------------------------------------------------------------------------------------------------------


def find(paths: list[str], out: str) -> tuple[list[Source], list[str]]:
    """The Sources of --predict in order, and lines to say about what is passed over.

    out: the folder of the results.
    """
    for path in paths:
        alone = 'standard input' if path == STDIN else 'a camera' if is_camera(path) else None
        if alone and len(paths) > 1:
            raise InputError(f'--predict {path}: {alone} goes without other pictures')
        if alone:
            return [
                Source(STDIN, 'stdin', False)
                if path == STDIN
                else Source(int(path), f'camera{int(path)}', True)
            ], []
    kinds, lines = {}, []  # {file: 'picture' or 'video'}, in order
    known = set()  # whoever is named twice is taken once
    for path in paths:
        found, said = expand(path, out)
        lines += said
        kinds.update(
            {file: kind for file, kind in found.items() if os.path.normpath(file) not in known}
        )
        known.update(map(os.path.normpath, found))
    often = collections.Counter(map(os.path.basename, kinds))
    videos = [file for file, kind in kinds.items() if kind == 'video']
    return [
        Source(file, name, kind == 'video', file if often[os.path.basename(file)] > 1 else '')
        for (file, kind), name in zip(kinds.items(), unique_names(list(kinds), videos))
    ], lines


def is_camera(path: str) -> bool:
    return (
        path.isdecimal() and len(path) < 10 and not os.path.exists(path)
    )  # of a larger number OpenCV takes none


def expand(path: str, out: str) -> tuple[dict[str, str], list[str]]:
    """({file: 'picture' or 'video'}, lines about what is passed over) of a file, a folder or a pattern."""
    if os.path.isdir(path):
        if os.path.realpath(path) == os.path.realpath(out):
            raise InputError(f'--out {out}: is the folder of the pictures themselves')
        return listed(
            path, sorted(entry.path for entry in os.scandir(path) if entry.name[0] != '.')
        )
    if os.path.lexists(path):
        return {path: kind_of(path, named=True)}, pages(path)
    if not glob.has_magic(path):
        raise InputError(f'--predict {path}: no such file or folder')
    files = [
        file
        for file in matching_files(path)
        if os.path.realpath(os.path.dirname(file)) != os.path.realpath(out)
    ]  # results of an earlier call
    if '**' in path:
        files = [file for file in files if not os.path.isdir(file)]
    if not files:
        raise InputError(f'--predict {path}: no file matches')
    return listed(path, sorted(files))


def matching_files(pattern: str) -> list[str]:
    """What a pattern names; `**` is any folders within folders, but not those whose names begin with a dot.

    Unlike glob's, it enters no folder twice, so links that lead back to a folder above end.
    """
    parts = pattern.split(os.sep)
    if '**' not in parts:
        return glob.glob(pattern)
    at = parts.index('**')
    above = os.sep.join(parts[:at]) or (os.sep if at else os.curdir)
    below = parts[at + 1 :] or ['*']
    found, seen = [], set()
    for root in sorted(glob.glob(above)):
        for folder in folders_within(root, seen):
            found += matching_files(os.path.join(glob.escape(folder), *below))
    return found if at else [os.path.relpath(file) for file in found]


def folders_within(root: str, seen: set[str]) -> Iterator[str]:
    """A folder and all folders within it, each once.  seen: real paths of those that were entered before."""
    for folder, names, _ in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        names[:] = [] if real in seen else [name for name in names if name[0] != '.']
        names.sort(
            key=lambda name, folder=folder: (os.path.islink(os.path.join(folder, name)), name)
        )
        if real not in seen:
            seen.add(real)
            yield folder


def listed(path: str, files: list[str]) -> tuple[dict[str, str], list[str]]:
    """As `expand`, of the files of a folder or pattern."""
    kinds = {file: kind_of(file) for file in files}
    taken = {file: kind for file, kind in kinds.items() if kind in ('picture', 'video')}
    others = collections.defaultdict(list)
    for file, kind in kinds.items():
        if file not in taken:
            others[kind].append(os.path.basename(file))
    lines = [f'{some_of(names)}: {kind}' for kind, names in sorted(others.items())]
    if not taken:
        raise InputError(
            f'--predict {path}: no pictures there ({"; ".join(lines) or " ".join(IMAGE_ENDINGS)})'
        )
    return taken, [f'{path}: passed over: {line}' for line in lines] + [
        line for file in taken for line in pages(file)
    ]


def kind_of(path: str, named: bool = False) -> str:
    """'picture', 'video', or else what a file is and why it is not taken.  named: by the user, so it is one of both."""
    ending = os.path.splitext(path)[1].lower()
    if os.path.isdir(path):
        return 'picture' if named else 'a folder within the folder'
    if kind := kind_of_content(path, ending):  # JPEGs named .heic are common
        return kind
    if ending in HEIC:
        return 'picture' if named else images.HEIC_ADVICE
    kinds = ((IMAGE_ENDINGS, 'picture'), (VIDEO_ENDINGS, 'video'))
    return next(
        (kind for endings, kind in kinds if ending in endings), 'picture' if named else 'no picture'
    )


def kind_of_content(path: str, ending: str) -> str | None:
    """'picture' or 'video' where the content says so."""
    # A damaged header raises nearly anything.
    with contextlib.suppress(Exception), images.open_regular(path) as file:
        head = file.read(containers.HEAD_BYTES)
        if images.is_jpeg(head):
            stream = ending not in JPEGS and containers.is_jpeg_stream(head + file.read(FIRST_JPEG))
            return 'video' if stream else 'picture'
        if containers.is_video(head):
            return None if ending in SOUND else 'video'
        with images.open_header(file) as picture:
            if picture.format not in images.WITHOUT_MAGIC:
                return 'video' if images.is_animation(picture) else 'picture'
    return None


def pages(path: str) -> list[str]:
    """A line about a file of several pictures that are no animation, of which the first alone is taken."""
    if os.path.splitext(path)[1].lower() in ('.tif', '.tiff'):
        with (
            contextlib.suppress(Exception),
            images.open_regular(path) as file,
            images.open_header(file) as picture,
        ):
            if picture.n_frames > 1:
                return [f'{path}: has {picture.n_frames} pages: the first alone is taken']
    return []


def some_of(names: list[str]) -> str:
    more = len(names) - NAMED
    return ', '.join(sorted(names)[:NAMED]) + (f' and {more} more' if more > 0 else '')


def unique_names(paths: list[str], videos: Iterable[str] = ()) -> list[str]:
    """Names of what is written about files: without their endings; with these, or with folders before them, as far as
    they would be equal otherwise, or equal to a video's frames'."""
    levels = [0] * len(paths)
    while True:
        names = [name_at(path, level) for path, level in zip(paths, levels)]
        often = collections.Counter(names)
        frames = {name for path, name in zip(paths, names) if path in videos}
        clashes = [i for i, name in enumerate(names) if often[name] > 1 or is_frame(name, frames)]
        rising = [
            i
            for i in clashes
            if name_at(paths[i], levels[i] + 2) != names[i]
            and all(levels[i] <= levels[j] for j in clashes if names[j] == names[i])
        ]
        if not rising:
            return numbered(names)
        for i in rising:
            levels[i] += 1


def name_at(path: str, level: int) -> str:
    """0: the stem; 1: the file's name; 2: the stem behind its folder; 3: the file's name behind it, and so on."""
    parts = os.path.abspath(path).split(os.sep)[1:]
    parts = parts[-(1 + level // 2) :]
    if level % 2 == 0:
        parts[-1] = os.path.splitext(parts[-1])[0]
    return '_'.join(parts)


def is_frame(name: str, videos: Iterable[str]) -> bool:
    """Whether a name is that of a frame of one of the videos."""
    match = re.fullmatch(r'(?s:(.+))_\d{6,}', name)
    return bool(match) and match[1] in videos


def numbered(names: list[str]) -> list[str]:
    """Names that are equal nevertheless, a_b/c and a/b_c, get numbers; those too long to write lose their end."""
    seen, result = set(), []
    for name in map(shortened, names):
        new = next(
            new
            for i in range(len(names) + 1)
            if (new := f'{name}_{i + 1}' if i else name) not in seen
        )
        seen.add(new)
        result.append(new)
    return result


def shortened(name: str) -> str:
    while len(os.fsencode(name)) > LONGEST:
        name = name[:-1]
    return name
