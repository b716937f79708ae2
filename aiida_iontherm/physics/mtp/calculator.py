"""ASE calculator of a moment tensor potential."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from aiida_iontherm.physics.mtp.kernel import DEFAULT_SKIN, Kernel

if TYPE_CHECKING:
    from ase import Atoms

    from aiida_iontherm.physics.mtp.potential import MomentTensorPotential


class MtpCalculator(Calculator):
    """Energy, forces, stress and their per-atom parts for ASE; the neighbour list lives as long as the calculator.

    ``energies`` are those of the neighbourhoods. ``stresses`` are the virials of the atoms, symmetrised, over the
    volume of the cell: their sum is the stress, as with ASE's EMT. Heat currents need the virials themselves
    (`MomentTensorPotential.evaluate`), which are not symmetric.

    Parameters
    ----------
    potential : MomentTensorPotential
    skin : float
        Extra range of the neighbour list in Angstrom.
    threads : int, optional
        By default as many as ``OMP_NUM_THREADS`` says, else one.
    """

    # A plain list, as ASE declares it in its base class.
    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress", "stresses"]  # noqa: RUF012

    def __init__(
        self, potential: MomentTensorPotential, skin: float = DEFAULT_SKIN, threads: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.potential = potential
        self._kernel = Kernel(potential, skin=skin, threads=threads)

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
        evaluation = self._kernel.evaluate(self.atoms, virials="stresses" in properties)
        self.results = {
            "energy": evaluation.energy,
            "free_energy": evaluation.energy,
            "energies": evaluation.energies,
            "forces": evaluation.forces,
        }
        if evaluation.stress is not None:
            self.results["stress"] = full_3x3_to_voigt_6_stress(evaluation.stress)
        elif {"stress", "stresses"} & set(properties):
            raise PropertyNotImplementedError("there is no stress without a three-dimensional cell")
        if evaluation.virials is not None:
            # virials[j] = sum_i (r_i - r_j) dU_i/dr_j, opposite to the derivative with respect to a strain
            symmetric = -(evaluation.virials + evaluation.virials.swapaxes(1, 2)) / (2 * self.atoms.cell.volume)
            self.results["stresses"] = full_3x3_to_voigt_6_stress(symmetric)
