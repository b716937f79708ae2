"""Einstein frequency of an atom from its mean square displacement U(T), computed or refined from diffraction.

The atom is an oscillator in the cage of its neighbours (Sales, Mandrus and Chakoumakos, Semicond. Semimet. 70
(2001); used by Bernges et al. (2022) for Ag in argyrodites):

    U(T) = hbar/(2 m w) coth(hbar w/(2 k T)) + d^2

with w = 2 pi f and an offset d^2 for static disorder. Far above hbar w/k the slope is dU/dT = k/(m w^2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares

from aiida_iontherm.physics.lattice.displacements import mode_amplitudes
from aiida_iontherm.physics.units import AMU, KB


@dataclass(frozen=True)
class EinsteinFit:
    """Result of a fit of U(T).

    Attributes
    ----------
    frequency_thz
        Einstein frequency f.
    frequency_error_thz
        Its standard error from the scatter of the points; ``None`` with as many points as parameters.
    static_A2
        Offset d^2 in Angstrom^2, zero where it was not fitted.
    residual_A2
        Root mean square deviation of the points.
    """

    frequency_thz: float
    frequency_error_thz: float | None
    static_A2: float
    residual_A2: float


def fit_einstein(
    temperatures: ArrayLike, displacements_A2: ArrayLike, mass: float, *, static: bool = False
) -> EinsteinFit:
    """Einstein frequency from U at several temperatures.

    Parameters
    ----------
    temperatures
        In K [T].
    displacements_A2
        U_eq, or one component or principal value of U, in Angstrom^2 [T].
    mass
        Mass of the atom in amu.
    static
        Fit an offset of static disorder too. It takes up whatever zero-point motion does not explain, and needs points
        over a wide range of temperatures.

    Raises
    ------
    ValueError
        If there are fewer points than parameters, or they are not positive.
    """
    kelvin, points = _checked(temperatures, displacements_A2, 2 if static else 1, mass)

    def deviations(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        model = mode_amplitudes(np.exp(parameters[0]), kelvin) / mass
        return (model - points) / points.mean() + (parameters[1] if static else 0.0)

    # The frequency that fits the warmest point, had it no offset and no zero-point motion, is never far off.
    warmest = int(np.argmax(kelvin))
    start = np.log(_classical_frequency(points[warmest] / max(kelvin[warmest], 1.0), mass))
    fit = least_squares(deviations, [start, 0.0] if static else [start], xtol=1e-12, ftol=1e-12, gtol=1e-12)
    freedom = len(points) - len(fit.x)
    error = None
    if freedom:
        covariance = np.linalg.pinv(fit.jac.T @ fit.jac) * 2 * fit.cost / freedom
        error = float(np.exp(fit.x[0]) * np.sqrt(covariance[0, 0]))
    return EinsteinFit(
        frequency_thz=float(np.exp(fit.x[0])),
        frequency_error_thz=error,
        static_A2=float(fit.x[1] * points.mean()) if static else 0.0,
        residual_A2=float(np.sqrt(2 * fit.cost / len(points)) * points.mean()),
    )


def slope_frequency(temperatures: ArrayLike, displacements_A2: ArrayLike, mass: float) -> float:
    """Einstein frequency in THz from the slope of a straight line through U(T), w^2 = k/(m dU/dT).

    For temperatures well above hbar w/k; static disorder does not enter.

    Parameters
    ----------
    temperatures, displacements_A2, mass
        As in `fit_einstein`, at least two points.

    Raises
    ------
    ValueError
        If U does not rise with temperature.
    """
    kelvin, points = _checked(temperatures, displacements_A2, 2, mass)
    slope = float(np.polynomial.Polynomial.fit(kelvin, points, 1).convert().coef[1])
    if not slope > 0:
        raise ValueError("U does not rise with temperature: no Einstein frequency follows from its slope")
    return _classical_frequency(slope, mass)


def _classical_frequency(slope_A2_per_K: float, mass: float) -> float:
    return float(np.sqrt(KB / (mass * AMU * slope_A2_per_K * 1e-20)) / (2 * np.pi) * 1e-12)


def _checked(
    temperatures: ArrayLike, displacements_A2: ArrayLike, parameters: int, mass: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    kelvin = np.atleast_1d(np.asarray(temperatures, dtype=float))
    points = np.atleast_1d(np.asarray(displacements_A2, dtype=float))
    if kelvin.shape != points.shape or kelvin.ndim != 1 or len(set(kelvin.tolist())) < parameters:
        raise ValueError(
            f"need U at {parameters} or more different temperatures, not {points.shape} for {kelvin.shape} temperatures"
        )
    if not (np.all(points > 0) and np.all(kelvin >= 0) and mass > 0):
        raise ValueError("mean square displacements and the mass must be positive, temperatures not negative")
    return kelvin, points
