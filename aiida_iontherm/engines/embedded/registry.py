"""Find embedded engines by name and check them before anything expensive starts."""

from __future__ import annotations

import difflib
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ase.calculators.calculator import Calculator

GROUP = "iontherm.calculators"


class EngineError(ValueError):
    """An engine is unknown, not installed, or does not cover the compound."""


def available_engines() -> list[str]:
    """Names of the registered engines, installed or not."""
    return sorted(point.name for point in entry_points(group=GROUP))


def make_calculator(name: str, options: dict[str, Any] | None = None) -> Calculator:
    """Return an ASE calculator.

    Parameters
    ----------
    name : str
        One of `available_engines`.
    options : dict
        Passed to the engine's factory.

    Raises
    ------
    EngineError
        If the engine is unknown, needs a package that is not installed, or refuses the options.
    """
    factory = _load(name).make
    try:
        return factory(**(options or {}))
    except ImportError as error:
        raise EngineError(f"the engine {name} needs a package that is not installed ({error})") from error
    except TypeError as error:
        raise EngineError(f"the engine {name} does not take these options: {error}") from error
    except ValueError as error:
        raise EngineError(str(error)) from error


def missing_packages(name: str) -> list[str]:
    """Return the packages an engine needs that are not installed here; looks without importing."""
    return [package for package in _load(name).PACKAGES if find_spec(package) is None]


def takes_dft(name: str) -> bool:
    """Say whether an engine solves for the electron density, and so takes the settings of `engines.dft`."""
    return bool(getattr(_load(name), "TAKES_DFT", False))


def unsolved(name: str, error: Exception) -> bool:
    """Say whether an engine means by an exception that it could not solve one structure; others may be well.

    Beside ASE's own exceptions for this, those whose names a module lists as ``UNSOLVED``.
    """
    from ase.calculators.calculator import CalculationFailed, SCFError

    named = getattr(_load(name), "UNSOLVED", ())
    return isinstance(error, CalculationFailed | SCFError) or type(error).__name__ in named


def check_elements(name: str, symbols: Iterable[str]) -> None:
    """Raise `EngineError` if the engine does not know one of the elements."""
    known = _load(name).ELEMENTS
    missing = sorted(set(symbols) - set(known))
    if missing:
        raise EngineError(
            f"the engine {name} does not know {', '.join(missing)}: choose another with --engine "
            f"({', '.join(available_engines())})"
        )


def _load(name: str) -> Any:
    points = {point.name: point for point in entry_points(group=GROUP)}
    if name not in points:
        close = difflib.get_close_matches(name, points, n=1)
        hint = f"; did you mean {close[0]}?" if close else f": there are {', '.join(sorted(points))}"
        raise EngineError(f"there is no embedded engine {name}{hint}")
    return points[name].load()
