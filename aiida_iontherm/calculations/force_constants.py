"""CalcJob of the task ``force-constants``: effective force constants from MD snapshots."""

from __future__ import annotations

from typing import Any

from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec, ProcessSpec
from aiida.orm import StructureData

from aiida_iontherm.calculations.base import TaskCalculation, TaskParser, also_validate, write_file, write_structure
from aiida_iontherm.data import ConfigurationsData, ForceConstantsData, TrajectoryData


def define_snapshots(spec: ProcessSpec) -> None:
    """Declare a cell and its snapshots from one of two sources: ports that the job and its work chain share."""
    spec.input("structure", valid_type=StructureData, help="Unit cell of the supercells.")
    spec.input(
        "trajectory", valid_type=TrajectoryData, required=False, help="Snapshots of positions and forces from MD."
    )
    spec.input(
        "configurations",
        valid_type=ConfigurationsData,
        required=False,
        help="Labelled supercells, atoms in phonopy's order.",
    )
    also_validate(spec, _validate_source)


def _validate_source(value: Any, _port: Any) -> str | None:
    if ("trajectory" in value) == ("configurations" in value):
        return "give either `trajectory` or `configurations`"
    return None


class ForceConstantsCalculation(TaskCalculation):
    """Fit force constants of second order and, with as many cutoffs (Angstrom), of third and fourth order."""

    TASK = "force-constants"
    CACHE_VERSION = 2  # 2: snapshots after ions have come back count
    RETRIEVE = ("force_constants.npz",)

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Declare the ports."""
        super().define(spec)
        define_snapshots(spec)
        spec.inputs["metadata"]["options"]["parser_name"].default = "iontherm.force_constants"
        spec.output(
            "force_constants",
            valid_type=ForceConstantsData,
            help="In eV/Angstrom^2, eV/Angstrom^3 and eV/Angstrom^4, with replicas.",
        )

    def write_inputs(self, folder: Folder) -> dict[str, Any]:
        """Write the cell and the snapshots."""
        files = {"structure": write_structure(folder, self.inputs.structure)}
        if "trajectory" in self.inputs:
            return files | {"trajectory": write_file(folder, self.inputs.trajectory, "trajectory.npz")}
        return files | {"configurations": write_file(folder, self.inputs.configurations, "configurations.extxyz")}


class ForceConstantsParser(TaskParser):
    """The fitted force constants."""

    def parse_files(self, results: dict[str, Any]) -> None:
        """Read the force constants."""
        self.out("force_constants", self.file_node(ForceConstantsData, "force_constants.npz"))
