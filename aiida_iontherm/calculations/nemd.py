"""CalcJob of the task ``nemd``: conductivity of a cell of one length by heat exchange; the extrapolation of several."""

from __future__ import annotations

from typing import Any

from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec, calcfunction
from aiida.orm import ArrayData, Dict, StructureData

from aiida_iontherm.calculations.base import TaskCalculation, TaskParser, write_potential, write_structure
from aiida_iontherm.data import PotentialData, ResultData
from aiida_iontherm.physics.heat import extrapolate_length, extrapolation_quantities
from aiida_iontherm.physics.quantity import Quantity


class NemdCalculation(TaskCalculation):
    """Heat exchange in a supercell of one length at one temperature (K), times in ps."""

    TASK = "nemd"
    RETRIEVE = ("profile.npz",)

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Declare the ports."""
        super().define(spec)
        spec.input("structure", valid_type=StructureData, help="Unit cell; the supercell is built by the task.")
        spec.input("potential", valid_type=PotentialData, help="Potential to move the atoms with.")
        spec.inputs["metadata"]["options"]["parser_name"].default = "iontherm.nemd"
        spec.output("result", valid_type=ResultData, help="kappa of this length in W/(m K) with its verdict.")
        spec.output(
            "profile", valid_type=ArrayData, help="Numbers of atoms, kinetic energies and currents of the slabs."
        )

    def write_inputs(self, folder: Folder) -> dict[str, Any]:
        """Write the cell and the potential."""
        structure = write_structure(folder, self.inputs.structure)
        return {"structure": structure, **write_potential(folder, self.inputs.potential)}


class NemdParser(TaskParser):
    """Conductivity and profile."""

    def parse_files(self, results: dict[str, Any]) -> None:
        """Read the record and the profile."""
        self.out("result", ResultData([Quantity.from_dict(record) for record in results.pop("quantities")]))
        self.out("profile", self.array_node("profile.npz"))


@calcfunction
def extrapolate_nemd(settings: Dict, **figures: Dict) -> ResultData:
    """Conductivity of the infinite crystal from the figures of cells of several lengths, 1/kappa against 1/L.

    The settings have ``temperature`` (K), ``axis`` and ``target_error``.
    """
    usable = [node for node in figures.values() if node["gradient_k_per_angstrom"] > 0]
    doubts = [
        f"at {n['length_angstrom']:.4g} Angstrom: {problem}" for n in figures.values() for problem in n["problems"]
    ]
    about = (settings["temperature"], settings["axis"])
    if len({node["length_angstrom"] for node in usable}) < 2:
        return ResultData([_none(*about, doubts)])
    names = ("length_angstrom", "kappa", "kappa_uncertainty")
    line = extrapolate_length(*([node[name] for node in usable] for name in names))
    return ResultData(extrapolation_quantities(line, *about, doubts, settings["target_error"]))


def _none(temperature: float, axis: str, doubts: list[str]) -> Quantity:
    return Quantity(
        name="kappa_nemd",
        value=None,
        unit="W/(m K)",
        method="heat exchange, 1/kappa against 1/L",
        converged=False,
        reason="; ".join(["fewer than two lengths have a gradient", *doubts]),
        temperature=temperature,
        direction=axis,
    )
