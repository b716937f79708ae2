"""Thermal conductivity from the cepstrum of the heat current: the logarithm of its spectrum, smoothed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft

from aiida_iontherm.physics.heat.flux_series import FluxSeries, decorrelated, drift, flux_series
from aiida_iontherm.physics.heat.spectrum import (
    cross_spectrum,
    log_bias,
    log_variance,
    reduced_power,
    significant_band,
)
from aiida_iontherm.physics.units import EV_PER_PS_ANGSTROM_KELVIN_TO_W_PER_M_K, KB_EV

BAND_THRESHOLD = 0.01
"""Without a highest frequency given, the spectrum ends where it stays below this share of its maximum."""

CUTOFF_FACTOR = 2.0
"""Coefficients kept, relative to the number that is best by Akaike's criterion.

That number is chosen by the noise it is to describe: with it, values scatter by 1.1 to 1.7 error bars, and those of
peaked spectra are low by half an error bar and more. With twice the number they scatter by 1.0 to 1.1 error bars."""

MIN_FREQUENCIES = 16
"""Fewer frequencies are not smoothed."""

FOLDED = 0.1
"""Largest power at the Nyquist frequency, relative to that at zero, of a flux that was stored often enough."""

UNRESOLVED_SIGMAS = 4.0
"""Power at the lowest frequencies may differ by so many standard errors from the smooth curve."""

CUTOFF_SIGMAS = 3.0
"""The value may change by so many standard errors when the cutoff is doubled."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CepstralEstimate:
    """Conductivity from the zero-frequency value of the smoothed spectrum.

    Attributes
    ----------
    value, uncertainty
        kappa and one standard error in W/(m K). The error is that of ln kappa times kappa: intervals are better taken
        as kappa exp(+-z u/kappa).
    axes
        Which axes were averaged, e.g. ``xyz``.
    others
        Mass or charge currents held at zero (q).
    samples, degrees_of_freedom
        l independent series, and 2(l - q) of chi^2 at each frequency.
    cutoff
        Cepstral coefficients kept.
    best_cutoff
        The number of the least Akaike information criterion (P*).
    akaike_value, akaike_uncertainty
        kappa with P* coefficients and its nominal error, as in the papers; W/(m K).
    aic
        ``[...]`` criterion for P = 1, 2, ...
    max_frequency_thz
        Where the spectrum that was used ends.
    frequencies_thz
        ``[K + 1]`` from zero on.
    kappa_spectrum
        ``[K + 1]`` S(f)/(2 kB T^2 V) in W/(m K), smoothed; its first value is ``value``.
    kappa_periodogram
        ``[K + 1]`` the same before smoothing, without bias of its logarithm; at zero, where the mean was taken off, it
        repeats its neighbour.
    duration_ps
        Length of all runs together.
    problems
        What speaks against the number, one sentence each; empty where nothing does.
    """

    value: float
    uncertainty: float
    axes: str
    others: int
    samples: int
    degrees_of_freedom: int
    cutoff: int
    best_cutoff: int
    akaike_value: float
    akaike_uncertainty: float
    aic: NDArray[np.float64]
    max_frequency_thz: float
    frequencies_thz: NDArray[np.float64]
    kappa_spectrum: NDArray[np.float64]
    kappa_periodogram: NDArray[np.float64]
    duration_ps: float
    problems: tuple[str, ...]

    def duration_for(self, relative_error: float) -> float:
        """Length of all runs together, in ps, for a relative standard error: the error falls as 1/sqrt(length).

        Raises
        ------
        ValueError
            If the target is not positive.
        """
        if not relative_error > 0:
            raise ValueError(f"the relative error to reach must be positive, not {relative_error:g}")
        return self.duration_ps * (self.uncertainty / self.value / relative_error) ** 2


def kappa_per_power(temperature: float, volume: float) -> float:
    """Conductivity per int_0^inf <J(0) J(t)> dt: 1/(kB T^2 V), in W/(m K) per (eV Angstrom/ps)^2 ps.

    Parameters
    ----------
    temperature
        In K.
    volume
        Of the cell in Angstrom^3; the current is that of the whole cell, not per volume.

    Raises
    ------
    ValueError
        If one is not positive.
    """
    for name, number, unit in (("temperature", temperature, "K"), ("volume", volume, "Angstrom^3")):
        if not (number > 0 and np.isfinite(number)):
            raise ValueError(f"the {name} must be positive, in {unit}, not {number:g}")
    return EV_PER_PS_ANGSTROM_KELVIN_TO_W_PER_M_K / (KB_EV * temperature**2 * volume)


