"""Series of numbers that ``fix ave/time`` writes, a line for each step."""

from __future__ import annotations

from pathlib import Path

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
        self.path, self._width = path, width
        self._place = 0

    def between(self, after: int, upto: int) -> Array:
        """Return the rows [n, width] of steps above `after` and not above `upto`; earlier ones are passed over.

        Raises
        ------
        ValueError
            If a line holds anything else.
        """
        rows: list[list[float]] = []
        if self.path.is_file():
            with self.path.open("rb") as stream:
                stream.seek(self._place)
                while (line := stream.readline()).endswith(b"\n"):
                    if not line.startswith(b"#"):
                        step, row = self._row(line)
                        if step > upto:
                            break
                        if step > after:
                            rows.append(row)
                    self._place = stream.tell()
        return np.array(rows).reshape(len(rows), self._width)

    def _row(self, line: bytes) -> tuple[int, list[float]]:
        words = line.split()
        try:
            step, row = int(words[0]), [float(word) for word in words[1:]]
        except (ValueError, IndexError):
            row = []
        if len(row) != self._width:
            raise ValueError(f"{self.path.name}: {line.decode(errors='replace').strip()!r} is no row of a series")
        return step, row
