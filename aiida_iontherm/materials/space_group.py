"""The space group of a cell."""

from __future__ import annotations

from dataclasses import dataclass

import spglib
from ase import Atoms

SYMPREC = 0.01
"""Angstrom; forces of some meV/Angstrom leave atoms that far from where symmetry has them."""


@dataclass(frozen=True)
class SpaceGroup:
    """A space group and the size of its primitive cell.

    Attributes
    ----------
    symbol : str
        International, short.
    number : int
    order : int
        Of its point group.
    primitive_atoms : int
        Atoms in the primitive cell.
    """

    symbol: str
    number: int
    order: int
    primitive_atoms: int

    def __str__(self) -> str:
        return f"{self.symbol} ({self.number})"

    def is_lower_than(self, other: SpaceGroup) -> bool:
        """Whether operations of `other` are gone: rotations, or translations, which makes the primitive cell larger."""
        return self.order < other.order or self.primitive_atoms > other.primitive_atoms


def space_group(atoms: Atoms, symprec: float = SYMPREC) -> SpaceGroup:
    """Return the space group of a cell.

    Parameters
    ----------
    atoms : ase.Atoms
    symprec : float
        Angstrom.

    Raises
    ------
    ValueError
        If spglib finds none: atoms lie on each other, or the cell is flat.
    """
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    try:
        found = spglib.get_symmetry_dataset(cell, symprec=symprec)
    except Exception as error:  # spglib's own classes are private
        raise ValueError("this cell has no space group: do atoms lie on each other?") from error
    if found is None:
        raise ValueError("this cell has no space group: do atoms lie on each other?")
    # Not the rotations of this cell: one that is not primitive may have fewer than its crystal.
    rotations = spglib.get_symmetry_from_database(found.hall_number)["rotations"]
    return SpaceGroup(
        symbol=found.international,
        number=int(found.number),
        order=len({rotation.tobytes() for rotation in rotations}),
        primitive_atoms=len(set(found.mapping_to_primitive.tolist())),
    )
