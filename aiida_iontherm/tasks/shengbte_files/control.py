"""The file ``CONTROL`` of ShengBTE and FourPhonon: four Fortran namelists, described in their README and manual."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from numpy.typing import NDArray

from aiida_iontherm.tasks.force_constant_files.text import read_text
from aiida_iontherm.tasks.shengbte_files.settings import ShengBteSettings

COULOMB = 14.399645
"""e^2/(4 pi epsilon_0) in eV Angstrom: phonopy's factor of the non-analytical term for charges in e."""

_ANGSTROM_PER_NM = 10.0
_FLAGS = ("convergence", "isotopes", "onlyharmonic")


@dataclass(frozen=True, eq=False)
class Control:
    """The crystal that a ``CONTROL`` describes, and the mesh of the run.

    Attributes
    ----------
    primitive
        Primitive cell, with masses in amu where the file has them.
    supercell
        Primitive cells along each lattice vector that the second order is in [3].
    mesh
        Divisions of the q-points [3].
    nac
        ``born`` [n, 3, 3] in e, ``dielectric`` [3, 3] and phonopy's ``factor``, where charges are used.
    """

    primitive: Atoms
    supercell: tuple[int, int, int]
    mesh: tuple[int, int, int]
    nac: dict[str, Any] | None = None


def control_text(control: Control, mass_variances: Mapping[str, float], settings: ShengBteSettings) -> str:
    """Text of ``CONTROL``.

    Masses are written, not left to the tables of the program: the frequencies are those of the same masses here. Atoms
    of one element with different masses are different elements to ShengBTE.

    Parameters
    ----------
    control
        Crystal and mesh.
    mass_variances
        Relative variance of the masses of each symbol, for isotope scattering.
    settings
        All that is not the crystal.
    """
    primitive = control.primitive
    kinds = list(dict.fromkeys(zip(primitive.symbols, primitive.get_masses().tolist(), strict=True)))
    types = [1 + kinds.index(pair) for pair in zip(primitive.symbols, primitive.get_masses().tolist(), strict=True)]
    crystal: list[tuple[str, Any]] = [
        ("lfactor", 1 / _ANGSTROM_PER_NM),
        *_columns("lattvec", primitive.cell.array),
        ("elements", [symbol for symbol, _ in kinds]),
        ("types", types),
        *_columns("positions", primitive.get_scaled_positions(wrap=False)),
        ("masses", [mass for _, mass in kinds]),
        ("gfactors", [mass_variances[symbol] for symbol, _ in kinds]),
        ("scell(:)", control.supercell),
    ]
    if control.nac is not None:
        # Rows of the tensors one after the other, as converters from BORN and OUTCAR write them.
        crystal += _columns("epsilon", control.nac["dielectric"])
        for atom, charges in enumerate(control.nac["born"], start=1):
            crystal += [(f"born(:,{row},{atom})", values) for row, values in enumerate(charges, start=1)]
    namelists: dict[str, list[tuple[str, Any]]] = {
        "allocations": [("nelements", len(kinds)), ("natoms", len(primitive)), ("ngrid(:)", control.mesh)],
        "crystal": crystal,
        "parameters": _parameters(settings),
        "flags": [
            ("nonanalytic", control.nac is not None),
            ("autoisotopes", False),
            *((name, getattr(settings, name)) for name in _FLAGS),
            # Unknown names end a plain ShengBTE: none where they are not needed.
            *((name, True) for name in ("four_phonon", "four_phonon_iteration") if getattr(settings, name)),
        ],
    }
    return "".join(
        f"&{name}\n" + "".join(f"  {key} = {_written(value)}\n" for key, value in entries) + "&end\n"
        for name, entries in namelists.items()
    )


def _parameters(settings: ShengBteSettings) -> list[tuple[str, Any]]:
    kelvin = sorted(settings.temperatures)
    entries: list[tuple[str, Any]] = [("T", kelvin[0])]
    if len(kelvin) > 1:
        entries = [("T_min", kelvin[0]), ("T_max", kelvin[-1]), ("T_step", kelvin[1] - kelvin[0])]
    entries += [("scalebroad", settings.scalebroad), ("maxiter", settings.maxiter), ("eps", settings.eps)]
    if settings.omega_max is not None:
        entries.append(("omega_max", settings.omega_max))
    for name in ("num_sample_process_3ph", "num_sample_process_4ph"):
        if (count := getattr(settings, name)) is not None:
            entries += [(name, count), (f"{name}_phase_space", count)]
    return entries


