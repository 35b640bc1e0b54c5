"""Reads one picture, checked: whole, or UnreadableMedia.  Every part of the project that reads pictures does it here.

JPEGs are decoded strictly (media/jpeg.py), other formats by OpenCV or else by Pillow, and none before its header has
said how large it is.  Of JPEGs whose colours are sampled as simplejpeg does not know, only the end is checked.  Only
regular files are opened: a pipe would be waited for, a device read for ever.  Pictures are turned as their EXIF
orientation says, deep ones reduced to 8 bits, grey ones read as colours; what is transparent becomes black.
"""

import contextlib
import functools
import io
import os
import stat
import sys
import warnings

import cv2
import numpy as np
from PIL import Image

from jointpose.media import containers, jpeg, png
from jointpose.utils.errors import InputError
from jointpose.utils.terminal import quiet_stderr

STDIN = '-'
MAX_SIDE, MAX_PIXELS = (
    16384,
    178_000_000,
)  # beyond any camera; a header may ask for more than the machine has
MAX_BYTES = 1 << 30
# Pillow's names of what it may open: formats that hold pixels, no documents that another program would have to draw.
FORMATS = (
    'AVIF',
    'BMP',
    'DDS',
    'GIF',
    'ICO',
    'JPEG',
    'JPEG2000',
    'PCX',
    'PNG',
    'PPM',
    'PSD',
    'QOI',
    'SGI',
    'SUN',
    'TIFF',
    'WEBP',
)
WITHOUT_MAGIC = ('DIB', 'TGA')  # told from others by nothing but their endings
ANIMATED = ('AVIF', 'GIF', 'PNG', 'WEBP')  # those whose frames have durations
ORIENTATION = 0x0112  # EXIF's tag
HEIC_ADVICE = 'HEIC: convert it to JPEG'


class UnreadableMedia(InputError):
    """A picture that cannot be read; the others can."""


class NoLevels(ValueError):
    """Numbers that are no brightness."""


class WrongSize(ValueError):
    """The header says another size than the one that is expected."""


def read_image(path, expected=None):
    """One picture, RGB uint8 [h, w, 3], whole and turned as its EXIF orientation says; else UnreadableMedia.

    path: a file's, or '-' for standard input.  expected: (width, height) that it must have, after turning.
    """
    name = 'standard input' if path == STDIN else path
    try:
        content = sys.stdin.buffer.read(MAX_BYTES) if path == STDIN else read_regular(path)
        if path == STDIN:
            refuse_animation(content)
        image = decode_image(content, expected)
    except WrongSize as error:
        raise UnreadableMedia(f'{name}: {error}') from error
    except OSError as error:
        raise UnreadableMedia(f'{name}: {error.strerror or error}') from error
    except (ValueError, RuntimeError, MemoryError, cv2.error) as error:
        reason = (
            error if isinstance(error, ValueError | RuntimeError) else 'OpenCV cannot decode it'
        )
        raise UnreadableMedia(f'{name}: not a whole picture: {reason}') from error
    if expected is not None and (reason := size_mismatch(image.shape[1::-1], expected)):
        raise UnreadableMedia(f'{name}: {reason}')
    return image


def refuse_animation(content):
    """Standard input is one picture; of an animation all frames but one would be lost without a word."""
    n = 1
    with (
        contextlib.suppress(Exception),
        open_header(content) as picture,
    ):  # `decode` says what is wrong
        n = picture.n_frames if is_animation(picture) else 1
    if n > 1:
        raise ValueError(f'an animation of {n} frames, which --predict takes as a file')


def size_mismatch(size, expected, word='expected'):
    """What is wrong with a picture's (width, height) as it is shown, or None.  word: who says what it should be."""
    size, expected = tuple(map(int, size)), tuple(map(int, expected))
    if size == expected:
        return None
    reason = '{}x{}, {} {}x{}'.format(*size, word, *expected)
    if size != expected[::-1]:
        return f'is {reason}'
    return (
        f'is shown as {reason}: width and height are exchanged, so the labels are of the picture before its EXIF '
        'orientation turns it: label it as it is shown, or remove the orientation from the file'
    )


