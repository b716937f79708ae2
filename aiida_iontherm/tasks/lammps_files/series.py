"""Series of numbers that ``fix ave/time`` writes, a line for each step, and ``fix ave/chunk``, a table for each."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class SeriesFile:
    """Reads line after line, from one call to the next, of a file that may have been cut off.

    Parameters
    ----------
    path : Path
    width : int
        Numbers of a line, behind the step.
    """

    def __init__(self, path: Path, width: int) -> None:
        self.path = path
        self._shape: tuple[int, ...] = (width,)
        self._place = 0

    def between(self, after: int, upto: int) -> Array:
        """Return the rows [n, width] of steps above `after` and not above `upto`; earlier ones are passed over.

        Raises
        ------
        ValueError
            If a line holds anything else.
        """
        found: list[list[float] | list[list[float]]] = []
        if self.path.is_file():
            with self.path.open("rb") as stream:
                stream.seek(self._place)
                for step, values in self._read(stream):
                    if step > upto:
                        break
                    self._place = stream.tell()
                    if step > after:
                        found.append(values)
        return np.array(found, dtype=float).reshape(len(found), *self._shape)

    def _read(self, stream: BinaryIO) -> Iterator[tuple[int, list[float] | list[list[float]]]]:
        """Give the values of each step that is there as a whole."""
        for line in _lines(stream):
            yield self._numbers(line, self._shape[-1])

    def _numbers(self, line: bytes, count: int) -> tuple[int, list[float]]:
        """Take a line apart: a step, or the number of a row, and so many values."""
        words = line.split()
        try:
            first, row = int(words[0]), [float(word) for word in words[1:]]
        except (ValueError, IndexError):
            row = []
        if len(row) != count:
            raise ValueError(f"{self.path.name}: {line.decode(errors='replace').strip()!r} is no row of a series")
        return first, row


class ProfileFile(SeriesFile):
    """The same of tables, for `between` [n, slabs, width].

    Parameters
    ----------
    path : Path
    slabs, width : int
        Rows of a table, and numbers of a row behind the count of atoms, which has too few digits and is left out.
    """

    def __init__(self, path: Path, slabs: int, width: int) -> None:
        super().__init__(path, width)
        self._shape = (slabs, width)

    def _read(self, stream: BinaryIO) -> Iterator[tuple[int, list[float] | list[list[float]]]]:
        slabs, width = self._shape
        for line in (lines := _lines(stream)):
            step, (count, _atoms) = self._numbers(line, 2)
            if count != slabs:
                raise ValueError(f"{self.path.name}: the table of step {step} has {count:g} rows for {slabs} slabs")
            rows = [self._numbers(row, 1 + width) for row in islice(lines, slabs)]
            if len(rows) == slabs:
                yield step, [values[1:] for _, values in rows]


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Give the lines that are there as a whole, without comments."""
    while (line := stream.readline()).endswith(b"\n"):
        if not line.startswith(b"#"):
            yield line
