"""Signals: a terminal that is closed, and a parent process that is killed."""

import os
import pty
import signal
import sys
import time

import forked
import pytest
from tqdm import tqdm

from jointpose.training import stopping
from jointpose.utils import cli
from jointpose.utils.log import log


def wait_until(condition, process, patience=300):
    ends = time.monotonic() + patience
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < ends
        time.sleep(0.01)


def looping(saved, ignored):
    """Runs a script that draws a bar and logs until a signal comes; returns its exit code.

    saved: the file that it writes then. ignored: whether it ignores SIGHUP.
    """
    sys.stdout, sys.stderr = (open(stream, 'w', closefd=False) for stream in (1, 2))  # noqa: SIM115
    signal.signal(
        signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL
    )  # the tests may run under nohup

    def loop():
        with stopping.Signals() as signals, tqdm(mininterval=0) as bar:
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
    """The terminal is real: writing to it afterwards fails."""
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
    """data.py is killed with SIGKILL while its workers write: none survives."""
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
