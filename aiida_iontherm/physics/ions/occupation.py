"""Phonon occupation and ion jumps: Eqs. 2 and 3 of Bernges et al., Adv. Energy Mater. 12, 2200717 (2022)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.ions.checks import LARGEST_BARRIER_EV, barriers, frequencies, standard_error, temperatures
from aiida_iontherm.physics.ions.critical_number import critical_number, critical_phonon_number
from aiida_iontherm.physics.quantity import Quantity
from aiida_iontherm.physics.units import H_EV_THZ, KB_EV

CITATION = "T. Bernges et al., Adv. Energy Mater. 12, 2200717 (2022)"


def bose_einstein(frequency_thz: ArrayLike, temperature: ArrayLike) -> NDArray[np.float64]:
    """Equilibrium occupation n0 = 1/(exp(h nu/(k_B T)) - 1) of a mode; arguments broadcast.

    Raises
    ------
    ValueError
        If a frequency (THz) or temperature (K) is not positive, or a frequency so large that only another unit
        explains it.
    """
    return 1 / np.expm1(_reduced_energy(frequency_thz, temperature))


def classical_occupation(frequency_thz: ArrayLike, temperature: ArrayLike) -> NDArray[np.float64]:
    """k_B T/(h nu), the high-temperature limit of n0 + 1/2; arguments broadcast.

    Bernges et al. print this number (3.1 at 2 THz and 298 K) as the Bose-Einstein occupation, which is 2.63.
    """
    return 1 / _reduced_energy(frequency_thz, temperature)


def occupation_probability(n: ArrayLike, frequency_thz: ArrayLike, temperature: ArrayLike) -> NDArray[np.float64]:
    """Chance P(n) = (1 - exp(-x)) exp(-n x), x = h nu/(k_B T), of finding n phonons in a mode; arguments broadcast.

    Mean n0, standard deviation sqrt(n0 (n0 + 1)).

    Raises
    ------
    ValueError
        If n is negative or a frequency (THz) or temperature (K) not positive.
    """
    x = _reduced_energy(frequency_thz, temperature)
    return -np.expm1(-x) * np.exp(-_counts(n) * x)


def probability_at_least(n: ArrayLike, frequency_thz: ArrayLike, temperature: ArrayLike) -> NDArray[np.float64]:
    """Chance P(n' >= n) = exp(-n x), x = h nu/(k_B T), of n phonons or more in a mode; arguments broadcast.

    Raises
    ------
    ValueError
        As `occupation_probability`.
    """
    return np.exp(-_counts(n) * _reduced_energy(frequency_thz, temperature))


def mobile_fraction(energy_ev: ArrayLike, temperature: ArrayLike) -> NDArray[np.float64]:
    """Fraction of thermally mobile ions exp(-E_A/(k_B T)), Eq. 2; arguments broadcast.

    At 0.05 eV and 298 K it is 14 %; Bernges et al. print "about 10 %".

    Raises
    ------
    ValueError
        If a barrier (eV) is negative or a temperature (K) not positive.
    """
    return np.exp(-barriers(energy_ev) / (KB_EV * temperatures(temperature)))


def mobile_temperature(energy_ev: ArrayLike, fraction: float = 0.5) -> NDArray[np.float64]:
    """Temperature in K at which a fraction of the ions is mobile: E_A/(k_B ln(1/fraction)), the inverse of Eq. 2.

    Bernges et al. expect a half at "more than 1000 K"; at 0.05 eV it is 837 K.

    Raises
    ------
    ValueError
        If a barrier (eV) is negative or the fraction not between 0 and 1.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"the mobile fraction must lie between 0 and 1, not {fraction:g}")
    return barriers(energy_ev) / (KB_EV * np.log(1 / fraction))


