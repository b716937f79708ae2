"""Potential well of one ion that is moved along a line while all others stay: a polynomial of fourth order.

Li et al. (CsCu2I3, doi 10.1002/adma.202513381, Fig. S7) read the anharmonicity of Cu from such a scan: the energy is
asymmetric and needs the fourth order,

    E(x) = c0 + c1 x + c2 x^2 + c3 x^3 + c4 x^4 .
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.quantity import Quantity
from aiida_iontherm.physics.units import AMU, ELEMENTARY_CHARGE

ORDER = 4
MIN_POINTS = 7
"""Two more than there are coefficients, for an error bar."""

POOR_FIT = 0.05
"""A residual above this share of the spread of the energies: the well is no polynomial of fourth order."""

CITATION = "Li et al., Adv. Mater. (2025), doi 10.1002/adma.202513381, Fig. S7"


@dataclass(frozen=True, kw_only=True)
class QuarticWell:
    """Polynomial of fourth order through a scan, and the well of the ion at its minimum.

    Attributes
    ----------
    coefficients, covariance
        ``[5]`` c0 to c4 in eV/Angstrom^k, and ``[5, 5]`` from the residuals of the fit.
    residual_ev
        Root mean square of the residuals with 5 coefficients taken off the number of points, eV.
    parabola_residual_ev
        The same for the best parabola, with 3: what a harmonic description misses.
    minimum_A
        Where the lowest point of the polynomial lies in the scanned range, Angstrom.
    stiffness_ev_A2, cubic_ev_A3, quartic_ev_A4
        Second, third and fourth derivative at the minimum.
    stiffness_uncertainty_ev_A2
        One standard error.
    frequency_thz, frequency_uncertainty_thz
        sqrt(stiffness/mass)/(2 pi) of the ion alone; ``None`` where there is no minimum in the range.
    asymmetry
        [E(+a) - E(-a)] / [E(+a) + E(-a)] about the minimum; 0 for a symmetric well.
    anharmonicity
        Mean of E(+a) and E(-a) above the minimum over the harmonic k a^2/2, minus 1; positive where the well is
        steeper than its parabola, -1 or less where it is flat or double.
    amplitude_A
        a: the largest displacement from the minimum to which the scan reaches on both sides, Angstrom.
    wells
        Minima in the scanned range, 1 or 2.
    converged, reason
        Whether the minimum lies in the range and the polynomial describes the energies.
    """

    coefficients: NDArray[np.float64]
    covariance: NDArray[np.float64]
    residual_ev: float
    parabola_residual_ev: float
    minimum_A: float
    stiffness_ev_A2: float
    stiffness_uncertainty_ev_A2: float
    cubic_ev_A3: float
    quartic_ev_A4: float
    frequency_thz: float | None
    frequency_uncertainty_thz: float | None
    asymmetry: float | None
    anharmonicity: float | None
    amplitude_A: float
    wells: int
    converged: bool
    reason: str

    def energy(self, displacements: ArrayLike) -> NDArray[np.float64]:
        """Energy of the polynomial at displacements in Angstrom, eV."""
        return np.polynomial.polynomial.polyval(np.asarray(displacements, dtype=float), self.coefficients)


def quartic_well(displacements: ArrayLike, energies: ArrayLike, mass_amu: float) -> QuarticWell:
    """Fit a polynomial of fourth order to the energy of one ion along a line.

    Parameters
    ----------
    displacements
        ``[n]`` along the line, Angstrom, seven or more different ones.
    energies
        ``[n]`` eV.
    mass_amu
        Of the ion.

    Raises
    ------
    ValueError
        With too few points, numbers that are not finite, or a mass that is not positive.
    """
    x, e = np.asarray(displacements, dtype=float), np.asarray(energies, dtype=float)
    if x.ndim != 1 or x.shape != e.shape or not (np.all(np.isfinite(x)) and np.all(np.isfinite(e))):
        raise ValueError("a scan is two lists of finite numbers of one length: displacements and energies")
    if len(np.unique(x)) < MIN_POINTS:
        raise ValueError(f"{len(np.unique(x))} displacements are too few for a fourth order: give {MIN_POINTS} or more")
    if not mass_amu > 0:
        raise ValueError(f"the mass of the ion must be positive, not {mass_amu} amu")
    coefficients, covariance, residual = _polynomial(x, e, ORDER)
    parabola = _polynomial(x, e, 2)[2]
    minima = _minima(coefficients, float(x.min()), float(x.max()))
    value = np.polynomial.polynomial.polyval
    inside = bool(minima)
    x0 = min(minima, key=lambda m: float(value(m, coefficients))) if inside else float(x[np.argmin(e)])
    derivatives = [np.polynomial.polynomial.polyder(coefficients, n) for n in (2, 3, 4)]
    stiffness, cubic, quartic = (float(value(x0, d)) for d in derivatives)
    error = _stiffness_error(x0, stiffness, cubic, covariance) if inside else math.inf
    a = min(x0 - float(x.min()), float(x.max()) - x0)
    frequency = frequency_error = asymmetry = anharmonicity = None
    if inside and stiffness > 0:
        si = ELEMENTARY_CHARGE * 1e20 / (mass_amu * AMU)  # from eV/Angstrom^2 per mass to 1/s^2
        frequency = math.sqrt(stiffness * si) / (2 * math.pi) * 1e-12
        frequency_error = frequency * error / (2 * stiffness)
        if a > 0:
            right, left = (float(value(x0 + d, coefficients) - value(x0, coefficients)) for d in (a, -a))
            asymmetry = (right - left) / (right + left) if right + left else None
            anharmonicity = (right + left) / (stiffness * a * a) - 1
    spread = float(np.ptp(e))
    converged, reason = True, f"residual {residual:.2g} eV of {spread:.2g} eV, a parabola leaves {parabola:.2g} eV"
    if not inside:
        converged, reason = False, "the scan has no minimum between its ends: move the range or make it longer"
    elif residual > POOR_FIT * spread:
        converged = False
        reason = f"a fourth order leaves {residual:.2g} of {spread:.2g} eV: scan a shorter range"
    return QuarticWell(
        coefficients=coefficients,
        covariance=covariance,
        residual_ev=residual,
        parabola_residual_ev=parabola,
        minimum_A=x0,
        stiffness_ev_A2=stiffness,
        stiffness_uncertainty_ev_A2=error,
        cubic_ev_A3=cubic,
        quartic_ev_A4=quartic,
        frequency_thz=frequency,
        frequency_uncertainty_thz=frequency_error,
        asymmetry=asymmetry,
        anharmonicity=anharmonicity,
        amplitude_A=max(a, 0.0),
        wells=len(minima),
        converged=converged,
        reason=reason,
    )


def _polynomial(
    x: NDArray[np.float64], e: NDArray[np.float64], order: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Coefficients, their covariance, and the residual per degree of freedom."""
    # in units of the range and from the lowest energy, so that the normal equations are well conditioned
    scale = np.abs(x).max()
    design = np.vander(x / scale, order + 1, increasing=True)
    inverse = np.linalg.pinv(design)
    shift = e.min()
    fitted = inverse @ (e - shift)
    left = e - shift - design @ fitted
    variance = float(left @ left) / (len(x) - order - 1)
    units = scale ** -np.arange(order + 1.0)
    coefficients = fitted * units
    coefficients[0] += shift
    return coefficients, variance * np.outer(units, units) * (inverse @ inverse.T), math.sqrt(variance)


