"""Draws the figures of the report from arrays: no files are read, TensorFlow is not needed.

The part detector is blue and dashed, the joint model vermilion and solid; joints and limbs have
cool colours on the left and warm ones on the right.  The colours are those of Okabe and Ito or
close to them, which colour-blind readers can tell apart.  Points are pixels of the 720x480 frame,
(x right, y down).  A heat map is [60, 90]; its cell (r, c) covers x in [8c, 8c+8), y in [8r, 8r+8).

`heat_maps` takes maps and joints only, never a frame: FLIC's frames come from films and must not be
published.
"""

import itertools
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib import patheffects
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from jointpose.datasets.flic import HEIGHT, JOINTS, WIDTH, Flic
from jointpose.evaluation.predictions import TITLES
from jointpose.evaluation.rate_curves import CURVE_RADII
from jointpose.metrics.key_points import MAX_RADIUS
from jointpose.utils.files import atomic_write
from jointpose.vision import palette
from jointpose.vision.heatmaps import STRIDE
from jointpose.vision.palette import (
    BACKGROUND,
    GROUND_TRUTH,
    SIDE_COLOURS,
    joint_colours,
    rgb,
    side_colour,
)
from tools import plot_log

PART_DETECTOR, JOINT_MODEL = TITLES.values()
LINES = dict(zip(TITLES.values(), zip(palette.MODEL_COLOURS, ('--', '-'))))  # (colour, style)
MARKERS = ('D', 's', '^', 'o')  # one for each publication
OTHER_STYLES = ('-', '--', ':', '-.')  # lines of other systems, all grey
JOINT_COLOURS = joint_colours(JOINTS)
OPACITY_POWER = 0.7  # below 1, so that lower peaks show, too
OPACITY_LEVELS = 48  # few enough for a small file
DPI = 100


class Published(NamedTuple):
    """A published detection rate."""

    system: str
    model: str
    joint: str  # or its kind, if the side is not stated
    radius: float
    rate: float  # % at `radius`


class MappedPerson(NamedTuple):
    """One row of heat_maps: a person as seen by both models."""

    maps_pd: np.ndarray  # [60, 90, 9] of the part detector
    maps_sm: np.ndarray  # [60, 90, 9] of the joint model
    found_pd: np.ndarray  # [9, 2] predicted joints
    found_sm: np.ndarray  # [9, 2] predicted joints
    true_xy: np.ndarray  # [9, 2] annotated joints
    caption_pd: str  # a line above the picture
    caption_sm: str  # a line above the picture
    label: str  # why this person is shown; a line beside both pictures


def save(figure: Figure, path: str) -> None:
    """Writes a PNG or JPEG file, by the path's extension, atomically."""
    jpeg = path.endswith('.jpg')
    with atomic_write(path) as partial:
        figure.savefig(
            partial,
            format='jpg' if jpeg else 'png',
            dpi=DPI,
            facecolor=figure.get_facecolor(),
            pil_kwargs={'quality': 85} if jpeg else {'optimize': True},
        )


# ---------------------------------------------------------------- curves and losses


Curves = dict[tuple[str, str], np.ndarray]  # {(model, joint): [41] rates in % at CURVE_RADII}


def curves(
    path: str,
    rates: Curves,
    published: list[Published],
    title: str,
    normaliser: str,
    others: Curves | None = None,
) -> None:
    """Draws detection rates of the left joints, the nose and the mean, a panel each.

    Args:
        path: of the picture.
        rates: of our models, for the labels of detection_rates.row_groups.
        published: rates shown as marks.
        title: above the figure.
        normaliser: how the axis names what radii are a % of.
        others: rates of other systems, drawn in grey.
    """
    others = others or {}
    mean = next(label for _, label in rates if label.startswith('mean of'))
    panels = {
        'lwri': 'left wrist',
        'lelb': 'left elbow',
        'lsho': 'left shoulder',
        'lhip': 'left hip',
        'nose': 'nose',
        mean: mean + ' joints',
    }
    figure = Figure(figsize=(10, 7.6), layout='constrained')
    axes = figure.subplots(2, 3, sharex=True, sharey=True).ravel()
    publications = list(dict.fromkeys(point.system for point in published))
    for axis, (joint, name) in zip(axes, panels.items()):
        _draw_curves(axis, joint, rates, others)
        for point in published:
            if point.joint == joint:
                _draw_mark(axis, point, publications.index(point.system))
        axis.set(
            title=name,
            xlim=(0, MAX_RADIUS + 0.6),
            ylim=(0, 102),
            xticks=range(0, MAX_RADIUS + 1, 5),
        )
        axis.tick_params(labelbottom=True, labelleft=True)
        axis.grid(alpha=0.3)
    for axis in axes[3:]:
        axis.set_xlabel(f'radius in % of {normaliser}')
    figure.suptitle(title)
    figure.supylabel('detection rate in %')
    columns = _curve_keys(_models(rates), published, _models(others))
    figure.legend(
        handles=list(itertools.chain(*columns)),
        loc='outside lower center',
        ncols=len(columns),
        frameon=False,
        fontsize=9,
    )
    save(figure, path)