def _columns(name: str, rows: Sequence[Any] | NDArray[np.float64]) -> list[tuple[str, Any]]:
    return [(f"{name}(:,{number})", row) for number, row in enumerate(rows, start=1)]


def _written(value: Any) -> str:
    """One value or a list of them as a namelist has it."""
    if isinstance(value, bool | np.bool_):
        return ".true." if value else ".false."
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, int | np.integer):
        return str(value)
    if isinstance(value, float):
        return repr(float(value) + 0.0)  # no minus sign of a zero
    return " ".join(_written(item) for item in np.asarray(value).tolist())


def read_control(path: Path) -> Control:
    """Crystal and mesh of a ``CONTROL``.

    Raises
    ------
    ValueError
        If something is missing or makes no sense.
    """
    text = read_text(path)
    try:
        values = read_namelists(text)
        atoms, elements = int(values["natoms"][0]), [str(name) for name in values["elements"]]
        factor = float(values.get("lfactor", [1.0])[0]) * _ANGSTROM_PER_NM
        types = np.array(values["types"], dtype=int)
        primitive = Atoms(
            numbers=[atomic_numbers[elements[kind - 1]] for kind in types],
            cell=factor * _numbers(values, "lattvec", (3, 3)),
            scaled_positions=_numbers(values, "positions", (atoms, 3)),
            pbc=True,
        )
        if "masses" in values:
            primitive.set_masses(np.array(values["masses"], dtype=float)[types - 1])
        supercell = tuple(_numbers(values, "scell", (3,)).astype(int).tolist())
        mesh = tuple(_numbers(values, "ngrid", (3,)).astype(int).tolist())
        nac = None
        if values.get("nonanalytic", [True])[0] and "born" in values and "epsilon" in values:
            born, dielectric = _numbers(values, "born", (atoms, 3, 3)), _numbers(values, "epsilon", (3, 3))
            nac = {"born": born, "dielectric": dielectric, "factor": COULOMB}
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise ValueError(f"{path.name} is no CONTROL of ShengBTE, or something in it is missing: {error}") from error
    return Control(primitive, supercell, mesh, nac)


def _numbers(values: Mapping[str, list[Any]], name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    numbers = np.array(values[name], dtype=float)
    if numbers.size != np.prod(shape):
        raise ValueError(f"{name} has {numbers.size} numbers, needs {np.prod(shape)}")
    return numbers.reshape(shape)


_ASSIGNMENT = re.compile(r"([a-z]\w*)\s*(?:\(([^)]*)\))?\s*=", re.IGNORECASE)
_WORD = re.compile(r"\"[^\"]*\"|'[^']*'|[^\s,]+")


def read_namelists(text: str) -> dict[str, list[Any]]:
    """Values by lower-case name; the columns of an array one after the other, in the order of their indices."""
    # A comment may hold an equals sign, a name in quotes may not be cut.
    body = re.sub(r"(\"[^\"]*\"|'[^']*')|!.*|/|&\w+", lambda match: match.group(1) or " ", text)
    found: dict[str, dict[tuple[int, ...], list[Any]]] = {}
    assignments = list(_ASSIGNMENT.finditer(body))
    for match, follower in zip(assignments, [*assignments[1:], None], strict=True):
        rest = body[match.end() : follower.start() if follower else len(body)]
        # The last index runs slowest: columns are sorted by it first.
        place = tuple(int(index) for index in reversed((match.group(2) or "").split(",")) if index.strip().isdigit())
        found.setdefault(match.group(1).lower(), {})[place] = list(_values(rest))
    return {name: [value for place in sorted(parts) for value in parts[place]] for name, parts in found.items()}


def _values(text: str) -> Iterator[Any]:
    for word in _WORD.findall(text):
        if word[0] in "\"'":
            yield word[1:-1].strip()
            continue
        count, star, value = word.partition("*")
        repeat, value = (int(count), value) if star else (1, word)
        logical = re.fullmatch(r"\.?(t|true|f|false)\.?", value, re.IGNORECASE)
        for _ in range(repeat):
            yield logical.group(1).lower().startswith("t") if logical else float(re.sub("[dD]", "e", value))
