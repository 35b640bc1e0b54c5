"""poses.json as readers of COCO take it, and nobody else's file overwritten."""

import contextlib
import io
import json
import os
import time

import coco_files
import numpy as np
import pytest

from jointpose.datasets import coco, flic, lsp, mpii
from jointpose.inference import result_entries, result_files
from jointpose.media import images, sources
from jointpose.utils.errors import InputError
from jointpose.vision.joints import coco_name

XY = np.array(
    [(40, 20), (50, 60), (55, 90), (10, 20), (5, 60), (-3, 90), (38, 99), (12, 99), (25, 5)], float
)
SCORES = np.array([0.9, 0.8, 0.05, 0.9, 0.8, 0.7, 0.6, 0.5, 0.99])


def document(folder, numbers=None):
    return result_files.ResultFiles(
        str(folder), result_entries.head(flic.Flic(), {'unreadable': []}), numbers
    )


def read(folder, name):
    with open(os.path.join(folder, name), encoding='utf-8') as file:
        return json.load(file)


def test_standard_names():
    # coco_files.NAMES are written as the annotations of COCO have them.
    assert [coco_name(joint) for joint in coco.JOINTS] == coco_files.NAMES
    assert {coco_name(joint) for joint in (*lsp.JOINTS, *mpii.JOINTS)} >= {
        'neck',
        'head',
        'right_ankle',
    }


def test_pycocotools_reads_both_files(tmp_path):
    tools = pytest.importorskip('pycocotools.coco', reason='pycocotools is not installed')
    written = document(tmp_path, {'000000000785.jpg': 785})
    for name in ('000000000785.jpg', 'b.jpg'):
        people = [
            result_entries.annotation(XY, SCORES, 0.7, (100, 60), torso=None, torso_source=None)
        ] * (1 + (name == 'b.jpg'))
        written.add(
            {'file_name': name, 'width': 60, 'height': 100}, [dict(person) for person in people]
        )
    written.write()
    with contextlib.redirect_stdout(io.StringIO()):
        truth = tools.COCO(str(tmp_path / result_files.POSES))
        found = truth.loadRes(str(tmp_path / result_files.RESULTS))
    assert sorted(truth.getImgIds()) == [2, 785] and len(found.getAnnIds()) == 3
    (one,) = found.loadAnns(found.getAnnIds(785))
    np.testing.assert_allclose(np.array(one['keypoints']).reshape(9, 3)[:, :2], XY)
    (own,) = truth.loadAnns(truth.getAnnIds(785))
    v = [2, 2, 0, 2, 2, 1, 2, 2, 2]
    np.testing.assert_array_equal(own['keypoints'][2::3], v)
    np.testing.assert_array_equal(own['keypoints'][6:9], 0)
    assert own['num_keypoints'] == 8 and own['bbox'] == [-3, 5, 53, 94]


def test_files_are_whole_after_each_picture(tmp_path):
    written = document(tmp_path)
    for i in range(20):
        written.next_write = 0  # a network takes longer than writing
        written.add(
            {'file_name': str(i), 'width': 60, 'height': 100},
            [result_entries.annotation(XY, SCORES, 0.7, (100, 60), torso=None)],
        )
        assert [image['file_name'] for image in read(tmp_path, result_files.POSES)['images']] == [
            *map(str, range(i + 1))
        ]
        assert len(read(tmp_path, result_files.RESULTS)) == i + 1
    assert read(tmp_path, result_files.POSES) == written.document


