"""Poses from Python are those of the command line."""

import concurrent.futures
import json
import multiprocessing
import os
import pathlib
import shutil
import subprocess
import sys

import cv2
import forked
import numpy as np
import pytest
from conftest import ROOT

from jointpose import model
from jointpose.datasets.synthetic import flic_set
from jointpose.inference import api
from jointpose.utils.errors import InputError


def assert_near(found, expected):
    """Equal but for rounding, which may move a peak of an untrained network's flat maps within its cell."""
    difference = np.abs(found - expected)
    assert difference.max() < 8 and np.mean(difference < 0.02) > 0.8


def test_python_and_command_line_find_the_same(untrained, tmp_path, monkeypatch):
    monkeypatch.setattr(model, 'CHANNELS', (1, 1, 1, 1, 1))
    image, run = flic_set.render(0, 2).image, str(untrained / 'models_ex' / 'sm')
    cv2.imwrite(str(tmp_path / 'a.png'), image[..., ::-1])
    done = forked.run(
        [
            'tests/narrow_main.py',
            '--restore',
            run,
            '--predict',
            'a.png',
            '--torso',
            '300,200',
            '100,90',
            '--scales',
            'single',
        ],
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    expected = json.loads((tmp_path / 'poses' / 'coco_results.json').read_text())
    with api.load(run, '--scales', 'single') as find:
        found = find(api.read(str(tmp_path / 'a.png')), torsos=np.array([[300, 200], [100, 90]]))
        assert find(image, boxes=np.zeros((0, 4))) == []
        again = find(image, torsos=[(300, 200)])
        for wrong, named in (
            (image / 255, {}),
            (image[..., 0], {}),
            (image[..., [0, 1, 2, 0]], {}),
            ('a.png', {}),
            (image[:0], {}),
            (image, {'torsos': (260, 320)}),
            (image, {'boxes': [(1, 2, 3, 4, 0.9)]}),
            (image, {'torsos': [(5000, 5000)]}),
            (image, {'boxes': [(2000, 5, 60, 90)]}),
            (image, {'boxes': [(20, 5, 0, 90)]}),
            (image, {'torsos': [(9, 9)], 'boxes': [(5, 5, 9, 9)]}),
        ):
            with pytest.raises(
                ValueError,
                match=r'uint8|^torsos 5000,5000: outside the picture|^boxes: .* is outside|either|must be \[n',
            ):
                find(wrong, **named)
    assert len(found) == len(expected) == 2 and find.joints[0] == 'left_shoulder'
    for one, other in zip(found, expected):
        assert_near(np.ravel(one.joints_xy), np.delete(other['keypoints'], np.s_[2::3]))
        assert one.score == pytest.approx(other['score'], abs=1e-3)
    assert_near(again[0].joints_xy, found[0].joints_xy)


def test_a_wrong_option_does_not_end_the_program():
    with pytest.raises(ValueError, match=r'^jointpose.load: --zooms must be a number > 0, got 0$'):
        api.load(pathlib.Path('pretrained/flic'), '--zooms', 0)


def test_a_missing_run_is_named_without_the_command_line():
    with pytest.raises(InputError, match=r"^jointpose.load: no run 'nosuch' in "):
        api.load('nosuch')


def test_the_notebook_runs(tmp_path, monkeypatch, capsys):
    """docs/poses.ipynb, cell by cell, at one scale: the torso of the person on docs/person.jpg is
    at about (263, 321). No outputs are kept in it."""
    with open(os.path.join(ROOT, 'docs', 'poses.ipynb'), encoding='utf-8') as file:
        notebook = json.load(file)
    cells = [cell for cell in notebook['cells'] if cell['cell_type'] == 'code']
    assert notebook['nbformat'] == 4 and not any(
        cell['outputs'] or cell['execution_count'] for cell in cells
    )
    (tmp_path / 'docs').symlink_to(os.path.join(ROOT, 'docs'))
    monkeypatch.chdir(tmp_path)
    load, names = api.load, {}
    monkeypatch.setattr(api, 'load', lambda path: load(path, '--scales', 'single', '--zooms', '1'))
    for cell in cells:
        exec(''.join(cell['source']), names)
    assert len(names['people']) == 1 and names['model'].joints[-1] == 'nose'
    for person in (*names['people'], names['clicked'], names['boxed']):
        assert np.linalg.norm(person.torso_xy - (263, 321)) < 20
    assert 'person, score 0.' in capsys.readouterr().out
    assert cv2.imread(str(tmp_path / 'person_pose.png')).shape == (480, 720, 3)


@pytest.mark.parametrize('first', ['jointpose', pytest.param('tensorflow', marks=pytest.mark.long)])
def test_tensorflow_2_of_the_same_process_stays_as_it_is(first, tmp_path):
    """In a process of its own; and the joints are those that are found where TensorFlow is as the scripts have it."""
    ours = (
        'TF_ENABLE_ONEDNN_OPTS',
        'TF_USE_LEGACY_KERAS',
        'TF_CPP_MIN_LOG_LEVEL',
    )  # set for the tests
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    done = subprocess.run(
        [
            sys.executable,
            os.path.join('tests', 'beside_tensorflow_2.py'),
            first,
            'docs/person.jpg',
            tmp_path / 'found.npy',
        ],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    with api.load('pretrained/flic', '--scales', 'single', '--zooms', '1') as find:
        (person,) = find(api.read(os.path.join(ROOT, 'docs', 'person.jpg')))
    for found in np.load(tmp_path / 'found.npy'):
        np.testing.assert_array_equal(found, person.joints_xy)


@pytest.mark.long  # what is said by itself: tests/inference/test_prompts.py
def test_prompts_of_the_person_on_the_example(tmp_path):
    """A point in an empty corner, two on one torso and a box: who is there, and what is said."""
    picture = os.path.join(ROOT, 'docs', 'person.jpg')
    fast = [
        '--restore',
        os.path.join(ROOT, 'pretrained', 'flic'),
        '--scales',
        'single',
        '--zooms',
        '1',
    ]
    done = forked.run(
        ['main.py', *fast, '--predict', picture, '--torso', '20,20', '260,320', '285,325'],
        cwd=tmp_path,
    )
    assert done.returncode == 0 and '1 picture, 1 person, 1 below the threshold' in done.stdout
    assert done.stderr.splitlines() == [
        'main.py: --torso 20,20: no person found there (score 0.00, threshold 0.5)',
        'main.py: --torso 260,320 and 285,325: the same person',
    ]
    nobody, person, again = json.loads((tmp_path / 'poses' / 'poses.json').read_text())[
        'annotations'
    ]
    assert [one['person'] for one in (nobody, person, again)] == [1, 2, 2]
    assert (nobody['low_score'], again['duplicate']) == (True, True) and not {
        'low_score',
        'duplicate',
    } & set(person)
    assert np.linalg.norm(np.subtract(nobody['torso'], (20, 20))) < 60 and nobody['score'] < 0.1
    assert np.linalg.norm(np.subtract(person['torso'], (263, 321))) < 20 and person['score'] > 0.5
    boxes = [
        {'image_id': 1, 'category_id': 1, 'bbox': box}
        for box in ([550, 20, 90, 180], [160, 170, 200, 310])
    ]
    (tmp_path / '1.jpg').write_bytes(pathlib.Path(picture).read_bytes())
    (tmp_path / 'boxes.json').write_text(json.dumps(boxes))
    done = forked.run(
        ['main.py', *fast, '--predict', '1.jpg', '--boxes', 'boxes.json'], cwd=tmp_path
    )
    assert done.returncode == 0 and '1 picture, 1 person, 1 below the threshold' in done.stdout
    assert done.stderr.startswith(
        'main.py: 1: --boxes 550,20,90,180: no person found in it (score 0.'
    )


def test_a_process_forked_after_a_load_is_told_so(monkeypatch):
    """TensorFlow would wait there for ever, as for threads that are not in a fork."""
    monkeypatch.setattr(api, 'process_of_sessions', None)
    api.check_process()
    api.check_process()
    with (
        concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context('fork')) as pool,
        pytest.raises(RuntimeError, match='forked from one that had loaded a model'),
    ):
        pool.submit(api.load, 'pretrained/flic').result(timeout=60)


@pytest.mark.long
def test_installed_it_brings_its_weights(tmp_path):
    """`pip install .`, of the files that are or would be in a commit, and a call from another folder."""
    pytest.importorskip(
        'setuptools', reason='setuptools is not installed, which builds the package'
    )
    listed = subprocess.run(
        ['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip('not a clone: which files belong to the project is not known')
    for name in filter(None, listed.stdout.split('\0')):
        os.makedirs(tmp_path / 'source' / os.path.dirname(name), exist_ok=True)
        copy = tmp_path / 'source' / name
        shutil.copy(os.path.join(ROOT, name), copy, follow_symlinks=False)
    subprocess.run(
        [
            sys.executable,
            '-m',
            'pip',
            'install',
            '-q',
            '--no-deps',
            '--no-build-isolation',
            '--target',
            tmp_path / 'site',
            tmp_path / 'source',
        ],
        check=True,
    )
    script = """
import jointpose, sys
assert jointpose.__file__.startswith(sys.argv[1]), jointpose.__file__
with jointpose.load('pretrained/flic', '--scales', 'single', '--zooms', '1') as find:
    print(*find(jointpose.read(sys.argv[2]))[0].torso_xy)
"""
    done = subprocess.run(
        [sys.executable, '-c', script, tmp_path / 'site', os.path.join(ROOT, 'docs', 'person.jpg')],
        cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': str(tmp_path / 'site')},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert np.linalg.norm(np.array(done.stdout.split(), float) - (263, 321)) < 20
