"""Reading images: harmless slips in JPEGs, damage, EXIF, and every format."""

import base64
import contextlib
import io
import os
import threading
import zlib

import cv2
import numpy as np
import pytest
import simplejpeg
from PIL import Image, ImageOps

from jointpose import data
from jointpose.datasets import arrays
from jointpose.media import images, jpeg, pillow_images
from jointpose.utils.errors import InputError
from jointpose.utils.terminal import quiet_stderr


def picture(height=48, width=64):
    """A smooth image with four different corners: RGB uint8 [height, width, 3]."""
    y, x = np.mgrid[:height, :width]
    return np.dstack([255 * x / width, 255 * y / height, 90 + 0 * x]).astype(np.uint8)


def saved(image, format_, **settings):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format_, **settings)
    return stream.getvalue()


def noisy_jpeg(height=64, width=80, **settings):
    noise = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    return saved(cv2.GaussianBlur(noise, (0, 0), 1.5), 'JPEG', quality=90, **settings)


def segment(marker, content):
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, 'big') + content


def exif(orientation, order='<'):
    tiff = Image.Exif()
    tiff.endian = order
    tiff[pillow_images.ORIENTATION] = orientation
    return tiff.tobytes()


def scan_of(content):
    """Where the entropy-coded data of a baseline JPEG begins."""
    at = content.index(b'\xff\xda')
    return at + 2 + int.from_bytes(content[at + 2 : at + 4], 'big')


# --- JPEGs with harmless slips ------------------------------------------------------------------


def slips(content):
    """{name: the same image, as a careless program writes it}."""
    tables = content.index(b'\xff\xdb')
    scan = scan_of(content)
    jfif = content.index(b'JFIF\0')
    return {
        'bytes before a marker': content[:tables] + b'\0\x12' + content[tables:],
        'scan parameters': content[: scan - 3] + bytes(3) + content[scan:],
        'spaces before the end': content[:-2] + b' ' * 60 + content[-2:],
        'zeros before the end': content[:-2] + bytes(1000) + content[-2:],
        'one byte before the end': content[:-2] + bytes(9) + content[-2:],
        'JFIF version': content[: jfif + 5] + b'\7' + content[jfif + 6 :],
        'Adobe transform': content[:2] + segment(0xEE, b'Adobe\0\x64\0\0\0\0\x09') + content[2:],
        'text after the end': content + b'trailer',
        'a picture after the end': content + noisy_jpeg(16, 16),
        'all at once': content[:tables]
        + b'\0\x12'
        + content[tables : scan - 3]
        + bytes(3)
        + content[scan:-2]
        + bytes(40)
        + content[-2:]
        + noisy_jpeg(16, 16),
    }


@pytest.mark.parametrize('name', slips(noisy_jpeg()))
def test_harmless_slips_change_no_pixel(name):
    content = noisy_jpeg()
    sloppy = slips(content)[name]
    np.testing.assert_array_equal(
        images.decode_image(sloppy), simplejpeg.decode_jpeg(content, 'RGB')
    )


