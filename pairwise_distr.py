"""Makes the spatial model's priors: histograms of the displacements between training people's joints.

    python pairwise_distr.py                              # arrays/pairwise_distribution.npz
    python pairwise_distr.py --data arrays_lsp --figure priors.png

The joint model sees m = k + 1 maps: k joints, and an anchor that marks the target person (FLIC: nine
joints and the torso; datasets/person_frames.py).  Each of the m * k ordered pairs (joint,
condjoint), FLIC's 90, gets one float32 array [2h, 2w] under the key `joint_condjoint`, where a map
has h x w cells (FLIC: 60 x 90).  It is the histogram over people of cell(joint) - cell(condjoint) as
(row, column), with zero displacement at [h, w], smoothed by the 9x9 binomial and normalised to sum
1.  These are the p_{joint|condjoint} of the paper's section 3.2.  A pair whose joints are never
labelled together gets a uniform one.

A data set may have several anchors; main.py --torso_from selects one.  The file holds the pairs for
each: `torso` is the mean of the annotated shoulders and hips, `torsobox` the centre of FLIC's
torsobox, `box` that of a person's box.  `--figure FILE.png` draws the pairs given the anchor and
those along the limbs.
"""

if __name__ == '__main__':
    import jointpose.utils.startup  # noqa: F401

import argparse
import itertools
import math
import os
from collections.abc import Sequence

import numpy as np

from jointpose import datasets
from jointpose.datasets import arrays
from jointpose.datasets.base import DataSet
from jointpose.datasets.person_frames import PersonFrame
from jointpose.utils import cli, files, folders, outputs
from jointpose.utils.counts import counted
from jointpose.utils.errors import InputError
from jointpose.utils.numpy_files import read_npz
from jointpose.vision import heatmaps

FILE = 'pairwise_distribution.npz'
FIGURE_MARK = b'priors drawn by pairwise_distr.py'
BINOMIAL_9 = np.array([math.comb(8, i) for i in range(9)]) / 2**8
REACH = 300  # of the figure, pixels of the frame around the condjoint
COLUMNS = 5  # of the figure
CELL_INCHES = 2.4  # side of one histogram in the figure


# --- histograms -----------------------------------------------------------------------------------


def pairwise_histograms(points_xy: np.ndarray, map_size: tuple[int, int]) -> np.ndarray:
    """The histograms of all ordered pairs of m points, in the order of PersonFrame.pairs.

    Of each pair those people count whose two points are labelled; without any it is uniform.

    Args:
        points_xy: [n, m, 2] pixels within the frame; NaN where unlabelled.
        map_size: (h, w) of the heat maps.

    Returns:
        float32 [m * (m - 1), 2h, 2w], each of sum 1.
    """
    pairs = pairs_of(points_xy.shape[1])
    return np.stack([pair_histogram(points_xy[:, pair], map_size) for pair in pairs])


def pair_histogram(points_xy: np.ndarray, map_size: tuple[int, int]) -> np.ndarray:
    """The histogram of one pair (joint, condjoint), as above: points [n, 2, 2] -> [2h, 2w]."""
    labelled_xy = points_xy[~np.isnan(points_xy).any(axis=(1, 2))]
    if len(labelled_xy):
        cells = heatmaps.cell_index(labelled_xy)  # [people, 2, 2]: of both, (row, column)
        histogram = smoothed(histogram_of(cells[:, 0] - cells[:, 1], map_size))
    else:
        histogram = np.ones(prior_size(map_size))
    return (histogram / histogram.sum()).astype(np.float32)


def pairs_of(n_maps: int) -> list[tuple[int, int]]:
    """The ordered pairs (joint, condjoint) of different maps, all of joint 0 first."""
    return list(itertools.permutations(range(n_maps), 2))


def prior_size(map_size: tuple[int, int]) -> tuple[int, int]:
    """(rows, columns) of a prior: of the displacements within a map of (h, w) cells."""
    height, width = map_size
    return 2 * height, 2 * width


def histogram_of(displacements: np.ndarray, map_size: tuple[int, int]) -> np.ndarray:
    """Counts float64 [2h, 2w] of displacements [people, 2] (row, column)."""
    index = displacements + np.array(map_size)
    counts = np.zeros(prior_size(map_size))
    np.add.at(counts, (index[:, 0], index[:, 1]), 1)
    return counts


