"""Custom people with key points in COCO's form, cropped to frames like FLIC's (data.py --coco).

People need labels of both shoulders and both hips, hidden or visible.  Each is cropped and scaled
to a frame of FLIC's size in which the person's size is SIZE pixels, the median of FLIC's training
people: the pretrained network knows people of this size, and systems/tompson/people_search.py crops
people to it.  Unlabelled elbows, wrists and noses count in no loss, prior or rate.  All else is as
in FLIC: left and right of people seen from behind (shoulders and hips both crossed) are swapped,
and the torso is the mean of shoulders and hips.  FLIC's torsobox is a detection; here it is a box
of the median size around the torso, so main.py's --torso_from makes no difference.

Key points are found by their names in the file's categories (annotations/coco_people.py); others
are ignored.  Of one file, every tenth picture with people is a test one; of two files, the second
is for testing.  Any picture that --predict reads can be used; labels are of the picture as it is
shown, rotated by its EXIF orientation.
"""

import functools
import os
from typing import NamedTuple

import cv2
import numpy as np

from jointpose.annotations import coco_json, coco_people, picture_names
from jointpose.datasets import flic, records
from jointpose.media.images import read_image
from jointpose.utils.errors import InputError
from jointpose.vision.affine import transform_points

SIZE = (
    159.0  # pixels of the frame: mean of |lhip - rsho| and |rhip - lsho|, median of FLIC's people
)
MIN_SIZE = 20.0  # pixels of the picture: smaller people show little
TORSOBOX = np.array([0.54, 0.81])  # width and height in sizes, medians of FLIC's people
FRAME = (flic.HEIGHT, flic.WIDTH)


class Labelled(NamedTuple):
    """One labelled person."""

    path: str  # of the picture
    size: tuple[int, int]  # of the picture as annotated: width, height
    joints_xy: np.ndarray  # [9, 2], pixels of the picture; NaN where unlabelled
    name: str  # of the person's frame
    row: int  # among the file's annotations


def read(metas, folders):
    """Reads custom people; prints who is left out.

    Returns:
        flic.Annotations in pixels of the frames, and for each person a function that returns the
        frame.
    """
    parts = [read_json(path, folder) for path, folder in zip(metas, folders)]
    people = []
    for part in parts:
        people += part
    if not people:
        raise InputError(f'{metas[0]}: nobody has both shoulders and both hips labelled')
    if len(parts) == 2:
        is_test = np.arange(len(people)) >= len(parts[0])
    else:
        _, picture = np.unique([person.path for person in people], return_inverse=True)
        is_test = picture % 10 == 1

    joints_xy = []
    frames = []
    for person in people:
        zoom = SIZE / size_of(person.joints_xy)
        torso_xy = flic.add_torso(person.joints_xy)[-1]
        spans, matrix = window(person.size, zoom, torso_xy)
        joints_xy.append(transform_points(matrix, person.joints_xy))
        frames.append(functools.partial(frame, person.path, person.size, spans))
    annotations = as_flic(
        [person.name for person in people],
        np.stack(joints_xy),
        np.where(is_test, 'test', 'train'),
        [person.row for person in people],
        [person.path for person in people],
    )
    return annotations, frames


def as_flic(names, joints_xy, split, rows, pictures):
    """Returns flic.Annotations of person-centric joints [n, 9, 2]; pictures: their paths."""
    joints_xy, backward = flic.to_observer_sides(joints_xy)
    joints_xy = flic.add_torso(joints_xy)
    half = SIZE * TORSOBOX / 2
    torso_xy = joints_xy[:, -1]
    torsobox = np.concatenate([torso_xy - half, torso_xy + half], axis=1).astype(np.float32)
    return flic.Annotations(
        np.array(names), joints_xy, torsobox, backward, split, np.array(rows), np.array(pictures)
    )


def size_of(joints_xy):
    """Returns the size of a person [9, 2]: the mean of both diagonals from shoulder to hip.

    It shrinks less than the shoulders or the torso when a person turns away or bends down.
    """
    xy = dict(zip(flic.JOINTS, joints_xy))
    one = np.linalg.norm(xy['lhip'] - xy['rsho'])
    other = np.linalg.norm(xy['rhip'] - xy['lsho'])
    return (one + other) / 2


def frame(path, size, spans):
    """Decodes a picture and returns the part with the person: uint8 [480, 720, 3]."""
    return closeup(read_image(path, size), spans)


def window(size, zoom, at_xy):
    """What `closeup` cuts out of a picture of `size` (width, height): for x and y each (first
    pixel, end) there and (first pixel, end) in the frame; and the 2x3 matrix from picture to frame.

    The frame is around at_xy, but within the picture, where that is large enough; else in its
    middle.
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
    try:
        reading = coco_people.read(file, flic.JOINTS)
    except coco_people.NoPeople as error:
        raise InputError(
            f"{error}; with --skeleton the file's own key points are read, whatever they are"
        ) from None
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
    if size_of(person.points[:, :2]) < MIN_SIZE:
        return f'of less than {MIN_SIZE:g} pixels from shoulder to hip'
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
