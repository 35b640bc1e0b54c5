"""What --predict writes: poses.json and coco_results.json, as they grow, and never over somebody else's files.

What is written bears MARK, a JPEG as a comment, a video in a box of its own, poses.json in its head, coco_results.json
in its first person.  A file of the same name without it is a user's, and left as it is.
"""

import contextlib
import json
import os
import re
import time

import numpy as np

from jointpose.utils import files, folders, outputs
from jointpose.utils.errors import InputError
from jointpose.vision import drawing
from jointpose.vision.joints import coco_name

POSES, RESULTS = 'poses.json', 'coco_results.json'
OURS = r'(?s:.+)_pose\.(jpg|mp4)|(?s:.+)_maps\.jpg|poses\.json|coco_results\.json'
MARK = b'pose found by main.py --predict'
WRITING = 0.02  # share of the time that writing the documents may take
NOT_FOUND = 0.1  # a joint with a lower score is not found: v = 0


# --- files --------------------------------------------------------------------------------------------------------


def check_ours(path):
    """InputError if there is a file that this module did not write."""
    try:
        ours = outputs.has_mark(path, MARK) or os.path.getsize(path) == 2  # nobody was found: []
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f'{path}: cannot be written: {error.strerror}') from error
    if not ours:
        raise InputError(
            f'{path}: is there, and not from an earlier --predict: it is left as it is'
        )


def write_picture(path, image):
    check_ours(path)
    drawing.write_image(path, image, MARK)


def remove_stale(out, source):
    """Removes what an earlier call wrote about a source; InputError names what is in the way."""
    names = [f'{source.name}_{kind}' for kind in ('pose.jpg', 'maps.jpg', 'pose.mp4')]
    if source.is_video:
        frame = re.compile(re.escape(source.name) + r'_\d{6,}_(pose|maps)\.jpg')
        names += [name for name in os.listdir(out) if frame.fullmatch(name)]
    for path in (os.path.join(out, name) for name in names):
        try:
            if os.path.lexists(path):
                check_ours(path)
                os.unlink(path)
        except OSError as error:
            raise InputError(f'{path}: cannot be removed: {error.strerror}') from error


def sweep(out):
    """Removes what killed processes left half-written."""
    for path in folders.stale_partials(out, OURS):
        with contextlib.suppress(OSError):
            os.unlink(path)


# --- documents ----------------------------------------------------------------------------------------------------


class Results:
    """Both documents of one folder.

    head: info and categories of poses.json.  numbers: {file's name: its image_id}, of others they count on.
    Both files are written anew after each picture, but no more often than takes WRITING of the time: a process that is
    killed leaves all but the last pictures, and a long video is not written anew for each of its frames.
    """

    def __init__(self, out, head, numbers=None):
        self.paths = [os.path.join(out, name) for name in (POSES, RESULTS)]
        for path in self.paths:
            check_ours(path)
        self.former = former_of(self.paths[0])  # what is replaced
        sweep(out)
        self.document = {
            'info': head['info'],
            'images': [],
            'categories': head['categories'],
            'annotations': [],
        }
        self.numbers = numbers or {}
        self.lines = {
            'images': [],
            'annotations': [],
            'results': [],
        }  # of the files: each entry is encoded once
        self.due = 0  # when to write again, by time.monotonic

    def add(self, image, people):
        """image: of poses.json, without its id.  people: its annotations, without those that are counted."""
        images, annotations = self.document['images'], self.document['annotations']
        id_ = self.numbers.get(image['file_name'], len(images) + 1)
        images.append({'id': id_, **image})
        self.lines['images'].append(json.dumps(images[-1]))
        for person in people:
            keypoints = person.pop('guesses')
            annotations.append(
                {'id': len(annotations) + 1, 'image_id': id_, 'category_id': 1, **person}
            )
            first = {} if self.lines['results'] else {'description': MARK.decode()}
            result = {
                **first,
                'image_id': id_,
                'category_id': 1,
                'keypoints': keypoints,
                'score': person['score'],
            }
            self.lines['annotations'].append(json.dumps(annotations[-1]))
            self.lines['results'].append(json.dumps(result))
        if time.monotonic() >= self.due:
            self.write()

    def write(self):
        began = time.monotonic()
        parts = {
            'info': json.dumps(self.document['info'], indent=1),
            'images': array_of(self.lines['images']),
            'categories': json.dumps(self.document['categories']),
            'annotations': array_of(self.lines['annotations']),
        }
        poses = ',\n'.join(f'"{name}": {text}' for name, text in parts.items())
        for path, text in zip(self.paths, (f'{{{poses}}}\n', array_of(self.lines['results']))):
            with files.atomic_write(path) as partial, open(partial, 'w', encoding='utf-8') as file:
                file.write(text)
        ended = time.monotonic()
        self.due = ended + (ended - began) / WRITING


def former_of(path):
    """What an earlier poses.json holds, in words; '' if there is none that can be read."""
    with (
        contextlib.suppress(OSError, ValueError, KeyError, TypeError),
        open(path, encoding='utf-8') as file,
    ):
        document = json.load(file)
        n = len(document['images'])
        return f'of {n} picture{"s" * (n != 1)} by {document["info"]["checkpoint"]}'
    return ''


def array_of(lines):
    """JSON of a list, an entry a line."""
    return '[' + ',\n'.join(lines) + ']'


def head(body, info):
    """info and categories.  body: the data set's module; info: what else is to be said."""
    return {
        'info': {
            'description': f'{MARK.decode()}: COCO key points with scores (inference/predict.py)',
            **info,
            'coordinates': 'x right, y down, pixels of the picture as shown; pixel i covers [i, i+1)',
            'visibility': '2: within the picture, 1: beyond its edge, 0: not found (score below '
            f'{NOT_FOUND}; x = y = 0)',
            'sides': body.SIDES,
        },
        'categories': [
            {
                'id': 1,
                'name': 'person',
                'supercategory': 'person',
                'keypoints': [coco_name(joint) for joint in body.JOINTS],
                'skeleton': [[a + 1, b + 1] for a, b in body.LIMBS],
            }
        ],
    }


def person(joints_xy, scores, score, shape, **more):
    """One annotation.  joints_xy [k, 2] pixels of the picture of `shape` (height, width); scores [k].

    `guesses` are the key points of coco_results.json: evaluations do not look at v there, and want every joint.
    """
    xy = np.round(np.asarray(joints_xy, float), 2)
    seen = np.where(((xy >= 0) & (xy < shape[1::-1])).all(axis=1), 2, 1)
    found = np.where(np.asarray(scores) < NOT_FOUND, 0, seen)
    there = xy[found > 0] if found.any() else xy
    (left, top), (right, bottom) = there.min(axis=0).tolist(), there.max(axis=0).tolist()
    box = [left, top, round(right - left, 2), round(bottom - top, 2)]
    return {
        'iscrowd': 0,
        'keypoints': flat(xy * (found > 0)[:, None], found),
        'num_keypoints': int((found > 0).sum()),
        'scores': [round(float(one), 4) for one in scores],
        'score': round(float(score), 4),
        'bbox': box,
        'area': round(box[2] * box[3], 2),
        **more,
        'guesses': flat(xy, found),
    }


def flat(xy, v):
    """[k, 2], [k] -> [x1, y1, v1, x2, ...]."""
    return [number for (x, y), flag in zip(xy.tolist(), v.tolist()) for number in (x, y, flag)]
