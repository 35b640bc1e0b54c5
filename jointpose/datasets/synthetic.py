"""Drawn people in FLIC's own format: everything can be tried without a download.

    # synthetic_FLIC/examples.mat and synthetic_FLIC/images/*.jpg
    synthetic.write_flic('synthetic_FLIC', n=200, seed=0)
    # One picture: a pure function of (seed, index).
    picture = synthetic.render(seed=0, index=7)

Lengths without a unit are in torso heights (shoulders to hips).  `side` is +1 on the picture's
right, where a frontal person's LEFT arm is, and -1 on its left.  The order of the random draws is
part of the data set: another order gives other pictures.
"""

import colorsys
import io
import itertools
import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator

from jointpose.datasets.flic import HEIGHT, WIDTH
from jointpose.utils import progress
from jointpose.utils.errors import InputError
from jointpose.utils.files import atomic_write

# FLIC's columns of `coords`.
COLUMNS = {
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

Colour = tuple[float, ...]  # RGB, 0 to 255
Outline = Callable[[float], np.ndarray]  # scale in (0, 1] -> polygon [n, 2], pixels


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

    skin: Colour
    hair: Colour
    long_hair: float  # its length below the head, torso heights; 0: short
    beard: bool
    top: Colour  # what covers torso and arms
    under: Colour  # the shirt under a jacket
    trousers: Colour
    pattern: str  # of `top`: 'plain', 'stripes' or 'checks'
    sleeve: float  # where it ends: 1 the elbow, 2 the wrist
    collar: str  # one of COLLAR_DEPTHS


class Canvas(NamedTuple):
    """What is drawn on; both images are drawn into in place."""

    image: np.ndarray  # uint8 [h, w, 3]: flat colours, RGB
    shade: np.ndarray  # uint8 [h, w]: their brightness, 128 = 1
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
TORSO_OUTLINE = np.array(
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
# How deep the neck opening reaches, from the shoulders 0 to the hips 1.
COLLAR_DEPTHS = {
    'round': 0.05,
    'v': 0.2,
    'shirt': 0.13,
    'jacket': 0.6,
}
EYE = (245, 245, 240)
PUPIL = (40, 28, 22)
LIPS = (165, 66, 66)


# --- the set --------------------------------------------------------------------------------------


def write_flic(folder: str, n: int, seed: int) -> None:
    """Writes n >= 1 annotated people in FLIC's format: examples.mat and images/*.jpg in `folder`.

    The pictures are 720 x 480.  Pictures 1, 6, 11, ... are test pictures, the others training
    pictures.  The same (n, seed) gives the same bytes; a larger n only adds people.  Raises
    InputError, naming the file, where something cannot be written.
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


def _example(seed: int, index: int, coords: np.ndarray, torsobox: np.ndarray) -> dict:
    """Returns one element of FLIC's struct array.  coords: [2, 29]; torsobox: [4]."""
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


def write_jpeg(path: str, image: np.ndarray) -> None:
    """Writes an RGB picture, uint8 [h, w, 3]."""
    ok, encoded = cv2.imencode('.jpg', image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not ok:
        raise InputError(f'{path}: OpenCV cannot encode it')
    with atomic_write(path) as partial, open(partial, 'wb') as file:
        file.write(encoded)


def write_mat(path: str, examples: list[dict]) -> None:
    """Writes the struct array `examples` [1, n]."""
    dtype = [(key, object) for key in examples[0]]
    structs = np.array([tuple(example.values()) for example in examples], dtype)
    save_mat(path, {'examples': structs[None]})


def save_mat(path: str, variables: dict) -> None:
    """Writes a .mat file whose header, elsewhere a time stamp, is always the same."""
    from scipy.io import savemat  # imported here: other data sets are loaded without it

    stream = io.BytesIO()
    savemat(stream, variables, do_compression=True)
    with atomic_write(path) as partial, open(partial, 'wb') as file:
        file.write(HEADER + stream.getvalue()[len(HEADER) :])


def render(seed: int, index: int) -> Picture:
    """Draws picture `index`: one annotated person, or two (1 in 11).

    One picture in 4 has a passer-by, too, without annotation.
    """
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


def to_flic(pose: Pose) -> np.ndarray:
    """Returns a pose as FLIC has it: float64 [2, 29], NaN in columns without a label."""
    coords = np.full((2, 29), np.nan)
    for name, column in COLUMNS.items():
        coords[:, column] = pose.xy[name]
    return coords


def torsobox(rng: Generator, pose: Pose) -> np.ndarray:
    """Returns a box around the torso, 2:3, as inexact as FLIC's detections: float32 x1 y1 x2 y2."""
    corners = [pose.xy[name] for name in ('lsho', 'rsho', 'lhip', 'rhip')]
    middle = np.mean(corners, axis=0)
    middle = middle + pose.size * rng.normal(0, (0.05, 0.08))
    height = pose.size * rng.normal(1, 0.1)
    half = height * np.array([1 / 3, 1 / 2])
    return np.concatenate([middle - half, middle + half]).astype(np.float32)


# --- the pose -------------------------------------------------------------------------------------


def sample_pose(rng: Generator, centre_x: float, sizes: tuple[float, float]) -> Pose:
    """Draws a pose in the frame, near column `centre_x`.

    sizes: the least and the greatest height of the torso, pixels.  The lowest joint of 1 in 100 is
    just below the frame.
    """
    last = (WIDTH - 6, HEIGHT - 6)
    while True:
        x = rng.normal(centre_x, 45)
        size = np.exp(rng.uniform(*np.log(sizes)))
        pose = upper_body(rng, x, size)
        joints_xy = np.stack([pose.xy[name] for name in COLUMNS])
        if (joints_xy >= 5).all() and (joints_xy <= last).all():
            break
    if rng.random() < 0.01:
        lowest = joints_xy[:, 1].max()
        down = np.array([0, HEIGHT + rng.uniform(1, 8) - lowest])
        pose = pose._replace(xy={name: point + down for name, point in pose.xy.items()})
    return pose


def upper_body(rng: Generator, x: float, size: float) -> Pose:
    """Draws an upper body with its shoulders about column x and a torso of `size` pixels.

    It is made upright, the point between the shoulders at (0, 0), in torso heights.  Then it is
    leaned, scaled and moved.
    """
    yaw = np.clip(rng.normal(0, 0.42), -1, 1)
    backward = rng.random() < 0.065
    gaze = np.clip(yaw + rng.normal(0, 0.25), -0.85, 0.85)
    half_widths = np.array([rng.normal(0.42, 0.025), rng.normal(0.315, 0.025)])
    shoulder, hip = half_widths * np.cos(yaw)

    body = {}
    # About the middle of the head.
    face = {
        'nose': (0.19 * np.sin(gaze), 0.05),
        'head': (0, 0),
        'head_x': (1, 0),
        'head_y': (0, 1),
    }
    for side, letter in letters(backward).items():
        body[letter + 'sho'] = np.array([side * shoulder, rng.normal(0, 0.02)])
        body[letter + 'hip'] = np.array([side * hip, 1 + rng.normal(0, 0.015)])
        elbow, wrist = _arm(rng, body[letter + 'sho'], side)
        body[letter + 'elb'] = elbow
        body[letter + 'wri'] = wrist
        face[letter + 'eye'] = (0.165 * np.sin(gaze + 0.42 * side), -0.035)

    tilt = rotation(rng.normal(0, 7))
    for name, point in face.items():
        from_neck = point + np.array([0, -0.27])
        body[name] = tilt @ from_neck + (0, -0.15)

    lean = rotation(rng.normal(0, 6)) * size
    # So high that no feet are in the frame.
    highest = max(0.66 * size, HEIGHT - 2.8 * size)
    lowest = HEIGHT - 1.05 * size
    top = rng.uniform(highest, lowest)
    xy = {name: lean @ point + (x, top) for name, point in body.items()}
    return Pose(xy, size, yaw, gaze, backward)


def _arm(rng: Generator, shoulder: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws an elbow and a wrist.

    The lengths vary as if some arms pointed at the camera.
    """
    row = rng.choice(len(ARMS), p=ARMS[:, 0])
    _, upper_mean, upper_sd, forearm_mean, forearm_sd = ARMS[row]
    upper = np.radians(rng.normal(upper_mean, upper_sd))
    forearm = np.radians(rng.normal(forearm_mean, forearm_sd))
    elbow = shoulder + rng.uniform(0.56, 0.72) * direction(upper, side)
    wrist = elbow + rng.uniform(0.34, 0.58) * direction(forearm, side)
    return elbow, wrist


def direction(angle: float, side: int) -> np.ndarray:
    """The unit vector [2] at an angle from hanging, outwards, radians."""
    return np.array([side * np.sin(angle), np.cos(angle)])


def letters(backward: bool) -> dict[int, str]:
    """Returns {side of the picture: the person's side there, 'l' or 'r'}."""
    if backward:
        return {1: 'r', -1: 'l'}
    return {1: 'l', -1: 'r'}


def rotation(degrees: float) -> np.ndarray:
    """The matrix [2, 2] that turns (x, y) clockwise, as y points down."""
    angle = np.radians(degrees)
    c = np.cos(angle)
    s = np.sin(angle)
    return np.array([[c, -s], [s, c]])


# --- drawing tools --------------------------------------------------------------------------------


def fill(image: np.ndarray, points, colour) -> None:
    """Fills a polygon, points [n, 2] with fractions of a pixel, with smooth edges.

    colour: RGB, or one number for an image of one channel.
    """
    fraction_bits = 4  # OpenCV's coordinates are whole sixteenths of a pixel
    sixteenths = np.round(np.asarray(points) * 16).astype(np.int32)
    cv2.fillPoly(image, [sixteenths], colour, cv2.LINE_AA, fraction_bits)


def solid(canvas: Canvas, outline: Outline, colour: Colour, relief: float, steps: int = 5) -> None:
    """Fills a shape, and lights it as if it were round.

    The light is made of ever smaller, brighter copies, moved towards the light.

    Args:
        outline: returns the polygon [n, 2] at a scale in (0, 1].
        relief: distance from the middle to the brightest line, pixels.
        steps: number of copies.
    """
    whole = outline(1)
    fill(canvas.image, whole, colour)
    shadow = whole + 0.6 * relief * canvas.light  # on what is behind
    fill(canvas.shade, shadow, 98)
    for t in np.arange(steps) / steps:
        copy = outline(1 - 0.8 * t) - t * relief * canvas.light
        fill(canvas.shade, copy, 112 + 32 * t)


def limb(
    canvas: Canvas,
    start: np.ndarray,
    end: np.ndarray,
    start_radius: float,
    end_radius: float,
    colour: Colour,
) -> None:
    """Draws a limb with round ends between two pixels [2]; the radii are in pixels."""
    across, down = end - start
    angle = np.arctan2(down, across) + np.linspace(np.pi / 2, 3 * np.pi / 2, 9)
    arc = np.stack([np.cos(angle), np.sin(angle)], axis=1)  # [9, 2], the half circle around `start`

    def outline(scale):
        return np.concatenate([start + scale * start_radius * arc, end - scale * end_radius * arc])

    solid(canvas, outline, colour, relief=0.25 * end_radius)


def ball(
    canvas: Canvas, centre: np.ndarray, axis_x: np.ndarray, axis_y: np.ndarray, colour: Colour
) -> None:
    """Draws an ellipse that is lit as a ball.  axis_x, axis_y: its half axes as vectors."""

    def outline(scale):
        return ellipse(centre, scale * axis_x, scale * axis_y)

    solid(canvas, outline, colour, relief=0.25 * np.hypot(*axis_x))


def ellipse(centre: np.ndarray, axis_x: np.ndarray, axis_y: np.ndarray) -> np.ndarray:
    """Returns the polygon [24, 2] of an ellipse.  axis_x, axis_y: its half axes as vectors."""
    angle = np.arange(24)[:, None] * (2 * np.pi / 24)
    return centre + np.cos(angle) * axis_x + np.sin(angle) * axis_y


def pick(rng: Generator, colours: Sequence[Colour]) -> Colour:
    """One of the colours, slightly varied."""
    colour = np.array(colours[rng.integers(len(colours))])
    return tuple(colour * rng.uniform(0.94, 1.05, 3))


def any_colour(
    rng: Generator, saturations: tuple[float, float], values: tuple[float, float]
) -> Colour:
    """RGB of any hue, saturation and value uniform within the two intervals."""
    hue = rng.random()
    saturation = rng.uniform(*saturations)
    value = rng.uniform(*values)
    return tuple(255 * part for part in colorsys.hsv_to_rgb(hue, saturation, value))


def lerp(a, b, t):
    """Linear interpolation: a where t is 0, b where it is 1."""
    return a + t * (b - a)


def darker(colour: Colour, factor: float = 0.72) -> Colour:
    """The colour at a fraction of its brightness."""
    return tuple(factor * part for part in colour)


# --- the person -----------------------------------------------------------------------------------


def sample_style(rng: Generator) -> Style:
    """Draws skin, hair and clothes."""
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


def draw_person(canvas: Canvas, rng: Generator, pose: Pose, style: Style) -> None:
    """Draws a person from back to front.

    That is: legs, the far arm of a turned person, torso, head, near arms.  Seen from behind, hair
    falls over the torso, and arms are in front of it or behind it by chance.
    """
    far = []
    near = []
    for side, letter in letters(pose.backward).items():
        is_far = rng.random() < 0.6 if pose.backward else side * pose.yaw > 0.35
        (far if is_far else near).append(letter)

    _draw_legs(canvas, pose, style)
    for letter in far:
        _draw_arm(canvas, pose, style, letter)
    if pose.backward:
        _draw_torso(canvas, pose, style)
        _draw_hair(canvas, pose, style)
    else:
        _draw_hair(canvas, pose, style)
        _draw_torso(canvas, pose, style)
    _draw_head(canvas, pose, style)
    for letter in near:
        _draw_arm(canvas, pose, style, letter)


def _draw_legs(canvas: Canvas, pose: Pose, style: Style) -> None:
    """Draws both legs: to the ankles of a whole body, else out of the frame."""
    size = pose.size
    middle = (pose.xy['lhip'] + pose.xy['rhip']) / 2
    for letter in 'lr':
        hip = lerp(middle, pose.xy[letter + 'hip'], 0.68)
        if letter + 'kne' not in pose.xy:
            foot = hip + 0.4 * (hip - middle) + (0, 2 * size)
            limb(canvas, hip, foot, 0.19 * size, 0.1 * size, style.trousers)
            continue
        knee = pose.xy[letter + 'kne']
        ankle = pose.xy[letter + 'ank']
        toes = ankle + (0.02 * size, 0.09 * size)
        limb(canvas, ankle, toes, 0.07 * size, 0.09 * size, darker(style.trousers, 0.5))
        limb(canvas, knee, ankle, 0.13 * size, 0.08 * size, style.trousers)
        limb(canvas, hip, knee, 0.19 * size, 0.13 * size, style.trousers)


def _draw_arm(canvas: Canvas, pose: Pose, style: Style, letter: str) -> None:
    """Draws skin from shoulder to hand, then the sleeve over as much of it as the style says."""
    shoulder = pose.xy[letter + 'sho']
    elbow = pose.xy[letter + 'elb']
    wrist = pose.xy[letter + 'wri']
    along = (wrist - elbow) / np.hypot(*(wrist - elbow))
    hand = wrist + along * 0.11 * pose.size
    on_right_of_picture = (letter == 'l') != pose.backward
    thumb = wrist + rotation(-40 if on_right_of_picture else 40) @ (hand - wrist)

    radii = pose.size * np.array([0.098, 0.08, 0.056])  # at shoulder, elbow and wrist
    thumb_radius = 0.4 * radii[2]
    limb(canvas, shoulder, elbow, radii[0], radii[1], style.skin)
    limb(canvas, wrist, thumb, thumb_radius, thumb_radius, style.skin)
    limb(canvas, wrist, hand, radii[2], 1.1 * radii[2], style.skin)
    limb(canvas, elbow, wrist, radii[1], radii[2], style.skin)

    ends = (shoulder, elbow, wrist)
    for k in range(2):
        covered = np.clip(style.sleeve - k, 0, 1)  # fraction of the upper arm, of the forearm
        if covered:
            end = lerp(ends[k], ends[k + 1], covered)
            end_radius = lerp(radii[k], radii[k + 1], covered)
            limb(canvas, ends[k], end, 1.1 * radii[k], 1.15 * end_radius, style.top)


def _draw_hair(canvas: Canvas, pose: Pose, style: Style) -> None:
    """Draws long hair, which falls behind the shoulders or, seen from the back, over them."""
    if style.long_hair:
        head = pose.xy['head']
        down = pose.xy['head_y'] - head
        end = head + style.long_hair * down
        limb(canvas, head, end, 0.185 * pose.size, 0.2 * pose.size, style.hair)


class Torso(NamedTuple):
    """The corners of a torso, pixels [2] each; left and right are the picture's."""

    left_shoulder: np.ndarray
    right_shoulder: np.ndarray
    left_hip: np.ndarray
    right_hip: np.ndarray

    def pixels(self, across, down) -> np.ndarray:
        """Pixels [..., 2] of points given in the torso's own coordinates, [...] each.

        across: -1 at the joints on the picture's left, 1 at those on its right.
        down: 0 at the shoulders, 1 at the hips.
        """
        t = np.asarray(across, float)[..., None] / 2 + 0.5
        v = np.asarray(down, float)[..., None]
        between_shoulders = lerp(self.left_shoulder, self.right_shoulder, t)
        between_hips = lerp(self.left_hip, self.right_hip, t)
        return lerp(between_shoulders, between_hips, v)


def _draw_torso(canvas: Canvas, pose: Pose, style: Style) -> None:
    """Draws neck and torso, its pattern and, from in front, what the collar leaves open."""
    sides = letters(pose.backward)
    torso = Torso(
        left_shoulder=pose.xy[sides[-1] + 'sho'],
        right_shoulder=pose.xy[sides[1] + 'sho'],
        left_hip=pose.xy[sides[-1] + 'hip'],
        right_hip=pose.xy[sides[1] + 'hip'],
    )
    rows, widths = TORSO_OUTLINE.T

    def outline(scale):
        left = torso.pixels(-widths * scale, rows)
        right = torso.pixels(widths[::-1] * scale, rows[::-1])
        return np.concatenate([left, right])

    neck = lerp(torso.pixels(0, 0), pose.xy['head'], 0.5)
    throat = torso.pixels(0, 0.02)
    limb(canvas, neck, throat, 0.1 * pose.size, 0.13 * pose.size, style.skin)
    solid(canvas, outline, style.top, relief=0.06 * pose.size, steps=9)
    if style.pattern in ('stripes', 'checks'):
        _draw_stripes(canvas.image, torso, darker(style.top))
    if style.pattern == 'checks':
        for u in np.linspace(-0.85, 0.75, 6):
            band = torso.pixels([u, u + 0.1, u + 0.1, u], [0, 0, 1.1, 1.1])
            fill(canvas.image, band, darker(style.top))
    if not pose.backward:
        _draw_collar(canvas.image, torso, style, turn=0.35 * np.sin(pose.yaw))


def _draw_stripes(image: np.ndarray, torso: Torso, colour: Colour) -> None:
    """Draws stripes across a torso."""
    rows, widths = TORSO_OUTLINE.T
    for v in np.arange(0.04, 1.05, 0.13):
        half = 0.98 * np.interp(v, rows, widths)
        stripe = torso.pixels([-half, half, half, -half], [v, v, v + 0.05, v + 0.05])
        fill(image, stripe, colour)


def _draw_collar(image: np.ndarray, torso: Torso, style: Style, turn: float) -> None:
    """Draws the neck opening, which shows skin, or shirt and tie under a jacket; lapels, buttons.

    turn: where the middle of the chest is, in the torso's own coordinates.
    """
    depth = COLLAR_DEPTHS[style.collar]
    jacket = style.collar == 'jacket'
    opening = torso.pixels(
        [-0.3, 0.3, turn + 0.15, turn, turn - 0.15],
        [-0.18, -0.18, 0.55 * depth, 0.95 * depth, 0.55 * depth],
    )
    fill(image, opening, style.under if jacket else style.skin)
    if jacket:
        throat = torso.pixels([-0.3, 0.3, turn], [-0.18, -0.18, 0.02])
        fill(image, throat, style.skin)
        tie = torso.pixels(
            [turn - 0.07, turn + 0.07, turn + 0.1, turn, turn - 0.1],
            [0.02, 0.02, 0.42, 0.5, 0.42],
        )
        fill(image, tie, style.trousers)
    if jacket or style.collar == 'shirt':
        _draw_lapels(image, torso, darker(style.top, 0.8), turn, depth)


def _draw_lapels(
    image: np.ndarray, torso: Torso, colour: Colour, turn: float, depth: float
) -> None:
    """Draws two lapels, or the sides of a shirt's collar, and the buttons below them."""
    for side in (-0.3, 0.3):
        lapel = torso.pixels(
            [side, 1.6 * side, turn + side, turn],
            [-0.17, -0.11, 0.7 * depth, depth],
        )
        fill(image, lapel, colour)
    origin = torso.pixels(0, 0)
    axis_x = torso.pixels(0.03, 0) - origin
    axis_y = torso.pixels(0, 0.013) - origin
    for v in np.arange(depth + 0.08, 1.05, 0.16):
        fill(image, ellipse(torso.pixels(turn, v), axis_x, axis_y), darker(colour, 0.6))


def _draw_head(canvas: Canvas, pose: Pose, style: Style) -> None:
    """Draws hair and, from in front, ears and face, which turn with the gaze."""
    centre = pose.xy['head']
    x = pose.xy['head_x'] - centre  # across, one torso height long
    y = pose.xy['head_y'] - centre  # down, one torso height long
    turn = np.sin(pose.gaze)
    ball(canvas, centre - 0.02 * turn * x - 0.025 * y, 0.182 * x, 0.235 * y, style.hair)
    if pose.backward:
        return
    for side in (-1, 1):
        if sees_ear(pose, side):
            ball(canvas, ear_position(pose, side), 0.028 * x, 0.05 * y, style.skin)
    ball(canvas, centre + 0.035 * turn * x + 0.035 * y, 0.15 * x, 0.205 * y, style.skin)
    _draw_face(canvas.image, pose, style, x, y)


def ear_position(pose: Pose, side: int) -> np.ndarray:
    """The pixel [2] in the middle of an ear."""
    centre = pose.xy['head']
    x = pose.xy['head_x'] - centre
    y = pose.xy['head_y'] - centre
    across = 0.16 * side * np.cos(pose.gaze) - 0.05 * np.sin(pose.gaze)
    return centre + across * x + 0.02 * y


def sees_ear(pose: Pose, side: int) -> bool:
    """Whether an ear is not turned away."""
    return side * np.sin(pose.gaze) < 0.4


def _draw_face(image: np.ndarray, pose: Pose, style: Style, x: np.ndarray, y: np.ndarray) -> None:
    """Draws beard, eyes, nose and mouth.

    x, y: the head's axes, across and down, one torso height long, pixels [2].
    """
    turn = np.sin(pose.gaze)
    front = pose.xy['head'] + 0.165 * turn * x  # the middle line of the face
    if style.beard:
        fill(image, ellipse(front + 0.16 * y, 0.1 * x, 0.085 * y), style.hair)
    for eye in (pose.xy['leye'], pose.xy['reye']):
        pupil = eye + 0.012 * turn * x
        fill(image, ellipse(eye, 0.034 * x, 0.02 * y), EYE)
        fill(image, ellipse(pupil, 0.016 * x, 0.019 * y), PUPIL)
        brow = ellipse(eye - 0.054 * y, 0.04 * x, 0.016 * y)[11:]  # the upper half
        fill(image, brow, darker(style.hair, 0.8))
    nostrils = pose.xy['nose'] + 0.015 * y
    nose = [front - 0.03 * y, nostrils + 0.03 * x, nostrils - 0.03 * x]
    fill(image, nose, darker(style.skin, 0.86))
    mouth = ellipse(front + 0.122 * y, 0.05 * x, 0.032 * y)[:13]  # the lower half
    fill(image, mouth, LIPS)


# --- what surrounds it ----------------------------------------------------------------------------


def background(rng: Generator) -> np.ndarray:
    """Draws a room or a street out of focus, in five matching colours: RGB uint8 [480, 720, 3].

    It is drawn at half size.
    """
    wall = np.array(any_colour(rng, (0.02, 0.32), (0.3, 0.85)))
    palette = [wall * brightness + rng.normal(0, 10, 3) for brightness in (0.5, 0.75, 1.15)]
    palette.append(any_colour(rng, (0.2, 0.65), (0.25, 0.85)))
    palette.append(pick(rng, SKINS))

    brightness = rng.normal(0, 18, (4, 5, 1))
    tint = rng.normal(0, 5, (4, 5, 3))
    patches = wall + brightness + tint
    image = cv2.resize(patches, (WIDTH // 2, HEIGHT // 2))
    image = image.clip(0, 255).astype(np.uint8)

    kinds = [_draw_boxes, _draw_panels, _draw_leaves, _draw_rods]
    for _ in range(rng.integers(2, 6)):
        draw = rng.choice(kinds)
        draw(rng, image, palette)
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 2))
    return cv2.resize(image, (WIDTH, HEIGHT))


def _draw_boxes(rng: Generator, image: np.ndarray, palette: list[Colour]) -> None:
    """Draws windows, pictures, furniture: framed rectangles."""
    unit_square = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    n = rng.integers(2, 7)
    for corner in rng.uniform(-40, (340, 220), (n, 2)):
        size = rng.uniform(20, (130, 150))
        frame = rng.uniform(1, 8)
        outer = corner + unit_square * size
        inner = corner + frame + unit_square * (size - 2 * frame)
        fill(image, outer, pick(rng, palette))
        fill(image, inner, pick(rng, palette))


def _draw_panels(rng: Generator, image: np.ndarray, palette: list[Colour]) -> None:
    """Draws curtains, planks, shelves: a row of stripes, upright or lying."""
    low, high = np.sort(rng.uniform(-40, 380, 2))
    first, width, gap = rng.uniform((0, 4, 1), (200, 22, 12))
    upright = rng.random() < 0.6
    colours = [pick(rng, palette) for _ in range(2)]
    last = first + rng.uniform(60, 300)
    for k, start in enumerate(np.arange(first, last, width + gap)):
        end = start + width
        panel = np.array([(start, low), (end, low), (end, high), (start, high)])
        if not upright:
            panel = panel[:, ::-1]
        fill(image, panel, colours[k % 2])


def _draw_leaves(rng: Generator, image: np.ndarray, palette: list[Colour]) -> None:
    """Draws foliage, a crowd, lights: a cloud of ellipses of about one colour."""
    middle = rng.uniform(0, (360, 240))
    colour = pick(rng, palette)
    largest = rng.uniform(4, 16)
    n = rng.integers(20, 60)
    for position in rng.normal(middle, (60, 45), (n, 2)):
        directions = rotation(rng.uniform(0, 180))
        axis_x, axis_y = directions * rng.uniform(2, largest, 2)
        fill(image, ellipse(position, axis_x, axis_y), pick(rng, [colour]))


def _draw_rods(rng: Generator, image: np.ndarray, palette: list[Colour]) -> None:
    """Draws poles, rails, branches: some as thick and coloured as arms.

    Most are upright, nearly level or at 45 degrees.
    """
    n = rng.integers(1, 6)
    for start in rng.uniform(0, (360, 240), (n, 2)):
        angle = rng.choice([0, 90, 45]) + rng.normal(0, 15)
        length = rng.uniform(40, 250)
        end = start + rotation(angle) @ (0, length)
        start_pixel, end_pixel = np.int32([start, end]).tolist()
        colour = pick(rng, palette)
        thickness = int(rng.integers(1, 9))
        cv2.line(image, start_pixel, end_pixel, colour, thickness, cv2.LINE_AA)


def develop(rng: Generator, canvas: Canvas) -> np.ndarray:
    """Makes the photograph of a canvas, RGB uint8 [h, w, 3]: tinted light, a soft lens, grain."""
    shade = cv2.GaussianBlur(canvas.shade, (0, 0), 1.6)
    tint = rng.normal(1, 0.025, 3)
    tint = tint * rng.uniform(0.85, 1.1)
    light = cv2.merge([cv2.convertScaleAbs(shade, alpha=factor) for factor in tint])
    image = cv2.multiply(canvas.image, light, scale=1 / 128)
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.1))
    grain = rng.integers(0, 256, image.shape, np.uint8)
    strength = rng.uniform(0.02, 0.12)
    return cv2.addWeighted(image, 1, grain, strength, -127.5 * strength)
