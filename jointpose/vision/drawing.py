"""Pictures of results: skeletons, heat maps, filters; RGB uint8 in, new RGB uint8 out.

`body` is a data set's module: its JOINTS and LIMBS.
"""

import binascii
import os

import cv2
import numpy as np

from jointpose.utils import files
from jointpose.vision import palette
from jointpose.vision.palette import joint_colours, rgb, side_colour
from jointpose.vision.text_labels import ABOVE, LEFT, RIGHT, Labels, write_text

LETTERS = 0.45  # OpenCV's font scale on heat maps
LEGIBLE = 640  # least long side of a picture with people drawn on it
SCREEN = 720  # pixels of a long side on which the least sizes below can be seen
THICKNESS, THINNEST = 0.04, 1.25  # of limbs, in a person's size; at least so many pixels of SCREEN
TEXT, SMALLEST, LARGEST = (
    0.006,
    0.4,
    0.8,
)  # font scale of a pixel of a person's size; its range on SCREEN
ROOM, ROOM_OF_SEVERAL = 26, 50  # size from which a person's joints are named, pixels of SCREEN
DASH = 4  # widths of a line
SIZE = 360, 240  # width and height of TensorBoard's pictures, pixels
WEAK = 0.3  # score below which a joint is drawn weakly
OPACITY = 0.8  # of a map's peak over the frame
TRUTH_COLOUR, TRUNK = rgb(palette.GROUND_TRUTH), rgb(palette.SIDE_COLOURS[''])


def draw_skeleton(
    image, joints_xy, body, width=3, colour=None, weak=(), visible=None, dashed=False
):
    """Draws limbs and joints into a copy of an RGB picture; joints_xy: [k, 2] pixels of that picture.

    weak: indices of joints that are drawn as rings, and whose limbs are thin.  visible [k]: 0 leaves a joint and its
    limbs out.  dashed: all joints are rings, all limbs are thin and dashed.
    """
    image = np.ascontiguousarray(image).copy()
    far = 2 * max(image.shape)
    shown = np.ones(len(joints_xy), bool) if visible is None else np.asarray(visible) > 0
    points = np.clip(np.where(shown[:, None], joints_xy, 0), -far, far)
    thin = max(1, round(width / 3))
    for a, b in (limb for limb in body.LIMBS if shown[list(limb)].all()):
        limb = colour or rgb(side_colour(body.JOINTS[a], body.JOINTS[b]))
        thickness = thin if dashed or {a, b} & set(weak) else width
        for first, last in dashes(points[a], points[b], DASH * width if dashed else None):
            cv2.line(image, sixteenths(first), sixteenths(last), limb, thickness, cv2.LINE_AA, 4)
    for joint in np.flatnonzero(shown).tolist():
        kind = thin if dashed or joint in weak else -1
        cv2.circle(
            image,
            sixteenths(points[joint]),
            16 * (width + 1),
            colour or TRUTH_COLOUR,
            kind,
            cv2.LINE_AA,
            4,
        )
    return image


def dashes(first, last, length=None):
    """[(xy, xy), ...]: the parts of a line that are drawn; length: of a dash and a gap, pixels, None: all of it."""
    if length is None:
        return [(first, last)]
    n = max(1, round(float(np.linalg.norm(last - first)) / (2 * length)))
    starts = np.arange(n)[:, None] / n
    return list(zip(first + starts * (last - first), first + (starts + 0.5 / n) * (last - first)))


def sixteenths(xy):
    """A point as OpenCV takes it with a shift of 4: whole 1/16 pixels."""
    return tuple(round(16 * v) for v in np.asarray(xy).tolist())


