"""The frames of an image, a video, an animation or a camera, and when each is shown."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from jointpose.media import containers
from jointpose.media.animations import animation_frames, frame_durations, is_animation
from jointpose.media.images import UnreadableMedia, read_image
from jointpose.media.sources import Source
from jointpose.media.video_frames import (
    DEFAULT_RATE,
    camera_frames,
    frame_rate,
    open_video,
    packet_times,
    video_frames,
)

MAX_RATE = 240.0  # frames a second, of an annotated video whose frames are not evenly spaced


class Frame(NamedTuple):
    """An image, or one of a video."""

    name: str
    number: int | None  # from 1; None for an image
    time: float | None  # seconds from the video's start; None for an image
    image: np.ndarray  # RGB uint8 [h, w, 3]


class Timing(NamedTuple):
    """How an annotated video is to be played."""

    rate: float  # frames a second
    constant: bool  # each frame lasts 1 / rate; otherwise frames are repeated as their times ask
    count: int | None  # of frames, if known
    end: float | None = None  # of the last frame, seconds


def read(source: Source) -> Iterator[Frame]:
    """Yields the image, or each frame of the video.

    Raises UnreadableMedia, perhaps after some frames of a video.
    """
    if not source.is_video:
        yield Frame(source.name, None, None, read_image(source.path))
        return
    with contextlib.closing(_frames_and_times(source.path)) as frames:
        for number, (seconds, image) in enumerate(frames, 1):
            yield Frame(f'{source.name}_{number:06d}', number, seconds, image)


def _frames_and_times(path: str | int) -> Iterator[tuple[float, np.ndarray]]:
    if isinstance(path, int):
        return camera_frames(path)
    if is_animation(path):
        return animation_frames(path)
    return video_frames(path)


def timing(source: Source) -> Timing:
    """Returns the Timing of a video; raises UnreadableMedia."""
    if isinstance(source.path, int):
        with open_video(source.path) as video:
            return Timing(frame_rate(video) or DEFAULT_RATE, False, None)
    if is_animation(source.path):
        times = np.cumsum([0, *frame_durations(source.path)])
        return timing_from_times(times[:-1], None, times[-1])
    with open_video(source.path) as video:
        found = timing_from_times(packet_times(source.path), frame_rate(video))
    if containers.is_trimmed(source.path):
        return found._replace(count=None)
    return found


def timing_from_times(
    times: Iterable[float], rate: float | None, end: float | None = None
) -> Timing:
    """Returns the Timing of frames that are shown at given times.

    The rate is constant if no frame would then be shown more than half a frame early or late.
    Otherwise it is that of the closest frames.

    Args:
        times: seconds.
        rate: that the container claims, if it does.
        end: of the last frame, seconds, if known.
    """
    times = np.sort(np.asarray(times, float))
    n = len(times)
    if n < 2:
        return Timing(rate or (1 / end if end else DEFAULT_RATE), True, n or None)
    gaps = np.diff(times)
    if end is None:
        end = times[-1] + gaps[-1]
    for candidate in (rate, _mean_rate(times, end, rate)):
        if candidate and _is_constant(np.append(times, end), candidate):
            return Timing(candidate, True, n)
    return Timing(_rate_of_closest(gaps), False, n, float(end))


def _mean_rate(times: np.ndarray, end: float, claimed: float | None) -> float:
    """Frames a second on average; the last frame counts if the container claims no rate."""
    n = len(times)
    if claimed is None and end > times[0]:
        return n / (end - times[0])
    if times[-1] > times[0]:
        return (n - 1) / (times[-1] - times[0])
    return DEFAULT_RATE


def _is_constant(times: np.ndarray, rate: float) -> bool:
    """Whether no time differs from a constant rate's by more than half a frame."""
    lateness = times - times[0] - np.arange(len(times)) / rate
    return np.abs(lateness).max() <= 0.5 / rate


def _rate_of_closest(gaps: np.ndarray) -> float:
    """The rate of the closest frames, without the closest 5 %."""
    positive = gaps[gaps > 0]
    gap = np.percentile(positive, 5, method='lower') if positive.size else 1 / DEFAULT_RATE
    return float(min(1 / gap, MAX_RATE))


def count(sources: list[Source]) -> int | None:
    """Returns the number of images and frames, or None if a video does not say."""
    counts = [_count_of(source) for source in sources]
    return None if None in counts else sum(counts)


def _count_of(source: Source) -> int | None:
    if not source.is_video:
        return 1
    with contextlib.suppress(UnreadableMedia):
        return timing(source).count
    return 0  # it will be reported when it is read
