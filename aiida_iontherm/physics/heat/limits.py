"""Lower limits of the lattice thermal conductivity: Cahill (phonons) and Agne (diffusons)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.heat.capacity import (
    PER_A3_TO_PER_M3,
    debye_temperature,
    mode_heat_capacity,
    real_modes,
)
from aiida_iontherm.physics.units import KB


def cahill_limit(
    number_density_per_A3: float, longitudinal_m_s: float, transverse_m_s: float, temperatures: ArrayLike
) -> NDArray[np.float64]:
    """Minimum conductivity of Debye waves that live half a period.

    kappa = (pi/6)^(1/3) k_B n^(2/3) sum_i v_i (T/Theta_i)^2 int_0^(Theta_i/T) x^3 e^x/(e^x - 1)^2 dx,
    Theta_i = hbar v_i (6 pi^2 n)^(1/3)/k_B, over one longitudinal and two transverse branches
    (D. G. Cahill, S. K. Watson, R. O. Pohl, Phys. Rev. B 46, 6131 (1992)).

    Parameters
    ----------
    number_density_per_A3
        Atoms per Angstrom^3.
    longitudinal_m_s, transverse_m_s
        Sound velocities in m/s.
    temperatures
        ``[T]`` K.

    Returns
    -------
    ``[T]`` W/(m K).

    Raises
    ------
    ValueError
        If a number is not positive.
    """
    t = np.atleast_1d(np.asarray(temperatures, dtype=float))
    _check_positive(number_density_per_A3, longitudinal_m_s, transverse_m_s, *t)
    velocities = np.array([longitudinal_m_s, transverse_m_s, transverse_m_s])
    reduced = debye_temperature(velocities, number_density_per_A3)[:, None] / t
    # The integrand beyond x = 60 is below 1e-20; 128 Gauss points carry it to machine precision below.
    nodes, node_weights = np.polynomial.legendre.leggauss(128)
    upper = np.minimum(reduced, 60.0)[..., None] / 2
    x = upper * (nodes + 1)
    integral = np.sum(upper * node_weights * x * (x / (2 * np.sinh(x / 2))) ** 2, axis=-1)
    branches = velocities[:, None] * integral / reduced**2
    return np.cbrt(np.pi / 6) * KB * _two_thirds(number_density_per_A3) * branches.sum(axis=0)


def cahill_limit_high_temperature(
    number_density_per_A3: float, longitudinal_m_s: float, transverse_m_s: float
) -> float:
    """Cahill limit well above the Debye temperature: (pi/6)^(1/3)/2 k_B n^(2/3) (v_L + 2 v_T), in W/(m K).

    Arguments and errors as in `cahill_limit`.
    """
    _check_positive(number_density_per_A3, longitudinal_m_s, transverse_m_s)
    velocities = longitudinal_m_s + 2 * transverse_m_s
    return float(np.cbrt(np.pi / 6) / 2 * KB * _two_thirds(number_density_per_A3) * velocities)


def diffuson_limit(number_density_per_A3: float, longitudinal_m_s: float, transverse_m_s: float) -> float:
    """High-temperature diffuson conductivity from sound velocities: 0.76 n^(2/3) k_B (v_L + 2 v_T)/3, in W/(m K).

    M. T. Agne, R. Hanus, G. J. Snyder, Energy Environ. Sci. 11, 609 (2018). The 0.76 is their empirical relation
    between the average frequency of real densities of states and the velocities; a Debye density of states would
    give 3 (6 pi^2)^(1/3)/(4 pi) = 0.93.

    Arguments and errors as in `cahill_limit`.
    """
    _check_positive(number_density_per_A3, longitudinal_m_s, transverse_m_s)
    mean = (longitudinal_m_s + 2 * transverse_m_s) / 3
    return float(0.76 * KB * _two_thirds(number_density_per_A3) * mean)


def diffuson_conductivity(
    frequencies_thz: ArrayLike,
    weights: ArrayLike,
    number_density_per_A3: float,
    temperatures: ArrayLike,
    *,
    cutoff_thz: float = 0.01,
) -> NDArray[np.float64]:
    """Conductivity if every mode were a diffuson that hops an atomic distance twice a period.

    kappa = n^(1/3) k_B/pi int g(w)/(3n) w x^2 e^x/(e^x - 1)^2 dw, x = hbar w/(k_B T): each mode diffuses with
    D(w) = w/(3 pi n^(2/3)) (M. T. Agne, R. Hanus, G. J. Snyder, Energy Environ. Sci. 11, 609 (2018)). At high
    temperature n^(1/3) k_B <w>/pi.

    Parameters
    ----------
    frequencies_thz
        ``[q, s]``: all branches at points of the Brillouin zone. A density of states serves as well: its grid as
        ``[n, 1]`` with its values as weights.
    weights
        ``[q]``, any normalisation.
    number_density_per_A3
        Atoms per Angstrom^3.
    temperatures
        ``[T]`` K.
    cutoff_thz
        Modes below are left out.

    Returns
    -------
    ``[T]`` W/(m K).

    Raises
    ------
    ValueError
        If shapes do not fit, a number is not positive, or a mode is imaginary (below ``-cutoff_thz``).
    """
    frequencies, mode_weights, t = real_modes(frequencies_thz, weights, temperatures, cutoff_thz)
    _check_positive(number_density_per_A3)
    angular = 2 * np.pi * 1e12 * frequencies
    per_branch = mode_weights / np.shape(frequencies_thz)[1]
    average = mode_heat_capacity(frequencies[:, None], t).T @ (per_branch * angular)
    return np.cbrt(number_density_per_A3 * PER_A3_TO_PER_M3) * KB / np.pi * average


def _two_thirds(number_density_per_A3: float) -> float:
    return float((number_density_per_A3 * PER_A3_TO_PER_M3) ** (2 / 3))


def _check_positive(*numbers: float) -> None:
    if not all(number > 0 for number in numbers):
        raise ValueError("number density, sound velocities and temperatures must be positive")
