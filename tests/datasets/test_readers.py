"""Readers of LSP, PARSE, MPII and COCO: hand-made files, the real samples, drawn sets read back, and faults."""

import json
import os
import shutil
import sys

import cv2
import numpy as np
import pytest
import scipy.io
from conftest import SHARED
from PIL import Image

from jointpose import data, datasets
from jointpose.datasets import arrays, coco, lsp, mpii
from jointpose.datasets.synthetic import whole_bodies
from jointpose.utils.errors import InputError
from jointpose.vision import crops


def shared(name):
    """A folder of real samples, or a skip that says why."""
    folder = os.path.join(SHARED, name)
    if not os.path.isdir(folder):
        pytest.skip(f'real samples are not at {folder} (set POSE_SHARED)')
    return folder


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', ['data.py', *map(str, arguments), '--workers', '1'])
    data.main()


def load(folder, split):
    return arrays.load_split(str(folder), split, arrays.read_manifest(str(folder)), verify=True)


# --- LSP and PARSE ------------------------------------------------------------------------------------------------


def test_both_axis_orders_and_their_visibilities(tmp_path):
    rng = np.random.default_rng(0)
    xy, flag = rng.uniform(1, 90, (4, 14, 2)), rng.integers(0, 2, (4, 14))
    points = np.concatenate([xy, flag[..., None]], axis=2)  # [n, 14, 3]
    (tmp_path / 'lsp').mkdir()
    scipy.io.savemat(
        tmp_path / 'lsp' / 'joints.mat', {'joints': points.transpose(2, 1, 0)}
    )  # 3 x 14 x n
    scipy.io.savemat(tmp_path / 'joints.mat', {'joints': points.transpose(1, 2, 0)})  # 14 x 3 x n
    root, parts = lsp.Lsp().read(
        [str(tmp_path / 'lsp' / 'joints.mat'), str(tmp_path / 'joints.mat')],
        [str(tmp_path / 'lsp' / 'images'), str(tmp_path / 'images')],
    )
    assert root == str(tmp_path)
    assert parts['train'].people['file'].tolist() == [
        'lsp/images/im0001.jpg',
        'lsp/images/im0002.jpg',
        *(f'images/im{i:05d}.jpg' for i in (1, 2, 3, 4)),
    ]
    assert parts['test'].people['file'].tolist() == [
        'lsp/images/im0003.jpg',
        'lsp/images/im0004.jpg',
    ]
    original = np.concatenate(
        [parts['train'].people['visible'][:2], parts['test'].people['visible']]
    )
    np.testing.assert_array_equal(original, np.where(flag == 1, crops.HIDDEN, crops.VISIBLE))
    extended = parts['train'].people['visible'][2:]
    np.testing.assert_array_equal(extended, np.where(flag == 0, crops.UNLABELLED, crops.VISIBLE))
    np.testing.assert_allclose(
        parts['train'].joints[2:], np.where(flag[..., None], xy, 0), rtol=1e-6
    )
    np.testing.assert_allclose(parts['test'].joints, xy[2:], rtol=1e-6)
    one, labelled = parts['train'].people[3], xy[1][flag[1] == 1]
    middle, half = (labelled.max(axis=0) + labelled.min(axis=0)) / 2, 0.6 * np.ptp(labelled, axis=0)
    np.testing.assert_allclose(one['box'], [*middle - half, *middle + half], rtol=1e-5)
    np.testing.assert_allclose(one['scale'], 2 * half.max() / 200, rtol=1e-5)
    torso = xy[2:, lsp.JOINTS.index('lsho')] - xy[2:, lsp.JOINTS.index('rhip')]
    np.testing.assert_allclose(parts['test'].people['unit'], np.hypot(*torso.T), rtol=1e-6)


