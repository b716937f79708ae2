"""Work chain ``iontherm.barrier``: migration barriers of the mobile ion, or the well of one ion."""

from __future__ import annotations

from typing import Any

from aiida.engine import ProcessSpec
from aiida.orm import Dict, StructureData

from aiida_iontherm.calculations.barrier import BarrierCalculation
from aiida_iontherm.calculations.base import also_validate
from aiida_iontherm.data import ConfigurationsData, PotentialData
from aiida_iontherm.materials.supercells import supercell_matrix
from aiida_iontherm.workchains.base import TaskWorkChain


def _validate_inputs(value: Any, _context: Any) -> str | None:
    if ("potential" in value) == ("engine" in value):
        return "give either `potential` or `engine`"
    if "settings" not in value:
        return None
    settings = value["settings"].get_dict()
    if "path" in value and settings.keys() & {"supercell", "min_extent", "max_atoms"}:
        return "a given `path` has its supercell: leave out supercell, min_extent and max_atoms"
    if "supercell" in settings and settings.keys() & {"min_extent", "max_atoms"}:
        return "give either supercell or min_extent and max_atoms"
    return None


class BarrierWorkChain(TaskWorkChain):
    """Elastic bands along given or found paths, with a potential or an embedded engine."""

    _process_class = BarrierCalculation

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Declare the inputs."""
        super().define(spec)
        spec.input("structure", valid_type=StructureData, help="Unit cell.")
        spec.input("potential", valid_type=PotentialData, required=False, help="Potential to move the atoms with.")
        spec.input("engine", valid_type=Dict, required=False, help="Section `engine` of the settings, instead.")
        spec.input(
            "path",
            valid_type=ConfigurationsData,
            required=False,
            help="Given path in a supercell: two ends, or more frames to begin with.",
        )
        spec.input(
            "settings",
            valid_type=Dict,
            help="Settings of the task `barrier`: mobile ion, hops, images, fmax (eV/Angstrom); its supercell, or "
            "min_extent (Angstrom) and max_atoms to choose one.",
        )
        also_validate(spec, _validate_inputs)

    def setup(self) -> None:
        """Choose the supercell and hand the settings to the job."""
        super().setup()
        settings = self.inputs.settings.get_dict()
        extent, most = settings.pop("min_extent", None), settings.pop("max_atoms", None)
        if extent is not None:
            settings["supercell"] = list(supercell_matrix(self.inputs.structure.get_ase(), extent, max_atoms=most))
        if "engine" in self.inputs:
            engine = self.inputs.engine.get_dict()
            settings |= {"engine": engine["name"], "engine_options": engine.get("options", {})}
        self.start(
            settings,
            structure=self.inputs.structure,
            potential=self.inputs.get("potential"),
            path=self.inputs.get("path"),
        )
