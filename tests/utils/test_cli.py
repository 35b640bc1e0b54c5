"""Command lines: errors with suggestions, --help, progress, exit codes."""

import errno
import glob
import importlib
import os
import re
import subprocess
import sys

import forked
import numpy as np
import pytest
from conftest import ROOT

from jointpose import __version__
from jointpose.utils import cli, progress

FILES = glob.glob('*.py', root_dir=ROOT) + glob.glob('tools/*.py', root_dir=ROOT)


def said(capsys, *words):
    """The error of a small script's parser for these words."""
    parser = cli.Parser(prog='small.py')
    parser.add_argument('--use_sm', action='store_true')
    parser.add_argument('--system', choices=('tompson', 'hrnet'), nargs='+')
    parser.add_argument('--n_epochs', type=cli.positive_int)
    parser.add_argument('--lr', type=cli.positive_float)
    parser.add_argument('--norm_decay', type=cli.fraction)
    parser.add_argument('--out', required=True)
    with pytest.raises(SystemExit) as stop:
        parser.parse_args(words)
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line.removeprefix('small.py: error: ').removesuffix(' (--help lists the options)')


@pytest.mark.parametrize(
    'words, expected',
    [
        (['--use_ms'], 'unknown option --use_ms; did you mean --use_sm?'),
        (['--use'], 'unknown option --use; did you mean --use_sm?'),  # no abbreviations
        (['--n-epochs=3'], 'unknown option --n-epochs; did you mean --n_epochs?'),
        (['--verbose'], 'unknown option --verbose'),
        (
            ['--system', 'hrnt'],
            "--system must be one of tompson, hrnet, got 'hrnt'; did you mean hrnet?",
        ),
        (['--system', 'tompson', 'x'], "--system must be one of tompson, hrnet, got 'x'"),
        (['--n_epochs', '0'], '--n_epochs must be an integer >= 1, got 0'),
        (['--n_epochs', '1.5'], "--n_epochs must be an integer >= 1, got '1.5'"),
        (['--n_epochs', '3000000000'], '--n_epochs must be < 2147483648, got 3000000000'),
        (['--lr', 'nan'], '--lr must be a number > 0, got nan'),
        (['--lr', '-1'], '--lr must be a number > 0, got -1'),
        (['--norm_decay', '1'], '--norm_decay must be a number >= 0 and < 1, got 1'),
        (['--lr'], '--lr: expected one argument'),
        ([], 'the following arguments are required: --out'),
    ],
)
def test_usage_errors_are_one_line_with_a_suggestion(capsys, words, expected):
    assert said(capsys, *words) == expected


def test_values_that_look_like_options_are_values():
    parser = cli.Parser()
    parser.add_argument('--certainty', nargs=2, type=float)
    parser.add_argument('paths', nargs='*')
    assert parser.parse_args(['--certainty', '-6', '2']).certainty == [-6, 2]
    assert parser.parse_args(['-', '--', '--nothing']).paths == ['-', '--nothing']


def scripts():
    """The modules that run as scripts with options."""
    for file in FILES:
        with open(os.path.join(ROOT, file), encoding='utf-8') as opened:
            if re.search(r'^    (cli\.)?run_script\(', opened.read(), re.MULTILINE):
                yield file[:-3].replace('/', '.')


def test_help_begins_with_examples(monkeypatch, capsys):
    names = list(scripts())
    assert len(names) >= 13
    for name in names:
        monkeypatch.setattr(sys, 'argv', [name, '--help'])
        with pytest.raises(SystemExit) as stop:
            importlib.import_module(name).main()
        assert stop.value.code == 0
        usage, empty, *lines = capsys.readouterr().out.splitlines()
        assert usage.startswith('usage: ') and ' [options]' in usage and not empty, name
        first = next(i for i, line in enumerate(lines) if line.startswith('    '))
        assert first <= 3 and 'python ' in lines[first], (
            name
        )  # after one sentence and an empty line


