"""evaluate.py against hand-made cases, a brute force one by one, and a benchmark's figures of other systems."""

import csv
import itertools
import json
import math
import os
import subprocess
import sys

import forked
import numpy as np
import pytest
import scipy.io
from conftest import ROOT

from jointpose import evaluate
from jointpose.datasets.arrays import read_manifest
from jointpose.datasets.flic import JOINTS, PERSON_DTYPE, add_torso, swap_sides
from jointpose.evaluation import detection_rates, predictions, rate_curves
from jointpose.metrics import key_points
from jointpose.utils.errors import InputError
from jointpose.utils.files import sampled_checksum
from jointpose.vision import palette

DATA_ID = '0badcafe'


def make_arrays(
    folder, joints_xy, backward=False, torsobox=(100, 100, 130, 140), split='test', files=''
):
    """A folder as data.py leaves it, without the pictures; joints_xy [n, 9, 2], sides already swapped."""
    people = np.zeros(len(joints_xy), PERSON_DTYPE)
    people['backward'], people['torsobox'] = backward, torsobox
    people['file'] = files
    os.makedirs(folder, exist_ok=True)
    np.save(
        folder / f'joints_{split}_flic.npy', add_torso(np.asarray(joints_xy)).astype(np.float32)
    )
    np.save(folder / f'people_{split}_flic.npy', people)
    counts = {'train': 0, 'test': 0, split: len(people)}
    spots = {path.name: sampled_checksum(path) for path in folder.glob('*.npy')}
    manifest = {'id': DATA_ID, 'counts': counts, 'checksums': {}, 'spots': spots, 'settings': {}}
    (folder / 'manifest.json').write_text(json.dumps(manifest))


def own_file(path, pd_xy, sm_xy=None, **changes):
    """predictions.mat as main.py writes it from [n, 9, 2]; a change to None leaves the variable out."""
    variables = {
        'flic_pred_pd': np.transpose(pd_xy),
        'split': 'test',
        'data_id': DATA_ID,
        'index': np.arange(len(pd_xy))[None],
    }
    if sm_xy is not None:
        variables['flic_pred_sm'] = np.transpose(sm_xy)
    variables.update(changes)
    scipy.io.savemat(path, {key: value for key, value in variables.items() if value is not None})
    return path


@pytest.fixture
def body(tmp_path):
    """13 people in quarters of a pixel (exact in float32), three of them from behind; tmp_path/arrays holds them."""
    rng = np.random.default_rng(5)
    joints_xy = rng.integers(80, 1900, (13, 9, 2)) / 4
    joints_xy[:, 6] = (
        joints_xy[:, 3] + rng.integers(40, 400, (13, 2)) / 4
    )  # lhip off rsho, lsho off rhip
    joints_xy[:, 7] = joints_xy[:, 0] + rng.integers(40, 400, (13, 2)) / 4
    corner = rng.integers(0, 400, (13, 2)) / 4
    torsobox = np.hstack([corner, corner + rng.integers(40, 800, (13, 2)) / 4])
    backward = np.isin(np.arange(13), (2, 3, 11))
    make_arrays(tmp_path / 'arrays', joints_xy, backward, torsobox)
    return joints_xy, backward, torsobox


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    """Runs main() in this process with these arguments in tmp_path, without the picture; returns what it printed."""

    def run(*argv):
        monkeypatch.setattr(rate_curves, 'plot', lambda *args: None)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, 'argv', ['evaluate.py', *map(str, argv)])
        evaluate.main()
        return capsys.readouterr().out

    return run


def parse(markdown):
    """{row label: [cells]}, the header under 'joint'."""
    rows = [
        [cell.strip() for cell in line.strip('|').split('|')]
        for line in markdown.splitlines()
        if line[:1] == '|'
    ]
    return {row[0]: row[1:] for row in rows if not row[0].startswith('-')}


def brute_force(pred_xy, truth_xy, torsobox, normaliser):
    """Errors [n][k] one by one in plain floats."""
    errors = []
    for pred, truth, box in zip(pred_xy.tolist(), truth_xy.tolist(), torsobox.tolist()):
        start, end = {
            'lhip-rsho': (truth[3], truth[6]),
            'lsho-rhip': (truth[7], truth[0]),
            'torsobox': (box[:2], box[2:]),
        }[normaliser]
        errors.append([100 * math.dist(p, g) / math.dist(start, end) for p, g in zip(pred, truth)])
    return errors


# ---------------------------------------------------------------- the measure


@pytest.mark.parametrize(
    'offset, normaliser, error',
    [
        ((3, 4), (30, 40), 10),
        ((1, 1), (10, 10), 10),
        ((-7, 7), (35, 35), 20),
        ((0, 0.75), (5, 0), 15),
        ((1, 3), (60, 20), 5),
        ((0, 0), (1, 1), 0),
        ((1, 3), (5, 15), 20),
        ((6, 9), (40, 60), 15),
    ],
)  # two roots round these two up
def test_an_error_exactly_on_the_radius_counts(offset, normaliser, error):
    truth_xy = np.array([[[312.25, 97.5]]])
    errors = key_points.normalised_errors(truth_xy + offset, truth_xy, np.array([normaliser]))
    assert errors.shape == (1, 1) and errors[0, 0] == error
    assert key_points.detection_rate(errors, error).tolist() == [100]
    assert key_points.detection_rate(errors, np.nextafter(error, -1)).tolist() == [0]


