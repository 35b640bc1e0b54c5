"""Drawn people in FLIC's own format: everything can be tried without a download.

# synthetic_FLIC/examples.mat and synthetic_FLIC/images/*.jpg
flic_set.write('synthetic_FLIC', n=200, seed=0)
# One picture: a pure function of (seed, index).
picture = flic_set.render(seed=0, index=7)
"""

import io
import itertools
import os
from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator

from jointpose.datasets.flic import HEIGHT, WIDTH
from jointpose.datasets.synthetic.backgrounds import background
from jointpose.datasets.synthetic.canvas import Canvas, develop
from jointpose.datasets.synthetic.people import draw_person, sample_style
from jointpose.datasets.synthetic.poses import COLUMNS, Pose, sample_pose
from jointpose.utils import progress
from jointpose.utils.errors import InputError
from jointpose.utils.files import atomic_write

JPEG_QUALITY = 90
FRAME_STEP = 10  # FLIC takes every tenth frame of a film
# Instead of savemat's header, which holds the time.
HEADER = b'MATLAB 5.0 MAT-file, drawn by synthetic.py'.ljust(116)


class Picture(NamedTuple):
    """A drawn picture and its annotated people."""

    image: np.ndarray  # uint8 [480, 720, 3], RGB
    people: list[np.ndarray]  # float64 [2, 29] each: (x, y) in FLIC's columns
    torsoboxes: list[np.ndarray]  # float32 [4] each: x1 y1 x2 y2


def write(folder: str, n: int, seed: int) -> None:
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
