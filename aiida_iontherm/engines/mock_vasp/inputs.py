"""Read a folder as VASP reads it, check it, and make a hash of what decides the result."""

from __future__ import annotations

import hashlib
import io
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms, units
from ase.io.vasp import read_vasp

from aiida_iontherm.engines.mock_vasp.errors import VaspStop
from aiida_iontherm.engines.mock_vasp.incar import Incar
from aiida_iontherm.engines.mock_vasp.kpoints import KPoints, mesh_from_spacing, read_kpoints
from aiida_iontherm.engines.mock_vasp.potcar import Potcar, read_potcars
from aiida_iontherm.engines.mock_vasp.settings import Settings, read_settings

if TYPE_CHECKING:
    from pathlib import Path

IRRELEVANT = frozenset({"SYSTEM", "NCORE", "NPAR", "KPAR", "NSIM", "LPLANE", "LWAVE", "LCHARG", "NWRITE"})
"""Tags that name a run, spread it over processors, or write more files: they do not change the result."""


@dataclass(frozen=True)
class Inputs:
    """Everything a run depends on but the engine.

    ``atoms`` carries the masses of POTCAR, the fixed coordinates of POSCAR, and momenta where POSCAR has velocities;
    ``counts`` are the atoms of each block of POSCAR, as many as data sets in POTCAR.
    """

    incar: Incar
    settings: Settings
    comment: str
    atoms: Atoms
    counts: tuple[int, ...]
    kpoints: KPoints
    potcars: tuple[Potcar, ...]

    @property
    def key(self) -> str:
        """SHA-256 of the normalised inputs: comments, layout and tags that change no result do not count."""
        content = {
            "incar": {name: self.incar.normal(name) for name in self.incar.tags if name not in IRRELEVANT},
            "potcar": [potcar.title for potcar in self.potcars],
            "symbols": self.atoms.get_chemical_symbols(),
            "cell": _rounded(self.atoms.cell.array),
            "positions": _rounded(self.atoms.get_scaled_positions(wrap=False)),
            "momenta": _rounded(self.atoms.get_momenta()),
            "fixed": [constraint.todict()["kwargs"] for constraint in self.atoms.constraints],
            "kpoints": _rounded(np.column_stack([self.kpoints.points, self.kpoints.weights])),
        }
        text = json.dumps(content, sort_keys=True, default=lambda array: np.asarray(array).tolist())
        return hashlib.sha256(text.encode()).hexdigest()


def read_inputs(folder: Path) -> Inputs:
    """Read INCAR, POSCAR, KPOINTS (or KSPACING) and POTCAR.

    Raises
    ------
    VaspStop
        If a file is missing or unreadable, or POSCAR and POTCAR do not fit each other.
    """
    incar = Incar.parse(_text(folder, "INCAR"))
    poscar = _text(folder, "POSCAR")
    potcars = read_potcars(_text(folder, "POTCAR"))
    names, counts = _blocks(poscar)
    _check_species(names, counts, potcars)
    settings = read_settings(incar, len(counts), max(potcar.cutoff for potcar in potcars))
    atoms = _read_atoms(poscar, potcars, settings)
    atoms.set_masses(np.repeat([potcar.mass for potcar in potcars], counts))
    if (folder / "KPOINTS").is_file():
        kpoints = read_kpoints(_text(folder, "KPOINTS"), atoms.cell)
    else:
        kpoints = mesh_from_spacing(incar.number("KSPACING", 0.5), incar.logical("KGAMMA", True), atoms.cell)
    return Inputs(incar, settings, poscar.splitlines()[0].strip(), atoms, counts, kpoints, potcars)


def _rounded(array: np.ndarray) -> list[Any]:
    """Numbers as the files carry them; adding zero takes the sign off -0.0."""
    return (np.round(array, 8) + 0.0).tolist()


def _text(folder: Path, name: str) -> str:
    try:
        text = (folder / name).read_text(encoding="utf8")
    except FileNotFoundError as error:
        raise VaspStop(f"No {name} found, STOPPING") from error
    except UnicodeDecodeError as error:
        raise VaspStop(f"ERROR: the file {name} is no text.") from error
    if not text.strip() and name != "INCAR":
        raise VaspStop(f"ERROR: the file {name} is empty.")
    return text


def _blocks(poscar: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names, empty where the file is of the old format without them, and atoms of the blocks of a POSCAR."""
    lines = [line.split("!")[0] for line in poscar.splitlines()]
    try:
        names = tuple(lines[5].split()) if not lines[5].split()[0].isdigit() else ()
        counts = tuple(int(word) for word in lines[6 if names else 5].split())
    except (IndexError, ValueError) as error:
        raise VaspStop("ERROR: there must be 1 or more atoms on each line of numbers of POSCAR.") from error
    return names, counts


def _check_species(names: tuple[str, ...], counts: tuple[int, ...], potcars: tuple[Potcar, ...]) -> None:
    if len(potcars) != len(counts):
        raise VaspStop(
            "ERROR: number of potentials on File POTCAR incompatible with number of species\n"
            f" INCAR :{len(counts):12d} POTCAR:{len(potcars):12d}"
        )
    if names and len(names) != len(counts):
        raise VaspStop(f"ERROR: POSCAR has {len(names)} names for {len(counts)} numbers of atoms.")
    # Kinds such as Cu1 and labels such as Cu_pv/6a2f546d begin with the element.
    given = [re.match(r"[A-Z][a-z]?", name) for name in names]
    for name, match, potcar in zip(names, given, potcars, strict=False):
        if match is None or match[0] != potcar.element:
            # VASP only warns and takes the species of POTCAR; nobody ever meant that.
            raise VaspStop(
                "WARNING: type information on POSCAR and POTCAR are incompatible\n"
                f" POSCAR has {name} where POTCAR has {potcar.element}: put them into the same order."
            )


def _read_atoms(poscar: str, potcars: tuple[Potcar, ...], settings: Settings) -> Atoms:
    """Structure of a POSCAR whose species are those of POTCAR, positions in [0, 1)."""
    lines = poscar.splitlines()
    names = " ".join(potcar.element for potcar in potcars)
    if lines[5].split()[0].isdigit():
        lines.insert(5, names)
    else:
        lines[5] = names
    try:
        atoms = read_vasp(io.StringIO("\n".join(lines) + "\n"))
    except (ValueError, IndexError, AssertionError) as error:
        raise VaspStop("ERROR: POSCAR ends early or holds what is no number.") from error
    if np.linalg.det(atoms.cell.array) <= 0:
        raise VaspStop("ERROR: the triple product of the basis vectors is negative or zero: exchange two of them.")
    coordinates = lines[7:]
    if coordinates[0].strip()[:1] in "sS":
        coordinates = coordinates[1:]
    after = coordinates[len(atoms) + 1 :]
    if atoms.has("momenta") and after and after[0].strip()[:1] in ("d", "D"):
        # ASE takes velocities for Angstrom/fs; here they are in lattice vectors per time step.
        fractions = atoms.get_velocities() * units.fs
        atoms.set_velocities(fractions @ atoms.cell.array / (settings.potim * units.fs))
    constraints = atoms.constraints
    atoms.set_constraint()
    atoms.set_scaled_positions(atoms.get_scaled_positions(wrap=True))
    atoms.set_constraint(constraints)
    return atoms