def _minima(coefficients: NDArray[np.float64], low: float, high: float) -> list[float]:
    """Minima of the polynomial strictly inside the range."""
    slope = np.polynomial.polynomial.polyder(coefficients)
    # vanishing leading coefficients put roots at infinity, where they do no harm
    roots = np.polynomial.Polynomial(slope).trim(1e-12 * np.abs(slope).max()).roots()
    real = roots[np.abs(roots.imag) < 1e-8 * (high - low)].real
    curvature = np.polynomial.polynomial.polyval(real, np.polynomial.polynomial.polyder(coefficients, 2))
    return sorted(float(r) for r in real[(curvature >= 0) & (real > low) & (real < high)])


def _stiffness_error(x0: float, stiffness: float, cubic: float, covariance: NDArray[np.float64]) -> float:
    """Propagate the errors to E''(x0), with x0 moving as the coefficients do: dx0/dc_k = -k x0^(k-1) / E''."""
    k = np.arange(ORDER + 1.0)
    gradient = np.where(k >= 2, k * (k - 1) * x0 ** np.maximum(k - 2, 0), 0.0)
    if stiffness > 0:
        gradient -= cubic / stiffness * np.where(k >= 1, k * x0 ** np.maximum(k - 1, 0), 0.0)
    return math.sqrt(max(float(gradient @ covariance @ gradient), 0.0))


def scan_quantities(well: QuarticWell, ion: str, direction: str, method: str) -> list[Quantity]:
    """Make the records of the well: frequency, stiffness, asymmetry and anharmonicity.

    Parameters
    ----------
    well
        From `quartic_well`.
    ion
        Name of the site, e.g. ``Cu1``.
    direction
        Direction of the scan.
    method
        How the energies were obtained, in words.
    """
    known: list[tuple[str, float | None, float | None, str]] = [
        (f"well_frequency_{ion}", well.frequency_thz, well.frequency_uncertainty_thz, "THz"),
        (f"well_asymmetry_{ion}", well.asymmetry, None, "1"),
        (f"well_anharmonicity_{ion}", well.anharmonicity, None, "1"),
    ]
    return [
        Quantity(
            name=name,
            value=value,
            unit=unit,
            uncertainty=error,
            method=f"{method}; fourth-order polynomial within {well.amplitude_A:.2g} Angstrom of the minimum",
            converged=well.converged and value is not None,
            reason=well.reason,
            direction=direction,
            citation=CITATION,
        )
        for name, value, error, unit in known
    ]
