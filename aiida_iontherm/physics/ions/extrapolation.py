"""What an Arrhenius fit says about another temperature, room temperature for instance, and whether to believe it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aiida_iontherm.physics.ions.arrhenius import ArrheniusFit
from aiida_iontherm.physics.ions.checks import temperatures

FARTHEST = 2.0
"""Distance in 1/T beyond the data, in spans of the data, up to which a straight line is trusted to go on."""


@dataclass(frozen=True, kw_only=True)
class Extrapolation:
    """D at a temperature that was not measured.

    Attributes
    ----------
    temperature
        K.
    value
        D in the unit of the data.
    ln_uncertainty
        One standard error of ln D: sqrt(var(ln D0) - 2 b cov(ln D0, E_A) + b^2 var(E_A)), b = 1/(k_B T).
    lower, upper
        D one standard error of ln D below and above.
    distance
        How far 1/T lies beyond the data, in spans of the data; 0 between them.
    converged, reason
        Whether the fit is converged, D known to better than a factor of e, and the temperature not too far.
    """

    temperature: float
    value: float
    ln_uncertainty: float
    lower: float
    upper: float
    distance: float
    converged: bool
    reason: str


def extrapolated(fit: ArrheniusFit, temperature: float = 300.0) -> Extrapolation:
    """D at a temperature (K) from an Arrhenius fit, with the covariance of prefactor and activation energy.

    The error is that of the line. That the line goes on is an assumption: no fit sees a phase transition outside its
    data.

    Raises
    ------
    ValueError
        If the temperature is not positive.
    """
    temperatures(temperature)
    values, errors = fit.extrapolate(temperature)
    value, error = float(values), float(errors / values)
    cold, hot = 1 / fit.lowest_temperature, 1 / fit.highest_temperature
    distance = max(0.0, 1 / temperature - cold, hot - 1 / temperature) / (cold - hot)
    converged, reason = True, f"the error of the line is {100 * error:.2g} %; that the line goes on is assumed"
    if not fit.converged:
        converged, reason = False, fit.reason
    elif error > 1:
        converged, reason = False, f"ln D is known to +- {error:.2g} only, more than a factor of e: add temperatures"
    elif distance > FARTHEST:
        converged = False
        reason = f"{temperature:g} K lies {distance:.1f} spans of 1/T beyond the data: add temperatures nearer to it"
    elif distance == 0:
        reason = f"{temperature:g} K lies among the data; the error of the line is {100 * error:.2g} %"
    return Extrapolation(
        temperature=float(temperature),
        value=value,
        ln_uncertainty=error,
        lower=float(value * np.exp(-error)),
        upper=float(value * np.exp(error)),
        distance=float(distance),
        converged=converged,
        reason=reason,
    )
