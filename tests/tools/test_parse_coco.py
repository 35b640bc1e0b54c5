"""PARSE as COCO's files, by hand; and the rates of docs/own_data.md from the predictions that are kept."""

import os
import re

import cv2
import forked
import numpy as np
import pytest
from conftest import ROOT, SHARED

from jointpose.datasets import lsp, records
from tools import parse_coco

KEPT = os.path.join(ROOT, 'report', 'own_data')


def test_joints_come_by_their_names(tmp_path):
    """Joint i of LSP's at (10 i, 20 i); the nose is between the neck and the top of the head."""
    cv2.imwrite(str(tmp_path / 'a.jpg'), np.zeros((300, 200, 3), np.uint8))
    xy = np.arange(14)[None, :, None] * np.array([10, 20])
    part = records.make_annotated(['a.jpg'], [0], xy, np.full((1, 14), 2), box=[[0, 0, 200, 300]])
    content = parse_coco.coco(part, str(tmp_path))
    assert content['images'] == [{'id': 0, 'file_name': 'a.jpg', 'width': 200, 'height': 300}]
    (person,), (category,) = content['annotations'], content['categories']
    points = np.reshape(person['keypoints'], (-1, 3))
    found = dict(zip(category['keypoints'], points.tolist()))
    assert found['nose'] == [125, 250, 2]
    for ours, theirs in (
        ('left_shoulder', 'lsho'),
        ('right_wrist', 'rwri'),
        ('left_hip', 'lhip'),
        ('right_elbow', 'relb'),
    ):
        i = lsp.JOINTS.index(theirs)
        assert found[ours] == [10 * i, 20 * i, 2]
    assert len(found) == 9 and person['image_id'] == 0 and person['category_id'] == category['id']


def page_rates(*path):
    """Numbers of the rows of a page's table of rates: [[six rates], ...]."""
    with open(os.path.join(ROOT, *path), encoding='utf-8') as file:
        numbers = [re.findall(r'(?<=\| )\d+\.\d(?= \|)', line) for line in file]
    return [[float(number) for number in row] for row in numbers if len(row) == 6]


def rates_of(text):
    """evaluate.py's table -> rates at radius 10 of shoulder, elbow, wrist, hip, nose and the mean, for both models."""
    lines = [line.strip('|').split('|') for line in text.splitlines() if line.startswith('| ')]
    cells = {line[0].strip(): line[1:] for line in lines}
    kinds = ('shoulder', 'elbow', 'wrist', 'hip', 'nose', 'mean of 9')
    return [[float(cells[kind][column]) for kind in kinds] for column in (1, 6)]


def test_the_two_pages_agree():
    before_and_after = page_rates('report', 'own_data', 'README.md')
    assert (
        len(before_and_after) == 4 and page_rates('docs', 'own_data.md') == before_and_after[1::2]
    )


@pytest.mark.long
def test_kept_predictions_have_the_rates_of_the_page(tmp_path):
    folder = os.path.abspath(os.path.join(SHARED, 'parse'))
    if not os.path.isdir(folder):
        pytest.skip(f'PARSE is not at {folder} (set POSE_SHARED)')
    forked.run(['-m', 'tools.parse_coco', folder, '--out', tmp_path], check=True, cwd=ROOT)
    made = forked.run(
        [
            'data.py',
            '--coco',
            tmp_path / 'train.json',
            tmp_path / 'test.json',
            '--images',
            folder,
            '--out',
            tmp_path / 'arrays',
            '--workers',
            1,
        ],
        check=True,
    )
    assert '2 backward-facing' in made.stdout and '8 backward-facing' in made.stdout
    rates = []
    for name in ('before', 'after'):
        scored = forked.run(
            [
                'evaluate.py',
                os.path.join(KEPT, f'{name}.mat'),
                '--data',
                tmp_path / 'arrays',
                '--out',
                tmp_path / 'curves',
            ],
            check=True,
        )
        rates += rates_of(scored.stdout)
    assert rates == page_rates('report', 'own_data', 'README.md')
