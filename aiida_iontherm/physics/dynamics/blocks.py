"""Molecular dynamics in blocks: Langevin equilibration, then production, reduced on the fly.

Between blocks the whole state of a run is a set of arrays, so that a run continued from there is the same, bit by bit,
as one never interrupted. How atoms are moved is left to the subclasses.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ase import Atoms, units
from ase.md.velocitydistribution import Stationary, thermalize_momenta

from aiida_iontherm.physics.dynamics.record import Record
from aiida_iontherm.physics.dynamics.reducers import Reducer
from aiida_iontherm.physics.dynamics.settings import MdSettings
from aiida_iontherm.physics.dynamics.watch import ExtrapolationWatch

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

LOST_ANGSTROM = 1e5
"""No atom diffuses this far from where it started in any run."""

RUNAWAY_FACTOR = 4.0
"""A cell hotter than this many times its target has left the region where the potential was trained."""

EXPLOSION_FACTOR = 100.0
"""Beyond any fluctuation of even a few atoms: the run is lost and the next step may not be computable."""

PER_PS = 1000 * units.fs
"""A rate in ASE's units of time, as its velocities are, times this is one per ps."""


class UnstableRunError(RuntimeError):
    """The atoms fly apart: the potential cannot be trusted at this temperature."""


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


class BlockedRun(ABC):
    """One run, advanced block by block.

    Parameters
    ----------
    atoms : ase.Atoms
        Start positions; velocities are drawn from the temperature.
    settings : MdSettings
    mobile : int array [m]
        Indices of the ions whose unwrapped positions are stored.
    watch : ExtrapolationWatch, optional
        Looks at the run at its stride, which must divide the block, and ends it where the potential is not to be
        trusted. A watched run that flies apart ends in the same way, instead of in `UnstableRunError`: what came
        before is what the potential can learn from.
    frozen : int array, optional
        Indices of atoms that are held where they are.
    reducers : mapping of str to Reducer, optional
        By names of their own; they take all frames of the production up to where the run broke, if it did.
    discard : set of str, optional
        Stored series, "velocities" say, that only reducers see.
    series : mapping of str to (int, tuple of int)
        Stride in steps, and shape of one frame, of what a subclass stores beside positions, snapshots and velocities
        of all atoms, or in their place.

    Attributes
    ----------
    atoms : ase.Atoms
        As they are after the last block.
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
        settings: MdSettings,
        mobile: Indices,
        watch: ExtrapolationWatch | None,
        *,
        frozen: Indices | None = None,
        reducers: Mapping[str, Reducer] | None = None,
        discard: Collection[str] = (),
        series: Mapping[str, tuple[int, tuple[int, ...]]] | None = None,
    ) -> None:
        if len(atoms) < 2:
            raise ValueError(f"molecular dynamics needs at least 2 atoms, not {len(atoms)}: repeat the cell")
        if watch is not None and settings.block_steps % watch.settings.stride:
            raise ValueError(
                f"the stride of the watch, {watch.settings.stride}, must divide block_steps = {settings.block_steps}"
            )
        self.settings = settings
        self.atoms = atoms.copy()
        self.watch = watch
        self.broken: Break | None = None
        self.block = 0
        self.reducers = dict(reducers or {})
        self._reduced = frozenset(reducer.source for reducer in self.reducers.values())
        self._discard = frozenset(discard)
        self._offered: list[tuple[str, Array, Array | None]] = []
        self._mobile = mobile
        self._rng = np.random.default_rng(settings.seed)
        self._draw_velocities(frozen)
        self._last_graded = self._frame(0)
        n = len(atoms)
        stored: dict[str, tuple[int, tuple[int, ...]]] = {
            "mobile_positions": (settings.position_stride, (len(mobile), 3)),
            "drift": (settings.position_stride, (3,)),
            "snapshots": (settings.snapshot_stride, (n, 3)),
            "snapshot_forces": (settings.snapshot_stride, (n, 3)),
            "velocities": (settings.velocity_stride, (n, 3)),
            **(series or {}),
        }
        self._strides = {name: stride for name, (stride, _) in stored.items()}
        self._record = Record({"thermo": (5,)} | {name: shape for name, (_, shape) in stored.items()})

    @property
    def finished(self) -> bool:
        """True after the last block, or after a break."""
        return self.broken is not None or self.block >= self.settings.blocks

    @property
    def equilibrating(self) -> bool:
        """True while nothing but thermodynamics is stored."""
        return self.block < self.settings.equilibration_blocks

    @property
    def steps(self) -> int:
        """Steps made, equilibration included."""
        return self.block * self.settings.block_steps if self.broken is None else self.broken.step

    @property
    def temperature(self) -> float:
        """Kinetic temperature in K at the end of the last block."""
        thermo = self._record["thermo"]
        return float(thermo[-1, 1]) if len(thermo) else 0.0

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
            step, cell, positions, momenta = self._last_graded
            self.atoms.set_cell(cell)
            self.atoms.set_positions(positions, apply_constraint=False)
            self.atoms.set_momenta(momenta, apply_constraint=False)
            self.broken = Break(step, str(error))
            self._offered.clear()
            self._forget_after(step)

    def observables(self) -> dict[str, npt.NDArray[Any]]:
        """Return what has been stored so far.

        Returns
        -------
        dict of arrays
            ``thermo`` [blocks, 5]: time (ps), temperature (K), potential and total energy (eV), pressure
            (eV/Angstrom^3); ``mobile_positions`` [frames, m, 3] unwrapped and ``drift`` [frames, 3], the centre of mass
            of all other atoms, in Angstrom: where ions move together the framework moves the other way;
            ``snapshots`` and ``snapshot_forces`` [n, N, 3] in Angstrom and eV/Angstrom;
            ``velocities`` [frames, N, 3] in Angstrom/ps. What a watch has seen is in its ``series``.
        """
        return self._record.arrays()

    def reduced(self) -> dict[str, npt.NDArray[Any]]:
        """Return what the reducers have made of the frames so far; see their ``results``."""
        return {name: values for reducer in self.reducers.values() for name, values in reducer.results().items()}

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Plain data and arrays from which `restore` continues."""
        arrays = {f"stored_{name}": values for name, values in self._record.arrays().items()}
        arrays["positions"] = self.atoms.get_positions()
        arrays["momenta"] = self.atoms.get_momenta()
        for key, reducer in self.reducers.items():
            arrays |= {f"reducer_{key}_{name}": values for name, values in reducer.state().items()}
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
        self._record.restore(_with_prefix("stored_", arrays))
        for key, reducer in self.reducers.items():
            reducer.restore(_with_prefix(f"reducer_{key}_", arrays))
        self._last_graded = self._frame(self.steps)
        if self.watch is not None:
            self.watch.restore(meta["watch"], _with_prefix("watch_", arrays))

    @abstractmethod
    def _begin_block(self, *, thermostat: bool) -> None:
        """Make ready to move `atoms` as they are, with nothing kept from the block before."""

    @abstractmethod
    def _advance(self, step: int, steps: int) -> None:
        """Go on by some steps from a step of the run, storing what is due if it is not equilibrating."""

    @abstractmethod
    def _potential_energy_and_pressure(self) -> tuple[float, float]:
        """Return energy in eV and pressure in eV/Angstrom^3 of `atoms`, NaN where there is none."""

    @property
    @abstractmethod
    def _degrees(self) -> int:
        """Number of kinetic degrees of freedom."""

    def _draw_velocities(self, frozen: Indices | None) -> None:
        # Half of the kinetic energy drawn flows into the potential energy of the perfect crystal: draw twice as much.
        thermalize_momenta(self.atoms, 2 * self.settings.temperature_k, rng=self._rng)
        if frozen is None or len(frozen) == 0:
            Stationary(self.atoms, preserve_temperature=False)
        else:
            momenta = self.atoms.get_momenta()
            momenta[frozen] = 0.0
            self.atoms.set_momenta(momenta, apply_constraint=False)

    def _run_block(self) -> None:
        settings = self.settings
        if self.block == settings.equilibration_blocks and settings.ensemble == "nve":
            self._set_energy_to_equilibrium()
        self._begin_block(thermostat=self.equilibrating or settings.ensemble != "nve")
        every = settings.block_steps if self.watch is None else self.watch.settings.stride
        before = self.block * settings.block_steps
        for step in range(before, before + settings.block_steps, every):
            self._advance(step, every)
            if self.watch is not None:
                self._look(self.watch, step + every)
                if self.broken is not None:
                    break
        self._check_and_record(step + every)
        for source, frames, cells in self._offered:
            for reducer in self.reducers.values():
                if reducer.source != source:
                    continue
                if cells is None:
                    reducer.add(frames)
                else:
                    reducer.add_in_cells(frames, cells)
        self._offered.clear()
        self.block += 1

    def _keep(self, name: str, frames: npt.NDArray[Any]) -> None:
        """Store frames [n, ...] of a series."""
        if name not in self._discard:
            self._record.extend(name, frames)

    def _store_positions(self, positions: Array, centres: Array, cells: Array | None = None) -> None:
        """Store frames [n, k, 3] with the centre of mass [n, 3] of all atoms, and the cells [n, 3, 3] if these change.

        The k atoms are all of them where a reducer takes positions, else the mobile ones.
        """
        if len(positions) and "mobile_positions" in self._reduced:
            self._offer("mobile_positions", positions, cells)
            positions = positions[:, self._mobile]
        self._keep("mobile_positions", positions.astype(np.float32))
        self._keep("drift", self._framework_centre(positions, centres))

    def _framework_centre(self, positions: Array, centres: Array) -> Array:
        """Centre of mass [n, 3] of all atoms but the mobile ones; of all where there are no others.

        From positions [n, m, 3] of the mobile atoms and the centre of mass [n, 3] of all.
        """
        masses = self.atoms.get_masses()
        mobile, total = masses[self._mobile], masses.sum()
        if len(centres) == 0 or len(mobile) in (0, len(masses)):
            return centres
        own = np.einsum("m,nma->na", mobile, positions)
        return np.asarray((total * centres - own) / (total - mobile.sum()), dtype=float)

    def _offer(self, source: str, frames: Array, cells: Array | None = None) -> None:
        """Hand frames [n, N, 3] to the reducers, when the block has turned out well; with their cells if these change.

        Cells are [n, 3, 3].
        """
        self._offered.append((source, frames, cells))

    def _look(self, watch: ExtrapolationWatch, step: int) -> None:
        grade = watch.look(self.atoms, step, self._kinetic_temperature())
        self._last_graded = self._frame(step)
        if not grade <= watch.settings.stop:  # true for NaN
            self.broken = Break(step, f"an extrapolation grade of {grade:.3g} is above {watch.settings.stop:g}")

    def _frame(self, step: int) -> tuple[int, Array, Array, Array]:
        return step, self.atoms.cell.array.copy(), self.atoms.get_positions(), self.atoms.get_momenta()

    def _forget_after(self, step: int) -> None:
        """Drop frames that were stored on the way from the last graded one to the explosion."""
        produced = max(0, step - self._equilibration_steps)
        for name, stride in self._strides.items():
            self._record.keep(name, produced // stride if stride else 0)

    def _check_and_record(self, step: int) -> None:
        potential, pressure = self._potential_energy_and_pressure()
        temperature = self._kinetic_temperature()
        if not (math.isfinite(potential) and temperature <= RUNAWAY_FACTOR * self.settings.temperature_k):
            raise UnstableRunError(self._out_of_bounds("after", temperature))
        time_ps = step * self.settings.timestep_fs / 1000
        total = potential + self.atoms.get_kinetic_energy()
        self._record.append("thermo", np.array([time_ps, temperature, potential, total, pressure]))

    def _out_of_bounds(self, when: str, temperature: float) -> str:
        return (
            f"{when} {(self.block + 1) * self.settings.block_steps} steps the cell is at {temperature:.3g} K instead "
            f"of {self.settings.temperature_k:.0f} K"
        )

    @property
    def _equilibration_steps(self) -> int:
        return self.settings.equilibration_blocks * self.settings.block_steps

    def _kinetic_temperature(self) -> float:
        return float(2 * self.atoms.get_kinetic_energy() / (units.kB * self._degrees))

    def _set_energy_to_equilibrium(self) -> None:
        """Scale velocities so that the total energy is the mean of the second half of the equilibration.

        The instantaneous energy of a small cell differs from the mean by several per cent of kT per atom; without the
        thermostat the run would keep that deviation.
        """
        thermo = self._record["thermo"]
        if len(thermo) < 4:
            return
        target = float(np.mean(thermo[len(thermo) // 2 :, 3]))
        factor = (target - thermo[-1, 2]) / self.atoms.get_kinetic_energy()
        self.atoms.set_momenta(self.atoms.get_momenta() * np.sqrt(np.clip(factor, 0.25, 4.0)), apply_constraint=False)


def _with_prefix(prefix: str, arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    return {name.removeprefix(prefix): values for name, values in arrays.items() if name.startswith(prefix)}
