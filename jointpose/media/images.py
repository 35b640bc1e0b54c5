"""Reads one image, whole or not at all. Every image that the project reads is read here.

JPEGs are decoded strictly (media/jpeg.py), other formats by OpenCV or else by Pillow, and none
before its header's size has been checked. (JPEGs with a chroma subsampling that simplejpeg does
not know are decoded by Pillow, which checks only their end.) Only regular files are opened: a pipe
could block, a device could be endless. Images are rotated as their EXIF orientation asks; deep ones
are reduced to 8 bits, grey ones become RGB, and what is transparent becomes black.
"""

import contextlib
import os
import stat
import sys
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image

from jointpose.media import containers, jpeg, pillow_images, png
from jointpose.utils.errors import InputError
from jointpose.utils.terminal import quiet_stderr

STDIN = '-'
HEIC_ADVICE = 'HEIC: convert it to JPEG'

# Limits beyond any camera: a damaged header may ask for more memory than there is.
MAX_SIDE = 16384  # pixels
MAX_PIXELS = 178_000_000
MAX_BYTES = 1 << 30  # of a file

Size = tuple[int, int]  # (width, height)


class UnreadableMedia(InputError):
    """An image or video that cannot be read; others can still be."""


class WrongSize(ValueError):
    """The header gives another size than the expected one."""


# --- reading ------------------------------------------------------------------------------------


def read_image(path: str, expected: Size | None = None) -> np.ndarray:
    """Returns an image, RGB uint8 [h, w, 3], rotated as its EXIF orientation asks.

    Raises UnreadableMedia if it is not whole, or not an image.

    Args:
        path: of a file, or '-' for standard input.
        expected: the size that it must have after the rotation.
    """
    name = 'standard input' if path == STDIN else path
    try:
        image = decode_image(_read_bytes(path), expected)
    except WrongSize as error:
        raise UnreadableMedia(f'{name}: {error}') from error
    except OSError as error:
        raise UnreadableMedia(f'{name}: {error.strerror or error}') from error
    except (ValueError, RuntimeError) as error:
        raise UnreadableMedia(f'{name}: not a whole image: {error}') from error
    except (MemoryError, cv2.error) as error:
        raise UnreadableMedia(f'{name}: not a whole image: OpenCV cannot decode it') from error
    if expected is not None:
        problem = size_mismatch(image.shape[1::-1], expected)
        if problem:
            raise UnreadableMedia(f'{name}: {problem}')
    return image


def _read_bytes(path: str) -> bytes:
    if path != STDIN:
        return read_regular(path)
    content = sys.stdin.buffer.read(MAX_BYTES)
    _refuse_animation(content)
    return content


def _refuse_animation(content: bytes) -> None:
    """Raises ValueError if standard input is an animation: only its first frame would be used."""
    n_frames = 1
    # `decode_image` reports whatever else is wrong.
    with contextlib.suppress(Exception), pillow_images.open_header(content) as image:
        if pillow_images.is_animation(image):
            n_frames = image.n_frames
    if n_frames > 1:
        raise ValueError(f'an animation of {n_frames} frames, which --predict takes as a file')


def read_regular(path: str) -> bytes:
    """Returns the content of a regular file; raises ValueError if it is none, or too large."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_BYTES:
            raise ValueError(f'{size / 1e9:.1f} GB, more than {MAX_BYTES / 1e9:.1f} GB')
        return file.read()


def open_regular(path: str) -> BinaryIO:
    """Opens a regular file for reading; raises ValueError if it is none."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # opening a pipe must not block
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError('not a regular file')
    return open(descriptor, 'rb')


# --- decoding -----------------------------------------------------------------------------------


def decode_image(content: bytes, expected: Size | None = None) -> np.ndarray:
    """Decodes the bytes of an image to RGB uint8 [h, w, 3].

    Raises ValueError, RuntimeError, MemoryError, OSError or cv2.error.

    expected: as in `read_image`. It is compared with the header's size, before memory is allocated.
    """
    if containers.is_jpeg(content):
        return _decode_jpeg(content, expected)
    with quiet_stderr():  # OpenCV's codecs print what the exception says already
        return _decode_other(content, expected)


