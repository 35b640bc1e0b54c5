"""Measures why the joint model loses raised wrists, for report/raised_wrists.md: its tables and its picture.

    python -m tools.raised_wrists                 writes report/raised_wrists.jsonl and .png, prints the tables
    python -m tools.raised_wrists --table         prints the tables of report/raised_wrists.jsonl

The inputs are what raised_wrists_runs.py makes: the part detector's maps of held-out training people,
and spatial models.  From these the joint model is computed here in NumPy, so that its terms can be
changed one at a time.
"""

import itertools
import json
import os
from typing import NamedTuple

import numpy as np
import scipy.fft
from matplotlib.figure import Figure

from jointpose import spatial_model
from jointpose.checkpoints import checkpoint, checkpoint_variables
from jointpose.datasets import flic
from jointpose.datasets.flic_plus import film_and_frame
from jointpose.datasets.person_frames import PersonFrame
from jointpose.metrics.key_points import normalised_errors
from jointpose.nn import test_time_augmentation
from jointpose.nn.layers import AVERAGE_SUFFIX, EPSILON
from jointpose.systems.tompson import torso_inference
from jointpose.utils import cli, files
from jointpose.utils.tables import markdown
from jointpose.vision import heatmaps
from jointpose.vision.palette import MODEL_COLOURS
from tools import figures
from tools.analysis import ELBOWS, SHOULDERS, WRISTS
from tools.raised_wrists_runs import PRIORS

RADIUS = 10  # % of the normaliser
K = flic.N_JOINTS
KINDS = {'sho': 'shoulder', 'elb': 'elbow', 'wri': 'wrist', 'hip': 'hip'}
SHOT = 100  # frames of a film less apart than this are of one shot
DRAWS = 2000  # of the bootstrap
TINY = 1e-30
GROUPS = ('raised', 'between', 'wrist', 'mean of 9')


# --- the spatial model ----------------------------------------------------------------------------


class Weights(NamedTuple):
    """A trained spatial model."""

    priors: np.ndarray  # [81, 120, 180]: softplus of the energies
    biases: np.ndarray  # [81, 60, 90]: softplus of the biases, and DELTA
    factor: np.ndarray  # [10], of the batch norm before it
    constant: np.ndarray  # [10], of the batch norm


def read_weights(path: str) -> Weights:
    """The spatial model of an .npz of raised_wrists_runs.py, or of a run's newest checkpoint."""
    if path.endswith('.npz'):
        values = dict(np.load(path))
    else:
        found = checkpoint.find('', path, '--restore')
        values = {}
        for name, value in checkpoint_variables.read_weights(found.path).items():
            name = name.removesuffix(AVERAGE_SUFFIX)
            values[name.removeprefix('spatial_model/')] = value
    factor = values['scale'] / np.sqrt(values['moving_variance'] + EPSILON)
    return Weights(
        spatial_model.numpy_softplus(values['energies']),
        spatial_model.numpy_softplus(values['biases']) + spatial_model.DELTA,
        factor,
        values['offset'] - values['moving_mean'] * factor,
    )


class Terms(NamedTuple):
    """What enters the logits of one frame."""

    detector: np.ndarray  # [9, 60, 90]: the detector's distributions
    own: np.ndarray  # [9, 60, 90]: the joints' own positive maps
    messages: np.ndarray  # [9, 9, 60, 90]: from nine senders to each joint, without the biases
    biases: np.ndarray  # [9, 9, 60, 90]


def terms_of(weights: Weights, spectra, detector: np.ndarray, torso: np.ndarray) -> Terms:
    """The Terms of one frame.

    spectra: rfft2 of the priors; detector: maps [60, 90, 9]; torso: its map [60, 90, 1].
    """
    maps = np.concatenate([detector, torso], axis=-1) * weights.factor + weights.constant
    maps = spatial_model.numpy_softplus(maps.transpose(2, 0, 1).astype(np.float32))
    height, width = maps.shape[1:]
    size = (2 * height, 2 * width)
    senders = [v for _, v in spatial_model.PAIRS_TO_JOINTS]
    products = spectra * scipy.fft.rfft2(maps, size)[senders]
    messages = scipy.fft.irfft2(products, size)[:, height:, width:]
    shape = (K, -1, height, width)
    return Terms(
        detector.transpose(2, 0, 1),
        maps[:K] + spatial_model.DELTA,
        messages.reshape(shape),
        weights.biases.reshape(shape),
    )


