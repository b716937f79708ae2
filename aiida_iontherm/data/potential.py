"""A moment tensor potential with what its file format does not carry: the names of its species, its active set."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from aiida.common.exceptions import ValidationError
from aiida.orm import Data, SinglefileData

from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.mtp.selection import ActiveSet, active_set_from_arrays

ACTIVE_SET = "active_set.npz"
"""Name of the second file, in the node and wherever it is written."""


class PotentialData(SinglefileData):
    """A ``.mtp`` file, the chemical symbols of its species in the order of the file, and perhaps its active set.

    Parameters
    ----------
    file : path or binary stream
        The ``.mtp`` file.
    species : list of str
        Chemical symbols.
    filename : str
    active_set : binary stream, optional
        ``active_set.npz`` of the task `train`. Potentials from elsewhere have none, and no extrapolation grades.
    """

    def __init__(
        self,
        file: Any,
        species: list[str],
        filename: str = "potential.mtp",
        active_set: BinaryIO | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(file, filename=filename, **kwargs)
        self.base.attributes.set("species", list(species))
        if active_set is not None:
            self.base.repository.put_object_from_filelike(active_set, ACTIVE_SET)

    @property
    def species(self) -> list[str]:
        """Chemical symbols in the order of the file."""
        return self.base.attributes.get("species")

    def potential(self) -> MomentTensorPotential:
        """Read the potential."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "potential.mtp"
            path.write_bytes(self.get_content(mode="rb"))  # with the selection state of MLIP-3 it is no text
            return MomentTensorPotential.read(path, self.species)

    @property
    def has_active_set(self) -> bool:
        """Whether configurations can be graded."""
        return ACTIVE_SET in self.base.repository.list_object_names()

    def active_set(self) -> ActiveSet:
        """Read the active set and check that it is this potential's.

        Raises
        ------
        ValueError
            If there is none, it is damaged, or it is another potential's.
        """
        if not self.has_active_set:
            raise ValueError("this potential carries no active set: train it in this version to have one")
        try:
            with (
                self.base.repository.open(ACTIVE_SET, mode="rb") as stream,
                np.load(stream, allow_pickle=False) as archive,
            ):
                arrays = {name: archive[name] for name in archive.files}
        except (OSError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{ACTIVE_SET} is not a NumPy archive of plain arrays: {error}") from error
        return active_set_from_arrays(arrays, self.potential())

    def _validate(self) -> bool:
        # Not that of SinglefileData, which allows no second file.
        Data._validate(self)
        names = {*self.base.repository.list_object_names()} - {ACTIVE_SET}
        if names != {self.filename}:
            raise ValidationError(f"a potential is one file, not {', '.join(sorted(names)) or 'none'}")
        if not self.base.attributes.get("species", None):
            raise ValidationError("a potential needs the names of its species")
        try:
            self.potential()
        except ValueError as error:
            raise ValidationError(
                f"{self.filename} is not a potential of {', '.join(self.species)}: {error}"
            ) from error
        if self.has_active_set:
            try:
                self.active_set()
            except ValueError as error:
                raise ValidationError(f"{ACTIVE_SET} is of no use: {error}") from error
        return True
