"""Work chain ``iontherm.reference_set``: labelled configurations, sampled by reference MD or given."""

from __future__ import annotations

from typing import Any

from aiida.engine import ExitCode, ProcessSpec, ToContext, while_
from aiida.orm import Dict, Node, StructureData
from aiida.plugins import WorkflowFactory

from aiida_iontherm.calculations.base import also_validate
from aiida_iontherm.data import ConfigurationsData
from aiida_iontherm.materials.supercells import supercell_matrix
from aiida_iontherm.workchains.base import Chain, engine_of

MAX_MISSING = 0.1
"""Of given configurations. More failures than these are no accident of single cells."""


def _validate_inputs(value: Any, _context: Any) -> str | None:
    if ("structure" in value) == ("configurations" in value):
        return "give either `structure` (to sample around) or `configurations` (to label)"
    if "structure" in value and "settings" not in value:
        return "sampling needs `settings`"
    return None


def stored(inputs: Any) -> Any:
    """Store all nodes in nested inputs and return them."""
    if isinstance(inputs, dict):
        return {key: stored(value) for key, value in inputs.items()}
    return inputs.store() if isinstance(inputs, Node) else inputs


class ReferenceSetWorkChain(Chain):
    """Sample around a structure, or label given configurations, with the reference engine, a few jobs at a time."""

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Declare ports and outline."""
        super().define(spec)
        spec.input("structure", valid_type=StructureData, required=False, help="Cell to sample around.")
        spec.input("configurations", valid_type=ConfigurationsData, required=False, help="Configurations to label.")
        spec.input("engine", valid_type=Dict, help="Section `engine` of the settings.")
        spec.input("settings", valid_type=Dict, required=False, help="Section `reference` of the settings, and a seed.")
        also_validate(spec, _validate_inputs)
        spec.outline(
            cls.setup,
            while_(cls.jobs_are_waiting)(cls.run_some, cls.inspect_some),
            cls.collect,
        )
        spec.output("configurations", valid_type=ConfigurationsData, help="With energies, forces and stresses.")
        spec.output("output_parameters", valid_type=Dict, help="`frames`, and `missing`: positions without a label.")

    def setup(self) -> None:
        """Let the engine say what is to be run."""
        engine = engine_of(self.inputs)
        if "configurations" in self.inputs:
            jobs = engine.label(self.inputs.configurations)
        else:
            sample = self._sample()
            jobs = engine.sample(self.inputs.structure, sample, sample["supercell"])
        # Between two steps the context is written down, which only stored nodes survive.
        self.ctx.waiting = {name: [job.process, stored(job.inputs)] for name, job in jobs.items()}
        self.ctx.done = []
        self.ctx.first_failure = None

    def jobs_are_waiting(self) -> bool:
        """Whether there is more to run."""
        return bool(self.ctx.waiting)

    def run_some(self) -> ToContext:
        """Submit as many jobs as may be in the queue at once."""
        self.ctx.running = list(self.ctx.waiting)[: engine_of(self.inputs).jobs_at_once]
        nodes = {}
        for name in self.ctx.running:
            process, inputs = self.ctx.waiting.pop(name)
            nodes[name] = self.submit(WorkflowFactory(process), **inputs, metadata={"call_link_label": name})
        return ToContext(**nodes)

    def inspect_some(self) -> ExitCode | None:
        """Report failures; stop early if nothing of a first batch of several came out well."""
        failures = [failed for name in self.ctx.running if (failed := self.failure(name, self.ctx[name])) is not None]
        if failures and self.ctx.first_failure is None:
            self.ctx.first_failure = failures[0].message
        self.ctx.done += self.ctx.running
        # If the first ones all fail, it is for a reason which the rest would meet as well.
        if len(failures) == len(self.ctx.done) and self.ctx.waiting:
            return failures[0]
        return None

    def collect(self) -> ExitCode | None:
        """Join what was computed."""
        nodes = {name: self.ctx[name] for name in self.ctx.done}
        given = self.inputs.get("configurations")
        try:
            labelled = engine_of(self.inputs).collect(
                nodes, configurations=given, sample=self._sample() if given is None else None
            )
        except ValueError as error:
            return self.exit_codes.ERROR_RESULTS.format(message=self.ctx.first_failure or str(error))
        figures = labelled.output_parameters.get_dict()
        missing = figures.get("missing") or []
        wanted = figures["frames"] + len(missing)
        if given is not None and len(missing) > MAX_MISSING * wanted:
            return self.exit_codes.ERROR_RESULTS.format(
                message=f"{len(missing)} of {wanted} configurations got no label, the first because of: "
                f"{self.ctx.first_failure or figures.get('missing_because')}"
            )
        self.out("configurations", labelled.configurations)
        self.out("output_parameters", labelled.output_parameters)
        return None

    def _sample(self) -> dict[str, Any]:
        """Return the settings of the sampling, the supercell among them."""
        settings = self.inputs.settings.get_dict()
        extent, most = settings.pop("min_extent"), settings.pop("max_atoms")
        return settings | {"supercell": list(supercell_matrix(self.inputs.structure.get_ase(), extent, max_atoms=most))}
