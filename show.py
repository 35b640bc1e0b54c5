"""Draws predicted skeletons on the pictures: one sheet of people, found beside true.

    python show.py predictions.mat --data arrays --out poses.jpg [--people 12] [--worst]

Green is the side on the picture's right ("left"), red the other, yellow the trunk; the truth is thin and white.
Each picture's caption is its mean error over the joints in % of ||lhip - rsho||.
"""
import argparse
import os

import cv2
import numpy as np

import arrays
import joints
from evaluate import load_variables, normalised_errors, normaliser_vectors, own_predictions, read_split_name

COLOURS = {'l': (60, 220, 60), 'r': (230, 60, 60)}             # RGB, by the side that both ends share
TRUNK, TRUTH = (250, 210, 50), (255, 255, 255)
LETTERS = 0.45                                                 # OpenCV's font scale on a picture 720 pixels long
LEGIBLE = 640                                                  # least long side of a picture with letters on it
TILE = (360, 240)                                              # width, height of one person's picture on the sheet


def draw_skeleton(image, joints_xy, width=3, colour=None):
    """Draws limbs and joints into a copy of an RGB picture; joints_xy: [9, 2] pixels of that picture."""
    image = np.ascontiguousarray(image).copy()
    far = 2 * max(image.shape)
    points = [tuple(round(16 * v) for v in xy.tolist()) for xy in np.clip(joints_xy, -far, far)]        # 1/16 pixels
    for a, b in joints.LIMBS:
        side = joints.JOINTS[a][0] if joints.JOINTS[a][0] == joints.JOINTS[b][0] else None
        cv2.line(image, points[a], points[b], colour or COLOURS.get(side, TRUNK), width, cv2.LINE_AA, 4)
    for point in points:
        cv2.circle(image, point, 16 * (width + 1), colour or TRUTH, -1, cv2.LINE_AA, 4)
    return image


def draw_pose(image, joints_xy, scores, torso_xy=None):
    """Skeleton, name and score of each joint, and a cross at the torso that the spatial model went by.

    image: RGB uint8 [h, w, 3]; joints_xy [9, 2], torso_xy [2] pixels of it; scores [9], 0..1.  Lines and letters go
    with the picture's size; a small picture is enlarged by a whole number, so that they can be read.
    Returns a new picture.
    """
    factor = -(-LEGIBLE // max(image.shape[:2]))
    image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR) if factor > 1 else image
    joints_xy, unit = np.asarray(joints_xy) * factor, max(image.shape[:2]) / 720
    image = draw_skeleton(image, joints_xy, max(1, round(3 * unit)))
    if torso_xy is not None:
        at = np.rint(np.asarray(torso_xy) * factor).astype(int).tolist()
        cv2.drawMarker(image, at, TRUNK, cv2.MARKER_CROSS, round(16 * unit), max(1, round(2 * unit)), cv2.LINE_AA)
    for name, text, (left, bottom, width, height) in place_labels(image, joints_xy, scores, unit):
        image[max(bottom - height, 0):bottom, left:left + width] //= 3              # dark below the letters
        colour = COLOURS.get(name[0], TRUNK)
        write_text(image, text, (left + round(2 * unit), bottom - round(4 * unit)), LETTERS * unit, colour)
    return image


def place_labels(image, joints_xy, scores, unit):
    """[(joint's name, text, (left, bottom, width, height))]: each beside its joint, on the joint's own side, within the
    picture, moved up or down until it covers no other."""
    high, wide = image.shape[:2]
    labels, taken = [], []
    for name, (x, y), score in zip(joints.JOINTS, np.asarray(joints_xy, float), scores):
        text = f'{name} {score:.2f}'
        (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, LETTERS * unit, 1)
        width, height = width + round(4 * unit), height + round(8 * unit)
        left = x + 8 * unit if name[0] != 'r' else x - 8 * unit - width
        left = round(float(np.clip(left, 0, max(wide - width, 0))))
        bottoms = np.arange(height, max(high, height) + 1)
        free = [abs(bottoms - other[1]) >= height for other in taken if abs(left - other[0]) < width]
        free = bottoms[np.logical_and.reduce(free)] if free else bottoms
        options = free if len(free) else bottoms
        bottom = int(options[np.abs(options - (y + height / 2)).argmin()])
        taken.append((left, bottom))
        labels.append((name, text, (left, bottom, width, height)))
    return labels


