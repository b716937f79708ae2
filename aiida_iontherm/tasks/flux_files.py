"""Tables of heat, mass and charge currents from files: LAMMPS logs and averages, other text columns, .npy, .npz.

Text may have comment lines, several tables (as a LAMMPS log), and words between them. A table begins with a line of
names followed by lines with as many numbers. Columns are asked for by name, by the common beginning of three names
(``c_flux`` for ``c_flux[1]``, ``c_flux[2]``, ``c_flux[3]``), or by number from 1 on.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aiida_iontherm.physics.heat import check_equal_spacing
from aiida_iontherm.tasks.files import read_npz

ENDINGS = (("[1]", "[2]", "[3]"), ("_x", "_y", "_z"), ("x", "y", "z"), ("_1", "_2", "_3"), ("1", "2", "3"))
"""What tells the three components of a current apart at the end of their names."""

HEAT_WORDS = ("heat", "flux", "jq", "hf", "energy_current")
"""Parts of names that tell a heat current where none is asked for."""

STEP_NAMES = ("Step", "TimeStep", "step", "timestep")
_SKIPPED = ("WARNING", "ERROR")


@dataclass(frozen=True, eq=False)
class FluxTable:
    """Named series of one file.

    Attributes
    ----------
    path
        The file.
    series
        Name -> ``[n]`` numbers, or ``[n, 3]`` and ``[replicas, n, 3]`` from .npy and .npz.
    lines
        ``[n]`` line of the file of each sample, or ``None`` where the file has no lines.
    scalars
        Single numbers of an .npz, e.g. ``temperature``.
    remarks
        What a user should know about how the file was read.
    """

    path: Path
    series: dict[str, NDArray[np.float64]]
    lines: NDArray[np.int64] | None = None
    scalars: dict[str, float] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def vector(self, wanted: str) -> NDArray[np.float64]:
        """Return a current ``[n, 3]`` or ``[replicas, n, 3]``.

        Parameters
        ----------
        wanted
            Name, common beginning of three names, or three names or numbers of columns with commas between them.

        Raises
        ------
        ValueError
            If there is no such column, or a number in it is not finite (its line is named).
        """
        array = self._find(wanted)
        bad = ~np.isfinite(array).all(axis=-1)
        if bad.any():
            where = int(np.argmax(bad.reshape(-1)))
            place = f"in line {self.lines[where]}" if self.lines is not None else f"in frame {where}"
            raise ValueError(
                f"{self.path.name}: {wanted} is not a finite number {place} ({int(bad.sum())} such samples): the run "
                "broke down there, end the series before it"
            )
        return array

    def _find(self, wanted: str) -> NDArray[np.float64]:
        parts = [part.strip() for part in wanted.split(",")]
        if len(parts) == 1 and parts[0] in self.series and self.series[parts[0]].ndim > 1:
            return self.series[parts[0]]
        if len(parts) == 3:
            chosen = [self._name(part) for part in parts]
        else:
            known = {_beginning(three): list(three) for three in self.triples()}
            if wanted not in known:
                close = difflib.get_close_matches(wanted, [*known, *self.series], n=1)
                hint = f"did you mean {close[0]}?" if close else "give a name, or three names or numbers like 2,3,4"
                raise ValueError(
                    f"{self.path.name} has no three columns {wanted}, it has {', '.join(self.series)}: {hint}"
                )
            chosen = known[wanted]
        columns = [self.series[name] for name in chosen]
        if any(column.ndim != 1 for column in columns):
            raise ValueError(f"{self.path.name}: {wanted} are not three columns but whole currents: give one name")
        return np.stack(columns, axis=-1)

    def _name(self, word: str) -> str:
        names = list(self.series)
        if word in self.series:
            return word
        if word.isdigit() and 1 <= int(word) <= len(names):
            return names[int(word) - 1]
        raise ValueError(f"{self.path.name} has no column {word}: it has {', '.join(names)}")

    def triples(self) -> list[tuple[str, str, str]]:
        """Names of columns that are x, y, z components of one current."""
        found = []
        names = {name for name, values in self.series.items() if values.ndim == 1}
        for name in self.series:
            for one, two, three in ENDINGS:
                head = name.removesuffix(one)
                if name.endswith(one) and head and {head + two, head + three} <= names:
                    found.append((name, head + two, head + three))
                    break
        return found

    def other_currents(self, used: Sequence[str]) -> list[str]:
        """Names of currents of the file that are not among those used (names or columns with commas between)."""
        words = {word.strip() for name in used for word in name.split(",")}
        found = [_beginning(three) for three in self.triples() if not {_beginning(three), *three} & words]
        return found + [name for name, values in self.series.items() if values.ndim > 1 and name not in words]

    def heat_name(self) -> str:
        """Name of the heat current, where there is no doubt.

        Raises
        ------
        ValueError
            If there is more than one candidate, or none.
        """
        candidates = [_beginning(three) for three in self.triples()]
        candidates += [name for name, values in self.series.items() if values.ndim > 1]
        if len(candidates) > 1:
            # parts of the heat current are named after it
            likely = [name for name in candidates if any(word in name.lower() for word in HEAT_WORDS)]
            candidates = [name for name in likely if not re.search("virial|conv", name.lower())]
        if not candidates and len(self.series) == 3 and all(values.ndim == 1 for values in self.series.values()):
            return ",".join(self.series)
        if len(candidates) != 1:
            raise ValueError(
                f"{self.path.name} does not tell which columns are the heat current: say so with --heat NAME; it has "
                f"{', '.join(self.series)}"
            )
        return candidates[0]

    def mean_of(self, *names: str) -> float | None:
        """Mean of the first of these columns that is there, or a single number of that name."""
        for name in names:
            if name in self.scalars:
                return self.scalars[name]
            if name in self.series and self.series[name].ndim == 1 and np.isfinite(self.series[name]).all():
                return float(self.series[name].mean())
        return None

    def after(self, samples: int) -> FluxTable:
        """Return the table without its first samples.

        Raises
        ------
        ValueError
            If nothing is left.
        """
        if samples <= 0:
            return self
        cut = {name: a[samples:] if a.ndim < 3 else a[:, samples:] for name, a in self.series.items()}
        if min((a.shape[-2] if a.ndim > 1 else len(a)) for a in cut.values()) == 0:
            raise ValueError(f"{self.path.name} has no more than {samples} samples: nothing is left")
        lines = None if self.lines is None else self.lines[samples:]
        return FluxTable(self.path, cut, lines, self.scalars, self.remarks)


def _beginning(three: Sequence[str]) -> str:
    for endings in ENDINGS:
        if all(name.endswith(end) for name, end in zip(three, endings, strict=True)):
            return three[0].removesuffix(endings[0])
    return three[0]


def read_flux_table(path: Path) -> FluxTable:
    """Read a file of currents.

    Parameters
    ----------
    path
        ``.npz`` with named arrays, ``.npy`` [n, 3], [n, columns] or [replicas, n, 3], anything else as text.

    Raises
    ------
    ValueError
        If the file is missing, damaged, empty, holds pickled objects, a line has a wrong number of columns or something
        that is not a number (the line is named), or its steps are not equally spaced.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    if path.suffix == ".npz":
        return _from_npz(path)
    if path.suffix == ".npy":
        return _from_npy(path)
    return _from_text(path)


