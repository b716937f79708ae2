"""Work chain ``iontherm.force_constants``: effective force constants at the temperature of a trajectory."""

from __future__ import annotations

from aiida.engine import ProcessSpec
from aiida.orm import Dict, StructureData

from aiida_iontherm.calculations.force_constants import ForceConstantsCalculation
from aiida_iontherm.data import TrajectoryData
from aiida_iontherm.workchains.base import TaskWorkChain


class ForceConstantsWorkChain(TaskWorkChain):
    """Fit force constants to the snapshots of one MD run."""

    _process_class = ForceConstantsCalculation

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Declare the inputs."""
        super().define(spec)
        spec.input("structure", valid_type=StructureData, help="Unit cell the MD was started from.")
        spec.input("trajectory", valid_type=TrajectoryData, help="Snapshots of positions and forces.")
        spec.input("settings", valid_type=Dict, help="Section `force_constants` of the settings, and the supercell.")

    def setup(self) -> None:
        """Hand the settings to the job."""
        super().setup()
        self.start(self.inputs.settings.get_dict(), structure=self.inputs.structure, trajectory=self.inputs.trajectory)
