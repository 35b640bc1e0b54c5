"""`python -m tools.NAME --help` answers for every command of tools/, PyTorch installed or not."""

import glob
import os

import forked
import pytest
from conftest import ROOT


def commands():
    """Names of the modules and packages in tools/ that can be started."""
    modules = glob.glob(os.path.join(ROOT, 'tools', '*.py'))
    packages = glob.glob(os.path.join(ROOT, 'tools', '*', '__main__.py'))
    for path in sorted(modules + packages):
        with open(path, encoding='utf-8') as file:
            if "if __name__ == '__main__':" in file.read():
                name = os.path.relpath(path, os.path.join(ROOT, 'tools'))
                yield name.removesuffix('.py').removesuffix(f'{os.sep}__main__')


@pytest.mark.parametrize('name', list(commands()))
def test_help_of_every_command(name):
    done = forked.run(['-m', f'tools.{name}', '--help'], cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert 'Traceback' not in done.stderr
