"""Unit cell, supercell and mean positions, with the order of atoms that phonopy and phono3py use."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import spglib
from ase import Atoms
from numpy.typing import ArrayLike, NDArray
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms
from phonopy.structure.cells import PrimitiveMatrixAutoDefaultWarning, get_supercell

SYMMETRY_TOLERANCE = 1e-4
"""In Angstrom: coordinates that went through a relaxation and a text file still count as symmetric."""


@contextmanager
def primitive_cell_by_symmetry() -> Iterator[None]:
    """Silence phonopy 4, which tells of its new default even where ``primitive_matrix="auto"`` was asked for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrimitiveMatrixAutoDefaultWarning)
        yield


def make_phonopy(unitcell: Atoms, supercell: Sequence[int]) -> Phonopy:
    """Phonopy object of a unit cell, its primitive cell found by symmetry (Cartesian axes stay as they are).

    Raises
    ------
    ValueError
        If the cell has no symmetry to find, because atoms lie on top of each other.
    """
    try:
        with primitive_cell_by_symmetry():
            return Phonopy(
                _to_phonopy(unitcell), np.diag(supercell), primitive_matrix="auto", symprec=SYMMETRY_TOLERANCE
            )
    except spglib.error.SpglibError as error:
        raise ValueError(f"no symmetry is found for this cell ({error}): check its atoms") from error


def to_atoms(cell: PhonopyAtoms) -> Atoms:
    """ASE structure of a phonopy cell; the order of atoms is kept."""
    return Atoms(numbers=cell.numbers, positions=cell.positions, cell=cell.cell, pbc=True)


def build_supercell(unitcell: Atoms, supercell: Sequence[int]) -> Atoms:
    """Supercell with the atoms in phonopy's order, for MD whose snapshots are to be fitted; no symmetry is looked for.

    Raises
    ------
    ValueError
        If atoms lie on top of each other.
    """
    try:
        # phonopy finds copies by their distance, and fails where there are too many
        return to_atoms(get_supercell(_to_phonopy(unitcell), np.diag(supercell), symprec=SYMMETRY_TOLERANCE))
    except RuntimeError as error:
        raise ValueError("two atoms of this cell lie in one place: check its atoms") from error


def _to_phonopy(unitcell: Atoms) -> PhonopyAtoms:
    return PhonopyAtoms(cell=unitcell.cell, scaled_positions=unitcell.get_scaled_positions(), numbers=unitcell.numbers)


def displaced_supercells(
    unitcell: Atoms, supercell: Sequence[int], count: int, distance_A: float, seed: int = 0
) -> list[Atoms]:
    """Supercells with every atom moved by one length in a random direction, atoms in phonopy's order.

    Parameters
    ----------
    unitcell, supercell
        Cell and its diagonal expansion.
    count
        Number of supercells.
    distance_A
        Length of the displacements in Angstrom: 0.01 to 0.03 for force constants at the minimum of the energy, more
        to see the anharmonic ones above the noise of the forces.
    seed
        Of the random directions.

    Raises
    ------
    ValueError
        If count or distance is not positive, or the cell has no symmetry to find.
    """
    if count < 1 or not distance_A > 0:
        raise ValueError(f"need at least one supercell and a positive displacement, not {count} and {distance_A} A")
    phonopy = make_phonopy(unitcell, supercell)
    phonopy.generate_displacements(distance=distance_A, number_of_snapshots=count, random_seed=seed)
    return [to_atoms(cell) for cell in phonopy.supercells_with_displacements or []]


def displacements_from_sites(unitcell: Atoms, supercell: Sequence[int], positions: ArrayLike) -> NDArray[np.float64]:
    """Displacements [m, N, 3] in Angstrom from the sites of a supercell, the drift of its centre of mass taken out.

    Parameters
    ----------
    unitcell
        Cell the supercell was built from.
    supercell
        Diagonal expansion.
    positions
        Snapshots of the supercell, unwrapped [m, N, 3] in Angstrom.

    Raises
    ------
    ValueError
        If the snapshots are those of another supercell.
    """
    return _from_sites(make_phonopy(unitcell, supercell), positions)


def _from_sites(phonopy: Phonopy, positions: ArrayLike) -> NDArray[np.float64]:
    snapshots = np.asarray(positions, dtype=float)
    sites = phonopy.supercell.positions
    if snapshots.ndim != 3 or snapshots.shape[1:] != sites.shape:
        raise ValueError(f"snapshots {snapshots.shape} do not fit a supercell of {len(sites)} atoms")
    shifts = snapshots - sites
    drift = np.average(shifts, axis=1, weights=phonopy.supercell.masses)
    return np.asarray(shifts - drift[:, None], dtype=float)


def mean_structure(unitcell: Atoms, supercell: Sequence[int], positions: ArrayLike) -> tuple[Atoms, float]:
    """Put the atoms of the unit cell at their mean positions along a trajectory.

    The mean runs over the copies of each atom in the supercell and over the space group.

    Expanding around mean positions makes the mean force on every atom vanish, as it must for a force-constant model
    without first-order terms.

    Parameters
    ----------
    unitcell
        Cell the supercell was built from.
    supercell
        Diagonal expansion.
    positions
        Snapshots of the supercell, unwrapped [m, N, 3] in Angstrom.

    Returns
    -------
    ase.Atoms
        Unit cell with mean positions; lattice unchanged.
    float
        Largest distance in Angstrom of an atom's own mean from its site: more than about 1 means that ions hop and
        that no sites exist to expand around.
    """
    phonopy = make_phonopy(unitcell, supercell)
    shift = _from_sites(phonopy, positions).mean(axis=0)
    farthest = float(np.linalg.norm(shift, axis=1).max())
    parent = np.array([phonopy.supercell.u2u_map[index] for index in phonopy.supercell.s2u_map])
    mean = np.array([shift[parent == atom].mean(axis=0) for atom in range(len(unitcell))])
    moved = unitcell.copy()
    moved.positions += _symmetrised(unitcell, mean)
    return moved, farthest


def _symmetrised(unitcell: Atoms, shift: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average a displacement field over the space group of the cell."""
    lattice, fractional = unitcell.cell.array, unitcell.get_scaled_positions()
    symmetry = spglib.get_symmetry((lattice, fractional, unitcell.numbers), symprec=SYMMETRY_TOLERANCE)
    if symmetry is None:
        raise ValueError("no symmetry is found for this cell: check its atoms")
    total = np.zeros_like(shift)
    inverse = np.linalg.inv(lattice)
    for rotation, translation in zip(symmetry["rotations"], symmetry["translations"], strict=True):
        images = fractional @ rotation.T + translation
        difference = images[:, None] - fractional[None]
        difference -= np.rint(difference)
        target = np.argmin(np.linalg.norm(difference @ lattice, axis=2), axis=1)
        cartesian = lattice.T @ rotation @ inverse.T
        total[target] += shift @ cartesian.T
    return total / len(symmetry["rotations"])
