"""Work chain ``iontherm.material``: one compound, from its structure to its heat and ion transport."""

from __future__ import annotations

from typing import Any

from aiida.common.exceptions import NotExistent
from aiida.engine import ExitCode, ProcessBuilder, ProcessSpec, ToContext, if_
from aiida.orm import AbstractCode, ArrayData, Dict, Str, StructureData, load_code
from pydantic import ValidationError

from aiida_iontherm.calculations.base import also_validate
from aiida_iontherm.calculations.functions import (
    analyse_occupation,
    collect_results,
    conductivity_exponents,
    judge_potential,
    missing_conductivity,
)
from aiida_iontherm.calculations.resources import HANDLERS, PER_TASK
from aiida_iontherm.data import ForceConstantsData, ParityData, PhononsData, PotentialData, ResultData
from aiida_iontherm.engines.builders import EngineError, engine_class
from aiida_iontherm.materials.loaders import guess_mobile_species
from aiida_iontherm.tasks.contract import explain
from aiida_iontherm.workchains.base import Chain, TaskWorkChain
from aiida_iontherm.workchains.diffusion import DiffusionWorkChain, temperature_label
from aiida_iontherm.workchains.dynamics import program_problem
from aiida_iontherm.workchains.force_constants import ForceConstantsWorkChain
from aiida_iontherm.workchains.lattice_conductivity import LatticeConductivityWorkChain
from aiida_iontherm.workchains.mlip import program_problem as trainer_problem
from aiida_iontherm.workchains.potential import PotentialWorkChain
from aiida_iontherm.workchains.protocols import load_protocol
from aiida_iontherm.workchains.relax import RelaxWorkChain
from aiida_iontherm.workchains.settings import Settings


def _validate_settings(node: Dict, _port: Any) -> str | None:
    try:
        settings = Settings.model_validate(node.get_dict())
    except ValidationError as error:
        return explain(error, Settings)
    known = sorted(handler.__name__ for handler in TaskWorkChain.get_process_handlers())
    unknown = sorted(set(settings.handlers) - set(known))
    return f"handlers: there is no {', '.join(unknown)}; there are {', '.join(known)}" if unknown else None


def _validate_inputs(value: Any, _context: Any) -> str | None:
    if "potential" not in value and "structure" in value and "settings" in value:
        section = value["settings"]["engine"]
        try:
            engine_class(section["name"]).check(section, value["structure"].get_symbols_set())
        except EngineError as error:
            return str(error)
        # Before a relaxation that may be dear.
        if (problem := trainer_problem(value["settings"]["potential"])) is not None:
            return problem
    if "settings" in value and (label := value["settings"]["conductivity"].get("code")):
        try:
            load_code(label)
        except NotExistent:
            return (
                f"conductivity.code: there is no code {label} in this profile: `verdi code list` shows those there are"
            )
    if "settings" in value and (problem := program_problem(value["settings"]["dynamics"])):
        return problem
    if "potential" in value and "structure" in value:
        missing = set(value["structure"].get_ase().get_chemical_symbols()) - set(value["potential"].species)
        if missing:
            return f"the potential does not know {', '.join(sorted(missing))}"
    return None


