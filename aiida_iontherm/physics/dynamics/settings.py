"""Plan of a molecular dynamics run."""

from __future__ import annotations

from dataclasses import dataclass

ENSEMBLES = ("nve", "nvt", "npt")
THERMOSTATS = ("langevin", "bussi", "nose-hoover")
BAROSTATS = ("isotropic", "orthorhombic", "triclinic")


@dataclass(frozen=True, kw_only=True)
class HeatExchangeSettings:
    """Heat carried between two slabs during the production, at constant energy otherwise.

    Attributes
    ----------
    axis : int
        Number of the cell vector across which the slabs lie.
    slabs : int
        Even; the cell is cut into so many of equal thickness. Heat flows into the first and out of the middle one.
    power_ev_per_ps : float
    profile_stride : int
        Steps between two samples of the profile, of which the mean over each block is kept.
    """

    axis: int
    slabs: int
    power_ev_per_ps: float
    profile_stride: int = 10

    def __post_init__(self) -> None:
        if self.axis not in (0, 1, 2):
            raise ValueError(f"the axis of heat exchange is 0, 1 or 2, not {self.axis}")
        if self.slabs < 4 or self.slabs % 2:
            raise ValueError(f"heat exchange needs an even number of slabs, at least 4, not {self.slabs}")
        for name in ("power_ev_per_ps", "profile_stride"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")


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
    ensemble : {"nve", "nvt", "npt"}
        Of the production; in NPT of the equilibration too.
    thermostat : {"langevin", "bussi", "nose-hoover"}
        Of the production in the ensembles NVT and NPT. The equilibration is always Langevin's, which heats all modes
        alike.
    relaxation_ps : float
        Relaxation time of the kinetic energy with Bussi's thermostat; tau of a Nose-Hoover chain.
    barostat : {"isotropic", "orthorhombic", "triclinic"}
        What may change in the ensemble NPT: the volume, the lengths along x, y and z, or the whole cell.
    pressure_gpa : float
        Of the ensemble NPT.
    pressure_relaxation_ps, bulk_modulus_gpa : float
        Relaxation time of the volume, and the modulus it is right for; only their product matters.
    pressure_stride : int
        Steps between two changes of the cell; each costs an evaluation of the forces.
    heat_exchange : HeatExchangeSettings or None
        Of a production in the ensemble NVE, which is then stationary with a flow of heat.
    position_stride, snapshot_stride, velocity_stride : int
        Steps between stored positions of the mobile ions, snapshots (positions and forces of all atoms) and velocities.
        0 stores none.
    thermo_stride, current_stride : int
        Steps between stored thermodynamic rows with the cell, and heat and mass currents.
    block_steps : int
        Steps between two points where the run can stop; each stride must divide it or be a multiple of it.
    seed : int

    Barostats, heat exchange, thermostats but Langevin's, `thermo_stride` and `current_stride` are known to the compiled
    loop alone.
    """

    temperature_k: float
    timestep_fs: float
    equilibration_steps: int
    production_steps: int
    friction_per_ps: float = 5.0
    ensemble: str = "nve"
    thermostat: str = "langevin"
    relaxation_ps: float = 0.1
    barostat: str = "isotropic"
    pressure_gpa: float = 0.0
    pressure_relaxation_ps: float = 1.0
    bulk_modulus_gpa: float = 20.0
    pressure_stride: int = 10
    heat_exchange: HeatExchangeSettings | None = None
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
            "pressure_relaxation_ps",
            "bulk_modulus_gpa",
            "pressure_stride",
            "production_steps",
            "block_steps",
        )
        for name in positive:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")
        for name in ("equilibration_steps", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, not {getattr(self, name)}")
        for name, known in (("ensemble", ENSEMBLES), ("thermostat", THERMOSTATS), ("barostat", BAROSTATS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be {' or '.join(known)}, not {getattr(self, name)}")
        if self.heat_exchange is not None:
            if self.ensemble != "nve":
                raise ValueError("heat exchange is for the ensemble nve: a heat bath would take the heat on its way")
            if self.block_steps % self.heat_exchange.profile_stride:
                raise ValueError(
                    f"profile_stride = {self.heat_exchange.profile_stride} must divide block_steps = {self.block_steps}"
                )
        for name in ("position_stride", "snapshot_stride", "velocity_stride", "thermo_stride", "current_stride"):
            stride = getattr(self, name)
            if stride < 0 or (stride and self.block_steps % stride and stride % self.block_steps):
                raise ValueError(f"{name} = {stride} must divide block_steps = {self.block_steps} or be a multiple")

    @property
    def needs_compiled_loop(self) -> bool:
        """True if ASE's integrators do not do what is asked for."""
        return (
            self.thermostat != "langevin"
            or self.ensemble == "npt"
            or self.heat_exchange is not None
            or self.thermo_stride > 0
            or self.current_stride > 0
        )

    @property
    def equilibration_blocks(self) -> int:
        """Number of blocks with the thermostat on and nothing stored."""
        return -(-self.equilibration_steps // self.block_steps)

    @property
    def blocks(self) -> int:
        """Number of blocks of the whole run."""
        return self.equilibration_blocks + -(-self.production_steps // self.block_steps)