def cepstral(
    currents: NDArray[np.floating] | Sequence[ArrayLike],
    timestep_fs: float,
    temperature: float,
    volume: float,
    *,
    axes: str = "xyz",
    max_frequency_thz: float | None = None,
    cutoff_factor: float = CUTOFF_FACTOR,
    cutoff: int | None = None,
    segments: int | None = None,
) -> CepstralEstimate:
    """Cepstral estimate of the thermal conductivity, at zero flux of the other currents.

    kappa = S(0)/(2 kB T^2 V), with S the two-sided spectrum per ordinary frequency of the heat current of the whole
    cell (`cross_spectrum`); with other currents S is the reduced one (`reduced_power`). The logarithm of the
    periodogram is ln S plus noise of known mean lambda = psi(l - q) - ln l and variance sigma^2 = psi'(l - q), the same
    at all frequencies. Of its Fourier coefficients C_n = (1/N) sum_k ln S_k exp(2 pi i k n/N), N = 2K for K frequencies
    mirrored at both ends, the first P are kept:

    ln S(0) = C_0 + 2 sum_{1 <= n < P} C_n - lambda, with variance sigma^2 (4 P - 2)/N.

    P* minimises AIC(P) = (N/sigma^2) sum_{P <= n <= N/2} C_n^2 + 2 P. (L. Ercole, A. Marcolongo, S. Baroni, Sci. Rep.
    7, 15835 (2017); for several currents R. Bertossa et al., Phys. Rev. Lett. 122, 255901 (2019).) The papers take
    P = P*; here it is twice that (`CUTOFF_FACTOR`), and the papers' number stands beside.

    Lowering the highest frequency is the same as resampling the currents behind an ideal filter: the periodogram
    below does not change.

    Parameters
    ----------
    currents
        The heat current, or a sequence of the heat current and then mass, number or charge currents; each ``[n, 3]`` or
        ``[replicas, n, 3]``, eV Angstrom/ps for heat.
    timestep_fs
        Time between two samples.
    temperature
        In K.
    volume
        In Angstrom^3.
    axes
        Equivalent axes to average: ``"xyz"`` in a liquid, a glass or a cubic crystal, ``"xy"``, ``"z"`` ...
    max_frequency_thz
        Use the spectrum up to here; ``None``: to where it falls below `BAND_THRESHOLD` of its maximum for good.
    cutoff_factor
        Coefficients to keep, relative to P*; 1 for the method of the papers.
    cutoff
        Coefficients to keep, instead.
    segments
        Cut each run into so many independent series; ``None``: one, or as many as leave two degrees of freedom or more
        beside the other currents.

    Raises
    ------
    ValueError
        If the series cannot be used (`flux_series`), a number is out of range, or there are fewer series than currents.
    """
    factor = kappa_per_power(temperature, volume)
    series = flux_series(currents, timestep_fs)
    heat_first = decorrelated(series.along(axes))
    spectrum = cross_spectrum(_segmented(heat_first, series, segments), series.interval_ps)
    others, samples = series.n_currents - 1, spectrum.samples
    power = reduced_power(spectrum.matrices)
    kept = _highest(power, spectrum.frequencies_thz, max_frequency_thz)
    bias, variance = log_bias(samples, others), log_variance(samples, others)
    logs = np.log(power[:kept]) - bias
    logs = np.concatenate([logs[:1], logs])
    coefficients = fft.irfft(logs, n=2 * kept)[: kept + 1]
    aic = akaike(coefficients, variance)
    best = int(np.argmin(aic)) + 1
    if not cutoff_factor >= 1:
        raise ValueError(f"cutoff_factor must be at least 1, not {cutoff_factor:g}")
    chosen = min(int(np.ceil(cutoff_factor * best)), kept) if cutoff is None else cutoff
    if not 1 <= chosen <= kept:
        raise ValueError(f"the cutoff must be between 1 and {kept}, the number of frequencies, not {chosen}")
    smooth = _smoothed(coefficients, chosen)
    value, error = _conductivity(coefficients, chosen, variance, 0.5 * factor)
    akaike_value, akaike_error = _conductivity(coefficients, best, variance, 0.5 * factor)
    problems = [
        drift(heat_first),
        _edge(best, len(aic)),
        _folding(power, smooth[0] + bias),
        _unresolved(logs, smooth, variance),
        _cutoff_dependence(coefficients, chosen, variance),
    ]
    return CepstralEstimate(
        value=value,
        uncertainty=error,
        axes=axes,
        others=others,
        samples=samples,
        degrees_of_freedom=2 * (samples - others),
        cutoff=chosen,
        best_cutoff=best,
        akaike_value=akaike_value,
        akaike_uncertainty=akaike_error,
        aic=aic,
        max_frequency_thz=float(spectrum.frequencies_thz[kept - 1]),
        frequencies_thz=np.concatenate([[0.0], spectrum.frequencies_thz[:kept]]),
        kappa_spectrum=0.5 * factor * np.exp(smooth),
        kappa_periodogram=0.5 * factor * np.exp(logs),
        duration_ps=series.duration_ps,
        problems=tuple(problem for problem in problems if problem),
    )


