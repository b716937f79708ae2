"""Checks of input that ask back where a number looks as if it came in another unit."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

LARGEST_BARRIER_EV = 10.0
"""Above it an energy is not that of a jump in a solid, but one in meV or kJ/mol."""

LARGEST_FREQUENCY_THZ = 150.0
"""Above it there are no vibrations (that of H2 has 132 THz), but numbers in 1/cm or Hz."""


def barriers(energy_ev: ArrayLike) -> NDArray[np.float64]:
    """Activation energies in eV as an array.

    Raises
    ------
    ValueError
        If one is negative, not a number, or so large that it cannot be in eV.
    """
    energies = np.asarray(energy_ev, dtype=float)
    if not np.all(energies >= 0):
        raise ValueError("activation energies must not be negative")
    if np.any(energies > LARGEST_BARRIER_EV):
        raise ValueError(
            f"an activation energy of {np.max(energies):g} eV is none of a solid: is it in meV or kJ/mol? "
            "Divide by 1000 or 96.485"
        )
    return energies


def frequencies(frequency_thz: ArrayLike) -> NDArray[np.float64]:
    """Frequencies in THz as an array.

    Raises
    ------
    ValueError
        If one is not positive, or so large that it cannot be in THz.
    """
    values = np.asarray(frequency_thz, dtype=float)
    if not np.all(values > 0):
        raise ValueError("frequencies must be positive: leave out imaginary and zero modes")
    if np.any(values > LARGEST_FREQUENCY_THZ):
        raise ValueError(
            f"no crystal vibrates at {np.max(values):g} THz: is it in 1/cm or Hz? Divide by 33.356 or 1e12"
        )
    return values


def temperatures(temperature: ArrayLike) -> NDArray[np.float64]:
    """Temperatures in K as an array.

    Raises
    ------
    ValueError
        If one is not positive.
    """
    values = np.asarray(temperature, dtype=float)
    if not np.all(values > 0):
        raise ValueError("temperatures must be positive, in K: at 0 K nothing is excited and no ion jumps")
    return values


def standard_error(value: float | None, name: str) -> float:
    """Return a standard error, with zero for ``None``.

    Raises
    ------
    ValueError
        If it is negative or not finite.
    """
    error = 0.0 if value is None else float(value)
    if not (error >= 0 and np.isfinite(error)):
        raise ValueError(f"the standard error of {name} must be a number that is not negative, not {error:g}")
    return error
