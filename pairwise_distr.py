"""Joints of the training people -> the spatial model's priors: histograms of pairwise displacements.

    python pairwise_distr.py                                # arrays/pairwise_distribution.npz
    python pairwise_distr.py --data arrays_own --figure priors.png

Each of the 90 ordered pairs (joint, condjoint) of the ten maps gets one float32 [120, 180] array under the key
`joint_condjoint`: the histogram over people of cell(joint) - cell(condjoint) as (row, col), zero displacement at
[60, 90], smoothed by the 9x9 binomial and normalised to sum 1.  The torso is the mean of the annotated shoulders and
hips; the pairs with `torsobox` for `torso` have the centre of FLIC's torsobox in its place, and main.py --torso_from
takes the one or the other.  `--figure FILE.png` draws those given the torso.
"""

if __name__ == '__main__':
    import jointpose.utils.startup  # noqa: F401

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


def pairwise_histograms(joints_xy):
    """[n, 10, 2] pixels -> float32 [90, 120, 180], one histogram per flic.PAIRS, each of sum 1, of those people of whom
    both joints are labelled."""
    labelled = flic.visibility(joints_xy) > 0  # [n, 10]
    row_col = heatmaps.cell_index(
        np.nan_to_num(flic.clamp_to_frame(np.asarray(joints_xy)))
    )  # [n, 10, 2]
    joint, condjoint = np.array(flic.PAIRS).T
    shift = row_col[:, joint] - row_col[:, condjoint] + np.array(SHAPE) // 2  # [n, 90, 2]
    both = labelled[:, joint] & labelled[:, condjoint]  # [n, 90]
    if not both.any(axis=0).all():
        raise InputError(
            f'nobody has both joints labelled of {flic.pair_name(*flic.PAIRS[both.any(axis=0).argmin()])}'
        )
    bins = np.ravel_multi_index(
        (np.arange(len(joint)), shift[..., 0], shift[..., 1]), (len(joint),) + SHAPE
    )
    counts = (
        np.bincount(bins[both], minlength=len(joint) * np.prod(SHAPE))
        .reshape(-1, *SHAPE)
        .astype(np.float64)
    )
    counts = smoothed(counts)
    return (counts / counts.sum(axis=(1, 2), keepdims=True)).astype(np.float32)


def smoothed(counts):
    """[..., 120, 180] through the 9x9 binomial."""
    import scipy.ndimage  # --predict, which needs no histograms, starts without it

    for axis in (-2, -1):
        counts = scipy.ndimage.convolve1d(counts, BINOMIAL_9, axis, mode='constant')
    return counts


