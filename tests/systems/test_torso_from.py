"""--torso_from: the torso that the spatial model is given, through views, augmentation, priors and checkpoints."""

import os
import shutil

import forked
import numpy as np
import pytest
import scipy.io
from conftest import ROOT
from test_pairwise_distr import brute_force

from jointpose import main, pairwise_distr, run_options, spatial_model
from jointpose.datasets import arrays, flic
from jointpose.datasets.person_frames import PersonFrame
from jointpose.options import options as command_line
from jointpose.systems import tompson
from jointpose.training import batches
from jointpose.utils.errors import InputError
from jointpose.vision import crops

TORSO = flic.N_JOINTS
BOX = np.array([[290, 120, 350, 210]], np.float32)  # x1 y1 x2 y2: its centre is (320, 165)
QUARTER = os.path.join(ROOT, 'pretrained', 'flic_quarter')


def settings(*arguments):
    return run_options.resolve_options(['--train', '--use_sm', *arguments])[0]


def stored_split(folder, split='train'):
    return arrays.load_split(folder, split, arrays.read_manifest(folder))


def one_person():
    """A split of one person whose joints are all far from the torsobox; in the frame only its centre is white."""
    joints_xy = (
        np.tile(np.float32([500, 350]), (1, 10, 1)) + np.arange(10, dtype=np.float32)[:, None]
    )
    stored = np.zeros(1, flic.PERSON_DTYPE)
    stored['torsobox'] = BOX
    frame = np.zeros((1, 480, 720, 3), np.uint8)
    frame[0, 163:167, 318:322] = 255
    return arrays.Split(
        frame, joints_xy, flic.Flic().complete_people(stored, joints_xy), np.arange(1), 'train'
    )


def centre_of_light(image):
    """(x, y) of the white spot, by its moments."""
    weight = np.maximum(image.sum(axis=2).astype(float) - 3 * 150, 0)
    y, x = np.mgrid[:480, :720] + 0.5
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


# --- samples ------------------------------------------------------------------------------------------------------


def test_by_default_the_torso_is_that_of_the_arrays():
    split = one_person()
    assert tompson.Tompson(settings()).prepare_split(split) is split


def test_joints_stay_and_the_torso_is_the_centre_of_the_box():
    split = one_person()
    prepared = tompson.Tompson(settings('--torso_from', 'torsobox')).prepare_split(split)
    assert prepared.joints.dtype == np.float32 and prepared.joints[0, TORSO].tolist() == [320, 165]
    np.testing.assert_array_equal(prepared.joints[:, :TORSO], split.joints[:, :TORSO])
    assert split.joints[0, TORSO].tolist() == [509, 359]  # the arrays' is left alone


def test_the_torso_goes_with_flip_rotation_zoom_and_shift():
    """Where the white spot is after the augmentation, there is the torso's point, and its map peaks there."""
    options = settings(
        '--torso_from',
        'torsobox',
        '--data_augm',
        '--rotation',
        '30',
        '--zoom',
        '0.7',
        '1.4',
        '--shift',
        '30',
    )
    split = tompson.Tompson(options).prepare_split(one_person())
    person = crops.person_from_row(split, 0)
    samples = [
        tompson.Tompson(options).training_sample(
            split.images[0], person, np.random.default_rng(seed)
        )
        for seed in range(12)
    ]
    assert (
        len({np.linalg.det(sample.to_image[:, :2]) < 0 for sample in samples}) == 2
    )  # mirrored ones, and others
    assert np.ptp([sample.joints_xy[TORSO, 0] for sample in samples]) > 100
    for sample in samples:
        assert_torso_on_the_spot(sample, options)


def test_the_torso_goes_with_all_views_of_the_evaluation():
    options = settings('--torso_from', 'torsobox', '--flip_average')
    split = tompson.Tompson(options).prepare_split(one_person())
    views = tompson.Tompson(options).views(split.images[0], crops.person_from_row(split, 0))
    assert len(views) == 16
    for view in [
        *views,
        tompson.Tompson(options).test_sample(split.images[0], crops.person_from_row(split, 0)),
    ]:
        assert_torso_on_the_spot(view, options)


