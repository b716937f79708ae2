"""CalcJob of the task ``force-constants``: effective force constants from MD snapshots."""

from __future__ import annotations

from typing import Any

from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec
from aiida.orm import StructureData

from aiida_iontherm.calculations.base import TaskCalculation, TaskParser, write_file, write_structure
from aiida_iontherm.data import ForceConstantsData, TrajectoryData


class ForceConstantsCalculation(TaskCalculation):
    """Fit second- and third-order force constants; cutoffs in Angstrom."""

    TASK = "force-constants"
    RETRIEVE = ("force_constants.npz",)

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Declare the ports."""
        super().define(spec)
        spec.input("structure", valid_type=StructureData, help="Unit cell the MD was started from.")
        spec.input("trajectory", valid_type=TrajectoryData, help="Snapshots of positions and forces.")
        spec.inputs["metadata"]["options"]["parser_name"].default = "iontherm.force_constants"
        spec.output(
            "force_constants", valid_type=ForceConstantsData, help="In eV/Angstrom^2 and eV/Angstrom^3, with replicas."
        )

    def write_inputs(self, folder: Folder) -> dict[str, Any]:
        """Write the cell and the snapshots."""
        return {
            "structure": write_structure(folder, self.inputs.structure),
            "trajectory": write_file(folder, self.inputs.trajectory, "trajectory.npz"),
        }


class ForceConstantsParser(TaskParser):
    """The fitted force constants."""

    def parse_files(self, results: dict[str, Any]) -> None:
        """Read the force constants."""
        self.out("force_constants", self.file_node(ForceConstantsData, "force_constants.npz"))
