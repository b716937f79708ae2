"""Numbers from text files, all of them or an error that says what is wrong."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def read_text(path: Path) -> str:
    """Text of a file.

    Raises
    ------
    ValueError
        If there is none, or it is not text.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is not a text file: is it the right one?") from error


def read_lines_of_text(path: Path) -> str:
    """Text of a file whose writer ends every line.

    Raises
    ------
    ValueError
        If there is none, or it is not text.

    Warns
    -----
    UserWarning
        If the last line is not ended: a cut within the last number leaves a shorter number, which nothing else betrays.
    """
    text = read_text(path)
    if text and not text.endswith("\n"):
        warnings.warn(f"{path.name} does not end with a line break: check that it is not cut short", stacklevel=3)
    return text


def numbers(text: str, name: str) -> NDArray[np.float64]:
    """All numbers of a text, Fortran's exponents D included.

    Raises
    ------
    ValueError
        If a word is not a number, or a number is not finite.
    """
    with warnings.catch_warnings():
        # NumPy only warns where it meets a word, and drops what follows.
        warnings.simplefilter("error", DeprecationWarning)
        try:
            values = np.fromstring(text.replace("D", "E").replace("d", "e"), dtype=float, sep=" ")
        except (DeprecationWarning, ValueError) as error:
            raise ValueError(
                f"{name} holds something else than numbers: is it damaged or of another format?"
            ) from error
    if not np.isfinite(values).all():
        place = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(f"{name} holds a number that is not finite (number {place + 1}): the run that made it failed")
    return values


def whole_numbers(values: NDArray[np.float64], name: str) -> NDArray[np.int64]:
    """Integers that stand where integers must.

    Raises
    ------
    ValueError
        If one of them is not.
    """
    whole = np.rint(values)
    if np.any(whole != values):
        raise ValueError(f"{name} holds {values[whole != values][0]:g} where an index must be: is it damaged?")
    return whole.astype(np.int64)
