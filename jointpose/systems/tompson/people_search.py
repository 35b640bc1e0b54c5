"""Multi-scale person detection by the torso's score map (torso_inference.py).

The score of a person is highest in the zoom in which their torso has the size of FLIC's torsos, and
falls by 2 to 4 within an octave to either side.  On 30 of FLIC's test people, each zoomed by 2^k
times what makes the torso TORSO pixels long, the median of the score and the fraction of the joints
within 20 % of ||lhip - rsho|| are

    k                  -1.5   -1    -0.5    0     0.5    1     1.5
    score              -7.6  -5.9   -3.6  -2.5   -4.4  -8.8   -9.4
    joints found, %      13    54     90    94     91    63     13

The steps of ZOOMS were chosen by this table, so test people have entered the choice.

A picture is seen at zooms half an octave apart, the larger ones in overlapping tiles.  In every
view people are detected one by one, the highest score first: the peaks of a detected person are
suppressed in the maps, which are then normalised again, so that the score does not depend on the
number of people.  Non-maximum suppression over all views keeps the best of those closer than
NMS_DISTANCE.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import cv2
import numpy as np

from jointpose.datasets import flic
from jointpose.datasets.flic import HEIGHT, WIDTH
from jointpose.systems.tompson import torso_inference
from jointpose.systems.tompson.torso_inference import Priors, Torso
from jointpose.vision import crops, heatmaps
from jointpose.vision.affine import transform_points, warp_image
from jointpose.vision.crops import View
from jointpose.vision.found_person import FoundPerson

TORSO = 131.0  # pixels of the frame: median length of training people's torsos
ZOOMS = (0.5, 0.71, 1, 1.41, 2)  # relative to the picture fitted to the frame
MAX_ZOOM = 8  # 225 tiles of a frame
NMS_DISTANCE = 0.6  # torsos between two people
SUPPRESSION_RADIUS = 3  # cells around a peak that belong to its person
MIN_MASS = 0.02  # a map with less than this left is not normalised to 1
MIN_SCORE = -7.0  # of what may be a person
CALIBRATION = (-5.09, 1.48)  # of detection_probability: pretrained/flic's (tools/certainty.py)
MAX_PEOPLE = 20  # of one view
PROMPT_RADIUS = 0.4  # torsos from a point prompt to the torso that it selects
BELOW_HIPS = 1.2  # torsos from a person's hips down to the middle of trousers, at most
BESIDE_HIPS = 0.5  # torsos beside the hips, at most
LEGS_SIZE = 1.3  # length of trousers, in torsos, at most
LEGS_SCORE = 0.1  # by how much their score may exceed the person's
# Of people in a box: its height in torsos, and the torso's middle as a fraction of the height.
BOX_SHAPES = ((2.3, 0.45), (3.3, 0.35))
BOX_REACH = 0.2  # heights of a box around that middle


class ScaledImage(NamedTuple):
    """A picture at another size.

    Enlarged pictures could take any amount of memory, so they are enlarged where a View is cropped.
    """

    image: np.ndarray  # RGB uint8 [h, w, 3], at `size` where that is smaller than the picture
    size: tuple[int, int]  # (width, height)
    scales: np.ndarray  # [2]: (x, y) of `size` over those of the picture


# Views, frames [480, 720, 3] -> the part detector's maps [n, 60, 90, 9].
RunDetector = Callable[[list[View]], np.ndarray]

# --- views of a picture ---------------------------------------------------------------------------


def zoom_image(image: np.ndarray, zoom: float) -> ScaledImage:
    """The picture `zoom` times as large as fitted to the frame."""
    _, size = crops.letterbox(*image.shape[1::-1], (HEIGHT, WIDTH))
    return resize_image(image, tuple(max(1, round(zoom * side)) for side in size))


def resize_image(image: np.ndarray, size: tuple[int, int]) -> ScaledImage:
    """The picture at a size (width, height)."""
    scales = np.divide(size, image.shape[1::-1])
    if (scales < 1).any():
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return ScaledImage(image, size, scales)


def crop_view(scaled: ScaledImage, left: int, top: int) -> View:
    """The View with its corner at (left, top), whole pixels; black around the picture."""
    scale_x, scale_y = scaled.scales
    matrix = np.array(
        [
            [scale_x, 0, -left],
            [0, scale_y, -top],
        ],
        float,
    )
    image_size = scaled.image.shape[1::-1]  # (width, height)
    if image_size == scaled.size:
        return View(copy_part(scaled.image, left, top), matrix)
    enlargement = np.divide(scaled.size, image_size)
    from_image = np.column_stack([np.diag(enlargement), matrix[:, 2]])
    return View(warp_image(scaled.image, from_image, (WIDTH, HEIGHT)), matrix)


def copy_part(image: np.ndarray, left: int, top: int) -> np.ndarray:
    """The frame, uint8 [480, 720, 3], with its corner at pixel (left, top) of a picture.

    It is black where it reaches beyond the picture.
    """
    frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    x = max(left, 0)
    y = max(top, 0)
    right = max(left + WIDTH, 0)
    bottom = max(top + HEIGHT, 0)
    part = image[y:bottom, x:right]
    height, width = part.shape[:2]
    row = y - top
    column = x - left
    frame[row : row + height, column : column + width] = part
    return frame


def same_region(image: np.ndarray, view: View) -> View:
    """The View of the same part of another picture of the same size."""
    scales = view.matrix[:, :2].diagonal()  # [2], (x, y)
    image_size = image.shape[1::-1]
    width, height = np.rint(scales * image_size).astype(int).tolist()
    left, top = np.rint(-view.matrix[:, 2]).astype(int).tolist()
    scaled = resize_image(image, (width, height))
    return crop_view(scaled, left, top)


def view_around(image: np.ndarray, zoom: float, xy: np.ndarray) -> View:
    """The View at a zoom with a point of the picture in its middle; the whole picture if it fits."""
    scaled = zoom_image(image, zoom)
    corner = []
    for side, length, point, scale in zip(scaled.size, (WIDTH, HEIGHT), xy, scaled.scales):
        fits = side <= length
        corner.append(corners(side, length)[0] if fits else round(point * scale - length / 2))
    return crop_view(scaled, *corner)


def corners(side: int, length: int) -> list[int]:
    """Where frames of `length` start that cover `side`, at most half a frame apart."""
    if side <= length:
        return [-((length - side) // 2)]
    n = -(-2 * (side - length) // length) + 1
    return np.rint(np.linspace(0, side - length, n)).astype(int).tolist()


def pyramid_views(image: np.ndarray, zooms=ZOOMS) -> Iterator[View]:
    """Views that together show all of a picture at each zoom."""
    for zoom in zooms:
        scaled = zoom_image(image, zoom)
        for top in corners(scaled.size[1], HEIGHT):
            for left in corners(scaled.size[0], WIDTH):
                yield crop_view(scaled, left, top)


def to_picture(view: View, xy: np.ndarray) -> np.ndarray:
    """(x, y) pixels of a View -> of the picture."""
    return (xy - view.matrix[:, 2]) / view.matrix[:, :2].diagonal()


# --- people of one view ---------------------------------------------------------------------------


class ViewPeople(NamedTuple):
    """The people detected in one view, and what they leave for others."""

    people: list[Torso]  # best first
    maps: np.ndarray  # float64 [60, 90, 9] without the peaks of these people
    free: np.ndarray  # bool [60, 90]: cells in which there may be another torso


def detect_in_view(maps: np.ndarray, priors: Priors, max_people: int = MAX_PEOPLE) -> ViewPeople:
    """The people in one view.  maps: the part detector's, [60, 90, 9]."""
    maps = np.array(maps, np.float64)
    found = []
    free = np.ones(maps.shape[:2], bool)
    rows, columns = np.ogrid[: maps.shape[0], : maps.shape[1]]
    while len(found) < max_people and free.any():
        maps /= np.maximum(maps.sum(axis=(0, 1)), MIN_MASS)
        torso = torso_inference.locate(maps, priors, free)
        if torso.score < MIN_SCORE:
            break
        found.append(torso)
        for joint, (row, column) in zip(priors.joints, torso.peaks):
            near_row = abs(rows - row) <= SUPPRESSION_RADIUS
            near_column = abs(columns - column) <= SUPPRESSION_RADIUS
            maps[near_row & near_column, joint] = 0
        distance = heatmaps.STRIDE * np.hypot(rows - torso.cell[0], columns - torso.cell[1])
        free &= distance > NMS_DISTANCE * TORSO
    return ViewPeople(found, maps, free)


