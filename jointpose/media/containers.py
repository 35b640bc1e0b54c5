"""What a file's bytes say without decoding it: its kind, and whether it is complete.

OpenCV reads videos through FFmpeg, so the signatures are FFmpeg's; a file's ending says little
('.ts'), or is missing. Formats: ISO/IEC 14496-12 (MP4, MOV), RIFF (AVI, WebP), RFC 8794 (EBML:
Matroska, WebM), Microsoft's ASF, Adobe's FLV.
"""

import contextlib
import os
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

HEAD_BYTES = 1 << 12  # how much of a file `is_video` looks at

EBML = b'\x1a\x45\xdf\xa3'
ASF = b'\x30\x26\xb2\x75\x8e\x66\xcf\x11'
MXF = b'\x06\x0e\x2b\x34'
IVF = b'DKIF'
REAL_MEDIA = b'.RMF'
VIDEO_STARTS = (
    EBML,
    ASF,
    b'FLV\1',
    b'OggS',
    b'YUV4MPEG2',
    IVF,
    REAL_MEDIA,
    MXF,
    b'nut/multimedia container',
    b'\x1f\x07\0',  # DV
    b'\0\0\1\xba',  # MPEG program stream
    b'\0\0\1\xb3',  # MPEG-1 and MPEG-2 video
    b'\0\0\1\xb0',  # MPEG-4 video
    b'\0\0\1\x67',  # H.264
    b'\0\0\0\1\x67',
    b'\0\0\0\1\x27',
    b'\0\0\0\1\x09',
    b'\0\0\0\1\x40\1',  # H.265
    b'\0\0\0\1\x46\1',
)
STORES_FRAME_COUNT = (b'RIFF', IVF, REAL_MEDIA, MXF)

# MP4: the kinds of boxes that a file may begin with, and brands that are no videos.
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
SOUND_AND_RAW = (b'jxl ', b'crx ', b'M4A ', b'M4B ', b'M4P ')
NO_VIDEO = AVIF + HEIF + SOUND_AND_RAW
MAX_MOOV = 1 << 26  # bytes of the index that are read

RIFF_VIDEO = (b'AVI ', b'AVIX', b'CDXA')
UNKNOWN_LENGTHS = (0, 0xFFFFFFFF)  # of a RIFF chunk that was never completed
MATROSKA_SEGMENT = b'\x18\x53\x80\x67'
ASF_FILE_PROPERTIES = bytes.fromhex('a1dcab8c47a9cf118ee400c00c205365')
FLV_TAG_HEADER = 11  # bytes

JPEG_START = b'\xff\xd8'
JPEG_END = b'\xff\xd9'

# MPEG transport stream: each packet begins with a mark.
TS_MARK = 0x47
TS_PACKETS = (
    # place of the first mark, bytes to the next
    (0, 188),
    (4, 192),  # with time codes
    (0, 204),  # with check sums
)
MIN_TS_PACKETS = 5

ROUNDING = 0.002  # seconds: many MP4s count in milliseconds


class Box(NamedTuple):
    """A box of an MP4 file."""

    kind: bytes  # four letters
    start: int  # of its content, bytes from the file's start
    end: int


# --- kind ---------------------------------------------------------------------------------------


def is_jpeg(content: bytes) -> bool:
    return content.startswith(JPEG_START)


def is_jpeg_stream(content: bytes) -> bool:
    """Returns whether JPEGs follow one another: raw motion JPEG.

    An MPO file, which holds several views of one image, has an MPF block and is no stream.
    """
    return is_jpeg(content) and JPEG_END + JPEG_START in content and b'MPF\0' not in content


def is_video(head: bytes) -> bool:
    """head: the first HEAD_BYTES of a file, or all of a shorter one."""
    if head[:4] == b'RIFF':
        return head[8:12] in RIFF_VIDEO
    if head[4:8] in ISO_BOXES:
        return head[4:8] != b'ftyp' or head[8:12] not in NO_VIDEO
    return head.startswith(VIDEO_STARTS) or _is_transport_stream(head)