def senders_to(joint: int) -> list[str]:
    """What the nine senders of a joint's messages are to it: 'own elbow', 'other wrist', 'torso' ..."""
    kinds = []
    for name in flic.MAPS[:joint] + flic.MAPS[joint + 1 :]:
        side = 'own' if name[0] == flic.JOINTS[joint][0] else 'other'
        kinds.append(f'{side} {KINDS[name[1:]]}' if name[1:] in KINDS else name)
    return kinds


# --- changes --------------------------------------------------------------------------------------


class Change(NamedTuple):
    """How joint maps are computed from Terms; the default is the joint model itself."""

    own: float = 1  # weight of the logarithm of a joint's own map
    messages: float = 1  # weight of the logarithms of its messages
    bias: float = 1  # factor of the biases
    floor: float = 0  # added to each message, in shares of its largest cell
    without: str = ''  # the sender whose message to wrists is weakened
    left: float = 0  # weight of that message's logarithm
    detector: float = 0  # weight of the logarithm of the detector's map, added
    mixed: float = 0  # share of the detector's map in the mean with the joint model's


def log_factors(change: Change, terms: Terms) -> np.ndarray:
    """Logarithms of the messages with their biases, [9, 9, 60, 90]."""
    factors = terms.messages + change.bias * terms.biases
    if change.floor:
        factors += change.floor * terms.messages.max(axis=(2, 3), keepdims=True)
    return np.log(factors)


def joint_maps(change: Change, terms: Terms, logs: np.ndarray | None = None) -> np.ndarray:
    """Distributions over the cells, [9, 60, 90]; logs: of `log_factors`, if they are known."""
    if change.mixed == 1:
        return terms.detector
    if logs is None:
        logs = log_factors(change, terms)
    total = logs.sum(axis=1)
    for joint in WRISTS if change.without else ():
        weakened = senders_to(joint).index(change.without)
        total[joint] -= (1 - change.left) * logs[joint, weakened]
    logits = change.own * np.log(terms.own) + change.messages * total
    if change.detector:
        logits += change.detector * np.log(terms.detector + TINY)
    marginals = np.exp(logits - logits.max(axis=(1, 2), keepdims=True))
    marginals /= marginals.sum(axis=(1, 2), keepdims=True)
    return (1 - change.mixed) * marginals + change.mixed * terms.detector


SENDERS = senders_to(WRISTS[0])
DETECTOR, MODEL = 'part detector', 'joint model'
CHANGES = {
    DETECTOR: Change(mixed=1),
    MODEL: Change(),
    'wrists do not hear the torso': Change(without='torso'),
    'wrists hear half of the torso': Change(without='torso', left=0.5),
    'wrists do not hear their elbow': Change(without='own elbow'),
    'wrists do not hear their shoulder': Change(without='own shoulder'),
    'wrists do not hear the nose': Change(without='nose'),
    'biases x 5': Change(bias=5),
    'biases x 20': Change(bias=20),
    'floor of messages 5 % of their maximum': Change(floor=0.05),
    'floor of messages 20 %': Change(floor=0.2),
    'weight of messages 0.6': Change(messages=0.6),
    'weight of own map 2': Change(own=2),
    "log of the detector's map added, weight 0.5": Change(detector=0.5),
    "mean with the detector's map, 25 %": Change(mixed=0.25),
    "mean with the detector's map, 50 %": Change(mixed=0.5),
}
BASELINE = 'exact'  # of PRIORS
LONGER = 'longer'  # the same, trained for longer


# --- people ---------------------------------------------------------------------------------------


