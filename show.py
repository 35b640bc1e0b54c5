"""Draws skeletons on the pictures: one sheet of people, found beside true, or only the true ones.

    python show.py predictions.mat --data arrays --out poses.jpg [--people 12] [--worst]
    python show.py --data arrays [--split train]          the annotations, to see that data.py understood them

Blue is the left side (of FLIC, the side on the picture's right), orange the right one, pink the trunk; beside
predictions the truth is thin and white.  Each picture's caption is its mean error over the joints in % of the data
set's unit (FLIC: ||lhip - rsho||), or its name.  Pictures of whole scenes are cut to the person and some surroundings.
"""
import argparse

import numpy as np

import datasets
import predictions
from datasets import arrays
from engine import cli, crops
from engine.augmentation import transform
from engine.drawing import TRUTH, draw_skeleton, sheet, write_picture, write_text

TILE = (360, 240)                                              # width, height of one person's picture on the sheet
AROUND = 1.3                                                   # sides of what is shown, in those of the person's box


def tile(image, person, body, found_xy, caption):
    """One crops.Person at the sheet's size; found_xy: [k, 2] or None."""
    k, (height, width) = len(body.JOINTS), image.shape[:2]
    whole = 'x' in body.LAYOUT                                 # frames of one size, in which people are large
    box = np.array((0, 0, width, height) if whole else person.box, float)
    extent = np.maximum(box[2:] - box[:2], 1) * (1 if whole else AROUND)
    matrix = crops.matrix_of((box[:2] + box[2:]) / 2, np.array(TILE) * max(extent / TILE), TILE)
    image, true_xy, visible, _ = crops.cut(image, person, matrix, TILE)
    colour = None if found_xy is None else TRUTH
    image = draw_skeleton(image, true_xy[:k], body, 1, colour, visible=visible[:k])
    if found_xy is not None:
        image = draw_skeleton(image, transform(matrix, found_xy), body, 1)
    write_text(image, caption, (6, TILE[1] - 8), 0.5, TRUTH)
    return image


def errors_of(people, found_xy):
    """Each person's mean error over the labelled joints, in % of the unit: Split of n, [n, k, 2] -> [n]."""
    k = found_xy.shape[1]
    distance = np.linalg.norm(found_xy - people.joints[:, :k].astype(float), axis=-1)
    labelled = people.people['visible'][:, :k] > 0
    distance = np.where(labelled, distance, 0)
    return 100 * distance.sum(axis=1) / np.maximum(labelled.sum(axis=1), 1) / people.people['unit']


def picture_path(text):
    """argparse type: a path that ends in .jpg or .png."""
    if not text.endswith(('.jpg', '.png')):
        raise argparse.ArgumentTypeError(f'{text!r} does not end in .jpg or .png')
    return text


def parse_options():
    parser = cli.Parser(description=__doc__)
    parser.add_argument('predictions', nargs='?', help='predictions.mat of main.py; without it, the annotations')
    parser.add_argument('--data', default='arrays', help='folder of data.py (default: %(default)s)')
    parser.add_argument('--split', choices=arrays.SPLITS, default='test',
                        help='whose annotations (default: %(default)s)')
    parser.add_argument('--out', type=picture_path, default='poses.jpg', help='picture to write (default: %(default)s)')
    parser.add_argument('--people', type=cli.positive_int, default=12, help='how many (default: %(default)s)')
    parser.add_argument('--worst', action='store_true', help='the worst ones; else evenly spread over the file')
    options = parser.parse_args()
    if options.worst and not options.predictions:
        parser.error('--worst goes with predictions')
    return options


def main():
    options = parse_options()
    manifest = arrays.read_manifest(options.data)
    body, found_xy = datasets.load(manifest['dataset']), None
    if options.predictions:
        found = predictions.read(options.predictions, manifest)
        people = arrays.select(arrays.load_split(options.data, found.split, manifest), found.rows)
        found_xy = list(found.models.values())[-1]                                                   # the answer
        errors = errors_of(people, found_xy)
    else:
        people = arrays.labelled(arrays.load_split(options.data, options.split, manifest))
    n, have = min(options.people, len(people.joints)), len(people.joints)
    chosen = np.argsort(-errors)[:n] if options.worst else np.linspace(0, have - 1, n).astype(int)
    tiles = [tile(people.images[i], crops.person_of(people, i), body, None if found_xy is None else found_xy[i],
                  people.people['file'][i] if found_xy is None else f'{errors[i]:.0f} %') for i in chosen]
    write_picture(options.out, sheet(tiles, 4))
    print(f'{options.out}: {n} people')


if __name__ == '__main__':
    cli.run_script(main)
