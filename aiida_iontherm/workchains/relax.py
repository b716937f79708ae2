"""Work chain ``iontherm.relax``: the start structure relaxed with the reference engine."""

from __future__ import annotations

from aiida.engine import ExitCode, ProcessSpec, ToContext
from aiida.orm import Dict, StructureData
from aiida.plugins import WorkflowFactory

from aiida_iontherm.data import ConfigurationsData
from aiida_iontherm.workchains.base import Chain, engine_of


class RelaxWorkChain(Chain):
    """Relax positions and, if wanted, the lattice."""

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Declare ports and outline."""
        super().define(spec)
        spec.input("structure", valid_type=StructureData, help="Cell to relax.")
        spec.input("engine", valid_type=Dict, help="Section `engine` of the settings.")
        spec.input("settings", valid_type=Dict, help="Section `relax` of the settings.")
        spec.outline(cls.relax, cls.inspect)
        spec.output("structure", valid_type=StructureData, help="Relaxed cell, its sites in the order of the input.")
        spec.output("configurations", valid_type=ConfigurationsData, help="The same with energy, forces and stress.")
        spec.output("output_parameters", valid_type=Dict, help="Energy, largest force, change of the volume.")

    def relax(self) -> ToContext | ExitCode:
        """Let the engine relax."""
        engine = engine_of(self.inputs)
        job = engine.relax(self.inputs.structure, self.inputs.settings.get_dict())
        process = WorkflowFactory(job.process)
        return ToContext(relaxation=self.submit(process, **job.inputs, metadata={"call_link_label": "relaxation"}))

    def inspect(self) -> ExitCode | None:
        """Hand out what came of it."""
        failed = self.failure("the relaxation", self.ctx.relaxation)
        if failed is not None:
            return failed
        try:
            relaxed = engine_of(self.inputs).relaxed(self.inputs.structure, self.ctx.relaxation)
        except ValueError as error:
            return self.exit_codes.ERROR_RESULTS.format(message=str(error))
        self.out("structure", relaxed.structure)
        self.out("configurations", relaxed.configurations)
        self.out("output_parameters", relaxed.output_parameters)
        return None
