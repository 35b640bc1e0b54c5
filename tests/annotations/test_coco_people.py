"""People of label tools' files: the same joints as of the official form, by name; what a file lacks
is derived, said or an error in one line."""

import codecs
import json
import sys

import coco_files
import numpy as np
import pytest
from coco_files import JOINTS_XY, NAMES, SIZE, VISIBLE, changed, each, renamed, reordered

from jointpose import data
from jointpose.datasets import arrays, coco, custom, flic, records
from jointpose.metrics import average_precision
from jointpose.utils.errors import InputError
from jointpose.vision import crops
from jointpose.vision.joints import coco_name, joint_from_name

NINE = [NAMES.index(coco_name(joint)) for joint in flic.JOINTS]


@pytest.fixture
def folder(tmp_path):
    coco_files.write_pictures(tmp_path)
    return tmp_path


def written(folder, content):
    path = folder / 'people.json'
    path.write_text(json.dumps(content))
    return str(path)


def read_coco(folder, content):
    return coco.read_json(written(folder, content), str(folder), '')


def read_own(folder, content):
    return custom.read_json(written(folder, content), str(folder))


# --- by name ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('tool', coco_files.TOOLS)
def test_every_tools_people_are_the_official_ones(folder, tool):
    """Joints as they were drawn; box and area positive, the official ones where the file has either."""
    content = coco_files.TOOLS[tool]()
    expected, found = read_coco(folder, coco_files.official()), read_coco(folder, content)
    np.testing.assert_array_equal(expected.joints, JOINTS_XY.astype(np.float32))
    np.testing.assert_array_equal(found.joints[:2], expected.joints)
    np.testing.assert_array_equal(found.people['visible'][:2], VISIBLE)
    assert not found.people['visible'][2:].any() and len(found.people) == 2 + (tool == 'cvat')
    assert found.people['file'][:2].tolist() == ['0.png', '1.png'] and found.pictures[
        'id'
    ].tolist() == [7, 8]
    assert found.pictures['width'].tolist() == 2 * [0 if tool == 'x_anylabeling' else SIZE[0]]
    assert not found.people['crowd'].any()
    if tool == 'coco_annotator':
        size = 1.2 * np.ptp(JOINTS_XY[0], axis=0)
        box = found.people['box']
        np.testing.assert_allclose(box[:, 2:] - box[:, :2], [size, size], rtol=1e-5)
        np.testing.assert_allclose(found.people['area'], size.prod(), rtol=1e-5)
    else:
        for name in ('box', 'area', 'unit', 'scale'):
            np.testing.assert_array_equal(found.people[name][:2], expected.people[name], name)


@pytest.mark.parametrize('tool', coco_files.TOOLS)
def test_frames_of_ones_own_are_cut_alike(folder, tool):
    people = read_own(folder, coco_files.TOOLS[tool]())
    assert [person.row for person in people] == [0, 1] and {person.size for person in people} == {
        SIZE
    }
    assert [person.path for person in people] == [str(folder / '0.png'), str(folder / '1.png')]
    np.testing.assert_array_equal([person.joints_xy for person in people], JOINTS_XY[:, NINE])


@pytest.mark.parametrize(
    ('name', 'joint'),
    [
        ('left_shoulder', 'lsho'),
        ('Left Shoulder', 'lsho'),
        ('leftShoulder', 'lsho'),
        ('l-shoulder', 'lsho'),
        ('LShoulder', 'lsho'),
        ('shoulder_left', 'lsho'),
        ('shoulder.L', 'lsho'),
        ('LSHO', 'lsho'),
        ('rear', 'rear'),
        ('right ear', 'rear'),
        ('R_Ankle', 'rank'),
        ('ankle (right)', 'rank'),
        ('Nose', 'nose'),
        ('neck', None),
        ('', None),
        ('left_eye_inner', None),
        ('shoulder', None),
        ('left_hand', None),
        ('left', None),
    ],
)
def test_spellings_of_joints(name, joint):
    assert joint_from_name(name) == joint


