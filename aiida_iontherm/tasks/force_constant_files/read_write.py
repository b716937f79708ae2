"""Read and write force constants by the format of the file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import ase.io
import h5py
from ase import Atoms

from aiida_iontherm.tasks.files import written_whole
from aiida_iontherm.tasks.force_constant_files import (
    espresso,
    fourphonon,
    hiphive_files,
    phono3py_files,
    phonopy_files,
    shengbte,
    tdep,
)
from aiida_iontherm.tasks.force_constant_files.checks import check_force_constants
from aiida_iontherm.tasks.force_constant_files.clusters import Clusters, fold
from aiida_iontherm.tasks.force_constant_files.form import ForceConstants
from aiida_iontherm.tasks.force_constant_files.objects import from_phono3py, from_phonopy
from aiida_iontherm.tasks.force_constant_files.recognise import format_to_write, recognised
from aiida_iontherm.tasks.force_constant_files.repetition import POSITION_TOLERANCE, Repetition, roomy_supercell
from aiida_iontherm.tasks.force_constant_files.units import converted
from aiida_iontherm.tasks.phonopy_directory import load_phono3py_directory, load_phonopy_directory
from aiida_iontherm.tasks.phonopy_layout import COMPRESSIONS, PHONO3PY_YAML, PHONOPY_YAML, find_file, has_third_order

_OVER_A_SUPERCELL: dict[str, Callable[[Path, Repetition], ForceConstants]] = {
    "phonopy": phonopy_files.read_text_file,
    "phonopy-hdf5": phonopy_files.read_hdf5,
    "force-sets": phonopy_files.read_force_sets,
    "phono3py-fc3": phono3py_files.read_fc3,
}
_WITH_LATTICE_VECTORS: dict[str, Callable[[Path, Atoms], Clusters]] = {
    "shengbte": shengbte.read_third,
    "fourphonon": fourphonon.read_fourth,
    "tdep": partial(tdep.read_tdep, order=2),
    "tdep-third": partial(tdep.read_tdep, order=3),
}
_WRITERS: dict[str, Callable[[Path, ForceConstants], None]] = {
    "phonopy": phonopy_files.write_text_file,
    "phonopy-full": partial(phonopy_files.write_text_file, whole=True),
    "phonopy-hdf5": phonopy_files.write_hdf5,
    "phonopy-hdf5-full": partial(phonopy_files.write_hdf5, whole=True),
    "born": phonopy_files.write_born,
    "phono3py-fc2": phono3py_files.write_fc2,
    "phono3py-fc2-full": partial(phono3py_files.write_fc2, whole=True),
    "phono3py-fc3": phono3py_files.write_fc3,
    "phono3py-fc3-full": partial(phono3py_files.write_fc3, whole=True),
    "phono3py-yaml": phono3py_files.write_yaml,
    "shengbte-second": shengbte.write_second,
    "shengbte": shengbte.write_third,
    "fourphonon": fourphonon.write_fourth,
    "espresso": espresso.write_q2r,
    "tdep": partial(tdep.write_tdep, order=2),
    "tdep-third": partial(tdep.write_tdep, order=3),
    "hiphive": hiphive_files.write,
}

READ_FORMATS = (
    "yaml",
    *_OVER_A_SUPERCELL,
    *_WITH_LATTICE_VECTORS,
    "espresso",
    "hiphive",
    "hiphive-potential",
)
WRITE_FORMATS = tuple(_WRITERS)

HOLD_THEIR_CELL = ("espresso", "hiphive-potential")
"""Formats that need no primitive cell."""

_CELL_OF_TDEP = ("infile.ucposcar", "outfile.ucposcar")


def read_force_constants(
    path: Path | str,
    primitive: Atoms | None = None,
    supercell: Atoms | None = None,
    *,
    format: str | None = None,
    unit: str | None = None,
    born: Path | str | bool = False,
    sum_rules: bool = True,
    tolerance: float = POSITION_TOLERANCE,
) -> ForceConstants:
    """Read force constants, or the forces they follow from, whatever format they are in.

    Parameters
    ----------
    path
        A file; or a folder or yaml file of phonopy or phono3py, which `load_phonopy_directory` and
        `load_phono3py_directory` read with all that belongs to it.
    primitive
        Primitive cell. Not needed beside a yaml file of phonopy or phono3py, or TDEP's ``infile.ucposcar``, nor for
        files that hold it: Quantum ESPRESSO's, and potentials of hiphive.
    supercell
        Ideal supercell, atoms in the order of the file. Not needed beside a yaml file. Files that hold a supercell
        (hiphive's ``.fc``, Quantum ESPRESSO's by its mesh) are taken to the one given. Formats with lattice vectors
        do without: second order is put into the smallest diagonal supercell that holds it.
    format
        One of `READ_FORMATS`, where the file is not recognised.
    unit
        One of `units.UNITS`, the unit of the numbers where it is not the one of the format. What is named is not
        questioned.
    born
        A ``BORN`` file, or True to insist on the charges of ``BORN`` or the yaml file beside. Charges within a file of
        Quantum ESPRESSO come without asking.
    sum_rules
        Whether badly broken acoustic sum rules are refused.
    tolerance
        Largest distance in Angstrom of an atom of the supercell from its site.

    Returns
    -------
    ForceConstants
        In eV/Angstrom^order.

    Raises
    ------
    ValueError
        If a file is not there, cut short or damaged, or asks for programs to be run; cells and force constants do not
        belong together; numbers are not finite, of an odd magnitude, or break the sum rules; charges are missing that
        are insisted on.
    """
    file = Path(path).expanduser()
    kind = "yaml" if file.is_dir() else format or recognised(file)
    if kind not in READ_FORMATS:
        raise ValueError(f"{kind!r} is not a format that is read: take one of {', '.join(READ_FORMATS)}")
    stated = _stated_unit(file, kind)
    if stated is not None and unit is not None:
        raise ValueError(f"{file.name} says that it is in {stated}: leave out unit=")
    charges = _charges(file, born)
    if kind == "yaml":
        constants = _with_all_around(file, born is True and charges is None)
    elif kind == "espresso":
        constants = espresso.read_q2r(file, primitive, supercell, tolerance)
    elif kind == "hiphive":
        constants = hiphive_files.read_fc(file, _needed(primitive, file), supercell, tolerance)
    elif kind == "hiphive-potential":
        constants = hiphive_files.read_fcp(file, primitive, supercell, tolerance)
    elif kind in _OVER_A_SUPERCELL:
        repetition, nac = _cells(file, kind, primitive, supercell, tolerance)
        constants = replace(_OVER_A_SUPERCELL[kind](file, repetition), nac=nac if born is True else None)
    else:
        constants = _placed(
            _WITH_LATTICE_VECTORS[kind](file, _needed(primitive, file)), primitive, file, supercell, tolerance
        )
    if charges is not None:
        constants = replace(constants, nac=phonopy_files.read_born(charges, constants.primitive))
    if born is True and constants.nac is None:
        raise ValueError(
            f"there is no BORN file beside {file.name}, nor charges in a yaml file: the non-analytical term needs the "
            "dielectric tensor and the Born charges; give the file with born="
        )
    if unit is not None:
        constants = converted(constants, unit)
    check_force_constants(constants, unit=unit or stated, sum_rules=sum_rules)
    return constants


def write_force_constants(
    path: Path | str,
    constants: ForceConstants,
    *,
    format: str | None = None,
) -> None:
    """Write force constants, whole or not at all, in the format the name of the file stands for.

    Parameters
    ----------
    path
        The file. Its name says the format, see the table in the how-to.
    constants
        What to write; the format takes the order it has a place for.
    format
        One of `WRITE_FORMATS`, for another name or the full arrays of phonopy and phono3py.

    Raises
    ------
    ValueError
        If the format is not known, the order is not there, or the format cannot hold it.
    """
    file = Path(path).expanduser()
    kind = format or format_to_write(file)
    if kind not in _WRITERS:
        raise ValueError(f"{kind!r} is not a format that is written: take one of {', '.join(WRITE_FORMATS)}")
    check_force_constants(constants, unit="eV/Angstrom", sum_rules=False)
    with written_whole(file) as draft:
        _WRITERS[kind](draft, constants)


def _needed(primitive: Atoms | None, file: Path) -> Atoms:
    """Primitive cell that was given, or TDEP's beside the file."""
    if primitive is not None:
        return primitive
    for name in _CELL_OF_TDEP if "forceconstant" in file.name else ():
        if (file.parent / name).is_file():
            return cast("Atoms", ase.io.read(file.parent / name, format="vasp"))
    raise ValueError(f"{file.name} does not say what crystal it is of: give its primitive cell")


