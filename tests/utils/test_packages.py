"""Missing packages: every script names the package and the file that lists it."""

import os
import re
import subprocess
import sys

import pytest
from conftest import ROOT

from jointpose.utils import packages

BLOCKED = """
import runpy
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] == BLOCKED:
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)

BLOCKED, sys.path[0], *sys.argv = sys.argv[1:]
sys.meta_path.insert(0, Blocker())
if sys.argv[0].endswith('.py'):
    runpy.run_path(sys.path[0] + '/' + sys.argv[0], run_name='__main__')
else:
    runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)
"""


def run_without(module, *words, cwd):
    """Runs a script, or a tool by its module's name, in which a module cannot be imported."""
    command = [sys.executable, '-c', BLOCKED, module, ROOT, *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


@pytest.mark.parametrize(
    ('module', 'package', 'words'),
    [
        *(
            ('cv2', 'opencv-python-headless', [script])
            for script in (
                'data.py',
                'evaluate.py',
                'export.py',
                'main.py',
                'pairwise_distr.py',
                'show.py',
            )
        ),
        ('tqdm', 'tqdm', ['data.py']),
        ('numpy', 'numpy', ['main.py']),
        ('tensorflow', 'tensorflow', ['export.py']),
        ('PIL', 'pillow', ['data.py']),
    ],
)
def test_scripts_name_a_missing_package_in_one_line(module, package, words, tmp_path):
    done = run_without(module, *words, '--help', cwd=tmp_path)
    assert done.returncode == 1 and done.stdout == '' and not os.listdir(tmp_path)
    (line,) = done.stderr.splitlines()
    assert (
        line.startswith(f'{words[0]}: error: {package} is not installed')
        and 'requirements.txt' in line
    )


def test_tools_do_too(tmp_path):
    done = run_without('matplotlib', 'tools.figures', cwd=tmp_path)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1 and line.startswith(
        'tools.figures: error: matplotlib is not installed'
    )


def test_packages_imported_late_or_in_another_process_are_named_too(tmp_path):
    """SciPy is imported in another process, to read a .mat file that is not to blame."""
    (tmp_path / 'a.mat').write_bytes(bytes(200))
    done = run_without('scipy', 'evaluate.py', 'a.mat', cwd=tmp_path)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1 and line.startswith('evaluate.py: error: scipy is not installed')


def test_the_interface_raises_the_same_words(tmp_path):
    code = f"""
import sys
sys.path[0], sys.modules['cv2'] = {ROOT!r}, None
try:
    from jointpose import load
except ImportError as error:
    print(error, error.name, sys.excepthook is sys.__excepthook__)
"""
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, cwd=tmp_path
    )
    words = (
        'opencv-python-headless is not installed (no module cv2): pip install -r requirements.txt'
    )
    assert done.stdout == f'{words} cv2 True\n', done.stderr


def test_other_mistakes_keep_their_traceback(tmp_path):
    done = run_without('zipfile', 'evaluate.py', cwd=tmp_path)
    assert (
        done.returncode == 1
        and 'Traceback' in done.stderr
        and "No module named 'zipfile'" in done.stderr
    )
    assert packages.missing_package(ImportError('cannot import name', name='numpy')) is None


def test_every_package_is_listed_in_its_file():
    """The table agrees with the requirements files."""
    for file in ('requirements.txt', 'requirements-export.txt'):
        with open(os.path.join(ROOT, file)) as lines:
            listed = {re.split('[=;]', line)[0].strip() for line in lines if line[0] not in '#-\n'}
        assert listed == {package for package, where in packages.PACKAGES.values() if where == file}
