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

EV_PER_PS_ANGSTROM_KELVIN_TO_W_PER_M_K = _c.e * 1e22
"""1 eV/(ps Angstrom K) = 1.602e-19 J / (1e-12 s * 1e-10 m * K) in W/(m K)."""

KCAL_PER_MOL_EV = 1e3 * _c.calorie / (_c.N_A * _c.e)
"""1 kcal/mol in eV."""

HEAT_CURRENT_UNITS = {
    "metal": 1.0,
    "eVA/ps": 1.0,
    "eVA/fs": 1e3,
    "real": KCAL_PER_MOL_EV * 1e3,
    "ase": (_c.e / _c.atomic_mass) ** 0.5 * 1e-2,
    "atomic": _c.value("Hartree energy in eV") * _c.value("Bohr radius") / _c.value("atomic unit of time") * 1e-2,
    "si": 1e-2 / _c.e,
}
"""Unit of a heat current (energy times length over time) in eV Angstrom/ps.

metal and real are those of LAMMPS (eV Angstrom/ps, kcal/mol Angstrom/fs); ase is eV Angstrom per Angstrom sqrt(amu/eV);
atomic is Hartree bohr per atomic unit of time; si is W m.
"""
