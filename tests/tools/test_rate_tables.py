"""rate_tables.py: the cells of report/rates.md against the stored joints; README's against these."""

import json
import os
import re
import sys

import numpy as np
import pytest
from conftest import ROOT
from test_evaluate import make_arrays, own_file

from jointpose.datasets import flic as flic_dataset
from jointpose.utils.errors import InputError
from tools import rate_tables
from tools.rate_tables import ROWS

STORED = os.path.join(ROOT, rate_tables.FOLDER)
INTERVALS = {'95 % interval over people': 'people', '95 % interval over films': 'films'}
HOW = '--scales multi --decode subcell --flip_average'


@pytest.fixture(scope='module')
def real_arrays(flic, tmp_path_factory):
    """Arrays of FLIC's test people, without their frames, by the id of the stored files."""
    folder = tmp_path_factory.mktemp('rates') / 'arrays'
    people = flic_dataset.read_annotations(os.path.join(flic, 'examples.mat'))
    test = people.split == 'test'
    assert test.sum() == 1016 and people.backward[test].sum() == 48
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


@pytest.fixture(scope='module')
def recomputed(real_arrays):
    """{(weights, label): its cells, and its intervals' cells} of the rows whose joints are stored."""
    errors = rate_tables.stored_errors(STORED, real_arrays)
    truth = rate_tables.detection_rates.read_truth(
        real_arrays, rate_tables.read_manifest(real_arrays), 'test'
    )
    return {
        (row.weights, row.label): {
            'rates': rate_tables.rate_cells(error),
            'people': rate_tables.interval_cells(error, None),
            'films': rate_tables.interval_cells(error, truth.films),
        }
        for row, error in errors.items()
    }


def page_rows(text):
    """{(weights, label): {'rates': [cells], 'people': [...], 'films': [...]}} of the table of rates."""
    _, _, table = text.partition('| CPU seconds a person |')
    table = table.partition('\n\n')[0]
    result, weights, last = {}, '', None
    for line in table.splitlines()[2:]:
        label, named, _, _, *cells = (cell.strip() for cell in line.strip('|').split('|'))
        weights = named.strip('`') or weights
        cells = [cell.replace('**', '') for cell in cells]
        if label in INTERVALS:
            result[last][INTERVALS[label]] = cells
        else:
            last = weights, label
            result[last] = {'rates': cells}
    return result


def numbers(cells):
    """['72.0 to 79.4', ...] -> [[72.0, 79.4], ...]."""
    return [[float(number) for number in re.findall(r'[\d.]+', cell)] for cell in cells]


def text_of(*path):
    with open(os.path.join(ROOT, *path), encoding='utf-8') as file:
        return file.read()


@pytest.mark.parametrize('row', ROWS, ids=lambda row: f'{row.name}-{row.output}')
def test_the_page_has_the_cells_that_come_out(row, recomputed):
    printed = page_rows(text_of('report', 'rates.md'))[row.weights, row.label]
    if (row.weights, row.label) not in recomputed:
        pytest.skip(
            f"{rate_tables.FOLDER}/{row.name}.npz is missing: the page's row is not recomputed"
        )
    expected = recomputed[row.weights, row.label]
    assert printed.pop('rates') == expected['rates']
    for over, cells in printed.items():  # NumPy's draws may change with its version
        assert np.allclose(numbers(cells), numbers(expected[over]), atol=0.11)


def test_readme_has_the_rates_of_the_page():
    """Every row of README with six rates is a row of report/rates.md."""
    page = text_of('report', 'rates.md').replace('*', '')
    rates = re.findall(r'((?: \| \d\d\.\d){6})', text_of('README.md').replace('*', ''))
    assert len(rates) >= 5
    for row in rates:
        assert row in page, row


