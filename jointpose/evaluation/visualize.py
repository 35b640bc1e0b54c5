"""Draws skeletons on the pictures of annotated people, or of people with predicted joints.

    python show.py --data arrays [--split train | test]     the annotations, as data.py read them
    python show.py --data arrays --swapped                  only people seen from behind
    python show.py predictions.mat --data arrays --out poses.jpg [--people 12] [--worst]

The last one draws predictions beside the annotations.

Blue with an L is the left side, orange with an R the right one, pink the trunk.  Beside
predictions, the annotation is thin and white.  People seen from behind have a yellow frame.  FLIC
and custom data are observer-centric: left and right of these people are swapped, so L is always on
the picture's right.  Each caption is the picture's name, or the mean error over the joints in % of
the data set's unit (FLIC: ||lhip - rsho||).  Pictures of whole scenes are cut to the person and
some surroundings.
"""

if __name__ == '__main__':
    import jointpose.utils.startup  # noqa: F401

import argparse
import collections

import cv2
import numpy as np

from jointpose import datasets
from jointpose.datasets import arrays, flic
from jointpose.datasets.base import PictureDataSet
from jointpose.evaluation import predictions
from jointpose.utils import cli, outputs
from jointpose.utils.counts import counted
from jointpose.utils.errors import InputError
from jointpose.vision import crops
from jointpose.vision.affine import transform_points
from jointpose.vision.drawing import TRUTH_COLOUR, draw_skeleton
from jointpose.vision.image_files import write_image
from jointpose.vision.map_images import tile_grid
from jointpose.vision.palette import SIDE_COLOURS, rgb
from jointpose.vision.text_labels import write_text

MARK = b'people drawn by show.py'
TILE = (360, 240)  # width, height of one person's picture on the sheet
AROUND = 1.3  # sides of what is shown, in those of the person's box
COLUMNS = 4
LETTERED = ('sho', 'hip', 'wri', 'ank')  # joints that get an L or R
BEHIND = rgb('#f0e442')  # frame around people seen from behind
SOURCES = {
    'own': 'custom data',
    'own_skeleton': 'own key points',
    'flic_plus': 'FLIC-plus',
}  # of a manifest, in words


def draw_sides(
    image: np.ndarray, joints_xy: np.ndarray, data_set: PictureDataSet, visible: np.ndarray
) -> None:
    """Draws each joint in its side's colour, and L or R beside some, into the image itself.

    Args:
        image: RGB uint8, of the size TILE.
        joints_xy: [k, 2], pixels of the image.
        data_set: whose k joints they are.
        visible: [k]; joints with 0 are not drawn.
    """
    width, height = TILE
    lettered = lettered_joints(data_set)
    for name, (x, y), is_visible in zip(data_set.joints, joints_xy, visible):
        side = data_set.side(name)
        is_inside = 0 <= x < width and 0 <= y < height
        if not side or not is_visible or not is_inside:
            continue
        colour = rgb(SIDE_COLOURS[side])
        column = round(float(x))
        row = round(float(y))
        cv2.circle(image, (column, row), 3, colour, -1, cv2.LINE_AA)
        if name in lettered:
            write_text(image, side.upper(), (column + 4, row + 4), 0.4, colour)


def lettered_joints(data_set: PictureDataSet) -> set[str]:
    """The joints that get an L or R: of people LETTERED, of others the ends of chains of limbs."""
    if data_set.torso_joints:
        return {joint for joint in data_set.joints if joint[1:] in LETTERED}
    ends = collections.Counter(joint for limb in data_set.limbs for joint in limb)
    return {joint for joint in data_set.joints if ends[joint] <= 1}


def tile_matrix(image_size: tuple[int, int], person: crops.Person, whole: bool) -> np.ndarray:
    """The matrix [2, 3] from an image's pixels to those of its tile.

    Args:
        image_size: (width, height).
        whole: the tile shows the whole image; else the person and some surroundings.
    """
    box = np.array((0, 0, *image_size) if whole else person.box, float)
    top_left = box[:2]
    bottom_right = box[2:]
    extent = np.maximum(bottom_right - top_left, 1)
    if not whole:
        extent = extent * AROUND
    middle = (top_left + bottom_right) / 2
    # The part has the tile's shape, and the extent is in it.
    part = np.array(TILE) * max(extent / TILE)
    return crops.crop_matrix(middle, part, TILE)


