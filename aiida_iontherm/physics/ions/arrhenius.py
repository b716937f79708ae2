"""Activation energies: Arrhenius fits, and what one diffusivity or one bound says about the barrier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.statistics import weighted_line
from aiida_iontherm.physics.units import ANGSTROM2_PER_PS_TO_CM2_PER_S, KB_EV

POOR_FIT = 0.01
"""Below this probability of chi2 the points are not called a straight line."""


@dataclass(frozen=True, kw_only=True)
class ArrheniusFit:
    """D = D0 exp(-E_A/(k_B T)).

    Attributes
    ----------
    activation_energy_ev, activation_energy_uncertainty_ev
        E_A and one standard error, eV.
    prefactor
        D0 in the unit of the data.
    ln_prefactor, ln_prefactor_uncertainty
        ln D0 and one standard error.
    covariance
        ``[2, 2]`` of (ln D0, E_A in eV).
    chi2, degrees_of_freedom
        Of the fit in ln D.
    lowest_temperature, highest_temperature
        Of the data, K.
    converged, reason
        Whether the points are one straight line within their errors and E_A is known to better than half its value.
    """

    activation_energy_ev: float
    activation_energy_uncertainty_ev: float
    prefactor: float
    ln_prefactor: float
    ln_prefactor_uncertainty: float
    covariance: NDArray[np.float64]
    chi2: float
    degrees_of_freedom: int
    lowest_temperature: float
    highest_temperature: float
    converged: bool
    reason: str

    @property
    def pivot_temperature(self) -> float:
        """Temperature in K where the line is known best: there ln D and E_A are uncorrelated.

        It is the weighted harmonic mean of the temperatures of the data, cov(E_A, E_A)/(k_B cov(ln D0, E_A)).
        """
        return float(self.covariance[1, 1] / (KB_EV * self.covariance[0, 1]))

    def extrapolate(self, temperature: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """D at other temperatures (K) and its standard error, with the covariance of prefactor and energy."""
        beta = 1 / (KB_EV * np.asarray(temperature, dtype=float))
        value = np.exp(self.ln_prefactor - self.activation_energy_ev * beta)
        c = self.covariance
        variance = c[0, 0] - 2 * beta * c[0, 1] + beta**2 * c[1, 1]
        return value, value * np.sqrt(variance)


def arrhenius_fit(temperatures: ArrayLike, D: ArrayLike, uncertainties: ArrayLike) -> ArrheniusFit:
    """Weighted least squares of ln D against 1/(k_B T).

    The standard error of ln D is u/D; the covariance comes from these errors alone and is not rescaled by chi2.
    Two temperatures give the line through both, with propagated errors.

    Parameters
    ----------
    temperatures
        ``[n]`` K, at least two different ones.
    D
        ``[n]`` diffusivities (or any activated quantity), positive. Upper bounds are no data for this fit.
    uncertainties
        ``[n]`` one standard error of each, in the unit of ``D``.

    Raises
    ------
    ValueError
        With fewer than two temperatures, or a temperature, value or uncertainty that is not positive.
    """
    t, d, u = (np.atleast_1d(np.asarray(a, dtype=float)) for a in (temperatures, D, uncertainties))
    if not t.shape == d.shape == u.shape or t.ndim != 1 or len(np.unique(t)) < 2:
        raise ValueError("an Arrhenius fit needs D and its uncertainty at two or more different temperatures")
    if not (np.all(t > 0) and np.all(d > 0) and np.all(u > 0)):
        raise ValueError("temperatures, D and uncertainties must be positive: leave out points where D is only bounded")
    line = weighted_line(1 / (KB_EV * t), np.log(d), u / d)
    energy, energy_error = -line.slope, float(np.sqrt(line.covariance[1, 1]))
    covariance = line.covariance * np.array([[1, -1], [-1, 1]])
    converged, reason = True, f"{len(t)} temperatures on one line (chi2 probability {line.p_value:.2g})"
    if len(np.unique(t)) == 2:
        reason = "two temperatures: a line without a test of its straightness"
    if line.p_value < POOR_FIT:
        converged = False
        reason = f"the points are not one line within their errors (chi2 probability {line.p_value:.1g})"
    elif np.max(u / d) > 0.5:
        converged, reason = False, "an uncertainty above half its value makes ln D non-Gaussian: improve that point"
    elif energy_error > 0.5 * abs(energy):
        converged, reason = False, "the activation energy is not known to better than half its value: widen the range"
    return ArrheniusFit(
        activation_energy_ev=energy,
        activation_energy_uncertainty_ev=energy_error,
        prefactor=float(np.exp(line.intercept)),
        ln_prefactor=line.intercept,
        ln_prefactor_uncertainty=float(np.sqrt(line.covariance[0, 0])),
        covariance=covariance,
        chi2=line.chi2,
        degrees_of_freedom=line.degrees_of_freedom,
        lowest_temperature=float(t.min()),
        highest_temperature=float(t.max()),
        converged=converged,
        reason=reason,
    )


def activation_energy_from_diffusivity(
    D: float,
    uncertainty: float,
    temperature: float,
    attempt_frequency_thz: float,
    hop_length_A: float,
    dimension: int = 3,
) -> tuple[float, float]:
    """Barrier of independent hops that explains one diffusivity: E = k_B T ln(nu a^2/(2 d D)).

    From D = nu a^2/(2 d) exp(-E/(k_B T)), a random walk with attempt frequency nu and hop length a in d dimensions
    (migration entropy, correlation and the number of neighbours absorbed in nu).

    Parameters
    ----------
    D, uncertainty
        cm^2/s.
    temperature
        K.
    attempt_frequency_thz
        nu, ordinary frequency.
    hop_length_A
        a, Angstrom.
    dimension
        d: 1 for D along one axis, 3 for the average over directions.

    Returns
    -------
    E and its standard error k_B T u/D, eV. E is negative where D exceeds nu a^2/(2 d): then hops at that frequency
    and length cannot explain it.

    Raises
    ------
    ValueError
        If a quantity is not positive (the uncertainty may be zero).
    """
    if min(D, temperature, attempt_frequency_thz, hop_length_A, dimension) <= 0 or uncertainty < 0:
        raise ValueError("D, temperature, attempt frequency, hop length and dimension must be positive")
    prefactor = attempt_frequency_thz * hop_length_A**2 * ANGSTROM2_PER_PS_TO_CM2_PER_S / (2 * dimension)
    kt = KB_EV * temperature
    return float(kt * np.log(prefactor / D)), float(kt * uncertainty / D)


def activation_energy_bound(
    D_upper: float,
    temperature: float,
    attempt_frequency_thz: float,
    hop_length_A: float,
    dimension: int = 3,
) -> float:
    """Lower bound on the barrier in eV from an upper bound on D (cm^2/s); never below zero.

    The formula and its arguments are those of `activation_energy_from_diffusivity`.
    """
    energy, _ = activation_energy_from_diffusivity(
        D_upper, 0.0, temperature, attempt_frequency_thz, hop_length_A, dimension
    )
    return max(0.0, energy)
