"""ASE calculator of a moment tensor potential."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from aiida_iontherm.physics.mtp.kernel import Kernel

if TYPE_CHECKING:
    from ase import Atoms

    from aiida_iontherm.physics.mtp.potential import MomentTensorPotential


class MtpCalculator(Calculator):
    """Energy, per-atom energies, forces and stress for ASE; the neighbour list lives as long as the calculator."""

    # A plain list, as ASE declares it in its base class.
    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress"]  # noqa: RUF012

    def __init__(self, potential: MomentTensorPotential, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.potential = potential
        self._kernel = Kernel(potential)

    def forget_neighbours(self) -> None:
        """Rebuild the neighbour list at the next call.

        Sums over neighbours then come in the order of a fresh start, which makes a continued run identical, bit by
        bit, to one that was never interrupted.
        """
        self._kernel.reset()
        self.results = {}

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | tuple[str, ...] = ("energy",),
        system_changes: list[str] = all_changes,
    ) -> None:
        """Evaluate all properties at once: the potential yields them together."""
        super().calculate(atoms, properties, system_changes)
        evaluation = self._kernel.evaluate(self.atoms)
        self.results = {
            "energy": evaluation.energy,
            "free_energy": evaluation.energy,
            "energies": evaluation.energies,
            "forces": evaluation.forces,
        }
        if evaluation.stress is not None:
            self.results["stress"] = full_3x3_to_voigt_6_stress(evaluation.stress)
