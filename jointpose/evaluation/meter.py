"""Means over the samples of an epoch, or over the test people: each output's loss, and its rate for each joint."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from jointpose.evaluation.pose import Pose
from jointpose.metrics.key_points import match_people, pck
from jointpose.utils.errors import InputError
from jointpose.vision.affine import transform_points

Rates = dict[str, np.ndarray]  # {output: rate of each label in %}
Measured = dict[str, tuple[Rates, np.ndarray]]  # {measure: (rates, how many people each is of)}
Decode = Callable[[np.ndarray], list[list[Pose]]]  # output [n, ...] -> the people of each sample
Locate = Callable[[np.ndarray], np.ndarray]  # output [n, ...] -> joints of each sample [n, k, 2]

RATE = 'rate'  # the measure that every system has: the rate of each joint


class Meter:
    """Losses and rates of a system's outputs, kept as sums, so that a checkpoint can hold them."""

    def __init__(
        self,
        joints: Sequence[str],
        names: Sequence[str],
        measure: Callable[..., Measured],
        sums: dict | None = None,
        uncounted: Sequence[str] = (),
        more: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ):
        """Begins with an earlier meter's sums, or without any.

        joints: names of the k joints.
        names: names of the outputs.
        measure: (outputs {name: [b, ...]}, facts of the batch) -> the rates of RATE, whose labels
            are the joints, and of `more`.
        sums: an earlier meter's `state()`.
        uncounted: joints that the mean over the joints leaves out.
        more: {further measure: its labels}.
        """
        self.names = tuple(names)
        self.measure = measure
        self.labels = {RATE: joints, **more}
        self.counted = [joint not in uncounted for joint in joints]
        zeros = {'n': 0, **{f'loss_{name}': 0 for name in names}}
        for measured, labels in self.labels.items():
            zeros[counts_of(measured)] = [0] * len(labels)
            for name in names:
                zeros[f'{measured}_{name}'] = [0] * len(labels)
        # A checkpoint from before a measure existed has no sums of it.
        former = {**zeros, **(sums or {})}
        for name, value in former.items():
            if np.shape(value) != np.shape(zeros.get(name, 0)):
                raise InputError(f"the checkpoint's state.json: `sums` of {name}: {value!r:.60}")
        self.sums = {name: np.array(value, np.float64) for name, value in former.items()}

    def add(self, losses: dict[str, float], outputs: dict[str, np.ndarray], facts) -> None:
        """Adds a batch of b samples.

        losses: {output: mean loss}, and perhaps others by their names.
        outputs: {output: [b, ...]}.
        facts: the batch without images.
        """
        n = len(facts.rows)
        self.sums['n'] = self.sums['n'] + n
        for name, loss in losses.items():
            key = f'loss_{name}'
            self.sums[key] = self.sums.get(key, 0.0) + n * np.float64(loss)
        for measured, (rates, counts) in self.measure(outputs, facts).items():
            key = counts_of(measured)
            self.sums[key] = self.sums[key] + counts
            for name in self.names:
                key = f'{measured}_{name}'
                self.sums[key] = self.sums[key] + counts * rates[name]

    def state(self) -> dict:
        """Returns the sums as JSON can hold them."""
        return {name: value.tolist() for name, value in self.sums.items()}

    def means(self) -> dict:
        """Returns the means so far.

        They are {'loss_NAME': float} of each loss, {'rate_NAME': mean over joints, 'joints_NAME':
        {joint: rate}} of each output, and of each further measure {'MEASURE_NAME': mean over its labels,
        'MEASURE_each_NAME': {label: rate}}; NaN where there were no people, or no finite step in
        the epoch.
        """
        result = {}
        with np.errstate(invalid='ignore'):
            for name, total in self.sums.items():
                if name.startswith('loss_'):
                    result[name] = float(total / self.sums['n'])
            for measured, labels in self.labels.items():
                each = 'joints' if measured == RATE else f'{measured}_each'
                for name in self.names:
                    rates = self.sums[f'{measured}_{name}'] / self.sums[counts_of(measured)]
                    result[f'{measured}_{name}'] = self._mean(measured, rates)
                    result[f'{each}_{name}'] = dict(zip(labels, rates.tolist()))
        return result

    def _mean(self, measured, rates):
        """The mean rate over the labels of a measure that are counted."""
        is_counted = self.sums[counts_of(measured)] > 0
        if measured == RATE:
            is_counted &= self.counted
        counted = rates[is_counted]
        return float(counted.mean()) if len(counted) else float('nan')


def counts_of(measured: str) -> str:
    """The name of a measure's counts among the sums."""
    return 'counts' if measured == RATE else f'counts_{measured}'


def of_joints(data_set, names: Sequence[str], locate: Locate, sums: dict | None = None) -> Meter:
    """Returns a Meter of the rate that a data set is measured by, for systems that find one person a sample.

    The data set's further measures (DataSet.more_rates) are added.
    """

    def measure(outputs, facts):
        k = len(data_set.joints)
        truth_xy = to_picture(facts.back, facts.joints_xy[:, :k])
        visible = facts.visible[:, :k]
        measured = {}
        for name, output in outputs.items():
            found_xy = to_picture(facts.back, locate(output))
            of_output = {
                RATE: pck(found_xy, truth_xy, visible, facts.unit, data_set.hit_radius),
                **data_set.measure_more(found_xy, truth_xy, visible),
            }
            for key, (rates, counts) in of_output.items():
                of_outputs, _ = measured.setdefault(key, ({}, counts))
                of_outputs[name] = rates
        return measured

    return Meter(
        data_set.joints,
        names,
        measure,
        sums,
        data_set.uncounted_joints,
        data_set.more_rates,
    )


def of_people(data_set, names: Sequence[str], decode: Decode, sums: dict | None = None) -> Meter:
    """Returns the same Meter for systems that find all people of a picture.

    A sample's arrays begin with an axis of people.  Of each annotated person the joints are those
    of the detected person that key_points.match_people assigns; other detected people do not count.
    """
    k = len(data_set.joints)

    def measure(outputs, facts):
        truth_xy = to_picture(facts.back, facts.joints_xy[:, :, :k])  # [n, p, k, 2]
        visible = facts.visible[:, :, :k]
        rates = {}
        for name, output in outputs.items():
            matched_xy = []
            for i, poses in enumerate(decode(output)):
                found_xy = _people_in_picture(facts.back[i], poses, k)
                matched_xy.append(
                    match_people(
                        found_xy, truth_xy[i], visible[i], facts.unit[i], data_set.hit_radius
                    )
                )
            rates[name], counts = pck(
                np.concatenate(matched_xy),
                np.concatenate(truth_xy),
                np.concatenate(visible),
                facts.unit.ravel(),
                data_set.hit_radius,
            )
        return {RATE: (rates, counts)}

    return Meter(data_set.joints, names, measure, sums, data_set.uncounted_joints)


def to_picture(back: np.ndarray, joints_xy: np.ndarray) -> np.ndarray:
    """Transforms points of samples to their pictures: matrices [n, 2, 3], points [n, ..., 2] -> [n, ..., 2]."""
    return np.stack([transform_points(*sample) for sample in zip(back, joints_xy)])


def _people_in_picture(matrix, poses, k):
    """The joints of detected people in pixels of the picture: [m, k, 2]."""
    if not poses:
        return np.zeros((0, k, 2))
    return transform_points(matrix, np.stack([pose.joints_xy for pose in poses]))
