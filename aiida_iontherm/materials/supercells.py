"""Sizes of cells: perpendicular heights, supercells of a wanted extent, primitive cells on the input's own axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from ase import Atoms


def perpendicular_heights(cell: ArrayLike) -> np.ndarray:
    """Return the distances between opposite faces of a cell.

    Parameters
    ----------
    cell
        [3, 3] lattice vectors as rows, Angstrom.

    Returns
    -------
    numpy.ndarray
        [3] heights in Angstrom: the height over the face spanned by the other two vectors.

    Raises
    ------
    ValueError
        If the cell has no volume.
    """
    vectors = np.asarray(cell, dtype=float)
    faces = np.cross(np.roll(vectors, -1, axis=0), np.roll(vectors, -2, axis=0))
    areas = np.linalg.norm(faces, axis=1)
    volume = abs(np.linalg.det(vectors))
    if volume < 1e-8 or np.any(areas < 1e-8):
        raise ValueError("the cell has no volume: give three independent lattice vectors")
    return volume / areas


def max_cutoff(cell: ArrayLike) -> float:
    """Return the largest interaction radius (Angstrom) within which no atom meets its own image twice.

    It is half of the smallest perpendicular height of the cell ([3, 3], rows, Angstrom).
    """
    return float(perpendicular_heights(cell).min() / 2)


def supercell_matrix(atoms: Atoms, min_extent_A: float, max_atoms: int | None = None) -> tuple[int, int, int]:
    """Return the smallest diagonal supercell whose perpendicular heights reach a wanted extent, atoms allowing.

    Repeating a cell n times along one vector multiplies its height over that face by n and leaves the other two
    as they are, so the three numbers are independent and the smallest set is the only one. Where it holds too many
    atoms, the cell grows along its shortest heights for as long as it may; heights that are equal grow together, so
    that a cubic crystal keeps a cubic supercell.

    Parameters
    ----------
    atoms
        The cell to repeat.
    min_extent_A
        Smallest perpendicular height wanted, Angstrom; twice the cutoff of an interaction, for instance.
    max_atoms
        Number of atoms the supercell may have, or ``None``. The cell itself is never refused.

    Returns
    -------
    tuple of int
        Repetitions along the three lattice vectors.

    Raises
    ------
    ValueError
        If the extent is not positive.
    """
    if not min_extent_A > 0:
        raise ValueError(f"the supercell extent must be positive, not {min_extent_A} Angstrom")
    heights = perpendicular_heights(atoms.cell[:])
    # The margin keeps a cell that is just large enough (16.000000 against 15.999999) from being doubled.
    wanted = np.maximum(1, np.ceil(min_extent_A / heights - 1e-6)).astype(int)
    if max_atoms is None or wanted.prod() * len(atoms) <= max_atoms:
        return _three(wanted)
    repeats = np.ones(3, dtype=int)
    while True:
        short = np.where(repeats < wanted, repeats * heights, np.inf)
        grown = repeats + (short < 1.01 * short.min())
        if np.isinf(short.min()) or grown.prod() * len(atoms) > max_atoms:
            return _three(repeats)
        repeats = grown


def _three(repeats: np.ndarray) -> tuple[int, int, int]:
    return int(repeats[0]), int(repeats[1]), int(repeats[2])


def primitive_basis(
    cell: np.ndarray, scaled_positions: np.ndarray, kinds: np.ndarray, symprec: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return cell, scaled positions and kinds of the primitive cell, with Cartesian axes as in the input.

    Raises
    ------
    ValueError
        If spglib finds no primitive cell or one that does not fit into the input cell.
    """
    import spglib

    try:
        found = spglib.standardize_cell(
            (cell, scaled_positions, kinds), to_primitive=True, no_idealize=True, symprec=symprec
        )
    except spglib.SpglibError as error:
        raise ValueError(f"no primitive cell found at symprec {symprec:g} Angstrom ({error})") from error
    if found is None:
        raise ValueError(f"no primitive cell found at symprec {symprec:g} Angstrom: look for overlapping atoms")
    vectors, positions, numbers = (np.asarray(part) for part in found)
    # A rotated primitive cell would silently give kappa along other axes: the input vectors must be whole
    # combinations of the primitive ones, in the same Cartesian frame.
    combinations = cell @ np.linalg.inv(vectors)
    misfit = np.abs((combinations - np.rint(combinations)) @ vectors).max()
    if misfit > 10 * symprec:
        raise ValueError(
            f"the primitive cell does not fit into the given one ({misfit:.2g} Angstrom off):"
            " its positions are not precise enough, use a smaller symprec"
        )
    return vectors, positions, numbers


def primitive_cell(atoms: Atoms, symprec: float = 1e-3) -> Atoms:
    """Return the primitive cell of a crystal without turning it.

    Parameters
    ----------
    atoms
        A periodic crystal.
    symprec
        Distance (Angstrom) within which two positions count as the same.

    Returns
    -------
    ase.Atoms
        The primitive cell; a tensor along x, y, z means the same as in ``atoms``. The origin may be another one.

    Raises
    ------
    ValueError
        If spglib finds none.
    """
    from ase import Atoms

    vectors, positions, numbers = primitive_basis(atoms.cell[:], atoms.get_scaled_positions(), atoms.numbers, symprec)
    return Atoms(numbers=numbers, cell=vectors, scaled_positions=positions, pbc=True)
