"""What TensorBoard shows of a run:  tensorboard --logdir tb

TB_FOLDER/RUN holds three folders of event files: `train_iter`, written at every step, and `train`
and `test`, written at every epoch.  People are the same few of each split at every epoch, not
augmented: a change is the network's.  pd and sm stand for the names of the system's outputs (sm is
absent without --use_sm); energies, biases, priors and banks are those of Tompson's system.

All three:
    main/loss_pd, loss_sm        cross-entropy of part detector and spatial model, without decay: of
                                 the step's batch; mean over the epoch's or the test people
train_iter:
    main/gradient_norm           of all averaged gradients, with decay, before clipping
    main/lr                      learning rate
    main/img_per_s               training samples a second, by the time of the step alone
train and test:
    main/det_rate_pd, .._sm      detection rate at radius 10, %, mean over the joints
    rate_pd/JOINT, rate_sm/..    the same of each joint
    main/pcp_NAME, main/pckh_NAME, pcp_NAME/STICK, pckh_NAME/JOINT
                                 LSP, systems that crop a person: strict PCP@0.5 and PCKh@0.5, %
    person_K/target, pd, sm      image, 360x240: all joints' maps over the frame, a colour each,
                                 most opaque at the peak; of a system without maps: the crop with
                                 the annotated and the predicted skeleton
train:
    network/conv1_BANK_filters   image, 240x240: the first filters in colour, grey is 0
    priors/JOINT_given_CONDJOINT
                                 image, 360x240: softplus(energy) by displacement of joint from
                                 condjoint, zero in the middle; the caption says the range

With --tb_details also, below `more/`, so that TensorBoard opens on main/*:

train:
    LAYER/VARIABLE               histogram of weights, bias, scale, offset, moving_mean,
                                 moving_variance; of spatial_model also of energies and biases
    LAYER/VARIABLE/max, mean, min, std, positive
                                 the same in figures; positive is the fraction above 0
    LAYER/weights/gradient, spatial_model/energies/gradient
                                 histogram of the gradient, with decay, before clipping, normalised
                                 by these people's batch statistics
    .../gradient/norm, max, ...  its Euclidean norm, and the figures as above
    biases/JOINT_given_CONDJOINT
                                 image, 360x240: softplus(bias) over the frame
train and test:
    LAYER/activation             histogram after ReLU and batch norm (moving averages); of conv6 and
                                 spatial_model: the logits
    LAYER/activation/max, ...    the same in figures
    person_K/JOINT_target, JOINT_pd, JOINT_sm
                                 image, 360x240: one joint's map

TensorBoard shows ten epochs of each image, drawn at random, or all with
--samples_per_plugin images=1000.
"""

import argparse
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from jointpose.nn.layers import AVERAGE_SUFFIX
from jointpose.nn.tf1 import tf
from jointpose.training import batches
from jointpose.training.event_files import EventFiles
from jointpose.training.run_log import further_measures
from jointpose.training.summary_values import (
    Value,
    describe,
    overlays,
    picture,
    scalar,
    skeletons,
)

N_PEOPLE = 4  # of each split, but no more than a batch


