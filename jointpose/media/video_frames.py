"""The frames of video files and cameras, read by OpenCV through FFmpeg.

A video that ends early raises UnreadableMedia after its last frame; media/containers.py has what
tells that it does.
"""

import contextlib
import os
import time
from collections.abc import Iterator

import cv2
import numpy as np

from jointpose.media import containers
from jointpose.media.images import UnreadableMedia, check_size
from jointpose.utils.counts import counted
from jointpose.utils.terminal import quiet_stderr

DEFAULT_RATE = 25.0  # frames a second, if the container does not say
MAX_CLAIMED_RATE = 1000  # a container that claims more is not believed
ROUNDING = 0.001  # seconds: containers round times to milliseconds

# How many frames may be missing before a video counts as cut off: a fraction and a few more.
WHOLE_FRACTION = 0.98
MAX_MISSING = 2


# --- opening ------------------------------------------------------------------------------------


@contextlib.contextmanager
def open_video(path: str | int, *settings: int) -> Iterator[cv2.VideoCapture]:
    """Yields the open capture of a file, or of a camera's number; raises UnreadableMedia.

    settings: properties of the capture and their values.
    """
    is_camera = isinstance(path, int)
    if not is_camera:
        _check_regular(path)
    with quiet_stderr():
        if is_camera:
            video = cv2.VideoCapture(path)
        else:
            # FFmpeg takes 'x:' for a protocol unless the path is absolute, and another backend of
            # OpenCV takes '%03d' for a series of images.
            video = cv2.VideoCapture(os.path.abspath(path), cv2.CAP_FFMPEG, settings)
    try:
        _check_capture(video, path)
        yield video
    finally:
        video.release()


def _check_regular(path: str) -> None:
    """Raises UnreadableMedia if a path leads to a pipe or a device."""
    try:
        if not os.path.isfile(path):
            raise UnreadableMedia(f'{path}: not a regular file')
    except (OSError, ValueError) as error:
        raise UnreadableMedia(f'{path}: {error}') from error


def _check_capture(video: cv2.VideoCapture, path: str | int) -> None:
    """Raises UnreadableMedia if a capture gives no frames, or too large ones."""
    if not video.isOpened() or video.get(cv2.CAP_PROP_FRAME_WIDTH) < 1:
        if isinstance(path, int):
            raise UnreadableMedia(f'camera {path}: not found, or in use')
        raise UnreadableMedia(f'{path}: not a video that can be read')
    width = round(video.get(cv2.CAP_PROP_FRAME_WIDTH))
    height = round(video.get(cv2.CAP_PROP_FRAME_HEIGHT))
    try:
        check_size((width, height))
    except ValueError as error:
        raise UnreadableMedia(f'{path}: {error}') from error


# --- frames -------------------------------------------------------------------------------------


def video_frames(path: str) -> Iterator[tuple[float, np.ndarray]]:
    """Yields each frame's time in seconds and its RGB uint8 [h, w, 3]; raises UnreadableMedia."""
    n_frames = 0
    seconds = 0.0
    with open_video(path) as video:
        rate = frame_rate(video)
        claimed = max(0, round(video.get(cv2.CAP_PROP_FRAME_COUNT)))
        while (image := _next_frame(video)) is not None:
            seconds = frame_time(video, n_frames, rate, seconds)
            n_frames += 1
            yield seconds, image
    if not _is_whole(path, n_frames, seconds, claimed, rate):
        raise _incomplete(path, n_frames, claimed)


def camera_frames(number: int) -> Iterator[tuple[float, np.ndarray]]:
    """As `video_frames`, until the camera stops; times are the clock's, from the first frame."""
    start = None
    with open_video(number) as video:
        while (image := _next_frame(video)) is not None:
            now = time.monotonic()
            if start is None:
                start = now
            yield now - start, image
    if start is None:
        raise UnreadableMedia(f'camera {number}: gives no image')


def _next_frame(video: cv2.VideoCapture) -> np.ndarray | None:
    """RGB uint8 [h, w, 3], or None at the end."""
    with quiet_stderr():
        is_frame, image = video.read()
    return image[..., ::-1] if is_frame else None


# --- times --------------------------------------------------------------------------------------


def frame_rate(video: cv2.VideoCapture) -> float | None:
    """Returns the frames a second that a video claims, if that is credible."""
    rate = video.get(cv2.CAP_PROP_FPS)
    return rate if 0 < rate <= MAX_CLAIMED_RATE else None


def frame_time(video: cv2.VideoCapture, number: int, rate: float | None, last: float) -> float:
    """Returns when the frame that was just read is shown, in seconds.

    Args:
        number: of the frame, from 0.
        rate: frames a second, if known. A time that differs from the rate's only by rounding is
            replaced by it.
        last: the time of the frame before, seconds.
    """
    seconds = video.get(cv2.CAP_PROP_POS_MSEC) / 1000
    interval = 1 / (rate or DEFAULT_RATE)
    regular = number / (rate or DEFAULT_RATE)
    is_first = number == 0
    if rate and abs(seconds - regular) <= ROUNDING and (is_first or regular > last):
        return regular
    if not is_first and not seconds > last:  # broken or absent; NaN fails the comparison, too
        return last + interval
    return seconds if seconds >= 0 else 0.0


def packet_times(path: str) -> list[float]:
    """Returns when a file's frames are shown, in seconds and in stored order, without decoding."""
    times = []
    with open_video(path, cv2.CAP_PROP_FORMAT, -1) as video, quiet_stderr():
        while video.grab():
            times.append(video.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    return times


# --- completeness -------------------------------------------------------------------------------


def _is_whole(path: str, n_frames: int, last: float, claimed: int, rate: float | None) -> bool:
    """Whether the frames that were read are all of a video file.

    last: the time of the last frame, seconds.
    claimed: the number of frames by OpenCV, 0 if unknown. For most containers it is an estimate.
    """
    if n_frames == 0:
        return False
    if containers.is_cut_off(path):
        return 0 < claimed <= n_frames
    if containers.stores_frame_count(path):
        # The number includes empty frames, which repeat the one before.
        by_time = round(last * (rate or 0)) + 1
        return max(n_frames, by_time) >= _enough(claimed)
    n_packets = len(packet_times(path))
    if n_frames >= _enough(min(n_packets, claimed or n_packets)):
        return True
    return containers.is_trimmed(path)


def _enough(n_frames: int) -> float:
    return WHOLE_FRACTION * n_frames - MAX_MISSING


def _incomplete(path: str, n_frames: int, claimed: int) -> UnreadableMedia:
    """The error for a video of which only n_frames could be decoded."""
    claimed = max(claimed, len(packet_times(path)))
    if n_frames == 0 and claimed and not containers.is_cut_off(path):
        return UnreadableMedia(
            f'{path}: 0 of {counted(claimed, "frame")} can be decoded{_codec(path)}: convert it to '
            'H.264, or it is damaged'
        )
    if claimed > n_frames:
        return UnreadableMedia(f'{path}: ends after {n_frames} of {counted(claimed, "frame")}')
    return UnreadableMedia(f'{path}: is cut off, and ends after {counted(n_frames, "frame")}')


def _codec(path: str) -> str:
    """' (codec AV01)', if the file names its codec; OpenCV's packages lack some decoders."""
    with open_video(path) as video:
        code = int(video.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
    letters = code.to_bytes(4, 'little').decode('ascii', 'replace')
    return f' (codec {letters})' if letters.isalnum() and letters.isascii() else ''
