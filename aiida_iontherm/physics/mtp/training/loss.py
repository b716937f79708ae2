r"""The loss that training lowers.

    L = 1/sum_k w_k  sum_k w_k/N_k [w_E (dE_k)^2 + w_F sum_i |dF_k,i|^2 + w_S V_k^2 |dsigma_k|^2]

over configurations of N_k atoms, in eV^2: forces in eV/Angstrom, the virial V sigma in eV, |dsigma|^2 the sum over all
nine components. The weights w_k of configurations are one unless ``atoms.info["weight"]`` says otherwise; a
configuration without a stress has no third term.

Mind the single division by N_k in front of the squared energy of the whole cell: it makes all three terms grow alike
with the cell. The papers give w_E, w_F, w_S and the name of the program (MLIP) but no formula, and programs differ:
motep, for one, divides the squared energy by N_k^2 by default. So the numbers of a paper are a preset to begin with,
not a recipe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aiida_iontherm.physics.mtp.kernel import TrainingKernel
from aiida_iontherm.physics.mtp.potential import MomentTensorPotential
from aiida_iontherm.physics.mtp.training.configuration import Configuration

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int_]
Weights = tuple[float, float, float]

PAPER_WEIGHTS: Weights = (1.0, 0.1, 0.01)
"""Weights of energies, forces and stresses of Li et al., Adv. Mater. (2025), doi 10.1002/adma.202513381."""


def check_weights(weights: Weights) -> None:
    """Raise ``ValueError`` unless the weights are three numbers from 0 on, those of energies and forces not both 0."""
    if len(weights) != 3 or not all(np.isfinite(weight) and weight >= 0 for weight in weights) or not any(weights[:2]):
        raise ValueError(
            f"the weights of energies, forces and stresses must be three numbers from 0 on, with energies or forces "
            f"in the loss, not {tuple(weights)}"
        )


def n_rows(entry: Configuration) -> int:
    """Count the numbers a configuration is compared by: an energy, 3 N forces, 9 of the virial."""
    return 10 + 3 * len(entry.atoms)


@dataclass(frozen=True)
class Targets:
    """Labels and weights of a list of configurations as flat rows.

    For each configuration come one row of the energy, 3 N of the forces and 9 of the virial: the order of
    `TrainingKernel.design`. The loss is |roots * (predicted - labels)|^2 / total_weight.

    Attributes
    ----------
    labels : float array [rows]
        In eV, eV/Angstrom and eV.
    roots : float array [rows]
        Square roots of w_k w_E/N_k, w_k w_F/N_k, w_k w_S/N_k.
    total_weight : float
        Sum of the weights w_k of the configurations.
    energy_rows, force_rows, virial_rows : int arrays [K], [N_1 + ... + N_K, 3], [K, 3, 3]
        Where they lie among the rows.
    """

    labels: Array
    roots: Array
    total_weight: float
    energy_rows: Integers
    force_rows: Integers
    virial_rows: Integers

    @classmethod
    def of(cls, data: Sequence[Configuration], weights: Weights) -> Targets:
        """Lay out labels and weights."""
        n_atoms = np.array([len(entry.atoms) for entry in data])
        sizes = np.array([n_rows(entry) for entry in data])
        ends = np.cumsum(sizes)
        energy_rows = ends - sizes
        within = np.concatenate([np.arange(n) for n in n_atoms])
        force_rows = (np.repeat(energy_rows, n_atoms) + 1 + 3 * within)[:, None] + np.arange(3)
        virial_rows = (ends - 9)[:, None, None] + np.arange(9).reshape(3, 3)
        shares = np.array([entry.weight for entry in data]) / n_atoms
        has_stress = np.array([entry.stress is not None for entry in data])
        labels, roots = np.empty(ends[-1]), np.empty(ends[-1])
        labels[energy_rows] = [entry.energy for entry in data]
        labels[force_rows] = np.concatenate([entry.forces for entry in data])
        labels[virial_rows] = [entry.virial for entry in data]
        roots[energy_rows] = np.sqrt(weights[0] * shares)
        roots[force_rows] = np.repeat(np.sqrt(weights[1] * shares), n_atoms)[:, None]
        roots[virial_rows] = (np.sqrt(weights[2] * shares) * has_stress)[:, None, None]
        total = float(sum(entry.weight for entry in data))
        return cls(labels, roots, total, energy_rows, force_rows, virial_rows)

    def flat(self, energies: Array, forces: Array, virials: Array) -> Array:
        """Lay out a prediction in rows, without weights."""
        rows = np.empty_like(self.labels)
        rows[self.energy_rows] = energies
        rows[self.force_rows] = forces
        rows[self.virial_rows] = virials
        return rows

    def sensitivities(self, residual: Array) -> tuple[Array, Array, Array]:
        """Differentiate |residual|^2 with respect to energies [K], forces [atoms, 3] and virials [K, 3, 3]."""
        slopes = 2 * self.roots * residual
        return slopes[self.energy_rows], slopes[self.force_rows], slopes[self.virial_rows]


class Part:
    """Some configurations that are predicted together, with their labels."""

    def __init__(
        self, blank: MomentTensorPotential, data: Sequence[Configuration], weights: Weights, threads: int | None = None
    ) -> None:
        self.data = list(data)
        self.kernel = TrainingKernel(blank, [entry.atoms for entry in data], threads)
        self.targets = Targets.of(data, weights)

    def __len__(self) -> int:
        return len(self.data)

    def residual(self, potential: MomentTensorPotential) -> Array:
        """Weighted residual of a potential, [rows]."""
        return self.targets.roots * (self.rows(potential) - self.targets.labels)

    def rows(self, potential: MomentTensorPotential, species: int | None = None) -> Array:
        """Predict energies, forces and virials, [rows], without weights; see `TrainingKernel.predict`."""
        return self.targets.flat(*self.kernel.predict(potential, species))

    def loss(self, potential: MomentTensorPotential) -> float:
        """Loss of a potential on these configurations alone, in eV^2."""
        residual = self.residual(potential)
        return float(residual @ residual) / self.targets.total_weight

    def radial_gradient(self, potential: MomentTensorPotential, residual: Array) -> Array:
        """Gradient of |residual|^2 with respect to the radial coefficients, [z, z, mu, k]."""
        return self.kernel.gradient(potential, *self.targets.sensitivities(residual))[2]

    def design(self, potential: MomentTensorPotential) -> Array:
        """Weighted derivatives of all rows with respect to species and moment coefficients, [rows, z + s]."""
        return self.targets.roots[:, None] * self.kernel.design(potential, 0, len(self))
