"""Work chain ``iontherm.displaced_force_constants``: from a structure and an engine to its force constants.

The straight way, without a potential and without molecular dynamics: supercells with displaced atoms, their forces from
the engine, a fit.
"""

from __future__ import annotations

from typing import Any

from aiida.engine import ExitCode, ProcessSpec, ToContext, if_
from aiida.orm import Dict, StructureData

from aiida_iontherm.calculations.functions import displace_atoms
from aiida_iontherm.data import ForceConstantsData
from aiida_iontherm.materials.supercells import supercell_matrix
from aiida_iontherm.workchains.base import Chain
from aiida_iontherm.workchains.force_constants import ForceConstantsWorkChain
from aiida_iontherm.workchains.reference_set import ReferenceSetWorkChain
from aiida_iontherm.workchains.relax import RelaxWorkChain

DISPLACEMENTS = {"min_extent": 12.0, "max_atoms": 200, "count": 40, "distance": 0.03, "seed": 0}
FITTING = {"cutoffs": [8.0, 5.0], "fit_method": "ridge", "blocks": 4}


def _validate_displacements(node: Dict | None, _port: Any) -> str | None:
    unknown = set() if node is None else set(node.get_dict()) - set(DISPLACEMENTS)
    if unknown:
        return f"unknown keys {', '.join(sorted(unknown))}: there are {', '.join(DISPLACEMENTS)}"
    return None


class DisplacedForceConstantsWorkChain(Chain):
    """Relax if asked to, displace, label, fit."""

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Declare ports, outline and exit codes."""
        super().define(spec)
        spec.input("structure", valid_type=StructureData, help="Unit cell.")
        spec.input("engine", valid_type=Dict, help="Section `engine` of the settings.")
        spec.input(
            "relax", valid_type=Dict, required=False, help="Section `relax` of the settings; without it no relaxation."
        )
        spec.input(
            "displacements",
            valid_type=Dict,
            required=False,
            validator=_validate_displacements,
            help="min_extent (Angstrom) and max_atoms of the supercell, count, distance (Angstrom), seed.",
        )
        spec.input("fitting", valid_type=Dict, required=False, help="Section `force_constants` of the settings.")
        spec.outline(if_(cls.should_relax)(cls.relax, cls.inspect_relax), cls.label, cls.fit, cls.results)
        spec.output("structure", valid_type=StructureData, required=False, help="Relaxed cell.")
        spec.output("force_constants", valid_type=ForceConstantsData, help="Of all orders that have a cutoff.")
        spec.output("fit", valid_type=Dict, help="Figures of the fit.")

    def should_relax(self) -> bool:
        """Whether the cell is to be relaxed first; residual forces would spoil the force constants."""
        self.ctx.structure = self.inputs.structure
        return "relax" in self.inputs

    def relax(self) -> ToContext:
        """Relax with the engine."""
        return ToContext(
            relaxed=self.submit(
                RelaxWorkChain,
                **self.common_inputs(),
                structure=self.inputs.structure,
                engine=self.inputs.engine,
                settings=self.inputs.relax,
                metadata={"call_link_label": "relax"},
            )
        )

    def inspect_relax(self) -> ExitCode | None:
        """Go on with the relaxed cell."""
        if (failed := self.failure("the relaxation", self.ctx.relaxed)) is not None:
            return failed
        self.ctx.structure = self.ctx.relaxed.outputs.structure
        self.out("structure", self.ctx.structure)
        return None

    def label(self) -> ToContext:
        """Displace the atoms and let the engine tell the forces."""
        given = self.inputs.displacements.get_dict() if "displacements" in self.inputs else {}
        settings = DISPLACEMENTS | given
        atoms = self.ctx.structure.get_ase()
        supercell = supercell_matrix(atoms, settings.pop("min_extent"), max_atoms=settings.pop("max_atoms"))
        self.ctx.supercell = list(supercell)
        displaced = displace_atoms(self.ctx.structure, Dict(settings | {"supercell": self.ctx.supercell}))
        return ToContext(
            labelled=self.submit(
                ReferenceSetWorkChain,
                **self.common_inputs(),
                configurations=displaced,
                engine=self.inputs.engine,
                metadata={"call_link_label": "label"},
            )
        )

    def fit(self) -> ExitCode | ToContext:
        """Fit all orders to all forces."""
        if (failed := self.failure("the labelling of displaced supercells", self.ctx.labelled)) is not None:
            return failed
        given = self.inputs.fitting.get_dict() if "fitting" in self.inputs else {}
        settings = FITTING | given | {"supercell": self.ctx.supercell, "reference": "ideal"}
        return ToContext(
            fitted=self.submit(
                ForceConstantsWorkChain,
                **self.common_inputs(),
                structure=self.ctx.structure,
                configurations=self.ctx.labelled.outputs.configurations,
                settings=Dict(settings),
                metadata={"call_link_label": "force_constants"},
            )
        )

    def results(self) -> ExitCode | None:
        """Hand up the force constants and how good they are."""
        if (failed := self.failure("the fit of the force constants", self.ctx.fitted)) is not None:
            return failed
        self.out("force_constants", self.ctx.fitted.outputs.force_constants)
        self.out("fit", self.ctx.fitted.outputs.output_parameters)
        return None
