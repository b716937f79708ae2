"""How many quanta a jump takes, and how well that number is known: Eq. 3 of Bernges et al. (2022)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.ions.checks import barriers, frequencies, standard_error
from aiida_iontherm.physics.units import H_EV_THZ

TOO_UNCERTAIN = 0.5
"""A ratio of barrier and quantum known to no better than this share of itself says little."""


def critical_phonon_number(energy_ev: ArrayLike, frequency_thz: ArrayLike) -> NDArray[np.int64]:
    """Phonons in one mode needed to cross a barrier: n_c = ceil(E/(h nu)), Eq. 3; arguments broadcast.

    Raises
    ------
    ValueError
        If a barrier (eV) is negative or a frequency (THz) is not positive, or either is of a magnitude that only
        another unit explains.
    """
    return _whole(barriers(energy_ev) / (H_EV_THZ * frequencies(frequency_thz)))


@dataclass(frozen=True, kw_only=True)
class CriticalNumber:
    """Critical phonon number with its uncertainty.

    Attributes
    ----------
    value
        n_c at the best values of barrier and frequency.
    ratio, ratio_uncertainty
        E_A/(h nu) before rounding up, and one standard error: both relative errors in quadrature.
    lower, upper
        n_c at the ratio minus and plus one standard error. Rounding up keeps the order, so these two hold the true n_c
        in at least 68.3 % of all cases: in more than that where the errors are smaller than a quantum.
    probability
        Chance that n_c is just ``value`` if the ratio is Gaussian; 1 without uncertainties.
    converged, reason
        Whether the ratio is known to better than half its value.
    """

    value: int
    ratio: float
    ratio_uncertainty: float
    lower: int
    upper: int
    probability: float
    converged: bool
    reason: str


def critical_number(
    energy_ev: float,
    frequency_thz: float,
    energy_uncertainty_ev: float | None = None,
    frequency_uncertainty_thz: float | None = None,
) -> CriticalNumber:
    """Critical phonon number of one barrier and one frequency, with the errors of both.

    Parameters
    ----------
    energy_ev, energy_uncertainty_ev
        Barrier and one standard error (``None`` where it counts as exact), eV.
    frequency_thz, frequency_uncertainty_thz
        Frequency and one standard error (or ``None``), THz.

    Raises
    ------
    ValueError
        As `critical_phonon_number`, or if a standard error is negative.
    """
    value = int(critical_phonon_number(energy_ev, frequency_thz))
    energy_error = standard_error(energy_uncertainty_ev, "the activation energy")
    frequency_error = standard_error(frequency_uncertainty_thz, "the frequency")
    quantum = H_EV_THZ * frequency_thz
    ratio = energy_ev / quantum
    error = math.hypot(energy_error / quantum, ratio * frequency_error / frequency_thz)
    lower, upper = (int(n) for n in _whole(np.array([max(0.0, ratio - error), ratio + error])))
    converged = error == 0 or error < TOO_UNCERTAIN * ratio
    reason = f"{lower} to {upper} quanta within one standard error"
    if not error:
        reason = "barrier and frequency count as exact"
    elif not converged:
        reason = f"E_A/(h nu) = {ratio:.2g} +- {error:.1g} is not known to better than half its value"
    return CriticalNumber(
        value=value,
        ratio=ratio,
        ratio_uncertainty=error,
        lower=lower,
        upper=upper,
        probability=_chance(value, ratio, error),
        converged=converged,
        reason=reason,
    )


def _whole(ratio: NDArray[np.float64]) -> NDArray[np.int64]:
    """Round up, but not an exact multiple that the last bit of a division lifted above itself."""
    nearest = np.round(ratio)
    exact = np.abs(ratio - nearest) <= 1e-9 * np.maximum(1.0, ratio)
    return np.where(exact, nearest, np.ceil(ratio)).astype(np.int64)


def _chance(value: int, ratio: float, error: float) -> float:
    """Chance that a Gaussian ratio rounds up to a value; a barrier below zero counts as none."""
    if not error:
        return 1.0

    def below(edge: int) -> float:
        return 0.5 * math.erfc((ratio - edge) / (error * math.sqrt(2)))

    return below(value) - (below(value - 1) if value > 0 else 0.0)
