"""CalcJob of the task ``md``: molecular dynamics reduced on the fly."""

from __future__ import annotations

from typing import Any

from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec
from aiida.orm import StructureData

from aiida_iontherm.calculations.base import (
    TaskCalculation,
    TaskParser,
    also_validate,
    write_potential,
    write_structure,
)
from aiida_iontherm.data import ConfigurationsData, CurrentsData, PotentialData, TrajectoryData


def _validate_inputs(value: Any, _context: Any) -> str | None:
    graded = "parameters" in value and value["parameters"].get("grade_interval", 0)
    if graded and not ("potential" in value and value["potential"].has_active_set):
        return (
            "grades need a potential that carries its active set: train it in this version or set grade_interval to 0"
        )
    return None


class MdCalculation(TaskCalculation):
    """Equilibration and production of one supercell at one temperature (K), times in ps."""

    TASK = "md"
    RETRIEVE = ("trajectory.npz", "snapshots.extxyz", "candidates.extxyz", "currents.npz")

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Declare the ports."""
        super().define(spec)
        spec.input("structure", valid_type=StructureData, help="Unit cell; the supercell is built by the task.")
        spec.input(
            "potential",
            valid_type=PotentialData,
            required=False,
            help="Potential; without it the engine named in the parameters is used.",
        )
        spec.inputs["metadata"]["options"]["parser_name"].default = "iontherm.md"
        spec.output("trajectory", valid_type=TrajectoryData, help="Reduced observables and snapshots.")
        spec.output("snapshots", valid_type=ConfigurationsData, required=False, help="Snapshots as structures.")
        spec.output("currents", valid_type=CurrentsData, required=False, help="Heat and mass currents, if asked for.")
        spec.output(
            "candidates",
            valid_type=ConfigurationsData,
            required=False,
            help="Frames of a graded run that the potential does not know well, with their grades.",
        )
        also_validate(spec, _validate_inputs)

    def write_inputs(self, folder: Folder) -> dict[str, Any]:
        """Write the cell and the potential."""
        keys: dict[str, Any] = {"structure": write_structure(folder, self.inputs.structure)}
        if "potential" in self.inputs:
            graded = bool(self.inputs.parameters.get("grade_interval", 0))
            keys |= write_potential(folder, self.inputs.potential, with_active_set=graded)
        return keys


class MdParser(TaskParser):
    """The reduced trajectory."""

    def parse_files(self, results: dict[str, Any]) -> None:
        """Read observables, snapshots and candidates."""
        self.out("trajectory", self.file_node(TrajectoryData, "trajectory.npz"))
        if results["snapshots"]:
            self.out("snapshots", self.file_node(ConfigurationsData, "snapshots.extxyz"))
        if "currents.npz" in self.retrieved.base.repository.list_object_names():
            self.out("currents", self.file_node(CurrentsData, "currents.npz"))
        if results.get("candidates"):
            self.out("candidates", self.file_node(ConfigurationsData, "candidates.extxyz"))
