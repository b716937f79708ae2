"""The scale of radial functions: found, fixed, and without effect."""

import numpy as np
import pytest

from aiida_iontherm.physics.mtp.basis import basis_tables
from aiida_iontherm.physics.mtp.training.gauge import normalised, radial_scales, scalar_degrees


@pytest.mark.parametrize("level", [8, 16])
def test_normalised_potential_predicts_the_same(random_potential, cluster, level):
    potential = random_potential(level)
    factors = np.linspace(0.3, 2.0, potential.tables.n_radial)
    potential = potential.replace(radial_coeffs=potential.radial_coeffs * factors[:, None])
    fixed = normalised(potential)
    np.testing.assert_allclose(radial_scales(fixed), 1.0, rtol=1e-14)
    before, after = potential.evaluate(cluster), fixed.evaluate(cluster)
    scale = np.abs(before.forces).max()
    # Powers up to four of the scales, and sums of a hundred terms: thirteen digits.
    np.testing.assert_allclose(after.forces, before.forces, atol=1e-12 * scale)
    np.testing.assert_allclose(after.energies, before.energies, rtol=1e-11)


def test_scales_are_mean_squares(random_potential):
    potential = random_potential(16).replace(scaling=0.7)
    distances = np.linspace(potential.min_distance, potential.cutoff, 20001)
    x = 2 * (distances - potential.min_distance) / (potential.cutoff - potential.min_distance) - 1
    basis = np.polynomial.chebyshev.chebvander(x, potential.radial_coeffs.shape[-1] - 1).T
    values = potential.radial_coeffs @ basis * 0.7 * (potential.cutoff - distances) ** 2
    # The trapezoidal rule on 20 000 intervals is good to 1e-8.
    squares = np.trapezoid(np.mean(values**2, axis=(0, 1)), x, axis=-1) / 2
    np.testing.assert_allclose(radial_scales(potential), np.sqrt(squares), rtol=1e-7)


def test_degrees_of_the_lowest_scalars():
    """Level 6: M_0, M_1, M_0 M_0, vectors M_01 . M_01 and M_0^3, in the order of the tables."""
    degrees = scalar_degrees(basis_tables(6))
    assert sorted(map(tuple, degrees)) == [(0, 1), (1, 0), (2, 0), (2, 0), (3, 0)]


def test_zero_radial_function_stays(random_potential):
    potential = random_potential(8)
    radial = potential.radial_coeffs.copy()
    radial[:, :, 1] = 0.0
    fixed = normalised(potential.replace(radial_coeffs=radial))
    assert np.all(fixed.radial_coeffs[:, :, 1] == 0)
    assert np.all(np.isfinite(fixed.moment_coeffs))
