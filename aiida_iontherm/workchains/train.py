"""Work chain ``iontherm.train``: one generation of the potential."""

from __future__ import annotations

from aiida.engine import ExitCode, ProcessSpec, ToContext, if_, while_
from aiida.orm import Dict, load_code

from aiida_iontherm.calculations.train import TrainCalculation
from aiida_iontherm.data import ConfigurationsData, PotentialData
from aiida_iontherm.workchains.base import TaskWorkChain
from aiida_iontherm.workchains.mlip import (
    PROGRAM_KEYS,
    MlipTrainWorkChain,
    is_mlip,
    training_settings,
    validate_program,
)

NOT_CONVERGED = 710


class TrainWorkChain(TaskWorkChain):
    """Train a potential on a labelled set, or let MLIP train it and compare it with the set."""

    _process_class = TrainCalculation

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Declare the inputs."""
        super().define(spec)
        spec.input("configurations", valid_type=ConfigurationsData, help="Labelled configurations.")
        spec.input("start", valid_type=PotentialData, required=False, help="Previous generation.")
        spec.input(
            "settings",
            valid_type=Dict,
            validator=validate_program,
            help="Settings of the training, and a seed; with `program` mlip, `code` and `mlip` as in a protocol.",
        )
        spec.outline(
            cls.setup,
            if_(cls.has_another_trainer)(cls.train_by_mlip, cls.inspect_mlip),
            while_(cls.should_run_process)(cls.run_process, cls.inspect_process),
            cls.results,
        )

    def setup(self) -> None:
        """Hand the settings to the job."""
        super().setup()
        settings = self.inputs.settings.get_dict()
        self.start(
            {key: value for key, value in settings.items() if key not in PROGRAM_KEYS},
            configurations=self.inputs.configurations,
            start=self.inputs.get("start", None),
        )

    def has_another_trainer(self) -> bool:
        """Whether MLIP is to train."""
        return is_mlip(self.inputs.settings.get_dict())

    def train_by_mlip(self) -> ToContext:
        """Train by ``mlp train``."""
        settings = self.inputs.settings.get_dict()
        inputs = {"configurations": self.inputs.configurations, "parameters": Dict(training_settings(settings))}
        inputs |= {name: self.inputs[name] for name in ("start", "options") if name in self.inputs}
        return ToContext(
            mlip=self.submit(
                MlipTrainWorkChain,
                code=load_code(settings["code"]),
                metadata={"call_link_label": "mlip"},
                **inputs,
            )
        )

    def inspect_mlip(self) -> ExitCode | None:
        """Compare what MLIP has trained, a potential whose loss had not settled too: its record says so."""
        node = self.ctx.mlip
        if not node.is_finished_ok and node.exit_status != NOT_CONVERGED:
            message = node.exit_message or f"it ended as {node.process_state.value}"
            code = self.exit_codes.ERROR_INPUT if node.exit_status == 210 else self.exit_codes.ERROR_TASK_FAILED
            return code.format(message=f"training by MLIP <{node.pk}>: {message}")
        self.ctx.inputs |= {"trained": node.outputs.potential, "trained_by": node.outputs.output_parameters}
        self.ctx.inputs.pop("start", None)
        return None
