"""Locks on folders, partial files of killed processes, and staging."""

import errno
import fcntl
import os
import subprocess
import sys
import time

import forked
import pytest

from jointpose.checkpoints import checkpoint
from jointpose.datasets import arrays
from jointpose.inference import result_files
from jointpose.utils import files, folders
from jointpose.utils.errors import InputError

NOBODY = 99999999  # no process has this ID: Linux counts to 4194304


# --- locks --------------------------------------------------------------------------------------
def wait_for(process, condition):
    ends = time.monotonic() + 300
    while not condition():
        assert process.poll() is None and time.monotonic() < ends
        time.sleep(0.01)


def has_children(pid):
    with open(f'/proc/{pid}/task/{pid}/children') as file:
        return file.read() != ''


def test_of_two_data_py_at_once_the_second_is_refused_and_touches_nothing(tmp_path):
    command = ['--synthetic', 4, '--out', tmp_path / 'arrays']
    first = forked.start(['tests/held_data.py', *command])  # waits at its first image
    wait_for(first, lambda: list(tmp_path.glob('arrays/x_*.partial')) and has_children(first.pid))

    def files_and_times():
        return {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*') if path.is_file()}

    before = files_and_times()
    second = forked.run(['data.py', *command])
    (line,) = second.stderr.splitlines()
    assert (
        second.returncode == 2
        and f'data.py: error: --out {tmp_path}/arrays: process {first.pid} on ' in line
    )
    assert files_and_times() == before
    first.kill()
    first.communicate()
    forked.run(['data.py', *command], check=True)  # the killed process's lock file does not count
    names = os.listdir(tmp_path / 'arrays')
    assert folders.LOCK_NAME not in names and not [name for name in names if 'partial' in name]
    manifest = arrays.read_manifest(str(tmp_path / 'arrays'))
    arrays.load_split(str(tmp_path / 'arrays'), 'test', manifest, verify=True)
    with folders.locked(str(tmp_path / 'arrays'), '--out'):  # reading needs no lock
        arrays.load_split(str(tmp_path / 'arrays'), 'train', manifest, verify=True)
        assert forked.run(['pairwise_distr.py', '--data', tmp_path / 'arrays']).returncode == 2


def test_a_second_predict_in_the_folder_is_refused_before_it_looks_at_a_picture(tmp_path):
    (tmp_path / 'poses.json.5-00000000.partial').touch()
    with folders.locked(str(tmp_path), '--out'):
        second = forked.run(
            [
                'main.py',
                '--restore',
                os.path.join(forked.ROOT, 'pretrained', 'flic'),
                '--predict',
                os.path.join(forked.ROOT, 'docs', 'person.jpg'),
                '--out',
                tmp_path,
            ]
        )
    (line,) = second.stderr.splitlines()
    assert (
        second.returncode == 2
        and f'main.py: error: --out {tmp_path}: process {os.getpid()} on ' in line
    )
    assert os.listdir(tmp_path) == ['poses.json.5-00000000.partial']


def test_a_lock_is_held_by_one_and_leaves_no_file(tmp_path):
    folder = tmp_path / 'new' / 'out'
    with folders.locked(str(folder), '--out'):
        with pytest.raises(
            InputError, match=f'--out .*out: process {os.getpid()} on .*: wait until it has ended'
        ):
            folders.Lock(str(folder), '--out')
        (folder / 'result').touch()
    assert os.listdir(folder) == ['result']
    with folders.locked(str(tmp_path / 'empty'), '--out'):
        pass
    assert os.listdir(tmp_path) == ['new']


def test_a_lock_taken_while_its_holder_releases_it_is_a_real_one(tmp_path, monkeypatch):
    """The first ends after the second has opened the file; a third must still be refused."""
    flock = fcntl.flock
    first = folders.Lock(str(tmp_path), '--out')
    monkeypatch.setattr(
        fcntl, 'flock', lambda *args: (monkeypatch.undo(), first.release(), flock(*args))
    )
    second = folders.Lock(str(tmp_path), '--out')
    assert second._is_at_path(second.file)
    with pytest.raises(InputError, match='is writing there'):
        folders.Lock(str(tmp_path), '--out')
    second.release()


def test_a_users_own_file_of_the_locks_name_stays_as_it_is(tmp_path):
    (tmp_path / folders.LOCK_NAME).write_text('combination: 1234')
    with (
        folders.locked(str(tmp_path), '--out'),
        pytest.raises(InputError, match='another process is writing there'),
    ):
        folders.Lock(str(tmp_path), '--out')
    assert (tmp_path / folders.LOCK_NAME).read_text() == 'combination: 1234'


@pytest.mark.parametrize('number', sorted(folders.NO_LOCKS))
def test_a_file_system_without_locks_is_warned_of_once(tmp_path, monkeypatch, capsys, number):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, 'flock', fail)
    for _ in range(2):
        with folders.locked(str(tmp_path), '--out'):
            (tmp_path / 'result').touch()
    (warning,) = capsys.readouterr().err.splitlines()
    assert (
        warning.startswith(f'warning: {tmp_path}: its file system has no locks')
        and os.strerror(number) in warning
    )
    assert os.listdir(tmp_path) == ['result']


