"""Positions of the mobile ions along a run: of the task ``md``, or from files of other programs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols
from numpy.typing import NDArray

from aiida_iontherm.tasks.ase_frames import iterate_unwrapped
from aiida_iontherm.tasks.files import read_npz


@dataclass(frozen=True)
class IonTrajectory:
    """One run.

    Attributes
    ----------
    symbol
        Of the mobile ions.
    positions
        [frames, ions, 3] in Angstrom, unwrapped, single precision, without what the centre of mass of all
        other atoms has moved since the run began.
    cell
        [3, 3] in Angstrom.
    interval_fs
        Time between frames.
    framework
        Mean fractional positions [n, 3] and atomic numbers [n] of the other atoms; ``None`` where the file has none.
    formula
        Of the cell.
    """

    symbol: str
    positions: NDArray[np.float32]
    cell: NDArray[np.float64]
    interval_fs: float
    framework: tuple[NDArray[np.float64], NDArray[np.int64]] | None
    formula: str


def read_ion_trajectory(
    path: Path, symbol: str | None = None, interval_fs: float | None = None, discard_ps: float = 0.0
) -> IonTrajectory:
    """Read the positions of the mobile ions of a run.

    Parameters
    ----------
    path
        ``trajectory.npz`` of the task ``md``, or any format of ASE with several frames.
    symbol
        Mobile species; may be left out where the file follows one species only.
    interval_fs
        Time between two frames; needed where the file does not tell, and only there may it be given.
    discard_ps
        Time at the beginning that is left out.

    Raises
    ------
    ValueError
        If the file is missing or cannot be read, does not tell the time between frames and it is not given, holds no
        such ions, its cell or its atoms change, or nothing is left.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    if discard_ps < 0 or (interval_fs is not None and not interval_fs > 0):
        raise ValueError("the time between frames must be positive and the time to discard not negative")
    if symbol is not None and symbol not in atomic_numbers:
        raise ValueError(f"{symbol} is no chemical symbol")
    read = _from_npz if path.suffix == ".npz" else _from_ase
    return read(path, symbol, interval_fs, discard_ps)


def _from_npz(path: Path, symbol: str | None, interval_fs: float | None, discard_ps: float) -> IonTrajectory:
    arrays = read_npz(path)
    needed = ("mobile_positions", "drift", "cell", "numbers", "frame_interval_fs")
    missing = [name for name in needed if name not in arrays]
    if missing:
        raise ValueError(f"{path.name} holds no {', '.join(missing)}: give the trajectory.npz of the task md")
    known = float(arrays["frame_interval_fs"])
    if interval_fs is not None and not np.isclose(known, interval_fs, rtol=1e-3):
        raise ValueError(f"{path.name} says that its frames are {known:g} fs apart, not {interval_fs:g} fs")
    positions, numbers = arrays["mobile_positions"], arrays["numbers"].astype(int)
    if positions.ndim != 3 or positions.shape[1] == 0 or known <= 0:
        raise ValueError(f"{path.name} follows no mobile ions: run the task md with `mobile`")
    ions = positions.shape[1]
    fitting = [chemical_symbols[z] for z in np.unique(numbers) if np.sum(numbers == z) == ions]
    if symbol is None and len(fitting) == 1:
        symbol = fitting[0]
    if symbol is None or symbol not in fitting:
        raise ValueError(
            f"{path.name} follows {ions} ions, which may be {' or '.join(fitting) or 'none of its species'}: "
            + ("name them" if symbol is None else f"not {symbol}")
        )
    first = _first(path, discard_ps, known, len(positions))
    drift = arrays["drift"] - arrays["drift"][0]
    cell = arrays["cell"].astype(float)
    framework = None
    snapshots = arrays.get("snapshots")
    if snapshots is not None and len(snapshots):
        others = numbers != atomic_numbers[symbol]
        inverse = np.linalg.inv(cell)
        # unwrapped, hence the mean is that of one place
        mean = snapshots[:, others].mean(axis=0, dtype=float) - drift.mean(axis=0)
        framework = (mean @ inverse, numbers[others])
    return IonTrajectory(
        symbol=symbol,
        positions=positions[first:] - drift[first:, None].astype(np.float32),
        cell=cell,
        interval_fs=known,
        framework=framework,
        formula=Atoms(numbers=numbers).get_chemical_formula(),
    )


def _from_ase(path: Path, symbol: str | None, interval_fs: float | None, discard_ps: float) -> IonTrajectory:
    if interval_fs is None:
        raise ValueError(f"{path.name} does not tell the time between its frames: give it in fs")
    if symbol is None:
        raise ValueError(f"say which ions of {path.name} are mobile")
    rows: list[NDArray[np.float32]] = []
    first: Atoms | None = None
    skipped = round(discard_ps * 1e3 / interval_fs)
    for atoms, here in iterate_unwrapped(path, skipped, "hops need"):
        if first is None:
            first = atoms
            mobile = np.flatnonzero(atoms.symbols == symbol)
            if not len(mobile):
                raise ValueError(f"there is no {symbol} in {atoms.get_chemical_formula()}")
            shares = _framework_shares(atoms, mobile)
            start, total = shares @ here, np.zeros_like(here)
        centre = shares @ here
        rows.append((here[mobile] - centre + start).astype(np.float32))
        total += here - centre + start
    if first is None:
        raise ValueError(f"{path.name} holds no run: nothing is left after {discard_ps:g} ps")
    others = np.delete(np.arange(len(first)), mobile)
    cell, mean = first.cell.array.copy(), total[others] / len(rows)
    return IonTrajectory(
        symbol=symbol,
        positions=np.array(rows),
        cell=cell,
        interval_fs=interval_fs,
        framework=(mean @ np.linalg.inv(cell), first.numbers[others].astype(np.int64)) if len(others) else None,
        formula=first.get_chemical_formula(),
    )


def _framework_shares(atoms: Atoms, mobile: NDArray[np.int64]) -> NDArray[np.float64]:
    """Shares [N] in the centre of mass of all atoms but the mobile ones, of all where there are no others."""
    masses = atoms.get_masses()
    if len(mobile) < len(masses):
        masses[mobile] = 0.0
    return np.asarray(masses / masses.sum(), dtype=float)


def _first(path: Path, discard_ps: float, interval_fs: float, frames: int) -> int:
    first = round(discard_ps * 1e3 / interval_fs)
    if first >= frames:
        raise ValueError(f"{path.name} holds no run: nothing is left after {discard_ps:g} ps")
    return first
