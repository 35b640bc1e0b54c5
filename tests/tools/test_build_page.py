"""The page's files: priors as they are stored, and what the text says beside what the report says."""

import json
import os
import re
import sys
import zlib

import cv2
import numpy as np
import page_cases
import pytest
from conftest import ROOT

from jointpose.inference import export
from jointpose.utils.errors import InputError
from jointpose.vision.crops import fit_to_frame
from tools import build_page


def text_of(*path):
    with open(os.path.join(ROOT, *path), encoding='utf-8') as file:
        return file.read()


def test_priors_are_stored_within_two_per_cent(tmp_path):
    rng = np.random.default_rng(0)
    priors = 10.0 ** rng.uniform(-6, 1, (81, 120, 180))
    build_page.store(tmp_path / 'priors.bin', build_page.encode(priors))
    stored = np.frombuffer(zlib.decompress((tmp_path / 'priors.bin').read_bytes()), np.uint8)
    codes = stored.reshape(81, 120, 180).cumsum(axis=2, dtype=np.uint8)  # as page/js/priors.js does
    values = build_page.FLOOR ** (1 - codes / 255)
    relative = priors / priors.max(axis=(1, 2), keepdims=True)
    expected = np.maximum(relative, build_page.FLOOR)
    np.testing.assert_allclose(values, expected, rtol=0.02)


def test_the_first_priors_are_those_of_flic(monkeypatch):
    """Each pair's most likely displacement: left shoulder right of the right one, hips below."""
    monkeypatch.chdir(ROOT)
    codes = build_page.start_codes()
    assert codes.shape == (81, 120, 180) and (codes.max(axis=(1, 2)) == 255).all()
    pairs = build_page.spatial_model.PAIRS_TO_JOINTS
    peaks = {
        pair: np.array(np.unravel_index(code.argmax(), code.shape)) - (60, 90)
        for pair, code in zip(pairs, codes)
    }
    lsho, rsho, lhip = 0, 3, 6
    assert peaks[lsho, rsho][1] > 3 and peaks[rsho, lsho][1] < -3
    assert peaks[lhip, lsho][0] > 5


def test_the_rates_are_those_of_the_report():
    rows = re.findall(r'<tr><th scope="row">(.*?)</tr>', text_of('page', 'index.html'), re.DOTALL)
    report = text_of('report', 'rates.md').replace('*', '')
    assert len(rows) == 5
    for row in rows:
        rates = re.findall(r'<td>([\d.]+)</td>', row)
        assert len(rates) == 6 and ' | '.join(rates) in report, row


def test_the_page_names_no_other_host():
    """But for the paper's address in its text."""
    names = [
        'index.html',
        'style.css',
        *(f'js/{name}' for name in os.listdir(os.path.join(ROOT, 'page', 'js'))),
    ]
    found = [
        address
        for name in names
        for address in re.findall(r'https?://[^\s"\'<]+', text_of('page', name))
        if not address.startswith(('http://localhost', 'https://arxiv.org/abs/'))
    ]
    assert found == []


def test_the_lock_names_no_registry():
    assert 'resolved' not in text_of('page', 'package-lock.json')


@pytest.mark.long
def test_the_two_halves_of_the_model_find_tensorflows_joints(tmp_path, monkeypatch):
    """The page's folder, with a stand-in for onnxruntime-web; its networks run in Python."""
    onnxruntime = pytest.importorskip('onnxruntime', reason='requirements-export.txt')
    pytest.importorskip('tf2onnx', reason='requirements-export.txt')
    monkeypatch.chdir(ROOT)
    runtime = tmp_path / 'runtime'
    runtime.mkdir()
    for name in (build_page.RUNTIME_SCRIPT, build_page.RUNTIME_BINARY):
        (runtime / name).write_bytes(b'stand-in')
    monkeypatch.setattr(build_page, 'RUNTIME', str(runtime))
    for main, words in (
        (export.main, ['--restore', 'pretrained/flic', '--messages', '--out', tmp_path]),
        (build_page.main, ['--model', tmp_path / 'messages.onnx', '--out', tmp_path / 'page']),
        (build_page.main, ['--model', tmp_path / 'messages.onnx', '--out', tmp_path / 'page']),
    ):
        monkeypatch.setattr(sys, 'argv', ['', *map(str, words)])
        main()
    page_cases.write_cases(str(tmp_path / 'cases'))
    detector, spatial = (
        onnxruntime.InferenceSession(tmp_path / 'page' / 'model' / name)
        for name in ('detector.onnx', 'spatial_model.onnx')
    )
    for case in json.loads((tmp_path / 'cases' / 'cases.json').read_text()):
        picture = cv2.imread(str(tmp_path / 'cases' / case['file']))[..., ::-1]
        frame, _ = fit_to_frame(picture, (480, 720))
        maps, joints = detector.run(
            ['part_detector_maps', 'part_detector_joints'], {'image': frame[None]}
        )
        np.testing.assert_allclose(joints[0], case['detector'], atol=0.01)
        torso_xy = np.array([case['torso']], np.float32)
        (joints,) = spatial.run(['joints'], {'part_detector_maps': maps, 'torso_xy': torso_xy})
        np.testing.assert_allclose(joints[0], case['joints'], atol=0.01)


def test_a_folder_of_something_else_is_not_replaced(tmp_path):
    (tmp_path / 'letter.txt').write_text('mine')
    with pytest.raises(InputError, match='holds something other than a page'):
        build_page.clear(str(tmp_path))
    assert (tmp_path / 'letter.txt').exists()
