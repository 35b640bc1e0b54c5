"""PCP, the tables and average precision: hand-made cases; predictions of each data set's form."""

import argparse
import codecs
import json
import math
import os
import sys
import types

import numpy as np
import pytest
import scipy.io

from jointpose import data, datasets, evaluate
from jointpose.datasets import arrays, coco, lsp, mpii
from jointpose.evaluation import predictions
from jointpose.evaluation.pose import Pose
from jointpose.metrics import average_precision, key_points, tables
from jointpose.utils.errors import InputError


def test_parts_by_hand():
    """A stick of length 10; its ends off by (5, 5), (6, 3), (10.1, 0), (0, 0), the last of them without a label."""
    truth = np.tile(np.array([[0.0, 0], [10, 0], [3, 3]]), (4, 1, 1))
    pred = truth.copy()
    for i, (a, b) in enumerate([(5, 5), (6, 3), (10.1, 0), (0, 0)]):
        pred[i, 0, 1] += a
        pred[i, 1, 1] -= b
    visible = np.full((4, 3), 2)
    visible[3, 0] = 0
    strict, relaxed, counts = key_points.pcp(pred, truth, visible, [((0,), (1,)), ((0, 2), (1,))])
    assert counts.tolist() == [3, 3]
    np.testing.assert_allclose(strict[0], 100 / 3)
    np.testing.assert_allclose(relaxed[0], 100 * 2 / 3)  # means 5, 4.5, 5.05
    length = np.hypot(10 - 1.5, 1.5)  # of the stick between means
    ends = [(abs(a) / 2, abs(b)) for a, b in [(5, 5), (6, 3), (10.1, 0)]]
    np.testing.assert_allclose(strict[1], 100 * np.mean([max(end) <= length / 2 for end in ends]))
    np.testing.assert_allclose(
        relaxed[1], 100 * np.mean([sum(end) / 2 <= length / 2 for end in ends])
    )


def people_of(body, n, **fields):
    records = np.zeros(n, arrays.person_dtype(len(body.JOINTS)))
    for name, value in {'visible': 2, 'unit': 10, **fields}.items():
        records[name] = value
    return records


def cells(rows):
    return {row[0]: [float(cell.replace('-', 'nan')) for cell in row[1:]] for row in rows}


def test_groups_of_a_table():
    body = mpii.Mpii()
    groups = dict(tables.kind_groups(body))
    assert groups['wrist'] == [body.joints.index('lwri'), body.joints.index('rwri')]
    assert 'pelvis' not in groups and len(groups['mean of 14']) == 14
    beast = types.SimpleNamespace(
        joints=('nose', 'head', 'lwri', 'tail'), uncounted_joints=('nose',)
    )
    assert tables.kind_groups(beast) == [
        ('head', [1]),
        ('lwri', [2]),
        ('tail', [3]),
        ('mean of 3', [1, 2, 3]),
    ]


def test_errors_in_units():
    truth = np.zeros((3, 2, 2))
    pred = truth + [3, 4]
    visible = np.array([[2, 0], [1, 1], [2, 2]])
    errors = key_points.errors_in_units(pred, truth, visible, [10, 0, 2.5])
    np.testing.assert_array_equal(errors, [[0.5, np.nan], [np.nan, np.nan], [2, 2]])
    rates, counts = key_points.pck(pred, truth, visible, [10, 0, 2.5], 0.5)
    labelled = ~np.isnan(errors)
    assert counts.tolist() == labelled.sum(axis=0).tolist()
    assert rates.tolist() == [50, 0]


