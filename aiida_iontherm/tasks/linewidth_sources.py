"""Where the linewidths of a mesh come from: three-phonon scattering, a table from elsewhere, or an analytic model.

Each source gives the points of the mesh and the half widths there; to these come what holds in addition, natural
isotopes and boundaries (Matthiessen's rule).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from phonopy import Phonopy
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, model_validator

from aiida_iontherm.physics.lattice.isotopes import isotope_gamma
from aiida_iontherm.physics.lattice.linewidth_tables import (
    check_linewidths,
    linewidths_by_frequency,
    linewidths_on_mesh,
    reciprocal_operations,
)
from aiida_iontherm.physics.lattice.linewidths import boundary_gamma, matthiessen
from aiida_iontherm.physics.lattice.phonons import Phonons, irreducible_mesh
from aiida_iontherm.physics.lattice.scattering_models import umklapp_and_proportional
from aiida_iontherm.tasks.contract import InputError
from aiida_iontherm.tasks.files import read_npz

Mesh = tuple[int, int, int]


class Model(BaseModel):
    """Constants of 1/tau = C1 w^2 T exp(-C2/T) + A w."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    c1: NonNegativeFloat = Field(0.0, description="s/K.")
    c2: NonNegativeFloat = Field(0.0, description="K.")
    a: NonNegativeFloat = Field(0.0, description="Without unit.")

    @model_validator(mode="after")
    def scatters(self) -> Model:
        """Refuse a model without any scattering."""
        if not (self.c1 > 0 or self.a > 0):
            raise ValueError("a model of linewidths needs c1 or a: without scattering the conductivity is infinite")
        return self


