"""Positions, and where there are any velocities, of all atoms along a run: of the task ``md``, or of other programs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.data import chemical_symbols
from numpy.typing import NDArray

from aiida_iontherm.tasks.ase_frames import iterate_unwrapped
from aiida_iontherm.tasks.files import read_npz
from aiida_iontherm.tasks.ion_trajectory_files import IonTrajectory, read_ion_trajectory
from aiida_iontherm.tasks.velocity_files import read_velocities


@dataclass(frozen=True)
class FrameworkRun:
    """One run.

    Attributes
    ----------
    atoms
        The first frame.
    mobile
        Symbol of the mobile ions.
    positions, interval_fs
        Of all atoms [frames, N, 3] in Angstrom, unwrapped, single precision, without the drift of the centre of mass of
        the framework, and the time between them.
    start_ps
        Time of the first of them after the first position of the ions.
    ion_positions, ion_interval_fs
        The same of the mobile ions [frames, ions, 3], often denser in time.
    velocities, velocity_interval_fs
        Of all atoms [frames, N, 3] in Angstrom/ps; ``None`` where there are none.
    """

    atoms: Atoms
    mobile: str
    positions: NDArray[np.float32]
    interval_fs: float
    start_ps: float
    ion_positions: NDArray[np.float32]
    ion_interval_fs: float
    velocities: NDArray[np.float32] | None
    velocity_interval_fs: float | None

    @property
    def symbols(self) -> list[str]:
        """Of the atoms."""
        return self.atoms.get_chemical_symbols()

    @property
    def duration_ps(self) -> float:
        """From the first to the last stored position of the ions."""
        return (len(self.ion_positions) - 1) * self.ion_interval_fs * 1e-3


def read_framework(
    path: Path,
    mobile: str | None = None,
    interval_fs: float | None = None,
    discard_ps: float = 0.0,
    velocities: Path | None = None,
) -> FrameworkRun:
    """Read a run with all its atoms.

    Parameters
    ----------
    path
        ``trajectory.npz`` of the task ``md`` with snapshots, or any format of ASE with several frames.
    mobile
        Mobile species; may be left out where the file follows one species only.
    interval_fs
        Time between two frames; needed where the file does not tell.
    discard_ps
        Time at the beginning that is left out.
    velocities
        ``velocities.npz`` of the same run, where the trajectory has none.

    Raises
    ------
    ValueError
        If a file is missing or cannot be read, does not tell the time between frames and it is not given, holds no
        such ions or not all atoms, its cell or its atoms change, the velocities are of other atoms, or nothing is left.
    """
    if path.suffix == ".npz":
        run = _from_npz(path, mobile, interval_fs, discard_ps)
    else:
        if not path.is_file():
            raise ValueError(f"there is no file {path}")
        run = _from_ase(path, mobile, interval_fs, discard_ps)
    if velocities is None:
        return run
    moving = read_velocities(velocities, interval_fs if velocities.suffix != ".npz" else None, discard_ps)
    if moving.symbols != run.symbols:
        raise ValueError(f"{velocities.name} has other atoms than {path.name}, or in another order")
    if moving.from_positions:
        raise ValueError(f"{velocities.name} holds no velocities: give the velocities.npz of the task md")
    return replace(run, velocities=moving.velocities, velocity_interval_fs=moving.interval_fs)


def read_ions(
    path: Path, mobile: str, interval_fs: float | None = None, discard_ps: float = 0.0
) -> tuple[NDArray[np.float32], float]:
    """Read the positions of the ions of a run relative to its framework.

    Where the framework is held it is at rest, and the centre of mass of all atoms is not.

    Returns
    -------
    [frames, ions, 3] in Angstrom, and the time between frames in fs.

    Raises
    ------
    ValueError
        As `read_ion_trajectory`.
    """
    ions = read_ion_trajectory(path, mobile, interval_fs, discard_ps)
    _check_framework(ions)
    return ions.positions, ions.interval_fs


def _check_framework(ions: IonTrajectory) -> None:
    if len(Atoms(ions.formula)) == ions.positions.shape[1]:
        raise ValueError(f"{ions.formula} holds nothing but {ions.symbol}: there is no framework")


def _from_npz(path: Path, mobile: str | None, interval_fs: float | None, discard_ps: float) -> FrameworkRun:
    ions = read_ion_trajectory(path, mobile, interval_fs, discard_ps)
    _check_framework(ions)
    arrays = read_npz(path)
    snapshots = arrays.get("snapshots")
    if snapshots is None or len(snapshots) < 2:
        raise ValueError(f"{path.name} holds no snapshots of all atoms: run the task md with more `snapshots`")
    symbols = np.array([chemical_symbols[int(number)] for number in arrays["numbers"]])
    # the file tells the time between positions of the ions: find the first snapshot among them
    there = np.flatnonzero(symbols == ions.symbol)
    distance = np.abs(arrays["mobile_positions"] - snapshots[0][there].astype(np.float32)).max(axis=(1, 2))
    stride = int(np.argmin(distance)) + 1
    if distance[stride - 1] > 1e-3:
        raise ValueError(f"{path.name} holds snapshots at other times than positions: store the former at a multiple")
    left_out = round(discard_ps * 1e3 / ions.interval_fs)
    first = -(-(left_out + 1) // stride) - 1
    masses = np.where(symbols == ions.symbol, 0.0, Atoms(symbols=symbols.tolist()).get_masses())
    centres = np.einsum("i,fia->fa", masses, snapshots) / masses.sum()
    kept = (snapshots - (centres - centres[0])[:, None])[first:]
    if len(kept) < 2:
        raise ValueError(f"{path.name} holds no snapshots after {discard_ps:g} ps")
    return FrameworkRun(
        atoms=Atoms(symbols=symbols.tolist(), positions=kept[0], cell=ions.cell, pbc=True),
        mobile=ions.symbol,
        positions=kept.astype(np.float32),
        interval_fs=stride * ions.interval_fs,
        start_ps=((first + 1) * stride - 1 - left_out) * ions.interval_fs * 1e-3,
        ion_positions=ions.positions,
        ion_interval_fs=ions.interval_fs,
        velocities=None,
        velocity_interval_fs=None,
    )


def _from_ase(path: Path, mobile: str | None, interval_fs: float | None, discard_ps: float) -> FrameworkRun:
    if interval_fs is None:
        raise ValueError(f"{path.name} does not tell the time between its frames: give it in fs")
    if interval_fs <= 0 or discard_ps < 0:
        raise ValueError("the time between frames must be positive and the time to discard not negative")
    if mobile is None:
        raise ValueError(f"say which ions of {path.name} are mobile")
    rows: list[NDArray[np.float32]] = []
    moving: list[NDArray[np.float32]] = []
    first: Atoms | None = None
    skipped = round(discard_ps * 1e3 / interval_fs)
    for atoms, here in iterate_unwrapped(path, skipped, "rotations need"):
        if first is None:
            first = atoms
            if mobile not in atoms.get_chemical_symbols():
                raise ValueError(f"there is no {mobile} in {atoms.get_chemical_formula()}")
            masses = np.where(atoms.symbols == mobile, 0.0, atoms.get_masses())
            if not masses.any():
                raise ValueError(f"{path.name} holds nothing but {mobile}: there is no framework")
            start = masses @ here / masses.sum()
        rows.append((here - masses @ here / masses.sum() + start).astype(np.float32))
        if atoms.has("momenta"):
            moving.append((atoms.get_velocities() * 1000 * units.fs).astype(np.float32))
    if first is None or len(rows) < 2:
        raise ValueError(f"{path.name} holds no run: nothing is left after {discard_ps:g} ps")
    positions = np.array(rows)
    complete = len(moving) == len(rows)
    return FrameworkRun(
        atoms=first,
        mobile=mobile,
        positions=positions,
        interval_fs=interval_fs,
        start_ps=0.0,
        ion_positions=positions[:, np.flatnonzero(first.symbols == mobile)],
        ion_interval_fs=interval_fs,
        velocities=np.array(moving) if complete else None,
        velocity_interval_fs=interval_fs if complete else None,
    )
