"""Draws the figures of README.md and docs/method.md on drawn people, with a pretrained model.

    python -m tools.method_figures                             # docs/figures/, with pretrained/flic

people.jpg          pictures, the part detector's heat maps and joints, the joint model's
part_detector.png   the layers of the part detector
spatial_model.png   how the spatial model computes one joint's heat map: the maps of a drawn person
votes.png           how much each message says for the true place of a joint against the false one
"""

import os

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from jointpose import spatial_model
from jointpose.datasets import flic
from jointpose.utils import cli
from jointpose.vision import heatmaps
from jointpose.vision.palette import BACKGROUND, MODEL_COLOURS
from tools import drawn_people, figures
from tools.report import hits

SHOWN = ((100, 1), (119, 1))  # (picture, person) of people.jpg
EXAMPLE = (100, 1)  # of the spatial model's figures
JOINT = flic.JOINTS.index('lhip')  # whose false peak the spatial model removes
NEIGHBOURS = ('lsho', 'rhip', 'torso')  # the messages that spatial_model.png shows
REACH = (40, 45)  # rows and columns of a prior that are shown beyond zero displacement
DIMMED = 0.35  # brightness of a picture below its heat maps


# ---------------------------------------------------------------- people


def draw_people(path: str, scenes, all_maps) -> None:
    """One row a person: the picture with its torso point, and both models' maps and skeletons over it."""
    size = (10.5, 0.6 + 2.5 * len(scenes))
    figure = Figure(figsize=size, facecolor=BACKGROUND, layout='constrained')
    axes = figure.subplots(len(scenes), 3, squeeze=False)
    for row, scene, maps in zip(axes, scenes, all_maps):
        true_xy = scene.joints_xy[: flic.N_JOINTS]
        row[0].imshow(scene.image)
        row[0].plot(*scene.joints_xy[flic.N_JOINTS], 'x', color='w', markersize=9, mew=2)
        row[0].set(xticks=(), yticks=())
        row[0].set_title('picture and torso point', color='w', fontsize=11)
        columns = (('part detector', maps.detector), ('joint model', maps.joint_model))
        for axis, (name, heat_maps) in zip(row[1:], columns):
            found_xy = heatmaps.decode(heat_maps[None])[0]
            axis.imshow(overlay(scene.image, heat_maps))
            figures.skeletons(axis, found_xy, true_xy)
            axis.set_title(f'{name}: {hits(found_xy, true_xy)}', color='w', fontsize=11)
    keys = figures.skeleton_line_keys()
    figure.legend(handles=keys, loc='outside lower center', ncols=4, frameon=False, labelcolor='w')
    figures.save(figure, path)


def overlay(image: np.ndarray, heat_maps: np.ndarray) -> np.ndarray:
    """Float [480, 720, 3]: the dimmed picture with each joint's heat map in its colour."""
    lights = figures.blend(heat_maps).repeat(heatmaps.STRIDE, 0).repeat(heatmaps.STRIDE, 1)
    picture = DIMMED * image / 255
    return 1 - (1 - picture) * (1 - lights)


# ---------------------------------------------------------------- the part detector


