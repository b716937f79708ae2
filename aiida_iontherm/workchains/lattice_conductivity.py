"""Work chain ``iontherm.lattice_conductivity``: from force constants, or a structure and an engine, to kappa."""

from __future__ import annotations

from typing import Any

from aiida.engine import ExitCode, ProcessSpec, ToContext, if_, while_
from aiida.orm import ArrayData, Dict, SinglefileData, Str

from aiida_iontherm.calculations.base import also_validate
from aiida_iontherm.calculations.functions import two_channel_conductivity
from aiida_iontherm.calculations.lattice_conductivity import LatticeConductivityCalculation
from aiida_iontherm.data import ForceConstantsData, ResultData
from aiida_iontherm.workchains.base import Parent, TaskWorkChain
from aiida_iontherm.workchains.displaced_force_constants import DisplacedForceConstantsWorkChain

DISPLACED = ("structure", "engine", "relax", "displacements", "fitting")


def _validate_inputs(value: Any, _context: Any) -> str | None:
    given = [name for name in DISPLACED if name in value]
    if "force_constants" in value:
        return f"`force_constants` are given: leave out {', '.join(given)}" if given else None
    if "structure" not in value or "engine" not in value:
        return "give `force_constants`, or `structure` and `engine`"
    if "fit" in value or "origin" in value:
        return "`fit` and `origin` belong to given `force_constants`"
    return None


class LatticeConductivityWorkChain(Parent, TaskWorkChain):
    """Force constants where there are none, phonons and linewidths on a mesh, then the two-channel sum."""

    _process_class = LatticeConductivityCalculation

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Declare ports, outline and exit codes."""
        super().define(spec)
        spec.input(
            "force_constants",
            valid_type=ForceConstantsData,
            required=False,
            help="Second order, and third unless linewidths are given.",
        )
        spec.input(
            "fit", valid_type=Dict, required=False, help="Figures of the fit they come from; its test error is judged."
        )
        spec.expose_inputs(DisplacedForceConstantsWorkChain, exclude=("code", "options", "metadata"))
        for name in DISPLACED:
            spec.inputs[name].required = False
        also_validate(spec, _validate_inputs)
        spec.input("settings", valid_type=Dict, help="Meshes, temperatures (K), linewidths, mobile ion.")
        spec.input(
            "linewidths",
            valid_type=SinglefileData,
            required=False,
            help="Table of linewidths, .npz, for settings that say `linewidths: {source: table}`.",
        )
        spec.input(
            "caveat",
            valid_type=Str,
            required=False,
            help="Why the result cannot count as converged, where that is known beforehand.",
        )
        spec.input(
            "origin", valid_type=Str, required=False, help="Where the force constants come from, where not from MD."
        )
        spec.outline(
            if_(cls.lacks_force_constants)(cls.find_force_constants, cls.inspect_force_constants),
            cls.setup,
            while_(cls.should_run_process)(cls.run_process, cls.inspect_process),
            cls.results,
            cls.sum_channels,
        )
        spec.expose_outputs(DisplacedForceConstantsWorkChain)
        for name in ("structure", "force_constants", "fit"):
            spec.outputs[name].required = False
        spec.output("result", valid_type=ResultData, help="kappa of each channel in W/(m K) with verdicts.")
        spec.output("conductivity", valid_type=ArrayData, help="Tensors, error bars and spectra.")
        spec.exit_code(400, "ERROR_CHILD_FAILED", message="{step} failed: {message}")

    def lacks_force_constants(self) -> bool:
        """Whether the force constants have to be found first."""
        return "force_constants" not in self.inputs

    def find_force_constants(self) -> ToContext:
        """Displace the atoms of the structure and fit."""
        return ToContext(
            displaced=self.submit(
                DisplacedForceConstantsWorkChain,
                **self.common_inputs(),
                **self.exposed_inputs(DisplacedForceConstantsWorkChain),
                metadata={"call_link_label": "force_constants"},
            )
        )

    def inspect_force_constants(self) -> ExitCode | None:
        """Go on with what was fitted."""
        if (failed := self.failure("the fit to displaced supercells", self.ctx.displaced)) is not None:
            return failed
        self.out_many(self.exposed_outputs(self.ctx.displaced, DisplacedForceConstantsWorkChain))
        return None

    def setup(self) -> None:
        """Hand the settings to the job."""
        super().setup()
        source = self.ctx.displaced.outputs if self.lacks_force_constants() else self.inputs
        self.start(
            self.inputs.settings.get_dict(),
            force_constants=source.force_constants,
            linewidths=self.inputs.get("linewidths"),
        )

    def sum_channels(self) -> None:
        """Sum both channels with error bars and verdicts."""
        known = {name: self.inputs[name] for name in ("fit", "caveat", "origin") if name in self.inputs}
        if self.lacks_force_constants():
            known |= {
                "fit": self.ctx.displaced.outputs.fit,
                "origin": Str("force constants from displaced supercells"),
            }
        solved = self.ctx.children[-1].outputs
        analysis = two_channel_conductivity(solved.phonons, solution=solved.output_parameters, **known)
        self.out("result", analysis["result"])
        self.out("conductivity", analysis["conductivity"])
