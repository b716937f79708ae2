"""A crystal with its force constants from the folder of any program that is read here.

Folders of phonopy and phono3py go to `phonopy_directory`. Others are those of ShengBTE, Quantum ESPRESSO's q2r.x, TDEP
and hiphive, with the primitive cell in ``POSCAR`` (TDEP: ``infile.ucposcar``) beside the force constants, unless their
file holds it. ShengBTE's ``CONTROL``, where it is there, has the cell, the supercell, the masses and the charges. Files
of q2r.x and hiphive are also found by their endings, if phonopy left nothing there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ase.io
from ase import Atoms
from numpy.typing import ArrayLike

from aiida_iontherm.tasks.phonopy_directory import load_phono3py_directory, load_phonopy_directory
from aiida_iontherm.tasks.phonopy_layout import (
    COMPRESSIONS,
    FORCE_CONSTANTS,
    FORCES,
    PHONO3PY_YAML,
    PHONOPY_YAML,
    THIRD_ORDER,
    find_file,
    has_third_order,
)

if TYPE_CHECKING:
    from phono3py import Phono3py
    from phonopy import Phonopy

    from aiida_iontherm.tasks.force_constant_files import ForceConstants

SHENGBTE = "FORCE_CONSTANTS_2ND"
SECOND = (SHENGBTE, "espresso.ifc2", "infile.forceconstant", "outfile.forceconstant")
THIRD = ("FORCE_CONSTANTS_3RD", "infile.forceconstant_thirdorder", "outfile.forceconstant_thirdorder")
CELLS = ("POSCAR", "POSCAR-unitcell", "infile.ucposcar")
SUPERCELLS = ("SPOSCAR", "infile.ssposcar")
ENDINGS = ("*.fc", "*.fcp", "*.ifc2")


def find_third_order(path: Path) -> bool:
    """Whether there is something of third order to read.

    Raises
    ------
    FileNotFoundError
        If there is no such folder or file.
    ValueError
        If there are several files of force constants, or one that cannot be read.
    """
    file = None if find_file(path, SECOND) else _by_ending(path)
    if file is not None:
        from aiida_iontherm.tasks.force_constant_files.hiphive_files import orders_in
        from aiida_iontherm.tasks.force_constant_files.recognise import recognised

        if recognised(file).startswith("hiphive") and 3 in orders_in(file):
            return True
    return find_file(path, THIRD) is not None or has_third_order(path)


def load_crystal(
    path: Path,
    *,
    third: bool,
    nac: bool | None = None,
    symmetrise: bool | None = None,
    supercell_matrix: ArrayLike | None = None,
    remark: Callable[[str], None] | None = None,
) -> Phonopy | Phono3py:
    """Load a folder, with its third order or without.

    Parameters
    ----------
    path
        The folder, or a yaml file of phonopy or phono3py in it.
    third
        Whether third order is wanted.
    nac
        Non-analytical term from ``BORN`` (or phonopy's yaml file, or that of q2r.x): ``True`` to insist on it,
        ``False`` to leave it out, ``None`` to take it where it is.
    symmetrise, supercell_matrix
        As in `load_phonopy_directory`; of the other programs' files only ``FORCE_CONSTANTS_2ND`` needs the supercell,
        and force constants are taken as they are.
    remark
        Called with one sentence for each thing that was done or may be missing.

    Raises
    ------
    FileNotFoundError
        If something is missing.
    ValueError
        If a file cannot be read, does not fit the cells, or looks like another unit.
    """
    second = find_file(path, SECOND) or _by_ending(path)
    if second is not None and second.name == SHENGBTE and (path / "CONTROL").is_file():
        return _of_shengbte(path, second, third, nac, remark or (lambda _sentence: None))
    if second is None:
        load: Any = load_phono3py_directory if third else load_phonopy_directory
        return load(path, nac=nac, symmetrise=symmetrise, supercell_matrix=supercell_matrix, remark=remark)
    return _from_files(path, second, third, nac, supercell_matrix, remark or (lambda _sentence: None))


def _of_shengbte(
    folder: Path, second: Path, third: bool, nac: bool | None, say: Callable[[str], None]
) -> Phonopy | Phono3py:
    """Crystal of a folder in which ShengBTE ran, or may run, as its CONTROL describes it."""
    from aiida_iontherm.tasks.force_constant_files import (
        phonopy_supercell,
        read_force_constants,
        to_phono3py,
        to_phonopy,
    )
    from aiida_iontherm.tasks.shengbte_files import read_control

    control = read_control(folder / "CONTROL")
    if nac and control.nac is None:
        raise FileNotFoundError("CONTROL has no Born charges and dielectric tensor, or does not use them")
    supercell = phonopy_supercell(control.primitive, control.supercell)
    constants = read_force_constants(second, control.primitive, supercell)
    constants = replace(constants, nac=control.nac if nac is not False else None)
    used = ["CONTROL", second.name]
    if third:
        file = find_file(folder, THIRD)
        if file is None:
            raise FileNotFoundError(f"there is no third order beside {second.name}: looked for {', '.join(THIRD)}")
        constants = constants.joined(read_force_constants(file, control.primitive, supercell))
        used.append(file.name)
    say(f"crystal and force constants as they are in {', '.join(used)}")
    crystal = to_phono3py(constants) if third else to_phonopy(constants)
    if control.primitive.has("masses"):
        # Rows of these objects are in the order phonopy finds the atoms in; in this supercell, ours.
        crystal.masses = control.primitive.get_masses()
    return crystal


def _from_files(
    folder: Path,
    second: Path,
    third: bool,
    nac: bool | None,
    supercell_matrix: ArrayLike | None,
    say: Callable[[str], None],
) -> Phonopy | Phono3py:
    from aiida_iontherm.tasks.force_constant_files import read_force_constants, to_phono3py, to_phonopy
    from aiida_iontherm.tasks.force_constant_files.read_write import HOLD_THEIR_CELL
    from aiida_iontherm.tasks.force_constant_files.recognise import recognised

    cell = find_file(folder, CELLS)
    if cell is None and recognised(second) not in HOLD_THEIR_CELL:
        raise FileNotFoundError(f"there is no cell beside {second.name}: put the primitive cell there as POSCAR")
    primitive = None if cell is None else _read_cell(cell)
    supercell = _supercell(folder, primitive, second, supercell_matrix)
    born = find_file(folder, ("BORN",)) if nac is not False else None
    constants: ForceConstants = read_force_constants(second, primitive, supercell, born=False if born is None else born)
    if nac and constants.nac is None:
        raise FileNotFoundError(f"there is no BORN beside {second.name}, which the non-analytical term needs")
    if nac is False:
        constants = replace(constants, nac=None)
    used = [file.name for file in (second, cell, born) if file is not None]
    if third and constants.third is None:
        file = find_file(folder, THIRD)
        if file is None:
            raise FileNotFoundError(f"there is no third order beside {second.name}: looked for {', '.join(THIRD)}")
        constants = constants.joined(read_force_constants(file, constants.primitive, constants.supercell))
        used.append(file.name)
    say(f"force constants as they are in {', '.join(used)}")
    return to_phono3py(constants) if third else to_phonopy(constants)


def _supercell(folder: Path, primitive: Atoms | None, second: Path, supercell_matrix: ArrayLike | None) -> Atoms | None:
    from aiida_iontherm.tasks.force_constant_files import phonopy_supercell

    if supercell_matrix is not None:
        if primitive is None:
            raise ValueError(f"there is no POSCAR beside {second.name}: the supercell to take needs the primitive cell")
        return phonopy_supercell(primitive, supercell_matrix)
    file = find_file(folder, SUPERCELLS)
    if file is not None:
        return _read_cell(file)
    if second.name == SHENGBTE:
        raise ValueError(f"{second.name} does not tell its supercell: put it beside as SPOSCAR, or give its divisions")
    return None


def _read_cell(path: Path) -> Atoms:
    try:
        atoms = ase.io.read(path, format="vasp")
    except (ValueError, IndexError, KeyError, OSError) as error:
        raise ValueError(f"{path.name} is not a readable POSCAR: {error}") from error
    if not isinstance(atoms, Atoms):
        raise ValueError(f"{path.name} holds more than one cell")
    return atoms


def _by_ending(folder: Path) -> Path | None:
    """Only file with one of the endings, in a folder without anything of phonopy's or phono3py's."""
    theirs = (*PHONOPY_YAML, *PHONO3PY_YAML, *FORCE_CONSTANTS, *FORCES, *THIRD_ORDER)
    if find_file(folder, theirs, COMPRESSIONS):
        return None
    found = sorted(file for pattern in ENDINGS for file in folder.glob(pattern))
    if len(found) > 1:
        raise ValueError(f"there are {', '.join(file.name for file in found)} in the folder: leave one there")
    return found[0] if found else None