class Writer:
    """Writes the summaries of one run."""

    def __init__(
        self,
        folder: str | None,
        system,
        joints: Sequence[str],
        graph,
        splits: dict,
        options: argparse.Namespace,
    ):
        """Chooses the people that are shown.

        Args:
            folder: of the event files; None: no summaries.
            joints: their names.
            graph: main.RunGraph.
            splits: {'train', 'test': arrays.Split}.
        """
        self.system = system
        self.joints = joints
        self.graph = graph
        self.details = options.tb_details
        self.outputs = graph.evaluation.inference.outputs
        self.events = EventFiles(folder, (*splits, 'train_iter'))
        n = min(N_PEOPLE, options.batch_size)  # as many as fit into the device's memory
        self.people = {}
        for name, split in splits.items():
            rows = evenly_spread(len(split.images), n)
            self.people[name] = batches.plain_batch(system, split, rows)

    def step(self, step: int, values: dict[str, float]) -> None:
        """Writes the figures of one step to train_iter."""
        figures = (scalar(f'main/{name}', value) for name, value in values.items())
        self.events.add('train_iter', step, figures)

    def epoch(self, session: tf.Session, step: int, means: dict) -> None:
        """Writes all that is written once an epoch.

        It changes no variable and takes nothing from the streams: their batches are replaced by
        those of the people that are shown.

        Args:
            means: {'train', 'test': Meter.means()}.
        """
        for split, people in self.people.items():
            self.events.add(split, step, main_values(means[split], self.outputs))
            self.events.add(split, step, self._people_values(session, people))
        self.events.add('train', step, self._variable_values(session))
        if self.details:
            self.events.add('train', step, self._gradient_values(session))

    def close(self) -> None:
        """Closes the event files."""
        self.events.close()

    def _people_values(self, session, people):
        """Overlays or skeletons, and activations."""
        networks = self.graph.evaluation.inference.networks
        layers = {}
        if self.details:
            for name in networks[0].layers:
                layers[name] = [network.layers[name] for network in networks]
        feed = batches.feed(self.graph.evaluation.batch, people)
        activations, maps = session.run([layers, self.outputs], feed)
        for name, parts in activations.items():
            yield from describe(f'more/{name}/activation', np.concatenate(parts))
        body = self.system.dataset
        if self.system.has_maps:
            shown = self.system.score_maps(people.targets, maps)
            yield from overlays(people.images, shown, self.joints, self.details, body.side)
        else:
            found = {name: self.system.decode(output) for name, output in maps.items()}
            yield from skeletons(people, found, body)

    def _variable_values(self, session):
        """Of variables, but not the optimiser's; some also as images."""
        variables = {variable.op.name: variable for variable in tf.global_variables()}
        shown = tf.trainable_variables()
        for name, variable in variables.items():
            if name.endswith(('moving_mean', 'moving_variance')):
                shown.append(variable)
        fetched = {}
        for variable in shown:
            average = variables.get(variable.op.name + AVERAGE_SUFFIX, variable)
            fetched[tag_of(variable)] = average
        values = session.run(fetched)
        if self.details:
            for tag, value in values.items():
                yield from describe(f'more/{tag}', value)
        for tag, image in self.system.image_summaries(values):
            if self.details or not tag.startswith('more/'):
                yield picture(tag, image)

    def _gradient_values(self, session):
        """Of the gradients of weights and energies, by the training people that are shown."""
        gradients = {}
        for gradient, variable in self.graph.training.gradients:
            if variable.op.name.endswith(('weights', 'energies')):
                gradients[tag_of(variable)] = gradient
        feed = batches.feed(self.graph.batch, self.people['train'])
        for tag, gradient in session.run(gradients, feed).items():
            yield from describe(f'more/{tag}/gradient', gradient)
            yield scalar(f'more/{tag}/gradient/norm', np.linalg.norm(gradient))


def evenly_spread(n: int, most: int) -> np.ndarray:
    """Rows of at most `most` of n people: neighbours are frames of one scene."""
    k = min(n, most)
    return np.arange(k) * n // k


def tag_of(variable: tf.Variable) -> str:
    """'part_detector/conv5/weights' -> 'conv5/weights', 'spatial_model/energies' as it is."""
    return variable.op.name.removeprefix('part_detector/')


def main_values(means: dict, outputs: Iterable[str]) -> Iterator[Value]:
    """Losses and rates of one split; means: Meter.means()."""
    for name, value in means.items():
        if name.startswith('loss_'):
            yield scalar(f'main/{name}', value)
    for name in outputs:
        yield scalar(f'main/det_rate_{name}', means[f'rate_{name}'])
        for joint, rate in means[f'joints_{name}'].items():
            yield scalar(f'rate_{name}/{joint}', rate)
        for measure in further_measures(means, name):
            yield scalar(f'main/{measure}_{name}', means[f'{measure}_{name}'])
            for label, rate in means[f'{measure}_each_{name}'].items():
                yield scalar(f'{measure}_{name}/{label}', rate)
