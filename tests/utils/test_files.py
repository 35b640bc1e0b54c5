"""Files that are somebody else's, pipes in place of files, bombs, escapes, streams that are closed, signals."""

import argparse
import errno
import json
import os
import pty
import shlex
import shutil
import signal
import sys
import time

import forked
import numpy as np
import pytest
import scipy.io
from tqdm import tqdm

from jointpose import pairwise_distr, run_options, systems
from jointpose.datasets import arrays
from jointpose.evaluation import predictions
from jointpose.nn import import_weights
from jointpose.systems import tompson
from jointpose.training import checkpoint, runs, trainer
from jointpose.training import options as command_line
from jointpose.utils import cli, files, mat_files, numpy_files
from jointpose.utils.errors import InputError
from jointpose.utils.log import log
from jointpose.utils.terminal import printable

PRETRAINED = os.path.join(forked.ROOT, 'pretrained', 'flic')


# ---------------------------------------------------------------- what is no file, or not what it seems


def test_a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for(tmp_path, arrays_folder):
    pipe = str(tmp_path / 'pipe.npz')
    os.mkfifo(pipe)
    for load in (
        numpy_files.open_npy,
        mat_files.load_mat,
        files.checksum,
        predictions.load_variables,
        pairwise_distr.load,
        import_weights.load,
    ):
        with pytest.raises(InputError, match=r'pipe.npz: .*not a file'):
            load(pipe)
    for name in (arrays.MANIFEST, 'x_test_flic.npy', 'people_test_flic.npy'):
        folder = tmp_path / name.split('.')[0]
        folder.mkdir()
        for other in os.listdir(arrays_folder):
            if other != name and other != 'synthetic_FLIC':
                os.link(os.path.join(arrays_folder, other), folder / other)
        os.mkfifo(folder / name)
        with pytest.raises(InputError, match=f'{name}: not a file'):
            arrays.load_split(str(folder), 'test', arrays.read_manifest(str(folder)))
    os.mkfifo(tmp_path / 'lock')
    with pytest.raises(InputError, match='lock: not a file'):
        runs.lock(str(tmp_path))


def test_a_mat_file_that_would_fill_the_memory_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(mat_files, 'MAX_MAT', 64 << 20)
    path = str(tmp_path / 'bomb.mat')
    scipy.io.savemat(path, {'pred': np.zeros(100 << 20, np.uint8)}, do_compression=True)
    assert os.path.getsize(path) < 1 << 20
    with pytest.raises(
        InputError, match=r'bomb\.mat: not read: it needs more memory than .* 0\.1 GB'
    ):
        predictions.load_variables(path)
    scipy.io.savemat(path, {'pred': np.ones(4)})
    assert list(predictions.load_variables(path)['pred'][0]) == [1, 1, 1, 1]
    np.ones(200 << 20, np.uint8)  # this process has no such limit


def test_an_array_cut_short_meanwhile_is_an_error_that_names_it(arrays_folder, tmp_path):
    for name in os.listdir(arrays_folder):
        if name != 'synthetic_FLIC':
            with (
                open(os.path.join(arrays_folder, name), 'rb') as source,
                open(tmp_path / name, 'wb') as file,
            ):
                file.write(source.read())
    split = arrays.load_split(str(tmp_path), 'train', arrays.read_manifest(str(tmp_path)))
    whole = np.load(tmp_path / 'x_train_flic.npy')
    np.testing.assert_array_equal(split.images[[3, 1]], whole[[3, 1]])
    np.testing.assert_array_equal(split.images[-1], whole[-1])
    np.testing.assert_array_equal(split.images[2:4], whole[2:4])
    assert len(split.images) == len(whole) and split.images.shape == whole.shape
    for name in os.listdir(tmp_path):
        os.truncate(tmp_path / name, os.path.getsize(tmp_path / name) // 2)
    np.testing.assert_array_equal(split.images[1], whole[1])
    with pytest.raises(InputError, match=r'x_train_flic.npy: has been cut short: row 15'):
        split.images[15]
    assert np.isfinite(split.joints).all() and split.people['file'][-1]  # small: in memory


@pytest.mark.parametrize('number', [errno.EIO, errno.ESTALE])
def test_a_disk_that_cannot_be_read_is_reported_in_the_systems_words(
    arrays_folder, monkeypatch, number
):
    images = arrays.load_split(arrays_folder, 'train', arrays.read_manifest(arrays_folder)).images

    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, 'preadv', fail)
    with pytest.raises(
        InputError, match=f'x_train_flic.npy: row 3 cannot be read: {os.strerror(number)}'
    ):
        images[3]


