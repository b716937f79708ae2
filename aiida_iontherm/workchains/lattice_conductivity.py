"""Work chain ``iontherm.lattice_conductivity``: from force constants, or a structure and an engine, to kappa."""

from __future__ import annotations

from typing import Any

from aiida.engine import ExitCode, ProcessSpec, ToContext, if_, while_
from aiida.orm import ArrayData, Dict, SinglefileData, Str

from aiida_iontherm.calculations.base import also_validate
from aiida_iontherm.calculations.functions import two_channel_conductivity
from aiida_iontherm.calculations.lattice_conductivity import LatticeConductivityCalculation
from aiida_iontherm.calculations.shengbte import validate_inputs, validate_parameters
from aiida_iontherm.data import ForceConstantsData, ResultData
from aiida_iontherm.tasks.shengbte_files import ShengBteSettings
from aiida_iontherm.workchains.base import Parent, TaskWorkChain
from aiida_iontherm.workchains.displaced_force_constants import DisplacedForceConstantsWorkChain
from aiida_iontherm.workchains.shengbte import ShengBteWorkChain

DISPLACED = ("structure", "engine", "relax", "displacements", "fitting")

FROM_THE_SETTINGS = ("temperatures", "mesh")
"""What a run of ShengBTE takes from the settings of the chain."""


def _validate_inputs(value: Any, _context: Any) -> str | None:
    if "shengbte" in value and (wrong := _validate_shengbte(value)) is not None:
        return wrong
    given = [name for name in DISPLACED if name in value]
    if "force_constants" in value:
        return f"`force_constants` are given: leave out {', '.join(given)}" if given else None
    if "structure" not in value or "engine" not in value:
        return "give `force_constants`, or `structure` and `engine`"
    if "fit" in value or "origin" in value:
        return "`fit` and `origin` belong to given `force_constants`"
    return None


def _validate_shengbte(value: Any) -> str | None:
    """Find settings and inputs that linewidths of ShengBTE leave no room for."""
    if "linewidths" in value:
        return "linewidths come from the file `linewidths` or from `shengbte`, not from both"
    settings = value["settings"].get_dict()
    own = value["shengbte"]["parameters"].get_dict() if "parameters" in value["shengbte"] else {}
    if settings.get("coarse_mesh") is not None:
        return "linewidths of ShengBTE are on one mesh: leave coarse_mesh out of the settings"
    for name in FROM_THE_SETTINGS:
        if name in own:
            return f"shengbte takes {name} from the settings: leave it out of its parameters"
    choice = settings.get("linewidths", {})
    for name in ("source", "table", "by_frequency", "model", "origin"):
        if name in choice:
            return f"linewidths come from shengbte: leave {name} out of linewidths in the settings"
    if choice.get("isotopes") and own.get("isotopes"):
        return "isotopes would count twice: ask for them in the settings or in the parameters of shengbte"
    if own.get("onlyharmonic"):
        return "onlyharmonic gives no linewidths: leave it out of the parameters of shengbte"
    parameters = Dict(_shengbte_parameters(settings, own))
    if (wrong := validate_parameters(parameters)) is not None or "force_constants" not in value:
        return wrong
    return validate_inputs({"parameters": parameters, "force_constants": value["force_constants"]})


