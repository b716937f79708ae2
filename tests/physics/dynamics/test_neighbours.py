"""Neighbour lists against a search over all images."""

from itertools import product

import numpy as np
import pytest

from aiida_iontherm.physics.dynamics import NeighbourList

CELLS = {
    "cubic": 6.0 * np.eye(3),
    "triclinic": np.array([[5.0, 0.3, -0.2], [2.4, 4.6, 0.5], [-1.9, 1.7, 5.5]]),
    "tiny": np.array([[2.1, 0.0, 0.0], [1.0, 1.9, 0.0], [0.4, -0.7, 2.2]]),
    "left-handed": np.array([[0.0, 5.0, 0.0], [5.0, 0.0, 0.0], [0.5, 0.5, 5.0]]),
}
CUTOFF = 4.0


def random_positions(cell, count, seed):
    """Some of them outside the cell, as in unwrapped molecular dynamics."""
    return np.random.default_rng(seed).uniform(-1.0, 2.0, size=(count, 3)) @ cell


def brute_force(positions, cell, periodic, reach):
    """Sorted distances of each atom to all images of all atoms within reach."""
    images = [range(-12, 13) if flag else range(1) for flag in periodic]
    shifts = np.array(list(product(*images))) @ cell
    result = []
    for i, position in enumerate(positions):
        distances = []
        for j, other in enumerate(positions):
            lengths = np.linalg.norm(other + shifts - position, axis=1)
            distances.append(lengths[(lengths < reach) & ~((i == j) & (lengths < 1e-9))])
        result.append(np.sort(np.concatenate(distances)))
    return result


def listed(neighbours, positions, reach):
    lengths = np.linalg.norm(neighbours.vectors(positions), axis=2)
    return [np.sort(row[row < reach]) for row in lengths]


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("periodic", [(True, True, True), (True, False, True), (False, False, False)])
def test_all_images_within_the_cutoff(name, periodic):
    cell, flags = CELLS[name], np.array(periodic)
    positions = random_positions(cell, 5, seed=1)
    neighbours = NeighbourList(CUTOFF, skin=0.5)
    assert neighbours.update(positions, cell, flags)
    for ours, theirs in zip(
        listed(neighbours, positions, CUTOFF), brute_force(positions, cell, flags, CUTOFF), strict=True
    ):
        # The same vectors up to rounding.
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_vectors_point_from_each_atom_to_an_image_of_its_neighbour():
    cell = CELLS["triclinic"]
    positions = random_positions(cell, 4, seed=2)
    neighbours = NeighbourList(CUTOFF)
    neighbours.update(positions, cell, np.ones(3, dtype=bool))
    vectors = neighbours.vectors(positions)
    for i, k in np.argwhere(neighbours.indices >= 0):
        shift = positions[i] + vectors[i, k] - positions[neighbours.indices[i, k]]
        fractional = shift @ np.linalg.inv(cell)
        np.testing.assert_allclose(fractional, np.rint(fractional), atol=1e-12)


def test_padding_lies_outside_the_cutoff():
    positions = np.array([[0.0, 0, 0], [1.0, 0, 0], [2.0, 0, 0], [40.0, 0, 0]])
    neighbours = NeighbourList(1.5, skin=0.0)
    neighbours.update(positions, np.zeros((3, 3)), np.zeros(3, dtype=bool))
    assert (neighbours.indices >= 0).sum(axis=1).tolist() == [1, 2, 1, 0]
    lengths = np.linalg.norm(neighbours.vectors(positions), axis=2)
    assert np.all(lengths[neighbours.indices < 0] > neighbours.cutoff)


def test_within_the_skin_the_list_stays_and_is_complete():
    cell, flags = CELLS["triclinic"], np.ones(3, dtype=bool)
    positions = random_positions(cell, 5, seed=3)
    neighbours = NeighbourList(CUTOFF, skin=0.6)
    neighbours.update(positions, cell, flags)
    directions = np.random.default_rng(4).normal(size=positions.shape)
    # Every atom moves by just under half the skin: two atoms approach by less than the skin.
    moved = positions + 0.299 * directions / np.linalg.norm(directions, axis=1)[:, None]
    assert not neighbours.update(moved, cell, flags)
    for ours, theirs in zip(listed(neighbours, moved, CUTOFF), brute_force(moved, cell, flags, CUTOFF), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_beyond_the_skin_it_is_renewed():
    cell, flags = CELLS["cubic"], np.ones(3, dtype=bool)
    positions = random_positions(cell, 5, seed=5)
    neighbours = NeighbourList(CUTOFF, skin=0.6)
    neighbours.update(positions, cell, flags)
    moved = positions.copy()
    moved[2, 1] += 0.301
    assert neighbours.update(moved, cell, flags)
    # Counted from the last list, not the first.
    assert not neighbours.update(moved + np.array([0.0, 0.1, 0.0]), cell, flags)


def test_it_is_renewed_for_another_cell_another_period_another_number_and_when_told():
    cell, flags = CELLS["cubic"], np.ones(3, dtype=bool)
    positions = random_positions(cell, 5, seed=6)
    neighbours = NeighbourList(CUTOFF)
    assert neighbours.update(positions, cell, flags)
    assert not neighbours.update(positions, cell, flags)
    assert neighbours.update(positions, 1.001 * cell, flags)
    assert neighbours.update(positions, 1.001 * cell, np.array([True, True, False]))
    assert neighbours.update(positions[:4], 1.001 * cell, np.array([True, True, False]))
    neighbours.reset()
    assert neighbours.update(positions[:4], 1.001 * cell, np.array([True, True, False]))


def test_positions_handed_in_are_not_kept_by_reference():
    positions = random_positions(CELLS["cubic"], 3, seed=7)
    neighbours = NeighbourList(CUTOFF, skin=0.2)
    neighbours.update(positions, CELLS["cubic"], np.ones(3, dtype=bool))
    positions += 1.0
    assert neighbours.update(positions, CELLS["cubic"], np.ones(3, dtype=bool))


@pytest.mark.parametrize(("cutoff", "skin"), [(0.0, 0.5), (3.0, -0.1)])
def test_impossible_ranges(cutoff, skin):
    with pytest.raises(ValueError, match="cutoff must be positive"):
        NeighbourList(cutoff, skin)