class People(NamedTuple):
    """The people measured, and the detector's maps of them."""

    detector: np.ndarray  # [n, S, 60, 90, 9]
    torso: np.ndarray  # [n, S, 60, 90, 1]
    scales: np.ndarray  # [S]
    joints_xy: np.ndarray  # [n, 9, 2] pixels
    shots: np.ndarray  # int [n]
    weights: np.ndarray  # [n]: how many people each stands for


def read_people(path: str) -> People:
    """A file of maps of raised_wrists_runs.py."""
    stored = np.load(path)
    joints_xy = stored['joints_xy']
    return People(
        stored['detector'],
        torso_maps(joints_xy[:, K], stored['scales']),
        stored['scales'],
        joints_xy[:, :K],
        shots_of(stored['names']),
        stored['weights'],
    )


def torso_maps(torso_xy: np.ndarray, scales) -> np.ndarray:
    """The torsos' maps at each scale: [n, 2] pixels -> [n, S, 60, 90, 1]."""
    maps = torso_inference.torso_maps(torso_xy, scales, PersonFrame(flic.Flic()))
    return maps.reshape(len(torso_xy), len(scales), *maps.shape[1:])


def shots_of(names) -> np.ndarray:
    """The shot of each frame, int [n]: frames of a film with no gap of SHOT between them."""
    films, numbers = zip(*map(film_and_frame, names))
    order = np.lexsort((numbers, films))
    shots = np.zeros(len(names), int)
    for before, row in itertools.pairwise(order):
        same = films[row] == films[before] and numbers[row] - numbers[before] < SHOT
        shots[row] = shots[before] + (not same)
    return shots


def groups_of(joints_xy: np.ndarray) -> dict[str, np.ndarray]:
    """{group: bool [n, 9]}: which joints are counted; joints_xy: [n, 9, 2]."""
    shoulder, elbow, wrist = (joints_xy[:, rows, 1] for rows in (SHOULDERS, ELBOWS, WRISTS))
    is_raised = wrist < shoulder
    columns = {
        'raised': is_raised,
        'between': ~is_raised & (wrist < elbow),
        'wrist': np.full_like(is_raised, True),
    }
    groups = {}
    for name, chosen in columns.items():
        groups[name] = np.zeros(joints_xy.shape[:2], bool)
        groups[name][:, WRISTS] = chosen
    return {**groups, 'mean of 9': np.full(joints_xy.shape[:2], True)}


Errors = dict[str, np.ndarray]  # {change: [n, 9] in % of the normaliser}


# --- rates ----------------------------------------------------------------------------------------


def located(people: People, weights: Weights, changes: dict[str, Change]) -> Errors:
    """{change: errors [n, 9] in % of the normaliser}; maps are averaged over the people's scales."""
    spectra = scipy.fft.rfft2(weights.priors)
    found = {name: [] for name in changes}
    for views in zip(people.detector, people.torso):
        for name, maps in merged(people.scales, weights, spectra, changes, views).items():
            found[name].append(heatmaps.decode(maps.transpose(1, 2, 0)[None])[0])
    normaliser = flic.normaliser(people.joints_xy.astype(np.float64))
    return {
        name: normalised_errors(np.stack(xy), people.joints_xy, normaliser)
        for name, xy in found.items()
    }


def merged(scales, weights: Weights, spectra, changes, views) -> dict[str, np.ndarray]:
    """{change: maps [9, 60, 90]} of one person: the sum over all scales, brought back.

    views: the person's detector [S, 60, 90, 9] and torso [S, 60, 90, 1].
    """
    sums = dict.fromkeys(changes, 0)
    for scale, *view in zip(scales, *views):
        terms = terms_of(weights, spectra, *view)
        height, width = terms.own.shape[1:]
        down = test_time_augmentation.resampling_matrix(scale, height)
        right = test_time_augmentation.resampling_matrix(scale, width)
        logs = {}
        for name, change in changes.items():
            key = (change.bias, change.floor)
            if key not in logs:
                logs[key] = log_factors(change, terms)
            maps = down @ joint_maps(change, terms, logs[key]) @ right.T
            sums[name] = sums[name] + maps / np.maximum(maps.sum(axis=(1, 2), keepdims=True), TINY)
    return sums


