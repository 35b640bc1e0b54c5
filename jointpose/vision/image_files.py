"""Images written to files."""

import binascii
import os

import cv2
import numpy as np

from jointpose.utils.files import atomic_write

PNG_SIGNATURE = b'\x89PNG'
PNG_HEADER_END = 33  # bytes: the signature and the first chunk
JPEG_START_END = 2  # bytes: the start-of-image marker
JPEG_COMMENT = b'\xff\xfe'


def write_image(path: str, image: np.ndarray, comment: bytes = b'') -> None:
    """Writes an RGB uint8 image as .jpg or .png, by the path's ending, atomically.

    comment: bytes that the file shall hold near its beginning; viewers ignore them.
    """
    _, encoded = cv2.imencode(os.path.splitext(path)[1], image[..., ::-1])
    content = encoded.tobytes()
    if comment and content.startswith(PNG_SIGNATURE):
        content = _insert(content, PNG_HEADER_END, _png_comment(comment))
    elif comment:
        content = _insert(content, JPEG_START_END, _jpeg_comment(comment))
    with atomic_write(path) as temporary, open(temporary, 'wb') as file:
        file.write(content)


def _insert(content: bytes, at: int, part: bytes) -> bytes:
    return content[:at] + part + content[at:]


def _png_comment(comment: bytes) -> bytes:
    """A tEXt chunk: length of the data, kind and data, checksum of both."""
    data = b'Comment\0' + comment
    kind_and_data = b'tEXt' + data
    crc = binascii.crc32(kind_and_data)
    return len(data).to_bytes(4, 'big') + kind_and_data + crc.to_bytes(4, 'big')


def _jpeg_comment(comment: bytes) -> bytes:
    """A COM segment: marker, length that includes itself, data."""
    return JPEG_COMMENT + (len(comment) + 2).to_bytes(2, 'big') + comment
