"""Neighbour lists with a skin, for any periodic cell (triclinic, or smaller than the cutoff)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from ase.neighborlist import primitive_neighbor_list


class NeighbourList:
    """Full neighbour list in padded rows, rebuilt only when an atom has moved by half the skin.

    Parameters
    ----------
    cutoff : float
        Interaction range in Angstrom.
    skin : float
        Extra range in Angstrom. A larger skin means fewer rebuilds and longer rows.

    Attributes
    ----------
    indices : int32 array [N, m]
        Neighbours j of each atom i; rows are padded with -1.
    offsets : float array [N, m, 3]
        Lattice translation in Angstrom of each neighbour: r_ij = r_j + offset - r_i.
    """

    def __init__(self, cutoff: float, skin: float = 0.6) -> None:
        if cutoff <= 0 or skin < 0:
            raise ValueError(f"cutoff must be positive and skin non-negative, not {cutoff} and {skin} Angstrom")
        self.cutoff = cutoff
        self.skin = skin
        self.indices = np.empty((0, 0), dtype=np.int32)
        self.offsets = np.empty((0, 0, 3))
        self._positions: npt.NDArray[np.float64] | None = None
        self._cell = np.empty((3, 3))
        self._periodic = np.empty(3, dtype=bool)

    def update(
        self, positions: npt.NDArray[np.float64], cell: npt.NDArray[np.float64], periodic: npt.NDArray[np.bool_]
    ) -> bool:
        """Make the list valid for these positions; return whether it was rebuilt.

        Parameters
        ----------
        positions : float array [N, 3]
            In Angstrom, wrapped or not.
        cell : float array [3, 3]
            Lattice vectors as rows, in Angstrom.
        periodic : bool array [3]
            Periodicity along each lattice vector.
        """
        if (
            self._positions is not None
            and len(positions) == len(self._positions)
            and np.array_equal(cell, self._cell)
            and np.array_equal(periodic, self._periodic)
            and np.max(np.sum((positions - self._positions) ** 2, axis=1), initial=0.0) <= (self.skin / 2) ** 2
        ):
            return False
        self._build(positions, np.asarray(cell, dtype=float), np.asarray(periodic, dtype=bool))
        return True

    def reset(self) -> None:
        """Forget the list: the next update rebuilds it, so that a run can be continued exactly."""
        self._positions = None

    def vectors(self, positions: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return r_ij [N, m, 3] in Angstrom; padded entries lie far outside the cutoff."""
        vectors = positions[self.indices]
        vectors += self.offsets
        vectors -= positions[:, None, :]
        vectors[self.indices < 0] = 2 * (self.cutoff + self.skin)
        return vectors

    def _build(
        self, positions: npt.NDArray[np.float64], cell: npt.NDArray[np.float64], periodic: npt.NDArray[np.bool_]
    ) -> None:
        first, second, shifts = primitive_neighbor_list(
            "ijS", periodic, cell, positions, self.cutoff + self.skin, self_interaction=False
        )
        count = np.bincount(first, minlength=len(positions))
        longest = int(count.max(initial=0))
        column = np.arange(len(first)) - np.repeat(np.cumsum(count) - count, count)
        self.indices = np.full((len(positions), longest), -1, dtype=np.int32)
        self.offsets = np.zeros((len(positions), longest, 3))
        self.indices[first, column] = second
        self.offsets[first, column] = shifts @ cell
        self._positions, self._cell, self._periodic = positions.copy(), cell.copy(), periodic.copy()
