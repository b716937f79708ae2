"""Task ``lammps-md``: the runs of the task ``md``, made by LAMMPS over MPI.

The task does not start LAMMPS: how that is done is a matter of the machine. It writes what LAMMPS is to do next and
leaves with the exit code of an interrupted run; called again when LAMMPS has ended, it takes up what that wrote, and
writes either the results, those of the task ``md``, or the input for what is left::

    while iontherm-task lammps-md; [ $? = 3 ]; do mpiexec -n 4 lmp -in in.lammps -log log.lammps; done

A run that goes on in another folder finds the files of the one before under ``before/``.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from pydantic import Field

from aiida_iontherm.physics.dynamics import MdSettings, UnstableRunError
from aiida_iontherm.physics.dynamics.replicas import Replicas
from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.mtp.lammps import write_potential
from aiida_iontherm.tasks import md_input
from aiida_iontherm.tasks.contract import InputError, Interrupted, Task, UnstableError
from aiida_iontherm.tasks.files import written_whole
from aiida_iontherm.tasks.lammps_files.data import structure_data
from aiida_iontherm.tasks.lammps_files.layout import (
    DATA,
    MLIP_INI,
    POTENTIAL,
    last_restart,
    restart_name,
    scratch_files,
)
from aiida_iontherm.tasks.lammps_files.limits import not_by_lammps
from aiida_iontherm.tasks.lammps_files.log import FLEW_APART, WRONG_INPUT, error_in, last_words, version_in
from aiida_iontherm.tasks.lammps_files.recorded_run import RecordedRun
from aiida_iontherm.tasks.lammps_files.script import ScriptInput, input_script, mlip_ini
from aiida_iontherm.tasks.lammps_files.section import BEFORE, LOG, SCREEN, SCRIPT, LammpsSection
from aiida_iontherm.tasks.md_files import write_run
from aiida_iontherm.tasks.md_parts import System, check_extent, held_atoms, make_reducers, make_sinks, read_system
from aiida_iontherm.tasks.md_plan import md_settings, planned_bytes
from aiida_iontherm.tasks.trajectory_export import TrajectoryExport

SHARE_OF_TIME = 0.9
"""Of the wall time that is left, what LAMMPS may take; the rest is for taking up what it wrote."""


class Input(md_input.Input):
    """Input of the task: that of ``md``, and how LAMMPS runs."""

    lammps: LammpsSection = Field(LammpsSection(), description="Pair style, plugin and build of LAMMPS.")


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
    saved = task.checkpoint()
    if saved is not None:
        recorded.restore(*saved)
    doing = f"MD {task_input.temperature:.0f} K"
    species = len(recorded.current_species)
    planned = planned_bytes(settings, task_input, len(system.supercell), len(system.mobile), species)
    if saved is None:
        scratch = _scratch_bytes(settings, len(system.supercell))
        task.progress(doing, 0, settings.blocks, planned_mb=sum(planned.values()) / 1e6, scratch_mb=scratch / 1e6)
    has_run = (task.folder / SCRIPT).is_file()
    _take_up(task, recorded, doing)
    if recorded.finished:
        for reducer in recorded.reducers.values():
            if isinstance(reducer, TrajectoryExport):
                reducer.finish()
        results = write_run(task, task_input, settings, Replicas([recorded], 1), planned)
        _remove(scratch_files(task.folder))
        versions = [version for folder in _folders(task.folder) if (version := version_in(folder / LOG))]
        return results | {"program": " ".join(["LAMMPS", *versions[-1:]])}
    if has_run:
        _raise_error(task.folder)
    _write_inputs(task, task_input, recorded, potential, doing)
    task.save(*recorded.state())
    command = " ".join(["lmp", *task_input.lammps.command_line()])
    raise Interrupted(f"LAMMPS is to run now ({command})")


def _prepare(folder: Path, task_input: Input) -> tuple[MomentTensorPotential, System, MdSettings]:
    """Read the potential and the crystal, and refuse what LAMMPS is not asked here."""
    if task_input.potential is None:
        raise ValueError("LAMMPS moves atoms with a potential: give one")
    if (problem := not_by_lammps(task_input.model_dump(), task_input.lammps)) is not None:
        raise ValueError(problem)
    plugin = task_input.lammps.plugin
    if plugin is not None and not (folder / plugin).is_file():
        raise ValueError(
            f"lammps.plugin: there is no {plugin} on this computer: compile it there (`make lammps-plugin`), or name "
            "its place"
        )
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


def _take_up(task: Task, recorded: RecordedRun, doing: str) -> None:
    """Reduce the blocks that LAMMPS has made since, in the folder before this one and in this one."""
    settings = recorded.settings
    for folder in _folders(task.folder):
        recorded.follow(folder)
        reached = recorded.blocks_at_hand
        while recorded.block < min(reached, settings.blocks):
            try:
                recorded.run_block()
            except UnstableRunError as error:
                raise UnstableError(
                    f"{error}: the potential is not reliable there, or the timestep of {settings.timestep_fs:g} fs "
                    "too long; add training data at this temperature or lower it, or shorten the timestep"
                ) from error
            if not recorded.finished:
                task.step(recorded.state)
        if reached:
            task.progress(doing, recorded.block, settings.blocks, temperature=recorded.temperature)


def _folders(folder: Path) -> list[Path]:
    """Return the folders of a run, oldest first: each goes on from that of its link."""
    found = [folder]
    # One by one: the system follows no more than 40 links at once.
    while (before := found[-1] / BEFORE).is_dir():
        found.append(before.resolve())
    return found[::-1]


def _raise_error(folder: Path) -> None:
    """Raise what the log of LAMMPS says went wrong, if anything did."""
    log = folder / LOG
    if not log.is_file():
        said = last_words(folder / SCREEN) or "look at what mpiexec and lmp print"
        raise RuntimeError(f"LAMMPS did not begin, there is no {LOG}: {said}")
    error = error_in(log)
    if error is None:
        return
    if any(words in error for words in FLEW_APART):
        raise UnstableError(f"LAMMPS: {error}; the atoms flew apart: shorten the timestep, or train the potential on")
    if any(words in error for words in WRONG_INPUT):
        raise InputError(
            f"LAMMPS: {error}; give lammps.plugin, the path of iontherm_mtp.so compiled for this LAMMPS, or set "
            "LAMMPS_PLUGIN_PATH on the computer"
        )
    raise RuntimeError(f"LAMMPS: {error}")


def _write_inputs(
    task: Task, task_input: Input, recorded: RecordedRun, potential: MomentTensorPotential, doing: str
) -> None:
    """Write script, potential and the start: a crystal or the state that LAMMPS goes on from."""
    folder, section, settings = task.folder, task_input.lammps, recorded.settings
    _remove([*scratch_files(folder), folder / LOG])
    if section.pair == "iontherm":
        write_potential(potential, folder / POTENTIAL)
    else:
        # MLIP's own file, as it is.
        shutil.copyfile(folder / str(task_input.potential), folder / POTENTIAL)
    if section.pair == "mlip-2":
        _write(folder / MLIP_INI, mlip_ini())
    if recorded.block == 0:
        _write(folder / DATA, structure_data(recorded.atoms, potential.species, recorded.axes))
    elif last_restart(folder, settings) < recorded.block:
        name = restart_name(recorded.block, settings)
        # A job that was killed before it began has none.
        newest = next((path for before in _folders(folder)[-2::-1] if (path := before / name).is_file()), None)
        if newest is None:
            raise RuntimeError(f"{name} is in no folder before this one: remove checkpoint.npz to start afresh")
        with written_whole(folder / name) as temporary:
            shutil.copyfile(newest, temporary)
    seconds = None
    if task_input.max_seconds is not None:
        seconds = max(1.0, SHARE_OF_TIME * task_input.max_seconds - task.seconds)
    script = ScriptInput(
        settings=settings,
        section=section,
        species=tuple(potential.species),
        present=recorded.current_species,
        frozen=tuple(recorded.frozen.tolist()),
        begin=recorded.place,
        energy_sum=recorded.energy_sum,
        seconds=seconds,
        doing=doing,
    )
    _write(folder / SCRIPT, input_script(script))


def _scratch_bytes(settings: MdSettings, atoms: int) -> int:
    """Bytes of dumps that are there until the run ends or is interrupted."""
    steps = (settings.blocks - settings.equilibration_blocks) * settings.block_steps
    numbers = {settings.position_stride: 4, settings.velocity_stride: 4, settings.snapshot_stride: 7}
    frames = sum(steps // stride * width for stride, width in numbers.items() if stride)
    return 8 * atoms * (frames + 7 * settings.blocks)


def _write(path: Path, text: str) -> None:
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _remove(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
