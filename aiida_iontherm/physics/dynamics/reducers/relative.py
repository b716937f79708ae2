"""Positions relative to a part of the atoms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from aiida_iontherm.physics.dynamics.reducers.reducer import AnyArray, Array, Reducer


class RelativeTo(Reducer):
    """Hands another reducer of positions what they are relative to the centre of mass of some atoms.

    Where ions move together the framework moves the other way, so that the centre of mass of all of them rests.
    Relative to the framework itself its atoms only vibrate.

    Parameters
    ----------
    reducer : Reducer
        Of positions.
    atoms : int array [k]
        Indices of the atoms of reference.
    masses : float array [N]
        Of all atoms.
    origin : float array [3], optional
        Where the centre of mass is put, in Angstrom.
    """

    source = "mobile_positions"

    def __init__(
        self,
        reducer: Reducer,
        atoms: npt.NDArray[np.integer[Any]],
        masses: Array,
        origin: npt.ArrayLike = (0.0, 0.0, 0.0),
    ) -> None:
        if reducer.source != self.source:
            raise ValueError(f"only positions have a place of reference, not {reducer.source}")
        self._reducer, self._atoms = reducer, atoms
        self._origin = np.asarray(origin, dtype=float)
        self._shares = masses[atoms] / masses[atoms].sum()

    def add(self, frames: Array) -> None:
        """Take the next frames [n, N, 3]."""
        self._reducer.add(self._relative(frames))

    def add_in_cells(self, frames: Array, cells: Array) -> None:
        """Take the next frames [n, N, 3] with the cells [n, 3, 3] they are in."""
        self._reducer.add_in_cells(self._relative(frames), cells)

    def results(self) -> dict[str, AnyArray]:
        """Return arrays by the names they are stored under."""
        return self._reducer.results()

    def state(self) -> dict[str, AnyArray]:
        """Arrays from which `restore` continues, bit by bit."""
        return self._reducer.state()

    def restore(self, arrays: Mapping[str, AnyArray]) -> None:
        """Continue from the `state` of a reducer made in the same way."""
        self._reducer.restore(arrays)

    def _relative(self, frames: Array) -> Array:
        centres = np.einsum("k,fka->fa", self._shares, frames[:, self._atoms])
        return np.asarray(frames - (centres - self._origin)[:, None])
