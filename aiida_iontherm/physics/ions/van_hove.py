"""Van Hove functions and the non-Gaussian parameter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.ions.periodic_points import checked_cell, checked_drift, checked_positions, heights

BIN_A = 0.1
"""Width of the bins in Angstrom: a third of the amplitude of thermal vibration."""

SELF_SAMPLES = 500_000
"""Displacements at most for each lag; more origins of time, being close to each other, add little."""

DISTINCT_PAIRS = 1_000_000
"""Pairs at most for each lag."""

CHUNK_PAIRS = 100_000
"""Pairs held at once: some 10 MB."""


@dataclass(frozen=True, kw_only=True)
class VanHove:
    """Correlation of positions in time. Those of independent runs are averaged with ``+``.

    Attributes
    ----------
    lags_ps
        ``[l]``.
    r_A
        ``[n]`` middle of the bins of distance.
    samples
        ``[l]`` displacements looked at; the weights with which runs are averaged.
    self_part
        ``[l, n]`` G_s(r, t) in 1/Angstrom^3: 4 pi r^2 G_s dr is the chance that an ion moved by r.
    distinct_part
        ``[l, n]`` G_d(r, t) in 1/Angstrom^3, density of the other ions at distance r from where an ion was a time t
        ago, up to half the smallest height of the cell and NaN beyond; ``None`` without a cell or with one ion.
    second_A2, fourth_A4
        ``[l, 4]`` mean second and fourth powers of the displacements along x, y, z, and of their lengths.
    """

    lags_ps: NDArray[np.float64]
    r_A: NDArray[np.float64]
    samples: NDArray[np.int64]
    self_part: NDArray[np.float64]
    distinct_part: NDArray[np.float64] | None
    second_A2: NDArray[np.float64]
    fourth_A4: NDArray[np.float64]

    def __add__(self, other: VanHove) -> VanHove:
        for name in ("lags_ps", "r_A"):
            mine, others = getattr(self, name), getattr(other, name)
            if mine.shape != others.shape or not np.allclose(mine, others):
                raise ValueError("van Hove functions can be averaged only at the same lags and distances")
        share = (self.samples / (self.samples + other.samples))[:, None]

        def mean(mine: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
            return share * mine + (1 - share) * others

        distinct = None
        if self.distinct_part is not None and other.distinct_part is not None:
            distinct = mean(self.distinct_part, other.distinct_part)
        return VanHove(
            lags_ps=self.lags_ps,
            r_A=self.r_A,
            samples=self.samples + other.samples,
            self_part=mean(self.self_part, other.self_part),
            distinct_part=distinct,
            second_A2=mean(self.second_A2, other.second_A2),
            fourth_A4=mean(self.fourth_A4, other.fourth_A4),
        )

    @property
    def mean_square_A2(self) -> NDArray[np.float64]:
        """Of the displacements ``[l]``."""
        return self.second_A2[:, 3]

    @property
    def non_gaussian(self) -> NDArray[np.float64]:
        """alpha_2 = 3 <r^4> / (5 <r^2>^2) - 1 ``[l]``: 0 for a Gaussian; NaN where nothing moved."""
        return _over_gaussian(self.fourth_A4[:, 3], 5 / 3 * self.second_A2[:, 3] ** 2)

    @property
    def non_gaussian_axes(self) -> NDArray[np.float64]:
        """<x^4> / (3 <x^2>^2) - 1 along each axis ``[l, 3]``.

        Isotropic hops alone give a positive value; so does, in alpha_2, motion that is Gaussian but anisotropic, which
        these tell apart.
        """
        return _over_gaussian(self.fourth_A4[:, :3], 3 * self.second_A2[:, :3] ** 2)


def logarithmic_lags(frames: int, number: int = 12) -> list[int]:
    """Lags in frames, evenly spread on a logarithmic scale up to a quarter of the run."""
    longest = max(1, (frames - 1) // 4)
    return sorted({round(float(lag)) for lag in np.geomspace(1, longest, number)})


def van_hove(
    positions: NDArray[np.floating],
    timestep_fs: float,
    lags: Sequence[int],
    *,
    cell: ArrayLike | None = None,
    r_max_A: float = 8.0,
    bin_A: float = BIN_A,
    drift: ArrayLike | None = None,
    most_pairs: int = DISTINCT_PAIRS,
) -> VanHove:
    """Self and distinct van Hove functions at some lags (L. Van Hove, Phys. Rev. 95, 249 (1954)).

    Parameters
    ----------
    positions
        ``[frames, ions, 3]`` Angstrom, unwrapped.
    timestep_fs
        Time between two stored frames.
    lags
        In frames, from 0 to frames - 1.
    cell
        ``[3, 3]`` Angstrom, for the distinct part.
    r_max_A, bin_A
        Largest distance and width of the bins, Angstrom.
    drift
        ``[frames, 3]`` Angstrom, see `diffusion`.
    most_pairs
        Pairs at most for each lag of the distinct part, at least those of one frame.

    Raises
    ------
    ValueError
        If an argument is out of range or a coordinate not finite.
    """
    frames, ions = checked_positions(positions)
    shift = checked_drift(drift, frames)
    chosen = [int(lag) for lag in lags]
    if not chosen or min(chosen) < 0 or max(chosen) >= frames:
        raise ValueError(f"lags must be frames from 0 to {frames - 1}")
    if timestep_fs <= 0 or bin_A <= 0 or r_max_A < bin_A:
        raise ValueError(
            "the time between frames and the width of the bins must be positive, r_max_A not below the width"
        )
    bins = round(r_max_A / bin_A)
    edges = np.arange(bins + 1) * bin_A
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    self_part = np.zeros((len(chosen), bins))
    second, fourth = np.zeros((len(chosen), 4)), np.zeros((len(chosen), 4))
    samples = np.zeros(len(chosen), dtype=np.int64)
    for i, lag in enumerate(chosen):
        starts = _origins(frames - lag, SELF_SAMPLES // ions)
        samples[i] = len(starts) * ions
        for part in np.array_split(starts, max(1, samples[i] // CHUNK_PAIRS)):
            step = positions[part + lag].astype(float) - positions[part] - (shift[part + lag] - shift[part])[:, None]
            step2 = step**2
            r2 = step2.sum(axis=2).ravel()
            second[i] += np.append(step2.sum(axis=(0, 1)), r2.sum())
            fourth[i] += np.append((step2**2).sum(axis=(0, 1)), (r2**2).sum())
            self_part[i] += _histogram(np.sqrt(r2), bin_A, bins)
    distinct = None
    if cell is not None and ions > 1:
        origins = max(1, most_pairs // ions**2)
        distinct = np.array(
            [_distinct(positions, shift, checked_cell(cell), lag, bin_A, bins, origins) for lag in chosen]
        )
    return VanHove(
        lags_ps=np.array(chosen) * timestep_fs * 1e-3,
        r_A=(edges[1:] + edges[:-1]) / 2,
        samples=samples,
        self_part=self_part / (samples[:, None] * shells),
        distinct_part=distinct,
        second_A2=second / samples[:, None],
        fourth_A4=fourth / samples[:, None],
    )


def _over_gaussian(fourth: NDArray[np.float64], gaussian: NDArray[np.float64]) -> NDArray[np.float64]:
    """Excess of a fourth moment over that of a Gaussian; NaN where nothing moved."""
    return np.divide(fourth, gaussian, out=np.full_like(fourth, np.nan), where=gaussian > 0) - 1


def _origins(available: int, most: int) -> NDArray[np.int64]:
    """Origins of time, evenly spread."""
    return np.unique(np.linspace(0, available - 1, max(1, min(available, most))).astype(np.int64))


def _histogram(distances: NDArray[np.float64], width: float, bins: int) -> NDArray[np.int64]:
    index = (distances / width).astype(np.int64)
    return np.bincount(index[index < bins], minlength=bins)


def _distinct(
    positions: NDArray[np.floating],
    shift: NDArray[np.float64],
    cell: NDArray[np.float64],
    lag: int,
    width: float,
    bins: int,
    most: int,
) -> NDArray[np.float64]:
    """G_d at one lag ``[bins]``, from so many origins of time at most."""
    frames, ions = positions.shape[:2]
    # up to half the smallest height rounding of fractional coordinates finds the one nearest copy, whatever the angles
    trusted = min(bins, int(heights(cell).min() / 2 / width))
    inverse = np.linalg.inv(cell)
    counts = np.zeros(bins, dtype=np.int64)
    starts = _origins(frames - lag, most)
    others = ~np.eye(ions, dtype=bool)
    at_once = max(1, CHUNK_PAIRS // ions**2)
    for first in range(0, len(starts), at_once):
        origin = starts[first : first + at_once]
        now = (positions[origin + lag].astype(float) - shift[origin + lag][:, None]) @ inverse
        then = (positions[origin].astype(float) - shift[origin][:, None]) @ inverse
        between = now[:, None] - then[:, :, None]
        between -= np.rint(between)
        distances = np.linalg.norm(between @ cell, axis=3)[:, others]
        counts += _histogram(distances.ravel(), width, bins)
    edges = np.arange(bins + 1) * width
    density = counts / (len(starts) * ions * 4 / 3 * np.pi * np.diff(edges**3))
    density[trusted:] = np.nan
    return density
