"""CalcJob of the task ``lattice-conductivity``: phonons and linewidths on a mesh."""

from __future__ import annotations

from typing import Any

from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec
from aiida.orm import SinglefileData

from aiida_iontherm.calculations.base import TaskCalculation, TaskParser, write_file
from aiida_iontherm.data import ForceConstantsData, PhononsData


class LatticeConductivityCalculation(TaskCalculation):
    """Phonons (THz), velocity products (m^2/s^2) and half widths (THz) at the given temperatures (K)."""

    TASK = "lattice-conductivity"
    RETRIEVE = ("phonons.npz",)

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Declare the ports."""
        super().define(spec)
        spec.input(
            "force_constants",
            valid_type=ForceConstantsData,
            help="Second order, and third unless linewidths are given.",
        )
        spec.input(
            "linewidths",
            valid_type=SinglefileData,
            required=False,
            help="Table of linewidths: .npz with gamma_thz [T, k, s], qpoints [k, 3], temperatures [T] and mesh [3].",
        )
        spec.inputs["metadata"]["options"]["parser_name"].default = "iontherm.lattice_conductivity"
        spec.output("phonons", valid_type=PhononsData, help="All that the two-channel sum needs.")

    def write_inputs(self, folder: Folder) -> dict[str, Any]:
        """Write the force constants and, where it is given, the table of linewidths."""
        if "linewidths" in self.inputs:
            write_file(folder, self.inputs.linewidths, "linewidths.npz")
        return {"force_constants": write_file(folder, self.inputs.force_constants, "force_constants.npz")}


class LatticeConductivityParser(TaskParser):
    """Phonons on the mesh."""

    def parse_files(self, results: dict[str, Any]) -> None:
        """Read the phonons."""
        self.out("phonons", self.file_node(PhononsData, "phonons.npz"))
