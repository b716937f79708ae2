"""Molecular dynamics in blocks: Langevin equilibration, then NVE or Langevin production, reduced on the fly.

The integrators are ASE's. A run is a sequence of blocks; between blocks its whole state is a set of arrays and the
state of the random generator, so that a run continued from there is the same, bit by bit, as one never interrupted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from ase.constraints import FixCom
from ase.md.langevin import Langevin
from ase.md.md import MolecularDynamics as AseDynamics
from ase.md.velocitydistribution import Stationary, thermalize_momenta
from ase.md.verlet import VelocityVerlet

from aiida_iontherm.physics.dynamics.watch import ExtrapolationWatch

Array = npt.NDArray[np.float64]

LOST_ANGSTROM = 1e5
"""No atom diffuses this far from where it started in any run."""

RUNAWAY_FACTOR = 4.0
"""A cell hotter than this many times its target has left the region where the potential was trained."""

EXPLOSION_FACTOR = 100.0
"""Beyond any fluctuation of even a few atoms: the run is lost and the next step may not be computable."""


class UnstableRunError(RuntimeError):
    """The atoms fly apart: the potential cannot be trusted at this temperature."""


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
    position_stride, snapshot_stride, velocity_stride : int
        Steps between stored positions of the mobile ions, snapshots (positions and forces of all atoms) and velocities.
        0 stores none.
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
    position_stride: int = 20
    snapshot_stride: int = 200
    velocity_stride: int = 0
    block_steps: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("temperature_k", "timestep_fs", "friction_per_ps", "production_steps", "block_steps"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")
        if self.equilibration_steps < 0:
            raise ValueError(f"equilibration_steps must not be negative, not {self.equilibration_steps}")
        if self.ensemble not in ("nve", "nvt"):
            raise ValueError(f"ensemble must be nve or nvt, not {self.ensemble}")
        for name in ("position_stride", "snapshot_stride", "velocity_stride"):
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


@dataclass(frozen=True)
class Break:
    """Where and why a run ended before its time.

    Attributes
    ----------
    step : int
        Since the start of the run, equilibration included; positions and velocities of the run are those of this step.
    reason : str
    """

    step: int
    reason: str


class MolecularDynamics:
    """One run, advanced block by block.

    Parameters
    ----------
    atoms : ase.Atoms
        Start positions; velocities are drawn from the temperature.
    calculator : ASE calculator
        Made to forget its neighbour lists before each block: by its method ``forget_neighbours``, or else ``reset``.
    settings : MdSettings
    mobile : int array [m]
        Indices of the ions whose unwrapped positions are stored.
    watch : ExtrapolationWatch, optional
        Looks at the run at its stride, which must divide the block, and ends it where the potential is not to be
        trusted. A watched run that flies apart ends in the same way, instead of in `UnstableRunError`: what came
        before is what the potential can learn from.

    Attributes
    ----------
    broken : Break or None
        Set if the watch has ended the run.

    Raises
    ------
    ValueError
        If there are fewer than two atoms: the centre of mass stays where it is, one atom alone cannot move. If the
        stride of the watch does not fit the blocks.
    """

    def __init__(
        self,
        atoms: Atoms,
        calculator: Calculator,
        settings: MdSettings,
        mobile: npt.NDArray[np.int64],
        watch: ExtrapolationWatch | None = None,
    ) -> None:
        if len(atoms) < 2:
            raise ValueError(f"molecular dynamics needs at least 2 atoms, not {len(atoms)}: repeat the cell")
        if watch is not None and settings.block_steps % watch.settings.stride:
            raise ValueError(
                f"the stride of the watch, {watch.settings.stride}, must divide block_steps = {settings.block_steps}"
            )
        self.settings = settings
        self.atoms = atoms.copy()
        self.atoms.calc = calculator
        self._mobile = mobile
        self._rng = np.random.default_rng(settings.seed)
        # Half of the kinetic energy drawn flows into the potential energy of the perfect crystal: draw twice as much.
        thermalize_momenta(self.atoms, 2 * settings.temperature_k, rng=self._rng)
        Stationary(self.atoms, preserve_temperature=False)
        self.block = 0
        self.watch = watch
        self.broken: Break | None = None
        self._last_graded = 0, self.atoms.get_positions(), self.atoms.get_momenta()
        self._stored: dict[str, list[Array]] = {
            name: [] for name in ("thermo", "mobile_positions", "drift", "snapshots", "snapshot_forces", "velocities")
        }

    @property
    def finished(self) -> bool:
        """True after the last block, or after a break."""
        return self.broken is not None or self.block >= self.settings.blocks

    @property
    def equilibrating(self) -> bool:
        """True while nothing but thermodynamics is stored."""
        return self.block < self.settings.equilibration_blocks

    def run_block(self) -> None:
        """Advance by one block, or to the step at which the watch ends the run.

        Raises
        ------
        UnstableRunError
            If the cell heats far above its target and nobody watches.
        """
        try:
            self._run_block()
        except UnstableRunError as error:
            if self.watch is None:
                raise
            step, positions, momenta = self._last_graded
            self.atoms.set_positions(positions, apply_constraint=False)
            self.atoms.set_momenta(momenta, apply_constraint=False)
            self.broken = Break(step, str(error))
            self._forget_after(step)

    def _run_block(self) -> None:
        settings = self.settings
        # Sums over neighbours must come in the same order after a restart: without this a list kept from before goes on
        # to be used in one run and is built anew in the other, and the last bits differ.
        getattr(self.atoms.calc, "forget_neighbours", self.atoms.calc.reset)()
        producing = not self.equilibrating
        thermostat = not producing or settings.ensemble == "nvt"
        # ASE's recommended way to keep the centre of mass at rest under random forces; NVE keeps it by itself.
        self.atoms.set_constraint(FixCom() if thermostat else None)
        if self.block == settings.equilibration_blocks and settings.ensemble == "nve":
            self._set_energy_to_equilibrium()
        integrator = self._integrator(thermostat=thermostat)
        integrator.attach(self._check_intact, interval=1)
        # The gcd with a stride of 0, which stores nothing, is no restriction.
        every = math.gcd(settings.block_steps, 0 if self.watch is None else self.watch.settings.stride)
        if producing:
            every = math.gcd(every, settings.position_stride, settings.snapshot_stride, settings.velocity_stride)
        before = self.block * settings.block_steps
        equilibration = settings.equilibration_blocks * settings.block_steps
        for step in range(every, settings.block_steps + 1, every):
            try:
                integrator.run(every)
            except ValueError as error:
                # The potential may meet positions beyond all bounds within a step, before the momenta tell.
                if np.abs(self.atoms.positions).max() < LOST_ANGSTROM:
                    raise
                raise UnstableRunError(self._out_of_bounds("in the block of")) from error
            if producing:
                self._store(before + step - equilibration)
            if self.watch is not None and step % self.watch.settings.stride == 0:
                self._look(self.watch, before + step)
                if self.broken is not None:
                    break
        self._check_and_record(before + step)
        self.block += 1

    def _look(self, watch: ExtrapolationWatch, step: int) -> None:
        grade = watch.look(self.atoms, step, self._kinetic_temperature())
        self._last_graded = step, self.atoms.get_positions(), self.atoms.get_momenta()
        if not grade <= watch.settings.stop:  # true for NaN
            self.broken = Break(step, f"an extrapolation grade of {grade:.3g} is above {watch.settings.stop:g}")

    def _integrator(self, *, thermostat: bool) -> AseDynamics:
        timestep = self.settings.timestep_fs * units.fs
        if not thermostat:
            return VelocityVerlet(self.atoms, timestep)
        return Langevin(
            self.atoms,
            timestep,
            temperature_K=self.settings.temperature_k,
            friction=self.settings.friction_per_ps / (1000 * units.fs),
            fixcm=False,
            rng=self._rng,
        )

    def _store(self, step: int) -> None:
        """Store what is due at this step of the production."""
        settings, atoms = self.settings, self.atoms
        if settings.position_stride and step % settings.position_stride == 0:
            masses = atoms.get_masses()
            self._stored["mobile_positions"].append(atoms.positions[self._mobile].astype(np.float32))
            self._stored["drift"].append(masses @ atoms.positions / masses.sum())
        if settings.snapshot_stride and step % settings.snapshot_stride == 0:
            self._stored["snapshots"].append(atoms.positions.copy())
            self._stored["snapshot_forces"].append(atoms.get_forces(apply_constraint=False))
        if settings.velocity_stride and step % settings.velocity_stride == 0:
            self._stored["velocities"].append((atoms.get_velocities() * 1000 * units.fs).astype(np.float32))

    def _forget_after(self, step: int) -> None:
        """Drop frames that were stored on the way from the last graded one to the explosion."""
        settings = self.settings
        produced = max(0, step - settings.equilibration_blocks * settings.block_steps)
        for names, stride in (
            (("mobile_positions", "drift"), settings.position_stride),
            (("snapshots", "snapshot_forces"), settings.snapshot_stride),
            (("velocities",), settings.velocity_stride),
        ):
            for name in names:
                del self._stored[name][produced // stride if stride else 0 :]

    def _check_and_record(self, step: int) -> None:
        atoms = self.atoms
        potential, kinetic = atoms.get_potential_energy(), atoms.get_kinetic_energy()
        temperature = self._kinetic_temperature()
        if not (np.isfinite(potential) and temperature <= RUNAWAY_FACTOR * self.settings.temperature_k):
            raise UnstableRunError(self._out_of_bounds("after"))
        pressure = np.nan
        if "stress" in atoms.calc.implemented_properties:
            pressure = -float(np.mean(atoms.get_stress(include_ideal_gas=True)[:3]))
        time_ps = step * self.settings.timestep_fs / 1000
        self._stored["thermo"].append(np.array([time_ps, temperature, potential, potential + kinetic, pressure]))

    def _check_intact(self) -> None:
        """Stop within a block, before positions that are no numbers reach a neighbour list."""
        if not self._kinetic_temperature() <= EXPLOSION_FACTOR * self.settings.temperature_k:  # true for NaN
            raise UnstableRunError(self._out_of_bounds("in the block of"))

    def _out_of_bounds(self, when: str) -> str:
        return (
            f"{when} {(self.block + 1) * self.settings.block_steps} steps the cell is at "
            f"{self._kinetic_temperature():.3g} K instead of {self.settings.temperature_k:.0f} K"
        )

    def _kinetic_temperature(self) -> float:
        return float(2 * self.atoms.get_kinetic_energy() / (3 * units.kB * (len(self.atoms) - 1)))

    def _set_energy_to_equilibrium(self) -> None:
        """Scale velocities so that the total energy is the mean of the second half of the equilibration.

        The instantaneous energy of a small cell differs from the mean by several per cent of kT per atom; without the
        thermostat the run would keep that deviation.
        """
        thermo = self._stored["thermo"]
        if len(thermo) < 4:
            return
        target = float(np.mean([row[3] for row in thermo[len(thermo) // 2 :]]))
        kinetic = self.atoms.get_kinetic_energy()
        factor = (target - self.atoms.get_potential_energy()) / kinetic
        self.atoms.set_momenta(self.atoms.get_momenta() * np.sqrt(np.clip(factor, 0.25, 4.0)), apply_constraint=False)

    @property
    def steps(self) -> int:
        """Steps made, equilibration included."""
        return self.block * self.settings.block_steps if self.broken is None else self.broken.step

    @property
    def temperature(self) -> float:
        """Kinetic temperature in K at the end of the last block."""
        return float(self._stored["thermo"][-1][1]) if self._stored["thermo"] else 0.0

    def observables(self) -> dict[str, npt.NDArray[Any]]:
        """Return what has been stored so far.

        Returns
        -------
        dict of arrays
            ``thermo`` [blocks, 5]: time (ps), temperature (K), potential and total energy (eV), pressure
            (eV/Angstrom^3); ``mobile_positions`` [frames, m, 3] unwrapped and ``drift`` [frames, 3], the centre of mass
            of the cell, in Angstrom; ``snapshots`` and ``snapshot_forces`` [n, N, 3] in Angstrom and eV/Angstrom;
            ``velocities`` [frames, N, 3] in Angstrom/ps. What a watch has seen is in its ``series``.
        """
        shapes = {
            "thermo": (0, 5),
            "mobile_positions": (0, len(self._mobile), 3),
            "drift": (0, 3),
            "snapshots": (0, len(self.atoms), 3),
            "snapshot_forces": (0, len(self.atoms), 3),
            "velocities": (0, len(self.atoms), 3),
        }
        return {name: np.array(rows) if rows else np.empty(shapes[name]) for name, rows in self._stored.items()}

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Plain data and arrays from which `restore` continues."""
        arrays = {f"stored_{name}": values for name, values in self.observables().items()}
        arrays["positions"] = self.atoms.get_positions()
        arrays["momenta"] = self.atoms.get_momenta()
        meta = {"block": self.block, "rng": self._rng.bit_generator.state}
        if self.watch is not None:
            meta["watch"], watched = self.watch.state()
            arrays |= {f"watch_{name}": values for name, values in watched.items()}
        return meta, arrays

    def restore(self, meta: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> None:
        """Continue from the `state` of a run with the same settings."""
        self.block = int(meta["block"])
        self._rng.bit_generator.state = meta["rng"]
        self.atoms.set_positions(arrays["positions"], apply_constraint=False)
        self.atoms.set_momenta(arrays["momenta"], apply_constraint=False)
        for name in self._stored:
            self._stored[name] = list(arrays[f"stored_{name}"])
        self._last_graded = self.steps, self.atoms.get_positions(), self.atoms.get_momenta()
        if self.watch is not None:
            names = [name for name in arrays if name.startswith("watch_")]
            self.watch.restore(meta["watch"], {name.removeprefix("watch_"): arrays[name] for name in names})
