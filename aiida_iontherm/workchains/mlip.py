"""Work chains ``iontherm.mlip_train`` and ``iontherm.mlip_select``: one command of ``mlp`` until it finishes.

`iontherm.train` and `iontherm.select` run them where the settings of a potential say ``program: mlip``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from aiida.common.exceptions import MultipleObjectsError, NotExistent
from aiida.engine import BaseRestartWorkChain, ExitCode, ProcessHandlerReport, ProcessSpec, process_handler, while_
from aiida.orm import Dict, Int, ProcessNode, load_code

from aiida_iontherm.calculations.mlip import (
    MlipCalculation,
    MlipSelectCalculation,
    MlipTrainCalculation,
    file_of,
    initial_of,
    known_of,
    parts_of,
)
from aiida_iontherm.calculations.resources import options_for
from aiida_iontherm.tasks.mlip_files import MlipSettings, MlipTraining
from aiida_iontherm.workchains.base import define_code

PROGRAM = "mlip"
"""Its name where resources are said per task or program."""

NATIVE = "native"
"""Name of our own trainer."""

PROGRAM_KEYS = ("program", "code", "mlip")
"""Keys of the section ``potential`` that say who trains and selects."""

NATIVE_KEYS = ("patience", "n_starts")
"""Settings of our own training for which MLIP has nothing. `max_iterations` and `tolerance` stand in every protocol and
have counterparts of other meaning in the section `mlip`."""

ONE_RANK = {"num_machines": 1, "num_mpiprocs_per_machine": 1}


def is_mlip(settings: Mapping[str, Any]) -> bool:
    """Whether MLIP is to train and select."""
    return settings.get("program") == PROGRAM


def program_problem(settings: Mapping[str, Any]) -> str | None:
    """Say why the program that the section ``potential`` wants cannot train and select; needs a loaded profile."""
    program, label = settings.get("program") or NATIVE, settings.get("code")
    if program not in (NATIVE, PROGRAM):
        return f"there is no program {program} for the potential: take {NATIVE} or {PROGRAM}"
    if program == NATIVE:
        return f"potential.code: {label} is for `program: {PROGRAM}`, leave it out" if label else None
    if not label:
        return f"the program {PROGRAM} is one of its own: name its code, potential.code: LABEL@COMPUTER"
    unknown = [key for key in NATIVE_KEYS if settings.get(key) is not None]
    if unknown:
        return f"potential.{unknown[0]} is of our own training and unknown to MLIP: leave it out, or see potential.mlip"
    try:
        if "level" in settings:
            MlipTraining.of(training_settings(settings))
        else:
            MlipSettings.of(settings.get("mlip") or {})
    except ValueError as error:
        return f"potential, for MLIP: {error}"
    return _code_problem(label)


def validate_program(node: Dict, _port: Any = None) -> str | None:
    """Validate the settings of a chain that trains or selects, see `program_problem`."""
    return program_problem(node.get_dict())


def _code_problem(label: str) -> str | None:
    try:
        code = load_code(label)
    except (NotExistent, MultipleObjectsError):
        return (
            f"potential.code: there is no code {label} in this profile: `verdi code create core.code.installed` makes "
            "one, `verdi code list` shows those that are there"
        )
    plugin = code.default_calc_job_plugin
    if plugin is not None and not plugin.startswith("iontherm.mlip_"):
        return f"potential.code: {label} is a code for {plugin}, MLIP needs one for iontherm.mlip_train"
    computer = code.computer
    if computer is not None and not computer.is_configured:
        return (
            f"potential.code: the computer {computer.label} of {label} is not configured: `verdi computer configure "
            f"{computer.transport_type} {computer.label}`"
        )
    return None


class MlipWorkChain(BaseRestartWorkChain):
    """Run a command of ``mlp`` until it finishes."""

    _process_class: ClassVar[type[MlipCalculation]]

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Declare ports, outline and exit codes."""
        super().define(spec)
        define_code(spec)
        spec.inputs["code"].help = "Code of the executable mlp."
        spec.expose_inputs(cls._process_class, exclude=("code", "metadata"))
        spec.expose_outputs(cls._process_class)
        spec.outline(
            cls.setup,
            cls.check,
            while_(cls.should_run_process)(cls.run_process, cls.inspect_process),
            cls.results,
        )
        spec.exit_code(210, "ERROR_INPUT", message="{message}")
        spec.exit_code(410, "ERROR_TASK_FAILED", message="{message}")

    def setup(self) -> None:
        """Fill the inputs of the first job."""
        super().setup()
        options = options_for(self.inputs.options.get_dict(), PROGRAM, ranks=True) if "options" in self.inputs else {}
        self.ctx.inputs = {
            **self.exposed_inputs(self._process_class),
            "code": self.inputs.code,
            "metadata": {"options": options},
        }

    def check(self) -> ExitCode | None:
        """Look for what would be wrong in any job."""
        return None

    @process_handler(priority=590)
    def handle_lost(self, node: ProcessNode) -> ProcessHandlerReport | None:
        """Run a job once more that left no output (300; killed by the system, node failure)."""
        if node.exit_status != 300 or self.ctx.iteration > 1:
            return None
        self.report(f"{node.process_label}<{node.pk}> left no output, trying once more")
        return ProcessHandlerReport(do_break=True)

    @process_handler(priority=400)
    def handle_failure(self, node: ProcessNode) -> ProcessHandlerReport | None:
        """Hand the message up: lost twice, memory, wall time, an error, a damaged file, results of other inputs."""
        return self.give_up(node) if node.exit_status in (300, 312, 314, 330, 340, 341) else None

    def give_up(self, node: ProcessNode) -> ProcessHandlerReport:
        """End with the message of a job."""
        code: Any = self.exit_codes.ERROR_TASK_FAILED.format(message=node.exit_message)
        return ProcessHandlerReport(do_break=True, exit_code=code)