def test_joints_that_the_file_lacks_are_unlabelled_and_said(folder, capsys):
    """No ears: both are unlabelled, everybody else's joints are where they were."""
    content = changed(reordered([name for name in NAMES if 'ear' not in name]))
    people = read_coco(folder, content)
    ears = np.char.endswith(NAMES, 'ear')
    np.testing.assert_array_equal(people.people['visible'], np.where(ears, 0, VISIBLE))
    np.testing.assert_array_equal(people.joints[:, ~ears], JOINTS_XY[:, ~ears])
    assert "'person' has no key point left_ear, right_ear: unlabelled" in capsys.readouterr().out
    read_coco(folder, changed(reordered(['nose', 'neck', *NAMES[3:]])))
    assert 'left_eye, right_eye: unlabelled (not understood: neck)' in capsys.readouterr().out
    wristless = read_own(
        folder, changed(reordered([name for name in NAMES if name != 'left_wrist']))
    )
    assert np.isnan(wristless[0].joints_xy[flic.JOINTS.index('lwri')]).all()
    assert np.isfinite(np.delete(wristless[0].joints_xy, flic.JOINTS.index('lwri'), axis=0)).all()
    assert 'no key point left_wrist' in capsys.readouterr().out


def test_without_hips_there_is_no_frame_but_a_coco_person(folder):
    content = changed(reordered([name for name in NAMES if 'hip' not in name]))
    assert (read_coco(folder, content).people['visible'] > 0).sum() == 2 * 15
    with pytest.raises(InputError, match=r'people.json: no category has the key points of people'):
        read_own(folder, changed(reordered(['nose', 'left_hip', 'tail'])))


def scaled(keypoints, factor):
    return (np.reshape(keypoints, (-1, 3)) * (factor, factor, 1)).ravel().tolist()


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (
            renamed(lambda name: f'point {name[0]}'),
            r'no category has the key points of people: expected .*left_shoulder',
        ),
        (
            renamed(lambda name: 'lsho' if name == 'nose' else name),
            'key points lsho and left_shoulder are one joint',
        ),
        (
            lambda content: content['categories'][0].update(keypoints='nose,left_eye'),
            r'categories\[0\]: `keypoints` is no',
        ),
        (
            lambda content: content['categories'][0]['keypoints'].pop(),
            r'annotations\[0\] of 0.png: 17 key points, and the category names 16',
        ),
        (
            lambda content: content['categories'].append(
                {**content['categories'][0], 'name': 'dog'}
            ),
            'two categories have one id',
        ),
        (
            lambda content: content['annotations'][1]['keypoints'].__setitem__(2, 0.4),
            r'annotations\[1\] .* visibility is 0.4: expected 0',
        ),
        (
            lambda content: content['annotations'][1]['keypoints'].__setitem__(0, None),
            r'annotations\[1\] .* not a number',
        ),
        (
            lambda content: content['annotations'][1]['keypoints'].__setitem__(0, 1e9),
            r'annotations\[1\] .* far outside',
        ),
        (
            each('annotations', keypoints=lambda one: scaled(one['keypoints'], 1 / 300)),
            'all key points lie between 0',
        ),
        (lambda content: content.update(images=[]), 'lists no `images`'),
    ],
)
@pytest.mark.parametrize('read', [read_coco, read_own])
def test_faults_are_named_in_one_line(folder, read, change, words):
    with pytest.raises(InputError, match=words) as error:
        read(folder, changed(change))
    assert str(error.value).startswith(f'{folder}/people.json: ') and '\n' not in str(error.value)


def test_results_are_no_annotations(folder):
    with pytest.raises(InputError, match='a list of results, not annotations'):
        read_coco(folder, coco_files.official()['annotations'])


# --- which category -----------------------------------------------------------------------------------------------


def test_dogs_with_shoulders_are_no_people(folder, capsys):
    """A file of people and dogs, whose key points have partly the same names; a category without key points."""

    def add(content):
        dog = {'id': 0, 'name': 'dog', 'keypoints': [*NAMES[:16], 'tail']}
        content['categories'] += [dog, {'id': 5, 'name': 'ball'}]
        content['annotations'] += [
            {**content['annotations'][0], 'category_id': 0},
            {**content['annotations'][0], 'category_id': 5, 'keypoints': None},
            {**content['annotations'][0], 'category_id': 5},
        ]

    assert len(read_coco(folder, changed(add)).people) == 2
    said = capsys.readouterr().out
    assert (
        "2 of another category than people, 'ball' (annotations[3] of 0.png, annotations[4] of 0.png)"
        in said
    )
    assert "1 of another category than people, 'dog' (annotations[2] of 0.png)" in said


