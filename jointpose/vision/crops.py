"""One person of a picture, the crop that a system sees of somebody, and the way back.

Coordinates are (x right, y down), continuous: pixel i covers [i, i+1).  Matrices are 2x3, as vision/augmentation.py has
them.  Where a system takes a whole picture as one sample (MOST_PEOPLE, systems/__init__.py), every array of a Person
and of a Sample but `image` and `back` begins with an axis of its people, padded with people of whom nothing is visible.
"""

import collections

import cv2
import numpy as np

from jointpose.vision.affine import compose, invert, transform_points, translate, warp_image

UNLABELLED, HIDDEN, VISIBLE = 0, 1, 2

# joints_xy float32 [k, 2] pixels of the picture, anything, even NaN, where not labelled.  visible uint8 [k].  box
# float32 [4], x1 y1 x2 y2.  centre float32 [2] and scale float32 []: MPII's, the person is about 200 * scale pixels
# high.  unit float32 []: the length that errors are measured by (the data set's module says which), pixels.  file: the
# picture's.
Person = collections.namedtuple('Person', 'joints_xy visible box centre scale unit file')
# What a system makes of it: image uint8 [h, w, 3]; joints_xy float32 [k, 2] pixels of it, left and right as it shows
# them; visible uint8 [k]; back [2, 3]: from the pixels in which the system's `decode` finds joints to the picture's.
Sample = collections.namedtuple('Sample', 'image joints_xy visible back')


def person_from_row(split, row):
    """The Person in one row of an arrays.Split."""
    record = split.people[row]
    return Person(split.joints[row], *(record[name] for name in Person._fields[1:]))


def person_from_box(box, n_points, points_xy=(0, 0)):
    """A Person of whom nothing is known but the box: on pictures without annotations.

    points_xy: where all points are said to be, pixels.
    """
    box = np.asarray(box, np.float32)
    points = np.broadcast_to(np.asarray(points_xy, np.float32), (n_points, 2))
    return Person(
        points, np.zeros(n_points, np.uint8), box, *centre_and_scale(box), np.float32(1), ''
    )


def centre_and_scale(box):
    """MPII's measures of boxes [..., 4]: their middle [..., 2], and their longer side in units of 200 pixels [...]."""
    first, last = box[..., :2], box[..., 2:]
    return (first + last) / 2, (last - first).max(axis=-1) / 200


def crop_matrix(centre, extent, size, degrees=0, mirrored=False):
    """The 2x3 matrix from a picture to a crop of it.

    centre: what comes to the crop's middle, pixels of the picture.  extent: (width, height) of what is cut out there;
    size: those of the crop.  Where their proportions differ, the crop is stretched.  degrees: clockwise as seen, about
    the middle; the picture turns under the cut.  mirrored: left and right exchanged, before it turns.
    """
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[cos, -sin, 0], [sin, cos, 0]])
    flip = np.diag([-1.0 if mirrored else 1.0, 1.0])
    zoom = np.diag(np.asarray(size, float) / extent)
    x, y = centre
    return compose(
        translate(-x, -y), _linear(flip), turn, _linear(zoom), translate(size[0] / 2, size[1] / 2)
    )


def _linear(matrix):
    return np.column_stack([matrix, [0, 0]])


def crop_person(image, person, matrix, size, flip=None):
    """The Sample that a matrix makes of a picture, uint8 [h, w, 3], and a Person in it; outside the picture is black.

    size: (width, height) of the crop.  flip: if the matrix mirrors, in a mirrored picture point i is where point
    flip[i] was.
    """
    joints_xy, visible = transform_points(matrix, person.joints_xy), person.visible
    if flip is not None:
        joints_xy, visible = joints_xy[..., list(flip), :], visible[..., list(flip)]
    return Sample(warp_image(image, matrix, size), joints_xy, visible, invert(matrix))


# --- whole pictures -----------------------------------------------------------------------------------------------


def letterbox(width, height, frame):
    """The 2x3 matrix that puts a picture of that size into the middle of a frame (height, width), as large as it goes
    in, rounded to whole pixels; and its size there, (width, height)."""
    scale = min(frame[1] / width, frame[0] / height)
    size = tuple(max(1, round(scale * side)) for side in (width, height))
    left, top = (frame[1] - size[0]) // 2, (frame[0] - size[1]) // 2
    return np.array([[size[0] / width, 0, left], [0, size[1] / height, top]]), size


def fit_to_frame(image, frame):
    """RGB uint8 [h, w, 3] -> (uint8 [*frame, 3], the matrix from picture to frame)."""
    matrix, (width, height) = letterbox(*image.shape[1::-1], frame)
    if image.shape[:2] == tuple(frame):
        return image, matrix
    if image.shape[:2] != (height, width):  # both interpolations map pixel edges to pixel edges
        shrinks = width < image.shape[1]
        image = cv2.resize(
            image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        )
    left, top = matrix[:, 2].astype(int)
    black = np.zeros((*frame, 3), np.uint8)
    black[top : top + height, left : left + width] = image
    return black, matrix