def test_the_test_reads_rates_and_intervals_of_the_row_above():
    text = (
        'words\n\n| | weights | options | CPU seconds a person | wrist | hip |\n|---|---|---|---:|---:|---:|\n'
        '| **one** | `a` | `--b` | 2.3 | **80.9** | 1 |\n'
        '| 95 % interval over films | | | | 72.0 to 79.4 | 0 to 2 |\n'
        '| two | | | | 3 | 4 |\n| two | `c` | | | 5 | 6 |\n\n| other | table |\n'
    )
    assert page_rows(text) == {
        ('a', '**one**'): {'rates': ['80.9', '1'], 'films': ['72.0 to 79.4', '0 to 2']},
        ('a', 'two'): {'rates': ['3', '4']},
        ('c', 'two'): {'rates': ['5', '6']},
    }
    assert numbers(['72.0 to 79.4']) == [[72, 79.4]]


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Six people of two films, 100 pixels each, and a predictions.mat; the folder."""
    joints_xy = np.full((6, 9, 2), 300.0)
    joints_xy[:, 6] += (60, 80)
    make_arrays(tmp_path / 'arrays', joints_xy, files=['a-1.jpg'] * 3 + ['b-1.jpg'] * 3)
    far = joints_xy + np.repeat([3, 30], 3)[:, None, None]  # 4 and 42 %
    own_file(tmp_path / 'p.mat', joints_xy, far, found_with=HOW, flic_score_sm=np.ones((9, 6)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(monkeypatch, *argv):
    monkeypatch.setattr(
        sys, 'argv', ['rate_tables.py', '--data', 'arrays', '--folder', 'kept', *argv]
    )
    rate_tables.main()


def test_stored_and_printed(made, monkeypatch, capsys):
    run(monkeypatch, '--store', 'p.mat', 'quarter_flip')
    assert capsys.readouterr().out == os.path.join('kept', 'quarter_flip.npz') + '\n'
    kept = rate_tables.predictions.load_variables('kept/quarter_flip.npz')
    assert set(kept) == {'flic_pred_pd', 'flic_pred_sm', 'split', 'data_id', 'found_with'}
    assert kept['flic_pred_sm'].dtype == np.float32 and kept['flic_pred_sm'].shape == (2, 9, 6)

    run(monkeypatch)
    printed = capsys.readouterr().out
    rows = [
        [cell.strip() for cell in line.strip('|').split('|')]
        for line in printed.splitlines()
        if line[:1] == '|'
    ]
    joint_model, detector = ROWS[0].label, 'part detector alone'
    assert [joint_model, 'pretrained/flic_quarter', '--flip_average', *['50.0'] * 6] in rows
    assert [detector, 'pretrained/flic_quarter', '--flip_average', *['100.0'] * 6] in rows
    assert [joint_model, 'pretrained/flic_quarter', 'people', *['16.7 to 83.3'] * 6] in rows
    assert [joint_model, 'pretrained/flic_quarter', 'films', *['0.0 to 100.0'] * 6] in rows
    assert (
        'quarter (main.py --restore pretrained/flic_quarter), ' in printed
        and 'quarter_flip (' not in printed
    )


@pytest.mark.parametrize(
    'name, changes, message',
    [
        ('third', {}, 'no row uses the file third; expected one of quarter_flip, '),
        ('quarter', {}, f'p.mat: predicted with {HOW!r}, but the row has default settings'),
        (
            'quarter_flip',
            {'found_with': '--scales single --decode subcell'},
            'predicted with .* the row has --flip_average',
        ),
        (
            'quarter_flip',
            {'index': np.array([[0, 1, 2, 3, 5, 4]])},
            'p.mat: expected predictions of all 6 test people, in order',
        ),
        ('quarter_flip', {'data_id': 'another'}, 'made from the arrays'),
    ],
)
def test_what_is_not_stored(made, monkeypatch, name, changes, message):
    joints_xy = np.full((6, 9, 2), 300.0)
    own_file(made / 'p.mat', joints_xy, joints_xy, **{'found_with': HOW, **changes})
    with pytest.raises(InputError, match=message):
        run(monkeypatch, '--store', 'p.mat', name)
    assert not os.path.exists('kept')


def test_a_stored_file_of_other_options_is_refused(made, monkeypatch):
    run(monkeypatch, '--store', 'p.mat', 'quarter_flip')
    os.rename('kept/quarter_flip.npz', 'kept/eighth.npz')
    with pytest.raises(
        InputError, match=r'eighth\.npz: predicted with .*, but the row has default settings'
    ):
        run(monkeypatch)


def test_rows_have_names_of_their_own():
    assert (
        len({(row.weights, row.label) for row in ROWS})
        == len({(row.name, row.output) for row in ROWS})
        == len(ROWS)
    )
    assert all(
        len({row.options for row in ROWS if row.name == name}) == 1
        for name in rate_tables.file_names()
    )
