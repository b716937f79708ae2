"""Force constants as clusters of atoms with lattice vectors, and between these and arrays over a supercell.

An array over a supercell does not say which image of an atom a force constant belongs to. Unfolding it gives each to
the nearest image seen from the first atom, and shares it equally among images at the same distance, each atom of a
triplet for itself. This is what phonopy does, and phono3py before it averages over the choice of the first atom; it
keeps the sums over the second and over the third atom, hence the acoustic sum rules. Folding adds up what falls on the
same atoms of the supercell. Folding what was unfolded is exact; unfolding what was folded is exact if no cluster
reaches beyond the nearest images and those at the same distance are shared, which `fold` checks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_iontherm.tasks.force_constant_files.repetition import Repetition

Real = NDArray[np.float64]
Whole = NDArray[np.int64]

ORDER_NAMES = {2: "second", 3: "third", 4: "fourth"}

_LARGEST_ARRAY = 4e9  # bytes; beyond it a laptop swaps
_SAME = (
    1e-6  # of the largest element: above the digits of any of the text formats, below any force constant that counts
)


@dataclass(frozen=True, eq=False)
class Clusters:
    """Sparse force constants of one order; all permutations of a cluster are listed.

    Attributes
    ----------
    atoms
        Primitive atoms of each cluster [m, order].
    cells
        Cells of the second to last atom, the first being in the home cell, in primitive lattice vectors
        [m, order - 1, 3].
    tensors
        Force constants in eV/Angstrom^order [m, 3, ...].
    """

    atoms: Whole
    cells: Whole
    tensors: Real

    def __post_init__(self) -> None:
        m, order = self.atoms.shape
        if self.cells.shape != (m, order - 1, 3) or self.tensors.shape != (m, *(3,) * order):
            raise ValueError(
                f"clusters of {order} atoms {self.atoms.shape} need cells {(m, order - 1, 3)} and tensors "
                f"{(m, *(3,) * order)}, not {self.cells.shape} and {self.tensors.shape}"
            )

    def __len__(self) -> int:
        return len(self.atoms)

    @property
    def order(self) -> int:
        """Number of atoms in a cluster."""
        return self.atoms.shape[1]

    def summed(self) -> Clusters:
        """Each cluster once, the tensors of repeated ones added up, sorted by atoms and cells."""
        rows = np.concatenate([self.atoms, self.cells.reshape(len(self), -1)], axis=1)
        first, group = _groups(rows)
        tensors = np.zeros((len(first), *self.tensors.shape[1:]))
        np.add.at(tensors, group, self.tensors)
        return Clusters(self.atoms[first], self.cells[first], tensors)

    def reach(self, primitive: Atoms) -> float:
        """Largest distance in Angstrom between two atoms of a cluster."""
        places = primitive.positions[self.atoms]
        places[:, 1:] += self.cells @ primitive.cell.array
        pairs = [(i, j) for i in range(self.order) for j in range(i)]
        return max(float(np.linalg.norm(places[:, i] - places[:, j], axis=1).max(initial=0.0)) for i, j in pairs)

    def largest(self) -> float:
        """Largest element in eV/Angstrom^order."""
        return float(np.abs(self.tensors).max(initial=0.0))

    def sum_over_last(self) -> float:
        """Largest element of the sums over the last atom, zero by the acoustic sum rule, in eV/Angstrom^order."""
        others = self.cells[:, :-1].reshape(len(self), -1)
        first, group = _groups(np.concatenate([self.atoms[:, :-1], others], axis=1))
        sums = np.zeros((len(first), *self.tensors.shape[1:]))
        np.add.at(sums, group, self.tensors)
        return float(np.abs(sums).max(initial=0.0))

    def of_first_atom(self, atom: int) -> Clusters:
        """Clusters that start at a primitive atom."""
        return self.chosen(self.atoms[:, 0] == atom)

    def chosen(self, which: NDArray[np.bool_] | Whole) -> Clusters:
        """Clusters picked by a mask or by indices."""
        return Clusters(self.atoms[which], self.cells[which], self.tensors[which])


def joined(parts: Sequence[Clusters]) -> Clusters:
    """All clusters of several lists."""
    return Clusters(
        np.concatenate([part.atoms for part in parts]),
        np.concatenate([part.cells for part in parts]),
        np.concatenate([part.tensors for part in parts]),
    )


def largest_difference(left: Clusters, right: Clusters) -> float:
    """Largest difference between two sets of clusters in eV/Angstrom^order, absent ones being zero."""
    return joined([left, Clusters(right.atoms, right.cells, -right.tensors)]).summed().largest()


def unfold(array: Real, repetition: Repetition) -> Clusters:
    """Clusters with lattice vectors from a compact array [n, N, ..., 3, ...]; zeros are left out."""
    order = array.ndim // 2
    members = np.argwhere(np.any(array != 0, axis=tuple(range(order, 2 * order))))
    return from_members(members, array[tuple(members.T)], repetition)


def from_members(members: Whole, tensors: Real, repetition: Repetition) -> Clusters:
    """Clusters from a row (primitive atom) and supercell indices [m, order], shared among equidistant images."""
    numbers, first, image_cells = repetition.images
    order = members.shape[1]
    shares = np.ones(len(members))
    cells = np.empty((len(members), 0, 3), dtype=np.int64)
    for column in range(1, order):
        rows, atoms = members[:, 0], members[:, column]
        count = numbers[rows, atoms]
        start = first[rows, atoms]
        which = np.repeat(np.arange(len(members)), count)
        nth = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
        cell = image_cells[start[which] + nth]
        members, tensors, shares = members[which], tensors[which], shares[which] / count[which]
        cells = np.concatenate([cells[which], cell[:, None]], axis=1)
    atoms = np.concatenate([members[:, :1], repetition.atom_of[members[:, 1:]]], axis=1)
    return Clusters(atoms, cells, tensors * shares.reshape(-1, *(1,) * order))


def fold(clusters: Clusters, repetition: Repetition) -> Real:
    """Compact array [n, N, ..., 3, ...] over a supercell from clusters of second or third order.

    Raises
    ------
    ValueError
        If the array would be too large for the memory, or the supercell cannot hold the clusters.
    """
    order = clusters.order
    n, atoms = len(repetition.primitive), len(repetition.supercell)
    bytes_needed = 8.0 * n * atoms ** (order - 1) * 3**order
    if bytes_needed > _LARGEST_ARRAY:
        raise ValueError(
            f"{ORDER_NAMES[order]}-order force constants over {atoms} atoms would fill {bytes_needed / 1e9:.1f} GB: "
            "keep them as clusters, or take a smaller supercell"
        )
    array = np.zeros((n, *(atoms,) * (order - 1), *(3,) * order))
    np.add.at(array, tuple(members_of(clusters, repetition).T), clusters.tensors)
    miss = largest_difference(clusters, unfold(array, repetition))
    if miss > _SAME * clusters.largest():
        raise ValueError(
            f"the supercell of {atoms} atoms is too small for these {ORDER_NAMES[order]}-order force constants, which "
            f"reach {clusters.reach(repetition.primitive):.2f} Angstrom: images of an atom fall on each other and "
            f"{miss:.2g} eV/Angstrom^{order} would be lost; take a larger supercell or a shorter cutoff"
        )
    return array


def members_of(clusters: Clusters, repetition: Repetition) -> Whole:
    """Row (primitive atom) and supercell indices of each cluster [m, order]."""
    first = clusters.atoms[:, :1]
    home = repetition.cells[repetition.p2s[first[:, 0]]]
    return np.concatenate([first, repetition.index(clusters.atoms[:, 1:], home[:, None] + clusters.cells)], axis=1)


def _groups(rows: Whole) -> tuple[Whole, Whole]:
    """First row of each set of equal rows [m, k], sets being sorted, and the set each row is in."""
    if len(rows) == 0:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    order = np.lexsort(rows.T[::-1])
    ordered = rows[order]
    new = np.concatenate([[True], np.any(ordered[1:] != ordered[:-1], axis=1)])
    group = np.empty(len(rows), dtype=np.int64)
    group[order] = np.cumsum(new) - 1
    return order[new], group
