"""People of one's own: joints by name, cut out in the size that FLIC's people have; spots and gradients as oracles."""

import json
import os
import sys

import cv2
import forked
import numpy as np
import pytest
from conftest import SHARED

from jointpose import data
from jointpose.datasets import arrays, custom
from jointpose.utils.errors import InputError

NAMES = [
    'nose',
    'neck',
    'right-shoulder',
    'Right Elbow',
    'right_wrist',
    'left_shoulder',
    'left_elbow',
    'LWRI',
    'left_hip',
    'right_hip',
    'tail',
]
ORDER = [5, 6, 7, 2, 3, 4, 8, 9, 0]  # of the arrays: lsho lelb lwri rsho relb rwri lhip rhip nose
# Somebody seen from the front, torso a unit long: neck and tail are nobody's business.
FRONT = np.array(
    [
        (0, -1.4),
        (0, -1),
        (-0.4, -1),
        (-0.7, -0.5),
        (-0.8, 0),
        (0.4, -1),
        (0.7, -0.5),
        (0.8, 0),
        (0.3, 0),
        (-0.3, 0),
        (0, 0.1),
    ]
)
SIZE = np.hypot(0.7, 1)  # from a shoulder to the other side's hip


def spot(joint):
    """A colour that no other joint has."""
    return np.array([40 + 20 * joint, 250 - 20 * joint, 100 + 13 * joint])