def read_regular(path):
    """The bytes of a regular file; ValueError if it is none, or too large."""
    with open_regular(path) as file:
        length = os.fstat(file.fileno()).st_size
        if length > MAX_BYTES:
            raise ValueError(
                f'{length / 1e9:.1f} GB, and no file may have more than {MAX_BYTES / 1e9:.1f}'
            )
        return file.read()


def open_regular(path):
    """A regular file, open for reading; ValueError if it is none."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # of a pipe, too, it comes back at once
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError('not a regular file')
    return open(descriptor, 'rb')


def decode_image(content, expected=None):
    """A picture's bytes -> RGB uint8 [h, w, 3]; else ValueError, RuntimeError, MemoryError, OSError or cv2.error.

    expected: as `read_image`; it is compared with the header, too, since a damaged one may ask for gigabytes.
    """
    if is_jpeg(content):
        return decode_jpeg(content, expected)
    with quiet_stderr():  # OpenCV's codecs print what our own line says
        return decode_other(content, expected)


def is_jpeg(content):
    return content[:2] == b'\xff\xd8'


def decode_jpeg(content, expected):
    try:
        check_size(jpeg.size(content), expected)
    except jpeg.UnknownSampling:
        check_header(content, expected)
        return apply_orientation(by_pillow(content), orientation(content))
    image, content = jpeg.decode(content)
    if image.shape[2] == 4:
        image = by_opencv(content, cv2.IMREAD_COLOR_RGB)
    return apply_orientation(image, orientation(content)) if b'Exif\0\0' in content else image


def decode_other(content, expected):
    """Whatever OpenCV or Pillow reads."""
    if not content:
        raise ValueError('empty')
    if content.startswith(png.SIGNATURE):
        content = png.strip_metadata(content)
    format_, transparent, plain = check_header(content, expected)
    image = by_opencv(content, cv2.IMREAD_COLOR_RGB) if plain else None
    if image is None:
        return apply_orientation(by_pillow(content), orientation(content))
    if transparent:
        full = by_opencv(content, cv2.IMREAD_UNCHANGED)
        if full.shape == (*image.shape[:2], 4):
            fade(image, full[..., 3])
    return (
        image if format_ == 'TIFF' else apply_orientation(image, orientation(content))
    )  # OpenCV turns TIFF by itself


def by_opencv(content, how):
    """As stored, not turned; None if OpenCV does not read it."""
    return cv2.imdecode(np.frombuffer(content, np.uint8), how | cv2.IMREAD_IGNORE_ORIENTATION)


def by_pillow(content):
    """As `by_opencv`, RGB uint8 [h, w, 3]; ValueError if Pillow cannot read it either."""
    try:
        with open_header(content) as picture:
            picture.load()
            return to_rgb(picture)
    except NoLevels:
        raise
    except Exception as error:  # a damaged file raises nearly anything
        raise ValueError('damaged, or no format that is read') from error


def to_rgb(picture):
    """A Pillow picture as RGB uint8 [h, w, 3]; what is transparent fades to black."""
    if picture.mode.startswith('I;16'):
        return grey(np.asarray(picture) >> 8)
    if is_measured(picture):
        return grey(levels(np.asarray(picture)))
    if not is_transparent(picture):
        return np.array(picture.convert('RGB'))
    full = np.array(picture.convert('RGBA'))
    image = np.ascontiguousarray(full[..., :3])
    fade(image, full[..., 3])
    return image


def is_measured(picture):
    """Whether a Pillow picture has numbers of 32 bits, of which nothing says which one is white."""
    return picture.mode == 'F' or (picture.mode == 'I' and picture.format == 'TIFF')


def levels(values):
    """Numbers of 0 to 255, or floats of 0 to 1, as uint8; NoLevels if they are others."""
    low, high = values.min(), values.max()
    if not 0 <= low <= high <= 255:  # NaN compares false
        raise NoLevels(
            f'numbers from {low:g} to {high:g}, of which nothing says which is white: convert it to 8 bits'
        )
    white = 1 if values.dtype.kind == 'f' and high <= 1 else 255
    return np.rint(values * (255 / white)).astype(np.uint8)


def grey(image):
    """uint8 [h, w] as RGB."""
    return np.repeat(image.astype(np.uint8)[..., None], 3, axis=2)


def fade(image, alpha):
    """Makes what is transparent black, as what surrounds a picture is: image [h, w, 3] changes; alpha [h, w].

    Where nothing could be seen, alpha means nothing: so some programs write bitmaps of 32 bits.
    """
    if not alpha.any():
        return
    opaque = np.iinfo(alpha.dtype).max
    for row, colours in enumerate(
        image
    ):  # a float of the whole picture would be four times as large
        image[row] = np.rint(colours * (alpha[row, :, None] / np.float32(opaque)))


def check_header(content, expected):
    """Checks the size that the header says; returns (Pillow's name of the format, whether any of it may be
    transparent, whether OpenCV knows what its numbers mean)."""
    if containers.is_heic(content[: containers.HEAD_BYTES]):
        raise ValueError(HEIC_ADVICE)
    if containers.is_video(content[: containers.HEAD_BYTES]):
        raise ValueError('a video, which --predict takes as a file')
    try:
        with open_header(content) as picture:
            format_, size = picture.format, picture.size
            transparent, plain = is_transparent(picture), not is_measured(picture)
    except Image.DecompressionBombError as error:
        raise ValueError(str(error).partition(',')[0]) from error  # how many pixels
    except Exception as error:  # a damaged header raises nearly anything
        raise ValueError('damaged, or no format that is read') from error
    check_size(size, expected)
    return format_, transparent, plain


@functools.cache
def formats():
    """Those of FORMATS that this Pillow was built with."""
    Image.init()
    return tuple(name for name in FORMATS + WITHOUT_MAGIC if name in Image.OPEN)


def open_header(content):
    """A Pillow picture of which only the header has been read.  content: bytes, or an open file."""
    jpeg_alone = isinstance(content, bytes) and is_jpeg(
        content
    )  # for others Pillow loads more modules
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of its own, lower limit
        return Image.open(
            io.BytesIO(content) if isinstance(content, bytes) else content,
            formats=('JPEG',) if jpeg_alone else formats(),
        )


def is_transparent(picture):
    return 'A' in picture.getbands() or 'transparency' in picture.info


def is_animation(picture):
    """Whether a Pillow picture has several frames that follow one another in time."""
    return picture.format in ANIMATED and getattr(picture, 'is_animated', False)


def check_size(size, expected=None):
    """ValueError if a picture of that (width, height) is too large, or of another size than expected, turned or not."""
    if expected is not None and sorted(size) != sorted(map(int, expected)):
        raise WrongSize(size_mismatch(size, expected))
    width, height = size
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise ValueError(
            f'{width}x{height}, and no side may be longer than {MAX_SIDE}, no picture have more than '
            f'{MAX_PIXELS // 10**6} million pixels'
        )


# --- EXIF ---------------------------------------------------------------------------------------------------------


def orientation(content):
    """EXIF's orientation, 1 to 8, wherever in the file it is; 1 where there is none, or a broken one."""
    with contextlib.suppress(Exception), open_header(content) as picture:
        return orientation_of(picture)
    return 1


def orientation_of(picture):
    """As `orientation`, of a Pillow picture."""
    with contextlib.suppress(Exception):
        found = picture.getexif().get(ORIENTATION)
        if found in range(2, 9):
            return int(found)
    return 1


def apply_orientation(image, how):
    """A stored picture [h, w, 3] as EXIF's orientation `how` shows it (CIPA DC-008, 4.6.4 A)."""
    if how >= 5:
        image = image.swapaxes(0, 1)  # 5: mirrored at the diagonal
    if how in (3, 4, 7, 8):
        image = image[::-1]
    if how in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)