class Linewidths(BaseModel):
    """Which linewidths to take."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Literal["three-phonon", "table", "model"] = "three-phonon"
    table: str = Field("linewidths.npz", description="For `table`: gamma_thz, qpoints, temperatures, and mesh.")
    origin: str | None = Field(None, description="For `table`: where it comes from, in words.")
    by_frequency: bool = Field(False, description="Read a smooth curve off the table: any mesh, an approximation.")
    check: bool = Field(True, description="Ask back where a table looks like another quantity or unit.")
    model: Model | None = Field(None, description="For `model`.")
    isotopes: bool = Field(False, description="Add scattering by natural isotopes.")
    boundary_um: PositiveFloat | None = Field(None, description="Add boundaries this far apart, micrometres.")

    @model_validator(mode="after")
    def complete(self) -> Linewidths:
        """Ask for what the source needs."""
        if (self.model is not None) != (self.source == "model"):
            raise ValueError("source `model` needs its constants in model, and only it")
        if self.origin is not None and self.source != "table":
            raise ValueError("origin says where a table comes from, and the linewidths are not those of a table")
        return self

    def words(self) -> str:
        """Say for a result record where the linewidths come from."""
        text = {
            "three-phonon": "three-phonon linewidths (RTA)",
            "table": (self.origin or "linewidths given")
            + (", as a function of frequency" if self.by_frequency else ""),
            "model": ""
            if self.model is None
            else f"analytic linewidths, C1 = {self.model.c1:g} s/K, C2 = {self.model.c2:g} K, A = {self.model.a:g}",
        }[self.source]
        if self.isotopes:
            text += ", natural isotopes"
        if self.boundary_um is not None:
            text += f", boundaries {self.boundary_um:g} um apart"
        return text


@dataclass(frozen=True)
class Table:
    """Linewidths computed elsewhere.

    Attributes
    ----------
    gamma_thz
        Half widths [T, k, s].
    qpoints
        Fractional coordinates [k, 3].
    frequencies_thz
        [k, s], or ``None``.
    mesh
        Divisions, or ``None`` where the table does not tell.
    """

    gamma_thz: NDArray[np.float64]
    qpoints: NDArray[np.float64]
    frequencies_thz: NDArray[np.float64] | None
    mesh: Mesh | None

    @classmethod
    def read(cls, path: Path, temperatures: Sequence[float]) -> Table:
        """Read those of some temperatures.

        Raises
        ------
        InputError
            If the file holds no such table, or not these temperatures.
        """
        try:
            arrays = read_npz(path)
            known, gamma = np.atleast_1d(arrays["temperatures"]), arrays["gamma_thz"]
            qpoints = arrays["qpoints"]
        except (KeyError, ValueError) as error:
            raise InputError(
                f"{path.name} is no table of linewidths (gamma_thz, qpoints, temperatures): {error}"
            ) from (error)
        if gamma.shape[:2] != (len(known), len(qpoints)):
            raise InputError(
                f"{path.name}: gamma_thz {gamma.shape} does not fit {len(known)} temperatures and "
                f"{len(qpoints)} q-points"
            )
        same = np.isclose(np.asarray(temperatures)[:, None], known[None, :], rtol=1e-6, atol=0)
        if not same.any(axis=1).all():
            missing = np.asarray(temperatures)[~same.any(axis=1)][0]
            raise InputError(f"{path.name} has no linewidths at {missing:g} K, only at {_listing(known)} K")
        mesh = None
        if "mesh" in arrays:
            a, b, c = (int(n) for n in arrays["mesh"])
            mesh = (a, b, c)
        return cls(gamma[np.argmax(same, axis=1)], qpoints, arrays.get("frequencies_thz"), mesh)

    def on(self, phonons: Phonons, cell_A: NDArray[np.float64], by_frequency: bool) -> NDArray[np.float64]:
        """Half widths [T, q, s] on these modes.

        Raises
        ------
        InputError
            If the table is not that of these phonons.
        """
        try:
            if not by_frequency:
                return linewidths_on_mesh(
                    phonons.qpoints,
                    phonons.frequencies_thz,
                    reciprocal_operations(cell_A, phonons.rotations),
                    self.qpoints,
                    self.gamma_thz,
                    self.frequencies_thz,
                )
            if self.frequencies_thz is None:
                raise InputError("linewidths as a function of frequency need frequencies_thz in the table")
            flat = self.gamma_thz.reshape(len(self.gamma_thz), -1)
            return linewidths_by_frequency(phonons.frequencies_thz, self.frequencies_thz.ravel(), flat).gamma_thz
        except ValueError as error:
            raise InputError(f"the table of linewidths does not fit: {error}") from error


def given_linewidths(
    choice: Linewidths, folder: Path, phonopy: Phonopy, phonons: Phonons, temperatures: Sequence[float]
) -> NDArray[np.float64]:
    """Half widths [T, q, s] of a table or a model.

    Raises
    ------
    InputError
        If the table does not fit, or looks like another quantity.
    """
    if choice.model is not None:
        model = umklapp_and_proportional(choice.model.c1, choice.model.c2, choice.model.a)
        return model.gamma_thz(phonons.frequencies_thz, temperatures)
    table = Table.read(folder / choice.table, temperatures)
    gamma = table.on(phonons, phonopy.primitive.cell, choice.by_frequency)
    if choice.check:
        try:
            check_linewidths(gamma, phonons.frequencies_thz, temperatures)
        except ValueError as error:
            raise InputError(f"{error}. If they are right as they are, leave out the check") from error
    return gamma


def with_additions(
    choice: Linewidths, gamma: NDArray[np.float64], phonopy: Phonopy, phonons: Phonons, mesh: Mesh
) -> NDArray[np.float64]:
    """Add isotopes and boundaries to half widths [T, q, s] on a mesh."""
    total = gamma
    if choice.isotopes:
        points, _ = irreducible_mesh(phonopy, mesh)
        operations = reciprocal_operations(phonopy.primitive.cell, phonons.rotations)
        natural = isotope_gamma(phonopy, mesh)[None]
        total = matthiessen(
            total, linewidths_on_mesh(phonons.qpoints, phonons.frequencies_thz, operations, points, natural)
        )
    if choice.boundary_um is not None:
        total = matthiessen(total, boundary_gamma(phonons, choice.boundary_um * 1e-6))
    # what has no linewidth of its own stays without: an imaginary mode carries nothing
    return np.where(gamma > 0, total, 0.0)


def _listing(numbers: NDArray[Any]) -> str:
    return ", ".join(f"{n:g}" for n in numbers[:12]) + (" ..." if len(numbers) > 12 else "")