def test_rows_stay_those_of_the_array_that_was_opened(arrays_folder, tmp_path, monkeypatch):
    """Though data.py puts another one in its place; and a read that gives less than was asked for is gone on with."""
    folder = shutil.copytree(arrays_folder, tmp_path / 'arrays')
    images = arrays.load_split(str(folder), 'train', arrays.read_manifest(str(folder))).images
    before = np.load(folder / 'x_train_flic.npy')
    np.save(tmp_path / 'x.npy', 255 - before)
    os.replace(tmp_path / 'x.npy', folder / 'x_train_flic.npy')
    preadv = os.preadv
    monkeypatch.setattr(
        os, 'preadv', lambda file, buffers, start: preadv(file, [buffers[0][:100_000]], start)
    )
    np.testing.assert_array_equal(images[[0, 5]], before[[0, 5]])


def no_array():
    return np.empty(1 << 60, np.uint8)


def no_thread():
    raise RuntimeError("can't start new thread")


def no_process():
    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def no_block():
    raise OSError(errno.EIO, os.strerror(errno.EIO), 'arrays/people_test_flic.npy')


@pytest.mark.parametrize(
    'fault, words',
    [
        (no_array, 'out of memory: Unable to allocate'),
        (no_thread, "out of memory: can't start new thread"),
        (no_process, 'Resource temporarily unavailable'),
        (no_block, 'arrays/people_test_flic.npy: Input/output error'),
    ],
)
def test_what_the_machine_lacks_is_one_line_and_exit_code_1(capsys, fault, words):
    with pytest.raises(SystemExit) as end:
        cli.run_script(fault)
    (line,) = capsys.readouterr().err.splitlines()
    assert end.value.code == 1 and ' error: ' in line and words in line


def test_a_mistake_of_the_programs_own_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        cli.run_script(lambda: 1 / 0)


# ---------------------------------------------------------------- right checksum, wrong content


@pytest.fixture
def published(tmp_path):
    """A copy of the published checkpoint, and a function that changes its state.json and sets the checksum right."""
    found = checkpoint.find('', PRETRAINED)
    folder = tmp_path / 'models' / 'run' / os.path.basename(found.path)
    folder.mkdir(parents=True)
    for name in os.listdir(found.path):
        if name != checkpoint.STATE:
            os.link(os.path.join(found.path, name), folder / name)

    def rewrite(**changes):
        state = {**found.state, **changes}
        state['settings'] = changes.get(
            'settings', {**found.state['settings'], **changes.pop('some', {})}
        )
        state.pop('some', None)
        (folder / checkpoint.STATE).write_text(json.dumps({**state, 'crc': checkpoint._crc(state)}))
        return str(folder)

    return rewrite


@pytest.mark.parametrize(
    'changes',
    [
        {'step': -1},
        {'step': '7'},
        {'step': True},
        {'settings': []},
        {'settings': None},
        {'files': {}},
        {'files': []},
        {'files': {'model.index': 7}},
        {'files': {'../../x': '0', 'model.index': '0'}},
        {'best': {'step': 'a', 'rate': 1}},
        {'best': 7},
        {'sums': [1]},
        {'epochs_logged': 1.5},
        {'data_id': ['a']},
        {'code': None},
        {'time': 'now'},
    ],
    ids=str,
)
def test_a_state_of_wrong_types_is_damaged(published, changes):
    path = published(**changes)
    with pytest.raises(InputError, match=f'state.json is damaged: .*{next(iter(changes))}'):
        checkpoint.load(path)


@pytest.mark.parametrize(
    'some',
    [
        {'width': '16'},
        {'width': -1},
        {'width': 16.5},
        {'width': True},
        {'width': [16]},
        {'use_sm': 1},
        {'lr': 'nan'},
        {'lr': None},
        {'zoom': [0.5]},
        {'zoom': 0.5},
        {'zoom': ['0.5', 1]},
        {'gpus': []},
        {'gpus': [-1]},
        {'optimizer': 'sgd'},
        {'optimizer': {}},
        {'dataset': '../x'},
        {'seed': 1e999},
    ],
    ids=str,
)
def test_settings_that_no_command_line_could_give_are_refused(published, some):
    path = published(some=some)
    for arguments in (['--restore', path], ['--train', '--init', path]):
        with pytest.raises(InputError, match=f'setting {next(iter(some))} is'):
            run_options.resolve_options(arguments)


def test_settings_of_every_option_are_taken_as_they_were_stored(published):
    words = [
        '--train',
        '--use_sm',
        '--data_augm',
        '--gpus',
        '0',
        '1',
        '--zoom',
        '0.7',
        '1.4',
        '--train_examples',
        '9',
        '--lr',
        '1',
        '--lr_steps',
        '170:0.1',
        '200:0.01',
        '--colour',
        '0.2',
    ]
    options, explicit = command_line.parse(tompson.Tompson, systems.names(), words)
    settings = json.loads(json.dumps(command_line.settings_of(options, tompson.Tompson)))
    restored, _ = command_line.parse(
        tompson.Tompson, systems.names(), ['--train', '--restore', 'x']
    )
    command_line.merge_restored(
        restored, {'train', 'restore'}, settings, 'x', tompson.Tompson, systems.names()
    )
    assert command_line.settings_of(restored, tompson.Tompson) == settings and explicit


