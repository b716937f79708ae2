"""The projected loss: its value, its gradient and its Gauss-Newton matrix."""

from dataclasses import replace

import numpy as np
import pytest

from aiida_iontherm.physics.mtp import Configuration, MomentTensorPotential
from aiida_iontherm.physics.mtp.training import projection
from aiida_iontherm.physics.mtp.training.marquardt import damped_step
from aiida_iontherm.physics.mtp.training.projection import ProjectedLoss

WEIGHTS = (2.0, 0.3, 0.05)


@pytest.fixture
def configurations(data):
    """Five cells, one without a stress, one that counts three times."""
    found = [Configuration.from_atoms(atoms) for atoms in data[:5]]
    found[1] = replace(found[1], stress=None)
    found[2] = replace(found[2], weight=3.0)
    return found


@pytest.fixture
def blank(planted, settings) -> MomentTensorPotential:
    return MomentTensorPotential.new(species=planted.species, seed=22, **settings)


@pytest.fixture(params=["one part", "a part for each cell"])
def problem(request, blank, configurations, monkeypatch) -> ProjectedLoss:
    if request.param != "one part":
        monkeypatch.setattr(projection, "PART_BYTES", 1.0)
    made = ProjectedLoss(blank, configurations, WEIGHTS, ridge=0.0)
    assert len(made.parts) == (1 if request.param == "one part" else 5)
    return made


def test_loss_is_the_stated_one(problem, blank, configurations):
    """L = 1/sum w sum w/N [w_E dE^2 + w_F sum dF^2 + w_S V^2 sum dsigma^2], by evaluations one by one."""
    point = problem.solve(blank.radial_coeffs, len(problem.parts))
    expected = 0.0
    for entry in configurations:
        result = point.potential.evaluate(entry.atoms)
        term = WEIGHTS[0] * (result.energy - entry.energy) ** 2
        term += WEIGHTS[1] * np.sum((result.forces - entry.forces) ** 2)
        if entry.stress is not None:
            term += WEIGHTS[2] * entry.atoms.cell.volume**2 * np.sum((result.stress - entry.stress) ** 2)
        expected += entry.weight * term / len(entry.atoms) / 7.0
    # Energies of order 10 eV leave their rounding in the small differences.
    assert point.loss == pytest.approx(expected, rel=1e-8)


def test_linear_coefficients_are_the_best(problem, blank):
    point = problem.solve(blank.radial_coeffs, len(problem.parts))
    rng = np.random.default_rng(5)
    for _ in range(5):
        moved = point.potential.replace(
            species_coeffs=point.potential.species_coeffs + 1e-3 * rng.normal(size=2),
            moment_coeffs=point.potential.moment_coeffs + 1e-3 * rng.normal(size=2),
        )
        shares = [part.targets.total_weight / 7.0 for part in problem.parts]
        assert sum(s * part.loss(moved) for s, part in zip(shares, problem.parts, strict=True)) > point.loss


def test_gradient(problem, blank):
    """Of the loss with the linear coefficients eliminated, against finite differences of that loss."""
    radial, n_parts = blank.radial_coeffs, len(problem.parts)
    gradient = problem.gradient(problem.solve(radial, n_parts))
    h = 1e-6
    slopes = np.empty(radial.size)
    for index in range(radial.size):
        losses = []
        for sign in (1, -1):
            moved = radial.copy()
            moved.flat[index] += sign * h
            losses.append(problem.solve(moved, n_parts).loss)
        slopes[index] = (losses[0] - losses[1]) / (2 * h)
    # Central differences of a loss of order one: rounding 1e-15 / 1e-6, and h^2 times a third derivative.
    np.testing.assert_allclose(gradient, slopes, atol=1e-6 * np.abs(gradient).max())


def test_gauss_newton_matrix_is_the_curvature_at_a_perfect_fit(problem, planted):
    """Where all residuals vanish the curvature of the projected loss is 2 F^T F, without approximation."""
    n_parts = len(problem.parts)
    point = problem.solve(planted.radial_coeffs, n_parts)
    factor = problem.gauss_newton_factor(point, range(n_parts))
    rng = np.random.default_rng(6)
    for _ in range(3):
        direction = rng.normal(size=planted.radial_coeffs.shape)
        h = 1e-4 * np.sqrt(np.mean(planted.radial_coeffs**2))
        loss = sum(problem.solve(planted.radial_coeffs + s * h * direction, n_parts).loss for s in (1, -1)) / 2
        # The next term of the expansion is h^2 relative, with a factor of some hundred from the polynomials.
        assert np.sum((factor @ direction.ravel()) ** 2) * h**2 == pytest.approx(loss, rel=1e-4)


def test_scale_of_a_radial_function_is_no_direction_of_descent(problem, blank):
    point = problem.solve(problem.unit_scale(blank.radial_coeffs), len(problem.parts))
    gradient = problem.gradient(point)
    scale = np.zeros_like(blank.radial_coeffs)
    scale[:, :, 0] = point.potential.radial_coeffs[:, :, 0]
    # The projected loss does not change along it: rounding of a sum of dozens of terms.
    assert abs(gradient @ scale.ravel()) < 1e-9 * np.linalg.norm(gradient) * np.linalg.norm(scale)


def test_damped_step_minimises_the_model():
    rng = np.random.default_rng(7)
    factor, gradient, damping = np.triu(rng.normal(size=(6, 6))), rng.normal(size=6), 1e-2
    step, predicted = damped_step(factor, gradient, damping)
    penalty = damping * np.linalg.norm(factor, 2) ** 2

    def model(d):
        return gradient @ d + np.sum((factor @ d) ** 2) + penalty * d @ d

    for _ in range(20):
        assert model(step + 1e-3 * rng.normal(size=6)) > model(step)
    assert predicted == pytest.approx(-(model(step) - penalty * step @ step))
    nothing, _ = damped_step(np.zeros((6, 6)), np.zeros(6), damping)
    np.testing.assert_array_equal(nothing, 0.0)
