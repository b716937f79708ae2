"""Work chain ``iontherm.dynamics``: one MD run, continued over wall-time limits."""

from __future__ import annotations

from aiida.engine import ProcessSpec
from aiida.orm import Dict, StructureData

from aiida_iontherm.calculations.md import MdCalculation
from aiida_iontherm.data import PotentialData
from aiida_iontherm.workchains.base import TaskWorkChain


class DynamicsWorkChain(TaskWorkChain):
    """Molecular dynamics of one cell at one temperature."""

    _process_class = MdCalculation

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Declare the inputs."""
        super().define(spec)
        spec.input("structure", valid_type=StructureData, help="Unit cell.")
        spec.input("potential", valid_type=PotentialData, help="Potential to move the atoms with.")
        spec.input("settings", valid_type=Dict, help="Settings of the task `md`: supercell, temperature (K), times.")

    def setup(self) -> None:
        """Hand the settings to the job."""
        super().setup()
        self.start(self.inputs.settings.get_dict(), structure=self.inputs.structure, potential=self.inputs.potential)
