"""Whether a cell and its force constants look like those of a crystal, in the units we take them for.

Each check has a scale that hardly depends on the substance, so that a number far off means another unit, another cell
or another order of atoms rather than an unusual crystal.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from phonopy import Phonopy
from phonopy.harmonic.force_constants import compact_fc_to_full_fc
from phonopy.structure.atoms import PhonopyAtoms

from aiida_iontherm.physics.heat.acoustics import NUMBER_DENSITIES_PER_A3

SHORTEST_DISTANCE_A = 0.6
"""In Angstrom: H2, the shortest of all bonds, has 0.74."""

LARGEST_GAP_A = 8.0
"""In Angstrom between planes of nuclei: van der Waals gaps have 3 to 4.5, the planes of caesium 6."""

BOND_STIFFNESS_EV = (2.0, 200.0)
"""Force constant times squared distance to the nearest neighbour, eV: 16 to 73 in the 49 compounds of the Kyoto
database that the tests use, 4 in solid argon, 120 in diamond. Ry/bohr^2 taken for eV/Angstrom^2 are 48.6 times too
small, N/m 16.0 times too large."""

_OPERATIONS = 24  # of the space group that are tried: wrong sites show under any of them


def check_crystal(cell: PhonopyAtoms) -> None:
    """Refuse a cell that is not a piece of a crystal.

    Parameters
    ----------
    cell
        Lattice vectors in Angstrom.

    Raises
    ------
    ValueError
        If a number is not finite, atoms lie on top of each other, there are too many or too few of them in the volume,
        or a layer of vacuum cuts the cell.
    """
    lattice, positions = np.asarray(cell.cell), np.asarray(cell.scaled_positions)
    if not (np.all(np.isfinite(lattice)) and np.all(np.isfinite(positions))):
        raise ValueError("the cell holds numbers that are not finite: write the structure file anew")
    density = len(positions) / abs(float(np.linalg.det(lattice)))
    low, high = NUMBER_DENSITIES_PER_A3
    if not low <= density <= high:
        raise ValueError(
            f"the cell has {density:.3g} atoms per Angstrom^3, crystals have {low:g} to {high:g}: "
            "is it in Angstrom, and without vacuum?"
        )
    shortest = float(_nearest(lattice, positions, np.arange(len(positions))).min())
    if shortest < SHORTEST_DISTANCE_A:
        raise ValueError(
            f"two atoms of the cell are {shortest:.2g} Angstrom apart: does it hold partly occupied sites, which have "
            "to be ordered first?"
        )
    for axis, name in enumerate("abc"):
        along = np.sort(positions[:, axis] % 1)
        gaps = np.diff(np.append(along, along[0] + 1))
        gap = float(gaps.max()) / float(np.linalg.norm(np.linalg.inv(lattice)[:, axis]))
        if gap > LARGEST_GAP_A:
            raise ValueError(
                f"a layer of {gap:.3g} Angstrom across axis {name} holds no atoms: this is a slab or a molecule, "
                "not a crystal in three dimensions"
            )


def bond_stiffness(phonopy: Phonopy) -> float:
    """Mean of k d^2 over the atoms of the primitive cell in eV: k of an atom on its site, d to the next atom.

    k is a third of the trace of the force constants of an atom with itself, the curvature of the potential in which it
    moves alone.

    Parameters
    ----------
    phonopy
        Object with force constants in eV/Angstrom^2, lengths in Angstrom.
    """
    constants, p2s = _constants(phonopy), np.array(phonopy.primitive.p2s_map)
    rows = np.arange(len(p2s)) if len(constants) == len(p2s) else p2s
    stiffness = np.trace(constants[rows, p2s], axis1=1, axis2=2) / 3
    supercell = phonopy.supercell
    distances = _nearest(np.asarray(supercell.cell), np.asarray(supercell.scaled_positions), p2s)
    return float(np.mean(stiffness * distances**2))


def check_stiffness(phonopy: Phonopy) -> None:
    """Refuse force constants whose magnitude is not that of a crystal.

    Raises
    ------
    ValueError
        If `bond_stiffness` is out of `BOND_STIFFNESS_EV`, with the question which unit was meant.
    """
    value, (low, high) = bond_stiffness(phonopy), BOND_STIFFNESS_EV
    if low <= value <= high:
        return
    question = (
        "do they belong to another cell, or is their sign turned?"
        if value <= 0
        else "are they (or the forces) in Ry/bohr^2 or Hartree/bohr^2? Multiply by 48.59 or 97.17"
        if value < low
        else "are they (or the forces) in N/m, or displacements in bohr? Multiply N/m by 0.06242"
    )
    raise ValueError(
        f"force constants times squared distance of neighbours make {value:.3g} eV, crystals have {low:g} to {high:g} "
        f"where force constants are in eV/Angstrom^2: {question}"
    )


def symmetry_residual(phonopy: Phonopy) -> float:
    """Largest change of the force constants under the space group of the supercell, over their largest element.

    Zero where they were symmetrised, a few per cent at most from forces with noise, of the order of one where they
    belong to another supercell or another order of atoms.

    Parameters
    ----------
    phonopy
        Object with force constants.
    """
    constants = _constants(phonopy)
    if constants.shape[0] != constants.shape[1]:
        constants = compact_fc_to_full_fc(phonopy.primitive, constants)
    rows = np.array(phonopy.primitive.p2s_map)
    supercell, operations = phonopy.supercell, phonopy.symmetry.symmetry_operations
    columns, scaled = np.asarray(supercell.cell).T, np.asarray(supercell.scaled_positions)
    rotations, translations = operations["rotations"], operations["translations"]
    # Evenly over the list, which is sorted by lattice translation: rotations and translations both take part.
    tried = np.unique(np.linspace(0, len(rotations) - 1, _OPERATIONS).astype(int))
    largest, scale = 0.0, float(np.abs(constants).max())
    for rotation, translation in zip(rotations[tried], translations[tried], strict=True):
        image = _match(scaled @ rotation.T + translation, scaled, columns)
        cartesian = columns @ rotation @ np.linalg.inv(columns)
        turned = cartesian @ constants[rows] @ cartesian.T
        largest = max(largest, float(np.abs(constants[np.ix_(image[rows], image)] - turned).max()))
    return largest / scale


def translation_residual(phonopy: Phonopy) -> float:
    """Largest violation of the acoustic sum rule, max |sum_j Phi_ij|, in the unit of the force constants."""
    constants = _constants(phonopy)
    return float(np.abs(constants.sum(axis=1)).max())


def _constants(phonopy: Phonopy) -> NDArray[np.float64]:
    constants = phonopy.force_constants
    if constants is None:
        raise ValueError("the phonopy object has no force constants: produce or set them first")
    return np.asarray(constants)


def _nearest(
    lattice: NDArray[np.float64], positions: NDArray[np.float64], atoms: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Distance of some atoms to their nearest neighbours, images of themselves included [k]."""
    steps = np.array(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij")).reshape(3, -1).T @ lattice
    result = np.empty(len(atoms))
    for number, atom in enumerate(atoms):
        difference = positions - positions[atom]
        difference -= np.rint(difference)
        distances = np.linalg.norm((difference @ lattice)[:, None] + steps, axis=2)
        # The atom itself in the same cell: the middle of the 27 images.
        distances[atom, len(steps) // 2] = np.inf
        result[number] = distances.min()
    return result


def _match(
    images: NDArray[np.float64], positions: NDArray[np.float64], columns: NDArray[np.float64]
) -> NDArray[np.int64]:
    """For each image the atom that lies there [N]."""
    found = np.empty(len(images), dtype=np.int64)
    for number, image in enumerate(images):
        difference = image - positions
        difference -= np.rint(difference)
        found[number] = np.argmin(np.einsum("ia,ia->i", difference @ columns.T, difference @ columns.T))
    return found
