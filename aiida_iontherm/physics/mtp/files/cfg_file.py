"""Training sets on disk: the ``.cfg`` text format of MLIP-2, MLIP-3 and motep.

A configuration stands between ``BEGIN_CFG`` and ``END_CFG``: ``Size``, up to three vectors of ``Supercell``, a table
``AtomData:`` whose columns are named in its first line, and, where they were computed, ``Energy`` in eV and
``PlusStress:`` in eV, which is -volume times the stress of ASE (positive under tension, in eV/Angstrom^3). Lines
``Feature name value`` hold anything else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import atomic_numbers

from aiida_iontherm.physics.mtp.files._atomic import written_whole

BLOCKS = "cfg_blocks"
"""Key of ``atoms.info`` under which blocks this module does not know are kept, a list of lines for each."""

ARRAYS_OF_ASE = frozenset({"numbers", "positions", "tags", "momenta", "masses", "initial_magmoms", "initial_charges"})
"""What ASE keeps for itself in ``atoms.arrays``; all others are columns."""

_CARTESIAN = ("cartes_x", "cartes_y", "cartes_z")
_DIRECT = ("direct_x", "direct_y", "direct_z")
_FORCES = ("fx", "fy", "fz")
_VOIGT = ("xx", "yy", "zz", "yz", "xz", "xy")
_SITE_ENERGY = "site_en"
_OTHER_NAMES = {"SuperCell": "Supercell", "Atomic_data:": "AtomData:"}

Array = npt.NDArray[np.float64]


def read_cfg(path: str | Path, species: Sequence[str]) -> list[Atoms]:
    """Read all configurations of a ``.cfg`` file.

    Energies, forces, per-atom energies (``site_en``) and stresses come as results of a ``SinglePointCalculator``, as
    far as a configuration has them. Features are kept word for word in ``atoms.info`` (as a list where one is given
    several times), further columns in ``atoms.arrays``, unknown blocks in ``atoms.info["cfg_blocks"]``, so that
    `write_cfg` writes them back; a ``PlusStress:`` without three cell vectors is such a block, since no volume makes it
    a stress.

    Parameters
    ----------
    path : str or Path
        The file.
    species : sequence of str
        Chemical symbols in the order of the types: the format carries none.

    Raises
    ------
    ValueError
        If the file is absent, no text, cut short, empty, or a line cannot be understood. The message names the line.
    """
    return list(iterate_cfg(path, species))


def iterate_cfg(path: str | Path, species: Sequence[str]) -> Iterator[Atoms]:
    """Read configurations one after the other, holding one in memory; see `read_cfg`."""
    path = Path(path)
    numbers = _numbers_of(species)
    if not path.is_file():
        raise ValueError(f"there is no file of configurations {path}")
    empty = True
    try:
        with path.open(encoding="utf-8") as stream:
            lines = _Lines(path, stream)
            for line in lines:
                if line.split() != ["BEGIN_CFG"]:
                    raise lines.error(
                        f"{line.strip()[:40]!r} stands outside BEGIN_CFG and END_CFG: the file is damaged or cut short"
                    )
                yield _parse_configuration(lines, numbers)
                empty = False
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text file, so no .cfg file") from error
    if empty:
        raise ValueError(f"{path} holds no configuration: is it the right file?")


def write_cfg(path: str | Path, configurations: Iterable[Atoms], species: Sequence[str]) -> None:
    """Write configurations as a ``.cfg`` file that MLIP and motep read, whole or not at all.

    Numbers are written with as many digits as give the same bits on reading, without exponents, which motep does not
    read. The energy is ``free_energy`` where the results have one, since forces are its gradient, else ``energy``.
    Only vectors of periodic directions are written; `read_cfg` puts them first. Entries of ``atoms.info`` become
    features, arrays of one number per atom become columns; other arrays have no place in the format and are left out.

    Parameters
    ----------
    path : str or Path
        The file.
    configurations : iterable of Atoms
        With results or without.
    species : sequence of str
        Chemical symbols in the order of the types.

    Raises
    ------
    ValueError
        If an atom is none of the species, a number is not finite, a configuration was changed after its energies were
        computed, or something cannot be written. The message names the configuration, counted from 0.
    """
    types = {number: index for index, number in enumerate(_numbers_of(species))}
    with written_whole(Path(path)) as draft, draft.open("w", encoding="utf-8") as stream:
        for index, atoms in enumerate(configurations):
            try:
                lines = _configuration_lines(atoms, types)
            except ValueError as error:
                raise ValueError(f"configuration {index} cannot be written to {path}: {error}") from error
            stream.writelines(line + "\n" for line in lines)


def _numbers_of(species: Sequence[str]) -> list[int]:
    if isinstance(species, str) or not species or len(set(species)) != len(species):
        raise ValueError(f"species must be a list of different chemical symbols in the order of types, not {species!r}")
    unknown = [symbol for symbol in species if symbol not in atomic_numbers]
    if unknown:
        raise ValueError(f"{', '.join(map(str, unknown))} among the species is no chemical symbol")
    return [atomic_numbers[symbol] for symbol in species]


class _Lines:
    """Lines that are not blank, with their number for messages."""

    def __init__(self, path: Path, stream: TextIO) -> None:
        self._path = path
        self._stream = stream
        self._waiting: str | None = None
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._waiting is not None:
            line, self._waiting = self._waiting, None
            self.number += 1
            return line
        for line in self._stream:
            self.number += 1
            if line.strip():
                return line
        raise StopIteration

    def rows(self, most: int | None = None) -> list[str]:
        """Take the next lines that begin with a number, at most so many."""
        rows: list[str] = []
        while most is None or len(rows) < most:
            line = next(self, None)
            if line is None:
                break
            if not _begins_with_number(line):
                self._waiting = line
                self.number -= 1
                break
            rows.append(line)
        return rows

    def error(self, message: str, line: int | None = None) -> ValueError:
        return ValueError(f"{self._path}, line {self.number if line is None else line}: {message}")


def _begins_with_number(line: str) -> bool:
    # Stars are what Fortran prints for a number that is too long, which must not pass for the name of a block.
    word = line.split(maxsplit=1)[0]
    return word[0] in "+-.0123456789*" or word.lower() in ("nan", "inf", "infinity")


@dataclass(frozen=True)
class _Block:
    """A line with a name, and the lines with numbers below."""

    line: int
    header: str
    rows: list[str]


def _parse_configuration(lines: _Lines, numbers: list[int]) -> Atoms:
    begin = lines.number
    blocks: dict[str, _Block] = {}
    features: dict[str, list[str]] = {}
    for line in lines:
        words = line.split()
        name = _OTHER_NAMES.get(words[0], words[0])
        if name == "END_CFG":
            return _configuration(lines, begin, blocks, features, numbers)
        if name == "BEGIN_CFG":
            break
        if name == "Feature":
            if len(words) == 1:
                raise lines.error("the Feature has no name: the file is damaged or cut short")
            value = line.split(maxsplit=2)[2].strip() if len(words) > 2 else ""
            features.setdefault(words[1], []).append(value)
        elif _begins_with_number(line):
            raise lines.error("this line of numbers belongs to no block: is Size too small?")
        elif name in blocks:
            raise lines.error(f"{name} is given twice in one configuration (first in line {blocks[name].line})")
        else:
            size = _size(lines, blocks) if name == "AtomData:" else None
            blocks[name] = _Block(lines.number, line.strip(), lines.rows(size))
    raise lines.error(f"the configuration from line {begin} on has no END_CFG: the file is cut short")


def _size(lines: _Lines, blocks: dict[str, _Block]) -> int:
    block = blocks.get("Size")
    words = [row.split() for row in block.rows] if block else []
    if block is None or len(words) != 1 or len(words[0]) != 1 or not words[0][0].isdecimal() or int(words[0][0]) < 1:
        raise lines.error(
            "Size, one positive whole number, must come before AtomData: the file is damaged or cut short",
            block.line if block else None,
        )
    return int(words[0][0])


def _configuration(
    lines: _Lines, begin: int, blocks: dict[str, _Block], features: dict[str, list[str]], numbers: list[int]
) -> Atoms:
    """Put the blocks of one configuration together."""
    if "AtomData:" not in blocks:
        raise lines.error("has no AtomData: the file is damaged or cut short", begin)
    table = _AtomTable(lines, blocks.pop("AtomData:"), _size(lines, blocks))
    del blocks["Size"]
    cell = np.zeros((3, 3))
    vectors = _floats(lines, blocks.pop("Supercell"), 3) if "Supercell" in blocks else np.zeros((0, 3))
    if len(vectors) > 3:
        raise lines.error(f"Supercell has {len(vectors)} vectors, at most three make a cell", begin)
    cell[: len(vectors)] = vectors
    volume = abs(float(np.linalg.det(cell)))
    if len(vectors) == 3 and volume == 0:
        raise lines.error("the three vectors of Supercell lie in a plane", begin)
    atoms = Atoms(
        numbers=np.array(numbers)[table.types(len(numbers))],
        positions=table.positions(cell if len(vectors) == 3 else None),
        cell=cell,
        pbc=np.arange(3) < len(vectors),
    )
    results: dict[str, Any] = {}
    if "Energy" in blocks:
        energy = _floats(lines, blocks.pop("Energy"), 1)
        if len(energy) != 1:
            raise lines.error(f"Energy must be one number, not {len(energy)}", begin)
        results["energy"] = results["free_energy"] = float(energy[0, 0])
    forces = table.vectors(_FORCES)
    if forces is not None:
        results["forces"] = forces
    if _SITE_ENERGY in table.columns:
        results["energies"] = table.floats(_SITE_ENERGY)
    if "PlusStress:" in blocks and len(vectors) == 3:
        results["stress"] = -_plus_stress(lines, blocks.pop("PlusStress:")) / atoms.cell.volume
    for name, values in table.further().items():
        atoms.set_array(name, values)
    atoms.info.update({name: texts[0] if len(texts) == 1 else texts for name, texts in features.items()})
    if blocks:
        atoms.info[BLOCKS] = {name: [block.header, *map(str.strip, block.rows)] for name, block in blocks.items()}
    if results:
        atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def _plus_stress(lines: _Lines, block: _Block) -> Array:
    """Sort the six components as Voigt does."""
    names = block.header.split()[1:]
    if sorted(names) != sorted(_VOIGT):
        raise lines.error(f"PlusStress needs the components {' '.join(_VOIGT)}, not {' '.join(names)}", block.line)
    values = _floats(lines, block, 6)
    if len(values) != 1:
        raise lines.error(f"PlusStress must be one line of numbers, not {len(values)}", block.line)
    return values[0, [names.index(name) for name in _VOIGT]]


def _floats(lines: _Lines, block: _Block, width: int) -> Array:
    """Rows of so many numbers each."""
    name = block.header.split()[0].rstrip(":")
    rows = [row.split() for row in block.rows]
    for line, row in enumerate(rows, start=block.line + 1):
        if len(row) != width:
            raise lines.error(
                f"{name} needs {width} numbers in a line, not {len(row)}: the file is damaged or cut short", line
            )
    columns = [_finite(lines, name, words, block.line) for words in zip(*rows, strict=True)]
    return np.column_stack(columns) if columns else np.zeros((0, width))


def _finite(lines: _Lines, name: str, words: Sequence[str], header: int) -> Array:
    """Convert a column whose first word stands in the line after `header`."""
    try:
        numbers = np.array(list(map(float, words)))
        # float() takes 1_0 too, which is no number in these files.
        if np.isfinite(numbers).all() and "_" not in "".join(words):
            return numbers
    except ValueError:
        pass
    line, word = next((line, word) for line, word in enumerate(words, start=header + 1) if not _is_finite(word))
    raise lines.error(f"{name} holds {word!r}, which is no finite number", line)


def _is_finite(word: str) -> bool:
    try:
        return "_" not in word and math.isfinite(float(word))
    except ValueError:
        return False


class _AtomTable:
    """The block ``AtomData:`` by columns."""

    def __init__(self, lines: _Lines, block: _Block, size: int) -> None:
        self._lines = lines
        self._line = block.line
        names = block.header.split()[1:]
        if len(set(names)) != len(names):
            raise lines.error(f"AtomData names a column twice: {' '.join(names)}", block.line)
        if len(block.rows) != size:
            raise lines.error(
                f"AtomData has {len(block.rows)} rows but Size is {size}: the file is damaged", block.line
            )
        rows = [row.split() for row in block.rows]
        for offset, row in enumerate(rows, start=1):
            if len(row) != len(names):
                raise lines.error(
                    f"this atom has {len(row)} entries where AtomData names {len(names)} columns: "
                    "the file is damaged or cut short",
                    block.line + offset,
                )
        self.columns = dict(zip(names, zip(*rows, strict=True), strict=True))

    def types(self, count: int) -> npt.NDArray[np.int64]:
        """Positions of the atoms' species in the list given by the user."""
        if "type" not in self.columns:
            raise self._lines.error("AtomData has no column type", self._line)
        for offset, word in enumerate(self.columns["type"], start=1):
            if not word.isdecimal() or int(word) >= count:
                raise self._lines.error(
                    f"the type of this atom is {word} where {count} species were given, types 0 to {count - 1}: "
                    "give all species in the order of the file",
                    self._line + offset,
                )
        return np.array(self.columns["type"], dtype=np.int64)

    def positions(self, cell: Array | None) -> Array:
        """Cartesian positions in Angstrom."""
        positions = self.vectors(_CARTESIAN)
        if positions is not None:
            return positions
        direct = self.vectors(_DIRECT)
        if direct is None:
            raise self._lines.error("AtomData has neither cartes_x, _y, _z nor direct_x, _y, _z", self._line)
        if cell is None:
            raise self._lines.error("direct coordinates need three vectors of Supercell", self._line)
        return direct @ cell

    def vectors(self, names: tuple[str, str, str]) -> Array | None:
        """Three columns as one array, None if there is none of them."""
        missing = [name for name in names if name not in self.columns]
        if len(missing) == 3:
            return None
        if missing:
            raise self._lines.error(f"AtomData lacks the column {', '.join(missing)}", self._line)
        return np.column_stack([self.floats(name) for name in names])

    def floats(self, name: str) -> Array:
        """One column as finite numbers."""
        return _finite(self._lines, name, self.columns[name], self._line)

    def further(self) -> dict[str, npt.NDArray[Any]]:
        """Columns that ASE has no place for, whole numbers and words as such."""
        known = {"type", _SITE_ENERGY, *_CARTESIAN, *_DIRECT, *_FORCES}
        arrays = {name: _guessed(words) for name, words in self.columns.items() if name not in known}
        # The usual numbers say nothing.
        if "id" in arrays and np.array_equal(arrays["id"], np.arange(1, len(arrays["id"]) + 1)):
            del arrays["id"]
        return arrays


