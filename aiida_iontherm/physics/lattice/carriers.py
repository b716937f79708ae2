"""Who carries the heat: the conductivity by frequency, mean free path or species, and its Allen-Feldman limit.

All of it starts from the contributions of the modes (`PairSum.by_mode`), [q, s, 6] in W/(m K), whose plain sum is the
conductivity.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.heat.capacity import mode_heat_capacity
from aiida_iontherm.physics.lattice.linewidths import average_degenerate
from aiida_iontherm.physics.lattice.pair_sum import PairSum
from aiida_iontherm.physics.lattice.phonons import Phonons
from aiida_iontherm.physics.lattice.tensors import from_voigt, symmetrise_tensor
from aiida_iontherm.physics.units import KB


def cumulative(
    values: ArrayLike, contributions: ArrayLike, at: ArrayLike, rotations: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Conductivity of all modes whose value does not exceed a limit, [n, 3, 3] in W/(m K).

    Parameters
    ----------
    values
        What to accumulate over, one number for each mode [q, s]: frequency, lifetime, mean free path. Modes whose
        value is not a number are left out.
    contributions
        One channel, or the sum of both [q, s, 6].
    at
        The limits, ascending [n].
    rotations
        Point group to symmetrise with [r, 3, 3], or ``None``.

    Raises
    ------
    ValueError
        If shapes do not match or the limits do not ascend.
    """
    limits = np.asarray(at, dtype=float)
    ordinates, parts = np.asarray(values, dtype=float), np.asarray(contributions, dtype=float)
    if parts.shape != (*ordinates.shape, 6):
        raise ValueError(f"contributions {parts.shape} do not match the modes {ordinates.shape}: need [q, s, 6]")
    if limits.ndim != 1 or np.any(np.diff(limits) < 0):
        raise ValueError("the limits to accumulate up to must ascend")
    kept = ~np.isnan(ordinates)
    place = np.searchsorted(limits, ordinates[kept], side="left")
    steps = np.array([np.bincount(place, column, len(limits) + 1)[:-1] for column in parts[kept].T]).T
    total = from_voigt(np.cumsum(steps, axis=0))
    return total if rotations is None else symmetrise_tensor(total, rotations)


def mean_free_paths_nm(phonons: Phonons, gamma_thz: ArrayLike) -> NDArray[np.float64]:
    """Mean free path of each mode, |v| tau in nm [q, s] with tau = 1/(4 pi gamma); not a number without a linewidth.

    The squares of the velocities are averaged over degenerate modes.
    """
    gamma = np.asarray(gamma_thz, dtype=float)
    diagonal = np.einsum("qass->qsa", phonons.velocity_operator).real
    speeds = np.sqrt(average_degenerate(phonons.frequencies_thz, np.sum(diagonal**2, axis=-1)))
    # m/s times ps is 1e-3 nm
    return np.where(gamma > 0, speeds * 1e-3 / (4 * np.pi * np.where(gamma > 0, gamma, 1.0)), np.nan)


def by_species(
    contributions: ArrayLike, shares: Mapping[str, ArrayLike], rotations: ArrayLike | None = None
) -> dict[str, NDArray[np.float64]]:
    """Divide a conductivity among the species by their shares in the eigenvectors, [3, 3] in W/(m K) each.

    Parameters
    ----------
    contributions
        One channel, or the sum of both [q, s, 6].
    shares
        Species to sum over its atoms of |e_i|^2 for each mode [q, s]; they add up to one for each mode.
    rotations
        Point group to symmetrise with [r, 3, 3], or ``None``.
    """
    parts = np.asarray(contributions, dtype=float)
    divided = {
        species: from_voigt(np.einsum("qs,qsv->v", np.asarray(share, dtype=float), parts))
        for species, share in shares.items()
    }
    if rotations is None:
        return divided
    return {species: symmetrise_tensor(tensor, rotations) for species, tensor in divided.items()}


def average_diffuson_frequency(frequencies_thz: ArrayLike, wave: ArrayLike) -> float:
    """Mean frequency of the wave channel in THz, weighted with the trace of what each mode adds to it.

    Bernges et al. (Adv. Energy Mater. 12, 2200717 (2022)) find 2.3 THz for Ag8GeSe6 from their spectral two-channel
    calculation.

    Parameters
    ----------
    frequencies_thz
        Frequencies [q, s].
    wave
        Contributions to the wave channel [q, s, 6].

    Raises
    ------
    ValueError
        If the wave channel is empty.
    """
    amounts = np.asarray(wave, dtype=float)[..., :3].sum(axis=-1)
    total = float(amounts.sum())
    if not total > 0:
        raise ValueError("the wave channel is empty: there is no frequency to average")
    return float(np.sum(np.asarray(frequencies_thz, dtype=float) * amounts)) / total


def allen_feldman(
    pairs: PairSum, broadening_thz: float, temperature: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Harmonic limit of the wave channel: heat between modes of the same frequency, lifetimes infinite.

    P. B. Allen and J. L. Feldman, Phys. Rev. B 48, 12581 (1993): kappa = 1/V sum_s C_s D_s, with a delta function of
    frequency in D_s. It is broadened to a Lorentzian here, eta/(f^2 + eta^2)/pi, which is the two-channel sum with the
    linewidth eta/2 for every mode. In a crystal the bands at one q-point are discrete, so the limit makes sense for a
    broadening above their mean spacing: large cells, glasses.

    Parameters
    ----------
    pairs
        Velocity products of the crystal.
    broadening_thz
        Half width eta of the Lorentzian in THz. Look for a range of it in which the result stands still.
    temperature
        In K.

    Returns
    -------
    conductivity
        [3, 3] in W/(m K).
    diffusivity
        Of each mode, a third of the trace, in mm^2/s [q, s]: contribution over heat capacity; zero where nothing is
        carried.

    Raises
    ------
    ValueError
        If broadening or temperature is not positive.
    """
    if not broadening_thz > 0:
        raise ValueError(f"the broadening must be positive, not {broadening_thz} THz")
    frequencies = pairs.frequencies_thz
    widths = np.full(frequencies.shape, broadening_thz / 2)
    _, wave = pairs.channels(widths, temperature)
    _, parts = pairs.by_mode(widths, temperature)
    carried = np.where(frequencies > 0, frequencies, 1.0)
    # J/(m^3 K): weights and volume are in `parts` too
    capacity = KB * mode_heat_capacity(carried, temperature) * pairs.modes_per_m3[:, None]
    diffusivity = parts[..., :3].sum(axis=-1) / (3 * capacity) * 1e6
    return wave, np.where(frequencies > 0, diffusivity, 0.0)