def test_one_version_everywhere(capsys):
    with open(os.path.join(ROOT, 'CITATION.cff'), encoding='utf-8') as file:
        assert re.findall(r'^version: "(.+)"$', file.read(), re.MULTILINE) == [__version__]
    with open(os.path.join(ROOT, 'pyproject.toml'), encoding='utf-8') as file:
        text = file.read()
    assert 'dynamic = ["version"]' in text and 'attr = "jointpose.__version__"' in text
    with pytest.raises(SystemExit) as stop:
        cli.Parser().parse_args(['--version'])
    assert stop.value.code == 0 and capsys.readouterr().out == f'joint-pose {__version__}\n'


# --- progress -----------------------------------------------------------------------------------


class Screen:
    """Standard error, a terminal or not."""

    def __init__(self, terminal):
        self.terminal, self.text = terminal, ''

    def isatty(self):
        return self.terminal

    def write(self, text):
        self.text += text

    def flush(self):
        """Nothing is buffered."""


def test_a_log_gets_a_line_each_half_minute_and_a_terminal_a_bar(monkeypatch):
    seconds = [1000.0]
    monkeypatch.setattr(progress.time, 'monotonic', lambda: seconds[0])
    log = Screen(False)
    monkeypatch.setattr(sys, 'stderr', log)
    for _ in progress.track(range(90), 90, 'check', 'img'):
        seconds[0] += 1
    assert log.text == (
        'check: 30 of 90 img, 33 %, 01:00 left\ncheck: 60 of 90 img, 66 %, 00:30 left\n'
    )  # the script reports the end
    with progress.bar(None, 'poses', 'img') as shown:
        shown.set_postfix(loss=1)
        seconds[0] += 31
        shown.update(7)
    assert log.text.endswith('poses: 7 img\n') and shown.n == 7 and '\r' not in log.text
    terminal = Screen(True)
    monkeypatch.setattr(sys, 'stderr', terminal)
    with progress.bar(2, 'check', 'img') as shown:
        shown.update(2)
    assert '\r' in terminal.text and '2/2' in terminal.text


def test_bars_come_from_progress_alone():
    """Other progress bars would fill log files."""
    found = [
        file
        for file in glob.glob('**/*.py', root_dir=ROOT, recursive=True)
        if not file.startswith(('tests', 'build')) and imports_tqdm(os.path.join(ROOT, file))
    ]
    beside_the_bars = 'jointpose/utils/log.py'
    assert set(found) == {'jointpose/utils/progress.py', beside_the_bars}


def imports_tqdm(path):
    with open(path, encoding='utf-8') as file:
        return re.search(r'^ *(from|import) tqdm', file.read(), re.MULTILINE) is not None


# --- errors and exit codes ----------------------------------------------------------------------


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


@pytest.mark.parametrize('closed', ['stdout', 'stderr'])
def test_a_closed_stream_is_no_error(monkeypatch, closed):
    """Python has None for a stream that was closed before it started (`>&-`)."""
    monkeypatch.setattr(sys, closed, None)

    def main():
        for stream in (sys.stdout, sys.stderr):
            print('lost', file=stream)
            stream.flush()
        return 3

    with pytest.raises(SystemExit) as stop:
        cli.run_script(main)
    assert stop.value.code == 3


@pytest.mark.parametrize('closed', ['>&-', '2>&-', '<&- >&- 2>&-'])
def test_streams_closed_by_the_shell_do_not_change_the_exit_code(closed):
    """TensorFlow's import saves standard error and would fail without any."""
    command = f'{sys.executable} main.py --restore nothing {closed}'
    assert subprocess.run(command, shell=True, cwd=ROOT, check=False).returncode == 2


@pytest.mark.parametrize(
    'script', ['main.py', 'data.py', 'evaluate.py', 'pairwise_distr.py', 'show.py', 'export.py']
)
def test_wrong_usage_is_one_line_and_a_hint(script):
    done = forked.run([script, '--no_such_option'])
    assert done.returncode == 2 and done.stderr.count('\n') == 1
    assert done.stderr.startswith(f'{script}: error: ') and '--help' in done.stderr
