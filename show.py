"""Draws predicted skeletons on the pictures: one sheet of people, found beside true.

    python show.py predictions.mat --data arrays --out poses.jpg [--people 12] [--worst]

Blue is the side on the picture's right ("left"), orange the other, pink the trunk; the truth is thin and white.
Each picture's caption is its mean error over the joints in % of ||lhip - rsho||.
"""
import argparse

import cv2
import numpy as np

from datasets import arrays, flic
from engine import files
from engine.drawing import TRUTH, draw_skeleton, sheet, write_picture, write_text
from evaluate import load_variables, normalised_errors, normaliser_vectors, own_predictions, read_split_name

TILE = (360, 240)                                              # width, height of one person's picture on the sheet


def tile(image, found_xy, true_xy, caption):
    """One person: truth below, prediction above, at the sheet's size."""
    image = draw_skeleton(draw_skeleton(image, true_xy, flic, 1, TRUTH), found_xy, flic)
    image = cv2.resize(image, TILE, interpolation=cv2.INTER_AREA)
    write_text(image, caption, (6, TILE[1] - 8), 0.5, TRUTH)
    return image


def picture_path(text):
    """argparse type: a path that ends in .jpg or .png."""
    if not text.endswith(('.jpg', '.png')):
        raise argparse.ArgumentTypeError(f'{text!r} does not end in .jpg or .png')
    return text


def main():
    parser = files.Parser(description=__doc__)
    parser.add_argument('predictions', help='predictions.mat of main.py')
    parser.add_argument('--data', default='arrays', help='folder of data.py (default: %(default)s)')
    parser.add_argument('--out', type=picture_path, default='poses.jpg', help='picture to write (default: %(default)s)')
    parser.add_argument('--people', type=files.positive_int, default=12, help='how many (default: %(default)s)')
    parser.add_argument('--worst', action='store_true', help='the worst ones; else evenly spread over the file')
    options = parser.parse_args()
    manifest = arrays.read_manifest(options.data)
    variables = load_variables(options.predictions)
    split = read_split_name(variables, manifest, options.predictions)
    people = arrays.load_split(options.data, split, manifest)
    found = own_predictions(variables, len(people.images), options.predictions)
    found_xy, rows = list(found.models.values())[-1], found.rows             # the joint model, where there is one
    true_xy = people.joints[rows][:, :flic.N_JOINTS]
    errors = normalised_errors(found_xy, true_xy, normaliser_vectors(true_xy, None, 'lhip-rsho')).mean(axis=1)
    n = min(options.people, len(rows))
    chosen = np.argsort(-errors)[:n] if options.worst else np.linspace(0, len(rows) - 1, n).astype(int)
    tiles = [tile(people.images[rows[i]], found_xy[i], true_xy[i], f'{errors[i]:.0f} %') for i in chosen]
    write_picture(options.out, sheet(tiles, 4))
    print(f'{options.out}: {n} people')


if __name__ == '__main__':
    files.run_script(main)
