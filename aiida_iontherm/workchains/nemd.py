"""Work chains ``iontherm.nemd`` and ``iontherm.nemd_length``: thermal conductivity by heat exchange."""

from __future__ import annotations

from typing import Any

from aiida.engine import ExitCode, ProcessSpec, ToContext
from aiida.orm import ArrayData, Dict, StructureData

from aiida_iontherm.calculations.base import also_validate
from aiida_iontherm.calculations.functions import collect_results
from aiida_iontherm.calculations.lammps_nemd import LammpsNemdCalculation
from aiida_iontherm.calculations.nemd import NemdCalculation, extrapolate_nemd
from aiida_iontherm.data import PotentialData, ResultData
from aiida_iontherm.tasks.lammps_files.limits import exchange_not_by_lammps
from aiida_iontherm.tasks.nemd_files import supercell_of
from aiida_iontherm.workchains.base import Chain
from aiida_iontherm.workchains.dynamics import ProgramWorkChain, program_problem

TARGET_ERROR = 0.1


def _validate_settings(node: Dict, _port: Any) -> str | None:
    return program_problem(node.get_dict(), exchange_not_by_lammps, where="")


class NemdLengthWorkChain(ProgramWorkChain):
    """Heat exchange in a cell of one length, continued over wall-time limits."""

    _process_class = NemdCalculation
    _lammps_class = LammpsNemdCalculation

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Say what the settings are."""
        super().define(spec)
        spec.inputs["settings"].validator = _validate_settings
        spec.inputs["settings"].help = (
            "Settings of the task `nemd`: supercell, temperature (K), power. With `program` lammps LAMMPS moves the "
            "atoms, by its `code` and the section `lammps`."
        )


def _validate_inputs(value: Any, _context: Any) -> str | None:
    if "settings" not in value:
        return None
    settings = value["settings"].get_dict()
    missing = [name for name in ("lengths", "cross_section", "temperature") if name not in settings]
    if missing:
        return f"settings need {', '.join(missing)}"
    if "supercell" in settings:
        return "give `lengths` and `cross_section` instead of the supercell"
    lengths, across = settings["lengths"], settings["cross_section"]
    if not lengths or len(set(lengths)) < len(lengths) or min(lengths) < 1:
        return f"lengths are different positive numbers of cells, not {lengths}"
    if len(across) != 2 or min(across) < 1:
        return f"cross_section is two positive numbers of cells, not {across}"
    return program_problem(settings, exchange_not_by_lammps, where="")


class NemdWorkChain(Chain):
    """All lengths run side by side; 1/kappa is extrapolated against 1/L."""

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Declare ports, outline and exit codes."""
        super().define(spec)
        spec.input("structure", valid_type=StructureData, help="Unit cell.")
        spec.input("potential", valid_type=PotentialData, help="Potential to move the atoms with.")
        spec.input(
            "settings",
            valid_type=Dict,
            help="Settings of the task `nemd`, but for the supercell: `lengths` (cells along the axis, of the whole "
            "period) and `cross_section` (cells across) stand for it; program, code and lammps as `dynamics` has them.",
        )
        also_validate(spec, _validate_inputs)
        spec.outline(cls.run_lengths, cls.inspect_lengths, cls.extrapolate)
        spec.output_namespace("figures", valid_type=Dict, help="What each length gave, by its number of cells.")
        spec.output_namespace("profiles", valid_type=ArrayData, help="Of the slabs, by number of cells.")
        spec.output("result", valid_type=ResultData, help="kappa of each length and of infinite length, W/(m K).")

    def run_lengths(self) -> ToContext:
        """Run the cells of all lengths."""
        settings = self.inputs.settings.get_dict()
        lengths, across = settings.pop("lengths"), settings.pop("cross_section")
        runs = {}
        for cells in lengths:
            supercell = list(supercell_of(settings.get("axis", "a"), cells, across))
            runs[f"length_{cells}"] = self.submit(
                NemdLengthWorkChain,
                **self.common_inputs(),
                structure=self.inputs.structure,
                potential=self.inputs.potential,
                settings=Dict(settings | {"supercell": supercell}),
                metadata={"call_link_label": f"length_{cells}"},
            )
        return ToContext(**runs)

    def inspect_lengths(self) -> ExitCode | None:
        """Keep every length that is there; fail only if none is."""
        self.ctx.done = []
        failed = None
        for cells in self.inputs.settings["lengths"]:
            label = f"length_{cells}"
            node = self.ctx[label]
            failed = self.failure(f"the heat exchange in {cells} cells", node) or failed
            if node.is_finished_ok:
                self.ctx.done.append(label)
                self.out(f"figures.{label}", node.outputs.output_parameters)
                self.out(f"profiles.{label}", node.outputs.profile)
        return None if self.ctx.done else failed

    def extrapolate(self) -> None:
        """Report each length, and the infinite one."""
        settings = self.inputs.settings.get_dict()
        about = Dict(
            {
                "temperature": settings["temperature"],
                "axis": settings.get("axis", "a"),
                "target_error": settings.get("target_error", TARGET_ERROR),
            }
        )
        nodes = {label: self.ctx[label].outputs for label in self.ctx.done}
        infinite = extrapolate_nemd(about, **{label: node.output_parameters for label, node in nodes.items()})
        self.out("result", collect_results(infinite=infinite, **{label: node.result for label, node in nodes.items()}))
