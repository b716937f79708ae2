"""CalcJob of the task ``barrier``: migration barriers by elastic bands, or the well of one ion by a scan."""

from __future__ import annotations

from typing import Any

from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec
from aiida.orm import ArrayData, StructureData

from aiida_iontherm.calculations.base import (
    TaskCalculation,
    TaskParser,
    also_validate,
    write_file,
    write_potential,
    write_structure,
)
from aiida_iontherm.data import ConfigurationsData, PotentialData, ResultData
from aiida_iontherm.physics.quantity import Quantity


def _validate_inputs(value: Any, _context: Any) -> str | None:
    if "parameters" not in value:
        return None
    if ("potential" in value) == bool(value["parameters"].get("engine")):
        return "give either a `potential` or the name of an `engine` in the parameters"
    return None


class BarrierCalculation(TaskCalculation):
    """Barriers (eV) of the hops of one ion in a crystal, lengths in Angstrom."""

    TASK = "barrier"
    RETRIEVE = ("barriers.npz", "paths.extxyz")

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
        spec.input(
            "path",
            valid_type=ConfigurationsData,
            required=False,
            help="Given path in the supercell: its two ends, or more frames to begin with.",
        )
        spec.inputs["metadata"]["options"]["parser_name"].default = "iontherm.barrier"
        spec.output("result", valid_type=ResultData, help="Barriers in eV, or figures of the well, with verdicts.")
        spec.output("profiles", valid_type=ArrayData, help="Energies, slopes, forces and positions along each path.")
        spec.output(
            "paths",
            valid_type=ConfigurationsData,
            required=False,
            help="All images of all paths; a scan along directions has none.",
        )
        also_validate(spec, _validate_inputs)

    def write_inputs(self, folder: Folder) -> dict[str, Any]:
        """Write the cell, the potential and the given path."""
        keys: dict[str, Any] = {"structure": write_structure(folder, self.inputs.structure)}
        if "potential" in self.inputs:
            keys |= write_potential(folder, self.inputs.potential)
        if "path" in self.inputs:
            keys["path"] = write_file(folder, self.inputs.path, "path.extxyz")
        return keys


class BarrierParser(TaskParser):
    """Barriers, profiles and images."""

    def parse_files(self, results: dict[str, Any]) -> None:
        """Read the records, the profiles and the images."""
        self.out("result", ResultData([Quantity.from_dict(record) for record in results.pop("quantities")]))
        self.out("profiles", self.array_node("barriers.npz"))
        if "barriers" in results:
            self.out("paths", self.file_node(ConfigurationsData, "paths.extxyz"))