@pytest.mark.parametrize(
    'function, number', [('flock', errno.EIO), ('open', errno.EROFS), ('open', errno.EACCES)]
)
def test_a_folder_that_cannot_be_written_to_is_an_error(tmp_path, monkeypatch, function, number):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl if function == 'flock' else os, function, fail)
    with (
        pytest.raises(
            InputError, match=f'--out {tmp_path}: cannot be written to: {os.strerror(number)}'
        ),
        folders.locked(str(tmp_path), '--out'),
    ):
        pass


# --- partial files ------------------------------------------------------------------------------
def test_only_our_own_partial_files_are_swept(tmp_path):
    ours = [f'step-00000012.{NOBODY + n}.partial' for n in (1, 22)] + [
        f'settings.json.{NOBODY}.partial'
    ]
    others = [
        'film.mkv.partial',
        f'film.{NOBODY}.partial',
        'step-00000012.partial',
        'step-12.1.partial.txt',
        'partial',
    ]
    for name in ours + others:
        (tmp_path / name).touch()
    checkpoint.remove_leftovers(str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == sorted(others)


def test_partial_files_of_processes_that_may_be_alive_stay_for_a_day(tmp_path):
    process = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)
    other = f'{int(files.HOST_ID, 16) ^ 1:08x}'
    ends = {
        f'{process.pid}-{files.HOST_ID}': False,
        f'{process.pid}': False,
        f'{NOBODY}-{other}': False,
        f'{NOBODY}-{files.HOST_ID}': True,
        f'{NOBODY}': True,
        f'{10**30}': True,
        f'{os.getpid()}': True,
    }
    names = {f'poses.json.{end}.partial': swept for end, swept in ends.items()}

    def left():
        for name in names:
            (tmp_path / name).touch()
        result_files.remove_partials(str(tmp_path))
        return set(os.listdir(tmp_path))

    assert left() == {name for name, swept in names.items() if not swept}
    process.communicate()
    assert left() == {f'poses.json.{NOBODY}-{other}.partial'}
    os.utime(
        tmp_path / f'poses.json.{NOBODY}-{other}.partial',
        times=(0, time.time() - 1.1 * folders.DAY),
    )
    result_files.remove_partials(str(tmp_path))
    assert os.listdir(tmp_path) == []


def test_names_of_any_length_have_a_temporary_one(tmp_path):
    for name in ('a_pose.mp4', 'ü' * 123 + '_pose.jpg', 'x' * 246 + '_pose.mp4'):
        path = str(tmp_path / name)
        with files.atomic_write(path) as partial, open(partial, 'w') as file:
            assert folders.stale_partials(str(tmp_path), result_files.OURS) == [partial]
            file.write('new')
        assert (tmp_path / name).read_text() == 'new'
    with (
        pytest.raises(InputError, match='File name too long'),
        files.atomic_write(path + 'x') as partial,
    ):
        open(partial, 'w').close()


# --- new content --------------------------------------------------------------------------------
def test_staging_replaces_sweeps_and_leaves_the_rest_alone(tmp_path):
    (tmp_path / 'staging.99999999.partial').mkdir()  # of a killed process
    (tmp_path / 'film.99999999.partial').mkdir()  # of another program
    (tmp_path / 'notes').write_text('mine')
    (tmp_path / 'old').write_text('earlier')
    with (
        folders.staging(str(tmp_path), ['old', 'model']) as folder,
        open(os.path.join(folder, 'model'), 'w') as file,
    ):
        file.write('new')
    assert sorted(os.listdir(tmp_path)) == ['film.99999999.partial', 'model', 'notes']
    assert (tmp_path / 'model').read_text() == 'new'


@pytest.mark.parametrize('error', [OSError(28, 'No space left on device'), KeyboardInterrupt()])
def test_staging_that_fails_leaves_things_as_they_were(tmp_path, error):
    (tmp_path / 'there').mkdir()
    (tmp_path / 'there' / 'model').write_text('earlier')
    for out in ('there', 'new'):
        with (
            pytest.raises((InputError, KeyboardInterrupt)),
            folders.staging(str(tmp_path / out), ['model']) as folder,
        ):
            open(os.path.join(folder, 'model'), 'w').close()
            raise error
    assert os.listdir(tmp_path) == ['there'] and os.listdir(tmp_path / 'there') == ['model']
    assert (tmp_path / 'there' / 'model').read_text() == 'earlier'
