import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell

from aiida_iontherm.physics.spectra import find_sites
from aiida_iontherm.physics.spectra.supercell_sites import lattice_points

CELL = bulk("NaCl", "rocksalt", a=5.6)  # two atoms
CUBIC = np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]])


def placed(matrix, seed=0, shift=(0.3, -2.0, 1.1), scale=1.0):
    """A supercell with its atoms shuffled, moved, wrapped and rattled, in three stretches."""
    rng = np.random.default_rng(seed)
    atoms = make_supercell(CELL, matrix)
    atoms = atoms[rng.permutation(len(atoms))]
    atoms.set_cell(atoms.cell.array * scale, scale_atoms=True)
    atoms.positions += shift
    atoms.wrap()
    stretches = atoms.positions + rng.normal(scale=0.05, size=(3, len(atoms), 3))
    return atoms, stretches


def find(atoms, stretches, cell=CELL):
    return find_sites(
        cell.cell.array,
        cell.get_scaled_positions(),
        cell.get_chemical_symbols(),
        atoms.cell.array,
        stretches,
        atoms.get_chemical_symbols(),
    )


@pytest.mark.parametrize("matrix", [np.diag([3, 3, 3]), np.diag([1, 2, 4]), 2 * CUBIC], ids=str)
@pytest.mark.parametrize("scale", [1.0, 1.02])
def test_each_atom_is_the_translation_of_one_of_the_cell(matrix, scale):
    atoms, stretches = placed(matrix, scale=scale)
    sites = find(atoms, stretches)
    assert np.array_equal(sites.matrix, matrix)
    assert sites.strain == pytest.approx(scale - 1, abs=1e-12)
    assert sorted(sites.order.ravel()) == list(range(len(atoms)))
    large = atoms.cell.array
    ideal = (sites.cells[:, None] + CELL.get_scaled_positions()) @ CELL.cell.array * scale
    apart = (atoms.positions[sites.order] - ideal) @ np.linalg.inv(large)
    apart -= apart[0, 0]
    # one translation for all atoms: the structure itself is exact
    assert np.abs(apart - np.rint(apart)).max() < 1e-9
    assert set(np.array(atoms.get_chemical_symbols())[sites.order[:, 0]]) == {"Na"}
    assert 0 < sites.farthest_A < 0.3  # six standard deviations of the rattling


def test_lattice_points_fill_the_supercell():
    matrix = np.array([[2, 1, 0], [-1, 3, 1], [0, 2, -2]])
    points = lattice_points(matrix)
    assert len(points) == abs(round(np.linalg.det(matrix)))
    inside = points @ np.linalg.inv(matrix)
    assert inside.min() > -1e-12
    assert inside.max() < 1 - 1e-12


def test_what_does_not_fit():
    atoms, stretches = placed(np.diag([2, 2, 2]))
    turned = atoms.copy()
    turned.rotate(30, "z", rotate_cell=True)
    with pytest.raises(ValueError, match="orientation"):
        find(turned, turned.positions[None])
    with pytest.raises(ValueError, match="strain"):
        find(*placed(np.diag([2, 2, 2]), scale=1.1))
    with pytest.raises(ValueError, match="another crystal"):
        find(atoms[:-1], stretches[:, :-1])
    exchanged = atoms.copy()
    numbers = exchanged.numbers
    one, other = np.flatnonzero(numbers == 11)[0], np.flatnonzero(numbers == 17)[0]
    numbers[[one, other]] = numbers[[other, one]]
    exchanged.numbers = numbers
    with pytest.raises(ValueError, match="one by one"):
        find(exchanged, stretches)
    displaced = stretches.copy()
    displaced[:, 0] += [1.4, 0.0, 1.4]
    with pytest.raises(ValueError, match="left their sites"):
        find(atoms, displaced)


def test_hop_is_seen():
    atoms, stretches = placed(np.diag([2, 2, 2]))
    sodium = np.flatnonzero(atoms.numbers == 11)[:2]
    stretches[2, sodium] = stretches[2, sodium[::-1]]
    with pytest.raises(ValueError, match="2 atoms change their sites"):
        find(atoms, stretches)


def test_another_origin_and_drift_do_not_matter():
    atoms, stretches = placed(np.diag([2, 2, 2]))
    moved = stretches.copy()
    moved[1] += [1.9, 0.2, 0.0]
    moved[2] += atoms.cell.array[0] + 4.0
    assert np.array_equal(find(atoms, moved).order, find(atoms, stretches).order)


def test_one_atom_alone():
    copper = bulk("Cu")
    sites = find(Atoms("Cu", positions=[[0.1, 0.2, 0.0]], cell=copper.cell, pbc=True), np.zeros((1, 1, 3)), copper)
    assert sites.order.tolist() == [[0]]
