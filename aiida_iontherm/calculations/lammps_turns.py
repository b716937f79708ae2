"""What CalcJobs share whose task takes turns with LAMMPS in one job."""

from __future__ import annotations

from typing import Any

from aiida.common.datastructures import CalcInfo, CodeInfo, CodeRunMode
from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec, ExitCode
from aiida.orm import AbstractCode, Dict
from pydantic import ValidationError

from aiida_iontherm.calculations.base import SCHEDULER_SAYS, TaskCalculation, TaskParser, also_validate
from aiida_iontherm.tasks.contract import explain
from aiida_iontherm.tasks.lammps_files.section import BEFORE, LOG, SCREEN, SCRIPT, LammpsSection

LAMMPS_FILES = (SCRIPT, LOG, SCREEN)
"""Kept with the results."""


def validate_section(parameters: Dict, _port: Any = None) -> str | None:
    """Say what is wrong with the section `lammps` of the parameters."""
    try:
        LammpsSection.model_validate(parameters.get("lammps", {}))
    except ValidationError as error:
        return f"lammps: {explain(error, LammpsSection)}"
    return None


def _validate_inputs(value: Any, _context: Any) -> str | None:
    if "potential" not in value:
        return "LAMMPS moves atoms with a potential: give one"
    if {"code", "lammps"} <= set(value) and value["code"].computer.pk != value["lammps"].computer.pk:
        return (
            f"{value['lammps'].full_label} and {value['code'].full_label} are on different computers: both take turns "
            "in one job"
        )
    if "withmpi" in value["metadata"]["options"]:
        return "leave the option withmpi out: LAMMPS runs with MPI, the task beside it without"
    return None


class LammpsTurns(TaskCalculation):
    """Comes before the class of the task that moves the atoms itself, whose ports and outputs it has.

    The job runs the task, LAMMPS and the task again: to write the input, to move the atoms, to reduce what was written.
    """

    PROGRAM = "lammps"

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Declare the ports."""
        super().define(spec)
        spec.input("lammps", valid_type=AbstractCode, help="Code of lmp, on the computer of the tasks; run with MPI.")
        spec.inputs["parameters"].validator = validate_section
        # Declared anew, without the default of the tasks: whether MPI is wanted is said for each of the two codes.
        spec.input("metadata.options.withmpi", valid_type=bool, required=False, help="Not to be set here.")
        also_validate(spec, _validate_inputs)

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Let the task and LAMMPS take turns; a continued run sees the folder of the one before."""
        info = super().prepare_for_submission(folder)
        (task,) = info.codes_info
        info.codes_info = [task, self._lammps(), task]
        info.codes_run_mode = CodeRunMode.SERIAL
        if "restart_folder" in self.inputs:
            remote = self.inputs.restart_folder
            info.remote_symlink_list.append((remote.computer.uuid, remote.get_remote_path(), BEFORE))
        return info

    def write_inputs(self, folder: Folder) -> dict[str, Any]:
        """Write the cell and the potential; tell LAMMPS how many processes it is to have."""
        section = {**self.inputs.parameters.get("lammps", {}), "ranks": self._ranks()}
        return {**super().write_inputs(folder), "lammps": section}

    def _lammps(self) -> CodeInfo:
        code = self.inputs.lammps
        info = CodeInfo()
        info.code_uuid = code.uuid
        info.cmdline_params = LammpsSection.model_validate(self.inputs.parameters.get("lammps", {})).command_line()
        # A build without MPI says so on its code.
        info.withmpi = True if code.with_mpi is None else code.with_mpi
        info.stdout_name = SCREEN
        info.join_files = True
        return info

    def _ranks(self) -> int:
        if self.inputs.lammps.with_mpi is False:
            return 1
        computer = self.inputs.code.computer
        scheduler = computer.get_scheduler()
        resources = dict(self.inputs.metadata.options.resources)
        scheduler.preprocess_resources(resources, computer.get_default_mpiprocs_per_machine())
        return int(scheduler.create_job_resource(**resources).get_tot_num_mpiprocs())


class LammpsTurnsParser(TaskParser):
    """Comes before the parser of that task: what the scheduler did to LAMMPS counts before what the task says."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Read what the task wrote."""
        code = super().parse(**kwargs)
        # The task writes its output before LAMMPS begins, too: then it is interrupted whatever ended the job.
        says = self.node.exit_status
        if code is not None and code.status == self.exit_codes.ERROR_INTERRUPTED.status and says in SCHEDULER_SAYS:
            return ExitCode(says, self.node.exit_message)
        return code
