"""Dynamical matrices and their derivatives against phonopy, and against finite differences."""

import numpy as np
import pytest
from phonopy.harmonic.derivative_dynmat import DerivativeOfDynamicalMatrix
from phonopy.harmonic.force_constants import compact_fc_to_full_fc

from aiida_iontherm.physics.lattice.dynamical_matrix import DynamicalMatrices

RANDOM = np.random.default_rng(5).uniform(-0.5, 0.5, (4, 3))
SPECIAL = np.array([[0.5, 0.0, 0.0], [0.5, 0.5, 0.0], [1 / 3, 1 / 3, 0.0], [0.01, 0.0, 0.0]])
POINTS = np.vstack([RANDOM, SPECIAL])


def with_method(phonopy, method):
    """The crystal with another treatment of long-range dipoles, or none; the fixture stays as it is."""
    changed = phonopy.copy()
    changed.force_constants = phonopy.force_constants
    if method is not None:
        changed.nac_params = phonopy.nac_params | {"method": method}
    return changed


@pytest.mark.parametrize("method", [None, "gonze", "wang"])
def test_matrices_and_derivatives_are_those_of_phonopy(nacl, method):
    crystal = with_method(nacl, method)
    matrices, derivatives = DynamicalMatrices(crystal).at(POINTS)
    reference = crystal.dynamical_matrix
    slope = DerivativeOfDynamicalMatrix(reference)
    largest = max(np.abs(derivatives).max(), 1.0)
    for q, matrix, derivative in zip(POINTS, matrices, derivatives, strict=True):
        reference.run(q)
        # Sums of some hundred terms in another order, here and below.
        np.testing.assert_allclose(matrix, reference.dynamical_matrix, atol=1e-13 * np.abs(matrix).max())
        slope.run(q, force_python=True)
        np.testing.assert_allclose(derivative, slope.d_dynamical_matrix, atol=1e-12 * largest)


@pytest.mark.parametrize("method", [None, "gonze", "wang"])
def test_derivatives_are_finite_differences(nacl, method):
    ours = DynamicalMatrices(with_method(nacl, method))
    _, derivatives = ours.at(RANDOM)
    # Error of the difference h^2 |D'''| ~ 1e-8 at h = 1e-4/Angstrom, of rounding 1e-15/h = 1e-11.
    step = 1e-4
    for axis in range(3):
        shift = step * np.array(nacl.primitive.cell)[:, axis]
        difference = (ours.at(RANDOM + shift)[0] - ours.at(RANDOM - shift)[0]) / (2 * step)
        np.testing.assert_allclose(derivatives[:, axis], difference, atol=3e-6 * np.abs(derivatives).max())


def test_compact_and_full_force_constants_are_the_same(wurtzite):
    full = wurtzite.copy()
    full.force_constants = compact_fc_to_full_fc(wurtzite.primitive, wurtzite.force_constants)
    assert len(full.dynamical_matrix.force_constants) > len(wurtzite.dynamical_matrix.force_constants)
    for ours, theirs in zip(DynamicalMatrices(full).at(RANDOM), DynamicalMatrices(wurtzite).at(RANDOM), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12 * np.abs(theirs).max())  # rounding


def test_at_the_zone_centre_the_long_range_part_has_no_direction(nacl):
    """The same as phonopy does without a direction: three modes of zero frequency, transverse optical threefold."""
    for method in ("gonze", "wang"):
        matrix, _ = DynamicalMatrices(with_method(nacl, method)).at([0.0, 0.0, 0.0])
        values = np.linalg.eigvalsh(matrix[0])
        assert np.abs(values[:3]).max() < 1e-4 * values[-1]  # what the force sets leave of the sum rule
        assert np.ptp(values[3:]) < 1e-6 * values[-1]  # cubic symmetry of the force constants


def test_many_points_and_one_are_the_same(nacl):
    ours = DynamicalMatrices(nacl)
    together = ours.at(np.vstack([POINTS] * 5))
    for index, q in enumerate(POINTS):
        for both, alone in zip(together, ours.at(q), strict=True):
            # Products of matrices of another shape round differently.
            np.testing.assert_allclose(both[index], alone[0], atol=1e-13 * np.abs(both).max())


def test_without_force_constants_there_is_a_clear_error(nacl):
    with pytest.raises(ValueError, match="no force constants"):
        DynamicalMatrices(nacl.copy())
