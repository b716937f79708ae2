"""Series of heat, mass and charge currents: their shape, what makes them useless, and how to thin them out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft, special

MIN_SAMPLES = 64
"""Fewer samples of a current hold no spectrum worth an error bar."""

AXES = "xyz"

DEPENDENT = 1e-8
"""Smallest eigenvalue of the equal-time correlation matrix of independent mass currents; in a table printed with five
digits about 1e-10 is left of currents that add up to zero."""

DEPENDENT_HEAT = 1e-24
"""The same for the heat current against the others: only rounding, as far-away zeros of energies make it depend on them
nearly."""

BLOCKS = 16
"""Blocks whose means tell whether a series drifts."""

DRIFT_PROBABILITY = 1e-3
"""Chance to call a stationary run (all its components together) drifting."""


@dataclass(frozen=True, eq=False)
class FluxSeries:
    """Currents of one system at equal intervals, in one or several independent runs.

    Attributes
    ----------
    currents
        ``[currents, replicas, n, 3]``: total (extensive, not per volume) currents, the heat current in eV Angstrom/ps
        first. The mass, number or charge currents may be in any units.
    interval_ps
        Time between samples.
    """

    currents: NDArray[np.float64]
    interval_ps: float

    @property
    def n_currents(self) -> int:
        """Heat current and those that come with it."""
        return int(self.currents.shape[0])

    @property
    def n_replicas(self) -> int:
        """Independent runs."""
        return int(self.currents.shape[1])

    @property
    def n_samples(self) -> int:
        """Samples of one run."""
        return int(self.currents.shape[2])

    @property
    def duration_ps(self) -> float:
        """Length of all runs together."""
        return self.n_replicas * self.n_samples * self.interval_ps

    def along(self, axes: str) -> NDArray[np.float64]:
        """Components along some axes ``[currents, replicas, n, axes]``.

        Raises
        ------
        ValueError
            If ``axes`` is not made of different letters x, y, z.
        """
        if not axes or len(set(axes)) < len(axes) or not set(axes) <= set(AXES):
            raise ValueError(f"axes are some of the letters x, y and z, like 'xy', not {axes!r}")
        return self.currents[..., [AXES.index(axis) for axis in axes]]

    def segmented(self, segments: int) -> FluxSeries:
        """Return the same with each run cut into so many, the remainder left out at the start.

        Raises
        ------
        ValueError
            If the pieces are too short.
        """
        length = self.n_samples // segments
        if length < MIN_SAMPLES:
            raise ValueError(
                f"{self.n_samples} samples cannot be cut into {segments} segments of at least {MIN_SAMPLES}: run longer"
            )
        kept = self.currents[:, :, self.n_samples - segments * length :]
        return FluxSeries(kept.reshape(self.n_currents, -1, length, 3), self.interval_ps)


def flux_series(
    currents: NDArray[np.floating] | Sequence[ArrayLike], timestep_fs: float, *, independent: bool = True
) -> FluxSeries:
    """Check currents and bring them into one shape.

    Parameters
    ----------
    currents
        The heat current as an array ``[n, 3]``, or a sequence of heat current and mass, number or charge currents, each
        ``[n, 3]`` or ``[replicas, n, 3]``; of an array of more axes, too, the first one is that of the currents. Leave
        out one species where the total momentum is zero, as the sum of the mass currents then vanishes.
    timestep_fs
        Time between two samples (time step of the dynamics times the stride of storage).
    independent
        Whether every component must change, and no current be a combination of the others.

    Raises
    ------
    ValueError
        If shapes differ, samples are too few, not finite (the first such frame is named) or not independent.
    """
    if not (timestep_fs > 0 and np.isfinite(timestep_fs)):
        raise ValueError(f"timestep_fs, the time between two samples, must be positive, not {timestep_fs!r}")
    if isinstance(currents, np.ndarray) and currents.ndim == 2:
        currents = [currents]
    parts = [np.asarray(part, dtype=float) for part in currents]
    if not parts:
        raise ValueError("there is no heat current")
    for number, part in enumerate(parts):
        if part.ndim not in (2, 3) or part.shape[-1] != 3 or part.shape != parts[0].shape:
            raise ValueError(
                f"{_name(number)} has shape {part.shape}: all currents must be [n, 3] or [replicas, n, 3] of one length"
            )
    stacked = np.stack([part if part.ndim == 3 else part[None] for part in parts])
    if stacked.shape[2] < MIN_SAMPLES:
        raise ValueError(f"{stacked.shape[2]} samples are too few for a spectrum: at least {MIN_SAMPLES} are needed")
    _check_finite(stacked)
    if independent:
        _check_independent(stacked)
    return FluxSeries(stacked, timestep_fs * 1e-3)


def _name(number: int) -> str:
    return "the heat current" if number == 0 else f"current {number} beside the heat current"


def _check_finite(currents: NDArray[np.float64]) -> None:
    bad = ~np.isfinite(currents)
    if bad.any():
        number, replica, frame, axis = (int(index[0]) for index in np.nonzero(bad))
        value = currents[number, replica, frame, axis]
        run = f" of run {replica}" if currents.shape[1] > 1 else ""
        raise ValueError(
            f"{_name(number)} is {value} in frame {frame}{run} along {AXES[axis]} ({int(bad.sum())} such numbers in "
            "all): end the series before that frame"
        )


def _check_independent(currents: NDArray[np.float64]) -> None:
    """Refuse what has no spectrum of its own: components that never change, and combinations of other currents."""
    for axis in range(3):
        component = currents[..., axis].reshape(len(currents), -1)
        deviations = component - component.mean(axis=1, keepdims=True)
        size = np.sqrt(np.mean(deviations**2, axis=1))
        for number in np.flatnonzero(size <= 1e-12 * np.abs(component).max(axis=1)):
            raise ValueError(f"{_name(int(number))} never changes along {AXES[axis]}: leave it out or check its column")
        if len(currents) == 1:
            continue
        scaled = deviations / size[:, None]
        correlation = scaled @ scaled.T / scaled.shape[1]
        if np.linalg.eigvalsh(correlation[1:, 1:])[0] < DEPENDENT:
            raise ValueError(
                f"one of the currents beside the heat current is a combination of the others along {AXES[axis]}: leave "
                "out one species, as the mass currents add up to zero"
            )
        own = scaled[0] - np.linalg.solve(correlation[1:, 1:], correlation[1:, 0]) @ scaled[1:]
        if np.mean(own**2) < DEPENDENT_HEAT:
            raise ValueError(
                f"along {AXES[axis]} the heat current is a combination of the other currents: nothing is left"
            )


def check_equal_spacing(times: ArrayLike) -> float:
    """Return the interval of equally spaced times (or step numbers).

    Parameters
    ----------
    times
        ``[n]`` in order, at least two.

    Raises
    ------
    ValueError
        If a time is missing or stands twice; the first such sample is named.
    """
    steps = np.diff(np.asarray(times, dtype=float))
    usual = float(np.median(steps))
    # printed times are rounded: a hundredth of an interval is no gap
    odd = np.abs(steps - usual) > 0.01 * abs(usual)
    if not usual > 0 or odd.any():
        first = int(np.argmax(odd))
        raise ValueError(
            f"samples are not equally spaced: {usual:g} apart as a rule, but {steps[first]:g} between samples {first} "
            f"and {first + 1}; a series must not have gaps or repeated frames"
        )
    return usual


def decorrelated(currents: NDArray[np.float64]) -> NDArray[np.float64]:
    """Heat current without what it shares at equal times with the other currents, all with zero mean.

    J_q - sum_i c_i J_i with c by least squares over all runs and axes. Such a combination leaves the conductivity at
    zero mass flux as it is (a shift of the energies of the species by -c_i), and makes it numerically harmless that the
    zero of these energies may be thousands of eV away.

    Parameters
    ----------
    currents
        ``[currents, replicas, n, axes]``, heat first.

    Returns
    -------
    all currents, the first one changed.
    """
    centred = currents - currents.mean(axis=(1, 2), keepdims=True)
    if len(centred) > 1:
        heat, others = centred[0].ravel(), centred[1:].reshape(len(centred) - 1, -1)
        # twice: what the first subtraction of large numbers leaves by rounding is taken off by the second
        for _ in range(2):
            heat -= np.linalg.solve(others @ others.T, others @ heat) @ others
        centred[0] = heat.reshape(centred[0].shape)
    return centred


def drift(currents: NDArray[np.float64]) -> str:
    """Say why a run is not stationary; empty where it may be.

    Component by component, the means of `BLOCKS` blocks, and the logarithms of their variances, are tested for a trend.

    Parameters
    ----------
    currents
        ``[currents, replicas, n, axes]``.
    """
    n = currents.shape[2] // BLOCKS * BLOCKS
    blocks = currents[:, :, currents.shape[2] - n :].reshape(*currents.shape[:2], BLOCKS, -1, currents.shape[3])
    level = DRIFT_PROBABILITY / (2 * currents[:, :, 0].size)
    # a component that never changes has no logarithm, and no trend
    fluctuation = np.log(np.maximum(blocks.var(axis=3), np.finfo(float).tiny))
    for what, values in (("mean", blocks.mean(axis=3)), ("fluctuation", fluctuation)):
        p = _no_trend(values)
        if p.min() < level:
            number, replica, axis = np.unravel_index(int(p.argmin()), p.shape)
            run = f" in run {replica}" if currents.shape[1] > 1 else ""
            return (
                f"the {what} of {_name(int(number))} drifts{run} (component {axis}): the run is not in equilibrium, "
                "discard its start"
            )
    return ""


def _no_trend(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Chance of a linear trend at least so strong along the third axis if there is none: t test of its slope."""
    count = values.shape[2]
    times = np.arange(count) - (count - 1) / 2
    deviations = values - values.mean(axis=2, keepdims=True)
    along = np.einsum("crba,b->cra", deviations, times) ** 2 / np.sum(times**2)
    rest = np.maximum((deviations**2).sum(axis=2) - along, np.finfo(float).tiny)
    return np.asarray(2 * special.stdtr(count - 2, -np.sqrt((count - 2) * along / rest)))


