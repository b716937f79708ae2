"""Transport regimes: which modes move heat like particles, which like waves, and which are no vibrations any more.

The lifetime of a mode (convention of `linewidths`, tau = 1/(4 pi gamma)) is held against two limits in time, those of
Simoncelli, Marzari and Mauri, Phys. Rev. X 12, 041011 (2022), drawn by Li et al., Adv. Mater. (2025),
doi 10.1002/adma.202513381, Fig. 4:

    Wigner limit         1 / Dw_ave, Dw_ave = w_max / (3 n): the mean spacing of the 3 n bands of the cell
    Ioffe-Regel limit    1 / w

with angular frequencies w = 2 pi f. A mode that lives longer than the Wigner limit has a linewidth below the spacing
of the bands and propagates like a particle; one that lives shorter overlaps with its neighbours and heat goes from
one to the other like a wave; one that lives shorter than the Ioffe-Regel limit is overdamped: it ends before 1/(2 pi)
of an oscillation. The Ioffe-Regel limit decides where it is the longer one, below f_max/(3 n).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

PARTICLE_LIKE = "particle-like"
WAVE_LIKE = "wave-like"
OVERDAMPED = "overdamped"
UNCLASSIFIED = ""
"""Modes without a positive frequency or without a finite lifetime have no regime."""


def lifetimes_ps(gamma_thz: ArrayLike) -> NDArray[np.float64]:
    """Lifetimes in ps from half widths in THz, tau = 1/(4 pi gamma); infinite where the width is zero."""
    gamma = np.asarray(gamma_thz, dtype=float)
    if not np.all(gamma >= 0):
        raise ValueError("linewidths must be numbers not below zero: check the scattering calculation")
    with np.errstate(divide="ignore"):
        return 1 / (4 * np.pi * gamma)


def wigner_limit_ps(frequencies_thz: ArrayLike) -> float:
    """Wigner limit 1/Dw_ave in ps from the frequencies of all bands [q, s] on a mesh.

    Raises
    ------
    ValueError
        If the frequencies are not [q, s] or none is positive.
    """
    frequencies = np.asarray(frequencies_thz, dtype=float)
    if frequencies.ndim != 2 or not frequencies.size:
        raise ValueError(f"frequencies have shape {frequencies.shape}, need all bands [q, s] to count them")
    highest = float(frequencies.max())
    if not highest > 0:
        raise ValueError("no frequency is positive: the mean spacing of the bands is not defined")
    return frequencies.shape[1] / (2 * np.pi * highest)


def ioffe_regel_ps(frequencies_thz: ArrayLike) -> NDArray[np.float64]:
    """Ioffe-Regel limit 1/w = 1/(2 pi f) in ps; infinite at and below zero frequency."""
    frequencies = np.asarray(frequencies_thz, dtype=float)
    with np.errstate(divide="ignore"):
        return np.where(frequencies > 0, 1 / (2 * np.pi * frequencies), np.inf)


def classify(frequencies_thz: ArrayLike, lifetime_ps: ArrayLike, limit_ps: float) -> NDArray[np.str_]:
    """Regime of each mode by name.

    Parameters
    ----------
    frequencies_thz
        Frequencies [..., q, s], imaginary ones negative.
    lifetime_ps
        Lifetimes of a shape that broadcasts with them, [T, q, s] for instance.
    limit_ps
        The Wigner limit (`wigner_limit_ps`).

    Returns
    -------
    Names of the broadcast shape: ``PARTICLE_LIKE``, ``WAVE_LIKE``, ``OVERDAMPED``, or ``UNCLASSIFIED``.
    """
    if not limit_ps > 0:
        raise ValueError(f"the Wigner limit must be a positive time, not {limit_ps} ps")
    frequencies, lifetimes = np.broadcast_arrays(
        np.asarray(frequencies_thz, dtype=float), np.asarray(lifetime_ps, dtype=float)
    )
    names = np.where(lifetimes > limit_ps, PARTICLE_LIKE, WAVE_LIKE)
    names = np.where(lifetimes < ioffe_regel_ps(frequencies), OVERDAMPED, names)
    return np.where((frequencies > 0) & (lifetimes > 0) & np.isfinite(lifetimes), names, UNCLASSIFIED)


@dataclass(frozen=True)
class RegimeShares:
    """What part of something each regime holds; the four add up to one.

    Attributes
    ----------
    particle_like, wave_like, overdamped
        Shares of the three regimes.
    unclassified
        Share of the modes that have none.
    """

    particle_like: float
    wave_like: float
    overdamped: float
    unclassified: float


def regime_shares(regimes: ArrayLike, amounts: ArrayLike) -> RegimeShares:
    """Divide an amount per mode among the regimes.

    Parameters
    ----------
    regimes
        Names [q, s] from `classify`.
    amounts
        What each mode counts for, of a shape that broadcasts with [q, s]: the weights of the mesh ``[:, None]`` for
        the number of modes, weights times heat capacity for the heat content, or one component of
        `two_channel.mode_contributions` (it holds the weights already) for the conductivity.

    Raises
    ------
    ValueError
        If the amounts do not add up to a positive number.
    """
    names = np.asarray(regimes)
    values = np.broadcast_to(np.asarray(amounts, dtype=float), names.shape)
    total = float(values.sum())
    if not total > 0:
        raise ValueError(f"the amounts add up to {total}: there is nothing to divide among the regimes")
    return RegimeShares(
        *(float(values[names == name].sum()) / total for name in (PARTICLE_LIKE, WAVE_LIKE, OVERDAMPED, UNCLASSIFIED))
    )
