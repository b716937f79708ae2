"""CalcJob of the task ``train``: a moment tensor potential from labelled configurations."""

from __future__ import annotations

from typing import Any

from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec

from aiida_iontherm.calculations.base import TaskCalculation, TaskParser, write_file
from aiida_iontherm.data import ConfigurationsData, ParityData, PotentialData


class TrainCalculation(TaskCalculation):
    """Train a potential, from scratch or from the previous generation."""

    TASK = "train"
    RETRIEVE = ("potential.mtp", "parity.npz")

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Declare the ports."""
        super().define(spec)
        spec.input(
            "configurations",
            valid_type=ConfigurationsData,
            help="Labelled with energies (eV), forces (eV/Angstrom) and, where there are any, stresses.",
        )
        spec.input("start", valid_type=PotentialData, required=False, help="Potential to start from.")
        spec.inputs["metadata"]["options"]["parser_name"].default = "iontherm.train"
        spec.output("potential", valid_type=PotentialData, help="Trained potential.")
        spec.output("parity", valid_type=ParityData, help="Reference against predicted energies and forces.")

    def write_inputs(self, folder: Folder) -> dict[str, Any]:
        """Write the training set and the starting potential."""
        keys: dict[str, Any] = {"configurations": write_file(folder, self.inputs.configurations, "labelled.extxyz")}
        if "start" in self.inputs:
            keys["start"] = write_file(folder, self.inputs.start, "start.mtp")
            keys["start_species"] = self.inputs.start.species
        return keys


class TrainParser(TaskParser):
    """The potential and how well it fits."""

    def parse_files(self, results: dict[str, Any]) -> None:
        """Read potential and parity data."""
        self.out("potential", self.file_node(PotentialData, "potential.mtp", species=results["species"]))
        self.out("parity", self.file_node(ParityData, "parity.npz"))
