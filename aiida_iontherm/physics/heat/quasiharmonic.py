"""Thermal expansion and C_p from the mode Grueneisen numbers, in the quasi-harmonic approximation.

Frequencies depend on the volume alone, gamma_s = -d ln nu_s/d ln V. All quantities are taken at one volume, so that no
other force constants are needed; what comes of it is exact within the approximation at that volume and temperature.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import constants

from aiida_iontherm.physics.heat.capacity import mode_heat_capacity, real_modes

MOLAR_PV = 1e9 * 1e-30 * constants.N_A
"""1 GPa Angstrom^3 in J/mol."""


@dataclass(frozen=True, kw_only=True)
class QuasiHarmonic:
    """Heat capacity and expansion of a crystal at one volume, per mole of cells; arrays over the temperatures.

    Attributes
    ----------
    temperatures
        ``[T]`` K.
    heat_capacity_v, heat_capacity_p
        ``[T]`` J/(mol K), at constant volume and constant pressure.
    grueneisen
        ``[T]`` macroscopic Grueneisen number.
    thermal_expansion
        ``[T]`` volumetric expansion alpha_V = d ln V/dT at constant pressure, 1/K.
    """

    temperatures: NDArray[np.float64]
    heat_capacity_v: NDArray[np.float64]
    heat_capacity_p: NDArray[np.float64]
    grueneisen: NDArray[np.float64]
    thermal_expansion: NDArray[np.float64]


def quasiharmonic(
    frequencies_thz: ArrayLike,
    weights: ArrayLike,
    grueneisen: ArrayLike,
    bulk_modulus_gpa: ArrayLike,
    volume_A3: float,
    temperatures: ArrayLike,
    *,
    cutoff_thz: float = 0.01,
) -> QuasiHarmonic:
    """Heat capacities, Grueneisen number and expansion from modes.

    alpha_V = sum_s gamma_s C_s/(B V), gamma = sum_s gamma_s C_s/sum_s C_s, C_p = C_v + alpha_V^2 B V T
    (N. W. Ashcroft, N. D. Mermin, Solid State Physics, 1976, chapter 25).

    Parameters
    ----------
    frequencies_thz
        ``[q, s]``: the 3n branches at points of the Brillouin zone. A density of states serves as well: its grid as
        ``[m, 1]`` with its values as weights and, as volume, that of one mode, V/(3n); heat capacities are then per
        mole of modes.
    weights
        ``[q]``, any normalisation.
    grueneisen
        ``[q, s]`` mode Grueneisen numbers -d ln nu/d ln V, or one number for all modes.
    bulk_modulus_gpa
        Isothermal bulk modulus in GPa: one number or ``[T]``.
    volume_A3
        Volume of the cell with n atoms in Angstrom^3.
    temperatures
        ``[T]`` K.
    cutoff_thz
        Modes below are left out (the three translations at Gamma).

    Raises
    ------
    ValueError
        If shapes do not fit, a mode is imaginary (below ``-cutoff_thz``), or a temperature, volume or bulk modulus is
        not positive.
    """
    frequencies, mode_weights, t = real_modes(frequencies_thz, weights, temperatures, cutoff_thz)
    shape = np.shape(frequencies_thz)
    numbers = np.asarray(grueneisen, dtype=float)
    if numbers.shape not in ((), shape) or not np.all(np.isfinite(numbers)):
        raise ValueError(f"need a finite Grueneisen number for each mode {shape} or one for all, not {numbers.shape}")
    bulk = np.asarray(bulk_modulus_gpa, dtype=float)
    if bulk.shape not in ((), t.shape):
        raise ValueError(f"need one bulk modulus, or one for each of the {len(t)} temperatures, not {bulk.shape}")
    # the same choice of modes as in real_modes
    kept = np.broadcast_to(numbers, shape)[np.asarray(frequencies_thz, dtype=float) > cutoff_thz]
    shares = mode_heat_capacity(frequencies[:, None], t).T
    capacity = constants.R * shares @ mode_weights
    driven = constants.R * shares @ (mode_weights * kept)
    expansion = driven / _molar_stiffness(bulk, volume_A3)
    # where all modes are frozen out both sums underflow to zero
    macroscopic = np.divide(driven, capacity, out=np.full_like(driven, np.nan), where=capacity > 0)
    return QuasiHarmonic(
        temperatures=t,
        heat_capacity_v=capacity,
        heat_capacity_p=capacity + dilation_heat_capacity(expansion, bulk, volume_A3, t),
        grueneisen=macroscopic,
        thermal_expansion=expansion,
    )


def dilation_heat_capacity(
    thermal_expansion: ArrayLike, bulk_modulus_gpa: ArrayLike, volume_A3: ArrayLike, temperatures: ArrayLike
) -> NDArray[np.float64]:
    """C_p - C_v = alpha_V^2 B V T, in J/(mol K) per mole of the volume given; arguments broadcast.

    Parameters
    ----------
    thermal_expansion
        Volumetric, 1/K: three times the linear one of a cubic crystal.
    bulk_modulus_gpa
        Isothermal, GPa.
    volume_A3
        Of a cell, or of a formula unit, Angstrom^3.
    temperatures
        K.

    Raises
    ------
    ValueError
        If a volume or a bulk modulus is not positive, or a temperature is negative.
    """
    t = np.asarray(temperatures, dtype=float)
    if np.any(t < 0):
        raise ValueError("temperatures must not be negative")
    return np.asarray(thermal_expansion, dtype=float) ** 2 * _molar_stiffness(bulk_modulus_gpa, volume_A3) * t


def grueneisen_from_expansion(
    thermal_expansion: ArrayLike, bulk_modulus_gpa: ArrayLike, volume_A3: ArrayLike, heat_capacity: ArrayLike
) -> NDArray[np.float64]:
    """Macroscopic Grueneisen number alpha_V B V/C from measured quantities; arguments broadcast.

    Parameters
    ----------
    thermal_expansion
        Volumetric, 1/K: three times the linear one of a cubic crystal.
    bulk_modulus_gpa
        GPa: isothermal together with C_v, adiabatic (from sound velocities) together with C_p. Both pairs give the
        same number.
    volume_A3
        Of a cell, or of a formula unit, Angstrom^3.
    heat_capacity
        J/(mol K), per mole of the same cell or formula unit.

    Raises
    ------
    ValueError
        If a volume, bulk modulus or heat capacity is not positive.
    """
    capacity = np.asarray(heat_capacity, dtype=float)
    if not np.all(capacity > 0):
        raise ValueError("heat capacities must be positive")
    return np.asarray(thermal_expansion, dtype=float) * _molar_stiffness(bulk_modulus_gpa, volume_A3) / capacity


def _molar_stiffness(bulk_modulus_gpa: ArrayLike, volume_A3: ArrayLike) -> NDArray[np.float64]:
    """B V in J/mol."""
    bulk, volume = np.asarray(bulk_modulus_gpa, dtype=float), np.asarray(volume_A3, dtype=float)
    if not (np.all(bulk > 0) and np.all(volume > 0)):
        raise ValueError("bulk modulus and volume must be positive")
    return bulk * volume * MOLAR_PV
