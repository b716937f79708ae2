"""Temperature exponent of the thermal conductivity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from aiida_iontherm.physics.statistics import weighted_line

POOR_FIT = 0.01
"""Below this probability of chi2 the points are not called a power law."""


@dataclass(frozen=True, kw_only=True)
class TemperatureExponent:
    """Exponent n of kappa ~ T^n.

    Attributes
    ----------
    exponent
        n: -1 for three-phonon scattering at high temperature, near 0 for a glass.
    uncertainty
        One standard error; ``None`` where nothing tells (two points without errors).
    converged, reason
        Whether the points are one power law as far as their errors can tell.
    """

    exponent: float
    uncertainty: float | None
    converged: bool
    reason: str


def temperature_exponent(
    temperatures: ArrayLike, kappa: ArrayLike, uncertainties: ArrayLike | None = None
) -> TemperatureExponent:
    """Straight line of ln kappa against ln T.

    With uncertainties u the points weigh (kappa/u)^2 and the error of n is propagated from them (two points:
    exactly). Without, all weigh the same and the error comes from the scatter about the line.

    Parameters
    ----------
    temperatures, kappa
        ``[n]`` K and W/(m K), positive, at least two different temperatures.
    uncertainties
        ``[n]`` one standard error of each kappa, positive.

    Raises
    ------
    ValueError
        With fewer than two temperatures, or a number that is not positive.
    """
    t, k = np.atleast_1d(np.asarray(temperatures, dtype=float)), np.atleast_1d(np.asarray(kappa, dtype=float))
    if t.shape != k.shape or t.ndim != 1 or len(np.unique(t)) < 2:
        raise ValueError("a temperature exponent needs one kappa at each of two or more different temperatures")
    if np.any(t <= 0) or np.any(k <= 0):
        raise ValueError("temperatures and conductivities must be positive")
    if uncertainties is None:
        line = weighted_line(np.log(t), np.log(k), 1.0)
        if line.degrees_of_freedom == 0:
            return TemperatureExponent(
                exponent=line.slope, uncertainty=None, converged=False, reason="two points without uncertainties"
            )
        scatter = line.chi2 / line.degrees_of_freedom
        return TemperatureExponent(
            exponent=line.slope,
            uncertainty=float(np.sqrt(line.covariance[1, 1] * scatter)),
            converged=True,
            reason="uncertainty from the scatter of points without errors: the power law itself is not tested",
        )
    line = weighted_line(np.log(t), np.log(k), np.asarray(uncertainties, dtype=float) / k)
    straight = line.p_value >= POOR_FIT
    reason = f"one power law within the errors (chi2 probability {line.p_value:.2g})"
    if not straight:
        reason = f"not one power law within the errors (chi2 probability {line.p_value:.1g}): narrow the range"
    elif line.degrees_of_freedom == 0:
        reason = "two temperatures: a power law without a test"
    return TemperatureExponent(
        exponent=line.slope, uncertainty=float(np.sqrt(line.covariance[1, 1])), converged=straight, reason=reason
    )
