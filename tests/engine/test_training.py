"""Training from the command line: repeatable bit for bit, resumed exactly, and stopped the way it should be."""
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
import scipy.io
import scipy.ndimage
from conftest import ROOT

import main
import model
import pairwise_distr
import spatial_model
import systems
from datasets import arrays
from engine import batches, heatmaps, towers
from engine import options as command_line
from engine.tf1 import tf
from systems import tompson

NARROW = os.path.join(ROOT, 'tests', 'narrow_main.py')
SETTINGS = ['--width', '4', '--use_sm', '--data_augm', '--gpus', '0', '1', '--batch_size', '3',
            '--train_examples', '13', '--tb_folder', '']


class Runs:
    """A folder for runs on the small arrays."""

    def __init__(self, folder, arrays_folder):
        self.folder, self.arrays_folder = folder, arrays_folder

    def command(self, *arguments):
        return [sys.executable, NARROW, '--data', self.arrays_folder, '--model_path', str(self.folder / 'models'),
                '--predictions', str(self.folder / 'predictions.mat'), *map(str, arguments)]

    def run(self, *arguments, **environment):
        return subprocess.run(self.command(*arguments), capture_output=True, text=True,
                              env={**os.environ, **environment})

    def steps(self, run):
        """[(step, losses, gradient norm, rate)] of a run's steps.jsonl: everything but the time."""
        with open(self.folder / 'models' / run / 'steps.jsonl') as file:
            return [{k: v for k, v in json.loads(line).items() if k != 'seconds'} for line in file]

    def epochs(self, run):
        with open(self.folder / 'models' / run / 'log.jsonl') as file:
            return [{k: v for k, v in json.loads(line).items() if k not in ('seconds', 'img_per_s')} for line in file]

    def weights(self, run):
        """{name: array} of the newest checkpoint."""
        newest = sorted(self.checkpoints(run))[-1]
        reader = tf.train.NewCheckpointReader(str(self.folder / 'models' / run / newest / 'model'))
        return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}

    def checkpoints(self, run):
        return [name for name in os.listdir(self.folder / 'models' / run) if name.startswith('step-')]


@pytest.fixture(scope='module')
def whole(tmp_path_factory, arrays_folder):
    """An uninterrupted run of 4 epochs of 5 steps, the last step of each one sample for two towers."""
    runs = Runs(tmp_path_factory.mktemp('runs'), arrays_folder)
    runs.result = runs.run('--train', *SETTINGS, '--n_epochs', 4, '--run', 'whole')
    assert runs.result.returncode == 0, runs.result.stderr
    shutil.copy(runs.folder / 'predictions.mat', runs.folder / 'whole.mat')
    return runs


def test_whole_run_leaves_everything(whole):
    assert whole.result.stdout.count('Epoch') == 4
    assert len(whole.steps('whole')) == 20 and len(whole.epochs('whole')) == 4
    assert set(whole.checkpoints('whole')) == {f'step-{step:08d}' for step in (10, 15, 20)}    # none chosen
    found = scipy.io.loadmat(whole.folder / 'whole.mat')
    assert found['flic_pred_pd'].shape == found['flic_pred_sm'].shape == (2, 9, 4)
    assert found['index'].ravel().tolist() == [0, 1, 2, 3]
    scored = subprocess.run([sys.executable, os.path.join(ROOT, 'evaluate.py'), str(whole.folder / 'predictions.mat'),
                             '--data', whole.arrays_folder, '--out', str(whole.folder / 'curves')],
                            capture_output=True, text=True)
    assert scored.returncode == 0 and 'mean of 9' in scored.stdout, scored.stderr


def test_pictures_of_the_run(whole):
    """show.py's sheet holds the people asked for, drawn over; tools/plot_log.py's picture can be read."""
    for script, first, *more in (('show', whole.folder / 'predictions.mat', '--data', whole.arrays_folder,
                                  '--people', '3', '--worst'), ('tools.plot_log', whole.folder / 'models' / 'whole')):
        out = whole.folder / f'{script}.png'
        result = subprocess.run([sys.executable, '-m', script, str(first), *more, '--out', str(out)],
                                capture_output=True, text=True, cwd=ROOT)
        assert result.returncode == 0, result.stderr
        picture = cv2.imread(str(out))
        if script == 'show':
            assert picture.shape == (240, 4 * 360, 3)
            assert not picture[:, 3 * 360:].any() and picture[:, :3 * 360].any()


