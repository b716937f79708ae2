"""Whether the files of a phonopy folder hold what they should, and belong together.

What is refused raises ``ValueError`` (or ``FileNotFoundError`` for Born charges that are insisted on); what is only
remarkable goes to the callback `say`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aiida_iontherm.physics.lattice.plausibility import (
    check_crystal,
    check_stiffness,
    symmetry_residual,
    translation_residual,
)

if TYPE_CHECKING:
    from phonopy import Phonopy

LARGEST_SYMMETRY_RESIDUAL = 0.1
"""Of the largest force constant; more means other sites, see `symmetry_residual`. In the 49 sets of the Kyoto database
symmetrising changes force constants by 1.6 per cent of the largest at most."""

NOTABLE_RESIDUAL = 0.01
"""Of the largest force constant: what forces converged to the usual 1e-3 eV/Angstrom leave."""

LARGEST_DRIFT = 0.001
"""In eV/Angstrom^2: an atom of 30 amu on such a spring vibrates at 0.09 THz, as low as acoustic modes are told from
imaginary ones."""

LEAST_CORRELATION = 0.1
"""Of forces with the displacements they oppose. The 49 sets of the Kyoto database have 0.68 to 1; forces listed for
other atoms have none."""


def check_harmonic(phonopy: Phonopy, say: Callable[[str], None]) -> None:
    """Refuse what is no crystal or has force constants of another one; remark on what may be missing."""
    check_crystal(phonopy.unitcell)
    check_finite(phonopy.force_constants, "the second order")
    check_stiffness(phonopy)
    residual = symmetry_residual(phonopy)
    if residual > LARGEST_SYMMETRY_RESIDUAL:
        raise ValueError(
            f"force constants change by {residual:.0%} of the largest under the symmetry of the cell: they belong to "
            "another cell, or list its atoms in another order"
        )
    if residual > NOTABLE_RESIDUAL:
        say(f"force constants break the symmetry of the crystal by {residual:.1%} of the largest: see `symmetrise`")
    drift = translation_residual(phonopy)
    if drift > LARGEST_DRIFT:
        say(
            f"force constants break the acoustic sum rule by up to {drift:.2g} eV/Angstrom^2: acoustic frequencies at "
            "Gamma do not vanish, see `symmetrise`"
        )
    species = sorted(set(phonopy.primitive.symbols))
    if phonopy.nac_params is None and len(species) > 1:
        say(
            f"no Born charges: {'-'.join(species)} is most likely polar, and the splitting of longitudinal and "
            "transverse optical modes at long waves is missing"
        )
    if len(phonopy.primitive_symmetry.symmetry_operations["rotations"]) == 1 and len(phonopy.primitive) > 1:
        say(
            f"no symmetry was found in the primitive cell of {len(phonopy.primitive)} atoms: if it has some, give a "
            "larger symprec; if it is a snapshot or a glass, phonons on a mesh have no meaning"
        )


def check_nac(parameters: Any, nac: bool | None, folder: Path) -> None:
    """Refuse Born charges that are missing though insisted on, or not those of a stable crystal."""
    if parameters is None:
        if nac:
            raise FileNotFoundError(
                f"{folder.name} has no BORN file (nor Born charges in its yaml file): add it, or calculate without the "
                "non-analytical term"
            )
        return
    dielectric = np.asarray(parameters["dielectric"], dtype=float)
    if not (np.all(np.isfinite(dielectric)) and np.all(np.isfinite(parameters["born"]))):
        raise ValueError(f"{folder.name}: the Born charges or the dielectric tensor are not finite numbers")
    if np.linalg.eigvalsh((dielectric + dielectric.T) / 2).min() < 1:
        raise ValueError(f"{folder.name}: the dielectric tensor has an eigenvalue below 1: check BORN, line 2")


def check_finite(array: NDArray[np.float64], origin: str) -> None:
    """Refuse force constants that are not finite."""
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{origin} holds force constants that are not finite numbers: make it anew")


def check_shape(
    array: NDArray[np.float64], primitive: int, supercell: int, origin: str, cell_file: str, folder: Path
) -> None:
    """Refuse force constants for another number of atoms."""
    if array.shape[1] != supercell or len(array) not in (primitive, supercell):
        raise ValueError(
            f"{folder.name}: {origin} has force constants of {array.shape[0]} x {array.shape[1]} atoms, but "
            f"{cell_file} has a primitive cell of {primitive} and a supercell of {supercell}: they belong to "
            "another supercell, or DIM or PRIMITIVE_AXES are wrong"
        )


def check_forces(dataset: Any, origin: str) -> None:
    """Refuse forces that are not finite, or do not oppose the displacements they are listed with."""
    if "displacements" in dataset:
        moved, forces = np.asarray(dataset["displacements"]), np.asarray(dataset["forces"])
        _check_run(moved, forces, origin)
        opposed = -float(np.sum(moved * forces)) / float(np.linalg.norm(moved) * np.linalg.norm(forces))
    else:
        shares = []
        for number, first in enumerate(dataset["first_atoms"], start=1):
            if "forces" not in first:
                continue
            moved, forces = np.asarray(first["displacement"]), np.asarray(first["forces"])
            _check_run(moved, forces, f"{origin}, displacement {number}")
            largest = np.linalg.norm(forces, axis=1).max()
            shares.append(-float(moved @ forces[first["number"]]) / float(np.linalg.norm(moved) * largest))
        opposed = float(np.mean(shares))
    if not opposed > LEAST_CORRELATION:
        raise ValueError(
            f"{origin}: forces do not oppose the displacements they are listed with: they belong to another supercell, "
            "or list its atoms in another order"
        )


def _check_run(displacement: NDArray[np.float64], forces: NDArray[np.float64], origin: str) -> None:
    if not (np.all(np.isfinite(displacement)) and np.all(np.isfinite(forces))):
        raise ValueError(f"{origin} holds displacements or forces that are not finite: did this run end well?")
    if not (np.any(forces) and np.any(displacement)):
        raise ValueError(f"{origin} holds displacements or forces that are all zero: did this run end well?")
