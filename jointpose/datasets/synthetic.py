"""A synthetic data set: drawn people in FLIC's own format, so that everything runs without a download.

    synthetic.write_flic('synthetic_FLIC', n=200, seed=0)      # synthetic_FLIC/{examples.mat,images/*.jpg}
    picture = synthetic.render(seed=0, index=7)                # one picture: a pure function of (seed, index)

Lengths without a unit are in torso heights (shoulders to hips).  `side` is +1 on the picture's right, where a frontal
person's LEFT arm is, and -1 on its left.
"""

import colorsys
import io
import itertools
import os
from typing import NamedTuple

import cv2
import numpy as np

from jointpose.datasets.flic import HEIGHT, WIDTH
from jointpose.utils import progress
from jointpose.utils.errors import InputError
from jointpose.utils.files import atomic_write

COLUMNS = {  # FLIC's columns of `coords`
    'lsho': 0,
    'lelb': 1,
    'lwri': 2,
    'rsho': 3,
    'relb': 4,
    'rwri': 5,
    'lhip': 6,
    'rhip': 9,
    'leye': 12,
    'reye': 13,
    'nose': 16,
}
JPEG_QUALITY = 90
FRAME_STEP = 10  # FLIC takes every tenth frame of a film
# Instead of savemat's header, which holds the time.
HEADER = b'MATLAB 5.0 MAT-file, drawn by synthetic.py'.ljust(116)


class Picture(NamedTuple):
    """A drawn picture and its annotated people."""

    image: np.ndarray  # uint8 [480, 720, 3], RGB
    people: list[np.ndarray]  # float64 [2, 29] each: (x, y) in FLIC's columns
    torsoboxes: list[np.ndarray]  # float32 [4] each: x1 y1 x2 y2


class Pose(NamedTuple):
    """Where a person's landmarks are."""

    xy: dict[str, np.ndarray]  # {landmark: pixel [2]}
    size: float  # torso height, pixels
    yaw: float  # rotation of the body about the vertical, radians
    gaze: float  # rotation of the head, radians
    backward: bool  # seen from behind


class Style(NamedTuple):
    """Skin, hair and clothes; colours are RGB."""

    skin: tuple
    hair: tuple
    long_hair: float  # its length below the head, torso heights; 0: short
    beard: bool
    top: tuple
    under: tuple
    trousers: tuple
    pattern: str
    sleeve: float  # where it ends: 1 the elbow, 2 the wrist
    collar: str


class Canvas(NamedTuple):
    """What is drawn on; both images are drawn into in place."""

    image: np.ndarray  # flat colours, RGB
    shade: np.ndarray  # their brightness, 128 = 1
    light: np.ndarray  # [2], direction towards the light


# Weight, then degrees from hanging, outwards: upper arm mean, sd, forearm mean, sd.
ARMS = np.array(
    [
        (0.24, 10, 6, 4, 10),  # hanging
        (0.12, 42, 8, -42, 12),  # hand on the hip
        (0.22, 10, 9, -80, 25),  # in front of the body
        (0.15, 20, 14, 120, 30),  # gesture, forearm up and out
        (0.08, 18, 10, -150, 12),  # hand at the face
        (0.09, 115, 25, 160, 25),  # raised
        (0.10, 65, 20, 75, 30),  # reaching sideways
    ]
)
# Outline: row from shoulders 0 to hips 1, half width / half distance of the joints.
TORSO = np.array(
    [
        (-0.16, 0.25),
        (-0.12, 0.48),
        (-0.07, 0.86),
        (0.0, 1.04),
        (0.12, 1.04),
        (0.30, 1.0),
        (0.62, 0.97),
        (0.85, 1.02),
        (1.0, 1.08),
        (1.12, 1.1),
    ]
)
SKINS = (
    (255, 219, 190),
    (241, 194, 160),
    (224, 172, 130),
    (198, 134, 92),
    (141, 88, 56),
    (96, 60, 42),
)
HAIRS = (
    (28, 22, 20),
    (60, 38, 26),
    (104, 68, 40),
    (178, 130, 72),
    (222, 190, 128),
    (150, 60, 30),
    (168, 166, 164),
)


