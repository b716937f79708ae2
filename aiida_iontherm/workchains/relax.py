"""Work chain ``iontherm.relax``: the start structure relaxed with the reference engine."""

from __future__ import annotations

from aiida.engine import ProcessSpec
from aiida.orm import Dict, StructureData

from aiida_iontherm.engines.builders import EmbeddedEngine
from aiida_iontherm.workchains.base import TaskWorkChain


class RelaxWorkChain(TaskWorkChain):
    """Relax positions and, if wanted, the lattice."""

    _process_class = EmbeddedEngine.process_class

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Declare the inputs."""
        super().define(spec)
        spec.input("structure", valid_type=StructureData, help="Cell to relax.")
        spec.input("engine", valid_type=Dict, help="Section `engine` of the settings.")
        spec.input("settings", valid_type=Dict, help="Section `relax` of the settings.")

    def setup(self) -> None:
        """Translate the settings into a relaxation job."""
        super().setup()
        engine = EmbeddedEngine(self.inputs.engine.get_dict())
        self.start(engine.relax(self.inputs.settings.get_dict()), structure=self.inputs.structure)
