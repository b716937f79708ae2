"""Line of a damped harmonic oscillator in the power spectrum of its velocity, fitted by Whittle's likelihood.

A classical oscillator with damping and noise, d^2 Q/dt^2 = -w0^2 Q - eta dQ/dt + noise, has the spectrum

    S(f) = A (2/pi) gamma f^2 / ((f^2 - f0^2)^2 + (2 gamma f)^2),      eta = 4 pi gamma,

with the area A = <|dQ/dt|^2> over all f, positive and negative. Near f0 it is a Lorentzian of half width gamma at half
maximum; the energy of the oscillator decays with 1/tau = eta = 4 pi gamma: this is the linewidth of the two-channel
formula. The autocorrelation of the velocity is

    c(t) = sum over both roots r of  r/(r - r') exp(r t),      r = -2 pi gamma +- 2 pi i sqrt(f0^2 - gamma^2),

with r' the other root; both are real where the oscillator is overdamped, gamma > f0.

The periodogram of N samples has the expectation

    E I(f) = dt sum_|k|<N (1 - |k|/N) c(k dt) exp(-2 pi i f k dt),

whose geometric sums are known in closed form. Fitting this in place of S(f) accounts for the finite length of the run
and for the time step exactly (debiased Whittle likelihood: A. M. Sykulski et al., Biometrika 106, 251 (2019)). At the
frequencies k/(N dt) the values of the periodogram are independent and exponentially distributed about E I(f), but for
lines narrower than their distance. The mean P of K independent periodograms has the log-likelihood

    -K sum_f (ln E I(f) + P(f)/E I(f)).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.distributions import chi2_tail

WINDOW_WIDTHS = 6.0
"""Half of the frequencies of a fit lie within gamma of the line, 90 % of the area within six: beyond, others' lines."""

WINDOW_POINTS = 12
"""At least so many steps of 1/(run time) to each side."""

SHAPE_BINS = 8
"""The line is cut into so many parts of equal area to compare its shape."""


@dataclass(frozen=True)
class Line:
    """Damped harmonic oscillator fitted to a periodogram.

    Attributes
    ----------
    frequency_thz, gamma_thz
        f0 and the half width at half maximum.
    frequency_error_thz, gamma_error_thz
        Standard errors from the Fisher matrix.
    area
        A, the mean square of the velocity in this line, in the unit of the periodogram times THz.
    misplaced
        Share of the area within the fitted window that is elsewhere than the line shape says, noise taken off; 0 for a
        line of this shape.
    shape_p_value
        Chance of parts as different from the line shape as these, by chi-squared.
    """

    frequency_thz: float
    gamma_thz: float
    frequency_error_thz: float
    gamma_error_thz: float
    area: float
    misplaced: float
    shape_p_value: float


def oscillator_spectrum(frequencies_thz: ArrayLike, f0_thz: float, gamma_thz: float) -> NDArray[np.float64]:
    """S(f) of unit area over positive and negative frequencies, in 1/THz [n]."""
    f = np.asarray(frequencies_thz, dtype=float)
    return (2 / np.pi) * gamma_thz * f**2 / ((f**2 - f0_thz**2) ** 2 + (2 * gamma_thz * f) ** 2)


def expected_periodogram(
    frequencies_thz: ArrayLike, f0_thz: float, gamma_thz: float, frames: int, interval_ps: float
) -> NDArray[np.float64]:
    """E I(f) of an oscillator with <|dQ/dt|^2> = 1 in 1/THz [n].

    Parameters
    ----------
    frequencies_thz
        [n].
    f0_thz, gamma_thz
        The oscillator; gamma may exceed f0.
    frames, interval_ps
        Number of samples and time between them.
    """
    f = np.asarray(frequencies_thz, dtype=float)
    split = np.sqrt(complex(f0_thz**2 - gamma_thz**2))
    # At critical damping the two terms are infinite and of opposite sign; so close to it nothing changes.
    if abs(split) < 1e-6 * gamma_thz:
        split = 1e-6 * gamma_thz + 0j
    angles = -2 * np.pi * interval_ps * f
    turn, whole = np.exp(1j * angles), np.exp(1j * frames * angles)
    total = np.zeros(f.shape)
    for sign in (1, -1):
        root = 2 * np.pi * (-gamma_thz + sign * 1j * split)
        other = 2 * np.pi * (-gamma_thz - sign * 1j * split)
        x = np.exp(root * interval_ps) * turn
        rest = 1 / (1 - x)
        # sum_k (1 - k/N) x^k for k from 0 to N; c(t) is real, so that of -k is the conjugate.
        sums = rest - (1 - np.exp(root * frames * interval_ps) * whole) * x * rest**2 / frames
        total += 2 * (root / (root - other) * sums).real
    return interval_ps * (total - 1)