def test_normalisers_by_hand():
    truth_xy = np.zeros((1, 9, 2))
    truth_xy[0, [0, 3, 6, 7]] = (50, 10), (20, 10), (44, 17), (26, 42)  # lsho rsho lhip rhip
    torsobox = np.array([[20, 10, 29, 22]])
    length = {
        name: np.linalg.norm(detection_rates.normaliser_vectors(truth_xy, torsobox, name)[0])
        for name in detection_rates.NORMALISERS
    }
    assert length == {'lhip-rsho': 25, 'lsho-rhip': 40, 'torsobox': 15}


def test_rate_and_area_by_hand():
    errors = np.array([[0.0, 5], [10, 25], [20, 10], [30, 10]])
    assert key_points.detection_rate(errors, 10).tolist() == [50, 75]
    assert key_points.detection_rate(errors[:, 0], 20) == 75
    assert key_points.area_under_curve(errors).tolist() == [
        (1 + 0.5 + 0 + 0) / 4 * 100,
        (0.75 + 0 + 0.5 + 0.5) / 4 * 100,
    ]
    assert key_points.area_under_curve(errors, max_radius=40).tolist() == [62.5, 68.75]


@pytest.mark.parametrize('normaliser', detection_rates.NORMALISERS)
def test_table_equals_brute_force(body, cli, tmp_path, normaliser):
    truth_xy, _, torsobox = body
    rng = np.random.default_rng(1)
    pred = {
        'pd': truth_xy + rng.normal(0, 12, truth_xy.shape),
        'sm': truth_xy + rng.normal(0, 6, truth_xy.shape),
    }
    own_file(tmp_path / 'p.mat', pred['pd'], pred['sm'])
    rows = parse(cli('p.mat', '--normaliser', normaliser))

    averages = {
        'shoulder': (0, 3),
        'elbow': (1, 4),
        'wrist': (2, 5),
        'hip': (6, 7),
        'mean of 9': range(9),
    }
    columns = {name: [i] for i, name in enumerate(JOINTS)} | averages
    header = rows.pop('joint')
    assert (
        header[0] == 'part detector @5'
        and header[5] == 'joint model @5'
        and header[4] == header[9] == 'AUC'
    )
    assert list(rows) == list(columns)
    for label, joints in columns.items():
        want = []
        for name in ('pd', 'sm'):
            errors = brute_force(pred[name], truth_xy, torsobox, normaliser)
            each = [[person[j] for person in errors] for j in joints]
            want += [
                sum(100 * sum(e <= r for e in errs) / 13 for errs in each) / len(each)
                for r in (5, 10, 15, 20)
            ]
            want.append(sum(area_between_steps(errs) for errs in each) / len(each))
        assert rows[label] == [f'{value:.1f}' for value in want] + ['13', normaliser, 'swapped']


def area_between_steps(errors):
    """Integral of the step function, rectangle by rectangle, in % of 20 x 100."""
    steps = [0, *sorted(e for e in errors if e < 20), 20]
    return (
        sum((b - a) * sum(e <= a for e in errors) for a, b in itertools.pairwise(steps))
        / len(errors)
        / 20
        * 100
    )


def test_huge_predictions_miss_without_a_warning(recwarn):
    errors = key_points.normalised_errors(
        np.full((1, 1, 2), 1e300), np.zeros((1, 1, 2)), np.ones((1, 2))
    )
    assert key_points.detection_rate(errors, 20) == 0 and key_points.area_under_curve(errors) == 0
    assert [
        warning for warning in recwarn.list if issubclass(warning.category, RuntimeWarning)
    ] == []


# ---------------------------------------------------------------- sides


def test_sides(body, cli, tmp_path):
    truth_xy, backward, _ = body
    own_file(tmp_path / 'p.mat', truth_xy)
    np.savez(
        tmp_path / 'annotated.npz',
        pred=np.where(backward[:, None, None], swap_sides(truth_xy), truth_xy),
    )
    names = ','.join(JOINTS)
    facing = f'{100 * np.mean(~backward):.1f}'  # 10 of 13
    third = ['--predictions', 'annotated.npz', '--joints', names]
    for argv, wrist, sides in (
        (['p.mat'], '100.0', 'swapped'),
        (['p.mat', '--sides', 'annotated'], facing, 'annotated'),
        (third, '100.0', 'annotated'),
        ([*third, '--sides', 'swapped'], facing, 'swapped'),
    ):
        printed = cli(*argv)
        rows = parse(printed)
        found = 'of 3 people seen from behind, 3 have left and right as annotated' in printed
        assert found == ('annotated.npz' in argv)
        assert rows['lwri'][0] == rows['wrist'][0] == wrist
        assert rows['nose'][0] == '100.0'  # has no side
        assert rows['lwri'][-1] == sides