def test_same_seed_same_losses_bit_for_bit_over_20_steps(whole):
    assert whole.run('--train', *SETTINGS, '--n_epochs', 4, '--run', 'again').returncode == 0
    assert whole.steps('again') == whole.steps('whole')
    assert whole.epochs('again') == whole.epochs('whole')


def test_another_seed_another_run(whole):
    assert whole.run('--train', *SETTINGS, '--n_epochs', 1, '--seed', 1, '--run', 'other').returncode == 0
    assert whole.steps('other')[0] != whole.steps('whole')[0]


def interrupt(runs, run, at_step, how):
    """Starts the 4-epoch run, waits until `at_step` steps are logged, sends the signal; returns (code, stderr)."""
    command = runs.command('--train', *SETTINGS, '--n_epochs', 4, '--run', run)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    log = runs.folder / 'models' / run / 'steps.jsonl'
    while process.poll() is None and (not log.exists() or log.read_text().count('\n') < at_step):
        time.sleep(0.01)
    process.send_signal(how)
    _, errors = process.communicate(timeout=120)
    return process.returncode, errors


@pytest.mark.parametrize(('how', 'code', 'at_step'), [
    (signal.SIGTERM, 143, 4), pytest.param(signal.SIGINT, 130, 8, marks=pytest.mark.long)])
def test_stopped_in_the_middle_of_an_epoch_and_resumed_equals_uninterrupted(whole, how, code, at_step):
    run = f'stopped_{code}'
    got, errors = interrupt(whole, run, at_step, how)
    assert got == code and f'{run} --data' in errors, errors
    assert 0 < len(whole.steps(run)) < 20
    resumed = whole.run('--train', '--restore', run, '--tb_folder', '')
    assert resumed.returncode == 0, resumed.stderr
    assert whole.steps(run) == whole.steps('whole')
    assert whole.epochs(run) == whole.epochs('whole')
    for name, value in whole.weights('whole').items():
        np.testing.assert_array_equal(whole.weights(run)[name], value, err_msg=name)


def test_a_run_of_all_options_resumes_exactly(whole):
    """Averages, dropout, schedule and drawn augmentation are all in the checkpoint, or follow from the step."""
    changed = ['--average_weights', 0.9, '--spatial_dropout', 0.3, '--schedule', 'cosine', '--warm_up', 3,
               '--zoom', 0.7, 1.4, '--shift', 20, '--colour', 0.2, '--dropout_boxes', 2,
               '--targets', 'subcell', '--norm_decay', 0.8]
    assert whole.run('--train', *SETTINGS, *changed, '--n_epochs', 2, '--run', 'all').returncode == 0
    models = whole.folder / 'models'
    shutil.copytree(models / 'all' / 'step-00000005', models / 'half' / 'step-00000005')
    resumed = whole.run('--train', '--restore', 'half', '--tb_folder', '')
    assert resumed.returncode == 0, resumed.stderr
    assert whole.steps('half') == whole.steps('all')[5:] and whole.epochs('half') == whole.epochs('all')[1:]
    weights = whole.weights('all')
    assert any(name.endswith('/average') for name in weights)
    for name, value in whole.weights('half').items():
        np.testing.assert_array_equal(weights[name], value, err_msg=name)
    refused = whole.run('--train', '--restore', 'whole', '--zoom', 0.7, 1.4)
    assert refused.returncode == 2 and '--zoom' in refused.stderr