# --- the set ------------------------------------------------------------------------------------------------------


def write_flic(folder, n, seed):
    """Writes n >= 1 annotated people in FLIC's format: `folder`/examples.mat and `folder`/images/*.jpg, 720x480.

    Pictures 1, 6, 11, ... are test, the others train.  The same (n, seed) gives the same bytes; a larger n only
    adds people.  Raises InputError, naming the file, where something cannot be written.
    """
    images = os.path.join(folder, 'images')
    try:
        os.makedirs(images, exist_ok=True)
    except OSError as error:
        raise InputError(f'{images}: cannot be made: {error.strerror}') from error
    examples = []
    with progress.bar(n, 'drawing', 'people') as bar:
        for index in itertools.count():
            if len(examples) == n:
                break
            picture = render(seed, index)
            annotated = zip(picture.people, picture.torsoboxes)
            people = [_example(seed, index, coords, box) for coords, box in annotated]
            write_jpeg(os.path.join(images, people[0]['filepath']), picture.image)
            # The last picture may have more people than are left.
            examples += people[: n - len(examples)]
            bar.update(len(examples) - bar.n)
    write_mat(os.path.join(folder, 'examples.mat'), examples)


def _example(seed, index, coords, torsobox):
    """One element of FLIC's struct array."""
    film = f'synthetic-{seed}'
    frame = FRAME_STEP * index + 1
    is_test = index % 5 == 1
    return {
        'poselet_hit_idx': np.zeros((0, 1), np.uint16),
        'moviename': film,
        'coords': coords,
        'filepath': f'{film}-{frame:08d}.jpg',
        'imgdims': np.array([[HEIGHT, WIDTH, 3]], np.uint16),
        'currframe': np.array([[frame]], np.uint16 if frame < 1 << 16 else np.int32),
        'torsobox': torsobox[None],
        'istrain': np.array([[not is_test]], np.uint8),
        'istest': np.array([[is_test]], np.uint8),
    }


