"""Work chain ``iontherm.force_constants``: force constants from a trajectory or from labelled supercells."""

from __future__ import annotations

from aiida.engine import ProcessSpec
from aiida.orm import Dict

from aiida_iontherm.calculations.force_constants import ForceConstantsCalculation, define_snapshots
from aiida_iontherm.workchains.base import TaskWorkChain


class ForceConstantsWorkChain(TaskWorkChain):
    """Fit force constants to the snapshots of one MD run, or to displaced supercells."""

    _process_class = ForceConstantsCalculation

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Declare the inputs."""
        super().define(spec)
        define_snapshots(spec)
        spec.input("settings", valid_type=Dict, help="Section `force_constants` of the settings, and the supercell.")

    def setup(self) -> None:
        """Hand the settings to the job."""
        super().setup()
        self.start(
            self.inputs.settings.get_dict(),
            structure=self.inputs.structure,
            trajectory=self.inputs.get("trajectory"),
            configurations=self.inputs.get("configurations"),
        )
