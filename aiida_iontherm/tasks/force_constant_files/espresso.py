"""Force constants of Quantum ESPRESSO's ``q2r.x``, which ShengBTE takes as ``espresso.ifc2``: second order, Ry/bohr^2.

The file holds its crystal. phonopy reads the numbers. Of polar crystals, files with Born charges hold what is left
after the interaction of dipoles was taken out at the points of the mesh; it is put back here, and taken out when such
files are written. Since 2024 the width of that interaction stands beside the flag ``T``, before it was always 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.data import atomic_masses, chemical_symbols
from numpy.typing import ArrayLike
from phonopy.interface.qe import PH_Q2R
from phonopy.structure.atoms import PhonopyAtoms

from aiida_iontherm.physics.lattice.cells import to_atoms
from aiida_iontherm.tasks.force_constant_files.bravais import bravais_lattice
from aiida_iontherm.tasks.force_constant_files.dipole_sum import dipole_force_constants, ewald_settings
from aiida_iontherm.tasks.force_constant_files.form import ForceConstants
from aiida_iontherm.tasks.force_constant_files.objects import compact
from aiida_iontherm.tasks.force_constant_files.phonopy_files import DAMAGED
from aiida_iontherm.tasks.force_constant_files.repetition import POSITION_TOLERANCE, Repetition, phonopy_supercell
from aiida_iontherm.tasks.force_constant_files.text import read_text
from aiida_iontherm.tasks.force_constant_files.units import factor

_RYDBERG_MASS = units._amu / units._me / 2  # Quantum ESPRESSO counts masses in 2 m_e
_UNIT = "Ry/bohr"


@dataclass(frozen=True)
class _Header:
    """Crystal of a file, and the width of its dipole interaction in 1/Angstrom^2, None without charges."""

    crystal: Atoms
    width: float | None


def read_q2r(
    path: Path, primitive: Atoms | None = None, supercell: Atoms | None = None, tolerance: float = POSITION_TOLERANCE
) -> ForceConstants:
    """Second order in eV/Angstrom^2, in the supercell of the q-point mesh or in the order of a given one.

    With charges in the file, the interaction of the dipoles is put back, and the charges come with the force constants.
    They are made neutral in sum, as phonopy does, after they were used as they are in the file. With them goes the
    width of the interaction, so that phonopy finds the frequencies of matdyn.x between the points of the mesh too, if
    there is more than one point along each direction. Files made with ``loto_2d`` look the same and hold something
    else.

    Parameters
    ----------
    path
        The file.
    primitive
        Primitive cell whose lattice vectors and order of atoms are wanted; that of the file if not given.
    supercell
        Supercell that is wanted.
    tolerance
        Largest distance in Angstrom of an atom from its site.

    Raises
    ------
    ValueError
        If the file is cut short or damaged, does not belong to the primitive cell, or has a lattice or an atomic type
        that is not known.
    """
    header = _read_header(path)
    crystal = header.crystal
    cell = PhonopyAtoms(cell=crystal.cell.array, positions=crystal.positions, numbers=crystal.numbers)
    try:
        reader: Any = PH_Q2R(path)
        reader.run(cell)
    except DAMAGED as error:
        raise ValueError(f"{path.name} is cut short or damaged: {error}") from error
    repetition = Repetition.of(crystal, to_atoms(reader.supercell))
    constants = ForceConstants(repetition, compact(reader.fc * factor(_UNIT, 2), repetition, reader.primitive.p2s_map))
    if header.width is not None:
        constants = _with_dipoles(constants, reader.borns, reader.epsilon, header.width, path.name)
    if primitive is not None:
        constants = _for_cell(constants, primitive, tolerance, path.name)
    return constants if supercell is None else constants.in_supercell(supercell)


def write_q2r(path: Path, constants: ForceConstants) -> None:
    """Second order in Ry/bohr^2, 17 digits, as q2r.x writes it for a cell without Bravais index.

    With charges, the interaction of the dipoles is taken out and the charges are written, as q2r.x does for a polar
    crystal.

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
    primitive, repetition, nac = constants.primitive, constants.repetition, constants.nac
    alat = float(np.linalg.norm(primitive.cell.array[0]))
    species = list(dict.fromkeys(primitive.symbols))
    celldm = (alat / units.Bohr, 0.0, 0.0, 0.0, 0.0, 0.0)
    yield f"{len(species):>4d}{len(primitive):>5d}{0:>4d}" + "".join(f" {x:.16e}" for x in celldm) + "\n"
    yield from _rows(primitive.cell.array / alat)
    for number, symbol in enumerate(species, start=1):
        mass = atomic_masses[primitive.numbers[list(primitive.symbols).index(symbol)]] * _RYDBERG_MASS
        yield f"{number:>12d}  '{symbol:<3s}'  {mass:.16e}\n"
    for number, (symbol, place) in enumerate(zip(primitive.symbols, primitive.positions / alat, strict=True), start=1):
        yield f"{number:>5d}{species.index(symbol) + 1:>5d}" + "".join(f" {x:24.16e}" for x in place) + "\n"
    second = np.asarray(constants.second)
    if nac is None:
        yield " F\n"
    else:
        second = second - dipole_force_constants(repetition, nac["born"], nac["dielectric"], _width(alat))
        yield " T\n"
        yield from _rows(nac["dielectric"])
        for number, charge in enumerate(nac["born"], start=1):
            yield f"{number:>5d}\n"
            yield from _rows(charge)
    n1, n2, n3 = np.diag(constants.matrix)
    yield f"{n1:>4d}{n2:>4d}{n3:>4d}\n"
    values = second / factor(_UNIT, 2)
    # The first direction runs fastest.
    cells = np.array([(a, b, c) for c in range(n3) for b in range(n2) for a in range(n1)])
    for axis, other, i, j in np.ndindex(3, 3, len(primitive), len(primitive)):
        yield f"{axis + 1:>4d}{other + 1:>4d}{i + 1:>4d}{j + 1:>4d}\n"
        # The first atom of the header is the one in the cell R, the second the one at home; the axes go with them.
        columns = repetition.index(np.full(len(cells), i), repetition.cells[repetition.p2s[j]] + cells)
        row = values[j, columns, other, axis]
        yield from (f"{a + 1:>4d}{b + 1:>4d}{c + 1:>4d} {x:24.16e}\n" for (a, b, c), x in zip(cells, row, strict=True))