def write_jpeg(path, image):
    ok, encoded = cv2.imencode('.jpg', image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not ok:
        raise InputError(f'{path}: OpenCV cannot encode it')
    with atomic_write(path) as partial, open(partial, 'wb') as file:
        file.write(encoded)


def write_mat(path, examples):
    """Writes the struct array `examples` [1, n]."""
    dtype = [(key, object) for key in examples[0]]
    structs = np.array([tuple(example.values()) for example in examples], dtype)
    save_mat(path, {'examples': structs[None]})


def save_mat(path, variables):
    """Writes a .mat file whose header, elsewhere a time stamp, is always the same."""
    from scipy.io import savemat  # imported here: other data sets are loaded without it

    stream = io.BytesIO()
    savemat(stream, variables, do_compression=True)
    with atomic_write(path) as partial, open(partial, 'wb') as file:
        file.write(HEADER + stream.getvalue()[len(HEADER) :])


def render(seed, index):
    """Draws picture `index`: an annotated person, or two (1 in 11), often with a passer-by (1 in 4)."""
    rng = np.random.default_rng([seed, index])
    # The first two pictures have one person each: two people make a train and a test set.
    if index > 1 and rng.random() < 0.09:
        poses = [sample_pose(rng, x * WIDTH, (85, 150)) for x in (0.27, 0.73)]
    else:
        poses = [sample_pose(rng, rng.uniform(0.27, 0.73) * WIDTH, (95, 235))]
    light = np.array([rng.choice([-1.0, 1.0]), 0.9])
    ambient = cv2.resize(rng.integers(95, 145, (3, 4), np.uint8), (WIDTH, HEIGHT))
    canvas = Canvas(background(rng), ambient, light)
    if rng.random() < 0.25:
        passer_by = sample_pose(rng, rng.choice([0.14, 0.5, 0.86]) * WIDTH, (70, 130))
        draw_person(canvas, rng, passer_by, sample_style(rng))
    for pose in poses:
        draw_person(canvas, rng, pose, sample_style(rng))
    return Picture(
        develop(rng, canvas),
        [to_flic(pose) for pose in poses],
        [torsobox(rng, pose) for pose in poses],
    )


def to_flic(pose):
    """Returns a Pose as FLIC has it: float64 [2, 29], NaN in columns without a label."""
    coords = np.full((2, 29), np.nan)
    for name, column in COLUMNS.items():
        coords[:, column] = pose.xy[name]
    return coords


def torsobox(rng, pose):
    """Returns a box around the torso, 2:3, as inexact as FLIC's detections: float32 [x1 y1 x2 y2]."""
    corners = [pose.xy[name] for name in ('lsho', 'rsho', 'lhip', 'rhip')]
    centre = np.mean(corners, axis=0)
    centre = centre + pose.size * rng.normal(0, (0.05, 0.08))
    half = pose.size * rng.normal(1, 0.1) * np.array([1 / 3, 1 / 2])
    return np.concatenate([centre - half, centre + half]).astype(np.float32)


# --- the pose -----------------------------------------------------------------------------------------------------


def sample_pose(rng, centre_x, sizes):
    """Draws a Pose in the frame, near column `centre_x`, with a torso of `sizes` pixels.

    The lowest joint of 1 in 100 is just below the frame.
    """
    while True:
        pose = upper_body(rng, rng.normal(centre_x, 45), np.exp(rng.uniform(*np.log(sizes))))
        joints_xy = np.stack([pose.xy[name] for name in COLUMNS])
        if (joints_xy >= 5).all() and (joints_xy <= (WIDTH - 6, HEIGHT - 6)).all():
            break
    if rng.random() < 0.01:
        down = np.array([0, HEIGHT + rng.uniform(1, 8) - joints_xy[:, 1].max()])
        pose = pose._replace(xy={name: point + down for name, point in pose.xy.items()})
    return pose


def upper_body(rng, x, size):
    """Draws an upper body: upright about the point between the shoulders, then leaned, scaled and moved."""
    yaw = np.clip(rng.normal(0, 0.42), -1, 1)
    backward = rng.random() < 0.065
    gaze = np.clip(yaw + rng.normal(0, 0.25), -0.85, 0.85)
    shoulder, hip = np.array([rng.normal(0.42, 0.025), rng.normal(0.315, 0.025)]) * np.cos(yaw)
    body = {}
    face = {
        'nose': (0.19 * np.sin(gaze), 0.05),
        'head': (0, 0),
        'head_x': (1, 0),
        'head_y': (0, 1),
    }
    for side, letter in letters(backward).items():
        body[letter + 'sho'] = np.array([side * shoulder, rng.normal(0, 0.02)])
        body[letter + 'hip'] = np.array([side * hip, 1 + rng.normal(0, 0.015)])
        body[letter + 'elb'], body[letter + 'wri'] = _arm(rng, body[letter + 'sho'], side)
        face[letter + 'eye'] = (0.165 * np.sin(gaze + 0.42 * side), -0.035)
    tilt = rotation(rng.normal(0, 7))
    for name, point in face.items():
        body[name] = tilt @ (point + np.array([0, -0.27])) + (0, -0.15)
    lean = rotation(rng.normal(0, 6)) * size
    # So high that no feet are in the frame.
    top = rng.uniform(max(0.66 * size, HEIGHT - 2.8 * size), HEIGHT - 1.05 * size)
    xy = {name: lean @ point + (x, top) for name, point in body.items()}
    return Pose(xy, size, yaw, gaze, backward)


def _arm(rng, shoulder, side):
    """Draws elbow and wrist; lengths vary as if some arms pointed at the camera."""
    _, upper, upper_sd, fore, fore_sd = ARMS[rng.choice(len(ARMS), p=ARMS[:, 0])]
    upper = np.radians(rng.normal(upper, upper_sd))
    fore = np.radians(rng.normal(fore, fore_sd))
    elbow = shoulder + rng.uniform(0.56, 0.72) * _direction(upper, side)
    wrist = elbow + rng.uniform(0.34, 0.58) * _direction(fore, side)
    return elbow, wrist


def _direction(angle, side):
    """The unit vector at an angle from hanging, outwards."""
    return np.array([side * np.sin(angle), np.cos(angle)])


def letters(backward):
    """Returns {side of the picture: the person's side there, 'l' or 'r'}."""
    return {1: 'r', -1: 'l'} if backward else {1: 'l', -1: 'r'}


def rotation(degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s], [s, c]])


