"""Velocity autocorrelations, and the vibrational density of states that is their Fourier transform."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft

from aiida_iontherm.physics.dynamics.reducers.reducer import AnyArray, Array, Reducer

CHUNK_BYTES = 32 * 2**20

SEGMENT = 4
"""Longest lags of frames transformed together: with more the transforms cost less and the memory more."""


class VelocityReducer(Reducer):
    """Sums of m v(t) v(t + lag) over groups of atoms along x, y and z, every frame a time origin.

    The frames of four longest lags and those of one before them are correlated by Fourier transform (Wiener and
    Khinchin, with zeros at the end) in single precision: the sums are those of the whole series at once.

    Parameters
    ----------
    groups : mapping of str to int array
        Indices of the atoms of each group.
    masses : float array [N]
        In amu.
    interval_ps : float
        Between two frames.
    max_lag : int
        In frames.
    """

    source = "velocities"

    def __init__(
        self,
        groups: Mapping[str, npt.NDArray[np.integer[Any]]],
        masses: Array,
        interval_ps: float,
        max_lag: int,
    ) -> None:
        if max_lag < 1:
            raise ValueError(f"the longest lag must be at least one frame, not {max_lag}")
        self.groups = {name: np.asarray(members) for name, members in groups.items()}
        self.interval_ps, self.max_lag = interval_ps, max_lag
        self._masses = np.asarray(masses, dtype=float)
        self._sums = np.zeros((len(self.groups), 3, max_lag + 1))
        self._seen = 0
        n = len(self._masses)
        self._before = np.empty((0, n, 3), dtype=np.float32)
        self._waiting = np.empty((0, n, 3), dtype=np.float32)

    def add(self, frames: Array) -> None:
        """Take the next frames [n, N, 3]."""
        self._seen += len(frames)
        self._waiting = np.concatenate([self._waiting, np.asarray(frames, dtype=np.float32)])
        length = SEGMENT * self.max_lag
        while len(self._waiting) >= length:
            now, self._waiting = self._waiting[:length], self._waiting[length:]
            self._sums += self._products(self._before, now)
            self._before = now[-self.max_lag :]

    @property
    def frames(self) -> int:
        """Number of frames taken."""
        return self._seen

    def correlations(self) -> dict[str, Array]:
        """Return sums over origins and atoms [3, max_lag + 1] of each group in amu (Angstrom/ps)^2."""
        sums = self._sums
        if len(self._waiting):
            sums = sums + self._products(self._before, self._waiting)
        return {name: sums[index] for index, name in enumerate(self.groups)}

    def results(self) -> dict[str, AnyArray]:
        """Return arrays by the names they are stored under.

        Returns
        -------
        dict of arrays
            ``vacf_lags_ps`` [n]; for each group ``vacf_GROUP`` [3, n] in amu (Angstrom/ps)^2, the mean of m v(t) v(t +
            lag) over atoms and time origins: at lag 0 it is k_B T.
        """
        origins = self._seen - np.arange(self.max_lag + 1)
        there = origins > 0
        arrays: dict[str, AnyArray] = {"vacf_lags_ps": np.flatnonzero(there) * self.interval_ps}
        for name, sums in self.correlations().items():
            arrays[f"vacf_{name}"] = sums[:, there] / (origins[there] * len(self.groups[name]))
        return arrays

    def state(self) -> dict[str, AnyArray]:
        """Arrays from which `restore` continues, bit by bit."""
        return {
            "sums": self._sums.copy(),
            "seen": np.array(self._seen),
            "before": self._before,
            "waiting": self._waiting,
        }

    def restore(self, arrays: Mapping[str, AnyArray]) -> None:
        """Continue from the `state` of a reducer made in the same way."""
        self._sums, self._seen = arrays["sums"].copy(), int(arrays["seen"])
        self._before, self._waiting = arrays["before"], arrays["waiting"]

    def _products(self, before: npt.NDArray[np.float32], now: npt.NDArray[np.float32]) -> Array:
        """Sum up products [group, 3, lag] of frames in `now` with those up to `max_lag` earlier."""
        n_before, n_now = len(before), len(now)
        n_fft = fft.next_fast_len(n_before + n_now + self.max_lag, real=True)
        chunk = max(1, CHUNK_BYTES // (2 * 3 * 4 * n_fft))
        sums = np.zeros((len(self.groups), 3, self.max_lag + 1))
        for index, members in enumerate(self.groups.values()):
            spectrum = np.zeros((n_fft // 2 + 1, 3), dtype=complex)
            for first in range(0, len(members), chunk):
                some = members[first : first + chunk]
                weights = np.sqrt(self._masses[some]).astype(np.float32)[:, None]
                later = np.zeros((n_before + n_now, len(some), 3), dtype=np.float32)
                later[n_before:] = now[:, some] * weights
                whole = later.copy()
                whole[:n_before] = before[:, some] * weights
                spectrum += np.einsum(
                    "fia,fia->fa", fft.rfft(whole, n=n_fft, axis=0).conj(), fft.rfft(later, n=n_fft, axis=0)
                )
            sums[index] = fft.irfft(spectrum, n=n_fft, axis=0)[: self.max_lag + 1].T
        return sums
