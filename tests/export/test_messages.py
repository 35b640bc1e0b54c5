"""export.py --messages: the step-by-step outputs against the joint maps, and messages against NumPy's sums."""

import json
import os

import numpy as np
import pytest
from conftest import ROOT
from test_export import export_main, make_run

from jointpose import model, spatial_model
from jointpose.checkpoints import checkpoint, checkpoint_variables
from jointpose.datasets import flic
from jointpose.export import messages
from jointpose.inference import export
from jointpose.utils.errors import InputError
from jointpose.vision import heatmaps

TORSOS = np.array([[360, 240], [0, 479], [719.9, 7.9]], np.float32)
CHANNELS = model.CHANNELS  # of the published networks
SHAPE = flic.MAP_HEIGHT, flic.MAP_WIDTH


@pytest.fixture(autouse=True, scope='module')
def small():
    """One channel a layer; two frames for export's own comparison."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, 'CHANNELS', (1, 1, 1, 1, 1))
        patch.setattr(export, 'FRAMES', 2)
        yield


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """(folder of a run of random weights, function inputs -> outputs of its network)"""
    return make_run(str(tmp_path_factory.mktemp('models') / 'small'), '--use_sm')


@pytest.fixture(scope='module')
def frames():
    rng = np.random.default_rng(2)
    return rng.integers(0, 256, (3, 480, 720, 3), np.uint8)


@pytest.fixture(scope='module')
def found(run, frames):
    """What `messages.opened` finds for three torsos, two of them at the frame's border."""
    with messages.opened(run[0]) as study:
        return study(frames, TORSOS)


def test_maps_and_joints_are_the_networks(run, frames, found):
    torso_maps = heatmaps.render_targets(TORSOS[:, None], SHAPE)
    expected = run[1]({'image': frames, 'torso_map': torso_maps})
    for name, tolerance in (('heat_maps', 1e-5), ('part_detector_maps', 1e-5), ('joints', 1e-2)):
        np.testing.assert_allclose(found[name], expected[name], atol=tolerance, err_msg=name)
    detector = heatmaps.decode(expected['part_detector_maps'])
    np.testing.assert_allclose(found['part_detector_joints'], detector, atol=1e-2)


def test_the_product_of_the_messages_is_the_joint_map(found):
    assert found['messages'].shape == (3, 9, 10, 60, 90)
    logarithms = np.log(found['messages'].astype(np.float64)).sum(axis=2)  # [3, 9, 60, 90]
    products = np.exp(logarithms - logarithms.max(axis=(2, 3), keepdims=True))
    products /= products.sum(axis=(2, 3), keepdims=True)
    np.testing.assert_allclose(np.moveaxis(products, 1, -1), found['heat_maps'], atol=1e-5)


@pytest.mark.parametrize('joint, sender', [(0, 1), (4, 3), (8, 0)])
def test_a_message_is_the_senders_map_spread_by_the_prior(run, found, joint, sender):
    weights = checkpoint_variables.read_weights(checkpoint.find('', run[0]).path)
    pair = spatial_model.PAIRS_TO_JOINTS.index((joint, sender))
    prior, bias = (
        spatial_model.numpy_softplus(weights[f'spatial_model/{name}'][pair].astype(np.float64))
        for name in ('energies', 'biases')
    )
    senders_map = found['messages'][0, sender, sender]
    height, width = SHAPE
    for row, column in ((0, 0), (31, 40), (59, 89)):
        seen = prior[row + 1 : row + height + 1, column + 1 : column + width + 1][::-1, ::-1]
        expected = (seen * senders_map).sum() + bias[row, column]
        assert found['messages'][0, joint, sender, row, column] == pytest.approx(expected, rel=1e-3)


def test_the_onnx_model_says_the_same(run, frames, found, tmp_path, monkeypatch, capsys):
    onnxruntime = pytest.importorskip('onnxruntime', reason='requirements-export.txt')
    pytest.importorskip('tf2onnx', reason='requirements-export.txt')
    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # the second replaces the first
        export_main(monkeypatch, '--restore', run[0], '--messages')
    assert 'messages.onnx: replaces' in capsys.readouterr().out
    assert [path.name for path in (tmp_path / 'exported').iterdir()] == ['messages.onnx']
    session = onnxruntime.InferenceSession('exported/messages.onnx')
    assert session.get_modelmeta().custom_metadata_map['joints'].split() == list(flic.JOINTS)
    names = [output.name for output in session.get_outputs()]
    for n in (1, 3):
        values = session.run(names, {'image': frames[:n], 'torso_xy': TORSOS[:n]})
        for name, value in zip(names, values):
            expected = found[name][:n]
            tolerance = 0.01 if name.endswith('joints') else 1e-4 * np.abs(expected).max()
            np.testing.assert_allclose(value, expected, atol=tolerance, err_msg=name)


def test_without_a_spatial_model_there_are_no_messages(tmp_path, monkeypatch):
    folder, _ = make_run(str(tmp_path / 'detector'))
    with pytest.raises(InputError, match='has no spatial model'):
        export_main(monkeypatch, '--restore', folder, '--messages', '--out', tmp_path / 'out')
    with pytest.raises(InputError, match='has no spatial model'), messages.opened(folder):
        pass


def test_the_notebook_runs(tmp_path, monkeypatch, capsys):
    """docs/messages.ipynb, cell by cell, with the published weights.  No outputs are kept in it."""
    import matplotlib

    with open(os.path.join(ROOT, 'docs', 'messages.ipynb'), encoding='utf-8') as file:
        notebook = json.load(file)
    cells = [cell for cell in notebook['cells'] if cell['cell_type'] == 'code']
    assert not any(cell['outputs'] or cell['execution_count'] for cell in cells)
    matplotlib.use('Agg')
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(model, 'CHANNELS', CHANNELS)
    names = {}
    for cell in cells:
        exec(''.join(cell['source']), names)
    first, second = names['found']['joints']
    assert (first[:, 0] < 360).all() and (second[:, 0] > 360).all()
    assert names['difference'] < 1e-5
    for figure in ('detector', 'message', 'product', 'joint'):
        names[f'{figure}_figure'].savefig(tmp_path / f'{figure}.png')
        assert (tmp_path / f'{figure}.png').stat().st_size > 20_000
    names['pyplot'].close('all')
    assert 'messages              (2, 9, 10, 60, 90)' in capsys.readouterr().out
