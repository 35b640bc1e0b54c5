"""Drawn whole bodies in the formats of LSP, MPII and COCO: all can be tried without a download.

The figures are those of people.py, with legs.

    # joints.mat, images/im0001.jpg ...
    datasets.load('lsp').write_synthetic('synthetic_LSP', n=200, seed=0)
    # train.json, valid.json, images/
    datasets.load('mpii').write_synthetic('synthetic_MPII', n=200, seed=0)
    # train.json, val.json, images/
    datasets.load('coco').write_synthetic('synthetic_COCO', n=200, seed=0)

One in five pictures of MPII and COCO is a test picture, and half of LSP's.  What is drawn is a
function of (seed, index).  The order of the random draws is part of the data sets: another order
gives other pictures.
"""

import itertools
import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator

from jointpose.datasets.flic import HEIGHT, WIDTH
from jointpose.datasets.synthetic.backgrounds import background
from jointpose.datasets.synthetic.canvas import Canvas, develop, lerp
from jointpose.datasets.synthetic.flic_set import write_jpeg
from jointpose.datasets.synthetic.people import draw_person, ear_position, sample_style, sees_ear
from jointpose.datasets.synthetic.poses import Pose, direction, letters, rotation, upper_body
from jointpose.utils import progress
from jointpose.utils.errors import InputError
from jointpose.utils.files import atomic_write
from jointpose.vision.crops import HIDDEN, UNLABELLED, VISIBLE

# Weight, then degrees from hanging, outwards: thigh mean, sd, shin mean, sd.
LEGS = np.array(
    [
        (0.5, 4, 5, 2, 5),  # standing
        (0.25, 18, 9, -8, 12),  # a wide stand, a step
        (0.15, 45, 15, -20, 20),  # a lunge, a squat
        (0.1, 75, 15, 10, 30),  # a kick, a jump
    ]
)

LANDMARKS = (
    'lank',
    'lkne',
    'lhip',
    'lsho',
    'lelb',
    'lwri',
    'rank',
    'rkne',
    'rhip',
    'rsho',
    'relb',
    'rwri',
    'pelvis',
    'thorax',
    'neck',
    'top',
    'nose',
    'leye',
    'reye',
    'lear',
    'rear',
)


class Body(NamedTuple):
    """One drawn person, or beast (creatures.py)."""

    xy: dict[str, np.ndarray]  # {landmark: pixel [2]}
    visible: dict[str, int]  # {landmark: crops.UNLABELLED, HIDDEN or VISIBLE}
    mask: np.ndarray  # bool [h, w]: where they are seen


# --- the picture ----------------------------------------------------------------------------------


def render(
    seed: int, index: int, people: int = 1, length: float | None = None
) -> tuple[np.ndarray, list[Body]]:
    """Draws a picture, RGB uint8 [h, w, 3], and up to `people` people in it.

    Joints that nearer people cover are HIDDEN.  length: of the first person's longer side, pixels;
    by default anything from 200 to 600.
    """
    rng = np.random.default_rng([seed, index, people])
    # The first two pictures have one person each: two people make a train and a test set.
    n = rng.integers(1, people if index > 1 else 1, endpoint=True)
    light = np.array([rng.choice([-1.0, 1.0]), 0.9])
    ambient = cv2.resize(rng.integers(95, 145, (3, 4), np.uint8), (WIDTH, HEIGHT))
    canvas = Canvas(background(rng), ambient, light)
    bodies = []
    for place in rng.permutation(n):
        pose = whole_body(rng, (place + 0.5) / n * WIDTH)
        before = canvas.image.copy()
        draw_person(canvas, rng, pose, sample_style(rng))
        mask = (canvas.image != before).any(axis=-1)
        for other in bodies:
            cover(other, mask)
        bodies.append(Body(pose.xy, visibility(pose), mask))
    landmarks_xy = np.stack([bodies[0].xy[name] for name in LANDMARKS])
    extent = np.ptp(landmarks_xy, axis=0).max()
    image = develop(rng, canvas)
    length = length or rng.uniform(200, 600)
    return cut(rng, image, bodies, length / extent)


def cover(body: Body, mask: np.ndarray) -> None:
    """Hides what something nearer covers of a body.  mask: bool [h, w], where that is."""
    body.mask[mask] = False
    for name in body.visible:
        column, row = body.xy[name].astype(int)
        if body.visible[name] and mask[row, column]:
            body.visible[name] = HIDDEN


def whole_body(rng: Generator, x: float) -> Pose:
    """Draws a pose near column x with all LANDMARKS in the frame."""
    last = (WIDTH - 6, HEIGHT - 6)
    while True:
        column = rng.normal(x, 30)
        size = np.exp(rng.uniform(*np.log((62, 122))))
        pose = upper_body(rng, column, size)
        xy = {**pose.xy, **legs(rng, pose), **ears(pose)}
        head = xy['head']
        thorax = np.mean([xy['lsho'], xy['rsho']], axis=0)
        pelvis = np.mean([xy['lhip'], xy['rhip']], axis=0)
        xy['thorax'] = thorax
        xy['pelvis'] = pelvis
        xy['neck'] = lerp(thorax, head, 0.3)
        xy['top'] = head - 0.26 * (xy['head_y'] - head)

        lean = rotation(np.clip(rng.normal(0, 14), -40, 40))
        xy = {name: lean @ (point - pelvis) + pelvis for name, point in xy.items()}
        lowest = max(xy['lank'][1], xy['rank'][1])
        down = rng.uniform(0.8, 0.97) * HEIGHT - lowest
        xy = {name: point + (0, down) for name, point in xy.items()}
        points = np.stack([xy[name] for name in LANDMARKS])
        if (points >= 5).all() and (points <= last).all():
            return pose._replace(xy=xy)