def test_padding_of_any_byte_and_length_is_left_out():
    """Even if it repeats the scan's last byte, or the decoder has read no further than that."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        height, width = rng.integers(8, 70, 2)
        noise = rng.integers(0, 255, (height, width, 3), np.uint8)
        image = cv2.GaussianBlur(noise, (0, 0), rng.uniform(0.3, 4))
        content = simplejpeg.encode_jpeg(image, int(rng.integers(20, 99)))
        pad = rng.choice([0, 32, 255, content[-3]])
        padded = (
            content[:-2]
            + bytes([pad]) * int(rng.integers(1 if pad in (0, 32) else 16, 90))
            + content[-2:]
        )
        np.testing.assert_array_equal(
            images.decode_image(padded), simplejpeg.decode_jpeg(content, 'RGB')
        )


@pytest.mark.parametrize('settings', [{}, {'progressive': True}, {'restart_marker_blocks': 3}])
@pytest.mark.parametrize('end', [b'', b' ' * 60, bytes(60)], ids=['', 'spaces', 'zeros'])
def test_cut_jpegs_are_refused(settings, end):
    """Wherever they are cut, whatever is appended, even if only the end marker is missing."""
    content = noisy_jpeg(**settings)
    images.decode_image(content)
    for length in [*range(2, len(content) - 2, 41), len(content) - 2, len(content) - 1]:
        with pytest.raises((ValueError, RuntimeError)):
            images.decode_image(content[:length] + end)


def test_a_progressive_jpeg_cut_after_a_scan_is_refused():
    content = noisy_jpeg(progressive=True)
    scans = [at for at in range(len(content)) if content[at : at + 2] == b'\xff\xda']
    assert len(scans) > 4
    for at in scans[1:]:
        with pytest.raises(ValueError, match='Premature end'):
            images.decode_image(content[:at])


def test_what_libjpeg_notices_of_flipped_bytes_is_still_refused():
    """The rest of a scan that damage has cut short is no padding."""
    content = noisy_jpeg()
    rng = np.random.default_rng(1)
    noticed = 0
    for at in rng.integers(scan_of(content), len(content) - 2, 400):
        damaged = bytearray(content)
        damaged[at] ^= int(rng.integers(1, 256))
        damaged = bytes(damaged)
        try:
            simplejpeg.decode_jpeg(damaged, 'RGB', strict=True)
        except (ValueError, RuntimeError):
            noticed += 1
            with pytest.raises((ValueError, RuntimeError)):
                images.decode_image(damaged)
    assert noticed > 50


def test_cmyk_jpegs_with_slips_are_read():
    ink = np.dstack([picture(), np.full((48, 64), 40, np.uint8)])
    stream = io.BytesIO()
    Image.fromarray(ink, 'CMYK').save(stream, 'JPEG', quality=95)
    content = stream.getvalue()
    want = images.decode_image(content)
    scan = scan_of(content)
    np.testing.assert_array_equal(
        images.decode_image(content[: scan - 3] + bytes(3) + content[scan:]), want
    )
    assert (
        np.abs(want.astype(int) - np.asarray(Image.open(io.BytesIO(content)).convert('RGB'))).mean()
        < 3
    )


def test_padding_after_a_scan_that_ends_in_the_same_bytes_is_left_out():
    """A flat image with optimised codes: its scan ends in many zeros, and zeros follow."""
    flat = np.full((160, 160, 3), 90, np.uint8)
    flat[:8] = picture(8, 160)
    content = saved(flat, 'JPEG', optimize=True, quality=90)
    pad = content[-20:-19]
    assert content[-20:-5] == pad * 15
    np.testing.assert_array_equal(
        images.decode_image(content[:-2] + pad * 60 + content[-2:]),
        simplejpeg.decode_jpeg(content, 'RGB'),
    )


def test_a_damaged_jpeg_is_read_or_refused():
    content = saved(picture(16, 16), 'JPEG')
    rng = np.random.default_rng(3)
    for i in range(3000):
        damaged = bytearray(content)
        for _ in range(3):
            damaged[rng.integers(2, len(content))] = rng.integers(0, 256)
        with contextlib.suppress(ValueError, RuntimeError):
            images.decode_image(
                bytes(damaged[: rng.integers(4, len(content))] if i % 2 else damaged)
            )
    for segment_ in (b'\xff\xc0\0\3\0', b'\xff\xe0\0\7JFIF\0', b'\xff\xee\0\7Adobe'):  # too short
        assert jpeg.repair(content[:2] + segment_ + content[2:])


# `picture(32, 48)` by libjpeg-turbo's cjpeg -sample 1x4 and 3x1 (-quality 75 -optimize).
UNUSUAL = {
    '4:4:1': (
        '/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAgGBgcGBQgHBwcJCQgKDBQNDAsLDBkSEw8UHRofHh0aHBwgJC4nICIsIxwcKDcp'
        'LDAxNDQ0Hyc5PTgyPC4zNDL/2wBDAQkJCQwLDBgNDRgyIRwhMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIy'
        'MjIyMjIyMjIyMjIyMjL/wAARCAAgADADARQAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAABgf/xAAXEAADAQAAAAAAAAAA'
        'AAAAAAAAAwRh/8QAFwEBAQEBAAAAAAAAAAAAAAAAAwUBBv/EABgRAAMBAQAAAAAAAAAAAAAAAAAFYQID/9oADAMBAAIRAxEA'
        'PwCPqhwSqhwTKhwSqhw3TWnJ8ndI2qHBMqHBKqHBMqHAdNaU+TukbVDgmVDglVDgmVDgGmtKfJ3SNqhwSqhwTKhwSqhwHTWl'
        'Pk7pG1Q4JlQ4JlQ4JVQ4DprSlyd0jaocEyocEqocEyocA01pT5O6f//Z'
    ),
    '3:1:1': (
        '/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAgGBgcGBQgHBwcJCQgKDBQNDAsLDBkSEw8UHRofHh0aHBwgJC4nICIsIxwcKDcp'
        'LDAxNDQ0Hyc5PTgyPC4zNDL/2wBDAQkJCQwLDBgNDRgyIRwhMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIy'
        'MjIyMjIyMjIyMjIyMjL/wAARCAAgADADATEAAhEBAxEB/8QAFgABAQEAAAAAAAAAAAAAAAAABAUH/8QAFxAAAwEAAAAAAAAA'
        'AAAAAAAAAAMEYf/EABgBAAMBAQAAAAAAAAAAAAAAAAAFBgcE/8QAFxEBAQEBAAAAAAAAAAAAAAAAAwAFMf/aAAwDAQACEQMR'
        'AD8Ax9UODFQ4NVDg3Vbqz35NVDgxUODVQ4LFWuc9+UVUODVQ4NVDgKtl+e/JiocGqhwaqHBYq1xnvyiqhwYqHBqocBVsvz35'
        'NVDg1UODFQ4LFWuM9+UVUODVQ4NVDgKtl+e/JiocGqhwaqHBYq1znvy//9k='
    ),
}


@pytest.mark.parametrize('name', UNUSUAL)
def test_jpegs_of_unusual_sampling_are_read_whole_or_refused(name):
    """simplejpeg knows neither subsampling."""
    content = base64.b64decode(UNUSUAL[name])
    found = images.decode_image(content)
    assert np.abs(found.astype(int) - picture(32, 48)).max() <= 16
    turned = images.decode_image(content[:2] + segment(0xE1, exif(6)) + content[2:])
    np.testing.assert_array_equal(turned, np.rot90(found, -1))
    for end in (len(content) - 2, len(content) - 40):
        with pytest.raises(ValueError, match='damaged'):
            images.decode_image(content[:end])
    with pytest.raises(images.WrongSize, match='is 48x32, expected 49x32'):
        images.decode_image(content, (49, 32))


# --- orientation --------------------------------------------------------------------------------

LOSSLESS = {
    'PNG': {},
    'WEBP': {'lossless': True},
    'TIFF': {},
    'AVIF': {'quality': 100, 'subsampling': '4:4:4'},
    'JPEG': {'quality': 95, 'subsampling': 0},
}


@pytest.mark.parametrize('format_', LOSSLESS)
@pytest.mark.parametrize('orientation', range(1, 9))
def test_images_are_rotated_as_pillow_rotates_them(format_, orientation):
    content = saved(picture(), format_, exif=exif(orientation), **LOSSLESS[format_])
    want = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert('RGB'))
    found = images.decode_image(content)
    assert found.shape == want.shape == ((64, 48, 3) if orientation > 4 else (48, 64, 3))
    assert np.abs(found.astype(int) - want).max() <= 3
    assert found.flags.c_contiguous


def test_exif_behind_many_other_blocks_and_in_either_byte_order(tmp_path):
    content = saved(picture(), 'JPEG')
    other = segment(0xE2, bytes(60000))
    for order in '<>':
        late = (
            content[:2] + 4 * other + segment(0xE1, b'Exif\0\0' + exif(6, order)[6:]) + content[2:]
        )
        (tmp_path / 'a.jpg').write_bytes(late)
        assert images.read_image(str(tmp_path / 'a.jpg')).shape == (64, 48, 3)


@pytest.mark.parametrize(
    'block',
    [
        b'Exif\0\0',
        b'Exif\0\0MM',
        b'Exif\0\0II*\0\xff\xff\xff\xff',
        b'Exif\0\0' + bytes(40),
        exif(0),
        exif(9),
        exif(65535),
        exif(6)[:14],
    ],
)
def test_broken_exif_is_ignored(block):
    content = saved(picture(), 'JPEG')
    found = images.decode_image(content[:2] + segment(0xE1, block) + content[2:])
    np.testing.assert_array_equal(found, images.decode_image(content))


def test_transparent_and_deep_images_are_rotated_too():
    clear = np.dstack([picture(), np.full((48, 64), 255, np.uint8)])
    clear[:24, :, 3] = 0
    found = images.decode_image(saved(clear, 'PNG', exif=exif(6)))
    want = np.rot90(picture() * (clear[..., 3:] > 0), -1)
    np.testing.assert_array_equal(found, want)
    deep = saved((picture()[..., 0].astype(np.uint16) * 257), 'TIFF', exif=exif(8))
    np.testing.assert_array_equal(
        images.decode_image(deep), np.rot90(np.repeat(picture()[..., :1], 3, axis=2))
    )


# --- formats ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('format_', 'settings', 'far'),
    [
        ('AVIF', {'quality': 100, 'subsampling': '4:4:4'}, 3),
        ('JPEG2000', {}, 0),
        ('JPEG2000', {'no_jp2': True}, 0),
        ('MPO', {'quality': 98, 'subsampling': 0}, 4),
        ('PPM', {}, 0),
        ('GIF', {}, 40),
        ('TGA', {}, 0),
        ('PCX', {}, 0),
        ('SGI', {}, 0),
        ('QOI', {}, 0),
        ('DDS', {}, 0),
        ('ICO', {'sizes': [(64, 48)]}, 0),
        ('TIFF', {}, 0),
        ('BMP', {}, 0),
    ],
)
def test_every_format_is_read_whole_or_refused(format_, settings, far):
    content = saved(picture(), format_, **settings)
    assert np.abs(images.decode_image(content).astype(int) - picture()).max() <= far
    with pytest.raises((ValueError, RuntimeError, OSError, cv2.error)):
        images.decode_image(content[: len(content) // 2])


@pytest.mark.parametrize(
    ('mode', 'format_'),
    [
        ('1', 'PPM'),
        ('1', 'PNG'),
        ('L', 'PPM'),
        ('P', 'PNG'),
        ('LA', 'PNG'),
        ('RGBA', 'TGA'),
        ('P', 'TGA'),
        ('LA', 'TGA'),
        ('1', 'TIFF'),
    ],
)
def test_modes_are_as_pillow_shows_them_over_black(mode, format_):
    stream = io.BytesIO()
    whole = Image.fromarray(picture())
    if 'A' in mode:
        whole.putalpha(Image.fromarray(picture()[..., 1]))
    whole.convert(mode).save(stream, format_)
    full = np.asarray(Image.open(io.BytesIO(stream.getvalue())).convert('RGBA')).astype(float)
    want = full[..., :3] * full[..., 3:] / 255
    assert np.abs(images.decode_image(stream.getvalue()) - want).max() <= 1


def chunk(kind, content, damage=0):
    """A chunk of a PNG, its checksum changed by `damage`."""
    checksum = zlib.crc32(kind + content) ^ damage
    return len(content).to_bytes(4, 'big') + kind + content + checksum.to_bytes(4, 'big')


def test_a_png_with_damaged_metadata_is_whole():
    content = saved(picture(), 'PNG')
    behind = 33  # the signature and IHDR
    long = zlib.compress(bytes(3_000_000))  # more than Pillow accepts
    remarks = {
        'text': chunk(b'tEXt', b'Comment\0hello', damage=1),
        'size': chunk(b'pHYs', bytes(9), damage=1),
        'long': chunk(b'zTXt', b'Comment\0\0' + long),
        'date': chunk(b'tIME', bytes(7), damage=1),
        'orientation': chunk(b'eXIf', exif(6)[6:], damage=1),
    }
    for name, remark in remarks.items():
        found = images.decode_image(content[:behind] + remark + content[behind:])
        np.testing.assert_array_equal(found, picture(), err_msg=name)
    damaged = bytearray(content)
    damaged[content.index(b'IDAT') + 20] ^= 1
    with pytest.raises(ValueError, match='damaged'):
        images.decode_image(bytes(damaged))
    turned = images.decode_image(
        content[:behind] + remarks['text'] + chunk(b'eXIf', exif(6)[6:]) + content[behind:]
    )
    np.testing.assert_array_equal(turned, np.rot90(picture(), -1))


@pytest.mark.parametrize(('kind', 'scale'), [('float32', 1 / 255), ('float32', 1), ('int32', 1)])
def test_tiffs_of_32_bits_are_read_by_their_range(kind, scale):
    grey = picture()[..., 0]
    stored = saved((grey * scale).astype(kind), 'TIFF')
    np.testing.assert_array_equal(
        images.decode_image(stored), np.repeat(grey[..., None], 3, axis=2)
    )


@pytest.mark.parametrize(
    'values',
    [
        np.full((8, 9), 256, np.int32),
        np.full((8, 9), -1, np.float32),
        np.full((8, 9), np.nan, np.float32),
    ],
)
def test_numbers_without_a_white_are_refused(values):
    with pytest.raises(ValueError, match=r'numbers from .* nothing says which is white'):
        images.decode_image(saved(values, 'TIFF'))


def test_alpha_that_hides_everything_means_nothing():
    for format_ in ('PNG', 'TGA', 'WEBP'):
        hidden = np.dstack([picture(), np.zeros((48, 64), np.uint8)])
        settings = {'lossless': True, 'exact': True} if format_ == 'WEBP' else {}
        np.testing.assert_array_equal(
            images.decode_image(saved(hidden, format_, **settings)), picture()
        )


# --- one reader for all images ------------------------------------------------------------------


def test_sizes_are_compared_after_the_rotation(tmp_path):
    path = tmp_path / 'a.jpg'
    path.write_bytes(saved(picture(), 'JPEG', exif=exif(6)))
    assert images.read_image(str(path), (48, 64)).shape == (64, 48, 3)
    with pytest.raises(
        images.UnreadableMedia,
        match=r'a\.jpg: is shown as 48x64, expected 64x48: .* without its EXIF',
    ):
        images.read_image(str(path), (64, 48))
    with pytest.raises(images.UnreadableMedia, match=r'a\.jpg: is 64x48, expected 65x48$'):
        images.read_image(str(path), (65, 48))


def test_training_reads_what_data_py_takes(tmp_path):
    files = {
        'a.png': saved(picture(), 'PNG'),
        'b.jpg': slips(noisy_jpeg(48, 64))['scan parameters'],
        'c.webp': saved(picture(), 'WEBP', exif=exif(6)),
    }
    table = np.zeros(3, arrays.picture_dtype())
    for entry, (name, content) in zip(table, files.items()):
        (tmp_path / name).write_bytes(content)
        width, height = data.size_or_error(str(tmp_path / name))
        entry['file'], entry['width'], entry['height'] = name, width, height
    assert [tuple(entry) for entry in table[['width', 'height']]] == [(64, 48), (64, 48), (48, 64)]
    stored = arrays.Pictures(str(tmp_path), table, np.arange(3))
    for i, name in enumerate(files):
        np.testing.assert_array_equal(stored[i], images.read_image(str(tmp_path / name)))
    table['width'][0] = 65
    with pytest.raises(InputError, match=r'a\.png: is 64x48, expected 65x48'):
        stored[0]


def test_data_py_names_images_labelled_without_their_rotation():
    entry = {'width': 64, 'height': 48}
    assert data.mismatch('a.jpg', entry, (64, 48)) is None
    assert 'a.jpg: is shown as 48x64, annotated as 64x48: ' in data.mismatch(
        'a.jpg', entry, (48, 64)
    )
    assert data.mismatch('a.jpg', {'width': 0, 'height': 0}, (48, 64)) is None


def test_data_py_neither_waits_nor_reads_for_ever(tmp_path):
    os.mkfifo(tmp_path / 'pipe.jpg')
    (tmp_path / 'zero.jpg').symlink_to('/dev/zero')
    for name in ('pipe.jpg', 'zero.jpg'):
        assert 'not a regular file' in data.size_or_error(str(tmp_path / name))
        with pytest.raises(InputError, match=f'{name}: .*not a regular file'):
            data.decode(str(tmp_path / name))


def test_standard_error_is_restored_after_overlapping_threads(capfd):
    """Two threads hide it; the first to enter leaves first."""
    inside = threading.Event()
    leave = threading.Event()

    def other():
        with quiet_stderr():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with quiet_stderr():
        thread.start()
        inside.wait(10)
        os.write(2, b'hidden\n')
    os.write(2, b'hidden, too\n')
    leave.set()
    thread.join()
    os.write(2, b'shown\n')
    assert capfd.readouterr().err == 'shown\n'
