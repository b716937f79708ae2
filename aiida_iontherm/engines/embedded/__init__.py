"""Embedded engines: ASE calculators by name, evaluated inside the task process.

An engine is a factory in a module of its own, registered as an entry point of the group ``iontherm.calculators``;
other packages add theirs the same way.
"""

from aiida_iontherm.engines.embedded.registry import (
    EngineError,
    available_engines,
    check_elements,
    make_calculator,
    missing_packages,
    takes_dft,
    unsolved,
)

__all__ = [
    "EngineError",
    "available_engines",
    "check_elements",
    "make_calculator",
    "missing_packages",
    "takes_dft",
    "unsolved",
]
