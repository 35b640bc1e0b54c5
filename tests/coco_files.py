"""One drawn set of two people in two pictures, as COCO and as label tools write it; the tests' oracle is JOINTS_XY."""

import copy

import cv2
import numpy as np

NAMES = [
    'nose',
    'left_eye',
    'right_eye',
    'left_ear',
    'right_ear',
    'left_shoulder',
    'right_shoulder',
    'left_elbow',
    'right_elbow',
    'left_wrist',
    'right_wrist',
    'left_hip',
    'right_hip',
    'left_knee',
    'right_knee',
    'left_ankle',
    'right_ankle',
]
SIZE = 160, 240  # width, height
FRONT = np.array(
    [
        (80, 30),
        (84, 26),
        (76, 26),
        (88, 30),
        (72, 30),
        (100, 60),
        (60, 60),
        (110, 90),
        (50, 90),
        (112, 120),
        (48, 120),
        (92, 130),
        (68, 130),
        (93, 170),
        (67, 170),
        (94, 210),
        (66, 210),
    ],
    float,
)
JOINTS_XY = np.stack([FRONT, FRONT + (3, 5)])  # in the order of NAMES
VISIBLE = np.array([17 * [2], 16 * [2] + [1]])


def official():
    """As COCO's own files: category 1, every field."""
    annotations = []
    for i, (xy, visible) in enumerate(zip(JOINTS_XY, VISIBLE)):
        first, size = xy.min(axis=0) - 5, np.ptp(xy, axis=0) + 10
        corners = [first, first + (size[0], 0), first + size, first + (0, size[1])]
        annotations.append(
            {
                'id': 100 + i,
                'image_id': 7 + i,
                'category_id': 1,
                'iscrowd': 0,
                'num_keypoints': 17,
                'keypoints': np.column_stack([xy, visible]).ravel().tolist(),
                'bbox': [*first.tolist(), *size.tolist()],
                'area': float(np.prod(size)),
                'segmentation': [np.concatenate(corners).tolist()],
            }
        )
    images = [
        {'id': 7 + i, 'file_name': f'{i}.png', 'width': SIZE[0], 'height': SIZE[1]}
        for i in range(2)
    ]
    return {
        'images': images,
        'annotations': annotations,
        'categories': [{'id': 1, 'name': 'person', 'keypoints': list(NAMES), 'skeleton': []}],
    }


def changed(*changes):
    """The official content after each of the changes, functions of it."""
    content = copy.deepcopy(official())
    for change in changes:
        change(content)
    return content


def each(kind, **values):
    """A change: of every object of a kind these fields, a function's of the object; None: without it."""

    def change(content):
        for one in content[kind]:
            for key, value in values.items():
                one[key] = value(one) if callable(value) else value
                if one[key] is None:
                    del one[key]

    return change


def reordered(names):
    """A change: the key points in the order of these names, each one of NAMES or, of a further point, not."""

    def change(content):
        content['categories'][0]['keypoints'] = list(names)
        for one in content['annotations']:
            points = dict(zip(NAMES, np.reshape(one['keypoints'], (17, 3)).tolist()))
            one['keypoints'] = [v for name in names for v in points.get(name, (1, 1, 2))]

    return change


def renamed(spell):
    """A change: of each key point's name."""

    def change(content):
        category = content['categories'][0]
        category['keypoints'] = [spell(name) for name in category['keypoints']]

    return change


def roboflow():
    """Categories from 0, of which the first is only the project's name."""

    def add_project(content):
        content['categories'][0].update(id=1, supercategory='poses')
        content['categories'].insert(0, {'id': 0, 'name': 'poses', 'supercategory': 'none'})

    return changed(add_project, each('annotations', segmentation=lambda one: []))


def cvat():
    """Key points in the order they were drawn; a person who was only boxed has none."""

    def box_alone(content):
        content['annotations'].append(
            {**content['annotations'][0], 'id': 102, 'keypoints': [], 'num_keypoints': 0}
        )

    return changed(reordered(sorted(NAMES)), box_alone)


def label_studio():
    """No area, no iscrowd, categories from 0, names of Windows."""
    return changed(
        each('annotations', area=None, iscrowd=None, category_id=lambda one: 0),
        each('categories', id=lambda one: 0, keypoints=lambda one: one['keypoints']),
        each(
            'images',
            file_name=lambda one: '..\\..\\label-studio\\media\\upload\\4\\' + one['file_name'],
        ),
    )


def coco_annotator():
    """No box was drawn; paths within its container; many further fields."""
    return changed(
        each(
            'annotations',
            bbox=lambda one: [0, 0, 0, 0],
            area=lambda one: 0,
            isbbox=False,
            segmentation=lambda one: [],
            width=160,
            height=240,
            color='#1c31e7',
            metadata={},
        ),
        each('images', path=lambda one: '/datasets/people/' + one['file_name'], dataset_id=2),
    )


def labelme():
    """Absolute paths, ids and sizes as text."""
    return changed(
        each(
            'images',
            file_name=lambda one: 'C:\\photos\\' + one['file_name'],
            width='160',
            height='240.0',
            id=lambda one: str(one['id']),
        ),
        each(
            'annotations',
            image_id=lambda one: str(one['image_id']),
            category_id='1',
            iscrowd='0',
            area=lambda one: str(one['area']),
        ),
        each('categories', id='1'),
    )


def x_anylabeling():
    """Names in another spelling, a further key point, sizes not said."""
    return changed(
        reordered([NAMES[0], 'neck', *NAMES[1:]]),
        renamed(lambda name: name.replace('_', ' ').title()),
        each('images', width=None, height=None),
    )


def plain_names():
    """As a script of one's own: short names, visibility as numbers with a point, no categories' ids in annotations."""
    short = {'shoulder': 'sho', 'elbow': 'elb', 'wrist': 'wri', 'knee': 'kne', 'ankle': 'ank'}

    def spell(name):
        side, _, part = name.partition('_')
        return f'{side[0]}{short.get(part, part)}' if part else name

    return changed(
        renamed(spell),
        each(
            'annotations',
            category_id=None,
            segmentation=None,
            keypoints=lambda one: [float(v) for v in one['keypoints']],
        ),
    )


TOOLS = {
    'official': official,
    'roboflow': roboflow,
    'cvat': cvat,
    'label_studio': label_studio,
    'coco_annotator': coco_annotator,
    'labelme': labelme,
    'x_anylabeling': x_anylabeling,
    'plain_names': plain_names,
}


def write_pictures(folder):
    """0.png and 1.png of SIZE."""
    for i in range(2):
        cv2.imwrite(str(folder / f'{i}.png'), np.full((SIZE[1], SIZE[0], 3), 90 + 60 * i, np.uint8))
