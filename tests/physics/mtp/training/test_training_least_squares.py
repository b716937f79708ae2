"""Least squares in blocks against a singular value decomposition of all rows."""

import numpy as np
import pytest

from aiida_iontherm.physics.mtp.training.least_squares import TriangularFactor, solve_ridge


@pytest.fixture
def system():
    """Columns of very different norms, one of them zero and two nearly the same."""
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(200, 12)) * np.logspace(-3, 3, 12)
    matrix[:, 3] = 0.0
    matrix[:, 5] = 2 * matrix[:, 4] + 1e-7 * matrix[:, 5]
    return matrix, rng.normal(size=200)


def factor_of(matrix, target, blocks):
    factor = TriangularFactor(matrix.shape[1] + 1)
    for rows in np.array_split(np.arange(len(matrix)), blocks):
        factor.add(matrix[rows], target[rows])
    return factor.r


@pytest.mark.parametrize("blocks", [1, 7, 50])
def test_ridge_solution(system, blocks):
    """The blocks may be shorter than the matrix is wide."""
    matrix, target = system
    ridge = 1e-4
    norms = np.linalg.norm(matrix, axis=0)
    norms[norms == 0] = 1.0
    extended = np.vstack([matrix / norms, ridge * np.eye(12)])
    expected = np.linalg.lstsq(extended, np.concatenate([target, np.zeros(12)]), rcond=None)[0] / norms
    solution = solve_ridge(factor_of(matrix, target, blocks), ridge)
    # The ridge limits the condition number to 1e4: twelve of sixteen digits remain, less one for the sum over 200 rows.
    np.testing.assert_allclose(solution * norms, expected * norms, atol=1e-10)
    assert solution[3] == 0.0


def test_factor_holds_what_the_rows_hold(system):
    matrix, target = system
    rows = np.column_stack([matrix, target])
    r = factor_of(matrix, target, 9)
    norms = np.linalg.norm(rows, axis=0)
    norms[norms == 0] = 1.0
    # Orthogonal transformations keep scalar products of columns to rounding.
    np.testing.assert_allclose((r / norms).T @ (r / norms), (rows / norms).T @ (rows / norms), atol=1e-13)
    np.testing.assert_array_equal(r, np.triu(r))


def test_no_ridge_takes_dependent_columns(system):
    matrix, target = system
    matrix[:, 5] = matrix[:, 4]
    residual = matrix @ solve_ridge(factor_of(matrix, target, 3), 0.0) - target
    best = matrix @ np.linalg.lstsq(matrix, target, rcond=1e-12)[0] - target
    # Rounding (1e-16) over the smallest ridge (1e-12) moves the solution along the null direction by up to 1e-4 of its
    # size; the norm of the residual feels that in second order.
    assert np.linalg.norm(residual) == pytest.approx(np.linalg.norm(best), rel=1e-8)
