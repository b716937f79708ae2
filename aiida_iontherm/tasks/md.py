"""Task ``md``: molecular dynamics of a supercell with a moment tensor potential or an embedded engine."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from pydantic import Field, PositiveInt

from aiida_iontherm.physics.dynamics import MdSettings, MolecularDynamics, UnstableRunError
from aiida_iontherm.physics.lattice.cells import build_supercell
from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.spectra import frames_for_resolution, vibrational_dos
from aiida_iontherm.tasks.contract import InputError, PhysicsError, Task, TaskInput
from aiida_iontherm.tasks.files import read_structures, write_npz, write_structures


class Input(TaskInput):
    """Input of the task."""

    structure: str = "structure.extxyz"
    potential: str | None = Field(None, description="Moment tensor potential, .mtp.")
    species: list[str] = Field(default_factory=list, description="Elements of the potential, in its order.")
    engine: str | None = Field(None, description="Embedded engine, instead of a potential.")
    engine_options: dict[str, Any] = Field(default_factory=dict)
    supercell: tuple[PositiveInt, PositiveInt, PositiveInt] = (1, 1, 1)
    mobile: str | None = Field(None, description="Symbol of the ions whose positions are stored.")
    temperature: float = Field(gt=0, description="K.")
    timestep_fs: float = Field(gt=0)
    equilibration_ps: float = Field(ge=0)
    production_ps: float = Field(gt=0)
    ensemble: Literal["nve", "nvt"] = "nve"
    friction_per_ps: float = Field(5.0, gt=0)
    position_interval_fs: float = Field(40.0, gt=0, description="Between stored positions of the mobile ions.")
    snapshots: int = Field(100, ge=0, description="Number of snapshots of all positions and forces.")
    vdos: bool = Field(False, description="Vibrational density of states from the velocities.")
    vdos_resolution_thz: float = Field(0.2, gt=0)
    max_force: float | None = Field(
        None, gt=0, description="Stop as unstable when a snapshot has a larger force, eV/Angstrom."
    )
    seed: int = 0


def run(task: Task, task_input: Input) -> dict[str, Any]:
    """Run the MD, write ``trajectory.npz`` and the snapshots as ``snapshots.extxyz``."""
    try:
        cell = read_structures(task.folder / task_input.structure)[0]
        calculator = _calculator(task, task_input, cell)
        settings = _settings(task_input)
        supercell = build_supercell(cell, task_input.supercell)
    except ValueError as error:
        raise InputError(str(error)) from error
    mobile = np.flatnonzero(np.array(supercell.get_chemical_symbols()) == task_input.mobile)
    if task_input.mobile is not None and len(mobile) == 0:
        raise InputError(f"there is no {task_input.mobile} in {supercell.get_chemical_formula()}")
    try:
        dynamics = MolecularDynamics(supercell, calculator, settings, mobile)
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
        )
        if not dynamics.finished:
            task.step(dynamics.state)
    return _write(task, task_input, settings, dynamics)


def _calculator(task: Task, task_input: Input, cell: Atoms) -> Calculator:
    if (task_input.potential is None) == (task_input.engine is None):
        raise ValueError("give either a potential or an engine")
    if task_input.potential is not None:
        potential = MomentTensorPotential.read(task.folder / task_input.potential, task_input.species)
        potential.check_species(cell.get_chemical_symbols())
        return potential.calculator()
    from aiida_iontherm.engines.embedded import check_elements, make_calculator

    check_elements(str(task_input.engine), cell.get_chemical_symbols())
    return make_calculator(str(task_input.engine), task_input.engine_options)


def _settings(task_input: Input) -> MdSettings:
    """Translate times to steps so that every stride divides the block or is a multiple of it."""
    timestep = task_input.timestep_fs
    position = max(1, round(task_input.position_interval_fs / timestep))
    production = max(1, round(task_input.production_ps * 1000 / timestep))
    # Velocities must resolve the fastest vibration: 8 fs puts the highest frequency at 62 THz.
    velocity = max(1, int(8.0 // timestep)) if task_input.vdos else 0
    unit = int(np.lcm(position, velocity)) if velocity else position
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
        position_stride=position if task_input.mobile else 0,
        snapshot_stride=snapshot,
        velocity_stride=velocity,
        block_steps=block,
        seed=task_input.seed,
    )
    if velocity:
        # Said now, not after the run.
        needed = frames_for_resolution(velocity * timestep, task_input.vdos_resolution_thz) * velocity * timestep / 1000
        stored = (settings.blocks - settings.equilibration_blocks) * block * timestep / 1000
        if stored < needed:
            raise ValueError(
                f"{stored:.2f} ps cannot resolve {task_input.vdos_resolution_thz} THz: production_ps must be "
                f"{needed:.2f} or vdos_resolution_thz larger"
            )
    return settings


def _write(task: Task, task_input: Input, settings: MdSettings, dynamics: MolecularDynamics) -> dict[str, Any]:
    stored = dynamics.observables()
    velocities = stored.pop("velocities")
    supercell = dynamics.atoms
    arrays: dict[str, np.ndarray] = {
        **stored,
        "frame_interval_fs": np.array(settings.position_stride * settings.timestep_fs),
        "cell": supercell.cell.array,
        "numbers": supercell.numbers,
    }
    if task_input.vdos:
        dos = vibrational_dos(
            velocities,
            settings.velocity_stride * settings.timestep_fs,
            supercell.get_masses(),
            supercell.get_chemical_symbols(),
            resolution_thz=task_input.vdos_resolution_thz,
        )
        arrays["vdos_frequencies_thz"] = dos.frequencies_thz
        arrays |= {f"vdos_{symbol}": values for symbol, values in dos.partial.items()}
    snapshots, forces = stored["snapshots"], stored["snapshot_forces"]
    largest = float(np.abs(forces).max(initial=0.0))
    if task_input.max_force is not None and largest > task_input.max_force:
        raise PhysicsError(
            f"a force of {largest:.1f} eV/Angstrom was met: the atoms came closer than the potential was trained for"
        )
    write_npz(task.folder / "trajectory.npz", arrays)
    frames = [
        Atoms(numbers=supercell.numbers, positions=positions, cell=supercell.cell, pbc=True) for positions in snapshots
    ]
    if frames:
        write_structures(task.folder / "snapshots.extxyz", frames)
    thermo = stored["thermo"][settings.equilibration_blocks :]
    drift = 0.0
    if settings.ensemble == "nve" and len(thermo) > 2:
        slope = np.polyfit(thermo[:, 0], thermo[:, 3], 1)[0]
        drift = float(slope * 1000 / len(supercell))
    return {
        "atoms": len(supercell),
        "steps": settings.blocks * settings.block_steps,
        "production_ps": (settings.blocks - settings.equilibration_blocks)
        * settings.block_steps
        * settings.timestep_fs
        / 1000,
        "mean_temperature_k": float(np.mean(thermo[:, 1])),
        "mean_pressure_ev_per_angstrom3": None if np.isnan(thermo[:, 4]).any() else float(np.mean(thermo[:, 4])),
        "energy_drift_ev_per_atom_ns": drift,
        "frames": len(stored["mobile_positions"]),
        "snapshots": len(snapshots),
        "max_force_ev_per_angstrom": largest,
    }
