"""Work chain ``iontherm.reference_set``: labelled configurations, sampled by reference MD or given."""

from __future__ import annotations

from typing import Any

from aiida.engine import ProcessSpec
from aiida.orm import Dict, StructureData

from aiida_iontherm.calculations.base import also_validate
from aiida_iontherm.data import ConfigurationsData
from aiida_iontherm.engines.builders import EmbeddedEngine
from aiida_iontherm.materials.supercells import supercell_matrix
from aiida_iontherm.workchains.base import TaskWorkChain


def _validate_inputs(value: Any, _context: Any) -> str | None:
    if ("structure" in value) == ("configurations" in value):
        return "give either `structure` (to sample around) or `configurations` (to label)"
    if "structure" in value and "settings" not in value:
        return "sampling needs `settings`"
    return None


class ReferenceSetWorkChain(TaskWorkChain):
    """Sample around a structure, or label given configurations, with the reference engine."""

    _process_class = EmbeddedEngine.process_class

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Declare the inputs."""
        super().define(spec)
        spec.input("structure", valid_type=StructureData, required=False, help="Cell to sample around.")
        spec.input("configurations", valid_type=ConfigurationsData, required=False, help="Configurations to label.")
        spec.input("engine", valid_type=Dict, help="Section `engine` of the settings.")
        spec.input("settings", valid_type=Dict, required=False, help="Section `reference` of the settings, and a seed.")
        also_validate(spec, _validate_inputs)

    def setup(self) -> None:
        """Translate the settings into a sampling or labelling job."""
        super().setup()
        engine = EmbeddedEngine(self.inputs.engine.get_dict())
        if "configurations" in self.inputs:
            self.start(engine.label(), configurations=self.inputs.configurations)
            return
        settings = self.inputs.settings.get_dict()
        atoms = self.inputs.structure.get_ase()
        supercell = supercell_matrix(atoms, settings.pop("min_extent"), max_atoms=settings.pop("max_atoms"))
        self.start(engine.sample(settings, supercell), structure=self.inputs.structure)
