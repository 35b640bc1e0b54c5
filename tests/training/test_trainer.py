"""Training from the command line: repeatable bit for bit, resumed exactly, and stopped the way it should be."""

import os
import shutil

import cv2
import forked
import numpy as np
import pytest
import scipy.io
import scipy.ndimage
from conftest import PLAIN, SETTINGS, Runs, make_arrays
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from jointpose import main, model, pairwise_distr, run_options, spatial_model, systems
from jointpose.datasets import arrays
from jointpose.nn.tf1 import tf
from jointpose.options import options as command_line
from jointpose.systems import tompson
from jointpose.training import batches, towers
from jointpose.utils import cli
from jointpose.vision import heatmaps


def test_whole_run_leaves_everything(whole):
    assert whole.result.stdout.count('Epoch ') == 2
    assert whole.result.stdout.count('one number each for: part detector (docs/logs.md)') == 1
    assert len(whole.steps('whole')) == 8 and len(whole.epochs('whole')) == 2
    assert set(whole.checkpoints('whole')) == {'step-00000004', 'step-00000008'}
    found = scipy.io.loadmat(whole.folder / 'whole.mat')
    assert found['flic_pred_pd'].shape == (2, 9, 4) and 'flic_pred_sm' not in found
    assert found['index'].ravel().tolist() == [0, 1, 2, 3]
    scored = forked.run(
        [
            'evaluate.py',
            whole.folder / 'whole.mat',
            '--data',
            whole.arrays_folder,
            '--out',
            whole.folder / 'curves',
        ]
    )
    assert scored.returncode == 0 and 'mean of 9' in scored.stdout, scored.stderr


def test_pictures_of_the_run(whole):
    """show.py's sheet holds the people asked for, drawn over; tools/plot_log.py's picture can be read."""
    for script, first, *more in (
        (
            'show',
            whole.folder / 'whole.mat',
            '--data',
            whole.arrays_folder,
            '--people',
            '3',
            '--worst',
        ),
        ('tools.plot_log', whole.folder / 'models' / 'whole'),
    ):
        out = whole.folder / f'{script}.png'
        result = forked.run(['-m', script, first, *more, '--out', out], cwd=forked.ROOT)
        assert result.returncode == 0, result.stderr
        picture = cv2.imread(str(out))
        if script == 'show':
            assert picture.shape == (240, 4 * 360, 3)
            assert not picture[:, 3 * 360 :].any() and picture[:, : 3 * 360].any()


def test_stopped_and_resumed_equals_uninterrupted(whole):
    """Equal seeds, equal runs, bit for bit, wherever they were stopped."""
    stopped = whole.run('--train', *SETTINGS, '--run', 'stopped', STOP_AT='3')
    assert stopped.returncode == 143 and 'models/stopped' in stopped.stderr, stopped.stderr
    assert 0 < len(whole.steps('stopped')) < 8
    at_once = ('--tb_folder', '', '--scales', 'single')  # of the joints at the end
    resumed = whole.run('--train', '--restore', 'stopped', *at_once)
    assert resumed.returncode == 0, resumed.stderr
    assert_equal(whole, 'stopped', 'whole')
    names = whole.weights('whole').keys()
    assert any(name.endswith('/average') for name in names) and any(
        'conv1_quarter' in name for name in names
    )


def assert_equal(runs, run, other):
    assert runs.steps(run) == runs.steps(other) and runs.epochs(run) == runs.epochs(other)
    weights = runs.weights(run)
    for name, value in runs.weights(other).items():
        np.testing.assert_array_equal(weights[name], value, err_msg=name)


@pytest.mark.long
def test_two_towers_stopped_by_ctrl_c_and_resumed_equal_uninterrupted(whole):
    """On two towers, the last step of each epoch one sample for both."""
    settings = [
        *SETTINGS,
        '--use_sm',
        '--gpus',
        '0',
        '1',
        '--train_examples',
        '13',
        '--n_epochs',
        4,
    ]
    assert whole.run('--train', *settings, '--run', 'towers').returncode == 0
    assert whole.run('--train', *settings, '--run', 'again').returncode == 0
    assert_equal(whole, 'again', 'towers')
    stopped = whole.run('--train', *settings, '--run', 'halved', STOP_AT='12', STOP_BY='2')
    assert stopped.returncode == 130 and 0 < len(whole.steps('halved')) < 20
    assert whole.run('--train', '--restore', 'halved', '--tb_folder', '').returncode == 0
    assert_equal(whole, 'halved', 'towers')


