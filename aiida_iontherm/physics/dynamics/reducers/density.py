"""Where the mobile ions are, counted on a grid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from aiida_iontherm.physics.dynamics.reducers.reducer import AnyArray, Array, Reducer
from aiida_iontherm.physics.ions.density_map import SPACING_A, DensityMap, density_map


class DensityReducer(Reducer):
    """Counts of ions in voxels; see `density_map`.

    Parameters
    ----------
    mobile : int array [m]
        Indices of the ions.
    cell : float array [3, 3]
        Of the run, in Angstrom; it must stay as it is.
    repeats : tuple of int
        Unit cells along each vector, laid on each other.
    spacing_A : float
        Largest edge of a voxel.
    """

    source = "mobile_positions"

    def __init__(
        self,
        mobile: npt.NDArray[np.integer[Any]],
        cell: Array,
        repeats: tuple[int, int, int] = (1, 1, 1),
        spacing_A: float = SPACING_A,
    ) -> None:
        self._mobile, self._cell, self._repeats, self._spacing = mobile, cell, repeats, spacing_A
        self._map: DensityMap | None = None

    def add(self, frames: Array) -> None:
        """Take the next frames [n, N, 3]."""
        if len(frames):
            more = density_map(frames[:, self._mobile], self._cell, spacing_A=self._spacing, repeats=self._repeats)
            self._map = more if self._map is None else self._map + more

    def results(self) -> dict[str, AnyArray]:
        """``density_counts`` [n1, n2, n3], ``density_frames`` and ``density_cell``, as in `DensityMap`."""
        if self._map is None:
            return {}
        return {
            "density_counts": self._map.counts,
            "density_frames": np.array(self._map.frames),
            "density_cell": self._map.cell,
        }

    def state(self) -> dict[str, AnyArray]:
        """Arrays from which `restore` continues, bit by bit."""
        return self.results()

    def restore(self, arrays: Mapping[str, AnyArray]) -> None:
        """Continue from the `state` of a reducer made in the same way."""
        self._map = None
        if arrays:
            self._map = DensityMap(
                counts=arrays["density_counts"], cell=arrays["density_cell"], frames=int(arrays["density_frames"])
            )