def _models(rates: Curves) -> list[str]:
    """The models or systems of some curves, each once."""
    return list(dict.fromkeys(model for model, _ in rates))


def _draw_curves(axis, joint: str, rates: Curves, others: Curves) -> None:
    """Draws the curves of one joint: our models, then the systems that predict it."""
    for model in _models(rates):
        colour, style = LINES[model]
        axis.plot(CURVE_RADII, rates[model, joint], style, color=colour, linewidth=2)
    for system, style in zip(_models(others), OTHER_STYLES):
        if (system, joint) in others:
            rate = others[system, joint]
            axis.plot(CURVE_RADII, rate, style, color='0.55', linewidth=1.2, zorder=1)


def _draw_mark(axis, point: Published, rank: int) -> None:
    """Draws a published rate; rank: of its publication.

    The mark stands beside the radius: marks of two publications at one place would overlap.
    """
    radius = point.radius + 0.6 * rank - 0.3
    axis.plot(radius, point.rate, clip_on=False, zorder=3, **_mark(point.model, rank))


def _curve_keys(
    models: list[str], published: list[Published], others: list[str]
) -> list[list[Line2D]]:
    """Columns of a legend, of equal length: our models, each publication, other systems."""
    ours = []
    for model in models:
        colour, style = LINES[model]
        ours.append(
            Line2D([], [], color=colour, linestyle=style, label=f'ours: {model}', linewidth=2)
        )
    columns = [ours]
    publications = list(dict.fromkeys(point.system for point in published))
    for rank, system in enumerate(publications):
        keys = []
        for model in dict.fromkeys(point.model for point in published if point.system == system):
            label = f'{system}: {model}'
            keys.append(Line2D([], [], linestyle='', label=label, **_mark(model, rank)))
        columns.append(keys)
    if others:
        keys = []
        for system, style in zip(others, OTHER_STYLES):
            keys.append(Line2D([], [], color='0.55', linestyle=style, label=system))
        columns.append(keys)
    longest = max(len(column) for column in columns)
    empty = Line2D([], [], linestyle='', label='')
    return [column + [empty] * (longest - len(column)) for column in columns]


def _mark(model: str, rank: int) -> dict:
    """Line properties of a mark: the shape shows the publication, filling and colour the model."""
    colour = LINES[PART_DETECTOR if model == PART_DETECTOR else JOINT_MODEL][0]
    filling = {PART_DETECTOR: 'none', JOINT_MODEL: 'full'}.get(model, 'left')
    return {
        'marker': MARKERS[rank],
        'color': colour,
        'fillstyle': filling,
        'markersize': 7,
        'markerfacecoloralt': 'w',
    }


def losses(path: str, steps: list[dict], epochs: list[dict], title: str) -> None:
    """Draws losses and detection rates over the iterations.

    Args:
        path: of the picture.
        steps: records of steps.jsonl.
        epochs: records of log.jsonl.
        title: above the figure.
    """
    figure = Figure(figsize=(11, 4.3), layout='constrained')
    axes = figure.subplots(1, 2)
    plot_log.draw(*axes, steps, epochs)
    for axis in axes:
        axis.grid(alpha=0.3)
        axis.legend()
    figure.suptitle(title)
    save(figure, path)


# ---------------------------------------------------------------- maps and skeletons


def blend(maps: np.ndarray) -> np.ndarray:
    """Heat maps [60, 90, 9] as a picture, float [60, 90, 3] RGB in 0 to 1, on BACKGROUND.

    Each joint has its colour, and each map is scaled by its own peak.  Colours mix like lights
    (screen blending), so that no joint hides another at the same place.
    """
    maps = np.nan_to_num(np.maximum(maps, 0))
    maps = (maps / np.maximum(maps.max(axis=(0, 1)), 1e-12)) ** OPACITY_POWER  # [60, 90, 9]
    maps = np.round(maps * OPACITY_LEVELS) / OPACITY_LEVELS
    colours = np.array([rgb(JOINT_COLOURS[joint]) for joint in JOINTS]) / 255  # [9, 3]
    dark = 1 - maps[..., None] * colours  # [60, 90, 9, 3]
    return 1 - (1 - np.array(rgb(BACKGROUND)) / 255) * dark.prod(axis=2)


