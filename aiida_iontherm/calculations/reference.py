"""CalcJob of the task ``reference``: relax, sample or label with an embedded engine."""

from __future__ import annotations

from typing import Any

from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec
from aiida.orm import StructureData

from aiida_iontherm.calculations.base import TaskCalculation, TaskParser, also_validate, write_file, write_structure
from aiida_iontherm.data import ConfigurationsData


def _validate_inputs(value: Any, _context: Any) -> str | None:
    if ("structure" in value) == ("configurations" in value):
        return "give either `structure` (to relax or sample) or `configurations` (to label)"
    return None


class ReferenceCalculation(TaskCalculation):
    """Reference energies, forces and stresses from an embedded engine, all of them in one job."""

    TASK = "reference"
    RETRIEVE = ("labelled.extxyz",)

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Declare the ports."""
        super().define(spec)
        spec.input("structure", valid_type=StructureData, required=False, help="Cell to relax or to sample.")
        spec.input("configurations", valid_type=ConfigurationsData, required=False, help="Configurations to label.")
        spec.inputs["metadata"]["options"]["parser_name"].default = "iontherm.reference"
        also_validate(spec, _validate_inputs)
        spec.output(
            "configurations",
            valid_type=ConfigurationsData,
            help="Labelled configurations: energy in eV, forces in eV/Angstrom, stress in eV/Angstrom^3.",
        )
        spec.output("structure", valid_type=StructureData, required=False, help="Relaxed cell.")

    def write_inputs(self, folder: Folder) -> dict[str, Any]:
        """Write the structures."""
        if "structure" in self.inputs:
            return {"structures": write_structure(folder, self.inputs.structure)}
        return {"structures": write_file(folder, self.inputs.configurations, "structures.extxyz")}


class ReferenceParser(TaskParser):
    """Labelled configurations and, after a relaxation, the relaxed cell."""

    def parse_files(self, results: dict[str, Any]) -> None:
        """Read the labelled configurations."""
        configurations = self.file_node(ConfigurationsData, "labelled.extxyz")
        self.out("configurations", configurations)
        if self.node.inputs.parameters["mode"] == "relax":
            self.out("structure", StructureData(ase=configurations.frames()[0]))
