"""Binary dumps of LAMMPS (``dump custom FILE.bin``): all digits, and a third of the size of text."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

MAGIC = b"DUMPCUSTOM"


@dataclass(frozen=True, eq=False)
class DumpFrame:
    """Atoms at one step.

    Attributes
    ----------
    step : int
    cell : float array [3, 3]
        Lower triangular.
    rows : float array [N, columns]
        In the order of the numbers of the atoms, which are the first column of the file and left out here.
    """

    step: int
    cell: Array
    rows: Array


class DumpFile:
    """Reads frame after frame, from one call to the next, of a file that may still be written or was cut off.

    Parameters
    ----------
    path : Path
    atoms : int
        In each frame.
    columns : str
        As they were asked for, "id xu yu zu".
    """

    def __init__(self, path: Path, atoms: int, columns: str) -> None:
        self.path, self._atoms, self._columns = path, atoms, columns
        self._place = 0

    def between(self, after: int, upto: int) -> list[DumpFrame]:
        """Return the frames of steps above `after` and not above `upto`; earlier ones are passed over for good.

        Raises
        ------
        ValueError
            If the file is not such a dump, or of other atoms.
        """
        frames: list[DumpFrame] = []
        if not self.path.is_file():
            return frames
        with self.path.open("rb") as stream:
            for frame, end in self._read(stream):
                if frame.step > upto:
                    break
                self._place = end
                # LAMMPS repeats the frame it goes on from.
                if frame.step > after:
                    frames.append(frame)
        return frames

    def _read(self, stream: BinaryIO) -> Iterator[tuple[DumpFrame, int]]:
        """Give whole frames from the present place, each with the place behind it."""
        stream.seek(self._place)
        while True:
            try:
                frame = self._frame(stream)
            except EOFError:
                return
            yield frame, stream.tell()

    def _frame(self, stream: BinaryIO) -> DumpFrame:
        def take(layout: str) -> tuple[int, ...]:
            layout = "<" + layout
            return struct.unpack(layout, _exactly(stream, struct.calcsize(layout)))

        (length,) = take("q")
        if length != -len(MAGIC) or _exactly(stream, len(MAGIC)) != MAGIC:
            raise ValueError(f"{self.path.name} is not a binary dump of LAMMPS, or of a release before 2021")
        _endian, _revision = take("ii")
        step, atoms = take("qq")
        (triclinic,) = take("i")
        take("6i")  # kinds of boundaries
        bounds = np.array(take("6d"))
        tilts = take("3d") if triclinic else (0.0, 0.0, 0.0)
        (width,) = take("i")
        (units_length,) = take("i")
        _exactly(stream, units_length)
        if take("?")[0]:
            take("d")  # time
        (names_length,) = take("i")
        names = _exactly(stream, names_length).decode(errors="replace").split()
        if atoms != self._atoms or names != self._columns.split() or width != len(names):
            raise ValueError(
                f"{self.path.name} holds {' '.join(names)} of {atoms} atoms, not {self._columns} of {self._atoms}: it "
                "is of another run"
            )
        (parts,) = take("i")
        pieces = []
        for _ in range(parts):
            (count,) = take("i")
            pieces.append(np.frombuffer(_exactly(stream, 8 * count), dtype="<f8"))
        rows = np.concatenate(pieces).reshape(atoms, width)
        order = np.argsort(rows[:, 0])
        if not np.array_equal(rows[order, 0], np.arange(1, atoms + 1)):
            raise ValueError(f"{self.path.name} misses atoms at step {step}")
        return DumpFrame(int(step), _cell(bounds.reshape(3, 2), *tilts), rows[order, 1:])


def _cell(bounds: Array, xy: float, xz: float, yz: float) -> Array:
    """Cell from the bounds [3, 2] that enclose a tilted box."""
    lows, highs = bounds.T
    x = (0.0, xy, xz, xy + xz)
    lows = lows - [min(x), min(0.0, yz), 0.0]
    highs = highs - [max(x), max(0.0, yz), 0.0]
    cell = np.diag(highs - lows)
    cell[1, 0], cell[2, 0], cell[2, 1] = xy, xz, yz
    return cell


def _exactly(stream: BinaryIO, size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise EOFError  # the frame that was being written when LAMMPS was killed
    return content
