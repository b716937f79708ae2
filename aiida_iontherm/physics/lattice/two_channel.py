"""Two-channel lattice thermal conductivity: particle-like and wave-like heat transport.

The sum over pairs of modes and its equations are in `pair_sum`; here are what is asked for most often. The diagonal of
the sum is C v v tau. The particle channel holds the diagonal and the pairs inside a degenerate subspace, the wave
channel all other pairs: only that split does not depend on the basis chosen in the subspace. To make it exact,
frequencies and linewidths of degenerate modes are replaced by their means before the sum.

Modes below a cutoff, imaginary modes and modes without a linewidth carry nothing (`left_out_fraction` says how many):
the sum has no meaning for them, and a result with many of them is not converged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.lattice.pair_sum import PairSum, Split, Statistics, carrying
from aiida_iontherm.physics.lattice.phonons import Phonons
from aiida_iontherm.physics.lattice.tensors import VOIGT, from_voigt, symmetrise_tensor


@dataclass(frozen=True)
class TwoChannel:
    """Lattice thermal conductivity in W/(m K).

    Attributes
    ----------
    temperatures
        In K [T].
    particle, wave
        The two channels [T, 3, 3], Cartesian axes.
    """

    temperatures: NDArray[np.float64]
    particle: NDArray[np.float64]
    wave: NDArray[np.float64]

    @property
    def total(self) -> NDArray[np.float64]:
        """Sum of the channels [T, 3, 3]."""
        return self.particle + self.wave


def two_channel(
    phonons: Phonons,
    gamma_thz: ArrayLike,
    temperatures: ArrayLike,
    *,
    degeneracy_thz: float = 1e-4,
    cutoff_thz: float = 0.05,
    split: Split = "degenerate",
    statistics: Statistics = "quantum",
    threads: int | None = None,
) -> TwoChannel:
    """Conductivity of both channels, averaged over the point group of the crystal.

    Parameters
    ----------
    phonons
        Harmonic solution at the points of the linewidths.
    gamma_thz
        Half widths at half maximum [T, q, s] in THz.
    temperatures
        In K [T].
    degeneracy_thz, cutoff_thz, split, statistics, threads
        See `PairSum`. Who computes many sets of linewidths keeps a `PairSum`.

    Raises
    ------
    ValueError
        If shapes do not match, or a linewidth is negative or not a number.
    """
    kelvin = np.atleast_1d(np.asarray(temperatures, dtype=float))
    gamma = np.asarray(gamma_thz, dtype=float)
    expected = (len(kelvin), *phonons.frequencies_thz.shape)
    if gamma.shape != expected:
        raise ValueError(f"gamma_thz has shape {gamma.shape}, needs [T, q, s] = {expected}")
    pairs = PairSum.of(phonons, degeneracy_thz=degeneracy_thz, cutoff_thz=cutoff_thz, split=split, threads=threads)
    channels = [pairs.channels(width, float(t), statistics) for width, t in zip(gamma, kelvin, strict=True)]
    particle, wave = np.array(channels).swapaxes(0, 1)
    return TwoChannel(kelvin, particle, wave)


def velocity_products(velocity_operator: ArrayLike) -> NDArray[np.float64]:
    """Re(V^a_ss' V^b_s's) in Voigt order xx, yy, zz, yz, xz, xy: [q, 3, s, s] in m/s to [q, 6, s, s] in m^2/s^2.

    The real part is symmetric in a, b and in s, s' because V is Hermitian.
    """
    velocity = np.asarray(velocity_operator)
    if velocity.ndim != 4 or velocity.shape[1] != 3 or velocity.shape[2] != velocity.shape[3]:
        raise ValueError(f"velocity operator has shape {velocity.shape}, needs [q, 3, s, s]")
    products = np.empty((len(velocity), 6, *velocity.shape[2:]))
    for i, (a, b) in enumerate(VOIGT):
        products[:, i] = velocity[:, a].real * velocity[:, b].real + velocity[:, a].imag * velocity[:, b].imag
    return products


def two_channel_sum(
    frequencies_thz: ArrayLike,
    products: Sequence[NDArray[np.float64]] | NDArray[np.float64],
    weights: ArrayLike,
    gamma_thz: ArrayLike,
    temperature: float,
    volume_A3: float,
    *,
    degeneracy_thz: float = 1e-4,
    cutoff_thz: float = 0.05,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Particle and wave channel [3, 3] in W/(m K) at one temperature, not yet averaged over the point group.

    Parameters
    ----------
    frequencies_thz
        Frequencies [q, s], ascending.
    products
        `velocity_products` [q, 6, s, s] in m^2/s^2.
    weights
        Mesh points each q stands for [q].
    gamma_thz
        Half widths [q, s] in THz at this temperature.
    temperature
        In K.
    volume_A3
        Volume of the primitive cell in Angstrom^3.
    degeneracy_thz, cutoff_thz
        See `PairSum`.
    """
    pairs = PairSum(
        frequencies_thz,
        weights,
        volume_A3,
        products=products,
        degeneracy_thz=degeneracy_thz,
        cutoff_thz=cutoff_thz,
    )
    return pairs.channels(gamma_thz, temperature)