def is_heic(head: bytes) -> bool:
    """Returns whether a file is an HEIF image, which neither OpenCV nor Pillow reads.

    AVIF is in the same container, but can be read.
    """
    if head[4:8] != b'ftyp' or head[8:12] not in HEIF:
        return False
    length = int.from_bytes(head[:4], 'big')
    compatible_brands = head[16:length]
    return not any(brand in compatible_brands for brand in AVIF)


def _is_transport_stream(head: bytes) -> bool:
    for first, packet in TS_PACKETS:
        is_long_enough = len(head) > first + (MIN_TS_PACKETS - 1) * packet
        if is_long_enough and set(head[first::packet]) == {TS_MARK}:
            return True
    return False


def stores_frame_count(path: str) -> bool:
    """Returns whether the container stores its number of frames; most store only a duration."""
    with open(path, 'rb') as file:
        return file.read(4) in STORES_FRAME_COUNT


# --- completeness -------------------------------------------------------------------------------


def is_cut_off(path: str) -> bool:
    """Returns whether a container is longer by its own account than its file.

    False if it does not say, or if the file is no container.
    """
    with contextlib.suppress(struct.error, ValueError, OverflowError), open(path, 'rb') as file:
        size = os.fstat(file.fileno()).st_size
        return _is_cut_off(file, size)
    return False


def _is_cut_off(file: BinaryIO, size: int) -> bool:
    head = file.read(HEAD_BYTES)
    if head[:4] == b'RIFF':
        return _riff_end(file, size) > size
    if head[4:8] in ISO_BOXES:
        return any(box.end > size for box in _boxes(file, 0, size))
    if head.startswith(EBML):
        return _matroska_end(head) > size
    if head.startswith(ASF):
        return _asf_end(head) > size
    if head.startswith(b'FLV'):
        return not _flv_ends_with_tag(file, size)
    if head.startswith(JPEG_START):
        file.seek(max(0, size - HEAD_BYTES))
        return not file.read().rstrip(b'\0').endswith(JPEG_END)
    return False


def _riff_end(file: BinaryIO, size: int) -> int:
    """Where the last RIFF chunk ends; a large AVI has several."""
    end = 0
    while end + 8 <= size:
        file.seek(end)
        kind, length = struct.unpack('<4sI', file.read(8))
        if kind != b'RIFF' or length in UNKNOWN_LENGTHS:
            break
        end += 8 + length
    return end


def _matroska_end(head: bytes) -> int:
    """Where the segment ends; 0 if its length is unknown, as in a live recording."""
    length, start = _ebml_length(head, len(EBML))
    at = start + length  # behind the EBML header
    if head[at : at + 4] != MATROSKA_SEGMENT:
        return 0
    length, start = _ebml_length(head, at + 4)
    return start + length if length >= 0 else 0


def _ebml_length(head: bytes, at: int) -> tuple[int, int]:
    """(an element's length, or -1 if unknown; where its content begins) (RFC 8794, 4)."""
    first_byte = head[at : at + 1].rjust(1, b'\0')[0]
    width = 9 - first_byte.bit_length()  # bytes; as many leading bits mark it
    if width > 8 or at + width > len(head):
        raise ValueError('no length')
    all_ones = (1 << 7 * width) - 1
    value = int.from_bytes(head[at : at + width], 'big') & all_ones
    return -1 if value == all_ones else value, at + width


def _asf_end(head: bytes) -> int:
    """The file's length by its properties; 0 for a broadcast."""
    at = head.index(ASF_FILE_PROPERTIES)
    (length,) = struct.unpack_from('<Q', head, at + 40)
    (flags,) = struct.unpack_from('<I', head, at + 88)
    is_broadcast = flags & 1
    return 0 if is_broadcast else length