def legs(rng: Generator, pose: Pose) -> dict[str, np.ndarray]:
    """Draws knees and ankles: {landmark: pixel [2]}."""
    row = rng.choice(len(LEGS), p=LEGS[:, 0])
    _, thigh_mean, thigh_sd, shin_mean, shin_sd = LEGS[row]
    found = {}
    for side, letter in letters(pose.backward).items():
        thigh = np.radians(rng.normal(thigh_mean, thigh_sd))
        shin = np.radians(rng.normal(shin_mean, shin_sd))
        thigh_length = rng.uniform(0.75, 0.88) * pose.size
        shin_length = rng.uniform(0.7, 0.82) * pose.size
        knee = pose.xy[letter + 'hip'] + thigh_length * direction(thigh, side)
        found[letter + 'kne'] = knee
        found[letter + 'ank'] = knee + shin_length * direction(shin, side)
    return found


def ears(pose: Pose) -> dict[str, np.ndarray]:
    """Where people.py draws the ears: {landmark: pixel [2]}."""
    return {
        letter + 'ear': ear_position(pose, side) for side, letter in letters(pose.backward).items()
    }


def visibility(pose: Pose) -> dict[str, int]:
    """{landmark: VISIBLE or UNLABELLED} of somebody whom nobody covers.

    Unlabelled are the ear that is turned away and, of people seen from behind, the face.
    """
    unseen = ['nose', 'leye', 'reye'] if pose.backward else []
    for side, letter in letters(pose.backward).items():
        if not sees_ear(pose, side):
            unseen.append(letter + 'ear')
    return {name: UNLABELLED if name in unseen else VISIBLE for name in LANDMARKS}


def cut(
    rng: Generator, image: np.ndarray, bodies: list[Body], zoom: float
) -> tuple[np.ndarray, list[Body]]:
    """Crops the frame to its people and some surroundings, and scales it.

    Returns the image and the bodies in its pixels.
    """
    points = np.stack([body.xy[name] for body in bodies for name in body.visible])
    first = np.maximum(points.min(axis=0) - rng.uniform(15, 90, 2), 0)
    last = np.minimum(points.max(axis=0) + rng.uniform(15, 90, 2), (WIDTH, HEIGHT))
    left, top = first.astype(int)
    right, bottom = last.astype(int)
    size = np.rint(zoom * np.array([right - left, bottom - top])).astype(int)
    factor = size / (right - left, bottom - top)
    interpolation = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR

    def scaled(picture):
        part = np.ascontiguousarray(picture[top:bottom, left:right])
        return cv2.resize(part, size.tolist(), interpolation=interpolation)

    cut_bodies = []
    for body in bodies:
        xy = {name: (body.xy[name] - (left, top)) * factor for name in body.visible}
        mask = scaled(body.mask.astype(np.uint8)) > 0
        cut_bodies.append(Body(xy, body.visible, mask))
    return scaled(image), cut_bodies


# --- the sets -------------------------------------------------------------------------------------


class DrawnPicture(NamedTuple):
    """A picture that was drawn and written."""

    index: int  # from 0
    file: str  # name in the folder of pictures
    size: tuple[int, int]  # height, width
    bodies: list[Body]


def make_image_folder(folder: str) -> str:
    """Makes the folder's folder of pictures, and returns it.

    Raises InputError, naming it, if that fails.
    """
    images = os.path.join(folder, 'images')
    try:
        os.makedirs(images, exist_ok=True)
    except OSError as error:
        raise InputError(f'{images}: cannot be made: {error.strerror}') from error
    return images


def draw_pictures(
    images: str, n: int, seed: int, name: str, draw: Callable = render, **how
) -> Iterator[DrawnPicture]:
    """Draws and writes pictures until there are n people; yields each as a DrawnPicture.

    Args:
        images: folder to write to.
        name: of the files, with a field for the number.
        draw: `render`, or another function with its first arguments and results.
        how: other arguments of that.
    """
    with progress.bar(n, 'drawing', 'people') as bar:
        left = n
        for index in itertools.count():
            if not left:
                return
            image, bodies = draw(seed, index, **how)
            file = name.format(index + 1)
            write_jpeg(os.path.join(images, file), image)
            bodies = bodies[:left]  # the last picture may have more people than are left
            left -= len(bodies)
            yield DrawnPicture(index, file, image.shape[:2], bodies)
            bar.update(len(bodies))


def joints_of(body: Body, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Returns a body's joints, float64 [k, 2], 0 where unlabelled, and their visibility, [k]."""
    names = ['top' if name == 'head' else name for name in names]
    visible = np.array([body.visible[name] for name in names])
    xy = np.stack([body.xy[name] for name in names])
    return xy * (visible > 0)[:, None], visible


def write_json_files(folder: str, contents: dict[str, object]) -> list[str]:
    """Writes {name of a file: its content}; returns the paths."""
    paths = []
    for name, content in contents.items():
        path = os.path.join(folder, name)
        with atomic_write(path) as partial, open(partial, 'w', encoding='utf-8') as file:
            json.dump(content, file)
        paths.append(path)
    return paths
