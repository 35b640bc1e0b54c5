"""Checks before a file is opened, and which files --predict uses."""

import glob
import io
import os
import resource
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from jointpose.media import frames, images, source_names, sources
from jointpose.utils.errors import InputError


def png_of_zeros(width, height):
    """A grey PNG of any size in a few kilobytes."""

    def chunk(kind, content):
        body = kind + content
        return struct.pack('>I', len(content)) + body + struct.pack('>I', zlib.crc32(body))

    pack = zlib.compressobj(9)
    rows = bytes(width + 1)
    content = b''.join(pack.compress(rows) for _ in range(height)) + pack.flush()
    return (
        b'\x89PNG\r\n\x1a\n'
        + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0))
        + chunk(b'IDAT', content)
        + chunk(b'IEND', b'')
    )


def headers():
    """{name: the header of an image of 40000x30000, without its pixels}."""
    wide = 40000
    high = 30000
    ifd = (
        struct.pack('<H', 2)
        + struct.pack('<HHII', 256, 4, 1, wide)
        + struct.pack('<HHII', 257, 4, 1, high)
    )
    return {
        'a.bmp': b'BM'
        + struct.pack('<IHHI', 1000, 0, 0, 54)
        + struct.pack('<IiiHHIIiiII', 40, wide, high, 1, 24, 0, 0, 0, 0, 0, 0)
        + bytes(99),
        'a.ppm': b'P6 40000 30000 255\n' + bytes(99),
        'a.pgm': b'P5 40000 30000 255\n' + bytes(99),
        'a.gif': b'GIF89a' + struct.pack('<HHBBB', wide, high, 0, 0, 0) + b',' + bytes(99),
        'a.tif': b'II*\0' + struct.pack('<I', 8) + ifd + bytes(99),
    }


@pytest.mark.parametrize('name', ['a.bmp', 'a.ppm', 'a.pgm', 'a.gif', 'a.tif'])
def test_the_header_is_read_before_the_pixels(tmp_path, name, monkeypatch):
    monkeypatch.setattr(cv2, 'imdecode', lambda *_: pytest.fail('was decoded'))
    (tmp_path / name).write_bytes(headers()[name])
    with pytest.raises(images.UnreadableMedia, match=name):
        images.read_image(str(tmp_path / name))


def test_a_small_png_of_a_billion_pixels_takes_no_memory(tmp_path):
    """In a process that may allocate only 200 MB more than it starts with."""
    path = tmp_path / 'bomb.png'
    path.write_bytes(png_of_zeros(20000, 20000))
    program = (
        'import resource, sys\nfrom jointpose.media import images\n'
        'used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()\n'
        'resource.setrlimit(resource.RLIMIT_AS, (used + (200 << 20),) * 2)\n'
        'try:\n    images.read_image(sys.argv[1])\nexcept images.UnreadableMedia as error:\n    print(error)'
    )
    done = subprocess.run(
        [sys.executable, '-c', program, str(path)], cwd=ROOT, capture_output=True, text=True
    )
    assert 'bomb.png' in done.stdout and (
        '20000x20000' in done.stdout or '400000000 pixels' in done.stdout
    ), done
    assert path.stat().st_size < 1 << 20 and resource.getpagesize()


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / 'pipe.jpg')
    (tmp_path / 'zero.png').symlink_to('/dev/zero')
    os.mkfifo(tmp_path / 'pipe.mp4')
    for name in ('pipe.jpg', 'zero.png'):
        with pytest.raises(images.UnreadableMedia, match=f'{name}.*not a regular file'):
            images.read_image(str(tmp_path / name))
    with pytest.raises(images.UnreadableMedia, match=r'pipe\.mp4: not a regular file'):
        next(frames.read(sources.Source(str(tmp_path / 'pipe.mp4'), 'x', True)))


def test_a_file_of_a_terabyte_is_refused(tmp_path):
    with open(tmp_path / 'sparse.png', 'wb') as file:
        file.truncate(1 << 40)
    with pytest.raises(images.UnreadableMedia, match=r'1099\.5 GB'):
        images.read_image(str(tmp_path / 'sparse.png'))


