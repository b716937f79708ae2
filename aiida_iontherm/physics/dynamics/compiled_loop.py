"""Molecular dynamics with a moment tensor potential, all steps of a block in the compiled loop (``native/``)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from ase import Atoms, units

from aiida_iontherm.physics.compiled import _native, available_threads
from aiida_iontherm.physics.dynamics.blocks import (
    EXPLOSION_FACTOR,
    LOST_ANGSTROM,
    PER_PS,
    Array,
    BlockedRun,
    Indices,
    UnstableRunError,
)
from aiida_iontherm.physics.dynamics.reducers import Reducer
from aiida_iontherm.physics.dynamics.settings import MdSettings
from aiida_iontherm.physics.dynamics.watch import ExtrapolationWatch
from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.mtp.kernel import DEFAULT_SKIN, ShortDistanceCheck


class CompiledDynamics(BlockedRun):
    """One run, advanced block by block; see `BlockedRun`.

    Velocity Verlet, with friction and noise in the middle of the drift (Langevin, BAOAB), rescaled velocities after the
    step (Bussi) or a chain of thermostats around it (Nose and Hoover). Random numbers are functions of seed, step and
    atom. A continued run is the uninterrupted one bit by bit, on the same kind of processor with as many threads.

    Parameters
    ----------
    atoms : ase.Atoms
        Start positions; velocities are drawn from the temperature.
    potential : MomentTensorPotential
    settings : MdSettings
    mobile : int array [m]
        Indices of the ions whose unwrapped positions are stored.
    watch : ExtrapolationWatch, optional
        Looks at the run at its stride, and ends it where the potential is not to be trusted.
    frozen : int array, optional
        Indices of atoms that are held where they are. Those left have three kinetic degrees of freedom each; where no
        atom is frozen the centre of mass rests, and there are three less.
    reducers : mapping of str to Reducer, optional
        Of the frames of the production; see `BlockedRun`.
    discard : set of str, optional
        Stored series that only reducers see.
    velocity_atoms : int array [v], optional
        Indices of the atoms whose velocities are stored, all by default.
    skin : float
        Extra range of the neighbour list in Angstrom.
    threads : int, optional
        By default as many as ``OMP_NUM_THREADS`` says, else one.

    Attributes
    ----------
    current_species : tuple of str
        Species of the cell in the order of the currents.

    Raises
    ------
    ValueError
        As `BlockedRun`; if the potential does not know a species, or no atom is free to move.
    """

    def __init__(
        self,
        atoms: Atoms,
        potential: MomentTensorPotential,
        settings: MdSettings,
        mobile: Indices,
        watch: ExtrapolationWatch | None = None,
        *,
        frozen: Indices | None = None,
        reducers: Mapping[str, Reducer] | None = None,
        discard: Collection[str] = (),
        velocity_atoms: Indices | None = None,
        skin: float = DEFAULT_SKIN,
        threads: int | None = None,
    ) -> None:
        n = len(atoms)
        symbols = atoms.get_chemical_symbols()
        potential.check_species(symbols)
        types = np.array([potential.species.index(symbol) for symbol in symbols], dtype=np.int32)
        present = np.unique(types)
        velocity_atoms = np.arange(n) if velocity_atoms is None else velocity_atoms
        currents = (len(present), 3)
        exchange = settings.heat_exchange
        slabs = 1 if exchange is None else exchange.slabs
        together = settings.block_steps if watch is None else watch.settings.stride  # steps made at once
        if exchange is not None and together % exchange.profile_stride:
            raise ValueError(
                f"profile_stride = {exchange.profile_stride} must divide the stride of the watch, {together}"
            )
        super().__init__(
            atoms,
            settings,
            mobile,
            watch,
            frozen=frozen,
            reducers=reducers,
            discard=discard,
            series={
                "velocities": (settings.velocity_stride, (len(velocity_atoms), 3)),
                "thermo_series": (settings.thermo_stride, (10,)),
                "cells": (settings.thermo_stride, (3, 3)),
                "heat_virial": (settings.current_stride, currents),
                "heat_convective": (settings.current_stride, currents),
                "mass_currents": (settings.current_stride, currents),
                **({} if exchange is None else {"profile": (together, (slabs, 4))}),
            },
        )
        if frozen is not None and len(frozen) and settings.ensemble == "npt":
            raise ValueError("frozen atoms have no place in a cell that changes: leave out one of both")
        self.atoms.set_constraint()  # ASE's, which the loop does not know
        self.current_species = tuple(potential.species[k] for k in present)
        self._present = present
        self._check_distance = ShortDistanceCheck(potential.min_distance)
        is_frozen = np.zeros(n, dtype=bool)
        if frozen is not None:
            is_frozen[frozen] = True
        self._loop = _native.MolecularDynamics(
            potential.compiled,
            types,
            np.ascontiguousarray(atoms.get_masses()),
            is_frozen,
            np.ascontiguousarray(atoms.cell.array),
            np.asarray(atoms.pbc),
            settings.timestep_fs * units.fs,
            skin,
            threads or available_threads(),
        )
        self._velocity_atoms = velocity_atoms
        everyone = np.arange(n)
        self._sampling = _native.Sampling(
            (everyone if "mobile_positions" in self._reduced else mobile).astype(np.int32),
            (everyone if "velocities" in self._reduced else velocity_atoms).astype(np.int32),
            origin=self._equilibration_steps,
            positions=settings.position_stride,
            snapshots=settings.snapshot_stride,
            velocities=settings.velocity_stride,
            thermo=settings.thermo_stride,
            currents=settings.current_stride,
            profile=0 if exchange is None else exchange.profile_stride,
            axis=0 if exchange is None else exchange.axis,
            slabs=slabs,
        )
        self._no_sampling = _native.Sampling(np.empty(0, np.int32), np.empty(0, np.int32))
        self._thermostat_memory: Array | None = None
        self._barostat_energy = 0.0

    @property
    def time_spent(self) -> dict[str, float]:
        """Seconds in ``forces``, ``neighbours`` and ``all``, and numbers of ``evaluations`` and of ``lists`` made."""
        return self._loop.time_spent

    def observables(self) -> dict[str, npt.NDArray[Any]]:
        """Return what has been stored so far.

        Returns
        -------
        dict of arrays
            Those of `BlockedRun.observables`, and:
            ``thermo_series`` [frames, 10]: temperature (K), potential, total and conserved energy (eV; the last with
            what the thermostat took), stress with its kinetic part (eV/Angstrom^3, Voigt order xx, yy, zz, yz, xz, xy,
            positive under tension);
            ``heat_virial``, ``heat_convective`` [frames, species, 3] in eV Angstrom/ps: sum_j W_j . v_j and
            sum_i E_i v_i over the atoms of each species of `current_species`, with the potential and kinetic energy E_i
            of an atom and W_j of `Evaluation.virials`; their sum over both and all species is the heat current;
            ``mass_currents`` [frames, species, 3]: sum_i m_i v_i in amu Angstrom/ps;
            ``cells`` [frames, 3, 3] in Angstrom, at the times of ``thermo_series``;
            ``profile`` [blocks, slabs, 4], with heat exchange: means over a block (or the stride of a watch) of the
            number of free atoms in a slab, twice their kinetic energy in eV, both parts of their heat current across
            the slabs in eV Angstrom/ps.
        """
        return super().observables()

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Plain data and arrays from which `restore` continues."""
        meta, arrays = super().state()
        if self._thermostat_memory is not None:
            arrays["thermostat_memory"] = self._thermostat_memory
        arrays["cell"] = self.atoms.cell.array.copy()
        return meta | {"barostat_energy": self._barostat_energy}, arrays

    def restore(self, meta: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> None:
        """Continue from the `state` of a run with the same settings."""
        super().restore(meta, arrays)
        self._thermostat_memory = arrays.get("thermostat_memory")
        self._barostat_energy = float(meta["barostat_energy"])
        self.atoms.cell[:] = arrays["cell"]

    def _begin_block(self, *, thermostat: bool) -> None:
        settings, loop = self.settings, self._loop
        loop.cell = np.ascontiguousarray(self.atoms.cell.array)
        # Also makes the loop build its neighbour list anew, as it must after a restart: the order of sums is the same.
        loop.set_state(
            np.ascontiguousarray(self.atoms.positions),
            np.ascontiguousarray(self.atoms.get_velocities()),
            self.block * settings.block_steps,
        )
        seed, kt = settings.seed % 2**64, units.kB * settings.temperature_k
        exchange = settings.heat_exchange
        if self.equilibrating:
            loop.set_thermostat("langevin", kt, PER_PS / settings.friction_per_ps, seed)
        elif exchange is not None:
            power = exchange.power_ev_per_ps / PER_PS
            loop.set_heat_exchange(exchange.axis, exchange.slabs, 0, exchange.slabs // 2, power)
        elif not thermostat:
            loop.set_thermostat("none")
        else:
            langevin = settings.thermostat == "langevin"
            time_ps = 1 / settings.friction_per_ps if langevin else settings.relaxation_ps
            loop.set_thermostat(settings.thermostat, kt, time_ps * PER_PS, seed)
        if settings.ensemble == "npt":
            loop.set_barostat(
                settings.barostat,
                settings.pressure_gpa * units.GPa,
                kt,
                settings.pressure_relaxation_ps * PER_PS,
                settings.bulk_modulus_gpa * units.GPa,
                settings.pressure_stride,
                seed,
            )
            loop.barostat_energy = self._barostat_energy
        if self._thermostat_memory is not None and self.block != settings.equilibration_blocks:
            loop.thermostat_memory = self._thermostat_memory

    def _advance(self, step: int, steps: int) -> None:
        loop, sampling = self._loop, self._no_sampling if self.equilibrating else self._sampling
        thermal = 0.5 * units.kB * self.settings.temperature_k * loop.degrees
        try:
            made, rows = loop.run(steps, sampling, EXPLOSION_FACTOR * thermal)
        except ValueError as error:
            self._check_distance(loop.take_shortest())
            # The neighbour list may meet positions beyond all bounds within a step, before the velocities tell.
            if np.abs(loop.positions).max() < LOST_ANGSTROM:
                raise
            raise self._exploded() from error
        self._check_distance(loop.take_shortest())
        if made < steps:
            raise self._exploded()
        self.atoms.positions = loop.positions
        self.atoms.set_momenta(self.atoms.get_masses()[:, None] * loop.velocities, apply_constraint=False)
        self.atoms.cell[:] = loop.cell
        self._thermostat_memory = loop.thermostat_memory
        self._barostat_energy = loop.barostat_energy
        self._store(rows)

    def _exploded(self) -> UnstableRunError:
        velocities = self._loop.velocities
        with np.errstate(over="ignore", invalid="ignore"):
            kinetic = 0.5 * float(self.atoms.get_masses() @ np.sum(velocities**2, axis=1))
        return UnstableRunError(self._out_of_bounds("in the block of", 2 * kinetic / (units.kB * self._degrees)))

    def _store(self, rows: dict[str, Array]) -> None:
        cells = rows["position_cells"] if self.settings.ensemble == "npt" else None
        self._store_positions(rows["positions"], rows["centres"], cells)
        velocities = rows["velocities"] * PER_PS
        if len(velocities) and "velocities" in self._reduced:
            self._offer("velocities", velocities)
            velocities = velocities[:, self._velocity_atoms]
        self._keep("snapshots", rows["snapshots"])
        self._keep("snapshot_forces", rows["snapshot_forces"])
        self._keep("velocities", velocities.astype(np.float32))
        record = self._record
        record.extend("thermo_series", self._thermo_series(rows["thermo"], rows["cells"]))
        record.extend("cells", rows["cells"])
        if len(rows["profile"]):
            record.append("profile", _mean_profile(rows["profile"]))
        currents = rows["currents"][:, :, self._present] * PER_PS
        for kind, name in enumerate(("heat_virial", "heat_convective", "mass_currents")):
            record.extend(name, currents[:, kind])

    def _thermo_series(self, rows: Array, cells: Array) -> Array:
        kinetic, potential, conserved = rows[:, :3].T
        temperature = 2 * kinetic / (units.kB * self._degrees)
        # No volume, no stress: a cell with fewer than three vectors.
        volumes = np.abs(np.linalg.det(cells))[:, None] if self.atoms.cell.rank == 3 else np.nan
        return np.column_stack([temperature, potential, kinetic + potential, conserved, rows[:, 3:] / volumes])

    def _potential_energy_and_pressure(self) -> tuple[float, float]:
        row = self._loop.thermo()
        return float(row[1]), -float(np.mean(row[3:6])) / self._volume

    @property
    def _volume(self) -> float:
        return float(self.atoms.cell.volume) if self.atoms.cell.rank == 3 else np.nan

    @property
    def _degrees(self) -> int:
        return self._loop.degrees


def _mean_profile(rows: Array) -> Array:
    """Mean over samples, heat currents per ps."""
    return rows.mean(axis=0) * [1.0, 1.0, PER_PS, PER_PS]
