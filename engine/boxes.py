"""Other programs' detections of people, as COCO writes them: --boxes FILE.

FILE is a list of detections, {image_id, category_id, bbox [x, y, width, height] pixels, score}, or a whole document,
whose annotations are taken (with their scores, if they have any) and whose images say which file is which; a name that
two of them have, in two folders, says nothing.  In a list, the image_id is the number that is a picture's name, as
COCO's are.  People only (category 1), one by one (no `iscrowd`), and LEAST is the lowest score.
"""
import collections
import json
import math
import os

from engine.files import InputError

LEAST = 0.5

# ids: {file's name: image_id}; None: names are numbers.  boxes: {image_id: [(x, y, width, height), ...]}, best first.
Boxes = collections.namedtuple('Boxes', 'path ids boxes')


def read(path):
    """A Boxes; InputError says what is wrong with the file."""
    if not os.path.isfile(path):
        raise InputError(f'--boxes {path}: no such file')
    try:
        with open(path, encoding='utf-8') as file:
            content = json.load(file)
        ids = None
        if isinstance(content, dict):
            ids = ids_of(content['images'])
            content = content['annotations']
        boxes = collections.defaultdict(list)
        for one in sorted(content, key=lambda one: -one.get('score', 1)):
            if ids is None and not isinstance(one['image_id'], int):
                raise ValueError(f'image_id {one["image_id"]!r:.80} is no number')
            if one['category_id'] == 1 and one.get('score', 1) >= LEAST and not one.get('iscrowd'):
                boxes[one['image_id']].append(checked(one['bbox']))
    except OSError as error:
        raise InputError(f'--boxes {path}: {error.strerror}') from error
    except Exception as error:                              # a foreign file can hold anything
        raise InputError(f'--boxes {path}: not COCO\'s detections: {type(error).__name__}: {error}') from error
    return Boxes(path, ids, boxes)


def ids_of(images):
    """{file's name: image_id} of a document's images, but for names that two of them have."""
    names = [os.path.basename(image['file_name']) for image in images]
    often = collections.Counter(names)
    if len({image['id'] for image in images}) < len(images):
        raise ValueError('two pictures have one id')
    return {name: image['id'] for name, image in zip(names, images) if often[name] == 1}


def checked(box):
    x, y, width, height = map(float, box)
    if not (all(map(math.isfinite, (x, y))) and 0 < width < math.inf and 0 < height < math.inf):
        raise ValueError(f'bbox {box}')
    return x, y, width, height


def number(boxes, file):
    """A picture's image_id there, None if it has none."""
    if boxes.ids is not None:
        return boxes.ids.get(file)
    name = os.path.splitext(file)[0]
    return int(name) if name.isdecimal() else None


def of(boxes, file):
    """[(x, y, width, height), ...] of the picture of that name."""
    return boxes.boxes.get(number(boxes, file), [])
