"""Between force-constant arrays, phonopy and phono3py."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray
from phono3py import Phono3py
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms

from aiida_iontherm.physics.lattice.cells import primitive_cell_by_symmetry


def phono3py_from_force_constants(
    unitcell: Atoms,
    supercell_matrix: ArrayLike,
    fc2: NDArray[np.float64],
    fc3: NDArray[np.float64] | None,
    *,
    phonon_supercell_matrix: ArrayLike | None = None,
    primitive_matrix: ArrayLike | str = "auto",
    nac_params: dict[str, object] | None = None,
    symprec: float = 1e-5,
) -> Phono3py:
    """Build a phono3py object that holds given force constants.

    Parameters
    ----------
    unitcell
        The cell the supercell was made from, with its own masses where they were set.
    supercell_matrix
        Expansion of the unit cell, three integers or [3, 3].
    fc2
        Second order in eV/Angstrom^2, compact [n, N, 3, 3] (rows in the order of phonopy's ``p2s_map``) or full
        [N, N, 3, 3].
    fc3
        Third order in eV/Angstrom^3, compact [n, N, N, 3, 3, 3] or full; ``None`` for a harmonic crystal.
    phonon_supercell_matrix
        Expansion for the second order, where it is another.
    primitive_matrix
        As in phonopy: ``"P"`` where the unit cell is primitive, ``"auto"`` to find the primitive cell.
    nac_params
        Born charges, dielectric tensor and factor as phonopy takes them, or ``None``.
    symprec
        Tolerance of the symmetry search in Angstrom.

    Raises
    ------
    ValueError
        If the arrays do not fit the cells.
    """
    cell = PhonopyAtoms(
        cell=unitcell.cell,
        scaled_positions=unitcell.get_scaled_positions(),
        numbers=unitcell.numbers,
        masses=unitcell.get_masses() if unitcell.has("masses") else None,
    )
    with primitive_cell_by_symmetry():
        phono3py = Phono3py(
            cell,
            supercell_matrix,
            primitive_matrix=primitive_matrix,
            phonon_supercell_matrix=phonon_supercell_matrix,
            symprec=symprec,
        )
    phono3py.fc2 = _fitting("fc2", fc2, 2, phono3py.primitive, phono3py.phonon_supercell)
    if fc3 is not None:
        phono3py.fc3 = _fitting("fc3", fc3, 3, phono3py.primitive, phono3py.supercell)
    if nac_params is not None:
        phono3py.nac_params = nac_params
    return phono3py


def _fitting(
    name: str, constants: NDArray[np.float64], order: int, primitive: PhonopyAtoms, supercell: PhonopyAtoms
) -> NDArray[np.float64]:
    """Force constants as phono3py wants them, if they are compact or full ones of these cells."""
    tail = (len(supercell),) * (order - 1) + (3,) * order
    if constants.shape[1:] != tail or constants.shape[0] not in (len(primitive), len(supercell)):
        raise ValueError(
            f"{name} has shape {constants.shape}, needs {(len(primitive), *tail)} or {(len(supercell), *tail)}"
        )
    return np.array(constants, dtype="double", order="C")


def phonopy_from_phono3py(phono3py: Phono3py) -> Phonopy:
    """Build the phonopy object with the second order (and non-analytical term) of a phono3py object."""
    if phono3py.fc2 is None:
        raise ValueError("the phono3py object has no second-order force constants: set fc2")
    matrix = phono3py.phonon_supercell_matrix
    phonopy = Phonopy(
        phono3py.unitcell,
        phono3py.supercell_matrix if matrix is None else matrix,
        primitive_matrix=phono3py.primitive_matrix,
        symprec=phono3py.symmetry.tolerance,
    )
    phonopy.force_constants = phono3py.fc2
    if phono3py.nac_params is not None:
        phonopy.nac_params = phono3py.nac_params
    return phonopy
