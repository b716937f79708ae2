"""Integrals of time correlation functions of currents, of a whole run and of its blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

MIN_LAGS = 12
"""Fewest lags in which a plateau can be looked for."""


@dataclass(frozen=True, eq=False)
class CorrelationIntegrals:
    """K_ij(t) = int_0^t <J_i(0) J_j(t')> dt', symmetrised in i and j.

    Attributes
    ----------
    lags_ps
        ``[m]`` from zero on.
    total
        ``[m, c, c]`` from all pairs of frames of each run; product of the currents times ps.
    blocks
        ``[blocks, m, c, c]`` the same from each block alone.
    """

    lags_ps: NDArray[np.float64]
    total: NDArray[np.float64]
    blocks: NDArray[np.float64]

    @property
    def leave_one_out(self) -> NDArray[np.float64]:
        """``[blocks, m, c, c]`` means of all blocks but one."""
        count = len(self.blocks)
        return (self.blocks.sum(axis=0) - self.blocks) / (count - 1)


def running_integrals(currents: NDArray[np.float64], interval_ps: float, max_lag: int) -> NDArray[np.float64]:
    """Integrate the correlation functions of currents up to each lag, by trapezia.

    Averaged over runs and axes and over the order of the two currents; exact in pairs of frames (every lag has its own
    number of them), by FFT with padding.

    Parameters
    ----------
    currents
        ``[c, replicas, n, axes]`` with zero mean.
    interval_ps
        Time between samples.
    max_lag
        In samples, less than n.

    Returns
    -------
    ``[max_lag + 1, c, c]``, symmetric.
    """
    count, replicas, n, axes = currents.shape
    padded = fft.next_fast_len(n + max_lag, real=True)
    power = np.zeros((count, count, padded // 2 + 1))
    for replica in range(replicas):
        for axis in range(axes):
            components = fft.rfft(currents[:, replica, :, axis], n=padded, axis=1)
            for i in range(count):
                for j in range(i, count):
                    power[i, j] += components[i].real * components[j].real + components[i].imag * components[j].imag
    pairs = (n - np.arange(max_lag + 1)) * (replicas * axes)
    integrals = np.empty((max_lag + 1, count, count))
    for i in range(count):
        for j in range(i, count):
            correlation = fft.irfft(power[i, j], n=padded)[: max_lag + 1] / pairs
            steps = 0.5 * interval_ps * (correlation[1:] + correlation[:-1])
            integrals[:, i, j] = integrals[:, j, i] = np.concatenate([[0.0], np.cumsum(steps)])
    return integrals


def correlation_integrals(
    currents: NDArray[np.float64], interval_ps: float, *, n_blocks: int = 10, max_lag_ps: float | None = None
) -> CorrelationIntegrals:
    """Integrate correlation functions in the whole run and in blocks of it.

    Parameters
    ----------
    currents
        ``[c, replicas, n, axes]``; the mean over all runs is taken off.
    interval_ps
        Time between samples.
    n_blocks
        Fewest blocks, all runs together, at least 3; the start of a run that fills no block is left out of them.
    max_lag_ps
        Longest lag; ``None``: half a block, which is also the most.

    Raises
    ------
    ValueError
        With fewer than 3 blocks, or a longest lag that does not fit.
    """
    if n_blocks < 3:
        raise ValueError(f"an uncertainty needs at least 3 blocks, not {n_blocks}")
    centred = currents - currents.mean(axis=(1, 2), keepdims=True)
    replicas, n = centred.shape[1:3]
    per_run = -(-n_blocks // replicas)
    length = n // per_run
    longest = length // 2
    max_lag = longest if max_lag_ps is None else round(max_lag_ps / interval_ps)
    if not MIN_LAGS <= max_lag <= longest:
        raise ValueError(
            f"the longest lag must be between {MIN_LAGS * interval_ps:g} and {longest * interval_ps:g} ps, half a "
            f"block of {n_blocks}, not {max_lag * interval_ps:g} ps: use fewer blocks or run longer"
        )
    blocks = [
        running_integrals(centred[:, [replica], end - length : end], interval_ps, max_lag)
        for replica in range(replicas)
        for end in range(n - (per_run - 1) * length, n + 1, length)
    ]
    return CorrelationIntegrals(
        lags_ps=np.arange(max_lag + 1) * interval_ps,
        total=running_integrals(centred, interval_ps, max_lag),
        blocks=np.array(blocks),
    )
