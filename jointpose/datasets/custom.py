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
from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from jointpose.annotations import coco_json, coco_people, picture_names
from jointpose.datasets import flic, records
from jointpose.media.images import read_image
from jointpose.utils.errors import InputError
from jointpose.vision.affine import Size, transform_points

# Pixels of the frame: the mean of |lhip - rsho| and |rhip - lsho|, the median of FLIC's people.
SIZE = 159.0
MIN_SIZE = 20.0  # pixels of the picture: smaller people show little
TORSOBOX = np.array([0.54, 0.81])  # width and height in sizes, medians of FLIC's people


class Labelled(NamedTuple):
    """One labelled person."""

    path: str  # of the picture
    size: Size  # of the picture as annotated: width, height
    joints_xy: np.ndarray  # [9, 2], pixels of the picture; NaN where unlabelled
    name: str  # of the person's frame
    row: int  # among the file's annotations


class Span(NamedTuple):
    """What a frame shows of a picture along one axis, in whole pixels."""

    first: int  # of the picture
    end: int
    frame_first: int  # of the frame
    frame_end: int

    @property
    def length(self) -> int:
        return self.end - self.first

    @property
    def frame_length(self) -> int:
        return self.frame_end - self.frame_first


class Window(NamedTuple):
    """The part of a picture that a frame shows."""

    x: Span
    y: Span


def read(
    metas: list[str], folders: list[str]
) -> tuple[flic.Annotations, list[Callable[[], np.ndarray]]]:
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

    windows = [window_around(person) for person in people]
    frames = []
    for person, cut in zip(people, windows):
        frames.append(functools.partial(frame, person.path, person.size, cut))
    return as_flic(people, windows, np.where(is_test, 'test', 'train')), frames


def as_flic(people: list[Labelled], windows: list[Window], split: np.ndarray) -> flic.Annotations:
    """Returns flic.Annotations in pixels of the frames.

    Args:
        windows: what the frame of each person shows.
        split: 'train' or 'test' of each person.
    """
    joints_xy = []
    for person, cut in zip(people, windows):
        joints_xy.append(transform_points(frame_matrix(cut), person.joints_xy))
    joints_xy, backward = flic.to_observer_sides(np.stack(joints_xy))
    joints_xy = flic.add_torso(joints_xy)
    torso_xy = joints_xy[:, -1]
    half = SIZE * TORSOBOX / 2
    torsobox = np.concatenate([torso_xy - half, torso_xy + half], axis=1)
    return flic.Annotations(
        np.array([person.name for person in people]),
        joints_xy,
        torsobox.astype(np.float32),
        backward,
        split,
        np.array([person.row for person in people]),
        np.array([person.path for person in people]),
    )


def size_of(joints_xy: np.ndarray) -> float:
    """Returns the size of a person [9, 2]: the mean of both diagonals from shoulder to hip.

    It shrinks less than the shoulders or the torso when a person turns away or bends down.
    """
    xy = dict(zip(flic.JOINTS, joints_xy))
    one = np.linalg.norm(xy['lhip'] - xy['rsho'])
    other = np.linalg.norm(xy['rhip'] - xy['lsho'])
    return (one + other) / 2


# --- frames ---------------------------------------------------------------------------------------


def frame(path: str, size: Size, cut: Window) -> np.ndarray:
    """Decodes a picture and returns the part with the person: uint8 [480, 720, 3]."""
    return closeup(read_image(path, size), cut)


def window_around(person: Labelled) -> Window:
    """The Window in which a person has the size SIZE."""
    zoom = SIZE / size_of(person.joints_xy)
    torso_xy = flic.add_torso(person.joints_xy)[-1]
    return window(person.size, zoom, torso_xy)


def window(size: Size, zoom: float, at_xy: np.ndarray) -> Window:
    """The Window around a point of a picture, at a zoom.  size: the picture's (width, height).

    It lies within the picture where that is large enough; else the picture is in its middle.
    """
    width, height = size
    x = span(width, zoom, at_xy[0], flic.WIDTH)
    y = span(height, zoom, at_xy[1], flic.HEIGHT)
    return Window(x, y)


