"""Skeletons drawn on images: RGB uint8 [h, w, 3] in, a new image out.

`body` is a data set, of which joints, limb_indices and side() are used.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from jointpose.vision import palette
from jointpose.vision.found_person import FoundPerson
from jointpose.vision.palette import SIDE_COLOURS, rgb
from jointpose.vision.text_labels import ABOVE, LEFT, RIGHT, Labels

WEAK = 0.3  # score below which a joint is drawn as a ring

# Sizes in pixels of an image whose longer side is SCREEN.  People's sizes are `median_limb`.
SCREEN = 720
MIN_THICKNESS = 1.25  # of limbs
MIN_FONT_SCALE = 0.4  # OpenCV's
MAX_FONT_SCALE = 0.8
NAMED_SIZE = 26  # size from which a single person's joints are named
NAMED_SIZE_IN_GROUP = 50  # the same where there are several people

# Sizes in units of a person's size.
THICKNESS = 0.04  # of limbs
FONT_SCALE = 0.006

MIN_SIDE = 640  # the longer side of an image with people drawn on it, pixels
DASH = 4  # length in widths of the line
FIXED_POINT = 4  # fractional bits of the coordinates that OpenCV is given

TRUTH_COLOUR = rgb(palette.GROUND_TRUTH)
TORSO_COLOUR = rgb(SIDE_COLOURS[''])


# --- one skeleton -------------------------------------------------------------------------------


def draw_skeleton(
    image: np.ndarray,
    joints_xy: np.ndarray,
    body,
    width: int = 3,
    colour: tuple[int, int, int] | None = None,
    weak=(),
    visible: np.ndarray | None = None,
    dashed: bool = False,
) -> np.ndarray:
    """Draws a person's limbs and joints.

    Args:
        joints_xy: [k, 2], pixels of the image.
        width: of limbs, pixels.
        colour: RGB; by default limbs have the colour of their side and joints are white.
        weak: indices of joints that are drawn as rings on thin limbs.
        visible: [k]; joints with 0 and their limbs are left out.
        dashed: draws all joints as rings, and all limbs thin and dashed.
    """
    image = np.ascontiguousarray(image).copy()
    far = 2 * max(image.shape)  # keeps coordinates within OpenCV's range
    shown = np.ones(len(joints_xy), bool) if visible is None else np.asarray(visible) > 0
    points = np.clip(np.where(shown[:, None], joints_xy, 0), -far, far)
    thin = max(1, round(width / 3))
    weak = set(weak)
    for a, b in body.limb_indices:
        if not (shown[a] and shown[b]):
            continue
        limb_colour = colour or rgb(SIDE_COLOURS[body.side(body.joints[a], body.joints[b])])
        thickness = thin if dashed or {a, b} & weak else width
        for first, last in dashes(points[a], points[b], DASH * width if dashed else None):
            _draw_line(image, first, last, limb_colour, thickness)
    for joint in np.flatnonzero(shown).tolist():
        is_ring = dashed or joint in weak
        _draw_circle(image, points[joint], width + 1, colour or TRUTH_COLOUR, thin, is_ring)
    return image


def _draw_line(image: np.ndarray, first, last, colour, thickness: int) -> None:
    cv2.line(
        image,
        _fixed_point(first),
        _fixed_point(last),
        colour,
        thickness,
        cv2.LINE_AA,
        FIXED_POINT,
    )


def _draw_circle(image: np.ndarray, xy, radius: int, colour, thickness: int, is_ring: bool) -> None:
    cv2.circle(
        image,
        _fixed_point(xy),
        radius << FIXED_POINT,
        colour,
        thickness if is_ring else cv2.FILLED,
        cv2.LINE_AA,
        FIXED_POINT,
    )


def _fixed_point(xy) -> tuple[int, int]:
    """A point in the units in which OpenCV draws with fractions of pixels."""
    x, y = np.asarray(xy).tolist()
    return round(x * (1 << FIXED_POINT)), round(y * (1 << FIXED_POINT))


def dashes(first: np.ndarray, last: np.ndarray, length: float | None = None) -> list[tuple]:
    """Returns the ends [(xy, xy), ...] of the dashes of a line.

    length: of a dash, and of the gap after it, pixels; None: the whole line.
    """
    if length is None:
        return [(first, last)]
    line = last - first
    n = max(1, round(float(np.linalg.norm(line)) / (2 * length)))
    starts = np.arange(n)[:, None] / n  # [n, 1], fractions of the line
    ends = starts + 0.5 / n
    return list(zip(first + starts * line, first + ends * line))


# --- all people found in an image ---------------------------------------------------------------


def draw_poses(image: np.ndarray, people: Sequence[FoundPerson], body, numbers=None) -> np.ndarray:
    """Draws each person's skeleton, number and score, and a cross at the torso.

    The names and scores of joints are added for people who are not small. Sizes follow each
    person's size, but stay visible when the whole image fits on a screen; a small image is enlarged
    by a whole number. Joints with a score below WEAK are rings on thin limbs. People with low_score
    are thin and dashed.

    numbers: one for each person; by default they are counted from 1.
    """
    if numbers is None:
        numbers = range(1, len(people) + 1)
    factor = -(-MIN_SIDE // max(image.shape[:2]))  # rounded up
    image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    unit = max(image.shape[:2]) / SCREEN  # pixels in one of SCREEN
    sizes = [factor * median_limb(person, body) for person in people]
    image = _draw_people(image, people, sizes, body, factor, unit)
    labels = Labels(image)
    for person, size, number in zip(people, sizes, numbers):
        label_person(labels, person, number, factor, size, font_scale(size, unit))
    named_size = unit * (NAMED_SIZE if len(people) == 1 else NAMED_SIZE_IN_GROUP)
    for person, size in zip(people, sizes):
        if size >= named_size and not person.low_score:
            label_joints(labels, person, body, factor, font_scale(size, unit))
    labels.draw(image)
    return image


def _draw_people(image: np.ndarray, people, sizes, body, factor: int, unit: float) -> np.ndarray:
    """Draws the skeletons, those with a low score first, so that the others cover them."""
    by_score = sorted(zip(people, sizes), key=lambda pair: not pair[0].low_score)
    for person, size in by_score:
        width = max(1, round(max(THICKNESS * size, MIN_THICKNESS * unit)))
        image = draw_person(image, person, body, factor, width)
    return image


def median_limb(person: FoundPerson, body) -> float:
    """Returns the median length of a person's limbs, pixels: about 0.6 torsos.

    Limbs between joints that are not weak are used alone if there are three or more.  Without any
    limbs in the skeleton, it is a fifth of the diagonal of the joints' box.
    """
    if not body.limb_indices:
        extent = np.ptp(np.asarray(person.joints_xy, float), axis=0)
        return max(1.0, float(np.linalg.norm(extent)) / 5)
    limbs = np.array(body.limb_indices)  # [limbs, 2]
    ends = np.asarray(person.joints_xy, float)[limbs]  # [limbs, 2, 2]
    lengths = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1)
    is_clear = (np.asarray(person.scores)[limbs] >= WEAK).all(axis=1)
    if is_clear.sum() >= 3:
        lengths = lengths[is_clear]
    return float(np.median(lengths))


def font_scale(size: float, unit: float) -> float:
    """Returns OpenCV's font scale for a person of that size; unit: pixels in one of SCREEN."""
    return float(np.clip(FONT_SCALE * size, MIN_FONT_SCALE * unit, MAX_FONT_SCALE * unit))


