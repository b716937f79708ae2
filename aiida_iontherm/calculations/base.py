"""What all task CalcJobs and their parsers share: the contract of `tasks.contract`, seen from AiiDA."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.common.exceptions import ValidationError
from aiida.common.folders import Folder
from aiida.engine import CalcJob, CalcJobProcessSpec, ExitCode, ProcessSpec
from aiida.orm import ArrayData, Dict, RemoteData, SinglefileData, StructureData
from aiida.parsers import Parser

from aiida_iontherm.data import ConfigurationsData, PotentialData
from aiida_iontherm.data.potential import ACTIVE_SET

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Small matrices and two jobs at a time: more threads only wait for each other."""


class TaskCalculation(CalcJob):
    """One run of ``iontherm-task NAME``. Subclasses name the task, its input files and its outputs.

    Resources of a task are said under its name; where it is for a program that runs with MPI, under `PROGRAM`.
    """

    TASK: ClassVar[str]
    PROGRAM: ClassVar[str | None] = None
    RETRIEVE: ClassVar[tuple[str, ...]] = ()
    CACHE_VERSION = 1

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Declare what every task takes and gives."""
        super().define(spec)
        spec.input("parameters", valid_type=Dict, help="Settings of the task, as in its input.json.")
        spec.input(
            "restart_folder",
            valid_type=RemoteData,
            required=False,
            help="Folder of an interrupted run with the same inputs, to go on from its checkpoint.",
        )
        spec.inputs["metadata"]["options"]["resources"].default = lambda: {
            "num_machines": 1,
            "num_mpiprocs_per_machine": 1,
        }
        spec.inputs["metadata"]["options"]["withmpi"].default = False
        spec.inputs["metadata"]["options"]["environment_variables"].default = lambda: dict(ONE_THREAD)
        spec.output("output_parameters", valid_type=Dict, help="Figures the task reports, with units in their names.")
        spec.default_output_node = "output_parameters"
        spec.exit_code(210, "ERROR_INPUT", message="The task rejected its input: {message}")
        spec.exit_code(
            300,
            "ERROR_NO_OUTPUT",
            invalidates_cache=True,
            message="There is no output.json: the job was killed or its folder is gone. Run it again.",
        )
        spec.exit_code(
            310,
            "ERROR_INTERRUPTED",
            invalidates_cache=True,
            message="The job ran out of time or was asked to stop; its checkpoint is in the remote folder.",
        )
        spec.exit_code(320, "ERROR_DISK_FULL", invalidates_cache=True, message="{message}")
        spec.exit_code(330, "ERROR_CRASHED", invalidates_cache=True, message="The task crashed: {message}")
        spec.exit_code(340, "ERROR_OUTPUT_FILE", invalidates_cache=True, message="An output is unusable: {message}")
        spec.exit_code(500, "ERROR_PHYSICS", message="{message}")
        spec.exit_code(510, "ERROR_UNSTABLE", message="{message}")

    def write_inputs(self, folder: Folder) -> dict[str, Any]:
        """Write the data files of the task and return the keys of input.json that name them."""
        raise NotImplementedError

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write input.json and the files it names."""
        settings = self.inputs.parameters.get_dict() | self.write_inputs(folder)
        seconds = self.inputs.metadata.options.get("max_wallclock_seconds", None)
        if seconds:
            # The scheduler kills at the limit: leave time to write the checkpoint.
            settings["max_seconds"] = max(0.5 * seconds, 0.97 * seconds - 30)
        with folder.open("input.json", "w") as stream:
            json.dump(settings, stream, indent=1, sort_keys=True)
        code = CodeInfo()
        code.code_uuid = self.inputs.code.uuid
        code.cmdline_params = [self.TASK]
        code.withmpi = self.inputs.metadata.options.get("withmpi", False)
        info = CalcInfo()
        info.codes_info = [code]
        info.retrieve_list = ["output.json", "progress.jsonl", *self.RETRIEVE]
        if "restart_folder" in self.inputs:
            remote = self.inputs.restart_folder
            info.remote_symlink_list = [
                (remote.computer.uuid, f"{remote.get_remote_path()}/checkpoint.npz", "checkpoint.npz")
            ]
        return info


