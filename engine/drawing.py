"""Pictures of results: skeletons, heat maps, filters; RGB uint8 in, new RGB uint8 out.

`body` is a data set's module: its JOINTS and LIMBS.
"""
import os

import cv2
import numpy as np

from engine import files, palette
from engine.palette import joint_colours, rgb, side_colour

LETTERS = 0.45                          # OpenCV's font scale on a picture 720 pixels long
LEGIBLE = 640                           # least long side of a picture with letters on it
SIZE = 360, 240                         # width and height of TensorBoard's pictures, pixels
WEAK = 0.3                              # score below which a joint is drawn weakly
OPACITY = 0.8                           # of a map's peak over the frame
TRUTH, TRUNK = rgb(palette.TRUTH), rgb(palette.SIDES[''])


def draw_skeleton(image, joints_xy, body, width=3, colour=None, weak=(), visible=None):
    """Draws limbs and joints into a copy of an RGB picture; joints_xy: [k, 2] pixels of that picture.

    weak: indices of joints that are drawn as rings, and whose limbs are thin.  visible [k]: 0 leaves a joint and its
    limbs out.
    """
    image = np.ascontiguousarray(image).copy()
    far = 2 * max(image.shape)
    shown = np.ones(len(joints_xy), bool) if visible is None else np.asarray(visible) > 0
    points = np.clip(np.where(shown[:, None], joints_xy, 0), -far, far)
    points = [tuple(round(16 * v) for v in xy.tolist()) for xy in points]                               # 1/16 pixels
    for a, b in (limb for limb in body.LIMBS if shown[list(limb)].all()):
        limb = colour or rgb(side_colour(body.JOINTS[a], body.JOINTS[b]))
        thickness = 1 if {a, b} & set(weak) else width
        cv2.line(image, points[a], points[b], limb, thickness, cv2.LINE_AA, 4)
    for joint in np.flatnonzero(shown).tolist():
        kind = 1 if joint in weak else -1
        cv2.circle(image, points[joint], 16 * (width + 1), colour or TRUTH, kind, cv2.LINE_AA, 4)
    return image


def draw_poses(image, people, body):
    """Each person's skeleton, and a cross at the point that said who was meant; of one person also the joints' names
    and scores.

    image: RGB uint8 [h, w, 3].  people: with joints_xy [k, 2], pixels of it, scores [k], 0..1, torso_xy [2] or None.
    Lines and letters go with the picture's size; a small picture is enlarged by a whole number, so that they can be
    read.  Joints with a score below WEAK are drawn weakly.  Returns a new picture.
    """
    factor = -(-LEGIBLE // max(image.shape[:2]))
    image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    unit = max(image.shape[:2]) / 720
    for person in people:
        joints_xy = np.asarray(person.joints_xy) * factor
        weak = np.flatnonzero(np.asarray(person.scores) < WEAK).tolist()
        image = draw_skeleton(image, joints_xy, body, max(1, round(3 * unit)), weak=weak)
        if person.torso_xy is not None:
            at = np.rint(np.asarray(person.torso_xy) * factor).astype(int).tolist()
            cv2.drawMarker(image, at, TRUNK, cv2.MARKER_CROSS, round(16 * unit), max(1, round(2 * unit)), cv2.LINE_AA)
    labels = place_labels(image, joints_xy, people[0].scores, body.JOINTS, unit) if len(people) == 1 else ()
    for name, text, (left, bottom, width, height) in labels:
        image[max(bottom - height, 0):bottom, left:left + width] //= 3              # dark below the letters
        corner = left + round(2 * unit), bottom - round(4 * unit)
        write_text(image, text, corner, LETTERS * unit, rgb(side_colour(name)))
    return image


def titles(maps, joints):
    """Names of maps [..., m]: the joints', or numbers where they are not one a joint."""
    return joints if maps.shape[-1] == len(joints) else tuple(map(str, range(maps.shape[-1])))


def place_labels(image, joints_xy, scores, joints, unit):
    """[(joint's name, text, (left, bottom, width, height))]: each beside its joint, on the joint's own side, within the
    picture, moved up or down until it covers no other."""
    high, wide = image.shape[:2]
    labels, taken = [], []
    for name, (x, y), score in zip(joints, np.asarray(joints_xy, float), scores):
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
    tile = tinted(image, np.clip(heat / max(heat.max(), 1e-12), 0, 1)[..., None], np.array(colour))
    write_text(tile, caption, (6, 18), 0.5, colour)
    return tile


def tinted(image, strength, tint):
    """A picture in grey under a colour: RGB uint8 [h, w, 3]; strength [h, w, 1], 0..1; tint: RGB [3] or [h, w, 3]."""
    grey, opacity = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], OPACITY * strength
    return np.rint((1 - opacity) * grey + opacity * tint).astype(np.uint8)


