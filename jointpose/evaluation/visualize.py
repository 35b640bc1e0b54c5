"""Draws skeletons on the pictures: a sheet of annotated people, or of predictions beside the annotations.

    python show.py --data arrays [--split train | test]           the annotations, to see that data.py understood them
    python show.py --data arrays --swapped                        only people seen from behind
    python show.py predictions.mat --data arrays --out poses.jpg [--people 12] [--worst]

Blue with an L is the left side, orange with an R the right one, pink the trunk.  Beside predictions,
the annotation is thin and white.  People seen from behind have a yellow frame.  FLIC and custom data
are observer-centric: left and right of these people are swapped, so L is always on the picture's
right.  Each caption is the picture's name, or the mean error over the joints in % of the data set's
unit (FLIC: ||lhip - rsho||).  Pictures of whole scenes are cut to the person and some surroundings.
"""

if __name__ == '__main__':
    import jointpose.utils.startup  # noqa: F401

import argparse

import cv2
import numpy as np

from jointpose import datasets
from jointpose.datasets import arrays, flic
from jointpose.evaluation import predictions
from jointpose.utils import cli, outputs
from jointpose.utils.counts import counted_people
from jointpose.utils.errors import InputError
from jointpose.vision import crops
from jointpose.vision.affine import transform_points
from jointpose.vision.drawing import TRUTH_COLOUR, draw_skeleton
from jointpose.vision.image_files import write_image
from jointpose.vision.joints import side_of
from jointpose.vision.map_images import tile_grid
from jointpose.vision.palette import rgb, side_colour
from jointpose.vision.text_labels import write_text

MARK = b'people drawn by show.py'
TILE = (360, 240)  # width, height of one person's picture on the sheet
AROUND = 1.3  # sides of what is shown, in those of the person's box
COLUMNS = 4
LETTERED = ('sho', 'hip', 'wri', 'ank')  # joints that get an L or R
BEHIND = rgb('#f0e442')  # frame around people seen from behind
SOURCES = {'own': 'custom data', 'flic_plus': 'FLIC-plus'}  # of a manifest, in words


def draw_sides(image, joints_xy, joints, visible):
    """Draws each joint in its side's colour, and L or R beside some, into the image itself."""
    for name, (x, y), shown in zip(joints, joints_xy, visible):
        side = side_of(name)
        if not shown or not side or not (0 <= x < TILE[0] and 0 <= y < TILE[1]):
            continue
        colour = rgb(side_colour(name))
        cv2.circle(image, (round(float(x)), round(float(y))), 3, colour, -1, cv2.LINE_AA)
        if name[1:] in LETTERED:
            write_text(image, side.upper(), (round(float(x)) + 4, round(float(y)) + 4), 0.4, colour)


def tile(image, person, data_set, found_xy, caption, behind):
    """One crops.Person at the sheet's size.

    found_xy: predicted joints [k, 2] or None.  behind: the person is seen from behind.
    """
    k, (height, width) = len(data_set.joints), image.shape[:2]
    whole = data_set.frame_size is not None  # frames of one size, in which people are large
    box = np.array((0, 0, width, height) if whole else person.box, float)
    extent = np.maximum(box[2:] - box[:2], 1) * (1 if whole else AROUND)
    matrix = crops.crop_matrix((box[:2] + box[2:]) / 2, np.array(TILE) * max(extent / TILE), TILE)
    image, shown_xy, visible, _ = crops.crop_person(image, person, matrix, TILE)
    shown_xy, visible = shown_xy[:k], visible[:k]
    if found_xy is not None:
        image = draw_skeleton(image, shown_xy, data_set, 1, TRUTH_COLOUR, visible=visible)
        shown_xy, visible = transform_points(matrix, found_xy), np.ones(k, bool)
    image = draw_skeleton(image, shown_xy, data_set, 1, visible=visible)
    draw_sides(image, shown_xy, data_set.joints, visible)
    if behind:
        cv2.rectangle(image, (1, 1), (TILE[0] - 2, TILE[1] - 2), BEHIND, 3)
        write_text(image, 'from behind' + ', sides swapped' * whole, (8, 20), 0.5, BEHIND)
    write_text(image, caption, (8, TILE[1] - 10), 0.45, TRUTH_COLOUR)
    return image


def seen_from_behind(people, data_set):
    """Which people of a Split are: bool [n].  FLIC's arrays say so; elsewhere, it follows from the joints."""
    if 'backward' in people.people.dtype.names:
        return people.people['backward']
    labelled = data_set.torso_labelled(people.people['visible'])
    return labelled & data_set.faces_backward(people.joints)


def wrongly_swapped(people, data_set):
    """Who of FLIC's arrays is swapped without being annotated as seen from behind: bool [n]."""
    annotated_xy = flic.swap_sides(people.joints)
    return people.people['backward'] & ~data_set.faces_backward(annotated_xy)


def errors_of(people, found_xy):
    """Each person's mean error over the labelled joints, in % of the unit: Split of n, [n, k, 2] -> [n]."""
    k = found_xy.shape[1]
    distance = np.linalg.norm(found_xy - people.joints[:, :k].astype(float), axis=-1)
    labelled = people.people['visible'][:, :k] > 0
    distance = np.where(labelled, distance, 0)
    return 100 * distance.sum(axis=1) / np.maximum(labelled.sum(axis=1), 1) / people.people['unit']


