"""Drawn six-legged beasts seen from above, with twelve key points: data.py --synthetic N --skeleton.

They show that nothing in the project needs a human body (own.py).  A beast has a spine that bends,
six legs with knees, two eyes; it heads anywhere within about 60 degrees of upwards.  Some pictures
have two or three of them, and in some a leaf covers a part.  What is drawn is a function of (seed,
index); the order of the random draws is part of the data set.

Lengths without a unit are in lengths of the beast, from nose to tail tip; t is a place on the spine,
0 at the nose, 1 at the tail tip.  Left is the beast's own left: -1.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator

from jointpose.datasets.flic import HEIGHT, WIDTH
from jointpose.datasets.synthetic import whole_bodies
from jointpose.datasets.synthetic.backgrounds import background
from jointpose.datasets.synthetic.canvas import (
    Canvas,
    Colour,
    any_colour,
    ball,
    darker,
    develop,
    ellipse,
    fill,
    limb,
    solid,
)
from jointpose.datasets.synthetic.poses import rotation
from jointpose.datasets.synthetic.whole_bodies import Body
from jointpose.vision.crops import VISIBLE

CATEGORY = 'beast'
PAIRS = ('front', 'middle', 'hind')  # of legs
SIDES = {'left': -1, 'right': 1}
JOINTS = (
    'nose',
    'neck',
    'rump',
    'tail_tip',
    'left_eye',
    'right_eye',
    'left_front_foot',
    'right_front_foot',
    'left_middle_foot',
    'right_middle_foot',
    'left_hind_foot',
    'right_hind_foot',
)
LIMBS = (
    ('nose', 'neck'),
    ('neck', 'rump'),
    ('rump', 'tail_tip'),
    ('left_eye', 'nose'),
    ('right_eye', 'nose'),
    ('left_front_foot', 'neck'),
    ('right_front_foot', 'neck'),
    ('left_middle_foot', 'neck'),
    ('right_middle_foot', 'neck'),
    ('left_hind_foot', 'rump'),
    ('right_hind_foot', 'rump'),
)

NECK = 0.2  # places on the spine
RUMP = 0.56
EYES = 0.075
STEPS = 40  # of the spine
# Half width of the body at places on the spine.
OUTLINE = np.array(
    [
        (0.0, 0.022),
        (0.04, 0.06),
        (0.1, 0.078),
        (0.17, 0.058),
        (0.26, 0.082),
        (0.4, 0.1),
        (0.54, 0.075),
        (0.64, 0.042),
        (0.8, 0.025),
        (1.0, 0.006),
    ]
)
# Where each pair of legs begins, and the mean angle of thigh and shin from straight outwards,
# degrees towards the head.
LEGS = {'front': (0.23, 25, 55), 'middle': (0.4, 5, -25), 'hind': (RUMP, -20, -60)}
LEG_WIDTH = 0.022  # half of it
LENGTHS = (150, 330)  # of a beast, pixels of the canvas
MARGIN = 6  # pixels between key points and the canvas's edge
MANY = 0.3  # share of the pictures with two or three beasts
LEAVES = 0.35  # share of the pictures with a leaf in front


class Beast(NamedTuple):
    """Where a beast's parts are, in pixels."""

    spine: np.ndarray  # [STEPS + 1, 2], from the nose to the tail tip
    across: np.ndarray  # [STEPS + 1, 2], unit vectors to the beast's right
    knees: dict[str, np.ndarray]  # {'left_front': [2], ...}
    xy: dict[str, np.ndarray]  # {key point: [2]}, JOINTS
    length: float


class Style(NamedTuple):
    """Colours and pattern, RGB."""

    skin: Colour
    belt: Colour  # of the pattern
    legs: Colour
    feet: Colour
    eyes: Colour
    pattern: str  # 'plain', 'bands' or 'spots'


# --- the pose -------------------------------------------------------------------------------------


def sample_beast(rng: Generator, x: float, y: float, lengths: tuple[float, float]) -> Beast:
    """Draws a pose about (x, y) with all key points on the canvas."""
    last = (WIDTH - MARGIN, HEIGHT - MARGIN)
    while True:
        length = np.exp(rng.uniform(*np.log(lengths)))
        beast = pose_at(rng, np.array([rng.normal(x, 40), rng.normal(y, 30)]), length)
        points = np.stack([beast.xy[name] for name in JOINTS])
        if (points >= MARGIN).all() and (points <= last).all():
            return beast