def test_restore_without_training_evaluates(whole):
    before = scipy.io.loadmat(whole.folder / 'whole.mat')['flic_pred_sm']
    (whole.folder / 'predictions.mat').unlink(missing_ok=True)
    result = whole.run('--restore', 'whole')
    assert result.returncode == 0, result.stderr
    np.testing.assert_allclose(scipy.io.loadmat(whole.folder / 'predictions.mat')['flic_pred_sm'], before, atol=1e-2)


def test_a_moved_run_restores(whole):
    shutil.copytree(whole.folder / 'models' / 'whole', whole.folder / 'elsewhere')
    assert whole.run('--restore', whole.folder / 'elsewhere').returncode == 0


def test_going_back_in_a_run_is_refused(whole):
    older = sorted(whole.checkpoints('whole'))[0]
    result = whole.run('--train', '--restore', whole.folder / 'models' / 'whole' / older)
    assert result.returncode == 2 and 'is newer' in result.stderr
    assert older in whole.checkpoints('whole') and 'step-00000020' in whole.checkpoints('whole')


def test_other_arrays_are_refused_for_training_and_noted_for_evaluation(whole, tmp_path):
    for script in (['data.py', '--synthetic', '12', '--seed', '5', '--out', str(tmp_path)],
                   ['pairwise_distr.py', '--data', str(tmp_path)]):
        subprocess.run([sys.executable, os.path.join(ROOT, script[0]), *script[1:]], check=True, capture_output=True)
    result = whole.run('--train', '--restore', 'whole', '--data', tmp_path)
    assert result.returncode == 2 and 'was trained on' in result.stderr
    result = whole.run('--restore', 'whole', '--data', tmp_path)
    assert result.returncode == 0 and 'note:' in result.stdout and 'was trained on' in result.stdout


def test_one_process_at_a_time_trains_in_a_folder(whole):
    import fcntl
    folder = whole.folder / 'models' / 'busy'
    folder.mkdir()
    with open(folder / 'lock', 'a') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = whole.run('--train', *SETTINGS, '--n_epochs', 1, '--run', 'busy')
    assert result.returncode == 2 and 'another process trains' in result.stderr


def test_a_closed_pipe_costs_the_lines_not_the_run(whole):
    command = whole.command('--train', *SETTINGS, '--n_epochs', 1, '--run', 'piped')
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        process.stdout.readline()
        process.stdout.close()
        process.wait(timeout=200)
    assert 'step-00000005' in whole.checkpoints('piped')


def test_part_detector_alone(whole):
    result = whole.run('--train', '--width', '4', '--n_epochs', 1, '--batch_size', 8, '--run', 'pd', '--tb_folder', '')
    assert result.returncode == 0, result.stderr
    found = scipy.io.loadmat(whole.folder / 'predictions.mat')
    assert 'flic_pred_pd' in found and 'flic_pred_sm' not in found
    assert all('loss_pd' in step and 'loss_sm' not in step for step in whole.steps('pd'))
    for epoch in whole.epochs('pd'):
        assert all(means.keys() == {'loss_pd', 'rate_pd', 'joints_pd'} for means in (epoch['train'], epoch['test']))


def test_numbers_that_are_not_finite_stop_the_run_with_the_evidence(whole):
    result = whole.run('--train', *SETTINGS, '--n_epochs', 4, '--run', 'nan', NAN_FROM='4')
    assert result.returncode == 3
    assert 'step 14' in result.stderr and 'loss_pd nan' in result.stderr and 'synthetic-0-' in result.stderr
    assert result.stderr.count('update skipped') == 9
    weights = whole.weights('nan')
    assert all(np.isfinite(value).all() for value in weights.values())


@pytest.mark.parametrize(('arguments', 'word'), [
    (['--train', '--run', 'whole'], 'holds a run already'),
    (['--restore', 'no_such_run'], 'no checkpoint there'),
    (['--train', '--restore', 'pd', '--use_sm'], '--use_sm True: the run of'),
    (['--train', '--restore', 'whole', '--seed', '9'], '--seed 9: the run of'),
    (['--restore', 'whole', '--no_batch_norm'], '--no_batch_norm True: the run of'),
    (['--train', '--restore', 'whole', '--validation'], '--validation True: the run of'),
    (['--train', '--restore', 'whole', '--test_examples', '2'], '--test_examples 2: the run of'),
    (['--restore', 'whole', '--predictions', 'nowhere/p.mat'], 'not a folder that can be written to'),
    (['--train', '--data', 'nowhere', '--run', 'x'], 'run data.py first'),
])
def test_refused_in_one_line(whole, arguments, word):
    result = whole.run(*arguments)
    assert result.returncode == 2 and word in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr


