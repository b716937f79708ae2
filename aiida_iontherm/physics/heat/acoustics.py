"""What sound says about heat: Debye temperature, Grueneisen number and both lower limits from one set of data."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import ArrayLike

from aiida_iontherm.physics.heat.capacity import (
    PER_A3_TO_PER_M3,
    debye_temperature,
    mean_sound_velocity,
)
from aiida_iontherm.physics.heat.elastic import debye_mean_velocity, polycrystal_moduli
from aiida_iontherm.physics.heat.limits import cahill_limit_high_temperature, diffuson_limit
from aiida_iontherm.physics.heat.sound import grueneisen_number, isotropic_velocities, poisson_number
from aiida_iontherm.physics.units import AMU, H_EV_THZ, KB_EV

NUMBER_DENSITIES_PER_A3 = (0.002, 0.3)
"""Atoms per Angstrom^3 of solids: open frameworks to diamond (0.176) and beyond."""

MEAN_MASSES_AMU = (1.0, 250.0)
"""Mean mass of an atom: hydrogen to the actinides."""


@dataclass(frozen=True, kw_only=True)
class Acoustics:
    """Properties of a solid that follow from its sound velocities and the number of atoms per volume.

    Attributes
    ----------
    longitudinal_m_s, transverse_m_s
        Isotropic sound velocities, m/s.
    mean_m_s
        Debye mean, m/s.
    debye_temperature_K, debye_frequency_thz
        hbar v (6 pi^2 n)^(1/3) as a temperature and as an ordinary frequency; n counts all atoms.
    poisson_number, grueneisen_number
        From v_L/v_T; the latter is an empirical estimate (`sound.grueneisen_number`).
    cahill_limit, diffuson_limit
        Lower limits of the conductivity well above the Debye temperature, W/(m K). The limit at low temperature:
        `limits.cahill_limit`.
    """

    longitudinal_m_s: float
    transverse_m_s: float
    mean_m_s: float
    debye_temperature_K: float
    debye_frequency_thz: float
    poisson_number: float
    grueneisen_number: float
    cahill_limit: float
    diffuson_limit: float


def acoustics_of_velocities(longitudinal_m_s: float, transverse_m_s: float, number_density_per_A3: float) -> Acoustics:
    """Collect what follows from the two sound velocities of an isotropic solid, e.g. by pulse echo.

    Parameters
    ----------
    longitudinal_m_s, transverse_m_s
        Sound velocities in m/s.
    number_density_per_A3
        Atoms (not formula units) per Angstrom^3.

    Raises
    ------
    ValueError
        If a number is not in the range of solids (likely another unit), or v_L is at most 2/sqrt(3) v_T.
    """
    mean = float(mean_sound_velocity(longitudinal_m_s, transverse_m_s))
    return _acoustics(longitudinal_m_s, transverse_m_s, mean, number_density_per_A3)


def acoustics_of_stiffness(stiffness_gpa: ArrayLike, density_kg_m3: float, number_density_per_A3: float) -> Acoustics:
    """Collect what follows from the elastic constants of a crystal.

    The Debye mean is that of the crystal (`elastic.debye_mean_velocity`). Limits, Poisson and Grueneisen number take
    v_L and v_T of the Hill average.

    Parameters
    ----------
    stiffness_gpa
        ``[6, 6]`` in Voigt order xx, yy, zz, yz, xz, xy.
    density_kg_m3
        Mass density in kg/m^3.
    number_density_per_A3
        Atoms (not formula units) per Angstrom^3.

    Raises
    ------
    ValueError
        If the crystal is not Born stable, a number is not in the range of solids (likely another unit), or the two
        densities do not belong together.
    """
    mean = debye_mean_velocity(stiffness_gpa, density_kg_m3)
    v_l, v_t = isotropic_velocities(polycrystal_moduli(stiffness_gpa).hill, density_kg_m3)
    _check_number_density(number_density_per_A3)
    mass = density_kg_m3 / (number_density_per_A3 * PER_A3_TO_PER_M3 * AMU)
    if not MEAN_MASSES_AMU[0] <= mass <= MEAN_MASSES_AMU[1]:
        raise ValueError(
            f"{density_kg_m3:.4g} kg/m^3 and {number_density_per_A3:.4g} atoms per Angstrom^3 make a mean mass of "
            f"{mass:.3g} amu: does the number density count all atoms?"
        )
    return _acoustics(v_l, v_t, mean, number_density_per_A3)


def _acoustics(v_l: float, v_t: float, mean: float, number_density: float) -> Acoustics:
    # first, since it refuses what is not a pair of sound velocities
    poisson = float(poisson_number(v_l, v_t))
    _check_number_density(number_density)
    theta = float(debye_temperature(mean, number_density))
    return Acoustics(
        longitudinal_m_s=v_l,
        transverse_m_s=v_t,
        mean_m_s=mean,
        debye_temperature_K=theta,
        debye_frequency_thz=theta * KB_EV / H_EV_THZ,
        poisson_number=poisson,
        grueneisen_number=float(grueneisen_number(v_l, v_t)),
        cahill_limit=cahill_limit_high_temperature(number_density, v_l, v_t),
        diffuson_limit=diffuson_limit(number_density, v_l, v_t),
    )


def _check_number_density(number_density: float) -> None:
    low, high = NUMBER_DENSITIES_PER_A3
    if not low <= number_density <= high:
        raise ValueError(
            f"{number_density:.4g} atoms per Angstrom^3 are not those of a solid: is it per nm^3, or per cm^3?"
        )