def test_head_normalised_table():
    """Left wrists are 4.9 heads' tenths off, right ones 5.1; pelvis and thorax are wrong and not counted."""
    truth = np.random.default_rng(0).uniform(0, 90, (6, 16, 2))
    pred = truth.copy()
    for joint, off in (('lwri', 4.9), ('rwri', 5.1), ('pelvis', 99), ('thorax', 99), ('head', 0.9)):
        pred[:, mpii.JOINTS.index(joint), 0] += off
    ((title, header, rows, _),) = datasets.load('mpii').tables(
        {'net': pred}, truth, people_of(mpii, 6)
    )
    found = cells(rows)
    assert title == 'PCKh' and header == ['joint', 'net PCKh@0.1', 'net PCKh@0.5']
    assert (
        found['wrist'] == [0, 50] and found['head'] == [100, 100] and found['ankle'] == [100, 100]
    )
    assert found['mean'] == [
        pytest.approx(100 * 12 / 14, abs=0.05),
        pytest.approx(100 * 13 / 14, abs=0.05),
    ]
    assert found['symmetric mean'] == [
        pytest.approx(700 / 8, abs=0.05),
        pytest.approx(750 / 8, abs=0.05),
    ]
    unlabelled = people_of(mpii, 6)
    unlabelled['visible'][:5, mpii.JOINTS.index('rwri')] = (
        0  # one label left: it weighs a sixth in the mean
    )
    rows = datasets.load('mpii').tables({'net': pred}, truth, unlabelled)[0][2]
    assert cells(rows)['mean'][1] == pytest.approx(100 * 78 / 79, abs=0.05)
    assert cells(rows)['wrist'][1] == 50


def test_lsp_is_measured_in_heads_too():
    """Heads of 20 pixels: left wrists are 9.9 off, right ones 10.1, left elbows 1.9, right ones
    2.1; whoever has no neck is not counted; of left knees nobody has a label, of ankles nobody on
    either side."""
    truth = np.random.default_rng(0).uniform(0, 90, (6, 14, 2))
    truth[:, lsp.JOINTS.index('head')] = truth[:, lsp.JOINTS.index('neck')] - [12, 16]
    pred, people = truth.copy(), people_of(lsp, 6)
    for joint, off in (('lwri', 9.9), ('rwri', 10.1), ('lelb', 1.9), ('relb', 2.1), ('rkne', 99)):
        pred[:, lsp.JOINTS.index(joint), 1] += off
    pred[5] += 500
    people['visible'][5, lsp.JOINTS.index('neck')] = 0
    for joint in ('lkne', 'lank', 'rank'):
        people['visible'][:, lsp.JOINTS.index(joint)] = 0
    _, (title, header, rows, _), _ = datasets.load('lsp').tables({'net': pred}, truth, people)
    found = cells(rows)
    assert title == 'PCKh' and header == ['joint', 'net PCKh@0.1', 'net PCKh@0.5']
    assert found['wrist'] == [0, 50] and found['elbow'] == [50, 100] and found['head'] == [100, 100]
    assert found['knee'] == [0, 0] and np.isnan(found['ankle']).all()
    assert found['symmetric mean'] == pytest.approx([100 * 4.5 / 7, 100 * 5.5 / 7], abs=0.05)
    assert found['mean'] == pytest.approx([100 * 7 / 11, 100 * 9 / 11], abs=0.05)


def test_part_table_has_ten_sticks():
    truth = np.random.default_rng(0).uniform(0, 90, (5, 14, 2))
    pred = truth.copy()
    pred[:, lsp.JOINTS.index('lwri')] += 500
    (_, _, points, _), _, (title, _, rows, _) = datasets.load('lsp').tables(
        {'net': pred}, truth, people_of(lsp, 5)
    )
    assert title == 'PCP' and sum(map(len, tables.PARTS.values())) == 10
    assert cells(rows)['forearm'] == [50, 50] and cells(rows)['torso'] == [100, 100]
    assert cells(rows)['total'] == [90, 90] and cells(points)['wrist'] == [50, 50]


# --- COCO ---------------------------------------------------------------------------------------------------------

SIGMAS = (
    np.array(
        [
            0.26,
            0.25,
            0.25,
            0.35,
            0.35,
            0.79,
            0.79,
            0.72,
            0.72,
            0.62,
            0.62,
            1.07,
            1.07,
            0.87,
            0.87,
            0.89,
            0.89,
        ]
    )
    / 10
)


