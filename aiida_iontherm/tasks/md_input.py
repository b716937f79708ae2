"""Input of the task ``md``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, PositiveInt

from aiida_iontherm.tasks.contract import TaskInput


class Input(TaskInput):
    """Input of the task."""

    structure: str = "structure.extxyz"
    potential: str | None = Field(None, description="Moment tensor potential, .mtp.")
    species: list[str] = Field(default_factory=list, description="Elements of the potential, in its order.")
    engine: str | None = Field(None, description="Embedded engine, instead of a potential.")
    engine_options: dict[str, Any] = Field(default_factory=dict)
    supercell: tuple[PositiveInt, PositiveInt, PositiveInt] = (1, 1, 1)
    volume_scaling: float = Field(1.0, gt=0, description="Factor of the volume of the cell.")
    mobile: str | None = Field(None, description="Symbol of the ions whose positions are stored.")
    temperature: float = Field(gt=0, description="K.")
    timestep_fs: float = Field(gt=0)
    equilibration_ps: float = Field(ge=0)
    production_ps: float = Field(gt=0)
    ensemble: Literal["nve", "nvt", "npt"] = Field(
        "nve", description="Of the production; npt, with a potential only, is that of the equilibration too."
    )
    thermostat: Literal["langevin", "bussi", "nose-hoover"] = Field(
        "langevin", description="Of a production in nvt or npt; the latter two with a potential only."
    )
    barostat: Literal["isotropic", "orthorhombic", "triclinic"] = Field(
        "isotropic", description="What may change in npt: the volume, the lengths along x, y, z, or the whole cell."
    )
    pressure_gpa: float = Field(0.0, description="Of npt.")
    pressure_relaxation_ps: float = Field(1.0, gt=0)
    bulk_modulus_gpa: float = Field(20.0, gt=0, description="A guess, for the pace of the cell.")
    framework: Literal["free", "frozen", "frozen-polyanions", "rigid-polyanions"] = Field(
        "free",
        description="Hold all atoms but the mobile ones, or the polyanions, or the shape of these: what their motion "
        "does for the ions.",
    )
    replicas: int = Field(1, gt=0, description="Runs from other velocities, side by side on OMP_NUM_THREADS threads.")
    compiled: bool | None = Field(
        None,
        description="Move the atoms of a potential in the compiled loop, ten times as fast for a hundred atoms; the "
        "default, but with rigid polyanions, which ASE's integrators are for.",
    )
    friction_per_ps: float = Field(5.0, gt=0)
    position_interval_fs: float = Field(40.0, gt=0, description="Between stored positions of the mobile ions.")
    current_interval_fs: float = Field(
        0.0, ge=0, description="Between stored heat and mass currents, with a potential only; 0 stores none."
    )
    displacements: bool = Field(
        True, description="Mean square displacements of every species, at lags up to the whole run."
    )
    density: bool = Field(False, description="Density of the mobile ions on a grid of the unit cell.")
    snapshots: int = Field(100, ge=0, description="Number of snapshots of all positions and forces.")
    vdos: bool = Field(
        False, description="Vibrational density of states and velocity autocorrelation by species, site and direction."
    )
    vdos_resolution_thz: float = Field(0.2, gt=0)
    store_velocities: bool = Field(
        False, description="Store the velocities of all atoms every 8 fs or more often, for linewidths."
    )
    export: list[Literal["extxyz", "lammps-dump", "hdf5"]] = Field(
        default_factory=list,
        description="Write positions of all atoms at position_interval_fs for other programs, in npt with the cell "
        "of each frame.",
    )
    max_force: float | None = Field(
        None, gt=0, description="Stop as unstable when a snapshot has a larger force, eV/Angstrom."
    )
    active_set: str | None = Field(None, description="Active set of the potential, .npz; needed for grades.")
    grade_interval: int = Field(
        0, ge=0, description="MD steps between two gradings, rounded down to fit the blocks; 0 grades nothing."
    )
    grade_select: float = Field(3.0, description="Frames with an atom above this grade are kept as candidates.")
    grade_break: float = Field(10.0, description="Above this grade the run ends, its results up to there are kept.")
    max_candidates: int = Field(50, gt=0, description="Candidates kept, spread over the run.")
    seed: int = 0
