"""Joints of the training people -> the spatial model's priors: histograms of displacements.

    python pairwise_distr.py                              # arrays/pairwise_distribution.npz
    python pairwise_distr.py --data arrays_own --figure priors.png

Each of the 90 ordered pairs (joint, condjoint) of the ten maps gets one float32 [120, 180] array
under the key `joint_condjoint`: the histogram over people of cell(joint) - cell(condjoint) as
(row, column), zero displacement at [60, 90], smoothed by the 9x9 binomial and normalised to sum 1.
These are the p_{joint|condjoint} of the paper's section 3.2.

The torso is the mean of the annotated shoulders and hips.  Pairs with `torsobox` in place of
`torso` have the centre of FLIC's torsobox instead; main.py --torso_from selects the one or the
other.  `--figure FILE.png` draws the pairs given the torso.
"""

if __name__ == '__main__':
    import jointpose.utils.startup  # noqa: F401

import argparse
import math
import os

import numpy as np

from jointpose.datasets import arrays, flic
from jointpose.utils import cli, files, folders, outputs
from jointpose.utils.errors import InputError
from jointpose.utils.numpy_files import read_npz
from jointpose.vision import heatmaps

FILE = 'pairwise_distribution.npz'
FIGURE_MARK = b'priors drawn by pairwise_distr.py'
SHAPE = (2 * flic.MAP_HEIGHT, 2 * flic.MAP_WIDTH)  # row -60..59, column -90..89
BOX_MAPS = (*flic.JOINTS, 'torsobox')  # names of the ten maps with --torso_from torsobox
BINOMIAL_9 = np.array([math.comb(8, i) for i in range(9)]) / 2**8


# --- histograms -----------------------------------------------------------------------------------


def pairwise_histograms(joints_xy: np.ndarray) -> np.ndarray:
    """[n, 10, 2] pixels -> float32 [90, 120, 180]: a histogram of sum 1 for each of flic.PAIRS.

    Of each pair those people count whose two joints are labelled.  InputError: there are none.
    """
    labelled = flic.visibility(joints_xy) > 0  # [n, 10]
    cells = heatmaps.cell_index(
        np.nan_to_num(flic.clamp_to_frame(np.asarray(joints_xy)))
    )  # [n, 10, 2]
    histograms = []
    for joint, condjoint in flic.PAIRS:
        both = labelled[:, joint] & labelled[:, condjoint]  # [n]
        if not both.any():
            pair = flic.pair_name(joint, condjoint)
            raise InputError(f'no training person has both joints labelled of {pair}')
        displacements = cells[both, joint] - cells[both, condjoint]  # [people, 2], (row, column)
        histograms.append(histogram_of(displacements))
    smooth = smoothed(np.stack(histograms))
    return (smooth / smooth.sum(axis=(1, 2), keepdims=True)).astype(np.float32)


def histogram_of(displacements: np.ndarray) -> np.ndarray:
    """Counts float64 [120, 180] of displacements [people, 2] (row, column)."""
    index = displacements + np.array(SHAPE) // 2
    counts = np.zeros(SHAPE)
    np.add.at(counts, (index[:, 0], index[:, 1]), 1)
    return counts


def smoothed(counts: np.ndarray) -> np.ndarray:
    """[..., 120, 180] convolved with the 9x9 binomial."""
    import scipy.ndimage  # --predict, which needs no histograms, starts without it

    for axis in (-2, -1):
        counts = scipy.ndimage.convolve1d(counts, BINOMIAL_9, axis, mode='constant')
    return counts


