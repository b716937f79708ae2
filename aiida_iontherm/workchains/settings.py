"""What a protocol may say: one model per section, strict, with units in the descriptions."""

from __future__ import annotations

import difflib
import math
from itertools import pairwise
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from aiida_iontherm.calculations.resources import DEFAULT, Resources
from aiida_iontherm.engines.dft import DftSettings
from aiida_iontherm.tasks.lammps_files.section import LammpsSection
from aiida_iontherm.tasks.mlip_settings import MlipSettings
from aiida_iontherm.tasks.registry import TASKS

PROGRAMS = ("vasp", "espresso", "shengbte", "lammps", "mlip")
"""Programs whose jobs may have resources of their own, besides the tasks."""

MIN_FRAMES = 192
"""`physics.ions.diffusion` wants eight blocks of 24 frames."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EngineSection(_Section):
    """Who supplies reference energies and forces."""

    name: str = Field(description="ASE calculator, or `vasp`, `espresso`: see `iontherm engines`.")
    code: str | None = Field(None, description="LABEL@COMPUTER of a program; null for an ASE calculator.")
    options: dict[str, Any] = Field(default_factory=dict, description="The engine's own.")
    dft: DftSettings = Field(
        DftSettings(), description="Physics of engines that solve for the electron density; others do not look at it."
    )
    jobs_at_once: int = Field(10, gt=0, description="Jobs of a program in the queue at a time, one structure each.")
    configurations_per_job: int | None = Field(
        None, gt=0, description="Labelled by an ASE calculator in one job; null: all. More jobs run side by side."
    )


class RelaxSection(_Section):
    """Relaxation of the start structure, its space group kept."""

    relax_cell: bool = Field(description="False keeps the given (measured) lattice and relaxes positions only.")
    force_tolerance: float = Field(gt=0, description="eV/Angstrom.")
    max_steps: int = Field(gt=0, description="Of one relaxation.")
    rounds: int = Field(3, gt=0, description="Relaxations in a row, each from where the last one ran out of steps.")
    symmetry_lost: Literal["tell", "stop"] = Field(
        "tell", description="Go on or end when the relaxed cell has a lower space group."
    )


class ReferenceSection(_Section):
    """What the first generation is trained on: reference MD, one run for each temperature, and rattled cells."""

    min_extent: float = Field(gt=0, description="Smallest height of the supercell, Angstrom, as far as atoms allow.")
    max_atoms: int = Field(gt=0, description="Atoms the supercell may have; a larger unit cell is taken as it is.")
    temperatures: list[float] = Field(min_length=1, description="K, one run each.")
    volume_scalings: list[float] = Field(
        min_length=1, description="Factors of the volume, cycled over the runs and over the rattled cells."
    )
    frames_per_run: int = Field(gt=0)
    stride: int = Field(gt=0, description="MD steps between labelled frames.")
    timestep_fs: float = Field(gt=0, le=5)
    friction_per_ps: float = Field(gt=0)
    strain: float = Field(ge=0, lt=0.2, description="Standard deviation of the random strain of a run or cell.")
    rattled_frames: int = Field(ge=0, description="Cells with random displacements, one evaluation each.")
    rattle: float = Field(ge=0, lt=0.5, description="Standard deviation of their displacements, Angstrom.")


class PotentialSection(_Section):
    """Moment tensor potential, trained and refined by exploring with it."""

    level: int = Field(ge=2, le=28)
    cutoff: float = Field(gt=1, description="Angstrom.")
    radial_size: int = Field(ge=2)
    weights: tuple[float, float, float] = Field(description="Of energies, forces and stresses.")
    validation_fraction: float = Field(ge=0, lt=0.5)
    max_iterations: int = Field(gt=0, description="Of each training.")
    tolerance: float = Field(gt=0, description="Stop when 10 iterations lower the loss by less than this fraction.")
    max_rounds: int = Field(ge=0, description="Rounds of explore, select, label, retrain.")
    explore_temperatures: list[float] = Field(min_length=1, description="K, each at each volume.")
    explore_volumes: list[float] = Field(min_length=1, description="Factors of the volume.")
    explore_ps: list[float] = Field(
        min_length=1,
        description="Lengths of the exploration runs: the next one follows when a round meets a criterion to stop, "
        "and after the last one the exploration is over.",
    )
    grade_interval: int = Field(gt=0, description="MD steps between two gradings.")
    grade_select: float = Field(gt=1.001, description="Frames with an atom above this grade are candidates.")
    grade_break: float = Field(description="Above this grade a run ends.")
    max_selected: int = Field(gt=0, description="Candidates labelled in a round, at most.")
    test_frames: int = Field(gt=0, description="Frames labelled in a round whatever their grade: the honest test.")
    force_constant_tolerance: float = Field(
        ge=0, description="Stop when a retraining changes the force constants by less than this fraction; 0: never."
    )
    force_error_target: float = Field(
        gt=0, description="Relative force error on test frames that counts as accurate; told, not waited for."
    )
    program: Literal["native", "mlip"] = Field(
        "native", description="Who trains and selects: this package, or the executable `mlp` of MLIP-2 or MLIP-3."
    )
    code: str | None = Field(None, description="LABEL@COMPUTER of `mlp`.")
    mlip: MlipSettings = Field(
        MlipSettings(), description="What `mlp` is asked; its own in place of max_iterations and tolerance."
    )

    @model_validator(mode="after")
    def _program_is_named(self) -> PotentialSection:
        if (self.program == "mlip") != (self.code is not None):
            raise ValueError(
                "potential.code: name the code of `mlp` with `program: mlip`, LABEL@COMPUTER, and leave it out with "
                "`program: native`"
            )
        return self

    @model_validator(mode="after")
    def _level_is_even(self) -> PotentialSection:
        if self.level % 2:
            raise ValueError(f"potential.level: MTP levels are even, not {self.level}")
        return self

    @model_validator(mode="after")
    def _exploration_makes_sense(self) -> PotentialSection:
        if not all(0 < value < math.inf for value in self.explore_ps) or any(
            later <= earlier for earlier, later in pairwise(self.explore_ps)
        ):
            raise ValueError(f"potential.explore_ps: lengths must be positive and grow, not {self.explore_ps}")
        if not all(0.8 <= value <= 1.25 for value in self.explore_volumes):
            raise ValueError(
                f"potential.explore_volumes: factors of the volume lie between 0.8 and 1.25, not {self.explore_volumes}"
            )
        for name in ("explore_temperatures", "explore_volumes"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise ValueError(f"potential.{name}: each one only once, not {values}")
        if not self.grade_select < self.grade_break < math.inf:
            raise ValueError(
                f"potential.grade_break: {self.grade_break:g} must be above grade_select, {self.grade_select:g}"
            )
        return self


class DynamicsSection(_Section):
    """Molecular dynamics at each temperature: snapshots and diffusion."""

    min_extent: float = Field(gt=0, description="Smallest height of the supercell, Angstrom, as far as atoms allow.")
    max_atoms: int = Field(gt=0, description="Atoms the supercell may have; a larger unit cell is taken as it is.")
    timestep_fs: float = Field(gt=0, le=5)
    equilibration_ps: float = Field(ge=0)
    production_ps: float = Field(gt=0)
    ensemble: Literal["nve", "nvt"]
    friction_per_ps: float = Field(gt=0)
    position_interval_fs: float = Field(gt=0)
    snapshots: int = Field(ge=8)
    vdos: bool
    target_error: float = Field(
        ge=0, lt=1, description="Relative standard error of D for which more runs are made where ions move; 0: never."
    )
    max_production_ps: float = Field(gt=0, description="Of all runs at a temperature together.")
    program: Literal["native", "lammps"] = Field("native", description="Who moves the atoms: this package, or LAMMPS.")
    code: str | None = Field(None, description="LABEL@COMPUTER of `lmp`.")
    lammps: LammpsSection = Field(LammpsSection(), description="How LAMMPS runs.")

    @model_validator(mode="after")
    def _program_is_named(self) -> DynamicsSection:
        if (self.program == "lammps") != (self.code is not None):
            raise ValueError(
                "dynamics.code: name the code of `lmp` with `program: lammps`, LABEL@COMPUTER, and leave it out with "
                "`program: native`"
            )
        return self


class ForceConstantsSection(_Section):
    """Effective force constants at temperature."""

    cutoffs: tuple[float, ...] = Field(
        min_length=2,
        max_length=3,
        description="Second, third and, if wanted, fourth order, Angstrom; capped by the supercell.",
    )
    fit_method: Literal["ridge", "least-squares"]
    blocks: int = Field(ge=2)
    reference: Literal["mean", "ideal"]
    convergence: tuple[Literal["snapshots", "cutoffs"], ...] = Field(
        description="What the fit is compared with: fits to fewer snapshots, fits with shorter cutoffs."
    )

    @model_validator(mode="after")
    def _cutoffs_shrink_with_the_order(self) -> ForceConstantsSection:
        # A triplet holds pairs: a third order that reaches farther than the second is no expansion of one potential.
        if not all(0 < length < math.inf for length in self.cutoffs) or any(
            higher > lower for lower, higher in pairwise(self.cutoffs)
        ):
            raise ValueError(
                "force_constants.cutoffs: lengths must be positive and not grow from order to order, not "
                + " / ".join(f"{length:g}" for length in self.cutoffs)
            )
        return self


class ConductivitySection(_Section):
    """Phonons and linewidths on a mesh."""

    mesh_length: float = Field(gt=0, description="Mesh density as phonopy's length, Angstrom.")
    coarse_mesh_length: float = Field(gt=0, description="Of the mesh for error bars, Angstrom.")
    dos_smearing_thz: float = Field(gt=0)
    program: Literal["phono3py", "shengbte"] = Field(
        "phono3py", description="Who computes linewidths; shengbte: ShengBTE or FourPhonon, a program of its own."
    )
    code: str | None = Field(None, description="LABEL@COMPUTER of ShengBTE or FourPhonon.")
    shengbte: dict[str, Any] = Field(
        default_factory=dict, description="What it is to do beside, under its own names: four_phonon, scalebroad ..."
    )

    @model_validator(mode="after")
    def _program_has_a_code(self) -> ConductivitySection:
        if self.program == "shengbte" and not self.code:
            raise ValueError("conductivity.code: ShengBTE is a program of its own, name its code LABEL@COMPUTER")
        if self.program != "shengbte" and (self.shengbte or self.code):
            raise ValueError("conductivity.program: set it to shengbte for the code and the settings given")
        return self


class Settings(_Section):
    """A whole protocol, resolved for one compound."""

    description: str = Field(description="What these settings are good for, said to the user.")
    temperatures: list[float] = Field(min_length=1, description="K.")
    mobile: str | None = Field(None, description="Symbol of the mobile ion; found from the composition by default.")
    goal: Literal["conductivity", "diffusivity"] = Field(
        "conductivity", description="How far to go; a later run with `conductivity` takes the rest from the cache."
    )
    seed: int = 0
    resources: dict[str, Resources] = Field(
        default_factory=dict,
        description="What jobs ask of the scheduler, by task or program; `default` holds for all. See the how-to.",
    )
    handlers: dict[str, bool] = Field(
        default_factory=dict, description="Error handlers of the tasks to switch off, NAME: false; see Robustness."
    )
    engine: EngineSection
    relax: RelaxSection
    reference: ReferenceSection
    potential: PotentialSection
    dynamics: DynamicsSection
    force_constants: ForceConstantsSection
    conductivity: ConductivitySection

    @model_validator(mode="after")
    def _temperatures_are_positive(self) -> Settings:
        lists = {
            "temperatures": self.temperatures,
            "reference.temperatures": self.reference.temperatures,
            "potential.explore_temperatures": self.potential.explore_temperatures,
        }
        for name, values in lists.items():
            bad = [value for value in values if not 0 < value < math.inf]
            if bad:
                raise ValueError(f"{name}: temperatures are in K and positive, not {bad[0]:g}")
        if len(set(self.temperatures)) != len(self.temperatures):
            raise ValueError("temperatures: each one only once")
        return self

    @model_validator(mode="after")
    def _resources_are_of_something(self) -> Settings:
        known = sorted({DEFAULT, *TASKS, *PROGRAMS})
        for name in self.resources:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
                raise ValueError(f"resources: there is no task or program {name}: {hint}")
        return self

    @model_validator(mode="after")
    def _four_phonons_have_force_constants(self) -> Settings:
        if self.conductivity.shengbte.get("four_phonon") and len(self.force_constants.cutoffs) < 3:
            raise ValueError(
                "conductivity.shengbte.four_phonon: it needs a fourth order, a third cutoff in force_constants.cutoffs"
            )
        return self

    @model_validator(mode="after")
    def _frames_suffice(self) -> Settings:
        frames = int(self.dynamics.production_ps * 1000 / self.dynamics.position_interval_fs)
        if frames < MIN_FRAMES:
            raise ValueError(
                f"dynamics: {frames} stored positions are too few for a diffusivity, which needs {MIN_FRAMES}: raise "
                "production_ps or lower position_interval_fs"
            )
        return self
