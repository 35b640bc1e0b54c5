"""Predicted joints of test people -> the files that the data sets' evaluations read, and their tables.

FLIC, LSP and MPII: a .mat with NAME_pred_MODEL, 2 x k x n (x, y) pixels of the pictures, for each of the system's
outputs, NAME_score_MODEL, k x n, and `index`, `split`, `data_id`: whom they are of (evaluate.py).  COCO: a .json as its
server takes it, of the last output alone: people with image_id, keypoints [x1, y1, s1, ...] and score.
"""
import json
import os

import numpy as np
import scipy.io

import datasets
from datasets import arrays, measures
from engine import files
from engine.tables import markdown
from systems import Pose


def write(options, manifest, split, found, titles):
    """Writes them; returns (the file's path, lines to print).

    split: the arrays.Split evaluated; found: {output: [people of each of its rows]}, lists of Poses in pixels of the
    pictures; titles: the outputs'.
    """
    if options.dataset == 'coco':
        return write_coco(options, manifest, split, list(found.values())[-1])
    if split.people['visible'].ndim == 2:
        rows, own = split.rows, {name: [people[0] for people in of_rows] for name, of_rows in found.items()}
    else:
        rows, own = of_annotated(split, found, len(datasets.load(options.dataset).JOINTS))
    joints_xy = {name: np.stack([pose.joints_xy for pose in poses]) for name, poses in own.items()}
    scores = {f'{options.dataset}_score_{name}': np.stack([pose.scores for pose in poses]).T
              for name, poses in own.items()}
    predicted = {f'{options.dataset}_pred_{name}': xy.transpose(2, 1, 0) for name, xy in joints_xy.items()}
    with files.atomic(options.predictions) as partial, open(partial, 'wb') as file:
        scipy.io.savemat(file, {**predicted, **scores, 'index': rows, 'split': split.split,
                                'data_id': manifest['id'], 'found_with': how(options)})
    if options.dataset == 'flic':
        return options.predictions, []
    everybody = arrays.load_split(options.data, split.split, manifest)
    made = measures.tables(options.dataset, {titles[name]: xy for name, xy in joints_xy.items()},
                           everybody.joints[rows], everybody.people[rows])
    return options.predictions, [markdown(header, rows) for _, header, rows in made]


def how(options):
    """The options by which the joints of the test people were found, as main.py takes them."""
    valued = [f'--{name} {getattr(options, name)}' for name in ('scales', 'decode') if hasattr(options, name)]
    return ' '.join([*valued, *(f'--{name}' for name in ('flip_average', 'infer_torso')
                                if getattr(options, name, False))])


def of_annotated(split, found, k):
    """Of people found in whole pictures, those meant by the annotated ones.

    Returns (the annotated ones' rows in the arrays, {output: [Pose of k joints]}).
    """
    people = split.people
    of_picture, place = np.nonzero(people['visible'].any(axis=2))
    centres = people['centre'][of_picture, place]
    return people['rows'][of_picture, place], {
        name: [nearest(of_rows[i], centre, k) for i, centre in zip(of_picture, centres)]
        for name, of_rows in found.items()}


def nearest(poses, centre, k):
    """The Pose whose joints' mean is nearest to the middle of an annotated box: so FLIC's torso says who is meant.
    Where nobody is found, all k joints are in that middle."""
    if not poses:
        return Pose(np.tile(centre, (k, 1)), np.zeros(k), 0.0)
    return min(poses, key=lambda pose: np.linalg.norm(pose.joints_xy.mean(axis=0) - centre))


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
