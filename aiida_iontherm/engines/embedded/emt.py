"""Effective medium theory of ASE: late transition metals in a blink, for trying out and testing the chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

PACKAGES = ()

ELEMENTS = frozenset({"Al", "Ni", "Cu", "Pd", "Ag", "Pt", "Au"})
"""Metals of K. W. Jacobsen et al., Surf. Sci. 366, 394 (1996)."""


def make() -> Calculator:
    """Return the calculator."""
    from ase.calculators.emt import EMT

    return EMT()
