"""COCO's form read into records: what may be absent, derived by hand here; every type that tools write."""

import codecs
import json
import math

import pytest

from jointpose.annotations import coco_json
from jointpose.utils.errors import InputError
from jointpose.utils.files import load_json

TRIANGLE = [10, 10, 50, 10, 10, 40]  # of 600 square pixels
NINE = [30, 40, 2, 50, 90, 1, 70, 60, 2]  # labelled from 30, 40 to 70, 90
AROUND_NINE = (26, 35, 48, 60)  # that, a fifth larger
NAN = math.nan


def written(folder, content):
    path = folder / 'coco.json'
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def one(folder, **fields):
    """The Annotation of an object with these fields."""
    path = written(
        folder,
        {'images': [{'id': 1, 'file_name': 'a.jpg'}], 'annotations': [{'image_id': 1, **fields}]},
    )
    return coco_json.read(path).annotations[0]


@pytest.mark.parametrize(
    ('fields', 'box', 'area', 'derived'),
    [
        ({'bbox': [1, 2, 30, 40], 'area': 500}, (1, 2, 30, 40), 500, ''),
        (
            {'bbox': [1, 2, 30, 40], 'area': 500, 'segmentation': [TRIANGLE], 'keypoints': NINE},
            (1, 2, 30, 40),
            500,
            '',
        ),
        ({'bbox': ['1', 2.0, '30', 40], 'area': '500'}, (1, 2, 30, 40), 500, ''),
        ({'bbox': [-5, -6, 30, 40], 'area': 0.5}, (-5, -6, 30, 40), 0.5, ''),
        ({'bbox': [1, 2, 30, 40]}, (1, 2, 30, 40), 1200, 'area'),
        *(
            ({'bbox': [1, 2, 30, 40], 'area': area}, (1, 2, 30, 40), 1200, 'area')
            for area in (0, -3, NAN, None, 'x', 1e999)
        ),
        ({'bbox': [1, 2, 60, 50], 'segmentation': [TRIANGLE]}, (1, 2, 60, 50), 600, 'area'),
        ({'bbox': [1, 2, 60, 50], 'segmentation': TRIANGLE}, (1, 2, 60, 50), 600, 'area'),
        (
            {'bbox': [1, 2, 60, 50], 'segmentation': [TRIANGLE, [0, 0, 0, 2, 2, 2, 2, 0]]},
            (1, 2, 60, 50),
            604,
            'area',
        ),
        (
            {'bbox': [1, 2, 3, 4], 'segmentation': {'counts': 'x', 'size': [2, 3]}},
            (1, 2, 3, 4),
            12,
            'area',
        ),
        ({'bbox': [1, 2, 3, 4], 'segmentation': [[1, 'x', 3, 4, 5, 6]]}, (1, 2, 3, 4), 12, 'area'),
        ({'segmentation': [TRIANGLE], 'area': 7}, (10, 10, 40, 30), 7, 'box'),
        ({'segmentation': [TRIANGLE], 'keypoints': NINE}, (10, 10, 40, 30), 600, 'box and area'),
        *(
            ({'bbox': bbox, 'area': 0, 'keypoints': NINE}, AROUND_NINE, 2880, 'box and area')
            for bbox in (
                [0, 0, 0, 0],
                [5, 5, -3, 4],
                [1, 2, NAN, 4],
                None,
                [],
                [None] * 4,
                [1, 2, 1e999, 4],
            )
        ),
        (
            {'keypoints': [*NINE, 0, 0, 0, 500, 500, 0, 0, 0, 2, -1, -1, 2]},
            AROUND_NINE,
            2880,
            'box and area',
        ),
        (
            {'bbox': [0.2, 0.1, 0.5, 0.9], 'area': 0.45, 'keypoints': NINE},
            AROUND_NINE,
            2880,
            'box and area',
        ),
        ({'bbox': [0.2, 0.1, 0.5, 0.9], 'area': 700, 'keypoints': NINE}, AROUND_NINE, 700, 'box'),
        (
            {'bbox': [0.2, 0.1, 0.5, 1.1], 'area': 0.45, 'keypoints': NINE},
            (0.2, 0.1, 0.5, 1.1),
            0.45,
            '',
        ),
        *(
            ({'keypoints': keypoints}, None, None, 'box and area')
            for keypoints in (None, [], [30, 40, 2], [30, 40, 2, 30, 90, 2], [0, 0, 0, 0, 0, 0])
        ),
    ],
)
def test_boxes_and_areas(tmp_path, fields, box, area, derived):
    found = one(tmp_path, **fields)
    assert found.box == (box and pytest.approx(box)) and found.area == (
        area and pytest.approx(area)
    )
    assert found.derived == derived


def test_what_may_be_absent(tmp_path):
    found = one(tmp_path, keypoints=None)
    assert (found.row, found.id, found.image, found.file, found.category, found.points) == (
        0,
        0,
        1,
        '',
        None,
        None,
    )
    assert (found.crowd, found.score) == (False, 1)
    assert one(tmp_path, keypoints=[]).points is None


