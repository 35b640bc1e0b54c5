"""peers.py: squares and points against poses that are known, and its page against the stored joints."""

import json
import os
import re
import sys

import numpy as np
import pytest
from conftest import ROOT
from test_evaluate import make_arrays

from jointpose.datasets import flic as flic_dataset
from jointpose.utils.errors import InputError
from tools import peers
from tools.peers import BLAZEPOSE, MOVENET, RUNS, Network

BOX = (100, 200, 150, 300)  # centre 125, 250; height 100
SIDE = """
import sys
import numpy as np
bytes_of_a_crop, answer = int(sys.argv[1]), np.array(eval(sys.argv[2]), np.float32)
while len(sys.stdin.buffer.read(bytes_of_a_crop)) == bytes_of_a_crop:
    sys.stdout.buffer.write(answer.tobytes())
    sys.stdout.buffer.flush()
"""


# ---------------------------------------------------------------- squares and points


def test_the_square_is_so_many_box_heights_to_each_side():
    square = peers.first_square(BOX, 1.5)
    assert square.side == 300
    corners = np.array([[-25, 100], [275, 400]])  # x: 125 -+ 150, y: 250 -+ 150
    matrix = square.matrix(192)
    np.testing.assert_allclose(corners @ matrix[:, :2].T + matrix[:, 2], [[0, 0], [192, 192]])


@pytest.mark.parametrize('peer, of_the_crop', [(MOVENET, 1), (BLAZEPOSE, 256)])
def test_points_come_back_to_the_picture(peer, of_the_crop):
    values = np.zeros(peer.values)
    values[:, peer.xy[0]] = 0.25 * of_the_crop
    values[:, peer.xy[1]] = 0.5 * of_the_crop
    points = peers.points_of(peer, values.ravel(), peers.first_square(BOX, 1.5))
    np.testing.assert_allclose(points, [[50, 250]] * len(values), atol=1e-6)


def test_joints_are_flics_in_order():
    coco = {
        0: 'nose',
        5: 'lsho',
        6: 'rsho',
        7: 'lelb',
        8: 'relb',
        9: 'lwri',
        10: 'rwri',
        11: 'lhip',
        12: 'rhip',
    }
    assert [coco[point] for point in MOVENET.joints] == list(flic_dataset.JOINTS)
    mediapipe = {
        0: 'nose',
        11: 'lsho',
        12: 'rsho',
        13: 'lelb',
        14: 'relb',
        15: 'lwri',
        16: 'rwri',
        23: 'lhip',
        24: 'rhip',
    }
    assert [mediapipe[point] for point in BLAZEPOSE.joints] == list(flic_dataset.JOINTS)


@pytest.mark.parametrize('to_circle', [(0, -80), (80, 0), (-48, -64), (0, 80)])
def test_the_next_square_holds_the_circle_upright(to_circle):
    points = np.zeros(BLAZEPOSE.values)[:, :2]
    points[peers.HIP_CENTRE] = (300, 200)
    points[peers.CIRCLE] = np.add((300, 200), to_circle)
    square = peers.next_square(points)
    matrix = square.matrix(256)
    assert square.side == pytest.approx(200)  # 2 x 1.25 x 80
    centre, top = (
        matrix[:, :2] @ points[i] + matrix[:, 2] for i in (peers.HIP_CENTRE, peers.CIRCLE)
    )
    np.testing.assert_allclose(centre, (128, 128), atol=1e-6)
    np.testing.assert_allclose(top, (128, 128 - 256 * 80 / 200), atol=1e-6)


def test_hips_further_in_and_down():
    truth = np.zeros((3, 9, 2))
    truth[:, flic_dataset.JOINTS.index('lhip')] = (60, 80)
    truth[:, flic_dataset.JOINTS.index('rhip')] = (20, 80)
    found = truth.copy()  # rsho is at 0, 0: the normaliser is 100
    found[:, flic_dataset.JOINTS.index('lhip')] += (-7, 3)
    found[:, flic_dataset.JOINTS.index('rhip')] += (7, 3)
    assert peers.hips_off(found, truth) == pytest.approx((7, 3))


# ---------------------------------------------------------------- its processes


def pretend(monkeypatch, peer, program, *arguments):
    monkeypatch.setattr(peers, 'command', lambda *_: [sys.executable, '-c', program, *arguments])
    return Network(peer, '')


