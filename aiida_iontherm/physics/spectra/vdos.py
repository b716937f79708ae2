"""Vibrational density of states from velocities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft

CHUNK_BYTES = 64 * 2**20

PARZEN_WIDTH = 1.276
"""Full width at half maximum of the Fourier transform of a Parzen lag window, times its half length."""


@dataclass(frozen=True, kw_only=True)
class VibrationalDOS:
    """Vibrational density of states.

    Attributes
    ----------
    frequencies_thz
        ``[n]`` equidistant from 0 to the Nyquist frequency.
    total
        ``[n]`` states/THz; its trapezoidal integral is 3 N.
    partial
        Species to ``[n]``; they add up to ``total``. Each integrates to 3 N_species where the species share one
        temperature.
    resolution_thz
        Full width at half maximum that a sharp line gets.
    """

    frequencies_thz: NDArray[np.float64]
    total: NDArray[np.float64]
    partial: Mapping[str, NDArray[np.float64]]
    resolution_thz: float


def frames_for_resolution(timestep_fs: float, resolution_thz: float) -> int:
    """Smallest number of stored frames, `timestep_fs` apart, that resolve a width of `resolution_thz`."""
    return int(np.ceil(PARZEN_WIDTH / (resolution_thz * timestep_fs * 1e-3))) + 1


def vibrational_dos(
    velocities: NDArray[np.floating],
    timestep_fs: float,
    masses: ArrayLike,
    species: Sequence[str],
    *,
    resolution_thz: float = 0.1,
) -> VibrationalDOS:
    """Mass-weighted power spectrum of the velocities.

    g(nu) ~ sum_i m_i int <v_i(0) v_i(t)> exp(-2 pi i nu t) dt, by Fourier transform of the velocities (Wiener-Khinchin
    theorem) with a Parzen window on the autocorrelation (M. B. Priestley, Spectral Analysis and Time Series, 1981),
    which keeps the estimate non-negative. The masses make each harmonic mode count once, whichever
    atoms move in it. No mean is subtracted: g(0) = 12 m D/(k_B T) per atom that diffuses with D. Where the
    centre of mass is at rest the area of its 3 modes is spread over the others.

    Parameters
    ----------
    velocities
        ``[frames, atoms, 3]`` at equal time steps, any unit.
    timestep_fs
        Time between two *stored frames* in fs; vibrations above 500/timestep_fs THz are folded down.
    masses
        ``[atoms]``, any unit.
    species
        ``[atoms]`` labels.
    resolution_thz
        Width of a sharp line; finer needs a longer trajectory.

    Raises
    ------
    ValueError
        If the shapes do not fit, a number is not positive, the trajectory is too short for the resolution, or a
        velocity is not finite.
    """
    if velocities.ndim != 3 or velocities.shape[2] != 3:
        raise ValueError(f"velocities must have shape [frames, atoms, 3], not {velocities.shape}")
    frames, atoms = velocities.shape[:2]
    masses = np.asarray(masses, dtype=float)
    labels = np.asarray(species)
    if masses.shape != (atoms,) or labels.shape != (atoms,):
        raise ValueError(f"need one mass and one species label for each of the {atoms} atoms")
    if timestep_fs <= 0 or resolution_thz <= 0 or np.any(masses <= 0):
        raise ValueError("timestep_fs (time between stored frames), resolution_thz and masses must be positive")
    interval_ps = timestep_fs * 1e-3
    max_lag = frames_for_resolution(timestep_fs, resolution_thz) - 1
    if max_lag >= frames:
        raise ValueError(
            f"{frames} frames of {timestep_fs} fs cannot resolve {resolution_thz} THz: "
            f"store {max_lag + 1} frames or ask for {PARZEN_WIDTH / (interval_ps * (frames - 1)):.3g} THz"
        )

    n_fft = fft.next_fast_len(frames + max_lag, real=True)
    chunk = max(1, CHUNK_BYTES // (3 * 8 * n_fft))
    correlations = {}
    for name in sorted(set(species)):
        members = np.flatnonzero(labels == name)
        power = np.zeros(n_fft // 2 + 1)
        for first in range(0, len(members), chunk):
            some = members[first : first + chunk]
            v = velocities[:, some].astype(float)
            if not np.all(np.isfinite(v)):
                raise ValueError("velocities hold NaN or infinite numbers: drop those frames")
            transformed = fft.rfft(v, n=n_fft, axis=0)
            power += (transformed.real**2 + transformed.imag**2).sum(axis=2) @ masses[some]
        correlations[name] = fft.irfft(power, n=n_fft)[: max_lag + 1]
    return dos_from_correlations(correlations, interval_ps, atoms)


def dos_from_correlations(correlations: Mapping[str, ArrayLike], interval_ps: float, atoms: int) -> VibrationalDOS:
    """Density of states from velocity autocorrelations; see `vibrational_dos`.

    Parameters
    ----------
    correlations
        Species to ``[lags]``: mass-weighted sums over atoms, directions and time origins, not divided by the number of
        the latter (as a sum over a finite series is: it falls off linearly, which keeps the estimate non-negative).
    interval_ps
        Between two lags.
    atoms
        Of all species together.

    Raises
    ------
    ValueError
        If all velocities are zero.
    """
    # Zero-padding to twice the window and more draws the spectrum smoothly; an even length keeps the Nyquist point.
    max_lag = len(np.asarray(next(iter(correlations.values())))) - 1
    length = 2 * fft.next_fast_len(2 * max_lag)
    spectra = {
        name: _windowed_spectrum(np.asarray(values, dtype=float), length) for name, values in correlations.items()
    }
    frequencies = np.arange(length // 2 + 1) / (length * interval_ps)
    total = np.sum(list(spectra.values()), axis=0)
    area = np.trapezoid(total, frequencies)
    if area <= 0:
        raise ValueError("all velocities are zero")
    scale = 3 * atoms / area
    return VibrationalDOS(
        frequencies_thz=frequencies,
        total=total * scale,
        partial={name: spectrum * scale for name, spectrum in spectra.items()},
        resolution_thz=PARZEN_WIDTH / (max_lag * interval_ps),
    )


def _windowed_spectrum(correlation: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Spectrum of a correlation under a Parzen window, drawn on ``length // 2 + 1`` points."""
    max_lag = len(correlation) - 1
    u = np.arange(max_lag + 1) / max_lag
    window = np.where(u <= 0.5, 1 - 6 * u**2 * (1 - u), 2 * (1 - u) ** 3)
    even = np.zeros(length)
    even[: max_lag + 1] = correlation * window
    even[length - max_lag :] = even[max_lag:0:-1]
    return fft.rfft(even).real