@pytest.mark.parametrize('system', ['../evil', 'nobody', ['tompson'], 7, None])
def test_a_checkpoint_of_no_system_is_refused(published, system):
    with pytest.raises(InputError, match='of a system that is not here'):
        run_options.resolve_options(['--restore', published(some={'system': system})])


@pytest.mark.parametrize(
    'changes',
    [
        {'id': ['a']},
        {'id': 7},
        {'counts': {'train': '16', 'test': 4}},
        {'counts': {'train': -1, 'test': 4}},
        {'counts': {'train': True, 'test': 4}},
        {'counts': [16, 4]},
        {'counts': None},
        {'checksums': []},
        {'spots': {'x_test_flic.npy': 7}},
        {'settings': 3},
        {'dataset': 'nobody'},
        {'dataset': ['flic']},
        {'dataset': 'mpii'},
        {'dataset': 'mpii', 'images': 7},
    ],
    ids=str,
)
def test_a_manifest_of_wrong_types_is_none(arrays_folder, tmp_path, changes):
    with open(os.path.join(arrays_folder, arrays.MANIFEST)) as file:
        (tmp_path / arrays.MANIFEST).write_text(json.dumps({**json.load(file), **changes}))
    with pytest.raises(InputError, match='not a manifest'):
        arrays.read_manifest(str(tmp_path))


# ---------------------------------------------------------------- the terminal


