"""Means over the samples of an epoch, or over the test people: each output's loss, and its rate for each joint."""

from collections.abc import Callable, Sequence

import numpy as np

from jointpose.evaluation.pose import Pose
from jointpose.metrics.key_points import match_people, pck
from jointpose.vision.affine import transform_points

Rates = dict[str, np.ndarray]  # {output: rate of each joint [k] in %}
Decode = Callable[[np.ndarray], list[list[Pose]]]  # output [n, ...] -> the people of each sample


class Meter:
    """Losses and rates of a system's outputs, kept as sums, so that a checkpoint can hold them."""

    def __init__(
        self,
        joints: Sequence[str],
        names: Sequence[str],
        measure: Callable[..., tuple[Rates, np.ndarray]],
        sums: dict | None = None,
        uncounted: Sequence[str] = (),
    ):
        """Begins with an earlier meter's sums, or without any.

        joints: names of the k joints. names: names of the outputs. measure: (outputs {name: [b,
        ...]}, facts of the batch) -> rates, and of how many people each
            joint's rates are, [k].
        sums: an earlier meter's `state()`.
        uncounted: joints that the mean over the joints leaves out.
        """
        self.joints = joints
        self.names = tuple(names)
        self.measure = measure
        self.counted = [joint not in uncounted for joint in joints]
        zeros = {'n': 0, 'counts': [0] * len(joints)}
        for name in names:
            zeros[f'loss_{name}'] = 0
        for name in names:
            zeros[f'rate_{name}'] = [0] * len(joints)
        self.sums = {name: np.array((sums or zeros)[name], np.float64) for name in zeros}

    def add(self, losses: dict[str, float], outputs: dict[str, np.ndarray], facts) -> None:
        """Adds a batch of b samples.

        losses: {output: mean loss}.  outputs: {output: [b, ...]}.  facts: the batch without images.
        """
        n = len(facts.rows)
        rates, counts = self.measure(outputs, facts)
        self.sums['n'] = self.sums['n'] + n
        self.sums['counts'] = self.sums['counts'] + counts
        for name in self.names:
            self.sums[f'loss_{name}'] = self.sums[f'loss_{name}'] + n * losses[name]
            self.sums[f'rate_{name}'] = self.sums[f'rate_{name}'] + counts * rates[name]

    def state(self) -> dict:
        """Returns the sums as JSON can hold them."""
        return {name: value.tolist() for name, value in self.sums.items()}

    def means(self) -> dict:
        """Returns the means so far.

        They are {'loss_NAME': float, 'rate_NAME': mean over joints, 'joints_NAME': {joint: rate}}
        of each output; NaN where there were no people, or no finite step in the epoch.
        """
        n = self.sums['n']
        counts = self.sums['counts']
        result = {}
        with np.errstate(invalid='ignore'):
            for name in self.names:
                result[f'loss_{name}'] = float(self.sums[f'loss_{name}'] / n)
            for name in self.names:
                rates = self.sums[f'rate_{name}'] / counts
                counted = rates[self.counted & (counts > 0)]
                result[f'rate_{name}'] = float(counted.mean()) if len(counted) else float('nan')
                result[f'joints_{name}'] = dict(zip(self.joints, rates.tolist()))
        return result


def of_joints(data_set, names: Sequence[str], decode: Decode, sums: dict | None = None) -> Meter:
    """Returns a Meter of the rate that a data set is measured by, for systems that find one person a sample."""

    def measure(outputs, facts):
        k = len(data_set.joints)
        truth_xy = to_picture(facts.back, facts.joints_xy[:, :k])
        rates = {}
        for name, output in outputs.items():
            found_xy = np.stack([people[0].joints_xy for people in decode(output)])
            rates[name], counts = pck(
                to_picture(facts.back, found_xy),
                truth_xy,
                facts.visible[:, :k],
                facts.unit,
                data_set.hit_radius,
            )
        return rates, counts

    return Meter(data_set.joints, names, measure, sums, data_set.uncounted_joints)


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
        return rates, counts

    return Meter(data_set.joints, names, measure, sums, data_set.uncounted_joints)


def to_picture(back: np.ndarray, joints_xy: np.ndarray) -> np.ndarray:
    """Transforms points of samples to their pictures: matrices [n, 2, 3], points [n, ..., 2] -> [n, ..., 2]."""
    return np.stack([transform_points(*sample) for sample in zip(back, joints_xy)])


def _people_in_picture(matrix, poses, k):
    """The joints of detected people in pixels of the picture: [m, k, 2]."""
    if not poses:
        return np.zeros((0, k, 2))
    return transform_points(matrix, np.stack([pose.joints_xy for pose in poses]))