def _from_npz(path: Path) -> FluxTable:
    try:
        arrays = read_npz(path)
    except ValueError as error:
        raise ValueError(str(error) if path.name in str(error) else f"{path.name}: {error}") from error
    numeric = {name: np.asarray(a, dtype=float) for name, a in arrays.items() if np.issubdtype(a.dtype, np.number)}
    series = {name: a for name, a in numeric.items() if a.ndim == 1 or (a.ndim in (2, 3) and a.shape[-1] == 3)}
    if not series:
        raise ValueError(f"{path.name} holds no series [n, 3]: it has {', '.join(arrays) or 'nothing'}")
    return FluxTable(path, series, scalars={name: float(a) for name, a in numeric.items() if a.ndim == 0})


def _from_npy(path: Path) -> FluxTable:
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(
            f"{path.name} is not a plain array of numbers (pickled objects are not read): {str(error).splitlines()[0]}"
        ) from error
    fits = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)
    if not (fits and np.issubdtype(array.dtype, np.number)):
        raise ValueError(
            f"{path.name} is {array.dtype} {array.shape}: it must hold numbers [n, columns] or [replicas, n, 3]"
        )
    array = array.astype(float)
    if array.shape[-1] == 3:
        return FluxTable(path, {"heat": array})
    return FluxTable(path, {str(i + 1): array[:, i] for i in range(array.shape[1])})


