"""certainty.py: the fit against the curve that drew the fields, and the constants in use against the fields kept."""

import os

import numpy as np
import pytest
from conftest import ROOT

from jointpose import run_options
from jointpose.utils.errors import InputError
from jointpose.vision.found_person import FoundPerson
from tools import certainty


@pytest.fixture(autouse=True)
def from_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_the_fit_finds_the_curve_that_drew_the_fields():
    """At each of many fields, as many people as the curve says."""
    fields, even, steepness = np.linspace(-12, 2, 281), -4.0, 0.8
    probability = 1 / (1 + np.exp(-steepness * (fields - even)))
    counts = np.rint(1000 * probability).astype(int)
    with_people, without = np.repeat(fields, counts), np.repeat(fields, 1000 - counts)
    # both kinds weigh the same: odds are those of the curve times the ratio of the kinds' numbers
    moved = even + np.log(len(with_people) / len(without)) / steepness
    np.testing.assert_allclose(certainty.fit(with_people, without), [moved, steepness], rtol=0.02)


@pytest.mark.parametrize(
    ('weights', 'table'), [('flic', 'certainty.csv'), ('flic_quarter', 'quarter/certainty.csv')]
)
def test_the_curves_in_use_are_the_fits_of_the_fields_kept(weights, table):
    """flic's is the default."""
    fields = certainty.read(os.path.join('report', table))
    assert min(len(values) for values in fields.values()) >= 20 and len(fields) == 4
    fitted = certainty.fit(fields['train', 'people'], fields['train', 'nobody'])
    options = run_options.resolve_options(
        ['--restore', os.path.join('pretrained', weights), '--predict', 'docs/person.jpg']
    )[0]
    np.testing.assert_allclose(options.certainty, fitted, atol=0.006)


def test_fields_are_kept_as_they_are(tmp_path):
    path = str(tmp_path / 'fields.csv')
    certainty.write(
        [('train', 'people', -1.25), ('test', 'nobody', -9.0), ('train', 'people', 0.5)], path
    )
    fields = certainty.read(path)
    assert {key: list(values) for key, values in fields.items()} == {
        ('train', 'people'): [-1.25, 0.5],
        ('test', 'nobody'): [-9.0],
    }


def test_the_field_of_a_person_is_the_highest_near_the_torso():
    """Shoulders at y = 100, hips at y = 200: near is within 35 pixels of (50, 150)."""
    joints_xy = np.zeros((10, 2))
    joints_xy[[0, 3]], joints_xy[[6, 7]], joints_xy[9] = (50, 100), (50, 200), (50, 150)
    found = [
        FoundPerson(torso_xy=np.array(xy, float), torso_score=field)
        for xy, field in (((50, 150), -3.0), ((80, 150), -2.0), ((90, 150), -1.0))
    ]
    assert certainty.field_near(found, joints_xy) == -2.0
    assert certainty.field_near(found[2:], joints_xy) == certainty.NOBODY


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        (None, 'No such file'),
        ('a,b\n1,2\n', 'not a table'),
        ('part,kind,field\ntrain,people,x\n', 'not a table'),
        ('part,kind,field\ntrain,people,1\n', 'wants train and test'),
    ],
)
def test_a_table_that_is_none_is_named(tmp_path, monkeypatch, content, reason):
    path = tmp_path / 'fields.csv'
    if content is not None:
        path.write_text(content)
    monkeypatch.setattr('sys.argv', ['certainty', '--again', '--table', str(path)])
    with pytest.raises(InputError, match=f'--table {path}: {reason}'):
        certainty.main()


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setattr('sys.argv', ['certainty', '--restore', 'pretrained/flic'])
    with pytest.raises(InputError, match='--again'):
        certainty.parse_options()
