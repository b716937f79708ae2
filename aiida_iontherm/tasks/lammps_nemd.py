"""Task ``lammps-nemd``: the runs of the task ``nemd``, made by LAMMPS, with which the task takes turns."""

from __future__ import annotations

from typing import Any

import numpy as np

from aiida_iontherm.tasks import nemd
from aiida_iontherm.tasks.contract import InputError, Task
from aiida_iontherm.tasks.lammps_files.limits import exchange_not_by_lammps
from aiida_iontherm.tasks.lammps_files.recorded_run import RecordedRun
from aiida_iontherm.tasks.lammps_turns import LammpsInput, check_plugin, remove_scratch, take_turn


class Input(LammpsInput, nemd.Input):
    """Input of the task: that of ``nemd``, and how LAMMPS runs."""


def run(task: Task, task_input: Input) -> dict[str, Any]:
    """Take up what LAMMPS wrote, then write the results or, while there are none, its next input.

    Results are the file and the figures of the task ``nemd``; dumps and series of LAMMPS are deleted.

    Raises
    ------
    Interrupted
        When LAMMPS is to run, or the task itself is to end.
    """
    try:
        if (problem := exchange_not_by_lammps({}, task_input.lammps)) is not None:
            raise ValueError(problem)
        check_plugin(task.folder, task_input.lammps)
        supercell, potential, settings, exchange = nemd.prepare(task.folder, task_input)
        symbols = set(supercell.get_chemical_symbols())
        species = [symbol for symbol in potential.species if symbol in symbols]
        recorded = RecordedRun(supercell, settings, np.empty(0, dtype=np.int64), species)
    except ValueError as error:
        raise InputError(str(error)) from error
    program = take_turn(
        task,
        task_input,
        recorded,
        potential,
        task_input.potential,
        nemd.doing(task_input, supercell),
        profile_mb=nemd.profile_mb(settings, exchange),
    )
    results = nemd.write_results(task, task_input, recorded, exchange)
    remove_scratch(task.folder)
    return results | {"program": program}