def fit_line(power: ArrayLike, count: float, frames: int, interval_ps: float) -> Line:
    """Fit an oscillator to the mean of independent periodograms, near its maximum.

    Parameters
    ----------
    power
        Mean periodogram dt/N |sum_k v_k exp(-2 pi i f_m k dt)|^2 at f_m = m/(N dt), m = 1 ... [n], below the Nyquist
        frequency.
    count
        Number K of periodograms in the mean.
    frames, interval_ps
        N and dt.

    Raises
    ------
    ValueError
        If the periodogram is too short, not finite, or zero.
    """
    values = np.asarray(power, dtype=float)
    if values.ndim != 1 or len(values) < 2 * WINDOW_POINTS or 2 * len(values) > frames:
        raise ValueError(
            f"a line cannot be fitted to {values.shape} points of {frames} frames: need at least {2 * WINDOW_POINTS}, "
            "below the Nyquist frequency"
        )
    if not np.isfinite(values).all() or not values.sum() > 0:
        raise ValueError("the periodogram is zero or not finite: the mode does not move")
    step = 1 / (frames * interval_ps)
    frequencies: NDArray[np.float64] = step * np.arange(1, len(values) + 1, dtype=float)
    # Quartiles of a Lorentzian lie at f0 -+ gamma, whatever its noise; of a sharp line, within a step.
    below = np.cumsum(values) / values.sum()
    low, middle, high = np.interp([0.25, 0.5, 0.75], below, frequencies)
    f0, gamma = float(middle), float(max((high - low) / 2, step / 4))
    window = slice(0, 0)
    for _ in range(_WINDOWS):
        half = max(WINDOW_WIDTHS * gamma, WINDOW_POINTS * step)
        first = max(0, int(np.floor((f0 - half) / step)) - 1)
        last = min(len(values), max(int(np.ceil((f0 + half) / step)), first + 2 * WINDOW_POINTS))
        if slice(first, last) == window:
            break
        window = slice(first, last)
        merged = _merged(f0, gamma, step, last - first)
        fit = _Fit(_means(frequencies[window], merged), _means(values[window], merged), frames, interval_ps)
        f0, gamma = fit.maximise(f0, gamma)
    errors = fit.errors(f0, gamma, count * merged)
    misplaced, p_value = fit.shape(f0, gamma, count * merged)
    return Line(f0, gamma, errors[0], errors[1] * gamma, fit.area(f0, gamma), misplaced, p_value)


_WINDOWS = 4
"""Times the window follows the line; it stands still after two."""

_ITERATIONS = 60