def test_a_person_goes_through_the_process(monkeypatch):
    answer = '[0.5, 0.25, 1] * 17 + [0.125]'  # y, x, score; seconds
    image = np.zeros((480, 720, 3), np.uint8)
    with pretend(monkeypatch, MOVENET, SIDE, str(192 * 192 * 3), answer) as network:
        for _ in range(2):
            joints, seconds = peers.find(network, image, BOX, RUNS['movenet_lightning'])
    np.testing.assert_allclose(joints, [[50, 250]] * 9, atol=1e-6)
    assert 0.125 <= seconds < 1


@pytest.mark.parametrize(
    'program, reason',
    [('import sys; sys.exit("no such model")', 'no such model'), ('pass', 'it does not say why')],
)
def test_a_process_that_ends_says_why(monkeypatch, program, reason):
    with (
        pretend(monkeypatch, MOVENET, program) as network,
        pytest.raises(InputError, match=f'MoveNet Lightning: its process ended: {reason}'),
    ):
        network(np.zeros((192, 192, 3), np.uint8))


def test_another_model_is_refused(tmp_path):
    model = tmp_path / 'node_modules' / BLAZEPOSE.model
    with pytest.raises(InputError, match=r'heavy\.tflite: cannot be read: No such file'):
        peers.check_model(BLAZEPOSE, str(tmp_path))
    model.parent.mkdir(parents=True)
    model.write_bytes(b'another')
    with pytest.raises(InputError, match=r'heavy\.tflite: SHA-256 [0-9a-f]{64}, expected 59e42d71'):
        peers.check_model(BLAZEPOSE, str(tmp_path))


def test_what_is_missing_is_named():
    with pytest.raises(InputError, match=r'no_such_program: not found: the peers need Node\.js'):
        peers.call('no_such_program')
    with pytest.raises(InputError, match='failed: its last line'):
        peers.call(sys.executable, '-c', 'raise SystemExit("first\\nits last line")')


# ---------------------------------------------------------------- stored joints, the page


def test_stored_joints_are_read_and_scored(tmp_path):
    truth = np.full((6, 9, 2), 300.0)
    truth[:, 6] += (60, 80)
    make_arrays(tmp_path / 'arrays', truth)
    manifest = peers.read_flic(str(tmp_path / 'arrays'))
    found = truth + np.repeat([3, 30], 3)[:, None, None]  # 4 and 42 % of 100 pixels
    peers.store(str(tmp_path / 'kept'), 'movenet_lightning', found, 0.25, manifest)
    printed = peers.table(str(tmp_path / 'kept'), str(tmp_path / 'arrays'))
    (row,) = (line for line in printed.splitlines() if 'MoveNet' in line)
    cells = [cell.strip() for cell in row.strip('|').split('|')]
    assert cells[:6] == ['MoveNet Lightning', '1.5', '1', '0.25', 'annotated', '50.0']


@pytest.fixture(scope='module')
def real_arrays(flic, tmp_path_factory):
    """Arrays of FLIC's test people, without their frames, by the id of the stored files."""
    folder = tmp_path_factory.mktemp('peers') / 'arrays'
    people = flic_dataset.read_annotations(os.path.join(flic, 'examples.mat'))
    test = people.split == 'test'
    make_arrays(
        folder,
        people.joints_xy[test, :9],
        people.backward[test],
        people.torsobox[test],
        files=people.file[test],
    )
    manifest = json.loads((folder / 'manifest.json').read_text())
    (folder / 'manifest.json').write_text(json.dumps({**manifest, 'id': 'da158add'}))
    return str(folder)


def page():
    with open(os.path.join(ROOT, 'report', 'peers.md'), encoding='utf-8') as file:
        return file.read()


def rows_of(text):
    """Cells of all lines of tables, as bare text."""
    return [
        [cell.strip(' *`') for cell in line.strip('|').split('|')]
        for line in text.splitlines()
        if line.startswith('|')
    ]


def test_the_page_has_the_table_that_comes_out(real_arrays):
    printed = rows_of(peers.table(os.path.join(ROOT, peers.rate_tables.FOLDER), real_arrays))
    assert len(printed) == 2 + len(RUNS) + len(peers.OURS)
    on_page = rows_of(page())
    for row in printed[2:]:
        assert row in on_page, row


def test_the_page_has_the_hips_that_come_out(real_arrays):
    lines = peers.hip_lines(os.path.join(ROOT, peers.rate_tables.FOLDER), real_arrays)
    rows = rows_of(page())
    for line in lines:
        name, _, rest = line.partition(': ')
        assert [name, *re.findall(r'-?\d+\.\d', rest)] in rows, line
