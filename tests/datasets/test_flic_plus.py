"""FLIC-plus: rows of a FLIC-full with every fault that the real one has, and FLIC's test people."""

import json
import os
import shutil
import sys

import numpy as np
import pytest
import scipy.io

from jointpose import data
from jointpose.datasets import array_writer, arrays, flic, flic_plus
from jointpose.datasets.synthetic import flic_set
from jointpose.utils.errors import InputError

FAR = 100_000  # frames: nobody of the same scene


def as_full(examples):
    """FLIC-full's rows of FLIC's: without istrain and istest, but isbad and isunchecked."""
    rows = []
    for row in examples:
        full = {name: row[name] for name in row.dtype.names if name not in ('istrain', 'istest')}
        rows.append({**full, 'isbad': np.array([[0]]), 'isunchecked': np.array([[0]])})
    return rows


def renamed(row, film, frame):
    return {
        **row,
        'moviename': film,
        'currframe': np.array([[frame]]),
        'filepath': f'{film}-{frame:08d}.jpg',
    }


@pytest.fixture(scope='module')
def sets(tmp_path_factory):
    """A folder with FLIC/, of two train and two test people or more, and FLIC-full/ of ten rows."""
    folder = tmp_path_factory.mktemp('sets')
    flic_set.write(str(folder / 'FLIC'), 10, 1)
    examples = scipy.io.loadmat(folder / 'FLIC' / 'examples.mat')['examples'].ravel()
    test = [row for row in examples if row['istest'].item()]
    film, number = flic_plus.film_and_frame(test[0]['filepath'].item())
    images = folder / 'FLIC-full' / 'images'
    images.mkdir(parents=True)

    source = as_full([row for row in examples if row['istrain'].item()])
    rows = [renamed(source[i % len(source)], 'other-film', 10 * i + 1) for i in range(6)]
    rows[2]['isbad'] = np.array([[1]])
    rows[3]['coords'] = rows[3]['coords'].copy()
    rows[3]['coords'][:, flic.COLUMNS[4]] = np.nan  # right elbow
    rows[4]['isunchecked'] = np.array([[1]])
    rows[5]['torsobox'] = np.zeros((0, 0))
    rows += [
        renamed(source[0], film, number),
        renamed(source[0], film, number + flic_plus.NEAR),
        renamed(source[0], film, number + FAR),
        renamed(source[0], film, number + FAR + 10),
    ]
    for i, row in enumerate(rows):
        original = source[i % len(source) if i < 6 else 0]['filepath'].item()
        shutil.copy(folder / 'FLIC' / 'images' / original, images / row['filepath'])
    structs = np.array([tuple(row.values()) for row in rows], [(name, object) for name in rows[0]])
    scipy.io.savemat(folder / 'FLIC-full' / 'examples.mat', {'examples': structs[None]})
    save_rows(folder, range(1, 10))  # but the last
    return folder


def save_rows(folder, rows, name='tr_plus_indices'):
    scipy.io.savemat(folder / 'rows.mat', {name: np.array(rows, float).reshape(-1, 1)})


def make(monkeypatch, sets, out, *options):
    monkeypatch.chdir(sets)
    monkeypatch.setattr(
        sys,
        'argv',
        [
            'data.py',
            '--meta',
            'FLIC-full/examples.mat',
            '--rows',
            'rows.mat',
            '--test',
            'FLIC/examples.mat',
            '--images',
            'FLIC-full/images',
            'FLIC/images',
            '--out',
            str(out),
            '--workers',
            '1',
            *options,
        ],
    )
    data.main()
    manifest = arrays.read_manifest(str(out))
    return {
        split: arrays.load_split(str(out), split, manifest, verify=True) for split in arrays.SPLITS
    }


def test_rows_train_and_flics_test_people_test(sets, tmp_path, monkeypatch, capsys):
    splits = make(monkeypatch, sets, tmp_path / 'plus')
    said = capsys.readouterr().out
    for words in (
        'rows.mat names 9 of 10 people',
        'left out: 1 marked bad',
        'left out: 1 without a torsobox',
        'left out: 1 without one of the nine',
        'kept: 4 (1 marked unchecked)',
        'frames in both splits: 0',
        'left out: 2 on frames of the test set or at most 24 frames',
        'GB will be written',
    ):
        assert words in said, said
    assert splits['train'].people['row'].tolist() == [0, 1, 4, 8]

    whole = flic.read_annotations('FLIC/examples.mat')
    test = np.flatnonzero(whole.split == 'test')
    np.testing.assert_array_equal(splits['test'].joints, whole.joints_xy[test])
    np.testing.assert_array_equal(splits['test'].people['row'], test)
    train = np.flatnonzero(whole.split == 'train')
    for i, row in enumerate(train[[0, 1, 4, 0]]):  # these rows repeat FLIC's
        np.testing.assert_array_equal(splits['train'].joints[i], whole.joints_xy[row])
        assert splits['train'].people['backward'][i] == whole.backward[row]
        frame = data.decode(os.path.join('FLIC', 'images', whole.file[row]))
        np.testing.assert_array_equal(splits['train'].images[i], frame)
    settings = json.loads((tmp_path / 'plus' / 'manifest.json').read_text())['settings']
    assert settings['rows'] == 'rows.mat' and settings['source'] == 'flic_plus'