def tile(
    image: np.ndarray,
    person: crops.Person,
    data_set: PictureDataSet,
    found_xy: np.ndarray | None,
    caption: str,
    behind: bool,
) -> np.ndarray:
    """One person's picture on the sheet, RGB uint8 [240, 360, 3].

    Args:
        found_xy: predicted joints [k, 2], pixels of the image, or None.
        behind: whether the person is seen from behind.
    """
    k = len(data_set.joints)
    height, width = image.shape[:2]
    whole = data_set.frame_size is not None  # frames of one size, in which people are large
    matrix = tile_matrix((width, height), person, whole)
    sample = crops.crop_person(image, person, matrix, TILE)
    image = sample.image
    shown_xy = sample.joints_xy[:k]
    visible = sample.visible[:k]
    if found_xy is not None:
        image = draw_skeleton(image, shown_xy, data_set, 1, TRUTH_COLOUR, visible=visible)
        shown_xy = transform_points(matrix, found_xy)
        visible = np.ones(k, bool)
    image = draw_skeleton(image, shown_xy, data_set, 1, visible=visible)
    draw_sides(image, shown_xy, data_set, visible)
    if behind:
        last = (TILE[0] - 2, TILE[1] - 2)
        cv2.rectangle(image, (1, 1), last, BEHIND, 3)
        words = 'from behind, sides swapped' if whole else 'from behind'
        write_text(image, words, (8, 20), 0.5, BEHIND)
    write_text(image, caption, (8, TILE[1] - 10), 0.45, TRUTH_COLOUR)
    return image


def seen_from_behind(people: arrays.Split, data_set: PictureDataSet) -> np.ndarray:
    """Which people are seen from behind: bool [n].

    FLIC's arrays say so; elsewhere, it follows from the joints.
    """
    if 'backward' in people.people.dtype.names:
        return people.people['backward']
    labelled = data_set.torso_labelled(people.people['visible'])
    return labelled & data_set.faces_backward(people.joints)


def wrongly_swapped(people: arrays.Split, data_set: PictureDataSet) -> np.ndarray:
    """Who of FLIC's arrays is swapped without being annotated as seen from behind: bool [n]."""
    annotated_xy = flic.swap_sides(people.joints)
    return people.people['backward'] & ~data_set.faces_backward(annotated_xy)


def errors_of(people: arrays.Split, found_xy: np.ndarray) -> np.ndarray:
    """Each person's mean error over the labelled joints, in % of the unit: [n, k, 2] -> [n]."""
    k = found_xy.shape[1]
    annotated_xy = people.joints[:, :k].astype(float)
    distance = np.linalg.norm(found_xy - annotated_xy, axis=-1)  # [n, k]
    labelled = people.people['visible'][:, :k] > 0
    total = np.where(labelled, distance, 0).sum(axis=1)
    n_labelled = np.maximum(labelled.sum(axis=1), 1)
    return 100 * total / n_labelled / people.people['unit']


def spread(rows: np.ndarray, n: int) -> np.ndarray:
    """n of the rows, evenly spread, both ends among them; all if there are fewer."""
    n = min(n, len(rows))
    return rows[np.linspace(0, len(rows) - 1, n).astype(int)]


def annotated_tiles(options, manifest: dict, data_set: PictureDataSet) -> list[np.ndarray]:
    """Tiles of the annotations of one split or of both, half of the people each."""
    splits = arrays.SPLITS if options.split == 'both' else (options.split,)
    tiles = []
    for i, split in enumerate(splits):
        people = arrays.labelled_people(arrays.load_split(options.data, split, manifest))
        behind = seen_from_behind(people, data_set)
        if data_set.torso_joints:
            print(f'{split}: {behind.sum()} of {counted(len(behind), "person")} seen from behind')
        warn_of_wrongly_swapped(split, people, data_set)
        # Of an odd number the first split gets one more.
        n = (options.people + len(splits) - 1 - i) // len(splits)
        for row in spread(candidates(options, behind), n):
            person = crops.person_from_row(people, row)
            caption = f'{split} {people.people["file"][row]}'
            tiles.append(tile(people.images[row], person, data_set, None, caption, behind[row]))
    return tiles


