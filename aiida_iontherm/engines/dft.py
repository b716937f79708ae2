"""What a density-functional calculation is asked for, whatever the code: physics in one place, translated per code.

Every engine that solves for the electron density takes these settings and nothing else for the physics, so that a
protocol stays the same when the code changes. How a code calls them is written in its own module.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

Mesh = tuple[PositiveInt, PositiveInt, PositiveInt]


class DftChanges(BaseModel):
    """What a relaxation does otherwise than the reference set; what is left out stays."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cutoff_ev: float | None = Field(None, gt=0)
    k_spacing: float | None = Field(None, gt=0)
    k_mesh: Mesh | None = None
    energy_tolerance_ev: float | None = Field(None, gt=0)


class DftSettings(BaseModel):
    """Kohn-Sham density functional theory in plane waves, without spin polarisation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    functional: Literal["LDA", "PBE", "PBEsol"] = Field("PBEsol", description="Exchange and correlation.")
    cutoff_ev: float | None = Field(
        None, gt=0, description="Kinetic energy of the plane waves, eV; null: what the code's potentials recommend."
    )
    k_spacing: float | None = Field(
        0.3,
        gt=0,
        description="Distance of k points, 1/Angstrom with the factor 2 pi, Gamma among them; null: Gamma alone.",
    )
    k_mesh: Mesh | None = Field(None, description="Divisions of the reciprocal cell; comes before a distance.")
    energy_tolerance_ev: float = Field(1e-6, gt=0, description="Of the self-consistent energy of a cell, eV.")
    max_scf_steps: int = Field(100, gt=0)
    smearing: Literal["gaussian", "fermi-dirac", "methfessel-paxton", "fixed"] = Field(
        "gaussian", description="Of the occupations; fixed: an insulator without any."
    )
    smearing_ev: float = Field(0.05, gt=0, description="Its width, eV.")
    dispersion: Literal["none", "d3", "d3-bj"] = Field(
        "none", description="Grimme's D3, damped to zero or as by Becke and Johnson."
    )
    relax: DftChanges = Field(
        DftChanges(), description="Other values of cutoff_ev, k_spacing, k_mesh, energy_tolerance_ev for a relaxation."
    )

    def for_relaxation(self) -> DftSettings:
        """Return the settings of a relaxation: these with the changes under `relax`."""
        changes: dict[str, Any] = {key: value for key, value in self.relax.model_dump().items() if value is not None}
        if "k_spacing" in changes:
            changes.setdefault("k_mesh", None)
        return self.model_copy(update=changes)

    def mesh(self, cell: np.ndarray) -> tuple[int, int, int]:
        """Return the divisions of the reciprocal cell of `cell` [3, 3] (rows, Angstrom), Gamma-centred.

        From a distance as VASP's ``KSPACING``: N_i = max(1, ceil(2 pi |b_i| / spacing)).
        """
        if self.k_mesh is not None:
            return self.k_mesh
        if self.k_spacing is None:
            return (1, 1, 1)
        lengths = 2 * np.pi * np.linalg.norm(np.linalg.inv(cell).T, axis=1)
        # A quotient that is whole but for rounding must not gain a point on one machine and none on another.
        first, second, third = (max(1, math.ceil(length / self.k_spacing - 1e-6)) for length in lengths)
        return (first, second, third)
