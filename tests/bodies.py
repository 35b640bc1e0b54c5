"""People as the detector's maps have them, for tests of torsos: bumps at displacements that the priors know."""

import numpy as np

from jointpose import spatial_model
from jointpose.datasets import flic

OFFSETS = {
    'lsho': (5, -6),
    'rsho': (-5, -6),
    'lhip': (4, 6),
    'rhip': (-4, 6),
}  # columns, rows from the torso


def energies_of(offsets):
    """Energies whose priors are narrow bumps: joint - torso at these displacements; the other pairs know nothing."""
    histograms = np.ones((81, 120, 180))
    row, column = np.mgrid[:120, :180]
    for name, (right, down) in offsets.items():
        pair = spatial_model.PAIRS_TO_JOINTS.index((flic.JOINTS.index(name), flic.N_JOINTS))
        histograms[pair] = np.exp(-((row - 60 - down) ** 2 + (column - 90 - right) ** 2) / 4)
    return spatial_model.initial_energies(histograms)


def person(maps, column, row, mass, offsets=OFFSETS):
    for name, (right, down) in offsets.items():
        maps[0, row + down, column + right, flic.JOINTS.index(name)] += mass
