"""A hand-made set of spiders and one fly in COCO's form: twelve key points, several in a picture."""

import json
import os

import cv2
import numpy as np

JOINTS = (
    'head',
    'back',
    'tail',
    'left_front_foot',
    'left_middle_foot',
    'left_hind_foot',
    'left_eye',
    'right_front_foot',
    'right_middle_foot',
    'right_hind_foot',
    'right_eye',
    'sting',
)
LIMBS = ((1, 2), (2, 3), (3, 12), (2, 4), (2, 5), (2, 6), (2, 8), (2, 9), (2, 10), (1, 7), (1, 11))
PAIRS = tuple((name, name.replace('left', 'right')) for name in JOINTS if 'left' in name)
FLIP = (0, 1, 2, 7, 8, 9, 10, 3, 4, 5, 6, 11)
SIZE = (240, 180)  # width, height


def spider(rng):
    """Key points [12, 2] of a spider somewhere in a picture."""
    middle = rng.uniform((70, 60), (170, 120))
    offsets = [(0, -30), (0, 0), (0, 25)]
    for side in (-1, 1):
        offsets += [(side * 40, -25), (side * 50, 0), (side * 40, 25), (side * 8, -34)]
    offsets.append((0, 40))
    return middle + offsets + rng.normal(0, 3, (12, 2))


def document(rng, n, first=1):
    """(COCO's form of n pictures, {file: key points [m, 12, 2] of the spiders in it})."""
    images = []
    annotations = []
    truth = {}
    for i in range(first, first + n):
        file = f'{i:04d}.jpg'
        images.append({'id': i, 'file_name': file, 'width': SIZE[0], 'height': SIZE[1]})
        spiders = [spider(rng) for _ in range(1 + i % 2)]
        truth[file] = np.array(spiders)
        for xy in spiders:
            first_xy = xy.min(axis=0) - 5
            sides = xy.max(axis=0) + 5 - first_xy
            points = np.column_stack([xy, np.full(12, 2)])
            annotations.append(
                {
                    'id': len(annotations) + 1,
                    'image_id': i,
                    'category_id': 7,
                    'keypoints': points.ravel().tolist(),
                    'bbox': [*first_xy, *sides],
                    'area': 0.5 * float(np.prod(sides)),
                    'iscrowd': 0,
                }
            )
    categories = [
        {'id': 7, 'name': 'spider', 'keypoints': list(JOINTS), 'skeleton': list(map(list, LIMBS))},
        {'id': 8, 'name': 'fly'},
    ]
    made = {'images': images, 'annotations': annotations, 'categories': categories}
    return made, truth


def write(folder, n=12, seed=0, change=None):
    """Writes train.json, val.json and images/; returns the paths, and the truth of both files.

    change: alters each document before it is written.
    """
    rng = np.random.default_rng(seed)
    os.makedirs(folder / 'images', exist_ok=True)
    paths = []
    truths = []
    for name, count, first in (('train', n, 1), ('val', 3, n + 1)):
        made, truth = document(rng, count, first)
        for file, spiders in truth.items():
            image = np.full((*SIZE[::-1], 3), 200, np.uint8)
            for xy in spiders:
                for x, y in xy:
                    cv2.circle(image, (int(x), int(y)), 4, (20, 20, 90), -1)
            cv2.imwrite(str(folder / 'images' / file), image)
        if change:
            change(made)
        path = folder / f'{name}.json'
        path.write_text(json.dumps(made))
        paths.append(str(path))
        truths.append(truth)
    return paths, truths