@pytest.mark.parametrize(
    ('value', 'id_'),
    [(7, 7), ('7', 7), ('007', 7), (7.0, 7), ('a7', 'a7'), ('-1', -1), ('-a', '-a'), (0, 0)],
)
def test_ids(tmp_path, value, id_):
    file = coco_json.read(
        written(
            tmp_path,
            {
                'images': [{'id': value, 'file_name': 'a.jpg', 'width': '640', 'height': 480.0}],
                'categories': [{'id': value, 'name': 'person'}],
                'annotations': [{'id': 3, 'image_id': value, 'category_id': value}],
            },
        )
    )
    assert file.images == [(id_, 'a.jpg', 640, 480)] and file.categories == [
        (id_, 'person', (), ())
    ]
    assert (file.annotations[0].image, file.annotations[0].category, file.annotations[0].id) == (
        id_,
        id_,
        3,
    )


@pytest.mark.parametrize('value', [0, 1, '0', '1', True, False, None, 1.0, 'true', 'False'])
def test_crowds(tmp_path, value):
    assert one(tmp_path, iscrowd=value).crowd == (value in (1, '1', 'true'))


def test_records_that_are_there_twice(tmp_path):
    """Files that were put together: equal records are one; different ones of one id stay an error (below)."""
    image, category = {'id': 1, 'file_name': 'a.jpg'}, {'id': 1, 'name': 'person'}
    file = coco_json.read(
        written(
            tmp_path,
            {
                'images': [image, dict(image)],
                'categories': [category, {**category, 'skeleton': [[1, 2]]}],
                'annotations': [],
            },
        )
    )
    assert file.images == [(1, 'a.jpg', 0, 0)] and file.categories == [(1, 'person', (), ())]


@pytest.mark.parametrize(
    ('fields', 'file'),
    [
        ({'file_name': 'x\\a.jpg', 'coco_url': 'http://host/b.jpg'}, 'x\\a.jpg'),
        ({'path': '/data/a.jpg'}, '/data/a.jpg'),
        ({'coco_url': 'http://host/b.jpg', 'file_name': ''}, 'http://host/b.jpg'),
    ],
)
def test_names_of_pictures(tmp_path, fields, file):
    content = {'images': [{'id': 1, 'width': None, 'height': -1, **fields}], 'annotations': []}
    assert coco_json.read(written(tmp_path, content)).images == [(1, file, 0, 0)]


@pytest.mark.parametrize(
    ('encoding', 'mark'),
    [
        ('utf-8', b''),
        ('utf-8', codecs.BOM_UTF8),
        ('utf-16-le', codecs.BOM_UTF16_LE),
        ('utf-16-be', codecs.BOM_UTF16_BE),
        ('utf-32-le', codecs.BOM_UTF32_LE),
    ],
)
def test_byte_order_marks(tmp_path, encoding, mark):
    (tmp_path / 'a.json').write_bytes(mark + '{"é": [1]}'.encode(encoding))
    assert load_json(str(tmp_path / 'a.json')) == {'é': [1]}


@pytest.mark.parametrize(
    'content',
    [b'', b'\xff', b'{"a": ', b'\xef\xbb\xbf', '{"é": 1}'.encode('latin-1'), b'[' * 100000],
)
def test_what_is_no_json(tmp_path, content):
    (tmp_path / 'a.json').write_bytes(content)
    with pytest.raises(InputError, match=r'a\.json: not a readable \.json file: ') as error:
        load_json(str(tmp_path / 'a.json'))
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (3, 'neither'),
        ('"x"', 'neither'),
        ({'images': []}, 'neither'),
        ({'annotations': {}}, 'neither'),
        ([1], r'annotations\[0\]: 1 is not an object'),
        ({'annotations': [], 'images': 3}, '`images` is no list'),
        *(
            ([{'image_id': id_}], r'annotations\[0\]: id .* is neither a whole number nor text')
            for id_ in ([1], 1.5, True, '', float('nan'))
        ),
        ([{'image_id': None}], r'annotations\[0\]: no `image_id`'),
        ([{'id': 1}], r'annotations\[0\]: no `image_id`'),
        ([{'image_id': 1, 'bbox': [1, 2, 3]}], 'bbox'),
        (
            [{'image_id': 1, 'bbox': [1, 2, 3, 'x']}],
            r"annotations\[0\]: bbox \[1, 2, 3, 'x'\] is not",
        ),
        *(
            ([{'image_id': 1, 'keypoints': keypoints}], r'annotations\[0\]: `keypoints` is not')
            for keypoints in ([1, 2], 'abc', [[1, 2, 3], [1]], {'a': 1})
        ),
        ({'images': [{'id': 1}], 'annotations': []}, r'images\[0\]: no `file_name`'),
        ({'images': [{'file_name': 'a'}], 'annotations': []}, r'images\[0\]: id None'),
        (
            {
                'images': [{'id': 1, 'file_name': 'a'}, {'id': '1', 'file_name': 'b'}],
                'annotations': [],
            },
            'two pictures',
        ),
    ],
)
def test_faults_are_named(tmp_path, content, words):
    with pytest.raises(InputError, match=words) as error:
        coco_json.read(written(tmp_path, content))
    assert str(error.value).startswith(f'{tmp_path}/coco.json: ') and '\n' not in str(error.value)


def test_remarks_count_and_name():
    remarks = coco_json.Remarks()
    for name in 'abcd':
        remarks.add('of no size', name)
    remarks.add('small', 'e')
    assert str(remarks) == '4 of no size (a, b, c, ...); 1 small (e)'