def draw_poses(image, people, body, numbers=None):
    """Each person's skeleton, number and score, a cross at the torso, and, of people who are not small, the joints'
    names and scores.

    Lines, dots and letters go with each person's size, but are never too small to be seen when the whole picture fits
    a screen.  A small picture is enlarged by a whole number.  Joints with a score below WEAK are rings on thin limbs;
    people with low_score are thin and dashed.

    Args:
        image: RGB uint8 [h, w, 3].
        people: with joints_xy [k, 2], pixels of it; scores [k], 0..1; score; torso_xy [2] or None; low_score.
        numbers: what is written at each person; by default they are counted from 1.
    Returns:
        a new picture.
    """
    factor = -(-LEGIBLE // max(image.shape[:2]))
    image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    unit = max(image.shape[:2]) / SCREEN
    sizes = [factor * median_limb(person, body) for person in people]
    for person, size in sorted(zip(people, sizes), key=lambda pair: not pair[0].low_score):
        image = draw_person(
            image, person, body, factor, max(1, round(max(THICKNESS * size, THINNEST * unit)))
        )
    placed = Labels(image)
    room = unit * (ROOM if len(people) == 1 else ROOM_OF_SEVERAL)
    for person, size, number in zip(people, sizes, numbers or range(1, len(people) + 1)):
        label_person(placed, person, number, factor, size, font_scale(size, unit))
    for person, size in zip(people, sizes):
        if size >= room and not person.low_score:
            label_joints(placed, person, body.JOINTS, factor, font_scale(size, unit))
    placed.draw(image)
    return image


def median_limb(person, body):
    """Median length of a person's limbs, pixels of their picture: about 0.6 torsos.  Of the limbs between joints that
    are not weak, if there are three or more."""
    ends = np.asarray(person.joints_xy, float)[np.array(body.LIMBS)]  # [limbs, 2, 2]
    clear = (np.asarray(person.scores)[np.array(body.LIMBS)] >= WEAK).all(axis=1)
    lengths = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1)
    return float(np.median(lengths[clear] if clear.sum() >= 3 else lengths))


def font_scale(size, unit):
    return float(np.clip(TEXT * size, SMALLEST * unit, LARGEST * unit))


def draw_person(image, person, body, factor, width):
    """A skeleton, and a cross at the torso; factor: pixels of this picture in one of the person's."""
    weak = np.flatnonzero(np.asarray(person.scores) < WEAK).tolist()
    image = draw_skeleton(
        image,
        factor * np.asarray(person.joints_xy),
        body,
        width,
        weak=weak,
        dashed=person.low_score,
    )
    if person.torso_xy is not None:
        at = np.rint(factor * np.asarray(person.torso_xy)).astype(int).tolist()
        cv2.drawMarker(
            image, at, TRUNK, cv2.MARKER_CROSS, 5 * width, max(1, round(width / 2)), cv2.LINE_AA
        )
    return image


def label_person(placed, person, number, factor, size, scale):
    """A person's number and score above the head; of low score above the torso, where somebody was looked for."""
    joints_xy = np.asarray(person.joints_xy, float)
    top = person.torso_xy if person.low_score else joints_xy[joints_xy[:, 1].argmin()]
    above = factor * np.asarray(top) - (0, (0.2 if person.low_score else 0.5) * size)
    placed.add(f'{number}: {person.score:.2f}', above, scale, TRUTH_COLOUR, ABOVE)


def label_joints(placed, person, joints, factor, scale):
    """Names and scores of a person's joints, each on the joint's own side."""
    for name, xy, score in zip(joints, factor * np.asarray(person.joints_xy, float), person.scores):
        side = LEFT if name[0] == 'r' else RIGHT
        beside = xy + (18 * scale * side, 0)
        placed.add(f'{name} {score:.2f}', beside, scale, rgb(side_colour(name)), side)


def map_titles(maps, joints):
    """Names of maps [..., m]: the joints', or numbers where they are not one a joint."""
    return joints if maps.shape[-1] == len(joints) else tuple(map(str, range(maps.shape[-1])))


def heat_map_tile(image, heat, caption, colour):
    """A heat map over its picture in grey: RGB uint8 [h, w, 3], float [h, w], scaled by its own peak."""
    tile = tinted(image, np.clip(heat / max(heat.max(), 1e-12), 0, 1)[..., None], np.array(colour))
    write_text(tile, caption, (6, 18), 0.5, colour)
    return tile


