"""Periodograms of several currents and the spectrum of the heat current at zero mass flux."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, special


@dataclass(frozen=True, eq=False)
class CrossSpectrum:
    """Cross-periodograms averaged over independent samples (axes that are equivalent, replicas).

    Attributes
    ----------
    frequencies_thz
        ``[K]`` ordinary frequencies k/(n dt), k = 1 ... K; zero, where the mean was taken off, is not among them, nor
        is the Nyquist frequency, which has half the degrees of freedom.
    matrices
        ``[K, c, c]`` Hermitian, complex.
    samples
        How many independent series were averaged (called l).
    """

    frequencies_thz: NDArray[np.float64]
    matrices: NDArray[np.complex128]
    samples: int


def cross_spectrum(currents: NDArray[np.float64], interval_ps: float) -> CrossSpectrum:
    """Average the cross-periodograms of currents.

    Two-sided density per ordinary frequency, S_ij(f) = integral of <J_i(0) J_j(t)> exp(2 pi i f t) dt over all t,
    estimated by (dt/n) J_i*(k) J_j(k) with J(k) = sum_t J_t exp(-2 pi i k t/n). Hence S(0)/2 is the Green-Kubo integral
    from zero to infinity, without any 2 pi. Unit: product of the currents times ps.

    For each k the matrix times l follows a complex Wishart distribution with l degrees of freedom and mean l S(f_k):
    one current alone is S chi^2_2l/(2l). (Correlations between different k are of order 1/n.)

    Parameters
    ----------
    currents
        ``[c, replicas, n, axes]``; the mean of each series is taken off.
    interval_ps
        Time between samples.
    """
    n = currents.shape[2]
    last = (n - 1) // 2
    matrices = np.zeros((last, len(currents), len(currents)), dtype=complex)
    samples = currents.shape[1] * currents.shape[3]
    for replica in range(currents.shape[1]):
        for axis in range(currents.shape[3]):
            series = currents[:, replica, :, axis]
            components = fft.rfft(series - series.mean(axis=1, keepdims=True), axis=1)[:, 1 : last + 1]
            for i in range(len(currents)):
                for j in range(i, len(currents)):
                    matrices[:, i, j] += components[i].conj() * components[j]
    matrices *= interval_ps / (n * samples)
    for i in range(len(currents)):
        for j in range(i):
            matrices[:, i, j] = matrices[:, j, i].conj()
    return CrossSpectrum(np.arange(1, last + 1) / (n * interval_ps), matrices, samples)


def reduced_power(matrices: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Spectrum of the first current where the others are held at zero, 1/(S^-1)_00.

    It is the Schur complement S_00 - S_0i (S_ii)^-1 S_i0, the power that no linear filter of the other currents
    predicts. From l samples and with q other currents it is S chi^2_2(l-q)/(2l) (R. Bertossa, F. Grasselli, L. Ercole,
    S. Baroni, Phys. Rev. Lett. 122, 255901 (2019)).

    Parameters
    ----------
    matrices
        ``[K, c, c]``, averaged over at least c samples.

    Returns
    -------
    ``[K]``, not corrected for the degrees of freedom that are lost.
    """
    if matrices.shape[1] == 1:
        return matrices[:, 0, 0].real
    scale = np.sqrt(np.einsum("kii->i", matrices).real)
    scaled = matrices / np.outer(scale, scale)
    if matrices.shape[1] == 2:
        explained = np.abs(scaled[:, 0, 1]) ** 2 / scaled[:, 1, 1].real
    else:
        solved = np.linalg.solve(scaled[:, 1:, 1:], scaled[:, 1:, :1])
        explained = np.einsum("ki,ki->k", scaled[:, 0, 1:], solved[:, :, 0]).real
    return (scaled[:, 0, 0].real - explained) * scale[0] ** 2


def log_bias(samples: int, others: int) -> float:
    """Mean of ln(power/spectrum) for `reduced_power`: psi(l - q) - ln l, psi the digamma function."""
    return float(special.digamma(samples - others) - np.log(samples))


def log_variance(samples: int, others: int) -> float:
    """Variance of ln(power/spectrum) for `reduced_power`: psi'(l - q), the trigamma function."""
    return float(special.polygamma(1, samples - others))


def significant_band(power: NDArray[np.float64], threshold: float) -> int:
    """How many frequencies reach beyond the last one with power worth the name.

    Parameters
    ----------
    power
        ``[K]`` raw periodogram.
    threshold
        Share of the highest power, both averaged over at least 8 neighbouring frequencies (at most 256 averages).
    """
    width = max(8, len(power) // 256)
    bins = len(power) // width
    if bins < 4:
        return len(power)
    means = power[: bins * width].reshape(bins, width).mean(axis=1)
    # one bin more, so that the flank of the last band is inside
    last = int(np.flatnonzero(means >= threshold * means.max())[-1]) + 2
    return len(power) if last >= bins else last * width
