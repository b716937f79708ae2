"""Straight line through points whose two coordinates both have errors, and these are correlated.

D. York, N. Evensen, M. Lopez Martinez and J. De Basabe Delgado, Am. J. Phys. 72, 367 (2004): the line
y = a + b x that minimises

    chi2(a, b) = sum_i (y_i - a - b x_i)^2 / v_i,    v_i = var(y_i) - 2 b cov(x_i, y_i) + b^2 var(x_i),

the most likely one for points that lie on a line and are displaced by Gaussian errors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize

from aiida_iontherm.physics.distributions import chi2_tail

ANGLES = 361
"""Slopes tried, evenly over all angles, so that the lowest of several minima is found."""


@dataclass(frozen=True)
class LineWithErrors:
    """Line y = intercept + slope x.

    Attributes
    ----------
    intercept, slope
        The line.
    covariance
        ``[2, 2]`` of (intercept, slope), from the errors given (not rescaled by chi2).
    chi2
        At the minimum.
    degrees_of_freedom
        Points minus two.
    scatter
        Standard deviation in y about the line beyond the errors, where it was asked for; else 0.
    """

    intercept: float
    slope: float
    covariance: NDArray[np.float64]
    chi2: float
    degrees_of_freedom: int
    scatter: float

    @property
    def p_value(self) -> float:
        """Chance of a chi2 this large if the points lie on a line and the errors are right."""
        return float(chi2_tail(self.chi2, self.degrees_of_freedom))


def line_with_errors(x: ArrayLike, y: ArrayLike, covariances: ArrayLike, *, scatter: bool = False) -> LineWithErrors:
    """Fit y = intercept + slope x with the full covariance of each point.

    Parameters
    ----------
    x, y
        [n], three or more.
    covariances
        [n, 2, 2] of (x, y) of each point, positive definite.
    scatter
        Allow points to lie off the line by more than their errors: a variance is added to each y so that chi2 is the
        number of degrees of freedom (R. C. Paule and J. Mandel, J. Res. Natl. Bur. Stand. 87, 377 (1982)). Where chi2
        is smaller anyway, nothing is added.

    Raises
    ------
    ValueError
        If shapes do not fit, there are fewer than three points, all x are the same, or a covariance is not positive
        definite.
    """
    x, y, c = (np.asarray(a, dtype=float) for a in (x, y, covariances))
    if x.ndim != 1 or y.shape != x.shape or c.shape != (*x.shape, 2, 2):
        raise ValueError(f"need x [n], y [n] and covariances [n, 2, 2], not {x.shape}, {y.shape} and {c.shape}")
    if len(x) < 3:
        raise ValueError(f"a line with a test needs three points or more, not {len(x)}")
    if np.ptp(x) <= 1e-12 * np.abs(x).max():
        raise ValueError("all abscissae are the same: there is no slope")
    determinants = c[:, 0, 0] * c[:, 1, 1] - c[:, 0, 1] ** 2
    if not (np.all(np.isfinite(c)) and np.all(c[:, (0, 1), (0, 1)] > 0) and np.all(determinants > 0)):
        raise ValueError("each covariance must be positive definite: finite, with positive variances and |r| < 1")
    extra = _scatter_variance(x, y, c) if scatter else 0.0
    slope, chi2 = _best_slope(x, y, c, extra)
    weight, intercept, residual = _profile(x, y, c, slope, extra)
    # the most likely true abscissae: errors in x do not make the slope look better known than it is
    true_x = x + weight * residual * (slope * c[:, 0, 0] - c[:, 0, 1])
    centre = np.sum(weight * true_x) / np.sum(weight)
    slope_variance = 1 / np.sum(weight * (true_x - centre) ** 2)
    cross = -centre * slope_variance
    return LineWithErrors(
        intercept=float(intercept),
        slope=slope,
        covariance=np.array([[1 / np.sum(weight) + centre**2 * slope_variance, cross], [cross, slope_variance]]),
        chi2=chi2,
        degrees_of_freedom=len(x) - 2,
        scatter=float(np.sqrt(extra)),
    )


def _profile(
    x: NDArray[np.float64], y: NDArray[np.float64], c: NDArray[np.float64], slope: ArrayLike, extra: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Weights 1/v [..., n], the best intercept [...] and residuals [..., n] at given slopes [...]."""
    b = np.asarray(slope, dtype=float)[..., None]
    weight = 1 / (c[:, 1, 1] + extra - 2 * b * c[:, 0, 1] + b**2 * c[:, 0, 0])
    intercept = np.sum(weight * (y - b * x), axis=-1) / np.sum(weight, axis=-1)
    return weight, intercept, y - intercept[..., None] - b * x


def _best_slope(
    x: NDArray[np.float64], y: NDArray[np.float64], c: NDArray[np.float64], extra: float
) -> tuple[float, float]:
    """Slope of lowest chi2, and that chi2."""
    # Slopes are tried about the one of the errors: with strongly correlated errors chi2 changes fastest there.
    centre = c[:, 0, 1].sum() / c[:, 0, 0].sum()
    scale = np.std(y - centre * x) / np.std(x) + np.sqrt(np.sum(c[:, 1, 1]) / np.sum(c[:, 0, 0])) * 1e-3

    def chi2(angle: ArrayLike) -> NDArray[np.float64]:
        weight, _, residual = _profile(x, y, c, centre + scale * np.tan(angle), extra)
        return np.sum(weight * residual**2, axis=-1)

    angles = np.linspace(-np.pi / 2, np.pi / 2, ANGLES + 2)[1:-1]
    start = angles[np.argmin(chi2(angles))]
    step = np.pi / (ANGLES + 1)
    best = optimize.minimize_scalar(
        chi2, bounds=(start - step, start + step), method="bounded", options={"xatol": 1e-11}
    )
    return float(centre + scale * np.tan(best.x)), float(best.fun)


def _scatter_variance(x: NDArray[np.float64], y: NDArray[np.float64], c: NDArray[np.float64]) -> float:
    """Variance to add to each y so that chi2 is the number of degrees of freedom; 0 if it is smaller without."""

    def inverse_chi2(variance: float) -> float:
        # chi2 falls about as 1/variance: its inverse is nearly straight, which a root finder likes
        return (len(x) - 2) / _best_slope(x, y, c, variance)[1] - 1

    if _best_slope(x, y, c, 0.0)[1] <= len(x) - 2:
        return 0.0
    # with the variance of y itself added, even a horizontal line has a chi2 of n at most; this is beyond doubt
    return float(optimize.brentq(inverse_chi2, 0.0, 2 * len(x) * np.var(y), rtol=1e-6))
