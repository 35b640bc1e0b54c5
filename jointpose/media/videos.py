"""Videos that browsers play: .mp4 with H.264, by OpenCV or else by PyAV (pip install av), else VP9 or MPEG-4.

OpenCV's own packages bring no encoder of H.264.  VP9 is played by today's browsers, by few other players; MPEG-4 by
players only.
"""

import contextlib
import fractions
import os

import cv2
import numpy as np

from jointpose.utils import files
from jointpose.utils.terminal import quiet_stderr

CODECS = (
    ('VP9, which browsers play and other players may not', 'vp09'),
    ('MPEG-4, which browsers do not play', 'mp4v'),
)


@contextlib.contextmanager
def writer(path, size, rate, mark, note):
    """Yields write(RGB uint8 [h, w, 3]) of a .mp4 that takes its name when it is complete.

    size: (width, height).  mark: bytes that its last box holds.  note: is called with one line if it is not H.264.
    """
    with files.atomic_write(path) as partial:
        work = f'{os.path.abspath(partial)}.mp4'  # OpenCV goes by the ending, and x: is a protocol to FFmpeg
        try:
            even = [
                side + side % 2 for side in size
            ]  # 4:2:0, which browsers ask for, takes no other
            write, close = (
                by_opencv(work, even, rate, 'avc1')
                or by_pyav(work, even, rate)
                or other(path, work, even, rate, note)
            )
            try:
                yield lambda image: write(
                    cv2.copyMakeBorder(
                        image,
                        0,
                        even[1] - image.shape[0],
                        0,
                        even[0] - image.shape[1],
                        cv2.BORDER_REPLICATE,
                    )
                )
            finally:
                close()
            with open(work, 'ab') as file:  # a box that players skip
                file.write((8 + len(mark)).to_bytes(4, 'big') + b'free' + mark)
            os.replace(work, partial)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(work)


class ConstantRateWriter:
    """Shows frames of any times in a video of a constant rate: each is repeated until the next one's time has come."""

    def __init__(self, write, rate, constant=False):
        """write: takes one frame; rate: frames a second; constant: the times are those of the rate, one frame each."""
        self.write, self.rate, self.constant = write, rate, constant
        self.last, self.start, self.written, self.shown = None, None, 0, 0
        self.time, self.gap = 0.0, 1 / rate

    def show(self, image, time):
        """The next frame, to be shown from that second on."""
        self.shown += 1
        if self.constant:
            self.write(image)
            return
        if self.last is None:
            self.start = time
        else:
            self.gap = time - self.time
            self.until(time)
        self.last, self.time = image, time

    def until(self, time):
        """The frame shown last ends at that second; it has been written once at least."""
        n = max(1, round((time - self.start) * self.rate) - self.written)
        for _ in range(n):
            self.write(self.last)
        self.written += n

    def close(self, end=None):
        """end: when the last frame ends, seconds; else it lasts as long as the one before it."""
        if self.last is not None:
            self.until(self.time + self.gap if end is None else max(end, self.time))
            self.last = None


def other(path, work, size, rate, note):
    for words, code in CODECS:
        if found := by_opencv(work, size, rate, code):
            note(f'{path}: {words}: for H.264, pip install av')
            return found
    raise OSError('OpenCV has no encoder for it')


def by_opencv(path, size, rate, code):
    """(write, close), or None where OpenCV cannot."""
    with quiet_stderr():
        video = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*code), rate, size)
    if not video.isOpened():
        return None
    return lambda image: video.write(np.ascontiguousarray(image[..., ::-1])), video.release


def by_pyav(path, size, rate):
    """(write, close), or None where PyAV is not installed or has no H.264."""
    try:
        import av

        container = av.open(path, 'w', options={'movflags': 'faststart'})
        stream = container.add_stream('libx264', fractions.Fraction(rate).limit_denominator(1001))
    except (ImportError, ValueError):  # PyAV's errors of unknown codecs are ValueErrors
        return None
    (stream.width, stream.height), stream.pix_fmt = size, 'yuv420p'

    def write(image):
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, 'rgb24')))

    def close():
        container.mux(stream.encode())
        container.close()

    return write, close