def heat_maps(path: str, people: list[MappedPerson], title: str) -> None:
    """Draws a row for each person: part detector left, joint model right.

    The predicted skeleton is thick and coloured by side, the annotated one thin and white.
    """
    figure = Figure(
        figsize=(9, 0.9 + 3.15 * len(people)), facecolor=BACKGROUND, layout='constrained'
    )
    axes = figure.subplots(len(people), 2, squeeze=False)
    for row, person in zip(axes, people):
        columns = (
            (person.maps_pd, person.found_pd, person.caption_pd),
            (person.maps_sm, person.found_sm, person.caption_sm),
        )
        for axis, (maps, found_xy, caption) in zip(row, columns):
            axis.imshow(blend(maps), extent=(0, WIDTH, HEIGHT, 0), interpolation='nearest')
            skeletons(axis, found_xy, person.true_xy)
            axis.set_title(caption, color='w', fontsize=11)
        row[0].set_ylabel(person.label, color='w', fontsize=11)
    figure.suptitle(title, color='w', fontsize=11)
    figure.legend(
        handles=_skeleton_keys(),
        loc='outside lower center',
        ncols=7,
        frameon=False,
        labelcolor='w',
        fontsize=10,
        handlelength=1.2,
        columnspacing=1.4,
    )
    save(figure, path)


def _skeleton_keys() -> list[Line2D]:
    """Entries of a legend of two rows.  It is filled column by column: left above right."""
    order = []
    for left in (*JOINTS[:3], JOINTS[6]):
        order += [left, 'r' + left[1:]]
    keys = []
    for joint in [*order, 'nose']:
        colour = JOINT_COLOURS[joint]
        keys.append(Line2D([], [], color=colour, marker='s', linestyle='', label=joint))
    return [*keys, *skeleton_line_keys()]


def skeleton_line_keys() -> list[Line2D]:
    """The legend entries of the lines that `skeletons` draws."""
    return [
        Line2D([], [], color=GROUND_TRUTH, linewidth=1, marker='o', markersize=3, label='truth'),
        Line2D([], [], color=SIDE_COLOURS['l'], linewidth=3, label='found, left'),
        Line2D([], [], color=SIDE_COLOURS['r'], linewidth=3, label='found, right'),
        Line2D([], [], color=SIDE_COLOURS[''], linewidth=3, label='found, trunk'),
    ]


def skeletons(axis, found_xy: np.ndarray, true_xy: np.ndarray) -> None:
    """Draws the predicted and the annotated skeleton, [9, 2] each; the axis shows the frame."""
    edge = [patheffects.Stroke(linewidth=3.8, foreground=BACKGROUND), patheffects.Normal()]
    thin_edge = [patheffects.Stroke(linewidth=2.4, foreground=BACKGROUND), patheffects.Normal()]
    for a, b in Flic().limb_indices:
        axis.plot(
            *found_xy[[a, b]].T,
            color=side_colour(JOINTS[a], JOINTS[b]),
            linewidth=2.2,
            path_effects=edge,
            solid_capstyle='round',
        )
    for a, b in Flic().limb_indices:
        axis.plot(*true_xy[[a, b]].T, color=GROUND_TRUTH, linewidth=1, path_effects=thin_edge)
    axis.plot(
        *found_xy.T, 'o', color=BACKGROUND, markersize=4.5, markeredgecolor='w', markeredgewidth=1
    )
    axis.plot(*true_xy.T, 'o', color=GROUND_TRUTH, markersize=2.5)
    axis.set(xlim=(0, WIDTH), ylim=(HEIGHT, 0), xticks=(), yticks=())
    for spine in axis.spines.values():
        spine.set_color('#55555f')


def poses(
    path: str,
    images: np.ndarray,
    found: np.ndarray,
    true: np.ndarray,
    captions: list[str],
    title: str,
) -> None:
    """Draws pictures with skeletons, three in a row.

    Args:
        path: of the picture.
        images: uint8 [n, 480, 720, 3] RGB, of drawn people only.
        found: [n, 9, 2] predicted joints.
        true: [n, 9, 2] annotated joints.
        captions: a line above each picture.
        title: above the figure.
    """
    n_rows = -(-len(images) // 3)
    figure = Figure(figsize=(12, 0.9 + 2.85 * n_rows), facecolor=BACKGROUND, layout='constrained')
    axes = figure.subplots(n_rows, 3, squeeze=False).ravel()
    for axis, image, found_xy, true_xy, caption in zip(axes, images, found, true, captions):
        axis.imshow(image)
        skeletons(axis, found_xy, true_xy)
        axis.set_title(caption, color='w', fontsize=11)
    for axis in axes[len(images) :]:
        axis.remove()
    figure.suptitle(title, color='w')
    figure.legend(
        handles=skeleton_line_keys(),
        loc='outside lower center',
        ncols=4,
        frameon=False,
        labelcolor='w',
    )
    save(figure, path)


# ---------------------------------------------------------------- errors


Rates = list[tuple[str, int, dict[str, float]]]  # [(name, count, {model: rate in %})]


def errors(path: str, films: Rates, heights: Rates, title: str) -> None:
    """Draws detection rates by film, and of wrists by their height."""
    figure = Figure(figsize=(8, 2.4 + 0.2 * (len(films) + len(heights))), layout='constrained')
    ratios = (len(heights) + 1, len(films) + 1)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=ratios)
    _draw_rates(above, heights, 'wrists by their height (wrists)')
    _draw_rates(below, films, 'mean of all joints, film by film (people)')
    below.set_xlabel('%')
    below.legend(loc='lower left')
    figure.suptitle(title, fontsize=11)
    save(figure, path)


