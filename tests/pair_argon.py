"""Solid argon with pairs of nearest neighbours alone: a moment tensor potential fitted to a Lennard-Jones potential."""

import numpy as np
from ase import Atoms
from ase.build import bulk
from numpy.polynomial import chebyshev

from aiida_iontherm.physics.mtp import MomentTensorPotential

CUTOFF, MIN_DISTANCE, CHEBYSHEV = 5.0, 2.9, 10


def pair_argon() -> MomentTensorPotential:
    """Lennard-Jones potential (119.8 K, 3.405 Angstrom) times (1 - r/5)^2/(1 - 3.7/5)^2, with r in Angstrom."""
    blank = MomentTensorPotential.new(
        level=2, species=["Ar"], cutoff=CUTOFF, min_distance=MIN_DISTANCE, radial_size=CHEBYSHEV
    )
    r = np.linspace(MIN_DISTANCE, CUTOFF, 500)
    x = (2 * r - MIN_DISTANCE - CUTOFF) / (CUTOFF - MIN_DISTANCE)
    attraction = (3.405 / r) ** 6
    half = 2 * 0.010324 * (attraction**2 - attraction) / (CUTOFF - 3.7) ** 2
    coefficients = chebyshev.chebfit(x, half, CHEBYSHEV - 1)
    return blank.replace(
        radial_coeffs=coefficients[None, None, None] / blank.scaling,
        moment_coeffs=np.ones(1),
        species_coeffs=np.zeros(1),
    )


def argon() -> Atoms:
    """Cubic cell of four atoms at a pressure of about zero."""
    return bulk("Ar", "fcc", a=5.15, cubic=True)
