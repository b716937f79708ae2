"""Sets of configurations on their way to ``mlp`` and back.

MLIP prints fewer digits than it was given, and with MPI each rank may write a file of its own, ``NAME_0`` or
``NAME.0``. So what comes back is found again among what was sent by its atoms.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_iontherm.physics.mtp.files import read_cfg, write_cfg
from aiida_iontherm.physics.mtp.training import Configuration

SAME_PLACE = 1e-4
"""Angstrom. MLIP writes six decimals; two frames of a run, or two rattled cells, differ by far more."""

GRADE = "MV_grade"
"""Feature that MLIP gives graded configurations."""


class OtherSet(ValueError):
    """Configurations that are whole, but not among those that were sent."""


def refuse_weights(data: Iterable[Configuration]) -> None:
    """Refuse configurations to fit that have weights of their own, which the program would pass over.

    Raises
    ------
    ValueError
        Naming the first one.
    """
    for index, entry in enumerate(data):
        if entry.weight != 1.0:
            raise ValueError(
                f"configuration {index} has a weight of its own ({entry.weight:g}), which `mlp` does not take: remove "
                "the weights, or train natively"
            )


def write_labelled(path: Path, data: Iterable[Configuration], species: Sequence[str]) -> None:
    """Write a training set: energies, forces and stresses, and nothing that another program may stumble over.

    Raises
    ------
    ValueError
        If an atom is none of the species.
    """
    frames = []
    for entry in data:
        results = {"energy": entry.energy, "forces": entry.forces}
        if entry.stress is not None:
            results["stress"] = entry.stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        atoms = _bare(entry.atoms)
        atoms.calc = SinglePointCalculator(atoms, **results)
        frames.append(atoms)
    write_cfg(path, frames, species)


def write_unlabelled(path: Path, frames: Iterable[Atoms], species: Sequence[str]) -> None:
    """Write cells without labels.

    Raises
    ------
    ValueError
        If an atom is none of the species.
    """
    write_cfg(path, [_bare(atoms) for atoms in frames], species)


def read_written(folder: Path, name: str, species: Sequence[str]) -> list[Atoms] | None:
    """Read a set that was written by one rank or by several; None if there is no file, an empty list if it is empty.

    Raises
    ------
    ValueError
        If a file is cut short or damaged.
    """
    ranks = re.compile(re.escape(name) + r"([._][0-9]+)?")
    paths = sorted(path for path in folder.iterdir() if ranks.fullmatch(path.name))
    if not paths:
        return None
    frames = []
    for path in paths:
        with path.open(encoding="utf-8", errors="replace") as stream:
            empty = not any(line.strip() for line in stream)
        if not empty:
            frames += read_cfg(path, species)
    return frames


def places(found: Sequence[Atoms], sent: Sequence[Atoms]) -> list[int | None]:
    """Tell for each configuration which of those sent it is, each one only once, or None.

    Parameters
    ----------
    found, sent : sequences of ase.Atoms
        With their atoms in the same order; whole lattice vectors apart count as the same place.
    """
    free = list(range(len(sent)))
    placed: list[int | None] = []
    for atoms in found:
        # As a rule in the order in which they were sent: the first one left is looked at first.
        index = next((index for index in free if _same(atoms, sent[index])), None)
        if index is not None:
            free.remove(index)
        placed.append(index)
    return placed


def grade_of(atoms: Atoms) -> float | None:
    """Grade that MLIP gave a configuration, where it did."""
    try:
        return float(atoms.info[GRADE])
    except (KeyError, TypeError, ValueError):
        return None


def _bare(atoms: Atoms) -> Atoms:
    return Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)


def _same(one: Atoms, other: Atoms) -> bool:
    if not np.array_equal(one.numbers, other.numbers):
        return False
    if np.abs(one.cell.array - other.cell.array).max() > SAME_PLACE:
        return False
    apart = one.positions - other.positions
    # The first atom decides for most.
    if np.abs(apart).max() <= SAME_PLACE:
        return True
    apart -= np.round(apart @ np.linalg.pinv(other.cell.array)) @ other.cell.array
    return bool(np.abs(apart).max() <= SAME_PLACE)
