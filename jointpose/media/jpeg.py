"""JPEGs, decoded strictly: a truncated or damaged one is an error, never half an image.

libjpeg warns of damage, but also of slips that every viewer ignores, and simplejpeg takes each
warning for an error. So the slips are taken out of the bytes, and the rest is decoded strictly
again. These slips are harmless:

    bytes between two segments of the header
    the parameters of a scan that is not progressive, which Samsung's phones write as zeros
    an unknown JFIF version or Adobe colour transform
    padding between the last scan and the end: one repeated byte, as in Logitech's webcams. Other
        bytes there may be the end of a scan of which damage has swallowed a part, and are refused
"""

import contextlib
import re

import numpy as np
import simplejpeg

# Second bytes of markers; the first is FILL.
FILL = 0xFF
START = 0xD8
END = 0xD9
SCAN = 0xDA
JFIF = 0xE0
ADOBE = 0xEE
SEQUENTIAL_FRAMES = (0xC0, 0xC1, 0xC9)  # their scans hold all 64 coefficients at once
NO_FRAMES = (0xC4, 0xC8, 0xCC)  # the markers from 0xC0 to 0xCF that begin no frame

MIN_PADDING = 8  # bytes from which any repeated byte is padding; fewer must be BLANK
BLANK = (0x00, 0x20)
ADOBE_TRANSFORMS = {3: 1, 4: 2}  # libjpeg's defaults by the number of colours: YCbCr, YCCK


class UnknownSampling(ValueError):
    """A chroma subsampling that simplejpeg does not know, or no frame at all."""


def size(content: bytes) -> tuple[int, int]:
    """Returns the (width, height) in the header; raises ValueError if there is none."""
    height, width, *_ = header(content)
    return width, height


def header(content: bytes) -> tuple[int, int, str, str]:
    """Returns (height, width, colours, subsampling); raises ValueError or UnknownSampling."""
    with contextlib.suppress(ValueError, KeyError):
        return simplejpeg.decode_jpeg_header(content)
    try:
        return simplejpeg.decode_jpeg_header(repair(content))
    except KeyError as error:  # 4:4:1
        raise UnknownSampling('unknown subsampling') from error
    except ValueError as error:
        if 'subsampling' in str(error):
            raise UnknownSampling(str(error)) from error
        raise ValueError(str(error)) from error


def decode(content: bytes) -> tuple[np.ndarray, bytes]:
    """Decodes a JPEG as stored, without the EXIF rotation; raises ValueError if it is not whole.

    Returns uint8 [h, w, 3] RGB, or [h, w, 4] for a CMYK image, and the bytes that were decoded.
    """
    _, _, colours, _ = header(content)
    colour_space = 'CMYK' if colours in ('CMYK', 'YCCK') else 'RGB'
    with contextlib.suppress(ValueError):
        return _decode_strictly(content, colour_space)
    content = repair(content)
    try:
        return _decode_strictly(content, colour_space)
    except ValueError as error:
        content = _without_padding(content, str(error))
        return _decode_strictly(content, colour_space)


def _decode_strictly(content: bytes, colour_space: str) -> tuple[np.ndarray, bytes]:
    return simplejpeg.decode_jpeg(content, colour_space, strict=True), content


def _without_padding(content: bytes, message: str) -> bytes:
    """The same JPEG without the padding between the last scan and the end.

    message: libjpeg's warning, which says how many bytes it did not need.
    """
    found = re.search(rf'(\d+) extraneous bytes before marker 0x{END:x}', message)
    if not found:
        return content
    head, scans = _split(content)
    end = scans.find(bytes([FILL, END]))
    start = max(0, end - int(found[1]))
    padding = scans[start:end]
    is_one_byte = len(set(padding)) == 1
    if is_one_byte and (len(padding) >= MIN_PADDING or padding[0] in BLANK):
        return head + scans[:start] + scans[end:]
    return content


def repair(content: bytes) -> bytes:
    """Returns a JPEG without the harmless slips of its header.

    If its segments do not follow one another, it is returned unchanged.
    """
    with contextlib.suppress(ValueError):
        head, scans = _split(content)
        return head + scans
    return content


def _split(content: bytes) -> tuple[bytes, bytes]:
    """(head, scans): the repaired segments up to the first scan's, and everything behind them.

    Raises ValueError if the segments do not follow one another.
    """
    head = bytearray(content[:2])
    at = 2
    is_sequential = False
    n_colours = 3
    while True:
        at = _next_marker(content, at)
        marker = content[at + 1]
        length = int.from_bytes(content[at + 2 : at + 4], 'big')
        if marker in (START, END) or length < 2 or at + 2 + length > len(content):
            raise ValueError('no scan')
        segment = bytearray(content[at : at + 2 + length])
        at += len(segment)
        if 0xC0 <= marker <= 0xCF and marker not in NO_FRAMES and len(segment) > 9:
            is_sequential = marker in SEQUENTIAL_FRAMES
            n_colours = segment[9]
        _repair_segment(segment, marker, is_sequential, n_colours)
        head += segment
        if marker == SCAN:
            return bytes(head), content[at:]


def _repair_segment(segment: bytearray, marker: int, is_sequential: bool, n_colours: int) -> None:
    """Corrects the parameters of a segment that decoders do not use, in place."""
    if marker == SCAN and is_sequential:
        segment[-3:] = bytes([0, 63, 0])
    elif marker == JFIF and segment[4:9] == b'JFIF\0' and len(segment) > 9:
        segment[9] = 1  # major version
    elif marker == ADOBE and segment[4:9] == b'Adobe' and segment[15:16] > b'\2':
        segment[15] = ADOBE_TRANSFORMS.get(n_colours, 0)


def _next_marker(content: bytes, at: int) -> int:
    """The place of the next marker; bytes before it are skipped, as libjpeg does.

    Raises ValueError at the end.
    """
    while at + 4 <= len(content):
        if content[at] == FILL and content[at + 1] not in (0, FILL):
            return at
        at += 1
    raise ValueError('no marker')
