"""The frames of animated GIFs, PNGs, WebPs and AVIFs, read by Pillow."""

import contextlib
import itertools
from collections.abc import Iterator

import numpy as np
from PIL import Image

from jointpose.media import containers, pillow_images
from jointpose.media.images import UnreadableMedia, check_size, open_regular
from jointpose.utils.counts import counted

STILL_SECONDS = 0.1  # of a frame that asks for at most MIN_SECONDS, as browsers show it
MIN_SECONDS = 0.0101


def is_animation(path: str) -> bool:
    """Returns whether a file is an animated GIF, PNG, WebP or AVIF."""
    # Other files raise nearly anything.
    with contextlib.suppress(Exception), open_animation(path) as image:
        return pillow_images.is_animation(image)
    return False


@contextlib.contextmanager
def open_animation(path: str) -> Iterator[Image.Image]:
    """Yields the open Pillow image; raises UnreadableMedia."""
    with _unreadable_if_damaged(path):
        file = open_regular(path)
    with file:
        with _unreadable_if_damaged(path):
            head = file.read(containers.HEAD_BYTES)
            if containers.is_jpeg(head) or containers.is_video(head):
                raise ValueError('no animation')
            image = pillow_images.open_header(file)
            check_size(image.size)
        yield image


def animation_frames(path: str) -> Iterator[tuple[float, np.ndarray]]:
    """Yields each frame's start in seconds and its RGB uint8 [h, w, 3]; raises UnreadableMedia."""
    seconds = 0.0
    with open_animation(path) as image:
        orientation = pillow_images.orientation_of(image)
        for _ in _load_frames(path, image):
            rgb = pillow_images.to_rgb(image)
            yield seconds, pillow_images.apply_orientation(rgb, orientation)
            seconds += _frame_seconds(image)
    if containers.is_cut_off(path):
        raise UnreadableMedia(f'{path}: is cut off')


def frame_durations(path: str) -> list[float]:
    """Returns the seconds that each frame is shown, as far as the frames can be read."""
    found = []
    with contextlib.suppress(UnreadableMedia), open_animation(path) as image:
        for _ in _load_frames(path, image):
            found.append(_frame_seconds(image))
    return found


def _load_frames(path: str, image: Image.Image) -> Iterator[int]:
    """Loads one frame after the other into a Pillow image; yields their numbers, from 0."""
    # An animated PNG may begin with an image for programs that show no animations.
    first = int(getattr(image, 'default_image', False))
    for number in itertools.count():
        with _unreadable_if_damaged(path, f'ends after {counted(number, "frame")}'):
            try:
                image.seek(first + number)
            except EOFError:
                return
            image.load()
        yield number


def _frame_seconds(image: Image.Image) -> float:
    seconds = float(image.info.get('duration') or 0) / 1000
    return seconds if seconds > MIN_SECONDS else STILL_SECONDS


@contextlib.contextmanager
def _unreadable_if_damaged(path: str, reason: str = 'damaged') -> Iterator[None]:
    """Turns what Pillow raises for a damaged file into UnreadableMedia."""
    try:
        yield
    except Exception as error:  # nearly anything
        if isinstance(error, ValueError):
            reason = str(error)
        raise UnreadableMedia(f'{path}: {reason}') from error
