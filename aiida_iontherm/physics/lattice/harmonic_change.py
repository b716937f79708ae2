"""How much the harmonic lattice dynamics of a crystal differs between two potentials.

Force constants by finite displacements, the same ones for both: no thermal sampling comes in between, so that the
difference is that of the potentials alone. The displacement is of the size of thermal ones, and to both sides, so that
the even anharmonic part of the potential shows in what is compared and residual forces do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from numpy.typing import NDArray
from phonopy.harmonic.dynmat_to_fc import get_commensurate_points

from aiida_iontherm.physics.lattice.cells import make_phonopy, to_atoms

DISPLACEMENT = 0.1
"""In Angstrom: about the root mean square displacement of a heavy atom at room temperature, along one axis."""


@dataclass(frozen=True)
class HarmonicChange:
    """Difference between two potentials.

    Attributes
    ----------
    force_constants : float
        |Phi_2 - Phi_1| / |Phi_2| in the Frobenius norm.
    frequencies : float
        The same for the frequencies (imaginary ones as negative) at the points commensurate with the supercell.
    rms_change_thz : float
        Root mean square difference of the frequencies.
    """

    force_constants: float
    frequencies: float
    rms_change_thz: float


def harmonic_change(
    unitcell: Atoms,
    supercell: Sequence[int],
    before: Calculator,
    after: Calculator,
    displacement: float = DISPLACEMENT,
) -> HarmonicChange:
    """Compare the force constants and frequencies that two calculators give one crystal.

    Parameters
    ----------
    unitcell : ase.Atoms
        Its positions are those of the sites for both.
    supercell : three ints
    before, after : ASE calculators
    displacement : float
        In Angstrom.

    Raises
    ------
    ValueError
        If the cell has no symmetry to find, forces are not finite, or there are none at all.
    """
    constants, frequencies = zip(
        *(_harmonic(unitcell, supercell, calculator, displacement) for calculator in (before, after)), strict=True
    )
    if not constants[1].any():
        raise ValueError("no force answers the displacement of an atom: the potential is not trained")
    difference = frequencies[1] - frequencies[0]
    return HarmonicChange(
        force_constants=_relative(constants[1] - constants[0], constants[1]),
        frequencies=_relative(difference, frequencies[1]),
        rms_change_thz=float(np.sqrt(np.mean(difference**2))),
    )


def _harmonic(
    unitcell: Atoms, supercell: Sequence[int], calculator: Calculator, displacement: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Force constants [n, N, 3, 3] in eV/Angstrom^2 and frequencies [q, 3n] in THz, lowest first at each point."""
    phonopy = make_phonopy(unitcell, supercell)
    phonopy.generate_displacements(distance=displacement, is_plusminus=True)
    forces = []
    for cell in phonopy.supercells_with_displacements or ():
        atoms = to_atoms(cell)
        atoms.calc = calculator
        forces.append(atoms.get_forces())
    if not np.isfinite(forces).all():
        raise ValueError("the forces of a crystal with one atom displaced are not finite: the potential is damaged")
    phonopy.forces = np.array(forces)
    phonopy.produce_force_constants()
    matrix = np.rint(np.linalg.inv(phonopy.primitive_matrix) @ np.diag(supercell)).astype(int)
    frequencies = [phonopy.get_frequencies(point) for point in get_commensurate_points(matrix)]
    return np.asarray(phonopy.force_constants), np.sort(frequencies, axis=1)


def _relative(difference: NDArray[np.float64], whole: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(difference) / np.linalg.norm(whole))
