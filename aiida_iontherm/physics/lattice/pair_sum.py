"""The sum over pairs of modes, for one crystal and any number of linewidths and temperatures.

With the linewidth convention of `linewidths` (gamma: half width, THz) and C_s the heat capacity of a mode, Eqs. 4 and 5
of Li et al., Adv. Mater. (2025), doi 10.1002/adma.202513381 (Simoncelli, Marzari and Mauri, Nat. Phys. 15, 809
(2019)) are one sum,

    kappa^ab = 1/(V N_q) sum_q sum_ss' C_ss' Re(V^a_ss' V^b_s's) L_ss' / (2 pi)
    C_ss'    = (f_s + f_s')/4 (C_s/f_s + C_s'/f_s')
    L_ss'    = (gamma_s + gamma_s') / ((f_s - f_s')^2 + (gamma_s + gamma_s')^2)

The products of velocities are what costs; they are made once. Of their six components only the combinations are kept
that the point group leaves (one for a cubic crystal), which is the average over the star of each wave vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.compiled import _native, available_threads
from aiida_iontherm.physics.heat.capacity import mode_heat_capacity
from aiida_iontherm.physics.lattice.linewidths import degenerate_sets, mean_over_sets
from aiida_iontherm.physics.lattice.phonons import Phonons
from aiida_iontherm.physics.lattice.tensors import from_voigt, invariants
from aiida_iontherm.physics.units import KB

Real = NDArray[np.float64]
Split = Literal["degenerate", "diagonal"]
Statistics = Literal["quantum", "classical"]
Precision = Literal["double", "single"]

_CHUNK = 16  # points whose products are handed over at once


@dataclass(frozen=True)
class _Modes:
    """What the compiled sum reads, all [q, s] but the scale [q]."""

    frequency: Real
    width: Real
    capacity: Real
    kept: Real
    set_end: NDArray[np.int32]
    scale: Real

    @property
    def arguments(self) -> tuple[Real, Real, Real, Real, NDArray[np.int32], Real]:
        return self.frequency, self.width, self.capacity, self.kept, self.set_end, self.scale


class PairSum:
    """Velocity products of a crystal, ready for linewidths and temperatures.

    Parameters
    ----------
    frequencies_thz
        Frequencies [q, s] in THz, ascending at each point.
    weights
        Mesh points each q stands for [q].
    volume_A3
        Volume of the primitive cell in Angstrom^3.
    velocity_operator
        [q, 3, s, s] in m/s, Hermitian.
    products
        Instead of the velocity operator: `two_channel.velocity_products` [q, 6, s, s] in m^2/s^2, taken a few points
        at a time, so that an array on disk serves too.
    rotations
        Point group as Cartesian matrices [r, 3, 3] over which all results are averaged; ``None`` leaves them as they
        are at the given points.
    degeneracy_thz
        Neighbouring modes closer than this are degenerate; their frequencies and linewidths are replaced by the means.
    cutoff_thz
        Modes below this frequency are left out.
    split
        What the particle channel holds: the diagonal and the pairs inside a degenerate subspace (``degenerate``), or
        the diagonal alone (``diagonal``, as phono3py has it), which depends on the basis chosen in the subspace. The
        sum of the channels is the same.
    threads
        Threads over points; by default ``OMP_NUM_THREADS``. Results do not depend on it.
    precision
        Of the products that are kept; sums are in double precision. In single precision each is off by up to 6e-8 of
        itself, and they take half the memory and, where memory is what limits the sum, half the time.

    Raises
    ------
    ValueError
        If shapes do not match or frequencies do not ascend.
    """

    def __init__(
        self,
        frequencies_thz: ArrayLike,
        weights: ArrayLike,
        volume_A3: float,
        *,
        velocity_operator: NDArray[np.complex128] | None = None,
        products: Sequence[Real] | Real | None = None,
        rotations: ArrayLike | None = None,
        degeneracy_thz: float = 1e-4,
        cutoff_thz: float = 0.05,
        split: Split = "degenerate",
        threads: int | None = None,
        precision: Precision = "double",
    ) -> None:
        frequencies = np.asarray(frequencies_thz, dtype=float)
        counts = np.asarray(weights, dtype=float)
        if frequencies.ndim != 2 or counts.shape != frequencies.shape[:1]:
            raise ValueError(
                f"frequencies {frequencies.shape} and weights {counts.shape} do not match: need [q, s] and [q]"
            )
        if np.any(np.diff(frequencies, axis=1) < 0):
            raise ValueError("frequencies must ascend at each q-point: sort the modes, linewidths and velocities alike")
        if split not in ("degenerate", "diagonal"):
            raise ValueError(f"split must be 'degenerate' or 'diagonal', not {split!r}")
        if precision not in ("double", "single"):
            raise ValueError(f"precision must be 'double' or 'single', not {precision!r}")
        self._given, self._cutoff = frequencies, cutoff_thz
        self._sets = degenerate_sets(frequencies, degeneracy_thz)
        self._frequencies = mean_over_sets(self._sets, frequencies)
        n_q, n_modes = frequencies.shape
        self._set_end = _set_ends(self._sets, split)
        self._combinations, self._tensors = (np.eye(6), np.eye(6)) if rotations is None else invariants(rotations)
        self._modes_per_m3 = counts / counts.sum() / (volume_A3 * 1e-30)
        # 1e-12: gamma in THz to a time in s; 4: of C_ss'.
        self._scale = self._modes_per_m3 * 1e-12 / (8 * np.pi)
        self._sum = _native.PairSum(
            n_q, n_modes, self._combinations, precision == "single", threads or available_threads()
        )
        source = velocity_operator if products is None else products
        if source is None or (velocity_operator is not None and products is not None):
            raise ValueError("give either the velocity operator or its products")
        if len(source) != n_q:
            raise ValueError(f"velocities of {len(source)} q-points, frequencies of {n_q}")
        shape = (3 if products is None else 6, n_modes, n_modes)
        for first in range(0, n_q, _CHUNK):
            chunk = np.asarray(source[first : first + _CHUNK])
            if chunk.shape[1:] != shape:
                raise ValueError(f"velocities have shape {chunk.shape[1:]} at a q-point, need {shape}")
            if products is None:
                self._sum.set_velocities(first, np.ascontiguousarray(chunk, dtype=complex))
            else:
                self._sum.set_products(first, np.ascontiguousarray(chunk, dtype=float))

    @classmethod
    def of(
        cls,
        phonons: Phonons,
        *,
        degeneracy_thz: float = 1e-4,
        cutoff_thz: float = 0.05,
        split: Split = "degenerate",
        threads: int | None = None,
        precision: Precision = "double",
    ) -> PairSum:
        """Take a harmonic solution, averaged over its point group."""
        return cls(
            phonons.frequencies_thz,
            phonons.weights,
            phonons.volume_A3,
            velocity_operator=phonons.velocity_operator,
            rotations=phonons.rotations,
            degeneracy_thz=degeneracy_thz,
            cutoff_thz=cutoff_thz,
            split=split,
            threads=threads,
            precision=precision,
        )

    @property
    def frequencies_thz(self) -> Real:
        """Frequencies [q, s] as they were given, in THz."""
        return self._given

    @property
    def modes_per_m3(self) -> Real:
        """Modes per volume that each mode of a q-point stands for [q], 1/m^3."""
        return self._modes_per_m3

    def channels(
        self, gamma_thz: ArrayLike, temperature: float, statistics: Statistics = "quantum"
    ) -> tuple[Real, Real]:
        """Particle and wave channel [3, 3] in W/(m K).

        Parameters
        ----------
        gamma_thz
            Half widths [q, s] in THz at this temperature. Modes without one carry nothing.
        temperature
            In K.
        statistics
            Heat capacities of quantum oscillators, or k_B of each (``classical``, as in molecular dynamics).
        """
        totals = self._sum.totals(*self._modes(gamma_thz, temperature, statistics).arguments)
        particle, wave = from_voigt(totals @ self._tensors)
        return particle, wave

    def by_mode(
        self, gamma_thz: ArrayLike, temperature: float, statistics: Statistics = "quantum"
    ) -> tuple[Real, Real]:
        """Resolve both channels by mode: what each adds, [q, s, 6] in W/(m K), Voigt order.

        A pair belongs to its modes in proportion to their heat capacities, C_s/(C_s + C_s'), as in Simoncelli, Marzari
        and Mauri, Phys. Rev. X 12, 041011 (2022). Weights and 1/N_q of the mesh are in: the plain sum is the
        conductivity.
        """
        parts = self._sum.by_mode(*self._modes(gamma_thz, temperature, statistics).arguments)
        particle, wave = parts.swapaxes(-1, -2) @ self._tensors
        return particle, wave

    def wave_density(
        self, gamma_thz: ArrayLike, temperature: float, edges_thz: ArrayLike, statistics: Statistics = "quantum"
    ) -> Real:
        """Wave channel by the frequencies of both modes [bins, bins, 3, 3] in W/(m K THz^2), symmetric in the bins.

        Parameters
        ----------
        gamma_thz, temperature, statistics
            As in `channels`.
        edges_thz
            Edges of the bins, ascending; pairs with a mode outside are left out.
        """
        edges = np.asarray(edges_thz, dtype=float)
        if edges.ndim != 1 or len(edges) < 2 or np.any(np.diff(edges) <= 0):
            raise ValueError("edges_thz must be at least two ascending frequencies")
        bins = np.searchsorted(edges, self._frequencies, side="right") - 1
        bins[self._frequencies == edges[-1]] = len(edges) - 2  # the last bin has both edges, as in numpy.histogram
        bins[(bins < 0) | (bins > len(edges) - 2)] = -1
        density = self._sum.density(
            *self._modes(gamma_thz, temperature, statistics).arguments, bins.astype(np.int32), len(edges) - 1
        )
        widths = np.diff(edges)
        return from_voigt(density @ self._tensors) / np.multiply.outer(widths, widths)[:, :, None, None]

    def _modes(self, gamma_thz: ArrayLike, temperature: float, statistics: Statistics) -> _Modes:
        if not temperature > 0:
            raise ValueError(f"the temperature must be positive, not {temperature} K")
        gamma = np.asarray(gamma_thz, dtype=float)
        if gamma.shape != self._frequencies.shape:
            raise ValueError(f"linewidths have shape {gamma.shape}, need [q, s] = {self._frequencies.shape}")
        if not np.all(gamma >= 0):
            raise ValueError("linewidths must be numbers not below zero: check the scattering calculation")
        kept = carrying(self._given, gamma, self._cutoff)
        frequency = np.where(kept, self._frequencies, 1.0)
        if statistics == "classical":
            capacity = np.full_like(frequency, KB)
        elif statistics == "quantum":
            capacity = KB * mode_heat_capacity(frequency, temperature)
        else:
            raise ValueError(f"statistics must be 'quantum' or 'classical', not {statistics!r}")
        width = mean_over_sets(self._sets, gamma)
        return _Modes(frequency, width, capacity, kept.astype(float), self._set_end, self._scale)


def carrying(frequencies_thz: Real, gamma_thz: Real, cutoff_thz: float) -> NDArray[np.bool_]:
    """Which modes carry heat in the sum: above the cutoff, not imaginary, with a linewidth."""
    return (frequencies_thz >= cutoff_thz) & (frequencies_thz > 0) & (gamma_thz > 0)


def _set_ends(sets: NDArray[np.int64], split: Split) -> NDArray[np.int32]:
    """Where the set of modes ends that a mode's particle channel holds [q, s]."""
    if split == "diagonal":
        return np.broadcast_to(np.arange(1, sets.shape[1] + 1, dtype=np.int32), sets.shape).copy()
    return np.array([np.searchsorted(row, row, side="right") for row in sets], dtype=np.int32)