def test_files_of_a_folder_that_are_passed_over_are_named(tmp_path):
    for name in (
        'a.jfif',
        'b.HEIC',
        'c.mp4',
        'd.txt',
        '.e.jpg',
        'f.txt',
        'g.txt',
        'h.txt',
        'i.txt',
    ):
        (tmp_path / name).write_bytes(b'')
    (tmp_path / 'more').mkdir()
    (tmp_path / 'loop.jpg').symlink_to(
        'loop.jpg'
    )  # an image that cannot be read must not end the folder
    found, lines = sources.find([str(tmp_path)], 'out')
    assert [(source.name, source.is_video) for source in found] == [
        ('a', False),
        ('c', True),
        ('loop', False),
    ]
    with pytest.raises(images.UnreadableMedia, match=r'loop\.jpg: Too many levels'):
        next(frames.read(found[2]))
    text = '\n'.join(lines)
    assert len(lines) == 3 and 'b.HEIC: HEIC: convert' in text and 'more: a folder' in text
    assert 'd.txt, f.txt, g.txt and 2 more: not an image' in text and '.e.jpg' not in text
    (tmp_path / 'more' / 'f.heic').write_bytes(b'')
    with pytest.raises(InputError, match=r'more: no images there \(f\.heic: HEIC: convert'):
        sources.find([str(tmp_path / 'more')], 'out')


