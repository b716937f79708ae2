"""Named arrays in one NumPy archive, the form in which tasks exchange them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar, Self

import numpy as np
from aiida.common.exceptions import ValidationError
from aiida.orm import SinglefileData


class ArchiveData(SinglefileData):
    """A ``.npz`` file with known arrays; subclasses say which."""

    REQUIRED: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], filename: str = "arrays.npz") -> Self:
        """Make a node, not stored yet, of arrays by name."""
        stream = io.BytesIO()
        np.savez_compressed(stream, **arrays)
        stream.seek(0)
        return cls(stream, filename=filename)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all arrays; pickled objects are refused."""
        with self.opened() as archive:
            return dict(archive)

    @contextmanager
    def opened(self) -> Iterator[Mapping[str, np.ndarray]]:
        """Arrays by name, each read from the file when it is asked for, and every time anew."""
        with self.open(mode="rb") as stream, np.load(stream, allow_pickle=False) as archive:
            yield archive

    def _validate(self) -> bool:
        super()._validate()
        try:
            # All of them: a file that is damaged or pickled is refused now, not when it is read.
            present = self.arrays()
        except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
            raise ValidationError(f"{self.filename} is not a NumPy archive of plain arrays: {error}") from error
        missing = [name for name in self.REQUIRED if name not in present]
        if missing:
            raise ValidationError(f"{self.filename} lacks the arrays {', '.join(missing)}")
        return True


class TrajectoryData(ArchiveData):
    """Reduced molecular dynamics: thermodynamics, unwrapped mobile ions, snapshots. See `tasks.md`."""

    REQUIRED = (
        "thermo",
        "mobile_positions",
        "drift",
        "frame_interval_fs",
        "snapshots",
        "snapshot_forces",
        "cell",
        "numbers",
    )


class CurrentsData(ArchiveData):
    """Heat current by parts and mass currents by species. See `tasks.md`."""

    REQUIRED = ("virial", "convective", "timestep_fs", "temperature", "volume")


class ForceConstantsData(ArchiveData):
    """Force constants of second order and higher, of all snapshots and of jackknife fits. See `tasks.crystal`."""

    REQUIRED = ("fits", "fc2_0", "unitcell", "positions", "numbers", "supercell")


class PhononsData(ArchiveData):
    """Phonons, linewidths and velocity products on a mesh. See `tasks.lattice_conductivity`."""

    REQUIRED = (
        "frequencies_thz",
        "weights",
        "gamma_thz",
        "velocity_products",
        "temperatures",
        "volume_A3",
        "rotations",
        "fits",
    )


class LinewidthsData(ArchiveData):
    """Linewidths on a mesh, by process where that is known. See `tasks.linewidth_files`."""

    REQUIRED = ("gamma_thz", "qpoints", "temperatures", "frequencies_thz", "mesh")


class ParityData(ArchiveData):
    """Reference and predicted energies and forces of a trained potential. See `tasks.train`."""

    REQUIRED = ("energies_train", "forces_train", "history")