def _guessed(words: tuple[str, ...]) -> npt.NDArray[Any]:
    for kind in (int, float):
        try:
            return np.array(list(map(kind, words)))
        except (ValueError, OverflowError):
            continue
    return np.array(words)


def _configuration_lines(atoms: Atoms, types: dict[int, int]) -> list[str]:
    results = fresh_results(atoms)
    lines = ["BEGIN_CFG", " Size", f"{len(atoms):6d}"]
    if len(atoms) == 0:
        raise ValueError("it has no atoms")
    if atoms.pbc.any():
        vectors = atoms.cell.array[atoms.pbc]
        if np.linalg.matrix_rank(vectors) < len(vectors):
            raise ValueError("it is periodic where its cell has no vector of its own: correct the cell or pbc")
        lines += [" Supercell", *("".join(f" {_text(x):>22}" for x in vector) for vector in vectors.tolist())]
    lines += _atom_lines(atoms, types, results)
    energy = results.get("free_energy", results.get("energy"))
    if energy is not None:
        lines += [" Energy", f" {_text(float(energy)):>22}"]
    stress = results.get("stress")
    if stress is not None:
        lines += [
            " PlusStress: " + "".join(f"{name:>22}" for name in _VOIGT),
            " " * 13 + "".join(f" {_text(x):>21}" for x in (-_voigt(stress) * _volume(atoms)).tolist()),
        ]
    for name, block in atoms.info.get(BLOCKS, {}).items():
        if name != "PlusStress:" or stress is None:
            lines += [f" {block[0]}", *(f"    {row}" for row in block[1:])]
    for name, value in atoms.info.items():
        if name != BLOCKS:
            lines += [f" Feature   {name}\t{text}" for text in _feature_texts(name, value)]
    return [*lines, "END_CFG", ""]


