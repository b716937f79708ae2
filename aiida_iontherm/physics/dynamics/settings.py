"""Plan of a molecular dynamics run."""

from __future__ import annotations

from dataclasses import dataclass

ENSEMBLES = ("nve", "nvt")
THERMOSTATS = ("langevin", "bussi", "nose-hoover")


@dataclass(frozen=True, kw_only=True)
class MdSettings:
    """Plan of a run.

    Attributes
    ----------
    temperature_k : float
    timestep_fs : float
    equilibration_steps, production_steps : int
        Rounded up to whole blocks.
    friction_per_ps : float
        Of the Langevin thermostat.
    ensemble : {"nve", "nvt"}
        Of the production.
    thermostat : {"langevin", "bussi", "nose-hoover"}
        Of the production in the ensemble NVT. The equilibration is always Langevin's, which heats all modes alike.
    relaxation_ps : float
        Relaxation time of the kinetic energy with Bussi's thermostat; tau of a Nose-Hoover chain.
    position_stride, snapshot_stride, velocity_stride : int
        Steps between stored positions of the mobile ions, snapshots (positions and forces of all atoms) and velocities.
        0 stores none.
    thermo_stride, current_stride : int
        Steps between stored thermodynamic rows, and heat and mass currents. Known to the compiled loop alone.
    block_steps : int
        Steps between two points where the run can stop; each stride must divide it or be a multiple of it.
    seed : int
    """

    temperature_k: float
    timestep_fs: float
    equilibration_steps: int
    production_steps: int
    friction_per_ps: float = 5.0
    ensemble: str = "nve"
    thermostat: str = "langevin"
    relaxation_ps: float = 0.1
    position_stride: int = 20
    snapshot_stride: int = 200
    velocity_stride: int = 0
    thermo_stride: int = 0
    current_stride: int = 0
    block_steps: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        positive = (
            "temperature_k",
            "timestep_fs",
            "friction_per_ps",
            "relaxation_ps",
            "production_steps",
            "block_steps",
        )
        for name in positive:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")
        for name in ("equilibration_steps", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, not {getattr(self, name)}")
        for name, known in (("ensemble", ENSEMBLES), ("thermostat", THERMOSTATS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be {' or '.join(known)}, not {getattr(self, name)}")
        for name in ("position_stride", "snapshot_stride", "velocity_stride", "thermo_stride", "current_stride"):
            stride = getattr(self, name)
            if stride < 0 or (stride and self.block_steps % stride and stride % self.block_steps):
                raise ValueError(f"{name} = {stride} must divide block_steps = {self.block_steps} or be a multiple")

    @property
    def equilibration_blocks(self) -> int:
        """Number of blocks with the thermostat on and nothing stored."""
        return -(-self.equilibration_steps // self.block_steps)

    @property
    def blocks(self) -> int:
        """Number of blocks of the whole run."""
        return self.equilibration_blocks + -(-self.production_steps // self.block_steps)
