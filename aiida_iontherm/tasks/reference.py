"""Task ``reference``: relax, sample or label structures with an embedded engine, all in one process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from ase.calculators.singlepoint import SinglePointCalculator
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

from aiida_iontherm.engines.embedded import EngineError, check_elements, make_calculator, unsolved
from aiida_iontherm.materials.distortion import strained
from aiida_iontherm.tasks.contract import InputError, PhysicsError, Task, TaskInput
from aiida_iontherm.tasks.files import read_structures, write_structures

GIVE_UP_AFTER = 3
"""If so many structures fail and none comes out, it is for a reason which the others would meet as well."""


class RelaxSettings(BaseModel):
    """Relaxation with the space group kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    force_tolerance: float = Field(0.01, gt=0, description="Largest force component, eV/Angstrom.")
    max_steps: int = Field(300, gt=0)
    relax_cell: bool = True
    keep_symmetry: bool = True


class SampleSettings(BaseModel):
    """Short reference MD runs at several temperatures and volumes, Langevin thermostat, and rattled cells."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    supercell: tuple[PositiveInt, PositiveInt, PositiveInt] = (1, 1, 1)
    temperatures: list[PositiveFloat] = Field(min_length=1, description="K, one run each.")
    volume_scalings: list[PositiveFloat] = Field(
        min_length=1, description="Factors of the volume, cycled over the runs and over the rattled cells."
    )
    frames_per_run: int = Field(gt=0)
    stride: int = Field(gt=0, description="MD steps between labelled frames.")
    timestep_fs: float = Field(gt=0)
    friction_per_ps: float = Field(20.0, gt=0)
    strain: float = Field(0.02, ge=0, description="Standard deviation of the random strain of each run and cell.")
    rattled_frames: int = Field(0, ge=0, description="Cells with random displacements, one evaluation each.")
    rattle: float = Field(0.1, ge=0, description="Standard deviation of their displacements, Angstrom.")
    seed: int = 0


class Input(TaskInput):
    """Input of the task."""

    engine: str
    engine_options: dict[str, Any] = Field(default_factory=dict)
    mode: Literal["relax", "sample", "label"]
    structures: str = "structures.extxyz"
    relax: RelaxSettings | None = None
    sample: SampleSettings | None = None


def run(task: Task, task_input: Input) -> dict[str, Any]:
    """Dispatch on the mode."""
    try:
        frames = read_structures(task.folder / task_input.structures)
    except ValueError as error:
        raise InputError(str(error)) from error
    try:
        check_elements(task_input.engine, {symbol for atoms in frames for symbol in atoms.get_chemical_symbols()})
        calculator = Fresh(lambda: make_calculator(task_input.engine, task_input.engine_options))
    except EngineError as error:
        raise InputError(str(error)) from error
    if task_input.mode == "relax":
        return _relax(task, frames[0], calculator, task_input.relax or RelaxSettings())
    if task_input.mode == "sample":
        if task_input.sample is None:
            raise InputError("mode sample needs the section sample")
        return _sample(task, frames[0], calculator, task_input.sample)
    return _label(task, frames, calculator, task_input.engine)


class UnsolvedError(ValueError):
    """A structure for which the engine gives no usable label."""


class Fresh:
    """A calculator that can be made to forget: what it kept of one configuration must not touch the next.

    A neighbour list kept from before and one built after a restart differ in the last bits of their sums, and a density
    that starts from the last one converges to another corner of the tolerance.
    """

    def __init__(self, make: Callable[[], Calculator]) -> None:
        self._make = make
        self._calculator = make()
        self._used = False

    def get(self) -> Calculator:
        """Return the calculator as if it were new."""
        if self._used:
            if hasattr(self._calculator, "reset"):
                self._calculator.reset()
            else:
                self._calculator = self._make()
        self._used = True
        return self._calculator


def _relax(task: Task, atoms: Atoms, calculator: Fresh, settings: RelaxSettings) -> dict[str, Any]:
    from ase.constraints import FixSymmetry
    from ase.filters import FrechetCellFilter
    from ase.optimize import BFGS

    class ResumableBFGS(BFGS):
        """BFGS that keeps in memory what ASE would write to its restart file."""

        memory: Any = None

        def dump(self, data: Any) -> None:
            self.memory = data

        def load(self) -> Any:
            return self.memory

    start_volume = atoms.cell.volume
    relaxed = atoms.copy()
    relaxed.calc = calculator.get()
    if settings.keep_symmetry:
        relaxed.set_constraint(FixSymmetry(relaxed, symprec=0.01))
    target = FrechetCellFilter(relaxed) if settings.relax_cell else relaxed
    optimiser = ResumableBFGS(target, logfile=None)
    saved = task.checkpoint()
    if saved is not None:
        meta, arrays = saved
        relaxed.set_cell(arrays["cell"], apply_constraint=False)
        relaxed.set_positions(arrays["positions"], apply_constraint=False)
        optimiser.nsteps = meta["steps"]
        optimiser.memory = (arrays["hessian"], arrays["last_x"], arrays["last_forces"], meta["max_step"])
        optimiser.read()

    def state() -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        hessian, last_x, last_forces, max_step = optimiser.memory[:4]
        return {"steps": optimiser.nsteps, "max_step": max_step}, {
            "cell": relaxed.cell.array,
            "positions": relaxed.positions,
            "hessian": hessian,
            "last_x": last_x,
            "last_forces": last_forces,
        }

    def report() -> None:
        force = float(np.abs(relaxed.get_forces()).max())
        task.progress("relax", optimiser.nsteps, settings.max_steps, max_force=force, volume=relaxed.cell.volume)
        if optimiser.nsteps:
            task.step(state)

    optimiser.attach(report)
    steps_left = settings.max_steps - optimiser.nsteps
    converged = bool(optimiser.run(fmax=settings.force_tolerance, steps=steps_left))
    if not np.isfinite(relaxed.get_potential_energy()) or not 0.5 < relaxed.cell.volume / start_volume < 2.0:
        raise PhysicsError(
            f"the cell went from {start_volume:.1f} to {relaxed.cell.volume:.1f} Angstrom^3: the engine does not hold "
            "this structure together; check the structure or choose another engine"
        )
    relaxed.set_constraint()
    write_structures(task.folder / "labelled.extxyz", [_labelled(relaxed)])
    return {
        "converged": converged,
        "steps": int(optimiser.nsteps),
        "energy_ev": _energy(relaxed),
        "max_force_ev_per_angstrom": float(np.abs(relaxed.get_forces()).max()),
        "volume_change": float(relaxed.cell.volume / start_volume - 1.0),
        "frames": 1,
    }


def _sample(task: Task, atoms: Atoms, calculator: Fresh, settings: SampleSettings) -> dict[str, Any]:
    from ase.constraints import FixCom
    from ase.md.langevin import Langevin
    from ase.md.velocitydistribution import thermalize_momenta

    rng = np.random.default_rng(settings.seed)
    moving = len(settings.temperatures) * settings.frames_per_run
    total = moving + settings.rattled_frames
    labelled: list[Atoms] = []
    cell = atoms.repeat(settings.supercell)
    if len(cell) < 2:
        raise InputError("one atom alone cannot move: sample a larger supercell")
    saved = task.checkpoint()
    if saved is not None:
        meta, arrays = saved
        rng.bit_generator.state = meta["rng"]
        labelled = _frames_from_arrays(cell, arrays)
        cell = labelled[-1].copy()
        cell.set_momenta(arrays["momenta"])
        cell.set_constraint(FixCom())

    def state() -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        arrays = {**_frames_to_arrays(labelled), "momenta": cell.get_momenta()}
        return {"rng": rng.bit_generator.state}, arrays

    while len(labelled) < moving:
        index, frame = divmod(len(labelled), settings.frames_per_run)
        temperature = settings.temperatures[index]
        if frame == 0:
            scaling = settings.volume_scalings[index % len(settings.volume_scalings)]
            cell = strained(atoms.repeat(settings.supercell), scaling, settings.strain, rng)
            cell.set_constraint(FixCom())
            # Half of the kinetic energy drawn flows into potential energy of the perfect crystal.
            thermalize_momenta(cell, 2 * temperature, rng=rng)
        cell.calc = calculator.get()
        dynamics = Langevin(
            cell,
            settings.timestep_fs * units.fs,
            temperature_K=temperature,
            friction=settings.friction_per_ps / (1000 * units.fs),
            fixcm=False,
            rng=rng,
        )
        dynamics.run(settings.stride)
        if not np.isfinite(cell.get_potential_energy()):
            raise PhysicsError(f"the reference MD at {temperature:.0f} K blew up: shorten timestep_fs")
        labelled.append(_labelled(cell))
        task.progress(
            "reference MD",
            len(labelled),
            total,
            temperature=cell.get_temperature(),
            max_force=float(np.abs(labelled[-1].get_forces()).max()),
        )
        task.step(state)
    while len(labelled) < total:
        scaling = settings.volume_scalings[(len(labelled) - moving) % len(settings.volume_scalings)]
        cell = strained(atoms.repeat(settings.supercell), scaling, settings.strain, rng)
        cell.positions += rng.normal(scale=settings.rattle, size=cell.positions.shape)
        cell.calc = calculator.get()
        if not np.isfinite(cell.get_potential_energy()):
            raise PhysicsError("the energy of a rattled cell is not finite: shorten rattle")
        labelled.append(_labelled(cell))
        max_force = float(np.abs(labelled[-1].get_forces()).max())
        task.progress("rattled cells", len(labelled), total, max_force=max_force)
        task.step(state)
    write_structures(task.folder / "labelled.extxyz", labelled)
    return {"frames": len(labelled), "converged": True}


def _label(task: Task, frames: list[Atoms], calculator: Fresh, engine: str) -> dict[str, Any]:
    """Label one after the other; leave out those that the engine cannot solve, and say which."""
    labelled: list[Atoms] = []
    missing: dict[int, str] = {}
    saved = task.checkpoint()
    if saved is not None:
        meta, arrays = saved
        missing = {int(index): reason for index, reason in meta["missing"].items()}
        solved = [index for index in range(meta["done"]) if index not in missing]
        labelled = [
            _with_results(frames[index], arrays[f"forces_{n}"], arrays[f"stress_{n}"], meta["energies"][n])
            for n, index in enumerate(solved)
        ]
    for index in range(len(labelled) + len(missing), len(frames)):
        atoms = frames[index].copy()
        atoms.calc = calculator.get()
        figures = {}
        try:
            solution = _finite(_labelled(atoms))
        except Exception as error:
            if not isinstance(error, UnsolvedError) and not unsolved(engine, error):
                raise
            missing[index] = str(error) or type(error).__name__
        else:
            labelled.append(solution)
            figures["max_force"] = float(np.abs(solution.get_forces()).max())
        if not labelled and len(missing) in (GIVE_UP_AFTER, len(frames)):
            raise PhysicsError(f"the engine {engine} solves none of the structures, the first because: {missing[0]}")
        task.progress("label", index + 1, len(frames), missing=len(missing), **figures)
        task.step(lambda: _label_state(labelled, missing))
    write_structures(task.folder / "labelled.extxyz", labelled)
    results: dict[str, Any] = {"frames": len(labelled), "missing": sorted(missing), "converged": not missing}
    if missing:
        results["missing_because"] = missing[min(missing)]
    return results


def _label_state(labelled: list[Atoms], missing: dict[int, str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    arrays = {f"forces_{index}": atoms.calc.results["forces"] for index, atoms in enumerate(labelled)}
    arrays |= {f"stress_{index}": atoms.calc.results["stress"] for index, atoms in enumerate(labelled)}
    energies = [float(atoms.calc.results["energy"]) for atoms in labelled]
    return {"done": len(labelled) + len(missing), "missing": missing, "energies": energies}, arrays


def _finite(atoms: Atoms) -> Atoms:
    """Return labels as they are if all are numbers."""
    if not all(np.isfinite(atoms.calc.results[name]).all() for name in ("energy", "forces", "stress")):
        raise UnsolvedError("its energy, forces or stress are not finite")
    return atoms


def _labelled(atoms: Atoms) -> Atoms:
    """Copy of `atoms` that carries its energy, forces and stress."""
    forces = atoms.get_forces(apply_constraint=False)
    return _with_results(atoms, forces, atoms.get_stress(apply_constraint=False), _energy(atoms))


def _energy(atoms: Atoms) -> float:
    """Energy whose derivatives the forces are: with smeared occupations the free energy, not that at no smearing."""
    energy = atoms.get_potential_energy()
    return float(atoms.calc.results.get("free_energy", energy))


def _with_results(atoms: Atoms, forces: np.ndarray, stress: np.ndarray, energy: float) -> Atoms:
    copy = Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    copy.calc = SinglePointCalculator(copy, energy=energy, forces=np.array(forces), stress=np.array(stress))
    return copy


def _frames_to_arrays(frames: list[Atoms]) -> dict[str, np.ndarray]:
    return {
        "positions": np.array([atoms.positions for atoms in frames]),
        "cells": np.array([atoms.cell.array for atoms in frames]),
        "energies": np.array([atoms.calc.results["energy"] for atoms in frames]),
        "forces": np.array([atoms.calc.results["forces"] for atoms in frames]),
        "stresses": np.array([atoms.calc.results["stress"] for atoms in frames]),
    }


def _frames_from_arrays(template: Atoms, arrays: dict[str, np.ndarray]) -> list[Atoms]:
    frames = []
    for index, positions in enumerate(arrays["positions"]):
        atoms = Atoms(numbers=template.numbers, positions=positions, cell=arrays["cells"][index], pbc=template.pbc)
        frames.append(
            _with_results(atoms, arrays["forces"][index], arrays["stresses"][index], float(arrays["energies"][index]))
        )
    return frames