def assert_torso_on_the_spot(sample, options):
    np.testing.assert_allclose(sample.joints_xy[TORSO], centre_of_light(sample.image), atol=0.7)
    for made in (
        tompson.Tompson(options).encode(sample.joints_xy[None], sample.visible[None]),
        tompson.Tompson(options).extra_inputs(sample.joints_xy[None]),
    ):
        row, column = np.unravel_index(made['torso_map'][0, :, :, 0].argmax(), (60, 90))
        assert (column, row) == tuple((sample.joints_xy[TORSO] // 8).astype(int))


def test_main_loads_both_splits_with_it(arrays_folder):
    manifest = arrays.read_manifest(arrays_folder)
    for torso_from in ('joints', 'torsobox'):
        options = settings('--data', arrays_folder, '--torso_from', torso_from)
        for name, split in main.load_splits(tompson.Tompson(options), options, manifest).items():
            corners = np.load(os.path.join(arrays_folder, f'joints_{name}_flic.npy'))[
                :, [0, 3, 6, 7]
            ]
            boxes = np.load(os.path.join(arrays_folder, f'people_{name}_flic.npy'))['torsobox']
            wanted = (
                corners.mean(axis=1)
                if torso_from == 'joints'
                else boxes.reshape(-1, 2, 2).mean(axis=1)
            )
            np.testing.assert_allclose(split.joints[:, TORSO], wanted, atol=1e-3)
            batch = batches.plain_batch(tompson.Tompson(options), split, [0])
            assert batch.targets['torso_map'].sum() == 1


# --- priors -------------------------------------------------------------------------------------------------------


def test_histograms_of_both_torsos_by_brute_force(arrays_folder):
    path = os.path.join(arrays_folder, pairwise_distr.FILE)
    people = stored_split(arrays_folder)
    moved = people.joints.copy()
    moved[:, TORSO] = (people.people['torsobox'][:, :2] + people.people['torsobox'][:, 2:]) / 2
    of_joints = pairwise_distr.load(path)
    of_box = pairwise_distr.load(path, frame=PersonFrame(flic.Flic(), 'torsobox'))
    for index, pair in enumerate(flic.PAIRS):
        if TORSO not in pair:
            np.testing.assert_array_equal(of_box[index], of_joints[index])
        elif pair in ((0, TORSO), (7, TORSO), (TORSO, 8)):
            np.testing.assert_allclose(
                of_joints[index], brute_force(people.joints, *pair), atol=1e-8
            )
            np.testing.assert_allclose(of_box[index], brute_force(moved, *pair), atol=1e-8)
            assert np.abs(of_box[index] - of_joints[index]).max() > 1e-3


@pytest.mark.parametrize('held_out', [False, True])
def test_the_spatial_model_starts_from_the_priors_of_its_torso(arrays_of_26, held_out):
    """Read from the file; with --validation, of those who are left."""
    manifest = arrays.read_manifest(arrays_of_26)
    for torso_from in ('joints', 'torsobox'):
        options = settings(
            '--data', arrays_of_26, '--torso_from', torso_from, *['--validation'] * held_out
        )
        people = main.load_splits(tompson.Tompson(options), options, manifest)['train']
        energies = tompson.Tompson(options).initial_values(people, manifest)[
            'spatial_model/energies'
        ]
        nose = spatial_model.PAIRS_TO_JOINTS.index((8, TORSO))
        expected = spatial_model.initial_energies(
            brute_force(people.joints, 8, TORSO)[None].astype(np.float32)
        )
        np.testing.assert_allclose(energies[nose], expected[0], atol=1e-3)


def test_priors_from_before_there_was_a_choice(arrays_folder, tmp_path):
    """They still serve the joints' torso; for the other one a line says what to do."""
    path = tmp_path / pairwise_distr.FILE
    with np.load(os.path.join(arrays_folder, pairwise_distr.FILE)) as file:
        np.savez_compressed(path, **{name: file[name] for name in file if 'torsobox' not in name})
    manifest = arrays.read_manifest(arrays_folder)
    people = stored_split(arrays_folder)
    assert tompson.Tompson(settings('--data', str(tmp_path))).initial_values(people, manifest)
    options = settings('--data', str(tmp_path), '--torso_from', 'torsobox')
    with pytest.raises(InputError, match=r'holds no lsho_torsobox.*run pairwise_distr.py again'):
        tompson.Tompson(options).initial_values(people, manifest)


# --- options and checkpoints --------------------------------------------------------------------------------------


def restored(trained_with, *arguments):
    """Options of a call that restores a run trained with that torso."""
    settings_of_run = {
        **command_line.settings_of(settings(), tompson.Tompson),
        'torso_from': trained_with,
    }
    options, explicit = command_line.parse(
        tompson.Tompson, ['tompson'], ['--restore', 'run', *arguments]
    )
    return command_line.merge_restored(
        options, explicit, settings_of_run, 'run', tompson.Tompson, ['tompson']
    ), settings_of_run


def test_a_restored_run_keeps_its_torso():
    for arguments in ([], ['--train'], ['--predict', 'a.jpg']):
        assert restored('torsobox', *arguments)[0].torso_from == 'torsobox'
    with pytest.raises(InputError, match='--torso_from joints: the run of run has torsobox'):
        restored('torsobox', '--train', '--torso_from', 'joints')


def test_an_evaluation_may_have_another_torso_and_says_so():
    said = []
    options, *_ = run_options.resolve_options(
        ['--restore', QUARTER, '--torso_from', 'torsobox'], said.append
    )
    assert options.torso_from == 'torsobox'  # that run is from before there was a choice
    assert [line for line in said if 'torso' in line] == [
        'note: --torso_from torsobox: that run was trained with joints'
    ]
    said.clear()
    assert (
        run_options.resolve_options(['--restore', QUARTER], said.append)[0].torso_from == 'joints'
    )
    assert (
        run_options.resolve_options(['--restore', QUARTER, '--torso_from', 'joints'], said.append)[
            0
        ].torso_from
        == 'joints'
    )
    assert not [line for line in said if 'torso_from' in line]
    options, stored = restored('torsobox')
    assert command_line.changed_inputs(options, stored, tompson.Tompson, ['tompson']) == {}
    options, stored = restored('torsobox', '--torso_from', 'joints')
    assert command_line.changed_inputs(options, stored, tompson.Tompson, ['tompson']) == {
        'torso_from': 'torsobox'
    }


def test_fine_tuning_takes_the_torso_over():
    stored = {**command_line.settings_of(settings(), tompson.Tompson), 'torso_from': 'torsobox'}
    for arguments, expected in ([], 'torsobox'), (['--torso_from', 'joints'], 'joints'):
        options, explicit = command_line.parse(
            tompson.Tompson,
            ['tompson'],
            ['--train', '--init', 'run', *arguments],
        )
        command_line.merge_initial(options, explicit, stored, 'run', tompson.Tompson, ['tompson'])
        command_line.merge_initial(options, explicit, stored, 'run', tompson.Tompson, ['tompson'])
        assert options.torso_from == expected


@pytest.mark.parametrize(
    ('arguments', 'expected'),
    [
        (['--train', '--torso_from', 'torsobox'], '--torso_from torsobox goes with --use_sm'),
        (
            ['--restore', QUARTER, '--predict', 'a.jpg', '--torso_from', 'torsobox'],
            '--torso_from goes without --predict',
        ),
    ],
)
def test_refused(arguments, expected, capsys):
    with pytest.raises(SystemExit):
        run_options.resolve_options(arguments)
    assert expected in capsys.readouterr().err


def test_evaluation_with_the_other_torso(untrained, arrays_folder, tmp_path):
    """The part detector sees no torso: its joints stay; the joint model's follow the box, and the file says so."""
    shutil.copytree(untrained / 'models_ex' / 'sm', tmp_path / 'sm')
    done = forked.run(
        [
            'tests/narrow_main.py',
            '--restore',
            tmp_path / 'sm',
            '--torso_from',
            'torsobox',
            '--data',
            arrays_folder,
            '--tb_folder',
            '',
            '--predictions',
            tmp_path / 'p.mat',
        ],
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    former, found = (
        scipy.io.loadmat(folder / name)
        for folder, name in ((untrained, 'predictions.mat'), (tmp_path, 'p.mat'))
    )
    np.testing.assert_array_equal(found['flic_pred_pd'], former['flic_pred_pd'])
    assert (found['flic_pred_sm'] != former['flic_pred_sm']).any()
    assert found['found_with'].tolist() == ['--scales multi --decode subcell --torso_from torsobox']
    assert former['found_with'].tolist() == ['--scales multi --decode subcell']
