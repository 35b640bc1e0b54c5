"""Whole bodies drawn, in the formats of LSP, MPII and COCO, so that their readers and all after them run without a
download.  The figures are those of synthetic.py, with legs.

    datasets.load('lsp').write_synthetic('synthetic_LSP', n=200, seed=0)    # joints.mat, images/im0001.jpg ...
    datasets.load('mpii').write_synthetic(...)                              # train.json, valid.json, images/
    datasets.load('coco').write_synthetic(...)                              # train.json, val.json, images/

One in five pictures of MPII and COCO is a test one, and half of LSP's.  What is drawn is a function of (seed, index).
"""

import itertools
import json
import os
from typing import NamedTuple

import cv2
import numpy as np

from jointpose.datasets.flic import HEIGHT, WIDTH
from jointpose.datasets.synthetic import (
    Canvas,
    background,
    develop,
    draw_person,
    lerp,
    letters,
    rotation,
    sample_style,
    upper_body,
    write_jpeg,
)
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
    """One drawn person."""

    xy: dict[str, np.ndarray]  # {landmark: pixel [2]}
    visible: dict[str, int]  # {landmark: crops.UNLABELLED, HIDDEN or VISIBLE}
    mask: np.ndarray  # bool [h, w]: where the person is seen


# --- the picture --------------------------------------------------------------------------------------------------


def render(seed, index, people=1, length=None):
    """Draws a picture: RGB uint8 [h, w, 3], and up to `people` Bodies, whose covered joints are HIDDEN.

    length: of the first person's longer side, pixels; by default anything from 200 to 600.
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
    extent = np.ptp(np.stack([bodies[0].xy[name] for name in LANDMARKS]), axis=0).max()
    image = develop(rng, canvas)
    return cut(rng, image, bodies, (length or rng.uniform(200, 600)) / extent)


def cover(body, mask):
    """Hides what a nearer person's mask covers of a Body."""
    body.mask[mask] = False
    for name in LANDMARKS:
        if body.visible[name] and mask[tuple(body.xy[name].astype(int)[::-1])]:
            body.visible[name] = HIDDEN


def whole_body(rng, x):
    """Draws a synthetic.Pose near column x with all LANDMARKS in the frame."""
    while True:
        pose = upper_body(rng, rng.normal(x, 30), np.exp(rng.uniform(*np.log((62, 122)))))
        xy = {**pose.xy, **legs(rng, pose), **ears(pose)}
        thorax = np.mean([xy['lsho'], xy['rsho']], axis=0)
        pelvis = np.mean([xy['lhip'], xy['rhip']], axis=0)
        xy.update(
            thorax=thorax,
            pelvis=pelvis,
            neck=lerp(thorax, xy['head'], 0.3),
            top=xy['head'] - 0.26 * (xy['head_y'] - xy['head']),
        )
        lean = rotation(np.clip(rng.normal(0, 14), -40, 40))
        xy = {name: lean @ (point - pelvis) + pelvis for name, point in xy.items()}
        down = rng.uniform(0.8, 0.97) * HEIGHT - max(xy['lank'][1], xy['rank'][1])
        xy = {name: point + (0, down) for name, point in xy.items()}
        points = np.stack([xy[name] for name in LANDMARKS])
        if (points >= 5).all() and (points <= (WIDTH - 6, HEIGHT - 6)).all():
            return pose._replace(xy=xy)


def legs(rng, pose):
    """Draws knees and ankles: {landmark: pixel}."""
    _, thigh, thigh_sd, shin, shin_sd = LEGS[rng.choice(len(LEGS), p=LEGS[:, 0])]
    found = {}
    for side, letter in letters(pose.backward).items():
        angles = np.radians([rng.normal(thigh, thigh_sd), rng.normal(shin, shin_sd)])
        upper, lower = (np.array([side * np.sin(angle), np.cos(angle)]) for angle in angles)
        found[letter + 'kne'] = (
            pose.xy[letter + 'hip'] + rng.uniform(0.75, 0.88) * pose.size * upper
        )
        found[letter + 'ank'] = found[letter + 'kne'] + rng.uniform(0.7, 0.82) * pose.size * lower
    return found


