"""People of one's own, labelled as COCO writes key points, cut out as FLIC has its people (data.py --coco).

Whoever has both shoulders and both hips labelled, hidden ones too, is cut out in a frame of FLIC's in which their size
is SIZE pixels, what FLIC's training people have in the middle; the pretrained network knows people of that size, and
crowd.py shows people in it when their joints are to be found.  Of elbows, wrists and nose those without a label count
in no loss, prior or rate.  The rest is as in FLIC: left and right of people seen from behind (shoulders and hips both
crossed) are exchanged, the torso is the mean of shoulders and hips.  FLIC's torsobox is a detector's; here it is drawn
around the torso, as large as FLIC's is in the middle.

Key points are found by the names in the file's categories: left_shoulder, or lsho; case, spaces and hyphens do not
matter, nor do further key points.  Of one file alone every tenth picture with somebody on it is a test one, of two the
second is.  Any picture that --predict reads will do; labels are taken to be of the picture as it is shown, turned as
its EXIF orientation says.
"""
import collections
import functools
import os

import cv2
import numpy as np

from datasets import annotations, flic
from engine.augmentation import transform
from engine.files import InputError
from engine.images import read_picture
from engine.joints import standard_name

SIZE = 159.0            # pixels of the frame: mean of ||lhip - rsho|| and ||rhip - lsho||, median of FLIC's people
SMALLEST = 20.0         # pixels of the picture: of who is smaller, little is to be seen
BEYOND = 0.1            # of a picture's side: no label may lie further outside
TORSOBOX = np.array([0.54, 0.81])               # width and height in sizes, medians of FLIC's people
FRAME = flic.HEIGHT, flic.WIDTH

# One labelled person.  path: of the picture; size: (width, height) of it as annotated; joints_xy [9, 2] pixels of it,
# not a number where there is no label; name: of their frame; row: place among the file's annotations.
Labelled = collections.namedtuple('Labelled', 'path size joints_xy name row')


def read(metas, folders):
    """(flic.Annotations, in pixels of the frames; [function that returns the frame], one a person); says on stdout who
    was left out."""
    left_out = collections.Counter()
    parts = [read_json(path, folder, left_out) for path, folder in zip(metas, folders)]
    people = [person for part in parts for person in part]
    if left_out:
        print(f'{" ".join(metas)}: left out: ' + ', '.join(f'{n} {why}' for why, n in left_out.most_common()))
    if not people:
        raise InputError(f'{metas[0]}: nobody has both shoulders and both hips labelled')
    if len(parts) == 2:
        test = np.arange(len(people)) >= len(parts[0])
    else:
        test = np.unique([person.path for person in people], return_inverse=True)[1] % 10 == 1
    windows = [window(person.size, SIZE / size_of(person.joints_xy), flic.add_torso(person.joints_xy)[-1])
               for person in people]
    joints_xy = np.stack([transform(matrix, person.joints_xy) for (_, matrix), person in zip(windows, people)])
    frames = [functools.partial(frame, person.path, person.size, spans) for (spans, _), person in zip(windows, people)]
    return as_flic([person.name for person in people], joints_xy, np.where(test, 'test', 'train'),
                   [person.row for person in people]), frames


def as_flic(names, joints_xy, split, rows):
    """flic.Annotations of joints [n, 9, 2], each side the person's own."""
    joints_xy, backward = flic.observer_sides(joints_xy)
    joints_xy = flic.add_torso(joints_xy)
    half = SIZE * TORSOBOX / 2
    torsobox = np.concatenate([joints_xy[:, -1] - half, joints_xy[:, -1] + half], axis=1).astype(np.float32)
    return flic.Annotations(np.array(names), joints_xy, torsobox, backward, split, np.array(rows))


def size_of(joints_xy):
    """Of somebody [9, 2]: a person who turns away or bends down loses less of it than of shoulders or torso."""
    lsho, rsho, lhip, rhip = (joints_xy[flic.JOINTS.index(joint)] for joint in ('lsho', 'rsho', 'lhip', 'rhip'))
    return (np.linalg.norm(lhip - rsho) + np.linalg.norm(rhip - lsho)) / 2


def frame(path, size, spans):
    """uint8 [480, 720, 3]: the part of the picture that shows somebody."""
    return closeup(read_picture(path, size), spans)