def span(side: int, zoom: float, at: float, length: int) -> Span:
    """The Span of `length` pixels of a frame around a coordinate of a picture `side` pixels long."""
    extent = length / zoom
    if extent >= side:
        begin = (side - extent) / 2
    else:
        begin = np.clip(at - extent / 2, 0, side - extent)
    first = int(max(np.floor(begin), 0))
    end = int(min(np.ceil(begin + extent), side))
    frame_first = int(np.clip(round((first - begin) * zoom), 0, length))
    frame_end = int(np.clip(round((end - begin) * zoom), 0, length))
    # At least one pixel of the frame.
    frame_end = max(frame_end, frame_first + 1)
    return Span(first, end, min(frame_first, length - 1), frame_end)


def frame_matrix(cut: Window) -> np.ndarray:
    """The 2x3 matrix from a picture to the frame of its Window.

    Its scales are the zoom up to the rounding of both ends to whole pixels.
    """
    x_scale = cut.x.frame_length / cut.x.length
    y_scale = cut.y.frame_length / cut.y.length
    x_shift = cut.x.frame_first - cut.x.first * x_scale
    y_shift = cut.y.frame_first - cut.y.first * y_scale
    return np.array([[x_scale, 0, x_shift], [0, y_scale, y_shift]])


def closeup(image: np.ndarray, cut: Window) -> np.ndarray:
    """The Window of a picture, RGB uint8 [h, w, 3], in a black frame: uint8 [480, 720, 3]."""
    x, y = cut
    part = image[y.first : y.end, x.first : x.end]
    shrinks = x.frame_length < x.length
    resized = cv2.resize(
        part,
        (x.frame_length, y.frame_length),
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
    )
    black = np.zeros((flic.HEIGHT, flic.WIDTH, 3), np.uint8)
    black[y.frame_first : y.frame_end, x.frame_first : x.frame_end] = resized
    return black


# --- the file -------------------------------------------------------------------------------------


@records.reports_path
def read_json(path: str, folder: str) -> list[Labelled]:
    """The people of a file in COCO's form; says on stdout who is left out."""
    file = coco_json.read(path)
    try:
        reading = coco_people.read(file, flic.JOINTS)
    except coco_people.NoPeople as error:
        raise InputError(
            f"{error}; with --skeleton the file's own key points are read, whatever they are"
        ) from None
    names, renamed = picture_names.resolve([image.file for image in file.images], folder)
    records.check_names(names)

    @functools.cache
    def size_of_picture(i):
        return annotated_size(file.images[i], os.path.join(folder, names[i]))

    people = []
    for person in reading.people:
        why = reason_against(person)
        if why:
            reading.left_out.add(why, person.label)
            continue
        size = size_of_picture(person.picture)
        people.append(labelled(person, folder, names[person.picture], size))
    coco_people.say(path, reading, renamed)
    return people


def annotated_size(image: coco_json.Image, path: str) -> Size:
    """(width, height) of a picture as the file has it, else that of the picture itself."""
    if image.width and image.height:
        return image.width, image.height
    return read_image(path).shape[1::-1]


def reason_against(person: coco_people.Person) -> str | None:
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


def labelled(person: coco_people.Person, folder: str, file: str, size: Size) -> Labelled:
    """The Labelled of a coco_people.Person in a picture of that size; InputError: far outside."""
    row = person.annotation.row
    xy = person.points[:, :2]
    is_labelled = person.points[:, 2] > 0
    from_middle = np.abs(xy[is_labelled] / size - 0.5)  # in sizes of the picture
    if not (from_middle <= 0.5 + records.BEYOND).all():
        width, height = size
        raise InputError(
            f'annotations[{row}]: a joint is far outside of {file}, annotated as {width}x{height}'
        )
    return Labelled(
        path=os.path.join(folder, file),
        size=size,
        joints_xy=np.where(is_labelled[:, None], xy, np.nan),
        name=f'{os.path.basename(file)[-60:]}#{row}',
        row=row,
    )
