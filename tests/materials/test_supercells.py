"""Heights, supercells and primitive cells."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell

from aiida_iontherm.materials.supercells import max_cutoff, perpendicular_heights, primitive_cell, supercell_matrix
from aiida_iontherm.materials.table import find


def test_heights_of_orthogonal_and_hexagonal_cells():
    np.testing.assert_allclose(perpendicular_heights(np.diag([2.0, 3.0, 5.0])), [2, 3, 5])
    hexagonal = Atoms(cell=[3.0, 3.0, 7.0, 90, 90, 120]).cell[:]
    # Height of a rhombus of side 3 at 60 degrees.
    np.testing.assert_allclose(perpendicular_heights(hexagonal), [3 * np.sqrt(3) / 2] * 2 + [7])
    assert max_cutoff(hexagonal) == pytest.approx(3 * np.sqrt(3) / 4)
    with pytest.raises(ValueError, match="no volume"):
        perpendicular_heights([[1, 0, 0], [0, 1, 0], [1, 1, 0]])


def test_cutoff_is_the_radius_of_the_largest_sphere_without_own_images():
    rng = np.random.default_rng(5)
    cell = np.diag([4.0, 5.0, 6.0]) + rng.uniform(-1.5, 1.5, (3, 3))
    # A lattice plane lies at each height, so a point of the sphere of that diameter touches its image.
    inverse_lengths = np.linalg.norm(np.linalg.inv(cell), axis=0)
    assert 2 * max_cutoff(cell) == pytest.approx(1 / inverse_lengths.max(), rel=1e-12)


@pytest.mark.parametrize("entry", ["CsCu2I3", "agi-beta-exp", "ag2s-mp-610517-pbesol"])
def test_supercell_reaches_the_extent_and_one_cell_less_does_not(entry):
    atoms = find(entry).to_atoms()
    wanted = 17.0
    matrix = supercell_matrix(atoms, wanted)
    supercell = make_supercell(atoms, np.diag(matrix))
    assert perpendicular_heights(supercell.cell[:]).min() >= wanted - 1e-6
    for axis, count in enumerate(matrix):
        if count > 1:
            smaller = list(matrix)
            smaller[axis] -= 1
            assert perpendicular_heights(make_supercell(atoms, np.diag(smaller)).cell[:])[axis] < wanted


def test_a_cell_just_large_enough_is_not_doubled():
    atoms = Atoms("Cu", cell=[10.0, 10.0, 10.0], pbc=True)
    assert supercell_matrix(atoms, 10.0 + 1e-8) == (1, 1, 1)
    assert supercell_matrix(atoms, 10.1) == (2, 2, 2)


def test_supercell_stops_where_it_may_not_grow():
    cubic = find("NaCl").to_atoms()
    assert supercell_matrix(cubic, 16.0, max_atoms=216) == (3, 3, 3)
    # 3 x 3 x 2 would fit as well, but a cubic crystal keeps a cubic supercell.
    assert supercell_matrix(cubic, 16.0, max_atoms=200) == (2, 2, 2)
    # The shortest height grows first: 5, 8 and 11 Angstrom, 20 wanted (4 x 3 x 2), 8 cells allowed.
    brick = Atoms("Cu", cell=[5.0, 8.0, 11.0], pbc=True)
    assert supercell_matrix(brick, 20.0, max_atoms=8) == (3, 2, 1)
    # A large cell is taken as it is.
    assert supercell_matrix(cubic, 16.0, max_atoms=4) == (1, 1, 1)


def test_bad_extents_are_refused():
    with pytest.raises(ValueError, match="positive"):
        supercell_matrix(find("NaCl").to_atoms(), 0.0)


@pytest.mark.parametrize(
    ("entry", "ratio"),
    [
        ("Si", 4),
        ("CsCu2I3", 2),
        ("cu7ps6-p213-proto", 1),
        ("tl2agi3-mp-29012-pbesol", 3),
        ("tlagi2-mp-27801-pbesol", 2),
    ],
)
def test_primitive_cell_is_smaller_by_the_centring_and_not_turned(entry, ratio):
    conventional = find(entry).to_atoms()
    # Any orientation must survive, not only a along x.
    conventional.rotate(33.0, (1, 2, -1), rotate_cell=True)
    primitive = primitive_cell(conventional)
    assert len(primitive) * ratio == len(conventional)
    assert primitive.cell.volume * ratio == pytest.approx(conventional.cell.volume, rel=1e-9)
    combinations = conventional.cell[:] @ np.linalg.inv(primitive.cell[:])
    np.testing.assert_allclose(combinations, np.rint(combinations), atol=1e-6)
    _same_crystal(conventional, primitive)


def _same_crystal(conventional: Atoms, primitive: Atoms) -> None:
    """Assert that the crystal of one is that of the other, up to a translation and nothing else."""
    symbols = np.array(primitive.get_chemical_symbols())
    anchor = conventional.positions[0]
    candidates = primitive.positions[symbols == conventional.get_chemical_symbols()[0]]
    inverse = np.linalg.inv(primitive.cell[:])
    worst = []
    for candidate in candidates:
        moved = conventional.positions - anchor + candidate
        difference = (moved[:, None] - primitive.positions[None]) @ inverse
        difference -= np.rint(difference)
        distance = np.linalg.norm(difference @ primitive.cell[:], axis=-1)
        distance[conventional.numbers[:, None] != primitive.numbers[None]] = np.inf
        worst.append(distance.min(axis=1).max())
    # Positions are the same numbers folded back: only rounding, and spglib's averaging over 1e-3 equal images.
    assert min(worst) < 1e-3


def test_primitive_cell_of_a_primitive_cell_is_itself():
    atoms = bulk("CuI", "zincblende", a=6.05)
    primitive = primitive_cell(atoms)
    assert len(primitive) == 2
    assert primitive.cell.volume == pytest.approx(atoms.cell.volume)


def test_overlapping_atoms_have_no_primitive_cell():
    atoms = Atoms("Cu2", positions=[[0, 0, 0], [1e-5, 0, 0]], cell=[4, 4, 4], pbc=True)
    with pytest.raises(ValueError, match="no primitive cell"):
        primitive_cell(atoms)
