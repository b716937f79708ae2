"""Limited-memory BFGS one step at a time, with a state that can be saved and continued exactly.

SciPy's L-BFGS keeps its curvature pairs to itself, so a run that was interrupted cannot go on where it was. The
algorithm is the two-loop recursion of J. Nocedal, Math. Comp. 35, 773 (1980), with a backtracking line search.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Objective = Callable[[Array], tuple[float, Array]]

MEMORY = 20
ARMIJO = 1e-4
MAX_BACKTRACKS = 12


@dataclass(frozen=True)
class LbfgsState:
    """Everything the next step depends on.

    Attributes
    ----------
    x, gradient : float array [n]
    value : float
    steps, gradient_changes : float array [m, n]
        Curvature pairs, oldest first, m <= MEMORY.
    iteration : int
    stalled : bool
        True when the line search finds no lower value: x is a minimum to working precision.
    """

    x: Array
    value: float
    gradient: Array
    steps: Array
    gradient_changes: Array
    iteration: int = 0
    stalled: bool = False


def lbfgs_start(objective: Objective, x: Array) -> LbfgsState:
    """Evaluate the objective once and return the first state."""
    value, gradient = objective(x)
    empty = np.empty((0, x.size))
    return LbfgsState(x=x, value=value, gradient=gradient, steps=empty, gradient_changes=empty)


def lbfgs_step(objective: Objective, state: LbfgsState) -> LbfgsState:
    """Return the state after one iteration; `objective` returns value and gradient."""
    direction = -_inverse_hessian_times(state, state.gradient)
    slope = float(direction @ state.gradient)
    if slope >= 0:
        return replace(state, stalled=True)
    # Without curvature pairs the gradient carries no length scale: move by about one per cent of x.
    length = 1.0 if len(state.steps) else 0.01 * np.linalg.norm(state.x) / np.linalg.norm(direction)
    for _ in range(MAX_BACKTRACKS):
        x = state.x + length * direction
        value, gradient = objective(x)
        if np.isfinite(value) and value <= state.value + ARMIJO * length * slope:
            break
        length *= 0.3
    else:
        return replace(state, stalled=True)
    step, change = x - state.x, gradient - state.gradient
    steps, changes = state.steps, state.gradient_changes
    # A pair without positive curvature would make the inverse Hessian indefinite.
    if step @ change > 1e-10 * np.linalg.norm(step) * np.linalg.norm(change):
        steps = np.vstack([steps, step])[-MEMORY:]
        changes = np.vstack([changes, change])[-MEMORY:]
    return LbfgsState(
        x=x,
        value=value,
        gradient=gradient,
        steps=steps,
        gradient_changes=changes,
        iteration=state.iteration + 1,
    )


def _inverse_hessian_times(state: LbfgsState, vector: Array) -> Array:
    result = vector.copy()
    inverse_curvatures = 1.0 / np.einsum("mn,mn->m", state.steps, state.gradient_changes)
    projections = np.empty(len(state.steps))
    for i in reversed(range(len(state.steps))):
        projections[i] = inverse_curvatures[i] * (state.steps[i] @ result)
        result -= projections[i] * state.gradient_changes[i]
    if len(state.steps):
        newest = state.gradient_changes[-1]
        result *= (state.steps[-1] @ newest) / (newest @ newest)
    for i in range(len(state.steps)):
        correction = inverse_curvatures[i] * (state.gradient_changes[i] @ result)
        result += (projections[i] - correction) * state.steps[i]
    return result
