"""What each data set's publications measure predictions by, as tables (title, header, rows of text): PCK and PCP of
LSP, PCKh of MPII, average precision by OKS of COCO.  FLIC's curves are evaluate.py's.
"""
import contextlib
import io

import numpy as np

import datasets
from datasets import coco
from engine.metrics import correct_parts, key_point_rates

KINDS = {'head': ('head',), 'neck': ('neck',), 'shoulder': ('lsho', 'rsho'), 'elbow': ('lelb', 'relb'),
         'wrist': ('lwri', 'rwri'), 'hip': ('lhip', 'rhip'), 'knee': ('lkne', 'rkne'), 'ankle': ('lank', 'rank')}
STICKS = {'torso': [(('lsho', 'rsho'), ('lhip', 'rhip'))], 'head': [(('neck',), ('head',))],
          **{kind: [((side + a,), (side + b,)) for side in 'lr'] for kind, a, b in (
              ('upper arm', 'sho', 'elb'), ('forearm', 'elb', 'wri'), ('upper leg', 'hip', 'kne'),
              ('lower leg', 'kne', 'ank'))}}
RADII = {'lsp': (0.1, 0.2), 'mpii': (0.1, 0.5)}
PRECISIONS = ('AP', 'AP .5', 'AP .75', 'AP medium', 'AP large', 'AR', 'AR .5', 'AR .75', 'AR medium', 'AR large')


def tables(dataset, found, joints_xy, people):
    """[(title, header, rows)] of single people's joints; found: {model: [n, k, 2]}; the truth: [n, k, 2], records [n].

    Left and right are averaged.  The last row of key points is the mean over all labels that are counted (as HRNet's
    evaluation of MPII weighs it), of parts the mean over the ten sticks.
    """
    body = datasets.load(dataset)
    made = [key_points(body, RADII[dataset], found, joints_xy, people)]
    return made + [parts(body, found, joints_xy, people)] if dataset == 'lsp' else made


def key_points(body, radii, found, joints_xy, people):
    """One of `tables`: PCK, or PCKh, at some radii."""
    name, columns = body.MEASURE.split('@')[0], []
    for pred_xy in found.values():
        for radius in radii:
            rates, counts = key_point_rates(pred_xy, joints_xy, people['visible'], people['unit'], radius)
            counts = counts * [joint not in body.UNCOUNTED for joint in body.JOINTS]
            kinds = [np.mean([rates[body.JOINTS.index(joint)] for joint in sides]) for sides in KINDS.values()]
            columns.append([*kinds, np.average(rates, weights=counts) if counts.any() else np.nan])
    header = ['joint', *(f'{model} {name}@{radius:g}' for model in found for radius in radii)]
    return name, header, table_rows([*KINDS, 'mean'], columns)


def parts(body, found, joints_xy, people):
    """One of `tables`: strict and relaxed PCP@0.5."""
    sticks = [tuple(tuple(map(body.JOINTS.index, end)) for end in stick) for some in STICKS.values() for stick in some]
    first = np.cumsum([0, *map(len, STICKS.values())])[:-1]
    columns = []
    for pred_xy in found.values():
        for rates in correct_parts(pred_xy, joints_xy, people['visible'], sticks)[:2]:
            columns.append([*(np.add.reduceat(rates, first) / [len(some) for some in STICKS.values()]), rates.mean()])
    header = ['part', *(f'{model} {kind} PCP@0.5' for model in found for kind in ('strict', 'relaxed'))]
    return 'PCP', header, table_rows([*STICKS, 'total'], columns)


def table_rows(labels, columns):
    """What cannot be said (nobody is of that kind) is a dash."""
    return [[label, *(f'{value:.1f}' if value >= 0 else '-' for value in values)]
            for label, values in zip(labels, zip(*columns))]


# --- COCO ---------------------------------------------------------------------------------------------------------

def coco_result(picture_id, joints_xy, scores, score):
    """One person as COCO's result files have them."""
    points = np.column_stack([joints_xy, scores]).astype(float)
    return {'image_id': int(picture_id), 'category_id': 1, 'keypoints': [round(v, 3) for v in points.ravel().tolist()],
            'score': round(float(score), 5)}


def precision_table(table, split, results, evaluated=None):
    """(title, header, rows) of OKS average precision, by pycocotools.

    table: the split's PICTUREs; split: all its people; results: a list of `coco_result`; evaluated: which pictures of
    the table were looked at, by default all.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval
    chosen = np.arange(len(table)) if evaluated is None else np.unique(evaluated)
    if results:
        with contextlib.redirect_stdout(io.StringIO()):             # it prints its progress
            truth = COCO()
            truth.dataset = truth_of(table, split, chosen)
            truth.createIndex()
            evaluation = COCOeval(truth, truth.loadRes(results), 'keypoints')
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        figures = 100 * evaluation.stats
    else:
        figures = np.zeros(len(PRECISIONS))
    return 'OKS', ['measure', '%'], table_rows(PRECISIONS, [figures])


def truth_of(table, split, chosen):
    """COCO's annotations of some of the pictures."""
    people = split.people
    rows = np.flatnonzero(np.isin(people['picture'], chosen))
    first, size = people['box'][:, :2], people['box'][:, 2:] - people['box'][:, :2]
    return {
        'images': [{'id': int(table['id'][i])} for i in chosen],
        'categories': [{'id': 1, 'name': 'person', 'keypoints': list(coco.JOINTS)}],
        'annotations': [{
            'id': int(row) + 1, 'image_id': int(table['id'][people['picture'][row]]), 'category_id': 1,
            'iscrowd': int(people['crowd'][row]), 'area': float(people['area'][row]),
            'bbox': [*first[row].tolist(), *size[row].tolist()],
            'num_keypoints': int((people['visible'][row] > 0).sum()),
            'keypoints': np.column_stack([split.joints[row], people['visible'][row]]).ravel().tolist()}
            for row in rows]}