def window(size, zoom, at_xy):
    """What `closeup` cuts out of a picture of `size` (width, height): for x and y each (first pixel, end) there and
    (first pixel, end) in the frame; and the 2x3 matrix from picture to frame.

    The frame is around at_xy, but within the picture, where that is large enough; else in its middle.
    """
    spans, matrix = [], np.zeros((2, 3))
    for axis, (side, at, length) in enumerate(zip(size, at_xy, FRAME[::-1])):
        extent = length / zoom
        begin = (side - extent) / 2 if extent >= side else np.clip(at - extent / 2, 0, side - extent)
        there = int(max(np.floor(begin), 0)), int(min(np.ceil(begin + extent), side))
        first, end = (int(np.clip(round((edge - begin) * zoom), 0, length)) for edge in there)
        here = min(first, length - 1), max(end, first + 1)
        scale = (here[1] - here[0]) / (there[1] - there[0])                     # but for rounding, `zoom`
        matrix[axis, axis], matrix[axis, 2] = scale, here[0] - there[0] * scale
        spans.append((there, here))
    return spans, matrix


def closeup(image, spans):
    """The part of a picture, RGB uint8 [h, w, 3], that `window` says, in a black frame: uint8 [480, 720, 3]."""
    ((left, right), (x, x_end)), ((top, bottom), (y, y_end)) = spans
    shrinks, black = x_end - x < right - left, np.zeros((*FRAME, 3), np.uint8)
    black[y:y_end, x:x_end] = cv2.resize(image[top:bottom, left:right], (x_end - x, y_end - y),
                                         interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return black


# --- the file -----------------------------------------------------------------------------------------------------

@annotations.understood
def read_json(path, folder, left_out):
    """[Labelled, ...] of one of COCO's files; counts in left_out why others are not taken."""
    content = annotations.load_json(path)
    images = {image['id']: image for image in content['images']}
    if len(images) < len(content['images']):
        raise InputError('two pictures have one id')
    columns = {category['id']: columns_of(category) for category in content['categories'] if 'keypoints' in category}
    if not any(columns.values()):
        raise InputError(f'no category whose key points are {", ".join(map(standard_name, flic.JOINTS))}, or more'
                         + ''.join(f'; {category["name"]!r} has {", ".join(category["keypoints"])}'
                                   for category in content['categories'] if 'keypoints' in category))
    people = []
    for row, one in enumerate(content['annotations']):
        if one.get('iscrowd') or not columns.get(one['category_id']):
            continue
        points = np.array(one.get('keypoints') or (), np.float64).reshape(-1, 3)
        if not len(points):
            left_out['without key points'] += 1
            continue
        person = labelled(points[columns[one['category_id']]], images[one['image_id']], folder, row)
        if isinstance(person, str):
            left_out[person] += 1
        else:
            people.append(person)
    return people


def columns_of(category):
    """Where the nine joints are among a category's key points; None if one is not."""
    names = [normalised(name) for name in category['keypoints']]
    found = [next((names.index(name) for name in (joint, standard_name(joint)) if name in names), None)
             for joint in flic.JOINTS]
    return None if None in found else found


def normalised(name):
    return str(name).strip().lower().replace(' ', '_').replace('-', '_')


def labelled(points, image, folder, row):
    """A Labelled of the nine points [9, 3] of x, y and visibility; or why they are not taken, in words."""
    there = points[:, 2] != 0
    if not there[list(flic.TORSO_CORNERS)].all():
        return 'without label of a shoulder or hip'
    file, size = image['file_name'], (int(image['width']), int(image['height']))
    annotations.check_names([file])
    if not (np.abs(points[there, :2] / size - 0.5) <= 0.5 + BEYOND).all():              # NaN compares false
        raise InputError('annotations[{}]: a joint is far outside of {}, annotated as {}x{}'.format(row, file, *size))
    if size_of(points[:, :2]) < SMALLEST:
        return f'of less than {SMALLEST:g} pixels from shoulder to hip'
    joints_xy = np.where(there[:, None], points[:, :2], np.nan)
    return Labelled(os.path.join(folder, file), size, joints_xy, f'{os.path.basename(file)[-60:]}#{row}', row)