def write_structure(folder: Folder, structure: StructureData, filename: str = "structure.extxyz") -> str:
    """Write one structure and return the name of its file."""
    data = ConfigurationsData.from_frames([structure.get_ase()])
    return write_file(folder, data, filename)


def also_validate(spec: ProcessSpec, validate: Callable[[Any, Any], str | None]) -> None:
    """Check all inputs together by a function, beside what the parent class of a process checks already."""
    inherited = spec.inputs.validator

    def both(value: Any, port: Any) -> str | None:
        return validate(value, port) or (inherited(value, port) if inherited is not None else None)

    spec.inputs.validator = both


def write_file(folder: Folder, node: SinglefileData, filename: str) -> str:
    """Copy the file of a node into the working folder and return its name."""
    with node.open(mode="rb") as source, folder.open(filename, "wb") as target:
        target.write(source.read())
    return filename


def write_potential(folder: Folder, potential: PotentialData, *, with_active_set: bool = False) -> dict[str, Any]:
    """Write a potential and, where grades are wanted, its active set; return the keys of input.json that name them."""
    keys = {"potential": write_file(folder, potential, "potential.mtp"), "species": potential.species}
    if with_active_set:
        with potential.base.repository.open(ACTIVE_SET, mode="rb") as source, folder.open(ACTIVE_SET, "wb") as target:
            target.write(source.read())
        keys["active_set"] = ACTIVE_SET
    return keys


SCHEDULER_SAYS = (110, 120, 140)
"""Exit codes of AiiDA for what a scheduler tells: out of memory, out of wall time, node failed."""


class TaskParser(Parser):
    """Turns output.json into a node or an exit code; subclasses add the files."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Read what the task wrote."""
        exit_codes = self.exit_codes
        try:
            output = json.loads(self.retrieved.base.repository.get_object_content("output.json"))
            status = output["status"]
        except (OSError, ValueError, KeyError, TypeError):
            # What the scheduler says of a job it has killed (memory, wall time, node) tells more.
            if self.node.exit_status in SCHEDULER_SAYS:
                return ExitCode(self.node.exit_status, self.node.exit_message)
            return exit_codes.ERROR_NO_OUTPUT
        message = output.get("message", "")
        code = {
            "bad input": exit_codes.ERROR_INPUT,
            "interrupted": exit_codes.ERROR_INTERRUPTED,
            "disk full": exit_codes.ERROR_DISK_FULL,
            "crashed": exit_codes.ERROR_CRASHED,
            "physics failed": exit_codes.ERROR_PHYSICS,
        }.get(status)
        if output.get("unstable"):
            code = exit_codes.ERROR_UNSTABLE
        if code is not None:
            return code.format(message=message)
        cost = {"wall_seconds": output["seconds"], "peak_memory_mb": output["peak_memory_mb"]}
        try:
            self.parse_files(output["results"])
        except (OSError, ValueError, KeyError, ValidationError) as error:
            return exit_codes.ERROR_OUTPUT_FILE.format(message=str(error))
        self.out("output_parameters", Dict(output["results"] | cost | {"task_version": output["version"]}))
        return None

    def parse_files(self, results: dict[str, Any]) -> None:
        """Turn retrieved files into output nodes; ``OSError``, ``ValueError`` and the like mark them as unusable."""
        raise NotImplementedError

    def file_node(self, node_class: type[SinglefileData], filename: str, **kwargs: Any) -> SinglefileData:
        """Make a node of one retrieved file."""
        with self.retrieved.base.repository.open(filename, "rb") as stream:
            node = node_class(stream, filename=filename, **kwargs)
        node._validate()  # a broken file is this job's failure, not an exception when the node is stored
        return node

    def array_node(self, filename: str) -> ArrayData:
        """Make a node of the arrays in one retrieved .npz file."""
        node = ArrayData()
        with (
            self.retrieved.base.repository.open(filename, "rb") as stream,
            np.load(stream, allow_pickle=False) as archive,
        ):
            for name in archive.files:
                node.set_array(name, archive[name])
        return node
