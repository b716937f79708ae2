"""Mean square displacement tensor of unwrapped trajectories."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft

# Largest transform held at once. Below it the work is bound by memory traffic, so more does not pay.
CHUNK_BYTES = 64 * 2**20


def mean_square_displacement(
    positions: NDArray[np.floating], max_lag: int | None = None, *, drift: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Mean square displacement per ion, averaged over ions and all time origins.

    MSD_ab(m) = < [r_a(k+m) - r_a(k)] [r_b(k+m) - r_b(k)] >, symmetric in (a, b) by construction of the average of
    both orders. The products at all lags come from one Fourier transform per coordinate (Wiener-Khinchin theorem;
    the decomposition is that of V. Calandrini et al., Collection SFN 12, 201 (2011)), so the cost is
    O(n log n) in the frames; ions pass in chunks, so memory does not grow with their number.

    Parameters
    ----------
    positions
        ``[frames, ions, 3]`` Cartesian, Angstrom, unwrapped (no jumps at the cell boundary), at equal time steps.
    max_lag
        Longest lag in frames; all of them (``frames - 1``) by default.
    drift
        ``[frames, 3]`` Angstrom, subtracted from every ion; see `diffusion`.

    Returns
    -------
    ``[max_lag + 1, 3, 3]`` in Angstrom^2; its trace is the usual MSD.

    Raises
    ------
    ValueError
        If shapes do not fit, the lag is too long, or a coordinate is not finite.
    """
    frames, ions = _checked_shape(positions)
    max_lag = frames - 1 if max_lag is None else max_lag
    if not 0 < max_lag < frames:
        raise ValueError(f"the longest lag must lie between 1 and {frames - 1} frames, not {max_lag}")
    shift = np.zeros((frames, 3)) if drift is None else np.asarray(drift, dtype=float)
    if shift.shape != (frames, 3):
        raise ValueError(f"drift must have shape ({frames}, 3), one vector per frame, not {shift.shape}")

    n_fft = fft.next_fast_len(frames + max_lag, real=True)
    chunk = max(1, CHUNK_BYTES // (3 * 8 * n_fft))
    spectrum = np.zeros((n_fft // 2 + 1, 3, 3))
    products = np.zeros((frames, 3, 3))
    for first in range(0, ions, chunk):
        r = positions[:, first : first + chunk].astype(float) - shift[:, None, :]
        if not np.all(np.isfinite(r)):
            raise ValueError("positions or drift hold NaN or infinite coordinates: drop those frames")
        # Displacements do not see the origin; far from it the products would lose their digits.
        r -= r.mean(axis=0)
        products += np.einsum("kia,kib->kab", r, r, optimize=True)
        transformed = fft.rfft(r, n=n_fft, axis=0)
        # the real part alone is the sum over both orders of (a, b), halved
        spectrum += np.einsum("fia,fib->fab", transformed.conj(), transformed, optimize=True).real

    correlation = fft.irfft(spectrum, n=n_fft, axis=0)[: max_lag + 1]
    running = np.concatenate([np.zeros((1, 3, 3)), np.cumsum(products, axis=0)])
    lags = np.arange(max_lag + 1)
    ends = running[frames] - running[lags]
    starts = running[frames - lags]
    msd = (ends + starts - 2 * correlation) / ((frames - lags) * ions)[:, None, None]
    msd[0] = 0.0
    return msd


def _checked_shape(positions: NDArray[np.floating]) -> tuple[int, int]:
    if positions.ndim != 3 or positions.shape[2] != 3 or positions.shape[0] < 2 or positions.shape[1] < 1:
        raise ValueError(f"positions must have shape [frames >= 2, ions >= 1, 3], not {positions.shape}")
    return positions.shape[0], positions.shape[1]
