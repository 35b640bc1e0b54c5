"""The entries of poses.json and coco_results.json, as COCO writes key points.

poses.json is one object:

    info            checkpoint, code, scales (negative: of the mirrored frame); what coordinates,
                    visibility and scores mean, and which side is left; `unreadable`: files that
                    failed
    images          id, file_name, width, height; of a video's frame also video, frame (from 1) and
                    time (seconds)
    categories      one, person or that of the data set: names of the keypoints; skeleton, pairs counted from 1
    annotations     keypoints [x1, y1, v1, x2, ...], scores [k], score (the person's), bbox, area,
                    num_keypoints, iscrowd, and
        torso           [x, y], or null where the system has none
        torso_source    the kind of prompt: 'torso', 'box', 'nobody' (no prompt), 'detector' (of
                        --detector), or null
        person          number in the picture, from 1
        track           of a video: the person's number in all of it
        low_score       true where a prompt's person scores below --threshold
        duplicate       true where an earlier prompt found the same person

v is 2 for a joint within the picture, 1 for one beyond its edge, 0 (and x = y = 0) for one that is
not found.  coco_results.json has the best guess of these, too.
"""

import argparse
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from jointpose.checkpoints import checkpoint
from jointpose.checkpoints.checkpoint import Checkpoint
from jointpose.media.frames import Frame
from jointpose.media.sources import Source
from jointpose.vision.found_person import FoundPerson

NOT_FOUND = 0.1  # a joint with a lower score is not found: v = 0
MARK = 'pose found by main.py --predict'  # how files of earlier calls are recognised
DECIMALS = 2  # of pixels
SCORE_DECIMALS = 4

Entry = dict[str, Any]


def info_of(estimator, origin: Checkpoint) -> Entry:
    """What poses.json says of the network.  estimator: a PoseEstimator; origin: its Checkpoint."""
    run, step = os.path.normpath(origin.path).split(os.sep)[-2:]
    system = estimator.system
    options = estimator.options
    detector = {'detector': options.detector} if options.detector else {}
    return {
        'checkpoint': f'{run}/{step}',
        'code': checkpoint.code_version(),
        **system.describe(),
        **detector,
        'system': options.system,
        'model': system.OUTPUTS[estimator.output_name],
        'scores': system.SCORE,
    }


def head(body, info: Entry) -> dict[str, Any]:
    """info and categories.  body: the DataSet; info: more of it."""
    skeleton = [[a + 1, b + 1] for a, b in body.limb_indices]
    return {
        'info': {
            'description': f'{MARK}: COCO key points with scores (inference/result_entries.py)',
            **info,
            'coordinates': 'x right, y down, pixels of the picture as shown; '
            'pixel i covers [i, i+1)',
            'visibility': '2: within the picture, 1: beyond its edge, '
            f'0: not found (score below {NOT_FOUND}; x = y = 0)',
            'sides': body.side_convention,
        },
        'categories': [
            {
                'id': 1,
                'name': body.category,
                'supercategory': body.category,
                'keypoints': body.coco_joints,
                'skeleton': skeleton,
            }
        ],
    }


def image_entry(source: Source, frame: Frame) -> Entry:
    """An entry of `images`, without its id."""
    height, width = frame.image.shape[:2]
    entry = {'file_name': source.file, 'width': width, 'height': height}
    if source.is_video:
        entry['file_name'] = frame.name
        entry['video'] = source.file
        entry['frame'] = frame.number
        entry['time'] = round(frame.time, 4)
    return entry


def torso_source(options: argparse.Namespace) -> str:
    """The kind of prompts of a call, as `torso_source` names it."""
    if options.torso:
        return 'torso'
    if options.detector:
        return 'detector'
    return 'box' if options.boxes else 'nobody'


def person_entry(person: FoundPerson, shape: Sequence[int], source: str, more: Entry) -> Entry:
    """An entry of `annotations`, without its ids.

    Args:
        shape: (height, width, ...) of the picture.
        source: of torso_source.
        more: the person's number and what else is known.
    """
    torso_xy = None
    if person.torso_xy is not None:
        torso_xy = [round(float(value), DECIMALS) for value in person.torso_xy]
    return annotation(
        person.joints_xy,
        person.scores,
        person.score,
        shape[:2],
        torso=torso_xy,
        torso_source=torso_xy and source,
        **more,
    )


def annotation(
    joints_xy: np.ndarray, scores: np.ndarray, score: float, shape: Sequence[int], **more: Any
) -> Entry:
    """The annotation of one person.

    Args:
        joints_xy: [k, 2] pixels of the picture.
        scores: [k].
        score: the person's.
        shape: (height, width) of the picture.

    Returns:
        Besides `more`, `guesses`: the key points of coco_results.json.  Evaluations do not look at
        v there and want every joint.
    """
    xy = np.round(np.asarray(joints_xy, float), DECIMALS)
    is_inside = ((xy >= 0) & (xy < shape[1::-1])).all(axis=1)
    guessed = np.where(is_inside, 2, 1)
    visibility = np.where(np.asarray(scores) < NOT_FOUND, 0, guessed)
    is_found = visibility > 0
    box = bounding_box(xy[is_found] if is_found.any() else xy)
    return {
        'iscrowd': 0,
        'keypoints': flat(xy * is_found[:, None], visibility),
        'num_keypoints': int(is_found.sum()),
        'scores': [round(float(joint_score), SCORE_DECIMALS) for joint_score in scores],
        'score': round(float(score), SCORE_DECIMALS),
        'bbox': box,
        'area': round(box[2] * box[3], DECIMALS),
        **more,
        'guesses': flat(xy, visibility),
    }


def bounding_box(xy: np.ndarray) -> list[float]:
    """Points [n, 2] -> [x, y, width, height]."""
    left, top = xy.min(axis=0).tolist()
    right, bottom = xy.max(axis=0).tolist()
    return [left, top, round(right - left, DECIMALS), round(bottom - top, DECIMALS)]


def flat(xy: np.ndarray, visibility: np.ndarray) -> list[float]:
    """[k, 2], [k] -> [x1, y1, v1, x2, ...]."""
    numbers = []
    for (x, y), v in zip(xy.tolist(), visibility.tolist()):
        numbers += [x, y, v]
    return numbers
