"""Strict reading of JPEGs: a truncated or damaged one is an error, never half a picture."""
import simplejpeg

from engine.files import InputError


def size(content):
    """(width, height) that the header of a file's bytes says; ValueError if they are no JPEG."""
    height, width = simplejpeg.decode_jpeg_header(content)[:2]
    return width, height


def read(path, expected=None):
    """RGB uint8 [h, w, 3], not turned by any EXIF orientation; expected: (width, height) that it must have."""
    try:
        with open(path, 'rb') as file:
            content = file.read()
        found = size(content)                           # a damaged header may ask for 13 GB and a minute
        if expected is not None and found != tuple(expected):
            raise InputError('{}: is {}x{}, expected {}x{}'.format(path, *found, *expected))
        return simplejpeg.decode_jpeg(content, 'RGB', strict=True)
    except OSError as error:
        raise InputError(f'{path}: {error.strerror}') from error
    except (ValueError, RuntimeError) as error:
        raise InputError(f'{path}: not a whole JPEG picture: {error}') from error