@pytest.mark.long
def test_restore_without_training_evaluates(whole):
    path = whole.folder / 'again.mat'
    result = whole.run('--restore', 'whole', '--predictions', path)
    assert result.returncode == 0, result.stderr
    before = scipy.io.loadmat(whole.folder / 'whole.mat')['flic_pred_pd']
    np.testing.assert_allclose(scipy.io.loadmat(path)['flic_pred_pd'], before, atol=1e-2)


def refusal(runs, capsys, *arguments):
    """What main.py says, in one line, as it refuses to work; within this process, which gives up
    its locks as the end of main.py's own would."""
    capsys.readouterr()
    locks = {}
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as end:
        patch.setattr('sys.argv', ['main.py', *runs.places(), *map(str, arguments)])
        patch.setattr('jointpose.checkpoints.runs.LOCKS', locks)
        cli.run_script(main.run_main)
    for lock in locks.values():
        lock.release()
    said = capsys.readouterr().err
    assert end.value.code == 2 and len(said.strip().splitlines()) == 1, said
    return said


def test_going_back_in_a_run_is_refused(whole, capsys):
    step_4 = whole.folder / 'models' / 'whole' / 'step-00000004'
    assert 'is newer' in refusal(whole, capsys, '--train', '--restore', step_4)
    assert set(whole.checkpoints('whole')) == {'step-00000004', 'step-00000008'}


def test_other_arrays_are_refused_for_training_and_noted_for_evaluation(whole, tmp_path, capsys):
    other = make_arrays(tmp_path, 12, '--seed', 5)
    said = refusal(whole, capsys, '--train', '--restore', 'whole', '--data', other)
    assert 'was trained on' in said
    options, _, found, _ = run_options.resolve_options(
        ['--restore', 'whole', '--data', other, *whole.places()[2:]]
    )
    main.check_data(arrays.read_manifest(other), found, options)
    assert 'note:' in (said := capsys.readouterr().out) and 'was trained on' in said


def test_one_process_at_a_time_trains_in_a_folder(whole, capsys):
    import fcntl

    folder = whole.folder / 'models' / 'busy'
    folder.mkdir()
    with open(folder / 'lock', 'a') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = refusal(whole, capsys, '--train', *SETTINGS, '--run', 'busy')
    assert 'another process is writing there' in said


@pytest.fixture(scope='module')
def piped(whole):
    """A plain run whose output nobody reads any more, with TensorBoard's summaries."""
    reader, writer = os.pipe()
    os.close(reader)
    whole.piped = whole.run(
        '--train',
        *PLAIN,
        '--n_epochs',
        1,
        '--run',
        'piped',
        '--tb_folder',
        whole.folder / 'tb',
        '--predictions',
        whole.folder / 'piped.mat',
        stdout=writer,
    )
    os.close(writer)
    return whole


def test_a_closed_pipe_costs_the_lines_not_the_run(piped):
    assert (
        piped.piped.stderr == ''
        and 'step-00000004' in piped.checkpoints('piped')
        and piped.piped.returncode == 0
    )


def test_the_part_detector_alone_leaves_nothing_of_a_spatial_model(piped):
    assert all('loss_pd' in step and 'loss_sm' not in step for step in piped.steps('piped'))
    for epoch in piped.epochs('piped'):
        assert all(
            means.keys() == {'loss_pd', 'rate_pd', 'joints_pd'}
            for means in (epoch['train'], epoch['test'])
        )
    for kind in ('train', 'test', 'train_iter'):
        tags = EventAccumulator(str(piped.folder / 'tb' / 'piped' / kind)).Reload().Tags()
        tags = [*tags['scalars'], *tags['images'], *tags['histograms']]
        assert 'main/loss_pd' in tags and not [
            tag for tag in tags if 'sm' in tag or 'spatial' in tag or 'given' in tag
        ]


def test_numbers_that_are_not_finite_stop_the_run_with_the_evidence(piped):
    """And another seed is another run."""
    result = piped.run(
        '--train', *PLAIN, '--n_epochs', 3, '--run', 'nan', '--seed', 1, NAN_FROM='1'
    )
    assert result.returncode == 3
    assert (
        'step 11' in result.stderr
        and 'loss_pd nan' in result.stderr
        and 'synthetic-0-' in result.stderr
    )
    assert result.stderr.count('update skipped') == 9
    assert all(np.isfinite(value).all() for value in piped.weights('nan').values())
    first, other = (piped.steps(run)[0] for run in ('nan', 'piped'))
    assert (
        np.isfinite(first['loss_pd'])
        and first['loss_pd'] != other['loss_pd']
        and first['lr'] == other['lr']
    )