def test_people_of_several_categories(folder, capsys):
    """A player's and a referee's, in another order, are read each by their own names."""

    def split(content):
        reordered(NAMES[::-1])(content)
        category = content['categories'][0]
        category.update(name='player')
        content['categories'].append({'id': 2, 'name': 'referee', 'keypoints': list(NAMES)})
        keypoints = coco_files.official()['annotations'][1]['keypoints']
        content['annotations'][1].update(category_id='2', keypoints=keypoints)

    np.testing.assert_array_equal(read_coco(folder, changed(split)).joints, JOINTS_XY)
    assert "people are in several categories: 'player', 'referee'" in capsys.readouterr().out


def test_without_names_seventeen_are_cocos(folder, capsys):
    nameless = each('categories', keypoints=None)
    np.testing.assert_array_equal(read_coco(folder, changed(nameless)).joints, JOINTS_XY)
    assert "taken for COCO's seventeen in COCO's order" in capsys.readouterr().out
    with pytest.raises(
        InputError, match='no category names its `keypoints`, and people have 16 of them'
    ):
        read_coco(folder, changed(reordered(NAMES[1:]), nameless))


# --- who is left out ----------------------------------------------------------------------------------------------


def test_who_is_left_out_is_counted_and_named(folder, capsys):
    def spoil(content):
        first = content['annotations'][0]
        content['annotations'] += [
            {**first, 'image_id': 99},
            {
                **first,
                'bbox': None,
                'segmentation': None,
                'keypoints': [
                    10,
                    20,
                    2,
                    *48 * [0],
                ],
            },
        ]

    assert len(read_coco(folder, changed(spoil)).people) == 2
    said = capsys.readouterr().out.splitlines()[0]
    assert said.startswith(f'{folder}/people.json: left out: ')
    assert '1 of a picture that the file does not list (annotations[2])' in said
    assert (
        '1 without a box, or key points from which it could be derived (annotations[3] of 0.png)'
        in said
    )


def test_people_without_categories_are_coco_s(folder, capsys):
    """No category names its key points, and no annotation says which category it is of."""

    def spoil(content):
        for category in content['categories']:
            category.pop('keypoints')
        for annotation in content['annotations']:
            annotation.pop('category_id', None)

    expected = read_coco(folder, changed(lambda content: None)).people
    found = read_coco(folder, changed(spoil)).people
    np.testing.assert_array_equal(found['visible'], expected['visible'])
    assert "taken for COCO's seventeen" in capsys.readouterr().out


def test_a_key_point_in_the_corner_is_none(folder, capsys):
    """(0, 0) with v = 2 is what some tools write of a point that was not set."""
    content = changed(
        lambda content: content['annotations'][0]['keypoints'].__setitem__(slice(3), [0, 0, 2])
    )
    people = read_coco(folder, content)
    assert people.people['visible'][0].tolist() == [0, *16 * [2]]
    assert '1 person with key points at (0, 0)' in capsys.readouterr().out


def test_absent_key_points_at_minus_one(folder, capsys):
    content = changed(
        lambda content: content['annotations'][1]['keypoints'].__setitem__(slice(3), [-1, -1, 1])
    )
    assert read_coco(folder, content).people['visible'][1].tolist() == [0, *15 * [2], 1]
    assert '1 person with key points at (0, 0) or (-1, -1)' in capsys.readouterr().out


def test_visibility_of_other_types(folder):
    def types(content):
        content['annotations'][0]['keypoints'][2::3] = [True, False, None, -1, *13 * [2.0]]

    assert read_coco(folder, changed(types)).people['visible'][0].tolist() == [
        2,
        0,
        0,
        0,
        *13 * [2],
    ]