def test_a_jpeg_named_heic_is_an_image(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.jpg'), np.zeros((4, 4), np.uint8))
    (tmp_path / 'a.jpg').rename(tmp_path / 'a.HEIC')
    found, said = sources.find([str(tmp_path)], 'out')
    assert [source.file for source in found] == ['a.HEIC'] and not said


def test_heic_says_what_to_do(tmp_path):
    (tmp_path / 'a.jpg').write_bytes(b'\0\0\0\x18ftypheic' + bytes(99))
    with pytest.raises(images.UnreadableMedia, match='HEIC: convert it to JPEG'):
        images.read_image(str(tmp_path / 'a.jpg'))


def test_standard_input(monkeypatch):
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    content = cv2.imencode('.png', image[..., ::-1])[1].tobytes()
    monkeypatch.setattr(sys, 'stdin', io.TextIOWrapper(io.BytesIO(content)))
    (source,), _ = sources.find(['-'], 'out')
    ((name, number, time, found),) = frames.read(source)
    assert (name, number, time) == ('stdin', None, None)
    np.testing.assert_array_equal(found, image)
    with pytest.raises(
        images.UnreadableMedia, match=r'standard input: .*empty'
    ):  # it has been read already
        next(frames.read(source))


class Camera:
    """A webcam of three frames."""

    def __init__(self, number):
        self.left = 3
        assert number == 0

    def isOpened(self):
        return True

    def get(self, what):
        return {
            cv2.CAP_PROP_FRAME_WIDTH: 64,
            cv2.CAP_PROP_FRAME_HEIGHT: 48,
            cv2.CAP_PROP_FPS: 0,
        }.get(what, -1)

    def read(self):
        self.left -= 1
        return self.left >= 0, np.zeros((48, 64, 3), np.uint8)

    def release(self):
        pass


def test_a_camera(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (source,), _ = sources.find(['0'], 'out')
    monkeypatch.setattr(cv2, 'VideoCapture', Camera)
    assert [name for name, *_ in frames.read(source)] == [f'camera0_{i:06d}' for i in (1, 2, 3)]
    assert frames.count([source]) is None and frames.timing(source) == frames.Timing(
        25, False, None
    )
    (tmp_path / '0').write_bytes(b'')
    assert sources.find(['0'], 'out')[0] == [
        sources.Source('0', '0', False)
    ]  # a file of that name has priority


def test_no_camera():
    with pytest.raises(InputError, match='camera 93'):
        next(frames.read(sources.find(['93'], 'out')[0][0]))
    with pytest.raises(InputError, match='9: no such file'):
        sources.find(['9' * 30], 'out')


# --- several paths ------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Images of one name in several folders, a video, and a text file."""
    monkeypatch.chdir(tmp_path)
    picture = cv2.imencode('.png', np.zeros((20, 30, 3), np.uint8))[1].tobytes()
    for name in ('a/x.png', 'b/x.png', 'b/c/x.png', 'b/y.png', 'y.png', 'odd[1].png', 'odd1.png'):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture)
    (tmp_path / 'b' / 'notes.txt').write_text('nothing')
    video = cv2.VideoWriter('b/v.avi', cv2.VideoWriter_fourcc(*'MJPG'), 12, (32, 24))
    video.write(np.zeros((24, 32, 3), np.uint8))
    video.release()
    return tmp_path


@pytest.mark.parametrize(
    ('paths', 'taken'),
    [
        (['a/x.png', 'y.png'], ['a/x.png', 'y.png']),
        (['y.png', 'a/x.png', './y.png', 'a'], ['y.png', 'a/x.png']),  # named twice, taken once
        (['*.png'], ['odd1.png', 'odd[1].png', 'y.png']),
        (['odd[1].png'], ['odd[1].png']),  # it exists, so it is no pattern
        (['odd[0-9].png'], ['odd1.png']),
        (['**/x.png'], ['a/x.png', 'b/c/x.png', 'b/x.png']),
        (['b', 'a/*'], ['b/v.avi', 'b/x.png', 'b/y.png', 'a/x.png']),
        (['b/v.avi', 'y.png'], ['b/v.avi', 'y.png']),
    ],
)
def test_several_paths_folders_and_patterns(tree, paths, taken):
    found, _ = sources.find(paths, 'out')
    assert [source.path for source in found] == taken
    assert [source.is_video for source in found] == [path.endswith('.avi') for path in taken]
    assert (
        len({source.name for source in found})
        == len({source.file for source in found})
        == len(found)
    )
    assert all(len(list(frames.read(source))) == 1 for source in found)


@pytest.mark.parametrize(
    'pattern', ['**', '**/*.png', './**/*.png', 'b/**/x.png', '**/c/**', 'a*/**/*', '[ab]/**/?.png']
)
def test_patterns_are_those_of_glob(tree, pattern):
    (tree / 'b' / '.hidden').mkdir()
    (tree / 'b' / '.hidden' / 'x.png').touch()
    want = [file for file in glob.glob(pattern, recursive=True) if os.path.isfile(file)]
    found = [file for file in sources.matching_files(pattern) if os.path.isfile(file)]
    assert want and sorted(map(os.path.normpath, found)) == sorted(map(os.path.normpath, want))
    absolute = sources.matching_files(str(tree / pattern))
    assert {os.path.relpath(file) for file in absolute if os.path.isfile(file)} == set(
        map(os.path.normpath, want)
    )


def test_links_that_lead_in_circles_end(tree):
    """glob would go round 40 times, and take 2 ** 40 paths with two such links."""
    for name in ('first', 'second'):
        (tree / 'b' / name).symlink_to('..')
    found, _ = sources.find(['**/*.png'], 'out')
    assert [source.path for source in found] == [
        'a/x.png',
        'b/c/x.png',
        'b/x.png',
        'b/y.png',
        'odd1.png',
        'odd[1].png',
        'y.png',
    ]


def test_images_of_one_name_get_different_names(tree):
    found, lines = sources.find(['a', 'b', 'b/c', 'y.png'], 'out')
    assert [(source.name, source.file) for source in found] == [
        ('a_x', 'a/x.png'),
        ('v', 'v.avi'),
        ('b_x', 'b/x.png'),
        ('b_y', 'b/y.png'),
        ('c_x', 'b/c/x.png'),
        (f'{tree.name}_y', 'y.png'),
    ]
    assert lines == [
        'b: passed over: c: a folder within the folder',
        'b: passed over: notes.txt: not an image',
    ]


@pytest.mark.parametrize(
    ('paths', 'videos', 'names'),
    [
        (
            ['v.mp4', 'v_000001.jpg', 'v_01.jpg'],
            ['v.mp4'],
            ['v', 'v_000001.jpg', 'v_01'],
        ),  # not as the video's frame
        (['/a_b/c.jpg', '/a/b_c.jpg', '/c.jpg'], [], ['c.jpg', 'b_c', 'c']),
        (['/q/a_b/c.jpg', '/q/a/b_c.jpg', '/q/c.jpg'], [], ['a_b_c', 'b_c', 'q_c']),
        (['/x/n', '/y/n'], [], ['x_n', 'y_n']),
    ],
)
def test_names_of_several_folders(paths, videos, names):
    assert source_names.unique_names(paths, videos) == names


def test_names_too_long_to_write(tmp_path):
    """The results can still be written, and names that begin alike stay different."""
    paths = [f'/{250 * "a"}.jpg', f'/{249 * "a"}b.jpg', f'/{120 * "é"}.jpg']
    names = source_names.unique_names(paths)
    assert len(set(names)) == 3 and all(
        path[1:].startswith(name[:100]) for path, name in zip(paths, names)
    )
    for name in names:
        (tmp_path / f'{name}_000000000_maps.jpg').touch()


@pytest.mark.parametrize(
    ('paths', 'message'),
    [
        (['y.png', '0'], r'--predict 0: a camera cannot be combined with other'),
        (['-', 'y.png'], 'standard input cannot be combined'),
        (['y.png', 'absent.png'], r'absent\.png: no such file'),
        (['*.tif'], r'\*\.tif: no file matches'),
        (['b/*.txt'], r'no images there \(notes\.txt: not an image'),
    ],
)
def test_paths_that_cannot_be_combined_are_refused(tree, paths, message):
    with pytest.raises(InputError, match=message):
        sources.find(paths, 'out')


def test_results_of_an_earlier_call_are_no_input(tree):
    found, _ = sources.find(['**/*.png'], 'a')
    assert [source.path for source in found] == [
        'b/c/x.png',
        'b/x.png',
        'b/y.png',
        'odd1.png',
        'odd[1].png',
        'y.png',
    ]
    with pytest.raises(InputError, match='images themselves'):
        sources.find(['y.png', 'a'], 'a')


@pytest.mark.parametrize(
    'ending', ['.avif', '.j2k', '.jp2', '.png', '.tif', '.webp', '.ppm', '.mpo', '.qoi']
)
def test_an_image_is_recognised_by_its_content(tmp_path, ending):
    """Whether named or in a folder, with its ending, another one or none."""
    formats = {'.j2k': 'JPEG2000', '.jp2': 'JPEG2000', '.tif': 'TIFF'}
    stream = io.BytesIO()
    Image.new('RGB', (64, 48)).save(stream, formats.get(ending, ending[1:].upper()))
    for name in (f'a{ending}', 'b.dat', 'c'):
        (tmp_path / name).write_bytes(stream.getvalue())
        assert sources.find([str(tmp_path / name)], 'out')[0][0].is_video is False
    found, lines = sources.find([str(tmp_path)], 'out')
    assert [source.name for source in found] == ['a', 'b', 'c'] and lines == []
    assert all(next(frames.read(source)).image.shape == (48, 64, 3) for source in found)


def test_other_files_are_neither_images_nor_videos(tmp_path):
    """Documents, programs and sound are not images, though FFmpeg opens some of them."""
    contents = {
        'a.pdf': b'%PDF-1.7',
        'b.eps': b'%!PS-Adobe-3.0 EPSF-3.0',
        'c.ts': b'export const G = 1;\n' * 300,
        'd.json': b'{}',
        'e.m4a': b'\0\0\0\x1cftypM4A \0\0\2\0' + bytes(99),
        'f': b'hello' * 99,
        'g.txt': b'G' * 9,
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match='no images there'):
        sources.find([str(tmp_path)], 'out')


def test_pages_that_are_not_used_are_named(tmp_path):
    pages = [Image.new('RGB', (64, 48)) for _ in range(3)]
    pages[0].save(tmp_path / 'a.tif', save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / 'b.tif')
    for path in (tmp_path, tmp_path / 'a.tif'):
        assert sources.find([str(path)], 'out')[1] == [
            f'{tmp_path}/a.tif: has 3 pages: only the first is used'
        ]