def occupation_analysis(
    activation_energy_ev: float,
    uncertainty: float | None,
    frequency_thz: float,
    temperature: float,
    bound: str | None = None,
    *,
    frequency_uncertainty_thz: float | None = None,
    converged: bool = True,
    reason: str = "",
) -> list[Quantity]:
    """Mobile fraction, critical phonon number, equilibrium occupation and jump probability of one ion in one mode.

    Uncertainties are half the spread between minus and plus one standard error, which the steps of the critical number
    need. A lower bound on E_A is an upper bound on the mobile fraction and the jump probability, and a lower bound on
    the critical number.

    Parameters
    ----------
    activation_energy_ev, uncertainty
        E_A and one standard error (``None`` where there is none), eV.
    frequency_thz, frequency_uncertainty_thz
        Frequency of the vibration of the mobile ion and one standard error (``None`` where it counts as exact).
    temperature
        K.
    bound
        ``"lower"`` or ``"upper"`` when E_A is a limit rather than an estimate.
    converged, reason
        Verdict on E_A, which whatever follows from it inherits.

    Raises
    ------
    ValueError
        If a number is out of range or ``bound`` is not one of the three.
    """
    inverse = {None: None, "lower": "upper", "upper": "lower"}
    if bound not in inverse:
        raise ValueError(f"bound must be None, 'lower' or 'upper', not {bound!r}")
    error = standard_error(uncertainty, "the activation energy")
    frequency_error = standard_error(frequency_uncertainty_thz, "the frequency")
    if not frequency_error < frequency_thz:
        raise ValueError(f"a frequency of {frequency_thz:g} +- {frequency_error:g} THz may be zero: no quanta to count")
    # A hopeless error bar must not look like a barrier in another unit; at the limit both probabilities are zero.
    ends = np.clip([activation_energy_ev - error, activation_energy_ev + error], 0.0, LARGEST_BARRIER_EV)
    energies = np.array([ends[0], activation_energy_ev, ends[1]])
    number = critical_number(activation_energy_ev, frequency_thz, uncertainty, frequency_uncertainty_thz)
    mobile = mobile_fraction(energies, temperature)
    jumps = _jump_probability(energies, frequency_thz, temperature)
    jump_error = _half_spread(jumps)
    n0 = float(bose_einstein(frequency_thz, temperature))
    if frequency_error:
        around = frequency_thz + frequency_error * np.array([-1.0, 1.0])
        jump_error = float(np.hypot(jump_error, _half_spread(_jump_probability(energies[1], around, temperature))))
    classical = float(classical_occupation(frequency_thz, temperature))
    quanta_error = (number.upper - number.lower) / 2
    rows = [
        ("mobile_fraction", mobile[1], _half_spread(mobile), inverse[bound], "exp(-E_A/(k_B T)), Eq. 2"),
        ("critical_phonon_number", number.value, quanta_error, bound, "ceil(E_A/(h nu)), Eq. 3"),
        ("jump_probability", jumps[1], jump_error, inverse[bound], "P(n >= n_c) = exp(-n_c h nu/(k_B T))"),
    ]
    records = [
        Quantity(
            name=name,
            value=float(value),
            unit="1",
            method=f"{formula}, nu = {frequency_thz:.4g} THz",
            converged=converged,
            reason=reason or ("" if uncertainty is not None else "the activation energy carries no uncertainty"),
            uncertainty=None if uncertainty is None else row_error,
            bound=row_bound,
            temperature=temperature,
            citation=CITATION,
        )
        for name, value, row_error, row_bound, formula in rows
    ]
    exact = "the frequency counts as exact; " if frequency_uncertainty_thz is None else ""
    # d n0/d ln nu = -x n0 (n0 + 1)
    n0_error = None if exact else n0 * (n0 + 1) / classical * frequency_error / frequency_thz
    occupation = Quantity(
        name="equilibrium_occupation",
        value=n0,
        unit="1",
        method=f"1/(exp(h nu/(k_B T)) - 1), nu = {frequency_thz:.4g} THz",
        converged=True,
        reason=f"{exact}the classical k_B T/(h nu) would be {classical:.4g}",
        uncertainty=n0_error,
        temperature=temperature,
        citation=CITATION,
    )
    return [*records[:2], occupation, records[2]]


def _jump_probability(energy_ev: ArrayLike, frequency_thz: ArrayLike, temperature: float) -> NDArray[np.float64]:
    return probability_at_least(critical_phonon_number(energy_ev, frequency_thz), frequency_thz, temperature)


def _half_spread(values: NDArray[np.float64]) -> float:
    return float(abs(values[-1] - values[0]) / 2)


def _reduced_energy(frequency_thz: ArrayLike, temperature: ArrayLike) -> NDArray[np.float64]:
    """Energy of a quantum over k_B T."""
    return H_EV_THZ * frequencies(frequency_thz) / (KB_EV * temperatures(temperature))


def _counts(n: ArrayLike) -> NDArray[np.float64]:
    counts = np.asarray(n, dtype=float)
    if not np.all(counts >= 0):
        raise ValueError("a number of phonons must not be negative")
    return counts