def votes(people: People, weights: Weights) -> np.ndarray:
    """How much each term prefers the true cell of a wrist to the joint model's peak, [n, 2, 10].

    Natural logarithms at the people's first scale: the own map, then the SENDERS.
    """
    spectra = scipy.fft.rfft2(weights.priors)
    size = (flic.WIDTH, flic.HEIGHT)
    true_xy = test_time_augmentation.scaled_points(people.joints_xy, size, people.scales[:1])[0]
    cells = heatmaps.cell_index(true_xy).clip(0, np.array(flic.MAP_SIZE) - 1)  # [n, 9, 2]
    result = np.zeros((len(cells), 2, 1 + len(SENDERS)))
    for row, (detector, torso) in enumerate(zip(people.detector, people.torso)):
        terms = terms_of(weights, spectra, detector[0], torso[0])
        maps = joint_maps(Change(), terms)
        for side, joint in enumerate(WRISTS):
            factors = np.stack([terms.own[joint], *(terms.messages + terms.biases)[joint]])
            logs = np.log(factors)
            peak = np.unravel_index(maps[joint].argmax(), maps[joint].shape)
            order = [0, *(1 + senders_to(joint).index(sender) for sender in SENDERS)]
            r, c = cells[row, joint]
            result[row, side] = (logs[:, r, c] - logs[:, peak[0], peak[1]])[order]
    return result


def rates(errors: np.ndarray, baseline: np.ndarray, people: People) -> dict[str, dict]:
    """Each group's rate in %, its gain over the baseline in points, and the gain's standard error.

    errors, baseline: [n, 9].  Shots are drawn with replacement, since their frames are alike.
    """
    hits = (errors <= RADIUS).astype(float)
    gains = hits - (baseline <= RADIUS)
    n_shots = people.shots.max() + 1
    probabilities = np.full(n_shots, 1 / n_shots)
    times = np.random.default_rng(0).multinomial(n_shots, probabilities, DRAWS)
    result = {}
    for name, chosen in groups_of(people.joints_xy).items():
        counted = people.weights[:, None] * chosen  # [n, 9]
        of_shot = np.zeros((3, n_shots))
        for sums, values in zip(of_shot, (hits, gains, np.ones_like(hits))):
            np.add.at(sums, people.shots, (counted * values).sum(axis=1))
        hit, gain, count = of_shot.sum(axis=1)
        hit_draws, gain_draws, counts = of_shot @ times.T  # [draws] each
        counts = np.where(counts, counts, np.nan)  # a draw may have none of the group
        result[name] = {
            'joints': int(chosen.sum()),
            'rate': round(100 * hit / count, 1),
            'error': round(100 * np.nanstd(hit_draws / counts), 1),
            'gain': round(100 * gain / count, 1),
            'gain_error': round(100 * np.nanstd(gain_draws / counts), 1),
        }
    return result


def vote_lines(name: str, people: People, weights: Weights, errors: Errors) -> list[dict]:
    """Mean votes of the wrists that the joint model misses: raised or not, seen by the detector or not."""
    votes_of = votes(people, weights)
    is_raised = groups_of(people.joints_xy)['raised'][:, WRISTS]
    seen, found = (errors[name][:, WRISTS] <= RADIUS for name in (DETECTOR, MODEL))
    lines = []
    for height, of_height in (('raised', is_raised), ('not raised', ~is_raised)):
        for detector, of_detector in (('right', seen), ('wrong', ~seen)):
            chosen = of_height & of_detector & ~found
            means = votes_of[chosen].mean(axis=0).round(2).tolist() if chosen.any() else []
            lines.append(
                {
                    'weights': name,
                    'wrists': height,
                    'detector': detector,
                    'missed': int(chosen.sum()),
                    'of': int((of_height & of_detector).sum()),
                    'votes': dict(zip(['own map', *SENDERS], means)),
                }
            )
    return lines