@pytest.mark.parametrize('arguments', [
    [], ['--train', '--batch_size', '0'], ['--train', '--gpus'], ['--train', '--gpus', '0', '0'],
    ['--train', '--gpus', '-1'], ['--train', '--n_epochs', '-1'], ['--train', '--lr', '-0.1'],
    ['--train', '--lr', 'nan'],
    ['--train', '--lmbd', '-1'], ['--train', '--lr', 'inf'], ['--train', '--optimizer', 'sgd'],
    ['--train', '--train_examples', '0'], ['--train', '--seed', '-1'], ['--train', '--run', 'a/b'],
    ['--train', '--keep', '0'], ['--train', '--save_minutes', '0'], ['--train', '--priors', 'none'],
    ['--train', '--no_auxiliary_loss'], ['--train', '--self_connections'], ['--train', '--width', '0'],
    ['--train', '--use_sm', '--loss', 'l1'], ['--train', '--scales', 'none'], ['--train', '--validation', '3'],
    ['--train', '--zoom', '2', '1'], ['--train', '--zoom', '0', '1'], ['--train', '--norm_decay', '1'],
    ['--train', '--spatial_dropout', '1'], ['--train', '--colour', '-0.1'], ['--train', '--targets', 'point']])
def test_wrong_option_values_are_refused_by_argparse(arguments):
    with pytest.raises(SystemExit) as stop:
        main.understand(arguments)
    assert stop.value.code == 2


def test_ablations_of_the_spatial_model_go_with_it(capsys):
    def parse(*arguments):
        return command_line.parse(tompson, systems.names(), arguments)[0]

    for option in ('--no_auxiliary_loss', '--self_connections'):
        assert getattr(parse('--train', '--use_sm', option), option[2:])
        parse('--restore', 'run', option)                                               # the run's own --use_sm decides
        with pytest.raises(SystemExit):
            parse('--train', option)
        assert f'{option} goes with --use_sm' in capsys.readouterr().err


# ---------------------------------------------------------------- one scale

def test_predictions_at_a_single_scale_are_those_of_the_log(whole, monkeypatch):
    """The same checkpoint in a graph of its own, on test frames as the log has them; SciPy brings the maps back."""
    path = whole.folder / 'single.mat'
    assert whole.run('--restore', 'whole', '--scales', 'single', '--predictions', path).returncode == 0
    found = scipy.io.loadmat(path)
    monkeypatch.setattr(model, 'CHANNELS', (1, 1, 1, 1, 1))
    options, system, newest, _ = main.understand(['--restore', 'whole', '--conv', 'direct', '--scales', 'single',
                                                  '--model_path', str(whole.folder / 'models')])
    people = arrays.load_split(whole.arrays_folder, 'test', arrays.read_manifest(whole.arrays_folder))
    with tf.Graph().as_default(), tf.Session() as session:
        batch = batches.placeholders(system, options)
        inference = towers.build_inference(system, batch, ['/cpu:0'], options)
        tf.train.Saver().restore(session, os.path.join(newest.path, 'model'))
        people = batches.plain_batch(system, people, np.arange(len(people.images)), options)
        outputs = session.run(inference.outputs, batches.feed(batch, people))
    assert list(outputs) == ['pd', 'sm']
    for name, maps in outputs.items():
        row_col = [(np.arange(n) + 0.5 - n / 2) / 0.95 + n / 2 - 0.5 for n in maps.shape[1:3]]       # zoomed cells
        at = np.meshgrid(range(len(maps)), *row_col, range(9), indexing='ij')
        back = scipy.ndimage.map_coordinates(np.asarray(maps, np.float64), at, order=1, mode='grid-constant')
        np.testing.assert_allclose(found[f'flic_pred_{name}'].transpose(2, 1, 0), heatmaps.decode(back),
                                   atol=0.05)                                                        # pixels
    several = scipy.io.loadmat(whole.folder / 'whole.mat')
    assert np.abs(found['flic_pred_sm'] - several['flic_pred_sm']).max() > 1