@pytest.mark.parametrize('value', [3, 0.9])
def test_visibility_of_other_values(folder, value):
    content = changed(lambda content: content['annotations'][0]['keypoints'].__setitem__(5, value))
    with pytest.raises(InputError, match=rf'visibility is {value}: expected 0'):
        read_coco(folder, content)


def test_coordinates_without_visibility_are_said(folder, capsys):
    """Some converters write v = 0 of every key point: nobody would be trained on, without a word."""

    def hide(content):
        content['annotations'][0]['keypoints'][2::3] = 17 * [0]
        content['annotations'][1]['keypoints'] = [0, 0, 0] * 17  # as COCO has it

    assert not read_coco(folder, changed(hide)).people['visible'].any()
    said = capsys.readouterr().out
    assert (
        '1 person without labels, as v is 0 at all their key points' in said
        and 'annotations[1]' not in said
    )


def test_somebody_twice_is_one(folder, capsys):
    """In files that were put together; two people with equal boxes alone are two."""

    def repeat(content):
        first, _ = content['annotations']
        boxed = {**first, 'keypoints': []}
        content['annotations'] += [{**first, 'id': 9}, boxed, dict(boxed), {**first, 'image_id': 8}]

    people = read_coco(folder, changed(repeat)).people
    assert people['id'].tolist() == [100, 101, 100, 100, 100] and people['picture'].tolist() == [
        0,
        1,
        0,
        0,
        1,
    ]
    assert (
        'as somebody before them in the same picture (annotations[2] of 0.png)'
        in capsys.readouterr().out
    )


def test_pictures_by_name_in_place_of_id(folder):
    content = changed(
        each('images', file_name=lambda one: 'set/' + one['file_name']),
        each('annotations', image_id=lambda one: f'{one["image_id"] - 7}.png'),
    )
    assert read_coco(folder, content).people['file'].tolist() == ['0.png', '1.png']


@pytest.mark.parametrize('read', [read_coco, read_own])
def test_key_points_outside_of_their_box_are_said(folder, read, capsys):
    """In %, as Label Studio has them, of one person of two; who has no box of their own is not doubted."""

    def percent(content):
        points = np.reshape(content['annotations'][1]['keypoints'], (17, 3)) * (
            100 / SIZE[0],
            100 / SIZE[1],
            1,
        )
        content['annotations'][1]['keypoints'] = points.ravel().tolist()

    read(folder, changed(percent))
    assert capsys.readouterr().out == (
        f'{folder}/people.json: 1 person with most of their key points outside of their '
        'box: look at these labels (annotations[1] of 1.png)\n'
    )
    read(folder, changed(percent, each('annotations', bbox=None, segmentation=None)))
    assert 'outside of their box' not in capsys.readouterr().out


def test_doubtful_labels_are_said(folder):
    """Each by itself, of the one person of whom it is true; of pictures of unknown size nothing is said."""

    def doubts(change, *fields):
        part = read_coco(folder, coco_files.official())
        change(*(part._asdict()[field] for field in fields))
        return records.label_warnings(part)

    assert doubts(lambda: None) == []
    line = 'look at the labels: {} (1.png)'
    lower = [
        doubts(lambda pictures, h=h: pictures['height'].__setitem__(1, h), 'pictures')
        for h in (200, 190, 0)
    ]
    assert lower[0] == lower[2] == []  # the lowest joint is at 215, more than a tenth below 190
    assert lower[1] == [line.format('joints of 1 person are far outside their pictures')]
    corners = doubts(
        lambda people: people['box'].__setitem__((1, slice(2, 4)), (200, 230)), 'people'
    )
    assert corners == [
        line.format(
            'boxes of 1 person reach far beyond their pictures; expected is [x, y, width, height]'
        )
    ]
    area = doubts(lambda people: people['area'].__setitem__(1, 17), 'people')
    assert area == [line.format('areas of 1 person are less than a hundredth of their boxes')]


# --- from file to score -------------------------------------------------------------------------------------------