@pytest.mark.parametrize(
    ('arguments', 'word'),
    [
        (['--train', '--run', 'whole'], 'holds a run already'),
        (['--restore', 'no_such_run'], "no run 'no_such_run' in "),
        (['--train', '--restore', 'whole', '--use_sm'], '--use_sm True: the run of'),
        (['--train', '--restore', 'whole', '--seed', '9'], '--seed 9: the run of'),
        (
            ['--train', '--restore', 'whole', '--zoom', '0.7', '1.3'],
            '--zoom [0.7, 1.3]: the run of',
        ),
        (['--restore', 'whole', '--no_batch_norm'], '--no_batch_norm True: the run of'),
        (['--train', '--restore', 'whole', '--validation'], '--validation True: the run of'),
        (
            ['--train', '--restore', 'whole', '--test_examples', '2'],
            '--test_examples 2: the run of',
        ),
        (
            ['--restore', 'whole', '--predictions', 'nowhere/p.mat'],
            'not a folder that can be written to',
        ),
        (['--train', '--data', 'nowhere', '--run', 'x'], 'run data.py first'),
    ],
)
def test_refused_in_one_line(whole, capsys, arguments, word):
    assert word in refusal(whole, capsys, *arguments)


@pytest.mark.parametrize(
    'arguments',
    [
        [],
        ['--train', '--batch_size', '0'],
        ['--train', '--gpus'],
        ['--train', '--gpus', '0', '0'],
        ['--train', '--gpus', '-1'],
        ['--train', '--n_epochs', '-1'],
        ['--train', '--lr', '-0.1'],
        ['--train', '--lr', 'nan'],
        ['--train', '--lmbd', '-1'],
        ['--train', '--lr', 'inf'],
        ['--train', '--optimizer', 'sgd'],
        ['--train', '--train_examples', '0'],
        ['--train', '--seed', '-1'],
        ['--train', '--run', 'a/b'],
        ['--train', '--keep', '0'],
        ['--train', '--save_minutes', '0'],
        ['--train', '--priors', 'none'],
        ['--train', '--no_auxiliary_loss'],
        ['--train', '--self_connections'],
        ['--train', '--width', '0'],
        ['--train', '--use_sm', '--loss', 'l1'],
        ['--train', '--scales', 'none'],
        ['--train', '--validation', '3'],
        ['--train', '--zoom', '2', '1'],
        ['--train', '--zoom', '0', '1'],
        ['--train', '--norm_decay', '1'],
        ['--train', '--spatial_dropout', '1'],
        ['--train', '--colour', '-0.1'],
        ['--train', '--targets', 'point'],
        ['--train', '--schedule', 'cosine', '--lr_steps', '3:0.1'],
        ['--train', '--use_sm', '--train_only', 'detector', '--no_auxiliary_loss'],
    ],
)
def test_wrong_option_values_are_refused_by_argparse(arguments):
    with pytest.raises(SystemExit) as stop:
        run_options.resolve_options(arguments)
    assert stop.value.code == 2


def test_ablations_of_the_spatial_model_go_with_it(capsys):
    def parse(*arguments):
        return command_line.parse(tompson.Tompson, systems.names(), arguments)[0]

    for option in ('--no_auxiliary_loss', '--self_connections'):
        assert getattr(parse('--train', '--use_sm', option), option[2:])
        parse('--restore', 'run', option)  # the run's own --use_sm decides
        with pytest.raises(SystemExit):
            parse('--train', option)
        assert f'{option} goes with --use_sm' in capsys.readouterr().err


# ---------------------------------------------------------------- one scale


def test_predictions_at_a_single_scale_are_those_of_the_log(whole, monkeypatch):
    """The same checkpoint, of a run that was moved, in a graph of its own, on test frames as the
    log has them; SciPy brings the maps back."""
    path, moved = whole.folder / 'single.mat', whole.folder / 'moved'
    shutil.copytree(whole.folder / 'models' / 'whole', moved)
    assert (
        whole.run('--restore', moved, '--scales', 'single', '--predictions', path).returncode == 0
    )
    found = scipy.io.loadmat(path)
    monkeypatch.setattr(model, 'CHANNELS', (1, 1, 1, 1, 1))
    _, system, newest, _ = run_options.resolve_options(
        [
            '--restore',
            'whole',
            '--conv',
            'direct',
            '--scales',
            'single',
            '--model_path',
            str(whole.folder / 'models'),
        ]
    )
    people = arrays.load_split(
        whole.arrays_folder, 'test', arrays.read_manifest(whole.arrays_folder)
    )
    with tf.Graph().as_default(), tf.Session() as session:
        batch = batches.placeholders(system)
        inference = towers.build_inference(system, batch, ['/cpu:0'])
        tf.train.Saver().restore(session, os.path.join(newest.path, 'model'))
        people = batches.plain_batch(system, people, np.arange(len(people.images)))
        outputs = session.run(inference.outputs, batches.feed(batch, people))
    assert list(outputs) == ['pd']
    for name, maps in outputs.items():
        row_col = [
            (np.arange(n) + 0.5 - n / 2) / 0.95 + n / 2 - 0.5 for n in maps.shape[1:3]
        ]  # zoomed cells
        at = np.meshgrid(range(len(maps)), *row_col, range(9), indexing='ij')
        back = scipy.ndimage.map_coordinates(
            np.asarray(maps, np.float64), at, order=1, mode='grid-constant'
        )
        np.testing.assert_allclose(
            found[f'flic_pred_{name}'].transpose(2, 1, 0), heatmaps.decode(back), atol=0.05
        )  # pixels
    several = scipy.io.loadmat(whole.folder / 'whole.mat')
    assert np.abs(found['flic_pred_pd'] - several['flic_pred_pd']).max() > 1


