"""From what the user names, a file or a compound, to one ordered periodic cell; or one line saying why not."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols, covalent_radii
from ase.neighborlist import neighbor_list

from aiida_iontherm.materials.table import Compound, find

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from aiida_iontherm.materials.ordering import OrderedCell

# Monovalent cations that migrate, lightest first: where a compound holds two of them (LiNa..., AgCu...) the first of
# this list is taken, and the user can name another.
MOBILE_CANDIDATES = ("Li", "Na", "Cu", "Ag")
SHORTEST_DISTANCE_A = 0.8
RADII_FRACTION = 0.5


@dataclass(frozen=True, kw_only=True)
class LoadedStructure:
    """A cell ready to compute with.

    Attributes
    ----------
    atoms
        Periodic ``ase.Atoms`` without overlapping atoms.
    name
        Id of the table or stem of the file.
    origin
        Where it comes from: a citation, or the path of the file.
    mobile
        Element that migrates, or ``None``.
    notes
        Sentences the user should see: trust tier, rounded occupancies, what the file reader found odd.
    compound
        The entry of the table, where it is one.
    ordering
        How the ordered cell was made, where the structure was partly occupied.
    """

    atoms: Atoms
    name: str
    origin: str
    mobile: str | None
    notes: tuple[str, ...]
    compound: Compound | None = None
    ordering: OrderedCell | None = None


def load_structure(
    source: str | Path,
    *,
    order: bool = False,
    max_atoms: int = 60,
    seed: int = 0,
    charges: Mapping[str, float] | None = None,
) -> LoadedStructure:
    """Load a structure from a file or from the table of compounds.

    Parameters
    ----------
    source
        Path to a CIF, POSCAR/CONTCAR or extended XYZ file, or an id or formula of the table. An existing file wins
        over a formula of the same name; text with a path separator or a file ending is always a path.
    order
        Make an ordered cell where sites are partly occupied, instead of refusing.
    max_atoms, seed, charges
        Passed to `ordering.ordered_cell`.

    Returns
    -------
    LoadedStructure
        The cell with its origin and notes.

    Raises
    ------
    ValueError
        One line: unknown file or compound, no structure in the file, no periodic cell, partial occupancy without
        ``order``, overlapping atoms.
    """
    path = Path(source).expanduser()
    if path.is_file():
        return _from_file(path, order, max_atoms, seed, charges)
    text = str(source)
    if "/" in text or "\\" in text or re.search(r"\.(cif|vasp|poscar|xyz|extxyz)$", text, re.IGNORECASE):
        raise ValueError(f"no file {text}: check the path")
    try:
        compound = find(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is neither a file nor a compound: {error}") from None
    return _from_table(compound, order, max_atoms, seed, charges)


def reduced_formula(atoms: Atoms) -> str:
    """Return the formula with the smallest whole numbers, metals first: CsCu2I3, AgI, Li6PS5Cl."""
    return str(atoms.symbols.formula.reduce()[0].format("metal"))


def guess_mobile_species(atoms: Atoms) -> str | None:
    """Return the monovalent cation that most likely migrates: the first of Li, Na, Cu, Ag present, or ``None``."""
    present = set(atoms.get_chemical_symbols())
    return next((symbol for symbol in MOBILE_CANDIDATES if symbol in present), None)


def _from_table(
    compound: Compound, order: bool, max_atoms: int, seed: int, charges: Mapping[str, float] | None
) -> LoadedStructure:
    from aiida_iontherm.materials.ordering import ordered_cell

    ordering = None
    if order and not compound.ordered:
        ordering = ordered_cell(compound.to_pymatgen(), max_atoms=max_atoms, seed=seed, charges=charges)
        atoms = ordering.atoms
    else:
        atoms = compound.to_atoms()
    notes = [f"{compound.id}: {compound.tier.sentence}"]
    notes += [compound.note] if compound.note else []
    notes += ordering.notes if ordering else ()
    _check(atoms, compound.id)
    return LoadedStructure(
        atoms=atoms,
        name=compound.id,
        origin=compound.citation,
        mobile=compound.mobile[0] if compound.mobile else None,
        notes=tuple(notes),
        compound=compound,
        ordering=ordering,
    )


def _from_file(
    path: Path, order: bool, max_atoms: int, seed: int, charges: Mapping[str, float] | None
) -> LoadedStructure:
    kind = _kind(path)
    ordering = None
    notes: list[str] = []
    if kind == "cif":
        structure, notes = _read_cif(path)
        partial = _partial_sites(structure)
        if partial and not order:
            raise ValueError(
                f"{path}: partial occupancy ({', '.join(partial[:4])}{', ...' if len(partial) > 4 else ''}):"
                " let an ordered cell be made with --order, or give an ordered file"
            )
        if partial:
            from aiida_iontherm.materials.ordering import ordered_cell

            ordering = ordered_cell(structure, max_atoms=max_atoms, seed=seed, charges=charges)
            atoms = ordering.atoms
            notes += ordering.notes
        else:
            symbols = [site.specie.symbol for site in structure]
            atoms = Atoms(symbols, cell=structure.lattice.matrix, scaled_positions=structure.frac_coords, pbc=True)
    else:
        atoms, notes = _read_with_ase(path, kind)
    _check(atoms, str(path))
    return LoadedStructure(
        atoms=atoms,
        name=path.stem if path.suffix else path.name,
        origin=str(path),
        mobile=guess_mobile_species(atoms),
        notes=tuple(notes),
        ordering=ordering,
    )


def _kind(path: Path) -> str:
    """Return cif, vasp or extxyz, from the name, else from the first lines."""
    name, suffix = path.name.lower(), path.suffix.lower()
    if suffix == ".cif":
        return "cif"
    if suffix in (".xyz", ".extxyz"):
        return "extxyz"
    if suffix in (".vasp", ".poscar") or name.startswith(("poscar", "contcar")):
        return "vasp"
    with path.open(encoding="utf-8", errors="replace") as handle:
        head = [handle.readline(400).strip() for _ in range(40)]
    if any(line.lower().startswith(("data_", "_cell_length_a")) for line in head):
        return "cif"
    if head[0].isdigit() and "=" in head[1]:
        return "extxyz"
    if all(_numbers(line) >= 3 for line in head[2:5]):
        return "vasp"
    raise ValueError(f"{path} is not a structure file: give a CIF, POSCAR/CONTCAR or extended XYZ file")


def _numbers(line: str) -> int:
    """Return how many numbers a line starts with."""
    count = 0
    for word in line.split():
        try:
            float(word)
        except ValueError:
            break
        count += 1
    return count


def _read_cif(path: Path) -> tuple[Structure, list[str]]:
    """Return the first structure of a CIF, with a along x and b in the xy plane, and what was odd about it."""
    from ase.geometry import cellpar_to_cell
    from pymatgen.core import Lattice, Structure
    from pymatgen.io.cif import CifParser

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            # 1.02: occupancies of shared sites rounded to three digits may add up to a little over one.
            structures = CifParser(path, occupancy_tolerance=1.02).parse_structures(primitive=False)
        except Exception as error:
            raise ValueError(f"{path} holds no readable structure ({_line(error)})") from error
    notes = sorted({_line(w.message) for w in caught if issubclass(w.category, UserWarning)})
    if len(structures) > 1:
        notes.append(f"the file holds {len(structures)} structures; the first is used")
    found = structures[0]
    # pymatgen puts c along z; ASE, VASP files made from CIFs and our table put a along x. One convention for all.
    lattice = Lattice(cellpar_to_cell(found.lattice.parameters))
    return Structure(lattice, found.species_and_occu, found.frac_coords, labels=found.labels), notes


def _partial_sites(structure: Structure) -> list[str]:
    """Return 'label: occupation' of the partly occupied sites, each kind once."""
    partial = {
        f"{site.label}: {site.species_string}"
        for site in structure
        if len(site.species) > 1 or site.species.num_atoms < 0.999
    }
    return sorted(partial)


def _read_with_ase(path: Path, kind: str) -> tuple[Atoms, list[str]]:
    import ase.io

    try:
        frames = list(ase.io.iread(path, index=":", format=kind))
    except Exception as error:
        # The readers raise whatever their parsing runs into; a file that cannot be read is one message to the user.
        raise ValueError(f"{path} holds no readable structure ({_line(error)})") from error
    if not frames:
        raise ValueError(f"{path} holds no structure: the file is empty")
    notes = [] if len(frames) == 1 else [f"the file holds {len(frames)} structures; the last is used"]
    atoms = frames[-1]
    if "occupancy" in atoms.info:
        raise ValueError(
            f"{path}: partial occupancy cannot be read from this format, give the CIF file and use --order"
        )
    return Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc), notes


def _line(error: object) -> str:
    """Return the first line of an error, short."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:160]


