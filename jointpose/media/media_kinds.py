"""Whether a file is an image, a video or neither: by its content, else by its ending."""

import contextlib
import os

from jointpose.media import containers, pillow_images
from jointpose.media.images import HEIC_ADVICE, open_regular

IMAGE = 'image'
VIDEO = 'video'
KINDS = (IMAGE, VIDEO)
NEITHER = 'not an image'

JPEG_ENDINGS = ('.jpg', '.jpeg', '.jpe', '.jfif')
IMAGE_ENDINGS = (
    *JPEG_ENDINGS,
    '.apng',
    '.avif',
    '.bmp',
    '.dds',
    '.dib',
    '.gif',
    '.ico',
    '.j2c',
    '.j2k',
    '.jp2',
    '.jpc',
    '.jpf',
    '.jpx',
    '.mpo',
    '.pbm',
    '.pcx',
    '.pfm',
    '.pgm',
    '.png',
    '.pnm',
    '.ppm',
    '.psd',
    '.qoi',
    '.ras',
    '.sgi',
    '.tga',
    '.tif',
    '.tiff',
    '.webp',
)
VIDEO_ENDINGS = (
    '.3g2',
    '.3gp',
    '.asf',
    '.avi',
    '.divx',
    '.f4v',
    '.flv',
    '.m2ts',
    '.m4v',
    '.mjpeg',
    '.mjpg',
    '.mkv',
    '.mov',
    '.mp4',
    '.mpe',
    '.mpeg',
    '.mpg',
    '.mts',
    '.mxf',
    '.ogm',
    '.ogv',
    '.vob',
    '.webm',
    '.wmv',
    '.y4m',
)
SOUND_ENDINGS = (
    '.aac',
    '.flac',
    '.m4a',
    '.mka',
    '.mp3',
    '.oga',
    '.ogg',
    '.opus',
    '.wav',
    '.wma',
)
HEIC_ENDINGS = ('.heic', '.heif', '.hif')
MULTIPAGE_ENDINGS = ('.tif', '.tiff')
FIRST_JPEG_BYTES = 1 << 26  # within which a stream's second JPEG begins


def kind_of(path: str, is_named: bool = False) -> str:
    """Returns IMAGE, VIDEO, or else why a file is neither.

    is_named: the user has named this file, so it is taken for an image if nothing else is known.
        Reading it will report what is wrong.
    """
    if os.path.isdir(path):
        return IMAGE if is_named else 'a folder within the folder'
    ending = os.path.splitext(path)[1].lower()
    kind = _kind_of_content(path, ending)  # first: JPEGs named .heic are common
    if kind is not None:
        return kind
    if ending in HEIC_ENDINGS:
        return IMAGE if is_named else HEIC_ADVICE
    if ending in IMAGE_ENDINGS:
        return IMAGE
    if ending in VIDEO_ENDINGS:
        return VIDEO
    return IMAGE if is_named else NEITHER


def _kind_of_content(path: str, ending: str) -> str | None:
    """IMAGE or VIDEO, or None if the content does not say."""
    # A damaged header raises nearly anything.
    with contextlib.suppress(Exception), open_regular(path) as file:
        head = file.read(containers.HEAD_BYTES)
        if containers.is_jpeg(head):
            is_stream = ending not in JPEG_ENDINGS and containers.is_jpeg_stream(
                head + file.read(FIRST_JPEG_BYTES)
            )
            return VIDEO if is_stream else IMAGE
        if containers.is_video(head):
            return None if ending in SOUND_ENDINGS else VIDEO
        with pillow_images.open_header(file) as image:
            if image.format in pillow_images.WITHOUT_MAGIC:
                return None
            return VIDEO if pillow_images.is_animation(image) else IMAGE
    return None


def page_note(path: str) -> str | None:
    """Returns a line about a TIFF of several pages, of which only the first is used, or None."""
    if os.path.splitext(path)[1].lower() not in MULTIPAGE_ENDINGS:
        return None
    with (
        contextlib.suppress(Exception),
        open_regular(path) as file,
        pillow_images.open_header(file) as image,
    ):
        if image.n_frames > 1:
            return f'{path}: has {image.n_frames} pages: only the first is used'
    return None
