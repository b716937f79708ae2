"""How a supercell repeats a primitive cell: which atom of the primitive cell, in which cell, each of its atoms is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray
from phonopy.structure.atoms import PhonopyAtoms
from phonopy.structure.cells import get_smallest_vectors, get_supercell

POSITION_TOLERANCE = 1e-3
"""In Angstrom: the same sites written by two programs agree to better, two relaxations of a cell do not."""

_EQUIDISTANT = 1e-5  # Angstrom, phonopy's tolerance for images at the same distance


@dataclass(frozen=True, eq=False)
class Repetition:
    """A supercell as whole primitive cells.

    Attributes
    ----------
    primitive, supercell
        The two cells; the order of the atoms is kept.
    matrix
        Supercell in terms of the primitive cell as phonopy takes it, lattice vectors being columns [3, 3].
    atom_of
        Atom of the primitive cell that each atom of the supercell repeats [N].
    cells
        Primitive cell it is in, as multiples of the primitive lattice vectors [N, 3].
    p2s
        First atom of the supercell that repeats each primitive atom [n]: the rows of compact arrays.
    """

    primitive: Atoms
    supercell: Atoms
    matrix: NDArray[np.int64]
    atom_of: NDArray[np.int64]
    cells: NDArray[np.int64]
    p2s: NDArray[np.int64]

    @classmethod
    def of(cls, primitive: Atoms, supercell: Atoms, tolerance: float = POSITION_TOLERANCE) -> Repetition:
        """Match two cells.

        Raises
        ------
        ValueError
            If one is not a repetition of the other: in lattice, number of atoms, sites or species.
        """
        for name, atoms in (("primitive cell", primitive), ("supercell", supercell)):
            if atoms.cell.rank < 3 or len(atoms) == 0:
                raise ValueError(f"the {name} needs atoms and three lattice vectors: force constants are of crystals")
        rows = _whole_multiples(primitive, supercell, tolerance)
        count = abs(round(np.linalg.det(rows)))
        if len(supercell) != count * len(primitive):
            raise ValueError(
                f"the supercell holds {count} primitive cells of {len(primitive)} atoms by its lattice, but "
                f"{len(supercell)} atoms: are these two cells of the same crystal?"
            )
        atom_of, cells = _sites(primitive, supercell, tolerance)
        found = cls(
            primitive=primitive,
            supercell=supercell,
            matrix=rows.T,
            atom_of=atom_of,
            cells=cells,
            p2s=np.array([np.flatnonzero(atom_of == atom)[0] for atom in range(len(primitive))]),
        )
        if len(np.unique(found._keys(atom_of, cells))) < len(supercell):
            raise ValueError("two atoms of the supercell are on one site, and another site is empty: check the cell")
        return found

    @property
    def n_cells(self) -> int:
        """Number of primitive cells in the supercell."""
        return len(self.supercell) // len(self.primitive)

    @property
    def is_diagonal(self) -> bool:
        """Whether each supercell vector is a multiple of one primitive vector."""
        return bool(np.count_nonzero(self.matrix - np.diag(np.diag(self.matrix))) == 0)

    def index(self, atoms: ArrayLike, cells: ArrayLike) -> NDArray[np.int64]:
        """Supercell index [...] of primitive atoms [...] in the cells [..., 3] anywhere in the crystal."""
        order, keys = self._sorted_keys
        return order[np.searchsorted(keys, self._keys(np.asarray(atoms), np.asarray(cells)))]

    def moved(self, start: int, target: int) -> NDArray[np.int64]:
        """Where each atom of the supercell goes [N] under the lattice translation that takes `start` to `target`."""
        return self.index(self.atom_of, self.cells + self.cells[target] - self.cells[start])

    @cached_property
    def images(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Nearest images of each supercell atom seen from each primitive atom: number, first one, cells.

        Returns
        -------
        Numbers [n, N] of equidistant images and index of the first [n, N] into their cells [images, 3], relative to
        the cell of the primitive atom.
        """
        # Positions without the rounding of a file, or images that are equidistant by symmetry are not found to be.
        lattice = self.primitive.cell.array
        superlattice = self.matrix.T @ lattice
        positions = self.primitive.positions[self.atom_of] + self.cells @ lattice
        fractional = positions @ np.linalg.inv(superlattice)
        vectors, multiplicities = get_smallest_vectors(
            superlattice, fractional, fractional[self.p2s], store_dense_svecs=True, symprec=_EQUIDISTANT
        )
        numbers, first = multiplicities[:, :, 0].T, multiplicities[:, :, 1].T
        owner = np.empty((len(vectors), 2), dtype=np.int64)
        for i, j in np.ndindex(numbers.shape):
            owner[first[i, j] : first[i, j] + numbers[i, j]] = i, self.atom_of[j]
        between = self.primitive.positions[owner[:, 1]] - self.primitive.positions[owner[:, 0]]
        cells = np.rint((vectors @ superlattice - between) @ np.linalg.inv(lattice)).astype(np.int64)
        return numbers, first, cells

    def _keys(self, atoms: NDArray[np.int64], cells: NDArray[np.int64]) -> NDArray[np.int64]:
        # R is a vector of the superlattice exactly if R adj(M) = 0 modulo det(M): integers, no rounding.
        rows = self.matrix.T
        determinant = round(np.linalg.det(rows))
        adjugate = np.rint(np.linalg.inv(rows) * determinant).astype(np.int64)
        size = abs(determinant)
        reduced = (cells @ adjugate) % size
        return ((atoms * size + reduced[..., 0]) * size + reduced[..., 1]) * size + reduced[..., 2]

    @cached_property
    def _sorted_keys(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        keys = self._keys(self.atom_of, self.cells)
        order = np.argsort(keys)
        return order, keys[order]


def phonopy_supercell(primitive: Atoms, matrix: ArrayLike) -> Atoms:
    """Supercell of a primitive cell as phonopy makes it: by [3, 3] or three integers, in phonopy's order of atoms."""
    whole = np.asarray(matrix, dtype=np.int64)
    cell = PhonopyAtoms(
        cell=primitive.cell.array, scaled_positions=primitive.get_scaled_positions(), numbers=primitive.numbers
    )
    made = get_supercell(cell, np.diag(whole) if whole.ndim == 1 else whole)
    return Atoms(numbers=made.numbers, positions=made.positions, cell=made.cell, pbc=True)


def roomy_supercell(primitive: Atoms, reach_A: float) -> Atoms:
    """Smallest diagonal supercell in which no two images of an atom are within `reach_A` Angstrom of a third atom."""
    lattice = primitive.cell.array
    heights = 1 / np.linalg.norm(np.linalg.inv(lattice), axis=0)
    return phonopy_supercell(primitive, np.floor(2 * (reach_A + 0.01) / heights).astype(int) + 1)


def _whole_multiples(primitive: Atoms, supercell: Atoms, tolerance: float) -> NDArray[np.int64]:
    lattice = primitive.cell.array
    multiples = supercell.cell.array @ np.linalg.inv(lattice)
    rows = np.rint(multiples)
    miss = float(np.linalg.norm((multiples - rows) @ lattice, axis=1).max())
    if miss > tolerance or abs(round(np.linalg.det(rows))) == 0:
        raise ValueError(
            f"the lattice vectors of the supercell are not sums of those of the primitive cell (off by {miss:.3g} "
            "Angstrom): give the two cells the force constants were made with, in the same orientation"
        )
    return rows.astype(np.int64)


def _sites(primitive: Atoms, supercell: Atoms, tolerance: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    lattice = primitive.cell.array
    offsets = (supercell.positions[:, None] - primitive.positions[None]) @ np.linalg.inv(lattice)
    cells = np.rint(offsets).astype(np.int64)
    distances = np.linalg.norm((offsets - cells) @ lattice, axis=2)
    atom_of = distances.argmin(axis=1)
    everything = np.arange(len(supercell))
    far = distances[everything, atom_of]
    worst = int(far.argmax())
    if far[worst] > tolerance:
        raise ValueError(
            f"the supercell is not a repetition of the primitive cell: atom {worst} ({supercell.symbols[worst]}) is "
            f"{far[worst]:.3g} Angstrom from the nearest repeated site; force constants need the ideal sites of a "
            "crystal, not a snapshot, a relaxed supercell or a glass"
        )
    other = supercell.numbers != primitive.numbers[atom_of]
    if other.any():
        first = int(np.flatnonzero(other)[0])
        raise ValueError(
            f"the supercell has {supercell.symbols[first]} where the primitive cell has "
            f"{primitive.symbols[int(atom_of[first])]} (atom {first}, {np.count_nonzero(other)} in all): are these "
            "two cells of the same crystal?"
        )
    missing = np.flatnonzero(np.bincount(atom_of, minlength=len(primitive)) == 0)
    if len(missing):
        raise ValueError(f"the supercell holds none of atom {missing[0]} of the primitive cell: check the cells")
    return atom_of, cells[everything, atom_of]