def test_from_a_label_tools_file_to_average_precision(folder, monkeypatch, capsys):
    """COCO Annotator's boxes of no size, a name of 254 letters, a byte order mark: crops of
    numbers, and predictions one pixel beside the truth are perfect."""
    long = 250 * 'x' + '.png'
    (folder / '0.png').rename(folder / long)
    content = coco_files.coco_annotator()
    content['images'][0]['file_name'] = '..\\elsewhere\\' + long
    (folder / 'people.json').write_bytes(codecs.BOM_UTF8 + json.dumps(content).encode())
    monkeypatch.setattr(
        sys,
        'argv',
        [
            'data.py',
            '--dataset',
            'coco',
            '--meta',
            str(folder / 'people.json'),
            '--images',
            str(folder),
            '--out',
            str(folder / 'out'),
            '--workers',
            '1',
        ],
    )
    data.main()
    assert f'elsewhere\\{long} as {long}' in capsys.readouterr().out
    manifest = arrays.read_manifest(str(folder / 'out'))
    train, test = (
        arrays.load_split(str(folder / 'out'), split, manifest, verify=True)
        for split in arrays.SPLITS
    )
    assert train.people['file'].tolist() == [long] and train.images[0].shape == (*SIZE[::-1], 3)
    assert arrays.by_picture(train, 3).people['file'].tolist() == [long]
    person = crops.person_from_row(test, 0)
    assert np.isfinite(
        crops.crop_matrix(person.centre, 200 * person.scale * np.ones(2), (64, 64))
    ).all()
    results = [average_precision.coco_result(8, JOINTS_XY[1] + (1, 0), np.ones(17), 1)]
    table = arrays.load_array(str(folder / 'out'), 'pictures', 'test', manifest)
    assert average_precision.precision_table(coco.JOINTS, table, test, results)[2][0] == [
        'AP',
        '100.0',
    ]


# --- ids and names ------------------------------------------------------------------------------------------------


def test_ids_that_are_text_are_counted(folder, capsys):
    content = changed(
        each('images', id=lambda one: f'a{one["id"]}'),
        each(
            'annotations',
            image_id=lambda one: f'a{one["image_id"]}',
            id=lambda one: f'p{one["id"]}',
        ),
    )
    people = read_coco(folder, content)
    assert people.pictures['id'].tolist() == [1, 2] and people.people['id'].tolist() == [0, 1]
    assert (
        people.people['picture'].tolist() == [0, 1] and 'counted from 1' in capsys.readouterr().out
    )


def test_long_names_widen_the_arrays_and_short_ones_do_not(folder):
    long = 250 * 'x' + '.png'
    (folder / '0.png').rename(folder / long)
    content = changed(lambda content: content['images'][0].update(file_name=long))
    found, short = (
        read_coco(folder, content),
        records.make_annotated(['a'], [0], np.ones((1, 2, 2)), np.ones((1, 2)), box=[[0, 0, 1, 1]]),
    )
    assert found.people['file'].tolist() == found.pictures['file'].tolist() == [long, '1.png']
    assert short.pictures['file'].dtype == short.people['file'].dtype == 'U80'
    joined = records.concatenated([found, found])
    assert joined.people['file'].tolist() == 2 * [long, '1.png'] and joined.people[
        'picture'
    ].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize('scale', [0, -1, np.nan, np.inf])
def test_nobody_with_joints_has_no_size(scale):
    with pytest.raises(
        InputError, match='person 1, in b: has joints, but a box or scale of no size'
    ):
        records.make_annotated(
            ['a', 'b'],
            [0, 1, 0],
            np.ones((3, 2, 2)),
            [[1, 1], [1, 1], [0, 0]],
            box=np.zeros((3, 4)),
            centre=np.ones((3, 2)),
            scale=[1, scale, 0],
        )


@pytest.mark.parametrize(
    'name',
    ['', '/x.jpg', '../x.jpg', 'a/../../x.jpg', 256 * 'x', 128 * 'é', 'a\0b', '\ud800', None, 3],
)
def test_names_that_lead_out_or_that_no_disk_takes(name):
    with pytest.raises(InputError, match='not a name within --images of at most 255 bytes'):
        records.check_names(['fine.jpg', name])
    records.check_names(['a/' + 255 * 'x', '..x', 127 * 'é'])