def draw(size, people):
    """A black picture with a spot at each joint; people: [(the hips' middle, pixels of the torso, from behind)]."""
    image, points = np.zeros((size[1], size[0], 3), np.uint8), []
    for at, unit, backward in people:
        xy = np.array(at) + unit * FRONT * (-1 if backward else 1, 1)
        for joint, (x, y) in enumerate(xy):
            cv2.circle(image, (int(x), int(y)), max(2, unit // 15), spot(joint).tolist(), -1)
        points.append(xy)
    return image, points


def write(folder, pictures, names=NAMES):
    """A file of COCO's and its pictures.  pictures: [(size, people)]."""
    images, annotations = [], []
    for i, (size, people) in enumerate(pictures):
        image, points = draw(size, people)
        cv2.imwrite(str(folder / f'{i}.png'), image[..., ::-1])
        images.append({'id': 70 + i, 'file_name': f'{i}.png', 'width': size[0], 'height': size[1]})
        annotations += [
            {
                'id': len(annotations),
                'image_id': 70 + i,
                'category_id': 3,
                'keypoints': [v for x, y in xy for v in (x, y, 2 - i % 2)],
            }
            for xy in points
        ]
    content = {
        'images': images,
        'annotations': annotations,
        'categories': [
            {'id': 1, 'name': 'dog', 'keypoints': ['nose', 'tail']},
            {'id': 3, 'name': 'player', 'keypoints': names},
        ],
    }
    return save(folder, content)


def save(folder, content):
    (folder / 'own.json').write_text(json.dumps(content))
    return content


def make(monkeypatch, folder, *options):
    monkeypatch.setattr(
        sys,
        'argv',
        [
            'data.py',
            '--coco',
            str(folder / 'own.json'),
            '--images',
            str(folder),
            '--out',
            str(folder / 'out'),
            '--workers',
            '1',
            *options,
        ],
    )
    data.main()
    return {
        split: arrays.load_split(
            str(folder / 'out'), split, arrays.read_manifest(str(folder / 'out')), verify=True
        )
        for split in arrays.SPLITS
    }


PICTURES = [
    ((800, 600), [((400, 300), 200, False)]),
    ((300, 900), [((150, 500), 100, False)]),
    ((3000, 2000), [((300, 500), 150, True), ((2800, 1900), 90, False)]),
    ((400, 300), [((200, 260), 180, False)]),
    ((200, 150), [((90, 100), 60, True)]),
]


def test_spots_are_where_the_joints_are(tmp_path, monkeypatch):
    """In every frame, of people small and large, in the middle and in a corner, front and back."""
    write(tmp_path, PICTURES)
    splits = make(monkeypatch, tmp_path)
    people = [(split, row) for split in splits.values() for row in range(len(split.images))]
    assert [len(splits[name].images) for name in ('train', 'test')] == [5, 1]
    assert [str(split.people['file'][row]) for split, row in people] == [
        '0.png#0',
        '2.png#2',
        '2.png#3',
        '3.png#4',
        '4.png#5',
        '1.png#1',
    ]
    swapped = [3, 4, 5, 0, 1, 2, 7, 6, 8]
    for split, row in people:
        frame, xy, backward = split.images[row], split.joints[row], split.people['backward'][row]
        assert backward == (split.people['row'][row] in (2, 5))
        assert (np.linalg.norm(xy[6] - xy[3]) + np.linalg.norm(xy[7] - xy[0])) / 2 == pytest.approx(
            custom.SIZE, rel=0.01
        )
        for joint, (x, y) in enumerate(xy[:9]):
            colour = spot(ORDER[swapped[joint] if backward else joint])
            if 0 <= x < 720 and 0 <= y < 480:
                assert np.abs(frame[int(y), int(x)].astype(int) - colour).max() < 60, (row, joint)
        np.testing.assert_allclose(xy[9], xy[[0, 3, 6, 7]].mean(axis=0), atol=1e-3)
        assert xy[6, 0] > xy[7, 0]  # left is the picture's right
        left, top, right, bottom = split.people['torsobox'][row]
        np.testing.assert_allclose([(left + right) / 2, (top + bottom) / 2], xy[9], atol=1e-3)


def test_who_is_exchanged_is_named(tmp_path, monkeypatch, capsys):
    """Those from behind; not a person who faces the camera with crossed hips."""
    content = write(tmp_path, PICTURES)
    points = content['annotations'][0]['keypoints']
    left, right = (3 * NAMES.index(name) for name in ('left_hip', 'right_hip'))
    points[left], points[right] = points[right], points[left]
    save(tmp_path, content)
    splits = make(monkeypatch, tmp_path)
    said = capsys.readouterr().out
    assert '2 backward-facing (sides swapped): 2.png#2, 4.png#5\n' in said
    assert '0 backward-facing (sides swapped)\n' in said
    assert 'look at the labels' not in said
    person = splits['train'].joints[0]
    assert splits['train'].people['backward'].tolist() == [False, True, False, False, True]
    assert person[0, 0] > person[3, 0] and person[6, 0] < person[7, 0]  # as labelled


def test_a_file_with_the_pictures_left_is_doubtful(tmp_path, monkeypatch, capsys):
    """Left and right exchanged in the whole file: everybody seems to be seen from behind."""
    pictures = [((400, 300), [((200, 260), 180, False)])] * 9
    exchanged = [
        'nose',
        'neck',
        'left_shoulder',
        'left_elbow',
        'left_wrist',
        'right_shoulder',
        'right_elbow',
        'right_wrist',
        'right_hip',
        'left_hip',
        'tail',
    ]
    write(tmp_path, pictures, exchanged)
    make(monkeypatch, tmp_path)
    assert (
        'look at the labels: 8 of 8 train people seem to be seen from behind'
        in capsys.readouterr().out
    )
    write(tmp_path, pictures)
    make(monkeypatch, tmp_path)
    assert 'look at the labels' not in capsys.readouterr().out


def test_who_lacks_a_joint_is_there_without_it(tmp_path, monkeypatch, capsys):
    """Elbow and nose of two people, one seen from behind, whose sides are exchanged; a label of 0, 0 is none."""
    content = write(tmp_path, PICTURES)
    for person, name in (
        (0, 'left_elbow'),
        (1, 'nose'),
        (2, 'left_elbow'),
    ):  # the third from behind
        column = NAMES.index(name)
        content['annotations'][person]['keypoints'][3 * column : 3 * column + 3] = 0, 0, 0
    save(tmp_path, content)
    splits = make(monkeypatch, tmp_path)
    assert 'joints without label: 1 left_elbow, 1 right_elbow, 1 nose' in capsys.readouterr().out
    missing = {
        str(split.people['file'][row]): np.flatnonzero(split.people['visible'][row] == 0).tolist()
        for split in splits.values()
        for row in range(len(split.images))
    }
    assert missing == {
        '0.png#0': [1],
        '1.png#1': [8],
        '2.png#2': [4],
        '2.png#3': [],
        '3.png#4': [],
        '4.png#5': [],
    }
    for split in splits.values():
        np.testing.assert_array_equal(
            np.isnan(split.joints).all(axis=-1), split.people['visible'] == 0
        )
        assert np.isfinite(split.joints[split.people['visible'] > 0]).all() and len(split.joints)


@pytest.mark.parametrize('size', [(500, 400), (2000, 300), (90, 1300)])
@pytest.mark.parametrize('zoom', [0.2, 0.83, 1, 2.7])
def test_a_closeup_shows_what_its_matrix_says(size, zoom):
    """On a picture whose colours say where they are; black, and nothing else, is around it."""
    rng, (width, height) = np.random.default_rng(0), size
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    picture = np.stack(
        [20 + 200 * x / width, 20 + 200 * y / height, np.full_like(x, 255)], axis=-1
    ).astype(np.uint8)
    for at in rng.uniform(0, size, (5, 2)):
        cut = custom.window(size, zoom, at)
        matrix = custom.frame_matrix(cut)
        frame = custom.closeup(picture, cut)
        np.testing.assert_allclose(matrix[:, :2], np.diag([zoom, zoom]), atol=0.03 * zoom)
        v, u = np.mgrid[:480, :720]
        back = (np.stack([u, v], axis=-1) + 0.5 - matrix[:, 2]) / matrix[:, :2].diagonal()
        inside = ((back > 0) & (back < size)).all(axis=-1)
        np.testing.assert_array_equal(frame[..., 2] > 0, inside)
        expected = 20 + 200 * back[inside] / size
        assert np.abs(frame[inside][:, :2] - expected).max() < 3 + 200 / min(size) / zoom
        there = matrix[:, :2] @ at + matrix[:, 2]
        assert (there > -1).all() and (there < (721, 481)).all()  # who is meant is in the frame
        full = [side * zoom >= length for side, length in zip(size, (720, 480))]
        assert [
            inside.any(axis=axis).all() for axis in (0, 1)
        ] == full  # no black where none need be


def test_who_is_left_out_is_counted(tmp_path, monkeypatch, capsys):
    content = write(tmp_path, PICTURES)
    content['annotations'][0]['keypoints'][5 * 3 + 2] = 0  # left shoulder
    content['annotations'][2]['keypoints'] = []
    content['annotations'].append({**content['annotations'][3], 'iscrowd': 1})
    content['annotations'].append({**content['annotations'][3], 'category_id': 1})
    small = np.array(content['annotations'][3]['keypoints']).reshape(-1, 3)
    content['annotations'].append(
        {**content['annotations'][3], 'keypoints': (small * (0.1, 0.1, 1)).ravel().tolist()}
    )
    save(tmp_path, content)
    splits = make(monkeypatch, tmp_path)
    assert sum(len(split.images) for split in splits.values()) == 4
    said = capsys.readouterr().out.splitlines()[0]
    assert said.startswith(f'{tmp_path}/own.json: left out: ')
    for words in (
        '1 without key points',
        '1 without label of a shoulder or hip',
        '1 of less than 20 pixels',
        "1 of another category than people, 'dog'",
        '1 as a group',
    ):
        assert words in said


@pytest.mark.parametrize(
    ('fault', 'words'),
    [
        (
            lambda content: content['categories'][1].update(keypoints=11 * ['x']),
            ['no category', 'left_shoulder', "'dog'"],
        ),
        (
            lambda content: content['images'][3].update(width=401),
            ['3.png', 'is 400x300', 'expected 401x300'],
        ),
        (
            lambda content: content['images'][3].update(width=300, height=400),
            ['far outside of 3.png', '300x400'],
        ),
        (
            lambda content: content['images'][3].update(file_name='none.png'),
            ['none.png', 'No such file'],
        ),
        (
            lambda content: content['images'][3].update(file_name='../none.png'),
            ['none.png', 'No such file'],
        ),
        (
            lambda content: content['annotations'][4]['keypoints'].__setitem__(0, 4e3),
            ['annotations[4]', 'far outside'],
        ),
        (
            lambda content: content['annotations'][4]['keypoints'].__setitem__(0, float('nan')),
            ['annotations[4]'],
        ),
        (
            lambda content: content['annotations'][4]['keypoints'].pop(),
            ['own.json: annotations[4]', '`keypoints`'],
        ),
        (lambda content: content.pop('images'), ['own.json', 'images']),
        (
            lambda content: content['images'].append({**content['images'][0], 'width': 1}),
            ['two pictures have one id'],
        ),
        (lambda content: content['annotations'].clear(), ['own.json', 'nobody has both shoulders']),
        (
            lambda content: content['annotations'].__setitem__(slice(1, None), []),
            ['no test people', 'give two files'],
        ),
    ],
)
def test_faults_are_named(tmp_path, monkeypatch, fault, words):
    content = write(tmp_path, PICTURES)
    fault(content)
    save(tmp_path, content)
    with pytest.raises(InputError) as error:
        make(monkeypatch, tmp_path)
    assert all(word in str(error.value) for word in words) and '\n' not in str(error.value), (
        error.value
    )
    assert not (tmp_path / 'out' / 'manifest.json').exists()


@pytest.mark.parametrize('n', [1, 3])
def test_absent_pictures_are_counted(tmp_path, monkeypatch, n):
    write(tmp_path, PICTURES)
    for name in sorted(os.listdir(tmp_path))[:n]:
        assert name.endswith('.png')
        os.unlink(tmp_path / name)
    with pytest.raises(InputError, match=rf'cannot be used: {n} of 5 pictures: \S*0\.png: No such'):
        make(monkeypatch, tmp_path)


def test_bad_pictures_can_be_left_out(tmp_path, monkeypatch, capsys):
    write(tmp_path, PICTURES)
    (tmp_path / '2.png').write_bytes((tmp_path / '2.png').read_bytes()[:500])
    splits = make(monkeypatch, tmp_path, '--skip_missing')
    assert sum(len(split.images) for split in splits.values()) == 4
    assert 'left out: 2 people on 1' in capsys.readouterr().out


def test_real_samples(tmp_path, monkeypatch):
    """Twelve people have key points in COCO's four pictures, eight of them all nine joints, all of them a torso."""
    folder = os.path.join(SHARED, 'coco_sample')
    if not os.path.isdir(folder):
        pytest.skip(f'real samples are not at {folder} (set POSE_SHARED)')
    monkeypatch.setattr(
        sys,
        'argv',
        [
            'data.py',
            '--coco',
            f'{folder}/test_coco.json',
            '--images',
            folder,
            '--out',
            str(tmp_path),
            '--workers',
            '1',
        ],
    )
    data.main()
    with open(f'{folder}/test_coco.json') as file:
        people = json.load(file)['annotations']
    points = np.array([one['keypoints'] for one in people]).reshape(-1, 17, 3)[
        :, [5, 7, 9, 6, 8, 10, 11, 12, 0]
    ]
    rows, visible = [
        np.concatenate(parts)
        for parts in zip(
            *(
                (split.people['row'], split.people['visible'][:, :9])
                for split in (
                    arrays.load_split(str(tmp_path), name, arrays.read_manifest(str(tmp_path)))
                    for name in arrays.SPLITS
                )
            )
        )
    ]
    assert (
        sorted(rows) == np.flatnonzero(points[:, [0, 3, 6, 7], 2].all(axis=1)).tolist()
        and len(rows) == 12
    )
    assert sorted(visible.sum(axis=1)) == sorted(2 * (points[rows, :, 2] > 0).sum(axis=1))
    assert (visible > 0).all(axis=1).sum() == 8


@pytest.mark.long
def test_from_annotations_to_a_model(untrained, tmp_path):
    """The way of docs/own_data.md, on people drawn in COCO's format, from a checkpoint of an untrained network."""

    def run(script, *arguments):
        return forked.run([script, *arguments], cwd=tmp_path, check=True).stdout

    run('data.py', '--dataset', 'coco', '--synthetic', 40, '--out', 'drawn')
    folder = 'drawn/synthetic_COCO'
    run(
        'data.py',
        '--coco',
        f'{folder}/train.json',
        f'{folder}/val.json',
        '--images',
        f'{folder}/images',
    )
    run('pairwise_distr.py', '--data', 'arrays_own')
    said = run(
        'tests/narrow_main.py',
        '--train',
        '--init',
        untrained / 'models_ex' / 'sm',
        '--n_epochs',
        2,
        '--data_augm',
        '--zoom',
        0.7,
        1.4,
        '--batch_size',
        4,
        '--tb_folder',
        '',
        '--data',
        'arrays_own',
    )
    assert ' variables start from ' in said and '0 do not' in said
    assert '| mean of 9' in run('evaluate.py', 'predictions.mat', '--data', 'arrays_own')
