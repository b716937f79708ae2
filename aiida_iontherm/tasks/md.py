"""Task ``md``: molecular dynamics of a supercell with a moment tensor potential or an embedded engine."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from pydantic import Field, PositiveInt

from aiida_iontherm.physics.dynamics import (
    CompiledDynamics,
    ExtrapolationWatch,
    MdSettings,
    MolecularDynamics,
    UnstableRunError,
    WatchSettings,
)
from aiida_iontherm.physics.lattice.cells import build_supercell
from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.mtp.selection import active_set_from_arrays, make_grader
from aiida_iontherm.physics.spectra import frames_for_resolution, vibrational_dos
from aiida_iontherm.tasks.contract import InputError, PhysicsError, Task, TaskInput
from aiida_iontherm.tasks.files import read_npz, read_structures, write_npz, write_structures

CANDIDATE_SPACING_FS = 50.0
"""Frames closer in time are about the same: half a period of a mode at 10 THz."""


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
    ensemble: Literal["nve", "nvt"] = "nve"
    thermostat: Literal["langevin", "bussi", "nose-hoover"] = Field(
        "langevin", description="Of a production in nvt; the latter two in the compiled loop only."
    )
    compiled: bool = Field(
        False,
        description="Move the atoms of a potential in the compiled loop, ten times as fast for a hundred atoms; so are "
        "they where currents or the thermostats bussi and nose-hoover are wanted.",
    )
    friction_per_ps: float = Field(5.0, gt=0)
    position_interval_fs: float = Field(40.0, gt=0, description="Between stored positions of the mobile ions.")
    current_interval_fs: float = Field(
        0.0, ge=0, description="Between stored heat and mass currents, with a potential only; 0 stores none."
    )
    snapshots: int = Field(100, ge=0, description="Number of snapshots of all positions and forces.")
    vdos: bool = Field(False, description="Vibrational density of states from the velocities.")
    vdos_resolution_thz: float = Field(0.2, gt=0)
    store_velocities: bool = Field(
        False, description="Store the velocities of all atoms every 8 fs or more often, for linewidths."
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


def run(task: Task, task_input: Input) -> dict[str, Any]:
    """Run the MD, write ``trajectory.npz``, the snapshots as ``snapshots.extxyz`` and, of a graded run, candidates.

    The atoms are moved by ASE, or by the compiled loop, which needs a potential. Heat and mass currents, where they are
    wanted, go to ``currents.npz`` for ``iontherm green-kubo``.

    Asked to, it stores the velocities as ``velocities.npz``, 12 bytes per atom and frame.

    A run that breaks is a result, not a failure: the task finishes, and ``broke_at_ps`` says where.
    """
    try:
        cell = read_structures(task.folder / task_input.structure)[0]
        mover = _mover(task, task_input, cell)
        settings = _settings(task_input)
        cell.set_cell(cell.cell.array * task_input.volume_scaling ** (1 / 3), scale_atoms=True)
        supercell = build_supercell(cell, task_input.supercell)
        watch = _watch(task, task_input, settings)
    except ValueError as error:
        raise InputError(str(error)) from error
    mobile = np.flatnonzero(np.array(supercell.get_chemical_symbols()) == task_input.mobile)
    if task_input.mobile is not None and len(mobile) == 0:
        raise InputError(f"there is no {task_input.mobile} in {supercell.get_chemical_formula()}")
    try:
        if isinstance(mover, MomentTensorPotential) and _in_compiled_loop(task_input):
            dynamics: CompiledDynamics | MolecularDynamics = CompiledDynamics(supercell, mover, settings, mobile, watch)
        else:
            calculator = mover.calculator() if isinstance(mover, MomentTensorPotential) else mover
            dynamics = MolecularDynamics(supercell, calculator, settings, mobile, watch)
    except ValueError as error:
        raise InputError(str(error)) from error
    saved = task.checkpoint()
    if saved is not None:
        dynamics.restore(*saved)
    while not dynamics.finished:
        try:
            dynamics.run_block()
        except UnstableRunError as error:
            raise PhysicsError(
                f"{error}: the potential is not reliable there; add training data at this temperature or lower it"
            ) from error
        task.progress(
            f"MD {task_input.temperature:.0f} K",
            dynamics.block,
            settings.blocks,
            temperature=dynamics.temperature,
            **({} if watch is None or not len(watch.series) else {"grade": watch.series[-1, 1]}),
        )
        if not dynamics.finished:
            task.step(dynamics.state)
    return _write(task, task_input, settings, dynamics)


def _in_compiled_loop(task_input: Input) -> bool:
    return task_input.compiled or task_input.current_interval_fs > 0 or task_input.thermostat != "langevin"


def _mover(task: Task, task_input: Input, cell: Atoms) -> MomentTensorPotential | Calculator:
    """Return what moves the atoms: the potential, or the calculator of an engine."""
    if (task_input.potential is None) == (task_input.engine is None):
        raise ValueError("give either a potential or an engine")
    if task_input.potential is not None:
        potential = MomentTensorPotential.read(task.folder / task_input.potential, task_input.species)
        potential.check_species(cell.get_chemical_symbols())
        return potential
    if task_input.compiled:
        raise ValueError("the compiled loop needs a potential: leave out `compiled` with an engine")
    if task_input.current_interval_fs:
        raise ValueError("heat currents need the energies of atoms that a potential has: give one, or leave them out")
    if task_input.thermostat != "langevin":
        raise ValueError(f"the thermostat {task_input.thermostat} needs a potential: with an engine there is langevin")
    from aiida_iontherm.engines.embedded import check_elements, make_calculator

    check_elements(str(task_input.engine), cell.get_chemical_symbols())
    return make_calculator(str(task_input.engine), task_input.engine_options)


def _watch(task: Task, task_input: Input, settings: MdSettings) -> ExtrapolationWatch | None:
    if not task_input.grade_interval:
        return None
    if task_input.potential is None or task_input.active_set is None:
        raise ValueError("grades need a potential and its active_set: give both or set grade_interval to 0")
    potential = MomentTensorPotential.read(task.folder / task_input.potential, task_input.species)
    active_set = active_set_from_arrays(read_npz(task.folder / task_input.active_set), potential)
    strides = (n for n in range(1, settings.block_steps + 1) if settings.block_steps % n == 0)
    stride = max(n for n in strides if n <= task_input.grade_interval)
    return ExtrapolationWatch(
        make_grader(potential, active_set),
        WatchSettings(
            stride=stride,
            select=task_input.grade_select,
            stop=task_input.grade_break,
            spacing=max(stride, round(CANDIDATE_SPACING_FS / task_input.timestep_fs)),
            max_candidates=task_input.max_candidates,
        ),
    )


def _settings(task_input: Input) -> MdSettings:
    """Translate times to steps so that every stride divides the block or is a multiple of it."""
    timestep = task_input.timestep_fs
    position = max(1, round(task_input.position_interval_fs / timestep))
    production = max(1, round(task_input.production_ps * 1000 / timestep))
    # Velocities must resolve the fastest vibration: 8 fs puts the highest frequency at 62 THz.
    velocity = max(1, int(8.0 // timestep)) if task_input.vdos or task_input.store_velocities else 0
    current = 0
    if task_input.current_interval_fs:
        current = max(1, round(task_input.current_interval_fs / timestep))
    unit = math.lcm(*(stride for stride in (position, velocity, current) if stride))
    # About 0.4 ps: short enough to stop soon, long enough for the neighbour list to pay.
    target = 400 / timestep
    block = unit * max(1, round(target / unit))
    snapshot = 0
    if task_input.snapshots:
        units = max(1, production // task_input.snapshots // unit)
        if units * unit < target:
            snapshot = units * unit
            block = snapshot * round(target / snapshot)
        else:
            parts = min(units, round(units * unit / target))
            block = units // parts * unit
            snapshot = parts * block
    settings = MdSettings(
        temperature_k=task_input.temperature,
        timestep_fs=timestep,
        equilibration_steps=round(task_input.equilibration_ps * 1000 / timestep),
        production_steps=production,
        friction_per_ps=task_input.friction_per_ps,
        ensemble=task_input.ensemble,
        thermostat=task_input.thermostat,
        position_stride=position if task_input.mobile else 0,
        snapshot_stride=snapshot,
        velocity_stride=velocity,
        current_stride=current,
        block_steps=block,
        seed=task_input.seed,
    )
    if task_input.vdos:
        # Said now, not after the run.
        needed = frames_for_resolution(velocity * timestep, task_input.vdos_resolution_thz) * velocity * timestep / 1000
        stored = (settings.blocks - settings.equilibration_blocks) * block * timestep / 1000
        if stored < needed:
            raise ValueError(
                f"{stored:.2f} ps cannot resolve {task_input.vdos_resolution_thz} THz: production_ps must be "
                f"{needed:.2f} or vdos_resolution_thz larger"
            )
    return settings


def _write(
    task: Task, task_input: Input, settings: MdSettings, dynamics: CompiledDynamics | MolecularDynamics
) -> dict[str, Any]:
    stored = dynamics.observables()
    velocities = stored.pop("velocities")
    supercell = dynamics.atoms
    if isinstance(dynamics, CompiledDynamics):
        stored.pop("thermo_series")
        currents = {name: stored.pop(name) for name in ("heat_virial", "heat_convective", "mass_currents")}
        if settings.current_stride:
            write_npz(task.folder / "currents.npz", _currents(currents, stored["thermo"], settings, dynamics))
    arrays: dict[str, np.ndarray] = {
        **stored,
        "frame_interval_fs": np.array(settings.position_stride * settings.timestep_fs),
        "cell": supercell.cell.array,
        "numbers": supercell.numbers,
        "last_positions": supercell.positions,
        "last_velocities": supercell.get_velocities() * 1000 * units.fs,
    }
    if dynamics.watch is not None:
        arrays["grades"] = dynamics.watch.series * [settings.timestep_fs / 1000, 1.0, 1.0]
    # A run that broke may be too short for the resolution that was asked for.
    if task_input.vdos and dynamics.broken is None:
        dos = vibrational_dos(
            velocities,
            settings.velocity_stride * settings.timestep_fs,
            supercell.get_masses(),
            supercell.get_chemical_symbols(),
            resolution_thz=task_input.vdos_resolution_thz,
        )
        arrays["vdos_frequencies_thz"] = dos.frequencies_thz
        arrays |= {f"vdos_{symbol}": values for symbol, values in dos.partial.items()}
    if task_input.store_velocities:
        velocity_arrays = {
            "velocities": velocities,
            "positions": stored["snapshots"] if len(stored["snapshots"]) else supercell.positions[None],
            "cell": supercell.cell.array,
            "numbers": supercell.numbers,
            "frame_interval_fs": np.array(settings.velocity_stride * settings.timestep_fs),
        }
        write_npz(task.folder / "velocities.npz", velocity_arrays)
    snapshots, forces = stored["snapshots"], stored["snapshot_forces"]
    largest = float(np.abs(forces).max(initial=0.0))
    if task_input.max_force is not None and largest > task_input.max_force:
        raise PhysicsError(
            f"a force of {largest:.1f} eV/Angstrom was met: the atoms came closer than the potential was trained for"
        )
    write_npz(task.folder / "trajectory.npz", arrays)
    if len(snapshots):
        write_structures(
            task.folder / "snapshots.extxyz",
            [_frame(supercell, positions) for positions in snapshots],
        )
    thermo = stored["thermo"][settings.equilibration_blocks :]
    drift = 0.0
    if settings.ensemble == "nve" and len(thermo) > 2:
        slope = np.polyfit(thermo[:, 0], thermo[:, 3], 1)[0]
        drift = float(slope * 1000 / len(supercell))
    equilibration = settings.equilibration_blocks * settings.block_steps
    return {
        "atoms": len(supercell),
        "steps": dynamics.steps,
        "production_ps": max(0, dynamics.steps - equilibration) * settings.timestep_fs / 1000,
        "mean_temperature_k": float(np.mean(thermo[:, 1])) if len(thermo) else None,
        "mean_pressure_ev_per_angstrom3": _finite(np.mean(thermo[:, 4])) if len(thermo) else None,
        "energy_drift_ev_per_atom_ns": drift,
        "frames": len(stored["mobile_positions"]),
        "snapshots": len(snapshots),
        "max_force_ev_per_angstrom": largest,
        **_grading(task, dynamics),
    }


def _currents(
    stored: dict[str, np.ndarray], thermo: np.ndarray, settings: MdSettings, dynamics: CompiledDynamics
) -> dict[str, np.ndarray]:
    """Heat current by parts and mass currents by species [frames, 3], as `flux_files` reads them."""
    produced = thermo[settings.equilibration_blocks :, 1]
    arrays = {
        "virial": stored["heat_virial"].sum(axis=1),
        "convective": stored["heat_convective"].sum(axis=1),
        "timestep_fs": np.array(settings.current_stride * settings.timestep_fs),
        "temperature": np.array(np.mean(produced) if len(produced) else settings.temperature_k),
        "volume": np.array(dynamics.atoms.cell.volume),
    }
    for index, symbol in enumerate(dynamics.current_species):
        arrays[f"virial_{symbol}"] = stored["heat_virial"][:, index]
        arrays[f"convective_{symbol}"] = stored["heat_convective"][:, index]
        arrays[f"mass_{symbol}"] = stored["mass_currents"][:, index]
    return arrays


def _grading(task: Task, dynamics: CompiledDynamics | MolecularDynamics) -> dict[str, Any]:
    """Write the candidates of a graded run and tell how far it could be trusted."""
    watch, settings = dynamics.watch, dynamics.settings
    if watch is None:
        return {}
    frames = []
    for candidate in watch.candidates:
        frame = _frame(dynamics.atoms, candidate.positions)
        frame.info = {
            "step": candidate.step,
            "time_ps": candidate.step * settings.timestep_fs / 1000,
            "temperature": settings.temperature_k,
            "kinetic_temperature": candidate.temperature,
            "grade": candidate.grade,
        }
        frames.append(frame)
    if frames:
        write_structures(task.folder / "candidates.extxyz", frames)
    broken = dynamics.broken
    return {
        "gradings": len(watch.series),
        "max_grade": _finite(watch.series[:, 1].max(initial=0.0)),
        "mean_grade": _finite(watch.series[:, 2].mean()) if len(watch.series) else None,
        "candidates": len(frames),
        "broke_at_ps": None if broken is None else broken.step * settings.timestep_fs / 1000,
        "break_reason": None if broken is None else broken.reason,
    }


def _frame(supercell: Atoms, positions: np.ndarray) -> Atoms:
    return Atoms(numbers=supercell.numbers, positions=positions, cell=supercell.cell, pbc=True)


def _finite(value: float) -> float | None:
    """Return a number that JSON can hold, or none."""
    return float(value) if np.isfinite(value) else None
