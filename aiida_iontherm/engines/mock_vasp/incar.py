"""Read INCAR: tags by name, converted when asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiida_iontherm.engines.mock_vasp.errors import VaspStop

if TYPE_CHECKING:
    from collections.abc import Mapping

# fmt: off
NUMBERS = frozenset({
    "AEXX", "AMIN", "AMIX", "AMIX_MAG", "ANDERSEN_PROB", "BMIX", "BMIX_MAG", "EDIFF", "EDIFFG", "EMAX", "EMIN", "ENAUG",
    "ENCUT", "HFSCREEN", "KSPACING", "NELECT", "NUPDOWN", "POTIM", "PSTRESS", "SCALEE", "SIGMA", "SMASS", "SYMPREC",
    "TEBEG", "TEEND",
})
"""Tags that are numbers even where they are written as integers."""

VECTORS = frozenset({"LANGEVIN_GAMMA", "MAGMOM", "RANDOM_SEED"})
"""Tags that are rows of numbers even where there is one."""
# fmt: on


@dataclass(frozen=True)
class Incar:
    """The tags of an INCAR, upper case, with their values as written."""

    tags: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> Incar:
        """Read the text of an INCAR; of a tag given twice the first counts, as in VASP."""
        tags: dict[str, str] = {}
        for line in text.replace("\\\n", " ").splitlines():
            for statement in re.split(r"[#!]", line, maxsplit=1)[0].split(";"):
                name, equals, value = statement.partition("=")
                if equals:
                    tags.setdefault(name.strip().upper(), value.strip())
        return cls(tags)

    def integer(self, name: str, default: int) -> int:
        """Return a tag that is one integer."""
        return int(self._numbers(name, [default], r"[+-]?\d+")[0])

    def number(self, name: str, default: float) -> float:
        """Return a tag that is one number; Fortran's 1D-5 is one."""
        return self._numbers(name, [default])[0]

    def numbers(self, name: str) -> list[float]:
        """Return a tag that is a row of numbers, empty where it is absent; 3*0.5 stands for 0.5 0.5 0.5."""
        return self._numbers(name, [])

    def logical(self, name: str, default: bool) -> bool:
        """Return a tag that is true or false."""
        value = self.tags.get(name)
        if value is None:
            return default
        match = re.match(r"\.?([TtFf])", value)
        if match is None:
            raise _unreadable(name)
        return match[1] in "Tt"

    def text(self, name: str, default: str) -> str:
        """Return a tag as written."""
        return self.tags.get(name, default)

    def normal(self, name: str) -> list[str]:
        """Return the words of a tag in one spelling: 1D-6 and 0.000001, T and .true. are the same."""
        return [_normal(word) for word in self.tags[name].upper().split()]

    def _numbers(
        self, name: str, default: list[float], pattern: str = r"[+-]?[\d.]+(?:[eEdD][+-]?\d+)?"
    ) -> list[float]:
        value = self.tags.get(name)
        if value is None:
            return default
        numbers: list[float] = []
        for word in value.split():
            match = re.fullmatch(rf"(?:(\d+)\*)?({pattern})", word)
            if match is None:
                raise _unreadable(name)
            numbers += [float(match[2].translate(str.maketrans("dD", "ee")))] * int(match[1] or 1)
        if not numbers:
            raise _unreadable(name)
        return numbers


def _normal(word: str) -> str:
    if re.fullmatch(r"\.?(T|F|TRUE|FALSE)\.?", word):
        return word.strip(".")[0]
    try:
        return repr(float(word.replace("D", "E")))
    except ValueError:
        return word


def _unreadable(name: str) -> VaspStop:
    return VaspStop(f"Error reading item '{name}' from file INCAR.")
