"""PNGs without what no picture needs: a broken remark is passed over by every viewer, but not by Pillow."""

import zlib

SIGNATURE = b'\x89PNG\r\n\x1a\n'
TEXTS = (b'iTXt', b'tEXt', b'zTXt')
ANCILLARY = 0x20  # in the first letter of a chunk's kind: it is in small letters


def strip_metadata(content):
    """The same PNG without its texts, however long, and without ancillary chunks whose checksum is wrong.

    content: bytes.  The pixels' own chunks and all that follows a damaged length stay as they are.
    """
    kept, at = [content[: len(SIGNATURE)]], len(SIGNATURE)
    while at + 12 <= len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4], 'big')
        if not is_remark(content, at, end):
            kept.append(content[at:end])
        at = end
    return b''.join([*kept, content[at:]])


def is_remark(content, at, end):
    """Whether the chunk from `at` to `end` is a text, or no more than a remark and broken."""
    kind = content[at + 4 : at + 8]
    if not kind[0] & ANCILLARY or end > len(content):
        return False
    return kind in TEXTS or zlib.crc32(content[at + 4 : end - 4]) != int.from_bytes(
        content[end - 4 : end], 'big'
    )
