"""CalcJob of the task ``train``: a moment tensor potential from labelled configurations."""

from __future__ import annotations

from typing import Any

from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec
from aiida.orm import Dict

from aiida_iontherm.calculations.base import ONE_THREAD, TaskCalculation, TaskParser, write_file
from aiida_iontherm.data import ConfigurationsData, ParityData, PotentialData
from aiida_iontherm.data.potential import ACTIVE_SET
from aiida_iontherm.tasks.train import TrainedBy

TWO_THREADS = ONE_THREAD | {"OMP_NUM_THREADS": "2"}
"""Training runs alone in its chain, and our kernel shares out the configurations. BLAS keeps to one thread: its
matrices are small, and its threads wait for each other where the machine is busy."""


class TrainCalculation(TaskCalculation):
    """Train a potential, from scratch or from the previous generation."""

    TASK = "train"
    CACHE_VERSION = 2  # 1 made no active set
    RETRIEVE = ("potential.mtp", ACTIVE_SET, "parity.npz")

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Declare the ports."""
        super().define(spec)
        spec.input(
            "configurations",
            valid_type=ConfigurationsData,
            help="Labelled with energies (eV), forces (eV/Angstrom) and, where there are any, stresses.",
        )
        spec.input("start", valid_type=PotentialData, required=False, help="Potential to start from.")
        spec.input(
            "trained",
            valid_type=PotentialData,
            required=False,
            help="Potential that another program has trained on the configurations: compared, not fitted.",
        )
        spec.input("trained_by", valid_type=Dict, required=False, help="What that program says of its training.")
        spec.inputs["metadata"]["options"]["parser_name"].default = "iontherm.train"
        spec.inputs["metadata"]["options"]["environment_variables"].default = lambda: dict(TWO_THREADS)
        spec.output("potential", valid_type=PotentialData, help="Trained potential with its active set.")
        spec.output("parity", valid_type=ParityData, help="Reference against predicted energies and forces.")

    def write_inputs(self, folder: Folder) -> dict[str, Any]:
        """Write the training set and the starting potential."""
        keys: dict[str, Any] = {"configurations": write_file(folder, self.inputs.configurations, "labelled.extxyz")}
        if "start" in self.inputs:
            keys["start"] = write_file(folder, self.inputs.start, "start.mtp")
            keys["start_species"] = self.inputs.start.species
        if "trained" in self.inputs:
            keys["trained"] = write_file(folder, self.inputs.trained, "trained.mtp")
            keys["trained_species"] = self.inputs.trained.species
        if "trained_by" in self.inputs:
            said = self.inputs.trained_by.get_dict()
            keys["trained_by"] = {key: said[key] for key in TrainedBy.model_fields if key in said}
        return keys


class TrainParser(TaskParser):
    """The potential and how well it fits."""

    def parse_files(self, results: dict[str, Any]) -> None:
        """Read potential and parity data."""
        files = self.retrieved.base.repository
        with files.open("potential.mtp", "rb") as mtp, files.open(ACTIVE_SET, "rb") as active_set:
            potential = PotentialData(mtp, species=results["species"], active_set=active_set)
        potential._validate()  # as `file_node` does
        self.out("potential", potential)
        self.out("parity", self.file_node(ParityData, "parity.npz"))
