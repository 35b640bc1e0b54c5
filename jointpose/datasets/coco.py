"""COCO's person key points (Lin et al. 2014): several people a picture, seventeen joints.

Read are the official person_keypoints_train2017.json and person_keypoints_val2017.json, and what label tools write in
that form (coco_people.py); of one file alone every tenth picture is a test one.  People without joints and groups
(crowd) are kept: the evaluation wants them.  Pictures without people are kept, too; where a sample is a person, nobody
sees them.

unit is the root of the area of the person's segment, by which OKS is normalised.
"""

import numpy as np

from jointpose.annotations import coco_json, coco_people, picture_names
from jointpose.datasets import arrays, records
from jointpose.vision import joints

POINTS = JOINTS = joints.COCO_JOINTS
FLIP = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)
LIMBS = (
    (15, 13),
    (13, 11),
    (16, 14),
    (14, 12),
    (11, 12),
    (5, 11),
    (6, 12),
    (5, 6),
    (5, 7),
    (6, 8),
    (7, 9),
    (8, 10),
    (1, 2),
    (0, 1),
    (0, 2),
    (1, 3),
    (2, 4),
    (3, 5),
    (4, 6),
)
LAYOUT = arrays.picture_layout(len(JOINTS))
SIDES = "left is the person's own left"
MEASURE, RADIUS, UNCOUNTED = 'PCK@0.1', 0.1, ()
people, check_joints = records.people, records.check_joints


def read(metas, folders):
    """See annotations.py."""
    root, inner = records.common_root(folders)
    parts = [read_json(path, folder, prefix) for path, folder, prefix in zip(metas, folders, inner)]
    return root, dict(zip(arrays.SPLITS, parts)) if len(parts) == 2 else records.split_by_tenths(
        records.concatenated(parts)
    )


@records.reports_path
def read_json(path, folder, prefix):
    """A file in COCO's form -> Annotated; says on stdout who is left out.  prefix: the folder, from the root."""
    file = coco_json.read(path)
    reading = coco_people.read(file, JOINTS)
    names, renamed = picture_names.resolve([image.file for image in file.images], folder)
    people = with_boxes(reading)
    coco_people.say(path, reading, renamed)
    points = np.array([person.points for person in people], np.float32).reshape(-1, len(JOINTS), 3)
    box = np.array([person.annotation.box for person in people], np.float32).reshape(-1, 4)
    area = np.array([person.annotation.area for person in people], np.float32)
    crowd = np.array([person.annotation.crowd for person in people], bool)
    return records.make_annotated(
        [prefix + name for name in names],
        [person.picture for person in people],
        points[..., :2],
        np.where(crowd[:, None], 0, points[..., 2]),
        box=np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], axis=1),
        area=area,
        unit=np.sqrt(area),
        crowd=crowd,
        id=[person.annotation.id for person in people],
        ids=ids_of(path, file),
        heights=[image.height for image in file.images],
        widths=[image.width for image in file.images],
    )


def with_boxes(reading):
    """Those people of a Reading who have a box, which crops and measures need; remarks whose is derived."""
    for person in reading.people:
        if person.annotation.box is None:
            reading.left_out.add(
                'without a box, or key points from which it could be derived', person.label
            )
        elif person.annotation.derived:
            reading.remarks.add(
                f'people with {person.annotation.derived} derived, as the file has none in pixels',
                person.label,
            )
    return [person for person in reading.people if person.annotation.box]


def ids_of(path, file):
    """The pictures' ids; counted from 1 where any is no whole number, which results files then go by."""
    ids = [image.id for image in file.images]
    if all(isinstance(id_, int) and abs(id_) < 1 << 62 for id_ in ids):
        return ids
    print(
        f"{path}: ids of pictures are not all whole numbers: they are counted from 1, in the file's order"
    )
    return list(range(1, len(ids) + 1))
