"""Detections of other programs: whose they are, and what is wrong with the file."""
import json
import os

import pytest
from conftest import SHARED

from engine import boxes
from engine.files import InputError


def written(folder, content):
    path = folder / 'boxes.json'
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def detection(image, score, category=1, box=(1, 2, 30, 40)):
    return {'image_id': image, 'category_id': category, 'bbox': list(box), 'score': score}


def test_a_list_goes_by_the_names_numbers(tmp_path):
    found = boxes.read(written(tmp_path, [detection(785, 0.6), detection(785, 0.9, box=(5, 6, 7, 8)), detection(3, 0.4),
                                          detection(785, 1, category=2)]))
    assert boxes.of(found, '000000000785.jpg') == [(5, 6, 7, 8), (1, 2, 30, 40)]
    assert boxes.of(found, '3.png') == boxes.of(found, '4.png') == []
    assert boxes.number(found, 'me.jpg') is None


def test_a_document_goes_by_its_files(tmp_path):
    found = boxes.read(written(tmp_path, {
        'images': [{'id': 7, 'file_name': 'train/me.jpg'}], 'categories': [],
        'annotations': [{'id': 1, 'image_id': 7, 'category_id': 1, 'bbox': [1, 2, 3, 4]}]}))
    assert boxes.number(found, 'me.jpg') == 7 and boxes.of(found, 'me.jpg') == [(1, 2, 3, 4)]
    assert boxes.number(found, '7.jpg') is None


def test_crowds_and_names_of_two_pictures_say_nothing(tmp_path):
    found = boxes.read(written(tmp_path, {
        'images': [{'id': i, 'file_name': file} for i, file in enumerate(('a/me.jpg', 'b/me.jpg', 'you.jpg'))],
        'annotations': [{'image_id': 2, 'category_id': 1, 'iscrowd': 1, 'bbox': [1, 2, 3, 4]}]}))
    assert boxes.number(found, 'me.jpg') is None and boxes.of(found, 'you.jpg') == []


@pytest.mark.parametrize('content', ['', '{', '[1]', '{"images": []}', '[{"image_id": 1}]', '"text"', '3',
                                     [detection(1, 1, box=(1, 2, 3))], [detection(1, 1, box=(1, 2, 0, 4))],
                                     [detection(1, 1, box=(1, 2, 'x', 4))], [detection('785', 1)], '[' * 100000,
                                     [detection(1, 1, box=(1, 2, 10 ** 400, 4))],
                                     {'images': [{'id': [1], 'file_name': 'a.jpg'}], 'annotations': []},
                                     {'images': [{'id': 1, 'file_name': 'a.jpg'}, {'id': 1, 'file_name': 'b.jpg'}],
                                      'annotations': []},
                                     '[{"image_id": 1, "category_id": 1, "bbox": [NaN, 1, 2, 3], "score": 1}]'])
def test_what_is_no_detection_is_refused(tmp_path, content):
    with pytest.raises(InputError, match=r'boxes\.json: not COCO'):
        boxes.read(written(tmp_path, content))


def test_absent_and_unreadable_files(tmp_path):
    for path in (tmp_path / 'absent.json', tmp_path):
        with pytest.raises(InputError, match='--boxes'):
            boxes.read(str(path))


def test_cocos_own_sample():
    folder = os.path.join(SHARED, 'coco_sample')
    if not os.path.isdir(folder):
        pytest.skip(f'the sample of COCO is not at {folder} (set POSE_SHARED)')
    found = boxes.read(os.path.join(folder, 'test_coco_det_AP_H_56.json'))
    n = {name: len(boxes.of(found, name)) for name in os.listdir(folder) if name.endswith('.jpg')}
    assert n['000000000785.jpg'] == 1 and all(n.values())
    document = boxes.read(os.path.join(folder, 'test_coco.json'))
    assert len(boxes.of(document, '000000000785.jpg')) == 1
