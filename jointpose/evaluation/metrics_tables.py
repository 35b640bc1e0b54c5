"""What each data set's publications measure predictions by, as tables (title, header, rows of text): PCK, PCKh and PCP
of LSP, PCKh of MPII, average precision by OKS of COCO.  FLIC's curves are evaluate.py's.

LSP has no head boxes: its PCKh is in lengths of the head segment, from neck to top of the head, as deeppose_tf's
(poseevaluation/pcp.py, eval_pckh).  MPII's is in 0.6 of the head box's diagonal, three quarters of that segment.
"""

import contextlib
import io

import numpy as np

from jointpose import datasets
from jointpose.datasets import coco, records
from jointpose.evaluation.metrics import pck, pcp

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
STICKS = {
    'torso': [(('lsho', 'rsho'), ('lhip', 'rhip'))],
    'head': [(('neck',), ('head',))],
    **{
        kind: [((side + a,), (side + b,)) for side in 'lr']
        for kind, a, b in (
            ('upper arm', 'sho', 'elb'),
            ('forearm', 'elb', 'wri'),
            ('upper leg', 'hip', 'kne'),
            ('lower leg', 'kne', 'ank'),
        )
    },
}
HEAD = ('neck', 'head')
RADII = {'PCK': (0.1, 0.2), 'PCKh': (0.1, 0.5)}
NOWHERE = -1e6  # pixels; as far from everybody as to be nobody
PRECISIONS = (
    'AP',
    'AP .5',
    'AP .75',
    'AP medium',
    'AP large',
    'AR',
    'AR .5',
    'AR .75',
    'AR medium',
    'AR large',
)


def tables(dataset, found, joints_xy, people):
    """[(title, header, rows)] of single people's joints; found: {model: [n, k, 2]}; the truth: [n, k, 2], records [n].

    Left and right are averaged.  The last rows of key points are the mean of these averages (deeppose_tf's symmetric
    mean, here without MPII's pelvis and thorax) and that over all labels that are counted (as HRNet's evaluation of
    MPII weighs it), of parts the mean over the ten sticks.
    """
    body, visible = datasets.load(dataset), people['visible']
    made = [key_points(body, body.MEASURE.split('@')[0], people['unit'], found, joints_xy, visible)]
    if dataset == 'lsp':
        head = records.distance(joints_xy, visible, *map(body.JOINTS.index, HEAD))
        made += [
            key_points(body, 'PCKh', head, found, joints_xy, visible),
            parts(body, found, joints_xy, visible),
        ]
    return made


def key_points(body, name, unit, found, joints_xy, visible):
    """One of `tables`: PCK, or PCKh, at some radii; unit: [n] pixels."""
    columns, kinds = [], [list(map(body.JOINTS.index, sides)) for sides in KINDS.values()]
    for pred_xy in found.values():
        for radius in RADII[name]:
            rates, counts = pck(pred_xy, joints_xy, visible, unit, radius)
            of_kinds = [average(rates[sides], counts[sides] > 0) for sides in kinds]
            symmetric = average(np.nan_to_num(of_kinds), np.isfinite(of_kinds))
            counts = counts * [joint not in body.UNCOUNTED for joint in body.JOINTS]
            columns.append([*of_kinds, symmetric, average(rates, counts)])
    header = ['joint', *(f'{model} {name}@{radius:g}' for model in found for radius in RADII[name])]
    return name, header, table_rows([*KINDS, 'symmetric mean', 'mean'], columns)


def average(values, weights):
    """Not a number where nothing has any weight."""
    return np.average(values, weights=weights) if np.any(weights) else np.nan


def parts(body, found, joints_xy, visible):
    """One of `tables`: strict and relaxed PCP@0.5."""
    sticks = [
        tuple(tuple(map(body.JOINTS.index, end)) for end in stick)
        for some in STICKS.values()
        for stick in some
    ]
    first = np.cumsum([0, *map(len, STICKS.values())])[:-1]
    columns = []
    for pred_xy in found.values():
        for rates in pcp(pred_xy, joints_xy, visible, sticks)[:2]:
            columns.append(
                [
                    *(np.add.reduceat(rates, first) / [len(some) for some in STICKS.values()]),
                    rates.mean(),
                ]
            )
    header = [
        'part',
        *(f'{model} {kind} PCP@0.5' for model in found for kind in ('strict', 'relaxed')),
    ]
    return 'PCP', header, table_rows([*STICKS, 'total'], columns)


def table_rows(labels, columns):
    """What cannot be said (nobody is of that kind) is a dash."""
    return [
        [label, *(f'{value:.1f}' if value >= 0 else '-' for value in values)]
        for label, values in zip(labels, zip(*columns))
    ]


# --- COCO ---------------------------------------------------------------------------------------------------------


def coco_result(picture_id, joints_xy, scores, score):
    """One person as COCO's result files have them."""
    points = np.column_stack([joints_xy, scores]).astype(float)
    return {
        'image_id': int(picture_id),
        'category_id': 1,
        'keypoints': [round(v, 3) for v in points.ravel().tolist()],
        'score': round(float(score), 5),
    }


def precision_table(table, split, results, evaluated=None):
    """(title, header, rows) of OKS average precision, by pycocotools.

    table: the split's PICTUREs; split: all its people; results: a list of `coco_result`; evaluated: which pictures of
    the table were looked at, by default all.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    chosen = np.arange(len(table)) if evaluated is None else np.unique(evaluated)
    nobody = [
        coco_result(
            table['id'][chosen[0]],
            np.full((len(coco.JOINTS), 2), NOWHERE),
            np.zeros(len(coco.JOINTS)),
            score=0,
        )
    ]
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        truth = COCO()
        truth.dataset = truth_of(table, split, chosen)
        truth.createIndex()
        evaluation = COCOeval(
            truth, truth.loadRes(results or nobody), 'keypoints'
        )  # it takes no empty list
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return 'OKS', ['measure', '%'], table_rows(PRECISIONS, [100 * evaluation.stats])


def truth_of(table, split, chosen):
    """COCO's annotations of some of the pictures."""
    people = split.people
    rows = np.flatnonzero(np.isin(people['picture'], chosen))
    first, size = people['box'][:, :2], people['box'][:, 2:] - people['box'][:, :2]
    return {
        'images': [{'id': int(table['id'][i])} for i in chosen],
        'categories': [{'id': 1, 'name': 'person', 'keypoints': list(coco.JOINTS)}],
        'annotations': [
            {
                'id': int(row) + 1,
                'image_id': int(table['id'][people['picture'][row]]),
                'category_id': 1,
                'iscrowd': int(people['crowd'][row]),
                'area': float(people['area'][row]),
                'bbox': [*first[row].tolist(), *size[row].tolist()],
                'num_keypoints': int((people['visible'][row] > 0).sum()),
                'keypoints': np.column_stack([split.joints[row], people['visible'][row]])
                .ravel()
                .tolist(),
            }
            for row in rows
        ],
    }
