"""CalcJob of the task ``md``: molecular dynamics reduced on the fly."""

from __future__ import annotations

from typing import Any

from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec
from aiida.orm import SinglefileData, StructureData

from aiida_iontherm.calculations.base import (
    TaskCalculation,
    TaskParser,
    also_validate,
    write_potential,
    write_structure,
)
from aiida_iontherm.data import ConfigurationsData, CurrentsData, PotentialData, TrajectoryData
from aiida_iontherm.tasks.trajectory_export import FORMATS, export_files


def _validate_inputs(value: Any, _context: Any) -> str | None:
    graded = "parameters" in value and value["parameters"].get("grade_interval", 0)
    if graded and not ("potential" in value and value["potential"].has_active_set):
        return (
            "grades need a potential that carries its active set: train it in this version or set grade_interval to 0"
        )
    if "parameters" in value:
        unknown = sorted(set(value["parameters"].get("export", [])) - set(FORMATS))
        if unknown:
            return f"there is no format {', '.join(unknown)} to export to: there are {', '.join(FORMATS)}"
    return None


class MdCalculation(TaskCalculation):
    """Equilibration and production of one supercell at one temperature (K), times in ps."""

    TASK = "md"
    CACHE_VERSION = 2  # 2: the drift is that of the framework; displacements of all species
    RETRIEVE = ("trajectory.npz", "snapshots.extxyz", "candidates.extxyz", "currents.npz")

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Declare the ports."""
        super().define(spec)
        spec.input("structure", valid_type=StructureData, help="Unit cell; the supercell is built by the task.")
        spec.input(
            "potential",
            valid_type=PotentialData,
            required=False,
            help="Potential; without it the engine named in the parameters is used.",
        )
        spec.inputs["metadata"]["options"]["parser_name"].default = "iontherm.md"
        spec.output("trajectory", valid_type=TrajectoryData, help="Reduced observables and snapshots.")
        spec.output("snapshots", valid_type=ConfigurationsData, required=False, help="Snapshots as structures.")
        spec.output("currents", valid_type=CurrentsData, required=False, help="Heat and mass currents, if asked for.")
        spec.output(
            "candidates",
            valid_type=ConfigurationsData,
            required=False,
            help="Frames of a graded run that the potential does not know well, with their grades.",
        )
        spec.output_namespace(
            "exports",
            valid_type=SinglefileData,
            required=False,
            help="Positions of all atoms in the formats asked for: extxyz, lammps_dump, hdf5; of further replicas "
            "extxyz_1 ...",
        )
        also_validate(spec, _validate_inputs)

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Let exported trajectories come back too; a continued run goes on with copies of them."""
        info = super().prepare_for_submission(folder)
        names = list(_exports(self.inputs.parameters.get_dict()).values())
        info.retrieve_list += names
        if "restart_folder" in self.inputs:
            remote = self.inputs.restart_folder
            # What is not there, as the run was interrupted before its first frame, is passed over by AiiDA.
            info.remote_copy_list = [
                (remote.computer.uuid, f"{remote.get_remote_path()}/{name}", name) for name in names
            ]
        return info

    def write_inputs(self, folder: Folder) -> dict[str, Any]:
        """Write the cell and the potential."""
        keys: dict[str, Any] = {"structure": write_structure(folder, self.inputs.structure)}
        if "potential" in self.inputs:
            graded = bool(self.inputs.parameters.get("grade_interval", 0))
            keys |= write_potential(folder, self.inputs.potential, with_active_set=graded)
        return keys


def _exports(parameters: dict[str, Any]) -> dict[str, str]:
    """Files to export, by the names of their nodes."""
    return export_files(parameters.get("export", []), parameters.get("replicas", 1))


class MdParser(TaskParser):
    """The reduced trajectory."""

    def parse_files(self, results: dict[str, Any]) -> None:
        """Read observables, snapshots and candidates."""
        self.out("trajectory", self.file_node(TrajectoryData, "trajectory.npz"))
        if results["snapshots"]:
            self.out("snapshots", self.file_node(ConfigurationsData, "snapshots.extxyz"))
        if "currents.npz" in self.retrieved.base.repository.list_object_names():
            self.out("currents", self.file_node(CurrentsData, "currents.npz"))
        for label, name in _exports(self.node.inputs.parameters.get_dict()).items():
            # A run that broke in its equilibration has none.
            if name in self.retrieved.base.repository.list_object_names():
                self.out(f"exports.{label}", self.file_node(SinglefileData, name))
        if results.get("candidates"):
            self.out("candidates", self.file_node(ConfigurationsData, "candidates.extxyz"))