def _merged(f0: float, gamma: float, step: float, points: int) -> int:
    """Count the neighbouring points that can be averaged because the line hardly changes over them."""
    # An overdamped oscillator has a dip at zero of half width f0^2/(2 gamma).
    finest = min(gamma, f0**2 / (2 * gamma)) if gamma > f0 else gamma
    return max(1, min(int(finest / (10 * step)), points // (4 * WINDOW_POINTS)))


def _means(values: NDArray[np.float64], merged: int) -> NDArray[np.float64]:
    return values[: len(values) // merged * merged].reshape(-1, merged).mean(axis=1)


class _Fit:
    """Whittle likelihood of one window with the area maximised in closed form; parameters f0 and ln gamma."""

    def __init__(
        self, frequencies: NDArray[np.float64], power: NDArray[np.float64], frames: int, interval_ps: float
    ) -> None:
        self._f, self._power = frequencies, power
        self._frames, self._interval = frames, interval_ps
        step = 1 / (frames * interval_ps)
        self._least, self._most = 1e-3 * step, 0.5 / interval_ps

    def maximise(self, f0: float, gamma: float) -> tuple[float, float]:
        """Fisher scoring with damping (Levenberg): the observed curvature may be indefinite, its mean is not."""
        at = np.array([f0, np.log(gamma)])
        cost, damping = self._cost(at), 1e-3
        for _ in range(_ITERATIONS):
            slopes, expected = self._slopes(at)
            ratio = self._power / expected
            gradient = slopes @ (1 - ratio / ratio.mean())
            fisher = slopes @ slopes.T
            while damping < 1e8:
                move = np.linalg.solve(fisher + damping * np.diag(np.diag(fisher) + 1e-30), -gradient)
                # Not farther than the line is wide, nor by more than a factor of e in the width.
                move *= min(1.0, 2 * np.exp(at[1]) / max(abs(move[0]), 1e-300), 1.0 / max(abs(move[1]), 1e-300))
                new = self._bounded(at + move)
                new_cost = self._cost(new)
                if new_cost <= cost:
                    break
                damping *= 10
            else:
                break
            gain, at, cost, damping = cost - new_cost, new, new_cost, max(damping / 10, 1e-9)
            # Far below the statistical error, which is of order one in this unit.
            if gain < 1e-6:
                break
        return float(at[0]), float(np.exp(at[1]))

    def errors(self, f0: float, gamma: float, count: float) -> tuple[float, float]:
        """Return standard errors of f0 and of ln gamma."""
        slopes, _ = self._slopes(np.array([f0, np.log(gamma)]))
        covariance = np.linalg.pinv(count * slopes @ slopes.T)
        return float(np.sqrt(covariance[0, 0])), float(np.sqrt(covariance[1, 1]))

    def area(self, f0: float, gamma: float) -> float:
        """Most likely area for a line of this shape."""
        return float(np.mean(self._power / self._model(f0, gamma)))

    def shape(self, f0: float, gamma: float, count: float) -> tuple[float, float]:
        """Share of the area that is misplaced, and the chance of chi-squared, over parts of equal area."""
        model = self._model(f0, gamma)
        model *= self._power.sum() / model.sum()
        centres = (np.cumsum(model) - model / 2) / model.sum()
        _, part = np.unique(np.floor(centres * SHAPE_BINS).astype(int), return_inverse=True)
        found, wanted = np.bincount(part, self._power), np.bincount(part, model)
        noise = np.sqrt(np.bincount(part, model**2) / count)
        freedom = len(found) - 3
        chi2 = np.sum(((found - wanted) / noise) ** 2)
        misplaced = np.abs(found - wanted).sum() - np.sqrt(2 / np.pi) * noise.sum()
        p_value = float(chi2_tail(chi2, freedom)) if freedom > 0 else 1.0
        return max(0.0, float(misplaced / (2 * wanted.sum()))), p_value

    def _model(self, f0: float, gamma: float) -> NDArray[np.float64]:
        return expected_periodogram(self._f, f0, gamma, self._frames, self._interval)

    def _cost(self, at: NDArray[np.float64]) -> float:
        model = self._model(at[0], np.exp(at[1]))
        return float(len(model) * np.log(np.mean(self._power / model)) + np.log(model).sum())

    def _slopes(self, at: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Differentiate ln E I by f0 and ln gamma [2, n], less the means, which the area takes up; and return E I."""
        gamma = float(np.exp(at[1]))
        steps = np.array([1e-4 * max(gamma, self._least * 1e2), 1e-4])
        here = self._model(at[0], gamma)
        moved = [self._model(at[0] + steps[0], gamma), self._model(at[0], gamma * np.exp(steps[1]))]
        rows = np.log(np.array(moved) / here) / steps[:, None]
        return rows - rows.mean(axis=1, keepdims=True), here

    def _bounded(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array(
            [
                np.clip(at[0], self._f[0] / 4, self._most),
                np.clip(at[1], np.log(self._least), np.log(self._most)),
            ]
        )
