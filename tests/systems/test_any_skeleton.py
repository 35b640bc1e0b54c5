"""The joint model on skeletons of 14, 12, 16 and 17 joints: trained, resumed, applied, exported."""

import contextlib
import io
import json
import os
import pathlib
import shutil
from typing import NamedTuple

import cv2
import numpy as np
import pytest
from test_pairwise_distr import brute_force
from test_systems import call, lines, places, rows_of, variables

from jointpose import data, datasets, evaluate, main, pairwise_distr, spatial_model
from jointpose.datasets import arrays
from jointpose.datasets.base import DataSet
from jointpose.datasets.person_frames import PersonFrame
from jointpose.inference import export

OPTIONS = (
    '--use_sm',
    '--width',
    2,
    '--banks',
    1,
    '--scales',
    'single',
    '--data_augm',
    '--batch_size',
    4,
    '--n_epochs',
    2,
    '--test_examples',
    2,
    '--average_weights',
    0.9,
)


class Trained(NamedTuple):
    """A run of two epochs."""

    data_set: DataSet
    arrays: pathlib.Path
    folder: pathlib.Path  # has models/whole and its predictions
    printed: str  # by main.py


@pytest.fixture(
    scope='module',
    params=[
        'lsp',
        pytest.param('own', marks=pytest.mark.long),  # no human
        pytest.param('mpii', marks=pytest.mark.long),
        pytest.param('coco', marks=pytest.mark.long),
    ],
)
def trained(request, tmp_path_factory):
    """A Trained on drawn people, or beasts."""
    folder = tmp_path_factory.mktemp(request.param)
    made = folder / 'arrays'
    source = ['--skeleton'] if request.param == 'own' else ['--dataset', request.param]
    assert call(data, *source, '--synthetic', 10, '--out', made) == 0
    assert call(pairwise_distr, '--data', made) == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('jointpose.model.CHANNELS', (1, 1, 1, 1, 1))
        training = ('--train', '--dataset', request.param, *OPTIONS, *places(folder, made))
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            assert call(main, *training, '--run', 'whole') == 0
        data_set = datasets.of_manifest(arrays.read_manifest(str(made)))
        yield Trained(data_set, made, folder, printed.getvalue())


def test_priors_by_brute_force(trained):
    data_set, made, *_ = trained
    split = arrays.load_split(str(made), 'train', arrays.read_manifest(str(made)))
    split = arrays.labelled_people(split)
    for source in data_set.anchor_sources:
        if source == 'none':
            continue
        frame = PersonFrame(data_set, source)
        k = len(data_set.joints)
        found = pairwise_distr.load(str(made / pairwise_distr.FILE), frame=frame)
        assert found.shape == ((k + 1) * k, 120, 120)
        points_xy = frame.points_of_split(split)
        pairs = pairwise_distr.pairs_of(k + 1)
        for index in (0, k, len(pairs) // 2, len(pairs) - 1):
            both = points_xy[np.isfinite(points_xy[:, pairs[index]]).all(axis=(1, 2))]
            expected = brute_force(both, *pairs[index], size=(480, 480))
            np.testing.assert_allclose(found[index], expected, atol=1e-8)


@pytest.mark.long
def test_priors_are_drawn(trained, tmp_path):
    assert call(pairwise_distr, '--data', trained.arrays, '--figure', tmp_path / 'priors.png') == 0
    assert cv2.imread(str(tmp_path / 'priors.png')) is not None


def test_it_starts_from_the_priors(trained):
    """The variables of the first checkpoint: k * k pairs of 120 x 120 displacements."""
    data_set, made, folder, _ = trained
    k = len(data_set.joints)
    energies = dict(variables(folder / 'models' / 'whole' / 'step-00000000'))[
        'spatial_model/energies'
    ]
    assert energies.shape == (k * k, 120, 120)
    histograms = pairwise_distr.load(str(made / pairwise_distr.FILE), frame=PersonFrame(data_set))
    expected = spatial_model.initial_energies(histograms[: k * k])
    np.testing.assert_array_equal(energies, expected)


@pytest.mark.long
def test_it_resumes_exactly(trained):
    """From a copy of the run without its last checkpoint."""
    _, made, folder, _ = trained
    whole, again = folder / 'models' / 'whole', folder / 'models' / 'again'
    last = max(name for name in os.listdir(whole) if name.startswith('step-'))
    shutil.copytree(whole, again, ignore=shutil.ignore_patterns(last, 'lock'))
    assert call(main, '--train', '--restore', again, *places(folder, made)) == 0
    assert lines(folder, 'again', 'steps') == lines(folder, 'whole', 'steps')
    for expected, found in zip(variables(whole / last), variables(again / last)):
        assert expected[0] == found[0]
        np.testing.assert_array_equal(expected[1], found[1], err_msg=expected[0])


def test_evaluate_prints_what_main_printed(trained, capsys):
    file = 'predictions.json' if trained.data_set.multi_person else 'predictions.mat'
    assert call(evaluate, trained.folder / file, '--data', trained.arrays) == 0
    rows = rows_of(capsys.readouterr().out)
    assert rows == rows_of(trained.printed) and len(rows) > 1
    if not trained.data_set.multi_person:
        assert 'part detector' in str(rows) and 'joint model' in str(rows)


def test_it_finds_the_joints_of_boxes(trained, tmp_path):
    data_set, _, folder, _ = trained
    image = np.random.default_rng(0).integers(256, size=(200, 300, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / 'two.png'), image)
    boxes = [[10, 20, 80, 150], [150, 30, 90, 160]]
    entries = [
        {'image_id': 1, 'category_id': 1, 'bbox': box, 'score': 0.9, 'file_name': 'two.png'}
        for box in boxes
    ]
    images = [{'id': 1, 'file_name': 'two.png', 'width': 300, 'height': 200}]
    document = {'images': images, 'annotations': entries}
    document['categories'] = [{'id': 1, 'name': data_set.category}]
    (tmp_path / 'boxes.json').write_text(json.dumps(document))
    prediction = ('--predict', tmp_path / 'two.png', '--boxes', tmp_path / 'boxes.json')
    run = ('--restore', folder / 'models' / 'whole', '--out', tmp_path / 'poses', '--overlay')
    assert call(main, *run, *prediction) == 0
    with open(tmp_path / 'poses' / 'poses.json', encoding='utf-8') as file:
        found = json.load(file)
    assert len(found['annotations']) == 2
    for (x, y, width, height), entry in zip(boxes, found['annotations']):
        points = np.reshape(entry['keypoints'], (-1, 3))
        assert len(points) == len(data_set.joints)
        seen = points[points[:, 2] > 0]
        reach = 0.55 * max(width, height) + 1
        centre = np.array([x + width / 2, y + height / 2])
        assert (np.abs(seen[:, :2] - centre) <= reach).all()


@pytest.mark.long
def test_it_is_exported(trained, tmp_path):
    _, made, folder, _ = trained
    run = ('--restore', folder / 'models' / 'whole', '--data', made)
    assert call(export, *run, '--out', tmp_path / 'out', '--saved_model_only') == 0
    assert (tmp_path / 'out' / 'saved_model' / 'saved_model.pb').exists()
