"""Work chain ``iontherm.reference``: one job of the task ``reference``, until it finishes."""

from __future__ import annotations

from aiida.engine import ProcessSpec
from aiida.orm import Dict, StructureData

from aiida_iontherm.calculations.reference import ReferenceCalculation
from aiida_iontherm.data import ConfigurationsData
from aiida_iontherm.workchains.base import TaskWorkChain


class ReferenceWorkChain(TaskWorkChain):
    """Relax, sample or label with an ASE calculator; `engines.builders.embedded` writes its parameters."""

    _process_class = ReferenceCalculation

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Declare the inputs."""
        super().define(spec)
        spec.input("parameters", valid_type=Dict, help="Parameters of the task.")
        spec.input("structure", valid_type=StructureData, required=False, help="Cell to relax or to sample.")
        spec.input("configurations", valid_type=ConfigurationsData, required=False, help="Configurations to label.")

    def setup(self) -> None:
        """Hand the inputs to the job."""
        super().setup()
        self.start(
            self.inputs.parameters.get_dict(),
            structure=self.inputs.get("structure"),
            configurations=self.inputs.get("configurations"),
        )