# ---------------------------------------------------------------- held-out people

HELD = [10, 20]  # of 21: the last of each ten of 20 stretches, floor(20 i / 21) = 9 and 19


@pytest.fixture(scope='module')
def held_out(tmp_path_factory, arrays_of_26):
    """An untrained run with --validation on 21 training people, two of them held out."""
    runs = Runs(tmp_path_factory.mktemp('held_out'), arrays_of_26)
    result = runs.run(
        '--train',
        '--width',
        '4',
        '--banks',
        '1',
        '--use_sm',
        '--validation',
        '--n_epochs',
        0,
        '--run',
        'held_out',
        '--scales',
        'single',
        '--tb_folder',
        '',
    )
    assert result.returncode == 0, result.stderr
    return runs


def test_predictions_of_held_out_people_name_them(held_out):
    found = scipy.io.loadmat(held_out.folder / 'predictions.mat')
    assert found['split'] == ['train'] and found['index'].ravel().tolist() == HELD
    scored = forked.run(
        [
            'evaluate.py',
            held_out.folder / 'predictions.mat',
            '--data',
            held_out.arrays_folder,
            '--out',
            held_out.folder / 'curves',
        ]
    )
    assert scored.returncode == 0 and 'train split' in scored.stdout, scored.stderr
    truth = np.load(os.path.join(held_out.arrays_folder, 'joints_train_flic.npy'))[HELD].astype(
        np.float64
    )
    torso = np.linalg.norm(truth[:, 6] - truth[:, 3], axis=-1)
    errors = (
        np.linalg.norm(found['flic_pred_pd'].transpose(2, 1, 0) - truth[:, :9], axis=-1)
        / torso[:, None]
    )
    row = next(line for line in scored.stdout.splitlines() if line.startswith('| mean of 9'))
    assert float(row.split('|')[5]) == pytest.approx(
        100 * (errors <= 0.2).mean(), abs=0.06
    )  # @20, and by whom
    assert row.split('|')[12].strip() == '2'


def test_held_out_people_are_not_trained_on(held_out):
    options, *_ = run_options.resolve_options(
        ['--train', '--validation', '--data', held_out.arrays_folder]
    )
    splits = main.load_splits(
        tompson.Tompson(options), options, arrays.read_manifest(held_out.arrays_folder)
    )
    assert splits['train'].rows.tolist() == sorted(set(range(21)) - set(HELD))
    assert splits['test'].rows.tolist() == HELD and {split.split for split in splits.values()} == {
        'train'
    }
    x = np.load(os.path.join(held_out.arrays_folder, 'x_train_flic.npy'), mmap_mode='r')
    for split in splits.values():
        batch = batches.plain_batch(tompson.Tompson(options), split, np.arange(len(split.images)))
        np.testing.assert_array_equal(batch.images, x[split.rows])
    plain, *_ = run_options.resolve_options(['--train', '--data', held_out.arrays_folder])
    splits = main.load_splits(
        tompson.Tompson(options), plain, arrays.read_manifest(held_out.arrays_folder)
    )
    assert [(len(split.rows), split.split) for split in splits.values()] == [
        (21, 'train'),
        (5, 'test'),
    ]


def test_priors_do_not_know_held_out_people(held_out):
    truth = np.load(os.path.join(held_out.arrays_folder, 'joints_train_flic.npy'))
    left = np.delete(truth, HELD, axis=0)
    histograms = pairwise_distr.pairwise_histograms(left, (60, 90))[:81]
    np.testing.assert_allclose(
        held_out.weights('held_out')['spatial_model/energies'],
        spatial_model.initial_energies(histograms),
        atol=1e-5,
    )
