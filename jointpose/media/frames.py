"""The frames of a picture, a video, an animation or a camera, and when each is shown.

Videos are read by OpenCV through FFmpeg, animated GIF, PNG, WebP and AVIF by Pillow.  A video that breaks off is
Unreadable after its last frame; media/containers.py has what says so.
"""

import contextlib
import itertools
import os
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from jointpose.media import containers, images
from jointpose.media.images import UnreadableMedia, check_size, read_image
from jointpose.media.sources import Source
from jointpose.utils.terminal import quiet_stderr

DEFAULT_RATE = 25.0  # frames a second, of what does not say
MAX_RATE = 240.0  # of an annotated video whose frames are not evenly spaced
STILL = 0.1  # seconds, of a frame that asks for none or 10 ms, as browsers show it


class Frame(NamedTuple):
    """A picture, or one of a video."""

    name: str
    number: int | None  # from 1; None of a picture
    time: float | None  # seconds from the video's start; None of a picture
    image: np.ndarray  # RGB uint8 [h, w, 3]


class Timing(NamedTuple):
    """How an annotated video is to be played."""

    rate: float  # frames a second
    constant: bool  # each frame lasts 1 / rate; else frames are repeated as their times ask for
    count: int | None  # of frames, as far as it is known
    end: float | None = None  # seconds, when the last frame ends


def read(source: Source) -> Iterator[Frame]:
    """The picture, or each frame of a video.  Raises Unreadable, for a video perhaps after some of its frames."""
    if not source.is_video:
        yield Frame(source.name, None, None, read_image(source.path))
        return
    if isinstance(source.path, int):
        shown = camera_frames(source.path)
    else:
        shown = (
            animation_frames(source.path)
            if is_animation(source.path)
            else video_frames(source.path)
        )
    with contextlib.closing(shown):
        for number, (seconds, image) in enumerate(shown, 1):
            yield Frame(f'{source.name}_{number:06d}', number, seconds, image)


def timing(source: Source) -> Timing:
    """The Timing of a video; Unreadable."""
    if isinstance(source.path, int):
        with open_video(source.path) as video:
            return Timing(rate_of(video) or DEFAULT_RATE, False, None)
    if is_animation(source.path):
        times = np.cumsum([0, *durations(source.path)])
        return timing_from_times(times[:-1], None, times[-1])
    with open_video(source.path) as video:
        found = timing_from_times(packet_times(source.path), rate_of(video))
    return found._replace(count=None) if containers.is_trimmed(source.path) else found


def timing_from_times(
    times: Iterable[float], rate: float | None, end: float | None = None
) -> Timing:
    """times: of a video's frames, seconds; rate: what its container says; end: of the last frame.

    The rate is constant if no frame would be shown half a frame early or late; else it is that of the closest frames.
    """
    times = np.sort(np.asarray(times, float))
    n = len(times)
    if n < 2:
        return Timing(rate or (1 / end if end else DEFAULT_RATE), True, n or None)
    gaps = np.diff(times)
    end = times[-1] + gaps[-1] if end is None else end
    mean = (n - 1) / (times[-1] - times[0]) if times[-1] > times[0] else DEFAULT_RATE
    if rate is None and end > times[0]:
        mean = n / (end - times[0])
    for candidate in (rate, mean):
        if candidate:
            late = np.append(times, end) - times[0] - np.arange(n + 1) / candidate
            if np.abs(late).max() <= 0.5 / candidate:
                return Timing(candidate, True, n)
    closest = (
        np.percentile(gaps[gaps > 0], 5, method='lower') if (gaps > 0).any() else 1 / DEFAULT_RATE
    )
    return Timing(float(min(1 / closest, MAX_RATE)), False, n, float(end))


def count(sources: list[Source]) -> int | None:
    """How many pictures there will be, None if a video does not say."""
    counts = [count_of(source) for source in sources]
    return None if None in counts else sum(counts)