@pytest.mark.parametrize('sides, error', [('swapped', 100 * 5 / 50), ('annotated', 100 * 5 / 100)])
def test_the_normaliser_follows_the_sides(tmp_path, sides, error):
    joints_xy = np.zeros((1, 9, 2))
    joints_xy[0, [0, 3, 6, 7]] = (
        (200, 100),
        (100, 100),
        (130, 140),
        (260, 180),
    )  # |lhip-rsho| 50, |lsho-rhip| 100
    make_arrays(tmp_path, joints_xy, backward=True)
    truth = detection_rates.read_truth(tmp_path, read_manifest(tmp_path), 'test', sides)
    pred = predictions.Predictions(
        {'x': truth.joints_xy + [3, 4]}, JOINTS, np.arange(1), 'test', ''
    )
    np.testing.assert_allclose(detection_rates.score(pred, truth, 'lhip-rsho')['x'], error)


# ---------------------------------------------------------------- predictions.mat


def test_index_names_the_rows(body, cli, tmp_path):
    truth_xy = body[0]
    rows = [7, 0, 12]
    own_file(tmp_path / 'p.mat', truth_xy[rows], index=np.array([rows], np.float64))
    assert parse(cli('p.mat'))['mean of 9'][:5] == ['100.0'] * 5
    assert parse(cli('p.mat'))['mean of 9'][5] == '3'
    own_file(tmp_path / 'p.mat', truth_xy[rows], index=np.array([[0, 7, 12]]))
    assert parse(cli('p.mat'))['mean of 9'][3] != '100.0'
    own_file(tmp_path / 'p.mat', truth_xy, index=None)
    assert parse(cli('p.mat'))['mean of 9'][:6] == ['100.0'] * 5 + ['13']


def test_several_files_side_by_side(body, cli, tmp_path):
    truth_xy = body[0]
    rng = np.random.default_rng(3)
    names = ('a.mat', 'b.mat', 'c.mat')
    alone = {}
    for name, title in zip(names, ('detector', 'detector', 'CPM')):
        pred_xy = truth_xy + rng.normal(0, 9, truth_xy.shape)
        how = '' if name == 'b.mat' else f'--of {name}'
        own_file(tmp_path / name, pred_xy, flic_title_pd=title, found_with=how)
        alone[name] = parse(cli(name))
    printed = cli(*names)
    together = parse(printed)
    for row in ('lelb', 'wrist', 'mean of 9'):
        of_each = [alone[name][row][:5] for name in names]
        assert together[row][:15] == list(itertools.chain(*of_each))
    header = together['joint']
    assert header[::5][:3] == ['a.mat: detector @5', 'b.mat: detector @5', 'CPM @5']
    assert 'found with --of a.mat (a.mat), --of c.mat (c.mat)\n' in printed

    own_file(tmp_path / 'b.mat', truth_xy[1:], index=np.arange(1, 13))
    with pytest.raises(InputError, match=r'b\.mat: is about other people than a\.mat'):
        cli('a.mat', 'b.mat')
    with pytest.raises(InputError, match=r'c\.mat: is named twice'):
        cli('c.mat', 'a.mat', 'c.mat')


def test_train_split(body, cli, tmp_path):
    make_arrays(tmp_path / 'arrays', body[0][:4] + 1, split='train')
    own_file(tmp_path / 'p.mat', body[0][:4] + 1, split='train')
    assert parse(cli('p.mat'))['mean of 9'][:6] == ['100.0'] * 5 + ['4']


def test_a_joint_predicted_at_zero_is_wrong_in_our_own_file(body, cli, tmp_path):
    pred_xy = body[0].copy()
    pred_xy[:, 8] = 0
    own_file(tmp_path / 'p.mat', pred_xy)
    assert parse(cli('p.mat'))['nose'][3] == '0.0'


BAD_OWN = {
    'nan': ({}, (3, 2, 1, np.nan), 'person 3: lwri is NaN'),
    'inf': ({}, (12, 8, 0, -np.inf), 'person 12: nose is NaN or infinite'),
    'rows, not joints, first': (
        {'flic_pred_pd': np.zeros((9, 2, 13))},
        None,
        'expected numbers (2, 9, 13)',
    ),
    'two axes': ({'flic_pred_pd': np.zeros((2, 9))}, None, 'expected numbers (2, 9, 13)'),
    'cell': ({'flic_pred_pd': np.array([[1], 'a'], object)}, None, 'expected numbers'),
    'struct': ({'flic_pred_pd': {'x': 1}}, None, 'expected numbers'),
    'complex': ({'flic_pred_pd': np.zeros((2, 9, 13), complex)}, None, 'expected numbers'),
    'text': ({'flic_pred_pd': 'abc'}, None, 'expected numbers'),
    'no predictions': ({'flic_pred_pd': None}, None, '`flic_pred_pd` is absent'),
    'sm of other length': (
        {'flic_pred_sm': np.zeros((2, 9, 12))},
        None,
        '`flic_pred_sm` is float64 (2, 9, 12)',
    ),
    'sm nan': (
        {'flic_pred_sm': np.full((2, 9, 13), np.nan)},
        None,
        '`flic_pred_sm`: person 0: lsho',
    ),
    'index too large': ({'index': np.arange(1, 14)[None]}, None, 'rows 0..12'),
    'index negative': ({'index': np.arange(-1, 12)[None]}, None, 'rows 0..12'),
    'index fraction': ({'index': np.arange(13)[None] + 0.5}, None, 'rows 0..12'),
    'index nan': ({'index': np.full((1, 13), np.nan)}, None, 'rows 0..12'),
    'index twice': ({'index': np.zeros((1, 13), int)}, None, 'twice'),
    'index too short': ({'index': np.arange(12)[None]}, None, 'expected numbers (2, 9, 12)'),
    'index text': ({'index': 'all'}, None, 'rows 0..12'),
    'other arrays': ({'data_id': 'ffffffff'}, None, "'ffffffff'"),
    'no id': ({'data_id': None}, None, '`data_id`'),
    'id a number': ({'data_id': 5}, None, '`data_id`'),
    'split': ({'split': 'validation'}, None, "'validation'"),
    'no split': ({'split': None}, None, '`split`'),
    'found with a number': ({'found_with': 5}, None, '`found_with`'),
    'a number for a title': ({'flic_title_pd': 5}, None, '`flic_title_pd`'),
}