def test_pictures_of_any_format_by_the_endings_that_they_have(tmp_path, monkeypatch):
    """HR-LSPET's are PNG; here one is a JPEG that its EXIF turns, and one is a WebP."""
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.uniform(1, 40, (4, 14, 2)), np.zeros((4, 14, 1))], axis=2)
    scipy.io.savemat(tmp_path / 'joints.mat', {'joints': points.transpose(2, 1, 0)})
    turned = Image.Exif()
    turned[0x0112] = 6
    for i, (ending, settings) in enumerate(
        [('png', {}), ('JPG', {'exif': turned}), ('webp', {}), ('png', {})], 1
    ):
        Image.fromarray(rng.integers(0, 255, (48, 64, 3), np.uint8)).save(
            tmp_path / f'im{i:04d}.{ending}', **settings
        )
    run(
        monkeypatch,
        '--dataset',
        'lsp',
        '--meta',
        tmp_path / 'joints.mat',
        '--images',
        tmp_path,
        '--out',
        tmp_path / 'out',
    )
    train, test = (load(tmp_path / 'out', split) for split in arrays.SPLITS)
    assert train.people['file'].tolist() == ['im0001.png', 'im0002.JPG']
    assert test.people['file'].tolist() == ['im0003.webp', 'im0004.png']
    assert [image.shape for split in (train, test) for image in split.images] == [
        (48, 64, 3),
        (64, 48, 3),
        (48, 64, 3),
        (48, 64, 3),
    ]
    os.unlink(tmp_path / 'im0004.png')
    with pytest.raises(InputError, match=r'im0004\.jpg: No such file'):
        run(
            monkeypatch,
            '--dataset',
            'lsp',
            '--meta',
            tmp_path / 'joints.mat',
            '--images',
            tmp_path,
            '--out',
            tmp_path / 'out',
        )


def test_real_lspet_and_parse(tmp_path, monkeypatch, capsys):
    lspet, parse = shared('lspet'), shared('parse')
    with pytest.raises(
        InputError,
        match=r'cannot be used: 9000 of 10000 train pictures: .*im01001.jpg.*--skip_missing',
    ):
        run(
            monkeypatch,
            '--dataset',
            'lsp',
            '--meta',
            f'{lspet}/joints.mat',
            '--images',
            f'{lspet}/images',
            '--out',
            tmp_path / 'a',
        )
    assert not (tmp_path / 'a' / arrays.MANIFEST).exists()
    run(
        monkeypatch,
        '--dataset',
        'lsp',
        '--meta',
        f'{lspet}/joints.mat',
        f'{parse}/labels.mat',
        '--images',
        f'{lspet}/images',
        parse,
        '--out',
        tmp_path / 'a',
        '--skip_missing',
    )
    assert 'left out: 9000 people on 9000 pictures' in capsys.readouterr().out
    train, test = load(tmp_path / 'a', 'train'), load(tmp_path / 'a', 'test')
    assert len(train.people) == 1100 and len(test.people) == 205
    truth = scipy.io.loadmat(f'{lspet}/joints.mat')['joints'][..., :1000].transpose(2, 0, 1)
    np.testing.assert_array_equal(train.people['visible'][:1000] > 0, truth[..., 2] == 1)
    np.testing.assert_allclose(
        train.joints[:1000][truth[..., 2] == 1], truth[truth[..., 2] == 1][:, :2], rtol=1e-6
    )
    truth = scipy.io.loadmat(f'{parse}/labels.mat')['ptsAll'].transpose(2, 0, 1)
    np.testing.assert_allclose(np.concatenate([train.joints[1000:], test.joints]), truth, rtol=1e-6)
    np.testing.assert_array_equal(
        test.images[3], cv2.imread(f'{parse}/im0104.jpg', cv2.IMREAD_COLOR_RGB)
    )


# --- MPII ---------------------------------------------------------------------------------------------------------


