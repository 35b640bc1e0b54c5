"""Detections of other programs: whose they are, and what is wrong with the file."""

import json
import os
import re

import pytest
from conftest import SHARED

from jointpose.inference import detections
from jointpose.utils.errors import InputError


def written(folder, content):
    path = folder / 'boxes.json'
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def detection(image, score, category=1, box=(1, 2, 30, 40)):
    return {'image_id': image, 'category_id': category, 'bbox': list(box), 'score': score}


def test_a_list_goes_by_the_names_numbers(tmp_path):
    found = detections.read(
        written(
            tmp_path,
            [
                detection(785, 0.6),
                detection(785, 0.9, box=(5, 6, 7, 8)),
                detection(3, 0.4),
                detection(785, 1, category=2),
            ],
        )
    )
    assert detections.boxes_in(found, '000000000785.jpg') == [(5, 6, 7, 8), (1, 2, 30, 40)]
    assert detections.boxes_in(found, '3.png') == detections.boxes_in(found, '4.png') == []
    assert detections.image_id(found, 'me.jpg') is None


def test_a_document_goes_by_its_files(tmp_path):
    found = detections.read(
        written(
            tmp_path,
            {
                'images': [{'id': 7, 'file_name': 'train/me.jpg'}],
                'categories': [],
                'annotations': [{'id': 1, 'image_id': 7, 'category_id': 1, 'bbox': [1, 2, 3, 4]}],
            },
        )
    )
    assert detections.image_id(found, 'me.jpg') == 7 and detections.boxes_in(found, 'me.jpg') == [
        (1, 2, 3, 4)
    ]
    assert detections.image_id(found, '7.jpg') is None


def test_crowds_and_names_of_two_pictures_say_nothing(tmp_path):
    found = detections.read(
        written(
            tmp_path,
            {
                'images': [
                    {'id': i, 'file_name': file}
                    for i, file in enumerate(('a/me.jpg', 'b/me.jpg', 'you.jpg'))
                ],
                'annotations': [
                    {'image_id': 2, 'category_id': 1, 'iscrowd': 1, 'bbox': [1, 2, 3, 4]}
                ],
            },
        )
    )
    assert (
        detections.image_id(found, 'me.jpg') is None and detections.boxes_in(found, 'you.jpg') == []
    )


@pytest.mark.parametrize(
    'content',
    [
        '',
        '{',
        '[1]',
        '{"images": []}',
        '"text"',
        '3',
        [{'category_id': 1}],
        [detection(1, 1, box=(1, 2, 3))],
        [detection(1, 1, box=(1, 2, 'x', 4))],
        '[' * 100000,
        [detection(1, 1, box=(1, 2, 10**400, 4))],
        {'images': [{'id': [1], 'file_name': 'a.jpg'}], 'annotations': []},
        {
            'images': [{'id': 1, 'file_name': 'a.jpg'}, {'id': 1, 'file_name': 'b.jpg'}],
            'annotations': [],
        },
    ],
)
def test_what_is_no_detection_is_refused(tmp_path, content):
    with pytest.raises(InputError, match=r'^--boxes .*boxes\.json: ') as error:
        detections.read(written(tmp_path, content))
    assert '\n' not in str(error.value)


# --- which category is person -------------------------------------------------------------------------------------

BOX, OTHER = (1, 2, 30, 40), (5, 6, 7, 8)


def document(categories, *annotations):
    return {
        'images': [{'id': 1, 'file_name': 'me.jpg'}],
        'annotations': list(annotations),
        'categories': [{'id': id_, 'name': name} for id_, name in categories],
    }


