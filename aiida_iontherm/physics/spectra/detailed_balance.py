"""Occupation factors of spectra S(Q, E) with energy gain and loss, E > 0 where the sample takes up energy.

With x = E/kT detailed balance is S(E) = exp(x) S(-E). A classical spectrum is even; in the harmonic crystal

    S_quantum(E) = x/(1 - exp(-x)) S_classical(E),

exact for one phonon, an approximation beyond.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_iontherm.physics.units import AMU, H_EV_THZ, HBAR, KB_EV

MEV_PER_THZ = 1e3 * H_EV_THZ
"""Energy of a quantum of 1 THz in meV."""

HBAR_MEV_PS = MEV_PER_THZ / (2 * np.pi)
"""Reduced Planck constant in meV ps."""

HBAR2_PER_AMU = HBAR_MEV_PS * HBAR / AMU * 1e8
"""hbar^2 over 1 amu in meV Angstrom^2."""

KB_MEV = 1e3 * KB_EV
"""Boltzmann constant in meV/K."""


def harmonic_correction(energies_mev: ArrayLike, temperature: float) -> NDArray[np.float64]:
    """x/(1 - exp(-x)) with x = E/kT, 1 at E = 0; quantum over classical S of harmonic motion [n].

    Raises
    ------
    ValueError
        If the temperature is not positive.
    """
    x = _reduced(energies_mev, temperature)
    # -expm1(-x) is exact for small x, and negative with x; where both vanish the ratio is 1.
    small = np.abs(x) < 1e-12
    safe = np.where(small, 1.0, x)
    with np.errstate(over="ignore"):
        return np.where(small, 1.0, safe / -np.expm1(-safe))


def loss_and_gain(
    energies_mev: ArrayLike, temperature: float, *, classical: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """N + 1 and n, the weights of creating and of taking up a phonon; kT/E for both in the classical crystal."""
    x = _reduced(energies_mev, temperature)
    if classical:
        return 1 / x, 1 / x
    with np.errstate(over="ignore"):
        n = 1 / np.expm1(x)
    return n + 1, n


def _reduced(energies_mev: ArrayLike, temperature: float) -> NDArray[np.float64]:
    if not (np.isfinite(temperature) and temperature > 0):
        raise ValueError(f"the temperature must be positive, not {temperature} K")
    return np.asarray(energies_mev, dtype=float) / (KB_MEV * temperature)