def test_real_mpii_sample(tmp_path, monkeypatch):
    folder = shared('mpii_sample')
    run(
        monkeypatch,
        '--dataset',
        'mpii',
        '--meta',
        f'{folder}/test_mpii.json',
        '--images',
        folder,
        '--out',
        tmp_path,
    )
    with open(f'{folder}/test_mpii.json', encoding='utf-8') as file:
        people = {person['image']: person for person in json.load(file)}
    for split, n in (('train', 4), ('test', 1)):
        part = load(tmp_path, split)
        assert len(part.people) == n
        for joints_xy, record in zip(part.joints, part.people):
            person = people.pop(str(record['file']))
            seen = np.array(person['joints_vis']) == 1
            np.testing.assert_array_equal(record['visible'], 2 * seen)
            expected_xy = np.array(person['joints'])[seen] - 0.5  # pixels are counted from 1
            np.testing.assert_allclose(joints_xy[seen], expected_xy, rtol=1e-6)
            np.testing.assert_allclose(record['centre'], np.array(person['center']) - 0.5)
            np.testing.assert_allclose(
                record['box'][2:] - record['box'][:2], 200 * person['scale'], rtol=1e-5
            )
            squared = (
                float(record['unit'] / 0.6) ** 2
            )  # of a head box of whole pixels; joints have 4 decimals
            assert abs(squared - round(squared)) < 0.05 and 30 < record['unit'] < 200
    assert not people


def hrnets(tmp_path, *changes):
    """(path of a .json, folder) of twelve people in twelve pictures, in HRNet's form; changes:
    {field: value} of the first ones."""
    people = [
        {
            'image': f'{i:02d}.jpg',
            'joints': [[10 + i + j, 20 + 3 * j] for j in range(16)],
            'joints_vis': 16 * [1],
            'center': [60 + i, 90],
            'scale': 0.8,
        }
        for i in range(12)
    ]
    for person, change in zip(people, changes):
        (tmp_path / person['image']).touch()
        person.update(change)
    (tmp_path / 'people.json').write_text(json.dumps(people))
    return str(tmp_path / 'people.json'), str(tmp_path)


@pytest.mark.parametrize(
    'name', ['images\\00.jpg', 'C:\\mpii\\images\\00.jpg', '/data/mpii/00.jpg', 'images/00.jpg']
)
def test_mpii_pictures_named_elsewhere(tmp_path, name, capsys):
    path, folder = hrnets(tmp_path, {'image': name})
    _, parts = mpii.Mpii().read([path], [folder])
    assert parts['train'].people['file'][0] == '00.jpg'
    assert (
        f'1 of the pictures found in {folder} under another name ({name} as 00.jpg)'
        in capsys.readouterr().out
    )


def test_mpii_people_without_centre_or_scale_are_left_out(tmp_path, capsys):
    """HRNet's own code takes a center of -1 for unknown."""
    path, folder = hrnets(
        tmp_path, {'center': [-1, -1]}, {'scale': -1}, {'scale': 0}, {'center': [-1, 5]}
    )
    _, parts = mpii.Mpii().read([path], [folder])
    assert sorted(
        parts['train'].people['file'].tolist() + parts['test'].people['file'].tolist()
    ) == [f'{i:02d}.jpg' for i in range(3, 12)]
    assert 'left out: 3 people without center or positive scale\n' in capsys.readouterr().out


def test_mpii_joints_in_other_shapes(tmp_path, capsys):
    path, folder = hrnets(tmp_path)
    expected = mpii.Mpii().read([path], [folder])[1]['train']
    with open(path) as file:
        people = json.load(file)
    for person in people:
        person.update(joints=[[*xy, 7] for xy in person['joints']], joints_vis=[[1, 1, 0]] * 16)
    people[0]['joints'][5], people[0]['joints_vis'][6] = [-1, -1, 0], [0, 0, 0]
    (tmp_path / 'people.json').write_text(json.dumps(people))
    found = mpii.Mpii().read([path], [folder])[1]['train']
    np.testing.assert_array_equal(found.joints[1:], expected.joints[1:])
    assert (
        np.flatnonzero(found.people['visible'][0] == 0).tolist() == [5, 6]
        and found.people['visible'][1:].all()
    )
    assert 'taken for unlabelled: 1 joint at (0, 0) or (-1, -1)' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ([{'joints_vis': None}], 'person 0 has no joints_vis; HRNet'),
        (
            [{}, {'joints': None, 'joints_vis': None}],
            r'person 1 has no joints, joints_vis \(a file of test people\?\)',
        ),
        (
            [{}, {'joints': [[1, 2]] * 14}],
            r'person 1: joints is of shape \(14, 2\), expected \(16, 2\)',
        ),
        (
            [{'joints': [[1, 2]] * 15 + [[1]]}],
            r'person 0: joints \[\[1, 2\].* are no numbers, or not equally many',
        ),
        ([{'scale': 'large'}], "person 0: scale 'large' are no numbers"),
        ([{'image': 7}], 'person 0: image 7 is no name'),
        (12 * [{'scale': 0}], 'nobody has a center'),
    ],
)
def test_mpii_faults_are_named(tmp_path, changes, words):
    with pytest.raises(InputError, match=words) as error:
        mpii.Mpii().read(*([one] for one in hrnets(tmp_path, *changes)))
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    'content', ['{"root": []}', '[]', '{"images": [], "annotations": []}', '3']
)
def test_other_files_are_not_hrnets(tmp_path, content):
    (tmp_path / 'a.json').write_text(content)
    with pytest.raises(
        InputError, match=r"a\.json: not HRNet's form of MPII, a list of people, each with image, "
    ):
        mpii.Mpii().read([str(tmp_path / 'a.json')], [str(tmp_path)])


