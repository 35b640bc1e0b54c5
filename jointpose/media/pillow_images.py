"""Images read by Pillow: headers, EXIF orientation, and formats that OpenCV does not read."""

import contextlib
import functools
import io
import warnings
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from jointpose.media import containers

# Pillow's names of the formats that it may open: those that hold pixels, no documents.
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
WITHOUT_MAGIC = ('DIB', 'TGA')  # formats that only a file's ending tells from others
ANIMATED = ('AVIF', 'GIF', 'PNG', 'WEBP')  # formats whose frames have durations
ORIENTATION = 0x0112  # EXIF tag


class UnknownRange(ValueError):
    """Pixel values of which nothing says which one is white."""


class Header(NamedTuple):
    """What is known of an image before it is decoded."""

    format: str  # Pillow's name
    size: tuple[int, int]  # (width, height) as stored
    is_transparent: bool
    is_measured: bool  # see `is_measured`


# --- header -------------------------------------------------------------------------------------


@functools.cache
def formats() -> tuple[str, ...]:
    """Returns those formats that the installed Pillow can open."""
    Image.init()
    return tuple(name for name in FORMATS + WITHOUT_MAGIC if name in Image.OPEN)


def open_header(source: bytes | BinaryIO) -> Image.Image:
    """Opens an image, given by its bytes or an open file; its pixels are not decoded yet."""
    is_bytes = isinstance(source, bytes)
    # For a JPEG, Pillow then loads only one of its modules.
    allowed = ('JPEG',) if is_bytes and containers.is_jpeg(source) else formats()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of Pillow's own, lower limit on the size
        return Image.open(io.BytesIO(source) if is_bytes else source, formats=allowed)


def read_header(content: bytes) -> Header:
    """Reads the header; raises nearly anything if it is damaged."""
    with open_header(content) as image:
        return Header(image.format, image.size, is_transparent(image), is_measured(image))


def is_transparent(image: Image.Image) -> bool:
    """Returns whether parts of an image may be transparent."""
    return 'A' in image.getbands() or 'transparency' in image.info


def is_measured(image: Image.Image) -> bool:
    """Returns whether pixels are numbers of 32 bits, of which nothing says which one is white."""
    return image.mode == 'F' or (image.mode == 'I' and image.format == 'TIFF')


def is_animation(image: Image.Image) -> bool:
    """Returns whether an image has several frames that follow one another in time."""
    return image.format in ANIMATED and getattr(image, 'is_animated', False)


# --- pixels -------------------------------------------------------------------------------------


def decode(content: bytes) -> np.ndarray:
    """Decodes an image as stored, without the EXIF rotation, to RGB uint8 [h, w, 3].

    Raises ValueError.
    """
    try:
        with open_header(content) as image:
            image.load()
            return to_rgb(image)
    except UnknownRange:
        raise
    except Exception as error:  # a damaged file raises nearly anything
        raise ValueError('damaged, or not a supported format') from error


def to_rgb(image: Image.Image) -> np.ndarray:
    """Converts to RGB uint8 [h, w, 3]; what is transparent becomes black."""
    if image.mode.startswith('I;16'):
        return _grey_to_rgb(np.asarray(image) >> 8)
    if is_measured(image):
        return _grey_to_rgb(_to_uint8(np.asarray(image)))
    if not is_transparent(image):
        return np.array(image.convert('RGB'))
    rgba = np.array(image.convert('RGBA'))
    rgb = np.ascontiguousarray(rgba[..., :3])
    blend_on_black(rgb, rgba[..., 3])
    return rgb


def _to_uint8(values: np.ndarray) -> np.ndarray:
    """Converts numbers from 0 to 255, or floats from 0 to 1; raises UnknownRange for others."""
    low = values.min()
    high = values.max()
    if not 0 <= low <= high <= 255:  # NaN fails this comparison, too
        raise UnknownRange(
            f'numbers from {low:g} to {high:g}, of which nothing says which is white: convert it '
            'to 8 bits'
        )
    white = 1 if values.dtype.kind == 'f' and high <= 1 else 255
    return np.rint(values * (255 / white)).astype(np.uint8)


def _grey_to_rgb(grey: np.ndarray) -> np.ndarray:
    """[h, w] -> uint8 [h, w, 3]."""
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


def blend_on_black(image: np.ndarray, alpha: np.ndarray) -> None:
    """Makes what is transparent black, in place: image [h, w, 3], alpha [h, w].

    An image that would be invisible as a whole stays as it is: some programs write such bitmaps of
    32 bits, and their alpha means nothing.
    """
    if not alpha.any():
        return
    opaque = np.float32(np.iinfo(alpha.dtype).max)
    # Row by row: a float array of the whole image would be four times its size.
    for row, colours in enumerate(image):
        image[row] = np.rint(colours * (alpha[row, :, None] / opaque))


# --- EXIF orientation ---------------------------------------------------------------------------


def read_orientation(content: bytes) -> int:
    """Returns the EXIF orientation, 1 to 8; 1 if there is none or the block is damaged."""
    with contextlib.suppress(Exception), open_header(content) as image:
        return orientation_of(image)
    return 1


def orientation_of(image: Image.Image) -> int:
    """As `read_orientation`, of an open image."""
    with contextlib.suppress(Exception):
        found = image.getexif().get(ORIENTATION)
        if found in range(2, 9):
            return int(found)
    return 1


def apply_orientation(image: np.ndarray, orientation: int) -> np.ndarray:
    """Flips and rotates a stored image [h, w, 3] as its EXIF orientation asks.

    CIPA DC-008, 4.6.4 A.
    """
    if orientation >= 5:
        image = image.swapaxes(0, 1)  # 5: mirrored at the diagonal
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)
