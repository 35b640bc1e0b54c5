"""No text of a file reaches the terminal with escape sequences."""

import sys

import forked
import pytest

from jointpose.utils import cli
from jointpose.utils.terminal import printable


def test_nothing_from_a_file_moves_the_cursor(tmp_path):
    name = 'a\x1b[2Kb\x07'
    done = forked.run(['evaluate.py', f'{name}.mat', '--data', name], cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith('evaluate.py: error: a\\x1b[2Kb\\x07')
    assert 'no such' in done.stderr
    assert printable('h\u00fc\x1b]0;x\x07\ud800\n') == 'h\u00fc\\x1b]0;x\\x07\\ud800\n'


def test_nothing_that_a_script_prints_moves_the_cursor(capsys):
    """Scripts print text of files in many places, so standard output itself is made printable."""

    def main():
        print('\x1b[2K', 'a\rb', sep='\n')
        sys.stdout.writelines(['\x9b1A\n'])

    with pytest.raises(SystemExit):
        cli.run_script(main)
    assert capsys.readouterr().out == '\\x1b[2K\na\\rb\n\\x9b1A\n'
