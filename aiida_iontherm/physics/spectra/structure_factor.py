"""Dynamic structure factors S(Q, E) of a run, with partial ones by pairs of species and error bars.

With rho_a(Q, t) = sum over the atoms j of species a of exp(i Q r_j(t)) and N atoms in all,

    F_ab(Q, t) = (1/N) Re <rho_a(Q, t) rho_b(Q, 0)* [+ the same with a and b exchanged, if these differ]>,
    S_ab(Q, E) = 1/(2 pi hbar) integral of F_ab(Q, t) exp(i E t/hbar) w(t) dt.

The sum over all pairs is the total, as in dynasor (E. Fransson et al., Adv. Theory Simul. 4, 2000240 (2021)). All
origins of time are averaged by fast Fourier transforms. The factor w(t) is a Gaussian: S(Q, E) comes out convoluted
with a Gaussian resolution whose width one chooses, and the integral over E stays F(Q, 0) = S(Q) exactly. The spectrum
is classical, hence even in E.

The mean of rho over the run gives the elastic line. It is kept apart and becomes the Gaussian as it is: at a Bragg
peak, 10^4 times as high as the phonons, the noise of its products with the rest would hide these. Without that
(`elastic_apart`), F(Q, t) is dynasor's to rounding.

Only Q that fit into the supercell have a meaning (`q_paths`); at these, wrapped and unwrapped positions are the same.
exp(i Q r) is a product of powers of the phases along the three vectors of the supercell: a few exponentials for each
atom, whatever the number of Q.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.spectra.detailed_balance import HBAR_MEV_PS, MEV_PER_THZ, harmonic_correction
from aiida_iontherm.physics.spectra.probes import ScatteringWeights
from aiida_iontherm.physics.spectra.resolution import FWHM_PER_SIGMA, Resolution

LAST_WEIGHT = 1e-4
"""The Gaussian w(t) is cut where it has fallen to this."""

MIN_BLOCKS = 4
"""A run must hold so many of the longest times that are correlated: fewer give no error bar."""

MAX_BLOCKS = 10

POINTS_PER_FWHM = 4

CHUNK_BYTES = 4 * 2**20
"""Of phases that are held at once: what fits into the caches is fastest."""

_NOT_WHOLE = 1e-3


@dataclass(frozen=True)
class Spectrum:
    """Weighted S(Q, E).

    Attributes
    ----------
    energies_mev
        Energy transfer, energy loss of the probe positive [E].
    values, errors
        Per atom and meV, and standard errors from blocks of the run [Q, E].
    unit
        Of the squared weights.
    """

    energies_mev: NDArray[np.float64]
    values: NDArray[np.float64]
    errors: NDArray[np.float64]
    unit: str


@dataclass(frozen=True)
class StructureFactor:
    """S(Q, E) of one or several runs.

    Attributes
    ----------
    energies_mev
        From 0 in even steps [E]; S is even.
    pairs
        Species, in alphabetical order; both orders of a pair are in one partial.
    partial
        S_ab [pairs, Q, E] in 1/meV per atom of the cell.
    blocks
        The same of each block of the runs [B, pairs, Q, E]: their scatter gives error bars.
    static
        F_ab(Q, 0), the integral of S_ab over all energies [pairs, Q].
    own
        Self parts S_a(Q, E) by species [species, Q, E], for incoherent scattering; ``None`` if not asked for.
    own_blocks
        [B, species, Q, E] or ``None``.
    fwhm_mev
        Resolution that is in the spectra.
    time_ps
        Length of the runs together.
    longest_lag_ps
        Where the correlation was cut.
    """

    energies_mev: NDArray[np.float64]
    pairs: tuple[tuple[str, str], ...]
    partial: NDArray[np.float64]
    blocks: NDArray[np.float64]
    static: NDArray[np.float64]
    own: NDArray[np.float64] | None
    own_blocks: NDArray[np.float64] | None
    fwhm_mev: float
    time_ps: float
    longest_lag_ps: float

    @property
    def elements(self) -> tuple[str, ...]:
        """Symbols, in alphabetical order."""
        return tuple(a for a, b in self.pairs if a == b)

    @property
    def correlated_points(self) -> float:
        """Number of neighbouring energies whose noise is as good as one value: for errors of what is fitted."""
        step = self.energies_mev[1] - self.energies_mev[0]
        return max(1.0, float(2 * np.sqrt(np.pi) * self.fwhm_mev / FWHM_PER_SIGMA / step))

    def coherent(self, weights: ScatteringWeights) -> Spectrum:
        """Sum of the partials, weighted [Q, E]."""
        factors = self._pair_factors(weights)
        parts = np.einsum("pq,bpqe->bqe", factors, self.blocks)
        return self._spectrum(np.einsum("pq,pqe->qe", factors, self.partial), parts, weights)

    def incoherent(self, weights: ScatteringWeights) -> Spectrum:
        """Sum of the self parts times b_inc^2 [Q, E].

        Raises
        ------
        ValueError
            If the self parts were not computed.
        """
        if self.own is None or self.own_blocks is None:
            raise ValueError("self parts were not computed: ask for them with the structure factor")
        squares = np.array([weights.incoherent[weights.species.index(name)] ** 2 for name in self.elements])
        parts = np.einsum("a,baqe->bqe", squares, self.own_blocks)
        return self._spectrum(np.einsum("a,aqe->qe", squares, self.own), parts, weights)

    def static_structure_factor(self, weights: ScatteringWeights) -> NDArray[np.float64]:
        """S(Q), weighted [Q]."""
        return np.einsum("pq,pq->q", self._pair_factors(weights), self.static)

    def _pair_factors(self, weights: ScatteringWeights) -> NDArray[np.float64]:
        columns = [[weights.species.index(name) for name in pair] for pair in self.pairs]
        return np.array([(weights.coherent[:, a] * weights.coherent[:, b].conj()).real for a, b in columns])

    def _spectrum(
        self, values: NDArray[np.float64], parts: NDArray[np.float64], weights: ScatteringWeights
    ) -> Spectrum:
        errors = parts.std(axis=0, ddof=1) / np.sqrt(len(parts))
        return Spectrum(self.energies_mev, values, errors, weights.unit)


def quantum(spectrum: Spectrum, temperature: float) -> Spectrum:
    """Both sides of a classical spectrum with detailed balance, by the factor of harmonic motion.

    Raises
    ------
    ValueError
        If the temperature is not positive.
    """
    energies = np.concatenate([-spectrum.energies_mev[:0:-1], spectrum.energies_mev])
    factor = harmonic_correction(energies, temperature)
    both = [np.concatenate([v[:, :0:-1], v], axis=1) * factor for v in (spectrum.values, spectrum.errors)]
    return Spectrum(energies, both[0], both[1], spectrum.unit)


class Densities:
    """Fourier components of the density by species along one run, frame by frame or in chunks.

    Holds 16 bytes for each species, Q and frame (`bytes_needed`), and no positions.

    Parameters
    ----------
    symbols
        Of the atoms [N].
    cell
        Of the run [3, 3] in Angstrom.
    vectors
        Q in 1/Angstrom with the factor of 2 pi [Q, 3].

    Raises
    ------
    ValueError
        If a Q does not fit into the cell.
    """

    def __init__(self, symbols: Sequence[str], cell: ArrayLike, vectors: ArrayLike) -> None:
        self._inverse = np.linalg.inv(np.asarray(cell, dtype=float))
        self._whole = whole_numbers(vectors, cell)
        names = np.array(symbols)
        self.species = tuple(sorted(str(name) for name in set(symbols)))
        self.counts = tuple(int(np.sum(names == name)) for name in self.species)
        self._order = np.argsort(names, kind="stable")
        self._starts = np.concatenate([[0], np.cumsum(self.counts)[:-1]])
        self._parts: list[NDArray[np.complex128]] = []

    def add(self, positions: ArrayLike) -> None:
        """Take in frames [frames, N, 3] or one [N, 3], in Angstrom.

        Raises
        ------
        ValueError
            If shapes do not fit or a position is not finite.
        """
        frames = np.asarray(positions)
        frames = frames[None] if frames.ndim == 2 else frames
        if frames.ndim != 3 or frames.shape[1:] != (len(self._order), 3):
            raise ValueError(f"positions {frames.shape} do not fit {len(self._order)} atoms: need [frames, atoms, 3]")
        if not np.isfinite(frames).all():
            raise ValueError("positions hold NaN or infinite numbers: drop those frames")
        step = max(1, CHUNK_BYTES // (64 * frames.shape[1] * max(1, len(self._whole))))
        for first in range(0, len(frames), step):
            self._parts.append(self._sums(frames[first : first + step]))

    def values(self) -> NDArray[np.complex128]:
        """Return rho_a(Q, t) [species, Q, frames]."""
        if not self._parts:
            raise ValueError("no frames were given")
        return np.ascontiguousarray(np.concatenate(self._parts).transpose(1, 2, 0))

    def _sums(self, frames: NDArray[np.floating]) -> NDArray[np.complex128]:
        """Densities of some frames [frames, species, Q]."""
        count, atoms = frames.shape[:2]
        fractional = (frames[:, self._order].astype(float) @ self._inverse).reshape(-1, 3)
        starts = (atoms * np.arange(count)[:, None] + self._starts).ravel()
        result = np.empty((count, len(self.species), len(self._whole)), dtype=complex)
        step = max(1, CHUNK_BYTES // (64 * len(fractional)))
        for first in range(0, len(self._whole), step):
            chosen = slice(first, first + step)
            sums = np.add.reduceat(unit_phases(fractional, self._whole[chosen]), starts, axis=1)
            result[:, :, chosen] = sums.T.reshape(count, len(self.species), -1)
        return result


def unit_phases(fractional: NDArray[np.float64], whole: NDArray[np.int64]) -> NDArray[np.complex128]:
    """exp(2 pi i m s) of coordinates s [N, 3] in the supercell and whole numbers m [Q, 3]: [Q, N]."""
    x, y, z = (_powers(fractional[:, axis], whole[:, axis]) for axis in range(3))
    x *= y
    x *= z
    return x


def _powers(coordinates: NDArray[np.float64], numbers: NDArray[np.int64]) -> NDArray[np.complex128]:
    """exp(2 pi i m s) along one axis [Q, N], each from the number before: a product costs a tenth of an exponential."""
    different, which = np.unique(numbers, return_inverse=True)
    table = np.empty((len(different), len(coordinates)), dtype=complex)
    table[0] = np.exp(2j * np.pi * different[0] * coordinates)
    steps = np.diff(different)
    factors = {step: np.exp(2j * np.pi * step * coordinates) for step in set(steps.tolist())}
    for row, step in enumerate(steps.tolist(), 1):
        np.multiply(table[row - 1], factors[step], out=table[row])
    return table[which.ravel()]


def whole_numbers(vectors: ArrayLike, cell: ArrayLike) -> NDArray[np.int64]:
    """Q A/(2 pi) for the vectors A of a supercell [Q, 3].

    Raises
    ------
    ValueError
        If these are not whole: the Q does not fit into the supercell.
    """
    points = np.atleast_2d(np.asarray(vectors, dtype=float))
    ratios = points @ np.asarray(cell, dtype=float).T / (2 * np.pi)
    whole = np.rint(ratios)
    off = np.abs(ratios - whole).max(axis=1)
    if len(points) and off.max() > _NOT_WHOLE:
        worst = ", ".join(f"{value:.4g}" for value in points[np.argmax(off)])
        raise ValueError(
            f"Q = ({worst}) 1/Angstrom does not fit into the cell of the run: take points of `commensurate_path`"
        )
    return whole.astype(np.int64)


def bytes_needed(species: int, qpoints: int, frames: int) -> int:
    """Memory of densities, their transforms of one Q, and nothing else that grows with the run."""
    return 16 * species * frames * (2 * qpoints + 8)


def default_fwhm(frames: int, interval_fs: float) -> float:
    """Finest resolution in meV that leaves eight blocks in a run."""
    return FWHM_PER_SIGMA * HBAR_MEV_PS * _reach() / (frames * interval_fs * 1e-3 / (2 * MIN_BLOCKS))


def structure_factor(
    runs: Sequence[NDArray[np.complex128]],
    species: Sequence[str],
    counts: Sequence[int],
    interval_fs: float,
    *,
    fwhm_mev: float | None = None,
    max_energy_mev: float | None = None,
    own: Sequence[SelfCorrelation] | None = None,
    elastic_apart: bool = True,
) -> StructureFactor:
    """S(Q, E) from the densities of runs of one system.

    Parameters
    ----------
    runs
        `Densities.values` of each [species, Q, frames].
    species, counts
        Symbols in alphabetical order and numbers of their atoms.
    interval_fs
        Time between frames.
    fwhm_mev
        Resolution, full width at half maximum; by default the finest that leaves eight blocks.
    max_energy_mev
        Last energy kept; by default h/(2 interval), beyond which motion is folded back.
    own
        `self_correlation` of the runs, for the self parts.
    elastic_apart
        Treat the mean over the run apart.

    Raises
    ------
    ValueError
        If the runs are too short for the resolution (the message tells the length that is needed), shapes do not fit,
        or a value is not finite.
    """
    if not runs or any(run.ndim != 3 or run.shape[:2] != runs[0].shape[:2] for run in runs):
        raise ValueError("runs must be densities [species, Q, frames] of the same species and Q")
    if len(species) != len(counts) or runs[0].shape[0] != len(species):
        raise ValueError(f"{runs[0].shape[0]} densities do not fit the species {', '.join(species)}")
    if not all(np.isfinite(run).all() for run in runs):
        raise ValueError("densities hold NaN or infinite numbers: drop those frames")
    grid = _Grid.plan([run.shape[2] for run in runs], interval_fs, fwhm_mev, max_energy_mev)
    atoms = sum(counts)
    which = list(combinations_with_replacement(range(len(species)), 2))
    whole, blocks, static = [], [], []
    for q in range(runs[0].shape[1]):
        moving, elastic = _pairs_of([run[:, q] for run in runs], which, grid.lags, elastic_apart)
        whole.append(grid.spectra(moving / atoms, elastic / atoms))
        static.append((moving[:, 0] + elastic) / atoms)
        parts = [run[:, q, low:high] for run in runs for low, high in grid.bounds(run.shape[2])]
        each = [_pairs_of([part], which, grid.lags, elastic_apart) for part in parts]
        blocks.append([grid.spectra(moving / atoms, elastic / atoms) for moving, elastic in each])
    selfs, self_blocks = None, None
    if own is not None:
        share = np.array([run.frames for run in own], dtype=float) / sum(run.frames for run in own)
        spectra = [grid.spectra(run.moving[..., : grid.lags] / atoms, run.elastic / atoms) for run in own]
        selfs = np.einsum("r,raqe->aqe", share, np.array(spectra))
        self_blocks = np.concatenate(
            [grid.spectra(run.block_moving[..., : grid.lags] / atoms, run.block_elastic / atoms) for run in own]
        )
    return StructureFactor(
        energies_mev=grid.energies,
        pairs=tuple((species[a], species[b]) for a, b in which),
        partial=np.array(whole).transpose(1, 0, 2),
        blocks=np.array(blocks).transpose(1, 2, 0, 3),
        static=np.array(static).T,
        own=selfs,
        own_blocks=self_blocks,
        fwhm_mev=grid.fwhm,
        time_ps=sum(run.shape[2] for run in runs) * interval_fs * 1e-3,
        longest_lag_ps=(grid.lags - 1) * interval_fs * 1e-3,
    )


@dataclass(frozen=True)
class SelfCorrelation:
    """Sum over the atoms of each species of <cos Q (r_j(t) - r_j(0))>.

    Attributes
    ----------
    moving
        Less the elastic part [species, Q, lags].
    elastic
        Sum of |<exp(i Q r_j)>|^2 [species, Q].
    block_moving, block_elastic
        Of blocks of the run [B, species, Q, lags] and [B, species, Q].
    frames
        Of the run.
    """

    moving: NDArray[np.float64]
    elastic: NDArray[np.float64]
    block_moving: NDArray[np.float64]
    block_elastic: NDArray[np.float64]
    frames: int


def self_correlation(
    positions: NDArray[np.floating],
    symbols: Sequence[str],
    cell: ArrayLike,
    vectors: ArrayLike,
    interval_fs: float,
    fwhm_mev: float | None = None,
) -> SelfCorrelation:
    """Correlate the phase of every atom with itself.

    Takes two transforms for each atom and Q; memory is that of the positions and of two Q at a time.

    Parameters
    ----------
    positions
        Of one run [frames, N, 3] in Angstrom, wrapped or not.
    symbols, cell, vectors, interval_fs
        As for `Densities` and `structure_factor`.
    fwhm_mev
        Resolution that will be asked for.

    Raises
    ------
    ValueError
        If a Q does not fit into the cell, the run is too short, or a position is not finite.
    """
    if not np.isfinite(positions).all():
        raise ValueError("positions hold NaN or infinite numbers: drop those frames")
    whole = whole_numbers(vectors, cell)
    frames = len(positions)
    grid = _Grid.plan([frames], interval_fs, fwhm_mev, None)
    names = np.array(symbols)
    species = sorted(set(symbols))
    inverse = np.linalg.inv(np.asarray(cell, dtype=float))
    # The whole run first, then its blocks.
    bounds = [(0, frames), *grid.bounds(frames)]
    moving = np.zeros((len(bounds), len(species), len(whole), grid.lags))
    elastic = np.zeros((len(bounds), len(species), len(whole)))
    step = max(1, CHUNK_BYTES // (64 * frames * max(1, len(whole))))
    for a, name in enumerate(species):
        chosen = np.flatnonzero(names == name)
        for first in range(0, len(chosen), step):
            part = positions[:, chosen[first : first + step]].astype(float) @ inverse
            for q, numbers in enumerate(whole):
                phases = np.exp(2j * np.pi * (part @ numbers)).T
                for b, (low, high) in enumerate(bounds):
                    sums, still = _auto_sums(phases[:, low:high], grid.lags)
                    moving[b, a, q] += sums / (high - low - np.arange(grid.lags))
                    elastic[b, a, q] += still
    return SelfCorrelation(moving[0], elastic[0], moving[1:], elastic[1:], frames)


@dataclass(frozen=True)
class _Grid:
    """Lags and energies of a resolution."""

    fwhm: float
    lags: int
    blocks: int
    window: NDArray[np.float64]
    length: int
    kept: int
    interval_ps: float

    @classmethod
    def plan(
        cls, frames: Sequence[int], interval_fs: float, fwhm_mev: float | None, max_energy_mev: float | None
    ) -> _Grid:
        if not (np.isfinite(interval_fs) and interval_fs > 0):
            raise ValueError(f"the time between frames must be positive, not {interval_fs} fs")
        shortest, interval = min(frames), interval_fs * 1e-3
        if shortest < 8 * MIN_BLOCKS:
            raise ValueError(f"{shortest} frames are too few for a spectrum: need at least {8 * MIN_BLOCKS}")
        fwhm = default_fwhm(shortest, interval_fs) if fwhm_mev is None else fwhm_mev
        if not (np.isfinite(fwhm) and fwhm > 0):
            raise ValueError(f"the resolution must be positive, not {fwhm} meV")
        sigma = fwhm / FWHM_PER_SIGMA / HBAR_MEV_PS
        lags = int(np.ceil(_reach() / sigma / interval)) + 1
        if lags < 4:
            raise ValueError(
                f"frames {interval_fs:g} fs apart know energies up to {MEV_PER_THZ / (2 * interval):.3g} meV only: a "
                f"resolution of {fwhm:g} meV makes no sense there"
            )
        if lags * MIN_BLOCKS > shortest:
            needed = lags * MIN_BLOCKS * interval
            raise ValueError(
                f"{shortest * interval:.4g} ps cannot resolve {fwhm:.3g} meV: that takes {needed:.4g} ps; this run "
                f"resolves {fwhm * needed / (shortest * interval):.3g} meV"
            )
        nyquist = MEV_PER_THZ / (2 * interval)
        if max_energy_mev is not None and not 0 < max_energy_mev <= nyquist * (1 + 1e-9):
            raise ValueError(
                f"frames {interval_fs:g} fs apart know energies up to {nyquist:.4g} meV, not {max_energy_mev:g} meV"
            )
        times = interval * np.arange(lags)
        # Even, so that the last energy is Nyquist's.
        length = 2 * int(np.ceil(max(lags, MEV_PER_THZ * POINTS_PER_FWHM / (2 * fwhm * interval))))
        step = MEV_PER_THZ / (length * interval)
        kept = length // 2 + 1 if max_energy_mev is None else int(np.floor(max_energy_mev / step + 1e-9)) + 1
        return cls(
            fwhm=float(fwhm),
            lags=lags,
            blocks=min(MAX_BLOCKS, shortest // lags),
            window=np.exp(-0.5 * (sigma * times) ** 2),
            length=length,
            kept=max(2, kept),
            interval_ps=interval,
        )

    @property
    def energies(self) -> NDArray[np.float64]:
        return MEV_PER_THZ / (self.length * self.interval_ps) * np.arange(self.kept, dtype=float)

    def spectra(self, moving: NDArray[np.float64], elastic: NDArray[np.float64]) -> NDArray[np.float64]:
        """Transform F(t) [..., lags] and the constant to add to it [...] into S(E) [..., E]."""
        even = 2 * moving * self.window
        even[..., 0] /= 2
        spectrum = self.interval_ps / (2 * np.pi * HBAR_MEV_PS) * np.fft.rfft(even, self.length).real[..., : self.kept]
        line = Resolution(self.fwhm).kernel(self.energies, [0.0])[:, 0]
        return np.asarray(spectrum + elastic[..., None] * line)

    def bounds(self, frames: int) -> list[tuple[int, int]]:
        edges = np.linspace(0, frames, self.blocks + 1).round().astype(int)
        return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


def _reach() -> float:
    """Time at which the Gaussian w is cut, times sigma/hbar."""
    return float(np.sqrt(-2 * np.log(LAST_WEIGHT)))


def _pairs_of(
    runs: Sequence[NDArray[np.complex128]], pairs: Sequence[tuple[int, int]], lags: int, apart: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean of Re rho_a(t + k) rho_b(t)*, both orders of a pair of two, less the elastic part: [pairs, lags], [pairs].

    All origins of time of all runs [species, frames] count the same.
    """
    twice = np.array([1 if a == b else 2 for a, b in pairs])
    first, second = np.array(pairs).T
    sums, elastic, origins = np.zeros((len(pairs), lags)), np.zeros(len(pairs)), np.zeros(lags)
    for run in runs:
        mean = run.mean(axis=1) if apart else np.zeros(len(run), dtype=complex)
        transforms = np.fft.fft(run - mean[:, None], run.shape[1] + lags)
        # The real part of the power belongs to the part of the correlation that is even in time.
        powers = (transforms[first] * transforms[second].conj()).real
        sums += np.fft.ifft(powers).real[:, :lags]
        elastic += run.shape[1] * (mean[first] * mean[second].conj()).real
        origins += run.shape[1] - np.arange(lags)
    return twice[:, None] * sums / origins, twice * elastic / sum(run.shape[1] for run in runs)


def _auto_sums(phases: NDArray[np.complex128], lags: int) -> tuple[NDArray[np.float64], float]:
    """Sum over atoms and times of Re z(t + k) z(t)* for series z [n, frames] less their means [lags], and of these."""
    mean = phases.mean(axis=1)
    transforms = np.fft.fft(phases - mean[:, None], phases.shape[1] + lags)
    power = np.sum(transforms.real**2 + transforms.imag**2, axis=0)
    return np.fft.ifft(power).real[:lags], float(np.sum(np.abs(mean) ** 2))