def fresh_results(atoms: Atoms) -> dict[str, Any]:
    """Results of the calculator that belong to the configuration as it is.

    Raises
    ------
    ValueError
        If atoms, cell or positions are no longer those of the results.
    """
    results = getattr(atoms.calc, "results", None)
    if not results:
        return {}
    if atoms.calc.check_state(atoms):
        raise ValueError("it was changed after its energies were computed: compute them again or set atoms.calc = None")
    return {name: value for name, value in results.items() if value is not None}


def _atom_lines(atoms: Atoms, types: dict[int, int], results: dict[str, Any]) -> list[str]:
    unknown = sorted(
        {symbol for symbol, number in zip(atoms.symbols, atoms.numbers, strict=True) if number not in types}
    )
    if unknown:
        raise ValueError(f"it holds {', '.join(unknown)}, which is none of the species given")
    columns = {
        "id": [f"{index:8d}" for index in range(1, len(atoms) + 1)],
        "type": [f"{types[number]:4d}" for number in atoms.numbers],
    }
    columns |= _float_columns(_CARTESIAN, atoms.positions)
    if "forces" in results:
        columns |= _float_columns(_FORCES, results["forces"])
    if "energies" in results:
        columns |= _float_columns((_SITE_ENERGY,), results["energies"])
    for name, values in atoms.arrays.items():
        if name in ARRAYS_OF_ASE or values.ndim != 1:
            continue
        if (name != "id" and name in columns) or not name.isprintable() or " " in name:
            raise ValueError(f"its array {name!r} cannot be a column: rename it")
        if values.dtype.kind == "f":
            columns |= _float_columns((name,), values)
        else:
            words = [str(value) for value in values.tolist()]
            if any(len(word.split()) != 1 for word in words):
                raise ValueError(f"its array {name!r} holds more or less than one word for an atom: remove it")
            columns[name] = [f"{word:>8}" for word in words]
    header = " AtomData:  " + " ".join(name.rjust(len(rows[0])) for name, rows in columns.items())
    return [header, *(" " * 12 + " ".join(row) for row in zip(*columns.values(), strict=True))]