def smoothed(counts: np.ndarray) -> np.ndarray:
    """[..., 2h, 2w] convolved with the 9x9 binomial."""
    import scipy.ndimage  # --predict, which needs no histograms, starts without it

    for axis in (-2, -1):
        counts = scipy.ndimage.convolve1d(counts, BINOMIAL_9, axis, mode='constant')
    return counts


def smoothed_point(map_size: tuple[int, int]) -> np.ndarray:
    """float32 [2h, 2w]: the histogram of a joint's displacement from itself, always zero."""
    itself = np.zeros((1, 2), int)
    return smoothed(histogram_of(itself, map_size)).astype(np.float32)


def unseen_pairs(points_xy: np.ndarray, names: Sequence[str]) -> list[str]:
    """The names of pairs that no person has labelled together; points_xy as above."""
    labelled = (~np.isnan(points_xy).any(axis=-1)).astype(int)  # [n, m]
    together = labelled.T @ labelled  # [m, m] people
    return [
        pair_name(names, joint, condjoint)
        for joint, condjoint in pairs_of(len(names))
        if not together[joint, condjoint]
    ]


# --- the file -------------------------------------------------------------------------------------


def pair_name(names: Sequence[str], joint: int, condjoint: int) -> str:
    """The key of a pair: 'lsho_lelb' for the histogram of lsho - lelb, of lsho given lelb."""
    return f'{names[joint]}_{names[condjoint]}'


def pair_names(names: Sequence[str]) -> list[str]:
    """The keys of all pairs of maps, in the order of `pairs_of`."""
    return [pair_name(names, *pair) for pair in pairs_of(len(names))]


def save(path: str, named: dict[str, np.ndarray], data_id: str) -> None:
    """Writes the .npz.  named: {key of a pair: histogram}; data_id: the arrays' id."""
    with files.atomic_write(path) as partial, open(partial, 'wb') as file:
        np.savez_compressed(file, data_id=data_id, **named)


def load(path: str, data_id: str | None = None, frame: PersonFrame | None = None) -> np.ndarray:
    """Reads the .npz: float32 [m * (m - 1), 2h, 2w] in the order of `pairs_of`.

    Args:
        data_id: of the arrays that the file must have been made from, if given.
        frame: whose points the pairs are of; None: FLIC's, with the mean of shoulders and hips.

    Raises:
        InputError: the file is absent, damaged, or made from other arrays.
    """
    frame = frame or PersonFrame(datasets.load('flic'))
    names = pair_names(frame.map_names)
    made_from, stored = read_histograms(path, names)
    if missing := [name for name in names if name not in stored]:
        raise InputError(
            f'{path}: holds no {missing[0]}, which --torso_from {frame.source} needs: run '
            'pairwise_distr.py again'
        )
    for name, histogram in stored.items():
        check_histogram(path, name, histogram, prior_size(frame.map_size))
    if data_id is not None and made_from != data_id:
        raise InputError(
            f'{path}: made from arrays {made_from}, not these ({data_id}): run pairwise_distr.py '
            'again'
        )
    return np.stack(list(stored.values()))


def read_histograms(path: str, names: list[str]) -> tuple[str, dict[str, np.ndarray]]:
    """(the arrays' id, {name: array} of those names that the file holds)."""
    try:
        found = read_npz(path)
        stored = {name: found[name] for name in names if name in found}
        return str(found['data_id']), stored
    except FileNotFoundError:
        raise InputError(f'{path}: no such file (run pairwise_distr.py first)') from None
    except OSError as error:
        raise files.read_error(path, '.npz', error) from error
    except (ValueError, KeyError) as error:
        raise InputError(f'{path}: not a file of pairwise_distr.py, or damaged: {error}') from error


def check_histogram(path: str, name: str, histogram: np.ndarray, size: tuple[int, int]) -> None:
    """InputError unless it is a distribution over the displacements, [2h, 2w] = size."""
    if histogram.shape != size or histogram.dtype != np.float32:
        raise InputError(
            f'{path}: {name} is {histogram.dtype} {histogram.shape}, expected float32 {size}'
        )
    if not (histogram >= 0).all() or not abs(histogram.sum(dtype=np.float64) - 1) < 1e-3:
        raise InputError(f'{path}: {name} is not a distribution of sum 1')