def akaike(coefficients: NDArray[np.float64], variance: float) -> NDArray[np.float64]:
    """Akaike information criterion for keeping P = 1 ... K/2 cepstral coefficients.

    Parameters
    ----------
    coefficients
        ``[K + 1]``.
    variance
        Of the log-periodogram; that of one coefficient is variance/(2K), twice that of the last.
    """
    last = len(coefficients) - 1
    chi2 = coefficients**2 * (2 * last / variance)
    chi2[-1] /= 2
    beyond = np.cumsum(chi2[::-1])[::-1]
    cutoffs = np.arange(1, max(last // 2, 1) + 1)
    return beyond[cutoffs] + 2 * cutoffs


def _segmented(currents: NDArray[np.float64], series: FluxSeries, segments: int | None) -> NDArray[np.float64]:
    """Cut runs where it is asked for, or needed to have more series than currents."""
    whole = currents.shape[1] * currents.shape[3]
    if segments is None:
        segments = 1 if whole > series.n_currents - 1 else -(-(series.n_currents + 1) // whole)
    if segments < 1 or whole * segments < series.n_currents:
        raise ValueError(
            f"{whole} series in {segments} segments are too few for {series.n_currents} currents: add replicas, or let "
            "the number of segments be found"
        )
    if segments == 1:
        return currents
    length = series.segmented(segments).n_samples
    kept = currents[:, :, currents.shape[2] - segments * length :]
    return kept.reshape(len(currents), -1, length, currents.shape[3])


def _highest(power: NDArray[np.float64], frequencies: NDArray[np.float64], limit: float | None) -> int:
    if limit is None:
        kept = max(significant_band(power, BAND_THRESHOLD), min(MIN_FREQUENCIES, len(power)))
    else:
        if not limit > 0:
            raise ValueError(f"max_frequency_thz must be positive, not {limit:g}")
        kept = int(np.searchsorted(frequencies, limit * (1 + 1e-9), side="right"))
    if kept < MIN_FREQUENCIES:
        resolution = frequencies[0]
        raise ValueError(
            f"only {kept} frequencies {resolution:.3g} THz apart are in the spectrum to be smoothed, fewer than "
            f"{MIN_FREQUENCIES}: run longer or raise the highest frequency"
        )
    return kept


def _conductivity(
    coefficients: NDArray[np.float64], cutoff: int, variance: float, factor: float
) -> tuple[float, float]:
    """Conductivity and standard error with so many coefficients."""
    value = float(factor * np.exp(coefficients[0] + 2 * coefficients[1:cutoff].sum()))
    return value, value * float(np.sqrt(variance * (4 * cutoff - 2) / (2 * (len(coefficients) - 1))))


def _smoothed(coefficients: NDArray[np.float64], cutoff: int) -> NDArray[np.float64]:
    filtered = np.where(np.arange(len(coefficients)) < cutoff, coefficients, 0.0)
    mirrored = np.concatenate([filtered, filtered[-2:0:-1]])
    return fft.rfft(mirrored).real


def _edge(best: int, tried: int) -> str:
    if best <= tried // 2:
        return ""
    return (
        f"the best cutoff, {best} coefficients, is at the edge of what {tried} allow: the spectrum is rougher than its "
        "noise tells; run longer, or lower the highest frequency to leave out sharp lines"
    )


def _folding(power: NDArray[np.float64], zero: float) -> str:
    """Compare the power at the Nyquist frequency of the file with that at zero."""
    top = power[-max(len(power) // 20, 1) :].mean() / np.exp(zero)
    if top <= FOLDED:
        return ""
    return (
        f"at the Nyquist frequency the spectrum is still {top:.2g} of that at zero: motion faster than that may be "
        "folded into the value; store the currents more often"
    )


def _unresolved(logs: NDArray[np.float64], smooth: NDArray[np.float64], variance: float) -> str:
    """Look for power at the lowest frequencies that the smooth curve does not follow."""
    residuals = (logs - smooth)[1:]
    counts = 2 ** np.arange(2, max(int(np.log2(len(residuals) / 4)), 2) + 1)
    scores = np.array([residuals[:m].sum() / np.sqrt(variance * m) for m in counts])
    worst = int(np.argmax(np.abs(scores)))
    if abs(scores[worst]) <= UNRESOLVED_SIGMAS:
        return ""
    side = "above" if scores[worst] > 0 else "below"
    return (
        f"the {counts[worst]} lowest frequencies lie {abs(scores[worst]):.1f} standard errors {side} the smooth curve: "
        "the spectrum has structure near zero that is not resolved; run longer, or lower the highest frequency"
    )


def _cutoff_dependence(coefficients: NDArray[np.float64], cutoff: int, variance: float) -> str:
    """Compare with twice as many coefficients: the added ones have a known variance."""
    last = len(coefficients) - 1
    more = min(2 * cutoff, last)
    change = 2 * coefficients[cutoff:more].sum()
    if more == cutoff or abs(change) <= CUTOFF_SIGMAS * np.sqrt(4 * (more - cutoff) * variance / (2 * last)):
        return ""
    return (
        f"with {more} instead of {cutoff} cepstral coefficients the value is {np.expm1(change):+.0%} away, more than "
        "chance allows: the cutoff is not converged; run longer"
    )
