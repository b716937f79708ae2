"""Work chain ``iontherm.dynamics``: one MD run, continued over wall-time limits, by this package or by LAMMPS."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida.common.exceptions import MultipleObjectsError, NotExistent
from aiida.engine import ProcessSpec
from aiida.orm import AbstractCode, Dict, InstalledCode, Node, ProcessNode, StructureData, load_code
from pydantic import ValidationError

from aiida_iontherm.calculations.lammps_md import LammpsMdCalculation
from aiida_iontherm.calculations.md import MdCalculation
from aiida_iontherm.data import PotentialData
from aiida_iontherm.tasks.contract import explain
from aiida_iontherm.tasks.lammps_files.limits import not_by_lammps
from aiida_iontherm.tasks.lammps_files.section import LammpsSection
from aiida_iontherm.workchains.base import TaskWorkChain

NATIVE, LAMMPS = "native", "lammps"

PROGRAM_KEYS = ("program", "code", "lammps")
"""Keys of the section ``dynamics`` that say who moves the atoms."""


def program_problem(settings: Mapping[str, Any]) -> str | None:
    """Say why the atoms cannot be moved by the program that a section ``dynamics`` wants; needs a loaded profile."""
    program, label = settings.get("program") or NATIVE, settings.get("code")
    if program not in (NATIVE, LAMMPS):
        return f"there is no program {program} for the dynamics: take {NATIVE} or {LAMMPS}"
    if program == NATIVE:
        return f"dynamics.code: {label} is for `program: {LAMMPS}`, leave it out" if label else None
    if not label:
        return f"the program {LAMMPS} is one of its own: name its code, dynamics.code: LABEL@COMPUTER"
    try:
        section = LammpsSection.model_validate(settings.get("lammps") or {})
    except ValidationError as error:
        return f"dynamics.lammps: {explain(error, LammpsSection)}"
    if (problem := not_by_lammps(settings, section)) is not None:
        return f"dynamics.{problem}"
    try:
        code = load_code(label)
    except (NotExistent, MultipleObjectsError):
        return (
            f"dynamics.code: there is no code {label} in this profile: `verdi code create core.code.installed` makes "
            "one, `verdi code list` shows those that are there"
        )
    kind = code.default_calc_job_plugin
    if kind not in (None, "iontherm.lammps_md", "lammps.base", "lammps.raw"):
        return f"dynamics.code: {label} is a code for {kind}, not LAMMPS"
    return _missing_file(code, section.plugin)


def _missing_file(code: AbstractCode, plugin: str | None) -> str | None:
    """Say which file is not there, where that can be seen without a connection; elsewhere the first job will."""
    if code.computer is None or code.computer.transport_type != "core.local":
        return None
    if isinstance(code, InstalledCode) and not Path(code.filepath_executable).is_file():
        return f"dynamics.code: {code.full_label} is {code.filepath_executable}, and there is no such file"
    if plugin is not None and Path(plugin).is_absolute() and not Path(plugin).is_file():
        return (
            f"dynamics.lammps.plugin: there is no {plugin}: `make lammps-plugin` compiles it, or name the place where "
            "it is"
        )
    return None


def _validate_settings(node: Dict, _port: Any) -> str | None:
    return program_problem(node.get_dict())


class DynamicsWorkChain(TaskWorkChain):
    """Molecular dynamics of one cell at one temperature."""

    _process_class = MdCalculation

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Declare the inputs."""
        super().define(spec)
        spec.input("structure", valid_type=StructureData, help="Unit cell.")
        spec.input("potential", valid_type=PotentialData, help="Potential to move the atoms with.")
        spec.input(
            "settings",
            valid_type=Dict,
            validator=_validate_settings,
            help="Settings of the task `md`: supercell, temperature (K), times. With `program` lammps LAMMPS moves the "
            "atoms, by its `code` and the section `lammps`.",
        )

    @property
    def process_class(self) -> type[MdCalculation]:
        """Job that moves the atoms; both have the same outputs."""
        # AiiDA asks once before there are inputs.
        settings = self.inputs["settings"].get_dict() if self.inputs and "settings" in self.inputs else {}
        return LammpsMdCalculation if settings.get("program") == LAMMPS else MdCalculation

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
        return self.exposed_outputs(node, MdCalculation)
