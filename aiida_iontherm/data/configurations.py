"""A set of configurations in one extended XYZ file, labelled or not."""

from __future__ import annotations

import io

import ase.io
from aiida.common.exceptions import ValidationError
from aiida.orm import SinglefileData
from ase import Atoms


class ConfigurationsData(SinglefileData):
    """Configurations with, where they are labelled, energies, forces and stresses."""

    @classmethod
    def from_frames(cls, frames: list[Atoms], filename: str = "configurations.extxyz") -> ConfigurationsData:
        """Store ASE structures with the results their calculators hold."""
        text = io.StringIO()
        ase.io.write(text, frames, format="extxyz")
        return cls(io.BytesIO(text.getvalue().encode()), filename=filename)

    def frames(self) -> list[Atoms]:
        """Return the configurations as ASE structures."""
        with self.open(mode="r") as stream:
            return ase.io.read(stream, index=":", format="extxyz")

    def _validate(self) -> bool:
        super()._validate()
        try:
            frames = self.frames()
        # A file that ends within a frame leaves ASE's reader as a RuntimeError: a generator that raised StopIteration.
        except (OSError, ValueError, KeyError, IndexError, StopIteration, RuntimeError) as error:
            raise ValidationError(f"{self.filename} is not extended XYZ: {error}") from error
        if not frames:
            raise ValidationError(f"{self.filename} holds no structure")
        return True