def test_nothing_from_a_file_moves_the_cursor(tmp_path):
    done = forked.run(['evaluate.py', 'x.mat', '--data', 'a\x1b[2Kb\x07'], cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith(
        'evaluate.py: error: a\\x1b[2Kb\\x07/manifest.json: no such'
    )
    assert printable('h\u00fc\x1b]0;x\x07\ud800\n') == 'h\u00fc\\x1b]0;x\\x07\\ud800\n'


def test_nothing_that_a_script_prints_moves_the_cursor(capsys):
    """Texts of files come printed in many places: each script's standard output makes them printable."""

    def main():
        print('\x1b[2K', 'a\rb', sep='\n')
        sys.stdout.writelines(['\x9b1A\n'])

    with pytest.raises(SystemExit):
        cli.run_script(main)
    assert capsys.readouterr().out == '\\x1b[2K\na\\rb\n\\x9b1A\n'


def test_names_in_a_mat_file_do_not_reach_the_terminal_by_a_warning(tmp_path):
    """SciPy warns of a variable that is there twice, and shows its name as it is."""
    path = tmp_path / 'twice.mat'
    with open(path, 'wb') as file:
        scipy.io.savemat(file, {'a1b2': np.ones(1)})
        scipy.io.savemat(file, {'a1b2': np.ones(1)})
    path.write_bytes(path.read_bytes().replace(b'a1b2', b'\x1b[2K'))
    code = 'import sys; from jointpose.utils import mat_files; print(ascii(sorted(mat_files.load_mat(sys.argv[1]))))'
    loaded = forked.run(['-c', code, path], env={**os.environ, 'PYTHONPATH': forked.ROOT})
    assert '\\x1b[2K' in loaded.stdout and '\x1b' not in loaded.stdout and loaded.stderr == ''


def test_a_mat_file_of_version_7_3_is_refused_by_name(tmp_path):
    """MATLAB's header before HDF5: what to do instead of a word about another library."""
    header = b'MATLAB 7.3 MAT-file'.ljust(124) + b'\x00\x02IM'
    (tmp_path / 'new.mat').write_bytes(
        header.ljust(512, b'\0') + b'\x89HDF\r\n\x1a\n'.ljust(64, b'\0')
    )
    with pytest.raises(
        InputError, match=r'new\.mat: a \.mat file of version 7\.3 .* save it as version 7'
    ):
        mat_files.load_mat(str(tmp_path / 'new.mat'))


@pytest.mark.parametrize(
    'script', ['main.py', 'data.py', 'evaluate.py', 'pairwise_distr.py', 'show.py', 'export.py']
)
def test_wrong_usage_is_one_line_and_a_hint(script):
    done = forked.run([script, '--no_such_option'])
    assert done.returncode == 2 and done.stderr.count('\n') == 1
    assert done.stderr.startswith(f'{script}: error: ') and '--help' in done.stderr


# ---------------------------------------------------------------- signals


def wait_until(condition, process, patience=300):
    ends = time.monotonic() + patience
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < ends
        time.sleep(0.01)


def looping(saved, ignored):
    """Exit code of a script that draws a bar and says lines until a signal comes; `saved`: file that it writes then."""
    sys.stdout, sys.stderr = (open(stream, 'w', closefd=False) for stream in (1, 2))  # noqa: SIM115
    signal.signal(
        signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL
    )  # the tests may run under nohup

    def loop():
        with trainer.Signals() as signals, tqdm(mininterval=0) as bar:
            print('ready', flush=True)
            while signals.code is None:
                bar.update()
                log('step')
                time.sleep(0.001)
        saved.touch()
        return signals.code

    try:
        cli.run_script(loop)
    except SystemExit as end:
        return end.code


@pytest.mark.parametrize('ignored', [False, True])
def test_a_terminal_that_is_closed_ends_a_run_as_sigterm_does_unless_nohup(tmp_path, ignored):
    """A real terminal: whoever writes to it afterwards gets an error."""
    pid, terminal = pty.fork()
    if pid == 0:
        code = 99
        try:
            code = looping(tmp_path / 'saved', ignored)
        finally:
            os._exit(code)
    said = b''
    while b'ready' not in said:
        said += os.read(terminal, 1 << 12)
    os.close(terminal)  # the kernel sends SIGHUP
    if ignored:
        time.sleep(0.1)
        os.kill(pid, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == (143 if ignored else 129)
    assert (tmp_path / 'saved').exists()


def children(pid):
    with open(f'/proc/{pid}/task/{pid}/children') as file:
        return file.read().split()


def runs_still(pid):
    try:
        with open(f'/proc/{pid}/stat') as file:
            return file.read().rpartition(')')[2].split()[0] not in 'ZX'
    except OSError:
        return False


def test_workers_end_with_their_parent(tmp_path):
    """kill -9 of data.py, while its workers write: nobody is left."""
    process = forked.start(
        ['tests/held_data.py', '--synthetic', 60, '--workers', 2, '--out', tmp_path]
    )
    wait_until(
        lambda: list(tmp_path.glob('x_*.partial')) and len(children(process.pid)) == 2, process
    )
    workers = children(process.pid)
    process.kill()
    process.communicate()
    ends = time.monotonic() + 300
    while any(map(runs_still, workers)):
        assert time.monotonic() < ends, 'they go on without data.py'
        time.sleep(0.01)


# ---------------------------------------------------------------- runs


@pytest.mark.parametrize(
    'places',
    [{}, {'data': 'my arrays', 'model_path': '/m', 'tb_folder': '', 'predictions': 'a;b.mat'}],
)
def test_the_line_to_go_on_with_leads_to_the_same_places(places):
    words = [word for name, value in places.items() for word in (f'--{name}', value)]
    options, _ = command_line.parse(tompson.Tompson, systems.names(), ['--train', *words])
    line = command_line.resume_command('models ex/run', options)
    assert '\n' not in line
    program, script, *words = shlex.split(line)
    again, explicit = command_line.parse(tompson.Tompson, systems.names(), words)
    assert (program, script, again.train, again.restore) == (
        'python',
        'main.py',
        True,
        'models ex/run',
    )
    for name in ('model_path', 'tb_folder', 'predictions', 'workers', 'chief', 'min_workers'):
        assert getattr(again, name) == getattr(options, name)
    assert explicit == {'train', 'restore', *places} - {'data'}  # the run remembers its arrays


def test_a_training_without_arrays_or_priors_leaves_nothing_behind(tmp_path, arrays_folder):
    (tmp_path / 'no_priors').mkdir()
    for name in os.listdir(arrays_folder):
        if name.endswith(('flic.npy', '.json')):
            os.link(os.path.join(arrays_folder, name), tmp_path / 'no_priors' / name)
    for data, word in (
        ('nowhere', 'run data.py first'),
        ('no_priors', 'run pairwise_distr.py first'),
    ):
        done = forked.run(['main.py', '--train', '--use_sm', '--data', data], cwd=tmp_path)
        assert done.returncode == 2 and word in done.stderr and done.stdout == ''
        assert os.listdir(tmp_path) == ['no_priors']


def test_only_gpus_that_were_asked_for_are_missed():
    def named(*words):
        return command_line.parse(tompson.Tompson, systems.names(), ['--train', *words])[
            0
        ].gpus_named

    assert named('--gpus', '0') and named('--gpus', '0', '1') and not named()
    options, _ = command_line.parse(tompson.Tompson, systems.names(), ['--train', '--restore', 'x'])
    for gpus, asked in (([0], False), ([0, 1], True)):
        restored = argparse.Namespace(**vars(options))
        settings = {**command_line.settings_of(options, tompson.Tompson), 'gpus': gpus}
        command_line.merge_restored(
            restored, {'train', 'restore'}, settings, 'x', tompson.Tompson, systems.names()
        )
        assert restored.gpus_named is asked and 'gpus_named' not in command_line.settings_of(
            restored, tompson.Tompson
        )