# --- the picture ----------------------------------------------------------------------------------


def draw(path: str, people: People, weights: Weights, errors: Errors) -> None:
    """One raised wrist that only the detector finds: its maps, the messages most against it, all votes."""
    votes_of = votes(people, weights)
    row, side = typical(people, votes_of, errors)
    spectra = scipy.fft.rfft2(weights.priors)
    terms = terms_of(weights, spectra, people.detector[row, 0], people.torso[row, 0])
    joint = WRISTS[side]
    of_wrist = votes_of[row, side]
    size = (flic.WIDTH, flic.HEIGHT)
    scaled = test_time_augmentation.scaled_points(people.joints_xy[row], size, people.scales[:1])
    panels = [("part detector's map", terms.detector[joint] ** 0.5)]
    for sender in np.argsort(of_wrist[1:])[:3]:
        pair = senders_to(joint).index(SENDERS[sender])
        message = np.log(terms.messages[joint, pair] + terms.biases[joint, pair])
        panels.append((f'log message of {SENDERS[sender]}: {of_wrist[1 + sender]:.1f}', message))
    panels.append(("joint model's map", joint_maps(Change(), terms)[joint] ** 0.5))
    figure = Figure(figsize=(11, 5.2), layout='constrained')
    axes = figure.subplots(2, 3).ravel()
    for axis, (title, values) in zip(axes, panels):
        show_map(axis, values, scaled[0], joint, title)
    axes[-1].barh(['own map', *SENDERS], of_wrist, color=MODEL_COLOURS[1])
    axes[-1].invert_yaxis()
    axes[-1].axvline(0, color='0.3', linewidth=0.8)
    axes[-1].tick_params(labelsize=8)
    axes[-1].set_title('log term at the wrist - at the peak', fontsize=10)
    figures.save(figure, path)


