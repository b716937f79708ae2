"""Linewidths from files of other programs, as the table that the task ``lattice-conductivity`` takes.

Known are phono3py's ``kappa-m*.hdf5``, the folder of a run of ShengBTE or FourPhonon, and plain arrays in ``.npz`` or
HDF5 under the names of the table: ``gamma_thz`` [T, k, s], ``qpoints`` [k, 3], ``temperatures`` [T] and, where they are
known, ``frequencies_thz`` [k, s], ``mesh`` [3].
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_iontherm.physics.lattice.linewidth_tables import to_gamma_thz
from aiida_iontherm.tasks.files import read_npz

PHONO3PY = {
    "gamma": "gamma_thz",
    "qpoint": "qpoints",
    "temperature": "temperatures",
    "frequency": "frequencies_thz",
    "mesh": "mesh",
}
"""Names in phono3py's files; its ``gamma`` is our half width in THz."""

TABLE = ("gamma_thz", "qpoints", "temperatures", "frequencies_thz", "mesh")


def read_linewidths(
    path: Path, quantity: str = "hwhm", unit: str = "THz", remark: Callable[[str], None] | None = None
) -> dict[str, NDArray[Any]]:
    """Read a table of linewidths.

    Parameters
    ----------
    path
        ``.npz``, ``.hdf5`` or ``.h5``; or the folder in which ShengBTE or FourPhonon ran.
    quantity, unit
        What the numbers under ``gamma_thz`` are, see `to_gamma_thz`; files of other programs say it themselves.
    remark
        Called with one sentence for what is in the file and not taken.

    Raises
    ------
    ValueError
        If the file is missing or damaged, or an array that is needed is not there.
    """
    say = remark or (lambda _sentence: None)
    if path.is_dir():
        return _of_shengbte(path, quantity, unit, say)
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    arrays = read_npz(path) if path.suffix == ".npz" else _read_hdf5(path)
    if "gamma_thz" not in arrays and "gamma" in arrays:
        if quantity != "hwhm" or unit != "THz":
            raise ValueError(f"{path.name} is phono3py's: its widths are hwhm in THz, not {quantity} in {unit}")
        if "gamma_isotope" in arrays:
            say(f"{path.name} holds isotope scattering as well, which is not taken: ask for isotopes to add it")
        table = {ours: arrays[theirs] for theirs, ours in PHONO3PY.items() if theirs in arrays}
    else:
        table = {name: arrays[name] for name in TABLE if name in arrays}
    missing = [name for name in TABLE[:3] if name not in table]
    if missing:
        raise ValueError(
            f"{path.name} holds no {', '.join(missing)}: a table needs {', '.join(TABLE[:3])}, or be phono3py's "
            "kappa-m*.hdf5 with gamma"
        )
    gamma = np.asarray(table["gamma_thz"], dtype=float)
    table["temperatures"] = np.atleast_1d(table["temperatures"])
    table["gamma_thz"] = to_gamma_thz(gamma[None] if gamma.ndim == 2 else gamma, quantity, unit)
    if "mesh" in table:
        mesh = np.asarray(table["mesh"])
        if mesh.shape == (3, 3):
            if np.any(mesh != np.diag(np.diag(mesh))):
                raise ValueError(
                    f"{path.name} is of a generalised regular grid: compute it on a grid of three divisions"
                )
            mesh = np.diag(mesh)
        table["mesh"] = mesh
    return table


def _of_shengbte(folder: Path, quantity: str, unit: str, say: Callable[[str], None]) -> dict[str, NDArray[Any]]:
    from aiida_iontherm.tasks.shengbte_files import read_table

    if quantity != "hwhm" or unit != "THz":
        raise ValueError(f"the widths in {folder.name} are rates in 1/ps, as ShengBTE writes them: leave out the unit")
    table, rates = read_table(folder)
    processes = ["three phonons"] + (["four phonons"] if "4ph" in rates.parts_thz else [])
    processes += ["isotopes"] if rates.with_isotopes else []
    say(f"the linewidths are those of ShengBTE in the relaxation-time approximation: {', '.join(processes)}")
    return table


def _read_hdf5(path: Path) -> dict[str, NDArray[Any]]:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return {name: np.array(data) for name, data in file.items() if isinstance(data, h5py.Dataset)}
    except OSError as error:
        raise ValueError(f"{path.name} is not a readable HDF5 file: {error}") from error
