"""Work chain ``iontherm.select``: which candidates of exploration runs to label."""

from __future__ import annotations

from aiida.engine import ProcessSpec
from aiida.orm import Dict

from aiida_iontherm.calculations.select import SelectCalculation
from aiida_iontherm.workchains.base import TaskWorkChain


class SelectWorkChain(TaskWorkChain):
    """Choose, among the candidates of all exploration runs, those that make the others known."""

    _process_class = SelectCalculation

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Declare the inputs."""
        super().define(spec)
        spec.expose_inputs(SelectCalculation, include=["potential", "candidates"])
        spec.input("settings", valid_type=Dict, help="Settings of the task `select`: grade_select, max_selected.")

    def setup(self) -> None:
        """Hand the settings to the job."""
        super().setup()
        self.start(self.inputs.settings.get_dict(), potential=self.inputs.potential, candidates=self.inputs.candidates)
