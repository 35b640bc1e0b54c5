"""Each system through the scripts: trains on two towers, goes on exactly, finds joints in a picture, is exported.

On the embedded people, by networks so narrow and shallow that a step takes a moment; within this
process, since a process of one's own would take longer than the work.
"""

import json
import os
import shutil
import sys

import cv2
import numpy as np
import pytest
from conftest import SHARED
from people import somebody

from jointpose import data, evaluate, main, run_options, systems
from jointpose.datasets import flic
from jointpose.inference import export
from jointpose.nn.tf1 import tf
from jointpose.systems import hrnet
from jointpose.utils.errors import InputError
from jointpose.vision import affine, crops

SHALLOW = {'jointpose.systems.hrnet.MODULES': (1, 1, 1), 'jointpose.systems.hrnet.BLOCKS': 1}
# {system: {what is set to: value}}, where options do not make the network small enough.
SMALLER = {
    'tompson': {'jointpose.model.CHANNELS': (1, 1, 1, 1, 1)},
    'hrnet': SHALLOW,
    'spm': SHALLOW,
}
# Of a system: a data set that was made for its kind, the annotations and pictures of it below SHARED, what is measured.
OWN = {
    'cpm': ('parse', 'parse/labels.mat', 'PCK@0.2'),
    'deeppose': ('parse', 'parse/labels.mat', 'strict PCP@0.5'),
    'hrnet': ('mpii', 'mpii_sample/test_mpii.json', 'PCKh@0.5'),
    'spm': ('coco', 'coco_sample/test_coco.json', 'AP'),
}
COMMON = (
    '--data_augm',
    '--batch_size',
    '8',
    '--n_epochs',
    '2',
    '--train_examples',
    '15',
    '--test_examples',
    '3',
)


def built(*words):
    """The System of a command line."""
    return run_options.resolve_options(['--train', *words])[1]


def test_people_are_found_where_the_maps_have_their_peaks():
    """One cell of each map, in a frame that shows a picture at half its size, moved by (10, 20)."""
    maps = np.zeros((1, 60, 90, 9), np.float32)
    cells = np.stack([np.arange(9) + 5, 3 * np.arange(9) + 7], axis=1)  # row, column
    for joint, (row, column) in enumerate(cells):
        maps[0, row, column, joint] = 1
    to_image = np.array([[2.0, 0, 10], [0, 2.0, 20]])
    (person,) = built('--use_sm').found_people('sm', maps, to_image)
    expected_xy = 2 * (8 * cells[:, ::-1] + 4) + np.array([10, 20])
    np.testing.assert_allclose(person.joints_xy, expected_xy, atol=0.01)
    np.testing.assert_allclose(person.scores, 1)
    assert person.score == 1 and person.maps.shape == (60, 90, 9)
    corners_xy = affine.transform_points(person.matrix, cells[:, ::-1] + 0.5)
    np.testing.assert_allclose(corners_xy, expected_xy, atol=0.01)
    assert person.view is person.torso_xy is person.torso_score is None and not person.low_score


def test_people_of_a_system_without_maps():
    """DeepPose's numbers are fractions of its crop, here at a third of a picture's size."""
    numbers = np.linspace(-0.4, 0.4, 18, dtype=np.float32).reshape(1, 9, 2)
    to_image = np.array([[3.0, 0, -6], [0, 3.0, 9]])
    system = built('--system', 'deeppose', '--dataset', 'flic')
    (person,) = system.found_people('deeppose', numbers, to_image)
    side = system.input_size[0]
    np.testing.assert_allclose(
        person.joints_xy, 3 * side * (numbers[0] + 0.5) + np.array([-6, 9]), atol=0.01
    )
    assert person.maps is None
    np.testing.assert_array_equal(person.matrix, to_image)


@pytest.mark.parametrize('name', sorted(set(systems.names()) - {'tompson'}))
def test_rotation_and_zoom_are_those_that_were_said(name, monkeypatch):
    """Of 200 crops beside the one that is neither turned nor zoomed, by their matrices."""
    whole_bodies = hrnet.RECIPES['coco']._replace(half_bodies=0)  # --zoom is of the whole one
    monkeypatch.setitem(hrnet.RECIPES, 'coco', whole_bodies)
    image, person = somebody(17)
    sizes, turns = [], []
    people = (
        person
        if systems.load(name).MAX_PEOPLE is None
        else crops.Person(
            *(np.stack([value]) if isinstance(value, np.ndarray) else [value] for value in person)
        )
    )

    def crop(seed, rotation, *zoom):
        options.rotation, options.zoom = rotation, zoom
        sample = system.training_sample(image, people, np.random.default_rng(seed))
        return affine.invert(sample.to_image)[:, :2]

    options, system, _, _ = run_options.resolve_options(
        ['--train', '--system', name, '--dataset', 'coco', '--data_augm']
    )
    plain = crop(0, 0, 1, 1)
    plain *= np.sign(np.diag(plain))  # not mirrored
    for seed in range(200):
        moved = np.linalg.solve(plain, crop(seed, 20, 0.8, 1.25))  # zoom x turn x mirror
        sizes.append(np.sqrt(abs(np.linalg.det(moved))))
        turns.append(np.degrees(np.arctan2(-moved[0, 1], moved[1, 1])))
    assert (
        0.8 <= min(sizes) < 0.82
        and 1.22 < max(sizes) <= 1.25
        and 0.4 < np.mean(np.array(sizes) < 1) < 0.6
    )
    assert -20 <= min(turns) < -18 and 18 < max(turns) <= 20