def pose_at(rng: Generator, middle: np.ndarray, length: float) -> Beast:
    """Draws a pose with the middle of the spine at a pixel [2]."""
    heading = np.clip(rng.normal(0, 35), -80, 80)  # degrees from upwards, clockwise
    bend = rng.normal(0, 40)  # from the neck to the rump
    curl = rng.normal(0, 70)  # of the tail
    t = np.arange(STEPS + 1) / STEPS
    turned = heading + bend * np.clip((t - NECK) / (RUMP - NECK), 0, 1)
    turned = turned + curl * np.clip((t - RUMP) / (1 - RUMP), 0, 1)
    angle = np.radians(turned)
    backwards = np.stack([-np.sin(angle), np.cos(angle)], axis=1)
    steps = length / STEPS * (backwards[:-1] + backwards[1:]) / 2
    spine = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
    spine = spine + middle - spine[STEPS // 2]
    across = np.stack([np.cos(angle), np.sin(angle)], axis=1)

    xy = {'nose': spine[0], 'tail_tip': spine[-1]}
    xy['neck'] = at(spine, NECK)
    xy['rump'] = at(spine, RUMP)
    for side, sign in SIDES.items():
        xy[f'{side}_eye'] = at(spine, EYES) + 0.052 * length * sign * at(across, EYES)
    knees = {}
    stride = rng.normal(0, 14)  # opposite legs move in opposite ways
    for pair, (place, thigh, shin) in LEGS.items():
        stride = -stride
        for side, sign in SIDES.items():
            turn = thigh + sign * stride + rng.normal(0, 8)
            shin_turn = turn + shin - thigh + rng.normal(0, 15)
            start = at(spine, place)
            outwards = at(across, place) * sign
            forwards = np.array([-outwards[1], outwards[0]]) * -sign
            knee = start + length * leg_vector(outwards, forwards, turn, rng.uniform(0.16, 0.2))
            knees[f'{side}_{pair}'] = knee
            foot = leg_vector(outwards, forwards, shin_turn, rng.uniform(0.11, 0.15))
            xy[f'{side}_{pair}_foot'] = knee + length * foot
    return Beast(spine, across, knees, xy, length)


def leg_vector(
    outwards: np.ndarray, forwards: np.ndarray, degrees: float, length: float
) -> np.ndarray:
    """A vector [2] of this length, so many degrees from outwards towards the head."""
    angle = np.radians(degrees)
    return length * (np.cos(angle) * outwards + np.sin(angle) * forwards)


def at(values: np.ndarray, t: float) -> np.ndarray:
    """Values along the spine [STEPS + 1, 2] at a place."""
    return values[round(t * STEPS)]


# --- the picture ----------------------------------------------------------------------------------


def sample_style(rng: Generator) -> Style:
    """Draws colours that can be told apart."""
    skin = any_colour(rng, (0.25, 0.75), (0.4, 0.95))
    return Style(
        skin=skin,
        belt=darker(skin, rng.choice([0.45, 1.35])),
        legs=darker(skin, rng.uniform(0.6, 0.95)),
        feet=any_colour(rng, (0.5, 0.9), (0.3, 1)),
        eyes=any_colour(rng, (0, 0.35), (0.85, 1)),
        pattern=rng.choice(['plain', 'bands', 'spots'], p=[0.3, 0.4, 0.3]),
    )


def draw_beast(canvas: Canvas, rng: Generator, beast: Beast, style: Style) -> None:
    """Draws a beast: legs, then body and pattern, then eyes."""
    _draw_legs(canvas, beast, style)
    solid(canvas, lambda scale: body_outline(beast, scale), style.skin, 0.03 * beast.length)
    _draw_pattern(canvas.image, rng, beast, style)
    radius = 0.026 * beast.length
    for side in SIDES:
        eye = beast.xy[f'{side}_eye']
        ball(canvas, eye, np.array([radius, 0]), np.array([0, radius]), style.eyes)
        forwards = beast.xy['nose'] - beast.xy['neck']
        pupil = eye + 0.3 * radius * forwards / np.hypot(*forwards)
        fill(canvas.image, ellipse(pupil, *np.diag([0.5 * radius] * 2)), (20, 18, 16))


def body_outline(beast: Beast, scale: float) -> np.ndarray:
    """The polygon [2 * (STEPS + 1), 2] of the body; scale: of its width."""
    t = np.arange(STEPS + 1) / STEPS
    half = scale * beast.length * np.interp(t, *OUTLINE.T)[:, None]
    right = beast.spine + half * beast.across
    left = beast.spine - half * beast.across
    return np.concatenate([left, right[::-1]])


def _draw_legs(canvas: Canvas, beast: Beast, style: Style) -> None:
    """Thighs, shins and feet with three toes."""
    width = LEG_WIDTH * beast.length
    for name, knee in beast.knees.items():
        foot = beast.xy[f'{name}_foot']
        start = at(beast.spine, LEGS[name.partition('_')[2]][0])
        limb(canvas, start, knee, 1.5 * width, width, style.legs)
        limb(canvas, knee, foot, width, 0.7 * width, style.legs)
        shin = (foot - knee) / np.hypot(*(foot - knee))
        for turn in (-40, 0, 40):
            toe = foot + 2.2 * width * rotation(turn) @ shin
            limb(canvas, foot, toe, 0.7 * width, 0.4 * width, style.feet)
        ball(canvas, foot, np.array([width, 0]), np.array([0, width]), style.feet)


def _draw_pattern(image: np.ndarray, rng: Generator, beast: Beast, style: Style) -> None:
    """Bands across the back and tail, or spots on the back."""
    if style.pattern == 'plain':
        return
    colour = tuple(np.clip(style.belt, 0, 255))
    if style.pattern == 'bands':
        outline = body_outline(beast, 0.92)
        for first in range(round(0.24 * STEPS), STEPS - 4, 5):
            left = outline[first : first + 3]
            right = outline[-first - 3 : -first]
            fill(image, np.concatenate([left, right]), colour)
        return
    for t in rng.uniform(0.24, 0.6, 9):
        offset = rng.uniform(-0.6, 0.6) * np.interp(t, *OUTLINE.T) * beast.length
        radius = rng.uniform(0.009, 0.02) * beast.length
        centre = at(beast.spine, t) + offset * at(beast.across, t)
        fill(image, ellipse(centre, *np.diag([radius] * 2)), colour)


def draw_leaf(canvas: Canvas, rng: Generator, beast: Beast) -> None:
    """Draws a leaf over a part of a beast."""
    target = beast.xy[JOINTS[rng.integers(len(JOINTS))]]
    centre = target + rng.normal(0, 0.08 * beast.length, 2)
    size = beast.length * rng.uniform(0.12, 0.24)
    x, y = rotation(rng.uniform(0, 180)) * size
    colour = (rng.uniform(30, 110), rng.uniform(90, 170), rng.uniform(20, 80))
    tip = centre + 1.25 * x
    stem = centre - 1.25 * x

    def outline(scale):
        side = 0.45 * scale * y
        return np.stack(
            [stem, centre - 0.5 * x + side, centre + 0.4 * x + side, tip]
            + [centre + 0.4 * x - side, centre - 0.5 * x - side]
        )

    solid(canvas, outline, colour, 0.05 * size)
    first, last = np.rint([stem, tip]).astype(int).tolist()
    cv2.line(canvas.image, first, last, darker(colour), max(1, round(size / 20)), cv2.LINE_AA)


def render(seed: int, index: int) -> tuple[np.ndarray, list[Body]]:
    """Draws picture `index`, RGB uint8 [h, w, 3], and the beasts in it.

    Key points that a nearer beast or a leaf covers are HIDDEN.
    """
    rng = np.random.default_rng([seed, index])
    # The first two pictures have one beast each: two beasts make a train and a test set.
    n = rng.integers(2, 3, endpoint=True) if index > 1 and rng.random() < MANY else 1
    light = np.array([rng.choice([-1.0, 1.0]), 0.9])
    ambient = cv2.resize(rng.integers(95, 145, (3, 4), np.uint8), (WIDTH, HEIGHT))
    canvas = Canvas(background(rng), ambient, light)
    lengths = LENGTHS if n == 1 else (LENGTHS[0], 0.75 * LENGTHS[1])
    bodies = []
    beast = None
    for place in rng.permutation(n):
        beast = sample_beast(rng, (place + 0.5) / n * WIDTH, HEIGHT / 2, lengths)
        before = canvas.image.copy()
        draw_beast(canvas, rng, beast, sample_style(rng))
        mask = (canvas.image != before).any(axis=-1)
        for other in bodies:
            whole_bodies.cover(other, mask)
        bodies.append(Body(beast.xy, dict.fromkeys(JOINTS, VISIBLE), mask))
    if beast and rng.random() < LEAVES:
        before = canvas.image.copy()
        draw_leaf(canvas, rng, beast)
        for body in bodies:
            whole_bodies.cover(body, (canvas.image != before).any(axis=-1))
    length = np.ptp(np.stack(list(bodies[0].xy.values())), axis=0).max()
    image = develop(rng, canvas)
    return whole_bodies.cut(rng, image, bodies, rng.uniform(160, 420) / length)