def _decode_jpeg(content: bytes, expected: Size | None) -> np.ndarray:
    try:
        check_size(jpeg.size(content), expected)
    except jpeg.UnknownSampling:
        _check_header(content, expected)
        image = pillow_images.decode(content)
        return pillow_images.apply_orientation(image, pillow_images.read_orientation(content))
    image, content = jpeg.decode(content)
    if image.shape[2] == 4:  # CMYK
        image = _decode_with_opencv(content, cv2.IMREAD_COLOR_RGB)
    if b'Exif\0\0' not in content:
        return image
    return pillow_images.apply_orientation(image, pillow_images.read_orientation(content))


def _decode_other(content: bytes, expected: Size | None) -> np.ndarray:
    """Decodes any format that OpenCV or Pillow reads."""
    if not content:
        raise ValueError('empty')
    if content.startswith(png.SIGNATURE):
        content = png.strip_metadata(content)
    header = _check_header(content, expected)
    image = None
    if not header.is_measured:
        image = _decode_with_opencv(content, cv2.IMREAD_COLOR_RGB)
    if image is None:
        image = pillow_images.decode(content)
        return pillow_images.apply_orientation(image, pillow_images.read_orientation(content))
    if header.is_transparent:
        rgba = _decode_with_opencv(content, cv2.IMREAD_UNCHANGED)
        if rgba.shape == (*image.shape[:2], 4):
            pillow_images.blend_on_black(image, rgba[..., 3])
    if header.format == 'TIFF':  # OpenCV has rotated it
        return image
    return pillow_images.apply_orientation(image, pillow_images.read_orientation(content))


def _decode_with_opencv(content: bytes, flags: int) -> np.ndarray | None:
    """An image as stored, without the EXIF rotation; None if OpenCV cannot read it."""
    return cv2.imdecode(np.frombuffer(content, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)


# --- checks -------------------------------------------------------------------------------------


def _check_header(content: bytes, expected: Size | None) -> pillow_images.Header:
    """Checks the size in the header; raises ValueError."""
    head = content[: containers.HEAD_BYTES]
    if containers.is_heic(head):
        raise ValueError(HEIC_ADVICE)
    if containers.is_video(head):
        raise ValueError('a video, which --predict takes as a file')
    try:
        header = pillow_images.read_header(content)
    except Image.DecompressionBombError as error:
        raise ValueError(str(error).partition(',')[0]) from error  # the number of pixels
    except Exception as error:  # a damaged header raises nearly anything
        raise ValueError('damaged, or not a supported format') from error
    check_size(header.size, expected)
    return header


def check_size(size: Size, expected: Size | None = None) -> None:
    """Raises ValueError if an image of that size is too large, or not of the expected size.

    The size is taken before the EXIF rotation, so width and height may be exchanged.
    """
    if expected is not None and sorted(size) != sorted(map(int, expected)):
        raise WrongSize(size_mismatch(size, expected))
    width, height = size
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise ValueError(
            f'{width}x{height}: the limits are {MAX_SIDE} pixels a side and '
            f'{MAX_PIXELS // 10**6} million pixels'
        )


def size_mismatch(size: Size, expected: Size, word: str = 'expected') -> str | None:
    """Returns what is wrong with an image's size after the EXIF rotation, or None.

    word: what comes before the expected size, e.g. who expects it.
    """
    width, height = map(int, size)
    expected_width, expected_height = map(int, expected)
    if (width, height) == (expected_width, expected_height):
        return None
    difference = f'{width}x{height}, {word} {expected_width}x{expected_height}'
    if (width, height) != (expected_height, expected_width):
        return f'is {difference}'
    return (
        f'is shown as {difference}: width and height are exchanged, so the image was labelled '
        'without its EXIF orientation: label it as it is shown, or remove the orientation from '
        'the file'
    )
