"""Pictures in both splits: by the file itself, not by its name."""

import json
import os
import sys

import cv2
import numpy as np
import pytest
from coco_files import NAMES as COCO

from jointpose import data
from jointpose.annotations import overlap
from jointpose.datasets import records
from jointpose.vision.joints import coco_name

NAMES = ['lsho', 'lelb', 'lwri', 'rsho', 'relb', 'rwri', 'lhip', 'rhip', 'nose']
XY = np.array(
    [
        (160, 90),
        (175, 130),
        (180, 170),
        (110, 90),
        (95, 130),
        (90, 170),
        (150, 180),
        (120, 180),
        (135, 60),
    ]
)


def write(path, value, size=(240, 300)):
    """A picture that no other value has."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    image = np.full((size[0], size[1], 3), value, np.uint8)
    cv2.imwrite(path, image)
    return path


def test_one_file_by_every_path(tmp_path, monkeypatch):
    """Links, spellings, copies by another name; not other pictures of the same name or of the same size in bytes."""
    monkeypatch.chdir(tmp_path)
    for value, name in enumerate(
        ('a/1.bmp', 'a/2.bmp', 'a/3.bmp', 'a/4.bmp', 'b/1.bmp', 'b/copy.bmp')
    ):
        write(name, 20 * value)
    os.symlink('../a/2.bmp', 'b/link.bmp')
    os.link('a/3.bmp', 'b/hard.bmp')
    os.unlink('b/copy.bmp')
    with open('b/copy.bmp', 'wb') as copy, open('a/4.bmp', 'rb') as original:
        copy.write(original.read())
    train = [f'a/{i}.bmp' for i in (1, 2, 3, 4)]
    assert overlap.pictures_in_both(train, ['b/1.bmp', 'b/none.bmp']) == []
    assert overlap.pictures_in_both(
        train, ['b/copy.bmp', 'b/hard.bmp', 'b/link.bmp', './a/1.bmp', 'b/1.bmp']
    ) == [
        ('a/1.bmp', './a/1.bmp'),
        ('a/4.bmp', 'b/copy.bmp'),
        ('a/3.bmp', 'b/hard.bmp'),
        ('a/2.bmp', 'b/link.bmp'),
    ]
    assert overlap.pictures_in_both([*train, 'gone.bmp'], ['gone.bmp']) == [
        ('gone.bmp', 'gone.bmp')
    ]
    assert overlap.pictures_in_both([], train) == overlap.pictures_in_both(train, []) == []


def test_what_is_said():
    pairs = [('a/1.png', 'a/1.png'), ('a/2.png', 'b/2.png'), ('a/3.png', 'a/3.png')]
    assert overlap.report([], 2) == 'frames in both splits: 0' and overlap.warning([]) == []
    assert overlap.report(pairs, 2) == 'frames in both splits: 3: a/1.png, b/2.png = a/2.png, ...'
    assert (
        '3 pictures are' in overlap.warning(pairs)[0]
        and '1 picture is' in overlap.warning(pairs[:1])[0]
    )


def test_a_picture_twice_in_a_file_is_on_one_side():
    """The second picture is a test one, wherever it is again; all others are as ever."""
    files = [f'{i}.jpg' for i in range(9, -1, -1)] * 2 + ['8.jpg', 'new.jpg']
    joints_xy, visible = np.zeros((22, 1, 2)), np.ones((22, 1))
    part = records.make_annotated(
        files, np.arange(22), joints_xy, visible, box=np.tile([0, 0, 9, 9], (22, 1))
    )
    splits = records.split_by_tenths(part)
    assert splits['test'].pictures['file'].tolist() == ['8.jpg', '8.jpg', '8.jpg', 'new.jpg']
    assert splits['train'].pictures['file'].tolist() == [
        file for file in files if file not in ('8.jpg', 'new.jpg')
    ]


def coco(path, files):
    """A file of COCO's with a person on each picture."""
    points = [[*xy, 2] for xy in XY.tolist()]
    names = [coco_name(name) for name in NAMES]
    labelled = dict(zip(names, points))
    keypoints = [v for name in COCO for v in labelled.get(name, (0, 0, 0))]
    content = {
        'images': [
            {'id': i, 'file_name': file, 'width': 300, 'height': 240}
            for i, file in enumerate(files)
        ],
        'annotations': [
            {
                'id': i,
                'image_id': i,
                'category_id': 1,
                'keypoints': keypoints,
                'iscrowd': 0,
                'area': 9000,
                'num_keypoints': 9,
                'bbox': [80, 50, 110, 140],
            }
            for i in range(len(files))
        ],
        'categories': [{'id': 1, 'name': 'person', 'keypoints': COCO}],
    }
    path.write_text(json.dumps(content))
    return str(path)


@pytest.mark.parametrize('kind', [['--coco'], ['--dataset', 'coco', '--meta']])
@pytest.mark.parametrize(
    ('train', 'test', 'shared'),
    [
        (['1.jpg', '2.jpg'], ['2.jpg', '3.jpg'], ['2.jpg']),
        (['x/1.jpg', 'x/2.jpg'], ['y/1.jpg', 'y/2.jpg'], []),  # the same names and rows
        (['x/1.jpg', 'same/1.jpg'], ['y/1.jpg', 'same/2.jpg'], ['same/2.jpg']),
    ],
)
def test_two_files_for_training_and_test(tmp_path, monkeypatch, capsys, kind, train, test, shared):
    for value, name in enumerate(sorted({*train, *test})):
        write(str(tmp_path / name), 77 if name.startswith('same') else 9 * value)
    files = [
        coco(tmp_path / f'{split}.json', names)
        for split, names in (('train', train), ('test', test))
    ]
    monkeypatch.setattr(
        sys,
        'argv',
        [
            'data.py',
            *kind,
            *files,
            '--images',
            str(tmp_path),
            '--out',
            str(tmp_path / 'out'),
            '--workers',
            '1',
        ],
    )
    data.main()
    said = capsys.readouterr().out
    assert f'frames in both splits: {len(shared)}' in said
    assert all(os.path.join(str(tmp_path), name) in said for name in shared)
    assert ('warning: 1 picture is in both splits' in said) == bool(shared)
