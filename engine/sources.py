"""A user's own pictures: which ones --predict means, and how they are read.

PATH is a picture, a folder of pictures, a video, a camera's number (0: the first webcam; runs until Ctrl-C) or `-`, one
picture on standard input.  What a folder holds beside pictures is named when it is passed over.

A picture is whole or Unreadable: JPEGs are read strictly, other formats by OpenCV, and none is decoded before its
header has said how large it is.  Only regular files are opened: a pipe would be waited for, a device read for ever.
Pictures are turned as their EXIF orientation says, deep ones reduced to 8 bits, grey ones read as colours; what is
transparent becomes black.
"""
import collections
import contextlib
import io
import os
import stat
import sys
import warnings

import cv2
import numpy as np
import simplejpeg
from PIL import Image

from engine.files import InputError, quiet_stderr

JPEGS = ('.jpg', '.jpeg', '.jpe', '.jfif')
PICTURES = (*JPEGS, '.png', '.bmp', '.tif', '.tiff', '.webp', '.ppm', '.pgm', '.gif', '.jp2')
VIDEOS = ('.avi', '.mp4', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.wmv', '.3gp', '.mts', '.m2ts', '.flv',
          '.ogv')
HEIC = ('.heic', '.heif', '.hif')
STDIN = '-'
MAX_SIDE, MAX_PIXELS = 16384, 178_000_000       # beyond any camera; a header may ask for more than the machine has
MAX_BYTES = 1 << 30
NAMED = 3                                       # of what is passed over, so many by name

# path: a file's, or a camera's number.  name: of what is written about it.
Source = collections.namedtuple('Source', 'path name is_video')


class Unreadable(InputError):
    """A picture that cannot be read; the others can."""


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
            check_size(width, height)
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


# --- pictures -----------------------------------------------------------------------------------------------------

def read_picture(path):
    """One picture, RGB uint8 [h, w, 3], whole and turned as its EXIF orientation says; else Unreadable."""
    name = 'standard input' if path == STDIN else path
    try:
        return decode(sys.stdin.buffer.read(MAX_BYTES) if path == STDIN else read_regular(path))
    except OSError as error:
        raise Unreadable(f'{name}: {error.strerror}') from error
    except (ValueError, RuntimeError, MemoryError, cv2.error) as error:
        reason = error if isinstance(error, ValueError | RuntimeError) else 'OpenCV cannot decode it'
        raise Unreadable(f'{name}: not a whole picture: {reason}') from error


def read_regular(path):
    """The bytes of a regular file; ValueError if it is none, or too large."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)         # of a pipe, too, it comes back at once
    with open(descriptor, 'rb') as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise ValueError('not a regular file')
        if facts.st_size > MAX_BYTES:
            raise ValueError(f'{facts.st_size / 1e9:.1f} GB, and no file may have more than {MAX_BYTES / 1e9:.1f}')
        return file.read()


def check_regular(path):
    """Unreadable if a path leads to a pipe or a device."""
    try:
        if not os.path.isfile(path):
            raise Unreadable(f'{path}: not a regular file')
    except (OSError, ValueError) as error:
        raise Unreadable(f'{path}: {error}') from error


def decode(content):
    """A picture's bytes -> RGB uint8 [h, w, 3], else ValueError, RuntimeError, MemoryError or cv2.error."""
    with quiet_stderr():                           # OpenCV's codecs print what our own line says
        return decode_jpeg(content) if content[:2] == b'\xff\xd8' else decode_other(content)


def decode_jpeg(content):
    """Strict, by the same library as FLIC's frames (data.py); one that is turned or CMYK goes through OpenCV too."""
    height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
    check_size(width, height)
    cmyk = colours in ('CMYK', 'YCCK')
    image = simplejpeg.decode_jpeg(content, 'CMYK' if cmyk else 'RGB', strict=True)
    if cmyk or content.find(b'Exif\0\0', 0, 1 << 17) >= 0:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    return image


def decode_other(content):
    """Whatever OpenCV reads; what is transparent fades to black, as what surrounds a picture is."""
    if not content:
        raise ValueError('empty')
    transparent = check_header(content)
    content = np.frombuffer(content, np.uint8)
    image = cv2.imdecode(content, cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise ValueError('damaged, or no format that OpenCV reads')
    full = cv2.imdecode(content, cv2.IMREAD_UNCHANGED) if transparent else image
    if full.shape == (*image.shape[:2], 4):
        opaque = np.iinfo(full.dtype).max
        for row, colours in enumerate(image):           # a float of the whole picture would be four times as large
            image[row] = np.rint(colours * (full[row, :, 3:] / np.float32(opaque)))
    return image


def check_header(content):
    """Checks the size in the header of a picture; returns whether any of it may be transparent."""
    if content[4:8] == b'ftyp' and content[8:11] in (b'hei', b'hev', b'mif'):
        raise ValueError('HEIC: convert it to JPEG')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')             # of its own, lower limit
            with Image.open(io.BytesIO(content)) as picture:
                size, transparent = picture.size, 'A' in picture.getbands() or 'transparency' in picture.info
    except Image.DecompressionBombError as error:
        raise ValueError(str(error).partition(',')[0]) from error         # how many pixels
    except Exception as error:                          # a damaged header raises nearly anything
        raise ValueError('damaged, or no format that is read') from error
    check_size(*size)
    return transparent


def check_size(width, height):
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise ValueError(f'{width}x{height}, and no side may be longer than {MAX_SIDE}, no picture have more than '
                         f'{MAX_PIXELS // 10 ** 6} million pixels')