def tinted(image, strength, tint):
    """A picture in grey under a colour: RGB uint8 [h, w, 3]; strength [h, w, 1], 0..1; tint: RGB [3] or [h, w, 3]."""
    grey, opacity = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], OPACITY * strength
    return np.rint((1 - opacity) * grey + opacity * tint).astype(np.uint8)


def tile_grid(tiles, columns):
    """Tiles in rows, the last one filled with black."""
    tiles = tiles + [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    return np.vstack([np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)])


def write_image(path, image, comment=b''):
    """RGB -> .jpg or .png, by the path's ending, atomically.  comment: bytes that the file holds near its start."""
    _, encoded = cv2.imencode(os.path.splitext(path)[1], image[..., ::-1])
    content = encoded.tobytes()
    if comment and content.startswith(b'\x89PNG'):  # its chunk comes after the header's
        chunk = b'tEXtComment\0' + comment
        chunk = (
            (len(chunk) - 4).to_bytes(4, 'big') + chunk + binascii.crc32(chunk).to_bytes(4, 'big')
        )
        content = content[:33] + chunk + content[33:]
    elif comment:  # its segment comes right after the start of the picture's
        content = (
            content[:2]
            + b'\xff\xfe'
            + (len(comment) + 2).to_bytes(2, 'big')
            + comment
            + content[2:]
        )
    with files.atomic_write(path) as partial, open(partial, 'wb') as file:
        file.write(content)


def overlay_maps(image, maps, joints, shown):
    """Heat maps of `joints` over their frame in grey: uint8 [h, w, 3], float [60, 90, 9] -> uint8 [240, 360, 3].

    shown: indices of k of the joints, each in its colour.  Each map is scaled by its own peak: a flat one covers
    everything.
    """
    colours = np.array([rgb(joint_colours(joints)[joints[i]]) for i in shown], np.float32)  # [k, 3]
    maps = np.maximum(np.nan_to_num(maps[..., list(shown)]), 0)  # [60, 90, k]
    maps = maps / np.maximum(maps.max(axis=(0, 1)), 1e-12)
    maps = cv2.resize(maps.astype(np.float32), SIZE).reshape(*SIZE[::-1], -1)  # [240, 360, k]
    tint = maps @ colours / np.maximum(maps.sum(axis=-1, keepdims=True), 1e-12)  # [240, 360, 3]
    picture = tinted(
        cv2.resize(image, SIZE, interpolation=cv2.INTER_AREA),
        maps.max(axis=-1, keepdims=True),
        tint,
    )
    for line, joint in enumerate(shown):
        write_text(picture, joints[joint], (6, 16 + 15 * line), LETTERS, colours[line].tolist())
    return picture


def map_image(values, caption):
    """[h, w] -> uint8 [240, 360, 3], dark at the least and bright at the largest value; a caption says both."""
    low, high = values.min(), values.max()
    levels = np.rint(255 * (values - low) / max(high - low, 1e-12)).astype(np.uint8)
    image = cv2.applyColorMap(
        cv2.resize(levels, SIZE, interpolation=cv2.INTER_NEAREST), cv2.COLORMAP_VIRIDIS
    )
    write_text(image, f'{caption}  {low:.3g} .. {high:.3g}', (6, 16), LETTERS, (255, 255, 255))
    return image[..., ::-1]


def filter_grid(weights):
    """[size, size, 3, F] -> uint8 RGB, about 240 square: the F filters side by side, 0 is grey."""
    size, _, _, n = weights.shape
    side = int(np.ceil(n**0.5))
    tiles = np.zeros((side * side, size + 1, size + 1, 3))
    tiles[:n, :size, :size] = weights.transpose(3, 0, 1, 2) / max(np.abs(weights).max(), 1e-12)
    grid = tiles.reshape(side, side, size + 1, size + 1, 3).swapaxes(1, 2)
    grid = grid.reshape(side * (size + 1), side * (size + 1), 3)
    factor = max(1, SIZE[1] // len(grid))
    return (
        np.rint(127.5 * (1 + grid)).astype(np.uint8).repeat(factor, axis=0).repeat(factor, axis=1)
    )
