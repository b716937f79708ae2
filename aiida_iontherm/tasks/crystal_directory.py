"""A crystal with its force constants from the folder of any program that is read here.

Folders of phonopy and phono3py go to `phonopy_directory`. Others are those of ShengBTE, Quantum ESPRESSO's q2r.x and
TDEP, with the primitive cell in ``POSCAR`` (TDEP: ``infile.ucposcar``) beside the force constants.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ase.io
from ase import Atoms
from numpy.typing import ArrayLike

from aiida_iontherm.tasks.phonopy_directory import has_third_order, load_phono3py_directory, load_phonopy_directory

if TYPE_CHECKING:
    from phono3py import Phono3py
    from phonopy import Phonopy

    from aiida_iontherm.tasks.force_constant_files import ForceConstants

SECOND = ("FORCE_CONSTANTS_2ND", "espresso.ifc2", "infile.forceconstant", "outfile.forceconstant")
THIRD = ("FORCE_CONSTANTS_3RD", "infile.forceconstant_thirdorder", "outfile.forceconstant_thirdorder")
CELLS = ("POSCAR", "POSCAR-unitcell", "infile.ucposcar")
SUPERCELLS = ("SPOSCAR", "infile.ssposcar")


def find_third_order(path: Path) -> bool:
    """Whether there is something of third order to read.

    Raises
    ------
    FileNotFoundError
        If there is no such folder or file.
    """
    return _find(path, THIRD) is not None or has_third_order(path)


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
        Non-analytical term from ``BORN`` (or phonopy's yaml file): ``True`` to insist on it, ``False`` to leave it out,
        ``None`` to take it where it is.
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
    second = _find(path, SECOND)
    if second is None:
        load: Any = load_phono3py_directory if third else load_phonopy_directory
        return load(path, nac=nac, symmetrise=symmetrise, supercell_matrix=supercell_matrix, remark=remark)
    return _from_files(path, second, third, nac, supercell_matrix, remark or (lambda _sentence: None))


def _from_files(
    folder: Path,
    second: Path,
    third: bool,
    nac: bool | None,
    supercell_matrix: ArrayLike | None,
    say: Callable[[str], None],
) -> Phonopy | Phono3py:
    from aiida_iontherm.tasks.force_constant_files import read_force_constants, to_phono3py, to_phonopy

    cell = _find(folder, CELLS)
    if cell is None:
        raise FileNotFoundError(f"there is no cell beside {second.name}: put the primitive cell there as POSCAR")
    primitive = _read_cell(cell)
    supercell = _supercell(folder, primitive, second, supercell_matrix)
    born = _find(folder, ("BORN",))
    if nac and born is None:
        raise FileNotFoundError(f"there is no BORN beside {second.name}, which the non-analytical term needs")
    constants: ForceConstants = read_force_constants(
        second, primitive, supercell, born=born if born is not None and nac is not False else False
    )
    used = [second.name, cell.name] + ([born.name] if constants.nac is not None and born is not None else [])
    if third:
        file = _find(folder, THIRD)
        if file is None:
            raise FileNotFoundError(f"there is no third order beside {second.name}: looked for {', '.join(THIRD)}")
        constants = constants.joined(read_force_constants(file, primitive, constants.supercell))
        used.append(file.name)
    say(f"force constants as they are in {', '.join(used)}")
    return to_phono3py(constants) if third else to_phonopy(constants)


def _supercell(folder: Path, primitive: Atoms, second: Path, supercell_matrix: ArrayLike | None) -> Atoms | None:
    from aiida_iontherm.tasks.force_constant_files import phonopy_supercell

    if supercell_matrix is not None:
        return phonopy_supercell(primitive, supercell_matrix)
    file = _find(folder, SUPERCELLS)
    if file is not None:
        return _read_cell(file)
    if second.name == "FORCE_CONSTANTS_2ND":
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


def _find(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)