def struct(*rows):
    """A MATLAB struct array [1, n] of dicts; what a row lacks is [] there, as MATLAB fills it."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    made = np.empty((1, len(rows)), [(name, object) for name in names])
    for i, row in enumerate(rows):
        for name in names:
            made[0, i][name] = row.get(name, EMPTY)
    return made


EMPTY = np.empty((0, 0))


def points(*some):
    """annopoints of (joint, x, y) or (joint, x, y, is_visible)."""
    return struct(
        {'point': struct(*(dict(zip(('id', 'x', 'y', 'is_visible'), one)) for one in some))}
    )


def rect(x, **more):
    return {
        'x1': x,
        'y1': 20,
        'x2': x + 30,
        'y2': 60,
        'scale': 1.5,
        'objpos': struct({'x': x + 5, 'y': 90}),
        **more,
    }


def official(tmp_path, *annorects, train=None):
    """A .mat as the official one: 000.jpg, ... with these annorects; train: of each picture, 1 or 0."""
    annolist = struct(
        *(
            {
                'image': struct({'name': f'{i:03d}.jpg'}),
                'annorect': annorect,
                'frame_sec': EMPTY,
                'vididx': EMPTY,
            }
            for i, annorect in enumerate(annorects)
        )
    )
    n = len(annorects)
    release = struct(
        {
            'annolist': annolist,
            'img_train': np.array([train or n * [1]], np.uint8),
            'version': '12',
            'single_person': np.full((n, 1), 1, object),
            'video_list': np.array([['a', 'b']], object),
            'act': struct(*n * [{'act_name': 'x', 'cat_name': 'y', 'act_id': np.int32(-1)}]).T,
        }
    )
    scipy.io.savemat(tmp_path / 'mpii.mat', {'RELEASE': release})
    return str(tmp_path / 'mpii.mat')


def labels(person):
    return {mpii.JOINTS[i]: int(v) for i, v in enumerate(person['visible']) if v}


def test_the_official_file(tmp_path):
    """Pictures of two people, one without joints, one of a test person, twelve more."""
    two = struct(
        rect(100, annopoints=points((9, 1, 2), (8, 3, 4, '0'), (0, 5, 6, EMPTY), (1, 7, 8, '1'))),
        rect(200, annopoints=points((15, 7, 8, 1), (6, 9, 10, 0))),
    )
    bare = struct({'x1': 1, 'y1': 2, 'x2': 3, 'y2': 4})
    more = [struct(rect(10 * i, annopoints=points((3, i, i, '1')))) for i in range(12)]
    path = official(
        tmp_path,
        two,
        bare,
        struct(rect(1, annopoints=points((3, 1, 1, '1')))),
        *more,
        train=[1, 1, 0] + 12 * [1],
    )
    _, parts = mpii.Mpii().read([path], [str(tmp_path)])
    assert parts['train'].people['file'].tolist() == [
        '000.jpg',
        '000.jpg',
        *(f'{i:03d}.jpg' for i in range(4, 13)),
        '014.jpg',
    ]
    assert parts['test'].people['file'].tolist() == ['003.jpg', '013.jpg']  # every tenth picture
    first, second = parts['train'].people[:2]
    assert labels(first) == {'rank': 2, 'rkne': 2, 'neck': 1, 'head': 2} and labels(second) == {
        'lwri': 2,
        'pelvis': 1,
    }
    assert parts['train'].joints[0, 8].tolist() == [2.5, 3.5]
    assert parts['train'].joints[1, 15].tolist() == [6.5, 7.5]
    np.testing.assert_allclose(first['unit'], 0.6 * 50)  # a box of 30 x 40
    assert second['centre'].tolist() == [204.5, 89.5]
    assert second['box'].tolist() == [54.5, -60.5, 354.5, 239.5]


@pytest.mark.parametrize(
    ('seen', 'hidden'), [('1', '0'), (np.uint8(1), np.uint8(0)), (1.0, 0.0), (True, False)]
)
def test_is_visible_in_every_type_it_comes_in(tmp_path, seen, hidden):
    path = official(
        tmp_path, struct(rect(1, annopoints=points((0, 1, 2, seen), (1, 3, 4, hidden), (2, 5, 6))))
    )
    (person,) = mpii.Mpii().read([path], [str(tmp_path)])[1]['train'].people
    assert labels(person) == {'rank': 2, 'rkne': 1, 'rhip': 2}


def test_what_the_official_file_lacks_here_and_there(tmp_path):
    """Rectangles without points, scale or position are left out, wherever [] stands for them; who
    has no head box trains, but has no unit; a single point, and points without is_visible."""
    whole = rect(1, annopoints=points((0, 1, 2), (9, 3, 4)))
    headless = {
        name: value for name, value in rect(1, annopoints=points((3, 1, 1))).items() if name != 'x2'
    }
    path = official(
        tmp_path,
        EMPTY,
        struct(rect(1)),
        struct(rect(1, annopoints=struct({'point': EMPTY}))),
        struct(
            {**whole, 'scale': EMPTY},
            {**whole, 'objpos': EMPTY},
            {**whole, 'annopoints': EMPTY},
            whole,
        ),
        struct(headless),
    )
    people = mpii.Mpii().read([path], [str(tmp_path)])[1]
    assert people['train'].people['file'].tolist() == ['003.jpg'] and labels(
        people['train'].people[0]
    ) == {'rank': 2, 'head': 2}
    (person,) = people['test'].people
    assert (
        person['file'] == '004.jpg' and labels(person) == {'lhip': 2} and np.isnan(person['unit'])
    )
    with pytest.raises(InputError, match=r'mpii\.mat: holds no training people with joints'):
        mpii.Mpii().read([official(tmp_path, EMPTY, struct(whole), train=[1, 0])], [str(tmp_path)])


# --- COCO ---------------------------------------------------------------------------------------------------------


def test_real_coco_sample_against_pycocotools(tmp_path, monkeypatch, capsys):
    from pycocotools.coco import COCO

    folder = shared('coco_sample')
    path = f'{folder}/test_coco.json'
    run(
        monkeypatch,
        '--dataset',
        'coco',
        '--meta',
        path,
        path,
        '--images',
        folder,
        '--out',
        tmp_path,
    )
    truth, part = COCO(path), load(tmp_path, 'test')
    table = arrays.load_array(
        str(tmp_path), 'pictures', 'test', arrays.read_manifest(str(tmp_path))
    )
    assert sorted(table['id'].tolist()) == sorted(truth.getImgIds()) and len(part.people) == len(
        truth.getAnnIds()
    )
    for joints_xy, record in zip(part.joints, part.people):
        (annotation,) = truth.loadAnns([int(record['id'])])
        points = np.reshape(annotation['keypoints'], (17, 3))
        np.testing.assert_array_equal(record['visible'], points[:, 2])
        np.testing.assert_array_equal(joints_xy[points[:, 2] > 0], points[points[:, 2] > 0, :2])
        x, y, width, height = annotation['bbox']
        np.testing.assert_allclose(record['box'], [x, y, x + width, y + height], rtol=1e-5)
        np.testing.assert_allclose(record['unit'], annotation['area'] ** 0.5, rtol=1e-6)
        assert truth.loadImgs([annotation['image_id']])[0]['file_name'] == record['file']
    assert len(arrays.labelled_people(part).people) == sum(
        a['num_keypoints'] > 0 for a in truth.dataset['annotations']
    )
    pictures = arrays.by_picture(part, 30)
    assert len(pictures.joints) == len(table) and pictures.joints.shape[1:] == (30, 17, 2)
    np.testing.assert_array_equal(
        np.sort(pictures.people['id'][pictures.people['id'] > 0]), np.sort(part.people['id'])
    )


# --- drawn sets ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('name', 'body', 'how'),
    [('lsp', lsp, {'length': 150}), ('mpii', mpii, {'people': 2}), ('coco', coco, {'people': 4})],
)
def test_drawn_people_are_read_back(name, body, how, tmp_path, monkeypatch):
    run(monkeypatch, '--dataset', name, '--synthetic', '8', '--out', tmp_path)
    found = 0
    for split in arrays.SPLITS:
        part = load(tmp_path, split)
        found += len(part.people)
        for row, record in enumerate(part.people):
            index = int(''.join(filter(str.isdigit, os.path.basename(str(record['file']))))) - 1
            image, bodies = whole_bodies.render(0, index, **how)
            assert part.images[row].shape == image.shape
            assert (
                np.abs(part.images[row].astype(int) - image).mean() < 6
            )  # it was a JPEG meanwhile
            truth = [whole_bodies.joints_of(one, body.JOINTS) for one in bodies]
            best = min(np.abs(part.joints[row] - xy).max() for xy, _ in truth)
            assert best < 0.01
    assert found == 8
    again = tmp_path / 'again'
    run(monkeypatch, '--dataset', name, '--synthetic', '8', '--out', again)
    assert arrays.read_manifest(str(again))['id'] == arrays.read_manifest(str(tmp_path))['id']


def test_drawn_left_is_left():
    """Who faces us has the left side on the picture's right; who does not, the other way round; limbs hang together."""
    for index in range(6):
        _, (body,) = whole_bodies.render(3, index)
        facing = body.visible['nose'] > 0
        for joint in ('sho', 'hip'):
            assert (body.xy['l' + joint][0] > body.xy['r' + joint][0]) == facing
        height = np.linalg.norm(body.xy['top'] - (body.xy['lank'] + body.xy['rank']) / 2)
        for side in 'lr':
            for a, b in (('hip', 'kne'), ('kne', 'ank')):
                assert 0.1 < np.linalg.norm(body.xy[side + a] - body.xy[side + b]) / height < 0.4


