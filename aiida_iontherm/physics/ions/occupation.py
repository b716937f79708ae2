"""Phonon occupation and ion jumps: Eqs. 2 and 3 of Bernges et al., Adv. Energy Mater. 12, 2200717 (2022)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.quantity import Quantity
from aiida_iontherm.physics.units import H_EV_THZ, KB_EV

CITATION = "T. Bernges et al., Adv. Energy Mater. 12, 2200717 (2022)"


def bose_einstein(frequency_thz: ArrayLike, temperature: ArrayLike) -> NDArray[np.float64]:
    """Equilibrium occupation n0 = 1/(exp(h nu/(k_B T)) - 1) of a mode; arguments broadcast.

    Raises
    ------
    ValueError
        If a frequency (THz) or temperature (K) is not positive.
    """
    return 1 / np.expm1(_reduced_energy(frequency_thz, temperature))


def classical_occupation(frequency_thz: ArrayLike, temperature: ArrayLike) -> NDArray[np.float64]:
    """k_B T/(h nu), the high-temperature limit of n0 + 1/2; arguments broadcast.

    Bernges et al. print this number (3.1 at 2 THz and 298 K) as the Bose-Einstein occupation, which is 2.63.
    """
    return 1 / _reduced_energy(frequency_thz, temperature)


def critical_phonon_number(energy_ev: ArrayLike, frequency_thz: ArrayLike) -> NDArray[np.int64]:
    """Phonons in one mode needed to cross a barrier: n_c = ceil(E/(h nu)), Eq. 3; arguments broadcast.

    Raises
    ------
    ValueError
        If a barrier (eV) is negative or a frequency (THz) is not positive.
    """
    energy, frequency = np.asarray(energy_ev, dtype=float), np.asarray(frequency_thz, dtype=float)
    if np.any(energy < 0) or np.any(frequency <= 0):
        raise ValueError("barriers must not be negative and frequencies must be positive")
    ratio = energy / (H_EV_THZ * frequency)
    nearest = np.round(ratio)
    # an exact multiple of h nu must not cost one phonon more because of the last bit of the division
    exact = np.abs(ratio - nearest) <= 1e-9 * np.maximum(1.0, ratio)
    return np.where(exact, nearest, np.ceil(ratio)).astype(np.int64)


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
    energy, t = np.asarray(energy_ev, dtype=float), np.asarray(temperature, dtype=float)
    if np.any(energy < 0) or np.any(t <= 0):
        raise ValueError("barriers must not be negative and temperatures must be positive")
    return np.exp(-energy / (KB_EV * t))


def occupation_analysis(
    activation_energy_ev: float,
    uncertainty: float | None,
    frequency_thz: float,
    temperature: float,
    bound: str | None = None,
    *,
    converged: bool = True,
    reason: str = "",
) -> list[Quantity]:
    """Mobile fraction, critical phonon number, equilibrium occupation and jump probability of one ion in one mode.

    Uncertainties are half the spread between E_A - u and E_A + u, which the steps of the critical number need;
    the frequency counts as exact. A lower bound on E_A is an upper bound on the mobile fraction and the jump
    probability, and a lower bound on the critical number.

    Parameters
    ----------
    activation_energy_ev, uncertainty
        E_A and one standard error (``None`` where there is none), eV.
    frequency_thz
        Frequency of the vibration of the mobile ion.
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
    spread = uncertainty or 0.0
    energies = np.array([max(0.0, activation_energy_ev - spread), activation_energy_ev, activation_energy_ev + spread])
    counts = critical_phonon_number(energies, frequency_thz)
    n0 = float(bose_einstein(frequency_thz, temperature))
    classical = float(classical_occupation(frequency_thz, temperature))
    rows = [
        ("mobile_fraction", mobile_fraction(energies, temperature), inverse[bound], "exp(-E_A/(k_B T)), Eq. 2"),
        ("critical_phonon_number", counts.astype(float), bound, "ceil(E_A/(h nu)), Eq. 3"),
        (
            "jump_probability",
            probability_at_least(counts, frequency_thz, temperature),
            inverse[bound],
            "P(n >= n_c) = exp(-n_c h nu/(k_B T))",
        ),
    ]
    records = [
        Quantity(
            name=name,
            value=float(values[1]),
            unit="1",
            method=f"{formula}, nu = {frequency_thz:.4g} THz",
            converged=converged,
            reason=reason or ("" if uncertainty is not None else "the activation energy carries no uncertainty"),
            uncertainty=None if uncertainty is None else float(abs(values[2] - values[0]) / 2),
            bound=row_bound,
            temperature=temperature,
            citation=CITATION,
        )
        for name, values, row_bound, formula in rows
    ]
    occupation = Quantity(
        name="equilibrium_occupation",
        value=n0,
        unit="1",
        method=f"1/(exp(h nu/(k_B T)) - 1), nu = {frequency_thz:.4g} THz",
        converged=True,
        reason=f"the frequency counts as exact; the classical k_B T/(h nu) would be {classical:.4g}",
        temperature=temperature,
        citation=CITATION,
    )
    return [*records[:2], occupation, records[2]]


def _reduced_energy(frequency_thz: ArrayLike, temperature: ArrayLike) -> NDArray[np.float64]:
    """Energy of a quantum over k_B T."""
    frequency, t = np.asarray(frequency_thz, dtype=float), np.asarray(temperature, dtype=float)
    if np.any(frequency <= 0) or np.any(t <= 0):
        raise ValueError("frequencies and temperatures must be positive: leave out imaginary and zero modes")
    return H_EV_THZ * frequency / (KB_EV * t)


def _counts(n: ArrayLike) -> NDArray[np.float64]:
    counts = np.asarray(n, dtype=float)
    if np.any(counts < 0):
        raise ValueError("a number of phonons must not be negative")
    return counts