# --- drawing tools ------------------------------------------------------------------------------------------------


def fill(image, points, colour):
    """Anti-aliased polygon, points [n, 2] (x, y) with fractions of a pixel."""
    cv2.fillPoly(
        image, [np.round(np.asarray(points) * 16).astype(np.int32)], colour, cv2.LINE_AA, 4
    )


def solid(canvas, outline, colour, relief, steps=5):
    """Fills a shape and lights it as if it were round, by ever smaller, brighter copies towards the light.

    outline: scale in (0, 1] -> polygon [n, 2]; relief: distance from the middle to the brightest line, pixels.
    """
    fill(canvas.image, outline(1), colour)
    fill(canvas.shade, outline(1) + 0.6 * relief * canvas.light, 98)  # its shadow on what is behind
    for t in np.arange(steps) / steps:
        fill(canvas.shade, outline(1 - 0.8 * t) - t * relief * canvas.light, 112 + 32 * t)


def limb(canvas, a, b, radius_a, radius_b, colour):
    """From a to b with round ends."""
    angle = np.arctan2(*(b - a)[::-1]) + np.linspace(np.pi / 2, 3 * np.pi / 2, 9)
    arc = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    solid(
        canvas,
        lambda s: np.concatenate([a + s * radius_a * arc, b - s * radius_b * arc]),
        colour,
        0.25 * radius_b,
    )


def ball(canvas, centre, axis_x, axis_y, colour):
    solid(
        canvas, lambda s: ellipse(centre, s * axis_x, s * axis_y), colour, 0.25 * np.hypot(*axis_x)
    )


def ellipse(centre, axis_x, axis_y):
    """Polygon [24, 2]; axis_x, axis_y: half axes as vectors."""
    angle = np.arange(24)[:, None] * (2 * np.pi / 24)
    return centre + np.cos(angle) * axis_x + np.sin(angle) * axis_y


def pick(rng, colours):
    """One of the colours, slightly varied."""
    return tuple(np.array(colours[rng.integers(len(colours))]) * rng.uniform(0.94, 1.05, 3))


def any_colour(rng, saturation, value):
    """RGB of any hue, saturation and value uniform within the two intervals."""
    return tuple(
        255 * c
        for c in colorsys.hsv_to_rgb(rng.random(), rng.uniform(*saturation), rng.uniform(*value))
    )


def lerp(a, b, t):
    return a + t * (b - a)


def darker(colour, factor=0.72):
    return tuple(factor * c for c in colour)


# --- the person ---------------------------------------------------------------------------------------------------


def sample_style(rng):
    """Draws a Style."""
    return Style(
        skin=pick(rng, SKINS),
        hair=pick(rng, HAIRS),
        top=any_colour(rng, (0.05, 0.75), (0.15, 0.95)),
        under=any_colour(rng, (0, 0.3), (0.75, 1)),
        trousers=any_colour(rng, (0.05, 0.5), (0.1, 0.6)),
        long_hair=rng.choice([0, 0.2, 0.42], p=[0.55, 0.15, 0.3]),
        beard=rng.random() < 0.15,
        sleeve=rng.choice([0.45, 0.9, 1.7], p=[0.12, 0.28, 0.6]),
        pattern=rng.choice(['plain', 'stripes', 'checks'], p=[0.7, 0.18, 0.12]),
        collar=rng.choice(['round', 'v', 'shirt', 'jacket'], p=[0.25, 0.2, 0.25, 0.3]),
    )


