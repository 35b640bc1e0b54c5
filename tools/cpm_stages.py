"""What the later stages of CPM cost and bring: a table, and belief maps of hard joints.

    python -m tools.cpm_stages --run models/cpm --predictions predictions.mat --data arrays_lsp

--predictions is what main.py wrote for that run: it holds the joints that each stage finds.  The
table has, up to each stage, the weights and multiplications of a crop at full width, and PCK@0.2 of
the test people.  The figure (--out) has the rate of each stage, and the maps of some wrists and
ankles: those that move furthest towards the truth between the second stage and the last, each of
another person, and the one that moves furthest away from it.  All of it comes from one network,
whose stages were trained together, each with a loss of its own.  A network of two stages, trained
by itself, is not shown.
"""

import math
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from jointpose.datasets import arrays, lsp
from jointpose.evaluation import predictions
from jointpose.metrics.key_points import errors_in_units, pck
from jointpose.systems import cpm
from jointpose.utils.cli import Parser, run_script
from jointpose.utils.errors import InputError
from jointpose.utils.tables import markdown
from jointpose.vision import palette
from tools.figures import save
from tools.trained_network import TrainedNetwork, restored

RADIUS = 0.2  # of PCK
HARD_JOINTS = ('rwri', 'lwri', 'rank', 'lank')
KINDS = {'wrist': ('rwri', 'lwri'), 'ankle': ('rank', 'lank'), 'all joints': lsp.JOINTS}
EARLY = 1  # the second stage, with which the last is compared
N_BETTER = 3  # people in the figure whose joint comes closer to the truth
HEADER = ('stages', 'weights, millions', 'multiplications, billions', *KINDS)


class Case(NamedTuple):
    """A joint of a test person, shown in the figure."""

    row: int  # of the test people
    joint: int
    errors: np.ndarray  # [stages], in units of the person


# --- costs ----------------------------------------------------------------------------------------