def call(script, *arguments):
    """A script's main with these arguments, in a graph of its own; returns its exit code."""
    with pytest.MonkeyPatch.context() as patch, tf.Graph().as_default():
        patch.setattr(sys, 'argv', [script.__name__, *map(str, arguments)])
        try:
            return (script.run_main if script is main else script.main)() or 0
        except InputError as error:
            pytest.fail(str(error))


@pytest.mark.parametrize('name', systems.names())
def test_a_joint_without_label_may_be_anything(name):
    """Not a number in place of 0 gives the same sample and targets."""
    dataset = {'spm': 'coco'}.get(name, 'flic')
    _, system, *_ = run_options.resolve_options(
        ['--train', '--system', name, '--dataset', dataset, '--data_augm']
    )
    image, person = somebody(17 if dataset == 'coco' else flic.N_MAPS)
    made = []
    for anything in (0, np.nan):
        joints_xy, visible = person.joints_xy.copy(), np.full(len(person.visible), 2, np.uint8)
        joints_xy[2], visible[2] = anything, 0
        one = person._replace(joints_xy=joints_xy, visible=visible)
        if system.MAX_PEOPLE is not None:
            one = crops.Person(
                *(np.stack([value]) if isinstance(value, np.ndarray) else [value] for value in one)
            )
        sample = system.training_sample(image, one, np.random.default_rng(0))
        made.append(system.encode(sample.joints_xy[None], sample.visible[None]))
    for target, value in made[1].items():
        assert np.isfinite(value).all()
        if name != 'tompson':  # which knows by NaN
            np.testing.assert_array_equal(value, made[0][target], err_msg=target)


# tompson has all of this in tests of its own; spm shares its trunk with hrnet; cpm has maps as hrnet has.
@pytest.fixture(
    scope='module',
    params=[
        pytest.param(name, marks=[pytest.mark.long] * (name in ('tompson', 'cpm', 'spm')))
        for name in systems.names()
    ],
)
def trained(request, arrays_folder, tmp_path_factory):
    """(system's name, folder) after two epochs of two updates on two towers, of which one had but 7 people."""
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SMALLER.get(request.param, {}).items():
            patch.setattr(name, value)
        assert (
            call(
                main,
                '--train',
                '--system',
                request.param,
                '--dataset',
                'flic',
                '--gpus',
                0,
                1,
                *systems.load(request.param).TEST_OPTIONS,
                *COMMON,
                *places(folder, arrays_folder),
                '--run',
                'whole',
            )
            == 0
        )
        yield request.param, folder


def places(folder, arrays_folder):
    return (
        '--data',
        arrays_folder,
        '--model_path',
        folder / 'models',
        '--tb_folder',
        folder / 'tb',
        '--predictions',
        folder / 'predictions.mat',
    )


def lines(folder, run, kind):
    with open(folder / 'models' / run / f'{kind}.jsonl', encoding='utf-8') as file:
        records = [json.loads(line) for line in file]
    return [
        {
            name: value
            for name, value in record.items()
            if 'seconds' not in name and 'per_s' not in name
        }
        for record in records
    ]


def test_trains_on_two_towers(trained):
    name, folder = trained
    steps, epochs = lines(folder, 'whole', 'steps'), lines(folder, 'whole', 'log')
    assert [record['step'] for record in steps] == [1, 2, 3, 4] and [
        record['epoch'] for record in epochs
    ] == [1, 2]
    answer = [key for key in steps[0] if key.startswith('loss_')][-1]
    assert answer.removeprefix('loss_') in systems.load(name).OUTPUTS
    assert all(np.isfinite(record[answer]) and record['gradient_norm'] > 0 for record in steps)
    assert all(
        0 <= epochs[-1][split][answer.replace('loss', 'rate')] <= 100 for split in ('train', 'test')
    )
    kinds = {
        kind
        for kind in os.listdir(folder / 'tb' / 'whole')
        if os.listdir(folder / 'tb' / 'whole' / kind)
    }
    assert kinds == {'train', 'test', 'train_iter'}


