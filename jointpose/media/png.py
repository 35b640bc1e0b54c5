"""PNGs without their metadata: other viewers ignore a damaged text, Pillow refuses the image."""

import zlib

SIGNATURE = b'\x89PNG\r\n\x1a\n'
TEXTS = (b'iTXt', b'tEXt', b'zTXt')
ANCILLARY = 0x20  # bit of the first letter of a chunk's kind, set in chunks that may be ignored
CHUNK_BYTES = 12  # of a chunk besides its data: length, kind, checksum


def strip_metadata(content: bytes) -> bytes:
    """Returns a PNG without its texts and without ancillary chunks whose checksum is wrong.

    The chunks of the pixels stay, and so does everything behind a damaged length.
    """
    at = len(SIGNATURE)
    kept = [content[:at]]
    while at + CHUNK_BYTES <= len(content):
        length = int.from_bytes(content[at : at + 4], 'big')
        chunk = content[at : at + CHUNK_BYTES + length]
        is_complete = len(chunk) == CHUNK_BYTES + length
        if not (is_complete and _is_dispensable(chunk)):
            kept.append(chunk)
        at += CHUNK_BYTES + length
    kept.append(content[at:])
    return b''.join(kept)


def _is_dispensable(chunk: bytes) -> bool:
    """Whether a chunk is a text, or an ancillary one that is damaged."""
    kind = chunk[4:8]
    if not kind[0] & ANCILLARY:
        return False
    checksum = int.from_bytes(chunk[-4:], 'big')
    return kind in TEXTS or zlib.crc32(chunk[4:-4]) != checksum
