"""Task ``md``: molecular dynamics of a supercell with a moment tensor potential or an embedded engine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ase import Atoms
from ase.calculators.calculator import Calculator

from aiida_iontherm.physics.compiled import available_threads
from aiida_iontherm.physics.dynamics import (
    CompiledDynamics,
    ExtrapolationWatch,
    MdSettings,
    MolecularDynamics,
    UnstableRunError,
    WatchSettings,
)
from aiida_iontherm.physics.dynamics.replicas import Replicas, replica_seed
from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.mtp.selection import active_set_from_arrays, make_grader
from aiida_iontherm.tasks.contract import InputError, Task, UnstableError
from aiida_iontherm.tasks.files import read_npz
from aiida_iontherm.tasks.md_files import write_run
from aiida_iontherm.tasks.md_input import Input
from aiida_iontherm.tasks.md_parts import System, check_extent, held_atoms, make_reducers, make_sinks, read_system
from aiida_iontherm.tasks.md_plan import md_settings, planned_bytes
from aiida_iontherm.tasks.trajectory_export import TrajectoryExport

__all__ = ["Input", "run"]

CANDIDATE_SPACING_FS = 50.0
"""Frames closer in time are about the same: half a period of a mode at 10 THz."""


def run(task: Task, task_input: Input) -> dict[str, Any]:
    """Run the MD, write ``trajectory.npz``, the snapshots as ``snapshots.extxyz`` and, of a graded run, candidates.

    The atoms are moved by the compiled loop where there is a potential, else by ASE. Heat and mass currents, where they
    are wanted, go to ``currents.npz`` for ``iontherm green-kubo``. Asked to, it stores the velocities as
    ``velocities.npz``, 12 bytes per atom and frame, and the positions of all atoms in formats of other programs, see
    `tasks.trajectory_export`. How much is kept is said before and after.

    A run that breaks is a result, not a failure: the task finishes, and ``broke_at_ps`` says where.
    """
    try:
        system = read_system(task.folder, task_input)
        mover = _mover(task, task_input, system.cell)
        settings = md_settings(task_input)
        check_extent(mover, system.supercell)
        runs = Replicas(
            [_make_run(task, task_input, mover, system, settings, replica) for replica in range(task_input.replicas)],
            available_threads(),
        )
    except ValueError as error:
        raise InputError(str(error)) from error
    species = len(set(system.supercell.get_chemical_symbols()))
    planned = planned_bytes(settings, task_input, len(system.supercell), len(system.mobile), species)
    doing = f"MD {task_input.temperature:.0f} K"
    task.progress(doing, 0, settings.blocks, planned_mb=sum(planned.values()) / 1e6)
    saved = task.checkpoint()
    if saved is not None:
        try:
            runs.restore(*saved)
        except ValueError as error:
            raise InputError(str(error)) from error
    watch = runs.runs[0].watch
    while not runs.finished:
        try:
            runs.run_block()
        except UnstableRunError as error:
            raise UnstableError(
                f"{error}: the potential is not reliable there, or the timestep of {task_input.timestep_fs:g} fs too "
                "long; add training data at this temperature or lower it, or shorten the timestep"
            ) from error
        grade = {} if watch is None or not len(watch.series) else {"grade": watch.series[-1, 1]}
        task.progress(doing, runs.block, settings.blocks, temperature=runs.temperature, **grade)
        if not runs.finished:
            task.step(runs.state)
    for reducer in (reducer for run in runs.runs for reducer in run.reducers.values()):
        if isinstance(reducer, TrajectoryExport):
            reducer.finish()
    return write_run(task, task_input, settings, runs, planned)


def _make_run(
    task: Task,
    task_input: Input,
    mover: MomentTensorPotential | Calculator,
    system: System,
    settings: MdSettings,
    replica: int,
) -> CompiledDynamics | MolecularDynamics:
    if task_input.replicas > 1 and task_input.store_velocities:
        raise ValueError("velocities of one run are kept, not those of replicas: give each its own task")
    supercell, mobile = system.supercell, system.mobile
    own = replace(settings, seed=replica_seed(settings.seed, replica))
    frozen, rigid = held_atoms(task_input, supercell, mobile)
    shared = {
        "watch": _watch(task, task_input, settings),
        "frozen": frozen,
        "reducers": {
            **make_reducers(task_input, settings, system),
            **make_sinks(task.folder, task_input, settings, supercell, replica),
        },
        "discard": () if task_input.store_velocities else {"velocities"},
    }
    is_potential = isinstance(mover, MomentTensorPotential)
    compiled = is_potential and not rigid if task_input.compiled is None else task_input.compiled
    if compiled or (is_potential and settings.needs_compiled_loop):
        if rigid:
            raise ValueError(
                "rigid polyanions are moved by ASE's integrators: leave out `compiled`, currents, npt and thermostats "
                "but langevin with them"
            )
        # Replicas share the processors among themselves.
        threads = 1 if task_input.replicas > 1 else None
        return CompiledDynamics(supercell, mover, own, mobile, threads=threads, **shared)
    calculator = mover.calculator() if is_potential else mover
    return MolecularDynamics(supercell, calculator, own, mobile, hold=rigid, **shared)


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
    if task_input.ensemble == "npt":
        raise ValueError("the ensemble npt needs a potential: with an engine there are nve and nvt")
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