def spread(rows, n):
    """n of the rows, evenly spread, both ends among them; all if there are fewer."""
    n = min(n, len(rows))
    return rows[np.linspace(0, len(rows) - 1, n).astype(int)]


def annotated_tiles(options, manifest, data_set):
    """Tiles of the annotations of one split or of both, half of the people each."""
    splits = arrays.SPLITS if options.split == 'both' else (options.split,)
    tiles = []
    for i, split in enumerate(splits):
        people = arrays.labelled_people(arrays.load_split(options.data, split, manifest))
        behind = seen_from_behind(people, data_set)
        rows = np.flatnonzero(behind) if options.swapped else np.arange(len(behind))
        print(f'{split}: {behind.sum()} of {counted_people(len(behind))} seen from behind')
        if (
            'backward' in people.people.dtype.names
            and (wrong := wrongly_swapped(people, data_set)).any()
        ):
            print(
                f'{split}: left and right of {counted_people(wrong.sum())} are swapped '
                'though only the hips cross: an earlier data.py made these arrays; run it again'
            )
        for row in spread(rows, (options.people + len(splits) - 1 - i) // len(splits)):
            caption = f'{split} {people.people["file"][row]}'
            tiles.append(
                tile(
                    people.images[row],
                    crops.person_from_row(people, row),
                    data_set,
                    None,
                    caption,
                    behind[row],
                )
            )
    return tiles


def predicted_tiles(options, manifest, data_set):
    """Tiles of the last model's predictions."""
    found = predictions.read(options.predictions, manifest)
    people = arrays.select(arrays.load_split(options.data, found.split, manifest), found.rows)
    found_xy = list(found.models.values())[-1]
    errors, behind = errors_of(people, found_xy), seen_from_behind(people, data_set)
    rows = np.flatnonzero(behind) if options.swapped else np.arange(len(behind))
    chosen = (
        rows[np.argsort(-errors[rows])[: options.people]]
        if options.worst
        else spread(rows, options.people)
    )
    return [
        tile(
            people.images[row],
            crops.person_from_row(people, row),
            data_set,
            found_xy[row],
            f'{errors[row]:.0f} %',
            behind[row],
        )
        for row in chosen
    ]


def picture_path(text):
    """argparse type: a path that ends in .jpg or .png."""
    if not text.endswith(('.jpg', '.png')):
        raise argparse.ArgumentTypeError(f'must end in .jpg or .png, got {text!r}')
    return text


def parse_options():
    parser = cli.Parser(description=__doc__)
    parser.add_argument(
        'predictions', nargs='?', help='predictions.mat of main.py; without it, the annotations'
    )
    parser.add_argument(
        '--data',
        metavar='FOLDER',
        help='arrays of data.py (default: arrays; with predictions of '
        'another data set, arrays_lsp or arrays_mpii)',
    )
    parser.add_argument(
        '--split',
        choices=(*arrays.SPLITS, 'both'),
        help='split to draw the annotations of (default: both); predictions name their own',
    )
    parser.add_argument(
        '--out',
        type=picture_path,
        default='poses.jpg',
        help='picture to write (default: %(default)s)',
    )
    parser.add_argument(
        '--people', type=cli.positive_int, default=12, help='how many (default: %(default)s)'
    )
    parser.add_argument(
        '--swapped',
        action='store_true',
        help='only people seen from behind: data.py swaps their left and right in FLIC and custom '
        'data',
    )
    parser.add_argument(
        '--worst', action='store_true', help='the worst ones; else evenly spread over the file'
    )
    options = parser.parse_args()
    if options.worst and not options.predictions:
        parser.error('--worst goes with predictions')
    if options.split and options.predictions:
        parser.error(
            f'--split {options.split}: only goes with annotations; {options.predictions} names its own '
            'split'
        )
    options.split = options.split or 'both'
    return options


def source_of(manifest):
    """The name of the data set that arrays were made from."""
    source = manifest['settings'].get('source', manifest['dataset'])
    return SOURCES.get(source, source)


def main():
    options = parse_options()
    former = outputs.check_destination(options.out, '--out', outputs.describe_by_date(MARK))
    shown = predictions.dataset_of(options.predictions) if options.predictions else 'flic'
    options.data = options.data or arrays.default_folder(shown)
    manifest = arrays.read_manifest(options.data)
    data_set = datasets.load(manifest['dataset'])
    make_tiles = predicted_tiles if options.predictions else annotated_tiles
    tiles = make_tiles(options, manifest, data_set)
    if not tiles:
        raise InputError(
            f'{options.predictions or options.data}: nobody to show'
            + ': nobody is seen from behind' * options.swapped
        )
    write_image(options.out, tile_grid(tiles, COLUMNS), MARK)
    print(
        outputs.replacement_note(options.out, former) or options.out,
        counted_people(len(tiles)),
        sep=': ',
    )
    print(f'{source_of(manifest)}: {data_set.side_convention}')


if __name__ == '__main__':
    cli.run_script(main)