@pytest.mark.parametrize('changes, bad_value, reason', BAD_OWN.values(), ids=BAD_OWN)
def test_refuses_bad_predictions_mat(body, cli, tmp_path, changes, bad_value, reason):
    pred_xy = body[0].copy()
    if bad_value:
        pred_xy[bad_value[:3]] = bad_value[3]
    own_file(tmp_path / 'p.mat', pred_xy, **changes)
    with pytest.raises(InputError) as error:
        cli('p.mat')
    assert str(error.value).startswith('p.mat: ') and reason in str(error.value)
    assert not list(tmp_path.glob('curves*'))


def test_refuses_nobody(tmp_path, cli):
    make_arrays(tmp_path / 'arrays', np.zeros((0, 9, 2)))
    np.savez(tmp_path / 'p.npz', np.zeros((2, 9, 0)))
    with pytest.raises(InputError, match=r'p.npz: predicts none'):
        cli('--predictions', 'p.npz', '--joints', ','.join(JOINTS))
    own_file(tmp_path / 'p.mat', np.zeros((0, 9, 2)))
    with pytest.raises(InputError, match='no people to score'):
        cli('p.mat')


@pytest.mark.parametrize('normaliser', detection_rates.NORMALISERS)
def test_refuses_a_normaliser_of_length_zero(body, cli, tmp_path, normaliser):
    joints_xy, backward, torsobox = body
    joints_xy[5, 6], joints_xy[5, 7], torsobox[5, 2:] = (
        joints_xy[5, 3],
        joints_xy[5, 0],
        torsobox[5, :2],
    )
    make_arrays(tmp_path / 'arrays', joints_xy, backward, torsobox)
    own_file(tmp_path / 'p.mat', joints_xy[4:6], index=np.array([[4, 5]]))
    with pytest.raises(
        InputError, match=rf'joints_test_flic.npy: sample 5: its normaliser {normaliser} is zero'
    ):
        cli('p.mat', '--normaliser', normaliser)
    own_file(
        tmp_path / 'p.mat', joints_xy[:5], index=np.arange(5)[None]
    )  # not scored: not in the way
    cli('p.mat', '--normaliser', normaliser)


def test_says_how_joints_were_found_where_the_file_does(body, cli, tmp_path):
    """Systems without such options leave an empty text, older files none."""
    for how, said in (('--scales multi', 'found with --scales multi\n'), ('', ''), (None, '')):
        own_file(tmp_path / 'p.mat', body[0], found_with=how)
        assert (
            ''.join(line for line in cli('p.mat').splitlines(True) if line.startswith('found with'))
            == said
        )


def test_refuses_truth_of_other_counts(body, cli, tmp_path):
    own_file(tmp_path / 'p.mat', body[0])
    people = np.load(tmp_path / 'arrays' / 'people_test_flic.npy')
    np.save(tmp_path / 'arrays' / 'people_test_flic.npy', people[:12])
    with pytest.raises(InputError, match=r'people_test_flic\.npy: has shape'):
        cli('p.mat')


def test_who_has_no_label_of_a_joint_is_not_counted_there(body, cli, tmp_path):
    """Elsewhere the table is as it was; there it is that of the others alone, whom `index` names."""
    truth_xy = body[0].copy()
    pred_xy = truth_xy + np.random.default_rng(1).normal(0, 12, truth_xy.shape)
    own_file(tmp_path / 'p.mat', pred_xy)
    whole = parse(cli('p.mat'))
    own_file(
        tmp_path / 'others.mat',
        np.delete(pred_xy, [3, 7], axis=0),
        index=np.delete(np.arange(13), [3, 7]),
    )
    others = parse(cli('others.mat'))
    truth_xy[[3, 7], 8] = np.nan
    make_arrays(tmp_path / 'arrays', truth_xy, body[1], body[2])
    said = cli('p.mat')
    assert 'without label, not counted: 2 nose' in said
    rows = parse(said)
    assert rows['nose'][:5] == others['nose'][:5] != whole['nose'][:5]
    assert {label: row for label, row in rows.items() if label not in ('nose', 'mean of 9')} == {
        label: row for label, row in whole.items() if label not in ('nose', 'mean of 9')
    }


