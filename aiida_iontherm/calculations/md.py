"""CalcJob of the task ``md``: molecular dynamics reduced on the fly."""

from __future__ import annotations

from typing import Any

from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec
from aiida.orm import StructureData

from aiida_iontherm.calculations.base import TaskCalculation, TaskParser, write_potential, write_structure
from aiida_iontherm.data import ConfigurationsData, PotentialData, TrajectoryData


class MdCalculation(TaskCalculation):
    """Equilibration and production of one supercell at one temperature (K), times in ps."""

    TASK = "md"
    RETRIEVE = ("trajectory.npz", "snapshots.extxyz")

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

    def write_inputs(self, folder: Folder) -> dict[str, Any]:
        """Write the cell and the potential."""
        keys: dict[str, Any] = {"structure": write_structure(folder, self.inputs.structure)}
        if "potential" in self.inputs:
            keys |= write_potential(folder, self.inputs.potential)
        return keys


class MdParser(TaskParser):
    """The reduced trajectory."""

    def parse_files(self, results: dict[str, Any]) -> None:
        """Read observables and snapshots."""
        self.out("trajectory", self.file_node(TrajectoryData, "trajectory.npz"))
        if results["snapshots"]:
            self.out("snapshots", self.file_node(ConfigurationsData, "snapshots.extxyz"))