def draw_part_detector(path: str) -> None:
    """Three banks of four convolutions, their mean, and two more convolutions."""
    figure = Figure(figsize=(10.5, 4.3), layout='constrained')
    axis = figure.subplots()
    axis.set(xlim=(0, 105), ylim=(0, 43))
    axis.axis('off')
    banks = (('720 x 480', 33, 1), ('360 x 240', 20, 2), ('180 x 120', 7, 4))
    layers = (
        ('conv1\n5x5, stride 2\npool', '64'),
        ('conv2\n5x5\npool', '128'),
        ('conv3\n5x5', '256'),
        ('conv4\n9x9', '512'),
    )
    for picture, y, shrink in banks:
        _box(axis, 5, y, 9, 7, f'{picture}\npicture', '#dddddd')
        for k, (text, channels) in enumerate(layers):
            _box(axis, 19 + 13 * k, y, 10, 8, text, '#a9cfe8', channels)
            _arrow(axis, (10 if k == 0 else 11 + 13 * k, y), (14 + 13 * k, y))
        resized = f', enlarged {shrink} times' if shrink > 1 else ''
        side = 1.5 if y >= 20 else -1.5
        align = 'bottom' if side > 0 else 'top'
        axis.text(64, y + side, f'60 x 90{resized}', fontsize=7.5, va=align)
        _arrow(axis, (63, y), (76.5, 20 + (y - 20) / 4))
    _box(axis, 79, 20, 5, 10, 'mean', '#f3d9a4')
    _box(axis, 89, 20, 9, 8, 'conv5\n9x9', '#a9cfe8', '512')
    _box(axis, 100, 20, 8, 8, 'conv6\n9x9', '#a9cfe8', '9')
    _arrow(axis, (81.5, 20), (84.5, 20))
    _arrow(axis, (93.5, 20), (96, 20))
    axis.text(
        100, 13, '9 maps, 60 x 90\nsoftmax over\nthe cells', ha='center', va='top', fontsize=9
    )
    axis.text(0, 41.5, 'numbers above the boxes: channels at full width', fontsize=9)
    figures.save(figure, path)


def _box(axis, x, y, width, height, text, colour, above=''):
    """A box around (x, y) with its text, and a line above it."""
    corner = (x - width / 2, y - height / 2)
    axis.add_patch(Rectangle(corner, width, height, facecolor=colour, edgecolor='0.3'))
    axis.text(x, y, text, ha='center', va='center', fontsize=8.5)
    axis.text(x, y + height / 2 + 0.4, above, ha='center', va='bottom', fontsize=8.5)


def _arrow(axis, start, end):
    axis.add_patch(FancyArrowPatch(start, end, arrowstyle='-|>', mutation_scale=9, color='0.3'))


# ---------------------------------------------------------------- the spatial model


def draw_spatial_model(path: str, scene, maps) -> None:
    """Rows: three neighbours' maps, priors and messages; below, the joint's own map and the result."""
    joint = flic.JOINTS[JOINT]
    figure = Figure(figsize=(10.5, 9.6), layout='constrained')
    axes = figure.subplots(len(NEIGHBOURS) + 1, 3, squeeze=False)
    for row, name in zip(axes, NEIGHBOURS):
        pair = spatial_model.PAIRS_TO_JOINTS.index((JOINT, flic.MAPS.index(name)))
        condjoint = flic.MAPS.index(name)
        _show_map(row[0], maps.unary[:, :, condjoint], scene, f'map of {name}')
        _show_prior(row[1], maps.priors[pair], f'prior of {joint} given {name}')
        logarithm = np.log(maps.terms[pair] + spatial_model.DELTA)
        _show_map(row[2], logarithm, scene, f'log(message {name} to {joint} + bias)')
        row[1].text(-0.2, 0.5, '*', transform=row[1].transAxes, fontsize=24, ha='center')
        row[1].text(1.13, 0.5, '=', transform=row[1].transAxes, fontsize=20, ha='center')
    last = axes[-1]
    own = drawn_people.own_term(maps.unary, JOINT)
    _show_map(last[0], maps.detector[:, :, JOINT], scene, f'part detector: heat map of {joint}')
    _show_map(last[1], own, scene, f'log(own map of {joint})')
    joint_model = maps.joint_model[:, :, JOINT]
    _show_map(last[2], joint_model, scene, 'joint model: softmax of own term + 9 messages')
    figures.save(figure, path)


def _show_map(axis, values, scene, title):
    """A map over the frame, with the target person's skeleton."""
    extent = (0, flic.WIDTH, flic.HEIGHT, 0)
    axis.imshow(values, extent=extent, cmap='magma')
    for a, b in flic.Flic().limb_indices:
        axis.plot(*scene.joints_xy[[a, b]].T, color='w', linewidth=0.8, alpha=0.8)
    axis.set(xlim=(0, flic.WIDTH), ylim=(flic.HEIGHT, 0), xticks=(), yticks=())
    axis.set_title(title, fontsize=10)


