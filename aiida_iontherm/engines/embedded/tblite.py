"""GFN1-xTB through tblite (C. Bannwarth et al., WIREs Comput. Mol. Sci. 11, e1493 (2021)): Gamma point, large cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ase.data import chemical_symbols

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

PACKAGES = ("tblite",)

ELEMENTS = frozenset(chemical_symbols[1:87])


def make(method: str = "GFN1-xTB", accuracy: float = 1.0) -> Calculator:
    """Return the calculator; only the Gamma point is sampled, so cells must be large."""
    try:
        from tblite.ase import TBLite
    except ImportError as error:
        raise ImportError("tblite is not installed: pip install 'aiida-iontherm[tblite]'") from error
    return TBLite(method=method, accuracy=accuracy, verbosity=0)
