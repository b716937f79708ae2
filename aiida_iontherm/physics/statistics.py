"""Standard errors of correlated and resampled data, and the straight line with known errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft

from aiida_iontherm.physics.distributions import chi2_tail

ONE_SIDED = 1.645
"""Standard errors beyond which a normal number lies in 5 % of the cases, on one side."""


def jackknife(leave_one_out: ArrayLike) -> NDArray[np.float64]:
    """Estimate a standard error from delete-one estimates.

    Parameters
    ----------
    leave_one_out
        ``[R, ...]``: the estimator evaluated R times, each time with one of the R independent samples left out
        (for a plain mean: the R means of R - 1 samples).

    Returns
    -------
    standard error ``[...]``: se^2 = (R - 1)/R sum_i (x_i - mean)^2
    (B. Efron, The Jackknife, the Bootstrap and Other Resampling Plans, SIAM, 1982).

    Raises
    ------
    ValueError
        With fewer than two estimates.
    """
    estimates = np.asarray(leave_one_out, dtype=float)
    if estimates.ndim == 0 or len(estimates) < 2:
        raise ValueError("a jackknife needs at least two delete-one estimates along the first axis")
    deviations = estimates - estimates.mean(axis=0)
    return np.sqrt((len(estimates) - 1) / len(estimates) * np.sum(deviations**2, axis=0))


def block_standard_error(series: ArrayLike, n_blocks: int) -> NDArray[np.float64]:
    """Estimate the standard error of the mean of a correlated series from the means of contiguous blocks.

    Right when a block is much longer than the autocorrelation time; too small otherwise.

    Parameters
    ----------
    series
        ``[n, ...]`` in order of time. The first ``n % n_blocks`` samples, the least equilibrated, are left out.
    n_blocks
        At least 2.

    Raises
    ------
    ValueError
        If there are fewer than two blocks or fewer samples than blocks.
    """
    samples = np.asarray(series, dtype=float)
    if n_blocks < 2 or len(samples) < n_blocks:
        raise ValueError(f"{len(samples)} samples cannot be cut into {n_blocks} blocks: use 2 to {len(samples)} blocks")
    kept = samples[len(samples) % n_blocks :]
    means = kept.reshape(n_blocks, -1, *samples.shape[1:]).mean(axis=1)
    return means.std(axis=0, ddof=1) / np.sqrt(n_blocks)


def autocorrelation_time(series: ArrayLike) -> float:
    """Integrated autocorrelation time of a stationary series, in samples.

    tau = 1/2 + sum_{k>=1} rho(k), so that the variance of the mean of n samples is 2 tau / n times that of one
    sample, and independent samples have tau = 1/2. The sum stops at the first lag beyond 5 tau
    (A. Sokal, Monte Carlo Methods in Statistical Mechanics, Lausanne lectures, 1989).

    Parameters
    ----------
    series
        ``[n]``, n >= 4.

    Raises
    ------
    ValueError
        If the series is too short, not one-dimensional, or constant.
    """
    samples = np.asarray(series, dtype=float)
    if samples.ndim != 1 or len(samples) < 4:
        raise ValueError("the autocorrelation time needs one series of at least 4 samples")
    deviations = samples - samples.mean()
    # rounding leaves a constant series with a tiny variance, whose correlation means nothing
    if deviations.std() <= 1e-14 * np.abs(samples).max(initial=0.0):
        raise ValueError("the series is constant: it has no autocorrelation time")
    n = len(samples)
    spectrum = np.abs(fft.rfft(deviations, n=fft.next_fast_len(2 * n, real=True))) ** 2
    correlation = fft.irfft(spectrum, n=fft.next_fast_len(2 * n, real=True))[:n]
    times = 0.5 + np.cumsum(correlation[1:] / correlation[0])
    beyond = np.arange(1, n) >= 5 * times
    return float(times[np.argmax(beyond)]) if beyond.any() else float(times[-1])


@dataclass(frozen=True)
class Line:
    """Straight line y = intercept + slope x fitted to points with known errors.

    Attributes
    ----------
    intercept, slope
        The line.
    covariance
        ``[2, 2]`` of (intercept, slope), from the errors given (not rescaled by chi2).
    chi2
        Sum of squared residuals over squared errors.
    degrees_of_freedom
        Points minus two.
    """

    intercept: float
    slope: float
    covariance: NDArray[np.float64]
    chi2: float
    degrees_of_freedom: int

    @property
    def p_value(self) -> float:
        """Chance of a chi2 this large if the points lie on a line and the errors are right; 1 for two points."""
        return float(chi2_tail(self.chi2, self.degrees_of_freedom)) if self.degrees_of_freedom else 1.0


def weighted_line(x: ArrayLike, y: ArrayLike, sigma: ArrayLike) -> Line:
    """Fit y = intercept + slope x by least squares weighted with 1/sigma^2.

    Parameters
    ----------
    x, y
        ``[n]``.
    sigma
        ``[n]`` standard errors of ``y``, all positive; a scalar serves all points.

    Raises
    ------
    ValueError
        With fewer than two different ``x``, or an error that is not positive.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    sigma = np.broadcast_to(np.asarray(sigma, dtype=float), y.shape)
    if x.ndim != 1 or x.shape != y.shape or len(np.unique(x)) < 2:
        raise ValueError("a line needs at least two points with different abscissae, and one ordinate for each")
    if not (np.all(np.isfinite(y)) and np.all(np.isfinite(sigma)) and np.all(sigma > 0)):
        raise ValueError("ordinates must be finite and their standard errors positive: leave the other points out")
    # centring keeps the normal equations well conditioned when all x are large and close together
    weights = 1 / sigma**2
    centre = np.sum(weights * x) / np.sum(weights)
    spread = np.sum(weights * (x - centre) ** 2)
    slope = np.sum(weights * (x - centre) * y) / spread
    at_centre = np.sum(weights * y) / np.sum(weights)
    slope_variance = 1 / spread
    cross = -centre * slope_variance
    intercept_variance = 1 / np.sum(weights) + centre**2 * slope_variance
    residuals = y - at_centre - slope * (x - centre)
    return Line(
        intercept=float(at_centre - slope * centre),
        slope=float(slope),
        covariance=np.array([[intercept_variance, cross], [cross, slope_variance]]),
        chi2=float(np.sum(weights * residuals**2)),
        degrees_of_freedom=len(x) - 2,
    )
