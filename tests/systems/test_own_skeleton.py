"""Twelve key points of spiders from data.py to poses.json: their names and sides travel with the run."""

import json
import os
import shutil

import cv2
import forked
import numpy as np
import own_files
import pytest
from conftest import ROOT
from scipy.io import loadmat
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import jointpose
from jointpose import datasets, run_options, systems
from jointpose.datasets import arrays
from jointpose.inference import export
from jointpose.systems import hrnet
from jointpose.utils.errors import InputError
from jointpose.vision.crops import person_from_row

TRAINING = ('--train_examples', '6', '--batch_size', '3', '--n_epochs', '1', '--width', '4')


def script(folder, *words):
    done = forked.run(words, cwd=folder, env={**os.environ, 'PYTHONPATH': ROOT})
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


def shallow(folder, *words):
    return script(folder, os.path.join(ROOT, 'tests', 'shallow_main.py'), *words)


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A folder with arrays_own, a run of HRNet on them and its predictions; and what was printed."""
    folder = tmp_path_factory.mktemp('own')
    paths, _ = own_files.write(folder)
    coco = ('--coco', *paths, '--images', str(folder / 'images'), '--skeleton')
    script(folder, os.path.join(ROOT, 'data.py'), *coco, '--workers', '1')
    options = ('--system', 'hrnet', '--dataset', 'own', '--run', 'spiders', '--data_augm')
    printed = shallow(folder, '--train', *options, *TRAINING)
    return folder, printed


@pytest.fixture
def moved(trained, tmp_path):
    """The run by itself, in a folder without arrays."""
    shutil.copytree(trained[0] / 'models_ex' / 'spiders', tmp_path / 'spiders')
    shutil.copy(trained[0] / 'images' / '0001.jpg', tmp_path / '0001.jpg')
    return tmp_path


def test_settings_and_checkpoint_hold_the_skeleton(trained):
    run = trained[0] / 'models_ex' / 'spiders'
    settings = json.loads((run / 'settings.json').read_text())
    manifest = arrays.read_manifest(str(trained[0] / 'arrays_own'))
    assert settings['skeleton'] == manifest['skeleton']
    assert settings['skeleton']['joints'] == list(own_files.JOINTS)
    state = max(run.glob('step-*/state.json'))
    assert json.loads(state.read_text())['settings']['skeleton'] == manifest['skeleton']


def test_the_table_names_the_key_points(trained):
    folder, printed = trained
    evaluated = script(folder, os.path.join(ROOT, 'evaluate.py'), 'predictions.mat')
    note = "spider: share of key points in % within 0.1 of the root of the box's area"
    for text in (printed, evaluated):
        assert note in text and '| joint' in text and 'HRNet PCK@0.1 |' in text
        rows = [line.split('|')[1].strip() for line in text.splitlines() if line.startswith('| ')]
        del rows[1]  # the rule
        assert rows == ['joint', *own_files.JOINTS, 'mean']
    assert 'test split, 5 instances' in evaluated


def test_the_table_is_that_of_numpy(trained):
    folder, _ = trained
    evaluated = script(folder, os.path.join(ROOT, 'evaluate.py'), 'predictions.mat')
    found_xy = loadmat(folder / 'predictions.mat')['own_pred_hrnet'].transpose(2, 1, 0)
    _, (_, truth) = own_files.write(folder)
    truth_xy = np.concatenate(list(truth.values()))
    sides = np.ptp(truth_xy, axis=1) + 10
    unit = np.sqrt(sides[:, 0] * sides[:, 1])
    distance = np.hypot(*np.moveaxis(found_xy - truth_xy, 2, 0))
    rates = 100 * (distance <= 0.1 * unit[:, None]).mean(axis=0)
    printed = [line.split('|')[2].strip() for line in evaluated.splitlines() if '|' in line][2:]
    assert printed == [f'{rate:.1f}' for rate in (*rates, rates.mean())]


def test_tensorboard_names_the_key_points(trained):
    events = EventAccumulator(str(trained[0] / 'tb' / 'spiders' / 'test'), {'images': 0}).Reload()
    tags = {tag for tag in events.Tags()['scalars'] if tag.startswith('rate_hrnet/')}
    assert tags == {f'rate_hrnet/{joint}' for joint in own_files.JOINTS}


def test_prediction_needs_no_arrays(moved):
    shallow(moved, '--restore', 'spiders', '--predict', '0001.jpg', '--overlay')
    poses = json.loads((moved / 'poses' / 'poses.json').read_text())
    (category,) = poses['categories']
    assert category['name'] == category['supercategory'] == 'spider'
    assert category['keypoints'] == list(own_files.JOINTS)
    assert category['skeleton'] == [list(limb) for limb in own_files.LIMBS]
    assert len(poses['annotations'][0]['scores']) == 12
    assert (moved / 'poses' / '0001_pose.jpg').exists()
    assert cv2.imread(str(moved / 'poses' / '0001_maps.jpg')).shape[0] > 4 * 300  # 4 rows of maps


def test_boxes_of_the_category(moved, trained):
    """The file that it was trained on has a second category, whose boxes are left out."""
    made = json.loads((trained[0] / 'train.json').read_text())
    made['annotations'][0]['category_id'] = 8
    (moved / 'boxes.json').write_text(json.dumps(made))
    shutil.copy(trained[0] / 'images' / '0003.jpg', moved / '0003.jpg')
    words = ('--restore', 'spiders', '--predict', '0003.jpg', '0001.jpg', '--boxes', 'boxes.json')
    shallow(moved, *words)
    poses = json.loads((moved / 'poses' / 'poses.json').read_text())
    found = [one['image_id'] for one in poses['annotations']]
    assert sorted(found) == [1, 3, 3]  # of 0001.jpg one is of another category


@pytest.fixture
def shallow_here(monkeypatch):
    """HRNet in this process as tests/shallow_main.py has it."""
    monkeypatch.setattr(hrnet, 'MODULES', (1, 1, 1))
    monkeypatch.setattr(hrnet, 'BLOCKS', 1)


def test_a_detector_of_people_is_refused(moved):
    words = ['--restore', str(moved / 'spiders'), '--predict', str(moved / '0001.jpg')]
    words += ['--detector', 'pretrained/flic']
    resolved = run_options.resolve_options(words)
    with pytest.raises(
        InputError, match="flic: detectors find people, and this run finds 'spider'"
    ):
        run_options.resolve_detector(resolved.options, resolved.system)


@pytest.mark.long
@pytest.mark.usefixtures('shallow_here')
def test_export_without_arrays(moved, monkeypatch, capsys):
    """It is checked on drawn people, as the arrays are gone."""
    words = ('--restore', str(moved / 'spiders'), '--out', str(moved / 'exported'))
    monkeypatch.setattr('sys.argv', ['export.py', *words, '--saved_model_only'])
    export.main()
    assert (moved / 'exported' / 'saved_model').is_dir()
    assert 'drawn people' in capsys.readouterr().out


@pytest.mark.usefixtures('shallow_here')
def test_the_python_interface_has_the_names(moved):
    with jointpose.load(str(moved / 'spiders')) as model:
        assert model.joints == list(own_files.JOINTS)


def test_show_draws_both_sides(trained):
    folder, _ = trained
    for words in ((), ('predictions.mat',)):
        text = script(folder, os.path.join(ROOT, 'show.py'), *words, '--data', 'arrays_own')
        assert 'own key points: left and right as the key points' in text
        assert 'behind' not in text
    assert cv2.imread(str(folder / 'poses.jpg')).shape[2] == 3


def test_training_resumes_and_other_key_points_are_refused(trained, tmp_path):
    folder = tmp_path / 'clone'
    shutil.copytree(trained[0], folder)

    def more(made):
        made['categories'][0]['keypoints'][0] = 'brow'

    shallow(folder, '--restore', 'spiders')
    paths, _ = own_files.write(folder, change=more)
    words = ('--images', str(folder / 'images'), '--skeleton', '--out', 'arrays_other')
    script(folder, os.path.join(ROOT, 'data.py'), '--coco', *paths, *words)
    main = os.path.join(ROOT, 'tests', 'shallow_main.py')
    environment = {**os.environ, 'PYTHONPATH': ROOT}
    for words in (('--restore', 'spiders'), ('--train', '--restore', 'spiders')):
        done = forked.run([main, *words, '--data', 'arrays_other'], cwd=folder, env=environment)
        assert done.returncode == 2
        assert '--data arrays_other: has the key points brow, back,' in done.stderr


def test_other_arrays_are_refused(trained, arrays_folder):
    words = ['--train', '--system', 'hrnet', '--dataset', 'own', '--data', arrays_folder]
    with pytest.raises(InputError, match=f'--dataset own: --data {arrays_folder} holds flic'):
        run_options.resolve_options(words)


@pytest.mark.parametrize('name', systems.names())
def test_every_system_that_takes_own_key_points_has_samples_of_them(trained, name):
    """Encoded in the shapes that the system declares; mirrored crops change left and right."""
    if 'own' not in systems.load(name).DATASETS:
        pytest.skip(f'{name} takes no key points of its own')
    data = str(trained[0] / 'arrays_own')
    test_options = systems.load(name).TEST_OPTIONS
    words = ['--train', '--system', name, '--dataset', 'own', '--data', data, *test_options]
    options, system, _, _ = run_options.resolve_options(words)
    assert system.dataset is datasets.of_options(options)
    assert tuple(system.joints) == own_files.JOINTS and system.flip == own_files.FLIP
    split = arrays.load_split(data, 'train', arrays.read_manifest(data))
    people = system.prepare_split(arrays.system_samples(split, system.MAX_PEOPLE))
    sample = system.test_sample(people.images[0], person_from_row(people, 0))
    targets = system.encode(sample.joints_xy[None], sample.visible[None])
    assert {key: value.shape[1:] for key, value in targets.items()} == system.target_shapes()
