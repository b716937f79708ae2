"""Frames stored on the way: pieces in, arrays out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

AnyArray = npt.NDArray[Any]


class Record:
    """Series of frames by name.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        Shape of one frame of each series.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._pieces: dict[str, list[AnyArray]] = {name: [np.empty((0, *shape))] for name, shape in shapes.items()}

    def extend(self, name: str, frames: AnyArray) -> None:
        """Append frames [n, ...]."""
        if len(frames):
            pieces = self._pieces[name]
            if len(pieces[0]) == 0:
                pieces.clear()  # it must not decide the type of the numbers
            pieces.append(frames)

    def append(self, name: str, frame: AnyArray) -> None:
        """Append one frame."""
        self.extend(name, frame[None])

    def keep(self, name: str, count: int) -> None:
        """Drop all frames but the first ones."""
        self._pieces[name] = [self[name][:count]]

    def __getitem__(self, name: str) -> AnyArray:
        """All frames of a series."""
        if len(self._pieces[name]) > 1:
            self._pieces[name] = [np.concatenate(self._pieces[name])]
        return self._pieces[name][0]

    def arrays(self) -> dict[str, AnyArray]:
        """All series."""
        return {name: self[name] for name in self._pieces}

    def restore(self, arrays: Mapping[str, AnyArray]) -> None:
        """Start again from what `arrays` gave."""
        self._pieces = {name: [arrays[name]] for name in self._pieces}
