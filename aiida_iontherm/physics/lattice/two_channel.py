"""Two-channel lattice thermal conductivity: particle-like and wave-like heat transport.

Eqs. 4 and 5 of Li et al., Adv. Mater. (2025), doi 10.1002/adma.202513381, from Simoncelli, Marzari and Mauri,
Nat. Phys. 15, 809 (2019). With the linewidth convention of `linewidths` (gamma: half width, THz) and C_s the heat
capacity of a mode, both equations are one sum over pairs of modes,

    kappa^ab = 1/(V N_q) sum_q sum_ss' C_ss' Re(V^a_ss' V^b_s's) L_ss' / (2 pi)
    C_ss'    = (f_s + f_s')/4 (C_s/f_s + C_s'/f_s')
    L_ss'    = (gamma_s + gamma_s') / ((f_s - f_s')^2 + (gamma_s + gamma_s')^2)

whose diagonal is C v v tau. The particle channel holds the diagonal and the pairs inside a degenerate subspace, the
wave channel all other pairs: only that split does not depend on the basis chosen in the subspace. To make it exact,
frequencies and linewidths of degenerate modes are replaced by their means before the sum.

Modes below a cutoff, imaginary modes and modes without a linewidth carry nothing (`left_out_fraction` says how many):
the sum has no meaning for them, and a result with many of them is not converged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.heat.capacity import mode_heat_capacity
from aiida_iontherm.physics.lattice.linewidths import average_degenerate, degenerate_sets
from aiida_iontherm.physics.lattice.phonons import Phonons
from aiida_iontherm.physics.lattice.tensors import VOIGT, from_voigt, symmetrise_tensor
from aiida_iontherm.physics.units import KB


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
) -> TwoChannel:
    """Conductivity of both channels, symmetrised with the point group of the crystal.

    Parameters
    ----------
    phonons
        Harmonic solution at the points of the linewidths.
    gamma_thz
        Half widths at half maximum [T, q, s] in THz.
    temperatures
        In K [T].
    degeneracy_thz
        Neighbouring modes closer than this are degenerate.
    cutoff_thz
        Modes below this frequency are left out.

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
    products = velocity_products(phonons.velocity_operator)
    channels = [
        two_channel_sum(
            phonons.frequencies_thz,
            products,
            phonons.weights,
            gamma[i],
            float(temperature),
            phonons.volume_A3,
            degeneracy_thz=degeneracy_thz,
            cutoff_thz=cutoff_thz,
        )
        for i, temperature in enumerate(kelvin)
    ]
    symmetric = symmetrise_tensor(np.array(channels), phonons.rotations)
    return TwoChannel(kelvin, symmetric[:, 0], symmetric[:, 1])


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
    """Particle and wave channel [3, 3] in W/(m K) at one temperature, not yet symmetrised (`symmetrise_tensor`).

    Parameters
    ----------
    frequencies_thz
        Frequencies [q, s].
    products
        `velocity_products` [q, 6, s, s] in m^2/s^2; taken point by point, so that an array on disk serves too.
    weights
        Mesh points each q stands for [q].
    gamma_thz
        Half widths [q, s] in THz at this temperature.
    temperature
        In K.
    volume_A3
        Volume of the primitive cell in Angstrom^3.
    degeneracy_thz, cutoff_thz
        As in `two_channel`.
    """
    particle, wave = mode_contributions(
        frequencies_thz,
        products,
        weights,
        gamma_thz,
        temperature,
        volume_A3,
        degeneracy_thz=degeneracy_thz,
        cutoff_thz=cutoff_thz,
    )
    return from_voigt(particle.sum(axis=(0, 1))), from_voigt(wave.sum(axis=(0, 1)))


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

    Parameters as in `two_channel_sum`. The wave contribution of a pair goes to its two modes in proportion to their
    heat capacities, C_s / (C_s + C_s'), as in Simoncelli, Marzari and Mauri, Phys. Rev. X 12, 041011 (2022).
    The contributions hold the weights and the 1/N_q of the mesh: their plain sum is the conductivity.
    """
    if not temperature > 0:
        raise ValueError(f"the temperature must be positive, not {temperature} K")
    frequencies, gamma, counts = _checked(frequencies_thz, gamma_thz, weights)
    if len(products) != len(frequencies):
        raise ValueError(f"{len(products)} velocity products for {len(frequencies)} q-points")
    kept = _kept(frequencies, gamma, cutoff_thz)
    sets = degenerate_sets(frequencies, degeneracy_thz)
    frequencies = average_degenerate(frequencies, frequencies, degeneracy_thz)
    gamma = average_degenerate(frequencies, gamma, degeneracy_thz)
    # 1e-12: gamma in THz to a time in s; 1e-30: Angstrom^3 to m^3.
    scale = counts / counts.sum() * 1e-12 / (2 * np.pi * volume_A3 * 1e-30)
    particle = np.zeros((*frequencies.shape, 6))
    wave = np.zeros_like(particle)
    for q in range(len(frequencies)):
        index = np.flatnonzero(kept[q])
        f, g, number = frequencies[q, index], gamma[q, index], sets[q, index]
        capacity = KB * mode_heat_capacity(f, temperature)
        widths = g[:, None] + g[None, :]
        per_frequency = capacity / f
        pair = (f[:, None] + f[None, :]) / 4 * (per_frequency[:, None] + per_frequency[None, :])
        pair *= widths / ((f[:, None] - f[None, :]) ** 2 + widths**2) * scale[q]
        degenerate = number[:, None] == number[None, :]
        # Twice the share: the pair (s, s') stands in the sum a second time as (s', s).
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.where(
                capacity[:, None] + capacity[None, :] > 0,
                2 * capacity[:, None] / (capacity[:, None] + capacity[None, :]),
                1.0,
            )
        product = np.asarray(products[q])[:, index[:, None], index[None, :]]
        particle[q, index] = np.einsum("ast,st->sa", product, np.where(degenerate, pair, 0.0))
        wave[q, index] = np.einsum("ast,st->sa", product, np.where(degenerate, 0.0, pair * share))
    return particle, wave


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
    return float(counts @ np.mean(~_kept(frequencies, gamma, cutoff_thz), axis=1) / counts.sum())


def _kept(frequencies: NDArray[np.float64], gamma: NDArray[np.float64], cutoff_thz: float) -> NDArray[np.bool_]:
    return (frequencies >= cutoff_thz) & (frequencies > 0) & (gamma > 0)


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
