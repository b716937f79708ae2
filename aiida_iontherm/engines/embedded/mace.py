"""MACE (I. Batatia et al., arXiv:2206.07697): a potential from a model file that you bring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ase.data import chemical_symbols

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

PACKAGES = ("mace",)

ELEMENTS = frozenset(chemical_symbols[1:90])
"""Elements of the universal models; a model file for fewer refuses the rest itself."""


def make(model: str, default_dtype: str = "float64") -> Calculator:
    """Return the calculator of the model file `model`."""
    try:
        from mace.calculators import MACECalculator
    except ImportError as error:
        raise ImportError("mace is not installed: pip install 'aiida-iontherm[mace]'") from error
    return MACECalculator(model_paths=model, device="cpu", default_dtype=default_dtype)
