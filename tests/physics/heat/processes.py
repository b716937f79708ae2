"""Stochastic currents whose zero-frequency spectrum is known in closed form."""

import numpy as np
from scipy.signal import lfilter

from aiida_iontherm.physics.heat.cepstral import kappa_per_power

TEMPERATURE, VOLUME, STEP_FS = 300.0, 1000.0, 1.0
WHERE = (STEP_FS, TEMPERATURE, VOLUME)

SETTLE = 2000
"""Samples left out: the slowest process here forgets its start in 500."""

RESONANT = (1.0, -2 * 0.97 * np.cos(0.3), 0.97**2)
"""AR(2) with a peak at 0.3/(2 pi dt), like an optical band."""


def filtered(rng, polynomial, n, scale=1.0):
    """AR process polynomial(B) x = scale * white noise [n, 3]; its spectrum at zero is dt (scale/polynomial(1))^2."""
    noise = scale * rng.normal(size=(n + SETTLE, 3))
    return lfilter([1.0], polynomial, noise, axis=0)[SETTLE:]


def ar1(rng, phi, n, scale=1.0):
    """Ornstein-Uhlenbeck process at discrete times."""
    return filtered(rng, [1.0, -phi], n, scale)


def zero_power(polynomial, scale=1.0):
    """S(0) in ps (times the unit of the current squared)."""
    return STEP_FS * 1e-3 * (scale / np.sum(polynomial)) ** 2


def kappa_of(power):
    """kappa = S(0)/(2 kB T^2 V)."""
    return 0.5 * kappa_per_power(TEMPERATURE, VOLUME) * power
