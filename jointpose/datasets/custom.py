"""People of one's own, labelled as COCO writes key points, cut out as FLIC has its people (data.py --coco).

Whoever has both shoulders and both hips labelled, hidden ones too, is cut out in a frame of FLIC's in which their size
is SIZE pixels, what FLIC's training people have in the middle; the pretrained network knows people of that size, and
systems/tompson/people_search.py shows people in it when their joints are to be found.  Of elbows, wrists and nose those without a label count
in no loss, prior or rate.  The rest is as in FLIC: left and right of people seen from behind (shoulders and hips both
crossed) are exchanged, the torso is the mean of shoulders and hips.  FLIC's torsobox is a detector's; here it is drawn
around the torso, as large as FLIC's is in the middle, so that main.py's --torso_from makes no difference.

Key points are found by the names in the file's categories (coco_people.py); further key points do not matter.  Of one
file alone every tenth picture with somebody on it is a test one, of two the second is.  Any picture that --predict
reads will do; labels are taken to be of the picture as it is shown, turned as its EXIF orientation says.
"""

import collections
import functools
import os

import cv2
import numpy as np

from jointpose.annotations import coco_json, coco_people, picture_names
from jointpose.datasets import flic, records
from jointpose.media.images import read_image
from jointpose.utils.errors import InputError
from jointpose.vision.affine import transform_points

SIZE = 159.0  # pixels of the frame: mean of ||lhip - rsho|| and ||rhip - lsho||, median of FLIC's people
SMALLEST = 20.0  # pixels of the picture: of who is smaller, little is to be seen
TORSOBOX = np.array([0.54, 0.81])  # width and height in sizes, medians of FLIC's people
FRAME = flic.HEIGHT, flic.WIDTH

# One labelled person.  path: of the picture; size: (width, height) of it as annotated; joints_xy [9, 2] pixels of it,
# not a number where there is no label; name: of their frame; row: place among the file's annotations.
Labelled = collections.namedtuple('Labelled', 'path size joints_xy name row')


def read(metas, folders):
    """(flic.Annotations, in pixels of the frames; [function that returns the frame], one a person); says on stdout who
    was left out."""
    parts = [read_json(path, folder) for path, folder in zip(metas, folders)]
    people = [person for part in parts for person in part]
    if not people:
        raise InputError(f'{metas[0]}: nobody has both shoulders and both hips labelled')
    if len(parts) == 2:
        test = np.arange(len(people)) >= len(parts[0])
    else:
        test = np.unique([person.path for person in people], return_inverse=True)[1] % 10 == 1
    windows = [
        window(person.size, SIZE / size_of(person.joints_xy), flic.add_torso(person.joints_xy)[-1])
        for person in people
    ]
    joints_xy = np.stack(
        [transform_points(matrix, person.joints_xy) for (_, matrix), person in zip(windows, people)]
    )
    frames = [
        functools.partial(frame, person.path, person.size, spans)
        for (spans, _), person in zip(windows, people)
    ]
    return as_flic(
        [person.name for person in people],
        joints_xy,
        np.where(test, 'test', 'train'),
        [person.row for person in people],
        [person.path for person in people],
    ), frames


def as_flic(names, joints_xy, split, rows, pictures):
    """flic.Annotations of joints [n, 9, 2], each side the person's own; pictures: their paths."""
    joints_xy, backward = flic.to_observer_sides(joints_xy)
    joints_xy = flic.add_torso(joints_xy)
    half = SIZE * TORSOBOX / 2
    torsobox = np.concatenate([joints_xy[:, -1] - half, joints_xy[:, -1] + half], axis=1).astype(
        np.float32
    )
    return flic.Annotations(
        np.array(names), joints_xy, torsobox, backward, split, np.array(rows), np.array(pictures)
    )


def size_of(joints_xy):
    """Of somebody [9, 2]: a person who turns away or bends down loses less of it than of shoulders or torso."""
    lsho, rsho, lhip, rhip = (
        joints_xy[flic.JOINTS.index(joint)] for joint in ('lsho', 'rsho', 'lhip', 'rhip')
    )
    return (np.linalg.norm(lhip - rsho) + np.linalg.norm(rhip - lsho)) / 2


