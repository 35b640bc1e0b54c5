"""Videos and animations: times of frames, and videos that end early or seem to."""

import io
import os
import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from jointpose.media import containers, frames, images, sources, video_frames

RATE = 25
N = 20
SIZE = 64, 48  # width, height


def shade(i):
    """The grey level of frame i, from 0."""
    return 8 * i + 50


def make(path, code='mp4v', n=N, rate=RATE):
    """Writes a video of grey frames, each lighter than the one before; returns its path."""
    video = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*code), rate, SIZE)
    assert video.isOpened()
    noise = np.random.default_rng(0).integers(-40, 41, (*SIZE[::-1], 3))
    for i in range(n):
        video.write((shade(i) + noise).clip(0, 255).astype(np.uint8))
    video.release()
    return str(path)


def content_of(path):
    with open(path, 'rb') as file:
        return file.read()


def source(path):
    return sources.Source(str(path), 'v', True)


def read(path):
    """Reads a video: [(time, number of the frame by its grey level), ...]."""
    return [
        (frame.time, round((float(np.median(frame.image)) - 50) / 8))
        for frame in frames.read(source(path))
    ]


def patched(path, kind, body):
    """Replaces the content of an MP4's first box of a kind in a track."""
    content = bytearray(content_of(path))
    parents = {'stts': ['moov', 'trak', 'mdia', 'minf', 'stbl'], 'elst': ['moov', 'trak', 'edts']}[
        kind
    ]
    at = 0
    sizes = []
    for name in [*parents, kind]:
        at = content.index(name.encode(), at)
        sizes.append(at - 4)
    old = int.from_bytes(content[at - 4 : at], 'big')
    assert content.index(b'mdat') < sizes[0]  # otherwise chunks would move
    for place in sizes:
        length = int.from_bytes(content[place : place + 4], 'big') + 8 + len(body) - old
        content[place : place + 4] = length.to_bytes(4, 'big')
    content[at + 4 : at - 4 + old] = body
    with open(path, 'wb') as file:
        file.write(content)
    return path


def trimmed(path, start, n):
    """Makes an MP4 show n frames from `start` on, counted at RATE."""
    content = content_of(path)
    (scale,) = struct.unpack_from('>I', content, content.index(b'mdhd') + 16)
    edit = struct.pack('>IIii', 0, 1, n * 1000 // RATE, start * scale // RATE) + struct.pack(
        '>hh', 1, 0
    )
    return patched(path, 'elst', edit)


def uneven(path, counts, seconds):
    """Makes counts[i] frames last seconds[i] each."""
    content = content_of(path)
    (scale,) = struct.unpack_from('>I', content, content.index(b'mdhd') + 16)
    stts = struct.pack('>II', 0, len(counts))
    for count, length in zip(counts, seconds):
        stts += struct.pack('>II', count, round(length * scale))
    total = sum(count * length for count, length in zip(counts, seconds))
    patched(
        path, 'elst', struct.pack('>IIii', 0, 1, round(1000 * total), 0) + struct.pack('>hh', 1, 0)
    )
    return patched(path, 'stts', stts)


# --- times --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('name', 'code'),
    [
        ('a.mp4', 'mp4v'),
        ('a.mov', 'mp4v'),
        ('a.avi', 'MJPG'),
        ('a.mkv', 'mp4v'),
        ('a.ts', 'mpg2'),
        ('a.asf', 'MP42'),
        ('a.flv', 'FLV1'),
        ('a.mpg', 'mpg2'),
        ('a.webm', 'VP80'),
    ],
)
@pytest.mark.parametrize('rate', [25, 30])
def test_frames_of_a_constant_rate_have_its_times(tmp_path, name, code, rate):
    path = make(tmp_path / name, code, rate=rate)
    bare = str(tmp_path / 'no_ending')
    os.rename(path, bare)  # its content says what it is
    assert sources.find([bare], 'out')[0] == [sources.Source(bare, 'no_ending', True)]
    found = read(bare)
    assert [i for _, i in found] == list(range(N))
    np.testing.assert_allclose([time for time, _ in found], np.arange(N) / rate, rtol=0, atol=1e-12)
    timing = frames.timing(source(bare))
    assert (
        timing.rate == pytest.approx(rate, abs=0.01)
        and timing.count == frames.count([source(bare)]) == N
    )
    assert timing.constant or name == 'a.mpg'  # some of its packets have no time


