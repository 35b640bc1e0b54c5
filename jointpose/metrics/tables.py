"""Tables of PCK, PCKh and PCP, as publications on LSP and MPII print them.

Left and right are averaged.  Two last rows of key points: `symmetric mean`, the mean of these
averages (deeppose_tf's name; here without MPII's pelvis and thorax), and `mean`, over all labels
that are counted, as HRNet's evaluation of MPII weighs it.  The last row of parts is the mean over
the ten sticks.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from jointpose.metrics.key_points import Stick, pck, pcp
from jointpose.utils.tables import markdown

KINDS = {
    'head': ('head',),
    'neck': ('neck',),
    'shoulder': ('lsho', 'rsho'),
    'elbow': ('lelb', 'relb'),
    'wrist': ('lwri', 'rwri'),
    'hip': ('lhip', 'rhip'),
    'knee': ('lkne', 'rkne'),
    'ankle': ('lank', 'rank'),
}

# Each part is one stick, or one of each side; an end of a stick is the mean of some joints.
PARTS = {
    'torso': [(('lsho', 'rsho'), ('lhip', 'rhip'))],
    'head': [(('neck',), ('head',))],
    'upper arm': [(('lsho',), ('lelb',)), (('rsho',), ('relb',))],
    'forearm': [(('lelb',), ('lwri',)), (('relb',), ('rwri',))],
    'upper leg': [(('lhip',), ('lkne',)), (('rhip',), ('rkne',))],
    'lower leg': [(('lkne',), ('lank',)), (('rkne',), ('rank',))],
}
RADII = {'PCK': (0.1, 0.2), 'PCKh': (0.1, 0.5)}


class Table(NamedTuple):
    """A table of text."""

    title: str
    header: list[str]
    rows: list[list[str]]
    note: str = ''  # a line above it


def as_text(table: Table) -> str:
    """Returns the table in Markdown, below its note."""
    text = markdown(table.header, table.rows)
    return f'{table.note}\n\n{text}' if table.note else text


class Skeleton(Protocol):
    """What a table needs to know of a data set."""

    joints: Sequence[str]
    uncounted_joints: Sequence[str]  # left out of the mean over the joints


def pck_table(skeleton: Skeleton, name: str, unit, found, joints_xy, visible) -> Table:
    """Returns the table of PCK or PCKh at RADII[name].

    Args:
        unit: [n], pixels.
        found: {model: predicted joints [n, k, 2]}.
        joints_xy: the truth, [n, k, 2].
        visible: [n, k], 0 where unlabelled.
    """
    columns = []
    header = ['joint']
    for model, pred_xy in found.items():
        for radius in RADII[name]:
            header.append(f'{model} {name}@{radius:g}')
            rates, counts = pck(pred_xy, joints_xy, visible, unit, radius)
            columns.append(_pck_column(skeleton, rates, counts))
    return Table(name, header, table_rows([*KINDS, 'symmetric mean', 'mean'], columns))


def kind_groups(skeleton: Skeleton) -> list[tuple[str, list[int]]]:
    """Returns the rows of a table and the joints that each averages: kinds, other joints, the mean.

    Joints that the skeleton does not count are in none.
    """
    remaining = [joint for joint in skeleton.joints if joint not in skeleton.uncounted_joints]
    counted = list(map(skeleton.joints.index, remaining))
    groups = []
    for kind, sides in KINDS.items():
        if set(sides) <= set(remaining):
            groups.append((kind, [skeleton.joints.index(side) for side in sides]))
            remaining = [joint for joint in remaining if joint not in sides]
    groups += [(joint, [skeleton.joints.index(joint)]) for joint in remaining]
    return [*groups, (f'mean of {len(counted)}', counted)]


def _pck_column(skeleton, rates, counts):
    """A column of `pck_table` of rates [k] of counts [k] people: one value a kind, then both means."""
    of_kinds = []
    for sides in KINDS.values():
        columns = [skeleton.joints.index(side) for side in sides]
        of_kinds.append(average(rates[columns], counts[columns] > 0))
    symmetric = average(np.nan_to_num(of_kinds), np.isfinite(of_kinds))
    is_counted = [joint not in skeleton.uncounted_joints for joint in skeleton.joints]
    return [*of_kinds, symmetric, average(rates, counts * is_counted)]


def joint_table(
    skeleton: Skeleton, name: str, radius: float, unit, found, joints_xy, visible
) -> Table:
    """Returns the table of PCK at one radius by joint, whatever the joints are.

    The last row is the mean over the joints that are counted, as in a run's log.  Other arguments
    as of `pck_table`.
    """
    columns = []
    header = ['joint']
    counts = np.zeros(len(skeleton.joints), int)
    is_counted = np.array([joint not in skeleton.uncounted_joints for joint in skeleton.joints])
    for model, pred_xy in found.items():
        header.append(f'{model} {name}@{radius:g}')
        rates, counts = pck(pred_xy, joints_xy, visible, unit, radius)
        of_joints = np.where(counts > 0, rates, np.nan)
        columns.append([*of_joints, average(rates, is_counted & (counts > 0))])
    rows = table_rows([*skeleton.joints, 'mean'], columns)
    for row, count in zip(rows, [*counts, counts.sum()]):
        row.append(str(count))
    return Table(name, [*header, 'labelled'], rows)


def average(values, weights) -> float:
    """Returns the weighted mean; NaN if all weights are zero."""
    return np.average(values, weights=weights) if np.any(weights) else np.nan


def pcp_table(skeleton: Skeleton, found, joints_xy, visible) -> Table:
    """Returns the table of strict and relaxed PCP@0.5; arguments as of `pck_table`."""
    sticks = list(sticks_of(skeleton.joints).values())
    n_sticks = [len(part) for part in PARTS.values()]
    first = np.cumsum([0, *n_sticks])[:-1]

    columns = []
    header = ['part']
    for model, pred_xy in found.items():
        strict, relaxed, _ = pcp(pred_xy, joints_xy, visible, sticks)
        for kind, rates in (('strict', strict), ('relaxed', relaxed)):
            header.append(f'{model} {kind} PCP@0.5')
            of_parts = np.add.reduceat(rates, first) / n_sticks
            columns.append([*of_parts, rates.mean()])
    return Table('PCP', header, table_rows([*PARTS, 'total'], columns))


def sticks_of(joints: Sequence[str]) -> dict[str, Stick]:
    """Returns the sticks of PARTS in a skeleton: {name: its two ends}."""
    sticks = {}
    for part, of_part in PARTS.items():
        sides = ('left ', 'right ') if len(of_part) > 1 else ('',)
        for side, stick in zip(sides, of_part):
            first, last = (tuple(map(joints.index, end)) for end in stick)
            sticks[side + part] = (first, last)
    return sticks


def table_rows(labels, columns) -> list[list[str]]:
    """Returns rows of text: a label, then a value of each column; '-' for NaN and negative values."""
    rows = []
    for label, values in zip(labels, zip(*columns)):
        rows.append([label, *(f'{value:.1f}' if value >= 0 else '-' for value in values)])
    return rows
