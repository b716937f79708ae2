"""The data file that a run of LAMMPS begins with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms, units
from ase.data import atomic_masses, atomic_numbers

from aiida_iontherm.tasks.lammps_files.axes import LammpsAxes

ANGSTROM_PER_PS = 1000 * units.fs
"""A velocity in ASE's units times this is in Angstrom/ps, as units metal have it."""


def structure_data(atoms: Atoms, species: Sequence[str], axes: LammpsAxes) -> str:
    """Write cell, masses, positions and velocities, each with all its digits.

    Parameters
    ----------
    atoms : ase.Atoms
    species : sequence of str
        Elements of the atom types, in their order; there may be more of them than in the crystal.
    axes : LammpsAxes

    Returns
    -------
    str
        Atoms are numbered from 1 in the order of `atoms`.
    """
    box = axes.box(atoms.cell.array)
    symbols = atoms.get_chemical_symbols()
    lines = [f"# {atoms.get_chemical_formula()}", "", f"{len(atoms)} atoms", f"{len(species)} atom types", ""]
    lines += [f"0 {box[a, a]:.17g} {axis}lo {axis}hi" for a, axis in enumerate("xyz")]
    if np.any(np.tril(box, -1)):
        lines.append(f"{box[1, 0]:.17g} {box[2, 0]:.17g} {box[2, 1]:.17g} xy xz yz")
    lines += ["", "Masses", ""]
    lines += [f"{n} {_mass(atoms, symbol):.17g} # {symbol}" for n, symbol in enumerate(species, start=1)]
    types = {symbol: n for n, symbol in enumerate(species, start=1)}
    lines += ["", "Atoms # atomic", ""]
    lines += [
        f"{n} {types[symbol]} {_row(position)}"
        for n, (symbol, position) in enumerate(zip(symbols, axes.into(atoms.positions), strict=True), start=1)
    ]
    lines += ["", "Velocities", ""]
    velocities = axes.into(atoms.get_velocities() * ANGSTROM_PER_PS)
    lines += [f"{n} {_row(velocity)}" for n, velocity in enumerate(velocities, start=1)]
    return "\n".join(lines) + "\n"


def _mass(atoms: Atoms, symbol: str) -> float:
    own = np.flatnonzero(atoms.numbers == atomic_numbers[symbol])
    return float(atoms.get_masses()[own[0]] if len(own) else atomic_masses[atomic_numbers[symbol]])


def _row(vector: np.ndarray) -> str:
    return " ".join(f"{x:.17g}" for x in vector)
