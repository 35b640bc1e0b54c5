"""JPEGs, decoded strictly: a truncated or corrupt one is an error, never half a picture.

libjpeg warns about damage and about slips that every viewer passes over, and simplejpeg takes any warning for an error.
So these slips are taken out of the bytes, and what is left is decoded strictly again:

    bytes between two segments of the header
    the parameters of a scan that is not progressive, which phones of Samsung write as zeros
    a JFIF version or an Adobe colour transform that nobody knows
    padding between the last scan and the end: one byte repeated, as in Logitech's webcams.  Anything else there may be
        the end of a scan of which a damaged code swallowed a part, and is refused
"""

import contextlib
import re

import simplejpeg

START, END, SCAN, FILL = 0xD8, 0xD9, 0xDA, 0xFF
SEQUENTIAL = (0xC0, 0xC1, 0xC9)  # frames whose scans hold all 64 coefficients at once
BLANK = (0x00, 0x20)  # what a padding of fewer than SOME bytes must be; of more it is plain
SOME = 8
ADOBE_UNKNOWN = {3: 1, 4: 2}  # what libjpeg assumes: YCbCr of three colours, YCCK of four


class UnknownSampling(ValueError):
    """The colours are sampled in a way that simplejpeg does not know, or there is no frame."""


def size(content):
    """(width, height) that the header says; ValueError if there is none."""
    height, width = header(content)[:2]
    return width, height


def header(content):
    """(height, width, colours, subsampling); ValueError if there is none, UnknownSampling perhaps."""
    with contextlib.suppress(ValueError, KeyError):
        return simplejpeg.decode_jpeg_header(content)
    try:
        return simplejpeg.decode_jpeg_header(repair(content))
    except KeyError as error:  # 4:4:1
        raise UnknownSampling('unknown subsampling') from error
    except ValueError as error:
        raise (UnknownSampling if 'subsampling' in str(error) else ValueError)(
            str(error)
        ) from error


def decode(content):
    """(uint8 [h, w, 3] RGB, or [h, w, 4] of a CMYK picture, as stored; the bytes that were decoded).

    Any EXIF orientation is left alone.  ValueError if the picture is not whole.
    """
    colours = 'CMYK' if header(content)[2] in ('CMYK', 'YCCK') else 'RGB'
    with contextlib.suppress(ValueError):
        return strictly(content, colours)
    content = repair(content)
    try:
        return strictly(content, colours)
    except ValueError as error:
        return strictly(without_padding(content, str(error)), colours)


def strictly(content, colours):
    return simplejpeg.decode_jpeg(content, colours, strict=True), content


def repair(content):
    """The same JPEG without its header's harmless slips; as it is, if its segments do not follow one another."""
    with contextlib.suppress(ValueError):
        head, scans = split(content)
        return head + scans
    return content


def without_padding(content, reason):
    """The same JPEG without what lies between the last scan and the end, if that is one byte repeated.

    reason: libjpeg's, which says how many bytes it did not need.
    """
    found = re.search(rf'(\d+) extraneous bytes before marker 0x{END:x}', reason)
    if not found:
        return content
    head, scans = split(content)
    end = scans.find(bytes([FILL, END]))
    start = max(0, end - int(found[1]))
    padding = scans[start:end]
    constant = len(set(padding)) == 1 and (len(padding) >= SOME or padding[0] in BLANK)
    return head + scans[:start] + scans[end:] if constant else content


def split(content):
    """(head, scans): the segments up to the first scan's, mended; the scans' data and all that follows.

    ValueError if they do not follow one another.
    """
    head, at, sequential, colours = bytearray(content[:2]), 2, False, 3
    while True:
        at = next_marker(content, at)
        marker, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4], 'big')
        if marker in (START, END) or length < 2 or at + 2 + length > len(content):
            raise ValueError('no scan')
        segment = bytearray(content[at : at + 2 + length])
        at += len(segment)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and len(segment) > 9:
            sequential, colours = marker in SEQUENTIAL, segment[9]
        if marker == SCAN and sequential:
            segment[-3:] = bytes([0, 63, 0])
        elif marker == 0xE0 and segment[4:9] == b'JFIF\0' and len(segment) > 9:
            segment[9] = 1
        elif marker == 0xEE and segment[4:9] == b'Adobe' and segment[15:16] > b'\2':
            segment[15] = ADOBE_UNKNOWN.get(colours, 0)
        head += segment
        if marker == SCAN:
            return bytes(head), content[at:]


def next_marker(content, at):
    """Where the next marker begins, passing over what does not belong there, as libjpeg does; ValueError at the end."""
    while at + 4 <= len(content):
        if content[at] == FILL and content[at + 1] not in (0, FILL):
            return at
        at += 1
    raise ValueError('no marker')
