"""What the first bytes of a file say: whether it is a video, whether it has been cut off, whether its edit list hides
some of what it holds.

Signatures are FFmpeg's, through which OpenCV reads videos: endings say little (.ts, none at all).  Formats: ISO/IEC
14496-12 (MP4, MOV), RIFF (AVI, WebP), RFC 8794 (EBML: Matroska, WebM), Microsoft's ASF, Adobe's FLV.
"""

import contextlib
import os
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

HEAD_BYTES = 1 << 12  # bytes that `is_video` looks at
STARTS = (
    b'\x1a\x45\xdf\xa3',
    b'\x30\x26\xb2\x75\x8e\x66\xcf\x11',
    b'FLV\1',
    b'OggS',
    b'YUV4MPEG2',
    b'DKIF',
    b'.RMF',
    b'\x06\x0e\x2b\x34',
    b'nut/multimedia container',
    b'\x1f\x07\0',
    b'\0\0\1\xba',
    b'\0\0\1\xb3',
    b'\0\0\1\xb0',
    b'\0\0\1\x67',
    b'\0\0\0\1\x67',
    b'\0\0\0\1\x27',
    b'\0\0\0\1\x09',
    b'\0\0\0\1\x40\1',
    b'\0\0\0\1\x46\1',
)
ISO_BOXES = (b'ftyp', b'styp', b'moov', b'moof', b'mdat', b'wide', b'free', b'skip')
AVIF = (b'avif', b'avis')
HEIF = (
    b'heic',
    b'heix',
    b'heim',
    b'heis',
    b'hevc',
    b'hevx',
    b'hevm',
    b'hevs',
    b'mif1',
    b'msf1',
    b'miaf',
)
NO_VIDEO = (*AVIF, *HEIF, b'jxl ', b'crx ', b'M4A ', b'M4B ', b'M4P ')  # pictures, raw ones, sound
TS_MARK = 0x47
TS_PACKETS = (
    (0, 188),
    (4, 192),
    (0, 204),
)  # the first mark, the bytes to the next; with time codes, with checks
MAX_MOOV = 1 << 26
ASF_FILE_PROPERTIES = bytes.fromhex('a1dcab8c47a9cf118ee400c00c205365')


class Box(NamedTuple):
    """A box of an MP4 file: its four-letter kind; where its content begins and ends in the file."""

    kind: bytes
    start: int
    end: int


def is_video(head: bytes) -> bool:
    """head: the first HEAD bytes, or all of a shorter file."""
    if head[:4] == b'RIFF':
        return head[8:12] in (b'AVI ', b'AVIX', b'CDXA')
    if head[4:8] in ISO_BOXES:
        return head[4:8] != b'ftyp' or head[8:12] not in NO_VIDEO
    return head.startswith(STARTS) or is_transport_stream(head)


def is_heic(head: bytes) -> bool:
    """A picture that neither OpenCV nor Pillow reads; AVIF, which is in the same container, they do."""
    if head[4:8] != b'ftyp' or head[8:12] not in HEIF:
        return False
    brands = head[16 : int.from_bytes(head[:4], 'big')]
    return not any(brand in brands for brand in AVIF)


def is_transport_stream(head: bytes) -> bool:
    """Whether five packets or more follow one another, each with its mark."""
    return any(
        len(head) > first + 4 * length and set(head[first::length]) == {TS_MARK}
        for first, length in TS_PACKETS
    )


def stores_frame_count(path: str) -> bool:
    """Whether the container's head says how many frames it holds, rather than how long it plays."""
    with open(path, 'rb') as file:
        return file.read(4) in (b'RIFF', b'DKIF', b'.RMF', b'\x06\x0e\x2b\x34')


def is_jpeg_stream(content: bytes) -> bool:
    """Whether JPEGs follow one another: raw motion JPEG.  The views of one picture (MPO) an MPF block lists."""
    return content[:2] == b'\xff\xd8' and b'\xff\xd9\xff\xd8' in content and b'MPF\0' not in content


# --- cut off ------------------------------------------------------------------------------------------------------


def is_cut_off(path: str) -> bool:
    """Whether a container says that it is longer than its file; one that does not say, or is none, is not."""
    with contextlib.suppress(struct.error, ValueError, OverflowError), open(path, 'rb') as file:
        size, head = os.fstat(file.fileno()).st_size, file.read(HEAD_BYTES)
        if head[:4] == b'RIFF':
            return riff_end(file, size) > size
        if head[4:8] in ISO_BOXES:
            return any(box.end > size for box in boxes(file, 0, size))
        if head[:4] == STARTS[0]:
            return matroska_end(head) > size
        if head.startswith(STARTS[1]):
            return asf_end(head) > size
        if head.startswith(b'FLV'):
            return not flv_ends_with_a_tag(file, size)
        if head.startswith(b'\xff\xd8'):
            file.seek(max(0, size - HEAD_BYTES))
            return not file.read().rstrip(b'\0').endswith(b'\xff\xd9')
    return False


