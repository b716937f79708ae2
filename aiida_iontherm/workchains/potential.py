"""Work chain ``iontherm.potential``: a potential trained for one compound, explored with and refined.

Active learning by D-optimality (E. V. Podryabinkin and A. V. Shapeev, Comput. Mater. Sci. 140, 171 (2017)), as in Li
et al., doi 10.1002/adma.202513381. Each round runs MD with the potential at all temperatures and volumes, grades every
few steps how far it extrapolates, labels the few frames that make all others known, and trains again. Some frames are
labelled whatever their grade: the potential has not seen them, which makes the comparison an honest test.
"""

from __future__ import annotations

from typing import Any

from aiida.engine import ExitCode, ProcessSpec, ToContext, if_, while_
from aiida.orm import Dict, StructureData

from aiida_iontherm.calculations.active_learning import collect_rounds, compare_generations, record_round
from aiida_iontherm.calculations.functions import check_potential, merge_configurations, sample_snapshots
from aiida_iontherm.data import ConfigurationsData, ParityData, PotentialData
from aiida_iontherm.materials.supercells import supercell_matrix
from aiida_iontherm.workchains.base import Chain
from aiida_iontherm.workchains.diffusion import temperature_label
from aiida_iontherm.workchains.dynamics import DynamicsWorkChain
from aiida_iontherm.workchains.mlip import PROGRAM_KEYS, is_mlip, validate_program
from aiida_iontherm.workchains.reference_set import ReferenceSetWorkChain
from aiida_iontherm.workchains.select import SelectWorkChain
from aiida_iontherm.workchains.train import TrainWorkChain

TRAINING_KEYS = ("level", "cutoff", "radial_size", "weights", "validation_fraction", "max_iterations", "tolerance")
GRADE_KEYS = ("grade_interval", "grade_select", "grade_break")
CRITERIA_KEYS = ("force_constant_tolerance", "force_error_target")

MIN_SNAPSHOTS = 20
"""Of each exploration run, for test frames to be taken from."""


