"""Measures why the joint model loses raised wrists, for report/raised_wrists.md.

    python -m tools.raised_wrists > report/raised_wrists.jsonl

The inputs are what raised_wrists_runs.py makes: the part detector's maps of training people, and
spatial models.  From these the joint model is computed here in NumPy, so that its terms can be
changed one at a time.
"""

import itertools
import json
import os
from typing import NamedTuple

import numpy as np
import scipy.fft

from jointpose import spatial_model
from jointpose.datasets import flic
from jointpose.datasets.flic_plus import film_and_frame
from jointpose.datasets.person_frames import PersonFrame
from jointpose.metrics.key_points import normalised_errors
from jointpose.nn.layers import EPSILON
from jointpose.nn.test_time_augmentation import resampling_matrix, scaled_points
from jointpose.systems.tompson import torso_inference
from jointpose.utils import cli
from jointpose.vision import heatmaps
from tools import drawn_people
from tools.analysis import ELBOWS, WRISTS
from tools.raised_wrists_runs import EPOCHS, FOLDER, RUN, raised

RADIUS = 10  # % of the normaliser
K = flic.N_JOINTS
KINDS = {'sho': 'shoulder', 'elb': 'elbow', 'wri': 'wrist', 'hip': 'hip'}
SHOT = 100  # frames of a film less apart than this are of one shot
DRAWS = 2000  # of the bootstrap
TINY = 1e-30


# --- the joint model and its changes --------------------------------------------------------------


class Terms(NamedTuple):
    """What enters the logits of one frame."""

    detector: np.ndarray  # [9, 60, 90]: the detector's distributions
    own: np.ndarray  # [9, 60, 90]: the joints' own positive maps
    messages: np.ndarray  # [9, 9, 60, 90]: from nine senders to each joint, without the biases
    biases: np.ndarray  # [9, 9, 60, 90]


class SpatialModel:
    """That of an .npz of raised_wrists_runs.py, or of a run's newest checkpoint."""

    def __init__(self, path: str):
        values = np.load(path) if path.endswith('.npz') else drawn_people.load_weights(path)
        values = {name.removeprefix('spatial_model/'): value for name, value in values.items()}
        self.spectra = scipy.fft.rfft2(spatial_model.numpy_softplus(values['energies']))
        self.biases = spatial_model.numpy_softplus(values['biases']) + spatial_model.DELTA
        self.factor = values['scale'] / np.sqrt(values['moving_variance'] + EPSILON)
        self.constant = values['offset'] - values['moving_mean'] * self.factor

    def terms(self, detector: np.ndarray, torso: np.ndarray) -> Terms:
        """The Terms of one frame, from its detector's maps [60, 90, 9] and its torso's [60, 90, 1]."""
        maps = np.concatenate([detector, torso], axis=-1) * self.factor + self.constant
        maps = spatial_model.numpy_softplus(maps.transpose(2, 0, 1).astype(np.float32))
        height, width = maps.shape[1:]
        size = (2 * height, 2 * width)
        senders = [v for _, v in spatial_model.PAIRS_TO_JOINTS]
        messages = scipy.fft.irfft2(self.spectra * scipy.fft.rfft2(maps, size)[senders], size)
        messages = messages[:, height:, width:].reshape(K, -1, height, width)
        own = maps[:K] + spatial_model.DELTA
        return Terms(
            detector.transpose(2, 0, 1), own, messages, self.biases.reshape(messages.shape)
        )


def senders_to(joint: int) -> list[str]:
    """What the nine senders of a joint's messages are to it: 'own elbow', 'other wrist', 'torso' ..."""
    kinds = []
    for name in flic.MAPS[:joint] + flic.MAPS[joint + 1 :]:
        side = 'own' if name[0] == flic.JOINTS[joint][0] else 'other'
        kinds.append(f'{side} {KINDS[name[1:]]}' if name[1:] in KINDS else name)
    return kinds


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


def joint_maps(change: Change, terms: Terms) -> np.ndarray:
    """Distributions over the cells, [9, 60, 90]."""
    if change.mixed == 1:
        return terms.detector
    largest = terms.messages.max(axis=(2, 3), keepdims=True)
    logs = np.log(terms.messages + change.bias * terms.biases + change.floor * largest)
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
TERMS = ('own map', *senders_to(WRISTS[0]))  # of a wrist


# --- people ---------------------------------------------------------------------------------------


class People(NamedTuple):
    """The people measured, and the detector's maps of them."""

    detector: np.ndarray  # [n, 60, 90, 9]
    torso: np.ndarray  # [n, 60, 90, 1]
    scale: float  # of the maps' frame
    joints_xy: np.ndarray  # [n, 9, 2] pixels of the frame at scale 1
    shots: np.ndarray  # int [n]
    weights: np.ndarray  # [n]: how many people each stands for


