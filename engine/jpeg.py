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

import simplejpeg

START, END, SCAN, FILL = 0xd8, 0xd9, 0xda, 0xff
SEQUENTIAL = (0xc0, 0xc1, 0xc9)             # frames whose scans hold all 64 coefficients at once
ADOBE_UNKNOWN = {3: 1, 4: 2}                # what libjpeg assumes: YCbCr of three colours, YCCK of four


def size(content):
    """(width, height) that the header says; ValueError if there is none."""
    height, width = header(content)[:2]
    return width, height


def header(content):
    """(height, width, colours, subsampling); ValueError if there is none."""
    try:
        return simplejpeg.decode_jpeg_header(content)
    except ValueError:
        for repaired in repairs(content):
            return simplejpeg.decode_jpeg_header(repaired)
        raise


def decode(content):
    """(uint8 [h, w, 3] RGB, or [h, w, 4] of a CMYK picture, as stored; the bytes that were decoded).

    Any EXIF orientation is left alone.  ValueError if the picture is not whole.
    """
    colours = 'CMYK' if header(content)[2] in ('CMYK', 'YCCK') else 'RGB'
    try:
        return simplejpeg.decode_jpeg(content, colours, strict=True), content
    except ValueError:
        for repaired in repairs(content):
            with contextlib.suppress(ValueError):
                return simplejpeg.decode_jpeg(repaired, colours, strict=True), repaired
        raise


def repairs(content):
    """Yields the same JPEG without its harmless slips, first with, then without padding before its end."""
    try:
        head, scans = split(content)
    except (IndexError, ValueError):
        return
    yield head + scans
    end = scans.rfind(bytes([FILL, END]))
    if end > 1:
        body = scans[:end].rstrip(scans[end - 1:end])
        for kept in (1, 0):                     # the scan itself may end in such a byte, or not
            yield head + body + scans[end - 1:end] * kept + scans[end:]


def split(content):
    """(head, scans): the segments up to the first scan's, mended; the scans' data and all that follows.

    ValueError or IndexError if they do not follow one another.
    """
    head, at, sequential, colours = bytearray(content[:2]), 2, False, 3
    while True:
        at = next_marker(content, at)
        marker, length = content[at + 1], int.from_bytes(content[at + 2:at + 4], 'big')
        if marker in (START, END) or length < 2 or at + 2 + length > len(content):
            raise ValueError('no scan')
        segment = bytearray(content[at:at + 2 + length])
        at += len(segment)
        if 0xc0 <= marker <= 0xcf and marker not in (0xc4, 0xc8, 0xcc):
            sequential, colours = marker in SEQUENTIAL, segment[9]
        if marker == SCAN and sequential:
            segment[-3:] = bytes([0, 63, 0])
        elif marker == 0xe0 and segment[4:9] == b'JFIF\0':
            segment[9] = 1
        elif marker == 0xee and segment[4:9] == b'Adobe' and segment[15] > 2:
            segment[15] = ADOBE_UNKNOWN.get(colours, 0)
        head += segment
        if marker == SCAN:
            return bytes(head), content[at:]


def next_marker(content, at):
    """Where the next marker begins, passing over what does not belong there, as libjpeg does."""
    while content[at] != FILL or content[at + 1] in (0, FILL):
        at += 1
    return at