def ears(pose):
    """Returns where synthetic.py draws the ears: {landmark: pixel}."""
    centre, turn = pose.xy['head'], np.sin(pose.gaze)
    x, y = pose.xy['head_x'] - centre, pose.xy['head_y'] - centre
    return {
        letter + 'ear': centre + (0.16 * side * np.cos(pose.gaze) - 0.05 * turn) * x + 0.02 * y
        for side, letter in letters(pose.backward).items()
    }


def visibility(pose):
    """{landmark: VISIBLE, or NOT_LABELLED}: nobody sees a face from behind, nor the ear that is turned away."""
    away = [
        letter + 'ear'
        for side, letter in letters(pose.backward).items()
        if side * np.sin(pose.gaze) >= 0.4
    ]
    unseen = ['nose', 'leye', 'reye', *away] if pose.backward else away
    return {name: UNLABELLED if name in unseen else VISIBLE for name in LANDMARKS}


def cut(rng, image, bodies, zoom):
    """Crops the frame to its people and some surroundings, and scales it; returns the image and its Bodies."""
    points = np.stack([body.xy[name] for body in bodies for name in LANDMARKS])
    left, top = np.maximum(points.min(axis=0) - rng.uniform(15, 90, 2), 0).astype(int)
    right, bottom = np.minimum(points.max(axis=0) + rng.uniform(15, 90, 2), (WIDTH, HEIGHT)).astype(
        int
    )
    size = np.rint(zoom * np.array([right - left, bottom - top])).astype(int)
    factor = size / (right - left, bottom - top)
    image, *masks = (
        cv2.resize(
            np.ascontiguousarray(x[top:bottom, left:right]),
            size.tolist(),
            interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR,
        )
        for x in (image, *(body.mask.astype(np.uint8) for body in bodies))
    )
    return image, [
        Body(
            {name: (body.xy[name] - (left, top)) * factor for name in LANDMARKS},
            body.visible,
            mask > 0,
        )
        for body, mask in zip(bodies, masks)
    ]


# --- the sets -----------------------------------------------------------------------------------------------------


class DrawnPicture(NamedTuple):
    """A picture that was drawn and written."""

    index: int  # from 0
    file: str  # name in the folder of pictures
    size: tuple[int, int]  # height, width
    bodies: list[Body]


def make_image_folder(folder):
    """Makes and returns the folder's folder of pictures; InputError, which names it, if that fails."""
    images = os.path.join(folder, 'images')
    try:
        os.makedirs(images, exist_ok=True)
    except OSError as error:
        raise InputError(f'{images}: cannot be made: {error.strerror}') from error
    return images


def draw_pictures(images, n, seed, name, **how):
    """Draws and writes pictures until there are n people; yields each as a DrawnPicture.

    images: folder to write to.  name: of the files, with a field for the number.  how: arguments of `render`.
    """
    with progress.bar(n, 'drawing', 'people') as bar:
        left = n
        for index in itertools.count():
            if not left:
                return
            image, bodies = render(seed, index, **how)
            file = name.format(index + 1)
            write_jpeg(os.path.join(images, file), image)
            bodies = bodies[:left]  # the last picture may have more people than are left
            left -= len(bodies)
            yield DrawnPicture(index, file, image.shape[:2], bodies)
            bar.update(len(bodies))


def joints_of(body, names):
    """Returns a Body's joints, float64 [k, 2], 0 where unlabelled, and their visibility, [k]."""
    names = ['top' if name == 'head' else name for name in names]
    visible = np.array([body.visible[name] for name in names])
    return np.stack([body.xy[name] for name in names]) * (visible > 0)[:, None], visible


def write_json_files(folder, contents):
    """Writes {name of a file: its content}; returns the paths."""
    paths = []
    for name, content in contents.items():
        path = os.path.join(folder, name)
        with atomic_write(path) as partial, open(partial, 'w', encoding='utf-8') as file:
            json.dump(content, file)
        paths.append(path)
    return paths