def read_people(folder: str, part: str) -> People:
    """A file of maps of raised_wrists_runs.py; of people trained on, those with a raised wrist."""
    stored = dict(np.load(os.path.join(folder, f'{part}.npz')))
    scale = float(stored.pop('scale'))
    if part == 'trained':
        rows = raised(stored['joints_xy']).any(axis=1)
        stored = {name: values[rows] for name, values in stored.items()}
    joints_xy = stored['joints_xy']
    frame = PersonFrame(flic.Flic())
    torso = torso_inference.torso_maps(joints_xy[:, K], [scale], frame)
    shots = shots_of(stored['names'])
    return People(stored['detector'], torso, scale, joints_xy[:, :K], shots, stored['weights'])


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
    is_raised = raised(joints_xy)
    is_between = ~is_raised & (joints_xy[:, WRISTS, 1] < joints_xy[:, ELBOWS, 1])
    groups = {'mean of 9': np.full(joints_xy.shape[:2], True)}
    for name, wrists in (('raised', is_raised), ('between', is_between), ('wrist', True)):
        groups[name] = np.zeros_like(groups['mean of 9'])
        groups[name][:, WRISTS] = wrists
    return groups


# --- rates ----------------------------------------------------------------------------------------


def located(people: People, model: SpatialModel, changes) -> dict[str, np.ndarray]:
    """{change: errors [n, 9] in % of the normaliser}."""
    down, right = (resampling_matrix(people.scale, n) for n in flic.MAP_SIZE)
    found = {name: [] for name in changes}
    for detector, torso in zip(people.detector, people.torso):
        terms = model.terms(detector, torso)
        for name, points_xy in found.items():
            maps = down @ joint_maps(CHANGES[name], terms) @ right.T
            points_xy.append(heatmaps.decode(maps.transpose(1, 2, 0)[None])[0])
    normaliser = flic.normaliser(people.joints_xy.astype(np.float64))
    return {
        name: normalised_errors(np.stack(points_xy), people.joints_xy, normaliser)
        for name, points_xy in found.items()
    }


def rates(errors: np.ndarray, baseline: np.ndarray, people: People) -> dict[str, dict]:
    """Each group's rate in %, its gain over the baseline in points, and the gain's standard error.

    errors, baseline: [n, 9].  Shots are drawn with replacement, since their frames are alike.
    """
    hits = (errors <= RADIUS).astype(float)
    gains = hits - (baseline <= RADIUS)
    n_shots = people.shots.max() + 1
    in_shot = people.shots[:, None] == np.arange(n_shots)  # [n, shots]
    times = np.random.default_rng(0).multinomial(n_shots, np.full(n_shots, 1 / n_shots), DRAWS)
    result = {}
    for name, chosen in groups_of(people.joints_xy).items():
        counted = people.weights[:, None] * chosen  # [n, 9]
        sums = [(counted * values).sum(axis=1) for values in (hits, gains, 1)]
        of_shots = np.stack(sums) @ in_shot  # [3, shots]
        hit, gain, count = of_shots.sum(axis=1)
        _, gain_draws, counts = of_shots @ times.T  # [draws] each
        counts = np.where(counts, counts, np.nan)  # a draw may have none of the group
        result[name] = {
            'joints': int(chosen.sum()),
            'rate': round(100 * hit / count, 1),
            'gain': round(100 * gain / count, 1),
            'gain_error': round(100 * np.nanstd(gain_draws / counts), 1),
        }
    return result


# --- votes ----------------------------------------------------------------------------------------


def mean_votes(people: People, model: SpatialModel, errors: dict[str, np.ndarray]) -> dict:
    """How much each of TERMS prefers the true cell to the joint model's peak: mean natural logarithms.

    Over the raised wrists that the detector finds ('of') and the joint model loses ('lost').
    """
    seen, found = (errors[name][:, WRISTS] <= RADIUS for name in (DETECTOR, MODEL))
    is_seen = raised(people.joints_xy) & seen
    lost = np.argwhere(is_seen & ~found)
    frame = (flic.WIDTH, flic.HEIGHT)
    cells = heatmaps.cell_index(scaled_points(people.joints_xy, frame, [people.scale])[0])
    votes = []
    for row, side in lost:
        joint = WRISTS[side]
        terms = model.terms(people.detector[row], people.torso[row])
        maps = joint_maps(Change(), terms)[joint]
        logs = np.log([terms.own[joint], *(terms.messages + terms.biases)[joint]])
        peak = np.unravel_index(maps.argmax(), maps.shape)
        at_true = logs[(..., *cells[row, joint].clip(0, np.array(maps.shape) - 1))]
        of_terms = dict(zip(('own map', *senders_to(joint)), at_true - logs[(..., *peak)]))
        votes.append([of_terms[term] for term in TERMS])
    means = np.mean(votes, axis=0, dtype=float).round(2).tolist()
    return {'lost': len(lost), 'of': int(is_seen.sum()), 'votes': dict(zip(TERMS, means))}


# --- the script -----------------------------------------------------------------------------------


def main():
    parser = cli.Parser(description=__doc__)
    parser.add_argument('--folder', default=FOLDER, help='of raised_wrists_runs.py')
    args = parser.parse_args()
    models = {name: SpatialModel(os.path.join(args.folder, f'{name}.npz')) for name in EPOCHS}
    models[RUN] = SpatialModel(RUN)
    for part, changes in (('held_out', CHANGES), ('trained', (MODEL,))):
        people = read_people(args.folder, part)
        for name, model in models.items():
            line = {'people': part, 'spatial_model': name}
            errors = located(people, model, changes)
            for change, error in errors.items():
                measured = rates(error, errors[MODEL], people)
                print(json.dumps({**line, 'change': change, 'rates': measured}), flush=True)
            if part == 'held_out':
                print(json.dumps({**line, **mean_votes(people, model, errors)}), flush=True)


if __name__ == '__main__':
    cli.run_script(main)
