"""COCO's evaluation at detections against loops in float64, and the real detections of four pictures."""

import json
import os

import numpy as np
import pytest
from conftest import SHARED

from jointpose.datasets import arrays, coco
from jointpose.evaluation import detected_people, predictions
from jointpose.evaluation.pose import Pose
from jointpose.utils.errors import InputError

SIGMAS = [0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107]
SIGMAS += [0.107, 0.087, 0.087, 0.089, 0.089]


def split_of(n_pictures=3):
    """COCO's test split with pictures 7, 17, 27 ... and one person."""
    table = np.zeros(n_pictures, arrays.picture_dtype())
    table['file'] = [f'{10 * i + 7:012d}.jpg' for i in range(n_pictures)]
    table['id'] = 10 * np.arange(n_pictures) + 7
    people = np.zeros(1, arrays.person_dtype(17))
    images = arrays.Pictures('nowhere', table, people['picture'])
    return arrays.Split(images, np.zeros((1, 17, 2), np.float32), people, np.arange(1), 'test')


def written(folder, *detections):
    path = folder / 'boxes.json'
    path.write_text(json.dumps(detections))
    return str(path)


def detection(image_id, box, score, category=1):
    return {'image_id': image_id, 'bbox': box, 'score': score, 'category_id': category}


# --- people at boxes ------------------------------------------------------------------------------


def test_people_are_where_the_boxes_are(tmp_path, capsys):
    path = written(
        tmp_path,
        detection(17, [10, 20, 30, 90], 0.04),
        detection(7, [1, 2, 50, 40], 0.9),
        detection(17, [0, 0, 9, 9], 0.8, category=3),
        detection(99, [0, 0, 9, 9], 0.8),
        detection(7, [5, 5, 0, 9], 0.8),
    )
    split = detected_people.at_boxes(path, split_of())
    assert len(split.images) == len(split.joints) == 2
    people = split.people
    assert people['picture'].tolist() == [1, 0]
    assert people['score'] == pytest.approx([0.04, 0.9])
    np.testing.assert_allclose(people['box'], [(10, 20, 40, 110), (1, 2, 51, 42)])
    np.testing.assert_allclose(people['centre'], [(25, 65), (26, 22)])
    assert people['scale'] == pytest.approx([90 / 200, 50 / 200])
    assert not people['visible'].any()
    assert people['file'].tolist() == ['000000000017.jpg', '000000000007.jpg']
    said = capsys.readouterr().out
    assert '2 boxes of people; left out: ' in said
    for reason in ('1 of category 3 ([2])', '1 in other pictures', '1 without a box'):
        assert reason in said


def test_detections_of_other_pictures_are_an_error(tmp_path):
    path = written(tmp_path, detection(99, [0, 0, 9, 9], 0.8))
    with pytest.raises(InputError, match='no detection of category 1 in a test picture'):
        detected_people.at_boxes(path, split_of())


# --- their scores ---------------------------------------------------------------------------------


def official_scores(people, poses):
    """(final scores, kept?) by loops: rescoring and OKS-NMS as in the authors' evaluation."""
    scores = []
    areas = []
    for person, one in zip(people, poses):
        total = 0.0
        number = 0
        for value in one.scores:
            if value > 0.2:
                total += value
                number += 1
        scores.append(float(person['score']) * (total / number if number else 0))
        w = float(person['box'][2] - person['box'][0])
        h = float(person['box'][3] - person['box'][1])
        if w > 0.75 * h:
            h = w / 0.75
        else:
            w = 0.75 * h
        areas.append(1.25 * w * 1.25 * h)
    kept = [False] * len(poses)
    for i in sorted(range(len(poses)), key=lambda i: -scores[i]):
        kept[i] = True
        for j in range(len(poses)):
            if kept[j] and j != i and people['picture'][j] == people['picture'][i]:
                oks = 0.0
                for joint, sigma in enumerate(SIGMAS):
                    dx, dy = poses[i].joints_xy[joint] - poses[j].joints_xy[joint]
                    area = (areas[i] + areas[j]) / 2
                    oks += np.exp(-(dx**2 + dy**2) / (2 * (2 * sigma) ** 2 * area)) / 17
                if oks > 0.9:
                    kept[i] = False
    return scores, kept


def test_scores_and_repetitions_are_the_authors_own():
    rng = np.random.default_rng(0)
    people = np.zeros(60, [('picture', 'i4'), ('box', 'f4', 4), ('score', 'f8')])
    people['picture'] = rng.integers(3, size=60)
    corner = rng.uniform(0, 200, (60, 2))
    people['box'] = np.concatenate([corner, corner + rng.uniform(40, 200, (60, 2))], axis=1)
    people['score'] = rng.random(60)
    bodies = rng.uniform(0, 300, (4, 17, 2))
    poses = []
    for i in range(60):
        xy = bodies[i % 4] + rng.normal(0, (1, 3, 9)[i % 3], (17, 2))
        scores = rng.random(17) if i else np.full(17, 0.2)  # of the first no joint counts
        poses.append(Pose(xy, scores, 1.0))
    found = detected_people.rescored(people, [[one] for one in poses])
    scores, kept = official_scores(people, poses)
    assert [bool(one) for one in found] == kept
    assert 10 < sum(kept) < 50
    assert scores[0] == 0
    for one, score, pose in zip(found, scores, poses):
        if one:
            assert one[0].score == pytest.approx(score)
            assert one[0].joints_xy is pose.joints_xy


def test_results_are_rescored_and_cover_all_pictures(tmp_path, monkeypatch):
    """The file has the kept people; the table is of all pictures, also those without detections."""
    split = detected_people.at_boxes(
        written(tmp_path, detection(7, [0, 0, 30, 40], 0.5), detection(7, [1, 0, 30, 40], 0.4)),
        split_of(),
    )
    one = Pose(np.full((17, 2), 20.0), np.full(17, 0.8), 0.8)
    evaluated = []

    def tables(self, pictures, everybody, results, chosen):
        evaluated.append(chosen)
        return []

    monkeypatch.setattr(coco.Coco, 'result_tables', tables)
    monkeypatch.setattr(arrays, 'load_array', lambda *_: split.images.table)
    monkeypatch.setattr(arrays, 'load_split', lambda *_: split)
    options = type('Options', (), {'dataset': 'coco', 'data': 'x', 'test_examples': None})
    options.predictions = str(tmp_path / 'predictions.json')
    predictions.write(options, {}, split, {'hrnet': [[one], [one]]}, {})
    with open(options.predictions, encoding='utf-8') as file:
        (result,) = json.load(file)
    assert result['score'] == pytest.approx(0.5 * 0.8)
    assert result['image_id'] == 7
    assert evaluated == [None]


def test_real_detections_are_read():
    folder = os.path.join(SHARED, 'coco_sample')
    if not os.path.exists(folder):
        pytest.skip(f'{folder} is not there (set POSE_SHARED)')
    _, splits = coco.Coco().read([os.path.join(folder, 'test_coco.json')] * 2, [folder] * 2)
    part = splits['test']
    places = part.people['picture']
    images = arrays.Pictures(folder, part.pictures, places)
    split = arrays.Split(images, part.joints, part.people, np.arange(len(places)), 'test')
    path = os.path.join(folder, 'test_coco_det_AP_H_56.json')
    found = detected_people.at_boxes(path, split)
    with open(path, encoding='utf-8') as file:
        detections = json.load(file)
    assert len(found.people) == len(detections) == 118
    ids = part.pictures['id'][found.people['picture']]
    assert ids.tolist() == [one['image_id'] for one in detections]
    assert found.people['score'] == pytest.approx([one['score'] for one in detections])
