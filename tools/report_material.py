"""What the report is made from: predictions, arrays, logs and the networks of a run."""

import argparse
import contextlib
import functools
import json
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from jointpose import pairwise_distr
from jointpose.datasets import arrays, flic
from jointpose.datasets.person_frames import PersonFrame
from jointpose.evaluation import detection_rates, predictions
from jointpose.utils.errors import InputError
from tools import analysis, plot_log
from tools.analysis import Errors
from tools.figures import JOINT_MODEL, PART_DETECTOR

NORMALISER = 'lhip-rsho'
RADIUS = 10  # in % of the normaliser
DRAWN_SEED = 2014  # of drawn people: another seed than that of `data.py --synthetic`
N_DRAWN = 6  # drawn pictures shown


class Material:
    """The data of the report, each read when it is first asked for."""

    def __init__(self, options: argparse.Namespace):
        self.options = options

    @functools.cached_property
    def manifest(self) -> dict:
        return arrays.read_manifest(self.options.data)

    @functools.cached_property
    def found(self) -> predictions.Predictions:
        return predictions.read(self.options.predictions, self.manifest)

    @functools.cached_property
    def truth(self) -> detection_rates.Truth:
        """The ground truth of all people of the predictions' split."""
        return detection_rates.read_truth(self.options.data, self.manifest, self.found.split)

    @functools.cached_property
    def errors(self) -> Errors:
        """{model: [n, 9]} in % of NORMALISER."""
        return self.errors_by(NORMALISER)

    def errors_by(self, normaliser: str) -> Errors:
        """{model: [n, 9]} in % of a normaliser."""
        return detection_rates.score(self.found, self.truth, normaliser)

    def films(self) -> list[str]:
        """The film of each person predicted."""
        people = arrays.load_array(self.options.data, 'people', self.found.split, self.manifest)
        return [analysis.film(file) for file in people['file'][self.found.rows]]

    def errors_of_both(self) -> tuple[np.ndarray, np.ndarray]:
        """Errors [n, 9] of the part detector and of the joint model.

        Raises InputError if there are no predictions of the joint model.
        """
        if JOINT_MODEL not in self.errors:
            raise InputError(
                f'{self.options.predictions}: has no `flic_pred_sm`: '
                'the predictions were made without the spatial model'
            )
        return self.errors[PART_DETECTOR], self.errors[JOINT_MODEL]

    def load_split(self) -> arrays.Split:
        """The split of the predictions, with its frames."""
        return arrays.load_split(self.options.data, self.found.split, self.manifest)

    def log(self, kind: str) -> list[dict]:
        """The records of the run's log.jsonl (one per epoch) or steps.jsonl (one per iteration)."""
        return plot_log.read_lines(os.path.join(self.options.run, f'{kind}.jsonl'))

    @functools.cached_property
    def settings(self) -> dict:
        """The options that the run was trained with."""
        path = os.path.join(self.options.run, 'settings.json')
        try:
            with open(path, encoding='utf-8') as file:
                settings = json.load(file)
            return {**settings, 'width': int(settings['width'])}
        except OSError as error:
            raise InputError(f'{path}: {error.strerror}') from error
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f'{path}: not the settings of main.py: {error!r}') from error

    def out(self, name: str) -> str:
        """The path of an output file."""
        return os.path.join(self.options.out, name)


# ---------------------------------------------------------------- networks


class Network(NamedTuple):
    """A restored network."""

    # maps(split, row): heat maps [60, 90, 9] of the part detector and of the joint model
    maps: Callable[[arrays.Split, int], list[np.ndarray]]
    subcell: bool  # whether heatmaps.decode interpolates between cells


@contextlib.contextmanager
def restored(run: str, scales: str) -> Iterator[Network]:
    """The network of a run's newest checkpoint, within a session.

    Args:
        run: folder of the run, or of a checkpoint.
        scales: 'single', or 'multi' to average the maps over several scales, as in main.py.
    """
    from tools import trained_network  # imports TensorFlow, which most figures do without

    with trained_network.restored(run, '--scales', scales) as network:
        if not network.options.use_sm:
            raise InputError(f'--run {run}: trained without the spatial model')

        def maps(split, row):
            outputs, *_ = network.outputs(split, [row])
            return [outputs['pd'][0], outputs['sm'][0]]

        yield Network(maps, network.options.decode == 'subcell')


class PairWeights(NamedTuple):
    """Weights of the spatial model for all 81 pairs, after the softplus."""

    start: np.ndarray  # [81, 120, 180] energies before training
    trained: np.ndarray  # [81, 120, 180] energies after training
    biases: np.ndarray  # [81, 60, 90] after training


def read_pairs(material: Material) -> PairWeights:
    """The spatial model's weights in the newest checkpoint of the run."""
    from jointpose import spatial_model
    from jointpose.checkpoints import checkpoint, checkpoint_variables
    from jointpose.nn.layers import AVERAGE_SUFFIX

    run = material.options.run
    found = checkpoint.find('', run, '--run')
    settings = found.state['settings']
    if not settings['use_sm']:
        raise InputError(f'--run {run}: trained without the spatial model')
    n = len(spatial_model.PAIRS_TO_JOINTS)
    path = os.path.join(material.options.data, pairwise_distr.FILE)
    torso_from = settings.get('torso_from', 'joints')  # earlier versions had no such option
    frame = PersonFrame(flic.Flic(), torso_from)
    histograms = pairwise_distr.load(path, found.state['data_id'], frame)[:n]
    weights = {}
    for name, value in checkpoint_variables.read_weights(found.path).items():
        weights[name.removesuffix(AVERAGE_SUFFIX)] = value
    return PairWeights(
        spatial_model.numpy_softplus(
            spatial_model.initial_energies(histograms, settings['priors'])
        ),
        spatial_model.numpy_softplus(weights['spatial_model/energies'][:n]),
        spatial_model.numpy_softplus(weights['spatial_model/biases'][:n]),
    )


# ---------------------------------------------------------------- drawn people


def drawn_people(n: int = N_DRAWN, seed: int = DRAWN_SEED) -> arrays.Split:
    """The first n drawn pictures that have one annotated person."""
    from jointpose.datasets.synthetic import flic_set
    from jointpose.datasets.synthetic.poses import COLUMNS

    columns = [COLUMNS[joint] for joint in flic.JOINTS]
    people = np.zeros(n, flic.PERSON_DTYPE)
    images = []
    joints = []
    for index in range(20 * n):
        if len(images) == n:
            break
        picture = flic_set.render(seed, index)
        if len(picture.people) == 1:
            people['torsobox'][len(images)] = picture.torsoboxes[0]
            images.append(picture.image)
            joints.append(picture.people[0][:, columns].T.astype(np.float32))
    joints_xy, _ = flic.to_observer_sides(np.stack(joints))  # as data.py does
    joints_xy = flic.add_torso(joints_xy)
    return arrays.Split(
        np.stack(images),
        joints_xy,
        flic.Flic().complete_people(people, joints_xy),
        np.arange(n),
        'test',
    )