def draw_person(canvas, rng, pose, style):
    """From back to front: legs, the far arm of a turned person, torso, head, near arms."""
    sides = letters(pose.backward)
    far = [
        side for side in sides if (rng.random() < 0.6 if pose.backward else side * pose.yaw > 0.35)
    ]
    _draw_legs(canvas, pose, style)
    for side in far:
        _draw_arm(canvas, pose, style, sides[side])
    for draw in (_draw_torso, _draw_hair) if pose.backward else (_draw_hair, _draw_torso):
        draw(canvas, pose, style)
    _draw_head(canvas, pose, style)
    for side in sides:
        if side not in far:
            _draw_arm(canvas, pose, style, sides[side])


def _draw_legs(canvas, pose, style):
    """Down to the ankles of a whole body, else out of the frame."""
    middle = (pose.xy['lhip'] + pose.xy['rhip']) / 2
    for letter in 'lr':
        hip = lerp(middle, pose.xy[letter + 'hip'], 0.68)
        if letter + 'kne' in pose.xy:
            knee, ankle = pose.xy[letter + 'kne'], pose.xy[letter + 'ank']
            limb(
                canvas,
                ankle,
                ankle + (0.02 * pose.size, 0.09 * pose.size),
                0.07 * pose.size,
                0.09 * pose.size,
                darker(style.trousers, 0.5),
            )
            limb(canvas, knee, ankle, 0.13 * pose.size, 0.08 * pose.size, style.trousers)
            limb(canvas, hip, knee, 0.19 * pose.size, 0.13 * pose.size, style.trousers)
            continue
        foot = hip + 0.4 * (hip - middle) + (0, 2 * pose.size)
        limb(canvas, hip, foot, 0.19 * pose.size, 0.1 * pose.size, style.trousers)


def _draw_arm(canvas, pose, style, letter):
    """Skin from shoulder to hand, then the sleeve over as much of it as the style says."""
    shoulder, elbow, wrist = (pose.xy[letter + joint] for joint in ('sho', 'elb', 'wri'))
    radius = pose.size * np.array([0.098, 0.08, 0.056])
    hand = wrist + (wrist - elbow) / np.hypot(*(wrist - elbow)) * 0.11 * pose.size
    thumb = wrist + rotation(-40 if (letter == 'l') != pose.backward else 40) @ (hand - wrist)
    limb(canvas, shoulder, elbow, radius[0], radius[1], style.skin)
    limb(canvas, wrist, thumb, 0.4 * radius[2], 0.4 * radius[2], style.skin)
    limb(canvas, wrist, hand, radius[2], 1.1 * radius[2], style.skin)
    limb(canvas, elbow, wrist, radius[1], radius[2], style.skin)
    for k, (a, b) in enumerate(((shoulder, elbow), (elbow, wrist))):
        covered = np.clip(style.sleeve - k, 0, 1)
        if covered:
            end = radius[k] + covered * (radius[k + 1] - radius[k])
            limb(canvas, a, a + covered * (b - a), 1.1 * radius[k], 1.15 * end, style.top)


def _draw_hair(canvas, pose, style):
    """Long hair, falling behind the shoulders or, seen from the back, over them."""
    if style.long_hair:
        head, down = pose.xy['head'], pose.xy['head_y'] - pose.xy['head']
        limb(
            canvas,
            head,
            head + style.long_hair * down,
            0.185 * pose.size,
            0.2 * pose.size,
            style.hair,
        )


def _draw_torso(canvas, pose, style):
    """Neck, torso, its pattern, and from in front what the collar leaves open."""
    sides = letters(pose.backward)
    shoulders, hips = (
        [pose.xy[sides[side] + joint] for side in (-1, 1)] for joint in ('sho', 'hip')
    )

    def at(u, v):
        """Across u: -1 joints on the picture's left .. 1 right; down v: 0 shoulders .. 1 hips -> pixels [..., 2]."""
        u, v = (np.asarray(w, float)[..., None] for w in (u, v))
        return lerp(lerp(*shoulders, u / 2 + 0.5), lerp(*hips, u / 2 + 0.5), v)

    rows, widths = TORSO.T
    limb(
        canvas,
        lerp(at(0, 0), pose.xy['head'], 0.5),
        at(0, 0.02),
        0.1 * pose.size,
        0.13 * pose.size,
        style.skin,
    )
    solid(
        canvas,
        lambda s: np.concatenate([at(-widths * s, rows), at(widths[::-1] * s, rows[::-1])]),
        style.top,
        0.06 * pose.size,
        steps=9,
    )
    if style.pattern != 'plain':
        for v in np.arange(0.04, 1.05, 0.13):
            half = 0.98 * np.interp(v, rows, widths)
            fill(
                canvas.image,
                at([-half, half, half, -half], [v, v, v + 0.05, v + 0.05]),
                darker(style.top),
            )
    if style.pattern == 'checks':
        for u in np.linspace(-0.85, 0.75, 6):
            fill(canvas.image, at([u, u + 0.1, u + 0.1, u], [0, 0, 1.1, 1.1]), darker(style.top))
    if not pose.backward:
        _draw_collar(canvas.image, at, style, 0.35 * np.sin(pose.yaw))