def _rows(matrix: ArrayLike) -> Iterator[str]:
    yield from ("".join(f" {x:24.16e}" for x in row) + "\n" for row in np.asarray(matrix))


def _width(alat: float, alpha: float = 1.0) -> float:
    """Width of the dipole interaction in 1/Angstrom^2; alat in Angstrom."""
    return alpha * (2 * np.pi / alat) ** 2


def _read_header(path: Path) -> _Header:
    lines = iter(read_text(path).splitlines())
    try:
        words = next(lines).split()
        types, atoms, ibrav = (int(word) for word in words[:3])
        celldm = [float(word) for word in words[3:9]]
        alat = celldm[0] * units.Bohr
        rows = [_floats(next(lines)) for _ in range(3)] if ibrav == 0 else bravais_lattice(ibrav, celldm)
        labels = [re.findall(r"'([^']*)'", next(lines))[0] for _ in range(types)]
        sites = [next(lines).split()[1:5] for _ in range(atoms)]
        crystal = Atoms(
            [_symbol(labels[int(kind) - 1]) for kind, *_ in sites],
            positions=np.array([[float(x) for x in place] for _, *place in sites]) * alat,
            cell=np.asarray(rows) * alat,
            pbc=True,
        )
        flag, *more = next(lines).split()
    except (ValueError, IndexError, StopIteration) as error:
        reason = str(error) or "it ends too early"
        raise ValueError(f"{path.name} does not begin as a file of q2r.x: {reason}") from error
    if not np.isfinite(crystal.cell.array).all() or crystal.cell.volume == 0:
        raise ValueError(f"{path.name} does not hold three lattice vectors: it is damaged")
    if not flag.upper().strip(".").startswith("T"):
        return _Header(crystal, None)
    try:
        (alpha,) = _floats(" ".join(more)) or [1.0]
    except ValueError as error:
        raise ValueError(
            f"{path.name} has {' '.join(more)!r} after the flag of its charges, where the width of the dipole "
            "interaction or nothing is known: it is of another version of q2r.x, or damaged"
        ) from error
    if not 0 < alpha < np.inf:
        raise ValueError(f"{path.name} has a dipole interaction of width {alpha:g}: it is damaged")
    return _Header(crystal, _width(alat, alpha))


def _floats(line: str) -> list[float]:
    return [float(word.replace("D", "E")) for word in line.split()]


def _symbol(label: str) -> str:
    """Element of an atomic type: ``Fe``, ``fe1``, ``C_h``, ``H-b``."""
    letters = re.split(r"[^A-Za-z]", label.strip())[0].capitalize()
    if letters not in chemical_symbols[1:]:
        raise ValueError(f"its atomic type {label.strip()!r} does not begin with the symbol of an element")
    return letters


def _with_dipoles(
    constants: ForceConstants, born: ArrayLike, dielectric: ArrayLike, width: float, name: str
) -> ForceConstants:
    """Total force constants and the charges from short-range ones."""
    charges, permittivity = np.asarray(born), np.asarray(dielectric)
    if not (np.isfinite(charges).all() and np.isfinite(permittivity).all()):
        raise ValueError(f"{name} has charges or a dielectric tensor that are not finite: the run that made it failed")
    if np.linalg.eigvalsh((permittivity + permittivity.T) / 2)[0] <= 0:
        raise ValueError(f"{name} has a dielectric tensor that is not positive: is the crystal a metal?")
    second = np.asarray(constants.second) + dipole_force_constants(constants.repetition, charges, permittivity, width)
    nac = {
        "born": charges - charges.mean(axis=0),
        "dielectric": permittivity,
        "factor": units.Hartree * units.Bohr,
        **ewald_settings(constants.primitive.cell.array, permittivity, width),
    }
    return replace(constants, second=second, nac=nac)


def _for_cell(constants: ForceConstants, primitive: Atoms, tolerance: float, name: str) -> ForceConstants:
    """Rows and charges in the order of another primitive cell of the same crystal."""
    try:
        repetition = Repetition.of(primitive, constants.supercell, tolerance)
    except ValueError as error:
        raise ValueError(f"{name} is of another crystal than the primitive cell: {error}") from error
    if repetition.n_cells != constants.repetition.n_cells:
        raise ValueError(
            f"{name} has {len(constants.primitive)} atoms and the primitive cell {len(primitive)}: give the cell it "
            "was made for"
        )
    starts = constants.repetition.p2s
    second = compact(np.asarray(constants.second), repetition, starts)
    nac = constants.nac
    if nac is not None:
        nac = {**nac, "born": np.asarray(nac["born"])[np.argsort(repetition.atom_of[starts])]}
    return replace(constants, repetition=repetition, second=second, nac=nac)