def describe_file(path: str) -> str | None:
    """What an earlier file of this script was made from, in words; None of any other file."""
    try:
        return f'from arrays {read_npz(path)["data_id"]}'
    except (OSError, ValueError, KeyError):
        return None


# --- the figure -----------------------------------------------------------------------------------


def draw(path: str, named: dict[str, np.ndarray], frame: PersonFrame) -> None:
    """Writes a PNG: where each joint lies, given the anchor, and given its neighbour on a limb.

    named: {key of a pair: histogram}.  A white cross marks the condjoint.
    """
    from matplotlib.figure import Figure

    pairs = drawn_pairs(frame)
    rows = -(-len(pairs) // COLUMNS)
    figure = Figure(figsize=(COLUMNS * CELL_INCHES, rows * CELL_INCHES), layout='constrained')
    axes = figure.subplots(rows, COLUMNS, squeeze=False).flat
    height, width = frame.size
    for (joint, condjoint), axis in zip(pairs, axes):
        prior = named[f'{joint}_{condjoint}']
        axis.imshow(prior**0.5, extent=(-width, width, height, -height), cmap='magma')
        axis.plot(0, 0, 'w+')
        axis.set(title=f'{joint} | {condjoint}', xlim=(-REACH, REACH), ylim=(REACH, -REACH))
    for axis in axes:
        axis.set_axis_off()
    figure.suptitle('joint - condjoint, pixels of the frame (square root of the probability)')
    with files.atomic_write(path) as partial:
        figure.savefig(partial, format='png', dpi=80, metadata={'Comment': FIGURE_MARK.decode()})


def drawn_pairs(frame: PersonFrame) -> list[tuple[str, str]]:
    """The pairs (joint, condjoint) of the figure."""
    *joints, anchor = frame.map_names
    given_anchor = [(joint, anchor) for joint in joints]
    along_limbs = [(end, start) for start, end in frame.data_set.limbs]
    return given_anchor + along_limbs


# --- the script -----------------------------------------------------------------------------------


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = cli.Parser(description=__doc__)
    parser.add_argument('--data', default='arrays', metavar='FOLDER', help='arrays of data.py')
    parser.add_argument(
        '--figure',
        metavar='FILE.png',
        help='also plot the priors given the anchor and along the limbs',
    )
    return parser.parse_args()


def main() -> None:
    """Writes the file of priors, and the figure if asked for."""
    options = parse_options()
    manifest = arrays.read_manifest(options.data)
    path = os.path.join(options.data, FILE)
    data_set = datasets.of_manifest(manifest)
    former = outputs.check_destination(path, '--data', describe_file)
    former_figure = options.figure and outputs.check_destination(
        options.figure, '--figure', outputs.describe_by_date(FIGURE_MARK)
    )
    with folders.locked(options.data, '--data'):
        people = arrays.labelled_people(arrays.load_split(options.data, 'train', manifest))
        named = histograms_of(people, data_set)
        save(path, named, manifest['id'])
    if options.figure:
        draw(options.figure, named, PersonFrame(data_set))
        if former_figure:
            print(outputs.replacement_note(options.figure, former_figure))
    n_pairs = len(pair_names(PersonFrame(data_set).map_names))
    note = outputs.replacement_note(path, former) or path
    print(f'{note}: {n_pairs} pairs from {counted(len(people.joints), "person")}')


def histograms_of(people: arrays.Split, data_set: DataSet) -> dict[str, np.ndarray]:
    """{key of a pair: histogram}, for every anchor of the data set; prints pairs never seen."""
    named = {}
    unseen = []
    for source in data_set.anchor_sources:
        frame = PersonFrame(data_set, source)
        points_xy = frame.points_of_split(frame.prepare(people))
        for pair in pairs_of(len(frame.map_names)):
            name = pair_name(frame.map_names, *pair)
            if name not in named:  # two joints are the same with every anchor
                named[name] = pair_histogram(points_xy[:, pair], frame.map_size)
        unseen += unseen_pairs(points_xy, frame.map_names)
    if unseen:
        names = ', '.join(dict.fromkeys(unseen))
        print(f'never labelled together in one person, so uniform: {names}')
    return named


if __name__ == '__main__':
    cli.run_script(main)
