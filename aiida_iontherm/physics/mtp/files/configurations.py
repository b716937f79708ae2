"""Configurations with energies, forces and stresses in whatever file they come: ``.cfg``, extended XYZ, ASE's own."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from os import SEEK_END
from pathlib import Path
from typing import Any

import ase.db
import ase.io
import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_iontherm.physics.mtp.files._atomic import written_whole
from aiida_iontherm.physics.mtp.files.cfg_file import ARRAYS_OF_ASE, fresh_results, read_cfg, write_cfg

Array = npt.NDArray[np.float64]

_ASE_FORMATS = {".extxyz": "extxyz", ".xyz": "extxyz", ".traj": "traj"}
_DATABASES = (".db", ".json")
# What other programs put into the names of each quantity.
_HINTS = {"energy": ("energy", "energies"), "forces": ("force",), "stress": ("stress", "virial")}


def read_configurations(
    path: str | Path,
    species: Sequence[str] | None = None,
    *,
    energy: str | None = None,
    forces: str | None = None,
    stress: str | None = None,
    virial: str | None = None,
) -> list[Atoms]:
    """Read all configurations of a file, whose suffix says which kind it is.

    ``.cfg`` is read by `read_cfg`, the others by ASE: ``.extxyz`` and ``.xyz``, ``.traj``, and the databases ``.db``
    and ``.json``, whose key-value pairs come as ``atoms.info``.

    Sets made for other programs keep their references under names of their own, such as ``REF_energy``. They are taken
    only when named here, and become results of a ``SinglePointCalculator`` in place of what it held under the usual
    name. A configuration without the key has no such result.

    Parameters
    ----------
    path : str or Path
        The file.
    species : sequence of str, optional
        Chemical symbols in the order of the types: needed for ``.cfg``, which carries none.
    energy, stress, virial : str, optional
        Keys of ``atoms.info``: energy in eV, stress in eV/Angstrom^3 and positive under tension, or virial in eV, which
        is -volume times that stress. Tensors as 3 x 3 or 9 numbers, or 6 in the order xx yy zz yz xz xy.
    forces : str, optional
        Key of ``atoms.arrays``, [N, 3] in eV/Angstrom.

    Raises
    ------
    ValueError
        If the file or a key is absent, nothing can be read, an array has the wrong shape, a number is not finite, or
        the file has no references under the usual names while others could be meant; the message names the keys.

    Warns
    -----
    UserWarning
        If one of energy, forces and stress is absent everywhere while there is a key that could be meant.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"there is no file of configurations {path}")
    if stress is not None and virial is not None:
        raise ValueError("stress and virial are the same quantity: name one of them")
    configurations = _read(path, species)
    if not configurations:
        raise ValueError(f"{path} holds no configuration: is it the right file?")
    names = {"energy": energy, "forces": forces, "stress": stress, "virial": virial}
    for quantity, key in names.items():
        if key is not None and not any(key in _entries(atoms, quantity) for atoms in configurations):
            raise ValueError(f"{path} has no {quantity} under {key!r}: {_what_there_is(configurations)}")
    for index, atoms in enumerate(configurations):
        try:
            _take_references(atoms, names)
        except ValueError as error:
            raise ValueError(f"{path}, configuration {index}: {error}") from error
    _point_at_other_names(path, configurations)
    return configurations


def write_configurations(
    path: str | Path, configurations: Sequence[Atoms], species: Sequence[str] | None = None
) -> None:
    """Write configurations as ``.cfg``, ``.extxyz`` (or ``.xyz``) or ``.traj``, whole or not at all.

    ASE writes positions and forces of ``.extxyz`` with 8 decimals; the other two keep every bit.

    Parameters
    ----------
    path : str or Path
        The file.
    configurations : sequence of Atoms
        With results or without.
    species : sequence of str, optional
        Chemical symbols in the order of the types, for ``.cfg``.

    Raises
    ------
    ValueError
        If the suffix is none of these, there is no configuration, or something cannot be written.
    """
    path = Path(path)
    if not configurations:
        raise ValueError(f"there is no configuration to write to {path}")
    if path.suffix == ".cfg":
        write_cfg(path, configurations, _needed(species, path))
    elif path.suffix in _ASE_FORMATS:
        for index, atoms in enumerate(configurations):
            try:
                fresh_results(atoms)
                _refuse_line_breaks(atoms)
            except ValueError as error:
                raise ValueError(f"configuration {index} cannot be written to {path}: {error}") from error
        if path.suffix == ".traj":
            _refuse_lost(path, configurations)
        with written_whole(path) as draft:
            ase.io.write(draft, list(configurations), format=_ASE_FORMATS[path.suffix])
    else:
        raise ValueError(f"{path} should end in .cfg, .extxyz, .xyz or .traj, the formats that are written")


def _read(path: Path, species: Sequence[str] | None) -> list[Atoms]:
    if path.suffix == ".cfg":
        return read_cfg(path, _needed(species, path))
    if path.suffix not in _ASE_FORMATS and path.suffix not in _DATABASES:
        raise ValueError(f"{path} should end in .cfg, .extxyz, .xyz, .traj, .db or .json, which say how to read it")
    try:
        if path.suffix in _DATABASES:
            return _read_database(path)
        configurations = ase.io.read(path, index=":", format=_ASE_FORMATS[path.suffix])
    except Exception as error:  # The readers of ASE raise whatever comes up: IndexError, KeyError, struct.error...
        raise ValueError(f"{path} cannot be read by ASE ({error}): is it damaged or cut short?") from error
    if configurations and path.suffix in (".extxyz", ".xyz") and _last_byte(path) != b"\n":
        # A cut within the last number leaves a shorter number, which nothing else betrays.
        warnings.warn(f"{path} does not end with a line break: check that it is not cut short", stacklevel=3)
    return list(configurations)