def _draw_collar(image, at, style, turn):
    """The neck opening shows skin, or shirt and tie under a jacket; lapels and buttons.  turn: where the middle is."""
    depth = {'round': 0.05, 'v': 0.2, 'shirt': 0.13, 'jacket': 0.6}[style.collar]
    dark, jacket = darker(style.top, 0.8), style.collar == 'jacket'
    throat = at(
        [-0.3, 0.3, turn + 0.15, turn, turn - 0.15],
        [-0.18, -0.18, 0.55 * depth, 0.95 * depth, 0.55 * depth],
    )
    fill(image, throat, style.under if jacket else style.skin)
    if jacket:
        fill(image, at([-0.3, 0.3, turn], [-0.18, -0.18, 0.02]), style.skin)
        tie = at(
            [turn - 0.07, turn + 0.07, turn + 0.1, turn, turn - 0.1], [0.02, 0.02, 0.42, 0.5, 0.42]
        )
        fill(image, tie, style.trousers)
    if jacket or style.collar == 'shirt':
        for side in (-0.3, 0.3):
            fill(
                image,
                at([side, 1.6 * side, turn + side, turn], [-0.17, -0.11, 0.7 * depth, depth]),
                dark,
            )
        for v in np.arange(depth + 0.08, 1.05, 0.16):
            fill(
                image,
                ellipse(at(turn, v), at(0.03, 0) - at(0, 0), at(0, 0.013) - at(0, 0)),
                darker(dark, 0.6),
            )


def _draw_head(canvas, pose, style):
    """Hair, and from in front the face, which turns with the gaze."""
    centre, gaze, turn = pose.xy['head'], pose.gaze, np.sin(pose.gaze)
    x, y = (
        pose.xy['head_x'] - centre,
        pose.xy['head_y'] - centre,
    )  # across and down, one torso height long
    ball(canvas, centre - 0.02 * turn * x - 0.025 * y, 0.182 * x, 0.235 * y, style.hair)
    if pose.backward:
        return
    for side in (-1, 1):
        if side * turn < 0.4:
            ear = centre + (0.16 * side * np.cos(gaze) - 0.05 * turn) * x + 0.02 * y
            ball(canvas, ear, 0.028 * x, 0.05 * y, style.skin)
    ball(canvas, centre + 0.035 * turn * x + 0.035 * y, 0.15 * x, 0.205 * y, style.skin)
    front = centre + 0.165 * turn * x  # the middle line of the face
    if style.beard:
        fill(canvas.image, ellipse(front + 0.16 * y, 0.1 * x, 0.085 * y), style.hair)
    for eye in (pose.xy['leye'], pose.xy['reye']):
        fill(canvas.image, ellipse(eye, 0.034 * x, 0.02 * y), (245, 245, 240))
        fill(canvas.image, ellipse(eye + 0.012 * turn * x, 0.016 * x, 0.019 * y), (40, 28, 22))
        fill(
            canvas.image,
            ellipse(eye - 0.054 * y, 0.04 * x, 0.016 * y)[11:],
            darker(style.hair, 0.8),
        )  # brow
    nostrils = pose.xy['nose'] + 0.015 * y
    fill(
        canvas.image,
        [front - 0.03 * y, nostrils + 0.03 * x, nostrils - 0.03 * x],
        darker(style.skin, 0.86),
    )
    fill(canvas.image, ellipse(front + 0.122 * y, 0.05 * x, 0.032 * y)[:13], (165, 66, 66))  # mouth


