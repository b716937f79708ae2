"""One iteration of Levenberg and Marquardt on the projected loss (J. SIAM 11, 431 (1963)).

Why second order: the loss is a sum of squares that a good potential makes small, so Gauss-Newton steps converge almost
quadratically, where first-order methods creep along a narrow valley. The damping is the plain one, the same for all
radial coefficients of unit-scale functions. Damping by the diagonal of the Gauss-Newton matrix was 15 % slower and in
the metric of the pair distribution three times slower. Reusing the Gauss-Newton matrix for further (quasi-Newton)
steps failed to lower the loss nearly always, and a second-order correction along the path brought nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from aiida_iontherm.physics.mtp.training.projection import Point, ProjectedLoss

Array = npt.NDArray[np.float64]

FIRST_DAMPING = 1e-3
"""In units of the largest eigenvalue of the Gauss-Newton matrix."""

LARGEST_DAMPING = 1e4
"""Steps damped more than this are below the noise of the loss: there is no lower value to be found."""


def damped_step(factor: Array, gradient: Array, damping: float) -> tuple[Array, float]:
    """Minimise gradient . d + |F d|^2 + damping s^2 |d|^2, s the largest singular value of F.

    Returns
    -------
    step : float array [n]
    predicted : float
        By how much gradient . d + |F d|^2 says that the loss falls.
    """
    _, singular, rotation = np.linalg.svd(factor)
    # Directions that change nothing (the gauge, pairs of species that never meet) have a zero gradient, up to rounding.
    curvature = singular**2 + max(damping, 1e-15) * max(singular[0] ** 2, np.finfo(float).tiny)
    step = -(rotation @ gradient / 2 / curvature) @ rotation
    return step, -float(gradient @ step + np.sum((factor @ step) ** 2))


def marquardt_iteration(
    problem: ProjectedLoss, point: Point, damping: float, chosen: Sequence[int]
) -> tuple[Point | None, float]:
    """Look for a lower loss with as little damping as it takes.

    Parameters
    ----------
    problem : ProjectedLoss
    point : Point
        Where to start.
    damping : float
        First one to try.
    chosen : sequence of int
        Parts of the data for the Gauss-Newton matrix; the gradient is that of all the parts of `point`.

    Returns
    -------
    point : Point or None
        None when no step lowers the loss.
    damping : float
        First one to try next time.
    """
    gradient = problem.gradient(point)
    factor = problem.gauss_newton_factor(point, chosen)
    radial = point.potential.radial_coeffs
    rejected = False
    while damping <= LARGEST_DAMPING:
        step, predicted = damped_step(factor, gradient, damping)
        found = problem.solve(problem.unit_scale(radial + step.reshape(radial.shape)), point.n_parts)
        if np.isfinite(found.loss) and found.loss < point.loss:
            return found, _next_damping(damping, (point.loss - found.loss) / predicted, rejected)
        damping *= 8
        rejected = True
    return None, damping


def _next_damping(damping: float, ratio: float, rejected: bool) -> float:
    """Less damping where the quadratic model was good and the last try was the first, more where it was bad."""
    if ratio > 0.7:
        return damping if rejected else damping / 10
    return damping if ratio > 0.25 else 4 * damping
