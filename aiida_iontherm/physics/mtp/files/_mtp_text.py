"""Keys, lists and numbers in the text of a ``.mtp`` file; every message names the line."""

from __future__ import annotations

import math
import re

import numpy as np
import numpy.typing as npt

# Nine digits fit into the 32 bits of the tables.
_WHOLE = re.compile(r"\s*-?[0-9]{1,9}\s*")

OTHER_NAMES = {
    "min": "min_dist",
    "max": "max_dist",
    "size": "radial_basis_size",
    "min_val": "min_dist",
    "max_val": "max_dist",
    "basis_size": "radial_basis_size",
}
"""motep's names for the range of its grouped layouts, and the flat ones."""


class MtpText:
    """The lines of a file, by key.

    Parameters
    ----------
    text : str
        The file from ``MTP`` to the last coefficient.

    Raises
    ------
    ValueError
        If a line is neither ``key = value`` nor belongs to ``radial_coeffs``, or a key is given twice.
    """

    def __init__(self, text: str) -> None:
        self._values: dict[str, tuple[int, str]] = {}
        self._radial: dict[tuple[int, int], list[int]] = {}
        self._lines = [line.strip() for line in text.split("\n")]
        if self._lines[0] != "MTP":
            raise ValueError("the first line is not MTP: this is no .mtp potential, or it is cut short")
        rows: list[int] | None = None
        for number, line in enumerate(self._lines[1:], start=2):
            label = re.fullmatch(r"([0-9]{1,9})-([0-9]{1,9})", line) if "radial_coeffs" in self else None
            if label:
                pair = int(label[1]), int(label[2])
                if pair in self._radial:
                    raise ValueError(f"line {number}: radial_coeffs of the pair {line} are given twice, keep one")
                rows = self._radial[pair] = []
            elif line.startswith("{") and rows is not None:
                rows.append(number)
            elif line:
                self._add(number, line)
                rows = None

    def _add(self, number: int, line: str) -> None:
        key, equals, value = (part.strip() for part in line.partition("="))
        if bool(equals) == (key == "radial_coeffs"):
            raise ValueError(
                f"line {number}: {line[:40]!r} is neither key = value nor a row of radial_coeffs: "
                "the file is damaged or cut short"
            )
        key = OTHER_NAMES.get(key, key)
        if key in self:
            raise ValueError(f"line {number}: {key} is given twice (first in line {self.line(key)}), keep one")
        self._values[key] = number, value

    def __contains__(self, key: str) -> bool:
        return key in self._values

    @property
    def names(self) -> list[str]:
        """Keys in the order of the file."""
        return list(self._values)

    def line(self, key: str) -> int:
        """Tell in which line a key stands."""
        return self._values[key][0]

    def text(self, key: str) -> str:
        """Value as it stands in the file."""
        return self._values[key][1]

    def count(self, key: str) -> int:
        """Value as a whole number that is not negative."""
        (count,) = _integers([self.text(key)], f"line {self.line(key)}: {key}")
        if count < 0:
            raise ValueError(f"line {self.line(key)}: {key} is {count}, which is no count: the file is damaged")
        return count

    def number(self, key: str) -> float:
        """Value as a finite number."""
        return _number(self.text(key), f"line {self.line(key)}: {key}")

    def integers(self, key: str, count_key: str) -> npt.NDArray[np.int32]:
        """List of as many whole numbers as another key says."""
        where = f"line {self.line(key)}: {key}"
        items = _items(self.text(key), where)
        self._check_count(key, len(items), count_key)
        return np.array(_integers(items, where), dtype=np.int32)

    def numbers(self, key: str, count_key: str) -> npt.NDArray[np.float64]:
        """List of as many finite numbers as another key says."""
        where = f"line {self.line(key)}: {key}"
        items = _items(self.text(key), where)
        self._check_count(key, len(items), count_key)
        return np.array([_number(item, where) for item in items])

    def table(self, key: str, count_key: str) -> npt.NDArray[np.int32]:
        """List of as many rows of four whole numbers as another key says."""
        where = f"line {self.line(key)}: {key}"
        _items(self.text(key), where)
        inner = self.text(key)[1:-1].strip()
        if inner and not (inner.startswith("{") and inner.endswith("}")):
            raise ValueError(f"{where} must hold rows in braces: the file is damaged or cut short")
        rows = [row.split(",") for row in re.split(r"\}\s*,\s*\{", inner[1:-1])] if inner else []
        if any(len(row) != 4 for row in rows):
            raise ValueError(f"{where} has a row without four numbers: the file is damaged")
        self._check_count(key, len(rows), count_key)
        return np.array(_integers([item for row in rows for item in row], where), dtype=np.int32).reshape(-1, 4)

    def radial_coeffs(self) -> npt.NDArray[np.float64]:
        """Block of radial coefficients [species, species, radial_funcs_count, radial_basis_size]."""
        z, functions, size = map(self.count, ("species_count", "radial_funcs_count", "radial_basis_size"))
        where = f"line {self.line('radial_coeffs')}: radial_coeffs"
        # Numbers of pairs and rows before any array is made: a count that is wrong may be huge.
        if len(self._radial) != z * z or any(max(pair) >= z for pair in self._radial):
            given = ", ".join(f"{first}-{second}" for first, second in self._radial)
            raise ValueError(f"{where} of {z} species need all {z * z} pairs, not {given or 'none'}")
        for (first, second), rows in self._radial.items():
            if len(rows) != functions:
                raise ValueError(
                    f"{where} of the pair {first}-{second} have {len(rows)} rows but radial_funcs_count is {functions}"
                )
        coeffs = {}
        for pair, rows in self._radial.items():
            for mu, number in enumerate(rows):
                row = f"line {number}: radial_coeffs"
                items = _items(self._lines[number - 1], row)
                if len(items) != size:
                    raise ValueError(f"{row} hold {len(items)} numbers but radial_basis_size is {size}")
                coeffs[*pair, mu] = [_number(item, row) for item in items]
        return np.array([coeffs[index] for index in np.ndindex(z, z, functions)]).reshape(z, z, functions, size)

    def _check_count(self, key: str, count: int, count_key: str) -> None:
        expected = self.count(count_key)
        if count != expected:
            raise ValueError(
                f"line {self.line(key)}: {key} has {count} entries but {count_key} in line {self.line(count_key)} is "
                f"{expected}: the file is damaged"
            )


def _items(text: str, where: str) -> list[str]:
    """Items of a list in braces."""
    if len(text) < 2 or not text.startswith("{") or not text.endswith("}"):
        raise ValueError(f"{where} is not a list closed by }}: the file is damaged or cut short")
    inner = text[1:-1].strip()
    return inner.split(",") if inner else []


def _number(text: str, where: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = None
    # float() takes 1_0 too, which is no number in these files.
    if number is None or "_" in text:
        raise ValueError(f"{where}: {text.strip()[:40]!r} is no number: the file is damaged")
    if not math.isfinite(number):
        raise ValueError(f"{where} holds {text.strip()}, which is not finite: the potential is damaged, train it again")
    return number


def _integers(items: list[str], where: str) -> list[int]:
    for item in items:
        if not _WHOLE.fullmatch(item):
            raise ValueError(f"{where}: {item.strip()[:40]!r} is no whole number below 10^9: the file is damaged")
    return list(map(int, items))
