"""Lennard-Jones argon, for trying out and testing the chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

PACKAGES = ()

ELEMENTS = frozenset({"Ar"})


def make(epsilon: float = 0.0104, sigma: float = 3.40, cutoff: float = 7.0) -> Calculator:
    """Return the calculator; epsilon in eV, sigma and cutoff in Angstrom (argon: A. Rahman, Phys. Rev. 136, A405)."""
    from ase.calculators.lj import LennardJones

    return LennardJones(epsilon=epsilon, sigma=sigma, rc=cutoff, ro=0.8 * cutoff, smooth=True)
