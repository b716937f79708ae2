"""Work chain ``iontherm.force_constants``: force constants from a trajectory or from labelled supercells."""

from __future__ import annotations

from typing import Any

from aiida.engine import ProcessSpec
from aiida.orm import Dict, StructureData

from aiida_iontherm.calculations.force_constants import ForceConstantsCalculation
from aiida_iontherm.data import ConfigurationsData, TrajectoryData
from aiida_iontherm.workchains.base import TaskWorkChain


def _validate_inputs(value: Any, _context: Any) -> str | None:
    if ("trajectory" in value) == ("configurations" in value):
        return "give either `trajectory` or `configurations`"
    return None


class ForceConstantsWorkChain(TaskWorkChain):
    """Fit force constants to the snapshots of one MD run, or to displaced supercells."""

    _process_class = ForceConstantsCalculation

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Declare the inputs."""
        super().define(spec)
        spec.input("structure", valid_type=StructureData, help="Unit cell of the supercells.")
        spec.input(
            "trajectory", valid_type=TrajectoryData, required=False, help="Snapshots of positions and forces from MD."
        )
        spec.input(
            "configurations",
            valid_type=ConfigurationsData,
            required=False,
            help="Labelled supercells, atoms in phonopy's order.",
        )
        spec.input("settings", valid_type=Dict, help="Section `force_constants` of the settings, and the supercell.")
        spec.inputs.validator = _validate_inputs

    def setup(self) -> None:
        """Hand the settings to the job."""
        super().setup()
        self.start(
            self.inputs.settings.get_dict(),
            structure=self.inputs.structure,
            trajectory=self.inputs.get("trajectory"),
            configurations=self.inputs.get("configurations"),
        )
