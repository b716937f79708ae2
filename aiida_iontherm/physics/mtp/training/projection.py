"""The loss as a function of the radial coefficients alone (variable projection).

For given radial functions the energy is linear in the species and moment coefficients. They are eliminated by least
squares, and what is left depends on the radial coefficients only (G. H. Golub, V. Pereyra, SIAM J. Numer. Anal. 10,
413 (1973)). By the envelope theorem its gradient is the partial derivative at the solved linear coefficients: one
reverse sweep, no Jacobian. Its Gauss-Newton matrix is that of the radial columns of the Jacobian with their components
along the linear columns taken out (L. Kaufman, BIT 15, 49 (1975)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aiida_iontherm.physics.mtp.potential import MomentTensorPotential
from aiida_iontherm.physics.mtp.training.configuration import Configuration
from aiida_iontherm.physics.mtp.training.gauge import normalised
from aiida_iontherm.physics.mtp.training.least_squares import TriangularFactor, solve_ridge
from aiida_iontherm.physics.mtp.training.loss import Part, Weights, n_rows

Array = npt.NDArray[np.float64]

ROWS_PER_COEFFICIENT = 10
"""Size of the first part: enough rows that a fit to it alone is a fair first guess."""

PART_GROWTH = 4
"""Each part makes the data so far this much larger, as long as memory allows."""

PART_BYTES = 1.28e8
"""Memory of the rows of one part, all coefficients side by side; the work on a part needs about four times as much."""

DIFFERENCE_STEP = 1e-6
"""Step of the difference quotients of the Jacobian, in units of the root mean square radial coefficient.

It makes an error of about 1e-6 by curvature and 1e-9 by rounding; Gauss-Newton steps need two digits."""


@dataclass(frozen=True, eq=False)
class Point:
    """Radial coefficients with the best linear ones.

    Attributes
    ----------
    potential : MomentTensorPotential
    loss : float
        In eV^2, over the first `n_parts` parts.
    residuals : tuple of float arrays
        Weighted residual of each of these parts.
    """

    potential: MomentTensorPotential
    loss: float
    residuals: tuple[Array, ...]

    @property
    def n_parts(self) -> int:
        """Number of parts of the data that were fitted."""
        return len(self.residuals)


class ProjectedLoss:
    """Loss of a list of configurations, kept in parts so that memory stays bounded and a part can stand for the whole.

    Parameters
    ----------
    blank : MomentTensorPotential
        Gives everything but the coefficients.
    data : sequence of Configuration
        In an order such that any first part is a fair sample.
    weights : (float, float, float)
    ridge : float
        See `least_squares.solve_ridge`.
    threads : int, optional

    Attributes
    ----------
    parts : list of Part
    """

    def __init__(
        self,
        blank: MomentTensorPotential,
        data: Sequence[Configuration],
        weights: Weights,
        ridge: float,
        threads: int | None = None,
    ) -> None:
        self._blank = blank
        self._ridge = ridge
        self.n_linear = len(blank.species_coeffs) + len(blank.moment_coeffs)
        self.n_radial = blank.radial_coeffs.size
        parts = _in_parts(data, ROWS_PER_COEFFICIENT * self.n_coefficients, PART_BYTES / 8 / self.n_coefficients)
        self.parts = [Part(blank, some, weights, threads) for some in parts]

    @property
    def n_coefficients(self) -> int:
        """Linear and radial coefficients."""
        return self.n_linear + self.n_radial

    def unit_scale(self, radial: Array) -> Array:
        """Bring radial functions to unit scale (see `gauge`), which does not change what can be fitted with them."""
        return normalised(self._blank.replace(radial_coeffs=radial)).radial_coeffs

    def solve(self, radial: Array, n_parts: int) -> Point:
        """Return the best potential with these radial coefficients, on the first parts.

        Parameters
        ----------
        radial : float array [z, z, mu, k]
            Of unit scale (see `unit_scale`).
        n_parts : int
        """
        n_species = len(self._blank.species)
        potential = self._blank.replace(radial_coeffs=radial)
        factor = TriangularFactor(self.n_linear + 1)
        for part in self.parts[:n_parts]:
            factor.add(part.design(potential), part.targets.roots * part.targets.labels)
        linear = solve_ridge(factor.r, self._ridge)
        potential = potential.replace(species_coeffs=linear[:n_species], moment_coeffs=linear[n_species:])
        residuals = tuple(part.residual(potential) for part in self.parts[:n_parts])
        loss = sum(float(residual @ residual) for residual in residuals) / self._weight(range(n_parts))
        return Point(potential, loss, residuals)

    def gradient(self, point: Point) -> Array:
        """Gradient of the projected loss with respect to the radial coefficients, flat."""
        gradient = np.zeros(self._blank.radial_coeffs.shape)
        for part, residual in zip(self.parts, point.residuals, strict=False):
            gradient += part.radial_gradient(point.potential, residual)
        return gradient.ravel() / self._weight(range(point.n_parts))

    def gauss_newton_factor(self, point: Point, chosen: Sequence[int]) -> Array:
        """Upper triangular F such that the loss is about loss + gradient . d + |F d|^2 after a step d.

        The Jacobian is made of difference quotients of predictions, a part at a time, and never stored as a whole.

        Parameters
        ----------
        point : Point
        chosen : sequence of int
            Parts to take it from: all, or a sample when there are very many.
        """
        factor = TriangularFactor(self.n_coefficients)
        for index in chosen:
            part = self.parts[index]
            factor.add(part.design(point.potential), _radial_jacobian(part, point.potential))
        square = np.zeros((self.n_coefficients, self.n_coefficients))
        square[: len(factor.r)] = factor.r
        return square[self.n_linear :, self.n_linear :] / np.sqrt(self._weight(chosen))

    def _weight(self, chosen: Sequence[int]) -> float:
        return sum(self.parts[index].targets.total_weight for index in chosen)


def _radial_jacobian(part: Part, potential: MomentTensorPotential) -> Array:
    """Take the derivatives of the weighted rows with respect to the radial coefficients, [rows, z z mu k]."""
    # Energies of free atoms, which may be huge, have no part in the differences.
    bare = potential.replace(species_coeffs=np.zeros_like(potential.species_coeffs))
    radial = potential.radial_coeffs
    step = DIFFERENCE_STEP * np.sqrt(np.mean(radial**2))
    jacobian = np.empty((len(part.targets.labels), radial.size), order="F")
    for species, of_species in enumerate(np.arange(radial.size).reshape(len(radial), -1)):
        # Only the energies of its own atoms depend on the radial functions of a species.
        base = part.rows(bare, species)
        for index in of_species:
            moved = radial.copy()
            moved.flat[index] += step
            jacobian[:, index] = part.rows(bare.replace(radial_coeffs=moved), species) - base
    jacobian *= part.targets.roots[:, None] / step
    return jacobian


def _in_parts(data: Sequence[Configuration], first_rows: float, most_rows: float) -> list[list[Configuration]]:
    parts: list[list[Configuration]] = [[]]
    total, filled, wanted = 0, 0, min(first_rows, most_rows)
    for entry in data:
        if filled >= wanted:
            parts.append([])
            filled, wanted = 0, min((PART_GROWTH - 1) * total, most_rows)
        parts[-1].append(entry)
        filled += n_rows(entry)
        total += n_rows(entry)
    return parts
