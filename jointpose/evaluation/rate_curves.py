"""Curves of FLIC's detection rates over the radius: as numbers, as a .csv file and as a figure."""

import csv
import itertools

import numpy as np

from jointpose.datasets.flic import JOINTS
from jointpose.evaluation.detection_rates import KINDS, TABLE_RADII, Errors, row_groups
from jointpose.metrics.key_points import MAX_RADIUS, detection_rate
from jointpose.utils.files import atomic_write
from jointpose.utils.terminal import printable
from jointpose.vision import palette
from jointpose.vision.joints import side_of

CSV_HEADER = ['model', 'joint', 'radius', 'rate', 'people', 'normaliser', 'sides']
FIGURE_MARK = b'curves of evaluate.py'
CURVE_RADII = np.arange(0, MAX_RADIUS + 0.5, 0.5)
LINE_WIDTH = 1.8
LINE_STYLES = (  # of models, from the last to the first
    '-',
    '--',
    ':',
    '-.',
    (0, (1, 3)),
    (0, (6, 1, 1, 1, 1, 1)),
)

Curves = dict[tuple[str, str], np.ndarray]  # {(model, label of row_groups): rates [41] in %}


def rate_curves(errors: Errors, joints) -> Curves:
    """Returns the detection rates at CURVE_RADII, of each model and each of `row_groups`."""
    curves = {}
    for model, error in errors.items():
        rates = np.stack([detection_rate(error, radius) for radius in CURVE_RADII])  # [41, k]
        for label, group in row_groups(joints):
            curves[model, label] = rates[:, group].mean(axis=1)
    return curves


def write_csv(path: str, curves: Curves, n_people: int, normaliser: str, sides: str) -> None:
    """Writes one line per model, row of the table and radius."""
    with atomic_write(path) as partial, open(partial, 'w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(CSV_HEADER)
        for (model, label), curve in curves.items():
            for radius, rate in zip(CURVE_RADII, curve):
                writer.writerow([model, label, radius, f'{rate:.4f}', n_people, normaliser, sides])


def plot(path: str, curves: Curves, title: str, normaliser: str) -> None:
    """Draws a panel per kind of joint and one for the mean.

    Left and right differ by colour, models by line style; the last model's lines are solid.
    """
    # Imported here: it is slow to load, and tools that need only the rates do without it.
    from matplotlib.figure import Figure

    models = list(dict.fromkeys(model for model, _ in curves))
    labels = list(dict.fromkeys(label for _, label in curves))
    styles = dict(zip(reversed(models), itertools.cycle(LINE_STYLES)))
    panels = _panels(labels)

    n_rows = 1 if len(panels) <= 3 else 2
    n_columns = -(-len(panels) // n_rows)
    size = (1 + 3.4 * n_columns, 1.4 + 2.9 * n_rows)
    figure = Figure(figsize=size, dpi=120, layout='constrained')
    axes = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axis, (kind, sides) in zip(axes, panels.items()):
        _draw_panel(axis, kind, sides, curves, styles)
        axis.set_xlabel(f'radius in % of {normaliser}')
    for axis in axes[len(panels) :]:
        axis.remove()

    figure.suptitle(title)
    figure.supylabel('detection rate in %')
    colours = set()
    for sides in panels.values():
        colours.update(map(_colour, sides))
    keys = _legend_keys(styles, colours)
    figure.legend(handles=keys, loc='outside lower center', ncols=len(keys), frameon=False)
    with atomic_write(path) as partial:
        figure.savefig(partial, format='png', metadata={'Comment': FIGURE_MARK.decode()})


def _panels(labels):
    """Returns {title of a panel: labels of the curves in it}; the last label is the mean's."""
    panels = {}
    for kind, sides in KINDS.items():
        there = [side for side in sides if side in labels]
        if there:
            panels[kind] = there
    panels[labels[-1]] = [labels[-1]]
    return panels


def _draw_panel(axis, title, labels, curves, styles):
    """Draws the curves of these labels; styles: {model: line style}, in the order of the models' table."""
    for label in labels:
        for model in reversed(styles):
            axis.plot(
                CURVE_RADII,
                curves[model, label],
                linestyle=styles[model],
                color=_colour(label),
                linewidth=LINE_WIDTH,
            )
    axis.set(title=title, xlim=(0, MAX_RADIUS), ylim=(0, 101), xticks=(0, *TABLE_RADII))
    axis.grid(alpha=0.3)
    axis.tick_params(labelbottom=True)


def _legend_keys(styles, colours):
    """Returns the legend's lines: a coloured one for each side that is drawn, a black one a model."""
    from matplotlib.lines import Line2D

    keys = []
    for name, side in (('left', 'l'), ('right', 'r')):
        colour = palette.SIDE_COLOURS[side]
        if colour in colours:
            keys.append(Line2D([], [], color=colour, label=name, linewidth=LINE_WIDTH))
    for model in reversed(styles):
        line = Line2D([], [], color='black', linestyle=styles[model], linewidth=LINE_WIDTH)
        line.set_label(literal(model))
        keys.append(line)
    return keys


def literal(text: str) -> str:
    """Returns a text as Matplotlib shows it letter by letter: a dollar would begin a formula."""
    return printable(text).replace('$', r'\$')


def _colour(label):
    """The colour of a joint's side; black of kinds of joints and of joints without a side."""
    side = side_of(label) if label in JOINTS else ''
    return palette.SIDE_COLOURS[side] if side else 'black'
