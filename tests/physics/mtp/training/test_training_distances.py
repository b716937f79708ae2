"""Distances in all sorts of cells against ASE's neighbour list."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import primitive_neighbor_list

from aiida_iontherm.physics.mtp.training.distances import nearest_neighbours, pair_counts, shortest_distance


def test_shortest_distance():
    assert shortest_distance(bulk("Cu", "fcc", a=3.6)) == pytest.approx(3.6 / np.sqrt(2))
    assert shortest_distance(Atoms("Ar2", positions=[[0, 0, 0], [0, 0, 20.0]])) == pytest.approx(20.0)
    assert shortest_distance(Atoms("Ar", cell=[30, 40, 50], pbc=True)) == pytest.approx(30.0)
    assert shortest_distance(Atoms("Ar")) == np.inf


@pytest.mark.parametrize("pbc", [True, False, (True, False, True), (False, False, True)])
def test_skewed_cells_smaller_than_the_reach(pbc):
    rng = np.random.default_rng(11)
    atoms = bulk("CuI", "zincblende", a=5.4)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.3 * rng.normal(size=(3, 3))), scale_atoms=True)
    atoms.positions += 7.0 * rng.normal(size=(2, 3))
    atoms.pbc = pbc
    reach = 9.0
    first, distances = primitive_neighbor_list("id", atoms.pbc, atoms.cell.array, atoms.positions, reach)
    found, neighbours = nearest_neighbours(atoms, reach, 400)
    for index in range(2):
        # Both sum the same squares, in other orders.
        np.testing.assert_allclose(
            found[index][np.isfinite(found[index])], np.sort(distances[first == index]), rtol=1e-12
        )
    assert np.all((neighbours == -1) == np.isinf(found))
    edges = np.linspace(0.1, reach, 30)
    np.testing.assert_array_equal(pair_counts(atoms, edges), np.histogram(distances, edges)[0])


def test_two_atoms_at_one_place():
    assert shortest_distance(Atoms("Ar2", cell=[9, 9, 9], pbc=True)) == 0.0