def stage_costs(k: int) -> np.ndarray:
    """Weights and multiplications of a crop up to each stage, at full width: [6, 2].

    k: number of joints.  A convolution with filters [r, c, d, f] has r * c * d * f + f weights and
    biases, and r * c * d * f multiplications at each of the cells that it computes.
    """
    shapes = cpm.released_shapes(k)
    n_trunk = sum(len(factors) for factors in cpm.TRUNK)
    sides = []
    for number, factors in enumerate(cpm.TRUNK):
        sides += [cpm.SIDE // 2**number] * len(factors)
    sides += [cpm.CELLS] * (len(shapes) - n_trunk)

    of_layers = []
    for shape, side in zip(shapes, sides):
        n = math.prod(shape)
        of_layers.append((n + shape[-1], n * side**2))
    up_to_layer = np.cumsum(of_layers, axis=0)
    last_layers = n_trunk + 1 + 7 * np.arange(cpm.MAX_STAGES)  # of the stages
    return up_to_layer[last_layers]


# --- rates ----------------------------------------------------------------------------------------


def errors_of_stages(found: predictions.Predictions, split: arrays.Split) -> np.ndarray:
    """Distances from the truth in units of the person: [stages, n, k], NaN where unlabelled."""
    people = split.people[found.rows]
    truth = split.joints[found.rows], people['visible'], people['unit']
    return np.stack([errors_in_units(pred_xy, *truth) for pred_xy in found.models.values()])


def rates_of_stages(found: predictions.Predictions, split: arrays.Split) -> list[np.ndarray]:
    """PCK@0.2 in % of each of KINDS: a [3] for each stage."""
    people = split.people[found.rows]
    truth_xy = split.joints[found.rows]
    result = []
    for pred_xy in found.models.values():
        rates, counts = pck(pred_xy, truth_xy, people['visible'], people['unit'], RADIUS)
        of_kinds = []
        for joints in KINDS.values():
            columns = [lsp.JOINTS.index(joint) for joint in joints]
            of_kinds.append(np.average(rates[columns], weights=counts[columns]))
        result.append(np.array(of_kinds))
    return result


def table(rates: list[np.ndarray]) -> str:
    """Costs and rates up to each stage, in Markdown."""
    lines = []
    for stage, of_stage in enumerate(rates):
        weights, multiplications = stage_costs(len(lsp.JOINTS))[stage]
        costs = f'{weights / 1e6:.1f}', f'{multiplications / 1e9:.0f}'
        lines.append([str(stage + 1), *costs, *(f'{rate:.1f}' for rate in of_stage)])
    return markdown(HEADER, lines)


# --- the figure -----------------------------------------------------------------------------------


def choose_cases(errors: np.ndarray) -> list[Case]:
    """The joints of HARD_JOINTS that gain most after the second stage, and the one that loses most.

    errors: [stages, n, k].  A person is shown once.
    """
    columns = [lsp.JOINTS.index(joint) for joint in HARD_JOINTS]
    gain = np.nan_to_num(errors[EARLY] - errors[-1])[:, columns]  # [n, 4]
    of_people = gain.max(axis=1)
    rows = list(np.argsort(-of_people)[:N_BETTER])
    cases = [Case(row, columns[gain[row].argmax()], errors[:, row]) for row in rows]
    worst = np.unravel_index(gain.argmin(), gain.shape)
    cases.append(Case(worst[0], columns[worst[1]], errors[:, worst[0]]))
    return [case._replace(errors=case.errors[:, case.joint]) for case in cases]


def draw(path: str, rates: list[np.ndarray], cases: list[Case], shown: list) -> None:
    """Draws the rates above, and a row of maps for each case.

    shown: for each case, the maps of the joint [stages, 46, 46] and the truth [k, 2] in the crop.
    """
    stages = range(1, len(rates) + 1)
    figure = Figure(figsize=(2 * len(rates) + 0.6, 2.8 + 2.1 * len(cases)), layout='constrained')
    grid = figure.add_gridspec(len(cases) + 1, len(rates), height_ratios=[1.3, *[1] * len(cases)])
    axis = figure.add_subplot(grid[0, :])
    for name, values, colour in zip(KINDS, np.transpose(rates), palette.MODEL_COLOURS):
        axis.plot(stages, values, 'o-', color=colour, label=name)
    axis.set(xticks=stages, xlabel='stage', ylabel='PCK@0.2, %', ylim=(0, None))
    axis.grid(alpha=0.3)
    axis.legend(frameon=False)
    for line, (case, (maps, truth_xy)) in enumerate(zip(cases, shown), 1):
        for stage, belief in enumerate(maps):
            axis = figure.add_subplot(grid[line, stage])
            draw_map(axis, belief, truth_xy, case.joint)
            axis.set_title(f'stage {stage + 1}: off by {case.errors[stage]:.2f}', fontsize=9)
            if stage == 0:
                axis.set_ylabel(lsp.JOINTS[case.joint])
    save(figure, path)


def draw_map(axis, belief: np.ndarray, truth_xy: np.ndarray, joint: int) -> None:
    """Draws a belief map [46, 46], the annotated skeleton and a ring around the joint that is sought."""
    extent = (0, cpm.SIDE, cpm.SIDE, 0)
    axis.imshow(belief, extent=extent, cmap='magma', vmin=0, vmax=max(belief.max(), 0.05))
    for a, b in lsp.Lsp().limb_indices:
        axis.plot(*truth_xy[[a, b]].T, color=palette.GROUND_TRUTH, linewidth=0.8)
    axis.plot(*truth_xy[joint], 'o', color=palette.MODEL_COLOURS[2], fillstyle='none', markersize=9)
    axis.set(xlim=(0, cpm.SIDE), ylim=(cpm.SIDE, 0), xticks=(), yticks=())


def maps_of(network: TrainedNetwork, split: arrays.Split, cases: list[Case]) -> list:
    """`shown` of `draw`: the network's maps of each case, averaged over the test scales."""
    shown = []
    for case in cases:
        outputs, batch, _ = network.outputs(split, [case.row])
        maps = np.stack([output[0, :, :, case.joint] for output in outputs.values()])
        shown.append((maps, batch.joints_xy[0]))
    return shown


# --- command line ---------------------------------------------------------------------------------


def main():
    """Prints the table and draws the figure."""
    parser = Parser(description=__doc__)
    parser.add_argument('--run', required=True, help='folder of a run of cpm on LSP or PARSE')
    parser.add_argument(
        '--predictions', required=True, metavar='FILE', help='what main.py wrote for that run'
    )
    parser.add_argument(
        '--data', default='arrays_lsp', metavar='FOLDER', help="LSP's arrays (default: %(default)s)"
    )
    parser.add_argument(
        '--out', default='cpm_stages.png', metavar='FILE', help='the figure (default: %(default)s)'
    )
    args = parser.parse_args()
    manifest = arrays.read_manifest(args.data)
    found = predictions.read(args.predictions, manifest)
    titles = list(cpm.CPM.OUTPUTS.values())
    if list(found.models) != titles[: len(found.models)] or len(found.models) <= EARLY + 1:
        raise InputError(f'{args.predictions}: expected the joints of three or more stages of cpm')
    split = arrays.load_split(args.data, found.split, manifest)
    rates = rates_of_stages(found, split)
    print(table(rates))

    cases = choose_cases(errors_of_stages(found, split))
    cases = [case._replace(row=found.rows[case.row]) for case in cases]
    with restored(args.run, '--data', args.data) as network:
        draw(args.out, rates, cases, maps_of(network, split, cases))


if __name__ == '__main__':
    run_script(main)
