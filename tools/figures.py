"""The report's figures, each a function of arrays: no files are read, no TensorFlow is needed.

The part detector is blue and dashed, the joint model vermilion and solid; of joints and limbs, left
is cool and right warm.  The colours are those of Okabe and Ito or near them, which colour-blind
readers can tell apart, too.  Points are in pixels of the 720x480 frame, (x right, y down).  A heat
map is [60, 90]; its cell (r, c) covers x in [8c, 8c+8), y in [8r, 8r+8).  `heat_maps` gets maps and
joints only, never a frame: FLIC's frames are those of films and not for publication.
"""

import textwrap
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
LINES = dict(zip(TITLES.values(), zip(palette.MODEL_COLOURS, ('--', '-'))))
MARKERS = ('D', 's', '^', 'o')  # one a publisher
OTHERS = ('-', '--', ':', '-.')  # lines of other systems, all grey
JOINT_COLOURS = joint_colours(JOINTS)
OPACITY_POWER = 0.7  # below 1: lesser peaks show too
OPACITY_LEVELS = 48  # few enough for a small file
DPI = 100


class Published(NamedTuple):
    """One published figure."""

    system: str
    model: str
    joint: str  # or the kind of joint, where a side is not stated
    radius: float
    rate: float  # % at `radius`


class MappedPerson(NamedTuple):
    """One person of heat_maps."""

    maps_pd: np.ndarray  # [60, 90, 9], the part detector's
    maps_sm: np.ndarray  # [60, 90, 9], the joint model's
    found_pd: np.ndarray  # [9, 2] joints
    found_sm: np.ndarray  # [9, 2]
    true_xy: np.ndarray  # [9, 2]
    caption_pd: str  # a line above the picture
    caption_sm: str
    label: str  # why this person is shown; a line beside both pictures


def save(figure, path):
    """Writes .png or .jpg, by the path's ending, atomically."""
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


def curves(path, rates, published, title, normaliser, others=None):
    """Detection rates of the left joints, the nose and the mean, with published figures as marks.

    rates, others: {(model, label of detection_rates.row_groups): [41] in % at CURVE_RADII}; published: [Published].
    """
    models = list(dict.fromkeys(model for model, _ in rates))
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
    systems = list(dict.fromkeys((point.system, point.model) for point in published))
    publishers = list(dict.fromkeys(system for system, _ in systems))
    strangers = list(dict.fromkeys(system for system, _ in others or ()))
    for axis, (joint, name) in zip(axes, panels.items()):
        for model in models:
            colour, style = LINES[model]
            axis.plot(CURVE_RADII, rates[model, joint], style, color=colour, linewidth=2)
        for system, style in zip(strangers, OTHERS):
            if (system, joint) in others:
                axis.plot(
                    CURVE_RADII, others[system, joint], style, color='0.55', linewidth=1.2, zorder=1
                )
        for point in published:
            if point.joint == joint:
                rank = publishers.index(point.system)
                # Beside the radius, not on it: marks of two publishers would hide each other.
                axis.plot(
                    point.radius + 0.6 * rank - 0.3,
                    point.rate,
                    clip_on=False,
                    zorder=3,
                    **_mark(point.model, rank),
                )
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
    columns = _curve_keys(models, systems, publishers, strangers)
    keys = [key for column in columns for key in column]
    figure.legend(
        handles=keys, loc='outside lower center', ncols=len(columns), frameon=False, fontsize=9
    )
    save(figure, path)


def _curve_keys(models, systems, publishers, strangers):
    """Columns of a legend, all of one length: our models, each publisher's, and other systems."""
    columns = [
        [
            Line2D(
                [],
                [],
                color=LINES[model][0],
                linestyle=LINES[model][1],
                label=f'ours: {model}',
                linewidth=2,
            )
            for model in models
        ]
    ]
    columns += [
        [
            Line2D([], [], linestyle='', label=f'{system}: {model}', **_mark(model, rank))
            for system, model in systems
            if system == publisher
        ]
        for rank, publisher in enumerate(publishers)
    ]
    columns += (
        [
            [
                Line2D([], [], color='0.55', linestyle=style, label=system)
                for system, style in zip(strangers, OTHERS)
            ]
        ]
        if strangers
        else []
    )
    longest, empty = max(map(len, columns)), [Line2D([], [], linestyle='', label='')]
    return [column + empty * (longest - len(column)) for column in columns]


def _mark(model, rank):
    """Line properties of a published figure: shape says who, filling and colour say which of the models."""
    colour = LINES[PART_DETECTOR if model == PART_DETECTOR else JOINT_MODEL][0]
    filling = {PART_DETECTOR: 'none', JOINT_MODEL: 'full'}.get(model, 'left')
    return {
        'marker': MARKERS[rank],
        'color': colour,
        'fillstyle': filling,
        'markersize': 7,
        'markerfacecoloralt': 'w',
    }


def losses(path, steps, epochs, title):
    """Loss and detection rate over the updates; steps, epochs: records of steps.jsonl and log.jsonl."""
    figure = Figure(figsize=(11, 4.3), layout='constrained')
    axes = figure.subplots(1, 2)
    plot_log.draw(*axes, steps, epochs)
    for axis in axes:
        axis.grid(alpha=0.3)
        axis.legend()
    figure.suptitle(title)
    save(figure, path)


# ---------------------------------------------------------------- maps and skeletons