def test_frames_of_a_variable_rate(tmp_path):
    path = uneven(make(tmp_path / 'a.mp4'), [10, 10], [0.04, 0.36])
    times = [*(0.04 * np.arange(10)), *(0.4 + 0.36 * np.arange(10))]
    found = read(path)
    assert [i for _, i in found] == list(range(N))
    np.testing.assert_allclose([time for time, _ in found], times, atol=1e-3)
    timing = frames.timing(source(path))
    assert not timing.constant and timing.rate == pytest.approx(25, abs=0.1) and timing.count == N
    assert timing.end == pytest.approx(4.0, abs=0.01)


def test_timing():
    even = np.arange(50) / 30
    jitter = np.random.default_rng(0).uniform(-0.2, 0.2, 50) / 30
    assert frames.timing_from_times(even + jitter, 30) == frames.Timing(
        30, True, 50
    )  # within half a frame
    assert frames.timing_from_times(even, 1000).rate == pytest.approx(
        30
    )  # browsers' recordings say 1000
    assert frames.timing_from_times(np.delete(even, range(20, 30)), 30).constant is False
    assert frames.timing_from_times(np.delete(even, range(20, 30)), 30).rate == pytest.approx(30)
    assert frames.timing_from_times([0.0], None) == frames.Timing(25, True, 1)
    assert frames.timing_from_times([], 12) == frames.Timing(12, True, None)
    assert frames.timing_from_times([0, 0, 0], None).rate == 25
    assert frames.timing_from_times([0, 0.0001, 1, 1.0001], None).rate <= frames.MAX_RATE


class Clock:
    """A video capture that reports this time."""

    def __init__(self, milliseconds):
        self.milliseconds = milliseconds

    def get(self, _):
        return self.milliseconds


def test_times_never_go_back():
    assert video_frames.frame_time(Clock(33), 1, 30, 0.0) == 1 / 30  # rounded to milliseconds
    assert video_frames.frame_time(Clock(70), 1, 30, 0.0) == 0.07
    assert video_frames.frame_time(Clock(100), 1, 10, 0.2) == pytest.approx(
        0.3
    )  # the first frame was late
    for broken in (0, -5, float('nan')):
        assert video_frames.frame_time(Clock(broken), 3, 20, 0.1) == pytest.approx(0.15)
    assert video_frames.frame_time(Clock(float('nan')), 0, None, 0.0) == 0


# --- videos that end early ----------------------------------------------------------------------


def test_a_trimmed_video_is_whole(tmp_path):
    for start, n in ((0, 5), (4, 12)):
        path = trimmed(make(tmp_path / f'{n}.mp4'), start, n)
        assert containers.is_trimmed(path) and not containers.is_cut_off(path)
        found = read(path)
        assert [i for _, i in found] == list(range(start, start + n))
        np.testing.assert_allclose([time for time, _ in found], np.arange(n) / RATE, atol=1e-3)
    assert not containers.is_trimmed(make(tmp_path / 'all.mp4'))


def faststart(path):
    """Moves an MP4's index before its frames, as is done for the web."""
    content = bytearray(content_of(path))
    moov = content.index(b'moov') - 4
    mdat = content.index(b'mdat') - 4
    index = content[moov:]
    length = len(content) - moov
    at = index.index(b'stco') + 8
    (n,) = struct.unpack_from('>I', index, at)
    for place in range(at + 4, at + 4 + 4 * n, 4):
        struct.pack_into('>I', index, place, struct.unpack_from('>I', index, place)[0] + length)
    with open(path, 'wb') as file:
        file.write(content[:mdat] + index + content[mdat:moov])
    return path


