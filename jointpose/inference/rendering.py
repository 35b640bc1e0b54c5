"""Pictures of the people found: annotated images and videos, and sheets of heat maps."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np

from jointpose.inference import result_files
from jointpose.inference.inputs import report_problem
from jointpose.media import videos
from jointpose.media.frames import Timing
from jointpose.media.sources import Source
from jointpose.vision import drawing, map_images
from jointpose.vision.affine import compose
from jointpose.vision.found_person import FoundPerson
from jointpose.vision.palette import SIDE_COLOURS, rgb

MAP_TILE = 480  # pixels, the longer side of a picture under a heat map
MAP_COLUMNS = 3


def draw_people(
    image: np.ndarray, people: list[FoundPerson], entries: list[dict], body
) -> np.ndarray:
    """The picture with its people, each once, and with the numbers of poses.json.

    entries: of each person, the fields `person`, `track` and `duplicate` of poses.json.
    """
    shown = []
    numbers = []
    for person, entry in zip(people, entries):
        if not entry.get('duplicate'):
            shown.append(person)
            numbers.append(entry.get('track', entry['person']))
    return drawing.draw_poses(image, shown, body, numbers)


def write_images(path: str, image, drawn, maps: tuple | None, body) -> None:
    """Writes PATH_pose.jpg and, if there are maps, PATH_maps.jpg.

    Args:
        image: the picture; drawn: with its people.
        maps: (maps, matrix), see `map_sheet`.
    """
    result_files.write_image(f'{path}_pose.jpg', drawn)
    if maps is not None:
        stack, matrix = maps
        sheet = map_sheet(image, stack, body, matrix)
        result_files.write_image(f'{path}_maps.jpg', sheet)


@contextlib.contextmanager
def annotated_video(
    source: Source, shape: Sequence[int], timing: Timing, out: str
) -> Iterator[Callable]:
    """Yields show(RGB uint8 [h, w, 3], seconds), which writes NAME_pose.mp4 at the video's pace."""
    path = os.path.join(out, f'{source.name}_pose.mp4')
    size = (shape[1], shape[0])
    with videos.writer(path, size, timing.rate, result_files.MARK, report_problem) as write:
        video = videos.ConstantRateWriter(write, timing.rate, timing.constant)
        yield video.show
        is_whole = video.shown == timing.count
        video.close(timing.end if is_whole else None)


def map_sheet(image: np.ndarray, maps: np.ndarray, body, matrix: np.ndarray) -> np.ndarray:
    """The heat maps over the picture, side by side, RGB uint8.

    Args:
        image: RGB uint8 [h, w, 3].
        maps: [rows, columns, m].
        body: the data set whose joints they are of.
        matrix: [2, 3], from cells to the picture's pixels.
    """
    height, width = image.shape[:2]
    scale = MAP_TILE / max(height, width)
    tile_width = max(1, round(scale * width))
    tile_height = max(1, round(scale * height))
    size = (tile_width, tile_height)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    to_tile = np.array([[tile_width / width, 0, 0], [0, tile_height / height, 0]])
    matrix = compose(matrix, to_tile)
    matrix[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5  # OpenCV's pixel i is the point i
    tiles = []
    for j, name in enumerate(map_images.map_titles(maps, body.joints)):
        warped = cv2.warpAffine(np.ascontiguousarray(maps[..., j]), matrix, size)
        colour = rgb(SIDE_COLOURS[body.side(name)])
        tiles.append(map_images.heat_map_tile(small, warped, name, colour))
    return map_images.tile_grid(tiles, min(MAP_COLUMNS, len(tiles)))