def select_prompted(view_people: ViewPeople, priors: Priors, wanted: np.ndarray) -> Torso:
    """The person of one view with their torso in one of the cells `wanted`, bool [60, 90].

    It is the best of the detected people there.  If there is none, it is the best that the others
    leave: a prompt between two people does not get the shoulder of one and the hip of the other.
    """
    for torso in view_people.people:
        if wanted[cell_of(torso.torso_xy)]:
            return torso
    allowed = wanted & view_people.free
    if not allowed.any():
        allowed = wanted
    torso = torso_inference.locate(view_people.maps, priors, allowed)
    if wanted[cell_of(torso.torso_xy)]:
        return torso
    return torso._replace(torso_xy=heatmaps.STRIDE * (torso.cell[::-1] + np.float32(0.5)))


def cell_of(xy: np.ndarray) -> tuple[int, int]:
    """(row, column) of the cell of a frame's pixel, or of the nearest one if it is outside."""
    last = (flic.MAP_WIDTH - 1, flic.MAP_HEIGHT - 1)
    column, row = np.clip(np.floor_divide(xy, heatmaps.STRIDE), 0, last)
    return int(row), int(column)


def cells_near(xy: np.ndarray, reach) -> np.ndarray:
    """bool [60, 90]: cells of a frame within `reach` of a point, pixels.

    reach: one number, or (across, down).
    """
    rows, columns = np.ogrid[: flic.MAP_HEIGHT, : flic.MAP_WIDTH]
    across, down = np.broadcast_to(reach, 2)
    x = ((columns + 0.5) * heatmaps.STRIDE - xy[0]) / across
    y = ((rows + 0.5) * heatmaps.STRIDE - xy[1]) / down
    return x**2 + y**2 <= 1