@pytest.mark.parametrize(
    ('name', 'code'),
    [
        ('a.mp4', 'mp4v'),
        ('a.avi', 'MJPG'),
        ('a.mkv', 'mp4v'),
        ('a.webm', 'VP80'),
        ('a.asf', 'MP42'),
        ('a.flv', 'FLV1'),
    ],
)
@pytest.mark.parametrize('share', [0.5, 0.8])
def test_a_video_that_is_cut_off_is_reported(tmp_path, name, code, share):
    path = make(tmp_path / name, code)
    if name == 'a.mp4':
        faststart(path)
    assert len(read(path)) == N
    os.truncate(path, int(share * os.path.getsize(path)))
    seen = []
    with pytest.raises(
        images.UnreadableMedia, match=rf'{name}: (ends after|is cut off, and ends after) \d+ '
    ):
        seen.extend(frames.read(source(path)))
    assert 0 < len(seen) < N or (name, share) == (
        'a.asf',
        0.8,
    )  # its last fifth holds no frame


def test_a_trimmed_video_that_is_cut_off_is_reported(tmp_path):
    path = faststart(trimmed(make(tmp_path / 'a.mp4'), 0, 15))
    os.truncate(path, int(0.6 * os.path.getsize(path)))
    with pytest.raises(images.UnreadableMedia, match='ends after'):
        read(path)


def test_an_mp4_without_its_end_cannot_be_read(tmp_path):
    path = make(tmp_path / 'a.mp4')
    os.truncate(path, int(0.7 * os.path.getsize(path)))  # its index is at the end
    with pytest.raises(images.UnreadableMedia, match='not a video that can be read'):
        read(path)


def test_damage_in_the_middle_is_reported(tmp_path):
    path = make(tmp_path / 'a.mkv', 'MJPG')
    content = bytearray(content_of(path))
    pictures = [at for at in range(len(content)) if content[at : at + 3] == b'\xff\xd8\xff']
    assert len(pictures) == N
    for at in pictures[5:15]:
        content[at : at + 900] = bytes(900)
    with open(path, 'wb') as file:
        file.write(content)
    with pytest.raises(images.UnreadableMedia, match=r'ends after \d+ of 20 frames'):
        read(path)


def test_a_video_without_a_frame_that_can_be_decoded_names_its_codec(tmp_path):
    """OpenCV's packages have no decoder for AV1, which is common on the web."""
    path = make(tmp_path / 'a.mkv', 'MJPG')
    content = bytearray(content_of(path))
    for at in [at for at in range(len(content)) if content[at : at + 3] == b'\xff\xd8\xff']:
        content[at : at + 900] = bytes(900)
    with open(path, 'wb') as file:
        file.write(content)
    with pytest.raises(
        images.UnreadableMedia,
        match=r'0 of 20 frames can be decoded \(codec MJPG\): convert it',
    ):
        read(path)


# --- names that FFmpeg or OpenCV would take for something else ----------------------------------