# ---------------------------------------------------------------- held-out people

HELD = [10, 20]             # of 21: the last of each ten of 20 stretches, floor(20 i / 21) = 9 and 19


@pytest.fixture(scope='module')
def held_out(tmp_path_factory):
    """An untrained run with --validation on 21 training people, two of them held out."""
    folder = tmp_path_factory.mktemp('held_out')
    data = str(folder / 'arrays')
    for script in (['data.py', '--synthetic', '26', '--out', data], ['pairwise_distr.py', '--data', data]):
        subprocess.run([sys.executable, os.path.join(ROOT, script[0]), *script[1:]], check=True, capture_output=True)
    runs = Runs(folder, data)
    result = runs.run('--train', '--width', '4', '--use_sm', '--validation', '--n_epochs', 0, '--run', 'held_out',
                      '--scales', 'single', '--tb_folder', '')
    assert result.returncode == 0, result.stderr
    return runs


def test_predictions_of_held_out_people_name_them(held_out):
    found = scipy.io.loadmat(held_out.folder / 'predictions.mat')
    assert found['split'] == ['train'] and found['index'].ravel().tolist() == HELD
    scored = subprocess.run([sys.executable, os.path.join(ROOT, 'evaluate.py'), held_out.folder / 'predictions.mat',
                             '--data', held_out.arrays_folder, '--out', held_out.folder / 'curves'],
                            capture_output=True, text=True)
    assert scored.returncode == 0 and 'train split' in scored.stdout, scored.stderr
    truth = np.load(os.path.join(held_out.arrays_folder, 'joints_train_flic.npy'))[HELD].astype(np.float64)
    torso = np.linalg.norm(truth[:, 6] - truth[:, 3], axis=-1)
    errors = np.linalg.norm(found['flic_pred_pd'].transpose(2, 1, 0) - truth[:, :9], axis=-1) / torso[:, None]
    row = next(line for line in scored.stdout.splitlines() if line.startswith('| mean of 9'))
    assert float(row.split('|')[5]) == pytest.approx(100 * (errors <= 0.2).mean(), abs=0.06)         # @20, and by whom
    assert row.split('|')[12].strip() == '2'


def test_held_out_people_are_not_trained_on(held_out):
    options, *_ = main.understand(['--train', '--validation', '--data', held_out.arrays_folder])
    splits = main.load_splits(tompson, options, arrays.read_manifest(held_out.arrays_folder))
    assert splits['train'].rows.tolist() == sorted(set(range(21)) - set(HELD))
    assert splits['test'].rows.tolist() == HELD and {split.split for split in splits.values()} == {'train'}
    x = np.load(os.path.join(held_out.arrays_folder, 'x_train_flic.npy'), mmap_mode='r')
    for split in splits.values():
        batch = batches.plain_batch(tompson, split, np.arange(len(split.images)), options)
        np.testing.assert_array_equal(batch.images, x[split.rows])
    plain, *_ = main.understand(['--train', '--data', held_out.arrays_folder])
    splits = main.load_splits(tompson, plain, arrays.read_manifest(held_out.arrays_folder))
    assert [(len(split.rows), split.split) for split in splits.values()] == [(21, 'train'), (5, 'test')]


def test_priors_do_not_know_held_out_people(held_out):
    truth = np.load(os.path.join(held_out.arrays_folder, 'joints_train_flic.npy'))
    histograms = pairwise_distr.pairwise_histograms(np.delete(truth, HELD, axis=0))[:81]
    np.testing.assert_allclose(held_out.weights('held_out')['spatial_model/energies'],
                               spatial_model.initial_energies(histograms), atol=1e-5)
