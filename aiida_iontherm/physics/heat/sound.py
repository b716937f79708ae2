"""Isotropic elasticity: sound velocities, moduli, Poisson and Grueneisen numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

VELOCITIES_M_S = (50.0, 30_000.0)
"""Sound in solids: helium crystals lie above the lower bound, diamond (18 km/s) below the upper."""

DENSITIES_KG_M3 = (100.0, 30_000.0)
"""Mass densities of solids: lithium has 534, osmium 22 590."""


@dataclass(frozen=True, kw_only=True)
class IsotropicModuli:
    """Bulk and shear modulus of an isotropic solid; Young modulus and Poisson number follow from them.

    Attributes
    ----------
    bulk_gpa, shear_gpa
        K and G in GPa.
    """

    bulk_gpa: float
    shear_gpa: float

    @property
    def young_gpa(self) -> float:
        """Young modulus 9 K G/(3 K + G) in GPa."""
        return 9 * self.bulk_gpa * self.shear_gpa / (3 * self.bulk_gpa + self.shear_gpa)

    @property
    def poisson_number(self) -> float:
        """Poisson number (3 K - 2 G)/(2 (3 K + G))."""
        return (3 * self.bulk_gpa - 2 * self.shear_gpa) / (2 * (3 * self.bulk_gpa + self.shear_gpa))


def isotropic_moduli(longitudinal_m_s: float, transverse_m_s: float, density_kg_m3: float) -> IsotropicModuli:
    """Moduli of an isotropic solid from its sound velocities: G = rho v_T^2, K = rho (v_L^2 - 4/3 v_T^2).

    Parameters
    ----------
    longitudinal_m_s, transverse_m_s
        Sound velocities in m/s.
    density_kg_m3
        Mass density in kg/m^3.

    Raises
    ------
    ValueError
        If a number is not in the range of solids (likely another unit), or v_L is at most 2/sqrt(3) v_T.
    """
    v_l, v_t = _velocities(longitudinal_m_s, transverse_m_s)
    check_density(density_kg_m3)
    return IsotropicModuli(
        bulk_gpa=float(density_kg_m3 * (v_l**2 - 4 / 3 * v_t**2)) * 1e-9,
        shear_gpa=float(density_kg_m3 * v_t**2) * 1e-9,
    )


def isotropic_velocities(moduli: IsotropicModuli, density_kg_m3: float) -> tuple[float, float]:
    """Longitudinal and transverse sound velocity in m/s from moduli and mass density (kg/m^3).

    v_L^2 = (K + 4/3 G)/rho, v_T^2 = G/rho: the inverse of `isotropic_moduli`.

    Raises
    ------
    ValueError
        If a modulus is not positive, or density or velocities are not in the range of solids (likely another unit).
    """
    if not (moduli.bulk_gpa > 0 and moduli.shear_gpa > 0):
        raise ValueError("bulk and shear modulus must be positive: a solid with others is not stable")
    check_density(density_kg_m3)
    longitudinal = np.sqrt((moduli.bulk_gpa + 4 / 3 * moduli.shear_gpa) * 1e9 / density_kg_m3)
    transverse = np.sqrt(moduli.shear_gpa * 1e9 / density_kg_m3)
    check_velocities(longitudinal, transverse)
    return float(longitudinal), float(transverse)


def poisson_number(longitudinal_m_s: ArrayLike, transverse_m_s: ArrayLike) -> NDArray[np.float64]:
    """Poisson number of an isotropic solid, nu = (v_L^2 - 2 v_T^2)/(2 (v_L^2 - v_T^2)).

    Between -1 and 1/2. Arguments broadcast; errors as in `isotropic_moduli`.
    """
    v_l, v_t = _velocities(longitudinal_m_s, transverse_m_s)
    return (v_l**2 - 2 * v_t**2) / (2 * (v_l**2 - v_t**2))


def grueneisen_number(longitudinal_m_s: ArrayLike, transverse_m_s: ArrayLike) -> NDArray[np.float64]:
    """Grueneisen number estimated from sound velocities alone, gamma = 3/2 (1 + nu)/(2 - 3 nu).

    V. N. Belomestnykh, E. P. Tesleva, Tech. Phys. 49, 1098 (2004), with the Poisson number nu; in velocities
    gamma = 9/2 (v_L^2 - 4/3 v_T^2)/(v_L^2 + 2 v_T^2). It is a correlation over many solids, no derivative of a
    frequency: expect tens of per cent. `quasiharmonic.quasiharmonic` has the thermodynamic one.

    Arguments broadcast; errors as in `isotropic_moduli`.
    """
    v_l, v_t = _velocities(longitudinal_m_s, transverse_m_s)
    return 4.5 * (v_l**2 - 4 / 3 * v_t**2) / (v_l**2 + 2 * v_t**2)


def check_velocities(*velocities_m_s: ArrayLike) -> None:
    """Refuse numbers that cannot be sound velocities of a solid in m/s.

    Raises
    ------
    ValueError
        If a number is not finite or out of `VELOCITIES_M_S`.
    """
    low, high = VELOCITIES_M_S
    for velocity in velocities_m_s:
        v = np.asarray(velocity, dtype=float)
        if not np.all((v >= low) & (v <= high)):
            raise ValueError(
                f"sound velocities of {v.min():.4g} to {v.max():.4g} m/s are not those of a solid: "
                "are velocities in m/s, elastic constants in GPa and the density in kg/m^3?"
            )


def check_density(density_kg_m3: float) -> None:
    """Refuse a number that cannot be the mass density of a solid in kg/m^3.

    Raises
    ------
    ValueError
        If it is not in `DENSITIES_KG_M3`.
    """
    low, high = DENSITIES_KG_M3
    if not low <= density_kg_m3 <= high:
        raise ValueError(f"a density of {density_kg_m3:.4g} kg/m^3 is not that of a solid: is it in g/cm^3?")


def _velocities(longitudinal: ArrayLike, transverse: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    check_velocities(longitudinal, transverse)
    v_l, v_t = np.asarray(longitudinal, dtype=float), np.asarray(transverse, dtype=float)
    if not np.all(3 * v_l**2 > 4 * v_t**2):
        raise ValueError(
            "the longitudinal velocity must exceed 1.155 times the transverse one (positive bulk modulus): "
            "are the two swapped?"
        )
    return v_l, v_t
