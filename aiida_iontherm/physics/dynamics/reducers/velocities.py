"""Velocity autocorrelations, and the vibrational density of states that is their Fourier transform."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft

from aiida_iontherm.physics.dynamics.reducers.reducer import AnyArray, Array, Reducer

CACHE_BYTES = 512 * 2**10
"""Series transformed together, and their transforms: what stays in a cache."""

AT_ONCE = 256
"""Frames turned into time series together: with fewer, lines of the cache are fetched more often."""

SEGMENT = 6
"""Longest lags of frames transformed together: with more the transforms cost less and the memory more."""


class VelocityReducer(Reducer):
    """Sums of m v(t) v(t + lag) over groups of atoms along x, y and z, every frame a time origin.

    The frames of six longest lags and those of one before them are correlated by Fourier transform (Wiener and
    Khinchin, with zeros at the end): the sums are those of the whole series at once. Single precision halves the time
    and suffices, as its errors are 1e-7 of the value at lag 0 and differ in sign from atom to atom.

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
        self._seen, self._before, self._waiting = 0, 0, 0
        # Time series [3 N, frame], x, y and z of an atom together: the frames before, of which the last is the one at
        # `max_lag` - 1, and then those that wait.
        self._window = np.empty((3 * len(self._masses), (SEGMENT + 1) * max_lag), dtype=np.float32)

    def add(self, frames: Array) -> None:
        """Take the next frames [n, N, 3]."""
        self._seen += len(frames)
        while len(frames):
            some = frames[: min(AT_ONCE, SEGMENT * self.max_lag - self._waiting)]
            end = self.max_lag + self._waiting + len(some)
            self._window[:, end - len(some) : end] = some.reshape(len(some), -1).astype(np.float32).T
            self._waiting += len(some)
            frames = frames[len(some) :]
            if self._waiting == SEGMENT * self.max_lag:
                self._sums += self._products()
                self._window[:, : self.max_lag] = self._window[:, -self.max_lag :]
                self._before, self._waiting = self.max_lag, 0

    @property
    def frames(self) -> int:
        """Number of frames taken."""
        return self._seen

    def correlations(self) -> dict[str, Array]:
        """Return sums over origins and atoms [3, max_lag + 1] of each group in amu (Angstrom/ps)^2."""
        sums = self._sums + self._products() if self._waiting else self._sums
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
            "before": self._window[:, self.max_lag - self._before : self.max_lag].copy(),
            "waiting": self._window[:, self.max_lag : self.max_lag + self._waiting].copy(),
        }

    def restore(self, arrays: Mapping[str, AnyArray]) -> None:
        """Continue from the `state` of a reducer made in the same way."""
        self._sums, self._seen = arrays["sums"].copy(), int(arrays["seen"])
        self._before, self._waiting = arrays["before"].shape[1], arrays["waiting"].shape[1]
        self._window[:, self.max_lag - self._before : self.max_lag] = arrays["before"]
        self._window[:, self.max_lag : self.max_lag + self._waiting] = arrays["waiting"]

    def _products(self) -> Array:
        """Sum up products [group, 3, lag] of the frames that wait with those up to `max_lag` earlier.

        They are the products of all frames at hand less those of the frames before with one another.
        """
        first, middle, end = self.max_lag - self._before, self.max_lag, self.max_lag + self._waiting
        sums = np.zeros((len(self.groups), 3, self.max_lag + 1))
        for index, members in enumerate(self.groups.values()):
            for axis in range(3):
                rows = 3 * members + axis
                weights = np.sqrt(self._masses[members])
                sums[index, axis] = _autocorrelation(self._window[:, first:end], rows, weights, self.max_lag)
                if self._before:
                    before = _autocorrelation(self._window[:, first:middle], rows, weights, self.max_lag)
                    sums[index, axis] -= before
        return sums


def _autocorrelation(
    series: npt.NDArray[np.float32], rows: npt.NDArray[np.integer[Any]], weights: Array, max_lag: int
) -> Array:
    """Sum up products [lag] of some rows of `series`, weighted, with themselves, later by 0 to `max_lag` frames."""
    frames, factors = series.shape[1], weights.astype(np.float32)[:, None]
    n_fft = fft.next_fast_len(frames + max_lag, real=True)
    chunk = max(1, CACHE_BYTES // (2 * 4 * n_fft))
    power = np.zeros(2 * (n_fft // 2 + 1))  # real and imaginary parts in turn
    padded = np.zeros((min(chunk, len(rows)), n_fft), dtype=np.float32)
    for first in range(0, len(rows), chunk):
        some = series[rows[first : first + chunk]]
        np.multiply(some, factors[first : first + chunk], out=padded[: len(some), :frames])
        parts = fft.rfft(padded[: len(some)], axis=1).view(np.float32)
        power += np.einsum("af,af->f", parts, parts)
    return fft.irfft(power[::2] + power[1::2], n=n_fft)[: max_lag + 1]
