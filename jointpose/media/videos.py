"""Videos written as .mp4, as far as possible with a codec that browsers play.

OpenCV's packages bring no H.264 encoder; PyAV (pip install av) does. Without either, VP9 is used,
which today's browsers play but few other players, or else MPEG-4, which no browser plays.
"""

import contextlib
import fractions
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import cv2
import numpy as np

from jointpose.utils.files import VIDEO_ENDING, atomic_write
from jointpose.utils.terminal import quiet_stderr

Size = tuple[int, int]  # (width, height)
Write = Callable[[np.ndarray], None]  # takes a frame, RGB uint8 [h, w, 3]

H264 = 'avc1'
# (OpenCV's code of a codec, what the user is told about it)
OTHER_CODECS = (
    ('vp09', 'VP9, which browsers play and other players may not'),
    ('mp4v', 'MPEG-4, which browsers do not play'),
)
MAX_DENOMINATOR = 1001  # of a frame rate: 30000/1001 is NTSC's


class Encoder(NamedTuple):
    """An open video file."""

    write: Write
    close: Callable[[], None]


# --- writing ------------------------------------------------------------------------------------


@contextlib.contextmanager
def writer(
    path: str, size: Size, rate: float, mark: bytes, note: Callable[[str], None]
) -> Iterator[Write]:
    """Yields a function that writes a frame; the .mp4 gets its name when it is complete.

    Args:
        size: of the frames.
        rate: frames a second.
        mark: bytes that the file shall hold at its end; players ignore them.
        note: is called with one line if the codec is not H.264.
    """
    with atomic_write(path) as temporary:
        # OpenCV goes by the ending, and FFmpeg takes 'x:' for a protocol unless the path is
        # absolute.
        encoded = f'{os.path.abspath(temporary)}{VIDEO_ENDING}'
        even_size = tuple(side + side % 2 for side in size)  # 4:2:0, the browsers' sampling
        try:
            encoder = _open_encoder(path, encoded, even_size, rate, note)
            try:
                yield lambda image: encoder.write(_padded(image, even_size))
            finally:
                encoder.close()
            _append_free_box(encoded, mark)
            os.replace(encoded, temporary)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(encoded)


def _padded(image: np.ndarray, size: Size) -> np.ndarray:
    """Repeats the last row or column of an image, if necessary, for an even size."""
    bottom = size[1] - image.shape[0]
    right = size[0] - image.shape[1]
    return cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REPLICATE)


def _append_free_box(path: str, content: bytes) -> None:
    """Appends a box that MP4 players skip."""
    with open(path, 'ab') as file:
        file.write((8 + len(content)).to_bytes(4, 'big') + b'free' + content)


# --- encoders -----------------------------------------------------------------------------------


def _open_encoder(
    path: str, encoded: str, size: Size, rate: float, note: Callable[[str], None]
) -> Encoder:
    """The best encoder there is; raises OSError if there is none."""
    encoder = _opencv_encoder(encoded, size, rate, H264) or _pyav_encoder(encoded, size, rate)
    if encoder:
        return encoder
    for code, description in OTHER_CODECS:
        encoder = _opencv_encoder(encoded, size, rate, code)
        if encoder:
            note(f'{path}: {description}: for H.264, pip install av')
            return encoder
    raise OSError('OpenCV has no encoder for it')


def _opencv_encoder(path: str, size: Size, rate: float, code: str) -> Encoder | None:
    """None if OpenCV lacks the codec."""
    with quiet_stderr():
        video = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*code), rate, size)
    if not video.isOpened():
        return None

    def write(image: np.ndarray) -> None:
        video.write(np.ascontiguousarray(image[..., ::-1]))

    return Encoder(write, video.release)


def _pyav_encoder(path: str, size: Size, rate: float) -> Encoder | None:
    """H.264 by PyAV; None if PyAV is not installed or lacks the codec."""
    try:
        import av

        container = av.open(path, 'w', options={'movflags': 'faststart'})
        exact_rate = fractions.Fraction(rate).limit_denominator(MAX_DENOMINATOR)
        stream = container.add_stream('libx264', exact_rate)
    except (ImportError, ValueError):  # PyAV raises a ValueError for an unknown codec
        return None
    stream.width, stream.height = size
    stream.pix_fmt = 'yuv420p'

    def write(image: np.ndarray) -> None:
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, 'rgb24')))

    def close() -> None:
        container.mux(stream.encode())
        container.close()

    return Encoder(write, close)


# --- frame rate ---------------------------------------------------------------------------------


class ConstantRateWriter:
    """Writes frames with any times into a video of constant rate.

    Each frame is repeated until the time of the next one, and written at least once.
    """

    def __init__(self, write: Write, rate: float, constant: bool = False):
        """
        Args:
            write: writes one frame.
            rate: of the video, frames a second.
            constant: the frames have this rate themselves, so each is written once.
        """
        self.write = write
        self.rate = rate
        self.constant = constant
        self.shown = 0  # frames that were given
        self.written = 0  # frames of the video
        self.image = None  # the last frame, which is written when its end is known
        self.time = 0.0  # when it is shown, seconds
        self.gap = 1 / rate  # between it and the frame before, seconds
        self.start = None  # when the first frame is shown, seconds

    def show(self, image: np.ndarray, time: float) -> None:
        """Adds the next frame, to be shown from `time` (seconds) on."""
        self.shown += 1
        if self.constant:
            self.write(image)
            return
        if self.image is None:
            self.start = time
        else:
            self.gap = time - self.time
            self._write_until(time)
        self.image = image
        self.time = time

    def close(self, end: float | None = None) -> None:
        """Writes the last frame.

        end: when it ends, seconds; by default it lasts as long as the frame before.
        """
        if self.image is None:
            return
        if end is None:
            end = self.time + self.gap
        self._write_until(max(end, self.time))
        self.image = None

    def _write_until(self, time: float) -> None:
        """Repeats the last frame up to a time."""
        n = max(1, round((time - self.start) * self.rate) - self.written)
        for _ in range(n):
            self.write(self.image)
        self.written += n
