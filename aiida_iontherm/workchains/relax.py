"""Work chain ``iontherm.relax``: the start structure relaxed with the reference engine."""

from __future__ import annotations

from aiida.engine import ExitCode, ProcessSpec, ToContext, while_
from aiida.orm import Dict, StructureData
from aiida.plugins import WorkflowFactory

from aiida_iontherm.data import ConfigurationsData
from aiida_iontherm.materials.space_group import space_group
from aiida_iontherm.workchains.base import Chain, engine_of


class RelaxWorkChain(Chain):
    """Relax positions and, if wanted, the lattice, again from where it ended while forces are left."""

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Declare ports and outline."""
        super().define(spec)
        spec.input("structure", valid_type=StructureData, help="Cell to relax.")
        spec.input("engine", valid_type=Dict, help="Section `engine` of the settings.")
        spec.input("settings", valid_type=Dict, help="Section `relax` of the settings.")
        spec.outline(cls.setup, while_(cls.should_relax)(cls.relax, cls.inspect), cls.finish)
        spec.output("structure", valid_type=StructureData, help="Relaxed cell, its sites in the order of the input.")
        spec.output("configurations", valid_type=ConfigurationsData, help="The same with energy, forces and stress.")
        spec.output("output_parameters", valid_type=Dict, help="Energy, largest force, change of the volume.")
        spec.exit_code(
            501,
            "ERROR_NOT_RELAXED",
            message="The cell did not come to rest in {rounds} relaxations: the largest force is {force:.2g} "
            "eV/Angstrom. Raise relax.max_steps or relax.rounds, or loosen relax.force_tolerance.",
        )
        spec.exit_code(
            502,
            "ERROR_SYMMETRY_LOST",
            message="The relaxation lowered the space group from {before} to {after}, and its force constants and mesh "
            "would be those of another phase. Is this phase stable with this engine? Keep the measured cell "
            "(relax.relax_cell: false), or allow it (relax.symmetry_lost: tell).",
        )

    def setup(self) -> None:
        """Start from the input."""
        self.ctx.round = 0
        self.ctx.structure = self.inputs.structure
        self.ctx.at_rest = False
        settings = self.inputs.settings.get_dict()
        self.ctx.rounds = settings.pop("rounds", 3)
        self.ctx.symmetry_lost = settings.pop("symmetry_lost", "tell")
        self.ctx.settings = settings

    def should_relax(self) -> bool:
        """Whether forces are left and another round is allowed."""
        return not self.ctx.at_rest and self.ctx.round < self.ctx.rounds

    def relax(self) -> ToContext:
        """Let the engine relax, from where the last round ended."""
        self.ctx.round += 1
        job = engine_of(self.inputs).relax(self.ctx.structure, self.ctx.settings)
        process = WorkflowFactory(job.process)
        label = "relaxation" if self.ctx.round == 1 else f"relaxation_{self.ctx.round}"
        return ToContext(relaxation=self.submit(process, **job.inputs, metadata={"call_link_label": label}))

    def inspect(self) -> ExitCode | None:
        """Take the cell; a relaxation that ran out of steps goes on from there."""
        failed = self.failure("the relaxation", self.ctx.relaxation)
        if failed is not None:
            return failed
        try:
            relaxed = engine_of(self.inputs).relaxed(self.ctx.structure, self.ctx.relaxation)
        except ValueError as error:
            return self.exit_codes.ERROR_RESULTS.format(message=str(error))
        self.ctx.structure = relaxed.structure
        self.ctx.configurations = relaxed.configurations
        self.ctx.figures = relaxed.output_parameters
        self.ctx.at_rest = relaxed.output_parameters.get_dict().get("converged", True)
        if not self.ctx.at_rest:
            self.report(f"relaxation {self.ctx.round} of {self.ctx.rounds} ended before the atoms came to rest")
        return None

    def finish(self) -> ExitCode | None:
        """Hand out the cell, whatever it is, and say what is wrong with it."""
        self.out("structure", self.ctx.structure)
        self.out("configurations", self.ctx.configurations)
        self.out("output_parameters", self.ctx.figures)
        if not self.ctx.at_rest:
            force = self.ctx.figures["max_force_ev_per_angstrom"]
            return self.exit_codes.ERROR_NOT_RELAXED.format(rounds=self.ctx.rounds, force=force)
        before, after = (space_group(node.get_ase()) for node in (self.inputs.structure, self.ctx.structure))
        if after.is_lower_than(before):
            self.report(f"the relaxation lowered the space group from {before} to {after}")
            if self.ctx.symmetry_lost == "stop":
                return self.exit_codes.ERROR_SYMMETRY_LOST.format(before=before, after=after)
        return None