@pytest.mark.parametrize('joint', ['rsho', 'lhip'])
def test_refuses_nan_truth(body, cli, tmp_path, joint):
    joints_xy = body[0].copy()
    joints_xy[3, JOINTS.index(joint)] = np.nan
    make_arrays(tmp_path / 'arrays', joints_xy)
    own_file(tmp_path / 'p.mat', body[0])
    with pytest.raises(InputError, match=r'joints_test_flic\.npy: sample 3: a joint is NaN'):
        cli('p.mat')


# ---------------------------------------------------------------- other systems' files


@pytest.mark.parametrize('suffix', ['.npz', '.mat'])
def test_every_order_of_axes_gives_the_same_table(body, cli, tmp_path, suffix):
    truth_xy = body[0]
    pred_xy = truth_xy + np.random.default_rng(2).normal(0, 9, truth_xy.shape)
    names = ','.join(JOINTS)
    tables = set()
    for axes in itertools.permutations(range(3)):
        if suffix == '.npz':
            np.savez(tmp_path / 'p.npz', anything=pred_xy.transpose(axes), scores=np.zeros((13, 9)))
        else:
            scipy.io.savemat(
                tmp_path / 'p.mat', {'anything': pred_xy.transpose(axes), 'names': 'text'}
            )
        tables.add(cli('--predictions', f'p{suffix}', '--joints', names))
    own_file(tmp_path / 'own.mat', pred_xy)
    own = parse(cli('own.mat', '--sides', 'annotated'))
    assert len(tables) == 1
    assert {**parse(tables.pop()), 'joint': 0} == {**own, 'joint': 0}


@pytest.mark.parametrize(
    'n, names', [(2, ','.join(JOINTS)), (9, ','.join(JOINTS)), (5, 'nose,lsho')]
)
def test_ambiguous_axes_are_refused(tmp_path, cli, n, names):
    make_arrays(tmp_path / 'arrays', np.ones((n, 9, 2)))
    np.savez(tmp_path / 'p.npz', np.ones((n, len(names.split(',')), 2)))
    with pytest.raises(InputError, match=r'p.npz: shape .* ambiguous'):
        cli('--predictions', 'p.npz', '--joints', names)


def test_joints_are_found_by_name(body, cli, tmp_path):
    """Any order, names that are not ours between them, a joint at zero throughout and one not named: left out."""
    truth_xy, backward, _ = body
    truth_xy = np.where(backward[:, None, None], swap_sides(truth_xy), truth_xy)
    names = ['nose', 'leye', 'rwri', 'lwri', 'rhip', 'lsho']
    pred_xy = np.stack(
        [
            truth_xy[:, JOINTS.index(name)] if name in JOINTS else np.full((13, 2), np.nan)
            for name in names
        ],
        axis=1,
    )
    pred_xy[:, names.index('rhip')] = 0
    pred_xy[4, names.index('lwri')] = 0  # one person only: a miss
    np.savez(tmp_path / 'p.npz', pred_xy)
    out = cli('--predictions', 'p.npz', '--joints', ','.join(names))
    rows = parse(out)
    assert list(rows) == ['joint', 'lsho', 'lwri', 'rwri', 'nose', 'wrist', 'mean of 4']
    assert [rows[label][3] for label in ('lsho', 'lwri', 'rwri', 'nose')] == [
        '100.0',
        '92.3',
        '100.0',
        '100.0',
    ]
    assert 'left out: lelb, rsho, relb, lhip, rhip\n' in out


def test_key(body, cli, tmp_path):
    good, bad = body[0], body[0] + 1000
    names = ('--joints', ','.join(JOINTS))
    np.savez(tmp_path / 'p.npz', pred=good, other=bad)
    sides = ('--sides', 'swapped')
    assert parse(cli('--predictions', 'p.npz', *names, *sides))['mean of 9'][0] == '100.0'
    assert (
        parse(cli('--predictions', 'p.npz', *names, *sides, '--key', 'other'))['mean of 9'][0]
        == '0.0'
    )
    np.savez(tmp_path / 'p.npz', one=good, other=bad)
    with pytest.raises(InputError, match='one, other'):
        cli('--predictions', 'p.npz', *names)
    with pytest.raises(InputError, match='`third` is not a numeric array'):
        cli('--predictions', 'p.npz', *names, '--key', 'third')


ESCAPE = '\x1b]0;title\x07'


