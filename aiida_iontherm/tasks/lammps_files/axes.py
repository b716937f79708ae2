"""The axes of LAMMPS: its first cell vector lies along x, the second in the plane of x and y."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LammpsAxes:
    """How a crystal is turned to fit into LAMMPS.

    Attributes
    ----------
    rotation : float array [3, 3]
        Orthogonal; of a left-handed cell it reflects too, which changes no energy. Vectors [..., 3] are rows: those of
        the crystal are those of LAMMPS times `rotation`.
    """

    rotation: Array

    @classmethod
    def of(cls, cell: Array) -> LammpsAxes:
        """Return the axes for a cell [3, 3], vectors as rows; a cell that fits as it is stays as it is.

        Raises
        ------
        ValueError
            If the cell has no volume.
        """
        if abs(np.linalg.det(cell)) < 1e-6:
            raise ValueError("LAMMPS needs a cell with three vectors and a volume")
        if not np.any(np.triu(cell, 1)) and np.diag(cell).min() > 0:
            return cls(np.eye(3))
        # cell = L Q with L lower triangular: cell cell^T = L L^T.
        return cls(np.linalg.solve(np.linalg.cholesky(cell @ cell.T), cell))

    @property
    def turned(self) -> bool:
        """True if x, y and z of LAMMPS are not those of the crystal."""
        return bool(np.any(self.rotation != np.eye(3)))

    def box(self, cell: Array) -> Array:
        """Return a cell [3, 3] of the crystal as LAMMPS has it, lower triangular to the last bit."""
        return np.tril(self.into(cell))

    def into(self, vectors: Array) -> Array:
        """Turn vectors [..., 3] of the crystal into those of LAMMPS."""
        return vectors if not self.turned else np.asarray(vectors @ self.rotation.T)

    def back(self, vectors: Array) -> Array:
        """Turn vectors [..., 3] of LAMMPS into those of the crystal."""
        return vectors if not self.turned else np.asarray(vectors @ self.rotation)