def resampled(series: FluxSeries, max_frequency_thz: float) -> FluxSeries:
    """Filter out everything above a frequency and return the series at the longest interval that holds the rest.

    The filter is exact: Fourier components above the new Nyquist frequency are dropped, so nothing is folded back and
    the periodogram below stays what it was.

    Parameters
    ----------
    series
        As it was stored.
    max_frequency_thz
        The new Nyquist frequency, up to rounding to a whole number of samples.

    Raises
    ------
    ValueError
        If the frequency is not below the present Nyquist frequency, or too few samples would be left.
    """
    nyquist = 0.5 / series.interval_ps
    if not 0 < max_frequency_thz <= nyquist:
        raise ValueError(f"the new Nyquist frequency must be positive and at most {nyquist:g} THz, the present one")
    n = series.n_samples
    kept = round(max_frequency_thz * series.interval_ps * n)
    if 2 * kept + 1 < MIN_SAMPLES:
        raise ValueError(f"only {2 * kept + 1} samples would be left at {max_frequency_thz:g} THz: run longer")
    if 2 * kept + 1 >= n:
        return series
    # an odd number of samples has no component at the Nyquist frequency itself, which would need halving
    components = fft.rfft(series.currents, axis=2)[:, :, : kept + 1]
    shorter = fft.irfft(components, n=2 * kept + 1, axis=2) * ((2 * kept + 1) / n)
    return FluxSeries(shorter, series.interval_ps * n / (2 * kept + 1))
