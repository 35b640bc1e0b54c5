"""The package from outside: its console entry and its lazy interface."""

import importlib.util
import subprocess
import sys

import pytest
from conftest import ROOT

import jointpose
from jointpose import __main__ as entry


def run(*arguments):
    command = [sys.executable, '-m', 'jointpose', *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_help_names_the_scripts():
    done = run('--help')
    assert done.returncode == 0
    assert all(name in done.stdout for name in entry.SCRIPTS)


def test_a_script_gets_the_other_arguments():
    done = run('evaluate', '--no_such_option')
    assert done.returncode == 2
    assert done.stderr.startswith('evaluate.py: error: ')


def test_an_unknown_script_is_one_line():
    done = run('nothing')
    assert done.returncode == 1
    assert done.stderr.count('\n') == 1 and 'none of the scripts' in done.stderr


@pytest.mark.parametrize('name', entry.SCRIPTS)
def test_every_script_is_there(name):
    assert importlib.util.find_spec(entry.SCRIPTS[name])


def test_the_interface_is_lazy():
    """`import jointpose` brings neither TensorFlow nor NumPy."""
    code = 'import jointpose, sys; print({"tensorflow", "numpy", "cv2"} & set(sys.modules))'
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == 'set()\n'


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match='nothing'):
        jointpose.nothing  # noqa: B018


def test_the_interface_is_exactly_its_public_names():
    from jointpose.inference import api

    assert sorted(jointpose.__all__) == sorted(api.__all__) == ['Model', 'Result', 'load', 'read']
    for name in jointpose.__all__:
        assert getattr(jointpose, name) is getattr(api, name) and name in dir(jointpose)
        assert getattr(jointpose, name).__doc__


def test_a_result_s_fields_and_their_order():
    assert jointpose.Result._fields[:6] == (
        'joints_xy',
        'scores',
        'score',
        'torso_xy',
        'maps',
        'matrix',
    )


def test_poses_is_no_script():
    done = subprocess.run(
        [sys.executable, 'poses.py', '--help'], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1 and done.stderr.count('\n') == 1
    assert 'import jointpose' in done.stderr


def test_import_poses_is_the_same_interface():
    import poses

    assert poses.load is jointpose.load