def frame(path, size, spans):
    """uint8 [480, 720, 3]: the part of the picture that shows somebody."""
    return closeup(read_image(path, size), spans)


def window(size, zoom, at_xy):
    """What `closeup` cuts out of a picture of `size` (width, height): for x and y each (first pixel, end) there and
    (first pixel, end) in the frame; and the 2x3 matrix from picture to frame.

    The frame is around at_xy, but within the picture, where that is large enough; else in its middle.
    """
    spans, matrix = [], np.zeros((2, 3))
    for axis, (side, at, length) in enumerate(zip(size, at_xy, FRAME[::-1])):
        extent = length / zoom
        begin = (
            (side - extent) / 2 if extent >= side else np.clip(at - extent / 2, 0, side - extent)
        )
        there = int(max(np.floor(begin), 0)), int(min(np.ceil(begin + extent), side))
        first, end = (int(np.clip(round((edge - begin) * zoom), 0, length)) for edge in there)
        here = min(first, length - 1), max(end, first + 1)
        scale = (here[1] - here[0]) / (there[1] - there[0])  # but for rounding, `zoom`
        matrix[axis, axis], matrix[axis, 2] = scale, here[0] - there[0] * scale
        spans.append((there, here))
    return spans, matrix


def closeup(image, spans):
    """The part of a picture, RGB uint8 [h, w, 3], that `window` says, in a black frame: uint8 [480, 720, 3]."""
    ((left, right), (x, x_end)), ((top, bottom), (y, y_end)) = spans
    shrinks, black = x_end - x < right - left, np.zeros((*FRAME, 3), np.uint8)
    black[y:y_end, x:x_end] = cv2.resize(
        image[top:bottom, left:right],
        (x_end - x, y_end - y),
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
    )
    return black


# --- the file -----------------------------------------------------------------------------------------------------


@records.reports_path
def read_json(path, folder):
    """[Labelled, ...] of a file in COCO's form; says on stdout who is left out."""
    file = coco_json.read(path)
    reading = coco_people.read(file, flic.JOINTS)
    names, renamed = picture_names.resolve([image.file for image in file.images], folder)
    records.check_names(names)
    size_of_picture = functools.cache(
        lambda i: annotated_size(file.images[i], os.path.join(folder, names[i]))
    )
    people = []
    for person in reading.people:
        why = reason_against(person)
        if why:
            reading.left_out.add(why, person.label)
        else:
            people.append(
                labelled(person, folder, names[person.picture], size_of_picture(person.picture))
            )
    coco_people.say(path, reading, renamed)
    return people


def annotated_size(image, path):
    """(width, height) of a picture as the file has it, else that of the picture itself."""
    if image.width and image.height:
        return image.width, image.height
    return read_image(path).shape[1::-1]


def reason_against(person):
    """Why a coco_people.Person of the nine joints is not taken, in words; None if they are."""
    there = person.points[:, 2] > 0
    if person.annotation.crowd:
        return 'as a group (iscrowd)'
    if not there.any():
        return 'without key points'
    if not there[list(flic.TORSO_CORNERS)].all():
        return 'without label of a shoulder or hip'
    if size_of(person.points[:, :2]) < SMALLEST:
        return f'of less than {SMALLEST:g} pixels from shoulder to hip'
    return None


def labelled(person, folder, file, size):
    """The Labelled of a coco_people.Person in a picture of that size."""
    there, row = person.points[:, 2] > 0, person.annotation.row
    if not (np.abs(person.points[there, :2] / size - 0.5) <= 0.5 + records.BEYOND).all():
        raise InputError(
            'annotations[{}]: a joint is far outside of {}, annotated as {}x{}'.format(
                row, file, *size
            )
        )
    joints_xy = np.where(there[:, None], person.points[:, :2], np.nan)
    return Labelled(
        os.path.join(folder, file), size, joints_xy, f'{os.path.basename(file)[-60:]}#{row}', row
    )
