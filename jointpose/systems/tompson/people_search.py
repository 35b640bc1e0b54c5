"""How many people a picture shows, where, and how large: the torso's field (systems/tompson/torso_inference.py) at several zooms.

The field of a person is highest where the picture is zoomed so that their torso has the size that FLIC's people have,
and falls by 2 to 4 within an octave to either side: on 30 of FLIC's test people, each zoomed by 2^k times what gives
their torso TORSO pixels, its median and the share of the joints within 20 % of ||lhip - rsho|| are

    k                  -1.5   -1    -0.5    0     0.5    1     1.5
    field              -7.6  -5.9   -3.6  -2.5   -4.4  -8.8   -9.4
    joints found, %      13    54     90    94     91    63     13

The steps of ZOOMS were chosen by this table, so they have been looked at on test people.

So a picture is seen at zooms half an octave apart, the larger ones in overlapping tiles, once each.  In every view
people are taken one by one, the highest field first: the peaks that a person claims are taken out of the maps, which
are scaled to their sum again, so that the field does not sink with the number of people.  Of all views' people, those
are kept that are further than APART torsos from a better one.
"""

import collections
from typing import NamedTuple

import cv2
import numpy as np

from jointpose.datasets import flic
from jointpose.datasets.flic import HEIGHT, WIDTH
from jointpose.systems.tompson import torso_inference
from jointpose.vision import crops, heatmaps
from jointpose.vision.affine import transform_points, warp_image

TORSO = 131.0  # pixels of the frame: median length of training people's torsos
ZOOMS = (0.5, 0.71, 1, 1.41, 2)  # of the picture as it just fits into the frame
LARGEST = 8  # zoom: 225 tiles of a frame
APART = 0.6  # torsos between two people
CLAIMED = 3  # cells around a peak that belong to its person
LEAST = 0.02  # share of a map's mass below which what is left is not scaled to 1
LOWEST = -7.0  # field of what may be a person
CURVE = (-5.09, 1.48)  # of `certainty`: pretrained/flic's, fitted by tools/certainty.py
MOST = 20  # people of one view
NEAR = 0.4  # torsos from a click to the torso that it means
BELOW_HIPS = 1.2  # torsos: how far below a person's hips the middle of trousers may be,
BESIDE_HIPS, LARGER = 0.5, 1.3  # how far beside them, and how large they may be taken to be
SURER = 0.1  # how much higher their score may be than the person's
SHAPES = ((2.3, 0.45), (3.3, 0.35))  # a box's height in torsos, and how far down it they are
LOOSE = 0.2  # heights of a box to either side of that

# A picture as it is when it is `size` (width, height), (x, y) `scales` times its own.  image: at that size where it is
# smaller; what is larger is enlarged where a View is cut out of it, since all of it may take any amount of memory.
Enlarged = collections.namedtuple('Enlarged', 'image size scales')
# A frame uint8 [480, 720, 3] that shows a part of a picture, and the matrix [2, 3] from the picture to it.
View = collections.namedtuple('View', 'image matrix')
# A person: the View in which their size is right; torso_xy [2], pixels of the picture; the field there.
Seen = collections.namedtuple('Seen', 'view torso_xy score')


def enlarged(image, zoom):
    """The Enlarged of a picture `zoom` times as large as it just fits into the frame."""
    _, size = crops.letterbox(*image.shape[1::-1], (HEIGHT, WIDTH))
    return resized(image, tuple(max(1, round(zoom * side)) for side in size))


def resized(image, size):
    """The Enlarged of a picture at a size (width, height)."""
    scales = np.divide(size, image.shape[1::-1])
    if (scales < 1).any():
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return Enlarged(image, size, scales)


def cut(large, left, top):
    """The View of an Enlarged whose corner is at (left, top), whole pixels; black around the picture."""
    matrix = np.array([[large.scales[0], 0, -left], [0, large.scales[1], -top]], float)
    if large.image.shape[1::-1] != large.size:
        more = np.divide(large.size, large.image.shape[1::-1])
        return View(
            warp_image(
                large.image, np.column_stack([np.diag(more), matrix[:, 2]]), (WIDTH, HEIGHT)
            ),
            matrix,
        )
    black = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    x, y = max(left, 0), max(top, 0)
    part = large.image[y : max(top + HEIGHT, 0), x : max(left + WIDTH, 0)]
    black[y - top : y - top + part.shape[0], x - left : x - left + part.shape[1]] = part
    return View(black, matrix)


def same(image, view):
    """The View of another picture of that size that shows the same part of it."""
    scales = view.matrix[:, :2].diagonal()
    size = tuple(np.rint(scales * image.shape[1::-1]).astype(int).tolist())
    return cut(resized(image, size), *np.rint(-view.matrix[:, 2]).astype(int).tolist())


def around(image, zoom, xy):
    """The View at a zoom with a point of the picture in its middle; of a picture that fits, the whole."""
    large = enlarged(image, zoom)
    return cut(
        large,
        *(
            corners(side, length)[0] if side <= length else round(at * scale - length / 2)
            for side, length, at, scale in zip(large.size, (WIDTH, HEIGHT), xy, large.scales)
        ),
    )