def _show_prior(axis, prior, title):
    """The centre of a prior [120, 180]: displacements in pixels."""
    centre_row = prior.shape[0] // 2
    centre_column = prior.shape[1] // 2
    rows = slice(centre_row - REACH[0], centre_row + REACH[0] + 1)
    columns = slice(centre_column - REACH[1], centre_column + REACH[1] + 1)
    bottom = heatmaps.STRIDE * (REACH[0] + 0.5)
    right = heatmaps.STRIDE * (REACH[1] + 0.5)
    axis.imshow(prior[rows, columns], extent=(-right, right, bottom, -bottom), cmap='magma')
    axis.plot(0, 0, '+', color='w', markersize=10)
    axis.tick_params(labelsize=7)
    axis.set_title(title, fontsize=10)


def draw_votes(path: str, scene, maps) -> None:
    """Bars: each term of the joint's logit at its true cell minus the same term at the detector's false peak."""
    names, votes = _votes(scene, maps)
    figure = Figure(figsize=(8, 3.6), layout='constrained')
    axis = figure.subplots()
    colours = [MODEL_COLOURS[0] if vote < 0 else MODEL_COLOURS[1] for vote in votes]
    axis.barh(range(len(names)), votes, color=colours)
    axis.set(yticks=range(len(names)), yticklabels=names)
    axis.invert_yaxis()
    axis.axvline(0, color='0.3', linewidth=0.8)
    axis.grid(axis='x', alpha=0.3)
    joint = flic.JOINTS[JOINT]
    axis.set_xlabel(f'logit of the true {joint} minus logit of the false one')
    figures.save(figure, path)


def _votes(scene, maps):
    """(labels, differences): the own term, the nine messages, and their sum."""
    true_cell = _cell_of_peak(maps.joint_model[:, :, JOINT])
    false_cell = _cell_of_peak(maps.detector[:, :, JOINT])
    own = drawn_people.own_term(maps.unary, JOINT)
    names = ['own map']
    votes = [own[true_cell] - own[false_cell]]
    for row, (joint, condjoint) in enumerate(spatial_model.PAIRS_TO_JOINTS):
        if joint == JOINT:
            term = np.log(maps.terms[row] + spatial_model.DELTA)
            names.append(f'message of {flic.MAPS[condjoint]}')
            votes.append(term[true_cell] - term[false_cell])
    return [*names, 'sum'], [*votes, sum(votes)]


def _cell_of_peak(heat_map):
    """(row, column) of the highest cell."""
    return np.unravel_index(np.argmax(heat_map), heat_map.shape)


# ---------------------------------------------------------------- command line


def main():
    parser = cli.Parser(description=__doc__)
    parser.add_argument('--restore', default=os.path.join('pretrained', 'flic'), metavar='WEIGHTS')
    parser.add_argument('--out', default=os.path.join('docs', 'figures'), metavar='FOLDER')
    args = parser.parse_args()

    os.makedirs(args.out, exist_ok=True)
    scenes = [drawn_people.scene(*which) for which in SHOWN]
    all_maps = [drawn_people.run(args.restore, scene) for scene in scenes]
    example = scenes[SHOWN.index(EXAMPLE)]
    example_maps = all_maps[SHOWN.index(EXAMPLE)]
    draw_people(os.path.join(args.out, 'people.jpg'), scenes, all_maps)
    draw_part_detector(os.path.join(args.out, 'part_detector.png'))
    draw_spatial_model(os.path.join(args.out, 'spatial_model.png'), example, example_maps)
    draw_votes(os.path.join(args.out, 'votes.png'), example, example_maps)


if __name__ == '__main__':
    cli.run_script(main)
