"""Sound and stability of anisotropic crystals from the 6x6 stiffness tensor.

Stiffness is in GPa, in Voigt order xx, yy, zz, yz, xz, xy (VASP prints xx, yy, zz, xy, yz, zx, in kbar), with
engineering shear strains as everybody tabulates it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.heat.sound import IsotropicModuli, check_density, check_velocities

VOIGT = np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])
"""Voigt index of a pair of Cartesian axes."""

ASYMMETRY = 0.05
"""Largest |C - C^T| taken for numerical noise, as a share of the largest element."""

ORDERS = (8, 16, 32, 64, 128, 256)
"""Orders of the spherical quadrature tried one after the other."""


@dataclass(frozen=True, kw_only=True)
class PolycrystalModuli:
    """Isotropic moduli of a polycrystal without texture.

    Attributes
    ----------
    voigt, reuss
        Upper bound (equal strain in all grains) and lower bound (equal stress).
    hill
        Arithmetic mean of the two (R. Hill, Proc. Phys. Soc. A 65, 349 (1952)).
    """

    voigt: IsotropicModuli
    reuss: IsotropicModuli
    hill: IsotropicModuli

    @property
    def anisotropy(self) -> float:
        """Universal anisotropy 5 G_V/G_R + K_V/K_R - 6, 0 for an isotropic crystal.

        S. I. Ranganathan, M. Ostoja-Starzewski, Phys. Rev. Lett. 101, 055504 (2008).
        """
        shear = self.voigt.shear_gpa / self.reuss.shear_gpa
        return 5 * shear + self.voigt.bulk_gpa / self.reuss.bulk_gpa - 6


def kelvin_moduli(stiffness_gpa: ArrayLike) -> NDArray[np.float64]:
    """Six eigenvalues of the stiffness as a linear map of strains, ascending, in GPa.

    Shear rows and columns are scaled by sqrt(2) first, which makes the eigenvalues independent of the axes. The
    crystal is stable against every small homogeneous strain (Born) if all are positive; the lowest tells the
    softest strain (F. Mouhat, F.-X. Coudert, Phys. Rev. B 90, 224104 (2014)).

    Parameters
    ----------
    stiffness_gpa
        ``[6, 6]``.

    Raises
    ------
    ValueError
        If it is not a finite symmetric 6x6 matrix.
    """
    scale = np.sqrt([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])
    return np.linalg.eigvalsh(_stiffness(stiffness_gpa) * scale[:, None] * scale).astype(float)


def born_stable(stiffness_gpa: ArrayLike) -> bool:
    """Whether the crystal resists every small homogeneous strain: all `kelvin_moduli` positive."""
    return bool(kelvin_moduli(stiffness_gpa)[0] > 0)


def polycrystal_moduli(stiffness_gpa: ArrayLike) -> PolycrystalModuli:
    """Voigt, Reuss and Hill averages of bulk and shear modulus.

    Raises
    ------
    ValueError
        If the matrix is not a stiffness (`kelvin_moduli`) or the crystal is not Born stable.
    """
    c = _stable(stiffness_gpa)
    s = np.linalg.inv(c)

    def sums(matrix: NDArray[np.floating]) -> tuple[float, float, float]:
        off = matrix[0, 1] + matrix[0, 2] + matrix[1, 2]
        return float(np.trace(matrix[:3, :3])), float(off), float(np.trace(matrix[3:, 3:]))

    diagonal, off, shear = sums(c)
    voigt = IsotropicModuli(bulk_gpa=(diagonal + 2 * off) / 9, shear_gpa=(diagonal - off + 3 * shear) / 15)
    diagonal, off, shear = sums(s)
    reuss = IsotropicModuli(bulk_gpa=1 / (diagonal + 2 * off), shear_gpa=15 / (4 * (diagonal - off) + 3 * shear))
    hill = IsotropicModuli(
        bulk_gpa=(voigt.bulk_gpa + reuss.bulk_gpa) / 2, shear_gpa=(voigt.shear_gpa + reuss.shear_gpa) / 2
    )
    return PolycrystalModuli(voigt=voigt, reuss=reuss, hill=hill)


def christoffel_velocities(
    stiffness_gpa: ArrayLike, density_kg_m3: float, directions: ArrayLike
) -> NDArray[np.float64]:
    """Phase velocities of the three sound waves in given directions: eigenvalues rho v^2 of C_ijkl n_j n_l.

    Parameters
    ----------
    stiffness_gpa
        ``[6, 6]``.
    density_kg_m3
        Mass density in kg/m^3.
    directions
        ``[..., 3]`` Cartesian, of any length.

    Returns
    -------
    ``[..., 3]`` m/s, ascending: two (quasi-)transverse waves, then the (quasi-)longitudinal one.

    Raises
    ------
    ValueError
        If the matrix is not a stiffness (`kelvin_moduli`), the crystal is not Born stable, a direction is zero, or
        density or velocities are not in the range of solids (likely another unit).
    """
    c = _stable(stiffness_gpa)
    check_density(density_kg_m3)
    n = np.asarray(directions, dtype=float)
    length = np.linalg.norm(n, axis=-1, keepdims=True)
    if n.shape[-1:] != (3,) or not np.all(np.isfinite(length)) or np.any(length == 0):
        raise ValueError("directions must be finite Cartesian vectors [..., 3] of non-zero length")
    velocities = _christoffel(c, density_kg_m3, n / length)
    check_velocities(velocities)
    return velocities


def debye_mean_velocity(stiffness_gpa: ArrayLike, density_kg_m3: float, *, rtol: float = 1e-8) -> float:
    """Sound velocity of the Debye temperature: v^-3 averaged over the sphere and the three branches, in m/s.

    The sum over branches, the trace of a matrix function of the direction, is smooth even where branches touch, so
    that a Gauss-Legendre rule in cos(theta) times equal steps in phi converges exponentially. The order is doubled
    until the mean changes by less than ``rtol``.

    Parameters
    ----------
    stiffness_gpa
        ``[6, 6]``.
    density_kg_m3
        Mass density in kg/m^3.
    rtol
        Relative accuracy.

    Raises
    ------
    ValueError
        As `christoffel_velocities`; or if one wave is so soft in some direction that the mean does not converge.
    """
    c = _stable(stiffness_gpa)
    check_density(density_kg_m3)
    mean = previous = np.inf
    for order in ORDERS:
        directions, weights = _half_sphere(order)
        velocities = _christoffel(c, density_kg_m3, directions)
        check_velocities(velocities)
        mean = float(np.cbrt(3 / np.sum(weights * np.sum(velocities**-3, axis=-1))))
        if abs(mean - previous) <= rtol * mean:
            return mean
        previous = mean
    raise ValueError("a sound wave is almost soft in some direction: no Debye mean of these elastic constants")


def _stiffness(stiffness_gpa: ArrayLike) -> NDArray[np.float64]:
    c = np.asarray(stiffness_gpa, dtype=float)
    if c.shape != (6, 6) or not np.all(np.isfinite(c)):
        raise ValueError(f"a stiffness is a finite 6x6 matrix, not {c.shape}")
    if np.abs(c - c.T).max() > ASYMMETRY * np.abs(c).max():
        raise ValueError("the stiffness is not symmetric: C_ij and C_ji differ by more than 5 % of the largest element")
    return (c + c.T) / 2


def _stable(stiffness_gpa: ArrayLike) -> NDArray[np.float64]:
    lowest = kelvin_moduli(stiffness_gpa)[0]
    if not lowest > 0:
        raise ValueError(
            f"the crystal is not Born stable, lowest eigenvalue of the stiffness {lowest:.3g} GPa: "
            "relax the cell, or take elastic constants at temperature"
        )
    return _stiffness(stiffness_gpa)


def _christoffel(
    c: NDArray[np.float64], density_kg_m3: float, unit_vectors: NDArray[np.float64]
) -> NDArray[np.float64]:
    rank_four = c[VOIGT[:, :, None, None], VOIGT[None, None, :, :]]
    matrices = np.einsum("ijkl,...j,...l->...ik", rank_four, unit_vectors, unit_vectors, optimize=True)
    return np.sqrt(np.linalg.eigvalsh(matrices) * 1e9 / density_kg_m3)


def _half_sphere(order: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Directions ``[order^2, 3]`` and weights that sum to one; velocities along n and -n are the same."""
    z, z_weights = np.polynomial.legendre.leggauss(order)
    phi = np.pi * np.arange(order) / order
    ring = np.sqrt(1 - z**2)[:, None]
    directions = np.stack([ring * np.cos(phi), ring * np.sin(phi), np.repeat(z[:, None], order, axis=1)], axis=-1)
    weights = np.repeat(z_weights[:, None] / (2 * order), order, axis=1)
    return directions.reshape(-1, 3), weights.ravel()
