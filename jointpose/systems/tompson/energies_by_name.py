"""Priors of one skeleton, taken over into another whose joints have some of the same names."""

import numpy as np

from jointpose import spatial_model
from jointpose.datasets.person_frames import PersonFrame


def transfer(
    own: np.ndarray, frame: PersonFrame, others: np.ndarray, other_frame: PersonFrame
) -> np.ndarray:
    """Energies with the other skeleton's values in the pairs whose two maps have names in both.

    Displacements are in cells of 8 pixels, and people are about equally large in all frames.  Of a
    larger frame the middle is taken; beyond a smaller one own values stay.

    Args:
        own: float32 [pairs, 2h, 2w], and perhaps self connections after the pairs.
        frame: of these.
        others, other_frame: the other skeleton's, likewise.

    Returns:
        float32 of the shape of `own`.
    """
    result = own.copy()
    rows, other_rows = overlap(own.shape[1], others.shape[1])
    columns, other_columns = overlap(own.shape[2], others.shape[2])
    theirs = pair_rows(other_frame)
    for pair, row in pair_rows(frame).items():
        if pair in theirs:
            result[row, rows, columns] = others[theirs[pair], other_rows, other_columns]
    return result


def pair_rows(frame: PersonFrame) -> dict[tuple[str, str], int]:
    """{(joint, condjoint): row of the energies}, without self connections."""
    names = frame.map_names
    pairs = spatial_model.pairs_to(frame.n_joints, len(names))
    return {(names[j], names[v]): row for row, (j, v) in enumerate(pairs)}


def overlap(length: int, other: int) -> tuple[slice, slice]:
    """Where two axes with their zeros in the middle lie over each other, in each of them."""
    shared = min(length, other)
    first = (length - shared) // 2
    other_first = (other - shared) // 2
    return slice(first, first + shared), slice(other_first, other_first + shared)
