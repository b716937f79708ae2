"""Work chain ``iontherm.select``: which candidates of exploration runs to label."""

from __future__ import annotations

from aiida.engine import ExitCode, ProcessSpec, ToContext, if_, while_
from aiida.orm import Dict, load_code

from aiida_iontherm.calculations.select import SelectCalculation
from aiida_iontherm.data import ConfigurationsData
from aiida_iontherm.workchains.base import TaskWorkChain
from aiida_iontherm.workchains.mlip import PROGRAM_KEYS, MlipSelectWorkChain, is_mlip, validate_program


class SelectWorkChain(TaskWorkChain):
    """Choose, among the candidates of all exploration runs, those that make the others known, or let MLIP choose."""

    _process_class = SelectCalculation

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Declare the inputs."""
        super().define(spec)
        spec.expose_inputs(SelectCalculation, include=["potential", "candidates"])
        spec.input(
            "configurations",
            valid_type=ConfigurationsData,
            required=False,
            help="What the potential was trained on; MLIP selects against it.",
        )
        spec.input(
            "settings",
            valid_type=Dict,
            validator=validate_program,
            help="Settings of the task `select`: grade_select, max_selected; with `program` mlip, `code` and `mlip` as "
            "in a protocol.",
        )
        spec.outline(
            cls.setup,
            if_(cls.has_another_selector)(cls.select_by_mlip, cls.inspect_mlip),
            while_(cls.should_run_process)(cls.run_process, cls.inspect_process),
            cls.results,
        )

    def setup(self) -> None:
        """Hand the settings to the job."""
        super().setup()
        settings = self.inputs.settings.get_dict()
        self.start(
            {key: value for key, value in settings.items() if key not in PROGRAM_KEYS},
            potential=self.inputs.potential,
            candidates=self.inputs.candidates,
        )

    def has_another_selector(self) -> bool:
        """Whether MLIP is to select."""
        return is_mlip(self.inputs.settings.get_dict())

    def select_by_mlip(self) -> ToContext | ExitCode:
        """Select by ``mlp select-add``."""
        settings = self.inputs.settings.get_dict()
        if "configurations" not in self.inputs:
            message = "MLIP selects against the training set: give it as `configurations`"
            return self.exit_codes.ERROR_INPUT.format(message=message)
        options = {"options": self.inputs.options} if "options" in self.inputs else {}
        return ToContext(
            mlip=self.submit(
                MlipSelectWorkChain,
                code=load_code(settings["code"]),
                potential=self.inputs.potential,
                configurations=self.inputs.configurations,
                candidates=self.inputs.candidates,
                parameters=Dict(settings.get("mlip") or {}),
                metadata={"call_link_label": "mlip"},
                **options,
            )
        )

    def inspect_mlip(self) -> ExitCode | None:
        """Grade what MLIP has chosen."""
        node = self.ctx.mlip
        if not node.is_finished_ok:
            message = node.exit_message or f"it ended as {node.process_state.value}"
            code = self.exit_codes.ERROR_INPUT if node.exit_status == 210 else self.exit_codes.ERROR_TASK_FAILED
            return code.format(message=f"selection by MLIP <{node.pk}>: {message}")
        self.ctx.inputs |= {"chosen": node.outputs.output_parameters}
        return None
