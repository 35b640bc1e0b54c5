"""Poses from Python are those of the command line."""
import json

import cv2
import forked
import numpy as np
import pytest

import model
import poses
from datasets import synthetic


def assert_near(found, expected):
    """Equal but for rounding, which may move a peak of an untrained network's flat maps within its cell."""
    difference = np.abs(found - expected)
    assert difference.max() < 8 and np.mean(difference < 0.02) > 0.8


def test_python_and_command_line_find_the_same(untrained, tmp_path, monkeypatch):
    monkeypatch.setattr(model, 'CHANNELS', (1, 1, 1, 1, 1))
    image, run = synthetic.render(0, 2).image, str(untrained / 'models_ex' / 'sm')
    cv2.imwrite(str(tmp_path / 'a.png'), image[..., ::-1])
    done = forked.run(['tests/narrow_main.py', '--restore', run, '--predict', 'a.png', '--torso', '300,200', '100,90',
                       '--scales', 'single'], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    expected = json.loads((tmp_path / 'poses' / 'coco_results.json').read_text())
    with poses.load(run, '--scales', 'single') as find:
        found = find(poses.read(str(tmp_path / 'a.png')), torsos=[(300, 200), (100, 90)])
        again = find(image, torsos=[(300, 200)])
    assert len(found) == len(expected) == 2 and find.joints[0] == 'left_shoulder'
    for one, other in zip(found, expected):
        assert_near(np.ravel(one.joints_xy), np.delete(other['keypoints'], np.s_[2::3]))
        assert one.score == pytest.approx(other['score'], abs=1e-3)
    assert_near(again[0].joints_xy, found[0].joints_xy)