def scene(n=4):
    """(table, Split) of n pictures of one person, 100 x 100 pixels, all joints visible."""
    rng = np.random.default_rng(1)
    table = np.zeros(n, arrays.picture_dtype())
    table['id'] = 10 + np.arange(n)
    people = people_of(coco, n, area=1e4, box=(0, 0, 100, 100), picture=np.arange(n))
    return table, arrays.Split(
        None, rng.uniform(10, 90, (n, 17, 2)).astype(np.float32), people, np.arange(n), 'test'
    )


def off_by(oks, joints_xy):
    """Joints moved so that the object key point similarity is `oks`: exp(-d^2 / (2 area (2 sigma)^2)) each."""
    d = np.sqrt(-2 * np.log(oks) * (1e4 + np.spacing(1)) * (2 * SIGMAS) ** 2)
    return joints_xy + np.stack([d, 0 * d], axis=1)


def precision(table, split, found, evaluated=None):
    results = [
        average_precision.coco_result(table['id'][i], xy, np.ones(17), score)
        for i, xy, score in found
    ]
    return {
        label: value
        for label, (value,) in cells(
            average_precision.precision_table(coco.JOINTS, table, split, results, evaluated)[2]
        ).items()
    }


@pytest.mark.parametrize(('oks', 'thresholds'), [(0.999, 10), (0.77, 6), (0.52, 1), (0.4, 0)])
def test_precision_by_hand(oks, thresholds):
    """Everybody is found as well: right at so many of the ten thresholds 0.5, 0.55 ... 0.95."""
    table, split = scene()
    found = precision(table, split, [(i, off_by(oks, split.joints[i]), 0.9) for i in range(4)])
    assert found['AP'] == found['AR'] == pytest.approx(10 * thresholds, abs=0.1)
    assert found['AP .5'] == 100 * (thresholds > 0) and found['AP .75'] == 100 * (oks > 0.75)
    assert found['AP large'] == found['AP'] and np.isnan(
        found['AP medium']
    )  # nobody is of medium size


def test_whom_nobody_finds_and_whom_nobody_is():
    table, split = scene()
    right = [(i, split.joints[i], 0.9) for i in range(2)]
    assert precision(table, split, right)['AR'] == 50
    assert precision(table, split, right, evaluated=[0, 1])['AP'] == 100
    assert precision(table, split, [*right, (2, split.joints[2] + 500, 0.1)])[
        'AP'
    ] == pytest.approx(50.5, abs=1)
    first = precision(table, split, [*right, (3, split.joints[3] + 500, 0.99)])['AP']
    assert first < 40  # the false one comes first
    nobody = precision(table, split, [])
    assert nobody['AP'] == nobody['AR'] == 0 and np.isnan(nobody['AP medium'])


# --- evaluation/predictions.py and evaluate.py ---------------------------------------------------


def call(monkeypatch, script, *arguments):
    monkeypatch.setattr(sys, 'argv', [script.__name__, *map(str, arguments)])
    script.main()


def drawn(name, folder, monkeypatch):
    call(
        monkeypatch, data, '--dataset', name, '--synthetic', '10', '--out', folder, '--workers', '1'
    )
    return arrays.read_manifest(str(folder))


def perfect(split, rows):
    return [[Pose(split.joints[i], np.ones(split.joints.shape[1]), 1.0)] for i in rows]