def _draw_rates(axis, rows: Rates, title: str) -> None:
    """Draws a dot for each model and row; a line between the dots shows the gain."""
    for y, (_, _, rates) in enumerate(rows):
        axis.plot(list(rates.values()), [y] * len(rates), color='0.7', zorder=1)
        for model, rate in rates.items():
            axis.plot(rate, y, 'o', color=LINES[model][0], label=model if y == 0 else None)
    axis.set(yticks=range(len(rows)), xlim=(0, 100), title=title, ylim=(-0.8, len(rows) - 0.2))
    names = [f'{name.replace("-", " ")} ({count})' for name, count, _ in rows]
    axis.set_yticklabels(names, fontsize=8)
    axis.grid(axis='x', alpha=0.3)


# ---------------------------------------------------------------- priors


def priors(
    path: str,
    names: Sequence[tuple[str, str]],
    start: np.ndarray,
    trained: np.ndarray,
    biases: np.ndarray,
    title: str,
    reach: tuple[int, int] = (30, 38),
) -> None:
    """Draws a column for each pair: its prior before and after training, and its learned bias.

    Args:
        path: of the picture.
        names: k pairs (joint, condjoint).
        start: [k, 120, 180], softplus of the energies, zero displacement at [60, 90].
        trained: [k, 120, 180], the same after training, drawn on the same scale.
        biases: [k, 60, 90], softplus of the biases.
        title: above the figure.
        reach: rows and columns shown on each side of zero displacement.
    """
    figure = Figure(figsize=(1.7 * len(names) + 0.8, 4.9), layout='constrained')
    axes = figure.subplots(3, len(names), squeeze=False)
    energies = _draw_energies(axes[:2], start, trained, reach)
    bias = _draw_biases(axes[2], biases)
    for axis, (joint, condjoint) in zip(axes[0], names):
        axis.set_title(f'{joint} | {condjoint}')
    labels = ('prior at the start', 'prior after training', 'bias after training')
    for axis, label in zip(axes[:, 0], labels):
        axis.set_ylabel(label)
    for axis in axes.flat:
        axis.tick_params(labelsize=7)
    for axis in axes[0]:
        axis.tick_params(labelbottom=False)
    for axis in axes[:, 1:].flat:
        axis.tick_params(labelleft=False)
    figure.colorbar(energies, ax=axes[:2], label='softplus(energy)', shrink=0.8)
    figure.colorbar(bias, ax=axes[2], label='softplus(bias)')
    figure.suptitle(textwrap.fill(title, 16 * len(names) + 16))
    save(figure, path)


def _draw_energies(axes, start: np.ndarray, trained: np.ndarray, reach: tuple[int, int]):
    """Draws both rows of priors on one colour scale; returns the last image drawn."""
    centre_row, centre_col = np.array(start.shape[1:]) // 2
    rows = slice(centre_row - reach[0], centre_row + reach[0] + 1)
    cols = slice(centre_col - reach[1], centre_col + reach[1] + 1)
    bottom = STRIDE * (reach[0] + 0.5)
    right = STRIDE * (reach[1] + 0.5)
    shown = (start[:, rows, cols], trained[:, rows, cols])
    largest = max(values.max() for values in shown)
    for row_axes, values in zip(axes, shown):
        for axis, energy in zip(row_axes, values):
            image = axis.imshow(
                energy,
                extent=(-right, right, bottom, -bottom),
                cmap='magma',
                vmin=0,
                vmax=largest,
            )
            axis.plot(0, 0, '+', color='w', markersize=9)
    return image


def _draw_biases(axes, biases: np.ndarray):
    """Draws the biases on one colour scale; returns the last image drawn."""
    lowest = biases.min()
    highest = max(biases.max(), lowest + 1e-6)
    for axis, bias in zip(axes, biases):
        image = axis.imshow(
            bias, extent=(0, WIDTH, HEIGHT, 0), cmap='viridis', vmin=lowest, vmax=highest
        )
    return image