def _placed(
    clusters: Clusters, primitive: Atoms | None, file: Path, supercell: Atoms | None, tolerance: float
) -> ForceConstants:
    """Clusters in the supercell that was given, or one they fit into."""
    cell = _needed(primitive, file)
    where = roomy_supercell(cell, clusters.reach(cell)) if supercell is None else supercell
    repetition = Repetition.of(cell, where, tolerance)
    if clusters.order == 2:
        return ForceConstants(repetition, second=fold(clusters, repetition))
    if clusters.order == 3:
        return ForceConstants(repetition, third=clusters)
    return ForceConstants(repetition, fourth=clusters)


def _cells(
    file: Path, kind: str, primitive: Atoms | None, supercell: Atoms | None, tolerance: float
) -> tuple[Repetition, dict[str, Any] | None]:
    """Cells that were given, or those of a yaml file beside, with its charges."""
    if primitive is not None and supercell is not None:
        return Repetition.of(primitive, supercell, tolerance), None
    of_phono3py = file.name in ("fc2.hdf5", "fc3.hdf5")
    names = (*PHONO3PY_YAML, *PHONOPY_YAML) if of_phono3py else (*PHONOPY_YAML, *PHONO3PY_YAML)
    beside = find_file(file.parent, names, COMPRESSIONS)
    if beside is None:
        raise ValueError(
            f"{file.name} does not say what crystal it is of: give primitive= and supercell=, or put the phonopy.yaml "
            "or phono3py.yaml beside it that it was made with"
        )
    cells = phono3py_files.read_yaml_cells(beside)
    where = cells.supercell if kind == "phono3py-fc3" else cells.second_supercell
    return Repetition.of(primitive or cells.primitive, supercell or where, tolerance), cells.nac


def _charges(file: Path, born: Path | str | bool) -> Path | None:
    """``BORN`` file to read, if one is wanted and there."""
    if isinstance(born, bool):
        beside = (file if file.is_dir() else file.parent) / "BORN"
        return beside if born and beside.is_file() else None
    return Path(born).expanduser()


def _stated_unit(file: Path, kind: str) -> str | None:
    """Look for a unit that a file names itself."""
    if kind == "espresso":
        return "Ry/bohr^2"
    if kind == "phonopy-hdf5":
        with h5py.File(file) as archive:
            if "physical_unit" in archive:
                return str(archive["physical_unit"][0].decode())
    return None


def _with_all_around(path: Path, insist_on_charges: bool) -> ForceConstants:
    """Read what phonopy or phono3py left in a folder."""
    nac = True if insist_on_charges else None
    try:
        if has_third_order(path):
            try:
                return from_phono3py(load_phono3py_directory(path, nac=nac))
            except FileNotFoundError:
                pass  # phono3py's files with a second order only
        return from_phonopy(load_phonopy_directory(path, nac=nac))
    except FileNotFoundError as error:
        raise ValueError(str(error)) from error
