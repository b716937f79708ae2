"""The one form in memory that all files of force constants are read into and written from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_iontherm.tasks.force_constant_files.clusters import ORDER_NAMES, Clusters, fold, unfold
from aiida_iontherm.tasks.force_constant_files.repetition import Repetition


@dataclass(frozen=True, eq=False)
class ForceConstants:
    """Force constants of one crystal; an order that is not known is None.

    Attributes
    ----------
    repetition
        Primitive cell, supercell and how they fit; the atoms in the order of the arrays.
    second
        Compact array [n, N, 3, 3] in eV/Angstrom^2, rows in the order of the primitive atoms.
    third
        Compact array [n, N, N, 3, 3, 3] or clusters, in eV/Angstrom^3.
    fourth
        Clusters in eV/Angstrom^4.
    nac
        Born charges (``born`` [n, 3, 3] in e), dielectric tensor (``dielectric`` [3, 3]) and what else phonopy takes
        as ``nac_params``.
    """

    repetition: Repetition
    second: NDArray[np.float64] | None = None
    third: NDArray[np.float64] | Clusters | None = None
    fourth: Clusters | None = None
    nac: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        n, atoms = len(self.primitive), len(self.supercell)
        for order, array in ((2, self.second), (3, self.third)):
            shape = (n, *(atoms,) * (order - 1), *(3,) * order)
            if isinstance(array, np.ndarray) and array.shape != shape:
                raise ValueError(f"{ORDER_NAMES[order]}-order array is {array.shape}, needs {shape} for these cells")
        for order, clusters in ((3, self.third), (4, self.fourth)):
            if not isinstance(clusters, Clusters):
                continue
            if clusters.order != order:
                raise ValueError(f"{ORDER_NAMES[order]}-order force constants need clusters of {order} atoms")
            if len(clusters) and not 0 <= clusters.atoms.min() <= clusters.atoms.max() < n:
                raise ValueError(f"clusters name atoms outside the primitive cell of {n} atoms")

    @property
    def primitive(self) -> Atoms:
        """Primitive cell."""
        return self.repetition.primitive

    @property
    def supercell(self) -> Atoms:
        """Supercell, atoms in the order of the arrays."""
        return self.repetition.supercell

    @property
    def matrix(self) -> NDArray[np.int64]:
        """Supercell in terms of the primitive cell as phonopy takes it [3, 3]."""
        return self.repetition.matrix

    def pairs(self) -> Clusters:
        """Second order with lattice vectors.

        Raises
        ------
        ValueError
            If there is none.
        """
        return unfold(_needed(self.second, 2), self.repetition)

    def triplets(self) -> Clusters:
        """Third order with lattice vectors.

        Raises
        ------
        ValueError
            If there is none.
        """
        third = _needed(self.third, 3)
        return third if isinstance(third, Clusters) else unfold(third, self.repetition)

    def third_array(self) -> NDArray[np.float64]:
        """Third order as a compact array over the supercell.

        Raises
        ------
        ValueError
            If there is none, or the supercell cannot hold it.
        """
        third = _needed(self.third, 3)
        return fold(third, self.repetition) if isinstance(third, Clusters) else third

    def in_supercell(self, supercell: Atoms) -> ForceConstants:
        """Give the same force constants in another supercell, or in another order of atoms.

        Raises
        ------
        ValueError
            If that supercell is too small for them, or not made of this primitive cell.
        """
        target = Repetition.of(self.primitive, supercell)
        second = None if self.second is None else fold(self.pairs(), target)
        third = None if self.third is None else self.triplets()
        return replace(self, repetition=target, second=second, third=third)

    def joined(self, other: ForceConstants) -> ForceConstants:
        """Orders and charges of both, of the same primitive cell; the supercell is the one with the second order.

        Raises
        ------
        ValueError
            If the primitive cells differ, or both have the same order.
        """
        Repetition.of(self.primitive, other.primitive)
        first, rest = (self, other) if self.second is not None or other.second is None else (other, self)
        for name in ("second", "third", "fourth"):
            if getattr(first, name) is not None and getattr(rest, name) is not None:
                raise ValueError(f"both have {name}-order force constants: which ones are meant?")
        third = first.third
        if rest.third is not None:
            third = rest.third if _same_atoms(first.supercell, rest.supercell) else rest.triplets()
        return replace(
            first, third=third, fourth=first.fourth or rest.fourth, nac=first.nac if rest.nac is None else rest.nac
        )


def _same_atoms(left: Atoms, right: Atoms) -> bool:
    return (
        len(left) == len(right)
        and bool(np.all(left.numbers == right.numbers))
        and np.allclose(left.cell.array, right.cell.array, rtol=0, atol=1e-3)
        and np.allclose(left.positions, right.positions, rtol=0, atol=1e-3)
    )


def _needed(constants: Any, order: int) -> Any:
    if constants is None:
        raise ValueError(f"there are no {ORDER_NAMES[order]}-order force constants here: read them first")
    return constants
