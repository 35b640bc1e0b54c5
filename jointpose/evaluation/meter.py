"""Means over samples, of an epoch or of the test people: each output's loss and its rate for each joint."""

import numpy as np

from jointpose.metrics.key_points import match_people, pck
from jointpose.vision.affine import transform_points


class Meter:
    """Losses and rates of a system's outputs, {name: ...}; kept as sums, so that a checkpoint can hold them.

    measure(outputs, facts) -> ({name: [k]}, [k]): of one batch, whose `batches.without_images` are given, the rate of each joint
    in %, and of how many people.
    """

    def __init__(self, joints, names, measure, sums=None, uncounted=()):
        """joints: names of k joints.  names: of the outputs.  sums: a former `state()`.  uncounted: those of the joints
        that are not in the mean over the joints."""
        self.joints, self.names, self.measure = joints, tuple(names), measure
        self.counted = [joint not in uncounted for joint in joints]
        zeros = {
            'n': 0,
            'counts': [0] * len(joints),
            **{f'loss_{name}': 0 for name in names},
            **{f'rate_{name}': [0] * len(joints) for name in names},
        }
        self.sums = {name: np.array((sums or zeros)[name], np.float64) for name in zeros}

    def add(self, losses, outputs, facts):
        """One batch of b: {name: mean loss}, {name: [b, ...]}, batches.without_images."""
        n, (rates, counts) = len(facts.rows), self.measure(outputs, facts)
        self.sums['n'] = self.sums['n'] + n
        self.sums['counts'] = self.sums['counts'] + counts
        for name in self.names:
            self.sums[f'loss_{name}'] = self.sums[f'loss_{name}'] + n * losses[name]
            self.sums[f'rate_{name}'] = self.sums[f'rate_{name}'] + counts * rates[name]

    def state(self):
        return {name: value.tolist() for name, value in self.sums.items()}

    def means(self):
        """{'loss_NAME': float, ..., 'rate_NAME': mean over joints, 'joints_NAME': {joint: rate}, ...}; not a number
        where there was nobody, or no update of the epoch was finite."""
        with np.errstate(invalid='ignore'):
            means = {
                name: value / self.sums['counts' if name.startswith('rate') else 'n']
                for name, value in self.sums.items()
            }
        result = {f'loss_{name}': float(means[f'loss_{name}']) for name in self.names}
        for name in self.names:
            rates = means[f'rate_{name}']
            counted = rates[self.counted & (self.sums['counts'] > 0)]
            result[f'rate_{name}'] = float(counted.mean()) if len(counted) else float('nan')
            result[f'joints_{name}'] = dict(zip(self.joints, rates.tolist()))
        return result


def of_joints(data_set, names, decode, sums=None):
    """A Meter of the rate that a data set names: by each person's unit, in pixels of the picture.

    decode(output [n, ...]) -> [[Pose], ...], one person a sample, in pixels of `joints_xy` of the batch.
    """
    k = len(data_set.joints)

    def measure(outputs, facts):
        truth = in_picture(facts.back, facts.joints_xy[:, :k])
        measured = {
            name: pck(
                in_picture(facts.back, np.stack([poses[0].joints_xy for poses in decode(output)])),
                truth,
                facts.visible[:, :k],
                facts.unit,
                data_set.hit_radius,
            )
            for name, output in outputs.items()
        }
        return {name: rates for name, (rates, _) in measured.items()}, next(
            iter(measured.values())
        )[1]

    return Meter(data_set.joints, names, measure, sums, data_set.uncounted_joints)


def of_people(data_set, names, decode, sums=None):
    """The same of a system that finds everybody in a picture: of each labelled person, whose sample's arrays begin with
    an axis of people, the joints of the one found that metrics.match_people gives.  Who is found beside counts nothing."""
    k = len(data_set.joints)

    def measure(outputs, facts):
        truth, visible = in_picture(facts.back, facts.joints_xy[:, :, :k]), facts.visible[:, :, :k]
        measured = {}
        for name, output in outputs.items():
            found = [
                transform_points(matrix, np.stack([pose.joints_xy for pose in poses]))
                if poses
                else np.zeros((0, k, 2))
                for matrix, poses in zip(facts.back, decode(output))
            ]
            pairs = [
                match_people(*person, data_set.hit_radius)
                for person in zip(found, truth, visible, facts.unit)
            ]
            measured[name] = pck(
                np.concatenate(pairs),
                np.concatenate(truth),
                np.concatenate(visible),
                facts.unit.ravel(),
                data_set.hit_radius,
            )
        return {name: rates for name, (rates, _) in measured.items()}, next(
            iter(measured.values())
        )[1]

    return Meter(data_set.joints, names, measure, sums, data_set.uncounted_joints)


def in_picture(back, joints_xy):
    """Matrices [n, 2, 3], points [n, ..., 2] of samples -> of their pictures."""
    return np.stack([transform_points(matrix, points) for matrix, points in zip(back, joints_xy)])