# --- faults -------------------------------------------------------------------------------------------------------


@pytest.fixture
def drawn(tmp_path):
    """Paths of a drawn MPII set: (folder, its two files, pictures)."""
    metas, (images, _) = datasets.load('mpii').write_synthetic(str(tmp_path / 'set'), 6, 0)
    return tmp_path, metas, images


@pytest.mark.parametrize(
    ('spoil', 'words'),
    [
        (
            lambda folder, metas, images: open(metas[0], 'w').close(),
            'train.json: not a readable .json',
        ),
        (
            lambda folder, metas, images: shutil.copy(
                os.path.join(images, '000000001.jpg'), metas[1]
            ),
            'valid.json',
        ),
        (
            lambda folder, metas, images: edit(
                metas[0], lambda people: people[0].pop('joints_vis')
            ),
            'joints_vis',
        ),
        (
            lambda folder, metas, images: edit(
                metas[0], lambda people: people[0].update(image='/etc/x.jpg')
            ),
            'x.jpg: No such file',
        ),
        (
            lambda folder, metas, images: edit(
                metas[0], lambda people: people[0]['joints'].__setitem__(3, [float('nan'), 1])
            ),
            'NaN',
        ),
        (
            lambda folder, metas, images: os.unlink(os.path.join(images, '000000001.jpg')),
            '000000001.jpg: No such file',
        ),
        (
            lambda folder, metas, images: os.truncate(os.path.join(images, '000000001.jpg'), 3000),
            'not a whole image',
        ),
    ],
)
def test_faults_name_the_file(drawn, spoil, words, monkeypatch):
    folder, metas, images = drawn
    spoil(folder, metas, images)
    with pytest.raises(InputError) as raised:
        run(
            monkeypatch,
            '--dataset',
            'mpii',
            '--meta',
            *metas,
            '--images',
            images,
            '--out',
            folder / 'out',
        )
    assert words in str(raised.value)
    assert not os.path.exists(folder / 'out' / arrays.MANIFEST)


