"""Priors taken over by the names of joints, against one displacement after the other."""

from typing import NamedTuple

import numpy as np
import pytest

from jointpose import spatial_model
from jointpose.systems.tompson import energies_by_name


class Frame(NamedTuple):
    map_names: tuple[str, ...]
    n_joints: int


OWN = Frame(('a', 'b', 'torso'), 2)
OTHER = Frame(('b', 'c', 'a', 'torso'), 3)


@pytest.mark.parametrize('size', [(6, 8), (4, 4), (10, 12), (6, 12)])
def test_a_displacement_keeps_its_value(size):
    rng = np.random.default_rng(0)
    own = rng.random((4, 6, 8)).astype(np.float32)
    others = rng.random((9, *size)).astype(np.float32)
    found = energies_by_name.transfer(own, OWN, others, OTHER)
    other_pairs = list(spatial_model.pairs_to(3, 4))
    for row, (j, v) in enumerate(spatial_model.pairs_to(2, 3)):
        other = other_pairs.index(tuple(OTHER.map_names.index(OWN.map_names[i]) for i in (j, v)))
        for down in range(-3, 3):
            for right in range(-4, 4):
                at = (down + size[0] // 2, right + size[1] // 2)
                is_known = 0 <= at[0] < size[0] and 0 <= at[1] < size[1]
                expected = others[other][at] if is_known else own[row, down + 3, right + 4]
                assert found[row, down + 3, right + 4] == expected


def test_other_names_keep_their_own():
    own = np.zeros((4, 6, 8), np.float32)
    others = np.ones((9, 6, 8), np.float32)
    found = energies_by_name.transfer(own, Frame(('x', 'b', 'box'), 2), others, OTHER)
    assert not found.any()
    found = energies_by_name.transfer(own, Frame(('a', 'b', 'box'), 2), others, OTHER)
    assert found.mean(axis=(1, 2)).tolist() == [1, 0, 1, 0]  # a|b a|box b|a b|box


def test_without_an_anchor_and_with_self_connections():
    own = np.full((6, 4, 4), 9, np.float32)  # a|b a|c b|a b|c c|a c|b
    others = np.arange(6, dtype=np.float32)[:, None, None] * np.ones((1, 4, 4), np.float32)
    nothing_given = Frame(('a', 'b', 'c'), 3)
    given_torso = Frame(('b', 'a', 'torso'), 2)  # b|a b|torso a|b a|torso, then b|b a|a
    found = energies_by_name.transfer(own, nothing_given, others, given_torso)
    assert found[:, 0, 0].tolist() == [2, 9, 0, 9, 9, 9]
