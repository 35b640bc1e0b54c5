"""COCO's person key points (Lin et al. 2014): several people a picture, seventeen joints.

The official person_keypoints_train2017.json and person_keypoints_val2017.json are read, and what
label tools write in that form (coco_people.py).  Of one file alone every tenth picture is a test
one.  People without joints and groups (crowd) are kept: the evaluation needs them.  Pictures
without people are kept, too; where a sample is a person, they have no sample.

`unit` is the root of the area of the person's segment, by which OKS is normalised.
"""

import numpy as np

from jointpose.annotations import coco_json, coco_people, picture_names
from jointpose.datasets import records
from jointpose.datasets.base import PictureDataSet
from jointpose.metrics.average_precision import precision_table
from jointpose.vision import joints
from jointpose.vision.crops import UNLABELLED

JOINTS = joints.COCO_JOINTS
LIMBS = (
    ('lank', 'lkne'),
    ('lkne', 'lhip'),
    ('rank', 'rkne'),
    ('rkne', 'rhip'),
    ('lhip', 'rhip'),
    ('lsho', 'lhip'),
    ('rsho', 'rhip'),
    ('lsho', 'rsho'),
    ('lsho', 'lelb'),
    ('rsho', 'relb'),
    ('lelb', 'lwri'),
    ('relb', 'rwri'),
    ('leye', 'reye'),
    ('nose', 'leye'),
    ('nose', 'reye'),
    ('leye', 'lear'),
    ('reye', 'rear'),
    ('lear', 'lsho'),
    ('rear', 'rsho'),
)


class Coco(PictureDataSet):
    """COCO's person key points."""

    name = 'coco'
    joints = JOINTS
    limbs = LIMBS
    normaliser = None
    anchor_sources = ('box', 'joints', 'none')
    rate_name = 'PCK@0.1'
    hit_radius = 0.1
    multi_person = True

    def read(self, metas, folders):
        """See PictureDataSet."""
        root, inner = records.common_root(folders)
        parts = [read_json(*part) for part in zip(metas, folders, inner)]
        return root, records.as_splits(parts)

    def label_warnings(self, part):
        return records.label_warnings(part)

    def result_tables(self, pictures, split, results, evaluated=None):
        return [precision_table(JOINTS, pictures, split, results, evaluated)]

    def write_synthetic(self, folder, n, seed):
        """Writes train.json and val.json: COCO's annotations of person key points."""
        from jointpose.datasets.synthetic import whole_bodies

        images = whole_bodies.make_image_folder(folder)
        pictures = whole_bodies.draw_pictures(images, n, seed, '{:012d}.jpg', people=4)
        parts = drawn_documents(pictures, self.category, JOINTS, LIMBS)
        return whole_bodies.write_json_files(folder, parts), [images, images]


def drawn_documents(pictures, category, joints, limbs):
    """Returns {'train.json', 'val.json': COCO's form} of DrawnPictures; one in five is for testing."""
    parts = {name: empty_document(category, joints, limbs) for name in ('train.json', 'val.json')}
    for drawn in pictures:
        add_drawn(parts['val.json' if drawn.index % 5 == 1 else 'train.json'], drawn, joints)
    return parts


def empty_document(category, joints, limbs):
    """Returns COCO's form of annotations without pictures."""
    category = {
        'id': 1,
        'name': category,
        'keypoints': list(joints),
        'skeleton': [[joints.index(start) + 1, joints.index(end) + 1] for start, end in limbs],
    }
    return {'images': [], 'annotations': [], 'categories': [category]}


def add_drawn(document, drawn, joints):
    """Adds a whole_bodies.DrawnPicture to a document in COCO's form."""
    image_id = drawn.index + 1
    height, width = drawn.size
    document['images'].append(
        {'id': image_id, 'file_name': drawn.file, 'height': height, 'width': width}
    )
    for body in drawn.bodies:
        if body.mask.any():  # else people nearer cover all of this one
            id_ = 1000 * image_id + len(document['annotations'])
            document['annotations'].append(drawn_annotation(body, joints, id_, image_id))


def drawn_annotation(body, joints, id_, image_id):
    """Returns the annotation of a whole_bodies.Body."""
    from jointpose.datasets.synthetic import whole_bodies

    xy, visible = whole_bodies.joints_of(body, joints)
    rows = np.flatnonzero(body.mask.any(axis=1))
    columns = np.flatnonzero(body.mask.any(axis=0))
    left, top = int(columns[0]), int(rows[0])
    points = np.column_stack([xy, visible]).ravel()
    return {
        'id': id_,
        'image_id': image_id,
        'category_id': 1,
        'iscrowd': 0,
        'bbox': [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top],
        'area': float(body.mask.sum()),
        'num_keypoints': int((visible > 0).sum()),
        'keypoints': [round(float(value), 2) for value in points],
    }


@records.reports_path
def read_json(path: str, folder: str, prefix: str) -> records.Annotated:
    """The people of a file in COCO's form; prints who is left out.

    Args:
        folder: where the pictures are.
        prefix: the folder, from the root of all pictures on.
    """
    file = coco_json.read(path)
    return annotated_of(file, coco_people.read(file, JOINTS), len(JOINTS), folder, prefix)


def annotated_of(
    file: coco_json.CocoFile, reading: coco_people.Reading, k: int, folder: str, prefix: str
) -> records.Annotated:
    """The people with a box of a file; prints what the reading left out.

    k: number of joints.  Other arguments as those of `read_json`.
    """
    names, renamed = picture_names.resolve([image.file for image in file.images], folder)
    people = with_boxes(reading)
    coco_people.say(file.path, reading, renamed)

    points = np.array([person.points for person in people], np.float32)
    points = points.reshape(-1, k, 3)  # also of nobody
    visible = points[..., 2]
    box = np.array([person.annotation.box for person in people], np.float32).reshape(-1, 4)
    corner = box[:, :2]
    size = box[:, 2:]
    area = np.array([person.annotation.area for person in people], np.float32)
    crowd = np.array([person.annotation.crowd for person in people], bool)
    return records.make_annotated(
        [prefix + name for name in names],
        [person.picture for person in people],
        points[..., :2],
        np.where(crowd[:, None], UNLABELLED, visible),
        box=np.concatenate([corner, corner + size], axis=1),
        area=area,
        unit=np.sqrt(area),
        crowd=crowd,
        id=[person.annotation.id for person in people],
        ids=ids_of(file),
        heights=[image.height for image in file.images],
        widths=[image.width for image in file.images],
    )


def with_boxes(reading: coco_people.Reading) -> list[coco_people.Person]:
    """The people with a box, which crops and measures need.

    Adds remarks on those without one, and on those whose box is derived.
    """
    people = []
    for person in reading.people:
        if person.annotation.box is None:
            reading.left_out.add(
                'without a box, or key points from which it could be derived', person.label
            )
            continue
        derived = person.annotation.derived
        if derived:
            reading.remarks.add(
                f'with {derived} derived, as the file has none in pixels', person.label
            )
        people.append(person)
    return people


def ids_of(file: coco_json.CocoFile) -> list[int]:
    """The pictures' ids, by which files of results name them.

    They are counted from 1 if one of them is no whole number; that is printed.
    """
    ids = [image.id for image in file.images]
    if all(isinstance(id_, int) and abs(id_) < 1 << 62 for id_ in ids):
        return ids
    print(
        f'{file.path}: ids of pictures are not all whole numbers: they are counted from 1, in the '
        "file's order"
    )
    return list(range(1, len(ids) + 1))
