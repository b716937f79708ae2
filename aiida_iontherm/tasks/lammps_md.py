"""Task ``lammps-md``: the runs of the task ``md``, made by LAMMPS, with which the task takes turns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiida_iontherm.physics.dynamics import MdSettings
from aiida_iontherm.physics.dynamics.replicas import Replicas
from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.tasks import md_input
from aiida_iontherm.tasks.contract import InputError, Task
from aiida_iontherm.tasks.lammps_files.limits import not_by_lammps
from aiida_iontherm.tasks.lammps_files.recorded_run import RecordedRun
from aiida_iontherm.tasks.lammps_turns import LammpsInput, check_plugin, remove_scratch, take_turn
from aiida_iontherm.tasks.md_files import write_run
from aiida_iontherm.tasks.md_parts import System, check_extent, held_atoms, make_reducers, make_sinks, read_system
from aiida_iontherm.tasks.md_plan import md_settings, planned_bytes
from aiida_iontherm.tasks.trajectory_export import TrajectoryExport


class Input(LammpsInput, md_input.Input):
    """Input of the task: that of ``md``, and how LAMMPS runs."""


def run(task: Task, task_input: Input) -> dict[str, Any]:
    """Take up what LAMMPS wrote, then write the results or, while there are none, its next input.

    Results are the files and figures of the task ``md``; its dumps are deleted.

    Raises
    ------
    Interrupted
        When LAMMPS is to run, or the task itself is to end.
    """
    try:
        potential, system, settings = _prepare(task.folder, task_input)
        recorded = _make_run(task.folder, task_input, potential, system, settings)
    except ValueError as error:
        raise InputError(str(error)) from error
    species = len(recorded.current_species)
    planned = planned_bytes(settings, task_input, len(system.supercell), len(system.mobile), species)
    program = take_turn(
        task,
        task_input,
        recorded,
        potential,
        str(task_input.potential),
        f"MD {task_input.temperature:.0f} K",
        planned_mb=sum(planned.values()) / 1e6,
    )
    for reducer in recorded.reducers.values():
        if isinstance(reducer, TrajectoryExport):
            reducer.finish()
    results = write_run(task, task_input, settings, Replicas([recorded], 1), planned)
    remove_scratch(task.folder)
    return results | {"program": program}


def _prepare(folder: Path, task_input: Input) -> tuple[MomentTensorPotential, System, MdSettings]:
    """Read the potential and the crystal, and refuse what LAMMPS is not asked here."""
    if task_input.potential is None:
        raise ValueError("LAMMPS moves atoms with a potential: give one")
    if (problem := not_by_lammps(task_input.model_dump(), task_input.lammps)) is not None:
        raise ValueError(problem)
    check_plugin(folder, task_input.lammps)
    potential = MomentTensorPotential.read(folder / task_input.potential, task_input.species)
    system = read_system(folder, task_input)
    potential.check_species(system.cell.get_chemical_symbols())
    check_extent(potential, system.supercell)
    return potential, system, md_settings(task_input)


def _make_run(
    folder: Path, task_input: Input, potential: MomentTensorPotential, system: System, settings: MdSettings
) -> RecordedRun:
    frozen, _ = held_atoms(task_input, system.supercell, system.mobile)
    if frozen is not None and len(frozen) == len(system.supercell):
        raise ValueError("no atom can move: two free atoms are needed, or one beside frozen ones")
    if frozen is not None and len(frozen) and settings.ensemble == "npt":
        raise ValueError("frozen atoms have no place in a cell that changes: leave out one of both")
    symbols = set(system.supercell.get_chemical_symbols())
    recorded = RecordedRun(
        system.supercell,
        settings,
        system.mobile,
        [symbol for symbol in potential.species if symbol in symbols],
        frozen=frozen,
        reducers={
            **make_reducers(task_input, settings, system),
            **make_sinks(folder, task_input, settings, system.supercell, 0),
        },
        discard=() if task_input.store_velocities else {"velocities"},
    )
    if recorded.axes.turned and settings.ensemble == "npt" and settings.barostat == "orthorhombic":
        raise ValueError(
            "LAMMPS turns this cell, so that its x, y and z are not those of the crystal: let the whole cell change "
            "(barostat = triclinic) or the volume alone"
        )
    return recorded
