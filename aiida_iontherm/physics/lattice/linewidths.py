"""Linewidths: the one convention, and the scattering that adds to them.

Convention, used everywhere in this room: ``gamma_thz`` is the half width at half maximum of the mode's spectral
line in ordinary frequency (THz, not rad/ps), the same number as phono3py's ``gamma``. Hence

    lifetime of the population   tau = 1 / (4 pi gamma),
    scattering rate              Gamma = 1 / tau = 4 pi gamma   (the full width in rad/ps; Gamma of Eq. 5 of the
                                                                 two-channel formula),
    full width at half maximum   2 gamma in THz.

1 THz of gamma is a lifetime of 1/(4 pi) = 0.0796 ps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.lattice.phonons import Phonons


def matthiessen(*gammas: ArrayLike) -> NDArray[np.float64]:
    """Sum of independent scattering: the linewidths of separate processes add (Matthiessen's rule).

    Parameters
    ----------
    gammas
        Half widths in THz, of shapes that broadcast: [T, q, s] with [q, s], for instance.
    """
    if not gammas:
        raise ValueError("give at least one set of linewidths")
    total = np.asarray(gammas[0], dtype=float)
    for gamma in gammas[1:]:
        total = total + np.asarray(gamma, dtype=float)
    return total


def boundary_gamma(phonons: Phonons, length_m: float) -> NDArray[np.float64]:
    """Half width in THz [q, s] from diffuse scattering at boundaries a length apart (Casimir): tau = length / |v|.

    Group velocities are the diagonal of the velocity operator, their squares averaged over degenerate modes so that
    the result does not depend on the basis chosen in a degenerate subspace.
    """
    if not length_m > 0:
        raise ValueError(f"the boundary length must be positive, not {length_m} m")
    operator = phonons.velocity_operator
    diagonal = np.einsum("qass->qsa", operator).real
    speeds = np.sqrt(average_degenerate(phonons.frequencies_thz, np.sum(diagonal**2, axis=-1)))
    return speeds / length_m / (4 * np.pi) * 1e-12


def degenerate_sets(frequencies_thz: ArrayLike, tolerance_thz: float = 1e-4) -> NDArray[np.int64]:
    """Label each mode with the number of its degenerate set [..., s].

    Modes belong together when neighbours in frequency are closer than the tolerance, so that membership is the same
    for every pair of a set.
    """
    frequencies = np.asarray(frequencies_thz, dtype=float)
    order = np.argsort(frequencies, axis=-1, kind="stable")
    gaps = np.diff(np.take_along_axis(frequencies, order, axis=-1), axis=-1) >= tolerance_thz
    numbers = np.concatenate([np.zeros((*gaps.shape[:-1], 1), dtype=np.int64), np.cumsum(gaps, axis=-1)], axis=-1)
    result = np.empty_like(numbers)
    np.put_along_axis(result, order, numbers, axis=-1)
    return result


def average_degenerate(
    frequencies_thz: ArrayLike, values: ArrayLike, tolerance_thz: float = 1e-4
) -> NDArray[np.float64]:
    """Replace the values of degenerate modes by their mean.

    Parameters
    ----------
    frequencies_thz
        Frequencies [q, s] that decide which modes are degenerate.
    values
        Values [..., q, s], linewidths for instance.
    tolerance_thz
        Modes closer than this are degenerate.
    """
    return mean_over_sets(degenerate_sets(frequencies_thz, tolerance_thz), values)


def mean_over_sets(numbers: NDArray[np.int64], values: ArrayLike) -> NDArray[np.float64]:
    """Replace values [..., q, s] by the means over the sets that `degenerate_sets` numbered [q, s]."""
    modes = np.asarray(values, dtype=float)
    width = numbers.shape[-1]
    # A number for each set of all points, so that all sums are one.
    labels = (numbers + width * np.arange(numbers.size // width).reshape(*numbers.shape[:-1], 1)).ravel()
    counts = np.bincount(labels)
    layers = modes.reshape(-1, labels.size)
    means = [np.bincount(labels, layer)[labels] / counts[labels] for layer in layers]
    return np.array(means).reshape(modes.shape)
