"""What is asked of any file before it is opened, and what a folder holds beside pictures."""
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

from engine import sources
from engine.files import InputError


def png_of_zeros(width, height):
    """A grey PNG of any size in a few kilobytes."""
    def chunk(kind, content):
        body = kind + content
        return struct.pack('>I', len(content)) + body + struct.pack('>I', zlib.crc32(body))

    pack, rows = zlib.compressobj(9), bytes(width + 1)
    content = b''.join(pack.compress(rows) for _ in range(height)) + pack.flush()
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0))
            + chunk(b'IDAT', content) + chunk(b'IEND', b''))


def headers():
    """{name: the first bytes of pictures of 40000x30000 that end there}."""
    wide, high = 40000, 30000
    ifd = struct.pack('<H', 2) + struct.pack('<HHII', 256, 4, 1, wide) + struct.pack('<HHII', 257, 4, 1, high)
    return {'a.bmp': b'BM' + struct.pack('<IHHI', 1000, 0, 0, 54) + struct.pack('<IiiHHIIiiII', 40, wide, high, 1, 24,
                                                                               0, 0, 0, 0, 0, 0) + bytes(99),
            'a.ppm': b'P6 40000 30000 255\n' + bytes(99), 'a.pgm': b'P5 40000 30000 255\n' + bytes(99),
            'a.gif': b'GIF89a' + struct.pack('<HHBBB', wide, high, 0, 0, 0) + b',' + bytes(99),
            'a.tif': b'II*\0' + struct.pack('<I', 8) + ifd + bytes(99)}


@pytest.mark.parametrize('name', ['a.bmp', 'a.ppm', 'a.pgm', 'a.gif', 'a.tif'])
def test_the_header_is_read_before_the_picture(tmp_path, name, monkeypatch):
    monkeypatch.setattr(cv2, 'imdecode', lambda *_: pytest.fail('was decoded'))
    (tmp_path / name).write_bytes(headers()[name])
    with pytest.raises(sources.Unreadable, match=name):
        sources.read_picture(str(tmp_path / name))


def test_a_small_png_of_a_billion_pixels_takes_no_memory(tmp_path):
    """In a process that may not have a gigabyte more than it starts with."""
    path = tmp_path / 'bomb.png'
    path.write_bytes(png_of_zeros(20000, 20000))
    program = ('import resource, sys\nfrom engine import sources\n'
               'used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()\n'
               'resource.setrlimit(resource.RLIMIT_AS, (used + (200 << 20),) * 2)\n'
               'try:\n    sources.read_picture(sys.argv[1])\nexcept sources.Unreadable as error:\n    print(error)')
    done = subprocess.run([sys.executable, '-c', program, str(path)], cwd=ROOT, capture_output=True, text=True)
    assert 'bomb.png' in done.stdout and ('20000x20000' in done.stdout or '400000000 pixels' in done.stdout), done
    assert path.stat().st_size < 1 << 20 and resource.getpagesize()


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / 'pipe.jpg')
    (tmp_path / 'zero.png').symlink_to('/dev/zero')
    os.mkfifo(tmp_path / 'pipe.mp4')
    for name in ('pipe.jpg', 'zero.png'):
        with pytest.raises(sources.Unreadable, match=f'{name}.*not a regular file'):
            sources.read_picture(str(tmp_path / name))
    with pytest.raises(sources.Unreadable, match=r'pipe\.mp4: not a regular file'):
        next(sources.frames(sources.Source(str(tmp_path / 'pipe.mp4'), 'x', True)))


def test_a_file_of_a_terabyte_is_refused(tmp_path):
    with open(tmp_path / 'sparse.png', 'wb') as file:
        file.truncate(1 << 40)
    with pytest.raises(sources.Unreadable, match=r'1099\.5 GB'):
        sources.read_picture(str(tmp_path / 'sparse.png'))


def test_what_a_folder_holds_beside_pictures_is_named(tmp_path):
    for name in ('a.jfif', 'b.HEIC', 'c.mp4', 'd.txt', '.e.jpg', 'f.txt', 'g.txt', 'h.txt', 'i.txt'):
        (tmp_path / name).write_bytes(b'')
    (tmp_path / 'more').mkdir()
    (tmp_path / 'loop.jpg').symlink_to('loop.jpg')              # a picture that cannot be read, not the folder's end
    found, lines = sources.find(str(tmp_path), 'out')
    assert [source.name for source in found] == ['a', 'loop']
    with pytest.raises(sources.Unreadable, match=r'loop\.jpg: Too many levels'):
        next(sources.frames(found[1]))
    text = '\n'.join(lines)
    assert len(lines) == 4 and 'b.HEIC: HEIC: convert' in text and 'c.mp4: a video' in text and 'more: a folder' in text
    assert 'd.txt, f.txt, g.txt and 2 more: no picture' in text and '.e.jpg' not in text
    (tmp_path / 'more' / 'f.heic').write_bytes(b'')
    with pytest.raises(InputError, match=r'more: no pictures there \(f\.heic: HEIC: convert'):
        sources.find(str(tmp_path / 'more'), 'out')


def test_heic_says_what_to_do(tmp_path):
    (tmp_path / 'a.jpg').write_bytes(b'\0\0\0\x18ftypheic' + bytes(99))
    with pytest.raises(sources.Unreadable, match='HEIC: convert it to JPEG'):
        sources.read_picture(str(tmp_path / 'a.jpg'))


def test_standard_input(monkeypatch):
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    content = cv2.imencode('.png', image[..., ::-1])[1].tobytes()
    monkeypatch.setattr(sys, 'stdin', io.TextIOWrapper(io.BytesIO(content)))
    (source,), _ = sources.find('-', 'out')
    ((name, number, found),) = sources.frames(source)
    assert (name, number) == ('stdin', None)
    np.testing.assert_array_equal(found, image)
    with pytest.raises(sources.Unreadable, match=r'standard input: .*empty'):           # it has been read
        next(sources.frames(source))


class Camera:
    """A webcam of three frames."""

    def __init__(self, number):
        self.left = 3
        assert number == 0

    def isOpened(self):
        return True

    def get(self, what):
        return {cv2.CAP_PROP_FRAME_WIDTH: 64, cv2.CAP_PROP_FRAME_HEIGHT: 48, cv2.CAP_PROP_FPS: 0}.get(what, -1)

    def read(self):
        self.left -= 1
        return self.left >= 0, np.zeros((48, 64, 3), np.uint8)

    def release(self):
        pass


def test_a_camera(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (source,), _ = sources.find('0', 'out')
    monkeypatch.setattr(cv2, 'VideoCapture', Camera)
    assert [name for name, *_ in sources.frames(source)] == [f'camera0_{i:06d}' for i in (1, 2, 3)]
    assert sources.count([source]) is None and sources.rate(0) == 25
    (tmp_path / '0').write_bytes(b'')
    assert sources.find('0', 'out')[0] == [sources.Source('0', '0', False)]              # a file of that name is meant


def test_no_camera():
    with pytest.raises(InputError, match='camera 93'):
        next(sources.frames(sources.find('93', 'out')[0][0]))
    with pytest.raises(InputError, match='9: no such file'):
        sources.find('9' * 30, 'out')
