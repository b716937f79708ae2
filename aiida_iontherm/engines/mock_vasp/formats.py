"""Fortran's way with numbers."""

from __future__ import annotations

from math import floor, log10

RULE = "-" * 104
VERSION = "6.3.0"
"""The version whose formats are followed."""


def exponential(number: float, digits: int, leading_zero: bool = True) -> str:
    """Format as Fortran's E does, mantissa below one: 0.12346E+03, or .12346E+03 without the leading zero."""
    if number == 0:
        exponent, mantissa = 0, 0.0
    else:
        exponent = floor(log10(abs(number))) + 1
        mantissa = round(number / 10.0**exponent, digits)
        if abs(mantissa) >= 1:
            mantissa, exponent = mantissa / 10, exponent + 1
    text = f"{mantissa:.{digits}f}E{exponent:+03d}"
    return text if leading_zero else text.replace("0.", ".", 1)


def seconds(electronic_steps: int) -> float:
    """CPU time written for a number of electronic steps: from the count, for the same inputs give the same files."""
    return 0.01 * electronic_steps
