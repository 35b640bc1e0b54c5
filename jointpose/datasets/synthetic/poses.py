"""The poses of drawn upper bodies: landmarks in pixels.

Lengths without a unit are in torso heights (shoulders to hips).  `side` is +1 on the picture's
right, where a frontal person's LEFT arm is, and -1 on its left.
"""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from jointpose.datasets.flic import HEIGHT, WIDTH

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


class Pose(NamedTuple):
    """Where a person's landmarks are."""

    xy: dict[str, np.ndarray]  # {landmark: pixel [2]}
    size: float  # torso height, pixels
    yaw: float  # rotation of the body about the vertical, radians
    gaze: float  # rotation of the head, radians
    backward: bool  # seen from behind


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