def write_text(image, text, corner, scale, colour):
    """Text with a dark rim into the image itself; corner: its lower left."""
    width = max(1, round(1.5 * scale))
    cv2.putText(image, text, corner, cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 0, 0), 3 * width, cv2.LINE_AA)
    cv2.putText(image, text, corner, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, width, cv2.LINE_AA)


def heat_tile(image, heat, caption, colour):
    """A heat map over its picture in grey: RGB uint8 [h, w, 3], float [h, w], scaled by its own peak."""
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    opacity = 0.85 * np.clip(heat / max(heat.max(), 1e-12), 0, 1)[..., None]
    blend = np.rint((1 - opacity) * grey + opacity * np.array(colour)).astype(np.uint8)
    write_text(blend, caption, (6, 18), 0.5, colour)
    return blend


def tile(image, found_xy, true_xy, caption):
    """One person: truth below, prediction above, at the sheet's size."""
    image = draw_skeleton(draw_skeleton(image, true_xy, 1, TRUTH), found_xy)
    image = cv2.resize(image, TILE, interpolation=cv2.INTER_AREA)
    write_text(image, caption, (6, TILE[1] - 8), 0.5, TRUTH)
    return image


def sheet(tiles, columns):
    """Tiles in rows, the last one filled with black."""
    tiles = tiles + [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    return np.vstack([np.hstack(tiles[i:i + columns]) for i in range(0, len(tiles), columns)])


def write_picture(path, image):
    """RGB -> .jpg or .png, by the path's ending, atomically."""
    _, encoded = cv2.imencode(os.path.splitext(path)[1], image[..., ::-1])
    with arrays.atomic(path) as partial, open(partial, 'wb') as file:
        file.write(encoded.tobytes())


def picture_path(text):
    """argparse type: a path that ends in .jpg or .png."""
    if not text.endswith(('.jpg', '.png')):
        raise argparse.ArgumentTypeError(f'{text!r} does not end in .jpg or .png')
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('predictions', help='predictions.mat of main.py')
    parser.add_argument('--data', default='arrays', help='folder of data.py (default: %(default)s)')
    parser.add_argument('--out', type=picture_path, default='poses.jpg', help='picture to write (default: %(default)s)')
    parser.add_argument('--people', type=arrays.positive_int, default=12, help='how many (default: %(default)s)')
    parser.add_argument('--worst', action='store_true', help='the worst ones; else evenly spread over the file')
    options = parser.parse_args()
    manifest = arrays.read_manifest(options.data)
    variables = load_variables(options.predictions)
    split = read_split_name(variables, manifest, options.predictions)
    people = arrays.load_split(options.data, split, manifest)
    found = own_predictions(variables, len(people.images), options.predictions)
    found_xy, rows = list(found.models.values())[-1], found.rows             # the joint model, where there is one
    true_xy = people.joints[rows][:, :joints.N_JOINTS]
    errors = normalised_errors(found_xy, true_xy, normaliser_vectors(true_xy, None, 'lhip-rsho')).mean(axis=1)
    n = min(options.people, len(rows))
    chosen = np.argsort(-errors)[:n] if options.worst else np.linspace(0, len(rows) - 1, n).astype(int)
    tiles = [tile(people.images[rows[i]], found_xy[i], true_xy[i], f'{errors[i]:.0f} %') for i in chosen]
    write_picture(options.out, sheet(tiles, 4))
    print(f'{options.out}: {n} people')


if __name__ == '__main__':
    arrays.run_script(main)
