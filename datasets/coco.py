"""COCO's person key points (Lin et al. 2014): several people a picture, seventeen joints.

Read is the official .json, person_keypoints_train2017.json and person_keypoints_val2017.json; of one file alone every
tenth picture is a test one.  People without joints and groups (crowd) are kept: the evaluation wants them.  Pictures
without people are kept, too; where a sample is a person, nobody sees them.

unit is the root of the area of the person's segment, by which OKS is normalised.
"""
import numpy as np

from datasets import annotations, arrays
from engine.files import InputError

JOINTS = ('nose', 'leye', 'reye', 'lear', 'rear', 'lsho', 'rsho', 'lelb', 'relb', 'lwri', 'rwri', 'lhip', 'rhip',
          'lkne', 'rkne', 'lank', 'rank')
POINTS = JOINTS
FLIP = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)
LIMBS = ((15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9), (8, 10),
         (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6))
LAYOUT = arrays.annotations(len(JOINTS))
SIDES = 'left is the person\'s own left'
MEASURE, RADIUS, UNCOUNTED = 'PCK@0.1', 0.1, ()
people, check_joints = annotations.people, annotations.check_joints


def read(metas, folders):
    """See annotations.py."""
    root, inner = annotations.common_root(folders)
    parts = [read_json(path, folder) for path, folder in zip(metas, inner)]
    return root, dict(zip(arrays.SPLITS, parts)) if len(parts) == 2 else annotations.tenth(annotations.joined(parts))


@annotations.understood
def read_json(path, folder):
    """One of COCO's files -> Annotated."""
    content = annotations.load_json(path)
    images = content['images']
    place = {image['id']: i for i, image in enumerate(images)}
    if len(place) < len(images):
        raise InputError('two pictures have one id')
    people = [person for person in content['annotations'] if person['category_id'] == 1 and 'keypoints' in person]
    points = np.array([person['keypoints'] for person in people], np.float32).reshape(-1, len(JOINTS), 3)
    visible = points[..., 2]
    if not np.isin(visible, (0, 1, 2)).all():
        raise InputError('a joint\'s visibility is none of 0, 1, 2')
    box = np.array([person['bbox'] for person in people], np.float32).reshape(-1, 4)
    area = np.array([person['area'] for person in people], np.float32)
    crowd = np.array([person['iscrowd'] for person in people], bool)
    return annotations.annotated(
        [folder + image['file_name'] for image in images], [place[person['image_id']] for person in people],
        points[..., :2], np.where(crowd[:, None], 0, visible), box=np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]],
                                                                                  axis=1),
        area=area, unit=np.sqrt(area), crowd=crowd, id=[person['id'] for person in people],
        ids=[image['id'] for image in images], heights=[image['height'] for image in images],
        widths=[image['width'] for image in images])
