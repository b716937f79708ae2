"""Is an Arrhenius plot straight? One activation energy against one that changes with temperature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from aiida_iontherm.physics.distributions import chi2_tail
from aiida_iontherm.physics.ions.arrhenius import POOR_FIT, arrhenius_fit
from aiida_iontherm.physics.units import KB_EV


@dataclass(frozen=True, kw_only=True)
class ArrheniusCurvature:
    """Change of the activation energy over the data, from a parabola of ln D in 1/(k_B T).

    Attributes
    ----------
    energy_cold_ev, energy_hot_ev
        -d ln D/d(1/(k_B T)) of the parabola at the lowest and at the highest temperature, eV.
    change_ev, change_uncertainty_ev
        Cold minus hot, and one standard error, eV.
    p_value
        Chance of a change this large if the plot is straight: chi2 of (change/uncertainty)^2 with one degree of
        freedom, which is what the parabola gains in chi2 over the line.
    chi2, degrees_of_freedom
        Of the parabola.
    converged, reason
        Whether the plot is straight, as far as the data can tell: no significant change, and one of half the
        activation energy would have been seen.
    """

    energy_cold_ev: float
    energy_hot_ev: float
    change_ev: float
    change_uncertainty_ev: float
    p_value: float
    chi2: float
    degrees_of_freedom: int
    converged: bool
    reason: str


def arrhenius_curvature(temperatures: ArrayLike, D: ArrayLike, uncertainties: ArrayLike) -> ArrheniusCurvature:
    """Fit a parabola to ln D against 1/(k_B T) and test whether it bends.

    This is sharper than chi2 of the line, which spreads one smooth bend over all degrees of freedom.

    Parameters
    ----------
    temperatures, D, uncertainties
        [n] as for `arrhenius_fit`, at three different temperatures or more.

    Raises
    ------
    ValueError
        As `arrhenius_fit`, or with fewer than three different temperatures.
    """
    line = arrhenius_fit(temperatures, D, uncertainties)
    t, d, u = (np.asarray(a, dtype=float) for a in (temperatures, D, uncertainties))
    if len(np.unique(t)) < 3:
        raise ValueError("a bend needs D at three or more different temperatures")
    beta = 1 / (KB_EV * t)
    # from -1 to 1, so that the normal equations are well conditioned
    half, middle = np.ptp(beta) / 2, (beta.max() + beta.min()) / 2
    design = np.vander((beta - middle) / half, 3, increasing=True) / (u / d)[:, None]
    target = np.log(d) / (u / d)
    covariance = np.linalg.inv(design.T @ design)
    _, slope, bend = covariance @ design.T @ target
    residual = target - design @ (covariance @ design.T @ target)
    change, error = -4 * bend / half, 4 * float(np.sqrt(covariance[2, 2])) / half
    p_value = float(chi2_tail((change / error) ** 2, 1))
    cold, hot = -(slope + 2 * bend) / half, -(slope - 2 * bend) / half
    converged = True
    reason = f"no bend: the activation energy changes by {change:.2g} +- {error:.1g} eV over the data"
    if p_value < POOR_FIT:
        converged = False
        reason = (
            f"the plot bends: the activation energy goes from {cold:.3g} eV at {t.min():g} K to {hot:.3g} eV at "
            f"{t.max():g} K (chance {p_value:.1g}); fit the ranges apart"
        )
    elif 2 * error > 0.5 * abs(line.activation_energy_ev):
        converged = False
        reason = f"a change of the activation energy by {2 * error:.2g} eV would not be seen: widen the range"
    return ArrheniusCurvature(
        energy_cold_ev=float(cold),
        energy_hot_ev=float(hot),
        change_ev=float(change),
        change_uncertainty_ev=error,
        p_value=p_value,
        chi2=float(residual @ residual),
        degrees_of_freedom=len(t) - 3,
        converged=converged,
        reason=reason,
    )