class PotentialWorkChain(Chain):
    """Reference set, then train -> explore -> select -> label until nothing new is met or nothing changes."""

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Declare ports, outline and exit codes."""
        super().define(spec)
        spec.input("structure", valid_type=StructureData, help="Relaxed unit cell.")
        spec.input("engine", valid_type=Dict, help="Section `engine` of the settings.")
        spec.input("reference", valid_type=Dict, help="Section `reference` of the settings.")
        spec.input(
            "settings",
            valid_type=Dict,
            validator=validate_program,
            help="Section `potential` of the settings, and a seed.",
        )
        spec.outline(
            cls.sample_reference,
            cls.inspect_reference,
            cls.train,
            cls.inspect_training,
            while_(cls.should_explore)(
                cls.explore,
                cls.inspect_exploration,
                if_(cls.has_candidates)(
                    cls.select,
                    cls.inspect_selection,
                ),
                if_(cls.has_new_frames)(
                    cls.label,
                    cls.inspect_labels,
                ),
                if_(cls.should_retrain)(
                    cls.train,
                    cls.inspect_training,
                ),
                cls.conclude_round,
            ),
            cls.finish,
        )
        spec.output("potential", valid_type=PotentialData, help="Last generation, with its active set.")
        spec.output("parity", valid_type=ParityData, help="Reference against predicted values of the last generation.")
        spec.output("training", valid_type=Dict, help="Errors of the last generation, see the task `train`.")
        spec.output("configurations", valid_type=ConfigurationsData, help="All labelled configurations.")
        spec.output("test", valid_type=Dict, required=False, help="Errors on explored frames before they were added.")
        spec.output("active_learning", valid_type=Dict, help="Record of each round, and why there was no further one.")

    def sample_reference(self) -> ToContext:
        """Run short reference MD at several temperatures and volumes, and rattle strained cells."""
        self.ctx.round = 0
        self.ctx.stage = 0
        self.ctx.records = {}
        self.ctx.verdict = None
        settings = self.inputs.reference.get_dict() | {"seed": self.inputs.settings["seed"]}
        return ToContext(
            reference=self.submit(
                ReferenceSetWorkChain,
                **self.common_inputs(),
                structure=self.inputs.structure,
                engine=self.inputs.engine,
                settings=Dict(settings),
                metadata={"call_link_label": "reference_set"},
            )
        )

    def inspect_reference(self) -> ExitCode | None:
        """Start the training set."""
        self.ctx.configurations = None
        if self.ctx.reference.is_finished_ok:
            self.ctx.configurations = self.ctx.reference.outputs.configurations
        return self.failure("the reference set", self.ctx.reference)

    def train(self) -> ToContext:
        """Train on all labelled configurations, anew: radial functions that never saw the new ones would lag."""
        settings = self.inputs.settings.get_dict()
        return ToContext(
            training=self.submit(
                TrainWorkChain,
                **self.common_inputs(),
                configurations=self.ctx.configurations,
                settings=Dict({key: settings[key] for key in (*TRAINING_KEYS, "seed")} | self._program()),
                metadata={"call_link_label": f"train_{self.ctx.round}"},
            )
        )

    def inspect_training(self) -> ExitCode | None:
        """Check the training."""
        return self.failure("training", self.ctx.training)

    def should_explore(self) -> bool:
        """Whether another round is wanted."""
        limit = self.inputs.settings["max_rounds"]
        if self.ctx.verdict is None and self.ctx.round >= limit:
            reason = f"the limit of {limit} rounds was reached" if limit else "no exploration was asked for"
            self.ctx.verdict = {"converged": False, "reason": reason}
        return self.ctx.verdict is None

    def explore(self) -> ToContext:
        """Run graded MD with the potential at each temperature and volume, as long as the stage says."""
        self.ctx.round += 1
        self.ctx.explored_with = self.ctx.training
        self.ctx.selection = self.ctx.labels = None
        self.ctx.runs = self._runs()
        settings, reference = self.inputs.settings, self.inputs.reference
        common = {
            "supercell": self._supercell(),
            "timestep_fs": reference["timestep_fs"],
            "equilibration_ps": 0.0,
            "production_ps": settings["explore_ps"][self.ctx.stage],
            "ensemble": "nvt",
            "snapshots": max(MIN_SNAPSHOTS, settings["test_frames"]),
            **{key: settings[key] for key in GRADE_KEYS},
        }
        children = {}
        for index, (name, where) in enumerate(self.ctx.runs.items()):
            seed = settings["seed"] + 1000 * self.ctx.round + index
            children[name] = self.submit(
                DynamicsWorkChain,
                **self.common_inputs(),
                structure=self.inputs.structure,
                potential=self.ctx.training.outputs.potential,
                settings=Dict(common | where | {"seed": seed}),
                metadata={"call_link_label": f"explore_{self.ctx.round}_{name}"},
            )
        return ToContext(**children)

    def inspect_exploration(self) -> ExitCode | None:
        """Take stock of the runs; one that broke has candidates to offer, one that failed has nothing."""
        nodes = {name: self.ctx[name] for name in self.ctx.runs}
        failures = {name: self.failure("exploration", node) for name, node in nodes.items()}
        self.ctx.explored = [name for name, failed in failures.items() if failed is None]
        return None if self.ctx.explored else next(iter(failures.values()))

    def has_candidates(self) -> bool:
        """Whether any run met a frame above the threshold of selection."""
        return bool(self._of_runs("candidates"))

    def select(self) -> ToContext:
        """Choose the few candidates that make all others known."""
        settings = self.inputs.settings
        return ToContext(
            selection=self.submit(
                SelectWorkChain,
                **self.common_inputs(),
                potential=self.ctx.training.outputs.potential,
                candidates=self._of_runs("candidates"),
                settings=Dict({key: settings[key] for key in ("grade_select", "max_selected")} | self._program()),
                metadata={"call_link_label": f"select_{self.ctx.round}"},
                **({"configurations": self.ctx.configurations} if self._program() else {}),
            )
        )

    def inspect_selection(self) -> ExitCode | None:
        """Check the selection."""
        return self.failure("the selection", self.ctx.selection)

    def has_new_frames(self) -> bool:
        """Whether there is anything to label: what was selected, and snapshots for the test."""
        return self._selected() > 0 or bool(self._of_runs("snapshots"))

    def label(self) -> ToContext:
        """Label what was selected and, for the test, snapshots at equal intervals."""
        parts = {}
        if self._selected():
            parts["set_0"] = self.ctx.selection.outputs.configurations
        snapshots = self._of_runs("snapshots")
        if snapshots:
            parts["set_1"] = sample_snapshots(Dict({"count": self.inputs.settings["test_frames"]}), **snapshots)
        frames = merge_configurations(**parts) if len(parts) > 1 else next(iter(parts.values()))
        return ToContext(
            labels=self.submit(
                ReferenceSetWorkChain,
                **self.common_inputs(),
                configurations=frames,
                engine=self.inputs.engine,
                metadata={"call_link_label": f"label_{self.ctx.round}"},
            )
        )

    def inspect_labels(self) -> ExitCode | None:
        """Test the potential on the new labels, those of high grade apart, and add them to the training set."""
        failed = self.failure("labelling", self.ctx.labels)
        if failed is not None:
            return failed
        labelled, figures = self.ctx.labels.outputs.configurations, self.ctx.labels.outputs.output_parameters.get_dict()
        potential = self.ctx.training.outputs.potential
        # A program may fail on single cells; those selected stand first.
        selected = self._selected()
        selected -= sum(index < selected for index in figures.get("missing", []))
        count = figures["frames"] - selected
        self.ctx.tests = {}
        if count:
            self.ctx.tests["test"] = check_potential(potential, labelled, Dict({"first": selected, "count": count}))
            self.ctx.test = self.ctx.tests["test"]
        if selected:
            self.ctx.tests["selected_test"] = check_potential(
                potential, labelled, Dict({"first": 0, "count": selected})
            )
        self.ctx.configurations = merge_configurations(set_0=self.ctx.configurations, set_1=labelled)
        return None

    def should_retrain(self) -> bool:
        """Whether the round has met anything that the potential does not know."""
        return self._selected() > 0

    def conclude_round(self) -> None:
        """Record the round; go on to longer runs, or end, if it met nothing new or the force constants have settled."""
        settings = self.inputs.settings
        length = settings["explore_ps"][self.ctx.stage]
        facts = {
            "round": self.ctx.round,
            "length_ps": length,
            "runs": self.ctx.runs,
            **{key: settings[key] for key in CRITERIA_KEYS},
        }
        parts = self._of_runs("output_parameters")
        if self.ctx.selection is not None:
            parts["selection"] = self.ctx.selection.outputs.output_parameters
        if self.ctx.labels is not None:
            parts |= self.ctx.tests
        if self.should_retrain():
            parts["training"] = self.ctx.training.outputs.output_parameters
            parts["change"] = compare_generations(
                self.ctx.explored_with.outputs.potential,
                self.ctx.training.outputs.potential,
                self.inputs.structure,
                Dict({"supercell": self._supercell()}),
            )
        record = record_round(Dict(facts), **parts)
        self.ctx.records[f"round_{self.ctx.round:03d}"] = record
        self.report(_summary(record.get_dict()))
        reason = _reason_to_stop(record.get_dict(), settings.get_dict())
        if reason is None:
            return
        if self.ctx.stage + 1 < len(settings["explore_ps"]):
            self.ctx.stage += 1
        else:
            self.ctx.verdict = {"converged": True, "reason": reason}

    def finish(self) -> None:
        """Attach the outputs."""
        training = self.ctx.training.outputs
        self.out("potential", training.potential)
        self.out("parity", training.parity)
        self.out("training", training.output_parameters)
        self.out("configurations", self.ctx.configurations)
        if "test" in self.ctx:
            self.out("test", self.ctx.test)
        self.out("active_learning", collect_rounds(Dict(self.ctx.verdict), **self.ctx.records))

    def _runs(self) -> dict[str, dict[str, float]]:
        """Names of the exploration runs with their temperatures and volumes."""
        settings = self.inputs.settings
        return {
            f"{temperature_label(temperature)}_V{volume:g}".replace(".", "_"): {
                "temperature": temperature,
                "volume_scaling": volume,
            }
            for temperature in settings["explore_temperatures"]
            for volume in settings["explore_volumes"]
        }

    def _supercell(self) -> list[int]:
        reference = self.inputs.reference
        atoms = self.inputs.structure.get_ase()
        return list(supercell_matrix(atoms, reference["min_extent"], max_atoms=reference["max_atoms"]))

    def _of_runs(self, output: str) -> dict[str, Any]:
        """Return an output of those exploration runs that have it."""
        return {name: self.ctx[name].outputs[output] for name in self.ctx.explored if output in self.ctx[name].outputs}

    def _program(self) -> dict[str, Any]:
        """Return the settings that say which other program trains and selects, if one does."""
        settings = self.inputs.settings.get_dict()
        return {key: settings[key] for key in PROGRAM_KEYS if key in settings} if is_mlip(settings) else {}

    def _selected(self) -> int:
        """Return the number of candidates to learn from."""
        return 0 if self.ctx.selection is None else self.ctx.selection.outputs.output_parameters["selected"]


def _reason_to_stop(record: dict[str, Any], settings: dict[str, Any]) -> str | None:
    """Say which criterion a round meets, or nothing."""
    criteria = record["criteria"]
    if criteria["nothing_selected"]:
        return (
            f"no frame above a grade of {settings['grade_select']:g} was met in {record['length_ps']:g} ps at each of "
            f"{_list(settings['explore_temperatures'])} K and volumes {_list(settings['explore_volumes'])}"
        )
    if criteria["force_constants_settled"]:
        return (
            f"the last training changed the force constants by {100 * record['force_constant_change']:.2g} %, at most "
            f"{100 * settings['force_constant_tolerance']:g} % were allowed, and no run of {record['length_ps']:g} ps "
            "broke"
        )
    return None


def _list(values: list[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _summary(record: dict[str, Any]) -> str:
    """One line about a round."""
    broken = [run for run in record["runs"] if run["broke_at_ps"] is not None]
    parts = [
        f"round {record['round']}: {len(record['runs'])} runs of {record['length_ps']:g} ps, {len(broken)} broke",
        f"{record['selected']} of {record['candidates']} candidates selected",
    ]
    if record["max_grade"] is not None:
        parts.append(f"largest grade {record['max_grade']:.3g}")
    if record["test_error"] is not None:
        parts.append(f"force error on unseen frames {100 * record['test_error']:.1f} %")
    if record["force_constant_change"] is not None:
        parts.append(f"force constants changed by {100 * record['force_constant_change']:.1f} %")
    return ", ".join(parts)
