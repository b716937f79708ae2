"""Occupation analysis mode by mode: which vibrations of an ion hold enough quanta for its jump, and how often.

Each mode counts by its share, |e_i|^2 for a site or |e_i . p|^2 along a jump p (Bernges et al., Adv. Energy Mater. 12,
2200717 (2022), Fig. 3e), and is taken alone: the energy of the jump has to be in this one mode.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.ions.checks import LARGEST_BARRIER_EV, barriers, standard_error
from aiida_iontherm.physics.ions.critical_number import critical_phonon_number
from aiida_iontherm.physics.ions.occupation import bose_einstein, probability_at_least

ZERO_THZ = 1e-3
"""Acoustic frequencies at Gamma are zero but for rounding, which the square root turns into 1e-4 THz or so."""

MAX_IMAGINARY_SHARE = 0.01
"""With more of the ion in imaginary modes, the others do not describe it."""


@dataclass(frozen=True, kw_only=True)
class ModeOccupation:
    """Occupation of the modes an ion takes part in, ascending in frequency.

    Attributes
    ----------
    label
        Whose modes: an ion, a site, a site along a jump.
    temperature, barrier_ev
        K and eV.
    frequencies_thz
        [m] modes that have a frequency, THz.
    weights
        [m] share of the ion in each, with the weight of its q-point; they add up to one.
    equilibrium
        [m] n0 = 1/(exp(h nu/(k_B T)) - 1).
    critical
        [m] n_c = ceil(E/(h nu)).
    probability
        [m] P(n >= n_c).
    average_frequency_thz, mean_equilibrium, mean_critical
        Weighted means over the modes.
    jump_probability, jump_probability_uncertainty
        Weighted mean of P(n >= n_c), and half its spread between the barrier minus and plus one standard error
        (``None`` if the barrier has none).
    imaginary_share
        Share of the ion in imaginary modes, which are left out.
    converged, reason
        Whether that share is small.
    """

    label: str
    temperature: float
    barrier_ev: float
    frequencies_thz: NDArray[np.float64]
    weights: NDArray[np.float64]
    equilibrium: NDArray[np.float64]
    critical: NDArray[np.int64]
    probability: NDArray[np.float64]
    average_frequency_thz: float
    mean_equilibrium: float
    mean_critical: float
    jump_probability: float
    jump_probability_uncertainty: float | None
    imaginary_share: float
    converged: bool
    reason: str


def occupation_of_modes(
    frequencies_thz: ArrayLike,
    shares: ArrayLike,
    point_weights: ArrayLike,
    barrier_ev: float,
    temperature: float,
    *,
    barrier_uncertainty_ev: float | None = None,
    label: str = "",
) -> ModeOccupation:
    """Occupation analysis of all modes of a mesh.

    Parameters
    ----------
    frequencies_thz
        [q, s] THz, imaginary ones negative.
    shares
        [q, s] share of the ion in each mode, not negative; only ratios matter.
    point_weights
        [q] mesh points each q-point stands for.
    barrier_ev, barrier_uncertainty_ev
        Barrier of this jump and one standard error, eV.
    temperature
        K.
    label
        Whose modes these are, for the result.

    Raises
    ------
    ValueError
        If shapes do not fit, a share is negative, no mode with a frequency moves the ion, or barrier or temperature is
        out of range.
    """
    frequency, share = np.asarray(frequencies_thz, dtype=float), np.asarray(shares, dtype=float)
    points = np.asarray(point_weights, dtype=float)
    if frequency.ndim != 2 or share.shape != frequency.shape or points.shape != frequency.shape[:1]:
        raise ValueError(
            f"need frequencies and shares [q, s] and weights [q], not {frequency.shape}, {share.shape}, {points.shape}"
        )
    if not (np.all(share >= 0) and np.all(points >= 0) and np.all(np.isfinite(frequency))):
        raise ValueError("frequencies must be finite, shares and weights of q-points must not be negative")
    barriers(barrier_ev)
    error = standard_error(barrier_uncertainty_ev, "the barrier")
    weight = share * points[:, None]
    kept = (frequency > ZERO_THZ) & (weight > 0)
    if not kept.any():
        raise ValueError(
            f"no mode with a frequency moves {label or 'this ion'}: check the atoms and the force constants"
        )
    order = np.argsort(frequency[kept], kind="stable")
    nu, w = frequency[kept][order], weight[kept][order]
    w /= w.sum()
    imaginary = float(weight[frequency < -ZERO_THZ].sum() / weight.sum())
    critical = critical_phonon_number(barrier_ev, nu)
    equilibrium, probability = bose_einstein(nu, temperature), probability_at_least(critical, nu, temperature)
    # A hopeless error bar must not look like a barrier in another unit; at the limit the probability is zero.
    ends = [
        float(w @ probability_at_least(critical_phonon_number(energy, nu), nu, temperature))
        for energy in np.clip([barrier_ev - error, barrier_ev + error], 0.0, LARGEST_BARRIER_EV)
    ]
    converged = imaginary <= MAX_IMAGINARY_SHARE
    return ModeOccupation(
        label=label,
        temperature=float(temperature),
        barrier_ev=float(barrier_ev),
        frequencies_thz=nu,
        weights=w,
        equilibrium=equilibrium,
        critical=critical,
        probability=probability,
        average_frequency_thz=float(w @ nu),
        mean_equilibrium=float(w @ equilibrium),
        mean_critical=float(w @ critical),
        jump_probability=float(w @ probability),
        jump_probability_uncertainty=None if barrier_uncertainty_ev is None else (ends[0] - ends[1]) / 2,
        imaginary_share=imaginary,
        converged=converged,
        reason=f"{len(nu)} modes, none of weight left out"
        if not imaginary
        else f"{100 * imaginary:.2g} % of the vibrations of {label or 'the ion'} are imaginary and left out",
    )
