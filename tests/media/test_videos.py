"""Videos are written with the encoders there are, marked, and read back."""

import sys

import cv2
import numpy as np
import pytest

from jointpose.inference import result_files
from jointpose.media import videos

SIZE = 102, 75


def write(path, n=6):
    notes = []
    with videos.writer(str(path), SIZE, 12.5, result_files.MARK, notes.append) as show:
        for i in range(n):
            show(np.full((*SIZE[::-1], 3), (40 * i, 20, 20), np.uint8))
    return notes


def check(path, n=6):
    video = cv2.VideoCapture(str(path))
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(12.5, abs=0.1)
    frames = [video.read()[1] for _ in range(n)]
    assert not video.read()[0]
    for i, frame in enumerate(frames):
        assert (
            frame.shape[0] == 76
            and abs(int(frame[30, 50, 2]) - 40 * i) < 12
            and frame[30, 50, 0] < 45
        )
    result_files.check_ours(str(path))
    return round(video.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, 'little').decode()


def test_without_pyav_the_codec_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'av', None)
    notes = write(tmp_path / 'a.mp4')
    code = check(tmp_path / 'a.mp4')
    assert code == 'avc1' or (len(notes) == 1 and 'pip install av' in notes[0])


def test_with_pyav_it_is_h264(tmp_path):
    pytest.importorskip('av', reason='PyAV is not installed')
    assert write(tmp_path / 'a.mp4') == []
    assert check(tmp_path / 'a.mp4').lower() in ('avc1', 'h264')


@pytest.mark.parametrize('name', ['x:y/a.mp4', 'http:/a.mp4', 'a%03d.mp4', '-a.mp4', 'a|b.mp4'])
def test_any_name_is_a_file(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    write(name)
    check(tmp_path / name)


def test_an_error_leaves_no_video(tmp_path):
    with (
        pytest.raises(RuntimeError),
        videos.writer(str(tmp_path / 'a.mp4'), SIZE, 25, b'', lambda _: None) as show,
    ):
        show(np.zeros((*SIZE[::-1], 3), np.uint8))
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def shown(times, rate, end=None):
    """The number of the frame at each slot of a constant-rate video."""
    slots = []
    in_step = videos.ConstantRateWriter(slots.append, rate)
    for number, time in enumerate(times):
        in_step.show(number, time)
    in_step.close(end)
    return slots


def test_uneven_frames_are_shown_when_they_are_due():
    times = np.array([*(0.04 * np.arange(10)), *(0.4 + 0.36 * np.arange(10))])
    slots = shown(times, 25)
    assert len(slots) / 25 == pytest.approx(
        times[-1] + 0.36, abs=0.04
    )  # the last frame lasts as long as the one before
    for slot, number in enumerate(slots):
        due = np.searchsorted(times, slot / 25 + 1e-9, side='right') - 1
        assert number == due
    assert shown(times, 25, end=times[-1] + 1)[-25:] == 25 * [19]
    assert shown([], 25) == [] and shown([7.0], 25) == [0]


def test_even_frames_are_written_once_each():
    for rate in (25, 30, 29.97, 12.5):
        assert shown(np.arange(500) / rate, rate) == list(range(500))
    slots = []
    jitter = np.random.default_rng(0).uniform(-0.4, 0.4, 50)
    in_step = videos.ConstantRateWriter(slots.append, 25, constant=True)
    for number in range(50):
        in_step.show(number, (number + jitter[number]) / 25)
    in_step.close()
    assert slots == list(range(50))


def test_no_frame_is_left_out():
    times = np.sort(np.random.default_rng(0).uniform(0, 4, 100))
    slots = shown(times, 25)
    assert sorted(set(slots)) == list(range(100)) and slots == sorted(slots)