def draw_person(
    image: np.ndarray, person: FoundPerson, body, factor: int, width: int
) -> np.ndarray:
    """Draws a skeleton and a cross at the torso; factor: how much the image has been enlarged."""
    image = draw_skeleton(
        image,
        factor * np.asarray(person.joints_xy),
        body,
        width,
        weak=np.flatnonzero(np.asarray(person.scores) < WEAK).tolist(),
        dashed=person.low_score,
    )
    if person.torso_xy is not None:
        _draw_cross(image, factor * np.asarray(person.torso_xy), width)
    return image


def _draw_cross(image: np.ndarray, xy: np.ndarray, width: int) -> None:
    cv2.drawMarker(
        image,
        np.rint(xy).astype(int).tolist(),
        TORSO_COLOUR,
        cv2.MARKER_CROSS,
        5 * width,
        max(1, round(width / 2)),
        cv2.LINE_AA,
    )


def label_person(
    labels: Labels, person: FoundPerson, number, factor: int, size: float, scale: float
) -> None:
    """Adds a person's number and score above the head.

    A person with a low score is labelled above the torso's position: the head may be wrong.
    """
    if person.low_score:
        xy = np.asarray(person.torso_xy)
        distance = 0.2 * size
    else:
        joints_xy = np.asarray(person.joints_xy, float)
        xy = joints_xy[joints_xy[:, 1].argmin()]
        distance = 0.5 * size
    above = factor * xy - (0, distance)
    labels.add(f'{number}: {person.score:.2f}', above, scale, TRUTH_COLOUR, ABOVE)


def label_joints(labels: Labels, person: FoundPerson, body, factor: int, scale: float) -> None:
    """Adds the names and scores of a person's joints, each on the joint's own side."""
    joints_xy = factor * np.asarray(person.joints_xy, float)
    for name, xy, score in zip(body.joints, joints_xy, person.scores):
        of_body = body.side(name)
        side = LEFT if of_body == 'r' else RIGHT
        beside = xy + (18 * scale * side, 0)
        labels.add(f'{name} {score:.2f}', beside, scale, rgb(SIDE_COLOURS[of_body]), side)