def smoothed_point() -> np.ndarray:
    """float32 [120, 180]: the histogram of a joint's displacement from itself, always zero."""
    point = np.zeros(SHAPE)
    point[SHAPE[0] // 2, SHAPE[1] // 2] = 1
    return smoothed(point).astype(np.float32)


# --- the file -------------------------------------------------------------------------------------


def save(path: str, histograms: np.ndarray, data_id: str, of_box: np.ndarray | None = None) -> None:
    """Writes the .npz: a key for each pair, and `data_id`, the arrays' id.

    of_box: the histograms with the torsobox's centre as torso; of these, the pairs with the torso
    are written, too.
    """
    named = dict(zip(pair_names('joints'), histograms))
    if of_box is not None:
        named |= dict(zip(pair_names('torsobox'), of_box))  # those without torso are equal
    with files.atomic_write(path) as partial, open(partial, 'wb') as file:
        np.savez_compressed(file, data_id=data_id, **named)


def pair_names(torso_from: str) -> list[str]:
    """The keys of the 90 pairs in the order of flic.PAIRS.

    torso_from: 'joints' or 'torsobox', as of main.py.
    """
    maps = BOX_MAPS if torso_from == 'torsobox' else flic.MAPS
    return [flic.pair_name(*pair, maps) for pair in flic.PAIRS]


def load(path: str, data_id: str | None = None, torso_from: str = 'joints') -> np.ndarray:
    """Reads the .npz: float32 [90, 120, 180] in the order of flic.PAIRS.

    Args:
        data_id: of the arrays that the file must have been made from, if given.
        torso_from: 'joints' or 'torsobox'.  Earlier versions wrote files of the joints only.

    Raises:
        InputError: the file is absent, damaged, or made from other arrays.
    """
    names = pair_names(torso_from)
    made_from, stored = read_histograms(path, names)
    if missing := [name for name in names if name not in stored]:
        raise InputError(
            f'{path}: holds no {missing[0]}, which --torso_from {torso_from} needs: run '
            'pairwise_distr.py again'
        )
    for name, histogram in stored.items():
        check_histogram(path, name, histogram)
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


def check_histogram(path: str, name: str, histogram: np.ndarray) -> None:
    """InputError unless it is a distribution over the displacements."""
    if histogram.shape != SHAPE or histogram.dtype != np.float32:
        raise InputError(
            f'{path}: {name} is {histogram.dtype} {histogram.shape}, expected float32 {SHAPE}'
        )
    if not (histogram >= 0).all() or not abs(histogram.sum(dtype=np.float64) - 1) < 1e-3:
        raise InputError(f'{path}: {name} is not a distribution of sum 1')


def describe_file(path: str) -> str | None:
    """What an earlier file of this script was made from, in words; None of any other file."""
    try:
        return f'from arrays {read_npz(path)["data_id"]}'
    except (OSError, ValueError, KeyError):
        return None


def draw(path: str, histograms: np.ndarray) -> None:
    """Writes a PNG: where each joint lies, given the torso (white cross)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7), layout='constrained')
    axes = figure.subplots(3, 3).flat
    for joint, axis in zip(range(flic.N_JOINTS), axes):
        prior = histograms[flic.PAIRS.index((joint, flic.N_JOINTS))]
        axis.imshow(prior**0.5, extent=(-720, 720, 480, -480), cmap='magma')
        axis.plot(0, 0, 'w+')
        axis.set(title=flic.JOINTS[joint], xlim=(-300, 300), ylim=(240, -240))
    figure.suptitle('joint - torso, pixels (square root of the probability)')
    with files.atomic_write(path) as partial:
        figure.savefig(partial, format='png', dpi=80, metadata={'Comment': FIGURE_MARK.decode()})


# --- the script -----------------------------------------------------------------------------------


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = cli.Parser(description=__doc__)
    parser.add_argument('--data', default='arrays', metavar='FOLDER', help='arrays of data.py')
    parser.add_argument('--figure', metavar='FILE.png', help='also plot the priors given the torso')
    return parser.parse_args()


def main() -> None:
    """Writes the file of priors, and the figure if asked for."""
    options = parse_options()
    manifest = arrays.read_manifest(options.data)
    path = os.path.join(options.data, FILE)
    if manifest['dataset'] != 'flic':
        raise InputError(
            f'--data {options.data}: holds {manifest["dataset"]}, but the spatial model is for '
            'FLIC only'
        )
    former = outputs.check_destination(path, '--data', describe_file)
    former_figure = options.figure and outputs.check_destination(
        options.figure, '--figure', outputs.describe_by_date(FIGURE_MARK)
    )
    with folders.locked(options.data, '--data'):
        people = arrays.load_split(options.data, 'train', manifest)
        histograms = pairwise_histograms(people.joints)
        box_xy = flic.torso_from_box(people.joints, people.people['torsobox'])
        save(path, histograms, manifest['id'], pairwise_histograms(box_xy))
    if options.figure:
        draw(options.figure, histograms)
        if former_figure:
            print(outputs.replacement_note(options.figure, former_figure))
    note = outputs.replacement_note(path, former) or path
    print(f'{note}: {len(histograms)} pairs from {len(people.joints)} people')


if __name__ == '__main__':
    cli.run_script(main)
