"""The maximum of C/T^3, the Boson peak, and the Einstein frequency that would make it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize

from aiida_iontherm.physics.units import H_EV_THZ, KB_EV

EINSTEIN_RATIO = float(optimize.brentq(lambda x: x / np.tanh(x / 2) - 5, 4, 6, xtol=1e-14))
"""h nu/(k_B T) at the maximum of C_E/T^3, 4.928: C_E/T^3 ~ x^5 e^x/(e^x - 1)^2 is stationary at x coth(x/2) = 5."""

NEAR_PEAK = 0.8
"""Points above this share of the highest one are taken for the peak ..."""

WITHIN = 0.4
"""... if ln T is as near: on a Debye plateau all points are high. The peak of an Einstein oscillator is that wide."""

MIN_POINTS = 6
"""Points near the peak needed: a cubic has four coefficients."""


@dataclass(frozen=True, kw_only=True)
class BosonPeak:
    """Maximum of C/T^3.

    Attributes
    ----------
    temperature_K, temperature_uncertainty_K
        Position and one standard error.
    height, height_uncertainty
        C/T^3 there and one standard error, J/(mol K^4).
    einstein_frequency_thz, einstein_temperature_K
        Of the single oscillator whose C/T^3 has its maximum there. A Debye background shifts the maximum a little
        down: subtract its C first for the frequency of the excess.
    chi2, degrees_of_freedom
        Of the cubic through the points near the peak; chi2 is ``None`` where the points have no errors.
    """

    temperature_K: float
    temperature_uncertainty_K: float
    height: float
    height_uncertainty: float
    einstein_frequency_thz: float
    einstein_temperature_K: float
    chi2: float | None
    degrees_of_freedom: int


def capacity_over_cube(temperatures: ArrayLike, heat_capacities: ArrayLike) -> NDArray[np.float64]:
    """C/T^3 in J/(mol K^4): constant for a Debye solid at low temperature."""
    return np.asarray(heat_capacities, dtype=float) / np.asarray(temperatures, dtype=float) ** 3


def boson_peak(
    temperatures: ArrayLike, heat_capacities: ArrayLike, uncertainties: ArrayLike | None = None
) -> BosonPeak:
    """Find the maximum of C/T^3 without a model of the spectrum.

    A cubic in ln T is fitted to ln(C/T^3) of the points around the highest that lie above four fifths of it. It
    follows the peak of an Einstein oscillator to 0.1 % in position and height.

    Parameters
    ----------
    temperatures, heat_capacities
        ``[n]`` K and J/(mol K), positive, in any order.
    uncertainties
        ``[n]`` one standard error of each heat capacity, positive. Without, all points have the same relative error,
        taken from their scatter about the cubic.

    Raises
    ------
    ValueError
        If the data are not positive numbers, C/T^3 has no maximum inside the range, or there are fewer than six points
        near it.
    """
    t, c = np.asarray(temperatures, dtype=float), np.asarray(heat_capacities, dtype=float)
    relative = np.ones_like(c) if uncertainties is None else np.asarray(uncertainties, dtype=float) / c
    if t.ndim != 1 or not t.shape == c.shape == relative.shape or len(t) == 0:
        raise ValueError("need one heat capacity (and one uncertainty) at each temperature")
    if not all(np.all(np.isfinite(a)) and np.all(a > 0) for a in (t, c, relative)):
        raise ValueError("temperatures, heat capacities and their uncertainties must be positive numbers")
    order = np.argsort(t)
    t, relative, curve = t[order], relative[order], capacity_over_cube(t, c)[order]
    if np.argmax(curve) in (0, len(t) - 1):
        raise ValueError(
            f"C/T^3 is highest at the end of the data ({t[np.argmax(curve)]:g} K): no Boson peak inside "
            f"{t[0]:g} to {t[-1]:g} K"
        )
    first, last = _around_maximum(t, curve)
    if last - first + 1 < MIN_POINTS:
        raise ValueError(
            f"{last - first + 1} points within 20 % of the maximum of C/T^3 at {t[np.argmax(curve)]:g} K: "
            f"measure at least {MIN_POINTS} there"
        )
    part = slice(first, last + 1)
    centre = np.log(t[np.argmax(curve)])
    powers = np.vander(np.log(t[part]) - centre, 4, increasing=True)
    weights = 1 / relative[part]
    design, target = powers * weights[:, None], np.log(curve[part]) * weights
    coefficients = np.linalg.lstsq(design, target, rcond=None)[0]
    covariance = np.linalg.inv(design.T @ design)
    chi2 = float(np.sum((design @ coefficients - target) ** 2))
    dof = len(target) - 4
    if uncertainties is None:
        covariance *= chi2 / dof
    _, b, a2, a3 = coefficients
    root = a2**2 - 3 * a3 * b
    # of the two stationary points the one with negative curvature, in the form that survives a3 = 0
    position = -b / (a2 - np.sqrt(root)) if root > 0 else np.nan
    curvature = 2 * a2 + 6 * a3 * position
    shift = np.array([0.0, 1.0, 2 * position, 3 * position**2]) / -curvature
    spread = np.sqrt(shift @ covariance @ shift)
    margin = min(position - np.log(t[first]) + centre, np.log(t[last]) - centre - position)
    # two standard errors inside the points; false for the NaN of a curve without a maximum
    if not margin > 2 * spread:
        raise ValueError("C/T^3 has no clear maximum within its scatter: average the data, or widen the range")
    peak, height = np.exp(centre + position), np.exp(np.polynomial.polynomial.polyval(position, coefficients))
    # at the maximum a shift of the position does not change the height
    rise = position ** np.arange(4)
    theta = EINSTEIN_RATIO * peak
    return BosonPeak(
        temperature_K=float(peak),
        temperature_uncertainty_K=float(peak * spread),
        height=float(height),
        height_uncertainty=float(height * np.sqrt(rise @ covariance @ rise)),
        einstein_frequency_thz=float(theta * KB_EV / H_EV_THZ),
        einstein_temperature_K=float(theta),
        chi2=None if uncertainties is None else chi2,
        degrees_of_freedom=dof,
    )


def _around_maximum(t: NDArray[np.float64], curve: NDArray[np.float64]) -> tuple[int, int]:
    """First and last index of the run of points near the highest."""
    top = int(np.argmax(curve))
    low = np.flatnonzero((curve < NEAR_PEAK * curve[top]) | (np.abs(np.log(t / t[top])) > WITHIN))
    before, after = low[low < top], low[low > top]
    return (int(before[-1]) + 1 if len(before) else 0), (int(after[0]) - 1 if len(after) else len(curve) - 1)
