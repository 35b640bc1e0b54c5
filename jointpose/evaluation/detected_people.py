"""Evaluation on COCO at another program's detections: a person a box, rescored, without duplicates.

    python main.py --restore RUN --boxes detections.json

This is how HRNet's published rates on COCO are made (lib/dataset/coco.py and lib/nms/nms.py of
deep-high-resolution-net.pytorch): a pose is predicted in the crop of every detected person,
whatever the detection's score.  A pose's score is the detection's times the mean of those joints'
scores that are above COUNTED_SCORE.  Of two poses in a picture with an OKS above MAX_OKS the
one with the lower score is left out.
"""

from collections.abc import Sequence

import numpy as np

from jointpose.annotations import coco_json
from jointpose.annotations.coco_json import Remarks
from jointpose.datasets import arrays
from jointpose.evaluation import coco_results
from jointpose.evaluation.pose import Pose
from jointpose.utils.counts import counted
from jointpose.utils.errors import InputError
from jointpose.utils.log import log
from jointpose.vision.crops import centre_and_scale

PERSON = 1  # COCO's category
COUNTED_SCORE = 0.2  # joints with a lower score do not count in a person's
MAX_OKS = 0.9  # of two people in a picture
ASPECT = 3 / 4  # width over height of the crops whose areas normalise that OKS
MARGIN = 1.25  # sides of these crops, in those of the widened box


# --- people at boxes ------------------------------------------------------------------------------


def at_boxes(path: str, split: arrays.Split) -> arrays.Split:
    """The Split of the detected people in a split's pictures; prints which detections are left out.

    Nothing of them is labelled; `score` is one more field of `people`.

    Args:
        path: detections in COCO's form, of category 1.
        split: all people of COCO's split.
    """
    table = split.images.table
    places, boxes, scores = read_boxes(path, table)
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    centre, scale = centre_and_scale(corners)
    people = np.zeros(len(places), split.people.dtype)
    for name, values in {
        'file': table['file'][places],
        'picture': places,
        'box': corners,
        'centre': centre,
        'scale': scale,
        'unit': 1,
        'area': np.prod(boxes[:, 2:], axis=1),
    }.items():
        people[name] = values
    k = split.joints.shape[1]
    return arrays.Split(
        images=arrays.Pictures(split.images.folder, table, places),
        joints=np.zeros((len(places), k, 2), np.float32),
        people=arrays.with_fields(people, score=scores),
        rows=np.arange(len(places)),
        split=split.split,
    )


def read_boxes(path: str, table: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Detections of people: (rows of their pictures [n], boxes x y w h [n, 4], scores [n]).

    table: the split's pictures, arrays.picture_dtype.  InputError if there is none in them.
    """
    file = coco_json.read(path)
    ids = coco_results.ids_by_name(table)
    rows = {id_: row for row, id_ in enumerate(table['id'].tolist())}
    left_out = Remarks()
    found = []
    for one in file.annotations:
        row = rows.get(ids.get(coco_json.plain(one.file), ids.get(one.image)))
        if one.category not in (PERSON, None):
            left_out.add(f'of category {one.category}', f'[{one.row}]')
        elif one.box is None:
            left_out.add('without a box of positive size in pixels', f'[{one.row}]')
        elif row is None:
            left_out.add('in other pictures than those of the split', f'[{one.row}]')
        else:
            found.append((row, one.box, one.score))
    if not found:
        raise InputError(f'--boxes {path}: no detection of category {PERSON} in a test picture')
    if left_out.names:
        log(f'{path}: {counted(len(found), "box")} of people; left out: {left_out}')
    places, boxes, scores = zip(*found)
    return np.array(places), np.array(boxes, np.float32), np.array(scores)


# --- their scores ---------------------------------------------------------------------------------


def rescored(people: np.ndarray, found: Sequence[list[Pose]]) -> list[list[Pose]]:
    """The Poses of people at boxes with their final scores; [] for those that repeat a better one.

    Args:
        people: [n], with the detections' `score`.
        found: one Pose for each of them.
    """
    poses = []
    for person, (pose,) in zip(people, found):
        score = float(person['score']) * mean_joint_score(pose.scores)
        poses.append(pose._replace(score=score))
    is_kept = np.zeros(len(poses), bool)
    areas = crop_areas(people['box'])
    order = np.argsort(people['picture'], kind='stable')
    starts = np.flatnonzero(np.diff(people['picture'][order])) + 1
    for rows in np.split(order, starts):
        kept = distinct([poses[row] for row in rows], areas[rows])
        is_kept[rows[kept]] = True
    return [[pose] if keep else [] for pose, keep in zip(poses, is_kept)]


def mean_joint_score(scores: np.ndarray) -> float:
    """The mean of those joints' scores [k] that are above COUNTED_SCORE; 0 if none is."""
    counted = scores[scores > COUNTED_SCORE]
    return float(counted.mean()) if len(counted) else 0.0


def crop_areas(boxes: np.ndarray) -> np.ndarray:
    """Areas [n] of the crops around boxes x1 y1 x2 y2 [n, 4]: widened to ASPECT, enlarged by MARGIN."""
    width, height = np.moveaxis(boxes[:, 2:] - boxes[:, :2], 1, 0)
    height = np.maximum(height, width / ASPECT)
    return MARGIN**2 * ASPECT * height**2


def distinct(poses: Sequence[Pose], areas: np.ndarray) -> list[int]:
    """Indices of the Poses that are no repetition of one with a higher score, the highest first.

    areas: [n], by which distances are measured in OKS.
    """
    left = np.argsort([-pose.score for pose in poses], kind='stable')
    kept = []
    while len(left):
        best = left[0]
        others = left[1:]
        kept.append(int(best))
        overlaps = [
            similarity(poses[best], poses[other], (areas[best] + areas[other]) / 2)
            for other in others
        ]
        left = others[np.array(overlaps) <= MAX_OKS] if overlaps else others
    return kept


def similarity(one: Pose, other: Pose, area: float) -> float:
    """OKS of two poses with COCO's 17 joints, over all of them."""
    from pycocotools.cocoeval import Params

    variances = (2 * Params('keypoints').kpt_oks_sigmas) ** 2
    squared = np.sum((one.joints_xy - other.joints_xy) ** 2, axis=1)
    return float(np.mean(np.exp(-squared / (2 * variances * area))))