@pytest.mark.parametrize('name', ['lsp', 'mpii'])
def test_perfect_predictions_of_single_people(name, tmp_path, monkeypatch, capsys):
    manifest = drawn(name, tmp_path / 'arrays', monkeypatch)
    split = arrays.evenly_spaced(
        arrays.labelled_people(arrays.load_split(str(tmp_path / 'arrays'), 'test', manifest)), 2
    )
    options = argparse.Namespace(
        dataset=name,
        data=str(tmp_path / 'arrays'),
        predictions=str(tmp_path / 'p.mat'),
        scales='single',
        flip_average=True,
        infer_torso=False,
    )
    path, tables = predictions.write(
        options,
        manifest,
        split,
        {'maps': perfect(split, range(len(split.joints)))},
        {'maps': 'A net'},
    )
    assert '100.0' in tables[0] and 'A net' in tables[0]
    stored = scipy.io.loadmat(path)
    np.testing.assert_array_equal(stored[f'{name}_pred_maps'].transpose(2, 1, 0), split.joints)
    np.testing.assert_array_equal(stored['index'].ravel(), split.rows)
    assert stored['found_with'].tolist() == ['--scales single --flip_average']
    assert stored[f'{name}_title_maps'].tolist() == ['A net']
    with pytest.raises(InputError, match='--sides goes with FLIC'):
        call(monkeypatch, evaluate, path, '--data', tmp_path / 'arrays', '--sides', 'annotated')
    capsys.readouterr()
    call(monkeypatch, evaluate, path, '--data', tmp_path / 'arrays')
    printed = capsys.readouterr().out
    assert f'test split, {len(split.rows)} people' in printed
    assert printed.endswith('\n\n'.join(tables) + '\n')  # the same again, titles and all
    assert all(
        row.split('|')[2].strip() == '100.0'
        for row in printed.splitlines()
        if row.startswith('| mean')
    )


def test_perfect_predictions_of_coco_by_person_and_by_picture(tmp_path, monkeypatch, capsys):
    manifest = drawn('coco', tmp_path / 'arrays', monkeypatch)
    everybody = arrays.load_split(str(tmp_path / 'arrays'), 'test', manifest)
    options = argparse.Namespace(
        dataset='coco', data=str(tmp_path / 'arrays'), predictions=str(tmp_path / 'p.mat')
    )
    one = arrays.labelled_people(everybody)
    path, (table,) = predictions.write(
        options, manifest, one, {'maps': perfect(one, range(len(one.joints)))}, {}
    )
    assert path.endswith('p.json') and '| AP        | 100.0 |' in table
    pictures = arrays.by_picture(everybody, 5)
    found = [
        [Pose(joints_xy, np.ones(17), 0.5) for joints_xy, visible in zip(*both) if visible.any()]
        for both in zip(pictures.joints, pictures.people['visible'])
    ]
    path, (table,) = predictions.write(options, manifest, pictures, {'root': found}, {})
    assert '| AP        | 100.0 |' in table
    with open(path, encoding='utf-8') as file:
        results = json.load(file)
    keys = {'image_id', 'category_id', 'keypoints', 'score'}
    assert len(results) == len(one.joints) and set(results[0]) == {*keys, 'description'}
    assert all(set(result) == keys for result in results[1:])
    capsys.readouterr()
    call(monkeypatch, evaluate, path, '--data', tmp_path / 'arrays')
    assert '| AP        | 100.0 |' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'image_id': 999999}, '999999 is not in the test split'),
        ({'keypoints': [1, 2, 3]}, '17 finite'),
        ({'score': float('nan')}, '17 finite'),
        (None, r'p\.json: \[0\] has no keypoints'),
        ({'keypoints': 17 * [0.5, 1.01, 1]}, 'between -2 and 2: these look like fractions'),
    ],
)
def test_foreign_results_are_refused(change, words, tmp_path, monkeypatch):
    manifest = drawn('coco', tmp_path / 'arrays', monkeypatch)
    table = arrays.load_array(str(tmp_path / 'arrays'), 'pictures', 'test', manifest)
    result = {
        **average_precision.coco_result(table['id'][0], np.zeros((17, 2)), np.ones(17), 1),
        **(change or {}),
    }
    if change is None:
        del result['keypoints']
    (tmp_path / 'p.json').write_text(json.dumps([result]))
    with pytest.raises(InputError, match=words):
        call(monkeypatch, evaluate, tmp_path / 'p.json', '--data', tmp_path / 'arrays')


