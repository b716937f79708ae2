"""Work chain ``iontherm.potential``: a potential trained for one compound, explored with and refined.

Each round runs MD with the potential, labels frames of it with the reference engine and compares. That comparison is
an honest test: the potential has not seen these frames. If the error is too large they join the training set.
"""

from __future__ import annotations

from typing import Any

from aiida.engine import ExitCode, ProcessSpec, ToContext, while_
from aiida.orm import Dict, StructureData

from aiida_iontherm.calculations.functions import check_potential, merge_configurations, select_configurations
from aiida_iontherm.data import ConfigurationsData, ParityData, PotentialData
from aiida_iontherm.materials.supercells import supercell_matrix
from aiida_iontherm.workchains.base import Chain
from aiida_iontherm.workchains.dynamics import DynamicsWorkChain
from aiida_iontherm.workchains.reference_set import ReferenceSetWorkChain
from aiida_iontherm.workchains.train import TrainWorkChain

TRAINING_KEYS = ("level", "cutoff", "radial_size", "weights", "validation_fraction", "max_iterations", "tolerance")


class PotentialWorkChain(Chain):
    """Reference set, then train -> explore -> select -> label until the error on unseen frames is small enough."""

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Declare ports, outline and exit codes."""
        super().define(spec)
        spec.input("structure", valid_type=StructureData, help="Relaxed unit cell.")
        spec.input("engine", valid_type=Dict, help="Section `engine` of the settings.")
        spec.input("reference", valid_type=Dict, help="Section `reference` of the settings.")
        spec.input("settings", valid_type=Dict, help="Section `potential` of the settings, and a seed.")
        spec.outline(
            cls.sample_reference,
            cls.inspect_reference,
            cls.train,
            cls.inspect_training,
            while_(cls.should_explore)(
                cls.explore,
                cls.inspect_exploration,
                cls.label,
                cls.inspect_labels,
                cls.retrain,
                cls.inspect_training,
            ),
            cls.finish,
        )
        spec.output("potential", valid_type=PotentialData, help="Last generation.")
        spec.output("parity", valid_type=ParityData, help="Reference against predicted values of the last generation.")
        spec.output("training", valid_type=Dict, help="Errors of the last generation, see the task `train`.")
        spec.output("configurations", valid_type=ConfigurationsData, help="All labelled configurations.")
        spec.output("test", valid_type=Dict, required=False, help="Errors on explored frames before they were added.")

    def sample_reference(self) -> ToContext:
        """Run short reference MD at several temperatures and volumes."""
        self.ctx.round = 0
        self.ctx.accurate = False
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
        """Train the first generation."""
        return self._submit_training()

    def retrain(self) -> ToContext | None:
        """Train the next generation, from where the last one stood, unless the last one passed the test."""
        return None if self.ctx.accurate else self._submit_training(start=self.ctx.training.outputs.potential)

    def inspect_training(self) -> ExitCode | None:
        """Check the training."""
        return self.failure("training", self.ctx.training)

    def should_explore(self) -> bool:
        """Whether another round is wanted."""
        return not self.ctx.accurate and self.ctx.round < self.inputs.settings["max_rounds"]

    def explore(self) -> ToContext:
        """Run MD with the potential at each exploration temperature."""
        self.ctx.round += 1
        settings = self.inputs.settings
        atoms = self.inputs.structure.get_ase()
        reference = self.inputs.reference
        supercell = supercell_matrix(atoms, reference["min_extent"], max_atoms=reference["max_atoms"])
        runs = {}
        for index, temperature in enumerate(settings["explore_temperatures"]):
            parameters = {
                "supercell": list(supercell),
                "temperature": temperature,
                "timestep_fs": reference["timestep_fs"],
                "equilibration_ps": 0.0,
                "production_ps": settings["explore_ps"],
                "ensemble": "nvt",
                "snapshots": max(20, settings["explore_frames"]),
                "seed": settings["seed"] + 1000 * self.ctx.round + index,
            }
            runs[f"explore_{index}"] = self.submit(
                DynamicsWorkChain,
                **self.common_inputs(),
                structure=self.inputs.structure,
                potential=self.ctx.training.outputs.potential,
                settings=Dict(parameters),
                metadata={"call_link_label": f"explore_{self.ctx.round}_{temperature:.0f}K"},
            )
        return ToContext(**runs)

    def inspect_exploration(self) -> ExitCode | None:
        """Select frames of the runs that held; a run that blew up has nothing to offer that could be labelled."""
        runs = {
            f"run_{index}": self.ctx[f"explore_{index}"]
            for index in range(len(self.inputs.settings["explore_temperatures"]))
        }
        good = {name: node.outputs.snapshots for name, node in runs.items() if node.is_finished_ok}
        for node in runs.values():
            self.failure("exploration", node)
        if not good:
            return self.failure("exploration", next(iter(runs.values())))
        self.ctx.selected = select_configurations(
            settings=Dict({"count": self.inputs.settings["explore_frames"]}), **good
        )
        return None

    def label(self) -> ToContext:
        """Label the selected frames."""
        return ToContext(
            labels=self.submit(
                ReferenceSetWorkChain,
                **self.common_inputs(),
                configurations=self.ctx.selected,
                engine=self.inputs.engine,
                metadata={"call_link_label": f"label_{self.ctx.round}"},
            )
        )

    def inspect_labels(self) -> ExitCode | None:
        """Test the potential on the new labels and add them to the training set."""
        failed = self.failure("labelling", self.ctx.labels)
        if failed is not None:
            return failed
        new = self.ctx.labels.outputs.configurations
        self.ctx.test = check_potential(self.ctx.training.outputs.potential, new)
        relative = self.ctx.test["force_rmse_ev_per_angstrom"] / self.ctx.test["force_rms_ev_per_angstrom"]
        self.ctx.accurate = relative <= self.inputs.settings["force_error_target"]
        self.report(f"round {self.ctx.round}: force error on unseen frames {100 * relative:.1f} %")
        if not self.ctx.accurate:
            self.ctx.configurations = merge_configurations(set_0=self.ctx.configurations, set_1=new)
        return None

    def finish(self) -> None:
        """Attach the outputs."""
        training = self.ctx.training.outputs
        self.out("potential", training.potential)
        self.out("parity", training.parity)
        self.out("training", training.output_parameters)
        self.out("configurations", self.ctx.configurations)
        if "test" in self.ctx:
            self.out("test", self.ctx.test)

    def _submit_training(self, start: PotentialData | None = None) -> ToContext:
        settings = self.inputs.settings.get_dict()
        parameters: dict[str, Any] = {key: settings[key] for key in (*TRAINING_KEYS, "seed")}
        inputs = {} if start is None else {"start": start}
        return ToContext(
            training=self.submit(
                TrainWorkChain,
                **self.common_inputs(),
                configurations=self.ctx.configurations,
                settings=Dict(parameters),
                metadata={"call_link_label": f"train_{self.ctx.round}"},
                **inputs,
            )
        )
