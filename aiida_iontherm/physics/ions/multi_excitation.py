"""Multi-excitation entropy: from the Meyer-Neldel slope to a characteristic number of phonons.

A barrier E much larger than the quanta at hand is crossed with n = E/(h nu) quanta from several modes. They can come
together in many ways; the logarithm of that number is an entropy which grows with E, and the prefactor with it
(A. Yelon and B. Movaghar, Phys. Rev. Lett. 65, 618 (1990); A. Yelon, B. Movaghar and R. S. Crandall, Rep. Prog. Phys.
69, 1145 (2006)). With n quanta in N modes of one frequency,

    S/k_B = ln[(n + N - 1)!/(n! (N - 1)!)] = N [(m + 1) ln(m + 1) - m ln m] for large N, m = n/N.

The characteristic number m follows from 1/Delta0 = d(S/k_B)/dE. It depends on what stays fixed along the series:

- the modes: 1/Delta0 = ln(1 + 1/m)/(h nu), hence m = 1/(exp(h nu/Delta0) - 1), the Bose-Einstein occupation at the
  isokinetic temperature Delta0/k_B;
- the quanta per mode, more modes taking part in a higher barrier: 1/Delta0 = [ln(1 + m) + m ln(1 + 1/m)]/(m h nu).

Bernges et al. print Delta0/(h nu) itself, the classical limit of the first. Where there are many more modes than
quanta, Delta0 much below h nu, either gives Delta0 = h nu/ln(N/n) to leading order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from aiida_iontherm.physics.ions.checks import barriers, frequencies, standard_error
from aiida_iontherm.physics.ions.occupation import bose_einstein
from aiida_iontherm.physics.units import H_EV_THZ, KB_EV

LARGEST_DELTA0_EV = 1.0
"""Above it the isokinetic temperature is beyond 11 600 K, and the number most likely in meV."""

SMALLEST_RATIO = 0.01
"""Delta0/(h nu) below which each quantum would have to choose among more than 10^43 modes."""

TOO_UNCERTAIN = 0.5
"""A Delta0/(h nu) known to no better than this share of itself says little."""


@dataclass(frozen=True, kw_only=True)
class MultiExcitation:
    """Characteristic numbers of phonons of a Meyer-Neldel series.

    Attributes
    ----------
    characteristic_energy_ev, frequency_thz
        Delta0 and nu.
    isokinetic_temperature, isokinetic_temperature_uncertainty
        Delta0/k_B, K.
    quanta, quanta_uncertainty
        Delta0/(h nu): also the classical occupation k_B T/(h nu) at the isokinetic temperature.
    fixed_modes, fixed_modes_uncertainty
        Quanta per mode if all compounds of the series use the same modes; the Bose-Einstein occupation at the
        isokinetic temperature.
    growing_modes, growing_modes_uncertainty
        Quanta per mode if it stays the same along the series, and more modes take part in a higher barrier.
    temperature, equilibrium_occupation
        Temperature of comparison in K, and the Bose-Einstein occupation there.
    converged, reason
        Verdict on Delta0, and whether Delta0/(h nu) is known to better than half its value.
    """

    characteristic_energy_ev: float
    frequency_thz: float
    isokinetic_temperature: float
    isokinetic_temperature_uncertainty: float
    quanta: float
    quanta_uncertainty: float
    fixed_modes: float
    fixed_modes_uncertainty: float
    growing_modes: float
    growing_modes_uncertainty: float
    temperature: float
    equilibrium_occupation: float
    converged: bool
    reason: str


def multi_excitation(
    characteristic_energy_ev: float,
    uncertainty_ev: float | None,
    frequency_thz: float,
    temperature: float,
    *,
    frequency_uncertainty_thz: float | None = None,
    converged: bool = True,
    reason: str = "",
) -> MultiExcitation:
    """Characteristic numbers of phonons from Delta0 and the frequency of the mobile ion.

    Parameters
    ----------
    characteristic_energy_ev, uncertainty_ev
        Delta0, the inverse slope of the Meyer-Neldel line, and one standard error (``None`` if exact), eV.
    frequency_thz, frequency_uncertainty_thz
        Frequency of the vibration and one standard error (or ``None``), THz.
    temperature
        Where to compare with the equilibrium occupation, K.
    converged, reason
        Verdict on Delta0 (`MeyerNeldelFit`), which the result inherits.

    Raises
    ------
    ValueError
        If Delta0, frequency or temperature is not positive, or of a magnitude that only another unit explains.
    """
    ratio = float(_ratio(characteristic_energy_ev, frequency_thz))
    energy_error = standard_error(uncertainty_ev, "Delta0")
    frequency_error = standard_error(frequency_uncertainty_thz, "the frequency")
    error = ratio * math.hypot(energy_error / characteristic_energy_ev, frequency_error / frequency_thz)
    fixed, growing = 1 / math.expm1(1 / ratio), _growing_modes(ratio)
    if converged and not error < TOO_UNCERTAIN * ratio:
        converged = False
        reason = f"Delta0/(h nu) = {ratio:.2g} +- {error:.1g} is not known to better than half its value"
    return MultiExcitation(
        characteristic_energy_ev=float(characteristic_energy_ev),
        frequency_thz=float(frequency_thz),
        isokinetic_temperature=characteristic_energy_ev / KB_EV,
        isokinetic_temperature_uncertainty=energy_error / KB_EV,
        quanta=ratio,
        quanta_uncertainty=error,
        fixed_modes=fixed,
        fixed_modes_uncertainty=fixed * (fixed + 1) * error / ratio**2,
        growing_modes=growing,
        # d(1/ratio)/dm = -ln(1 + m)/m^2 along the curve
        growing_modes_uncertainty=growing**2 / math.log1p(growing) * error / ratio**2,
        temperature=float(temperature),
        equilibrium_occupation=float(bose_einstein(frequency_thz, temperature)),
        converged=converged,
        reason=reason or "how many modes share the quanta is a model: compare the three numbers",
    )


def mode_entropy(quanta: ArrayLike) -> NDArray[np.float64]:
    """Entropy of a mode with m quanta on average, (m + 1) ln(m + 1) - m ln m, in k_B.

    Raises
    ------
    ValueError
        If a number is negative.
    """
    m = np.asarray(quanta, dtype=float)
    if not np.all(m >= 0):
        raise ValueError("a number of phonons must not be negative")
    some = np.where(m > 0, m, 1.0)
    # the same as (m + 1) ln(m + 1) - m ln m, without its cancellation
    return np.where(m > 0, np.log1p(some) + some * np.log1p(1 / some), 0.0)


def multi_excitation_entropy(quanta: ArrayLike, modes: ArrayLike) -> NDArray[np.float64]:
    """Logarithm of the ways to put n quanta into N modes, ln[(n + N - 1)!/(n! (N - 1)!)], in k_B; arguments broadcast.

    Raises
    ------
    ValueError
        If there are fewer than no quanta or than one mode.
    """
    n, modes_ = np.asarray(quanta, dtype=float), np.asarray(modes, dtype=float)
    if not (np.all(n >= 0) and np.all(modes_ >= 1)):
        raise ValueError("quanta must not be negative, and at least one mode must hold them")
    return special.gammaln(n + modes_) - special.gammaln(n + 1) - special.gammaln(modes_)


def participating_modes(
    energy_ev: ArrayLike, frequency_thz: ArrayLike, characteristic_energy_ev: float
) -> NDArray[np.float64]:
    """Modes that share the quanta of a barrier, if they are the same along the series: E/(h nu) (exp(h nu/Delta0) - 1).

    Arguments broadcast. Below one, the picture of several modes does not apply.

    Raises
    ------
    ValueError
        If a barrier (eV) is negative or Delta0 (eV) or a frequency (THz) not positive.
    """
    inverse = 1 / _ratio(characteristic_energy_ev, frequency_thz)
    return barriers(energy_ev) / (H_EV_THZ * frequencies(frequency_thz)) * np.expm1(inverse)


def _ratio(characteristic_energy_ev: float, frequency_thz: ArrayLike) -> NDArray[np.float64]:
    """Delta0/(h nu), checked."""
    if not characteristic_energy_ev > 0:
        raise ValueError("Delta0 must be positive: without a rising prefactor there is no multi-excitation entropy")
    if characteristic_energy_ev > LARGEST_DELTA0_EV:
        raise ValueError(
            f"a Delta0 of {characteristic_energy_ev:g} eV would be an isokinetic temperature of "
            f"{characteristic_energy_ev / KB_EV:.0f} K: is it in meV? Divide by 1000"
        )
    ratio = characteristic_energy_ev / (H_EV_THZ * frequencies(frequency_thz))
    if np.any(ratio < SMALLEST_RATIO):
        raise ValueError(
            f"Delta0 is {np.min(ratio):.2g} of the quantum, too small for any entropy of several quanta: check its unit"
        )
    return ratio


def _growing_modes(ratio: float) -> float:
    """Quanta per mode m with [ln(1 + m) + m ln(1 + 1/m)]/m = 1/ratio."""

    def mismatch(log_m: float) -> float:
        m = math.exp(log_m)
        return math.log(float(mode_entropy(m)) / m * ratio)

    # The entropy per quantum falls from 1 - ln m for few quanta towards zero for many.
    return math.exp(float(optimize.brentq(mismatch, -1 / ratio - 1, 60.0, xtol=1e-13)))
