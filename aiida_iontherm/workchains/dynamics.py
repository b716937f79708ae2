"""Work chain ``iontherm.dynamics``: one MD run, continued over wall-time limits, by this package or by LAMMPS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from aiida.common.exceptions import MultipleObjectsError, NotExistent
from aiida.engine import ProcessSpec
from aiida.orm import AbstractCode, Dict, InstalledCode, Node, ProcessNode, StructureData, load_code
from pydantic import ValidationError

from aiida_iontherm.calculations.base import TaskCalculation
from aiida_iontherm.calculations.lammps_md import LammpsMdCalculation
from aiida_iontherm.calculations.lammps_turns import LammpsTurns
from aiida_iontherm.calculations.md import MdCalculation
from aiida_iontherm.data import PotentialData
from aiida_iontherm.tasks.contract import explain
from aiida_iontherm.tasks.lammps_files.limits import not_by_lammps
from aiida_iontherm.tasks.lammps_files.section import LammpsSection
from aiida_iontherm.workchains.base import TaskWorkChain

NATIVE, LAMMPS = "native", "lammps"

PROGRAM_KEYS = ("program", "code", "lammps")
"""Keys of the settings that say who moves the atoms."""

LAMMPS_PLUGINS = (None, "iontherm.lammps_md", "iontherm.lammps_nemd", "lammps.base", "lammps.raw")
"""What a code of LAMMPS may be made for: it is the same program."""


def program_problem(
    settings: Mapping[str, Any],
    refused: Callable[[Mapping[str, Any], LammpsSection], str | None] = not_by_lammps,
    where: str = "dynamics.",
) -> str | None:
    """Say why the atoms cannot be moved by the program that the settings want; needs a loaded profile.

    Parameters
    ----------
    settings : mapping
    refused : callable
        Says which of the settings LAMMPS does not do.
    where : str
        Before the names of the keys: the section that they are in.
    """
    program, label = settings.get("program") or NATIVE, settings.get("code")
    if program not in (NATIVE, LAMMPS):
        return f"there is no program {program} for the dynamics: take {NATIVE} or {LAMMPS}"
    if program == NATIVE:
        return f"{where}code: {label} is for `program: {LAMMPS}`, leave it out" if label else None
    if not label:
        return f"the program {LAMMPS} is one of its own: name its code, {where}code: LABEL@COMPUTER"
    try:
        section = LammpsSection.model_validate(settings.get("lammps") or {})
    except ValidationError as error:
        return f"{where}lammps: {explain(error, LammpsSection)}"
    if (problem := refused(settings, section)) is not None:
        return f"{where}{problem}"
    try:
        code = load_code(label)
    except (NotExistent, MultipleObjectsError):
        return (
            f"{where}code: there is no code {label} in this profile: `verdi code create core.code.installed` makes "
            "one, `verdi code list` shows those that are there"
        )
    kind = code.default_calc_job_plugin
    if kind not in LAMMPS_PLUGINS:
        return f"{where}code: {label} is a code for {kind}, not LAMMPS"
    return _missing_file(code, section.plugin, where)


def _missing_file(code: AbstractCode, plugin: str | None, where: str) -> str | None:
    """Say which file is not there, where that can be seen without a connection; elsewhere the first job will."""
    if code.computer is None or code.computer.transport_type != "core.local":
        return None
    if isinstance(code, InstalledCode) and not Path(code.filepath_executable).is_file():
        return f"{where}code: {code.full_label} is {code.filepath_executable}, and there is no such file"
    if plugin is not None and Path(plugin).is_absolute() and not Path(plugin).is_file():
        return (
            f"{where}lammps.plugin: there is no {plugin}: `make lammps-plugin` compiles it, or name the place where "
            "it is"
        )
    return None


def _validate_settings(node: Dict, _port: Any) -> str | None:
    return program_problem(node.get_dict())


class ProgramWorkChain(TaskWorkChain):
    """Run a task whose atoms this package moves or LAMMPS, as the settings say.

    Subclasses name the jobs of both, which have the same outputs, and check the settings.
    """

    _lammps_class: ClassVar[type[LammpsTurns]]

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Declare the inputs."""
        super().define(spec)
        spec.input("structure", valid_type=StructureData, help="Unit cell.")
        spec.input("potential", valid_type=PotentialData, help="Potential to move the atoms with.")
        spec.input("settings", valid_type=Dict)

    @property
    def process_class(self) -> type[TaskCalculation]:
        """Job that moves the atoms."""
        # AiiDA asks once before there are inputs.
        settings = self.inputs["settings"].get_dict() if self.inputs and "settings" in self.inputs else {}
        return self._lammps_class if settings.get("program") == LAMMPS else self._process_class

    def setup(self) -> None:
        """Hand the settings to the job."""
        super().setup()
        settings = self.inputs.settings.get_dict()
        own = {key: settings.pop(key, None) for key in PROGRAM_KEYS}
        nodes: dict[str, Node] = {}
        if own["program"] == LAMMPS:
            settings["lammps"] = own["lammps"] or {}
            nodes["lammps"] = load_code(own["code"])
        self.start(settings, structure=self.inputs.structure, potential=self.inputs.potential, **nodes)

    def get_outputs(self, node: ProcessNode) -> Mapping[str, Node]:
        """Return the outputs by the ports that both jobs share."""
        return self.exposed_outputs(node, self._process_class)


class DynamicsWorkChain(ProgramWorkChain):
    """Molecular dynamics of one cell at one temperature."""

    _process_class = MdCalculation
    _lammps_class = LammpsMdCalculation

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Say what the settings are."""
        super().define(spec)
        spec.inputs["settings"].validator = _validate_settings
        spec.inputs["settings"].help = (
            "Settings of the task `md`: supercell, temperature (K), times. With `program` lammps LAMMPS moves the "
            "atoms, by its `code` and the section `lammps`."
        )
