import numpy as np
import pytest

from aiida_iontherm.physics.lattice.fc_normal_equations import NormalEquations, RidgeSolver, Triangle, rank_update

SIZE = 700  # more than one panel


@pytest.fixture(scope="module")
def system():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(3, 900, SIZE)) * np.logspace(-2, 2, SIZE)
    return rows, rng.normal(size=(3, 900))


def summed(rows, forces, scratch=False):
    """One block whose first part touches every other parameter only."""
    block = NormalEquations(Triangle(SIZE, scratch), np.zeros(SIZE))
    columns = np.arange(SIZE)
    square, vector = np.zeros((SIZE, SIZE), order="F"), np.zeros(SIZE)
    for start in range(0, rows.shape[1], 300):
        part = slice(start, start + 300)
        rank_update(square, vector, np.ascontiguousarray(rows[:, part].transpose(0, 2, 1)), forces[:, part])
    block.matrix.add(columns, square)
    block.vector[:] = vector
    block.square, block.sum, block.count = float(np.sum(forces**2)), float(forces.sum()), forces.size
    return block


@pytest.mark.parametrize("scratch", [False, True])
def test_triangle_is_the_dense_normal_matrix(system, scratch):
    rows, forces = system
    block = summed(rows, forces, scratch)
    design = rows.reshape(-1, SIZE)
    normal = design.T @ design
    np.testing.assert_allclose(block.matrix.diagonal(), np.diag(normal), rtol=1e-12)  # sums of 2700 positive terms
    x = np.random.default_rng(1).normal(size=SIZE) / np.logspace(-2, 2, SIZE)
    assert block.matrix.quadratic(x) == pytest.approx(x @ normal @ x, rel=1e-11)
    residual = np.sum((design @ x - forces.ravel()) ** 2)
    assert block.squared_error(x) == pytest.approx(residual, rel=1e-10)


def test_scattered_columns_land_in_their_places():
    rng = np.random.default_rng(2)
    columns = np.sort(rng.choice(SIZE, 300, replace=False))
    part = np.triu(rng.normal(size=(300, 300)))
    triangle = Triangle(SIZE)
    triangle.add(columns, part)
    triangle.add(columns, part)
    expected = np.zeros((SIZE, SIZE))
    expected[np.ix_(columns, columns)] = 2 * part
    x = rng.normal(size=SIZE)
    symmetric = expected + expected.T - np.diag(np.diag(expected))
    assert triangle.quadratic(x) == pytest.approx(x @ symmetric @ x, rel=1e-11)  # sums of 45000 terms


def test_a_triangle_takes_little_more_than_half_a_square():
    assert Triangle.gigabytes(9500) < 0.53 * 8e-9 * 9500**2
    panels = Triangle(SIZE).panels
    assert sum(panel.nbytes for panel in panels) == pytest.approx(1e9 * Triangle.gigabytes(SIZE))


@pytest.mark.parametrize("strength", [0.0, 1e-3])
def test_solution_is_that_of_the_scaled_ridge(system, strength):
    rows, forces = system
    parts = [summed(rows[:, :300], forces[:, :300]), summed(rows[:, 300:], forces[:, 300:])]
    design = rows.reshape(-1, SIZE)
    scale = 1 / np.linalg.norm(design, axis=0)
    augmented = np.concatenate([design * scale, np.sqrt(strength) * np.eye(SIZE)])
    target = np.concatenate([forces.ravel(), np.zeros(SIZE)])
    expected = scale * np.linalg.lstsq(augmented, target, rcond=None)[0]
    found = RidgeSolver(SIZE).solve(parts, strength)
    np.testing.assert_allclose(found / scale, expected / scale, atol=1e-11)  # condition number ten, numbers of order 1


def test_undetermined_parameters_are_noticed(system):
    rows, forces = system
    rows = rows.copy()
    rows[..., 5] = rows[..., 3] + rows[..., 4]
    solver = RidgeSolver(SIZE)
    assert solver.solve([summed(rows, forces)], 0.0) is None
    assert solver.solve([summed(rows, forces)], 1e-6) is not None
    rows[..., 5] = 0
    assert solver.solve([summed(rows, forces)], 0.0) is None
    assert solver.solve([summed(rows, forces)], 1e-6)[5] == 0
