"""Frequencies and linewidths of phonons from the velocities of a molecular dynamics run.

The velocities are projected on the harmonic modes (`mode_projection`). The periodograms of modes that are equal by
symmetry or degenerate are averaged, which makes the result independent of the basis chosen in a degenerate subspace,
and a damped oscillator is fitted to each average (`line_shape`). What comes out is the whole width of a mode in the
classical crystal, all orders of anharmonicity together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from phonopy import Phonopy
from scipy import fft

from aiida_iontherm.physics.lattice.linewidths import degenerate_sets
from aiida_iontherm.physics.lattice.phonons import Phonons, cartesian_rotations
from aiida_iontherm.physics.spectra.line_shape import WINDOW_POINTS, Line, fit_line
from aiida_iontherm.physics.spectra.mode_projection import (
    ModeProjection,
    Star,
    crystal_stars,
    periodic_convention,
    translation_share,
)
from aiida_iontherm.physics.spectra.supercell_sites import SupercellSites
from aiida_iontherm.physics.units import AMU, KB

RESOLVABLE = 1 / (2 * np.pi)
"""Least gamma times run time: the amplitude of a mode, decaying as exp(-2 pi gamma t), falls to 1/e during the run."""

LARGEST_ERROR = 0.5
"""Relative standard error of a linewidth that counts as resolved."""

SHORTEST_RUN = 20.0
"""Periods of the fastest mode: in less, no line can be told from the resolution."""

LEAST_SHARE = 0.75
"""Of the kinetic energy of a mode that a single line must hold."""

MISPLACED, MISPLACED_P = 0.1, 1e-3
"""A line is of another shape if more than this share of its area is elsewhere and noise is this unlikely a cause."""

_TO_KELVIN = AMU * 1e4 / KB
"""k_B T of 1 amu (Angstrom/ps)^2 in K."""


class LineKind(IntEnum):
    """How far a linewidth can be trusted."""

    RESOLVED = 0
    """One line of a damped oscillator, its amplitude decaying within the run."""
    UNRESOLVED = 1
    """Narrower than the run can tell, or not known to within a half: the linewidth is an upper bound."""
    OVERDAMPED = 2
    """gamma > f0: no oscillation."""
    NOT_ONE_LINE = 3
    """The spectrum is not that of one damped oscillator: the linewidth is that of the nearest one."""
    TRANSLATION = 4
    """A rigid translation: no line."""


@dataclass(frozen=True)
class ModeLinewidths:
    """Lines of the modes at the commensurate wave vectors of a supercell, one point of each star.

    Attributes
    ----------
    qpoints, weights
        Fractional coordinates [k, 3] and the number of commensurate points each stands for [k].
    frequencies_thz
        Of the harmonic crystal that was projected on [k, s], ascending.
    line_frequencies_thz, line_frequency_errors_thz
        f0 of the lines and its standard error [k, s]; zero for translations.
    gamma_thz, gamma_errors_thz
        Half widths at half maximum in THz and standard errors [k, s]; upper bounds with an error of zero for
        unresolved modes, zero for translations. Degenerate modes have the same.
    kinds
        `LineKind` [k, s].
    temperatures_K, temperature_errors_K
        Twice the mean kinetic energy of a mode over k_B and its standard error [k, s]: equipartition gives the same
        for all.
    line_shares
        Area of the line over the whole kinetic energy of the mode [k, s], 1 for a single line; zero for translations.
    run_time_ps
        Length of each run.
    """

    qpoints: NDArray[np.float64]
    weights: NDArray[np.int64]
    frequencies_thz: NDArray[np.float64]
    line_frequencies_thz: NDArray[np.float64]
    line_frequency_errors_thz: NDArray[np.float64]
    gamma_thz: NDArray[np.float64]
    gamma_errors_thz: NDArray[np.float64]
    kinds: NDArray[np.int64]
    temperatures_K: NDArray[np.float64]
    temperature_errors_K: NDArray[np.float64]
    line_shares: NDArray[np.float64]
    run_time_ps: float

    @property
    def resolution_thz(self) -> float:
        """Smallest half width that counts as resolved."""
        return RESOLVABLE / self.run_time_ps

    def fraction(self, kind: LineKind) -> float:
        """Share of the vibrations (all modes but translations) of this kind, each star with its weight."""
        vibrations = (self.kinds != LineKind.TRANSLATION) * self.weights[:, None]
        return float(np.sum(vibrations * (self.kinds == kind)) / np.sum(vibrations))

    @property
    def temperature_K(self) -> float:
        """Kinetic temperature of all vibrations."""
        vibrations = (self.kinds != LineKind.TRANSLATION) * self.weights[:, None]
        return float(np.sum(vibrations * self.temperatures_K) / np.sum(vibrations))

    @property
    def equipartition(self) -> float:
        """Reduced chi-squared of the mode temperatures about their mean: 1 where energy is shared by chance alone."""
        vibrations = self.kinds != LineKind.TRANSLATION
        known = vibrations & (self.temperature_errors_K > 0)
        pulls = (self.temperatures_K[known] - self.temperature_K) / self.temperature_errors_K[known]
        return float(np.mean(pulls**2))


def mode_linewidths(
    phonopy: Phonopy,
    sites: SupercellSites,
    runs: Sequence[NDArray[np.floating]],
    interval_fs: float,
    *,
    filtered: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ModeLinewidths:
    """Lines of all modes of a supercell from one or more runs at one temperature.

    Parameters
    ----------
    phonopy
        The harmonic crystal, with force constants. Modes of the run are compared with its modes; best are force
        constants at the temperature of the run.
    sites
        Where the atoms of the runs belong (`find_sites`).
    runs
        Velocities [frames, N, 3] in Angstrom/ps of independent runs; all are cut to the shortest.
    interval_fs
        Time between two frames.
    filtered
        Power with which the way velocities were obtained passes a frequency in THz, [n] to [n]; ``None`` for 1.
    progress
        Called with the number of stars done and that of all.

    Raises
    ------
    ValueError
        If a run is too short or its frames too far apart for the modes, arrays do not fit, or force constants lack the
        symmetry of the crystal.
    """
    if not interval_fs > 0 or not runs:
        raise ValueError("need at least one run and a positive time between frames")
    interval = interval_fs * 1e-3
    frames = min(len(run) for run in runs)
    primitive = phonopy.primitive
    groups = crystal_stars(sites.matrix, primitive.cell, cartesian_rotations(phonopy))
    members = np.concatenate([star.members for star in groups])
    phonons = Phonons.from_phonopy(phonopy, qpoints=members, weights=np.ones(len(members)))
    _check_times(frames, interval, float(phonons.frequencies_thz.max()))
    vectors = periodic_convention(phonons.eigenvectors, members, primitive.scaled_positions)
    work = _Work([ModeProjection(run[-frames:], sites, primitive.masses) for run in runs], frames, interval, filtered)
    first = 0
    columns: dict[str, list[NDArray[Any]]] = {name: [] for name in _COLUMNS}
    for number, star in enumerate(groups):
        own = slice(first, first + len(star.members))
        first = own.stop
        still = np.zeros(vectors.shape[2], dtype=bool)
        if not np.any(star.members[0]):
            still = translation_share(vectors[own], primitive.masses)[0] > 0.5
        for name, column in work.lines(star, phonons.frequencies_thz[own], vectors[own], still).items():
            columns[name].append(column)
        if progress is not None:
            progress(number + 1, len(groups))
    return ModeLinewidths(
        qpoints=np.array([star.members[0] for star in groups]),
        weights=np.array([star.weights.sum() for star in groups]),
        run_time_ps=frames * interval,
        **{name: np.array(column) for name, column in columns.items()},
    )


def _check_times(frames: int, interval_ps: float, highest_thz: float) -> None:
    # Lines are shifted and broad: the fastest should be well below the Nyquist frequency.
    if highest_thz * interval_ps > 0.4:
        raise ValueError(
            f"frames {interval_ps * 1e3:g} fs apart cannot follow modes of {highest_thz:.3g} THz: store one at least "
            f"every {400 / highest_thz:.3g} fs, or check the time between frames"
        )
    least = max(SHORTEST_RUN / highest_thz, (4 * WINDOW_POINTS + 3) * interval_ps)
    if frames * interval_ps < least:
        raise ValueError(
            f"a run of {frames * interval_ps:.3g} ps is too short for linewidths: at least {least:.3g} ps are needed "
            "to begin with, and some lifetimes to resolve them"
        )


_COLUMNS = (
    "frequencies_thz",
    "line_frequencies_thz",
    "line_frequency_errors_thz",
    "gamma_thz",
    "gamma_errors_thz",
    "kinds",
    "temperatures_K",
    "temperature_errors_K",
    "line_shares",
)
"""Attributes of `ModeLinewidths` with a number for each mode."""

_LARGEST_SPLIT_THZ = 0.01
"""Noise of symmetrised force constants is far smaller."""


@dataclass(frozen=True)
class _Work:
    """The runs, and what is done for each star."""

    projections: Sequence[ModeProjection]
    frames: int
    interval_ps: float
    filtered: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None

    def lines(
        self,
        star: Star,
        frequencies: NDArray[np.float64],
        vectors: NDArray[np.complex128],
        still: NDArray[np.bool_],
    ) -> dict[str, NDArray[Any]]:
        """Values [s] of `_COLUMNS` for the modes of a star, but for those that are `still`.

        Frequencies [m, s] and eigenvectors [m, 3n, s] are those of its members.
        """
        if np.ptp(frequencies, axis=0).max() > _LARGEST_SPLIT_THZ:
            raise ValueError(
                "frequencies differ between wave vectors that symmetry makes equal: the force constants lack the "
                "symmetry of the crystal; impose it"
            )
        power = self._mean_power(star, vectors)
        run_time = self.frames * self.interval_ps
        sets = degenerate_sets(frequencies[0])
        result: dict[str, NDArray[Any]] = {name: np.zeros(len(still)) for name in _COLUMNS}
        result["kinds"] = np.where(still, LineKind.TRANSLATION, LineKind.RESOLVED).astype(np.int64)
        result["frequencies_thz"] = frequencies[0]
        modes = star.weights.sum() * len(self.projections)
        for label in np.unique(sets[~still]):
            own = (sets == label) & ~still
            count = int(modes * np.count_nonzero(own))
            mean = power[:, own].mean(axis=1)
            # The frequencies below zero are those above of -q; zero itself has no partner.
            energy = (2 * mean[1:].sum() + mean[0]) / run_time
            # The mean square of an exponential mean of `count` is 1 + 1/count times the square of its mean.
            energy_error = np.sqrt((4 * np.sum(mean[1:] ** 2) + mean[0] ** 2) / (count + 1)) / run_time
            line = fit_line(mean[1:], count, self.frames, self.interval_ps)
            kind, gamma, error = _judge(line, energy, run_time)
            values = {
                "line_frequencies_thz": line.frequency_thz,
                "line_frequency_errors_thz": line.frequency_error_thz,
                "gamma_thz": gamma,
                "gamma_errors_thz": error,
                "kinds": kind,
                "temperatures_K": energy * _TO_KELVIN,
                "temperature_errors_K": energy_error * _TO_KELVIN,
                "line_shares": line.area / energy,
            }
            for name, value in values.items():
                result[name][own] = value
        return result

    def _mean_power(self, star: Star, vectors: NDArray[np.complex128]) -> NDArray[np.float64]:
        """Periodograms dt/N |sum_k Qdot exp(-2 pi i f k dt)|^2 from f = 0 on [f, s], averaged over star and runs."""
        kept = (self.frames - 1) // 2 + 1
        power = np.zeros((kept, vectors.shape[2]))
        for projection in self.projections:
            for block in projection.blocks(len(star.members)):
                spectra = fft.fft(projection.modes(star.members[block], vectors[block]), axis=0, overwrite_x=True)
                squares = spectra.real**2 + spectra.imag**2
                # -q at f is q at -f; a point that is its own opposite has real velocities, and both are the same.
                both = squares[:kept]
                both[1:] = (both[1:] + squares[:-kept:-1]) / 2
                power += np.einsum("q,fqs->fs", star.weights[block].astype(float), both)
        power *= self.interval_ps / (self.frames * star.weights.sum() * len(self.projections))
        if self.filtered is not None:
            power /= self.filtered(np.arange(kept) / (self.frames * self.interval_ps))[:, None]
        return power


def _judge(line: Line, energy: float, run_time_ps: float) -> tuple[LineKind, float, float]:
    """Kind of a line, and the linewidth to give with its error."""
    limit = RESOLVABLE / run_time_ps
    if line.gamma_thz < limit:
        # The error of a width far below the resolution means little: no line broader than 1/(run time) looks so sharp.
        bound = min(max(limit, line.gamma_thz + 2 * line.gamma_error_thz), 1 / run_time_ps)
        return LineKind.UNRESOLVED, bound, 0.0
    if line.gamma_error_thz > LARGEST_ERROR * line.gamma_thz:
        # A single mode that happens to start with little energy looks broader than it is.
        return LineKind.UNRESOLVED, line.gamma_thz + 2 * line.gamma_error_thz, 0.0
    one = line.area > LEAST_SHARE * energy and not (line.misplaced > MISPLACED and line.shape_p_value < MISPLACED_P)
    if not one:
        return LineKind.NOT_ONE_LINE, line.gamma_thz, line.gamma_error_thz
    kind = LineKind.OVERDAMPED if line.gamma_thz > line.frequency_thz else LineKind.RESOLVED
    return kind, line.gamma_thz, line.gamma_error_thz
