"""Constants and unit conversions, from the CODATA values of SciPy.

Boundaries use Angstrom, eV, ps, K, amu and THz (ordinary frequency, not angular);
kappa is in W/(m K), D in cm^2/s, sigma in S/m.
"""

from scipy import constants as _c

KB_EV = _c.k / _c.e
"""Boltzmann constant in eV/K."""

KB = _c.k
"""Boltzmann constant in J/K."""

HBAR = _c.hbar
"""Reduced Planck constant in J s."""

H_EV_THZ = _c.h / _c.e * 1e12
"""Planck constant in eV/THz: energy of a quantum of an ordinary frequency of 1 THz."""

ELEMENTARY_CHARGE = _c.e
"""Elementary charge in C."""

AMU = _c.atomic_mass
"""Atomic mass unit in kg."""

ANGSTROM2_PER_PS_TO_CM2_PER_S = 1e-4
"""1 Angstrom^2/ps = 1e-20 m^2 / 1e-12 s = 1e-8 m^2/s = 1e-4 cm^2/s."""

EV_PER_ANGSTROM3_TO_GPA = _c.e * 1e21
"""1 eV/Angstrom^3 in GPa."""