def riff_end(file: BinaryIO, size: int) -> int:
    """Where the last RIFF chunk ends: large AVIs have several.  A length of 0 was never filled in."""
    end = 0
    while end + 8 <= size:
        file.seek(end)
        kind, length = struct.unpack('<4sI', file.read(8))
        if kind != b'RIFF' or length in (0, 0xFFFFFFFF):
            break
        end += 8 + length
    return end


def matroska_end(head: bytes) -> int:
    """Where the segment ends; 0 where its length is unknown, as in a live recording."""
    length, at = ebml_length(head, 4)
    at += length  # behind the head
    if head[at : at + 4] != b'\x18\x53\x80\x67':
        return 0
    length, start = ebml_length(head, at + 4)
    return start + length if length >= 0 else 0


def ebml_length(head: bytes, at: int) -> tuple[int, int]:
    """(an element's length, -1 if unknown; where its content begins) (RFC 8794, 4)."""
    width = 9 - head[at : at + 1].rjust(1, b'\0')[0].bit_length()
    if width > 8 or at + width > len(head):
        raise ValueError('no length')
    bits = 7 * width
    value = int.from_bytes(head[at : at + width], 'big') & (1 << bits) - 1
    return -1 if value == (1 << bits) - 1 else value, at + width


def asf_end(head: bytes) -> int:
    """The file's length that its properties name; 0 of a broadcast."""
    at = head.index(ASF_FILE_PROPERTIES)
    (length,) = struct.unpack_from('<Q', head, at + 40)
    (flags,) = struct.unpack_from('<I', head, at + 88)
    return 0 if flags & 1 else length


def flv_ends_with_a_tag(file: BinaryIO, size: int) -> bool:
    """Each tag is followed by its own length."""
    file.seek(size - 4)
    length = int.from_bytes(file.read(4), 'big')
    if not 11 <= length <= size - 4:
        return False
    file.seek(size - 4 - length + 1)
    return int.from_bytes(file.read(3), 'big') + 11 == length


# --- MP4 ----------------------------------------------------------------------------------------------------------


def boxes(file: BinaryIO, start: int, end: int) -> Iterator[Box]:
    """The boxes between two places of a file; the last may say that it goes on beyond `end`."""
    while start + 8 <= end:
        file.seek(start)
        length, kind = struct.unpack('>I4s', file.read(8))
        header = 8
        if length == 1:
            length, header = struct.unpack('>Q', file.read(8))[0], 16
        length = length or end - start
        if length < header:
            raise ValueError(f'a box of {length} bytes')
        yield Box(kind, start + header, start + length)
        start += length


def child(file: BinaryIO, parent: Box, *kinds: bytes) -> Box:
    """The first box of that kind within another one, and so on; ValueError if there is none."""
    for kind in kinds:
        parent = next(
            (box for box in boxes(file, parent.start, parent.end) if box.kind == kind), None
        )
        if parent is None:
            raise ValueError(f'no {kind!r}')
    return parent


def is_trimmed(path: str) -> bool:
    """Whether an MP4's edit list shows less of a video track than is stored: trimmed without being encoded again."""
    with contextlib.suppress(struct.error, ValueError, OverflowError), open(path, 'rb') as file:
        size = os.fstat(file.fileno()).st_size
        moov = next(
            (box for box in boxes(file, 0, size) if box.kind == b'moov' and box.end <= size), None
        )
        if moov is None or moov.end - moov.start > MAX_MOOV:
            return False
        scale, _ = scale_and_duration(file, child(file, moov, b'mvhd'))
        tracks = [box for box in boxes(file, moov.start, moov.end) if box.kind == b'trak']
        return any(hides(file, track, scale) for track in tracks)
    return False


def hides(file: BinaryIO, track: Box, movie_scale: int) -> bool:
    """Whether a video track's edits, in units of 1 / movie_scale seconds, are shorter than its media."""
    with contextlib.suppress(ValueError):
        file.seek(child(file, track, b'mdia', b'hdlr').start + 8)
        if file.read(4) != b'vide':
            return False
        edits = child(file, track, b'edts', b'elst')
        scale, stored = scale_and_duration(file, child(file, track, b'mdia', b'mdhd'))
        shown = sum(duration for duration, at in edit_list(file, edits) if at >= 0)
        return shown / movie_scale < stored / scale - 0.002  # movies count in milliseconds, often
    return False


def scale_and_duration(file: BinaryIO, box: Box) -> tuple[int, int]:
    """(units a second, length in these) of mvhd or mdhd."""
    file.seek(box.start)
    version = file.read(4)[0]
    layout = '>16xIQ' if version == 1 else '>8xII'
    scale, duration = struct.unpack(layout, file.read(struct.calcsize(layout)))
    if not scale:
        raise ValueError('no time scale')
    return scale, duration


def edit_list(file: BinaryIO, box: Box) -> list[tuple[int, int]]:
    """[(duration, first media time, -1 of an empty edit), ...] of elst."""
    file.seek(box.start)
    version, n = struct.unpack('>B3xI', file.read(8))
    layout = '>Qq4x' if version == 1 else '>Ii4x'
    length = struct.calcsize(layout)
    return [
        struct.unpack(layout, file.read(length))
        for _ in range(min(n, (box.end - box.start) // length))
    ]
