"""Predicted joints of test people -> the files that the data sets' evaluations read, and their tables.

FLIC, LSP and MPII: a .mat with NAME_pred_MODEL, 2 x k x n (x, y) pixels of the pictures, for each of the system's
outputs, NAME_score_MODEL, k x n, and `index`, `split`, `data_id`: whom they are of (evaluate.py).  COCO: a .json as its
server takes it, of the last output alone: people with image_id, keypoints [x1, y1, s1, ...] and score.
"""
import json
import os

import numpy as np
import scipy.io

from datasets import arrays, measures
from engine import files
from evaluate import markdown


def write(options, manifest, split, found, titles):
    """Writes them; returns (the file's path, lines to print).

    split: the arrays.Split evaluated; found: {output: [people of each of its rows]}, lists of Poses in pixels of the
    pictures; titles: the outputs'.
    """
    if options.dataset == 'coco':
        return write_coco(options, manifest, split, list(found.values())[-1])
    first = {name: [people[0] for people in of_rows] for name, of_rows in found.items()}
    joints_xy = {name: np.stack([pose.joints_xy for pose in poses]) for name, poses in first.items()}
    scores = {f'{options.dataset}_score_{name}': np.stack([pose.scores for pose in poses]).T
              for name, poses in first.items()}
    predicted = {f'{options.dataset}_pred_{name}': xy.transpose(2, 1, 0) for name, xy in joints_xy.items()}
    with files.atomic(options.predictions) as partial, open(partial, 'wb') as file:
        scipy.io.savemat(file, {**predicted, **scores, 'index': split.rows, 'split': split.split,
                                'data_id': manifest['id']})
    if options.dataset == 'flic':
        return options.predictions, []
    made = measures.tables(options.dataset, {titles[name]: xy for name, xy in joints_xy.items()}, split.joints,
                           split.people)
    return options.predictions, [markdown(header, rows) for _, header, rows in made]


def write_coco(options, manifest, split, found):
    """`write` of COCO; one picture may have several people, or none."""
    path = os.path.splitext(options.predictions)[0] + '.json'
    table = arrays.load_array(options.data, 'pictures', split.split, manifest)
    results = [measures.coco_result(table['id'][picture], *pose)
               for picture, people in zip(split.people['picture'], found) for pose in people]
    with files.atomic(path) as partial, open(partial, 'w', encoding='utf-8') as file:
        json.dump(results, file)
    everybody = arrays.load_split(options.data, split.split, manifest)
    _, header, rows = measures.precision_table(table, everybody, results, split.people['picture'])
    return path, [markdown(header, rows)]
