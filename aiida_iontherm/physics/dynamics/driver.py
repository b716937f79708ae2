"""Molecular dynamics with any ASE calculator and the integrators of ASE."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from ase.constraints import FixAtoms, FixCom, FixConstraint
from ase.md.langevin import Langevin
from ase.md.md import MolecularDynamics as AseDynamics
from ase.md.verlet import VelocityVerlet

from aiida_iontherm.physics.dynamics.blocks import (
    EXPLOSION_FACTOR,
    LOST_ANGSTROM,
    PER_PS,
    BlockedRun,
    Indices,
    UnstableRunError,
)
from aiida_iontherm.physics.dynamics.reducers import Reducer
from aiida_iontherm.physics.dynamics.settings import MdSettings
from aiida_iontherm.physics.dynamics.watch import ExtrapolationWatch


class MolecularDynamics(BlockedRun):
    """One run, advanced block by block; see `BlockedRun`.

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
        Looks at the run at its stride, and ends it where the potential is not to be trusted.
    frozen : int array, optional
        Indices of atoms that are held where they are.
    hold : sequence of ASE constraints
        Others that conserve the total momentum, rigid groups say; their ``get_removed_dof`` is taken into account.
    reducers : mapping of str to Reducer, optional
        Of the frames of the production; see `BlockedRun`.
    discard : set of str, optional
        Stored series that only reducers see.

    Raises
    ------
    ValueError
        As `BlockedRun`; if the settings need the compiled loop.
    """

    def __init__(
        self,
        atoms: Atoms,
        calculator: Calculator,
        settings: MdSettings,
        mobile: Indices,
        watch: ExtrapolationWatch | None = None,
        *,
        frozen: Indices | None = None,
        hold: Sequence[FixConstraint] = (),
        reducers: Mapping[str, Reducer] | None = None,
        discard: Collection[str] = (),
    ) -> None:
        if settings.needs_compiled_loop:
            raise ValueError(
                "thermostats but Langevin's, barostats, heat exchange, thermo_stride and current_stride need a moment "
                "tensor potential and its compiled loop: other calculators do without them"
            )
        super().__init__(atoms, settings, mobile, watch, frozen=frozen, reducers=reducers, discard=discard)
        if frozen is not None and len(frozen):
            hold = [*hold, FixAtoms(frozen)]
        self._hold = list(hold)
        self._drifts = frozen is None or len(frozen) == 0
        self._degrees_left = 3 * (len(atoms) - self._drifts) - sum(c.get_removed_dof(self.atoms) for c in self._hold)
        if self._degrees_left <= 0:
            raise ValueError("no atom can move: two free atoms are needed, or one beside frozen ones")
        if self._hold:
            self.atoms.set_constraint(self._hold)
            # What was drawn for other degrees of freedom is lost: so much more for those that are left.
            self.atoms.set_momenta(self.atoms.get_momenta())
            drawn = 2 * self.settings.temperature_k
            self.atoms.set_momenta(self.atoms.get_momenta() * np.sqrt(drawn / self._kinetic_temperature()))
        self.atoms.calc = calculator

    def _begin_block(self, *, thermostat: bool) -> None:
        # Sums over neighbours must come in the same order after a restart: without this a list kept from before goes on
        # to be used in one run and is built anew in the other, and the last bits differ.
        getattr(self.atoms.calc, "forget_neighbours", self.atoms.calc.reset)()
        # ASE's recommended way to keep the centre of mass at rest under random forces; NVE keeps it by itself.
        self.atoms.set_constraint([*self._hold, *([FixCom()] if thermostat and self._drifts else [])])
        self._integrator = self._make_integrator(thermostat=thermostat)
        self._integrator.attach(self._check_intact, interval=1)

    def _advance(self, step: int, steps: int) -> None:
        settings, every, storing = self.settings, steps, not self.equilibrating
        if storing:
            # The gcd with a stride of 0, which stores nothing, is no restriction.
            every = math.gcd(steps, settings.position_stride, settings.snapshot_stride, settings.velocity_stride)
        for after in range(step + every, step + steps + 1, every):
            try:
                self._integrator.run(every)
            except ValueError as error:
                # The potential may meet positions beyond all bounds within a step, before the momenta tell.
                if np.abs(self.atoms.positions).max() < LOST_ANGSTROM:
                    raise
                raise UnstableRunError(self._out_of_bounds("in the block of", self._kinetic_temperature())) from error
            if storing:
                self._store(after - self._equilibration_steps)

    def _make_integrator(self, *, thermostat: bool) -> AseDynamics:
        timestep = self.settings.timestep_fs * units.fs
        if not thermostat:
            return VelocityVerlet(self.atoms, timestep)
        return Langevin(
            self.atoms,
            timestep,
            temperature_K=self.settings.temperature_k,
            friction=self.settings.friction_per_ps / PER_PS,
            fixcm=False,
            rng=self._rng,
        )

    def _store(self, step: int) -> None:
        """Store what is due at this step of the production."""
        settings, atoms = self.settings, self.atoms
        if settings.position_stride and step % settings.position_stride == 0:
            masses = atoms.get_masses()
            wanted = slice(None) if "mobile_positions" in self._reduced else self._mobile
            self._store_positions(atoms.get_positions()[None, wanted], (masses @ atoms.positions / masses.sum())[None])
        if settings.snapshot_stride and step % settings.snapshot_stride == 0:
            self._keep("snapshots", atoms.get_positions()[None])
            self._keep("snapshot_forces", atoms.get_forces(apply_constraint=False)[None])
        if settings.velocity_stride and step % settings.velocity_stride == 0:
            velocities = atoms.get_velocities()[None] * PER_PS
            if "velocities" in self._reduced:
                self._offer("velocities", velocities)
            self._keep("velocities", velocities.astype(np.float32))

    def _potential_energy_and_pressure(self) -> tuple[float, float]:
        pressure = np.nan
        if "stress" in self.atoms.calc.implemented_properties:
            pressure = -float(np.mean(self.atoms.get_stress(include_ideal_gas=True)[:3]))
        return float(self.atoms.get_potential_energy()), pressure

    @property
    def _degrees(self) -> int:
        return self._degrees_left

    def _check_intact(self) -> None:
        """Stop within a block, before positions that are no numbers reach a neighbour list."""
        temperature = self._kinetic_temperature()
        if not temperature <= EXPLOSION_FACTOR * self.settings.temperature_k:  # true for NaN
            raise UnstableRunError(self._out_of_bounds("in the block of", temperature))
