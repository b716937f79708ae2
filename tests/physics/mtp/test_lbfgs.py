"""The optimiser on functions whose minimum is known."""

from dataclasses import replace

import numpy as np
from scipy.optimize import rosen, rosen_der

from aiida_iontherm.physics.mtp.lbfgs import MEMORY, lbfgs_start, lbfgs_step


def rosenbrock(x):
    return float(rosen(x)), rosen_der(x)


def run(objective, state, steps):
    for _ in range(steps):
        state = lbfgs_step(objective, state)
    return state


def test_quadratic_with_few_directions_is_solved_in_as_many_steps():
    """With memory for all directions L-BFGS is a conjugate-direction method on a quadratic."""
    scales = np.array([1.0, 4.0, 9.0, 25.0])
    centre = np.array([1.0, -2.0, 3.0, 0.5])

    def objective(x):
        return float(scales @ (x - centre) ** 2 / 2), scales * (x - centre)

    state = run(objective, lbfgs_start(objective, np.ones(4) * 5), 40)
    # A line search that only backtracks is not exact, so ten steps per direction; the minimum is then at rounding.
    np.testing.assert_allclose(state.x, centre, atol=1e-7)


def test_rosenbrock_valley():
    state = run(rosenbrock, lbfgs_start(rosenbrock, np.full(6, -0.5)), 150)
    # The value is quadratic around the minimum at one: 1e-12 in the value is 1e-6 in x.
    np.testing.assert_allclose(state.x, 1.0, atol=1e-5)


def test_value_never_rises():
    state = lbfgs_start(rosenbrock, np.linspace(-2, 2, 8))
    values = [state.value]
    for _ in range(60):
        state = lbfgs_step(rosenbrock, state)
        values.append(state.value)
    assert np.all(np.diff(values) <= 0)
    assert len(state.steps) == MEMORY


def test_minimum_stalls():
    state = lbfgs_step(rosenbrock, lbfgs_start(rosenbrock, np.ones(3)))
    assert state.stalled
    np.testing.assert_array_equal(state.x, 1.0)


def test_steps_into_infinity_are_taken_back():
    """-log(x) + x is infinite or undefined left of zero: the line search must not leave the domain."""

    def objective(x):
        with np.errstate(invalid="ignore", divide="ignore"):
            return float(np.sum(x - np.log(x))), 1 - 1 / x

    state = run(objective, lbfgs_start(objective, np.array([5.0, 1e-3])), 60)
    # Quadratic minimum at one with curvature one: values equal to rounding within 1e-8.
    np.testing.assert_allclose(state.x, 1.0, atol=1e-6)


def test_continued_from_copied_arrays_is_the_same_run():
    start = lbfgs_start(rosenbrock, np.linspace(-1, 1, 6))
    straight = run(rosenbrock, start, 40)
    half = run(rosenbrock, start, 17)
    copies = {name: getattr(half, name).copy() for name in ("x", "gradient", "steps", "gradient_changes")}
    continued = run(rosenbrock, replace(half, **copies), 23)
    assert continued.iteration == straight.iteration == 40
    np.testing.assert_array_equal(continued.x, straight.x)
    np.testing.assert_array_equal(continued.steps, straight.steps)