def sheet(tiles, columns):
    """Tiles in rows, the last one filled with black."""
    tiles = tiles + [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    return np.vstack([np.hstack(tiles[i:i + columns]) for i in range(0, len(tiles), columns)])


def write_picture(path, image, comment=b''):
    """RGB -> .jpg or .png, by the path's ending, atomically.  comment: of a .jpg only."""
    _, encoded = cv2.imencode(os.path.splitext(path)[1], image[..., ::-1])
    content = encoded.tobytes()
    if comment:                                         # its segment comes right after the start of the picture's
        content = content[:2] + b'\xff\xfe' + (len(comment) + 2).to_bytes(2, 'big') + comment + content[2:]
    with files.atomic(path) as partial, open(partial, 'wb') as file:
        file.write(content)


def overlay(image, maps, joints, shown):
    """Heat maps of `joints` over their frame in grey: uint8 [h, w, 3], float [60, 90, 9] -> uint8 [240, 360, 3].

    shown: indices of k of the joints, each in its colour.  Each map is scaled by its own peak: a flat one covers
    everything.
    """
    colours = np.array([rgb(joint_colours(joints)[joints[i]]) for i in shown], np.float32)      # [k, 3]
    maps = np.maximum(np.nan_to_num(maps[..., list(shown)]), 0)                      # [60, 90, k]
    maps = maps / np.maximum(maps.max(axis=(0, 1)), 1e-12)
    maps = cv2.resize(maps.astype(np.float32), SIZE).reshape(*SIZE[::-1], -1)        # [240, 360, k]
    tint = maps @ colours / np.maximum(maps.sum(axis=-1, keepdims=True), 1e-12)      # [240, 360, 3]
    picture = tinted(cv2.resize(image, SIZE, interpolation=cv2.INTER_AREA), maps.max(axis=-1, keepdims=True), tint)
    for line, joint in enumerate(shown):
        write_text(picture, joints[joint], (6, 16 + 15 * line), LETTERS, colours[line].tolist())
    return picture


def heat_image(values, caption):
    """[h, w] -> uint8 [240, 360, 3], dark at the least and bright at the largest value; a caption says both."""
    low, high = values.min(), values.max()
    levels = np.rint(255 * (values - low) / max(high - low, 1e-12)).astype(np.uint8)
    image = cv2.applyColorMap(cv2.resize(levels, SIZE, interpolation=cv2.INTER_NEAREST), cv2.COLORMAP_VIRIDIS)
    write_text(image, f'{caption}  {low:.3g} .. {high:.3g}', (6, 16), LETTERS, (255, 255, 255))
    return image[..., ::-1]


def filter_grid(weights):
    """[size, size, 3, F] -> uint8 RGB, about 240 square: the F filters side by side, 0 is grey."""
    size, _, _, n = weights.shape
    side = int(np.ceil(n ** 0.5))
    tiles = np.zeros((side * side, size + 1, size + 1, 3))
    tiles[:n, :size, :size] = weights.transpose(3, 0, 1, 2) / max(np.abs(weights).max(), 1e-12)
    grid = tiles.reshape(side, side, size + 1, size + 1, 3).swapaxes(1, 2)
    grid = grid.reshape(side * (size + 1), side * (size + 1), 3)
    factor = max(1, SIZE[1] // len(grid))
    return np.rint(127.5 * (1 + grid)).astype(np.uint8).repeat(factor, axis=0).repeat(factor, axis=1)