def mode_contributions(
    frequencies_thz: ArrayLike,
    products: Sequence[NDArray[np.float64]] | NDArray[np.float64],
    weights: ArrayLike,
    gamma_thz: ArrayLike,
    temperature: float,
    volume_A3: float,
    *,
    degeneracy_thz: float = 1e-4,
    cutoff_thz: float = 0.05,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Resolve both channels by mode: what each adds to particle and wave, [q, s, 6] each in W/(m K), Voigt order.

    Parameters as in `two_channel_sum`; see `PairSum.by_mode`.
    """
    pairs = PairSum(
        frequencies_thz,
        weights,
        volume_A3,
        products=products,
        degeneracy_thz=degeneracy_thz,
        cutoff_thz=cutoff_thz,
    )
    return pairs.by_mode(gamma_thz, temperature)


def spectral(
    frequencies_thz: ArrayLike,
    contributions: ArrayLike,
    edges_thz: ArrayLike,
    rotations: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Conductivity per frequency [bins, 3, 3] in W/(m K THz), as a histogram.

    Parameters
    ----------
    frequencies_thz
        Frequencies [q, s].
    contributions
        One channel of `mode_contributions` [q, s, 6].
    edges_thz
        Edges of the bins, ascending. Where they span all frequencies, the sum over bins of value times width is
        exactly the conductivity of the channel.
    rotations
        Point group to symmetrise with [r, 3, 3], or ``None``.
    """
    edges = np.asarray(edges_thz, dtype=float)
    if edges.ndim != 1 or len(edges) < 2 or np.any(np.diff(edges) <= 0):
        raise ValueError("edges_thz must be at least two ascending frequencies")
    frequencies = np.asarray(frequencies_thz, dtype=float).ravel()
    parts = np.asarray(contributions, dtype=float).reshape(-1, 6)
    histogram = np.stack([np.histogram(frequencies, edges, weights=parts[:, i])[0] for i in range(6)], axis=-1)
    density = from_voigt(histogram / np.diff(edges)[:, None])
    return density if rotations is None else symmetrise_tensor(density, rotations)


def left_out_fraction(
    frequencies_thz: ArrayLike, weights: ArrayLike, gamma_thz: ArrayLike, cutoff_thz: float = 0.05
) -> float:
    """Fraction of the modes of the mesh that carry nothing in the sum: below the cutoff, imaginary or without width.

    Three acoustic modes at Gamma are always among them.
    """
    frequencies, gamma, counts = _checked(frequencies_thz, gamma_thz, weights)
    return float(counts @ np.mean(~carrying(frequencies, gamma, cutoff_thz), axis=1) / counts.sum())


def _checked(
    frequencies_thz: ArrayLike, gamma_thz: ArrayLike, weights: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    frequencies = np.asarray(frequencies_thz, dtype=float)
    gamma = np.asarray(gamma_thz, dtype=float)
    counts = np.asarray(weights, dtype=float)
    if frequencies.ndim != 2 or gamma.shape != frequencies.shape or counts.shape != frequencies.shape[:1]:
        raise ValueError(
            f"frequencies {frequencies.shape}, linewidths {gamma.shape} and weights {counts.shape} do not match: "
            "need [q, s], [q, s] and [q]"
        )
    if not np.all(gamma >= 0):
        raise ValueError("linewidths must be numbers not below zero: check the scattering calculation")
    return frequencies, gamma, counts