def _float_columns(names: Sequence[str], values: npt.ArrayLike) -> dict[str, list[str]]:
    array = np.asarray(values, dtype=np.float64).reshape(-1, len(names))
    return {name: [f"{_text(x):>22}" for x in column] for name, column in zip(names, array.T.tolist(), strict=True)}


def _text(number: float) -> str:
    """Shortest text that gives the same bits."""
    if not np.isfinite(number):
        raise ValueError(f"it holds {number}, which is not finite: leave it out of the set")
    text = repr(number)
    return text if "e" not in text else np.format_float_positional(number, trim="0")


def _voigt(stress: npt.ArrayLike) -> Array:
    array = np.asarray(stress, dtype=np.float64)
    return array if array.shape == (6,) else array.reshape(9)[[0, 4, 8, 5, 2, 1]]


def _volume(atoms: Atoms) -> float:
    volume = float(atoms.cell.volume)
    if volume == 0:
        raise ValueError("it has a stress but no volume: remove the stress or give it a cell")
    return volume


def _feature_texts(name: str, value: Any) -> list[str]:
    """One text for each line that a feature takes."""
    if not isinstance(name, str) or not name or any(letter.isspace() for letter in name):
        raise ValueError(f"atoms.info[{name!r}] cannot be a feature: its name must be one word, rename it")
    texts = [value] if isinstance(value, str) else value
    if isinstance(texts, list) and texts and all(isinstance(text, str) for text in texts):
        if any("\n" in text or "\r" in text for text in texts):
            raise ValueError(f"atoms.info[{name!r}] has more than one line: make it a list of lines")
        return texts
    try:
        return [json.dumps(value, default=lambda array: array.tolist())]
    except (TypeError, AttributeError) as error:
        raise ValueError(f"atoms.info[{name!r}] is no text, number or list: remove it") from error