def corners(side, length):
    """Where frames of `length` begin that cover `side`, half a frame apart at most."""
    if side <= length:
        return [-((length - side) // 2)]
    n = -(-2 * (side - length) // length) + 1
    return np.rint(np.linspace(0, side - length, n)).astype(int).tolist()


def tiles(image, zooms=ZOOMS):
    """Views that together show everybody."""
    for zoom in zooms:
        large = enlarged(image, zoom)
        for top in corners(large.size[1], HEIGHT):
            for left in corners(large.size[0], WIDTH):
                yield cut(large, left, top)


def in_view(maps, given_torso, most=MOST):
    """torso.Persons of one view, best first.  maps: the detector's, [60, 90, 9]; given_torso: torso.priors."""
    return share_out(maps, given_torso, most)[0]


def share_out(maps, given_torso, most=MOST):
    """The torso.Persons of one view, best first; what they leave of the maps [60, 90, 9]; the cells that they leave for
    another torso, bool [60, 90]."""
    maps, found = np.array(maps, np.float64), []
    free = np.ones(maps.shape[:2], bool)
    rows, columns = np.ogrid[: maps.shape[0], : maps.shape[1]]
    while len(found) < most and free.any():
        maps /= np.maximum(maps.sum(axis=(0, 1)), LEAST)
        person = torso_inference.best(maps, given_torso, free)
        if person.score < LOWEST:
            break
        found.append(person)
        for joint, (row, column) in zip(torso_inference.WITNESSES, person.peaks):
            maps[(abs(rows - row) <= CLAIMED) & (abs(columns - column) <= CLAIMED), joint] = 0
        free &= (
            np.hypot(rows - person.cell[0], columns - person.cell[1]) * heatmaps.STRIDE
            > APART * TORSO
        )
    return found, maps, free


def prompted(shared, given_torso, wanted):
    """The torso.Person of one view, shared out, whose torso is in one of the cells `wanted`, bool [60, 90].

    This is the best of the view's people who are there.  Where nobody is, it is the best of what the others leave: a
    prompt between two people does not get the shoulder of one and the hip of the other.
    """
    people, left, free = shared
    there = [person for person in people if wanted[cell_of(person.torso_xy)]]
    if there:
        return there[0]
    person = torso_inference.best(
        left, given_torso, wanted & free if (wanted & free).any() else wanted
    )
    if wanted[cell_of(person.torso_xy)]:
        return person
    return person._replace(torso_xy=heatmaps.STRIDE * (person.cell[::-1] + np.float32(0.5)))


def cell_of(xy):
    """(row, column) of the cell of a frame's pixel, or of the cell next to it where it is outside."""
    column, row = np.clip(
        np.floor_divide(xy, heatmaps.STRIDE), 0, (flic.MAP_WIDTH - 1, flic.MAP_HEIGHT - 1)
    )
    return int(row), int(column)


def apart(seen):
    """Non-maximum suppression: Seens that are further than APART torsos, of the larger one, from all better ones; best
    first."""
    kept = []
    for one in sorted(seen, key=lambda one: -one.score):
        if all(
            np.linalg.norm(one.torso_xy - better.torso_xy)
            > APART * max(map(torso_length, (one, better)))
            for better in kept
        ):
            kept.append(one)
    return kept


class Trunk(NamedTuple):
    """What is asked of a person to tell trousers from a shirt."""

    shoulders_xy: np.ndarray  # [2], the middle of both, pixels of the picture
    hips_xy: np.ndarray  # [2], the middle of both
    score: float


def trunk(joints_xy, score):
    """The Trunk of FLIC's joints [9, 2], pixels of the picture."""
    lsho, rsho, lhip, rhip = joints_xy[list(flic.TORSO_CORNERS)]
    return Trunk((lsho + rsho) / 2, (lhip + rhip) / 2, score)


def on_legs(one, other):
    """Whether a Trunk is probably another person's trousers, taken for a shirt: its middle lies below the other's hips,
    within their width, it is not larger, nor its score much higher.  tools/legs.py counts what this is worth."""
    down = other.hips_xy - other.shoulders_xy
    length = max(np.linalg.norm(down), 1e-6)
    across = np.array([-down[1], down[0]])
    offset = (one.shoulders_xy + one.hips_xy) / 2 - other.hips_xy
    below, beside = offset @ down / length**2, abs(offset @ across) / length**2
    size = np.linalg.norm(one.hips_xy - one.shoulders_xy) / length
    return bool(
        0 < below <= BELOW_HIPS
        and beside <= BESIDE_HIPS
        and size <= LARGER
        and one.score <= other.score + SURER
    )


def without_legs(trunks):
    """Indices of the Trunks that are nobody's trousers."""
    return [i for i, one in enumerate(trunks) if not any(on_legs(one, other) for other in trunks)]


def certainty(field, curve=CURVE):
    """Score of a person, 0..1.  curve: the field at which it is 1/2, and the steepness there.

    The curve is fitted to 50 of FLIC's training people and 22 pictures without people (tools/certainty.py), both kinds
    weighing the same: it ranks people and sets a threshold, but elsewhere it is not how often there is somebody.
    """
    even, steepness = curve
    return float(1 / (1 + np.exp(-steepness * (field - even))))


def torso_length(seen):
    """Of a Seen, pixels of the picture."""
    return TORSO / seen.view.matrix[0, 0]


def to_picture(view, xy):
    """(x, y) pixels of a View -> of the picture."""
    return (xy - view.matrix[:, 2]) / view.matrix[:, :2].diagonal()


def cells_near(xy, reach):
    """bool [60, 90]: cells of a frame within `reach` of a point, pixels; reach: one number, or (across, down)."""
    rows, columns = np.ogrid[: flic.MAP_HEIGHT, : flic.MAP_WIDTH]
    across, down = np.broadcast_to(reach, 2)
    centre = (np.array([columns, rows], object) + 0.5) * heatmaps.STRIDE
    return (((centre[0] - xy[0]) / across) ** 2 + ((centre[1] - xy[1]) / down) ** 2 <= 1).astype(
        bool
    )


# --- whom to look for ---------------------------------------------------------------------------------------------


def everybody(look, given_torso, image, zooms=ZOOMS):
    """Seens of a picture, RGB uint8 [h, w, 3], best first.  look([View]) -> their maps [n, 60, 90, 9]."""
    views = list(tiles(image, zooms))
    return apart(
        [
            Seen(view, to_picture(view, person.torso_xy), person.score)
            for view, maps in zip(views, look(views))
            for person in in_view(maps, given_torso)
        ]
    )


def at_point(look, given_torso, image, point_xy, zooms=ZOOMS):
    """The Seen whose torso a click at point_xy, pixels of the picture, means: of all zooms the best within NEAR torsos
    of it, with its own torso in place of the click."""
    views = [around(image, zoom, point_xy) for zoom in zooms]
    return _best(look, given_torso, views, [near(view, point_xy) for view in views], point_xy)


def in_box(look, given_torso, image, box):
    """The Seen of a detection, (x, y, width, height) pixels of the picture: as large as a person in such a box is when
    seen to the knees or whole, whichever fits better.

    Upper bodies to the hips are not asked for: a whole person, seen small, is often taken for one.  Torsos found within
    0.35 of their length without and with a third shape (1.6, 0.55): of 12 people of COCO in its boxes 10 and 8, of 17
    upright ones of PARSE's training people 12 and 11, of 20 of LSP extended 9 and 6, of 16 of FLIC's training people
    in boxes as far as the hips 15 and 16, as far as the frame shows 16 and 16.
    """
    x, y, width, height = box
    fits = crops.letterbox(*image.shape[1::-1], (HEIGHT, WIDTH))[0][0, 0]
    middles = [np.array([x + width / 2, y + depth * height]) for _, depth in SHAPES]
    views = [
        around(image, TORSO * torsos / height / fits, middle)
        for (torsos, _), middle in zip(SHAPES, middles)
    ]
    reach = np.array([width / 2, LOOSE * height])
    return _best(
        look,
        given_torso,
        views,
        [near(view, middle, reach) for view, middle in zip(views, middles)],
        middles[1],
    )


def still_there(image, seen):
    """Seens of a video's picture before, in the same part of this one: where they were, to be looked for near there."""
    return [one._replace(view=same(image, one.view)) for one in seen]


def near(view, xy, reach=None):
    """Cells of a view within `reach` of a point, pixels of the picture, or NEAR torsos."""
    return cells_near(
        transform_points(view.matrix, xy),
        NEAR * TORSO if reach is None else reach * view.matrix[0, 0],
    )


def _best(look, given_torso, views, wanted, otherwise_xy):
    """The Seen of the view in which the person of the cells `wanted` has the highest field; or of nobody, at a point of
    the picture."""
    people = [
        prompted(share_out(maps, given_torso), given_torso, cells)
        for maps, cells in zip(look(views), wanted)
    ]
    person, view = max(zip(people, views), key=lambda pair: pair[0].score)
    if person.score < LOWEST:
        return Seen(views[len(views) // 2], np.asarray(otherwise_xy, float), LOWEST)
    return Seen(view, to_picture(view, person.torso_xy), person.score)


def by_view(seen):
    """[[Seen, ...], ...]: those that one view shows together."""
    groups = {}
    for one in seen:
        groups.setdefault(tuple(one.view.matrix.ravel()), []).append(one)
    return list(groups.values())


def again(maps, given_torso, seen):
    """The torso.Persons of Seens of one view in other maps of it, [60, 90, 9]."""
    shared = share_out(maps, given_torso)
    for one in seen:
        yield prompted(shared, given_torso, near(one.view, one.torso_xy))