def prompt_cells(view: View, xy: np.ndarray, reach: np.ndarray | None = None) -> np.ndarray:
    """Cells of a view within `reach` of a point, pixels of the picture; None: PROMPT_RADIUS."""
    if reach is None:
        return cells_near(transform_points(view.matrix, xy), PROMPT_RADIUS * TORSO)
    return cells_near(transform_points(view.matrix, xy), reach * view.matrix[0, 0])


# --- people of a picture --------------------------------------------------------------------------


def detect_people(
    run_detector: RunDetector, priors: Priors, image: np.ndarray, zooms=ZOOMS
) -> list[FoundPerson]:
    """All people of a picture, RGB uint8 [h, w, 3], best first."""
    views = list(pyramid_views(image, zooms))
    found = []
    for view, maps in zip(views, run_detector(views)):
        for torso in detect_in_view(maps, priors).people:
            found.append(without_joints(view, torso))
    return non_max_suppression(found)


def detect_at_point(
    run_detector: RunDetector, priors: Priors, image: np.ndarray, point_xy, zooms=ZOOMS
) -> FoundPerson:
    """The person at a point prompt, pixels of the picture.

    It is the best of all zooms within PROMPT_RADIUS, with its own torso in place of the point.
    """
    views = [view_around(image, zoom, point_xy) for zoom in zooms]
    wanted = [prompt_cells(view, point_xy) for view in views]
    return _best_detection(run_detector, priors, views, wanted, point_xy)


def detect_in_box(run_detector: RunDetector, priors: Priors, image: np.ndarray, box) -> FoundPerson:
    """The person in a box, (x, y, width, height) pixels of the picture.

    They are as large as a person who is seen to the knees or whole, whichever fits better.  Upper
    bodies to the hips are not tried: a whole person, seen small, is often taken for one.  Torsos
    found within 0.35 of their length without and with a third shape (1.6, 0.55): of 12 people of
    COCO in its boxes 10 and 8, of 17 upright ones of PARSE's training people 12 and 11, of 20 of
    LSP extended 9 and 6, of 16 of FLIC's training people in boxes as far as the hips 15 and 16, as
    far as the frame shows 16 and 16.
    """
    x, y, width, height = box
    fitted = crops.letterbox(*image.shape[1::-1], (HEIGHT, WIDTH))[0][0, 0]
    reach = np.array([width / 2, BOX_REACH * height])
    middles = [np.array([x + width / 2, y + depth * height]) for _, depth in BOX_SHAPES]
    views = []
    wanted = []
    for (torsos, _), middle in zip(BOX_SHAPES, middles):
        views.append(view_around(image, TORSO * torsos / height / fitted, middle))
        wanted.append(prompt_cells(views[-1], middle, reach))
    return _best_detection(run_detector, priors, views, wanted, middles[1])