def edit(path, change):
    with open(path, encoding='utf-8') as file:
        content = json.load(file)
    change(content)
    with open(path, 'w', encoding='utf-8') as file:
        json.dump(content, file)


def test_a_picture_of_another_size_is_refused(tmp_path, monkeypatch):
    (train, val), (images, _) = datasets.load('coco').write_synthetic(str(tmp_path / 'set'), 6, 0)
    edit(train, lambda content: content['images'][0].update(width=77))
    arguments = (
        '--dataset',
        'coco',
        '--meta',
        train,
        val,
        '--images',
        images,
        '--out',
        tmp_path / 'out',
    )
    with pytest.raises(InputError, match=r'000000000001.jpg: is \d+x\d+, annotated as 77x'):
        run(monkeypatch, *arguments)
    run(monkeypatch, *arguments, '--skip_missing')
    assert '000000000001.jpg' not in load(tmp_path / 'out', 'train').people['file']


def test_other_sets_arrays_are_not_lost(drawn, monkeypatch):
    folder, metas, images = drawn
    run(
        monkeypatch,
        '--dataset',
        'mpii',
        '--meta',
        *metas,
        '--images',
        images,
        '--out',
        folder / 'out',
    )
    with pytest.raises(InputError, match='holds the arrays of mpii'):
        run(monkeypatch, '--dataset', 'lsp', '--synthetic', '4', '--out', folder / 'out')
    assert load(folder / 'out', 'test').people.size


