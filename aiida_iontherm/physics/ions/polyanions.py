"""Polyanions of a framework: tetrahedra and other finite groups of bonded atoms."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols, covalent_radii
from ase.neighborlist import neighbor_list
from numpy.typing import NDArray

BOND_TOLERANCE = 1.2
"""Bonds are at most this times the sum of the covalent radii of B. Cordero et al. (Dalton Trans. 2008, 2832): thermal
stretching of P-S, Si-Se or B-H stays below 1.15, the next distances (S...S in PS4: 3.4 Angstrom) are above 1.5."""

MIN_LIGANDS = 3
"""With fewer there is no orientation in space to follow."""

COUNTER_IONS = frozenset({"Li", "Na", "K", "Rb", "Cs", "Mg", "Ca", "Sr", "Ba", "Tl"})
"""Their bonds are ionic whatever their distance; they stand between groups, not in them."""


@dataclass(frozen=True, kw_only=True)
class Polyanion:
    """A centre with the ligands bonded to it.

    Attributes
    ----------
    label
        Centre first, e.g. ``PS4``.
    centre
        Index of the centre.
    ligands
        ``[k]`` indices.
    images
        ``[k, 3]`` cell of each ligand as seen from the centre, for the positions as they were given.
    molecule
        ``[m]`` indices of all atoms bonded to each other, the group included: more than the group in P2S7.
    """

    label: str
    centre: int
    ligands: NDArray[np.int64]
    images: NDArray[np.int64]
    molecule: NDArray[np.int64]

    @property
    def atoms(self) -> NDArray[np.int64]:
        """``[k + 1]`` the centre, then the ligands."""
        return np.append(self.centre, self.ligands)


def find_polyanions(
    atoms: Atoms,
    mobile: str,
    *,
    bond_tolerance: float = BOND_TOLERANCE,
    centre: str | None = None,
    ligand: str | None = None,
    bond_length_A: float | None = None,
) -> tuple[Polyanion, ...]:
    """Find the finite groups of bonded framework atoms, and in each the centres with their ligands.

    Two framework atoms are bonded where they are nearer than ``bond_tolerance`` times the sum of their covalent radii
    and neither is one of `COUNTER_IONS`. What is bonded to its own periodic images (the Cu-I network of a
    halide, layers, chains) is no polyanion. A centre has at least three bonds, and none of its neighbours has
    more; P2S7 has two. With ``centre`` and ``ligand`` only bonds between these two species count, which finds
    the octahedra of an oxide, too, as long as they share no atoms.

    Parameters
    ----------
    atoms
        One structure or frame, with a cell.
    mobile
        Symbol of the mobile ions: they belong to no group.
    bond_tolerance
        See `BOND_TOLERANCE`.
    centre, ligand
        Symbols, given together.
    bond_length_A
        Longest bond between the two, instead of the tolerance; only with them.

    Returns
    -------
    the groups, in the order of their centres; none where the framework has none.

    Raises
    ------
    ValueError
        If the mobile species is not in the structure or is asked for as a part of a group, a symbol is not in the
        structure, only one of centre and ligand is given, or a number is not positive.
    """
    symbols = np.array(atoms.get_chemical_symbols())
    _check(symbols, mobile, centre, ligand, bond_length_A, bond_tolerance)
    if atoms.cell.rank < 3:
        raise ValueError("polyanions are looked for in a periodic structure: it has no three-dimensional cell")
    periodic = atoms.copy()
    periodic.pbc = True
    if centre is not None and ligand is not None:
        kinds = {(centre, ligand)}
    else:
        framework = sorted(set(symbols) - {mobile} - COUNTER_IONS)
        kinds = {(a, b) for i, a in enumerate(framework) for b in framework[i:]}
    cutoffs = {
        (a, b): bond_tolerance * (_radius(a) + _radius(b)) if bond_length_A is None else bond_length_A for a, b in kinds
    }
    if not cutoffs:
        return ()
    i, j, shift = neighbor_list("ijS", periodic, cutoffs)
    bonds: dict[int, list[tuple[int, NDArray[np.int64]]]] = {}
    for a, b, image in zip(i.tolist(), j.tolist(), shift.astype(np.int64), strict=True):
        bonds.setdefault(a, []).append((b, image))
    found: list[Polyanion] = []
    seen: set[int] = set()
    for start in sorted(bonds):
        if start in seen:
            continue
        molecule, finite = _molecule(start, bonds)
        seen.update(molecule)
        if finite:
            found += _groups(molecule, bonds, symbols, centre)
    return tuple(sorted(found, key=lambda group: group.centre))


def _check(
    symbols: NDArray[np.str_],
    mobile: str,
    centre: str | None,
    ligand: str | None,
    bond_length_A: float | None,
    bond_tolerance: float,
) -> None:
    if (centre is None) != (ligand is None) or (bond_length_A is not None and centre is None):
        raise ValueError("give the centre and the ligand of the polyanions together, and a bond length only with them")
    if mobile in (centre, ligand):
        raise ValueError(f"{mobile} is mobile and cannot be part of a polyanion: name another centre or ligand")
    for symbol in (mobile, centre, ligand):
        if symbol is not None and symbol not in symbols:
            raise ValueError(f"there is no {symbol} in the structure, which holds {', '.join(sorted(set(symbols)))}")
    if bond_tolerance <= 0 or (bond_length_A is not None and bond_length_A <= 0):
        raise ValueError("bond tolerance and bond length must be positive")


def _radius(symbol: str) -> float:
    return float(covalent_radii[chemical_symbols.index(symbol)])


def _molecule(start: int, bonds: dict[int, list[tuple[int, NDArray[np.int64]]]]) -> tuple[list[int], bool]:
    """Atoms connected to one, and whether no way along bonds leads to an image of an atom."""
    images = {start: np.zeros(3, dtype=np.int64)}
    waiting, finite = [start], True
    while waiting:
        atom = waiting.pop()
        for other, shift in bonds[atom]:
            image = images[atom] + shift
            if other not in images:
                images[other] = image
                waiting.append(other)
            elif np.any(images[other] != image):
                finite = False
    return sorted(images), finite


def _groups(
    molecule: list[int],
    bonds: dict[int, list[tuple[int, NDArray[np.int64]]]],
    symbols: NDArray[np.str_],
    centre: str | None,
) -> list[Polyanion]:
    groups = []
    for atom in molecule:
        neighbours = bonds[atom]
        count = len(neighbours)
        if count < MIN_LIGANDS or (centre is not None and symbols[atom] != centre):
            continue
        if centre is None and any(len(bonds[other]) > count for other, _ in neighbours):
            continue
        ligands = np.array([other for other, _ in neighbours])
        order = np.argsort(ligands, kind="stable")
        counts = Counter(symbols[ligands[order]].tolist())
        formula = "".join(symbol + (str(n) if n > 1 else "") for symbol, n in sorted(counts.items()))
        groups.append(
            Polyanion(
                label=f"{symbols[atom]}{formula}",
                centre=atom,
                ligands=ligands[order],
                images=np.array([shift for _, shift in neighbours])[order],
                molecule=np.array(molecule),
            )
        )
    return groups
