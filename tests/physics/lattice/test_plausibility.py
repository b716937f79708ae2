"""Checks of cells and force constants against models whose answer is known."""

import numpy as np
import pytest
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms

from aiida_iontherm.physics.lattice.plausibility import (
    bond_stiffness,
    check_crystal,
    check_stiffness,
    symmetry_residual,
    translation_residual,
)

SPACING, STIFFNESS = 3.0, 1.5  # Angstrom, eV/Angstrom^2


@pytest.fixture
def springs() -> Phonopy:
    """Simple cubic crystal of equal springs to the six neighbours, stiff in all directions."""
    cell = PhonopyAtoms(cell=SPACING * np.eye(3), scaled_positions=[[0, 0, 0]], symbols=["Ar"])
    phonopy = Phonopy(cell, np.diag([3, 3, 3]), primitive_matrix="P")
    positions = np.array(phonopy.supercell.scaled_positions)
    apart = positions[None] - positions[:, None]
    apart -= np.rint(apart)
    neighbours = np.isclose(np.linalg.norm(apart * 9, axis=2), 3)
    constants = -STIFFNESS * neighbours[..., None, None] * np.eye(3)
    constants[np.arange(27), np.arange(27)] = 6 * STIFFNESS * np.eye(3)
    phonopy.force_constants = constants
    return phonopy


def test_stiffness_of_springs(springs: Phonopy) -> None:
    assert bond_stiffness(springs) == pytest.approx(6 * STIFFNESS * SPACING**2, rel=1e-12)
    compact = springs.copy()
    compact.force_constants = springs.force_constants[springs.primitive.p2s_map]
    assert bond_stiffness(compact) == pytest.approx(bond_stiffness(springs), rel=1e-12)
    check_stiffness(springs)
    springs.force_constants = springs.force_constants / 48.59
    with pytest.raises(ValueError, match=r"make 1.67 eV.*Ry/bohr\^2"):
        check_stiffness(springs)


def test_symmetry_and_sum_rule(springs: Phonopy) -> None:
    assert symmetry_residual(springs) == pytest.approx(0, abs=1e-12)
    assert translation_residual(springs) == pytest.approx(0, abs=1e-12)
    changed = springs.force_constants.copy()
    changed[0, 0, 0, 0] += 0.9
    springs.force_constants = changed
    # one element of one atom, 0.9 of 9 + 0.9: any translation takes it elsewhere
    assert symmetry_residual(springs) == pytest.approx(0.9 / 9.9, rel=1e-9)
    assert translation_residual(springs) == pytest.approx(0.9, rel=1e-9)


def test_real_crystals_are_let_pass(nacl: Phonopy, cucl: Phonopy, wurtzite: Phonopy) -> None:
    for crystal in (nacl, cucl, wurtzite):
        check_crystal(crystal.unitcell)
        check_stiffness(crystal)
        assert symmetry_residual(crystal) < 1e-6  # symmetrised


def test_nearest_neighbours_of_oblique_cells() -> None:
    """The nearest image need not be the one of the smallest fractional coordinates."""
    oblique = [[3.0, 0, 0], [2.9, 0.8, 0], [0, 0, 12.0]]
    close = PhonopyAtoms(cell=oblique, scaled_positions=[[0, 0, 0], [0, 0, 0.5]], symbols=["Ar", "Ar"])
    check_crystal(close)  # 0.8 Angstrom between images, allowed
    with pytest.raises(ValueError, match=r"0\.51 Angstrom apart"):
        check_crystal(
            PhonopyAtoms(
                cell=[[3.0, 0, 0], [2.9, 0.5, 0], [0, 0, 12.0]],
                scaled_positions=[[0, 0, 0], [0, 0, 0.5]],
                symbols=["Ar", "Ar"],
            )
        )


def test_no_force_constants() -> None:
    cell = PhonopyAtoms(cell=3 * np.eye(3), scaled_positions=[[0, 0, 0]], symbols=["Ar"])
    with pytest.raises(ValueError, match="no force constants"):
        bond_stiffness(Phonopy(cell, np.eye(3, dtype=int), primitive_matrix="P"))