def _shengbte_parameters(settings: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    return {name: settings[name] for name in FROM_THE_SETTINGS if name in settings} | own


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
        spec.expose_inputs(
            ShengBteWorkChain,
            namespace="shengbte",
            exclude=("force_constants", "parameters", "metadata"),
            namespace_options={
                "required": False,
                "populate_defaults": False,
                "help": "Take the linewidths of ShengBTE or FourPhonon, for temperatures and mesh of the settings.",
            },
        )
        spec.input(
            "shengbte.parameters",
            valid_type=Dict,
            required=False,
            help="What ShengBTE is to do beside, under its own names.",
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
            if_(cls.wants_shengbte)(cls.run_shengbte, cls.inspect_shengbte),
            cls.setup,
            while_(cls.should_run_process)(cls.run_process, cls.inspect_process),
            cls.results,
            cls.sum_channels,
        )
        spec.expose_outputs(DisplacedForceConstantsWorkChain)
        for name in ("structure", "force_constants", "fit"):
            spec.outputs[name].required = False
        spec.expose_outputs(
            ShengBteWorkChain,
            namespace="shengbte",
            namespace_options={"required": False, "help": "What ShengBTE or FourPhonon found, where it was asked."},
        )
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

    def wants_shengbte(self) -> bool:
        """Whether the linewidths are those of ShengBTE or FourPhonon."""
        return "shengbte" in self.inputs

    def run_shengbte(self) -> ExitCode | ToContext:
        """Have ShengBTE compute the linewidths of these force constants."""
        inputs = dict(self.inputs.shengbte)
        own = inputs.pop("parameters", None)
        parameters = _shengbte_parameters(self.inputs.settings.get_dict(), {} if own is None else own.get_dict())
        inputs |= {"parameters": Dict(parameters), "force_constants": self._source().force_constants}
        # Of force constants that were fitted on the way it was not known which orders they would have.
        if (wrong := validate_inputs(inputs)) is not None:
            return self.exit_codes.ERROR_INPUT.format(message=wrong)
        return ToContext(shengbte=self.submit(ShengBteWorkChain, **inputs, metadata={"call_link_label": "shengbte"}))

    def inspect_shengbte(self) -> ExitCode | None:
        """Go on with the linewidths; whether the program's own iterations converged does not matter to them."""
        node = self.ctx.shengbte
        valid = node.exit_status == ShengBteWorkChain.exit_codes.WARNING_NOT_CONVERGED.status
        if not valid and (failed := self.failure("ShengBTE", node)) is not None:
            return failed
        self.out_many(self.exposed_outputs(node, ShengBteWorkChain, namespace="shengbte"))
        return None

    def setup(self) -> None:
        """Hand the settings to the job."""
        super().setup()
        settings = self.inputs.settings.get_dict()
        linewidths = self.inputs.get("linewidths")
        if self.wants_shengbte():
            outputs = self.ctx.shengbte.outputs
            linewidths = outputs.linewidths
            # Of the units there is no doubt.
            table = {"source": "table", "origin": outputs.output_parameters["linewidths"], "check": False}
            settings |= {"mesh": None, "linewidths": table | settings.get("linewidths", {})}
        self.start(settings, force_constants=self._source().force_constants, linewidths=linewidths)

    def _source(self) -> Any:
        """Where the force constants are found."""
        return self.ctx.displaced.outputs if self.lacks_force_constants() else self.inputs

    def sum_channels(self) -> None:
        """Sum both channels with error bars and verdicts."""
        known = {name: self.inputs[name] for name in ("fit", "caveat", "origin") if name in self.inputs}
        if self.lacks_force_constants():
            known |= {
                "fit": self.ctx.displaced.outputs.fit,
                "origin": Str("force constants from displaced supercells"),
            }
        if self.wants_shengbte() and (doubt := self._doubt_about_frequencies()) is not None:
            known["caveat"] = Str("; ".join([known["caveat"].value, doubt] if "caveat" in known else [doubt]))
        solved = self.ctx.children[-1].outputs
        analysis = two_channel_conductivity(solved.phonons, solution=solved.output_parameters, **known)
        self.out("result", analysis["result"])
        self.out("conductivity", analysis["conductivity"])

    def _doubt_about_frequencies(self) -> str | None:
        """Say where the linewidths are of modes that the other program places elsewhere: polar crystals."""
        node = self.ctx.shengbte
        difference = node.outputs.output_parameters["max_frequency_difference_thz"]
        if difference <= ShengBteSettings.of(node.inputs.parameters.get_dict()).frequency_tolerance_thz:
            return None
        return (
            f"frequencies of the linewidths differ from ours by up to {difference:.2g} THz, because the non-analytical "
            "term is interpolated in another way"
        )
