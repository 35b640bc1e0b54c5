"""EpochClock: what an epoch's training takes, however often it is stopped and resumed."""

import time

UNITS = ('samples', 'seconds', 'cpu_seconds')


class EpochClock:
    """Counts the samples of an epoch, its wall time and the CPU time of all cores.

    What it has counted is part of a checkpoint, and a resumed epoch goes on from there.  Steps after
    the last checkpoint of a killed run are trained again, and count once.
    """

    def __init__(self, spent: dict | None = None):
        """spent: `spent` of the epoch before it was stopped; None: it begins."""
        self.earlier = spent or dict.fromkeys(UNITS, 0)
        self.samples = 0
        self.began = time.monotonic()
        self.cpu_began = time.process_time()

    def spent(self) -> dict[str, float]:
        """What the epoch has taken so far: a value for each of UNITS."""
        since = {
            'samples': self.samples,
            'seconds': time.monotonic() - self.began,
            'cpu_seconds': time.process_time() - self.cpu_began,
        }
        return {unit: self.earlier[unit] + since[unit] for unit in UNITS}