def smoothed_point():
    """float32 [120, 180]: the histogram of a displacement that is always zero, a joint's from itself."""
    point = np.zeros(SHAPE)
    point[SHAPE[0] // 2, SHAPE[1] // 2] = 1
    return smoothed(point).astype(np.float32)


def save(path, histograms, data_id, of_box=None):
    """Writes the npz: a key a pair, and `data_id`, the arrays' id.

    of_box: the histograms with the torsobox's centre as torso; of these, the pairs with the torso are written, too.
    """
    named = dict(zip(pair_names('joints'), histograms))
    if of_box is not None:
        named |= dict(zip(pair_names('torsobox'), of_box))  # those without torso are equal
    with files.atomic_write(path) as partial, open(partial, 'wb') as file:
        np.savez_compressed(file, data_id=data_id, **named)


def pair_names(torso_from):
    """The keys of the 90 pairs in the order of flic.PAIRS; torso_from: 'joints' or 'torsobox', as of main.py."""
    maps = BOX_MAPS if torso_from == 'torsobox' else flic.MAPS
    return [flic.pair_name(*pair, maps) for pair in flic.PAIRS]


def load(path, data_id=None, torso_from='joints'):
    """Reads the npz back: float32 [90, 120, 180] in the order of flic.PAIRS, each checked for size, sign and mass.

    data_id: if given, a file made from other arrays is refused.  torso_from: which torso they are of; files from before
    there was a choice have that of the joints alone.
    """
    names = pair_names(torso_from)
    try:
        found = read_npz(path)
        made_from = str(found['data_id'])
        stored = {name: found[name] for name in names if name in found}
    except FileNotFoundError:
        raise InputError(f'{path}: no such file (run pairwise_distr.py first)') from None
    except OSError as error:
        raise files.read_error(path, '.npz', error) from error
    except (ValueError, KeyError) as error:
        raise InputError(f'{path}: not a file of pairwise_distr.py, or damaged: {error}') from error
    if missing := [name for name in names if name not in stored]:
        raise InputError(
            f'{path}: holds no {missing[0]}, which --torso_from {torso_from} starts from: run '
            'pairwise_distr.py again'
        )
    for name, histogram in stored.items():
        if histogram.shape != SHAPE or histogram.dtype != np.float32:
            raise InputError(
                f'{path}: {name} is {histogram.dtype} {histogram.shape}, expected float32 {SHAPE}'
            )
        if not (histogram >= 0).all() or not abs(histogram.sum(dtype=np.float64) - 1) < 1e-3:
            raise InputError(f'{path}: {name} is not a distribution of sum 1')
    if data_id is not None and made_from != data_id:
        raise InputError(
            f'{path}: made from arrays {made_from}, not these ({data_id}): run pairwise_distr.py again'
        )
    return np.stack(list(stored.values()))


def describe_file(path):
    """What an earlier file of these was made from, in words; None of any other file."""
    try:
        return f'from arrays {read_npz(path)["data_id"]}'
    except (OSError, ValueError, KeyError):
        return None


def draw(path, histograms):
    """PNG: where each joint lies, given the torso (white cross), cropped to the frame around it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7), layout='constrained')
    for axis, joint in zip(figure.subplots(3, 3).flat, range(flic.N_JOINTS)):
        prior = histograms[flic.PAIRS.index((joint, flic.N_JOINTS))]
        axis.imshow(prior**0.5, extent=(-720, 720, 480, -480), cmap='magma')
        axis.plot(0, 0, 'w+')
        axis.set(title=flic.JOINTS[joint], xlim=(-300, 300), ylim=(240, -240))
    figure.suptitle('joint - torso, pixels (square root of the probability)')
    with files.atomic_write(path) as partial:
        figure.savefig(partial, format='png', dpi=80, metadata={'Comment': FIGURE_MARK.decode()})


def main():
    parser = cli.Parser(description=__doc__)
    parser.add_argument(
        '--data',
        default='arrays',
        metavar='FOLDER',
        help='arrays of data.py (default: %(default)s)',
    )
    parser.add_argument('--figure', metavar='FILE.png', help='also plot the priors given the torso')
    options = parser.parse_args()
    manifest, path = arrays.read_manifest(options.data), os.path.join(options.data, FILE)
    if manifest['dataset'] != 'flic':
        raise InputError(
            f'--data {options.data}: holds {manifest["dataset"]}, but the spatial model is for FLIC only'
        )
    former = outputs.check_destination(path, '--data', describe_file)
    former_figure = options.figure and outputs.check_destination(
        options.figure, '--figure', outputs.describe_by_date(FIGURE_MARK)
    )
    with folders.locked(options.data, '--data'):
        people = arrays.load_split(options.data, 'train', manifest)
        histograms = pairwise_histograms(people.joints)
        of_box = pairwise_histograms(flic.torso_from_box(people.joints, people.people['torsobox']))
        save(path, histograms, manifest['id'], of_box)
    if options.figure:
        draw(options.figure, histograms)
        if former_figure:
            print(outputs.replacement_note(options.figure, former_figure))
    print(
        outputs.replacement_note(path, former) or path,
        f'{len(histograms)} pairs from {len(people.joints)} people',
        sep=': ',
    )


if __name__ == '__main__':
    cli.run_script(main)
