"""How a task takes turns with LAMMPS, which moves its atoms over MPI.

The task does not start LAMMPS: how that is done is a matter of the machine. It writes what LAMMPS is to do next and
leaves with the exit code of an interrupted run; called again when LAMMPS has ended, it takes up what that wrote, and
writes either the results or the input for what is left::

    while iontherm-task lammps-md; [ $? = 3 ]; do mpiexec -n 4 lmp -in in.lammps -log log.lammps; done

A run that goes on in another folder finds the files of the one before under ``before/``.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from pydantic import Field

from aiida_iontherm.physics.dynamics import MdSettings, UnstableRunError
from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.mtp.lammps import write_potential
from aiida_iontherm.tasks.contract import InputError, Interrupted, PhysicsError, Task, TaskInput, UnstableError
from aiida_iontherm.tasks.files import written_whole
from aiida_iontherm.tasks.lammps_files.data import structure_data
from aiida_iontherm.tasks.lammps_files.heat_exchange import VALUES
from aiida_iontherm.tasks.lammps_files.layout import (
    DATA,
    MLIP_INI,
    POTENTIAL,
    last_restart,
    restart_name,
    scratch_files,
)
from aiida_iontherm.tasks.lammps_files.log import (
    EMPTIED,
    FLEW_APART,
    NOT_BUILT,
    WRONG_INPUT,
    error_in,
    last_words,
    version_in,
)
from aiida_iontherm.tasks.lammps_files.recorded_run import RecordedRun
from aiida_iontherm.tasks.lammps_files.script import ScriptInput, input_script, mlip_ini
from aiida_iontherm.tasks.lammps_files.section import BEFORE, LOG, SCREEN, SCRIPT, LammpsSection

SHARE_OF_TIME = 0.9
"""Of the wall time that is left, what LAMMPS may take; the rest is for taking up what it wrote."""

DIGITS = 25
"""Bytes of a number in a text with all its digits, about."""


class LammpsInput(TaskInput):
    """What the input of such a task has beside that of the task which moves the atoms itself."""

    lammps: LammpsSection = Field(LammpsSection(), description="Pair style, plugin and build of LAMMPS.")


def check_plugin(folder: Path, section: LammpsSection) -> None:
    """Look for the plugin that the input names.

    Raises
    ------
    ValueError
        If it is not there.
    """
    if section.plugin is not None and not (folder / section.plugin).is_file():
        raise ValueError(
            f"lammps.plugin: there is no {section.plugin} on this computer: compile it there (`make lammps-plugin`), "
            "or name its place"
        )


def take_turn(
    task: Task,
    task_input: LammpsInput,
    recorded: RecordedRun,
    potential: MomentTensorPotential,
    potential_file: str,
    doing: str,
    **planned: float,
) -> str:
    """Take up what LAMMPS wrote, and let it go on as long as the run is not at its end.

    Parameters
    ----------
    task : Task
    task_input : LammpsInput
    recorded : RecordedRun
        As at the start of the run.
    potential : MomentTensorPotential
    potential_file : str
        That it was read from, which a pair style of MLIP reads as it is.
    doing : str
        What the lines of progress say.
    **planned : float
        Figures of the first of them.

    Returns
    -------
    str
        Name and release of the program that made the run, which is at its end.

    Raises
    ------
    Interrupted
        When LAMMPS is to run, or the task itself is to end.
    """
    settings = recorded.settings
    saved = task.checkpoint()
    if saved is not None:
        recorded.restore(*saved)
    else:
        scratch = _scratch_bytes(settings, len(recorded.atoms))
        task.progress(doing, 0, settings.blocks, **planned, scratch_mb=scratch / 1e6)
    has_run = (task.folder / SCRIPT).is_file()
    _take_up(task, recorded, doing)
    if recorded.finished:
        versions = [version for folder in _folders(task.folder) if (version := version_in(folder / LOG))]
        return " ".join(["LAMMPS", *versions[-1:]])
    if has_run:
        _raise_error(task.folder)
    _write_inputs(task, task_input, recorded, potential, potential_file, doing)
    task.save(*recorded.state())
    command = " ".join(["lmp", *task_input.lammps.command_line()])
    raise Interrupted(f"LAMMPS is to run now ({command})")


def remove_scratch(folder: Path) -> None:
    """Delete dumps and series, when results are made of them."""
    _remove(scratch_files(folder))


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
                less = ", or exchange less heat" if settings.heat_exchange is not None else ""
                raise UnstableError(
                    f"{error}: the potential is not reliable there, or the timestep of {settings.timestep_fs:g} fs "
                    f"too long; add training data at this temperature or lower it, or shorten the timestep{less}"
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
    if any(words in error for words in EMPTIED):
        raise PhysicsError(f"LAMMPS: {error}; exchange less heat, or take thicker slabs")
    if NOT_BUILT in error:
        raise InputError(f"LAMMPS: {error}; build it with that package")
    if any(words in error for words in WRONG_INPUT):
        raise InputError(
            f"LAMMPS: {error}; give lammps.plugin, the path of iontherm_mtp.so compiled for this LAMMPS, or set "
            "LAMMPS_PLUGIN_PATH on the computer"
        )
    raise RuntimeError(f"LAMMPS: {error}")


def _write_inputs(
    task: Task,
    task_input: LammpsInput,
    recorded: RecordedRun,
    potential: MomentTensorPotential,
    potential_file: str,
    doing: str,
) -> None:
    """Write script, potential and the start: a crystal or the state that LAMMPS goes on from."""
    folder, section, settings = task.folder, task_input.lammps, recorded.settings
    _remove([*scratch_files(folder), folder / LOG])
    if section.pair == "iontherm":
        write_potential(potential, folder / POTENTIAL)
    else:
        # MLIP's own file, as it is.
        shutil.copyfile(folder / potential_file, folder / POTENTIAL)
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
        box=recorded.axes.box(recorded.atoms.cell.array),
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
    slabs = 0 if settings.heat_exchange is None else settings.heat_exchange.slabs
    return 8 * atoms * (frames + 7 * settings.blocks) + DIGITS * slabs * len(VALUES) * settings.blocks


def _write(path: Path, text: str) -> None:
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _remove(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