@dataclass
class _Table:
    """One table of a text file while it is read."""

    names: list[str]
    named: bool
    rows: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    open: bool = True


def _from_text(path: Path) -> FluxTable:
    tables = _tables(path)
    if not tables:
        raise ValueError(f"{path.name} holds no table of numbers")
    # a log begins with short runs (minimisation, equilibration): production comes last
    table = tables[-1]
    remarks = []
    if len(tables) > 1:
        remarks.append(
            f"{path.name} holds {len(tables)} tables; the last one is used, lines {table.lines[0]} to {table.lines[-1]}"
        )
    width = len(table.names)
    last = table.rows[-1].split()
    if len(last) < width:
        remarks.append(f"the last line of {path.name}, {table.lines[-1]}, was cut off and is left out")
        table.rows.pop()
        table.lines.pop()
    lines = np.array(table.lines)
    values = _numbers(path, table)
    series = {name: values[:, i] for i, name in enumerate(table.names)}
    for name in STEP_NAMES:
        if name in series and len(lines) > 1:
            remarks += _check_steps(path, series[name], lines)
            break
    return FluxTable(path, series, lines, remarks=tuple(remarks))


def _check_steps(path: Path, steps: NDArray[np.float64], lines: NDArray[np.int64]) -> list[str]:
    try:
        stride = check_equal_spacing(steps)
    except ValueError as error:
        changes = np.diff(steps)
        first = int(np.argmax(np.abs(changes - np.median(changes)) > 0.01 * abs(np.median(changes))))
        raise ValueError(
            f"{path.name}: the steps in lines {lines[first]} and {lines[first + 1]} are {changes[first]:g} apart, "
            f"{np.median(changes):g} as a rule: the series has a gap or a repeated frame (a restart?); cut it there"
        ) from error
    if stride == 1:
        return []
    return [f"rows of {path.name} are {stride:g} steps apart: --timestep-fs is the time between rows"]


def _tables(path: Path) -> list[_Table]:
    tables: list[_Table] = []
    headers: list[list[str]] = []
    try:
        with path.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):
                text = line.replace(",", " ").strip()
                if not text or text.startswith(_SKIPPED):
                    continue
                comment = text[0] in "#%!"
                words = text.lstrip("#%! ").split()
                table = tables[-1] if tables and tables[-1].open else None
                if not comment and table is not None and _is_number(words[0]):
                    table.rows.append(text)
                    table.lines.append(number)
                elif not comment and all(map(_is_number, words)):
                    names = next((h for h in reversed(headers) if len(h) == len(words)), None)
                    again = tables[-1] if tables and not headers and len(tables[-1].names) == len(words) else None
                    if again is not None:
                        again.open = True
                        again.rows.append(text)
                        again.lines.append(number)
                    else:
                        start = _Table(names or [str(i + 1) for i in range(len(words))], named=names is not None)
                        start.rows.append(text)
                        start.lines.append(number)
                        tables.append(start)
                    headers = []
                elif not comment or table is None:
                    if table is not None:
                        table.open = False
                    headers.append(words)
                elif table.named and words and words != table.names and len(words) == len(table.names):
                    # a second file appended to the first, with other columns
                    table.open = False
                    headers.append(words)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is neither text nor .npy or .npz") from error
    longest = max((len(table.rows) for table in tables), default=0)
    # lists of numbers elsewhere in a log (neighbour counts, box sizes) look like short tables without names
    return [table for table in tables if table.named or len(table.rows) == longest]


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _numbers(path: Path, table: _Table) -> NDArray[np.float64]:
    width = len(table.names)
    words = " ".join(table.rows).split()
    try:
        if len(words) != width * len(table.rows):
            raise ValueError("ragged")
        return np.array(words, dtype=float).reshape(-1, width)
    except ValueError:
        for number, row in zip(table.lines, table.rows, strict=True):
            if len(row.split()) != width:
                raise ValueError(
                    f"{path.name} has {len(row.split())} columns in line {number}, but {width} names or columns before"
                ) from None
            wrong = [word for word in row.split() if not _is_number(word)]
            if wrong:
                raise ValueError(f"{path.name}: {wrong[0]!r} in line {number} is not a number") from None
        raise