def typical(people: People, votes_of: np.ndarray, errors: Errors) -> tuple[int, int]:
    """(row, side) of the wrist with the median sum of votes, of raised ones that only the detector finds."""
    is_raised = groups_of(people.joints_xy)['raised'][:, WRISTS]
    seen, found = (errors[name][:, WRISTS] <= RADIUS for name in (DETECTOR, MODEL))
    candidates = np.argwhere(is_raised & seen & ~found)
    sums = votes_of.sum(axis=2)[tuple(candidates.T)]
    row, side = candidates[np.argsort(sums)[len(sums) // 2]]
    return int(row), int(side)


def show_map(axis, values: np.ndarray, joints_xy: np.ndarray, joint: int, title: str) -> None:
    """A map over the frame, the annotated skeleton, and a ring around the joint."""
    axis.imshow(values, extent=(0, flic.WIDTH, flic.HEIGHT, 0), cmap='magma')
    for a, b in flic.Flic().limb_indices:
        axis.plot(*joints_xy[[a, b]].T, color='w', linewidth=0.8, alpha=0.8)
    axis.plot(*joints_xy[joint], 'o', color='#56b4e9', markersize=11, fillstyle='none', mew=1.8)
    axis.set(xlim=(0, flic.WIDTH), ylim=(flic.HEIGHT, 0), xticks=(), yticks=())
    axis.set_title(title, fontsize=10)


# --- tables ---------------------------------------------------------------------------------------


def rate_table(lines: list[dict]) -> str:
    """Markdown: rates, and gains over the joint model, of each change."""
    header = ['half', 'spatial model', 'scales', 'change', *GROUPS]
    rows = []
    for line in lines:
        cells = []
        for group in GROUPS:
            of = line['rates'][group]
            cells.append(f'{of["rate"]:.1f} ({of["gain"]:+.1f} ± {of["gain_error"]:.1f})')
        rows.append([line['half'], line['weights'], line['scales'], line['change'], *cells])
    return markdown(header, rows, left=4)


def vote_table(lines: list[dict]) -> str:
    """Markdown: the mean votes of the terms, a column for each kind of missed wrist."""
    header = ['term']
    for line in lines:
        header.append(
            f'{line["weights"]}: {line["wrists"]}, detector {line["detector"]}: {line["missed"]}/{line["of"]}'
        )
    rows = []
    for term in ['own map', *SENDERS]:
        rows.append([term, *(f'{line["votes"].get(term, np.nan):+.2f}' for line in lines)])
    return markdown(header, rows)


def measure(folder: str, restore: str) -> tuple[list[dict], People, Weights, Errors]:
    """The lines of the results; and the people at one scale, joint model and errors of the picture."""
    people = read_people(os.path.join(folder, 'single.npz'))
    trained = trained_people(folder)
    all_scales = read_people(os.path.join(folder, 'multi.npz'))
    both = {name: CHANGES[name] for name in (DETECTOR, MODEL)}
    models = spatial_models(folder, restore)
    errors = {}
    lines = []
    for name, weights in models.items():
        changes = CHANGES if name in (BASELINE, LONGER, restore) else {MODEL: Change()}
        errors[name] = located(people, weights, changes)
        lines += rate_lines(name, people, errors[name])
        if changes is CHANGES:
            lines += vote_lines(name, people, weights, errors[name])
        lines += rate_lines(name, trained, located(trained, weights, both), 'first')
    baseline = models[BASELINE]
    lines += rate_lines(BASELINE, all_scales, located(all_scales, baseline, both))
    return lines, people, baseline, errors[BASELINE]


def spatial_models(folder: str, restore: str) -> dict[str, Weights]:
    """{name: Weights} of a run, and of those PRIORS that have been trained."""
    models = {restore: read_weights(restore)}
    for name in PRIORS:
        path = os.path.join(folder, f'{name}.npz')
        if os.path.exists(path):
            models[name] = read_weights(path)
    return models


def trained_people(folder: str) -> People:
    """Those of the spatial models' training people who have raised wrists, augmented."""
    path = os.path.join(folder, 'train.npz')
    everybody = read_people(path)
    rows = np.flatnonzero(groups_of(everybody.joints_xy)['raised'].any(axis=1))
    scale = np.ones(1)  # the frame is the network's
    return People(
        everybody.detector[rows],
        torso_maps(np.load(path)['joints_xy'][rows, K], scale),
        scale,
        everybody.joints_xy[rows],
        np.unique(everybody.shots[rows], return_inverse=True)[1],
        everybody.weights[rows],
    )


def rate_lines(name: str, people: People, errors: Errors, half: str = 'second') -> list[dict]:
    """A line of the results for each change of one spatial model; gains are over the model itself."""
    lines = []
    for change, error in errors.items():
        of_change = {'half': half, 'weights': name, 'scales': len(people.scales), 'change': change}
        lines.append({**of_change, 'rates': rates(error, errors[MODEL], people)})
    return lines


def main():
    parser = cli.Parser(description=__doc__)
    parser.add_argument('--table', action='store_true', help='print the tables of --out')
    parser.add_argument(
        '--folder', default=os.path.join('models_ex', 'raised_wrists'), help='runs and maps'
    )
    parser.add_argument(
        '--out', default=os.path.join('report', 'raised_wrists.jsonl'), metavar='FILE'
    )
    parser.add_argument('--restore', default=os.path.join('pretrained', 'flic'), metavar='RUN')
    args = parser.parse_args()
    if not args.table:
        lines, *shown = measure(args.folder, args.restore)
        with files.atomic_write(args.out) as partial, open(partial, 'w', encoding='utf-8') as file:
            file.writelines(json.dumps(line) + '\n' for line in lines)
        draw(args.out.removesuffix('.jsonl') + '.png', *shown)
    with open(args.out, encoding='utf-8') as file:
        lines = [json.loads(line) for line in file]
    print(rate_table([line for line in lines if 'rates' in line]))
    print()
    print(vote_table([line for line in lines if 'votes' in line]))


if __name__ == '__main__':
    cli.run_script(main)