def blend(maps):
    """[60, 90, 9] -> float [60, 90, 3] RGB on DARK: each joint in its colour, each map scaled by its own peak.

    Mixed like lights (screen), so that joints in one place brighten it and none hides another.
    """
    maps = np.nan_to_num(np.maximum(maps, 0))
    maps = (maps / np.maximum(maps.max(axis=(0, 1)), 1e-12)) ** OPACITY_POWER  # [60, 90, 9]
    maps = np.round(maps * OPACITY_LEVELS) / OPACITY_LEVELS
    colours = np.array([rgb(JOINT_COLOURS[joint]) for joint in JOINTS]) / 255  # [9, 3]
    dark = 1 - maps[..., None] * colours  # [60, 90, 9, 3]
    return 1 - (1 - np.array(rgb(BACKGROUND)) / 255) * dark.prod(axis=2)


def heat_maps(path, people, title):
    """A row a person: the part detector's maps and joints left, the joint model's right; people: [MappedPerson].

    The found skeleton is thick and coloured by side, the true one thin and white.
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


def _skeleton_keys():
    """Ordered for a legend of two rows, which is filled column by column: left above right."""
    order = [joint for left in JOINTS[:3] + JOINTS[6:7] for joint in (left, 'r' + left[1:])] + [
        'nose'
    ]
    truth, *found = skeleton_line_keys()
    return [
        *(
            Line2D([], [], color=JOINT_COLOURS[joint], marker='s', linestyle='', label=joint)
            for joint in order
        ),
        truth,
        *found,
    ]


def skeleton_line_keys():
    """Legend entries of the lines that `skeletons` draws."""
    return [
        Line2D([], [], color=GROUND_TRUTH, linewidth=1, marker='o', markersize=3, label='truth'),
        Line2D([], [], color=SIDE_COLOURS['l'], linewidth=3, label='found, left'),
        Line2D([], [], color=SIDE_COLOURS['r'], linewidth=3, label='found, right'),
        Line2D([], [], color=SIDE_COLOURS[''], linewidth=3, label='found, trunk'),
    ]


def skeletons(axis, found_xy, true_xy):
    """Both skeletons [9, 2] into an axis that shows exactly the frame, without its ticks and spines."""
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


def poses(path, images, found, true, captions, title):
    """Pictures with skeletons, three a row.

    images: uint8 [n, 480, 720, 3] RGB, of drawn people only; found, true: [n, 9, 2]; captions: n lines.
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


def errors(path, films, heights, title):
    """Rates film by film, and of wrists by their height.

    films, heights: [(name, how many, {model: rate in %})]; of each, models are joined by a line: what the last gains.
    """
    figure = Figure(figsize=(8, 2.4 + 0.2 * (len(films) + len(heights))), layout='constrained')
    above, below = figure.subplots(
        2, 1, sharex=True, height_ratios=(len(heights) + 1, len(films) + 1)
    )
    for axis, rows, what in (
        (above, heights, 'wrists by their height (wrists)'),
        (below, films, 'mean of all joints, film by film (people)'),
    ):
        names = [f'{name.replace("-", " ")} ({n})' for name, n, _ in rows]
        for y, (_, _, rates) in enumerate(rows):
            axis.plot(list(rates.values()), [y] * len(rates), color='0.7', zorder=1)
            for model, rate in rates.items():
                axis.plot(rate, y, 'o', color=LINES[model][0], label=model if y == 0 else None)
        axis.set(yticks=range(len(rows)), xlim=(0, 100), title=what, ylim=(-0.8, len(rows) - 0.2))
        axis.set_yticklabels(names, fontsize=8)
        axis.grid(axis='x', alpha=0.3)
    below.set_xlabel('%')
    below.legend(loc='lower left')
    figure.suptitle(title, fontsize=11)
    save(figure, path)


# ---------------------------------------------------------------- priors


def priors(path, names, start, trained, biases, title, reach=(30, 38)):
    """A column a pair: its prior at the start and after training, on one scale, and its learned bias.

    names: k x (joint, condjoint); start, trained: [k, 120, 180], softplus of the energies, zero displacement at
    [60, 90]; biases: [k, 60, 90], softplus of the biases.  reach: rows and columns shown beyond zero displacement.
    """
    figure = Figure(figsize=(1.7 * len(names) + 0.8, 4.9), layout='constrained')
    axes = figure.subplots(3, len(names), squeeze=False)
    centre_row, centre_col = np.array(start.shape[1:]) // 2
    rows, cols = (
        slice(centre - r, centre + r + 1) for centre, r in zip((centre_row, centre_col), reach)
    )
    (bottom, right) = (STRIDE * (r + 0.5) for r in reach)
    shown = [values[:, rows, cols] for values in (start, trained)]
    largest = max(values.max() for values in shown)
    least, most = biases.min(), max(biases.max(), biases.min() + 1e-6)
    for k, (joint, condjoint) in enumerate(names):
        for axis, values in zip(axes[:2, k], shown):
            prior = axis.imshow(
                values[k],
                extent=(-right, right, bottom, -bottom),
                cmap='magma',
                vmin=0,
                vmax=largest,
            )
            axis.plot(0, 0, '+', color='w', markersize=9)
        bias = axes[2, k].imshow(
            biases[k], extent=(0, WIDTH, HEIGHT, 0), cmap='viridis', vmin=least, vmax=most
        )
        axes[0, k].set_title(f'{joint} | {condjoint}')
    for axis, label in zip(
        axes[:, 0], ('prior at the start', 'prior after training', 'bias after training')
    ):
        axis.set_ylabel(label)
    for axis in axes.flat:
        axis.tick_params(labelsize=7)
    for axis in axes[0]:
        axis.tick_params(labelbottom=False)
    for axis in axes[:, 1:].flat:
        axis.tick_params(labelleft=False)
    figure.colorbar(prior, ax=axes[:2], label='softplus(energy)', shrink=0.8)
    figure.colorbar(bias, ax=axes[2], label='softplus(bias)')
    figure.suptitle(textwrap.fill(title, 16 * len(names) + 16))
    save(figure, path)