def test_flic_full_alone_says_what_is_missing(sets):
    with pytest.raises(InputError, match=r'this is FLIC-full.*--rows tr_plus_indices.mat --test'):
        flic.read_annotations(str(sets / 'FLIC-full' / 'examples.mat'))


@pytest.mark.parametrize('name', ['../../secret.jpg', '/etc/secret.jpg', '..', 81 * 'x', 'a/b.jpg'])
def test_names_that_lead_out_of_the_folder_are_refused(sets, tmp_path, monkeypatch, name):
    """FLIC-full's, of which data.py opens whatever the rows name, and FLIC's."""
    for folder in ('FLIC', 'FLIC-full'):
        examples = scipy.io.loadmat(sets / folder / 'examples.mat')['examples'].ravel()
        examples[0]['filepath'] = np.array([name])
        scipy.io.savemat(tmp_path / f'{folder}.mat', {'examples': examples[None]})
    save_rows(sets, range(1, 10))
    monkeypatch.chdir(sets)
    with pytest.raises(InputError, match=r'FLIC-full\.mat: picture \'.*\': not a plain file name'):
        flic_plus.read(str(tmp_path / 'FLIC-full.mat'), 'rows.mat', 'FLIC/examples.mat')
    with pytest.raises(InputError, match=r'FLIC\.mat: picture \'.*\': not a plain file name'):
        flic.read_annotations(str(tmp_path / 'FLIC.mat'))


@pytest.mark.parametrize(
    ('rows', 'words'),
    [
        ([0, 1], 'from 0 to 1'),
        ([1, 11], 'from 1 to 11'),
        ([1.5], 'from 1.5'),
        ([2, 2, 3], '1 person twice'),
        ([], 'no numbers'),
        ([1, np.nan], 'tr_plus_indices'),
    ],
)
def test_rows_that_cannot_be_are_refused(tmp_path, rows, words):
    save_rows(tmp_path, rows)
    with pytest.raises(InputError, match=words):
        flic_plus.read_rows(str(tmp_path / 'rows.mat'), 10)


def test_rows_of_any_name_count_from_1(tmp_path):
    save_rows(tmp_path, [3, 1, 10], name='indices')
    assert flic_plus.read_rows(str(tmp_path / 'rows.mat'), 10).tolist() == [2, 0, 9]


def test_rows_go_with_flic_full_only(sets, tmp_path, monkeypatch):
    """Rows of FLIC itself would be other people."""
    with pytest.raises(InputError, match='no field isbad'):
        make(monkeypatch, sets, tmp_path / 'out', '--meta', 'FLIC/examples.mat')
    with pytest.raises(InputError, match='this is FLIC-full'):
        make(monkeypatch, sets, tmp_path / 'out', '--test', 'FLIC-full/examples.mat')
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    'options',
    [
        ['--rows', 'r.mat'],
        ['--test', 't.mat'],
        ['--rows', 'r.mat', '--test', 't.mat'],
        ['--rows', 'r.mat', '--test', 't.mat', '--meta', 'm.mat', '--dataset', 'coco'],
    ],
)
def test_options_that_do_not_go_together(monkeypatch, capsys, options):
    monkeypatch.setattr(sys, 'argv', ['data.py', *options])
    with pytest.raises(SystemExit) as end:
        data.parse_options()
    assert end.value.code == 2 and '--rows and --test go' in capsys.readouterr().err


def test_frames_apart_by_hand():
    files = [
        'a-00000100.jpg',
        'a-00000131.jpg',
        'a-00009000.jpg',
        'b-1-00000100.jpg',
        'c-00000100.jpg',
        'odd.jpg',
        'even.jpg',
    ]
    test = ['a-00000120.jpg', 'a-00000140.jpg', 'b-1-00000100.jpg', 'b-00000100.jpg', 'odd.jpg']
    assert flic_plus.frames_apart(files, test).tolist() == [20, 9, 8860, 0, np.inf, 0, np.inf]


def test_the_real_flic_has_two_frames_in_both_splits(flic):
    """And 2, 19, 30 of its training people are at most 5, 10, 20 frames from a test frame."""
    examples = scipy.io.loadmat(os.path.join(flic, 'examples.mat'))['examples'].ravel()
    files = {
        is_test: [
            row['filepath'].item() for row in examples if bool(row['istest'].item()) == is_test
        ]
        for is_test in (False, True)
    }
    distance = flic_plus.frames_apart(files[False], files[True])
    assert [(distance <= frames).sum() for frames in (0, 5, 10, 20)] == [2, 2, 19, 30]


def test_too_full_a_disk_is_said_before_writing(tmp_path, monkeypatch):
    monkeypatch.setattr(
        shutil, 'disk_usage', lambda path: shutil._ntuple_diskusage(1 << 40, 1 << 40, 10**9)
    )
    array_writer.check_space(str(tmp_path / 'not' / 'yet'), 900)
    with pytest.raises(InputError, match=r'18\.0 GB are needed, but 1\.0 GB are free'):
        array_writer.check_space(str(tmp_path / 'not' / 'yet'), 17_380)
