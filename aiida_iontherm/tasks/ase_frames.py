"""Frames of a trajectory in any format that ASE reads, one after the other, and what must stay the same along it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.io.extxyz import XYZError
from ase.io.formats import UnknownFileTypeError
from numpy.typing import NDArray

LARGEST_CELL_CHANGE = 1e-3
"""Relative; a barostat does more, and in a cell that breathes sites, orientations and scattering vectors would, too."""

LARGEST_STEP = 0.4
"""In cells, between two frames of a wrapped trajectory: beyond half a cell nobody knows where an atom went."""


def iterate_frames(path: Path) -> Iterator[Atoms]:
    """Read frame by frame, so that none but the present one is in memory.

    Raises
    ------
    ValueError
        If ASE cannot read the file.
    """
    try:
        yield from ase.io.iread(path, index=":")
    except (UnknownFileTypeError, XYZError, ValueError, KeyError, IndexError, StopIteration, OSError) as error:
        raise ValueError(f"{path.name} is not a trajectory that ASE can read: {error}") from error


def iterate_run(
    path: Path, skipped: int, needed: str, cell_change: float = LARGEST_CELL_CHANGE
) -> Iterator[tuple[int, Atoms]]:
    """Read the frames of a run of the same atoms in the same cell, with their numbers in the file.

    Parameters
    ----------
    path
        Any format of ASE.
    skipped
        Frames at the beginning that are left out, and not looked at.
    needed
        Who wants the cell to stay, as the message begins: ``hops need``.
    cell_change
        Largest relative change of a component of the cell.

    Raises
    ------
    ValueError
        If ASE cannot read the file, the cell is not three-dimensional, or cell or atoms change.
    """
    first: Atoms | None = None
    for number, atoms in enumerate(iterate_frames(path)):
        if number < skipped:
            continue
        if first is None:
            if atoms.cell.rank < 3:
                raise ValueError(f"{path.name} has no three-dimensional cell")
            first = atoms
        elif len(atoms) != len(first) or np.any(atoms.numbers != first.numbers):
            raise ValueError(f"frame {number} of {path.name} has other atoms than the first, or in another order")
        elif np.abs(atoms.cell.array - first.cell.array).max() > cell_change * first.cell.lengths().max():
            raise ValueError(f"the cell changes along {path.name}: {needed} a run at constant volume")
        yield number, atoms


def iterate_unwrapped(path: Path, skipped: int, needed: str) -> Iterator[tuple[Atoms, NDArray[np.float64]]]:
    """Read the frames of a run with positions [N, 3] that go on across the faces of the cell.

    Parameters
    ----------
    path, skipped, needed
        See `iterate_run`.

    Raises
    ------
    ValueError
        As `iterate_run`, and if an atom moves too far between two frames to be followed.
    """
    here = np.empty((0, 3))
    for number, atoms in iterate_run(path, skipped, needed):
        if number == skipped:
            cell, inverse = atoms.cell.array.copy(), np.linalg.inv(atoms.cell.array)
            here = atoms.positions.astype(float)
        else:
            step = (atoms.positions - here) @ inverse
            step -= np.rint(step)
            if np.abs(step).max() > LARGEST_STEP:
                raise ValueError(
                    f"an atom moves by {np.abs(step).max():.0%} of the cell before frame {number} of {path.name}: "
                    "store frames more often"
                )
            here = here + step @ cell
        yield atoms, here