@pytest.mark.parametrize(
    ('content', 'expected', 'said'),
    [
        ([detection(1, 1, 1)], [BOX], None),
        ([detection(1, 1, 0)], [BOX], 'no box is of category 1, .* 0 is taken for person'),
        ([detection(1, 1, '0')], [BOX], '0 is taken for person'),
        ([detection(1, 1, 'Person'), detection(1, 1, 'dog', OTHER)], [BOX], '1 of category dog'),
        (
            [detection(1, 1, 0), detection(1, 1, 15, OTHER)],
            [BOX],
            r'1 box of people; left out: 1 of category 15 ',
        ),
        (
            [detection(1, 1, 18), detection(1, 1, 18)],
            [],
            r"no box is of category 1, COCO's person; found: 18 \(2\)",
        ),
        ([{'image_id': 1, 'bbox': BOX}], [BOX], None),
        ([], [], None),
        (
            document([(0, 'person'), (1, 'car')], detection(1, 1, 0), detection(1, 1, 1, OTHER)),
            [BOX],
            '1 of category 1',
        ),
        (document([(3, 'Person ')], detection('1', 1, '3')), [BOX], None),
        (
            document([(2, 'worker')], detection(1, 1, 2)),
            [BOX],
            "the only category, 'worker', is taken for person",
        ),
        (
            document([(1, 'person'), (2, 'dog')], detection(1, 1, 2)),
            [],
            r'no box is of the category person, 1; ',
        ),
        (document([], detection(1, 1, 1), detection(1, 1, 2, OTHER)), [BOX], '1 of category 2'),
    ],
)
def test_which_category_is_person(tmp_path, content, expected, said):
    found = detections.read(written(tmp_path, content))
    assert (
        detections.boxes_in(found, 'me.jpg' if isinstance(content, dict) else '1.jpg') == expected
    )
    assert re.search(said, '; '.join(found.messages)) if said else not found.messages


def test_a_list_of_categories_0_and_1_is_refused(tmp_path):
    with pytest.raises(
        InputError,
        match=r'boxes\.json: category_id is 0 and 1: person is 1 as COCO counts, 0 where',
    ):
        detections.read(written(tmp_path, [detection(1, 1, 0), detection(1, 1, 1)]))


def test_a_document_without_people_is_refused(tmp_path):
    with pytest.raises(
        InputError, match=r"boxes\.json: no category is named person; found: 'cat', 'dog'"
    ):
        detections.read(written(tmp_path, document([(1, 'cat'), (2, 'dog')], detection(1, 1, 1))))


def test_what_is_left_out_is_counted(tmp_path):
    found = detections.read(
        written(
            tmp_path,
            [
                detection(1, 1),
                detection(1, 0.3),
                detection(1, 1, box=(1, 2, 0, 4)),
                detection(1, 1, box=(1, 2, 3, -4)),
                detection(1, 1, box=(float('nan'), 2, 3, 4)),
                {**detection(1, 1), 'iscrowd': 1},
            ],
        )
    )
    assert detections.boxes_in(found, '1.jpg') == [BOX]
    assert found.messages == [
        '1 box of people; left out: 3 without a box of positive size in pixels ([2], [3], [4]); '
        '1 of groups (iscrowd) ([5]); 1 with a score below 0.5 ([1])'
    ]


def test_fractions_of_the_picture_are_no_boxes(tmp_path):
    found = detections.read(written(tmp_path, [detection(1, 1, box=(0.25, 0.1, 0.5, 0.9))]))
    assert detections.boxes_in(found, '1.jpg') == []
    assert found.messages == [
        '0 boxes of people; left out: 1 without a box of positive size in pixels ([0])'
    ]


@pytest.mark.parametrize(
    ('file', 'id_'),
    [
        ('COCO_val2014_000000397133.jpg', 397133),
        ('COCO_train2014_000000000009.png', 9),
        ('me_12.jpg', None),
        ('COCO_val2014_x12.jpg', None),
        ('12', 12),
    ],
)
def test_numbers_in_names(tmp_path, file, id_):
    assert (
        detections.image_id(detections.read(written(tmp_path, [detection(397133, 1)])), file) == id_
    )


def test_a_documents_images_without_endings(tmp_path):
    content = document([(1, 'person')], detection(1, 1))
    content['images'][0]['file_name'] = 'set/me'
    found = detections.read(written(tmp_path, content))
    assert (
        detections.boxes_in(found, 'me.jpg') == [BOX]
        and detections.image_id(found, 'you.jpg') is None
    )