@pytest.mark.parametrize(
    'content', ['{"name": "my web application"}', '[]', 'text', '{"id": "1", "counts": {}}']
)
def test_somebody_elses_manifest_is_not_lost(tmp_path, monkeypatch, content):
    (tmp_path / 'manifest.json').write_text(content)
    with pytest.raises(
        InputError,
        match=r'manifest\.json would be lost, which data\.py did not write: choose another',
    ):
        run(monkeypatch, '--dataset', 'lsp', '--synthetic', '4', '--out', tmp_path)
    assert (tmp_path / 'manifest.json').read_text() == content and os.listdir(tmp_path) == [
        'manifest.json'
    ]


def test_what_is_replaced_is_said(tmp_path, monkeypatch, capsys):
    """Another seed's people; equal ones are replaced without a word."""
    lines, ids = [], []
    for seed in (1, 2, 2):
        run(monkeypatch, '--dataset', 'lsp', '--synthetic', '4', '--seed', seed, '--out', tmp_path)
        ids.append(arrays.read_manifest(str(tmp_path))['id'])
        lines.append(capsys.readouterr().out.splitlines()[-1])
    assert ids[0] != ids[1] and 'they replace' not in lines[0] + lines[2]
    assert lines[1].endswith(f'; they replace {ids[0]} of 2 train and 2 test people')


def test_flics_arrays_are_not_lost_to_own_people(tmp_path, monkeypatch):
    """Both have FLIC's form."""
    run(monkeypatch, '--synthetic', '4', '--out', tmp_path)
    (train, _), (images, _) = datasets.load('coco').write_synthetic(str(tmp_path / 'set'), 6, 0)
    with pytest.raises(InputError, match='holds the arrays of flic, which would be lost'):
        run(monkeypatch, '--coco', train, '--images', images, '--out', tmp_path)


def test_a_picture_that_changed_later_is_an_error(drawn, monkeypatch):
    folder, metas, images = drawn
    run(
        monkeypatch,
        '--dataset',
        'mpii',
        '--meta',
        *metas,
        '--images',
        images,
        '--out',
        folder / 'out',
    )
    train = load(folder / 'out', 'train')
    cv2.imwrite(os.path.join(images, str(train.people['file'][0])), np.zeros((20, 30, 3), np.uint8))
    with pytest.raises(InputError, match='is 30x20, expected'):
        train.images[0]