def test_texts_of_a_file_are_shown_and_not_obeyed(body, tmp_path):
    """In the program's output, its errors, its tables and its picture."""
    joints_xy, *_ = body
    hostile = {'flic_title_pd': f'{ESCAPE}$\\frac{{|\n', 'found_with': f'--scales {ESCAPE}'}
    own_file(tmp_path / 'p.mat', joints_xy, **hostile)
    done = forked.run(['evaluate.py', 'p.mat'], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    shown = '\\x1b]0;title\\x07'
    rows = [line for line in done.stdout.splitlines() if line.startswith('|')]
    assert f'{shown}$\\frac{{\\|\\n' in rows[0] and f'found with --scales {shown}' in done.stdout
    assert len({len(row) for row in rows}) == 1 and '\x1b' not in done.stdout + done.stderr
    for changes in ({'split': ESCAPE}, {'data_id': ESCAPE}, {'flic_title_pd': 'long' * 200}):
        own_file(tmp_path / 'p.mat', joints_xy, **changes)
        done = forked.run(['evaluate.py', 'p.mat'], cwd=tmp_path)
        assert done.returncode == 2 and done.stderr.count('\n') == 1 and '\x1b' not in done.stderr


class Bomb:
    """Unpickled, it leaves a file behind."""

    def __reduce__(self):
        return os.mkdir, ('exploded',)


def damaged(path, kind, good):
    """Writes one bad third-party file; returns its path."""
    if kind == 'pickle in npz':
        np.savez(path, pred=np.array([[[Bomb()]]]), good=good)
    elif kind == 'bare pickle':
        np.array([Bomb()]).dump(path)
    elif kind == 'npy':
        with open(path, 'wb') as file:
            np.save(file, good)
    elif kind == 'nan':
        good[1, 2, 0] = np.nan
        np.savez(path, good)
    elif kind == 'complex':
        np.savez(path, good.astype(complex))
    elif kind == 'two axes':
        np.savez(path, good[0])
    elif kind == 'too few people':
        np.savez(path, good[1:])
    elif kind == 'zeros':
        np.savez(path, good * 0)
    elif kind == 'cut':
        np.savez(path, good)
        path.write_bytes(path.read_bytes()[:-300])
    elif kind == 'empty':
        path.write_bytes(b'')
    elif kind == 'folder':
        path.mkdir()


@pytest.mark.parametrize(
    'kind',
    [
        'pickle in npz',
        'bare pickle',
        'npy',
        'nan',
        'complex',
        'two axes',
        'too few people',
        'zeros',
        'cut',
        'empty',
        'folder',
        'absent',
    ],
)
def test_refuses_bad_npz(body, cli, tmp_path, kind):
    damaged(tmp_path / 'p.npz', kind, body[0])
    with pytest.raises(InputError, match=r'^p\.npz: '):
        cli('--predictions', 'p.npz', '--joints', ','.join(JOINTS))
    assert not (tmp_path / 'exploded').exists()


@pytest.mark.parametrize(
    'kind', ['cell', 'struct', 'sparse', 'cut', 'empty', 'text', 'HDF5', 'absent']
)
def test_refuses_bad_mat(body, cli, tmp_path, kind):
    path = tmp_path / 'p.mat'
    variables = {
        'cell': np.array([1, 'a'], object),
        'struct': {'x': body[0]},
        'sparse': scipy.sparse.eye_array(3),
    }
    content = {
        'empty': b'',
        'text': b'joint,x,y\n' * 50,
        'HDF5': b'MATLAB 7.3 MAT-file'.ljust(124) + b'\x00\x02IM' * 9,
    }
    if kind in content:
        path.write_bytes(content[kind])
    elif kind != 'absent':
        scipy.io.savemat(path, {'pred': variables.get(kind, body[0])})
    if kind == 'cut':
        path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(InputError, match=r'^p\.mat: '):
        cli('--predictions', path.name, '--joints', ','.join(JOINTS))


# ---------------------------------------------------------------- intervals


def interval_rows(printed):
    """{(joint, model): [cells]} of the table that --intervals adds."""
    table = printed[printed.index('over people') :].partition('\n\n')[0]
    lines = table.splitlines()[2:]
    rows = [
        [cell.strip() for cell in line.strip('|').split('|')] for line in lines if line[:1] == '|'
    ]
    return {(joint, model): cells for joint, model, *cells in rows}


def test_intervals_beside_the_rates(tmp_path, cli):
    """Four films of five people: in two all are found, in two nobody."""
    joints_xy = np.full((20, 9, 2), 300.0)
    joints_xy[:, 6] += (60, 80)  # lhip-rsho: 100 pixels
    make_arrays(
        tmp_path / 'arrays', joints_xy, files=[f'a-film-{i // 5}-{i:04d}.jpg' for i in range(20)]
    )
    found_xy = joints_xy + np.where(np.arange(20) < 10, 3, 12)[:, None, None]  # 4.2 and 17 %
    own_file(tmp_path / 'p.mat', joints_xy, found_xy)

    assert 'over films' not in cli('p.mat')
    printed = cli('p.mat', '--intervals')
    rows = interval_rows(printed)
    kinds = ('shoulder', 'elbow', 'wrist', 'hip', 'nose', 'mean of 9')
    assert list(rows) == [
        (kind, model) for model in ('part detector', 'joint model') for kind in kinds
    ]
    for kind in kinds:
        assert rows[kind, 'part detector'] == ['100.0', '100.0 to 100.0', '100.0 to 100.0'] * 2
        assert rows[kind, 'joint model'] == [
            '50.0',
            '30.0 to 70.0',
            '0.0 to 100.0',
            '100.0',
            '100.0 to 100.0',
            '100.0 to 100.0',
        ]
    assert 'over 20 people and over 4 films' in printed
    wrist = '| wrist     | joint model - part detector | -50.0 | -70.0 to -30.0 | -100.0 to +0.0 |'
    assert wrist in printed


def test_intervals_of_some_people_of_one_film(tmp_path, cli):
    rng = np.random.default_rng(11)
    joints_xy = rng.uniform(100, 300, (6, 9, 2))
    make_arrays(
        tmp_path / 'arrays',
        joints_xy,
        files=[f'film-{i}.jpg' for i in range(4)] + ['x-1.jpg', 'y-1.jpg'],
    )
    own_file(tmp_path / 'p.mat', joints_xy[[0, 2, 3]], index=np.array([[0, 2, 3]]))
    rows = interval_rows(cli('p.mat', '--intervals'))
    assert rows['wrist', 'part detector'] == ['100.0', '100.0 to 100.0', '-'] * 2


# ---------------------------------------------------------------- figures of farrajota/human-pose-benchmark


@pytest.fixture(scope='module')
def real_arrays(flic, tmp_path_factory):
    """The 1016 FLIC test people, straight from examples.mat."""
    folder = tmp_path_factory.mktemp('flic') / 'arrays'
    examples = scipy.io.loadmat(
        os.path.join(flic, 'examples.mat'), squeeze_me=True, struct_as_record=False
    )['examples']
    people = [person for person in examples if person.istest]
    annotated = np.stack([person.coords[:, [0, 1, 2, 3, 4, 5, 6, 9, 16]].T for person in people])
    backward = annotated[:, 6, 0] < annotated[:, 7, 0]
    assert len(people) == 1016 and backward.sum() == 48
    joints_xy = np.where(backward[:, None, None], swap_sides(annotated), annotated)
    make_arrays(folder, joints_xy, backward, np.stack([person.torsobox for person in people]))
    return folder


@pytest.mark.parametrize(
    'system, elbow, wrist, own',
    [
        ('SappCVPR13', 72.5, 54.5, 0),
        ('YangCVPR16', 91.6, 88.8, 0),
        ('NewellARXIV16', 98.0, 95.5, 45),
    ],
)
def test_figures_of_the_benchmark(real_arrays, flic_predictions, cli, system, elbow, wrist, own):
    printed = cli(
        '--predictions',
        os.path.join(flic_predictions, f'{system}.mat'),
        '--data',
        real_arrays,
        '--normaliser',
        'torsobox',
    )
    assert f'of 48 people seen from behind, {own} have left and right as annotated' in printed
    rows = parse(printed)
    assert rows['joint'][0] == f'{system} @5' and rows['joint'][3] == '@20'
    assert (rows['elbow'][3], rows['wrist'][3]) == (str(elbow), str(wrist))
    assert rows['elbow'][5:] == ['1016', 'torsobox', 'annotated']
    assert ('nose' in rows) == (system == 'NewellARXIV16') and ('hip' in rows) == (
        system != 'SappCVPR13'
    )


# ---------------------------------------------------------------- the program


def run(folder, *argv):
    return forked.run(['evaluate.py', *argv], cwd=folder)


def test_end_to_end(body, tmp_path):
    truth_xy, _, torsobox = body
    rng = np.random.default_rng(8)
    pred_xy = truth_xy + rng.normal(0, 12, truth_xy.shape)
    own_file(tmp_path / 'p.mat', pred_xy, truth_xy)
    done = run(tmp_path, 'p.mat', '--out', 'my curves')
    assert (done.returncode, done.stderr) == (0, '')
    assert parse(done.stdout)['mean of 9'][5:] == ['100.0'] * 5 + ['13', 'lhip-rsho', 'swapped']
    assert sorted(os.listdir(tmp_path)) == ['arrays', 'my curves.csv', 'my curves.png', 'p.mat']

    with open(tmp_path / 'my curves.csv', newline='') as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 2 * 14 * 41
    rates = {
        (line['model'], line['joint'], float(line['radius'])): float(line['rate']) for line in lines
    }
    assert len(rates) == len(lines) and {radius for *_, radius in rates} == {
        i / 2 for i in range(41)
    }
    errors = brute_force(pred_xy, truth_xy, torsobox, 'lhip-rsho')
    for radius in (0, 7.5, 20):
        elbows = [100 * sum(person[j] <= radius for person in errors) / 13 for j in (1, 4)]
        assert rates['part detector', 'lelb', radius] == pytest.approx(elbows[0], abs=1e-4)
        assert rates['part detector', 'elbow', radius] == pytest.approx(sum(elbows) / 2, abs=1e-4)
        assert rates['joint model', 'elbow', radius] == 100

    from matplotlib import image

    pixels = (image.imread(tmp_path / 'my curves.png')[..., :3] * 255).round().astype(int)
    for colour in (*(palette.rgb(palette.SIDE_COLOURS[side]) for side in 'lr'), (0, 0, 0)):
        assert (pixels == colour).all(axis=-1).sum() > 100


@pytest.mark.parametrize(
    'joints, titles',
    [
        (('nose',), ['nose', 'mean of 1']),
        (JOINTS[:6], ['shoulder', 'elbow', 'wrist', 'mean of 6']),
        (JOINTS, ['shoulder', 'elbow', 'wrist', 'hip', 'nose', 'mean of 9']),
    ],
)
def test_panels_and_line_styles(tmp_path, monkeypatch, joints, titles):
    from matplotlib.figure import Figure

    drawn = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, 'savefig', lambda self, *args, **kw: (drawn.append(self), save(self, *args, **kw))
    )
    errors = np.linspace(0, 30, 10 * len(joints)).reshape(10, -1)
    rates = rate_curves.rate_curves({'part detector': errors, 'joint model': errors / 2}, joints)
    rate_curves.plot(tmp_path / 'c.png', rates, 'title', 'torsobox')
    (figure,) = drawn
    assert [axis.get_title() for axis in figure.axes] == titles
    left, *others = figure.axes[0].lines[:2]
    assert left.get_linestyle() == '--' and others[0].get_linestyle() == '-'
    np.testing.assert_array_equal(left.get_ydata(), rates['part detector', joints[0]])
    assert figure.axes[0].get_xlim() == (0, 20)
    legend = figure.legends[0].get_window_extent()  # below every panel, over no text
    assert all(legend.y1 <= axis.get_tightbbox().y0 for axis in figure.axes)
    assert not any(legend.overlaps(text.get_window_extent()) for text in figure.texts)
    assert (tmp_path / 'c.png').read_bytes()[:4] == b'\x89PNG' and os.listdir(tmp_path) == ['c.png']


