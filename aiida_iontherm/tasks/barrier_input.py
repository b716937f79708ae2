"""Input of the task ``barrier``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from aiida_iontherm.physics.ions.ion_scan import MIN_POINTS
from aiida_iontherm.tasks.contract import TaskInput

Vector = tuple[float, float, float]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HopSection(_Section):
    """One hop by its ends, in fractional coordinates of the unit cell."""

    start: Vector = Field(description="Site of the ion that hops.")
    end: Vector = Field(description="Site of another mobile ion, which is taken out, or an empty one.")


class SearchSection(_Section):
    """Hops between neighbouring sites, one for each that symmetry tells apart."""

    max_distance: float = Field(5.0, gt=0, description="Longest hop, Angstrom.")
    max_count: PositiveInt = Field(4, description="How many of them, the shortest first.")
    empty_sites: list[Vector] = Field(
        default_factory=list, description="Fractional coordinates of sites without an ion; one of each kind suffices."
    )
    only: list[PositiveInt] | None = Field(None, description="Numbers of the hops found, from 1, instead of the first.")
    symprec: float = Field(0.01, gt=0, description="Tolerance of the symmetry, Angstrom.")


class ScanSection(_Section):
    """Line along which one ion is moved while all others stay."""

    directions: list[Vector] = Field(
        default_factory=list, description="Cartesian directions; without them the ion goes along the hops."
    )
    sites: list[Vector] = Field(
        default_factory=list, description="Fractional coordinates of the ions; by default one of each kind."
    )
    amplitude: float = Field(0.6, gt=0, description="Largest displacement to both sides, Angstrom.")
    points: int = Field(13, ge=MIN_POINTS, description="Displacements along a direction.")


class Input(TaskInput):
    """Input of the task."""

    structure: str = "structure.extxyz"
    potential: str | None = Field(None, description="Moment tensor potential, .mtp.")
    species: list[str] = Field(default_factory=list, description="Elements of the potential, in its order.")
    engine: str | None = Field(None, description="Embedded engine, instead of a potential.")
    engine_options: dict[str, Any] = Field(default_factory=dict)
    supercell: tuple[PositiveInt, PositiveInt, PositiveInt] = (1, 1, 1)
    mobile: str = Field(description="Symbol of the ion that hops.")
    method: Literal["neb", "scan"] = Field(
        "neb", description="Elastic band between relaxed ends; or rigid displacements of one ion, all others fixed."
    )
    path: str | None = Field(
        None, description="Given path, extended XYZ of the supercell: two ends, or more frames to begin with."
    )
    hop: HopSection | None = Field(None, description="Given hop, instead of those found.")
    search: SearchSection = Field(default_factory=SearchSection, description="Which hops to find.")
    scan: ScanSection = Field(default_factory=ScanSection, description="For the method scan.")
    images: int = Field(5, ge=1, description="Between the ends.")
    fmax: float = Field(0.05, gt=0, description="Largest force left, on ends and band, eV/Angstrom.")
    climb: bool = Field(True, description="Let the highest image climb to the saddle.")
    max_steps: PositiveInt = Field(500, description="Steps of each stage: both ends, band, climbing band.")
    charges: dict[str, float] | None = Field(
        None, description="Formal charges of all elements for bond valences; found from the composition by default."
    )

    @model_validator(mode="after")
    def _one_source_of_paths(self) -> Input:
        if self.path is not None and self.hop is not None:
            raise ValueError("give a path or a hop, not both")
        if (self.potential is None) == (self.engine is None):
            raise ValueError("give either a potential or an engine")
        if self.scan.directions and (self.path is not None or self.hop is not None):
            raise ValueError("a scan goes along directions or along a path: leave one out")
        if self.scan.directions and self.method != "scan":
            raise ValueError("scan.directions are for the method scan: choose it or leave them out")
        return self
