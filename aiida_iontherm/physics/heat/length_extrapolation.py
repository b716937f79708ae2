r"""From conductivities of finite length to that of the crystal.

Phonons also scatter at the reservoirs. With the length L between them and Matthiessen's rule

    1/kappa(L) = (1/kappa) (1 + 2 Lambda / L),

so that 1/kappa against 1/L is a line (P. K. Schelling, S. R. Phillpot and P. Keblinski, Phys. Rev. B 65, 144306 (2002),
where 1/Lambda + 4/L_z is written with the whole periodic cell, L_z = 2 L). Lambda is the mean free path of a crystal in
which all modes have the same. With many mean free paths the points bend down towards 1/L = 0, and the line gives too
small a conductivity, unless L is larger than the paths of those modes that carry most of the heat (D. P. Sellan et al.,
Phys. Rev. B 81, 214305 (2010)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.quantity import Quantity
from aiida_iontherm.physics.statistics import weighted_line

LEAST_LENGTHS = 3
POOR_FIT = 0.01
"""Below this probability of chi2 the points are not called a straight line."""

LEAST_SHARE = 0.5
"""The longest cell must have this share of the extrapolated conductivity: else most of it is extrapolation."""

TARGET_RELATIVE_ERROR = 0.1
UNIT = "W/(m K)"


@dataclass(frozen=True, kw_only=True)
class LengthExtrapolation:
    """Conductivity of the infinite crystal.

    Attributes
    ----------
    kappa, uncertainty
        In W/(m K), one standard error; NaN where the line does not meet 1/L = 0 above zero.
    mean_free_path_A, mean_free_path_uncertainty_A
        Lambda.
    lengths_A, kappas, uncertainties
        ``[n]`` what it was made of, by length.
    intercept, slope
        Of 1/kappa in m K/W against 1/L in 1/Angstrom.
    covariance
        ``[2, 2]`` of intercept and slope.
    chi2, degrees_of_freedom, p_value
        Of the line.
    problems
        Why the number cannot count as converged; empty if it can.
    """

    kappa: float
    uncertainty: float
    mean_free_path_A: float
    mean_free_path_uncertainty_A: float
    lengths_A: NDArray[np.float64]
    kappas: NDArray[np.float64]
    uncertainties: NDArray[np.float64]
    intercept: float
    slope: float
    covariance: NDArray[np.float64]
    chi2: float
    degrees_of_freedom: int
    p_value: float
    problems: tuple[str, ...]

    def line(self, inverse_lengths: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """1/kappa in m K/W at some 1/L (1/Angstrom), and its standard error."""
        x = np.asarray(inverse_lengths, dtype=float)
        c = self.covariance
        return self.intercept + self.slope * x, np.sqrt(c[0, 0] + 2 * x * c[0, 1] + x**2 * c[1, 1])


def extrapolate_length(lengths_A: ArrayLike, kappas: ArrayLike, uncertainties: ArrayLike) -> LengthExtrapolation:
    """Fit 1/kappa against 1/L with the weights of its errors.

    Parameters
    ----------
    lengths_A
        ``[n]`` distances between the reservoirs, at least two different ones; three for a verdict.
    kappas, uncertainties
        ``[n]`` in W/(m K), positive.

    Raises
    ------
    ValueError
        With fewer than two lengths, or a number that is not positive.
    """
    length, kappa, error = (np.atleast_1d(np.asarray(a, dtype=float)) for a in (lengths_A, kappas, uncertainties))
    if not length.shape == kappa.shape == error.shape or length.ndim != 1 or len(np.unique(length)) < 2:
        raise ValueError("need kappa and its uncertainty at two or more different lengths")
    if not (np.all(length > 0) and np.all(kappa > 0) and np.all(error > 0)):
        raise ValueError("lengths, kappa and uncertainties must be positive: leave out runs whose gradient is lost")
    order = np.argsort(length)
    length, kappa, error = length[order], kappa[order], error[order]
    line = weighted_line(1 / length, 1 / kappa, error / kappa**2)
    intercept_error, slope_error = np.sqrt(np.diag(line.covariance))
    problems = _problems(length, kappa, line.intercept, line.slope, float(intercept_error), float(slope_error))
    if line.p_value < POOR_FIT:
        problems.append(
            f"1/kappa against 1/L is no line (chi2 probability {line.p_value:.1g}): leave out the shortest lengths"
        )
    if line.intercept > 0:
        value, path = 1 / line.intercept, line.slope / line.intercept / 2
        gradient = np.array([-line.slope / line.intercept**2, 1 / line.intercept]) / 2
        uncertainty = float(intercept_error) * value**2
        path_error = float(np.sqrt(gradient @ line.covariance @ gradient))
    else:
        value = uncertainty = path = path_error = float("nan")
    return LengthExtrapolation(
        kappa=value,
        uncertainty=uncertainty,
        mean_free_path_A=path,
        mean_free_path_uncertainty_A=path_error,
        lengths_A=length,
        kappas=kappa,
        uncertainties=error,
        intercept=line.intercept,
        slope=line.slope,
        covariance=line.covariance,
        chi2=line.chi2,
        degrees_of_freedom=line.degrees_of_freedom,
        p_value=line.p_value,
        problems=tuple(problems),
    )


def extrapolation_quantities(
    result: LengthExtrapolation,
    temperature: float,
    direction: str,
    doubts: Sequence[str] = (),
    target: float = TARGET_RELATIVE_ERROR,
) -> list[Quantity]:
    """Report the conductivity of the infinite crystal and the mean free path.

    Parameters
    ----------
    result
        From `extrapolate_length`.
    temperature
        In K.
    direction
        Name of the axis.
    doubts
        Why single lengths are not converged.
    target
        Relative standard error to reach.
    """
    problems = [*doubts, *result.problems]
    known = bool(np.isfinite(result.kappa))
    if known and result.uncertainty > target * result.kappa:
        relative = result.uncertainty / result.kappa
        problems.append(
            f"the standard error is {relative:.0%}: {(relative / target) ** 2:.2g} times the time at each length gives "
            f"{target:.0%}"
        )
    lengths = ", ".join(f"{length:.3g}" for length in result.lengths_A)
    rows = (
        ("kappa_nemd", UNIT, result.kappa, result.uncertainty),
        ("nemd_mean_free_path", "Angstrom", result.mean_free_path_A, result.mean_free_path_uncertainty_A),
    )
    return [
        Quantity(
            name=name,
            value=value if known else None,
            unit=unit,
            method=f"heat exchange, 1/kappa against 1/L at {lengths} Angstrom",
            converged=not problems,
            reason="; ".join(problems),
            uncertainty=error if known else None,
            temperature=temperature,
            direction=direction,
            citation="10.1103/PhysRevB.65.144306",
        )
        for name, unit, value, error in rows
    ]


def _problems(
    length: NDArray[np.float64],
    kappa: NDArray[np.float64],
    intercept: float,
    slope: float,
    intercept_error: float,
    slope_error: float,
) -> list[str]:
    """Say what is wrong with the lengths and the line, but for its scatter."""
    problems = []
    different = len(np.unique(length))
    if different < LEAST_LENGTHS:
        problems.append(f"{different} lengths make a line without a test: {LEAST_LENGTHS} or more are needed")
    if intercept <= 2 * intercept_error:
        problems.append("1/kappa at 1/L = 0 is lost in its error: longer cells are needed")
    elif 1 / intercept * LEAST_SHARE > kappa[-1]:
        problems.append(
            f"the longest cell has {kappa[-1] * intercept:.0%} of the extrapolated value: cells of twice the length "
            "are needed"
        )
    if slope < -3 * slope_error:
        problems.append("kappa falls with the length, as no phonon does: the longest runs were not steady")
    return problems
