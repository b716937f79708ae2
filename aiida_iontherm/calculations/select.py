"""CalcJob of the task ``select``: which candidates of exploration runs to label."""

from __future__ import annotations

from typing import Any

from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec
from aiida.orm import Dict

from aiida_iontherm.calculations.base import TaskCalculation, TaskParser, write_file, write_potential
from aiida_iontherm.data import ConfigurationsData, PotentialData


def _validate_potential(node: PotentialData, _port: Any) -> str | None:
    if not node.has_active_set:
        return "the potential carries no active set to grade candidates against: train it in this version"
    return None


class SelectCalculation(TaskCalculation):
    """Choose, among candidates of one or more runs, those that make the others known."""

    TASK = "select"
    RETRIEVE = ("selected.extxyz",)

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Declare the ports."""
        super().define(spec)
        spec.input(
            "potential",
            valid_type=PotentialData,
            validator=_validate_potential,
            help="Potential with its active set.",
        )
        spec.input_namespace(
            "candidates", valid_type=ConfigurationsData, dynamic=True, help="Candidates of each run, by its name."
        )
        spec.input(
            "chosen",
            valid_type=Dict,
            required=False,
            help="Figures of another program with the candidates it has `chosen`, by run: graded, no others taken.",
        )
        spec.inputs["metadata"]["options"]["parser_name"].default = "iontherm.select"
        spec.output(
            "configurations", valid_type=ConfigurationsData, required=False, help="Those to label, if there are any."
        )

    def write_inputs(self, folder: Folder) -> dict[str, Any]:
        """Write the candidates, the potential and its active set."""
        names = {
            name: write_file(folder, node, f"candidates_{name}.extxyz") for name, node in self.inputs.candidates.items()
        }
        keys = {"candidates": names, **write_potential(folder, self.inputs.potential, with_active_set=True)}
        if "chosen" in self.inputs:
            keys["chosen"] = self.inputs.chosen["chosen"]
        return keys


class SelectParser(TaskParser):
    """The candidates to label."""

    def parse_files(self, results: dict[str, Any]) -> None:
        """Read the selected configurations."""
        if results["selected"]:
            self.out("configurations", self.file_node(ConfigurationsData, "selected.extxyz"))
