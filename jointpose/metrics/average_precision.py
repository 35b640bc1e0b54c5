"""COCO's average precision by object key point similarity (OKS), computed by pycocotools."""

import contextlib
import io
from collections.abc import Sequence

import numpy as np

from jointpose.metrics.tables import Table, table_rows

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
FAR_AWAY = -1e6  # pixels: no annotated person is there


def coco_result(picture_id: int, joints_xy, scores, score: float) -> dict:
    """Returns one person in the form of COCO's result files; joints_xy [k, 2], scores [k]."""
    points = np.column_stack([joints_xy, scores]).astype(float)
    return {
        'image_id': int(picture_id),
        'category_id': 1,
        'keypoints': [round(value, 3) for value in points.ravel().tolist()],
        'score': round(float(score), 5),
    }


def precision_table(joints: Sequence[str], table, split, results, evaluated=None) -> Table:
    """Returns the table of average precision and recall.

    Args:
        joints: names of the k joints.
        table: the split's pictures (arrays.picture_dtype).
        split: arrays.Split with all its people.
        results: list of `coco_result`.
        evaluated: rows of `table` that were predicted; None: all.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    chosen = np.arange(len(table)) if evaluated is None else np.unique(evaluated)
    if not results:  # pycocotools takes no empty list
        nowhere_xy = np.full((len(joints), 2), FAR_AWAY)
        results = [coco_result(table['id'][chosen[0]], nowhere_xy, np.zeros(len(joints)), 0)]

    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        truth = COCO()
        truth.dataset = _coco_annotations(joints, table, split, chosen)
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), 'keypoints')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return Table('OKS', ['measure', '%'], table_rows(PRECISIONS, [100 * evaluation.stats]))


def _coco_annotations(joints, table, split, chosen):
    """Returns the people on the chosen pictures in the form of COCO's annotation files."""
    rows = np.flatnonzero(np.isin(split.people['picture'], chosen))
    return {
        'images': [{'id': int(table['id'][i])} for i in chosen],
        'categories': [{'id': 1, 'name': 'person', 'keypoints': list(joints)}],
        'annotations': [_coco_annotation(table, split, row) for row in rows],
    }


def _coco_annotation(table, split, row):
    """Returns the person in one row of the split."""
    person = split.people[row]
    first = person['box'][:2]
    size = person['box'][2:] - first
    points = np.column_stack([split.joints[row], person['visible']])
    return {
        'id': int(row) + 1,
        'image_id': int(table['id'][person['picture']]),
        'category_id': 1,
        'iscrowd': int(person['crowd']),
        'area': float(person['area']),
        'bbox': [*first.tolist(), *size.tolist()],
        'num_keypoints': int((person['visible'] > 0).sum()),
        'keypoints': points.ravel().tolist(),
    }