class MaterialWorkChain(Chain):
    """Relax, train, move, fit, sum and analyse. What fails late does not take along what was computed before."""

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Declare ports, outline and exit codes."""
        super().define(spec)
        spec.input("structure", valid_type=StructureData, help="Ordered unit cell.")
        spec.input("settings", valid_type=Dict, validator=_validate_settings, help="A protocol, resolved.")
        spec.input(
            "potential",
            valid_type=PotentialData,
            required=False,
            help="Ready potential; without it one is trained in the run.",
        )
        also_validate(spec, _validate_inputs)
        spec.outline(
            cls.setup,
            if_(cls.needs_potential)(
                cls.relax,
                cls.inspect_relax,
                cls.train_potential,
                cls.inspect_potential,
            ),
            cls.run_diffusion,
            cls.inspect_diffusion,
            if_(cls.wants_conductivity)(
                cls.fit_force_constants,
                cls.inspect_force_constants,
                cls.run_conductivity,
                cls.inspect_conductivity,
            ),
            cls.analyse,
        )
        spec.output("result", valid_type=ResultData, help="All quantities with unit, error bar and verdict.")
        spec.output("structure", valid_type=StructureData, help="Cell that was used.")
        spec.output("potential", valid_type=PotentialData, help="Potential that was used.")
        spec.output("parity", valid_type=ParityData, required=False, help="Potential against reference.")
        spec.output("training", valid_type=Dict, required=False, help="Errors of the potential.")
        spec.output("test", valid_type=Dict, required=False, help="Errors of the potential on frames it had not seen.")
        spec.output(
            "active_learning", valid_type=Dict, required=False, help="How the potential was refined, round by round."
        )
        spec.output_namespace("msd", valid_type=ArrayData, required=False, help="By temperature.")
        spec.output_namespace("dynamics", valid_type=Dict, help="Figures of the MD runs, by temperature.")
        spec.output_namespace("force_constants", valid_type=ForceConstantsData, required=False, help="By temperature.")
        spec.output_namespace("fits", valid_type=Dict, required=False, help="Quality of the fits, by temperature.")
        spec.output_namespace("phonons", valid_type=PhononsData, required=False, help="By temperature.")
        spec.output_namespace("lattice", valid_type=Dict, required=False, help="Figures of the phonons.")
        spec.output_namespace("conductivity", valid_type=ArrayData, required=False, help="By temperature.")
        spec.exit_code(
            700,
            "WARNING_NO_CONDUCTIVITY",
            message="Diffusion was computed, but no conductivity at any temperature: {message}",
        )

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: AbstractCode,
        structure: StructureData,
        protocol: str = "demo",
        *,
        overrides: dict[str, Any] | None = None,
        potential: PotentialData | None = None,
        options: dict[str, Any] | None = None,
    ) -> ProcessBuilder:
        """Return a builder with all inputs set.

        Parameters
        ----------
        code : AbstractCode
            The executable ``iontherm-task``.
        structure : StructureData
            Ordered unit cell.
        protocol : str
            See `protocols.available_protocols`.
        overrides : dict
            Settings that differ from the protocol, section by section.
        potential : PotentialData
            Ready potential, which skips reference data and training.
        options : dict
            Scheduler options of all jobs.

        Raises
        ------
        ProtocolError
            If the protocol or a key of the overrides does not exist.
        """
        settings = load_protocol(protocol, overrides).model_dump(mode="json")
        if settings["mobile"] is None:
            settings["mobile"] = guess_mobile_species(structure.get_ase())
        builder = cls.get_builder()
        builder.code = code
        builder.structure = structure
        builder.settings = Dict(settings)
        if potential is not None:
            builder.potential = potential
        if options:
            builder.options = Dict(options)
        builder.metadata.label = structure.get_formula(mode="hill_compact")
        builder.metadata.description = f"protocol {protocol}"
        return builder

    def setup(self) -> None:
        """Start from the inputs."""
        self.ctx.settings = self.inputs.settings.get_dict()
        self.ctx.structure = self.inputs.structure
        self.ctx.potential = self.inputs.get("potential", None)
        self.ctx.conductivity_doubts = {}
        options = self.inputs.options.get_dict() if "options" in self.inputs else {}
        said = {PER_TASK: self.ctx.settings.get("resources"), HANDLERS: self.ctx.settings.get("handlers")}
        self.ctx.options = Dict(options | {key: value for key, value in said.items() if value}).store()

    def common_inputs(self) -> dict[str, Any]:
        """Add the resources of the settings to the options of all sub-chains."""
        return super().common_inputs() | {"options": self.ctx.options}

    def needs_potential(self) -> bool:
        """Whether a potential has to be trained."""
        return self.ctx.potential is None

    def relax(self) -> ToContext:
        """Relax the structure with the reference engine."""
        return ToContext(
            relax_chain=self.submit(
                RelaxWorkChain,
                **self.common_inputs(),
                structure=self.ctx.structure,
                engine=self._section("engine"),
                settings=self._section("relax"),
                metadata={"call_link_label": "relax"},
            )
        )

    def inspect_relax(self) -> ExitCode | None:
        """Go on with the relaxed cell."""
        failed = self.failure("the relaxation", self.ctx.relax_chain)
        if failed is None:
            self.ctx.structure = self.ctx.relax_chain.outputs.structure
        return failed

    def train_potential(self) -> ToContext:
        """Make the reference set and train."""
        return ToContext(
            potential_chain=self.submit(
                PotentialWorkChain,
                **self.common_inputs(),
                structure=self.ctx.structure,
                engine=self._section("engine"),
                reference=self._section("reference"),
                settings=self._section("potential", seed=self.ctx.settings["seed"]),
                metadata={"call_link_label": "potential"},
            )
        )

    def inspect_potential(self) -> ExitCode | None:
        """Go on with the trained potential."""
        failed = self.failure("the potential", self.ctx.potential_chain)
        if failed is None:
            outputs = self.ctx.potential_chain.outputs
            self.ctx.potential = outputs.potential
            for name in ("parity", "training", "test", "active_learning"):
                if name in outputs:
                    self.out(name, outputs[name])
        return failed

    def run_diffusion(self) -> ToContext:
        """Run MD at all temperatures."""
        extra = {key: self.ctx.settings[key] for key in ("temperatures", "mobile", "seed")}
        return ToContext(
            diffusion_chain=self.submit(
                DiffusionWorkChain,
                **self.common_inputs(),
                structure=self.ctx.structure,
                potential=self.ctx.potential,
                settings=self._section("dynamics", **extra),
                metadata={"call_link_label": "diffusion"},
            )
        )

    def inspect_diffusion(self) -> ExitCode | None:
        """Publish what the dynamics gave."""
        self.out("structure", self.ctx.structure)
        self.out("potential", self.ctx.potential)
        failed = self.failure("the dynamics", self.ctx.diffusion_chain)
        if failed is not None:
            return failed
        outputs = self.ctx.diffusion_chain.outputs
        for name in ("msd", "dynamics"):
            if name in outputs:
                for label, node in outputs[name].items():
                    self.out(f"{name}.{label}", node)
        self.ctx.trajectories = dict(outputs.trajectories.items())
        return None

    def wants_conductivity(self) -> bool:
        """Whether heat was asked for as well as ions."""
        return self.ctx.settings.get("goal", "conductivity") == "conductivity"

    def fit_force_constants(self) -> ToContext:
        """Fit force constants to each trajectory."""
        runs = {}
        for _, label in self._temperatures():
            trajectory = self.ctx.trajectories[label]
            runs[f"fit_{label}"] = self.submit(
                ForceConstantsWorkChain,
                **self.common_inputs(),
                structure=self.ctx.structure,
                trajectory=trajectory,
                settings=self._section("force_constants", supercell=_supercell_of(trajectory)),
                metadata={"call_link_label": f"force_constants_{label}"},
            )
        return ToContext(**runs)

    def inspect_force_constants(self) -> None:
        """Keep the fits that succeeded; where ions hop, borrow those of the nearest temperature.

        Li et al. (doi 10.1002/adma.202513381) use the force constants of 300 K at all temperatures for this reason.
        """
        self.ctx.fits = {}
        self.ctx.caveats = {}
        reasons = {}
        for temperature, label in self._temperatures():
            node = self.ctx[f"fit_{label}"]
            if self.failure(f"the force constants at {temperature:g} K", node) is None:
                self.ctx.fits[label] = label
                self.out(f"force_constants.{label}", node.outputs.force_constants)
                self.out(f"fits.{label}", node.outputs.output_parameters)
            else:
                reasons[label] = node.exit_message or "the fit of the force constants failed"
        fitted = [(temperature, label) for temperature, label in self._temperatures() if label not in reasons]
        for temperature, label in self._temperatures():
            if label not in reasons:
                continue
            if not fitted:
                self.ctx.conductivity_doubts[label] = reasons[label]
                continue
            nearest, lender = min(fitted, key=lambda pair: abs(pair[0] - temperature))
            self.ctx.fits[label] = lender
            self.ctx.caveats[label] = (
                f"force constants of {nearest:g} K, for those of {temperature:g} K: {reasons[label]}"
            )

    def run_conductivity(self) -> ToContext:
        """Solve phonons and linewidths for each temperature that has force constants."""
        runs = {}
        section = self.ctx.settings["conductivity"]
        parameters = {
            "mesh": section["mesh_length"],
            "dos_smearing_thz": section["dos_smearing_thz"],
            "mobile": self.ctx.settings["mobile"],
        }
        program = {}
        if section.get("program", "phono3py") == "shengbte":
            # Its linewidths are on one mesh: there is no second one to compare with.
            program["shengbte"] = {
                "code": load_code(section["code"]),
                "options": self.ctx.options,
                "parameters": Dict(section["shengbte"]),
            }
        else:
            parameters["coarse_mesh"] = section["coarse_mesh_length"]
        for temperature, label in self._temperatures():
            if label not in self.ctx.fits:
                continue
            fit = self.ctx[f"fit_{self.ctx.fits[label]}"].outputs
            caveat = {"caveat": Str(self.ctx.caveats[label])} if label in self.ctx.caveats else {}
            runs[f"lattice_{label}"] = self.submit(
                LatticeConductivityWorkChain,
                **self.common_inputs(),
                force_constants=fit.force_constants,
                fit=fit.output_parameters,
                settings=Dict(parameters | {"temperatures": [temperature]}),
                metadata={"call_link_label": f"lattice_conductivity_{label}"},
                **caveat,
                **program,
            )
        return ToContext(**runs)

    def inspect_conductivity(self) -> None:
        """Keep the conductivities that were computed."""
        for temperature, label in self._temperatures():
            if label not in self.ctx.fits:
                continue
            node = self.ctx[f"lattice_{label}"]
            if self.failure(f"the conductivity at {temperature:g} K", node) is None:
                self.out(f"phonons.{label}", node.outputs.phonons)
                self.out(f"lattice.{label}", node.outputs.output_parameters)
                self.out(f"conductivity.{label}", node.outputs.conductivity)
            else:
                self.ctx.conductivity_doubts[label] = node.exit_message or "the lattice conductivity failed"

    def analyse(self) -> ExitCode | None:
        """Join all results; relate diffusion and vibrations."""
        parts: dict[str, ResultData] = {}
        conductivities = {}
        for temperature, label in self._temperatures() if self.wants_conductivity() else []:
            if label in self.ctx.conductivity_doubts:
                reason = Str(self.ctx.conductivity_doubts[label])
                parts[f"a_{label}"] = missing_conductivity(reason, Dict({"temperature": temperature}))
            else:
                parts[f"a_{label}"] = conductivities[label] = self.ctx[f"lattice_{label}"].outputs.result
        if len(conductivities) > 1:
            parts["b_exponents"] = conductivity_exponents(**conductivities)
        outputs = self.ctx.diffusion_chain.outputs
        if "result" in outputs:
            parts["c_diffusion"] = outputs.result
            if conductivities:
                coldest = self.ctx[f"lattice_{next(iter(conductivities))}"]
                settings = {"temperatures": self.ctx.settings["temperatures"], "ion": self.ctx.settings["mobile"]}
                parts["d_occupation"] = analyse_occupation(
                    outputs.result, coldest.outputs.output_parameters, Dict(settings)
                )
        if "potential_chain" in self.ctx:
            chain = self.ctx.potential_chain.outputs
            parts["e_potential"] = judge_potential(chain.training, chain.active_learning)
        self.out("result", collect_results(**parts))
        if self.wants_conductivity() and not conductivities:
            message = "; ".join(sorted(set(self.ctx.conductivity_doubts.values())))
            return self.exit_codes.WARNING_NO_CONDUCTIVITY.format(message=message)
        return None

    def _section(self, name: str, **extra: Any) -> Dict:
        return Dict(self.ctx.settings[name] | extra)

    def _temperatures(self) -> list[tuple[float, str]]:
        """Temperatures that have a trajectory, lowest first, with their labels."""
        pairs = [(float(value), temperature_label(value)) for value in sorted(self.ctx.settings["temperatures"])]
        return [pair for pair in pairs if pair[1] in self.ctx.trajectories]


def _supercell_of(trajectory: Any) -> list[int]:
    """Supercell of the MD run that made a trajectory, from its provenance."""
    try:
        return trajectory.creator.inputs.parameters["supercell"]
    except (NotExistent, AttributeError) as error:
        raise ValueError(f"the trajectory <{trajectory.pk}> does not say from which supercell it is") from error
