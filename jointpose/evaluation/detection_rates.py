"""FLIC's metric: detection rates at radii in % of a length of each person, as tables and with confidence intervals.

n people, k joints of FLIC's nine; coordinates are (x, y) in pixels of the frames.
"""

import os
from typing import NamedTuple

import numpy as np

from jointpose.datasets import flic, flic_plus
from jointpose.datasets.arrays import file_name, load_array
from jointpose.evaluation.predictions import Predictions
from jointpose.metrics.key_points import area_under_curve, detection_rate, normalised_errors
from jointpose.utils.errors import InputError
from jointpose.utils.tables import markdown

KINDS = {
    'shoulder': ('lsho', 'rsho'),
    'elbow': ('lelb', 'relb'),
    'wrist': ('lwri', 'rwri'),
    'hip': ('lhip', 'rhip'),
    'nose': ('nose',),
}
NORMALISERS = ('lhip-rsho', 'lsho-rhip', 'torsobox')
SIDES = ('swapped', 'annotated')
TABLE_RADII = (5, 10, 15, 20)

Errors = dict[str, np.ndarray]  # {model: errors [n, k] of normalised_errors}


class Truth(NamedTuple):
    """The true joints of one split."""

    joints_xy: np.ndarray  # [n, 9, 2]
    torsobox: np.ndarray  # [n, 4], x1 y1 x2 y2
    films: np.ndarray  # str [n]
    path: str  # of the file of joints


def read_truth(folder: str, manifest: dict, split: str, sides: str = SIDES[0]) -> Truth:
    """Reads joints_ and people_{split}_flic.npy; sides: one of SIDES, for people seen from behind."""
    path = os.path.join(folder, file_name('joints', split))
    joints_xy = load_array(folder, 'joints', split, manifest)
    people = load_array(folder, 'people', split, manifest)
    flic.check_joints(joints_xy, path)
    joints_xy = joints_xy[:, : flic.N_JOINTS]  # without the torso
    if sides == 'annotated':
        backward = people['backward'][:, None, None]
        joints_xy = np.where(backward, flic.swap_sides(joints_xy), joints_xy)
    films = [flic_plus.film_and_frame(file)[0] for file in people['file']]
    return Truth(joints_xy, people['torsobox'], np.array(films), path)


def normaliser_vectors(truth_xy, torsobox, name: str) -> np.ndarray:
    """Returns the vectors whose lengths errors are in % of: float64 [n, 2].

    truth_xy: [n, 9, 2].  torsobox: [n, 4], x1 y1 x2 y2.  name: one of NORMALISERS.
    """
    if name == 'torsobox':
        return np.subtract(torsobox[:, 2:], torsobox[:, :2], dtype=np.float64)
    return flic.normaliser(np.asarray(truth_xy, np.float64), name.split('-'))


def score(found: Predictions, truth: Truth, normaliser: str) -> Errors:
    """Returns the errors of each model; raises InputError if a person's normaliser has no length."""
    truth_xy = truth.joints_xy[found.rows]  # [n, 9, 2]
    vectors = normaliser_vectors(truth_xy, truth.torsobox[found.rows], normaliser)  # [n, 2]
    if not len(vectors):
        raise InputError(f'{truth.path}: there are no people to score')
    bad = ~(np.isfinite(vectors).all(axis=1) & vectors.any(axis=1))
    if bad.any():
        row = found.rows[np.argmax(bad)]
        raise InputError(
            f'{truth.path}: sample {row}: its normaliser {normaliser} is zero or not finite'
        )
    columns = [flic.JOINTS.index(joint) for joint in found.joints]
    truth_xy = truth_xy[:, columns]  # [n, k, 2]
    errors = {}
    for model, pred_xy in found.models.items():
        errors[model] = normalised_errors(pred_xy, truth_xy, vectors)
    return errors


def unlabelled(errors: Errors, joints) -> str:
    """Returns how many people lack a label of each joint: '3 lwri, 1 nose'; '' if all have one."""
    missing = np.isnan(next(iter(errors.values()))).sum(axis=0)
    return ', '.join(f'{n} {joint}' for joint, n in zip(joints, missing) if n)


# --- Tables.


def row_groups(joints) -> list[tuple[str, list[int]]]:
    """Returns the rows of a table, (label, columns that are averaged).

    They are each joint, the kinds of joints of which both sides are there, and the mean.
    """
    k = len(joints)
    groups = []
    for column, joint in enumerate(joints):
        groups.append((joint, [column]))
    for kind, sides in KINDS.items():
        if len(sides) == 2 and set(sides) <= set(joints):
            columns = [joints.index(side) for side in sides]
            groups.append((kind, columns))
    groups.append((f'mean of {k}', list(range(k))))
    return groups


def headline_groups(joints) -> list[tuple[str, list[int]]]:
    """Returns those of `row_groups` that pages quote: the kinds of joints and the mean."""
    *groups, mean = row_groups(joints)
    by_label = dict(groups)
    return [*((kind, by_label[kind]) for kind in KINDS if kind in by_label), mean]


def rate_table(errors: Errors, joints, normaliser: str, sides: str) -> str:
    """Returns a Markdown table with a row for each of `row_groups`, which ends with its recipe."""
    header = ['joint']
    columns = []
    for model, error in errors.items():
        first, *others = (f'@{radius}' for radius in TABLE_RADII)
        header += [f'{model} {first}', *others, 'AUC']
        columns += [detection_rate(error, radius) for radius in TABLE_RADII]
        columns.append(area_under_curve(error))
    values = np.stack(columns)  # [5 * models, k]

    recipe = [str(len(error)), normaliser, sides]
    rows = []
    for label, group in row_groups(joints):
        cells = [f'{value:.1f}' for value in values[:, group].mean(axis=1)]
        rows.append([label, *cells, *recipe])
    return markdown([*header, 'people', 'normaliser', 'sides'], rows)