def test_a_long_video_is_not_written_anew_for_each_frame(tmp_path, monkeypatch):
    """By a clock of its own: a frame takes 0.1 s, to write n of them n ms."""
    clock, writes = [0.0], []
    monkeypatch.setattr(time, 'monotonic', lambda: clock[0])
    replace = os.replace

    def slow_replace(source, target):
        clock[0] += len(written.document['images']) / 2000  # two files
        writes.append((clock[0], len(written.document['images'])))
        replace(source, target)

    written = document(tmp_path)
    monkeypatch.setattr(os, 'replace', slow_replace)
    for i in range(2000):
        clock[0] += 0.1
        written.add({'file_name': str(i), 'width': 60, 'height': 100}, [])
    n, writing = len(writes) // 2, clock[0] - 200
    assert n > 5 and writing < 1.2 * result_files.WRITING_SHARE * clock[0], (n, writing, clock[0])
    written.write()
    assert read(tmp_path, result_files.POSES) == written.document


def test_others_files_stay(tmp_path):
    image = np.zeros((20, 30, 3), np.uint8)
    source = sources.Source('a.jpg', 'a', False)
    for name in ('a_pose.jpg', 'a_maps.jpg'):
        result_files.write_image(str(tmp_path / name), image)
    assert np.array_equal(
        images.read_image(str(tmp_path / 'a_pose.jpg')), image
    )  # the mark hurts nobody
    result_files.remove_stale(str(tmp_path), source)
    assert os.listdir(tmp_path) == []
    for name in ('a_pose.jpg', 'a_pose.mp4', result_files.POSES):
        (tmp_path / name).write_bytes(b'my own')
        with pytest.raises(InputError, match=f'{name}: exists and is not from'):
            document(tmp_path) if name == result_files.POSES else result_files.remove_stale(
                str(tmp_path), source
            )
        assert (tmp_path / name).read_bytes() == b'my own'
        os.unlink(tmp_path / name)
    (tmp_path / result_files.RESULTS).write_text('[1]')
    with pytest.raises(InputError, match=result_files.RESULTS):
        document(tmp_path)
    os.unlink(tmp_path / result_files.RESULTS)
    document(tmp_path).write()
    document(tmp_path).write()  # its own it replaces
    os.mkfifo(tmp_path / 'pipe')
    with pytest.raises(InputError, match='pipe'):
        result_files.write_image(str(tmp_path / 'pipe'), image)


def test_each_document_is_known_by_itself(tmp_path):
    """Whichever of the two is gone, the other is replaced; a user's, beside one of ours, is not."""
    for n_people in (0, 2):
        for gone in (result_files.POSES, result_files.RESULTS):
            written = document(tmp_path)
            written.add(
                {'file_name': 'a.jpg', 'width': 60, 'height': 100},
                [
                    result_entries.annotation(XY, SCORES, 0.7, (100, 60), torso=None)
                    for _ in range(n_people)
                ],
            )
            written.write()
            assert len(read(tmp_path, result_files.RESULTS)) == n_people
            os.unlink(tmp_path / gone)
            document(tmp_path)
    (tmp_path / result_files.RESULTS).write_text('[{"image_id": 1}]')
    with pytest.raises(InputError, match='is not from an earlier'):
        document(tmp_path)


def test_frames_of_an_earlier_call_go(tmp_path):
    image = np.zeros((20, 30, 3), np.uint8)
    for name in ('v_000001_pose.jpg', 'v_000001_maps.jpg', 'v_12_pose.jpg', 'w_000001_pose.jpg'):
        result_files.write_image(str(tmp_path / name), image)
    result_files.remove_stale(str(tmp_path), sources.Source('v.mp4', 'v', True))
    assert sorted(os.listdir(tmp_path)) == ['v_12_pose.jpg', 'w_000001_pose.jpg']


def test_what_a_killed_call_left_is_swept(tmp_path):
    others = {'x.5.partial', 'a_pose.mp4.partial', 'a_pose.mp4'}
    for name in (
        'a_pose.mp4.99999999.partial.mp4',
        'a\nb_maps.jpg.99999999.partial',
        'poses.json.99999999.partial',
    ):
        (tmp_path / name).touch()
    for name in others:
        (tmp_path / name).touch()
    document(tmp_path)
    assert set(os.listdir(tmp_path)) == others
