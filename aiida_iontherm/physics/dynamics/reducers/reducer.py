"""What all reducers have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
AnyArray = npt.NDArray[Any]


class Reducer(ABC):
    """Takes frames of all atoms in order of time and keeps sums over them.

    Attributes
    ----------
    source : {"mobile_positions", "velocities"}
        The series whose stride it goes by: positions, unwrapped, in Angstrom, or velocities in Angstrom/ps; both of all
        atoms.
    """

    source: ClassVar[Literal["mobile_positions", "velocities"]]

    @abstractmethod
    def add(self, frames: Array) -> None:
        """Take the next frames [n, N, 3]."""

    def add_in_cells(self, frames: Array, cells: Array) -> None:
        """Take the next frames of a run whose cell changes, with the cells [n, 3, 3] they are in, in Angstrom.

        To most reducers the cell makes no difference: they take the frames alone.
        """
        self.add(frames)

    @abstractmethod
    def results(self) -> dict[str, AnyArray]:
        """Return arrays by the names they are stored under."""

    @abstractmethod
    def state(self) -> dict[str, AnyArray]:
        """Arrays from which `restore` continues, bit by bit."""

    @abstractmethod
    def restore(self, arrays: Mapping[str, AnyArray]) -> None:
        """Continue from the `state` of a reducer made in the same way."""