def test_six_stages_have_six_line_styles(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    drawn = []
    monkeypatch.setattr(
        Figure, 'savefig', lambda self, path, **kw: (drawn.append(self), open(path, 'w').close())
    )
    errors = np.linspace(0, 30, 10).reshape(10, 1)
    rates = rate_curves.rate_curves({f'stage {i}': errors / i for i in range(1, 7)}, ('nose',))
    rate_curves.plot(tmp_path / 'c.png', rates, 'title', 'torsobox')
    lines = drawn[0].axes[0].lines
    assert len({str(line._dash_pattern) for line in lines}) == 6 and lines[5].get_linestyle() == '-'


def test_the_part_detector_alone(body, cli, tmp_path):
    own_file(tmp_path / 'p.mat', body[0])
    assert 'joint model' not in cli('p.mat')
    assert 'joint model' not in (tmp_path / 'curves.csv').read_text()


def test_a_file_that_crashes_the_reader_is_one_line(body, tmp_path):
    """An unknown element type makes SciPy's reader dereference a null pointer."""
    path = own_file(tmp_path / 'p.mat', body[0])
    content = bytearray(path.read_bytes())
    tag = content.index(b'flic_pred_pd') + 16
    assert content[tag] == 9  # miDOUBLE
    content[tag] = 101
    path.write_bytes(content)
    done = run(tmp_path, 'p.mat')
    assert done.returncode == 2 and done.stdout == ''
    assert (
        done.stderr.startswith('evaluate.py: error: p.mat: not a readable')
        and done.stderr.count('\n') == 1
    )


@pytest.mark.parametrize(
    'argv, reason',
    [
        (['absent.mat'], 'no such file: main.py --restore RUN --predictions absent.mat writes it'),
        (['p.mat', '--data', 'elsewhere'], 'run data.py first'),
        (['p.mat', '--out', 'absent/curves'], 'absent/curves.csv: cannot be written'),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(body, tmp_path, argv, reason):
    own_file(tmp_path / 'p.mat', body[0])
    done = run(tmp_path, *argv)
    assert done.returncode == 2 and reason in done.stderr and done.stderr.count('\n') == 1
    assert sorted(os.listdir(tmp_path)) == ['arrays', 'p.mat']


@pytest.mark.parametrize(
    'argv',
    [
        [],
        ['p.mat', '--predictions', 'q.mat'],
        ['p.mat', '--joints', 'nose'],
        ['p.mat', '--key', 'pred'],
        ['p.mat', '--sides', 'left'],
        ['p.mat', '--normaliser', 'head'],
        ['--predictions', 'q.mat', '--joints', 'a,b'],
        ['--predictions', 'q.mat', '--joints', 'nose,nose'],
        ['--predictions', 'q.mat', '--joints', 'nose,'],
        ['p.mat', '--radius', '3'],
    ],
)
def test_argparse_refuses(cli, capsys, argv):
    with pytest.raises(SystemExit) as stop:
        cli(*argv)
    assert stop.value.code == 2 and 'error:' in capsys.readouterr().err


def test_neither_tensorflow_nor_early_matplotlib(body, tmp_path):
    own_file(tmp_path / 'p.mat', body[0])
    code = (
        'import sys; from jointpose import evaluate; '
        'assert not {"matplotlib", "scipy", "tensorflow"} & set(sys.modules);'
        'sys.argv[1:] = ["p.mat"]; evaluate.main(); assert "tensorflow" not in sys.modules'
    )
    done = subprocess.run(
        [sys.executable, '-c', code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, 'PYTHONPATH': ROOT},
    )
    assert done.returncode == 0, done.stderr


def test_a_changed_truth_is_refused(cli, body, tmp_path):
    """One joint moved by 60 pixels in the arrays: the rates would be wrong, so there are none."""
    own_file(tmp_path / 'predictions.mat', body[0])
    truth = np.load(tmp_path / 'arrays' / 'joints_test_flic.npy')
    truth[4, 1] += 60
    np.save(tmp_path / 'arrays' / 'joints_test_flic.npy', truth)
    with pytest.raises(InputError, match='checksum'):
        cli('predictions.mat')