def _check(atoms: Atoms, name: str) -> None:
    """Raise ``ValueError`` for a cell nothing can be computed with."""
    if len(atoms) == 0:
        raise ValueError(f"{name} holds no atoms")
    if not (np.all(np.isfinite(atoms.positions)) and np.all(np.isfinite(atoms.cell[:]))):
        raise ValueError(f"{name}: positions or lattice vectors are not finite numbers")
    if not atoms.pbc.all() or abs(atoms.cell.volume) < 1e-3:
        raise ValueError(f"{name} is not a periodic crystal: three independent lattice vectors are needed")
    if np.any(atoms.numbers < 1):
        raise ValueError(f"{name} holds atoms of no known element ({chemical_symbols[0]})")
    radii = covalent_radii[atoms.numbers]
    limit = max(SHORTEST_DISTANCE_A, 2 * RADII_FRACTION * float(radii.max()))
    first, second, distances = neighbor_list("ijd", atoms, limit)
    allowed = np.maximum(SHORTEST_DISTANCE_A, RADII_FRACTION * (radii[first] + radii[second]))
    overlaps = np.flatnonzero(distances < allowed)
    if len(overlaps):
        worst = overlaps[np.argmin(distances[overlaps])]
        i, j = sorted((int(first[worst]), int(second[worst])))
        symbols = atoms.get_chemical_symbols()
        pair = f"{symbols[i]} (atom {i + 1}) and {symbols[j]} (atom {j + 1})"
        if i == j:
            pair = f"{symbols[i]} (atom {i + 1}) and its own periodic image"
        raise ValueError(
            f"{name}: {pair} are {distances[worst]:.2f} Angstrom apart, less than {allowed[worst]:.2f}:"
            " atoms overlap; check the cell, the units and duplicated or split sites"
        )