def _best_detection(run_detector, priors, views, wanted, default_xy):
    """The person in the cells `wanted`, from the view in which their score is highest.

    If there is nobody, it is at default_xy, pixels of the picture, with MIN_SCORE.
    """
    torsos = [
        select_prompted(detect_in_view(maps, priors), priors, cells)
        for maps, cells in zip(run_detector(views), wanted)
    ]
    best = max(range(len(views)), key=lambda i: torsos[i].score)
    torso = torsos[best]
    if torso.score < MIN_SCORE:
        return FoundPerson(
            torso_xy=np.asarray(default_xy, float),
            view=views[len(views) // 2],
            torso_score=MIN_SCORE,
        )
    return without_joints(views[best], torso)


def without_joints(view: View, torso: Torso) -> FoundPerson:
    """The person of a Torso found in a view; their joints are still to be estimated."""
    return FoundPerson(
        torso_xy=to_picture(view, torso.torso_xy), view=view, torso_score=torso.score
    )


def propagate(image: np.ndarray, people: list[FoundPerson]) -> list[FoundPerson]:
    """People of a video's last picture in the same part of this one, still to be redetected."""
    return [person._replace(view=same_region(image, person.view)) for person in people]


def redetect(maps: np.ndarray, priors: Priors, people: list[FoundPerson]) -> Iterator[Torso]:
    """The Torsos of people in one view, found in other maps of it, [60, 90, 9]."""
    view_people = detect_in_view(maps, priors)
    for person in people:
        wanted = prompt_cells(person.view, person.torso_xy)
        yield select_prompted(view_people, priors, wanted)


def group_by_view(people: list[FoundPerson]) -> list[list[FoundPerson]]:
    """People in groups that share a view."""
    groups = {}
    for person in people:
        groups.setdefault(tuple(person.view.matrix.ravel()), []).append(person)
    return list(groups.values())


def non_max_suppression(people: list[FoundPerson]) -> list[FoundPerson]:
    """People further than NMS_DISTANCE from all better ones, best first.

    The distance is in torsos of the larger person.
    """
    kept = []
    for person in sorted(people, key=lambda person: -person.torso_score):
        if all(_apart(person, better) for better in kept):
            kept.append(person)
    return kept


def _apart(one, other):
    length = max(torso_length(one), torso_length(other))
    return np.linalg.norm(one.torso_xy - other.torso_xy) > NMS_DISTANCE * length


def torso_length(person: FoundPerson) -> float:
    """Length of the torso, pixels of the picture."""
    return TORSO / person.view.matrix[0, 0]


def detection_probability(torso_score: float, calibration=CALIBRATION) -> float:
    """Probability of a person, 0..1.  calibration: midpoint and slope of the logistic curve.

    It is fitted to 50 of FLIC's training people and 22 pictures without people
    (tools/certainty.py), both weighted equally: it ranks people and serves as a threshold, but
    elsewhere it is not how often there is a person.
    """
    midpoint, slope = calibration
    return float(1 / (1 + np.exp(-slope * (torso_score - midpoint))))


# --- trousers that are taken for a person ---------------------------------------------------------


class Trunk(NamedTuple):
    """What tells trousers from a shirt."""

    shoulders_xy: np.ndarray  # [2], the middle of both, pixels of the picture
    hips_xy: np.ndarray  # [2], the middle of both
    score: float


def trunk(joints_xy: np.ndarray, score: float) -> Trunk:
    """The Trunk of FLIC's joints [9, 2], pixels of the picture."""
    lsho, rsho, lhip, rhip = joints_xy[list(flic.TORSO_CORNERS)]
    return Trunk((lsho + rsho) / 2, (lhip + rhip) / 2, score)


def on_legs(one: Trunk, other: Trunk) -> bool:
    """Whether a Trunk is probably another person's trousers, taken for a shirt.

    Then its middle is below the other's hips and within their width, it is not larger, and its
    score is not much higher.  tools/legs.py measures what this is worth.
    """
    down = other.hips_xy - other.shoulders_xy
    length = max(np.linalg.norm(down), 1e-6)
    across = np.array([-down[1], down[0]])
    offset = (one.shoulders_xy + one.hips_xy) / 2 - other.hips_xy
    below = offset @ down / length**2
    beside = abs(offset @ across) / length**2
    size = np.linalg.norm(one.hips_xy - one.shoulders_xy) / length
    is_below = 0 < below <= BELOW_HIPS and beside <= BESIDE_HIPS
    return bool(is_below and size <= LEGS_SIZE and one.score <= other.score + LEGS_SCORE)


def without_legs(trunks: list[Trunk]) -> list[int]:
    """Indices of the Trunks that are not trousers of another."""
    kept = []
    for i, one in enumerate(trunks):
        if not any(on_legs(one, other) for other in trunks):
            kept.append(i)
    return kept