class MlipTrainWorkChain(MlipWorkChain):
    """Train by ``mlp train``; where the wall time runs out, go on from the potential of the last iteration."""

    _process_class = MlipTrainCalculation

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Declare what a training has besides."""
        super().define(spec)
        # A long training under a short wall time is continued; each time the loss has gone down.
        spec.inputs["max_iterations"].default = lambda: Int(20)
        spec.exit_code(710, "WARNING_TRAINING_NOT_CONVERGED", message="{message}")

    def check(self) -> ExitCode | None:
        """Look at the labels, the basis and the potential to start from."""
        try:
            initial_of(self.inputs, parts_of(self.inputs))
        except ValueError as error:
            return self.exit_codes.ERROR_INPUT.format(message=str(error))
        return None

    @process_handler(priority=570)
    def handle_walltime(self, node: ProcessNode) -> ProcessHandlerReport | None:
        """Go on from the potential of the last iteration after the wall time (314), if the program kept one."""
        if node.exit_status != 314 or "potential" not in node.outputs:
            return None
        self.report(f"{node.process_label}<{node.pk}> ran out of wall time: going on from its last potential")
        self.ctx.inputs["start"] = node.outputs.potential
        return ProcessHandlerReport(do_break=True)

    @process_handler(priority=500)
    def handle_not_converged(self, node: ProcessNode) -> ProcessHandlerReport | None:
        """Keep a potential whose loss had not settled, and warn (710): its errors are told by the task `train`."""
        if node.exit_status != 710:
            return None
        self.ctx.is_finished = True
        self.results()
        return ProcessHandlerReport(
            do_break=True, exit_code=self.exit_codes.WARNING_TRAINING_NOT_CONVERGED.format(message=node.exit_message)
        )


class MlipSelectWorkChain(MlipWorkChain):
    """Select by ``mlp select-add``, on one rank."""

    _process_class = MlipSelectCalculation

    def setup(self) -> None:
        """Leave the number of ranks of trainings aside: each would write a selection of its own."""
        super().setup()
        options = self.ctx.inputs["metadata"]["options"]
        self.ctx.inputs["metadata"] = {"options": options | {"resources": ONE_RANK}}

    def check(self) -> ExitCode | None:
        """Look at the labels, for species that the potential lacks, and for the state that MLIP-3 selects with."""
        potential = self.inputs.potential
        sets = [self.inputs.configurations, *self.inputs.candidates.values()]
        generation = MlipSettings.of(self.inputs.parameters.get_dict()).generation
        try:
            content = potential.potential()
            content.check_species(sorted({s for node in sets for atoms in node.frames() for s in atoms.symbols}))
            known_of(self.inputs)
            state = file_of(potential, generation).selection_state
        except ValueError as error:
            return self.exit_codes.ERROR_INPUT.format(message=str(error))
        if generation == 3 and not state:
            message = (
                "the potential has no selection state, with which MLIP-3 selects: train it by MLIP-3 with "
                "potential.mlip.options.train al_mode: nbh or cfg"
            )
            return self.exit_codes.ERROR_INPUT.format(message=message)
        return None


def training_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of `iontherm.mlip_train` from the section ``potential`` with a seed."""
    return {key: settings[key] for key in MlipTraining.model_fields if settings.get(key) is not None}
