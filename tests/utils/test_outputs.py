"""Results replace earlier ones and say so, and never replace other files."""

import errno
import os

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from jointpose import pairwise_distr
from jointpose.datasets import flic
from jointpose.datasets.person_frames import PersonFrame
from jointpose.evaluation import predictions, rate_curves
from jointpose.export import formats
from jointpose.inference import result_entries, result_files
from jointpose.utils import outputs
from jointpose.utils.errors import InputError
from jointpose.vision import image_files

MARK = b'made by this test'
describe = outputs.describe_by_date(MARK)


def test_only_what_bears_the_mark_is_replaced(tmp_path):
    path = str(tmp_path / 'result.png')
    assert outputs.check_destination(path, '--out', describe) == ''
    for ending in ('.png', '.jpg'):
        image = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)
        image_files.write_image(str(tmp_path / f'marked{ending}'), image, MARK)
        image_files.write_image(str(tmp_path / f'plain{ending}'), image)
        same = [cv2.imread(str(tmp_path / f'{name}{ending}')) for name in ('marked', 'plain')]
        np.testing.assert_array_equal(*same)  # the mark changes no pixel
        os.utime(tmp_path / f'marked{ending}', (0, 1.7e9))
        assert outputs.check_destination(
            str(tmp_path / f'marked{ending}'), '--out', describe
        ).startswith('of 2023-11-')
        with pytest.raises(
            InputError, match=f'--out .*plain{ending}: exists and is not an earlier result'
        ):
            outputs.check_destination(str(tmp_path / f'plain{ending}'), '--out', describe)
    (tmp_path / 'result.png').touch()
    assert outputs.check_destination(path, '--out', describe) == ''  # empty: nothing is lost


def test_what_cannot_be_written_is_found_out_before_the_work(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / 'pipe')
    (tmp_path / 'folder').mkdir()
    for name, words in (
        ('nowhere/a.png', 'nowhere is not a folder that can be written to'),
        ('folder', 'is a folder'),
        ('pipe', 'not a file'),
        ('x' * 252 + '.png', 'File name too long'),
    ):
        with pytest.raises(InputError, match=f'--out .*{words}'):
            outputs.check_destination(str(tmp_path / name), '--out', describe)
    outputs.check_destination(str(tmp_path / ('x' * 251 + '.png')), '--out', describe)
    assert sorted(os.listdir(tmp_path)) == ['folder', 'pipe']

    def fail(*_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr('builtins.open', fail)
    with pytest.raises(
        InputError, match=r'--out .*a\.png: cannot be written: Read-only file system'
    ):
        outputs.check_destination(str(tmp_path / 'a.png'), '--out', describe)


def options_of(path, dataset='flic'):
    from types import SimpleNamespace

    return SimpleNamespace(predictions=str(path), dataset=dataset)


def test_a_users_predictions_are_not_overwritten(tmp_path):
    """Another system's .mat, a user's own, COCO annotations: refused before training, unchanged."""
    savemat(tmp_path / 'other.mat', {'pred': np.zeros((2, 9, 4))})
    (tmp_path / 'val2017.json').write_text('{"images": [], "annotations": []}')
    (tmp_path / 'damaged.mat').write_bytes(b'MATLAB 5.0')
    savemat(
        tmp_path / 'own.mat',
        {'flic_pred_pd': np.zeros((2, 9, 4)), 'data_id': 'abc', 'split': 'test', 'run': 'first'},
    )
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    for name, dataset in (
        ('other.mat', 'flic'),
        ('damaged.mat', 'lsp'),
        ('val2017.json', 'coco'),
        ('val2017.mat', 'coco'),
    ):
        with pytest.raises(
            InputError,
            match=r'--predictions .*: exists and is not an earlier result',
        ):
            predictions.check_output(options_of(tmp_path / name, dataset))
    assert predictions.check_output(options_of(tmp_path / 'own.mat')) == 'of run first, 4 people'
    (tmp_path / 'nobody.json').write_text('[]')  # no people: nothing is lost
    assert predictions.check_output(options_of(tmp_path / 'nobody.mat', 'coco')) == 'of nobody'
    (tmp_path / 'nobody.json').unlink()
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before


def test_priors_and_figures_know_their_own(tmp_path, monkeypatch):
    histograms = np.full((90, 120, 180), 1 / 120 / 180, np.float32)
    named = dict(zip(pairwise_distr.pair_names(flic.MAPS), histograms))
    pairwise_distr.save(str(tmp_path / 'priors.npz'), named, 'abcd')
    assert pairwise_distr.describe_file(str(tmp_path / 'priors.npz')) == 'from arrays abcd'
    np.savez(tmp_path / 'other.npz', a=1)
    assert pairwise_distr.describe_file(str(tmp_path / 'other.npz')) is None
    monkeypatch.setattr(pairwise_distr, 'drawn_pairs', lambda frame: [('nose', 'torso')])
    pairwise_distr.draw(str(tmp_path / 'priors.png'), named, PersonFrame(flic.Flic()))
    rates = {('m', joint): np.zeros(41) for joint in (*flic.JOINTS, 'mean of 9')}
    rate_curves.plot(str(tmp_path / 'curves.png'), rates, 'title', 'lhip-rsho')
    rate_curves.write_csv(str(tmp_path / 'curves.csv'), rates, 4, 'lhip-rsho', 'swapped')
    for name, mark in (
        ('priors.png', pairwise_distr.FIGURE_MARK),
        ('curves.png', rate_curves.FIGURE_MARK),
        ('curves.csv', ','.join(rate_curves.CSV_HEADER).encode()),
    ):
        assert outputs.check_destination(
            str(tmp_path / name), '--out', outputs.describe_by_date(mark)
        ).startswith('of 20')


def test_an_export_replaces_exports_alone(tmp_path):
    assert formats.earlier_export(str(tmp_path), formats.SAVED_MODEL) == ''
    (tmp_path / 'saved_model' / 'assets.extra').mkdir(parents=True)
    with pytest.raises(InputError, match=r'--out .*: saved_model is not from an earlier export'):
        formats.earlier_export(str(tmp_path), formats.SAVED_MODEL)
    (tmp_path / 'saved_model' / formats.ORIGIN).write_text('{"checkpoint": "run/step-00000007"}')
    assert formats.earlier_export(str(tmp_path), formats.SAVED_MODEL) == 'of run/step-00000007'
    (tmp_path / 'model.onnx').write_bytes(b'a network of the user')
    with pytest.raises(InputError, match=r'model\.onnx is not from an earlier export'):
        formats.announce_replaced(str(tmp_path))


def test_what_predict_replaces_is_said(tmp_path):
    for former in ('', 'of 1 picture by run/step-1'):
        written = result_files.ResultFiles(
            str(tmp_path), result_entries.head(flic.Flic(), {'checkpoint': 'run/step-1'})
        )
        assert written.replaced == former
        written.add({'file_name': 'a.jpg', 'width': 60, 'height': 100}, [])
        written.write()
