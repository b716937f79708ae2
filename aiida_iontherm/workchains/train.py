"""Work chain ``iontherm.train``: one generation of the potential."""

from __future__ import annotations

from aiida.engine import ProcessSpec
from aiida.orm import Dict

from aiida_iontherm.calculations.train import TrainCalculation
from aiida_iontherm.data import ConfigurationsData, PotentialData
from aiida_iontherm.workchains.base import TaskWorkChain


class TrainWorkChain(TaskWorkChain):
    """Train a potential on a labelled set."""

    _process_class = TrainCalculation

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Declare the inputs."""
        super().define(spec)
        spec.input("configurations", valid_type=ConfigurationsData, help="Labelled configurations.")
        spec.input("start", valid_type=PotentialData, required=False, help="Previous generation.")
        spec.input("settings", valid_type=Dict, help="Settings of the training, and a seed.")

    def setup(self) -> None:
        """Hand the settings to the job."""
        super().setup()
        self.start(
            self.inputs.settings.get_dict(),
            configurations=self.inputs.configurations,
            start=self.inputs.get("start", None),
        )
