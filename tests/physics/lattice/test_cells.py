"""Supercells and mean structures of a crystal with free coordinates, in any orientation."""

import warnings

import numpy as np
import pytest
import spglib
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms
from scipy.spatial.transform import Rotation

from aiida_iontherm.physics.lattice.cells import build_supercell, make_phonopy, mean_structure, to_atoms

SUPERCELL = (1, 1, 2)


def orthorhombic(y_cs: float = 0.83, x_cu: float = 0.17, x_i: float = 0.21, y_i: float = 0.115, y_i2: float = 0.37):
    """Cmcm like CsCu2I3, its five free coordinates as arguments; not along the axes."""
    atoms = crystal(
        ["Cs", "Cu", "I", "I"],
        [(0, y_cs, 0.25), (x_cu, 0.5, 0), (x_i, y_i, 0.25), (0, y_i2, 0.25)],
        spacegroup=63,
        cellpar=[10.5, 13.7, 6.1, 90, 90, 90],
    )
    atoms.set_cell(atoms.cell.array @ Rotation.from_euler("xyz", [0.3, -0.5, 0.8]).as_matrix(), scale_atoms=True)
    atoms.arrays.pop("spacegroup_kinds")
    return atoms


def group_number(atoms: Atoms) -> int:
    return spglib.get_spacegroup_type_from_symmetry(
        **{
            key: spglib.get_symmetry((atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), 1e-5)[key]
            for key in ("rotations", "translations")
        }
    ).number


@pytest.fixture
def shifted() -> Atoms:
    """All free coordinates moved by up to 0.2 Angstrom."""
    return orthorhombic(0.842, 0.182, 0.2, 0.121, 0.36)


def test_the_planted_crystal_is_what_it_claims(shifted):
    assert group_number(orthorhombic()) == group_number(shifted) == 63


@pytest.mark.parametrize("supercell", [(2, 1, 3), (2, 2, 2)])
def test_supercell_has_phonopys_order(supercell):
    unitcell = orthorhombic()
    cell = PhonopyAtoms(cell=unitcell.cell, scaled_positions=unitcell.get_scaled_positions(), numbers=unitcell.numbers)
    expected = Phonopy(cell, np.diag(supercell), primitive_matrix="P").supercell
    built = build_supercell(unitcell, supercell)
    np.testing.assert_array_equal(built.numbers, expected.numbers)
    # The same arithmetic.
    np.testing.assert_allclose(built.positions, expected.positions, atol=1e-12)
    np.testing.assert_allclose(built.cell.array, np.diag(supercell) @ unitcell.cell.array, atol=1e-12)
    assert built.pbc.all()
    # ASE's own order is another one, so the order is worth a function.
    assert not np.array_equal(built.numbers, unitcell.repeat(supercell).numbers)


def test_primitive_cell_is_found_without_turning_the_axes():
    unitcell = orthorhombic()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        phonopy = make_phonopy(unitcell, SUPERCELL)
    assert len(phonopy.primitive) == len(unitcell) // 2
    # Lattice vectors of the primitive cell are integer combinations of halves of the given ones, as they stand.
    combinations = 2 * phonopy.primitive.cell @ np.linalg.inv(unitcell.cell.array)
    np.testing.assert_allclose(combinations, np.rint(combinations), atol=1e-10)
    np.testing.assert_allclose(to_atoms(phonopy.unitcell).positions, wrapped(unitcell).positions, atol=1e-10)


def wrapped(atoms: Atoms) -> Atoms:
    copy = atoms.copy()
    copy.set_scaled_positions(atoms.get_scaled_positions())
    return copy


def snapshots_of(atoms: Atoms, start: Atoms, count: int, noise: float, drift: float = 0.0) -> np.ndarray:
    """Noisy snapshots of the supercell of `atoms`, unwrapped around the supercell of `start`."""
    rng = np.random.default_rng(9)
    ideal = build_supercell(start, SUPERCELL)
    move = atoms.get_scaled_positions() - start.get_scaled_positions()
    phonopy = make_phonopy(start, SUPERCELL)
    parents = [phonopy.supercell.u2u_map[i] for i in phonopy.supercell.s2u_map]
    planted = ideal.positions + ((move - np.rint(move)) @ start.cell.array)[parents]
    steps = np.arange(count)[:, None, None] * drift * np.ones(3)
    return planted + noise * rng.normal(size=(count, *planted.shape)) + steps


def difference(one: Atoms, other: Atoms) -> float:
    """Largest distance between equal atoms of two cells with one lattice."""
    move = one.get_scaled_positions() - other.get_scaled_positions()
    return float(np.linalg.norm((move - np.rint(move)) @ one.cell.array, axis=1).max())


def test_symmetric_shift_is_restored(shifted):
    start = orthorhombic()
    mean, farthest = mean_structure(start, SUPERCELL, snapshots_of(shifted, start, 3, noise=0.0))
    # Rounding only: the shift has the symmetry that is imposed.
    assert difference(mean, shifted) < 1e-9
    np.testing.assert_array_equal(mean.cell.array, start.cell.array)
    np.testing.assert_array_equal(mean.numbers, start.numbers)
    assert farthest == pytest.approx(difference(start, shifted), abs=1e-9)
    assert group_number(mean) == 63


def test_noise_is_averaged_out_and_drift_removed(shifted):
    start = orthorhombic()
    snapshots = snapshots_of(shifted, start, 40, noise=0.2, drift=0.05)
    mean, _ = mean_structure(start, SUPERCELL, snapshots)
    # 0.2 Angstrom over 40 snapshots, 2 copies in the supercell, 2 in the unit cell and at least 4 operations: 0.011
    # standard error per component without correlation; four times that.
    assert difference(mean, shifted) < 0.045
    assert group_number(mean) == 63


def test_without_free_coordinates_nothing_moves():
    """Rock salt: every site is fixed by symmetry, whatever the noise."""
    supercell = (2, 2, 2)
    start = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    sites = build_supercell(start, supercell).positions
    noise = np.random.default_rng(10).normal(scale=0.3, size=(5, *sites.shape))
    mean, farthest = mean_structure(start, supercell, sites + noise)
    np.testing.assert_allclose(mean.positions, start.positions, atol=1e-12)
    assert farthest > 0.1


def test_atoms_that_leave_their_sites_are_noticed():
    start = orthorhombic()
    snapshots = snapshots_of(start, start, 4, noise=0.0)
    silver = np.flatnonzero(build_supercell(start, SUPERCELL).numbers == 29)[0]
    snapshots[:, silver] += [2.0, 0.0, 0.0]
    _, farthest = mean_structure(start, SUPERCELL, snapshots)
    # The centre of mass moves by two Angstrom times the mass of one ion in 48.
    assert farthest == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize("shape", [(3, 47, 3), (48, 3), (3, 24, 3)])
def test_snapshots_of_another_cell_are_refused(shape):
    with pytest.raises(ValueError, match="do not fit a supercell of 48 atoms"):
        mean_structure(orthorhombic(), SUPERCELL, np.zeros(shape))


def test_overlapping_atoms_are_refused():
    broken = Atoms("Na2", positions=[[0, 0, 0], [0, 0, 1e-6]], cell=[4, 4, 4], pbc=True)
    with pytest.raises(ValueError, match="too close distance between atoms"):
        mean_structure(broken, (1, 1, 1), broken.positions[None])
