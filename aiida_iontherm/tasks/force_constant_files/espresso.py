"""Force constants of Quantum ESPRESSO's ``q2r.x``, which ShengBTE takes as ``espresso.ifc2``: second order, Ry/bohr^2.

phonopy reads them. Files with charges hold what is left after the dipole interaction was taken out, and are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.data import atomic_masses
from phonopy.interface.qe import PH_Q2R
from phonopy.structure.atoms import PhonopyAtoms

from aiida_iontherm.physics.lattice.cells import to_atoms
from aiida_iontherm.tasks.force_constant_files.form import ForceConstants
from aiida_iontherm.tasks.force_constant_files.objects import compact
from aiida_iontherm.tasks.force_constant_files.phonopy_files import DAMAGED
from aiida_iontherm.tasks.force_constant_files.repetition import POSITION_TOLERANCE, Repetition, phonopy_supercell
from aiida_iontherm.tasks.force_constant_files.text import read_text
from aiida_iontherm.tasks.force_constant_files.units import factor

_RYDBERG_MASS = units._amu / units._me / 2  # Quantum ESPRESSO counts masses in 2 m_e
_UNIT = "Ry/bohr"


def read_q2r(
    path: Path, primitive: Atoms, supercell: Atoms | None = None, tolerance: float = POSITION_TOLERANCE
) -> ForceConstants:
    """Second order in eV/Angstrom^2, in the supercell of the q-point mesh or in the order of a given one.

    Raises
    ------
    ValueError
        If the file is cut short or damaged, does not belong to the primitive cell, or has the dipole interaction taken
        out.
    """
    lines = read_text(path).splitlines()
    try:
        types, atoms, bravais = (int(word) for word in lines[0].split()[:3])
        if atoms != len(primitive):
            raise ValueError(
                f"it has {atoms} atoms and the primitive cell {len(primitive)}, give the cell it was made for"
            )
        alat = float(lines[0].split()[3]) * units.Bohr
        start = 4 if bravais == 0 else 1
        sites = np.array([[float(x) for x in line.split()[2:5]] for line in lines[start + types :][:atoms]]) * alat
        polar = lines[start + types + atoms].split()[0]
    except (ValueError, IndexError) as error:
        raise ValueError(f"{path.name} does not begin as a file of q2r.x for this cell: {error}") from error
    _check_sites(sites, primitive, path.name, tolerance)
    if polar.upper().strip(".").startswith("T"):
        raise ValueError(
            f"{path.name} holds Born charges, and then the short-range part only: make it anew from dynamical matrices "
            "without charges, and give these here with born="
        )
    cell = PhonopyAtoms(cell=primitive.cell.array, positions=primitive.positions, numbers=primitive.numbers)
    try:
        reader: Any = PH_Q2R(path)
        reader.run(cell)
    except DAMAGED as error:
        raise ValueError(f"{path.name} is cut short or damaged: {error}") from error
    repetition = Repetition.of(primitive, to_atoms(reader.supercell), tolerance)
    second = compact(reader.fc * factor(_UNIT, 2), repetition, reader.primitive.p2s_map)
    constants = ForceConstants(repetition, second=second)
    return constants if supercell is None else constants.in_supercell(supercell)


def write_q2r(path: Path, constants: ForceConstants) -> None:
    """Second order in Ry/bohr^2, 17 digits, as q2r.x writes it for a cell without Bravais index.

    Raises
    ------
    ValueError
        If there is no second order, or the supercell is not diagonal in the primitive cell.
    """
    if not constants.repetition.is_diagonal:
        raise ValueError(
            "Quantum ESPRESSO takes force constants of n1 x n2 x n3 primitive cells only: put them into such a "
            "supercell with in_supercell(phonopy_supercell(primitive, (n1, n2, n3))) first"
        )
    dimensions = np.diag(constants.matrix)
    ordered = constants.in_supercell(phonopy_supercell(constants.primitive, np.abs(dimensions)))
    with path.open("w", encoding="utf-8") as stream:
        stream.writelines(_q2r_lines(ordered))


def _q2r_lines(constants: ForceConstants) -> Iterator[str]:
    primitive, repetition = constants.primitive, constants.repetition
    alat = float(np.linalg.norm(primitive.cell.array[0]))
    species = list(dict.fromkeys(primitive.symbols))
    celldm = (alat / units.Bohr, 0.0, 0.0, 0.0, 0.0, 0.0)
    yield f"{len(species):>4d}{len(primitive):>5d}{0:>4d}" + "".join(f" {x:.16e}" for x in celldm) + "\n"
    yield from ("".join(f" {x:24.16e}" for x in row) + "\n" for row in primitive.cell.array / alat)
    for number, symbol in enumerate(species, start=1):
        mass = atomic_masses[primitive.numbers[list(primitive.symbols).index(symbol)]] * _RYDBERG_MASS
        yield f"{number:>12d}  '{symbol:<3s}'  {mass:.16e}\n"
    for number, (symbol, place) in enumerate(zip(primitive.symbols, primitive.positions / alat, strict=True), start=1):
        yield f"{number:>5d}{species.index(symbol) + 1:>5d}" + "".join(f" {x:24.16e}" for x in place) + "\n"
    yield " F\n"
    n1, n2, n3 = np.diag(constants.matrix)
    yield f"{n1:>4d}{n2:>4d}{n3:>4d}\n"
    values = np.asarray(constants.second) / factor(_UNIT, 2)
    # The first direction runs fastest.
    cells = np.array([(a, b, c) for c in range(n3) for b in range(n2) for a in range(n1)])
    for axis, other, i, j in np.ndindex(3, 3, len(primitive), len(primitive)):
        yield f"{axis + 1:>4d}{other + 1:>4d}{i + 1:>4d}{j + 1:>4d}\n"
        # The first atom of the header is the one in the cell R, the second the one at home; the axes go with them.
        columns = repetition.index(np.full(len(cells), i), repetition.cells[repetition.p2s[j]] + cells)
        row = values[j, columns, other, axis]
        yield from (f"{a + 1:>4d}{b + 1:>4d}{c + 1:>4d} {x:24.16e}\n" for (a, b, c), x in zip(cells, row, strict=True))


def _check_sites(sites: np.ndarray, primitive: Atoms, name: str, tolerance: float) -> None:
    between = (sites - primitive.positions) @ np.linalg.inv(primitive.cell.array)
    miss = float(np.linalg.norm((between - np.rint(between)) @ primitive.cell.array, axis=1).max())
    if miss > tolerance:
        raise ValueError(
            f"{name} has an atom {miss:.2g} Angstrom from its site in the primitive cell: give the cell of that "
            "calculation, atoms in the same order"
        )