def by_name(result, file):
    return {**result, 'image_id': os.path.splitext(file)[0], 'category_id': 0}


@pytest.mark.parametrize(
    'change',
    [
        lambda result, file: result,
        lambda result, file: {**result, 'image_id': str(result['image_id'])},
        by_name,
        lambda result, file: {**result, 'image_id': -1, 'file_name': f'C:\\pictures\\{file}'},
        lambda result, file: {**result, 'category_id': '2', 'score': '0.5'},
        lambda result, file: {
            **result,
            'keypoints': np.reshape(result['keypoints'], (17, 3)).tolist(),
        },
    ],
)
def test_results_in_other_programs_forms(change, tmp_path, monkeypatch, capsys):
    """Pictures by number, text, name or file, people of a category of any id: the same perfect people."""
    manifest = drawn('coco', tmp_path / 'arrays', monkeypatch)
    split = arrays.labelled_people(arrays.load_split(str(tmp_path / 'arrays'), 'test', manifest))
    table = arrays.load_array(str(tmp_path / 'arrays'), 'pictures', 'test', manifest)
    results = []
    for joints_xy, person in zip(split.joints, split.people):
        picture = table[person['picture']]
        result = average_precision.coco_result(picture['id'], joints_xy, np.ones(17), 1)
        results.append(change(result, os.path.basename(str(picture['file']))))
    (tmp_path / 'p.json').write_bytes(codecs.BOM_UTF8 + json.dumps(results).encode())
    capsys.readouterr()
    call(monkeypatch, evaluate, tmp_path / 'p.json', '--data', tmp_path / 'arrays')
    said = capsys.readouterr().out
    assert '| AP        | 100.0 |' in said and ('is taken for person' in said) == (
        results[0]['category_id'] != 1
    )


def test_who_is_meant_in_a_picture():
    """Of two found people the annotated one is whose middle is nearer; where nobody is found, all is in the middle."""
    left, right = (
        Pose(np.full((9, 2), x) + np.arange(9)[:, None], np.ones(9), 1.0) for x in (10.0, 80.0)
    )
    assert predictions.nearest([left, right], np.array([70, 70]), 9) is right
    nobody = predictions.nearest([], np.array([70, 60]), 9)
    assert nobody.joints_xy.tolist() == [[70, 60]] * 9 and nobody.score == 0


def test_table_by_joint_counts_what_is_labelled():
    """Against loops over instances; a joint that nobody has is '-' and in no mean."""
    skeleton = types.SimpleNamespace(joints=('nose', 'tail', 'paw'), uncounted_joints=('paw',))
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 100, (20, 3, 2))
    found = truth + rng.normal(0, 4, (20, 3, 2))
    unit = rng.uniform(20, 60, 20)
    unit[3] = np.nan
    visible = rng.integers(0, 3, (20, 3))
    visible[:, 1] = 0
    expected = []
    for joint in (0, 2):
        rows = [i for i in range(20) if visible[i, joint] and i != 3]
        hits = [math.dist(found[i, joint], truth[i, joint]) <= 0.1 * unit[i] for i in rows]
        expected.append((f'{100 * sum(hits) / len(hits):.1f}', str(len(rows))))
    table = tables.joint_table(skeleton, 'PCK', 0.1, unit, {'net': found}, truth, visible)
    assert table.header == ['joint', 'net PCK@0.1', 'labelled']
    total = str(int(expected[0][1]) + int(expected[1][1]))
    assert table.rows == [
        ['nose', *expected[0]],
        ['tail', '-', '0'],
        ['paw', *expected[1]],
        ['mean', expected[0][0], total],
    ]
    text = tables.as_text(table._replace(note='in what'))
    assert text.startswith('in what\n\n| joint') and 'in what' not in tables.as_text(table)
