"""The joint model on skeletons of 14, 12, 16 and 17 joints: trained, resumed, applied, exported."""

import json
import os

import cv2
import numpy as np
import pytest
from test_pairwise_distr import brute_force
from test_systems import call, lines, places, rows_of, variables

from jointpose import data, datasets, evaluate, main, pairwise_distr, spatial_model
from jointpose.datasets import arrays
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
    """(data set, its arrays, folder of the run `whole` after two epochs)."""
    folder = tmp_path_factory.mktemp(request.param)
    made = folder / 'arrays'
    source = ['--skeleton'] if request.param == 'own' else ['--dataset', request.param]
    assert call(data, *source, '--synthetic', 10, '--out', made) == 0
    assert call(pairwise_distr, '--data', made, '--figure', folder / 'priors.png') == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('jointpose.model.CHANNELS', (1, 1, 1, 1, 1))
        training = ('--train', '--dataset', request.param, *OPTIONS, *places(folder, made))
        assert call(main, *training, '--run', 'whole') == 0
        yield datasets.of_manifest(arrays.read_manifest(str(made))), made, folder


def test_priors_by_brute_force(trained):
    data_set, made, folder = trained
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
    assert cv2.imread(str(folder / 'priors.png')) is not None


def test_it_starts_from_the_priors(trained):
    """The variables of the first checkpoint: k * k pairs of 120 x 120 displacements."""
    data_set, made, folder = trained
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
    _, made, folder = trained
    steps = sorted(os.listdir(folder / 'models' / 'whole'))
    first, last = [name for name in steps if name.startswith('step-')][-2:]
    again = folder / 'models' / 'again'
    os.makedirs(again)
    for name in steps:
        if name not in (last, 'lock'):
            os.symlink(folder / 'models' / 'whole' / name, again / name)
    del first
    for name in ('log.jsonl', 'steps.jsonl'):
        content = (again / name).read_bytes()
        os.remove(again / name)
        (again / name).write_bytes(content)
    assert call(main, '--train', '--restore', again, *places(folder, made)) == 0
    assert lines(folder, 'again', 'steps') == lines(folder, 'whole', 'steps')
    for whole, resumed in zip(*(variables(run / last) for run in (folder / 'models/whole', again))):
        assert whole[0] == resumed[0]
        np.testing.assert_array_equal(whole[1], resumed[1], err_msg=whole[0])


def test_evaluate_prints_what_main_printed(trained, capsys):
    data_set, made, folder = trained
    assert call(main, '--restore', folder / 'models' / 'whole', *places(folder, made)) == 0
    printed = rows_of(capsys.readouterr().out)
    file = 'predictions.json' if data_set.multi_person else 'predictions.mat'
    assert call(evaluate, folder / file, '--data', made) == 0
    rows = rows_of(capsys.readouterr().out)
    assert rows == printed and len(rows) > 1
    if not data_set.multi_person:
        assert 'part detector' in str(rows) and 'joint model' in str(rows)


def test_it_finds_the_joints_of_boxes(trained, tmp_path):
    data_set, _, folder = trained
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
    _, made, folder = trained
    run = ('--restore', folder / 'models' / 'whole', '--data', made)
    assert call(export, *run, '--out', tmp_path / 'out', '--saved_model_only') == 0
    assert (tmp_path / 'out' / 'saved_model' / 'saved_model.pb').exists()