def test_poses_of_our_own_and_annotated_ones_have_boxes(tmp_path):
    """Of key points, a fifth larger: three of 40 x 50 pixels; and without any score."""
    pose = {
        'image_id': 1,
        'category_id': 1,
        'keypoints': [30, 40, 0.9, 50, 90, 0.2, 70, 60, 1, 0, 0, 0],
    }
    found = detections.boxes_in(detections.read(written(tmp_path, [pose])), '1.jpg')
    assert found == [pytest.approx((26, 35, 48, 60))]


# --- whose boxes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('image', 'file', 'name'),
    [
        ('person', 'person.jpg', 'person.jpg'),
        ('person', None, 'person.png'),
        ('person.jpg', None, 'person.jpg'),
        ('0042', None, '0042.jpg'),
        ('0042', None, '42.jpg'),
        (7, 'person.jpg', 'person.jpg'),
        (7, None, '007.jpg'),
        (7, 'C:\\pictures\\person.jpg', 'person.jpg'),
        (None, 'person.jpg', 'person.jpg'),
        (7.0, None, '7.jpg'),
        ('a.b', None, 'a.b.jpg'),
    ],
)
def test_a_picture_is_found_by_name_or_number(tmp_path, image, file, name):
    one = {**detection(image, 1), 'file_name': file}
    found = detections.read(written(tmp_path, [one, detection(99, 1, box=OTHER)]))
    assert (
        detections.boxes_in(found, name) == [BOX]
        and detections.boxes_in(found, 'you.jpg') == []
        and detections.boxes_in(found, '99.jpg') == [OTHER]
    )


def test_numbers_of_pictures(tmp_path):
    """The file's own where all are different numbers, none where any is a name."""
    of_numbers = detections.read(written(tmp_path, [detection(7, 1)]))
    assert detections.image_ids(of_numbers, ['007.jpg', '8.jpg']) == {'007.jpg': 7, '8.jpg': 8}
    assert detections.image_ids(of_numbers, ['7.jpg', '7.png']) == {}
    with pytest.raises(InputError, match=r'does not say which of its images me.jpg is; it has 7$'):
        detections.image_ids(of_numbers, ['7.jpg', 'me.jpg'])
    of_names = detections.read(written(tmp_path, [detection('me', 1)]))
    assert detections.image_ids(of_names, ['me.jpg', 'you.jpg']) == {}
    with pytest.raises(
        InputError, match=r'does not say which of its images you.jpg is; it has me$'
    ):
        detections.image_ids(of_names, ['you.jpg', 'them.jpg'])
    of_two = detections.read(written(tmp_path, [detection('me', 0.1), detection('you', 1)]))
    assert detections.known_images(of_two) == 'you' and detections.known_images(of_numbers) == '7'
    listed = detections.read(written(tmp_path, document([(1, 'person')])))
    assert detections.image_ids(listed, ['me.jpg']) == {'me.jpg': 1}
    with pytest.raises(
        InputError, match=r'does not say which of its images 1.jpg is; it has me.jpg$'
    ):
        detections.image_ids(listed, ['me.jpg', '1.jpg'])


def test_absent_and_unreadable_files(tmp_path):
    for path in (tmp_path / 'absent.json', tmp_path):
        with pytest.raises(InputError, match='--boxes'):
            detections.read(str(path))


def test_cocos_own_sample():
    folder = os.path.join(SHARED, 'coco_sample')
    if not os.path.isdir(folder):
        pytest.skip(f'the sample of COCO is not at {folder} (set POSE_SHARED)')
    found = detections.read(os.path.join(folder, 'test_coco_det_AP_H_56.json'))
    n = {
        name: len(detections.boxes_in(found, name))
        for name in os.listdir(folder)
        if name.endswith('.jpg')
    }
    assert n['000000000785.jpg'] == 1 and all(n.values())
    document = detections.read(os.path.join(folder, 'test_coco.json'))
    assert len(detections.boxes_in(document, '000000000785.jpg')) == 1
