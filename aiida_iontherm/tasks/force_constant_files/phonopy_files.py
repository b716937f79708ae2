"""Files of phonopy: ``FORCE_CONSTANTS``, ``force_constants.hdf5``, ``FORCE_SETS``, ``BORN``; full and compact.

phonopy does the reading and writing. Around it: the rows of a compact text file, which phonopy's reader drops, and
errors that say what is wrong. All are in eV and Angstrom unless an HDF5 file names another unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from phonopy import Phonopy
from phonopy.cui.load_helper import read_force_constants_from_hdf5
from phonopy.exception import BORNFileParseError
from phonopy.file_IO import (
    get_BORN_lines,
    parse_BORN,
    parse_FORCE_CONSTANTS,
    parse_FORCE_SETS,
    write_FORCE_CONSTANTS,
    write_force_constants_to_hdf5,
)
from phonopy.structure.atoms import PhonopyAtoms

from aiida_iontherm.tasks.force_constant_files.form import ForceConstants
from aiida_iontherm.tasks.force_constant_files.objects import compact, full, nac_in_order, rows_of_phonopy
from aiida_iontherm.tasks.force_constant_files.repetition import Repetition
from aiida_iontherm.tasks.force_constant_files.text import numbers as numbers_of
from aiida_iontherm.tasks.force_constant_files.text import read_text, whole_numbers

DAMAGED = (OSError, KeyError, ValueError, IndexError, TypeError, RuntimeError, AssertionError)
"""What phonopy and phono3py raise for files that are not what their names say."""


def read_text_file(path: Path, repetition: Repetition) -> ForceConstants:
    """``FORCE_CONSTANTS``.

    Raises
    ------
    ValueError
        If the file is cut short or damaged, or of another supercell.
    """
    lines = [line for line in read_text(path).splitlines() if line.strip()]
    shape = whole_numbers(numbers_of(lines[0] if lines else "", path.name), path.name)
    if len(shape) not in (1, 2) or shape.min() < 1:
        raise ValueError(f"{path.name} must begin with its numbers of atoms: is it a FORCE_CONSTANTS of phonopy?")
    rows, columns = int(shape[0]), int(shape[-1])
    if len(lines) != 1 + 4 * rows * columns:
        raise ValueError(
            f"{path.name} has {len(lines)} lines where {rows} x {columns} force constants need "
            f"{1 + 4 * rows * columns}: it is cut short or damaged"
        )
    numbers_of("\n".join(lines), path.name)
    try:
        array = parse_FORCE_CONSTANTS(path)
        starts = [int(line.split()[0]) - 1 for line in lines[1 :: 4 * columns]]
    except DAMAGED as error:
        raise ValueError(f"{path.name} is damaged: {error}") from error
    if max(starts) >= columns:
        raise ValueError(f"{path.name} names atom {max(starts) + 1} of {columns}: it is damaged")
    return ForceConstants(repetition, second=compact(array, repetition, None if rows == columns else starts))


def read_hdf5(path: Path, repetition: Repetition) -> ForceConstants:
    """``force_constants.hdf5`` or ``fc2.hdf5``.

    Raises
    ------
    ValueError
        If the file is cut short or damaged, or of another supercell.
    """
    try:
        with h5py.File(path) as file:
            rows = file["p2s_map"][:] if "p2s_map" in file else None
        array = read_force_constants_from_hdf5(path, calculator="vasp")
    except DAMAGED as error:
        raise ValueError(f"{path.name} cannot be read as force constants of phonopy: {error}") from error
    return ForceConstants(repetition, second=compact(array, repetition, rows))


def read_force_sets(path: Path, repetition: Repetition, symprec: float = 1e-5) -> ForceConstants:
    """Second order from the forces of ``FORCE_SETS``, symmetrised as phonopy does.

    Raises
    ------
    ValueError
        If the file is cut short or damaged, or of another supercell.
    """
    # The format of random displacements may have comments.
    text = "\n".join(line.partition("#")[0] for line in read_text(path).splitlines())
    atoms = len(repetition.supercell)
    first = numbers_of(next((line for line in text.splitlines() if line.strip()), ""), path.name)
    if len(first) == 1 and first[0] != atoms:
        raise ValueError(
            f"{path.name} holds forces on {first[0]:g} atoms and the supercell has {atoms}: give the cells the forces "
            "were computed in"
        )
    numbers_of(text, path.name)
    supercell = repetition.supercell
    cell = PhonopyAtoms(cell=supercell.cell.array, positions=supercell.positions, numbers=supercell.numbers)
    phonopy = Phonopy(cell, np.eye(3, dtype=int), primitive_matrix=np.linalg.inv(repetition.matrix), symprec=symprec)
    try:
        # An end of file keeps phonopy's reader waiting for the next line until Python gives up (RecursionError).
        phonopy.dataset = parse_FORCE_SETS(path, natom=atoms)
    except DAMAGED as error:
        raise ValueError(f"{path.name} is cut short or damaged: {error}") from error
    several = "displacements" in phonopy.dataset
    try:
        phonopy.produce_force_constants(
            calculate_full_force_constants=False, fc_calculator="symfc" if several else None
        )
    except DAMAGED as error:
        raise ValueError(
            f"no force constants follow from {path.name} ({error}): do the forces belong to this supercell?"
        ) from error
    if not several:
        phonopy.symmetrize_force_constants(show_drift=False)
    second = compact(phonopy.force_constants, repetition, phonopy.primitive.p2s_map)
    return ForceConstants(repetition, second=second)


def write_text_file(path: Path, constants: ForceConstants, *, whole: bool = False) -> None:
    """``FORCE_CONSTANTS``, 15 decimals; `whole` writes all rows instead of those of the primitive cell."""
    array, rows = _rows(constants, whole)
    write_FORCE_CONSTANTS(array, filename=path, p2s_map=rows)


def write_hdf5(path: Path, constants: ForceConstants, *, whole: bool = False) -> None:
    """``force_constants.hdf5``, every bit kept."""
    array, rows = _rows(constants, whole)
    write_force_constants_to_hdf5(array, filename=str(path), p2s_map=rows, physical_unit="eV/angstrom^2")


def read_born(path: Path, primitive: Atoms, symprec: float = 1e-5) -> dict[str, Any]:
    """Born charges of all atoms of a primitive cell and the dielectric tensor, as phonopy takes them.

    Raises
    ------
    ValueError
        If there is no such file, or it does not hold what the symmetry of the cell needs.
    """
    if not path.is_file():
        raise ValueError(
            f"there is no {path}: the non-analytical term needs a BORN file with the dielectric tensor and the charges"
        )
    lines = read_text(path).splitlines()
    # The first line is a comment or the factor of the unit.
    numbers_of("\n".join(lines[1:]), path.name)
    cell = PhonopyAtoms(cell=primitive.cell.array, positions=primitive.positions, numbers=primitive.numbers)
    try:
        return dict(parse_BORN(cell, symprec=symprec, filename=path))
    except (BORNFileParseError, *DAMAGED) as error:
        raise ValueError(
            f"{path.name} does not fit the primitive cell of {len(primitive)} atoms: {error}; it needs the dielectric "
            "tensor and one line for each atom that is independent by symmetry"
        ) from error


def write_born(path: Path, constants: ForceConstants) -> None:
    """``BORN`` of the primitive cell, 8 decimals.

    Raises
    ------
    ValueError
        If there are no charges.
    """
    nac: Mapping[str, Any] | None = constants.nac
    if nac is None:
        raise ValueError("there are no Born charges here to write: read them first")
    order = rows_of_phonopy(constants.repetition)
    primitive = constants.primitive[order]
    cell = PhonopyAtoms(cell=primitive.cell.array, positions=primitive.positions, numbers=primitive.numbers)
    lines = get_BORN_lines(cell, nac_in_order(constants, order)["born"], np.asarray(nac["dielectric"]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _rows(constants: ForceConstants, whole: bool) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Rows to write and the supercell atom of each, as phonopy numbers them."""
    if constants.second is None:
        raise ValueError("there are no second-order force constants here to write: read them first")
    if whole:
        return full(constants.second, constants.repetition), np.arange(len(constants.supercell))
    order = rows_of_phonopy(constants.repetition)
    return np.ascontiguousarray(constants.second[order]), constants.repetition.p2s[order]
