"""A user's own pictures: which ones --predict means, and how they are read.

PATH is a picture, a folder of pictures, a video, a camera's number (0: the first webcam; runs until Ctrl-C) or `-`, one
picture on standard input.  What a folder holds beside pictures is named when it is passed over.

How a picture is read: engine/images.py.
"""
import collections
import contextlib
import os

import cv2

from engine.files import InputError, quiet_stderr
from engine.images import STDIN, Unreadable, check_size, read_picture

JPEGS = ('.jpg', '.jpeg', '.jpe', '.jfif')
PICTURES = (*JPEGS, '.png', '.bmp', '.tif', '.tiff', '.webp', '.ppm', '.pgm', '.gif', '.jp2')
VIDEOS = ('.avi', '.mp4', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.wmv', '.3gp', '.mts', '.m2ts', '.flv',
          '.ogv')
HEIC = ('.heic', '.heif', '.hif')
NAMED = 3                                       # of what is passed over, so many by name

# path: a file's, or a camera's number.  name: of what is written about it.
Source = collections.namedtuple('Source', 'path name is_video')


# --- which --------------------------------------------------------------------------------------------------------

def find(path, out):
    """The Sources of --predict in order, and what to say of what a folder holds beside pictures, a list of lines.

    out: the folder of the results.
    """
    if path == STDIN:
        return [Source(STDIN, 'stdin', False)], []
    if path.isdecimal() and len(path) < 10 and not os.path.exists(path):        # of a larger number OpenCV takes none
        return [Source(int(path), f'camera{int(path)}', True)], []
    if not os.path.exists(path):
        raise InputError(f'--predict {path}: no such file or folder')
    if os.path.isdir(path):
        return list_folder(path, out)
    stem, ending = os.path.splitext(os.path.basename(path))
    return [Source(path, stem, ending.lower() in VIDEOS)], []


def list_folder(path, out):
    """As `find`: a folder's pictures, by name."""
    if os.path.realpath(path) == os.path.realpath(out):
        raise InputError(f'--out {out}: is the folder of the pictures themselves')
    kinds = collections.defaultdict(list)
    for entry in os.scandir(path):
        kinds[kind_of(entry)].append(entry.name)
    files = sorted(kinds.pop('', []))
    kinds.pop('hidden', None)
    others = [f'{listed(names)}: {kind}' for kind, names in sorted(kinds.items())]
    if not files:
        raise InputError(f'--predict {path}: no pictures there ({"; ".join(others) or " ".join(PICTURES)})')
    lines = [f'{path}: passed over: {line}' for line in others]
    return [Source(os.path.join(path, file), name, False) for file, name in zip(files, unique_names(files))], lines


def kind_of(entry):
    """'' of a picture, else what an entry of a folder is."""
    ending = os.path.splitext(entry.name)[1].lower()
    if entry.name[0] == '.':
        return 'hidden'
    if os.path.isdir(entry.path):                   # of a link to itself, entry.is_dir() raises OSError
        return 'a folder within the folder'
    kinds = ((PICTURES, ''), (VIDEOS, 'a video, which --predict takes by itself'), (HEIC, 'HEIC: convert it to JPEG'))
    return next((kind for endings, kind in kinds if ending in endings), 'no picture')


def listed(names):
    more = len(names) - NAMED
    return ', '.join(sorted(names)[:NAMED]) + (f' and {more} more' if more > 0 else '')


def unique_names(files):
    """File names without their endings; with them where they would be equal otherwise."""
    names = [os.path.splitext(file)[0] for file in files]
    while twice := {name for name, n in collections.Counter(names).items() if n > 1}:
        names = [file if name in twice else name for file, name in zip(files, names)]
    return names


def count(sources):
    """How many pictures there will be, None if a video does not say."""
    if not sources[0].is_video:
        return len(sources)
    with contextlib.suppress(Unreadable), open_video(sources[0].path) as video:
        return max(0, int(video.get(cv2.CAP_PROP_FRAME_COUNT))) or None


# --- videos -------------------------------------------------------------------------------------------------------

def frames(source):
    """Yields (name, number, RGB uint8 [h, w, 3]) of a picture (number None) or each frame of a video (from 1).

    Raises Unreadable, for a video perhaps after some of its frames.
    """
    if not source.is_video:
        yield source.name, None, read_picture(source.path)
        return
    with open_video(source.path) as video:
        expected, n = video.get(cv2.CAP_PROP_FRAME_COUNT), 0
        while True:
            with quiet_stderr():
                there, image = video.read()
            if not there:
                break
            n += 1
            yield f'{source.name}_{n:06d}', n, image[..., ::-1]
    if n == 0 or n < 0.98 * expected - 2:       # containers without an index only estimate it, cameras say nothing
        raise Unreadable(f'{source.path}: ends after {n} of {max(expected, 0):.0f} frames')


@contextlib.contextmanager
def open_video(path):
    """A cv2.VideoCapture of a file or a camera's number, with at least one frame in it, released at the end."""
    camera = isinstance(path, int)
    if not camera:
        check_regular(path)
    with quiet_stderr():
        video = cv2.VideoCapture(path)
    try:
        if not video.isOpened() or video.get(cv2.CAP_PROP_FRAME_WIDTH) < 1:
            raise Unreadable(f'camera {path}: there is none, or it is in use' if camera else
                             f'{path}: not a video that can be read')
        width, height = (round(video.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        try:
            check_size((width, height))
        except ValueError as error:
            raise Unreadable(f'{path}: {error}') from error
        yield video
    finally:
        video.release()


def rate(path):
    """Frames a second of a video, 25 where it does not say."""
    with open_video(path) as video:
        found = video.get(cv2.CAP_PROP_FPS)
    return found if 0 < found <= 1000 else 25.0


def check_regular(path):
    """Unreadable if a path leads to a pipe or a device."""
    try:
        if not os.path.isfile(path):
            raise Unreadable(f'{path}: not a regular file')
    except (OSError, ValueError) as error:
        raise Unreadable(f'{path}: {error}') from error