def count_of(source: Source) -> int | None:
    if not source.is_video:
        return 1
    with contextlib.suppress(UnreadableMedia):
        return timing(source).count
    return 0


def video_frames(path: str) -> Iterator[tuple[float, np.ndarray]]:
    """(seconds, RGB uint8 [h, w, 3]) of each frame of a video file."""
    with open_video(path) as video:
        rate = rate_of(video)
        claimed, n, last = max(0, round(video.get(cv2.CAP_PROP_FRAME_COUNT))), 0, 0.0
        while True:
            with quiet_stderr():
                there, image = video.read()
            if not there:
                break
            last = frame_time(video, n, rate, last)
            n += 1
            yield last, image[..., ::-1]
    if not is_whole(path, n, last, claimed, rate):
        claimed = max(claimed, len(packet_times(path)))
        if n == 0 and claimed and not containers.is_cut_off(path):
            raise UnreadableMedia(
                f'{path}: none of its {claimed} frames can be decoded{of_codec(path)}: convert it to '
                'H.264, or it is damaged'
            )
        raise UnreadableMedia(
            f'{path}: ends after {n} of {claimed} frames'
            if claimed > n
            else f'{path}: is cut off, and ends after {n} frames'
        )


def of_codec(path: str) -> str:
    """' (codec AV01)', where a video file says so, of which OpenCV's packages have no decoder."""
    with open_video(path) as video:
        code = int(video.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
    letters = code.to_bytes(4, 'little').decode('ascii', 'replace')
    return f' (codec {letters})' if letters.isalnum() and letters.isascii() else ''


def frame_time(video: cv2.VideoCapture, n: int, rate: float | None, last: float) -> float:
    """When the frame just read, number n from 0, is shown; last: when the one before it was, both in seconds.

    Containers round to milliseconds, so times within one of a constant rate are that rate's.
    """
    seconds, regular = video.get(cv2.CAP_PROP_POS_MSEC) / 1000, n / (rate or DEFAULT_RATE)
    if rate and abs(seconds - regular) <= 0.001 and (regular > last or not n):
        return regular
    if n and not seconds > last:  # broken or absent: NaN compares false, too
        return last + 1 / (rate or DEFAULT_RATE)
    return seconds if seconds >= 0 else 0.0


def is_whole(path: str, n: int, last: float, claimed: int, rate: float | None) -> bool:
    """Whether n frames, the last of them shown at that second, are all of a video file.

    claimed: its number of frames, 0 if it does not say; of most containers OpenCV only estimates it.
    """
    if n == 0:
        return False
    if containers.is_cut_off(path):
        return 0 < claimed <= n
    if containers.stores_frame_count(path):  # those that are empty, to repeat the one before, too
        return max(n, round(last * (rate or 0)) + 1) >= 0.98 * claimed - 2
    packets = len(packet_times(path))
    return n >= 0.98 * min(packets, claimed or packets) - 2 or containers.is_trimmed(path)


def camera_frames(number: int) -> Iterator[tuple[float, np.ndarray]]:
    """As `video_frames`, until the camera stops; seconds are the clock's."""
    start = None
    with open_video(number) as video:
        while True:
            with quiet_stderr():
                there, image = video.read()
            if not there:
                break
            now = time.monotonic()
            start = now if start is None else start
            yield now - start, image[..., ::-1]
    if start is None:
        raise UnreadableMedia(f'camera {number}: gives no picture')


@contextlib.contextmanager
def open_video(path: str | int, *settings: int) -> Iterator[cv2.VideoCapture]:
    """A cv2.VideoCapture of a file or a camera's number, with at least one frame in it, released at the end."""
    camera = isinstance(path, int)
    if not camera:
        check_regular(path)
    with quiet_stderr():
        # An absolute path is no protocol (x:y.mp4); and of OpenCV's backends one takes %03d for a series of pictures.
        video = (
            cv2.VideoCapture(path)
            if camera
            else cv2.VideoCapture(os.path.abspath(path), cv2.CAP_FFMPEG, settings)
        )
    try:
        if not video.isOpened() or video.get(cv2.CAP_PROP_FRAME_WIDTH) < 1:
            raise UnreadableMedia(
                f'camera {path}: there is none, or it is in use'
                if camera
                else f'{path}: not a video that can be read'
            )
        width, height = (
            round(video.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        )
        try:
            check_size((width, height))
        except ValueError as error:
            raise UnreadableMedia(f'{path}: {error}') from error
        yield video
    finally:
        video.release()


def rate_of(video: cv2.VideoCapture) -> float | None:
    """Frames a second that a video says it has."""
    found = video.get(cv2.CAP_PROP_FPS)
    return found if 0 < found <= 1000 else None


def packet_times(path: str) -> list[float]:
    """Seconds at which a video file's frames are shown, in their stored order: nothing is decoded."""
    times = []
    with open_video(path, cv2.CAP_PROP_FORMAT, -1) as video, quiet_stderr():
        while video.grab():
            times.append(video.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    return times


def check_regular(path: str) -> None:
    """Unreadable if a path leads to a pipe or a device."""
    try:
        if not os.path.isfile(path):
            raise UnreadableMedia(f'{path}: not a regular file')
    except (OSError, ValueError) as error:
        raise UnreadableMedia(f'{path}: {error}') from error


# --- animations ---------------------------------------------------------------------------------------------------


def is_animation(path: str) -> bool:
    """Whether a file is an animated GIF, PNG, WebP or AVIF."""
    # Whatever it is instead raises nearly anything.
    with contextlib.suppress(Exception), open_animation(path) as picture:
        return images.is_animation(picture)
    return False


@contextlib.contextmanager
def open_animation(path: str) -> Iterator[Image.Image]:
    """A Pillow picture of a file; Unreadable if it is damaged or no picture."""
    with loading(path):
        file = images.open_regular(path)
    with file:
        with loading(path):
            head = file.read(containers.HEAD_BYTES)
            if images.is_jpeg(head) or containers.is_video(head):
                raise ValueError('no animation')
            picture = images.open_header(file)
            check_size(picture.size)
        yield picture


def animation_frames(path: str) -> Iterator[tuple[float, np.ndarray]]:
    """As `video_frames`."""
    seconds = 0.0
    with open_animation(path) as picture:
        how = images.orientation_of(picture)
        for _ in loaded(path, picture):
            yield seconds, images.apply_orientation(images.to_rgb(picture), how)
            seconds += duration_of(picture)
    if containers.is_cut_off(path):
        raise UnreadableMedia(f'{path}: is cut off')


def durations(path: str) -> list[float]:
    """Seconds that each frame is shown, as far as they can be read."""
    found = []
    with contextlib.suppress(UnreadableMedia), open_animation(path) as picture:
        for _ in loaded(path, picture):
            found.append(duration_of(picture))
    return found


def loaded(path: str, picture: Image.Image) -> Iterator[int]:
    """Makes a Pillow picture show one frame after the other; yields their numbers, from 0."""
    # An animated PNG may begin with a picture for programs that show no animations.
    first = int(getattr(picture, 'default_image', False))
    for number in itertools.count():
        with loading(path, f'ends after {number} frames'):
            try:
                picture.seek(first + number)
            except EOFError:
                return
            picture.load()
        yield number


def duration_of(picture: Image.Image) -> float:
    seconds = float(picture.info.get('duration') or 0) / 1000
    return seconds if seconds > 0.0101 else STILL


@contextlib.contextmanager
def loading(path: str, reason: str = 'damaged') -> Iterator[None]:
    """What Pillow raises of a damaged file is Unreadable."""
    try:
        yield
    except Exception as error:  # nearly anything
        raise UnreadableMedia(
            f'{path}: {error if isinstance(error, ValueError) else reason}'
        ) from error