def test_goes_on_exactly(trained, arrays_folder):
    """From the checkpoint of the first epoch the second is what it was, to the last bit of every variable."""
    _, folder = trained
    models = folder / 'models'
    shutil.copytree(
        models / 'whole', models / 'stopped', ignore=shutil.ignore_patterns('step-00000004')
    )
    assert (
        call(main, '--train', '--restore', models / 'stopped', *places(folder, arrays_folder)) == 0
    )
    for kind in ('steps', 'log'):
        assert lines(folder, 'stopped', kind) == lines(folder, 'whole', kind)
    for whole, stopped in zip(
        *(variables(models / run / 'step-00000004') for run in ('whole', 'stopped'))
    ):
        assert whole[0] == stopped[0]
        np.testing.assert_array_equal(whole[1], stopped[1], err_msg=whole[0])


def variables(checkpoint):
    reader = tf.train.load_checkpoint(str(checkpoint / 'model'))
    return [(name, reader.get_tensor(name)) for name in sorted(reader.get_variable_to_shape_map())]


def test_finds_joints_in_a_picture(trained, tmp_path):
    name, folder = trained
    image = np.random.default_rng(0).integers(256, size=(200, 300, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / 'someone.png'), image)
    written, overlay = ('someone_pose.jpg', 'someone_maps.jpg'), ['--overlay']
    if name == 'deeppose':  # a regression
        written, overlay = written[:1], []
    whom = {
        'spm': ['--system', 'spm', '--threshold', 0],
        'tompson': ['--torso', '150,100'],
    }  # noise has nobody
    assert (
        call(
            main,
            '--restore',
            folder / 'models' / 'whole',
            '--predict',
            tmp_path / 'someone.png',
            *overlay,
            *whom.get(name, []),
            '--out',
            tmp_path / 'poses',
        )
        == 0
    )
    assert all(cv2.imread(str(tmp_path / 'poses' / file)) is not None for file in written)
    with open(tmp_path / 'poses' / 'poses.json', encoding='utf-8') as file:
        document = json.load(file)
    assert document['info']['system'] == name and len(document['images']) == 1
    people = document['annotations']
    most = systems.load(name).MAX_PEOPLE or 1
    assert 1 <= len(people) <= most
    assert all(
        len(person['keypoints']) == 3 * len(flic.JOINTS) and person['image_id'] == 1
        for person in people
    )


def test_is_exported(trained, arrays_folder, tmp_path):
    """export.py compares what it wrote with the network itself."""
    _, folder = trained
    assert (
        call(
            export,
            '--restore',
            folder / 'models' / 'whole',
            '--out',
            tmp_path / 'out',
            '--data',
            arrays_folder,
            '--saved_model_only',
        )
        == 0
    )
    assert (tmp_path / 'out' / 'saved_model' / 'saved_model.pb').exists()


@pytest.mark.long
def test_is_exported_to_onnx(trained, arrays_folder, tmp_path):
    _, folder = trained
    assert (
        call(
            export,
            '--restore',
            folder / 'models' / 'whole',
            '--out',
            tmp_path / 'out',
            '--data',
            arrays_folder,
        )
        == 0
    )
    assert (tmp_path / 'out' / 'model.onnx').exists()


@pytest.mark.long
@pytest.mark.parametrize('name', OWN)
def test_real_people_of_its_own_data_set(name, tmp_path, monkeypatch, capsys):
    """From the annotations to the table, which evaluate.py prints again from the predictions."""
    dataset, meta, measure = OWN[name]
    meta, made = os.path.join(SHARED, meta), tmp_path / 'arrays'
    if not os.path.exists(meta):
        pytest.skip(f'{meta} is not there (set POSE_SHARED)')
    for place, value in SMALLER.get(name, {}).items():
        monkeypatch.setattr(place, value)
    assert (
        call(
            data,
            '--dataset',
            dataset,
            '--meta',
            meta,
            '--images',
            os.path.dirname(meta),
            '--out',
            made,
        )
        == 0
    )
    assert (
        call(
            main,
            '--train',
            '--system',
            name,
            '--dataset',
            'lsp' if dataset == 'parse' else dataset,
            *systems.load(name).TEST_OPTIONS,
            *COMMON,
            *places(tmp_path, made),
            '--run',
            'own',
        )
        == 0
    )
    capsys.readouterr()
    assert call(main, '--restore', tmp_path / 'models' / 'own', *places(tmp_path, made)) == 0
    epochs, printed = lines(tmp_path, 'own', 'log'), rows_of(capsys.readouterr().out)
    assert [record['epoch'] for record in epochs] == [1, 2]
    assert all(
        np.isfinite(value)
        for record in epochs
        for key, value in record['test'].items()
        if 'loss' in key
    )
    predictions = tmp_path / ('predictions.json' if dataset == 'coco' else 'predictions.mat')
    assert call(evaluate, predictions, '--data', made) == 0
    rows = rows_of(capsys.readouterr().out)
    assert measure in str(rows)
    assert rows == printed


def rows_of(text):
    """The rows of all tables, their cells joined."""
    return [
        ' '.join(line.replace('|', ' ').split())
        for line in text.splitlines()
        if line.startswith('| ') and not line.startswith('| -')
    ]
