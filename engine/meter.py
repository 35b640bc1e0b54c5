"""Means over samples, of an epoch or of the test people: each output's loss and its rate for each joint."""
import numpy as np


class Meter:
    """Losses and detection rates of a system's outputs, {name: ...}; kept as sums, so that a checkpoint can hold them.

    measure(outputs, joints_xy) -> {name: [k]}: the rate of each joint, in %, of one batch.
    """

    def __init__(self, joints, names, measure, sums=None):
        """joints: names of k joints.  names: of the outputs.  sums: a former `state()`."""
        self.joints, self.names, self.measure = joints, tuple(names), measure
        zeros = {'n': 0, **{f'loss_{name}': 0 for name in names}, **{f'rate_{name}': [0] * len(joints)
                                                                     for name in names}}
        self.sums = {name: np.array((sums or zeros)[name], np.float64) for name in zeros}

    def add(self, losses, outputs, joints_xy):
        """One batch of b: {name: mean loss}, {name: [b, ...]}, truth [b, k or more, 2]."""
        n, rates = len(joints_xy), self.measure(outputs, joints_xy)
        self.sums['n'] = self.sums['n'] + n
        for name in self.names:
            self.sums[f'loss_{name}'] = self.sums[f'loss_{name}'] + n * losses[name]
            self.sums[f'rate_{name}'] = self.sums[f'rate_{name}'] + n * rates[name]

    def state(self):
        return {name: value.tolist() for name, value in self.sums.items()}

    def means(self):
        """{'loss_NAME': float, ..., 'rate_NAME': mean over joints, 'joints_NAME': {joint: rate}, ...}."""
        with np.errstate(invalid='ignore'):                 # not a number if no update of the epoch was finite
            means = {name: value / self.sums['n'] for name, value in self.sums.items() if name != 'n'}
        result = {f'loss_{name}': float(means[f'loss_{name}']) for name in self.names}
        for name in self.names:
            rates = means[f'rate_{name}']
            result[f'rate_{name}'] = float(rates.mean())
            result[f'joints_{name}'] = dict(zip(self.joints, rates.tolist()))
        return result