# --- what surrounds it --------------------------------------------------------------------------------------------


def background(rng):
    """RGB uint8 [480, 720, 3]: a room or a street out of focus; drawn at half size, in five matching colours."""
    wall = np.array(any_colour(rng, (0.02, 0.32), (0.3, 0.85)))
    palette = [wall * brightness + rng.normal(0, 10, 3) for brightness in (0.5, 0.75, 1.15)]
    palette += [any_colour(rng, (0.2, 0.65), (0.25, 0.85)), pick(rng, SKINS)]
    size = (WIDTH // 2, HEIGHT // 2)
    patches = wall + rng.normal(0, 18, (4, 5, 1)) + rng.normal(0, 5, (4, 5, 3))
    image = cv2.resize(patches, size).clip(0, 255).astype(np.uint8)
    for _ in range(rng.integers(2, 6)):
        rng.choice([_draw_boxes, _draw_panels, _draw_leaves, _draw_rods])(rng, image, palette)
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 2))
    return cv2.resize(image, (WIDTH, HEIGHT))


def _draw_boxes(rng, image, palette):
    """Windows, pictures, furniture: framed rectangles."""
    for corner in rng.uniform(-40, (340, 220), (rng.integers(2, 7), 2)):
        size, frame = rng.uniform(20, (130, 150)), rng.uniform(1, 8)
        corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
        fill(image, corner + corners * size, pick(rng, palette))
        fill(image, corner + frame + corners * (size - 2 * frame), pick(rng, palette))


def _draw_panels(rng, image, palette):
    """Curtains, planks, shelves: a row of stripes, upright or lying."""
    (low, high), first, width, gap = (
        np.sort(rng.uniform(-40, 380, 2)),
        *rng.uniform((0, 4, 1), (200, 22, 12)),
    )
    upright, colours = rng.random() < 0.6, [pick(rng, palette) for _ in range(2)]
    for k, start in enumerate(np.arange(first, first + rng.uniform(60, 300), width + gap)):
        box = np.array([(start, low), (start + width, low), (start + width, high), (start, high)])
        fill(image, box if upright else box[:, ::-1], colours[k % 2])


def _draw_leaves(rng, image, palette):
    """Foliage, a crowd, lights: a cloud of ellipses."""
    centre, colours, largest = rng.uniform(0, (360, 240)), [pick(rng, palette)], rng.uniform(4, 16)
    for position in rng.normal(centre, (60, 45), (rng.integers(20, 60), 2)):
        axes = rotation(rng.uniform(0, 180)) * rng.uniform(2, largest, 2)
        fill(image, ellipse(position, *axes), pick(rng, colours))


def _draw_rods(rng, image, palette):
    """Poles, rails, branches: some as thick and coloured as arms, most upright or nearly level."""
    for start in rng.uniform(0, (360, 240), (rng.integers(1, 6), 2)):
        end = start + rotation(rng.choice([0, 90, 45]) + rng.normal(0, 15)) @ (
            0,
            rng.uniform(40, 250),
        )
        cv2.line(
            image,
            *np.int32([start, end]).tolist(),
            pick(rng, palette),
            int(rng.integers(1, 9)),
            cv2.LINE_AA,
        )


def develop(rng, canvas):
    """Canvas -> the photograph: light and its tint, a soft lens, grain."""
    shade = cv2.GaussianBlur(canvas.shade, (0, 0), 1.6)
    tint = rng.normal(1, 0.025, 3) * rng.uniform(0.85, 1.1)
    light = cv2.merge([cv2.convertScaleAbs(shade, alpha=t) for t in tint])
    image = cv2.multiply(canvas.image, light, scale=1 / 128)
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.1))
    grain, strength = rng.integers(0, 256, image.shape, np.uint8), rng.uniform(0.02, 0.12)
    return cv2.addWeighted(image, 1, grain, strength, -127.5 * strength)
