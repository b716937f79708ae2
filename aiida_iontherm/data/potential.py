"""A moment tensor potential with the names of its species, which its file format does not carry."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from aiida.common.exceptions import ValidationError
from aiida.orm import SinglefileData

from aiida_iontherm.physics.mtp import MomentTensorPotential


class PotentialData(SinglefileData):
    """A ``.mtp`` file and the chemical symbols of its species, in the order of the file."""

    def __init__(self, file: Any, species: list[str], filename: str = "potential.mtp", **kwargs: Any) -> None:
        super().__init__(file, filename=filename, **kwargs)
        self.base.attributes.set("species", list(species))

    @property
    def species(self) -> list[str]:
        """Chemical symbols in the order of the file."""
        return self.base.attributes.get("species")

    def potential(self) -> MomentTensorPotential:
        """Read the potential."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "potential.mtp"
            path.write_text(self.get_content(), encoding="utf-8")
            return MomentTensorPotential.read(path, self.species)

    def _validate(self) -> bool:
        super()._validate()
        if not self.base.attributes.get("species", None):
            raise ValidationError("a potential needs the names of its species")
        try:
            self.potential()
        except ValueError as error:
            raise ValidationError(
                f"{self.filename} is not a potential of {', '.join(self.species)}: {error}"
            ) from error
        return True
