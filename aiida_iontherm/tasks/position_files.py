"""Positions of all atoms along a run, read frame by frame: of this package, or from files of other programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from numpy.typing import NDArray

from aiida_iontherm.tasks.ase_frames import iterate_run
from aiida_iontherm.tasks.files import read_npz

_FRAMES_AT_ONCE = 200


@dataclass(frozen=True)
class PositionRun:
    """A run whose frames are still to be read.

    Attributes
    ----------
    name
        Of the file.
    symbols
        Of the atoms [N].
    cell
        [3, 3] in Angstrom.
    interval_fs
        Time between frames.
    chunks
        Some frames at a time [frames, N, 3] in Angstrom, wrapped or not as they are in the file; can be read once.
    """

    name: str
    symbols: list[str]
    cell: NDArray[np.float64]
    interval_fs: float
    chunks: Iterator[NDArray[Any]]


def open_positions(
    path: Path, interval_fs: float | None = None, discard_ps: float = 0.0, species: Sequence[str] = ()
) -> PositionRun:
    """Open a run.

    Parameters
    ----------
    path
        ``.npz`` with ``positions`` [frames, N, 3], ``cell``, ``numbers`` and ``frame_interval_fs``; the
        ``trajectory.npz`` of the task ``md``, of which the snapshots are taken; or any format of ASE with several
        frames, extended XYZ and LAMMPS dumps among them.
    interval_fs
        Time between two frames; needed where the file does not tell.
    discard_ps
        Time at the beginning that is left out.
    species
        Symbols of the types 1, 2, ... of a file that knows types only.

    Raises
    ------
    ValueError
        If the file is missing or cannot be read, does not tell the time between frames and it is not given, or, while
        reading, its cell or its atoms change or nothing is left.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    if discard_ps < 0 or (interval_fs is not None and not interval_fs > 0):
        raise ValueError("the time between frames must be positive and the time to discard not negative")
    unknown = [name for name in species if name not in atomic_numbers]
    if unknown:
        raise ValueError(f"{unknown[0]} is no chemical symbol")
    if path.suffix == ".npz":
        return _from_npz(path, interval_fs, discard_ps)
    if interval_fs is None:
        raise ValueError(f"{path.name} does not tell the time between its frames: give it in fs")
    return _from_ase(path, interval_fs, discard_ps, species)


def _from_npz(path: Path, interval_fs: float | None, discard_ps: float) -> PositionRun:
    arrays = read_npz(path)
    of_task = "snapshots" in arrays
    name = "snapshots" if of_task else "positions"
    missing = [key for key in (name, "cell", "numbers") if key not in arrays]
    if missing:
        raise ValueError(f"{path.name} holds no {', '.join(missing)}: it needs positions, cell and numbers")
    # The task notes the time between positions of the mobile ions, not that between snapshots.
    known = float(arrays["frame_interval_fs"]) if "frame_interval_fs" in arrays and not of_task else None
    if known is not None and interval_fs is not None and not np.isclose(known, interval_fs, rtol=1e-3):
        raise ValueError(f"{path.name} says that its frames are {known:g} fs apart, not {interval_fs:g} fs")
    interval = known if interval_fs is None else interval_fs
    if interval is None:
        raise ValueError(f"{path.name} does not tell the time between its frames: give it in fs")
    positions, numbers = arrays[name], arrays["numbers"].astype(int)
    if positions.ndim != 3 or positions.shape[1:] != (len(numbers), 3):
        raise ValueError(f"{path.name}: positions {positions.shape} are not frames of {len(numbers)} atoms")
    first = round(discard_ps * 1e3 / interval)
    if first >= len(positions):
        raise ValueError(f"{path.name} holds no run: nothing is left after {discard_ps:g} ps")
    return PositionRun(
        name=path.name,
        symbols=[chemical_symbols[z] for z in numbers],
        cell=np.asarray(arrays["cell"], dtype=float),
        interval_fs=interval,
        chunks=iter([positions[first:]]),
    )


def _from_ase(path: Path, interval_fs: float, discard_ps: float, species: Sequence[str]) -> PositionRun:
    skipped = round(discard_ps * 1e3 / interval_fs)
    frames = (atoms for _, atoms in iterate_run(path, skipped, "S(Q, E) needs"))
    first = next(frames, None)
    if first is None:
        raise ValueError(f"{path.name} holds no run: nothing is left after {discard_ps:g} ps")
    symbols = first.get_chemical_symbols()
    if species:
        if first.numbers.min() < 1 or first.numbers.max() > len(species):
            raise ValueError(f"{path.name} has types up to {first.numbers.max()}, but {len(species)} species are given")
        symbols = [species[z - 1] for z in first.numbers]

    def chunks() -> Iterator[NDArray[Any]]:
        rows: list[NDArray[Any]] = []
        for atoms in chain([first], frames):
            rows.append(atoms.positions)
            if len(rows) == _FRAMES_AT_ONCE:
                yield np.array(rows)
                rows = []
        if rows:
            yield np.array(rows)

    return PositionRun(path.name, symbols, first.cell.array.copy(), interval_fs, chunks())