def candidates(options, behind: np.ndarray) -> np.ndarray:
    """The rows to choose from: all, or with --swapped those of people seen from behind."""
    return np.flatnonzero(behind) if options.swapped else np.arange(len(behind))


def warn_of_wrongly_swapped(split: str, people: arrays.Split, data_set: PictureDataSet) -> None:
    """Prints how many people an earlier data.py swapped wrongly, if there are any."""
    if 'backward' not in people.people.dtype.names:
        return
    n = wrongly_swapped(people, data_set).sum()
    if n:
        print(
            f'{split}: left and right of {counted(n, "person")} are swapped though only the hips '
            'cross: an earlier data.py made these arrays; run it again'
        )


def predicted_tiles(options, manifest: dict, data_set: PictureDataSet) -> list[np.ndarray]:
    """Tiles of the last model's predictions."""
    found = predictions.read(options.predictions, manifest)
    people = arrays.select(arrays.load_split(options.data, found.split, manifest), found.rows)
    found_xy = list(found.models.values())[-1]
    errors = errors_of(people, found_xy)
    behind = seen_from_behind(people, data_set)
    rows = candidates(options, behind)
    if options.worst:
        worst_first = rows[np.argsort(-errors[rows])]
        chosen = worst_first[: options.people]
    else:
        chosen = spread(rows, options.people)
    tiles = []
    for row in chosen:
        person = crops.person_from_row(people, row)
        caption = f'{errors[row]:.0f} %'
        tiles.append(
            tile(people.images[row], person, data_set, found_xy[row], caption, behind[row])
        )
    return tiles


def picture_path(text: str) -> str:
    """argparse type: a path that ends in .jpg or .png."""
    if not text.endswith(('.jpg', '.png')):
        raise argparse.ArgumentTypeError(f'must end in .jpg or .png, got {text!r}')
    return text


def parse_options() -> argparse.Namespace:
    """The options of the command line."""
    parser = cli.Parser(description=__doc__)
    parser.add_argument(
        'predictions', nargs='?', help='predictions.mat of main.py; without it, the annotations'
    )
    parser.add_argument(
        '--data',
        metavar='FOLDER',
        help='arrays of data.py (default: arrays; with predictions of '
        'another data set, arrays_lsp, arrays_mpii or arrays_own)',
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
            f'--split {options.split}: only goes with annotations; {options.predictions} names its '
            'own split'
        )
    options.split = options.split or 'both'
    return options


def source_of(manifest: dict) -> str:
    """The name of the data set that arrays were made from."""
    source = manifest['settings'].get('source', manifest['dataset'])
    return SOURCES.get(source, source)


def main() -> None:
    """Writes the sheet."""
    options = parse_options()
    former = outputs.check_destination(options.out, '--out', outputs.describe_by_date(MARK))
    shown = predictions.dataset_of(options.predictions) if options.predictions else 'flic'
    options.data = options.data or arrays.default_folder(shown)
    manifest = arrays.read_manifest(options.data)
    data_set = datasets.of_manifest(manifest)
    make_tiles = predicted_tiles if options.predictions else annotated_tiles
    tiles = make_tiles(options, manifest, data_set)
    if not tiles:
        shown_file = options.predictions or options.data
        reason = ': nobody is seen from behind' if options.swapped else ''
        raise InputError(f'{shown_file}: nobody to show{reason}')
    write_image(options.out, tile_grid(tiles, COLUMNS), MARK)
    print(
        outputs.replacement_note(options.out, former) or options.out,
        data_set.counted(len(tiles)),
        sep=': ',
    )
    print(f'{source_of(manifest)}: {data_set.side_convention}')


if __name__ == '__main__':
    cli.run_script(main)
