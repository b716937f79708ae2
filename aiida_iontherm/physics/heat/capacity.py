"""Harmonic heat capacity, Debye temperatures and sound velocities."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import constants

from aiida_iontherm.physics.units import H_EV_THZ, HBAR, KB, KB_EV

PER_A3_TO_PER_M3 = 1e30


def mode_heat_capacity(frequencies_thz: ArrayLike, temperature: ArrayLike) -> NDArray[np.float64]:
    """Heat capacity of a harmonic mode in units of k_B: x^2 e^x/(e^x - 1)^2, x = h nu/(k_B T); arguments broadcast.

    Frequencies are positive; 0 < C <= 1.
    """
    half = H_EV_THZ * np.asarray(frequencies_thz, dtype=float) / (2 * KB_EV * np.asarray(temperature, dtype=float))
    # (x/2 / sinh(x/2))^2, written so that it cannot overflow for modes frozen out
    return (2 * half * np.exp(-half) / -np.expm1(-2 * half)) ** 2


def heat_capacity(
    frequencies_thz: ArrayLike, weights: ArrayLike, temperatures: ArrayLike, *, cutoff_thz: float = 0.01
) -> NDArray[np.float64]:
    """Harmonic heat capacity at constant volume, per mole of cells.

    C_v = N_A k_B sum_s < x^2 e^x/(e^x - 1)^2 >_q. Tends to 3 n R for n atoms in the cell (Dulong-Petit).

    Parameters
    ----------
    frequencies_thz
        ``[q, s]``: the 3n branches at points of the Brillouin zone.
    weights
        ``[q]``, any normalisation.
    temperatures
        ``[T]`` K, positive.
    cutoff_thz
        Modes below are left out (the three translations at Gamma), as phonopy does.

    Returns
    -------
    ``[T]`` J/(mol K).

    Raises
    ------
    ValueError
        If shapes do not fit, a temperature is not positive, or a mode is imaginary (below ``-cutoff_thz``).
    """
    frequencies, mode_weights, t = real_modes(frequencies_thz, weights, temperatures, cutoff_thz)
    return constants.R * mode_heat_capacity(frequencies[:, None], t).T @ mode_weights


def real_modes(
    frequencies_thz: ArrayLike, weights: ArrayLike, temperatures: ArrayLike, cutoff_thz: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Check and flatten the modes above the cutoff.

    Returns
    -------
    frequencies ``[m]`` in THz, their weights ``[m]`` (those of all points sum to one for each branch) and the
    temperatures as ``[T]``.

    Raises
    ------
    ValueError
        As `heat_capacity`.
    """
    frequencies, point_weights = np.asarray(frequencies_thz, dtype=float), np.asarray(weights, dtype=float)
    t = np.atleast_1d(np.asarray(temperatures, dtype=float))
    if frequencies.ndim != 2 or point_weights.shape != frequencies.shape[:1]:
        raise ValueError(f"need frequencies [q, s] and weights [q], not {frequencies.shape} and {point_weights.shape}")
    if np.any(t <= 0):
        raise ValueError("temperatures must be positive")
    if np.any(frequencies < -cutoff_thz):
        raise ValueError(
            f"imaginary modes down to {frequencies.min():.3g} THz: use force constants of a stable structure or at T"
        )
    mode_weights = np.broadcast_to(point_weights[:, None] / point_weights.sum(), frequencies.shape)
    kept = frequencies > cutoff_thz
    return frequencies[kept], mode_weights[kept], t


def debye_temperature(velocity_m_s: ArrayLike, number_density_per_A3: ArrayLike) -> NDArray[np.float64]:
    """Debye temperature hbar v (6 pi^2 n)^(1/3)/k_B in K, from a sound velocity (m/s) and the atoms per Angstrom^3."""
    return HBAR / KB * np.asarray(velocity_m_s, dtype=float) * debye_wavevector(number_density_per_A3)


def debye_velocity(debye_temperature_K: ArrayLike, number_density_per_A3: ArrayLike) -> NDArray[np.float64]:
    """Sound velocity in m/s that belongs to a Debye temperature (K): the inverse of `debye_temperature`."""
    return KB / HBAR * np.asarray(debye_temperature_K, dtype=float) / debye_wavevector(number_density_per_A3)


def debye_wavevector(number_density_per_A3: ArrayLike) -> NDArray[np.float64]:
    """Radius (6 pi^2 n)^(1/3) of the Debye sphere in 1/m, from the atoms per Angstrom^3."""
    return np.cbrt(6 * np.pi**2 * np.asarray(number_density_per_A3, dtype=float) * PER_A3_TO_PER_M3)


def mean_sound_velocity(longitudinal_m_s: ArrayLike, transverse_m_s: ArrayLike) -> NDArray[np.float64]:
    """Debye average of sound velocities, v^-3 = (v_L^-3 + 2 v_T^-3)/3, in m/s.

    It is the velocity of the Debye temperature; the diffuson limit takes the arithmetic mean (v_L + 2 v_T)/3.
    """
    v_l, v_t = np.asarray(longitudinal_m_s, dtype=float), np.asarray(transverse_m_s, dtype=float)
    return np.cbrt(3 / (v_l**-3 + 2 * v_t**-3))
