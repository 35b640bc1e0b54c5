"""Drawn people: skin, hair, clothes and face around a pose.

Lengths without a unit are in torso heights; `side` is that of poses.py.
"""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from jointpose.datasets.synthetic.canvas import (
    Canvas,
    Colour,
    any_colour,
    ball,
    darker,
    ellipse,
    fill,
    lerp,
    limb,
    pick,
    solid,
)
from jointpose.datasets.synthetic.poses import Pose, letters, rotation

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
