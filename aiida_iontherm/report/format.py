"""Results as text: one way of writing a number with its error bar, for the page and the terminal alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from aiida_iontherm.physics.quantity import Quantity

VALUE_DIGITS = 3
"""Significant digits at most of a value that has no error bar; no zeros are added behind it."""

BOUND_DIGITS = 2
"""Significant digits of a bound."""

UNCERTAINTY_DIGITS = 2
"""Significant digits of an error bar; the value is cut at the same place."""

PLAIN_FROM, PLAIN_TO = 1e-3, 1e5
"""Numbers outside this range are written with a power of ten."""

NOT_DETERMINED = "not determined"

_LABELS = {
    "kappa_particle": "κ particle-like",
    "kappa_wave": "κ wave-like",
    "kappa_total": "κ total",
    "kappa_green_kubo": "κ Green–Kubo",
    "particle_like_modes": "particle-like modes",
    "wave_like_modes": "wave-like modes",
    "overdamped_modes": "overdamped modes",
    "E_A": "activation energy",
    "n_c": "critical phonon number",
    "n_0": "equilibrium phonon number",
    "sigma": "σ",
    "sigma_nernst_einstein": "σ (Nernst–Einstein)",
    "haven_ratio": "Haven ratio",
}


def direction_text(direction: str | None) -> str:
    """Return ``xx`` as ``x``, other components unchanged, and an empty text for none."""
    if direction and len(direction) == 2 and direction[0] == direction[1]:
        return direction[0]
    return direction or ""


def label(name: str) -> str:
    """Return the words for a quantity's name: ``D_Cu`` -> ``D(Cu)``, ``mobile_fraction`` -> ``mobile fraction``."""
    if name in _LABELS:
        return _LABELS[name]
    head, _, tail = name.partition("_")
    if head in ("D", "sigma") and tail:
        return f"{'σ' if head == 'sigma' else head}({tail})"
    if head == "kappa" and tail:
        return f"κ {tail.replace('_', ' ')}"
    return name.replace("_", " ")


def temperature_text(temperature: float | tuple[float, float] | None) -> str:
    """Return e.g. ``300 K`` or ``200–400 K``, empty for none."""
    if isinstance(temperature, tuple):
        return f"{temperature[0]:g}–{temperature[1]:g} K"
    return "" if temperature is None else f"{temperature:g} K"


def unit_text(unit: str) -> str:
    """Return the unit with superscripts (``cm^2/s`` -> ``cm²/s``); empty for the dimensionless ``1``."""
    if unit == "1":
        return ""
    spelling = {"W/m/K": "W/(m K)", "cm2/s": "cm^2/s"}.get(unit, unit)
    return spelling.replace("^2", "²").replace("^3", "³").replace("Angstrom", "Å")


def _exponent(number: float) -> int:
    """Return the power of ten of the first significant digit."""
    return math.floor(math.log10(abs(number)))


def _last_place(number: float, digits: int) -> int:
    """Return the power of ten of the last of `digits` significant digits, after rounding."""
    place = _exponent(number) - digits + 1
    # 0.0996 rounds to 0.10, whose second digit is one place further left.
    return _exponent(round(number, -place)) - digits + 1


def _fixed(number: float, place: int) -> str:
    """Write a number rounded at 10**place."""
    text = f"{round(number, -place):.{max(-place, 0)}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def _bound_text(value: float, bound: str) -> str:
    if value == 0:
        return "0"
    # Twelve digits first, so that 1.2000000000000002e-6 is not pushed to the next step.
    exact = Decimal(f"{value:.11e}")
    step = Decimal(1).scaleb(exact.adjusted() - BOUND_DIGITS + 1)
    # A limit is rounded away from the claim: never tighter than what was found.
    rounded = exact.quantize(step, rounding=ROUND_CEILING if bound == "upper" else ROUND_FLOOR)
    return _value_text(float(rounded), BOUND_DIGITS)


def _value_text(value: float, digits: int) -> str:
    if value == 0:
        return "0"
    place = _last_place(value, digits)
    if PLAIN_FROM <= abs(value) < PLAIN_TO:
        return _fixed(value, place)
    power = place + digits - 1
    return f"{_fixed(value / 10.0**power, 1 - digits)}e{power}"


def _bare_text(value: float) -> str:
    """Write a value that has no error bar: zeros at the end would claim digits nobody gave."""
    number, _, power = _value_text(value, VALUE_DIGITS).partition("e")
    if "." in number:
        number = number.rstrip("0").rstrip(".")
    return f"{number}e{power}" if power else number


def format_number(value: float, uncertainty: float | None = None, bound: str | None = None) -> str:
    """Write a number with its error bar or as a bound.

    Parameters
    ----------
    value
        The number.
    uncertainty
        Error bar; it is written with two significant digits and the value is cut at the same place.
        Without one the value has up to three significant digits.
    bound
        ``"upper"`` or ``"lower"``: the value is written with ``<`` or ``>`` and two digits, rounded to the
        weaker side, without an error bar.

    Returns
    -------
    str
        E.g. ``0.163 ± 0.012``, ``(9.3 ± 1.2)e-8``, ``< 1.2e-6``.
    """
    if bound is not None:
        return f"{'<' if bound == 'upper' else '>'} {_bound_text(value, bound)}"
    if uncertainty is None:
        return _bare_text(value)
    if uncertainty == 0:
        return f"{_bare_text(value)} ± 0"
    largest = max(abs(value), uncertainty)
    place = _last_place(uncertainty, UNCERTAINTY_DIGITS)
    if PLAIN_FROM <= largest < PLAIN_TO:
        return f"{_fixed(value, place)} ± {_fixed(uncertainty, place)}"
    power = _exponent(largest)
    scale = 10.0**power
    return f"({_fixed(value / scale, place - power)} ± {_fixed(uncertainty / scale, place - power)})e{power}"


def format_value(quantity: Quantity) -> str:
    """Write a result without its unit; ``not determined`` where it has no value."""
    if quantity.value is None:
        return NOT_DETERMINED
    return format_number(quantity.value, quantity.uncertainty, quantity.bound)


def format_quantity(quantity: Quantity) -> str:
    """Write a result with its error bar (or as a bound) and its unit, e.g. ``0.163 ± 0.012 W/(m K)``."""
    text = format_value(quantity)
    return text if quantity.value is None or quantity.unit == "1" else f"{text} {quantity.unit}"


def verdict(quantity: Quantity) -> str:
    """Return the verdict in words: ``converged``, ``limit``, ``not converged`` or ``no value``."""
    if quantity.value is None:
        return "no value"
    if not quantity.converged:
        return "not converged"
    return "limit" if quantity.bound else "converged"


@dataclass(frozen=True)
class ResultRow:
    """One line of the results table, all text."""

    name: str
    temperature: str
    direction: str
    value: str
    verdict: str
    reason: str
    method: str
    uuid: str


def results_table(quantities: Sequence[Quantity]) -> list[ResultRow]:
    """Return one row of text per result, in the order given, for the page and the terminal."""
    return [
        ResultRow(
            name=label(quantity.name),
            temperature=temperature_text(quantity.temperature),
            direction=direction_text(quantity.direction),
            value=format_quantity(quantity),
            verdict=verdict(quantity),
            reason=quantity.reason,
            method=quantity.method,
            uuid=quantity.uuid or "",
        )
        for quantity in quantities
    ]