def _flv_ends_with_tag(file: BinaryIO, size: int) -> bool:
    """Whether the last four bytes are the length of a tag that ends before them."""
    file.seek(size - 4)
    length = int.from_bytes(file.read(4), 'big')
    if not FLV_TAG_HEADER <= length <= size - 4:
        return False
    file.seek(size - 4 - length + 1)
    data_length = int.from_bytes(file.read(3), 'big')
    return data_length + FLV_TAG_HEADER == length


# --- MP4's edit list ----------------------------------------------------------------------------


def is_trimmed(path: str) -> bool:
    """Returns whether an MP4 shows less of a video track than it stores.

    Its edit list then hides frames: the video was trimmed without being encoded again.
    """
    with contextlib.suppress(struct.error, ValueError, OverflowError), open(path, 'rb') as file:
        size = os.fstat(file.fileno()).st_size
        return _is_trimmed(file, size)
    return False


def _is_trimmed(file: BinaryIO, size: int) -> bool:
    for moov in _boxes(file, 0, size):
        if moov.kind == b'moov' and moov.end <= size:
            break
    else:
        return False
    if moov.end - moov.start > MAX_MOOV:
        return False
    scale, _ = _scale_and_duration(file, _child(file, moov, b'mvhd'))
    tracks = [box for box in _boxes(file, moov.start, moov.end) if box.kind == b'trak']
    return any(_hides_frames(file, track, scale) for track in tracks)


def _hides_frames(file: BinaryIO, track: Box, movie_scale: int) -> bool:
    """Whether the edits of a video track are shorter than its media.

    movie_scale: units of the edits' durations in a second.
    """
    with contextlib.suppress(ValueError):
        file.seek(_child(file, track, b'mdia', b'hdlr').start + 8)
        if file.read(4) != b'vide':
            return False
        edits = _edit_list(file, _child(file, track, b'edts', b'elst'))
        shown = sum(duration for duration, media_time in edits if media_time >= 0)
        media_scale, stored = _scale_and_duration(file, _child(file, track, b'mdia', b'mdhd'))
        return shown / movie_scale < stored / media_scale - ROUNDING
    return False


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[Box]:
    """The boxes between two places of a file; the last may claim to end behind `end`."""
    while start + 8 <= end:
        file.seek(start)
        length, kind = struct.unpack('>I4s', file.read(8))
        header = 8
        if length == 1:  # a length of 64 bits follows
            (length,) = struct.unpack('>Q', file.read(8))
            header = 16
        if length == 0:  # the box ends with the file
            length = end - start
        if length < header:
            raise ValueError(f'a box of {length} bytes')
        yield Box(kind, start + header, start + length)
        start += length


def _child(file: BinaryIO, parent: Box, *kinds: bytes) -> Box:
    """The first box of a kind in a box, the first of the next kind in that, and so on.

    Raises ValueError if there is none.
    """
    for kind in kinds:
        for box in _boxes(file, parent.start, parent.end):
            if box.kind == kind:
                break
        else:
            raise ValueError(f'no {kind!r}')
        parent = box
    return parent


def _scale_and_duration(file: BinaryIO, box: Box) -> tuple[int, int]:
    """(units a second, duration in these units) of an mvhd or mdhd box."""
    file.seek(box.start)
    version = file.read(4)[0]
    layout = '>16xIQ' if version == 1 else '>8xII'
    scale, duration = struct.unpack(layout, file.read(struct.calcsize(layout)))
    if not scale:
        raise ValueError('no time scale')
    return scale, duration


def _edit_list(file: BinaryIO, box: Box) -> list[tuple[int, int]]:
    """[(duration, media time of its start, or -1 for an empty edit), ...] of an elst box."""
    file.seek(box.start)
    version, n = struct.unpack('>B3xI', file.read(8))
    layout = '>Qq4x' if version == 1 else '>Ii4x'
    length = struct.calcsize(layout)
    n = min(n, (box.end - box.start) // length)
    return [struct.unpack(layout, file.read(length)) for _ in range(n)]