def _last_byte(path: Path) -> bytes:
    with path.open("rb") as stream:
        stream.seek(-1, SEEK_END)
        return stream.read()


def _read_database(path: Path) -> list[Atoms]:
    configurations = []
    with ase.db.connect(path) as database:
        for row in database.select():
            atoms = row.toatoms()
            atoms.info.update(row.key_value_pairs)
            atoms.info.update(row.data)
            configurations.append(atoms)
    return configurations


def _needed(species: Sequence[str] | None, path: Path) -> Sequence[str]:
    if species is None:
        raise ValueError(
            f"{path} is a .cfg file, which carries no chemical symbols: give species in the order of types"
        )
    return species


def _results(atoms: Atoms) -> dict[str, Any]:
    return dict(atoms.calc.results) if atoms.calc is not None else {}


def _entries(atoms: Atoms, quantity: str) -> dict[str, Any]:
    """Everything by which a quantity may be called in this configuration."""
    return _results(atoms) | (atoms.arrays if quantity == "forces" else atoms.info)


def _take_references(atoms: Atoms, names: dict[str, str | None]) -> None:
    """Make the named entries the results, and check what the results are."""
    results = _results(atoms)
    if names["energy"] is not None:
        value = _entries(atoms, "energy").get(names["energy"])
        atoms.info.pop(names["energy"], None)
        for other in ("energy", "free_energy", "energies"):
            results.pop(other, None)
        if value is not None:
            results["energy"] = float(_shaped(value, names["energy"], ()))
    if names["forces"] is not None:
        value = _entries(atoms, "forces").get(names["forces"])
        atoms.arrays.pop(names["forces"], None)
        results.pop("forces", None)
        if value is not None:
            results["forces"] = _shaped(value, names["forces"], (len(atoms), 3))
    tensor = names["stress"] or names["virial"]
    if tensor is not None:
        value = _entries(atoms, "stress").get(tensor)
        atoms.info.pop(tensor, None)
        for other in ("stress", "stresses"):
            results.pop(other, None)
        if value is not None:
            results["stress"] = _voigt(value, tensor)
            if names["virial"] is not None:
                if atoms.cell.volume == 0:
                    raise ValueError(f"{tensor} needs a cell to become a stress: leave virial= out")
                results["stress"] = -results["stress"] / atoms.cell.volume
    for name in ("energy", "free_energy", "forces", "stress"):
        if name in results and not np.all(np.isfinite(results[name])):
            raise ValueError(f"its {name} is not finite: leave it out of the set")
    atoms.calc = SinglePointCalculator(atoms, **results) if results else None


def _shaped(value: Any, name: str, shape: tuple[int, ...]) -> Array:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is not numeric") from error
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape} where {shape} is needed")
    return array


def _voigt(value: Any, name: str) -> Array:
    size = np.size(value)
    if size == 9:
        tensor = _shaped(np.reshape(value, (3, 3)), name, (3, 3))
        tensor = (tensor + tensor.T) / 2
        return tensor[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    if size == 6:
        return _shaped(np.reshape(value, 6), name, (6,))
    raise ValueError(f"{name} holds {size} numbers where a tensor has 9 or 6")


def _point_at_other_names(path: Path, configurations: list[Atoms]) -> None:
    """Refuse a set whose references all have other names, warn of one where some have."""
    found = {name for atoms in configurations for name in _results(atoms)}
    if "free_energy" in found:
        found.add("energy")
    others = {
        quantity: sorted({key for atoms in configurations for key in _alike(atoms, quantity)})
        for quantity in _HINTS
        if quantity not in found
    }
    advice = "; ".join(f"{quantity} may be {' or '.join(keys)}" for quantity, keys in others.items() if keys)
    if not advice:
        return
    if not found & _HINTS.keys():
        raise ValueError(
            f"{path} has no energies, forces or stresses under these names, but {advice}: name those that are meant, "
            "for example energy='REF_energy'"
        )
    warnings.warn(f"{path}: {advice}, which is not used unless it is named", stacklevel=3)


def _alike(atoms: Atoms, quantity: str) -> list[str]:
    entries = atoms.arrays if quantity == "forces" else atoms.info
    return [
        key
        for key, value in entries.items()
        if any(hint in key.lower() for hint in _HINTS[quantity])
        and "weight" not in key.lower()
        and np.asarray(value).dtype.kind in "fiu"
    ]


def _what_there_is(configurations: list[Atoms]) -> str:
    info = sorted({key for atoms in configurations for key in atoms.info})
    arrays = sorted({key for atoms in configurations for key in atoms.arrays} - {"numbers", "positions"})
    results = sorted({key for atoms in configurations for key in _results(atoms)})
    return (
        f"results are {', '.join(results) or 'none'}, info has {', '.join(info) or 'none'}, "
        f"arrays are {', '.join(arrays) or 'none'}"
    )


def _refuse_line_breaks(atoms: Atoms) -> None:
    """Keep ASE from writing a text of several lines into the one line that a header of extended XYZ is."""
    for key, value in atoms.info.items():
        if isinstance(value, str) and ("\n" in value or "\r" in value):
            raise ValueError(f"atoms.info[{key!r}] has more than one line: make it a list of lines")


def _refuse_lost(path: Path, configurations: Sequence[Atoms]) -> None:
    """Say so where a ``.traj`` has no place for an array, which ASE would leave out without a word."""
    for index, atoms in enumerate(configurations):
        lost = sorted(set(atoms.arrays) - ARRAYS_OF_ASE)
        if lost:
            raise ValueError(
                f"configuration {index} has the arrays {', '.join(lost)}, which a .traj cannot hold: "
                f"write {path.with_suffix('.extxyz').name} instead"
            )
