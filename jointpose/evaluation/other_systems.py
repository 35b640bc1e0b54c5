"""Other systems' predictions of FLIC's test people: files of one array, in any order of its axes."""

import argparse
import itertools
import os

import numpy as np

from jointpose.datasets.flic import JOINTS
from jointpose.evaluation import predictions
from jointpose.evaluation.detection_rates import SIDES, Truth
from jointpose.evaluation.predictions import Predictions
from jointpose.utils.cli import closest_name
from jointpose.utils.counts import counted
from jointpose.utils.errors import InputError

FLIC_FILE_JOINTS = 'lsho,lelb,lwri,rsho,relb,rwri,lhip,rhip,leye,reye,nose'


def joint_names(text: str) -> tuple[str, ...]:
    """argparse type: 'lsho,lelb' -> ('lsho', 'lelb').

    Names that are none of FLIC's joints are allowed, unless they look like a misspelt one.
    """
    names = tuple(name.strip() for name in text.split(','))
    if '' in names or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f'must be different names, got {text!r}')
    if not set(names) & set(JOINTS):
        raise argparse.ArgumentTypeError(f'must name some of {",".join(JOINTS)}, got {text!r}')
    for name in set(names) - set(JOINTS):
        near = closest_name(name, JOINTS)
        if near and near not in names:
            raise argparse.ArgumentTypeError(
                f'must have the names {",".join(JOINTS)}, got {name!r}; did you mean {near}?'
            )
    return names


def read(path: str, key: str | None, names, n_people: int) -> Predictions:
    """Reads the predictions of all test people.

    Args:
        path: a .mat or .npz file.
        key: the name of its variable; None: see `find_key`.
        names: its joints in order.  Those that are none of FLIC's are ignored; a joint that is zero
            throughout is taken for not predicted.
        n_people: the number of test people.
    """
    variables = predictions.load_variables(path)
    pred_xy = orient(variables[find_key(variables, key, path)], len(names), n_people, path)
    joints = []
    for joint in JOINTS:
        if joint in names and pred_xy[:, names.index(joint)].any():
            joints.append(joint)
    if not joints:
        raise InputError(f'{path}: predicts none of {", ".join(JOINTS)}')
    pred_xy = pred_xy[:, [names.index(joint) for joint in joints]]  # [n, k, 2]
    predictions.check_finite(pred_xy, joints, path)
    model = os.path.splitext(os.path.basename(path))[0]
    return Predictions({model: pred_xy}, tuple(joints), np.arange(n_people), 'test', '')


def find_key(variables: dict, key: str | None, path: str) -> str:
    """Returns the name of the predictions' variable: `key`, else the only numeric one of 3 axes, else `pred`."""
    numeric = [name for name, value in variables.items() if predictions.is_numeric(value, 3)]
    if key is None:
        key = numeric[0] if len(numeric) == 1 else 'pred'
    if key not in numeric:
        raise InputError(
            f'{path}: `{key}` is not a numeric array with 3 axes; the file has '
            f'{", ".join(numeric) or "none"} (choose with --key)'
        )
    return key


def orient(pred, n_joints: int, n_people: int, path: str) -> np.ndarray:
    """Returns an array with axes of 2, n_joints and n_people in any order as [n_people, n_joints, 2]."""
    wanted = (n_people, n_joints, 2)
    orders = []
    for order in itertools.permutations(range(3)):
        if tuple(pred.shape[axis] for axis in order) == wanted:
            orders.append(order)
    if len(orders) != 1:
        reason = 'is ambiguous for' if orders else 'does not fit (see --joints)'
        raise InputError(
            f'{path}: shape {pred.shape} {reason} 2 coordinates, {n_joints} joints, '
            f'{counted(n_people, "person")}'
        )
    return pred.transpose(orders[0])


def count_side_conventions(found: Predictions, truths: dict[str, Truth]) -> tuple[int, int]:
    """Counts the people seen from behind whose sides a file has as annotated, and the other way round.

    The sides are those to which all joints together are nearer.  truths: of each of SIDES.
    """
    columns = [JOINTS.index(joint) for joint in found.joints]
    swapped_xy, annotated_xy = (truths[side].joints_xy[found.rows][:, columns] for side in SIDES)
    differ = (swapped_xy != annotated_xy) & ~np.isnan(swapped_xy)
    behind = differ.any(axis=(1, 2))
    (found_xy,) = found.models.values()
    to_annotated = _total_distance(found_xy, annotated_xy)[behind]
    to_swapped = _total_distance(found_xy, swapped_xy)[behind]
    n_annotated = int((to_annotated < to_swapped).sum())
    return n_annotated, int(behind.sum()) - n_annotated


def _total_distance(found_xy, truth_xy):
    """[n, k, 2] each -> [n]: the sum over the labelled joints."""
    return np.nansum(np.linalg.norm(found_xy - truth_xy, axis=-1), axis=1)
