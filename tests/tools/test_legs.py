"""legs.py: which detection is what, and the table, from people made by hand."""

import os

import numpy as np
import pytest
from conftest import ROOT

from jointpose.datasets import lsp
from jointpose.systems.tompson import people_search
from jointpose.utils.errors import InputError
from tools import legs

STANDING = {
    'lsho': (120, 100),
    'rsho': (80, 100),
    'lhip': (115, 200),
    'rhip': (85, 200),
    'lkne': (115, 280),
    'rkne': (85, 280),
    'lank': (115, 360),
    'rank': (85, 360),
}


def standing(left_out=()):
    joints_xy = [STANDING.get(name, (0, 0)) for name in lsp.JOINTS]
    visible = [name in STANDING and name not in left_out for name in lsp.JOINTS]
    return legs.annotated(joints_xy, visible, lsp.JOINTS)


def trunk(x, y, length=100, score=0.9):
    """A detection with its torso at (x, y)."""
    middle, half = np.array([x, y], float), np.array([0, length / 2])
    return people_search.Trunk(middle - half, middle + half, score)


def test_an_annotated_person():
    person = standing()
    np.testing.assert_allclose(person.torso_xy, (100, 150))
    assert person.length == pytest.approx(100) and len(person.legs) == 4
    assert len(standing(('lkne',)).legs) == 2 and standing(('rhip',)) is None


def test_kinds_of_detections():
    """The best near the torso is the person; one at the knees, one far below, one beside."""
    found = [
        trunk(105, 160),
        trunk(100, 130),
        trunk(130, 280, 60),
        trunk(100, 460),
        trunk(300, 150),
    ]
    assert legs.kinds([standing()], found) == ['person', 'again', 'legs', 'other', 'other']
    assert legs.kinds([], found[:1]) == ['other']


def test_before_and_after(tmp_path):
    picture = legs.Picture('tuned', 'PARSE', 'folder/a.jpg', [standing()])
    row = legs.row(
        picture,
        [trunk(100, 150), trunk(100, 260, 80, 0.8), trunk(400, 150), trunk(100, 300, 80, 0.4)],
    )
    assert row == {
        'part': 'tuned',
        'set': 'PARSE',
        'image': 'a.jpg',
        'people': 1,
        'detections': [
            {'score': 0.9, 'kind': 'person', 'under': None},
            {'score': 0.8, 'kind': 'legs', 'under': 0.9},
            {'score': 0.9, 'kind': 'other', 'under': None},
            {'score': 0.4, 'kind': 'legs', 'under': 0.9},
        ],
    }
    path = str(tmp_path / 'legs.jsonl')
    legs.write([row], path)
    assert legs.read(path) == [row]
    assert (
        legs.table([row], 0.5).splitlines()[-1]
        == '| all | 1 | 1 | 1 | 1 → 0 | 0 | 1 | 100.0 | 50.0 → 100.0 |'
    )
    assert '| 1 | 2 → 0 |' in legs.table([row], 0.3).splitlines()[-1]


def test_who_is_not_shown_suppresses_nobody():
    row = legs.row(
        legs.Picture('tuned', 'PARSE', 'a.jpg', [standing()]),
        [trunk(100, 260, 80, 0.52), trunk(100, 150, score=0.45)],
    )
    assert '| 0 | 1 |' in legs.table([row], 0.5).splitlines()[-1]
    assert '| 1 | 1 → 0 |' in legs.table([row], 0.3).splitlines()[-1]


def test_the_table_kept_is_read():
    rows = legs.read(os.path.join(ROOT, legs.TABLE))
    assert len(rows) >= 100 and {'tuned', 'held out'} == {one['part'] for one in rows}
    assert legs.table(rows, 0.5).count('\n') >= 5


def test_a_foreign_table(tmp_path):
    (tmp_path / 'legs.jsonl').write_text('set,image\n')
    with pytest.raises(InputError, match='not a table'):
        legs.read(str(tmp_path / 'legs.jsonl'))