@pytest.mark.parametrize(
    'name',
    [
        'x:y.mp4',
        'http:a.mp4',
        '-a.mp4',
        'a%03d.mp4',
        '%03d',
        'a|b.mp4',
        'concat:a|b.mp4',
        'a[1].mp4',
        'img_001.mp4',
        'pipe:0',
    ],
)
def test_any_name_is_a_file(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    make('plain.mp4')
    os.rename('plain.mp4', name)
    (found,), _ = sources.find([name], 'out')
    assert found.is_video and len(list(frames.read(found))) == frames.timing(found).count == N


# --- animations ---------------------------------------------------------------------------------


def animated(format_, durations, **settings):
    stream = io.BytesIO()
    pictures = [Image.new('RGB', SIZE, 3 * (shade(i),)) for i in range(len(durations))]
    for i, picture in enumerate(pictures):  # equal frames would be merged
        picture.putpixel((i, 0), (255, 0, 0))
    pictures[0].save(
        stream, format_, save_all=True, append_images=pictures[1:], duration=durations, **settings
    )
    return stream.getvalue()


@pytest.mark.parametrize(
    ('format_', 'settings'),
    [('GIF', {}), ('PNG', {}), ('WEBP', {'lossless': True}), ('AVIF', {'quality': 90})],
)
def test_animations_are_videos_with_their_own_times(tmp_path, format_, settings):
    path = str(tmp_path / f'a.{format_.lower()}')
    with open(path, 'wb') as file:
        file.write(animated(format_, [40, 200, 80, 40], **settings))
    assert sources.find([path], 'out')[0][0].is_video
    found = read(path)
    assert [i for _, i in found] == [0, 1, 2, 3]
    np.testing.assert_allclose([time for time, _ in found], [0, 0.04, 0.24, 0.32], atol=1e-3)
    timing = frames.timing(source(path))
    assert (timing.constant, timing.count) == (False, 4) and timing.rate == pytest.approx(
        25, abs=0.1
    )
    assert timing.end == pytest.approx(0.36, abs=1e-3)
    with open(path, 'wb') as file:
        file.write(animated(format_, [50], **settings))
    assert not sources.find([path], 'out')[0][0].is_video  # a single frame is an image


def test_a_gif_without_durations_has_those_of_browsers(tmp_path):
    (tmp_path / 'a.gif').write_bytes(animated('GIF', [0, 0, 0]))
    assert [time for time, _ in read(tmp_path / 'a.gif')] == pytest.approx([0, 0.1, 0.2])
    assert frames.timing(source(tmp_path / 'a.gif')) == frames.Timing(pytest.approx(10), True, 3)


@pytest.mark.parametrize(
    ('format_', 'settings'), [('GIF', {}), ('PNG', {}), ('WEBP', {'lossless': True})]
)
def test_an_animation_that_is_cut_off_is_reported(tmp_path, format_, settings):
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 255, (48, 64, 3), np.uint8)) for _ in range(6)]
    stream = io.BytesIO()
    pictures[0].save(
        stream, format_, save_all=True, append_images=pictures[1:], duration=40, **settings
    )
    for content in (animated(format_, 6 * [40], **settings), stream.getvalue()):
        path = str(tmp_path / 'a')
        with open(path, 'wb') as file:
            file.write(content[: int(0.7 * len(content))])
        with pytest.raises(images.UnreadableMedia, match='a: '):
            read(path)


def test_motion_jpeg_is_a_video_and_an_image_with_two_views_is_not(tmp_path):
    pictures = [
        cv2.imencode('.jpg', np.full((48, 64, 3), shade(i), np.uint8))[1].tobytes()
        for i in range(5)
    ]
    for name in ('a.mjpeg', 'a', 'a.bin'):
        (tmp_path / name).write_bytes(b''.join(pictures))
        assert sources.find([str(tmp_path / name)], 'out')[0][0].is_video
        assert [i for _, i in read(tmp_path / name)] == [0, 1, 2, 3, 4]
    (tmp_path / 'one.mjpeg').write_bytes(pictures[0])
    stream = io.BytesIO()
    view = Image.new('RGB', (64, 48))
    view.save(stream, 'MPO', save_all=True, append_images=[view])
    (tmp_path / 'a.mpo').write_bytes(stream.getvalue())
    for name in ('one.mjpeg', 'a.mpo'):
        assert not sources.find([str(tmp_path / name)], 'out')[0][0].is_video


def test_standard_input_is_one_image(tmp_path, monkeypatch):
    for content, words in (
        (animated('GIF', [40, 40]), 'animation of 2 frames'),
        (content_of(make(tmp_path / 'a.mp4')), 'a video'),
        (content_of(make(tmp_path / 'a.avi', 'MJPG')), 'a video'),
    ):
        monkeypatch.setattr('sys.stdin', io.TextIOWrapper(io.BytesIO(content)))
        with pytest.raises(images.UnreadableMedia, match=f'standard input: .*{words}'):
            list(frames.read(sources.Source('-', 'stdin', False)))
