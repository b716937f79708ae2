"""Velocities of all atoms along a run, from files of other programs or of the task ``md``.

An ``.npz`` holds ``velocities`` [frames, N, 3] in Angstrom/ps, ``positions`` [m, N, 3] in Angstrom at some times of the
run, ``cell`` [3, 3], ``numbers`` [N] and, where it is known, ``frame_interval_fs``. Everything else is read by ASE, one
frame at a time: velocities as ASE knows them, or columns ``vel`` or ``velo`` of extended XYZ in Angstrom/fs; where
there are none, differences of positions.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.data import chemical_symbols
from numpy.typing import NDArray

from aiida_iontherm.tasks.ase_frames import iterate_run
from aiida_iontherm.tasks.files import read_npz

STRETCHES = 10
"""The run is looked at in so many parts for ions that leave their sites."""

_FRAMES_PER_MEAN = 50
_LARGEST_CELL_CHANGE = 1e-4
"""Relative, and less than where only positions count; a barostat does more."""


@dataclass(frozen=True)
class VelocityRun:
    """Velocities of one run.

    Attributes
    ----------
    velocities
        [frames, N, 3] in Angstrom/ps, single precision.
    stretches
        Mean positions in successive parts of the run, unwrapped [m, N, 3] in Angstrom.
    cell
        Vectors as rows [3, 3] in Angstrom.
    symbols
        [N].
    interval_fs
        Time between frames.
    from_positions
        Whether velocities are differences of successive positions, see `difference_power`.
    """

    velocities: NDArray[np.float32]
    stretches: NDArray[np.float64]
    cell: NDArray[np.float64]
    symbols: list[str]
    interval_fs: float
    from_positions: bool


def difference_power(frequencies_thz: NDArray[np.float64], interval_fs: float) -> NDArray[np.float64]:
    """Power with which differences of positions show velocities of a frequency: (sin(pi f dt)/(pi f dt))^2 [n]."""
    return np.sinc(frequencies_thz * interval_fs * 1e-3) ** 2


def read_velocities(path: Path, interval_fs: float | None = None, discard_ps: float = 0.0) -> VelocityRun:
    """Read the velocities of a run.

    Parameters
    ----------
    path
        ``.npz``, or any format of ASE with several frames.
    interval_fs
        Time between two frames; needed where the file does not tell, and only there may it be given.
    discard_ps
        Time at the beginning that is left out.

    Raises
    ------
    ValueError
        If the file is missing or cannot be read, does not tell the time between frames and it is not given, its cell or
        its atoms change, or nothing is left.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    if discard_ps < 0 or (interval_fs is not None and not interval_fs > 0):
        raise ValueError("the time between frames must be positive and the time to discard not negative")
    read = _from_npz if path.suffix == ".npz" else _from_ase
    return read(path, interval_fs, discard_ps)


def _from_npz(path: Path, interval_fs: float | None, discard_ps: float) -> VelocityRun:
    arrays = read_npz(path)
    if "velocities" not in arrays and "thermo" in arrays:
        raise ValueError(
            f"{path.name} holds no velocities of all atoms: run the task md with store_velocities and give its "
            "velocities.npz"
        )
    missing = [name for name in ("velocities", "positions", "cell", "numbers") if name not in arrays]
    if missing:
        raise ValueError(f"{path.name} holds no {', '.join(missing)}: it needs velocities, positions, cell and numbers")
    known = float(arrays["frame_interval_fs"]) if "frame_interval_fs" in arrays else None
    if known is not None and interval_fs is not None and not np.isclose(known, interval_fs, rtol=1e-3):
        raise ValueError(f"{path.name} says that its frames are {known:g} fs apart, not {interval_fs:g} fs")
    interval = _interval(path, known if interval_fs is None else interval_fs)
    velocities, numbers = arrays["velocities"], arrays["numbers"]
    positions = np.array(arrays["positions"], dtype=float)
    positions = positions[None] if positions.ndim == 2 else positions
    shape = (len(numbers), 3)
    if velocities.ndim != 3 or velocities.shape[1:] != shape or positions.shape[1:] != shape or not len(positions):
        raise ValueError(
            f"{path.name}: velocities {velocities.shape} or positions {positions.shape} do not fit {len(numbers)} atoms"
        )
    kept = velocities[_first(path, discard_ps, interval, len(velocities)) :]
    cell = np.asarray(arrays["cell"], dtype=float)
    unwrapped = positions[0] + _nearest_image(positions - positions[0], cell)
    return VelocityRun(
        velocities=kept.astype(np.float32),
        stretches=_joined(unwrapped),
        cell=cell,
        symbols=[chemical_symbols[int(number)] for number in numbers],
        interval_fs=interval,
        from_positions=False,
    )


def _from_ase(path: Path, interval_fs: float | None, discard_ps: float) -> VelocityRun:
    interval = _interval(path, interval_fs)
    rows: list[NDArray[np.float32]] = []
    means: list[NDArray[np.float64]] = []
    gathered: list[NDArray[np.float64]] = []
    first: Atoms | None = None
    before = np.empty(0)
    moving = False
    skipped = round(discard_ps * 1e3 / interval)
    for number, atoms in iterate_run(path, skipped, "linewidths need", _LARGEST_CELL_CHANGE):
        if first is None:
            first, before = atoms, atoms.positions.copy()
            moving = _own_velocities(atoms) is not None
        cell = first.cell.array
        if moving:
            own = _own_velocities(atoms)
            if own is None:
                raise ValueError(f"frame {number} of {path.name} has no velocities where others have")
            rows.append(own.astype(np.float32))
        elif atoms is not first:
            rows.append((_nearest_image(atoms.positions - before, cell) / (interval * 1e-3)).astype(np.float32))
            before = atoms.positions.copy()
        gathered.append(first.positions + _nearest_image(atoms.positions - first.positions, cell))
        if len(gathered) == _FRAMES_PER_MEAN:
            means.append(np.mean(gathered, axis=0))
            gathered = []
    if first is None or not rows:
        raise ValueError(f"{path.name} holds no run: nothing is left after {discard_ps:g} ps")
    if gathered and not means:
        means.append(np.mean(gathered, axis=0))
    return VelocityRun(
        velocities=np.array(rows),
        stretches=_joined(np.array(means)),
        cell=first.cell.array.copy(),
        symbols=first.get_chemical_symbols(),
        interval_fs=interval,
        from_positions=not moving,
    )


def _own_velocities(atoms: Atoms) -> NDArray[Any] | None:
    """Velocities of a frame in Angstrom/ps, if it has any."""
    if atoms.has("momenta"):
        return atoms.get_velocities() * 1000 * units.fs
    for name in ("vel", "velo"):
        if name in atoms.arrays:
            return atoms.arrays[name] * 1000
    return None


def _interval(path: Path, interval_fs: float | None) -> float:
    if interval_fs is None:
        raise ValueError(f"{path.name} does not tell the time between its frames: give it in fs")
    return interval_fs


def _first(path: Path, discard_ps: float, interval_fs: float, frames: int) -> int:
    first = round(discard_ps * 1e3 / interval_fs)
    if first >= frames:
        raise ValueError(f"{path.name} holds no run: nothing is left after {discard_ps:g} ps")
    return first


def _nearest_image(vectors: NDArray[np.float64], cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """Differences of positions by less than half a cell, whatever was wrapped."""
    fractional = vectors @ np.linalg.inv(cell)
    return (fractional - np.rint(fractional)) @ cell


def _joined(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of at most `STRETCHES` parts."""
    return np.array([part.mean(axis=0) for part in np.array_split(means, min(STRETCHES, len(means)))])
